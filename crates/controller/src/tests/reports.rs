//! Tests of the log, the Events and the conditions that the controllers leave.

use std::time::Duration;

use groundplan_engine::provider::ErrorClass;
use groundplan_engine::test_support::When;
use groundplan_openshift::machine_api::types::NAMESPACE;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::bench::{Bench, CANARY};

fn event(bench: &Bench, reason: &str) -> Value {
    let events = bench.cluster.events();
    events.into_iter().find(|event| event["reason"] == reason).unwrap_or_default()
}

fn condition(bench: &Bench, kind: &str) -> Option<(String, String)> {
    let conditions = bench.machine("m")?.status.conditions;
    let found = conditions.into_iter().find(|one| one.kind == kind)?;
    Some((found.status, found.message))
}

#[tokio::test(start_paused = true)]
async fn a_misspelt_metadata_option_is_an_event_and_a_condition_until_it_is_corrected() {
    let bench = Bench::new();
    let misspelt = json!({"metadataServiceOptions": null, "bootMode": "uefi",
                          "metadataServiceOption": {"authentication": "Required"}});
    bench.want("m", &misspelt);
    let controllers = bench.start_all();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    let (status, message) = condition(&bench, "ProviderSpecFieldsKnown").unwrap();
    let expected =
        "spec.providerSpec.value.metadataServiceOption is not a field: the cluster ignores";
    assert!(status == "False" && message.contains(expected), "{message}");
    assert!(message.contains("did you mean `metadataServiceOptions`?"), "{message}");
    assert!(message.contains("value.bootMode is an unknown field"), "{message}");
    let warning = event(&bench, "UnknownField");
    assert_eq!((&warning["type"], &warning["count"]), (&json!("Warning"), &json!(1)));
    assert_eq!(warning["message"], message);
    let corrected = json!({"spec": {"providerSpec": {"value": {
        "metadataServiceOptions": {"authentication": "Required"},
        "metadataServiceOption": null, "bootMode": null}}}});
    bench.cluster.change("machines", NAMESPACE, "m", &corrected);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(condition(&bench, "ProviderSpecFieldsKnown").unwrap().0, "True");
    controllers.abort();
}

/// The webhook of upstream only warns, and its controller does not read the kind.
#[tokio::test(start_paused = true)]
async fn another_kind_of_provider_spec_is_an_event_and_a_condition_and_is_launched() {
    let bench = Bench::new();
    bench.want("m", &json!({"kind": "GCPMachineProviderSpec"}));
    bench.want("legacy", &json!({"apiVersion": "awsproviderconfig.openshift.io/v1beta1"}));
    let controllers = bench.start_all();
    for name in ["m", "legacy"] {
        bench.until("provisioned", |bench| bench.phase(name) == "Provisioned").await;
    }
    let (status, message) = condition(&bench, "ProviderSpecFieldsKnown").unwrap();
    let expected = "expected `machine.openshift.io/v1beta1` and `AWSMachineProviderConfig`";
    assert!(status == "False" && message.contains(expected), "{message}");
    assert!(message.contains("machine.openshift.io/v1beta1, GCPMachineProviderSpec"), "{message}");
    let warning = event(&bench, "UnexpectedKind");
    assert_eq!((&warning["type"], &warning["count"]), (&json!("Warning"), &json!(1)));
    assert_eq!(warning["involvedObject"]["name"], "m");
    assert_eq!(bench.reported(), [format!("Machine m: {message}")], "the legacy group is known");
    controllers.abort();
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_a_misspelt_field_has_no_such_condition() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    let controllers = bench.start_all();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    assert_eq!(condition(&bench, "ProviderSpecFieldsKnown"), None);
    for kind in ["Drainable", "Terminable"] {
        assert_eq!(condition(&bench, kind).unwrap().0, "True", "{kind}");
    }
    assert_eq!(event(&bench, "Update")["type"], "Normal");
    controllers.abort();
}

