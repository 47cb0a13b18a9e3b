//! Tests of the rules of [`State::record`], and histories for the tests of the backends.

use proptest::prelude::*;
use serde_json::json;

use super::*;

pub(super) fn cluster() -> Cluster {
    Cluster {
        name: "prod".to_owned(),
        infra_id: "prod-x7k2p".to_owned(),
        cluster_id: "6a3c9c1e-6a54-4c1e-9a58-6a1f6fd3ad11".to_owned(),
        region: "us-west-2".to_owned(),
    }
}

pub(super) fn address(name: &str) -> Address {
    Address::new("node", name)
}

pub(super) fn create(name: &str, generation: u64) -> Entry {
    let inputs = json!({ "name": name, "size": generation, "text": "two\nlines, \"quoted\" ü" });
    Entry::CreateStarted {
        address: address(name),
        generation,
        inputs,
        after: vec![address("base")],
    }
}

pub(super) fn created(name: &str, status: RecordStatus) -> Entry {
    Entry::Created { address: address(name), outputs: json!({ "id": format!("n-{name}") }), status }
}

pub(super) fn advanced(name: &str, status: RecordStatus) -> Entry {
    Entry::Advanced { address: address(name), status, outputs: None }
}

pub(super) fn update(name: &str) -> Entry {
    let (address, inputs) = (address(name), json!({ "size": 9 }));
    Entry::UpdateStarted { address, inputs, after: Vec::new(), revert: Vec::new() }
}

pub(super) fn deposed(name: &str) -> Entry {
    Entry::Deposed { address: address(name) }
}

pub(super) fn delete(name: &str, generation: u64) -> Entry {
    Entry::DeleteStarted { address: address(name), generation }
}

pub(super) fn deleted(name: &str, generation: u64) -> Entry {
    Entry::Deleted { address: address(name), generation }
}

fn refused(name: &str) -> Entry {
    Entry::CreateRefused { address: address(name) }
}

fn vanished(name: &str) -> Entry {
    Entry::Vanished { address: address(name) }
}

pub(super) fn run_started(epoch: u64) -> Entry {
    let run = RunRecord {
        epoch,
        operation: "apply".to_owned(),
        at: "2026-11-25T12:00:00Z".to_owned(),
        by: "dev@host".to_owned(),
        version: "0.1.0".to_owned(),
        after: epoch,
        infra_id: None,
        unknown: BTreeMap::new(),
    };
    Entry::RunStarted { run }
}

fn forgotten(name: &str, generation: u64) -> Entry {
    Entry::Forgotten { address: address(name), generation }
}

fn moved(name: &str, to: &str) -> Entry {
    Entry::Moved { address: address(name), to: address(to) }
}

fn learnt(lookup: &str, answer: Value) -> Entry {
    Entry::LookupRecorded { lookup: lookup.to_owned(), answer }
}

/// Returns about forty entries, at least one of each kind.
pub(super) fn history() -> Vec<Entry> {
    let mut entries = vec![
        run_started(1),
        Entry::ClusterIdentified { cluster: cluster() },
        learnt("zones", json!(["us-west-2a", "us-west-2b"])),
        learnt("account", json!("123456789012")),
        learnt("account", Value::Null),
    ];
    for name in ["base", "a", "b", "c", "d", "e"] {
        entries.extend([create(name, 1), created(name, RecordStatus::Created)]);
        entries.push(advanced(name, RecordStatus::Ready));
    }
    entries.extend([create("f", 1), refused("f"), vanished("e"), create("e", 2)]);
    entries.extend([
        created("e", RecordStatus::Configured),
        update("a"),
        advanced("a", RecordStatus::Ready),
    ]);
    entries.push(Entry::DependenciesUpdated { address: address("b"), after: vec![address("a")] });
    entries.extend([deposed("c"), create("c", 2), created("c", RecordStatus::Ready)]);
    entries.extend([delete("c", 1), deleted("c", 1), delete("d", 1), deleted("d", 1)]);
    entries.extend([create("d", 2), deposed("b"), create("b", 2), delete("base", 1)]);
    entries.extend([protected("a"), protected("c"), unprotected("c")]);
    entries.extend([run_started(2), moved("a", "g"), forgotten("d", 2)]);
    entries
}

