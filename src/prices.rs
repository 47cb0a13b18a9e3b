//! Prices of the user for the items of a plan, from a TOML file. Pure but for reading the file.
//!
//! groundplan has no prices of its own, and estimates only what the file has a price for.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use groundplan_aws::model::billed::BilledCategory;
use groundplan_engine::plan::billing::{BilledItem, BilledLine};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Hours of a month, as AWS's own price calculator counts them.
pub const HOURS: u16 = 730;
/// Maximum size of a file in bytes.
const LARGEST: u64 = 1 << 20;

/// Prices of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// Currency of all prices, as in the file.
    pub currency: String,
    /// Prices of one unit for a month, by key.
    months: BTreeMap<String, f64>,
}

/// Estimate of a plan's items for a month.
#[derive(Clone, Debug, PartialEq)]
pub struct MonthlyEstimate {
    /// Sum before the plan.
    pub before: f64,
    /// Sum after the plan.
    pub after: f64,
    /// Number of items with a price.
    pub priced: usize,
    /// Keys of the items without a price.
    pub unpriced: Vec<String>,
}

/// Error of a file of prices.
#[derive(Debug, thiserror::Error)]
pub enum PriceFileError {
    /// File that cannot be read.
    #[error("could not read the prices {}: {source}", path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// File that is no list of prices.
    #[error("{}:{line}: {problem}", path.display())]
    Malformed {
        /// Path of the file.
        path: PathBuf,
        /// Number of the line.
        line: usize,
        /// Field, expected and found value.
        problem: String,
    },
}

impl Prices {
    /// Reads a file of prices.
    ///
    /// # Errors
    /// The file cannot be read, or has an unknown key or a wrong value.
    pub fn read(path: &Path) -> Result<Self, PriceFileError> {
        let unreadable = |source| PriceFileError::Unreadable { path: path.to_owned(), source };
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > LARGEST {
            let reason = format!("the file has {size} bytes, more than {LARGEST}");
            return Err(unreadable(io::Error::other(reason)));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(path, &text)
    }

    /// Parses the text of a file.
    fn parse(path: &Path, text: &str) -> Result<Self, PriceFileError> {
        let malformed = |WrongPlace { offset, problem }: WrongPlace| {
            let line = text[..offset.min(text.len())].matches('\n').count() + 1;
            PriceFileError::Malformed { path: path.to_owned(), line, problem }
        };
        let table = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            malformed(WrongPlace { offset, problem: error.message().to_owned() })
        })?;
        prices(table.get_ref()).map_err(malformed)
    }

    /// Returns the estimate for the items of a plan. Items without a price are named, and not
    /// estimated.
    pub fn estimate(&self, lines: &[BilledLine]) -> MonthlyEstimate {
        let mut estimate =
            MonthlyEstimate { before: 0.0, after: 0.0, priced: 0, unpriced: Vec::new() };
        for line in lines {
            let key = key(&line.item);
            match self.months.get(&key) {
                Some(month) => {
                    estimate.before += month * line.before as f64;
                    estimate.after += month * line.after as f64;
                    estimate.priced += 1;
                }
                None => estimate.unpriced.push(key),
            }
        }
        estimate
    }
}

/// Returns the key of an item in a file: `nat_gateway`, `instance.m6i_xlarge`.
fn key(item: &BilledItem) -> String {
    match item.variant.as_str() {
        "" => item.name.to_owned(),
        variant => format!("{}.{}", item.name, bare(variant)),
    }
}

/// Returns a variant as a bare key of TOML.
fn bare(variant: &str) -> String {
    variant.replace('.', "_")
}

