//! Compares the dependencies of a published crate with those of the package that compiles its source.

use std::collections::BTreeMap;
use std::path::Path;

use crate::locate::Published;
use crate::{Error, read};

/// Checks that the package at `manifest` has every dependency that the published source needs, in a
/// compatible version.
///
/// # Errors
///
/// One that is missing or of another release line, as after `cargo update`; the message has the line to write.
pub(crate) fn check(manifest: &Path, published: &Published) -> Result<(), Error> {
    let ours = required(&read(manifest)?);
    let theirs = required(&read(&published.manifest())?);
    let differing: Vec<_> = theirs
        .iter()
        .filter(|(name, version)| {
            ours.get(*name).is_none_or(|ours| release_line(ours) != release_line(version))
        })
        .map(|(name, version)| format!("{name} = \"{version}\""))
        .collect();
    if differing.is_empty() {
        return Ok(());
    }
    Err(Error::new(format!(
        "{} {} needs other dependencies than {} has: write {} there, or build with the feature `whole-sdk`",
        published.folder.file_name().unwrap_or_default().to_string_lossy(),
        published.version,
        manifest.display(),
        differing.join(", ")
    )))
}

/// Returns the dependencies that are neither optional, nor for tests or builds, with their versions.
///
/// Reads the two forms that occur: the tables `[dependencies.name]` of a published manifest and the lines
/// `name = ...` of ours.
fn required(manifest: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim().trim_matches(['[', ']']);
            continue;
        }
        if section == "dependencies" {
            if let Some((name, value)) = line.split_once(" = ")
                && !value.contains("optional = true")
                && let Some(version) = version_in(value)
            {
                found.insert(name.to_owned(), version);
            }
        } else if let Some(name) = section.strip_prefix("dependencies.") {
            if let Some(value) = line.strip_prefix("version = ") {
                found.insert(name.to_owned(), value.trim_matches('"').to_owned());
            } else if line == "optional = true" {
                found.remove(name);
            }
        }
    }
    found
}

/// Returns the version of a dependency's value: `"1.2"`, or a table with `version = "1.2"`.
fn version_in(value: &str) -> Option<String> {
    let text = if value.starts_with('"') { value } else { value.split("version = ").nth(1)? };
    Some(text.strip_prefix('"')?.split('"').next()?.to_owned())
}

/// Returns the part of a version within which cargo takes versions for compatible: `1`, `0.65`.
fn release_line(version: &str) -> String {
    let mut parts = version.split('.');
    match (parts.next(), parts.next()) {
        (Some("0"), Some(minor)) => format!("0.{minor}"),
        (major, _) => major.unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_dependency_are_read_and_optional_ones_are_not() {
        let published = "[package]\nversion = \"9\"\n[dependencies.a]\nversion = \"1.2.3\"\nfeatures = [\"x\"]\n\
            [dependencies.b]\nversion = \"1\"\noptional = true\n[dev-dependencies.c]\nversion = \"1\"\n";
        let ours = "[dependencies]\na = \"1.4\"\nd = { package = \"dd\", version = \"0.65.1\" }\ne = { version = \"1\", optional = true } # why\n";
        assert_eq!(required(published), BTreeMap::from([("a".into(), "1.2.3".into())]));
        assert_eq!(
            required(ours),
            BTreeMap::from([("a".into(), "1.4".into()), ("d".into(), "0.65.1".into())])
        );
    }

    #[test]
    fn a_release_line_is_what_cargo_takes_for_compatible() {
        assert_eq!(release_line("1.16.2"), "1");
        assert_eq!(release_line("0.65.1"), "0.65");
        assert_eq!(release_line("2"), "2");
    }
}
