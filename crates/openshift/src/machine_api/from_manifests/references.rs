//! Resources that manifests reference and that groundplan does not create: a check that AWS has
//! them, before the first launch, with many names per lookup.
//!
//! AWS rejects a launch that references a missing resource, possibly after other launches have
//! succeeded. A missing lookup result never stops a plan.

use std::collections::{BTreeMap, BTreeSet};

use groundplan_aws::kinds::machine::Machine;
use groundplan_aws::lookups::lookup::{
    FilterBy, InstancesNamed, PlacementGroupFact, PlacementGroups, Question, SubnetCandidate,
};
use groundplan_engine::graph::{Address, Graph, Resource, as_ref};
use groundplan_engine::plan::diff::diff;
use groundplan_engine::provider::Schemas;
use groundplan_engine::state::State;
use serde::Deserialize;
use serde_json::Value;

use super::members::Unit;
use super::{File, Findings, Fleet, registration};
use crate::diagnostics::{Rule, did_you_mean};
use crate::machine_api::launch_spec;
use crate::machine_api::types::AwsMachineProviderConfig;
use crate::machine_api::validation::Flaw;

/// Returns true if applying `graph` creates this resource: no record exists, or a force-new input
/// differs. Replacements because of drift or `--replace` are unknown here.
pub fn is_made(graph: &Graph, state: &State, schemas: &dyn Schemas, address: &Address) -> bool {
    let Some(node) = graph.get(address) else { return false };
    let Some(record) = state.resources.get(address) else { return true };
    let replaced_by = schemas.schema(address.kind()).map_or(&[][..], |schema| schema.replaced_by);
    let differs = diff(Some(&record.inputs), Some(&node.inputs));
    differs.iter().any(|field| {
        let is_known = field.after.as_ref().is_none_or(|after| as_ref(after).is_none());
        is_known && replaced_by.contains(&field.input())
    })
}

/// Types of resources that machines reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
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
struct Mention<'a> {
    sort: Sort,
    name: &'a str,
    /// Path of the field in the machine spec.
    path: String,
}

/// Resources that the machines to be created reference.
#[derive(Debug)]
pub struct Named<'a> {
    region: &'a str,
    units: Vec<(&'a Unit, Vec<Mention<'a>>)>,
}

impl Fleet {
    /// Returns the references of the machines, and of the registrations, that `is_made` selects.
    pub fn named(&self, is_made: &dyn Fn(&Address) -> bool) -> Named<'_> {
        let named = |unit| Some((unit, mentions(unit, is_made))).filter(|(_, all)| !all.is_empty());
        Named { region: &self.region, units: self.units.iter().filter_map(named).collect() }
    }
}

fn mentions<'a>(unit: &'a Unit, is_made: &dyn Fn(&Address) -> bool) -> Vec<Mention<'a>> {
    let is_launched = |name: &String| is_made(&Address::new(Machine::SCHEMA.kind, name));
    let mut all = Vec::new();
    if unit.names.iter().any(is_launched) {
        all.extend(of_launches(&unit.config));
    }
    all.extend(of_registrations(unit, is_made));
    all
}

fn of_launches(config: &AwsMachineProviderConfig) -> Vec<Mention<'_>> {
    let given = |name: &'_ str| !name.is_empty();
    // A host replaces a placement group.
    let group =
        Some(config.placement_group_name.as_str()).filter(|_| config.placement.host.is_none());
    let single = [
        (Sort::InstanceType, "instanceType", Some(config.instance_type.as_str())),
        (Sort::Image, "ami.id", config.ami.id.as_deref()),
        (Sort::Subnet, "subnet.id", config.subnet.id.as_deref()),
        (Sort::KeyPair, "keyName", config.key_name.as_deref()),
        (Sort::PlacementGroup, "placementGroupName", group),
        (Sort::Reservation, "capacityReservationId", Some(config.capacity_reservation_id.as_str())),
        (Sort::Profile, "iamInstanceProfile.id", launch_spec::profile(config)),
    ];
    let single = single.into_iter().filter_map(|(sort, field, name)| {
        let name = name.filter(|name| given(name))?;
        Some(Mention { sort, name, path: within(field) })
    });
    let groups = config.security_groups.iter().enumerate().filter_map(|(index, group)| {
        let name = group.id.as_deref().filter(|name| given(name))?;
        let path = within(&format!("securityGroups[{index}].id"));
        Some(Mention { sort: Sort::SecurityGroup, name, path })
    });
    single.chain(groups).collect()
}

fn of_registrations<'a>(
    unit: &'a Unit,
    is_made: &dyn Fn(&Address) -> bool,
) -> impl Iterator<Item = Mention<'a>> {
    let is_registered_anew =
        |balancer: &str| unit.names.iter().any(|machine| is_made(&registration(machine, balancer)));
    let balancers = unit.config.load_balancers.iter().enumerate();
    let mentions = balancers.filter_map(|(index, balancer)| {
        let sort = match balancer.kind.as_str() {
            "network" => Sort::NetworkBalancer,
            "classic" => Sort::ClassicBalancer,
            _ => return None, // told and left out
        };
        let path = within(&format!("loadBalancers[{index}].name"));
        is_registered_anew(&balancer.name).then_some(Mention { sort, name: &balancer.name, path })
    });
    mentions.collect::<Vec<_>>().into_iter()
}

fn within(field: &str) -> String {
    format!("providerSpec.value.{field}")
}

/// Lookup, and the names that it covers.
struct Asked<'a> {
    sort: Sort,
    names: BTreeSet<&'a str>,
    question: Question,
}

