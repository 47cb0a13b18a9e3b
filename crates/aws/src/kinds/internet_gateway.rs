//! An internet gateway, attached to its VPC.

use groundplan_engine::graph::{Input, Resource, Schema};
use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::{InternetGatewayId, VpcId};
use crate::model::quota::Quota;
use crate::model::untracked::UntrackedKind;
use crate::summary::{labelled, name};

/// Inputs of an internet gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InternetGateway {
    /// VPC that the gateway is attached to.
    pub vpc: Input<VpcId>,
    /// Tags of the gateway.
    pub tags: Tags,
}

/// Outputs of an internet gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InternetGatewayOutputs {
    /// ID of the gateway.
    pub id: InternetGatewayId,
}

impl Resource for InternetGateway {
    const SCHEMA: Schema = Schema {
        proves: &["vpc"],
        force_new: &["vpc"],
        configures: true,
        ..Schema::of("internet_gateway", Self::REPEAT.identity())
    };
    type Outputs = InternetGatewayOutputs;
}

impl Kind for InternetGateway {
    const ACTIONS: Actions = Actions {
        create: &["ec2:CreateInternetGateway"],
        configure: &["ec2:CreateTags", "ec2:AttachInternetGateway"],
        refresh: &["ec2:DescribeInternetGateways"],
        update: &["ec2:AttachInternetGateway", "ec2:CreateTags", "ec2:DeleteTags"],
        delete: &["ec2:DetachInternetGateway", "ec2:DeleteInternetGateway"],
    };
    const REPEAT: Repeat = Repeat::Never;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = Some("igw");
    const QUOTA: Option<QuotaCount> = Some(QuotaCount::PerRegion(Quota::InternetGateways));
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &["tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::ByTag(UntrackedKind::InternetGateway);
    const SUBJECT: PlanSubject = PlanSubject::Network;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        Summary::of([labelled("for", &name(&self.vpc))])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        Vec::new()
    }
}

#[cfg(feature = "sdk")]
pub(crate) use calls::delete_gateway;

#[cfg(feature = "sdk")]
mod calls {

    use aws_sdk_ec2::types::{self, ResourceType};
    use groundplan_engine::provider::ProviderFuture;

