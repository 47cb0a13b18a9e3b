//! The DNS records of the API (release-4.15, `route53/base.tf`).
//!
//! The cluster itself creates `*.apps`.

use groundplan_aws::kinds::hosted_zone::HostedZone;
use groundplan_aws::kinds::load_balancer::LoadBalancer;
use groundplan_aws::kinds::record::{DnsRecord, DnsRecordData};
use groundplan_aws::model::ids::HostedZoneId;
use groundplan_engine::graph::{Graph, Handle, Input};
use groundplan_engine::out;

use super::iam::partition;
use super::load_balancers::LoadBalancers;
use super::naming::ResourceNames;
use super::network::Network;
use super::{CompileError, CompileErrors, existing};
use crate::install_config::{InstallConfig, Publish};
use crate::topology::lookups::{HostedZoneFact, Lookup, LookupCache};

/// Existing hosted zones.
pub(crate) struct Zones {
    /// The private hosted zone of the user. `None` if the cluster gets its own.
    private: Option<HostedZoneId>,
    /// The public hosted zone of the base domain. `None` for an internal cluster.
    public: Option<HostedZoneId>,
}

/// Returns the existing hosted zones of this config. Reports zones that are unsuitable.
pub(super) fn zones(
    config: &InstallConfig,
    lookup_cache: &LookupCache,
    errors: &mut CompileErrors,
) -> Option<Zones> {
    let private = config.aws.hosted_zone.as_ref();
    let private = private.map(|id| existing_zone(id, config, lookup_cache, errors));
    let is_public = config.publish == Publish::External;
    let public = is_public.then(|| errors.keep(public_zone(config, lookup_cache)));
    // An unsuitable zone makes the whole result `None`; a zone that is not needed does not.
    let fit = |zone: Option<Option<HostedZoneId>>| match zone {
        Some(None) => None,
        Some(Some(id)) => Some(Some(id)),
        None => Some(None),
    };
    Some(Zones { private: fit(private)?, public: fit(public)? })
}

/// Adds the private hosted zone and the records of this config.
pub(crate) fn add(
    graph: &mut Graph,
    config: &InstallConfig,
    names: &ResourceNames,
    zones: Zones,
    network: &Network,
    balancers: &LoadBalancers,
) {
    let domain = config.cluster_domain();
    let zone = match zones.private {
        Some(id) => id.into(),
        None => add_zone(graph, config, names, network),
    };
    let mut add = |address: &str, name: &str, zone: &Input<HostedZoneId>, balancer: &_| {
        let name = format!("{name}.{domain}");
        let data = data(&config.aws.region, balancer);
        graph.add(address, &DnsRecord { zone: zone.clone(), name, data });
    };
    add("api-int", "api-int", &zone, &balancers.internal);
    // Inside the VPC, both names point to the internal load balancer.
    add("api", "api", &zone, &balancers.internal);
    if let (Some(external), Some(public)) = (&balancers.external, zones.public) {
        add("api-public", "api", &public.into(), external);
    }
}

fn add_zone(
    graph: &mut Graph,
    config: &InstallConfig,
    names: &ResourceNames,
    network: &Network,
) -> Input<HostedZoneId> {
    let zone = graph.add(
        "int",
        &HostedZone {
            name: config.cluster_domain(),
            vpc: network.vpc.clone(),
            region: config.aws.region.clone(),
            tags: names.tags("int"),
        },
    );
    out!(zone.id)
}

/// Returns an existing hosted zone if it is private, associated with the VPC, and for the cluster's
/// domain or a parent of it. Reports other zones.
fn existing_zone(
    id: &HostedZoneId,
    config: &InstallConfig,
    lookup_cache: &LookupCache,
    errors: &mut CompileErrors,
) -> Option<HostedZoneId> {
    let lookup = Lookup::HostedZone { id: id.clone() };
    let zone: Option<HostedZoneFact> = errors.keep(lookup_cache.answer(&lookup))?;
    let Some(zone) = zone else {
        errors.add(CompileError::ZoneNotFound { id: id.clone() });
        return None;
    };
    let mut flaws = Vec::new();
    if !zone.private {
        flaws.push(CompileError::ZonePublic { id: id.clone() });
    } else if let Some(vpc) =
        existing::vpc(config, lookup_cache).filter(|vpc| !zone.vpcs.contains(vpc))
    {
        flaws.push(CompileError::ZoneElsewhere { id: id.clone(), vpc });
    }
    let (name, domain) = (zone.name.trim_end_matches('.'), config.cluster_domain());
    if domain != name && !domain.ends_with(&format!(".{name}")) {
        flaws.push(CompileError::ZoneName { id: id.clone(), name: name.to_owned(), domain });
    }
    let fit = flaws.is_empty();
    flaws.into_iter().for_each(|flaw| errors.add(flaw));
    fit.then(|| id.clone())
}

fn public_zone(
    config: &InstallConfig,
    lookup_cache: &LookupCache,
) -> Result<HostedZoneId, CompileError> {
    let domain = config.base_domain.clone();
    let zone: Option<HostedZoneId> =
        lookup_cache.answer(&Lookup::PublicZone { domain: domain.clone() })?;
    zone.ok_or(CompileError::NoPublicZone { domain })
}

/// Returns an alias to a load balancer. In GovCloud, Route 53 has no such aliases, so a CNAME is
/// used.
fn data(region: &str, balancer: &Handle<LoadBalancer>) -> DnsRecordData {
    let dns_name = out!(balancer.dns_name);
    if partition(region).name == "aws-us-gov" {
        DnsRecordData::Cname { dns_name, ttl_seconds: 10 }
    } else {
        DnsRecordData::Alias { dns_name, hosted_zone: out!(balancer.hosted_zone) }
    }
}
