//! Announcement of creations: an annotation of the set with the names of the machines that are
//! about to be created.
//!
//! A process writes the names before it sends the first creation, on the condition that the set has
//! not changed since it was read. A later process, which has read the set, uses these names first.
//! So a creation takes effect once, even if the request of the earlier process arrives late. The
//! names are removed when all creations have results.

use groundplan_openshift::machine_api::types::MachineSet;
use kube::api::DynamicObject;
use serde_json::{Value, json};

/// Annotation of a MachineSet with the names of announced machines.
pub const ANNOUNCED: &str = "groundplan.io/announced-machines";
/// Maximum length of the name of an object (Kubernetes, DNS subdomain names).
const LONGEST_NAME: usize = 253;

/// Returns the announced names. Names that the set could not have announced are left out: the API
/// server would reject them for ever.
pub(super) fn announced(set: &DynamicObject) -> Vec<String> {
    let base = super::driver::base(set.metadata.name.as_deref().unwrap_or_default());
    let is_ours = |name: &&str| {
        let letters = name.strip_prefix(&base).unwrap_or_default().as_bytes();
        let fits = !letters.is_empty() && name.len() <= LONGEST_NAME;
        fits && letters.iter().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit())
    };
    entries(set).filter(is_ours).map(str::to_owned).collect()
}

/// Returns true if the annotation of the set has other entries than these names.
pub(super) fn differs(set: &DynamicObject, names: &[String]) -> bool {
    !entries(set).eq(names.iter().map(String::as_str))
}

fn entries(set: &DynamicObject) -> impl Iterator<Item = &str> {
    let annotations = set.metadata.annotations.as_ref();
    let names = annotations.and_then(|annotations| annotations.get(ANNOUNCED));
    names.into_iter().flat_map(|names| names.split(','))
}

/// Returns true if the set has announced names.
pub(super) fn has_announced(set: &MachineSet) -> bool {
    set.metadata.annotations.contains_key(ANNOUNCED)
}

/// Returns the patch that announces these names, or removes the announcement if there are none. The
/// patch is conditional on the version of the set.
pub(super) fn patch<'a>(set: &DynamicObject, names: impl Iterator<Item = &'a str>) -> Value {
    let names: Vec<&str> = names.collect();
    let value = if names.is_empty() { Value::Null } else { json!(names.join(",")) };
    json!({"metadata": {"uid": set.metadata.uid, "resourceVersion": set.metadata.resource_version,
                        "annotations": {ANNOUNCED: value}}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: Option<&str>) -> DynamicObject {
        serde_json::from_value(json!({
            "metadata": {"name": "demo-a", "uid": "u", "resourceVersion": "7",
                         "annotations": {ANNOUNCED: names}},
        }))
        .unwrap_or_else(|_| {
            serde_json::from_value(json!({"metadata": {"name": "demo-a"}})).unwrap()
        })
    }

    #[test]
    fn names_are_read_as_they_were_written() {
        let patch = patch(&set(Some("")), ["demo-a-b", "demo-a-c"].into_iter());
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        let value = patch["metadata"]["annotations"][ANNOUNCED].as_str().unwrap();
        assert_eq!(announced(&set(Some(value))), ["demo-a-b", "demo-a-c"]);
        assert!(announced(&set(None)).is_empty());
    }

    #[test]
    fn a_name_of_another_set_is_not_created() {
        assert_eq!(announced(&set(Some("other-b,demo-a-c,"))), ["demo-a-c"]);
    }

    #[test]
    fn an_entry_that_is_no_valid_name_is_discarded_and_removed() {
        let long = format!("demo-a-{}", "x".repeat(253));
        let odd = format!("demo-a-,demo-a-B,demo-a-b c,demo-a-../x,demo-a-é,{long},demo-a-ok");
        let other = set(Some(&odd));
        assert_eq!(announced(&other), ["demo-a-ok"]);
        assert!(differs(&other, &announced(&other)));
        let names = ["demo-a-b".to_owned(), "demo-a-c".to_owned()];
        assert!(!differs(&set(Some("demo-a-b,demo-a-c")), &names));
        assert!(differs(&set(Some("demo-a-b")), &[]));
    }

    #[test]
    fn without_names_the_annotation_is_removed() {
        let none = patch(&set(Some("x")), std::iter::empty());
        assert_eq!(none["metadata"]["annotations"][ANNOUNCED], Value::Null);
    }
}
