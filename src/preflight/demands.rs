//! API actions and quota amounts that a plan requires.

use std::collections::{BTreeMap, BTreeSet};

use groundplan_aws::facts::{KindFacts, QuotaCount};
use groundplan_aws::kinds::iam_role::IamRole;
use groundplan_aws::kinds::instance::Instance;
use groundplan_aws::kinds::internet_gateway::InternetGateway;
use groundplan_aws::kinds::load_balancer::LoadBalancer;
use groundplan_aws::kinds::swept::UntrackedResource;
use groundplan_aws::model::calls::tags_only;
use groundplan_aws::model::ids::PolicyArn;
use groundplan_aws::model::metadata_options::{HttpTokens, MetadataOptions, metadata_options};
use groundplan_aws::model::quota::Quota;
use groundplan_aws::preflight::dry_run::{DryRunTarget, placeholder};
use groundplan_aws::registry::{KINDS, facts};
use groundplan_engine::graph::{Address, Graph, Ref, Resource, as_ref, resolve};
use groundplan_engine::plan::{Action, Op, Plan, UnmanagedDrift};
use groundplan_engine::state::State;
use groundplan_openshift::topology::{Workers, is_control_plane};
use serde::Deserialize;
use serde_json::{Value, json};

/// Inputs of the preflight.
#[derive(Clone, Copy, Debug)]
pub struct PreflightInputs<'a> {
    /// Plan to check.
    pub plan: &'a Plan,
    /// Graph of the desired state.
    pub graph: &'a Graph,
    /// Recorded state.
    pub state: &'a State,
}

/// Step of the plan with the API actions that it takes.
struct PlannedStep<'a> {
    address: &'a Address,
    facts: &'static KindFacts,
    actions: Vec<&'static str>,
    /// Inputs with unresolved references, as they are in the plan.
    inputs: &'a Value,
}

/// Returns the API actions of the plan, each with its resources: ARNs where an IAM policy can name
/// them, otherwise `*`.
pub fn permissions(
    site: &PreflightInputs,
    account: &str,
    partition: &str,
) -> BTreeMap<String, BTreeSet<String>> {
    let mut permissions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for planned in site.planned() {
        let resolved = site.resolved(planned.inputs);
        for action in planned.actions {
            let arn = planned.facts.arn.of(action, &resolved, account, partition);
            permissions.entry(action.to_owned()).or_default().insert(arn);
        }
    }
    permissions
}

/// Returns the permissions boundary of the planned roles. `None` without one, or if they have
/// different ones.
pub fn boundary(site: &PreflightInputs) -> Option<PolicyArn> {
    let is_role = |planned: &&PlannedStep| planned.address.kind() == IamRole::SCHEMA.kind;
    let steps = site.planned();
    let all: BTreeSet<Option<&str>> = steps
        .iter()
        .filter(is_role)
        .map(|planned| planned.inputs["permissions_boundary"].as_str())
        .collect();
    match all.into_iter().collect::<Vec<_>>()[..] {
        [Some(one)] => Some(one.into()),
        _ => None,
    }
}
/// Removes the permissions for a hosted zone of another account, which the role for the zone has. No
/// policy of the caller decides about them. Tags of hosted zones have no ARN; only this zone has tags,
/// because a cluster with an existing zone makes none.
pub fn leave_to_role(permissions: &mut BTreeMap<String, BTreeSet<String>>, zone: &str) {
    let is_of_zone = |arn: &String| arn == "*" || arn.ends_with(&format!(":hostedzone/{zone}"));
    for (action, arns) in permissions.iter_mut() {
        if action.starts_with("route53:") {
            arns.retain(|arn| !is_of_zone(arn));
        }
    }
    permissions.retain(|_, arns| !arns.is_empty());
}

