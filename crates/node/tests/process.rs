//! `groundplan-node` as a process: survives errors, and ends on a signal.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// A cluster without a server.
const KUBECONFIG: &str = "apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]
users: [{name: u, user: {token: sesame}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
";

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_groundplan-node"));
    for name in ["NODE_NAME", "AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"]
    {
        command.env_remove(name);
    }
    command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1");
    command
}

#[test]
fn program_outlives_a_metadata_service_that_is_not_there_and_ends_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = dir.path().join("kubeconfig");
    std::fs::write(&kubeconfig, KUBECONFIG).unwrap();
    let mut command = program();
    command.args(["--node-name", "n-1", "--json"]).env("KUBECONFIG", kubeconfig);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.starts_with(r#"{"type":"version","time":""#), "{first}");
    let warning = lines.next().unwrap().unwrap();
    assert!(warning.contains(r#""type":"diagnostic""#), "{warning}");
    assert!(warning.contains("metadata service"), "{warning}");
    assert!(child.try_wait().unwrap().is_none(), "trouble does not end it");
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn program_rejects_wrong_usage_with_64() {
    let code = |command: &mut Command| command.output().unwrap().status.code();
    assert_eq!(code(&mut program()), Some(64), "--node-name is missing");
    assert_eq!(code(program().args(["--node-name=n", "--poll-interval=5"])), Some(64));
    let disabled = ("AWS_EC2_METADATA_DISABLED", "true");
    let mut command = program();
    let output = command.arg("--node-name=n").env(disabled.0, disabled.1).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8(output.stderr).unwrap();
    let (time, line) = said.trim_end().split_once(' ').unwrap();
    assert!(
        time.ends_with('Z') && line.starts_with("error termination_handler Node n: "),
        "{said}"
    );
    assert!(output.stdout.is_empty() && said.lines().count() == 1, "{said}");
}

#[test]
fn an_error_at_the_start_is_one_line_of_the_log_or_one_diagnostic() {
    let run = |words: &[&str]| {
        let mut command = program();
        command.env("KUBECONFIG", "/nonexistent/kubeconfig").args(["--node-name=n"]).args(words);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    let [out, err] = run(&[]);
    assert!(out.is_empty() && err.lines().count() == 1, "{err}");
    let expected =
        "error termination_handler Node n: could not configure access to the API server: ";
    assert!(err.contains(expected), "{err}");
    let [out, err] = run(&["--json"]);
    let errors: Vec<_> =
        out.lines().filter(|line| line.contains("\"severity\":\"error\"")).collect();
    assert!(err.is_empty() && errors.len() == 1, "{out}{err}");
    assert!(errors[0].starts_with("{\"type\":\"diagnostic\",\"time\":\""), "{out}");
}
