//! Search for the private zone of the cluster, and for records of the cluster in other zones.
//!
//! Operators of the cluster write records such as `*.apps` to the public zone of a parent domain,
//! or to a private zone that the user provides. The search of the public zone follows the destroy
//! of openshift-install (pkg/destroy/aws, deleteRoute53).

use std::collections::BTreeSet;

use aws_sdk_route53::types::{HostedZone, ResourceRecordSet, RrType};

use super::lists::{Items, List};
use super::{PAUSE, RemainingResource, SHARED_TAG, SweepNames, incomplete, infra_id};
use crate::client::outcomes::none_if;
use crate::client::resource_type::Result;
use crate::client::route53::{self, plain_name};
use crate::lookups::queries::{is_private, zone_id, zones_named};
use crate::model::untracked::UntrackedKind;
use crate::{Aws, Tags};

/// Number of records that one call lists in a public zone, beginning with the searched name. Public
/// zones may be large, and one name has few records.
const RECORDS_FROM_NAME: i32 = 10;

/// Returns the ID that a sweep gives to a record: zone, type and name, as in
/// `Z123/A/api.demo.example.com`.
pub(crate) fn record_id(zone: &str, kind: &str, name: &str) -> String {
    format!("{zone}/{kind}/{}", plain_name(name))
}

/// Splits an ID from [`record_id`] into zone, type and name. `None` if the ID has another form.
pub(crate) fn cut(id: &str) -> Option<(&str, &str, &str)> {
    let (zone, rest) = id.split_once('/')?;
    let (kind, name) = rest.split_once('/')?;
    Some((zone, kind, name))
}

/// Returns the zones with the cluster tag, and the records that operators of the cluster wrote.
///
/// # Errors
/// Returns an error if a call fails, and a retryable one if a list lacks what it must contain.
pub(super) async fn zones_and_records(
    aws: &Aws,
    names: &SweepNames,
) -> Result<Vec<RemainingResource>> {
    let domain = names.domain.as_deref();
    let call = domain.map_or("ListHostedZones", |_| "ListHostedZonesByName");
    let (kind, recorded) = (UntrackedKind::HostedZone, &names.recorded);
    let list = List { kind, call, recorded, prefix: None };
    let zones = list.read(aws, || async move { by_id(candidates(aws, domain).await?) }).await?;
    let mut left = Vec::new();
    for zone in zones.into_values() {
        left.extend(of_cluster(aws, domain, &zone).await?);
    }
    Ok(left)
}

/// Returns the zone with this ID, as [`zones_and_records`] does, if it exists and has the tag of the
/// cluster.
pub(super) async fn zone_by_id(
    aws: &Aws,
    names: &SweepNames,
    id: &str,
) -> Result<Vec<RemainingResource>> {
    let call = aws.route53_of(id).get_hosted_zone().id(id).send();
    let answer = none_if(aws.call("route53", "GetHostedZone", call).await, route53::NO_ZONE)?;
    match answer.and_then(|answer| answer.hosted_zone) {
        Some(zone) => of_cluster(aws, names.domain.as_deref(), &zone).await,
        None => Ok(Vec::new()),
    }
}

/// Returns a zone with the tag of the cluster, and the records of the cluster in it and in the public
/// zone above. Nothing without the tag.
async fn of_cluster(
    aws: &Aws,
    domain: Option<&str>,
    zone: &HostedZone,
) -> Result<Vec<RemainingResource>> {
    let (id, name) = (zone_id(&zone.id), plain_name(&zone.name));
    let found = RemainingResource::new("hosted-zone", id.as_str(), Some(&name));
    let tags = tags(aws, id.as_str()).await?;
    let Some(found) = found.with_tags(&aws.settings, &tags) else { return Ok(Vec::new()) };
    let is_shared = found.kind == SHARED_TAG;
    let is_used_by_others = !found.claims.is_empty();
    let mut left = vec![found];
    if !is_shared {
        left.extend(records_in_public_zone(aws, id.as_str(), &name, &name).await?);
        return Ok(left);
    }
    let records = every_record_of(aws, id.as_str()).await?;
    let domain = match domain {
        Some(domain) => domain,
        // The zone may be that of a parent domain, with records of other clusters. The record of the
        // internal API shows that the domain of the zone is that of a cluster.
        None if !is_used_by_others && has_internal_api(&records, &name) => name.as_str(),
        None => return Ok(left),
    };
    left.extend(records_below(id.as_str(), &records, domain));
    left.extend(records_in_public_zone(aws, id.as_str(), &name, domain).await?);
    Ok(left)
}