/// Returns one dry run per action, with the inputs of the first resource that needs the action.
pub fn rehearsals(site: &PreflightInputs) -> BTreeMap<&'static str, DryRunTarget> {
    let mut rehearsals = BTreeMap::new();
    for planned in site.planned() {
        let creates = !site.state.resources.contains_key(planned.address);
        for action in &planned.actions {
            // The creating call carries the tags, so a dry run of the tag call has no resource yet.
            let is_creating_call = planned.facts.actions.create.contains(action);
            let with_it = creates && tags_only(action) && !is_creating_call;
            if planned.facts.dry_runs(action) && !with_it {
                rehearsals.entry(*action).or_insert_with(|| site.subject(&planned));
            }
        }
    }
    rehearsals
}

impl<'a> PreflightInputs<'a> {
    fn planned(&self) -> Vec<PlannedStep<'a>> {
        let nothing = &Value::Null;
        let steps = self.plan.steps.iter().filter_map(|step| {
            let address = step.op.address();
            let facts = facts(address.kind())?;
            let of = &facts.actions;
            let recorded = || self.recorded(address);
            let (actions, inputs) = match &step.op {
                Op::Create { inputs, .. } => (of.creation(), inputs),
                Op::Finish { .. } => (of.creation(), recorded().unwrap_or(nothing)),
                Op::Update { before, inputs, revert, .. } => {
                    (changing(facts, before, inputs, revert), inputs)
                }
                Op::Delete { .. } => {
                    let inputs = recorded().unwrap_or(nothing);
                    (deleting(of.delete, address, inputs), inputs)
                }
            };
            Some(PlannedStep { address, facts, actions, inputs })
        });
        steps.collect()
    }

    fn recorded(&self, address: &Address) -> Option<&'a Value> {
        let deposed = self.state.deposed.get(address).and_then(|records| records.first());
        self.state.resources.get(address).or(deposed).map(|record| &record.inputs)
    }

    fn subject(&self, planned: &PlannedStep) -> DryRunTarget {
        let address = planned.address;
        let known = self.state.resources.get(address);
        let id = known.and_then(|record| {
            let outputs = &record.outputs;
            outputs.get("id").or_else(|| outputs.get("allocation"))?.as_str().map(str::to_owned)
        });
        DryRunTarget {
            address: address.to_string(),
            inputs: self.resolved(planned.inputs),
            id: id.or_else(|| placeholder(address.kind())).unwrap_or_default(),
        }
    }

    /// Replaces references in the inputs with recorded outputs, planned names, or placeholder IDs.
    fn resolved(&self, inputs: &Value) -> Value {
        resolve(inputs, &|reference| self.value_of(reference))
    }

    fn value_of(&self, Ref { address, output }: &Ref) -> Option<Value> {
        let recorded = self.state.resources.get(address).and_then(|one| one.outputs.get(output));
        let planned = || self.graph.get(address).and_then(|node| node.inputs.get(output));
        let known = recorded.or_else(planned).filter(|value| as_ref(value).is_none());
        known.cloned().or_else(|| placeholder(address.kind()).map(|id| json!(id)))
    }
}

