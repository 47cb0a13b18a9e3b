//! A plan on disk, for an `apply` to do exactly this or to refuse.
//!
//! Holds no time and no secret: the same plan is the same bytes. What it was made from is kept as
//! digests, so that `apply` can say what has moved on since.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::exit::Exit;
use super::failure::{Failure, Result};
use super::inputs::Digests;
use super::world::World;
use crate::plan::Plan;
use crate::render::Diagnostic;
use crate::secret::hex;

/// The version of the file's format; others are refused.
const FORMAT: u32 = 1;

/// A plan and what it was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedPlan {
    /// [`FORMAT`] of the program that wrote it.
    pub(super) format: u32,
    /// Of the install-config's text.
    pub(super) config: String,
    /// Of the assets, `none` without.
    pub(super) assets: String,
    /// Of the RHCOS stream, `none` without.
    pub(super) stream: String,
    /// Whether it has the bootstrap machine.
    pub(super) bootstrap: bool,
    /// What the reader should know.
    pub(super) warnings: Vec<String>,
    /// The plan.
    pub(super) plan: Plan,
}

impl SavedPlan {
    /// The plan, with what this world is known by.
    pub(super) fn of(world: &World, plan: Plan) -> Self {
        let Digests { config, assets, stream } = world.inputs.digests.clone();
        Self {
            format: FORMAT,
            config,
            assets,
            stream,
            bootstrap: world.bootstrap,
            warnings: world.compiled.warnings.clone(),
            plan,
        }
    }

    /// Writes it to a file that only its owner reads.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let attempt = format!("save the plan to {}", path.display());
        self.try_write(path).map_err(|error| Failure::could_not(&attempt, &error))
    }

    fn try_write(&self, path: &Path) -> io::Result<()> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        // Mode 0600 from the first byte on, and never half of it under its name.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&self.bytes()?)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads one.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let attempt = format!("read the plan {}", path.display());
        let bytes = fs::read(path).map_err(|error| Failure::could_not(&attempt, &error))?;
        Self::parse(&bytes, &attempt)
    }

    fn parse(bytes: &[u8], attempt: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let unreadable = |error: serde_json::Error| {
            let hint = "give a file that `groundplan plan --out` wrote";
            let diagnostic = Diagnostic::could_not(attempt, &error).with_hint(hint);
            Failure::new(Exit::Failed, diagnostic)
        };
        let Versioned { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if format != FORMAT {
            return Err(stale(
                &format!("could not {attempt}"),
                &format!("its format is {format}, this program reads {FORMAT}"),
            ));
        }
        serde_json::from_slice(bytes).map_err(unreadable)
    }
}

/// A saved plan that does not fit the world any more.
pub(super) fn stale(summary: &str, because: &str) -> Failure {
    let diagnostic = Diagnostic::error(summary)
        .with_detail(because)
        .with_hint("run `groundplan plan --out FILE` again and read what it shows");
    Failure::new(Exit::Stale, diagnostic)
}

/// The digest of several texts, each kept apart from the next.
pub(super) fn digest<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    }
    format!("sha256:{}", hex(&hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::event::Operation;

    fn saved() -> SavedPlan {
        SavedPlan {
            format: FORMAT,
            config: digest([&b"config"[..]]),
            assets: "none".into(),
            stream: "none".into(),
            bootstrap: true,
            warnings: vec!["mind the gap".into()],
            plan: Plan {
                operation: Operation::Apply,
                lineage: "l".into(),
                serial: 3,
                cluster: None,
                generation: 1,
                changes: vec![],
                steps: vec![],
                relinks: vec![],
            },
        }
    }

    #[test]
    fn a_plan_comes_back_as_it_was_saved_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.plan");
        saved().write(&path).unwrap();
        assert_eq!(SavedPlan::read(&path).unwrap(), saved());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let first = fs::read(&path).unwrap();
        saved().write(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first);
    }

    #[test]
    fn a_plan_of_another_format_is_stale_and_what_is_none_is_an_error() {
        let newer = br#"{"format": 2, "something": "else"}"#;
        assert_eq!(SavedPlan::parse(newer, "read it").unwrap_err().exit, Exit::Stale);
        let other = br#"{"apiVersion": "v1"}"#;
        assert_eq!(SavedPlan::parse(other, "read it").unwrap_err().exit, Exit::Failed);
    }

    #[test]
    fn texts_that_are_cut_elsewhere_have_another_digest() {
        assert_ne!(digest([&b"ab"[..], b"c"]), digest([&b"a"[..], b"bc"]));
    }
}
