//! Shared parts of the EC2 kinds: tags, filters, paged Describe calls, and deletes that accept
//! resources that no longer exist.
//!
//! Knows no kind's inputs and decides nothing. Every filter is applied a second time in memory. A
//! cloud that ignores a filter therefore cannot hand groundplan another owner's resources.

use std::collections::HashMap;

use aws_sdk_ec2::types::{self, Filter, ResourceType, Tag, TagSpecification};
use groundplan_engine::graph::Resource;
use groundplan_engine::provider::{ErrorClass, ProviderError};

use super::ownership::tag_changes;
use crate::client::resource_type::{PollResult, Recorded, Result};
use crate::client::{AwsSettings, TOKEN_TAG, owned_tags};
use crate::{Aws, Tags};

/// The maximum number of values of one filter (EC2 API reference, `Filter`).
pub(crate) const FILTER_VALUES: usize = 200;

/// An EC2 object as its Describe call returns it.
pub(crate) trait Ec2Object: Sized + Send + Sync {
    /// The filter that takes IDs.
    const ID_FILTER: &'static str;

    /// Returns the object's ID.
    fn id(&self) -> Option<&str>;

    /// Returns the object's tags.
    fn tags(&self) -> &[Tag];

    /// Returns true if the object exists; EC2 also returns objects that it has deleted lately.
    fn exists(&self) -> bool {
        true
    }

    /// Returns all objects that match the filters, from all pages.
    fn describe(aws: &Aws, filters: Vec<Filter>) -> impl Future<Output = Result<Vec<Self>>> + Send;
}

/// Returns the object that a creation with this token has made, if any. `None` needs two
/// confirmations: the kind's Describe call, and the tag index, which may be ahead of it.
pub(crate) async fn find<T: Ec2Object>(aws: &Aws, token: &str) -> Result<Option<T>> {
    let found = T::describe(aws, vec![by_token(token)]).await?;
    let ours = |one: &T| one.exists() && token_of(one.tags()) == Some(token);
    if let Some(one) = found.into_iter().find(ours) {
        return Ok(Some(one));
    }
    let tagged = ids_tagged(aws, token).await?;
    let found = by_ids::<T>(aws, tagged.iter().map(String::as_str)).await?;
    Ok(found.into_values().find(Ec2Object::exists))
}

/// Returns the IDs of any type that the tag index has for a token.
async fn ids_tagged(aws: &Aws, token: &str) -> Result<Vec<String>> {
    let filters = vec![filter("key", &[TOKEN_TAG]), filter("value", &[token])];
    let request = aws.ec2.describe_tags().set_filters(Some(filters)).max_results(1000);
    let tags = pages!(aws, "DescribeTags", request, tags).into_iter();
    let ours = tags.filter(|tag| tag.key() == Some(TOKEN_TAG) && tag.value() == Some(token));
    Ok(ours.filter_map(|tag| tag.resource_id).collect())
}

/// Returns the objects with these IDs. Missing and not yet visible objects are left out.
pub(crate) async fn by_ids<T: Ec2Object>(
    aws: &Aws,
    ids: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, T>> {
    let ids: Vec<&str> = ids.into_iter().collect();
    let mut found = HashMap::new();
    for some in ids.chunks(FILTER_VALUES) {
        for one in T::describe(aws, vec![filter(T::ID_FILTER, some)]).await? {
            if let Some(id) = one.id().filter(|id| some.contains(id)) {
                found.insert(id.to_owned(), one);
            }
        }
    }
    Ok(found)
}

/// Returns the live object of each record, in the given order. The key is the ID, or the token tag
/// while the creation is in doubt.
///
/// A single Describe call by cluster tag finds all of them. If records are left, because an object is
/// gone or has lost the tag, one more call searches for these by ID.
pub(crate) async fn all<T: Ec2Object, K: Resource>(
    aws: &Aws,
    recorded: &[Recorded<K>],
    id: fn(&K::Outputs) -> &str,
) -> Result<Vec<Option<T>>> {
    let keys = recorded.iter().map(|one| match &one.outputs {
        Some(outputs) => ObjectKey::Id(id(outputs)),
        None => ObjectKey::Token(&one.token),
    });
    let found: Vec<Option<T>> = all_of(aws, &keys.collect::<Vec<_>>()).await?;
    for (one, object) in recorded.iter().zip(&found) {
        if let Some(object) = object {
            aws.note_owner(&one.token, &tags_of(object.tags()));
        }
    }
    Ok(found)
}

/// Returns true if one of the tags has this key.
pub(crate) fn is_of_cluster(settings: &AwsSettings, tags: &[Tag]) -> bool {
    tags.iter().filter_map(Tag::key).any(|key| settings.is_cluster_tag(key))
}

fn tags_of(tags: &[Tag]) -> Tags {
    let pairs = tags.iter().filter_map(|tag| {
        Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()))
    });
    pairs.collect()
}

