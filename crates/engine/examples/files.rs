//! The engine as a library: a provider of files in a directory, with one kind, `file`. Plans, applies,
//! plans again without changes, changes one file in place, and destroys.
//!
//! Run with `cargo run -p groundplan-engine --example files`.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::future::ready;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, fs::File};

use groundplan_engine::apply::{ApplySettings, Observer, Shutdown, apply};
use groundplan_engine::event::Event;
use groundplan_engine::graph::{Graph, Identity, Input, Resource, Schema};
use groundplan_engine::out;
use groundplan_engine::plan::{Plan, PlanOptions, plan, plan_destroy};
use groundplan_engine::provider::{ErrorClass, Observed, Poll, Provider, RecordedResource};
use groundplan_engine::provider::{ProviderError, ProviderFuture, Request, Schemas};
use groundplan_engine::refresh::read_live_state;
use groundplan_engine::state::Entry;
use groundplan_engine::state::backend::DurableWrite;
use groundplan_engine::state::local::LocalBackend;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The inputs of the kind `file`.
#[derive(Serialize, Deserialize)]
struct TextFile {
    path: String,
    content: Input<String>,
}

/// The outputs of the kind `file`.
#[derive(Clone, Serialize, Deserialize)]
struct TextFileOutputs {
    path: String,
}

impl Resource for TextFile {
    const SCHEMA: Schema = Schema {
        force_new: &["path"],
        conflicting: &["path"],
        ..Schema::of("file", Identity::Name)
    };
    type Outputs = TextFileOutputs;
}

/// A provider of files in one directory.
struct Files(PathBuf);

impl Files {
    fn path(&self, inputs: &Value) -> PathBuf {
        self.0.join(inputs["path"].as_str().unwrap_or_default())
    }

    fn read(&self, inputs: &Value) -> io::Result<Option<String>> {
        match fs::read_to_string(self.path(inputs)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn content(inputs: &Value) -> &str {
    inputs["content"].as_str().unwrap_or_default()
}

fn outputs(inputs: &Value) -> Value {
    json!({ "path": inputs["path"] })
}

fn reply<T: Send + 'static>(call: &str, result: io::Result<T>) -> ProviderFuture<'static, T> {
    let error =
        |error: io::Error| ProviderError::new(ErrorClass::Permanent, call, error.to_string());
    Box::pin(ready(result.map_err(error)))
}

impl Schemas for Files {
    fn schema(&self, kind: &str) -> Option<&'static Schema> {
        const FILE: &Schema = &TextFile::SCHEMA;
        (kind == FILE.kind).then_some(FILE)
    }
}

impl Provider for Files {
    fn create(&self, Request { inputs, .. }: Request) -> ProviderFuture<'_, Value> {
        let created = File::create_new(self.path(&inputs));
        let written = created.and_then(|mut file| file.write_all(content(&inputs).as_bytes()));
        reply("create", written.map(|()| outputs(&inputs)))
    }
    /// A file has no tags, so that equal content stands for the creation token.
    fn find(&self, Request { inputs, .. }: Request) -> ProviderFuture<'_, Option<Value>> {
        let is_same = |text: &String| text == content(&inputs);
        reply("read", self.read(&inputs).map(|text| text.filter(is_same).map(|_| outputs(&inputs))))
    }
    fn configure(&self, _: Request, outputs: Value) -> ProviderFuture<'_, Value> {
        reply("configure", Ok(outputs))
    }
    fn ready(&self, _: String, waiting: Vec<RecordedResource>) -> ProviderFuture<'_, Vec<Poll>> {
        reply("ready", Ok(waiting.into_iter().map(|known| Poll::Ready(known.outputs)).collect()))
    }
    fn update(
        &self,
        Request { inputs, .. }: Request,
        _: RecordedResource,
    ) -> ProviderFuture<'_, Value> {
        let written = fs::write(self.path(&inputs), content(&inputs));
        reply("write", written.map(|()| outputs(&inputs)))
    }
    fn delete(&self, known: RecordedResource) -> ProviderFuture<'_, ()> {
        reply(
            "remove",
            match fs::remove_file(self.path(&known.inputs)) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        )
    }
    fn gone(&self, _: String, waiting: Vec<RecordedResource>) -> ProviderFuture<'_, Vec<Poll>> {
        reply("gone", Ok(waiting.into_iter().map(|known| Poll::Ready(known.outputs)).collect()))
    }
    fn refresh(
        &self,
        _: String,
        known: Vec<RecordedResource>,
    ) -> ProviderFuture<'_, Vec<Observed>> {
        let observe = |RecordedResource { inputs, .. }: RecordedResource| {
            Ok(self.read(&inputs)?.map_or(Observed::Missing, |text| Observed::Present {
                inputs: json!({ "path": inputs["path"], "content": text }),
                outputs: outputs(&inputs),
                unmanaged: Vec::new(),
            }))
        };
        reply("read", known.into_iter().map(observe).collect())
    }
}

