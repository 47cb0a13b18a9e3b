//! An egress-only internet gateway: outgoing IPv6 traffic of a VPC.

use groundplan_engine::graph::{Input, Resource, Schema};
use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::{EgressOnlyInternetGatewayId, VpcId};
use crate::model::quota::Quota;
use crate::model::untracked::UntrackedKind;
use crate::summary::{labelled, name};

/// Inputs of an egress-only internet gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EgressOnlyInternetGateway {
    /// VPC of the gateway. EC2 attaches the gateway at creation.
    pub vpc: Input<VpcId>,
    /// Tags of the gateway.
    pub tags: Tags,
}

/// Outputs of an egress-only internet gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EgressOnlyInternetGatewayOutputs {
    /// ID of the gateway.
    pub id: EgressOnlyInternetGatewayId,
}

impl Resource for EgressOnlyInternetGateway {
    const SCHEMA: Schema = Schema {
        proves: &["vpc"],
        force_new: &["vpc"],
        ..Schema::of("egress_only_internet_gateway", Self::REPEAT.identity())
    };
    type Outputs = EgressOnlyInternetGatewayOutputs;
}

impl Kind for EgressOnlyInternetGateway {
    const ACTIONS: Actions = Actions {
        create: &["ec2:CreateEgressOnlyInternetGateway"],
        configure: &["ec2:CreateTags"],
        refresh: &["ec2:DescribeEgressOnlyInternetGateways"],
        update: &["ec2:CreateTags", "ec2:DeleteTags"],
        delete: &["ec2:DeleteEgressOnlyInternetGateway"],
    };
    const REPEAT: Repeat = Repeat::WithToken;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = Some("eigw");
    const QUOTA: Option<QuotaCount> =
        Some(QuotaCount::PerRegion(Quota::EgressOnlyInternetGateways));
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &["tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::ByTag(UntrackedKind::EgressOnlyInternetGateway);
    const SUBJECT: PlanSubject = PlanSubject::Network;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        Summary::of([labelled("for", &name(&self.vpc))])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        Vec::new()
    }
}

#[cfg(feature = "sdk")]
pub(crate) use calls::delete_egress_only_gateway;

#[cfg(feature = "sdk")]
mod calls {

    use aws_sdk_ec2::types::{self, Filter, ResourceType, Tag};
    use groundplan_engine::provider::ProviderFuture;