fn protected(name: &str) -> Entry {
    Entry::Protected { address: address(name) }
}

fn unprotected(name: &str) -> Entry {
    Entry::Unprotected { address: address(name) }
}

/// Returns the state after these entries.
pub(super) fn told(state: State, entries: &[Entry]) -> State {
    entries.iter().fold(state, |mut state, entry| {
        state.record(entry).unwrap();
        state
    })
}

fn lineage() -> State {
    State::new("lineage".to_owned())
}

/// Returns entries that could follow for one of four addresses; many of them are illegal.
fn conceivable(state: &State, name: &str, dice: u64) -> Vec<Entry> {
    let generation = state.generation + dice % 2;
    let lives = state.deposed.get(&address(name)).into_iter().flatten();
    let lives = lives.chain(state.resources.get(&address(name)));
    let mut entries: Vec<_> = lives
        .flat_map(|life| [delete(name, life.generation), deleted(name, life.generation)])
        .collect();
    let statuses = [
        RecordStatus::Created,
        RecordStatus::Configured,
        RecordStatus::Updating,
        RecordStatus::Ready,
    ];
    entries.extend(statuses.map(|status| created(name, status)));
    entries.extend(statuses.map(|status| advanced(name, status)));
    entries.extend([create(name, generation), create(name, generation), refused(name)]);
    entries.extend([update(name), deposed(name), vanished(name)]);
    entries.push(Entry::DependenciesUpdated { address: address(name), after: vec![address("a")] });
    entries.push(learnt(name, if dice.is_multiple_of(3) { Value::Null } else { json!(dice) }));
    entries.push(Entry::ClusterIdentified { cluster: cluster() });
    entries.extend([protected(name), unprotected(name)]);
    entries.push(run_started(state.epoch() + dice % 2));
    entries.push(moved(name, ["a", "b", "c", "d"][usize::try_from(dice % 4).unwrap()]));
    entries.extend(state.resources.get(&address(name)).map(|one| forgotten(name, one.generation)));
    entries
}

/// Generates a random history that a state accepts.
pub(super) fn legal_history() -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec((0..4usize, any::<u64>()), 0..60).prop_map(|choices| {
        let mut state = lineage();
        let choose = |(name, dice): (usize, u64)| {
            let mut entries = conceivable(&state, ["a", "b", "c", "d"][name], dice);
            entries.retain(|entry| state.clone().record(entry).is_ok());
            let index = usize::try_from(dice >> 8).unwrap() % entries.len();
            let entry = entries.swap_remove(index);
            state.record(&entry).unwrap();
            entry
        };
        choices.into_iter().map(choose).collect()
    })
}

/// Asserts that an entry is rejected for this reason and leaves the state unchanged.
#[track_caller]
fn assert_refused(entries: &[Entry], entry: &Entry, why: &str) {
    let mut state = told(lineage(), entries);
    let before = state.clone();
    let illegal = state.record(entry).expect_err("it was accepted");
    assert_eq!(illegal.why, why);
    assert_eq!(illegal.serial, before.serial + 1);
    assert_eq!(state, before);
}

#[test]
fn the_sample_history_has_every_entry_and_is_legal() {
    let entries = history();
    let names: BTreeSet<_> = entries.iter().map(Entry::name).collect();
    assert_eq!(names.len(), 17);
    let state = told(lineage(), &entries);
    assert_eq!(state.serial, entries.len() as u64);
    assert_eq!(state.generation, 2);
    assert_eq!(state.deposed.len(), 1);
    assert!(entries.len() >= 40, "{}", entries.len());
}

