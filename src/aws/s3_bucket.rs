//! The bucket that holds the bootstrap Ignition.

use serde::{Deserialize, Serialize};

use super::Tags;
use super::ids::BucketName;
use crate::graph::{Resource, Schema};

/// A bucket's inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct S3Bucket {
    /// Its name, unique in the world.
    pub name: BucketName,
    /// Its tags.
    pub tags: Tags,
}

/// What is known of a bucket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct S3BucketOutputs {
    /// Its name.
    pub name: BucketName,
}

impl Resource for S3Bucket {
    const SCHEMA: Schema =
        Schema { replaced_by: &["name"], configures: true, ..Schema::of("s3_bucket") };
    type Outputs = S3BucketOutputs;
}
