//! The facts about a kind of resource, stated once in the kind's own file. Free of the SDK.
//!
//! A kind implements [`Kind`]. None of its constants has a default, so a fact that a kind leaves out is
//! a compile error. The [registry](super::registry) collects the facts of all kinds; the planner, the
//! preflight checks, the interceptor and the sweep read them there. Knows no kind by name.

use groundplan_engine::graph::{Identity, Resource, Schema};
use groundplan_engine::plan::DriftClass;
pub use groundplan_engine::plan::billing::BilledAmount;
use groundplan_engine::plan::values::as_inputs;
pub use groundplan_engine::plan::values::{Subject, Summary, Surroundings};
use serde_json::Value;

use crate::model::CLUSTER_TAG_PREFIX;
use crate::model::calls::is_read;
#[cfg(any(feature = "sdk", test))]
use crate::model::calls::permission;
use crate::model::quota::Quota;
use crate::model::untracked::UntrackedKind;
use crate::model::volume::PlannedVolume;

/// Proof that a kind has a line in the registry.
#[diagnostic::on_unimplemented(
    message = "the kind `{Self}` is not in the registry",
    label = "no line in the registry",
    note = "add `module::{Self},` to the list in crates/aws/src/registry.rs"
)]
pub trait Registered {}

/// A kind of AWS resource, with all facts that other modules need about the kind.
pub trait Kind: Resource + Registered {
    /// The IAM actions of the kind's calls.
    const ACTIONS: Actions;
    /// The effect of a repeated creating call. [`Schema::identity`] follows from it.
    const REPEAT: Repeat;
    /// Inputs, and attributes of [`UNMANAGED`](Self::UNMANAGED), with the actions of
    /// [`Actions::update`] that only a change of these needs. An action that is not listed is needed
    /// by every update.
    const UPDATES_OF: &'static [(&'static [&'static str], &'static [&'static str])] = &[];
    /// Input that names the resource of which this one is a part, and the kind of that resource. The
    /// output of the same name, if there is one, names it too. `None` for a resource that is no part
    /// of another recorded one.
    const PART_OF: Option<PartOf> = None;
    /// The attributes in which refresh reports unmanaged drift: names outside the inputs, or sets
    /// among the inputs to which others can add members.
    const UNMANAGED: &'static [&'static str] = &[];
    /// The mutating EC2 actions that are never sent with `DryRun`. EC2 does not support a dry run
    /// for them, or the call needs an ID that only AWS has. The kind's other mutating EC2 actions
    /// are sent with `DryRun` by the preflight checks.
    const WITHOUT_DRY_RUN: &'static [&'static str];
    /// The part of the kind's IDs before the dash (`vpc`). `None` for kinds whose IDs are names or
    /// ARNs.
    const ID_PREFIX: Option<&'static str>;
    /// The quota that each resource of the kind counts against. `None` if there is none.
    const QUOTA: Option<QuotaCount>;
    /// The form of the kind's ARN in a policy.
    const ARN: ArnForm;
    /// The drift class of each input.
    const DRIFT: DriftFields;
    /// The way in which a destroy without a state finds the kind's resources.
    const UNTRACKED: SweepMethod;
    /// The heading under which a plan shows the kind.
    const SUBJECT: PlanSubject;
    /// Returns the values that matter to the reader of a plan. `around` has the inputs of the other
    /// resources after the plan.
    fn summary(&self, around: &Surroundings<'_>) -> Summary;
    /// Returns the items that AWS bills for a resource with these inputs by amount and time. Empty for
    /// a kind that is free, or is billed by usage only. [`crate::model::billed`] has the items.
    fn billed(&self) -> Vec<BilledAmount>;
    /// Returns the volumes that a machine with these inputs has. `None` for a kind without volumes.
    fn volumes(&self) -> Option<Vec<PlannedVolume>> {
        None
    }
}

/// The reads that only compare what others added. Without the permission, refresh notes that it did
/// not compare.
const ONLY_COMPARED: &[&str] = &["iam:ListAttachedRolePolicies", "iam:ListRolePolicies"];

/// The IAM actions of a kind, by operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions {
    /// The creating call. [`Kind::REPEAT`] applies to these actions only.
    pub create: &'static [&'static str],
    /// The other actions of a creation: tags, settings, and permissions without a call. Safe to
    /// repeat.
    pub configure: &'static [&'static str],
    /// The reads that refresh resources, wait for them, and find them after a creation in doubt.
    pub refresh: &'static [&'static str],
    /// The actions of all updates in place. Safe to repeat.
    pub update: &'static [&'static str],
    /// The actions of a deletion, including its reads. Safe to repeat.
    pub delete: &'static [&'static str],
}

