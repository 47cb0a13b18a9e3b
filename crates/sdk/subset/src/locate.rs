//! Finds the source of a published crate that cargo has downloaded and verified.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::{Error, read};

/// Source of a published crate, at the version in Cargo.lock.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) version: String,
    pub(crate) folder: PathBuf,
}

impl Published {
    pub(crate) fn manifest(&self) -> PathBuf {
        self.folder.join("Cargo.toml")
    }
}

/// Finds a crate's source: in cargo's registry, else where `cargo metadata --offline` reports it (a
/// vendored source, a mirror).
///
/// Cargo downloads the crate because the workspace depends on it for a platform that does not exist, so
/// nothing is downloaded here.
///
/// # Errors
///
/// Cargo.lock does not have the crate, or its source is not on this machine.
pub(crate) fn published(root: &Path, package: &str) -> Result<Published, Error> {
    let version = locked_version(&read(&root.join("Cargo.lock"))?, package).ok_or_else(|| {
        Error::new(format!(
            "Cargo.lock has no package `{package}`: run `cargo metadata` to update it"
        ))
    })?;
    let folder = in_registry(package, &version)
        .or_else(|| from_metadata(root, package, &version))
        .ok_or_else(|| Error::new(format!("the source of {package} {version} is not on this machine: run `cargo fetch --locked`")))?;
    Ok(Published { version, folder })
}

/// Returns the version of a package in the text of a Cargo.lock.
fn locked_version(lock: &str, package: &str) -> Option<String> {
    let wanted = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != wanted);
    lines.next()?;
    quoted(lines.next()?.strip_prefix("version = ")?)
}

fn quoted(text: &str) -> Option<String> {
    Some(text.trim().strip_prefix('"')?.split('"').next()?.to_owned())
}

fn in_registry(package: &str, version: &str) -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".cargo")))?;
    let mut registries: Vec<PathBuf> =
        fs::read_dir(home.join("registry/src")).ok()?.flatten().map(|entry| entry.path()).collect();
    registries.sort();
    registries
        .into_iter()
        .map(|registry| registry.join(format!("{package}-{version}")))
        // Cargo writes this file when a crate is unpacked whole.
        .find(|folder| folder.join(".cargo-ok").is_file())
}

fn from_metadata(root: &Path, package: &str, version: &str) -> Option<PathBuf> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--offline",
            "--all-features",
            "--manifest-path",
        ])
        .arg(root.join("Cargo.toml"))
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split("\"manifest_path\":\"").skip(1).find_map(|rest| {
        let manifest = PathBuf::from(rest.split('"').next()?);
        let text = fs::read_to_string(&manifest).ok()?;
        let is_it = text.contains(&format!("\nname = \"{package}\""))
            && text.contains(&format!("\nversion = \"{version}\""));
        is_it.then(|| manifest.parent().map(Path::to_owned))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locked_version_of_a_package_is_found() {
        let lock = "[[package]]\nname = \"aws-sdk-ec2-instance\"\nversion = \"9.0.0\"\n\n[[package]]\nname = \"aws-sdk-ec2\"\nversion = \"1.274.0\"\n";
        assert_eq!(locked_version(lock, "aws-sdk-ec2").as_deref(), Some("1.274.0"));
        assert_eq!(locked_version(lock, "aws-sdk-iam"), None);
    }
}
