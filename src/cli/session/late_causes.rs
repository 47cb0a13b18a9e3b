//! Causes in AWS why a new cluster is late: health of the API server's targets, and the console of the
//! bootstrap machine. Reads only, and reports a missing permission as a cause.

use std::sync::Arc;
use std::time::Duration;

use groundplan_aws::before_deletion::DENIED;
use groundplan_aws::installation::{TargetHealth, console_output, target_health};
use groundplan_aws::{Aws, Caller};
use groundplan_engine::provider::ProviderError;
use groundplan_engine::state::State;
use tokio::time::timeout;

use crate::installation::outputs::{RecordedMachine, api_target_groups, bootstrap, masters};
use crate::installation::redact::last_lines;
use crate::installation::stages::Stage;
use crate::installation::wait::CauseFinder;

/// Maximum wait for AWS.
const ANSWER: Duration = Duration::from_secs(30);
/// Number of lines of a console.
const LINES: usize = 15;

/// Causes in the AWS account of a recorded cluster.
pub(crate) struct LateCauses {
    /// The recorded cluster with its clients; `None` without a state.
    cluster: Option<(State, Arc<Aws>)>,
}

impl LateCauses {
    /// Returns the causes for a cluster with a state, or for one without.
    pub(crate) fn new(cluster: Option<(State, Arc<Aws>)>) -> Self {
        Self { cluster }
    }

    /// Returns the last lines of the bootstrap machine's console, or why there are none.
    pub(crate) async fn console(&self) -> Vec<String> {
        match &self.cluster {
            Some((state, aws)) => match connected(state, aws).await {
                Ok(()) => console(state, aws).await,
                Err(why) => vec![why],
            },
            None => vec![no_state()],
        }
    }
}

impl CauseFinder for LateCauses {
    async fn causes(&self, stage: Stage) -> Vec<String> {
        if !matches!(stage, Stage::Api | Stage::Bootstrap) {
            return Vec::new(); // the cluster itself knows more
        }
        let Some((state, aws)) = &self.cluster else { return vec![no_state()] };
        let causes = async {
            if let Err(why) = connected(state, aws).await {
                return vec![why];
            }
            let mut causes = targets(state, aws).await;
            causes.extend(console(state, aws).await);
            causes
        };
        // Slow answers of AWS must not delay the reads of the cluster.
        timeout(ANSWER, causes).await.unwrap_or_else(|_| {
            vec![format!(
                "load balancers and console are not checked: AWS does not answer within {}s",
                ANSWER.as_secs()
            )]
        })
    }
}

fn no_state() -> String {
    "without a state, load balancers and console are not checked (--cluster, --state)".to_owned()
}

/// Checks that the credentials belong to the account of the cluster.
async fn connected(state: &State, aws: &Aws) -> Result<(), String> {
    let Caller { account, .. } =
        aws.check().await.map_err(|error| not_read("load balancers and console", &error))?;
    match state.lookup_cache.account.as_deref() {
        Some(known) if known != account => Err(format!(
            "load balancers and console are not checked: the credentials belong to account \
             {account}, but the cluster is in account {known}"
        )),
        _ => Ok(()),
    }
}

async fn targets(state: &State, aws: &Aws) -> Vec<String> {
    let bootstrap = bootstrap(state);
    let machines: Vec<RecordedMachine> = bootstrap.into_iter().chain(masters(state)).collect();
    let mut causes = Vec::new();
    for (name, arn) in api_target_groups(state) {
        match target_health(aws, &arn).await {
            Ok(targets) => causes.extend(target_lines(&name, &targets, &machines)),
            Err(error) => causes.push(not_read(&format!("target group {name}"), &error)),
        }
    }
    causes
}

/// Returns one line for a target group, and one for each target that is not healthy.
fn target_lines(
    group: &str,
    targets: &[TargetHealth],
    machines: &[RecordedMachine],
) -> Vec<String> {
    let healthy = targets.iter().filter(|one| one.state == "healthy").count();
    let total = targets.len();
    let first = format!("target group {group}: {healthy} of {total} targets are healthy");
    let others = targets.iter().filter(|one| one.state != "healthy").map(|one| {
        let is_its = |machine: &&RecordedMachine| machine.private_ip.as_ref() == Some(&one.ip);
        let name = machines.iter().find(is_its).and_then(|machine| machine.name.as_deref());
        let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
        let reason = one.reason.as_ref().map(|why| format!(", {why}")).unwrap_or_default();
        format!("  {}:{}{name} is {}{reason}", one.ip, one.port, one.state)
    });
    [first].into_iter().chain(others).collect()
}

async fn console(state: &State, aws: &Aws) -> Vec<String> {
    let Some(id) = bootstrap(state).and_then(|machine| machine.id) else {
        return vec!["the cluster has no bootstrap machine".to_owned()];
    };
    match console_output(aws, &id).await {
        Ok(Some(text)) => {
            let lines = last_lines(&text, LINES).into_iter().map(|line| format!("  {line}"));
            [format!("console of the bootstrap machine {id}:")].into_iter().chain(lines).collect()
        }
        Ok(None) => vec![format!("the bootstrap machine {id} has no console output yet")],
        Err(error) => vec![not_read("console of the bootstrap machine", &error)],
    }
}

fn not_read(subject: &str, error: &ProviderError) -> String {
    match error.is(DENIED) {
        true => format!("{subject}: not checked, because {} is not allowed", error.call),
        false => {
            format!("{subject}: not checked, because {} failed: {}", error.call, error.message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(ip: &str, state: &str, reason: Option<&str>) -> TargetHealth {
        TargetHealth {
            ip: ip.to_owned(),
            port: 6443,
            state: state.to_owned(),
            reason: reason.map(str::to_owned),
        }
    }

    #[test]
    fn a_target_that_is_not_healthy_is_named_with_its_machine() {
        let machine = RecordedMachine {
            name: Some("demo-x7k2p-master-0".to_owned()),
            private_ip: Some("10.0.0.1".to_owned()),
            ..RecordedMachine::default()
        };
        let targets = [
            target("10.0.0.1", "unhealthy", Some("Health checks failed")),
            target("10.0.0.2", "healthy", None),
            target("10.0.0.3", "initial", None),
        ];
        assert_eq!(
            target_lines("demo-aint", &targets, &[machine]),
            [
                "target group demo-aint: 1 of 3 targets are healthy",
                "  10.0.0.1:6443 (demo-x7k2p-master-0) is unhealthy, Health checks failed",
                "  10.0.0.3:6443 is initial",
            ]
        );
    }

    #[tokio::test]
    async fn without_a_state_that_is_said_and_later_stages_need_none() {
        let causes = LateCauses::new(None);
        assert!(causes.causes(Stage::Api).await[0].contains("--state"));
        assert!(causes.causes(Stage::Operators).await.is_empty());
    }
}
