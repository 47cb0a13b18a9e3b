//! The facts about a kind of resource, stated once in the kind's own file. Free of the SDK.
//!
//! A kind implements [`Kind`]. None of its constants has a default, so a fact that a kind leaves out is
//! a compile error. The [registry](super::registry) collects the facts of all kinds; the planner, the
//! preflight checks, the interceptor and the sweep read them there. Knows no kind by name.

use serde_json::Value;

use super::quotas::Quota;
use super::registry::Registered;
use super::swept::{Swept, What};
use crate::graph::{Identity, Resource, Schema};
use crate::plan::DriftClass;
use serde::Deserialize;

/// A kind of AWS resource, with everything that tables would say about it.
pub trait Kind: Resource + Registered {
    /// The IAM actions of its calls.
    const ACTIONS: Actions;
    /// How its creating call may be repeated. [`Schema::identity`] follows from it.
    const REPEAT: Repeat;
    /// The EC2 actions that change something and are never sent with `DryRun`: EC2 does not take it,
    /// or the call needs an id that only AWS knows. All its other EC2 actions are.
    const WITHOUT_DRY_RUN: &'static [&'static str];
    /// The letters before the dash of its ids (`vpc`); `None` where its ids are names or ARNs.
    const ID_PREFIX: Option<&'static str>;
    /// The quota that one of it counts against.
    const QUOTA: Option<Count>;
    /// The form of its ARN in a policy.
    const ARN: Arn;
    /// How much a difference in each of its inputs matters.
    const DRIFT: Drift;
    /// How a destroy without a state finds it.
    const UNTRACKED: Untracked;
}

/// The IAM actions of a kind, by operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions {
    /// The creating call. [`Kind::REPEAT`] is about these, and about no others.
    pub create: &'static [&'static str],
    /// The rest of a creation: its tags, settings and permissions without a call. May be repeated.
    pub configure: &'static [&'static str],
    /// Reads, to wait for one and to find it again.
    pub observe: &'static [&'static str],
    /// Changes in place, whatever changes. May be repeated.
    pub update: &'static [&'static str],
    /// The deletion, with the reads that it takes. May be repeated.
    pub delete: &'static [&'static str],
}

impl Actions {
    /// Returns the actions of a creation, reads included.
    pub fn creation(&self) -> Vec<&'static str> {
        [self.create, self.configure, self.observe].concat()
    }

    /// Returns all actions; one that two operations take appears twice.
    pub fn all(&self) -> impl Iterator<Item = &'static str> {
        let lists = [self.create, self.configure, self.observe, self.update, self.delete];
        lists.into_iter().flatten().copied()
    }
}

/// Effect of a creating request that is sent twice with the same content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It makes two. Only the token in a tag finds the first.
    Never,
    /// AWS refuses the second, though the first succeeded: only one can have the name or range.
    /// The engine looks for the first before it asks again.
    Refused,
    /// Only one can have the name, and the kind recognises its own behind the second answer.
    Named,
    /// AWS takes the token and answers with what the first has made.
    WithToken,
    /// It sets a part or a setting of another resource; twice is once.
    Idempotent,
}

impl Repeat {
    /// Returns what tells whether an unanswered creation has made anything.
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

/// How a quota counts a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// One each, in the whole region.
    PerRegion(Quota),
    /// One each, in the availability zone of the subnet in its input `subnet`.
    PerZone(Quota),
    /// The virtual processors of its input `instance_type`, against the quota of that type's family.
    Vcpus,
}

/// The form of a kind's ARN in a policy, made of inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arn {
    /// `*`: its id is AWS's choice, or policies cannot name it.
    Any,
    /// An IAM entity of this type, named by this input.
    Iam(&'static str, &'static str),
    /// A bucket named by this input; actions on objects are on everything in it.
    Bucket(&'static str),
    /// An object; the inputs that name its bucket and its key.
    Object(&'static str, &'static str),
    /// A hosted zone in this input, for actions on its records; `*` for others.
    RecordsOf(&'static str),
    /// The form of the untracked resource's type.
    Untracked,
}

impl Arn {
    /// Returns the ARN that a policy names for an action on a resource with these inputs; `*` where it
    /// names none.
    pub fn of(self, action: &str, inputs: &Value, account: &str, partition: &str) -> String {
        let text = |name: &str| inputs[name].as_str();
        let iam =
            |entity: &str, name: &str| format!("arn:{partition}:iam::{account}:{entity}/{name}");
        let bucket = |name: &str| match action.contains("Object") {
            true => format!("arn:{partition}:s3:::{name}/*"),
            false => format!("arn:{partition}:s3:::{name}"),
        };
        let arn = match self {
            // The role that a profile is given is passed to EC2.
            _ if action == "iam:PassRole" => text("role").map(|name| iam("role", name)),
            Arn::Any => None,
            Arn::Iam(entity, name) => text(name).map(|name| iam(entity, name)),
            Arn::Bucket(name) => text(name).map(bucket),
            Arn::Object(bucket, key) => text(bucket)
                .zip(text(key))
                .map(|(bucket, key)| format!("arn:{partition}:s3:::{bucket}/{key}")),
            Arn::RecordsOf(zone) => text(zone)
                .filter(|_| action.ends_with("ResourceRecordSets"))
                .map(|zone| format!("arn:{partition}:route53:::hostedzone/{zone}")),
            Arn::Untracked => Swept::deserialize(inputs).ok().and_then(|found| {
                let name = found.name?;
                match found.what {
                    What::Bucket => Some(bucket(&name)),
                    What::User | What::Role | What::InstanceProfile => {
                        Some(iam(found.what.as_str(), &name))
                    }
                    _ => None,
                }
            }),
        };
        arn.unwrap_or_else(|| "*".to_owned())
    }
}

/// How much a difference matters when another process made it. Inputs in neither list are functional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Inputs that change who may reach or do something.
    pub security: Security,
    /// Inputs that change names and notes only. Goes before `security`.
    pub cosmetic: &'static [&'static str],
    /// Inputs that every plan shows of what it creates.
    pub always_shown: &'static [&'static str],
}

