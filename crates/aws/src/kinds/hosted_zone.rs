//! A private hosted zone.

use groundplan_engine::graph::{DependentsStart, Input, Resource, Schema};
use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::billed;
use crate::model::ids::{HostedZoneId, VpcId};
use crate::model::untracked::UntrackedKind;
use crate::summary::{labelled, name};

/// Inputs of a private hosted zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostedZone {
    /// Domain, without the trailing dot.
    pub name: String,
    /// VPC in which the zone resolves.
    pub vpc: Input<VpcId>,
    /// Region of the VPC.
    pub region: String,
    /// Tags of the zone.
    pub tags: Tags,
}

/// Outputs of a hosted zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostedZoneOutputs {
    /// ID of the zone.
    pub id: HostedZoneId,
}

impl Resource for HostedZone {
    const SCHEMA: Schema = Schema {
        force_new: &["name", "vpc", "region"],
        dependents_start: DependentsStart::Created,
        configures: true,
        typical_seconds: 35,
        ..Schema::of("hosted_zone", Self::REPEAT.identity())
    };
    type Outputs = HostedZoneOutputs;
}

impl Kind for HostedZone {
    const ACTIONS: Actions = Actions {
        create: &["route53:CreateHostedZone"],
        configure: &["route53:ChangeTagsForResource"],
        refresh: &[
            "route53:GetHostedZone",
            "route53:ListHostedZonesByName",
            "route53:ListTagsForResource",
            "ec2:DescribeVpcs",
        ],
        update: &["route53:ChangeTagsForResource"],
        delete: &[
            "route53:DeleteHostedZone",
            "route53:ListResourceRecordSets",
            "route53:ChangeResourceRecordSets",
        ],
    };
    const REPEAT: Repeat = Repeat::WithToken;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &["tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::ByList(UntrackedKind::HostedZone);
    const SUBJECT: PlanSubject = PlanSubject::Dns;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        Summary::of([format!("private zone {}", self.name), labelled("for", &name(&self.vpc))])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        vec![billed::hosted_zone()]
    }
}

#[cfg(feature = "sdk")]
pub(crate) use calls::delete_zone;

#[cfg(feature = "sdk")]
mod calls {
    use aws_sdk_route53::types::{
        ChangeAction, HostedZoneConfig, ResourceRecordSet, RrType, Vpc, VpcRegion,
    };
    use groundplan_engine::graph::Input;

