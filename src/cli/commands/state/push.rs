//! `groundplan state push`: replaces the recorded state.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use groundplan_engine::apply::Shutdown;
use groundplan_engine::state::error::FormatError;
use groundplan_engine::state::{FORMAT, State, snapshot};
use serde_json::json;

use crate::cli::args::{CommonArgs, StatePush as Arguments};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::input_files::cluster_name;
use crate::cli::session::locked_state::{LockedState, known_kinds};
use crate::cli::session::signals::unless_stopped;
use crate::render::{Code, Diagnostic};

pub(super) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<()> {
    let name = cluster_name(arguments.of.cluster.as_deref(), common, ui)?;
    let pushed = read(&arguments.file)?;
    known_kinds(&pushed)?;
    if let Err(because) = is_of(&pushed, &name) {
        return Err(refused(&because, "pass the name of its cluster with --cluster"));
    }
    let held = unless_stopped(stop, LockedState::take(common, &name, "state push", ui)).await?;
    if let Err((because, hint)) = fits(&pushed, &held.state, arguments.force) {
        return Err(refused(&because, hint));
    }
    let state = held.replace(pushed, ui).await?;
    let resources = state.resources.len();
    ui.print_json("pushed", &json!({"serial": state.serial, "resources": resources}))?;
    let place = common.state.of(&name);
    Ok(ui.print_line(&format!("Pushed the state to {place}, serial {}.", state.serial))?)
}

fn read(file: &Path) -> Result<State> {
    let from_stdin = file == Path::new("-");
    let what = if from_stdin { "standard input".to_owned() } else { file.display().to_string() };
    let attempt = format!("read the state in {what}");
    let text = if from_stdin {
        let mut text = Vec::new();
        io::stdin().lock().read_to_end(&mut text).map(|_| text)
    } else {
        fs::read(file)
    };
    let mut text =
        text.map_err(|error| CommandError::could_not(Code::FileUnreadable, &attempt, &error))?;
    let begins_as_json = text.trim_ascii_start().starts_with(b"{");
    let unusable =
        |unusable| {
            let diagnostic = Diagnostic::error(Code::FileInvalid, format!("could not {attempt}"));
            let diagnostic = match unusable {
            FormatError::NewerFormat(found) => diagnostic
                .with_detail(format!("the state has format {found}, but this program reads up to \
                     {FORMAT}"))
                .with_hint("use the version of groundplan that wrote the state, or a newer one"),
            FormatError::Damaged(damage) if !begins_as_json => diagnostic
                .with_detail(format!("not a state: {}", damage.why))
                .with_hint("pass the output of `groundplan state pull`"),
            FormatError::Damaged(damage) => diagnostic.with_detail(damage.to_string()).with_hint(
                "pass the output of `groundplan state pull`; to accept a manual change, replace \
                 its first line with `{`",
            ),
        };
            CommandError::new(Exit::Failed, diagnostic)
        };
    Ok(snapshot::read(&mut text).map_err(unusable)?.state)
}

/// Returns the reason if the state belongs to another cluster or to none.
fn is_of(pushed: &State, name: &str) -> std::result::Result<(), String> {
    match &pushed.cluster {
        Some(cluster) if cluster.name != name => {
            Err(format!("the state belongs to the cluster `{}`, not to `{name}`", cluster.name))
        }
        Some(_) => Ok(()),
        None => Err("the state does not name its cluster".to_owned()),
    }
}

/// Returns the reason and a hint if the state must not replace the recorded one.
fn fits(
    pushed: &State,
    recorded: &State,
    force: bool,
) -> std::result::Result<(), (String, &'static str)> {
    if recorded.has_nothing() && pushed.lineage != recorded.lineage {
        return Ok(());
    }
    let another = if pushed.lineage != recorded.lineage {
        Some("another lineage")
    } else if recorded.cluster.is_some() && recorded.cluster != pushed.cluster {
        Some("another cluster of the same name")
    } else {
        None
    };
    if let Some(another) = another {
        let because = format!(
            "the pushed state is unrelated to the recorded one, which has \
             {another}"
        );
        return Err((because, "push to an empty location (--state)"));
    }
    if pushed.serial < recorded.serial && !force {
        let (given, known) = (pushed.serial, recorded.serial);
        return Err((
            format!(
                "the pushed state is older than the recorded one: serial {given}, recorded \
                 serial {known}"
            ),
            "pass --force to drop the newer entries; resources that only those entries record are \
             no longer managed",
        ));
    }
    Ok(())
}

fn refused(because: &str, hint: &str) -> CommandError {
    let diagnostic =
        Diagnostic::error(Code::StateNotPushed, "the state was not pushed; nothing was changed")
            .with_detail(because)
            .with_hint(hint);
    CommandError::new(Exit::Refused, diagnostic)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use groundplan_engine::state::{Cluster, Record, RecordStatus};

    use super::*;

    fn state(lineage: &str, serial: u64) -> State {
        let cluster = Cluster {
            name: "demo".into(),
            infra_id: "demo-x7k2p".into(),
            cluster_id: "b0a4".into(),
            region: "us-west-2".into(),
        };
        State { serial, cluster: Some(cluster), ..State::new(lineage.into()) }
    }

    #[test]
    fn a_home_that_has_nothing_takes_any_state_of_its_cluster() {
        assert!(fits(&state("a", 7), &State::new("b".into()), false).is_ok());
        assert!(fits(&state("a", 7), &state("b", 9), false).is_ok());
        assert!(is_of(&state("a", 7), "demo").is_ok());
        assert!(is_of(&state("a", 7), "prod").unwrap_err().contains("`demo`"));
        assert!(is_of(&State::new("a".into()), "demo").is_err());
    }

    fn with_a_vpc(state: State) -> State {
        let record = Record {
            generation: 1,
            status: RecordStatus::Ready,
            inputs: json!({}),
            outputs: json!({"id": "vpc-1"}),
            after: vec![],
            prior_inputs: vec![],
            revert: vec![],
            unknown: BTreeMap::new(),
        };
        State { resources: BTreeMap::from([("vpc.main".into(), record)]), ..state }
    }

    #[test]
    fn a_state_of_another_lineage_or_cluster_never_fits() {
        let mut other = state("a", 9);
        let recorded = with_a_vpc;
        other.cluster.as_mut().unwrap().infra_id = "demo-00000".into();
        for (pushed, recorded, why) in [
            (state("a", 9), recorded(state("b", 7)), "has another lineage"),
            (other, recorded(state("a", 7)), "has another cluster of the same name"),
        ] {
            for force in [false, true] {
                let (because, _) = fits(&pushed, &recorded, force).unwrap_err();
                assert!(because.ends_with(why), "{because}");
            }
        }
    }

    #[test]
    fn an_older_state_fits_by_force_alone() {
        assert!(fits(&state("a", 7), &state("a", 7), false).is_ok());
        let (because, hint) = fits(&state("a", 6), &state("a", 7), false).unwrap_err();
        assert!(because.ends_with("serial 6, recorded serial 7"), "{because}");
        assert!(hint.contains("--force"), "{hint}");
        assert!(fits(&state("a", 6), &state("a", 7), true).is_ok());
    }
}