/// The inputs whose difference is about security.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// All that are not cosmetic: the kind itself grants access.
    Everything,
    /// Fields of these names, at any depth.
    Fields(&'static [&'static str]),
}

impl Drift {
    /// Returns the class of a difference at a path such as `network.subnet.groups[0]`.
    pub fn class(&self, path: &str) -> DriftClass {
        let mut fields = path.split(['.', '[', ']']);
        let is_security = match self.security {
            Security::Everything => true,
            Security::Fields(names) => fields.clone().any(|field| names.contains(&field)),
        };
        if fields.next().is_some_and(|input| self.cosmetic.contains(&input)) {
            DriftClass::Cosmetic
        } else if is_security {
            DriftClass::Security
        } else {
            DriftClass::Functional
        }
    }

    /// Returns true if every plan shows this path of what it creates.
    pub fn always_shows(&self, path: &str) -> bool {
        let input = path.split(['.', '[']).next().unwrap_or_default();
        self.always_shown.contains(&input)
    }
}

/// How a destroy without a state finds a resource of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untracked {
    /// By the cluster's tag in EC2's index of tags. The word of the type is EC2's resource type.
    ByTag(What),
    /// In the lists of its own service, by its tag there or its name.
    ByList(What),
    /// Not at all: it is part of another resource, or a setting of one, and goes with that.
    Part,
    /// Not at all: only a state has it.
    OnlyRecorded,
}

impl Untracked {
    /// Returns the type that the sweep reports; `None` where it does not look for the kind.
    pub const fn what(self) -> Option<What> {
        match self {
            Untracked::ByTag(what) | Untracked::ByList(what) => Some(what),
            Untracked::Part | Untracked::OnlyRecorded => None,
        }
    }
}

/// The facts of one kind, as a value.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// [`Resource::SCHEMA`].
    pub schema: &'static Schema,
    /// [`Kind::ACTIONS`].
    pub actions: Actions,
    /// [`Kind::REPEAT`].
    pub repeat: Repeat,
    /// [`Kind::WITHOUT_DRY_RUN`].
    pub without_dry_run: &'static [&'static str],
    /// [`Kind::ID_PREFIX`].
    pub id_prefix: Option<&'static str>,
    /// [`Kind::QUOTA`].
    pub quota: Option<Count>,
    /// [`Kind::ARN`].
    pub arn: Arn,
    /// [`Kind::DRIFT`].
    pub drift: Drift,
    /// [`Kind::UNTRACKED`].
    pub untracked: Untracked,
}

impl Facts {
    /// Returns the facts of a kind.
    ///
    /// # Panics
    /// At compile time, when the schema's identity is another one than `REPEAT` says.
    pub const fn of<K: Kind>() -> Self {
        assert!(
            K::SCHEMA.identity as u8 == K::REPEAT.identity() as u8,
            "the schema is `Schema::of(.., Self::REPEAT.identity())`"
        );
        Self {
            schema: const { &K::SCHEMA },
            actions: K::ACTIONS,
            repeat: K::REPEAT,
            without_dry_run: K::WITHOUT_DRY_RUN,
            id_prefix: K::ID_PREFIX,
            quota: K::QUOTA,
            arn: K::ARN,
            drift: K::DRIFT,
            untracked: K::UNTRACKED,
        }
    }

    /// Returns the name of the kind.
    pub const fn name(&self) -> &'static str {
        self.schema.kind
    }

    /// Returns true if the preflight checks send this action with `DryRun`.
    pub fn dry_runs(&self, action: &str) -> bool {
        let takes_it = action.starts_with("ec2:") && !super::actions::is_read(action);
        takes_it
            && self.actions.all().any(|one| one == action)
            && !self.without_dry_run.contains(&action)
    }
}
