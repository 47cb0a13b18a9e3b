//! Files that an Ignition config writes, limited to the manifests of a cluster.
//!
//! The form is that of the Ignition specification 3.x, `storage.files`. Contents are secrets: no
//! error and no debug output quotes them. Never follows a URL.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use secrecy::SecretString;
use serde::Deserialize;

/// Folders of the bootstrap machine whose manifests the cluster gets (openshift/installer
/// `pkg/asset/ignition/bootstrap/common.go`, `addParentFiles`).
const FOLDERS: [&str; 2] = ["/opt/openshift/openshift/", "/opt/openshift/manifests/"];

/// Maximum size of a manifest in bytes. An API server accepts no object above 1.5 MiB.
pub(super) const LARGEST: usize = 4 << 20;
/// Maximum size of all manifests in bytes.
pub(super) const LARGEST_SUM: usize = 32 << 20;

/// Manifest in the assets.
pub(super) struct AssetFile {
    /// Path of the file, as in the Ignition config.
    pub(super) path: String,
    /// Text of the file, which may be a Secret.
    pub(super) text: SecretString,
}

impl fmt::Debug for AssetFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

/// Problem of a manifest in the assets. Has the path of the file and never its content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct AssetManifestError {
    /// Path of the file.
    pub file: String,
    /// Problem of the file.
    pub problem: AssetManifestProblem,
}

/// Problem of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssetManifestProblem {
    /// The Ignition config has other fields than `storage.files`.
    #[error("found no readable `storage.files` (line {line}, column {column})")]
    Storage {
        /// Line of the problem.
        line: usize,
        /// Column of the problem.
        column: usize,
    },
    /// The content is not in the config, or not as the specification demands.
    #[error("the content is not a valid data URL")]
    Source,
    /// The compression is unknown, or the content is damaged.
    #[error("the content cannot be decompressed")]
    Compression,
    /// The content exceeds the limit.
    #[error("the content exceeds {limit} MiB")]
    TooLarge {
        /// Limit in MiB.
        limit: usize,
    },
    /// The content is not UTF-8.
    #[error("the content is invalid UTF-8")]
    NotText,
    /// A document is not YAML.
    #[error("document {document} is not valid YAML (line {line})")]
    NotYaml {
        /// Number of the document in the file, from 1.
        document: usize,
        /// Line of the problem in the file.
        line: usize,
    },
    /// A field of an object has another type than in the API.
    #[error("a field of the {kind} has a wrong type")]
    FieldType {
        /// Kind of the object.
        kind: &'static str,
    },
}

impl AssetManifestProblem {
    pub(super) fn of(self, file: &str) -> AssetManifestError {
        AssetManifestError { file: file.to_owned(), problem: self }
    }
}

type Result<T> = std::result::Result<T, AssetManifestProblem>;

#[derive(Deserialize)]
struct Config<'a> {
    #[serde(borrow, default)]
    storage: Option<Storage<'a>>,
}

#[derive(Deserialize)]
struct Storage<'a> {
    #[serde(borrow, default)]
    files: Option<Vec<File<'a>>>,
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    path: Text<'a>,
    #[serde(borrow, default)]
    contents: Option<Contents<'a>>,
}

#[derive(Deserialize)]
struct Contents<'a> {
    #[serde(borrow, default)]
    source: Option<Text<'a>>,
    #[serde(borrow, default)]
    compression: Option<Text<'a>>,
}

/// Text that is borrowed where JSON allows it, so that no copy of a secret is left in memory.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Returns the manifests in an Ignition config. `name` is the name of the config in errors.
pub(super) fn manifests(
    name: &str,
    config: &[u8],
) -> std::result::Result<Vec<AssetFile>, AssetManifestError> {
    let unreadable = |error: serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        AssetManifestProblem::Storage { line, column }.of(name)
    };
    let config: Config = serde_json::from_slice(config).map_err(unreadable)?;
    let files = config.storage.and_then(|storage| storage.files).unwrap_or_default();
    let mut manifests = Vec::new();
    let mut left = LARGEST_SUM;
    for file in files.iter().filter(|file| is_manifest(&file.path.0)) {
        let place = format!("{} in {name}", file.path.0);
        let text = text(file, left.min(LARGEST)).map_err(|problem| problem.of(&place))?;
        left -= text.len();
        manifests.push(AssetFile { path: place, text: text.into() });
    }
    Ok(manifests)
}

