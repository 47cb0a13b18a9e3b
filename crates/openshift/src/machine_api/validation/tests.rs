//! Cases of the provider config, and complete files as users write them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::diagnostics::RuleSource;
use crate::install_config::Architecture;
use crate::machine_api::types::{AwsMachineProviderConfig, read};
use crate::machine_api::yaml;

/// Returns a worker config without any flaw.
fn worker() -> Value {
    json!({
        "apiVersion": "machine.openshift.io/v1beta1",
        "kind": "AWSMachineProviderConfig",
        "ami": {"id": "ami-1"},
        "instanceType": "m5.large",
        "iamInstanceProfile": {"id": "demo-worker-profile"},
        "subnet": {"id": "subnet-1"},
        "securityGroups": [{"id": "sg-1"}],
        "placement": {"region": "us-east-1"},
        "userDataSecret": {"name": "worker-user-data"},
        "credentialsSecret": {"name": "aws-cloud-credentials"},
    })
}

fn with(fields: &[(&str, Value)]) -> AwsMachineProviderConfig {
    let mut value = worker();
    for (name, field) in fields {
        value[*name] = field.clone();
    }
    read(&value).unwrap()
}

/// Returns the flaws of a worker with these fields: the path, with `!` for an error.
fn said(fields: &[(&str, Value)]) -> Vec<String> {
    said_of(&with(fields), Purpose::Other)
}

fn said_of(config: &AwsMachineProviderConfig, purpose: Purpose) -> Vec<String> {
    let mark =
        |flaw: &ObjectFinding| if flaw.rule.severity() == Severity::Error { "!" } else { "?" };
    judge(config, purpose).iter().map(|flaw| format!("{}{}", flaw.path, mark(flaw))).collect()
}

const NOTHING: [&str; 0] = [];

/// Returns a file with one machine whose provider config has these fields.
fn file(fields: &[(&str, Value)]) -> String {
    yaml::write(&machine(fields))
}

/// Returns a machine whose provider config has these fields.
fn machine(fields: &[(&str, Value)]) -> Value {
    let mut config = worker();
    for (name, field) in fields {
        config[*name] = field.clone();
    }
    json!({
        "apiVersion": "machine.openshift.io/v1beta1",
        "kind": "Machine",
        "metadata": {
            "name": "demo",
            "labels": {"machine.openshift.io/cluster-api-cluster": "demo-x7k2p"},
        },
        "spec": {"providerSpec": {"value": config}},
    })
}

#[test]
fn c1_both_words_and_no_word_are_taken_without_a_warning() {
    for options in [
        json!({"authentication": "Required"}),
        json!({"authentication": "Optional"}),
        json!({"authentication": ""}),
        json!({}),
    ] {
        assert_eq!(said(&[("metadataServiceOptions", options)]), NOTHING);
    }
    assert_eq!(said(&[]), NOTHING);
}

#[test]
fn c2_another_word_is_one_error_that_lists_both() {
    for wrong in ["required", "REQUIRED", "Always"] {
        let config = with(&[("metadataServiceOptions", json!({"authentication": wrong}))]);
        let flaws = judge(&config, Purpose::Other);
        assert_eq!(flaws.len(), 1, "{flaws:?}");
        assert_eq!(flaws[0].path, "metadataServiceOptions.authentication");
        assert_eq!(flaws[0].expected.as_deref(), Some("`Required` or `Optional`"));
        let meant = flaws[0].hint.as_deref();
        assert_eq!(meant, (wrong != "Always").then_some("did you mean `Required`?"));
    }
}

#[test]
fn c71_a_hop_limit_is_from_1_to_64_and_no_cluster_does_without_the_endpoint() {
    let at = |field: &str| vec![format!("metadataServiceOptions.{field}!")];
    let options = |options: Value| said(&[("metadataServiceOptions", options)]);
    for odd in [-1, 0, 65] {
        let found = options(json!({"httpPutResponseHopLimit": odd}));
        assert_eq!(found, at("httpPutResponseHopLimit"));
    }
    for hops in [1, 64] {
        assert_eq!(options(json!({"httpPutResponseHopLimit": hops})), NOTHING);
    }
    for odd in ["Disabled", "enabled", "off"] {
        assert_eq!(options(json!({"httpEndpoint": odd})), at("httpEndpoint"));
    }
    assert_eq!(options(json!({"httpEndpoint": "Enabled"})), NOTHING);
    let off = with(&[("metadataServiceOptions", json!({"httpEndpoint": "Disabled"}))]);
    let flaw = &judge(&off, Purpose::Other)[0];
    assert!(flaw.message.contains("never joins the cluster"), "{flaw:?}");
}

#[test]
fn c72_tags_cannot_be_told_and_may_be_kept_back() {
    let options =
        |word: &str| with(&[("metadataServiceOptions", json!({"instanceMetadataTags": word}))]);
    assert_eq!(said_of(&options("Disabled"), Purpose::Other), NOTHING);
    let flaws = judge(&options("Enabled"), Purpose::Other);
    assert_eq!(flaws.len(), 1, "{flaws:?}");
    assert_eq!(flaws[0].rule, Rule::MachineMetadataTags);
    assert!(flaws[0].message.contains("`kubernetes.io/cluster/<infraID>`"), "{flaws:?}");
    assert_eq!(flaws[0].expected.as_deref(), Some("`Disabled`, or nothing"));
    let flaws = judge(&options("disabled"), Purpose::Other);
    assert_eq!(flaws[0].hint.as_deref(), Some("did you mean `Disabled`?"));
}

