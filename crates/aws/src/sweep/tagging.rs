//! Search by the Resource Groups Tagging API, which has the tags of all services: those that the
//! other searches miss, because they look by name, and those of services that groundplan does not
//! know.
//!
//! The API reports a deleted resource for a while, and a new one late. Therefore it only adds to what
//! the other searches find. A resource of a type that groundplan deletes counts after its own service
//! has confirmed it. A resource of another service is named with its ARN, as reported.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_resourcegroupstagging::Client;
use aws_sdk_resourcegroupstagging::types::TagFilter;
use groundplan_engine::provider::{ErrorClass, ProviderError};

use super::{PAUSE, RemainingResource, SweepNames, buckets, dns, ec2, iam, permitted};
use crate::client::resource_type::Result;
use crate::{Aws, Tags};

/// Name of the service in the SDK's signatures.
const SERVICE: &str = "tagging";
/// Maximum page size (Resource Groups Tagging API reference, GetResources).
const PAGE: i32 = 100;
/// Number of attempts at a search that AWS throttles or answers with a server error, besides those of
/// the SDK. The search is not needed, so the wait for it is short.
const ATTEMPTS: u32 = 4;

/// Type of the backups of AWS Backup that are not EC2 objects. They have the tags of the resource,
/// and stay like those of EC2.
const RECOVERY_POINT: &str = "backup:recovery-point";

/// Reports of all asked regions.
#[derive(Debug, Default)]
pub(super) struct Reported {
    /// Resources by ARN: the asked region, and the tags.
    resources: BTreeMap<String, (String, Tags)>,
    /// Errors of the regions that did not answer.
    not_searched: Vec<ProviderError>,
}

/// Resources that only the tagging API has found.
#[derive(Debug, Default)]
pub(super) struct Besides {
    /// EC2 resources.
    pub(super) ec2: Vec<RemainingResource>,
    /// Resources of other services.
    pub(super) elsewhere: Vec<RemainingResource>,
    /// Errors of searches that failed or are not allowed.
    pub(super) not_searched: Vec<ProviderError>,
}

/// Returns all resources with a tag of the cluster that the tagging API reports, in the region of the
/// cluster and in that of global services. Makes one call for each tag, page and region; an empty
/// answer is read a second time after a pause. A region that does not answer is noted.
pub(super) async fn reported(aws: &Aws) -> Reported {
    let regions = aws.tagging.values().map(|client| in_region(aws, client));
    let answers = groundplan_engine::provider::all(regions.collect()).await;
    let mut all = Reported::default();
    for (region, answer) in aws.tagging.keys().zip(answers) {
        match answer {
            Ok(found) => {
                let found = found.into_iter().map(|(arn, tags)| (arn, (region.clone(), tags)));
                all.resources.extend(found);
            }
            Err(error) => {
                let call = format!("{} in {region}", error.call);
                all.not_searched.push(ProviderError { call, ..error });
            }
        }
    }
    all
}

async fn in_region(aws: &Aws, client: &Client) -> Result<BTreeMap<String, Tags>> {
    let mut left = ATTEMPTS;
    loop {
        left -= 1;
        match read(aws, client).await {
            // Without a code, no server answers: another attempt of the SDK would not find one.
            Err(error)
                if left > 0 && error.class == ErrorClass::Retryable && error.code.is_some() =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}

async fn read(aws: &Aws, client: &Client) -> Result<BTreeMap<String, Tags>> {
    let mut all = of_both_tags(aws, client).await?;
    if all.is_empty() {
        tokio::time::sleep(PAUSE).await;
        all = of_both_tags(aws, client).await?;
    }
    Ok(all)
}

/// Returns the resources with either tag. Several filters of one call would ask for both.
async fn of_both_tags(aws: &Aws, client: &Client) -> Result<BTreeMap<String, Tags>> {
    let [one, other] = aws.settings.cluster_tags();
    let (mut all, others) =
        tokio::try_join!(with_tag(aws, client, one), with_tag(aws, client, other))?;
    all.extend(others);
    all.retain(|_, tags| aws.settings.has_cluster_tag(tags));
    Ok(all)
}

async fn with_tag(aws: &Aws, client: &Client, key: String) -> Result<BTreeMap<String, Tags>> {
    let filter = TagFilter::builder().key(key).build();
    let (mut all, mut next) = (BTreeMap::new(), None);
    loop {
        let call = client.get_resources().tag_filters(filter.clone()).resources_per_page(PAGE);
        let call = call.set_pagination_token(next).send();
        let page = aws.call(SERVICE, "GetResources", call).await?;
        let listed = page.resource_tag_mapping_list.unwrap_or_default().into_iter();
        all.extend(listed.filter_map(|one| {
            let tags = one.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value));
            Some((one.resource_arn?, tags.collect()))
        }));
        // A page may be empty although there are more.
        next = page.pagination_token.filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok(all);
        }
    }
}

