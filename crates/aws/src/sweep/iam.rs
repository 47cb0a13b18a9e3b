//! Search for roles, instance profiles and users. IAM has no filter by tag, so the search lists the
//! names with the prefix `<infra ID>-`. Of these, it returns the ones in [`SweepNames`], and those
//! with the cluster tag.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::types::{InstanceProfile, Role, Tag, User};

use super::lists::{Items, List};
use super::{
    PAUSE, Permitted, RemainingResource, SHARED_TAG, SweepNames, incomplete, infra_id, is_there,
    permitted,
};
use crate::Aws;
use crate::client::iam::live_tags;
use crate::client::outcomes::none_if;
use crate::client::resource_type::Result;
use crate::model::ids::{InstanceProfileName, RoleName};
use crate::model::untracked::UntrackedKind;

const ABSENT: &[&str] = &["NoSuchEntity"];
const LIST_ROLES: &str = "ListRoles";

/// Returns the roles and profiles in `names`, and unrecorded resources with the prefix and the
/// cluster tag: users that the cloud credential operator creates, and roles and profiles of a
/// cluster whose state is lost.
///
/// A name of the cluster that is missing in its list is not read again: the searched names are those
/// of resources that a destroy has deleted.
///
/// # Errors
/// Returns an error if a call fails, and a retryable one if a list lacks a name that it must contain.
pub(super) async fn by_name(aws: &Aws, names: &SweepNames) -> Result<Permitted> {
    let prefix = format!("{}-", infra_id(aws));
    let list = |kind, call| List { kind, call, recorded: &names.recorded, prefix: Some(&prefix) };
    let (users, roles, profiles) = tokio::join!(
        Box::pin(list(UntrackedKind::User, "ListUsers").read(aws, || users(aws))),
        Box::pin(list(UntrackedKind::Role, LIST_ROLES).read(aws, || roles(aws))),
        Box::pin(
            list(UntrackedKind::InstanceProfile, "ListInstanceProfiles")
                .read(aws, || profiles(aws))
        ),
    );
    let (users, users_denied) = permitted(users)?;
    let (mut roles, mut roles_denied) = permitted(roles)?;
    let (profiles, profiles_denied) = permitted(profiles)?;
    if let (Some(listed), Some(profiles)) = (&mut roles, &profiles) {
        let more = with_roles_of(profiles, std::mem::take(listed), &prefix, aws).await;
        (roles, roles_denied) = permitted(more)?;
    }
    let named = |name: &String| name.starts_with(&prefix);
    // Roles of the user in profiles of the cluster. openshift-install tags them `shared`.
    let used: BTreeSet<String> = roles_inside(profiles.iter().flatten(), &prefix)
        .filter(|role| !role.starts_with(&prefix) && !names.recorded.contains(*role))
        .map(str::to_owned)
        .collect();
    if let Some(profiles) = &profiles {
        aws.watch.note_profiles(by_role(profiles.values()));
    }
    let users = users.map(|all| all.into_keys().filter(named).collect());
    let roles = roles.map(|all| all.into_keys().filter(named).collect());
    let profiles = profiles.map(|all| all.into_keys().filter(named).collect());
    let mut left = Vec::new();
    let wanted_roles: BTreeSet<&str> = names.roles.iter().map(RoleName::as_str).collect();
    for role in searched(&wanted_roles, roles.as_ref(), &prefix) {
        let call = aws.iam.get_role().role_name(role).send();
        left.extend(is_there(aws.call("iam", "GetRole", call).await)?.then(|| found("role", role)));
    }
    let wanted: BTreeSet<&str> = names.profiles.iter().map(InstanceProfileName::as_str).collect();
    for profile in searched(&wanted, profiles.as_ref(), &prefix) {
        let call = aws.iam.get_instance_profile().instance_profile_name(profile).send();
        let is_there = is_there(aws.call("iam", "GetInstanceProfile", call).await)?;
        left.extend(is_there.then(|| found("instance-profile", profile)));
    }
    let listed = [
        unrecorded(users.as_ref(), names, &BTreeSet::new()),
        unrecorded(roles.as_ref(), names, &wanted_roles)
            .into_iter()
            .chain(used.iter().map(String::as_str))
            .collect(),
        unrecorded(profiles.as_ref(), names, &wanted),
    ];
    let (tagged, tags_denied) = permitted(Box::pin(tagged(aws, listed)).await)?;
    left.extend(tagged.into_iter().flatten());
    let denied = [users_denied, roles_denied, profiles_denied, tags_denied];
    Ok((left, denied.into_iter().flatten().collect()))
}