/// The journal of the state, and events on standard output.
struct Run(LocalBackend);

impl Observer for Run {
    fn journal(&mut self, entries: Vec<Entry>) -> DurableWrite {
        Box::pin(ready(self.0.append(&entries)))
    }
    fn event(&mut self, event: &Event) {
        println!("  {}", json!(event));
    }
}

/// The desired state: a greeting, and an index that contains the path of the greeting.
fn desired(greeting: &str) -> Graph {
    let mut graph = Graph::default();
    let (path, content) = ("greeting.txt".into(), Input::from(greeting.to_owned()));
    let greeting = graph.add("greeting", &TextFile { path, content });
    graph.add("index", &TextFile { path: "index.txt".into(), content: out!(greeting.path) });
    graph
}

/// Refreshes, plans and applies. Without a graph it plans to delete everything.
async fn run(dir: &Path, graph: Option<&Graph>) -> Result<Plan, Box<dyn Error>> {
    let files: Arc<dyn Provider> = Arc::new(Files(dir.to_owned()));
    let opened = LocalBackend::open(&dir.join("state"))?;
    let _lock = opened.backend.lock("apply")?;
    let live = read_live_state(&opened.state, &*files).await?;
    let plan = match graph {
        Some(graph) => plan(graph, &opened.state, &live, &*files, &PlanOptions::default()),
        None => plan_destroy(&opened.state, &live, &*files, &PlanOptions::default()),
    };
    let counts = plan.counts();
    println!("+{} ~{} -{}", counts.add, counts.change, counts.destroy);
    let (settings, stop, mut run) =
        (ApplySettings::default(), Shutdown::default(), Run(opened.backend));
    let outcome =
        apply(&plan, opened.state, files, Arc::default(), &settings, &stop, &mut run).await;
    run.0.close(&outcome.state)?;
    if outcome.summary.complete() { Ok(plan) } else { Err("a step failed".into()) }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let text = |name: &str| fs::read_to_string(dir.path().join(name)).ok();

    assert_eq!(run(dir.path(), Some(&desired("hello\n"))).await?.steps.len(), 2);
    assert_eq!(text("greeting.txt").as_deref(), Some("hello\n"));
    assert_eq!(text("index.txt").as_deref(), Some("greeting.txt"));

    assert!(run(dir.path(), Some(&desired("hello\n"))).await?.is_empty(), "nothing to do");

    assert_eq!(run(dir.path(), Some(&desired("good evening\n"))).await?.counts().change, 1);
    assert_eq!(text("greeting.txt").as_deref(), Some("good evening\n"));

    assert_eq!(run(dir.path(), None).await?.counts().destroy, 2);
    assert_eq!((text("greeting.txt"), text("index.txt")), (None, None));
    Ok(())
}

#[test]
fn example_runs() {
    main().unwrap();
}
