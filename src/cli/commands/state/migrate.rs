//! `groundplan state migrate`: moves the state to another state backend.
//!
//! The old backend is marked as moved only after the copy was read back. If the new backend carries
//! such a mark itself, that mark is removed last. At any moment, at most one backend is usable, and
//! its state is complete.

use groundplan_engine::apply::Shutdown;
use groundplan_engine::state::State;
use groundplan_engine::state::error::StateError;
use groundplan_engine::state::location::StateLocation;
use serde_json::json;

use crate::cli::args::{CommonArgs, StateMigrate as Arguments};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::input_files::cluster_name;
use crate::cli::session::locked_state::unusable;
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::state_backend::{self, MigrationEnd};
use crate::cli::session::state_errors::nothing_recorded;
use crate::render::{Code, Diagnostic};

pub(super) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<()> {
    let name = cluster_name(arguments.of.cluster.as_deref(), common, ui)?;
    let (old, new) = (
        state_backend::from_anywhere(&common.state)?,
        state_backend::from_anywhere(&arguments.to)?,
    );
    if old == new {
        return Err(refused(
            "the state is already in this location",
            "pass another location with --to",
        ));
    }
    if !state_backend::is_there(&old.of(&name), common).await? {
        return Err(nothing_recorded(&name, &old));
    }
    let place = old.of(&name);
    let mut from = unless_stopped(stop, state_backend::open_to_move(&place, common, ui)).await?;
    let begun_before = is_moved_to(&from, &old.of(&name), &new)?;
    if from.state.serial == 0 {
        return Err(nothing_recorded(&name, &old));
    }
    let place = new.of(&name);
    let mut to = unless_stopped(stop, state_backend::open_to_move(&place, common, ui)).await?;
    is_moved_to(&to, &new.of(&name), &old)?;
    fits(&from.state, &to.state, begun_before)?;
    if !begun_before {
        copied(&from.state, &mut to, &new.of(&name), common).await?;
        from.backend.mark_moved(&new.to_string()).await.map_err(|error| unusable(&error))?;
    }
    to.backend.unmark_moved().await.map_err(|error| unusable(&error))?;
    ui.print_json("migrated", &json!({"from": old.to_string(), "to": new.to_string()}))?;
    ui.print_line(&format!(
        "The state of {name} is now in {new}. The files in {old} stay unchanged."
    ))?;
    Ok(ui.print_line(&format!("Continue with: --state {new}, or GROUNDPLAN_STATE={new}"))?)
}

/// Returns true if the backend is marked as moved to `other`. Returns an error if the mark names a
/// third location.
fn is_moved_to(one: &MigrationEnd, place: &StateLocation, other: &StateLocation) -> Result<bool> {
    match &one.moved_to {
        None => Ok(false),
        Some(backend) if *backend == other.to_string() => Ok(true),
        Some(backend) => {
            let (path, to) = (place.to_string().into(), backend.clone());
            Err(unusable(&StateError::Moved { path, to }))
        }
    }
}

/// Returns an error if the new backend contains data that would be lost. Once the old backend is
/// marked, the new one may have later entries.
fn fits(old: &State, new: &State, begun_before: bool) -> Result<()> {
    if begun_before && (new.lineage != old.lineage || new.serial < old.serial) {
        let because = "the old location is marked as moved to the new one, but the state there is \
             missing, older or another one";
        return Err(refused(because, "restore the new location from a backup"));
    }
    if new.serial == 0 || begun_before || new == old {
        return Ok(());
    }
    if new.has_nothing() && new.lineage != old.lineage {
        return Ok(()); // an empty state, from a plan in the new location
    }
    if new.lineage != old.lineage {
        return Err(refused(
            "the new location already has another state with this name",
            "pass another location \
             with --to",
        ));
    }
    if new.serial >= old.serial {
        let because = format!(
            "the new location has a later copy of the state: serial {}, but the old location has \
             {}",
            new.serial, old.serial
        );
        return Err(refused(
            &because,
            "compare both with `groundplan show --state LOCATION`, and continue with the current \
             one",
        ));
    }
    Ok(())
}

async fn copied(
    state: &State,
    to: &mut MigrationEnd,
    place: &StateLocation,
    common: &CommonArgs,
) -> Result<()> {
    if to.state != *state {
        if to.state.serial > 0 && to.state.lineage != state.lineage {
            to.backend.accept_new_lineage().map_err(|error| unusable(&error))?;
        }
        to.backend.install(state).await.map_err(|error| unusable(&error))?;
    }
    if state_backend::read_back(place, common).await?.as_ref() == Some(state) {
        return Ok(());
    }
    let diagnostic = Diagnostic::error(
        Code::StateNotMoved,
        format!(
            "the state read back from {place} differs from the \
         written one"
        ),
    )
    .with_hint(
        "check the new location and run the same command again; the old location is \
             unchanged",
    );
    Err(CommandError::new(Exit::Failed, diagnostic))
}

fn refused(because: &str, hint: &str) -> CommandError {
    let diagnostic =
        Diagnostic::error(Code::StateNotMoved, "the state was not moved; nothing was changed")
            .with_detail(because)
            .with_hint(hint);
    CommandError::new(Exit::Refused, diagnostic)
}
