use groundplan_aws::model::metadata_options::{Authentication, HopLimit};

use super::*;
use crate::install_config::CredentialsMode;
use crate::machine_api::manifests;

#[test]
fn c81_masters_in_another_order_of_zones_are_a_difference() {
    let swap = |assets: InstallerAssets, name: &str, from: &str, to: &str| {
        let zones = assets.replace(name, &format!("us-east-1{from}"), &format!("us-east-1{to}"));
        let ids = [("a", "subnet-fcc77c754e4ba08cc"), ("b", "subnet-14e3441bb0bdf934b")];
        let id = |zone: &str| ids.iter().find(|(known, _)| *known == zone).unwrap().1;
        zones.replace(name, id(from), id(to))
    };
    let assets = InstallerAssets::recorded("4.15", "subnets");
    let assets = swap(assets, "master-machines-0", "a", "b");
    let assets = swap(assets, "master-machines-1", "b", "a");
    assert_eq!(
        said(&world("subnets"), &assets),
        ["zones of masters: the assets name `subnets-abcde-master-0` in `us-east-1b`, \
          `subnets-abcde-master-1` in `us-east-1a`, the plan has `subnets-abcde-master-0` in \
          `us-east-1a`, `subnets-abcde-master-1` in `us-east-1b` (in Machine \
          subnets-abcde-master-0, Machine subnets-abcde-master-1)"]
    );
}

#[test]
fn c81_each_value_that_a_machine_needs_is_compared() {
    let masters = "master-machines-0";
    let workers = "worker-machineset-1";
    let group = "      securityGroups:\n      - filters:\n        - name: tag:Name\n          \
                 values:\n          - plain-abcde-master-sg\n";
    for (name, from, to, expected) in [
        (
            masters,
            "region: us-east-1\n",
            "region: us-west-2\n",
            "region: the assets name `us-west-2`, the plan has `us-east-1`",
        ),
        (
            masters,
            "kubernetes.io/cluster/plain-abcde",
            "kubernetes.io/cluster/other",
            "infra ID: the assets name `other`, the plan has `plain-abcde`",
        ),
        (
            workers,
            "cluster-api-cluster: plain-abcde",
            "cluster-api-cluster: other-abcde",
            "infra ID: the assets name `other-abcde`, the plan has `plain-abcde`",
        ),
        (
            masters,
            "plain-abcde-master-profile",
            "plain-abcde-master",
            "instance profiles: the assets name `plain-abcde-master`, the plan has \
             `plain-abcde-bootstrap-profile`, `plain-abcde-master-profile`, \
             `plain-abcde-worker-profile`",
        ),
        (
            masters,
            "      iamInstanceProfile:\n        id: plain-abcde-master-profile\n",
            "",
            "instance profiles: the assets name none, the plan has",
        ),
        (masters, group, "", "security groups: the assets name none, the plan has"),
        (
            masters,
            "        id: ami-0d653d86d4113326a",
            "        filters: [{name: tag:Name, values: [plain-abcde-ami-us-east-1]}]",
            "images: the assets name `plain-abcde-ami-us-east-1`, the plan has \
             `ami-0d653d86d4113326a`",
        ),
        (
            masters,
            "        id: ami-0d653d86d4113326a",
            "        {}",
            "images: the assets name none",
        ),
        (
            masters,
            "plain-abcde-ext",
            "plain-abcde-external",
            "load balancers: the assets name `plain-abcde-external`, the plan has \
             `plain-abcde-ext`, `plain-abcde-int`",
        ),
        (
            masters,
            "name: plain-abcde-master-0",
            "name: plain-abcde-master-7",
            "masters: the assets name `plain-abcde-master-7`, the plan has \
             `plain-abcde-master-0`, `plain-abcde-master-1`, `plain-abcde-master-2`",
        ),
        (
            workers,
            "plain-abcde-private-us-east-1b",
            "plain-abcde-private-us-east-1c",
            "subnets: the assets name `plain-abcde-private-us-east-1c`, the plan has \
             `plain-abcde-private-us-east-1b`, `plain-abcde-public-us-east-1b`",
        ),
        (
            workers,
            "availabilityZone: us-east-1b",
            "availabilityZone: us-east-1e",
            "subnets: the assets name `plain-abcde-private-us-east-1b`, the plan has no subnet in \
             `us-east-1e`",
        ),
        (
            workers,
            "            filters:\n            - name: tag:Name\n              values:\n              \
             - plain-abcde-private-us-east-1b\n",
            "            id: subnet-1\n",
            "subnets: the assets name `subnet-1`, the plan has",
        ),
    ] {
        let assets = InstallerAssets::recorded("4.15", "plain").replace(name, from, to);
        let lines = said(&world("plain"), &assets);
        assert!(lines.len() == 1 && lines[0].starts_with(expected), "{from}: {lines:#?}");
    }
}

