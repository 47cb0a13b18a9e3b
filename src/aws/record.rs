//! A DNS record: an alias to a load balancer, or a CNAME where aliases do not exist.

use serde::{Deserialize, Serialize};

use super::facts::{Actions, Arn, Count, Drift, Kind, Repeat, Security, Untracked};
use super::ids::{DnsName, HostedZoneId};
use super::swept::What;
use crate::graph::{Input, Resource, Schema, Wait};

/// A record's inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The zone it is in.
    pub zone: Input<HostedZoneId>,
    /// Its name, without the trailing dot.
    pub name: String,
    /// What it says.
    pub data: RecordData,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordData {
    /// An A record that follows a load balancer.
    Alias {
        /// The balancer's DNS name.
        dns_name: Input<DnsName>,
        /// The balancer's hosted zone.
        hosted_zone: Input<HostedZoneId>,
    },
    /// A CNAME.
    Cname {
        /// What it points to.
        dns_name: Input<DnsName>,
        /// How long it may be remembered.
        ttl_seconds: i64,
    },
}

/// What is known of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordOutputs {
    /// The zone it is in.
    pub zone: HostedZoneId,
    /// The change that made it, while that may still be pending.
    pub change: Option<String>,
}

impl Resource for Record {
    const SCHEMA: Schema = Schema {
        replaced_by: &["zone", "name"],
        ready: Some(Wait { every_seconds: 5, within_seconds: 1800 }),
        typical_seconds: 35,
        ..Schema::of("record", Self::REPEAT.identity())
    };
    type Outputs = RecordOutputs;
}

impl Kind for Record {
    const ACTIONS: Actions = Actions {
        create: &["route53:ChangeResourceRecordSets"],
        configure: &[],
        observe: &["route53:GetChange", "route53:ListResourceRecordSets"],
        update: &["route53:ChangeResourceRecordSets", "route53:GetChange"],
        delete: &["route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets"],
    };
    const REPEAT: Repeat = Repeat::Named;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<Count> = None;
    const ARN: Arn = Arn::RecordsOf("zone");
    const DRIFT: Drift =
        Drift { security: Security::Fields(&[]), cosmetic: &[], always_shown: &[] };
    const UNTRACKED: Untracked = Untracked::ByList(What::Record);
}

#[cfg(feature = "sdk")]
mod calls {
    use std::collections::BTreeMap;

    use aws_sdk_route53::types::{
        AliasTarget, ChangeAction, ChangeStatus, ResourceRecord, ResourceRecordSet, RrType,
    };

    use super::{DnsName, HostedZoneId, Record, RecordData, RecordOutputs};
    use crate::aws::client::Aws;
    use crate::aws::kind::{Creation, Live, Manage, Recorded, Result, Seen};
    use crate::aws::ownership::taken;
    use crate::aws::replies::{found, settling, unproven};
    use crate::aws::route53::{self, NO_ZONE, listing_order, same_name, step};
    use crate::graph::Input;
    use crate::provider::{Class, ProviderError};

    /// Records read per look. The names of a cluster are neighbours in their zone, so one look
    /// usually answers for all of them; more would read what is none of our business.
    const NEIGHBOURS: i32 = 10;

    impl Manage for Record {
        /// Makes it only where nothing is: an UPSERT would take somebody's name away.
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<RecordOutputs> {
            let steps = vec![step(ChangeAction::Create, self.record_set())];
            let made = route53::change(aws, self.zone.get().as_str(), steps).await;
            // The zone was made a moment ago: not every server knows it yet.
            match settling(made, NO_ZONE) {
                Ok(change) => Ok(self.outputs(Some(change))),
                Err(error) if error.is(&["InvalidChangeBatch"]) => {
                    unproven(self.find(aws, creation).await)?.ok_or(error)
                }
                Err(error) => Err(error),
            }
        }

        /// A record has no token; one that says the same is ours.
        async fn find(&self, aws: &Aws, _creation: &Creation) -> Result<Option<RecordOutputs>> {
            match self.live(aws).await? {
                None => Ok(None),
                Some(live) if says(&live, &self.data) => Ok(Some(self.outputs(None))),
                Some(live) => Err(self.pointing_elsewhere("ListResourceRecordSets", &live)),
            }
        }

