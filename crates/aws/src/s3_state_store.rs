//! S3 as the [`ObjectStore`] of a state.
//!
//! The SDK retries nothing here: the caller repeats calls, because the caller must know of every
//! attempt that may have taken effect. Timeouts are short, because a lock must be renewed in time.
//! The clients are separate, so throttle and call counters of the run do not include them.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime, DateTimeFormat};
use aws_sdk_s3::types::{BucketVersioningStatus, Delete, ObjectIdentifier, ServerSideEncryption};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use groundplan_engine::provider::{ErrorClass, ProviderError, ProviderFuture};
use groundplan_engine::state::remote::object_store::{
    Etag, ObjectStore, Precondition, PutOutcome, StoredObject,
};

use super::client::{defaults, s3_is_elsewhere};
use crate::client::errors::{explain, is_throttle};
use crate::client::hints::UNREACHABLE;

/// The region for the first call about a bucket of unknown region. S3 returns the right region
/// there.
const ANYWHERE: &str = "us-east-1";
/// The maximum number of objects in one deletion, S3's limit.
const DELETED_AT_ONCE: usize = 1000;

/// The encryption of the objects at rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// S3-managed keys.
    #[default]
    S3,
    /// An AWS KMS key: its ARN, or its ID or alias if the key is in the bucket's account.
    Kms(String),
}

/// The bucket of a state, and the way to reach it.
#[derive(Clone, Debug, Default)]
pub struct S3StateStoreSettings {
    /// The bucket name.
    pub name: String,
    /// The expected region of the bucket. `None` means the region of the environment or profile. A
    /// wrong region is corrected from S3's response.
    pub region: Option<String>,
    /// The endpoint URL of S3. `None` means AWS's. Overrides every environment variable.
    pub endpoint: Option<String>,
    /// The encryption of the bucket's objects.
    pub encryption: Encryption,
}

/// An S3 bucket that holds states.
#[derive(Debug)]
pub struct S3StateStore {
    config: SdkConfig,
    settings: S3StateStoreSettings,
    here: Mutex<RegionClient>,
    page: Option<i32>,
}

/// The problem with the bucket of a state, as far as the user acts on it in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketProblem {
    /// The bucket does not exist.
    Missing,
    /// The bucket is in another region, and S3 did not report which.
    Elsewhere,
    /// The credentials may not use the bucket. S3 gives the same response for a bucket of another
    /// account as for a missing permission.
    Denied,
}

impl BucketProblem {
    /// Returns the problem that an error code of S3 is about. `None` for another error.
    pub fn of(code: &str) -> Option<Self> {
        match code {
            NO_BUCKET => Some(BucketProblem::Missing),
            // A response without a body has its status as code.
            "AccessDenied" | "AllAccessDisabled" | "403" => Some(BucketProblem::Denied),
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException"
            | "301"
            | "307" => Some(BucketProblem::Elsewhere),
            _ => None,
        }
    }
}

/// The client for the bucket's region, as far as S3 has reported it.
#[derive(Clone, Debug)]
struct RegionClient {
    region: String,
    client: Client,
}

impl S3StateStore {
    /// Returns a bucket with the same credentials, profile, proxy and endpoints as other AWS tools.
    /// Makes no S3 call yet.
    pub async fn connect(settings: S3StateStoreSettings) -> Self {
        let region = match &settings.region {
            Some(region) => Region::new(region.clone()),
            None => usual_region().await,
        };
        let config = defaults(region).await.load().await;
        Self::new(config, settings)
    }

    /// Returns a bucket with the credentials and endpoint of an existing configuration.
    pub fn new(config: SdkConfig, settings: S3StateStoreSettings) -> Self {
        let named = settings.region.clone();
        let of_config = || config.region().map(ToString::to_string);
        let region = named.or_else(of_config).unwrap_or_else(|| ANYWHERE.to_owned());
        let client = client_in(&config, &settings, &region);
        Self { config, settings, here: Mutex::new(RegionClient { region, client }), page: None }
    }

    /// Sets the number of keys in each page of a listing.
    #[must_use]
    pub fn with_pages_of(mut self, keys: i32) -> Self {
        self.page = Some(keys);
        self
    }

