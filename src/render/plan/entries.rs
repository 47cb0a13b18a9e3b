//! Entries of a plan: single changes, and groups of alike changes, by subject.
//!
//! Alike changes have one action, one reason and the same inputs, apart from a number or suffix in
//! their names. A group never contains a change that a reader must see alone: a protected resource,
//! or a resource with drift. Alike parts of one resource, such as the registrations of masters and of
//! the bootstrap machine in one target group, are one entry that names both.

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
    /// Own name of the first change, and the pattern that all names of the group fit. `None` for a
    /// single change.
    rename: Option<(String, String)>,
}

impl<'a> Entry<'a> {
    /// Returns the first change. The others of a group differ from it in their names only.
    pub(in crate::render) fn first(&self) -> &'a Change {
        self.changes[0]
    }

    /// Returns a line about the first change with the pattern of the group in place of its own name.
    /// The line then holds for each member.
    pub(in crate::render) fn of_all(&self, line: String) -> String {
        match &self.rename {
            Some((own, pattern)) => line.replace(own, pattern),
            None => line,
        }
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
            let variable = Variable::of(changes[0]).filter(|_| changes.len() > 1);
            let rename = variable.map(|one| (one.own.to_owned(), one.pattern));
            let mut entry = Entry { changes, name, summary: Summary::default(), rename };
            let Summary { facts, sentences } = summary(entry.first(), describe, &values);
            let of_all =
                |texts: Vec<String>| texts.into_iter().map(|text| entry.of_all(text)).collect();
            let summary = Summary { facts: of_all(facts), sentences: of_all(sentences) };
            entry.summary = summary;
            entry
        });
        let entries = entries.collect();
        Section { subject, entries: if full { entries } else { joined(entries, describe.is_part) } }
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

/// Joins the entries of parts that differ in their source alone: their names have the same last segment,
/// and their texts are the same after the first word. An entry takes the place of its first member.
fn joined<'a>(entries: Vec<Entry<'a>>, is_part: fn(&str) -> bool) -> Vec<Entry<'a>> {
    let mut joined: Vec<Entry<'a>> = Vec::new();
    let mut places: HashMap<String, (usize, Vec<String>)> = HashMap::new();
    for entry in entries {
        let Some(part) = JoinedPart::of(&entry, is_part) else {
            joined.push(entry);
            continue;
        };
        match places.get_mut(&part.key) {
            None => {
                places.insert(part.key, (joined.len(), part.source));
                joined.push(entry);
            }
            Some((place, sources)) => {
                sources.extend(part.source);
                let first = &mut joined[*place];
                first.summary.facts = fact(sources, &part.rest).into_iter().collect();
                first.name = part.name;
                first.changes.extend(entry.changes);
            }
        }
    }
    joined
}

/// Returns the text of joined entries; `None` for entries without a text, as of a deletion.
fn fact(sources: &[String], rest: &str) -> Option<String> {
    let (last, others) = sources.split_last()?;
    let before = if others.is_empty() { String::new() } else { others.join(", ") + " and " };
    Some(format!("{before}{last} {rest}"))
}

/// Entry of parts that can share a line with others.
struct JoinedPart {
    /// Text that the entries of one line share.
    key: String,
    /// Pattern of the addresses of the line.
    name: String,
    /// First word of the text, the source; empty if the entry has no text.
    source: Vec<String>,
    /// Text after the source.
    rest: String,
}

impl JoinedPart {
    /// Returns the part; `None` for an entry that has a line of its own. An update or a replacement has
    /// lines for its fields, which others do not share.
    fn of(entry: &Entry<'_>, is_part: fn(&str) -> bool) -> Option<Self> {
        let change = entry.first();
        let (kind, action) = (change.address.kind(), change.action);
        let is_joined = is_part(kind) && matches!(action, Action::Create | Action::Delete);
        if !is_joined || key(change).is_none() || !entry.summary.sentences.is_empty() {
            return None;
        }
        let (_, last) = change.address.name().rsplit_once('-')?;
        let (source, rest) = match entry.summary.facts.as_slice() {
            [] => (Vec::new(), String::new()),
            [fact] => {
                let (source, rest) = fact.split_once(' ')?;
                (vec![source.to_owned()], rest.to_owned())
            }
            _ => return None,
        };
        let key = json!([action, change.reason, kind, last, rest]).to_string();
        Some(Self { key, name: format!("{kind}.*-{last}"), source, rest })
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
