//! Comparison of the machines in assets with a plan.
//!
//! A difference is definite: with these manifests, the cluster would create no machine, or one with
//! another metadata policy. References that the plan cannot decide are warnings.

use std::collections::BTreeSet;

use groundplan_aws::lookups::lookup::FilterBy;
use groundplan_aws::model::metadata_options::{Authentication, MetadataService, Switch};

use super::difference::{DifferenceTopic as Topic, Differences};
use super::machines::{AssetKind, AssetMachines, AssetObjects, AssetPlace, TokenPolicy};
use super::planned::{Match, PlannedCluster};
use crate::diagnostics::shown;
use crate::machine_api::types::ResourceReference;

/// Role of the pool of masters.
const MASTER: &str = "master";

/// Result of a comparison.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// Definite differences.
    pub(super) differences: Differences,
    /// Differences without effect on the installation.
    pub(super) minor: Differences,
    /// References that the plan cannot decide.
    pub(super) unknown: BTreeSet<String>,
}

/// Compares all machines with the plan.
pub(super) fn compare(objects: &AssetObjects, planned: &PlannedCluster<'_>) -> Comparison {
    let mut comparison = Comparison::default();
    for machines in &objects.machines {
        Comparer { machines, planned, result: &mut comparison }.all();
        if machines.kind == (AssetKind::MachineSet { is_mirror: false })
            && objects.cluster_api_sets.contains(&machines.name)
        {
            let both = format!("{} in the Machine API and the Cluster API", shown(&machines.name));
            let one = "one set for each zone".to_owned();
            comparison.differences.add(Topic::MachineSet, &machines.object, [both], [one]);
        }
    }
    comparison
}

/// Comparison of one object.
struct Comparer<'a, 'b> {
    machines: &'a AssetMachines,
    planned: &'a PlannedCluster<'b>,
    result: &'a mut Comparison,
}

impl Comparer<'_, '_> {
    fn all(&mut self) {
        self.cluster();
        self.region();
        let machines = self.machines;
        machines.places.iter().for_each(|place| self.subnet(place));
        self.master();
        self.groups();
        self.profile();
        self.image();
        self.authentication();
        self.metadata_options();
        machines.balancers.iter().for_each(|balancer| self.balancer(balancer));
    }

    fn differ(&mut self, topic: Topic, assets: Vec<String>, plan: Vec<String>) {
        self.result.differences.add(topic, &self.machines.object, assets, plan);
    }

    fn unknown(&mut self, noun: &str, name: &str) {
        self.result.unknown.insert(format!("{noun} {name}"));
    }

    fn role(&self) -> &str {
        match self.machines.kind {
            AssetKind::ControlPlane => MASTER,
            _ => &self.machines.role,
        }
    }

    fn cluster(&mut self) {
        let ours = self.planned.infra_id();
        let others = self.machines.clusters.iter().filter(|id| *id != ours);
        let others: Vec<String> = others.map(|id| shown(id)).collect();
        if !others.is_empty() {
            self.differ(Topic::Cluster, others, vec![shown(ours)]);
        }
    }

    fn region(&mut self) {
        let (theirs, ours) = (&self.machines.region, self.planned.region());
        if !theirs.is_empty() && theirs != ours {
            self.differ(Topic::Region, vec![shown(theirs)], vec![shown(ours)]);
        }
    }

    fn subnet(&mut self, place: &AssetPlace) {
        let AssetPlace { zone, subnet } = place;
        match self.planned.subnet(zone, subnet) {
            Match::Found => (),
            Match::Unknown => self.unknown("subnet", &described(subnet)),
            // A failure domain or a set may be for later: it has no machine in the plan's zones.
            Match::Missing if self.is_for_later(zone) => {
                let ours = vec![format!("no subnet in {}", shown(zone))];
                let theirs = [described(subnet)];
                self.result.minor.add(Topic::Subnet, &self.machines.object, theirs, ours);
            }
            Match::Missing => {
                let named = self.planned.subnet_names(zone);
                let ours = match named.is_empty() {
                    true => vec![format!("no subnet in {}", shown(zone))],
                    false => quoted(&named),
                };
                self.differ(Topic::Subnet, vec![described(subnet)], ours);
            }
        }
    }

    fn is_for_later(&self, zone: &str) -> bool {
        let is_spare = self.machines.kind == AssetKind::ControlPlane || self.machines.is_empty;
        is_spare && !zone.is_empty() && !self.planned.has_zone(zone)
    }

    /// Compares a Machine of a master with the master of the same name.
    fn master(&mut self) {
        if self.machines.kind != AssetKind::Machine || self.role() != MASTER {
            return;
        }
        let name = &self.machines.name;
        let Some(master) = self.planned.masters.get(name) else {
            let ours = quoted(self.planned.masters.keys());
            return self.differ(Topic::Master, vec![shown(name)], ours);
        };
        let theirs = self.machines.places.first().map(|place| self.planned.zone_of(place));
        if let (Some(theirs), Some(ours)) = (theirs.flatten(), &master.zone)
            && theirs != *ours
        {
            let place = |zone: &str| vec![format!("{} in {}", shown(name), shown(zone))];
            let (theirs, ours) = (place(&theirs), place(ours));
            self.differ(Topic::Zone, theirs, ours);
        }
    }

