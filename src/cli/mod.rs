//! Command line of the program, one file per subcommand.
//!
//! Imports point down this list only:
//!
//! 1. `commands`: one file for each subcommand. Never imported by a session or by another command.
//! 2. `session`: the steps that commands share: open the state, connect, look up, plan, confirm,
//!    execute. `session::stages` has their order as types.
//! 3. `output`: the terminal, command errors, prompts, JSON.
//! 4. [`args`]: arguments, and their help.
//! 5. [`exit_code`]: all exit codes.

pub mod args;
mod commands;
pub mod exit_code;
pub mod output;
mod session;

use std::io::{self, Write};
use std::process::ExitCode;

use groundplan_engine::apply::Shutdown;

use self::args::{CliArguments, Command, CommonArgs};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::json_file::StreamFile;
use crate::cli::output::output_file::is_standard_output;
use crate::cli::output::ui::Ui;
use crate::render::screen::Screen;
use crate::render::{Code, Diagnostic};

/// Stack of the thread that runs a command. An async function keeps a copy of each future that it awaits
/// on the stack in an unoptimized build, at each level of calls. `dispatch` boxes the futures of the
/// commands; the deepest of them, `machines apply`, then needs 6.3 MB of stack in such a build (apply 5.7,
/// destroy 3.2), and a main thread usually has 8 MB.
const STACK: usize = 16 << 20;

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    let thread = std::thread::Builder::new().name("main".to_owned()).stack_size(STACK);
    match thread.spawn(run_command_line).map(std::thread::JoinHandle::join) {
        Ok(Ok(exit)) => exit,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => {
            let failure = CommandError::could_not(Code::HostError, "start a thread", &error);
            let mut err = Screen::new(anstream::stderr());
            let _ = failure.diagnostics.iter().try_for_each(|one| one.write(&mut err));
            failure.exit.into()
        }
    }
}

fn run_command_line() -> ExitCode {
    commands::completions::answer();
    let arguments = match CliArguments::parse_line(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(answer) => {
            return match print_answer(&answer).map_err(CommandError::from) {
                Ok(()) if answer.use_stderr() => Exit::Usage,
                Ok(()) => Exit::Done,
                Err(failure) => {
                    let mut err = Screen::new(anstream::stderr());
                    // There is nowhere else to report a failure of standard error.
                    let _ = failure.diagnostics.iter().try_for_each(|one| one.write(&mut err));
                    failure.exit
                }
            }
            .into();
        }
    };
    let mut ui = Ui::of(&arguments);
    let exit = match run(&arguments, &mut ui) {
        Ok(exit) => exit,
        Err(failure) => {
            for diagnostic in &failure.diagnostics {
                let _ = print_failure(&arguments.command, &mut ui, diagnostic); // there is nowhere else
            }
            failure.exit
        }
    };
    if arguments.common.verbose {
        let _ = ui.calls();
    }
    exit.into()
}

/// Prints an error that ends the command. The commands that run in a cluster write a log, and this
/// error is its last line.
fn print_failure(command: &Command, ui: &mut Ui, failure: &Diagnostic) -> io::Result<()> {
    match command {
        #[cfg(feature = "kubernetes")]
        Command::MachineController(_) => commands::machine_controller::log_failure(ui, failure),
        #[cfg(feature = "kubernetes")]
        Command::TerminationHandler(handler) => {
            let node = &handler.options.node_name;
            commands::termination_handler::log_failure(node, ui, failure)
        }
        _ => ui.diagnostic(failure),
    }
}

/// Prints help, a version, or an error of the arguments. An error repeats arguments, which may have
/// control characters.
fn print_answer(answer: &clap::Error) -> io::Result<()> {
    let text = answer.render().ansi().to_string();
    match answer.use_stderr() {
        true => write!(Screen::new(anstream::stderr()), "{}", with_code(&text)),
        false => {
            let mut out = Screen::new(anstream::stdout());
            write!(out, "{text}")?;
            out.flush()
        }
    }
}

/// Adds the code to the label of an error of the arguments.
fn with_code(text: &str) -> String {
    text.replacen("error:", &format!("error[{}]:", Code::Usage.name()), 1)
}

/// Rejects two files on standard output.
fn ensure_one_standard_output(arguments: &CliArguments) -> Result<()> {
    let files = arguments.output_files().filter(|path| is_standard_output(path)).count();
    let document = usize::from(arguments.command.prints_a_document());
    if files + document < 2 {
        return Ok(());
    }
    let diagnostic =
        Diagnostic::error(Code::StandardStream, "standard output is used for two files")
            .with_hint("pass a file instead of one `-`");
    Err(CommandError::new(Exit::Usage, diagnostic))
}

/// Rejects two inputs from standard input, which can be read only once.
fn ensure_one_standard_input(arguments: &CliArguments) -> Result<()> {
    if arguments.standard_inputs() < 2 {
        return Ok(());
    }
    let diagnostic =
        Diagnostic::error(Code::StandardStream, "standard input is used for two files")
            .with_hint("pass the install-config as a file with --config");
    Err(CommandError::new(Exit::Usage, diagnostic))
}

