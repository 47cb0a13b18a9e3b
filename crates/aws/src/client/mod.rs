//! The AWS clients of one run. [`Aws`] combines them into a provider.
//!
//! Every call of a kind goes through [`Aws::call`], which waits for the throttle and maps the SDK's
//! error to a provider error. No other function of this module has error codes.

pub(crate) mod account;
pub(crate) mod assumed_role;
pub(crate) mod batch;
mod ca_bundle;
pub(crate) mod capacity;
mod clock;
mod connection_failure;
mod credentials;
pub(crate) mod delete_blockers;
pub(crate) mod dry_run;
pub(crate) mod ec2;
pub(crate) mod elb;
pub(crate) mod errors;
pub(crate) mod hints;
mod https;
pub(crate) mod iam;
pub(crate) mod instances;
pub(crate) mod interceptor;
pub(crate) mod outcomes;
pub(crate) mod ownership;
pub(crate) mod resource_type;
pub(crate) mod route53;
pub(crate) mod route_tables;
pub(crate) mod throttle;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig, imds};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use groundplan_engine::provider::{BoxFuture, ErrorClass};
use groundplan_engine::state::fence::Fence;

use crate::Tags;
use crate::client::credentials::RotatingCredentials;
use crate::client::interceptor::{CallContext, CallCounts, FencingInterceptor};
use crate::client::resource_type::Registry;
use crate::client::resource_type::Result;
use crate::model::calls::is_read;
use crate::model::{
    CLUSTER_API_TAG_PREFIX, CLUSTER_TAG_PREFIX, cluster_api_tag_key, global_tag_region,
};

/// The tag with the creation token.
pub(crate) const TOKEN_TAG: &str = "groundplan.io/token";

/// The maximum wait for a response. After it, the call is repeated or its result is searched for.
/// The slowest calls, RunInstances and CreateNatGateway, take seconds.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// The AWS region, endpoints and roles of one cluster.
#[derive(Clone, Debug, Default)]
pub struct AwsSettings {
    /// The region of all regional resources.
    pub region: String,
    /// `platform.aws.serviceEndpoints`: service name to URL. Overrides every environment variable.
    pub endpoints: BTreeMap<String, String>,
    /// The key of the cluster tag (`kubernetes.io/cluster/<infraID>`).
    pub cluster_tag: String,
    /// The role for the private hosted zone (`platform.aws.hostedZoneRole`). `None` if the zone is in
    /// the account of the credentials.
    pub hosted_zone_role: Option<HostedZoneRole>,
}

/// A role that all calls about one hosted zone assume. The zone is in another account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedZoneRole {
    /// The ARN of the role.
    pub arn: String,
    /// The ID of the hosted zone.
    pub zone: String,
}

impl AwsSettings {
    /// Returns the infra ID, with which names of the cluster begin.
    pub(crate) fn infra_id(&self) -> &str {
        self.cluster_tag.strip_prefix(CLUSTER_TAG_PREFIX).unwrap_or(&self.cluster_tag)
    }

    /// Returns the keys of the tags that resources of the cluster have: the cluster tag, and the tag
    /// of Cluster API.
    pub(crate) fn cluster_tags(&self) -> [String; 2] {
        [self.cluster_tag.clone(), cluster_api_tag_key(self.infra_id())]
    }

    /// Returns true if a tag with this key is one of the [`AwsSettings::cluster_tags`].
    pub(crate) fn is_cluster_tag(&self, key: &str) -> bool {
        let infra_id = || key.strip_prefix(CLUSTER_API_TAG_PREFIX);
        key == self.cluster_tag || infra_id().is_some_and(|id| id == self.infra_id())
    }

    /// Returns true if a resource with these tags belongs to the cluster.
    pub(crate) fn has_cluster_tag(&self, tags: &Tags) -> bool {
        tags.keys().any(|key| self.is_cluster_tag(key))
    }

