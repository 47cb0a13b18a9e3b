//! `groundplan state pull`: prints the state in the format of the state backend.

use groundplan_engine::state::snapshot;

use crate::cli::args::{Common, StatePull as Arguments};
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Screen;

pub(super) async fn run(arguments: &Arguments, common: &Common, screen: &mut Screen) -> Result<()> {
    let state = super::seen(arguments.of.cluster.as_deref(), common, screen).await?;
    Ok(screen.document(|out| out.write_all(&snapshot::write(&state)))?)
}
