//! Plan as a comment of a pull request: GitHub's Markdown, of limited length.
//!
//! Counts, warnings and drift come first. The changes are folded by subject. Texts of a plan are in
//! code blocks, in which no character has a meaning, or are escaped. A part that does not fit is
//! left out whole, and the number of resources that are left out is exact.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write};

use groundplan_engine::event::Operation;
use groundplan_engine::plan::{Action, IgnoredDifference};

use super::PlanView;
use super::plan::entries::{Entry, Section, counts_in_words, sections};
use super::plan::{
    Identity, ShownDrift, class_name, drift, drift_lines, estimated, ignored_in_words, left_lines,
    nothing_to_do, summary,
};
use super::{count, screen};

/// Greatest length in bytes. GitHub accepts 65,536 characters in a comment.
pub const LIMIT: usize = 65_536;
/// Part of the limit for each list before the changes.
const LIST: usize = 12_288;
/// Part of the limit for the lines that say what is left out, and for the frame of a subject.
const FRAME: usize = 256;

/// Writes the plan as Markdown.
///
/// # Errors
/// Returns an error if the writer fails.
pub fn plan(view: &PlanView<'_>, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(comment(view, LIMIT)?.as_bytes())
}

/// Writes only the drift as Markdown.
///
/// # Errors
/// Returns an error if the writer fails.
pub fn drift_only(view: &PlanView<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut text = format!("### {}\n\n**{}**\n", title(view), view.drift_verdict());
    warnings(view, &mut text);
    drifts(view, &mut text);
    out.write_all(text.as_bytes())
}

fn comment(view: &PlanView<'_>, limit: usize) -> io::Result<String> {
    // Lines do not depend on a terminal.
    let view = &PlanView { width: None, ..*view };
    let counts = match view.plan.is_empty() {
        true => nothing_to_do(view.plan),
        false => summary(view.plan),
    };
    let mut text = format!("### {}\n\n", title(view));
    if let Some(Identity { account, arn }) = view.identity {
        let _ = writeln!(text, "Account {}, as {}\n", escaped(account), escaped(arn));
    }
    dangers(view, &mut text);
    let _ = writeln!(text, "**{counts}**"); // writing to a String cannot fail
    for line in view.bill_lines().iter().filter(|line| line.len() <= LIST) {
        let _ = writeln!(text, "\n{}", escaped(line));
    }
    if let Some(line) = view.critical_path(estimated).flatten().filter(|line| line.len() <= LIST) {
        let _ = writeln!(text, "\n{}", escaped(&line));
    }
    warnings(view, &mut text);
    notes(view, &mut text);
    drifts(view, &mut text);
    ignored(view, &mut text);
    changes(view, limit, &mut text)?;
    Ok(text)
}

fn title(view: &PlanView<'_>) -> String {
    let verb = match view.plan.operation {
        Operation::Apply => "Plan for",
        Operation::Destroy => "Plan to destroy",
    };
    let Some(cluster) = &view.plan.cluster else { return "Plan".to_owned() };
    let (name, infra_id) = (escaped(&cluster.name), escaped(&cluster.infra_id));
    format!("{verb} cluster {name} ({infra_id}) in {}", escaped(&cluster.region))
}

/// Adds the dangers of the plan. Each is short: addresses of masters, and of the network.
fn dangers(view: &PlanView<'_>, text: &mut String) {
    let mut length = 0;
    let fits = |line: &String| {
        length += line.len();
        length <= LIST
    };
    let dangers = view.danger();
    let lines = dangers.iter().map(|one| format!("**DANGER**: {}\n\n", escaped(one)));
    text.extend(lines.take_while(fits));
}

fn warnings(view: &PlanView<'_>, text: &mut String) {
    let lines: Vec<_> = view.warnings.iter().map(|one| format!("- {}", escaped(one))).collect();
    list(text, "Warnings", &lines, |lines| lines.join("\n") + "\n", "warning");
}

/// Adds what the text for people says beside the plan, because a reader of a comment sees only it.
fn notes(view: &PlanView<'_>, text: &mut String) {
    let lines: Vec<_> = view.notes.iter().map(|one| format!("- {}", escaped(one))).collect();
    list(text, "Notes", &lines, |lines| lines.join("\n") + "\n", "note");
}

