//! A network interface that outlives its instance.

use groundplan_engine::graph::{Input, Resource, Schema, SetInput, Wait};
use groundplan_engine::plan::values::{ValuesAfter, as_inputs};
use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::{NetworkInterfaceId, PrivateIp, SecurityGroupId, SubnetId};
use crate::model::untracked::UntrackedKind;
use crate::summary::{labelled, name, names, zone};

/// Inputs of a network interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkInterface {
    /// Subnet of the interface.
    pub subnet: Input<SubnetId>,
    /// Security groups of the interface.
    pub groups: Vec<Input<SecurityGroupId>>,
    /// Tags of the interface.
    pub tags: Tags,
}

/// Outputs of a network interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkInterfaceOutputs {
    /// ID of the interface.
    pub id: NetworkInterfaceId,
    /// Private address of the interface.
    pub private_ip: PrivateIp,
}

impl Resource for NetworkInterface {
    const SCHEMA: Schema = Schema {
        proves: &["subnet", "groups"],
        force_new: &["subnet"],
        blocks_deletion_of: &["groups"],
        ready: Some(Wait { every_seconds: 2, within_seconds: 300 }),
        typical_seconds: 2,
        sets: &[SetInput::of_values("groups", "group")],
        ..Schema::of("network_interface", Self::REPEAT.identity())
    };
    type Outputs = NetworkInterfaceOutputs;
}

impl Kind for NetworkInterface {
    const ACTIONS: Actions = Actions {
        create: &["ec2:CreateNetworkInterface"],
        configure: &["ec2:CreateTags"],
        refresh: &["ec2:DescribeNetworkInterfaces"],
        update: &["ec2:ModifyNetworkInterfaceAttribute", "ec2:CreateTags", "ec2:DeleteTags"],
        delete: &["ec2:DeleteNetworkInterface"],
    };
    const REPEAT: Repeat = Repeat::WithToken;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = Some("eni");
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Fields(&["groups"]), cosmetic: &["tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::ByTag(UntrackedKind::NetworkInterface);
    const SUBJECT: PlanSubject = PlanSubject::Machines;

    fn summary(&self, around: &Surroundings<'_>) -> Summary {
        Summary::of(self.place(around.values))
    }

    fn billed(&self) -> Vec<BilledAmount> {
        Vec::new()
    }
}

impl NetworkInterface {
    /// Returns zone, subnet and groups in words.
    fn place(&self, values: &ValuesAfter<'_>) -> [String; 3] {
        [
            zone(&self.subnet, values),
            labelled("in", &name(&self.subnet)),
            labelled("groups", &names(&self.groups)),
        ]
    }
}

/// Returns zone, subnet and groups of the referenced interface in words.
pub(crate) fn place(
    interface: &Input<NetworkInterfaceId>,
    values: &ValuesAfter<'_>,
) -> [String; 3] {
    let target = match interface {
        Input::Ref(reference) => values.get(&reference.address),
        _ => None,
    };
    let target = target.and_then(|inputs| serde_json::from_value(as_inputs(inputs)).ok());
    match target {
        Some(target) => NetworkInterface::place(&target, values),
        None => [String::new(), labelled("in", &name(interface)), String::new()],
    }
}

#[cfg(feature = "sdk")]
pub(crate) use calls::delete_interface;

#[cfg(feature = "sdk")]
mod calls {
    use aws_sdk_ec2::types::{self, Filter, NetworkInterfaceStatus, ResourceType, Tag};
    use groundplan_engine::provider::ProviderFuture;

    use super::{NetworkInterface, NetworkInterfaceOutputs};
    use crate::Aws;
    use crate::client::delete_blockers::{Doomed, name_blockers};
    use crate::client::dry_run::{DryRunTarget, dry};
    use crate::client::ec2::{self, Ec2Object, pages};
    use crate::client::instances::groups_in_recorded_order;
    use crate::client::resource_type::{
        Creation, KindOperations, Live, PollResult, Recorded, Result,
    };
    use crate::model::ids::SubnetId;

    pub(crate) async fn delete_interface(aws: &Aws, id: &str) -> Result<()> {
        let call = aws.ec2.delete_network_interface().network_interface_id(id);
        let deleted = aws.call("ec2", "DeleteNetworkInterface", call.send()).await;
        let deleted = name_blockers(aws, Doomed::NetworkInterface(id), deleted).await;
        ec2::fine_when(deleted, &["InvalidNetworkInterfaceID.NotFound"])
    }

    impl Ec2Object for types::NetworkInterface {
        const ID_FILTER: &'static str = "network-interface-id";

        fn id(&self) -> Option<&str> {
            self.network_interface_id()
        }

        fn tags(&self) -> &[Tag] {
            self.tag_set()
        }

        async fn describe(aws: &Aws, filters: Vec<Filter>) -> Result<Vec<Self>> {
            let request =
                aws.ec2.describe_network_interfaces().set_filters(Some(filters)).max_results(1000);
            Ok(pages!(aws, "DescribeNetworkInterfaces", request, network_interfaces))
        }
    }

