//! Whole lives of clusters in the layouts of releases. The tests of the other modules are of 4.15.

use std::fs;

use serde_json::Value;

use super::Desk;

/// Releases, each of another layout.
const RELEASES: [&str; 3] = ["4.15", "4.20", "5.0"];

fn infra_id(desk: &Desk) -> String {
    let state: Value = serde_json::from_str(&desk.expect(0, &["show", "--json"]).out).unwrap();
    state["cluster"]["infra_id"].as_str().expect("an infra ID").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn c83_each_layout_is_applied_changed_and_destroyed() {
    for release in RELEASES {
        let desk = Desk::new();
        let before = desk.cloud.inventory();
        desk.write_config("Optional", "a");
        desk.expect(0, &["apply", "--release", release, "--auto-approve"]);
        let of = |role: &str, tokens: &str| (role.to_owned(), tokens.to_owned());
        let optional = [of("bootstrap", "optional"), of("master-0", "optional")];
        assert_eq!(desk.tokens().await, optional, "{release}");

        // The release is recorded, and a later run does not need it.
        desk.expect(0, &["plan", "--detailed-exitcode"]);
        desk.write_config("Required", "a");
        let flipped = desk.expect(0, &["apply", "--auto-approve", "--expect", "~2"]);
        let required = [of("bootstrap", "required"), of("master-0", "required")];
        assert_eq!(desk.tokens().await, required, "{release}: {}", flipped.out);
        desk.expect(0, &["bootstrap", "destroy", "--auto-approve"]);
        assert_eq!(desk.tokens().await, required[1..], "{release}");
        desk.expect(0, &["plan", "--detailed-exitcode"]);

        let destroyed = desk.expect(0, &["destroy", "--auto-approve"]);
        assert!(destroyed.out.contains("No resources with the tag"), "{}", destroyed.out);
        assert_eq!(desk.cloud.inventory(), before, "{release}");
    }
}

#[test]
fn c83_a_cluster_whose_state_is_lost_is_destroyed_in_each_layout() {
    for release in RELEASES {
        let desk = Desk::new();
        let before = desk.cloud.inventory();
        desk.expect(0, &["apply", "--release", release, "--auto-approve"]);
        let infra_id = infra_id(&desk);
        fs::remove_dir_all(desk.path("state")).unwrap();
        let destroyed = desk.expect(0, &["destroy", "--auto-approve", "--infra-id", &infra_id]);
        assert!(destroyed.out.contains("No resources with the tag"), "{}", destroyed.out);
        // The bucket of 4.16 and later has another prefix, and three groups only the tag of Cluster
        // API.
        assert_eq!(desk.cloud.inventory(), before, "{release}: {}", destroyed.out);
    }
}

#[test]
fn c83_a_lost_state_is_recovered_in_the_layout_that_aws_shows() {
    let desk = Desk::new();
    desk.expect(0, &["apply", "--release", "4.20", "--auto-approve"]);
    fs::remove_dir_all(desk.path("state")).unwrap();
    let mut recover = desk.command(&["recover"]);
    let recovered = super::Ran::from(recover.env_remove("GROUNDPLAN_RELEASE").output().unwrap());
    assert_eq!(recovered.code, Some(0), "{}", recovered.err);
    let note = "note: the resources have the tags of openshift-install 4.16 to 4.22";
    assert!(recovered.err.contains(note), "{}", recovered.err);
    desk.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn c83_without_a_hint_the_newest_release_is_used_and_said_and_a_cluster_keeps_its_layout() {
    let desk = Desk::new();
    let without = |arguments: &[&str]| {
        let mut command = desk.command(arguments);
        super::Ran::from(command.env_remove("GROUNDPLAN_RELEASE").output().unwrap())
    };
    let planned = without(&["plan"]);
    assert!(planned.out.contains("  + security_group.controlplane"), "{}", planned.out);
    let note = "note: the resources are those of openshift-install 4.22";
    assert!(planned.err.contains(note), "{}", planned.err);
    desk.expect(0, &["plan", "--release", "4.15", "--out", "older.plan"]);
    let applied = without(&["apply", "older.plan"]);
    assert_eq!(applied.code, Some(0), "{}", applied.err);
    let again = without(&["plan", "--detailed-exitcode"]);
    assert_eq!((again.code, again.err.contains("note: the resources")), (Some(0), false));
    let asked = without(&["plan", "--detailed-exitcode", "--release", "4.20"]);
    let note = "note: the cluster keeps the resources of openshift-install 4.15 and earlier";
    assert!(asked.code == Some(0) && asked.err.contains(note), "{}", asked.err);
}
