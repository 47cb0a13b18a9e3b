//! Instances, network interfaces and image copies against the test cloud, through `Provider` only.
//! Also AWS calls that belong to no kind: lookups, the sweep, and the caller identity.

mod besides;
mod machines;

use std::collections::BTreeMap;

use groundplan_aws::kinds::ami_copy::AmiCopy;
use groundplan_aws::kinds::instance::{Instance, ObjectRef, PRESIGNED_URL, UserDataSource};
use groundplan_aws::kinds::network_interface::NetworkInterface;
use groundplan_aws::model::metadata_options::{
    Authentication, HopLimit, MetadataService, Switch, metadata_options,
};
use groundplan_aws::{Aws, AwsSettings};
use groundplan_engine::graph::Address;
use groundplan_engine::provider::{
    ErrorClass, Observed, Poll, Provider, RecordedResource, Request,
};
use groundplan_engine::secret::{Secret, Secrets};
use groundplan_engine::state::fence::Fence;
use serde_json::{Value, json};

use crate::support::cloud::{self, Cloud};
use crate::support::kinds::{Bench, Contract, Place, Trial, contract, kind_contract};

const CLUSTER_TAG: &str = "kubernetes.io/cluster/demo-x7k2p";
const IMAGE: &str = "ami-0abcdef1234567890";

/// An account with the network that machines need, created without groundplan's kinds.
struct World {
    cloud: Cloud,
    aws: Aws,
    ec2: aws_sdk_ec2::Client,
    vpc: String,
    subnet: String,
    groups: [String; 2],
}

impl World {
    async fn new() -> Self {
        let cloud = cloud::shared();
        let settings = AwsSettings {
            region: cloud.region().to_owned(),
            cluster_tag: CLUSTER_TAG.to_owned(),
            ..AwsSettings::default()
        };
        let aws = Aws::new(&cloud.sdk_config(), settings).with_fence(Fence::open());
        let ec2 = aws_sdk_ec2::Client::new(&cloud.sdk_config());
        let made = ec2.create_vpc().cidr_block("10.0.0.0/16").send().await.expect("a VPC");
        let vpc = made.vpc.and_then(|vpc| vpc.vpc_id).expect("an id");
        let request = ec2.create_subnet().vpc_id(&vpc).cidr_block("10.0.0.0/20");
        let made = request.availability_zone("us-west-2a").send().await.expect("a subnet");
        let subnet = made.subnet.and_then(|subnet| subnet.subnet_id).expect("an id");
        let groups = [group(&ec2, &vpc, "one").await, group(&ec2, &vpc, "two").await];
        profile(&cloud, "demo-master").await;
        Self { cloud, aws, ec2, vpc, subnet, groups }
    }

