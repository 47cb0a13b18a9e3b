//! A machine of the Machine API: an EC2 instance as an `AWSMachineProviderConfig` describes it.
//!
//! Everything that had to be looked up (images, subnets and groups by filters, the root device) has
//! been: these inputs are what one `RunInstances` says. Masters and the bootstrap machine of an
//! install-config are [`super::instance`]s, of a fixed shape.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Tags;
use super::facts::{Actions, Arn, Count, Drift, Kind, Repeat, Security, Untracked};
use super::ids::{ImageId, InstanceId, InstanceProfileName, PrivateIp, SecurityGroupId, SubnetId};
use super::metadata_options::MetadataOptions;
use super::swept::What;
use crate::graph::{Input, Resource, Schema, Usable, Wait};
use crate::secret::Secret;

/// A machine's inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The image it boots.
    pub image: Input<ImageId>,
    /// Its type.
    pub instance_type: String,
    /// The profile it carries, if any.
    pub profile: Option<Input<InstanceProfileName>>,
    /// The key pair for SSH, if any.
    pub key_name: Option<String>,
    /// Its one interface.
    pub interface: Interface,
    /// Its volumes; none is what the image brings.
    pub block_devices: Vec<BlockDevice>,
    /// What it is told at first boot.
    pub user_data: Secret,
    /// How its metadata service answers. See [`super::metadata_options`].
    pub metadata_options: MetadataOptions,
    /// Where it is; all absent is not sent.
    pub placement: Placement,
    /// How it is paid for; absent is on demand.
    pub market: Option<Market>,
    /// The capacity reservation that it runs in.
    pub capacity_reservation: Option<String>,
    /// Whether the processor encrypts its memory; absent, AWS decides.
    pub confidential_compute: Option<ConfidentialCompute>,
    /// Its tags, which its volumes get, too. `Name` is the machine's name.
    pub tags: Tags,
}

impl Machine {
    /// A machine of which nothing is known but these tags: enough to look at it, to put its tags
    /// right and to delete it, and nothing to launch.
    pub fn unknown(tags: Tags) -> Self {
        Self {
            image: Input::Known("".into()),
            instance_type: String::new(),
            profile: None,
            key_name: None,
            interface: Interface {
                device_index: 0,
                subnet: None,
                groups: Vec::new(),
                public_address: None,
                interface_type: None,
                dual_stack: None,
            },
            block_devices: Vec::new(),
            user_data: Secret::of(b""),
            metadata_options: MetadataOptions::default(),
            placement: Placement::default(),
            market: None,
            capacity_reservation: None,
            confidential_compute: None,
            tags,
        }
    }
}

/// The interface of a machine; it comes and goes with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// Which place on the instance it has.
    pub device_index: i32,
    /// The subnet; absent is the default one of the zone.
    pub subnet: Option<Input<SubnetId>>,
    /// The security groups it is in.
    pub groups: Vec<Input<SecurityGroupId>>,
    /// Whether it gets a public address; absent, the subnet decides.
    pub public_address: Option<PublicAddress>,
    /// What it is; absent, AWS decides.
    pub interface_type: Option<InterfaceType>,
    /// Its families of addresses; absent is IPv4 alone.
    pub dual_stack: Option<DualStack>,
}

/// Whether an interface gets a public address, and of what kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublicAddress {
    /// One of the internet: `AssociatePublicIpAddress`.
    Internet(bool),
    /// One of the carrier of a wavelength zone: `AssociateCarrierIpAddress`.
    Carrier(bool),
}

/// What an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterfaceType {
    /// The ordinary one: `interface`.
    Ena,
    /// An Elastic Fabric Adapter: `efa`.
    Efa,
}

/// Which family of addresses comes first where a cluster has both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DualStack {
    /// IPv4.
    Ipv4Primary,
    /// IPv6.
    Ipv6Primary,
}

