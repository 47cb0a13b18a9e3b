//! Words and symbols of a plan: Terraform's where Terraform has some, because users know those.

use anstyle::Style;
use groundplan_engine::plan::{Action, DriftClass, FieldChange, IgnoreReason, Reason};
use serde_json::Value;

use crate::render::palette::{CREATE, DELETE, ERROR, FAINT, UPDATE};
use crate::render::screen;
use crate::render::value::{SENSITIVE, inline, is_sensitive, is_unknown, line_diff, lines, target};

pub(super) fn symbol(action: Action) -> &'static str {
    match action {
        Action::Keep => "",
        Action::Create | Action::Finish => "+",
        Action::Update => "~",
        Action::DeleteThenCreate => "-/+",
        Action::CreateThenDelete => "+/-",
        Action::Delete => "-",
    }
}

pub(super) fn style(action: Action) -> Style {
    match action {
        Action::Keep => Style::new(),
        Action::Create | Action::Finish => CREATE,
        Action::Update => UPDATE,
        Action::DeleteThenCreate | Action::CreateThenDelete | Action::Delete => DELETE,
    }
}

pub(super) fn class(class: DriftClass) -> (Style, &'static str) {
    match class {
        DriftClass::Security => (ERROR, "security"),
        DriftClass::Functional => (UPDATE, "functional"),
        DriftClass::Cosmetic => (FAINT, "cosmetic"),
    }
}

pub(super) fn ignore_reason(because: IgnoreReason) -> &'static str {
    match because {
        IgnoreReason::CreateOnly => "used only at creation; --replace applies it",
        IgnoreReason::NoOpinion => "no longer set in the configuration",
        IgnoreReason::ChangedOutside => {
            "changed outside groundplan; only a replacement could change it back"
        }
    }
}

/// Returns a reason in words.
pub(in crate::render) fn reason(reason: &Reason) -> String {
    match reason {
        Reason::UpToDate => "up to date".into(),
        Reason::New => "new".into(),
        Reason::Missing => "deleted outside groundplan".into(),
        Reason::Unfinished => "not finished by an earlier run".into(),
        Reason::Changed => "the configuration changed".into(),
        Reason::Drifted => "changed outside groundplan".into(),
        Reason::CannotUpdate { paths } => {
            format!("replaced, because {} cannot change in place", enumerated(paths))
        }
        Reason::BlockingReference { to } => {
            let to: Vec<String> = to.iter().map(ToString::to_string).collect();
            format!(
                "replaced, because it references {}, which must be deleted first",
                enumerated(&to)
            )
        }
        Reason::DeletionUnfinished => "deletion started by an earlier run".into(),
        Reason::Requested => "replaced, because --replace requests it".into(),
        Reason::NotInConfiguration => "no longer in the configuration".into(),
        Reason::Retired { because } => because.clone(),
        Reason::Superseded => "old resource of an earlier replacement".into(),
        Reason::Destroy => "destroyed with the cluster".into(),
        Reason::NotSelected => "not selected".into(),
    }
}

/// Returns quoted paths as a phrase: "`a`", "`a` and `b`", "`a`, `b` and 2 more".
pub(super) fn enumerated(paths: &[String]) -> String {
    let quoted = |path: &String| format!("`{path}`");
    match paths {
        [] => "an input".into(),
        [only] => quoted(only),
        [first, second] => format!("{} and {}", quoted(first), quoted(second)),
        [first, second, rest @ ..] => {
            format!("{}, {} and {} more", quoted(first), quoted(second), rest.len())
        }
    }
}

/// Returns a field of a created resource. A member of a set is its text alone.
pub(super) fn as_created(field: &FieldChange) -> String {
    if let Some(item) = &field.item {
        return screen::one_line(item).into_owned();
    }
    let value = field.after.as_ref().map(inline).unwrap_or_default();
    format!("{}: {value}", screen::one_line(&field.path))
}

/// Returns a change on one line. An added or removed member of a set is a sign and its text.
pub(super) fn one_line(field: &FieldChange) -> String {
    let path = screen::one_line(field.item.as_ref().unwrap_or(&field.path));
    match (field.item.as_ref().map(|_| &path), &field.before, &field.after) {
        (Some(item), None, Some(_)) => return format!("+ {item}"),
        (Some(item), Some(_), None) => return format!("- {item}"),
        (Some(item), Some(before), Some(after)) if is_unknown(after) => {
            return match before {
                Value::String(_) => format!("{item}: {} -> {}", inline(before), target(after)),
                _ => format!("{item}: {}", target(after)),
            };
        }
        _ => {}
    }
    let side = |value: &Option<Value>| match value {
        Some(value) => inline(value),
        None => "(none)".to_owned(),
    };
    let secret = |value: &Option<Value>| value.as_ref().is_some_and(is_sensitive);
    if secret(&field.before) && secret(&field.after) {
        return format!("{path}: {SENSITIVE}, changes");
    }
    let after = field.after.as_ref().map_or_else(|| "(none)".to_owned(), target);
    format!("{path}: {} -> {after}", side(&field.before))
}

/// Returns an input of a replaced resource that the configuration does not set any more.
pub(super) fn left_to_aws(field: &FieldChange) -> String {
    let path = screen::one_line(field.item.as_ref().unwrap_or(&field.path));
    let before = field.before.as_ref().map(inline).unwrap_or_default();
    format!("{path}: {before} -> (not set: AWS decides)")
}

/// Returns the lines of a change of a long text; `None` if the change fits on one line.
pub(super) fn long(field: &FieldChange) -> Option<Vec<String>> {
    let before = field.before.as_ref().map(lines);
    let after = field.after.as_ref().map(lines);
    match (before, after) {
        (None, Some(Some(after))) => Some(after.lines().map(str::to_owned).collect()),
        (Some(Some(before)), Some(Some(after))) => Some(line_diff(&before, &after)),
        _ => None,
    }
}
