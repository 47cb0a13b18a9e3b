//! Selects, at build time, the part of a published AWS SDK crate that groundplan calls.
//!
//! An SDK crate has one module per operation of its service. aws-sdk-ec2 has 811 of them, and one
//! `rustc` needs 12 GB to compile it. This crate copies the source that cargo downloaded and verified,
//! without the operations that `crates/sdk/<service>/operations.txt` does not list, and without the types
//! and the (de)serialisers that only those operations use. No line of the copied source is edited: whole
//! files and whole top-level items are left out, nothing else.
//!
//! Used by the build scripts in `crates/sdk/*/build.rs`, and by the build script of the package that calls
//! the SDK, which checks the lists. Never accesses the network, and never writes outside `OUT_DIR`.
//! `docs/building.md` has the whole story.

#![expect(clippy::print_stdout, reason = "cargo reads what a build script prints")]

mod dependencies;
mod items;
mod locate;
mod names;
mod operations;
mod select;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fmt, fs};

pub use names::{Mention, mentions_in};

/// A reason why the subset cannot be made, in one line, with the remedy.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    fn io(action: &str, path: &Path, error: &std::io::Error) -> Self {
        Self(format!("{action} {}: {error}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Runs the build script of the package in `crates/sdk/<service>`.
///
/// Writes `OUT_DIR/sdk`, whose `lib.rs` the package includes. With the feature `whole` it writes nothing,
/// because the package re-exports the published crate. An error is reported as a cargo error, so that the
/// build ends with one message.
pub fn build() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_WHOLE").is_none()
        && let Err(error) = generate()
    {
        println!("cargo::error={error}");
    }
}

fn generate() -> Result<(), Error> {
    let package = Package::of_build_script();
    let list = package.folder.join(operations::LIST);
    println!("cargo::rerun-if-changed={}", list.display());
    let wanted = operations::listed(&list)?;
    let published = locate::published(&package.root, &package.published)?;
    println!("cargo::rerun-if-changed={}", published.manifest().display());
    // The user agent has the version of the SDK; the source reads it from this variable.
    println!("cargo::rustc-env=CARGO_PKG_VERSION={}", published.version);
    dependencies::check(&package.folder.join("Cargo.toml"), &published)?;
    let source = published.folder.join("src");
    let target = package.out.join("sdk");
    let known = operations::published(&source);
    if let Some(unknown) = wanted.iter().find(|name| !known.is_empty() && !known.contains(*name)) {
        let Package { published: name, .. } = &package;
        return Err(Error::new(format!(
            "{} lists `{unknown}`, which {name} {} does not have: correct or remove the line",
            list.display(),
            published.version
        )));
    }
    match select::select(&source, &wanted) {
        Ok(selection) => selection.write(&target),
        Err(error) => {
            println!(
                "cargo::warning={} {} is not laid out as expected ({error}): compiling all of it, which takes minutes and up to 12 GB",
                package.published, published.version
            );
            select::Selection::whole(&source)?.write(&target)
        }
    }
}

/// Package whose build script runs.
struct Package {
    /// Name of the published crate, such as `aws-sdk-ec2` for `crates/sdk/ec2`.
    published: String,
    /// Folder of this package.
    folder: PathBuf,
    /// Folder of the workspace.
    root: PathBuf,
    out: PathBuf,
}

impl Package {
    fn of_build_script() -> Self {
        let variable = |name: &str| {
            PathBuf::from(env::var_os(name).expect("BUG: cargo sets it for build scripts"))
        };
        let folder = variable("CARGO_MANIFEST_DIR");
        let service = folder.file_name().expect("BUG: a package has a folder").to_string_lossy();
        Self {
            published: format!("aws-sdk-{service}"),
            root: workspace_of(folder.parent().expect("BUG: the package is in crates/sdk")),
            out: variable("OUT_DIR"),
            folder,
        }
    }
}

/// Returns the workspace that `crates/sdk` is in.
fn workspace_of(sdk: &Path) -> PathBuf {
    sdk.ancestors().nth(2).expect("BUG: crates/sdk is two folders below the workspace").to_owned()
}

/// Checks the lists in `sdk`, the absolute path of `crates/sdk`, against the source that calls the SDK.
///
/// For the build script of the package that calls it. Each operation that the source mentions and no list
/// has is reported as a cargo error with its remedy; without this check it is rustc's "no method named
/// ..." on a generated client. Operations that nothing mentions are warnings. `sources` are files or
/// folders; a change in one of `watched` runs the check again, a change in one of `others` does not.
pub fn check(sdk: &Path, watched: &[PathBuf], others: &[PathBuf]) {
    for path in watched {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let sources: Vec<&PathBuf> = watched.iter().chain(others).collect();
    if let Err(error) = check_lists(sdk, &sources) {
        println!("cargo::error={error}");
    }
}

fn check_lists(sdk: &Path, sources: &[&PathBuf]) -> Result<(), Error> {
    let mut mentions = BTreeMap::new();
    for source in sources {
        for mention in mentions_in(source)? {
            mentions.entry(mention.name.clone()).or_insert(mention);
        }
    }
    let mut listed = BTreeSet::new();
    // The lists that could have an operation, and do not.
    let mut lacking: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (service, list) in operations::services(sdk)? {
        println!("cargo::rerun-if-changed={}", list.display());
        let wanted = operations::listed(&list)?;
        let file = format!("crates/sdk/{service}/{}", operations::LIST);
        for name in wanted.iter().filter(|name| !mentions.contains_key(*name)) {
            println!("cargo::warning={file} lists `{name}`, which nothing calls: remove the line");
        }
        let published = locate::published(&workspace_of(sdk), &format!("aws-sdk-{service}"))?;
        let known = operations::published(&published.folder.join("src"));
        for name in mentions.keys().filter(|name| known.contains(*name) && !wanted.contains(*name))
        {
            lacking.entry(name).or_default().push(file.clone());
        }
        listed.extend(wanted);
    }
    for (name, files) in lacking.into_iter().filter(|(name, _)| !listed.contains(*name)) {
        let Mention { file, line, .. } = &mentions[name];
        println!(
            "cargo::error={}:{line}: the SDK operation `{name}` is not compiled: add the line `{name}` to {}",
            file.display(),
            files.join(" or ")
        );
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|error| Error::io("read", path, &error))
}

#[cfg(test)]
mod tests;
