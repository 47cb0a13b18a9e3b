//! Command line of the program, one file per subcommand.
//!
//! - [`args`]: arguments; [`exit`]: exit codes.
//! - `inputs`, `source`, `cloud`, `homes`, `held`, `world`: from the user's input to a plan. All
//!   checks precede the first write. `configured` is the desired state from an install-config.
//! - `manifest_files`: manifests of machines that the user names.
//! - `choice`: targets and excludes; `preview`: display of a plan and its guards.
//! - `walk`, `prompt`, `signals`, `screen`, `stream_file`: execution, with output for people and
//!   programs.

pub mod args;
pub mod exit;

mod apply;
mod choice;
mod cloud;
mod configured;
mod destroy;
mod failure;
mod graph;
mod held;
mod homes;
mod inputs;
#[cfg(feature = "kubernetes")]
mod machine_controller;
mod machines;
mod manifest_files;
mod manifests;
mod plan;
mod preflight;
mod preview;
mod prompt;
mod protect;
mod recover;
mod saved_plan;
mod schema;
mod screen;
mod show;
mod signals;
mod source;
mod state;
mod stream_file;
#[cfg(feature = "kubernetes")]
mod termination_handler;
mod unlock;
mod validate;
mod walk;
mod world;

use std::process::ExitCode;

use groundplan_engine::apply::Stop;

use self::args::{Arguments, Command};
use self::exit::Exit;
use self::failure::{Failure, Result};
use self::screen::Screen;
use self::stream_file::StreamFile;

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
        homes::leave().await;
        exit
    });
    runtime.shutdown_background(); // an open prompt must not delay the exit
    exit
}

async fn dispatch(arguments: &Arguments, screen: &mut Screen) -> Result<Exit> {
    let stop = Stop::default();
    signals::watch(&stop).map_err(|error| Failure::could_not("listen for signals", &error))?;
    let common = &arguments.common;
    match &arguments.command {
        Command::Validate(_) => validate::run(common, screen),
        Command::Plan(arguments) => plan::run(arguments, common, screen, &stop).await,
        Command::Apply(arguments) => apply::run(arguments, common, screen, &stop).await,
        Command::Destroy(arguments) => destroy::run(arguments, common, screen, &stop).await,
        Command::Show(arguments) => show::run(arguments, common, screen).await,
        Command::Schema(arguments) => schema::run(arguments, screen),
        Command::Graph(arguments) => graph::run(arguments, common, screen, &stop).await,
        Command::Manifests(arguments) => manifests::run(arguments, common, screen, &stop).await,
        Command::Machines(arguments) => machines::run(arguments, common, screen, &stop).await,
        Command::State(arguments) => state::run(arguments, common, screen, &stop).await,
        Command::Protect(arguments) => protect::protect(arguments, common, screen, &stop).await,
        Command::Unprotect(arguments) => protect::unprotect(arguments, common, screen, &stop).await,
        Command::Recover(arguments) => recover::run(arguments, common, screen, &stop).await,
        Command::Unlock(arguments) => unlock::run(arguments, common, screen).await,
        #[cfg(feature = "kubernetes")]
        Command::TerminationHandler(arguments) => {
            termination_handler::run(arguments, screen, &stop).await
        }
        #[cfg(feature = "kubernetes")]
        Command::MachineController(arguments) => {
            machine_controller::run(arguments, screen, &stop).await
        }
    }
}
