//! Saved plan: a plan as a file, with digests of its inputs, its options and a seal.
//!
//! The file contains no time and no secret, so the same plan results in the same bytes. A reviewer
//! of the file and the run that applies it use the same plan. The module performs no I/O; the
//! caller reads and writes the file.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Plan, PlanOptions};
use crate::secret::hex;

/// Version of the file format; other versions are rejected. Saved plans are short-lived, so no
/// program reads another format: a new `plan` writes the current one.
pub const FORMAT: u32 = 4;

/// Plan and the digests of its inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedPlan {
    /// [`FORMAT`] of the program that wrote the file.
    pub format: u32,
    /// Digests of the inputs.
    #[serde(flatten)]
    pub digests: Digests,
    /// True if the plan includes the bootstrap machine.
    pub bootstrap: bool,
    /// Release of the cluster. `None` for a plan without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Options of the plan.
    #[serde(default, skip_serializing_if = "PlanOptions::is_default")]
    pub options: PlanOptions,
    /// Warnings for the user.
    pub warnings: Vec<String>,
    /// The plan.
    pub plan: Plan,
}

/// Digests of the inputs of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// Digest of the configuration's text.
    pub config: String,
    /// Digest of the assets; `none` without assets.
    pub assets: String,
    /// Digest of the image stream; `none` without a stream.
    pub stream: String,
}

/// Error of a text that is no applicable plan.
#[derive(Debug, thiserror::Error)]
pub enum SavedPlanError {
    /// The text is not a saved plan.
    #[error("not a saved plan")]
    Other(#[source] serde_json::Error),
    /// Another version of the program wrote the plan.
    #[error("the plan has format {0}, but this program reads {FORMAT}")]
    Format(u32),
    /// The content has changed since the plan was written.
    #[error("the plan was changed after it was saved: {0}")]
    Damaged(&'static str),
}

const SEAL: &str = "{\"seal\":\"sha256:";

impl SavedPlan {
    /// Returns the text of the file. Equal plans result in equal texts.
    pub fn bytes(&self) -> Vec<u8> {
        let mut body = serde_json::to_vec_pretty(self).expect("BUG: plain data into memory");
        body.push(b'\n');
        // The opening brace of the object is in the line of the seal.
        let body = body.split_off(1);
        [seal(&body).as_bytes(), &body].concat()
    }

    /// Returns true if a text begins as a saved plan does, of this or an earlier version. No other
    /// file of groundplan begins so.
    pub fn begins(text: &[u8]) -> bool {
        text.starts_with(SEAL.as_bytes())
    }

    /// Parses a saved plan.
    ///
    /// # Errors
    /// Returns an error if the text is not a saved plan, has another format, or has changed since
    /// it was written.
    pub fn parse(text: &[u8]) -> Result<Self, SavedPlanError> {
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let Versioned { format } = serde_json::from_slice(text).map_err(SavedPlanError::Other)?;
        if format != FORMAT {
            return Err(SavedPlanError::Format(format));
        }
        let end = SEAL.len() + 64 + "\",".len();
        match text.split_at_checked(end) {
            Some((first, body)) if first == seal(body).as_bytes() => {}
            _ => return Err(SavedPlanError::Damaged("the checksum does not match the content")),
        }
        let saved: Self = serde_json::from_slice(text).map_err(SavedPlanError::Other)?;
        walkable(&saved.plan).map_err(SavedPlanError::Damaged)?;
        Ok(saved)
    }
}

fn seal(body: &[u8]) -> String {
    format!("{SEAL}{}\",", hex(&Sha256::digest(body)))
}

/// Checks that the steps can be executed at all. Computed plans always pass, but a seal is no
/// signature.
fn walkable(plan: &Plan) -> Result<(), &'static str> {
    let mut waits: Vec<usize> = plan.steps.iter().map(|step| step.after.len()).collect();
    let mut dependants = vec![Vec::new(); plan.steps.len()];
    for (index, step) in plan.steps.iter().enumerate() {
        for dependency in &step.after {
            let needed = dependants.get_mut(dependency.step as usize);
            needed.ok_or("a step depends on a missing step")?.push(index);
        }
    }
    let mut ready: Vec<usize> = (0..waits.len()).filter(|&step| waits[step] == 0).collect();
    let mut walked = 0;
    while let Some(step) = ready.pop() {
        walked += 1;
        for &dependant in &dependants[step] {
            waits[dependant] -= 1;
            if waits[dependant] == 0 {
                ready.push(dependant);
            }
        }
    }
    if walked == plan.steps.len() { Ok(()) } else { Err("the steps have a dependency cycle") }
}

/// Returns one digest of several texts. The length of each text is part of the digest, which keeps
/// the texts apart.
pub fn digest<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    }
    format!("sha256:{}", hex(&hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Operation;
    use crate::plan::{Dependency, Milestone, Op, Step};

    fn saved(steps: Vec<Step>) -> SavedPlan {
        SavedPlan {
            format: FORMAT,
            digests: Digests {
                config: digest([&b"config"[..]]),
                assets: "none".into(),
                stream: "none".into(),
            },
            bootstrap: true,
            release: None,
            options: PlanOptions::default(),
            warnings: vec!["mind the gap".into()],
            plan: Plan {
                operation: Operation::Apply,
                lineage: "l".into(),
                serial: 3,
                cluster: None,
                generation: 1,
                selection: None,
                changes: vec![],
                steps,
                dependency_updates: vec![],
            },
        }
    }

    fn delete(address: &str, after: &[u32]) -> Step {
        let after = after.iter().map(|&step| Dependency { step, until: Milestone::Done });
        let op = Op::Delete { address: address.into(), generation: 1, unseen: false };
        Step { op, after: after.collect() }
    }

    #[test]
    fn a_plan_comes_back_as_it_was_saved_and_is_plain_json() {
        let saved = saved(vec![delete("vpc.main", &[1]), delete("subnet.a", &[])]);
        let text = saved.bytes();
        assert_eq!(SavedPlan::parse(&text).unwrap(), saved);
        assert_eq!(saved.bytes(), text);
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(json["plan"]["serial"], 3);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let text = saved(vec![delete("vpc.main", &[])]).bytes();
        for place in 0..text.len() {
            let mut damaged = text.clone();
            damaged[place] ^= 1 << (place % 8);
            assert!(SavedPlan::parse(&damaged).is_err(), "byte {place}");
            assert!(SavedPlan::parse(&text[..place]).is_err(), "cut at byte {place}");
        }
    }

    #[test]
    fn a_plan_of_another_format_is_told_from_what_is_none() {
        let newer = br#"{"format": 5, "something": "else"}"#;
        assert!(matches!(SavedPlan::parse(newer), Err(SavedPlanError::Format(5))));
        let other = br#"{"apiVersion": "v1"}"#;
        assert!(matches!(SavedPlan::parse(other), Err(SavedPlanError::Other(_))));
    }

    #[test]
    fn steps_that_no_walk_could_finish_are_refused_whatever_the_seal_says() {
        for steps in [
            vec![delete("vpc.main", &[7])],
            vec![delete("vpc.main", &[0])],
            vec![delete("vpc.main", &[1]), delete("subnet.a", &[0])],
        ] {
            let text = saved(steps).bytes();
            assert!(matches!(SavedPlan::parse(&text), Err(SavedPlanError::Damaged(_))));
        }
    }

    #[test]
    fn texts_that_are_cut_elsewhere_have_another_digest() {
        assert_ne!(digest([&b"ab"[..], b"c"]), digest([&b"a"[..], b"bc"]));
    }
}
