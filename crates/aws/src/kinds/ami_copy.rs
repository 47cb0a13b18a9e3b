//! A copy of an image from another region, encrypted with the default EBS key.

use groundplan_engine::graph::{Resource, Schema, Wait};
use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::billed;
use crate::model::ids::ImageId;
use crate::model::untracked::UntrackedKind;

/// Inputs of an image copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AmiCopy {
    /// Source image.
    pub source: ImageId,
    /// Region of the source image.
    pub source_region: String,
    /// Name of the copy.
    pub name: String,
    /// Tags of the copy and of its snapshots.
    pub tags: Tags,
}

/// Outputs of an image copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AmiCopyOutputs {
    /// ID of the copy.
    pub id: ImageId,
}

impl Resource for AmiCopy {
    const SCHEMA: Schema = Schema {
        force_new: &["source", "source_region", "name"],
        ready: Some(Wait { every_seconds: 15, within_seconds: 2400 }),
        typical_seconds: 300,
        ..Schema::of("ami_copy", Self::REPEAT.identity())
    };
    type Outputs = AmiCopyOutputs;
}

impl Kind for AmiCopy {
    const ACTIONS: Actions = Actions {
        create: &["ec2:CopyImage"],
        configure: &["ec2:CreateTags"],
        refresh: &["ec2:DescribeImages"],
        update: &["ec2:CreateTags", "ec2:DeleteTags"],
        delete: &["ec2:DeregisterImage", "ec2:DescribeSnapshots", "ec2:DeleteSnapshot"],
    };
    const REPEAT: Repeat = Repeat::WithToken;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &["ec2:DeleteSnapshot"];
    const ID_PREFIX: Option<&'static str> = Some("ami");
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &["tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::ByTag(UntrackedKind::Image);
    const SUBJECT: PlanSubject = PlanSubject::Storage;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        let source = format!("encrypted copy of {} in {}", self.source, self.source_region);
        Summary::of([self.name.clone(), source])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        vec![billed::image_copy()]
    }
}

#[cfg(feature = "sdk")]
pub(crate) use calls::delete_image;

#[cfg(feature = "sdk")]
mod calls {
    use std::collections::BTreeSet;

    use aws_sdk_ec2::types::{self, Filter, ImageState, ResourceType, Tag};
    use groundplan_engine::provider::{ErrorClass, ProviderError, ProviderFuture};

    use super::{AmiCopy, AmiCopyOutputs};
    use crate::Aws;
    use crate::client::dry_run::{DryRunTarget, dry};
    use crate::client::ec2::{self, Ec2Object, pages};
    use crate::client::resource_type::{
        Creation, KindOperations, Live, PollResult, Recorded, Result,
    };
    use crate::model::ids::ImageId;

    impl KindOperations for AmiCopy {
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<AmiCopyOutputs> {
            let tags = |kind| ec2::tag_specification(kind, &self.tags, &creation.token);
            let call = aws
                .ec2
                .copy_image()
                .client_token(&creation.token)
                .source_image_id(self.source.as_str())
                .source_region(&self.source_region)
                .name(&self.name)
                .encrypted(true)
                .tag_specifications(tags(ResourceType::Image))
                .tag_specifications(tags(ResourceType::Snapshot));
            let made = aws.call("ec2", "CopyImage", call.send()).await?;
            Ok(AmiCopyOutputs { id: ec2::id("CopyImage", made.image_id())? })
        }

        async fn find(&self, aws: &Aws, creation: &Creation) -> Result<Option<AmiCopyOutputs>> {
            let found = ec2::find::<types::Image>(aws, &creation.token).await?;
            found.map(|image| outputs(&image)).transpose()
        }

        async fn ready(
            aws: &Aws,
            waiting: Vec<Recorded<Self>>,
        ) -> Result<Vec<PollResult<AmiCopyOutputs>>> {
            ec2::poll_all(aws, waiting, |o| o.id.as_str(), to_poll_result).await
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let found = ec2::all::<types::Image, _>(aws, &recorded, |o| o.id.as_str()).await?;
            let pairs = recorded.into_iter().zip(found);
            pairs
                .map(|(recorded, image)| {
                    image.map(|image| to_live(&recorded.inputs, &image)).transpose()
                })
                .collect()
        }

