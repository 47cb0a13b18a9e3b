//! Ownership of resources found by name, and differences between two sets of tags.
//!
//! Names are unique where tokens are not, so a name alone proves nothing; the token tag does. Makes
//! no AWS calls.

use groundplan_engine::provider::{Cause, ErrorClass, ProviderError};

use crate::Tags;
use crate::client::resource_type::Result;
use crate::client::{Aws, AwsSettings, TOKEN_TAG, owned_tags};
use crate::model::{CLUSTER_API_TAG_PREFIX, CLUSTER_TAG_PREFIX};

/// Rejects a resource that the creation with this token has not made. `what` names the resource.
pub(crate) fn ensure_ours(
    aws: &Aws,
    token: &str,
    live: &Tags,
    call: &str,
    what: &str,
) -> Result<()> {
    match owner(token, &aws.settings, live) {
        Owner::Us => Ok(()),
        Owner::Other(by) => Err(taken(call, what, &by)),
    }
}

/// Returns true if a resource found by name belongs to the creation with this token. A resource
/// recorded with its identity (`identified`) needs no proof; a missing proof is noted.
pub(crate) fn is_ours(aws: &Aws, identified: bool, token: &str, live: &Tags) -> bool {
    aws.note_owner(token, live);
    identified || owner(token, &aws.settings, live) == Owner::Us
}

/// Returns the live tags whose keys groundplan sets.
pub(crate) fn our_tags(tags: &Tags, live: &Tags) -> Tags {
    owned_tags(tags, live.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

/// The creator of a resource, according to its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The creation with the given token.
    Us,
    /// Another creator; the text fits after "is taken by".
    Other(String),
}

/// Returns the creator of the resource with these tags, from the view of the creation with this
/// token.
fn owner(token: &str, settings: &AwsSettings, live: &Tags) -> Owner {
    match live.get(TOKEN_TAG) {
        Some(theirs) if theirs == token => Owner::Us,
        Some(_) if settings.has_cluster_tag(live) => {
            Owner::Other("another creation of this cluster".to_owned())
        }
        _ => Owner::Other(cluster(live).map_or_else(
            || "a resource without the tag of this cluster".to_owned(),
            |name| format!("the cluster {name}"),
        )),
    }
}

/// Returns the infra ID of the cluster that owns the resource with these tags.
pub(crate) fn cluster(live: &Tags) -> Option<&str> {
    let prefixes = [CLUSTER_TAG_PREFIX, CLUSTER_API_TAG_PREFIX];
    let named = |prefix| live.keys().find_map(move |key: &String| key.strip_prefix(prefix));
    prefixes.into_iter().find_map(named)
}

/// Returns the error for a resource that has our name and another creator.
pub(crate) fn taken(call: &str, what: &str, by: &str) -> ProviderError {
    ProviderError::new(ErrorClass::Permanent, call, format!("{what} is taken by {by}"))
        .with_cause(Cause::NotOurs)
        .with_hint(format!(
            "delete {what} if it is unused, or choose another cluster name; groundplan does not \
             change resources that it did not create"
        ))
}

/// Returns the tags to set and the keys to remove that change `before` into `after`.
pub(crate) fn tag_changes(before: &Tags, after: &Tags) -> (Tags, Vec<String>) {
    let set = after.iter().filter(|(key, value)| before.get(*key) != Some(value));
    let unset = before.keys().filter(|key| !after.contains_key(*key));
    (set.map(|(key, value)| (key.clone(), value.clone())).collect(), unset.cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "kubernetes.io/cluster/demo-x7k2p";

    fn settings() -> AwsSettings {
        AwsSettings { cluster_tag: CLUSTER.to_owned(), ..AwsSettings::default() }
    }

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn only_the_token_makes_a_thing_ours() {
        assert_eq!(owner("t1", &settings(), &tags(&[(TOKEN_TAG, "t1")])), Owner::Us);
        for foreign in [
            tags(&[]),
            tags(&[(CLUSTER, "owned")]),
            tags(&[(CLUSTER, "owned"), (TOKEN_TAG, "t2")]),
            tags(&[("kubernetes.io/cluster/prod-abcde", "owned"), (TOKEN_TAG, "t2")]),
        ] {
            assert_ne!(owner("t1", &settings(), &foreign), Owner::Us, "{foreign:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_other_cluster() {
        let live = tags(&[("kubernetes.io/cluster/prod-abcde", "owned")]);
        let prod = Owner::Other("the cluster prod-abcde".to_owned());
        assert_eq!(owner("t1", &settings(), &live), prod);
        let live = tags(&[("sigs.k8s.io/cluster-api-provider-aws/cluster/prod-abcde", "owned")]);
        assert_eq!(owner("t1", &settings(), &live), prod);
    }

    #[test]
    fn the_tag_of_cluster_api_is_of_the_cluster_with_this_infra_id_only() {
        for (id, expected) in [("demo-x7k2p", true), ("demo-x7k2", false), ("prod-abcde", false)] {
            let key = format!("{CLUSTER_API_TAG_PREFIX}{id}");
            assert_eq!(settings().is_cluster_tag(&key), expected, "{id}");
        }
    }

    #[test]
    fn tags_that_stay_are_not_sent_again() {
        let before = tags(&[("stays", "1"), ("changes", "1"), ("goes", "1")]);
        let after = tags(&[("stays", "1"), ("changes", "2"), ("comes", "1")]);
        let (set, unset) = tag_changes(&before, &after);
        assert_eq!(set, tags(&[("changes", "2"), ("comes", "1")]));
        assert_eq!(unset, ["goes"]);
    }
}
