//! `groundplan schema`: what an install-config may say, for editors.

use super::exit::Exit;
use super::failure::Result;
use super::screen::Screen;
use crate::config::json_schema;

pub(super) fn run(screen: &mut Screen) -> Result<Exit> {
    screen.document(|out| {
        serde_json::to_writer_pretty(&mut *out, &json_schema())?;
        writeln!(out)
    })?;
    Ok(Exit::Done)
}
