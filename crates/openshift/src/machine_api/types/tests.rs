use groundplan_aws::model::metadata_options::{
    Authentication, HopLimit, MetadataService, Switch, metadata_options,
};
use serde_json::json;

use super::*;

/// Returns what Go writes for a provider config without any set field.
fn empty_as_go_has_it() -> Value {
    json!({
        "ami": {},
        "deviceIndex": 0,
        "instanceType": "",
        "metadata": {"creationTimestamp": null},
        "metadataServiceOptions": {},
        "placement": {},
        "subnet": {},
    })
}

#[test]
fn what_go_writes_though_it_is_unset_is_written() {
    let empty = AwsMachineProviderConfig::default();
    assert_eq!(serde_json::to_value(&empty).unwrap(), empty_as_go_has_it());
    let device = BlockDevice { ebs: Some(EbsBlockDevice::default()), ..BlockDevice::default() };
    assert_eq!(serde_json::to_value(&device).unwrap(), json!({"ebs": {"kmsKey": {}}}));
    assert_eq!(serde_json::to_value(Tag::default()).unwrap(), json!({"name": "", "value": ""}));
    let balancer = serde_json::to_value(LoadBalancerReference::default()).unwrap();
    assert_eq!(balancer, json!({"name": "", "type": ""}));
    let machine = serde_json::to_value(Machine::new()).unwrap();
    assert_eq!(machine["spec"], json!({"lifecycleHooks": {}, "metadata": {}, "providerSpec": {}}));
    assert_eq!(machine["status"], json!({}));
    let set = serde_json::to_value(MachineSet::new()).unwrap();
    assert_eq!(set["status"], json!({"replicas": 0}));
}

#[test]
fn absent_null_and_empty_read_the_same() {
    let absent: AwsMachineProviderConfig = read(&json!({})).unwrap();
    let empty: AwsMachineProviderConfig = read(&empty_as_go_has_it()).unwrap();
    let null: AwsMachineProviderConfig = read(&json!({
        "ami": null, "instanceType": null, "tags": null, "subnet": {"filters": null},
        "metadataServiceOptions": {"authentication": null}, "placement": null,
    }))
    .unwrap();
    assert_eq!(absent, empty);
    assert_eq!(absent, null);
}

#[test]
fn a_pointer_that_is_there_and_empty_is_not_absent() {
    let given: AwsMachineProviderConfig =
        read(&json!({"cpuOptions": {}, "spotMarketOptions": {}})).unwrap();
    assert!(given.cpu_options.is_some() && given.spot_market_options.is_some());
    let written = serde_json::to_value(&given).unwrap();
    assert_eq!((&written["cpuOptions"], &written["spotMarketOptions"]), (&json!({}), &json!({})));
}

#[test]
fn every_field_survives_being_read_and_written() {
    let full = json!({
        "apiVersion": "machine.openshift.io/v1beta1",
        "kind": "AWSMachineProviderConfig",
        "metadata": {"creationTimestamp": null},
        "ami": {"id": "ami-1", "arn": "arn", "filters": [{"name": "tag:Name", "values": ["x"]}]},
        "instanceType": "m5.large",
        "cpuOptions": {"confidentialCompute": "Disabled"},
        "tags": [{"name": "a", "value": "b"}],
        "iamInstanceProfile": {"id": "profile"},
        "userDataSecret": {"name": "worker-user-data"},
        "credentialsSecret": {"name": "aws-cloud-credentials"},
        "keyName": "key",
        "deviceIndex": 1,
        "publicIp": true,
        "networkInterfaceType": "EFA",
        "securityGroups": [{"id": "sg-1"}],
        "subnet": {"id": "subnet-1"},
        "placement": {"region": "us-east-1", "availabilityZone": "us-east-1a", "tenancy": "host",
            "host": {"affinity": "DedicatedHost", "dedicatedHost": {"allocationStrategy": "Dynamic",
                "id": "h-01234567", "dynamicHostAllocation": {"tags": [{"name": "a", "value": ""}]}}}},
        "loadBalancers": [{"name": "x-int", "type": "network"}],
        "blockDevices": [{"deviceName": "/dev/xvdb", "noDevice": "n", "virtualName": "v",
            "ebs": {"deleteOnTermination": false, "encrypted": true, "kmsKey": {"arn": "arn"},
                "iops": 3000, "throughputMib": 125, "volumeSize": 120, "volumeType": "gp3"}}],
        "spotMarketOptions": {"maxPrice": "0.05"},
        "metadataServiceOptions": {"authentication": "Required", "httpEndpoint": "Enabled",
            "httpPutResponseHopLimit": 2, "instanceMetadataTags": "Disabled"},
        "placementGroupName": "group",
        "placementGroupPartition": 3,
        "capacityReservationId": "cr-0123456789abcdef0",
        "marketType": "Spot",
    });
    let config: AwsMachineProviderConfig = read(&full).unwrap();
    assert_eq!(serde_json::to_value(config).unwrap(), full);
}

#[test]
fn authentication_is_a_word_of_the_config_and_reaches_ec2_through_the_one_mapping() {
    for asked in [None, Some(Authentication::Required), Some(Authentication::Optional)] {
        let options = MetadataServiceOptions::of(asked);
        assert_eq!(options.authentication(), Ok(asked));
        let word = serde_json::to_value(asked).unwrap();
        let written = serde_json::to_value(&options).unwrap();
        assert_eq!(written.get("authentication").unwrap_or(&Value::Null), &word);
        assert_eq!(metadata_options(asked).is_empty(), asked.is_none());
    }
    let odd = MetadataServiceOptions { authentication: "required".into(), ..Default::default() };
    assert_eq!(odd.authentication(), Err("required"));
}

#[test]
fn each_setting_of_the_metadata_service_is_there_and_back_by_its_proposed_name() {
    let asked = MetadataService {
        authentication: None,
        endpoint: Some(Switch::Enabled),
        hop_limit: HopLimit::new(2),
        instance_tags: Some(Switch::Disabled),
    };
    let options = MetadataServiceOptions::of(asked);
    assert_eq!(options.asked(), asked);
    let expected = json!({"httpEndpoint": "Enabled", "httpPutResponseHopLimit": 2,
        "instanceMetadataTags": "Disabled"});
    assert_eq!(serde_json::to_value(&options).unwrap(), expected);
    assert_eq!(serde_json::to_value(MetadataServiceOptions::of(None)).unwrap(), json!({}));
}

#[test]
fn an_empty_key_of_a_volume_is_none_and_its_id_comes_before_its_arn() {
    let key = |value: Value| read::<EbsBlockDevice>(&json!({ "kmsKey": value })).unwrap();
    assert_eq!(key(json!({"arn": ""})).key(), None);
    assert_eq!(key(json!({"id": "", "arn": "arn"})).key(), Some("arn"));
    assert_eq!(key(json!({"id": "id", "arn": "arn"})).key(), Some("id"));
}

#[test]
fn a_schema_has_every_field_with_its_words_and_needs_nothing_else_to_be_read() {
    let schema = schema::<AwsMachineProviderConfig>().to_value();
    let authentication =
        &schema["properties"]["metadataServiceOptions"]["properties"]["authentication"];
    assert_eq!(authentication["enum"], json!(["Required", "Optional"]));
    assert!(authentication["description"].as_str().unwrap().contains("no opinion"));
    let text = schema.to_string();
    assert!(!text.contains("$ref"), "{text}");
    for machine in [self::schema::<Machine>(), self::schema::<MachineSet>()] {
        assert!(machine.to_value()["properties"]["spec"]["properties"].is_object());
    }
}
