//! The one place that turns `authentication` into EC2 metadata options.
//!
//! Masters, bootstrap, workers and Machine API machines all go through [`metadata_options`].

use serde::{Deserialize, Serialize};

/// What a machine pool says of the instance metadata service. Absence is a third case, *no
/// opinion*: AWS, the image and the account decide, nothing is sent and nothing ever differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authentication {
    /// Every request must carry a session token: IMDSv2 only.
    Required,
    /// IMDSv1 still answers.
    Optional,
}

/// EC2's `HttpTokens`, in EC2's spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpTokens {
    /// IMDSv2 only.
    Required,
    /// IMDSv1 and IMDSv2.
    Optional,
}

/// The metadata options of an instance that we have an opinion on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataOptions {
    /// Whether a session token is required.
    pub http_tokens: Option<HttpTokens>,
}

impl MetadataOptions {
    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The metadata options of an instance whose pool says this of authentication.
pub fn metadata_options(authentication: Option<Authentication>) -> MetadataOptions {
    MetadataOptions {
        http_tokens: authentication.map(|authentication| match authentication {
            Authentication::Required => HttpTokens::Required,
            Authentication::Optional => HttpTokens::Optional,
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_asked_for_arrives_in_ec2_spelling() {
        let wire = |asked| serde_json::to_value(metadata_options(asked)).unwrap();
        assert_eq!(wire(Some(Authentication::Required)), json!({"http_tokens": "required"}));
        assert_eq!(wire(Some(Authentication::Optional)), json!({"http_tokens": "optional"}));
    }

    #[test]
    fn no_opinion_is_not_optional() {
        assert!(metadata_options(None).is_empty());
        assert!(!metadata_options(Some(Authentication::Optional)).is_empty());
    }
}