/// Returns true for a file that the bootstrap machine sends to the API server.
fn is_manifest(path: &str) -> bool {
    let is_inside = |folder: &&str| path.strip_prefix(*folder).is_some_and(is_yaml);
    FOLDERS.iter().any(is_inside)
}

/// Returns true if a file of this name has YAML or JSON.
pub(super) fn is_yaml(name: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending))
}

fn text(file: &File, limit: usize) -> Result<String> {
    let Some(contents) = &file.contents else { return Ok(String::new()) };
    let source = contents.source.as_ref().map_or("", |source| &source.0);
    let content = if source.is_empty() { Vec::new() } else { decoded(source, limit)? };
    let compression = contents.compression.as_ref().map_or("", |compression| &compression.0);
    let content = match compression {
        "" => content,
        "gzip" => decompressed(&content, limit)?,
        _ => return Err(AssetManifestProblem::Compression),
    };
    String::from_utf8(content).map_err(|_| AssetManifestProblem::NotText)
}

/// Returns the content of a data URL (RFC 2397).
fn decoded(source: &str, limit: usize) -> Result<Vec<u8>> {
    let (media, data) = source
        .strip_prefix("data:")
        .and_then(|url| url.split_once(','))
        .ok_or(AssetManifestProblem::Source)?;
    // Base64 and percent encoding shorten neither below a third.
    if data.len() / 3 > limit {
        return Err(too_large(limit));
    }
    let plain = unescaped(data)?;
    let content = match media.ends_with(";base64") {
        true => STANDARD.decode(plain).map_err(|_| AssetManifestProblem::Source)?,
        false => plain,
    };
    if content.len() > limit { Err(too_large(limit)) } else { Ok(content) }
}

/// Returns the bytes of a text with percent encoding.
fn unescaped(text: &str) -> Result<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
        plain.push(match byte {
            b'%' => {
                let (high, low) = (digit(), digit());
                let value = high.zip(low).map(|(high, low)| high * 16 + low);
                let value = value.and_then(|value| u8::try_from(value).ok());
                value.ok_or(AssetManifestProblem::Source)?
            }
            other => other,
        });
    }
    Ok(plain)
}

fn decompressed(content: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    // One byte more than the limit shows that the content is larger.
    let mut bounded = GzDecoder::new(content).take(limit as u64 + 1);
    bounded.read_to_end(&mut plain).map_err(|_| AssetManifestProblem::Compression)?;
    if plain.len() > limit { Err(too_large(limit)) } else { Ok(plain) }
}

