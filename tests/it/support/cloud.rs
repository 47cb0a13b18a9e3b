//! The test cloud as tests see it: starts `tests/cloud/run`, and asks its control endpoint.
//!
//! One server serves the whole test process ([`shared`]). Each caller gets an account of its own:
//! the cloud takes the last twelve digits of an access key for the account's number, so nothing
//! but the credentials keeps tests apart, and request log, faults and delays are per account too.
//! A test that needs a server to itself (to restart it, say) starts one with [`Cloud::start`].

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use serde_json::{Value, json};

/// The very first start installs the cloud's Python packages.
const START_WITHIN: Duration = Duration::from_secs(300);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A fresh account in the cloud that the tests of this process share.
pub(crate) fn shared() -> Cloud {
    static SERVER: OnceLock<Arc<Server>> = OnceLock::new();
    // A static is never dropped; the server ends itself when this process's end closes its stdin.
    Cloud::in_new_account(SERVER.get_or_init(|| Arc::new(Server::start())))
}

/// An account in a test cloud.
#[derive(Clone, Debug)]
pub(crate) struct Cloud {
    server: Arc<Server>,
    account: String,
}

#[allow(dead_code, reason = "each test file uses a part of it")]
impl Cloud {
    /// A cloud of one's own, gone when the last clone is dropped.
    pub(crate) fn start() -> Self {
        Self::in_new_account(&Arc::new(Server::start()))
    }

    fn in_new_account(server: &Arc<Server>) -> Self {
        static ACCOUNTS: AtomicU64 = AtomicU64::new(200_000_000_000);
        let account = ACCOUNTS.fetch_add(1, Ordering::Relaxed).to_string();
        Self { server: Arc::clone(server), account }
    }

    /// Another account of the same cloud, to be a stranger in.
    pub(crate) fn another_account(&self) -> Self {
        Self::in_new_account(&self.server)
    }

    /// `http://127.0.0.1:<port>`, for every service.
    pub(crate) fn endpoint(&self) -> &str {
        &self.server.endpoint
    }