/// Returns the actions that delete a resource. For an untracked resource they depend on its type.
fn deleting(all: &[&'static str], address: &Address, inputs: &Value) -> Vec<&'static str> {
    let found = || UntrackedResource::deserialize(inputs).ok();
    match address.kind() == UntrackedResource::SCHEMA.kind {
        true => found().map_or_else(Vec::new, |one| one.what.actions().to_vec()),
        false => all.to_vec(),
    }
}

/// Returns the actions of this in-place update. A missing value among the inputs is no opinion and
/// changes nothing, unless the schema makes the absence a request.
fn changing(
    facts: &KindFacts,
    before: &Value,
    inputs: &Value,
    revert: &[UnmanagedDrift],
) -> Vec<&'static str> {
    let has = |values: &Value, name: &str| values.get(name).is_some_and(|value| !value.is_null());
    let is_request = |name: &str| facts.schema.absent.iter().any(|absent| absent.path == name);
    let is_withdrawn = |name: &str| is_request(name) && has(before, name) && !has(inputs, name);
    let differs = |name: &str| {
        let is_reverted = revert.iter().any(|drift| drift.field.input() == name);
        let is_changed = has(inputs, name) && before.get(name) != inputs.get(name);
        is_reverted || is_changed || is_withdrawn(name)
    };
    let all = [before, inputs].map(|one| one.as_object().into_iter().flat_map(|all| all.keys()));
    let names: BTreeSet<&String> = all.into_iter().flatten().collect();
    let is_tags = |name: &str| name.contains("tags");
    let tags = names.iter().any(|name| is_tags(name) && differs(name));
    let rest = names.iter().any(|name| !is_tags(name) && differs(name));
    let deletes = |action: &str| action.contains(":Delete");
    let taken = |action: &&&str| {
        let only = facts.updates_of.iter().find(|(_, actions)| actions.contains(action));
        match only {
            // An input whose absence is a request has an action that deletes the value.
            Some((of, actions)) => of.iter().any(|name| {
                let deletion = is_request(name) && actions.iter().any(|one| deletes(one));
                differs(name) && (!deletion || is_withdrawn(name) == deletes(action))
            }),
            None if tags_only(action) => tags,
            None => rest,
        }
    };
    facts.actions.update.iter().filter(taken).copied().collect()
}

/// Amount of a quota that a plan requires, per zone if AWS counts the quota by zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaRequirement {
    /// Quota.
    pub quota: Quota,
    /// Zone. Empty if the quota counts for the whole region.
    pub zone: String,
    /// Additional amount.
    pub amount: u64,
    /// Reason for the amount, for messages.
    pub what_for: String,
}

/// Returns the instance types of all machines that count towards a vCPU quota.
pub fn instance_types(site: &PreflightInputs, workers: &[Workers]) -> BTreeSet<String> {
    let launched = machines(site, workers).into_iter().map(|(name, _, _)| name);
    launched.chain(freed(site).into_iter().map(|(name, _)| name)).collect()
}

/// Returns the amount of each quota that the plan requires.
///
/// Types that are missing in `vcpus` and types without a known quota count as zero.
pub fn needs(
    site: &PreflightInputs,
    workers: &[Workers],
    vcpus: &BTreeMap<String, u32>,
) -> Vec<QuotaRequirement> {
    let mut needs = vcpu_needs(&machines(site, workers), &freed(site), vcpus);
    let (mut regions, mut zones) = (BTreeMap::new(), BTreeMap::new());
    for facts in KINDS {
        match facts.quota {
            Some(QuotaCount::PerRegion(quota)) => {
                *regions.entry(quota).or_default() += site.added(facts.name()).count() as u64;
            }
            Some(QuotaCount::PerZone(quota)) => {
                for address in site.added(facts.name()) {
                    *zones.entry((quota, site.zone_of(address))).or_default() += 1;
                }
            }
            Some(QuotaCount::Vcpus) | None => {}
        }
    }
    needs.extend(regions.into_iter().map(|(quota, amount)| QuotaRequirement {
        quota,
        zone: String::new(),
        amount,
        what_for: "the plan creates them".to_owned(),
    }));
    needs.extend(zones.into_iter().map(|((quota, zone), amount)| QuotaRequirement {
        quota,
        what_for: format!("the plan creates them in {zone}"),
        zone,
        amount,
    }));
    needs.retain(|need| need.amount > 0);
    needs
}

