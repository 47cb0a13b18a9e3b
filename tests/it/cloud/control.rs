//! The control endpoint: observing and manipulating the cloud in tests.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use serde_json::{Value, json};

use super::{Account, filter, refused};
use crate::support::cloud::{Cloud, PATIENCE};

impl Account {
    /// Returns a client without retries.
    fn once(&self) -> aws_sdk_ec2::Client {
        let config = aws_sdk_ec2::config::Builder::from(&self.cloud.sdk_config());
        aws_sdk_ec2::Client::from_conf(config.retry_config(RetryConfig::disabled()).build())
    }
}

#[tokio::test]
async fn accounts_of_one_cloud_do_not_see_each_other() {
    let ours = Account::new();
    let theirs = Account::of(ours.cloud.another_account());
    let vpc = ours.vpc().await;
    let look =
        |account: &Account| account.ec2.describe_vpcs().filters(filter("vpc-id", &vpc)).send();
    assert_eq!(look(&ours).await.expect("VPCs").vpcs().len(), 1);
    assert_eq!(look(&theirs).await.expect("VPCs").vpcs().len(), 0);
    assert_eq!((ours.cloud.calls("CreateVpc"), theirs.cloud.calls("CreateVpc")), (1, 0));
    assert_ne!(ours.cloud.inventory(), theirs.cloud.inventory());
    let request = aws_sdk_sts_identity(&ours.cloud).await;
    assert_eq!(request.as_deref(), Some(ours.cloud.account()));
}

async fn aws_sdk_sts_identity(cloud: &Cloud) -> Option<String> {
    let client = aws_sdk_sts::Client::new(&cloud.sdk_config());
    client.get_caller_identity().send().await.expect("an identity").account
}

#[tokio::test]
async fn calls_are_logged_by_name_and_no_user_data_with_them() {
    let account = Account::new();
    let subnet = account.subnet(&account.vpc().await).await;
    let run = account.run(&subnet, "token").user_data("c2VjcmV0LWNhbmFyeQ==");
    run.send().await.expect("an instance");
    let bucket = format!("log-{}", account.cloud.account());
    let missing = account.s3.head_bucket().bucket(&bucket).send().await;
    assert!(missing.is_err());
    let missing = account.s3.get_object().bucket(&bucket).key("a/b").send().await;
    assert_eq!(refused(missing), "NoSuchBucket");
    account.route53.list_hosted_zones().send().await.expect("zones");

    let log = account.cloud.requests();
    let said: Vec<_> = log
        .iter()
        .map(|call| (call["action"].as_str().unwrap_or_default(), call["mutating"] == true))
        .collect();
    assert_eq!(
        said,
        [
            ("CreateVpc", true),
            ("CreateSubnet", true),
            ("RunInstances", true),
            ("HeadBucket", false),
            ("GetObject", false),
            ("ListHostedZones", false),
        ]
    );
    assert_eq!(account.cloud.mutating_calls(), 3);
    assert_eq!(
        (&log[2]["params"]["ClientToken"], &log[2]["status"]),
        (&json!("token"), &json!(200))
    );
    assert!(!Value::from(log).to_string().contains("c2VjcmV0LWNhbmFyeQ"));
    account.cloud.clear_requests();
    assert_eq!(account.cloud.requests().len(), 0);
}

#[tokio::test]
async fn errors_strike_before_or_after_the_call_took_effect() {
    let account = Account::new();
    let create = || account.once().create_vpc().cidr_block("10.0.0.0/16").send();
    let fault =
        |when| json!({ "action": "CreateVpc", "when": when, "status": 503, "code": "Unavailable" });
    account.cloud.fault(&fault("before"));
    assert_eq!(refused(create().await), "Unavailable");
    assert_eq!(account.cloud.inventory()["vpc"], Value::Null);
    account.cloud.fault(&fault("after"));
    assert_eq!(refused(create().await), "Unavailable");
    assert_eq!(account.cloud.inventory()["vpc"].as_array().map(Vec::len), Some(1));
    create().await.expect("the faults are used up");
}

