//! Search for load balancers and target groups with the cluster tag. Their APIs have no filter by
//! tag, so the search lists all of them and reads the tags of twenty in each request.

use std::collections::{BTreeMap, BTreeSet};

use groundplan_engine::provider::{ErrorClass, ProviderError};

use super::lists::Items;
use super::{PAUSE, RemainingResource, incomplete};
use crate::client::elb;
use crate::client::resource_type::Result;
use crate::model::untracked::UntrackedKind;
use crate::{Aws, Tags};

/// Maximum number of resources in one DescribeTags request (ELB API references, DescribeTags).
const MOST_TAGGED: usize = 20;
const ELB: &str = "elasticloadbalancing";
/// Error codes for a listed resource that was deleted before its tags were read.
const GONE: &[&str] = &["LoadBalancerNotFound", "TargetGroupNotFound", "AccessPointNotFound"];

/// Load balancers or target groups of the region: type and name, by ARN.
type Listed = Items<(&'static str, Option<String>)>;

/// Returns the load balancers, except classic ones, and the target groups with the cluster tag.
/// Recorded ones that refresh has just read with the tag are left out.
///
/// # Errors
/// Returns an error if a call fails, and if the lists lack a recorded one that has the tag.
pub(super) async fn balancers_and_groups(
    aws: &Aws,
    recorded: &BTreeSet<String>,
) -> Result<Vec<RemainingResource>> {
    let mut read = aws.watch.owned_of(recorded);
    read.retain(|id| id.starts_with("arn:"));
    let all = every(aws, &read).await?;
    let unread: Vec<String> = all.keys().filter(|arn| !read.contains(*arn)).cloned().collect();
    let tags = tags(aws, unread).await?;
    let found = all.into_iter().filter_map(|(arn, (kind, name))| {
        let one = RemainingResource::new(kind, &arn, name.as_deref());
        one.with_tags(&aws.settings, tags.get(&arn)?)
    });
    Ok(found.collect())
}

/// Returns all load balancers and target groups. Lists that lack one of `read` are read a second
/// time after a pause, and so are lists of which `read` names no resource. An item of either list
/// counts.
async fn every(aws: &Aws, read: &BTreeSet<String>) -> Result<Listed> {
    let lacking = |all: &Listed| read.iter().find(|arn| !all.contains_key(*arn)).cloned();
    let is_judged = read.iter().any(|arn| is_group(arn)) && read.iter().any(|arn| !is_group(arn));
    let mut all = lists(aws).await?;
    if !is_judged || lacking(&all).is_some() {
        tokio::time::sleep(PAUSE).await;
        all.extend(lists(aws).await?);
    }
    match lacking(&all) {
        Some(arn) if is_group(&arn) => Err(incomplete("DescribeTargetGroups", &arn)),
        Some(arn) => Err(incomplete("DescribeLoadBalancers", &arn)),
        None => Ok(all),
    }
}

/// Returns true for the ARN of a target group (ELB API reference, TargetGroup).
fn is_group(arn: &str) -> bool {
    arn.contains(":targetgroup/")
}

async fn lists(aws: &Aws) -> Result<Listed> {
    let (balancers, groups) = tokio::try_join!(
        Box::pin(elb::every_load_balancer(aws)),
        Box::pin(elb::every_target_group(aws)),
    )?;
    let balancers = balancers.into_iter().filter_map(|one| {
        let kind = UntrackedKind::LoadBalancer.as_str();
        Some((one.load_balancer_arn?, (kind, one.load_balancer_name)))
    });
    let groups = groups.into_iter().filter_map(|one| {
        let kind = UntrackedKind::TargetGroup.as_str();
        Some((one.target_group_arn?, (kind, one.target_group_name)))
    });
    Ok(balancers.chain(groups).collect())
}

/// Returns the tags of these load balancers and target groups. Those without any tag are read a
/// second time after a pause: one empty answer would hide them.
async fn tags(aws: &Aws, arns: Vec<String>) -> Result<BTreeMap<String, Tags>> {
    let mut tags = elb::live_tags(aws, &arns).await?;
    let is_bare = |arn: &String| tags.get(arn).is_none_or(Tags::is_empty);
    let bare: Vec<String> = arns.into_iter().filter(is_bare).collect();
    if !bare.is_empty() {
        tokio::time::sleep(PAUSE).await;
        tags.extend(elb::live_tags(aws, &bare).await?);
    }
    Ok(tags)
}

/// Returns the Classic Load Balancers with the cluster tag. Kubernetes creates them by default for
/// a Service, usually that of the router.
pub(super) async fn classic(aws: &Aws) -> Result<Vec<RemainingResource>> {
    // No record of the cluster names a Classic Load Balancer, so the list is read twice.
    let mut names: BTreeSet<String> = classic_balancers(aws).await?.into_iter().collect();
    tokio::time::sleep(PAUSE).await;
    names.extend(classic_balancers(aws).await?);
    let names: Vec<String> = names.into_iter().collect();
    let mut tags = classic_tags(aws, &names).await?;
    let is_bare = |name: &String| tags.get(name).is_none_or(Tags::is_empty);
    let bare: Vec<String> = names.into_iter().filter(is_bare).collect();
    if !bare.is_empty() {
        tokio::time::sleep(PAUSE).await;
        tags.extend(classic_tags(aws, &bare).await?);
    }
    let found = tags.iter().filter_map(|(name, tags)| {
        let kind = UntrackedKind::ClassicLoadBalancer.as_str();
        RemainingResource::new(kind, name, Some(name)).with_fixed_tags(&aws.settings, tags)
    });
    Ok(found.collect())
}

/// Returns the tags of these Classic Load Balancers, by name.
async fn classic_tags(aws: &Aws, names: &[String]) -> Result<BTreeMap<String, Tags>> {
    let mut all = BTreeMap::new();
    for some in names.chunks(MOST_TAGGED) {
        let call = aws.elb_classic.describe_tags().set_load_balancer_names(Some(some.to_vec()));
        let answer = settled(aws.call(ELB, "DescribeTags", call.send()).await)?;
        all.extend(answer.tag_descriptions().iter().filter_map(|one| {
            let tags = one.tags().iter();
            let tags =
                tags.map(|tag| (tag.key().to_owned(), tag.value().unwrap_or_default().to_owned()));
            Some((one.load_balancer_name()?.to_owned(), tags.collect()))
        }));
    }
    Ok(all)
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
