//! Names of AWS calls in source files, for the tests that compare them with the declared actions.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const VERBS: &[&str] = &[
    "Add",
    "Allocate",
    "Associate",
    "Attach",
    "Authorize",
    "Change",
    "Copy",
    "Create",
    "Delete",
    "Deregister",
    "Describe",
    "Detach",
    "Disable",
    "Disassociate",
    "Get",
    "Head",
    "List",
    "Modify",
    "Put",
    "Register",
    "Release",
    "Remove",
    "Replace",
    "Revoke",
    "Run",
    "Set",
    "Simulate",
    "Start",
    "Tag",
    "Terminate",
    "Untag",
    "Update",
];

/// Returns the calls that a source names: quoted words that begin with a verb of the AWS APIs.
pub(super) fn calls_in(source: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(source).unwrap();
    let words = text.split('"').skip(1).step_by(2);
    words.filter(|word| is_call(word) && !is_code(word)).map(str::to_owned).collect()
}

fn is_call(word: &str) -> bool {
    let mut rest = VERBS.iter().filter_map(|verb| word.strip_prefix(verb));
    let of_letters = word.chars().all(|c| c.is_ascii_alphanumeric());
    of_letters && rest.any(|rest| rest.starts_with(char::is_uppercase))
}

/// Returns true for error codes that look like calls.
fn is_code(word: &str) -> bool {
    ["Conflict", "Exceeded", "Exists"].iter().any(|end| word.ends_with(end))
}
