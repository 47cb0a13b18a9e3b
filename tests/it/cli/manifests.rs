//! The Machine API manifests, written over those of openshift-install.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::Desk;

const MASTER: &str = "99_openshift-cluster-api_master-machines-0.yaml";
const WORKERS: &str = "99_openshift-cluster-api_worker-machineset-0.yaml";

/// Writes the files of `openshift-install create manifests` that groundplan reads.
fn create_manifests(desk: &Desk, infra_id: &str) {
    for folder in ["assets/manifests", "assets/openshift"] {
        fs::create_dir_all(desk.path(folder)).unwrap();
    }
    let infrastructure =
        format!("kind: Infrastructure\nstatus:\n  infrastructureName: {infra_id}\n");
    let file = "assets/manifests/cluster-infrastructure-02-config.yml";
    fs::write(desk.path(file), infrastructure).unwrap();
}

/// Writes the files of `openshift-install create ignition-configs`.
fn create_ignition_configs(desk: &Desk, infra_id: &str) {
    for role in ["bootstrap", "master", "worker"] {
        let ignition = json!({"ignition": {"version": "3.2.0"}, "canary": super::PULL_SECRET});
        fs::write(desk.path(&format!("assets/{role}.ign")), ignition.to_string()).unwrap();
    }
    let metadata = json!({"clusterName": "demo", "clusterID": "3f2d4f5e-9a1b-4c6d-8e7f-0a1b2c3d4e5f",
        "infraID": infra_id, "aws": {"region": "us-west-2"}});
    fs::write(desk.path("assets/metadata.json"), metadata.to_string()).unwrap();
}

#[test]
fn manifests_go_over_the_installers_and_the_plan_is_of_the_same_machines() {
    let desk = Desk::new();
    create_manifests(&desk, "demo-abcde");
    let ran = desk.expect(0, &["manifests", "--out", "assets"]);
    assert!(
        ran.out.contains("Wrote 2 files of cluster demo-abcde to assets/openshift."),
        "{}",
        ran.out
    );
    assert!(ran.err.contains("the user-data Secrets stay as openshift-install wrote them"));
    let path = |file: &str| desk.path(&format!("assets/openshift/{file}"));
    let master = fs::read_to_string(path(MASTER)).unwrap();
    assert!(
        master.contains("metadataServiceOptions:\n        authentication: Required\n"),
        "{master}"
    );
    assert!(!desk.path("state").exists(), "nothing is recorded");
    assert_eq!(desk.cloud.mutating_calls(), 0);

    let again = desk.expect(0, &["manifests", "--out", "assets/openshift", "--json"]).lines();
    let fates: Vec<_> = again.iter().filter(|line| line["type"] == "manifest").collect();
    assert!(fates.iter().all(|line| line["fate"] == "unchanged") && fates.len() == 2, "{again:?}");

    create_ignition_configs(&desk, "demo-abcde");
    let plan = desk.expect(0, &["plan", "--full", "--assets", "assets"]).out;
    assert!(plan.contains("cluster demo (demo-abcde)"), "{plan}");
    assert!(plan.contains("metadata_options.http_tokens: \"required\""), "{plan}");
}

#[test]
fn what_says_something_else_is_kept_unless_it_is_forced_and_what_is_left_over_is_told() {
    let desk = Desk::new();
    create_manifests(&desk, "demo-abcde");
    desk.expect(0, &["manifests", "--out", "assets"]);
    let path = |file: &str| desk.path(&format!("assets/openshift/{file}"));
    fs::write(path(WORKERS), "mine\n").unwrap();
    fs::write(path("99_openshift-cluster-api_worker-machineset-1.yaml"), "old\n").unwrap();
    let refused = desk.expect(7, &["manifests", "--out", "assets"]);
    assert!(refused.err.contains(WORKERS) && refused.err.contains("--force"), "{}", refused.err);
    assert_eq!(fs::read_to_string(path(WORKERS)).unwrap(), "mine\n");
    let forced = desk.expect(0, &["manifests", "--out", "assets", "--force"]);
    assert!(
        forced.out.contains(&format!("changed    assets/openshift/{WORKERS}")),
        "{}",
        forced.out
    );
    assert!(forced.err.contains("machineset-1.yaml belongs to machines"), "{}", forced.err);
}