#[test]
fn a_protection_goes_with_what_is_moved_and_stays_with_what_is_made_anew() {
    let state = told(lineage(), &history());
    assert_eq!(state.protected.iter().collect::<Vec<_>>(), [&address("g")]);
    let state = told(state, &[delete("g", 1), deleted("g", 1), create("g", 3)]);
    assert!(state.protected.contains(&address("g")));
    let state = told(state, &[unprotected("g"), unprotected("g")]);
    assert!(state.protected.is_empty());
}

#[test]
fn an_epoch_that_is_over_says_nothing_more() {
    assert_refused(&[run_started(2)], &run_started(2), "its epoch is not higher than the last one");
    assert_refused(&[run_started(2)], &run_started(1), "its epoch is not higher than the last one");
    let epochs: Vec<_> = (1..=RUNS as u64 + 7).map(run_started).collect();
    let state = told(lineage(), &epochs);
    assert_eq!((state.runs.len(), state.epoch()), (RUNS, RUNS as u64 + 7));
}

#[test]
fn what_is_moved_is_known_by_its_new_address_alone() {
    let made = [create("base", 1), created("base", RecordStatus::Ready)];
    let needs = [create("a", 1), created("a", RecordStatus::Ready)];
    let state = told(lineage(), &[&made[..], &needs[..], &[moved("base", "root")]].concat());
    assert!(!state.resources.contains_key(&address("base")));
    assert!(state.resources.contains_key(&address("root")));
    assert_eq!(state.resources[&address("a")].after, [address("root")]);
}

#[test]
fn only_what_is_known_moves_and_only_where_there_is_room() {
    assert_refused(&[], &moved("a", "b"), "the address has no such record");
    assert_refused(&[create("a", 1)], &moved("a", "b"), "the creation is in doubt");
    let both =
        ["a", "b"].map(|name| [create(name, 1), created(name, RecordStatus::Ready)]).concat();
    assert_refused(&both, &moved("a", "b"), "the address already has a record");
    let other = Entry::Moved { address: address("a"), to: Address::from("vpc.a") };
    assert_refused(&both, &other, "the kind would change");
}

#[test]
fn what_is_forgotten_is_forgotten_however_far_it_was() {
    assert_refused(&[], &forgotten("a", 1), "the address has no such record");
    let state = told(lineage(), &[create("a", 1), forgotten("a", 1)]);
    assert!(state.resources.is_empty());
    let lives = [create("a", 1), created("a", RecordStatus::Ready), deposed("a"), create("a", 2)];
    let state = told(told(lineage(), &lives), &[forgotten("a", 1)]);
    assert!(state.deposed.is_empty() && state.resources.len() == 1);
}

#[test]
fn a_state_is_of_one_cluster() {
    let other = Cluster { infra_id: "prod-00000".to_owned(), ..cluster() };
    let known = [Entry::ClusterIdentified { cluster: cluster() }];
    assert_refused(
        &known,
        &Entry::ClusterIdentified { cluster: other },
        "the cluster is already recorded",
    );
    told(lineage(), &[&known[..], &known[..]].concat());
}

#[test]
fn an_answer_of_null_forgets_a_fact() {
    let state = told(lineage(), &[learnt("zones", json!(1)), learnt("zones", Value::Null)]);
    assert!(state.lookup_cache.is_empty());
}

#[test]
fn a_taken_address_is_not_created_again() {
    let made = [create("a", 1), created("a", RecordStatus::Created)];
    assert_refused(&made, &create("a", 2), "the address already has a record");
    assert_refused(&made, &create("a", 1), "the address already has a record");
}

#[test]
fn an_unanswered_creation_is_asked_for_again_as_the_same_life_only() {
    let asked = [create("a", 1)];
    assert_eq!(told(lineage(), &[&asked[..], &asked[..]].concat()).resources.len(), 1);
    assert_refused(&asked, &create("a", 2), "another generation is being created");
}

#[test]
fn an_unanswered_creation_is_asked_for_again_after_others_have_been() {
    let state = told(lineage(), &[create("a", 1), create("b", 2), create("a", 1)]);
    assert_eq!(state.generation, 2);
}

