//! A carrier gateway: traffic between subnets in Wavelength Zones and the network of the carrier. A
//! VPC has at most one.

use groundplan_engine::graph::{Input, Resource, Schema, Wait};
use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::{CarrierGatewayId, VpcId};
use crate::model::untracked::UntrackedKind;
use crate::summary::{labelled, name};

/// Inputs of a carrier gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarrierGateway {
    /// VPC of the gateway.
    pub vpc: Input<VpcId>,
    /// Tags of the gateway.
    pub tags: Tags,
}

/// Outputs of a carrier gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarrierGatewayOutputs {
    /// ID of the gateway.
    pub id: CarrierGatewayId,
}

impl Resource for CarrierGateway {
    const SCHEMA: Schema = Schema {
        proves: &["vpc"],
        force_new: &["vpc"],
        ready: Some(Wait { every_seconds: 5, within_seconds: 300 }),
        gone: Some(Wait { every_seconds: 5, within_seconds: 300 }),
        typical_seconds: 15,
        ..Schema::of("carrier_gateway", Self::REPEAT.identity())
    };
    type Outputs = CarrierGatewayOutputs;
}

impl Kind for CarrierGateway {
    const ACTIONS: Actions = Actions {
        create: &["ec2:CreateCarrierGateway"],
        configure: &["ec2:CreateTags"],
        refresh: &["ec2:DescribeCarrierGateways"],
        update: &["ec2:CreateTags", "ec2:DeleteTags"],
        delete: &["ec2:DeleteCarrierGateway"],
    };
    const REPEAT: Repeat = Repeat::WithToken;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = Some("cagw");
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &["tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::ByTag(UntrackedKind::CarrierGateway);
    const SUBJECT: PlanSubject = PlanSubject::Network;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        Summary::of([labelled("for", &name(&self.vpc))])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        Vec::new()
    }
}

#[cfg(feature = "sdk")]
pub(crate) use calls::delete_carrier_gateway;

#[cfg(feature = "sdk")]
mod calls {

    use aws_sdk_ec2::types::{self, CarrierGatewayState, Filter, ResourceType, Tag};
    use groundplan_engine::provider::{ErrorClass, ProviderError, ProviderFuture};

    use super::{CarrierGateway, CarrierGatewayOutputs, Input};
    use crate::Aws;
    use crate::client::dry_run::{DryRunTarget, dry};
    use crate::client::ec2::{self, Ec2Object, pages};
    use crate::client::resource_type::{
        Creation, KindOperations, Live, PollResult, Recorded, Result,
    };
    use crate::model::ids::VpcId;

    impl KindOperations for CarrierGateway {
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<CarrierGatewayOutputs> {
            let tags =
                ec2::tag_specification(ResourceType::CarrierGateway, &self.tags, &creation.token);
            let call = aws
                .ec2
                .create_carrier_gateway()
                .client_token(&creation.token)
                .vpc_id(self.vpc.get().as_str())
                .tag_specifications(tags);
            let made = aws.call("ec2", "CreateCarrierGateway", call.send()).await?;
            outputs("CreateCarrierGateway", made.carrier_gateway.as_ref())
        }

        async fn find(
            &self,
            aws: &Aws,
            creation: &Creation,
        ) -> Result<Option<CarrierGatewayOutputs>> {
            let found = ec2::find::<types::CarrierGateway>(aws, &creation.token).await?;
            found.map(|gateway| outputs("DescribeCarrierGateways", Some(&gateway))).transpose()
        }

        async fn ready(
            aws: &Aws,
            waiting: Vec<Recorded<Self>>,
        ) -> Result<Vec<PollResult<CarrierGatewayOutputs>>> {
            ec2::poll_all(aws, waiting, |o| o.id.as_str(), to_poll_result).await
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let found =
                ec2::all::<types::CarrierGateway, _>(aws, &recorded, |o| o.id.as_str()).await?;
            let pairs = recorded.iter().zip(found);
            pairs
                .map(|(recorded, gateway)| {
                    gateway.map(|gateway| to_live(&recorded.inputs, &gateway)).transpose()
                })
                .collect()
        }

