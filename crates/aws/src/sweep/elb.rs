//! Search for load balancers and target groups with the cluster tag. Their APIs have no filter by
//! tag, so the search lists all of them and reads the tags of twenty in each request.

use groundplan_engine::provider::{ErrorClass, ProviderError};

use super::RemainingResource;
use crate::Aws;
use crate::client::resource_type::Result;

/// Maximum number of resources in one DescribeTags request (ELB API references, DescribeTags).
const MOST_TAGGED: usize = 20;
const ELB: &str = "elasticloadbalancing";
/// Error codes for a listed resource that was deleted before its tags were read.
const GONE: &[&str] = &["LoadBalancerNotFound", "TargetGroupNotFound", "AccessPointNotFound"];

pub(super) async fn load_balancers(aws: &Aws) -> Result<Vec<RemainingResource>> {
    let (mut arns, mut marker) = (Vec::new(), None);
    loop {
        let call = aws.elb.describe_load_balancers().set_marker(marker).send();
        let page = aws.call(ELB, "DescribeLoadBalancers", call).await?;
        let found = page.load_balancers.unwrap_or_default().into_iter();
        arns.extend(found.filter_map(|one| Some((one.load_balancer_arn?, one.load_balancer_name))));
        marker = page.next_marker.filter(|marker| !marker.is_empty());
        if marker.is_none() {
            return with_our_tag(aws, "load-balancer", arns).await;
        }
    }
}

pub(super) async fn target_groups(aws: &Aws) -> Result<Vec<RemainingResource>> {
    let (mut arns, mut marker) = (Vec::new(), None);
    loop {
        let call = aws.elb.describe_target_groups().set_marker(marker).send();
        let page = aws.call(ELB, "DescribeTargetGroups", call).await?;
        let found = page.target_groups.unwrap_or_default().into_iter();
        arns.extend(found.filter_map(|one| Some((one.target_group_arn?, one.target_group_name))));
        marker = page.next_marker.filter(|marker| !marker.is_empty());
        if marker.is_none() {
            return with_our_tag(aws, "target-group", arns).await;
        }
    }
}

async fn with_our_tag(
    aws: &Aws,
    kind: &str,
    named: Vec<(String, Option<String>)>,
) -> Result<Vec<RemainingResource>> {
    let mut left = Vec::new();
    for some in named.chunks(MOST_TAGGED) {
        let arns = some.iter().map(|(arn, _)| arn.clone()).collect();
        let call = aws.elb.describe_tags().set_resource_arns(Some(arns)).send();
        let answer = settled(aws.call(ELB, "DescribeTags", call).await)?;
        for one in answer.tag_descriptions() {
            let ours = one.tags().iter().find(|tag| tag.key() == Some(&aws.settings.cluster_tag));
            if let (Some(arn), Some(tag)) = (one.resource_arn(), ours) {
                let name = some.iter().find(|(its, _)| its == arn).and_then(|(_, n)| n.as_deref());
                left.push(RemainingResource::new(kind, arn, name).tagged(tag.value()));
            }
        }
    }
    Ok(left)
}

/// Returns the Classic Load Balancers with the cluster tag. Kubernetes creates them by default for
/// a Service, usually that of the router.
pub(super) async fn classic(aws: &Aws) -> Result<Vec<RemainingResource>> {
    let names = classic_balancers(aws).await?;
    let mut left = Vec::new();
    for some in names.chunks(MOST_TAGGED) {
        let call = aws.elb_classic.describe_tags().set_load_balancer_names(Some(some.to_vec()));
        let answer = settled(aws.call(ELB, "DescribeTags", call.send()).await)?;
        for one in answer.tag_descriptions() {
            let ours = one.tags().iter().find(|tag| tag.key() == aws.settings.cluster_tag);
            if let (Some(name), Some(tag)) = (one.load_balancer_name(), ours) {
                let found = RemainingResource::new("classic-load-balancer", name, Some(name));
                left.push(found.tagged(tag.value()));
            }
        }
    }
    Ok(left)
}

/// Returns the names of all Classic Load Balancers.
pub(crate) async fn classic_balancers(aws: &Aws) -> Result<Vec<String>> {
    let (mut names, mut marker) = (Vec::new(), None);
    loop {
        let call = aws.elb_classic.describe_load_balancers().set_marker(marker).send();
        let page = aws.call(ELB, "DescribeLoadBalancers", call).await?;
        let found = page.load_balancer_descriptions.unwrap_or_default().into_iter();
        names.extend(found.filter_map(|one| one.load_balancer_name));
        marker = page.next_marker.filter(|marker| !marker.is_empty());
        if marker.is_none() {
            return Ok(names);
        }
    }
}

/// Makes the error retryable if a listed resource was deleted before its tags were read. The error
/// does not name the resource, so the whole search must be repeated.
fn settled<T>(answer: Result<T>) -> Result<T> {
    answer.map_err(|error| match error.is(GONE) {
        true => ProviderError { class: ErrorClass::Retryable, ..error },
        false => error,
    })
}
