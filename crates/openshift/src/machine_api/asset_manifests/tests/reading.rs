use std::fs;

use super::*;

const CANARY: &str = "CanaryOfASecret";

#[test]
fn a_version_in_the_assets_is_their_release() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: openshift-install-manifests}\n\
               data: {invoker: user, version: VERSION}\n";
    let release = |version: &str| {
        let assets = InstallerAssets::recorded("main", "sno");
        let assets =
            assets.with("openshift-install-manifests.yaml", map.replace("VERSION", version));
        fit(&world("sno"), &assets).unwrap().release.unwrap()
    };
    assert_eq!(release("v4.20.3"), "openshift-install 4.20.3");
    assert_eq!(release("unreleased-master-1-gabc"), "openshift-install unreleased-master-1-gabc");
    assert_eq!(release(&format!("'{CANARY} {CANARY}'")), "openshift-install 4.16 or later");
}

#[test]
fn a_malformed_manifest_is_named_and_never_quoted() {
    let file = "99_openshift-cluster-api_worker-machineset-9.yaml";
    let path = format!("/opt/openshift/openshift/{file} in bootstrap.ign");
    let broken = format!("a: 1\n---\napiVersion: machine.openshift.io/v1beta1\nkind: [{CANARY}\n");
    let wrong = format!(
        "apiVersion: machine.openshift.io/v1beta1\nkind: MachineSet\nspec: {{replicas: {CANARY}}}\n"
    );
    for (text, expected) in [
        (broken, "document 2 is not valid YAML (line "),
        (wrong, "a field of the MachineSet has a wrong type"),
    ] {
        let assets = InstallerAssets::recorded("4.15", "sno").with(file, text);
        let error = fit(&world("sno"), &assets).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains(CANARY), "{text}");
        assert!(error.to_string().starts_with(&format!("{path}: {expected}")), "{error}");
    }
    // A Secret is not parsed, even if it is damaged.
    let secret = format!("kind: Secret\ndata: {{a: {CANARY}\n");
    let assets = InstallerAssets::recorded("4.15", "sno").with("99_kubeadmin.yaml", secret);
    assert_eq!(said(&world("sno"), &assets), Vec::<String>::new());
}

#[test]
fn values_that_may_be_secrets_are_not_shown() {
    let pem = "-----BEGIN PRIVATE KEY-----CanaryOfASecret";
    let assets = InstallerAssets::recorded("4.15", "plain")
        .replace("machineset-0", "- plain-abcde-worker-sg", &format!("- '{pem}'"))
        .replace("machineset-1", "- plain-abcde-private-us-east-1b", &format!("- '{pem}'"))
        .replace(
            "machineset-1",
            "  name: plain-abcde-worker-us-east-1b",
            &format!("  name: '{pem}'"),
        );
    let fit = fit(&world("plain"), &assets).unwrap();
    assert_eq!(fit.differences.len(), 2);
    let text = format!("{fit:?} {:?}", said(&world("plain"), &assets));
    assert!(!text.contains(CANARY) && text.contains("not shown here"), "{text}");
}

#[test]
fn manifests_beside_the_assets_are_a_warning_if_the_cluster_does_not_get_them() {
    let folder = tempfile::tempdir().unwrap();
    let manifests = folder.path().join("openshift");
    fs::create_dir(&manifests).unwrap();
    let assets = InstallerAssets::recorded("4.15", "plain");
    for (name, text) in &assets.manifests {
        fs::write(manifests.join(name), text).unwrap();
    }
    fs::write(manifests.join("99_secret.yaml"), format!("kind: Secret\ndata: {CANARY}\n")).unwrap();
    let warnings = || fit_in(folder.path(), &world("plain"), &assets).unwrap().warnings;
    assert_eq!(warnings(), Vec::<String>::new(), "the same as in bootstrap.ign");
    let (name, text) = &assets.manifests[3];
    let other = text.replace("metadataServiceOptions: {}", "metadataServiceOptions: {a: b}");
    assert_ne!(*text, other);
    fs::write(manifests.join(name), other).unwrap();
    let said = warnings();
    let expected = format!("bootstrap.ign does not have ({name}): the cluster gets those of");
    assert!(said.len() == 1 && said[0].contains(&expected), "{said:?}");
}
