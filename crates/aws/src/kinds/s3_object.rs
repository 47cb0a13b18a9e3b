//! An object in a bucket: the Ignition config of the bootstrap machine. The state has only the
//! digest of the content.

use groundplan_engine::graph::{Input, Resource, Schema};
use groundplan_engine::secret::Secret;
use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PartOf, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::BucketName;
use crate::summary::name;

/// Inputs of an object. S3 encrypts the object at rest (SSE-S3, AES256).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct S3Object {
    /// Bucket of the object.
    pub bucket: Input<BucketName>,
    /// Key of the object.
    pub key: String,
    /// Content. The state records its digest; the content itself must be passed in each run that
    /// writes the object.
    pub content: Secret,
    /// Tags, at most ten (the limit of S3).
    pub tags: Tags,
}

/// Outputs of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct S3ObjectOutputs {
    /// Bucket of the object.
    pub bucket: BucketName,
    /// Key of the object.
    pub key: String,
}

impl Resource for S3Object {
    const SCHEMA: Schema = Schema {
        force_new: &["bucket", "key"],
        stable_outputs: &["bucket", "key"],
        ..Schema::of("s3_object", Self::REPEAT.identity())
    };
    type Outputs = S3ObjectOutputs;
}

impl Kind for S3Object {
    const ACTIONS: Actions = Actions {
        create: &["s3:PutObject"],
        configure: &["s3:PutObjectTagging"],
        refresh: &["s3:GetObject", "s3:GetObjectTagging"],
        update: &["s3:PutObject", "s3:PutObjectTagging"],
        delete: &["s3:DeleteObject"],
    };
    const PART_OF: Option<PartOf> =
        Some(PartOf { input: "bucket", kind: "s3_bucket", arn_segments: None });
    const REPEAT: Repeat = Repeat::Named;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Object("bucket", "key");
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &["tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::Part;
    const SUBJECT: PlanSubject = PlanSubject::Storage;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        let place = format!("{} in {}", self.key, name(&self.bucket));
        Summary::of([place, "content (sensitive)".to_owned()])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        // Stored bytes and requests are usage.
        Vec::new()
    }
}

#[cfg(feature = "sdk")]
mod calls {
    use aws_sdk_s3::operation::head_object::HeadObjectOutput;
    use aws_sdk_s3::primitives::ByteStream;
    use aws_sdk_s3::types::{ServerSideEncryption, Tag, Tagging};
    use groundplan_engine::provider::{ErrorClass, ProviderError};
    use groundplan_engine::secret::Secret;

