//! Resolved values of a config.

use std::collections::BTreeMap;

use groundplan_aws::model::metadata_options::{Authentication, HopLimit, MetadataService, Switch};
use secrecy::ExposeSecret;

use super::*;
use crate::diagnostics::Severity;

#[test]
fn the_two_pool_example_is_read_in_full() {
    fine(TWO_POOLS);
    let config = config(TWO_POOLS);
    assert_eq!(config.cluster_domain(), "test-cluster.example.com");
    assert_eq!(config.publish, Publish::External);
    assert_eq!(config.credentials_mode, Some(CredentialsMode::Mint));
    assert!(config.pull_secret.expose_secret().starts_with("{\"auths\""));
    assert!(config.ssh_key.unwrap().expose_secret().ends_with("core@example.com"));

    let masters = &config.control_plane;
    assert_eq!(
        (masters.name.as_str(), masters.replicas, masters.hyperthreading),
        ("master", 3, true)
    );
    assert_eq!(masters.aws.zones, ["us-west-2a", "us-west-2b"]);
    assert_eq!(masters.aws.instance_type.as_deref(), Some("m5.xlarge"));
    assert_eq!(masters.aws.metadata_service.authentication, Some(Authentication::Required));
    assert_eq!(masters.aws.ami_id.as_ref().unwrap().as_str(), "ami-0c5d3e03c0ab9b19a");
    let io1 = RootVolume {
        volume_type: "io1".into(),
        size: 500,
        iops: Some(4000),
        throughput: None,
        kms_key: None,
    };
    assert_eq!(masters.aws.root_volume, io1);

    let [workers] = &config.compute[..] else { panic!("{:?}", config.compute) };
    assert_eq!(workers.aws.zones, ["us-west-2c"]);
    assert_eq!(workers.aws.metadata_service.authentication, Some(Authentication::Optional));
    assert_eq!(workers.aws.root_volume.volume_type, "io2");

    let tags = [("adminContact", "jdoe"), ("costCenter", "7536")];
    let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(config.aws.user_tags, BTreeMap::from(tags));
    let [endpoint] = &config.aws.service_endpoints[..] else { panic!("{:?}", config.aws) };
    assert_eq!(endpoint.name, "ec2");
    assert_eq!(endpoint.url.scheme(), "https");
}

#[test]
fn the_smallest_config_gets_the_installers_defaults() {
    fine(&minimal());
    let config = config(&minimal());
    assert_eq!(config.publish, Publish::External);
    assert_eq!(config.networking.machine_networks, ["10.0.0.0/16".parse().unwrap()]);
    assert_eq!(config.networking.service_networks, ["172.30.0.0/16".parse().unwrap()]);
    assert_eq!(config.networking.cluster_networks[0].cidr, "10.128.0.0/14".parse().unwrap());
    assert_eq!(config.networking.cluster_networks[0].host_prefix, 23);
    assert_eq!(config.networking.network_type, "OVNKubernetes");
    assert_eq!(config.additional_trust_bundle_policy, TrustBundlePolicy::ProxyOnly);
    assert_eq!(config.aws.load_balancer_type, LoadBalancerType::Classic);
    for (pool, name) in [(&config.control_plane, "master"), (&config.compute[0], "worker")] {
        assert_eq!((pool.name.as_str(), pool.replicas, pool.hyperthreading), (name, 3, true));
        assert_eq!(pool.architecture, Architecture::Amd64);
        let gp3 = RootVolume {
            volume_type: "gp3".into(),
            size: 120,
            iops: None,
            throughput: None,
            kms_key: None,
        };
        assert_eq!(pool.aws.root_volume, gp3);
        assert_eq!(pool.aws.metadata_service.authentication, None);
        assert_eq!(pool.aws.instance_type, None);
    }
}

#[test]
fn an_omitted_authentication_is_no_opinion_wherever_it_ends() {
    for nothing in ["", "      metadataService: {}\n", "      metadataService:\n"] {
        let text = with(&[("      metadataService:\n        authentication: Required\n", nothing)]);
        fine(&text);
        assert_eq!(
            config(&text).control_plane.aws.metadata_service.authentication,
            None,
            "{nothing:?}"
        );
    }
}

