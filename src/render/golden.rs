//! Runs the golden cases of `plans/`: each folder is an install-config, what AWS answered, perhaps
//! a state, and the plan that comes of it as text and JSON.
//!
//! `GROUNDPLAN_BLESS=1 cargo test golden` records the plans anew; read the difference before you
//! commit it. In a folder with a `before.yaml`, that is the install-config whose finished apply the
//! recorded `state.json` stands for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::PlanView;
use crate::aws::{attention, schemas};
use crate::config::{self, InstallConfig};
use crate::graph::{Graph, each_ref, resolve};
use crate::plan::{Action, Observations, Options, Plan, plan};
use crate::state::{Cluster, Entry, State, Status, snapshot};
use crate::topology::{self, Assets, Compiled, compile, questions};

fn cases() -> Vec<PathBuf> {
    let plans = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
    let entries = fs::read_dir(&plans).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("plans").join(name)
}

/// Read as the program reads it; what is wrong with it fails the test.
fn read(path: &Path) -> InstallConfig {
    let text = fs::read_to_string(path).unwrap();
    let outcome = config::read(&text);
    let findings = config::render(&outcome.findings, &path.display().to_string(), &text, false);
    assert!(outcome.findings.is_empty(), "{findings}");
    outcome.config.unwrap()
}

/// Always the same five letters, so that the same plan is the same bytes.
fn cluster(config: &InstallConfig) -> Cluster {
    Cluster {
        name: config.name.clone(),
        infra_id: format!("{}-x7k2p", config.name),
        cluster_id: "00000000-0000-4000-8000-000000000000".into(),
        region: config.aws.region.clone(),
    }
}

fn compiled(folder: &Path, config: &InstallConfig) -> Compiled {
    let text = fs::read(folder.join("facts.json")).unwrap();
    let facts: BTreeMap<String, Value> = serde_json::from_slice(&text).unwrap();
    let options = topology::Options::default();
    let asked: Vec<_> =
        questions(config, &facts, &options).iter().map(ToString::to_string).collect();
    assert!(asked.is_empty(), "{}: facts.json does not answer {asked:?}", folder.display());
    compile(config, &cluster(config), &facts, &Assets::none(), &options).unwrap()
}

/// What is known once everything in the graph has been made: each output that anything refers to.
fn finished(config: &InstallConfig, graph: &Graph) -> State {
    let mut outputs: BTreeMap<_, Map<String, Value>> = BTreeMap::new();
    for node in graph.nodes() {
        let own = outputs.entry(node.address.clone()).or_default();
        own.insert("id".into(), json!(format!("id-of-{}", node.address)));
        each_ref(&node.inputs, &mut |r| {
            let value = json!(format!("{}-of-{}", r.output, r.address));
            outputs.entry(r.address.clone()).or_default().insert(r.output.clone(), value);
        });
    }
    let mut state = State::new("00000000-0000-4000-8000-000000000001".into());
    state.record(&Entry::Identified { cluster: cluster(config) }).unwrap();
    for node in graph.nodes() {
        let inputs = resolve(&node.inputs, &|r| state.lookup(r).cloned());
        let (address, after) = (node.address.clone(), node.after.clone());
        let started = Entry::CreateStarted { address, generation: 1, inputs, after };
        let outputs = Value::Object(outputs[&node.address].clone());
        let address = node.address.clone();
        let created = Entry::Created { address, outputs, status: Status::Ready };
        state.record(&started).unwrap();
        state.record(&created).unwrap();
    }
    state
}

fn state(folder: &Path) -> State {
    let (before, recorded) = (folder.join("before.yaml"), folder.join("state.json"));
    if blessing() && before.exists() {
        let config = read(&before);
        let graph = compiled(folder, &config).graph;
        let state = finished(&config, &graph);
        fs::write(&recorded, pretty(&state)).unwrap();
        return state;
    }
    match fs::read(&recorded) {
        Ok(mut text) => snapshot::read(&mut text).unwrap().state,
        Err(_) => State::new("00000000-0000-4000-8000-000000000001".into()),
    }
}