    /// Makes a call, and repeats it in the bucket's region if S3 reports another one.
    async fn call<T, E, F>(
        &self,
        name: &str,
        ask: impl Fn(Client) -> F,
    ) -> Result<Result<T, ExpectedResponse>, ProviderError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
        SdkError<E, HttpResponse>: RequestId,
    {
        let mut answer = ask(self.client()).await;
        if let Err(error) = &answer
            && self.moves(region_in(error))
        {
            answer = ask(self.client()).await;
        }
        match answer {
            Ok(answer) => Ok(Ok(answer)),
            Err(error) => match error.raw_response().map(|response| response.status().as_u16()) {
                Some(412) => Ok(Err(ExpectedResponse::Condition)),
                Some(404) if error.code() != Some(NO_BUCKET) => Ok(Err(ExpectedResponse::Absent)),
                _ => Err(self.explained(explain("s3", name, &error))),
            },
        }
    }

    /// Switches to the region that S3 returned. Returns true if it is another one.
    fn moves(&self, region: Option<String>) -> bool {
        let mut here = self.here();
        match region {
            Some(region) if region != here.region => {
                let client = client_in(&self.config, &self.settings, &region);
                *here = RegionClient { region, client };
                true
            }
            _ => false,
        }
    }

    fn client(&self) -> Client {
        self.here().client.clone()
    }

    fn here(&self) -> MutexGuard<'_, RegionClient> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes most retryable errors permanent, because the bucket is not created by the run.
    /// Throttles and write conflicts stay retryable.
    fn explained(&self, mut error: ProviderError) -> ProviderError {
        let code = error.code.clone().unwrap_or_default();
        if matches!(&*code, "NotImplemented" | "501") {
            error.class = ErrorClass::Permanent; // the request had no effect, and never has one
        }
        let passes = is_throttle(&code) || CONFLICTS.contains(&code.as_str());
        if error.class == ErrorClass::Retryable && !passes {
            error.class = ErrorClass::Permanent;
        }
        if let Some(hint) = self.hint(&code) {
            error.hint = Some(hint);
        }
        error
    }

    fn hint(&self, code: &str) -> Option<String> {
        let name = &self.settings.name;
        if let Some(problem) = BucketProblem::of(code) {
            return Some(self.remedy(problem));
        }
        let hint = match code {
            "NotImplemented" | "501" => format!(
                "the store of {name} lacks an operation that a state needs, such as conditional \
                 writes: use a bucket of AWS S3, another store, or a folder with --state"
            ),
            _ if code.starts_with("KMS.") => {
                "check that the key exists in the bucket's region and is enabled".to_owned()
            }
            _ => return None,
        };
        Some(hint)
    }

    fn remedy(&self, problem: BucketProblem) -> String {
        let name = &self.settings.name;
        match problem {
            BucketProblem::Missing => format!(
                "check the name in {SETTING}; to create the bucket with versioning: aws s3 mb \
                 s3://{name} && aws s3api put-bucket-versioning --bucket {name} \
                 --versioning-configuration Status=Enabled"
            ),
            BucketProblem::Denied => {
                let kms = match &self.settings.encryption {
                    Encryption::S3 => String::new(),
                    Encryption::Kms(key) => {
                        format!(", and kms:GenerateDataKey and kms:Decrypt on the key {key}")
                    }
                };
                format!(
                    "allow s3:ListBucket on arn:aws:s3:::{name}, and s3:GetObject, s3:PutObject \
                     and s3:DeleteObject on arn:aws:s3:::{name}/*{kms}; names of buckets are unique \
                     over all accounts, so if the bucket is not yours, set another one in {SETTING}"
                )
            }
            BucketProblem::Elsewhere => format!(
                "{name} is in another region than {}: set AWS_REGION to the region that `aws s3api \
                 get-bucket-location --bucket {name}` prints, and unset AWS_ENDPOINT_URL",
                self.here().region
            ),
        }
    }

