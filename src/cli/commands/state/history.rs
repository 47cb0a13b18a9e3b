//! `groundplan state history`: lists the runs that recorded entries.

use serde_json::json;

use crate::cli::args::{CommonArgs, StateHistory as Arguments};
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::render::state::{history, runs};

pub(super) async fn run(arguments: &Arguments, common: &CommonArgs, ui: &mut Ui) -> Result<()> {
    let state = super::seen(arguments.of.cluster.as_deref(), common, ui).await?;
    ui.text(|out| history(&state, out))?;
    for (run, records) in runs(&state) {
        let mut fields = json!(run);
        fields["records"] = records.into();
        ui.print_json("run", &fields)?;
    }
    Ok(())
}
