//! `groundplan state list`: lists the addresses of recorded resources.

use groundplan_engine::graph::pattern::fits;
use groundplan_engine::plan::decide::id;
use serde_json::json;

use crate::cli::args::{CommonArgs, StateList as Arguments};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::render::Diagnostic;
use crate::render::state::rows;

pub(super) async fn run(arguments: &Arguments, common: &CommonArgs, ui: &mut Ui) -> Result<()> {
    let state = super::seen(arguments.of.cluster.as_deref(), common, ui).await?;
    let pattern = arguments.pattern.as_deref();
    let wanted = rows(&state).filter(|(address, ..)| pattern.is_none_or(|p| fits(p, address)));
    let mut none = true;
    for (address, record, superseded) in wanted {
        none = false;
        let (status, generation) = (record.status, record.generation);
        ui.print_json(
            "resource",
            &json!({
                "address": address, "status": status, "generation": generation,
                "superseded": superseded, "id": id(&record.outputs),
            }),
        )?;
        let note = if superseded { format!("  (deposed: {generation})") } else { String::new() };
        ui.print_line(&format!("{address}{note}"))?;
    }
    match pattern.filter(|_| none) {
        None => Ok(()),
        Some(pattern) if pattern.contains('*') => {
            Ok(ui.talk(&format!("No recorded resource matches `{pattern}`."))?)
        }
        Some(name) => Err(unfound(name)),
    }
}

fn unfound(name: &str) -> CommandError {
    let diagnostic = Diagnostic::error(format!("no recorded resource matches {name}"))
        .with_hint("pass a kind, an address, or a pattern: `groundplan state list 'subnet.*'`");
    CommandError::new(Exit::Failed, diagnostic)
}
