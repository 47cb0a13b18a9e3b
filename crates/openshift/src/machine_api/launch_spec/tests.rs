use groundplan_aws::kinds::machine::{
    InterfaceType, MachineBlockDevice, MachinePlacement, PublicAddress, PurchaseOption,
};
use groundplan_aws::lookups::lookup::FilterBy;
use groundplan_aws::model::metadata_options::HttpTokens;
use serde_json::{Value, json};

use super::*;
use crate::machine_api::types::{CLUSTER_LABEL, read};

const REGION: &str = "us-west-2";

/// Returns a config like those of openshift-install, with these fields replaced.
fn config(fields: &Value) -> AwsMachineProviderConfig {
    let mut config = json!({
        "apiVersion": "machine.openshift.io/v1beta1", "kind": "AWSMachineProviderConfig",
        "ami": {"id": "ami-1"}, "instanceType": "m5.large", "placement": {"region": REGION},
        "subnet": {"id": "subnet-1"}, "securityGroups": [{"id": "sg-1"}],
        "iamInstanceProfile": {"id": "c-worker-profile"},
    });
    for (field, value) in fields.as_object().unwrap() {
        config[field] = value.clone();
    }
    read(&config).unwrap()
}

fn labels() -> Labels {
    [(CLUSTER_LABEL.to_owned(), "c".to_owned())].into()
}

fn answered(answers: &[(Lookup, Value)]) -> BTreeMap<String, Value> {
    answers.iter().map(|(lookup, answer)| (lookup.key(), answer.clone())).collect()
}

fn launched_with(
    fields: &Value,
    site: &ClusterDefaults,
    answers: &[(Lookup, Value)],
) -> Result<LaunchSpec> {
    let config = config(fields);
    let user_data = Secret::of(b"user data");
    launch("m", &labels(), &config, site, &answered(answers), user_data)
}

fn launched(fields: &Value) -> Machine {
    launched_with(fields, &ClusterDefaults::default(), &[]).unwrap().machine
}

fn refused(fields: &Value, answers: &[(Lookup, Value)]) -> String {
    launched_with(fields, &ClusterDefaults::default(), answers).unwrap_err().to_string()
}

fn by(name: &str, value: &str) -> FilterBy {
    FilterBy { name: name.to_owned(), values: vec![value.to_owned()] }
}

fn filters(value: &str) -> Value {
    json!([{"name": "tag:Name", "values": [value]}])
}

fn images(answer: Value) -> (Lookup, Value) {
    let filters = vec![by("tag:Name", "image")];
    (Lookup::ImagesBy { region: REGION.into(), filters }, answer)
}

fn subnets(filters: &[FilterBy], answer: Value) -> (Lookup, Value) {
    (Lookup::SubnetsBy { region: REGION.into(), filters: filters.to_vec() }, answer)
}

fn zones() -> (Lookup, Value) {
    let types = json!({"us-west-2a": "availability-zone", "us-west-2-wl1": "wavelength-zone"});
    (Lookup::ZoneTypes { region: REGION.into() }, types)
}

fn root(answer: Value) -> (Lookup, Value) {
    (Lookup::Image { region: REGION.into(), id: "ami-1".into() }, answer)
}

#[test]
fn c18_required_is_asked_for_and_nothing_besides() {
    let machine = launched(&json!({"metadataServiceOptions": {"authentication": "Required"}}));
    assert_eq!(
        machine.metadata_options,
        metadata_options(Some(groundplan_aws::model::metadata_options::Authentication::Required))
    );
    assert_eq!(machine.metadata_options.http_tokens, Some(HttpTokens::Required));
}

#[test]
fn c19_no_opinion_is_no_options_at_all() {
    assert!(launched(&json!({})).metadata_options.is_empty());
    assert!(launched(&json!({"metadataServiceOptions": {}})).metadata_options.is_empty());
    assert!(
        launched(&json!({"metadataServiceOptions": {"authentication": ""}}))
            .metadata_options
            .is_empty()
    );
}

