//! Shared code of the IAM kinds: tags, deletions, and the comparison of policy documents by meaning.

use aws_sdk_iam::types::Tag;
use groundplan_engine::provider::all;
use serde_json::Value;

use crate::client::outcomes::{none_if, retry_on};
use crate::client::resource_type::Result;
use crate::model::attachment::Attachment;
use crate::{Aws, Tags};

/// Error code of IAM for a role, policy or profile that does not exist.
pub(crate) const ABSENT: &[&str] = &["NoSuchEntity"];
/// Error code of IAM for the deletion of an entity with attachments.
pub(crate) const CONFLICT: &[&str] = &["DeleteConflict"];
/// Maximum page size of IAM's lists (IAM API reference).
const MOST: i32 = 1000;

/// Converts tags to the IAM type.
pub(crate) fn tags(tags: &Tags) -> Vec<Tag> {
    let tag = |(key, value)| Tag::builder().key(key).value(value).build();
    tags.iter().map(|pair| tag(pair).expect("BUG: a tag has a key and a value")).collect()
}

/// Converts tags from the IAM type.
pub(crate) fn live_tags(tags: &[Tag]) -> Tags {
    tags.iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect()
}

/// Returns the attachments of each of these roles, for a report before the first change. Lists that
/// this run has already read are not read again.
pub(crate) async fn attachments_of_each(
    aws: &Aws,
    names: Vec<&str>,
) -> Result<Vec<Vec<Attachment>>> {
    let asked =
        names.into_iter().map(|name| attachments_except(aws, name, aws.watch.attachments_of(name)));
    all(asked.collect()).await.into_iter().collect()
}

/// Returns the attachments of a role, which IAM demands to be ended before the role is deleted. A
/// role that does not exist has none.
async fn role_attachments(aws: &Aws, name: &str) -> Result<Vec<Attachment>> {
    attachments_except(aws, name, [None, None, None]).await
}

/// Returns the attachments of a role. Lists only what is not `known`: inline policies, managed
/// policies, instance profiles.
async fn attachments_except(
    aws: &Aws,
    name: &str,
    [inline, managed, profiles]: [Option<Vec<String>>; 3],
) -> Result<Vec<Attachment>> {
    let (inline, managed, profiles) = tokio::try_join!(
        async {
            match inline {
                Some(known) => Ok(known),
                None => inline_policies(aws, name).await,
            }
        },
        async {
            match managed {
                Some(known) => Ok(known),
                None => managed_policies(aws, name).await,
            }
        },
        async {
            match profiles {
                Some(known) => Ok(known),
                None => profiles_of(aws, name).await,
            }
        },
    )?;
    let ended = inline.into_iter().map(Attachment::InlinePolicy);
    let ended = ended.chain(managed.into_iter().map(Attachment::ManagedPolicy));
    Ok(ended.chain(profiles.into_iter().map(Attachment::InstanceProfile)).collect())
}

/// Returns a list of policies that a comparison needs. A list that the credentials may not read
/// compares nothing: `permission` is noted, for a warning.
pub(crate) fn compared<T>(
    aws: &Aws,
    permission: &'static str,
    listed: Result<T>,
) -> Result<Option<T>> {
    let compared = none_if(listed, &["AccessDenied"])?;
    if compared.is_none() {
        aws.watch.note_not_compared(permission);
    }
    Ok(compared)
}

/// Returns the names of the inline policies of a role. A role that does not exist has none.
pub(crate) async fn inline_policies(aws: &Aws, role: &str) -> Result<Vec<String>> {
    let (mut all, mut marker) = (Vec::new(), None);
    loop {
        let call = aws.iam.list_role_policies().role_name(role).max_items(MOST);
        let page = call.set_marker(marker).send();
        let page = none_if(aws.call("iam", "ListRolePolicies", page).await, ABSENT)?;
        let Some(page) = page else { return Ok(all) };
        let next = page.marker().filter(|_| page.is_truncated()).map(str::to_owned);
        all.extend(page.policy_names);
        marker = next;
        if marker.is_none() {
            return Ok(all);
        }
    }
}

