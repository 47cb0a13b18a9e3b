//! Masters and bootstrap: placement, image, user data and metadata options.

use groundplan_aws::kinds::instance::PRESIGNED_URL;
use groundplan_aws::kinds::machine::ConfidentialCompute;
use groundplan_aws::model::metadata_options::Authentication;
use groundplan_engine::graph::{Address, Graph};
use groundplan_engine::secret::Secret;
use groundplan_engine::state::{Entry, RecordStatus, State};
use serde_json::{Value, json};

use super::*;
use crate::test_support::example_cluster::{ExampleCluster, image};
use crate::topology::lookups::ImageFact;
use crate::topology::{Assets, CompileError, Layout, RecordedIgnition, RecordedImage, Stream};

#[test]
fn the_bootstrap_asks_for_tokens_as_the_masters_do() {
    for (authentication, wanted) in [
        (Some(Authentication::Required), json!("required")),
        (Some(Authentication::Optional), json!("optional")),
        (None, Value::Null),
    ] {
        let mut world = ExampleCluster::standard();
        world.config.control_plane.aws.metadata_service.authentication = authentication;
        // Settings of workers have no effect on these machines.
        world.config.compute[0].aws.metadata_service.authentication =
            Some(Authentication::Optional);
        let graph = world.graph();
        let machines = named(&graph, "instance");
        assert_eq!(machines, ["master-0", "master-1", "master-2", "bootstrap"]);
        for machine in machines {
            let options = &inputs(&graph, &format!("instance.{machine}"))["metadata_options"];
            assert_eq!(options["http_tokens"], wanted, "{machine}");
            let others = options.as_object().unwrap().values().filter(|value| !value.is_null());
            assert_eq!(others.count(), usize::from(!wanted.is_null()), "{machine}: {options}");
        }
    }
}

#[test]
fn masters_stand_on_interfaces_of_their_own_in_their_zones() {
    let graph = ExampleCluster::standard().graph();
    let interface = inputs(&graph, "network_interface.master-1");
    assert_eq!(interface["subnet"], reference("subnet.private-us-west-2b", "id"));
    assert_eq!(interface["groups"], json!([reference("security_group.master", "id")]));
    let master = inputs(&graph, "instance.master-1");
    assert_eq!(
        master["network"],
        json!({"interface": reference("network_interface.master-1", "id")})
    );
    assert_eq!(master["image"], "ami-0demo");
    assert_eq!(master["profile"], reference("iam_instance_profile.master", "name"));
    assert_eq!(master["tags"]["Name"], "demo-x7k2p-master-1");
    assert_eq!(master["volume_tags"]["Name"], "demo-x7k2p-master-1-vol");
    assert_eq!(
        master["root_volume"],
        json!({"device": "/dev/xvda", "volume_type": "gp3", "size": 120, "iops": null,
               "kms_key": null})
    );
}

#[test]
fn the_bootstrap_stands_in_the_first_public_subnet() {
    let graph = ExampleCluster::standard().graph();
    let bootstrap = inputs(&graph, "instance.bootstrap");
    assert_eq!(
        bootstrap["network"]["subnet"],
        json!({
            "subnet": reference("subnet.public-us-west-2a", "id"),
            "groups": [reference("security_group.master", "id"),
                       reference("security_group.bootstrap", "id")],
            "public_ip": true,
        })
    );
    assert_eq!(bootstrap["profile"], reference("iam_instance_profile.bootstrap", "name"));
    assert_eq!(bootstrap["root_volume"]["volume_type"], "gp2");
    assert_eq!(bootstrap["root_volume"]["size"], 30);
    assert_eq!(bootstrap["volume_tags"]["Name"], "demo-x7k2p-bootstrap-vol");
    assert_eq!(
        bootstrap["user_data"]["presigned"],
        json!({"bucket": reference("s3_bucket.bootstrap", "name"), "key": "bootstrap.ign"})
    );
}