        async fn ready(
            aws: &Aws,
            waiting: Vec<Recorded<Self>>,
        ) -> Result<Vec<Seen<RecordOutputs>>> {
            let mut statuses: BTreeMap<String, bool> = BTreeMap::new();
            for change in waiting.iter().filter_map(|one| one.outputs.as_ref()?.change.as_ref()) {
                if !statuses.contains_key(change) {
                    statuses.insert(change.clone(), is_in_sync(aws, change).await?);
                }
            }
            let seen = |one: Recorded<Self>| {
                let change = one.outputs.as_ref().and_then(|outputs| outputs.change.as_ref());
                match change {
                    Some(change) if !statuses[change] => Seen::NotYet("PENDING".to_owned()),
                    _ => Seen::Done(one.inputs.outputs(None)),
                }
            };
            Ok(waiting.into_iter().map(seen).collect())
        }

        async fn observe(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let mut all: Vec<Option<Live<Self>>> = recorded.iter().map(|_| None).collect();
            let mut pending: Vec<usize> = (0..recorded.len()).collect();
            pending.sort_by(|&one, &other| order(&recorded[one].inputs, &recorded[other].inputs));
            while let Some(&first) = pending.first() {
                let Record { zone, name, .. } = &recorded[first].inputs;
                let page =
                    route53::records_from(aws, zone.get().as_str(), name, NEIGHBOURS).await?;
                let page = page.unwrap_or_default();
                pending.retain(|&index| {
                    let one = &recorded[index];
                    if one.inputs.zone.get() == zone.get() {
                        all[index] = one.inputs.among(&page).map(|live| one.seen(live));
                    }
                    // Nothing found for the first name is an answer; for the others it may only
                    // mean that they are further on.
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
        ) -> Result<RecordOutputs> {
            let mut steps = Vec::new();
            if let Some(live) = self.live(aws).await?
                && *live.r#type() != self.data.kind()
            {
                // A CNAME stands alone under its name: both steps are one change.
                steps.push(step(ChangeAction::Delete, live));
            }
            steps.push(step(ChangeAction::Upsert, self.record_set()));
            let change = route53::change(aws, self.zone.get().as_str(), steps).await;
            Ok(self.outputs(Some(or_look_again(change)?)))
        }

        /// A record that has come to point elsewhere serves somebody else by now: it stays.
        async fn delete(aws: &Aws, inputs: Self, outputs: RecordOutputs) -> Result<()> {
            let Some(live) = inputs.live(aws).await? else { return Ok(()) };
            if !points_alike(&live, &inputs.data) {
                return Err(inputs.pointing_elsewhere("ChangeResourceRecordSets", &live));
            }
            let steps = vec![step(ChangeAction::Delete, live)];
            let deleted = route53::change(aws, outputs.zone.as_str(), steps).await;
            found(or_look_again(deleted), NO_ZONE).map(drop)
        }
    }

    impl Record {
        fn record_set(&self) -> ResourceRecordSet {
            let record = ResourceRecordSet::builder().name(&self.name).r#type(self.data.kind());
            let record = match &self.data {
                RecordData::Alias { dns_name, hosted_zone } => {
                    let target = AliasTarget::builder()
                        .dns_name(dns_name.get().as_str())
                        .hosted_zone_id(hosted_zone.get().as_str())
                        .evaluate_target_health(false)
                        .build();
                    record.alias_target(target.expect("BUG: an alias has a name and a zone"))
                }
                RecordData::Cname { dns_name, ttl_seconds } => {
                    let value = ResourceRecord::builder().value(dns_name.get().as_str()).build();
                    let value = value.expect("BUG: a CNAME has a value");
                    record.ttl(*ttl_seconds).resource_records(value)
                }
            };
            record.build().expect("BUG: a record has a name and a type")
        }

        /// What is under its name now, be it an address or a CNAME.
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
            let by = format!("one that points to {}", points_to(live));
            taken(call, &what, &by).with_hint(format!(
                "groundplan does not touch a record that points elsewhere: delete it in zone {} \
                 if nobody needs it, and run this again",
                self.zone.get()
            ))
        }

        fn outputs(&self, change: Option<String>) -> RecordOutputs {
            RecordOutputs { zone: self.zone.get().clone(), change }
        }
    }

    impl Recorded<Record> {
        fn seen(&self, live: &ResourceRecordSet) -> Live<Record> {
            let mut inputs = self.inputs.clone();
            if !says(live, &inputs.data) {
                inputs.data = data(live);
            }
            let change = self.outputs.as_ref().and_then(|outputs| outputs.change.clone());
            let outputs = inputs.outputs(change);
            Live { inputs, outputs }
        }
    }

    impl RecordData {
        fn kind(&self) -> RrType {
            match self {
                Self::Alias { .. } => RrType::A,
                Self::Cname { .. } => RrType::Cname,
            }
        }
    }

    /// The outcome of a change that takes away what a look has shown. That it is not there, or not
    /// like that, means that the look is out of date, perhaps by this very change: its answer was
    /// lost, and the SDK has sent it again.
    fn or_look_again<T>(changed: Result<T>) -> Result<T> {
        changed.map_err(|mut error| {
            if error.is(&["InvalidChangeBatch"]) && error.message.contains("Tried to delete") {
                error.class = Class::Again;
            }
            error
        })
    }

    fn order(one: &Record, other: &Record) -> std::cmp::Ordering {
        let by_zone = one.zone.get().cmp(other.zone.get());
        by_zone.then_with(|| listing_order(&one.name, &other.name))
    }

    async fn is_in_sync(aws: &Aws, change: &str) -> Result<bool> {
        let call = aws.route53.get_change().id(change);
        let answer = aws.call("route53", "GetChange", call.send()).await;
        // Route 53 forgets old changes; they were in sync long before.
        let Some(answer) = found(answer, &["NoSuchChange"])? else { return Ok(true) };
        Ok(answer.change_info().is_some_and(|info| *info.status() == ChangeStatus::Insync))
    }

    /// Where a record leads.
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

    fn points_alike(live: &ResourceRecordSet, data: &RecordData) -> bool {
        let (RecordData::Alias { dns_name, .. } | RecordData::Cname { dns_name, .. }) = data;
        same_name(&points_to(live), dns_name.get().as_str())
    }

    /// Whether a live record says exactly this.
    fn says(live: &ResourceRecordSet, data: &RecordData) -> bool {
        *live.r#type() == data.kind()
            && points_alike(live, data)
            && match data {
                RecordData::Alias { hosted_zone, .. } => live
                    .alias_target()
                    .is_some_and(|target| target.hosted_zone_id() == hosted_zone.get().as_str()),
                RecordData::Cname { ttl_seconds, .. } => live.ttl() == Some(*ttl_seconds),
            }
    }

    /// A live record in the shape of the inputs. One that lists addresses instead of following a
    /// balancer shows them where the balancer's name would be.
    fn data(live: &ResourceRecordSet) -> RecordData {
        let dns_name = Input::Known(DnsName(points_to(live)));
        if *live.r#type() == RrType::Cname {
            return RecordData::Cname { dns_name, ttl_seconds: live.ttl().unwrap_or_default() };
        }
        let zone = live.alias_target().map(AliasTarget::hosted_zone_id).unwrap_or_default();
        RecordData::Alias { dns_name, hosted_zone: Input::Known(HostedZoneId::from(zone)) }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn alias(dns_name: &str, zone: &str) -> Record {
            Record {
                zone: HostedZoneId::from("Z1").into(),
                name: "api.demo.example.com".to_owned(),
                data: RecordData::Alias {
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
            let RecordData::Alias { dns_name, .. } = data(&live.build().unwrap()) else {
                panic!("an address record is no CNAME");
            };
            assert_eq!(dns_name.get().as_str(), "10.0.0.1, 10.0.0.2");
        }

        #[test]
        fn a_refusal_names_what_the_record_points_to() {
            let ours = alias("demo.elb.amazonaws.com", "Z2");
            let other = alias("prod.elb.amazonaws.com", "Z2").record_set();
            let error = ours.pointing_elsewhere("ChangeResourceRecordSets", &other);
            assert_eq!(error.class, Class::Refused);
            assert!(error.message.contains("prod.elb.amazonaws.com"), "{error}");
        }
    }
}
