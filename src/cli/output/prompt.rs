//! Prompt for confirmation before changes.

use std::io::{self, BufRead, Write};

/// Prompts and returns true only for `yes`. The end of the input counts as no.
pub(crate) fn confirm(
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    question: &str,
) -> io::Result<bool> {
    write!(out, "{question}\n  Type `yes` to continue: ")?;
    out.flush()?;
    let mut answer = String::new();
    let read = input.read_line(&mut answer)?;
    if read == 0 || !answer.ends_with('\n') {
        writeln!(out)?; // what comes next begins on a line of its own
    }
    Ok(answer.trim() == "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(with: &str) -> (bool, String) {
        let mut out = Vec::new();
        let yes = confirm(&mut with.as_bytes(), &mut out, "Do it?").unwrap();
        (yes, String::from_utf8(out).unwrap())
    }

    #[test]
    fn u5_only_yes_is_yes() {
        for yes in ["yes\n", " yes \n", "yes\r\n", "yes"] {
            assert!(answered(yes).0, "{yes:?}");
        }
        for no in ["", "\n", "y\n", "Yes\n", "YES\n", "yes please\n", "no\nyes\n"] {
            assert!(!answered(no).0, "{no:?}");
        }
    }

    #[test]
    fn the_question_says_what_is_accepted() {
        assert_eq!(answered("yes\n").1, "Do it?\n  Type `yes` to continue: ");
        assert_eq!(answered("").1, "Do it?\n  Type `yes` to continue: \n");
    }
}