#[test]
fn c73_required_and_one_hop_is_a_warning_that_names_whom_it_shuts_out() {
    let options = |options: Value| with(&[("metadataServiceOptions", options)]);
    let one = options(json!({"authentication": "Required", "httpPutResponseHopLimit": 1}));
    assert_eq!(
        said_of(&one, Purpose::ControlPlane),
        ["metadataServiceOptions.httpPutResponseHopLimit?"]
    );
    let flaw = &judge(&one, Purpose::Other)[0];
    assert!(flaw.message.contains("outside the host network"), "{flaw:?}");
    for fine in [
        json!({"authentication": "Required", "httpPutResponseHopLimit": 2}),
        json!({"authentication": "Optional", "httpPutResponseHopLimit": 1}),
        json!({"httpPutResponseHopLimit": 1}),
    ] {
        assert_eq!(said_of(&options(fine), Purpose::Other), NOTHING);
    }
}

#[test]
fn c3_an_image_has_an_id_and_nothing_else() {
    assert_eq!(said(&[("ami", json!({}))]), ["ami!"]);
    let filters = json!([{"name": "tag:Name", "values": ["x"]}]);
    assert_eq!(said(&[("ami", json!({"filters": filters}))]), ["ami!", "ami?"]);
    assert_eq!(said(&[("ami", json!({"id": "ami-1", "arn": "arn"}))]), ["ami?"]);
}

fn filled(fields: &[(&str, Value)], defaults: &Defaults) -> AwsMachineProviderConfig {
    with_defaults(with(fields), defaults)
}

fn of_a_cluster(architecture: Architecture) -> Defaults {
    Defaults { region: Some("us-west-2".into()), architecture }
}

#[test]
fn c4_secrets_that_are_not_named_are_the_usual_ones() {
    let defaults = of_a_cluster(Architecture::Amd64);
    for secret in [Value::Null, json!({}), json!({"name": ""})] {
        let config = filled(&[("userDataSecret", secret)], &defaults);
        assert_eq!(config.user_data_secret.unwrap().name, "worker-user-data");
    }
    let config = filled(&[("credentialsSecret", Value::Null)], &defaults);
    assert_eq!(config.credentials_secret.unwrap().name, "aws-cloud-credentials");
    let ambient = filled(&[("credentialsSecret", json!({"name": ""}))], &defaults);
    assert_eq!(ambient.credentials_secret.unwrap().name, "", "an empty name is a choice");
}

#[test]
fn c5_a_missing_type_is_the_architectures_and_how_metadata_are_read_is_never_filled_in() {
    for (architecture, expected) in
        [(Architecture::Amd64, "m5.large"), (Architecture::Arm64, "m6g.large")]
    {
        let config = filled(&[("instanceType", json!(""))], &of_a_cluster(architecture));
        assert_eq!(config.instance_type, expected);
        assert_eq!(config.metadata_service_options.authentication, "");
    }
    let kept = [("instanceType", json!("c5.xlarge"))];
    let config = filled(&kept, &of_a_cluster(Architecture::Arm64));
    assert_eq!(config.instance_type, "c5.xlarge");
}

#[test]
fn c6_a_missing_region_is_the_clusters_or_an_error() {
    let silent = [("placement", json!({}))];
    let config = filled(&silent, &of_a_cluster(Architecture::Amd64));
    assert_eq!(config.placement.region, "us-west-2");
    let nobody = Defaults { region: None, architecture: Architecture::Amd64 };
    let config = filled(&silent, &nobody);
    assert_eq!(said_of(&config, Purpose::Other), ["placement.region!"]);
}

#[test]
fn c7_an_interface_is_spelt_as_aws_has_it() {
    assert_eq!(said(&[("networkInterfaceType", json!("efa"))]), ["networkInterfaceType!"]);
    for fine in ["EFA", "ENA", ""] {
        assert_eq!(said(&[("networkInterfaceType", json!(fine))]), NOTHING);
    }
}

#[test]
fn c8_a_partition_is_one_of_seven_of_a_group() {
    let path = "placementGroupPartition!";
    for (partition, group, expected) in [
        (0, "g", vec![path]),
        (8, "g", vec![path]),
        (7, "g", vec![]),
        (3, "", vec![path]),
        (9, "", vec![path, path]),
    ] {
        let fields =
            [("placementGroupPartition", json!(partition)), ("placementGroupName", json!(group))];
        assert_eq!(said(&fields), expected, "{partition} of {group:?}");
    }
}

#[test]
fn c9_throughput_is_for_gp3_and_within_bounds() {
    let device = |ebs: Value| [("blockDevices", json!([{"ebs": ebs}]))];
    let path = ["blockDevices[0].ebs.throughputMib!"];
    for throughput in [124, 2001] {
        assert_eq!(said(&device(json!({"volumeType": "gp3", "throughputMib": throughput}))), path);
    }
    for throughput in [125, 2000] {
        let fine = device(json!({"volumeType": "gp3", "throughputMib": throughput}));
        assert_eq!(said(&fine), NOTHING);
    }
    let other = with(&device(json!({"volumeType": "io1", "throughputMib": 200})));
    assert_eq!(judge(&other, Purpose::Other)[0].expected.as_deref(), Some("gp3 only"));
    assert_eq!(said(&device(json!({"throughputMib": 5}))), NOTHING);
}

#[test]
fn c10_a_capacity_reservation_is_written_as_aws_writes_it() {
    assert_eq!(said(&[("capacityReservationId", json!("cr-0123456789abcdef0"))]), NOTHING);
    for wrong in [
        "cr-0123456789abcdef",
        "cr-0123456789abcdef01",
        "cr-0123456789ABCDEF0",
        "0123456789abcdef0",
    ] {
        let found = said(&[("capacityReservationId", json!(wrong))]);
        assert_eq!(found, ["capacityReservationId!"], "{wrong}");
    }
}

