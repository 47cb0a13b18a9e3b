//! Calls for Classic Load Balancers. They have a separate API, in which a load balancer has
//! instances.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_elasticloadbalancing::types::{Instance, LoadBalancerDescription};

use crate::client::Aws;
use crate::client::elb::NO_LOAD_BALANCER;
use crate::client::outcomes::none_if;
use crate::client::resource_type::Result;
use crate::model::ids::InstanceId;

const SERVICE: &str = "elasticloadbalancing";

/// Registers an instance. The call is idempotent.
pub(super) async fn register(aws: &Aws, name: &str, instance: &InstanceId) -> Result<()> {
    let instance = Instance::builder().instance_id(instance.as_str()).build();
    let call = aws
        .elb_classic
        .register_instances_with_load_balancer()
        .load_balancer_name(name)
        .instances(instance);
    aws.call(SERVICE, "RegisterInstancesWithLoadBalancer", call.send()).await.map(drop)
}

/// Returns the instances of each load balancer that exists. Each name needs a separate request,
/// because AWS rejects a request in which one name is unknown.
pub(super) async fn members(
    aws: &Aws,
    names: &BTreeSet<String>,
) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut all = BTreeMap::new();
    for name in names {
        let call = aws.elb_classic.describe_load_balancers().load_balancer_names(name);
        let answer = aws.call(SERVICE, "DescribeLoadBalancers", call.send()).await;
        let Some(answer) = none_if(answer, NO_LOAD_BALANCER)? else { continue };
        let balancers = answer.load_balancer_descriptions();
        let instances = balancers.iter().flat_map(LoadBalancerDescription::instances);
        let ids = instances.filter_map(|one| one.instance_id().map(str::to_owned)).collect();
        all.insert(name.clone(), ids);
    }
    Ok(all)
}
