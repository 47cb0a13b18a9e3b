//! Runs killed at a mutating call and started again. A sample of `make crash-matrix`, which kills
//! at every such call, twice in a row, and reports more.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::Desk;
use crate::support::cloud::Cloud;

/// Number of kills, distributed over a run from its first to its last mutating call.
const PLACES: usize = 4;
const WHENS: [&str; 2] = ["before", "after"];

#[test]
fn k1_and_k9_killed_anywhere_and_run_again_it_ends_the_same() {
    // A cloud for this test only, because this many concurrent runs would slow down other tests.
    let cloud = Cloud::start();
    let undisturbed = Undisturbed::measured_on(&Desk::on(cloud.another_account()));
    std::thread::scope(|scope| {
        for place in 0..PLACES {
            for when in WHENS {
                let desk = Desk::on(cloud.another_account());
                let undisturbed = &undisturbed;
                scope.spawn(move || undisturbed.is_what_comes_of(&desk, place, when));
            }
        }
    });
}

/// A sample of `make edit-trials`. The creations in doubt of the killed run have the inputs of the
/// configuration before the edit.
#[test]
fn killed_edited_and_run_again_it_ends_as_the_edited_configuration() {
    let cloud = Cloud::start();
    let reference = Desk::on(cloud.another_account());
    reference.write_config("Optional", "blue");
    reference.cloud.clear_requests();
    reference.expect(0, &["apply", "--auto-approve"]);
    let (calls, edited) = (reference.cloud.mutating_calls(), comparable(&reference));
    // Most creations of machines are among the last calls.
    let places = [1, calls / 3, calls / 2, calls - 9, calls - 5, calls - 2];
    std::thread::scope(|scope| {
        for (index, place) in places.into_iter().enumerate() {
            let desk = Desk::on(cloud.another_account());
            let edited = &edited;
            scope.spawn(move || {
                let when = WHENS[(index + 1) % 2];
                let story = format!("killed {when} call {place} of {calls}");
                desk.write_config("Required", "red");
                desk.kill(&["apply", "--auto-approve"], place, when);
                desk.write_config("Optional", "blue");
                desk.expect(0, &["apply", "--auto-approve"]);
                assert_eq!(comparable(&desk), *edited, "{story}");
                desk.expect(0, &["plan", "--detailed-exitcode"]);
            });
        }
    });
}

/// The removal is recorded before its first deletion, so a plain apply finishes it, too, and no plan
/// wants the bootstrap back.
#[test]
fn a_killed_removal_of_the_bootstrap_is_finished_by_itself_or_by_an_apply() {
    let removal = ["bootstrap", "destroy", "--auto-approve"];
    let cloud = Cloud::start();
    let reference = Desk::on(cloud.another_account());
    reference.apply();
    reference.cloud.clear_requests();
    reference.expect(0, &removal);
    let (calls, removed) = (reference.cloud.mutating_calls(), comparable(&reference));
    let trials = [(1, "before"), (calls / 2, "after"), (calls / 2, "before"), (calls, "after")];
    std::thread::scope(|scope| {
        for (index, (place, when)) in trials.into_iter().enumerate() {
            let desk = Desk::on(cloud.another_account());
            let removed = &removed;
            scope.spawn(move || {
                let story = format!("killed {when} call {place} of {calls}");
                desk.apply();
                desk.kill(&removal, place, when);
                let planned = desk.expect(2, &["plan", "--detailed-exitcode"]).out;
                assert!(planned.contains("  bootstrap removal requested on 20"), "{planned}");
                assert!(!planned.contains("instance.bootstrap  new"), "{story}: {planned}");
                let again = if index % 2 == 0 { &removal[..] } else { &["apply", removal[2]] };
                desk.expect(0, again);
                assert_eq!(comparable(&desk), *removed, "{story}");
                desk.expect(0, &["plan", "--detailed-exitcode"]);
            });
        }
    });
}

