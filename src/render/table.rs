//! Tables: a header and rows, columns aligned by spaces.

use std::io::{self, Write};

use super::palette::FAINT;
use super::{painted, screen};

/// Writes a table. Cells are cleaned of control characters; no line ends with a space.
///
/// # Errors
/// Returns an error if the writer fails.
pub fn write<const N: usize>(
    header: [&str; N],
    rows: &[[String; N]],
    out: &mut dyn Write,
) -> io::Result<()> {
    let clean = |cell: &String| screen::one_line(cell).into_owned();
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(clean)).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].len()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    writeln!(out, "{}", painted(FAINT, line(header)))?;
    rows.iter().try_for_each(|row| writeln!(out, "{}", line(row.each_ref().map(String::as_str))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_clean() {
        let rows = [
            ["a".to_owned(), "long value".to_owned(), "x".to_owned()],
            ["longer name".to_owned(), "two\nlines".to_owned(), String::new()],
        ];
        let mut written = Vec::new();
        write(["name", "value", "from"], &rows, &mut anstream::StripStream::new(&mut written))
            .unwrap();
        let text = String::from_utf8(written).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "name         value       from");
        assert_eq!(lines[1], "a            long value  x");
        assert!(
            lines[2].starts_with("longer name  ") && lines[2].ends_with("two\\nlines"),
            "{text}"
        );
    }
}