    use super::{S3Object, S3ObjectOutputs};
    use crate::Tags;
    use crate::client::Aws;
    use crate::client::outcomes::{ambiguous_on_failure, none_if, retry_on};
    use crate::client::ownership::{our_tags, tag_changes, taken};
    use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};

    /// Metadata key of the content's digest. AWS returns a digest of its own only if the upload
    /// asked for one.
    const DIGEST: &str = "groundplan-sha256";
    /// Metadata key of the creation token. As a tag, the token would use one of the ten tags that
    /// S3 allows.
    const TOKEN: &str = "groundplan-token";
    const ABSENT: &[&str] = &["NoSuchKey", "NoSuchBucket", "NotFound"];

    impl KindOperations for S3Object {
        /// Writes the object if the key is unused. An existing object with this creation token is
        /// overwritten, because its content may differ. Another existing object is an error.
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<S3ObjectOutputs> {
            match self.put(aws, creation, Some("*")).await {
                Err(error) if error.is(&["PreconditionFailed"]) => {
                    ambiguous_on_failure(self.find(aws, creation).await)?;
                    self.put(aws, creation, None).await?;
                }
                put => put?,
            }
            Ok(self.outputs())
        }

        /// Returns the object if it has the token and the content of this creation. `None` if the
        /// object is missing or only its content differs. An object with another token is an error.
        async fn find(&self, aws: &Aws, creation: &Creation) -> Result<Option<S3ObjectOutputs>> {
            let Some(head) = self.head(aws).await? else { return Ok(None) };
            if metadata(&head, TOKEN) != Some(&creation.token) {
                let what = format!("the object s3://{}/{}", self.bucket.get(), self.key);
                return Err(taken(
                    "HeadObject",
                    &what,
                    "an object without the creation token of this cluster",
                ));
            }
            let same = metadata(&head, DIGEST) == Some(&self.content.digest);
            Ok(same.then(|| self.outputs()))
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let mut all = Vec::with_capacity(recorded.len());
            for Recorded { token, inputs, outputs } in recorded {
                let head = inputs
                    .head(aws)
                    .await?
                    .filter(|head| outputs.is_some() || metadata(head, TOKEN) == Some(&token));
                all.push(match head {
                    Some(head) => Some(inputs.live(aws, &head).await?),
                    None => None,
                });
            }
            Ok(all)
        }

        async fn update(
            &self,
            aws: &Aws,
            creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<S3ObjectOutputs> {
            if self.content == before.inputs.content {
                self.change_tags(aws, &before.inputs.tags).await?;
            } else {
                self.put(aws, creation, None).await?;
            }
            Ok(self.outputs())
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: S3ObjectOutputs) -> Result<()> {
            let call = aws.s3.delete_object().bucket(outputs.bucket.as_str()).key(outputs.key);
            none_if(aws.call("s3", "DeleteObject", call.send()).await, ABSENT).map(drop)
        }
    }

    impl S3Object {
        /// Writes content, tags and metadata. With `if_none_match` = `*`, S3 rejects the request if
        /// the key is in use.
        async fn put(
            &self,
            aws: &Aws,
            creation: &Creation,
            if_none_match: Option<&str>,
        ) -> Result<()> {
            let content =
                creation.secrets.reveal(&self.content).ok_or_else(|| self.content_missing())?;
            let call = aws
                .s3
                .put_object()
                .bucket(self.bucket.get().as_str())
                .key(&self.key)
                .body(ByteStream::from(content.to_vec()))
                .server_side_encryption(ServerSideEncryption::Aes256)
                .set_tagging(header(&self.tags))
                .metadata(DIGEST, &self.content.digest)
                .metadata(TOKEN, &creation.token)
                .set_if_none_match(if_none_match.map(str::to_owned));
            let put = aws.call("s3", "PutObject", call.send()).await;
            // `NoSuchBucket`: a new bucket is not visible to every S3 server at once.
            retry_on(put, &["NoSuchBucket", "ConditionalRequestConflict"]).map(drop)
        }

        /// Returns the error that this run was started without the content of the object.
        fn content_missing(&self) -> ProviderError {
            let message = format!("the content of {} is not available in this run", self.key);
            ProviderError::new(ErrorClass::Permanent, "PutObject", message)
                .with_hint("pass --assets with the folder that openshift-install wrote")
        }

        /// Reads the metadata of the object. `None` if the object is missing.
        async fn head(&self, aws: &Aws) -> Result<Option<HeadObjectOutput>> {
            let call = aws.s3.head_object().bucket(self.bucket.get().as_str()).key(&self.key);
            none_if(aws.call("s3", "HeadObject", call.send()).await, ABSENT)
        }

        async fn live(self, aws: &Aws, head: &HeadObjectOutput) -> Result<Live<Self>> {
            // The tags are read only if their number differs from the recorded number.
            let counted = head.tag_count().and_then(|count| usize::try_from(count).ok());
            let tags = if counted.unwrap_or(0) == self.tags.len() {
                self.tags.clone()
            } else {
                our_tags(&self.tags, &self.live_tags(aws).await?)
            };
            let digest = metadata(head, DIGEST).unwrap_or("sha256:unknown").to_owned();
            let outputs = self.outputs();
            Ok(Live::new(Self { content: Secret { digest }, tags, ..self }, outputs))
        }

        async fn live_tags(&self, aws: &Aws) -> Result<Tags> {
            let call =
                aws.s3.get_object_tagging().bucket(self.bucket.get().as_str()).key(&self.key);
            let answer = none_if(aws.call("s3", "GetObjectTagging", call.send()).await, ABSENT)?;
            let tags = answer.map(|answer| answer.tag_set).unwrap_or_default();
            Ok(tags.into_iter().map(|tag| (tag.key, tag.value)).collect())
        }

        /// Changes the tags. One call replaces all tags, so it also sends the tags that others have
        /// added.
        async fn change_tags(&self, aws: &Aws, before: &Tags) -> Result<()> {
            let mut wanted = self.live_tags(aws).await?;
            let (set, unset) = tag_changes(before, &self.tags);
            wanted.retain(|key, _| !unset.contains(key));
            wanted.extend(set);
            let tag = |(key, value)| Tag::builder().key(key).value(value).build();
            let tags = wanted.iter().map(|pair| tag(pair).expect("BUG: a tag has key and value"));
            let tagging = Tagging::builder().set_tag_set(Some(tags.collect())).build();
            let call = aws
                .s3
                .put_object_tagging()
                .bucket(self.bucket.get().as_str())
                .key(&self.key)
                .tagging(tagging.expect("BUG: a tagging has a set of tags"));
            aws.call("s3", "PutObjectTagging", call.send()).await.map(drop)
        }

        fn outputs(&self) -> S3ObjectOutputs {
            S3ObjectOutputs { bucket: self.bucket.get().clone(), key: self.key.clone() }
        }
    }

    fn metadata<'a>(head: &'a HeadObjectOutput, key: &str) -> Option<&'a str> {
        head.metadata().and_then(|all| all.get(key)).map(String::as_str)
    }

    /// Returns the tags as a URL query, for the header of the request. A space is written as `%20`,
    /// which every decoder of queries accepts.
    fn header(tags: &Tags) -> Option<String> {
        let query =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(tags).finish();
        (!query.is_empty()).then(|| query.replace('+', "%20"))
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::model::ids::BucketName;

        fn object(content: &[u8]) -> S3Object {
            S3Object {
                bucket: BucketName::from("demo-bootstrap").into(),
                key: "bootstrap.ign".to_owned(),
                content: Secret::of(content),
                tags: Tags::new(),
            }
        }

        #[test]
        fn tags_survive_the_way_through_a_header() {
            let tags = Tags::from([
                ("kubernetes.io/cluster/demo".to_owned(), "owned".to_owned()),
                ("cost centre".to_owned(), "a+b=c&d é".to_owned()),
            ]);
            let header = header(&tags).unwrap();
            assert!(header.is_ascii() && !header.contains([' ', '+']), "{header}");
            let read =
                url::form_urlencoded::parse(header.as_bytes()).into_owned().collect::<Tags>();
            assert_eq!(read, tags);
        }

        #[test]
        fn no_tags_are_no_header() {
            assert_eq!(header(&Tags::new()), None);
        }

        #[test]
        fn without_its_content_an_object_is_refused_with_what_to_pass() {
            let error = object(b"canary").content_missing();
            assert_eq!(error.class, ErrorClass::Permanent);
            assert!(error.hint.unwrap().contains("--assets"));
        }

        #[test]
        fn the_digest_is_read_back_from_the_metadata() {
            let wanted = object(b"canary");
            let head = HeadObjectOutput::builder().metadata(DIGEST, &wanted.content.digest).build();
            assert_eq!(metadata(&head, DIGEST), Some(wanted.content.digest.as_str()));
            assert_eq!(metadata(&head, TOKEN), None);
        }
    }
}
