//! What the kinds that live in EC2 share: tags, filters, looking things up page by page, and
//! deletes that are content with what is gone already.
//!
//! Knows no kind's inputs and decides nothing. Whatever a filter was asked for is checked again in
//! memory, so that a cloud that overlooks a filter cannot hand us somebody else's things.

use std::collections::HashMap;

use aws_sdk_ec2::types::{self, Filter, ResourceType, Tag, TagSpecification};

use super::client::{TOKEN_TAG, owned_tags};
use super::kind::{Recorded, Result, Seen};
use super::ownership::tag_changes;
use super::{Aws, Tags};
use crate::graph::Resource;
use crate::provider::{Class, ProviderError};

/// The most values that one filter takes (EC2 API reference, `Filter`).
pub(crate) const FILTER_VALUES: usize = 200;

/// An EC2 object as its Describe call returns it.
pub(crate) trait Described: Sized + Send + Sync {
    /// The filter that takes ids.
    const ID_FILTER: &'static str;

    /// Its id.
    fn id(&self) -> Option<&str>;

    /// Its tags.
    fn tags(&self) -> &[Tag];

    /// Whether it is more than the memory of something deleted.
    fn exists(&self) -> bool {
        true
    }

    /// All that pass the filters, page by page.
    fn describe(aws: &Aws, filters: Vec<Filter>) -> impl Future<Output = Result<Vec<Self>>> + Send;
}

/// What a creation with this token has made, if anything. That nothing is there takes two that say
/// so: the Describe of its kind, and the index of tags, which may be ahead of it.
pub(crate) async fn find<T: Described>(aws: &Aws, token: &str) -> Result<Option<T>> {
    let found = T::describe(aws, vec![by_token(token)]).await?;
    let ours = |one: &T| one.exists() && token_of(one.tags()) == Some(token);
    if let Some(one) = found.into_iter().find(ours) {
        return Ok(Some(one));
    }
    let tagged = ids_tagged(aws, token).await?;
    let found = by_ids::<T>(aws, tagged.iter().map(String::as_str)).await?;
    Ok(found.into_values().find(Described::exists))
}

/// The ids that the index of tags has for a token, of whatever type.
async fn ids_tagged(aws: &Aws, token: &str) -> Result<Vec<String>> {
    let filters = vec![filter("key", &[TOKEN_TAG]), filter("value", &[token])];
    let request = aws.ec2.describe_tags().set_filters(Some(filters)).max_results(1000);
    let tags = pages!(aws, "DescribeTags", request, tags).into_iter();
    let ours = tags.filter(|tag| tag.key() == Some(TOKEN_TAG) && tag.value() == Some(token));
    Ok(ours.filter_map(|tag| tag.resource_id).collect())
}

