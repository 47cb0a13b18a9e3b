//! Tests of the manifests in `deploy/machine-controller/`. The roles are compared with all requests
//! that the controllers send to an API server during the life of a few machines.

use std::collections::BTreeSet;
use std::sync::Arc;

use groundplan_engine::provider::ErrorClass;
use groundplan_engine::test_support::When;
use groundplan_openshift::machine_api::types::NAMESPACE;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::lease::{LeaderCandidate, LeaseTerms, ORIGINALS};
use super::machine_set::DELETE_ANNOTATION;
use super::tests::bench::Bench;

const ACCOUNT: &str = include_str!("../../../deploy/machine-controller/base/service-account.yaml");
const ROLE: &str = include_str!("../../../deploy/machine-controller/base/role.yaml");
const CLUSTER_ROLE: &str =
    include_str!("../../../deploy/machine-controller/base/cluster-role.yaml");
const DEPLOYMENT: &str = include_str!("../../../deploy/machine-controller/base/deployment.yaml");
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/machine-controller");

/// Lease that the role allows the controller to hold.
const LEASE: &str = "groundplan-machine-controller";

/// Returns the objects of a file, in order.
fn objects(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

/// Returns the first object of a file below the folder of the manifests.
fn read(file: &str) -> Value {
    let text = std::fs::read_to_string(format!("{FOLDER}/{file}"));
    objects(&text.unwrap_or_else(|error| panic!("{file}: {error}")))[0].clone()
}

fn pod() -> Value {
    objects(DEPLOYMENT)[0]["spec"]["template"]["spec"].clone()
}

/// Access that a request needs, in the terms of RBAC rules.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Access {
    group: String,
    resource: String,
    verb: &'static str,
    namespace: String,
    name: String,
}

impl Access {
    /// Returns the access for a request line such as `PATCH /apis/…/machines/m/status`.
    fn of(line: &str) -> Self {
        let (method, path) = line.split_once(' ').unwrap();
        let path = path.split('?').next().unwrap();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, rest) = match parts.as_slice() {
            ["api", _, rest @ ..] => ("", rest),
            ["apis", group, _, rest @ ..] => (*group, rest),
            other => panic!("{other:?}"),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] => (*namespace, rest),
            rest => ("", rest),
        };
        let (resource, name) = match rest {
            [plural] => ((*plural).to_owned(), ""),
            [plural, name] => ((*plural).to_owned(), *name),
            [plural, name, part] => (format!("{plural}/{part}"), *name),
            other => panic!("{other:?}"),
        };
        let verb = match (method, name) {
            ("GET", "") => "list",
            ("GET", _) => "get",
            ("WATCH", _) => "watch",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", _) => "delete",
            other => panic!("{other:?}"),
        };
        let [group, namespace, name] = [group, namespace, name].map(str::to_owned);
        Self { group, resource, verb, namespace, name }
    }

    fn is_allowed_by(&self, rule: &Value) -> bool {
        let has = |field: &str, value: &str| {
            rule[field].as_array().is_some_and(|all| all.iter().any(|one| one == value))
        };
        has("apiGroups", &self.group)
            && has("resources", &self.resource)
            && has("verbs", self.verb)
            && (rule.get("resourceNames").is_none() || has("resourceNames", &self.name))
    }

    fn is_allowed(&self) -> bool {
        let allows = |role: &Value| {
            role["rules"].as_array().unwrap().iter().any(|rule| self.is_allowed_by(rule))
        };
        let own = self.namespace == NAMESPACE && allows(&objects(ROLE)[0]);
        own || allows(&objects(CLUSTER_ROLE)[0])
    }
}

/// Runs a scenario and returns its requests. A set adopts a machine, creates others and scales
/// down. Nodes are linked, drained and deleted. One process leads.
async fn a_life() -> Vec<String> {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    bench.cluster.add_node("n");
    bench.cluster.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "apps", "labels": {"app": "web"}, "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "o", "uid": "u", "controller": true}]},
        "spec": {"nodeName": "n", "containers": []},
    }));
    let stop = CancellationToken::new();
    let health = Arc::clone(&bench.health);
    let candidate = LeaderCandidate::new(
        bench.cluster.client(),
        (NAMESPACE, LEASE),
        "pod",
        LeaseTerms::default(),
        Arc::clone(&health),
    )
    .in_place_of(&ORIGINALS);
    let until = stop.clone();
    let leading = tokio::spawn(async move {
        candidate.lead(&until, |_| until.clone().cancelled_owned()).await.unwrap()
    });
    let class = ErrorClass::Retryable;
    bench.ec2.fail("create", 6, When::Before, class, "InsufficientInstanceCapacity");
    let looking = bench.start_all_until(stop.clone());

    let cluster = &bench.cluster;
    let template = cluster.get("machines", NAMESPACE, "m").unwrap();
    let labels = template["metadata"]["labels"].clone();
    cluster.put(json!({
        "apiVersion": "machine.openshift.io/v1beta1", "kind": "MachineSet",
        "metadata": {"name": "s", "namespace": NAMESPACE},
        "spec": {"replicas": 3, "selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels}, "spec": template["spec"]}},
    }));
    bench.until("three", |bench| bench.ec2.names().len() == 3).await;
    bench.until("an id", |bench| bench.machine("m").unwrap().spec.provider_id.is_some()).await;
    let id = bench.machine("m").unwrap().spec.provider_id;
    cluster.change("nodes", "", "n", &json!({"spec": {"providerID": id}}));
    bench.until("running", |bench| bench.phase("m") == "Running").await;
    let mark = json!({"metadata": {"annotations": {DELETE_ANNOTATION: "yes"}}});
    cluster.change("machines", NAMESPACE, "m", &mark);
    cluster.change("machinesets", NAMESPACE, "s", &json!({"spec": {"replicas": 1}}));
    bench.until("one", |bench| bench.ec2.names().len() == 1).await;
    bench.until("a Node gone", |bench| bench.cluster.get("nodes", "", "n").is_none()).await;
    tokio::time::sleep(LeaseTerms::default().retry * 3).await; // the Lease is renewed
    stop.cancel();
    leading.await.unwrap();
    looking.await.unwrap();
    cluster.requests()
}

