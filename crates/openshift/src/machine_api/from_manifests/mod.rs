//! Graph of machines in files, without a cluster that manages them.
//!
//! The files are checked against the rules of a cluster ([`crate::machine_api::validation`]). A MachineSet becomes
//! its members. The user data comes from the Secrets in the files. Each machine becomes the
//! [launch spec](launch) that a cluster would make. Never reads a file, never calls AWS, and never
//! quotes a Secret.
//!
//! - `read`: parses texts into machines, Secrets and facts about the cluster.
//! - `members`: machines that an object defines.
//! - `consistency`: checks that all machines belong to one cluster, and that none is defined twice.
//! - `references`: checks that AWS has the resources that machines reference.
//! - `user_data`: user data of machines.

mod consistency;
mod members;
mod read;
mod references;
#[cfg(test)]
mod replacement_tests;
#[cfg(test)]
mod tests;
mod user_data;

use std::collections::BTreeMap;

use groundplan_aws::kinds::load_balancer_attachment::{LoadBalancerAttachment, LoadBalancerKind};
use groundplan_aws::kinds::machine::Machine;
use groundplan_aws::lookups::lookup::{InstancesNamed, Lookup};
use groundplan_aws::model::ids::InstanceId;
use groundplan_engine::graph::{Address, Graph, Handle, Resource};
use groundplan_engine::out;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use self::members::MachineGroup;
pub use self::read::read;
use self::user_data::SecretUserData;
use crate::diagnostics::{Finding, Rule};
pub use crate::machine_api::from_manifests::references::{ReferencedResources, is_made};
use crate::machine_api::launch_spec::{self, ClusterDefaults, LaunchError, LaunchSpec, launch};
use crate::machine_api::validation::{self, ObjectFinding, document};
use crate::topology::Compiled;

/// File with manifests.
#[derive(Debug)]
pub struct ManifestFile {
    /// Name of the file in messages.
    pub name: String,
    /// Text of the file, which may contain Secrets.
    pub text: SecretString,
}

/// Result of reading files.
#[derive(Debug)]
pub struct ReadResult {
    /// Machines. `None` if a finding is an error.
    pub fleet: Option<MachineSpecs>,
    /// Findings of each file.
    pub findings: Findings,
    /// Notes about ignored objects that the user may expect to have an effect.
    pub notes: Vec<String>,
}

/// Findings by file, each in the order of its text.
pub type Findings = Vec<Vec<Finding>>;

/// Machines of one cluster, read from files.
#[derive(Debug)]
pub struct MachineSpecs {
    /// Infra ID of the cluster.
    pub infra_id: String,
    /// Region of the machines.
    pub region: String,
    site: ClusterDefaults,
    units: Vec<MachineGroup>,
    user_data: SecretUserData,
}

/// Reasons why no graph exists.
#[derive(Debug, Default)]
pub struct CompileFailure {
    /// Findings by file.
    pub findings: Findings,
    /// Keys of the lookups without a result.
    pub unanswered: Vec<String>,
}

impl MachineSpecs {
    /// Returns the number of machines.
    pub fn size(&self) -> usize {
        self.units.iter().map(|unit| unit.names.len()).sum()
    }

    /// Returns the lookups that the graph needs, each once. One round of lookups is enough.
    pub fn lookups(&self) -> Vec<Lookup> {
        let wanted = self.units.iter().filter(|unit| !unit.names.is_empty());
        let mut lookups: Vec<_> =
            wanted.flat_map(|unit| launch_spec::needed_lookups(&unit.config, &self.site)).collect();
        lookups.sort();
        lookups.dedup();
        lookups
    }

