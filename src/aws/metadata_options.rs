//! The one place that turns what a machine pool asks of the instance metadata service into EC2
//! metadata options.
//!
//! Masters, bootstrap, workers and Machine API machines all go through [`metadata_options`]. Each
//! setting is an opinion of its own: what is left out is not sent and never differs.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// What a machine pool says of the instance metadata service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetadataService {
    /// Whether every request must carry a session token.
    pub authentication: Option<Authentication>,
    /// Whether it answers at all.
    pub endpoint: Option<Switch>,
    /// How far its answer to a request for a token goes.
    pub hop_limit: Option<HopLimit>,
    /// Whether it tells the instance's tags.
    pub instance_tags: Option<Switch>,
}

/// What a machine pool says of session tokens. Absence is a third case, *no opinion*: AWS, the image
/// and the account decide, nothing is sent and nothing ever differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authentication {
    /// Every request must carry a session token: IMDSv2 only.
    Required,
    /// IMDSv1 still answers.
    Optional,
}

impl Authentication {
    /// The words of install-config and of the Machine API.
    pub const WORDS: &[(&str, Self); 2] =
        &[("Required", Self::Required), ("Optional", Self::Optional)];
}

/// Whether something is on, in EC2's spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// It is on.
    Enabled,
    /// It is off.
    Disabled,
}

impl Switch {
    /// The words of install-config and of the Machine API.
    pub const WORDS: &[(&str, Self); 2] =
        &[("Enabled", Self::Enabled), ("Disabled", Self::Disabled)];
}

/// How many hops the answer to a request for a token may take: 1 is the machine itself and pods on
/// its network, 2 reaches pods behind one bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct HopLimit(u8);

impl HopLimit {
    /// What EC2 takes (EC2 API reference, `InstanceMetadataOptionsRequest`).
    pub const RANGE: RangeInclusive<i64> = 1..=64;

    /// The hop limit of so many hops, if EC2 takes it.
    pub fn new(hops: i64) -> Option<Self> {
        let fits = Self::RANGE.contains(&hops);
        u8::try_from(hops).ok().filter(|_| fits).map(Self)
    }

    /// Whether it ends at the machine: what has a network of its own hears nothing.
    pub fn is_the_machine_alone(self) -> bool {
        self.0 == 1
    }
}

impl TryFrom<i64> for HopLimit {
    type Error = String;

    fn try_from(hops: i64) -> Result<Self, String> {
        let (least, most) = (Self::RANGE.start(), Self::RANGE.end());
        Self::new(hops).ok_or_else(|| format!("a hop limit of {hops}, not from {least} to {most}"))
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
    /// Whether pods that are not on their host's network are shut out: without a token there is no
    /// answer, and the answer that brings the token does not reach them.
    pub fn shuts_out_pods(&self) -> bool {
        self.authentication == Some(Authentication::Required)
            && self.hop_limit.is_some_and(HopLimit::is_the_machine_alone)
    }
}

/// An opinion on tokens alone.
impl From<Option<Authentication>> for MetadataService {
    fn from(authentication: Option<Authentication>) -> Self {
        Self { authentication, ..Self::default() }
    }
}

/// Why the metadata service of a cluster's machine cannot be off.
pub const WHY_ENABLED: &str = "without it a machine gets neither its Ignition nor its name, and no \
                               node ever joins the cluster";

/// Why it cannot tell the tags of a cluster's machine: EC2 refuses the launch, and every later call
/// that sets tags (EC2 user guide, "Allow access to tags in instance metadata").
pub const WHY_NO_TAGS: &str = "EC2 then takes no tag key with a `/`, and every machine of a cluster \
                               has `kubernetes.io/cluster/<infraID>`";

/// Whom `Required` and a hop limit of 1 shut out, and how they notice.
pub const WHY_FURTHER: &str = "pods that are not on their host's network get no token: they wait in \
                               vain, without an error, for region or credentials (SDKs of \
                               applications, cluster-autoscaler, aws-load-balancer-controller)";

/// EC2's `HttpTokens`, in EC2's spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpTokens {
    /// IMDSv2 only.
    Required,
    /// IMDSv1 and IMDSv2.
    Optional,
}

/// The metadata options of an instance that we have an opinion on, by EC2's names. What is absent is
/// written as `null`, which is no opinion to the planner; states of older versions lack all but the
/// first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetadataOptions {
    /// Whether a session token is required.
    pub http_tokens: Option<HttpTokens>,
    /// Whether the metadata service answers at all.
    pub http_endpoint: Option<Switch>,
    /// How far the answer to a request for a token goes.
    pub http_put_response_hop_limit: Option<HopLimit>,
    /// Whether the instance's tags are told.
    pub instance_metadata_tags: Option<Switch>,
}

impl MetadataOptions {
    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The metadata options of an instance whose pool says this. Of a service that is off nothing else is
/// said: there is nothing that it could be true of.
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
