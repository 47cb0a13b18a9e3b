//! The network load balancers of the API (release-4.15, `vpc/master-elb.tf`).

use groundplan_aws::kinds::instance::Instance;
use groundplan_aws::kinds::listener::Listener;
use groundplan_aws::kinds::load_balancer::LoadBalancer;
use groundplan_aws::kinds::target::Target;
use groundplan_aws::kinds::target_group::{HealthCheck, TargetGroup};
use groundplan_aws::model::ids::{PrivateIp, SubnetId};
use groundplan_engine::graph::{Graph, Handle, Input};
use groundplan_engine::out;

use super::naming::ResourceNames;
use super::network::Network;
use crate::install_config::Publish;

/// The port of the Kubernetes API.
const API: i32 = 6443;
/// The port of the machine config server, for machines of the cluster only.
const CONFIG: i32 = 22623;

/// The load balancers and their target groups.
pub(crate) struct LoadBalancers {
    /// Load balancer for clients inside the VPC.
    pub(crate) internal: Handle<LoadBalancer>,
    /// Load balancer for clients on the internet. `None` in an internal cluster.
    pub(crate) external: Option<Handle<LoadBalancer>>,
    groups: Vec<TargetGroupPort>,
}

struct TargetGroupPort {
    suffix: &'static str,
    port: i32,
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
    let internal = stage.add_balancer(graph, "int", network.private.values());
    let mut groups = vec![
        stage.add_group(graph, "aint", API, "/readyz", &internal),
        stage.add_group(graph, "sint", CONFIG, "/healthz", &internal),
    ];
    let external = (publish == Publish::External).then(|| {
        let external = stage.add_balancer(graph, "ext", network.public.values());
        groups.push(stage.add_group(graph, "aext", API, "/readyz", &external));
        external
    });
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
        for TargetGroupPort { suffix, port, handle } in &self.groups {
            let target = Target { target_group: out!(handle.arn), ip: ip.clone(), port: *port };
            let target = graph.add(&format!("{name}-{suffix}"), &target);
            graph.order(&target, machine);
        }
    }
}

struct LoadBalancerBuilder<'a> {
    names: &'a ResourceNames,
    network: &'a Network,
}

impl LoadBalancerBuilder<'_> {
    fn add_balancer<'s>(
        &self,
        graph: &mut Graph,
        suffix: &str,
        subnets: impl Iterator<Item = &'s Input<SubnetId>>,
    ) -> Handle<LoadBalancer> {
        let balancer = graph.add(
            suffix,
            &LoadBalancer {
                name: self.names.name(suffix),
                internal: suffix == "int",
                subnets: subnets.cloned().collect(),
                cross_zone: true,
                tags: self.names.tags(suffix),
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
        suffix: &'static str,
        port: i32,
        path: &str,
        balancer: &Handle<LoadBalancer>,
    ) -> TargetGroupPort {
        let health_check = HealthCheck {
            path: path.into(),
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
        TargetGroupPort { suffix, port, handle }
    }
}
