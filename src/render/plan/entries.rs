//! Entries of a plan: single changes, and groups of alike changes, by subject.
//!
//! Alike changes have one action, one reason and the same inputs, apart from a number or suffix in
//! their names. A group never contains a change that a reader must see alone: a protected resource,
//! or a resource with drift.

use std::collections::{BTreeMap, HashMap, HashSet};

use groundplan_engine::plan::values::{Subject, Summary, Surroundings, ValuesAfter};
use groundplan_engine::plan::{Action, Change, ChangeCounts, Plan, Reason};
use serde_json::json;

use super::{Describe, reason};
use crate::render::count;

/// Least number of alike changes that form a group.
const GROUP: usize = 6;
/// Least number for parts of other resources, such as the registrations in a target group.
const GROUP_OF_PARTS: usize = 3;

/// All changes of one subject, in dependency order.
pub(in crate::render) struct Section<'a> {
    pub(in crate::render) subject: Subject,
    pub(in crate::render) entries: Vec<Entry<'a>>,
}

/// Entry of a section: one change, or several alike ones.
pub(in crate::render) struct Entry<'a> {
    /// Changes, at least one.
    pub(in crate::render) changes: Vec<&'a Change>,
    /// Address, or the pattern that all addresses of the group fit.
    pub(in crate::render) name: String,
    pub(in crate::render) summary: Summary,
}

impl<'a> Entry<'a> {
    /// Returns the first change. The others of a group differ from it in their names only.
    pub(in crate::render) fn first(&self) -> &'a Change {
        self.changes[0]
    }

    /// Returns the reason and the facts, and for a group the number of its members.
    pub(in crate::render) fn text(&self) -> String {
        let change = self.first();
        let facts = self.summary.facts.join(", ");
        let is_new = change.action == Action::Create && change.reason == Reason::New;
        let text = match (is_new, facts.is_empty()) {
            (true, false) => facts,
            (_, true) => reason(&change.reason),
            (false, false) => format!("{}: {facts}", reason(&change.reason)),
        };
        match self.changes.len() {
            1 => text,
            number => format!("{number} alike: {text}"),
        }
    }
}

/// Returns the changes with an action, by subject. With `full`, no changes are grouped.
pub(in crate::render) fn sections<'a>(
    plan: &'a Plan,
    describe: Describe,
    full: bool,
) -> Vec<Section<'a>> {
    let values = ValuesAfter::of(plan);
    let mut sections: BTreeMap<Subject, Vec<&Change>> = BTreeMap::new();
    for change in plan.changes.iter().filter(|change| change.action != Action::Keep) {
        sections.entry((describe.subject)(change.address.kind())).or_default().push(change);
    }
    let section = |(subject, changes): (Subject, Vec<&'a Change>)| {
        let groups = if full { alone(changes) } else { groups(changes, describe.is_part) };
        let entries = groups.into_iter().map(|(changes, name)| {
            let summary = summary(changes[0], describe, &values);
            Entry { summary: renamed(summary, changes[0], &changes), changes, name }
        });
        Section { subject, entries: entries.collect() }
    };
    sections.into_iter().map(section).collect()
}

/// Returns the summary of a resource that is created or replaced. An update or a deletion has its
/// changed fields or its reason instead.
fn summary(change: &Change, describe: Describe, values: &ValuesAfter<'_>) -> Summary {
    match (change.action, &change.after) {
        (Action::Keep | Action::Update | Action::Delete, _) | (_, None) => Summary::default(),
        (_, Some(after)) => {
            (describe.summary)(after, &Surroundings { address: &change.address, values })
        }
    }
}

/// Replaces the own name of the first member in the summary of a group.
fn renamed(summary: Summary, first: &Change, all: &[&Change]) -> Summary {
    let Some(variable) = Variable::of(first).filter(|_| all.len() > 1) else { return summary };
    let rename = |text: String| text.replace(variable.own, &variable.pattern);
    Summary {
        facts: summary.facts.into_iter().map(rename).collect(),
        sentences: summary.sentences.into_iter().map(rename).collect(),
    }
}

type Group<'a> = (Vec<&'a Change>, String);

fn alone(changes: Vec<&Change>) -> Vec<Group<'_>> {
    let one = |change: &Change| change.address.to_string();
    changes.into_iter().map(|change| (vec![change], one(change))).collect()
}

/// Joins alike changes. A group takes the place of its first member.
fn groups(changes: Vec<&Change>, is_part: fn(&str) -> bool) -> Vec<Group<'_>> {
    let least =
        |change: &Change| if is_part(change.address.kind()) { GROUP_OF_PARTS } else { GROUP };
    let keys: Vec<Option<String>> = changes.iter().map(|change| key(change)).collect();
    let mut sizes: HashMap<&str, usize> = HashMap::new();
    for key in keys.iter().flatten() {
        *sizes.entry(key).or_default() += 1;
    }
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (change, key) in changes.into_iter().zip(&keys) {
        match key.as_deref().filter(|key| sizes[key] >= least(change)) {
            None => groups.push((vec![change], change.address.to_string())),
            Some(key) => match places.get(key) {
                Some(&place) => groups[place].0.push(change),
                None => {
                    places.insert(key, groups.len());
                    groups.push((vec![change], pattern(change)));
                }
            },
        }
    }
    groups
}

