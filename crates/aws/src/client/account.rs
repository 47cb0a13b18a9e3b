//! Credentials of one account, for a program that runs longer than its credentials.
//!
//! Rotated credentials may belong to another account. There, none of the known objects exists, and a
//! program would conclude that all of them are gone. So new credentials are used only after
//! GetCallerIdentity, which needs no permission, has returned the account of the start.

use std::fmt;
use std::result::Result;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_ec2::error::ProvideErrorMetadata;
use tokio::sync::Mutex;

use super::credentials;
use crate::{Aws, AwsSettings};

/// Error of credentials that belong to another account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the AWS credentials belong to account {found}, and this process started in account \
     {expected}: no call is sent"
)]
pub struct WrongAccount {
    /// Account of the start.
    pub expected: String,
    /// Account of the credentials.
    pub found: String,
}

/// Function that gets the result of each check of new credentials.
pub type ReportAccount = Box<dyn Fn(Result<(), &WrongAccount>) + Send + Sync>;

/// Provider that passes on only credentials of one account.
struct OneAccount {
    inner: SharedCredentialsProvider,
    sts: aws_sdk_sts::config::Builder,
    account: String,
    report: ReportAccount,
    /// Key and session token of the credentials that were checked last.
    checked: Mutex<Option<(String, Option<String>)>>,
}

impl fmt::Debug for OneAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneAccount").field("account", &self.account).finish_non_exhaustive()
    }
}

impl OneAccount {
    async fn read(&self) -> provider::Result {
        let credentials = self.inner.provide_credentials().await?;
        let key = (
            credentials.access_key_id().to_owned(),
            credentials.session_token().map(str::to_owned),
        );
        let mut checked = self.checked.lock().await;
        if checked.as_ref() == Some(&key) {
            return Ok(credentials);
        }
        let found = self.account_of(credentials.clone()).await?;
        if found != self.account {
            let wrong = WrongAccount { expected: self.account.clone(), found };
            *checked = None; // the credentials of before are a change, too, which is reported
            (self.report)(Err(&wrong));
            return Err(CredentialsError::provider_error(wrong));
        }
        (self.report)(Ok(()));
        *checked = Some(key);
        Ok(credentials)
    }

    /// Returns the account of the credentials.
    async fn account_of(&self, credentials: Credentials) -> Result<String, CredentialsError> {
        let config = self.sts.clone().credentials_provider(credentials).build();
        let answer = aws_sdk_sts::Client::from_conf(config).get_caller_identity().send().await;
        let answer = answer.map_err(|error| {
            credentials::note(error.code());
            CredentialsError::provider_error(error)
        })?;
        Ok(answer.account.unwrap_or_default())
    }
}

impl ProvideCredentials for OneAccount {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.read())
    }
}

impl Aws {
    /// Makes clients whose calls are signed only with credentials of `account`. While the credentials
    /// belong to another account, each call fails with the code `WrongAccount`, before it is sent.
    pub async fn connect_to_account(
        settings: AwsSettings,
        account: String,
        report: ReportAccount,
    ) -> Self {
        let config = super::configuration(&settings.region).await;
        Self::of_account(config, settings, account, report)
    }

    fn of_account(
        config: SdkConfig,
        settings: AwsSettings,
        account: String,
        report: ReportAccount,
    ) -> Self {
        let mut sts = aws_sdk_sts::config::Builder::from(&config);
        if let Some(url) = settings.endpoints.get("sts") {
            sts = sts.endpoint_url(url);
        }
        let Some(inner) = config.credentials_provider() else {
            return Self::new(&config, settings);
        };
        let checked = Mutex::default();
        let one = OneAccount { inner, sts, account, report, checked };
        let provider = SharedCredentialsProvider::new(one);
        let config = config.into_builder().credentials_provider(provider).build();
        Self::new(&config, settings)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex as SyncMutex};

    use aws_credential_types::credential_fn::provide_credentials_fn;

    use super::super::tests::{Script, scripted_config};
    use super::*;
    use crate::machine_calls::Ec2;
    use crate::model::launch_errors::is_final;

    fn identity(account: &str) -> Script {
        Script::Answer(
            200,
            format!(
                "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>{account}</Account>\
                 <Arn>arn:aws:iam::{account}:user/a</Arn></GetCallerIdentityResult>\
                 </GetCallerIdentityResponse>"
            ),
        )
    }

    fn nothing() -> Script {
        Script::Answer(200, "<DescribeInstancesResponse/>".to_owned())
    }

    /// Credentials that are asked for at each call, with a settable key.
    fn rotated() -> (Arc<SyncMutex<&'static str>>, SharedCredentialsProvider) {
        let key = Arc::new(SyncMutex::new("AKIDFIRST"));
        let read = Arc::clone(&key);
        let provider = provide_credentials_fn(move || {
            let key = *read.lock().unwrap();
            let past = std::time::SystemTime::UNIX_EPOCH;
            async move { Ok(Credentials::new(key, "not-a-secret", None, Some(past), "test")) }
        });
        (key, SharedCredentialsProvider::new(provider))
    }

    #[tokio::test]
    async fn credentials_of_another_account_sign_no_call_until_the_right_ones_are_back() {
        let script = [identity("111"), nothing(), nothing(), identity("222")];
        let script = script.into_iter().chain([identity("222"), identity("111"), nothing()]);
        let (config, sent) = scripted_config(script);
        let (key, provider) = rotated();
        let config = config.into_builder().credentials_provider(provider).build();
        let reported = Arc::<SyncMutex<Vec<String>>>::default();
        let kept = Arc::clone(&reported);
        let report: ReportAccount = Box::new(move |result| {
            let line = result.map_or_else(|wrong| wrong.found.clone(), |()| "right".to_owned());
            kept.lock().unwrap().push(line);
        });
        let aws = Aws::of_account(config, AwsSettings::default(), "111".to_owned(), report);
        let look = async || aws.describe(Vec::new()).await.map(drop);
        let actions = || {
            let bodies = sent.bodies();
            let looks = bodies.iter().filter(|body| body.contains("DescribeInstances"));
            (looks.count(), bodies.len())
        };
        look().await.unwrap();
        look().await.unwrap();
        assert_eq!(actions(), (2, 3), "the same credentials are checked once");
        *key.lock().unwrap() = "AKIDOTHER";
        for _ in 0..2 {
            let error = look().await.unwrap_err();
            assert!(error.is(&["WrongAccount"]) && !is_final(&error), "{error:?}");
            let text = error.to_string();
            assert!(text.contains("account 222") && text.contains("in account 111"), "{text}");
        }
        assert_eq!(actions().0, 2, "nothing is sent with them");
        *key.lock().unwrap() = "AKIDFIRST";
        look().await.unwrap();
        assert_eq!(*reported.lock().unwrap(), ["right", "222", "222", "right"]);
    }
}
