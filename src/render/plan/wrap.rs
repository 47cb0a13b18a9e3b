//! Long lines for a terminal of a given width: broken between words, never inside one.

/// Writes a line in pieces of at most `width` characters. Each piece but the first is indented. A
/// word that is longer than a line stays whole, so that an address can be copied.
pub(in crate::render) fn wrapped(line: &str, width: Option<usize>, indent: usize) -> String {
    let Some(width) = width.filter(|&width| visible(line) > width) else { return line.to_owned() };
    let lead = line.len() - line.trim_start_matches(' ').len();
    let indent = indent.min(width / 2);
    let mut text = line[..lead].to_owned();
    let (mut column, mut is_first) = (lead, true);
    let mut rest = &line[lead..];
    while !rest.is_empty() {
        let gap = rest.len() - rest.trim_start_matches(' ').len();
        let word = &rest[gap..];
        let word = &word[..word.find(' ').unwrap_or(word.len())];
        rest = &rest[gap + word.len()..];
        let length = visible(word);
        if !is_first && column + gap + length > width {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            column = indent;
        } else {
            text.push_str(&" ".repeat(gap));
            column += gap;
        }
        text.push_str(word);
        column += length;
        is_first = false;
    }
    text
}

/// Returns the number of characters on the screen: colours have none.
fn visible(text: &str) -> usize {
    let mut rest = text;
    let mut length = 0;
    while let Some(c) = rest.chars().next() {
        match rest.strip_prefix("\u{1b}[").and_then(|colour| colour.split_once('m')) {
            Some((code, after)) if code.bytes().all(|b| b.is_ascii_digit() || b == b';') => {
                rest = after;
            }
            _ => {
                length += 1;
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_breaks_between_words_and_goes_on_indented() {
        let line = "  + subnet.a  us-west-2a, 10.0.0.0/20, private";
        assert_eq!(
            wrapped(line, Some(30), 14),
            "  + subnet.a  us-west-2a,\n              10.0.0.0/20,\n              private"
        );
        assert_eq!(wrapped(line, None, 14), line);
        assert_eq!(wrapped(line, Some(80), 14), line);
    }

    #[test]
    fn colours_have_no_width() {
        let line = "\u{1b}[32m  +\u{1b}[0m a b";
        assert_eq!(wrapped(line, Some(7), 4), line);
    }

    proptest! {
        #[test]
        fn no_word_is_lost_or_broken(text in "[a-z .]{0,200}", width in 1_usize..60, indent in 0_usize..40) {
            let whole = wrapped(&text, Some(width), indent);
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(words(&whole), words(&text));
            let lead = text.len() - text.trim_start_matches(' ').len();
            for line in whole.lines() {
                let one_word = line.trim_start_matches(' ').split(' ').count() == 1;
                prop_assert!(line.trim_end().chars().count() <= width.max(lead) || one_word, "{line:?}");
            }
        }
    }
}
