//! AWS part of a machine specification (openshift/api `machine/v1beta1/types_awsprovider.go`).
//!
//! The provider config is a part of a Machine, not an object of the API server. No schema in the
//! API server covers it, so only the Machine API webhook validates it. The machine controller must
//! also accept configs that the webhook has not checked. For that reason enumerated fields are
//! `String`s here, and the JSON Schema lists their values.

use groundplan_aws::kinds::machine::ConfidentialCompute;
use groundplan_aws::model::metadata_options::{Authentication, HopLimit, MetadataService, Switch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LocalReference, MACHINE_API};
use crate::install_config::CONFIDENTIAL_COMPUTE;

/// Value of `spec.providerSpec.value` of a machine on AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AwsMachineProviderConfig {
    /// `machine.openshift.io/v1beta1`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// `AWSMachineProviderConfig`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Empty metadata, kept because Go writes it.
    pub metadata: ProviderMeta,
    /// Image of the instance. An ID is required, and becomes `ImageId`.
    pub ami: ResourceReference,
    /// Instance type. The webhook fills in `m5.large` or `m6g.large`.
    pub instance_type: String,
    /// CPU options of the instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_options: Option<CpuOptions>,
    /// Tags of the instance and its volumes. The first of two tags with the same name counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// Instance profile. The `id` is the name of the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iam_instance_profile: Option<ResourceReference>,
    /// Secret with the user data under the key `userData`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_data_secret: Option<LocalReference>,
    /// Secret with the credentials that launch the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_secret: Option<LocalReference>,
    /// Key pair for SSH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_name: Option<String>,
    /// Device index of the network interface on the instance.
    pub device_index: i64,
    /// True if the instance gets a public address. Absent means that the subnet decides.
    #[serde(rename = "publicIp", skip_serializing_if = "Option::is_none")]
    pub public_ip: Option<bool>,
    /// Type of the network interface: `ENA` or `EFA`. Absent means that AWS decides.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["", "ENA", "EFA"]))]
    pub network_interface_type: String,
    /// Security groups of the network interface. An entry with filters selects all groups that
    /// match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<ResourceReference>,
    /// Subnet of the instance. The first subnet that matches the filters counts.
    pub subnet: ResourceReference,
    /// Region, zone and tenancy of the instance.
    pub placement: Placement,
    /// Load balancers that the instance is registered with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub load_balancers: Vec<LoadBalancerReference>,
    /// Volumes of the instance. A volume without a name is the root volume.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub block_devices: Vec<BlockDevice>,
    /// Options of a spot instance. Presence requests a spot instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spot_market_options: Option<SpotMarketOptions>,
    /// Metadata options of the instance.
    pub metadata_service_options: MetadataServiceOptions,
    /// Placement group of the instance.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub placement_group_name: String,
    /// Partition of the placement group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 7))]
    pub placement_group_partition: Option<i32>,
    /// Capacity reservation that the instance runs in. Field of releases after 4.15.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(regex(pattern = "^(cr-[0-9a-f]{17})?$"))]
    pub capacity_reservation_id: String,
    /// Purchasing option. Absent means that `spotMarketOptions` decides. Field of releases after
    /// 4.15.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["", "OnDemand", "Spot", "CapacityBlock"]))]
    pub market_type: String,
}

impl AwsMachineProviderConfig {
    /// Returns an object with API version and kind set, and all other fields empty.
    pub fn new() -> Self {
        Self {
            api_version: MACHINE_API.into(),
            kind: "AWSMachineProviderConfig".into(),
            ..Self::default()
        }
    }
}

/// Metadata of a value that is not an object of the API server. Go writes it nevertheless.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderMeta {
    /// Creation time. Never set.
    pub creation_timestamp: Option<String>,
    /// Name. Never needed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Namespace. Never needed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// Reference to an AWS resource by ID, ARN or filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ResourceReference {
    /// ID of the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// ARN of the resource. Only the key of a volume uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// Filters that find the resource, where the field allows filters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
}