    /// Returns the value of the cluster tag, or of the tag of Cluster API if the resource has only
    /// that one. `None` for a resource that is not the cluster's.
    pub(crate) fn cluster_tag_value<'tags>(
        &self,
        tags: impl IntoIterator<Item = (&'tags str, &'tags str)>,
    ) -> Option<&'tags str> {
        let mut value = None;
        for (key, found) in tags.into_iter().filter(|(key, _)| self.is_cluster_tag(key)) {
            if key == self.cluster_tag {
                return Some(found);
            }
            value = Some(found);
        }
        value
    }
}

/// The AWS SDK clients as a provider.
///
/// New clients are read-only: every mutating call fails with [`Cause::ReadOnly`]. An owner installs
/// a fence with [`Aws::guard`] or [`Aws::with_fence`]; a borrower (`&Aws`) cannot.
///
/// [`Cause::ReadOnly`]: groundplan_engine::provider::Cause::ReadOnly
#[derive(Debug)]
pub struct Aws {
    pub(crate) cloudwatch: aws_sdk_cloudwatch::Client,
    pub(crate) ec2: aws_sdk_ec2::Client,
    pub(crate) elb: aws_sdk_elasticloadbalancingv2::Client,
    pub(crate) elb_classic: aws_sdk_elasticloadbalancing::Client,
    pub(crate) iam: aws_sdk_iam::Client,
    route53: aws_sdk_route53::Client,
    /// The client for the hosted zone of [`AwsSettings::hosted_zone_role`].
    route53_of_role: Option<aws_sdk_route53::Client>,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) quotas: aws_sdk_servicequotas::Client,
    pub(crate) sts: aws_sdk_sts::Client,
    /// Clients of the Resource Groups Tagging API, by region: that of the cluster, and that of global
    /// services if it is another one.
    pub(crate) tagging: BTreeMap<String, aws_sdk_resourcegroupstagging::Client>,
    pub(crate) settings: AwsSettings,
    pub(crate) watch: Arc<CallContext>,
}

/// The identity behind the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The account ID (twelve digits).
    pub account: String,
    /// The ARN of the user or role.
    pub arn: String,
}

impl Aws {
    /// Returns all kinds.
    pub(crate) fn registry(&self) -> &Registry {
        &self.watch.registry
    }

    /// Returns the settings that the clients were made from.
    pub fn settings(&self) -> &AwsSettings {
        &self.settings
    }

    /// Makes clients with the credentials and endpoint of an existing configuration.
    pub(crate) fn of(config: &SdkConfig, settings: AwsSettings, registry: Registry) -> Self {
        let watch = Arc::new(CallContext::new(registry));
        // Only endpoints of the install-config are set here. The SDK itself reads AWS_ENDPOINT_URL,
        // AWS_ENDPOINT_URL_<SERVICE> and a profile's `services`, and knows their precedence.
        macro_rules! builder {
            ($sdk:ident, $name:literal) => {{
                let mut builder = $sdk::config::Builder::from(config)
                    .interceptor(FencingInterceptor(Arc::clone(&watch)));
                if let Some(url) = settings.endpoints.get($name) {
                    builder = builder.endpoint_url(url);
                }
                builder
            }};
        }
        macro_rules! client {
            ($sdk:ident, $name:literal) => {
                $sdk::Client::from_conf(builder!($sdk, $name).build())
            };
        }
        // With a custom endpoint the bucket name goes into the path: few such endpoints have
        // wildcard DNS.
        let paths = settings.endpoints.contains_key("s3") || s3_is_elsewhere(config);
        let s3 = builder!(aws_sdk_s3, "s3").force_path_style(paths).build();
        let of_config = || config.region().map(Region::as_ref).unwrap_or_default();
        let home = Some(settings.region.as_str()).filter(|region| !region.is_empty());
        let home = home.unwrap_or_else(of_config);
        let tagging = [Some(home), global_tag_region(home)].into_iter().flatten().map(|region| {
            let builder = builder!(aws_sdk_resourcegroupstagging, "tagging");
            let config = builder.region(Region::new(region.to_owned())).build();
            (region.to_owned(), aws_sdk_resourcegroupstagging::Client::from_conf(config))
        });
        let tagging = tagging.collect();
        let of_role = settings.hosted_zone_role.as_ref().map(|role| {
            let endpoint = settings.endpoints.get("sts").map(String::as_str);
            let credentials = assumed_role::credentials(config, endpoint, &role.arn);
            builder!(aws_sdk_route53, "route53").credentials_provider(credentials).build()
        });
        Self {
            cloudwatch: client!(aws_sdk_cloudwatch, "cloudwatch"),
            route53_of_role: of_role.map(aws_sdk_route53::Client::from_conf),
            ec2: client!(aws_sdk_ec2, "ec2"),
            elb: client!(aws_sdk_elasticloadbalancingv2, "elasticloadbalancing"),
            elb_classic: client!(aws_sdk_elasticloadbalancing, "elasticloadbalancing"),
            iam: client!(aws_sdk_iam, "iam"),
            route53: client!(aws_sdk_route53, "route53"),
            s3: aws_sdk_s3::Client::from_conf(s3),
            quotas: client!(aws_sdk_servicequotas, "servicequotas"),
            sts: client!(aws_sdk_sts, "sts"),
            tagging,
            watch,
            settings,
        }
    }

