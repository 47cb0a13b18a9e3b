//! `groundplan termination-handler`: reports to a cluster that one of its machines will end.

use std::io;
use std::sync::{Mutex, PoisonError};

use groundplan_engine::apply::Shutdown;
use groundplan_node::command::{self, MessageWording, StartError};
use groundplan_node::termination::handler::HandlerMessage;
use jiff::Timestamp;

use crate::cli::args::TerminationHandlerArgs;
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::render::{Code, Diagnostic, DiagnosticSeverity};

pub(crate) async fn run(
    arguments: &TerminationHandlerArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let ui = Mutex::new(ui);
    let tell = Box::new(|said: &HandlerMessage<'_>| {
        let mut ui = ui.lock().unwrap_or_else(PoisonError::into_inner);
        let node = &arguments.options.node_name;
        let _ = show(&mut ui, node, &MessageWording::from(said)); // a reader that has left does not end it
    });
    let ended = command::run(&arguments.options, tell, stop.stopped()).await;
    ended.map(|()| Exit::Done).map_err(|error| failed(&error))
}

/// Logs the error that ends the process, as text, or prints it as a diagnostic.
pub(crate) fn log_failure(node: &str, ui: &mut Ui, failure: &Diagnostic) -> io::Result<()> {
    let text = command::one_text(&failure.summary, &failure.detail, failure.hint.as_deref());
    let text = format!("{text}; see `groundplan explain {}`", failure.code.name());
    ui.talk(&command::log_line("error", node, &text, Timestamp::now()))?;
    ui.print_json("diagnostic", failure)
}

fn failed(error: &StartError) -> CommandError {
    let (exit, code) = match error {
        StartError::Endpoint(_) => (Exit::Usage, Code::Usage),
        StartError::ApiServer(_) => (Exit::Failed, Code::ApiServerUnreachable),
        StartError::Listen { .. } => (Exit::Failed, Code::ListenFailed),
    };
    let detail = command::causes(error);
    CommandError::new(exit, Diagnostic { detail, ..Diagnostic::error(code, error.to_string()) })
}

/// Prints a log line as text, and an event or a diagnostic as JSON.
fn show(ui: &mut Ui, node: &str, report: &MessageWording) -> io::Result<()> {
    ui.talk(&report.log_line(node, Timestamp::now()))?;
    match report {
        MessageWording::Event { kind, fields, .. } => ui.print_json(kind, fields),
        MessageWording::Text(_) => Ok(()),
        MessageWording::Warning { summary, detail, hint } => ui.print_json(
            "diagnostic",
            &Diagnostic {
                severity: DiagnosticSeverity::Warning,
                code: Code::HandlerTrouble,
                summary: summary.clone(),
                detail: detail.clone(),
                hint: hint.map(str::to_owned),
            },
        ),
    }
}
