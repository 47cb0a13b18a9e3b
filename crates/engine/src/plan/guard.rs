//! Guards: conditions that reject a whole plan before the first change.

use std::fmt;
use std::str::FromStr;

use super::{ChangeCounts, Plan};
use crate::event::Operation;
use crate::graph::Address;

/// Limits that the user sets for a plan. `None` means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    /// Maximum number of destroyed resources, including replaced ones.
    pub max_destroy: Option<usize>,
    /// Expected numbers of changes.
    pub expect: Option<Expectation>,
}

/// Violation of a guard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The plan deletes or replaces a protected resource.
    #[error("the plan deletes or replaces protected resources")]
    Protected {
        /// Operation of the plan.
        operation: Operation,
        /// Addresses of the protected resources, in the order of the plan; at least one.
        addresses: Vec<Address>,
    },
    /// The plan destroys more resources than the maximum.
    #[error("the plan destroys {found}, but --max-destroy allows {most}")]
    TooMany {
        /// Number of destroyed resources.
        found: usize,
        /// Maximum number.
        most: usize,
    },
    /// The numbers of the plan differ from the expected numbers.
    #[error("the plan has +{} ~{} -{}, but --expect requires {expected}", found.add, found.change, found.destroy)]
    Unexpected {
        /// Numbers of the plan.
        found: ChangeCounts,
        /// Expected numbers.
        expected: Expectation,
    },
}

impl Violation {
    /// Returns the addresses that the violation is about, to be printed one per line.
    pub fn addresses(&self) -> &[Address] {
        match self {
            Violation::Protected { addresses, .. } => addresses,
            Violation::TooMany { .. } | Violation::Unexpected { .. } => &[],
        }
    }
}

/// Returns all violations of a plan.
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

/// Expected numbers of changes, as in `+12 ~0 -0`. An omitted number accepts any value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    /// Number of created resources, including replacements.
    pub add: Option<usize>,
    /// Number of resources changed in place.
    pub change: Option<usize>,
    /// Number of deleted resources, including replacements.
    pub destroy: Option<usize>,
}

impl Expectation {
    /// Returns true if the numbers match the expectation.
    pub fn is_met_by(self, counts: ChangeCounts) -> bool {
        let met = |expected: Option<usize>, found: usize| expected.is_none_or(|n| n == found);
        met(self.add, counts.add)
            && met(self.change, counts.change)
            && met(self.destroy, counts.destroy)
    }
}

/// Error of a text that is no valid expectation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected +N, ~N and -N, each at most once, such as \"+12 ~0 -0\"; found `{0}`")]
pub struct InvalidExpectation(String);

impl FromStr for Expectation {
    type Err = InvalidExpectation;

    fn from_str(text: &str) -> Result<Self, InvalidExpectation> {
        let mut expectation = Self::default();
        for word in text.split_whitespace() {
            expectation.take(word).ok_or_else(|| InvalidExpectation(word.to_owned()))?;
        }
        match expectation {
            Self { add: None, change: None, destroy: None } => {
                Err(InvalidExpectation(text.to_owned()))
            }
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
        let counts = ChangeCounts { add: 12, change: 0, destroy: 1 };
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
        assert!(error.ends_with("found `0`"), "{error}");
    }

    #[test]
    fn an_expectation_is_shown_as_it_is_typed() {
        assert_eq!("-0 +12".parse::<Expectation>().unwrap().to_string(), "+12 -0");
    }
}