impl Actions {
    /// Returns the actions of a creation, reads included. Reads that only compare what others added
    /// are left out: without them, refresh compares less.
    pub fn creation(&self) -> Vec<&'static str> {
        let mut actions = [self.create, self.configure, self.refresh].concat();
        actions.retain(|action| !ONLY_COMPARED.contains(action));
        actions
    }

    /// Returns all actions. An action of two operations appears twice.
    pub fn all(&self) -> impl Iterator<Item = &'static str> {
        let lists = [self.create, self.configure, self.refresh, self.update, self.delete];
        lists.into_iter().flatten().copied()
    }
}

/// The effect of a creating request that is sent twice with the same content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// A second resource is created. Only the token in a tag finds the first one.
    Never,
    /// AWS rejects the second request, because only one resource can have the name or range. The
    /// executor searches for the first one before it repeats the request.
    Refused,
    /// Only one resource can have the name. After the second response the kind recognizes its own
    /// resource.
    Named,
    /// AWS takes the token and returns the resource that the first request created.
    WithToken,
    /// The request sets a part or a setting of another resource. Repeating it has no effect.
    Idempotent,
}

impl Repeat {
    /// Returns the way to find the result of a creation in doubt.
    pub const fn identity(self) -> Identity {
        match self {
            Repeat::Never => Identity::Tag,
            Repeat::Refused | Repeat::Named => Identity::Name,
            Repeat::WithToken => Identity::Token,
            Repeat::Idempotent => Identity::Parent,
        }
    }

    /// Returns true if the SDK may send the creating request again by itself.
    pub const fn by_sdk(self) -> bool {
        match self {
            Repeat::Never | Repeat::Refused => false,
            Repeat::Named | Repeat::WithToken | Repeat::Idempotent => true,
        }
    }
}

/// The quota of a kind, and the way to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaCount {
    /// Each resource counts once, in the whole region.
    PerRegion(Quota),
    /// Each resource counts once, in the availability zone of the subnet in its input `subnet`.
    PerZone(Quota),
    /// The virtual processors of the input `instance_type` count against the quota of the type's
    /// family.
    Vcpus,
}

/// The form of a kind's ARN in a policy, made from inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArnForm {
    /// `*`: AWS chooses the ID, or policies cannot name the resource.
    Any,
    /// An IAM entity of this type; the second field is the input with the name.
    Iam(&'static str, &'static str),
    /// A bucket; the field is the input with the name. Actions on objects apply to all objects in
    /// the bucket.
    Bucket(&'static str),
    /// An object; the fields are the inputs with the bucket name and the key.
    Object(&'static str, &'static str),
    /// For actions on records, the hosted zone in this input; `*` for other actions.
    RecordsOf(&'static str),
    /// The form that belongs to the untracked resource's type.
    Untracked,
}

impl ArnForm {
    /// Returns the ARN that a policy names for an action on a resource with these inputs. `*` if
    /// policies cannot name the resource.
    pub fn of(self, action: &str, inputs: &Value, account: &str, partition: &str) -> String {
        let text = |name: &str| inputs[name].as_str();
        let iam =
            |entity: &str, name: &str| format!("arn:{partition}:iam::{account}:{entity}/{name}");
        let bucket = |name: &str| match action.contains("Object") {
            true => format!("arn:{partition}:s3:::{name}/*"),
            false => format!("arn:{partition}:s3:::{name}"),
        };
        let arn = match self {
            // Putting a role into a profile passes the role to EC2.
            _ if action == "iam:PassRole" => text("role").map(|name| iam("role", name)),
            ArnForm::Any => None,
            ArnForm::Iam(entity, name) => text(name).map(|name| iam(entity, name)),
            ArnForm::Bucket(name) => text(name).map(bucket),
            ArnForm::Object(bucket, key) => text(bucket)
                .zip(text(key))
                .map(|(bucket, key)| format!("arn:{partition}:s3:::{bucket}/{key}")),
            ArnForm::RecordsOf(zone) => text(zone)
                .filter(|_| action.ends_with("ResourceRecordSets"))
                .map(|zone| format!("arn:{partition}:route53:::hostedzone/{zone}")),
            ArnForm::Untracked => text("what")
                .and_then(UntrackedKind::of)
                .zip(text("name"))
                .and_then(|(what, name)| match what {
                    UntrackedKind::Bucket => Some(bucket(name)),
                    UntrackedKind::User | UntrackedKind::Role | UntrackedKind::InstanceProfile => {
                        Some(iam(what.as_str(), name))
                    }
                    _ => None,
                }),
        };
        arn.unwrap_or_else(|| "*".to_owned())
    }
}

/// The drift classes of a kind's inputs. Inputs in neither list are functional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriftFields {
    /// Inputs that control access.
    pub security: SecurityFields,
    /// Inputs that are names and notes only. This list takes precedence over `security`.
    pub cosmetic: &'static [&'static str],
}