    fn bench(&self) -> Bench<'_, Aws> {
        let mut secrets = Secrets::default();
        secrets.keep(USER_DATA.to_vec());
        secrets.keep(POINTER.as_bytes().to_vec());
        Bench::with_secrets(&self.aws, secrets)
    }

    fn interface(&self) -> Value {
        json!({
            "subnet": self.subnet,
            "groups": [self.groups[1], self.groups[0]],
            "tags": { CLUSTER_TAG: "owned", "Name": "demo-master-0" },
        })
    }

    /// Returns the inputs of a machine with its own network interface, like a master.
    fn instance(&self, interface: &RecordedResource, asked: Option<Authentication>) -> Value {
        self.machine(&json!({ "interface": interface.outputs["id"] }), asked)
    }

    /// Returns the inputs of a machine in a subnet, like the bootstrap.
    fn bootstrap(&self) -> Value {
        let groups = &self.groups;
        let network = json!({
            "subnet": { "subnet": self.subnet, "groups": groups, "public_ip": true }
        });
        self.machine(&network, Some(Authentication::Required))
    }

    fn machine(&self, network: &Value, asked: Option<Authentication>) -> Value {
        json!({
            "image": IMAGE,
            "instance_type": "m6i.xlarge",
            "profile": "demo-master",
            "network": network,
            "root_volume": {
                "device": "/dev/xvda", "volume_type": "gp3", "size": 120, "iops": null,
                "kms_key": null,
            },
            "user_data": { "content": Secret::of(USER_DATA), "presigned": null },
            "metadata_options": metadata_options(asked),
            "tags": { CLUSTER_TAG: "owned", "Name": "demo-master-0" },
            "volume_tags": { CLUSTER_TAG: "owned", "Name": "demo-master-0-vol" },
        })
    }

    fn request(&self, address: &str, inputs: &Value) -> Request {
        let mut secrets = Secrets::default();
        secrets.keep(USER_DATA.to_vec());
        secrets.keep(POINTER.as_bytes().to_vec());
        Request {
            address: address.into(),
            token: format!("gp-{address}-1"),
            inputs: inputs.clone(),
            secrets: secrets.into(),
            revert: Vec::new(),
        }
    }

    /// Returns the parameters of all calls of this action.
    fn sent(&self, action: &str) -> Vec<Value> {
        let calls = self.cloud.requests().into_iter().filter(|call| call["action"] == action);
        calls.map(|mut call| call["params"].take()).collect()
    }

    async fn described(&self, id: &Value) -> aws_sdk_ec2::types::Instance {
        let id = id.as_str().expect("an id");
        let answer = self.ec2.describe_instances().instance_ids(id).send().await;
        answer.expect("instances").reservations()[0].instances()[0].clone()
    }

    async fn user_data(&self, id: &Value) -> String {
        use base64::Engine;
        let id = id.as_str().expect("an id");
        let request = self.ec2.describe_instance_attribute().instance_id(id);
        let answer = request.attribute("userData".into()).send().await.expect("user data");
        let text = answer.user_data.and_then(|data| data.value).expect("a value");
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
        String::from_utf8(bytes).expect("a text")
    }
}

const USER_DATA: &[u8] = br#"{"ignition":{"version":"3.2.0"},"canary":true}"#;
const POINTER: &str = r#"{"ignition":{"config":{"replace":{"source":"@presigned-url@"}}}}"#;

async fn group(ec2: &aws_sdk_ec2::Client, vpc: &str, name: &str) -> String {
    let request = ec2.create_security_group().vpc_id(vpc).group_name(name).description("test");
    request.send().await.expect("a group").group_id.expect("an id")
}

async fn profile(cloud: &Cloud, name: &str) {
    let iam = aws_sdk_iam::Client::new(&cloud.sdk_config());
    let policy = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let role = iam.create_role().role_name(name).assume_role_policy_document(policy);
    role.send().await.expect("a role");
    let profile = iam.create_instance_profile().instance_profile_name(name);
    profile.send().await.expect("a profile");
    let both = iam.add_role_to_instance_profile().instance_profile_name(name).role_name(name);
    both.send().await.expect("a profile with a role");
}

impl Place for World {
    fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    fn kinds(&self) -> Bench<'_, Aws> {
        self.bench()
    }
}

kind_contract! {
    async fn a_network_interface_keeps_its_promises(world = World::new().await) -> NetworkInterface {
        let inputs = world.interface();
        let mut regrouped = inputs.clone();
        regrouped["groups"] = json!([world.groups[0]]);
        let mut retagged = regrouped.clone();
        retagged["tags"] = json!({ CLUSTER_TAG: "owned", "Name": "other" });
        (inputs, [regrouped, retagged])
    }
}

impl Contract for Instance {}

#[tokio::test]
async fn an_instance_keeps_its_promises() {
    let world = World::new().await;
    for (delay, seconds) in [
        ("instance_pending", 0.3),
        ("metadata_options_pending", 0.2),
        ("instance_shutting_down", 0.3),
    ] {
        world.cloud.delay(delay, seconds);
    }
    let bench = world.bench();
    let interface = bench.make("network_interface.master-0", &world.interface()).await;
    let inputs = world.instance(&interface, Some(Authentication::Optional));
    let required = world.instance(&interface, Some(Authentication::Required));
    let mut retagged = required.clone();
    retagged["tags"] = json!({ CLUSTER_TAG: "owned", "team": "a" });
    retagged["volume_tags"] = json!({ CLUSTER_TAG: "owned", "team": "a" });
    contract::<Instance>(&world, &inputs, &[required, retagged]).await;
    // The network interface outlives the machine.
    assert!(matches!(bench.refresh(&interface).await, Observed::Present { .. }));
    bench.unmake(&interface).await;
}

