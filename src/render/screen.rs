//! Text for a terminal without control characters.
//!
//! Names, tags, paths and messages of AWS may contain characters that a terminal obeys: they move
//! the cursor, hide text, change the title or the order of letters. Every text for people passes
//! through [`Screen`], which escapes all of them; [`one_line`] also escapes line breaks, for fields
//! that have one line. JSON gets the same treatment from [`for_json`], in JSON's own spelling.

use std::borrow::Cow;
use std::io::{self, Write};

/// Returns true if a terminal may obey the character instead of showing it: control characters (C0,
/// DEL, C1), line and paragraph separators, and characters that change the direction of text.
pub fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200e}' | '\u{200f}' | '\u{61c}' // marks of direction
            | '\u{2028}' | '\u{2029}'
            | '\u{202a}'..='\u{202e}' // embeddings and overrides
            | '\u{2066}'..='\u{2069}' // isolates
        )
}

/// Returns a text on one line: every control character and line break is escaped, as in `\n` and
/// `\u{1b}`.
pub fn one_line(text: &str) -> Cow<'_, str> {
    match text.contains(is_control) {
        true => Cow::Owned(escaped(text, |c| is_control(c).then(|| spelt(c)))),
        false => Cow::Borrowed(text),
    }
}

/// Returns each line of a text like [`one_line`]. Line breaks stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    let is_escaped = |c| c != '\n' && is_control(c);
    match text.contains(is_escaped) {
        true => Cow::Owned(escaped(text, |c| is_escaped(c).then(|| spelt(c)))),
        false => Cow::Borrowed(text),
    }
}

/// Returns the escape of a control character, as in Rust.
fn spelt(c: char) -> String {
    match c {
        '\n' | '\r' | '\t' => c.escape_default().to_string(),
        _ => c.escape_unicode().to_string(),
    }
}

/// Returns a line with its line breaks escaped, except those at its ends, which separate it from
/// other lines.
pub fn unbroken(line: &str) -> Cow<'_, str> {
    let inner = line.trim_matches('\n');
    if !inner.contains('\n') {
        return Cow::Borrowed(line);
    }
    let start = line.len() - line.trim_start_matches('\n').len();
    let (before, after) = (&line[..start], &line[start + inner.len()..]);
    Cow::Owned(format!("{before}{}{after}", inner.replace('\n', "\\n")))
}

/// Returns a JSON text with the same meaning and without control characters. JSON has them only in
/// strings, where `\u` escapes may replace them.
pub fn for_json(json: &str) -> Cow<'_, str> {
    let is_escaped = |c| c != '\n' && is_control(c);
    match json.contains(is_escaped) {
        true => Cow::Owned(escaped(json, |c| {
            // All of them are in the first plane of Unicode, so that one escape suffices.
            is_escaped(c).then(|| format!("\\u{:04x}", u32::from(c)))
        })),
        false => Cow::Borrowed(json),
    }
}

fn escaped(text: &str, escape: impl Fn(char) -> Option<String>) -> String {
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match escape(c) {
            Some(escape) => safe.push_str(&escape),
            None => safe.push(c),
        }
    }
    safe
}

/// Returns a text of a renderer for the terminal: line breaks and colours stay, everything else that
/// a terminal obeys is escaped.
pub fn on_screen(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| c != '\n' && is_control(c)) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = colour(rest).unwrap_or(0);
        if length > 0 {
            safe.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        match c == '\n' || !is_control(c) {
            true => safe.push(c),
            false => safe.push_str(&spelt(c)),
        }
        rest = &rest[c.len_utf8()..];
    }
    Cow::Owned(safe)
}

/// Returns the length of the colour at the beginning of the text (ECMA-48, "select graphic
/// rendition"). `None` if there is none.
fn colour(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    parameters[end..].starts_with('m').then_some(text.len() - parameters.len() + end + 1)
}

/// Writer in front of a terminal that passes on whole lines, in the form of [`on_screen`].
#[derive(Debug)]
pub struct Screen<W: Write> {
    out: W,
    line: Vec<u8>,
}

impl<W: Write> Screen<W> {
    /// Returns a screen in front of this writer.
    pub fn new(out: W) -> Self {
        Self { out, line: Vec::new() }
    }

    /// Writes the first bytes of the line.
    fn pass_on(&mut self, length: usize) -> io::Result<()> {
        let rest = self.line.split_off(length);
        let line = std::mem::replace(&mut self.line, rest);
        self.out.write_all(on_screen(&String::from_utf8_lossy(&line)).as_bytes())
    }
}

impl<W: Write> Write for Screen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if let Some(end) = self.line.iter().rposition(|&byte| byte == b'\n') {
            self.pass_on(end + 1)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on(self.line.len())?;
        self.out.flush()
    }
}

impl<W: Write> Drop for Screen<W> {
    fn drop(&mut self) {
        let _ = self.flush(); // an error was told by the last flush, or has no reader
    }
}