#[tokio::test(start_paused = true)]
async fn fields_of_provider_conditions_that_no_type_has_survive() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    let conditions = json!([
        {"type": "MachineCreation", "status": "Unknown", "reason": "x", "message": "y",
         "newField": {"deep": 1}},
        {"type": "Theirs", "status": "True", "reason": "r", "message": "m", "extra": [1]},
    ]);
    let status = json!({"status": {"providerStatus": {"conditions": conditions}}});
    bench.cluster.change("machines", NAMESPACE, "m", &status);
    let controllers = bench.start_all();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    let machine = bench.cluster.get("machines", NAMESPACE, "m").unwrap();
    let after = &machine["status"]["providerStatus"]["conditions"];
    assert_eq!(after[0]["newField"], json!({"deep": 1}));
    assert_eq!(after[0]["reason"], "MachineCreationSucceeded");
    assert_eq!(after[1]["extra"], json!([1]));
    controllers.abort();
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_logged_once_and_counted_each_time_and_no_conflict_is_logged() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    let controllers = bench.start_all();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    assert_eq!(bench.reported(), Vec::<String>::new());
    bench.ec2.fail("observe", 5, When::Before, ErrorClass::Permanent, "AuthFailure");
    sleep(Duration::from_secs(300)).await;
    let reported = bench.reported();
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert!(reported[0].starts_with("Machine m: ") && reported[0].contains("AuthFailure"));
    let counted = "mapi_instance_update_failed{name=\"m\",namespace=\"openshift-machine-api\",\
                   reason=\"AuthFailure\"} 5";
    assert!(bench.health.metrics.text().contains(counted), "{}", bench.health.metrics.text());
    let node = json!({"metadata": {"annotations": {"a": "b"}}});
    bench.cluster.somebody_writes_before_the_next(1);
    bench.cluster.change("machines", NAMESPACE, "m", &node);
    sleep(Duration::from_secs(300)).await;
    let all = bench.reported().join("\n");
    assert!(bench.reported().len() == 1 && !all.contains(CANARY) && !all.contains(" {"), "{all}");
    controllers.abort();
}

#[tokio::test(start_paused = true)]
async fn conflicts_in_a_row_slow_down_and_lead_to_a_read() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    let controllers = bench.start_all();
    for beat in 0..800 {
        let patch = json!({"metadata": {"annotations": {"beat": beat.to_string()}}});
        bench.cluster.change("machines", NAMESPACE, "m", &patch);
        sleep(Duration::from_millis(50)).await;
    }
    let requests = bench.cluster.requests();
    let writes =
        requests.iter().filter(|line| line.contains("PATCH ") && line.contains("/machines/m"));
    assert!((5..20).contains(&writes.count()), "{requests:#?}");
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    let reads = requests.iter().filter(|line| {
        line.starts_with("GET ") && line.split('?').next().unwrap().ends_with("/machines/m")
    });
    assert!((1..15).contains(&reads.count()), "{requests:#?}");
    let reported = bench.reported();
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert!(reported[0].contains("writes in a row had conflicts"), "{reported:?}");
    assert_eq!(bench.ec2.launches(), 1);
    controllers.abort();
}

