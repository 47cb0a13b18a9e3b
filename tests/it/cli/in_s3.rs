//! Whole runs with state in S3: lock holders, takeovers, and the content of the bucket.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Output};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::trouble::{Printed, signal};
use super::{Desk, PULL_SECRET, SSH_KEY};

/// A lease longer than any wait of these tests. A test that needs its end advances the account's
/// clock.
const LEASE: &str = "10m";
const A_LEASE_LATER: f64 = 1000.0;

/// A desk whose state is in a bucket of its account.
struct Team {
    desk: Desk,
    bucket: String,
    s3: aws_sdk_s3::Client,
    lease: &'static str,
}

impl Team {
    async fn new() -> Self {
        let desk = Desk::new();
        let bucket = format!("states-{}", desk.cloud.account());
        let config = aws_sdk_s3::config::Builder::from(&desk.cloud.sdk_config());
        let s3 = aws_sdk_s3::Client::from_conf(config.force_path_style(true).build());
        let here = aws_sdk_s3::types::CreateBucketConfiguration::builder()
            .location_constraint(desk.cloud.region().into());
        let create = s3.create_bucket().bucket(&bucket).create_bucket_configuration(here.build());
        create.send().await.expect("a bucket");
        desk.cloud.clear_requests();
        Self { desk, bucket, s3, lease: LEASE }
    }

    fn backend(&self) -> String {
        format!("s3://{}/clusters", self.bucket)
    }

    /// Returns the arguments of a command with the location of the state.
    fn words<'a>(&self, words: &[&'a str], backend: &'a str) -> Vec<&'a str> {
        [words, &["--state", backend, "--lease", self.lease]].concat()
    }

    fn expect(&self, code: i32, words: &[&str]) -> super::Ran {
        self.desk.expect(code, &self.words(words, &self.backend()))
    }

    /// Starts an apply whose RunInstances calls get no response until the test releases them.
    fn applying(&self) -> Child {
        self.desk.cloud.hold(&["RunInstances"]);
        let backend = self.backend();
        let child = self.desk.start(&self.words(&["apply", "--auto-approve"], &backend));
        self.desk.cloud.wait_for_held(1);
        child
    }

    async fn object(&self, name: &str) -> Option<Vec<u8>> {
        let key = format!("clusters/demo/{name}");
        let found = self.s3.get_object().bucket(&self.bucket).key(key).send().await.ok()?;
        Some(found.body.collect().await.expect("a body").into_bytes().to_vec())
    }

    async fn lock(&self) -> Value {
        serde_json::from_slice(&self.object("lock.json").await.expect("a lock")).expect("JSON")
    }

    /// Changes the holder in the lock.
    async fn pretend(&self, change: impl FnOnce(&mut Value)) {
        let mut lock = self.lock().await;
        change(&mut lock["holder"]);
        let text = serde_json::to_vec(&lock).expect("JSON");
        let put = self.s3.put_object().bucket(&self.bucket).key("clusters/demo/lock.json");
        put.body(text.into()).send().await.expect("written");
    }

    fn machines(&self) -> usize {
        self.desk.cloud.ids()["instance"].as_array().map_or(0, Vec::len)
    }
}

