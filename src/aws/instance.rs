//! An EC2 instance: a master or the bootstrap machine.

use serde::{Deserialize, Serialize};

use super::Tags;
use super::facts::{Actions, Arn, Count, Drift, Kind, Repeat, Security, Untracked};
use super::ids::{
    BucketName, ImageId, InstanceId, InstanceProfileName, NetworkInterfaceId, PrivateIp,
    SecurityGroupId, SubnetId,
};
use super::metadata_options::MetadataOptions;
use super::swept::What;
use crate::graph::{Input, Resource, Schema, Usable, Wait};
use crate::secret::Secret;

/// An instance's inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// The image it boots.
    pub image: Input<ImageId>,
    /// Its type.
    pub instance_type: String,
    /// The profile it carries.
    pub profile: Input<InstanceProfileName>,
    /// Where it is attached.
    pub network: Network,
    /// Its root volume.
    pub root_volume: RootVolume,
    /// What it is told at first boot.
    pub user_data: UserData,
    /// How its metadata service answers. See [`super::metadata_options`].
    pub metadata_options: MetadataOptions,
    /// Its tags.
    pub tags: Tags,
    /// The tags of its volumes.
    pub volume_tags: Tags,
}

/// Where an instance is attached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// To an interface of its own right.
    Interface(Input<NetworkInterfaceId>),
    /// To a subnet, by an interface that comes and goes with it.
    Subnet {
        /// The subnet.
        subnet: Input<SubnetId>,
        /// The security groups it is in.
        groups: Vec<Input<SecurityGroupId>>,
        /// Whether it gets a public address.
        public_ip: bool,
    },
}

/// A root volume; encrypted always.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RootVolume {
    /// The device the image calls its root (`/dev/xvda`).
    pub device: String,
    /// `gp3`, `io2`, …
    pub volume_type: String,
    /// GiB.
    pub size: i32,
    /// Operations per second; `None` is the type's own figure.
    pub iops: Option<i32>,
    /// The key; `None` is the account's default key for EBS.
    pub kms_key: Option<String>,
}

/// What an instance is told at first boot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserData {
    /// The text; with `presigned`, [`PRESIGNED_URL`] in it stands for the object's URL.
    pub content: Secret,
    /// The object whose presigned URL the text needs, made at launch and good for an hour.
    pub presigned: Option<ObjectRef>,
}

/// The most bytes of user data, before they are encoded (EC2 user guide, "Run commands when you
/// launch an EC2 instance with user data input").
pub const LONGEST_USER_DATA: usize = 16 * 1024;

/// What stands in a user data text for the presigned URL.
pub const PRESIGNED_URL: &str = "@presigned-url@";

/// An object in S3.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Its bucket.
    pub bucket: Input<BucketName>,
    /// Its key.
    pub key: String,
}

/// What is known of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceOutputs {
    /// Its id.
    pub id: InstanceId,
    /// Its address.
    pub private_ip: PrivateIp,
}

impl Resource for Instance {
    const SCHEMA: Schema = Schema {
        replaced_by: &["instance_type", "profile", "network", "root_volume"],
        set_at_creation: &["image", "user_data"],
        endures: true,
        usable: Usable::Created,
        ready: Some(Wait { every_seconds: 5, within_seconds: 600 }),
        gone: Some(Wait { every_seconds: 5, within_seconds: 1200 }),
        typical_seconds: 20,
        ..Schema::of("instance", Self::REPEAT.identity())
    };
    type Outputs = InstanceOutputs;
}

impl Kind for Instance {
    const ACTIONS: Actions = Actions {
        create: &["ec2:RunInstances"],
        configure: &["ec2:CreateTags"],
        observe: &["ec2:DescribeInstances", "ec2:DescribeVolumes"],
        update: &["ec2:ModifyInstanceMetadataOptions", "ec2:CreateTags", "ec2:DeleteTags"],
        delete: &["ec2:TerminateInstances"],
    };
    const REPEAT: Repeat = Repeat::WithToken;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = Some("i");
    const QUOTA: Option<Count> = Some(Count::Vcpus);
    const ARN: Arn = Arn::Any;
    const DRIFT: Drift = Drift {
        security: Security::Fields(&["metadata_options", "profile", "groups", "kms_key"]),
        cosmetic: &["tags", "volume_tags"],
        always_shown: &["metadata_options"],
    };
    const UNTRACKED: Untracked = Untracked::ByTag(What::Instance);
}

#[cfg(feature = "sdk")]
mod calls;
#[cfg(feature = "sdk")]
mod launch;
#[cfg(feature = "sdk")]
pub(crate) use calls::groups_in_recorded_order;
#[cfg(feature = "sdk")]
pub(in crate::aws) use calls::{
    live_metadata_options, live_profile, live_state, look_if_running, look_if_terminated, say,
    set_metadata_options,
};
#[cfg(feature = "sdk")]
pub(in crate::aws) use launch::{metadata_options, sent_as_user_data};
