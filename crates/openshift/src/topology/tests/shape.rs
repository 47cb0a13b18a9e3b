//! The reference cluster: External, three zones, three masters.

use serde_json::{Value, json};

use super::*;
use crate::test_support::example_cluster::ExampleCluster;

/// A kind of groundplan, the number of its resources, and their equivalents in release-4.15.
type Stage = &'static [(&'static str, usize, &'static [(&'static str, usize)])];

/// The reference counts every route, association, attachment and rule as a resource. Some resources
/// of groundplan stand for several of these.
const CLUSTER_STAGE: Stage = &[
    ("vpc", 1, &[("aws_vpc", 1)]),
    ("dhcp_options", 1, &[("aws_vpc_dhcp_options", 1), ("aws_vpc_dhcp_options_association", 1)]),
    ("internet_gateway", 1, &[("aws_internet_gateway", 1)]),
    ("subnet", 6, &[("aws_subnet", 6)]),
    ("elastic_ip", 3, &[("aws_eip", 3)]),
    ("nat_gateway", 3, &[("aws_nat_gateway", 3)]),
    (
        "route_table",
        4,
        &[
            ("aws_route_table", 4),
            ("aws_main_route_table_association", 1),
            ("aws_route", 4),
            ("aws_route_table_association", 6),
        ],
    ),
    ("vpc_endpoint", 1, &[("aws_vpc_endpoint", 1)]),
    ("load_balancer", 2, &[("aws_lb", 2)]),
    ("target_group", 3, &[("aws_lb_target_group", 3)]),
    ("listener", 3, &[("aws_lb_listener", 3)]),
    ("security_group", 2, &[("aws_security_group", 2)]),
    ("security_group_rules", 2, &[("aws_security_group_rule", 55)]),
    ("iam_role", 2, &[("aws_iam_role", 2)]),
    ("iam_role_policy", 2, &[("aws_iam_role_policy", 2)]),
    ("iam_instance_profile", 2, &[("aws_iam_instance_profile", 2)]),
    ("network_interface", 3, &[("aws_network_interface", 3)]),
    ("instance", 3, &[("aws_instance", 3)]),
    ("target", 9, &[("aws_lb_target_group_attachment", 9)]),
    ("hosted_zone", 1, &[("aws_route53_zone", 1)]),
    ("record", 3, &[("aws_route53_record", 3)]),
];

const BOOTSTRAP_STAGE: Stage = &[
    ("s3_bucket", 1, &[("aws_s3_bucket", 1)]),
    ("s3_object", 1, &[("aws_s3_object", 1)]),
    ("iam_role", 1, &[("aws_iam_role", 1)]),
    ("iam_role_policy", 1, &[("aws_iam_role_policy", 1)]),
    ("iam_instance_profile", 1, &[("aws_iam_instance_profile", 1)]),
    ("security_group", 1, &[("aws_security_group", 1)]),
    ("security_group_rules", 1, &[("aws_security_group_rule", 2)]),
    ("instance", 1, &[("aws_instance", 1)]),
    ("target", 3, &[("aws_lb_target_group_attachment", 3)]),
];

#[test]
fn ours_stand_for_all_134_resources_of_the_reference() {
    let theirs = |stage: Stage| -> usize {
        stage.iter().flat_map(|(_, _, theirs)| *theirs).map(|(_, count)| count).sum()
    };
    assert_eq!((theirs(CLUSTER_STAGE), theirs(BOOTSTRAP_STAGE)), (122, 12));

    let mut world = ExampleCluster::standard();
    let whole = world.graph();
    world.options.bootstrap = false;
    let cluster = world.graph();
    for (kind, count, _) in CLUSTER_STAGE {
        assert_eq!(named(&cluster, kind).len(), *count, "{kind}");
    }
    for (kind, count, _) in BOOTSTRAP_STAGE {
        assert_eq!(named(&whole, kind).len() - named(&cluster, kind).len(), *count, "{kind}");
    }
    let ours = |stage: Stage| -> usize { stage.iter().map(|(_, count, _)| count).sum() };
    assert_eq!((cluster.nodes().len(), ours(CLUSTER_STAGE)), (57, 57));
    assert_eq!((whole.nodes().len(), ours(CLUSTER_STAGE) + ours(BOOTSTRAP_STAGE)), (68, 68));
    let tables = whole.nodes().iter().filter(|node| node.kind() == "route_table");
    let sum: usize = tables.map(|table| table.inputs["routes"].as_array().unwrap().len()).sum();
    assert_eq!(sum, 4);
}