/// The inputs whose drift is of the class security.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityFields {
    /// All inputs that are not cosmetic: the kind itself grants access.
    Everything,
    /// Fields with these names, at any depth.
    Fields(&'static [&'static str]),
}

impl DriftFields {
    /// Returns the class of a difference at a path such as `network.subnet.groups[0]`.
    pub fn class(&self, path: &str) -> DriftClass {
        let mut fields = path.split(['.', '[', ']']);
        let is_security = match self.security {
            SecurityFields::Everything => true,
            SecurityFields::Fields(names) => fields.clone().any(|field| names.contains(&field)),
        };
        let is_cosmetic = fields.next().is_some_and(|input| self.cosmetic.contains(&input));
        if is_cosmetic && path.contains(CLUSTER_TAG_PREFIX) {
            DriftClass::Functional // a destroy finds resources by this tag
        } else if is_cosmetic {
            DriftClass::Cosmetic
        } else if is_security {
            DriftClass::Security
        } else {
            DriftClass::Functional
        }
    }
}

/// Heading of a plan, in the order in which a plan shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlanSubject {
    /// VPC, subnets, gateways and routes.
    Network,
    /// Load balancers, listeners and targets.
    LoadBalancing,
    /// Hosted zones and records.
    Dns,
    /// Security groups and their rules.
    SecurityGroups,
    /// Roles, policies and profiles.
    Iam,
    /// Buckets, objects and images.
    Storage,
    /// Instances, machines and their interfaces.
    Machines,
    /// Tags on resources of others.
    Tags,
    /// Resources that no state records.
    Untracked,
}

impl PlanSubject {
    /// Returns the place and the text of the heading.
    pub const fn subject(self) -> Subject {
        let title = match self {
            PlanSubject::Network => "Network",
            PlanSubject::LoadBalancing => "Load balancing",
            PlanSubject::Dns => "DNS",
            PlanSubject::SecurityGroups => "Security groups",
            PlanSubject::Iam => "IAM",
            PlanSubject::Storage => "Storage",
            PlanSubject::Machines => "Machines",
            PlanSubject::Tags => "Tags",
            PlanSubject::Untracked => "Untracked resources",
        };
        Subject { order: self as u8, title }
    }
}

/// The way in which a destroy without a state finds resources of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepMethod {
    /// Search by cluster tag in the EC2 tag index. The name of the type is EC2's resource type.
    ByTag(UntrackedKind),
    /// Search in the lists of the kind's own service, by tag or name.
    ByList(UntrackedKind),
    /// No search: the resource is a part or a setting of another resource and is deleted with it.
    Part,
    /// No search: only a state has the resource.
    OnlyRecorded,
}

impl SweepMethod {
    /// Returns the type that the sweep reports. `None` if the sweep does not search for the kind.
    pub const fn what(self) -> Option<UntrackedKind> {
        match self {
            SweepMethod::ByTag(what) | SweepMethod::ByList(what) => Some(what),
            SweepMethod::Part | SweepMethod::OnlyRecorded => None,
        }
    }
}

