//! An EC2 instance of an install-config: a master or the bootstrap machine.

use groundplan_engine::graph::{DependentsStart, Input, Resource, Schema, SetInput, Wait};
use groundplan_engine::secret::Secret;
use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::kinds::machine::ConfidentialCompute;
use crate::kinds::network_interface::place;
use crate::model::billed::{self, BilledCategory, BilledVolume};
use crate::model::ids::{
    BucketName, ImageId, InstanceId, InstanceProfileId, InstanceProfileName, NetworkInterfaceId,
    PrivateIp, PublicIp, SecurityGroupId, SubnetId,
};
use crate::model::metadata_options::MetadataOptions;
use crate::model::untracked::UntrackedKind;
use crate::model::volume::PlannedVolume;
use crate::summary::{encryption, labelled, metadata_options, name, names, zone};

/// Inputs of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Image.
    pub image: Input<ImageId>,
    /// Instance type.
    pub instance_type: String,
    /// Instance profile.
    pub profile: Input<InstanceProfileName>,
    /// Unique ID of the instance profile. Differs from the live one after the profile was deleted
    /// and created again under its name: the instance is then associated with it anew. `None` means
    /// no opinion: the profile is the user's, or the record is of an older version of groundplan.
    #[serde(default)]
    pub profile_id: Option<Input<InstanceProfileId>>,
    /// Attachment to the network.
    pub network: InstanceNetwork,
    /// Root volume.
    pub root_volume: InstanceRootVolume,
    /// User data, which the instance reads at first boot.
    pub user_data: UserDataSource,
    /// Options of the instance metadata service. See [`crate::model::metadata_options`].
    pub metadata_options: MetadataOptions,
    /// Memory encryption by the processor. `None` sends nothing, and AWS decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidential_compute: Option<ConfidentialCompute>,
    /// Tags of the instance.
    pub tags: Tags,
    /// Tags of its volumes.
    pub volume_tags: Tags,
}

/// Attachment of an instance to the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceNetwork {
    /// Primary network interface that is a resource of its own.
    Interface(Input<NetworkInterfaceId>),
    /// Subnet in which EC2 creates the primary interface. The interface is deleted with the
    /// instance.
    Subnet {
        /// Subnet.
        subnet: Input<SubnetId>,
        /// Security groups of the interface.
        groups: Vec<Input<SecurityGroupId>>,
        /// True if the interface gets a public address.
        public_ip: bool,
    },
}

/// A root volume. It is always encrypted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceRootVolume {
    /// Device name of the root volume in the image (`/dev/xvda`).
    pub device: String,
    /// Volume type: `gp3`, `io2`, …
    pub volume_type: String,
    /// Size in GiB.
    pub size: i32,
    /// Operations per second. `None` sends nothing, and EC2 uses the default of the volume type.
    pub iops: Option<i32>,
    /// Throughput in MiB/s. `None` sends nothing, and EC2 uses the default of the volume type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<i32>,
    /// KMS key. `None` stands for the account's default EBS key.
    pub kms_key: Option<String>,
}

/// User data of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserDataSource {
    /// Content. If `presigned` is set, the content is UTF-8 text in which each [`PRESIGNED_URL`] is
    /// replaced by the URL of the object.
    pub content: Secret,
    /// Object whose presigned URL the text needs. The URL is made at launch and valid for one hour.
    pub presigned: Option<ObjectRef>,
}

/// Placeholder of the presigned URL in a user data text.
pub const PRESIGNED_URL: &str = "@presigned-url@";

/// An object in S3.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Bucket.
    pub bucket: Input<BucketName>,
    /// Key of the object.
    pub key: String,
}

/// Outputs of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceOutputs {
    /// ID of the instance.
    pub id: InstanceId,
    /// Private address of the instance.
    pub private_ip: PrivateIp,
    /// Public address of the instance. EC2 returns it once the instance runs. `None` means that the
    /// instance has none, or that the record is of an older version of groundplan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_ip: Option<PublicIp>,
}

impl Resource for Instance {
    const SCHEMA: Schema = Schema {
        proves: &["network"],
        force_new: &["instance_type", "network", "root_volume", "confidential_compute"],
        create_only: &["image", "user_data"],
        write_only: &["volume_tags"],
        ignores_drift: true,
        dependents_start: DependentsStart::Created,
        ready: Some(Wait { every_seconds: 5, within_seconds: 600 }),
        gone: Some(Wait { every_seconds: 5, within_seconds: 1200 }),
        typical_seconds: 20,
        sets: &[SetInput::of_values("network.subnet.groups", "group")],
        ..Schema::of("instance", Self::REPEAT.identity())
    };
    type Outputs = InstanceOutputs;
}

