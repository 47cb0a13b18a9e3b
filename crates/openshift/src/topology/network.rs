//! The network: a VPC of the cluster's own, or the existing one of the user.

use std::collections::BTreeMap;

use groundplan_aws::kinds::carrier_gateway::CarrierGateway;
use groundplan_aws::kinds::dhcp_options::DhcpOptions;
use groundplan_aws::kinds::elastic_ip::ElasticIp;
use groundplan_aws::kinds::internet_gateway::InternetGateway;
use groundplan_aws::kinds::nat_gateway::NatGateway;
use groundplan_aws::kinds::route_table::{Route, RouteTable, Via};
use groundplan_aws::kinds::shared_tags::SharedTags;
use groundplan_aws::kinds::subnet::Subnet;
use groundplan_aws::kinds::vpc::Vpc;
use groundplan_aws::kinds::vpc_endpoint::VpcEndpoint;
use groundplan_aws::model::ids::{
    DhcpOptionsId, HostedZoneId, PublicIpv4PoolId, RouteTableId, SubnetId, VpcId,
};
use groundplan_aws::model::partition::Partition;
use groundplan_engine::graph::{Graph, Handle, Input};
use groundplan_engine::out;

use super::cidr::Split;
use super::existing::Existing;
use super::layout::{ClusterTags, PublicRoutes, SubnetLayout};
use super::lookups::SubnetReach;
use super::naming::ResourceNames;
use super::spec::{ClusterSpec, EdgeZone, NetworkSpec};
use crate::install_config::Publish;

/// Parts of the network that other resources use.
pub(crate) struct Network {
    /// The VPC.
    pub(crate) vpc: Input<VpcId>,
    /// The subnets for machines, by zone.
    pub(crate) private: BTreeMap<String, Input<SubnetId>>,
    /// The subnets of the external load balancer, by zone.
    pub(crate) public: BTreeMap<String, Input<SubnetId>>,
    /// The subnets of the internal load balancer, by zone.
    pub(crate) internal: BTreeMap<String, Input<SubnetId>>,
    /// The subnet of the bootstrap machine.
    pub(crate) bootstrap: Input<SubnetId>,
    /// The internet gateway, if the cluster has its own.
    pub(crate) gateway: Option<Handle<InternetGateway>>,
}

/// Adds the network.
pub(super) fn add(graph: &mut Graph, spec: &ClusterSpec) -> Network {
    let ClusterSpec { names, region, .. } = spec;
    match &spec.network {
        NetworkSpec::Own { range, zones, edge, split } => {
            let pool = spec.public_ipv4_pool.as_ref();
            let has_public_bootstrap = spec.publish == Publish::External;
            let builder = NetworkBuilder { names, region, zones, edge, pool, has_public_bootstrap };
            builder.build(graph, *range, split, spec.public_only)
        }
        NetworkSpec::Existing { subnets, hosted_zone, hosted_zone_role } => {
            let zone = (hosted_zone.clone(), hosted_zone_role.clone());
            share(graph, names, subnets, zone)
        }
    }
}

/// Tags the subnets and the hosted zone of the user as shared, never as owned.
fn share(
    graph: &mut Graph,
    names: &ResourceNames,
    existing: &Existing,
    (hosted_zone, hosted_zone_role): (Option<HostedZoneId>, Option<String>),
) -> Network {
    let known = |subnets: &BTreeMap<String, SubnetId>| -> BTreeMap<String, Input<SubnetId>> {
        subnets.iter().map(|(zone, id)| (zone.clone(), id.clone().into())).collect()
    };
    // Terraform left subnets in Local and Wavelength Zones without the tag.
    let is_tagged = |reach: &SubnetReach| {
        names.layout.tags == ClusterTags::ClusterApi || *reach != SubnetReach::Edge
    };
    let tagged = existing.all.iter().filter(|(_, reach)| is_tagged(reach));
    let subnets = tagged.map(|(id, _)| id.clone()).collect();
    let key = names.tag_key().to_owned();
    graph.add("existing", &SharedTags { key, subnets, hosted_zone, hosted_zone_role });
    Network {
        vpc: existing.vpc.clone().into(),
        private: known(&existing.private),
        public: known(&existing.public),
        internal: known(&existing.internal),
        bootstrap: first(&known(&existing.bootstrap)),
        gateway: None,
    }
}

/// Returns the subnet in the first zone.
fn first(subnets: &BTreeMap<String, Input<SubnetId>>) -> Input<SubnetId> {
    subnets.values().next().expect("BUG: every network has such a subnet").clone()
}

/// Role of network resources in Cluster API.
const COMMON: &str = "common";

#[derive(Clone, Copy, PartialEq, Eq)]
enum SubnetKind {
    Public,
    Private,
}

struct NetworkBuilder<'a> {
    names: &'a ResourceNames,
    region: &'a str,
    zones: &'a [String],
    edge: &'a [EdgeZone],
    /// Pool of the addresses of NAT gateways.
    pool: Option<&'a PublicIpv4PoolId>,
    /// True if the bootstrap machine has a public subnet.
    has_public_bootstrap: bool,
}

