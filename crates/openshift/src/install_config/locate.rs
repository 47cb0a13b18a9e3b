//! Finds the position of a field in a text that was read earlier, for problems that are found
//! later.
//!
//! Knows the other fields that a value may come from: a pool takes omitted values from the default
//! machine platform. Never reads a value.

use super::document::mark;
use crate::diagnostics::finding::Position;
use crate::diagnostics::yaml::{self, YamlContent, YamlNode};

/// A field and its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Path of the field that the text contains.
    pub path: String,
    /// Position in the text. `None` if the text contains no part of the path.
    pub place: Option<Position>,
}

/// Returns the position of a field's value, or of the nearest enclosing field in the text.
pub fn locate(text: &str, path: &str) -> Located {
    FieldLocator::of(text).locate(path)
}

/// A text that is parsed once to locate many fields.
pub(crate) struct FieldLocator<'text> {
    text: &'text str,
    /// `None` if the text cannot be read.
    root: Option<YamlNode>,
}

impl<'text> FieldLocator<'text> {
    fn of(text: &'text str) -> Self {
        Self { text, root: yaml::parse(text).ok() }
    }

    /// Parses a manifest, which may be a list of many machines.
    pub(crate) fn of_manifest(text: &'text str) -> Self {
        Self { text, root: yaml::parse_up_to(text, yaml::MOST_VALUES_OF_MACHINES).ok() }
    }

    /// Like [`locate`].
    pub(crate) fn locate(&self, path: &str) -> Located {
        let nowhere = Located { path: path.to_owned(), place: None };
        let Some(root) = &self.root else { return nowhere };
        let elsewhere = elsewhere(path);
        let paths = [path].into_iter().chain(elsewhere.iter().map(String::as_str));
        let place = |span| Some(Position::of(self.text, &span));
        let mut written = paths.filter_map(|path| {
            let (span, whole) = walk(root, path)?;
            whole.then(|| Located { path: path.to_owned(), place: place(span) })
        });
        let around = || walk(root, path).and_then(|(span, _)| place(span));
        written.next().unwrap_or_else(|| Located { place: around(), ..nowhere })
    }
}

/// Returns the other fields that the value may come from, nearest first.
fn elsewhere(path: &str) -> Vec<String> {
    if let Some(rest) = path.strip_prefix("platform.aws.subnets") {
        let id = if rest.is_empty() { "" } else { ".id" };
        return vec![format!("platform.aws.vpc.subnets{rest}{id}")];
    }
    let is_pool = path.starts_with("controlPlane.") || path.starts_with("compute[");
    let Some((_, field)) = path.split_once(".platform.aws.").filter(|_| is_pool) else {
        return Vec::new();
    };
    let mut others = vec![format!("platform.aws.defaultMachinePlatform.{field}")];
    if field == "amiID" {
        others.push("platform.aws.amiID".to_owned());
    }
    others
}

/// Follows a path as far as the text has it. Returns the bytes to underline, and true if the whole
/// path exists.
fn walk(root: &YamlNode, path: &str) -> Option<(std::ops::Range<usize>, bool)> {
    let (mut node, mut span) = (root, None);
    for step in steps(path) {
        let next = match (step, &node.content) {
            (PathStep::Field(name), YamlContent::Mapping(entries)) => entries
                .iter()
                .find(|(key, _)| key.name == name)
                .map(|(key, value)| (value, mark(value, Some(&key.span)))),
            (PathStep::Item(index), YamlContent::List(items)) => {
                items.get(index).map(|item| (item, mark(item, None)))
            }
            _ => None,
        };
        match next.filter(|(next, _)| !matches!(next.content, YamlContent::Null)) {
            Some((next, found)) => (node, span) = (next, Some(found)),
            None => return span.map(|span| (span, false)),
        }
    }
    span.map(|span| (span, true))
}

enum PathStep<'a> {
    Field(&'a str),
    Item(usize),
}

/// Splits a path: `a.b[0][x.y]` becomes `a`, `b`, the first item, and the field `x.y`.
fn steps(path: &str) -> Vec<PathStep<'_>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let bracketed = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        if let Some((inside, after)) = bracketed {
            steps.push(inside.parse().map_or(PathStep::Field(inside), PathStep::Item));
            rest = after;
        } else {
            let rest_of_name = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest_of_name.find(['.', '[']).unwrap_or(rest_of_name.len());
            steps.push(PathStep::Field(&rest_of_name[..end]));
            // An unclosed bracket ends the path.
            rest = if end == 0 { "" } else { &rest_of_name[end..] };
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
controlPlane:
  platform:
    aws:
      zones: [us-west-2a, us-west-2b]
platform:
  aws:
    amiID: ami-1
    vpc:
      subnets:
      - id: subnet-1
    defaultMachinePlatform:
      type: m5.xlarge
";

    fn located(path: &str) -> (String, usize, String) {
        let Located { path, place } = locate(TEXT, path);
        let place = place.unwrap();
        (path, place.line, TEXT[place.start..place.end].to_owned())
    }

    #[test]
    fn a_field_that_is_written_is_found_with_its_value() {
        let path = "controlPlane.platform.aws.zones[1]";
        assert_eq!(located(path), (path.to_owned(), 4, "us-west-2b".to_owned()));
        let (_, line, written) = located("platform.aws.defaultMachinePlatform");
        assert_eq!((line, &*written), (11, "defaultMachinePlatform"));
        let text = "labels:\n  a.b/c: x\n  '0': y\nlist: [[1], [2, 3]]\n";
        let line = |path: &str| locate(text, path).place.map(|place| (place.line, place.column));
        assert_eq!(line("labels[a.b/c]"), Some((2, 10)));
        assert_eq!(line("list[1][1]"), Some((4, 17)));
        for odd in ["[", "labels[", "labels[a", "..", "list[9]", "labels.[", "list]"] {
            assert!(line(odd).is_none_or(|(line, _)| line == 1 || line == 4), "{odd}");
        }
    }

    #[test]
    fn what_a_pool_does_not_say_is_found_where_it_comes_from() {
        let (path, line, written) = located("controlPlane.platform.aws.type");
        assert_eq!(path, "platform.aws.defaultMachinePlatform.type");
        assert_eq!((line, &*written), (12, "m5.xlarge"));
        let (path, line, _) = located("compute[0].platform.aws.amiID");
        assert_eq!((&*path, line), ("platform.aws.amiID", 7));
        let (path, line, _) = located("platform.aws.subnets[0]");
        assert_eq!((&*path, line), ("platform.aws.vpc.subnets[0].id", 10));
    }

    #[test]
    fn of_what_is_written_nowhere_the_nearest_thing_around_it_is_shown() {
        let (path, line, written) = located("controlPlane.platform.aws.iamRole");
        assert_eq!(path, "controlPlane.platform.aws.iamRole");
        assert_eq!((line, &*written), (3, "aws"));
        assert_eq!(locate(TEXT, "baseDomain").place, None);
        assert_eq!(locate("a: [", "a").place, None);
    }
}