impl Kind for Instance {
    const ACTIONS: Actions = Actions {
        create: &["ec2:RunInstances"],
        configure: &["ec2:CreateTags"],
        refresh: &["ec2:DescribeInstances", "ec2:DescribeVolumes"],
        update: &[
            "ec2:ModifyInstanceMetadataOptions",
            "ec2:DescribeIamInstanceProfileAssociations",
            "ec2:AssociateIamInstanceProfile",
            "ec2:ReplaceIamInstanceProfileAssociation",
            "ec2:ModifyInstanceAttribute",
            "ec2:StartInstances",
            "ec2:CreateTags",
            "ec2:DeleteTags",
        ],
        delete: &["ec2:DescribeInstanceAttribute", "ec2:TerminateInstances"],
    };
    const REPEAT: Repeat = Repeat::WithToken;
    const UPDATES_OF: &'static [(&'static [&'static str], &'static [&'static str])] = &[
        (
            &["profile", "profile_id"],
            &[
                "ec2:DescribeIamInstanceProfileAssociations",
                "ec2:AssociateIamInstanceProfile",
                "ec2:ReplaceIamInstanceProfileAssociation",
            ],
        ),
        (&["state"], &["ec2:StartInstances"]),
        (&["source_dest_check"], &["ec2:ModifyInstanceAttribute"]),
    ];
    const UNMANAGED: &'static [&'static str] = &["state", "source_dest_check"];
    // The API of both calls has no DryRun.
    const WITHOUT_DRY_RUN: &'static [&'static str] =
        &["ec2:AssociateIamInstanceProfile", "ec2:ReplaceIamInstanceProfileAssociation"];
    const ID_PREFIX: Option<&'static str> = Some("i");
    const QUOTA: Option<QuotaCount> = Some(QuotaCount::Vcpus);
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields = DriftFields {
        security: SecurityFields::Fields(&[
            "metadata_options",
            "profile",
            "profile_id",
            "groups",
            "kms_key",
        ]),
        cosmetic: &["tags", "volume_tags"],
    };
    const UNTRACKED: SweepMethod = SweepMethod::ByTag(UntrackedKind::Instance);
    const SUBJECT: PlanSubject = PlanSubject::Machines;

    fn summary(&self, around: &Surroundings<'_>) -> Summary {
        let (place, public) = match &self.network {
            InstanceNetwork::Interface(interface) => (place(interface, around.values), ""),
            InstanceNetwork::Subnet { subnet, groups, public_ip } => {
                let place = [
                    zone(subnet, around.values),
                    labelled("in", &name(subnet)),
                    labelled("groups", &names(groups)),
                ];
                (place, if *public_ip { "public address" } else { "" })
            }
        };
        let InstanceRootVolume { volume_type, size, iops, throughput, kms_key, .. } =
            &self.root_volume;
        let encryption = encryption(Some(true), kms_key.as_deref());
        let iops = iops.map(|iops| format!(" {iops} IOPS")).unwrap_or_default();
        let throughput = throughput.map(|flow| format!(" {flow} MiB/s")).unwrap_or_default();
        let [zone, subnet, groups] = place;
        Summary::of([
            self.instance_type.clone(),
            zone,
            metadata_options(&self.metadata_options),
            labelled("image", &name(&self.image)),
            format!("root {volume_type} {size} GiB{iops}{throughput} {encryption}"),
            subnet,
            groups,
            public.to_owned(),
        ])
    }

    fn volumes(&self) -> Option<Vec<PlannedVolume>> {
        let InstanceRootVolume { device, kms_key, .. } = &self.root_volume;
        let (device, kms_key) = (device.clone(), kms_key.clone());
        Some(vec![PlannedVolume { device, encrypted: Some(true), kms_key }])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        let InstanceRootVolume { volume_type, size, iops, throughput, .. } = &self.root_volume;
        let volume = BilledVolume {
            volume_type: Some(volume_type),
            size: Some(*size),
            iops: *iops,
            throughput: *throughput,
        };
        let is_public = matches!(self.network, InstanceNetwork::Subnet { public_ip: true, .. });
        let machine = billed::instance(BilledCategory::Instance, Some(&self.instance_type));
        let address = billed::public_ipv4(usize::from(is_public));
        [machine, address].into_iter().chain(volume.billed()).collect()
    }
}

#[cfg(feature = "sdk")]
mod calls;
#[cfg(feature = "sdk")]
mod launch;
#[cfg(feature = "sdk")]
mod profile;

#[cfg(all(test, feature = "sdk"))]
pub(crate) mod tests {
    use super::*;
    use crate::model::metadata_options::HttpTokens;

    /// Returns an instance whose inputs are all known.
    pub(crate) fn instance() -> Instance {
        Instance {
            image: Input::Known("ami-1".into()),
            instance_type: "m6i.xlarge".to_owned(),
            profile: Input::Known("profile".into()),
            profile_id: Some(Input::Known("AIPA1".into())),
            network: InstanceNetwork::Interface(Input::Known("eni-1".into())),
            root_volume: InstanceRootVolume {
                device: "/dev/xvda".to_owned(),
                volume_type: "gp3".to_owned(),
                size: 120,
                iops: None,
                throughput: None,
                kms_key: None,
            },
            user_data: UserDataSource { content: Secret::of(b"canary"), presigned: None },
            metadata_options: MetadataOptions {
                http_tokens: Some(HttpTokens::Required),
                ..MetadataOptions::default()
            },
            confidential_compute: None,
            tags: Tags::new(),
            volume_tags: Tags::new(),
        }
    }
}
