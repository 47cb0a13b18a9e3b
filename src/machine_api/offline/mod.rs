//! Machines in files become a graph: a fleet that no cluster looks after.
//!
//! The files are held to the cluster's rules ([`super::check`]), a MachineSet becomes its members, the
//! user data comes from the Secrets beside them, and each machine becomes the [`launch`](mod@launch)
//! that a cluster would make of it. Never reads a file, asks a cloud, or repeats what a Secret says.
//!
//! - `read`: texts as machines, Secrets and what the cluster says of itself.
//! - `members`: which machines an object stands for.
//! - `agree`: that all of them are of one cluster, and none twice.
//! - `named`: what is named in them and made by others, and whether AWS has it.
//! - `user_data`: what machines start from.

mod agree;
mod members;
mod named;
mod read;
#[cfg(test)]
mod replacement_tests;
#[cfg(test)]
mod tests;
mod user_data;

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::check::{self, Flaw, document};
use super::launch::{self, Launch, Refusal, Site, launch};
use crate::aws::ids::InstanceId;
use crate::aws::load_balancer_attachment::{LoadBalancerAttachment, LoadBalancerKind};
use crate::aws::machine::Machine;
use crate::aws::questions::{InstancesNamed, Question};
use crate::config::{Finding, Rule};
use crate::graph::{Address, Graph, Handle, Input, Resource};
use crate::out;
use crate::topology::Compiled;

use self::members::Unit;
pub use self::named::{Named, is_made};
pub use self::read::read;
use self::user_data::UserData;

/// A file of manifests.
#[derive(Debug)]
pub struct File {
    /// What it is called in messages.
    pub name: String,
    /// What it says; among it may be Secrets.
    pub text: SecretString,
}

/// What came of reading files.
#[derive(Debug)]
pub struct Reading {
    /// The machines, unless any finding is an error.
    pub fleet: Option<Fleet>,
    /// What was found, for each of the files.
    pub findings: Findings,
    /// What was passed over although somebody might expect something of it.
    pub notes: Vec<String>,
}

/// Findings, file by file and in the order of their texts.
pub type Findings = Vec<Vec<Finding>>;

/// The machines of one cluster, in files.
#[derive(Debug)]
pub struct Fleet {
    /// The infra ID of their cluster.
    pub infra_id: String,
    /// Their region.
    pub region: String,
    site: Site,
    units: Vec<Unit>,
    user_data: UserData,
}

/// Why there is no graph.
#[derive(Debug, Default)]
pub struct Trouble {
    /// What is wrong, where it is written.
    pub findings: Findings,
    /// The questions without an answer.
    pub unanswered: Vec<String>,
}

impl Fleet {
    /// How many machines there are.
    pub fn size(&self) -> usize {
        self.units.iter().map(|unit| unit.names.len()).sum()
    }

    /// What AWS must be asked; each question once. One round is enough.
    pub fn questions(&self) -> Vec<Question> {
        let wanted = self.units.iter().filter(|unit| !unit.names.is_empty());
        let mut questions: Vec<_> =
            wanted.flat_map(|unit| launch::questions(&unit.config, &self.site)).collect();
        questions.sort();
        questions.dedup();
        questions
    }

    /// What they are called.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.units.iter().flat_map(|unit| &unit.names).map(String::as_str)
    }

    /// The graph of all machines and of what they are registered with. Those of `others`, which are
    /// there under their names and were made by somebody else, are left out: two of one name would
    /// be one machine to their cluster.
    ///
    /// # Errors
    /// Everything that stands in the way, with its place in the `files` that this was read from.
    pub fn compile(
        &self,
        answers: &BTreeMap<String, Value>,
        others: &InstancesNamed,
        files: &[File],
    ) -> Result<Compiled, Trouble> {
        let mut compiled = Compiled { graph: Graph::default(), warnings: Vec::new() };
        let mut trouble = Trouble::default();
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
        compiled.graph.take_turns(&masters);
        Ok(compiled)
    }

    /// Adds the machines of one object. They differ in their names alone, so that what stands in the
    /// way of the first one stands in the way of all, and is said once.
    fn add(
        &self,
        unit: &Unit,
        answers: &BTreeMap<String, Value>,
        others: &InstancesNamed,
        compiled: &mut Compiled,
    ) -> Result<Vec<Handle<Machine>>, Refusal> {
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
            let Launch { machine, attachments, warnings } =
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
    format!("{name} is there already ({}) and was not made here: it is left alone", ids.join(", "))
}

/// One node for each load balancer, `<machine>:<load balancer>`: neither name has a colon.
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
            ip: present(out!(machine.private_ip)),
        };
        graph.add(registration(name, balancer).name(), &attachment);
    }
}

/// The address of a machine's registration with a load balancer.
fn registration(machine: &str, balancer: &str) -> Address {
    Address::new(LoadBalancerAttachment::SCHEMA.kind, &format!("{machine}:{balancer}"))
}

/// A machine that is ready has what it may lack before.
fn present<T>(input: Input<Option<T>>) -> Input<T> {
    match input {
        Input::Ref(reference) => Input::Ref(reference),
        Input::Known(_) => unreachable!("BUG: the output of a node is a reference"),
    }
}

impl Trouble {
    /// The same, with what was found besides.
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

    fn add(&mut self, unit: &Unit, refusal: Refusal, files: &[File]) {
        match refusal {
            Refusal::Invalid { field, message } | Refusal::Conflict { field, message } => {
                let flaw = Flaw::new(Rule::MachineLaunch, field, message);
                let finding = unit.origin.finding_in_spec(files, flaw);
                self.findings[unit.origin.file].push(finding);
            }
            Refusal::Unanswered { question } => self.unanswered.push(question),
        }
    }
}

/// Where something was read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    /// Which file.
    file: usize,
    /// Which document of it.
    document: usize,
    /// Where the object is in its document.
    object: String,
    /// Where the machine is in the object: nowhere deeper, or its template.
    template: &'static str,
}

impl Origin {
    /// A flaw of the object, with its place.
    fn finding(&self, files: &[File], flaw: Flaw) -> Finding {
        let text = files[self.file].text.expose_secret();
        document::split(text)[self.document].finding(&self.object, flaw)
    }

    /// A flaw of the machine or of what makes machines.
    fn finding_in_template(&self, files: &[File], flaw: Flaw) -> Finding {
        self.finding(files, flaw.within(self.template))
    }

    /// A flaw of what is wanted of the machine.
    fn finding_in_spec(&self, files: &[File], flaw: Flaw) -> Finding {
        self.finding_in_template(files, flaw.within("spec"))
    }
}
