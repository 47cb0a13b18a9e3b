//! A DNS record: an alias to a load balancer, or a CNAME where Route 53 has no aliases.

use groundplan_engine::graph::{Input, Resource, Schema, Wait};
use serde::{Deserialize, Serialize};

use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::{DnsName, HostedZoneId};
use crate::model::untracked::UntrackedKind;
use crate::summary::{labelled, name};

/// Inputs of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DnsRecord {
    /// Zone of the record.
    pub zone: Input<HostedZoneId>,
    /// Name, without the trailing dot.
    pub name: String,
    /// Type and target of the record.
    pub data: DnsRecordData,
}

/// Type and target of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DnsRecordData {
    /// A record that is an alias of a load balancer.
    Alias {
        /// DNS name of the load balancer.
        dns_name: Input<DnsName>,
        /// Hosted zone of the load balancer.
        hosted_zone: Input<HostedZoneId>,
    },
    /// CNAME record.
    Cname {
        /// Target name.
        dns_name: Input<DnsName>,
        /// Time in seconds for which resolvers may cache the record.
        ttl_seconds: i64,
    },
}

/// Outputs of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DnsRecordOutputs {
    /// Zone of the record.
    pub zone: HostedZoneId,
    /// ID of the change that set the record. `None` if no change is pending.
    pub change: Option<String>,
}

impl Resource for DnsRecord {
    const SCHEMA: Schema = Schema {
        force_new: &["zone", "name"],
        ready: Some(Wait { every_seconds: 5, within_seconds: 1800 }),
        typical_seconds: 35,
        ..Schema::of("record", Self::REPEAT.identity())
    };
    type Outputs = DnsRecordOutputs;
}

impl Kind for DnsRecord {
    const ACTIONS: Actions = Actions {
        create: &["route53:ChangeResourceRecordSets"],
        configure: &[],
        refresh: &["route53:GetChange", "route53:ListResourceRecordSets"],
        update: &["route53:ChangeResourceRecordSets", "route53:GetChange"],
        delete: &["route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets"],
    };
    const REPEAT: Repeat = Repeat::Named;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::RecordsOf("zone");
    const DRIFT: DriftFields = DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &[] };
    const UNTRACKED: SweepMethod = SweepMethod::ByList(UntrackedKind::Record);
    const SUBJECT: PlanSubject = PlanSubject::Dns;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        let target = |input: &Input<DnsName>| match input {
            Input::Ref(reference) => reference.to_string(),
            input => name(input),
        };
        let (form, to) = match &self.data {
            DnsRecordData::Alias { dns_name, .. } => ("A (alias)", target(dns_name)),
            DnsRecordData::Cname { dns_name, .. } => ("CNAME", target(dns_name)),
        };
        let route = format!("{} {form} -> {to}", self.name);
        Summary::of([route, labelled("in", &name(&self.zone))])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        Vec::new()
    }
}

#[cfg(feature = "sdk")]
pub(crate) use calls::delete_live;

#[cfg(feature = "sdk")]
mod calls {
    use std::collections::BTreeMap;

    use aws_sdk_route53::types::{
        AliasTarget, ChangeAction, ChangeStatus, ResourceRecord, ResourceRecordSet, RrType,
    };
    use groundplan_engine::graph::Input;
    use groundplan_engine::provider::{ErrorClass, ProviderError};

    use super::{DnsName, DnsRecord, DnsRecordData, DnsRecordOutputs, HostedZoneId};
    use crate::client::Aws;
    use crate::client::outcomes::{ambiguous_on_failure, none_if, retry_on};
    use crate::client::ownership::taken;
    use crate::client::resource_type::{
        Creation, KindOperations, Live, PollResult, Recorded, Result,
    };
    use crate::client::route53::{self, NO_ZONE, listing_order, same_name, step};

    /// Number of records in one page. The names of a cluster are neighbours in their zone, so one
    /// page usually contains all of them. A larger page would read unrelated records.
    const NEIGHBOURS: i32 = 10;