/// Returns the text that alike changes share; `None` for a change that is always shown alone.
fn key(change: &Change) -> Option<String> {
    let has_drift = !change.drift.is_empty() || !change.unmanaged.is_empty();
    if change.protected || has_drift {
        return None;
    }
    let variable = Variable::of(change)?;
    let content = json!([change.action, change.reason, change.fields, change.left, change.after]);
    let content = content.to_string().replace(variable.own, &variable.pattern);
    Some(format!("{}\n{content}", pattern(change)))
}

/// Returns the pattern of all addresses that differ from this one in the variable part.
fn pattern(change: &Change) -> String {
    match Variable::of(change) {
        Some(variable) => {
            format!("{}.{}{}", change.address.kind(), variable.pattern, variable.rest)
        }
        None => change.address.to_string(),
    }
}

/// Part of a name that differs between alike resources: the last segment that is a number, or else
/// the last segment.
struct Variable<'a> {
    /// Name up to the end of the variable part.
    own: &'a str,
    /// The same, with `*` for the variable part.
    pattern: String,
    /// Name after the variable part.
    rest: &'a str,
}

impl<'a> Variable<'a> {
    fn of(change: &'a Change) -> Option<Self> {
        let name = change.address.name();
        let is_separator = |c: char| matches!(c, '-' | ':' | '.');
        let mut segments = Vec::new();
        let mut start = 0;
        for (end, _) in name.match_indices(is_separator).chain([(name.len(), "")]) {
            segments.push((start, end));
            start = end + 1;
        }
        let is_number = |&&(start, end): &&(usize, usize)| {
            start < end && name[start..end].bytes().all(|byte| byte.is_ascii_digit())
        };
        let &(start, end) = segments.iter().rfind(is_number).or(segments.last())?;
        let is_part = start > 0 && start < end;
        is_part.then(|| Self {
            own: &name[..end],
            pattern: format!("{}*", &name[..start]),
            rest: &name[end..],
        })
    }
}

/// Returns the counts of a section in words, as in `2 to add, 1 to destroy`.
pub(in crate::render) fn counts_in_words(section: &Section<'_>) -> String {
    let mut sum = ChangeCounts::default();
    for change in section.entries.iter().flat_map(|entry| &entry.changes) {
        let one = super::count_one(change.action);
        sum.add += one.add;
        sum.change += one.change;
        sum.destroy += one.destroy;
    }
    let parts = [(sum.add, "to add"), (sum.change, "to change"), (sum.destroy, "to destroy")];
    let parts = parts.into_iter().filter(|(number, _)| *number > 0);
    parts.map(|(number, words)| format!("{number} {words}")).collect::<Vec<_>>().join(", ")
}

/// Lines that are the same for several resources, such as the drift of many machines.
pub(in crate::render) fn alike_lines<T>(
    items: Vec<T>,
    full: bool,
    text: impl Fn(&T) -> (&Change, String, bool),
) -> Vec<(String, T)> {
    let mut sizes: HashMap<(String, String), usize> = HashMap::new();
    let key = |item: &T| {
        let (change, text, is_alone) = text(item);
        (!full && !is_alone).then(|| (pattern(change), text))
    };
    items.iter().filter_map(&key).for_each(|key| *sizes.entry(key).or_default() += 1);
    let mut shown = HashSet::new();
    let mut lines = Vec::new();
    for item in items {
        let grouped = key(&item).filter(|key| sizes[key] >= GROUP);
        match grouped {
            None => {
                let name = text(&item).0.address.to_string();
                lines.push((name, item));
            }
            Some(key) if shown.contains(&key) => {}
            Some(key) => {
                lines.push((format!("{} ({})", key.0, count(sizes[&key], "resource")), item));
                shown.insert(key);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::tests::change;
    use super::*;

    #[test]
    fn the_variable_part_is_the_last_number_or_the_last_segment() {
        let variable = |address: &str| pattern(&change(address, Action::Create, Reason::New));
        assert_eq!(
            variable("machine.demo-worker-us-west-2a-17"),
            "machine.demo-worker-us-west-2a-*"
        );
        assert_eq!(variable("target.master-0-aint"), "target.master-*-aint");
        assert_eq!(variable("x.demo-worker-17:demo-int"), "x.demo-worker-*:demo-int");
        assert_eq!(variable("machine.demo-worker-x7k2p"), "machine.demo-worker-*");
        assert_eq!(variable("vpc.main"), "vpc.main");
    }
}
