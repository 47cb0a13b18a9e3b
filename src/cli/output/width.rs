//! Width of standard output, for text that is broken between words.

use std::io::stdout;

use terminal_size::{Width, terminal_size_of};

/// Narrowest width that is used. Narrower terminals get lines of this width.
const NARROWEST: usize = 40;

/// Returns the number of columns: `COLUMNS`, or the width of the terminal. `None` without a
/// terminal, so that each line of a file is whole.
pub(crate) fn width() -> Option<usize> {
    let terminal = || terminal_size_of(stdout()).map(|(Width(columns), _)| columns.into());
    chosen(std::env::var("COLUMNS").ok().as_deref()).or_else(terminal).map(at_least)
}

fn at_least(columns: usize) -> usize {
    columns.max(NARROWEST)
}

/// Returns the columns that the environment asks for. Zero and other texts are no number of columns.
fn chosen(columns: Option<&str>) -> Option<usize> {
    columns?.trim().parse().ok().filter(|&columns| columns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_a_positive_number() {
        let found =
            [Some("80"), Some(" 120 "), Some("0"), Some("wide"), Some(""), None].map(chosen);
        assert_eq!(found, [Some(80), Some(120), None, None, None, None]);
        assert_eq!([at_least(1), at_least(200)], [NARROWEST, 200]);
    }
}
