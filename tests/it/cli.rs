//! Whole runs of the program against the test cloud, as users and scripts see them.

mod assets;
mod blocked;
mod certificates;
mod controller;
mod crash;
mod edge;
mod fields;
mod files;
mod foreign;
mod handler;
mod identity;
mod imds;
mod in_s3;
mod installers;
mod layouts;
mod life;
mod machines;
mod manifests;
mod plans;
mod policies;
mod preflight;
mod protected;
mod reads;
mod recovery;
mod refusals;
mod releases;
mod saved_plans;
mod sole_owner;
mod states;
mod storms;
mod streams;
mod sweeps;
mod trouble;
mod waits;
mod whole_life;

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use aws_sdk_ec2::types::{Filter, Reservation};
use serde_json::Value;

use crate::support::cloud::{self, Cloud};

/// Secrets that no output may contain.
const PULL_SECRET: &str = "Y2FuYXJ5Om9mLXRoZS1wdWxsLXNlY3JldA==";
const SSH_KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIGNhbmFyeS1vZi10aGUtc3NoLWtleS1pbi1hLXRlc3Qh";

/// The smallest cluster: one master and its bootstrap, reachable only inside the VPC.
const CONFIG: &str = r#"apiVersion: v1
metadata:
  name: demo
baseDomain: example.com
publish: Internal
controlPlane:
  name: master
  replicas: 1
  platform:
    aws:
      zones: [us-west-2a]
      type: m5.2xlarge
      metadataService:
        authentication: @authentication@
compute:
  - name: worker
    replicas: 0
    platform:
      aws:
        zones: [us-west-2a]
        type: m5.xlarge
platform:
  aws:
    region: us-west-2
    amiID: ami-0abcdef1234567890
    userTags:
      team: @team@
pullSecret: '{"auths": {"registry.example.com": {"auth": "@pull-secret@"}}}'
sshKey: ssh-ed25519 @ssh-key@ core
"#;

/// A working folder and an AWS account.
struct Desk {
    cloud: Cloud,
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self::on(cloud::shared())
    }

    /// Creates a desk for this account.
    fn on(cloud: Cloud) -> Self {
        let desk = Self { cloud, folder: tempfile::tempdir().expect("a temporary folder") };
        // Every destroy would wait five seconds for them; `life` shows that it does.
        desk.cloud.delay("load_balancer_interfaces", 0.0);
        desk.write_config("Required", "a");
        desk
    }

    /// Rewrites the install-config.
    fn write_config(&self, authentication: &str, team: &str) {
        let text = CONFIG
            .replace("@authentication@", authentication)
            .replace("@team@", team)
            .replace("@pull-secret@", PULL_SECRET)
            .replace("@ssh-key@", SSH_KEY);
        std::fs::write(self.path("install-config.yaml"), text).expect("written");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_groundplan"));
        command.args(arguments).current_dir(self.folder.path());
        command.env_clear().env("RUST_BACKTRACE", "0").envs(self.cloud.environment());
        // Most tests know the names of release 4.15. Those of other releases pass `--release`.
        if !matches!(arguments.first(), Some(&"validate" | &"config" | &"explain")) {
            command.env("GROUNDPLAN_RELEASE", "4.15");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program and returns its result.
    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().expect("the program starts"))
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("the program starts")
    }

    /// Runs the program and asserts its exit code.
    fn expect(&self, code: i32, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}\n{}\n{}", ran.out, ran.err);
        ran
    }

    fn apply(&self) -> Ran {
        self.expect(0, &["apply", "--auto-approve"])
    }

    /// Applies a plan that the only master does not survive.
    fn apply_in_danger(&self) -> Ran {
        self.expect(0, &["apply", "--auto-approve", "--accept-danger", "demo"])
    }

    fn ec2(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.cloud.sdk_config())
    }

    /// Returns the role and `HttpTokens` of every running machine, sorted.
    async fn tokens(&self) -> Vec<(String, String)> {
        let described = self.ec2().describe_instances().send().await.expect("instances");
        let machines = described.reservations().iter().flat_map(Reservation::instances);
        let running = machines.filter(|machine| {
            machine
                .state()
                .and_then(|state| state.name())
                .is_some_and(|name| name.as_str() == "running")
        });
        let mut tokens: Vec<_> = running
            .map(|machine| {
                let name = machine.tags().iter().find(|tag| tag.key() == Some("Name"));
                let name = name.and_then(|tag| tag.value()).unwrap_or_default();
                let tokens = machine.metadata_options().and_then(|options| options.http_tokens());
                let role = name.splitn(3, '-').nth(2).unwrap_or(name);
                (role.to_owned(), tokens.map_or("", |tokens| tokens.as_str()).to_owned())
            })
            .collect();
        tokens.sort();
        tokens
    }

    /// Returns the ID of the running machine with this role.
    async fn machine_running(&self, role: &str) -> String {
        let running = Filter::builder().name("instance-state-name").values("running").build();
        let described = self.ec2().describe_instances().filters(running).send().await;
        let described = described.expect("instances");
        let mut machines = described.reservations().iter().flat_map(Reservation::instances);
        let found = machines.find(|machine| {
            let name = machine.tags().iter().find(|tag| tag.key() == Some("Name"));
            name.and_then(|tag| tag.value()).is_some_and(|name| name.ends_with(role))
        });
        found.and_then(|machine| machine.instance_id()).expect("the machine").to_owned()
    }

    /// Returns the ID of the machine with this role (`master-0`).
    async fn machine(&self, role: &str) -> String {
        let described = self.ec2().describe_instances().send().await.expect("instances");
        let machines = described.reservations().iter().flat_map(Reservation::instances);
        let found = machines.into_iter().find(|machine| {
            let name = machine.tags().iter().find(|tag| tag.key() == Some("Name"));
            name.and_then(|tag| tag.value()).is_some_and(|name| name.ends_with(role))
        });
        found.and_then(|machine| machine.instance_id()).expect("the machine").to_owned()
    }
}

/// Exit code and output of a run.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    /// Returns the lines of JSON, each with a type and a time.
    fn lines(&self) -> Vec<Value> {
        let parse = |line: &str| -> Value {
            let value: Value = serde_json::from_str(line).expect(line);
            assert!(value["type"].is_string() && value["time"].is_string(), "{line}");
            value
        };
        self.out.lines().map(parse).collect()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}
