//! Client of the test cloud: starts `tests/cloud/run` and calls its control endpoint.
//!
//! Two servers serve the whole test process ([`shared`]), because each uses one CPU at most. Each
//! caller gets its own account. The
//! cloud uses the last twelve digits of an access key as the account number, so credentials alone
//! separate the tests. Request log, faults and delays are also per account. A test that needs its
//! own server, for example to restart it, starts one with [`Cloud::start`].

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use serde_json::{Value, json};

/// Maximum time of a start. The first start installs the Python packages of the cloud.
const START_WITHIN: Duration = Duration::from_secs(300);
/// Limit of every wait, longer than any step on a busy machine. Ends a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// The control endpoint waits up to [`PATIENCE`] itself.
const ANSWER_WITHIN: Duration = PATIENCE.saturating_add(Duration::from_secs(30));

/// A fresh account in one of the clouds that the tests of this process share.
pub(crate) fn shared() -> Cloud {
    static SERVERS: [OnceLock<Arc<Server>>; 2] = [const { OnceLock::new() }; 2];
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let turn = TURN.fetch_add(1, Ordering::Relaxed) % SERVERS.len();
    // A static is never dropped; a server ends when the end of this process closes its stdin.
    Cloud::in_new_account(SERVERS[turn].get_or_init(|| Arc::new(Server::start())))
}

/// An account in a test cloud.
#[derive(Clone, Debug)]
pub(crate) struct Cloud {
    server: Arc<Server>,
    account: String,
}

#[allow(dead_code, reason = "each test file uses a part of it")]
impl Cloud {
    /// Starts a separate cloud, which ends when the last clone is dropped.
    pub(crate) fn start() -> Self {
        Self::in_new_account(&Arc::new(Server::start()))
    }

    fn in_new_account(server: &Arc<Server>) -> Self {
        static ACCOUNTS: AtomicU64 = AtomicU64::new(200_000_000_000);
        let account = ACCOUNTS.fetch_add(1, Ordering::Relaxed).to_string();
        Self { server: Arc::clone(server), account }
    }

    /// Returns another account of the same cloud, for foreign resources.
    pub(crate) fn another_account(&self) -> Self {
        Self::in_new_account(&self.server)
    }

    /// Returns `http://127.0.0.1:<port>`, the endpoint of every service.
    pub(crate) fn endpoint(&self) -> &str {
        &self.server.endpoint
    }