impl<'a> PreflightInputs<'a> {
    /// Returns the resources that the plan adds, including those of a create before destroy.
    ///
    /// A destroy before create adds none, because the deletion frees the quota first. A creation
    /// that an earlier run started is already counted as in use.
    fn added(&self, kind: &'a str) -> impl Iterator<Item = &'a Address> {
        let changes = self.plan.changes.iter();
        let added = changes.filter(move |change| {
            let more = matches!(change.action, Action::Create | Action::CreateThenDelete);
            more && change.address.kind() == kind
        });
        added.map(|change| &change.address)
    }

    /// Returns the resources that the plan replaces with destroy before create.
    fn renewed(&self, kind: &'a str) -> impl Iterator<Item = &'a Address> {
        let changes = self.plan.changes.iter();
        let renewed = changes.filter(move |change| {
            change.action == Action::DeleteThenCreate && change.address.kind() == kind
        });
        renewed.map(|change| &change.address)
    }

    fn inputs(&self, address: &Address) -> Option<&'a Value> {
        self.graph.get(address).map(|node| &node.inputs)
    }

    /// Returns the zone of the subnet of a resource; empty if unknown.
    fn zone_of(&self, address: &Address) -> String {
        let subnet = self.inputs(address).and_then(|inputs| as_ref(&inputs["subnet"]));
        let inputs = subnet.and_then(|subnet| self.inputs(&subnet.address));
        inputs.and_then(|inputs| inputs["zone"].as_str()).unwrap_or_default().to_owned()
    }
}

/// Returns the kinds that quotas of EC2 count as running instances.
pub(super) fn machine_kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().filter(|facts| facts.quota == Some(QuotaCount::Vcpus)).map(KindFacts::name)
}

/// Returns the machines that the plan launches: instance type, role, number.
///
/// The workers count if the plan launches all masters, because a new cluster creates them within
/// the hour. A destroy before create counts here, and [`freed`] subtracts its old machine.
fn machines(site: &PreflightInputs, workers: &[Workers]) -> Vec<(String, &'static str, u64)> {
    let launched: Vec<&Address> = machine_kinds().flat_map(|kind| site.added(kind)).collect();
    let begins = begins(site);
    let renewed = machine_kinds().flat_map(|kind| site.renewed(kind));
    let of_plan = launched.into_iter().chain(renewed).filter_map(|address| {
        let instance_type = site.inputs(address)?["instance_type"].as_str()?.to_owned();
        Some((instance_type, role(address), 1))
    });
    let workers = workers.iter().filter(|_| begins);
    let workers = workers.map(|one| (one.instance_type.clone(), "workers", one.replicas.into()));
    of_plan.chain(workers).collect()
}

/// Returns the types of the machines that are deleted before their replacements are created.
fn freed(site: &PreflightInputs) -> Vec<(String, &'static str)> {
    let renewed = machine_kinds().flat_map(|kind| site.renewed(kind));
    let renewed = renewed.filter_map(|address| {
        let instance_type = site.recorded(address)?["instance_type"].as_str()?.to_owned();
        Some((instance_type, role(address)))
    });
    renewed.collect()
}

/// Machines that a plan launches, or whose options it changes, for the settings of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Address of the machine, or the machine pool that the cluster launches.
    pub subject: String,
    /// Image; `None` if it is a copy that the plan creates.
    pub image: Option<String>,
    /// Options of the request.
    pub request: MetadataOptions,
    /// True for a change in place, which sends only what changes.
    pub is_change: bool,
}

impl Launch {
    /// Returns true if a setting of the account can reject it. Tokens that become required never are.
    pub fn depends_on_account(&self) -> bool {
        !self.is_change || self.request.http_tokens == Some(HttpTokens::Optional)
    }

    /// Returns true if the image has a say in the tokens.
    pub fn depends_on_image(&self) -> bool {
        !self.is_change && self.request.http_tokens.is_none()
    }
}

