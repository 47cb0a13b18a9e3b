//! Help texts: examples, exit codes, and the shared options that a command uses.

use clap::CommandFactory;

use super::CliArguments;
use crate::cli::exit_code::Exit;

/// Options that decide where the desired state comes from.
const DESIRED: &[&str] = &["config", "assets", "rhcos_stream", "release", "machine_subnets"];
/// Options of commands that read a state.
const STATE: &[&str] = &["config", "state"];
/// Options of commands that lock a state.
const LOCK: &[&str] = &["lock_timeout", "lease", "state_kms_key"];
/// Options of commands that call AWS.
const CLOUD: &[&str] = &["verbose"];
/// Options of commands that execute a plan.
const EXECUTE: &[&str] = &["parallelism", "auto_approve", "accept_danger"];
/// Options of commands that show a plan.
const PRICES: &[&str] = &["prices"];
/// Options of commands that print text or JSON lines.
const OUTPUT: &[&str] = &["json", "json_into", "no_color"];

/// Shared options that each command uses. The help of a command hides the others.
const USED: &[(&[&str], &[&[&str]])] = &[
    (&["validate"], &[DESIRED, OUTPUT]),
    (&["plan"], &[DESIRED, STATE, LOCK, CLOUD, PRICES, OUTPUT]),
    (&["apply"], &[DESIRED, STATE, LOCK, CLOUD, EXECUTE, PRICES, OUTPUT]),
    (&["destroy"], &[STATE, LOCK, CLOUD, EXECUTE, PRICES, OUTPUT]),
    (&["bootstrap"], &[]),
    (&["bootstrap", "destroy"], &[DESIRED, STATE, LOCK, CLOUD, EXECUTE, PRICES, OUTPUT]),
    (&["show"], &[STATE, PRICES, OUTPUT]),
    (&["output"], &[STATE, OUTPUT]),
    (&["wait-for"], &[]),
    (&["wait-for", "bootstrap-complete"], &[STATE, &["assets"], CLOUD, OUTPUT]),
    (&["wait-for", "install-complete"], &[STATE, &["assets"], CLOUD, OUTPUT]),
    (&["gather"], &[]),
    (&["gather", "bootstrap"], &[STATE, &["assets"], CLOUD, OUTPUT]),
    (&["graph"], &[DESIRED, STATE, CLOUD]),
    (&["schema"], &[]),
    (&["clusters"], &[&["state"], OUTPUT]),
    (&["imds"], &[]),
    (&["imds", "audit"], &[STATE, CLOUD, OUTPUT]),
    (&["explain"], &[]),
    (&["completions"], &[]),
    (&["man"], &[]),
    (&["config"], &[]),
    (&["config", "show"], &[DESIRED, STATE, LOCK, PRICES, &["parallelism"], OUTPUT]),
    (&["config", "export"], &[&["config", "release"], OUTPUT]),
    (&["policy"], &[]),
    (&["policy", "iam"], &[&["state"]]),
    (&["manifests"], &[DESIRED, STATE, CLOUD, OUTPUT]),
    (&["manifests", "check"], &[OUTPUT]),
    (&["machines"], &[]),
    (&["machines", "plan"], &[&["state"], LOCK, CLOUD, PRICES, OUTPUT]),
    (&["machines", "apply"], &[&["state"], LOCK, CLOUD, EXECUTE, PRICES, OUTPUT]),
    (&["machines", "destroy"], &[&["state"], LOCK, CLOUD, EXECUTE, PRICES, OUTPUT]),
    (&["machines", "recover"], &[&["state"], LOCK, CLOUD, OUTPUT]),
    (&["state"], &[]),
    (&["state", "list"], &[STATE, OUTPUT]),
    (&["state", "show"], &[STATE, OUTPUT]),
    (&["state", "history"], &[STATE, OUTPUT]),
    (&["state", "mv"], &[STATE, LOCK, OUTPUT]),
    (&["state", "rm"], &[STATE, LOCK, &["auto_approve"], OUTPUT]),
    (&["state", "pull"], &[STATE]),
    (&["state", "push"], &[STATE, LOCK, OUTPUT]),
    (&["state", "migrate"], &[STATE, LOCK, OUTPUT]),
    (&["protect"], &[STATE, LOCK, OUTPUT]),
    (&["unprotect"], &[STATE, LOCK, OUTPUT]),
    (&["recover"], &[DESIRED, STATE, LOCK, CLOUD, OUTPUT]),
    (&["unlock"], &[STATE, OUTPUT]),
    (&["termination-handler"], &[OUTPUT]),
    (&["machine-controller"], &[OUTPUT]),
];

/// Options of a command that only its long help has, because the short help of another command with the
/// same options explains them.
const ELSEWHERE: &[(&[&str], &[&str])] =
    &[(&["plan"], &["cluster", "infra_id", "region", "metadata"])];

/// Returns the command-line definition of the program.
pub(crate) fn command() -> clap::Command {
    for_every_command(CliArguments::command())
}

