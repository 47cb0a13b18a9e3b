//! The termination handler as a process: survives errors, and ends on a signal.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::Desk;
use super::trouble::{end, signal};

/// A cluster without an API server.
const KUBECONFIG: &str = "apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]
users: [{name: u, user: {token: sesame}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
";

#[test]
fn c65_the_handler_outlives_a_service_that_is_not_there_and_ends_at_once_when_told() {
    let desk = Desk::new();
    std::fs::write(desk.path("kubeconfig"), KUBECONFIG).unwrap();
    let mut command = desk.command(&["termination-handler", "--node-name", "n-1", "--json"]);
    command.args(["--poll-interval", "60s"]);
    command.env("KUBECONFIG", desk.path("kubeconfig"));
    command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1");
    command.env_remove("AWS_EC2_METADATA_DISABLED");
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut said = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let first = said.next().expect("a line").expect("text");
    assert!(first.contains("\"type\":\"version\""), "{first}");
    let trouble = said.next().expect("a line").expect("text");
    assert!(trouble.contains("metadata service"), "{trouble}");
    assert!(child.try_wait().expect("waited for").is_none(), "trouble does not end it");
    let began = Instant::now();
    signal(&child, "-TERM");
    assert_eq!(end(&mut child), Some(0));
    // The handler's pause before its next request is much longer than this.
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}
