//! The RHCOS stream: the image of each region.
//!
//! Reads the JSON that `openshift-install coreos print-stream-json` prints. Never downloads it.
//!
//! Each image has the release of its operating system: `9.8.20260428-0`, or `416.94.202501270445-0`
//! before 4.19, whose second number begins with the major release of RHEL.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use groundplan_aws::model::ids::ImageId;
use serde::Deserialize;

use crate::install_config::Architecture;

/// The images of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Images by architecture, in the terms of the stream, and by region.
    images: BTreeMap<String, BTreeMap<String, StreamImage>>,
}

/// An image of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
struct StreamImage {
    id: ImageId,
    /// Operating system of the image. `None` if the file does not say.
    os: Option<String>,
}

/// The reason why a stream file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The file cannot be read.
    #[error("could not read the RHCOS stream {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The file has other content.
    #[error("{} is not an RHCOS stream", path.display())]
    NotAStream {
        /// The file.
        path: PathBuf,
        /// Parse error.
        source: serde_json::Error,
    },
}

impl Stream {
    /// Reads a stream from a file.
    pub fn read(path: &Path) -> Result<Self, StreamError> {
        let text = std::fs::read(path)
            .map_err(|source| StreamError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text)
            .map_err(|source| StreamError::NotAStream { path: path.to_owned(), source })
    }

    /// Parses a stream from JSON.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        let file: StreamDocument = serde_json::from_slice(text)?;
        let regions = |architecture: FileArchitecture| {
            let regions = architecture.images.aws.unwrap_or_default().regions;
            let image = |image: FileRegion| StreamImage {
                id: image.image,
                os: image.release.as_deref().and_then(os_of_release),
            };
            regions.into_iter().map(|(region, one)| (region, image(one))).collect()
        };
        let images = file.architectures.into_iter().map(|(name, one)| (name, regions(one)));
        Ok(Self { images: images.collect() })
    }

    /// Returns the image for machines of this architecture in this region.
    pub fn image(&self, architecture: Architecture, region: &str) -> Option<&ImageId> {
        self.entry(architecture, region).map(|image| &image.id)
    }

    /// Returns the operating system of that image, as `osImageStream` names it: `rhel-9`. `None` if
    /// there is no image, or the file does not say.
    pub fn os(&self, architecture: Architecture, region: &str) -> Option<&str> {
        self.entry(architecture, region)?.os.as_deref()
    }

    fn entry(&self, architecture: Architecture, region: &str) -> Option<&StreamImage> {
        let name = match architecture {
            Architecture::Amd64 => "x86_64",
            Architecture::Arm64 => "aarch64",
        };
        self.images.get(name)?.get(region)
    }
}

/// Returns the operating system of an image with this release. `None` for another form.
fn os_of_release(release: &str) -> Option<String> {
    let mut numbers = release.split(['.', '-']);
    let (first, second) = (numbers.next()?, numbers.next()?);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(first) || !is_number(second) {
        return None;
    }
    match (first.len(), second.len()) {
        (1 | 2, _) => Some(format!("rhel-{first}")),
        (3, 2) => Some(format!("rhel-{}", &second[..1])),
        _ => None,
    }
}

#[derive(Deserialize)]
struct StreamDocument {
    architectures: BTreeMap<String, FileArchitecture>,
}

#[derive(Deserialize)]
struct FileArchitecture {
    #[serde(default)]
    images: FileImages,
}

#[derive(Default, Deserialize)]
struct FileImages {
    aws: Option<FileAws>,
}

#[derive(Default, Deserialize)]
struct FileAws {
    regions: BTreeMap<String, FileRegion>,
}

#[derive(Deserialize)]
struct FileRegion {
    image: ImageId,
    release: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_knows_its_images_by_architecture_and_region() {
        let stream = Stream::parse(
            br#"{"stream": "rhcos", "metadata": {}, "architectures": {
                "s390x": {"artifacts": {}, "images": {}}, "ppc64le": {"artifacts": {}},
                "x86_64": {"images": {"gcp": {}, "aws": {"regions": {
                    "us-west-2": {"release": "415", "image": "ami-0123"}}}}}}}"#,
        )
        .unwrap();
        let amd = |region| stream.image(Architecture::Amd64, region);
        assert_eq!(amd("us-west-2"), Some(&"ami-0123".into()));
        assert_eq!(amd("us-east-1"), None);
        assert_eq!(stream.image(Architecture::Arm64, "us-west-2"), None);
    }

    #[test]
    fn the_release_of_an_image_tells_its_operating_system() {
        // Releases of data/data/coreos of openshift/installer: 4.12, 4.15, 4.16, 4.20 and 5.0.
        for (release, os) in [
            ("412.86.202402272018-0", Some("rhel-8")),
            ("415.92.202402130021-0", Some("rhel-9")),
            ("416.94.202501270445-0", Some("rhel-9")),
            ("9.6.20260217-1", Some("rhel-9")),
            ("10.2.20260423-0", Some("rhel-10")),
            ("415", None),
            ("", None),
            ("four.two", None),
            ("2026.04", None),
        ] {
            assert_eq!(os_of_release(release).as_deref(), os, "{release}");
        }
    }

    #[test]
    fn a_file_that_is_no_stream_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stream.json");
        assert!(matches!(Stream::read(&path), Err(StreamError::Unreadable { .. })));
        std::fs::write(&path, "{}").unwrap();
        let error = Stream::read(&path).unwrap_err();
        assert!(error.to_string().contains("stream.json is not an RHCOS stream"), "{error}");
    }
}
