//! What refuses a plan before anything is done: protection, and what somebody expects of it.

use std::fmt;
use std::str::FromStr;

use super::{Counts, Plan};
use crate::event::Operation;
use crate::graph::Address;

/// What somebody expects of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    /// How many resources it may destroy, replaced ones included.
    pub max_destroy: Option<usize>,
    /// How many it touches.
    pub expect: Option<Expectation>,
}

/// Why a plan is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// It would end what somebody has protected.
    #[error("the plan would end what is protected")]
    Protected {
        /// What it is for.
        operation: Operation,
        /// What is protected, in the order of the plan; at least one.
        addresses: Vec<Address>,
    },
    /// It destroys more than it may.
    #[error("the plan destroys {found}, and --max-destroy allows {most}")]
    TooMany {
        /// How many it destroys.
        found: usize,
        /// How many it may.
        most: usize,
    },
    /// It is not what was expected.
    #[error("the plan is +{} ~{} -{}, and --expect says {expected}", found.add, found.change, found.destroy)]
    Unexpected {
        /// What it is.
        found: Counts,
        /// What was expected.
        expected: Expectation,
    },
}

impl Violation {
    /// What it is about, one a line.
    pub fn addresses(&self) -> &[Address] {
        match self {
            Violation::Protected { addresses, .. } => addresses,
            Violation::TooMany { .. } | Violation::Unexpected { .. } => &[],
        }
    }
}

/// Everything that stands against a plan.
pub fn violations(plan: &Plan, guards: &Guards) -> Vec<Violation> {
    let (operation, found) = (plan.operation, plan.counts());
    let addresses: Vec<_> = plan.forbidden().map(|change| change.address.clone()).collect();
    let protected =
        (!addresses.is_empty()).then_some(Violation::Protected { operation, addresses });
    let too_many = guards.max_destroy.filter(|most| found.destroy > *most);
    let too_many = too_many.map(|most| Violation::TooMany { found: found.destroy, most });
    let unexpected = guards.expect.filter(|expected| !expected.is_met_by(found));
    let unexpected = unexpected.map(|expected| Violation::Unexpected { found, expected });
    [protected, too_many, unexpected].into_iter().flatten().collect()
}

/// How many resources somebody expects a plan to touch: `+12 ~0 -0`. What is not said may be any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    /// Made, replacements included.
    pub add: Option<usize>,
    /// Changed in place.
    pub change: Option<usize>,
    /// Deleted, replacements included.
    pub destroy: Option<usize>,
}

impl Expectation {
    /// Whether the plan is as expected.
    pub fn is_met_by(self, counts: Counts) -> bool {
        let met = |expected: Option<usize>, found: usize| expected.is_none_or(|n| n == found);
        met(self.add, counts.add)
            && met(self.change, counts.change)
            && met(self.destroy, counts.destroy)
    }
}

/// Why a text says no expectation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of `+N`, `~N` and `-N`, each at most once: \"+12 ~0 -0\"")]
pub struct NoExpectation(String);

impl FromStr for Expectation {
    type Err = NoExpectation;

    fn from_str(text: &str) -> Result<Self, NoExpectation> {
        let mut expectation = Self::default();
        for word in text.split_whitespace() {
            expectation.take(word).ok_or_else(|| NoExpectation(word.to_owned()))?;
        }
        match expectation {
            Self { add: None, change: None, destroy: None } => Err(NoExpectation(text.to_owned())),
            expectation => Ok(expectation),
        }
    }
}

impl Expectation {
    fn take(&mut self, word: &str) -> Option<()> {
        let (sign, digits) = word.split_at_checked(1)?;
        let place = match sign {
            "+" => &mut self.add,
            "~" => &mut self.change,
            "-" => &mut self.destroy,
            _ => return None,
        };
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        match place {
            None if is_number => *place = Some(digits.parse().ok()?),
            _ => return None,
        }
        Some(())
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = [("+", self.add), ("~", self.change), ("-", self.destroy)];
        let words = said.iter().filter_map(|(sign, number)| Some(format!("{sign}{}", (*number)?)));
        f.write_str(&words.collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expectation_says_as_much_as_it_says() {
        let counts = Counts { add: 12, change: 0, destroy: 1 };
        for (text, met) in [
            ("+12 ~0 -1", true),
            ("-1 +12", true),
            ("+12", true),
            ("~0", true),
            ("+12 ~0 -0", false),
            ("+11", false),
        ] {
            assert_eq!(text.parse::<Expectation>().unwrap().is_met_by(counts), met, "{text}");
        }
    }

    #[test]
    fn what_is_no_expectation_is_named() {
        for text in
            ["", "  ", "12", "+", "+-1", "+1 +2", "-0x1", "+12,", "~٣", "+99999999999999999999"]
        {
            assert!(text.parse::<Expectation>().is_err(), "{text}");
        }
        let error = "+12 0".parse::<Expectation>().unwrap_err().to_string();
        assert!(error.starts_with("`0` is none of"), "{error}");
    }

    #[test]
    fn an_expectation_is_shown_as_it_is_typed() {
        assert_eq!("-0 +12".parse::<Expectation>().unwrap().to_string(), "+12 -0");
    }
}