/// A volume; it goes with its machine, always.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockDevice {
    /// Where it is seen (`/dev/xvda`).
    pub device: String,
    /// `gp3`, `io2`, …; absent, EC2 decides.
    pub volume_type: Option<String>,
    /// GiB; absent is the image's figure.
    pub size: Option<i32>,
    /// Operations per second; absent is the type's own figure.
    pub iops: Option<i32>,
    /// MiB per second; absent is the type's own figure.
    pub throughput: Option<i32>,
    /// Whether it is encrypted; absent, the account decides.
    pub encrypted: Option<bool>,
    /// The key; absent is the account's default key for EBS.
    pub kms_key: Option<String>,
}

/// Where a machine is, beyond its subnet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The zone, where no subnet says it.
    pub zone: Option<String>,
    /// Who else is on its hardware: `default`, `dedicated` or `host`.
    pub tenancy: Option<String>,
    /// The placement group.
    pub group: Option<String>,
    /// Which partition of the placement group.
    pub partition: Option<i32>,
    /// The dedicated host.
    pub host: Option<String>,
    /// Whether it stays on one host: `default` or `host`.
    pub affinity: Option<String>,
}

/// How a machine is paid for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Market {
    /// A one-time spot request, terminated on interruption.
    Spot {
        /// The most that it may cost an hour, in dollars; absent, the price on demand.
        max_price: Option<String>,
    },
    /// A capacity block that was bought before.
    CapacityBlock,
}

/// What the most that a spot machine may cost looks like.
pub const PRICE: &str = "dollars an hour such as `0.25`, and at least 0.001";

/// Whether EC2 takes this for the most that a spot machine may cost (EC2 API reference,
/// `SpotMarketOptions`).
pub fn is_price(text: &str) -> bool {
    let figures = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    figures && text.parse::<f64>().is_ok_and(|dollars| dollars >= 0.001)
}

/// Whether the processor encrypts memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfidentialCompute {
    /// It does not: `AmdSevSnp` is `disabled`.
    Disabled,
    /// By AMD SEV-SNP: `AmdSevSnp` is `enabled`.
    AmdSevSnp,
}

/// What is known of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineOutputs {
    /// Its id.
    pub id: InstanceId,
    /// Its address; absent where it has none yet, or none any more.
    pub private_ip: Option<PrivateIp>,
    /// As EC2 has it now.
    #[serde(flatten)]
    pub seen: Seen,
}

/// What EC2 says of an instance, as far as a cluster wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seen {
    /// What EC2 calls its state: `pending`, `running`, `stopping`, …
    pub state: String,
    /// Its availability zone.
    pub zone: String,
    /// Its type.
    pub instance_type: String,
    /// Whether it is a spot instance.
    pub spot: bool,
    /// When it was launched, in seconds of Unix time.
    pub launched: i64,
    /// Its addresses by type, in the words of a Node's status: `InternalIP`, `InternalDNS`,
    /// `Hostname`, `ExternalIP`, `ExternalDNS`.
    pub addresses: Vec<(String, String)>,
    /// All its tags.
    pub tags: BTreeMap<String, String>,
}

impl Resource for Machine {
    const SCHEMA: Schema = Schema {
        replaced_by: &[
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
        set_at_creation: &["image", "user_data"],
        endures: true,
        // What refuses a launch refuses it while the old one still runs.
        create_first: true,
        usable: Usable::Ready,
        ready: Some(Wait { every_seconds: 5, within_seconds: 600 }),
        gone: Some(Wait { every_seconds: 5, within_seconds: 1200 }),
        typical_seconds: 20,
        ..Schema::of("machine", Self::REPEAT.identity())
    };
    type Outputs = MachineOutputs;
}

impl Kind for Machine {
    const ACTIONS: Actions = Actions {
        create: &["ec2:RunInstances"],
        configure: &["ec2:CreateTags"],
        observe: &["ec2:DescribeInstances"],
        update: &["ec2:ModifyInstanceMetadataOptions", "ec2:CreateTags", "ec2:DeleteTags"],
        delete: &["ec2:TerminateInstances"],
    };
    const REPEAT: Repeat = Repeat::WithToken;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = Some("i");
    const QUOTA: Option<Count> = Some(Count::Vcpus);
    const ARN: Arn = Arn::Any;
    const DRIFT: Drift = Drift {
        security: Security::Fields(&["metadata_options", "profile", "groups", "kms_key"]),
        cosmetic: &["tags"],
        always_shown: &["metadata_options"],
    };
    const UNTRACKED: Untracked = Untracked::ByTag(What::Instance);
}

#[cfg(feature = "sdk")]
mod calls;
pub(in crate::aws) mod cautions;
#[cfg(feature = "sdk")]
mod launch;

#[cfg(test)]
pub(in crate::aws) mod tests {
    use serde_json::json;