/// Returns true if a zone has the record `api-int.<name>`, which each cluster has in its private
/// zone.
fn has_internal_api(records: &[ResourceRecordSet], name: &str) -> bool {
    let api = format!("api-int.{name}");
    records.iter().any(|one| route53::same_name(one.name(), &api))
}

fn by_id(zones: Vec<HostedZone>) -> Result<Items<HostedZone>> {
    Ok(zones.into_iter().map(|zone| (zone_id(&zone.id).0, zone)).collect())
}

/// Returns the tags of a zone. A zone without tags is read a second time after a pause.
async fn tags(aws: &Aws, zone: &str) -> Result<Tags> {
    let tags = route53::live_tags(aws, zone).await?.unwrap_or_default();
    if !tags.is_empty() {
        return Ok(tags);
    }
    tokio::time::sleep(PAUSE).await;
    Ok(route53::live_tags(aws, zone).await?.unwrap_or_default())
}

/// Returns the zones that may be those of the cluster; the caller checks their tags. With `domain`:
/// the zones of that domain. Without `domain`: the private zones whose domain begins with the
/// cluster name in the infra ID, which may be shortened.
async fn candidates(aws: &Aws, domain: Option<&str>) -> Result<Vec<HostedZone>> {
    if let Some(domain) = domain {
        return zones_named(aws, domain).await;
    }
    let cluster = infra_id(aws).rsplit_once('-').map_or("", |(name, _)| name);
    let (mut zones, mut marker) = (Vec::new(), None);
    loop {
        let call = aws.route53().list_hosted_zones().set_marker(marker).send();
        let page = aws.call("route53", "ListHostedZones", call).await?;
        let may_be_ours = |zone: &HostedZone| is_private(zone) && zone.name.starts_with(cluster);
        zones.extend(page.hosted_zones.into_iter().filter(may_be_ours));
        marker = page.next_marker.filter(|_| page.is_truncated);
        if marker.is_none() {
            return Ok(zones);
        }
    }
}

/// Returns the records of a zone that the user provided. A record in either of two lists counts.
async fn every_record_of(aws: &Aws, zone: &str) -> Result<Vec<ResourceRecordSet>> {
    let mut records = complete_records(aws, zone).await?;
    tokio::time::sleep(PAUSE).await;
    records.extend(complete_records(aws, zone).await?);
    Ok(records)
}

/// Returns the records below the cluster's domain. The zone itself stays.
fn records_below(
    zone: &str,
    records: &[ResourceRecordSet],
    domain: &str,
) -> BTreeSet<RemainingResource> {
    let ours = records.iter().filter(|one| is_below(one.name(), domain) && !belongs_to_zone(one));
    ours.map(|one| remaining_record(zone, one)).collect()
}

/// Returns all records of a zone.
///
/// # Errors
/// Returns an error if the call fails, and a retryable one if the list lacks the SOA record that each
/// zone has.
async fn complete_records(aws: &Aws, zone: &str) -> Result<Vec<ResourceRecordSet>> {
    let records = route53::every_record(aws, zone).await?;
    match records.iter().any(|one| *one.r#type() == RrType::Soa) {
        true => Ok(records),
        false => Err(incomplete("ListResourceRecordSets", zone)),
    }
}

/// Returns the records of the public zone of a parent domain that have the name and type of a
/// record below `domain` in the private zone. After the private zone is deleted, no search finds them. Therefore the
/// lists are read a second time after a pause; a record in either list counts.
async fn records_in_public_zone(
    aws: &Aws,
    private: &str,
    name: &str,
    domain: &str,
) -> Result<BTreeSet<RemainingResource>> {
    let mut left = BTreeSet::new();
    let is_meant = |one: &ResourceRecordSet| domain == name || is_below(one.name(), domain);
    add_records_in_public_zone(aws, private, domain, &is_meant, &mut left).await?;
    tokio::time::sleep(PAUSE).await;
    add_records_in_public_zone(aws, private, domain, &is_meant, &mut left).await?;
    Ok(left)
}