/// Returns the ARNs of the managed policies of a role. A role that does not exist has none.
pub(crate) async fn managed_policies(aws: &Aws, role: &str) -> Result<Vec<String>> {
    let (mut all, mut marker) = (Vec::new(), None);
    loop {
        let call = aws.iam.list_attached_role_policies().role_name(role).max_items(MOST);
        let page = call.set_marker(marker).send();
        let page = none_if(aws.call("iam", "ListAttachedRolePolicies", page).await, ABSENT)?;
        let Some(page) = page else { return Ok(all) };
        marker = page.marker().filter(|_| page.is_truncated()).map(str::to_owned);
        let policies = page.attached_policies.unwrap_or_default().into_iter();
        all.extend(policies.filter_map(|one| one.policy_arn));
        if marker.is_none() {
            return Ok(all);
        }
    }
}

/// Returns the names of the instance profiles of a role. A role that does not exist has none.
async fn profiles_of(aws: &Aws, role: &str) -> Result<Vec<String>> {
    let (mut all, mut marker) = (Vec::new(), None);
    loop {
        let call = aws.iam.list_instance_profiles_for_role().role_name(role).max_items(MOST);
        let page = call.set_marker(marker).send();
        let page = none_if(aws.call("iam", "ListInstanceProfilesForRole", page).await, ABSENT)?;
        let Some(page) = page else { return Ok(all) };
        marker = page.marker().filter(|_| page.is_truncated()).map(str::to_owned);
        all.extend(page.instance_profiles.into_iter().map(|one| one.instance_profile_name));
        if marker.is_none() {
            return Ok(all);
        }
    }
}

/// Deletes a role. If IAM demands that, the attachments are ended first: inline policies are
/// deleted, managed policies are detached, and the role is removed from instance profiles. Managed
/// policies and instance profiles stay.
pub(crate) async fn delete_role(aws: &Aws, name: &str) -> Result<()> {
    let delete = async || {
        let call = aws.iam.delete_role().role_name(name);
        let deleted = aws.call("iam", "DeleteRole", call.send()).await;
        // The lists may not have the latest attachments. A retry lists again.
        none_if(retry_on(deleted, CONFLICT), ABSENT).map(drop)
    };
    match delete().await {
        Err(error) if error.is(CONFLICT) => {
            Box::pin(end_attachments(aws, name)).await?;
            delete().await
        }
        deleted => deleted,
    }
}

/// Ends the attachments of a role.
pub(crate) async fn end_attachments(aws: &Aws, name: &str) -> Result<()> {
    for attachment in Box::pin(role_attachments(aws, name)).await? {
        match attachment {
            Attachment::InlinePolicy(policy) => {
                let call = aws.iam.delete_role_policy().role_name(name).policy_name(policy);
                none_if(aws.call("iam", "DeleteRolePolicy", call.send()).await, ABSENT)?;
            }
            Attachment::ManagedPolicy(arn) => {
                let call = aws.iam.detach_role_policy().role_name(name).policy_arn(arn);
                none_if(aws.call("iam", "DetachRolePolicy", call.send()).await, ABSENT)?;
            }
            Attachment::InstanceProfile(profile) => take_role_out(aws, &profile, name).await?,
        }
    }
    Ok(())
}

/// Removes a role from an instance profile.
pub(crate) async fn take_role_out(aws: &Aws, profile: &str, role: &str) -> Result<()> {
    let call = aws.iam.remove_role_from_instance_profile().instance_profile_name(profile);
    let removed =
        aws.call("iam", "RemoveRoleFromInstanceProfile", call.role_name(role).send()).await;
    none_if(removed, ABSENT).map(drop)
}

/// Deletes a user with its access keys and inline policies. If IAM demands that, managed policies
/// are detached, and the user is removed from its groups.
pub(crate) async fn delete_user(aws: &Aws, name: &str) -> Result<()> {
    let call = aws.iam.list_access_keys().user_name(name);
    let keys = none_if(aws.call("iam", "ListAccessKeys", call.send()).await, ABSENT)?;
    for key in keys.map(|one| one.access_key_metadata).unwrap_or_default() {
        let call = aws.iam.delete_access_key().user_name(name).set_access_key_id(key.access_key_id);
        none_if(aws.call("iam", "DeleteAccessKey", call.send()).await, ABSENT)?;
    }
    let call = aws.iam.list_user_policies().user_name(name);
    let inline = none_if(aws.call("iam", "ListUserPolicies", call.send()).await, ABSENT)?;
    for policy in inline.map(|one| one.policy_names).unwrap_or_default() {
        let call = aws.iam.delete_user_policy().user_name(name).policy_name(policy);
        none_if(aws.call("iam", "DeleteUserPolicy", call.send()).await, ABSENT)?;
    }
    let delete = async || {
        let call = aws.iam.delete_user().user_name(name);
        let deleted = aws.call("iam", "DeleteUser", call.send()).await;
        none_if(retry_on(deleted, CONFLICT), ABSENT).map(drop)
    };
    match delete().await {
        Err(error) if error.is(CONFLICT) => {
            Box::pin(end_memberships(aws, name)).await?;
            delete().await
        }
        deleted => deleted,
    }
}

