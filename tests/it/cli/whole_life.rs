//! The life of a cluster as a team has it: commands in any order, forgotten options, lost files.

use std::fs;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{Desk, Ran};

/// Writes the assets of a cluster into a folder, as openshift-install does.
fn write_assets(desk: &Desk, folder: &str, infra_id: &str, cluster_id: &str) {
    fs::create_dir(desk.path(folder)).unwrap();
    for role in ["bootstrap", "master", "worker"] {
        let ignition = json!({"ignition": {"version": "3.2.0"}, "of": infra_id});
        fs::write(desk.path(&format!("{folder}/{role}.ign")), ignition.to_string()).unwrap();
    }
    let metadata = json!({"clusterName": "demo", "clusterID": cluster_id, "infraID": infra_id,
        "aws": {"region": "us-west-2"}});
    fs::write(desk.path(&format!("{folder}/metadata.json")), metadata.to_string()).unwrap();
}

const FIRST: &str = "7a5bb1c5-2c46-4a5e-9d4b-2f8f2a0f9f21";
const SECOND: &str = "7a5bb1c5-2c46-4a5e-9d4b-2f8f2a0f9f22";
const REPLACE: [&str; 2] = ["--replace", "instance.master-0"];

/// Runs a command that must be refused before its first mutating call.
fn refused(desk: &Desk, code: i32, arguments: &[&str]) -> Ran {
    desk.cloud.clear_requests();
    let ran = desk.expect(code, arguments);
    assert_eq!(desk.cloud.mutating_calls(), 0, "{arguments:?}");
    ran
}

