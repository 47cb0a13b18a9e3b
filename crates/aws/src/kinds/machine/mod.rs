//! A machine of the Machine API: an EC2 instance that an `AWSMachineProviderConfig` describes.
//!
//! The inputs are the parameters of one `RunInstances` call. All lookups (image, subnet and groups
//! by filters, root device) are done before. The masters and the bootstrap machine of an
//! install-config have a fixed shape and the kind [`super::instance`].

use std::collections::BTreeMap;

use groundplan_engine::graph::{
    AbsentInput, DependentsStart, Input, Resource, Schema, SetInput, SetMember, Wait, member_name,
};
use groundplan_engine::secret::Secret;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::billed::{self, BilledCategory, BilledVolume};
use crate::model::ids::{
    ImageId, InstanceId, InstanceProfileName, PrivateIp, SecurityGroupId, SubnetId,
};
use crate::model::metadata_options::MetadataOptions;
use crate::model::untracked::UntrackedKind;
use crate::model::volume::PlannedVolume;
use crate::summary::{encryption, labelled, metadata_options, name, names, phrase, zone};

/// Inputs of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Image.
    pub image: Input<ImageId>,
    /// Instance type.
    pub instance_type: String,
    /// Instance profile. `None` launches the instance without one.
    pub profile: Option<Input<InstanceProfileName>>,
    /// SSH key pair. `None` launches the instance without one.
    pub key_name: Option<String>,
    /// Network interface. A machine has exactly one.
    pub interface: MachineInterface,
    /// Block devices. If empty, the block devices of the image apply.
    pub block_devices: Vec<MachineBlockDevice>,
    /// User data, which the instance reads at first boot.
    pub user_data: Secret,
    /// Options of the instance metadata service. See [`crate::model::metadata_options`].
    pub metadata_options: MetadataOptions,
    /// Placement. If all fields are `None`, nothing is sent.
    pub placement: MachinePlacement,
    /// Purchasing option. `None` stands for on-demand.
    pub market: Option<PurchaseOption>,
    /// Capacity reservation in which the instance runs.
    pub capacity_reservation: Option<String>,
    /// Memory encryption by the processor. `None` sends nothing, and AWS decides.
    pub confidential_compute: Option<ConfidentialCompute>,
    /// Tags of the instance and of its volumes. `Name` is the name of the Machine.
    pub tags: Tags,
}

#[cfg(any(test, feature = "test-support"))]
impl Machine {
    /// Returns an example that EC2 can launch, with all optional inputs `None`.
    pub fn example() -> Self {
        Self {
            image: Input::Known("ami-1".into()),
            instance_type: "m6i.large".to_owned(),
            profile: None,
            key_name: None,
            interface: MachineInterface {
                device_index: 0,
                subnet: None,
                groups: Vec::new(),
                public_address: None,
                interface_type: None,
                dual_stack: None,
            },
            block_devices: Vec::new(),
            user_data: Secret::of(b"canary"),
            metadata_options: MetadataOptions::default(),
            placement: MachinePlacement::default(),
            market: None,
            capacity_reservation: None,
            confidential_compute: None,
            tags: Tags::new(),
        }
    }
}

/// Network interface of a machine. EC2 creates and deletes it with the instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineInterface {
    /// Device index of the attachment.
    pub device_index: i32,
    /// Subnet. `None` stands for the default subnet of the zone.
    pub subnet: Option<Input<SubnetId>>,
    /// Security groups of the interface.
    pub groups: Vec<Input<SecurityGroupId>>,
    /// Public address. `None` sends nothing, and the subnet decides.
    pub public_address: Option<PublicAddress>,
    /// Interface type. `None` sends nothing, and AWS decides.
    pub interface_type: Option<InterfaceType>,
    /// Address families. `None` stands for IPv4 only.
    pub dual_stack: Option<DualStack>,
}

/// Setting for the public address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublicAddress {
    /// Address of the internet: `AssociatePublicIpAddress`.
    Internet(bool),
    /// Address of the carrier in a Wavelength Zone: `AssociateCarrierIpAddress`.
    Carrier(bool),
}

