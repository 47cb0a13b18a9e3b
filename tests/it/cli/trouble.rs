//! Failures, signals and readers that leave: what is done stays done, and the next run goes on.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Desk;
use crate::support::cloud::PATIENCE;

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

/// The lines that a program prints, read while it runs.
pub(super) struct Printed {
    lines: mpsc::Receiver<String>,
    text: String,
}

impl Printed {
    /// Takes the stdout of a child.
    pub(super) fn by(child: &mut Child) -> Self {
        Self::from(child.stdout.take().expect("a pipe"))
    }

    pub(super) fn from(pipe: impl Read + Send + 'static) -> Self {
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let _the_reader_has_left = sender.send(line);
            }
        });
        Self { lines, text: String::new() }
    }

    /// Reads up to a line with this text, and returns that line.
    pub(super) fn up_to(&mut self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("`{text}` is not in {}", self.text));
            self.text.push_str(&line);
            self.text.push('\n');
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Reads to the end, and returns everything.
    pub(super) fn all(mut self) -> String {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.text.push_str(&line);
            self.text.push('\n');
        }
        self.text
    }
}

/// Sends a signal, and waits until the program says that it stops.
pub(super) fn stop(child: &mut Child, name: &str) -> Printed {
    let mut printed = Printed::by(child);
    signal(child, name);
    printed.up_to("stopping: no new calls are sent");
    printed
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
    assert!(
        ran.err.contains("error[quota-exceeded]: could not create nat_gateway.us-west-2a\n"),
        "{}",
        ran.err
    );
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
    desk.cloud.hold(&["RunInstances"]);
    let mut child = desk.start(&["apply", "--auto-approve"]);
    desk.cloud.wait_for_held(1);
    let printed = stop(&mut child, "-INT");
    desk.cloud.release();
    assert_eq!(end(&mut child), Some(6));
    let out = printed.all();
    assert!(out.contains("run the same command again"), "{out}");

    desk.apply();
    desk.expect(0, &["plan", "--detailed-exitcode"]);
    let machines = desk.cloud.ids()["instance"].as_array().map_or(0, Vec::len);
    assert_eq!(machines, 2, "none is there twice");
}

/// A call without an answer is not waited for without an end.
#[test]
fn the_first_signal_leaves_what_is_not_answered_to_the_next_run() {
    let desk = Desk::new();
    desk.cloud.hold(&["RunInstances"]);
    let mut child = desk.start(&["apply", "--auto-approve"]);
    desk.cloud.wait_for_held(1);
    let printed = stop(&mut child, "-TERM");
    assert_eq!(end(&mut child), Some(6), "it ends although nothing was released");
    let out = printed.all();
    assert!(out.contains("not finished; the next run continues"), "{out}");
    assert!(out.contains("run the same command again"), "{out}");
    desk.cloud.release();
}

/// Two signals that come together: the second is there before the program has waited for anything.
#[test]
fn the_second_signal_ends_at_once() {
    let desk = Desk::new();
    desk.cloud.hold(&["RunInstances"]);
    let mut child = desk.start(&["apply", "--auto-approve"]);
    desk.cloud.wait_for_held(1);
    let both = ["-c", "kill -INT \"$0\" && kill -TERM \"$0\"", &child.id().to_string()];
    assert!(Command::new("/bin/sh").args(both).status().expect("a shell").success());
    assert_eq!(end(&mut child), Some(6));
    let out = Printed::by(&mut child).all();
    assert!(!out.contains("run the same command again"), "nothing was waited for: {out}");
    desk.cloud.release();
}

#[test]
fn a_signal_before_anything_is_begun_changes_nothing() {
    let desk = Desk::new();
    desk.cloud.hold(&["DescribeImages"]);
    let mut child = desk.start(&["apply", "--auto-approve"]);
    desk.cloud.wait_for_held(1);
    signal(&child, "-INT");
    assert_eq!(end(&mut child), Some(6));
    desk.cloud.release();
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
    assert_eq!(code, Some(0), "{err}");
    assert!(err.starts_with("note: ") && err.lines().count() == 1, "{err}");
}
