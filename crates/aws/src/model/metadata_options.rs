//! The mapping from the metadata service settings of a machine pool to EC2 metadata options.
//!
//! All machines use [`metadata_options`]: masters, bootstrap, workers and Machine API machines.
//! Each setting is independent. A setting that is omitted is not sent and never reported as a
//! difference.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// Settings of a machine pool for the instance metadata service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetadataService {
    /// Session tokens: required or optional.
    pub authentication: Option<Authentication>,
    /// State of the endpoint: on or off.
    pub endpoint: Option<Switch>,
    /// Hop limit of the response to a token request.
    pub hop_limit: Option<HopLimit>,
    /// Access to instance tags through the metadata service.
    pub instance_tags: Option<Switch>,
}

/// Setting for session tokens. An absent setting is a third case, *no opinion*: nothing is sent,
/// and nothing is reported as a difference. AWS, the image and the account then decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authentication {
    /// Every request must have a session token: IMDSv2 only.
    Required,
    /// A request without a session token is answered too: IMDSv1 and IMDSv2.
    Optional,
}

impl Authentication {
    /// Values in install-config and in the Machine API.
    pub const WORDS: &[(&str, Self); 2] =
        &[("Required", Self::Required), ("Optional", Self::Optional)];
}

/// A setting that is on or off, in EC2's spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// On.
    Enabled,
    /// Off.
    Disabled,
}

impl Switch {
    /// Values in install-config and in the Machine API.
    pub const WORDS: &[(&str, Self); 2] =
        &[("Enabled", Self::Enabled), ("Disabled", Self::Disabled)];
}

/// Maximum number of hops of the response to a token request. 1 reaches the machine itself and pods
/// on the host network; 2 also reaches pods behind one bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct HopLimit(u8);

impl HopLimit {
    /// Range that EC2 accepts (EC2 API reference, `InstanceMetadataOptionsRequest`).
    pub const RANGE: RangeInclusive<i64> = 1..=64;

    /// The machine and pods on its network: the default of EC2.
    pub const ONE: Self = Self(1);

    /// Also pods behind one bridge: the default of images that require tokens.
    pub const TWO: Self = Self(2);

    /// Returns the hop limit. `None` if `hops` is outside [`Self::RANGE`].
    pub fn new(hops: i64) -> Option<Self> {
        let fits = Self::RANGE.contains(&hops);
        u8::try_from(hops).ok().filter(|_| fits).map(Self)
    }

    /// Returns true if the limit is 1. The response then reaches only the host network of the
    /// machine, and no pod with a network of its own.
    pub fn is_the_machine_alone(self) -> bool {
        self.0 == 1
    }
}

impl TryFrom<i64> for HopLimit {
    type Error = String;

    fn try_from(hops: i64) -> Result<Self, String> {
        let (least, most) = (Self::RANGE.start(), Self::RANGE.end());
        Self::new(hops).ok_or_else(|| {
            format!(
                "invalid hop limit {hops}: expected {least} to \
             {most}"
            )
        })
    }
}

impl From<HopLimit> for i64 {
    fn from(limit: HopLimit) -> Self {
        limit.0.into()
    }
}

impl From<HopLimit> for i32 {
    fn from(limit: HopLimit) -> Self {
        limit.0.into()
    }
}

impl MetadataService {
    /// Returns true if pods without host network get no response: session tokens are required, and
    /// the response with the token does not reach these pods.
    pub fn shuts_out_pods(&self) -> bool {
        self.authentication == Some(Authentication::Required)
            && self.hop_limit.is_some_and(HopLimit::is_the_machine_alone)
    }
}

/// Settings with a value for session tokens only.
impl From<Option<Authentication>> for MetadataService {
    fn from(authentication: Option<Authentication>) -> Self {
        Self { authentication, ..Self::default() }
    }
}

/// Reason, for messages, why the metadata service of a cluster's machine must be on.
pub const WHY_ENABLED: &str =
    "without it, a machine gets neither Ignition nor a name and never joins the cluster";

/// Reason, for messages, why the metadata service of a cluster's machine cannot return tags. EC2
/// rejects the launch and every later call that sets tags (EC2 user guide, "Allow access to tags in
/// instance metadata").
pub const WHY_NO_TAGS: &str = "EC2 then rejects tag keys with a `/`, such as \
     `kubernetes.io/cluster/<infraID>` of every machine";

/// Consequence, for messages, of `Required` with a hop limit of 1: the affected pods and their
/// symptom.
pub const WHY_FURTHER: &str = "pods outside the host network get no token: their requests for \
     region or credentials get no response and no error (SDKs of applications, cluster-autoscaler, \
     aws-load-balancer-controller)";