#[test]
fn c11_market_type_spot_options_and_reservation_fit_together() {
    let (spot, none) = (json!({"maxPrice": "0.05"}), Value::Null);
    let reserved = "cr-0123456789abcdef0";
    let (market, reservation) = (vec!["marketType!"], vec!["capacityReservationId!"]);
    for (market_type, options, id, expected) in [
        ("", &none, reserved, vec![]),
        ("", &spot, "", vec![]),
        ("", &spot, reserved, reservation.clone()),
        ("OnDemand", &none, reserved, vec![]),
        ("OnDemand", &spot, "", market.clone()),
        ("OnDemand", &spot, reserved, market.clone()),
        ("Spot", &none, "", vec![]),
        ("Spot", &spot, "", vec![]),
        ("Spot", &none, reserved, reservation.clone()),
        ("Spot", &spot, reserved, reservation.clone()),
        ("CapacityBlock", &none, reserved, vec![]),
        ("CapacityBlock", &none, "", reservation),
        ("CapacityBlock", &spot, reserved, market.clone()),
        ("CapacityBlock", &spot, "", market.clone()),
        ("spot", &none, "", market.clone()),
        ("spot", &spot, reserved, market),
    ] {
        let fields = [
            ("marketType", json!(market_type)),
            ("spotMarketOptions", options.clone()),
            ("capacityReservationId", json!(id)),
        ];
        assert_eq!(said(&fields), expected, "{market_type:?} {options} {id:?}");
    }
}

#[test]
fn c12_a_tag_that_is_there_twice_is_named_once_and_case_counts() {
    let tag = |name: &str, value: &str| json!({"name": name, "value": value});
    let tags = json!([tag("a", "1"), tag("a", "2"), tag("A", "3"), tag("a", "4")]);
    let flaws = judge(&with(&[("tags", tags)]), Purpose::Other);
    assert_eq!(flaws.len(), 1, "{flaws:?}");
    assert_eq!((flaws[0].rule, &*flaws[0].path), (Rule::MachineTag, "tags[1].name"));
    assert!(flaws[0].message.contains("`a`"), "{}", flaws[0].message);
}

#[test]
fn c13_a_master_has_no_host_and_a_host_has_its_tenancy() {
    let placement = |tenancy: &str, host: Value| {
        [("placement", json!({"region": "us-east-1", "tenancy": tenancy, "host": host}))]
    };
    let bad = json!({"affinity": "no", "dedicatedHost": {"id": "no"}});
    let master = with(&placement("host", bad));
    assert_eq!(said_of(&master, Purpose::ControlPlane), ["placement.tenancy!"]);
    let good = json!({"affinity": "AnyAvailable"});
    for tenancy in ["", "default", "dedicated"] {
        assert_eq!(said(&placement(tenancy, good.clone())), ["placement.host!"]);
    }
    assert_eq!(said(&placement("host", good)), NOTHING);
    assert_eq!(said(&placement("host", json!({}))), ["placement.host.affinity!"]);
    assert_eq!(said(&placement("Host", Value::Null)), ["placement.tenancy!"]);
}

#[test]
fn c14_a_host_is_named_or_allocated_and_never_both() {
    let on = |affinity: &str, host: Value| {
        let host = json!({"affinity": affinity, "dedicatedHost": host});
        said(&[("placement", json!({"region": "r", "tenancy": "host", "host": host}))])
    };
    let host = |rest: &str| format!("placement.host.dedicatedHost.{rest}!");
    for id in ["h-01234567", "h-0123456789abcdef0"] {
        assert_eq!(on("DedicatedHost", json!({"id": id})), NOTHING);
    }
    for id in ["h-123", "H-01234567", ""] {
        assert_eq!(on("DedicatedHost", json!({"id": id})), [host("id")], "{id}");
    }
    let dynamic = |more: Value| {
        let mut host = json!({"allocationStrategy": "Dynamic"});
        host.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        host
    };
    assert_eq!(on("DedicatedHost", dynamic(json!({}))), NOTHING);
    assert_eq!(on("DedicatedHost", dynamic(json!({"id": "h-01234567"}))), [host("id")]);
    assert_eq!(on("AnyAvailable", dynamic(json!({}))), [host("allocationStrategy")]);
    let tags = |count: usize| {
        let tags: Vec<_> =
            (0..count).map(|n| json!({"name": n.to_string(), "value": ""})).collect();
        dynamic(json!({"dynamicHostAllocation": {"tags": tags}}))
    };
    for (count, is_fine) in [(0, false), (1, true), (50, true), (51, false)] {
        let found = on("DedicatedHost", tags(count));
        assert_eq!(found.is_empty(), is_fine, "{count}: {found:?}");
    }
    let both = json!({"id": "h-01234567", "dynamicHostAllocation": {}});
    assert_eq!(on("DedicatedHost", both), [host("dynamicHostAllocation")]);
    let unheard = json!({"id": "h-01234567", "allocationStrategy": "Static"});
    assert_eq!(on("DedicatedHost", unheard), [host("allocationStrategy")]);
}

#[test]
fn c15_its_old_name_is_taken_and_another_kind_is_a_warning() {
    let old = json!("awsproviderconfig.openshift.io/v1");
    assert_eq!(said(&[("apiVersion", old)]), NOTHING);
    assert_eq!(said(&[("kind", json!("AWSMachineProviderSpec"))]), ["kind?"]);
    assert_eq!(said(&[("apiVersion", Value::Null)]), ["kind?"]);
}

