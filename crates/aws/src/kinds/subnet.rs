//! A subnet: a part of a VPC's address range, in one availability zone.

use groundplan_engine::graph::{Input, Resource, Schema, Wait};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::kinds::route_table::access;
use crate::model::ids::{SubnetId, VpcId};
use crate::model::untracked::UntrackedKind;

/// Inputs of a subnet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subnet {
    /// VPC of the subnet.
    pub vpc: Input<VpcId>,
    /// CIDR of the subnet.
    pub cidr: Ipv4Net,
    /// Availability zone.
    pub zone: String,
    /// Tags of the subnet.
    pub tags: Tags,
}

/// Outputs of a subnet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubnetOutputs {
    /// ID of the subnet.
    pub id: SubnetId,
}

impl Resource for Subnet {
    const SCHEMA: Schema = Schema {
        proves: &["vpc"],
        force_new: &["vpc", "cidr", "zone"],
        conflicting: &["cidr"],
        ready: Some(Wait { every_seconds: 2, within_seconds: 300 }),
        typical_seconds: 2,
        ..Schema::of("subnet", Self::REPEAT.identity())
    };
    type Outputs = SubnetOutputs;
}

impl Kind for Subnet {
    const ACTIONS: Actions = Actions {
        create: &["ec2:CreateSubnet"],
        configure: &["ec2:CreateTags"],
        refresh: &["ec2:DescribeSubnets"],
        update: &["ec2:CreateTags", "ec2:DeleteTags"],
        delete: &["ec2:DeleteSubnet"],
    };
    const REPEAT: Repeat = Repeat::Refused;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = Some("subnet");
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &["tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::ByTag(UntrackedKind::Subnet);
    const SUBJECT: PlanSubject = PlanSubject::Network;

    fn summary(&self, around: &Surroundings<'_>) -> Summary {
        let access = access(around).unwrap_or_default().to_owned();
        Summary::of([self.zone.clone(), self.cidr.to_string(), access])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        Vec::new()
    }
}

#[cfg(feature = "sdk")]
pub(crate) use calls::delete_subnet;

#[cfg(feature = "sdk")]
mod calls {

    use aws_sdk_ec2::types::{self, ResourceType, SubnetState};
    use groundplan_engine::provider::{ErrorClass, ProviderError, ProviderFuture};
    use ipnet::Ipv4Net;

    use super::{Subnet, SubnetOutputs};
    use crate::Aws;
    use crate::client::delete_blockers::{Doomed, name_blockers};
    use crate::client::dry_run::{DryRunTarget, dry};
    use crate::client::ec2::{self, Ec2Object};
    use crate::client::outcomes::ambiguous_on_failure;
    use crate::client::resource_type::{
        Creation, KindOperations, Live, PollResult, Recorded, Result,
    };
    use crate::model::ids::VpcId;

    impl KindOperations for Subnet {
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<SubnetOutputs> {
            let tags = ec2::tag_specification(ResourceType::Subnet, &self.tags, &creation.token);
            let call = aws
                .ec2
                .create_subnet()
                .vpc_id(self.vpc.get().as_str())
                .cidr_block(self.cidr.to_string())
                .availability_zone(&self.zone)
                .tag_specifications(tags);
            match aws.call("ec2", "CreateSubnet", call.send()).await {
                Err(error) if error.is(&["InvalidSubnet.Conflict"]) => {
                    self.conflicting(aws, creation, error).await
                }
                made => outputs("CreateSubnet", made?.subnet.as_ref()),
            }
        }

        async fn find(&self, aws: &Aws, creation: &Creation) -> Result<Option<SubnetOutputs>> {
            let found = ec2::find::<types::Subnet>(aws, &creation.token).await?;
            found.map(|subnet| outputs("DescribeSubnets", Some(&subnet))).transpose()
        }

        async fn ready(
            aws: &Aws,
            waiting: Vec<Recorded<Self>>,
        ) -> Result<Vec<PollResult<SubnetOutputs>>> {
            ec2::poll_all(aws, waiting, |o| o.id.as_str(), to_poll_result).await
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let found = ec2::all::<types::Subnet, _>(aws, &recorded, |o| o.id.as_str()).await?;
            let pairs = recorded.into_iter().zip(found);
            pairs
                .map(|(recorded, subnet)| {
                    subnet.map(|subnet| to_live(&recorded.inputs, &subnet)).transpose()
                })
                .collect()
        }