/// Gives every command of a definition the help of the shared options that it uses.
pub(super) fn for_every_command(command: clap::Command) -> clap::Command {
    let shared: Vec<_> =
        command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    // The short help of the program is a list of commands; each command has its options.
    let command = shared.iter().fold(command, |command, arg| {
        command.mut_arg(arg.get_id().clone(), |arg| arg.hide_short_help(true))
    });
    with_own_help(command, &shared, &[])
}

/// Gives each subcommand a copy of the shared options, hidden if it does not use them. Clap propagates
/// an option only to subcommands that do not have it.
fn with_own_help(command: clap::Command, shared: &[clap::Arg], path: &[&str]) -> clap::Command {
    let names: Vec<String> =
        command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| {
        let path: Vec<&str> = path.iter().copied().chain([&*name]).collect();
        command.mut_subcommand(&name, |sub| {
            let copies =
                shared.iter().map(|arg| arg.clone().hide(!uses(&path, arg.get_id().as_str())));
            let sub = in_long_help_only(sub.args(copies), &path);
            with_own_help(sub, shared, &path)
        })
    })
}

/// Hides options of a command in its short help.
fn in_long_help_only(command: clap::Command, path: &[&str]) -> clap::Command {
    let options = ELSEWHERE.iter().find(|(of, _)| *of == path).map_or(&[][..], |(_, ids)| ids);
    options.iter().fold(command, |command, id| command.mut_arg(id, |arg| arg.hide_short_help(true)))
}

fn uses(path: &[&str], option: &str) -> bool {
    let groups =
        USED.iter().find(|(command, _)| *command == path).map_or(&[][..], |(_, groups)| groups);
    groups.iter().any(|group| group.contains(&option))
}

