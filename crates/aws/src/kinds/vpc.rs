//! A VPC: the network that contains all other network resources of a cluster.

use groundplan_engine::graph::{Input, Resource, Schema, Wait};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::{DhcpOptionsId, VpcId};
use crate::model::quota::Quota;
use crate::model::untracked::UntrackedKind;
use crate::summary::name;

/// Inputs of a VPC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vpc {
    /// CIDR of the VPC.
    pub cidr: Ipv4Net,
    /// DHCP options of the VPC. `None` leaves the default of the region.
    pub dhcp_options: Option<Input<DhcpOptionsId>>,
    /// True if instances get public DNS host names.
    pub dns_hostnames: bool,
    /// True if the VPC's DNS resolver, at the base of the CIDR plus two, is enabled.
    pub dns_support: bool,
    /// Tags of the VPC.
    pub tags: Tags,
}

/// Outputs of a VPC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VpcOutputs {
    /// ID of the VPC.
    pub id: VpcId,
}

impl Resource for Vpc {
    const SCHEMA: Schema = Schema {
        force_new: &["cidr"],
        configures: true,
        ready: Some(Wait { every_seconds: 2, within_seconds: 300 }),
        typical_seconds: 3,
        ..Schema::of("vpc", Self::REPEAT.identity())
    };
    type Outputs = VpcOutputs;
}

impl Kind for Vpc {
    const ACTIONS: Actions = Actions {
        create: &["ec2:CreateVpc"],
        configure: &["ec2:CreateTags", "ec2:ModifyVpcAttribute", "ec2:AssociateDhcpOptions"],
        refresh: &["ec2:DescribeVpcs", "ec2:DescribeVpcAttribute"],
        update: &[
            "ec2:ModifyVpcAttribute",
            "ec2:AssociateDhcpOptions",
            "ec2:CreateTags",
            "ec2:DeleteTags",
        ],
        delete: &["ec2:DeleteVpc"],
    };
    const REPEAT: Repeat = Repeat::Never;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &["ec2:ModifyVpcAttribute"];
    const ID_PREFIX: Option<&'static str> = Some("vpc");
    const QUOTA: Option<QuotaCount> = Some(QuotaCount::PerRegion(Quota::Vpcs));
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &["tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::ByTag(UntrackedKind::Vpc);
    const SUBJECT: PlanSubject = PlanSubject::Network;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        let options = self.dhcp_options.as_ref().map(name).unwrap_or_default();
        let dns = match (self.dns_support, self.dns_hostnames) {
            (true, true) => "",
            (true, false) => "no DNS host names",
            (false, _) => "no DNS resolver",
        };
        Summary::of([self.cidr.to_string(), options, dns.to_owned()])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        Vec::new()
    }
}

#[cfg(feature = "sdk")]
pub(crate) use calls::delete_vpc;

#[cfg(feature = "sdk")]
mod calls {

    use aws_sdk_ec2::types::{
        self, AttributeBooleanValue, ResourceType, VpcAttributeName, VpcState,
    };
    use groundplan_engine::provider::ProviderFuture;

    use super::{Vpc, VpcOutputs};
    use crate::Aws;
    use crate::client::delete_blockers::{Doomed, name_blockers};
    use crate::client::dry_run::{DryRunTarget, dry};
    use crate::client::ec2;
    use crate::client::resource_type::{
        Creation, KindOperations, Live, PollResult, Recorded, Result,
    };
    use crate::model::ids::{DhcpOptionsId, VpcId};

    impl KindOperations for Vpc {
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<VpcOutputs> {
            let tags = ec2::tag_specification(ResourceType::Vpc, &self.tags, &creation.token);
            let call =
                aws.ec2.create_vpc().cidr_block(self.cidr.to_string()).tag_specifications(tags);
            let made = aws.call("ec2", "CreateVpc", call.send()).await?;
            outputs("CreateVpc", made.vpc.as_ref())
        }

        async fn find(&self, aws: &Aws, creation: &Creation) -> Result<Option<VpcOutputs>> {
            let found = ec2::find::<types::Vpc>(aws, &creation.token).await?;
            found.map(|vpc| outputs("DescribeVpcs", Some(&vpc))).transpose()
        }

        async fn configure(&self, aws: &Aws, outputs: VpcOutputs) -> Result<VpcOutputs> {
            self.associate(aws, &outputs.id).await?;
            set_dns(aws, &outputs.id, Some(self.dns_support), Some(self.dns_hostnames)).await?;
            Ok(outputs)
        }

        async fn ready(
            aws: &Aws,
            waiting: Vec<Recorded<Self>>,
        ) -> Result<Vec<PollResult<VpcOutputs>>> {
            ec2::poll_all::<types::Vpc, _>(
                aws,
                waiting,
                |o| o.id.as_str(),
                |outputs, vpc| match vpc.state() {
                    Some(VpcState::Available) => PollResult::Ready(outputs),
                    state => {
                        PollResult::Pending(state.map_or("pending", VpcState::as_str).to_owned())
                    }
                },
            )
            .await
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let found = ec2::all::<types::Vpc, _>(aws, &recorded, |o| o.id.as_str()).await?;
            let mut live = Vec::with_capacity(recorded.len());
            for (recorded, vpc) in recorded.into_iter().zip(found) {
                live.push(match vpc {
                    Some(vpc) => Some(to_live(aws, recorded.inputs, &vpc).await?),
                    None => None,
                });
            }
            Ok(live)
        }