/// Returns the reported resources that the other searches have not found, if they exist. A resource
/// of a service that groundplan does not ask counts as existing.
///
/// # Errors
/// If a call that confirms a resource fails.
pub(super) async fn besides(
    aws: &Aws,
    names: &SweepNames,
    reported: Reported,
    ec2: &[RemainingResource],
    found: &BTreeSet<RemainingResource>,
) -> Result<Besides> {
    let Reported { resources, not_searched } = reported;
    let mut besides = Besides { not_searched, ..Besides::default() };
    let known: BTreeSet<&str> = ec2.iter().chain(found).map(|one| one.id.as_str()).collect();
    let is_known = |id: &str| known.contains(id) || names.recorded.contains(id);
    let mut of_ec2 = BTreeMap::new();
    for (arn, (asked, tags)) in &resources {
        let confirmed = match place(arn, asked, &aws.settings.region) {
            Place::Listed => continue,
            Place::Ec2 { kind, id } => {
                if !is_known(id) {
                    of_ec2.insert(id.to_owned(), kind.to_owned());
                }
                continue;
            }
            Place::Bucket(name) | Place::Role(name) | Place::User(name) | Place::Profile(name)
                if is_known(name) || is_known(arn) =>
            {
                continue;
            }
            Place::HostedZone(id) if is_known(id) => continue,
            Place::Bucket(name) => buckets::tagged(aws, name).await.map(Vec::from_iter),
            Place::HostedZone(id) => Box::pin(dns::zone_by_id(aws, names, id)).await,
            Place::Role(name) => iam::tagged_role(aws, name).await.map(Vec::from_iter),
            Place::User(name) => iam::tagged_user(aws, name).await.map(Vec::from_iter),
            Place::Profile(name) => iam::tagged_profile(aws, name).await.map(Vec::from_iter),
            Place::Elsewhere { .. } if is_known(arn) => continue,
            Place::Elsewhere { kind } => {
                let is_backup = kind == RECOVERY_POINT;
                let one = RemainingResource::new(&kind, arn, name_in(tags));
                let one = RemainingResource { reported: true, is_backup, ..one };
                Ok(Vec::from_iter(one.with_fixed_tags(&aws.settings, tags)))
            }
        };
        let (confirmed, denied) = permitted(confirmed)?;
        besides.elsewhere.extend(confirmed.into_iter().flatten());
        besides.not_searched.extend(denied);
    }
    besides.ec2 = ec2::confirmed(aws, &of_ec2).await?;
    Ok(besides)
}

fn name_in(tags: &Tags) -> Option<&str> {
    tags.get("Name").map(String::as_str)
}

