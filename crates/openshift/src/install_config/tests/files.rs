//! Damaged, unusual and hostile files, and the rendering of findings.

use super::*;
use crate::diagnostics::{Severity, for_programs, read_bounded};

#[test]
fn byte_order_marks_and_windows_line_ends_are_read_and_places_stay_right() {
    let windows = format!("\u{feff}{}", TWO_POOLS.replace('\n', "\r\n"));
    fine(&windows);
    let wrong = windows.replace("authentication: Required", "authentication: required");
    assert_eq!(underlined(&wrong), "required");
    let first = windows.replacen("apiVersion: v1", "apiVersion: v2", 1);
    let place = read(&first).findings[0].place.unwrap();
    assert_eq!((place.line, place.column), (1, 13));
}

#[test]
fn a_damaged_file_is_one_finding() {
    for (text, expected) in [
        (String::new(), ": the file is empty"),
        ("# nothing\n".into(), ": the file is empty"),
        (format!("{TWO_POOLS}---\na: b\n"), ": the file has several YAML documents"),
        (with(&[("  hyperthreading", "\thyperthreading")]), ": not YAML: tabs"),
        (
            with(&[("  name: master", "   name: master")]),
            ": not YAML: mapping values are not allowed",
        ),
        (with(&[("}}'\n", "}}\n")]), ": not YAML: unclosed quote"),
        ("[".repeat(20_000), ": the file is too large after the expansion"),
    ] {
        one_error(&text, expected);
    }
}

#[test]
fn a_finding_is_shown_with_its_line_and_what_to_type() {
    let text = with(&[("authentication: Required", "authentication: required")]);
    let shown = render(&read(&text).findings, "install-config.yaml", &text, false);
    assert_eq!(
        shown,
        "\
error[authentication]: controlPlane.platform.aws.metadataService.authentication: found `required`
  --> install-config.yaml:17:25
   |
17 |         authentication: required
   |                         ^^^^^^^^ expected `Required` or `Optional`
   |
   = help: did you mean `Required`?
"
    );
}

#[test]
fn a_finding_without_a_place_names_the_file() {
    let shown = render(&read("").findings, "install-config.yaml", "", false);
    assert_eq!(shown, "error[empty]: the file is empty\n--> install-config.yaml\n");
    let text = with(&[("baseDomain: example.com\n", "")]);
    let shown = render(&read(&text).findings, "install-config.yaml", &text, false);
    assert!(
        shown.starts_with("error[missing]: baseDomain: is missing\n--> install-config.yaml\n"),
        "{shown}"
    );
    assert!(shown.contains("note: expected `baseDomain` to be set"), "{shown}");
}

#[test]
fn several_findings_are_shown_apart() {
    let text = with(&[("Required", "required"), ("External", "external")]);
    let shown = render(&read(&text).findings, "c.yaml", &text, false);
    assert_eq!(shown.matches("error[").count(), 2);
    assert!(shown.contains("\n\nerror[publish]: publish"), "{shown}");
}

#[test]
fn colour_is_there_only_where_it_is_wanted() {
    let text = with(&[("Required", "required")]);
    let findings = read(&text).findings;
    assert!(!render(&findings, "c.yaml", &text, false).contains('\u{1b}'));
    assert!(render(&findings, "c.yaml", &text, true).contains('\u{1b}'));
}

#[test]
fn findings_serialise_for_programs() {
    let text = with(&[("Required", "required")]);
    let findings = read(&text).findings;
    let json = serde_json::to_value(for_programs(&findings[0], "c.yaml")).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "severity": "error",
            "code": "authentication",
            "rule": "authentication",
            "summary": "found `required`",
            "file": "c.yaml",
            "path": "controlPlane.platform.aws.metadataService.authentication",
            "line": 17,
            "column": 25,
            "end_line": 17,
            "end_column": 33,
            "expected": "`Required` or `Optional`",
            "hint": "did you mean `Required`?",
        })
    );
}

#[test]
fn every_prefix_and_every_lost_line_is_read_without_panic_and_shown() {
    let lines: Vec<&str> = TWO_POOLS.split_inclusive('\n').collect();
    for lost in 0..lines.len() {
        let without: String = lines[..lost].iter().chain(&lines[lost + 1..]).copied().collect();
        render(&read(&without).findings, "c.yaml", &without, false);
    }
    for end in (0..TWO_POOLS.len()).step_by(7) {
        let prefix = &TWO_POOLS[..end];
        render(&read(prefix).findings, "c.yaml", prefix, false);
    }
}

#[test]
fn no_more_is_read_than_it_takes_to_see_that_it_is_too_much() {
    let bytes = read_bounded(std::io::repeat(b'a')).unwrap();
    assert_eq!(bytes.len(), text::MOST_BYTES + 1);
    let (outcome, shown) = read_bytes(&bytes);
    assert_eq!(outcome.findings[0].rule, Rule::FileSize);
    assert_eq!((outcome.findings.len(), &*shown), (1, ""));
    one_error(&"a".repeat(text::MOST_BYTES + 1), ": the file is too large");
}

#[test]
fn the_largest_file_and_the_largest_value_are_read_and_not_shown() {
    let comment = format!("{TWO_POOLS}#{}", "x".repeat(text::MOST_BYTES - TWO_POOLS.len() - 1));
    fine(&comment);
    let value = format!("baseDomain: {}\n", "x".repeat(text::MOST_BYTES / 2));
    let text = with(&[("baseDomain: example.com\n", &value)]);
    one_error(&text, "baseDomain: found a value that is not shown here");
    let shown = render(&read(&text).findings, "c.yaml", &text, false);
    assert!(shown.len() < 1000, "{} bytes", shown.len());
}

#[test]
fn what_is_not_text_shows_no_secret_either() {
    let mut bytes = TWO_POOLS.as_bytes().to_vec();
    let secret = TWO_POOLS.find("ZXhhbXBsZS11c2Vy").unwrap();
    bytes[secret + 3] = 0xFF;
    let (outcome, text) = read_bytes(&bytes);
    let shown = render(&outcome.findings, "c.yaml", &text, false);
    assert!(shown.contains("pullSecret: <not shown>") && !shown.contains("ZXh"), "{shown}");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(128))]

    #[test]
    fn whatever_is_typed_over_a_piece_is_read_without_panic_and_shown(
        start in 0..TWO_POOLS.len(),
        length in 0..200_usize,
        typed in "[ -~é\t\n:{}\\[\\]'\"&*|>-]{0,40}",
    ) {
        let end = (start + length).min(TWO_POOLS.len());
        let text = format!("{}{typed}{}", &TWO_POOLS[..start], &TWO_POOLS[end..]);
        let outcome = read(&text);
        render(&outcome.findings, "c.yaml", &text, true);
        let (again, _) = read_bytes(text.as_bytes());
        proptest::prop_assert!(text.contains('\0') || again.findings == outcome.findings);
        let errors = outcome.findings.iter().any(|finding| finding.severity() == Severity::Error);
        proptest::prop_assert_eq!(outcome.config.is_none(), errors);
    }
}