/// AWS gives each response an ID of its own.
#[tokio::test(start_paused = true)]
async fn request_ids_make_no_failure_news_and_are_in_no_condition_or_event() {
    let bench = Bench::new();
    let code = "InsufficientInstanceCapacity";
    bench.ec2.fail("create machine.m", 5, When::Before, ErrorClass::Retryable, code);
    bench.want("m", &json!({}));
    let controllers = bench.start_all();
    sleep(Duration::from_secs(20)).await;
    let patches = |bench: &Bench| {
        let requests = bench.cluster.requests();
        requests.iter().filter(|line| line.contains("machines/m/status")).count()
    };
    assert!(patches(&bench) > 0 && bench.ec2.count("create machine.m") > 2);
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    bench.ec2.fail("observe", 5, When::Before, ErrorClass::Permanent, "AuthFailure");
    sleep(Duration::from_secs(900)).await;
    let reported = bench.reported();
    assert_eq!(reported.len(), 2, "{reported:?}");
    let events = bench.cluster.events();
    let failed = |reason: &str| events.iter().filter(|one| one["reason"] == reason).count();
    assert_eq!((failed("FailedCreate"), failed("FailedUpdate")), (1, 1));
    assert_eq!(event(&bench, "FailedCreate")["count"], 5, "each attempt is counted");
    let counted = format!("reason=\"{code}\"}} 5");
    assert!(bench.health.metrics.text().contains(&counted), "{}", bench.health.metrics.text());
    let machine = bench.cluster.get("machines", NAMESPACE, "m").unwrap();
    for text in [format!("{reported:?}"), json!(events).to_string(), machine.to_string()] {
        assert!(!text.contains("request-") && !text.contains("request id"), "{text}");
    }
    controllers.abort();
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_fails_for_good_is_logged_with_its_reason() {
    let bench = Bench::new();
    bench.want("m", &json!({"placement": {"region": "eu-west-1"}}));
    let controllers = bench.start_all();
    bench.until("failed", |bench| bench.phase("m") == "Failed").await;
    let reported = bench.reported();
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert!(reported[0].contains("placement.region: found `eu-west-1`"), "{reported:?}");
    controllers.abort();
}

#[tokio::test(start_paused = true)]
async fn a_set_that_cannot_be_reconciled_has_an_event_as_upstream() {
    let bench = Bench::new();
    bench.want_set("s");
    let odd = json!({"spec": {"replicas": 0, "selector": {"matchLabels": {"no": "such"}}}});
    bench.cluster.change("machinesets", NAMESPACE, "s", &odd);
    let controllers = bench.start_all();
    sleep(Duration::from_secs(60)).await;
    let warning = event(&bench, "ReconcileError");
    assert_eq!(
        (&warning["type"], &warning["involvedObject"]["kind"]),
        (&json!("Warning"), &json!("MachineSet"))
    );
    assert!(warning["message"].as_str().unwrap().starts_with("spec.template.metadata.labels"));
    controllers.abort();
}

#[tokio::test(start_paused = true)]
async fn the_first_problem_of_a_new_set_with_the_name_of_a_deleted_one_is_logged() {
    let bench = Bench::new();
    let controllers = bench.start_all();
    let invalid = |name: &str| {
        bench.want_set(name);
        let odd = json!({"spec": {"selector": {"matchLabels": {"no": "such"}}}});
        bench.cluster.change("machinesets", NAMESPACE, name, &odd);
    };
    let logged = || {
        let reported = bench.reported();
        reported.iter().filter(|line| line.starts_with("MachineSet s: ")).count()
    };
    invalid("s");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(logged(), 1, "once");
    bench.cluster.delete("machinesets", NAMESPACE, "s");
    sleep(Duration::from_secs(5)).await;
    invalid("s");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(logged(), 2, "{:?}", bench.reported());
    bench.cluster.cut_watches();
    bench.cluster.compact(); // the deletion is noticed by a list
    bench.cluster.delete("machinesets", NAMESPACE, "s");
    sleep(Duration::from_secs(60)).await;
    invalid("s");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(logged(), 3, "{:?}", bench.reported());
    controllers.abort();
}

#[tokio::test(start_paused = true)]
async fn each_machine_that_a_set_creates_or_deletes_is_logged_with_its_reason() {
    let bench = Bench::new();
    bench.want_set("s");
    bench.scale("s", 2);
    let controllers = bench.start_all();
    bench.until("both", |bench| bench.in_phase("Provisioned") == 2).await;
    let machines = bench.cluster.all("machines");
    let name = |one: &Value| one["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let (first, marked) = (name(&machines[0]), name(&machines[1]));
    let of_set = |bench: &Bench| {
        let mut lines = bench.logged();
        lines.retain(|line| line.starts_with("MachineSet s: "));
        lines
    };
    let mut created = of_set(&bench);
    created.sort();
    let expected = [&first, &marked]
        .map(|one| format!("MachineSet s: created Machine {one} (replicas 0 -> 2)"));
    assert_eq!(created, expected);
    let mark = json!({"metadata": {"annotations": {"machine.openshift.io/delete-machine": "1"}}});
    bench.cluster.change("machines", NAMESPACE, &marked, &mark);
    sleep(Duration::from_secs(30)).await;
    bench.scale("s", 1);
    bench.until("one is gone", |bench| bench.machine(&marked).is_none()).await;
    let line = format!(
        "MachineSet s: deleted Machine {marked} (replicas 2 -> 1, delete policy Random: an \
         annotation marks it for deletion)"
    );
    assert_eq!(of_set(&bench)[2..], [line]);
    let change = json!({"spec": {"deletePolicy": "Oldest", "replicas": 0}});
    bench.cluster.change("machinesets", NAMESPACE, "s", &change);
    bench.until("none is left", |bench| bench.cluster.all("machines").is_empty()).await;
    let line = format!(
        "MachineSet s: deleted Machine {first} (replicas 1 -> 0, delete policy Oldest: it is among \
         the oldest)"
    );
    assert_eq!(of_set(&bench)[3..], [line]);
    controllers.abort();
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_waits_is_logged_at_once_and_then_once_a_minute() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    bench.cluster.add_node("n");
    bench.cluster.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "db", "namespace": "apps", "labels": {"app": "db"}},
        "spec": {"nodeName": "n", "containers": []},
    }));
    bench.cluster.protect_pods(Some("db"));
    let controllers = bench.start_all();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    let node = json!({"status": {"nodeRef": {"kind": "Node", "name": "n"}}});
    bench.cluster.change("machines", NAMESPACE, "m", &node);
    bench.delete("m");
    let waits = |bench: &Bench| {
        let mut lines = bench.logged();
        lines.retain(|line| line.contains("waits"));
        lines
    };
    bench.until("it waits", |bench| !waits(bench).is_empty()).await;
    let expected = "Machine m: the drain of Node n waits: 1 pod remains: apps/db is blocked by the \
                    PodDisruptionBudget protected";
    assert_eq!(waits(&bench), [expected]);
    sleep(Duration::from_secs(50)).await;
    assert_eq!(waits(&bench).len(), 1, "ten more steps");
    sleep(Duration::from_secs(170)).await;
    assert_eq!(waits(&bench), [expected; 4]);
    bench.cluster.protect_pods(None);
    bench.until("gone", |bench| bench.machine("m").is_none()).await;
    let logged = bench.logged();
    assert!(logged.contains(&"Machine m: Node n is drained".to_owned()), "{logged:?}");
    controllers.abort();
}

