//! States as people handle them: who holds one, what is in it, where it lives.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::json;

use super::Desk;

/// Longer than anything here takes, so that a test that hangs ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// An apply that waits for its machines, which take so long to be made.
fn applying(desk: &Desk, seconds: f64, wrapper: &[&str]) -> Child {
    desk.cloud.latency(&json!({"RunInstances": seconds}));
    let plain = desk.command(&["apply", "--auto-approve"]);
    let mut command = Command::new(wrapper.first().copied().unwrap_or("env"));
    command.args(wrapper.get(1..).unwrap_or_default()).arg(plain.get_program());
    command.args(plain.get_args()).current_dir(desk.folder.path());
    command.env_clear().env("PATH", "/usr/bin:/bin").envs(desk.cloud.environment());
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().expect("the program starts");
    let deadline = Instant::now() + PATIENCE;
    while desk.cloud.calls("RunInstances") == 0 {
        assert!(Instant::now() < deadline, "no machine was asked for");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

fn hang_up(child: Child) -> Option<i32> {
    let sent = Command::new("kill").args(["-HUP", &child.id().to_string()]).status();
    assert!(sent.expect("kill").success());
    child.wait_with_output().expect("it ends").status.code()
}

#[test]
fn a_terminal_that_goes_away_stops_a_run_unless_it_was_started_to_stay() {
    let desk = Desk::new();
    assert_eq!(hang_up(applying(&desk, 1.0, &[])), Some(6));
    desk.cloud.clear_requests();
    let destroyed = desk.expect(0, &["destroy", "--auto-approve"]);
    assert!(destroyed.out.contains("Destroy complete!"), "{}", destroyed.out);

    desk.cloud.clear_requests();
    assert_eq!(hang_up(applying(&desk, 1.0, &["nohup"])), Some(0));
}

#[test]
fn a_lock_is_taken_away_only_from_the_run_that_is_named_and_cannot_be_ended() {
    let desk = Desk::new();
    desk.expect(0, &["plan"]);
    let guard = groundplan::state::lock::acquire(&desk.path("state/demo"), "apply").unwrap();
    let id = guard.holder().id.clone();
    let refused = desk.expect(4, &["plan", "--lock-timeout", "1s"]);
    assert!(refused.err.contains("waiting up to 1s for the lock"), "{}", refused.err);
    assert_eq!(refused.err.matches("waiting up to").count(), 1, "{}", refused.err);
    assert!(refused.err.contains(&id), "{}", refused.err);

    let wrong = desk.expect(7, &["unlock", "another", "--force"]);
    assert!(wrong.err.contains(&format!("groundplan unlock {id}")), "{}", wrong.err);
    let alive = desk.expect(7, &["unlock", &id]);
    let ended = format!("end process {} instead", std::process::id());
    assert!(alive.err.contains(&ended), "{}", alive.err);
    guard.fence().pass().unwrap();

    let taken = desk.expect(0, &["unlock", &id, "--force", "--cluster", "demo"]);
    assert!(taken.out.starts_with("The lock of state/demo is free."), "{}", taken.out);
    assert!(guard.fence().pass().is_err());
    desk.expect(0, &["plan"]);
    let nobody = desk.expect(0, &["unlock", &id]);
    assert_eq!(nobody.out, "Nobody holds the lock of state/demo.\n");
}
