//! Findings about a text with their positions, the rules behind them, and the YAML reader that keeps
//! the positions. Shared by install-configs and manifests.
//!
//! Never: a field of one of them.

pub(crate) mod finding;
mod json;
pub(crate) mod rules;
pub(crate) mod synonyms;
pub(crate) mod text;
pub(crate) mod yaml;

pub use finding::{Finding, Position, Severity};
pub(crate) use finding::{did_you_mean, shown};
pub use finding::{nearest, one_of};
pub use json::{FindingLine, for_programs};
pub use rules::{Rule, RuleSource};
pub(crate) use synonyms::{
    is_holder as is_metadata_holder, meant_among_settings as meant_among_metadata_settings,
    setting as metadata_setting,
};
pub use text::read_bounded;
