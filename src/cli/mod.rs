//! Command line of the program, one file per subcommand.
//!
//! Imports point down this list only:
//!
//! 1. `commands`: one file for each subcommand. Never imported by a session or by another command.
//! 2. `session`: the steps that commands share: open the state, connect, look up, plan, confirm,
//!    execute. All checks precede the first write.
//! 3. `output`: the terminal, command errors, exit codes, prompts, JSON.
//! 4. [`args`]: arguments, and their help.

pub mod args;
mod commands;
pub mod output;
mod session;

use std::process::ExitCode;

use groundplan_engine::apply::Stop;

use self::args::{Arguments, Command};
use crate::cli::output::command_error::{Failure, Result};
use crate::cli::output::exit_code::Exit;
use crate::cli::output::json_file::StreamFile;
use crate::cli::output::ui::Screen;

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    let arguments = match Arguments::parse_line(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(answer) => {
            let _ = answer.print(); // help, a version, or what is wrong with the arguments
            return if answer.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    let mut screen = Screen::of(&arguments);
    let exit = match run(&arguments, &mut screen) {
        Ok(exit) => exit,
        Err(failure) => {
            for diagnostic in &failure.diagnostics {
                let _ = screen.diagnostic(diagnostic); // there is nowhere else to say it
            }
            failure.exit
        }
    };
    if arguments.common.verbose {
        let _ = screen.calls();
    }
    exit.into()
}

fn run(arguments: &Arguments, screen: &mut Screen) -> Result<Exit> {
    if let Some(file) = &arguments.common.json_into {
        screen.tell_into(StreamFile::create(file)?);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::could_not("start", &error))?;
    let exit = runtime.block_on(async {
        let exit = dispatch(arguments, screen).await;
        session::state_backend::leave().await;
        exit
    });
    runtime.shutdown_background(); // an open prompt must not delay the exit
    exit
}

async fn dispatch(arguments: &Arguments, screen: &mut Screen) -> Result<Exit> {
    let stop = Stop::default();
    session::signals::watch(&stop)
        .map_err(|error| Failure::could_not("listen for signals", &error))?;
    let common = &arguments.common;
    match &arguments.command {
        Command::Validate(_) => commands::validate::run(common, screen),
        Command::Plan(arguments) => commands::plan::run(arguments, common, screen, &stop).await,
        Command::Apply(arguments) => commands::apply::run(arguments, common, screen, &stop).await,
        Command::Destroy(arguments) => {
            commands::destroy::run(arguments, common, screen, &stop).await
        }
        Command::Show(arguments) => commands::show::run(arguments, common, screen).await,
        Command::Schema(arguments) => commands::schema::run(arguments, screen),
        Command::Graph(arguments) => commands::graph::run(arguments, common, screen, &stop).await,
        Command::Manifests(arguments) => {
            commands::manifests::run(arguments, common, screen, &stop).await
        }
        Command::Machines(arguments) => {
            commands::machines::run(arguments, common, screen, &stop).await
        }
        Command::State(arguments) => commands::state::run(arguments, common, screen, &stop).await,
        Command::Protect(arguments) => {
            commands::protect::protect(arguments, common, screen, &stop).await
        }
        Command::Unprotect(arguments) => {
            commands::protect::unprotect(arguments, common, screen, &stop).await
        }
        Command::Recover(arguments) => {
            commands::recover::run(arguments, common, screen, &stop).await
        }
        Command::Unlock(arguments) => commands::unlock::run(arguments, common, screen).await,
        #[cfg(feature = "kubernetes")]
        Command::TerminationHandler(arguments) => {
            commands::termination_handler::run(arguments, screen, &stop).await
        }
        #[cfg(feature = "kubernetes")]
        Command::MachineController(arguments) => {
            commands::machine_controller::run(arguments, screen, &stop).await
        }
    }
}