impl ResourceReference {
    /// Returns a reference by ID.
    pub fn id(id: impl Into<String>) -> Self {
        Self { id: Some(id.into()), ..Self::default() }
    }

    /// Returns a reference by the tag `Name`.
    pub fn named(name: impl Into<String>) -> Self {
        Self { filters: vec![Filter::name(name)], ..Self::default() }
    }
}

/// Filter of an EC2 `Describe` call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Filter {
    /// Attribute that the filter compares, such as `tag:Name`.
    pub name: String,
    /// Values that match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

impl Filter {
    /// Returns a filter for the tag `Name`.
    pub fn name(name: impl Into<String>) -> Self {
        Self { name: "tag:Name".into(), values: vec![name.into()] }
    }
}

/// CPU options of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CpuOptions {
    /// Memory encryption by the processor. Absent means that AWS decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Disabled", "AMDEncryptedVirtualizationNestedPaging"]))]
    pub confidential_compute: Option<String>,
}

impl CpuOptions {
    /// Returns the options with this memory encryption.
    pub(crate) fn of(wanted: ConfidentialCompute) -> Self {
        let known = CONFIDENTIAL_COMPUTE.iter();
        let word = known.filter(|(_, meaning)| *meaning == wanted).map(|(word, _)| *word).next();
        Self { confidential_compute: word.map(str::to_owned) }
    }
}

/// Tag of an AWS resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Tag {
    /// Key of the tag.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// Value of the tag. Always written.
    pub value: String,
}

/// Region, zone and tenancy of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Placement {
    /// Region. The webhook fills in the region of the cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// Zone. Has no effect if the subnet is referenced by ID.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub availability_zone: String,
    /// Tenancy: `default`, `dedicated` or `host`. Absent means that the VPC decides.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["", "default", "dedicated", "host"]))]
    pub tenancy: String,
    /// Host of the tenancy `host`. Field of releases after 4.15.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostPlacement>,
}

/// Host of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HostPlacement {
    /// Affinity of the machine: `AnyAvailable` for any host, or `DedicatedHost` for one host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["AnyAvailable", "DedicatedHost"]))]
    pub affinity: Option<String>,
    /// Dedicated host of the affinity `DedicatedHost`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedicated_host: Option<DedicatedHost>,
}

impl HostPlacement {
    /// Returns the placement on an existing host.
    pub fn on(id: &str) -> Self {
        let host = DedicatedHost {
            allocation_strategy: Some("UserProvided".to_owned()),
            id: id.to_owned(),
            dynamic_host_allocation: None,
        };
        Self { affinity: Some("DedicatedHost".to_owned()), dedicated_host: Some(host) }
    }
}

/// Dedicated host, existing or allocated for the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DedicatedHost {
    /// Allocation: `UserProvided` (also when absent) for an existing host, or `Dynamic` for a new
    /// one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["", "UserProvided", "Dynamic"]))]
    pub allocation_strategy: Option<String>,
    /// ID of an existing host.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(regex(pattern = "^(h-([0-9a-f]{8}|[0-9a-f]{17}))?$"))]
    pub id: String,
    /// Settings of a host that is allocated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamic_host_allocation: Option<DynamicHostAllocation>,
}

/// Settings of a dedicated host that is allocated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DynamicHostAllocation {
    /// Tags of the host, 1 to 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 50))]
    pub tags: Option<Vec<Tag>>,
}

/// Load balancer that a machine is registered with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LoadBalancerReference {
    /// Name of the load balancer.
    pub name: String,
    /// `network` or `classic`
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["network", "classic"]))]
    pub kind: String,
}

/// Block device of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockDevice {
    /// Device name, such as `/dev/xvdb`. Absent means the root device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// EBS volume of the device. A device without one is ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ebs: Option<EbsBlockDevice>,
    /// Field that is not sent to EC2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_device: Option<String>,
    /// Field that is not sent to EC2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_name: Option<String>,
}