    impl KindOperations for DnsRecord {
        /// Creates the record. The change fails if a record with this name exists, because an
        /// UPSERT would overwrite a record of another owner.
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<DnsRecordOutputs> {
            let steps = vec![step(ChangeAction::Create, self.record_set())];
            let made = route53::change(aws, self.zone.get().as_str(), steps).await;
            // Not every AWS server knows a new zone immediately.
            match retry_on(made, NO_ZONE) {
                Ok(change) => Ok(self.outputs(Some(change))),
                Err(error) if error.is(&["InvalidChangeBatch"]) => {
                    ambiguous_on_failure(self.find(aws, creation).await)?.ok_or(error)
                }
                Err(error) => Err(error),
            }
        }

        /// Returns the record if type, target and TTL are equal; a record has no creation token. A
        /// different record is an error.
        async fn find(&self, aws: &Aws, _creation: &Creation) -> Result<Option<DnsRecordOutputs>> {
            match self.live(aws).await? {
                None => Ok(None),
                Some(live) if says(&live, &self.data) => Ok(Some(self.outputs(None))),
                Some(live) => Err(self.pointing_elsewhere("ListResourceRecordSets", &live)),
            }
        }

        async fn ready(
            aws: &Aws,
            waiting: Vec<Recorded<Self>>,
        ) -> Result<Vec<PollResult<DnsRecordOutputs>>> {
            let mut statuses: BTreeMap<String, bool> = BTreeMap::new();
            for one in &waiting {
                let change = one.outputs.as_ref().and_then(|outputs| outputs.change.as_ref());
                let Some(change) = change.filter(|change| !statuses.contains_key(*change)) else {
                    continue;
                };
                let zone = one.inputs.zone.get().as_str();
                statuses.insert(change.clone(), is_in_sync(aws, zone, change).await?);
            }
            let seen = |one: Recorded<Self>| {
                let change = one.outputs.as_ref().and_then(|outputs| outputs.change.as_ref());
                match change {
                    Some(change) if !statuses[change] => PollResult::Pending("PENDING".to_owned()),
                    _ => PollResult::Ready(one.inputs.outputs(None)),
                }
            };
            Ok(waiting.into_iter().map(seen).collect())
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let mut all: Vec<Option<Live<Self>>> = recorded.iter().map(|_| None).collect();
            let mut pending: Vec<usize> = (0..recorded.len()).collect();
            pending.sort_by(|&one, &other| order(&recorded[one].inputs, &recorded[other].inputs));
            while let Some(&first) = pending.first() {
                let DnsRecord { zone, name, .. } = &recorded[first].inputs;
                let page =
                    route53::records_from(aws, zone.get().as_str(), name, NEIGHBOURS).await?;
                let page = page.unwrap_or_default();
                pending.retain(|&index| {
                    let one = &recorded[index];
                    if one.inputs.zone.get() == zone.get() {
                        all[index] = one.inputs.among(&page).map(|live| one.seen(live));
                    }
                    // An absent first name is proven by the page. The other absent names may be on
                    // a later page.
                    all[index].is_none() && index != first
                });
            }
            Ok(all)
        }

        async fn update(
            &self,
            aws: &Aws,
            _creation: &Creation,
            _before: Recorded<Self>,
        ) -> Result<DnsRecordOutputs> {
            let mut steps = Vec::new();
            if let Some(live) = self.live(aws).await?
                && *live.r#type() != self.data.kind()
            {
                // A CNAME is the only record of its name, so deletion and creation must be one
                // change.
                steps.push(step(ChangeAction::Delete, live));
            }
            steps.push(step(ChangeAction::Upsert, self.record_set()));
            let change = route53::change(aws, self.zone.get().as_str(), steps).await;
            Ok(self.outputs(Some(or_look_again(change)?)))
        }

        /// Deletes the record. A record with another target belongs to another owner and stays; the
        /// call fails.
        async fn delete(aws: &Aws, inputs: Self, outputs: DnsRecordOutputs) -> Result<()> {
            let Some(live) = inputs.live(aws).await? else { return Ok(()) };
            if !points_alike(&live, &inputs.data) {
                return Err(inputs.pointing_elsewhere("ChangeResourceRecordSets", &live));
            }
            delete_live(aws, outputs.zone.as_str(), live).await
        }
    }

    /// Deletes a record as it was read. If another client changed it after the read, the error is
    /// retryable, and the retry reads again.
    pub(crate) async fn delete_live(aws: &Aws, zone: &str, live: ResourceRecordSet) -> Result<()> {
        let deleted = route53::change(aws, zone, vec![step(ChangeAction::Delete, live)]).await;
        none_if(or_look_again(deleted), NO_ZONE).map(drop)
    }

