//! Resources that manifests reference and that groundplan does not create: a check that AWS has
//! them, before the first launch, with many names per lookup.
//!
//! AWS rejects a launch that references a missing resource, possibly after other launches have
//! succeeded. A missing lookup result never stops a plan.

use std::collections::{BTreeMap, BTreeSet};

use groundplan_aws::kinds::machine::Machine;
use groundplan_aws::lookups::lookup::{
    FilterBy, InstancesNamed, Lookup, PlacementGroupFact, PlacementGroups, SubnetCandidate,
};
use groundplan_engine::graph::{Address, Graph, Resource, as_ref};
use groundplan_engine::plan::diff::diff;
use groundplan_engine::provider::Schemas;
use groundplan_engine::state::State;
use serde::Deserialize;
use serde_json::Value;

use super::members::MachineGroup;
use super::{Findings, MachineSpecs, ManifestFile, registration};
use crate::diagnostics::{Rule, did_you_mean};
use crate::machine_api::launch_spec;
use crate::machine_api::types::AwsMachineProviderConfig;
use crate::machine_api::validation::ObjectFinding;

/// Returns true if applying `graph` creates this resource: no record exists, or a force-new input
/// differs. Replacements because of drift or `--replace` are unknown here.
pub fn is_made(graph: &Graph, state: &State, schemas: &dyn Schemas, address: &Address) -> bool {
    let Some(node) = graph.get(address) else { return false };
    let Some(record) = state.resources.get(address) else { return true };
    let Some(schema) = schemas.schema(address.kind()) else { return false };
    let differs = diff(schema.comparison_rules(), Some(&record.inputs), Some(&node.inputs));
    differs.iter().any(|field| {
        let is_known = field.after.as_ref().is_none_or(|after| as_ref(after).is_none());
        is_known && schema.force_new.contains(&field.input())
    })
}

/// Types of resources that machines reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ReferenceKind {
    InstanceType,
    Image,
    Subnet,
    SecurityGroup,
    KeyPair,
    PlacementGroup,
    Reservation,
    Profile,
    NetworkBalancer,
    ClassicBalancer,
}

/// Reference of a machine to a resource.
#[derive(Debug)]
struct Reference<'a> {
    sort: ReferenceKind,
    name: &'a str,
    /// Path of the field in the machine spec.
    path: String,
}

/// Resources that the machines to be created reference.
#[derive(Debug)]
pub struct ReferencedResources<'a> {
    region: &'a str,
    units: Vec<(&'a MachineGroup, Vec<Reference<'a>>)>,
}

impl MachineSpecs {
    /// Returns the references of the machines, and of the registrations, that `is_made` selects.
    pub fn named(&self, is_made: &dyn Fn(&Address) -> bool) -> ReferencedResources<'_> {
        let named =
            |unit| Some((unit, references(unit, is_made))).filter(|(_, all)| !all.is_empty());
        ReferencedResources {
            region: &self.region,
            units: self.units.iter().filter_map(named).collect(),
        }
    }
}

fn references<'a>(
    unit: &'a MachineGroup,
    is_made: &dyn Fn(&Address) -> bool,
) -> Vec<Reference<'a>> {
    let is_launched = |name: &String| is_made(&Address::new(Machine::SCHEMA.kind, name));
    let mut all = Vec::new();
    if unit.names.iter().any(is_launched) {
        all.extend(of_launches(&unit.config));
    }
    all.extend(of_registrations(unit, is_made));
    all
}

fn of_launches(config: &AwsMachineProviderConfig) -> Vec<Reference<'_>> {
    let given = |name: &'_ str| !name.is_empty();
    // A host replaces a placement group.
    let group =
        Some(config.placement_group_name.as_str()).filter(|_| config.placement.host.is_none());
    let single = [
        (ReferenceKind::InstanceType, "instanceType", Some(config.instance_type.as_str())),
        (ReferenceKind::Image, "ami.id", config.ami.id.as_deref()),
        (ReferenceKind::Subnet, "subnet.id", config.subnet.id.as_deref()),
        (ReferenceKind::KeyPair, "keyName", config.key_name.as_deref()),
        (ReferenceKind::PlacementGroup, "placementGroupName", group),
        (
            ReferenceKind::Reservation,
            "capacityReservationId",
            Some(config.capacity_reservation_id.as_str()),
        ),
        (ReferenceKind::Profile, "iamInstanceProfile.id", launch_spec::profile(config)),
    ];
    let single = single.into_iter().filter_map(|(sort, field, name)| {
        let name = name.filter(|name| given(name))?;
        Some(Reference { sort, name, path: within(field) })
    });
    let groups = config.security_groups.iter().enumerate().filter_map(|(index, group)| {
        let name = group.id.as_deref().filter(|name| given(name))?;
        let path = within(&format!("securityGroups[{index}].id"));
        Some(Reference { sort: ReferenceKind::SecurityGroup, name, path })
    });
    single.chain(groups).collect()
}

