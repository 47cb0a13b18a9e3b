//! Writer of Prometheus' text format, version 0.0.4.

use std::fmt::{Display, Write as _};

/// Page of metrics.
#[derive(Debug, Default)]
pub struct MetricsPage(String);

/// Metric on a page. The format requires that its samples follow each other.
pub struct MetricFamily<'a> {
    page: &'a mut String,
    name: &'a str,
}

impl MetricsPage {
    /// Begins a metric. `kind` is `counter`, `gauge` or `histogram`.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: &str, help: &str) -> MetricFamily<'a> {
        write(&mut self.0, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        MetricFamily { page: &mut self.0, name }
    }

    /// Adds a metric with a single value.
    pub fn single(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// Returns the page.
    pub fn text(self) -> String {
        self.0
    }
}

impl MetricFamily<'_> {
    /// Adds a sample.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.part("", labels, value);
    }

    /// Adds a sample of a part of a histogram, such as `_bucket`.
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
        let mut page = MetricsPage::default();
        let mut family = page.family("m", "counter", "Help.");
        family.sample(&[("a", "x\"} 1\nm 2"), ("b", "c\\d")], 3);
        family.part("_sum", &[], 0.5);
        let expected = "# HELP m Help.\n# TYPE m counter\n\
                        m{a=\"x\\\"} 1\\nm 2\",b=\"c\\\\d\"} 3\nm_sum 0.5\n";
        assert_eq!(page.text(), expected);
    }
}