async fn end_memberships(aws: &Aws, name: &str) -> Result<()> {
    let call = aws.iam.list_attached_user_policies().user_name(name);
    let managed = none_if(aws.call("iam", "ListAttachedUserPolicies", call.send()).await, ABSENT)?;
    for policy in managed.and_then(|one| one.attached_policies).unwrap_or_default() {
        let call = aws.iam.detach_user_policy().user_name(name).set_policy_arn(policy.policy_arn);
        none_if(aws.call("iam", "DetachUserPolicy", call.send()).await, ABSENT)?;
    }
    let call = aws.iam.list_groups_for_user().user_name(name);
    let groups = none_if(aws.call("iam", "ListGroupsForUser", call.send()).await, ABSENT)?;
    for group in groups.map(|one| one.groups).unwrap_or_default() {
        let call = aws.iam.remove_user_from_group().user_name(name).group_name(group.group_name);
        none_if(aws.call("iam", "RemoveUserFromGroup", call.send()).await, ABSENT)?;
    }
    Ok(())
}

/// Returns the live policy document, or `recorded` if both mean the same.
///
/// IAM returns percent-encoded text (RFC 3986). A text that is not JSON becomes a string.
pub(crate) fn live_document(recorded: &Value, encoded: &str) -> Value {
    let text = percent_decode(encoded);
    match serde_json::from_slice(&text) {
        Ok(live) if canonical(&live) == canonical(recorded) => recorded.clone(),
        Ok(live) => live,
        Err(_) => Value::String(String::from_utf8_lossy(&text).into_owned()),
    }
}

/// Returns the normal form of a policy; equivalent policies have equal normal forms. IAM treats a
/// list of one like its element, ignores the order of lists, and reads `true` and `"true"` alike.
fn canonical(policy: &Value) -> Value {
    match policy {
        Value::Array(items) => {
            let mut items: Vec<_> = items.iter().map(canonical).collect();
            items.sort_by_cached_key(Value::to_string);
            items.dedup();
            if items.len() == 1 { items.remove(0) } else { Value::Array(items) }
        }
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), canonical(value))).collect()
        }
        Value::Bool(_) | Value::Number(_) => Value::String(policy.to_string()),
        Value::String(_) | Value::Null => policy.clone(),
    }
}

/// Decodes percent-encoded text to bytes. Text that is not a valid escape stays unchanged.
fn percent_decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match tail {
            [high, low, ..] if *first == b'%' => hex_digit(*high).zip(hex_digit(*low)),
            _ => None,
        };
        decoded.push(escaped.map_or(*first, |(high, low)| high << 4 | low));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    decoded
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| value.try_into().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn percent_escapes_are_undone_and_nothing_else() {
        assert_eq!(percent_decode("%7B%22a%22%3A%20%22b+c%22%7d"), br#"{"a": "b+c"}"#);
        assert_eq!(percent_decode("100%"), b"100%");
        assert_eq!(percent_decode("%zz%4"), b"%zz%4");
        assert_eq!(percent_decode("%C3%A9"), "é".as_bytes());
    }

    #[test]
    fn a_document_that_means_the_same_is_as_recorded() {
        let recorded = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["ec2:DescribeRegions", "ec2:DescribeInstances"], "Resource": "*"},
        ]});
        let live = json!({"Statement": {
            "Resource": ["*"], "Action": ["ec2:DescribeInstances", "ec2:DescribeRegions"], "Effect": "Allow",
        }, "Version": "2012-10-17"});
        assert_eq!(live_document(&recorded, &live.to_string()), recorded);
    }

    #[test]
    fn a_document_that_allows_more_is_shown_as_it_is() {
        let recorded = json!({"Statement": [{"Effect": "Allow", "Action": "ec2:DescribeRegions"}]});
        let live = json!({"Statement": [{"Effect": "Allow", "Action": "ec2:*"}]});
        assert_eq!(live_document(&recorded, &live.to_string()), live);
        assert_eq!(live_document(&recorded, "not JSON"), json!("not JSON"));
    }
}
