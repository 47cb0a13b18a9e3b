//! `groundplan state mv`: gives a resource another address.

use serde_json::json;

use crate::apply::Stop;
use crate::cli::args::{Common, StateMv as Arguments};
use crate::cli::exit::Exit;
use crate::cli::failure::{Failure, Result};
use crate::cli::screen::Screen;
use crate::graph::Address;
use crate::render::Diagnostic;
use crate::state::Entry;

pub(super) async fn run(
    arguments: &Arguments,
    common: &Common,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<()> {
    let [address, to] = [&arguments.from, &arguments.to].map(|text| Address::from(&**text));
    let cluster = arguments.of.cluster.as_deref();
    let mut held = super::taken(cluster, common, "state mv", screen, stop).await?;
    let attempt = format!("could not move {address} to {to}");
    if to.name().is_empty() {
        let diagnostic = Diagnostic::error(attempt)
            .with_detail(format!("{to} is no address"))
            .with_hint(format!("expected a kind and a name: {}.NAME", address.kind()));
        return Err(Failure::new(Exit::Failed, diagnostic));
    }
    let moved = Entry::Moved { address: address.clone(), to: to.clone() };
    if let Err(illegal) = held.state.clone().record(&moved) {
        let diagnostic = Diagnostic::error(attempt)
            .with_detail(illegal.why)
            .with_hint("`groundplan state list` says what is recorded");
        return Err(Failure::new(Exit::Failed, diagnostic));
    }
    held.record(&[moved], screen).await?;
    held.close().await?;
    screen.tell("moved", &json!({"address": address, "to": to}))?;
    Ok(screen.say(&format!("{address} is {to} from now on."))?)
}