/// Returns the findings about fields of a provider config: rule, path in the config, and hint.
fn said_of_fields(fields: &[(&str, Value)]) -> Vec<(Rule, String, String)> {
    let findings = check(&file(fields)).findings.into_iter();
    let within = |path: &str| path.trim_start_matches("spec.providerSpec.value.").to_owned();
    findings.map(|one| (one.rule, within(&one.path), one.hint.unwrap_or_default())).collect()
}

#[test]
fn c16_a_field_that_there_is_not_and_is_near_to_none_is_a_warning_with_its_place() {
    let text = file(&[("bootMode", json!("uefi"))]);
    let checked = check(&text);
    assert!(checked.is_valid() && checked.findings.len() == 1, "{checked:?}");
    let finding = &checked.findings[0];
    let path = "spec.providerSpec.value.bootMode";
    assert_eq!((finding.rule, &*finding.path), (Rule::UnknownField, path));
    let line = finding.place.unwrap().line;
    assert!(text.lines().nth(line - 1).unwrap().contains("bootMode"), "{line}\n{text}");
}

#[test]
fn a_misspelt_field_is_an_error_because_what_it_asks_for_would_be_lost() {
    for (wrong, value, right) in [
        ("metadataServiceOption", json!({"authentication": "Required"}), "metadataServiceOptions"),
        ("metadataService", json!({"authentication": "Required"}), "metadataServiceOptions"),
        ("metadataOptions", json!({"httpTokens": "required"}), "metadataServiceOptions"),
        ("metadataserviceoptions", json!({}), "metadataServiceOptions"),
        ("securityGroup", json!([]), "securityGroups"),
        ("blockDevice", json!([]), "blockDevices"),
        ("publicIP", json!(true), "publicIp"),
    ] {
        let said = said_of_fields(&[(wrong, value)]);
        let hint = format!("did you mean `{right}`?");
        assert_eq!(said, [(Rule::LostField, wrong.to_owned(), hint)]);
    }
    let deep = json!([{"ebs": {"encryption": true}}]);
    let said = said_of_fields(&[("blockDevices", deep)]);
    assert_eq!((said[0].0, &*said[0].1), (Rule::LostField, "blockDevices[0].ebs.encryption"));
}

#[test]
fn among_the_metadata_options_every_unknown_field_is_an_error_that_says_what_was_meant() {
    for (wrong, right) in [
        ("authentification", "did you mean `authentication`?"),
        ("hopLimit", "did you mean `httpPutResponseHopLimit`?"),
        ("endpoint", "did you mean `httpEndpoint`?"),
        ("instanceTags", "did you mean `instanceMetadataTags`?"),
        ("tokens", "did you mean `authentication`? `authentication: Required` makes"),
        ("httpTokens", "did you mean `authentication`? `authentication: Required` makes"),
        ("anything", "`authentication: Required` makes"),
    ] {
        let said = said_of_fields(&[("metadataServiceOptions", json!({wrong: "x"}))]);
        let (rule, path, hint) = &said[0];
        assert_eq!((*rule, path), (Rule::LostField, &format!("metadataServiceOptions.{wrong}")));
        assert!(said.len() == 1 && hint.starts_with(right), "{hint}");
    }
    let read: AwsMachineProviderConfig =
        read(&json!({"metadataServiceOptions": {"httpTokens": "required"}})).unwrap();
    assert_eq!(read.metadata_service_options.authentication(), Ok(None), "it has no effect");
}

#[test]
fn a_setting_that_is_misplaced_is_told_where_it_belongs() {
    let said = said_of_fields(&[("authentication", json!("Required"))]);
    let belongs = "`authentication` belongs in `providerSpec.value.metadataServiceOptions`";
    assert_eq!(said, [(Rule::LostField, "authentication".to_owned(), belongs.to_owned())]);
    let placement = json!({"region": "us-east-1", "metadataServiceOptions": {}});
    let said = said_of_fields(&[("placement", placement)]);
    assert_eq!(said[0].2, "`metadataServiceOptions` belongs in `providerSpec.value`");
    let said = said_of_fields(&[("aws", json!({"metadataServiceOptions": {}}))]);
    assert_eq!(
        (said[0].0, said[0].2.contains("would have no effect, either")),
        (Rule::LostField, true)
    );
    let text = SET.replace("  replicas: 3", "  replica: 3");
    assert_eq!(lines(&text), [(Rule::LostField, line_of(&text, "replica: 3"))]);
    let text = format!("{SET}  replica: 3\n");
    let (status, odd) = (text.find("status:").unwrap(), text.find("replica: 3").unwrap());
    assert!(status < odd && check(&text).is_valid(), "a status has no settings");
}

#[test]
fn what_openshift_install_writes_for_unset_reads_as_unset() {
    let written = json!({"ebs": {"iops": 0, "kmsKey": {"arn": ""}, "encrypted": true}});
    let config = with(&[("blockDevices", json!([written])), ("capacityReservationId", json!(""))]);
    let ebs = config.block_devices[0].ebs.as_ref().unwrap();
    assert_eq!((ebs.iops, ebs.key()), (Some(0), None));
    assert_eq!(said_of(&config, Purpose::Other), NOTHING);
}

