//! `groundplan output`: prints values of a cluster from its state, for scripts. Makes no AWS calls,
//! except to read a state from S3, and takes no lock.

use groundplan_openshift::diagnostics::nearest;
use serde_json::json;

use crate::cli::args::{CommonArgs, OutputArgs as Arguments};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::input_files::cluster_name;
use crate::cli::session::locked_state::read_unlocked;
use crate::cli::session::state_errors::nothing_recorded;
use crate::installation::outputs::outputs;
use crate::render::installation::write_outputs;
use crate::render::{Code, Diagnostic, document};

pub(crate) async fn run(arguments: &Arguments, common: &CommonArgs, ui: &mut Ui) -> Result<Exit> {
    let names: Vec<&str> = outputs(&Default::default()).into_keys().collect();
    if let Some(unknown) = arguments.name.as_deref().filter(|name| !names.contains(name)) {
        return Err(unknown_output(unknown, &names)); // independent of the state
    }
    let name = cluster_name(arguments.cluster.cluster.as_deref(), common, ui)?;
    let state = read_unlocked(common, &name, ui).await?;
    let state = state.ok_or_else(|| nothing_recorded(&name, &common.state))?;
    let mut outputs = outputs(&state);
    let Some(wanted) = arguments.name.as_deref() else {
        ui.show(|out| write_outputs(&outputs, out), || document::outputs(&outputs))?;
        return Ok(Exit::Done);
    };
    let value = outputs.remove(wanted).filter(|value| !value.is_absent());
    let value = value.ok_or_else(|| absent_output(wanted, &name))?;
    ui.show(
        |out| value.lines().iter().try_for_each(|line| writeln!(out, "{line}")),
        || json!(value),
    )?;
    Ok(Exit::Done)
}

fn unknown_output(unknown: &str, names: &[&str]) -> CommandError {
    let hint = match nearest(unknown, names) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "select one of the names".to_owned(),
    };
    let diagnostic = Diagnostic::error(Code::OutputUnknown, format!("unknown output `{unknown}`"))
        .with_detail(format!("expected one of {}", names.join(", ")))
        .with_hint(hint);
    CommandError::new(Exit::Usage, diagnostic)
}

fn absent_output(wanted: &str, cluster: &str) -> CommandError {
    let diagnostic =
        Diagnostic::error(Code::OutputUnknown, format!("cluster `{cluster}` has no {wanted}"))
            .with_hint("list the recorded values with `groundplan output`");
    CommandError::new(Exit::Failed, diagnostic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_and_with_all() {
        let error = unknown_output("bootstrapip", &["api_url", "bootstrap_ip"]);
        assert_eq!(error.exit, Exit::Usage);
        let diagnostic = &error.diagnostics[0];
        assert_eq!(diagnostic.hint.as_deref(), Some("did you mean `bootstrap_ip`?"));
        assert_eq!(diagnostic.detail, ["expected one of api_url, bootstrap_ip"]);
    }
}
