//! Shared parts of the DNS kinds: names in Route 53's form, changes, and a zone's tags.
//!
//! Never reads a whole zone to find one record: the zone of a base domain may be huge.

use std::cmp::Ordering;

use aws_sdk_route53::types::{
    Change, ChangeAction, ChangeBatch, ResourceRecordSet, Tag, TagResourceType,
};

use super::ownership::tag_changes;
use crate::Tags;
use crate::client::Aws;
use crate::client::outcomes::{incomplete, none_if, retry_on};
use crate::client::resource_type::Result;

/// Error codes for a zone that does not exist.
pub(crate) const NO_ZONE: &[&str] = &["NoSuchHostedZone"];
/// The maximum number of tags that one call sets or removes (Route 53 API reference,
/// ChangeTagsForResource).
const MOST_TAGS: usize = 10;

/// Returns an ID without the path that Route 53 puts before it (`/hostedzone/`, `/change/`).
pub(crate) fn bare_id(id: &str) -> &str {
    id.rsplit_once('/').map_or(id, |(_, id)| id)
}

/// Returns the normal form of a name: lower case, without the dot at the end, and with `*` for
/// Route 53's `\052`.
pub(crate) fn plain_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).replace("\\052", "*").to_ascii_lowercase()
}

/// Returns true if two names are equal in their normal form.
pub(crate) fn same_name(one: &str, other: &str) -> bool {
    plain_name(one) == plain_name(other)
}

/// Compares names in the order of Route 53's lists: by labels from the right, each with its dot
/// (Route 53 API reference, ListResourceRecordSets).
pub(crate) fn listing_order(one: &str, other: &str) -> Ordering {
    let reversed = |name: &str| -> String {
        plain_name(name).rsplit('.').flat_map(|label| [label, "."]).collect()
    };
    reversed(one).cmp(&reversed(other))
}

/// Returns at most `most` records of a zone, from this name on. `None` if the zone does not exist.
pub(crate) async fn records_from(
    aws: &Aws,
    zone: &str,
    name: &str,
    most: i32,
) -> Result<Option<Vec<ResourceRecordSet>>> {
    let call = aws
        .route53_of(zone)
        .list_resource_record_sets()
        .hosted_zone_id(zone)
        .start_record_name(name)
        .max_items(most);
    let answer = aws.call("route53", "ListResourceRecordSets", call.send()).await;
    Ok(none_if(answer, NO_ZONE)?.map(|answer| answer.resource_record_sets))
}

/// Returns all records of a zone. For zones that belong to the cluster.
pub(crate) async fn every_record(aws: &Aws, zone: &str) -> Result<Vec<ResourceRecordSet>> {
    let mut all = Vec::new();
    let (mut name, mut kind, mut identifier) = (None, None, None);
    loop {
        let call = aws
            .route53_of(zone)
            .list_resource_record_sets()
            .hosted_zone_id(zone)
            .set_start_record_name(name)
            .set_start_record_type(kind)
            .set_start_record_identifier(identifier);
        let answer = aws.call("route53", "ListResourceRecordSets", call.send()).await;
        let Some(page) = none_if(answer, NO_ZONE)? else { return Ok(all) };
        all.extend(page.resource_record_sets);
        (name, kind, identifier) =
            (page.next_record_name, page.next_record_type, page.next_record_identifier);
        if !page.is_truncated || name.is_none() {
            return Ok(all);
        }
    }
}

/// Returns one step of a change.
pub(crate) fn step(action: ChangeAction, record: ResourceRecordSet) -> Change {
    let change = Change::builder().action(action).resource_record_set(record).build();
    change.expect("BUG: a change has an action and a record")
}

/// Changes a zone, all or nothing, and returns the change's ID.
pub(crate) async fn change(aws: &Aws, zone: &str, steps: Vec<Change>) -> Result<String> {
    let batch = ChangeBatch::builder().set_changes(Some(steps)).build();
    let batch = batch.expect("BUG: a batch has changes");
    let call =
        aws.route53_of(zone).change_resource_record_sets().hosted_zone_id(zone).change_batch(batch);
    let answer = aws.call("route53", "ChangeResourceRecordSets", call.send()).await;
    let answer = retry_on(answer, &["PriorRequestNotComplete"])?;
    let change = answer.change_info().ok_or_else(|| incomplete("ChangeResourceRecordSets"))?;
    Ok(bare_id(change.id()).to_owned())
}

/// Returns a zone's tags; `None` if the zone does not exist.
pub(crate) async fn live_tags(aws: &Aws, zone: &str) -> Result<Option<Tags>> {
    let call = aws
        .route53_of(zone)
        .list_tags_for_resource()
        .resource_type(TagResourceType::Hostedzone)
        .resource_id(zone);
    let answer = aws.call("route53", "ListTagsForResource", call.send()).await;
    let Some(answer) = none_if(answer, NO_ZONE)? else { return Ok(None) };
    let tags = answer.resource_tag_set.map(|set| set.tags.unwrap_or_default()).unwrap_or_default();
    let pair = |tag: Tag| Some((tag.key?, tag.value.unwrap_or_default()));
    Ok(Some(tags.into_iter().filter_map(pair).collect()))
}

/// Changes a zone's tags from `before` to `after`.
pub(crate) async fn change_tags(aws: &Aws, zone: &str, before: &Tags, after: &Tags) -> Result<()> {
    let (set, unset) = tag_changes(before, after);
    let tag = |(key, value)| Tag::builder().key(key).value(value).build();
    let set: Vec<Tag> = set.into_iter().map(tag).collect();
    for tags in set.chunks(MOST_TAGS) {
        change_some_tags(aws, zone, Some(tags.to_vec()), None).await?;
    }
    for keys in unset.chunks(MOST_TAGS) {
        change_some_tags(aws, zone, None, Some(keys.to_vec())).await?;
    }
    Ok(())
}

async fn change_some_tags(
    aws: &Aws,
    zone: &str,
    set: Option<Vec<Tag>>,
    unset: Option<Vec<String>>,
) -> Result<()> {
    let call = aws
        .route53_of(zone)
        .change_tags_for_resource()
        .resource_type(TagResourceType::Hostedzone)
        .resource_id(zone)
        .set_add_tags(set)
        .set_remove_tag_keys(unset);
    let changed = aws.call("route53", "ChangeTagsForResource", call.send()).await;
    retry_on(changed, &["PriorRequestNotComplete"]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_name_are_the_same_name() {
        assert!(same_name("\\052.apps.Demo.example.com.", "*.apps.demo.example.com"));
        assert!(!same_name("api.demo.example.com", "api-int.demo.example.com"));
    }

    #[test]
    fn ids_lose_their_path() {
        assert_eq!(bare_id("/hostedzone/Z123"), "Z123");
        assert_eq!(bare_id("Z123"), "Z123");
    }

    #[test]
    fn names_are_listed_by_labels_from_the_right() {
        let mut names = ["www.b.example", "api.a.example", "b.example", "api-int.a.example"];
        names.sort_by(|one, other| listing_order(one, other));
        assert_eq!(names, ["api-int.a.example", "api.a.example", "b.example", "www.b.example"]);
    }
}
