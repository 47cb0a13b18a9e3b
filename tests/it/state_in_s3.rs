//! State in S3 over HTTP: repeats tests of the in-memory bucket with the real client.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::types::{
    BucketVersioningStatus, CreateBucketConfiguration, ServerSideEncryption,
    VersioningConfiguration,
};
use groundplan::render::remedies::of_lock;
use groundplan_aws::{Encryption, S3StateStore, S3StateStoreSettings};
use groundplan_engine::state::error::StateError;
use groundplan_engine::state::remote::object_store::{Etag, Precondition, PutOutcome};
use groundplan_engine::state::remote::{
    LEASE, Layout, ObjectStore, OpenedRemote, RemoteBackend, RemoteLockGuard, break_open, read,
};
use groundplan_engine::state::{Entry, RunRecord, State};
use serde_json::json;

use crate::support::cloud::{Cloud, PATIENCE, shared};

const NOW: Duration = Duration::ZERO;

/// An account with a bucket.
struct Account {
    cloud: Cloud,
    s3: aws_sdk_s3::Client,
    name: String,
}

impl Account {
    async fn new() -> Self {
        let cloud = shared();
        let config = aws_sdk_s3::config::Builder::from(&cloud.sdk_config());
        let s3 = aws_sdk_s3::Client::from_conf(config.force_path_style(true).build());
        let name = format!("states-{}", cloud.account());
        let place = CreateBucketConfiguration::builder();
        let place = place.location_constraint("us-west-2".into()).build();
        let request = s3.create_bucket().bucket(&name).create_bucket_configuration(place);
        request.send().await.expect("a bucket");
        Self { cloud, s3, name }
    }

    async fn versioned() -> Self {
        let account = Self::new().await;
        let versions = VersioningConfiguration::builder();
        let versions = versions.status(BucketVersioningStatus::Enabled).build();
        let request = account.s3.put_bucket_versioning().bucket(&account.name);
        request.versioning_configuration(versions).send().await.expect("versions");
        account.cloud.clear_requests();
        account
    }

    fn settings(&self) -> S3StateStoreSettings {
        S3StateStoreSettings { name: self.name.clone(), ..S3StateStoreSettings::default() }
    }

    fn bucket_with(&self, settings: S3StateStoreSettings) -> S3StateStore {
        S3StateStore::new(self.cloud.sdk_config(), settings)
    }

    fn bucket(&self) -> Arc<dyn ObjectStore> {
        Arc::new(self.bucket_with(self.settings()))
    }

    fn place(&self) -> Layout {
        Layout::new(&self.name, "clusters/prod")
    }

