//! The clients of one run, and the provider they make.
//!
//! Every call of a kind goes through [`Aws::call`], which takes its turn in the throttle and turns
//! the SDK's error into ours. Nothing else in here knows an error code.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;

use super::Tags;
use super::errors;
use super::kind::Result;
use super::throttle::Throttle;

/// The tag that carries a creation's token.
pub(crate) const TOKEN_TAG: &str = "groundplan.io/token";

/// Where AWS is and as whom.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The region everything is in.
    pub region: String,
    /// `platform.aws.serviceEndpoints`: service name to URL; beats every environment variable.
    pub endpoints: BTreeMap<String, String>,
    /// Key of the tag that everything the cluster owns carries (`kubernetes.io/cluster/<infraID>`).
    pub cluster_tag: String,
    /// The role that private-zone operations assume (`platform.aws.hostedZoneRole`).
    pub hosted_zone_role: Option<String>,
}

/// AWS as a provider.
#[derive(Debug)]
pub struct Aws {
    pub(crate) ec2: aws_sdk_ec2::Client,
    pub(crate) elb: aws_sdk_elasticloadbalancingv2::Client,
    pub(crate) iam: aws_sdk_iam::Client,
    pub(crate) route53: aws_sdk_route53::Client,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) sts: aws_sdk_sts::Client,
    pub(crate) config: SdkConfig,
    pub(crate) settings: Settings,
    throttle: Throttle,
}

impl Aws {
    /// Clients with the credentials, profile, proxy and endpoints that every AWS tool would use.
    pub async fn connect(settings: Settings) -> Self {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(settings.region.clone()))
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(5)
                    .with_initial_backoff(Duration::from_millis(200)),
            )
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(5))
                    .read_timeout(Duration::from_secs(60))
                    .operation_timeout(Duration::from_secs(180))
                    .build(),
            )
            .load()
            .await;
        Self::new(&config, settings)
    }

    /// Clients with the credentials and endpoint of a configuration made elsewhere.
    pub fn new(config: &SdkConfig, settings: Settings) -> Self {
        macro_rules! client {
            ($sdk:ident, $name:literal) => {{
                let mut builder = $sdk::config::Builder::from(config);
                builder.set_endpoint_url(
                    settings
                        .endpoints
                        .get($name)
                        .cloned()
                        .or_else(|| config.endpoint_url().map(str::to_owned)),
                );
                $sdk::Client::from_conf(builder.build())
            }};
        }
        let mut s3 = aws_sdk_s3::config::Builder::from(config);
        if let Some(url) = settings.endpoints.get("s3") {
            s3 = s3.endpoint_url(url);
        }
        // A bucket's name in the path works with every endpoint, also those without wildcard DNS.
        let s3 = aws_sdk_s3::Client::from_conf(s3.force_path_style(true).build());
        Self {
            ec2: client!(aws_sdk_ec2, "ec2"),
            elb: client!(aws_sdk_elasticloadbalancingv2, "elasticloadbalancing"),
            iam: client!(aws_sdk_iam, "iam"),
            route53: client!(aws_sdk_route53, "route53"),
            s3,
            sts: client!(aws_sdk_sts, "sts"),
            config: config.clone(),
            throttle: Throttle::default(),
            settings,
        }
    }

    /// Makes one call: takes its turn, then says in our terms what came of it.
    ///
    /// `service` and `name` are AWS's (`ec2`, `RunInstances`).
    pub(crate) async fn call<T, E, R>(
        &self,
        service: &'static str,
        name: &'static str,
        call: impl Future<Output = Result<T, SdkError<E, R>>>,
    ) -> Result<T>
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
        SdkError<E, R>: RequestId,
    {
        self.throttle.turn(service, name).await;
        let result = call.await.map_err(|error| errors::explain(name, &error));
        self.throttle.learn(service, name, result.as_ref().err());
        result
    }

    /// The tags of a creation: the inputs' and the token's.
    pub(crate) fn tags_with_token(tags: &Tags, token: &str) -> Tags {
        let mut tags = tags.clone();
        tags.insert(TOKEN_TAG.to_owned(), token.to_owned());
        tags
    }
}

/// Of the tags AWS has, those that we have an opinion on: a key we never set is not ours.
pub(crate) fn owned_tags<'a>(
    ours: &Tags,
    live: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Tags {
    live.into_iter()
        .filter(|(key, _)| ours.contains_key(*key))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