    async fn read(&self, key: &str) -> Result<Option<StoredObject>, ProviderError> {
        let dated = ResponseTime::default();
        let answer = self
            .call("GetObject", |client| {
                let call = client.get_object().bucket(&self.settings.name).key(key);
                call.customize().interceptor(dated.clone()).send()
            })
            .await?;
        let answer = match answer {
            Ok(answer) => answer,
            Err(_) => return Ok(None),
        };
        let (age, etag) = (dated.age_of(&answer), etag("GetObject", answer.e_tag())?);
        let bytes = answer.body.collect().await.map_err(|_| {
            ProviderError::new(ErrorClass::Ambiguous, "GetObject", "the connection was interrupted")
        })?;
        Ok(Some(StoredObject { bytes: bytes.to_vec(), etag, age }))
    }

    async fn write(
        &self,
        key: &str,
        bytes: Vec<u8>,
        condition: Precondition,
    ) -> Result<PutOutcome, ProviderError> {
        let (absent, matches) = match condition {
            Precondition::Absent => (Some("*".to_owned()), None),
            Precondition::Matches(etag) => (None, Some(etag.0)),
        };
        let (encryption, kms) = match &self.settings.encryption {
            Encryption::S3 => (ServerSideEncryption::Aes256, None),
            Encryption::Kms(key) => (ServerSideEncryption::AwsKms, Some(key)),
        };
        let written = self
            .call("PutObject", |client| {
                client
                    .put_object()
                    .bucket(&self.settings.name)
                    .key(key)
                    .content_type("application/json")
                    .set_if_none_match(absent.clone())
                    .set_if_match(matches.clone())
                    .server_side_encryption(encryption.clone())
                    .set_ssekms_key_id(kms.cloned())
                    .set_bucket_key_enabled(kms.map(|_| true)) // one call to KMS serves many objects
                    .body(ByteStream::from(bytes.clone()))
                    .send()
            })
            .await;
        match written {
            Ok(Ok(answer)) => Ok(PutOutcome::Done(etag("PutObject", answer.e_tag())?)),
            // The object that should have matched does not exist.
            Ok(Err(ExpectedResponse::Condition | ExpectedResponse::Absent)) => {
                Ok(PutOutcome::Refused)
            }
            // A short network failure need not end a run.
            Err(error) if error.is(&[UNREACHABLE]) => {
                Err(ProviderError { class: ErrorClass::Retryable, ..error })
            }
            Err(error) => Err(error),
        }
    }

    async fn all(&self, prefix: &str, after: &str) -> Result<Vec<String>, ProviderError> {
        let (mut keys, mut next) = (Vec::new(), None::<String>);
        loop {
            let page = self
                .call("ListObjectsV2", |client| {
                    client
                        .list_objects_v2()
                        .bucket(&self.settings.name)
                        .prefix(prefix)
                        .set_start_after((!after.is_empty()).then(|| after.to_owned()))
                        .set_max_keys(self.page)
                        .set_continuation_token(next.clone())
                        .send()
                })
                .await?
                .map_err(|_| self.explained(no_bucket("ListObjectsV2")))?;
            keys.extend(
                page.contents().iter().filter_map(|object| object.key().map(str::to_owned)),
            );
            match page.next_continuation_token() {
                Some(token) if page.is_truncated() == Some(true) => next = Some(token.to_owned()),
                _ => return Ok(keys),
            }
        }
    }

    async fn remove(&self, keys: &[String]) -> Result<(), ProviderError> {
        let object = |key: &String| ObjectIdentifier::builder().key(key).build();
        let objects = keys.iter().map(object).collect::<Result<Vec<_>, _>>();
        let objects = objects.expect("BUG: each has a key");
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
        let delete = delete.expect("BUG: it has objects");
        let answer = self
            .call("DeleteObjects", |client| {
                client.delete_objects().bucket(&self.settings.name).delete(delete.clone()).send()
            })
            .await?
            .map_err(|_| self.explained(no_bucket("DeleteObjects")))?;
        let Some(left) = answer.errors().first() else { return Ok(()) };
        let code = left.code().unwrap_or_default();
        let again = is_throttle(code) || code == "InternalError" || code == "ServiceUnavailable";
        let class = if again { ErrorClass::Retryable } else { ErrorClass::Permanent };
        let message = left.message().unwrap_or_default();
        let error = ProviderError::new(class, "DeleteObjects", message).with_code(code);
        Err(self.explained(error))
    }