#[test]
fn root_volumes_are_the_pools_and_the_bootstrap_shares_only_the_key() {
    let mut world = ExampleCluster::standard();
    let volume = &mut world.config.control_plane.aws.root_volume;
    volume.volume_type = "io1".into();
    volume.size = 500;
    volume.iops = Some(4000);
    volume.kms_key = Some("arn:aws:kms:us-west-2:1:key/k".into());
    let graph = world.graph();
    assert_eq!(
        inputs(&graph, "instance.master-2")["root_volume"],
        json!({"device": "/dev/xvda", "volume_type": "io1", "size": 500, "iops": 4000,
               "kms_key": "arn:aws:kms:us-west-2:1:key/k"})
    );
    assert_eq!(
        inputs(&graph, "instance.bootstrap")["root_volume"],
        json!({"device": "/dev/xvda", "volume_type": "gp2", "size": 30, "iops": null,
               "kms_key": "arn:aws:kms:us-west-2:1:key/k"})
    );
}

#[test]
fn throughput_and_memory_encryption_are_the_masters_alone() {
    let mut world = ExampleCluster::standard();
    world.config.control_plane.aws.root_volume.throughput = Some(250);
    world.config.control_plane.aws.confidential_compute = Some(ConfidentialCompute::AmdSevSnp);
    let graph = world.graph();
    let master = inputs(&graph, "instance.master-2");
    assert_eq!(master["root_volume"]["throughput"], 250);
    assert_eq!(master["confidential_compute"], "amd_sev_snp");
    let bootstrap = inputs(&graph, "instance.bootstrap");
    assert_eq!(bootstrap["root_volume"].get("throughput"), None);
    assert_eq!(bootstrap.get("confidential_compute"), None);
}

#[test]
fn every_machine_is_registered_in_every_group() {
    let graph = ExampleCluster::standard().graph();
    let mut wanted = Vec::new();
    for machine in ["master-0", "master-1", "master-2", "bootstrap"] {
        wanted.extend(["aint", "sint", "aext"].map(|group| format!("{machine}-{group}")));
    }
    assert_eq!(named(&graph, "target"), wanted);
    assert_eq!(
        inputs(&graph, "target.master-2-sint"),
        &json!({"target_group": reference("target_group.sint", "arn"),
                "ip": reference("network_interface.master-2", "private_ip"), "port": 22623})
    );
}

#[test]
fn masters_take_turns_in_their_zones() {
    let mut world = ExampleCluster::standard();
    world.config.control_plane.replicas = 5;
    world.config.control_plane.aws.zones = vec!["us-west-2b".into(), "us-west-2a".into()];
    let graph = world.graph();
    let zone = |index: usize| {
        let interface = inputs(&graph, &format!("network_interface.master-{index}"));
        interface["subnet"]["$ref"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        [0, 1, 2, 3, 4].map(zone),
        ["b", "a", "b", "a", "b"].map(|zone| { format!("subnet.private-us-west-2{zone}") })
    );
}

#[test]
fn types_nobody_chose_are_the_first_that_every_zone_offers() {
    let mut world = ExampleCluster::standard();
    let instance_type = |world: &ExampleCluster| {
        let Ok(compiled) = world.compile() else { panic!("{:?}", world.compile().err()) };
        let master = inputs(&compiled.graph, "instance.master-0")["instance_type"].clone();
        (master.as_str().unwrap().to_owned(), compiled.warnings.len())
    };
    assert_eq!(instance_type(&world), ("m6i.xlarge".into(), 1));
    world.cloud.not_offered.insert("m6i.xlarge".into(), ["us-west-2c".into()].into());
    assert_eq!(instance_type(&world), ("m5.xlarge".into(), 1));
    world.config.control_plane.aws.zones = vec!["us-west-2a".into()];
    assert_eq!(instance_type(&world), ("m6i.xlarge".into(), 1), "c is not one of its zones");
    world.config.control_plane.architecture = crate::install_config::Architecture::Arm64;
    assert_eq!(instance_type(&world).0, "m6g.xlarge");
    world.config.control_plane.aws.instance_type = Some("m5.metal".into());
    assert_eq!(instance_type(&world).0, "m5.metal");
}

#[test]
fn a_type_that_no_zone_list_offers_whole_is_used_with_a_warning() {
    let mut world = ExampleCluster::standard();
    let families = ["m6i.xlarge", "m5.xlarge", "r5.xlarge", "c5.2xlarge", "m5.2xlarge"];
    for name in families.into_iter().chain(["c5d.2xlarge", "r5.2xlarge"]) {
        world.cloud.not_offered.insert(name.into(), ["us-west-2b".into()].into());
    }
    let compiled = world.compile().unwrap();
    let warned = compiled.warnings.iter().filter(|text| text.contains("platform.aws.type"));
    assert_eq!(warned.count(), 2, "one per pool");
    assert_eq!(inputs(&compiled.graph, "instance.master-0")["instance_type"], "m6i.xlarge");
    let zones = named(&compiled.graph, "nat_gateway");
    assert_eq!(zones, ["us-west-2a", "us-west-2c"], "the zone without it is left out");
}

#[test]
fn a_type_offered_nowhere_leaves_no_zone() {
    let mut world = ExampleCluster::standard();
    world.config.compute[0].aws.instance_type = Some("x9.huge".into());
    world.cloud.not_offered.insert("x9.huge".into(), world.cloud.zones.iter().cloned().collect());
    let error = world.refusal();
    assert_eq!(error.field().unwrap(), "compute[0].platform.aws.zones");
    assert!(error.to_string().contains("x9.huge"), "{error}");
}

const STREAM: &str = r#"{"architectures": {
    "x86_64": {"images": {"aws": {"regions": {
        "us-east-1": {"image": "ami-0east"}, "us-west-2": {"image": "ami-0west"}}}}},
    "aarch64": {"images": {"aws": {"regions": {"us-west-2": {"image": "ami-0arm"}}}}}}}"#;