impl NetworkBuilder<'_> {
    fn build(
        &self,
        graph: &mut Graph,
        range: ipnet::Ipv4Net,
        split: &Split,
        public_only: bool,
    ) -> Network {
        let layout = self.names.layout;
        let options = layout.has_dhcp_options.then(|| self.add_dhcp_options(graph));
        let vpc = graph.add(
            "main",
            &Vpc {
                cidr: range,
                dhcp_options: options,
                dns_hostnames: true,
                dns_support: true,
                tags: self.names.role_tags(layout.vpc, COMMON),
            },
        );
        let vpc: Input<VpcId> = out!(vpc.id);
        let tags = self.names.role_tags(layout.internet_gateway, COMMON);
        let gateway = graph.add("main", &InternetGateway { vpc: vpc.clone(), tags });
        let public = self.add_subnets(graph, &vpc, SubnetKind::Public, self.zones, &split.public);
        // Without private subnets, nothing needs a NAT gateway.
        let private = match public_only {
            true => public.clone(),
            false => self.add_subnets(graph, &vpc, SubnetKind::Private, self.zones, &split.private),
        };
        let edge = self.add_edge_subnets(graph, &vpc, split);
        let mut tables = self.add_public_routes(graph, &vpc, &gateway, &public, &edge);
        for zone in self.zones.iter().filter(|_| !public_only) {
            let subnets = (&public[zone], &private[zone]);
            tables.extend(self.add_egress(graph, &vpc, &gateway, zone, subnets, &edge));
        }
        self.add_endpoint(graph, &vpc, tables);
        let bootstrap = first(if self.has_public_bootstrap { &public } else { &private });
        let internal = private.clone();
        Network { vpc, private, public, internal, bootstrap, gateway: Some(gateway) }
    }

    fn add_dhcp_options(&self, graph: &mut Graph) -> Input<DhcpOptionsId> {
        // In AWS, the domain name of us-east-1 predates the pattern of the other regions.
        let domain_name = match self.region {
            "us-east-1" => "ec2.internal".to_owned(),
            region => format!("{region}.compute.internal"),
        };
        let options = graph.add(
            "main",
            &DhcpOptions {
                domain_name,
                domain_name_servers: vec!["AmazonProvidedDNS".to_owned()],
                tags: self.names.nameless_tags(),
            },
        );
        out!(options.id)
    }

    fn add_subnets(
        &self,
        graph: &mut Graph,
        vpc: &Input<VpcId>,
        kind: SubnetKind,
        zones: &[String],
        ranges: &[ipnet::Ipv4Net],
    ) -> BTreeMap<String, Input<SubnetId>> {
        let mut subnets = BTreeMap::new();
        for (zone, cidr) in zones.iter().zip(ranges) {
            let layout = self.names.layout;
            let (sort, SubnetLayout { name, tag }) = match kind {
                SubnetKind::Public => ("public", layout.public_subnet),
                SubnetKind::Private => ("private", layout.private_subnet),
            };
            let mut tags = self.names.role_tags(&name.with(zone), sort);
            // The cloud provider would place load balancers in edge subnets with this tag.
            let tag = tag.filter(|_| self.zones.contains(zone));
            tags.extend(tag.map(|(key, value)| (key.to_owned(), value.to_owned())));
            let (address, vpc) = (format!("{sort}-{zone}"), vpc.clone());
            let subnet =
                graph.add(&address, &Subnet { vpc, cidr: *cidr, zone: zone.clone(), tags });
            subnets.insert(zone.clone(), out!(subnet.id));
        }
        subnets
    }

    /// Adds the subnets in Local and Wavelength Zones.
    fn add_edge_subnets(
        &self,
        graph: &mut Graph,
        vpc: &Input<VpcId>,
        split: &Split,
    ) -> EdgeSubnets {
        let names: Vec<String> = self.edge.iter().map(|zone| zone.name.clone()).collect();
        let mut add = |kind, ranges| self.add_subnets(graph, vpc, kind, &names, ranges);
        let public = add(SubnetKind::Public, &split.edge_public);
        let private = add(SubnetKind::Private, &split.edge_private);
        EdgeSubnets { public, private }
    }

    /// Adds the route tables of the public subnets, with a default route to the internet gateway, or
    /// in Wavelength Zones to the carrier gateway.
    fn add_public_routes(
        &self,
        graph: &mut Graph,
        vpc: &Input<VpcId>,
        gateway: &Handle<InternetGateway>,
        subnets: &BTreeMap<String, Input<SubnetId>>,
        edge: &EdgeSubnets,
    ) -> Vec<Input<RouteTableId>> {
        let carrier = self.add_carrier_gateway(graph, vpc, !edge.public.is_empty());
        let is_wavelength =
            |zone: &String| self.edge.iter().any(|edge| edge.name == *zone && edge.is_wavelength);
        let mut add = |address: &str, name: &str, wavelength: bool, zones: Vec<(&String, _)>| {
            let via = match &carrier {
                Some(carrier) if wavelength => Via::CarrierGateway(out!(carrier.id)),
                _ => Via::InternetGateway(out!(gateway.id)),
            };
            let table = graph.add(
                address,
                &RouteTable {
                    vpc: vpc.clone(),
                    main: address == MAIN,
                    routes: vec![everywhere(via)],
                    subnets: zones.into_iter().map(|(_, subnet)| Input::clone(subnet)).collect(),
                    tags: self.names.role_tags(name, COMMON),
                },
            );
            out!(table.id)
        };
        let all = subnets.iter().chain(&edge.public);
        match self.names.layout.public_routes {
            PublicRoutes::Main { main, carrier: of_carrier } => {
                let (wavelength, others): (Vec<_>, Vec<_>) =
                    all.partition(|(zone, _)| is_wavelength(zone));
                let mut tables = vec![add(MAIN, main, false, others)];
                if !wavelength.is_empty() {
                    tables.push(add("carrier", of_carrier, true, wavelength));
                }
                tables
            }
            PublicRoutes::PerZone(name) => {
                let of_zone = |(zone, subnet): (&String, _)| {
                    let address = format!("public-{zone}");
                    add(&address, &name.with(zone), is_wavelength(zone), vec![(zone, subnet)])
                };
                all.map(of_zone).collect()
            }
        }
    }

    /// Adds the carrier gateway, if a zone is a Wavelength Zone with a public subnet. An internal
    /// cluster of the newer layouts has no such subnet.
    fn add_carrier_gateway(
        &self,
        graph: &mut Graph,
        vpc: &Input<VpcId>,
        has_public: bool,
    ) -> Option<Handle<CarrierGateway>> {
        let is_needed = has_public && self.edge.iter().any(|zone| zone.is_wavelength);
        let tags = self.names.role_tags(self.names.layout.carrier_gateway, COMMON);
        is_needed.then(|| graph.add("main", &CarrierGateway { vpc: vpc.clone(), tags }))
    }

    /// Adds the egress of a private subnet: a NAT gateway in the public subnet of the same zone. Private
    /// subnets in the Local and Wavelength Zones of this parent zone have the same gateway.
    fn add_egress(
        &self,
        graph: &mut Graph,
        vpc: &Input<VpcId>,
        gateway: &Handle<InternetGateway>,
        zone: &str,
        (public, private): (&Input<SubnetId>, &Input<SubnetId>),
        edge: &EdgeSubnets,
    ) -> Vec<Input<RouteTableId>> {
        let layout = self.names.layout;
        let tags = |name: &str| self.names.role_tags(name, COMMON);
        let tags_of_address = tags(&layout.elastic_ip.of(zone));
        let address = ElasticIp { pool: self.pool.cloned(), tags: tags_of_address };
        let address = graph.add(zone, &address);
        // AWS cannot detach the internet gateway while its VPC has a mapped address.
        graph.order(&address, gateway);
        let nat = NatGateway {
            subnet: public.clone(),
            allocation: out!(address.allocation),
            tags: tags(&layout.nat_gateway.of(zone)),
        };
        let nat = graph.add(zone, &nat);
        let mut add = |zone: &str, subnets: Vec<Input<SubnetId>>| {
            let table = graph.add(
                &format!("private-{zone}"),
                &RouteTable {
                    vpc: vpc.clone(),
                    main: false,
                    routes: vec![everywhere(Via::NatGateway(out!(nat.id)))],
                    subnets,
                    tags: tags(&layout.private_routes.with(zone)),
                },
            );
            out!(table.id)
        };
        let children = self.edge.iter().filter(|child| child.parent == zone);
        let children = children.map(|child| (&child.name, edge.private[&child.name].clone()));
        match layout.public_routes {
            PublicRoutes::Main { .. } => {
                let own = std::iter::once(private.clone());
                vec![add(zone, own.chain(children.map(|(_, subnet)| subnet)).collect())]
            }
            PublicRoutes::PerZone(_) => {
                let mut tables = vec![add(zone, vec![private.clone()])];
                tables.extend(children.map(|(child, subnet)| add(child, vec![subnet])));
                tables
            }
        }
    }

    fn add_endpoint(
        &self,
        graph: &mut Graph,
        vpc: &Input<VpcId>,
        route_tables: Vec<Input<RouteTableId>>,
    ) {
        graph.add(
            "s3",
            &VpcEndpoint {
                vpc: vpc.clone(),
                service: Partition::s3_endpoint_service(self.region),
                route_tables,
                tags: self.names.nameless_tags(),
            },
        );
    }
}

/// Subnets in Local and Wavelength Zones, by zone.
struct EdgeSubnets {
    public: BTreeMap<String, Input<SubnetId>>,
    private: BTreeMap<String, Input<SubnetId>>,
}

/// Address of the main route table, in layouts with one.
const MAIN: &str = "public";

fn everywhere(via: Via) -> Route {
    Route { destination: ipnet::Ipv4Net::default(), via }
}
