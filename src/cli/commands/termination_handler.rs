//! `groundplan termination-handler`: reports to a cluster that one of its machines will end.

use std::io;
use std::sync::{Mutex, PoisonError};

use groundplan_engine::apply::Stop;
use groundplan_node::command::{self, Report, StartError};
use groundplan_node::termination::handler::Said;

use crate::cli::args::TerminationHandler;
use crate::cli::output::command_error::{Failure, Result};
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Screen;
use crate::render::{Diagnostic, Severity};

pub(crate) async fn run(
    arguments: &TerminationHandler,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    let screen = Mutex::new(screen);
    let tell = Box::new(|said: &Said<'_>| {
        let mut screen = screen.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = show(&mut screen, &Report::from(said)); // a reader that has left does not end it
    });
    let ended = command::run(&arguments.options, tell, stop.stopped()).await;
    ended.map(|()| Exit::Done).map_err(|error| failed(&error))
}

fn failed(error: &StartError) -> Failure {
    let exit = match error {
        StartError::Endpoint(_) => Exit::Usage,
        StartError::ApiServer(_) | StartError::Listen { .. } => Exit::Failed,
    };
    let detail = command::causes(error);
    Failure::new(exit, Diagnostic { detail, ..Diagnostic::error(error.to_string()) })
}

fn show(screen: &mut Screen, report: &Report) -> io::Result<()> {
    match report {
        Report::Event { kind, fields, text } => {
            screen.tell(kind, fields)?;
            screen.talk(text)
        }
        Report::Text(text) => screen.talk(text),
        Report::Warning { summary, detail, hint } => screen.diagnostic(&Diagnostic {
            severity: Severity::Warning,
            summary: summary.clone(),
            detail: detail.clone(),
            hint: hint.map(str::to_owned),
        }),
    }
}