        async fn update(
            &self,
            aws: &Aws,
            _creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<AmiCopyOutputs> {
            let outputs = ec2::part("DescribeImages", "id", before.outputs)?;
            let id = outputs.id.as_str();
            let snapshots = snapshots(aws, id).await?;
            for one in snapshots.iter().map(String::as_str).chain([id]) {
                ec2::retag(aws, one, &before.inputs.tags, &self.tags).await?;
            }
            Ok(outputs)
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: AmiCopyOutputs) -> Result<()> {
            delete_image(aws, outputs.id.as_str()).await
        }

        fn dry_run<'a>(
            aws: &'a Aws,
            action: &'static str,
            about: &DryRunTarget,
        ) -> Option<ProviderFuture<'a, ()>> {
            let id = &about.id;
            let ec2 = &aws.ec2;
            Some(match action {
                "ec2:CopyImage" => {
                    let call = ec2
                        .copy_image()
                        .source_image_id(about.text("source"))
                        .name(about.text("name"));
                    dry!(
                        aws,
                        action,
                        call.source_region(about.text("source_region")).encrypted(true)
                    )
                }
                "ec2:DeregisterImage" => {
                    dry!(aws, action, ec2.deregister_image().image_id(id))
                }
                _ => return None,
            })
        }
    }

    /// Deletes an image, then its snapshots. EC2 rejects the deletion of a snapshot while an image
    /// uses it. An image or snapshot that no longer exists counts as deleted.
    pub(crate) async fn delete_image(aws: &Aws, id: &str) -> Result<()> {
        let snapshots = snapshots(aws, id).await?;
        let call = aws.ec2.deregister_image().image_id(id);
        let deregistered = aws.call("ec2", "DeregisterImage", call.send()).await;
        ec2::fine_when(deregistered, &["InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"])?;
        for snapshot in snapshots {
            let call = aws.ec2.delete_snapshot().snapshot_id(snapshot);
            let deleted = aws.call("ec2", "DeleteSnapshot", call.send()).await;
            ec2::fine_when(deleted, &["InvalidSnapshot.NotFound"])?;
        }
        Ok(())
    }

    impl Ec2Object for types::Image {
        const ID_FILTER: &'static str = "image-id";

        fn id(&self) -> Option<&str> {
            self.image_id()
        }

        fn tags(&self) -> &[Tag] {
            types::Image::tags(self)
        }

        fn exists(&self) -> bool {
            !matches!(self.state(), Some(ImageState::Deregistered))
        }

        async fn describe(aws: &Aws, filters: Vec<Filter>) -> Result<Vec<Self>> {
            let request = aws.ec2.describe_images().owners("self").set_filters(Some(filters));
            Ok(pages!(aws, "DescribeImages", request, images))
        }
    }

    /// Returns the snapshots of an image: those in its block device mappings, and those whose
    /// description names the image. After the image is deregistered, only the descriptions remain.
    async fn snapshots(aws: &Aws, image: &str) -> Result<BTreeSet<String>> {
        let found = ec2::by_ids::<types::Image>(aws, [image]).await?;
        let mappings = found.values().flat_map(types::Image::block_device_mappings);
        let named = mappings.filter_map(|mapping| mapping.ebs()?.snapshot_id().map(str::to_owned));
        let copied = ec2::filter("description", &[format!("Copied for DestinationAmi {image} *")]);
        let request = aws.ec2.describe_snapshots().owner_ids("self").filters(copied);
        let copied = pages!(aws, "DescribeSnapshots", request, snapshots);
        let copied = copied.into_iter().filter(|one| says_it_is_for(one, image));
        Ok(named.chain(copied.filter_map(|one| one.snapshot_id)).collect())
    }

    /// Returns true if the description of the snapshot names the image. This check repeats the
    /// filter of the call, because an endpoint that ignores the filter must not cause foreign
    /// snapshots to be deleted.
    fn says_it_is_for(snapshot: &types::Snapshot, image: &str) -> bool {
        ec2::copied_for(snapshot) == Some(image)
    }

    fn outputs(image: &types::Image) -> Result<AmiCopyOutputs> {
        Ok(AmiCopyOutputs { id: ec2::id("DescribeImages", image.image_id())? })
    }

    fn to_poll_result(outputs: AmiCopyOutputs, image: &types::Image) -> PollResult<AmiCopyOutputs> {
        match image.state() {
            Some(ImageState::Available) => PollResult::Ready(outputs),
            Some(ImageState::Failed | ImageState::Error | ImageState::Invalid) => {
                let why = image.state_reason().and_then(types::StateReason::message);
                let message =
                    format!("copying {} failed: {}", outputs.id, why.unwrap_or("no reason given"));
                PollResult::Failed(ProviderError::new(ErrorClass::Permanent, "CopyImage", message))
            }
            state => PollResult::Pending(state.map_or("pending", ImageState::as_str).to_owned()),
        }
    }

    fn to_live(recorded: &AmiCopy, image: &types::Image) -> Result<Live<AmiCopy>> {
        let source = image.source_image_id().map_or_else(|| recorded.source.clone(), ImageId::from);
        let region = image.source_image_region().unwrap_or(&recorded.source_region);
        let inputs = AmiCopy {
            source,
            source_region: region.to_owned(),
            name: ec2::part("DescribeImages", "name", image.name())?.to_owned(),
            tags: ec2::owned(&recorded.tags, image.tags()),
        };
        Ok(Live::new(inputs, outputs(image)?))
    }
}
