//! Commands on states: locks, contents, and state backends.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::Desk;
use super::trouble::{end, signal, stop};

/// Starts an apply whose RunInstances calls get no response until the test releases them.
fn applying(desk: &Desk, wrapper: &[&str]) -> Child {
    desk.cloud.hold(&["RunInstances"]);
    let plain = desk.command(&["apply", "--auto-approve"]);
    let mut command = Command::new(wrapper.first().copied().unwrap_or("env"));
    command.args(wrapper.get(1..).unwrap_or_default()).arg(plain.get_program());
    command.args(plain.get_args()).current_dir(desk.folder.path());
    command.env_clear().env("PATH", "/usr/bin:/bin").envs(desk.cloud.environment());
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the program starts");
    desk.cloud.wait_for_held(1);
    child
}

#[test]
fn the_clusters_of_a_location_are_listed_with_locks_and_damages() {
    let desk = Desk::new();
    fs::write(desk.path("groundplan.toml"), "state = \"states\"\nparallelism = 8\n").unwrap();
    let empty = desk.expect(0, &["clusters"]);
    assert!(empty.out.is_empty() && empty.err.contains("states has no clusters"), "{}", empty.err);
    let shown = desk.expect(0, &["config", "show"]);
    let lines: Vec<_> = shown.out.lines().map(|line| line.split_whitespace().collect()).collect();
    let expected: [&[&str]; 2] =
        [&["state", "states", "groundplan.toml:1"], &["parallelism", "8", "groundplan.toml:2"]];
    for line in expected {
        assert!(lines.contains(&line.to_vec()), "{}", shown.out);
    }

    let mut child = applying(&desk, &[]);
    fs::create_dir_all(desk.path("states/notes")).unwrap();
    let listed = desk.expect(0, &["clusters"]);
    let line = listed.out.lines().nth(1).unwrap();
    assert!(line.starts_with("demo ") && line.ends_with(" for apply"), "{}", listed.out);
    let _printed = stop(&mut child, "-TERM");
    desk.cloud.release();
    assert_eq!(end(&mut child), Some(6));

    // As the script of bash asks for completions.
    let complete = |words: &[&str]| {
        let line = [&["--", "groundplan"], words].concat();
        let index = words.len().to_string();
        let mut command = desk.command(&line);
        let asked = [("GROUNDPLAN_COMPLETE", "bash"), ("_CLAP_IFS", "\n")];
        command.envs(asked).env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_COMPLETE_COMP_TYPE", "9");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert_eq!(complete(&["state", "show", "vpc."]).trim(), "vpc.main");
    assert_eq!(complete(&["state", "list", "--cluster", ""]).trim(), "demo");
    assert_eq!(complete(&["plan", "--cluster", "other", "--target", "vpc."]).trim(), "");

    fs::create_dir(desk.path("states/broken")).unwrap();
    fs::write(desk.path("states/broken/state.json"), "{").unwrap();
    let listed = desk.expect(1, &["clusters", "--json"]);
    let one: serde_json::Value = serde_json::from_str(listed.out.lines().nth(1).unwrap()).unwrap();
    assert_eq!((&one["name"], &one["lock"]), (&json!("demo"), &json!(null)), "{one}");
    assert!(one["resources"].as_u64().unwrap() > 10, "{one}");
    assert!(listed.out.contains("states/broken"), "{}", listed.out);
    desk.cloud.settle("");
    desk.expect(0, &["destroy", "--auto-approve"]);
}

#[test]
fn a_terminal_that_goes_away_stops_a_run_unless_it_was_started_to_stay() {
    let desk = Desk::new();
    let mut child = applying(&desk, &[]);
    let _printed = stop(&mut child, "-HUP");
    desk.cloud.release();
    assert_eq!(end(&mut child), Some(6));
    desk.cloud.settle("");
    desk.cloud.clear_requests();
    let destroyed = desk.expect(0, &["destroy", "--auto-approve"]);
    assert!(destroyed.out.contains("Destroy complete!"), "{}", destroyed.out);

    desk.cloud.clear_requests();
    let child = applying(&desk, &["nohup"]);
    signal(&child, "-HUP");
    desk.cloud.release();
    assert_eq!(child.wait_with_output().expect("it ends").status.code(), Some(0));
}

#[test]
fn a_lock_is_taken_away_only_from_the_run_that_is_named_and_cannot_be_ended() {
    let desk = Desk::new();
    desk.expect(0, &["plan"]);
    let guard = groundplan_engine::state::lock::acquire(&desk.path("state/demo"), "apply").unwrap();
    let id = guard.holder().id.clone();
    let refused = desk.expect(4, &["apply", "--auto-approve", "--lock-timeout", "1s"]);
    assert!(refused.err.contains("waiting up to 1s for the lock"), "{}", refused.err);
    assert_eq!(refused.err.matches("waiting up to").count(), 1, "{}", refused.err);
    assert!(refused.err.contains(&id), "{}", refused.err);

    let wrong = desk.expect(7, &["unlock", "another", "--force"]);
    // A run that lives is not proposed for an unlock.
    assert!(wrong.err.contains(&id), "{}", wrong.err);
    assert!(wrong.err.contains(&format!("`kill {}`", std::process::id())), "{}", wrong.err);
    assert!(!wrong.err.contains("groundplan unlock"), "{}", wrong.err);
    let alive = desk.expect(7, &["unlock", &id]);
    let ended = format!("end the process with `kill {}` instead", std::process::id());
    assert!(alive.err.contains(&ended), "{}", alive.err);
    guard.fence().pass().unwrap();

    let taken = desk.expect(0, &["unlock", &id, "--force", "--cluster", "demo"]);
    assert!(taken.out.starts_with("The lock of state/demo is released."), "{}", taken.out);
    assert!(guard.fence().pass().is_err());
    desk.expect(0, &["plan"]);
    let nobody = desk.expect(7, &["unlock", &id]);
    let expected =
        "error[unlock-refused]: the state state/demo is not locked; nothing was changed\n";
    assert!(nobody.err.starts_with(expected), "{}", nobody.err);
}

/// Returns a desk with a state of an older format for a cluster called prod. The state has two
/// resources, and no command in these tests calls AWS.
fn with_an_older_state() -> Desk {
    let desk = Desk::new();
    let left = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/crates/engine/src/state/migrate/fixtures/v1/both/before"
    );
    fs::create_dir_all(desk.path("state/prod")).expect("a folder");
    for name in ["state.json", "journal"] {
        let text = fs::read(format!("{left}/{name}")).expect("a fixture");
        fs::write(desk.path("state/prod").join(name), text).expect("written");
    }
    desk
}