    use super::{Input, InternetGateway, InternetGatewayOutputs};
    use crate::Aws;
    use crate::client::delete_blockers::{Doomed, name_blockers};
    use crate::client::dry_run::{DryRunTarget, dry};
    use crate::client::ec2;
    use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};
    use crate::model::ids::VpcId;

    impl KindOperations for InternetGateway {
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<InternetGatewayOutputs> {
            let tags =
                ec2::tag_specification(ResourceType::InternetGateway, &self.tags, &creation.token);
            let call = aws.ec2.create_internet_gateway().tag_specifications(tags);
            let made = aws.call("ec2", "CreateInternetGateway", call.send()).await?;
            outputs("CreateInternetGateway", made.internet_gateway.as_ref())
        }

        async fn find(
            &self,
            aws: &Aws,
            creation: &Creation,
        ) -> Result<Option<InternetGatewayOutputs>> {
            let found = ec2::find::<types::InternetGateway>(aws, &creation.token).await?;
            found.map(|gateway| outputs("DescribeInternetGateways", Some(&gateway))).transpose()
        }

        /// Attaches the gateway to the VPC. A gateway that is already attached to this VPC counts
        /// as success; an attachment to another VPC is an error.
        async fn configure(
            &self,
            aws: &Aws,
            outputs: InternetGatewayOutputs,
        ) -> Result<InternetGatewayOutputs> {
            let id = outputs.id.as_str();
            let call = aws.ec2.attach_internet_gateway().internet_gateway_id(id);
            let call = call.vpc_id(self.vpc.get().as_str());
            let attached = aws.call("ec2", "AttachInternetGateway", call.send()).await;
            match attached {
                Err(error) if error.is(&["Resource.AlreadyAssociated"]) => {
                    let found = ec2::by_ids::<types::InternetGateway>(aws, [id]).await?;
                    let vpc = found.get(id).and_then(attached_to);
                    if vpc == Some(self.vpc.get().as_str()) { Ok(outputs) } else { Err(error) }
                }
                attached => attached.map(|_| outputs),
            }
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let found =
                ec2::all::<types::InternetGateway, _>(aws, &recorded, |o| o.id.as_str()).await?;
            let pairs = recorded.into_iter().zip(found);
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
        ) -> Result<InternetGatewayOutputs> {
            let outputs = ec2::part("DescribeInternetGateways", "id", before.outputs)?;
            ec2::retag(aws, outputs.id.as_str(), &before.inputs.tags, &self.tags).await?;
            Ok(outputs)
        }

        async fn delete(aws: &Aws, inputs: Self, outputs: InternetGatewayOutputs) -> Result<()> {
            let vpc = inputs.vpc.known().map(VpcId::as_str);
            delete_gateway(aws, outputs.id.as_str(), vpc).await
        }

        fn dry_run<'a>(
            aws: &'a Aws,
            action: &'static str,
            about: &DryRunTarget,
        ) -> Option<ProviderFuture<'a, ()>> {
            let id = &about.id;
            let ec2 = &aws.ec2;
            Some(match action {
                "ec2:AttachInternetGateway" => {
                    let call = ec2.attach_internet_gateway().internet_gateway_id(id);
                    dry!(aws, action, call.vpc_id(about.text("vpc")))
                }
                "ec2:CreateInternetGateway" => {
                    let tags = about.tags(ResourceType::InternetGateway);
                    let call = ec2.create_internet_gateway().tag_specifications(tags);
                    dry!(aws, action, call)
                }
                "ec2:DeleteInternetGateway" => {
                    let call = ec2.delete_internet_gateway().internet_gateway_id(id);
                    dry!(aws, action, call)
                }
                "ec2:DetachInternetGateway" => {
                    let call = ec2.detach_internet_gateway().internet_gateway_id(id);
                    dry!(aws, action, call.vpc_id(about.text("vpc")))
                }
                _ => return None,
            })
        }
    }

    /// Deletes an internet gateway, after detaching it. `vpc` is the recorded attachment. Without
    /// it, and if EC2 rejects the deletion, the attachment is read.
    pub(crate) async fn delete_gateway(aws: &Aws, id: &str, vpc: Option<&str>) -> Result<()> {
        match vpc {
            Some(vpc) => detach(aws, id, vpc).await?,
            None => detach_live(aws, id).await?,
        }
        match delete(aws, id).await {
            Err(error) if error.is(&["DependencyViolation"]) => {
                detach_live(aws, id).await?;
                delete(aws, id).await
            }
            deleted => deleted,
        }
    }

    async fn detach_live(aws: &Aws, id: &str) -> Result<()> {
        let found = ec2::by_ids::<types::InternetGateway>(aws, [id]).await?;
        for vpc in found.values().filter_map(attached_to) {
            detach(aws, id, vpc).await?;
        }
        Ok(())
    }

    async fn delete(aws: &Aws, id: &str) -> Result<()> {
        let call = aws.ec2.delete_internet_gateway().internet_gateway_id(id);
        let deleted = aws.call("ec2", "DeleteInternetGateway", call.send()).await;
        ec2::fine_when(deleted, &["InvalidInternetGatewayID.NotFound"])
    }

    async fn detach(aws: &Aws, id: &str, vpc: &str) -> Result<()> {
        let call = aws.ec2.detach_internet_gateway().internet_gateway_id(id).vpc_id(vpc);
        let detached = aws.call("ec2", "DetachInternetGateway", call.send()).await;
        let detached = name_blockers(aws, Doomed::GatewayAttachment(vpc), detached).await;
        let nothing_to_detach =
            ["Gateway.NotAttached", "InvalidInternetGatewayID.NotFound", "InvalidVpcID.NotFound"];
        ec2::fine_when(detached, &nothing_to_detach)
    }

    fn outputs(
        call: &str,
        gateway: Option<&types::InternetGateway>,
    ) -> Result<InternetGatewayOutputs> {
        let id = gateway.and_then(types::InternetGateway::internet_gateway_id);
        Ok(InternetGatewayOutputs { id: ec2::id(call, id)? })
    }

    fn attached_to(gateway: &types::InternetGateway) -> Option<&str> {
        gateway.attachments().first().and_then(|attachment| attachment.vpc_id())
    }

    /// Converts a live gateway to the shape of the inputs. The VPC of a detached gateway is absent.
    fn to_live(
        recorded: &InternetGateway,
        gateway: &types::InternetGateway,
    ) -> Result<Live<InternetGateway>> {
        let inputs = InternetGateway {
            vpc: Input::live(attached_to(gateway).map(VpcId::from)),
            tags: ec2::owned(&recorded.tags, gateway.tags()),
        };
        Ok(Live::new(inputs, outputs("DescribeInternetGateways", Some(gateway))?))
    }
}