#[test]
fn nobodys_infra_id_is_made_up_and_two_must_agree() {
    let desk = Desk::new();
    let nobody = desk.expect(1, &["manifests", "--out", "machines"]);
    assert!(nobody.err.contains("the infra ID of demo is not known yet"), "{}", nobody.err);
    assert!(!desk.path("machines").exists());
    desk.expect(0, &["plan"]);
    desk.expect(1, &["manifests", "--out", "machines"]); // a plan records nothing
    desk.expect(0, &["apply", "--auto-approve", "--target", "dhcp_options.main"]);
    desk.expect(0, &["manifests", "--out", "machines"]);
    create_manifests(&desk, "demo-other");
    let other = desk.expect(1, &["manifests", "--out", "assets"]);
    assert!(other.err.contains("manifests: demo-other"), "{}", other.err);
}

#[test]
fn user_data_is_for_its_owner_alone_and_in_nothing_that_is_said() {
    let desk = Desk::new();
    fs::create_dir(desk.path("assets")).unwrap();
    create_ignition_configs(&desk, "demo-abcde");
    let ran = desk.expect(0, &["manifests", "--out", "machines", "--assets", "assets", "--json"]);
    assert!(!format!("{ran:?}").contains(super::PULL_SECRET));
    let secret = desk.path("machines/99_openshift-cluster-api_worker-user-data-secret.yaml");
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&secret).unwrap().contains("name: worker-user-data\n"));
}

#[test]
fn a_folder_is_checked_as_a_whole_and_its_secrets_are_no_surprise() {
    let desk = Desk::new();
    fs::create_dir(desk.path("assets")).unwrap();
    create_ignition_configs(&desk, "demo-abcde");
    desk.expect(0, &["manifests", "--out", "machines", "--assets", "assets"]);
    let checked = desk.expect(0, &["manifests", "check", "machines"]);
    assert!(
        checked.out.contains(&format!("machines/{WORKERS} is valid: 1 object.")),
        "{checked:?}"
    );
    assert_eq!(checked.err, "", "nothing is said of the Secrets");
    let secret = "machines/99_openshift-cluster-api_worker-user-data-secret.yaml";
    let alone = desk.expect(0, &["manifests", "check", secret]);
    assert!(alone.err.contains("has no Machine, MachineSet or"), "{}", alone.err);
    let file = desk.path(&format!("machines/{WORKERS}"));
    let text = fs::read_to_string(&file).unwrap();
    let odd = text.replace("metadataServiceOptions: {}", "metadataServiceOption: {}");
    assert_ne!(odd, text);
    fs::write(&file, odd).unwrap();
    let refused = desk.expect(3, &["manifests", "check", "machines"]);
    assert!(refused.err.contains("did you mean `metadataServiceOptions`?"), "{}", refused.err);
    let planned = desk.expect(3, &["machines", "plan", "--manifests", "machines"]);
    assert!(planned.err.contains("did you mean `metadataServiceOptions`?"), "{}", planned.err);
}

#[test]
fn a_word_that_the_cluster_would_refuse_is_found_in_its_file() {
    let desk = Desk::new();
    create_manifests(&desk, "demo-abcde");
    desk.expect(0, &["manifests", "--out", "assets"]);
    let file = format!("assets/openshift/{WORKERS}");
    let valid = desk.expect(0, &["manifests", "check", &file]);
    assert!(valid.out.contains(&format!("{file} is valid: 1 object.")), "{}", valid.out);
    let text = fs::read_to_string(desk.path(&file)).unwrap();
    let options = "metadataServiceOptions: {}";
    let odd = text.replace(options, "metadataServiceOptions: {authentication: required}");
    assert_ne!(odd, text);
    fs::write(desk.path(&file), odd).unwrap();
    let refused = desk.expect(3, &["manifests", "check", &file]);
    let place = text.lines().position(|line| line.contains(options)).unwrap() + 1;
    assert!(refused.err.contains(&format!("{file}:{place}:")), "{}", refused.err);
    assert!(refused.err.contains("did you mean `Required`?"), "{}", refused.err);
    let missing = desk.expect(3, &["manifests", "check", "nowhere.yaml"]);
    assert!(missing.err.contains("could not read nowhere.yaml"), "{}", missing.err);
    desk.expect(64, &["manifests"]);
}

#[test]
fn a_schema_is_asked_for_by_the_kind_as_its_manifests_spell_it() {
    let desk = Desk::new();
    let schema = desk.expect(0, &["schema", "--of", "machine-set"]).out;
    for spelling in ["MachineSet", "machineset", "Machine-Set"] {
        assert_eq!(desk.expect(0, &["schema", "--of", spelling]).out, schema, "{spelling}");
    }
    let refused = desk.expect(64, &["schema", "--of", "Secret"]);
    assert!(refused.err.contains("machine-set"), "{}", refused.err);
}
