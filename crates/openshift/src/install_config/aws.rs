//! `platform.aws`: region, subnets, hosted zone, tags and endpoints.
//!
//! Rules: openshift/installer `pkg/types/aws/validation/platform.go`, release-4.15. Rules whose
//! source is "AWS" report input that AWS itself would reject later.

use std::collections::BTreeMap;

use groundplan_aws::model::ids::{PolicyArn, SubnetId};
use groundplan_aws::model::partition::Partition;
use groundplan_aws::model::{CLUSTER_TAG_PREFIX, tags};
use url::{Host, Url};

use super::choices::{Choices, choose};
use super::document::{self, Document, FieldValue, Spanned};
use super::feature_support::is_enabled;
use super::machine_pool::unsupported;
use super::metadata_service::warn_of_extension;
use super::subnet_roles;
use crate::diagnostics::finding::{
    FieldSpan, FindingCollector, did_you_mean, may_be_secret, shown,
};
use crate::diagnostics::rules::Rule;
use crate::install_config::resolved::{
    AwsPlatform, CredentialsMode, LoadBalancerType, ServiceEndpoint,
};
use crate::release::ReleaseRange;

pub(super) const LOAD_BALANCERS: &Choices<LoadBalancerType> =
    &[("Classic", LoadBalancerType::Classic), ("NLB", LoadBalancerType::Network)];

/// Returns `platform.aws`. Reports every other platform.
pub(super) fn platform<'document>(
    document: &'document Document,
    report: &mut FindingCollector,
) -> Option<&'document Spanned<document::AwsPlatform>> {
    let platform = document.platform.require(&FieldSpan::file(), "platform", report)?;
    for other in &platform.others {
        report
            .breach(
                Rule::OtherPlatform,
                &other.spot,
                format!("found the platform `{}`", other.value),
            )
            .expected("the platform `aws`; groundplan supports no other");
    }
    if platform.others.is_empty() {
        platform.aws.require(&platform.spot, "aws", report)
    } else {
        platform.aws.get()
    }
}

/// Validates and resolves `platform.aws`.
pub(super) fn resolve(
    document: &Document,
    given: &Spanned<document::AwsPlatform>,
    credentials_mode: Option<CredentialsMode>,
    report: &mut FindingCollector,
) -> Option<AwsPlatform> {
    let region = region(given, report);
    check_sovereign(document, given, report);
    let subnets = subnets(given, report);
    let subnet_roles = subnet_roles::resolve(document, given, report);
    let hosted_zone = given.hosted_zone.text();
    check_hosted_zone(given, credentials_mode, report);
    if let Some(image) = given.ami_id.filled() {
        check_id(image, "ami-", report);
    }
    let propagate_user_tags = propagate_user_tags(given, report);
    let user_tags = user_tags(given, propagate_user_tags, report);
    let permissions_boundary = permissions_boundary(given, report);
    let service_endpoints = service_endpoints(given, report);
    check_public_ipv4_pool(document, given, report);
    check_unsupported(given, report);
    check_user_provisioned_dns(document, given, report);
    Some(AwsPlatform {
        ami_id: given.ami_id.text().map(Into::into),
        hosted_zone: hosted_zone.map(Into::into),
        public_ipv4_pool: given.public_ipv4_pool.text().map(Into::into),
        hosted_zone_role: given.hosted_zone_role.text().map(str::to_owned),
        load_balancer_type: choose(Rule::LoadBalancerType, &given.lb_type, LOAD_BALANCERS, report)
            .unwrap_or_default(),
        preserve_bootstrap_ignition: given
            .preserve_bootstrap_ignition
            .get()
            .is_some_and(|at| at.value),
        permissions_boundary,
        propagate_user_tags,
        user_tags,
        service_endpoints,
        subnets,
        subnet_roles,
        region: region?,
    })
}

fn region(given: &Spanned<document::AwsPlatform>, report: &mut FindingCollector) -> Option<String> {
    let at = given.region.require(&given.spot, "region", report)?;
    let found = format!("found {}", shown(&at.value));
    let meant = || did_you_mean(&at.value, REGIONS);
    if !is_region(&at.value) {
        report
            .breach(Rule::Region, &at.spot, format!("{found}, and AWS has no such region"))
            .expected("a region such as `us-west-2`")
            .hint_if(meant());
        return None;
    }
    if !is_known_region(&at.value) {
        report
            .breach(
                Rule::UnknownRegion,
                &at.spot,
                format!("{found}, which this version of groundplan does not know"),
            )
            .expected("a region of AWS")
            .hint_if(meant());
    }
    Some(at.value.clone())
}