    /// Returns the Route 53 client of the account of the credentials. Calls about one zone use
    /// [`Aws::route53_of`].
    pub(crate) fn route53(&self) -> &aws_sdk_route53::Client {
        &self.route53
    }

    /// Returns the Route 53 client for a hosted zone: that of the role, if the role is for this zone.
    pub(crate) fn route53_of(&self, zone: &str) -> &aws_sdk_route53::Client {
        let role = self.settings.hosted_zone_role.as_ref();
        let is_of_role = role.is_some_and(|role| role.zone == route53::bare_id(zone));
        self.route53_of_role.as_ref().filter(|_| is_of_role).unwrap_or(&self.route53)
    }

    /// Returns the caller's identity, by the one call that all credentials allow. Without
    /// credentials or network, fails within seconds with a hint.
    ///
    /// # Errors
    /// If there are no credentials, AWS rejects them, or no response arrives.
    pub async fn check(&self) -> Result<Caller> {
        let call = self.sts.get_caller_identity().send();
        let answer = self.call("sts", "GetCallerIdentity", call).await;
        let answer = answer.map_err(|error| {
            hints::of_profile(error, std::env::var("AWS_PROFILE").ok().as_deref())
        })?;
        Ok(Caller {
            account: answer.account.unwrap_or_default(),
            arn: answer.arn.unwrap_or_default(),
        })
    }

    /// Installs a fence: mutating calls that the fence passes are sent from now on. After the fence
    /// is shut, no mutating call is sent, retries included.
    ///
    /// Takes the owner's pointer, so that a function with `&Aws` cannot enable changes.
    pub fn guard(self: &Arc<Self>, fence: Fence) {
        self.watch.guard(fence);
    }

    /// Returns the clients with a fence, as [`Aws::guard`] installs it.
    #[must_use]
    pub fn with_fence(self, fence: Fence) -> Self {
        self.watch.guard(fence);
        self
    }

    /// Returns the number of calls of each action so far, retries included.
    pub fn calls(&self) -> CallCounts {
        self.watch.calls()
    }

    /// Returns the tags of a refreshed object that carries neither the cluster tag nor `token`, the
    /// token of its record. `None` for an object that carries one of them or was not read.
    pub fn unowned(&self, token: &str) -> Option<Tags> {
        self.watch.unowned(token)
    }