    use super::*;
    use crate::aws::load_balancer_attachment::{LoadBalancerAttachment, LoadBalancerKind};
    use crate::aws::schemas;
    use crate::graph::{Address, Graph};
    use crate::plan::{Action, Observations, Options, plan};
    use crate::provider::Observed;
    use crate::state::{Record, State, Status};

    pub(in crate::aws) fn machine() -> Machine {
        Machine {
            image: Input::Known("ami-1".into()),
            instance_type: "m6i.large".to_owned(),
            profile: None,
            key_name: None,
            interface: Interface {
                device_index: 0,
                subnet: None,
                groups: vec![],
                public_address: None,
                interface_type: None,
                dual_stack: None,
            },
            block_devices: vec![],
            user_data: Secret::of(b"canary"),
            metadata_options: MetadataOptions::default(),
            placement: Placement::default(),
            market: None,
            capacity_reservation: None,
            confidential_compute: None,
            tags: Tags::new(),
        }
    }

    fn outputs(seen: Seen) -> serde_json::Value {
        let (id, ip) = ("i-1".into(), "10.0.0.1".into());
        json!(MachineOutputs { id, private_ip: Some(ip), seen })
    }

    fn recorded(graph: &Graph, address: &Address, outputs: serde_json::Value) -> Record {
        let inputs = graph.get(address).unwrap().inputs.clone();
        let (after, unknown) = (vec![], BTreeMap::new());
        Record { generation: 1, status: Status::Ready, inputs, outputs, after, unknown }
    }

    /// Outputs tell how it is at the moment, and nobody asked for that: no plan has anything to do
    /// with it, for the machine or for what refers to it.
    #[test]
    fn r3_a_state_a_launch_time_or_a_tag_of_others_is_neither_a_change_nor_drift() {
        let mut graph = Graph::default();
        let machine = graph.add("a", &machine()).address().clone();
        let attachment = LoadBalancerAttachment {
            load_balancer: "int".to_owned(),
            kind: LoadBalancerKind::Network,
            instance: Input::Known("i-1".into()),
            ip: Input::Known("10.0.0.1".into()),
        };
        let attachment = graph.add("a", &attachment).address().clone();
        let then = Seen { state: "running".to_owned(), launched: 1, ..Seen::default() };
        let mut now = Seen { state: "stopped".to_owned(), launched: 2, ..Seen::default() };
        now.tags.insert("theirs".to_owned(), "1".to_owned());
        let mut state = State::default();
        let known = recorded(&graph, &machine, outputs(then));
        let inputs = known.inputs.clone();
        state.resources.insert(machine.clone(), known);
        state.resources.insert(attachment.clone(), recorded(&graph, &attachment, json!({})));
        let seen = Observed::Present { inputs, outputs: outputs(now) };
        let observed = Observations::from([(machine, seen)]);
        let plan = plan(&graph, &state, &observed, &schemas(), &Options::default());
        assert!(plan.steps.is_empty(), "{plan:#?}");
        for change in &plan.changes {
            assert_eq!((change.action, change.drift.as_slice()), (Action::Keep, [].as_slice()));
        }
    }
}
