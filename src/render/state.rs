//! A state for people and for programs.

use std::io::{self, Write};

use super::palette::{FAINT, STRONG, UPDATE};
use super::{count, painted};
use crate::graph::Address;
use crate::plan::decide::id;
use crate::state::{Record, State, Status};

/// Writes a state for people: who the cluster is, and one line per resource.
///
/// # Errors
/// When the writer refuses.
pub fn human(state: &State, out: &mut dyn Write) -> io::Result<()> {
    match &state.cluster {
        Some(cluster) => {
            writeln!(out, "Cluster {} in {}", painted(STRONG, &cluster.name), cluster.region)?;
            writeln!(out, "  infra ID    {}", cluster.infra_id)?;
            writeln!(out, "  cluster ID  {}", cluster.cluster_id)?;
        }
        None => writeln!(out, "No cluster yet")?,
    }
    writeln!(out, "  serial      {}\n", state.serial)?;
    let width = rows(state).map(|(address, ..)| address.as_str().len()).max().unwrap_or(0);
    for (address, record, superseded) in rows(state) {
        let id = id(&record.outputs).unwrap_or_else(|| "(no id)".into());
        let line = format!("{address:<width$}  {id}");
        let note = match (superseded, status(record.status)) {
            (true, _) => painted(UPDATE, "  superseded, not yet deleted"),
            (false, Some(status)) => painted(UPDATE, format!("  {status}")),
            (false, None) => String::new(),
        };
        writeln!(out, "{line}{note}")?;
    }
    let total = rows(state).count();
    if total > 0 {
        writeln!(out)?;
    }
    writeln!(out, "{}", painted(FAINT, format!("{}.", count(total, "resource"))))
}

/// Writes a state for programs, as one JSON document. Secrets are digests in it.
///
/// # Errors
/// When the writer refuses.
pub fn json(state: &State, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, state)?;
    writeln!(out)
}

/// Everything recorded, by address, the superseded lives after the current ones.
fn rows(state: &State) -> impl Iterator<Item = (&Address, &Record, bool)> {
    let current = state.resources.iter().map(|(address, record)| (address, record, false));
    let superseded = state
        .deposed
        .iter()
        .flat_map(|(address, lives)| lives.iter().map(move |record| (address, record, true)));
    current.chain(superseded)
}

/// What is unusual about a resource that has come this far; `None` for one as it should be.
fn status(status: Status) -> Option<&'static str> {
    match status {
        Status::Ready => None,
        Status::Creating => Some("asked for, not yet answered"),
        Status::Created => Some("made, not yet configured"),
        Status::Configured => Some("configured, not yet ready"),
        Status::Updating => Some("a change was begun"),
        Status::Deleting => Some("its deletion was begun"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::state::{Cluster, Entry};

    fn state() -> State {
        let mut state = State::new("l".into());
        let created = |address: &str, outputs: Value, status| {
            let address: Address = address.into();
            [
                Entry::CreateStarted {
                    address: address.clone(),
                    generation: 1,
                    inputs: json!({}),
                    after: vec![],
                },
                Entry::Created { address, outputs, status },
            ]
        };
        let cluster = Cluster {
            name: "demo".into(),
            infra_id: "demo-x7k2p".into(),
            cluster_id: "b0a4".into(),
            region: "us-west-2".into(),
        };
        let mut entries = vec![Entry::Identified { cluster }];
        entries.extend(created("vpc.main", json!({"id": "vpc-1"}), Status::Ready));
        entries.extend(created("nat_gateway.a", json!({"id": "nat-1"}), Status::Configured));
        for entry in &entries {
            state.record(entry).unwrap();
        }
        state
    }

    #[test]
    fn a_state_is_a_line_per_resource_and_says_what_is_unfinished() {
        let mut written = Vec::new();
        human(&state(), &mut anstream::StripStream::new(&mut written)).unwrap();
        assert_eq!(
            String::from_utf8(written).unwrap(),
            "Cluster demo in us-west-2\n\
             \x20 infra ID    demo-x7k2p\n\
             \x20 cluster ID  b0a4\n\
             \x20 serial      5\n\n\
             nat_gateway.a  nat-1  configured, not yet ready\n\
             vpc.main       vpc-1\n\n\
             2 resources.\n"
        );
    }

    #[test]
    fn a_state_as_json_is_the_state() {
        let mut written = Vec::new();
        json(&state(), &mut written).unwrap();
        assert_eq!(serde_json::from_slice::<State>(&written).unwrap(), state());
    }
}