/// EBS volume. Always deleted together with its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EbsBlockDevice {
    /// Field without effect.
    #[serde(rename = "deleteOnTermination", skip_serializing_if = "Option::is_none")]
    pub deprecated_delete_on_termination: Option<bool>,
    /// True if the volume is encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<bool>,
    /// KMS key that encrypts the volume. Always written.
    pub kms_key: ResourceReference,
    /// Operations per second, for gp3, io1 and io2. 0 means the default of the volume type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iops: Option<i64>,
    /// Throughput in MiB per second, for gp3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 125, max = 2000))]
    pub throughput_mib: Option<i32>,
    /// Size in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_size: Option<i64>,
    /// Volume type: `gp3`, `io2`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_type: Option<String>,
}

/// Options of a spot instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SpotMarketOptions {
    /// Maximum price per hour in dollars. Absent means the on-demand price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_price: Option<String>,
}

/// Metadata options of an instance. Always written, at least as `{}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MetadataServiceOptions {
    /// Session tokens: `Required` (IMDSv2 only) or `Optional`. Absent is no opinion: the account,
    /// the image and AWS decide. groundplan never fills the field in.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["Required", "Optional"]))]
    pub authentication: String,
    /// Metadata service endpoint. The only value is `Enabled`, because no machine joins a cluster
    /// without IMDS. Absent is no opinion. Not yet a field of openshift/api (PR 2654).
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["Enabled"]))]
    pub http_endpoint: String,
    /// Hop limit of the response to a token request. Absent is no opinion. Not yet a field of
    /// openshift/api (PR 2654).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub http_put_response_hop_limit: Option<i64>,
    /// Instance tags in IMDS. The only value is `Disabled`: with `Enabled` EC2 rejects tag keys
    /// with a `/`, and the cluster tag has one. Absent is no opinion. Not yet a field of
    /// openshift/api (PR 2654).
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["Disabled"]))]
    pub instance_metadata_tags: String,
}

impl MetadataServiceOptions {
    /// Returns the options in the words of the Machine API, which are also those of install-config.
    pub fn of(asked: impl Into<MetadataService>) -> Self {
        let asked = asked.into();
        Self {
            authentication: word(asked.authentication, Authentication::WORDS),
            http_endpoint: word(asked.endpoint, Switch::WORDS),
            http_put_response_hop_limit: asked.hop_limit.map(Into::into),
            instance_metadata_tags: word(asked.instance_tags, Switch::WORDS),
        }
    }

    /// Returns the setting for session tokens. `None` means no opinion.
    ///
    /// # Errors
    /// Returns the word if it is neither `Required` nor `Optional`. Treating an invalid word as no
    /// opinion would launch a machine that answers IMDSv1.
    pub fn authentication(&self) -> Result<Option<Authentication>, &str> {
        meaning(&self.authentication, Authentication::WORDS)
    }

    /// Returns the settings, each parsed separately. An invalid word counts as no opinion here.
    /// Callers that act on the settings first check for [flaws](crate::machine_api::validation::judge).
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

/// Returns the meaning of a word. An empty word is no opinion; an unknown word is returned as the
/// error.
fn meaning<'a, T: Copy>(asked: &'a str, words: &[(&str, T)]) -> Result<Option<T>, &'a str> {
    if asked.is_empty() {
        return Ok(None);
    }
    let found = words.iter().find(|(word, _)| *word == asked);
    found.map(|(_, meaning)| Some(*meaning)).ok_or(asked)
}

impl AwsMachineProviderConfig {
    /// Returns true if `apiVersion` and `kind` name this type. Absent fields do not name it.
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
    /// Returns the ID of the key, or else its ARN. An empty value, which openshift-install writes,
    /// counts as absent.
    pub fn key(&self) -> Option<&str> {
        let ResourceReference { id, arn, .. } = &self.kms_key;
        [id, arn].into_iter().flatten().map(String::as_str).find(|key| !key.is_empty())
    }
}
