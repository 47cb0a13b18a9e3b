//! Failures, signals and readers that leave: what is done stays done, and the next run goes on.

use std::io::Read;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::json;

use super::Desk;

/// Longer than anything here takes, so that a test that hangs ends.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(sent.expect("kill").success());
}

pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "still not: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a server says to a GET, if it says anything.
pub(super) fn get(address: &str, path: &str) -> std::io::Result<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

pub(super) fn end(child: &mut Child) -> Option<i32> {
    let mut status = None;
    until("it has ended", || {
        status = child.try_wait().expect("waited for");
        status.is_some()
    });
    status.and_then(|status| status.code())
}

#[test]
fn a_failure_says_what_to_quote_and_skips_only_what_needed_it() {
    let desk = Desk::new();
    desk.cloud.fault(&json!({
        "action": "CreateNatGateway", "kind": "error", "times": 1, "status": 400,
        "code": "NatGatewayLimitExceeded", "message": "five is enough",
    }));
    let ran = desk.expect(1, &["apply", "--auto-approve"]);
    assert!(ran.err.contains("error: could not create nat_gateway.us-west-2a\n"), "{}", ran.err);
    assert!(ran.err.contains("  CreateNatGateway: NatGatewayLimitExceeded\n"), "{}", ran.err);
    assert!(ran.err.contains("  request id: "), "{}", ran.err);
    assert!(ran.err.contains("not started because of this: "), "{}", ran.err);
    assert!(ran.err.contains("route_table.private-us-west-2a"), "{}", ran.err);
    assert!(ran.out.contains("instance.master-0: Creation complete"), "{}", ran.out);
    assert!(ran.out.contains("1 failed, "), "{}", ran.out);

    let again = desk.apply();
    assert!(again.out.contains("nat_gateway.us-west-2a: Creation complete"), "{}", again.out);
    assert!(!again.out.contains("vpc.main"), "only what is missing is made: {}", again.out);
    desk.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn the_first_signal_saves_and_the_next_run_goes_on() {
    let desk = Desk::new();
    desk.cloud.latency(&json!({"*": 0.05, "RunInstances": 1.0}));
    let mut child = desk.start(&["apply", "--auto-approve"]);
    until("machines are asked for", || desk.cloud.calls("RunInstances") > 0);
    let asked = Instant::now();
    signal(&child, "-INT");
    assert_eq!(end(&mut child), Some(6));
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert!(out.contains("stopping: nothing new is started"), "{out}");
    assert!(out.contains("run the same command again"), "{out}");

    desk.cloud.latency(&json!({}));
    desk.apply();
    desk.expect(0, &["plan", "--detailed-exitcode"]);
    let machines = desk.cloud.ids()["instance"].as_array().map_or(0, Vec::len);
    assert_eq!(machines, 2, "none is there twice");
}

#[test]
fn the_second_signal_ends_at_once() {
    let desk = Desk::new();
    desk.cloud.latency(&json!({"RunInstances": 30.0}));
    let mut child = desk.start(&["apply", "--auto-approve"]);
    until("machines are asked for", || desk.cloud.calls("RunInstances") > 0);
    signal(&child, "-TERM");
    std::thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    signal(&child, "-TERM");
    assert_eq!(end(&mut child), Some(6));
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}

#[test]
fn a_signal_before_anything_is_begun_changes_nothing() {
    let desk = Desk::new();
    desk.cloud.latency(&json!({"DescribeImages": 20.0}));
    let mut child = desk.start(&["apply", "--auto-approve"]);
    until("AWS is asked", || desk.cloud.calls("DescribeImages") > 0);
    signal(&child, "-INT");
    assert_eq!(end(&mut child), Some(6));
    assert_eq!(desk.cloud.mutating_calls(), 0);
    assert!(!desk.path("state").exists());
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let desk = Desk::new();
    let mut child = desk.start(&["plan", "--full"]);
    drop(child.stdout.take());
    let code = end(&mut child);
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((code, &*err), (Some(0), ""));
}