    /// Returns the permissions (`iam:ListRolePolicies`) that refresh lacked. The parts of resources
    /// that only these calls read were not compared.
    pub fn not_compared(&self) -> BTreeSet<&'static str> {
        self.watch.not_compared()
    }

    /// Notes whether a live object carries the cluster tag or `token`, the token of its record.
    pub(crate) fn note_owner(&self, token: &str, live: &Tags) {
        let is_owned = self.settings.has_cluster_tag(live)
            || live.get(TOKEN_TAG).is_some_and(|tag| tag == token);
        self.watch.note_unowned(token, (!is_owned).then(|| live.clone()));
    }

    /// Waits for the throttle, makes one call, and maps its error.
    ///
    /// `service` and `name` are AWS's names (`ec2`, `RunInstances`).
    pub(crate) async fn call<T, E>(
        &self,
        service: &'static str,
        name: &'static str,
        call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T>
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
        SdkError<E, HttpResponse>: RequestId,
    {
        self.watch.throttle.turn(service, name).await;
        let (answer, open) = interceptor::attempted(call).await;
        answer.map_err(|error| {
            let mut error = errors::explain(service, name, &error);
            credentials::note(error.code.as_deref());
            // The last attempt's error does not matter: an earlier attempt may have taken effect.
            if open && !is_read(name) {
                error.class = ErrorClass::Ambiguous;
            }
            error
        })
    }

    /// Returns the tags of a creation: those of the inputs and the token tag.
    pub(crate) fn tags_with_token(tags: &Tags, token: &str) -> Tags {
        let mut tags = tags.clone();
        tags.insert(TOKEN_TAG.to_owned(), token.to_owned());
        tags
    }
}

/// Returns the configuration of all clients: the same credentials, profile, proxy and endpoints as
/// other AWS tools, with the limits on attempts and time of a run.
pub(crate) async fn configuration(region: &str) -> SdkConfig {
    defaults(Region::new(region.to_owned()))
        .await
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(5)
                .with_initial_backoff(Duration::from_millis(200)),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(5))
                .read_timeout(ANSWERS_WITHIN)
                .operation_timeout(Duration::from_secs(180))
                .build(),
        )
        .load()
        .await
}

/// Returns the configuration that other AWS tools would use in this region.
pub(crate) async fn defaults(region: Region) -> ConfigLoader {
    let http = https::client();
    aws_config::defaults(BehaviorVersion::latest())
        .region(region.clone())
        .http_client(http.clone())
        .credentials_provider(rotating_credentials(region, http))
}

/// Returns the usual chain, which is made anew when its files change or AWS rejects the credentials.
fn rotating_credentials(region: Region, http: SharedHttpClient) -> RotatingCredentials {
    let make = move || -> BoxFuture<'static, SharedCredentialsProvider> {
        let (region, http) = (region.clone(), http.clone());
        Box::pin(async { SharedCredentialsProvider::new(credentials(region, http).await) })
    };
    RotatingCredentials::new(Box::new(make), credentials::files())
}

/// Returns the usual chain: environment, profiles (also SSO, processes and roles), web identity,
/// container, and last the instance's own credentials. The query for the latter ends after three
/// seconds, because outside EC2 no server responds to it.
async fn credentials(region: Region, http: SharedHttpClient) -> DefaultCredentialsChain {
    let config = ProviderConfig::without_region().with_http_client(http);
    let instance = imds::Client::builder()
        .configure(&config)
        .connect_timeout(Duration::from_secs(1))
        .read_timeout(Duration::from_secs(1))
        .operation_timeout(Duration::from_secs(3))
        .max_attempts(2)
        .build();
    DefaultCredentialsChain::builder()
        .configure(config)
        .region(region)
        .imds_client(instance)
        .build()
        .await
}

/// Returns true if the user sets another S3 endpoint.
pub(super) fn s3_is_elsewhere(config: &SdkConfig) -> bool {
    config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some()
}