#[test]
fn a_generation_is_not_used_again_later() {
    let gone = [create("a", 2), created("a", RecordStatus::Ready), vanished("a")];
    assert_refused(&gone, &create("a", 1), "the generation is older than the current one");
}

#[test]
fn a_new_life_is_not_taken_for_the_deposed_one() {
    let deposed = [create("a", 1), created("a", RecordStatus::Ready), deposed("a")];
    assert_refused(&deposed, &create("a", 1), "a deposed record has the same generation");
}

#[test]
fn only_an_unanswered_creation_can_be_refused() {
    assert_refused(&[], &refused("a"), "the address has no such record");
    let made = [create("a", 1), created("a", RecordStatus::Created)];
    assert_refused(&made, &refused("a"), "the status of the record does not allow it");
}

#[test]
fn a_refused_replacement_gives_the_address_back() {
    let made = [create("a", 1), created("a", RecordStatus::Ready)];
    let before = told(lineage(), &made);
    let after = told(before.clone(), &[deposed("a"), create("a", 2), refused("a")]);
    assert_eq!(after.resources, before.resources);
    assert!(after.deposed.is_empty());
}

#[test]
fn only_an_unanswered_creation_is_answered() {
    assert_refused(&[], &created("a", RecordStatus::Ready), "the address has no such record");
    let made = [create("a", 1), created("a", RecordStatus::Created)];
    assert_refused(
        &made,
        &created("a", RecordStatus::Created),
        "the status of the record does not \
         allow it",
    );
}

#[test]
fn an_answered_creation_is_somewhere_on_the_way_to_ready() {
    let why = "expected the status created, configured or ready";
    for status in [RecordStatus::Creating, RecordStatus::Updating, RecordStatus::Deleting] {
        assert_refused(&[create("a", 1)], &created("a", status), why);
    }
}

#[test]
fn what_is_not_answered_or_being_deleted_does_not_advance() {
    assert_refused(&[], &advanced("a", RecordStatus::Ready), "the address has no such record");
    assert_refused(
        &[create("a", 1)],
        &advanced("a", RecordStatus::Ready),
        "the status of the \
         record does not allow it",
    );
    let doomed = [create("a", 1), created("a", RecordStatus::Ready), delete("a", 1)];
    assert_refused(
        &doomed,
        &advanced("a", RecordStatus::Ready),
        "the status of the record does \
         not allow it",
    );
}

#[test]
fn nothing_moves_back() {
    let ready = [create("a", 1), created("a", RecordStatus::Ready)];
    let configured = [create("a", 1), created("a", RecordStatus::Configured)];
    for back in [
        RecordStatus::Creating,
        RecordStatus::Created,
        RecordStatus::Configured,
        RecordStatus::Updating,
    ] {
        assert_refused(&ready, &advanced("a", back), "the status would go back");
    }
    assert_refused(&configured, &advanced("a", RecordStatus::Created), "the status would go back");
    assert_refused(&configured, &advanced("a", RecordStatus::Deleting), "the status would go back");
}

#[test]
fn an_update_ends_at_any_step_of_a_creation() {
    for status in [
        RecordStatus::Created,
        RecordStatus::Configured,
        RecordStatus::Updating,
        RecordStatus::Ready,
    ] {
        let entries = [create("a", 1), created("a", RecordStatus::Ready), update("a")];
        let state = told(told(lineage(), &entries), &[advanced("a", status)]);
        assert_eq!(state.resources[&address("a")].status, status);
        assert_eq!(state.resources[&address("a")].inputs, json!({ "size": 9 }));
    }
}

#[test]
fn what_is_not_answered_or_being_deleted_is_not_updated() {
    assert_refused(&[], &update("a"), "the address has no such record");
    assert_refused(&[create("a", 1)], &update("a"), "the status of the record does not allow it");
    let doomed = [create("a", 1), created("a", RecordStatus::Ready), delete("a", 1)];
    assert_refused(&doomed, &update("a"), "the status of the record does not allow it");
}