/// Returns the ones of these users, roles and instance profiles that have the tag of the cluster.
async fn tagged(
    aws: &Aws,
    [users, roles, profiles]: [Vec<&str>; 3],
) -> Result<Vec<RemainingResource>> {
    let mut left = Vec::new();
    for user in users {
        left.extend(tagged_user(aws, user).await?);
    }
    for role in roles {
        left.extend(tagged_role(aws, role).await?);
    }
    for profile in profiles {
        left.extend(tagged_profile(aws, profile).await?);
    }
    Ok(left)
}

/// Returns the user if it exists and has the tag of the cluster.
pub(super) async fn tagged_user(aws: &Aws, name: &str) -> Result<Option<RemainingResource>> {
    let call = aws.iam.get_user().user_name(name).send();
    let answer = none_if(aws.call("iam", "GetUser", call).await, ABSENT)?;
    let tags = answer.and_then(|one| one.user).and_then(|user| user.tags).unwrap_or_default();
    Ok(found("user", name).with_fixed_tags(&aws.settings, &live_tags(&tags)))
}

/// Returns the role if it exists and has the tag of the cluster.
pub(super) async fn tagged_role(aws: &Aws, name: &str) -> Result<Option<RemainingResource>> {
    let call = aws.iam.get_role().role_name(name).send();
    let answer = none_if(aws.call("iam", "GetRole", call).await, ABSENT)?;
    let Some(role) = answer.and_then(|one| one.role) else { return Ok(None) };
    Ok(owned_or_tag("role", name, &role.arn, role.tags.as_deref(), aws))
}

/// Returns the instance profile if it exists and has the tag of the cluster.
pub(super) async fn tagged_profile(aws: &Aws, name: &str) -> Result<Option<RemainingResource>> {
    let call = aws.iam.get_instance_profile().instance_profile_name(name).send();
    let answer = none_if(aws.call("iam", "GetInstanceProfile", call).await, ABSENT)?;
    let Some(profile) = answer.and_then(|one| one.instance_profile) else { return Ok(None) };
    if profile.tags().is_empty() && is_of_installer(infra_id(aws), &profile) {
        return Ok(Some(found("instance-profile", name)));
    }
    Ok(owned_or_tag("instance-profile", name, &profile.arn, profile.tags.as_deref(), aws))
}

/// Returns true for an instance profile of openshift-install, whose early releases do not tag
/// profiles. Its own destroy deletes these names without a look at tags (installer
/// `pkg/destroy/aws/aws.go`, `findUntaggableResources`); here, a role of others keeps the profile.
fn is_of_installer(infra_id: &str, profile: &InstanceProfile) -> bool {
    let pools = ["master", "worker", "bootstrap"];
    let mut names = pools.iter().map(|pool| format!("{infra_id}-{pool}-profile"));
    let prefix = format!("{infra_id}-");
    names.any(|name| name == profile.instance_profile_name())
        && profile.roles().iter().all(|role| role.role_name().starts_with(&prefix))
}

/// Returns the entity, or its tag if the entity is the user's. The ID of the tag is the ARN, because
/// a name does not show the type.
fn owned_or_tag(
    kind: &str,
    name: &str,
    arn: &str,
    tags: Option<&[Tag]>,
    aws: &Aws,
) -> Option<RemainingResource> {
    let tags = live_tags(tags.unwrap_or_default());
    let one = found(kind, name).with_tags(&aws.settings, &tags)?;
    Some(match one.kind == SHARED_TAG {
        true => RemainingResource { id: arn.to_owned(), ..one },
        false => one,
    })
}

fn found(kind: &str, name: &str) -> RemainingResource {
    RemainingResource::new(kind, name, Some(name))
}

/// Returns the wanted names that must be read: those in the list, and those that the list cannot
/// contain. Without a list, all.
fn searched<'a>(
    wanted: &BTreeSet<&'a str>,
    listed: Option<&BTreeSet<String>>,
    prefix: &str,
) -> Vec<&'a str> {
    let may_exist = |name: &&str| {
        listed.is_none_or(|listed| listed.contains(*name) || !name.starts_with(prefix))
    };
    wanted.iter().copied().filter(may_exist).collect()
}