    impl DnsRecord {
        fn record_set(&self) -> ResourceRecordSet {
            let record = ResourceRecordSet::builder().name(&self.name).r#type(self.data.kind());
            let record = match &self.data {
                DnsRecordData::Alias { dns_name, hosted_zone } => {
                    let target = AliasTarget::builder()
                        .dns_name(dns_name.get().as_str())
                        .hosted_zone_id(hosted_zone.get().as_str())
                        .evaluate_target_health(false)
                        .build();
                    record.alias_target(target.expect("BUG: an alias has a name and a zone"))
                }
                DnsRecordData::Cname { dns_name, ttl_seconds } => {
                    let value = ResourceRecord::builder().value(dns_name.get().as_str()).build();
                    let value = value.expect("BUG: a CNAME has a value");
                    record.ttl(*ttl_seconds).resource_records(value)
                }
            };
            record.build().expect("BUG: a record has a name and a type")
        }

        /// Returns the live A or CNAME record with this name.
        async fn live(&self, aws: &Aws) -> Result<Option<ResourceRecordSet>> {
            let zone = self.zone.get().as_str();
            let page = route53::records_from(aws, zone, &self.name, NEIGHBOURS).await?;
            Ok(page.and_then(|page| self.among(&page).cloned()))
        }

        fn among<'a>(&self, page: &'a [ResourceRecordSet]) -> Option<&'a ResourceRecordSet> {
            page.iter().find(|live| {
                matches!(live.r#type(), RrType::A | RrType::Cname)
                    && same_name(live.name(), &self.name)
            })
        }

        fn pointing_elsewhere(&self, call: &str, live: &ResourceRecordSet) -> ProviderError {
            let what = format!("the record {} in zone {}", self.name, self.zone.get());
            let by = format!("a record that points to {}", points_to(live));
            taken(call, &what, &by).with_hint(format!(
                "another cluster may answer there. If that cluster is recorded elsewhere, select \
                 its state with --state or GROUNDPLAN_STATE; else set another metadata.name. Delete \
                 the record in zone {} only if nothing uses it; groundplan does not change records \
                 that point elsewhere",
                self.zone.get()
            ))
        }

