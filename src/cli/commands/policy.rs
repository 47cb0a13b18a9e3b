//! `groundplan policy`: prints policies for the administrators of an AWS account.

use groundplan_aws::preflight::iam_policy::{PolicyScope, Task, document};
use groundplan_engine::state::location::StateLocation;

use crate::cli::args::{CommonArgs, PolicyArgs as Arguments, PolicyCommand, PolicyIam, PolicyTask};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;

pub(crate) fn run(arguments: &Arguments, common: &CommonArgs, ui: &mut Ui) -> Result<Exit> {
    match &arguments.command {
        PolicyCommand::Iam(iam) => print_iam(iam, common, ui),
    }
}

fn print_iam(arguments: &PolicyIam, common: &CommonArgs, ui: &mut Ui) -> Result<Exit> {
    let Some(task) = task(arguments.task) else {
        ui.talk("The termination handler calls no AWS API. It needs no IAM policy.")?;
        return Ok(Exit::Done);
    };
    let state = match &common.state {
        StateLocation::Bucket { bucket, prefix } => Some((bucket.clone(), prefix.clone())),
        StateLocation::Folder(_) => None,
    };
    let scope = PolicyScope {
        partition: arguments.partition.clone(),
        account: arguments.account.clone(),
        infra_id: arguments.infra_id.clone(),
        state,
        volume_keys: arguments.kms_key.clone(),
        hosted_zone_role: arguments.hosted_zone_role.clone(),
    };
    ui.document(|out| {
        serde_json::to_writer_pretty(&mut *out, &document(task, &scope))?;
        writeln!(out)
    })?;
    Ok(Exit::Done)
}

/// Returns `None` for the handler, which asks only the instance metadata service.
fn task(given: PolicyTask) -> Option<Task> {
    match given {
        PolicyTask::Plan => Some(Task::Plan),
        PolicyTask::Apply => Some(Task::Apply),
        PolicyTask::Destroy => Some(Task::Destroy),
        PolicyTask::Machines => Some(Task::Machines),
        PolicyTask::Controller => Some(Task::Controller),
        PolicyTask::Wait => Some(Task::Wait),
        PolicyTask::Audit => Some(Task::Audit),
        PolicyTask::Handler => None,
    }
}