#[cfg(test)]
mod tests {
    use groundplan_engine::event::{Event, ReportedError, StepAction, StepName};
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::render::progress::ProgressLines;
    use crate::render::{Code, Diagnostic};

    fn shown(writes: &[&str]) -> String {
        let mut written = Vec::new();
        let mut screen = Screen::new(&mut written);
        for text in writes {
            screen.write_all(text.as_bytes()).unwrap();
        }
        drop(screen);
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn colours_and_line_breaks_pass_and_nothing_else_does() {
        assert_eq!(
            shown(&["\u{1b}[1m\u{1b}[31merror\u{1b}[0m: no\n"]),
            "\u{1b}[1m\u{1b}[31merror\u{1b}[0m: no\n"
        );
        assert_eq!(shown(&["a\u{1b}[2Jb\n"]), "a\\u{1b}[2Jb\n");
        assert_eq!(shown(&["\u{1b}]0;title\u{7}\n"]), "\\u{1b}]0;title\\u{7}\n");
        assert_eq!(shown(&["50%\rdone\n"]), "50%\\rdone\n");
        assert_eq!(shown(&["\u{9b}31m\u{7f}\n"]), "\\u{9b}31m\\u{7f}\n");
        assert_eq!(shown(&["a\u{202e}b\u{2066}c\n"]), "a\\u{202e}b\\u{2066}c\n");
        assert_eq!(shown(&["unfinished \u{1b}[3"]), "unfinished \\u{1b}[3");
    }

    #[test]
    fn a_sequence_in_two_writes_is_seen_as_one() {
        assert_eq!(shown(&["\u{1b}", "[31", "mred", "\n"]), "\u{1b}[31mred\n");
        assert_eq!(shown(&["a", "\u{1b}", "[2J", "\n"]), "a\\u{1b}[2J\n");
    }

    #[test]
    fn a_field_of_one_line_keeps_no_line_break() {
        assert_eq!(one_line("a\r\nb\tc"), "a\\r\\nb\\tc");
        assert_eq!(one_line("\u{1b}[31mred"), "\\u{1b}[31mred");
        assert_eq!(lines("a\nb\rc"), "a\nb\\rc");
        assert_eq!(unbroken("\na\nb\n"), "\na\\nb\n");
        assert_eq!(unbroken("\na\n\n"), "\na\n\n");
    }

    /// Returns what people see of this text in every field of a message or event.
    fn told(text: &str) -> [String; 5] {
        let step = StepName { address: text.into(), generation: 1, action: StepAction::Delete };
        let fault = ReportedError {
            call: text.into(),
            code: Some("DependencyViolation".into()),
            message: text.into(),
            ..ReportedError::default()
        };
        let event = |event: Event| {
            let mut lines = ProgressLines::new(Vec::new());
            lines.event(&event).unwrap();
            String::from_utf8(lines.take()).unwrap()
        };
        let mut message = Vec::new();
        Diagnostic::warning(Code::PlanWarning, text).with_detail(text).write(&mut message).unwrap();
        let word = text.to_owned();
        [
            String::from_utf8(message).unwrap(),
            event(Event::Warning { message: text.into() }),
            event(Event::StepRetrying { step: step.clone(), error: fault, after_ms: 1000 }),
            event(Event::StepWaiting { step: step.clone(), word, elapsed_ms: 11_000 }),
            event(Event::StepFinished { step, id: Some(text.into()), elapsed_ms: 1 }),
        ]
    }

    proptest! {
        #[test]
        fn a_field_neither_colours_nor_breaks_its_line(hostile in "[\\x00-\\x1f\u{85}\u{2028}\u{202e}a\\[;3m]{1,30}") {
            for (hostile, plain) in told(&hostile).iter().zip(told("x")) {
                let count = |text: &str, c| text.matches(c).count();
                prop_assert_eq!(count(hostile, '\n'), count(&plain, '\n'), "{:?}", hostile);
                prop_assert_eq!(count(hostile, '\u{1b}'), count(&plain, '\u{1b}'), "{:?}", hostile);
                let safe = |c| c == '\n' || c == '\u{1b}' || !is_control(c);
                prop_assert!(hostile.chars().all(safe), "{:?}", hostile);
            }
        }

        #[test]
        fn no_control_character_reaches_a_screen(text in any::<String>(), hostile in "[\\x00-\\x9f\u{202a}-\u{202e}\u{2066}-\u{2069}]{0,40}") {
            for text in [text.clone(), format!("{text}{hostile}{text}"), hostile] {
                let shown = shown(&[&text]);
                let plain = anstream::adapter::strip_str(&shown).to_string();
                prop_assert!(!plain.contains(|c| c != '\n' && is_control(c)), "{plain:?}");
                let one = one_line(&text);
                prop_assert!(!one.contains(is_control));
                let json = serde_json::to_string(&text).unwrap();
                let safe = for_json(&json);
                prop_assert!(!safe.contains(is_control));
                prop_assert_eq!(serde_json::from_str::<Value>(&safe).unwrap(), Value::String(text));
            }
        }
    }
}