#[tokio::test(start_paused = true)]
async fn the_roles_allow_what_is_done_and_nothing_else() {
    let done: BTreeSet<Access> = a_life().await.iter().map(|line| Access::of(line)).collect();
    for access in &done {
        assert!(access.is_allowed(), "{access:?}");
    }
    let mut unused = Vec::new();
    for role in [&objects(ROLE)[0], &objects(CLUSTER_ROLE)[0]] {
        for rule in role["rules"].as_array().unwrap() {
            for verb in rule["verbs"].as_array().unwrap() {
                for resource in rule["resources"].as_array().unwrap() {
                    let one = json!({"apiGroups": rule["apiGroups"], "resources": [resource],
                                     "verbs": [verb]});
                    if !done.iter().any(|access| access.is_allowed_by(&one)) {
                        unused.push(format!("{verb} {resource}").replace('"', ""));
                    }
                }
            }
        }
    }
    // The API server needs the first permission to admit owner references. The controller uses the
    // second one at its start.
    assert_eq!(unused, ["update machinesets/finalizers", "get infrastructures"]);
}

#[test]
fn what_is_not_in_a_role_is_not_allowed() {
    for line in [
        "GET /api/v1/namespaces/openshift-machine-api/secrets",
        "GET /api/v1/namespaces/kube-system/secrets/s",
        "PATCH /api/v1/nodes/n/status",
        "DELETE /api/v1/namespaces/apps/pods/p",
        "PUT /apis/coordination.k8s.io/v1/namespaces/openshift-machine-api/leases/another",
        "DELETE /apis/machine.openshift.io/v1beta1/namespaces/openshift-machine-api/machinesets/s",
        "DELETE /apis/machine.openshift.io/v1beta1/namespaces/elsewhere/machines/m",
    ] {
        assert!(!Access::of(line).is_allowed(), "{line}");
    }
}

#[test]
fn its_parts_belong_together() {
    let (account, deployment) = (&objects(ACCOUNT)[0], &objects(DEPLOYMENT)[0]);
    let (namespace, name) = (&account["metadata"]["namespace"], &account["metadata"]["name"]);
    assert_eq!(*namespace, NAMESPACE);
    assert_eq!(pod()["serviceAccountName"], *name);
    for text in [ROLE, CLUSTER_ROLE] {
        let [role, binding] = objects(text).try_into().unwrap();
        assert_eq!(binding["roleRef"]["kind"], role["kind"]);
        assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
        let subject = json!([{"kind": "ServiceAccount", "name": name, "namespace": namespace}]);
        assert_eq!(binding["subjects"], subject);
    }
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(deployment["spec"]["selector"]["matchLabels"], *labels);
}

/// Each selector by label selects these pods, and each port has their name.
#[test]
fn traffic_metrics_and_evictions_are_those_of_the_pods() {
    let labels = &objects(DEPLOYMENT)[0]["spec"]["template"]["metadata"]["labels"];
    let port = &pod()["containers"][0]["ports"][0]["name"];
    let budget = read("base/disruption-budget.yaml");
    assert_eq!(budget["spec"]["selector"]["matchLabels"], *labels);
    assert_eq!(budget["spec"]["maxUnavailable"], 1, "one of two acts");
    let service = read("base/service.yaml");
    assert_eq!(service["spec"]["selector"], *labels);
    assert_eq!(service["spec"]["ports"][0]["targetPort"], *port);
    let policy = read("base/network-policy.yaml");
    assert_eq!(policy["spec"]["podSelector"]["matchLabels"], *labels);
    assert_eq!(policy["spec"]["ingress"][0]["ports"][0]["port"], *port);
    // The patch replaces the list of rules, so it names the port, too.
    let patched = read("openshift/network-policy.yaml")["spec"]["ingress"].clone();
    assert_eq!(patched.as_array().unwrap().len(), 1);
    assert_eq!(patched[0]["ports"], policy["spec"]["ingress"][0]["ports"]);
    let from = json!([{"namespaceSelector": {"matchLabels": {
        "kubernetes.io/metadata.name": "openshift-monitoring"}}}]);
    assert_eq!(patched[0]["from"], from, "metrics have no authentication");
    let monitor = read("openshift/pod-monitor.yaml");
    assert_eq!(monitor["spec"]["selector"]["matchLabels"], *labels);
    assert_eq!(monitor["spec"]["podMetricsEndpoints"][0]["port"], *port);
}