/// The key by which a live object is found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ObjectKey<'a> {
    /// The ID of the object.
    Id(&'a str),
    /// The creation token, in the token tag of the object.
    Token(&'a str),
}

/// Returns the live object of each key, as [`all`] does.
pub(crate) async fn all_of<T: Ec2Object>(
    aws: &Aws,
    keys: &[ObjectKey<'_>],
) -> Result<Vec<Option<T>>> {
    let (mut by_id, mut by_token) = (HashMap::new(), HashMap::new());
    for one in T::describe(aws, vec![by_cluster(aws)]).await? {
        let is_owned = is_of_cluster(&aws.settings, one.tags());
        if let Some(id) = one.id().filter(|_| is_owned && one.exists()) {
            aws.watch.note_owned(id);
        }
        if let Some(token) = token_of(one.tags()).filter(|_| one.exists()) {
            by_token.insert(token.to_owned(), one.id().map(str::to_owned));
        }
        if let Some(id) = one.id() {
            by_id.insert(id.to_owned(), one);
        }
    }
    let ids: Vec<Option<String>> = keys
        .iter()
        .map(|key| match *key {
            ObjectKey::Id(id) => Some(id.to_owned()),
            ObjectKey::Token(token) => by_token.get(token).cloned().flatten(),
        })
        .collect();
    let rest: Vec<&str> =
        ids.iter().flatten().map(String::as_str).filter(|id| !by_id.contains_key(*id)).collect();
    by_id.extend(by_ids(aws, rest).await?);
    Ok(ids.iter().map(|id| by_id.remove(id.as_deref()?).filter(Ec2Object::exists)).collect())
}

/// Polls all resources that are waited for. A missing resource counts as not yet visible.
pub(crate) async fn poll_all<T: Ec2Object, K: Resource>(
    aws: &Aws,
    waiting: Vec<Recorded<K>>,
    id: fn(&K::Outputs) -> &str,
    see: fn(K::Outputs, &T) -> PollResult<K::Outputs>,
) -> Result<Vec<PollResult<K::Outputs>>> {
    let ids = waiting.iter().filter_map(|one| one.outputs.as_ref().map(id));
    let found = by_ids::<T>(aws, ids).await?;
    let looks = waiting.into_iter().map(|one| {
        let live = one.outputs.as_ref().and_then(|outputs| found.get(id(outputs)));
        match (one.outputs, live) {
            (Some(outputs), Some(live)) => see(outputs, live),
            _ => PollResult::Pending("not visible yet".to_owned()),
        }
    });
    Ok(looks.collect())
}

/// Polls all resources whose deletion is waited for.
pub(crate) async fn poll_deleted<T: Ec2Object>(
    aws: &Aws,
    ids: &[&str],
    state: fn(&T) -> &str,
) -> Result<Vec<PollResult<()>>> {
    let found = by_ids::<T>(aws, ids.iter().copied()).await?;
    let looks = ids.iter().map(|id| match found.get(*id).filter(|one| one.exists()) {
        None => PollResult::Ready(()),
        Some(one) => PollResult::Pending(state(one).to_owned()),
    });
    Ok(looks.collect())
}

/// Returns the tags of a creation: those of the inputs and the token tag.
pub(crate) fn tag_specification(kind: ResourceType, tags: &Tags, token: &str) -> TagSpecification {
    TagSpecification::builder()
        .resource_type(kind)
        .set_tags(Some(sdk_tags(&Aws::tags_with_token(tags, token))))
        .build()
}

/// Returns the live tags whose keys groundplan sets.
pub(crate) fn owned(ours: &Tags, live: &[Tag]) -> Tags {
    owned_tags(ours, live.iter().filter_map(|tag| Some((tag.key()?, tag.value()?))))
}

/// Returns the creation token in the tags.
pub(crate) fn token_of(tags: &[Tag]) -> Option<&str> {
    tags.iter().find(|tag| tag.key() == Some(TOKEN_TAG)).and_then(Tag::value)
}

/// Changes the tags of an object from `before` to `wanted`, in at most two calls.
pub(crate) async fn retag(aws: &Aws, id: &str, before: &Tags, wanted: &Tags) -> Result<()> {
    let (set, unset) = tag_changes(before, wanted);
    if !set.is_empty() {
        let call = aws.ec2.create_tags().resources(id).set_tags(Some(sdk_tags(&set)));
        aws.call("ec2", "CreateTags", call.send()).await?;
    }
    if !unset.is_empty() {
        let unset = unset.into_iter().map(|key| Tag::builder().key(key).build()).collect();
        let call = aws.ec2.delete_tags().resources(id).set_tags(Some(unset));
        aws.call("ec2", "DeleteTags", call.send()).await?;
    }
    Ok(())
}

fn sdk_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// Returns a filter by name. Several values are alternatives.
pub(crate) fn filter(name: &str, values: &[impl AsRef<str>]) -> Filter {
    let values = values.iter().map(|value| value.as_ref().to_owned()).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// Returns the filter for objects with this creation token.
pub(crate) fn by_token(token: &str) -> Filter {
    filter(&format!("tag:{TOKEN_TAG}"), &[token])
}

/// Returns the filter for objects of the cluster.
pub(crate) fn by_cluster(aws: &Aws) -> Filter {
    filter("tag-key", &aws.settings.cluster_tags())
}

/// Maps a delete result: these codes mean that nothing was left to delete, and count as success.
pub(crate) fn fine_when<T>(result: Result<T>, codes: &[&str]) -> Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if error.is(codes) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes these error codes retryable. They mean that the state that led to the call is out of date,
/// and the retry reads it first.
pub(crate) fn retry_when<T>(result: Result<T>, codes: &[&str]) -> Result<T> {
    result.map_err(|error| match error.is(codes) {
        true => ProviderError { class: ErrorClass::Retryable, ..error },
        false => error,
    })
}

/// Returns an object that must exist because it was created before. `None` becomes a retryable
/// error.
pub(crate) fn visible<T>(call: &str, id: &str, found: Option<T>) -> Result<T> {
    let message = || format!("{id} is not visible yet");
    found.ok_or_else(|| ProviderError::new(ErrorClass::Retryable, call, message()))
}

/// Returns the ID in a creation response.
pub(crate) fn id<I: for<'a> From<&'a str>>(call: &str, id: Option<&str>) -> Result<I> {
    part(call, "id", id.filter(|id| !id.is_empty())).map(I::from)
}

/// Returns the live ones of the recorded items, in recorded order. AWS does not preserve order.
pub(crate) fn in_recorded_order<T: Clone>(recorded: &[T], live: impl Fn(&T) -> bool) -> Vec<T> {
    recorded.iter().filter(|one| live(one)).cloned().collect()
}

/// Returns a part of a response that AWS always sends. Without the part, the error is ambiguous.
pub(crate) fn part<T>(call: &str, name: &str, part: Option<T>) -> Result<T> {
    part.ok_or_else(|| {
        ProviderError::new(ErrorClass::Ambiguous, call, format!("the response has no {name}"))
    })
}

/// Parses the text of a part of a response.
pub(crate) fn parsed<T: std::str::FromStr>(
    call: &str,
    name: &str,
    text: Option<&str>,
) -> Result<T> {
    let text = part(call, name, text)?;
    text.parse().map_err(|_| {
        ProviderError::new(
            ErrorClass::Permanent,
            call,
            format!(
                "unexpected {name} `{text}` in the \
             response"
            ),
        )
    })
}

/// Gathers the pages of a Describe call. Each page goes through the throttle like any call.
///
/// `pages!(aws, "DescribeVpcs", request, vpcs)`: the name, the fluent builder, the response's
/// field.
macro_rules! pages {
    ($aws:expr, $name:literal, $request:expr, $items:ident) => {{
        let request = $request;
        let mut items = Vec::new();
        let mut next = None;
        loop {
            let call = request.clone().set_next_token(next);
            let page = $aws.call("ec2", $name, call.send()).await?;
            items.extend(page.$items.unwrap_or_default());
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                break items;
            }
        }
    }};
}
pub(crate) use pages;

/// Implements [`Ec2Object`], one line per object: Describe call, page size (AWS's maximum), names.
macro_rules! described {
    ($($kind:ident: $call:ident($name:literal, $page:literal).$items:ident, $id:ident $filter:literal;)*) => {$(
        impl Ec2Object for types::$kind {
            const ID_FILTER: &'static str = $filter;

            fn id(&self) -> Option<&str> {
                self.$id()
            }

            fn tags(&self) -> &[Tag] {
                types::$kind::tags(self)
            }

            async fn describe(aws: &Aws, filters: Vec<Filter>) -> Result<Vec<Self>> {
                let request = aws.ec2.$call().set_filters(Some(filters)).max_results($page);
                Ok(pages!(aws, $name, request, $items))
            }
        }
    )*};
}

described! {
    Vpc: describe_vpcs("DescribeVpcs", 1000).vpcs, vpc_id "vpc-id";
    DhcpOptions: describe_dhcp_options("DescribeDhcpOptions", 1000).dhcp_options, dhcp_options_id "dhcp-options-id";
    Subnet: describe_subnets("DescribeSubnets", 1000).subnets, subnet_id "subnet-id";
    InternetGateway: describe_internet_gateways("DescribeInternetGateways", 1000).internet_gateways, internet_gateway_id "internet-gateway-id";
    RouteTable: describe_route_tables("DescribeRouteTables", 100).route_tables, route_table_id "route-table-id";
    SecurityGroup: describe_security_groups("DescribeSecurityGroups", 1000).security_groups, group_id "group-id";
}

/// Returns the VPC of an egress-only internet gateway.
pub(crate) fn egress_only_network(gateway: &types::EgressOnlyInternetGateway) -> Option<&str> {
    gateway.attachments().first().and_then(|attachment| attachment.vpc_id())
}

/// Returns the image that a snapshot was copied for, read from the description that EC2 writes.
/// `None` if the description has another form.
pub(crate) fn copied_for(snapshot: &types::Snapshot) -> Option<&str> {
    let words = snapshot.description()?.strip_prefix("Copied for DestinationAmi ")?;
    words.split(' ').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_tag_that_we_never_set_is_not_ours() {
        let live = sdk_tags(&Aws::tags_with_token(&tags(&[("Name", "b"), ("theirs", "x")]), "t1"));
        assert_eq!(owned(&tags(&[("Name", "a"), ("gone", "g")]), &live), tags(&[("Name", "b")]));
        assert_eq!(owned(&Tags::new(), &live), Tags::new());
        assert_eq!(token_of(&live), Some("t1"));
    }

    #[test]
    fn a_delete_is_content_with_what_is_gone_and_with_nothing_else() {
        let refused = |code| {
            Err::<(), _>(
                ProviderError::new(ErrorClass::Permanent, "DeleteVpc", "no").with_code(code),
            )
        };
        assert!(fine_when(refused("InvalidVpcID.NotFound"), &["InvalidVpcID.NotFound"]).is_ok());
        assert!(fine_when(refused("DependencyViolation"), &["InvalidVpcID.NotFound"]).is_err());
    }
}