#[test]
fn addresses_read_like_what_they_name() {
    let graph = ExampleCluster::standard().graph();
    for address in [
        "vpc.main",
        "subnet.private-us-west-2a",
        "subnet.public-us-west-2c",
        "elastic_ip.us-west-2b",
        "nat_gateway.us-west-2b",
        "route_table.public",
        "route_table.private-us-west-2b",
        "vpc_endpoint.s3",
        "load_balancer.int",
        "listener.sint",
        "hosted_zone.int",
        "record.api-int",
        "record.api",
        "record.api-public",
        "security_group_rules.worker",
        "iam_instance_profile.master",
        "network_interface.master-0",
        "instance.master-0",
        "target.master-0-aint",
        "instance.bootstrap",
        "target.bootstrap-aext",
        "s3_object.bootstrap",
    ] {
        node(&graph, address);
    }
}

#[test]
fn there_are_57_rules() {
    let graph = ExampleCluster::standard().graph();
    let count = |group: &str| {
        let rules = inputs(&graph, &format!("security_group_rules.{group}"));
        let of = |side: &str| rules[side].as_array().unwrap().len();
        (of("ingress"), of("egress"))
    };
    assert_eq!(count("master"), (31, 1));
    assert_eq!(count("worker"), (22, 1));
    assert_eq!(count("bootstrap"), (2, 0));
}

/// Returns a rule as `protocol from-to <- peer`.
fn said(rule: &Value) -> String {
    let peer = &rule["peer"];
    let peer = match peer["group"]["$ref"].as_str() {
        Some(group) => group.trim_start_matches("security_group.").to_owned(),
        None => peer["cidrs"].to_string(),
    };
    let protocol = rule["protocol"].as_str().unwrap();
    match &rule["ports"] {
        Value::Null => format!("{protocol} <- {peer}"),
        ports => format!("{protocol} {}-{} <- {peer}", ports["from"], ports["to"]),
    }
}

