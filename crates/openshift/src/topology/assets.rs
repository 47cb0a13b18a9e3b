//! Assets: files that openshift-install writes for the machines. They are three Ignition configs
//! and `metadata.json` with the cluster identity.
//!
//! The configs contain private keys. They are kept as secrets, and no error quotes them. Reading
//! checks only for JSON with `ignition.version`. A new cluster needs all files; see
//! [`Assets::ensure_complete`]. A later run needs only the Ignition configs that it sends, because
//! the state records the digests of the others.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use groundplan_aws::model::CLUSTER_API_TAG_PREFIX;
use groundplan_engine::graph::Address;
use groundplan_engine::secret::Secret;
use groundplan_engine::state::{Cluster, Record, State};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretSlice};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::expiry::CertificateValidity;
use super::naming::is_control_plane;

/// The files of a folder of assets, or no assets.
#[derive(Debug, Default)]
pub struct Assets {
    /// The folder. `None` without assets.
    folder: Option<PathBuf>,
    bootstrap: Option<IgnitionContent>,
    master: Option<IgnitionContent>,
    worker: Option<IgnitionContent>,
    cluster: Option<Cluster>,
    /// True if `metadata.json` has the identifier of the Cluster API. `None` without identifiers.
    has_cluster_api_identifier: Option<bool>,
}

/// Ignition config of openshift-install.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IgnitionFile {
    /// Config of the bootstrap machine.
    Bootstrap,
    /// Config of the masters.
    Master,
    /// Config of the workers, which the plan of a cluster does not have.
    Worker,
}

impl IgnitionFile {
    /// All Ignition configs.
    pub const ALL: [Self; 3] = [Self::Bootstrap, Self::Master, Self::Worker];

    /// Returns the name of the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap.ign",
            Self::Master => "master.ign",
            Self::Worker => "worker.ign",
        }
    }
}

/// Content of an Ignition config.
#[derive(Debug)]
struct IgnitionContent {
    text: SecretSlice<u8>,
    /// Time of the last change of the file. `None` if the file system has no such time.
    modified: Option<SystemTime>,
}

impl Assets {
    /// Returns no assets. Machines of a new cluster without assets boot, but do not form a cluster.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads the assets from a folder written by `openshift-install create ignition-configs`. Files
    /// can be missing; the folder must exist.
    ///
    /// # Errors
    /// Returns the problems of all files, one for each file.
    pub fn read(folder: &Path) -> Result<Self, AssetsError> {
        if matches!(folder.try_exists(), Ok(false)) {
            return Err(AssetsError {
                folder: folder.to_owned(),
                problems: vec![AssetProblem::NoFolder],
            });
        }
        let mut problems = Vec::new();
        let [bootstrap, master, worker] = IgnitionFile::ALL
            .map(|file| read_ignition(folder, file).map_err(|problem| problems.push(problem)).ok());
        let metadata = read_file(folder, METADATA_FILE).and_then(|text| match text {
            Some(text) => {
                let text = text.expose_secret();
                identity(text).map(|cluster| Some((cluster, has_cluster_api_identifier(text))))
            }
            None => Ok(None),
        });
        let metadata = metadata.map_err(|problem| problems.push(problem)).ok().flatten();
        let (cluster, has_cluster_api_identifier) = metadata.unzip();
        let assets = Self {
            folder: Some(folder.to_owned()),
            bootstrap: bootstrap.flatten(),
            master: master.flatten(),
            worker: worker.flatten(),
            cluster,
            has_cluster_api_identifier: has_cluster_api_identifier.flatten(),
        };
        if problems.is_empty() && folder.is_dir() {
            return Ok(assets);
        }
        let is_named = |file: &str| problems.iter().any(|problem| problem.file() == Some(file));
        let missing: Vec<_> = assets.missing().filter(|file| !is_named(file)).collect();
        problems.extend(missing.into_iter().map(|file| AssetProblem::Missing { file }));
        Err(AssetsError { folder: folder.to_owned(), problems })
    }

