//! Resolves `--target`, `--exclude` and `--replace` to addresses.
//!
//! A pattern without a match is an error, because a user who mistypes a target does not want all
//! other resources.

use std::collections::BTreeSet;

use groundplan_engine::graph::pattern::fits;
use groundplan_engine::graph::{Address, Graph};
use groundplan_engine::plan::PlanOptions;
use groundplan_engine::state::State;
use groundplan_openshift::diagnostics::{nearest, one_of};

use crate::cli::args::{Renewal, TargetingArgs};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::render::state::rows;
use crate::render::{Code, Diagnostic, remedies};

/// Returns the options of a plan. Patterns match desired and recorded resources.
pub(crate) fn resolve_against_graph(
    renewal: &Renewal,
    part: &TargetingArgs,
    desired: &Graph,
    state: &State,
) -> Result<PlanOptions> {
    let wanted = desired.nodes().iter().map(|node| &node.address);
    let known: BTreeSet<&Address> = wanted.chain(recorded(state)).collect();
    let both = desired.nodes().iter().map(|node| &node.address);
    let both = both.filter(|address| state.resources.contains_key(*address)).collect();
    Ok(PlanOptions {
        // Only a resource that is both desired and recorded can be replaced.
        replace: all("--replace", &renewal.replace, &both, state)?,
        targets: all("--target", &part.target, &known, state)?,
        excludes: all("--exclude", &part.exclude, &known, state)?,
        revert_drift: renewal.revert_drift,
    })
}

/// Returns the options of a destroy plan. Patterns match recorded resources.
pub(crate) fn resolve_against_state(part: &TargetingArgs, state: &State) -> Result<PlanOptions> {
    let known: BTreeSet<&Address> = recorded(state).collect();
    Ok(PlanOptions {
        replace: BTreeSet::new(),
        targets: all("--target", &part.target, &known, state)?,
        excludes: all("--exclude", &part.exclude, &known, state)?,
        revert_drift: false,
    })
}

/// Returns the recorded resources that match the patterns.
pub(crate) fn recorded_by(patterns: &[String], state: &State) -> Result<BTreeSet<Address>> {
    all("ADDRESS", patterns, &recorded(state).collect(), state)
}

/// Rejects a pattern that matches neither a desired nor a recorded resource.
pub(crate) fn ensure_known(
    flag: &str,
    patterns: &[String],
    desired: &Graph,
    state: &State,
) -> Result<()> {
    let wanted = desired.nodes().iter().map(|node| &node.address);
    all(flag, patterns, &wanted.chain(recorded(state)).collect(), state).map(drop)
}

fn recorded(state: &State) -> impl Iterator<Item = &Address> {
    rows(state).map(|(address, ..)| address)
}

fn all(
    flag: &str,
    patterns: &[String],
    known: &BTreeSet<&Address>,
    state: &State,
) -> Result<BTreeSet<Address>> {
    let mut found = BTreeSet::new();
    for pattern in patterns {
        let fitting = known.iter().filter(|address| fits(pattern, address));
        let fitting: Vec<Address> = fitting.map(|address| (*address).clone()).collect();
        if fitting.is_empty() {
            return Err(no_match(flag, pattern, known, state));
        }
        found.extend(fitting);
    }
    Ok(found)
}

fn no_match(flag: &str, name: &str, known: &BTreeSet<&Address>, state: &State) -> CommandError {
    let hint = match meant(name, known.iter().copied()) {
        Some(hint) => hint,
        None => {
            let of_machines = state.cluster.as_ref().filter(|cluster| cluster.is_of_machines());
            let plan = of_machines.map_or("plan", |_| "machines plan");
            let named = of_machines.map(remedies::cluster_flag).unwrap_or_default();
            format!(
                "list the addresses with `groundplan {plan} --full` or `groundplan state \
                 list{named}`"
            )
        }
    };
    let diagnostic = Diagnostic::error(
        Code::AddressUnknown,
        format!("no resource of this cluster matches {flag} `{name}`"),
    )
    .with_hint(hint);
    CommandError::new(Exit::Usage, diagnostic)
}

