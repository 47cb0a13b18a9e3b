//! The layouts of releases 4.16 and later, against the facts of installer main (006d457393) and
//! cluster-api-provider-aws (2cf09d785).

use groundplan_engine::graph::Graph;
use serde_json::{Value, json};

use super::{addresses, inputs, missing, named, reference};
use crate::install_config::Publish;
use crate::test_support::example_cluster::ExampleCluster;
use crate::topology::Layout;

const CLUSTER: &str = "kubernetes.io/cluster/demo-x7k2p";
const CLUSTER_API: &str = "sigs.k8s.io/cluster-api-provider-aws/cluster/demo-x7k2p";

fn of_release(release: &str) -> ExampleCluster {
    let mut world = ExampleCluster::standard();
    world.options.layout = Layout::of(release.parse().unwrap());
    world
}

/// Returns the ingress rules of a group: protocol, ports, peer.
fn ingress(graph: &Graph, group: &str) -> Vec<String> {
    let rules = inputs(graph, &format!("security_group_rules.{group}"))["ingress"].clone();
    let text = |rule: &Value| {
        let ports = &rule["ports"];
        let peer = match rule["peer"]["group"]["$ref"].as_str() {
            Some(group) => group.trim_start_matches("security_group.").to_owned(),
            None => rule["peer"]["cidrs"][0].as_str().unwrap().to_owned(),
        };
        format!("{} {} {peer}", rule["protocol"].as_str().unwrap(), ports["from"])
    };
    rules.as_array().unwrap().iter().map(text).collect()
}

#[test]
fn names_are_those_of_the_manifests() {
    let graph = of_release("4.20").graph();
    for (address, name) in [
        ("vpc.main", "vpc"),
        ("internet_gateway.main", "igw"),
        ("subnet.private-us-west-2a", "subnet-private-us-west-2a"),
        ("subnet.public-us-west-2b", "subnet-public-us-west-2b"),
        ("route_table.private-us-west-2a", "rt-private-us-west-2a"),
        ("route_table.public-us-west-2c", "rt-public-us-west-2c"),
        ("elastic_ip.us-west-2a", "eip-common"),
        ("nat_gateway.us-west-2a", "nat"),
        ("security_group.controlplane", "controlplane"),
        ("security_group.node", "node"),
        ("security_group.lb", "lb"),
        ("security_group.apiserver-lb", "apiserver-lb"),
        ("load_balancer.int", "int"),
        ("instance.master-0", "master-0"),
        ("instance.bootstrap", "bootstrap"),
        ("hosted_zone.int", "int"),
    ] {
        let tags = &inputs(&graph, address)["tags"];
        assert_eq!(tags["Name"], format!("demo-x7k2p-{name}"), "{address}");
        assert_eq!(tags[CLUSTER_API], "owned", "{address}");
    }
    assert_eq!(named(&graph, "dhcp_options"), <[&str; 0]>::default());
    assert_eq!(inputs(&graph, "vpc.main")["dhcp_options"], Value::Null);
}

#[test]
fn subnets_are_blocks_and_one_block_is_free() {
    let cidrs = |publish: Publish, zones: &[&str], kind: &str| -> Vec<String> {
        let mut world = of_release("4.20");
        world.config.publish = publish;
        let all: Vec<String> = zones.iter().map(|zone| format!("us-west-2{zone}")).collect();
        world.cloud.zones = all.clone();
        world.config.compute[0].aws.zones = all.clone();
        let graph = world.graph();
        let address = |zone: &String| format!("subnet.{kind}-{zone}");
        let cidr = |zone| inputs(&graph, &address(zone))["cidr"].as_str().unwrap().to_owned();
        all.iter().map(cidr).collect()
    };
    let three = ["a", "b", "c"];
    assert_eq!(
        cidrs(Publish::External, &three, "private"),
        ["10.0.0.0/19", "10.0.32.0/19", "10.0.64.0/19"]
    );
    // The fourth block, cut again.
    assert_eq!(
        cidrs(Publish::External, &three, "public"),
        ["10.0.96.0/21", "10.0.104.0/21", "10.0.112.0/21"]
    );
    assert_eq!(cidrs(Publish::External, &["a"], "private"), ["10.0.0.0/18"]);
    assert_eq!(cidrs(Publish::External, &["a"], "public"), ["10.0.64.0/18"]);
}