        async fn update(
            &self,
            aws: &Aws,
            _creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<SubnetOutputs> {
            let outputs = ec2::part("DescribeSubnets", "id", before.outputs)?;
            ec2::retag(aws, outputs.id.as_str(), &before.inputs.tags, &self.tags).await?;
            Ok(outputs)
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: SubnetOutputs) -> Result<()> {
            delete_subnet(aws, outputs.id.as_str()).await
        }

        fn dry_run<'a>(
            aws: &'a Aws,
            action: &'static str,
            about: &DryRunTarget,
        ) -> Option<ProviderFuture<'a, ()>> {
            let id = &about.id;
            let ec2 = &aws.ec2;
            Some(match action {
                "ec2:CreateSubnet" => {
                    let call = ec2
                        .create_subnet()
                        .vpc_id(about.text("vpc"))
                        .cidr_block(about.text("cidr"));
                    let call = call.availability_zone(about.text("zone"));
                    let tags = about.tags(ResourceType::Subnet);
                    dry!(aws, action, call.tag_specifications(tags))
                }
                "ec2:DeleteSubnet" => {
                    dry!(aws, action, ec2.delete_subnet().subnet_id(id))
                }
                _ => return None,
            })
        }
    }

    pub(crate) async fn delete_subnet(aws: &Aws, id: &str) -> Result<()> {
        let call = aws.ec2.delete_subnet().subnet_id(id);
        let deleted = aws.call("ec2", "DeleteSubnet", call.send()).await;
        let deleted = name_blockers(aws, Doomed::Subnet(id), deleted).await;
        ec2::fine_when(deleted, &["InvalidSubnetID.NotFound"])
    }

    impl Subnet {
        /// Resolves a CIDR conflict. If the conflicting subnet is the result of the same creation,
        /// its outputs are returned. If no conflicting subnet is visible, the error becomes
        /// retryable. A recent creation or deletion, which not every server knows yet, may be the
        /// cause.
        async fn conflicting(
            &self,
            aws: &Aws,
            creation: &Creation,
            mut conflict: ProviderError,
        ) -> Result<SubnetOutputs> {
            let here = vec![ec2::filter("vpc-id", &[self.vpc.get().as_str()])];
            let all = ambiguous_on_failure(types::Subnet::describe(aws, here).await)?;
            let ours = |subnet: &&types::Subnet| {
                ec2::token_of(subnet.tags()) == Some(creation.token.as_str())
            };
            if let Some(subnet) = all.iter().find(ours) {
                return outputs("DescribeSubnets", Some(subnet));
            }
            if !all.iter().any(|subnet| self.overlaps(subnet)) {
                conflict.class = ErrorClass::Retryable;
            }
            Err(conflict)
        }

        fn overlaps(&self, subnet: &types::Subnet) -> bool {
            let cidr = subnet.cidr_block().and_then(|cidr| cidr.parse::<Ipv4Net>().ok());
            cidr.is_some_and(|cidr| cidr.contains(&self.cidr) || self.cidr.contains(&cidr))
        }
    }

    fn outputs(call: &str, subnet: Option<&types::Subnet>) -> Result<SubnetOutputs> {
        Ok(SubnetOutputs { id: ec2::id(call, subnet.and_then(types::Subnet::subnet_id))? })
    }

    fn to_poll_result(outputs: SubnetOutputs, subnet: &types::Subnet) -> PollResult<SubnetOutputs> {
        match subnet.state() {
            Some(SubnetState::Available) => PollResult::Ready(outputs),
            Some(SubnetState::Failed | SubnetState::FailedInsufficientCapacity) => {
                let message = format!("AWS could not create {}", outputs.id);
                PollResult::Failed(ProviderError::new(
                    ErrorClass::Permanent,
                    "DescribeSubnets",
                    message,
                ))
            }
            state => PollResult::Pending(state.map_or("pending", SubnetState::as_str).to_owned()),
        }
    }

    fn to_live(recorded: &Subnet, subnet: &types::Subnet) -> Result<Live<Subnet>> {
        let vpc: VpcId = ec2::id("DescribeSubnets", subnet.vpc_id())?;
        let inputs = Subnet {
            vpc: vpc.into(),
            cidr: ec2::parsed("DescribeSubnets", "cidrBlock", subnet.cidr_block())?,
            zone: ec2::parsed("DescribeSubnets", "availabilityZone", subnet.availability_zone())?,
            tags: ec2::owned(&recorded.tags, subnet.tags()),
        };
        Ok(Live::new(inputs, outputs("DescribeSubnets", Some(subnet))?))
    }
}
