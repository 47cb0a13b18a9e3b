//! `groundplan state mv`: changes the address of a resource.

use groundplan_engine::apply::Shutdown;
use groundplan_engine::graph::Address;
use groundplan_engine::state::Entry;
use serde_json::json;

use super::{is_known, unknown};
use crate::cli::args::{CommonArgs, StateMv as Arguments};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::locked_state::LockedState;
use crate::render::{Code, Diagnostic};

pub(super) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<()> {
    let [address, to] = [&arguments.from, &arguments.to].map(|text| Address::from(&**text));
    let cluster = arguments.of.cluster.as_deref();
    let mut held = LockedState::take_existing(cluster, common, "state mv", ui, stop).await?;
    let attempt = format!("could not move {address} to {}", to.as_str().escape_debug());
    if !is_address(&to) {
        let diagnostic = Diagnostic::error(Code::RecordNotMoved, attempt)
            .with_detail("the new name is not an address")
            .with_hint(format!(
                "use a kind and a name of letters, digits, `-`, `_` and `.`: {}.NAME",
                address.kind()
            ));
        return Err(CommandError::new(Exit::Failed, diagnostic));
    }
    if !is_known(&held.state, &address) {
        return Err(unknown(&[&address], &held.state));
    }
    let moved = Entry::Moved { address: address.clone(), to: to.clone() };
    if let Err(illegal) = held.state.clone().record(&moved) {
        let diagnostic = Diagnostic::error(Code::RecordNotMoved, attempt)
            .with_detail(illegal.why)
            .with_hint("list the recorded resources with `groundplan state list`");
        return Err(CommandError::new(Exit::Failed, diagnostic));
    }
    held.record(&[moved], ui).await?;
    held.close().await?;
    ui.print_json("moved", &json!({"address": address, "to": to}))?;
    Ok(ui.print_line(&format!("{address} is now {to}."))?)
}

/// Returns true if the name contains only characters that are safe in files, shells and patterns.
fn is_address(text: &Address) -> bool {
    let fits = |one: char| one.is_ascii_alphanumeric() || "-_.".contains(one);
    let name = text.name();
    name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_kind_and_a_plain_name() {
        for plain in ["vpc.main", "subnet.private-us-west-2a", "record.api_int.1"] {
            assert!(is_address(&plain.into()), "{plain}");
        }
        for strange in ["vpc", "vpc.", "vpc.a b", "vpc.a\nb", "vpc.*", "vpc.-a", "vpc.ä", "vpc.a/b"]
        {
            assert!(!is_address(&strange.into()), "{strange:?}");
        }
    }
}
