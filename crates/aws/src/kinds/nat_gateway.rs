//! A public NAT gateway.

use groundplan_engine::graph::{Input, Resource, Schema, Wait};
use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::billed;
use crate::model::ids::{AllocationId, NatGatewayId, SubnetId};
use crate::model::quota::Quota;
use crate::model::untracked::UntrackedKind;
use crate::summary::{labelled, name, zone};

/// Inputs of a NAT gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NatGateway {
    /// Public subnet of the gateway.
    pub subnet: Input<SubnetId>,
    /// Allocation of the public address.
    pub allocation: Input<AllocationId>,
    /// Tags of the gateway.
    pub tags: Tags,
}

/// Outputs of a NAT gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NatGatewayOutputs {
    /// ID of the gateway.
    pub id: NatGatewayId,
}

impl Resource for NatGateway {
    const SCHEMA: Schema = Schema {
        proves: &["subnet", "allocation"],
        force_new: &["subnet", "allocation"],
        ready: Some(Wait { every_seconds: 5, within_seconds: 600 }),
        gone: Some(Wait { every_seconds: 5, within_seconds: 1200 }),
        typical_seconds: 110,
        ..Schema::of("nat_gateway", Self::REPEAT.identity())
    };
    type Outputs = NatGatewayOutputs;
}

impl Kind for NatGateway {
    const ACTIONS: Actions = Actions {
        create: &["ec2:CreateNatGateway"],
        configure: &["ec2:CreateTags"],
        refresh: &["ec2:DescribeNatGateways"],
        update: &["ec2:CreateTags", "ec2:DeleteTags"],
        delete: &["ec2:DeleteNatGateway"],
    };
    const REPEAT: Repeat = Repeat::WithToken;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = Some("nat");
    const QUOTA: Option<QuotaCount> = Some(QuotaCount::PerZone(Quota::NatGateways));
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &["tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::ByTag(UntrackedKind::NatGateway);
    const SUBJECT: PlanSubject = PlanSubject::Network;

    fn summary(&self, around: &Surroundings<'_>) -> Summary {
        Summary::of([
            zone(&self.subnet, around.values),
            labelled("in", &name(&self.subnet)),
            labelled("address", &name(&self.allocation)),
        ])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        vec![billed::nat_gateway()]
    }
}

#[cfg(feature = "sdk")]
pub(crate) use calls::delete_nat_gateway;

#[cfg(feature = "sdk")]
mod calls {

    use aws_sdk_ec2::types::{self, ConnectivityType, Filter, NatGatewayState, ResourceType, Tag};
    use groundplan_engine::provider::{ErrorClass, ProviderError, ProviderFuture};

    use super::{Input, NatGateway, NatGatewayOutputs};
    use crate::Aws;
    use crate::client::dry_run::{DryRunTarget, dry};
    use crate::client::ec2::{self, Ec2Object, pages};
    use crate::client::resource_type::{
        Creation, KindOperations, Live, PollResult, Recorded, Result,
    };
    use crate::model::ids::AllocationId;

    impl KindOperations for NatGateway {
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<NatGatewayOutputs> {
            let tags =
                ec2::tag_specification(ResourceType::Natgateway, &self.tags, &creation.token);
            let call = aws
                .ec2
                .create_nat_gateway()
                .client_token(&creation.token)
                .connectivity_type(ConnectivityType::Public)
                .subnet_id(self.subnet.get().as_str())
                .allocation_id(self.allocation.get().as_str())
                .tag_specifications(tags);
            let made = aws.call("ec2", "CreateNatGateway", call.send()).await?;
            outputs("CreateNatGateway", made.nat_gateway.as_ref())
        }

        async fn find(&self, aws: &Aws, creation: &Creation) -> Result<Option<NatGatewayOutputs>> {
            let found = ec2::find::<types::NatGateway>(aws, &creation.token).await?;
            found.map(|gateway| outputs("DescribeNatGateways", Some(&gateway))).transpose()
        }

        async fn ready(
            aws: &Aws,
            waiting: Vec<Recorded<Self>>,
        ) -> Result<Vec<PollResult<NatGatewayOutputs>>> {
            ec2::poll_all(aws, waiting, |o| o.id.as_str(), to_poll_result).await
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let found = ec2::all::<types::NatGateway, _>(aws, &recorded, |o| o.id.as_str()).await?;
            let pairs = recorded.into_iter().zip(found);
            pairs
                .map(|(recorded, gateway)| {
                    gateway.map(|gateway| to_live(recorded.inputs, &gateway)).transpose()
                })
                .collect()
        }

