//! Search for the private zone of the cluster and for records that its operators write elsewhere.
//! Operators write to the public zone of a parent domain (`*.apps`), or to a private zone that the
//! user provides. The search of the public zone follows openshift-installer's destroy
//! (pkg/destroy/aws, deleteRoute53).

use aws_sdk_route53::types::{HostedZone, ResourceRecordSet, RrType};

use super::{OWNED, RemainingResource, SHARED_TAG, infra_id};
use crate::Aws;
use crate::client::resource_type::Result;
use crate::client::route53::{self, plain_name};
use crate::lookups::queries::{is_private, zone_id, zones_named};

/// Number of records in one page when one record is searched in a zone that may be large.
const NEIGHBOURS: i32 = 10;

/// Returns the ID of a record in the sweep, as in `Z123/A/api.demo.example.com`.
pub(crate) fn record_id(zone: &str, kind: &str, name: &str) -> String {
    format!("{zone}/{kind}/{}", plain_name(name))
}

/// Splits an ID from [`record_id`] into zone, type and name.
pub(crate) fn cut(id: &str) -> Option<(&str, &str, &str)> {
    let (zone, rest) = id.split_once('/')?;
    let (kind, name) = rest.split_once('/')?;
    Some((zone, kind, name))
}

pub(super) async fn zones_and_records(
    aws: &Aws,
    domain: Option<&str>,
) -> Result<Vec<RemainingResource>> {
    let mut left = Vec::new();
    for zone in candidates(aws, domain).await? {
        let id = zone_id(&zone.id);
        let tags = route53::live_tags(aws, id.as_str()).await?.unwrap_or_default();
        let Some(value) = tags.get(&aws.settings.cluster_tag) else { continue };
        let name = plain_name(&zone.name);
        if value != OWNED {
            left.push(RemainingResource::new(SHARED_TAG, id.as_str(), Some(&name)));
            left.extend(written_by_the_cluster(aws, id.as_str(), &name).await?);
        } else {
            left.push(RemainingResource::new("hosted-zone", id.as_str(), Some(&name)));
            left.extend(also_above(aws, id.as_str(), &name).await?);
        }
    }
    Ok(left)
}

/// Returns the zones that may be those of the cluster. With `domain`, these are the zones of that
/// domain. Without, these are the private zones whose domain begins with the cluster name.
async fn candidates(aws: &Aws, domain: Option<&str>) -> Result<Vec<HostedZone>> {
    if let Some(domain) = domain {
        return zones_named(aws, domain).await;
    }
    let cluster = infra_id(aws).rsplit_once('-').map_or("", |(name, _)| name);
    let (mut zones, mut marker) = (Vec::new(), None);
    loop {
        let call = aws.route53.list_hosted_zones().set_marker(marker).send();
        let page = aws.call("route53", "ListHostedZones", call).await?;
        let ours = |zone: &HostedZone| is_private(zone) && zone.name.starts_with(cluster);
        zones.extend(page.hosted_zones.into_iter().filter(ours));
        marker = page.next_marker.filter(|_| page.is_truncated);
        if marker.is_none() {
            return Ok(zones);
        }
    }
}

/// Returns the records below the cluster's domain in a zone that existed before the cluster.
async fn written_by_the_cluster(
    aws: &Aws,
    zone: &str,
    domain: &str,
) -> Result<Vec<RemainingResource>> {
    let records = route53::every_record(aws, zone).await?;
    let ours = records.iter().filter(|one| is_below(one.name(), domain) && !is_fixed(one));
    Ok(ours.map(|one| leftover(zone, one)).collect())
}

/// Returns the records of the public zone of a parent domain that have the name and type of a
/// record in the private zone.
async fn also_above(aws: &Aws, private: &str, domain: &str) -> Result<Vec<RemainingResource>> {
    let Some(public) = public_zone_above(aws, domain).await? else { return Ok(Vec::new()) };
    let mut left = Vec::new();
    for record in route53::every_record(aws, private).await?.iter().filter(|one| !is_fixed(one)) {
        let page = route53::records_from(aws, &public, record.name(), NEIGHBOURS).await?;
        let same = |one: &&ResourceRecordSet| {
            route53::same_name(one.name(), record.name()) && one.r#type() == record.r#type()
        };
        left.extend(page.unwrap_or_default().iter().find(same).map(|one| leftover(&public, one)));
    }
    Ok(left)
}

/// Returns the ID of the public zone of the nearest parent domain. `None` if no parent has one.
async fn public_zone_above(aws: &Aws, domain: &str) -> Result<Option<String>> {
    let mut above = domain;
    while let Some((_, parent)) = above.split_once('.') {
        let zones = zones_named(aws, parent).await?;
        if let Some(zone) = zones.iter().find(|zone| !is_private(zone)) {
            return Ok(Some(zone_id(&zone.id).0));
        }
        above = parent;
    }
    Ok(None)
}

fn is_below(name: &str, domain: &str) -> bool {
    plain_name(name).strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// Returns true for SOA and NS records, which belong to the zone itself.
fn is_fixed(record: &ResourceRecordSet) -> bool {
    matches!(record.r#type(), RrType::Soa | RrType::Ns)
}

fn leftover(zone: &str, record: &ResourceRecordSet) -> RemainingResource {
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

    #[test]
    fn a_name_is_below_a_domain_by_whole_labels() {
        assert!(is_below("\\052.apps.demo.example.com.", "demo.example.com"));
        for other in ["demo.example.com.", "api.mydemo.example.com.", "example.com."] {
            assert!(!is_below(other, "demo.example.com"), "{other}");
        }
    }
}
