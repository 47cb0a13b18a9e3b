//! The network load balancers of the API (release-4.15, `vpc/master-elb.tf`).

use groundplan_aws::kinds::instance::Instance;
use groundplan_aws::kinds::listener::Listener;
use groundplan_aws::kinds::load_balancer::LoadBalancer;
use groundplan_aws::kinds::target::Target;
use groundplan_aws::kinds::target_group::{HealthCheck, TargetGroup};
use groundplan_aws::model::ids::PrivateIp;
use groundplan_engine::graph::{Graph, Handle, Input};
use groundplan_engine::out;

use super::layout::{BalancerLayout, ReleaseLayout, TargetGroupLayout};
use super::naming::ResourceNames;
use super::network::Network;
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
    names: &ResourceNames,
    publish: Publish,
    network: &Network,
) -> LoadBalancers {
    let stage = LoadBalancerBuilder { names, network };
    let ReleaseLayout { internal, external, .. } = names.layout;
    let mut groups = Vec::new();
    let mut add = |layout: &BalancerLayout, is_internal: bool| {
        let balancer = stage.add_balancer(graph, layout.name, is_internal);
        for group in layout.target_groups {
            groups.push(stage.add_group(graph, group, &balancer));
        }
        balancer
    };
    let internal = add(internal, true);
    let external = (publish == Publish::External).then(|| add(external, false));
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
    network: &'a Network,
}

impl LoadBalancerBuilder<'_> {
    fn add_balancer(&self, graph: &mut Graph, name: &str, internal: bool) -> Handle<LoadBalancer> {
        let subnets = if internal { &self.network.private } else { &self.network.public };
        let balancer = graph.add(
            name,
            &LoadBalancer {
                name: self.names.name(name),
                internal,
                subnets: subnets.values().cloned().collect(),
                cross_zone: true,
                tags: self.names.tags(name),
            },
        );
        if let Some(gateway) = &self.network.gateway {
            graph.order(&balancer, gateway);
        }
        balancer
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