/// Returns the error for a file above its limit. The limit of all files may be reached first.
fn too_large(limit: usize) -> AssetManifestProblem {
    let limit = if limit < LARGEST { LARGEST_SUM } else { LARGEST };
    AssetManifestProblem::TooLarge { limit: limit >> 20 }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use secrecy::ExposeSecret;
    use serde_json::{Value, json};

    use super::*;

    const CANARY: &str = "CanaryOfAManifest";

    fn read(files: &[Value]) -> std::result::Result<Vec<(String, String)>, AssetManifestError> {
        let config = json!({"ignition": {"version": "3.2.0"}, "storage": {"files": files}});
        let found = manifests("bootstrap.ign", config.to_string().as_bytes())?;
        assert!(!format!("{found:?}").contains(CANARY));
        let plain = |file: AssetFile| (file.path, file.text.expose_secret().to_owned());
        Ok(found.into_iter().map(plain).collect())
    }

    fn one(name: &str, contents: &Value) -> std::result::Result<String, String> {
        let path = format!("/opt/openshift/openshift/{name}");
        let found = read(&[json!({"path": path, "contents": contents})]);
        match found {
            Ok(found) => Ok(found[0].1.clone()),
            Err(error) => {
                let text = format!("{error} {error:?}");
                assert!(text.contains(name) && !text.contains(CANARY), "{text}");
                Err(error.problem.to_string())
            }
        }
    }

    fn gzip(text: &[u8]) -> String {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        STANDARD.encode(encoder.finish().unwrap())
    }

    #[test]
    fn only_manifests_are_read_in_each_encoding() {
        let base64 = STANDARD.encode("kind: A\n");
        let contents = |source: String| json!({"source": source});
        let files = [
            json!({"path": "/opt/openshift/openshift/a.yaml",
                   "contents": contents(format!("data:text/plain;charset=utf-8;base64,{base64}"))}),
            json!({"path": "/opt/openshift/manifests/b.yml", "contents": contents("data:,kind%3A%20B%0a".into())}),
            json!({"path": "/opt/openshift/openshift/c.json", "mode": 420, "contents":
                   {"source": format!("data:;base64,{}", gzip(b"{}")), "compression": "gzip"}}),
            json!({"path": "/opt/openshift/openshift/d.yaml"}),
            json!({"path": "/opt/openshift/openshift/e.yaml", "contents": {"source": null}}),
            json!({"path": "/opt/openshift/tls/a.key", "contents": contents("odd".into())}),
            json!({"path": "/opt/openshift/openshift/a.key", "contents": contents("odd".into())}),
        ];
        let found = read(&files).unwrap();
        let texts: Vec<&str> = found.iter().map(|(_, text)| &**text).collect();
        assert_eq!(texts, ["kind: A\n", "kind: B\n", "{}", "", ""]);
        assert_eq!(found[1].0, "/opt/openshift/manifests/b.yml in bootstrap.ign");
        for nothing in [json!({}), json!({"storage": null}), json!({"storage": {"files": null}})] {
            assert!(manifests("a", nothing.to_string().as_bytes()).unwrap().is_empty());
        }
    }

    #[test]
    fn a_damaged_file_is_named_and_never_quoted() {
        let source = |source: &str| json!({"source": source});
        for (contents, expected) in [
            (source(CANARY), "the content is not a valid data URL"),
            (source(&format!("https://example.com/{CANARY}")), "not a valid data URL"),
            (source(&format!("data:;base64,{CANARY}!")), "not a valid data URL"),
            (source(&format!("data:,{CANARY}%2")), "not a valid data URL"),
            (source("data:,%ff"), "the content is invalid UTF-8"),
            (json!({"source": format!("data:,{CANARY}"), "compression": "gzip"}), "decompressed"),
            (json!({"source": format!("data:,{CANARY}"), "compression": "xz"}), "decompressed"),
        ] {
            let said = one("a.yaml", &contents).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
        let odd = format!(r#"{{"storage": {{"files": "{CANARY}"}}}}"#);
        let error = manifests("bootstrap.ign", odd.as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "bootstrap.ign: found no readable `storage.files` (line 1, column 41)"
        );
    }

    #[test]
    fn sizes_are_bounded_before_and_after_decompression() {
        let zeros = gzip(&vec![b' '; LARGEST + 1]);
        assert!(zeros.len() < 20_000, "a small file with a large content");
        let bomb = json!({"source": format!("data:;base64,{zeros}"), "compression": "gzip"});
        assert_eq!(one("a.yaml", &bomb).unwrap_err(), "the content exceeds 4 MiB");
        let large = json!({"source": format!("data:,{}", " ".repeat(LARGEST + 1))});
        assert_eq!(one("a.yaml", &large).unwrap_err(), "the content exceeds 4 MiB");
        let full = gzip(&vec![b' '; LARGEST]);
        let path = |index| format!("/opt/openshift/openshift/{index}.yaml");
        let contents = json!({"source": format!("data:;base64,{full}"), "compression": "gzip"});
        let many = |count| {
            let file = |index| json!({"path": path(index), "contents": contents});
            read(&(0..count).map(file).collect::<Vec<_>>())
        };
        assert_eq!(many(8).unwrap().len(), 8);
        let error = many(9).unwrap_err();
        assert_eq!(error.problem.to_string(), "the content exceeds 32 MiB");
    }
}
