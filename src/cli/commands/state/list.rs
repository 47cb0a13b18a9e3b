//! `groundplan state list`: lists the addresses of recorded resources.

use groundplan_engine::graph::pattern::fits;
use groundplan_engine::plan::decide::id;
use serde_json::json;

use crate::cli::args::{Common, StateList as Arguments};
use crate::cli::output::command_error::{Failure, Result};
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Screen;
use crate::render::Diagnostic;
use crate::render::state::rows;

pub(super) async fn run(arguments: &Arguments, common: &Common, screen: &mut Screen) -> Result<()> {
    let state = super::seen(arguments.of.cluster.as_deref(), common, screen).await?;
    let pattern = arguments.pattern.as_deref();
    let wanted = rows(&state).filter(|(address, ..)| pattern.is_none_or(|p| fits(p, address)));
    let mut none = true;
    for (address, record, superseded) in wanted {
        none = false;
        let (status, generation) = (record.status, record.generation);
        screen.tell(
            "resource",
            &json!({
                "address": address, "status": status, "generation": generation,
                "superseded": superseded, "id": id(&record.outputs),
            }),
        )?;
        let note = if superseded { format!("  (superseded: {generation})") } else { String::new() };
        screen.say(&format!("{address}{note}"))?;
    }
    match pattern.filter(|_| none) {
        None => Ok(()),
        Some(pattern) if pattern.contains('*') => {
            Ok(screen.talk(&format!("Nothing recorded fits `{pattern}`."))?)
        }
        Some(name) => Err(unfound(name)),
    }
}

fn unfound(name: &str) -> Failure {
    let diagnostic = Diagnostic::error(format!("nothing is recorded of {name}"))
        .with_hint("give a kind, an address, or a pattern: `groundplan state list 'subnet.*'`");
    Failure::new(Exit::Failed, diagnostic)
}