/// Returns `did you mean ...?` with the addresses that the user probably meant: those with exactly
/// this name, or else the nearest address, name or kind.
pub(crate) fn meant<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a Address>,
) -> Option<String> {
    const MOST: usize = 3;
    let known: Vec<&Address> = known.into_iter().collect();
    let question = |addresses: &[&str]| Some(format!("did you mean {}?", one_of(addresses)));
    let of_name = |name: &str| -> Vec<&str> {
        let of_name = known.iter().filter(|address| address.name() == name);
        of_name.map(|address| address.as_str()).collect()
    };
    let same = of_name(name);
    if (1..=MOST).contains(&same.len()) {
        return question(&same);
    }
    let addresses: Vec<&str> = known.iter().map(|address| address.as_str()).collect();
    let kinds: BTreeSet<&str> = known.iter().map(|address| address.kind()).collect();
    let kinds: Vec<&str> = kinds.into_iter().collect();
    let near = match name.contains('.') {
        true => nearest(name, &addresses),
        false => nearest(name, &kinds),
    };
    if let Some(near) = near {
        return question(&[near]);
    }
    let names: Vec<&str> = known.iter().map(|address| address.name()).collect();
    let near = of_name(nearest(name, &names)?);
    question(&near[..near.len().min(MOST)])
}

#[cfg(test)]
mod tests {
    use groundplan_engine::state::Entry;
    use serde_json::json;

    use super::*;

    fn state() -> State {
        let mut state = State::new("l".into());
        for name in ["instance.master-0", "instance.master-1", "vpc.main"] {
            let (address, inputs) = (Address::from(name), json!({}));
            let entry = Entry::CreateStarted { address, generation: 1, inputs, after: vec![] };
            state.record(&entry).unwrap();
        }
        state
    }

    fn wanted() -> Graph {
        let mut graph = Graph::default();
        for name in ["vpc.main", "instance.master-0", "subnet.new"] {
            graph.push(name.into(), json!({}));
        }
        graph
    }

    fn part(target: &[&str], exclude: &[&str]) -> TargetingArgs {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        TargetingArgs { target: owned(target), exclude: owned(exclude) }
    }

    fn renewal(name: &str) -> Renewal {
        Renewal { replace: vec![name.to_owned()], ..Renewal::default() }
    }

    fn names(addresses: &BTreeSet<Address>) -> Vec<&str> {
        addresses.iter().map(Address::as_str).collect()
    }

    #[test]
    fn a_part_is_named_by_address_kind_or_star() {
        let several = part(&["instance", "subnet.*"], &["*.master-1"]);
        let options =
            resolve_against_graph(&Renewal::default(), &several, &wanted(), &state()).unwrap();
        let targets = names(&options.targets);
        assert_eq!(targets, ["instance.master-0", "instance.master-1", "subnet.new"]);
        assert_eq!(names(&options.excludes), ["instance.master-1"]);
        let options = resolve_against_state(&part(&["vpc"], &[]), &state()).unwrap();
        assert_eq!(names(&options.targets), ["vpc.main"]);
    }

    #[test]
    fn a_name_that_fits_nothing_is_wrong_usage_and_the_nearest_is_offered() {
        let mistyped = part(&["instance.mastr-0"], &[]);
        let failure = resolve_against_state(&mistyped, &state()).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        let hint = failure.diagnostics[0].hint.clone().unwrap();
        assert_eq!(hint, "did you mean `instance.master-0`?");
    }

    #[test]
    fn a_name_or_kind_alone_is_completed_to_an_address() {
        let state = state();
        let meant = |name| meant(name, recorded(&state));
        for (name, hint) in [
            ("master-0", "did you mean `instance.master-0`?"),
            ("instance.mastr-0", "did you mean `instance.master-0`?"),
            ("mastre-1", "did you mean `instance.master-1`?"),
            ("instnace", "did you mean `instance`?"),
            ("vpc.mian", "did you mean `vpc.main`?"),
        ] {
            assert_eq!(meant(name).as_deref(), Some(hint), "{name}");
        }
        assert_eq!(meant("something-else"), None);
    }

    #[test]
    fn only_what_is_wanted_and_there_is_made_anew() {
        let options = |name| {
            resolve_against_graph(&renewal(name), &TargetingArgs::default(), &wanted(), &state())
        };
        assert_eq!(names(&options("instance.master-0").unwrap().replace), ["instance.master-0"]);
        for pattern in ["instance.*", "instance", "*.master-*"] {
            assert_eq!(
                names(&options(pattern).unwrap().replace),
                ["instance.master-0"],
                "{pattern}"
            );
        }
        for wrong in ["subnet.new", "instance.master-1", "subnet.*", "nothing"] {
            assert_eq!(options(wrong).unwrap_err().exit, Exit::Usage, "{wrong}");
        }
    }
}
