//! The RHCOS stream: the image of each region.
//!
//! Reads the JSON that `openshift-install coreos print-stream-json` prints. Never downloads it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use groundplan_aws::model::ids::ImageId;
use serde::Deserialize;

use crate::install_config::Architecture;

/// The images of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Images by architecture, in the terms of the stream, and by region.
    images: BTreeMap<String, BTreeMap<String, ImageId>>,
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
            regions.into_iter().map(|(region, image)| (region, image.image)).collect()
        };
        let images = file.architectures.into_iter().map(|(name, one)| (name, regions(one)));
        Ok(Self { images: images.collect() })
    }

    /// Returns the image for machines of this architecture in this region.
    pub fn image(&self, architecture: Architecture, region: &str) -> Option<&ImageId> {
        let name = match architecture {
            Architecture::Amd64 => "x86_64",
            Architecture::Arm64 => "aarch64",
        };
        self.images.get(name)?.get(region)
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
    fn a_file_that_is_no_stream_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stream.json");
        assert!(matches!(Stream::read(&path), Err(StreamError::Unreadable { .. })));
        std::fs::write(&path, "{}").unwrap();
        let error = Stream::read(&path).unwrap_err();
        assert!(error.to_string().contains("stream.json is not an RHCOS stream"), "{error}");
    }
}
