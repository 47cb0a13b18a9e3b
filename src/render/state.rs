//! Recorded state for people.

use std::io::{self, Write};

use groundplan_engine::graph::Address;
use groundplan_engine::plan::decide::id;
use groundplan_engine::state::{Record, RecordStatus, RunRecord, State};

use super::palette::{FAINT, STRONG, UPDATE};
use super::{count, painted};

/// Writes a state for people: the cluster, and one line per resource.
///
/// # Errors
/// Returns an error if the writer fails.
pub fn human(state: &State, out: &mut dyn Write) -> io::Result<()> {
    match &state.cluster {
        Some(cluster) => {
            writeln!(out, "Cluster {} in {}", painted(STRONG, &cluster.name), cluster.region)?;
            writeln!(out, "  infra ID    {}", cluster.infra_id)?;
            if !cluster.cluster_id.is_empty() {
                writeln!(out, "  cluster ID  {}", cluster.cluster_id)?;
            }
        }
        None => writeln!(out, "No cluster yet")?,
    }
    writeln!(out, "  serial      {}\n", state.serial)?;
    let width = rows(state).map(|(address, ..)| address.as_str().len()).max().unwrap_or(0);
    for (address, record, superseded) in rows(state) {
        let id = id(&record.outputs).unwrap_or_else(|| "(no id)".into());
        let line = format!("{address:<width$}  {id}");
        let note = match (superseded, status(record.status)) {
            (true, _) => painted(UPDATE, "  deposed, not yet deleted"),
            (false, Some(status)) => painted(UPDATE, format!("  {status}")),
            (false, None) => String::new(),
        };
        let is_protected = !superseded && state.protected.contains(address);
        let protected = if is_protected { painted(STRONG, "  [protected]") } else { String::new() };
        writeln!(out, "{line}{note}{protected}")?;
    }
    let total = rows(state).count();
    if total > 0 {
        writeln!(out)?;
    }
    writeln!(out, "{}", painted(FAINT, format!("{}.", count(total, "resource"))))
}

/// Writes all recorded data of one object of a resource, for people.
///
/// # Errors
/// Returns an error if the writer fails.
pub fn resource(
    address: &Address,
    record: &Record,
    superseded: bool,
    protected: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let note =
        if superseded { painted(UPDATE, "  deposed, not yet deleted") } else { String::new() };
    writeln!(out, "{}{note}", painted(STRONG, address))?;
    let status = status(record.status).unwrap_or("ready");
    writeln!(out, "  status      {status}")?;
    writeln!(out, "  generation  {}", record.generation)?;
    if protected {
        writeln!(out, "  protected   until `groundplan unprotect {address}`")?;
    }
    if let Some(id) = id(&record.outputs) {
        writeln!(out, "  id          {id}")?;
    }
    if !record.after.is_empty() {
        let after: Vec<_> = record.after.iter().map(Address::as_str).collect();
        writeln!(out, "  depends on  {}", after.join(", "))?;
    }
    for (title, value) in [("inputs", &record.inputs), ("outputs", &record.outputs)] {
        if !value.is_null() {
            let text = serde_json::to_string_pretty(value)?.replace('\n', "\n  ");
            writeln!(out, "  {title} {text}")?;
        }
    }
    Ok(())
}

/// Writes the last runs that recorded entries, newest last, for people.
///
/// # Errors
/// Returns an error if the writer fails.
pub fn history(state: &State, out: &mut dyn Write) -> io::Result<()> {
    let has_identities = state.runs.iter().any(|run| run.infra_id.is_some());
    let rows = runs(state).map(|(run, records)| {
        let records = count(usize::try_from(records).unwrap_or(usize::MAX), "record");
        let infra_id = has_identities.then(|| run.infra_id.clone().unwrap_or_default());
        [run.epoch.to_string(), run.at.clone(), run.by.clone(), run.operation.clone(), records]
            .into_iter()
            .chain(infra_id)
            .chain([run.version.clone()])
            .collect::<Vec<_>>()
    });
    let rows: Vec<_> = rows.collect();
    let padded = if has_identities { 6 } else { 5 };
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..padded).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  "));
        writeln!(out, "{}{}", cells.collect::<String>(), row[padded])?;
    }
    writeln!(out, "{}", painted(FAINT, format!("{}.", count(rows.len(), "run"))))
}