fn drifts(view: &PlanView<'_>, text: &mut String) {
    let lines = drift_lines(drift(view.plan, view.classify), view.full);
    let line = |(name, one): (String, ShownDrift<'_>)| {
        format!("{}  {}  {}", class_name(one.class), screen::one_line(&name), one.in_words())
    };
    let lines: Vec<_> = lines.into_iter().map(line).collect();
    list(text, "Changed outside groundplan", &lines, |lines| block("", lines), "line");
}

fn ignored(view: &PlanView<'_>, text: &mut String) {
    let lines = left_lines(view.plan, view.full);
    let line = |(name, (_, left)): (String, (_, &IgnoredDifference))| {
        format!("{}  {}", screen::one_line(&name), ignored_in_words(left))
    };
    let lines: Vec<_> = lines.into_iter().map(line).collect();
    list(text, "Not changed", &lines, |lines| block("", lines), "line");
}

/// Adds a list of limited length. The lines that do not fit are counted.
fn list(
    text: &mut String,
    title: &str,
    lines: &[String],
    form: impl Fn(&[String]) -> String,
    noun: &str,
) {
    if lines.is_empty() {
        return;
    }
    let mut length = 0;
    let fits = |line: &&String| {
        length += line.len() + 1;
        length <= LIST
    };
    let shown = lines.iter().take_while(fits).count();
    let _ = write!(text, "\n**{title}**\n\n{}", form(&lines[..shown])); // writing to a String cannot fail
    if shown < lines.len() {
        let _ = writeln!(text, "\n{} not shown.", more(lines.len() - shown, noun));
    }
}

fn more(number: usize, noun: &str) -> String {
    let counted = count(number, noun);
    let (number, noun) = counted.split_once(' ').unwrap_or((&counted, ""));
    format!("{number} more {noun}")
}