/// Returns the live tags whose keys groundplan sets. Other tags are ignored.
pub(crate) fn owned_tags<'a>(
    ours: &Tags,
    live: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Tags {
    live.into_iter()
        .filter(|(key, _)| ours.contains_key(*key))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::VecDeque;
    use std::io;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use aws_credential_types::Credentials;
    use aws_credential_types::credential_fn::provide_credentials_fn;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_credential_types::provider::error::CredentialsError;
    use aws_smithy_runtime_api::client::http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
    };
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
    use aws_smithy_types::body::SdkBody;
    use groundplan_engine::state::error::StateError;

    use super::*;

    /// The response of a scripted cloud to a request.
    #[derive(Clone, Debug)]
    pub(crate) enum Script {
        Answer(u16, String),
        /// A response with headers.
        Headed(u16, Vec<(&'static str, &'static str)>, String),
        Lost,
        TimedOut,
        ConnectionRefused,
    }

    /// A transport that follows a script and records the requests.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Scripted {
        script: Arc<Mutex<VecDeque<Script>>>,
        sent: Arc<Mutex<Vec<(String, String)>>>,
        signed_for: Arc<Mutex<Vec<String>>>,
    }

    impl Scripted {
        pub(crate) fn bodies(&self) -> Vec<String> {
            self.sent.lock().unwrap().iter().map(|(_, body)| body.clone()).collect()
        }

        /// Returns the `Authorization` header of each request, which names the region.
        pub(crate) fn signatures(&self) -> Vec<String> {
            self.signed_for.lock().unwrap().clone()
        }

        fn uris(&self) -> Vec<String> {
            self.sent.lock().unwrap().iter().map(|(uri, _)| uri.clone()).collect()
        }
    }

    impl HttpConnector for Scripted {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default());
            self.sent.lock().unwrap().push((request.uri().to_string(), body.into_owned()));
            let signature = request.headers().get("authorization").unwrap_or_default();
            self.signed_for.lock().unwrap().push(signature.to_owned());
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
            HttpConnectorFuture::ready(match self.script.lock().unwrap().pop_front() {
                Some(Script::Answer(status, body)) => {
                    Ok(HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body)))
                }
                Some(Script::Headed(status, headers, body)) => {
                    let mut answer =
                        HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
                    for (name, value) in headers {
                        answer.headers_mut().insert(name, value);
                    }
                    Ok(answer)
                }
                Some(Script::TimedOut) => Err(ConnectorError::timeout("no response".into())),
                Some(Script::ConnectionRefused) => Err(ConnectorError::io(refused().into())),
                Some(Script::Lost) | None => Err(ConnectorError::io(reset().into())),
            })
        }
    }

    impl HttpClient for Scripted {
        fn http_connector(
            &self,
            _: &HttpConnectorSettings,
            _: &RuntimeComponents,
        ) -> SharedHttpConnector {
            SharedHttpConnector::new(self.clone())
        }
    }

    /// Returns clients whose responses come from a script; the SDK retries without delay. After the
    /// end of the script all responses are lost. The fence never rejects.
    pub(crate) fn scripted(script: impl IntoIterator<Item = Script>) -> (Aws, Scripted) {
        scripted_with(script, AwsSettings::default())
    }

    /// Returns scripted clients without a fence, as [`Aws::connect`] makes them.
    pub(crate) fn scripted_read_only(script: impl IntoIterator<Item = Script>) -> (Aws, Scripted) {
        let (config, http) = scripted_config(script);
        (Aws::new(&config, AwsSettings::default()), http)
    }

    pub(crate) fn scripted_with(
        script: impl IntoIterator<Item = Script>,
        settings: AwsSettings,
    ) -> (Aws, Scripted) {
        let (config, http) = scripted_config(script);
        (Aws::new(&config, settings).with_fence(Fence::open()), http)
    }

    /// Returns clients on this transport, whose fence never rejects.
    pub(crate) fn over(http: impl HttpClient + 'static, settings: AwsSettings) -> Aws {
        Aws::new(&config_on(http), settings).with_fence(Fence::open())
    }

    pub(crate) fn scripted_config(
        script: impl IntoIterator<Item = Script>,
    ) -> (SdkConfig, Scripted) {
        let http = Scripted::default();
        http.script.lock().unwrap().extend(script);
        (config_on(http.clone()), http)
    }

    fn config_on(http: impl HttpClient + 'static) -> SdkConfig {
        let credentials = Credentials::new("AKIATEST", "not-a-secret", None, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-west-2"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(SharedHttpClient::new(http))
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(3)
                    .with_initial_backoff(Duration::from_millis(1)),
            )
            .build()
    }

    fn throttled() -> Script {
        let body = "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>slow \
                    down</Message></Error></Errors></Response>";
        Script::Answer(503, body.to_owned())
    }

    fn vpc() -> Script {
        let body = "<CreateVpcResponse><vpc><vpcId>vpc-1</vpcId></vpc></CreateVpcResponse>";
        Script::Answer(200, body.to_owned())
    }

    #[tokio::test]
    async fn what_has_no_token_is_never_repeated_behind_the_engines_back() {
        for first in [Script::Lost, Script::TimedOut, throttled()] {
            let (aws, sent) = scripted([first.clone(), vpc()]);
            let call = aws.ec2.create_vpc().cidr_block("10.0.0.0/16").send();
            let error = aws.call("ec2", "CreateVpc", call).await.unwrap_err();
            assert_ne!(error.class, ErrorClass::Permanent, "{first:?}");
            assert_eq!(sent.bodies().len(), 1, "{first:?}");
        }
    }

    #[tokio::test]
    async fn what_the_last_attempt_is_told_is_not_all_when_one_before_it_got_no_answer() {
        let denied = || {
            let body = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no\
                        </Message></Error></Errors></Response>";
            Script::Answer(403, body.to_owned())
        };
        let full = || {
            let body = "<Response><Errors><Error><Code>InsufficientInstanceCapacity</Code>\
                        <Message>full</Message></Error></Errors></Response>";
            Script::Answer(500, body.to_owned())
        };
        let gone = || Script::Answer(503, "<html>".to_owned());
        for (script, class) in [
            (vec![denied()], ErrorClass::Permanent),
            (vec![throttled(), denied()], ErrorClass::Permanent),
            (vec![full(), denied()], ErrorClass::Permanent),
            (vec![full(), full(), full()], ErrorClass::Retryable),
            (vec![Script::ConnectionRefused, denied()], ErrorClass::Permanent),
            (vec![Script::Lost, denied()], ErrorClass::Ambiguous),
            (vec![Script::TimedOut, throttled(), denied()], ErrorClass::Ambiguous),
            (vec![gone(), denied()], ErrorClass::Ambiguous),
            (vec![Script::Lost, throttled(), throttled()], ErrorClass::Ambiguous),
        ] {
            let (aws, _) = scripted(script.clone());
            let call = aws.ec2.run_instances().image_id("ami-1").client_token("gp-1").send();
            let error = aws.call("ec2", "RunInstances", call).await.unwrap_err();
            assert_eq!(error.class, class, "{script:?}: {error}");
        }
    }

    #[tokio::test]
    async fn every_attempt_counts_and_a_token_outlives_its_attempts() {
        let run = "<RunInstancesResponse><instancesSet><item><instanceId>i-1</instanceId></item>\
                   </instancesSet></RunInstancesResponse>";
        let (aws, sent) =
            scripted([throttled(), Script::Lost, Script::Answer(200, run.to_owned())]);
        let call = aws.ec2.run_instances().image_id("ami-1").client_token("gp-1").send();
        aws.call("ec2", "RunInstances", call).await.unwrap();
        assert_eq!(aws.calls(), CallCounts::from([(("ec2", "RunInstances".to_owned()), 3)]));
        assert!(sent.bodies().iter().all(|body| body.contains("ClientToken=gp-1")));
    }

    #[tokio::test]
    async fn once_the_lock_is_lost_nothing_leaves_that_changes_anything() {
        let open = Arc::new(AtomicBool::new(true));
        let fence = Fence::new({
            let open = Arc::clone(&open);
            move || match open.load(Ordering::Relaxed) {
                true => Ok(()),
                false => Err(StateError::Fenced {
                    place: "s3://acme/prod".to_owned(),
                    why: "another process took the lock".to_owned(),
                }),
            }
        });
        let zones = "<DescribeVpcsResponse/>".to_owned();
        let (aws, sent) = scripted([vpc(), Script::Answer(200, zones)]);
        let aws = aws.with_fence(fence);
        let create = || aws.ec2.create_vpc().cidr_block("10.0.0.0/16").send();
        aws.call("ec2", "CreateVpc", create()).await.unwrap();
        open.store(false, Ordering::Relaxed);
        let error = aws.call("ec2", "CreateVpc", create()).await.unwrap_err();
        assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Permanent, Some("Fenced")));
        assert!(error.message.contains("not sent"), "{error}");
        assert!(error.message.contains("another process took the lock"), "{error}");
        assert!(error.hint.is_some(), "{error}");
        aws.call("ec2", "DescribeVpcs", aws.ec2.describe_vpcs().send()).await.unwrap();
        assert_eq!(sent.bodies().len(), 2, "looking changes nothing");
        assert_eq!(aws.calls().values().sum::<u64>(), 2);
    }

    /// Makes a change of each service. Checks that the fence rejected it and nothing was sent.
    ///
    /// The interceptor knows each service by the name that the SDK gives it, which differs from ours.
    async fn assert_every_service_is_stopped(aws: &Aws, sent: &Scripted, because: &str) {
        macro_rules! assert_stopped {
            ($service:literal, $name:literal, $call:expr) => {
                let error = aws.call($service, $name, $call.send()).await.unwrap_err();
                assert!(error.is(&[because]), concat!($service, ":", $name, ": {}"), error);
                assert_eq!(error.class, ErrorClass::Permanent, concat!($service, ":", $name));
            };
        }
        let classic = aws.elb_classic.register_instances_with_load_balancer();
        let classic = classic.load_balancer_name("a").set_instances(Some(Vec::new()));
        let elb = aws.elb.delete_load_balancer().load_balancer_arn("a");
        assert_stopped!("ec2", "DeleteVpc", aws.ec2.delete_vpc().vpc_id("vpc-1"));
        assert_stopped!("elasticloadbalancing", "DeleteLoadBalancer", elb);
        assert_stopped!("elasticloadbalancing", "RegisterInstancesWithLoadBalancer", classic);
        assert_stopped!("iam", "DeleteRole", aws.iam.delete_role().role_name("a"));
        assert_stopped!("route53", "DeleteHostedZone", aws.route53().delete_hosted_zone().id("Z1"));
        assert_stopped!("s3", "DeleteBucket", aws.s3.delete_bucket().bucket("a"));
        assert_eq!(sent.bodies().len(), 0);
    }

    #[tokio::test]
    async fn new_clients_reject_the_changes_of_every_service() {
        let (aws, sent) = scripted_read_only([]);
        assert_every_service_is_stopped(&aws, &sent, "ReadOnly").await;
    }

    #[tokio::test]
    async fn new_clients_send_reads_and_dry_runs() {
        let would_succeed = "<Response><Errors><Error><Code>DryRunOperation</Code></Error></Errors>\
                             </Response>";
        let (aws, sent) = scripted_read_only([
            Script::Answer(200, "<DescribeVpcsResponse/>".to_owned()),
            Script::Answer(412, would_succeed.to_owned()),
        ]);
        aws.call("ec2", "DescribeVpcs", aws.ec2.describe_vpcs().send()).await.unwrap();
        let delete = |dry_run| aws.ec2.delete_vpc().vpc_id("vpc-1").dry_run(dry_run).send();
        let error = aws.call("ec2", "DeleteVpc", delete(true)).await.unwrap_err();
        assert!(error.is(&["DryRunOperation"]), "{error}");
        let error = aws.call("ec2", "DeleteVpc", delete(false)).await.unwrap_err();
        assert!(error.is(&["ReadOnly"]), "{error}");
        assert_eq!(sent.bodies().len(), 2, "the read and the dry run");
    }

    #[tokio::test]
    async fn text_of_a_request_does_not_make_it_a_dry_run() {
        let (aws, sent) = scripted_read_only([]);
        let call = aws.ec2.create_security_group().group_name("a").description("&DryRun=true");
        let error = aws.call("ec2", "CreateSecurityGroup", call.send()).await.unwrap_err();
        assert!(error.is(&["ReadOnly"]), "{error}");
        assert_eq!(sent.bodies().len(), 0);
    }

    #[tokio::test]
    async fn a_shut_fence_stops_the_changes_of_every_service() {
        let (aws, sent) = scripted([]);
        let aws = aws.with_fence(Fence::new(|| {
            Err(StateError::Fenced { place: "p".to_owned(), why: "it ran out".to_owned() })
        }));
        assert_every_service_is_stopped(&aws, &sent, "Fenced").await;
    }

    #[tokio::test]
    async fn a_call_that_the_sdk_repeats_asks_the_fence_each_time() {
        let passes = Arc::new(AtomicU32::new(0));
        let fence = Fence::new({
            let passes = Arc::clone(&passes);
            move || match passes.fetch_add(1, Ordering::Relaxed) {
                0 => Ok(()),
                _ => {
                    Err(StateError::Fenced { place: "p".to_owned(), why: "it ran out".to_owned() })
                }
            }
        });
        let (aws, sent) = scripted([throttled()]);
        let aws = aws.with_fence(fence);
        let call = aws.ec2.run_instances().image_id("ami-1").client_token("gp-1").send();
        let error = aws.call("ec2", "RunInstances", call).await.unwrap_err();
        assert!(error.is(&["Fenced"]), "{error}");
        assert_eq!(error.class, ErrorClass::Ambiguous, "the first may have been done: {error}");
        assert_eq!((sent.bodies().len(), passes.load(Ordering::Relaxed)), (1, 2));
    }

    #[tokio::test]
    async fn only_the_services_that_the_config_names_go_elsewhere() {
        let endpoints = [("ec2", "https://ec2.example.com"), ("s3", "https://s3.example.com")];
        let endpoints = endpoints.map(|(service, url)| (service.to_owned(), url.to_owned()));
        let settings = AwsSettings { endpoints: endpoints.into(), ..AwsSettings::default() };
        let (aws, sent) = scripted_with([], settings);
        let _ = aws.ec2.describe_vpcs().send().await;
        let _ = aws.iam.get_role().role_name("r").send().await;
        let _ = aws.s3.head_bucket().bucket("b").send().await;
        let mut hosts = sent.uris();
        hosts.dedup();
        assert_eq!(
            hosts,
            ["https://ec2.example.com/", "https://iam.amazonaws.com/", "https://s3.example.com/b/"]
        );
    }

    #[tokio::test]
    async fn who_we_are_is_one_call_and_nobody_is_a_refusal_with_a_way_out() {
        let body = "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>1</Account>\
                    <Arn>arn:x</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>";
        let (aws, _) = scripted([Script::Answer(200, body.to_owned())]);
        assert_eq!(
            aws.check().await,
            Ok(Caller { account: "1".to_owned(), arn: "arn:x".to_owned() })
        );
        let nobody = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-west-2"))
            .http_client(Scripted::default())
            .credentials_provider(SharedCredentialsProvider::new(provide_credentials_fn(
                || async { Err(CredentialsError::not_loaded("nothing in the environment")) },
            )))
            .build();
        let error = Aws::new(&nobody, AwsSettings::default()).check().await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Permanent, "{error:?}");
        assert!(error.hint.clone().unwrap_or_default().contains("AWS_PROFILE"), "{error:?}");
    }
}
