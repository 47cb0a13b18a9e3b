//! What AWS is told of a machine (openshift/api `machine/v1beta1/types_awsprovider.go`).
//!
//! It is no object of the API server's but a piece of one, so nobody checks it against a schema: the
//! webhook does, and whoever makes the machine must live with what the webhook never saw. That is why
//! every word is a `String` here. What the words may be says the schema.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LocalReference, MACHINE_API};
use crate::aws::metadata_options::{Authentication, HopLimit, MetadataService, Switch};

/// `spec.providerSpec.value` of a machine on AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AwsMachineProviderConfig {
    /// `machine.openshift.io/v1beta1`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// `AWSMachineProviderConfig`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Nothing of interest.
    pub metadata: ProviderMeta,
    /// The image; needs an id. Becomes `ImageId`.
    pub ami: ResourceReference,
    /// The type of the instance; the webhook fills in `m5.large` or `m6g.large`.
    pub instance_type: String,
    /// What the processor does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_options: Option<CpuOptions>,
    /// Tags of the instance and its volumes; of two with one name the first counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// The instance profile; its `id` is the profile's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iam_instance_profile: Option<ResourceReference>,
    /// The Secret with the user data under `userData`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_data_secret: Option<LocalReference>,
    /// The Secret with the credentials that the machine is made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_secret: Option<LocalReference>,
    /// A key pair for SSH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_name: Option<String>,
    /// Which place on the instance its interface has.
    pub device_index: i64,
    /// Whether it gets a public address; absent, the subnet decides.
    #[serde(rename = "publicIp", skip_serializing_if = "Option::is_none")]
    pub public_ip: Option<bool>,
    /// What its interface is: `ENA` or `EFA`; absent, AWS decides.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["", "ENA", "EFA"]))]
    pub network_interface_type: String,
    /// The security groups of its interface; an entry of filters stands for all that fit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<ResourceReference>,
    /// The subnet; of several that fit filters the first.
    pub subnet: ResourceReference,
    /// Where it is.
    pub placement: Placement,
    /// Where it is registered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub load_balancers: Vec<LoadBalancerReference>,
    /// Its volumes; one without a name is the root's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub block_devices: Vec<BlockDevice>,
    /// That it is a spot instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spot_market_options: Option<SpotMarketOptions>,
    /// Who may read its metadata, and how.
    pub metadata_service_options: MetadataServiceOptions,
    /// The placement group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub placement_group_name: String,
    /// Which partition of the placement group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 7))]
    pub placement_group_partition: Option<i32>,
    /// The capacity reservation that it runs in. Of releases after 4.15.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(regex(pattern = "^(cr-[0-9a-f]{17})?$"))]
    pub capacity_reservation_id: String,
    /// How it is paid for; absent, `spotMarketOptions` decides. Of releases after 4.15.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["", "OnDemand", "Spot", "CapacityBlock"]))]
    pub market_type: String,
}

impl AwsMachineProviderConfig {
    /// One that says what it is and nothing else.
    pub fn new() -> Self {
        Self {
            api_version: MACHINE_API.into(),
            kind: "AWSMachineProviderConfig".into(),
            ..Self::default()
        }
    }
}

/// The metadata of something that is no object; Go writes it all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderMeta {
    /// Never set.
    pub creation_timestamp: Option<String>,
    /// Never needed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Never needed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// Something of AWS, by its id, its ARN or what finds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ResourceReference {
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its ARN. Read by nothing but a volume's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// What finds it, where that is allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
}

impl ResourceReference {
    /// By its id.
    pub fn id(id: impl Into<String>) -> Self {
        Self { id: Some(id.into()), ..Self::default() }
    }

    /// By its name tag.
    pub fn named(name: impl Into<String>) -> Self {
        Self { filters: vec![Filter::name(name)], ..Self::default() }
    }
}

/// A filter of EC2's `Describe` calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Filter {
    /// What is compared, such as `tag:Name`.
    pub name: String,
    /// What it may be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

impl Filter {
    /// What finds something by its name tag.
    pub fn name(name: impl Into<String>) -> Self {
        Self { name: "tag:Name".into(), values: vec![name.into()] }
    }
}

/// What the processor does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CpuOptions {
    /// Whether memory is encrypted by the processor; absent, AWS decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Disabled", "AMDEncryptedVirtualizationNestedPaging"]))]
    pub confidential_compute: Option<String>,
}

/// A tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Tag {
    /// Its key.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// Its value. Always written.
    pub value: String,
}

/// Where a machine is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Placement {
    /// The region; the webhook fills in the cluster's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// The zone; of no effect beside a subnet that is named by its id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub availability_zone: String,
    /// Who else is on its hardware: `default`, `dedicated` or `host`; absent, the VPC decides.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["", "default", "dedicated", "host"]))]
    pub tenancy: String,
    /// Which host, with the tenancy `host`. Of releases after 4.15.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostPlacement>,
}

/// Which host a machine is on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HostPlacement {
    /// Whether it must be one host: `AnyAvailable` or `DedicatedHost`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["AnyAvailable", "DedicatedHost"]))]
    pub affinity: Option<String>,
    /// That host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedicated_host: Option<DedicatedHost>,
}

/// A host for oneself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DedicatedHost {
    /// Whether there is one (`UserProvided`, also when absent) or one is allocated (`Dynamic`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["", "UserProvided", "Dynamic"]))]
    pub allocation_strategy: Option<String>,
    /// Its id, if there is one.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(regex(pattern = "^(h-([0-9a-f]{8}|[0-9a-f]{17}))?$"))]
    pub id: String,
    /// What it gets, if it is allocated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamic_host_allocation: Option<DynamicHostAllocation>,
}

