//! Runs the cases in the text files beside this file. A case changes a piece of an install-config
//! and lists the exact findings, as text and as JSON.
//!
//! A case begins with `=== ` and its name, followed by these parts in this order:
//!
//! - lines that begin with `#`: the reason for the case;
//! - `base: NAME`, if the changed config is not `two_pools`;
//! - `release: X.Y`, if the config is for a release;
//! - the change, in the form of a diff (see below), or `bytes: ` and the whole file, with the
//!   escapes of Rust;
//! - `---`, and the output of `groundplan validate`, or `fine`;
//! - `--- json`, and the same findings for programs.
//!
//! The change consists of groups separated by `@@`. Lines with ` ` and `-` must occur in the base,
//! exactly once as a group. Lines with ` ` and `+` replace them. A group with only `+` is appended
//! to the file.
//!
//! `GROUNDPLAN_BLESS=1 cargo test -p groundplan-openshift install_config::tests::cases` writes the
//! current findings of each case. Review the difference before a commit.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::diagnostics::{RuleSource, Severity};
use crate::install_config::document::FIELD_RELEASES;
use crate::release::{Release, ReleaseRange};

pub(super) const SMALLEST: &str = include_str!("smallest.yaml");

/// The file name in findings.
const FILE: &str = "install-config.yaml";

/// A case as written.
struct ConfigCase {
    name: String,
    /// All lines above the expected findings.
    head: Vec<String>,
    expected: String,
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/install_config/tests/cases");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "txt")).collect();
    files.sort();
    files
}

fn cases(file: &Path) -> Vec<ConfigCase> {
    let text = fs::read_to_string(file).unwrap();
    let cases = format!("\n{text}");
    let cases = cases.split("\n=== ").skip(1);
    cases.map(|case| parse(case).unwrap_or_else(|| panic!("{}: {case}", file.display()))).collect()
}

fn parse(text: &str) -> Option<ConfigCase> {
    let (head, expected) = text.split_once("\n---\n").unwrap_or((text.trim_end(), ""));
    let mut lines = head.lines().map(str::to_owned);
    let name = lines.next()?;
    Some(ConfigCase { name, head: lines.collect(), expected: format!("{}\n", expected.trim_end()) })
}

impl ConfigCase {
    /// Returns the file that the case validates.
    fn input(&self) -> Vec<u8> {
        let lines = self.head.iter().map(String::as_str);
        let lines = lines.filter(|line| !line.starts_with("release: "));
        let mut lines = lines.skip_while(|line| line.starts_with('#')).peekable();
        let mut base = TWO_POOLS;
        match lines.peek().and_then(|line| line.split_once(": ")) {
            Some(("bytes", escaped)) => return unescaped(escaped),
            Some(("base", "smallest")) => base = SMALLEST,
            _ => return self.changed(base, &lines.collect::<Vec<_>>()),
        }
        self.changed(base, &lines.skip(1).collect::<Vec<_>>())
    }

    /// Returns the release that the config is for.
    fn release(&self) -> Option<Release> {
        let line = self.head.iter().find_map(|line| line.strip_prefix("release: "));
        line.map(|release| release.parse().expect("a release"))
    }

    fn changed(&self, base: &str, lines: &[&str]) -> Vec<u8> {
        let groups = lines.split(|line| *line == "@@");
        groups.fold(base.to_owned(), |text, group| self.exchanged(&text, group)).into()
    }

    fn exchanged(&self, text: &str, group: &[&str]) -> String {
        let side = |marks: [char; 2]| -> String {
            let of_side = group.iter().filter_map(|line| line.strip_prefix(marks));
            of_side.map(|line| format!("{line}\n")).collect()
        };
        let marked = group.iter().all(|line| line.starts_with([' ', '-', '+']));
        assert!(marked, "{}: a line of a change begins with ` `, `-` or `+`", self.name);
        let (old, new) = (format!("\n{}", side([' ', '-'])), format!("\n{}", side([' ', '+'])));
        let text = format!("\n{text}");
        if old == "\n" {
            return format!("{}{}", &text[1..], &new[1..]);
        }
        assert_eq!(text.matches(&old).count(), 1, "{}: is once in the base: {old}", self.name);
        text.replacen(&old, &new, 1)[1..].to_owned()
    }

    /// Returns the findings in the format of the case file.
    fn said(&self) -> String {
        let bytes = self.input();
        let (ParseOutcome { config, findings }, text) = read_bytes_for(&bytes, self.release());
        let errors = findings.iter().any(|finding| finding.severity() == Severity::Error);
        assert_eq!(config.is_none(), errors, "{}: a config, or errors", self.name);
        if findings.is_empty() {
            return "fine\n".to_owned();
        }
        let people = render(&findings, FILE, &text, false);
        format!("{people}--- json\n{}", lines_for_programs(&findings, FILE))
    }

    fn written(&self, said: &str) -> String {
        let head: String = self.head.iter().map(|line| format!("{line}\n")).collect();
        format!("=== {}\n{head}---\n{said}", self.name)
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match if c == '\\' { rest.next() } else { None } {
            None => bytes.extend(c.to_string().bytes()),
            Some('n') => bytes.push(b'\n'),
            Some('r') => bytes.push(b'\r'),
            Some('t') => bytes.push(b'\t'),
            Some('0') => bytes.push(0),
            Some('x') => {
                let digits: String = rest.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&digits, 16).expect("two hexadecimal digits"));
            }
            Some(other) => panic!("`\\{other}` is no escape here"),
        }
    }
    bytes
}

