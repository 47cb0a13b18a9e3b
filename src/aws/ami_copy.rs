//! A copy of an image from another region, encrypted with the default key.

use serde::{Deserialize, Serialize};

use super::Tags;
use super::ids::ImageId;
use crate::graph::{Resource, Schema, Wait};

/// The inputs of a copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AmiCopy {
    /// The image.
    pub source: ImageId,
    /// The region it is in.
    pub source_region: String,
    /// The name of the copy.
    pub name: String,
    /// Its tags, and its snapshots'.
    pub tags: Tags,
}

/// What is known of a copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AmiCopyOutputs {
    /// Its id.
    pub id: ImageId,
}

impl Resource for AmiCopy {
    const SCHEMA: Schema = Schema {
        replaced_by: &["source", "source_region", "name"],
        ready: Some(Wait { every_seconds: 15, within_seconds: 2400 }),
        typical_seconds: 300,
        ..Schema::of("ami_copy")
    };
    type Outputs = AmiCopyOutputs;
}