#[test]
fn profile_subnet_and_processor_are_looked_at_too() {
    assert_eq!(said(&[("iamInstanceProfile", Value::Null)]), ["iamInstanceProfile?"]);
    assert_eq!(said(&[("iamInstanceProfile", json!({"arn": "a"}))]), ["iamInstanceProfile?"]);
    assert_eq!(said(&[("subnet", json!({}))]), ["subnet?"]);
    assert_eq!(said(&[("subnet", json!({"id": "s", "arn": "a"}))]), ["subnet?"]);
    assert_eq!(said(&[("cpuOptions", json!({}))]), ["cpuOptions!"]);
    for (word, expected) in [("Disabled", vec![]), ("", vec!["cpuOptions.confidentialCompute!"])] {
        assert_eq!(said(&[("cpuOptions", json!({"confidentialCompute": word}))]), expected);
    }
}

/// Manifests recorded from the rules of openshift-install are all accepted by the webhook.
#[test]
fn every_golden_manifest_is_valid_without_a_warning() {
    let plans = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plans");
    let mut objects = 0;
    for case in std::fs::read_dir(plans).unwrap() {
        let Ok(files) = std::fs::read_dir(case.unwrap().path().join("manifests")) else { continue };
        for file in files {
            let path = file.unwrap().path();
            let checked = check(&std::fs::read_to_string(&path).unwrap());
            assert!(checked.findings.is_empty(), "{}: {checked:#?}", path.display());
            objects += checked.objects;
        }
    }
    assert!(objects >= 40, "{objects}");
}

const SET: &str = include_str!(
    "../../../../../plans/one-zone/manifests/99_openshift-cluster-api_worker-machineset-0.yaml"
);
const CONTROL_PLANE: &str = include_str!(
    "../../../../../plans/one-zone/manifests/99_openshift-machine-api_master-control-plane-machine-set.yaml"
);

/// Returns the findings in a text: rule and line.
fn lines(text: &str) -> Vec<(Rule, Option<usize>)> {
    let findings = check(text).findings;
    findings.iter().map(|one| (one.rule, one.place.map(|place| place.line))).collect()
}

fn line_of(text: &str, part: &str) -> Option<usize> {
    text.lines().position(|line| line.contains(part)).map(|index| index + 1)
}

const CLUSTER: &str = "cluster-api-cluster: one-zone-x7k2p";

/// Returns sets with one flaw each.
fn flawed_sets() -> Vec<(Rule, String)> {
    let edited = |rule: Rule, text: &str, old: &str, new: &str| {
        assert!(text.contains(old), "{old}");
        (rule, text.replacen(old, new, 1))
    };
    let label = "        machine.openshift.io/cluster-api-machineset";
    let selector = "  selector:\n    matchLabels:";
    let template = "    machines_v1beta1_machine_openshift_io:\n";
    vec![
        edited(Rule::MachineKind, SET, "kind: MachineSet", "kind: Machineset"),
        edited(Rule::MachineKind, SET, "openshift.io/v1beta1", "openshift.io/v1"),
        edited(Rule::MachineReplicas, SET, "replicas: 3\n", "replicas: -1\n"),
        edited(Rule::MachineReplicas, SET, "replicas: 3\n", "replicas: 10001\n"),
        edited(Rule::ObjectName, SET, "  name: one-zone", "  name: One_zone"),
        edited(Rule::ObjectName, SET, "  name: one-zone", "  nam: one-zone"),
        edited(Rule::ObjectLabel, SET, CLUSTER, "cluster-api-cluster: ../../evil"),
        edited(Rule::DeletePolicy, SET, "replicas: 3\n", "replicas: 3\n  deletePolicy: oldest\n"),
        edited(Rule::MachineSelector, SET, label, "        other"),
        edited(Rule::MachineSelector, SET, selector, "  selector: {}\n  other:\n    odd:"),
        edited(
            Rule::ProviderSpec,
            SET,
            "providerSpec:\n        value:",
            "providerSpec: {}\n      other:",
        ),
        edited(
            Rule::MachineSelector,
            SET,
            "  selector:",
            "  selector:\n    matchExpressions: [{key: x, operator: Exists}]",
        ),
        edited(Rule::ControlPlaneSet, CONTROL_PLANE, "replicas: 3", "replicas: 4"),
        edited(Rule::ControlPlaneSet, CONTROL_PLANE, "  name: cluster", "  name: masters"),
        edited(Rule::ControlPlaneSet, CONTROL_PLANE, "state: Active", "state: active"),
        edited(
            Rule::ControlPlaneSet,
            CONTROL_PLANE,
            "machineType: machines",
            "machineType: machine",
        ),
        edited(Rule::ControlPlaneSet, CONTROL_PLANE, template, "    machines:\n"),
    ]
}

#[test]
fn sets_are_held_to_what_a_set_must_be() {
    for (rule, text) in flawed_sets() {
        let errors = check(&text).findings;
        let errors = errors.iter().filter(|one| one.severity() == Severity::Error);
        // A field that was renamed to make it missing is also reported as lost under its other
        // name.
        let errors = errors.map(|one| one.rule).filter(|rule| *rule != Rule::LostField);
        assert_eq!(errors.collect::<Vec<_>>(), [rule], "{text}");
    }
}

#[test]
fn the_labels_of_masters_are_those_that_the_api_server_asks_for() {
    for label in ["cluster-api-cluster", "cluster-api-machine-role", "cluster-api-machine-type"] {
        let is_of_it = |line: &&str| !line.contains(&format!("machine.openshift.io/{label}:"));
        let text = CONTROL_PLANE.lines().filter(is_of_it).collect::<Vec<_>>().join("\n");
        let found = check(&text).findings;
        let found: Vec<_> = found.iter().map(|one| (one.rule, &*one.message)).collect();
        let message = format!("lack `machine.openshift.io/{label}`");
        assert_eq!(found, [(Rule::ControlPlaneSet, &*message)]);
    }
}

