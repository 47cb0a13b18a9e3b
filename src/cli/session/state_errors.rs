//! Errors about states that several commands report.

use groundplan_engine::state::location::StateLocation;
use groundplan_openshift::diagnostics::nearest;

use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::CommandError;
use crate::cli::session::state_backend::recorded_clusters;
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
        None => "check the name and --state; `groundplan recover` rebuilds a lost state, and \
                 `groundplan destroy --infra-id ID` deletes a cluster that has none"
            .to_owned(),
    };
    CommandError::new(Exit::Failed, diagnostic.with_hint(hint))
}

#[cfg(test)]
mod tests {
    use groundplan_engine::state::local::LocalBackend;
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
    fn an_empty_folder_has_no_list() {
        let folder = tempfile::tempdir().unwrap();
        let states = StateLocation::Folder(folder.path().to_owned());
        assert_eq!(nothing_recorded("demo", &states).diagnostics[0].detail.len(), 1);
    }
}
