//! Tests of the manifests in `deploy/termination-handler/`. The numbers refer to the cases in
//! `docs/cases.md`.

use serde_json::{Value, json};

const DAEMON_SET: &str = include_str!("../../../../deploy/termination-handler/daemon-set.yaml");
const SERVICE_ACCOUNT: &str =
    include_str!("../../../../deploy/termination-handler/service-account.yaml");
const CONSTRAINTS: &str = include_str!("../../../../deploy/termination-handler/scc.yaml");
const KUSTOMIZATION: &str =
    include_str!("../../../../deploy/termination-handler/kustomization.yaml");

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn pod() -> Value {
    yaml(DAEMON_SET)["spec"]["template"]["spec"].clone()
}

#[test]
fn c67_it_runs_on_the_network_of_every_machine_that_may_be_interrupted() {
    let pod = pod();
    assert_eq!(pod["hostNetwork"], true);
    let selector = json!({
        "machine.openshift.io/interruptible-instance": "",
        "kubernetes.io/os": "linux",
    });
    assert_eq!(pod["nodeSelector"], selector);
    assert_eq!(pod["tolerations"], json!([{"operator": "Exists", "effect": "NoSchedule"}]));
    assert_eq!(pod["priorityClassName"], "system-node-critical");
}

#[test]
fn c67_it_reads_the_kubelet_s_credentials_and_has_none_of_its_own() {
    let pod = pod();
    let [container] = pod["containers"].as_array().unwrap().as_slice() else { panic!("not one") };
    let mounts = container["volumeMounts"].as_array().unwrap();
    let paths: Vec<_> = mounts.iter().map(|mount| mount["mountPath"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/var/lib/kubelet/kubeconfig", "/var/lib/kubelet/pki"]);
    assert!(mounts.iter().all(|mount| mount["readOnly"] == true));
    let volumes = pod["volumes"].as_array().unwrap();
    let of = |name: &Value| volumes.iter().find(|volume| volume["name"] == *name).unwrap();
    for mount in mounts {
        assert_eq!(of(&mount["name"])["hostPath"]["path"], mount["mountPath"]);
    }
    assert_eq!(volumes.len(), 2);
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(yaml(SERVICE_ACCOUNT)["automountServiceAccountToken"], false);
}

#[test]
fn c67_it_knows_its_node_from_its_pod() {
    let env = pod()["containers"][0]["env"].clone();
    let name =
        json!({"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}});
    let config = json!({"name": "KUBECONFIG", "value": "/var/lib/kubelet/kubeconfig"});
    assert_eq!(env, json!([name, config]));
}

#[test]
fn its_parts_belong_together() {
    let (set, account, constraints) = (yaml(DAEMON_SET), yaml(SERVICE_ACCOUNT), yaml(CONSTRAINTS));
    let (namespace, name) = (&account["metadata"]["namespace"], &account["metadata"]["name"]);
    assert_eq!(set["metadata"]["namespace"], *namespace);
    assert_eq!(pod()["serviceAccountName"], *name);
    let user =
        format!("system:serviceaccount:{}:{}", namespace.as_str().unwrap(), name.as_str().unwrap());
    assert_eq!(constraints["users"], json!([user]));
    assert_eq!(
        set["spec"]["selector"]["matchLabels"],
        set["spec"]["template"]["metadata"]["labels"]
    );
    let files = json!(["service-account.yaml", "scc.yaml", "daemon-set.yaml"]);
    assert_eq!(yaml(KUSTOMIZATION)["resources"], files);
}

#[test]
fn what_it_needs_is_allowed_and_nothing_else_is() {
    let constraints = yaml(CONSTRAINTS);
    for (field, allowed) in [
        ("allowHostNetwork", true),
        ("allowHostPorts", true),
        ("allowHostDirVolumePlugin", true),
        ("allowHostIPC", false),
        ("allowHostPID", false),
        ("allowPrivilegedContainer", false),
        ("allowPrivilegeEscalation", false),
    ] {
        assert_eq!(constraints[field], allowed, "{field}");
    }
    let security = &pod()["containers"][0]["securityContext"];
    assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(security["readOnlyRootFilesystem"], true);
}