/// Returns the launches of the plan, and the changes of metadata options in place.
pub fn launches(site: &PreflightInputs, workers: &[Workers]) -> Vec<Launch> {
    let kinds: Vec<&str> = machine_kinds().collect();
    let text = |inputs: &Value| inputs["image"].as_str().map(str::to_owned);
    let options = |inputs: &Value| {
        MetadataOptions::deserialize(&inputs["metadata_options"]).unwrap_or_default()
    };
    let of_step = |op: &Op| {
        let subject = op.address().to_string();
        let (inputs, is_change) = match op {
            Op::Create { inputs, .. } => (inputs, false),
            Op::Update { inputs, before, .. } => {
                let is_changed = before["metadata_options"] != inputs["metadata_options"];
                (inputs, is_changed.then_some(true)?)
            }
            Op::Finish { .. } | Op::Delete { .. } => return None,
        };
        let (image, request) = (text(inputs), options(inputs));
        Some(Launch { subject, image, request, is_change })
    };
    let steps = site.plan.steps.iter().map(|step| &step.op);
    let steps = steps.filter(|op| kinds.contains(&op.address().kind()));
    let mut launches: Vec<Launch> = steps.filter_map(of_step).collect();
    if begins(site) {
        let image = launches.iter().find_map(|launch| launch.image.clone());
        // An edge pool has an entry for each type.
        let mut named = BTreeSet::new();
        let pools = workers.iter().filter(|one| one.replicas > 0 && named.insert(&one.pool));
        launches.extend(pools.map(|pool| Launch {
            subject: format!("workers of the pool `{}`", pool.pool),
            image: image.clone(),
            request: metadata_options(pool.metadata_service),
            is_change: false,
        }));
    }
    launches
}

/// Returns true if the plan launches all masters: the workers follow within the hour.
fn begins(site: &PreflightInputs) -> bool {
    let is_master = |one: &&Address| one.kind() == Instance::SCHEMA.kind && is_control_plane(one);
    let wanted = site.graph.nodes().iter().map(|node| &node.address).filter(is_master).count();
    wanted > 0 && site.added(Instance::SCHEMA.kind).filter(is_master).count() == wanted
}

/// Internet access of the network that a plan creates or uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InternetAccess {
    /// True if the plan creates the internet gateway. Otherwise the network exists already.
    pub is_own: bool,
    /// True if a load balancer of the cluster accepts connections from the internet.
    pub is_published: bool,
}

/// Returns the internet access of the machines that the plan launches; `None` if it launches none.
pub fn internet_access(site: &PreflightInputs) -> Option<InternetAccess> {
    machine_kinds().any(|kind| site.added(kind).next().is_some()).then(|| InternetAccess {
        is_own: site.added(InternetGateway::SCHEMA.kind).next().is_some(),
        is_published: site.graph.nodes().iter().any(|node| {
            node.address.kind() == LoadBalancer::SCHEMA.kind
                && node.inputs["internal"] == json!(false)
        }),
    })
}

fn role(address: &Address) -> &'static str {
    match address.kind() {
        "machine" => "machines",
        _ if is_control_plane(address) => "masters",
        _ => "bootstrap",
    }
}

fn vcpu_needs(
    machines: &[(String, &'static str, u64)],
    freed: &[(String, &'static str)],
    vcpus: &BTreeMap<String, u32>,
) -> Vec<QuotaRequirement> {
    let size = |instance_type: &String| {
        let size = vcpus.get(instance_type).copied().map(u64::from);
        Quota::of_type(instance_type).zip(size)
    };
    let mut by_quota: BTreeMap<Quota, BTreeMap<&str, u64>> = BTreeMap::new();
    for (instance_type, what, count) in machines {
        if let Some((quota, size)) = size(instance_type) {
            *by_quota.entry(quota).or_default().entry(what).or_default() += size * count;
        }
    }
    for (instance_type, what) in freed {
        let Some((quota, size)) = size(instance_type) else { continue };
        if let Some(taken) = by_quota.get_mut(&quota).and_then(|parts| parts.get_mut(what)) {
            *taken = taken.saturating_sub(size);
        }
    }
    let need = |(quota, parts): (Quota, BTreeMap<&str, u64>)| {
        let amount = parts.values().sum();
        let parts = parts.into_iter().filter(|(_, vcpus)| *vcpus > 0);
        let parts: Vec<String> = parts.map(|(what, vcpus)| format!("{what} {vcpus}")).collect();
        QuotaRequirement { quota, zone: String::new(), amount, what_for: parts.join(", ") }
    };
    by_quota.into_iter().map(need).collect()
}