/// Reports a malformed pool, and a pool of a cluster without public addresses. Reference:
/// openshift/installer `pkg/asset/installconfig/aws/validation.go`, `validatePublicIpv4Pool`.
fn check_public_ipv4_pool(
    document: &Document,
    given: &Spanned<document::AwsPlatform>,
    report: &mut FindingCollector,
) {
    let Some(at) = given.public_ipv4_pool.filled() else { return };
    check_id(at, "ipv4pool-ec2-", report);
    if document.publish.text() == Some("Internal") {
        report
            .breach(Rule::PublicPoolPublish, &at.spot, "is set, but `publish` is `Internal`")
            .expected("nothing, because an internal cluster takes no addresses from the pool")
            .hint("remove the field");
    }
}

/// Reports a region of the European Sovereign Cloud without its feature gate.
fn check_sovereign(
    document: &Document,
    given: &Spanned<document::AwsPlatform>,
    report: &mut FindingCollector,
) {
    const GATE: &str = "AWSEuropeanSovereignCloudInstall";
    let Some(at) = given.region.get().filter(|at| at.value.starts_with("eusc-")) else { return };
    if !is_enabled(document, GATE) {
        report
            .breach(Rule::SovereignRegion, &at.spot, format!("found {}", shown(&at.value)))
            .expected(format!("featureSet `CustomNoUpgrade` with the gate `{GATE}=true`"));
    }
}

/// Returns true for the form of a region: a partition or continent, a direction and a number.
pub(super) fn is_region(text: &str) -> bool {
    const DIRECTIONS: [&str; 9] = [
        "central",
        "east",
        "north",
        "northeast",
        "northwest",
        "south",
        "southeast",
        "southwest",
        "west",
    ];
    let of_letters = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    let [area @ .., direction, number] = &*text.split('-').collect::<Vec<_>>() else {
        return false;
    };
    (1..=2).contains(&area.len())
        && area.iter().all(|part| of_letters(part))
        && DIRECTIONS.contains(direction)
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
}

/// Returns true for a region of the list below, and for regions of isolated partitions.
pub(super) fn is_known_region(text: &str) -> bool {
    REGIONS.contains(&text) || ["us-iso", "eu-iso", "eusc-"].iter().any(|p| text.starts_with(p))
}