/// The facts of one kind, as a value.
#[derive(Clone, Copy, Debug)]
pub struct KindFacts {
    /// [`Resource::SCHEMA`].
    pub schema: &'static Schema,
    /// [`Kind::ACTIONS`].
    pub actions: Actions,
    /// [`Kind::REPEAT`].
    pub repeat: Repeat,
    /// [`Kind::UPDATES_OF`].
    pub updates_of: &'static [(&'static [&'static str], &'static [&'static str])],
    /// [`Kind::PART_OF`].
    pub part_of: Option<PartOf>,
    /// [`Kind::UNMANAGED`].
    pub unmanaged: &'static [&'static str],
    /// [`Kind::WITHOUT_DRY_RUN`].
    pub without_dry_run: &'static [&'static str],
    /// [`Kind::ID_PREFIX`].
    pub id_prefix: Option<&'static str>,
    /// [`Kind::QUOTA`].
    pub quota: Option<QuotaCount>,
    /// [`Kind::ARN`].
    pub arn: ArnForm,
    /// [`Kind::DRIFT`].
    pub drift: DriftFields,
    /// [`Kind::UNTRACKED`].
    pub untracked: SweepMethod,
    /// [`Kind::SUBJECT`].
    pub subject: PlanSubject,
    /// [`Kind::summary`] of inputs after a plan. `None` if they are not the kind's inputs.
    pub summary: fn(&Value, &Surroundings<'_>) -> Option<Summary>,
    /// [`Kind::billed`] of inputs. `None` if they are not the kind's inputs.
    pub billed: fn(&Value) -> Option<Vec<BilledAmount>>,
    /// [`Kind::volumes`] of inputs. `None` also if they are not the kind's inputs.
    pub volumes: fn(&Value) -> Option<Vec<PlannedVolume>>,
}

fn summary_of<K: Kind>(after: &Value, around: &Surroundings<'_>) -> Option<Summary> {
    let kind: K = serde_json::from_value(as_inputs(after)).ok()?;
    Some(kind.summary(around))
}

fn billed_for<K: Kind>(inputs: &Value) -> Option<Vec<BilledAmount>> {
    let kind: K = serde_json::from_value(as_inputs(inputs)).ok()?;
    Some(kind.billed())
}

fn volumes_of<K: Kind>(inputs: &Value) -> Option<Vec<PlannedVolume>> {
    let kind: K = serde_json::from_value(as_inputs(inputs)).ok()?;
    kind.volumes()
}

/// Relation of a part to the resource that contains it.
#[derive(Clone, Copy, Debug)]
pub struct PartOf {
    /// Input with the ID, name or ARN of the container.
    pub input: &'static str,
    /// Kind of the container.
    pub kind: &'static str,
    /// Segments of the two ARNs, container first, if the rest of the part's ARN begins with the rest
    /// of the container's.
    pub arn_segments: Option<(&'static str, &'static str)>,
}

impl KindFacts {
    /// Returns the facts of a kind.
    ///
    /// # Panics
    /// At compile time, if the schema's identity does not follow from `REPEAT`.
    pub const fn of<K: Kind>() -> Self {
        assert!(
            K::SCHEMA.identity as u8 == K::REPEAT.identity() as u8,
            "the schema is `Schema::of(.., Self::REPEAT.identity())`"
        );
        Self {
            schema: const { &K::SCHEMA },
            actions: K::ACTIONS,
            repeat: K::REPEAT,
            updates_of: K::UPDATES_OF,
            part_of: K::PART_OF,
            unmanaged: K::UNMANAGED,
            without_dry_run: K::WITHOUT_DRY_RUN,
            id_prefix: K::ID_PREFIX,
            quota: K::QUOTA,
            arn: K::ARN,
            drift: K::DRIFT,
            untracked: K::UNTRACKED,
            subject: K::SUBJECT,
            summary: summary_of::<K>,
            billed: billed_for::<K>,
            volumes: volumes_of::<K>,
        }
    }

    /// Returns the name of the kind.
    pub const fn name(&self) -> &'static str {
        self.schema.kind
    }

    /// Returns true if the preflight checks send this action with `DryRun`.
    pub fn dry_runs(&self, action: &str) -> bool {
        let takes_it = action.starts_with("ec2:") && !is_read(action);
        takes_it
            && self.actions.all().any(|one| one == action)
            && !self.without_dry_run.contains(&action)
    }
}
/// Returns true if the SDK may repeat a call on its own: a read, or a call whose kinds all declare
/// a repeat harmless. A creating call follows [`Kind::REPEAT`]. A call
/// that no kind declares is not repeated.
#[cfg(any(feature = "sdk", test))]
pub(crate) fn may_repeat(kinds: &[KindFacts], service: &str, call: &str) -> bool {
    if is_read(call) {
        return true;
    }
    let action = format!("{service}:{}", permission(call));
    let has = |list: &[&str]| list.contains(&action.as_str());
    let creates = || kinds.iter().filter(|facts| has(facts.actions.create));
    let others = |one: &Actions| has(one.configure) || has(one.update) || has(one.delete);
    let is_declared = creates().next().is_some() || kinds.iter().any(|one| others(&one.actions));
    is_declared && creates().all(|facts| facts.repeat.by_sdk())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_cluster_tag_is_functional() {
        let security = SecurityFields::Fields(&["open"]);
        let fields = DriftFields { cosmetic: &["tags"], security };
        let cluster = "tags[\"kubernetes.io/cluster/demo-x7k2p\"]";
        for (path, class) in [
            (cluster, DriftClass::Functional),
            ("tags[\"team\"]", DriftClass::Cosmetic),
            ("tags.Name", DriftClass::Cosmetic),
            ("size", DriftClass::Functional),
            ("rules.open", DriftClass::Security),
        ] {
            assert_eq!(fields.class(path), class, "{path}");
        }
        let of_role = DriftFields { security: SecurityFields::Everything, ..fields };
        assert_eq!(of_role.class(cluster), DriftClass::Functional);
    }
}