        fn outputs(&self, change: Option<String>) -> DnsRecordOutputs {
            DnsRecordOutputs { zone: self.zone.get().clone(), change }
        }
    }

    impl Recorded<DnsRecord> {
        fn seen(&self, live: &ResourceRecordSet) -> Live<DnsRecord> {
            let mut inputs = self.inputs.clone();
            if !says(live, &inputs.data) {
                inputs.data = data(live);
            }
            let change = self.outputs.as_ref().and_then(|outputs| outputs.change.clone());
            let outputs = inputs.outputs(change);
            Live::new(inputs, outputs)
        }
    }

    impl DnsRecordData {
        fn kind(&self) -> RrType {
            match self {
                Self::Alias { .. } => RrType::A,
                Self::Cname { .. } => RrType::Cname,
            }
        }
    }

    /// Makes a failed deletion retryable if the record is absent or different. The listing is out
    /// of date then. One cause is this change itself, if its response was lost and the SDK sent it
    /// again.
    fn or_look_again<T>(changed: Result<T>) -> Result<T> {
        changed.map_err(|mut error| {
            if error.is(&["InvalidChangeBatch"]) && error.message.contains("Tried to delete") {
                error.class = ErrorClass::Retryable;
            }
            error
        })
    }

    fn order(one: &DnsRecord, other: &DnsRecord) -> std::cmp::Ordering {
        let by_zone = one.zone.get().cmp(other.zone.get());
        by_zone.then_with(|| listing_order(&one.name, &other.name))
    }

    async fn is_in_sync(aws: &Aws, zone: &str, change: &str) -> Result<bool> {
        let call = aws.route53_of(zone).get_change().id(change);
        let answer = aws.call("route53", "GetChange", call.send()).await;
        // Route 53 does not keep old changes; a change that it no longer knows was in sync before.
        let Some(answer) = none_if(answer, &["NoSuchChange"])? else { return Ok(true) };
        Ok(answer.change_info().is_some_and(|info| *info.status() == ChangeStatus::Insync))
    }

    /// Returns the target of a record: the alias target, or its values joined by commas.
    fn points_to(live: &ResourceRecordSet) -> String {
        match live.alias_target() {
            Some(target) => route53::plain_name(target.dns_name()),
            None => {
                let values: Vec<_> =
                    live.resource_records().iter().map(ResourceRecord::value).collect();
                route53::plain_name(&values.join(", "))
            }
        }
    }

    fn points_alike(live: &ResourceRecordSet, data: &DnsRecordData) -> bool {
        let (DnsRecordData::Alias { dns_name, .. } | DnsRecordData::Cname { dns_name, .. }) = data;
        same_name(&points_to(live), dns_name.get().as_str())
    }

    /// Returns true if the live record equals the inputs: type, target, and zone or TTL.
    fn says(live: &ResourceRecordSet, data: &DnsRecordData) -> bool {
        *live.r#type() == data.kind()
            && points_alike(live, data)
            && match data {
                DnsRecordData::Alias { hosted_zone, .. } => live
                    .alias_target()
                    .is_some_and(|target| target.hosted_zone_id() == hosted_zone.get().as_str()),
                DnsRecordData::Cname { ttl_seconds, .. } => live.ttl() == Some(*ttl_seconds),
            }
    }

    /// Converts a live record to the shape of the inputs. An A record with addresses is shown as an
    /// alias with the addresses in place of the load balancer's name.
    fn data(live: &ResourceRecordSet) -> DnsRecordData {
        let dns_name = Input::Known(DnsName(points_to(live)));
        if *live.r#type() == RrType::Cname {
            return DnsRecordData::Cname { dns_name, ttl_seconds: live.ttl().unwrap_or_default() };
        }
        let zone = live.alias_target().map(AliasTarget::hosted_zone_id).unwrap_or_default();
        DnsRecordData::Alias { dns_name, hosted_zone: Input::Known(HostedZoneId::from(zone)) }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn alias(dns_name: &str, zone: &str) -> DnsRecord {
            DnsRecord {
                zone: HostedZoneId::from("Z1").into(),
                name: "api.demo.example.com".to_owned(),
                data: DnsRecordData::Alias {
                    dns_name: DnsName::from(dns_name).into(),
                    hosted_zone: HostedZoneId::from(zone).into(),
                },
            }
        }

        #[test]
        fn route_53_writes_a_balancers_name_its_own_way() {
            let ours = alias("Demo-Int-0a1b.elb.us-west-2.amazonaws.com", "Z2");
            let written = alias("demo-int-0a1b.elb.us-west-2.amazonaws.com.", "Z2").record_set();
            assert!(says(&written, &ours.data));
        }

        #[test]
        fn another_balancer_is_a_difference_and_not_ours_to_delete() {
            let ours = alias("demo.elb.amazonaws.com", "Z2");
            let other = alias("prod.elb.amazonaws.com", "Z2").record_set();
            assert!(!says(&other, &ours.data) && !points_alike(&other, &ours.data));
            assert_eq!(data(&other), alias("prod.elb.amazonaws.com", "Z2").data);
        }

        #[test]
        fn a_list_of_addresses_is_shown_as_what_the_name_leads_to() {
            let address = |ip: &str| ResourceRecord::builder().value(ip).build().unwrap();
            let live = ResourceRecordSet::builder().name("api.demo.example.com.").r#type(RrType::A);
            let live =
                live.resource_records(address("10.0.0.1")).resource_records(address("10.0.0.2"));
            let DnsRecordData::Alias { dns_name, .. } = data(&live.build().unwrap()) else {
                panic!("an address record is no CNAME");
            };
            assert_eq!(dns_name.get().as_str(), "10.0.0.1, 10.0.0.2");
        }

        #[test]
        fn a_refusal_names_what_the_record_points_to() {
            let ours = alias("demo.elb.amazonaws.com", "Z2");
            let other = alias("prod.elb.amazonaws.com", "Z2").record_set();
            let error = ours.pointing_elsewhere("ChangeResourceRecordSets", &other);
            assert_eq!(error.class, ErrorClass::Permanent);
            assert!(error.message.contains("prod.elb.amazonaws.com"), "{error}");
        }
    }
}