#[tokio::test(start_paused = true)]
async fn each_outage_of_a_watch_is_logged_and_so_is_its_end() {
    let bench = Bench::new();
    let controllers = bench.start_all();
    sleep(Duration::from_secs(30)).await;
    assert_eq!((bench.reported(), bench.logged()), (vec![], vec![]), "the first list is no news");
    for outage in 1..=2 {
        bench.cluster.cut_watches();
        bench.cluster.inject_faults(&[500; 3]); // one for each watch
        sleep(Duration::from_secs(60)).await;
        for kind in ["machines", "machinesets", "nodes"] {
            let line = format!("{kind}: the watch failed: trouble (status 500)");
            let failed = bench.reported().iter().filter(|one| **one == line).count();
            let again = format!("{kind}: listed and watched again");
            let ended = bench.logged().iter().filter(|line| **line == again).count();
            assert_eq!((failed, ended), (outage, outage), "{kind}: {:?}", bench.reported());
        }
    }
    controllers.abort();
}

#[tokio::test(start_paused = true)]
async fn hooks_that_delay_a_deletion_are_logged_once() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    let hooks = |hook: &str| json!({"spec": {"lifecycleHooks": {"preDrain": [{"name": hook, "owner": "ada"}]}}});
    bench.cluster.change("machines", NAMESPACE, "m", &hooks("backup"));
    bench.cluster.add_node("n");
    let controllers = bench.start_all();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    let node = json!({"status": {"nodeRef": {"kind": "Node", "name": "n"}}});
    bench.cluster.change("machines", NAMESPACE, "m", &node);
    bench.delete("m");
    sleep(Duration::from_secs(60)).await;
    let touch = json!({"metadata": {"annotations": {"a": "b"}}});
    bench.cluster.change("machines", NAMESPACE, "m", &touch);
    sleep(Duration::from_secs(60)).await;
    bench.cluster.change("machines", NAMESPACE, "m", &hooks("other"));
    sleep(Duration::from_secs(60)).await;
    let mut held = bench.logged();
    held.retain(|line| line.contains("blocked"));
    let line = |hook: &str| {
        format!("Machine m: the deletion is blocked by lifecycle hooks: {hook} (of ada)")
    };
    assert_eq!(held, [line("backup"), line("other")]);
    controllers.abort();
}

#[tokio::test(start_paused = true)]
async fn counters_of_a_machine_that_somebody_removed_by_force_are_removed() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    let controllers = bench.start_all();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    bench.ec2.fail("observe", 5, When::Before, ErrorClass::Permanent, "AuthFailure");
    let is_counted = |bench: &Bench| bench.health.metrics.text().contains("name=\"m\"");
    bench.until("it is counted", is_counted).await;
    let bare = json!({"metadata": {"finalizers": null}});
    bench.cluster.change("machines", NAMESPACE, "m", &bare);
    bench.delete("m");
    bench.until("it is gone", |bench| bench.machine("m").is_none()).await;
    sleep(Duration::from_secs(5)).await;
    assert!(!is_counted(&bench), "{}", bench.health.metrics.text());
    controllers.abort();
}