/// Place and problem of a wrong value.
struct WrongPlace {
    offset: usize,
    problem: String,
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;
type Field<'a> = Spanned<DeValue<'a>>;

fn prices(table: &DeTable<'_>) -> Result<Prices, WrongPlace> {
    let (mut currency, mut months) = (None, BTreeMap::new());
    for (name, value) in in_order(table) {
        if name.get_ref() == "currency" {
            currency = Some(text(name, value)?);
            continue;
        }
        let category = category(name)?;
        let fields = fields(name.get_ref(), name, value)?;
        if !category.has_variants() {
            months.insert(category.name().to_owned(), month(category.name(), name, fields)?);
            continue;
        }
        for (variant, value) in in_order(fields) {
            let path = format!("{}.{}", category.name(), bare(variant.get_ref()));
            let price = month(&path, variant, self::fields(&path, variant, value)?)?;
            if months.insert(path.clone(), price).is_some() {
                return Err(wrong(variant, format!("`{path}` has two prices")));
            }
        }
    }
    let missing = || WrongPlace {
        offset: 0,
        problem: "`currency` is missing: expected a text such as \"USD\"".to_owned(),
    };
    Ok(Prices { currency: currency.ok_or_else(missing)?, months })
}

/// Returns the keys of a table in the order of the file, so that the first wrong line is reported.
fn in_order<'t, 'a>(table: &'t DeTable<'a>) -> Vec<(&'t Key<'a>, &'t Field<'a>)> {
    let mut fields: Vec<_> = table.iter().collect();
    fields.sort_by_key(|(key, _)| key.span().start);
    fields
}

fn wrong(key: &Key<'_>, problem: String) -> WrongPlace {
    WrongPlace { offset: key.span().start, problem }
}

fn text(name: &Key<'_>, value: &Field<'_>) -> Result<String, WrongPlace> {
    let is_word = |text: &str| !text.is_empty() && text.chars().all(char::is_alphanumeric);
    match value.get_ref() {
        DeValue::String(text) if is_word(text) => Ok(text.to_string()),
        other => {
            let problem =
                format!("`currency`: expected a text such as \"USD\", found {}", found(other));
            Err(wrong(name, problem))
        }
    }
}

fn category(name: &Key<'_>) -> Result<BilledCategory, WrongPlace> {
    let mut all = BilledCategory::ALL.iter().copied();
    all.find(|category| category.name() == name.get_ref().as_ref()).ok_or_else(|| {
        let known: Vec<_> = BilledCategory::ALL.iter().map(|category| category.name()).collect();
        let known = known.join("`, `");
        wrong(
            name,
            format!("`{}` is no billed item: expected `currency`, `{known}`", name.get_ref()),
        )
    })
}

fn fields<'t, 'a>(
    path: &str,
    key: &Key<'_>,
    value: &'t Field<'a>,
) -> Result<&'t DeTable<'a>, WrongPlace> {
    match value.get_ref() {
        DeValue::Table(fields) => Ok(fields),
        other => {
            let problem = format!(
                "`{path}`: expected a key `hour` or `month`, or variants with them, found {}",
                found(other)
            );
            Err(wrong(key, problem))
        }
    }
}

/// Returns the price for a month of the fields `hour` or `month`.
fn month(path: &str, key: &Key<'_>, fields: &DeTable<'_>) -> Result<f64, WrongPlace> {
    let mut price = None;
    for (unit, value) in fields {
        let hours = match unit.get_ref().as_ref() {
            "hour" => f64::from(HOURS),
            "month" => 1.0,
            other => {
                return Err(wrong(unit, format!("`{path}.{other}`: expected `hour` or `month`")));
            }
        };
        let number = match value.get_ref() {
            DeValue::Integer(number) => number.to_string().parse().ok(),
            DeValue::Float(number) => number.to_string().parse().ok(),
            _ => None,
        };
        let number = number.filter(|number: &f64| number.is_finite() && *number >= 0.0);
        let Some(number) = number else {
            let (unit_name, found) = (unit.get_ref(), found(value.get_ref()));
            let expected = "expected a number of at least 0";
            return Err(wrong(unit, format!("`{path}.{unit_name}`: {expected}, found {found}")));
        };
        if price.replace(number * hours).is_some() {
            return Err(wrong(unit, format!("`{path}`: expected `hour` or `month`, found both")));
        }
    }
    price.ok_or_else(|| wrong(key, format!("`{path}`: expected `hour` or `month`, found neither")))
}

/// Returns a value in words.
fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {:?}", text.as_ref()),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Prices, String> {
        Prices::parse(Path::new("prices.toml"), text).map_err(|error| error.to_string())
    }

    fn line(name: &'static str, variant: &str, before: u64, after: u64) -> BilledLine {
        let (variant, one) = (variant.to_owned(), String::new());
        let item = BilledItem { order: 0, name, variant, several: one.clone(), one };
        BilledLine { item, before, after }
    }

    #[test]
    fn an_hour_is_a_730th_of_a_month_and_an_item_without_a_price_is_named() {
        let prices = parsed(
            "currency = 'USD'\nnat_gateway.hour = 0.045\ninstance.m6i_xlarge.hour = 1\n\
             volume.gp3.month = 0.08\n[instance.'m6i.large']\nhour = 0.5\n",
        )
        .unwrap();
        let estimate = prices.estimate(&[
            line("nat_gateway", "", 2, 3),
            line("instance", "m6i.xlarge", 0, 1),
            line("instance", "m6i.large", 1, 0),
            line("volume", "gp3", 100, 100),
            line("volume", "io1", 5, 5),
            line("hosted_zone", "", 1, 1),
        ]);
        let near = |one: f64, other: f64| (one - other).abs() < 1e-9;
        assert!(near(estimate.before, 0.045 * 730.0 * 2.0 + 365.0 + 8.0), "{estimate:?}");
        assert!(near(estimate.after, 0.045 * 730.0 * 3.0 + 730.0 + 8.0), "{estimate:?}");
        assert_eq!(estimate.unpriced, ["volume.io1", "hosted_zone"]);
        assert_eq!(estimate.priced, 4);
    }

    #[test]
    fn a_wrong_file_is_an_error_with_line_field_and_expected_value() {
        let with = |lines: &str| format!("currency = 'USD'\n{lines}\n");
        for (text, expected) in [
            (
                with("nat_gatway.hour = 1"),
                "prices.toml:2: `nat_gatway` is no billed item: expected",
            ),
            (with("nat_gateway = 1"), "prices.toml:2: `nat_gateway`: expected a key `hour`"),
            (
                with("nat_gateway.hour = '1'"),
                "prices.toml:2: `nat_gateway.hour`: expected a number of at least 0, found the text \"1\"",
            ),
            (
                with("\n[instance.m6i_xlarge]\nhour = -1"),
                "prices.toml:4: `instance.m6i_xlarge.hour`: expected a number of at least 0, found -1",
            ),
            (with("nat_gateway.hour = nan"), "`nat_gateway.hour`: expected a number"),
            (with("nat_gateway.day = 1"), "`nat_gateway.day`: expected `hour` or `month`"),
            (with("nat_gateway = { hour = 1, month = 2 }"), "found both"),
            (with("nat_gateway = {}"), "found neither"),
            (with("instance.hour = 1"), "`instance.hour`: expected a key `hour`"),
            (
                with("instance.m6i_large.hour = 1\ninstance.'m6i.large'.hour = 1"),
                "prices.toml:3: `instance.m6i_large` has two prices",
            ),
            ("nat_gateway.hour = 1".to_owned(), "prices.toml:1: `currency` is missing"),
            ("currency = 7".to_owned(), "prices.toml:1: `currency`: expected a text"),
            ("currency = 'USD'\nx = ".to_owned(), "prices.toml:2: "),
        ] {
            let message = parsed(&text).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
            assert!(message.starts_with("prices.toml:"), "{message}");
        }
        let missing = Prices::read(Path::new("missing/prices.toml")).unwrap_err().to_string();
        assert!(
            missing.starts_with("could not read the prices missing/prices.toml: "),
            "{missing}"
        );
    }
}
