//! Tests of the manifests of the configs in `plans/`, and of the properties of single manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use groundplan_aws::kinds::machine::ConfidentialCompute;
use groundplan_aws::model::metadata_options::{Authentication, HopLimit, Switch};
use groundplan_engine::state::Cluster;
use serde_json::{Value, json};

use super::*;
use crate::install_config;
use crate::machine_api::types::{
    AwsMachineProviderConfig, ControlPlaneMachineSet, Machine, MachineSet, read,
};
use crate::test_support::example_cluster::{ExampleCluster, LOCAL_ZONE, image};
use crate::topology::lookups::DedicatedHostFact;
use crate::topology::{
    CompileError, CompileOptions, IgnitionFile, Layout, PlacedConfig, RecordedIgnition, Stream,
};

/// Returns the configs of `plans/` whose manifests are recorded.
fn cases() -> Vec<PathBuf> {
    let plans = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plans");
    let folders = fs::read_dir(plans).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> =
        folders.filter(|folder| folder.join("install-config.yaml").exists()).collect();
    cases.sort();
    cases
}

/// Returns the layout of a case: that of its release, or else that of 4.15.
fn layout_of(folder: &Path) -> Layout {
    let case = fs::read(folder.join("case.json")).unwrap_or_else(|_| b"{}".to_vec());
    let case: Value = serde_json::from_slice(&case).unwrap();
    let release = case["release"].as_str().map(|release| release.parse().unwrap());
    release.map(Layout::of).unwrap_or_default()
}

fn of_case(folder: &Path) -> Vec<Manifest> {
    let text = fs::read_to_string(folder.join("install-config.yaml")).unwrap();
    let config = install_config::read(&text).config.unwrap();
    let lookup_cache: BTreeMap<String, Value> =
        serde_json::from_slice(&fs::read(folder.join("facts.json")).unwrap()).unwrap();
    let cluster = Cluster {
        name: config.name.clone(),
        infra_id: format!("{}-x7k2p", config.name),
        cluster_id: String::new(),
        region: config.aws.region.clone(),
    };
    let assets = Assets::none();
    let options = CompileOptions { layout: layout_of(folder), ..CompileOptions::default() };
    let spec = PlacedConfig::of(&config, &lookup_cache).resolve(&cluster, &assets, &options);
    manifests(&spec.unwrap().machine_pools().unwrap(), &assets)
}

fn of(world: &ExampleCluster) -> BTreeMap<String, Value> {
    let manifests = manifests(&world.spec().machine_pools().unwrap(), &world.assets);
    manifests.into_iter().map(|one| (one.name, parsed(one.content.text()))).collect()
}

