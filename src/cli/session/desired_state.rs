//! Source of the desired state: an install-config or manifests of machines. Commands that plan and
//! apply use only this trait.

use std::collections::BTreeMap;
use std::time::SystemTime;

use groundplan_aws::AwsSettings;
use groundplan_engine::graph::{Address, Graph};
use groundplan_engine::plan::Plan;
use groundplan_engine::plan::saved::Digests;
use groundplan_engine::state::{Cluster, Entry, State};
use groundplan_openshift::machine_api::asset_manifests::{AssetFit, AssetManifestError};
use groundplan_openshift::topology::{
    CertificateValidity, Compiled, IgnitionFile, Lookup, Workers,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::aws_session::LookupResults;

/// Valid input of a plan.
pub(crate) trait DesiredState {
    /// Returns the name of the state.
    fn name(&self) -> &str;

    /// Returns the command that applies a saved plan, without the plan's path.
    fn command(&self) -> String;

    /// Returns the digests of the input files. A saved plan is stale if they change.
    fn digests(&self) -> &Digests;

    /// Returns true if the bootstrap machine is desired.
    fn bootstrap(&self) -> bool;

    /// Returns the notes for the user about what the state or a default has decided.
    fn notes(&self) -> Vec<String>;

    /// Returns the decisions of the user about a new cluster, to record beside the lookup results.
    fn decisions(&self) -> BTreeMap<String, Value>;

    /// Returns the release of OpenShift to record. `None` if the source has no release.
    fn release(&self) -> Option<String>;

    /// Sets the release to that of a saved plan.
    fn set_release(&mut self, planned: Option<&str>);

    /// Returns the entry about the bootstrap to record before the first change of this plan.
    fn bootstrap_entry(&self, plan: &Plan, desired: &Graph, state: &State) -> Option<Entry>;

    /// Returns a phrase for the input that differs from these digests; `None` if all are equal.
    fn moved(&self, then: &Digests) -> Option<&'static str>;

    /// Returns the identity of the cluster.
    ///
    /// `fixed` is the identity that recorded resources carry, and binding. `proposed` is used if the
    /// source has no identity of its own: that of a saved plan, or of a state without resources.
    fn cluster(&self, fixed: Option<&Cluster>, proposed: Option<&Cluster>) -> Result<Cluster>;

    /// Returns true if the source has the identity of the cluster.
    fn has_identity(&self) -> bool;

    /// Returns the domain that only this cluster may have, or an empty text if other clusters may have
    /// it, too. `None` if another state records the cluster.
    fn sole_domain(&self) -> Option<String>;

    /// Returns the settings of the AWS client.
    fn settings(&self, cluster: &Cluster) -> AwsSettings;

    /// Completes the source with what the state records. Returns an error if the source lacks files
    /// that the state does not replace.
    fn remember(&mut self, state: &State) -> Result<()>;

    /// Returns true if the cluster has Ignition assets.
    fn has_assets(&self) -> bool;

    /// Returns the Ignition config whose content a resource has; `None` if it has none.
    fn ignition_file(&self, address: &Address) -> Option<IgnitionFile>;

    /// Returns the validity of the certificates in an Ignition config. `None` if it is not known.
    fn validity(&self, file: IgnitionFile, now: Timestamp) -> Option<CertificateValidity>;

    /// Returns the time of the last change of an Ignition config. `None` if it is not known.
    fn modified(&self, file: IgnitionFile) -> Option<SystemTime>;

    /// Returns the lookups that are required and not recorded.
    fn lookups(&self, recorded: &BTreeMap<String, Value>) -> Vec<Lookup>;

    /// Returns additional lookups, for checks that detect errors before the first change.
    fn checks(&self, known: &BTreeMap<String, Value>, state: &State) -> Vec<Lookup>;

    /// Returns the graph. On failure, most errors are already printed.
    fn compile(&self, learnt: &CompileInputs<'_>, ui: &mut Ui) -> Result<CompiledSource>;

    /// Returns the machines that a new cluster creates by itself within the hour.
    fn workers(&self, recorded: &BTreeMap<String, Value>) -> Vec<Workers>;
}

/// Compiled source.
pub(crate) struct CompiledSource {
    pub(crate) compiled: Compiled,
    /// Comparison of the manifests in the assets with the graph. Only a run that sends them needs it.
    pub(crate) asset_fit: std::result::Result<AssetFit, AssetManifestError>,
}

impl From<Compiled> for CompiledSource {
    /// Returns a source without assets.
    fn from(compiled: Compiled) -> Self {
        Self { compiled, asset_fit: Ok(AssetFit::default()) }
    }
}

/// Data for the compilation of a source.
pub(crate) struct CompileInputs<'a> {
    pub(crate) cluster: &'a Cluster,
    /// Recorded lookup results. Empty until the first resource is recorded.
    pub(crate) recorded: &'a BTreeMap<String, Value>,
    /// Lookup results of this run, and failed lookups.
    pub(crate) answers: &'a LookupResults,
    /// Results of the additional lookups for checks.
    pub(crate) checked: &'a BTreeMap<String, Value>,
    /// Recorded state.
    pub(crate) state: &'a State,
}