impl Named<'_> {
    /// Returns the lookups: one per resource type, except where a call accepts only one name.
    pub fn questions(&self) -> Vec<Question> {
        self.asked().into_iter().map(|asked| asked.question).collect()
    }

    fn asked(&self) -> Vec<Asked<'_>> {
        let mut names: BTreeMap<Sort, BTreeSet<&str>> = BTreeMap::new();
        for mention in self.units.iter().flat_map(|(_, mentions)| mentions) {
            names.entry(mention.sort).or_default().insert(mention.name);
        }
        names.into_iter().flat_map(|(sort, names)| self.about(sort, names)).collect()
    }

    fn about<'a>(&self, sort: Sort, names: BTreeSet<&'a str>) -> Vec<Asked<'a>> {
        let ask = |names| Asked { sort, question: sort.question(self.region, &names), names };
        if matches!(sort, Sort::Image | Sort::Profile) {
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
        files: &[File],
    ) -> Findings {
        let asked = self.asked();
        let mut findings = Findings::new();
        findings.resize_with(files.len(), Vec::new);
        for (unit, mentions) in &self.units {
            if unit.names.iter().all(|name| others.contains_key(name)) {
                continue;
            }
            let flaws = mentions.iter().filter_map(|mention| {
                let is_about =
                    |one: &&Asked| one.sort == mention.sort && one.names.contains(mention.name);
                let question = &asked.iter().find(is_about)?.question;
                self.flaw(mention, question, answers.get(&question.key())?)
            });
            let flaws = flaws.chain(partition_flaw(self.region, &unit.config, answers));
            let found = flaws.map(|flaw| unit.origin.finding_in_spec(files, flaw));
            findings[unit.origin.file].extend(found);
        }
        findings
    }

    fn flaw(&self, mention: &Mention<'_>, question: &Question, answer: &Value) -> Option<Flaw> {
        let there = there(question, answer)?;
        if there.iter().any(|name| name == mention.name) {
            return None;
        }
        let whose = match mention.sort {
            Sort::Profile => "this account has".to_owned(),
            Sort::Image => format!("{} has for this account", self.region),
            _ => format!("{} has", self.region),
        };
        let message = format!("`{}` is no {} that {whose}", mention.name, mention.sort.noun());
        let candidates: Vec<&str> = there.iter().map(String::as_str).collect();
        let flaw = Flaw::new(Rule::MachineLaunch, mention.path.clone(), message);
        Some(match did_you_mean(mention.name, &candidates) {
            Some(meant) => flaw.hint(meant),
            None => flaw,
        })
    }
}

impl Sort {
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

    fn question(self, region: &str, names: &BTreeSet<&str>) -> Question {
        let region = region.to_owned();
        let owned = || names.iter().map(|name| (*name).to_owned()).collect();
        let first = || *names.first().expect("BUG: somebody names it");
        match self {
            Self::InstanceType => Question::InstanceTypes { region, types: owned() },
            Self::Image => Question::Image { region, id: first().into() },
            Self::Subnet => {
                let by_id = FilterBy { name: "subnet-id".to_owned(), values: owned() };
                Question::SubnetsBy { region, filters: vec![by_id] }
            }
            Self::SecurityGroup => {
                let ids = names.iter().map(|id| (*id).into()).collect();
                Question::SecurityGroups { region, ids }
            }
            Self::KeyPair => Question::KeyPairs { region },
            Self::PlacementGroup => Question::PlacementGroups { region },
            Self::Reservation => Question::CapacityReservations { region },
            Self::Profile => Question::InstanceProfile { name: first().into() },
            Self::NetworkBalancer => Question::LoadBalancers { region, names: owned() },
            Self::ClassicBalancer => Question::ClassicLoadBalancers { region, names: owned() },
        }
    }
}

/// Returns the names that AWS has, either all or those of the lookup. `None` means an unreadable
/// result.
fn there(question: &Question, answer: &Value) -> Option<Vec<String>> {
    let whether =
        |is_there: bool, name: &str| is_there.then(|| name.to_owned()).into_iter().collect();
    let keys = || Some(answer.as_object()?.keys().cloned().collect());
    match question {
        Question::Image { id, .. } => Some(whether(!answer.is_null(), id.as_str())),
        Question::InstanceProfile { name } => Some(whether(answer.as_bool()?, name.as_str())),
        Question::SubnetsBy { .. } => {
            let found = Vec::<SubnetCandidate>::deserialize(answer).ok()?;
            Some(found.into_iter().map(|subnet| subnet.id.as_str().to_owned()).collect())
        }
        Question::InstanceTypes { .. }
        | Question::SecurityGroups { .. }
        | Question::PlacementGroups { .. } => keys(),
        _ => Vec::deserialize(answer).ok(),
    }
}

/// Checks the partition against an existing placement group.
fn partition_flaw(
    region: &str,
    config: &AwsMachineProviderConfig,
    answers: &BTreeMap<String, Value>,
) -> Option<Flaw> {
    let partition = config.placement_group_partition?;
    let question = Question::PlacementGroups { region: region.to_owned() };
    let groups = PlacementGroups::deserialize(answers.get(&question.key())?).ok()?;
    let name = &config.placement_group_name;
    let PlacementGroupFact { strategy, partitions } = groups.get(name)?;
    let message = match partitions {
        Some(most) if partition <= *most => return None,
        Some(most) => format!("is {partition}, and the placement group `{name}` has {most}"),
        None => format!(
            "is {partition}, and the placement group `{name}` is a `{strategy}` one: it has none"
        ),
    };
    Some(Flaw::new(Rule::MachineLaunch, within("placementGroupPartition"), message))
}
