//! Files that users name: what is overwritten and what is not, pipes that block, and characters that
//! a terminal would obey.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::trouble::signal;
use super::{Desk, Ran};

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
}

#[test]
fn a_file_of_others_is_refused_before_anything_is_called() {
    let desk = Desk::new();
    desk.expect(0, &["apply", "--auto-approve", "--target", "dhcp_options.main"]);
    let calls = desk.cloud.requests().len();
    fs::write(desk.path("master.ign"), "{\"ignition\": {\"version\": \"3.2.0\"}}").unwrap();
    symlink("install-config.yaml", desk.path("link")).unwrap();
    for file in ["install-config.yaml", "master.ign", "link", "state/demo/journal", "state"] {
        let before = fs::read(desk.path(file)).ok();
        for option in ["--out", "--json-into"] {
            let ran = desk.expect(64, &["plan", option, file]);
            assert!(
                ran.err.starts_with(&format!("error[output-file-refused]: {file} is not a")),
                "{ran:?}"
            );
            assert!(ran.err.contains("so it is not overwritten"), "{ran:?}");
            assert!(ran.err.contains(&format!("pass another path with {option}")), "{ran:?}");
        }
        assert_eq!(fs::read(desk.path(file)).ok(), before, "{file}");
    }
    assert_eq!(desk.cloud.requests().len(), calls);
    assert!(fs::symlink_metadata(desk.path("link")).unwrap().is_symlink());
}

#[test]
fn an_earlier_output_is_replaced_and_devices_are_written_to() {
    let desk = Desk::new();
    fs::create_dir(desk.path("plans")).unwrap();
    symlink("plans/newest", desk.path("cluster.plan")).unwrap();
    for _ in 0..2 {
        desk.expect(0, &["plan", "--out", "cluster.plan", "--json-into", "events"]);
    }
    assert!(fs::symlink_metadata(desk.path("cluster.plan")).unwrap().is_symlink());
    assert_eq!(fs::read_dir(desk.path("plans")).unwrap().count(), 1);
    let ran = desk.expect(0, &["plan", "--out", "/dev/null", "--json-into", "/dev/null"]);
    assert!(!ran.out.contains("Saved to"), "there is nothing to apply: {}", ran.out);
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    desk.expect(0, &["apply", "cluster.plan", "--auto-approve"]);
}

#[test]
fn a_hyphen_is_standard_output_and_everything_else_goes_to_standard_error() {
    let desk = Desk::new();
    desk.expect(0, &["plan"]);
    for name in ["-", "/dev/stdout"] {
        let ran = desk.expect(0, &["plan", "--out", name]);
        let plan: Value = serde_json::from_str(&ran.out).expect("a plan and nothing else");
        assert!(plan["seal"].is_string() && ran.err.contains("Plan: "), "{}", ran.err);
        let ran = desk.expect(0, &["plan", "--json-into", name]);
        assert_eq!(ran.lines()[0]["type"], "version");
        assert!(ran.err.contains("Plan: "), "{}", ran.err);
    }
    fs::write(desk.path("piped.plan"), desk.expect(0, &["plan", "--out", "-"]).out).unwrap();
    desk.expect(64, &["plan", "--out", "-", "--json-into", "-"]);
    desk.expect(0, &["apply", "piped.plan", "--auto-approve"]);
}

#[test]
fn a_state_of_pipes_and_folders_is_an_error_and_not_a_wait() {
    for file in ["journal", "state.json", "lock"] {
        let desk = Desk::new();
        let folder = desk.path("state/demo");
        for make in [&pipe as &dyn Fn(&Path), &|path| fs::create_dir(path).unwrap()] {
            fs::create_dir_all(&folder).unwrap();
            make(&folder.join(file));
            let began = Instant::now();
            let reads = file != "lock"; // a plan takes no lock
            let command: &[&str] = if reads { &["plan"] } else { &["apply", "--auto-approve"] };
            let ran = desk.expect(1, command);
            assert!(ran.err.contains(&format!("state/demo/{file}")), "{}", ran.err);
            assert!(ran.err.contains("hint: "), "{}", ran.err);
            assert!(began.elapsed() < Duration::from_secs(20), "{file}");
            fs::remove_dir_all(&folder).unwrap();
        }
    }
}

/// Returns the result of a run that is stopped while it is blocked.
fn stopped(desk: &Desk, arguments: &[&str], blocked: impl Fn() -> bool) -> Ran {
    let mut child = desk.start(arguments);
    let began = Instant::now();
    while !blocked() && began.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(50));
    }
    sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "{arguments:?} is blocked");
    signal(&child, "-TERM");
    ended_within(&mut child, Duration::from_secs(10))
}

fn ended_within(child: &mut Child, time: Duration) -> Ran {
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > time {
            child.kill().unwrap();
            panic!("still running after {time:?}");
        }
        sleep(Duration::from_millis(50));
    };
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    Ran { code: status.code(), out: String::new(), err }
}

#[test]
fn a_stop_ends_what_a_pipe_blocks() {
    let desk = Desk::new();
    pipe(&desk.path("pipe"));
    // The plan is made, and the pipe has no reader.
    let events = || fs::read_to_string(desk.path("events")).unwrap_or_default();
    let saw = || events().contains("change_summary");
    let ran = stopped(&desk, &["plan", "--out", "pipe", "--json-into", "events"], saw);
    assert_eq!(ran.code, Some(6), "{ran:?}");
    // The pipe with the install-config has no writer.
    for command in [&["validate", "--config", "pipe"][..], &["plan", "--config", "pipe"]] {
        let ran = stopped(&desk, command, || true);
        assert_eq!(ran.code, Some(6), "{ran:?}");
        assert!(ran.err.contains("stopped by a signal"), "{ran:?}");
    }
    desk.expect(0, &["plan", "--out", "cluster.plan"]);
}

#[test]
fn no_control_character_of_any_origin_is_printed() {
    let is_obeyed = |c: char| {
        c.is_control() && c != '\n'
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let clean = |ran: &Ran| {
        assert!(!ran.out.contains(is_obeyed) && !ran.err.contains(is_obeyed), "{ran:?}");
    };
    let hostile = "gone\u{9b}2J\u{202e}\u{2066}\u{85}\r\nerror: forged";
    let desk = Desk::new();
    let fault = json!({"action": "DescribeImages", "times": null, "status": 403,
        "code": "UnauthorizedOperation", "message": hostile});
    desk.cloud.fault(&fault);
    for command in [&["plan"][..], &["plan", "--json"]] {
        let ran = desk.run(command);
        assert_ne!(ran.code, Some(0));
        assert!(format!("{}{}", ran.out, ran.err).contains("gone"), "{ran:?}");
        clean(&ran);
        assert!(!ran.err.contains("\nerror"), "{ran:?}");
    }
    desk.cloud.clear_faults();
    let path = desk.path("install-config.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("team: a", "\"a\\nerror: forged\\e[2J\": b")).unwrap();
    let ran = desk.expect(3, &["validate"]);
    clean(&ran);
    assert!(!ran.err.contains("\nerror"), "{ran:?}");
    for arguments in [
        &["plan", "--config", "a\u{1b}[2J\u{202e}b\n"][..],
        &["plan", "--state", "a\u{1b}]0;title\u{7}", "--out", "no/such\r"],
        &["pl\u{1b}[31man"],
        &["validate", "--config", "a\u{9b}31mb"],
    ] {
        let ran = desk.run(arguments);
        assert_ne!(ran.code, Some(0), "{ran:?}");
        clean(&ran);
    }
}