#[test]
fn c81_another_metadata_policy_is_a_difference_in_both_directions() {
    let options = "metadataServiceOptions: {}";
    let with = |name: &str, word: &str| {
        let assets = InstallerAssets::recorded("4.15", "plain");
        assets.replace(
            name,
            options,
            &format!("metadataServiceOptions: {{authentication: {word}}}"),
        )
    };
    let mut required = world("plain");
    required.config.compute[0].aws.metadata_service = Some(Authentication::Required).into();
    let omitted = InstallerAssets::recorded("4.15", "plain");
    assert_eq!(
        said(&required, &omitted),
        ["metadataServiceOptions.authentication: the assets name no opinion for worker, the plan \
          has `Required` for worker (in MachineSet plain-abcde-worker-us-east-1a, MachineSet \
          plain-abcde-worker-us-east-1b, MachineSet plain-abcde-worker-us-east-1c and 2 more)"]
    );
    assert_eq!(said(&required, &with("worker", "Required")), Vec::<String>::new());
    for word in ["Optional", "required"] {
        let lines = said(&required, &with("worker", word));
        assert!(lines[0].contains(&format!("name `{word}` for worker")), "{lines:?}");
    }
    let lines = said(&world("plain"), &with("master", "Required"));
    assert_eq!(lines.len(), 1);
    let expected = "the assets name `Required` for master, the plan has no opinion for master (in \
                    ControlPlaneMachineSet cluster, Machine plain-abcde-master-0";
    assert!(lines[0].contains(expected), "{lines:?}");
}

#[test]
fn settings_that_no_installer_writes_are_a_warning() {
    let mut world = world("plain");
    world.config.compute[0].aws.metadata_service.hop_limit = HopLimit::new(2);
    let fit = fit(&world, &InstallerAssets::recorded("4.15", "plain")).unwrap();
    assert_eq!(fit.differences, []);
    let expected = "bootstrap.ign: metadataServiceOptions: the assets name no other option, the \
                    plan has hop limit 2 (in MachineSet";
    assert!(fit.warnings.len() == 1 && fit.warnings[0].starts_with(expected), "{fit:?}");
}

#[test]
fn machines_for_later_in_other_zones_are_a_warning() {
    let mut few = world("plain");
    few.config.compute[0].aws.zones = vec!["us-east-1a".into()];
    let assets = InstallerAssets::recorded("4.15", "plain");
    // Four sets of zones that the plan does not have, of which two have a machine.
    let lines = said(&few, &assets);
    assert_eq!(lines.len(), 0, "the masters are in these zones: {lines:?}");
    let fit = fit(&few, &assets).unwrap();
    let expected = "bootstrap.ign: subnets: the assets name `plain-abcde-private-us-east-1d`, \
                    `plain-abcde-private-us-east-1f`, the plan has no subnet in `us-east-1d`, no \
                    subnet in `us-east-1f` (in ControlPlaneMachineSet cluster, MachineSet \
                    plain-abcde-worker-us-east-1d, MachineSet plain-abcde-worker-us-east-1f)";
    assert_eq!(fit.warnings, [expected]);
    let used = assets.replace("machineset-3", "replicas: 0", "replicas: 1");
    assert_eq!(said(&few, &used).len(), 1);
}

#[test]
fn references_to_resources_of_the_user_are_not_decided() {
    let assets = InstallerAssets::recorded("4.15", "subnets")
        .replace("machineset-0", "id: subnet-fcc77c754e4ba08cc", "id: subnet-theirs")
        .replace("machineset-1", "id: sg-fc1d743dfbefba749", "id: sg-theirs")
        .replace("machineset-2", "subnets-abcde-worker-profile", "their-profile");
    let fit = fit(&world("subnets"), &assets).unwrap();
    assert_eq!(fit.differences, []);
    let expected = "bootstrap.ign: not compared with AWS: instance profile `their-profile`, \
                    security group `sg-theirs`, subnet `subnet-theirs`; the machines that name \
                    them are created only if they exist";
    assert_eq!(fit.warnings, [expected]);
}

