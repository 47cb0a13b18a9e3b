//! Classic load balancers: an API of their own, in which a balancer has instances.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_elasticloadbalancing::types::{Instance, LoadBalancerDescription};

use crate::aws::client::Aws;
use crate::aws::elb::NO_LOAD_BALANCER;
use crate::aws::ids::InstanceId;
use crate::aws::kind::Result;
use crate::aws::replies::found;

const SERVICE: &str = "elasticloadbalancing";

/// Registering twice is registering once.
pub(super) async fn register(aws: &Aws, name: &str, instance: &InstanceId) -> Result<()> {
    let instance = Instance::builder().instance_id(instance.as_str()).build();
    let call = aws
        .elb_classic
        .register_instances_with_load_balancer()
        .load_balancer_name(name)
        .instances(instance);
    aws.call(SERVICE, "RegisterInstancesWithLoadBalancer", call.send()).await.map(drop)
}

/// The instances of those of these balancers that exist. One question each: a name that is unknown
/// makes AWS refuse a question about several.
pub(super) async fn members(
    aws: &Aws,
    names: &BTreeSet<String>,
) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut all = BTreeMap::new();
    for name in names {
        let call = aws.elb_classic.describe_load_balancers().load_balancer_names(name);
        let answer = aws.call(SERVICE, "DescribeLoadBalancers", call.send()).await;
        let Some(answer) = found(answer, NO_LOAD_BALANCER)? else { continue };
        let balancers = answer.load_balancer_descriptions();
        let instances = balancers.iter().flat_map(LoadBalancerDescription::instances);
        let ids = instances.filter_map(|one| one.instance_id().map(str::to_owned)).collect();
        all.insert(name.clone(), ids);
    }
    Ok(all)
}
