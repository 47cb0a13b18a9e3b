//! The network load balancers of the API.

use groundplan_aws::kinds::elastic_ip::ElasticIp;
use groundplan_aws::kinds::instance::Instance;
use groundplan_aws::kinds::listener::Listener;
use groundplan_aws::kinds::load_balancer::LoadBalancer;
use groundplan_aws::kinds::target::Target;
use groundplan_aws::kinds::target_group::{HealthCheck, TargetGroup};
use groundplan_aws::model::ids::{AllocationId, PrivateIp, PublicIpv4PoolId};
use groundplan_engine::graph::{Graph, Handle, Input};
use groundplan_engine::out;

use super::ClusterSpec;
use super::layout::{BalancerLayout, ReleaseLayout, TargetGroupLayout};
use super::naming::ResourceNames;
use super::network::Network;
use super::security_groups::SecurityGroups;
use crate::install_config::Publish;

/// The load balancers and their target groups.
pub(crate) struct LoadBalancers {
    /// Load balancer for clients inside the VPC.
    pub(crate) internal: Handle<LoadBalancer>,
    /// Load balancer for clients on the internet. `None` in an internal cluster.
    pub(crate) external: Option<Handle<LoadBalancer>>,
    groups: Vec<TargetGroupPort>,
}

struct TargetGroupPort {
    layout: &'static TargetGroupLayout,
    handle: Handle<TargetGroup>,
}

/// Adds the load balancers.
pub(crate) fn add(
    graph: &mut Graph,
    spec: &ClusterSpec,
    network: &Network,
    security_groups: &SecurityGroups,
) -> LoadBalancers {
    let names = &spec.names;
    let (region, pool) = (&*spec.region, spec.public_ipv4_pool.as_ref());
    let stage = LoadBalancerBuilder { names, region, network, security_groups, pool };
    let ReleaseLayout { internal, external, .. } = names.layout;
    let mut groups = Vec::new();
    let mut add = |layout: &BalancerLayout, is_internal: bool| {
        let balancer = stage.add_balancer(graph, layout, is_internal);
        for group in layout.target_groups {
            groups.push(stage.add_group(graph, group, &balancer));
        }
        balancer
    };
    let internal = add(internal, true);
    let external = (spec.publish == Publish::External).then(|| add(external, false));
    LoadBalancers { internal, external, groups }
}

impl LoadBalancers {
    /// Registers a machine with all target groups, after the machine exists.
    pub(crate) fn register(
        &self,
        graph: &mut Graph,
        name: &str,
        machine: &Handle<Instance>,
        ip: &Input<PrivateIp>,
    ) {
        for TargetGroupPort { layout, handle } in &self.groups {
            let (target_group, port) = (out!(handle.arn), layout.port);
            let target = Target { target_group, ip: ip.clone(), port };
            let target = graph.add(&format!("{name}-{}", layout.name), &target);
            graph.order(&target, machine);
        }
    }
}

struct LoadBalancerBuilder<'a> {
    names: &'a ResourceNames,
    region: &'a str,
    network: &'a Network,
    security_groups: &'a SecurityGroups,
    /// Pool of the addresses of the external load balancer.
    pool: Option<&'a PublicIpv4PoolId>,
}

/// Name and role of the addresses of the external load balancer (cluster-api-provider-aws
/// `elb/eip.go`, main at 2cf09d785).
const ADDRESS_ROLE: &str = "lb-apiserver";

/// Regions in which Network Load Balancers have no security groups (cluster-api-provider-aws
/// `elb/loadbalancer.go`, `cantAttachSGToNLBRegions`, main at 2cf09d785).
const REGIONS_WITHOUT_GROUPS: [&str; 3] = ["us-iso-east-1", "us-iso-west-1", "us-isob-east-1"];

impl LoadBalancerBuilder<'_> {
    fn add_balancer(
        &self,
        graph: &mut Graph,
        layout: &BalancerLayout,
        internal: bool,
    ) -> Handle<LoadBalancer> {
        let name = layout.name;
        let has_groups = !REGIONS_WITHOUT_GROUPS.contains(&self.region);
        let groups = if has_groups { layout.groups } else { &[] };
        let subnets = if internal { &self.network.internal } else { &self.network.public };
        let addresses = if internal { Vec::new() } else { self.add_addresses(graph, name) };
        let balancer = graph.add(
            name,
            &LoadBalancer {
                name: self.names.name(name),
                internal,
                subnets: subnets.values().cloned().collect(),
                addresses,
                security_groups: self.security_groups.ids(groups),
                cross_zone: true,
                tags: self.names.role_tags(name, "apiserver"),
            },
        );
        if let Some(gateway) = &self.network.gateway {
            graph.order(&balancer, gateway);
        }
        balancer
    }

    /// Adds an address of the pool for each public subnet. Without a pool, AWS chooses addresses.
    fn add_addresses(&self, graph: &mut Graph, balancer: &str) -> Vec<Input<AllocationId>> {
        let Some(pool) = self.pool else { return Vec::new() };
        let addresses = self.network.public.keys().map(|zone| {
            let tags = self.names.role_tags(&format!("eip-{ADDRESS_ROLE}"), ADDRESS_ROLE);
            let address = ElasticIp { pool: Some(pool.clone()), tags };
            let address = graph.add(&format!("{balancer}-{zone}"), &address);
            if let Some(gateway) = &self.network.gateway {
                graph.order(&address, gateway);
            }
            out!(address.allocation)
        });
        addresses.collect()
    }

    /// Adds a target group, and a listener that forwards to it on the same port.
    fn add_group(
        &self,
        graph: &mut Graph,
        layout: &'static TargetGroupLayout,
        balancer: &Handle<LoadBalancer>,
    ) -> TargetGroupPort {
        let TargetGroupLayout { name: suffix, port, health_path } = *layout;
        let health_check = HealthCheck {
            path: health_path.into(),
            port,
            interval_seconds: 10,
            healthy_threshold: 2,
            unhealthy_threshold: 2,
        };
        let name = self.names.name(suffix);
        let vpc = self.network.vpc.clone();
        let tags = self.names.tags(suffix);
        let handle = graph.add(suffix, &TargetGroup { name, vpc, port, health_check, tags });
        let load_balancer = out!(balancer.arn);
        graph.add(suffix, &Listener { load_balancer, port, target_group: out!(handle.arn) });
        TargetGroupPort { layout, handle }
    }
}