/// Attribute `HttpTokens` of EC2, in EC2's spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpTokens {
    /// IMDSv2 only.
    Required,
    /// IMDSv1 and IMDSv2.
    Optional,
}

/// Metadata options of an instance that groundplan can set, with the names of EC2. `None` is
/// written as `null`, which the planner treats as no opinion. States of older versions have only
/// the first field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetadataOptions {
    /// Session tokens: required or optional.
    pub http_tokens: Option<HttpTokens>,
    /// State of the endpoint: on or off.
    pub http_endpoint: Option<Switch>,
    /// Hop limit of the response to a token request.
    pub http_put_response_hop_limit: Option<HopLimit>,
    /// Access to instance tags through the metadata service.
    pub instance_metadata_tags: Option<Switch>,
}

impl MetadataOptions {
    /// Returns true if no option is set, so nothing is sent.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Returns the metadata options for the settings of a machine pool. If the endpoint is off, the
/// other settings are dropped, because they have no effect.
pub fn metadata_options(asked: impl Into<MetadataService>) -> MetadataOptions {
    let asked = asked.into();
    if asked.endpoint == Some(Switch::Disabled) {
        return MetadataOptions { http_endpoint: asked.endpoint, ..MetadataOptions::default() };
    }
    MetadataOptions {
        http_tokens: asked.authentication.map(|authentication| match authentication {
            Authentication::Required => HttpTokens::Required,
            Authentication::Optional => HttpTokens::Optional,
        }),
        http_endpoint: asked.endpoint,
        http_put_response_hop_limit: asked.hop_limit,
        instance_metadata_tags: asked.instance_tags,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn wire(asked: impl Into<MetadataService>) -> Value {
        let mut sent = serde_json::to_value(metadata_options(asked)).unwrap();
        sent.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        sent
    }

    #[test]
    fn what_is_asked_for_arrives_in_ec2_spelling() {
        assert_eq!(wire(Some(Authentication::Required)), json!({"http_tokens": "required"}));
        assert_eq!(wire(Some(Authentication::Optional)), json!({"http_tokens": "optional"}));
        let all = MetadataService {
            authentication: Some(Authentication::Required),
            endpoint: Some(Switch::Enabled),
            hop_limit: HopLimit::new(2),
            instance_tags: Some(Switch::Disabled),
        };
        let expected = json!({"http_tokens": "required", "http_endpoint": "enabled",
            "http_put_response_hop_limit": 2, "instance_metadata_tags": "disabled"});
        assert_eq!(wire(all), expected);
    }

    #[test]
    fn each_setting_is_an_opinion_of_its_own() {
        let hops = MetadataService { hop_limit: HopLimit::new(3), ..MetadataService::default() };
        assert_eq!(wire(hops), json!({"http_put_response_hop_limit": 3}));
        let tags =
            MetadataService { instance_tags: Some(Switch::Disabled), ..MetadataService::default() };
        assert_eq!(wire(tags), json!({"instance_metadata_tags": "disabled"}));
    }

    #[test]
    fn no_opinion_is_not_optional() {
        assert!(metadata_options(None).is_empty());
        assert!(!metadata_options(Some(Authentication::Optional)).is_empty());
        let nothing = serde_json::to_value(MetadataOptions::default()).unwrap();
        assert!(nothing.as_object().unwrap().values().all(Value::is_null), "{nothing}");
    }

    #[test]
    fn c71_a_hop_limit_is_from_1_to_64_and_of_a_service_that_is_off_nothing_else_is_said() {
        for odd in [-1, 0, 65, i64::MAX] {
            assert_eq!(HopLimit::new(odd), None);
            assert!(serde_json::from_value::<HopLimit>(json!(odd)).is_err());
        }
        for hops in [1, 64] {
            assert_eq!(HopLimit::new(hops).map(i64::from), Some(hops));
        }
        let off = MetadataService {
            authentication: Some(Authentication::Required),
            endpoint: Some(Switch::Disabled),
            hop_limit: HopLimit::new(2),
            instance_tags: Some(Switch::Disabled),
        };
        assert_eq!(wire(off), json!({"http_endpoint": "disabled"}));
    }

    #[test]
    fn options_of_an_older_state_are_read_and_have_no_opinion_on_what_it_did_not_know() {
        let old = serde_json::from_value(json!({"http_tokens": "required"})).unwrap();
        assert_eq!(metadata_options(Some(Authentication::Required)), old);
    }
}