fn streamed() -> ExampleCluster {
    let mut world = ExampleCluster::standard();
    world.config.aws.ami_id = None;
    world.config.control_plane.aws.ami_id = None;
    world.options.stream = Some(Stream::parse(STREAM.as_bytes()).unwrap());
    for id in ["ami-0east", "ami-0west", "ami-0arm"] {
        let image = ImageFact { root_device: "/dev/sda1".into(), ..image() };
        world.cloud.images.insert(id.into(), image);
    }
    world
}

#[test]
fn without_an_image_in_the_config_the_streams_is_booted() {
    let mut world = streamed();
    let master = inputs(&world.graph(), "instance.master-0").clone();
    assert_eq!(master["image"], "ami-0west");
    assert_eq!(master["root_volume"]["device"], "/dev/sda1");
    world.config.control_plane.architecture = crate::install_config::Architecture::Arm64;
    assert_eq!(inputs(&world.graph(), "instance.bootstrap")["image"], "ami-0arm");
}

/// A stream whose images have an operating system.
fn stream_of(release: &str) -> Stream {
    let regions = json!({"us-west-2": {"release": release, "image": "ami-0west"}});
    let images = json!({"x86_64": {"images": {"aws": {"regions": regions}}}});
    Stream::parse(json!({"architectures": images}).to_string().as_bytes()).unwrap()
}

#[test]
fn a_stream_of_another_operating_system_than_the_clusters_is_refused() {
    const RHEL_9: &str = "9.8.20260428-0";
    const RHEL_10: &str = "10.2.20260423-0";
    let [older, _, newest] = Layout::ALL;
    for (layout, named, release, wanted) in [
        (newest, None, RHEL_10, None),
        (newest, None, RHEL_9, Some("rhel-10")),
        (newest, Some("rhel-9"), RHEL_9, None),
        (newest, Some("rhel-9"), RHEL_10, Some("rhel-9")),
        (newest, Some("rhel-10"), RHEL_10, None),
        (older, None, RHEL_9, None),
        (older, None, "412.86.202402272018-0", None),
        (older, None, RHEL_10, Some("rhel-9")),
        (newest, None, "of-unknown-form", None),
    ] {
        let mut world = streamed();
        world.options.layout = layout;
        world.options.stream = Some(stream_of(release));
        world.config.os_image_stream = named.map(str::to_owned);
        let Some(wanted) = wanted else {
            let graph = world.graph();
            assert_eq!(inputs(&graph, "instance.master-0")["image"], "ami-0west", "{release}");
            continue;
        };
        let error = world.refusal();
        let CompileError::OtherStream { found, wanted: of_cluster, is_named } = &error else {
            panic!("{release}: {error:?}")
        };
        assert_ne!(found, of_cluster);
        assert_eq!((of_cluster.as_str(), *is_named), (wanted, named.is_some()));
        assert_eq!(error.field().unwrap(), "osImageStream");
        assert!(error.hint().unwrap().contains(&format!("--stream {wanted}")), "{error:?}");
        // An image of the config does not come from the stream.
        world.config.control_plane.aws.ami_id = Some("ami-0west".into());
        assert_eq!(inputs(&world.graph(), "instance.master-0")["image"], "ami-0west");
    }
}