    use super::{EgressOnlyInternetGateway, EgressOnlyInternetGatewayOutputs, Input};
    use crate::Aws;
    use crate::client::dry_run::{DryRunTarget, dry};
    use crate::client::ec2::{self, Ec2Object, pages};
    use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};
    use crate::model::ids::VpcId;

    const DESCRIBE: &str = "DescribeEgressOnlyInternetGateways";

    impl KindOperations for EgressOnlyInternetGateway {
        async fn create(
            &self,
            aws: &Aws,
            creation: &Creation,
        ) -> Result<EgressOnlyInternetGatewayOutputs> {
            let kind = ResourceType::EgressOnlyInternetGateway;
            let call = aws
                .ec2
                .create_egress_only_internet_gateway()
                .client_token(&creation.token)
                .vpc_id(self.vpc.get().as_str())
                .tag_specifications(ec2::tag_specification(kind, &self.tags, &creation.token));
            let made = aws.call("ec2", "CreateEgressOnlyInternetGateway", call.send()).await?;
            let gateway = made.egress_only_internet_gateway.as_ref();
            outputs("CreateEgressOnlyInternetGateway", gateway)
        }

        async fn find(
            &self,
            aws: &Aws,
            creation: &Creation,
        ) -> Result<Option<EgressOnlyInternetGatewayOutputs>> {
            let found = ec2::find::<types::EgressOnlyInternetGateway>(aws, &creation.token).await?;
            found.map(|gateway| outputs(DESCRIBE, Some(&gateway))).transpose()
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let found =
                ec2::all::<types::EgressOnlyInternetGateway, _>(aws, &recorded, |o| o.id.as_str());
            let pairs = recorded.iter().zip(found.await?);
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
        ) -> Result<EgressOnlyInternetGatewayOutputs> {
            let outputs = ec2::part(DESCRIBE, "id", before.outputs)?;
            ec2::retag(aws, outputs.id.as_str(), &before.inputs.tags, &self.tags).await?;
            Ok(outputs)
        }

        async fn delete(
            aws: &Aws,
            _inputs: Self,
            outputs: EgressOnlyInternetGatewayOutputs,
        ) -> Result<()> {
            delete_egress_only_gateway(aws, outputs.id.as_str()).await
        }

        fn dry_run<'a>(
            aws: &'a Aws,
            action: &'static str,
            about: &DryRunTarget,
        ) -> Option<ProviderFuture<'a, ()>> {
            let ec2 = &aws.ec2;
            Some(match action {
                "ec2:CreateEgressOnlyInternetGateway" => {
                    let tags = about.tags(ResourceType::EgressOnlyInternetGateway);
                    let call = ec2.create_egress_only_internet_gateway().vpc_id(about.text("vpc"));
                    dry!(aws, action, call.tag_specifications(tags))
                }
                "ec2:DeleteEgressOnlyInternetGateway" => {
                    let call = ec2.delete_egress_only_internet_gateway();
                    dry!(aws, action, call.egress_only_internet_gateway_id(&about.id))
                }
                _ => return None,
            })
        }
    }

    /// Deletes the gateway. Routes to it stay, as black holes.
    pub(crate) async fn delete_egress_only_gateway(aws: &Aws, id: &str) -> Result<()> {
        let call = aws.ec2.delete_egress_only_internet_gateway();
        let call = call.egress_only_internet_gateway_id(id);
        let deleted = aws.call("ec2", "DeleteEgressOnlyInternetGateway", call.send()).await;
        ec2::fine_when(deleted, &["InvalidGatewayID.NotFound"])
    }

    impl Ec2Object for types::EgressOnlyInternetGateway {
        const ID_FILTER: &'static str = "egress-only-internet-gateway-id";

        fn id(&self) -> Option<&str> {
            self.egress_only_internet_gateway_id()
        }

        fn tags(&self) -> &[Tag] {
            types::EgressOnlyInternetGateway::tags(self)
        }

        /// Reads the gateways. The API filters by tags only (EC2 API reference,
        /// DescribeEgressOnlyInternetGateways) and rejects a list with one unknown ID. Therefore
        /// the IDs are compared here; a region has few of these gateways.
        async fn describe(aws: &Aws, filters: Vec<Filter>) -> Result<Vec<Self>> {
            let is_id = |one: &Filter| one.name() == Some(Self::ID_FILTER);
            let (by_id, filters): (Vec<Filter>, Vec<Filter>) = filters.into_iter().partition(is_id);
            let request = aws.ec2.describe_egress_only_internet_gateways();
            let request = match filters.is_empty() {
                true => request,
                false => request.set_filters(Some(filters)),
            };
            let request = request.max_results(255);
            let mut found = pages!(
                aws,
                "DescribeEgressOnlyInternetGateways",
                request,
                egress_only_internet_gateways
            );
            found.retain(|one| {
                let is_named = |filter: &Filter| {
                    one.id().is_some_and(|id| filter.values().iter().any(|value| value == id))
                };
                by_id.iter().all(is_named)
            });
            Ok(found)
        }
    }

    fn outputs(
        call: &str,
        gateway: Option<&types::EgressOnlyInternetGateway>,
    ) -> Result<EgressOnlyInternetGatewayOutputs> {
        Ok(EgressOnlyInternetGatewayOutputs { id: ec2::id(call, gateway.and_then(Ec2Object::id))? })
    }

    fn to_live(
        recorded: &EgressOnlyInternetGateway,
        gateway: &types::EgressOnlyInternetGateway,
    ) -> Result<Live<EgressOnlyInternetGateway>> {
        let inputs = EgressOnlyInternetGateway {
            vpc: Input::live(ec2::egress_only_network(gateway).map(VpcId::from)),
            tags: ec2::owned(&recorded.tags, gateway.tags()),
        };
        Ok(Live::new(inputs, outputs(DESCRIBE, Some(gateway))?))
    }
}