fn of_registrations<'a>(
    unit: &'a MachineGroup,
    is_made: &dyn Fn(&Address) -> bool,
) -> impl Iterator<Item = Reference<'a>> {
    let is_registered_anew =
        |balancer: &str| unit.names.iter().any(|machine| is_made(&registration(machine, balancer)));
    let balancers = unit.config.load_balancers.iter().enumerate();
    let mentions = balancers.filter_map(|(index, balancer)| {
        let sort = match balancer.kind.as_str() {
            "network" => ReferenceKind::NetworkBalancer,
            "classic" => ReferenceKind::ClassicBalancer,
            _ => return None, // told and left out
        };
        let path = within(&format!("loadBalancers[{index}].name"));
        is_registered_anew(&balancer.name).then_some(Reference { sort, name: &balancer.name, path })
    });
    mentions.collect::<Vec<_>>().into_iter()
}

fn within(field: &str) -> String {
    format!("providerSpec.value.{field}")
}

/// Lookup, and the names that it covers.
struct ReferenceLookup<'a> {
    sort: ReferenceKind,
    names: BTreeSet<&'a str>,
    lookup: Lookup,
}

impl ReferencedResources<'_> {
    /// Returns the lookups: one per resource type, except where a call accepts only one name.
    pub fn lookups(&self) -> Vec<Lookup> {
        self.asked().into_iter().map(|asked| asked.lookup).collect()
    }

    fn asked(&self) -> Vec<ReferenceLookup<'_>> {
        let mut names: BTreeMap<ReferenceKind, BTreeSet<&str>> = BTreeMap::new();
        for mention in self.units.iter().flat_map(|(_, mentions)| mentions) {
            names.entry(mention.sort).or_default().insert(mention.name);
        }
        names.into_iter().flat_map(|(sort, names)| self.about(sort, names)).collect()
    }

    fn about<'a>(&self, sort: ReferenceKind, names: BTreeSet<&'a str>) -> Vec<ReferenceLookup<'a>> {
        let ask = |names| ReferenceLookup { sort, lookup: sort.lookup(self.region, &names), names };
        if matches!(sort, ReferenceKind::Image | ReferenceKind::Profile) {
            return names.into_iter().map(|name| ask(BTreeSet::from([name]))).collect();
        }
        vec![ask(names)]
    }

    /// Returns a finding for each reference to a resource that AWS does not have. Objects whose
    /// machines are all in `others` are skipped, because groundplan does not launch them.
    pub fn absent(
        &self,
        answers: &BTreeMap<String, Value>,
        others: &InstancesNamed,
        files: &[ManifestFile],
    ) -> Findings {
        let asked = self.asked();
        let mut findings = Findings::new();
        findings.resize_with(files.len(), Vec::new);
        for (unit, mentions) in &self.units {
            if unit.names.iter().all(|name| others.contains_key(name)) {
                continue;
            }
            let flaws = mentions.iter().filter_map(|mention| {
                let is_about = |one: &&ReferenceLookup| {
                    one.sort == mention.sort && one.names.contains(mention.name)
                };
                let lookup = &asked.iter().find(is_about)?.lookup;
                self.flaw(mention, lookup, answers.get(&lookup.key())?)
            });
            let flaws = flaws
                .chain(partition_flaw(self.region, &unit.config, answers))
                .chain(zone_flaw(unit, mentions, &asked, answers));
            let found = flaws.map(|flaw| unit.origin.finding_in_spec(files, flaw));
            findings[unit.origin.file].extend(found);
        }
        findings
    }

    fn flaw(
        &self,
        mention: &Reference<'_>,
        lookup: &Lookup,
        answer: &Value,
    ) -> Option<ObjectFinding> {
        let there = there(lookup, answer)?;
        if there.iter().any(|name| name == mention.name) {
            return None;
        }
        let place = match mention.sort {
            ReferenceKind::Profile => "this account".to_owned(),
            ReferenceKind::Image => format!("{}, or not shared with this account", self.region),
            _ => self.region.to_owned(),
        };
        let message = format!("{} `{}` not found in {place}", mention.sort.noun(), mention.name);
        let candidates: Vec<&str> = there.iter().map(String::as_str).collect();
        let flaw = ObjectFinding::new(Rule::MachineLaunch, mention.path.clone(), message);
        Some(match did_you_mean(mention.name, &candidates) {
            Some(meant) => flaw.hint(meant),
            None => flaw,
        })
    }
}

