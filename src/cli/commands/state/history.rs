//! `groundplan state history`: lists the runs that recorded entries.

use serde_json::json;

use crate::cli::args::{Common, StateHistory as Arguments};
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Screen;
use crate::render::state::{history, runs};

pub(super) async fn run(arguments: &Arguments, common: &Common, screen: &mut Screen) -> Result<()> {
    let state = super::seen(arguments.of.cluster.as_deref(), common, screen).await?;
    if !screen.is_json() {
        screen.document(|out| history(&state, out))?;
    }
    for (run, records) in runs(&state) {
        let mut fields = json!(run);
        fields["records"] = records.into();
        screen.tell("run", &fields)?;
    }
    Ok(())
}