    async fn versioning(&self) -> Result<Option<bool>, ProviderError> {
        let answer = self
            .call("GetBucketVersioning", |client| {
                client.get_bucket_versioning().bucket(&self.settings.name).send()
            })
            .await;
        match answer {
            Ok(Ok(answer)) => Ok(Some(answer.status() == Some(&BucketVersioningStatus::Enabled))),
            Ok(Err(_)) => Ok(None),
            Err(error) if error.is(&["AccessDenied"]) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl ObjectStore for S3StateStore {
    fn get(&self, key: &str) -> ProviderFuture<'_, Option<StoredObject>> {
        let key = key.to_owned();
        Box::pin(async move { self.read(&key).await })
    }

    fn put(
        &self,
        key: &str,
        bytes: Vec<u8>,
        condition: Precondition,
    ) -> ProviderFuture<'_, PutOutcome> {
        let key = key.to_owned();
        Box::pin(async move { self.write(&key, bytes, condition).await })
    }

    fn list(&self, prefix: &str, after: &str) -> ProviderFuture<'_, Vec<String>> {
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        Box::pin(async move { self.all(&prefix, &after).await })
    }

    fn delete(&self, keys: Vec<String>) -> ProviderFuture<'_, ()> {
        Box::pin(async move {
            for keys in keys.chunks(DELETED_AT_ONCE) {
                self.remove(keys).await?;
            }
            Ok(())
        })
    }

    fn store(&self) -> String {
        let of_service = || std::env::var("AWS_ENDPOINT_URL_S3").ok();
        let of_config = || self.config.endpoint_url().map(str::to_owned);
        let endpoint = self.settings.endpoint.clone().or_else(of_service).or_else(of_config);
        endpoint.unwrap_or_else(|| "aws".to_owned())
    }

    fn keeps_versions(&self) -> ProviderFuture<'_, Option<bool>> {
        Box::pin(self.versioning())
    }
}

const NO_BUCKET: &str = "NoSuchBucket";
/// The settings that name the bucket.
const SETTING: &str = "--state (GROUNDPLAN_STATE, or `state` of groundplan.toml)";
/// Error codes for a concurrent write of the same object by another process.
const CONFLICTS: [&str; 2] = ["ConditionalRequestConflict", "OperationAborted"];

/// A response that is not a failure.
enum ExpectedResponse {
    /// The condition of the write did not hold.
    Condition,
    /// The object does not exist.
    Absent,
}

async fn usual_region() -> Region {
    configured_region().await.map_or_else(|| Region::new(ANYWHERE), Region::new)
}

/// Returns the region of `AWS_REGION`, `AWS_DEFAULT_REGION` or the profile, in this order. `None` if
/// none has one. The instance's region is not queried: outside EC2 that query takes long.
pub async fn configured_region() -> Option<String> {
    let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .region()
        .await?;
    Some(region.as_ref().to_owned()).filter(|region| !region.is_empty())
}

