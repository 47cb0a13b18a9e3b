//! Parser of manifest files into machines.

use secrecy::ExposeSecret;
use serde_json::Value;

use super::members::{MachineGroup, of_machine, of_set};
use super::user_data::SecretUserData;
use super::{
    ClusterDefaults, Findings, MachineSpecs, ManifestFile, Origin, ReadResult, document, validation,
};
use crate::diagnostics::{Finding, Rule, Severity};
use crate::install_config::Architecture;
use crate::machine_api::from_manifests::consistency;
use crate::machine_api::infrastructure::Infrastructure;
use crate::machine_api::types;
use crate::machine_api::validation::kind::ManifestKind;
use crate::machine_api::validation::{Defaults, ObjectFinding, with_defaults};

/// Reads all files. Violations of a cluster's rules are reported first, with the same findings as
/// `manifests check`.
pub fn read(files: &[ManifestFile]) -> ReadResult {
    let mut reader = ManifestReader::of(files);
    if reader.is_clean() {
        reader.objects();
    }
    let fleet = if reader.is_clean() { reader.fleet() } else { None };
    let fleet = fleet.filter(|_| reader.is_clean());
    ReadResult { fleet, findings: reader.findings, notes: reader.notes }
}

/// Removes the warning about a missing cluster label, because `consistency` reports it as an error.
fn told(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.retain(|finding| finding.rule != Rule::MachineClusterLabel);
    findings
}

/// State of the reader.
struct ManifestReader<'a> {
    files: &'a [ManifestFile],
    findings: Findings,
    units: Vec<MachineGroup>,
    user_data: SecretUserData,
    infrastructure: Infrastructure,
    notes: Vec<String>,
}

impl<'a> ManifestReader<'a> {
    fn of(files: &'a [ManifestFile]) -> Self {
        let checked = files.iter().map(|file| validation::check(file.text.expose_secret()));
        Self {
            files,
            findings: checked.map(|checked| told(checked.findings)).collect(),
            units: Vec::new(),
            user_data: SecretUserData::default(),
            infrastructure: Infrastructure::default(),
            notes: Vec::new(),
        }
    }

    fn is_clean(&self) -> bool {
        self.findings.iter().flatten().all(|finding| finding.severity() == Severity::Warning)
    }

    fn objects(&mut self) {
        for (file, content) in self.files.iter().enumerate() {
            let documents = document::split(content.text.expose_secret());
            for (document, content) in documents.iter().enumerate() {
                for object in content.objects().unwrap_or_default() {
                    let origin = Origin { file, document, object: object.path, template: "" };
                    self.object(&object.value, origin);
                }
            }
        }
    }

    fn object(&mut self, value: &Value, origin: Origin) {
        match ManifestKind::of(value) {
            Some(ManifestKind::Machine) => {
                if let Ok(machine) = types::read(value) {
                    self.keep(of_machine(&machine, origin));
                }
            }
            Some(ManifestKind::MachineSet) => {
                if let Ok(set) = types::read::<types::MachineSet>(value) {
                    if set.spec.replicas.is_none() {
                        let name = &set.metadata.name;
                        self.notes
                            .push(format!("{name} has no `replicas`: one machine is planned"));
                    }
                    self.keep(of_set(&set, Origin { template: "spec.template", ..origin }));
                }
            }
            Some(ManifestKind::ControlPlaneMachineSet) => self.notes.push(format!(
                "{} has a ControlPlaneMachineSet, which is ignored: it only replaces masters in a \
                 running cluster",
                self.files[origin.file].name
            )),
            None => {
                self.user_data.keep(value, origin.file);
                if Infrastructure::is(value) {
                    match Infrastructure::read(value) {
                        Ok(read) => self.infrastructure = read,
                        Err(unfit) => self.notes.push(unfit.to_string()),
                    }
                }
            }
        }
    }

    fn keep(&mut self, (unit, flaws): (MachineGroup, Vec<ObjectFinding>)) {
        let found = flaws.into_iter().map(|flaw| unit.origin.finding(self.files, flaw));
        self.findings[unit.origin.file].extend(found);
        self.units.push(unit);
    }

    /// Returns the machines of all files, if they belong together.
    fn fleet(&mut self) -> Option<MachineSpecs> {
        let (files, findings) = (self.files, &mut self.findings);
        let told = std::mem::take(&mut self.infrastructure);
        let infra_id = consistency::infra_id(&self.units, told.infra_id, files, findings);
        let region = consistency::region(&self.units, told.site.region.clone(), files, findings);
        consistency::names(&self.units, files, findings);
        consistency::tags(&self.units, files, findings);
        let (infra_id, region) = (infra_id?, region?);
        if self.units.is_empty() {
            return None; // what is forgotten in a folder is not what is to go
        }
        let mut units = std::mem::take(&mut self.units);
        units.iter_mut().for_each(|unit| self.fill_in(unit, &region));
        self.user_data.judge(&units, files, &mut self.findings);
        let site = ClusterDefaults { region: Some(region.clone()), ..told.site };
        let user_data = std::mem::take(&mut self.user_data);
        Some(MachineSpecs { infra_id, region, site, units, user_data })
    }

    /// Fills in the defaults of the webhook. The default instance type depends on the architecture
    /// of the control plane, which is unknown here.
    fn fill_in(&mut self, unit: &mut MachineGroup, region: &str) {
        let had_type = !unit.config.instance_type.is_empty();
        let defaults =
            Defaults { region: Some(region.to_owned()), architecture: Architecture::Amd64 };
        unit.config = with_defaults(std::mem::take(&mut unit.config), &defaults);
        if !had_type {
            let (name, filled_in) = (&unit.name, &unit.config.instance_type);
            let note = format!(
                "{name} has no `instanceType`: {filled_in} is used, the default for \
                 amd64"
            );
            self.notes.push(note);
        }
    }
}