        async fn update(
            &self,
            aws: &Aws,
            _creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<CarrierGatewayOutputs> {
            let outputs = ec2::part("DescribeCarrierGateways", "id", before.outputs)?;
            ec2::retag(aws, outputs.id.as_str(), &before.inputs.tags, &self.tags).await?;
            Ok(outputs)
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: CarrierGatewayOutputs) -> Result<()> {
            delete_carrier_gateway(aws, outputs.id.as_str()).await
        }

        async fn gone(
            aws: &Aws,
            waiting: Vec<CarrierGatewayOutputs>,
        ) -> Result<Vec<PollResult<()>>> {
            let ids: Vec<&str> = waiting.iter().map(|outputs| outputs.id.as_str()).collect();
            ec2::poll_deleted(aws, &ids, word).await
        }

        fn dry_run<'a>(
            aws: &'a Aws,
            action: &'static str,
            about: &DryRunTarget,
        ) -> Option<ProviderFuture<'a, ()>> {
            let ec2 = &aws.ec2;
            Some(match action {
                "ec2:CreateCarrierGateway" => {
                    let tags = about.tags(ResourceType::CarrierGateway);
                    let call = ec2.create_carrier_gateway().vpc_id(about.text("vpc"));
                    dry!(aws, action, call.tag_specifications(tags))
                }
                "ec2:DeleteCarrierGateway" => {
                    let call = ec2.delete_carrier_gateway().carrier_gateway_id(&about.id);
                    dry!(aws, action, call)
                }
                _ => return None,
            })
        }
    }

    /// Deletes the gateway. Routes to it stay, as black holes.
    pub(crate) async fn delete_carrier_gateway(aws: &Aws, id: &str) -> Result<()> {
        let call = aws.ec2.delete_carrier_gateway().carrier_gateway_id(id);
        let deleted = aws.call("ec2", "DeleteCarrierGateway", call.send()).await;
        ec2::fine_when(deleted, &["InvalidCarrierGatewayID.NotFound"])
    }

    impl Ec2Object for types::CarrierGateway {
        const ID_FILTER: &'static str = "carrier-gateway-id";

        fn id(&self) -> Option<&str> {
            self.carrier_gateway_id()
        }

        fn tags(&self) -> &[Tag] {
            types::CarrierGateway::tags(self)
        }

        fn exists(&self) -> bool {
            self.state() != Some(&CarrierGatewayState::Deleted)
        }

        async fn describe(aws: &Aws, filters: Vec<Filter>) -> Result<Vec<Self>> {
            let request =
                aws.ec2.describe_carrier_gateways().set_filters(Some(filters)).max_results(1000);
            Ok(pages!(aws, "DescribeCarrierGateways", request, carrier_gateways))
        }
    }

    fn outputs(
        call: &str,
        gateway: Option<&types::CarrierGateway>,
    ) -> Result<CarrierGatewayOutputs> {
        Ok(CarrierGatewayOutputs { id: ec2::id(call, gateway.and_then(Ec2Object::id))? })
    }

    fn word(gateway: &types::CarrierGateway) -> &str {
        gateway.state().map_or("pending", CarrierGatewayState::as_str)
    }

    fn to_poll_result(
        outputs: CarrierGatewayOutputs,
        gateway: &types::CarrierGateway,
    ) -> PollResult<CarrierGatewayOutputs> {
        match gateway.state() {
            Some(CarrierGatewayState::Available) => PollResult::Ready(outputs),
            Some(CarrierGatewayState::Deleting | CarrierGatewayState::Deleted) => {
                let message = format!("the carrier gateway is {}", word(gateway));
                let call = "DescribeCarrierGateways";
                PollResult::Failed(ProviderError::new(ErrorClass::Permanent, call, message))
            }
            _ => PollResult::Pending(word(gateway).to_owned()),
        }
    }

    /// Converts a live gateway to the shape of the inputs. The VPC of a deleting gateway is absent,
    /// so that a plan replaces the gateway and a destroy waits for its deletion.
    fn to_live(
        recorded: &CarrierGateway,
        gateway: &types::CarrierGateway,
    ) -> Result<Live<CarrierGateway>> {
        let vpc = match gateway.state() {
            Some(CarrierGatewayState::Deleting) => None,
            _ => gateway.vpc_id(),
        };
        let inputs = CarrierGateway {
            vpc: Input::live(vpc.map(VpcId::from)),
            tags: ec2::owned(&recorded.tags, gateway.tags()),
        };
        Ok(Live::new(inputs, outputs("DescribeCarrierGateways", Some(gateway))?))
    }
}