/// What AWS has of these ids; what it has not, or not yet, is not among the answers.
pub(crate) async fn by_ids<T: Described>(
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

/// What AWS has of each record, in the order given: by id, or by the token tag while the answer to
/// a creation is missing.
///
/// One Describe by the cluster tag finds all of them. Only when it does not, because something is
/// gone or has lost the tag, one more asks for the rest by id.
pub(crate) async fn all<T: Described, K: Resource>(
    aws: &Aws,
    recorded: &[Recorded<K>],
    id: fn(&K::Outputs) -> &str,
) -> Result<Vec<Option<T>>> {
    let (mut by_id, mut by_token) = (HashMap::new(), HashMap::new());
    for one in T::describe(aws, vec![by_cluster(aws)]).await? {
        if let Some(token) = token_of(one.tags()).filter(|_| one.exists()) {
            by_token.insert(token.to_owned(), one.id().map(str::to_owned));
        }
        if let Some(id) = one.id() {
            by_id.insert(id.to_owned(), one);
        }
    }
    let ids: Vec<Option<String>> = recorded
        .iter()
        .map(|one| match &one.outputs {
            Some(outputs) => Some(id(outputs).to_owned()),
            None => by_token.get(&one.token).cloned().flatten(),
        })
        .collect();
    let rest: Vec<&str> =
        ids.iter().flatten().map(String::as_str).filter(|id| !by_id.contains_key(*id)).collect();
    by_id.extend(by_ids(aws, rest).await?);
    Ok(ids.iter().map(|id| by_id.remove(id.as_deref()?).filter(Described::exists)).collect())
}

/// One look at all that are waited for; what is not there yet has not become visible.
pub(crate) async fn look<T: Described, K: Resource>(
    aws: &Aws,
    waiting: Vec<Recorded<K>>,
    id: fn(&K::Outputs) -> &str,
    see: fn(K::Outputs, &T) -> Seen<K::Outputs>,
) -> Result<Vec<Seen<K::Outputs>>> {
    let ids = waiting.iter().filter_map(|one| one.outputs.as_ref().map(id));
    let found = by_ids::<T>(aws, ids).await?;
    let looks = waiting.into_iter().map(|one| {
        let live = one.outputs.as_ref().and_then(|outputs| found.get(id(outputs)));
        match (one.outputs, live) {
            (Some(outputs), Some(live)) => see(outputs, live),
            _ => Seen::NotYet("not visible yet".to_owned()),
        }
    });
    Ok(looks.collect())
}

/// One look at all whose deletion is waited for.
pub(crate) async fn look_if_gone<T: Described>(
    aws: &Aws,
    ids: &[&str],
    state: fn(&T) -> &str,
) -> Result<Vec<Seen<()>>> {
    let found = by_ids::<T>(aws, ids.iter().copied()).await?;
    let looks = ids.iter().map(|id| match found.get(*id).filter(|one| one.exists()) {
        None => Seen::Done(()),
        Some(one) => Seen::NotYet(state(one).to_owned()),
    });
    Ok(looks.collect())
}

/// What is put on something at its creation: its tags and the token's.
pub(crate) fn tag_specification(kind: ResourceType, tags: &Tags, token: &str) -> TagSpecification {
    TagSpecification::builder()
        .resource_type(kind)
        .set_tags(Some(sdk_tags(&Aws::tags_with_token(tags, token))))
        .build()
}

/// Of the tags AWS has, those whose keys we set.
pub(crate) fn owned(ours: &Tags, live: &[Tag]) -> Tags {
    owned_tags(ours, live.iter().filter_map(|tag| Some((tag.key()?, tag.value()?))))
}

/// The token that something was created with.
pub(crate) fn token_of(tags: &[Tag]) -> Option<&str> {
    tags.iter().find(|tag| tag.key() == Some(TOKEN_TAG)).and_then(Tag::value)
}

/// Makes the tags of something what they shall be, in at most two calls.
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

/// A filter by name; several values are alternatives.
pub(crate) fn filter(name: &str, values: &[impl AsRef<str>]) -> Filter {
    let values = values.iter().map(|value| value.as_ref().to_owned()).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// What was created with this token.
pub(crate) fn by_token(token: &str) -> Filter {
    filter(&format!("tag:{TOKEN_TAG}"), &[token])
}

/// What the cluster owns.
pub(crate) fn by_cluster(aws: &Aws) -> Filter {
    filter("tag-key", &[&aws.settings.cluster_tag])
}

/// The outcome of a delete, of which these codes say that there was nothing left to do.
pub(crate) fn fine_when<T>(result: Result<T>, codes: &[&str]) -> Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if error.is(codes) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The outcome of a call that was made because a look said that it was needed. These codes say
/// that the look was out of date: look again.
pub(crate) fn again_when<T>(result: Result<T>, codes: &[&str]) -> Result<T> {
    result.map_err(|error| match error.is(codes) {
        true => ProviderError { class: Class::Again, ..error },
        false => error,
    })
}

/// What a look must have shown, since it was made before; if not, it is too early.
pub(crate) fn visible<T>(call: &str, id: &str, found: Option<T>) -> Result<T> {
    let message = || format!("{id} is not visible yet");
    found.ok_or_else(|| ProviderError::new(Class::Again, call, message()))
}

/// The id in the answer to a creation.
pub(crate) fn id<I: for<'a> From<&'a str>>(call: &str, id: Option<&str>) -> Result<I> {
    part(call, "id", id).map(I::from)
}

/// Those on record that are live, in the recorded order: an order is not AWS's to keep.
pub(crate) fn in_recorded_order<T: Clone>(recorded: &[T], live: impl Fn(&T) -> bool) -> Vec<T> {
    recorded.iter().filter(|one| live(one)).cloned().collect()
}

/// A part of an answer that AWS never leaves out.
pub(crate) fn part<T>(call: &str, name: &str, part: Option<T>) -> Result<T> {
    part.ok_or_else(|| {
        ProviderError::new(Class::Unknown, call, format!("the answer has no {name}"))
    })
}

/// A part of an answer that is text for something of ours.
pub(crate) fn parsed<T: std::str::FromStr>(
    call: &str,
    name: &str,
    text: Option<&str>,
) -> Result<T> {
    let text = part(call, name, text)?;
    text.parse().map_err(|_| {
        ProviderError::new(Class::Refused, call, format!("the answer's {name} is `{text}`"))
    })
}

/// Gathers the pages of a Describe call, each taking its turn like any call.
///
/// `pages!(aws, "DescribeVpcs", request, vpcs)`: the name, the fluent builder, the answer's field.
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

/// One line per object: its Describe call, page size (the most that AWS allows), and names.
macro_rules! described {
    ($($kind:ident: $call:ident($name:literal, $page:literal).$items:ident, $id:ident $filter:literal;)*) => {$(
        impl Described for types::$kind {
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
            Err::<(), _>(ProviderError::new(Class::Refused, "DeleteVpc", "no").with_code(code))
        };
        assert!(fine_when(refused("InvalidVpcID.NotFound"), &["InvalidVpcID.NotFound"]).is_ok());
        assert!(fine_when(refused("DependencyViolation"), &["InvalidVpcID.NotFound"]).is_err());
    }
}