/// Runs `groundplan state <arguments> --cluster prod`.
fn state(desk: &Desk, code: i32, arguments: &[&str]) -> super::Ran {
    let ran = desk.expect(code, &[&["state"], arguments, &["--cluster", "prod"]].concat());
    assert!(desk.cloud.requests().is_empty(), "no AWS calls");
    ran
}

const BOTH: &str = "instance.master-0\nvpc.main\n";

#[test]
fn an_older_state_is_looked_at_as_it_is_and_made_ours_once_with_a_word_about_it() {
    let desk = with_an_older_state();
    let listed = state(&desk, 0, &["list"]);
    assert_eq!((&*listed.out, &*listed.err), (BOTH, ""));
    assert_eq!(state(&desk, 0, &["list", "inst*"]).out, "instance.master-0\n");
    let shown = state(&desk, 0, &["show", "instance.master-0"]).out;
    assert!(shown.contains("\n  generation  2\n  id          i-02\n"), "{shown}");
    assert!(!desk.path("state/prod/state.json.v1.backup").exists(), "nothing was recorded yet");

    let moved = state(&desk, 0, &["mv", "vpc.main", "vpc.network"]);
    assert_eq!(moved.out, "vpc.main is now vpc.network.\n");
    let word = "warning[state-converted]: the state is converted from format 1.0 to 4.3";
    assert!(moved.err.starts_with(word), "{}", moved.err);
    assert!(desk.path("state/prod/state.json.v1.backup").exists());
    assert!(desk.path("state/prod/journal.v1.backup").exists());
    assert_eq!(state(&desk, 0, &["mv", "vpc.network", "vpc.main"]).err, "");
    assert_eq!(state(&desk, 0, &["list"]).out, BOTH);

    let history = state(&desk, 0, &["history", "--json"]).lines();
    let runs: Vec<_> = history.iter().filter(|line| line["type"] == "run").collect();
    assert_eq!(runs.len(), 2);
    assert_eq!((&runs[1]["operation"], &runs[1]["records"]), (&json!("state mv"), &json!(2)));
}

