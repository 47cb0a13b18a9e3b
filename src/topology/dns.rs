//! The names of the API (release-4.15, `route53/base.tf`).
//!
//! `*.apps` is not ours: the cluster makes it.

use super::Error;
use super::facts::{Facts, HostedZoneFact, Question};
use super::iam::partition;
use super::load_balancers::Balancers;
use super::naming::Names;
use super::network::Network;
use crate::aws::hosted_zone::HostedZone;
use crate::aws::ids::HostedZoneId;
use crate::aws::load_balancer::LoadBalancer;
use crate::aws::record::{Record, RecordData};
use crate::config::InstallConfig;
use crate::graph::{Graph, Handle, Input};
use crate::out;

/// The private zone and the records of this config.
pub(crate) fn add(
    graph: &mut Graph,
    config: &InstallConfig,
    names: &Names,
    facts: &Facts,
    network: &Network,
    balancers: &Balancers,
) -> Result<(), Error> {
    let domain = config.cluster_domain();
    let zone = match &config.aws.hosted_zone {
        Some(id) => existing_zone(id, &domain, facts, network)?,
        None => add_zone(graph, config, names, network),
    };
    let mut add = |address: &str, name: &str, zone: &Input<HostedZoneId>, balancer: &_| {
        let name = format!("{name}.{domain}");
        let data = data(&config.aws.region, balancer);
        graph.add(address, &Record { zone: zone.clone(), name, data });
    };
    add("api-int", "api-int", &zone, &balancers.internal);
    // Inside, both names lead to the internal balancer.
    add("api", "api", &zone, &balancers.internal);
    if let Some(external) = &balancers.external {
        add("api-public", "api", &public_zone(config, facts)?, external);
    }
    Ok(())
}

fn add_zone(
    graph: &mut Graph,
    config: &InstallConfig,
    names: &Names,
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

/// A zone that the user brought must be seen by the machines and be for the cluster's names.
fn existing_zone(
    id: &HostedZoneId,
    domain: &str,
    facts: &Facts,
    network: &Network,
) -> Result<Input<HostedZoneId>, Error> {
    let id = id.clone();
    let Some(zone): Option<HostedZoneFact> =
        facts.answer(&Question::HostedZone { id: id.clone() })?
    else {
        return Err(Error::ZoneNotFound { id });
    };
    let sees = |vpc| zone.private && zone.vpcs.contains(vpc);
    match &network.vpc {
        Input::Known(vpc) if !sees(vpc) => {
            return Err(Error::ZoneElsewhere { id, vpc: vpc.clone() });
        }
        _ => (),
    }
    let name = zone.name.trim_end_matches('.');
    if domain == name || domain.ends_with(&format!(".{name}")) {
        Ok(id.into())
    } else {
        Err(Error::ZoneName { id, name: name.to_owned(), domain: domain.to_owned() })
    }
}

fn public_zone(config: &InstallConfig, facts: &Facts) -> Result<Input<HostedZoneId>, Error> {
    let domain = config.base_domain.clone();
    let zone: Option<HostedZoneId> =
        facts.answer(&Question::PublicZone { domain: domain.clone() })?;
    zone.map(Input::Known).ok_or(Error::NoPublicZone { domain })
}

/// GovCloud's Route 53 has no aliases to its load balancers.
fn data(region: &str, balancer: &Handle<LoadBalancer>) -> RecordData {
    let dns_name = out!(balancer.dns_name);
    if partition(region).name == "aws-us-gov" {
        RecordData::Cname { dns_name, ttl_seconds: 10 }
    } else {
        RecordData::Alias { dns_name, hosted_zone: out!(balancer.hosted_zone) }
    }
}