#[test]
fn a_word_that_nobody_knows_is_no_machine_with_imdsv1() {
    for word in ["required", "REQUIRED", "Always"] {
        let said = refused(&json!({"metadataServiceOptions": {"authentication": word}}), &[]);
        assert!(
            said.starts_with("providerSpec.value.metadataServiceOptions.authentication"),
            "{said}"
        );
        assert!(said.contains("`Required` or `Optional`"), "{said}");
    }
}

#[test]
fn c71_what_no_node_can_be_told_of_its_metadata_is_refused_with_the_reason() {
    for (options, expected) in [
        (json!({"httpPutResponseHopLimit": 65}), "expected from 1 to 64"),
        (json!({"httpEndpoint": "Disabled"}), "never joins the cluster"),
        (json!({"instanceMetadataTags": "Enabled"}), "rejects tag keys with a `/`"),
        (json!({"instanceMetadataTags": "Off"}), "expected `Disabled`, or nothing"),
    ] {
        let said = refused(&json!({"metadataServiceOptions": options}), &[]);
        assert!(said.starts_with("providerSpec.value.metadataServiceOptions."), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn each_setting_of_the_metadata_service_reaches_the_launch() {
    let machine = launched(&json!({"metadataServiceOptions": {"httpEndpoint": "Enabled",
        "httpPutResponseHopLimit": 2, "instanceMetadataTags": "Disabled"}}));
    let sent = serde_json::to_value(&machine.metadata_options).unwrap();
    let expected = json!({"http_tokens": null, "http_endpoint": "enabled",
        "http_put_response_hop_limit": 2, "instance_metadata_tags": "disabled"});
    assert_eq!(sent, expected);
}

#[test]
fn c73_required_and_one_hop_is_launched_with_a_warning() {
    let options = json!({"authentication": "Required", "httpPutResponseHopLimit": 1});
    let fields = json!({ "metadataServiceOptions": options });
    let launch = launched_with(&fields, &ClusterDefaults::default(), &[]).unwrap();
    assert_eq!(launch.warnings.len(), 1, "{:?}", launch.warnings);
    assert!(launch.warnings[0].contains("outside the host network"), "{:?}", launch.warnings);
}

#[test]
fn c20_both_families_of_addresses_are_the_clusters_to_say() {
    let site =
        ClusterDefaults { dual_stack: Some(DualStack::Ipv4Primary), ..ClusterDefaults::default() };
    let machine = launched_with(&json!({}), &site, &[]).unwrap().machine;
    assert_eq!(machine.interface.dual_stack, Some(DualStack::Ipv4Primary));
    assert!(machine.metadata_options.is_empty(), "what IPv6 adds is the launch's matter");
}

#[test]
fn c12_of_two_tags_of_one_name_the_first_counts() {
    let tags = json!([{"name": "a", "value": "1"}, {"name": "a", "value": "2"}, {"name": "A", "value": "3"}]);
    let machine = launched(&json!({"tags": tags}));
    assert_eq!((&*machine.tags["a"], &*machine.tags["A"]), ("1", "3"));
}

#[test]
fn c22_a_machines_tags_come_before_its_clusters_and_nobody_says_whose_it_is() {
    let tags = json!([
        {"name": "Name", "value": "x"}, {"name": "kubernetes.io/cluster/foo", "value": "owned"},
        {"name": "team", "value": "a"}, {"name": "name", "value": "kept"},
    ]);
    let resource_tags = [("team", "b"), ("env", "p")];
    let resource_tags = resource_tags.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
    let site = ClusterDefaults { resource_tags, ..ClusterDefaults::default() };
    let machine = launched_with(&json!({"tags": tags}), &site, &[]).unwrap().machine;
    let expected = [
        ("team", "a"),
        ("env", "p"),
        ("name", "kept"),
        ("kubernetes.io/cluster/c", "owned"),
        ("Name", "m"),
    ];
    assert_eq!(machine.tags, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
}

#[test]
fn tags_that_ec2_rejects_are_refused_with_those_of_the_cluster() {
    let refused = |tags: Value, of_cluster: usize| {
        let resource_tags = (0..of_cluster).map(|index| (format!("c{index}"), "x".to_owned()));
        let site = ClusterDefaults {
            resource_tags: resource_tags.collect(),
            ..ClusterDefaults::default()
        };
        launched_with(&json!({"tags": tags}), &site, &[]).err().map(|error| error.to_string())
    };
    let tags = |count: usize| -> Value {
        (0..count).map(|index| json!({"name": format!("t{index}"), "value": "x"})).collect()
    };
    assert_eq!(refused(tags(48), 0), None, "with two of its own that is the most");
    assert!(refused(tags(48), 1).unwrap().contains("found 51 tags"));
    assert!(refused(tags(0), 49).unwrap().contains("at most 50"));
    for (name, value) in
        [("aws:x", "y".to_owned()), (&*"k".repeat(129), String::new()), ("k", "v".repeat(257))]
    {
        let refused = refused(json!([{"name": name, "value": value}]), 0).unwrap();
        assert!(refused.starts_with("providerSpec.value.tags: the tag `"), "{refused}");
    }
}

#[test]
fn the_root_volume_is_known_by_its_name_in_the_image() {
    let ebs = || json!({"volumeType": "st1", "volumeSize": 500});
    let known = [root(json!({"root_device": "/dev/xvda"}))];
    let nameless = json!({"blockDevices": [{"ebs": ebs()}]});
    assert!(refused(&nameless, &known).contains("ebs.volumeType: found `st1` for the root volume"));
    let another = json!({"blockDevices": [{"deviceName": "/dev/xvdb", "ebs": ebs()}]});
    assert_eq!(launched(&another).block_devices.len(), 1);
}

#[test]
fn whose_a_machine_is_must_be_said() {
    let (none, answers) = (Labels::new(), BTreeMap::new());
    let said = launch(
        "m",
        &none,
        &config(&json!({})),
        &ClusterDefaults::default(),
        &answers,
        Secret::of(b""),
    );
    assert!(said.unwrap_err().to_string().contains(CLUSTER_LABEL));
    let old = [("sigs.k8s.io/cluster-api-cluster".to_owned(), "c".to_owned())].into();
    assert_eq!(cluster_of(&old), Some("c"));
    let empty = [(CLUSTER_LABEL.to_owned(), String::new())].into();
    assert_eq!(cluster_of(&empty), None);
}

#[test]
fn c23_a_zone_is_placed_in_only_where_no_subnet_says_it() {
    let placement = json!({"region": REGION, "availabilityZone": "us-west-2a"});
    let machine = launched(&json!({"placement": placement}));
    assert_eq!(machine.placement, MachinePlacement::default());
    let asked = [by("availabilityZone", "us-west-2a"), by("tag:Name", "private")];
    let found = subnets(&asked, json!([{"id": "subnet-9", "zone": "us-west-2a"}]));
    let fields = json!({"placement": placement, "subnet": {"filters": filters("private")}});
    assert_eq!(
        needed_lookups(&config(&fields), &ClusterDefaults::default()),
        std::slice::from_ref(&found.0)
    );
    let machine = launched_with(&fields, &ClusterDefaults::default(), &[found]).unwrap().machine;
    assert_eq!(machine.placement.zone.as_deref(), Some("us-west-2a"));
    assert_eq!(machine.interface.subnet, Some(Input::Known("subnet-9".into())));
}

#[test]
fn c24_of_several_subnets_the_first_is_taken_and_none_is_an_error() {
    let fields = json!({"subnet": {"filters": filters("private")}});
    let asked = [by("tag:Name", "private")];
    let two = json!([{"id": "subnet-1", "zone": "a"}, {"id": "subnet-2", "zone": "b"}]);
    let launch =
        launched_with(&fields, &ClusterDefaults::default(), &[subnets(&asked, two)]).unwrap();
    assert_eq!(launch.machine.interface.subnet, Some(Input::Known("subnet-1".into())));
    assert!(launch.warnings[0].contains("subnet-1 is used"), "{:?}", launch.warnings);
    let none = [subnets(&asked, json!([]))];
    let refusal = launched_with(&fields, &ClusterDefaults::default(), &none).unwrap_err();
    assert!(matches!(refusal, LaunchError::Invalid { .. }), "{refusal}");
    let placement = json!({"region": REGION, "availabilityZone": "us-west-2b"});
    let fields = json!({"placement": placement, "subnet": {"filters": filters("private")}});
    let asked = [by("availabilityZone", "us-west-2b"), by("tag:Name", "private")];
    let none = [subnets(&asked, json!([]))];
    let refusal = launched_with(&fields, &ClusterDefaults::default(), &none).unwrap_err();
    let refusal = refusal.to_string();
    assert!(refusal.contains("no subnet in zone us-west-2b of the region matches"), "{refusal}");
}

#[test]
fn a_subnet_in_another_zone_than_the_config_names_is_refused() {
    let placed =
        |zone: &str| config(&json!({"placement": {"region": REGION, "availabilityZone": zone}}));
    assert_eq!(subnet_zone_lookup(&placed(""), REGION), None, "no zone is named");
    let config = placed("us-west-2b");
    let lookup = subnet_zone_lookup(&config, REGION).unwrap();
    let answers = |answer: Value| [(lookup.key(), answer)].into();
    let checked = |zone: &str| {
        let answer = json!([{"id": "subnet-1", "zone": zone}]);
        check_subnet_zone(&config, REGION, &answers(answer))
    };
    assert_eq!(checked("us-west-2b"), Ok(()));
    let refusal = checked("us-west-2a").unwrap_err().to_string();
    assert!(
        refusal.contains("found `us-west-2b`, but the subnet subnet-1 is in `us-west-2a`"),
        "{refusal}"
    );
    assert_eq!(check_subnet_zone(&config, REGION, &answers(json!([]))), Ok(()));
}

#[test]
fn c25_groups_are_those_that_are_named_and_all_that_fit() {
    let asked = |name| Lookup::SecurityGroupsBy {
        region: REGION.into(),
        filters: vec![by("tag:Name", name)],
    };
    let fields = json!({"securityGroups": [{"id": "sg-1"}, {"filters": filters("worker")}]});
    let found = [(asked("worker"), json!(["sg-2", "sg-3"]))];
    let machine = launched_with(&fields, &ClusterDefaults::default(), &found).unwrap().machine;
    let groups = ["sg-1", "sg-2", "sg-3"].map(|id| Input::Known(id.into()));
    assert_eq!(machine.interface.groups, groups);
    let fields = json!({"securityGroups": [{"filters": filters("worker")}]});
    assert!(refused(&fields, &[(asked("worker"), json!([]))]).contains("securityGroups"));
    assert!(refused(&json!({"securityGroups": []}), &[]).contains("securityGroups"));
}

#[test]
fn c26_of_several_images_the_newest_is_taken() {
    let fields = json!({"ami": {"filters": filters("image")}});
    let two = json!([
        {"id": "ami-new", "created": "2026-02-01T00:00:00.000Z", "root_device": "/dev/xvda"},
        {"id": "ami-old", "created": "2025-02-01T00:00:00.000Z", "root_device": "/dev/xvda"},
    ]);
    let machine =
        launched_with(&fields, &ClusterDefaults::default(), &[images(two)]).unwrap().machine;
    assert_eq!(machine.image, Input::Known("ami-new".into()));
    let odd = json!([{"id": "ami-1", "created": "yesterday", "root_device": null}]);
    assert!(refused(&fields, &[images(odd)]).contains("yesterday"));
    assert!(refused(&fields, &[images(json!([]))]).contains("no image"));
}

#[test]
fn c27_volumes_say_what_their_type_takes_and_always_go_with_the_machine() {
    let device = |ebs: Value| json!({"blockDevices": [{"ebs": ebs}]});
    let known = [root(json!({"root_device": "/dev/xvda"}))];
    let volume = |ebs: Value| -> MachineBlockDevice {
        let launch = launched_with(&device(ebs), &ClusterDefaults::default(), &known).unwrap();
        launch.machine.block_devices[0].clone()
    };
    assert_eq!(
        needed_lookups(&config(&device(json!({}))), &ClusterDefaults::default()),
        std::slice::from_ref(&known[0].0)
    );
    let plain = volume(
        json!({"volumeType": "gp2", "iops": 100, "volumeSize": 20, "encrypted": true,
                              "deleteOnTermination": false, "kmsKey": {"id": "key", "arn": "arn"}}),
    );
    assert_eq!(plain.device, "/dev/xvda");
    assert_eq!((plain.iops, plain.size, plain.encrypted), (None, Some(20), Some(true)));
    assert_eq!(plain.kms_key.as_deref(), Some("key"));
    let fast = volume(json!({"volumeType": "gp3", "iops": 4000, "throughputMib": 200}));
    assert_eq!((fast.iops, fast.throughput), (Some(4000), Some(200)));
    let io = volume(json!({"volumeType": "io1", "iops": 4000, "throughputMib": 200}));
    assert_eq!((io.iops, io.throughput), (Some(4000), None));
    let two = json!({"blockDevices": [{"ebs": {}}, {"ebs": {}}]});
    assert!(refused(&two, &known).contains("blockDevices[1]"));
}

#[test]
fn what_ec2_takes_of_no_volume_of_its_type_is_refused_before_it_is_asked_for() {
    let device = |ebs: &Value| json!({"blockDevices": [{"deviceName": "/dev/xvdb", "ebs": ebs}]});
    for (ebs, field) in [
        (json!({"volumeType": "gp3", "iops": 2999}), "iops"),
        (json!({"volumeType": "gp3", "iops": 80_001}), "iops"),
        (json!({"volumeType": "gp3", "throughputMib": 2001}), "throughputMib"),
        (json!({"volumeType": "gp3", "volumeSize": 65_537}), "volumeSize"),
        (json!({"volumeType": "gp2", "volumeSize": 16_385}), "volumeSize"),
        (json!({"volumeType": "io1", "iops": 64_001}), "iops"),
        (json!({"volumeType": "io1", "volumeSize": 120}), "iops"),
        (json!({"volumeType": "io2", "iops": 0}), "iops"),
        (json!({"volumeType": "io2", "iops": 100, "volumeSize": 3}), "volumeSize"),
        (json!({"volumeType": "st1", "volumeSize": 120}), "volumeSize"),
        (json!({"volumeType": "gp3", "iops": 16_000, "volumeSize": 20}), "iops"),
        (json!({"volumeType": "gp3", "throughputMib": 1_000}), "throughputMib"),
        (json!({"kmsKey": {"id": "alias/own"}}), "encrypted"),
        (json!({"volumeType": "GP3"}), "volumeType"),
        (json!({"volumeSize": 3_000_000_000_i64}), "volumeSize"),
    ] {
        let refused = refused(&device(&ebs), &[]);
        let field = format!("providerSpec.value.blockDevices[0].ebs.{field}: ");
        assert!(refused.starts_with(&field), "{ebs}: {refused}");
    }
    for ebs in [
        json!({"volumeType": "gp3", "iops": 80_000, "throughputMib": 2000, "volumeSize": 65_536}),
        json!({"volumeType": "io1", "iops": 64_000, "volumeSize": 16_384}),
        json!({"volumeType": "io2", "iops": 256_000, "volumeSize": 65_536}),
        json!({"volumeType": "st1", "iops": 1, "volumeSize": 125}),
        json!({"volumeType": "standard", "volumeSize": 1024}),
        json!({"volumeSize": 70_000}),
    ] {
        assert_eq!(launched(&device(&ebs)).block_devices.len(), 1, "{ebs}");
    }
}

#[test]
fn the_most_that_a_spot_machine_may_cost_is_an_amount_of_dollars() {
    let spot = |price: &str| json!({"spotMarketOptions": {"maxPrice": price}});
    for price in ["0.25", "1", ".5", "0.001", "12.3456"] {
        let max_price = Some(price.to_owned());
        assert_eq!(launched(&spot(price)).market, Some(PurchaseOption::Spot { max_price }));
    }
    assert_eq!(launched(&spot("")).market, Some(PurchaseOption::Spot { max_price: None }));
    for price in ["0", "-1", "0.0009", "0,25", "$0.25", "1e2", "inf", "NaN", "cheap", "."] {
        let refused = refused(&spot(price), &[]);
        assert!(refused.contains("spotMarketOptions.maxPrice"), "{price}: {refused}");
    }
}

#[test]
fn c74_what_an_installer_writes_for_nothing_is_not_sent() {
    let ebs = json!({"volumeType": "gp3", "iops": 0, "kmsKey": {"arn": ""}, "volumeSize": 120});
    let known = [root(json!({"root_device": "/dev/xvda"}))];
    let fields = json!({"blockDevices": [{"ebs": ebs}]});
    let launch = launched_with(&fields, &ClusterDefaults::default(), &known).unwrap();
    let volume = &launch.machine.block_devices[0];
    assert_eq!((volume.iops, &volume.kms_key), (None, &None));
}

#[test]
fn what_is_no_volume_needs_no_image_to_be_asked_about() {
    let fields = json!({"blockDevices": [
        {"deviceName": "/dev/xvdb", "ebs": {"volumeSize": 10}}, {"virtualName": "ephemeral0"},
    ]});
    assert_eq!(needed_lookups(&config(&fields), &ClusterDefaults::default()), []);
    assert_eq!(launched(&fields).block_devices.len(), 1);
}

#[test]
fn c28_what_a_public_address_is_the_zone_decides() {
    let answers = |zone: &str| {
        let subnet = json!([{"id": "subnet-1", "zone": zone}]);
        [subnets(&[by("subnet-id", "subnet-1")], subnet), zones()]
    };
    let address = |wanted: bool, zone: &str| {
        let fields = json!({"publicIp": wanted});
        let launch = launched_with(&fields, &ClusterDefaults::default(), &answers(zone)).unwrap();
        launch.machine.interface.public_address
    };
    assert_eq!(address(true, "us-west-2-wl1"), Some(PublicAddress::Carrier(true)));
    assert_eq!(address(true, "us-west-2a"), Some(PublicAddress::Internet(true)));
    assert_eq!(address(false, "us-west-2a"), Some(PublicAddress::Internet(false)));
    assert_eq!(
        needed_lookups(&config(&json!({})), &ClusterDefaults::default()),
        [],
        "each lookup has a reason"
    );
    assert_eq!(launched(&json!({})).interface.public_address, None);
}

#[test]
fn c29_a_spot_instance_has_a_price_only_if_one_is_given() {
    let spot = |options: Value| launched(&json!({"spotMarketOptions": options})).market;
    assert_eq!(spot(json!({"maxPrice": ""})), Some(PurchaseOption::Spot { max_price: None }));
    assert_eq!(spot(json!({})), Some(PurchaseOption::Spot { max_price: None }));
    let price = Some("0.05".to_owned());
    assert_eq!(spot(json!({"maxPrice": "0.05"})), Some(PurchaseOption::Spot { max_price: price }));
}

#[test]
fn c11_every_way_to_pay_is_taken_or_refused_as_by_the_actuator() {
    let reservation = "cr-0123456789abcdef0";
    let paid = |kind: &str, spot: bool, reserved: bool| {
        let mut fields = json!({"marketType": kind});
        if spot {
            fields["spotMarketOptions"] = json!({});
        }
        if reserved {
            fields["capacityReservationId"] = json!(reservation);
        }
        launched_with(&fields, &ClusterDefaults::default(), &[]).map(|launch| launch.machine.market)
    };
    let spot = Some(PurchaseOption::Spot { max_price: None });
    assert_eq!(paid("", false, false), Ok(None));
    assert_eq!(paid("", false, true), Ok(None));
    assert_eq!(paid("", true, false), Ok(spot.clone()));
    assert_eq!(paid("OnDemand", false, true), Ok(None));
    assert_eq!(paid("OnDemand", true, false), Ok(None), "spot options are passed over");
    assert_eq!(paid("Spot", false, false), Ok(spot.clone()));
    assert_eq!(paid("Spot", true, false), Ok(spot));
    assert_eq!(paid("CapacityBlock", false, true), Ok(Some(PurchaseOption::CapacityBlock)));
    let conflicts = [
        ("", true, true),
        ("Spot", false, true),
        ("Spot", true, true),
        ("CapacityBlock", false, false),
        ("CapacityBlock", true, false),
        ("CapacityBlock", true, true),
        ("other", false, false),
    ];
    for (kind, spot, reserved) in conflicts {
        let refused = paid(kind, spot, reserved).unwrap_err();
        assert!(
            matches!(refused, LaunchError::Conflict { .. }),
            "{kind} {spot} {reserved}: {refused}"
        );
    }
}

#[test]
fn c10_a_reservation_of_another_form_is_refused_before_aws_is_asked() {
    let long = "cr-0123456789abcdef0";
    let machine = launched(&json!({"capacityReservationId": long}));
    assert_eq!(machine.capacity_reservation.as_deref(), Some(long));
    for odd in ["cr-0123456789abcdef", "cr-0123456789abcdef01", "cr-0123456789ABCDEF0", "0123"] {
        let said = refused(&json!({"capacityReservationId": odd}), &[]);
        assert!(said.contains("17 hexadecimal digits"), "{said}");
    }
}

#[test]
fn c7_an_interface_is_what_it_is_called_and_nothing_where_it_is_not() {
    let kind =
        |word: &str| launched(&json!({"networkInterfaceType": word})).interface.interface_type;
    assert_eq!(kind("EFA"), Some(InterfaceType::Efa));
    assert_eq!(kind("ENA"), Some(InterfaceType::Ena));
    assert_eq!(kind(""), None);
    assert!(refused(&json!({"networkInterfaceType": "efa"}), &[]).contains("`efa`"));
}

#[test]
fn a_host_takes_the_place_of_every_other_placement() {
    let host = json!({"affinity": "DedicatedHost", "dedicatedHost": {"id": "h-01234567"}});
    let placement = json!({"region": REGION, "tenancy": "host", "host": host});
    let machine = launched(&json!({"placement": placement, "placementGroupName": "g"}));
    let expected = MachinePlacement {
        tenancy: Some("host".into()),
        host: Some("h-01234567".into()),
        affinity: Some("host".into()),
        ..MachinePlacement::default()
    };
    assert_eq!(machine.placement, expected);
    let dynamic =
        json!({"affinity": "DedicatedHost", "dedicatedHost": {"allocationStrategy": "Dynamic"}});
    let placement = json!({"region": REGION, "tenancy": "host", "host": dynamic});
    assert!(refused(&json!({"placement": placement}), &[]).contains("not supported"));
}

#[test]
fn c8_a_partition_without_its_group_is_refused() {
    let fields = json!({"placementGroupName": "g", "placementGroupPartition": 7});
    assert_eq!(launched(&fields).placement.partition, Some(7));
    assert!(refused(&json!({"placementGroupPartition": 3}), &[]).contains("placementGroupName"));
    let fields = json!({"placementGroupName": "g", "placementGroupPartition": 8});
    assert!(refused(&fields, &[]).contains("from 1 to 7"));
}

#[test]
fn what_aws_has_not_answered_is_no_reason_to_fail() {
    let fields = json!({"subnet": {"filters": filters("private")}});
    let refusal = launched_with(&fields, &ClusterDefaults::default(), &[]).unwrap_err();
    assert!(matches!(refusal, LaunchError::Unanswered { .. }), "{refusal}");
}

#[test]
fn a_balancer_of_no_known_type_is_told_of() {
    let balancers =
        json!([{"name": "c-int", "type": "network"}, {"name": "odd", "type": "gateway"}]);
    let launch =
        launched_with(&json!({"loadBalancers": balancers}), &ClusterDefaults::default(), &[])
            .unwrap();
    assert_eq!(launch.attachments, [("c-int".to_owned(), LoadBalancerKind::Network)]);
    assert!(launch.warnings[0].contains("gateway"), "{:?}", launch.warnings);
}
