//! `groundplan explain`: prints the page of a code, or the list of all codes.

use std::io::{self, Write};

use groundplan_openshift::diagnostics::{Rule, RuleSource, Severity, nearest};
use groundplan_openshift::release::ReleaseRange;

use crate::cli::args::ExplainArgs as Arguments;
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::render::{Code, CodeGroup, Diagnostic};

/// Width of a list, for terminals with 80 columns.
const WIDTH: usize = 80;

pub(crate) fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit> {
    let Some(given) = &arguments.code else {
        ui.document(write_list)?;
        return Ok(Exit::Done);
    };
    // A user may paste the brackets of the message, too.
    let name = given.trim_start_matches("error").trim_start_matches("warning");
    let name = name.trim_matches(['[', ']', ':']);
    let page = page(name).ok_or_else(|| unknown(name))?;
    ui.document(|out| out.write_all(page.as_bytes()))?;
    Ok(Exit::Done)
}

/// Returns the names of all codes and rules.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    Code::all().map(Code::name).chain(Rule::ALL.iter().map(|rule| rule.id()))
}

/// Returns the page of a code or a rule; `None` for another name.
fn page(name: &str) -> Option<String> {
    let of_rule = || Rule::ALL.iter().find(|rule| rule.id() == name).map(|rule| page_of(*rule));
    Code::named(name).map(|code| code.page().to_owned()).or_else(of_rule)
}

fn page_of(rule: Rule) -> String {
    let (severity, exit) = match rule.severity() {
        Severity::Error => ("an error", "3"),
        Severity::Warning => ("a warning", "0. It is a warning: the command continues"),
    };
    let releases = match rule.releases() {
        ReleaseRange::ALL => String::new(),
        releases => format!(" Only openshift-install {releases} has this rule."),
    };
    let requires = wrapped(&format!("The rule requires: {}.{releases}", rule.about()), "");
    let source = wrapped(source(rule.source()), "");
    let input = match rule.source() {
        RuleSource::MachineApi | RuleSource::Manifests | RuleSource::Machines => {
            "    groundplan manifests check cluster/openshift"
        }
        _ => "    groundplan validate",
    };
    let what = wrapped(
        &format!(
            "A finding with this code is {severity} in an input file. It has the file, the line, the value \
             found and the value expected."
        ),
        "",
    );
    format!(
        "# {}\n\nExit code: {exit}.\n\n## What happened\n\n{what}\n## Why\n\n{requires}\n{source}\n\
         ## What to do\n\nCorrect the field that the finding names. Check the file without calls to \
         AWS:\n\n{input}\n\n## See also\n\n- docs/validation.md, the table of all rules\n",
        rule.id()
    )
}

fn source(source: RuleSource) -> &'static str {
    match source {
        RuleSource::Installer | RuleSource::InstallerAws => {
            "openshift-install has the same rule, so it would reject the file, too, or report the same \
             warning."
        }
        RuleSource::Aws => "AWS would reject the value later, in the middle of a run.",
        RuleSource::Groundplan => {
            "Without the rule, the result would differ from what the file requests."
        }
        RuleSource::MachineApi => {
            "The Machine API or the API server of a cluster has the same rule for this object."
        }
        RuleSource::Manifests => {
            "EC2 or a cluster would reject the machine, or use it in another way."
        }
        RuleSource::Machines => "groundplan launches the machine itself, and needs this to do so.",
    }
}

fn unknown(name: &str) -> CommandError {
    let names: Vec<&str> = names().collect();
    let hint = match nearest(name, &names) {
        Some(near) => format!("did you mean `{near}`? Print its page: `groundplan explain {near}`"),
        None => "list all codes with `groundplan explain`".to_owned(),
    };
    let diagnostic = Diagnostic::error(Code::Usage, format!("no error has the code `{name}`"));
    CommandError::new(Exit::Usage, diagnostic.with_hint(hint))
}

/// Writes one line for each code, by group.
fn write_list(out: &mut dyn Write) -> io::Result<()> {
    for group in CodeGroup::ALL {
        writeln!(out, "{}", group.title())?;
        for code in group.codes() {
            write_entry(out, code.name(), code.meaning())?;
        }
        writeln!(out)?;
    }
    writeln!(out, "Rules for the install-config and manifests")?;
    for rule in Rule::ALL {
        write_entry(out, rule.id(), rule.about())?;
    }
    Ok(())
}

/// Writes a name and its meaning, which begins in the same column for all names.
fn write_entry(out: &mut dyn Write, name: &str, meaning: &str) -> io::Result<()> {
    let indent = " ".repeat(INDENT);
    let text = wrapped(meaning, &indent);
    let first = format!("  {name:<width$}", width = INDENT - 3);
    writeln!(out, "{first} {}", text.trim_start().trim_end())
}

/// Column of the meaning in the list: after the longest name.
const INDENT: usize = 30;

