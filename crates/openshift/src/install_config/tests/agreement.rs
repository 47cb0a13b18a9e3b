//! Agreement with the verdicts of openshift-install, by release.
//!
//! `upstream/cases.txt` has the configs and the verdicts; `upstream/disagreements.txt` has a reason
//! for each case that groundplan judges otherwise. Each case is read for the release of the verdict.
//!
//! `RECORD=1 cargo test -p groundplan-openshift agreement` writes `docs/validation-agreement.md`. A
//! disagreement without a reason fails, and so does a reason without a disagreement.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::diagnostics::Severity;
use crate::release::Release;

const CASES: &str = include_str!("upstream/cases.txt");
const DISAGREEMENTS: &str = include_str!("upstream/disagreements.txt");

/// A config, and the verdict of each release.
struct UpstreamCase<'a> {
    id: &'a str,
    name: &'a str,
    verdicts: Vec<(Release, &'a str)>,
    config: String,
}

fn cases() -> Vec<UpstreamCase<'static>> {
    let mut cases: Vec<UpstreamCase> = Vec::new();
    for text in CASES.split("\n=== ").skip(1) {
        let (head, config) = text.split_once("\n---\n").expect("a case has a config");
        let mut lines = head.lines();
        let (id, name) = lines.next().and_then(|line| line.split_once(' ')).expect("ID NAME");
        let verdict = |line: &'static str| {
            let (release, verdict) = line.split_once(' ').expect("RELEASE VERDICT");
            (release.parse().expect("a release"), verdict)
        };
        let before = cases.last().map_or("", |case| case.config.as_str());
        let config = whole(config, before);
        cases.push(UpstreamCase { id, name, verdicts: lines.map(verdict).collect(), config });
    }
    cases
}

/// Returns a config that is written as the difference from another one.
fn whole(difference: &str, before: &str) -> String {
    let before: Vec<&str> = before.split('\n').collect();
    let mut lines = Vec::new();
    for line in difference.lines() {
        match line.split_at(1) {
            ("+", new) => lines.push(new),
            ("=", range) => {
                let (first, last) = range.split_once(',').expect("=A,B");
                let at = |text: &str| text.parse::<usize>().expect("a line");
                lines.extend(&before[at(first) - 1..at(last)]);
            }
            _ => panic!("{line:?} is no difference"),
        }
    }
    lines.join("\n")
}

/// A reason for disagreements, and the program that is right.
struct Reason {
    right: &'static str,
    about: &'static str,
}

type Reasons = BTreeMap<&'static str, Reason>;
type ReasonOfCases = BTreeMap<(Release, &'static str), &'static str>;

/// Returns the reasons by name, and the reason of each case by release and ID.
fn reasons() -> (Reasons, ReasonOfCases) {
    let (mut reasons, mut of_cases) = (BTreeMap::new(), BTreeMap::new());
    for line in DISAGREEMENTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(reason) = line.strip_prefix("reason ") {
            let parts: Vec<&str> = reason.splitn(3, " | ").collect();
            let [name, right, about] = *parts else { panic!("{line:?} is no reason") };
            reasons.insert(name, Reason { right, about });
            continue;
        }
        let words: Vec<&str> = line.split(' ').collect();
        let [release, id, name] = *words else { panic!("{line:?} is no case") };
        assert!(reasons.contains_key(name), "{line:?}: no reason is called {name}");
        let twice = of_cases.insert((release.parse().expect("a release"), id), name);
        assert_eq!(twice, None, "{line:?} is there twice");
    }
    (reasons, of_cases)
}

/// Numbers of cases for one release.
#[derive(Default)]
struct Count {
    both_accept: usize,
    both_refuse: usize,
    only_ours_refuses: usize,
    only_theirs_refuses: usize,
    /// Disagreements in which groundplan is right.
    ours_is_right: usize,
}

impl Count {
    fn all(&self) -> usize {
        self.agreed() + self.only_ours_refuses + self.only_theirs_refuses
    }

    fn agreed(&self) -> usize {
        self.both_accept + self.both_refuse
    }

    fn percent(&self, cases: usize) -> String {
        let tenths = cases * 1000 / self.all();
        format!("{}.{} %", tenths / 10, tenths % 10)
    }
}

/// A case that groundplan judges otherwise.
struct Disagreement<'a> {
    release: Release,
    case: &'a UpstreamCase<'a>,
    verdict: &'a str,
    findings: Vec<Finding>,
}

impl Disagreement<'_> {
    /// Returns the line about the side that refuses.
    fn line(&self) -> String {
        let name = &self.case.name;
        let errors = self.findings.iter().filter(|one| one.severity() == Severity::Error);
        let mut errors: Vec<String> =
            errors.map(|one| format!("`{}` {}", one.rule.id(), one.path)).collect();
        errors.dedup();
        match self.verdict.strip_prefix("refused") {
            Some(fields) => format!("{name}: openshift-install refuses{fields}"),
            None => format!("{name}: groundplan refuses {}", errors.join(", ")),
        }
    }
}

