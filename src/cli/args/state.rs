//! The arguments of what is about the state: looked at, changed by hand, protected, found again, unlocked.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Of, READING, WRITING, Wanted, codes};
use crate::cli::exit::Exit;
use crate::state::location::Place;

/// Looks at what is recorded of a cluster, and changes that alone: nothing here touches AWS.
///
/// Who knows `terraform state` knows most of it. What changes a state takes its lock, and says in
/// the state who did it.
///
/// Examples:
///   groundplan state list
///   groundplan state show instance.master-0
///   groundplan state history --cluster demo
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(WRITING))]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct State {
    /// What to do.
    #[command(subcommand)]
    pub command: StateCommand,
}

/// What to do with a state.
#[expect(missing_docs, reason = "what is said of a variant's arguments is its help")]
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    List(StateList),
    Show(StateShow),
    History(StateHistory),
    Mv(StateMv),
    Rm(StateRm),
    Pull(StatePull),
    Push(StatePush),
    Migrate(StateMigrate),
}

/// Lists the addresses of what is recorded, one a line.
///
/// What a replacement has superseded and nobody has deleted yet is marked. With --json each line is
/// an object with the address, the status and the id. A name that nothing has is an error; a
/// pattern with `*` that nothing fits is not.
///
/// Examples:
///   groundplan state list
///   groundplan state list instance          # all of a kind
///   groundplan state list 'subnet.private-*'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(READING))]
pub struct StateList {
    /// A kind, an address, or either with `*` for whatever is there.
    #[arg(value_name = "PATTERN")]
    pub pattern: Option<String>,
    /// Which cluster.
    #[command(flatten)]
    pub of: Of,
}

/// Shows everything that is recorded of one resource.
///
/// Its status, its id, what it was made with, what AWS answered, and what it refers to. Secrets are
/// digests.
///
/// Example:
///   groundplan state show instance.master-0
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(READING))]
pub struct StateShow {
    /// Which one.
    #[arg(value_name = "ADDRESS")]
    pub address: String,
    /// Which cluster.
    #[command(flatten)]
    pub of: Of,
}

/// Lists the last runs that recorded something: when, who, what, and how many records.
///
/// The newest is last. Of more than a hundred the oldest are forgotten.
///
/// Example:
///   groundplan state history
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(READING))]
pub struct StateHistory {
    /// Which cluster.
    #[command(flatten)]
    pub of: Of,
}

/// Gives a resource another address, within its kind.
///
/// For a resource that has another name in the install-config now and is to stay what it is. What
/// others refer to goes with it; in AWS nothing changes.
///
/// Example:
///   groundplan state mv subnet.private-a subnet.private-us-west-2a
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(WRITING))]
pub struct StateMv {
    /// The address it has.
    #[arg(value_name = "FROM")]
    pub from: String,
    /// The address it gets.
    #[arg(value_name = "TO")]
    pub to: String,
    /// Which cluster.
    #[command(flatten)]
    pub of: Of,
}

/// Forgets resources, all that are named or none. They stay in AWS, and nobody deletes them.
///
/// Says what stays, and asks; only `yes` goes ahead. What the install-config asks for is made anew
/// by the next apply.
///
/// Example:
///   groundplan state rm s3_object.bootstrap s3_bucket.bootstrap
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(WRITING))]
pub struct StateRm {
    /// Which ones, with whatever they have superseded.
    #[arg(value_name = "ADDRESS", required = true)]
    pub addresses: Vec<String>,
    /// Which cluster.
    #[command(flatten)]
    pub of: Of,
}

/// Writes the state to standard output, sealed as it is in its home. It holds no secret.
///
/// Example:
///   groundplan state pull > backup.json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(READING))]
pub struct StatePull {
    /// Which cluster.
    #[command(flatten)]
    pub of: Of,
}