fn client_in(config: &SdkConfig, settings: &S3StateStoreSettings, region: &str) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .read_timeout(Duration::from_secs(6))
        .operation_attempt_timeout(Duration::from_secs(8))
        .build();
    let paths = settings.endpoint.is_some() || s3_is_elsewhere(config);
    let builder = aws_sdk_s3::config::Builder::from(config)
        .region(Region::new(region.to_owned()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .force_path_style(paths);
    let builder = match &settings.endpoint {
        Some(url) => builder.endpoint_url(url),
        None => builder,
    };
    Client::from_conf(builder.build())
}

/// Returns the bucket's region from an error response. S3 sends it with most errors in a header, and
/// with a wrong signature in the body as well (`AuthorizationHeaderMalformed`).
fn region_in<E>(error: &SdkError<E, HttpResponse>) -> Option<String> {
    let response = error.raw_response()?;
    if let Some(region) = response.headers().get("x-amz-bucket-region") {
        return Some(region.to_owned());
    }
    let body = std::str::from_utf8(response.body().bytes()?).ok()?;
    let (region, _) = body.split_once("<Region>")?.1.split_once("</Region>")?;
    let is_region = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    Some(region.to_owned()).filter(|region| is_region(region))
}

fn etag(call: &str, given: Option<&str>) -> Result<Etag, ProviderError> {
    let missing = || ProviderError::new(ErrorClass::Ambiguous, call, "the response has no ETag");
    given.map(|etag| Etag(etag.to_owned())).ok_or_else(missing)
}

fn no_bucket(call: &str) -> ProviderError {
    ProviderError::new(ErrorClass::Permanent, call, "the bucket does not exist")
        .with_code(NO_BUCKET)
}

/// Records the time of a response, by the server's clock.
#[derive(Clone, Debug, Default)]
struct ResponseTime(Arc<Mutex<Option<DateTime>>>);

impl ResponseTime {
    fn age_of(&self, answer: &GetObjectOutput) -> Option<Duration> {
        let given = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        let seconds = given.secs() - answer.last_modified()?.secs();
        Some(Duration::from_secs(seconds.try_into().unwrap_or_default()))
    }
}

impl Intercept for ResponseTime {
    fn name(&self) -> &'static str {
        "groundplan dates answers"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::tests::{Script, Scripted, scripted_config};
    use super::*;

    fn bucket(script: impl IntoIterator<Item = Script>) -> (S3StateStore, Scripted) {
        let (config, sent) = scripted_config(script);
        let settings =
            S3StateStoreSettings { name: "acme".to_owned(), ..S3StateStoreSettings::default() };
        (S3StateStore::new(config, settings), sent)
    }

    fn xml(code: &str) -> String {
        format!("<Error><Code>{code}</Code><Message>as the test has it</Message></Error>")
    }

    fn refused(status: u16, code: &str) -> Script {
        Script::Answer(status, xml(code))
    }

    fn found(date: Option<&'static str>) -> Script {
        let mut headers =
            vec![("etag", "\"1\""), ("last-modified", "Wed, 21 Oct 2026 07:28:00 GMT")];
        headers.extend(date.map(|date| ("date", date)));
        Script::Headed(200, headers, "content".to_owned())
    }

    #[tokio::test]
    async fn what_a_write_came_to_is_told_exactly() {
        use ErrorClass::{Ambiguous, Permanent, Retryable};
        for (script, class) in [
            (refused(412, "PreconditionFailed"), None),
            (refused(404, "NoSuchKey"), None),
            (refused(409, "ConditionalRequestConflict"), Some(Retryable)),
            (refused(503, "SlowDown"), Some(Retryable)),
            (refused(500, "InternalError"), Some(Ambiguous)),
            (refused(503, "ServiceUnavailable"), Some(Ambiguous)),
            (refused(400, "RequestTimeout"), Some(Ambiguous)),
            (refused(403, "AccessDenied"), Some(Permanent)),
            (refused(404, "NoSuchBucket"), Some(Permanent)),
            (refused(400, "KMS.NotFoundException"), Some(Permanent)),
            (refused(400, "ExpiredToken"), Some(Permanent)),
            (Script::Lost, Some(Ambiguous)),
            (Script::TimedOut, Some(Ambiguous)),
            (Script::ConnectionRefused, Some(Retryable)),
            (Script::Answer(200, String::new()), Some(Ambiguous)),
        ] {
            let (bucket, sent) = bucket([script.clone()]);
            let condition = Precondition::Matches(Etag("\"1\"".to_owned()));
            let put = bucket.put("prod/lock.json", b"canary".to_vec(), condition).await;
            match class {
                None => assert_eq!(put, Ok(PutOutcome::Refused), "{script:?}"),
                Some(class) => {
                    let error = put.unwrap_err();
                    assert_eq!(error.class, class, "{script:?}: {error}");
                    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
                }
            }
            assert_eq!(sent.bodies().len(), 1, "{script:?} was repeated by the SDK");
        }
    }

    #[tokio::test]
    async fn a_refusal_says_what_to_do() {
        for (code, status, hint) in [
            ("NoSuchBucket", 404, "aws s3 mb s3://acme"),
            ("AccessDenied", 403, "s3:DeleteObject on arn:aws:s3:::acme/*"),
            ("KMS.DisabledException", 400, "enabled"),
            ("ExpiredToken", 400, "aws sso login"),
        ] {
            let (bucket, _) = bucket([refused(status, code)]);
            let error = bucket.get("prod/lock.json").await.unwrap_err();
            let given = error.hint.expect(code);
            assert!(given.contains(hint), "{code}: {given}");
        }
    }

    #[tokio::test]
    async fn an_age_is_by_the_clock_of_who_answers() {
        for (date, age) in [
            (None, None),
            (Some("Wed, 21 Oct 2026 07:29:30 GMT"), Some(90)),
            (Some("Wed, 21 Oct 2026 07:27:59 GMT"), Some(0)),
        ] {
            let (bucket, _) = bucket([found(date)]);
            let object = bucket.get("prod/lock.json").await.unwrap().unwrap();
            assert_eq!(object.age, age.map(Duration::from_secs), "{date:?}");
            assert_eq!(
                (object.bytes.as_slice(), object.etag.0.as_str()),
                (&b"content"[..], "\"1\"")
            );
        }
    }

    #[tokio::test]
    async fn a_bucket_in_another_region_is_found_once() {
        for (status, code) in [(301, "PermanentRedirect"), (400, "AuthorizationHeaderMalformed")] {
            let elsewhere = vec![("x-amz-bucket-region", "eu-central-1")];
            let answers = [Script::Headed(status, elsewhere, xml(code)), found(None), found(None)];
            let (bucket, sent) = bucket(answers);
            bucket.get("prod/lock.json").await.unwrap();
            bucket.get("prod/state.json").await.unwrap();
            let signed = sent.signatures();
            let regions: Vec<_> = signed.iter().map(|one| one.contains("eu-central-1")).collect();
            assert_eq!(regions, [false, true, true], "{code}");
        }
    }

    #[tokio::test]
    async fn a_region_is_found_in_the_body_where_no_header_names_it() {
        let body = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>no</Message>\
                    <Region>eu-central-1</Region></Error>";
        let (bucket, sent) = bucket([Script::Answer(400, body.to_owned()), found(None)]);
        bucket.get("prod/lock.json").await.unwrap();
        assert!(sent.signatures()[1].contains("eu-central-1"));
    }

    #[tokio::test]
    async fn a_bucket_elsewhere_and_a_store_without_conditions_are_said_with_a_remedy() {
        for (script, hint) in [
            (refused(301, "PermanentRedirect"), "aws s3api get-bucket-location --bucket acme"),
            (refused(400, "AuthorizationHeaderMalformed"), "acme is in another region than us-"),
            (refused(501, "NotImplemented"), "use a bucket of AWS S3"),
        ] {
            let (bucket, sent) = bucket([script.clone()]);
            let put = bucket.put("prod/lock.json", Vec::new(), Precondition::Absent).await;
            let error = put.unwrap_err();
            assert_eq!(error.class, ErrorClass::Permanent, "{script:?}");
            assert!(error.hint.as_ref().is_some_and(|given| given.contains(hint)), "{error:?}");
            assert_eq!(sent.bodies().len(), 1, "{script:?}");
        }
    }

    #[tokio::test]
    async fn versions_are_kept_where_s3_says_so_and_nobody_must_know() {
        for (status, body, kept) in [
            (200, "<VersioningConfiguration/>".to_owned(), Some(false)),
            (200, said("Suspended"), Some(false)),
            (200, said("Enabled"), Some(true)),
            (403, xml("AccessDenied"), None),
        ] {
            let (bucket, _) = bucket([Script::Answer(status, body.clone())]);
            assert_eq!(bucket.keeps_versions().await, Ok(kept), "{body}");
        }
    }

    fn said(status: &str) -> String {
        format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>")
    }

    #[tokio::test]
    async fn a_key_of_kms_is_named_and_its_rights_too() {
        let (config, _) = scripted_config([refused(403, "AccessDenied")]);
        let settings = S3StateStoreSettings {
            name: "acme".to_owned(),
            encryption: Encryption::Kms("alias/states".to_owned()),
            ..S3StateStoreSettings::default()
        };
        let bucket = S3StateStore::new(config, settings);
        let error = bucket.put("k", Vec::new(), Precondition::Absent).await.unwrap_err();
        assert!(error.hint.unwrap().contains("kms:Decrypt on the key alias/states"));
    }
}