/// Type of a network interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterfaceType {
    /// Elastic Network Adapter, the ordinary type: `interface`.
    Ena,
    /// Elastic Fabric Adapter: `efa`.
    Efa,
}

/// Primary address family of a dual-stack cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DualStack {
    /// IPv4.
    Ipv4Primary,
    /// IPv6.
    Ipv6Primary,
}

/// A block device. EC2 always deletes its volume with the instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineBlockDevice {
    /// Device name (`/dev/xvda`).
    pub device: String,
    /// Volume type: `gp3`, `io2`, … `None` sends nothing, and EC2 decides.
    pub volume_type: Option<String>,
    /// Size in GiB. `None` stands for the size in the image.
    pub size: Option<i32>,
    /// Operations per second. `None` stands for the default of the volume type.
    pub iops: Option<i32>,
    /// Throughput in MiB per second. `None` stands for the default of the volume type.
    pub throughput: Option<i32>,
    /// Encryption. `None` sends nothing, and the account's default applies.
    pub encrypted: Option<bool>,
    /// KMS key. `None` stands for the account's default EBS key.
    pub kms_key: Option<String>,
}

impl MachineBlockDevice {
    fn billed(&self) -> Vec<BilledAmount> {
        let volume = BilledVolume {
            volume_type: self.volume_type.as_deref(),
            size: self.size,
            iops: self.iops,
            throughput: self.throughput,
        };
        volume.billed()
    }

    fn in_words(&self) -> String {
        let values = [
            self.volume_type.clone(),
            self.size.map(|size| format!("{size} GiB")),
            self.iops.map(|iops| format!("{iops} IOPS")),
            self.throughput.map(|throughput| format!("{throughput} MiB/s")),
            Some(encryption(self.encrypted, self.kms_key.as_deref())),
        ];
        let values: Vec<_> = values.into_iter().flatten().collect();
        format!("{} {}", self.device, values.join(" "))
    }
}

/// Returns a block device as a member of a set: its device name identifies it.
fn device_members(device: &Value) -> Vec<SetMember> {
    let name = member_name(&device["device"]);
    vec![SetMember { label: name.clone(), name, value: device.clone() }]
}

/// Placement of a machine, in addition to the subnet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachinePlacement {
    /// Availability zone, if no subnet is given.
    pub zone: Option<String>,
    /// Tenancy: `default`, `dedicated` or `host`.
    pub tenancy: Option<String>,
    /// Placement group.
    pub group: Option<String>,
    /// Partition number in the placement group.
    pub partition: Option<i32>,
    /// Dedicated Host.
    pub host: Option<String>,
    /// Affinity to the Dedicated Host: `default` or `host`.
    pub affinity: Option<String>,
}

/// Purchasing option other than on-demand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PurchaseOption {
    /// Spot request, one-time. EC2 terminates the instance on interruption.
    Spot {
        /// Maximum price in dollars an hour. `None` stands for the on-demand price.
        max_price: Option<String>,
    },
    /// Capacity Block that was bought before.
    CapacityBlock,
}

/// Description of a valid maximum Spot price, for messages.
pub const PRICE: &str = "US dollars per hour, at least 0.001, such as `0.25`";

/// Returns true if the text is a valid maximum Spot price (EC2 API reference, `SpotMarketOptions`).
pub fn is_price(text: &str) -> bool {
    let figures = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    figures && text.parse::<f64>().is_ok_and(|dollars| dollars >= 0.001)
}

/// Memory encryption by the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfidentialCompute {
    /// No encryption: `AmdSevSnp` is `disabled`.
    Disabled,
    /// AMD SEV-SNP: `AmdSevSnp` is `enabled`.
    AmdSevSnp,
}

