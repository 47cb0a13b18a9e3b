//! What still carries the cluster's tag: the proof after a destroy. Reads only.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{InstanceStateName, TagDescription};
use serde::Serialize;

use super::Aws;
use super::ec2::{filter, pages};
use super::kind::Result;

/// Something that the cluster owns and that exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Leftover {
    /// What it is, as AWS names it (`subnet`, `instance`, `load-balancer`).
    pub kind: String,
    /// Its id or ARN.
    pub id: String,
}

/// The most ARNs that one DescribeTags of Elastic Load Balancing takes.
const ELB_ARNS: usize = 20;

/// Everything in EC2 and Elastic Load Balancing that carries the cluster's tag with the value
/// `owned`, and is more than AWS's memory of something deleted.
///
/// # Errors
/// When AWS does not answer.
pub async fn leftovers(aws: &Aws) -> Result<Vec<Leftover>> {
    let mut found: BTreeSet<Leftover> = tagged(aws).await?.into_iter().collect();
    forget_the_dead(aws, &mut found).await?;
    found.extend(balancers(aws).await?);
    Ok(found.into_iter().collect())
}

async fn tagged(aws: &Aws) -> Result<Vec<Leftover>> {
    let request = aws
        .ec2
        .describe_tags()
        .filters(filter("key", &[&aws.settings.cluster_tag]))
        .filters(filter("value", &["owned"]))
        .max_results(1000);
    let tags: Vec<TagDescription> = pages!(aws, "DescribeTags", request, tags);
    let leftover = |tag: &TagDescription| {
        let kind = tag.resource_type()?.as_str().to_owned();
        Some(Leftover { kind, id: tag.resource_id()?.to_owned() })
    };
    Ok(tags.iter().filter_map(leftover).collect())
}

/// EC2 shows terminated instances and deleted NAT gateways for about an hour, tags and all.
async fn forget_the_dead(aws: &Aws, found: &mut BTreeSet<Leftover>) -> Result<()> {
    let ids = |kind: &str| -> Vec<String> {
        found.iter().filter(|one| one.kind == kind).map(|one| one.id.clone()).collect()
    };
    let (instances, gateways) = (ids("instance"), ids("natgateway"));
    let mut alive = BTreeSet::new();
    for some in instances.chunks(200) {
        let request = aws.ec2.describe_instances().filters(filter("instance-id", some));
        for reservation in pages!(aws, "DescribeInstances", request, reservations) {
            alive.extend(reservation.instances.unwrap_or_default().into_iter().filter_map(|one| {
                let state = one.state().and_then(|state| state.name().cloned());
                one.instance_id.filter(|_| state != Some(InstanceStateName::Terminated))
            }));
        }
    }
    for some in gateways.chunks(200) {
        let states = filter("state", &["pending", "available", "deleting", "failed"]);
        let request =
            aws.ec2.describe_nat_gateways().filter(filter("nat-gateway-id", some)).filter(states);
        let gateways = pages!(aws, "DescribeNatGateways", request, nat_gateways);
        alive.extend(gateways.into_iter().filter_map(|gateway| gateway.nat_gateway_id));
    }
    found.retain(|one| !matches!(&*one.kind, "instance" | "natgateway") || alive.contains(&one.id));
    Ok(())
}

async fn balancers(aws: &Aws) -> Result<Vec<Leftover>> {
    let mut arns: Vec<(&str, String)> = Vec::new();
    let mut marker = None;
    loop {
        let request = aws.elb.describe_load_balancers().set_marker(marker).page_size(400);
        let page =
            aws.call("elasticloadbalancing", "DescribeLoadBalancers", request.send()).await?;
        let found = page.load_balancers().iter().filter_map(|one| one.load_balancer_arn());
        arns.extend(found.map(|arn| ("load-balancer", arn.to_owned())));
        marker = page.next_marker().map(str::to_owned);
        if marker.is_none() {
            break;
        }
    }
    loop {
        let request = aws.elb.describe_target_groups().set_marker(marker).page_size(400);
        let page = aws.call("elasticloadbalancing", "DescribeTargetGroups", request.send()).await?;
        let found = page.target_groups().iter().filter_map(|one| one.target_group_arn());
        arns.extend(found.map(|arn| ("target-group", arn.to_owned())));
        marker = page.next_marker().map(str::to_owned);
        if marker.is_none() {
            break;
        }
    }
    let mut owned = Vec::new();
    for some in arns.chunks(ELB_ARNS) {
        let names = some.iter().map(|(_, arn)| arn.clone()).collect();
        let request = aws.elb.describe_tags().set_resource_arns(Some(names));
        let tags = aws.call("elasticloadbalancing", "DescribeTags", request.send()).await?;
        let ours: BTreeSet<&str> = tags
            .tag_descriptions()
            .iter()
            .filter(|one| {
                one.tags().iter().any(|tag| {
                    tag.key() == Some(&*aws.settings.cluster_tag) && tag.value() == Some("owned")
                })
            })
            .filter_map(|one| one.resource_arn())
            .collect();
        let some = some.iter().filter(|(_, arn)| ours.contains(&**arn));
        owned.extend(some.map(|(kind, id)| Leftover { kind: (*kind).to_owned(), id: id.clone() }));
    }
    Ok(owned)
}
