//! A plan as a file: what it was made from, what was asked for, what was decided, and a seal.
//!
//! Holds no time and no secret, so the same plan is the same bytes, and whoever reviews a file and
//! whoever applies it speak of the same thing. Never touches a disk: who has one reads and writes.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Options, Plan};
use crate::secret::hex;

/// The version of the file's format; others are refused. A plan is short-lived, so no program reads
/// the plans of another format: the next `plan` writes one that it does.
pub const FORMAT: u32 = 2;

/// A plan and what it was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedPlan {
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// What it was made from.
    #[serde(flatten)]
    pub digests: Digests,
    /// Whether it has the bootstrap machine.
    pub bootstrap: bool,
    /// What it was asked for besides.
    #[serde(default, skip_serializing_if = "Options::is_default")]
    pub options: Options,
    /// What the reader should know.
    pub warnings: Vec<String>,
    /// The plan.
    pub plan: Plan,
}

/// What the inputs of a plan are known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// Of the install-config's text.
    pub config: String,
    /// Of the assets, `none` without.
    pub assets: String,
    /// Of the RHCOS stream, `none` without.
    pub stream: String,
}

/// Why a text is no plan that can be applied.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is something else.
    #[error("it is not a saved plan")]
    Other(#[source] serde_json::Error),
    /// Another program wrote it.
    #[error("its format is {0}, this program reads {FORMAT}")]
    Format(u32),
    /// It is not what was written.
    #[error("it is not as it was written: {0}")]
    Damaged(&'static str),
}

const SEAL: &str = "{\"seal\":\"sha256:";

impl SavedPlan {
    /// The text of the file: the same for the same plan.
    pub fn bytes(&self) -> Vec<u8> {
        let mut body = serde_json::to_vec_pretty(self).expect("BUG: plain data into memory");
        body.push(b'\n');
        // The brace that opens the object stands in the line of the seal.
        let body = body.split_off(1);
        [seal(&body).as_bytes(), &body].concat()
    }

    /// The plan of a text.
    ///
    /// # Errors
    /// When it is something else, of another format, or not as it was written.
    pub fn parse(text: &[u8]) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let Versioned { format } = serde_json::from_slice(text).map_err(Unreadable::Other)?;
        if format != FORMAT {
            return Err(Unreadable::Format(format));
        }
        let end = SEAL.len() + 64 + "\",".len();
        match text.split_at_checked(end) {
            Some((first, body)) if first == seal(body).as_bytes() => {}
            _ => return Err(Unreadable::Damaged("its seal does not fit its content")),
        }
        let saved: Self = serde_json::from_slice(text).map_err(Unreadable::Other)?;
        walkable(&saved.plan).map_err(Unreadable::Damaged)?;
        Ok(saved)
    }
}

fn seal(body: &[u8]) -> String {
    format!("{SEAL}{}\",", hex(&Sha256::digest(body)))
}

/// Whether the steps can be walked at all. What was planned always can, and a seal is no signature.
fn walkable(plan: &Plan) -> Result<(), &'static str> {
    let mut waits: Vec<usize> = plan.steps.iter().map(|step| step.after.len()).collect();
    let mut dependants = vec![Vec::new(); plan.steps.len()];
    for (index, step) in plan.steps.iter().enumerate() {
        for dependency in &step.after {
            let needed = dependants.get_mut(dependency.step as usize);
            needed.ok_or("a step waits for one that is not there")?.push(index);
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
    if walked == plan.steps.len() { Ok(()) } else { Err("its steps wait for each other") }
}

/// The digest of several texts, each kept apart from the next.
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
    use crate::plan::{Dependency, Op, Step, Until};

    fn saved(steps: Vec<Step>) -> SavedPlan {
        SavedPlan {
            format: FORMAT,
            digests: Digests {
                config: digest([&b"config"[..]]),
                assets: "none".into(),
                stream: "none".into(),
            },
            bootstrap: true,
            options: Options::default(),
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
                relinks: vec![],
            },
        }
    }

    fn delete(address: &str, after: &[u32]) -> Step {
        let after = after.iter().map(|&step| Dependency { step, until: Until::Done });
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
        let newer = br#"{"format": 3, "something": "else"}"#;
        assert!(matches!(SavedPlan::parse(newer), Err(Unreadable::Format(3))));
        let other = br#"{"apiVersion": "v1"}"#;
        assert!(matches!(SavedPlan::parse(other), Err(Unreadable::Other(_))));
    }

    #[test]
    fn steps_that_no_walk_could_finish_are_refused_whatever_the_seal_says() {
        for steps in [
            vec![delete("vpc.main", &[7])],
            vec![delete("vpc.main", &[0])],
            vec![delete("vpc.main", &[1]), delete("subnet.a", &[0])],
        ] {
            let text = saved(steps).bytes();
            assert!(matches!(SavedPlan::parse(&text), Err(Unreadable::Damaged(_))));
        }
    }

    #[test]
    fn texts_that_are_cut_elsewhere_have_another_digest() {
        assert_ne!(digest([&b"ab"[..], b"c"]), digest([&b"a"[..], b"bc"]));
    }
}
