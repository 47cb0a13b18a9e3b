//! Search for roles, instance profiles and users. IAM has no filter by tag, so the search reads the
//! names in [`SweepNames`], and names with the prefix `<infra ID>-`. A resource found by prefix must
//! also have the cluster tag.

use std::collections::BTreeSet;

use super::{OWNED, RemainingResource, SweepNames, infra_id, is_there};
use crate::Aws;
use crate::client::outcomes::none_if;
use crate::client::resource_type::Result;

const ABSENT: &[&str] = &["NoSuchEntity"];

pub(super) async fn find_by_name(aws: &Aws, names: &SweepNames) -> Result<Vec<RemainingResource>> {
    let mut left = Vec::new();
    for role in &names.roles {
        let call = aws.iam.get_role().role_name(role.as_str()).send();
        if is_there(aws.call("iam", "GetRole", call).await)? {
            left.push(RemainingResource::new("role", role.as_str(), Some(role.as_str())));
        }
    }
    for profile in &names.profiles {
        let call = aws.iam.get_instance_profile().instance_profile_name(profile.as_str()).send();
        if is_there(aws.call("iam", "GetInstanceProfile", call).await)? {
            let name = profile.as_str();
            left.push(RemainingResource::new("instance-profile", name, Some(name)));
        }
    }
    Ok(left)
}

/// Returns resources without a record: users that the cloud credential operator creates, and roles
/// and profiles of a cluster whose state is lost.
pub(super) async fn by_prefix(
    aws: &Aws,
    recorded: &BTreeSet<String>,
) -> Result<Vec<RemainingResource>> {
    let mut left = Vec::new();
    let is_new = |name: &String| !recorded.contains(name);
    for user in names_of_users(aws).await?.into_iter().filter(is_new) {
        let call = aws.iam.get_user().user_name(&user).send();
        let answer = none_if(aws.call("iam", "GetUser", call).await, ABSENT)?;
        let user_tags = answer.and_then(|one| one.user).and_then(|user| user.tags);
        if is_ours(aws, user_tags.as_deref()) {
            left.push(RemainingResource::new("user", &user, Some(&user)));
        }
    }
    for role in names_of_roles(aws).await?.into_iter().filter(is_new) {
        let call = aws.iam.get_role().role_name(&role).send();
        let answer = none_if(aws.call("iam", "GetRole", call).await, ABSENT)?;
        let role_tags = answer.and_then(|one| one.role).and_then(|role| role.tags);
        if is_ours(aws, role_tags.as_deref()) {
            left.push(RemainingResource::new("role", &role, Some(&role)));
        }
    }
    for profile in names_of_profiles(aws).await?.into_iter().filter(is_new) {
        let call = aws.iam.get_instance_profile().instance_profile_name(&profile).send();
        let answer = none_if(aws.call("iam", "GetInstanceProfile", call).await, ABSENT)?;
        let profile_tags = answer.and_then(|one| one.instance_profile).and_then(|one| one.tags);
        if is_ours(aws, profile_tags.as_deref()) {
            left.push(RemainingResource::new("instance-profile", &profile, Some(&profile)));
        }
    }
    Ok(left)
}

/// Returns true if the cluster tag has the value `owned`. A resource with the value `shared` stays.
fn is_ours(aws: &Aws, tags: Option<&[aws_sdk_iam::types::Tag]>) -> bool {
    let mut tags = tags.unwrap_or_default().iter();
    tags.any(|tag| tag.key() == aws.settings.cluster_tag && tag.value() == OWNED)
}

/// Defines a function that lists all names, page by page, and returns those with the infra ID as
/// prefix.
macro_rules! names {
    ($fn:ident: $call:ident($name:literal).$items:ident, $field:ident) => {
        async fn $fn(aws: &Aws) -> Result<Vec<String>> {
            let prefix = format!("{}-", infra_id(aws));
            let (mut names, mut marker) = (Vec::new(), None);
            loop {
                let call = aws.iam.$call().max_items(1000).set_marker(marker).send();
                let page = aws.call("iam", $name, call).await?;
                let all = page.$items.into_iter().map(|one| one.$field);
                names.extend(all.filter(|name| name.starts_with(&prefix)));
                marker = page.marker.filter(|_| page.is_truncated);
                if marker.is_none() {
                    return Ok(names);
                }
            }
        }
    };
}

names!(names_of_users: list_users("ListUsers").users, user_name);
names!(names_of_roles: list_roles("ListRoles").roles, role_name);
names!(names_of_profiles: list_instance_profiles("ListInstanceProfiles").instance_profiles, instance_profile_name);