#[test]
fn a_region_without_an_image_gets_a_copy_of_the_one_in_us_east_1() {
    let mut world = streamed();
    world.move_to("ap-south-2");
    let graph = world.graph();
    let copy = inputs(&graph, "ami_copy.rhcos");
    assert_eq!(
        (&copy["source"], &copy["source_region"]),
        (&json!("ami-0east"), &json!("us-east-1"))
    );
    assert_eq!(copy["name"], "demo-x7k2p-master");
    assert_eq!(copy["tags"]["Name"], "demo-x7k2p-ami-ap-south-2");
    assert_eq!(copy["tags"]["sourceAMI"], "ami-0east");
    assert_eq!(copy["tags"]["sourceRegion"], "us-east-1");
    for machine in ["instance.master-0", "instance.bootstrap"] {
        assert_eq!(inputs(&graph, machine)["image"], reference("ami_copy.rhcos", "id"));
    }
}

#[test]
fn without_a_stream_later_runs_boot_the_image_of_the_recorded_masters() {
    for region in ["us-west-2", "ap-south-2"] {
        let mut world = streamed();
        world.move_to(region);
        let given = world.graph();
        let mut state = recorded(&given, false, &["instance.master-1"]);
        state.cluster = Some(world.cluster.clone());
        world.options.stream = None;
        assert_eq!(world.refusal(), CompileError::NoImage);
        world.options.recorded_image = RecordedImage::of(&state);
        assert_eq!(world.graph().nodes(), given.nodes(), "{region}");
        let mut other = world.config.clone();
        other.control_plane.aws.ami_id = Some("ami-0west".into());
        world.config = other;
        let graph = world.graph();
        assert_eq!(inputs(&graph, "instance.master-0")["image"], "ami-0west", "the config counts");
    }
    assert!(RecordedImage::of(&State::default()).is_none());
}

#[test]
fn an_image_that_one_master_got_by_a_replacement_is_the_image_of_later_ones() {
    let mut world = streamed();
    let mut state = recorded(&world.graph(), false, &[]);
    state.cluster = Some(world.cluster.clone());
    let record = state.resources.get_mut(&Address::from("instance.master-1")).unwrap();
    record.generation = 2;
    record.inputs["image"] = json!("ami-0east");
    world.options.stream = None;
    world.options.recorded_image = RecordedImage::of(&state);
    assert_eq!(inputs(&world.graph(), "instance.master-0")["image"], "ami-0east");
}

#[test]
fn an_image_is_not_copied_into_another_partition() {
    let mut world = streamed();
    world.move_to("us-gov-west-1");
    let error = world.refusal();
    assert_eq!(error, CompileError::NotInStream { region: "us-gov-west-1".into() });
    assert_eq!(error.field().unwrap(), "platform.aws.amiID");
    world.options.stream = None;
    assert_eq!(world.refusal(), CompileError::NoImage);
}

