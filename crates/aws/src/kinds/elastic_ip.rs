//! An Elastic IP address of the VPC domain.

use groundplan_engine::graph::{Resource, Schema};
use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::billed;
use crate::model::ids::{AllocationId, PublicIpv4PoolId};
use crate::model::quota::Quota;
use crate::model::untracked::UntrackedKind;

/// Inputs of an Elastic IP address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ElasticIp {
    /// Pool of the account that has the address. `None` means a pool of Amazon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PublicIpv4PoolId>,
    /// Tags of the address.
    pub tags: Tags,
}

/// Outputs of an Elastic IP address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ElasticIpOutputs {
    /// Allocation ID.
    pub allocation: AllocationId,
    /// Public IPv4 address.
    pub public_ip: String,
}

impl Resource for ElasticIp {
    const SCHEMA: Schema =
        Schema { force_new: &["pool"], ..Schema::of("elastic_ip", Self::REPEAT.identity()) };
    type Outputs = ElasticIpOutputs;
}

impl Kind for ElasticIp {
    const ACTIONS: Actions = Actions {
        create: &["ec2:AllocateAddress"],
        configure: &["ec2:CreateTags"],
        refresh: &["ec2:DescribeAddresses"],
        update: &["ec2:CreateTags", "ec2:DeleteTags"],
        delete: &["ec2:ReleaseAddress"],
    };
    const REPEAT: Repeat = Repeat::Never;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = Some("eipalloc");
    const QUOTA: Option<QuotaCount> = Some(QuotaCount::PerRegion(Quota::Addresses));
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &["tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::ByTag(UntrackedKind::ElasticIp);
    const SUBJECT: PlanSubject = PlanSubject::Network;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        let pool = self.pool.as_ref().map_or_else(String::new, |pool| format!("of {pool}"));
        Summary::of(["public IPv4 address".to_owned(), pool])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        // AWS bills no addresses that the customer brought (Amazon VPC pricing, "Public IPv4
        // address").
        vec![billed::public_ipv4(usize::from(self.pool.is_none()))]
    }
}

#[cfg(feature = "sdk")]
pub(crate) use calls::release_address;

#[cfg(feature = "sdk")]
mod calls {

    use aws_sdk_ec2::types::{self, DomainType, Filter, ResourceType, Tag};
    use groundplan_engine::provider::ProviderFuture;

    use super::{ElasticIp, ElasticIpOutputs};
    use crate::Aws;
    use crate::client::delete_blockers::{Doomed, name_blockers};
    use crate::client::dry_run::{DryRunTarget, dry};
    use crate::client::ec2::{self, Ec2Object};
    use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};

    /// Name of Amazon's pools in `DescribeAddresses`.
    const AMAZON: &str = "amazon";

    impl KindOperations for ElasticIp {
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<ElasticIpOutputs> {
            let tags = ec2::tag_specification(ResourceType::ElasticIp, &self.tags, &creation.token);
            let call = aws.ec2.allocate_address().domain(DomainType::Vpc).tag_specifications(tags);
            let call = call.set_public_ipv4_pool(self.pool.as_ref().map(|pool| pool.0.clone()));
            let made = aws.call("ec2", "AllocateAddress", call.send()).await?;
            outputs("AllocateAddress", made.allocation_id(), made.public_ip())
        }

        async fn find(&self, aws: &Aws, creation: &Creation) -> Result<Option<ElasticIpOutputs>> {
            let found = ec2::find::<types::Address>(aws, &creation.token).await?;
            found.map(|address| described(&address)).transpose()
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let found =
                ec2::all::<types::Address, _>(aws, &recorded, |o| o.allocation.as_str()).await?;
            let pairs = recorded.into_iter().zip(found);
            pairs
                .map(|(recorded, address)| {
                    address.map(|address| to_live(&recorded.inputs, &address)).transpose()
                })
                .collect()
        }

        async fn update(
            &self,
            aws: &Aws,
            _creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<ElasticIpOutputs> {
            let outputs = ec2::part("DescribeAddresses", "id", before.outputs)?;
            ec2::retag(aws, outputs.allocation.as_str(), &before.inputs.tags, &self.tags).await?;
            Ok(outputs)
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: ElasticIpOutputs) -> Result<()> {
            release_address(aws, outputs.allocation.as_str()).await
        }

        fn dry_run<'a>(
            aws: &'a Aws,
            action: &'static str,
            about: &DryRunTarget,
        ) -> Option<ProviderFuture<'a, ()>> {
            let id = &about.id;
            let ec2 = &aws.ec2;
            Some(match action {
                "ec2:AllocateAddress" => {
                    let call = ec2
                        .allocate_address()
                        .tag_specifications(about.tags(ResourceType::ElasticIp));
                    dry!(aws, action, call)
                }
                "ec2:ReleaseAddress" => {
                    dry!(aws, action, ec2.release_address().allocation_id(id))
                }
                _ => return None,
            })
        }
    }

    pub(crate) async fn release_address(aws: &Aws, allocation: &str) -> Result<()> {
        let call = aws.ec2.release_address().allocation_id(allocation);
        let released = aws.call("ec2", "ReleaseAddress", call.send()).await;
        let released = name_blockers(aws, Doomed::Address(allocation), released).await;
        ec2::fine_when(released, &["InvalidAllocationID.NotFound"])
    }

    impl Ec2Object for types::Address {
        const ID_FILTER: &'static str = "allocation-id";

        fn id(&self) -> Option<&str> {
            self.allocation_id()
        }

        fn tags(&self) -> &[Tag] {
            types::Address::tags(self)
        }

        /// Describes addresses in one call. `DescribeAddresses` is the only Describe call here
        /// without pages.
        async fn describe(aws: &Aws, filters: Vec<Filter>) -> Result<Vec<Self>> {
            let call = aws.ec2.describe_addresses().set_filters(Some(filters));
            let answer = aws.call("ec2", "DescribeAddresses", call.send()).await?;
            Ok(answer.addresses.unwrap_or_default())
        }
    }

    fn outputs(call: &str, id: Option<&str>, address: Option<&str>) -> Result<ElasticIpOutputs> {
        Ok(ElasticIpOutputs {
            allocation: ec2::id(call, id)?,
            public_ip: ec2::parsed(call, "publicIp", address)?,
        })
    }

    fn described(address: &types::Address) -> Result<ElasticIpOutputs> {
        outputs("DescribeAddresses", address.allocation_id(), address.public_ip())
    }

    fn to_live(recorded: &ElasticIp, address: &types::Address) -> Result<Live<ElasticIp>> {
        let pool = match address.public_ipv4_pool() {
            Some(AMAZON) => None,
            Some(pool) => Some(pool.into()),
            None => recorded.pool.clone(),
        };
        let inputs = ElasticIp { pool, tags: ec2::owned(&recorded.tags, address.tags()) };
        Ok(Live::new(inputs, described(address)?))
    }
}
