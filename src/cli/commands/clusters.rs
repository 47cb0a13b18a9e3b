//! `groundplan clusters`: lists the clusters of a state location.

use serde_json::{Value, json};

use crate::cli::args::{ClustersArgs as Arguments, CommonArgs};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::state_backend::listing::{ListedCluster, cluster_names, listed};
use crate::cli::session::state_errors::{is_state_of_one, state_of_one};
use crate::render::table;

pub(crate) async fn run(_: &Arguments, common: &CommonArgs, ui: &mut Ui) -> Result<Exit> {
    let mut clusters = Vec::new();
    let mut failures = Vec::new();
    for name in cluster_names(&common.state, common).await? {
        match listed(&common.state.of(&name), common).await {
            Ok(Some(one)) => clusters.push((name, one)),
            Ok(None) => {} // deleted since the list was read
            Err(failure) => failures.push(failure),
        }
    }
    let has_none = clusters.is_empty() && failures.is_empty();
    if has_none && is_state_of_one(&common.state, common).await? {
        return Err(state_of_one(&common.state));
    }
    if has_none {
        ui.talk(&format!("{} has no clusters.", common.state))?;
    } else {
        let rows: Vec<_> = clusters.iter().map(|(name, one)| row(name, one)).collect();
        let header = ["cluster", "infra ID", "region", "resources", "last run", "lock"];
        ui.text(|out| table::write(header, &rows, out))?;
    }
    for (name, one) in &clusters {
        ui.print_json("cluster", &fields(name, one))?;
    }
    let mut exit = Exit::Done;
    for failure in failures {
        exit = failure.exit;
        failure.diagnostics.iter().try_for_each(|diagnostic| ui.diagnostic(diagnostic))?;
    }
    Ok(exit)
}

fn row(name: &str, one: &ListedCluster) -> [String; 6] {
    let cluster = one.state.cluster.as_ref();
    let of = |text: Option<&String>| text.cloned().unwrap_or_else(|| "-".to_owned());
    let last = one.state.runs.last();
    let last = last.map(|run| format!("{} {}", run.operation, run.at));
    let lock = match (&one.moved_to, &one.holder) {
        (Some(to), _) => format!("moved to {to}"),
        (None, Some(holder)) => format!("{} for {}", holder.who(), holder.operation),
        (None, None) => "-".to_owned(),
    };
    [
        name.to_owned(),
        of(cluster.map(|cluster| &cluster.infra_id)),
        of(cluster.map(|cluster| &cluster.region)),
        one.state.resources.len().to_string(),
        of(last.as_ref()),
        lock,
    ]
}

fn fields(name: &str, one: &ListedCluster) -> Value {
    let cluster = one.state.cluster.as_ref();
    json!({
        "name": name,
        "infra_id": cluster.map(|cluster| &cluster.infra_id),
        "region": cluster.map(|cluster| &cluster.region),
        "resources": one.state.resources.len(),
        "last_run": one.state.runs.last().map(|run| json!({
            "operation": run.operation, "at": run.at, "by": run.by,
        })),
        "lock": one.holder.as_ref().map(|holder| json!({
            "by": holder.who(), "operation": holder.operation, "since": holder.since,
            "id": holder.id,
        })),
        "moved_to": one.moved_to,
    })
}