fn all() -> Vec<ConfigCase> {
    files().iter().flat_map(|file| cases(file)).collect()
}

/// Returns the names and texts of all cases without findings.
pub(super) fn fine() -> impl Iterator<Item = (String, String)> {
    let texts = all().into_iter().filter(|case| case.release().is_none()).map(|case| {
        let text = String::from_utf8(case.input());
        (case.name, text.unwrap_or_default())
    });
    texts.filter(|(_, text)| !text.is_empty() && read(text).findings.is_empty())
}

#[test]
fn every_case_says_exactly_this() {
    let bless = std::env::var_os("GROUNDPLAN_BLESS").is_some();
    for file in files() {
        let cases = cases(&file);
        let said: Vec<String> = cases.iter().map(ConfigCase::said).collect();
        if bless {
            let written = cases.iter().zip(&said).map(|(case, said)| case.written(said));
            fs::write(&file, written.collect::<Vec<_>>().join("\n")).unwrap();
            continue;
        }
        for (case, said) in cases.iter().zip(&said) {
            assert_eq!(&case.expected, said, "{}: {}", file.display(), case.name);
        }
    }
}

#[test]
fn there_are_many_cases_and_no_two_have_the_same_name() {
    let cases = all();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "names");
    assert!(cases.len() >= 150, "only {} cases", cases.len());
}

#[test]
fn every_rule_is_broken_by_a_case() {
    let broken: BTreeSet<Rule> = all()
        .iter()
        .flat_map(|case| read_bytes_for(&case.input(), case.release()).0.findings)
        .map(|finding| finding.rule)
        .collect();
    // Only AWS lookups violate `AtAws`, and this test has none. Rules for machines have their own
    // cases.
    let is_here = |rule: &&Rule| {
        let is_of_machines = matches!(
            rule.source(),
            RuleSource::MachineApi | RuleSource::Manifests | RuleSource::Machines
        );
        **rule != Rule::AtAws && !is_of_machines
    };
    let offline = Rule::ALL.iter().filter(is_here);
    let kept: Vec<&str> =
        offline.filter(|rule| !broken.contains(rule)).map(|rule| rule.id()).collect();
    assert_eq!(kept, [""; 0], "rules without a case");
}

#[test]
fn a_rule_has_one_name_and_a_name_one_rule() {
    let ids: BTreeMap<&str, &Rule> = Rule::ALL.iter().map(|rule| (rule.id(), rule)).collect();
    assert_eq!(ids.len(), Rule::ALL.len());
    let plain = |id: &str| id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    assert!(ids.keys().all(|id| plain(id)), "{:?}", ids.keys());
}

#[test]
fn the_page_lists_the_rules() {
    on_page("<!-- rules -->\n", &table());
}

#[test]
fn the_page_lists_the_fields_of_some_releases() {
    on_page("<!-- fields -->\n", &fields());
}

/// Compares lines of the page with `expected`, or writes them.
fn on_page(begin: &str, expected: &str) {
    // Two tests write the page.
    static PAGE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _page = PAGE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/validation.md");
    let page = fs::read_to_string(&file).unwrap();
    let (before, rest) = page.split_once(begin).unwrap();
    let (listed, after) = rest.split_once("<!-- end").unwrap();
    if std::env::var_os("GROUNDPLAN_BLESS").is_some() {
        fs::write(&file, format!("{before}{begin}{expected}<!-- end{after}")).unwrap();
    } else {
        assert_eq!(listed, expected);
    }
}

/// Returns a line for each field of some releases, with its section.
fn fields() -> String {
    let mut lines = String::new();
    for (section, fields) in FIELD_RELEASES {
        // The text between the first and the last backtick; nothing for the whole file.
        let named = section.split_once('`').and_then(|(_, rest)| rest.rsplit_once('`'));
        let place = named.map_or_else(String::new, |(place, _)| format!(" of `{place}`"));
        for (name, releases) in fields.iter().filter(|(_, one)| *one != ReleaseRange::ALL) {
            lines.push_str(&format!("| `{name}`{place} | {releases} |\n"));
        }
    }
    format!("| field | releases |\n|---|---|\n{lines}")
}

fn table() -> String {
    let rows = Rule::ALL.iter().map(|rule| {
        let severity = match rule.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let source = match rule.source() {
            RuleSource::Installer => "installer",
            RuleSource::InstallerAws => "installer, aws",
            RuleSource::Aws => "AWS",
            RuleSource::Groundplan => "groundplan",
            RuleSource::Manifests => "groundplan manifests",
            RuleSource::Machines => "groundplan machines",
            RuleSource::MachineApi => "machine api",
        };
        let releases = match rule.releases() {
            ReleaseRange::ALL => String::new(),
            releases => releases.to_string(),
        };
        let (id, about) = (rule.id(), rule.about());
        format!("| `{id}` | {severity} | {releases} | {about} | {source} |\n")
    });
    format!(
        "| rule | breaking it is | releases | what it asks for | set by |\n|---|---|---|---|---|\n{}",
        rows.collect::<String>()
    )
}