/// Returns the listed names that are neither recorded nor wanted.
fn unrecorded<'a>(
    listed: Option<&'a BTreeSet<String>>,
    names: &SweepNames,
    wanted: &BTreeSet<&str>,
) -> Vec<&'a str> {
    let listed = listed.into_iter().flatten().map(String::as_str);
    listed.filter(|name| !names.recorded.contains(*name) && !wanted.contains(name)).collect()
}

/// Returns the names of the profiles of each role.
fn by_role<'a>(
    profiles: impl Iterator<Item = &'a InstanceProfile>,
) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for profile in profiles {
        for role in profile.roles() {
            let of_role = all.entry(role.role_name().to_owned()).or_default();
            of_role.push(profile.instance_profile_name().to_owned());
        }
    }
    all
}

/// Returns the names of the roles in the profiles with this prefix.
fn roles_inside<'a>(
    profiles: impl IntoIterator<Item = (&'a String, &'a InstanceProfile)>,
    prefix: &str,
) -> impl Iterator<Item = &'a str> {
    let ours = profiles.into_iter().filter(move |(name, _)| name.starts_with(prefix));
    ours.flat_map(|(_, profile)| profile.roles()).map(Role::role_name)
}

/// Returns the roles with those that the profiles of the cluster contain. If the list lacks one, the
/// roles are read again after a pause.
///
/// # Errors
/// Returns an error if the read fails, and a retryable one if the second list lacks a role, too.
async fn with_roles_of(
    profiles: &Items<InstanceProfile>,
    mut roles: Items<Role>,
    prefix: &str,
    aws: &Aws,
) -> Result<Items<Role>> {
    let inside: BTreeSet<&str> = roles_inside(profiles, prefix).collect();
    if inside.iter().all(|name| roles.contains_key(*name)) {
        return Ok(roles);
    }
    tokio::time::sleep(PAUSE).await;
    roles.extend(self::roles(aws).await?);
    match inside.into_iter().find(|name| !roles.contains_key(*name)) {
        Some(name) => Err(incomplete(LIST_ROLES, name)),
        None => Ok(roles),
    }
}

/// Defines a function that returns all items of a list by name, page by page.
macro_rules! every {
    ($fn:ident: $call:ident($action:expr).$items:ident, $item:ty, $name:ident) => {
        async fn $fn(aws: &Aws) -> Result<Items<$item>> {
            let (mut all, mut marker) = (Items::new(), None);
            loop {
                let call = aws.iam.$call().max_items(1000).set_marker(marker).send();
                let page = aws.call("iam", $action, call).await?;
                all.extend(page.$items.into_iter().map(|one| (one.$name.clone(), one)));
                marker = page.marker.filter(|_| page.is_truncated);
                if marker.is_none() {
                    return Ok(all);
                }
            }
        }
    };
}

every!(users: list_users("ListUsers").users, User, user_name);
every!(roles: list_roles(LIST_ROLES).roles, Role, role_name);
every!(
    profiles: list_instance_profiles("ListInstanceProfiles").instance_profiles,
    InstanceProfile,
    instance_profile_name
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_untagged_profile_of_the_installer_is_known_by_its_exact_name_and_its_roles() {
        let date = aws_sdk_iam::primitives::DateTime::from_secs(0);
        let role = |name: &str| {
            let role =
                Role::builder().role_name(name).role_id("R").path("/").arn("arn:aws:iam::1:role/r");
            role.create_date(date).build().unwrap()
        };
        let profile = |name: &str, roles: &[&str]| {
            let profile = InstanceProfile::builder().instance_profile_name(name).path("/");
            let profile =
                profile.instance_profile_id("P").arn("arn:aws:iam::1:p").create_date(date);
            let roles = roles.iter().map(|name| role(name)).collect();
            profile.set_roles(Some(roles)).build().unwrap()
        };
        let is_ours = |name, roles: &[&str]| is_of_installer("demo-x7k2p", &profile(name, roles));
        assert!(is_ours("demo-x7k2p-master-profile", &["demo-x7k2p-master-role"]));
        assert!(is_ours("demo-x7k2p-bootstrap-profile", &[]));
        assert!(!is_ours("demo-x7k2p-master-profile", &["team-role"]));
        assert!(!is_ours("demo-x7k2p-backup-profile", &[]));
        assert!(!is_ours("demo-x7k2-master-profile", &[]));
    }
}
