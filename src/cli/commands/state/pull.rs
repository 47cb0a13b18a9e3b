//! `groundplan state pull`: prints the state in the format of the state backend.

use groundplan_engine::state::snapshot;

use crate::cli::args::{CommonArgs, StatePull as Arguments};
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;

pub(super) async fn run(arguments: &Arguments, common: &CommonArgs, ui: &mut Ui) -> Result<()> {
    let state = super::seen(arguments.of.cluster.as_deref(), common, ui).await?;
    Ok(ui.document(|out| out.write_all(&snapshot::write(&state)))?)
}
