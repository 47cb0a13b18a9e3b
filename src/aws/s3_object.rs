//! An object in a bucket: the bootstrap Ignition, known to the state by its digest.

use serde::{Deserialize, Serialize};

use super::Tags;
use super::ids::BucketName;
use crate::graph::{Input, Resource, Schema};
use crate::secret::Secret;

/// An object's inputs. It is encrypted at rest (SSE-S3, AES256).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct S3Object {
    /// The bucket it is in.
    pub bucket: Input<BucketName>,
    /// Its key.
    pub key: String,
    /// Its content.
    pub content: Secret,
    /// Its tags, at most ten.
    pub tags: Tags,
}

/// What is known of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct S3ObjectOutputs {
    /// The bucket it is in.
    pub bucket: BucketName,
    /// Its key.
    pub key: String,
}

impl Resource for S3Object {
    const SCHEMA: Schema = Schema { replaced_by: &["bucket", "key"], ..Schema::of("s3_object") };
    type Outputs = S3ObjectOutputs;
}