fn compare<'a>(cases: &'a [UpstreamCase]) -> (BTreeMap<Release, Count>, Vec<Disagreement<'a>>) {
    let (mut counts, mut disagreements) = (BTreeMap::<Release, Count>::new(), Vec::new());
    for case in cases {
        for (release, verdict) in &case.verdicts {
            let outcome = read_for(&case.config, Some(*release));
            let count = counts.entry(*release).or_default();
            let accepted = outcome.config.is_some();
            let number = match (accepted, *verdict == "accepted") {
                (true, true) => &mut count.both_accept,
                (false, false) => &mut count.both_refuse,
                (false, true) => &mut count.only_ours_refuses,
                (true, false) => &mut count.only_theirs_refuses,
            };
            *number += 1;
            if accepted != (*verdict == "accepted") {
                let (release, findings) = (*release, outcome.findings);
                disagreements.push(Disagreement { release, case, verdict, findings });
            }
        }
    }
    (counts, disagreements)
}

#[test]
fn cases_of_both_releases_are_whole() {
    let cases = cases();
    assert_eq!(cases.len(), 577);
    for case in &cases {
        let releases: Vec<String> =
            case.verdicts.iter().map(|(release, _)| release.to_string()).collect();
        assert_eq!(releases, ["4.15", "5.0"], "{}", case.name);
        assert!(case.config.len() > 30, "{}: {}", case.name, case.config);
    }
}

#[test]
fn every_disagreement_with_openshift_install_has_a_reason_on_the_page() {
    let cases = cases();
    let (mut counts, disagreements) = compare(&cases);
    let (reasons, of_cases) = reasons();
    let mut left = of_cases.clone();
    let mut without = String::new();
    for one in &disagreements {
        match left.remove(&(one.release, one.case.id)).and_then(|name| reasons.get(name)) {
            Some(Reason { right: "groundplan", .. }) => {
                counts.entry(one.release).or_default().ours_is_right += 1;
            }
            Some(_) => (),
            None => {
                let _ = writeln!(without, "{} {} {}", one.release, one.case.id, one.line());
            }
        }
    }
    assert!(without.is_empty(), "disagreements without a reason:\n{without}");
    assert!(left.is_empty(), "reasons without a disagreement: {left:?}");

    let page = page(&counts, &disagreements, (&reasons, &of_cases));
    if std::env::var_os("RECORD").is_some() {
        fs::write(file(), &page).unwrap();
    }
    assert_eq!(fs::read_to_string(file()).unwrap_or_default(), page, "write it with RECORD=1");
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/validation-agreement.md")
}

fn page(
    counts: &BTreeMap<Release, Count>,
    disagreements: &[Disagreement],
    (reasons, of_cases): (&Reasons, &ReasonOfCases),
) -> String {
    let mut page = INTRODUCTION.to_owned();
    for (release, count) in counts {
        let _ = writeln!(
            page,
            "| {release} | {} | {} | {} | {} | {} | {} |",
            count.both_accept,
            count.both_refuse,
            count.only_ours_refuses,
            count.only_theirs_refuses,
            count.percent(count.agreed()),
            count.percent(count.agreed() + count.ours_is_right),
        );
    }
    page.push_str(SECTION);
    for (name, reason) in reasons {
        let is_of = |one: &&Disagreement| of_cases.get(&(one.release, one.case.id)) == Some(name);
        let _ = writeln!(page, "\n### {name}\n\nRight: {}. {}.\n", reason.right, reason.about);
        for one in disagreements.iter().filter(is_of) {
            let _ = writeln!(page, "- {}, {}", one.release, one.line());
        }
    }
    page
}

const INTRODUCTION: &str = "\
# Agreement with openshift-install

`groundplan validate --release X.Y` and openshift-install of that release read the same install-configs. This page compares their verdicts: accepted or
refused. A test computes the page from `crates/openshift/src/install_config/tests/upstream/cases.txt`; `RECORD=1 cargo test -p groundplan-openshift
agreement` writes it. The rules are in [validation.md](validation.md).

The verdicts of 4.15 are those of openshift/installer release-4.15 (2024-08), and those of 5.0 of main (2026-08). An unknown field counts as refused by 5.0,
as it is for a person.

| release | both accept | both refuse | only groundplan refuses | only openshift-install refuses | agreement | agreement, or groundplan is right |
|---|---|---|---|---|---|---|
";

const SECTION: &str = "
## Disagreements

Each case that one of the two refuses, by reason. The name says where the case is from: the tests of a release, or `hand` for a config of its own.
";
