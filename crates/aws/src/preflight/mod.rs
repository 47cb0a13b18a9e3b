//! Checks before the first change: IAM actions of a plan, policy simulation, dry runs, quotas, and
//! settings of the account.
//!
//! Results are data. Writing messages about them is the job of the program.

#[cfg(feature = "sdk")]
pub mod account_settings;
pub mod dry_run;
pub mod iam_actions;
pub mod iam_policy;
#[cfg(feature = "sdk")]
pub mod policy_simulator;
#[cfg(feature = "sdk")]
pub mod quotas;
#[cfg(test)]
mod source_calls;
