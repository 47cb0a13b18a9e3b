//! Splits formatted Rust source into its top-level items, and finds the paths that an item refers to.
//!
//! This is not a parser. It relies on one property of source that went through rustfmt, as the SDK's did:
//! an item that spans lines ends at the first line that begins with `}`.

/// A top-level item with the comments and attributes before it, or what stands between items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item<'a> {
    /// Lines of the item, with their line ends.
    pub(crate) text: &'a str,
}

impl<'a> Item<'a> {
    /// Returns `name` of `mod name;` with any visibility.
    pub(crate) fn module(&self) -> Option<&'a str> {
        let line = self.code()?.trim_end().strip_suffix(';')?;
        let (before, name) = line.rsplit_once(' ')?;
        matches!(before, "mod" | "pub mod" | "pub(crate) mod").then_some(name)
    }

    /// Returns the path of a re-export `pub use crate::...;` on one line, without the `crate::`.
    pub(crate) fn re_export(&self) -> Option<&'a str> {
        self.code()?.trim_end().strip_prefix("pub use crate::")?.strip_suffix(';')
    }

    /// Returns the name of a function item.
    pub(crate) fn function(&self) -> Option<&'a str> {
        let line = self.code()?;
        let rest = &line[line.find("fn ")? + 3..];
        Some(&rest[..ident_length(rest)])
    }

    /// Returns true for `//!` and `#![...]`, which only the first lines of a crate may have.
    pub(crate) fn is_inner(&self) -> bool {
        self.text.starts_with("//!") || self.text.starts_with("#![")
    }

    /// Returns the first line that is neither a comment, an attribute nor empty.
    fn code(&self) -> Option<&'a str> {
        self.text.lines().find(|line| !is_prelude(line))
    }
}

fn is_prelude(line: &str) -> bool {
    line.is_empty() || line.starts_with("//") || line.starts_with("#[") || line.starts_with("#![")
}

/// Splits a file into items. Their texts, joined, are the file.
pub(crate) fn items(text: &str) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    let mut start = 0;
    let mut end = 0;
    let mut inside = false;
    for line in text.split_inclusive('\n') {
        end += line.len();
        let bare = line.trim_end();
        let ends = if inside {
            bare.starts_with('}')
        } else if is_prelude(bare) {
            // Inner comments and attributes belong to the file, not to the item after them.
            bare.starts_with("//!") || bare.starts_with("#![")
        } else {
            inside = !(bare.ends_with(';') || bare.ends_with('}'));
            !inside
        };
        if ends {
            inside = false;
            items.push(Item { text: &text[start..end] });
            start = end;
        }
    }
    if start < text.len() {
        items.push(Item { text: &text[start..] });
    }
    items
}

/// Returns every path `crate::a::b...` in the code of `text`, without the `crate::`; comments are skipped.
pub(crate) fn paths(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| {
        line.match_indices("crate::").filter(|(at, _)| !ends_in_ident(&line[..*at])).map(
            |(at, found)| {
                let rest = &line[at + found.len()..];
                &rest[..path_length(rest)]
            },
        )
    })
}

fn ends_in_ident(text: &str) -> bool {
    text.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

fn ident_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())
}

fn path_length(text: &str) -> usize {
    let mut length = ident_length(text);
    while let Some(rest) = text[length..].strip_prefix("::") {
        let next = ident_length(rest);
        if next == 0 {
            break;
        }
        length += 2 + next;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "//! A crate.\n#![allow(dead_code)]\n// Generated.\npub use crate::types::_vpc::Vpc;\n\n\
        /// Docs of\n/// `crate::not::this`.\n#[derive(Debug)]\npub mod vpc;\n\n\
        pub(crate) fn long(\n    input: &crate::operation::a::AOutput,\n) -> Option<&crate::types::Vpc> {\n    \
        match input {\n        None => {}\n    }\n}\nimpl A {}\n// The end.\n";

    #[test]
    fn items_joined_are_the_file() {
        let all: String = items(TEXT).iter().map(|item| item.text).collect();
        assert_eq!(all, TEXT);
    }

    #[test]
    fn items_are_told_apart() {
        let items = items(TEXT);
        assert_eq!(items.len(), 7, "{items:#?}");
        assert!(items[0].is_inner() && items[1].is_inner());
        assert_eq!(items[2].re_export(), Some("types::_vpc::Vpc"));
        assert_eq!(items[3].module(), Some("vpc"));
        assert_eq!(items[4].function(), Some("long"));
        assert_eq!(items[5].text, "impl A {}\n");
        assert_eq!(items[6].module(), None);
    }

    #[test]
    fn paths_are_found_in_code_and_not_in_comments() {
        assert_eq!(
            paths(TEXT).collect::<Vec<_>>(),
            ["types::_vpc::Vpc", "operation::a::AOutput", "types::Vpc"]
        );
        assert_eq!(paths("::my_crate::a; x(crate::b::<u8>())").collect::<Vec<_>>(), ["b"]);
    }
}
