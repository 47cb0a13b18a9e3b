//! Shared parts of the load balancing kinds: batched Describe calls, and tags.
//!
//! AWS rejects the whole call if one name or ARN is unknown. The functions then list all objects
//! and match in memory, so that one missing balancer does not cost a call per balancer.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancingv2::types::{
    Listener, LoadBalancer, Tag, TargetGroup, TargetHealthDescription, TargetHealthStateEnum,
};

use super::ownership::tag_changes;
use crate::Tags;
use crate::client::Aws;
use crate::client::outcomes::none_if;
use crate::client::resource_type::Result;

/// The maximum number of names or ARNs in one Describe call (ELBv2 API reference,
/// DescribeLoadBalancers and DescribeTags).
const MOST: usize = 20;
const SERVICE: &str = "elasticloadbalancing";
/// Error codes for a load balancer that does not exist.
pub(crate) const NO_LOAD_BALANCER: &[&str] = &["LoadBalancerNotFound"];
/// Error codes for a target group that does not exist.
pub(crate) const NO_TARGET_GROUP: &[&str] = &["TargetGroupNotFound"];

/// The key by which balancers are searched.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BalancerKey {
    Name,
    Arn,
}

/// Returns the existing ones of these balancers.
pub(crate) async fn load_balancers(
    aws: &Aws,
    by: BalancerKey,
    wanted: &[String],
) -> Result<Vec<LoadBalancer>> {
    let mut all = Vec::with_capacity(wanted.len());
    for chunk in wanted.chunks(MOST) {
        let page = load_balancers_page(aws, Some((by, chunk)), None).await;
        match none_if(page, NO_LOAD_BALANCER)? {
            Some((balancers, _)) => all.extend(balancers),
            None if wanted.len() == 1 => (),
            None => return every_load_balancer(aws).await,
        }
    }
    Ok(all)
}

pub(crate) async fn every_load_balancer(aws: &Aws) -> Result<Vec<LoadBalancer>> {
    let (mut all, mut next) = load_balancers_page(aws, None, None).await?;
    while let Some(marker) = next {
        let (more, after) = load_balancers_page(aws, None, Some(marker)).await?;
        all.extend(more);
        next = after;
    }
    Ok(all)
}

async fn load_balancers_page(
    aws: &Aws,
    wanted: Option<(BalancerKey, &[String])>,
    marker: Option<String>,
) -> Result<(Vec<LoadBalancer>, Option<String>)> {
    let call = aws.elb.describe_load_balancers().set_marker(marker);
    let call = match wanted {
        Some((BalancerKey::Name, names)) => call.set_names(Some(names.to_vec())),
        Some((BalancerKey::Arn, arns)) => call.set_load_balancer_arns(Some(arns.to_vec())),
        None => call,
    };
    let page = aws.call(SERVICE, "DescribeLoadBalancers", call.send()).await?;
    Ok((page.load_balancers.unwrap_or_default(), page.next_marker))
}

/// Returns the names of existing classic balancers: only the requested ones if all of them exist,
/// else all.
pub(crate) async fn classic_load_balancers(aws: &Aws, wanted: &[String]) -> Result<Vec<String>> {
    let (mut all, mut next) = (Vec::new(), None);
    let mut asked = Some(wanted.to_vec());
    loop {
        let call = aws.elb_classic.describe_load_balancers().set_marker(next.take());
        let call = call.set_load_balancer_names(asked.clone());
        let page = aws.call(SERVICE, "DescribeLoadBalancers", call.send()).await;
        match none_if(page, NO_LOAD_BALANCER)? {
            Some(page) => {
                let balancers = page.load_balancer_descriptions.unwrap_or_default().into_iter();
                all.extend(balancers.filter_map(|one| one.load_balancer_name));
                next = page.next_marker.filter(|marker| !marker.is_empty());
            }
            None if asked.is_none() => return Ok(all),
            None => {
                asked = None;
                continue;
            }
        }
        if next.is_none() {
            return Ok(all);
        }
    }
}