#[test]
fn an_empty_authentication_is_no_opinion_too_and_is_warned_about() {
    for empty in ["", "''", "null", "~"] {
        let text = with(&[("authentication: Required", &format!("authentication: {empty}"))]);
        one_warning(&text, "controlPlane.platform.aws.metadataService.authentication: is empty");
        assert_eq!(
            config(&text).control_plane.aws.metadata_service.authentication,
            None,
            "{empty:?}"
        );
    }
}

#[test]
fn each_setting_of_the_metadata_service_is_the_pools_or_the_defaults() {
    let default = "defaultMachinePlatform:\n  metadataService: {httpPutResponseHopLimit: 3, httpEndpoint: Enabled, instanceMetadataTags: Disabled}";
    let limit = "        authentication: Required\n        httpPutResponseHopLimit: 2\n";
    let text = with_aws(default).replacen("        authentication: Required\n", limit, 1);
    fine(&text);
    let config = config(&text);
    let masters = MetadataService {
        authentication: Some(Authentication::Required),
        endpoint: Some(Switch::Enabled),
        hop_limit: HopLimit::new(2),
        instance_tags: Some(Switch::Disabled),
    };
    assert_eq!(config.control_plane.aws.metadata_service, masters);
    let authentication = Some(Authentication::Optional);
    let workers = MetadataService { authentication, hop_limit: HopLimit::new(3), ..masters };
    assert_eq!(config.compute[0].aws.metadata_service, workers);
}

#[test]
fn c73_every_pool_is_looked_at_and_none_left_to_answer_imdsv1() {
    let default = "defaultMachinePlatform:\n  metadataService: {httpPutResponseHopLimit: 1}";
    let text = with_aws(default).replace("authentication: Optional", "authentication: Required");
    let paths: Vec<String> = read(&text).findings.into_iter().map(|one| one.path).collect();
    assert_eq!(
        paths,
        [
            "controlPlane.platform.aws.metadataService.authentication",
            "compute[0].platform.aws.metadataService.authentication",
        ]
    );
    for pool in [&config(&text).control_plane, &config(&text).compute[0]] {
        let asked = pool.aws.metadata_service.authentication;
        assert_eq!(asked, Some(Authentication::Required), "{}", pool.name);
    }
}

#[test]
fn a_pool_overrides_the_default_machine_platform_field_by_field() {
    let default = "defaultMachinePlatform:\n  type: r5.xlarge\n  zones: [us-west-2d]\n  metadataService: {authentication: Required}\n  iamRole: everyone\n  rootVolume: {type: io2, size: 200, iops: 3000, kmsKeyARN: 'arn:aws:kms:us-west-2:1:key/k'}";
    let text = minimal().replace(
        "{aws: {region: us-west-2}}",
        &format!("\n  aws:\n    region: us-west-2\n{}", indent(default, 4)),
    ) + "controlPlane: {platform: {aws: {type: m5.xlarge, metadataService: {authentication: Optional}, iamProfile: own, rootVolume: {size: 300}}}}\n";
    fine(&text);
    let config = config(&text);
    let masters = &config.control_plane.aws;
    assert_eq!(masters.instance_type.as_deref(), Some("m5.xlarge"));
    assert_eq!(masters.metadata_service.authentication, Some(Authentication::Optional));
    assert_eq!(masters.zones, ["us-west-2d"]);
    assert_eq!((masters.root_volume.size, masters.root_volume.iops), (300, Some(3000)));
    assert_eq!(masters.root_volume.volume_type, "io2");
    assert!(masters.root_volume.kms_key.is_some());
    assert_eq!((masters.iam_role.is_some(), masters.iam_profile.is_some()), (false, true));
    let workers = &config.compute[0].aws;
    assert_eq!(workers.metadata_service.authentication, Some(Authentication::Required));
    assert_eq!(workers.instance_type.as_deref(), Some("r5.xlarge"));
    assert_eq!(workers.iam_role.as_ref().unwrap().as_str(), "everyone");
}