#[test]
fn an_internal_cluster_has_larger_blocks() {
    let mut world = ExampleCluster::internal();
    world.options.layout = Layout::of("4.20".parse().unwrap());
    let graph = world.graph();
    assert_eq!(inputs(&graph, "subnet.private-us-west-2b")["cidr"], "10.0.64.0/18");
    assert_eq!(inputs(&graph, "subnet.public-us-west-2a")["cidr"], "10.0.192.0/20");
}

#[test]
fn only_the_group_of_services_has_the_cluster_tag() {
    let graph = of_release("4.20").graph();
    for (group, tagged) in
        [("controlplane", false), ("node", false), ("lb", true), ("apiserver-lb", false)]
    {
        let group_inputs = inputs(&graph, &format!("security_group.{group}"));
        assert_eq!(group_inputs["tags"].get(CLUSTER).is_some(), tagged, "{group}");
        assert_eq!(
            group_inputs["tags"]["sigs.k8s.io/cluster-api-provider-aws/role"], group,
            "{group}"
        );
        assert_eq!(group_inputs["description"], format!("Kubernetes cluster demo-x7k2p: {group}"));
    }
}

#[test]
fn rules_are_those_of_the_cluster_api_provider() {
    let graph = of_release("4.20").graph();
    let counts = ["controlplane", "node", "lb", "apiserver-lb"].map(|group| {
        let rules = ingress(&graph, group);
        (rules.len(), group)
    });
    // 12 rules between nodes with two sources each; then the services.
    assert_eq!(counts, [(37, "controlplane"), (27, "node"), (2, "lb"), (3, "apiserver-lb")]);
    let masters = ingress(&graph, "controlplane");
    for rule in [
        "tcp 6443 apiserver-lb",
        "tcp 6443 node",
        "tcp 22623 node",
        "tcp 2379 controlplane",
        "tcp 2380 controlplane",
        "tcp 10257 node",
        "tcp 10259 controlplane",
        "tcp 22 0.0.0.0/0",
        "50 null node",
        "tcp 6441 controlplane",
    ] {
        assert!(masters.iter().any(|one| one == rule), "{rule}: {masters:?}");
    }
    // The machine config server has the keys of the cluster.
    let open = |rule: &&String| rule.starts_with("tcp 22623") && rule.ends_with("0.0.0.0/0");
    for group in ["controlplane", "node", "lb", "apiserver-lb"] {
        assert_eq!(ingress(&graph, group).iter().find(open), None, "{group}");
    }
    assert_eq!(ingress(&graph, "lb"), ["tcp 6443 10.0.0.0/16", "tcp 22623 10.0.0.0/16"]);
}

#[test]
fn rules_of_the_bootstrap_go_with_it() {
    for (release, gone) in [
        ("4.20", vec!["tcp 22 0.0.0.0/0"]),
        ("5.0", vec!["tcp 22 0.0.0.0/0", "tcp 8091 node", "tcp 8091 controlplane"]),
    ] {
        let mut world = of_release(release);
        let before = ingress(&world.graph(), "controlplane");
        world.options.bootstrap = false;
        let after = ingress(&world.graph(), "controlplane");
        let removed: Vec<&String> = before.iter().filter(|rule| !after.contains(rule)).collect();
        assert_eq!(removed, gone, "{release}");
    }
}

/// The removal of the bootstrap updates exactly these.
#[test]
fn what_changes_with_the_removal_is_declared() {
    for release in ["4.15", "4.20", "5.0"] {
        let mut world = of_release(release);
        let whole = world.graph();
        world.options.bootstrap = false;
        let rest = world.graph();
        let both = rest.nodes().iter().filter_map(|node| Some((node, whole.get(&node.address)?)));
        let changed = both.filter(|(rest, whole)| rest.inputs != whole.inputs);
        let changed: Vec<String> = changed.map(|(node, _)| node.address.to_string()).collect();
        let declared: Vec<String> = rest.narrowed().map(ToString::to_string).collect();
        assert_eq!(changed, declared, "{release}");
        let expected = if release == "4.15" { 0 } else { 1 };
        assert_eq!(declared.len(), expected, "{release}");
    }
}