    /// Returns the default region of tests.
    pub(crate) fn region(&self) -> &'static str {
        "us-west-2"
    }

    /// Returns the twelve digits of the account.
    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    /// Returns an access key of this account.
    pub(crate) fn access_key(&self) -> String {
        format!("AKIATEST{}", self.account)
    }

    /// Returns the secret key. The cloud verifies no signatures.
    pub(crate) fn secret_key(&self) -> &'static str {
        "not-a-secret"
    }

    /// Returns the configuration for SDK clients and `Aws::new`.
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

    /// Returns the environment that directs a child process to this cloud only.
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

    /// Resets the account, its settings and its log.
    pub(crate) fn reset(&self) {
        self.control("POST", "reset", &Value::Null);
    }

    /// Returns the calls so far, oldest first: service, action, mutating, status, at, params.
    /// Excludes dry runs.
    pub(crate) fn requests(&self) -> Vec<Value> {
        self.log().into_iter().filter(|call| !is_rehearsal(call)).collect()
    }

    /// Returns the calls with `DryRun`.
    pub(crate) fn rehearsals(&self) -> Vec<Value> {
        self.log().into_iter().filter(is_rehearsal).collect()
    }

    fn log(&self) -> Vec<Value> {
        let log = self.control("GET", "requests", &Value::Null);
        log["requests"].as_array().expect("requests").clone()
    }

    /// Returns the number of calls of this action.
    pub(crate) fn calls(&self, action: &str) -> usize {
        self.requests().iter().filter(|call| call["action"] == action).count()
    }

    /// Returns the number of mutating calls, including failed ones.
    pub(crate) fn mutating_calls(&self) -> usize {
        self.requests().iter().filter(|call| call["mutating"] == true).count()
    }

    /// Waits until every call sent so far has ended, also calls of dead clients. Calls of the
    /// action `but` may continue.
    pub(crate) fn settle(&self, but: &str) {
        let wanted = json!({ "but": but, "seconds": PATIENCE.as_secs() });
        let settled = self.control("POST", "settle", &wanted);
        assert_eq!(settled["settled"], true, "it never settles: {:?}", self.requests());
    }

    /// Waits until a second passes without a call, except those to S3, which renew a lease.
    pub(crate) fn wait_until_idle(&self) {
        let calls = || self.log().iter().filter(|call| call["service"] != "s3").count();
        let (began, mut before) = (Instant::now(), calls());
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let now = calls();
            if now == before {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "it is never idle: {:?}", self.requests());
            before = now;
        }
    }

    /// Waits until this many calls of these actions were made.
    pub(crate) fn wait_for_calls(&self, actions: &[&str], calls: usize) {
        self.wait_for("asked", &json!({ "actions": actions }), calls);
    }

    /// Waits until this many calls of these actions have ended.
    pub(crate) fn wait_for_ended(&self, actions: &[&str], calls: usize) {
        self.wait_for("ended", &json!({ "actions": actions }), calls);
    }

    /// Waits until this many calls are held.
    pub(crate) fn wait_for_held(&self, calls: usize) {
        self.wait_for("held", &json!({}), calls);
    }

    fn wait_for(&self, stage: &str, which: &Value, calls: usize) {
        let mut wanted = which.clone();
        wanted["stage"] = stage.into();
        wanted["calls"] = calls.into();
        wanted["seconds"] = PATIENCE.as_secs().into();
        let waited = self.control("POST", "wait", &wanted);
        assert_eq!(waited["reached"], true, "{wanted}: {waited}, and {:?}", self.requests());
    }

    /// Holds the calls of these actions before they take effect, until [`Cloud::release`].
    pub(crate) fn hold(&self, actions: &[&str]) {
        for action in actions {
            self.fault(&json!({ "kind": "hold", "action": action }));
        }
    }

    /// Holds every mutating call.
    pub(crate) fn hold_changes(&self) {
        self.fault(&json!({ "kind": "hold", "mutating": true }));
    }

    /// Holds no further calls. Held calls stay held until [`Cloud::release`].
    pub(crate) fn hold_no_more(&self) {
        self.control("POST", "release", &json!({ "held": false }));
    }

    /// Releases all held calls, and holds no further calls.
    pub(crate) fn release(&self) {
        self.control("POST", "release", &json!({}));
    }

    /// Clears the list of calls.
    pub(crate) fn clear_requests(&self) {
        self.control("POST", "requests/clear", &Value::Null);
    }

    /// Sets the duration of states. `tests/cloud/groundplan_cloud/world.py` has the names.
    pub(crate) fn delay(&self, name: &str, seconds: f64) {
        self.control("POST", "delays", &json!({ name: seconds }));
    }

    /// Advances the clock of this account.
    pub(crate) fn advance(&self, seconds: f64) {
        self.control("POST", "advance", &json!({ "seconds": seconds }));
    }

    /// Sets the response time by action (`*` for all): `json!({"RunInstances": 0.5})`.
    pub(crate) fn latency(&self, seconds: &Value) {
        self.control("POST", "latency", seconds);
    }

    /// Adds a fault. `tests/cloud/README.md` describes the format.
    pub(crate) fn fault(&self, fault: &Value) {
        self.control("POST", "faults", fault);
    }

    /// Denies these actions to the account (`ec2:RunInstances`). Replaces earlier denials.
    pub(crate) fn deny(&self, actions: &[&str]) {
        self.control("POST", "denied", &json!({ "actions": actions }));
    }

    /// Gives the account this one IAM policy document. `null` allows all actions.
    pub(crate) fn allow_only(&self, policy: &Value) {
        self.control("POST", "policy", &json!({ "policy": policy }));
    }

    /// Denies roles with another permissions boundary than this one. `None` allows all.
    pub(crate) fn require_boundary(&self, arn: Option<&str>) {
        self.control("POST", "boundary", &json!({ "arn": arn }));
    }

    /// Sets quotas by code: `json!({"L-1216C47A": 128})`.
    pub(crate) fn quotas(&self, limits: &Value) {
        self.control("POST", "quotas", limits);
    }

    /// Sets requests without a token. `tests/cloud/README.md` describes the format.
    pub(crate) fn metrics(&self, counts: &Value) {
        self.control("POST", "metrics", counts);
    }

    /// Sets what an administrator or an organisation sets for us-west-2: `metadata_defaults` in the words
    /// of EC2, `block_public_access` with `mode`.
    pub(crate) fn account_settings(&self, settings: &Value) {
        let mut settings = settings.clone();
        settings["region"] = "us-west-2".into();
        self.control("POST", "account_settings", &settings);
    }

    /// Sets the pools of public addresses with their sizes: `json!({"ipv4pool-ec2-0a": 8})`.
    pub(crate) fn pools(&self, sizes: &Value) {
        self.control("POST", "pools", sizes);
    }

    /// Associates a VPC of any account with a hosted zone, as after an authorisation.
    pub(crate) fn associate(&self, zone: &str, vpc: &str) {
        self.control("POST", "associations", &json!({ "zone": zone, "vpc": vpc }));
    }

    /// Sets the seed for faults with a probability.
    pub(crate) fn dice(&self, seed: u64) {
        self.control("POST", "dice", &json!({ "seed": seed }));
    }

    /// Removes all faults and the kill.
    pub(crate) fn clear_faults(&self) {
        self.control("POST", "faults/clear", &Value::Null);
    }

    /// Kills the process at its `call`-th mutating call from now, `before` or `after` the call
    /// takes effect. The process gets no response to that call.
    pub(crate) fn kill_at(&self, pid: u32, call: usize, when: &str) {
        self.control("POST", "kill_at", &json!({ "pid": pid, "call": call, "when": when }));
    }

    /// Returns all resources of the account by type, without random IDs. Equal inventories are
    /// `==`.
    pub(crate) fn inventory(&self) -> Value {
        self.control("GET", "inventory", &Value::Null)["objects"].take()
    }

    /// Returns the IDs of all resources of the account, by type.
    pub(crate) fn ids(&self) -> Value {
        self.control("GET", "inventory", &Value::Null)["ids"].take()
    }

    /// Returns status and body of a plain request, as from a machine without an SDK.
    pub(crate) fn http(&self, method: &str, path: &str) -> (String, String) {
        http(self.endpoint(), method, path, &[], "").expect("an answer")
    }

    /// Returns the body of the answer to a request of a service, as another program than groundplan
    /// would send it.
    pub(crate) fn ask(&self, service: &str, method: &str, path: &str, body: &str) -> String {
        let form = if path == "/" { "application/x-www-form-urlencoded" } else { "text/xml" };
        self.signed(service, method, path, &[("Content-Type", form)], body)
    }

    /// Returns the answer of the tagging API to a request in JSON.
    pub(crate) fn tagging(&self, action: &str, body: &str) -> String {
        let target = format!("ResourceGroupsTaggingAPI_20170126.{action}");
        let json = ("Content-Type", "application/x-amz-json-1.1");
        self.signed("tagging", "POST", "/", &[json, ("X-Amz-Target", &target)], body)
    }

    fn signed(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> String {
        let scope =
            format!("{}/20261201/{}/{service}/aws4_request", self.access_key(), self.region());
        let signed =
            format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        let headers = [&[("Authorization", signed.as_str())][..], headers].concat();
        let (status, answer) =
            http(self.endpoint(), method, path, &headers, body).expect("an answer");
        assert!(status.starts_with('2'), "{service} {method} {path} {body}: {status} {answer}");
        answer
    }

    /// Makes the tagging API report a resource of a service that the test cloud does not have.
    pub(crate) fn report(&self, arn: &str, tags: &Value) {
        self.control("POST", "tagged", &json!({ "arn": arn, "tags": tags }));
    }

    /// Makes AWS Backup back up an instance. Returns the IDs of the image and the snapshots.
    pub(crate) fn back_up(&self, instance: &str) -> Vec<String> {
        let made = self.control("POST", "backups", &json!({ "instance": instance }));
        let ids = made["made"].as_array().expect("IDs").iter();
        ids.map(|id| id.as_str().expect("an ID").to_owned()).collect()
    }

    fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        let path = format!("/_groundplan/{path}?account={}", self.account);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let json = [("Content-Type", "application/json")];
        let (status, answer) = http(self.endpoint(), method, &path, &json, &body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        assert_eq!(status, "200", "{method} {path} {body}: {answer}");
        serde_json::from_str(&answer).expect("the control endpoint speaks JSON")
    }
}

fn is_rehearsal(call: &Value) -> bool {
    call["params"]["DryRun"] == "true"
}

/// Sends one request on its own connection.
fn http(
    endpoint: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<(String, String)> {
    let host = endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         {headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    Ok((status.to_owned(), body.to_owned()))
}

/// The process of the server.
#[derive(Debug)]
struct Server {
    child: std::sync::Mutex<Child>,
    endpoint: String,
    /// The server ends when this pipe closes, even if the test process is killed.
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