        async fn update(
            &self,
            aws: &Aws,
            _creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<NatGatewayOutputs> {
            let outputs = ec2::part("DescribeNatGateways", "id", before.outputs)?;
            ec2::retag(aws, outputs.id.as_str(), &before.inputs.tags, &self.tags).await?;
            Ok(outputs)
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: NatGatewayOutputs) -> Result<()> {
            delete_nat_gateway(aws, outputs.id.as_str()).await
        }

        async fn gone(aws: &Aws, waiting: Vec<NatGatewayOutputs>) -> Result<Vec<PollResult<()>>> {
            let ids: Vec<&str> = waiting.iter().map(|outputs| outputs.id.as_str()).collect();
            ec2::poll_deleted(aws, &ids, word).await
        }

        fn dry_run<'a>(
            aws: &'a Aws,
            action: &'static str,
            about: &DryRunTarget,
        ) -> Option<ProviderFuture<'a, ()>> {
            let id = &about.id;
            let ec2 = &aws.ec2;
            Some(match action {
                "ec2:CreateNatGateway" => {
                    let call = ec2.create_nat_gateway().subnet_id(about.text("subnet"));
                    let call = call.allocation_id(about.text("allocation"));
                    let tags = about.tags(ResourceType::Natgateway);
                    dry!(aws, action, call.tag_specifications(tags))
                }
                "ec2:DeleteNatGateway" => {
                    dry!(aws, action, ec2.delete_nat_gateway().nat_gateway_id(id))
                }
                _ => return None,
            })
        }
    }

    pub(crate) async fn delete_nat_gateway(aws: &Aws, id: &str) -> Result<()> {
        let call = aws.ec2.delete_nat_gateway().nat_gateway_id(id);
        let deleted = aws.call("ec2", "DeleteNatGateway", call.send()).await;
        ec2::fine_when(deleted, &["NatGatewayNotFound"])
    }

    impl Ec2Object for types::NatGateway {
        const ID_FILTER: &'static str = "nat-gateway-id";

        fn id(&self) -> Option<&str> {
            self.nat_gateway_id()
        }

        fn tags(&self) -> &[Tag] {
            types::NatGateway::tags(self)
        }

        /// Returns false for a deleted gateway, which AWS reports for about one hour after the
        /// deletion.
        fn exists(&self) -> bool {
            self.state() != Some(&NatGatewayState::Deleted)
        }

        async fn describe(aws: &Aws, filters: Vec<Filter>) -> Result<Vec<Self>> {
            let request =
                aws.ec2.describe_nat_gateways().set_filter(Some(filters)).max_results(1000);
            Ok(pages!(aws, "DescribeNatGateways", request, nat_gateways))
        }
    }

    fn outputs(call: &str, gateway: Option<&types::NatGateway>) -> Result<NatGatewayOutputs> {
        let id = gateway.and_then(types::NatGateway::nat_gateway_id);
        Ok(NatGatewayOutputs { id: ec2::id(call, id)? })
    }

    fn word(gateway: &types::NatGateway) -> &str {
        gateway.state().map_or("pending", NatGatewayState::as_str)
    }

    fn to_poll_result(
        outputs: NatGatewayOutputs,
        gateway: &types::NatGateway,
    ) -> PollResult<NatGatewayOutputs> {
        match gateway.state() {
            Some(NatGatewayState::Available) => PollResult::Ready(outputs),
            Some(
                NatGatewayState::Failed | NatGatewayState::Deleting | NatGatewayState::Deleted,
            ) => PollResult::Failed(failure(gateway)),
            _ => PollResult::Pending(word(gateway).to_owned()),
        }
    }

    fn failure(gateway: &types::NatGateway) -> ProviderError {
        let message = gateway
            .failure_message()
            .map_or_else(|| format!("the NAT gateway is {}", word(gateway)), str::to_owned);
        let error = ProviderError::new(ErrorClass::Permanent, "DescribeNatGateways", message);
        match gateway.failure_code() {
            Some(code) => error.with_code(code),
            None => error,
        }
    }

    /// Converts a live gateway to the shape of the inputs. The subnet of a failed, deleting or
    /// deleted gateway is absent, so that a plan replaces the gateway and a destroy waits for its
    /// deletion.
    fn to_live(recorded: NatGateway, gateway: &types::NatGateway) -> Result<Live<NatGateway>> {
        let serves =
            matches!(gateway.state(), Some(NatGatewayState::Pending | NatGatewayState::Available));
        let inputs = NatGateway {
            subnet: match serves {
                true => Input::Known(ec2::id("DescribeNatGateways", gateway.subnet_id())?),
                false => Input::Absent,
            },
            // AWS may omit the address of a pending gateway; the recorded one is then kept.
            allocation: allocation(gateway).map_or(recorded.allocation, Into::into),
            tags: ec2::owned(&recorded.tags, gateway.tags()),
        };
        Ok(Live::new(inputs, outputs("DescribeNatGateways", Some(gateway))?))
    }

    fn allocation(gateway: &types::NatGateway) -> Option<AllocationId> {
        let addresses = gateway.nat_gateway_addresses();
        let primary = addresses.iter().find(|address| address.is_primary() == Some(true));
        let first = primary.or_else(|| addresses.first());
        first.and_then(|address| address.allocation_id()).map(AllocationId::from)
    }
}