/// Adds the records in the public zone that `left` lacks.
async fn add_records_in_public_zone(
    aws: &Aws,
    private: &str,
    domain: &str,
    is_meant: &(dyn Fn(&ResourceRecordSet) -> bool + Sync),
    left: &mut BTreeSet<RemainingResource>,
) -> Result<()> {
    let Some(public) = public_zone_above(aws, domain).await? else { return Ok(()) };
    for record in complete_records(aws, private).await? {
        if belongs_to_zone(&record)
            || !is_meant(&record)
            || left.contains(&remaining_record(&public, &record))
        {
            continue;
        }
        let page = route53::records_from(aws, &public, record.name(), RECORDS_FROM_NAME).await?;
        let same = |one: &&ResourceRecordSet| {
            route53::same_name(one.name(), record.name()) && one.r#type() == record.r#type()
        };
        left.extend(
            page.unwrap_or_default().iter().find(same).map(|one| remaining_record(&public, one)),
        );
    }
    Ok(())
}

/// Returns the ID of the public zone of the nearest parent domain. `None` if no parent has one.
async fn public_zone_above(aws: &Aws, domain: &str) -> Result<Option<String>> {
    let mut child = domain;
    while let Some((_, parent)) = child.split_once('.') {
        let zones = zones_named(aws, parent).await?;
        if let Some(zone) = zones.iter().find(|zone| !is_private(zone)) {
            return Ok(Some(zone_id(&zone.id).0));
        }
        child = parent;
    }
    Ok(None)
}

/// Returns true if `name` is a subdomain of `domain`.
fn is_below(name: &str, domain: &str) -> bool {
    plain_name(name).strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// Returns true for SOA and NS records, which belong to the zone itself.
fn belongs_to_zone(record: &ResourceRecordSet) -> bool {
    matches!(record.r#type(), RrType::Soa | RrType::Ns)
}

fn remaining_record(zone: &str, record: &ResourceRecordSet) -> RemainingResource {
    let name = plain_name(record.name());
    let id = record_id(zone, record.r#type().as_str(), &name);
    RemainingResource::new("record", &id, Some(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_called_by_its_zone_type_and_name() {
        let id = record_id("Z1", "A", "\\052.apps.demo.example.com.");
        assert_eq!(id, "Z1/A/*.apps.demo.example.com");
        assert_eq!(cut(&id), Some(("Z1", "A", "*.apps.demo.example.com")));
        assert_eq!(cut("Z1"), None);
    }

    fn record(name: &str) -> ResourceRecordSet {
        ResourceRecordSet::builder().name(name).r#type(RrType::A).build().unwrap()
    }

    #[test]
    fn only_records_below_the_domain_of_the_cluster_leave_a_zone_of_the_user() {
        let records = [
            "api-int.demo.example.com.",
            "\\052.apps.demo.example.com.",
            "api-int.prod.example.com.",
            "api.mydemo.example.com.",
            "demo.example.com.",
        ]
        .map(record);
        let ids: Vec<String> = records_below("Z1", &records, "demo.example.com")
            .into_iter()
            .map(|one| one.id)
            .collect();
        assert_eq!(ids, ["Z1/A/*.apps.demo.example.com", "Z1/A/api-int.demo.example.com"]);
        assert!(has_internal_api(&records, "demo.example.com"));
        assert!(!has_internal_api(&records, "example.com"));
    }

    #[test]
    fn a_name_is_below_a_domain_by_whole_labels() {
        assert!(is_below("\\052.apps.demo.example.com.", "demo.example.com"));
        for other in ["demo.example.com.", "api.mydemo.example.com.", "example.com."] {
            assert!(!is_below(other, "demo.example.com"), "{other}");
        }
    }
}
