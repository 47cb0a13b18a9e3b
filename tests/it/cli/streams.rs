//! Output for programs: the event stream and JSON documents.

use std::fs;

use serde_json::{Value, json};

use super::Desk;

/// Returns the JSON lines of a file.
fn lines(desk: &Desk, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(desk.path(name)).expect("a stream");
    assert!(text.ends_with('\n'), "the last line is whole");
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn of<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["type"] == kind).collect()
}

/// Returns the numbers in the first line that starts with `beginning`, in order.
fn numbers(text: &str, beginning: &str) -> Vec<u64> {
    let line = text.lines().find(|line| line.starts_with(beginning)).expect(text);
    let words = line.split(|c: char| !c.is_ascii_digit());
    words.filter_map(|word| word.parse().ok()).collect()
}

/// Asserts that every line has a type and a time. Lines about a resource have an address, and the
/// first line is the version.
fn assert_is_a_stream(lines: &[Value]) {
    assert_eq!(lines[0]["type"], "version");
    assert_eq!(of(lines, "version").len(), 1);
    for line in lines {
        let kind = line["type"].as_str().expect("a type");
        let time = line["time"].as_str().expect("a time");
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{line}");
        let about_one =
            kind.starts_with("step_") || ["planned_change", "unchanged", "drift"].contains(&kind);
        assert_eq!(line["address"].is_string(), about_one, "{line}");
    }
}

#[test]
fn u2_a_stream_is_lines_of_json_with_the_numbers_that_people_read() {
    let desk = Desk::new();
    let planned = desk.expect(0, &["plan", "--json-into", "plan.json"]);
    let stream = lines(&desk, "plan.json");
    assert_is_a_stream(&stream);
    let summary = of(&stream, "change_summary")[0];
    let said = ["add", "change", "destroy"].map(|word| summary[word].as_u64().unwrap());
    assert_eq!(numbers(&planned.out, "Plan: "), said);

    let arguments = ["apply", "--auto-approve", "--json-into", "apply.json"];
    let applied = desk.expect(0, &arguments);
    let stream = lines(&desk, "apply.json");
    assert_is_a_stream(&stream);
    let summary = &stream.last().unwrap()["summary"];
    let said = ["added", "changed", "destroyed"].map(|word| summary[word].as_u64().unwrap());
    assert_eq!(numbers(&applied.out, "Apply complete! "), said);
    for step in of(&stream, "step_finished") {
        let told = format!("{}: Creation complete", step["address"].as_str().unwrap());
        assert!(applied.out.contains(&told), "{told}");
    }

    let arguments = ["destroy", "--auto-approve", "--json", "--json-into", "destroy.json"];
    let destroyed = desk.expect(0, &arguments);
    let (shown, stream) = (destroyed.lines(), lines(&desk, "destroy.json"));
    let untimed = |lines: &[Value]| -> Vec<Value> {
        let untimed = lines.iter().cloned().map(|mut line| {
            line["time"] = json!("");
            line
        });
        untimed.collect()
    };
    assert_eq!(untimed(&shown), untimed(&stream));
    assert_is_a_stream(&stream);
}

#[test]
fn a_stream_that_cannot_be_written_is_said_before_anything_is_done_and_never_stops_a_run() {
    let desk = Desk::new();
    let refused = desk.expect(64, &["plan", "--json-into", "no/such/folder"]);
    assert!(refused.err.contains("could not write events to no/such/folder"), "{}", refused.err);
    let config = desk.expect(64, &["plan", "--json-into", "install-config.yaml"]);
    assert!(config.err.contains("is not an event file"), "{}", config.err);
    assert!(desk.cloud.requests().is_empty() && !desk.path("state").exists());

    // A limit on the file size has the effect of a full disk. The state stays below the limit.
    let full = "trap '' XFSZ; ulimit -f 16; exec \"$0\" plan --json-into events";
    let plain = desk.command(&[]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", full]).arg(plain.get_program()).current_dir(desk.folder.path());
    shell.env_clear().env("PATH", "/usr/bin:/bin").envs(desk.cloud.environment());
    let ran = super::Ran::from(shell.output().expect("the program starts"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("Plan: "), "{}", ran.out);
    assert_eq!(ran.err.matches("events are no longer written to events").count(), 1, "{}", ran.err);
    assert!(lines(&desk, "events").len() > 1);
}

#[test]
fn a_full_standard_output_is_an_error_on_standard_error() {
    let desk = Desk::new();
    desk.expect(0, &["apply", "--auto-approve", "--target", "dhcp_options.main"]);
    for arguments in [
        &["plan", "--json"][..],
        &["plan"],
        &["schema"],
        &["plan", "--out", "-"],
        &["show", "--json"],
        &["state", "history"],
        &["state", "pull"],
        &["graph"],
        &["--version"],
        &["help", "plan"],
    ] {
        let mut command = desk.command(arguments);
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ran = super::Ran::from(command.stdout(full).output().unwrap());
        assert_eq!(ran.code, Some(1), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains("No space left on device"), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn a_document_has_standard_output_for_itself() {
    let desk = Desk::new();
    desk.apply();
    desk.expect(0, &["plan", "--out", "no.plan"]);
    let documents = [
        (&["show"][..], "state"),
        (&["show", "no.plan"], "plan"),
        (&["state", "show", "vpc.main"], "resource"),
    ];
    for (arguments, named) in documents {
        let ran = desk.expect(0, &[arguments, &["--json"]].concat());
        assert!(ran.out.starts_with("{\"") && ran.out.lines().count() == 1, "{}", ran.out);
        let document: Value = serde_json::from_str(&ran.out).expect("one document");
        assert_eq!(
            (&document["format_version"], &document["document"]),
            (&json!("1.1"), &json!(named))
        );
        assert!(!ran.out.contains("sha256:"), "no digest of a secret: {}", ran.out);
        assert_eq!(ran.err, "");
    }
    let comment = desk.expect(0, &["show", "no.plan", "--format", "markdown"]);
    assert!(comment.out.starts_with("### Plan for cluster demo "), "{}", comment.out);
    let planned = desk.expect(0, &["plan", "--out", "no.plan", "--format", "markdown"]);
    let account = planned.out.lines().find(|line| line.starts_with("Account "));
    let account = format!("{}\n\n", account.expect("the account of the run"));
    let planned_out = planned.out.replace(&account, "");
    assert_eq!(planned_out, comment.out, "nothing else is on standard output");
    assert!(planned.err.contains("Saved to no.plan"), "{}", planned.err);
    let nothing = desk.expect(64, &["state", "show", "vpc.other", "--json"]);
    assert_eq!(nothing.out, "");
    let said: Vec<Value> =
        nothing.err.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_is_a_stream(&said);
    assert_eq!(said[1]["severity"], "error");
}
