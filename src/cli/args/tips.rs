//! Errors of the argument parser: misleading tips are removed, options of other tools are translated,
//! missing values have an example, and values of the environment name their variable.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::project::{SETTINGS, variable};

/// Options and subcommands that users of other tools try, with ours.
const TRANSLATED: &[(&str, &str)] = &[
    ("--yes", "--auto-approve"),
    ("-y", "--auto-approve"),
    ("-auto-approve", "--auto-approve"),
    ("--dry-run", "the command `groundplan plan`"),
    ("-out", "--out"),
    ("-target", "--target"),
    ("-replace", "--replace"),
    ("-json", "--json"),
    ("taint", "`groundplan plan --replace ADDRESS`"),
    ("import", "`groundplan recover`"),
    ("refresh", "`groundplan plan --refresh-only`"),
    ("delete", "`groundplan destroy`"),
];

/// Removes the tip to pass an unknown option as a value after `--`, because no command takes such
/// values. For a word of another tool, the only tip is our option or command. `line` has the words of
/// the command line: the parser reads `-auto-approve` letter by letter and reports `-a`.
pub(super) fn without_misleading_ones(mut error: clap::Error, line: &[OsString]) -> clap::Error {
    if !matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand) {
        return error;
    }
    if let Some(ContextValue::StyledStrs(tips)) = error.remove(ContextKind::Suggested) {
        let tips: Vec<_> =
            tips.into_iter().filter(|tip| !tip.to_string().contains("as a value")).collect();
        if !tips.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let given = text(ContextKind::InvalidArg).or_else(|| text(ContextKind::InvalidSubcommand));
    let translated = TRANSLATED.iter().find(|(theirs, _)| {
        given.as_deref() == Some(*theirs)
            || (theirs.starts_with('-')
                && !theirs.starts_with("--")
                && line.iter().any(|word| word == *theirs))
    });
    if let Some((_, ours)) = translated {
        error.remove(ContextKind::SuggestedArg);
        error.remove(ContextKind::SuggestedSubcommand);
        let tip = format!("use {ours}");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// Values of options, as examples.
const EXAMPLES: &[(&str, &str)] = &[
    ("--accept-danger", "demo"),
    ("--accept-imdsv1-use", "instance.master-0"),
    ("--account", "123456789012"),
    ("--assets", "assets"),
    ("--cluster", "demo"),
    ("--config", "install-config.yaml"),
    ("--days", "30"),
    ("--imdsv1-days", "30"),
    ("--exclude", "swept"),
    ("--expect", "'+12 ~0 -0'"),
    ("--force-foreign", "security_group.master"),
    ("--hosted-zone-role", "arn:aws:iam::123456789012:role/NAME"),
    ("--infra-id", "demo-x7k2p"),
    ("--json-into", "events.jsonl"),
    ("--key", "~/.ssh/id_ed25519"),
    ("--kms-key", "arn:aws:kms:us-west-2:123456789012:key/ID"),
    ("--kubeconfig", "assets/auth/kubeconfig"),
    ("--late-after", "10m"),
    ("--lease", "60s"),
    ("--listen", "127.0.0.1:8081"),
    ("--lock-timeout", "5m"),
    ("--machine-subnets", "public"),
    ("--maintenance-lead-time", "30m"),
    ("--manifests", "cluster/openshift"),
    ("--max-destroy", "0"),
    ("--metadata", "assets/metadata.json"),
    ("--namespace", "openshift-machine-api"),
    ("--node-name", "worker-0"),
    ("--out", "cluster.plan"),
    ("--parallelism", "16"),
    ("--partition", "aws"),
    ("--policy", "policies"),
    ("--poll-interval", "5s"),
    ("--region", "us-west-2"),
    ("--release", "4.20"),
    ("--replace", "instance.master-0"),
    ("--rhcos-stream", "stream.json"),
    ("--prices", "prices.toml"),
    ("--state", "s3://my-bucket/clusters"),
    ("--state-kms-key", "alias/groundplan"),
    ("--target", "instance.master-0"),
    ("--timeout", "45m"),
    ("--to", "s3://my-bucket/clusters"),
    ("--wait-timeout", "30m"),
];

/// Adds the origin of a value that is not from the command line, and an example to a missing value.
pub(super) fn with_place(error: clap::Error, line: &[OsString]) -> clap::Error {
    with_place_in(error, line, |name| std::env::var(name).ok())
}

fn with_place_in(
    mut error: clap::Error,
    line: &[OsString],
    environment: impl Fn(&str) -> Option<String>,
) -> clap::Error {
    let kind = error.kind();
    if !matches!(kind, ErrorKind::InvalidValue | ErrorKind::ValueValidation) {
        return error;
    }
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let Some(option) = text(ContextKind::InvalidArg) else { return error };
    let option = option.split(' ').next().unwrap_or_default().to_owned();
    let value = text(ContextKind::InvalidValue).unwrap_or_default();
    if let Some(variable) = origin(&option, &value, line, environment) {
        let report = error.to_string();
        let report = report.lines().next().unwrap_or_default();
        let report = report.strip_prefix("error: ").unwrap_or(report);
        let message = format!("{variable}: {report}\n\n  tip: correct or unset {variable}\n");
        return clap::Error::raw(kind, message);
    }
    let example = EXAMPLES.iter().find(|(name, _)| *name == option).filter(|_| value.is_empty());
    if let Some((_, example)) = example {
        let tip = format!("add a value, such as {option} {example}");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// Returns the environment variable that has this value of an option; `None` if the command line has
/// the option.
fn origin(
    option: &str,
    value: &str,
    line: &[OsString],
    environment: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let name = option.strip_prefix("--").filter(|name| SETTINGS.contains(name))?;
    let is_option =
        |word: &OsString| word.to_str().is_some_and(|word| word.split('=').next() == Some(option));
    let variable = variable(name);
    let is_origin = environment(&variable).is_some_and(|set| set == value);
    (is_origin && !line.iter().any(is_option)).then_some(variable)
}

#[cfg(test)]
mod tests {
    use super::super::{CliArguments, definition};
    use super::{EXAMPLES, with_place_in};

    fn said(line: &str) -> String {
        CliArguments::parse_line(line.split(' ')).unwrap_err().to_string()
    }

    #[test]
    fn a_value_of_the_environment_names_its_variable() {
        let line = |text: &str| text.split(' ').map(Into::into).collect::<Vec<_>>();
        let failed = |text: &str| CliArguments::parse_line(text.split(' ')).unwrap_err();
        let environment = |name: &str| (name == "GROUNDPLAN_PARALLELISM").then(|| "0".to_owned());
        let wrong = "groundplan plan --parallelism 0";
        let message = |given| with_place_in(failed(wrong), &line(given), environment).to_string();
        let of_variable = message("groundplan plan");
        let expected = "error: GROUNDPLAN_PARALLELISM: invalid value '0' for '--parallelism <N>': 0 is \
                        not in 1..=1000\n\n  tip: correct or unset GROUNDPLAN_PARALLELISM";
        assert!(of_variable.starts_with(expected), "{of_variable}");
        for given in [wrong, "groundplan plan --parallelism=0"] {
            assert!(!message(given).contains("GROUNDPLAN"), "{}", message(given));
        }
        let other = "groundplan plan --lease 1s";
        let error = with_place_in(failed(other), &line("groundplan plan"), environment);
        assert!(!error.to_string().contains("GROUNDPLAN"), "{error}");
    }

    #[test]
    fn an_option_without_a_value_has_an_example() {
        for line in ["groundplan plan --assets", "groundplan plan --assets="] {
            let message = said(line);
            assert!(message.contains("tip: add a value, such as --assets assets\n"), "{message}");
        }
        let message = said("groundplan plan --parallelism 0");
        assert!(!message.contains("such as"), "{message}");
    }

    #[test]
    fn every_option_with_a_free_value_has_an_example() {
        fn check(command: &clap::Command) {
            let valued = command.get_arguments().filter(|arg| {
                arg.get_action().takes_values()
                    && !arg.is_positional()
                    && arg.get_possible_values().is_empty()
            });
            for name in valued.filter_map(clap::Arg::get_long) {
                let has = EXAMPLES.iter().any(|(option, _)| option[2..] == *name);
                assert!(has, "{}: --{name}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&definition());
    }

    #[test]
    fn words_of_other_tools_are_translated() {
        for (line, tip) in [
            ("groundplan apply --yes", "tip: use --auto-approve"),
            ("groundplan apply --dry-run", "tip: use the command `groundplan plan`"),
            ("groundplan taint instance.master-0", "tip: use `groundplan plan --replace ADDRESS`"),
            ("groundplan import", "tip: use `groundplan recover`"),
            ("groundplan apply -auto-approve", "tip: use --auto-approve"),
            ("groundplan plan -out x", "tip: use --out"),
        ] {
            let message = said(line);
            assert!(message.contains(tip), "{line}: {message}");
            assert!(!message.contains("as a value"), "{line}: {message}");
        }
    }

    #[test]
    fn a_misspelt_option_gets_the_right_one() {
        let message = said("groundplan plan --detailed-exit-code");
        assert!(message.contains("--detailed-exitcode"), "{message}");
        assert!(!message.contains("as a value"), "{message}");
    }
}