#[test]
fn masters_admit_what_the_reference_admits() {
    let mut world = ExampleCluster::standard();
    world.config.networking.machine_networks.push("10.1.0.0/16".parse().unwrap());
    let graph = world.graph();
    let rules = inputs(&graph, "security_group_rules.master");
    let mut ingress: Vec<String> = rules["ingress"].as_array().unwrap().iter().map(said).collect();
    ingress.sort();
    let machines = r#"["10.0.0.0/16","10.1.0.0/16"]"#;
    let mut wanted = vec![
        format!("icmp -1--1 <- {machines}"),
        format!("tcp 22-22 <- {machines}"),
        format!("tcp 6443-6443 <- {machines}"),
        format!("tcp 22623-22623 <- {machines}"),
        "tcp 2379-2380 <- master".to_owned(),
    ];
    for what in [
        "udp 4789-4789",
        "udp 6081-6081",
        "udp 500-500",
        "udp 4500-4500",
        "50",
        "tcp 6641-6642",
        "tcp 9000-9999",
        "udp 9000-9999",
        "tcp 10259-10259",
        "tcp 10257-10257",
        "tcp 10250-10250",
        "tcp 30000-32767",
        "udp 30000-32767",
    ] {
        wanted.extend(["master", "worker"].map(|peer| format!("{what} <- {peer}")));
    }
    wanted.sort();
    assert_eq!(ingress, wanted);
    assert_eq!(said(&rules["egress"][0]), r#"-1 <- ["0.0.0.0/0"]"#);
    assert_eq!(rules["ingress"][0]["description"], "Created By OpenShift Installer");
    assert_eq!(inputs(&graph, "vpc.main")["cidr"], "10.0.0.0/16", "only the first network");
}

#[test]
fn workers_admit_what_nodes_share_and_no_control_plane() {
    let graph = ExampleCluster::standard().graph();
    let rules = inputs(&graph, "security_group_rules.worker");
    let ingress: Vec<String> = rules["ingress"].as_array().unwrap().iter().map(said).collect();
    assert!(ingress.contains(&"tcp 10250-10250 <- master".to_owned()));
    for master_only in ["6443", "22623", "6641", "10259", "10257", "2379"] {
        assert!(!ingress.iter().any(|rule| rule.contains(master_only)), "{master_only}");
    }
}

#[test]
fn everything_waits_for_what_the_reference_says_and_for_nothing_else() {
    let graph = ExampleCluster::standard().graph();
    assert_eq!(after(&graph, "elastic_ip.us-west-2a"), ["internet_gateway.main"]);
    assert_eq!(
        after(&graph, "nat_gateway.us-west-2a"),
        ["elastic_ip.us-west-2a", "subnet.public-us-west-2a"]
    );
    assert!(after(&graph, "load_balancer.ext").contains(&"internet_gateway.main"));
    assert!(after(&graph, "load_balancer.int").contains(&"internet_gateway.main"));
    assert_eq!(
        after(&graph, "instance.master-0"),
        ["iam_instance_profile.master", "network_interface.master-0"],
        "masters boot without a way out, balancers or names"
    );
    assert!(after(&graph, "instance.bootstrap").contains(&"s3_object.bootstrap"));
    assert_eq!(after(&graph, "record.api"), ["hosted_zone.int", "load_balancer.int"]);
    assert_eq!(after(&graph, "record.api-public"), ["load_balancer.ext"]);
    assert_eq!(
        after(&graph, "security_group_rules.worker"),
        ["security_group.master", "security_group.worker"]
    );
    assert_eq!(
        after(&graph, "target.master-0-aint"),
        ["instance.master-0", "network_interface.master-0", "target_group.aint"]
    );
    assert_eq!(after(&graph, "vpc_endpoint.s3").len(), 5, "the VPC and every table");
}

#[test]
fn the_network_is_the_references() {
    let graph = ExampleCluster::standard().graph();
    let subnet = inputs(&graph, "subnet.private-us-west-2b");
    assert_eq!((&subnet["cidr"], &subnet["zone"]), (&json!("10.0.32.0/19"), &json!("us-west-2b")));
    assert_eq!(subnet["tags"]["kubernetes.io/role/internal-elb"], "");
    let public = inputs(&graph, "subnet.public-us-west-2b");
    assert_eq!(public["cidr"], "10.0.160.0/19");
    assert_eq!(public["tags"].get("kubernetes.io/role/internal-elb"), None);
    let main = inputs(&graph, "route_table.public");
    assert_eq!(main["main"], true);
    assert_eq!(main["subnets"].as_array().unwrap().len(), 3);
    assert_eq!(
        main["routes"],
        json!([{"destination": "0.0.0.0/0",
                "via": {"internet_gateway": reference("internet_gateway.main", "id")}}])
    );
    let private = inputs(&graph, "route_table.private-us-west-2b");
    assert_eq!(private["main"], false);
    assert_eq!(private["subnets"], json!([reference("subnet.private-us-west-2b", "id")]));
    assert_eq!(
        private["routes"][0]["via"],
        json!({"nat_gateway": reference("nat_gateway.us-west-2b", "id")})
    );
    let options = inputs(&graph, "dhcp_options.main");
    assert_eq!(options["domain_name"], "us-west-2.compute.internal");
    assert_eq!(options["tags"], json!({"kubernetes.io/cluster/demo-x7k2p": "owned"}));
    assert_eq!(inputs(&graph, "vpc_endpoint.s3")["service"], "com.amazonaws.us-west-2.s3");
}

#[test]
fn balancers_and_names_are_the_references() {
    let graph = ExampleCluster::standard().graph();
    let internal = inputs(&graph, "load_balancer.int");
    assert_eq!(
        (&internal["name"], &internal["internal"]),
        (&json!("demo-x7k2p-int"), &json!(true))
    );
    assert_eq!(internal["subnets"][2], reference("subnet.private-us-west-2c", "id"));
    let external = inputs(&graph, "load_balancer.ext");
    assert_eq!(external["internal"], false);
    assert_eq!(external["cross_zone"], true);
    assert_eq!(external["subnets"][0], reference("subnet.public-us-west-2a", "id"));
    let check = |group: &str| {
        let group = inputs(&graph, &format!("target_group.{group}"));
        let check = &group["health_check"];
        let figures = ["interval_seconds", "healthy_threshold", "unhealthy_threshold"];
        assert_eq!(figures.map(|figure| check[figure].as_i64().unwrap()), [10, 2, 2]);
        (group["port"].as_i64().unwrap(), check["path"].as_str().unwrap().to_owned())
    };
    assert_eq!(check("aint"), (6443, "/readyz".into()));
    assert_eq!(check("sint"), (22623, "/healthz".into()));
    assert_eq!(check("aext"), (6443, "/readyz".into()));
    assert_eq!(
        inputs(&graph, "listener.sint"),
        &json!({"load_balancer": reference("load_balancer.int", "arn"), "port": 22623,
                "target_group": reference("target_group.sint", "arn")})
    );
    let record = |name: &str| {
        let record = inputs(&graph, &format!("record.{name}"));
        let to = &record["data"]["alias"]["dns_name"]["$ref"];
        (record["name"].as_str().unwrap().to_owned(), to.as_str().unwrap().to_owned())
    };
    assert_eq!(record("api-int"), ("api-int.demo.example.com".into(), "load_balancer.int".into()));
    assert_eq!(record("api"), ("api.demo.example.com".into(), "load_balancer.int".into()));
    assert_eq!(record("api-public"), ("api.demo.example.com".into(), "load_balancer.ext".into()));
    assert_eq!(inputs(&graph, "record.api-public")["zone"], "Z0PUBLIC");
    assert_eq!(inputs(&graph, "hosted_zone.int")["name"], "demo.example.com");
}

#[test]
fn names_are_the_references() {
    let graph = ExampleCluster::standard().graph();
    for (address, tag) in [
        ("vpc.main", "vpc"),
        ("internet_gateway.main", "igw"),
        ("route_table.public", "public"),
        ("route_table.private-us-west-2a", "private-us-west-2a"),
        ("subnet.public-us-west-2a", "public-us-west-2a"),
        ("elastic_ip.us-west-2a", "eip-us-west-2a"),
        ("nat_gateway.us-west-2a", "nat-us-west-2a"),
        ("security_group.master", "master-sg"),
        ("hosted_zone.int", "int"),
        ("iam_role.bootstrap", "bootstrap-role"),
        ("network_interface.master-1", "master-1"),
        ("s3_bucket.bootstrap", "bootstrap"),
    ] {
        let name = format!("demo-x7k2p-{tag}");
        assert_eq!(inputs(&graph, address)["tags"]["Name"], name, "{address}");
    }
    for (address, name) in [
        ("iam_role.worker", "worker-role"),
        ("iam_role_policy.worker", "worker-policy"),
        ("iam_instance_profile.worker", "worker-profile"),
        ("s3_bucket.bootstrap", "bootstrap"),
        ("target_group.aext", "aext"),
    ] {
        assert_eq!(inputs(&graph, address)["name"], format!("demo-x7k2p-{name}"), "{address}");
    }
}

#[test]
fn whatever_takes_tags_carries_the_clusters_and_the_users() {
    let mut world = ExampleCluster::standard();
    world.config.aws.user_tags = [("team".into(), "blue".into())].into();
    let graph = world.graph();
    let mut tagged = 0;
    for node in graph.nodes() {
        for field in ["tags", "volume_tags"] {
            if let Some(tags) = node.inputs.get(field) {
                assert_eq!(tags["kubernetes.io/cluster/demo-x7k2p"], "owned", "{}", node.address);
                assert_eq!(tags["team"], "blue", "{}", node.address);
                tagged += 1;
            }
        }
    }
    // Untagged: 6 listeners and records, 3 rule sets, 3 policies, 12 targets. Instances count
    // twice.
    assert_eq!(tagged, 68 - 6 - 3 - 3 - 12 + 4);
}