/// Returns the last runs that recorded entries, oldest first, each with its number of entries.
pub fn runs(state: &State) -> impl Iterator<Item = (&RunRecord, u64)> {
    let ends = state.runs.iter().skip(1).map(|next| next.after).chain([state.serial]);
    state.runs.iter().zip(ends).map(|(run, end)| (run, end.saturating_sub(run.after)))
}

/// Returns all records by address: the current objects, then the deposed ones.
pub fn rows(state: &State) -> impl Iterator<Item = (&Address, &Record, bool)> {
    let current = state.resources.iter().map(|(address, record)| (address, record, false));
    let superseded = state
        .deposed
        .iter()
        .flat_map(|(address, lives)| lives.iter().map(move |record| (address, record, true)));
    current.chain(superseded)
}

/// Returns a description of an unfinished status; `None` for `ready`.
fn status(status: RecordStatus) -> Option<&'static str> {
    match status {
        RecordStatus::Ready => None,
        RecordStatus::Creating => Some("creation in doubt: no response recorded"),
        RecordStatus::Created => Some("created, not yet configured"),
        RecordStatus::Configured => Some("configured, not yet ready"),
        RecordStatus::Updating => Some("update not finished"),
        RecordStatus::Deleting => Some("deletion not finished"),
    }
}

#[cfg(test)]
mod tests {
    use groundplan_engine::state::{Cluster, Entry};
    use serde_json::{Value, json};

    use super::*;

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
        let mut entries = vec![Entry::ClusterIdentified { cluster }];
        entries.extend(created("vpc.main", json!({"id": "vpc-1"}), RecordStatus::Ready));
        entries.extend(created("nat_gateway.a", json!({"id": "nat-1"}), RecordStatus::Configured));
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

    fn text(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
        let mut written = Vec::new();
        write(&mut anstream::StripStream::new(&mut written)).unwrap();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn a_protected_resource_is_marked() {
        let mut state = state();
        let address = Address::from("vpc.main");
        state.record(&Entry::Protected { address: address.clone() }).unwrap();
        let shown = text(|out| human(&state, out));
        assert!(shown.contains("vpc.main       vpc-1  [protected]\n"), "{shown}");
        assert_eq!(shown.matches("protected").count(), 1, "{shown}");
        let shown = text(|out| resource(&address, &state.resources[&address], false, true, out));
        assert!(shown.contains("  protected   until `groundplan unprotect vpc.main`\n"), "{shown}");
    }

    #[test]
    fn a_resource_is_everything_that_is_recorded_of_it() {
        let state = state();
        let address = Address::from("nat_gateway.a");
        let mut record = state.resources[&address].clone();
        record.inputs = json!({"subnet_id": "subnet-1"});
        record.after = vec!["elastic_ip.a".into(), "subnet.a".into()];
        assert_eq!(
            text(|out| resource(&address, &record, true, false, out)),
            "nat_gateway.a  deposed, not yet deleted\n\
             \x20 status      configured, not yet ready\n\
             \x20 generation  1\n\
             \x20 id          nat-1\n\
             \x20 depends on  elastic_ip.a, subnet.a\n\
             \x20 inputs {\n\
             \x20   \"subnet_id\": \"subnet-1\"\n\
             \x20 }\n\
             \x20 outputs {\n\
             \x20   \"id\": \"nat-1\"\n\
             \x20 }\n"
        );
    }

    #[test]
    fn a_history_is_a_line_per_run_and_says_how_much_it_recorded() {
        let mut state = State::new("l".into());
        for (epoch, operation) in [(1, "plan"), (2, "apply"), (12, "state mv")] {
            let run = RunRecord {
                epoch,
                operation: operation.into(),
                at: "2026-11-25T12:00:00Z".into(),
                by: "dev@host".into(),
                version: "0.1.0".into(),
                after: state.serial,
                infra_id: None,
                unknown: Default::default(),
            };
            state.record(&Entry::RunStarted { run }).unwrap();
            let learnt = Entry::LookupRecorded { lookup: "q".into(), answer: json!(epoch) };
            (1..epoch).for_each(|_| state.record(&learnt).unwrap());
        }
        assert_eq!(
            text(|out| history(&state, out)),
            "1   2026-11-25T12:00:00Z  dev@host  plan      1 record    0.1.0\n\
             2   2026-11-25T12:00:00Z  dev@host  apply     2 records   0.1.0\n\
             12  2026-11-25T12:00:00Z  dev@host  state mv  12 records  0.1.0\n\
             3 runs.\n"
        );
    }
}
