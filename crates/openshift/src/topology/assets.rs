//! Files that openshift-install writes for the machines: three Ignition configs and the cluster
//! identity.
//!
//! The configs are full of keys, and therefore kept as secrets and never printed, in whole or in
//! part. Reading checks for valid JSON.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use groundplan_engine::state::Cluster;
use secrecy::{ExposeSecret, SecretSlice};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// The assets of a cluster, or no assets.
#[derive(Debug)]
pub struct Assets(Option<AssetFiles>);

#[derive(Debug)]
struct AssetFiles {
    bootstrap: SecretSlice<u8>,
    master: SecretSlice<u8>,
    worker: SecretSlice<u8>,
    cluster: Cluster,
}

impl Assets {
    /// Returns no assets. Machines then boot with an Ignition config that forms no cluster.
    pub fn none() -> Self {
        Self(None)
    }

    /// Reads the assets from a folder written by `openshift-install create ignition-configs`.
    ///
    /// # Errors
    /// Returns all problems of all files.
    pub fn read(folder: &Path) -> Result<Self, AssetsError> {
        let mut flaws = Vec::new();
        let mut read = |name| read_file(folder, name).map_err(|flaw| flaws.push(flaw)).ok();
        let bootstrap = read("bootstrap.ign");
        let master = read("master.ign");
        let worker = read("worker.ign");
        let metadata = read(METADATA_FILE);
        for (name, content) in
            [("bootstrap.ign", &bootstrap), ("master.ign", &master), ("worker.ign", &worker)]
        {
            flaws.extend(content.as_ref().and_then(|content| check_ignition(name, content)));
        }
        let cluster = metadata
            .and_then(|text| identity(text.expose_secret()).map_err(|flaw| flaws.push(flaw)).ok());
        match (bootstrap, master, worker, cluster) {
            (Some(bootstrap), Some(master), Some(worker), Some(cluster)) if flaws.is_empty() => {
                Ok(Self(Some(AssetFiles { bootstrap, master, worker, cluster })))
            }
            _ => Err(AssetsError { folder: folder.to_owned(), flaws }),
        }
    }

    /// Returns true if there are no assets.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the cluster identity from `metadata.json`.
    pub fn cluster(&self) -> Option<Cluster> {
        self.0.as_ref().map(|given| given.cluster.clone())
    }

    /// Returns `bootstrap.ign`.
    pub fn bootstrap(&self) -> Option<&[u8]> {
        self.0.as_ref().map(|given| given.bootstrap.expose_secret())
    }

    /// Returns `master.ign`.
    pub fn master(&self) -> Option<&[u8]> {
        self.0.as_ref().map(|given| given.master.expose_secret())
    }

    /// Returns `worker.ign`, for the machines that the cluster itself creates.
    pub fn worker(&self) -> Option<&[u8]> {
        self.0.as_ref().map(|given| given.worker.expose_secret())
    }
}

/// All problems of a folder of assets.
#[derive(Debug)]
pub struct AssetsError {
    /// The folder.
    pub folder: PathBuf,
    /// Problems, one per file.
    pub flaws: Vec<AssetProblem>,
}

impl AssetsError {
    /// Returns the command that writes the assets.
    pub fn hint(&self) -> String {
        format!(
            "create them with `openshift-install create ignition-configs --dir {}`",
            self.folder.display()
        )
    }
}

impl fmt::Display for AssetsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not read the assets in {}: ", self.folder.display())?;
        for (index, flaw) in self.flaws.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{flaw}")?;
        }
        Ok(())
    }
}

impl std::error::Error for AssetsError {}

/// The problem of one file.
#[derive(Debug, thiserror::Error)]
pub enum AssetProblem {
    /// The file does not exist.
    #[error("{file} is missing")]
    Missing {
        /// Name of the file.
        file: &'static str,
    },
    /// The file cannot be read.
    #[error("{file}: {source}")]
    Unreadable {
        /// Name of the file.
        file: &'static str,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The file has the wrong content. The error has the position and never quotes the content.
    #[error("{file} is not {expected} (line {line}, column {column})")]
    Malformed {
        /// Name of the file.
        file: &'static str,
        /// Expected content.
        expected: &'static str,
        /// Line of the problem.
        line: usize,
        /// Column of the problem.
        column: usize,
    },
    /// The file is that of another platform or of an older installer.
    #[error("{file} is not {expected}: `{field}` is missing")]
    Incomplete {
        /// Name of the file.
        file: &'static str,
        /// Path of the missing field, which must be a non-empty string.
        field: String,
        /// Expected content.
        expected: &'static str,
    },
}

fn read_file(folder: &Path, file: &'static str) -> Result<SecretSlice<u8>, AssetProblem> {
    match std::fs::read(folder.join(file)) {
        Ok(content) => Ok(content.into()),
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            Err(AssetProblem::Missing { file })
        }
        Err(source) => Err(AssetProblem::Unreadable { file, source }),
    }
}

