//! `groundplan completions`: completion scripts of shells, and the answers that the scripts ask for.

use std::ffi::OsString;

use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use groundplan_engine::state::State;
use groundplan_engine::state::local::LocalBackend;
use groundplan_engine::state::location::StateLocation;

use crate::cli::args::{CompletionsArgs as Arguments, definition};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::render::Code;

/// Environment variable by which a script asks for completions.
const VARIABLE: &str = "GROUNDPLAN_COMPLETE";
const PROGRAM: &str = "groundplan";

pub(crate) fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit> {
    let shells = Shells::builtins();
    let shell = shells.completer(arguments.shell.name()).expect("BUG: a built-in shell");
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script).map_err(
        |error| CommandError::could_not(Code::InternalError, "write the completion script", &error),
    )?;
    ui.document(|out| out.write_all(&script))?;
    Ok(Exit::Done)
}

/// Prints the completions and ends the process if a completion script runs this process.
pub(crate) fn answer() {
    CompleteEnv::with_factory(completed).var(VARIABLE).bin(PROGRAM).complete();
}

/// Returns the command-line definition with candidates for clusters and addresses.
fn completed() -> clap::Command {
    with_candidates(definition())
}

fn with_candidates(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| match arg.get_id().as_str() {
        "target" | "exclude" | "replace" | "force_foreign" | "address" | "addresses" => {
            arg.add(ArgValueCandidates::new(addresses))
        }
        "code" => arg.add(ArgValueCandidates::new(codes)),
        "cluster" => arg.add(ArgValueCandidates::new(clusters)),
        _ => arg,
    });
    command.mut_subcommands(with_candidates)
}

/// Returns the codes of messages, with their meanings.
fn codes() -> Vec<CompletionCandidate> {
    let candidate =
        |code: Code| CompletionCandidate::new(code.name()).help(Some(code.meaning().into()));
    Code::all().map(candidate).collect()
}

fn clusters() -> Vec<CompletionCandidate> {
    let words: Vec<OsString> = std::env::args_os().collect();
    states(&words).into_iter().map(|(name, _)| CompletionCandidate::new(name)).collect()
}

/// Returns the addresses of the selected cluster. Without `--cluster`: of all clusters.
fn addresses() -> Vec<CompletionCandidate> {
    let words: Vec<OsString> = std::env::args_os().collect();
    addresses_of(&words).into_iter().map(CompletionCandidate::new).collect()
}

fn addresses_of(words: &[OsString]) -> Vec<String> {
    let cluster = value_of("--cluster", words);
    let states = states(words).into_iter();
    let states = states.filter(|(name, _)| cluster.as_ref().is_none_or(|cluster| cluster == name));
    let mut addresses: Vec<String> = states
        .flat_map(|(_, state)| state.resources.keys().map(ToString::to_string).collect::<Vec<_>>())
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// Returns the states of the folder that the command line selects. A state in S3, and a state that
/// cannot be read, has no completions: there is no way to report an error.
fn states(words: &[OsString]) -> Vec<(String, State)> {
    let given = value_of("--state", words);
    let line = [PROGRAM.to_owned(), "clusters".to_owned()];
    let line = line.into_iter().chain(given.map(|state| format!("--state={state}")));
    let Ok(parsed) = crate::cli::args::CliArguments::parse_line(line) else { return Vec::new() };
    let StateLocation::Folder(root) = &parsed.common.state else { return Vec::new() };
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let read = entries.filter_map(|entry| {
        let path = entry.path();
        let name = path.file_name()?.to_str()?.to_owned();
        let opened = LocalBackend::is_state(&path).then(|| LocalBackend::open(&path))?;
        Some((name, opened.ok()?.state))
    });
    let mut states: Vec<_> = read.collect();
    states.sort_by(|(one, _), (other, _)| one.cmp(other));
    states
}

/// Returns the value of an option in a line that is still being typed.
fn value_of(option: &str, words: &[OsString]) -> Option<String> {
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let next = words.windows(2).find(|pair| pair[0] == option).map(|pair| pair[1]);
    let joined = words.iter().find_map(|word| word.strip_prefix(option)?.strip_prefix('='));
    next.or(joined).filter(|value| !value.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn an_option_is_found_in_both_spellings() {
        let value = |line| value_of("--state", &words(line));
        assert_eq!(value("groundplan plan --state other"), Some("other".to_owned()));
        assert_eq!(value("groundplan plan --state=other --target"), Some("other".to_owned()));
        assert_eq!(value("groundplan plan --state"), None);
    }

    #[test]
    fn every_command_has_candidates_where_it_takes_addresses() {
        fn count(command: &clap::Command) -> usize {
            let own =
                command.get_arguments().filter(|arg| arg.get::<ArgValueCandidates>().is_some());
            own.count() + command.get_subcommands().map(count).sum::<usize>()
        }
        assert!(count(&completed()) > 15, "{}", count(&completed()));
    }

    #[test]
    fn a_missing_folder_and_a_bucket_have_no_candidates() {
        for line in
            ["groundplan plan --state nowhere/at/all", "groundplan plan --state s3://bucket"]
        {
            assert_eq!(addresses_of(&words(line)), Vec::<String>::new());
        }
    }

    #[test]
    fn scripts_call_the_program() {
        for shell in ["bash", "zsh", "fish"] {
            let shells = Shells::builtins();
            let mut script = Vec::new();
            let shell = shells.completer(shell).unwrap();
            shell.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script).unwrap();
            let text = String::from_utf8(script).unwrap();
            assert!(text.contains(VARIABLE) && text.contains("groundplan"), "{text}");
        }
    }
}