#[tokio::test]
async fn a_bootstrap_machine_keeps_its_promises() {
    let world = World::new().await;
    let inputs = world.bootstrap();
    world
        .bench()
        .keeps_its_promises(Trial { address: "instance.bootstrap", inputs, changes: vec![] })
        .await;
    let sent = &world.sent("RunInstances")[0];
    assert_eq!(sent["NetworkInterface.1.AssociatePublicIpAddress"], "true", "{sent:#}");
}

impl Contract for AmiCopy {}

#[tokio::test]
async fn an_image_copy_keeps_its_promises() {
    let world = World::new().await;
    world.cloud.delay("image_pending", 0.3);
    let inputs = json!({
        "source": "ami-0abcdef1234567892",
        "source_region": "us-east-1",
        "name": "demo-x7k2p-master",
        "tags": { CLUSTER_TAG: "owned", "Name": "demo-x7k2p-ami-us-west-2" },
    });
    let mut retagged = inputs.clone();
    retagged["tags"]["Name"] = json!("other");
    contract::<AmiCopy>(&world, &inputs, &[retagged]).await;
    let sent = &world.sent("CopyImage")[0];
    assert_eq!(sent["Encrypted"], "true", "{sent:#}");
    let ids = world.cloud.ids();
    for kind in ["image", "snapshot"] {
        assert_eq!(ids[kind], Value::Null, "{kind}: {ids:#}");
    }
}

#[tokio::test]
async fn a_launch_says_of_metadata_options_what_it_was_asked_and_nothing_else() {
    let world = World::new().await;
    for (name, asked, expected) in [
        ("instance.a", Some(Authentication::Required), Some("required")),
        ("instance.b", Some(Authentication::Optional), Some("optional")),
        ("instance.c", None, None),
    ] {
        let mut inputs = world.bootstrap();
        inputs["metadata_options"] = json!(metadata_options(asked));
        world.cloud.clear_requests();
        let made = world.bench().make(name, &inputs).await;
        let sent = world.sent("RunInstances");
        assert_eq!(sent.len(), 1);
        let options: Vec<_> = sent[0]
            .as_object()
            .expect("parameters")
            .iter()
            .filter(|(key, _)| key.starts_with("MetadataOptions"))
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let expected: Vec<_> = expected
            .map(|tokens| ("MetadataOptions.HttpTokens", Some(tokens)))
            .into_iter()
            .collect();
        assert_eq!(options, expected, "{asked:?}");
        assert_eq!(world.user_data(&made.outputs["id"]).await.as_bytes(), USER_DATA);
    }
}

#[tokio::test]
async fn from_optional_to_required_is_one_call_and_nothing_else_moves() {
    let world = World::new().await;
    let bench = world.bench();
    let interface = bench.make("network_interface.master-0", &world.interface()).await;
    let before = world.instance(&interface, Some(Authentication::Optional));
    let made = bench.make("instance.master-0", &before).await;
    let id = made.outputs["id"].as_str().expect("an id").to_owned();
    let by_hand = world.ec2.modify_instance_metadata_options().instance_id(&id);
    let by_hand = by_hand.http_put_response_hop_limit(3).http_tokens("optional".into());
    by_hand.send().await.expect("another hop limit");

    world.cloud.clear_requests();
    let after = world.instance(&interface, Some(Authentication::Required));
    bench.change(made, &after).await;

    assert_eq!(world.cloud.calls("ModifyInstanceMetadataOptions"), 1);
    assert_eq!(world.cloud.mutating_calls(), 1, "{:#?}", world.cloud.requests());
    let live = world.described(&json!(id)).await;
    let options = live.metadata_options().expect("options");
    assert_eq!(
        options.http_tokens().map(aws_sdk_ec2::types::HttpTokensState::as_str),
        Some("required")
    );
    assert_eq!(options.http_put_response_hop_limit(), Some(3));
    assert_eq!(
        options.http_endpoint().map(aws_sdk_ec2::types::InstanceMetadataEndpointState::as_str),
        Some("enabled")
    );
}