/// Returns the existing target groups with these names.
pub(crate) async fn target_groups(aws: &Aws, names: &[String]) -> Result<Vec<TargetGroup>> {
    let mut all = Vec::with_capacity(names.len());
    for chunk in names.chunks(MOST) {
        let page = target_groups_page(aws, Some(chunk), None).await;
        match none_if(page, NO_TARGET_GROUP)? {
            Some((groups, _)) => all.extend(groups),
            None if names.len() == 1 => (),
            None => return every_target_group(aws).await,
        }
    }
    Ok(all)
}

pub(crate) async fn every_target_group(aws: &Aws) -> Result<Vec<TargetGroup>> {
    let (mut all, mut next) = target_groups_page(aws, None, None).await?;
    while let Some(marker) = next {
        let (more, after) = target_groups_page(aws, None, Some(marker)).await?;
        all.extend(more);
        next = after;
    }
    Ok(all)
}

async fn target_groups_page(
    aws: &Aws,
    names: Option<&[String]>,
    marker: Option<String>,
) -> Result<(Vec<TargetGroup>, Option<String>)> {
    let names = names.map(<[String]>::to_vec);
    let call = aws.elb.describe_target_groups().set_names(names).set_marker(marker);
    let page = aws.call(SERVICE, "DescribeTargetGroups", call.send()).await?;
    Ok((page.target_groups.unwrap_or_default(), page.next_marker))
}

/// Returns the target groups of a balancer. A balancer that does not exist has none.
pub(crate) async fn target_groups_of(aws: &Aws, load_balancer: &str) -> Result<Vec<TargetGroup>> {
    let mut all = Vec::new();
    let mut marker = None;
    loop {
        let call =
            aws.elb.describe_target_groups().load_balancer_arn(load_balancer).set_marker(marker);
        let page = aws.call(SERVICE, "DescribeTargetGroups", call.send()).await;
        let Some(page) = none_if(page, NO_LOAD_BALANCER)? else { return Ok(all) };
        all.extend(page.target_groups.unwrap_or_default());
        marker = page.next_marker;
        if marker.is_none() {
            return Ok(all);
        }
    }
}

/// Returns the listeners with these ARNs; `None` if one of them does not exist.
pub(crate) async fn listeners_by_arn(aws: &Aws, arns: &[String]) -> Result<Option<Vec<Listener>>> {
    let mut all = Vec::with_capacity(arns.len());
    for chunk in arns.chunks(MOST) {
        let call = aws.elb.describe_listeners().set_listener_arns(Some(chunk.to_vec()));
        let page = aws.call(SERVICE, "DescribeListeners", call.send()).await;
        let Some(page) = none_if(page, &["ListenerNotFound"])? else { return Ok(None) };
        all.extend(page.listeners.unwrap_or_default());
    }
    Ok(Some(all))
}

/// Returns the listeners of a balancer. A balancer that does not exist has none.
pub(crate) async fn listeners(aws: &Aws, load_balancer: &str) -> Result<Vec<Listener>> {
    let mut all = Vec::new();
    let mut marker = None;
    loop {
        let call = aws.elb.describe_listeners().load_balancer_arn(load_balancer).set_marker(marker);
        let page = aws.call(SERVICE, "DescribeListeners", call.send()).await;
        let Some(page) = none_if(page, NO_LOAD_BALANCER)? else { return Ok(all) };
        all.extend(page.listeners.unwrap_or_default());
        marker = page.next_marker;
        if marker.is_none() {
            return Ok(all);
        }
    }
}

/// Returns the registered targets of a group as address and port. Targets in the state `draining`
/// are left out. A group that does not exist has none.
pub(crate) async fn registered(aws: &Aws, target_group: &str) -> Result<Vec<(String, i32)>> {
    let call = aws.elb.describe_target_health().target_group_arn(target_group);
    let answer = aws.call(SERVICE, "DescribeTargetHealth", call.send()).await;
    let Some(answer) = none_if(answer, NO_TARGET_GROUP)? else { return Ok(Vec::new()) };
    let staying = answer.target_health_descriptions().iter().filter(|one| !is_draining(one));
    let place = |one: &TargetHealthDescription| {
        let target = one.target()?;
        Some((target.id()?.to_owned(), target.port()?))
    };
    Ok(staying.filter_map(place).collect())
}