#[test]
fn what_cannot_be_moved_or_forgotten_leaves_everything_as_it_is() {
    let desk = with_an_older_state();
    let kind = state(&desk, 1, &["mv", "vpc.main", "subnet.main"]);
    assert!(kind.err.contains("the kind would change"), "{}", kind.err);
    assert!(state(&desk, 1, &["mv", "vpc.main", "vpc."]).err.contains("vpc.NAME"));
    let some = state(&desk, 64, &["rm", "vpc.main", "vpc.other", "--auto-approve"]);
    assert!(some.err.contains("no record of vpc.other\n"), "{}", some.err);
    assert!(state(&desk, 7, &["rm", "vpc.main"]).err.contains("--auto-approve"));
    assert!(state(&desk, 64, &["show", "vpc.other"]).err.contains("state list"));
    let meant = state(&desk, 64, &["mv", "main", "vpc.new"]);
    assert!(meant.err.contains("did you mean `vpc.main`"), "{}", meant.err);
    assert_eq!(state(&desk, 0, &["list"]).out, BOTH);
    assert!(!desk.path("state/prod/state.json.v1.backup").exists(), "nothing was recorded");
}

#[test]
fn what_is_forgotten_stays_in_aws_and_that_is_said() {
    let desk = with_an_older_state();
    let forgotten = state(&desk, 0, &["rm", "instance.master-0", "vpc.main", "--auto-approve"]);
    let said = "instance.master-0 (i-02) stays in AWS and is no longer managed\n";
    assert!(forgotten.err.contains(said), "{}", forgotten.err);
    assert_eq!(state(&desk, 0, &["list"]).out, "");
}

