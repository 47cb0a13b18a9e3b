//! Prometheus' text format, version 0.0.4: how it is written, not what is counted.

use std::fmt::{Display, Write as _};

/// A page of metrics.
#[derive(Debug, Default)]
pub struct Exposition(String);

/// One metric on a page; its samples follow each other, as the format has it.
pub struct Family<'a> {
    page: &'a mut String,
    name: &'a str,
}

impl Exposition {
    /// Begins a metric. `kind` is `counter`, `gauge` or `histogram`.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: &str, help: &str) -> Family<'a> {
        write(&mut self.0, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { page: &mut self.0, name }
    }

    /// A metric that has one value.
    pub fn single(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// The page.
    pub fn text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// One value.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.part("", labels, value);
    }

    /// One value of a part of a histogram, such as `_bucket`.
    pub fn part(&mut self, part: &str, labels: &[(&str, &str)], value: impl Display) {
        let (name, labels) = (self.name, braced(labels));
        write(self.page, format_args!("{name}{part}{labels} {value}\n"));
    }
}

fn braced(labels: &[(&str, &str)]) -> String {
    let labels: Vec<_> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn write(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("BUG: a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_a_label_cannot_end_its_line() {
        let mut page = Exposition::default();
        let mut family = page.family("m", "counter", "Help.");
        family.sample(&[("a", "x\"} 1\nm 2"), ("b", "c\\d")], 3);
        family.part("_sum", &[], 0.5);
        let expected = "# HELP m Help.\n# TYPE m counter\n\
                        m{a=\"x\\\"} 1\\nm 2\",b=\"c\\\\d\"} 3\nm_sum 0.5\n";
        assert_eq!(page.text(), expected);
    }
}