fn is_draining(target: &TargetHealthDescription) -> bool {
    let state = target.target_health().and_then(|health| health.state());
    state == Some(&TargetHealthStateEnum::Draining)
}

/// Returns tags as the ELB API takes them.
pub(crate) fn tags(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// Returns the tags of these balancers or groups, by ARN. Objects deleted in the meantime are left
/// out.
pub(crate) async fn live_tags(aws: &Aws, arns: &[String]) -> Result<BTreeMap<String, Tags>> {
    let absent = [NO_LOAD_BALANCER, NO_TARGET_GROUP].concat();
    let mut all = BTreeMap::new();
    for chunk in arns.chunks(MOST) {
        match none_if(tags_page(aws, chunk).await, &absent)? {
            Some(tags) => all.extend(tags),
            None if chunk.len() == 1 => (),
            None => {
                for arn in chunk {
                    let alone = tags_page(aws, std::slice::from_ref(arn)).await;
                    all.extend(none_if(alone, &absent)?.unwrap_or_default());
                }
            }
        }
    }
    Ok(all)
}

/// Returns the tags of recorded balancers or groups, as [`live_tags`] does. The refreshes of both
/// kinds share one call.
pub(crate) async fn recorded_tags(aws: &Aws, arns: Vec<String>) -> Result<BTreeMap<String, Tags>> {
    if arns.is_empty() {
        return Ok(BTreeMap::new());
    }
    let read = |wanted: Vec<Vec<String>>| async move {
        let found = live_tags(aws, &wanted.concat()).await;
        let of = |arns: &Vec<String>| {
            let all = found.as_ref().map_err(Clone::clone)?;
            Ok(arns.iter().filter_map(|arn| Some((arn.clone(), all.get(arn)?.clone()))).collect())
        };
        wanted.iter().map(of).collect()
    };
    aws.watch.batches.elb_tags.send(arns, read).await
}

async fn tags_page(aws: &Aws, arns: &[String]) -> Result<Vec<(String, Tags)>> {
    let call = aws.elb.describe_tags().set_resource_arns(Some(arns.to_vec()));
    let answer = aws.call(SERVICE, "DescribeTags", call.send()).await?;
    let described = answer.tag_descriptions().iter().filter_map(|one| {
        let tags = one.tags().iter().filter_map(|tag| {
            Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()))
        });
        Some((one.resource_arn()?.to_owned(), tags.collect()))
    });
    Ok(described.collect())
}

/// Changes the tags of an object from `before` to `after`.
pub(crate) async fn change_tags(aws: &Aws, arn: &str, before: &Tags, after: &Tags) -> Result<()> {
    let (set, unset) = tag_changes(before, after);
    if !set.is_empty() {
        let call = aws.elb.add_tags().resource_arns(arn).set_tags(Some(tags(&set)));
        aws.call(SERVICE, "AddTags", call.send()).await?;
    }
    if !unset.is_empty() {
        let call = aws.elb.remove_tags().resource_arns(arn).set_tag_keys(Some(unset));
        aws.call(SERVICE, "RemoveTags", call.send()).await?;
    }
    Ok(())
}

/// Returns the description that AWS gives the network interfaces of a load balancer:
/// `ELB net/demo-int/0123456789abcdef`.
pub(crate) fn interface_description(arn: &str) -> String {
    let place = arn.split_once("loadbalancer/").map_or(arn, |(_, place)| place);
    format!("ELB {place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_known_by_the_end_of_the_balancers_arn() {
        let arn = "arn:aws:elasticloadbalancing:us-west-2:1:loadbalancer/net/demo-int/0a1b2c3d";
        assert_eq!(interface_description(arn), "ELB net/demo-int/0a1b2c3d");
    }
}
