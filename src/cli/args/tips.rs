//! Tips of the argument parser: misleading ones are removed, and options of other tools are
//! translated.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

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

#[cfg(test)]
mod tests {
    use super::super::CliArguments;

    fn said(line: &str) -> String {
        CliArguments::parse_line(line.split(' ')).unwrap_err().to_string()
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