fn cluster_api_set(tokens: &str) -> String {
    format!(
        "apiVersion: infrastructure.cluster.x-k8s.io/v1beta2\nkind: AWSMachineTemplate\n\
         metadata: {{name: plain-abcde-worker-us-east-1a}}\nspec:\n  template:\n    spec:\n      \
         iamInstanceProfile: plain-abcde-worker-profile\n      instanceMetadataOptions:\n        \
         {{httpTokens: {tokens}, httpEndpoint: enabled}}\n      subnet:\n        filters: [{{name: \
         'tag:Name', values: [plain-abcde-subnet-private-us-east-1a]}}]\n      \
         additionalSecurityGroups:\n      - filters: [{{name: 'tag:Name', values: \
         [plain-abcde-node]}}]\n---\napiVersion: cluster.x-k8s.io/v1beta2\nkind: MachineSet\n\
         metadata: {{name: plain-abcde-worker-us-east-1a}}\nspec:\n  clusterName: plain-abcde\n  \
         replicas: 1\n  template:\n    spec:\n      failureDomain: us-east-1a\n      \
         infrastructureRef: {{kind: AWSMachineTemplate, name: plain-abcde-worker-us-east-1a}}\n"
    )
}

#[test]
fn sets_of_the_cluster_api_are_compared_and_never_doubled() {
    let file = "99_openshift-cluster-api_worker-capi-machineset-0.yaml";
    let alone = |tokens| InstallerAssets::without_machines().with(file, cluster_api_set(tokens));
    let topics = |world: &ExampleCluster, assets: &InstallerAssets| {
        let fit = fit(world, assets).unwrap();
        fit.differences.into_iter().map(|one| one.topic).collect::<Vec<_>>()
    };
    let network = [DifferenceTopic::Subnet, DifferenceTopic::SecurityGroup];
    assert_eq!(topics(&world("plain"), &alone("optional")), network);
    let both = [network[0], network[1], DifferenceTopic::Authentication];
    assert_eq!(topics(&world("plain"), &alone("required")), both);
    let mut required = world("plain");
    required.config.compute[0].aws.metadata_service = Some(Authentication::Required).into();
    assert_eq!(topics(&required, &alone("required")), network);
    assert_eq!(topics(&required, &alone("optional")), both);

    let fitting = cluster_api_set("optional")
        .replace("-subnet-private", "-private")
        .replace("plain-abcde-node", "plain-abcde-worker-sg");
    let assets = InstallerAssets::without_machines().with(file, &*fitting);
    assert_eq!(topics(&world("plain"), &assets), []);
    let doubled = InstallerAssets::recorded("4.15", "plain").with(file, fitting);
    assert_eq!(
        said(&world("plain"), &doubled),
        ["machine sets: the assets name `plain-abcde-worker-us-east-1a` in the Machine API and \
          the Cluster API, the plan has one set for each zone (in MachineSet \
          plain-abcde-worker-us-east-1a)"]
    );
    let mirror =
        doubled.replace("machineset-0", "  replicas: 1\n", "  authoritativeAPI: ClusterAPI\n");
    assert_eq!(topics(&world("plain"), &mirror), []);
}

#[test]
fn manual_credentials_are_demanded_only_in_manual_mode() {
    let mut world = world("plain");
    let assets = InstallerAssets::recorded("4.15", "plain");
    for (mode, warnings) in [
        (None, 0),
        (Some(CredentialsMode::Mint), 0),
        (Some(CredentialsMode::Passthrough), 0),
        (Some(CredentialsMode::Manual), 1),
    ] {
        world.config.credentials_mode = mode;
        let fit = fit(&world, &assets).unwrap();
        assert_eq!((fit.differences.len(), fit.warnings.len()), (0, warnings), "{mode:?}");
    }
    let secret = "kind: Secret\napiVersion: v1\nmetadata:\n  name: aws-cloud-credentials\n  namespace: \
                  openshift-machine-api\ndata:\n  aws_access_key_id: Y2FuYXJ5\n";
    let assets =
        assets.with("openshift-machine-api-aws-cloud-credentials-credentials.yaml", secret);
    assert_eq!(fit(&world, &assets).unwrap().warnings, Vec::<String>::new());
}

/// Machine sets of the edge pool in the assets fit a plan with edge subnets, and no other plan.
#[test]
fn c81_machine_sets_in_edge_zones_fit_the_subnets_of_the_plan() {
    for world in [ExampleCluster::edge(), ExampleCluster::existing_edge()] {
        let spec = world.spec();
        let rendered = manifests::manifests(&spec.machine_pools().unwrap(), &world.assets);
        let mut assets = InstallerAssets::without_machines();
        for manifest in rendered {
            assets = assets.with(&manifest.name, manifest.content.text());
        }
        assert_eq!(said(&world, &assets), Vec::<String>::new());
        if world.config.aws.subnets.is_empty() {
            let without = said(&ExampleCluster::standard(), &assets).join("\n");
            assert!(without.contains("demo-x7k2p-private-us-west-2-lax-1a"), "{without}");
        }
    }
}
