//! Finds the names in Rust source that may be calls of SDK operations.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, read};

/// An identifier in code, such as `describe_vpcs` in `ec2.describe_vpcs()` or in a macro's arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The identifier.
    pub name: String,
    /// File that has it.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
}

/// Returns the lower-case identifiers with an underscore in a file, or in every `.rs` file below a folder, in
/// order of paths.
///
/// Skips comments, strings on one line, and the names of functions where they are defined. Reads text, not
/// Rust: a name in a string of several lines counts.
///
/// # Errors
///
/// A file or folder cannot be read.
pub fn mentions_in(path: &Path) -> Result<Vec<Mention>, Error> {
    let mut found = Vec::new();
    if path.is_dir() {
        let entries = fs::read_dir(path).map_err(|error| Error::io("read", path, &error))?;
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(|error| Error::io("read", path, &error))?.path());
        }
        paths.sort();
        for path in paths {
            found.extend(mentions_in(&path)?);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let text = read(path)?;
        found.extend(mentions(&text).map(|(line, name)| Mention {
            name: name.to_owned(),
            file: path.to_owned(),
            line,
        }));
    }
    Ok(found)
}

fn mentions(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//")).flat_map(
        |(number, line)| {
            // Every second piece between quotes is inside a string.
            let code = line.split('"').step_by(2);
            let names = code.flat_map(|code| {
                let mut before = "";
                code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(move |name| {
                    let is_definition = std::mem::replace(&mut before, name) == "fn";
                    !is_definition && name.contains('_')
                })
            });
            names.map(move |name| (number, name))
        },
    )
}

/// Returns the methods that are called without arguments in the code of `text`.
pub(crate) fn methods(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| {
        line.match_indices("()").filter_map(|(end, _)| {
            let head = &line[..end];
            let name = head.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
            let method = &head[name.len()..];
            (name.ends_with('.') && !method.is_empty()).then_some(method)
        })
    })
}