    fn groups(&mut self) {
        let machines = self.machines;
        let mut missing = Vec::new();
        for group in &machines.groups {
            match self.planned.group(group) {
                Match::Found => (),
                Match::Missing => missing.push(described(group)),
                Match::Unknown => self.unknown("security group", &described(group)),
            }
        }
        if !missing.is_empty() || machines.groups.is_empty() {
            let ours = quoted(&self.planned.group_names());
            self.differ(Topic::SecurityGroup, missing, ours);
        }
    }

    fn profile(&mut self) {
        let machines = self.machines;
        let planned = self.planned;
        let ours = || quoted(&planned.profiles);
        match &machines.profile {
            Some(name) if self.planned.profiles.contains(name) => (),
            Some(name) if self.planned.is_own_name(name) => {
                self.differ(Topic::Profile, vec![shown(name)], ours());
            }
            Some(name) => self.unknown("instance profile", &shown(name)),
            None => self.differ(Topic::Profile, Vec::new(), ours()),
        }
    }

    fn image(&mut self) {
        let machines = self.machines;
        let image = &machines.image;
        let id = image.id.as_deref().filter(|id| !id.is_empty());
        let ours = self.planned.image(self.role());
        match (id, &*image.filters) {
            (Some(id), _) => {
                if let Some(ours) = ours.filter(|ours| ours != id) {
                    let (theirs, ours) = ([shown(id)], [shown(&ours)]);
                    self.result.minor.add(Topic::Image, &machines.object, theirs, ours);
                }
            }
            // The provider of the Cluster API chooses an image by itself.
            (None, []) if machines.kind == AssetKind::ClusterApiSet => (),
            (None, filters) => match self.planned.image_copy(filters) {
                Match::Found => (),
                Match::Unknown if !filters.is_empty() => self.unknown("image", &described(image)),
                _ => {
                    let copies = quoted(&self.planned.image_copy_names());
                    let ours = ours.map_or(copies, |id| vec![shown(&id)]);
                    let theirs = if filters.is_empty() { vec![] } else { vec![described(image)] };
                    self.differ(Topic::Image, theirs, ours);
                }
            },
        }
    }

    fn authentication(&mut self) {
        let role = self.role();
        let Some(wanted) = self.planned.metadata_service(role) else { return };
        let wanted = wanted.authentication;
        let required = Some(Authentication::Required);
        let found = match &self.machines.tokens {
            TokenPolicy::Stated(found) if *found == wanted => return,
            TokenPolicy::Binary(found) if (Some(*found) == required) == (wanted == required) => {
                return;
            }
            TokenPolicy::Stated(found) => word(*found),
            TokenPolicy::Binary(found) => word(Some(*found)),
            TokenPolicy::Unknown(found) => shown(found),
        };
        let (theirs, ours) =
            (format!("{found} for {role}"), format!("{} for {role}", word(wanted)));
        self.differ(Topic::Authentication, vec![theirs], vec![ours]);
    }

    /// Compares the settings that no openshift-install writes, so that their absence is minor.
    fn metadata_options(&mut self) {
        let role = self.role();
        let Some(wanted) = self.planned.metadata_service(role) else { return };
        let Some(found) = self.machines.metadata else { return };
        let others = |all| MetadataService { authentication: None, ..all };
        if others(found) != others(wanted) {
            let (theirs, ours) = ([options(&found)], [options(&wanted)]);
            self.result.minor.add(Topic::MetadataOptions, &self.machines.object, theirs, ours);
        }
    }

    fn balancer(&mut self, name: &str) {
        if self.planned.balancers.contains(name) {
            return;
        }
        if self.planned.is_own_name(name) {
            let ours = quoted(&self.planned.balancers);
            self.differ(Topic::LoadBalancer, vec![shown(name)], ours);
        } else {
            self.unknown("load balancer", &shown(name));
        }
    }
}

fn quoted<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    names.into_iter().map(|name| shown(name)).collect()
}

fn word(authentication: Option<Authentication>) -> String {
    let words = Authentication::WORDS.iter();
    let found = words.clone().find(|(_, meant)| authentication == Some(*meant));
    found.map_or_else(|| "no opinion".to_owned(), |(word, _)| format!("`{word}`"))
}

fn options(metadata: &MetadataService) -> String {
    let switch = |name: &str, switch: Option<Switch>| Some(format!("{name} {:?}", switch?));
    let hops = metadata.hop_limit.map(|limit| format!("hop limit {}", i64::from(limit)));
    let all = [
        hops,
        switch("endpoint", metadata.endpoint),
        switch("instance tags", metadata.instance_tags),
    ];
    let set: Vec<String> = all.into_iter().flatten().collect();
    if set.is_empty() { "no other option".to_owned() } else { set.join(" with ") }
}

/// Returns a reference as text for people: an ID, a name, or filters.
fn described(reference: &ResourceReference) -> String {
    let by_filters = |filters: &[crate::machine_api::types::Filter]| {
        let text = |filter: &crate::machine_api::types::Filter| match &*filter.name {
            "tag:Name" => filter.values.join(","),
            _ => FilterBy { name: filter.name.clone(), values: filter.values.clone() }.to_string(),
        };
        filters.iter().map(text).collect::<Vec<_>>().join(" and ")
    };
    match (&reference.id, &reference.arn, &*reference.filters) {
        (Some(id), _, _) => shown(id),
        (None, Some(arn), _) => shown(arn),
        (None, None, []) => "none".to_owned(),
        (None, None, filters) => shown(&by_filters(filters)),
    }
}
