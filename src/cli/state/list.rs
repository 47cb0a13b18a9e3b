//! `groundplan state list`: the addresses of what is recorded.

use serde_json::json;

use crate::cli::args::{Common, StateList as Arguments};
use crate::cli::exit::Exit;
use crate::cli::failure::{Failure, Result};
use crate::cli::screen::Screen;
use crate::graph::Address;
use crate::plan::decide::id;
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

/// Whether an address, or its kind, is what a pattern says.
fn fits(pattern: &str, address: &Address) -> bool {
    glob(pattern, address.as_str()) || glob(pattern, address.kind())
}

/// Whether a text is this, a `*` being whatever is there.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(before) else { return false };
    text.char_indices()
        .map(|(place, _)| place)
        .chain([text.len()])
        .any(|place| glob(rest, &text[place..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_kind_or_an_address_or_stars_in_either() {
        let address = Address::from("subnet.private-us-west-2a");
        for pattern in
            ["subnet", "subnet.private-us-west-2a", "sub*", "*2a", "subnet.*", "*", "s*p*a"]
        {
            assert!(fits(pattern, &address), "{pattern}");
        }
        for pattern in ["", "sub", "subnet.", "private-us-west-2a", "*2b", "vpc.*", "subnet.*b"] {
            assert!(!fits(pattern, &address), "{pattern}");
        }
    }
}
