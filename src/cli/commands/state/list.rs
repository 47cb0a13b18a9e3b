//! `groundplan state list`: lists the addresses of recorded resources.

use groundplan_engine::graph::pattern::fits;
use groundplan_engine::plan::decide::id;
use groundplan_engine::state::State;
use serde_json::json;

use crate::cli::args::{CommonArgs, StateList as Arguments};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::targeting::meant;
use crate::render::state::rows;
use crate::render::{Code, Diagnostic};

pub(super) async fn run(arguments: &Arguments, common: &CommonArgs, ui: &mut Ui) -> Result<()> {
    let state = super::seen(arguments.of.cluster.as_deref(), common, ui).await?;
    let pattern = arguments.pattern.as_deref();
    let wanted = rows(&state).filter(|(address, ..)| pattern.is_none_or(|p| fits(p, address)));
    let mut none = true;
    for (address, record, superseded) in wanted {
        none = false;
        let (status, generation) = (record.status, record.generation);
        let protected = !superseded && state.protected.contains(address);
        ui.print_json(
            "resource",
            &json!({
                "address": address, "status": status, "generation": generation,
                "superseded": superseded, "id": id(&record.outputs), "protected": protected,
            }),
        )?;
        let note = match (superseded, protected) {
            (true, _) => format!("  (deposed: {generation})"),
            (false, true) => "  (protected)".to_owned(),
            (false, false) => String::new(),
        };
        ui.print_line(&format!("{address}{note}"))?;
    }
    match pattern.filter(|_| none) {
        None => Ok(()),
        Some(pattern) if pattern.contains('*') => {
            Ok(ui.talk(&format!("No recorded resource matches `{pattern}`."))?)
        }
        Some(name) => Err(unfound(name, &state)),
    }
}

fn unfound(name: &str, state: &State) -> CommandError {
    let hint = meant(name, rows(state).map(|(address, ..)| address)).unwrap_or_else(|| {
        "pass a kind, an address, or a pattern: `groundplan state list 'subnet.*'`".to_owned()
    });
    let diagnostic =
        Diagnostic::error(Code::AddressUnknown, format!("no recorded resource matches {name}"))
            .with_hint(hint);
    CommandError::new(Exit::Usage, diagnostic)
}