    /// Returns the names of the machines.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.units.iter().flat_map(|unit| &unit.names).map(String::as_str)
    }

    /// Returns the graph of all machines and their load balancer registrations. Machines in
    /// `others` are omitted: an instance with the same name exists, and another program launched
    /// it. The cluster would take two instances of one name for one machine.
    ///
    /// # Errors
    /// Returns all findings, with their positions in the `files` that the machines were read from.
    pub fn compile(
        &self,
        answers: &BTreeMap<String, Value>,
        others: &InstancesNamed,
        files: &[ManifestFile],
    ) -> Result<Compiled, CompileFailure> {
        let mut compiled = Compiled { graph: Graph::default(), warnings: Vec::new() };
        let mut trouble = CompileFailure::default();
        trouble.findings.resize_with(files.len(), Vec::new);
        let mut masters = Vec::new();
        for unit in &self.units {
            match self.add(unit, answers, others, &mut compiled) {
                Ok(machines) if unit.is_master => masters.extend(machines),
                Ok(_) => {}
                Err(refusal) => trouble.add(unit, refusal, files),
            }
        }
        if !trouble.is_nothing() {
            return Err(trouble);
        }
        compiled.graph.replace_serially(&masters);
        Ok(compiled)
    }

    /// Adds the machines of one object. The machines differ only in their names, so a problem of
    /// the first one affects all, and is reported once.
    fn add(
        &self,
        unit: &MachineGroup,
        answers: &BTreeMap<String, Value>,
        others: &InstancesNamed,
        compiled: &mut Compiled,
    ) -> Result<Vec<Handle<Machine>>, LaunchError> {
        let Some(user_data) = self.user_data.of(&unit.config) else {
            return Ok(Vec::new()); // a set without machines needs none
        };
        let user_data = compiled.graph.keep_secret(user_data.to_vec());
        let mut machines: Vec<Handle<Machine>> = Vec::new();
        for name in &unit.names {
            if let Some(ids) = others.get(name) {
                compiled.warnings.push(left_alone(name, ids));
                continue;
            }
            let (config, site) = (&unit.config, &self.site);
            let LaunchSpec { machine, attachments, warnings } =
                launch(name, &unit.labels, config, site, answers, user_data.clone())?;
            if machines.is_empty() {
                let warnings = warnings.iter().map(|warning| format!("{}: {warning}", unit.name));
                compiled.warnings.extend(warnings);
            }
            let machine = compiled.graph.add(name, &machine);
            register(&mut compiled.graph, name, &machine, &attachments);
            machines.push(machine);
        }
        Ok(machines)
    }
}

fn left_alone(name: &str, ids: &[InstanceId]) -> String {
    let ids: Vec<&str> = ids.iter().map(InstanceId::as_str).collect();
    format!("{name} already exists ({}), is not managed here, and is skipped", ids.join(", "))
}

/// Adds one node per load balancer, `<machine>:<load balancer>`. Neither name contains a colon.
fn register(
    graph: &mut Graph,
    name: &str,
    machine: &Handle<Machine>,
    attachments: &[(String, LoadBalancerKind)],
) {
    for (index, (balancer, kind)) in attachments.iter().enumerate() {
        if attachments[..index].iter().any(|(before, _)| before == balancer) {
            continue; // said twice, registered once
        }
        let attachment = LoadBalancerAttachment {
            load_balancer: balancer.clone(),
            kind: *kind,
            instance: out!(machine.id),
            ip: out!(machine.private_ip).required(),
        };
        graph.add(registration(name, balancer).name(), &attachment);
    }
}

/// Returns the address of the registration of a machine with a load balancer.
fn registration(machine: &str, balancer: &str) -> Address {
    Address::new(LoadBalancerAttachment::SCHEMA.kind, &format!("{machine}:{balancer}"))
}

impl CompileFailure {
    /// Returns the reasons together with further findings.
    #[must_use]
    pub fn with(mut self, findings: Findings) -> Self {
        if self.findings.len() < findings.len() {
            self.findings.resize_with(findings.len(), Vec::new);
        }
        for (own, more) in self.findings.iter_mut().zip(findings) {
            own.extend(more);
        }
        self
    }

    fn is_nothing(&self) -> bool {
        self.unanswered.is_empty() && self.findings.iter().all(Vec::is_empty)
    }

    fn add(&mut self, unit: &MachineGroup, refusal: LaunchError, files: &[ManifestFile]) {
        match refusal {
            LaunchError::Invalid { field, message } | LaunchError::Conflict { field, message } => {
                let flaw = ObjectFinding::new(Rule::MachineLaunch, field, message);
                let finding = unit.origin.finding_in_spec(files, flaw);
                self.findings[unit.origin.file].push(finding);
            }
            LaunchError::Unanswered { lookup } => self.unanswered.push(lookup),
        }
    }
}

/// Position of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    /// Index of the file.
    file: usize,
    /// Index of the document in the file.
    document: usize,
    /// Path of the object in its document.
    object: String,
    /// Path of the machine in the object: empty, or the template.
    template: &'static str,
}

impl Origin {
    /// Returns the finding for a flaw of the object.
    fn finding(&self, files: &[ManifestFile], flaw: ObjectFinding) -> Finding {
        let text = files[self.file].text.expose_secret();
        document::split(text)[self.document].finding(&self.object, flaw)
    }

    /// Returns the finding for a flaw of the machine or its template.
    fn finding_in_template(&self, files: &[ManifestFile], flaw: ObjectFinding) -> Finding {
        self.finding(files, flaw.within(self.template))
    }

    /// Returns the finding for a flaw of the machine spec.
    fn finding_in_spec(&self, files: &[ManifestFile], flaw: ObjectFinding) -> Finding {
        self.finding_in_template(files, flaw.within("spec"))
    }
}