#[derive(Deserialize)]
struct IgnitionFile {
    #[serde(rename = "ignition")]
    _ignition: IgnitionHeader,
}

#[derive(Deserialize)]
struct IgnitionHeader {
    #[serde(rename = "version")]
    _version: IgnoredAny,
}

fn check_ignition(file: &'static str, content: &SecretSlice<u8>) -> Option<AssetProblem> {
    let error = serde_json::from_slice::<IgnitionFile>(content.expose_secret()).err()?;
    Some(malformed(file, "an Ignition config", &error))
}

/// Converts a parser error. The message of the parser may quote the file, so only the position is
/// kept.
fn malformed(
    file: &'static str,
    expected: &'static str,
    error: &serde_json::Error,
) -> AssetProblem {
    AssetProblem::Malformed { file, expected, line: error.line(), column: error.column() }
}

const METADATA_FILE: &str = "metadata.json";
const OF_AWS: &str = "the metadata of an AWS cluster";

/// Returns the cluster identity from the text of `metadata.json`.
///
/// # Errors
/// Returns the position of a syntax error, or the missing field, if the text is not the metadata of
/// a cluster on AWS.
pub fn identity(text: &[u8]) -> Result<Cluster, AssetProblem> {
    let metadata: Value =
        serde_json::from_slice(text).map_err(|error| malformed(METADATA_FILE, OF_AWS, &error))?;
    Ok(Cluster {
        name: given(&metadata, &["clusterName"])?,
        infra_id: given(&metadata, &["infraID"])?,
        cluster_id: given(&metadata, &["clusterID"])?,
        region: given(&metadata, &["aws", "region"])?,
    })
}

/// Returns the text at the end of a path. An error names the outermost missing field.
fn given(metadata: &Value, path: &[&str]) -> Result<String, AssetProblem> {
    let missing = |depth: usize| AssetProblem::Incomplete {
        file: METADATA_FILE,
        field: path[..depth].join("."),
        expected: OF_AWS,
    };
    let mut value = metadata;
    for (outer, field) in path.iter().enumerate() {
        value = value.get(field).ok_or_else(|| missing(outer + 1))?;
    }
    let text = value.as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| missing(path.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{"clusterName": "demo", "clusterID": "5a", "infraID": "demo-x7k2p",
        "aws": {"region": "us-west-2", "identifier": [], "clusterDomain": "demo.example.com"}}"#;
    const IGNITION: &str = r#"{"ignition": {"version": "3.2.0"}, "canary": "sesame"}"#;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    #[test]
    fn assets_are_read_as_they_are() {
        let folder = folder(&[
            ("bootstrap.ign", IGNITION),
            ("master.ign", IGNITION),
            ("worker.ign", IGNITION),
            ("metadata.json", METADATA),
        ]);
        let assets = Assets::read(folder.path()).unwrap();
        assert_eq!(assets.master(), Some(IGNITION.as_bytes()));
        let cluster = assets.cluster().unwrap();
        assert_eq!(cluster.infra_id, "demo-x7k2p");
        assert_eq!((&*cluster.name, &*cluster.region), ("demo", "us-west-2"));
        assert!(!format!("{assets:?}").contains("sesame"));
    }

    #[test]
    fn metadata_that_lack_something_are_told_what_they_lack() {
        for (without, expected) in [
            (r#"{"clusterName": "a", "clusterID": "5a", "infraID": "a-b", "gcp": {}}"#, "`aws`"),
            (
                r#"{"clusterName": "a", "clusterID": "5a", "infraID": "a-b", "aws": {}}"#,
                "`aws.region`",
            ),
            (r#"{"clusterName": "a", "clusterID": "5a", "infraID": 7, "aws": {}}"#, "`infraID`"),
            (r#"{"clusterName": "", "clusterID": "5a", "infraID": "a"}"#, "`clusterName`"),
            ("[]", "`clusterName`"),
        ] {
            let folder = folder(&[("metadata.json", without)]);
            let error = Assets::read(folder.path()).unwrap_err().to_string();
            let expected = format!(
                "metadata.json is not the metadata of an AWS cluster: {expected} is missing"
            );
            assert!(error.contains(&expected), "{error}");
        }
    }

    #[test]
    fn everything_wrong_is_named_at_once_and_nothing_is_quoted() {
        let folder = folder(&[("master.ign", r#"{"ignition": "sesame"}"#), ("metadata.json", "{")]);
        let error = Assets::read(folder.path()).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("sesame"), "{text}");
        for part in [
            "bootstrap.ign is missing",
            "worker.ign is missing",
            "master.ign is not an Ignition config (line 1, column 21)",
            "metadata.json is not the metadata of an AWS cluster",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("master.ign is missing"), "{text}");
    }
}
