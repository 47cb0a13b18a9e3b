//! What says what is wanted: an install-config, or the manifests of machines. Whoever plans and applies
//! asks it, and does not ask which of them it is.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cloud::Answers;
use super::failure::Result;
use super::screen::Screen;
use crate::aws::Settings;
use crate::plan::saved::Digests;
use crate::state::{Cluster, State};
use crate::topology::{Compiled, Question, Workers};

/// What a plan is made from, read and valid.
pub(super) trait Source {
    /// What its state is called among the others.
    fn name(&self) -> &str;

    /// The command that does what a saved plan says, without the plan.
    fn command(&self) -> String;

    /// What plans that were made from it are known by.
    fn digests(&self) -> &Digests;

    /// Whether the bootstrap machine is wanted.
    fn bootstrap(&self) -> bool;

    /// What is not what it was when these digests were taken.
    fn moved(&self, then: &Digests) -> Option<&'static str>;

    /// Whose it is; `known` is whom the state knows.
    fn cluster(&self, known: Option<Cluster>) -> Result<Cluster>;

    /// How its cloud is reached.
    fn settings(&self, cluster: &Cluster) -> Settings;

    /// Refuses what was begun otherwise, by what was recorded then; or what is to be recorded, so that
    /// a later run can tell.
    fn remember(&self, facts: &BTreeMap<String, Value>) -> Result<Option<(String, Value)>>;

    /// What AWS must be asked and nobody has recorded.
    fn questions(&self, facts: &BTreeMap<String, Value>) -> Vec<Question>;

    /// What AWS is asked besides, to find out early what would fail later.
    fn checks(&self, known: &BTreeMap<String, Value>, state: &State) -> Vec<Question>;

    /// The graph; or everything that stands in its way, most of it told already.
    fn compile(&self, learnt: &Learnt<'_>, screen: &mut Screen) -> Result<Compiled>;

    /// The machines that a cluster makes by itself within the hour.
    fn workers(&self, facts: &BTreeMap<String, Value>) -> Vec<Workers>;
}

/// What is known when a source is compiled.
pub(super) struct Learnt<'a> {
    pub(super) cluster: &'a Cluster,
    /// The answers that bind.
    pub(super) facts: &'a BTreeMap<String, Value>,
    /// The answers of this run, and what has none.
    pub(super) answers: &'a Answers,
    /// What the checks came to.
    pub(super) checked: &'a BTreeMap<String, Value>,
    /// What is recorded.
    pub(super) state: &'a State,
}