    /// The region tests are in unless they say otherwise.
    pub(crate) fn region(&self) -> &'static str {
        "us-west-2"
    }

    /// The account's twelve digits.
    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    /// An access key of this account.
    pub(crate) fn access_key(&self) -> String {
        format!("AKIATEST{}", self.account)
    }

    /// Its other half; the cloud checks no signatures.
    pub(crate) fn secret_key(&self) -> &'static str {
        "not-a-secret"
    }

    /// What the SDK's clients and `Aws::new` are made from.
    pub(crate) fn sdk_config(&self) -> SdkConfig {
        self.sdk_config_in(self.region())
    }

    /// [`Cloud::sdk_config`] for another region.
    pub(crate) fn sdk_config_in(&self, region: &str) -> SdkConfig {
        let credentials =
            Credentials::new(self.access_key(), self.secret_key(), None, None, "test cloud");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(self.endpoint())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build()
    }

    /// The environment that sends a child process here and nowhere else.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", self.access_key()),
            ("AWS_SECRET_ACCESS_KEY", self.secret_key().to_owned()),
            ("AWS_REGION", self.region().to_owned()),
            ("AWS_ENDPOINT_URL", self.endpoint().to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
        ]
    }

    /// Empties the account, its settings and its log.
    pub(crate) fn reset(&self) {
        self.control("POST", "reset", &Value::Null);
    }

    /// The calls made so far, oldest first: service, action, mutating, status, at, params. What was
    /// only rehearsed is apart.
    pub(crate) fn requests(&self) -> Vec<Value> {
        self.log().into_iter().filter(|call| !is_rehearsal(call)).collect()
    }

    /// The calls made with `DryRun`.
    pub(crate) fn rehearsals(&self) -> Vec<Value> {
        self.log().into_iter().filter(is_rehearsal).collect()
    }

    fn log(&self) -> Vec<Value> {
        let log = self.control("GET", "requests", &Value::Null);
        log["requests"].as_array().expect("requests").clone()
    }

    /// How often this action was called.
    pub(crate) fn calls(&self, action: &str) -> usize {
        self.requests().iter().filter(|call| call["action"] == action).count()
    }

    /// How many calls meant to change something.
    pub(crate) fn mutating_calls(&self) -> usize {
        self.requests().iter().filter(|call| call["mutating"] == true).count()
    }

    /// Waits until nothing is under way that counts: of those who have died, too, requests arrive
    /// late. `but` may go on.
    pub(crate) fn settle(&self, but: &str) {
        let deadline = Instant::now() + ANSWER_WITHIN;
        let calls = || -> Vec<Value> {
            let log = self.requests().into_iter();
            log.filter(|call| call["action"] != but && call["service"] != "s3").collect()
        };
        let mut before = calls();
        loop {
            std::thread::sleep(Duration::from_millis(500));
            let now = calls();
            if now.len() == before.len() && now.iter().all(|call| !call["ended"].is_null()) {
                return;
            }
            assert!(Instant::now() < deadline, "it never settles: {now:?}");
            before = now;
        }
    }

    /// Forgets the calls made so far.
    pub(crate) fn clear_requests(&self) {
        self.control("POST", "requests/clear", &Value::Null);
    }

    /// Sets how long states take; the names are in `tests/cloud/groundplan_cloud/world.py`.
    pub(crate) fn delay(&self, name: &str, seconds: f64) {
        self.control("POST", "delays", &json!({ name: seconds }));
    }

    /// Lets time pass in this account, without anyone waiting.
    pub(crate) fn advance(&self, seconds: f64) {
        self.control("POST", "advance", &json!({ "seconds": seconds }));
    }

    /// Sets how long answers take, by action (`*` for all): `json!({"RunInstances": 0.5})`.
    pub(crate) fn latency(&self, seconds: &Value) {
        self.control("POST", "latency", seconds);
    }

    /// Adds a fault; `tests/cloud/README.md` says what one looks like.
    pub(crate) fn fault(&self, fault: &Value) {
        self.control("POST", "faults", fault);
    }

    /// Denies these actions to the account (`ec2:RunInstances`), and no others.
    pub(crate) fn deny(&self, actions: &[&str]) {
        self.control("POST", "denied", &json!({ "actions": actions }));
    }

    /// Sets limits, by their codes: `json!({"L-1216C47A": 128})`.
    pub(crate) fn quotas(&self, limits: &Value) {
        self.control("POST", "quotas", limits);
    }

    /// Throws other dice for faults with a probability.
    pub(crate) fn dice(&self, seed: u64) {
        self.control("POST", "dice", &json!({ "seed": seed }));
    }

    /// Takes all faults and the kill back.
    pub(crate) fn clear_faults(&self) {
        self.control("POST", "faults/clear", &Value::Null);
    }

    /// Kills the process at its `call`-th mutating call from now, `before` or `after` it took
    /// effect. Nobody gets an answer to that call.
    pub(crate) fn kill_at(&self, pid: u32, call: usize, when: &str) {
        self.control("POST", "kill_at", &json!({ "pid": pid, "call": call, "when": when }));
    }

    /// Everything in the account, by type, without random ids: two equal inventories are `==`.
    pub(crate) fn inventory(&self) -> Value {
        self.control("GET", "inventory", &Value::Null)["objects"].take()
    }

    /// The ids of everything in the account, by type.
    pub(crate) fn ids(&self) -> Value {
        self.control("GET", "inventory", &Value::Null)["ids"].take()
    }

    /// Status and body of a plain request, as a machine without any SDK makes it.
    pub(crate) fn http(&self, method: &str, path: &str) -> (String, String) {
        http(self.endpoint(), method, path, "").expect("an answer")
    }

    fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        let path = format!("/_groundplan/{path}?account={}", self.account);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = http(self.endpoint(), method, &path, &body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        assert_eq!(status, "200", "{method} {path} {body}: {answer}");
        serde_json::from_str(&answer).expect("the control endpoint speaks JSON")
    }
}

fn is_rehearsal(call: &Value) -> bool {
    call["params"]["DryRun"] == "true"
}

/// One request on a connection of its own.
fn http(endpoint: &str, method: &str, path: &str, body: &str) -> std::io::Result<(String, String)> {
    let host = endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    Ok((status.to_owned(), body.to_owned()))
}

/// The process behind it.
#[derive(Debug)]
struct Server {
    child: std::sync::Mutex<Child>,
    endpoint: String,
    /// Its closing is what ends the server if we are killed.
    _stdin: ChildStdin,
}

impl Server {
    fn start() -> Self {
        let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cloud/run");
        let mut child = Command::new(&run)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("could not start {}: {error}", run.display()));
        let stdin = child.stdin.take().expect("BUG: stdin is piped");
        let stdout = child.stdout.take().expect("BUG: stdout is piped");
        let Some(line) = first_line(stdout) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the test cloud did not serve within {START_WITHIN:?}; its stderr says why");
        };
        let serving: Value = serde_json::from_str(&line).expect("the test cloud's first line");
        let endpoint = serving["endpoint"].as_str().expect("an endpoint").to_owned();
        Self { child: child.into(), endpoint, _stdin: stdin }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn first_line(from: impl Read + Send + 'static) -> Option<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(from).read_line(&mut line);
        let _ = sender.send(line);
    });
    receiver.recv_timeout(START_WITHIN).ok().filter(|line| !line.is_empty())
}