#[test]
fn the_bootstrap_is_a_master_with_a_bucket() {
    let mut world = of_release("4.20");
    world.config.control_plane.aws.additional_security_groups = vec!["sg-9".into()];
    world.cloud.groups.insert("sg-9".into(), "vpc-other".into());
    world.config.control_plane.aws.additional_security_groups.clear();
    let graph = world.graph();
    let bootstrap = inputs(&graph, "instance.bootstrap");
    let master = inputs(&graph, "instance.master-0");
    for same in ["instance_type", "profile", "root_volume", "metadata_options", "image"] {
        assert_eq!(bootstrap[same], master[same], "{same}");
    }
    let groups = ["node", "lb", "controlplane"]
        .map(|group| reference(&format!("security_group.{group}"), "id"));
    assert_eq!(bootstrap["network"]["subnet"]["groups"], json!(groups));
    assert_eq!(inputs(&graph, "network_interface.master-0")["groups"], json!(groups));
    let bucket = inputs(&graph, "s3_bucket.bootstrap");
    assert_eq!(bucket["name"], "openshift-bootstrap-data-demo-x7k2p");
    assert_eq!(inputs(&graph, "s3_object.bootstrap")["key"], "control-plane/demo-x7k2p-bootstrap");
    world.options.bootstrap = false;
    assert_eq!(
        missing(&graph, &world.graph()),
        [
            "instance.bootstrap",
            "s3_bucket.bootstrap",
            "s3_object.bootstrap",
            "target.bootstrap-aext",
            "target.bootstrap-aint",
            "target.bootstrap-sint",
        ]
    );
    let roles = ["iam_role", "iam_role_policy", "iam_instance_profile"];
    for kind in roles {
        assert_eq!(named(&graph, kind), ["master", "worker"]);
    }
}

#[test]
fn balancers_have_a_group_where_aws_has_such() {
    let graph = of_release("4.20").graph();
    let group = reference("security_group.apiserver-lb", "id");
    for balancer in ["load_balancer.int", "load_balancer.ext"] {
        assert_eq!(inputs(&graph, balancer)["security_groups"], json!([group]));
    }
    let older = ExampleCluster::standard().graph();
    assert_eq!(inputs(&older, "load_balancer.int").get("security_groups"), None);
    let mut isolated = of_release("4.20");
    isolated.move_to("us-iso-east-1");
    isolated.config.publish = Publish::Internal;
    let graph = isolated.graph();
    assert_eq!(inputs(&graph, "load_balancer.int").get("security_groups"), None);
}

#[test]
fn masters_of_5_0_may_set_the_groups_of_balancers() {
    let actions = |release: &str| {
        let graph = of_release(release).graph();
        let policy = inputs(&graph, "iam_role_policy.master")["document"].clone();
        policy["Statement"][0]["Action"].as_array().unwrap().len()
    };
    assert_eq!((actions("4.15"), actions("4.21"), actions("5.0")), (38, 38, 39));
}

#[test]
fn each_release_has_the_metadata_options_of_the_config() {
    for release in ["4.15", "4.20", "5.0"] {
        let graph = of_release(release).graph();
        for machine in ["instance.bootstrap", "instance.master-0", "instance.master-2"] {
            let options = &inputs(&graph, machine)["metadata_options"];
            assert_eq!(options["http_tokens"], "required", "{release} {machine}");
        }
    }
}

#[test]
fn layouts_differ_in_what_they_create() {
    let (old, new) = (ExampleCluster::standard().graph(), of_release("4.20").graph());
    assert!(addresses(&old).len() > 60 && addresses(&new).len() > 60);
    assert_eq!(
        missing(&new, &old),
        [
            "route_table.public-us-west-2a",
            "route_table.public-us-west-2b",
            "route_table.public-us-west-2c",
            "security_group.apiserver-lb",
            "security_group.controlplane",
            "security_group.lb",
            "security_group.node",
            "security_group_rules.apiserver-lb",
            "security_group_rules.controlplane",
            "security_group_rules.lb",
            "security_group_rules.node",
        ]
    );
}
