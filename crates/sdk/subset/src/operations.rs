//! The lists of operations that are compiled: `crates/sdk/<service>/operations.txt`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, read};

/// Name of the list in a service's folder.
pub(crate) const LIST: &str = "operations.txt";

/// Reads the operations of a service, by the names that their methods have in Rust.
///
/// # Errors
///
/// The file cannot be read, or a line is neither a method name, a comment, nor empty. Names are sorted, so
/// that two branches that each add one merge.
pub(crate) fn listed(path: &Path) -> Result<BTreeSet<String>, Error> {
    parse(&read(path)?)
        .map_err(|(line, problem)| Error::new(format!("{}:{line}: {problem}", path.display())))
}

pub(crate) fn parse(text: &str) -> Result<BTreeSet<String>, (usize, String)> {
    let mut names = BTreeSet::<String>::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !line
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        {
            return Err((
                number,
                format!("expected a method name such as `describe_vpcs`, found `{line}`"),
            ));
        }
        if names.last().is_some_and(|last| last.as_str() >= line) {
            return Err((number, format!("`{line}` is not in alphabetical order")));
        }
        names.insert(line.to_owned());
    }
    Ok(names)
}

/// Returns the services in `crates/sdk` that have a list, such as `ec2`, sorted.
pub(crate) fn services(sdk: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let entries = fs::read_dir(sdk).map_err(|error| Error::io("read", sdk, &error))?;
    let mut services: Vec<_> = entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path().join(LIST))))
        .filter(|(_, list)| list.is_file())
        .collect();
    services.sort();
    Ok(services)
}

/// Returns the operations that a published crate has; empty if its source is not laid out as expected.
pub(crate) fn published(source: &Path) -> BTreeSet<String> {
    let names = |folder: &str| -> BTreeSet<String> {
        let Ok(entries) = fs::read_dir(source.join(folder)) else { return BTreeSet::new() };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
            .collect()
    };
    names("operation").intersection(&names("client")).cloned().collect()
}