/// Outputs of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineOutputs {
    /// ID of the instance.
    pub id: InstanceId,
    /// Private address. `None` before EC2 assigns one and after termination.
    pub private_ip: Option<PrivateIp>,
    /// Details that EC2 reported at the last read.
    #[serde(flatten)]
    pub seen: InstanceDetails,
}

/// Live details of an instance, mainly for the status of its Machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceDetails {
    /// State in EC2: `pending`, `running`, `stopping`, …
    pub state: String,
    /// Availability zone.
    pub zone: String,
    /// Instance type.
    pub instance_type: String,
    /// True for a Spot instance.
    pub spot: bool,
    /// Launch time in seconds since the Unix epoch.
    pub launched: i64,
    /// Addresses as pairs of type and address. The types are those of a Node's status:
    /// `InternalIP`, `InternalDNS`, `Hostname`, `ExternalIP`, `ExternalDNS`.
    pub addresses: Vec<(String, String)>,
    /// All tags in EC2, including those that groundplan did not set.
    pub tags: BTreeMap<String, String>,
}

/// Inputs that a machine without a value lacks, or has with a fixed value. Sources: the fields of
/// `AWSMachineProviderConfig` in openshift/api, and `RunInstances` in the EC2 API reference. The
/// subnet decides on the public address, and AWS on memory encryption, so their absence is no
/// opinion.
const ABSENT: &[AbsentInput] = &[
    AbsentInput { path: "market", meaning: Some("on_demand") },
    AbsentInput { path: "market.spot.max_price", meaning: Some("on_demand_price") },
    AbsentInput { path: "placement.tenancy", meaning: Some("default") },
    AbsentInput { path: "interface.interface_type", meaning: Some("ena") },
    AbsentInput { path: "profile", meaning: None },
    AbsentInput { path: "key_name", meaning: None },
    AbsentInput { path: "capacity_reservation", meaning: None },
    AbsentInput { path: "placement.group", meaning: None },
    AbsentInput { path: "placement.partition", meaning: None },
    AbsentInput { path: "placement.host", meaning: None },
    AbsentInput { path: "placement.affinity", meaning: None },
];

impl Resource for Machine {
    const SCHEMA: Schema = Schema {
        proves: &["interface"],
        force_new: &[
            "instance_type",
            "profile",
            "key_name",
            "interface",
            "block_devices",
            "placement",
            "market",
            "capacity_reservation",
            "confidential_compute",
        ],
        create_only: &["image", "user_data"],
        ignores_drift: true,
        // If EC2 rejects the launch, the old machine is still running.
        create_before_destroy: true,
        dependents_start: DependentsStart::Ready,
        ready: Some(Wait { every_seconds: 5, within_seconds: 600 }),
        gone: Some(Wait { every_seconds: 5, within_seconds: 1200 }),
        typical_seconds: 20,
        sets: &[
            SetInput::of_values("interface.groups", "group"),
            SetInput { path: "block_devices", noun: "block device", members: device_members },
        ],
        absent: ABSENT,
        ..Schema::of("machine", Self::REPEAT.identity())
    };
    type Outputs = MachineOutputs;
}

impl Kind for Machine {
    const ACTIONS: Actions = Actions {
        create: &["ec2:RunInstances"],
        configure: &["ec2:CreateTags"],
        refresh: &["ec2:DescribeInstances"],
        update: &[
            "ec2:ModifyInstanceMetadataOptions",
            "ec2:ModifyInstanceAttribute",
            "ec2:StartInstances",
            "ec2:CreateTags",
            "ec2:DeleteTags",
        ],
        delete: &["ec2:DescribeInstanceAttribute", "ec2:TerminateInstances"],
    };
    const REPEAT: Repeat = Repeat::WithToken;
    const UPDATES_OF: &'static [(&'static [&'static str], &'static [&'static str])] = &[
        (&["state"], &["ec2:StartInstances"]),
        (&["source_dest_check"], &["ec2:ModifyInstanceAttribute"]),
    ];
    const UNMANAGED: &'static [&'static str] = &["state", "source_dest_check"];
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = Some("i");
    const QUOTA: Option<QuotaCount> = Some(QuotaCount::Vcpus);
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields = DriftFields {
        security: SecurityFields::Fields(&["metadata_options", "profile", "groups", "kms_key"]),
        cosmetic: &["tags"],
    };
    const UNTRACKED: SweepMethod = SweepMethod::ByTag(UntrackedKind::Instance);
    const SUBJECT: PlanSubject = PlanSubject::Machines;