    /// Returns an error if there are assets and a file is missing, as a new cluster needs all.
    ///
    /// # Errors
    /// Names all missing files.
    pub fn ensure_complete(&self) -> Result<(), AssetsError> {
        let problems: Vec<_> = self.missing().map(|file| AssetProblem::Missing { file }).collect();
        match &self.folder {
            Some(folder) if !problems.is_empty() => {
                Err(AssetsError { folder: folder.clone(), problems })
            }
            _ => Ok(()),
        }
    }

    /// Returns the names of the missing files.
    fn missing(&self) -> impl Iterator<Item = &'static str> {
        let ignition = IgnitionFile::ALL.into_iter().filter(|file| self.file(*file).is_none());
        let metadata = self.cluster.is_none().then_some(METADATA_FILE);
        ignition.map(IgnitionFile::name).chain(metadata)
    }

    /// Returns true if there are no assets.
    pub fn is_none(&self) -> bool {
        self.folder.is_none()
    }

    /// Returns the cluster identity from `metadata.json`. `None` if the file is missing.
    pub fn cluster(&self) -> Option<Cluster> {
        self.cluster.clone()
    }

    /// Returns the folder. `None` without assets.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Returns true if `metadata.json` has the identifier of the Cluster API, which
    /// openshift-install writes since 4.16 (`pkg/asset/cluster/aws/aws.go`, `Metadata`). `None` if it
    /// has no identifiers.
    pub(crate) fn has_cluster_api_identifier(&self) -> Option<bool> {
        self.has_cluster_api_identifier
    }

    fn file(&self, file: IgnitionFile) -> Option<&IgnitionContent> {
        match file {
            IgnitionFile::Bootstrap => self.bootstrap.as_ref(),
            IgnitionFile::Master => self.master.as_ref(),
            IgnitionFile::Worker => self.worker.as_ref(),
        }
    }

    /// Returns the content of an Ignition config. `None` if the file is missing.
    pub fn ignition(&self, file: IgnitionFile) -> Option<&[u8]> {
        self.file(file).map(|content| content.text.expose_secret())
    }

    /// Returns the validity of the certificates in an Ignition config. `None` if it is not known.
    pub fn validity(&self, file: IgnitionFile, now: Timestamp) -> Option<CertificateValidity> {
        CertificateValidity::of(self.ignition(file)?, now)
    }

    /// Returns the time of the last change of an Ignition config. `None` if it is not known.
    pub fn modified(&self, file: IgnitionFile) -> Option<SystemTime> {
        self.file(file)?.modified
    }
}

/// Ignition configs of a cluster that was created with assets, as the state records them: as digests.
/// A run without the files compares the existing machines with these.
#[derive(Clone, Debug, Default)]
pub struct RecordedIgnition(Option<BTreeMap<Address, Secret>>);

impl RecordedIgnition {
    /// Returns the digests that the state records; none if the cluster was not created with assets.
    pub fn of(state: &State) -> Self {
        if state.has_nothing() || !state.lookup_cache.has_assets {
            return Self(None);
        }
        let digest = |(address, record): (&Address, &Record)| {
            let content = match address.kind() {
                "instance" => record.inputs.pointer("/user_data/content"),
                "s3_object" => record.inputs.get("content"),
                _ => None,
            };
            Some((address.clone(), Secret::in_value(content?)?))
        };
        Self(Some(state.resources.iter().filter_map(digest).collect()))
    }

    /// Returns true if the cluster was not created with assets.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the digest of the Ignition config of a resource. A resource that is not recorded has
    /// that of another resource with the same config, or else an unknown one. `None` if the cluster
    /// was not created with assets.
    pub(super) fn digest(&self, address: &Address) -> Option<Secret> {
        let digests = self.0.as_ref()?;
        let is_like = |other: &Address| {
            ignition_file(other).is_some() && ignition_file(other) == ignition_file(address)
        };
        let own = digests.get(address);
        let like = || digests.iter().find(|(other, _)| is_like(other)).map(|(_, digest)| digest);
        Some(own.or_else(like).cloned().unwrap_or_else(Secret::unknown))
    }
}