    impl KindOperations for NetworkInterface {
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<NetworkInterfaceOutputs> {
            let token = &creation.token;
            let tags = ec2::tag_specification(ResourceType::NetworkInterface, &self.tags, token);
            let call = aws
                .ec2
                .create_network_interface()
                .client_token(token)
                .subnet_id(self.subnet.get().as_str())
                .set_groups(Some(self.group_ids()))
                .tag_specifications(tags);
            let made = aws.call("ec2", "CreateNetworkInterface", call.send()).await?;
            outputs("CreateNetworkInterface", made.network_interface.as_ref())
        }

        async fn find(
            &self,
            aws: &Aws,
            creation: &Creation,
        ) -> Result<Option<NetworkInterfaceOutputs>> {
            let found = ec2::find::<types::NetworkInterface>(aws, &creation.token).await?;
            found.map(|one| outputs("DescribeNetworkInterfaces", Some(&one))).transpose()
        }

        async fn ready(
            aws: &Aws,
            waiting: Vec<Recorded<Self>>,
        ) -> Result<Vec<PollResult<NetworkInterfaceOutputs>>> {
            ec2::poll_all(aws, waiting, |o| o.id.as_str(), to_poll_result).await
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let found =
                ec2::all::<types::NetworkInterface, _>(aws, &recorded, |o| o.id.as_str()).await?;
            let pairs = recorded.into_iter().zip(found);
            pairs
                .map(|(recorded, one)| one.map(|one| to_live(&recorded.inputs, &one)).transpose())
                .collect()
        }

        async fn update(
            &self,
            aws: &Aws,
            _creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<NetworkInterfaceOutputs> {
            let outputs = ec2::part("DescribeNetworkInterfaces", "id", before.outputs)?;
            if self.groups != before.inputs.groups {
                let call = aws
                    .ec2
                    .modify_network_interface_attribute()
                    .network_interface_id(outputs.id.as_str())
                    .set_groups(Some(self.group_ids()));
                aws.call("ec2", "ModifyNetworkInterfaceAttribute", call.send()).await?;
            }
            ec2::retag(aws, outputs.id.as_str(), &before.inputs.tags, &self.tags).await?;
            Ok(outputs)
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: NetworkInterfaceOutputs) -> Result<()> {
            delete_interface(aws, outputs.id.as_str()).await
        }

        fn dry_run<'a>(
            aws: &'a Aws,
            action: &'static str,
            about: &DryRunTarget,
        ) -> Option<ProviderFuture<'a, ()>> {
            let id = &about.id;
            let ec2 = &aws.ec2;
            Some(match action {
                "ec2:CreateNetworkInterface" => {
                    let call = ec2.create_network_interface().subnet_id(about.text("subnet"));
                    let tags = about.tags(ResourceType::NetworkInterface);
                    dry!(aws, action, call.tag_specifications(tags))
                }
                "ec2:DeleteNetworkInterface" => {
                    let call = ec2.delete_network_interface().network_interface_id(id);
                    dry!(aws, action, call)
                }
                "ec2:ModifyNetworkInterfaceAttribute" => {
                    let call = ec2.modify_network_interface_attribute().network_interface_id(id);
                    dry!(aws, action, call.groups(about.first("groups")))
                }
                _ => return None,
            })
        }
    }

    impl NetworkInterface {
        fn group_ids(&self) -> Vec<String> {
            self.groups.iter().map(|group| group.get().to_string()).collect()
        }
    }

    fn outputs(
        call: &str,
        one: Option<&types::NetworkInterface>,
    ) -> Result<NetworkInterfaceOutputs> {
        let address = one.and_then(types::NetworkInterface::private_ip_address);
        Ok(NetworkInterfaceOutputs {
            id: ec2::id(call, one.and_then(types::NetworkInterface::network_interface_id))?,
            private_ip: ec2::part(call, "privateIpAddress", address)?.into(),
        })
    }

    fn to_poll_result(
        outputs: NetworkInterfaceOutputs,
        one: &types::NetworkInterface,
    ) -> PollResult<NetworkInterfaceOutputs> {
        match one.status() {
            Some(NetworkInterfaceStatus::Available | NetworkInterfaceStatus::InUse) => {
                PollResult::Ready(outputs)
            }
            status => {
                PollResult::Pending(status.map_or("pending", |status| status.as_str()).to_owned())
            }
        }
    }

    fn to_live(
        recorded: &NetworkInterface,
        one: &types::NetworkInterface,
    ) -> Result<Live<NetworkInterface>> {
        let subnet: SubnetId = ec2::id("DescribeNetworkInterfaces", one.subnet_id())?;
        let inputs = NetworkInterface {
            subnet: subnet.into(),
            groups: groups_in_recorded_order(&recorded.groups, one.groups()),
            tags: ec2::owned(&recorded.tags, one.tag_set()),
        };
        Ok(Live::new(inputs, outputs("DescribeNetworkInterfaces", Some(one))?))
    }
}