impl ReferenceKind {
    fn noun(self) -> &'static str {
        match self {
            Self::InstanceType => "type of instance",
            Self::Image => "image",
            Self::Subnet => "subnet",
            Self::SecurityGroup => "security group",
            Self::KeyPair => "key pair",
            Self::PlacementGroup => "placement group",
            Self::Reservation => "capacity reservation",
            Self::Profile => "instance profile",
            Self::NetworkBalancer => "network load balancer",
            Self::ClassicBalancer => "classic load balancer",
        }
    }

    fn lookup(self, region: &str, names: &BTreeSet<&str>) -> Lookup {
        let region = region.to_owned();
        let owned = || names.iter().map(|name| (*name).to_owned()).collect();
        let first = || *names.first().expect("BUG: a mention has a machine");
        match self {
            Self::InstanceType => Lookup::InstanceTypes { region, types: owned() },
            Self::Image => Lookup::Image { region, id: first().into() },
            Self::Subnet => {
                let by_id = FilterBy { name: "subnet-id".to_owned(), values: owned() };
                Lookup::SubnetsBy { region, filters: vec![by_id] }
            }
            Self::SecurityGroup => {
                let ids = names.iter().map(|id| (*id).into()).collect();
                Lookup::SecurityGroups { region, ids }
            }
            Self::KeyPair => Lookup::KeyPairs { region },
            Self::PlacementGroup => Lookup::PlacementGroups { region },
            Self::Reservation => Lookup::CapacityReservations { region },
            Self::Profile => Lookup::InstanceProfile { name: first().into() },
            Self::NetworkBalancer => Lookup::LoadBalancers { region, names: owned() },
            Self::ClassicBalancer => Lookup::ClassicLoadBalancers { region, names: owned() },
        }
    }
}

/// Returns the names that AWS has, either all or those of the lookup. `None` means an unreadable
/// result.
fn there(lookup: &Lookup, answer: &Value) -> Option<Vec<String>> {
    let whether =
        |is_there: bool, name: &str| is_there.then(|| name.to_owned()).into_iter().collect();
    let keys = || Some(answer.as_object()?.keys().cloned().collect());
    match lookup {
        Lookup::Image { id, .. } => Some(whether(!answer.is_null(), id.as_str())),
        Lookup::InstanceProfile { name } => Some(whether(answer.as_bool()?, name.as_str())),
        Lookup::SubnetsBy { .. } => {
            let found = Vec::<SubnetCandidate>::deserialize(answer).ok()?;
            Some(found.into_iter().map(|subnet| subnet.id.as_str().to_owned()).collect())
        }
        Lookup::InstanceTypes { .. }
        | Lookup::SecurityGroups { .. }
        | Lookup::PlacementGroups { .. } => keys(),
        _ => Vec::deserialize(answer).ok(),
    }
}

/// Checks that a subnet with an ID is in the zone that the machine names. The subnet decides the
/// zone, so that the machine would be in another zone than requested.
fn zone_flaw(
    unit: &MachineGroup,
    mentions: &[Reference<'_>],
    asked: &[ReferenceLookup<'_>],
    answers: &BTreeMap<String, Value>,
) -> Option<ObjectFinding> {
    let mention = mentions.iter().find(|mention| mention.sort == ReferenceKind::Subnet)?;
    let lookup = &asked.iter().find(|one| one.sort == ReferenceKind::Subnet)?.lookup;
    let found = Vec::<SubnetCandidate>::deserialize(answers.get(&lookup.key())?).ok()?;
    let subnet = found.into_iter().find(|subnet| subnet.id.as_str() == mention.name)?;
    let zone = unit.config.placement.availability_zone.as_str();
    if zone.is_empty() || subnet.zone.is_empty() || zone == subnet.zone {
        return None;
    }
    let message = format!("is `{zone}`, but the subnet {} is in `{}`", subnet.id, subnet.zone);
    let path = within("placement.availabilityZone");
    let flaw = ObjectFinding::new(Rule::MachineLaunch, path, message);
    let flaw = flaw.expected(format!("`{}`, or a subnet in `{zone}`", subnet.zone));
    Some(flaw.hint("correct the zone or the subnet; EC2 places the machine by its subnet"))
}

/// Checks the partition against an existing placement group.
fn partition_flaw(
    region: &str,
    config: &AwsMachineProviderConfig,
    answers: &BTreeMap<String, Value>,
) -> Option<ObjectFinding> {
    let partition = config.placement_group_partition?;
    let lookup = Lookup::PlacementGroups { region: region.to_owned() };
    let groups = PlacementGroups::deserialize(answers.get(&lookup.key())?).ok()?;
    let name = &config.placement_group_name;
    let PlacementGroupFact { strategy, partitions } = groups.get(name)?;
    let message = match partitions {
        Some(most) if partition <= *most => return None,
        Some(most) => format!("is {partition}, but the placement group `{name}` has {most}"),
        None => format!(
            "is {partition}, but the placement group `{name}` with the strategy `{strategy}` has \
             no partitions"
        ),
    };
    Some(ObjectFinding::new(Rule::MachineLaunch, within("placementGroupPartition"), message))
}