#[test]
fn a_state_is_pulled_and_pushed_where_it_fits() {
    let desk = with_an_older_state();
    let pulled = state(&desk, 0, &["pull"]).out;
    fs::write(desk.path("pulled.json"), &pulled).unwrap();
    fs::write(desk.path("tampered.json"), pulled.replace("i-02", "i-03")).unwrap();
    let tampered = state(&desk, 1, &["push", "tampered.json"]);
    assert!(tampered.err.contains("the checksum does not match the content"), "{}", tampered.err);
    let other = desk.expect(7, &["state", "push", "pulled.json", "--cluster", "demo"]);
    assert!(
        other.err.contains("the state belongs to the cluster `prod`, not to `demo`"),
        "{}",
        other.err
    );
    assert!(!desk.path("state/demo").exists());

    state(&desk, 0, &["mv", "vpc.main", "vpc.network"]);
    let older = state(&desk, 7, &["push", "pulled.json"]);
    assert!(older.err.contains("the pushed state is older than the recorded one"), "{}", older.err);
    assert_eq!(state(&desk, 0, &["list", "vpc"]).out, "vpc.network\n");
    state(&desk, 0, &["push", "pulled.json", "--force"]);
    assert_eq!(state(&desk, 0, &["list", "vpc"]).out, "vpc.main\n");

    let mut child =
        desk.command(&["state", "push", "-", "--cluster", "prod", "--state", "elsewhere"]);
    let mut child = child.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(pulled.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(state(&desk, 0, &["list", "--state", "elsewhere"]).out, BOTH);
    let history = state(&desk, 0, &["history", "--state", "elsewhere"]).out;
    assert!(
        history.starts_with("1  ") && history.contains("  state push  1 record  "),
        "{history}"
    );
}

#[test]
fn a_state_moves_to_another_home_and_back_and_is_gone_on_with_in_one_place_alone() {
    let desk = with_an_older_state();
    let before = state(&desk, 0, &["pull"]).out;
    let there = desk.path("there").display().to_string();
    let moved = state(&desk, 0, &["migrate", "--to", "there"]);
    assert!(moved.out.contains(&format!("--state {there}")), "{}", moved.out);
    assert_eq!(state(&desk, 0, &["pull", "--state", "there"]).out, before);
    for command in [&["list"][..], &["mv", "vpc.main", "vpc.network"]] {
        let gone = state(&desk, 1, command);
        assert!(gone.err.contains(&format!("the state was moved to {there}\n")), "{}", gone.err);
    }

    state(&desk, 0, &["mv", "vpc.main", "vpc.network", "--state", "there"]);
    state(&desk, 0, &["migrate", "--to", "there"]); // repeated, as after a crash: no change
    assert_eq!(state(&desk, 0, &["list", "vpc", "--state", "there"]).out, "vpc.network\n");
    let third = state(&desk, 1, &["migrate", "--to", "a-third"]);
    assert!(third.err.contains("the state was moved to"), "{}", third.err);

    state(&desk, 0, &["migrate", "--state", "there", "--to", "state"]);
    assert_eq!(state(&desk, 0, &["list", "vpc"]).out, "vpc.network\n");
    state(&desk, 1, &["list", "--state", "there"]);
    assert!(state(&desk, 7, &["migrate", "--to", "./state"]).err.contains(
        "the state is already in \
         this location"
    ));
}

#[test]
fn a_move_that_was_cut_off_anywhere_ends_the_same() {
    let desk = with_an_older_state();
    state(&desk, 0, &["migrate", "--to", "there"]);
    let pulled = state(&desk, 0, &["pull", "--state", "there"]).out;
    let mark = desk.path("state/prod/moved-to");
    let marked = fs::read(&mark).unwrap();

    fs::remove_file(&mark).unwrap(); // copied, and the old location is not marked yet
    state(&desk, 0, &["migrate", "--to", "there"]);
    assert_eq!(fs::read(&mark).unwrap(), marked);

    // For the migration back, both locations have the `moved-to` mark.
    state(&desk, 0, &["migrate", "--state", "there", "--to", "state"]);
    fs::write(&mark, marked).unwrap();
    state(&desk, 1, &["list"]);
    state(&desk, 1, &["list", "--state", "there"]);
    state(&desk, 0, &["migrate", "--state", "there", "--to", "state"]);
    assert_eq!(state(&desk, 0, &["pull"]).out, pulled);
    state(&desk, 1, &["list", "--state", "there"]);
}

#[test]
fn a_move_overwrites_nothing_that_it_has_not_copied() {
    let desk = with_an_older_state();
    let pulled = state(&desk, 0, &["pull"]).out;
    let foreign = pulled.replace("0d1f7c52", "11111111");
    let (_, foreign) = foreign.split_once('\n').unwrap();
    fs::write(desk.path("foreign.json"), format!("{{\n{foreign}")).unwrap();
    state(&desk, 0, &["push", "foreign.json", "--state", "there"]);
    let refused = state(&desk, 7, &["migrate", "--to", "there"]);
    assert!(refused.err.contains("another state with this name"), "{}", refused.err);
    assert_eq!(state(&desk, 0, &["list"]).out, BOTH);
}

#[test]
fn a_home_whose_cluster_was_destroyed_gives_way_to_a_state_that_has_something() {
    let desk = Desk::new();
    for state in ["former", "former-too"] {
        let part = ["apply", "--auto-approve", "--state", state, "--target", "dhcp_options.main"];
        desk.expect(0, &part);
        desk.expect(0, &["destroy", "--auto-approve", "--state", state]);
    }
    desk.apply();
    let listed = desk.expect(0, &["state", "list"]).out;
    let pulled = desk.expect(0, &["state", "pull"]).out;
    fs::write(desk.path("pulled.json"), pulled).unwrap();

    desk.expect(0, &["state", "push", "pulled.json", "--state", "former"]);
    assert_eq!(desk.expect(0, &["state", "list", "--state", "former"]).out, listed);
    desk.expect(0, &["state", "migrate", "--to", "former-too"]);
    assert_eq!(desk.expect(0, &["state", "list", "--state", "former-too"]).out, listed);
    desk.expect(0, &["plan", "--state", "former-too", "--detailed-exitcode"]);
}

#[test]
fn a_state_that_may_not_be_looked_for_is_not_one_that_is_not_there() {
    let desk = with_an_older_state();
    fs::write(desk.path("closed"), "no folder").unwrap(); // stops root, too
    let ran = state(&desk, 1, &["list", "--state", "closed/states"]);
    assert!(
        ran.err.contains("error[state-unreadable]: the state location closed is a file\n"),
        "{}",
        ran.err
    );
    assert!(!ran.err.contains("nothing is recorded"), "{}", ran.err);
}

#[test]
fn what_is_named_and_is_not_there_is_an_error_and_a_pattern_without_a_match_is_none() {
    let desk = with_an_older_state();
    let named = state(&desk, 64, &["list", "vpc.other"]);
    assert!(named.err.contains("no recorded resource matches vpc.other"), "{}", named.err);
    let pattern = state(&desk, 0, &["list", "subnet.*"]);
    assert_eq!((&*pattern.out, &*pattern.err), ("", "No recorded resource matches `subnet.*`.\n"));
}

#[test]
fn names_that_are_none_are_refused_with_what_is_expected() {
    let desk = with_an_older_state();
    for name in ["vpc.a\nb", "vpc.*", "vpc.a b", "vpc"] {
        let ran = state(&desk, 1, &["mv", "vpc.main", name]);
        assert!(ran.err.contains("vpc.NAME") && !ran.err.contains("a\nb"), "{}", ran.err);
    }
    for name in ["", ".", "../x"] {
        let ran = desk.expect(64, &["state", "list", "--cluster", name]);
        assert!(ran.err.contains("pass the folder or bucket with --state"), "{}", ran.err);
    }
    fs::write(desk.path("words"), "these are no state").unwrap();
    let words = state(&desk, 1, &["push", "words"]);
    assert!(words.err.contains("not a state"), "{}", words.err);
    assert!(!words.err.contains("replace its first line"), "{}", words.err);
    assert_eq!(state(&desk, 0, &["list"]).out, BOTH);
}

#[test]
fn forgetting_what_others_need_is_said_to_have_consequences() {
    let desk = Desk::new();
    desk.apply();
    let ran = desk.expect(0, &["state", "rm", "vpc.main", "--auto-approve"]);
    assert!(
        ran.err.contains("warning[record-needed]: other recorded resources depend on vpc.main"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("subnet.private-us-west-2a"), "{}", ran.err);
}

#[test]
fn parts_of_a_forgotten_resource_are_said_and_can_be_forgotten_with_it() {
    let desk = Desk::new();
    desk.apply();
    let list = desk.expect(0, &["state", "list"]).out;
    let ran = desk.expect(0, &["state", "rm", "target_group.aint", "--auto-approve"]);
    let parts = "parts of the removed resources stay recorded\n  target.bootstrap-aint, target.master-0-aint\n";
    assert!(ran.err.contains(parts), "{}", ran.err);
    let together = "target_group.aint target.bootstrap-aint target.master-0-aint";
    assert!(ran.err.contains(&format!("`groundplan state rm {together}`")), "{}", ran.err);

    let rules = list.lines().find(|one| one.starts_with("security_group_rules.")).unwrap();
    let group = rules.replace("_rules", "");
    let ran = desk.expect(0, &["state", "rm", &group, "--auto-approve"]);
    let said = format!("parts of the removed resources stay recorded\n  {rules}\n");
    assert!(
        ran.err.contains(&said),
        "rules that only reference the group are no parts: {}",
        ran.err
    );
    let whole = ["state", "rm", "iam_role.master", "iam_role_policy.master", "--auto-approve"];
    let ran = desk.expect(0, &whole);
    assert!(!ran.err.contains("parts of the removed"), "{}", ran.err);
}

#[test]
fn a_folder_of_states_that_has_gone_is_said_to_have_gone() {
    let desk = Desk::new();
    let child = applying(&desk, &[]);
    fs::rename(desk.path("state"), desk.path("moved-away")).unwrap();
    desk.cloud.release();
    let ran = super::Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(4), "{}", ran.err);
    assert!(ran.err.contains("moved or deleted; restore it"), "{}", ran.err);
    fs::rename(desk.path("moved-away"), desk.path("state")).unwrap();
    desk.apply();
}
