//! `groundplan state show`: one resource as it is recorded.

use serde_json::json;

use super::unknown;
use crate::cli::args::{Common, StateShow as Arguments};
use crate::cli::failure::Result;
use crate::cli::screen::Screen;
use crate::graph::Address;
use crate::render::state::{resource, rows};

pub(super) async fn run(arguments: &Arguments, common: &Common, screen: &mut Screen) -> Result<()> {
    let state = super::seen(arguments.of.cluster.as_deref(), common, screen).await?;
    let address = Address::from(&*arguments.address);
    let lives: Vec<_> = rows(&state).filter(|(known, ..)| **known == address).collect();
    if lives.is_empty() {
        return Err(unknown(&[&address]));
    }
    if screen.is_json() {
        let superseded = state.deposed.get(&address).map_or(&[][..], |lives| lives);
        let current = state.resources.get(&address);
        let document = json!({"address": address, "current": current, "superseded": superseded});
        return Ok(screen.document(|out| {
            serde_json::to_writer_pretty(&mut *out, &document)?;
            writeln!(out)
        })?);
    }
    Ok(screen.document(|out| {
        lives.iter().try_for_each(|(address, record, old)| resource(address, record, *old, out))
    })?)
}