#[test]
fn a_machine_without_its_clusters_label_or_elsewhere_is_a_warning_at_its_line() {
    let label = format!("        machine.openshift.io/{CLUSTER}\n");
    let selector = format!("      machine.openshift.io/{CLUSTER}\n");
    let text = SET.replace(&label, "").replace(&selector, "");
    let line = line_of(&text, "        machine.openshift.io/cluster-api-machine-role");
    assert_eq!(lines(&text), [(Rule::MachineClusterLabel, line.map(|line| line - 1))]);
    let text = SET.replace("namespace: openshift-machine-api", "namespace: default");
    assert_eq!(lines(&text), [(Rule::MachineNamespace, line_of(&text, "namespace: default"))]);
    assert!(check(&text).is_valid());
    let text = SET.replacen(CLUSTER, "cluster-api-cluster: ../evil", 1);
    assert_eq!(lines(&text), [(Rule::ObjectLabel, line_of(&text, "../evil"))]);
}

/// Returns tags with different names.
fn many_tags(count: usize) -> Value {
    (0..count).map(|index| json!({"name": format!("t{index}"), "value": "x"})).collect()
}

#[test]
fn tags_that_fit_beside_those_of_the_cluster_are_fine() {
    assert_eq!(said_of_fields(&[("tags", many_tags(48))]), []);
    let mut own = many_tags(48);
    let more = ["Name", "kubernetes.io/cluster/demo-x7k2p"];
    let more = more.map(|name| json!({"name": name, "value": "set again"}));
    own.as_array_mut().unwrap().extend(more);
    assert_eq!(said_of_fields(&[("tags", own)]), [], "those two are set anyway");
}

#[test]
fn what_nobody_can_launch_is_found_whatever_the_webhook_says() {
    let device = |name: &str, ebs: Value| json!([{"ebs": {}}, {"deviceName": name, "ebs": ebs}]);
    for (field, value, rule, path) in [
        ("instanceType", json!("m5"), Rule::MachineType, "instanceType"),
        ("deviceIndex", json!(-1), Rule::MachineDeviceIndex, "deviceIndex"),
        ("securityGroups", json!([{}]), Rule::MachineGroups, "securityGroups"),
        (
            "placement",
            json!({"region": "us-east-1", "availabilityZone": "us-west-2a"}),
            Rule::MachineZone,
            "placement.availabilityZone",
        ),
        ("blockDevices", device("", json!({})), Rule::MachineVolume, "blockDevices[1]"),
        (
            "blockDevices",
            device("/dev/xvdb", json!({"volumeType": "gp5"})),
            Rule::MachineVolume,
            "blockDevices[1].ebs.volumeType",
        ),
        (
            "blockDevices",
            device("/dev/xvdb", json!({"volumeSize": 0})),
            Rule::MachineVolume,
            "blockDevices[1].ebs.volumeSize",
        ),
        (
            "blockDevices",
            device("/dev/xvdb", json!({"volumeType": "io1", "iops": 0})),
            Rule::MachineVolume,
            "blockDevices[1].ebs.iops",
        ),
        (
            "blockDevices",
            device("/dev/xvdb", json!({"volumeType": "io2"})),
            Rule::MachineVolume,
            "blockDevices[1].ebs.iops",
        ),
        (
            "blockDevices",
            device("/dev/xvdb", json!({"volumeType": "gp3", "iops": 2999})),
            Rule::MachineVolume,
            "blockDevices[1].ebs.iops",
        ),
        (
            "blockDevices",
            device("/dev/xvdb", json!({"volumeType": "st1", "volumeSize": 124})),
            Rule::MachineVolume,
            "blockDevices[1].ebs.volumeSize",
        ),
        (
            "blockDevices",
            device("/dev/xvdb", json!({"volumeType": "io1", "volumeSize": 100, "iops": 6000})),
            Rule::MachineVolume,
            "blockDevices[1].ebs.iops",
        ),
        (
            "blockDevices",
            device("/dev/xvdb", json!({"volumeType": "gp3", "throughputMib": 751})),
            Rule::MachineVolume,
            "blockDevices[1].ebs.throughputMib",
        ),
        (
            "blockDevices",
            json!([{"ebs": {"volumeType": "st1", "volumeSize": 500}}]),
            Rule::MachineVolume,
            "blockDevices[0].ebs.volumeType",
        ),
        (
            "blockDevices",
            device("/dev/xvdb", json!({"kmsKey": {"id": "alias/own"}, "encrypted": false})),
            Rule::MachineVolume,
            "blockDevices[1].ebs.encrypted",
        ),
        (
            "blockDevices",
            json!([{"ebs": {"kmsKey": {"arn": "arn:aws:kms:eu-west-1:1:key/1"}, "encrypted": true}}]),
            Rule::MachineVolume,
            "blockDevices[0].ebs.kmsKey",
        ),
        ("tags", json!([{"name": "AWS:x", "value": ""}]), Rule::MachineTagLimits, "tags[0].name"),
        ("tags", json!([{"name": "", "value": "x"}]), Rule::MachineTagLimits, "tags[0].name"),
        (
            "tags",
            json!([{"name": "k", "value": "v".repeat(257)}]),
            Rule::MachineTagLimits,
            "tags[0].value",
        ),
        ("tags", many_tags(49), Rule::MachineTagLimits, "tags"),
        ("tags", json!([{"name": "a", "value": "b#c"}]), Rule::MachineTagPortable, "tags[0].value"),
        ("tags", json!([{"name": "a ", "value": "b"}]), Rule::MachineTagPortable, "tags[0].name"),
        (
            "tags",
            json!([{"name": "Owner", "value": "a"}, {"name": "owner", "value": "b"}]),
            Rule::MachineTagPortable,
            "tags[1].name",
        ),
        (
            "spotMarketOptions",
            json!({"maxPrice": "0,25"}),
            Rule::MachinePrice,
            "spotMarketOptions.maxPrice",
        ),
    ] {
        let said: Vec<_> = said_of_fields(&[(field, value)]);
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!((said[0].0, &*said[0].1), (rule, path));
    }
}