    async fn lock(&self, wait: Duration, lease: Duration) -> RemoteLockGuard {
        let guard = RemoteBackend::lock(&self.bucket(), &self.place(), "apply", wait, lease).await;
        guard.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn read(&self) -> State {
        read(&self.bucket(), &self.place()).await.expect("readable").expect("something").state
    }
}

fn run_of(backend: &RemoteBackend, state: &State) -> Entry {
    let run = RunRecord {
        epoch: backend.epoch(),
        operation: "apply".to_owned(),
        at: "2026-11-25T12:00:00Z".to_owned(),
        by: "dev@host".to_owned(),
        version: "0.1.0".to_owned(),
        after: state.serial,
        infra_id: None,
        unknown: std::collections::BTreeMap::new(),
    };
    Entry::RunStarted { run }
}

fn learnt(answer: u64) -> Entry {
    Entry::LookupRecorded { lookup: "zones".to_owned(), answer: json!(answer) }
}

async fn record(
    backend: &mut RemoteBackend,
    state: &mut State,
    entry: Entry,
) -> Result<(), StateError> {
    state.record(&entry).expect("legal");
    backend.append(&[entry]).await
}

#[tokio::test]
async fn a_write_happens_under_its_condition_only() {
    let account = Account::new().await;
    let bucket = account.bucket();
    let put = async |content: &str, condition| {
        bucket.put("key", content.as_bytes().to_vec(), condition).await.expect("an answer")
    };
    let strange = Etag("\"0123456789abcdef0123456789abcdef\"".to_owned());
    assert_eq!(
        put("no", Precondition::Matches(strange.clone())).await,
        PutOutcome::Refused,
        "it is absent"
    );
    let PutOutcome::Done(first) = put("one", Precondition::Absent).await else { panic!("refused") };
    assert_eq!(put("no", Precondition::Absent).await, PutOutcome::Refused);
    assert_eq!(put("no", Precondition::Matches(strange)).await, PutOutcome::Refused);
    let PutOutcome::Done(second) = put("two", Precondition::Matches(first.clone())).await else {
        panic!("refused")
    };
    assert_eq!(put("no", Precondition::Matches(first)).await, PutOutcome::Refused);
    let object = bucket.get("key").await.expect("an answer").expect("an object");
    assert_eq!((object.bytes.as_slice(), &object.etag), (&b"two"[..], &second));
    assert!(object.age.expect("dates") < PATIENCE, "{:?}", object.age);
    account.cloud.advance(3600.0);
    let object = bucket.get("key").await.expect("an answer").expect("an object");
    assert!(object.age.expect("dates") >= Duration::from_secs(3600), "{:?}", object.age);
    assert_eq!(bucket.get("another").await, Ok(None));
}

#[tokio::test]
async fn a_state_lives_in_a_bucket_and_moves_on_with_whoever_holds_it() {
    let account = Account::versioned().await;
    let mut requests = Vec::new();
    let mut before = State::default();
    for run in 1..=3 {
        let guard = account.lock(NOW, LEASE).await;
        let OpenedRemote { mut backend, mut state, warnings } =
            RemoteBackend::open(&guard).await.unwrap();
        assert_eq!(warnings, [""; 0]);
        assert_eq!((guard.epoch(), state.epoch()), (run, run - 1));
        assert!(run == 1 || state == before);
        let first = run_of(&backend, &state);
        record(&mut backend, &mut state, first).await.unwrap();
        for answer in [run, run + 10] {
            record(&mut backend, &mut state, learnt(answer)).await.unwrap();
        }
        backend.close(&state).await.unwrap();
        guard.release().await.unwrap();
        requests.push(account.cloud.requests().len());
        assert_eq!(account.read().await, state);
        account.cloud.clear_requests();
        before = state;
    }
    // The first lock also proves that the store honours conditions (7).
    assert_eq!(requests, [20, 15, 15], "{:?}", account.cloud.requests());
}

#[tokio::test]
async fn the_second_is_told_who_is_first_and_has_it_when_it_is_given_back() {
    let account = Account::versioned().await;
    let guard = account.lock(NOW, LEASE).await;
    let (bucket, place) = (account.bucket(), account.place());
    let error = RemoteBackend::lock(&bucket, &place, "destroy", NOW, LEASE).await.unwrap_err();
    assert!(error.is_held());
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    let error = break_open(&bucket, &place, "another", true).await.unwrap_err();
    assert!(error.to_string().contains(&guard.holder().id), "{error}");
    let waiting = tokio::spawn(async move {
        RemoteBackend::lock(&bucket, &place, "destroy", PATIENCE, LEASE)
            .await
            .map(|guard| guard.epoch())
    });
    guard.release().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), 2);
}

#[tokio::test]
async fn a_holder_that_is_gone_is_taken_over_and_writes_no_more() {
    let account = Account::versioned().await;
    let gone = account.lock(NOW, LEASE).await;
    let OpenedRemote { backend: mut late, state: mut stale, .. } =
        RemoteBackend::open(&gone).await.unwrap();
    let first = run_of(&late, &stale);
    record(&mut late, &mut stale, first).await.unwrap();
    let id = gone.holder().id.clone();
    drop(gone);
    account.cloud.advance(2.0 * LEASE.as_secs_f64());
    let guard = account.lock(NOW, LEASE).await;
    assert_eq!(guard.taken_from().map(|holder| &holder.id), Some(&id));
    let OpenedRemote { mut backend, mut state, .. } = RemoteBackend::open(&guard).await.unwrap();
    let first = run_of(&backend, &state);
    record(&mut backend, &mut state, first).await.unwrap();
    let error = record(&mut late, &mut stale, learnt(1)).await.unwrap_err();
    assert!(matches!(error, StateError::Fenced { .. }), "{error}");
    assert_eq!(account.read().await, state);
}