/// A file that no kustomization names is never applied, and a patch of another name changes nothing.
#[test]
fn every_file_is_applied_and_every_patch_is_of_an_object_of_the_base() {
    let bases = [objects(DEPLOYMENT)[0].clone(), read("base/network-policy.yaml")];
    for folder in ["base", "openshift", "kubernetes", "crds"] {
        let kustomization = read(&format!("{folder}/kustomization.yaml"));
        let mut named: BTreeSet<String> = ["kustomization.yaml".to_owned()].into();
        for resource in kustomization["resources"].as_array().unwrap() {
            let path = resource.as_str().unwrap();
            match path.strip_prefix("../") {
                Some(other) => drop(read(&format!("{other}/kustomization.yaml"))),
                None => drop(named.insert(path.to_owned())),
            }
        }
        for patch in kustomization["patches"].as_array().into_iter().flatten() {
            let path = patch["path"].as_str().unwrap();
            named.insert(path.to_owned());
            let patch = read(&format!("{folder}/{path}"));
            let base = bases.iter().find(|base| base["kind"] == patch["kind"]).unwrap();
            assert_eq!(patch["metadata"]["name"], base["metadata"]["name"]);
            let spec = &patch["spec"]["template"]["spec"];
            for container in spec["containers"].as_array().into_iter().flatten() {
                assert_eq!(container["name"], pod()["containers"][0]["name"]);
            }
        }
        let files = std::fs::read_dir(format!("{FOLDER}/{folder}")).unwrap();
        let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        assert_eq!(files.collect::<BTreeSet<_>>(), named, "{folder}");
    }
}

/// AWS and the API server are reached through the proxy of the cluster and trusted by its
/// certificates.
#[test]
fn certificates_of_the_cluster_are_where_the_program_looks() {
    let patch = read("openshift/deployment.yaml")["spec"]["template"]["spec"].clone();
    let (mount, volume) = (&patch["containers"][0]["volumeMounts"][0], &patch["volumes"][0]);
    assert_eq!(mount["name"], volume["name"]);
    let item = &volume["configMap"]["items"][0];
    let path =
        format!("{}/{}", mount["mountPath"].as_str().unwrap(), item["path"].as_str().unwrap());
    assert_eq!(path, "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem");
    let config = read("openshift/trusted-ca.yaml");
    assert_eq!(config["metadata"]["name"], volume["configMap"]["name"]);
    assert_eq!(config["metadata"]["labels"]["config.openshift.io/inject-trusted-cabundle"], "true");
}

#[test]
fn two_run_without_privileges_and_are_probed_where_they_listen() {
    assert_eq!(objects(DEPLOYMENT)[0]["spec"]["replicas"], 2);
    let pod = pod();
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let container = &pod["containers"][0];
    let security = &container["securityContext"];
    assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["allowPrivilegeEscalation"], false);
    let port = &container["ports"][0];
    let listens = format!("--listen=0.0.0.0:{}", port["containerPort"]);
    assert!(container["args"].as_array().unwrap().contains(&json!(listens)));
    for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
        let asked = json!({"path": path, "port": port["name"]});
        assert_eq!(container[probe]["httpGet"], asked);
    }
}

/// Arguments and environment variables are visible to other users, so secrets come as files.
#[test]
fn no_secret_is_in_arguments_or_environment() {
    let container = pod()["containers"][0].clone();
    for variable in container["env"].as_array().unwrap() {
        assert!(variable["valueFrom"].get("secretKeyRef").is_none(), "{variable}");
    }
    assert!(container.get("envFrom").is_none());
    let patch = read("openshift/deployment.yaml")["spec"]["template"]["spec"].clone();
    for source in patch["containers"][0]["envFrom"].as_array().unwrap() {
        assert!(source.get("secretRef").is_none(), "{source}");
    }
    let mounts = container["volumeMounts"].as_array().unwrap();
    assert!(mounts.iter().all(|mount| mount["readOnly"] == true));
    let volumes = pod()["volumes"].clone();
    let names = |list: &Value| -> Vec<Value> {
        list.as_array().unwrap().iter().map(|one| one["name"].clone()).collect()
    };
    assert_eq!(names(&volumes), names(&container["volumeMounts"]));
}