/// Writes the install-config without an image.
fn write_config(desk: &Desk, authentication: &str, team: &str) {
    desk.write_config(authentication, team);
    let path = desk.path("install-config.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.contains("amiID")).collect();
    fs::write(path, lines.join("\n")).unwrap();
}

/// Sets the stream of the installer, with the image of the test cloud, for the commands that follow.
fn set_stream(desk: &Desk) {
    let regions = json!({"us-west-2": {"image": "ami-0abcdef1234567890"}});
    let images = json!({"x86_64": {"images": {"aws": {"regions": regions}}}});
    let stream = json!({"stream": "rhcos", "metadata": {}, "architectures": images});
    fs::write(desk.path("stream.json"), stream.to_string()).unwrap();
    fs::write(desk.path("groundplan.toml"), "rhcos-stream = 'stream.json'\n").unwrap();
}

fn lose_stream(desk: &Desk) {
    fs::remove_file(desk.path("groundplan.toml")).unwrap();
}

/// Asserts that nothing differs.
fn up_to_date(desk: &Desk) -> Ran {
    desk.expect(0, &["plan", "--detailed-exitcode"])
}

fn retired(desk: &Desk) -> Value {
    let shown = desk.expect(0, &["show", "--json"]).out;
    let state: Value = serde_json::from_str(&shown).unwrap();
    state["facts"]["retired"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_creates_changes_loses_files_destroys_and_creates_again() {
    let desk = Desk::new();
    write_config(&desk, "Optional", "a");
    set_stream(&desk);
    write_assets(&desk, "first", "demo-t3a2m", FIRST);
    write_assets(&desk, "second", "demo-t3a2n", SECOND);

    // Plans before and after the assets record nothing.
    desk.expect(2, &["plan", "--detailed-exitcode"]);
    desk.expect(2, &["plan", "--detailed-exitcode", "--assets", "second"]);
    desk.expect(1, &["bootstrap", "destroy", "--auto-approve"]); // no cluster
    fs::rename(desk.path("first/master.ign"), desk.path("master.ign")).unwrap();
    let ran = refused(&desk, 3, &["apply", "--assets", "first", "--auto-approve"]);
    assert!(ran.err.contains("master.ign is missing"), "{}", ran.err);
    fs::rename(desk.path("master.ign"), desk.path("first/master.ign")).unwrap();
    refused(&desk, 7, &["apply", "--assets", "first"]); // no approval
    let ran = desk.expect(0, &["apply", "--assets", "first", "--auto-approve"]);
    assert!(!ran.err.contains(" old: "), "{}", ran.err);

    // Without assets and stream: drift checks, changes, and the same with the folder lost.
    lose_stream(&desk);
    up_to_date(&desk);
    desk.expect(0, &["plan", "--refresh-only", "--detailed-exitcode"]);
    fs::rename(desk.path("first"), desk.path("vault")).unwrap();
    fs::write(desk.path("groundplan.toml"), "assets = 'first'\n").unwrap();
    write_config(&desk, "Optional", "b");
    desk.expect(2, &["plan", "--detailed-exitcode"]);
    desk.apply();
    lose_stream(&desk);
    write_config(&desk, "Required", "b");
    let ran = desk.apply();
    assert!(ran.out.ends_with("Apply complete! Resources: 0 added, 2 changed, 0 destroyed.\n"));
    up_to_date(&desk);

    // The bootstrap goes once, and stays away.
    let ran = refused(&desk, 7, &["bootstrap", "destroy"]);
    assert!(ran.out.contains("- instance.bootstrap "), "{}", ran.out);
    assert!(ran.out.contains("  bootstrap removal requested  "), "{}", ran.out);
    assert_eq!(retired(&desk), Value::Null);
    let ran = desk.expect(0, &["bootstrap", "destroy", "--auto-approve"]);
    assert!(ran.out.contains("Apply complete! Resources: 0 added, 0 changed, "), "{}", ran.out);
    let removed = retired(&desk);
    let date = removed["bootstrap"].as_str().unwrap().split('T').next().unwrap().to_owned();
    let note = format!("note: the bootstrap was removed on {date}; --bootstrap adds it again\n");
    assert_eq!(up_to_date(&desk).err, note);
    refused(&desk, 0, &["apply", "--auto-approve"]);
    refused(&desk, 0, &["bootstrap", "destroy", "--auto-approve"]);
    assert_eq!(retired(&desk), removed);

    // Drift is found and reverted without files.
    let machine = desk.machine_running("master-0").await;
    let weaken = desk.ec2().modify_instance_metadata_options().instance_id(&machine);
    weaken.http_tokens("optional".into()).send().await.unwrap();
    desk.expect(2, &["plan", "--refresh-only", "--detailed-exitcode"]);
    desk.apply();

    // A master cannot be replaced without its file: the plan says so, the apply does nothing.
    let missing = "master.ign is missing, and instance.master-0 needs it";
    let planned = desk.expect(0, &["plan", REPLACE[0], REPLACE[1], "--out", "replace.plan"]);
    assert!(planned.out.contains(missing), "{}", planned.out);
    for command in [
        &["apply", "--auto-approve", REPLACE[0], REPLACE[1]][..],
        &["apply", "replace.plan"],
        &["apply", "--auto-approve", REPLACE[0], REPLACE[1], "--assets", "empty"],
    ] {
        fs::create_dir_all(desk.path("empty")).unwrap();
        let expected = if command[1] == "replace.plan" { "--assets DIR" } else { missing };
        let ran = refused(&desk, 7, command);
        assert!(ran.err.contains(expected) && ran.out.contains(missing), "{}", ran.err);
    }
    // Only the file that is needed, three days old.
    fs::create_dir(desk.path("one")).unwrap();
    fs::copy(desk.path("vault/master.ign"), desk.path("one/master.ign")).unwrap();
    let file = fs::File::options().append(true).open(desk.path("one/master.ign")).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(73 * 3600)).unwrap();
    let arguments = ["apply", "--auto-approve", "--accept-danger", "demo", REPLACE[0], REPLACE[1]];
    let arguments = [&arguments[..], &["--assets", "one"]].concat();
    let ran = desk.expect(0, &arguments);
    assert!(ran.err.contains("warning[ignition-age]: master.ign is 3 days old"), "{}", ran.err);
    up_to_date(&desk);

    // The bootstrap comes back on request only, and needs its file.
    let ran = desk.expect(0, &["plan", "--bootstrap"]);
    assert!(ran.out.contains("starts a second control plane behind the API"), "{}", ran.out);
    let needed = "bootstrap.ign is missing, and s3_object.bootstrap needs it";
    assert!(ran.out.contains(needed), "{}", ran.out);
    refused(&desk, 7, &["apply", "--bootstrap", "--auto-approve"]);
    assert_eq!(retired(&desk), removed);

    // The wrong assets, the wrong state, the wrong folder.
    refused(&desk, 3, &["plan", "--assets", "second"]);
    refused(&desk, 7, &["plan", "--state", "elsewhere"]);
    refused(&desk, 1, &["show", "--state", "elsewhere"]);
    refused(&desk, 3, &["plan", "--assets", "first"]); // the lost folder
    up_to_date(&desk);

    // The state is lost, too: a recovery finds masters and no bootstrap.
    set_stream(&desk);
    fs::rename(desk.path("state"), desk.path("lost")).unwrap();
    let ran = refused(&desk, 0, &["recover", "--assets", "vault"]);
    assert!(ran.err.contains("no bootstrap machine: it is recorded as removed"), "{}", ran.err);
    assert!(up_to_date(&desk).err.contains("--bootstrap adds it again"));

    // Destroyed, and created again with new assets: with a bootstrap.
    refused(&desk, 0, &["plan", "--destroy"]);
    desk.expect(0, &["destroy", "--auto-approve"]);
    refused(&desk, 0, &["destroy", "--auto-approve"]);
    let ran = desk.expect(2, &["plan", "--detailed-exitcode", "--assets", "second"]);
    assert!(ran.out.contains("  + instance.bootstrap"), "{}", ran.out);
    assert!(!ran.err.contains("--bootstrap"), "{}", ran.err);
    desk.expect(0, &["apply", "--assets", "second", "--auto-approve"]);
    assert_eq!(retired(&desk), Value::Null);
    up_to_date(&desk);
}