#[tokio::test]
async fn an_answer_can_be_lost() {
    let account = Account::new();
    account.cloud.fault(&json!({ "action": "CreateVpc", "when": "after", "kind": "drop" }));
    let lost = account.once().create_vpc().cidr_block("10.0.0.0/16").send().await;
    assert!(matches!(lost, Err(SdkError::DispatchFailure(_))), "{lost:?}");
    assert_eq!(account.cloud.inventory()["vpc"].as_array().map(Vec::len), Some(1));
    assert_eq!(account.cloud.requests()[0]["status"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_never_come() {
    let account = Account::new();
    for (when, made) in [("before", 0), ("after", 1)] {
        account.cloud.fault(&json!({ "action": "CreateVpc", "when": when, "kind": "hang" }));
        let patience = Duration::from_millis(500);
        let impatient = TimeoutConfig::builder().read_timeout(patience).build();
        let call = account.once().create_vpc().cidr_block("10.0.0.0/16").customize();
        let asked =
            call.config_override(aws_sdk_ec2::config::Config::builder().timeout_config(impatient));
        let began = Instant::now();
        let answer = asked.send().await;
        assert!(matches!(answer, Err(SdkError::DispatchFailure(_))), "{answer:?}");
        assert!(began.elapsed() >= patience, "it is we who gave up");
        account.cloud.settle("");
        let there = account.cloud.inventory()["vpc"].as_array().map_or(0, Vec::len);
        assert_eq!(there, made, "{when}");
    }
}

#[tokio::test]
async fn other_dice_fall_otherwise() {
    let account = Account::new();
    let thrown = async |seed: u64| {
        account.cloud.dice(seed);
        account.cloud.fault(&json!({ "kind": "throttle", "probability": 0.5 }));
        let mut fell = Vec::new();
        for _ in 0..16 {
            fell.push(account.once().describe_vpcs().send().await.is_ok());
        }
        account.cloud.clear_faults();
        fell
    };
    let one = thrown(1).await;
    assert_eq!(thrown(1).await, one);
    assert_ne!(thrown(2).await, one);
}

#[tokio::test]
async fn some_calls_can_be_throttled() {
    let account = Account::new();
    account.cloud.fault(&json!({ "kind": "throttle", "probability": 0.5 }));
    let client = account.once();
    let mut throttled = 0;
    for _ in 0..40 {
        match client.describe_vpcs().send().await {
            Ok(_) => {}
            refusal => {
                assert_eq!(refused(refusal), "RequestLimitExceeded");
                throttled += 1;
            }
        }
    }
    assert!((8..=32).contains(&throttled), "{throttled} of 40 at one half");
    account.cloud.clear_faults();
    client.describe_vpcs().send().await.expect("VPCs");
}

#[tokio::test]
async fn answers_take_the_time_they_are_given() {
    let account = Account::new();
    account.cloud.latency(&json!({ "DescribeVpcs": 0.3 }));
    let start = Instant::now();
    account.ec2.describe_vpcs().send().await.expect("VPCs");
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_held_until_they_are_released() {
    let account = Account::new();
    let vpcs = || account.cloud.inventory()["vpc"].as_array().map_or(0, Vec::len);
    for (when, made) in [("before", 0), ("after", 1)] {
        account.cloud.clear_requests();
        let skip_one = json!({ "kind": "hold", "action": "CreateVpc", "skip": 1, "when": when });
        account.cloud.fault(&skip_one);
        account.vpc().await;
        let before = vpcs();
        let client = account.once();
        let held = tokio::spawn(async move {
            client.create_vpc().cidr_block("10.0.0.0/16").send().await.map(drop)
        });
        account.cloud.wait_for_held(1);
        account.cloud.wait_for_ended(&["CreateVpc"], 1);
        account.cloud.settle("CreateVpc");
        assert_eq!((vpcs(), held.is_finished()), (before + made, false), "{when}");
        account.ec2.describe_vpcs().send().await.expect("others go on");
        account.cloud.release();
        held.await.expect("no panic").expect("an answer");
        assert_eq!(vpcs(), before + 1, "{when}");
        account.vpc().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_client_has_sent_is_waited_for() {
    let account = Account::new();
    account.cloud.hold_changes();
    let client = account.once();
    let sent =
        tokio::spawn(async move { client.create_vpc().cidr_block("10.0.0.0/16").send().await });
    account.cloud.wait_for_held(1);
    sent.abort();
    assert!(sent.await.is_err(), "no caller waits for the response");
    account.cloud.release();
    account.cloud.settle("");
    assert_eq!(account.cloud.inventory()["vpc"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_client_can_be_killed_at_its_kth_mutating_call() {
    for (when, made) in [("before", 1), ("after", 2)] {
        let account = Account::new();
        let mut victim =
            Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().expect("sleep");
        account.cloud.kill_at(victim.id(), 2, when);
        let create = || account.once().create_vpc().cidr_block("10.0.0.0/16").send();
        create().await.expect("the first is let through");
        account.ec2.describe_vpcs().send().await.expect("looking does not count");
        assert!(victim.try_wait().expect("a status").is_none(), "alive until the second");
        assert!(create().await.is_err(), "a dead caller gets no response");
        let status = victim.wait().expect("a status");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
        assert_eq!(account.cloud.inventory()["vpc"].as_array().map(Vec::len), Some(made), "{when}");
    }
}

#[tokio::test]
async fn equal_worlds_have_equal_inventories() {
    let build = async || {
        let account = Account::new();
        let vpc = account.vpc().await;
        let subnet = account.subnet(&vpc).await;
        let group = account.group(&vpc, "group").await;
        let run = account.run(&subnet, "token").security_group_ids(group).send().await;
        run.expect("an instance");
        account
    };
    let (one, other) = (build().await, build().await);
    assert_eq!(one.cloud.inventory(), other.cloud.inventory());
    assert_ne!(one.cloud.ids(), other.cloud.ids());
    one.cloud.reset();
    assert_eq!(one.cloud.inventory(), json!({}));
    assert_ne!(other.cloud.inventory(), json!({}), "the other account is untouched");
    assert_eq!(one.cloud.requests().len(), 0);
}

#[tokio::test]
async fn an_empty_answer_lacks_what_there_is_and_comes_once() {
    let account = Account::new();
    account.vpc().await;
    let vpcs = async || account.ec2.describe_vpcs().send().await.expect("VPCs").vpcs().len();
    let before = vpcs().await;
    assert!(before > 0);
    account.cloud.fault(&json!({ "action": "DescribeVpcs", "kind": "empty" }));
    assert_eq!(vpcs().await, 0);
    assert_eq!(vpcs().await, before);
}

#[tokio::test]
async fn a_truncated_answer_lacks_one_and_a_stale_one_is_the_first() {
    let account = Account::new();
    let vpcs = async || account.ec2.describe_vpcs().send().await.expect("VPCs").vpcs().len();
    account.vpc().await;
    account.cloud.fault(&json!({ "kind": "keep", "mutating": false }));
    let first = vpcs().await;
    account.cloud.clear_faults();
    account.vpc().await;
    assert_eq!(vpcs().await, first + 1);
    account.cloud.fault(&json!({ "action": "DescribeVpcs", "kind": "truncate" }));
    assert_eq!(vpcs().await, first);
    account.cloud.fault(&json!({ "action": "DescribeVpcs", "kind": "stale" }));
    assert_eq!(vpcs().await, first);
    assert_eq!(vpcs().await, first + 1);
}

#[tokio::test]
async fn an_emulator_executes_dry_runs_of_changes() {
    let account = Account::new();
    let create = async || {
        account.ec2.create_vpc().cidr_block("10.9.0.0/16").dry_run(true).send().await.is_ok()
    };
    assert!(!create().await);
    account.cloud.fault(&json!({ "kind": "execute" }));
    assert!(create().await);
    let read = account.ec2.describe_vpcs().dry_run(true).send().await;
    assert_eq!(read.unwrap_err().code(), Some("DryRunOperation"));
    account.cloud.clear_faults();
    assert!(!create().await);
}

#[test]
fn a_cloud_ends_with_its_starter() {
    let cloud = Cloud::start();
    let address = cloud.endpoint().trim_start_matches("http://").to_owned();
    std::net::TcpStream::connect(&address).expect("it serves");
    drop(cloud);
    assert!(std::net::TcpStream::connect(&address).is_err(), "no server listens");
}

#[test]
fn a_cloud_ends_when_its_stdin_closes() {
    let run = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cloud/run");
    let mut child = Command::new(run)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test cloud starts");
    let mut line = String::new();
    let mut said = std::io::BufReader::new(child.stdout.take().expect("stdout"));
    std::io::BufRead::read_line(&mut said, &mut line).expect("a line");
    drop(child.stdin.take());
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().expect("a status").is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("it went on without its starter");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
