//! Hints for what the engine rejects: the commands that help. The engine itself knows no commands.

use groundplan_engine::event::{Event, FaultKind, Operation};
use groundplan_engine::plan::guard::Violation;
use groundplan_engine::state::Cluster;
use groundplan_engine::state::lock::{LockError, UNNAMED, UnlockError};

/// Returns the remedy for a lock that could not be taken.
pub fn of_lock(error: &LockError) -> Option<String> {
    match error {
        LockError::Held(holder) if holder.is_alive() == Some(true) => Some(format!(
            "wait for that run (--lock-timeout 5m), or end it with `kill {}`, which saves its \
             work and releases the lock",
            holder.pid
        )),
        LockError::Held(holder) => Some(format!(
            "wait for that run (--lock-timeout 5m), or end process {} on {}, which releases the \
             lock; if that host cannot be reached: groundplan unlock {}",
            holder.pid, holder.host, holder.id
        )),
        LockError::HeldUnnamed(_) => Some(format!(
            "wait for that run (--lock-timeout 5m); if its host cannot be reached: groundplan \
             unlock {UNNAMED}"
        )),
        LockError::Backend(error) => error.hint(),
    }
}

/// Returns the remedy for a lock that could not be force-unlocked.
pub fn of_break(error: &UnlockError) -> Option<String> {
    match error {
        UnlockError::Another { holder: Some(holder), .. } if holder.is_alive() == Some(true) => {
            of_lock(&LockError::Held(holder.clone()))
        }
        UnlockError::Another { holder, .. } => {
            let id = holder.as_ref().map_or(UNNAMED, |holder| &holder.id);
            Some(format!("to force-release that lock: groundplan unlock {id}"))
        }
        UnlockError::Alive(holder) => Some(format!(
            "end the process with `kill {}` instead, which saves its work and releases the lock",
            holder.pid
        )),
        UnlockError::Backend(error) => error.hint(),
    }
}

/// Returns the remedy for a rejected plan of this cluster.
pub(super) fn of_violation(violation: &Violation, cluster: Option<&Cluster>) -> String {
    match violation {
        Violation::Protected { operation, addresses } => {
            let address = &addresses[0];
            let spared = match operation {
                Operation::Apply => "to leave the resource unchanged",
                Operation::Destroy => "to keep the resource and its dependencies",
            };
            let unprotect = unprotect(address.as_str(), cluster);
            format!("pass `--exclude {address}` {spared}, or {unprotect}")
        }
        Violation::TooMany { .. } => {
            "review the plan; if it is intended, pass a higher --max-destroy".into()
        }
        Violation::Unexpected { .. } => {
            "review the plan; if it is intended, pass its numbers with --expect".into()
        }
    }
}

/// Adds the remedy to the failure of a step that is protected. Other events stay as they are.
pub fn in_event(event: &mut Event, cluster: Option<&Cluster>) {
    if let Event::StepFailed { step, error, .. } = event
        && error.kind == FaultKind::Protected
    {
        error.hint = Some(unprotect(step.address.as_str(), cluster));
    }
}

/// Returns the flag that a command needs to find the state of this cluster, with a space before it.
/// Empty if the install-config names the cluster.
pub fn cluster_flag(cluster: &Cluster) -> String {
    if cluster.is_of_machines() { format!(" --cluster {}", cluster.name) } else { String::new() }
}

fn unprotect(address: &str, cluster: Option<&Cluster>) -> String {
    let flag = cluster.map(cluster_flag).unwrap_or_default();
    format!("allow the change with `groundplan unprotect{flag} {address}`")
}

#[cfg(test)]
mod tests {
    use groundplan_engine::state::lock::LockHolder;

    use super::*;

    fn elsewhere() -> Box<LockHolder> {
        let boot = Some("another boot".to_owned());
        Box::new(LockHolder {
            host: "far-away".to_owned(),
            boot,
            ..LockHolder::this_process("apply")
        })
    }

    #[test]
    fn a_holder_that_runs_here_can_be_ended() {
        let pid = std::process::id().to_string();
        let holder = Box::new(LockHolder::this_process("apply"));
        assert!(of_lock(&LockError::Held(holder.clone())).unwrap().contains(&pid));
        assert!(of_break(&UnlockError::Alive(holder)).unwrap().contains(&pid));
    }

    #[test]
    fn a_holder_out_of_reach_is_unlocked_by_its_id() {
        let holder = elsewhere();
        let command = format!("groundplan unlock {}", holder.id);
        assert!(of_lock(&LockError::Held(holder.clone())).unwrap().ends_with(&command));
        let another = UnlockError::Another { given: "7b0c".into(), holder: Some(holder) };
        assert!(of_break(&another).unwrap().ends_with(&command));
        let here = Some(Box::new(LockHolder::this_process("apply")));
        let another = UnlockError::Another { given: "7b0c".into(), holder: here };
        assert!(of_break(&another).unwrap().contains("end it with `kill "), "it still runs");
    }

    #[test]
    fn a_holder_without_a_name_is_unlocked_as_unnamed() {
        let another = UnlockError::Another { given: "7b0c".into(), holder: None };
        assert!(of_break(&another).unwrap().ends_with("groundplan unlock unnamed"));
        let unnamed = LockError::HeldUnnamed("lock".into());
        assert!(of_lock(&unnamed).unwrap().ends_with("groundplan unlock unnamed"));
    }

    #[test]
    fn a_protected_step_of_manifests_names_their_cluster() {
        let cluster = |cluster_id: &str| Cluster {
            name: "demo-machines".into(),
            infra_id: "demo-abcde".into(),
            cluster_id: cluster_id.into(),
            region: "us-west-2".into(),
        };
        let hint = |cluster| unprotect("machine.a", Some(&cluster));
        let of_machines = "allow the change with `groundplan unprotect --cluster demo-machines \
             machine.a`";
        assert_eq!(hint(cluster("")), of_machines);
        assert_eq!(
            hint(cluster("c0ffee")),
            "allow the change with `groundplan unprotect \
             machine.a`"
        );
    }
}