#[test]
fn a_file_of_several_documents_or_a_list_has_the_places_of_the_file() {
    let odd = SET.replace("Options: {}", "Options: {authentication: required}");
    assert_ne!(odd, SET);
    let text = format!("# é\n---\nkind: ConfigMap\napiVersion: v1\n---\n{CONTROL_PLANE}---\n{odd}");
    let checked = check(&text);
    assert_eq!(checked.objects, 2);
    let line = line_of(&text, "Options: {authentication: required}");
    assert_eq!(lines(&text), [(Rule::MachineAuthentication, line)]);

    let item = |text: &str| serde_saphyr::from_str::<Value>(text).unwrap();
    let list =
        json!({"apiVersion": "v1", "kind": "List", "items": [item(CONTROL_PLANE), item(&odd)]});
    let list = yaml::write(&list);
    let checked = check(&list);
    assert!(checked.findings[0].path.starts_with("items[1].spec.template."), "{checked:?}");
    assert_eq!(
        lines(&list),
        [(Rule::MachineAuthentication, line_of(&list, "authentication: required"))]
    );
}

#[test]
fn what_cannot_be_read_is_said_with_its_line_and_the_rest_is_looked_at() {
    let text = format!("a: 'x\n---\n{SET}");
    let found = check(&text);
    assert_eq!((found.objects, found.findings.len()), (1, 1), "{found:?}");
    assert_eq!((found.findings[0].rule, found.is_valid()), (Rule::Yaml, false));
    assert_eq!(found.findings[0].place.unwrap().line, 1);
    let numbers = SET.replace("volumeSize: 120", "volumeSize: '120'");
    assert_eq!(lines(&numbers), [(Rule::WrongType, line_of(&numbers, "volumeSize"))]);
    let tag = SET.replace("value: alpha", "value: 7");
    assert_eq!(lines(&tag), [(Rule::WrongType, line_of(&tag, "value: 7"))]);
}

/// Returns the findings in a text: rule, message, and the underlined part.
fn underlined(text: &str) -> Vec<(Rule, String, &str)> {
    let findings = check(text).findings.into_iter();
    let place = |place: crate::diagnostics::Position| &text[place.start..place.end];
    findings.map(|one| (one.rule, one.message, one.place.map_or("", place))).collect()
}

#[test]
fn what_is_no_yaml_is_said_where_it_is_and_in_words_about_the_file() {
    let with = |line: &str| SET.replacen("  replicas: 3", line, 1);
    for (line, expected, place) in [
        ("\treplicas: 3", "not YAML: tabs", "r"),
        ("  replicas: \"3", "not YAML: ", "\""),
        ("   replicas: 3", "not YAML: ", "s"),
        ("  replicas: *x", "not YAML: alias references unknown anchor", "*"),
        ("  replicas 3", "not YAML: mapping values", ":"),
        ("  ? [a]\n  : 3", "the name of a field must be a string", "["),
    ] {
        let text = format!("a: b\n---\n{}", with(line));
        let found = underlined(&text);
        assert_eq!((found.len(), found[0].2), (1, place), "{found:?}");
        assert!(found[0].1.starts_with(expected), "{found:?}");
        assert!(!found[0].1.contains("Options") && !found[0].1.contains("line"), "{found:?}");
    }
}

#[test]
fn every_field_that_is_there_twice_is_told_with_both_lines() {
    let text = SET.replacen("  replicas: 3", "  replicas: 3\n  replicas: 4", 1);
    let text = format!("a: b\n---\n{}", text.replacen("kind: Mac", "kind: X\nkind: Mac", 1));
    let found = check(&text).findings;
    let paths: Vec<_> = found.iter().map(|one| (one.rule, &*one.path)).collect();
    let twice = [(Rule::RepeatedField, "kind"), (Rule::RepeatedField, "spec.replicas")];
    assert_eq!(paths[..2], twice, "{found:?}");
    let first = line_of(&text, "replicas: 3").unwrap();
    assert_eq!(found[1].place.unwrap().line, first + 1);
    assert_eq!(found[1].message, format!("is set twice, first on line {first}"));
}

#[test]
fn a_number_that_has_no_room_is_of_another_type() {
    for (number, found) in [
        ("99999999999999999999", "found a number that is too large or not whole"),
        ("10000000000000000000", "found a number that is too large"),
        ("1099511627776", "found `1099511627776`"),
        ("3.5", "found a number that is too large or not whole"),
        ("1e400", "found a string"),
        (".nan", "found a string"),
    ] {
        let text = SET.replacen("  replicas: 3", &format!("  replicas: {number}"), 1);
        let expected = (Rule::WrongType, found.to_owned(), number);
        assert_eq!(underlined(&text), [expected]);
    }
}