#[test]
fn an_image_comes_from_the_pool_then_the_default_platform_then_the_platform() {
    let image = |text: &str| config(text).control_plane.aws.ami_id.unwrap().to_string();
    assert_eq!(image(TWO_POOLS), "ami-0c5d3e03c0ab9b19a");
    let default = with_aws("defaultMachinePlatform: {amiID: ami-0000000000000000d}");
    assert_eq!(image(&default), "ami-0000000000000000d");
    let pool = default.replacen(
        "      type: m5.xlarge\n",
        "      type: m5.xlarge\n      amiID: ami-0000000000000000a\n",
        1,
    );
    assert_eq!(image(&pool), "ami-0000000000000000a");
}

#[test]
fn a_change_of_volume_type_leaves_the_defaults_iops_behind() {
    let text = with_aws("defaultMachinePlatform: {rootVolume: {type: io1, size: 100, iops: 1000}}");
    let text = text.replacen(
        "        iops: 4000\n        size: 500\n        type: io1\n",
        "        size: 500\n        type: gp2\n",
        1,
    );
    let volume = config(&text).control_plane.aws.root_volume;
    assert_eq!((volume.volume_type.as_str(), volume.iops), ("gp2", None));
}

#[test]
fn a_trailing_dot_of_the_base_domain_is_dropped() {
    let text = with(&[("baseDomain: example.com", "baseDomain: example.com.")]);
    assert_eq!(config(&text).cluster_domain(), "test-cluster.example.com");
}

#[test]
fn deprecated_fields_are_converted_and_warned_about() {
    let text = minimal()
        + "networking: {machineCIDR: 10.1.0.0/16, serviceCIDR: 172.31.0.0/16, type: OVNKubernetes, clusterNetworks: [{cidr: 10.128.0.0/14, hostSubnetLength: 9}]}\n";
    let text =
        text.replace("region: us-west-2", "region: us-west-2, experimentalPropagateUserTags: true");
    let networking = config(&text).networking;
    assert_eq!(networking.machine_networks, ["10.1.0.0/16".parse().unwrap()]);
    assert_eq!(networking.service_networks, ["172.31.0.0/16".parse().unwrap()]);
    assert_eq!(networking.cluster_networks[0].host_prefix, 23);
    assert!(config(&text).aws.propagate_user_tags);
    assert_eq!(findings(&text, Severity::Warning).len(), 6, "{:#?}", read(&text).findings);
}

#[test]
fn subnets_may_be_written_in_the_newer_way() {
    let text = with_aws("vpc: {subnets: [{id: subnet-0a}, {id: subnet-0b}]}");
    assert_eq!(config(&text).aws.subnets, ["subnet-0a".into(), "subnet-0b".into()]);
    one_error(
        &with_aws("subnets: [subnet-0a]\nvpc: {subnets: [{id: subnet-0b}]}"),
        "platform.aws.subnets: is set together",
    );
    let with_roles = "vpc: {subnets: [\
        {id: subnet-0a, roles: [{type: ClusterNode}, {type: ControlPlaneInternalLB}]}, \
        {id: subnet-0b, roles: [{type: BootstrapNode}, {type: ControlPlaneExternalLB}, \
        {type: IngressControllerLB}]}]}";
    let roles = config(&with_aws(with_roles)).aws.subnet_roles;
    let machines = [SubnetRole::ClusterNode, SubnetRole::ControlPlaneInternalLb];
    assert_eq!(roles[&"subnet-0a".into()], machines.into());
    assert_eq!(roles.len(), 2);
}

#[test]
fn a_pool_called_worker_is_added_where_there_is_none() {
    let text = minimal() + "compute: []\n";
    assert_eq!(config(&text).compute[0].name, "worker");
}

#[test]
fn anchors_and_merge_keys_work() {
    let text = with(&[
        (
            "      metadataService:\n        authentication: Required\n",
            "      metadataService: &shared\n        authentication: Required\n",
        ),
        (
            "      metadataService:\n        authentication: Optional\n",
            "      metadataService:\n        <<: *shared\n",
        ),
    ]);
    assert_eq!(
        config(&text).compute[0].aws.metadata_service.authentication,
        Some(Authentication::Required)
    );
}

#[test]
fn an_mtu_is_kept_and_none_is_no_opinion() {
    let mtu = with(&[("  networkType", "  clusterNetworkMTU: 8901\n  networkType")]);
    assert_eq!(config(&mtu).networking.cluster_network_mtu, Some(8901));
    assert_eq!(config(TWO_POOLS).networking.cluster_network_mtu, None);
}