fn planned(folder: &Path) -> (Plan, Vec<String>) {
    let config = read(&folder.join("install-config.yaml"));
    let Compiled { graph, warnings } = compiled(folder, &config);
    let mut state = state(folder);
    state.cluster.get_or_insert_with(|| cluster(&config));
    let plan = plan(&graph, &state, &Observations::new(), &schemas(), &Options::default());
    (plan, warnings)
}

fn text(plan: &Plan, warnings: &[String]) -> String {
    let mut written = Vec::new();
    let view = PlanView {
        plan,
        full: false,
        warnings,
        classify: attention::class,
        telling: attention::telling,
    };
    view.write(&mut anstream::StripStream::new(&mut written)).unwrap();
    String::from_utf8(written).unwrap()
}

fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

fn blessing() -> bool {
    std::env::var_os("GROUNDPLAN_BLESS").is_some()
}

fn compare(path: &Path, found: &str) {
    if blessing() {
        return fs::write(path, found).unwrap();
    }
    let recorded = fs::read_to_string(path).unwrap_or_default();
    if recorded != found {
        let diff = similar::TextDiff::from_lines(&recorded, found);
        let diff = diff.unified_diff().context_radius(3).to_string();
        let cut: String = diff.chars().take(4000).collect();
        panic!("{} differs (GROUNDPLAN_BLESS=1 records it anew):\n{cut}", path.display());
    }
}

#[test]
fn golden_plans_are_as_recorded() {
    let cases = cases();
    assert!(cases.len() >= 6, "{cases:?}");
    for folder in cases {
        let (plan, warnings) = planned(&folder);
        compare(&folder.join("plan.txt"), &text(&plan, &warnings));
        compare(&folder.join("plan.json"), &pretty(&plan));
    }
}

#[test]
fn golden_plans_hold_no_secret() {
    for folder in cases() {
        let config = fs::read_to_string(folder.join("install-config.yaml")).unwrap();
        let secrets = ["c2VjcmV0OmNhbmFyeQ==", "AAAAC3NzaC1lZDI1NTE5"];
        for secret in secrets {
            assert!(config.contains(secret), "{}: no {secret} to look for", folder.display());
            for file in ["plan.txt", "plan.json", "state.json"] {
                let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
                assert!(!text.contains(secret), "{}/{file}", folder.display());
            }
        }
    }
}

/// The machines of a plan, with what they say of `http_tokens`.
fn tokens(plan: &Plan) -> Vec<(String, Option<String>)> {
    let machines = plan.changes.iter().filter(|change| change.address.kind() == "instance");
    let said = |change: &crate::plan::Change| {
        let field = change.fields.iter().find(|field| field.path == "metadata_options.http_tokens");
        field.and_then(|field| field.after.as_ref()?.as_str().map(str::to_owned))
    };
    machines.map(|change| (change.address.to_string(), said(change))).collect()
}

#[test]
fn golden_machines_say_of_tokens_what_the_config_says_of_authentication() {
    for (name, expected) in [
        ("two-pools-required", Some("required")),
        ("authentication-optional", Some("optional")),
        ("authentication-omitted", None),
    ] {
        let machines = tokens(&planned(&case(name)).0);
        assert_eq!(machines.len(), 4, "{name}: three masters and the bootstrap, {machines:?}");
        for (address, said) in machines {
            assert_eq!(said.as_deref(), expected, "{name}: {address}");
        }
    }
}

#[test]
fn golden_optional_to_required_is_changed_in_place_and_nothing_else_is() {
    let (plan, _) = planned(&case("optional-to-required"));
    let acted: Vec<_> = plan.changes.iter().filter(|c| c.action != Action::Keep).collect();
    assert_eq!(acted.len(), 4);
    for change in acted {
        assert_eq!((change.address.kind(), change.action), ("instance", Action::Update));
        let paths: Vec<_> = change.fields.iter().map(|field| &*field.path).collect();
        assert_eq!(paths, ["metadata_options.http_tokens"]);
    }
}
