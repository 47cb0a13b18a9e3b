//! Stages of an installation: a pure state machine. Observations and their times go in, stage events come
//! out. Has no clock, sends no request and prints nothing.
//!
//! - `progress`: the state machine of one wait.
//! - `status`: what an observation says of a stage.
//! - `reasons`: why a stage is late.

mod progress;
mod reasons;
mod status;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::progress::Progress;

/// State of the cluster that a wait is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// The control plane runs without the bootstrap machine.
    BootstrapComplete,
    /// All of the release is installed.
    InstallComplete,
}

impl Goal {
    /// Returns the name as in the command line.
    pub fn name(self) -> &'static str {
        match self {
            Goal::BootstrapComplete => "bootstrap-complete",
            Goal::InstallComplete => "install-complete",
        }
    }

    /// Returns the stages in order.
    pub fn stages(self) -> &'static [Stage] {
        match self {
            Goal::BootstrapComplete => &[Stage::Api, Stage::Bootstrap],
            Goal::InstallComplete => {
                &[Stage::Api, Stage::Initialization, Stage::Operators, Stage::Console]
            }
        }
    }
}

/// Stage of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The API server answers.
    Api,
    /// The control plane of the masters takes over from the bootstrap machine.
    Bootstrap,
    /// The cluster-version operator installs all of the release.
    Initialization,
    /// No operator progresses any more.
    Operators,
    /// A router serves the console.
    Console,
}

impl Stage {
    /// Returns the name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Api => "api",
            Stage::Bootstrap => "bootstrap",
            Stage::Initialization => "initialization",
            Stage::Operators => "operators",
            Stage::Console => "console",
        }
    }

    /// Returns the name for people.
    pub fn title(self) -> &'static str {
        match self {
            Stage::Api => "API server",
            Stage::Bootstrap => "bootstrap",
            Stage::Initialization => "cluster version",
            Stage::Operators => "operators",
            Stage::Console => "console",
        }
    }

    /// Returns the time after which the stage is late. openshift-install fails after 20 minutes of
    /// `Api`, 30 of `Bootstrap`, 40 of `Initialization`, 30 of `Operators` and 2 of `Console`.
    pub fn usual(self) -> Duration {
        Duration::from_secs(match self {
            Stage::Api => 15 * 60,
            Stage::Bootstrap => 20 * 60,
            Stage::Initialization => 30 * 60,
            Stage::Operators => 5 * 60,
            Stage::Console => 2 * 60,
        })
    }
}

/// Message of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageEvent {
    /// Stage.
    pub stage: Stage,
    /// Time since the beginning of the wait.
    pub at: Duration,
    /// Time since the beginning of the stage.
    pub in_stage: Duration,
    /// Kind of message.
    pub what: StageMessage,
}

/// Kind of a message of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StageMessage {
    /// The stage begins.
    Started,
    /// The stage waits for something else than before.
    Waiting(String),
    /// The user has something to do now.
    Attention {
        /// Problem on one line.
        summary: String,
        /// Command of the user.
        command: String,
    },
    /// The stage takes longer than usual.
    Late {
        /// Usual maximum.
        usual: Duration,
        /// Causes, one line each.
        reasons: Vec<String>,
    },
    /// The stage is complete.
    Finished(String),
}

/// End of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitOutcome {
    /// The goal is reached.
    Complete {
        /// URL of the console; `None` if the cluster has none or the goal needs none.
        console_url: Option<String>,
    },
    /// The goal cannot be reached.
    Failed {
        /// Stage that failed.
        stage: Stage,
        /// Cause on one line.
        why: String,
    },
}
