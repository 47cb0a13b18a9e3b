//! `groundplan state show`: prints the record of one resource.

use std::io::Write;

use groundplan_aws::schemas;
use groundplan_engine::graph::Address;

use super::unknown;
use crate::cli::args::{CommonArgs, StateShow as Arguments};
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::render::document;
use crate::render::state::{resource, rows};

pub(super) async fn run(arguments: &Arguments, common: &CommonArgs, ui: &mut Ui) -> Result<()> {
    let state = super::seen(arguments.of.cluster.as_deref(), common, ui).await?;
    let address = Address::from(&*arguments.address);
    let lives: Vec<_> = rows(&state).filter(|(known, ..)| **known == address).collect();
    if lives.is_empty() {
        return Err(unknown(&[&address], &state));
    }
    let protected = state.protected.contains(&address);
    let written = |out: &mut dyn Write| {
        lives.iter().try_for_each(|(address, record, old)| {
            resource(address, record, *old, protected && !old, out)
        })
    };
    Ok(ui.show(written, || document::lives(&state, &address, &schemas()))?)
}