#[test]
fn a_value_of_another_type_hides_nothing_else_and_is_one_finding() {
    let text = file(&[
        ("ami", json!({"id": 7})),
        (
            "blockDevices",
            json!([
                {"ebs": {"volumeSize": "big"}},
                {"deviceName": "/dev/xvdb", "ebs": {"volumeType": "gp3", "throughputMib": 1}},
            ]),
        ),
        ("tags", json!("team=a")),
        ("metadataServiceOptions", json!({"authentication": "required"})),
    ]);
    let found: Vec<_> = check(&text).findings.into_iter().map(|one| (one.rule, one.path)).collect();
    let at = |path: &str| format!("spec.providerSpec.value.{path}");
    let expected = [
        (Rule::WrongType, at("ami.id")),
        (Rule::WrongType, at("blockDevices[0].ebs.volumeSize")),
        (Rule::MachineThroughput, at("blockDevices[1].ebs.throughputMib")),
        (Rule::MachineAuthentication, at("metadataServiceOptions.authentication")),
        (Rule::WrongType, at("tags")),
    ];
    assert_eq!(found, expected);
    let huge = file(&[("deviceIndex", json!(0)), ("placementGroupPartition", json!(1u64 << 40))]);
    assert_eq!(lines(&huge)[0].0, Rule::WrongType);
}

#[test]
fn every_prefix_and_every_lost_line_is_read_without_panic_and_places_are_in_the_text() {
    let text = format!("{CONTROL_PLANE}---\n# é\n{SET}");
    let ends = text.char_indices().map(|(index, _)| index).step_by(17);
    let prefixes = ends.map(|end| text[..end].to_owned());
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let lost = (0..lines.len()).map(|at| lines[..at].concat() + &lines[at + 1..].concat());
    for damaged in prefixes.chain(lost) {
        for finding in check(&damaged).findings {
            let place = finding.place.map(|place| place.start..place.end);
            assert!(place.is_none_or(|place| damaged.get(place).is_some()), "{damaged}");
        }
    }
}

#[test]
fn a_long_list_is_read_in_a_moment_and_every_finding_has_its_place() {
    let machine: Value = serde_saphyr::from_str(&file(&[("odd", json!(1))])).unwrap();
    let list = yaml::write(&json!({"kind": "List", "items": vec![machine; 300]}));
    let start = std::time::Instant::now();
    let checked = check(&list);
    assert_eq!((checked.objects, checked.findings.len()), (300, 300));
    assert!(checked.findings.iter().all(|finding| finding.place.is_some()));
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[test]
fn what_is_no_object_of_ours_is_passed_over() {
    let checked = check("kind: Machine\napiVersion: cluster.x-k8s.io/v1beta1\nspec: {odd: 1}\n");
    assert_eq!((checked.objects, checked.findings.len()), (0, 0));
    assert_eq!(check("").objects, 0);
    assert_eq!(check("- a\n- b\n").objects, 0);
}

#[test]
fn every_rule_of_machines_is_broken_by_a_case() {
    let fields = |name: &'static str, value: Value| vec![(name, value)];
    let configs = [
        fields("kind", json!("X")),
        fields("ami", json!({"arn": "a"})),
        fields("cpuOptions", json!({})),
        fields("tags", json!([{"name": "a"}, {"name": "a"}])),
        fields("iamInstanceProfile", Value::Null),
        fields("networkInterfaceType", json!("efa")),
        fields("subnet", Value::Null),
        fields("placement", json!({"tenancy": "x", "host": {}})),
        fields("blockDevices", json!([{"ebs": {"volumeType": "gp2", "throughputMib": 1}}])),
        fields("marketType", json!("x")),
        fields("capacityReservationId", json!("x")),
        fields("placementGroupPartition", json!(9)),
        fields("metadataServiceOptions", json!({"authentication": "x"})),
    ];
    let mut broken: BTreeSet<Rule> = configs
        .iter()
        .flat_map(|fields| judge(&with(fields), Purpose::Other))
        .map(|flaw| flaw.rule)
        .collect();
    // Cases of `sets_are_held_to_what_a_set_must_be`.
    broken.extend([
        Rule::MachineKind,
        Rule::ObjectName,
        Rule::ObjectLabel,
        Rule::ProviderSpec,
        Rule::MachineSelector,
        Rule::DeletePolicy,
        Rule::ControlPlaneSet,
    ]);
    let ours = Rule::ALL.iter().filter(|rule| rule.source() == RuleSource::MachineApi);
    let kept: Vec<_> = ours.filter(|rule| !broken.contains(rule)).collect();
    assert!(kept.is_empty(), "rules without a case: {kept:?}");
}

#[test]
fn what_a_conversion_to_cluster_api_would_change_is_a_warning() {
    let found = |authoritative: &str, options: Value| -> Vec<String> {
        let mut value = machine(&[("metadataServiceOptions", options)]);
        value["spec"]["authoritativeAPI"] = authoritative.into();
        let findings = object::findings(ManifestKind::Machine, &value);
        let of_rule = findings.iter().filter(|one| one.rule == Rule::MachineConversion);
        of_rule.map(|one| one.path.rsplit('.').next().unwrap().to_owned()).collect()
    };
    assert_eq!(found("ClusterAPI", json!({})), ["authentication"]);
    assert_eq!(found("ClusterAPI", json!({"authentication": "Required"})), NOTHING);
    let hops = json!({"authentication": "Required", "httpPutResponseHopLimit": 2});
    assert_eq!(found("ClusterAPI", hops.clone()), ["httpPutResponseHopLimit"]);
    for other in ["MachineAPI", ""] {
        assert_eq!(found(other, json!({})), NOTHING);
        assert_eq!(found(other, hops.clone()), NOTHING);
    }
}