/// Returns a text in lines of at most [`WIDTH`] columns, each with this indentation and an end of line.
fn wrapped(text: &str, indent: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{indent}{word}")),
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    const SECTIONS: [&str; 4] = ["## What happened", "## Why", "## What to do", "## See also"];

    fn docs() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/errors")
    }

    fn check_form(name: &str, page: &str) {
        assert!(page.starts_with(&format!("# {name}\n\nExit code: ")), "{name}");
        let headings: Vec<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(headings, SECTIONS, "{name}");
        for line in page.lines() {
            assert!(line.chars().count() <= WIDTH, "{name}: {line}");
            assert_eq!(line, line.trim_end(), "{name}");
        }
        for section in page.split("## ").skip(1) {
            let body = section.split_once('\n').map_or("", |(_, body)| body.trim());
            assert!(body.len() > 15, "{name}: {section}");
        }
    }

    #[test]
    fn every_code_and_rule_has_a_page_of_the_same_form() {
        for name in names() {
            check_form(name, &page(name).unwrap());
        }
    }

    #[test]
    fn no_two_codes_or_rules_have_the_same_name() {
        let all: Vec<&str> = names().collect();
        let distinct: BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!(distinct.len(), all.len());
        let is_plain = |c: char| c.is_ascii_lowercase() || c == '-';
        for code in Code::all() {
            assert!(code.name().chars().all(is_plain), "{}", code.name());
            assert!(code.name().len() < INDENT - 3, "{}", code.name());
        }
    }

    #[test]
    fn every_page_belongs_to_a_code() {
        let entries = fs::read_dir(docs()).unwrap().map(|entry| entry.unwrap().file_name());
        let files: BTreeSet<String> = entries.map(|name| name.into_string().unwrap()).collect();
        let mut expected: BTreeSet<String> =
            Code::all().map(|code| format!("{}.md", code.name())).collect();
        expected.insert("README.md".to_owned());
        assert_eq!(files, expected);
    }

    #[test]
    fn the_links_of_the_pages_lead_to_files() {
        for code in Code::all() {
            for link in code.page().split("](").skip(1) {
                let target = link.split([')', '#']).next().unwrap();
                assert!(docs().join(target).is_file(), "{}: {target}", code.name());
            }
        }
    }

    #[test]
    fn the_exit_codes_of_a_page_are_those_of_its_code() {
        let known: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        for code in Code::all() {
            let line = code.page().lines().nth(2).unwrap();
            let numbers = line.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty());
            let mut numbers: Vec<u8> = numbers.map(|word| word.parse().unwrap()).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, code.exits(), "{}", code.name());
            assert!(numbers.iter().all(|number| known.contains(number)), "{}", code.name());
        }
    }

    /// `RECORD=1 cargo test explain` writes the index anew.
    #[test]
    fn the_index_has_every_code() {
        let mut text = String::from(
            "# Codes of errors and warnings\n\n\
             Each error and warning begins with its code: `error[state-locked]: ...`. `groundplan explain \
             CODE` prints the page of a code, `groundplan explain` the list. A code is stable: it never \
             changes its meaning. JSON output has it as `code`. A warning has exit code 0. Findings in an \
             install-config or manifest have the name of their rule as their code: see \
             [validation.md](../validation.md).\n\n\
             A test writes this page and compares it with the program.\n",
        );
        for group in CodeGroup::ALL {
            text.push_str(&format!(
                "\n## {}\n\n| code | meaning | exit code |\n|---|---|---:|\n",
                group.title()
            ));
            for code in group.codes() {
                let name = code.name();
                let exits: Vec<String> = code.exits().iter().map(u8::to_string).collect();
                let exits = exits.join(", ");
                text.push_str(&format!("| [{name}]({name}.md) | {} | {exits} |\n", code.meaning()));
            }
        }
        let file = docs().join("README.md");
        if std::env::var_os("RECORD").is_some() {
            fs::write(&file, &text).unwrap();
        }
        assert!(fs::read_to_string(file).unwrap() == text, "RECORD=1 cargo test explain");
    }

    #[test]
    fn the_list_fits_80_columns_and_has_each_name_once() {
        let mut list = Vec::new();
        write_list(&mut list).unwrap();
        let list = String::from_utf8(list).unwrap();
        for line in list.lines() {
            let is_word = line.split_whitespace().count() == 1;
            assert!(line.chars().count() <= WIDTH || is_word, "{line}");
        }
        for name in names() {
            let lines = list.lines().filter(|line| line.split_whitespace().next() == Some(name));
            let entries = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
            assert_eq!(entries.count(), 1, "{name}");
        }
    }

    #[test]
    fn an_unknown_code_is_rejected_with_the_nearest_one() {
        let failure = unknown("state-lockd");
        assert_eq!(failure.exit, Exit::Usage);
        let hint = failure.diagnostics[0].hint.as_deref().unwrap();
        assert!(hint.contains("groundplan explain state-locked"), "{hint}");
        let hint = unknown("zzz").diagnostics[0].hint.clone().unwrap();
        assert!(hint.contains("`groundplan explain`"), "{hint}");
    }
}
