//! `groundplan state show`: prints the record of one resource.

use std::io::Write;

use groundplan_engine::graph::Address;

use super::unknown;
use crate::cli::args::{Common, StateShow as Arguments};
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Screen;
use crate::render::document;
use crate::render::state::{resource, rows};

pub(super) async fn run(arguments: &Arguments, common: &Common, screen: &mut Screen) -> Result<()> {
    let state = super::seen(arguments.of.cluster.as_deref(), common, screen).await?;
    let address = Address::from(&*arguments.address);
    let lives: Vec<_> = rows(&state).filter(|(known, ..)| **known == address).collect();
    if lives.is_empty() {
        return Err(unknown(&[&address]));
    }
    let written = |out: &mut dyn Write| {
        lives.iter().try_for_each(|(address, record, old)| resource(address, record, *old, out))
    };
    Ok(screen.show(written, || document::lives(&state, &address))?)
}
