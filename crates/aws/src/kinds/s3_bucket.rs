//! An S3 bucket, which contains the bootstrap Ignition.

use groundplan_engine::graph::{Resource, Schema};
use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::BucketName;
use crate::model::untracked::UntrackedKind;

/// Inputs of a bucket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct S3Bucket {
    /// Name, unique among all AWS accounts.
    pub name: BucketName,
    /// Tags of the bucket.
    pub tags: Tags,
}

/// Outputs of a bucket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct S3BucketOutputs {
    /// Name of the bucket.
    pub name: BucketName,
}

impl Resource for S3Bucket {
    const SCHEMA: Schema = Schema {
        force_new: &["name"],
        stable_outputs: &["name"],
        configures: true,
        ..Schema::of("s3_bucket", Self::REPEAT.identity())
    };
    type Outputs = S3BucketOutputs;
}

impl Kind for S3Bucket {
    const ACTIONS: Actions = Actions {
        create: &["s3:CreateBucket"],
        configure: &["s3:PutBucketTagging"],
        refresh: &["s3:GetBucketTagging", "s3:ListBucket"],
        update: &["s3:PutBucketTagging"],
        delete: &[
            "s3:DeleteBucket",
            "s3:ListBucketVersions",
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
        ],
    };
    const REPEAT: Repeat = Repeat::Named;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Bucket("name");
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &["tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::ByList(UntrackedKind::Bucket);
    const SUBJECT: PlanSubject = PlanSubject::Storage;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        Summary::of([self.name.to_string()])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        // Stored objects and requests are usage.
        Vec::new()
    }
}

#[cfg(feature = "sdk")]
pub(crate) use calls::delete_bucket;

#[cfg(feature = "sdk")]
mod calls {
    use aws_sdk_s3::types::{
        BucketLocationConstraint, CreateBucketConfiguration, Delete, ObjectIdentifier, Tag, Tagging,
    };
    use groundplan_engine::provider::{ErrorClass, ProviderError};

