//! Prompt for confirmation before changes.

use std::io::{self, BufRead, Write};

use crate::render::screen;

/// Answer that confirms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The word `yes`.
    Yes,
    /// The name of the cluster.
    ClusterName(String),
}

/// Prompts and returns true only for the expected answer. The end of the input counts as no.
pub(crate) fn confirm(
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    question: &str,
    expected: &Answer,
) -> io::Result<bool> {
    let (request, expected) = match expected {
        Answer::Yes => ("Type `yes`".to_owned(), "yes"),
        Answer::ClusterName(name) => {
            (format!("Type the name of the cluster, {},", screen::one_line(name)), &**name)
        }
    };
    write!(out, "{question}\n  {request} to continue: ")?;
    out.flush()?;
    let mut answer = String::new();
    let read = input.read_line(&mut answer)?;
    if read == 0 || !answer.ends_with('\n') {
        writeln!(out)?; // what comes next begins on a line of its own
    }
    Ok(answer.trim() == expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered_to(expected: &Answer, with: &str) -> (bool, String) {
        let mut out = Vec::new();
        let yes = confirm(&mut with.as_bytes(), &mut out, "Do it?", expected).unwrap();
        (yes, String::from_utf8(out).unwrap())
    }

    fn answered(with: &str) -> (bool, String) {
        answered_to(&Answer::Yes, with)
    }

    #[test]
    fn a_danger_needs_the_name_of_the_cluster() {
        let demo = Answer::ClusterName("demo".to_owned());
        let (accepted, asked) = answered_to(&demo, "demo\n");
        assert!(accepted);
        assert_eq!(asked, "Do it?\n  Type the name of the cluster, demo, to continue: ");
        for no in ["", "yes\n", "Demo\n", "demo-x7k2p\n", "y\ndemo\n"] {
            assert!(!answered_to(&demo, no).0, "{no:?}");
        }
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