#[test]
fn what_is_not_known_is_not_relinked() {
    let relinked = Entry::DependenciesUpdated { address: address("a"), after: Vec::new() };
    assert_refused(&[], &relinked, "the address has no such record");
}

#[test]
fn what_may_not_exist_is_not_deposed() {
    assert_refused(&[], &deposed("a"), "the address has no such record");
    assert_refused(&[create("a", 1)], &deposed("a"), "the creation is in doubt");
}

#[test]
fn only_a_life_that_is_known_is_deleted() {
    assert_refused(&[], &delete("a", 1), "the address has no such record");
    let made = [create("a", 1), created("a", RecordStatus::Ready)];
    assert_refused(&made, &delete("a", 2), "the address has no such record");
    assert_refused(&made, &deleted("a", 2), "the address has no such record");
}

#[test]
fn a_deletion_is_announced() {
    let made = [create("a", 1), created("a", RecordStatus::Ready)];
    assert_refused(&made, &deleted("a", 1), "the deletion has no intent");
}

#[test]
fn a_deletion_ends_the_life_it_names_and_no_other() {
    let replaced = [
        create("a", 1),
        created("a", RecordStatus::Ready),
        deposed("a"),
        create("a", 2),
        created("a", RecordStatus::Ready),
        delete("a", 1),
        delete("a", 1), // again, after a crash
    ];
    let state = told(lineage(), &replaced);
    let without_old = told(state.clone(), &[deleted("a", 1)]);
    assert_eq!(without_old.resources, state.resources);
    assert!(without_old.deposed.is_empty());
    let without_new = told(state, &[delete("a", 2), deleted("a", 2)]);
    assert!(without_new.resources.is_empty());
    assert_eq!(without_new.deposed[&address("a")].len(), 1);
}

#[test]
fn what_may_not_exist_does_not_vanish() {
    assert_refused(&[], &vanished("a"), "the address has no such record");
}

#[test]
fn an_illegal_entry_is_named_without_its_contents() {
    let mut state = told(lineage(), &[create("a", 1), created("a", RecordStatus::Ready)]);
    let message = state.record(&create("a", 2)).unwrap_err().to_string();
    assert_eq!(
        message,
        "entry 3 (create_started node.a) cannot follow the entries before it: the address already \
         has a record"
    );
}

#[test]
fn a_token_fits_everywhere_and_is_the_same_in_every_run() {
    let state = told(lineage(), &[Entry::ClusterIdentified { cluster: cluster() }]);
    let token = state.token(&Address::from("instance.master-0"), 1);
    assert_eq!(token, "gp-23487bd290a58bd832273df736a1fe43dcd668dd");
    let long = state.token(&Address::new("instance", &"ü".repeat(300)), u64::MAX);
    for token in [token, long] {
        assert!(token.is_ascii() && token.len() <= 64, "{token}");
    }
}

#[test]
fn tokens_differ_by_cluster_address_and_generation() {
    let place = Address::from("node.a");
    let mut tokens = vec![
        token(None, "c1", &place, 1),
        token(None, "c1", &place, 2),
        token(None, "c1", &Address::from("node.a1"), 1),
        token(None, "c2", &place, 1),
        token(Some("01234567"), "c1", &place, 1),
        token(Some("01234568"), "c1", &place, 1),
        token(Some("01234567"), "c2", &place, 1),
        lineage().token(&place, 1),
        State::new("another".to_owned()).token(&place, 1),
    ];
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 9);
}