/// Returns the metadata options in the only call of this action, by name.
fn options_sent(world: &World, action: &str) -> BTreeMap<String, String> {
    let sent = world.sent(action);
    assert_eq!(sent.len(), 1, "{sent:#?}");
    let parameters = sent[0].as_object().expect("parameters").iter();
    let options = parameters.filter_map(|(name, value)| {
        let name = name.strip_prefix("MetadataOptions.").unwrap_or(name);
        let is_option = name.starts_with("Http") || name == "InstanceMetadataTags";
        is_option.then(|| (name.to_owned(), value.as_str().unwrap_or_default().to_owned()))
    });
    options.collect()
}

fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn c68_another_hop_limit_is_one_call_that_says_everything_as_it_is() {
    let world = World::new().await;
    let bench = world.bench();
    let made = bench.make("instance.bootstrap", &world.bootstrap()).await;
    let id = made.outputs["id"].as_str().expect("an id").to_owned();
    let by_hand = world.ec2.modify_instance_metadata_options().instance_id(&id);
    by_hand.http_protocol_ipv6("enabled".into()).send().await.expect("another protocol");
    let mut wanted = world.bootstrap();
    wanted["metadata_options"] = json!(metadata_options(MetadataService {
        authentication: Some(Authentication::Required),
        hop_limit: HopLimit::new(2),
        ..MetadataService::default()
    }));
    world.cloud.clear_requests();
    let made = bench.change(made, &wanted).await;
    assert_eq!(world.cloud.mutating_calls(), 1, "{:#?}", world.cloud.requests());
    let expected = options(&[
        ("HttpTokens", "required"),
        ("HttpEndpoint", "enabled"),
        ("HttpPutResponseHopLimit", "2"),
        ("HttpProtocolIpv6", "enabled"),
        ("InstanceMetadataTags", "disabled"),
    ]);
    assert_eq!(options_sent(&world, "ModifyInstanceMetadataOptions"), expected);
    world.cloud.clear_requests();
    bench.change(made, &wanted).await;
    assert_eq!(world.cloud.mutating_calls(), 0, "{:#?}", world.cloud.requests());
}

#[tokio::test]
async fn c71_a_launch_says_each_setting_and_of_a_service_that_is_off_nothing_else() {
    let world = World::new().await;
    let all = MetadataService {
        authentication: Some(Authentication::Required),
        endpoint: Some(Switch::Enabled),
        hop_limit: HopLimit::new(64),
        instance_tags: Some(Switch::Disabled),
    };
    let off = MetadataService { endpoint: Some(Switch::Disabled), ..all };
    let everything = [
        ("HttpTokens", "required"),
        ("HttpEndpoint", "enabled"),
        ("HttpPutResponseHopLimit", "64"),
        ("InstanceMetadataTags", "disabled"),
    ];
    for (name, asked, expected) in
        [("instance.a", all, &everything[..]), ("instance.b", off, &[("HttpEndpoint", "disabled")])]
    {
        let mut inputs = world.bootstrap();
        inputs["metadata_options"] = json!(metadata_options(asked));
        world.cloud.clear_requests();
        let made = world.bench().make(name, &inputs).await;
        assert_eq!(options_sent(&world, "RunInstances"), options(expected), "{name}");
        world.bench().is_as_recorded(&made).await;
    }
}

#[tokio::test]
async fn tokens_made_optional_by_hand_are_seen_and_put_right() {
    let world = World::new().await;
    let bench = world.bench();
    let made = bench.make("instance.bootstrap", &world.bootstrap()).await;
    let id = made.outputs["id"].as_str().expect("an id");
    let by_hand = world.ec2.modify_instance_metadata_options().instance_id(id);
    by_hand.http_tokens("optional".into()).send().await.expect("drift");
    let Observed::Present { inputs, .. } = bench.refresh(&made).await else {
        panic!("it is there");
    };
    assert_eq!(inputs["metadata_options"]["http_tokens"], "optional");
    let drifted = RecordedResource { inputs, ..made };
    let mended = bench.change(drifted, &world.bootstrap()).await;
    bench.is_as_recorded(&mended).await;
}