/// Regions of AWS, for warnings about misspelt ones.
const REGIONS: &[&str] = &[
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

/// Reports an ID without the prefix of its kind, or with characters that AWS does not use in IDs.
pub(super) fn check_id(at: &Spanned<String>, prefix: &str, report: &mut FindingCollector) {
    let rest = at.value.strip_prefix(prefix);
    if !rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
    {
        report
            .breach(Rule::AwsId, &at.spot, format!("found {}", shown(&at.value)))
            .expected(format!("an id such as `{prefix}0123456789abcdef0`"));
    }
}

/// Returns true if the cluster uses existing subnets. A list that cannot be read counts as existing
/// subnets.
pub(super) fn has_subnets(given: &document::AwsPlatform) -> bool {
    let newer = given.vpc.get().map(|vpc| &vpc.subnets);
    has_items(&given.subnets) || newer.is_some_and(has_items)
}

fn has_items<T>(list: &FieldValue<Vec<Spanned<T>>>) -> bool {
    matches!(list, FieldValue::Unreadable) || !list.items().is_empty()
}

fn subnets(given: &Spanned<document::AwsPlatform>, report: &mut FindingCollector) -> Vec<SubnetId> {
    let newer = given.vpc.get().map_or(&[][..], |vpc| vpc.subnets.items());
    let older = given.subnets.get().filter(|list| !list.is_empty());
    if let (Some(at), false) = (older, newer.is_empty()) {
        report
            .breach(Rule::SubnetsInBoth, &at.spot, "is set together with `vpc.subnets`")
            .expected("one of the two");
    }
    let mut ids: Vec<&Spanned<String>> = given.subnets.items().iter().collect();
    for subnet in newer {
        ids.extend(subnet.id.require(&subnet.spot, "id", report));
    }
    for (index, id) in ids.iter().enumerate() {
        check_id(id, "subnet-", report);
        if ids[..index].iter().any(|earlier| earlier.value == id.value) {
            report.breach(
                Rule::RepeatedSubnet,
                &id.spot,
                format!("found {} a second time", shown(&id.value)),
            );
        }
    }
    let mut unique: Vec<SubnetId> = Vec::new();
    for id in ids {
        let id = SubnetId::from(id.value.as_str());
        if !unique.contains(&id) {
            unique.push(id);
        }
    }
    unique
}

fn check_hosted_zone(
    given: &Spanned<document::AwsPlatform>,
    credentials_mode: Option<CredentialsMode>,
    report: &mut FindingCollector,
) {
    let zone = given.hosted_zone.filled();
    if let (Some(zone), false) = (zone, has_subnets(given)) {
        report
            .breach(Rule::HostedZoneSubnets, &zone.spot, "is set without `subnets`")
            .expected("existing subnets, in a VPC that the hosted zone is associated with");
    }
    let Some(role) = given.hosted_zone_role.filled() else {
        return;
    };
    check_role(role, given, credentials_mode, report);
}

/// Returns the ARN of the permissions boundary. Reports an ARN that no policy of the region's
/// partition has.
fn permissions_boundary(
    given: &Spanned<document::AwsPlatform>,
    report: &mut FindingCollector,
) -> Option<PolicyArn> {
    // An empty value may come from a template, and would remove the boundary of all roles.
    let at = given.permissions_boundary.get()?;
    warn_of_extension(&at.spot, report);
    let region = given.region.text().filter(|region| is_region(region));
    let partition = region.map(|region| Partition::of_region(region).name);
    let arn = PolicyArn::from(at.value.as_str());
    let is_here = |found: &str| partition.is_none_or(|own| own == found);
    if !arn.parts().is_some_and(|parts| is_here(parts.partition)) {
        let partition = partition.unwrap_or("aws");
        report
            .breach(Rule::PermissionsBoundary, &at.spot, format!("found {}", shown(&at.value)))
            .expected(format!(
                "the ARN of a policy, such as `arn:{partition}:iam::123456789012:policy/boundary`"
            ))
            .hint("list the policies with `aws iam list-policies --scope Local`");
        return None;
    }
    Some(arn)
}

/// Reports a role for the hosted zone that breaks a rule of openshift-install.
fn check_role(
    role: &Spanned<String>,
    given: &Spanned<document::AwsPlatform>,
    credentials_mode: Option<CredentialsMode>,
    report: &mut FindingCollector,
) {
    if given.hosted_zone.text().is_none() && !matches!(given.hosted_zone, FieldValue::Unreadable) {
        report
            .breach(Rule::HostedZoneRoleZone, &role.spot, "is set without `hostedZone`")
            .expected("`hostedZone`, the zone that the role is for");
    }
    if !role.value.starts_with("arn:") {
        report
            .breach(Rule::HostedZoneRoleArn, &role.spot, format!("found {}", shown(&role.value)))
            .expected("the ARN of a role");
    }
    if !matches!(credentials_mode, Some(CredentialsMode::Passthrough | CredentialsMode::Manual)) {
        report
            .breach(
                Rule::HostedZoneRoleMode,
                &role.spot,
                "is set, but `credentialsMode` does not allow it",
            )
            .expected("credentialsMode `Passthrough` or `Manual`");
    }
}

fn propagate_user_tags(
    given: &Spanned<document::AwsPlatform>,
    report: &mut FindingCollector,
) -> bool {
    if let Some(old) = given.old_propagate_user_tags.get() {
        report
            .breach(Rule::Deprecated, &old.spot, "is deprecated in favour of `propagateUserTags`")
            .hint("use only `propagateUserTags`");
    }
    let given = given.propagate_user_tags.get().or(given.old_propagate_user_tags.get());
    given.is_some_and(|at| at.value)
}

fn user_tags(
    given: &Spanned<document::AwsPlatform>,
    propagate: bool,
    report: &mut FindingCollector,
) -> BTreeMap<String, String> {
    // The limit of 25 is the installer's. S3 objects carry 10 tags, two of which are the cluster's.
    const MOST: usize = 25;
    const ON_OBJECTS: usize = 8;
    let Some(tags) = given.user_tags.get() else { return BTreeMap::new() };
    check_case(&tags.value, report);
    let count = tags.value.len();
    if count > MOST {
        report
            .breach(Rule::TagCount, &tags.spot, format!("found {count} tags"))
            .expected(format!("at most {MOST}"));
    } else if count > ON_OBJECTS {
        report
            .breach(
                Rule::TagsOnObjects,
                &tags.spot,
                format!("found {count} tags, more than fit on an S3 object"),
            )
            .hint(format!(
                "remove tags; the S3 object with the Ignition config gets only the first \
                 {ON_OBJECTS} by name"
            ));
    }
    for (key, value) in &tags.value {
        check_tag(key, value, propagate, report);
    }
    tags.value.iter().map(|(key, value)| (key.value.clone(), value.value.clone())).collect()
}

/// Reports keys that IAM takes for duplicates of an earlier key.
fn check_case(given: &[(Spanned<String>, Spanned<String>)], report: &mut FindingCollector) {
    let mut earlier: BTreeMap<String, &str> = BTreeMap::new();
    for (key, _) in given {
        let Some(first) = earlier.insert(tags::folded(&key.value), &key.value) else { continue };
        earlier.insert(tags::folded(&key.value), first);
        report
            .breach(
                Rule::TagCase,
                &key.spot,
                format!(
                    "found {}, which differs from {} only in case",
                    shown(&key.value),
                    shown(first)
                ),
            )
            .expected("one of the two, because IAM takes them for one key")
            .hint("remove one of the two tags");
    }
}

fn check_tag(
    key: &Spanned<String>,
    value: &Spanned<String>,
    propagate: bool,
    report: &mut FindingCollector,
) {
    use tags::{LONGEST_KEY, LONGEST_VALUE};
    let folded = key.value.to_ascii_lowercase();
    if folded == "name" {
        report
            .breach(Rule::TagName, &key.spot, "is a tag that groundplan sets")
            .expected("another key");
    }
    if tags::is_reserved(&key.value) {
        report
            .breach(Rule::TagAws, &key.spot, "begins with `aws:`, which is reserved for AWS")
            .expected("another key");
    }
    if folded.starts_with("groundplan.io/") {
        report
            .breach(
                Rule::TagGroundplan,
                &key.spot,
                "begins with `groundplan.io/`, which is reserved for groundplan",
            )
            .expected("another key");
    }
    let is_cluster = folded.starts_with(CLUSTER_TAG_PREFIX);
    if is_cluster || is_reserved(&folded) {
        let releases = if is_cluster { ReleaseRange::ALL } else { strict_releases(propagate) };
        report
            .breach_in(releases, Rule::TagReserved, &key.spot, "is reserved for the cluster")
            .expected("a key outside `kubernetes.io` and `openshift.io`");
    }
    if key.value.is_empty() || key.value.chars().count() > LONGEST_KEY {
        report
            .breach(Rule::TagKeyLength, &key.spot, "has a key that is empty or too long")
            .expected(format!("1 to {LONGEST_KEY} characters"));
    }
    if value.value.is_empty() || value.value.chars().count() > LONGEST_VALUE {
        let is_empty = value.value.is_empty();
        let releases = if is_empty { strict_releases(propagate) } else { ReleaseRange::ALL };
        report
            .breach_in(
                releases,
                Rule::TagValueLength,
                &value.spot,
                "has a value that is empty or too long",
            )
            .expected(format!("1 to {LONGEST_VALUE} characters"));
    }
    for at in [key, value] {
        check_characters(at, propagate, report);
    }
}

/// Reports the first problem in the characters of a key or value.
fn check_characters(at: &Spanned<String>, propagate: bool, report: &mut FindingCollector) {
    let found = format!("found {}", shown(&at.value));
    if let Some(c) = at.value.chars().find(|c| !tags::is_portable(*c)) {
        report
            .breach(
                Rule::TagPortable,
                &at.spot,
                format!("{found}, which contains `{}`", c.escape_debug()),
            )
            .expected(tags::PORTABLE)
            .hint("replace the character; IAM, S3 or Elastic Load Balancing would reject the tag");
    } else if tags::has_outer_space(&at.value) {
        report
            .breach(Rule::TagSpaces, &at.spot, format!("{found}, with a space at an end"))
            .expected("no space at the beginning or end")
            .hint("remove the space; S3 would lose it, and the plan would never become empty");
    } else if let Some(releases) = narrow_releases(&at.value, propagate) {
        report
            .breach_in(releases, Rule::TagCharacters, &at.spot, found)
            .expected("only letters, digits and `_.:/=+-@`");
    }
}

/// Returns the releases that apply the rules about propagated tags: since 4.18 to all tags
/// (openshift/installer `pkg/types/aws/validation/platform.go`).
fn strict_releases(propagate: bool) -> ReleaseRange {
    if propagate { ReleaseRange::ALL } else { ReleaseRange::since(4, 18) }
}

/// Returns the releases that reject characters of a key or value. Spaces are accepted since 4.17.
fn narrow_releases(text: &str, propagate: bool) -> Option<ReleaseRange> {
    let is_fine = |c: char| may_be_propagated(c) || c == ' ';
    match text.chars().all(may_be_propagated) {
        true => None,
        false if !text.chars().all(is_fine) => Some(strict_releases(propagate)),
        false => propagate.then_some(ReleaseRange::until(4, 16)),
    }
}

/// Returns true if the installer's class `[0-9A-Za-z_.:/=+-@]` contains `c`. In that class, `+-@`
/// is a range.
fn may_be_propagated(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || ('+'..='@').contains(&c)
}

fn is_reserved(key: &str) -> bool {
    let Some((domain, _)) = key.split_once('/') else { return false };
    ["kubernetes.io", "openshift.io"]
        .iter()
        .any(|own| domain == *own || domain.ends_with(&format!(".{own}")))
}

fn service_endpoints(
    given: &Spanned<document::AwsPlatform>,
    report: &mut FindingCollector,
) -> Vec<ServiceEndpoint> {
    let mut endpoints: Vec<ServiceEndpoint> = Vec::new();
    for item in given.service_endpoints.items() {
        let name = item.name.require(&item.spot, "name", report);
        let url =
            item.url.require(&item.spot, "url", report).and_then(|at| endpoint_url(at, report));
        let Some(name) = name else { continue };
        check_service(name, &endpoints, report);
        let url = url.unwrap_or_else(unusable);
        endpoints.push(ServiceEndpoint { name: name.value.clone(), url });
    }
    endpoints
}

/// Returns a placeholder for a URL that already has a finding, so that its service name still
/// counts.
fn unusable() -> Url {
    Url::parse("https://unusable.invalid").expect("BUG: a constant URL is a URL")
}

fn check_service(
    name: &Spanned<String>,
    earlier: &[ServiceEndpoint],
    report: &mut FindingCollector,
) {
    // Services that the infrastructure needs; the installer accepts any name.
    const USED: [&str; 7] =
        ["ec2", "elasticloadbalancing", "iam", "route53", "s3", "sts", "tagging"];
    if earlier.iter().any(|endpoint| endpoint.name == name.value) {
        report
            .breach(
                Rule::RepeatedEndpoint,
                &name.spot,
                format!("found {} a second time", shown(&name.value)),
            )
            .expected("one endpoint for each service");
    }
    let typo = did_you_mean(&name.value, &USED).filter(|_| !USED.contains(&name.value.as_str()));
    if typo.is_some() {
        let found = format!("found {}, which groundplan does not use", shown(&name.value));
        report.breach(Rule::UnusedEndpoint, &name.spot, found).hint_if(typo);
    }
}

/// Parses an endpoint: `https`, a host, an optional port, and nothing else. Plain `http` is
/// accepted for loopback addresses only, where a test cloud listens; openshift-install rejects
/// that, too.
fn endpoint_url(at: &Spanned<String>, report: &mut FindingCollector) -> Option<Url> {
    let text =
        if at.value.contains("://") { at.value.clone() } else { format!("https://{}", at.value) };
    let found = format!("found {}", shown(&at.value));
    let url = Url::parse(&text).ok().filter(Url::has_host);
    let Some(url) = url.filter(|url| url.host_str().is_some_and(|host| !host.is_empty())) else {
        report
            .breach(Rule::EndpointUrl, &at.spot, found)
            .expected("a URL such as `https://ec2.us-west-2.example.com`");
        return None;
    };
    let scheme_is_fine = url.scheme() == "https" || url.scheme() == "http" && is_loopback(&url);
    if !scheme_is_fine {
        report
            .breach(Rule::EndpointUrl, &at.spot, found)
            .expected("a URL that begins with `https://`");
        return None;
    }
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if !bare || !url.username().is_empty() || url.password().is_some() {
        let found =
            if may_be_secret(&at.value) { "has more than a host and a port".into() } else { found };
        report
            .breach(Rule::EndpointUrl, &at.spot, found)
            .expected("a URL with only a host and a port");
        return None;
    }
    Some(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Reports fields of later releases that groundplan does not support. Ignoring them would create a
/// different cluster.
fn check_unsupported(given: &Spanned<document::AwsPlatform>, report: &mut FindingCollector) {
    let family = given.ip_family.get();
    if let Some(at) = family.filter(|at| !at.value.is_empty() && at.value != "IPv4") {
        report.breach(Rule::Unsupported, &at.spot, unsupported("ipFamily"));
    }
    if let Some(at) = given.best_effort_delete.get().filter(|at| at.value) {
        report
            .breach(
                Rule::NoEffect,
                &at.spot,
                "has no effect: a bucket of the bootstrap that cannot be deleted stays recorded, and \
                 its command ends with exit code 1 after all other steps",
            )
            .hint(
                "remove the field; without the permission to delete the bucket, set \
                 `preserveBootstrapIgnition: true`, which keeps it",
            );
    }
}

/// Reports `userProvisionedDNS: Enabled`: without its feature gate as openshift-install does, and with
/// it because of the Ignition configs. The gate had another name until 4.19 (openshift/installer
/// `pkg/types/aws/validation/featuregates.go`).
fn check_user_provisioned_dns(
    document: &Document,
    given: &Spanned<document::AwsPlatform>,
    report: &mut FindingCollector,
) {
    const GATES: [&str; 2] = ["AWSClusterHostedDNSInstall", "AWSClusterHostedDNS"];
    let asked = given.user_provisioned_dns.filled().filter(|at| at.value != "Disabled");
    let Some(at) = asked else { return };
    if at.value != "Enabled" {
        report
            .breach(Rule::UserProvisionedDns, &at.spot, format!("found {}", shown(&at.value)))
            .expected("`Disabled`, or `Enabled` with its feature gate");
    } else if !GATES.into_iter().any(|gate| is_enabled(document, gate)) {
        report
            .breach(Rule::UserProvisionedDns, &at.spot, "is `Enabled` without its feature gate")
            .expected(format!("featureSet `CustomNoUpgrade` with the gate `{}=true`", GATES[0]))
            .hint("remove the field; the cluster then has a private hosted zone");
    } else {
        report
            .breach(Rule::Unsupported, &at.spot, unsupported("userProvisionedDNS: Enabled"))
            .expected(
                "`Disabled`, because the Ignition configs of such a cluster have the addresses of \
                 the load balancers, which only openshift-install writes into them",
            );
    }
}

/// Reports a region without Red Hat images if any pool lacks an image.
pub(super) fn check_images(document: &Document, report: &mut FindingCollector) {
    // openshift/installer pkg/types/aws/validation/machinepool.go
    const WITHOUT_IMAGES: [&str; 5] =
        ["us-iso-east-1", "us-isob-east-1", "us-iso-west-1", "cn-north-1", "cn-northwest-1"];
    let Some(aws) = document.platform.get().and_then(|platform| platform.aws.get()) else { return };
    let default = aws.default_machine_platform.get();
    let given_for_all = aws.ami_id.text().or(default.and_then(|default| default.ami_id.text()));
    let Some(region) = aws.region.text().filter(|region| WITHOUT_IMAGES.contains(region)) else {
        return;
    };
    let pools = document.control_plane.get().into_iter().chain(document.compute.items());
    let own = |pool: &Spanned<document::MachinePool>| {
        let aws = pool.platform.get().and_then(|platform| platform.aws.get());
        aws.is_some_and(|aws| aws.ami_id.text().is_some())
    };
    let all_have_their_own = document.control_plane.is_given() && pools.clone().all(own);
    if given_for_all.is_none() && !all_have_their_own {
        report
            .breach(
                Rule::RegionImage,
                &aws.spot.child("amiID"),
                format!("is missing, but Red Hat publishes no image for `{region}`"),
            )
            .expected("an image for every pool");
    }
}