/// Returns lines as a code block. The fence is longer than any in the lines.
fn block(language: &str, lines: &[String]) -> String {
    let ticks = lines.iter().map(|line| longest_run(line)).max().unwrap_or(0);
    let fence = "`".repeat(ticks.max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}\n", lines.join("\n"))
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

fn changes(view: &PlanView<'_>, limit: usize, text: &mut String) -> io::Result<()> {
    let sections = sections(view.plan, view.describe, view.full);
    let mut texts = Vec::new();
    for section in &sections {
        let lines = section.entries.iter().map(|entry| lines(view, entry));
        texts.push(lines.collect::<io::Result<Vec<_>>>()?);
    }
    let shown = fitting(&sections, &texts, limit.saturating_sub(text.len()));
    let mut left_out = 0;
    for (place, (section, texts)) in sections.iter().zip(&texts).enumerate() {
        let is_shown = |index: &usize| shown.contains(&(place, *index));
        let all = 0..section.entries.len();
        let (here, missing): (Vec<_>, Vec<_>) = all.partition(is_shown);
        let missing: usize =
            missing.iter().map(|&index| section.entries[index].changes.len()).sum();
        left_out += missing;
        if here.is_empty() {
            continue;
        }
        let lines: Vec<String> = here.iter().map(|&index| texts[index].clone()).collect();
        let title = section.subject.title;
        let counts = counts_in_words(section);
        let cut = match missing {
            0 => String::new(),
            missing => format!("\n{} not shown.\n", more(missing, "resource")),
        };
        let body = block("diff", &lines);
        let _ = write!(
            text,
            "\n<details><summary>{title}: {counts}</summary>\n\n{body}{cut}\n</details>\n"
        );
    }
    if left_out > 0 {
        let _ = writeln!(
            text,
            "\n**{} not shown**, because a comment has a limited length. `groundplan show PLAN` shows all.",
            more(left_out, "resource")
        );
    }
    Ok(())
}

/// Returns the entries, by section and index, that fit into the limit. What a plan destroys comes
/// first, then updates, then creations.
fn fitting(
    sections: &[Section<'_>],
    texts: &[Vec<String>],
    limit: usize,
) -> BTreeSet<(usize, usize)> {
    let mut places = Vec::new();
    for (place, section) in sections.iter().enumerate() {
        for (index, entry) in section.entries.iter().enumerate() {
            places.push((importance(entry), place, index));
        }
    }
    places.sort_unstable();
    let mut left = limit.saturating_sub(FRAME * (sections.len() + 1));
    let mut shown = BTreeSet::new();
    for (_, place, index) in places {
        // A long run of backticks makes the fence as long, twice.
        let length = texts[place][index].len() + 1 + 2 * longest_run(&texts[place][index]);
        if length <= left {
            left -= length;
            shown.insert((place, index));
        }
    }
    shown
}

fn importance(entry: &Entry<'_>) -> u8 {
    match entry.first().action {
        action if action.destroys() => 0,
        Action::Update => 1,
        _ => 2,
    }
}

/// Returns an entry as the text for people has it, without colours. The symbol is at the beginning
/// of the first line, where GitHub gives it a colour.
fn lines(view: &PlanView<'_>, entry: &Entry<'_>) -> io::Result<String> {
    let mut written = Vec::new();
    let width = 0; // without columns, a diff is shorter
    view.write_entry(&mut anstream::StripStream::new(&mut written), entry, width)?;
    let text = String::from_utf8_lossy(&written);
    Ok(text.trim_matches([' ', '\n']).to_owned())
}

/// Returns a text without a meaning in Markdown and HTML: no markup, no link, no mention.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 16);
    let text = screen::one_line(text);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let is_before_space = rest.peek().is_none_or(|next| *next == ' ');
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            // A comment separates the sign from the name or number that it would link.
            '@' | '#' => {
                safe.push('\\');
                safe.push(c);
                safe.push_str("<!-- -->");
            }
            ':' if !is_before_space => safe.push_str(":<!-- -->"), // no bare address, no picture
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '!' | '|' | '~' | '$' => {
                safe.push('\\');
                safe.push(c);
            }
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use groundplan_engine::plan::{Change, DriftClass, FieldChange, Plan, Reason};
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::plan::tests::{DESCRIBE, change, plan};
    use super::*;

    fn view<'a>(plan: &'a Plan, warnings: &'a [String]) -> PlanView<'a> {
        let classify = |_: &str, _: &str| DriftClass::Functional;
        let (describe, width, identity) = (DESCRIBE, Some(80), None);
        PlanView {
            plan,
            full: false,
            warnings,
            classify,
            describe,
            width,
            identity,
            notes: &[],
            prices: None,
        }
    }

    fn written(plan: &Plan, warnings: &[String], limit: usize) -> String {
        comment(&view(plan, warnings), limit).unwrap()
    }

    fn created(address: &str, size: usize) -> Change {
        let after = Some(json!({"text": "x".repeat(size)}));
        Change { after, ..change(address, Action::Create, Reason::New) }
    }

    /// Returns the number of resources that a comment shows or counts as left out.
    fn told(text: &str) -> usize {
        let number = |line: &str| {
            let number = line.strip_prefix("**")?.split_once(" more resource")?.0;
            number.parse::<usize>().ok()
        };
        let left_out = text.lines().find_map(number).unwrap_or(0);
        let entry = |line: &str| {
            let rest = line.strip_prefix("+ ")?;
            let alike = rest.split_once("  ")?.1.split_once(" alike: ");
            Some(alike.and_then(|(number, _)| number.parse().ok()).unwrap_or(1))
        };
        left_out + text.lines().filter_map(entry).sum::<usize>()
    }

    #[test]
    fn counts_and_warnings_come_first_and_changes_are_folded_by_subject() {
        let plan = plan(vec![
            created("vpc.main", 2),
            change("instance.old-master", Action::Delete, Reason::NotInConfiguration),
        ]);
        assert_eq!(
            written(&plan, &["mind <the> gap, @all".to_owned()], LIMIT),
            r#"### Plan for cluster demo (demo-x7k2p) in us-west-2

**Plan: 1 to add, 0 to change, 1 to destroy.**

**Warnings**

- mind &lt;the&gt; gap, \@<!-- -->all

<details><summary>Network: 1 to add</summary>

```diff
+ vpc.main  text "xx"
```

</details>

<details><summary>Other: 1 to destroy</summary>

```diff
- instance.old-master  no longer in the configuration
```

</details>
"#
        );
    }

    #[test]
    fn notes_that_the_text_has_beside_the_plan_are_in_the_comment() {
        let plan = plan(vec![created("vpc.main", 2)]);
        let notes = ["bootstrap.ign is 30 hours old".to_owned()];
        let text = comment(&PlanView { notes: &notes, ..view(&plan, &[]) }, LIMIT).unwrap();
        assert!(text.contains("\n**Notes**\n\n- bootstrap.ign is 30 hours old\n"), "{text}");
    }

    #[test]
    fn dangers_come_right_after_the_title() {
        let zone = change("hosted_zone.int", Action::Delete, Reason::NotInConfiguration);
        let text = written(&plan(vec![zone]), &[], LIMIT);
        let begin = "### Plan for cluster demo (demo-x7k2p) in us-west-2\n\n**DANGER**: \
                     hosted\\_zone.int goes\n\n**Plan: 0 to add";
        assert!(text.starts_with(begin), "{text}");
    }

    #[test]
    fn what_is_destroyed_is_shown_first_and_the_rest_is_counted() {
        let mut changes: Vec<_> =
            (0..40).map(|n| created(&format!("vpc.{}-x", "ab".repeat(n + 1)), 100 + n)).collect();
        changes.push(change("instance.master-9", Action::Delete, Reason::Requested));
        let text = written(&plan(changes), &[], 3000);
        assert!(text.len() <= 3000, "{}", text.len());
        assert!(text.contains("- instance.master-9"), "{text}");
        assert!(text.contains("more resources not shown"), "{text}");
        assert_eq!(told(&text), 40, "{text}");
    }

    #[test]
    fn no_text_of_a_plan_is_markup() {
        let bad = "x</details>```\n# @all <img src=x> \u{1b}[2J\u{202e}[a](http://b)";
        let mut update = change("vpc.main", Action::Update, Reason::Changed);
        update.fields = vec![FieldChange {
            path: format!("tags.{bad}"),
            item: None,
            before: Some(json!(bad)),
            after: Some(json!("a")),
            replaces: false,
        }];
        let mut named = plan(vec![update, created("vpc.````", 1)]);
        named.cluster.as_mut().unwrap().name = bad.into();
        let text = written(&named, &[bad.to_owned()], LIMIT);
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        let mut fence = None;
        for line in text.lines() {
            let ticks = line.len() - line.trim_start_matches('`').len();
            match fence {
                None if ticks >= 3 => fence = Some(ticks),
                Some(open) if ticks >= open && line.len() == ticks => fence = None,
                Some(_) => {}
                None => {
                    let outside = line.replace("<!-- -->", "");
                    let ours = outside.starts_with("<details><summary>") || outside == "</details>";
                    assert!(ours || !outside.contains('<'), "{line}");
                    assert!(!outside.contains("](") && !line.contains("@all"), "{line}");
                }
            }
        }
        assert_eq!(fence, None, "{text}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_length_holds_and_no_resource_is_lost(
            sizes in prop::collection::vec((0_usize..400, "[a-z`<@|]{1,12}", 0_u32..4), 0..300),
            warnings in prop::collection::vec("[ -~]{0,300}", 0..200),
        ) {
            let changes: Vec<_> = sizes.iter().enumerate().map(|(n, (size, word, kind))| {
                created(&format!("{}.{word}{n}", ["vpc", "subnet", "a", "b"][*kind as usize]), *size)
            }).collect();
            let number = changes.len();
            let text = written(&plan(changes), &warnings, 20_000);
            prop_assert!(text.len() <= 20_000, "{}", text.len());
            prop_assert_eq!(told(&text), number);
        }
    }

    #[test]
    fn five_thousand_changes_fit_into_a_comment() {
        let sizes = (0..5000_usize).map(|n| (n * 7919) % 1500);
        let kinds = ["vpc", "subnet", "machine", "x"];
        let change = |(n, size): (usize, usize)| {
            let mut one = created(&format!("{}.n{n}x", kinds[n % 4]), size);
            if n % 11 == 0 {
                one.action = Action::Update;
                one.reason = Reason::Changed;
            }
            one
        };
        let warnings: Vec<_> = (0..500).map(|n| format!("warning {n} {}", "é".repeat(n))).collect();
        let text = written(&plan(sizes.enumerate().map(change).collect()), &warnings, LIMIT);
        assert!(text.len() <= LIMIT && text.len() > LIMIT * 9 / 10, "{}", text.len());
        let updates = text.lines().filter(|line| line.starts_with("~ ")).count();
        assert_eq!(told(&text) + updates, 5000);
    }
}