#[tokio::test]
async fn an_answer_that_is_lost_is_no_loss() {
    let account = Account::versioned().await;
    let guard = account.lock(NOW, LEASE).await;
    let OpenedRemote { mut backend, mut state, .. } = RemoteBackend::open(&guard).await.unwrap();
    let first = run_of(&backend, &state);
    record(&mut backend, &mut state, first).await.unwrap();
    for (answer, (when, kind)) in (1..).zip([("after", "drop"), ("before", "drop")]) {
        let fault = json!({ "action": "PutObject", "when": when, "kind": kind, "times": 1 });
        account.cloud.fault(&fault);
        record(&mut backend, &mut state, learnt(answer)).await.unwrap();
    }
    let fault = json!({ "action": "PutObject", "kind": "throttle", "times": 3 });
    account.cloud.fault(&fault);
    record(&mut backend, &mut state, learnt(3)).await.unwrap();
    assert_eq!(account.read().await, state);
}

#[tokio::test]
async fn objects_are_encrypted_as_asked() {
    let account = Account::versioned().await;
    let kms = Encryption::Kms("alias/states".to_owned());
    for (encryption, expected, key) in [
        (Encryption::S3, ServerSideEncryption::Aes256, None),
        (kms, ServerSideEncryption::AwsKms, Some("alias/states")),
    ] {
        let settings = S3StateStoreSettings { encryption, ..account.settings() };
        let bucket = account.bucket_with(settings);
        let put = bucket.put(expected.as_str(), b"content".to_vec(), Precondition::Absent).await;
        assert!(matches!(put, Ok(PutOutcome::Done(_))), "{put:?}");
        let request = account.s3.head_object().bucket(&account.name).key(expected.as_str());
        let head = request.send().await.expect("an object");
        assert_eq!(head.server_side_encryption(), Some(&expected));
        assert!(key.is_none_or(|key| head.ssekms_key_id().is_some_and(|id| id.contains(key))));
    }
}

#[tokio::test]
async fn keys_are_listed_in_order_whatever_the_pages_and_deleted_together() {
    let account = Account::versioned().await;
    let bucket = account.bucket_with(account.settings()).with_pages_of(2);
    let keys: Vec<_> = (1..=7).map(|first| account.place().group(first)).collect();
    for key in keys.iter().rev() {
        bucket.put(key, b"content".to_vec(), Precondition::Absent).await.expect("written");
    }
    let prefix = account.place().journal();
    assert_eq!(bucket.list(&prefix, "").await.unwrap(), keys);
    assert_eq!(bucket.list(&prefix, &keys[2]).await.unwrap(), keys[3..]);
    assert!(account.cloud.calls("ListObjectsV2") > 5);
    bucket.delete(keys[..4].to_vec()).await.unwrap();
    bucket.delete(keys[..4].to_vec()).await.unwrap();
    assert_eq!(bucket.list(&prefix, "").await.unwrap(), keys[4..]);
    assert_eq!(account.cloud.calls("DeleteObjects"), 2);
    assert_eq!(bucket.list("clusters/another/", "").await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_bucket_that_keeps_no_versions_is_warned_of() {
    for (account, warned) in [(Account::new().await, 1), (Account::versioned().await, 0)] {
        let guard = account.lock(NOW, LEASE).await;
        let warnings = RemoteBackend::open(&guard).await.unwrap().warnings;
        assert_eq!(warnings.len(), warned, "{warnings:?}");
        assert!(warnings.iter().all(|warning| warning.contains("has no versioning")));
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_named_with_what_makes_it() {
    let account = Account::new().await;
    let settings = S3StateStoreSettings { name: "nobodys".to_owned(), ..account.settings() };
    let bucket: Arc<dyn ObjectStore> = Arc::new(account.bucket_with(settings));
    let place = Layout::new("nobodys", "clusters/prod");
    let error = read(&bucket, &place).await.unwrap_err();
    assert_eq!(error.to_string(), "read s3://nobodys/clusters/prod/moved-to");
    assert!(error.hint().unwrap().contains("aws s3 mb s3://nobodys"), "{:?}", error.hint());
    let error = RemoteBackend::lock(&bucket, &place, "apply", NOW, LEASE).await.unwrap_err();
    assert!(!error.is_held());
    assert!(of_lock(&error).unwrap().contains("aws s3 mb s3://nobodys"), "{:?}", of_lock(&error));
}
