//! Assets of releases of openshift-install: their machines must find the planned resources.

use std::fs;

use groundplan_engine::state::Cluster;
use groundplan_openshift::test_support::installer_assets::InstallerAssets;

use super::Desk;

const WORKERS: &str = "99_openshift-cluster-api_worker-machineset-0.yaml";
const MASTER: &str = "99_openshift-cluster-api_master-machines-0.yaml";
const STREAM: &str = "machineconfiguration.openshift.io/osstream: rhel-10";

fn cluster() -> Cluster {
    Cluster {
        name: "demo".into(),
        infra_id: "demo-abcde".into(),
        cluster_id: "3f2d4f5e-9a1b-4c6d-8e7f-0a1b2c3d4e5f".into(),
        region: "us-west-2".into(),
    }
}

/// Returns the manifests of a release for the cluster of a desk.
fn of_release(release: &str) -> InstallerAssets {
    InstallerAssets::recorded(release, "sno")
        .replace("", "sno-abcde", "demo-abcde")
        .replace("", "us-east-1", "us-west-2")
        .replace(MASTER, "      - name: demo-abcde-ext\n        type: network\n", "")
        .replace(
            MASTER,
            "metadataServiceOptions: {}",
            "metadataServiceOptions:\n        authentication: Required",
        )
}

/// Writes the folders of `openshift-install create manifests`.
fn create_manifests(desk: &Desk, assets: &InstallerAssets) {
    for folder in ["assets/manifests", "assets/openshift"] {
        fs::create_dir_all(desk.path(folder)).unwrap();
    }
    let infrastructure = "kind: Infrastructure\nstatus:\n  infrastructureName: demo-abcde\n";
    let file = "assets/manifests/cluster-infrastructure-02-config.yml";
    fs::write(desk.path(file), infrastructure).unwrap();
    for (name, text) in &assets.manifests {
        fs::write(desk.path(&format!("assets/openshift/{name}")), text).unwrap();
    }
}

/// Consumes the folder of the manifests, as `openshift-install create ignition-configs` does.
fn create_ignition_configs(desk: &Desk) {
    let folder = desk.path("assets/openshift");
    let mut assets = InstallerAssets::without_machines();
    assets.is_cluster_api = true;
    for entry in fs::read_dir(&folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        assets = assets.with(&name, fs::read_to_string(entry.path()).unwrap());
    }
    fs::remove_dir_all(&folder).unwrap();
    assets.write(&desk.path("assets"), &cluster());
}

#[test]
fn c81_assets_of_a_later_release_are_refused_before_the_first_change() {
    let desk = Desk::new();
    of_release("main").write(&desk.path("main"), &cluster());
    of_release("4.15").write(&desk.path("fitting"), &cluster());
    for command in [
        &["plan", "--assets", "main", "--out", "main.plan"][..],
        &["apply", "--assets", "main", "--auto-approve"],
    ] {
        let refused = desk.expect(7, command);
        for part in [
            "error[assets-differ]: the machines in bootstrap.ign do not fit the plan",
            "subnets: the assets name `demo-abcde-subnet-private-us-west-2a`, the plan has \
             `demo-abcde-private-us-west-2a`",
            "security groups: the assets name `demo-abcde-controlplane`, `demo-abcde-lb`, \
             `demo-abcde-node`, the plan has",
            "the assets are of openshift-install 4.16 or later",
            "groundplan manifests --out DIR --force",
        ] {
            assert!(refused.err.contains(part), "{part}: {}", refused.err);
        }
        assert_eq!(refused.err.matches("subnets: ").count(), 1, "{}", refused.err);
        assert_eq!(desk.cloud.mutating_calls(), 0, "{command:?}");
    }
    assert!(!desk.path("main.plan").exists());

    let planned = desk.expect(0, &["plan", "--assets", "fitting", "--out", "fitting.plan"]);
    assert!(planned.out.contains("cluster demo (demo-abcde)"), "{}", planned.out);
    desk.expect(0, &["apply", "--assets", "fitting", "fitting.plan", "--auto-approve"]);
    assert!(desk.cloud.mutating_calls() > 0);

    // Once the bootstrap is removed, the machines no longer depend on the assets.
    desk.expect(7, &["plan", "--assets", "main"]);
    desk.expect(0, &["bootstrap", "destroy", "--auto-approve"]);
    desk.expect(0, &["plan", "--assets", "main"]);
}

#[test]
fn c82_manifests_over_those_of_a_later_release_fit_and_keep_its_labels() {
    let desk = Desk::new();
    create_manifests(&desk, &of_release("main"));
    let differ = desk.expect(7, &["manifests", "--out", "assets"]);
    assert!(differ.err.contains("error[manifests-differ]"), "{}", differ.err);
    desk.expect(0, &["manifests", "--out", "assets", "--force"]);
    for file in [MASTER, WORKERS] {
        let text = fs::read_to_string(desk.path(&format!("assets/openshift/{file}"))).unwrap();
        assert!(text.contains(STREAM), "{text}");
        assert!(!text.contains("subnet-private"), "{text}");
    }
    let again = desk.expect(0, &["manifests", "--out", "assets"]);
    assert!(again.out.contains("Wrote 0 files"), "{}", again.out);
    create_ignition_configs(&desk);
    desk.expect(0, &["plan", "--assets", "assets"]);
}

#[test]
fn c82_machine_sets_of_the_cluster_api_get_no_others_beside_them() {
    let desk = Desk::new();
    let file = "99_openshift-cluster-api_worker-capi-machineset-0.yaml";
    let set = "apiVersion: cluster.x-k8s.io/v1beta2\nkind: MachineSet\n\
               metadata: {name: demo-abcde-worker-us-west-2a}\n";
    create_manifests(&desk, &InstallerAssets::without_machines().with(file, set));
    for force in [&[][..], &["--force"]] {
        let refused = desk.expect(7, &[&["manifests", "--out", "assets"], force].concat());
        for part in [
            "error[workers-doubled]",
            &format!("Cluster API: MachineSet `demo-abcde-worker-us-west-2a` in {file}"),
            &format!("Machine API, to be written: {WORKERS}"),
        ] {
            assert!(refused.err.contains(part), "{part}: {}", refused.err);
        }
    }
    assert_eq!(fs::read_dir(desk.path("assets/openshift")).unwrap().count(), 1);
}

#[test]
fn a_malformed_manifest_in_the_assets_is_named_and_never_quoted() {
    let desk = Desk::new();
    let broken =
        format!("apiVersion: machine.openshift.io/v1beta1\nkind: [{}\n", super::PULL_SECRET);
    of_release("4.15").with("99_broken.yaml", broken).write(&desk.path("assets"), &cluster());
    let refused = desk.expect(3, &["plan", "--assets", "assets"]);
    let expected = "/opt/openshift/openshift/99_broken.yaml in bootstrap.ign: document 1 is not";
    assert!(refused.err.contains(expected), "{}", refused.err);
    assert!(!format!("{refused:?}").contains(super::PULL_SECRET));
}