/// Puts a state in the place of the recorded one, which is kept as a backup.
///
/// It must be a state of the same cluster and the same lineage, and no older than what is recorded;
/// an empty home takes any state of the cluster. A checksum that does not fit is refused: a file
/// that was changed by hand and is meant as it is has `{` for its first line. Saved plans are stale
/// afterwards.
///
/// Examples:
///   groundplan state push backup.json
///   groundplan state pull --state elsewhere | groundplan state push -
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(WRITING))]
pub struct StatePush {
    /// The file, as `state pull` wrote it; `-` for standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Even if it is older than what is recorded, which is then forgotten.
    #[arg(long)]
    pub force: bool,
    /// Which cluster.
    #[command(flatten)]
    pub of: Of,
}

/// Moves the state from its home (--state) to another one.
///
/// Copies it, reads the copy back and compares, and then marks the old home, so that nobody goes on
/// there: every command says where the state is now. Cut off anywhere and run again, it ends the
/// same.
///
/// Example:
///   groundplan state migrate --state state --to /mnt/shared/states
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(WRITING))]
pub struct StateMigrate {
    /// The new home, as --state names it.
    #[arg(long, value_name = "HOME")]
    pub to: Place,
    /// Which cluster.
    #[command(flatten)]
    pub of: Of,
}

/// Keeps resources from being deleted or replaced, until `unprotect`.
///
/// The state remembers it. A plan that would end one of them shows what it would do and ends with 7;
/// what changes in place still does. Nothing is changed in AWS.
///
/// Examples:
///   groundplan protect hosted_zone.int
///   groundplan protect 'instance.master-*' --cluster demo
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(WRITING))]
pub struct Protect {
    /// Which ones: an address, a kind, or either with `*`.
    #[arg(value_name = "ADDRESS", required = true)]
    pub addresses: Vec<String>,
    /// Which cluster.
    #[command(flatten)]
    pub of: Of,
}

/// Allows resources to be deleted and replaced again.
///
/// Example:
///   groundplan unprotect hosted_zone.int
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(WRITING))]
pub struct Unprotect {
    /// Which ones: an address, a kind, or either with `*`.
    #[arg(value_name = "ADDRESS", required = true)]
    pub addresses: Vec<String>,
    /// Which cluster.
    #[command(flatten)]
    pub of: Of,
}

/// Finds the state of a cluster again that was lost: from the install-config and what AWS has.
///
/// Everything that was made carries the cluster's tag and a token, or has a name that only one can
/// have, so it is looked for, and what is found is recorded. Nothing in AWS is changed. Give the same
/// install-config and assets as ever. A cluster of which anything is recorded is refused.
///
/// Says what was not found, and what carries the cluster's tag and was not recorded. Look at
/// `groundplan plan` before anything else.
///
/// Examples:
///   groundplan recover --assets assets
///   groundplan recover --infra-id demo-x7k2p --no-bootstrap
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(WRITING))]
pub struct Recover {
    /// Which cluster of that name it is: the name with five letters or digits. By default that of the
    /// assets, or the only one there is.
    #[arg(long, value_name = "ID")]
    pub infra_id: Option<String>,
    /// What is wanted.
    #[command(flatten)]
    pub wanted: Wanted,
}

/// Takes the lock away from a run that cannot be ended.
///
/// A run that dies has let go of its lock, and one on this host can be ended: neither needs this. It
/// is for a run on a host that is out of reach, while the state is in S3 or on a file system that both
/// share. ID is what the refused command said. Should the run that had the lock live after all, it ends:
/// with a state in a folder before it records anything or calls anything that changes AWS, with one in
/// S3 within a quarter of its lease. The next run goes on where it was.
///
/// Example:
///   groundplan unlock 1f0c7a52-9d3b-4c61-8a55-3f6f3f1f2a01
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(&[Exit::Done, Exit::Failed, Exit::ConfigInvalid, Exit::Refused, Exit::Usage]))]
pub struct Unlock {
    /// Which holding of the lock is meant, so that nobody else loses it.
    #[arg(value_name = "ID")]
    pub id: String,
    /// Which cluster.
    #[command(flatten)]
    pub of: Of,
    /// Even if the run is alive on this host.
    #[arg(long)]
    pub force: bool,
}
