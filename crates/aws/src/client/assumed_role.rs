//! Credentials of an assumed role, for the calls about a hosted zone of another account.
//!
//! The SDK keeps the credentials until shortly before their expiry.

use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_sts::error::ProvideErrorMetadata;

/// Name of the session, which the logs of the role's account show.
pub(crate) const SESSION: &str = "groundplan";

/// Error of a role that the caller may not assume.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not assume the role {arn}: {message}")]
pub(super) struct RoleRefused {
    /// ARN of the role.
    pub(super) arn: String,
    /// Code of AWS.
    pub(super) code: String,
    message: String,
}

#[derive(Debug)]
struct AssumedRole {
    sts: aws_sdk_sts::Client,
    arn: String,
}

/// Returns a provider that assumes a role with the credentials of `config`.
pub(super) fn credentials(
    config: &SdkConfig,
    endpoint: Option<&str>,
    arn: &str,
) -> SharedCredentialsProvider {
    let mut builder = aws_sdk_sts::config::Builder::from(config);
    if let Some(url) = endpoint {
        builder = builder.endpoint_url(url);
    }
    let sts = aws_sdk_sts::Client::from_conf(builder.build());
    SharedCredentialsProvider::new(AssumedRole { sts, arn: arn.to_owned() })
}

impl AssumedRole {
    async fn assume(&self) -> provider::Result {
        let call = self.sts.assume_role().role_arn(&self.arn).role_session_name(SESSION);
        let answer = call.send().await.map_err(|error| match error.code() {
            Some(code) => CredentialsError::provider_error(RoleRefused {
                arn: self.arn.clone(),
                code: code.to_owned(),
                message: error.message().unwrap_or(code).to_owned(),
            }),
            None => CredentialsError::provider_error(error),
        })?;
        let given = answer.credentials();
        let given =
            given.ok_or_else(|| CredentialsError::unhandled("no credentials in AssumeRole"))?;
        let expiry = SystemTime::try_from(*given.expiration()).ok();
        let (id, secret) = (given.access_key_id(), given.secret_access_key());
        let token = given.session_token().to_owned();
        Ok(Credentials::new(id, secret, Some(token), expiry, "AssumeRole"))
    }
}

impl ProvideCredentials for AssumedRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}