/// Returns the Ignition config whose content a resource of a cluster has. `None` for a resource
/// without one, such as the bootstrap machine, whose user data groundplan writes.
pub fn ignition_file(address: &Address) -> Option<IgnitionFile> {
    match address.kind() {
        "s3_object" => Some(IgnitionFile::Bootstrap),
        "instance" if is_control_plane(address) => Some(IgnitionFile::Master),
        _ => None,
    }
}

/// All problems of a folder of assets.
#[derive(Debug)]
pub struct AssetsError {
    /// The folder.
    pub folder: PathBuf,
    /// Problems, one for each file, or one for the folder.
    pub problems: Vec<AssetProblem>,
}

impl AssetsError {
    /// Returns the command that writes the assets.
    pub fn hint(&self) -> String {
        if matches!(self.problems[..], [AssetProblem::NoFolder]) {
            return format!(
                "pass the folder in which openshift-install made the Ignition files with --assets, or \
                 create it with `openshift-install create ignition-configs --dir {}`; if the machines \
                 of the cluster exist, omit --assets",
                self.folder.display()
            );
        }
        format!(
            "create them with `openshift-install create ignition-configs --dir {}`; if the machines of \
             the cluster exist, omit --assets",
            self.folder.display()
        )
    }
}

impl fmt::Display for AssetsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not read the assets in {}: ", self.folder.display())?;
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for AssetsError {}

/// The problem of one file.
#[derive(Debug, thiserror::Error)]
pub enum AssetProblem {
    /// The folder does not exist.
    #[error("the folder does not exist")]
    NoFolder,
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
    /// A field is missing: the file belongs to another platform, or an older installer wrote it.
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

impl AssetProblem {
    /// Returns the name of the file; `None` for a problem of the folder.
    fn file(&self) -> Option<&'static str> {
        match self {
            Self::NoFolder => None,
            Self::Missing { file }
            | Self::Unreadable { file, .. }
            | Self::Malformed { file, .. }
            | Self::Incomplete { file, .. } => Some(file),
        }
    }
}

/// Reads a file. `None` if the file is missing.
fn read_file(folder: &Path, file: &'static str) -> Result<Option<SecretSlice<u8>>, AssetProblem> {
    match std::fs::read(folder.join(file)) {
        Ok(content) => Ok(Some(content.into())),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(AssetProblem::Unreadable { file, source }),
    }
}

/// Reads and checks an Ignition config. `None` if the file is missing.
fn read_ignition(
    folder: &Path,
    file: IgnitionFile,
) -> Result<Option<IgnitionContent>, AssetProblem> {
    let Some(text) = read_file(folder, file.name())? else { return Ok(None) };
    if let Some(problem) = check_ignition(file.name(), &text) {
        return Err(problem);
    }
    let modified = std::fs::metadata(folder.join(file.name())).and_then(|file| file.modified());
    Ok(Some(IgnitionContent { text, modified: modified.ok() }))
}

#[derive(Deserialize)]
struct IgnitionDocument {
    #[serde(rename = "ignition")]
    _ignition: IgnitionHeader,
}

#[derive(Deserialize)]
struct IgnitionHeader {
    #[serde(rename = "version")]
    _version: IgnoredAny,
}