/// Results of runs without a kill.
struct Undisturbed {
    /// Inventory before the apply and after the destroy: only a foreign network.
    bare: Value,
    built: Value,
    calls_of_apply: usize,
    calls_of_destroy: usize,
}

impl Undisturbed {
    fn measured_on(desk: &Desk) -> Self {
        plant_a_stranger(desk);
        let bare = desk.cloud.inventory();
        let calls_of = |command: &str| {
            desk.cloud.clear_requests();
            desk.expect(0, &[command, "--auto-approve"]);
            desk.cloud.mutating_calls()
        };
        let calls_of_apply = calls_of("apply");
        let built = comparable(desk);
        let calls_of_destroy = calls_of("destroy");
        assert_eq!(desk.cloud.inventory(), bare);
        Self { bare, built, calls_of_apply, calls_of_destroy }
    }

    /// Kills an apply and then a destroy at the same fraction of their calls, and repeats each.
    fn is_what_comes_of(&self, desk: &Desk, place: usize, when: &str) {
        plant_a_stranger(desk);
        let told = |command: &str, calls: usize| {
            let call = 1 + place * (calls - 1) / (PLACES - 1);
            desk.kill(&[command, "--auto-approve"], call, when);
            desk.expect(0, &[command, "--auto-approve"]);
            format!("{command} killed {when} call {call} of {calls}, and run again")
        };
        let story = told("apply", self.calls_of_apply);
        assert_eq!(comparable(desk), self.built, "{story}");
        desk.expect(0, &["plan", "--detailed-exitcode"]);
        let story = told("destroy", self.calls_of_destroy);
        assert_eq!(desk.cloud.inventory(), self.bare, "{story}");
    }
}

impl Desk {
    /// Starts the program and kills it at its `call`-th mutating call.
    pub(super) fn kill(&self, arguments: &[&str], call: usize, when: &str) -> Output {
        let program = self.command(arguments);
        // The shell waits until the cloud has its process ID, and then becomes the program.
        let mut gate = Command::new("/bin/sh");
        gate.args(["-c", r#"read -r _ && exec "$0" "$@" </dev/null"#]);
        gate.arg(program.get_program()).args(program.get_args());
        gate.current_dir(self.folder.path()).env_clear();
        gate.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        gate.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = gate.spawn().expect("a shell");
        self.cloud.kill_at(child.id(), call, when);
        let opened = child.stdin.take().expect("BUG: stdin is piped").write_all(b"go\n");
        opened.expect("the shell listens");
        let output = child.wait_with_output().expect("waited for");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(9), "{arguments:?} ended by itself: {said}");
        // What it has sent besides arrives before anything is run again.
        self.cloud.settle("");
        output
    }
}

fn plant_a_stranger(desk: &Desk) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let made = runtime.block_on(desk.ec2().create_vpc().cidr_block("10.0.0.0/16").send());
    made.expect("a stranger's VPC");
}

/// Returns the inventory without the parts that differ between runs: infra ID, account, creation
/// tokens, and the presigned URL in the user data.
pub(super) fn comparable(desk: &Desk) -> Value {
    let shown = desk.expect(0, &["show", "--json"]);
    let state: Value = serde_json::from_str(&shown.out).expect("one document");
    let infra_id = state["cluster"]["infra_id"].as_str().expect("an infra ID");
    let text = desk.cloud.inventory().to_string();
    let text = text.replace(infra_id, "INFRA").replace(desk.cloud.account(), "ACCOUNT");
    let mut inventory = serde_json::from_str(&text).expect("still one document");
    level(&mut inventory);
    inventory
}

fn level(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match name.as_str() {
                    "groundplan.io/token" | "user_data" if !field.is_null() => {
                        *field = "some".into();
                    }
                    _ => level(field),
                }
            }
        }
        Value::Array(rows) => {
            rows.iter_mut().for_each(level);
            rows.sort_by_key(Value::to_string);
        }
        _ => {}
    }
}