    fn summary(&self, around: &Surroundings<'_>) -> Summary {
        let subnet = self.interface.subnet.as_ref();
        let place =
            subnet.map(|subnet| zone(subnet, around.values)).filter(|zone| !zone.is_empty());
        let place = place.or_else(|| self.placement.zone.clone()).unwrap_or_default();
        let market = match &self.market {
            None => String::new(),
            Some(PurchaseOption::CapacityBlock) => "capacity block".to_owned(),
            Some(PurchaseOption::Spot { max_price: None }) => "spot".to_owned(),
            Some(PurchaseOption::Spot { max_price: Some(price) }) => {
                format!("spot up to {price} dollars an hour")
            }
        };
        let public = match self.interface.public_address {
            Some(PublicAddress::Internet(true)) => "public address",
            Some(PublicAddress::Carrier(true)) => "carrier address",
            _ => "",
        };
        let volumes = self.block_devices.iter().map(MachineBlockDevice::in_words).collect();
        Summary::of([
            self.instance_type.clone(),
            market,
            place,
            metadata_options(&self.metadata_options),
            labelled("image", &name(&self.image)),
            phrase(volumes),
            labelled("in", &subnet.map(name).unwrap_or_default()),
            labelled("groups", &names(&self.interface.groups)),
            public.to_owned(),
        ])
    }

    fn volumes(&self) -> Option<Vec<PlannedVolume>> {
        let volume = |one: &MachineBlockDevice| PlannedVolume {
            device: one.device.clone(),
            encrypted: one.encrypted,
            kms_key: one.kms_key.clone(),
        };
        Some(self.block_devices.iter().map(volume).collect())
    }

    fn billed(&self) -> Vec<BilledAmount> {
        let category = match (&self.market, self.placement.tenancy.as_deref()) {
            (Some(PurchaseOption::Spot { .. }), _) => BilledCategory::SpotInstance,
            (Some(PurchaseOption::CapacityBlock), _) => BilledCategory::CapacityBlockInstance,
            (None, Some("dedicated")) => BilledCategory::DedicatedInstance,
            (None, Some("host")) => BilledCategory::HostInstance,
            (None, _) => BilledCategory::Instance,
        };
        // Without an opinion on the address, the subnet decides, which the inputs do not tell.
        let is_public = self.interface.public_address == Some(PublicAddress::Internet(true));
        let volumes = match self.block_devices.is_empty() {
            true => vec![billed::unsized_volume()],
            false => self.block_devices.iter().flat_map(MachineBlockDevice::billed).collect(),
        };
        let machine = billed::instance(category, Some(&self.instance_type));
        let address = billed::public_ipv4(usize::from(is_public));
        [machine, address].into_iter().chain(volumes).collect()
    }
}

#[cfg(feature = "sdk")]
mod calls;
#[cfg(feature = "sdk")]
mod launch;
#[cfg(feature = "sdk")]
pub(crate) use calls::{outputs, poll};
#[cfg(feature = "sdk")]
pub(crate) use launch::cpu_options;

#[cfg(test)]
mod tests {
    use groundplan_engine::graph::{Address, Graph};
    use groundplan_engine::plan::{Action, LiveState, PlanOptions, plan};
    use groundplan_engine::provider::Observed;
    use groundplan_engine::state::{Record, RecordStatus, State};
    use serde_json::json;

    use super::*;
    use crate::kinds::load_balancer_attachment::{LoadBalancerAttachment, LoadBalancerKind};
    use crate::schemas;