/// Returns the problem of a file that is not JSON with `ignition.version`. `None` if it is.
fn check_ignition(file: &'static str, content: &SecretSlice<u8>) -> Option<AssetProblem> {
    let error = serde_json::from_slice::<IgnitionDocument>(content.expose_secret()).err()?;
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
const AWS_METADATA: &str = "the metadata of an AWS cluster";

/// Returns the cluster identity from the text of `metadata.json`.
///
/// # Errors
/// Returns the position of a syntax error, or the missing field, if the text is not the metadata of
/// a cluster on AWS.
pub fn identity(text: &[u8]) -> Result<Cluster, AssetProblem> {
    let metadata: Value = serde_json::from_slice(text)
        .map_err(|error| malformed(METADATA_FILE, AWS_METADATA, &error))?;
    Ok(Cluster {
        name: text_at(&metadata, &["clusterName"])?,
        infra_id: text_at(&metadata, &["infraID"])?,
        cluster_id: text_at(&metadata, &["clusterID"])?,
        region: text_at(&metadata, &["aws", "region"])?,
    })
}

/// Returns the domain of the cluster from the text of `metadata.json`; `None` if it is not there.
/// openshift-install writes it for its own destroy (`pkg/asset/cluster/aws`, `clusterDomain`).
pub fn cluster_domain(text: &[u8]) -> Option<String> {
    let metadata: Value = serde_json::from_slice(text).ok()?;
    let domain = metadata["aws"]["clusterDomain"].as_str()?.trim_end_matches('.');
    (!domain.is_empty()).then(|| domain.to_ascii_lowercase())
}

/// Returns true if the tags in `aws.identifier` have that of the Cluster API. `None` without tags.
fn has_cluster_api_identifier(text: &[u8]) -> Option<bool> {
    let metadata: Value = serde_json::from_slice(text).unwrap_or_default();
    let identifiers = metadata["aws"]["identifier"].as_array();
    let keys = identifiers.into_iter().flatten().filter_map(Value::as_object);
    let mut keys = keys.flat_map(|identifier| identifier.keys()).peekable();
    keys.peek()?;
    Some(keys.any(|key| key.starts_with(CLUSTER_API_TAG_PREFIX)))
}

/// Returns the non-empty string at a path of fields. An error names the outermost missing field.
fn text_at(metadata: &Value, path: &[&str]) -> Result<String, AssetProblem> {
    let missing = |depth: usize| AssetProblem::Incomplete {
        file: METADATA_FILE,
        field: path[..depth].join("."),
        expected: AWS_METADATA,
    };
    let mut value = metadata;
    for (depth, field) in path.iter().enumerate() {
        value = value.get(field).ok_or_else(|| missing(depth + 1))?;
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
    fn the_domain_of_the_cluster_may_be_missing() {
        assert_eq!(cluster_domain(METADATA.as_bytes()).as_deref(), Some("demo.example.com"));
        for none in ["{}", r#"{"aws": {"clusterDomain": ""}}"#, "no JSON"] {
            assert_eq!(cluster_domain(none.as_bytes()), None, "{none}");
        }
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
        assets.ensure_complete().unwrap();
        assert_eq!(assets.ignition(IgnitionFile::Master), Some(IGNITION.as_bytes()));
        assert!(assets.modified(IgnitionFile::Worker).unwrap() <= SystemTime::now());
        let cluster = assets.cluster().unwrap();
        assert_eq!(cluster.infra_id, "demo-x7k2p");
        assert_eq!((&*cluster.name, &*cluster.region), ("demo", "us-west-2"));
        assert!(!format!("{assets:?}").contains("sesame"));
    }

    #[test]
    fn files_can_be_missing_and_a_new_cluster_needs_them_all() {
        let folder = folder(&[("master.ign", IGNITION)]);
        let assets = Assets::read(folder.path()).unwrap();
        assert_eq!(assets.ignition(IgnitionFile::Master), Some(IGNITION.as_bytes()));
        assert_eq!((assets.ignition(IgnitionFile::Bootstrap), assets.cluster()), (None, None));
        let error = assets.ensure_complete().unwrap_err().to_string();
        let missing = "bootstrap.ign is missing; worker.ign is missing; metadata.json is missing";
        assert!(error.ends_with(missing), "{error}");
        Assets::none().ensure_complete().unwrap();
    }

    #[test]
    fn a_folder_that_does_not_exist_is_one_problem() {
        let folder = folder(&[]);
        let gone = Assets::read(&folder.path().join("gone")).unwrap_err();
        let text = gone.to_string();
        assert!(text.ends_with("gone: the folder does not exist"), "{text}");
        assert!(gone.hint().starts_with("pass the folder"), "{}", gone.hint());
        let empty = Assets::read(folder.path()).unwrap();
        assert_eq!(empty.ensure_complete().unwrap_err().problems.len(), 4);
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