    use super::{HostedZone, HostedZoneId, HostedZoneOutputs, VpcId};
    use crate::Tags;
    use crate::client::Aws;
    use crate::client::TOKEN_TAG;
    use crate::client::outcomes::{incomplete, none_if, resolve_conflict, retry_on};
    use crate::client::ownership::our_tags;
    use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};
    use crate::client::route53::{self, NO_ZONE, bare_id, same_name, step};
    use crate::model::untracked::UntrackedKind;

    /// Maximum number of records in one deletion. AWS accepts 1,000 (Route 53 quotas). The smaller
    /// number keeps the error of a failed change readable, because the error lists the records.
    const BATCH: usize = 100;

    impl KindOperations for HostedZone {
        /// Creates the zone with the creation token as CallerReference, so that a repeated call
        /// creates no second zone. `CreateHostedZone` accepts no tags; `configure` sets them.
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<HostedZoneOutputs> {
            let vpc = Vpc::builder()
                .vpc_id(self.vpc.get().as_str())
                .vpc_region(VpcRegion::from(self.region.as_str()))
                .build();
            let config = HostedZoneConfig::builder().private_zone(true).build();
            let call = aws
                .route53()
                .create_hosted_zone()
                .name(&self.name)
                .vpc(vpc)
                .hosted_zone_config(config)
                .caller_reference(&creation.token);
            let made = aws.call("route53", "CreateHostedZone", call.send()).await;
            // Route 53 may not know the new VPC yet.
            match retry_on(made, &["InvalidVPCId", "PriorRequestNotComplete"]) {
                Ok(made) => {
                    let zone = made.hosted_zone().map(|zone| outputs(zone.id()));
                    zone.ok_or_else(|| incomplete("CreateHostedZone"))
                }
                Err(error) if error.is(&["HostedZoneAlreadyExists"]) => {
                    resolve_conflict(self.find(aws, creation).await, error)
                }
                Err(error) if error.is(&["ConflictingDomainExists"]) => {
                    Err(error.with_hint(format!(
                        "disassociate the VPC from the other hosted zone named {}; `aws route53 \
                         list-hosted-zones-by-vpc` lists the zones of a VPC",
                        self.name
                    )))
                }
                Err(error) => Err(error),
            }
        }

        /// Returns the zone whose CallerReference is the creation token. Other zones may have the
        /// same name.
        async fn find(&self, aws: &Aws, creation: &Creation) -> Result<Option<HostedZoneOutputs>> {
            find(aws, &self.name, &creation.token).await
        }

        async fn configure(
            &self,
            aws: &Aws,
            outputs: HostedZoneOutputs,
        ) -> Result<HostedZoneOutputs> {
            let tagged =
                route53::change_tags(aws, outputs.id.as_str(), &Tags::new(), &self.tags).await;
            retry_on(tagged, NO_ZONE)?;
            Ok(outputs)
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let mut all = Vec::with_capacity(recorded.len());
            for one in recorded {
                let outputs = match one.outputs {
                    Some(outputs) => Some(outputs),
                    None => find(aws, &one.inputs.name, &one.token).await?,
                };
                all.push(match outputs {
                    Some(outputs) => to_live(aws, &one.token, one.inputs, outputs.id).await?,
                    None => None,
                });
            }
            Ok(all)
        }

        async fn update(
            &self,
            aws: &Aws,
            creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<HostedZoneOutputs> {
            let outputs = match before.outputs {
                Some(outputs) => outputs,
                None => {
                    let found = self.find(aws, creation).await?;
                    found.ok_or_else(|| incomplete("ListHostedZonesByName"))?
                }
            };
            route53::change_tags(aws, outputs.id.as_str(), &before.inputs.tags, &self.tags).await?;
            Ok(outputs)
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: HostedZoneOutputs) -> Result<()> {
            delete_zone(aws, outputs.id.as_str()).await
        }
    }

    /// Deletes a zone and its records. Route 53 deletes only empty zones, and the cluster's
    /// operators add records (`*.apps`).
    pub(crate) async fn delete_zone(aws: &Aws, id: &str) -> Result<()> {
        empty(aws, id).await?;
        let call = aws.route53().delete_hosted_zone().id(id);
        let deleted = aws.call("route53", "DeleteHostedZone", call.send()).await;
        // Another client added a record after the records were listed. The retry lists them again.
        let deleted = retry_on(deleted, &["HostedZoneNotEmpty", "PriorRequestNotComplete"]);
        none_if(deleted, NO_ZONE).map(drop)
    }

    async fn find(aws: &Aws, name: &str, token: &str) -> Result<Option<HostedZoneOutputs>> {
        let (mut next_name, mut next_id) = (Some(name.to_owned()), None);
        loop {
            let call = aws
                .route53()
                .list_hosted_zones_by_name()
                .set_dns_name(next_name)
                .set_hosted_zone_id(next_id);
            let page = aws.call("route53", "ListHostedZonesByName", call.send()).await?;
            let named = page.hosted_zones().iter().take_while(|zone| same_name(zone.name(), name));
            if let Some(zone) = named.clone().find(|zone| zone.caller_reference() == token) {
                return Ok(Some(outputs(zone.id())));
            }
            if !page.is_truncated || named.count() < page.hosted_zones().len() {
                return Ok(None);
            }
            (next_name, next_id) = (page.next_dns_name, page.next_hosted_zone_id);
        }
    }

    async fn to_live(
        aws: &Aws,
        token: &str,
        recorded: HostedZone,
        id: HostedZoneId,
    ) -> Result<Option<Live<HostedZone>>> {
        let call = aws.route53().get_hosted_zone().id(id.as_str());
        let answer = aws.call("route53", "GetHostedZone", call.send()).await;
        let Some(zone) = none_if(answer, NO_ZONE)? else { return Ok(None) };
        let Some(tags) = route53::live_tags(aws, id.as_str()).await? else { return Ok(None) };
        let is_owned = tags.contains_key(&aws.settings.cluster_tag);
        aws.watch.note_owned_name(UntrackedKind::HostedZone, id.as_str(), is_owned);
        let mut proofs = tags.clone();
        if zone.hosted_zone().is_some_and(|one| one.caller_reference() == token) {
            proofs.insert(TOKEN_TAG.to_owned(), token.to_owned());
        }
        aws.note_owner(token, &proofs);
        let seen_by_ours =
            zone.vpcs().iter().any(|vpc| vpc.vpc_id() == Some(recorded.vpc.get().as_str()));
        let vpc = match zone.vpcs().first().and_then(Vpc::vpc_id) {
            Some(other) if !seen_by_ours => Input::Known(VpcId::from(other)),
            _ => recorded.vpc,
        };
        let tags = our_tags(&recorded.tags, &tags);
        let inputs = HostedZone { name: recorded.name, region: recorded.region, vpc, tags };
        Ok(Some(Live::new(inputs, HostedZoneOutputs { id })))
    }

    async fn empty(aws: &Aws, zone: &str) -> Result<()> {
        let records = route53::every_record(aws, zone).await?;
        let apex = records.iter().find(|one| *one.r#type() == RrType::Soa);
        let apex = apex.map(|one| one.name().to_owned()).unwrap_or_default();
        let ours: Vec<_> = records.into_iter().filter(|one| !is_fixed(&apex, one)).collect();
        for batch in ours.chunks(BATCH) {
            let deletions = batch.iter().map(|one| step(ChangeAction::Delete, one.clone()));
            route53::change(aws, zone, deletions.collect()).await?;
        }
        Ok(())
    }

    /// Returns true for the SOA and NS records of the zone itself, which Route 53 deletes with the
    /// zone.
    fn is_fixed(apex: &str, record: &ResourceRecordSet) -> bool {
        same_name(record.name(), apex) && matches!(record.r#type(), RrType::Soa | RrType::Ns)
    }

    fn outputs(id: &str) -> HostedZoneOutputs {
        HostedZoneOutputs { id: bare_id(id).into() }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_delegation_goes_and_the_zones_own_servers_stay() {
            let servers = |name: &str| {
                ResourceRecordSet::builder().name(name).r#type(RrType::Ns).build().unwrap()
            };
            assert!(is_fixed("demo.example.com.", &servers("demo.example.com.")));
            assert!(!is_fixed("demo.example.com.", &servers("sub.demo.example.com.")));
        }
    }
}
