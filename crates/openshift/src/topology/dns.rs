//! The DNS records of the API (release-4.15, `route53/base.tf`).
//!
//! The cluster itself creates `*.apps`.

use groundplan_aws::kinds::hosted_zone::HostedZone;
use groundplan_aws::kinds::load_balancer::LoadBalancer;
use groundplan_aws::kinds::record::{DnsRecord, DnsRecordData};
use groundplan_aws::model::ids::HostedZoneId;
use groundplan_aws::model::partition::Partition;
use groundplan_engine::graph::{Graph, Handle, Input};
use groundplan_engine::out;

use super::load_balancers::LoadBalancers;
use super::naming::ResourceNames;
use super::network::Network;
use super::{CompileError, CompileErrors, existing};
use crate::install_config::InstallConfig;
use crate::topology::lookups::{ConfigLookups, HostedZoneFact, Parsed};

/// The domain of the cluster, and the existing hosted zones.
#[derive(Clone, Debug)]
pub(crate) struct DnsSpec {
    /// `<name>.<baseDomain>`, without a trailing dot.
    pub(crate) domain: String,
    /// Region of the VPC.
    region: String,
    /// True if records can be aliases of load balancers. In GovCloud, Route 53 has no such aliases.
    has_aliases: bool,
    /// The private hosted zone of the user. `None` if the cluster gets its own.
    private: Option<HostedZoneId>,
    /// The public hosted zone of the base domain. `None` for an internal cluster.
    public: Option<HostedZoneId>,
}

/// Returns the domain and the existing hosted zones of this config. Reports zones that are
/// unsuitable.
pub(super) fn resolve(
    config: &InstallConfig,
    lookups: &ConfigLookups,
    errors: &mut CompileErrors,
) -> Option<DnsSpec> {
    let private = config.aws.hosted_zone.as_ref().zip(lookups.hosted_zone.as_ref());
    let private = private.map(|(id, zone)| existing_zone(id, zone, config, lookups, errors));
    let public = lookups.public_zone.as_ref();
    let public = public.map(|zone| errors.keep(public_zone(zone, &config.base_domain)));
    // An unsuitable zone makes the whole result `None`; a zone that is not needed does not.
    let fit = |zone: Option<Option<HostedZoneId>>| match zone {
        Some(None) => None,
        Some(Some(id)) => Some(Some(id)),
        None => Some(None),
    };
    let region = &config.aws.region;
    Some(DnsSpec {
        domain: config.cluster_domain(),
        region: region.clone(),
        has_aliases: Partition::of_region(region).has_dns_aliases,
        private: fit(private)?,
        public: fit(public)?,
    })
}

/// Adds the private hosted zone and the records of the cluster.
pub(crate) fn add(
    graph: &mut Graph,
    names: &ResourceNames,
    dns: &DnsSpec,
    network: &Network,
    balancers: &LoadBalancers,
) {
    let zone = match &dns.private {
        Some(id) => id.clone().into(),
        None => add_zone(graph, names, dns, network),
    };
    let mut add = |address: &str, name: &str, zone: &Input<HostedZoneId>, balancer: &_| {
        let name = format!("{name}.{}", dns.domain);
        graph.add(address, &DnsRecord { zone: zone.clone(), name, data: dns.data(balancer) });
    };
    add("api-int", "api-int", &zone, &balancers.internal);
    // Inside the VPC, both names point to the internal load balancer.
    add("api", "api", &zone, &balancers.internal);
    if let (Some(external), Some(public)) = (&balancers.external, &dns.public) {
        add("api-public", "api", &public.clone().into(), external);
    }
}

fn add_zone(
    graph: &mut Graph,
    names: &ResourceNames,
    dns: &DnsSpec,
    network: &Network,
) -> Input<HostedZoneId> {
    let zone = graph.add(
        "int",
        &HostedZone {
            name: dns.domain.clone(),
            vpc: network.vpc.clone(),
            region: dns.region.clone(),
            tags: names.tags(names.layout.hosted_zone),
        },
    );
    out!(zone.id)
}

/// Returns an existing hosted zone if it is private, associated with the VPC, and for the cluster's
/// domain or a parent of it. Reports other zones.
fn existing_zone(
    id: &HostedZoneId,
    zone: &Parsed<Option<HostedZoneFact>>,
    config: &InstallConfig,
    lookups: &ConfigLookups,
    errors: &mut CompileErrors,
) -> Option<HostedZoneId> {
    let Some(zone) = errors.keep(zone.as_ref().map_err(Clone::clone))? else {
        errors.add(CompileError::ZoneNotFound { id: id.clone() });
        return None;
    };
    let mut flaws = Vec::new();
    if !zone.private {
        flaws.push(CompileError::ZonePublic { id: id.clone() });
    } else if let Some(vpc) = existing::vpc(config, lookups).filter(|vpc| !zone.vpcs.contains(vpc))
    {
        flaws.push(CompileError::ZoneElsewhere { id: id.clone(), vpc: vpc.clone() });
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
    zone: &Parsed<Option<HostedZoneId>>,
    domain: &str,
) -> Result<HostedZoneId, CompileError> {
    zone.clone()?.ok_or_else(|| CompileError::NoPublicZone { domain: domain.to_owned() })
}

impl DnsSpec {
    /// Returns an alias to a load balancer, or else a CNAME.
    fn data(&self, balancer: &Handle<LoadBalancer>) -> DnsRecordData {
        let dns_name = out!(balancer.dns_name);
        if self.has_aliases {
            DnsRecordData::Alias { dns_name, hosted_zone: out!(balancer.hosted_zone) }
        } else {
            DnsRecordData::Cname { dns_name, ttl_seconds: 10 }
        }
    }
}