    fn outputs(seen: InstanceDetails) -> Value {
        let (id, ip) = ("i-1".into(), "10.0.0.1".into());
        json!(MachineOutputs { id, private_ip: Some(ip), seen })
    }

    fn recorded(graph: &Graph, address: &Address, outputs: Value) -> Record {
        let inputs = graph.get(address).unwrap().inputs.clone();
        let (after, unknown) = (vec![], BTreeMap::new());
        Record {
            generation: 1,
            status: RecordStatus::Ready,
            inputs,
            outputs,
            after,
            prior_inputs: Vec::new(),
            revert: Vec::new(),
            unknown,
        }
    }

    fn billed(machine: &Machine) -> Vec<String> {
        let billed = machine.billed().into_iter().filter(|one| one.amount > 0);
        billed.map(|one| one.item.counted(one.amount)).collect()
    }

    #[test]
    fn a_machine_is_billed_by_its_purchase_its_volumes_and_its_public_address() {
        let mut machine = Machine::example();
        assert_eq!(billed(&machine), ["1 m6i.large", "1 volume of unknown size"]);
        machine.block_devices = vec![MachineBlockDevice {
            device: "/dev/xvda".to_owned(),
            volume_type: Some("io2".to_owned()),
            size: Some(120),
            iops: Some(500),
            throughput: None,
            encrypted: None,
            kms_key: None,
        }];
        let volume = PlannedVolume { device: "/dev/xvda".into(), encrypted: None, kms_key: None };
        assert_eq!(machine.volumes(), Some(vec![volume]));
        machine.interface.public_address = Some(PublicAddress::Internet(true));
        machine.placement.tenancy = Some("dedicated".to_owned());
        assert_eq!(
            billed(&machine),
            ["1 m6i.large (dedicated)", "1 public IPv4 address", "120 GiB io2", "500 IOPS io2"]
        );
        machine.market = Some(PurchaseOption::Spot { max_price: None });
        assert_eq!(billed(&machine)[0], "1 m6i.large (spot)");
        machine.market = Some(PurchaseOption::CapacityBlock);
        assert_eq!(billed(&machine)[0], "1 m6i.large (capacity block)");
        machine.market = None;
        machine.placement.tenancy = Some("host".to_owned());
        assert_eq!(billed(&machine)[0], "1 m6i.large (on a dedicated host)");
    }

    /// Outputs report the current state, and no configuration sets them. A difference in outputs
    /// alone changes no plan, neither for the machine nor for its dependents.
    #[test]
    fn r3_a_state_a_launch_time_or_a_tag_of_others_is_neither_a_change_nor_drift() {
        let mut graph = Graph::default();
        let machine = graph.add("a", &Machine::example()).address().clone();
        let attachment = LoadBalancerAttachment {
            load_balancer: "int".to_owned(),
            kind: LoadBalancerKind::Network,
            instance: Input::Known("i-1".into()),
            ip: Input::Known("10.0.0.1".into()),
        };
        let attachment = graph.add("a", &attachment).address().clone();
        let then = InstanceDetails {
            state: "running".to_owned(),
            launched: 1,
            ..InstanceDetails::default()
        };
        let mut now = InstanceDetails {
            state: "stopped".to_owned(),
            launched: 2,
            ..InstanceDetails::default()
        };
        now.tags.insert("theirs".to_owned(), "1".to_owned());
        let mut state = State::default();
        let known = recorded(&graph, &machine, outputs(then));
        let inputs = known.inputs.clone();
        state.resources.insert(machine.clone(), known);
        state.resources.insert(attachment.clone(), recorded(&graph, &attachment, json!({})));
        let seen = Observed::Present { inputs, outputs: outputs(now), unmanaged: Vec::new() };
        let observed = LiveState::from([(machine, seen)]);
        let plan = plan(&graph, &state, &observed, &schemas(), &PlanOptions::default());
        assert!(plan.steps.is_empty(), "{plan:#?}");
        for change in &plan.changes {
            assert_eq!((change.action, change.drift.as_slice()), (Action::Keep, [].as_slice()));
        }
    }
}
