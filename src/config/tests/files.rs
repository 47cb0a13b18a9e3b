//! Files as they come: damaged, odd, hostile; and how findings are shown.

use super::*;

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
        (format!("{TWO_POOLS}---\na: b\n"), ": there are several YAML documents"),
        (with(&[("  hyperthreading", "\thyperthreading")]), ": not YAML: tabs"),
        (
            with(&[("  name: master", "   name: master")]),
            ": not YAML: mapping values are not allowed",
        ),
        (with(&[("}}'\n", "}}\n")]), ": not YAML: unclosed quote"),
        ("[".repeat(20_000), ": the file unfolds to more"),
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
error: controlPlane.platform.aws.metadataService.authentication: found `required`
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
    assert_eq!(shown, "error: the file is empty\n--> install-config.yaml\n");
    let text = with(&[("baseDomain: example.com\n", "")]);
    let shown = render(&read(&text).findings, "install-config.yaml", &text, false);
    assert!(
        shown.starts_with("error: baseDomain: is missing\n--> install-config.yaml\n"),
        "{shown}"
    );
    assert!(shown.contains("note: expected `baseDomain` to be set"), "{shown}");
}

#[test]
fn several_findings_are_shown_apart() {
    let text = with(&[("Required", "required"), ("External", "external")]);
    let shown = render(&read(&text).findings, "c.yaml", &text, false);
    assert_eq!(shown.matches("error: ").count(), 2);
    assert!(shown.contains("\n\nerror: publish"), "{shown}");
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
    let json = serde_json::to_value(read(&text).findings).unwrap();
    let start = text.find("required").unwrap();
    assert_eq!(
        json,
        serde_json::json!([{
            "severity": "error",
            "path": "controlPlane.platform.aws.metadataService.authentication",
            "place": {"line": 17, "column": 25, "start": start, "end": start + 8},
            "message": "found `required`",
            "expected": "`Required` or `Optional`",
            "hint": "did you mean `Required`?",
        }])
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
        let errors = outcome.findings.iter().any(|finding| finding.severity == Severity::Error);
        proptest::prop_assert_eq!(outcome.config.is_none(), errors);
    }
}