fn run(arguments: &CliArguments, ui: &mut Ui) -> Result<Exit> {
    ensure_one_standard_output(arguments)?;
    ensure_one_standard_input(arguments)?;
    if let Some(file) = &arguments.common.json_into {
        ui.tell_into(StreamFile::create(file)?);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::could_not(Code::HostError, "start", &error))?;
    let exit = runtime.block_on(async {
        let exit = dispatch(arguments, ui).await;
        session::state_backend::leave().await;
        exit
    });
    runtime.shutdown_background(); // an open prompt must not delay the exit
    exit
}

/// Returns the shared options with the content of the file of prices, if the command shows plans.
fn priced(arguments: &CliArguments) -> Result<CommonArgs> {
    let mut common = arguments.common.clone();
    let path = common.prices.as_deref().filter(|_| arguments.command.shows_plans());
    common.price_list = path.map(session::plan_preview::prices).transpose()?;
    Ok(common)
}

async fn dispatch(arguments: &CliArguments, ui: &mut Ui) -> Result<Exit> {
    let stop = Shutdown::default();
    session::signals::watch(&stop)
        .map_err(|error| CommandError::could_not(Code::HostError, "listen for signals", &error))?;
    let common = &priced(arguments)?;
    if let Some(guards) = arguments.command.guards() {
        session::plan_preview::check_policies(guards)?;
    }
    match &arguments.command {
        Command::Validate(_) => {
            session::signals::unless_stopped(&stop, async { commands::validate::run(common, ui) })
                .await
        }
        Command::Plan(arguments) => {
            Box::pin(commands::plan::run(arguments, common, ui, &stop)).await
        }
        Command::Apply(arguments) => {
            Box::pin(commands::apply::run(arguments, common, ui, &stop)).await
        }
        Command::Destroy(arguments) => {
            Box::pin(commands::destroy::run(arguments, common, ui, &stop)).await
        }
        Command::Bootstrap(arguments) => {
            Box::pin(commands::bootstrap::run(arguments, common, ui, &stop)).await
        }
        Command::Show(arguments) => Box::pin(commands::show::run(arguments, common, ui)).await,
        Command::Output(arguments) => Box::pin(commands::output::run(arguments, common, ui)).await,
        #[cfg(feature = "kubernetes")]
        Command::WaitFor(arguments) => {
            Box::pin(commands::wait_for::run(arguments, common, ui, &stop)).await
        }
        Command::Gather(arguments) => {
            Box::pin(commands::gather::run(arguments, common, ui, &stop)).await
        }
        Command::Schema(arguments) => commands::schema::run(arguments, ui),
        Command::Policy(arguments) => commands::policy::run(arguments, common, ui),
        Command::Config(arguments) => commands::config::run(arguments, common, ui),
        Command::Clusters(arguments) => {
            Box::pin(commands::clusters::run(arguments, common, ui)).await
        }
        Command::Imds(arguments) => {
            Box::pin(commands::imds::run(arguments, common, ui, &stop)).await
        }
        Command::Explain(arguments) => commands::explain::run(arguments, ui),
        Command::Completions(arguments) => commands::completions::run(arguments, ui),
        Command::Man(arguments) => commands::man::run(arguments, ui),
        Command::Graph(arguments) => {
            Box::pin(commands::graph::run(arguments, common, ui, &stop)).await
        }
        Command::Manifests(arguments) => {
            Box::pin(commands::manifests::run(arguments, common, ui, &stop)).await
        }
        Command::Machines(arguments) => {
            Box::pin(commands::machines::run(arguments, common, ui, &stop)).await
        }
        Command::State(arguments) => {
            Box::pin(commands::state::run(arguments, common, ui, &stop)).await
        }
        Command::Protect(arguments) => {
            Box::pin(commands::protect::protect(arguments, common, ui, &stop)).await
        }
        Command::Unprotect(arguments) => {
            Box::pin(commands::protect::unprotect(arguments, common, ui, &stop)).await
        }
        Command::Recover(arguments) => {
            Box::pin(commands::recover::run(arguments, common, ui, &stop)).await
        }
        Command::Unlock(arguments) => Box::pin(commands::unlock::run(arguments, common, ui)).await,
        #[cfg(feature = "kubernetes")]
        Command::TerminationHandler(arguments) => {
            Box::pin(commands::termination_handler::run(arguments, ui, &stop)).await
        }
        #[cfg(feature = "kubernetes")]
        Command::MachineController(arguments) => {
            Box::pin(commands::machine_controller::run(arguments, ui, &stop)).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_arguments_has_a_code() {
        let error = CliArguments::parse_line(["groundplan", "plan", "--taget", "x"]).unwrap_err();
        let text = with_code(&error.render().ansi().to_string());
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert!(plain.starts_with("error[usage]: unexpected argument '--taget'"), "{plain}");
    }
}