/// The search that decides whether a reported resource exists.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    /// Describe call of the type.
    Ec2 { kind: &'a str, id: &'a str },
    /// Lists that the sweep has read completely, or the resource that contains this one.
    Listed,
    /// Tags of the bucket.
    Bucket(&'a str),
    /// Tags of the zone.
    HostedZone(&'a str),
    /// Tags of the role.
    Role(&'a str),
    /// Tags of the user.
    User(&'a str),
    /// Tags of the instance profile.
    Profile(&'a str),
    /// None: a type of a service that groundplan does not know, or another region.
    Elsewhere { kind: String },
}

/// Returns the search for the resource with this ARN, which the tagging API has reported when this
/// region was asked. `region` is that of the cluster.
fn place<'a>(arn: &'a str, asked: &str, region: &str) -> Place<'a> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, _, service, of_region, _, resource] = parts[..] else {
        return Place::Elsewhere { kind: "resource".to_owned() };
    };
    // `type/id`, `type:id`, or only an ID, as of a bucket or a queue.
    let (kind, id) = resource.split_once(['/', ':']).unwrap_or(("", resource));
    // IAM puts a path before the name.
    let name = id.rsplit_once('/').map_or(id, |(_, name)| name);
    let is_here = of_region == region;
    match (service, kind) {
        ("ec2", _) if is_here => Place::Ec2 { kind, id },
        // The lists of the region are complete. Listeners and their rules go with the balancer.
        ("elasticloadbalancing", "loadbalancer" | "targetgroup" | "listener" | "listener-rule")
            if is_here =>
        {
            Place::Listed
        }
        ("s3", "") if asked == region => Place::Bucket(id),
        ("route53", "hostedzone") => Place::HostedZone(id),
        ("iam", "role") => Place::Role(name),
        ("iam", "user") => Place::User(name),
        ("iam", "instance-profile") => Place::Profile(name),
        (service, "") => Place::Elsewhere { kind: service.to_owned() },
        (service, kind) => Place::Elsewhere { kind: format!("{service}:{kind}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::AwsSettings;
    use crate::client::tests::{Script, scripted_with};

    #[test]
    fn the_arn_names_the_service_that_confirms_a_resource() {
        let ec2 = |kind, id| Place::Ec2 { kind, id };
        let elsewhere = |kind: &str| Place::Elsewhere { kind: kind.to_owned() };
        for (arn, expected) in [
            ("arn:aws:ec2:us-west-2:1:vpc/vpc-1", ec2("vpc", "vpc-1")),
            ("arn:aws-cn:ec2:us-west-2:1:natgateway/nat-1", ec2("natgateway", "nat-1")),
            ("arn:aws:ec2:us-east-1:1:image/ami-1", elsewhere("ec2:image")),
            ("arn:aws:elasticloadbalancing:us-west-2:1:loadbalancer/net/a/1", Place::Listed),
            ("arn:aws:elasticloadbalancing:us-west-2:1:loadbalancer/a1b2", Place::Listed),
            ("arn:aws:elasticloadbalancing:us-west-2:1:targetgroup/a/1", Place::Listed),
            ("arn:aws:elasticloadbalancing:us-west-2:1:listener/net/a/1/2", Place::Listed),
            (
                "arn:aws:elasticloadbalancing:us-west-2:1:truststore/a/1",
                elsewhere("elasticloadbalancing:truststore"),
            ),
            ("arn:aws:s3:::demo-x7k2p-images", Place::Bucket("demo-x7k2p-images")),
            ("arn:aws:s3:us-west-2:1:accesspoint/a", elsewhere("s3:accesspoint")),
            ("arn:aws:route53:::hostedzone/Z1", Place::HostedZone("Z1")),
            ("arn:aws:route53:::healthcheck/1", elsewhere("route53:healthcheck")),
            ("arn:aws:iam::1:role/team/demo", Place::Role("demo")),
            ("arn:aws:iam::1:user/demo", Place::User("demo")),
            ("arn:aws:iam::1:instance-profile/team/demo", Place::Profile("demo")),
            ("arn:aws:iam::1:oidc-provider/x.example.com", elsewhere("iam:oidc-provider")),
            ("arn:aws:kms:us-west-2:1:key/5a", elsewhere("kms:key")),
            ("arn:aws:lambda:us-west-2:1:function:f", elsewhere("lambda:function")),
            (
                "arn:aws:elasticfilesystem:us-west-2:1:file-system/fs-1",
                elsewhere("elasticfilesystem:file-system"),
            ),
            ("arn:aws:sqs:us-west-2:1:interruptions", elsewhere("sqs")),
            ("odd", elsewhere("resource")),
        ] {
            assert_eq!(place(arn, "us-west-2", "us-west-2"), expected, "{arn}");
        }
        // The bucket is in the asked region, from which the cluster's region cannot read its tags.
        assert_eq!(place("arn:aws:s3:::b", "us-east-1", "us-west-2"), elsewhere("s3"));
    }

    fn settings() -> AwsSettings {
        AwsSettings {
            region: "us-east-1".to_owned(),
            cluster_tag: "kubernetes.io/cluster/demo-x7k2p".to_owned(),
            ..AwsSettings::default()
        }
    }

    fn page(arns: &[&str], next: &str) -> Script {
        let tag = r#"{"Key": "kubernetes.io/cluster/demo-x7k2p", "Value": "owned"}"#;
        let one = |arn: &&str| format!(r#"{{"ResourceARN": "{arn}", "Tags": [{tag}]}}"#);
        let listed = arns.iter().map(one).collect::<Vec<_>>().join(", ");
        let body =
            format!(r#"{{"ResourceTagMappingList": [{listed}], "PaginationToken": "{next}"}}"#);
        Script::Answer(200, body)
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_page_is_not_the_last_and_an_empty_answer_is_read_again() {
        let answers = [
            page(&[], ""),
            page(&[], ""),
            page(&[], "more"),
            page(&["arn:aws:kms:us-east-1:1:key/a"], ""),
            page(&["arn:aws:kms:us-east-1:1:key/b"], ""),
        ];
        let (aws, sent) = scripted_with(answers, settings());
        let found = reported(&aws).await;
        assert_eq!(found.not_searched, []);
        assert_eq!(found.resources.len(), 2, "{found:?}");
        assert_eq!(sent.bodies().len(), 5, "{:?}", sent.bodies());
    }

    #[tokio::test(start_paused = true)]
    async fn a_region_that_does_not_answer_is_noted_and_hides_no_other() {
        let denied = r#"{"__type": "AccessDeniedException", "message": "no"}"#;
        let west = AwsSettings { region: "us-west-2".to_owned(), ..settings() };
        let answers = [Script::Answer(400, denied.to_owned()), page(&[], "")];
        let (aws, _) = scripted_with(answers, west);
        let found = reported(&aws).await;
        let calls: Vec<&str> = found.not_searched.iter().map(|one| one.call.as_str()).collect();
        assert_eq!(calls.len(), 2, "{found:?}"); // the script ends, so the other is lost
        assert_eq!(calls, ["GetResources in us-east-1", "GetResources in us-west-2"]);
        assert!(super::super::is_denied(&found.not_searched[0]), "{found:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_search_is_repeated() {
        let throttled = || {
            let body = r#"{"__type": "ThrottledException", "message": "Rate exceeded"}"#;
            Script::Answer(400, body.to_owned())
        };
        let mut answers: Vec<Script> = (0..10).map(|_| throttled()).collect();
        answers.extend([page(&["arn:aws:kms:us-east-1:1:key/a"], ""), page(&[], "")]);
        let (aws, _) = scripted_with(answers, settings());
        let found = reported(&aws).await;
        assert_eq!((found.resources.len(), found.not_searched.len()), (1, 0), "{found:?}");
    }
}
