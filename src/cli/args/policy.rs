//! Arguments of `policy`: documents for the administrators of an AWS account.

use clap::{Args, Subcommand, ValueEnum};
use groundplan_aws::model::partition::PARTITIONS;

use super::help;
use crate::cli::exit_code::Exit;

/// Print policies for the AWS account (no AWS calls).
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan policy iam --for plan",
    &[Exit::Done, Exit::Failed, Exit::Usage],
))]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct PolicyArgs {
    /// Document to print.
    #[command(subcommand)]
    pub command: PolicyCommand,
}

/// Document to print.
#[expect(missing_docs, reason = "the documentation of a variant's arguments is its help")]
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    Iam(PolicyIam),
}

/// Print the least IAM policy for a task.
///
/// The document has the actions that the task calls and no others. With --infra-id, changes of IAM
/// entities and buckets are restricted to names of that cluster. EC2, load balancing and Route 53 have
/// no names to restrict. With a --state in S3, the document includes the state's objects.
///
/// Roles of your own in the install-config (`iamRole`) or in manifests have other names: add their ARNs
/// to the statement PassRole.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan policy iam --for plan > read-only.json
groundplan policy iam --for apply --infra-id demo-x7k2p --account 123456789012
groundplan policy iam --for destroy --state s3://my-bucket/clusters",
    &[Exit::Done, Exit::Failed, Exit::Usage],
))]
pub struct PolicyIam {
    /// Task that the policy allows.
    #[arg(long = "for", value_enum, value_name = "TASK")]
    pub task: PolicyTask,
    /// Infra ID of the cluster: its name and five characters.
    #[arg(long, value_name = "INFRA-ID", value_parser = infra_id)]
    pub infra_id: Option<String>,
    /// AWS account ID for the ARNs of IAM entities. Default: all accounts.
    #[arg(long, value_name = "ID", value_parser = account)]
    pub account: Option<String>,
    /// AWS partition of the ARNs.
    #[arg(long, value_name = "PARTITION", default_value = "aws", value_parser = partition)]
    pub partition: String,
    /// ARN of a customer-managed KMS key that encrypts volumes (repeatable).
    #[arg(long, value_name = "ARN", value_parser = kms_key)]
    pub kms_key: Vec<String>,
    /// ARN of the role for a hosted zone of another account (`hostedZoneRole`).
    #[arg(long, value_name = "ARN", value_parser = role)]
    pub hosted_zone_role: Option<String>,
}

/// Task that a policy allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PolicyTask {
    /// Plans and drift checks, also `plan --destroy`; reads only
    Plan,
    /// Plans, preflight and applies of a cluster
    Apply,
    /// Destroy of a cluster, with everything that it created
    Destroy,
    /// `groundplan machines`: plan, apply and destroy
    Machines,
    /// `groundplan machine-controller`
    Controller,
    /// `groundplan wait-for` with explanations from AWS; reads only
    Wait,
    /// `groundplan imds audit`; reads only
    Audit,
    /// `groundplan termination-handler`, which needs no policy
    Handler,
}

fn checked(given: &str, is_valid: bool, expected: &str) -> Result<String, String> {
    if is_valid { Ok(given.to_owned()) } else { Err(format!("expected {expected}")) }
}

fn infra_id(given: &str) -> Result<String, String> {
    let is_valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let named = !given.is_empty() && given.chars().all(is_valid);
    checked(given, named, "an infra ID, such as demo-x7k2p")
}

fn account(given: &str) -> Result<String, String> {
    let digits = given.len() == 12 && given.chars().all(|c| c.is_ascii_digit());
    checked(given, digits, "12 digits")
}

fn partition(given: &str) -> Result<String, String> {
    let names: Vec<&str> = PARTITIONS.iter().map(|one| one.name).collect();
    let expected = format!("a partition of AWS: {}", names.join(", "));
    checked(given, names.contains(&given), &expected)
}

fn role(given: &str) -> Result<String, String> {
    let is_role = given.starts_with("arn:") && given.contains(":iam::") && given.contains(":role/");
    checked(given, is_role, "the ARN of a role, such as arn:aws:iam::ACCOUNT:role/NAME")
}

fn kms_key(given: &str) -> Result<String, String> {
    let is_key = given.starts_with("arn:") && given.contains(":kms:") && given.contains(":key/");
    checked(given, is_key, "the ARN of a KMS key, such as arn:aws:kms:REGION:ACCOUNT:key/ID")
}