/// Returns the end of a help text: examples and exit codes.
pub(super) fn after(examples: &str, exits: &[Exit]) -> String {
    let examples: Vec<_> = examples.lines().map(|line| format!("  {line}")).collect();
    let codes: Vec<_> =
        exits.iter().map(|exit| format!("  {:>2}  {}", exit.code(), exit.meaning())).collect();
    let title = if examples.len() == 1 { "Example" } else { "Examples" };
    format!("{title}:\n{}\n\nExit codes:\n{}", examples.join("\n"), codes.join("\n"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// Calls `check` with the path and the definition of every command.
    fn for_each(check: &mut dyn FnMut(&[&str], &mut clap::Command)) {
        fn visit(
            path: &[&str],
            command: &mut clap::Command,
            check: &mut dyn FnMut(&[&str], &mut clap::Command),
        ) {
            check(path, command);
            let names: Vec<String> =
                command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
            for name in names.iter().filter(|name| *name != "help") {
                let path: Vec<&str> = path.iter().copied().chain([&**name]).collect();
                let sub = command.find_subcommand_mut(name).expect("a name of get_subcommands");
                visit(&path, sub, check);
            }
        }
        let mut command = command();
        command.build();
        visit(&[], &mut command, check);
    }

    fn at_width(command: &clap::Command, width: usize, long: bool) -> String {
        let mut command = command.clone().term_width(width);
        let text = if long { command.render_long_help() } else { command.render_help() };
        text.to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    /// `RECORD=1 cargo test help` writes the files anew.
    #[test]
    fn the_help_of_every_command_is_as_reviewed() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/cli/args/help");
        let mut differing = Vec::new();
        for_each(&mut |path, command| {
            let name = if path.is_empty() { "groundplan".to_owned() } else { path.join("-") };
            let text = format!(
                "$ groundplan {0}{1}-h\n\n{2}\n$ groundplan {0}{1}--help\n\n{3}",
                path.join(" "),
                if path.is_empty() { "" } else { " " },
                at_width(command, 80, false),
                at_width(command, 80, true),
            );
            let file = folder.join(format!("{name}.txt"));
            if std::env::var_os("RECORD").is_some() {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&file, &text).unwrap();
            } else if fs::read_to_string(&file).unwrap_or_default() != text {
                differing.push(file);
            }
        });
        assert!(differing.is_empty(), "review, then RECORD=1 cargo test help: {differing:#?}");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for_each(&mut |path, command| {
            for width in [80, 120] {
                for long in [false, true] {
                    let text = at_width(command, width, long);
                    let wide: Vec<_> =
                        text.lines().filter(|line| line.chars().count() > width).collect();
                    assert!(wide.is_empty(), "{path:?} at {width}: {wide:#?}");
                }
            }
        });
    }

    #[test]
    fn the_short_help_fits_one_screen() {
        for_each(&mut |path, command| {
            let text = at_width(command, 80, false);
            assert!(text.lines().count() <= 40, "{path:?}: {} lines", text.lines().count());
        });
    }

    #[test]
    fn every_command_has_examples_and_exit_codes() {
        for_each(&mut |path, command| {
            let help = at_width(command, 80, true);
            assert!(help.contains("Example"), "{path:?}");
            assert!(help.contains("Exit codes:\n   0  done"), "{path:?}");
        });
    }

    #[test]
    fn examples_and_exit_codes_stay_on_their_lines() {
        for_each(&mut |path, command| {
            let end = |width| {
                let help = at_width(command, width, true);
                help[help.find("Example").expect("examples")..].to_owned()
            };
            assert_eq!(end(80), end(200), "{path:?}: a line of 78 characters fits");
        });
    }

    #[test]
    fn every_command_says_which_shared_options_it_uses() {
        let mut commands = Vec::new();
        for_each(&mut |path, _| commands.push(path.join(" ")));
        let mut listed: Vec<_> = USED.iter().map(|(path, _)| path.join(" ")).collect();
        listed.push(String::new());
        listed.sort();
        commands.sort();
        assert_eq!(commands, listed);
    }

    #[test]
    fn the_examples_of_the_help_are_command_lines() {
        for_each(&mut |path, command| {
            let help = at_width(command, 200, true);
            let examples = help.lines().skip_while(|line| !line.starts_with("Example")).skip(1);
            let examples = examples.take_while(|line| line.starts_with("  "));
            assert!(parsed(examples, &path.join(" ")) > 0, "{path:?} has no example");
        });
    }

    #[test]
    fn the_examples_of_the_pages_are_command_lines() {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let folders =
            ["docs", "docs/errors"].map(|folder| fs::read_dir(root.join(folder)).unwrap());
        let docs = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
        let pages = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
        let mut tried = 0;
        for page in pages.chain([root.join("README.md")]) {
            let text = fs::read_to_string(&page).unwrap();
            let examples = text.lines().filter(|line| line.starts_with("    groundplan "));
            // Placeholders such as `...` and `[OPTIONS]` make a line a pattern, not an example.
            let examples = examples.filter(|line| !line.contains("...") && !line.contains('['));
            tried += parsed(examples, &page.display().to_string());
        }
        assert!(tried > 100, "{tried} examples");
    }

    /// Placeholders of messages, with a value that the program could fill in.
    const FILLED: &[(&str, &str)] = &[
        ("{options}", ""),
        ("{flag}", ""),
        ("{named}", ""),
        ("{plan}", "plan"),
        ("{address}", "vpc.main"),
        ("{infra_id}", "demo-x7k2p"),
        ("{one}", "demo-x7k2p"),
        ("{id}", "unnamed"),
        ("{UNNAMED}", "unnamed"),
        ("--infra-id ID", "--infra-id demo-x7k2p"),
    ];

    #[test]
    fn the_commands_in_messages_are_command_lines() {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(root.join("docs/dev/errors.txt")).unwrap();
        let filled =
            FILLED.iter().fold(text, |text, (placeholder, value)| text.replace(placeholder, value));
        let mut tried = 0;
        for line in filled.lines() {
            let quoted = line.split('`').skip(1).step_by(2);
            let commands = quoted.chain(line.rsplit(": ").next());
            tried += parsed(commands.filter(|part| part.starts_with("groundplan ")), line);
        }
        assert!(tried > 10, "{tried} commands");
    }

    #[test]
    fn the_options_in_hints_exist() {
        let mut options = Vec::new();
        for_each(&mut |_, command| {
            options.extend(
                command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)),
            );
        });
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(root.join("docs/dev/errors.txt")).unwrap();
        let blocks = text.split("\n\n").filter(|block| !block.starts_with("crates/node/"));
        for line in blocks.flat_map(str::lines) {
            // Commands of other programs have options of their own.
            let line = line.split("aws ").next().unwrap_or_default();
            let words = line.split("openshift-install").next().unwrap_or_default();
            let words = words.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
            for option in words.filter_map(|word| word.strip_prefix("--")) {
                assert!(options.iter().any(|known| known == option), "--{option}: {line}");
            }
        }
    }

    /// Parses the groundplan commands in `lines` and returns their number.
    fn parsed<'a>(lines: impl Iterator<Item = &'a str>, place: &str) -> usize {
        let mut tried = 0;
        for line in lines {
            for part in line.split("&&").flat_map(|part| part.split('|')) {
                let part = part.split(" #").next().unwrap_or_default();
                let words = words(part.split(" > ").next().unwrap_or_default());
                if words.first().is_some_and(|word| word == "groundplan") {
                    let parsed = CliArguments::parse_line(&words);
                    assert!(parsed.is_ok(), "{place}: {line}: {}", parsed.unwrap_err());
                    tried += 1;
                }
            }
        }
        tried
    }

    /// Splits a command line as a shell does, for plain and single-quoted words.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (number, piece) in line.split('\'').enumerate() {
            if number % 2 == 1 {
                words.push(piece.to_owned());
            } else {
                words
                    .extend(piece.split_whitespace().map(|word| word.trim_matches('"').to_owned()));
            }
        }
        words
    }
}