#[tokio::test]
async fn c69_nothing_is_ready_before_its_metadata_options_apply() {
    let world = World::new().await;
    let bench = world.bench();
    let made = bench.make("instance.bootstrap", &world.bootstrap()).await;
    world.cloud.delay("metadata_options_pending", 600.0);
    let mut wanted = world.bootstrap();
    wanted["metadata_options"] = json!(metadata_options(Some(Authentication::Optional)));
    let request = world.request("instance.bootstrap", &wanted);
    world.aws.update(request, made.clone()).await.expect("an update");
    let looks = world.aws.ready("instance".to_owned(), vec![made]).await.expect("a look");
    assert_eq!(looks, [Poll::Pending("applying metadata options".to_owned())]);
}

#[tokio::test]
async fn a_lost_answer_launches_nothing_twice() {
    let world = World::new().await;
    for kind in ["drop", "error"] {
        let fault = json!({ "action": "RunInstances", "when": "after", "kind": kind, "times": 9 });
        world.cloud.fault(&fault);
        let address = format!("instance.lost-{kind}");
        let request = world.request(&address, &world.bootstrap());
        let error = world.aws.create(request.clone()).await.expect_err("a lost answer");
        assert_eq!(error.class, ErrorClass::Ambiguous, "{error:?}");
        world.cloud.clear_faults();
        let found = world.aws.find(request.clone()).await.expect("a look").expect("it was made");
        let again = world.aws.create(request).await.expect("the same launch");
        assert_eq!(found, again);
    }
    assert_eq!(world.cloud.ids()["instance"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_pointer_to_the_ignition_is_signed_at_launch_and_its_second_launch_is_known_for_one() {
    let world = World::new().await;
    let mut inputs = world.bootstrap();
    inputs["user_data"] = json!(UserDataSource {
        content: Secret::of(POINTER.as_bytes()),
        presigned: Some(ObjectRef {
            bucket: groundplan_aws::model::ids::BucketName::from("demo-bootstrap").into(),
            key: "bootstrap.ign".to_owned(),
        }),
    });
    let request = world.request("instance.bootstrap", &inputs);
    let made = world.aws.create(request.clone()).await.expect("an instance");
    let text = world.user_data(&made["id"]).await;
    assert!(!text.contains(PRESIGNED_URL), "{text}");
    let source = serde_json::from_str::<Value>(&text).expect("JSON")["ignition"]["config"]
        ["replace"]["source"]
        .as_str()
        .expect("a URL")
        .to_owned();
    assert!(source.starts_with(world.cloud.endpoint()), "{source}");
    assert!(source.contains("/demo-bootstrap/bootstrap.ign?"), "{source}");
    assert!(source.contains("X-Amz-Expires=3600"), "{source}");

    // The presigned URL differs each second, so AWS sees other parameters with the same token.
    let second = || std::time::UNIX_EPOCH.elapsed().expect("a time").as_secs();
    let signed = second();
    while second() == signed {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let again = world.aws.create(request.clone()).await.expect("the instance of the token");
    assert_eq!(again["id"], made["id"]);
    assert_eq!(world.aws.find(request).await.expect("a look"), Some(made));
    assert_eq!(world.cloud.ids()["instance"].as_array().map(Vec::len), Some(1));
}

/// Case A9 at the provider. The tests of the engine cover its reaction.
#[tokio::test]
async fn a_token_whose_machine_was_terminated_is_spent() {
    let world = World::new().await;
    let request = world.request("instance.bootstrap", &world.bootstrap());
    let first = world.aws.create(request.clone()).await.expect("an instance");
    let id = first["id"].as_str().expect("an id");
    world.ec2.terminate_instances().instance_ids(id).send().await.expect("terminated");
    assert_eq!(world.aws.find(request.clone()).await.expect("a look"), None);
    let again = world.aws.create(request).await.expect_err("the token is used up");
    assert_eq!(
        (again.class, again.code.as_deref()),
        (ErrorClass::TokenConsumed, Some("IdempotentInstanceTerminated"))
    );
    assert_eq!(world.cloud.calls("RunInstances"), 2);
}

#[tokio::test]
async fn a_machine_that_was_terminated_never_becomes_ready() {
    let world = World::new().await;
    let made = world.bench().make("instance.bootstrap", &world.bootstrap()).await;
    let id = made.outputs["id"].as_str().expect("an id");
    world.ec2.terminate_instances().instance_ids(id).send().await.expect("terminated");
    let looks = world.aws.ready("instance".to_owned(), vec![made.clone()]).await.expect("a look");
    let [Poll::Failed(error)] = looks.as_slice() else { panic!("{looks:?}") };
    assert_eq!(error.class, ErrorClass::Permanent);
    assert!(error.message.contains(id), "{error}");
}

#[tokio::test]
async fn r1_many_machines_are_observed_with_one_call() {
    let world = World::new().await;
    let bench = world.bench();
    let mut known = Vec::new();
    for name in ["instance.a", "instance.b", "instance.c"] {
        known.push(bench.make(name, &world.bootstrap()).await);
    }
    let gone = bench.make("instance.gone", &world.bootstrap()).await;
    world.cloud.clear_requests();
    let observed = world.aws.refresh("instance".to_owned(), known.clone()).await.expect("a look");
    let calls: Vec<_> = world.cloud.requests().iter().map(|call| call["action"].clone()).collect();
    assert_eq!(calls, ["DescribeInstances"]);
    for (known, observed) in known.iter().zip(observed) {
        let Observed::Present { inputs, outputs, .. } = observed else { panic!("{known:?}") };
        assert_eq!(outputs, known.outputs);
        // Recorded values: volumes are not refreshed, because users grow them by hand.
        assert_eq!(inputs["root_volume"], known.inputs["root_volume"]);
        assert_eq!(inputs["user_data"], known.inputs["user_data"]);
        assert_eq!(inputs["image"], IMAGE);
    }
    bench.unmake(&gone).await;
    assert_eq!(bench.refresh(&gone).await, Observed::Missing);
}

#[tokio::test]
async fn an_interface_in_use_is_deleted_later() {
    let world = World::new().await;
    let bench = world.bench();
    let interface = bench.make("network_interface.master-0", &world.interface()).await;
    let inputs = world.instance(&interface, None);
    let machine = bench.make("instance.master-0", &inputs).await;
    let error = world.aws.delete(interface.clone()).await.expect_err("in use");
    assert_eq!(error.class, ErrorClass::Retryable, "{error:?}");
    bench.unmake(&machine).await;
    bench.unmake(&interface).await;
}

#[tokio::test]
async fn a_profile_not_visible_yet_is_worth_another_try() {
    let world = World::new().await;
    world.cloud.delay("instance_profile_visible", 600.0);
    profile(&world.cloud, "new").await;
    let mut inputs = world.bootstrap();
    inputs["profile"] = json!("new");
    let error =
        world.aws.create(world.request("instance.a", &inputs)).await.expect_err("too early");
    assert_eq!(error.class, ErrorClass::Retryable, "{error:?}");
    assert!(error.after.is_some());
}

#[tokio::test]
async fn what_is_not_at_hand_or_too_long_is_refused_before_it_is_sent() {
    let world = World::new().await;
    let mut unknown = world.bootstrap();
    unknown["user_data"]["content"] = json!(Secret::of(b"another"));
    let mut request = world.request("instance.a", &unknown);
    let error = world.aws.create(request.clone()).await.expect_err("no user data");
    assert_eq!(error.class, ErrorClass::Permanent);

    let mut secrets = Secrets::default();
    let long = secrets.keep(vec![b'x'; 16 * 1024 + 1]);
    unknown["user_data"]["content"] = json!(long);
    (request.inputs, request.secrets) = (unknown, secrets.into());
    let error = world.aws.create(request).await.expect_err("too long");
    assert!(error.message.contains("16385"), "{error}");
    assert_eq!(world.cloud.calls("RunInstances"), 0);
}

#[tokio::test]
async fn an_unknown_kind_is_refused_and_not_a_panic() {
    let world = World::new().await;
    let known = RecordedResource {
        address: Address::from("teapot.main"),
        token: "gp-1".to_owned(),
        inputs: json!({}),
        outputs: json!({}),
    };
    let error = world.aws.delete(known).await.expect_err("no such kind");
    assert_eq!(error.class, ErrorClass::Permanent);
    assert!(error.message.contains("teapot"), "{error}");
}