fn end(child: Child) -> Output {
    child.wait_with_output().expect("it ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_lives_and_ends_with_its_state_in_s3() {
    let team = Team::new().await;
    team.expect(0, &["apply", "--auto-approve"]);
    team.expect(0, &["plan", "--detailed-exitcode"]);
    let shown = team.expect(0, &["show"]);
    assert!(shown.out.contains("instance.master-0"), "{}", shown.out);
    assert_eq!(team.lock().await["holder"], Value::Null, "the lock is free");
    assert!(!team.desk.path("state").exists(), "nothing is kept here");
    let clusters = team.expect(0, &["clusters"]);
    let line = clusters.out.lines().nth(1).expect("a cluster");
    assert!(line.starts_with("demo ") && line.contains(" us-west-2 "), "{}", clusters.out);
    assert!(line.contains(" apply ") && line.ends_with(" -"), "{}", clusters.out);
    let too_deep = format!("{}/demo", team.backend());
    let of_one = team.desk.expect(1, &["clusters", "--state", &too_deep]);
    let hint = format!("pass the folder above it, --state {}\n", team.backend());
    assert!(of_one.err.contains(&hint), "{}", of_one.err);
    team.expect(0, &["destroy", "--auto-approve"]);
    let again = team.expect(0, &["destroy", "--auto-approve"]);
    assert!(again.out.contains("0 destroyed"), "{}", again.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_bucket() {
    let team = Team::new().await;
    team.expect(0, &["apply", "--auto-approve"]);
    let listed = team.s3.list_objects_v2().bucket(&team.bucket).send().await.expect("a list");
    assert!(listed.contents().len() > 5, "{listed:?}");
    for object in listed.contents() {
        let name = object.key().and_then(|key| key.strip_prefix("clusters/demo/"));
        let text = team.object(name.expect("ours")).await.expect("an object");
        let text = String::from_utf8(text).expect("text");
        assert!(!text.contains(PULL_SECRET) && !text.contains(SSH_KEY), "{name:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_it_is_named_and_is_not_taken_away_by_a_wrong_id() {
    let team = Team::new().await;
    let mut child = team.applying();
    let held = team.expect(4, &["apply", "--auto-approve"]);
    let planned = team.expect(0, &["plan"]);
    assert!(planned.err.contains("may be stale"), "{}", planned.err);
    let holder = team.lock().await["holder"].clone();
    for part in ["id", "host", "user", "operation"] {
        let part = holder[part].as_str().expect("text");
        assert!(held.err.contains(part), "{part} is not in {}", held.err);
        assert!(planned.err.contains(part), "{part} is not in {}", planned.err);
    }
    let wrong = team.expect(7, &["unlock", "another-id"]);
    assert!(wrong.err.contains(holder["id"].as_str().unwrap()), "{}", wrong.err);
    let alive = team.expect(7, &["unlock", holder["id"].as_str().unwrap()]);
    assert!(alive.err.contains("kill") || alive.err.contains("end"), "{}", alive.err);
    let backend = team.backend();
    let mut waiting = team.desk.start(&team.words(&["plan", "--lock-timeout", "10m"], &backend));
    let mut said = Printed::from(waiting.stderr.take().expect("a pipe"));
    said.up_to("waiting up to");
    team.desk.cloud.release();
    assert!(child.wait().expect("it ends").success());
    assert!(waiting.wait().expect("it ends").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn l1_what_a_killed_run_of_this_host_held_is_taken_over_at_once() {
    let team = Team::new().await;
    let mut child = team.applying();
    child.kill().expect("SIGKILL");
    child.wait().expect("it ends");
    team.desk.cloud.release();
    let epoch = team.lock().await["epoch"].as_u64();
    let again = team.expect(0, &["apply", "--auto-approve"]);
    assert!(!again.err.contains("waiting"), "{}", again.err);
    assert_eq!(team.lock().await["epoch"].as_u64(), epoch.map(|epoch| epoch + 1));
    team.expect(0, &["plan", "--detailed-exitcode"]);
    assert_eq!(team.machines(), 2, "none is there twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn l2_what_a_host_that_is_gone_held_is_taken_over_when_its_lease_has_run_out() {
    let team = Team::new().await;
    let mut child = team.applying();
    child.kill().expect("SIGKILL");
    child.wait().expect("it ends");
    team.desk.cloud.release();
    team.pretend(|holder| holder["host"] = "gone.example.com".into()).await;
    let epoch = team.lock().await["epoch"].as_u64();
    let held = team.expect(4, &["apply", "--auto-approve"]);
    assert!(held.err.contains("gone.example.com"), "{}", held.err);
    team.desk.cloud.advance(A_LEASE_LATER);
    team.expect(0, &["apply", "--auto-approve"]);
    assert_eq!(team.lock().await["epoch"].as_u64(), epoch.map(|epoch| epoch + 1));
    team.expect(0, &["plan", "--detailed-exitcode"]);
    assert_eq!(team.machines(), 2, "none is there twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_a_paused_run_that_was_taken_over_sends_nothing_when_it_wakes_up() {
    let team = Team { lease: "40s", ..Team::new().await };
    let child = team.applying();
    // A call between the check of the fence and its first byte would be sent after the pause: a limit
    // that docs/durability.md states. Here every other call is made before the pause.
    team.desk.cloud.wait_until_idle();
    signal(&child, "-STOP");
    let paused = Instant::now();
    team.desk.cloud.release();
    team.desk.cloud.settle("");
    team.desk.cloud.advance(A_LEASE_LATER);
    team.expect(0, &["apply", "--auto-approve"]);
    let built = team.desk.cloud.inventory();
    team.desk.cloud.clear_requests();
    // The paused run has clocks of its own, which the test cannot put forward.
    let fenced = Duration::from_secs(40 * 3 / 4 + 1);
    thread::sleep(fenced.saturating_sub(paused.elapsed()));
    signal(&child, "-CONT");
    let woken = end(child);
    let err = String::from_utf8_lossy(&woken.stderr);
    assert_eq!(woken.status.code(), Some(4), "{err}");
    assert!(err.contains("lock"), "{err}");
    let sent: Vec<_> = team
        .desk
        .cloud
        .requests()
        .into_iter()
        .filter(|call| call["mutating"] == true && call["service"] != "s3")
        .collect();
    assert!(sent.is_empty(), "{sent:?}");
    assert_eq!(team.desk.cloud.inventory(), built);
    team.expect(0, &["plan", "--detailed-exitcode"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_moves_between_a_folder_and_a_bucket_and_back() {
    let team = Team::new().await;
    let desk = &team.desk;
    let backend = team.backend();
    desk.apply();
    let state = |words: &[&str]| desk.expect(0, words).out;
    let before = state(&["state", "pull"]);
    desk.expect(0, &["state", "migrate", "--to", &backend]);
    assert_eq!(state(&["state", "pull", "--state", &backend]), before);
    let left = desk.expect(1, &["plan"]);
    assert!(left.err.contains(&backend), "{}", left.err);
    desk.expect(0, &["plan", "--detailed-exitcode", "--state", &backend]);
    desk.expect(0, &["state", "migrate", "--state", &backend, "--to", "state"]);
    let left = desk.expect(1, &["plan", "--state", &backend]);
    assert!(left.err.contains("the state was moved to"), "{}", left.err);
    assert_eq!(state(&["state", "pull"]), before);
    desk.expect(0, &["destroy", "--auto-approve"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_nobody_made_is_an_error_that_says_how_to_make_it() {
    let desk = Desk::new();
    let ran = desk.expect(1, &["plan", "--state", "s3://not-created-yet/clusters"]);
    let summary =
        "error[state-bucket-missing]: the bucket `not-created-yet` of the state does not exist";
    assert!(ran.err.contains(summary), "{}", ran.err);
    assert!(ran.err.contains("NoSuchBucket"), "{}", ran.err);
    assert!(ran.err.contains("aws s3 mb s3://not-created-yet"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_whose_cluster_was_destroyed_gives_way_to_a_state_that_has_something() {
    let team = Team::new().await;
    team.expect(0, &["apply", "--auto-approve", "--target", "dhcp_options.main"]);
    team.expect(0, &["destroy", "--auto-approve"]);
    team.desk.apply(); // in the folder
    let listed = team.desk.expect(0, &["state", "list"]).out;
    team.desk.expect(0, &["state", "migrate", "--to", &team.backend()]);
    assert_eq!(team.expect(0, &["state", "list"]).out, listed);
    team.expect(0, &["plan", "--detailed-exitcode"]);
    team.expect(0, &["destroy", "--auto-approve"]);
}

/// Answer of a store to a conditional write.
#[derive(Clone, Copy)]
enum ConditionalPut {
    /// The write succeeds, and the condition has no effect.
    Ignored,
    /// 501, as of stores that know no conditions.
    NotImplemented,
}

/// Starts a store that speaks as much of S3 as a lock needs, and returns its endpoint. The store ends
/// with the test process.
fn store(put: ConditionalPut) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        let mut objects = BTreeMap::new();
        for stream in listener.incoming().flatten() {
            let _ = answer(&stream, put, &mut objects); // a client may leave
        }
    });
    endpoint
}

fn answer(
    stream: &TcpStream,
    put: ConditionalPut,
    objects: &mut BTreeMap<String, Vec<u8>>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let (method, path) = line.split_once(' ').unwrap_or_default();
    let path = path.split(' ').next().unwrap_or_default().to_owned();
    let (mut length, mut is_conditional) = (0, false);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim().to_ascii_lowercase();
        match header.split_once(':') {
            None => break,
            Some(("content-length", value)) => length = value.trim().parse().unwrap_or(0),
            Some(("if-none-match" | "if-match", _)) => is_conditional = true,
            Some(_) => (),
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let key = path.split('?').next().unwrap_or_default().to_owned();
    let (status, text) = match (method, put) {
        ("PUT", ConditionalPut::NotImplemented) if is_conditional => {
            (501, b"<Error><Code>NotImplemented</Code><Message>no</Message></Error>".to_vec())
        }
        ("PUT", _) => {
            objects.insert(key, body);
            (200, Vec::new())
        }
        ("GET", _) if path.contains("list-type=2") => (200, b"<ListBucketResult/>".to_vec()),
        ("GET", _) if path.contains("versioning") => (200, b"<VersioningConfiguration/>".to_vec()),
        ("GET", _) => match objects.get(&key) {
            Some(found) => (200, found.clone()),
            None => (404, b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
        },
        _ => (200, b"<DeleteResult/>".to_vec()),
    };
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} x\r\netag: \"1\"\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        text.len()
    )?;
    stream.write_all(&text)
}

#[test]
fn a_store_that_does_not_honour_conditions_is_refused_before_the_first_lock() {
    for (put, said, hint) in [
        (
            ConditionalPut::Ignored,
            "the store does not honour the condition `If-None-Match: *` of a write",
            "without conditions two runs would work at the same time",
        ),
        (ConditionalPut::NotImplemented, "NotImplemented", "lacks an operation that a state needs"),
    ] {
        let desk = Desk::new();
        let mut command =
            desk.command(&["apply", "--auto-approve", "--state", "s3://acme/clusters"]);
        command.env("AWS_ENDPOINT_URL_S3", store(put));
        let ran = super::Ran::from(command.output().expect("the program starts"));
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains(said), "{ran:?}");
        assert!(ran.err.contains(hint), "{ran:?}");
        assert_eq!(desk.cloud.mutating_calls(), 0);
    }
}
