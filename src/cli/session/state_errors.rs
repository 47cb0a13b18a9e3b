//! Errors about states that several commands report.

use groundplan_engine::state::local::LocalBackend;
use groundplan_engine::state::location::StateLocation;
use groundplan_openshift::diagnostics::nearest;

use crate::cli::args::CommonArgs;
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::session::state_backend::{read_back, recorded_clusters};
use crate::render::{Code, Diagnostic};

/// Returns the error for a cluster without recorded state in the location of the states. The details
/// list the clusters that the location has.
pub(crate) fn nothing_recorded(name: &str, states: &StateLocation) -> CommandError {
    const MOST: usize = 10;
    let mut diagnostic = Diagnostic::error(
        Code::StateMissing,
        format!("no state of a cluster named `{name}` found"),
    )
    .with_detail(format!("{} does not exist", states.of(name)));
    let found = recorded_clusters(states).unwrap_or_default(); // a list helps, and is no condition
    let mut names: Vec<&str> = found.iter().map(|one| one.cluster.name.as_str()).collect();
    let near = nearest(name, &names).map(str::to_owned);
    let more = names.len().saturating_sub(MOST);
    names.truncate(MOST);
    if !names.is_empty() {
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        diagnostic =
            diagnostic.with_detail(format!("clusters in {states}: {}{rest}", names.join(", ")));
    }
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if is_folder_of_one(states) => too_deep(states),
        None if may_be_of_one(states, name) => format!("if {}", too_deep(states)),
        None => "check the name and --state; `groundplan recover` rebuilds a lost state, and \
                 `groundplan destroy --infra-id ID` deletes a cluster that has none"
            .to_owned(),
    };
    CommandError::new(Exit::Failed, diagnostic.with_hint(hint))
}

/// Returns the error for a state in place of a location of states.
pub(crate) fn state_of_one(states: &StateLocation) -> CommandError {
    let summary = format!("{states} is the state of one cluster, and not a folder of states");
    let diagnostic = Diagnostic::error(Code::StateMissing, summary).with_hint(too_deep(states));
    CommandError::new(Exit::Failed, diagnostic)
}

/// Returns true for the location of one state in place of a location of states.
pub(crate) async fn is_state_of_one(states: &StateLocation, common: &CommonArgs) -> Result<bool> {
    match states {
        StateLocation::Folder(_) => Ok(is_folder_of_one(states)),
        StateLocation::Bucket { prefix, .. } if prefix.is_empty() => Ok(false),
        StateLocation::Bucket { .. } => Ok(read_back(states, common).await?.is_some()),
    }
}

fn is_folder_of_one(states: &StateLocation) -> bool {
    matches!(states, StateLocation::Folder(folder) if LocalBackend::is_state(folder))
}

/// Returns true for a bucket whose prefix ends with the name of the cluster. Makes no call.
fn may_be_of_one(states: &StateLocation, name: &str) -> bool {
    matches!(states, StateLocation::Bucket { prefix, .. } if prefix.rsplit('/').next() == Some(name))
}

/// Returns the hint for a `--state` that is one folder too deep.
fn too_deep(states: &StateLocation) -> String {
    let above = match states {
        StateLocation::Folder(folder) => folder.parent().map(|above| match above.to_str() {
            Some("") => ".".to_owned(),
            _ => above.display().to_string(),
        }),
        StateLocation::Bucket { bucket, prefix } => {
            let above = prefix.rsplit_once('/').map_or("", |(above, _)| above);
            let above = StateLocation::Bucket { bucket: bucket.clone(), prefix: above.to_owned() };
            Some(above.to_string())
        }
    };
    let above = above.unwrap_or_else(|| "LOCATION".to_owned());
    format!("{states} is the state of one cluster: pass the folder above it, --state {above}")
}

#[cfg(test)]
mod tests {
    use groundplan_engine::state::{Cluster, Entry, State};
    use serde_json::json;

    use super::*;

    /// Writes the state of a cluster with one resource into a folder of states.
    fn recorded(states: &StateLocation, name: &str) {
        let StateLocation::Folder(folder) = states.of(name) else { panic!("a folder") };
        let mut opened = LocalBackend::open(&folder).unwrap();
        let mut state = State::new("l".into());
        let cluster = Cluster {
            name: name.into(),
            infra_id: format!("{name}-x7k2p"),
            cluster_id: "c0ffee".into(),
            region: "us-west-2".into(),
        };
        let entries = [
            Entry::ClusterIdentified { cluster },
            Entry::CreateStarted {
                address: "vpc.main".into(),
                generation: 1,
                inputs: json!({}),
                after: vec![],
            },
        ];
        entries.iter().for_each(|entry| state.record(entry).unwrap());
        opened.backend.install(&state).unwrap();
    }

    #[test]
    fn a_misspelt_cluster_is_told_with_the_clusters_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let states = StateLocation::Folder(folder.path().to_owned());
        for name in ["optional", "prod"] {
            recorded(&states, name);
        }
        let of = |name: &str| nothing_recorded(name, &states).diagnostics[0].clone();
        let list = format!("clusters in {states}: optional, prod");
        assert_eq!(of("opional").detail[1], list);
        assert_eq!(of("opional").hint.unwrap(), "did you mean `optional`?");
        assert_eq!(of("something").detail[1], list);
        assert!(of("something").hint.unwrap().contains("groundplan recover"));
    }

    #[test]
    fn the_folder_of_one_state_has_the_folder_above_it_as_its_hint() {
        let folder = tempfile::tempdir().unwrap();
        let states = StateLocation::Folder(folder.path().to_owned());
        recorded(&states, "prod");
        assert!(!is_folder_of_one(&states) && is_folder_of_one(&states.of("prod")));
        let deep = states.of("prod");
        let hint = format!("pass the folder above it, --state {states}");
        for error in [state_of_one(&deep), nothing_recorded("prod", &deep)] {
            let given = error.diagnostics[0].hint.clone().unwrap();
            assert!(given.ends_with(&hint), "{given}");
        }
    }

    #[test]
    fn a_prefix_that_ends_with_the_cluster_has_the_prefix_above_it_as_its_hint() {
        for (states, above) in
            [("s3://acme/clusters/prod", "s3://acme/clusters"), ("s3://acme/prod", "s3://acme")]
        {
            let hint = |name| {
                let error = nothing_recorded(name, &states.parse().unwrap());
                error.diagnostics[0].hint.clone().unwrap()
            };
            let expected = format!(
                "if {states} is the state of one cluster: pass the folder above it, --state {above}"
            );
            assert_eq!(hint("prod"), expected);
            assert!(hint("other").contains("groundplan recover"));
        }
    }

    #[test]
    fn an_empty_folder_has_no_list() {
        let folder = tempfile::tempdir().unwrap();
        let states = StateLocation::Folder(folder.path().to_owned());
        assert_eq!(nothing_recorded("demo", &states).diagnostics[0].detail.len(), 1);
    }
}
