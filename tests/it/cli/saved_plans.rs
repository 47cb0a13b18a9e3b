//! A saved plan is executed exactly, or rejected as stale.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use aws_sdk_ec2::types::{Tag, TagSpecification};

use super::Desk;

/// Returns a cluster with a saved plan that updates its machines in place.
fn flip() -> Desk {
    let desk = Desk::new();
    desk.write_config("Optional", "a");
    desk.apply();
    desk.write_config("Required", "a");
    desk.expect(2, &["plan", "--out", "flip.plan", "--detailed-exitcode"]);
    desk.cloud.clear_requests();
    desk
}

const APPLY: &[&str] = &["apply", "flip.plan", "--auto-approve"];

/// Asserts that the plan is rejected with this reason and without a mutating call.
fn stale(desk: &Desk, because: &str) {
    let before = desk.cloud.mutating_calls();
    let ran = desk.expect(5, APPLY);
    assert!(ran.err.contains("the plan flip.plan is stale"), "{}", ran.err);
    assert!(ran.err.contains(because), "{}", ran.err);
    assert_eq!(desk.cloud.mutating_calls(), before);
}

#[test]
fn p3_and_p10_a_saved_plan_is_the_same_bytes_again_and_is_done_once() {
    let desk = flip();
    for (threads, host) in [("1", "here"), ("7", "elsewhere")] {
        let mut command = desk.command(&["plan", "--out", "again.plan"]);
        command.env("TOKIO_WORKER_THREADS", threads).env("HOSTNAME", host).env("TZ", "Asia/Tokyo");
        assert!(command.status().unwrap().success());
        assert!(
            fs::read(desk.path("flip.plan")).unwrap() == fs::read(desk.path("again.plan")).unwrap()
        );
    }
    let read = |name: &str| fs::read(desk.path(name)).unwrap();
    assert!(read("flip.plan") == read("again.plan"));
    let ran = desk.expect(0, APPLY);
    assert!(ran.out.ends_with("Apply complete! Resources: 0 added, 2 changed, 0 destroyed.\n"));
    stale(&desk, "the state has changed since");
}

#[test]
fn a_plan_can_come_from_a_pipe() {
    for path in ["-", "/dev/stdin"] {
        let desk = flip();
        let mut command = desk.command(&["apply", path, "--auto-approve"]);
        command.stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let plan = fs::read(desk.path("flip.plan")).unwrap();
        child.stdin.take().unwrap().write_all(&plan).unwrap();
        let ran = super::Ran::from(child.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(0), "{path}: {}", ran.err);
        assert!(ran.out.ends_with("Apply complete! Resources: 0 added, 2 changed, 0 destroyed.\n"));
    }
}

#[test]
fn a_plan_of_another_config_or_another_state_is_stale() {
    let desk = flip();
    desk.write_config("Required", "b");
    stale(&desk, "the install-config has changed since the plan was made");
    desk.write_config("Required", "a");
    let ran = desk.expect(5, &["apply", "flip.plan", "--auto-approve", "--state-dir", "elsewhere"]);
    assert!(ran.err.contains("the plan was made from another state"), "{}", ran.err);
    assert!(!desk.path("elsewhere").exists());
    assert!(desk.cloud.requests().iter().all(|call| call["mutating"] == false));
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_a_plan_whose_objects_somebody_changed_is_stale() {
    let desk = flip();
    let machine = desk.machine("master-0").await;
    let modify = desk.ec2().modify_instance_metadata_options().instance_id(machine);
    modify.http_tokens("required".into()).send().await.expect("modified");
    stale(&desk, "instance.master-0 was changed outside groundplan");
}

#[test]
fn a_destroy_is_planned_reviewed_and_done_exactly_as_saved() {
    let desk = Desk::new();
    desk.apply();
    let recorded = desk.expect(0, &["state", "pull"]).out;
    let read = |name: &str| fs::read(desk.path(name)).unwrap();
    desk.cloud.clear_requests();
    let planned =
        desk.expect(2, &["plan", "--destroy", "--detailed-exitcode", "--out", "flip.plan"]);
    assert!(planned.out.contains("To destroy exactly this: groundplan apply flip.plan"));
    let shown = desk.expect(7, &["destroy"]); // without a terminal
    assert!(shown.err.contains("cannot ask for confirmation without a terminal"), "{}", shown.err);
    let count = planned.out.lines().find(|line| line.starts_with("Plan: 0 to add")).unwrap();
    assert!(shown.out.contains(count), "{}", shown.out);
    desk.expect(0, &["destroy", "--out", "again.plan", "--cluster", "demo"]);
    assert!(read("flip.plan") == read("again.plan"));
    desk.expect(7, &["plan", "--destroy", "--max-destroy", "0"]);
    desk.expect(64, &["plan", "--destroy", "--no-bootstrap"]);
    assert!(desk.expect(0, &["show", "flip.plan"]).out.contains(count));
    assert_eq!(desk.cloud.mutating_calls(), 0);
    assert_eq!(desk.expect(0, &["state", "pull"]).out, recorded);

    // Guards hold for a saved plan, too.
    for guard in [["--max-destroy", "3"], ["--expect", "-1"]] {
        desk.expect(7, &[&["apply", "flip.plan"][..], &guard].concat());
    }
    desk.expect(0, &["protect", "instance.master-0"]);
    stale(&desk, "the state has changed since");
    desk.expect(7, &["plan", "--destroy", "--out", "flip.plan"]);
    desk.expect(0, &["unprotect", "instance.master-0"]);

    desk.expect(0, &["plan", "--destroy", "--out", "flip.plan"]);
    let done = desk.expect(0, &["apply", "flip.plan"]);
    assert!(done.out.contains("Destroy complete!"), "{}", done.out);
    assert!(done.out.contains("No resources with the tag"), "{}", done.out);
    stale(&desk, "the state has changed since");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_destroy_is_stale_when_there_is_more_to_destroy() {
    let desk = Desk::new();
    desk.apply();
    desk.expect(0, &["plan", "--destroy", "--out", "flip.plan", "--target", "instance.bootstrap"]);
    desk.expect(0, &["apply", "flip.plan"]);
    let left = desk.expect(0, &["state", "list"]).out;
    assert!(!left.contains("instance.bootstrap") && left.contains("instance.master-0"), "{left}");

    desk.expect(0, &["plan", "--destroy", "--out", "flip.plan"]);
    let state: serde_json::Value =
        serde_json::from_str(&desk.expect(0, &["show", "--json"]).out).unwrap();
    let tag = format!("kubernetes.io/cluster/{}", state["cluster"]["infra_id"].as_str().unwrap());
    let tag = Tag::builder().key(tag).value("owned").build();
    let tags = TagSpecification::builder().resource_type("volume".into()).tags(tag).build();
    let volume = desk.ec2().create_volume().availability_zone("us-west-2a").size(1);
    volume.tag_specifications(tags).send().await.expect("a volume of a claim");
    stale(&desk, "was changed outside groundplan since");
    desk.expect(0, &["destroy", "--auto-approve"]);
}