    use super::{BucketName, S3Bucket, S3BucketOutputs};
    use crate::Tags;
    use crate::client::Aws;
    use crate::client::outcomes::{ambiguous_on_failure, none_if, resolve_conflict, retry_on};
    use crate::client::ownership::{cluster, our_tags, tag_changes, taken};
    use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};
    use crate::model::untracked::UntrackedKind;

    const NO_BUCKET: &[&str] = &["NoSuchBucket"];
    /// Region that a location constraint must not name (S3 API reference, CreateBucket).
    const DEFAULT_REGION: &str = "us-east-1";

    impl KindOperations for S3Bucket {
        /// Creates the bucket without tags. Tags at creation require the permission s3:TagResource,
        /// which accounts prepared for OpenShift do not grant.
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<S3BucketOutputs> {
            let region = aws.settings.region.as_str();
            let place = (region != DEFAULT_REGION).then(|| {
                let region = BucketLocationConstraint::from(region);
                CreateBucketConfiguration::builder().location_constraint(region).build()
            });
            let call = aws
                .s3
                .create_bucket()
                .bucket(self.name.as_str())
                .set_create_bucket_configuration(place);
            let made = aws.call("s3", "CreateBucket", call.send()).await;
            match retry_on(made, &["OperationAborted"]) {
                // In this region, the creation also succeeds for a bucket that the account already
                // has.
                Ok(_) if region == DEFAULT_REGION => {
                    let found = ambiguous_on_failure(self.find(aws, creation).await)?;
                    Ok(found.unwrap_or_else(|| self.outputs()))
                }
                Ok(_) => Ok(self.outputs()),
                Err(error) if error.is(&["BucketAlreadyOwnedByYou"]) => {
                    resolve_conflict(self.find(aws, creation).await, error)
                }
                Err(error) if error.is(&["BucketAlreadyExists"]) => {
                    let hint = "create the manifests and Ignition files again: their infra ID gives \
                                the bucket another name; names of buckets are unique over all \
                                accounts";
                    Err(taken("CreateBucket", &self.what(), "another account").with_hint(hint))
                }
                Err(error) => Err(error),
            }
        }

        /// Returns the bucket if it has the cluster tag. An empty bucket without tags counts too: a
        /// creation that ended before tagging leaves such a bucket. Any other bucket is an error.
        async fn find(&self, aws: &Aws, _creation: &Creation) -> Result<Option<S3BucketOutputs>> {
            let Some(tags) =
                live_tags(aws, &self.name).await.map_err(|error| self.foreign(error))?
            else {
                return Ok(None);
            };
            if tags.contains_key(&aws.settings.cluster_tag)
                || (tags.is_empty() && is_empty(aws, &self.name).await?)
            {
                return Ok(Some(self.outputs()));
            }
            let by = cluster(&tags).map_or_else(
                || "a resource without the tag of this cluster".to_owned(),
                |name| format!("the cluster {name}"),
            );
            Err(taken("GetBucketTagging", &self.what(), &by))
        }

        async fn configure(&self, aws: &Aws, outputs: S3BucketOutputs) -> Result<S3BucketOutputs> {
            self.change_tags(aws, &Tags::new()).await?;
            Ok(outputs)
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let mut all = Vec::with_capacity(recorded.len());
            for Recorded { inputs, outputs, token } in recorded {
                let tags = live_tags(aws, &inputs.name).await?.filter(|tags| {
                    aws.note_owner(&token, tags);
                    let is_owned = tags.contains_key(&aws.settings.cluster_tag);
                    let name = inputs.name.as_str();
                    aws.watch.note_owned_name(UntrackedKind::Bucket, name, is_owned);
                    outputs.is_some()
                        || tags.is_empty()
                        || tags.contains_key(&aws.settings.cluster_tag)
                });
                all.push(tags.map(|tags| {
                    let outputs = inputs.outputs();
                    let tags = our_tags(&inputs.tags, &tags);
                    Live::new(Self { tags, ..inputs }, outputs)
                }));
            }
            Ok(all)
        }

        async fn update(
            &self,
            aws: &Aws,
            _creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<S3BucketOutputs> {
            self.change_tags(aws, &before.inputs.tags).await?;
            Ok(self.outputs())
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: S3BucketOutputs) -> Result<()> {
            delete_bucket(aws, &outputs.name).await
        }
    }

    /// Deletes a bucket and its objects.
    pub(crate) async fn delete_bucket(aws: &Aws, name: &BucketName) -> Result<()> {
        empty(aws, name).await?;
        let call = aws.s3.delete_bucket().bucket(name.as_str());
        let deleted = aws.call("s3", "DeleteBucket", call.send()).await;
        // Another client put an object after the objects were listed. The retry lists them again.
        let deleted = retry_on(deleted, &["BucketNotEmpty", "OperationAborted"]);
        none_if(deleted, NO_BUCKET).map(drop)
    }

    impl S3Bucket {
        fn what(&self) -> String {
            format!("the bucket {}", self.name)
        }

        fn outputs(&self) -> S3BucketOutputs {
            S3BucketOutputs { name: self.name.clone() }
        }

        /// Adds a hint to `AccessDenied`: the bucket belongs to another account, or a permission is
        /// missing.
        fn foreign(&self, error: ProviderError) -> ProviderError {
            if !error.is(&["AccessDenied"]) {
                return error;
            }
            let hint = format!(
                "check that {} belongs to this account, and allow s3:GetBucketTagging",
                self.what()
            );
            error.with_hint(hint)
        }

        /// Changes the tags. S3 replaces all tags in one call, so the tags of other owners are sent
        /// too.
        async fn change_tags(&self, aws: &Aws, before: &Tags) -> Result<()> {
            let live = retry_on(required_tags(aws, &self.name).await, NO_BUCKET)?;
            let wanted = merged(&live, before, &self.tags);
            if wanted == live {
                return Ok(());
            }
            let tagging = Tagging::builder().set_tag_set(Some(tags(&wanted))).build();
            let tagging = tagging.expect("BUG: a tagging has a set of tags");
            let call = aws.s3.put_bucket_tagging().bucket(self.name.as_str()).tagging(tagging);
            let put = aws.call("s3", "PutBucketTagging", call.send()).await;
            retry_on(put, &["NoSuchBucket", "OperationAborted"]).map(drop)
        }
    }

    /// Returns the complete new tags of a bucket. Tags of AWS (`aws:`) are left out: they cannot be
    /// sent, and AWS keeps them.
    fn merged(live: &Tags, before: &Tags, after: &Tags) -> Tags {
        let (_, unset) = tag_changes(before, after);
        let mut wanted = live.clone();
        wanted.retain(|key, _| !unset.contains(key) && !key.starts_with("aws:"));
        wanted.extend(after.clone());
        wanted
    }

    /// Returns the tags of a bucket. `None` if the bucket does not exist.
    async fn live_tags(aws: &Aws, name: &BucketName) -> Result<Option<Tags>> {
        none_if(required_tags(aws, name).await, NO_BUCKET)
    }

    async fn required_tags(aws: &Aws, name: &BucketName) -> Result<Tags> {
        let call = aws.s3.get_bucket_tagging().bucket(name.as_str());
        let answer = aws.call("s3", "GetBucketTagging", call.send()).await;
        let Some(answer) = none_if(answer, &["NoSuchTagSet"])? else { return Ok(Tags::new()) };
        Ok(answer.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect())
    }

    fn tags(tags: &Tags) -> Vec<Tag> {
        let tag = |(key, value)| Tag::builder().key(key).value(value).build();
        tags.iter().map(|pair| tag(pair).expect("BUG: a tag has a key and a value")).collect()
    }

    async fn is_empty(aws: &Aws, name: &BucketName) -> Result<bool> {
        let call = aws.s3.list_objects_v2().bucket(name.as_str()).max_keys(1);
        let answer = aws.call("s3", "ListObjectsV2", call.send()).await?;
        Ok(answer.contents().is_empty())
    }

    /// Deletes every version of every object, page by page. One page has at most 1,000 versions,
    /// which is also the maximum of one deletion.
    async fn empty(aws: &Aws, name: &BucketName) -> Result<()> {
        loop {
            let call = aws.s3.list_object_versions().bucket(name.as_str());
            let page = aws.call("s3", "ListObjectVersions", call.send()).await;
            let Some(page) = none_if(page, NO_BUCKET)? else { return Ok(()) };
            let versions = page.versions().iter().map(|one| (one.key(), one.version_id()));
            let markers = page.delete_markers().iter().map(|one| (one.key(), one.version_id()));
            let objects: Vec<_> = versions.chain(markers).filter_map(identifier).collect();
            if objects.is_empty() {
                return Ok(());
            }
            delete_objects(aws, name, objects).await?;
        }
    }

    fn identifier((key, version): (Option<&str>, Option<&str>)) -> Option<ObjectIdentifier> {
        let version = version.map(str::to_owned);
        ObjectIdentifier::builder().key(key?).set_version_id(version).build().ok()
    }

    async fn delete_objects(
        aws: &Aws,
        name: &BucketName,
        objects: Vec<ObjectIdentifier>,
    ) -> Result<()> {
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
        let delete = delete.expect("BUG: a deletion has objects");
        let call = aws.s3.delete_objects().bucket(name.as_str()).delete(delete);
        let Some(answer) = none_if(aws.call("s3", "DeleteObjects", call.send()).await, NO_BUCKET)?
        else {
            return Ok(());
        };
        let Some(error) = answer.errors().first() else { return Ok(()) };
        let message = format!(
            "{} of {name}: {}",
            error.key().unwrap_or("an object"),
            error.message().unwrap_or("no message")
        );
        let code = error.code().unwrap_or("Unknown");
        Err(ProviderError::new(ErrorClass::Permanent, "DeleteObjects", message).with_code(code))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn tags(pairs: &[(&str, &str)]) -> Tags {
            pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
        }

        #[test]
        fn putting_our_tags_keeps_those_of_others() {
            let live = tags(&[("theirs", "1"), ("ours", "1"), ("old", "1"), ("aws:stack", "x")]);
            let before = tags(&[("ours", "1"), ("old", "1")]);
            let after = tags(&[("ours", "2"), ("new", "1")]);
            let wanted = tags(&[("theirs", "1"), ("ours", "2"), ("new", "1")]);
            assert_eq!(merged(&live, &before, &after), wanted);
        }
    }
}