#[test]
fn two_states_of_one_cluster_have_different_tokens_and_a_token_shows_its_salt() {
    let identified = Entry::ClusterIdentified { cluster: cluster() };
    let salted = |lineage: &str| {
        let state = State::new(lineage.to_owned());
        let (lookup, answer) = ("token_salt".to_owned(), json!(state.new_token_salt()));
        told(state, &[identified.clone(), Entry::LookupRecorded { lookup, answer }])
    };
    let place = Address::from("instance.master-0");
    let (one, other) = (salted("one"), salted("other"));
    assert_ne!(one.token(&place, 1), other.token(&place, 1));
    assert_eq!(one.token(&place, 1), salted("one").token(&place, 1));
    for state in [&one, &other] {
        let token = state.token(&place, u64::MAX);
        assert!(token.is_ascii() && token.len() <= 64, "{token}");
        assert_eq!(salt_of(&token), state.lookup_cache.token_salt.as_deref());
    }
    let unsalted = told(lineage(), std::slice::from_ref(&identified)).token(&place, 1);
    for other in [&*unsalted, "gp-instance.a-1", "gp-0123456-x", "other"] {
        assert_eq!(salt_of(other), None, "{other}");
    }
}

proptest! {
    #[test]
    fn a_state_is_the_same_after_its_text(entries in legal_history()) {
        let state = told(lineage(), &entries);
        let mut text = snapshot::write(&state);
        prop_assert_eq!(&serde_json::from_slice::<State>(&serde_json::to_vec(&state)?)?, &state);
        prop_assert_eq!(snapshot::read(&mut text).unwrap().state, state);
    }

    #[test]
    fn an_entry_that_is_refused_leaves_no_trace(entries in legal_history(), dice: u64) {
        let state = told(lineage(), &entries);
        for entry in conceivable(&state, "a", dice) {
            let mut moved = state.clone();
            if moved.record(&entry).is_err() {
                prop_assert_eq!(&moved, &state);
            } else {
                prop_assert_eq!(moved.serial, state.serial + 1);
            }
        }
    }
}

#[test]
fn an_output_that_an_older_record_lacks_is_no_opinion() {
    let mut state = State::new("lab".to_owned());
    for entry in [create("a", 1), created("a", RecordStatus::Ready), create("b", 1)] {
        state.record(&entry).unwrap();
    }
    let output = |name: &str, output: &str| {
        state.lookup(&Ref { address: address(name), output: output.to_owned() }).cloned()
    };
    assert_eq!(output("a", "id"), Some(json!("n-a")));
    assert_eq!(output("a", "later"), Some(Value::Null));
    assert_eq!(output("b", "id"), None, "not created yet");
    assert_eq!(output("c", "id"), None, "not recorded");
}

#[test]
fn an_identity_is_binding_only_while_a_resource_is_recorded() {
    let mut state = State::new("l".into());
    let salt = learnt("token_salt", json!("0a1b2c3d"));
    let known = Entry::ClusterIdentified { cluster: cluster() };
    for entry in [known, salt, learnt("zones", json!(["us-west-2a"])), create("a", 1)] {
        state.record(&entry).unwrap();
    }
    let other = Cluster { infra_id: "prod-other".into(), ..cluster() };
    let anew = [
        Entry::ClusterIdentified { cluster: other.clone() },
        learnt("account", json!("210987654321")),
    ];
    assert_eq!(state.fixed_cluster(), Some(&cluster()), "even a creation in doubt");
    assert!(state.is_identified_anew(&anew) && state.projected(&anew).is_err());

    for entry in [created("a", RecordStatus::Ready), delete("a", 1), deleted("a", 1)] {
        state.record(&entry).unwrap();
    }
    assert_eq!((state.fixed_cluster(), state.cluster.as_ref()), (None, Some(&cluster())));
    let then = state.projected(&anew).unwrap();
    assert_eq!((then.cluster.as_ref(), then.serial), (Some(&other), state.serial));
    assert_eq!(then.lookup_cache.account.as_deref(), Some("210987654321"));
    assert!(then.lookup_cache.results.is_empty(), "zones of the previous cluster");
    assert_eq!((&then.lineage, then.generation), (&state.lineage, 1));
    let tokens = [&state, &then].map(|state| state.token(&address("a"), state.generation));
    assert_ne!(tokens[0], tokens[1], "a consumed token is not used again");
    let same = state.projected(&anew[1..]).unwrap();
    assert_eq!(same.lookup_cache.results.len(), 1, "the same cluster keeps its results");
}
