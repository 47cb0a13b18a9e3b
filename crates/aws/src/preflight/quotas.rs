//! Quotas of an account: limits and current usage. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{self, InstanceLifecycleType};
use aws_sdk_elasticloadbalancingv2::types::LoadBalancerTypeEnum;

use crate::Aws;
use crate::client::ec2::{self, Ec2Object, filter};
use crate::client::elb;
use crate::client::outcomes::none_if;
use crate::client::resource_type::Result;
use crate::lookups::queries::instance_types;
use crate::model::quota::Quota;

/// Returns the account's limit, or AWS's default if the account has no limit of its own.
pub async fn limit(aws: &Aws, quota: Quota) -> Result<Option<u64>> {
    let (service, code) = quota.code();
    let none = &["NoSuchResourceException"];
    let call = aws.quotas.get_service_quota().service_code(service).quota_code(code);
    let answer = aws.call("servicequotas", "GetServiceQuota", call.send()).await;
    if let Some(own) = none_if(answer, none)?.and_then(|answer| answer.quota) {
        return Ok(own.value().map(whole));
    }
    let call = aws.quotas.get_aws_default_service_quota().service_code(service).quota_code(code);
    let answer = aws.call("servicequotas", "GetAWSDefaultServiceQuota", call.send()).await;
    let default = none_if(answer, none)?.and_then(|answer| answer.quota);
    Ok(default.and_then(|default| default.value()).map(whole))
}

/// Converts a limit to an integer. The API returns floats.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}

/// Returns the current usage: per zone for quotas that count by zone, else under the empty
/// name.
pub async fn in_use(aws: &Aws, quota: Quota) -> Result<BTreeMap<String, u64>> {
    let count = |count: usize| BTreeMap::from([(String::new(), count as u64)]);
    Ok(match quota {
        Quota::StandardVcpus | Quota::GraphicsVcpus | Quota::MemoryVcpus => {
            BTreeMap::from([(String::new(), running_vcpus(aws, quota).await?)])
        }
        Quota::Addresses => {
            let call = aws.ec2.describe_addresses().send();
            let answer = aws.call("ec2", "DescribeAddresses", call).await?;
            count(answer.addresses().len())
        }
        Quota::Vpcs => count(types::Vpc::describe(aws, Vec::new()).await?.len()),
        Quota::InternetGateways => {
            count(types::InternetGateway::describe(aws, Vec::new()).await?.len())
        }
        Quota::EgressOnlyInternetGateways => {
            count(types::EgressOnlyInternetGateway::describe(aws, Vec::new()).await?.len())
        }
        Quota::SecurityGroups => {
            count(types::SecurityGroup::describe(aws, Vec::new()).await?.len())
        }
        Quota::GatewayEndpoints => {
            let gateways = filter("vpc-endpoint-type", &["Gateway"]);
            count(types::VpcEndpoint::describe(aws, vec![gateways]).await?.len())
        }
        Quota::NatGateways => nat_gateways(aws).await?,
        Quota::NetworkBalancers => {
            let all = elb::every_load_balancer(aws).await?;
            let network =
                |kind: Option<&LoadBalancerTypeEnum>| kind == Some(&LoadBalancerTypeEnum::Network);
            count(all.iter().filter(|one| network(one.r#type())).count())
        }
    })
}

/// Returns the virtual processors of pending and running instances. Spot instances have quotas
/// of their own and are left out.
async fn running_vcpus(aws: &Aws, quota: Quota) -> Result<u64> {
    let states = filter("instance-state-name", &["pending", "running"]);
    let running = types::Instance::describe(aws, vec![states]).await?;
    let on_demand =
        running.iter().filter(|one| one.instance_lifecycle() != Some(&InstanceLifecycleType::Spot));
    let names = on_demand.filter_map(|one| one.instance_type());
    let counted = names.map(|name| name.as_str().to_owned());
    let counted: Vec<String> = counted.filter(|name| Quota::of_type(name) == Some(quota)).collect();
    let sizes = vcpus(aws, &counted.iter().cloned().collect()).await?;
    Ok(counted.iter().filter_map(|name| sizes.get(name)).map(|size| u64::from(*size)).sum())
}

/// Returns the virtual processors of these types, by name, with the type's default CPU options:
/// quotas count these.
pub async fn vcpus(aws: &Aws, types: &BTreeSet<String>) -> Result<BTreeMap<String, u32>> {
    if types.is_empty() {
        return Ok(BTreeMap::new());
    }
    let types: Vec<String> = types.iter().cloned().collect();
    let known = instance_types(aws, &types).await?;
    Ok(known.into_iter().map(|(name, fact)| (name, fact.vcpus)).collect())
}

async fn nat_gateways(aws: &Aws) -> Result<BTreeMap<String, u64>> {
    let states = filter("state", &["pending", "available"]);
    let gateways = types::NatGateway::describe(aws, vec![states]).await?;
    let subnets: Vec<&str> = gateways.iter().filter_map(|one| one.subnet_id()).collect();
    let distinct: BTreeSet<&str> = subnets.iter().copied().collect();
    let found = ec2::by_ids::<types::Subnet>(aws, distinct).await?;
    let mut zones = BTreeMap::new();
    for subnet in subnets {
        let zone = found.get(subnet).and_then(types::Subnet::availability_zone);
        *zones.entry(zone.unwrap_or_default().to_owned()).or_default() += 1;
    }
    Ok(zones)
}