        async fn update(
            &self,
            aws: &Aws,
            _creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<VpcOutputs> {
            let outputs = ec2::part("DescribeVpcs", "id", before.outputs)?;
            let before = before.inputs;
            if self.dhcp_options != before.dhcp_options {
                self.associate(aws, &outputs.id).await?;
            }
            let changed = |was: bool, shall: bool| (was != shall).then_some(shall);
            let support = changed(before.dns_support, self.dns_support);
            let hostnames = changed(before.dns_hostnames, self.dns_hostnames);
            set_dns(aws, &outputs.id, support, hostnames).await?;
            ec2::retag(aws, outputs.id.as_str(), &before.tags, &self.tags).await?;
            Ok(outputs)
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: VpcOutputs) -> Result<()> {
            delete_vpc(aws, outputs.id.as_str()).await
        }

        fn dry_run<'a>(
            aws: &'a Aws,
            action: &'static str,
            about: &DryRunTarget,
        ) -> Option<ProviderFuture<'a, ()>> {
            let id = &about.id;
            let ec2 = &aws.ec2;
            Some(match action {
                "ec2:AssociateDhcpOptions" => {
                    let call = ec2.associate_dhcp_options().vpc_id(id);
                    dry!(aws, action, call.dhcp_options_id(about.text("dhcp_options")))
                }
                "ec2:CreateVpc" => {
                    let call = ec2.create_vpc().cidr_block(about.text("cidr"));
                    dry!(aws, action, call.tag_specifications(about.tags(ResourceType::Vpc)))
                }
                "ec2:DeleteVpc" => dry!(aws, action, ec2.delete_vpc().vpc_id(id)),
                _ => return None,
            })
        }
    }

    pub(crate) async fn delete_vpc(aws: &Aws, id: &str) -> Result<()> {
        let call = aws.ec2.delete_vpc().vpc_id(id);
        let deleted = aws.call("ec2", "DeleteVpc", call.send()).await;
        let deleted = name_blockers(aws, Doomed::Vpc(id), deleted).await;
        ec2::fine_when(deleted, &["InvalidVpcID.NotFound"])
    }

    impl Vpc {
        async fn associate(&self, aws: &Aws, vpc: &VpcId) -> Result<()> {
            let Some(options) = &self.dhcp_options else { return Ok(()) };
            let call = aws.ec2.associate_dhcp_options().vpc_id(vpc.as_str());
            let call = call.dhcp_options_id(options.get().as_str());
            aws.call("ec2", "AssociateDhcpOptions", call.send()).await.map(drop)
        }
    }

    fn outputs(call: &str, vpc: Option<&types::Vpc>) -> Result<VpcOutputs> {
        Ok(VpcOutputs { id: ec2::id(call, vpc.and_then(types::Vpc::vpc_id))? })
    }

    async fn to_live(aws: &Aws, recorded: Vpc, vpc: &types::Vpc) -> Result<Live<Vpc>> {
        let outputs = outputs("DescribeVpcs", Some(vpc))?;
        let (dns_support, dns_hostnames) = tokio::try_join!(
            attribute(aws, &outputs.id, VpcAttributeName::EnableDnsSupport),
            attribute(aws, &outputs.id, VpcAttributeName::EnableDnsHostnames),
        )?;
        let inputs = Vpc {
            cidr: ec2::parsed("DescribeVpcs", "cidrBlock", vpc.cidr_block())?,
            dhcp_options: vpc.dhcp_options_id().map(|id| DhcpOptionsId::from(id).into()),
            dns_hostnames,
            dns_support,
            tags: ec2::owned(&recorded.tags, vpc.tags()),
        };
        Ok(Live::new(inputs, outputs))
    }

    async fn attribute(aws: &Aws, vpc: &VpcId, name: VpcAttributeName) -> Result<bool> {
        let call = aws.ec2.describe_vpc_attribute().vpc_id(vpc.as_str()).attribute(name.clone());
        let answer = aws.call("ec2", "DescribeVpcAttribute", call.send()).await?;
        let value = match name {
            VpcAttributeName::EnableDnsSupport => answer.enable_dns_support,
            _ => answer.enable_dns_hostnames,
        };
        ec2::part("DescribeVpcAttribute", name.as_str(), value.and_then(|value| value.value))
    }

    /// Sets the given DNS attributes, one in each call as the API requires. Host names require the
    /// resolver, so the resolver is enabled first and disabled last.
    async fn set_dns(
        aws: &Aws,
        vpc: &VpcId,
        support: Option<bool>,
        hostnames: Option<bool>,
    ) -> Result<()> {
        if support == Some(true) {
            set_dns_support(aws, vpc, true).await?;
        }
        if let Some(hostnames) = hostnames {
            let call = aws.ec2.modify_vpc_attribute().vpc_id(vpc.as_str());
            let call = call.enable_dns_hostnames(flag(hostnames));
            aws.call("ec2", "ModifyVpcAttribute", call.send()).await?;
        }
        if support == Some(false) {
            set_dns_support(aws, vpc, false).await?;
        }
        Ok(())
    }

    async fn set_dns_support(aws: &Aws, vpc: &VpcId, on: bool) -> Result<()> {
        let call = aws.ec2.modify_vpc_attribute().vpc_id(vpc.as_str()).enable_dns_support(flag(on));
        aws.call("ec2", "ModifyVpcAttribute", call.send()).await?;
        Ok(())
    }

    fn flag(on: bool) -> AttributeBooleanValue {
        AttributeBooleanValue::builder().value(on).build()
    }
}