fn parsed(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// Paths of the provider config in an object.
const PROVIDER_CONFIGS: [&str; 3] = [
    "/spec/providerSpec/value",
    "/spec/template/spec/providerSpec/value",
    "/spec/template/machines_v1beta1_machine_openshift_io/spec/providerSpec/value",
];

fn provider_config(object: &Value) -> &Value {
    PROVIDER_CONFIGS.iter().find_map(|place| object.pointer(place)).unwrap()
}

fn blessing() -> bool {
    std::env::var_os("GROUNDPLAN_BLESS").is_some()
}

#[test]
fn golden_manifests_are_what_openshift_install_renders() {
    let mut recorded = 0;
    for case in cases() {
        let folder = case.join("manifests");
        let manifests = of_case(&case);
        if blessing() {
            let _ = fs::remove_dir_all(&folder); // there may be none yet
            fs::create_dir(&folder).unwrap();
            for manifest in &manifests {
                fs::write(folder.join(&manifest.name), manifest.content.text()).unwrap();
            }
        }
        let names: BTreeSet<_> = manifests.iter().map(|one| one.name.clone()).collect();
        let there = fs::read_dir(&folder).unwrap();
        let there: BTreeSet<_> =
            there.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(names, there, "{}", folder.display());
        for manifest in manifests {
            let path = folder.join(&manifest.name);
            let expected = fs::read_to_string(&path).unwrap();
            assert_eq!(manifest.content.text(), expected, "{}", path.display());
            recorded += 1;
        }
    }
    assert!(recorded >= 40, "{recorded}");
}

/// Reading into the types and writing again loses nothing and adds nothing.
#[test]
fn a_manifest_that_is_read_and_rendered_again_is_the_same_text() {
    let of_case = |case: &PathBuf| {
        let details = &layout_of(case).0.manifests;
        of_case(case).into_iter().map(move |manifest| (details, manifest)).collect::<Vec<_>>()
    };
    for (details, manifest) in cases().iter().flat_map(of_case) {
        let text = manifest.content.text();
        let mut value = parsed(text);
        let config: AwsMachineProviderConfig = read(provider_config(&value)).unwrap();
        let config = serde_json::to_value(config).unwrap();
        let place = PROVIDER_CONFIGS.iter().find(|place| value.pointer(place).is_some()).unwrap();
        *value.pointer_mut(place).unwrap() = config;
        let again = match value["kind"].as_str().unwrap() {
            "Machine" => plain(details, manifest.name, &read::<Machine>(&value).unwrap()),
            "MachineSet" => plain(details, manifest.name, &read::<MachineSet>(&value).unwrap()),
            "ControlPlaneMachineSet" => {
                plain(details, manifest.name, &read::<ControlPlaneMachineSet>(&value).unwrap())
            }
            other => panic!("{other}"),
        };
        assert_eq!(again.content.text(), text);
    }
}

#[test]
fn c21_what_the_default_pool_asks_for_reaches_every_manifest_in_the_configs_own_words() {
    const REQUIRED: &str = "      metadataService:\n        authentication: Required\n";
    let text =
        include_str!("../../../../../plans/one-zone/install-config.yaml").replace(REQUIRED, "");
    let default = format!("    defaultMachinePlatform:\n{REQUIRED}    amiID:");
    let text = text.replacen("    amiID:", &default, 1);
    let silent = install_config::read(&text).config.unwrap();
    let mut world = ExampleCluster::standard();
    world.config.control_plane.aws.metadata_service.authentication =
        silent.control_plane.aws.metadata_service.authentication;
    world.config.compute[0].aws.metadata_service.authentication =
        silent.compute[0].aws.metadata_service.authentication;
    for object in of(&world).values() {
        let options = &provider_config(object)["metadataServiceOptions"];
        assert_eq!(options, &json!({"authentication": "Required"}));
    }
    let masters = world.graph();
    let master = &masters.get(&"instance.master-0".into()).unwrap().inputs;
    assert_eq!(master["metadata_options"]["http_tokens"], "required");
    world.config.compute[0].aws.metadata_service.authentication = Some(Authentication::Optional);
    let manifests = of(&world);
    let worker = &manifests["99_openshift-cluster-api_worker-machineset-0.yaml"];
    let options = &provider_config(worker)["metadataServiceOptions"];
    assert_eq!(options, &json!({"authentication": "Optional"}));
}

#[test]
fn what_else_is_said_of_the_metadata_service_is_written_where_it_is_said() {
    let mut world = ExampleCluster::standard();
    world.config.compute[0].aws.metadata_service.hop_limit = HopLimit::new(2);
    world.config.compute[0].aws.metadata_service.instance_tags = Some(Switch::Disabled);
    for (name, object) in of(&world) {
        let mut expected = json!({"authentication": "Required"});
        if name.contains("worker") {
            expected["httpPutResponseHopLimit"] = json!(2);
            expected["instanceMetadataTags"] = json!("Disabled");
        }
        assert_eq!(provider_config(&object)["metadataServiceOptions"], expected, "{name}");
    }
}

#[test]
fn throughput_and_memory_encryption_are_written_for_their_pool() {
    let mut world = ExampleCluster::standard();
    world.config.compute[0].aws.root_volume.throughput = Some(250);
    world.config.compute[0].aws.confidential_compute = Some(ConfidentialCompute::AmdSevSnp);
    for (name, object) in of(&world) {
        let config = provider_config(&object);
        let throughput = config["blockDevices"][0]["ebs"].get("throughputMib");
        let expected = name.contains("worker").then(|| json!(250));
        assert_eq!(throughput, expected.as_ref(), "{name}");
        let options = json!({"confidentialCompute": "AMDEncryptedVirtualizationNestedPaging"});
        let expected = name.contains("worker").then_some(options);
        assert_eq!(config.get("cpuOptions"), expected.as_ref(), "{name}");
    }
}

#[test]
fn no_opinion_is_written_as_none() {
    let mut world = ExampleCluster::standard();
    world.config.control_plane.aws.metadata_service.authentication = None;
    world.config.compute[0].aws.metadata_service.authentication = None;
    let manifests = of(&world);
    assert_eq!(manifests.len(), 7);
    for object in manifests.values() {
        assert_eq!(provider_config(object)["metadataServiceOptions"], json!({}));
    }
}

#[test]
fn workers_are_spread_over_the_zones_and_the_first_take_what_is_left_over() {
    for (replicas, expected) in [(3, [1, 1, 1]), (4, [2, 1, 1]), (2, [1, 1, 0]), (0, [0, 0, 0])] {
        let mut world = ExampleCluster::standard();
        world.config.compute[0].replicas = replicas;
        let manifests = of(&world);
        let sets = manifests.iter().filter(|(name, _)| name.contains("machineset"));
        let spread: Vec<_> = sets.map(|(_, set)| set["spec"]["replicas"].clone()).collect();
        assert_eq!(spread, expected.map(Value::from));
    }
}

#[test]
fn masters_are_numbered_with_as_many_digits_as_their_count_has() {
    let mut world = ExampleCluster::standard();
    world.config.control_plane.replicas = 10;
    let manifests = of(&world);
    let file = "99_openshift-cluster-api_master-machines-09.yaml";
    assert_eq!(manifests[file]["metadata"]["name"], "demo-x7k2p-master-9");
    let zone = &provider_config(&manifests[file])["placement"]["availabilityZone"];
    assert_eq!(zone, "us-west-2a");
}

#[test]
fn machines_and_the_plan_agree_about_zone_type_image_and_profile() {
    let mut world = ExampleCluster::existing_network();
    world.config.control_plane.aws.iam_profile = Some("theirs".into());
    world.config.control_plane.aws.additional_security_groups = vec!["sg-2".into(), "sg-1".into()];
    world.cloud.iam.insert("theirs".into());
    let (manifests, graph) = (of(&world), world.graph());
    for index in 0..3 {
        let file = format!("99_openshift-cluster-api_master-machines-{index}.yaml");
        let config = provider_config(&manifests[&file]);
        let at = |kind: &str| {
            let address = format!("{kind}.master-{index}");
            graph.get(&address.as_str().into()).unwrap().inputs.clone()
        };
        let instance = at("instance");
        assert_eq!(config["instanceType"], instance["instance_type"]);
        assert_eq!(config["ami"]["id"], instance["image"]);
        assert_eq!(config["iamInstanceProfile"]["id"], instance["profile"]);
        assert_eq!(config["subnet"]["id"], at("network_interface")["subnet"]);
        let groups = config["securityGroups"].as_array().unwrap();
        assert_eq!(groups[1..], [json!({"id": "sg-1"}), json!({"id": "sg-2"})]);
    }
}

#[test]
fn a_layout_names_resources_in_the_graph_and_in_the_manifests_alike() {
    for (layout, expected) in Layout::ALL.into_iter().zip([
        "demo-x7k2p-master-sg",
        "demo-x7k2p-controlplane",
        "demo-x7k2p-controlplane",
    ]) {
        let mut world = ExampleCluster::standard();
        world.options.layout = layout;
        let spec = world.spec();
        let graph = spec.compile(&world.assets, &RecordedIgnition::default()).unwrap().graph;
        let names = graph.nodes().iter().flat_map(|node| {
            let names = [node.inputs.get("name"), node.inputs.pointer("/tags/Name")];
            names.into_iter().flatten().filter_map(Value::as_str)
        });
        let names: BTreeSet<&str> = names.collect();
        assert!(names.contains(expected), "{names:?}");
        for manifest in manifests(&spec.machine_pools().unwrap(), &world.assets) {
            let object = parsed(manifest.content.text());
            let config: AwsMachineProviderConfig = read(provider_config(&object)).unwrap();
            let groups = config.security_groups.iter().chain([&config.subnet]);
            let filters = groups.flat_map(|one| &one.filters);
            let mut named: Vec<_> = filters.flat_map(|filter| filter.values.clone()).collect();
            named.extend(config.iam_instance_profile.and_then(|profile| profile.id));
            named.extend(config.load_balancers.into_iter().map(|balancer| balancer.name));
            assert!(named.len() >= 2, "{}: {named:?}", manifest.name);
            for name in named {
                assert!(names.contains(name.as_str()), "{}: {name}", manifest.name);
            }
        }
    }
}

#[test]
fn an_image_that_will_be_copied_is_found_by_its_name() {
    let mut world = ExampleCluster::standard();
    let regions = json!({"us-east-1": {"release": "1", "image": "ami-0east"}});
    let stream = json!({"stream": "test",
        "architectures": {"x86_64": {"images": {"aws": {"regions": regions}}}}});
    world.options.stream = Some(Stream::parse(stream.to_string().as_bytes()).unwrap());
    world.config.control_plane.aws.ami_id = None;
    world.config.compute[0].aws.ami_id = None;
    world.cloud.images.insert("ami-0east".into(), image());
    world.move_to("ap-south-2");
    let copy = world.graph();
    let name = &copy.get(&"ami_copy.rhcos".into()).unwrap().inputs["tags"]["Name"];
    for object in of(&world).values() {
        let ami = &provider_config(object)["ami"];
        assert_eq!(ami, &json!({"filters": [{"name": "tag:Name", "values": [name]}]}));
    }
    // If the masters have an image of their own, groundplan creates no copy of the image.
    world.config.control_plane.aws.ami_id = Some("ami-0east".into());
    let refused = world.spec().machine_pools().unwrap_err();
    assert_eq!(refused, [CompileError::NotInStream { region: "ap-south-2".into() }]);
}

#[test]
fn workers_of_a_zone_with_a_dedicated_host_run_on_it() {
    let host = |id: &str, zone: &str| DedicatedHostFact {
        id: id.into(),
        zone: zone.to_owned(),
        owners: BTreeSet::new(),
    };
    let mut world = ExampleCluster::standard();
    let hosts = [("h-0a", "us-west-2a"), ("h-0c", "us-west-2c")];
    world.cloud.hosts = hosts.map(|(id, zone)| host(id, zone)).to_vec();
    world.config.compute[0].aws.dedicated_hosts = vec!["h-0a".into(), "h-0c".into()];
    for (name, object) in of(&world) {
        let placement = &provider_config(&object)["placement"];
        let zone = placement["availabilityZone"].as_str().unwrap_or_default();
        let expected = hosts.iter().find(|(_, of)| *of == zone && name.contains("worker"));
        let Some((id, _)) = expected else {
            assert!(placement.get("host").is_none() && placement.get("tenancy").is_none());
            continue;
        };
        assert_eq!(placement["tenancy"], "host");
        let dedicated = json!({"allocationStrategy": "UserProvided", "id": id});
        let host = json!({"affinity": "DedicatedHost", "dedicatedHost": dedicated});
        assert_eq!(placement["host"], host);
    }
    let refused = |change: &dyn Fn(&mut ExampleCluster)| {
        let mut world = ExampleCluster::standard();
        world.cloud.hosts = hosts.map(|(id, zone)| host(id, zone)).to_vec();
        world.config.compute[0].aws.dedicated_hosts = vec!["h-0a".into()];
        change(&mut world);
        let error = world.refusal();
        assert!(error.field().unwrap().starts_with("compute[0].platform.aws.hostPlacement"));
        error.to_string()
    };
    let unknown = refused(&|world| world.cloud.hosts.clear());
    assert!(unknown.contains("h-0a does not exist in us-west-2"), "{unknown}");
    let elsewhere =
        refused(&|world| world.config.compute[0].aws.zones = vec!["us-west-2b".to_owned()]);
    assert_eq!(
        elsewhere,
        "the Dedicated Host h-0a is in us-west-2a, where the pool has no machines"
    );
    let second = refused(&|world| {
        world.cloud.hosts[1].zone = "us-west-2a".into();
        world.config.compute[0].aws.dedicated_hosts.push("h-0c".into());
    });
    assert_eq!(second, "the Dedicated Hosts h-0a and h-0c are both in us-west-2a");
    let owned = refused(&|world| world.cloud.hosts[0].owners = ["other-x".to_owned()].into());
    assert_eq!(owned, "the Dedicated Host h-0a belongs to the cluster other-x");
}

#[test]
fn user_data_is_rendered_from_assets_alone_and_never_shown() {
    let mut world = ExampleCluster::standard();
    assert!(of(&world).keys().all(|name| !name.contains("user-data")));
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    for role in ["bootstrap", "master", "worker"] {
        let ignition = json!({"ignition": {"version": "3.2.0"}, "canary": role});
        write(&format!("{role}.ign"), &ignition.to_string());
    }
    let metadata = json!({"clusterName": "demo", "clusterID": world.cluster.cluster_id,
        "infraID": "demo-x7k2p", "aws": {"region": "us-west-2"}});
    write("metadata.json", &metadata.to_string());
    world.assets = Assets::read(folder.path()).unwrap();
    let all = manifests(&world.spec().machine_pools().unwrap(), &world.assets);
    let secrets: Vec<_> = all.iter().filter(|one| one.content.is_secret()).collect();
    assert_eq!(secrets.len(), 2);
    assert!(!format!("{all:?}").contains("dHJ1ZQo="));
    let worker = secrets[1];
    assert_eq!(worker.name, "99_openshift-cluster-api_worker-user-data-secret.yaml");
    let text = worker.content.text();
    let expected = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: worker-user-data\n  namespace: \
                    openshift-machine-api\ntype: Opaque\ndata:\n  disableTemplating: \"dHJ1ZQo=\"\n  userData: ";
    let (head, data) = text.split_at(expected.len());
    assert_eq!(head, expected);
    use base64::Engine;
    let ignition = base64::engine::general_purpose::STANDARD.decode(data.trim_end()).unwrap();
    assert_eq!(ignition, world.assets.ignition(IgnitionFile::Worker).unwrap());
}

#[test]
fn a_file_that_was_left_over_is_known_by_its_name() {
    assert!(is_ours("99_openshift-cluster-api_worker-machineset-7.yaml"));
    assert!(is_ours("99_openshift-cluster-api_master-machines-00.yaml"));
    assert!(is_ours("99_openshift-machine-api_master-control-plane-machine-set.yaml"));
    assert!(!is_ours("99_openshift-cluster-api_worker-user-data-secret.yaml"));
    assert!(!is_ours("99_openshift-machineconfig_99-master-ssh.yaml"));
}

/// Values of `MachineSets` of openshift-install (`pkg/asset/machines/aws/machinesets.go`).
#[test]
fn machine_sets_in_edge_zones_have_the_labels_and_the_taint_of_their_nodes() {
    let mut world = ExampleCluster::edge();
    world.cloud.not_offered.insert("m6i.xlarge".into(), [LOCAL_ZONE.to_owned()].into());
    let rendered = of(&world);
    let set = &rendered["99_openshift-cluster-api_worker-machineset-3.yaml"];
    assert_eq!(set["metadata"]["name"], "demo-x7k2p-edge-us-west-2-lax-1a");
    assert_eq!(set["spec"]["replicas"], 1);
    let template = &set["spec"]["template"];
    for label in ["role", "type"] {
        let label = format!("machine.openshift.io/cluster-api-machine-{label}");
        assert_eq!(template["metadata"]["labels"][label], "edge");
    }
    assert_eq!(
        template["spec"]["metadata"],
        json!({"labels": {
            "machine.openshift.io/parent-zone-name": "us-west-2b",
            "machine.openshift.io/zone-group": "us-west-2-lax-1",
            "machine.openshift.io/zone-type": "local-zone",
            "node-role.kubernetes.io/edge": "",
        }})
    );
    let taint = json!([{"effect": "NoSchedule", "key": "node-role.kubernetes.io/edge"}]);
    assert_eq!(template["spec"]["taints"], taint);
    let config = provider_config(set);
    assert_eq!(config["instanceType"], "m5.xlarge");
    assert_eq!(config["placement"]["availabilityZone"], LOCAL_ZONE);
    assert_eq!(config["blockDevices"][0]["ebs"]["volumeType"], "gp2");
    assert_eq!(config["userDataSecret"]["name"], "worker-user-data");
    assert_eq!(config["iamInstanceProfile"]["id"], "demo-x7k2p-worker-profile");
    assert_eq!(config["publicIp"], Value::Null);
    let name = json!(["demo-x7k2p-private-us-west-2-lax-1a"]);
    assert_eq!(config["subnet"]["filters"][0]["values"], name);
    let other = &rendered["99_openshift-cluster-api_worker-machineset-4.yaml"];
    assert_eq!(provider_config(other)["instanceType"], "m6i.xlarge");
    let worker = &rendered["99_openshift-cluster-api_worker-machineset-0.yaml"];
    assert_eq!(worker["spec"]["template"]["spec"].get("taints"), None);
}

#[test]
fn machines_in_an_existing_public_edge_subnet_get_public_addresses() {
    let rendered = of(&ExampleCluster::existing_edge());
    let config = |index: u32| {
        let set = format!("99_openshift-cluster-api_worker-machineset-{index}.yaml");
        provider_config(&rendered[&set]).clone()
    };
    assert_eq!(config(3)["subnet"], json!({"id": "subnet-edge-lax-1a"}));
    assert_eq!(config(3)["publicIp"], Value::Null);
    assert_eq!(config(4)["subnet"], json!({"id": "subnet-edge-wl1-las-wlz-1"}));
    assert_eq!(config(4)["publicIp"], true);
}