#[test]
fn without_assets_a_warning_says_that_no_cluster_will_form() {
    let world = ExampleCluster::standard();
    let compiled = world.compile().unwrap();
    assert!(compiled.warnings[0].contains("no cluster will form"), "{:?}", compiled.warnings);
    let told = |address: &str, field: &str| {
        let secret: Secret =
            serde_json::from_value(inputs(&compiled.graph, address)[field].clone()).unwrap();
        let content = compiled.graph.secrets().reveal(&secret).unwrap();
        String::from_utf8(content.to_vec()).unwrap()
    };
    assert_eq!(told("s3_object.bootstrap", "content"), r#"{"ignition":{"version":"3.2.0"}}"#);
    let user_data = &inputs(&compiled.graph, "instance.bootstrap")["user_data"]["content"];
    let secret: Secret = serde_json::from_value(user_data.clone()).unwrap();
    let stub = compiled.graph.secrets().reveal(&secret).unwrap();
    assert!(String::from_utf8_lossy(stub).contains(PRESIGNED_URL));
}

fn with_assets(world: &mut ExampleCluster, master: &str) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let ignition =
        |canary: &str| format!(r#"{{"ignition": {{"version": "3.2.0"}}, "c": "{canary}"}}"#);
    write("bootstrap.ign", &ignition("canary-bootstrap"));
    write("master.ign", &ignition(master));
    write("worker.ign", &ignition("canary-worker"));
    let metadata = json!({
        "clusterName": world.cluster.name,
        "clusterID": world.cluster.cluster_id,
        "infraID": world.cluster.infra_id,
        "aws": {"region": world.cluster.region},
    });
    write("metadata.json", &metadata.to_string());
    world.assets = Assets::read(folder.path()).unwrap();
}

#[test]
fn no_secret_is_in_the_inputs_of_anything() {
    let mut world = ExampleCluster::standard();
    with_assets(&mut world, "canary-master");
    world.config.pull_secret = "canary-pull".into();
    world.config.ssh_key = Some("canary-ssh".into());
    world.config.proxy = Some(crate::install_config::Proxy {
        http: Some("http://u:canary-proxy@proxy".into()),
        https: None,
        no_proxy: None,
    });
    let compiled = world.compile().unwrap();
    assert_eq!(compiled.warnings, Vec::<String>::new());
    let graph = &compiled.graph;
    let written = serde_json::to_string(graph.nodes()).unwrap() + &format!("{compiled:?}");
    assert!(!written.contains("canary"), "{written}");
    let reveal = |secret: &Value| {
        let secret: Secret = serde_json::from_value(secret.clone()).unwrap();
        String::from_utf8(graph.secrets().reveal(&secret).unwrap().to_vec()).unwrap()
    };
    let user_data = |machine: &str| {
        reveal(&inputs(graph, &format!("instance.{machine}"))["user_data"]["content"])
    };
    assert!(reveal(&inputs(graph, "s3_object.bootstrap")["content"]).contains("canary-bootstrap"));
    assert!(user_data("master-0").contains("canary-master"));
    assert!(user_data("bootstrap").contains("canary-proxy"));
}

/// Returns a state that records the resources of the graph, but not those of `without`.
pub(super) fn recorded(graph: &Graph, has_assets: bool, without: &[&str]) -> State {
    let mut state = State::new("lineage".into());
    let lookup = "assets".to_owned();
    state.record(&Entry::LookupRecorded { lookup, answer: json!(has_assets) }).unwrap();
    for node in graph.nodes().iter().filter(|node| !without.contains(&node.address.as_str())) {
        let (address, inputs) = (node.address.clone(), node.inputs.clone());
        let started = Entry::CreateStarted { address, generation: 1, inputs, after: vec![] };
        state.record(&started).unwrap();
        let (address, outputs) = (node.address.clone(), json!({"id": "x"}));
        let created = Entry::Created { address, outputs, status: RecordStatus::Ready };
        state.record(&created).unwrap();
    }
    state
}

#[test]
fn without_files_the_recorded_digests_compile_to_the_same_graph() {
    let mut world = ExampleCluster::standard();
    with_assets(&mut world, "canary-master");
    let given = world.compile().unwrap();
    let state = recorded(&given.graph, true, &["instance.master-1"]);
    let ignition = RecordedIgnition::of(&state);
    let remembered = world.spec().compile(&Assets::none(), &ignition).unwrap();
    assert_eq!(remembered.graph.nodes(), given.graph.nodes());
    assert_eq!(remembered.warnings, Vec::<String>::new());
    let content = |graph: &Graph, address: &str, pointer: &str| {
        let secret = Secret::in_value(inputs(graph, address).pointer(pointer).unwrap()).unwrap();
        graph.secrets().reveal(&secret).map(<[u8]>::to_vec)
    };
    let (graph, user_data) = (&remembered.graph, "/user_data/content");
    assert_eq!(content(graph, "instance.master-1", user_data), None);
    assert_eq!(content(graph, "s3_object.bootstrap", "/content"), None);
    assert!(content(graph, "instance.bootstrap", user_data).is_some(), "groundplan writes it");

    // Without any recorded machine, the digest is not known.
    let masters = ["instance.master-0", "instance.master-1", "instance.master-2"];
    let state = recorded(&given.graph, true, &masters);
    let remembered = world.spec().compile(&Assets::none(), &RecordedIgnition::of(&state)).unwrap();
    let user_data = &inputs(&remembered.graph, "instance.master-0")["user_data"]["content"];
    assert_eq!(Secret::in_value(user_data), Some(Secret::unknown()));
}

#[test]
fn a_machine_keeps_the_digest_that_it_was_created_with() {
    let mut world = ExampleCluster::standard();
    with_assets(&mut world, "canary-master");
    let mut state = recorded(&world.graph(), true, &[]);
    let replaced = Secret::of(b"another master.ign");
    let record = state.resources.get_mut(&Address::from("instance.master-2")).unwrap();
    record.inputs["user_data"]["content"] = json!(replaced);
    let spec = world.spec();
    let remembered = spec.compile(&Assets::none(), &RecordedIgnition::of(&state)).unwrap();
    let digest = |graph: &Graph, address: &str| {
        Secret::in_value(&inputs(graph, address)["user_data"]["content"]).unwrap()
    };
    assert_eq!(digest(&remembered.graph, "instance.master-2"), replaced);
    assert_ne!(digest(&remembered.graph, "instance.master-1"), replaced);
    let given = spec.compile(&world.assets, &RecordedIgnition::of(&state)).unwrap();
    assert_ne!(digest(&given.graph, "instance.master-2"), replaced, "the given file counts");
}

#[test]
fn a_cluster_that_was_created_without_assets_has_the_config_of_groundplan() {
    let world = ExampleCluster::standard();
    let graph = world.graph();
    for state in [recorded(&graph, false, &[]), State::default()] {
        let ignition = RecordedIgnition::of(&state);
        assert!(ignition.is_none());
        let compiled = world.spec().compile(&Assets::none(), &ignition).unwrap();
        assert_eq!(compiled.graph.nodes(), graph.nodes());
        assert!(compiled.warnings[0].contains("no cluster will form"), "{:?}", compiled.warnings);
    }
}

#[test]
fn assets_of_another_cluster_are_refused() {
    let mut world = ExampleCluster::standard();
    with_assets(&mut world, "x");
    world.cluster.infra_id = "demo-22222".into();
    let error = world.refusal();
    assert!(matches!(error, CompileError::AssetsOfAnother { .. }), "{error}");
    assert!(error.to_string().contains("demo-x7k2p") && error.to_string().contains("demo-22222"));
}

#[test]
fn user_data_that_ec2_would_not_take_is_refused() {
    let mut world = ExampleCluster::standard();
    with_assets(&mut world, &"x".repeat(16 * 1024));
    assert!(matches!(world.refusal(), CompileError::UserData { .. }));

    let mut world = ExampleCluster::standard();
    let certificate = |size: usize| {
        let body = "A".repeat(size);
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    };
    world.config.additional_trust_bundle = Some(certificate(9_000));
    world.compile().unwrap();
    world.config.additional_trust_bundle = Some(certificate(11_000));
    let error = world.refusal();
    assert_eq!(error.field().unwrap(), "additionalTrustBundle");
    world.options.bootstrap = false;
    world.compile().unwrap();
}