/// What a host gets that is allocated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DynamicHostAllocation {
    /// Its tags; 1 to 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 50))]
    pub tags: Option<Vec<Tag>>,
}

/// A load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LoadBalancerReference {
    /// What it is called.
    pub name: String,
    /// `network` or `classic`
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["network", "classic"]))]
    pub kind: String,
}

/// A volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockDevice {
    /// Where it is seen, such as `/dev/xvdb`; absent, it is the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// What it is; one without is ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ebs: Option<EbsBlockDevice>,
    /// Not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_device: Option<String>,
    /// Not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_name: Option<String>,
}

/// A volume of EBS. Goes with its machine, always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EbsBlockDevice {
    /// Of no effect.
    #[serde(rename = "deleteOnTermination", skip_serializing_if = "Option::is_none")]
    pub deprecated_delete_on_termination: Option<bool>,
    /// Whether it is encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<bool>,
    /// With which key; always written.
    pub kms_key: ResourceReference,
    /// Operations per second, for gp3, io1 and io2; 0 is the type's own figure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iops: Option<i64>,
    /// MiB per second, for gp3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 125, max = 2000))]
    pub throughput_mib: Option<i32>,
    /// GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_size: Option<i64>,
    /// `gp3`, `io2`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_type: Option<String>,
}

/// That a machine is a spot instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SpotMarketOptions {
    /// The most that it may cost an hour, in dollars; absent, the price on demand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_price: Option<String>,
}

/// Who may read an instance's metadata, and how. Always written, if only as `{}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MetadataServiceOptions {
    /// Whether every request must carry a session token: `Required` (IMDSv2 only) or `Optional`.
    /// Absent is no opinion: the account, the image and AWS decide. Never filled in.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["Required", "Optional"]))]
    pub authentication: String,
    /// Whether the metadata service answers: `Enabled`, as no machine joins a cluster without it.
    /// Absent is no opinion. No field of openshift/api yet (PR 2654).
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["Enabled"]))]
    pub http_endpoint: String,
    /// How many hops the answer to a request for a token may take. Absent is no opinion. No field of
    /// openshift/api yet (PR 2654).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub http_put_response_hop_limit: Option<i64>,
    /// Whether the instance's tags can be read there: `Disabled`, as EC2 cannot tell those of a
    /// cluster. Absent is no opinion. No field of openshift/api yet (PR 2654).
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["Disabled"]))]
    pub instance_metadata_tags: String,
}

impl MetadataServiceOptions {
    /// Options that say this, in the words of the Machine API, which are install-config's.
    pub fn of(asked: impl Into<MetadataService>) -> Self {
        let asked = asked.into();
        Self {
            authentication: word(asked.authentication, Authentication::WORDS),
            http_endpoint: word(asked.endpoint, Switch::WORDS),
            http_put_response_hop_limit: asked.hop_limit.map(Into::into),
            instance_metadata_tags: word(asked.instance_tags, Switch::WORDS),
        }
    }

    /// What they say of session tokens; `None` if they have no opinion.
    ///
    /// # Errors
    /// With the word, if it is another: to take it for no opinion would launch a machine that answers
    /// IMDSv1.
    pub fn authentication(&self) -> Result<Option<Authentication>, &str> {
        meaning(&self.authentication, Authentication::WORDS)
    }

    /// What they say, each setting by itself. What is no word of its field is no opinion here: whoever
    /// acts on this has looked for [flaws](crate::machine_api::check::judge) before.
    pub fn asked(&self) -> MetadataService {
        MetadataService {
            authentication: self.authentication().unwrap_or_default(),
            endpoint: meaning(&self.http_endpoint, Switch::WORDS).unwrap_or_default(),
            hop_limit: self.http_put_response_hop_limit.and_then(HopLimit::new),
            instance_tags: meaning(&self.instance_metadata_tags, Switch::WORDS).unwrap_or_default(),
        }
    }
}

fn word<T: Copy + PartialEq>(meant: Option<T>, words: &[(&str, T)]) -> String {
    let found = words.iter().find(|(_, meaning)| meant == Some(*meaning));
    found.map(|(word, _)| (*word).to_owned()).unwrap_or_default()
}

/// No word is no opinion; a word that there is not is given back.
fn meaning<'a, T: Copy>(asked: &'a str, words: &[(&str, T)]) -> Result<Option<T>, &'a str> {
    if asked.is_empty() {
        return Ok(None);
    }
    let found = words.iter().find(|(word, _)| *word == asked);
    found.map(|(_, meaning)| Some(*meaning)).ok_or(asked)
}

impl AwsMachineProviderConfig {
    /// Whether this is the type that `apiVersion` and `kind` name; absent is not another one.
    pub fn is_named(&self) -> bool {
        const GROUPS: [&str; 2] = ["machine.openshift.io", "awsproviderconfig.openshift.io"];
        let version = self.api_version.split_once('/');
        let known = version.is_some_and(|(group, version)| {
            GROUPS.contains(&group) && matches!(version, "v1" | "v1beta1")
        });
        known && self.kind == "AWSMachineProviderConfig"
    }
}

impl EbsBlockDevice {
    /// The key: its id, or else its ARN. An empty one, which openshift-install writes, is none.
    pub fn key(&self) -> Option<&str> {
        let ResourceReference { id, arn, .. } = &self.kms_key;
        [id, arn].into_iter().flatten().map(String::as_str).find(|key| !key.is_empty())
    }
}
