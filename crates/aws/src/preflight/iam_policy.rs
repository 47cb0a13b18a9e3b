//! IAM policies that allow one task and nothing else, from the kinds' own tables of actions.
//!
//! Free of the SDK. Calls outside the kinds are listed here; a test compares the lists with the
//! sources. Never evaluates a policy: that is the policy simulator's job.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::facts::{Actions, KindFacts};
use crate::kinds::load_balancer_attachment::LoadBalancerAttachment;
use crate::kinds::machine::Machine;
use crate::model::calls::is_read;
use crate::model::partition::Partition;
use crate::model::{cluster_api_tag_key, cluster_tag_key};
use crate::registry::KINDS;
use groundplan_engine::graph::Resource;

/// Lookups for machines, of a cluster as well as of manifests.
const MACHINE_LOOKUPS: &[&str] = &[
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstances",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "iam:GetInstanceProfile",
];
/// Lookups for what only machines of manifests name.
const MANIFEST_LOOKUPS: &[&str] =
    &["ec2:DescribeCapacityReservations", "ec2:DescribeKeyPairs", "ec2:DescribePlacementGroups"];
/// Lookups for a cluster, besides those for its machines: dedicated hosts, pools of addresses, routes,
/// roles, the permissions boundary, hosted zones, and the owners of a cluster's name.
const CLUSTER_LOOKUPS: &[&str] = &[
    "ec2:DescribeHosts",
    "ec2:DescribePublicIpv4Pools",
    "ec2:DescribeRouteTables",
    "ec2:DescribeTags",
    "iam:GetPolicy",
    "iam:GetRole",
    "route53:GetHostedZone",
    "route53:ListHostedZonesByName",
];
/// Reads of the preflight: simulated policies, quotas and the amounts in use, settings of the account.
const PREFLIGHT: &[&str] = &[
    "ec2:DescribeAddresses",
    "ec2:DescribeImages",
    "ec2:DescribeTags",
    "ec2:DescribeVpcBlockPublicAccessOptions",
    "ec2:DescribeVpcs",
    "ec2:GetInstanceMetadataDefaults",
    "iam:GetRole",
    "iam:SimulatePrincipalPolicy",
    "servicequotas:GetAWSDefaultServiceQuota",
    "servicequotas:GetServiceQuota",
];
/// Reads of the search for a cluster's resources by tag and by name.
const SWEEP: &[&str] = &[
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSnapshots",
    "ec2:DescribeTags",
    "ec2:DescribeVolumes",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeTags",
    "elasticloadbalancing:DescribeTargetGroups",
    "iam:GetInstanceProfile",
    "iam:GetRole",
    "iam:GetUser",
    "iam:ListInstanceProfiles",
    "iam:ListRoles",
    "iam:ListUsers",
    "route53:GetHostedZone",
    "route53:ListHostedZones",
    "route53:ListHostedZonesByName",
    "route53:ListResourceRecordSets",
    "s3:GetBucketTagging",
    "s3:ListAllMyBuckets",
    "s3:ListBucket",
    "tag:GetResources",
];
/// Removal of the tag `shared` from roles and instance profiles of the user.
const UNTAGS: &[&str] = &["iam:UntagInstanceProfile", "iam:UntagRole"];
/// Reads that name the owner of a resource that blocks a deletion.
const BLOCKERS: &[&str] = &[
    "ec2:DescribeAddresses",
    "ec2:DescribeNetworkAcls",
    "ec2:DescribeVpcPeeringConnections",
    "ec2:DescribeVpnGateways",
    "elasticloadbalancing:DescribeTargetGroups",
];
/// Reads that explain why a new cluster is late.
const INSTALLATION: &[&str] =
    &["ec2:DescribeInstances", "ec2:GetConsoleOutput", "elasticloadbalancing:DescribeTargetHealth"];
/// Reads of the gate before session tokens become required.
const GATE: &[&str] = &["cloudwatch:GetMetricData"];
/// Reads of an audit of metadata options.
const AUDIT: &[&str] = &[
    "cloudwatch:GetMetricData",
    "ec2:DescribeImages",
    "ec2:DescribeInstances",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeLaunchTemplates",
    "ec2:GetInstanceMetadataDefaults",
];
/// Reads of a state in S3.
const STATE_READS: &[&str] = &["s3:GetObject"];
/// Writes of a state in S3.
const STATE_WRITES: &[&str] = &["s3:DeleteObject", "s3:PutObject"];
/// Changes of hosted zones themselves.
const ZONE_CHANGES: &[&str] = &["route53:CreateHostedZone", "route53:DeleteHostedZone"];
/// Use of a customer-managed key by EBS for encrypted volumes, as the EBS user guide lists it
/// ("Requirements for Amazon EBS encryption", permissions for users).
const VOLUME_KEY: &[&str] = &[
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
];

/// Patterns with all actions that they match in AWS (Service Authorization Reference, "Actions,
/// resources, and condition keys" of Amazon EC2 and of AWS Identity and Access Management).
const PATTERNS: &[(&str, &[&str])] = &[
    ("ec2:*CarrierGateway", &["ec2:CreateCarrierGateway", "ec2:DeleteCarrierGateway"]),
    (
        "ec2:*InternetGateway",
        &[
            "ec2:AttachInternetGateway",
            "ec2:CreateEgressOnlyInternetGateway",
            "ec2:CreateInternetGateway",
            "ec2:DeleteEgressOnlyInternetGateway",
            "ec2:DeleteInternetGateway",
            "ec2:DetachInternetGateway",
        ],
    ),
    ("ec2:*NatGateway", &["ec2:CreateNatGateway", "ec2:DeleteNatGateway"]),
    (
        "iam:*InstanceProfile",
        &[
            "iam:AddRoleToInstanceProfile",
            "iam:CreateInstanceProfile",
            "iam:DeleteInstanceProfile",
            "iam:GetInstanceProfile",
            "iam:RemoveRoleFromInstanceProfile",
            "iam:TagInstanceProfile",
            "iam:UntagInstanceProfile",
        ],
    ),
    (
        "iam:*RolePermissionsBoundary",
        &["iam:DeleteRolePermissionsBoundary", "iam:PutRolePermissionsBoundary"],
    ),
];

/// Task that a policy allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Plans and drift checks of a cluster, also of its destroy. Reads only.
    Plan,
    /// Plans, preflight and applies of a cluster.
    Apply,
    /// Destroy of a cluster, with all that it made for itself.
    Destroy,
    /// Plans, applies and destroys of the Machines of manifests.
    Machines,
    /// The machine controller.
    Controller,
    /// Waits for a new cluster. Reads only.
    Wait,
    /// Audits of metadata options. Reads only.
    Audit,
}

/// Parts of ARNs in a policy. The default allows all names in all accounts of the partition `aws`.
#[derive(Clone, Debug)]
pub struct PolicyScope {
    /// Name of the partition: `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
    /// Account ID of IAM entities. `None` means all accounts.
    pub account: Option<String>,
    /// Infra ID that begins the names of IAM entities and buckets. `None` means all names.
    pub infra_id: Option<String>,
    /// Bucket and prefix of the state. `None` if the state is in a folder.
    pub state: Option<(String, String)>,
    /// ARNs of customer-managed keys that encrypt volumes.
    pub volume_keys: Vec<String>,
    /// ARN of the role for a hosted zone of another account.
    pub hosted_zone_role: Option<String>,
}

impl Default for PolicyScope {
    fn default() -> Self {
        Self {
            partition: "aws".to_owned(),
            account: None,
            infra_id: None,
            state: None,
            volume_keys: Vec::new(),
            hosted_zone_role: None,
        }
    }
}

/// Returns the policy document that allows a task, with the statements in a fixed order.
pub fn document(task: Task, scope: &PolicyScope) -> Value {
    let mut actions = actions(task);
    if scope.hosted_zone_role.is_some() {
        // The hosted zone of another account exists; groundplan makes and deletes none.
        actions.retain(|action| !ZONE_CHANGES.contains(action));
    }
    let of = |service: &str| -> Vec<&str> {
        let is_of = |action: &&&str| action.split(':').next() == Some(service);
        let changes = actions.iter().filter(is_of).filter(|action| !is_everywhere(action));
        changes.filter(|action| **action != "iam:PassRole").copied().collect()
    };
    let reads: Vec<&str> = actions.iter().filter(|action| is_everywhere(action)).copied().collect();
    let any = ["*".to_owned()];
    let mut statements = vec![
        statement("Read", &reads, &any),
        statement("Network", &shortened(&of("ec2"), &actions), &any),
        statement("LoadBalancing", &of("elasticloadbalancing"), &any),
        statement("Dns", &of("route53"), &any),
        statement(
            "Iam",
            &shortened(&of("iam"), &actions),
            &scope.iam(&["role", "instance-profile", "user"]),
        ),
        statement("Buckets", &of("s3"), &scope.buckets()),
    ];
    if actions.contains("iam:PassRole") {
        let mut passes = statement("PassRole", &["iam:PassRole"], &scope.iam(&["role"]));
        let partition = Partition::named(&scope.partition).unwrap_or(Partition::of_region(""));
        let service = partition.principal("ec2");
        passes["Condition"] = json!({"StringEquals": {"iam:PassedToService": service}});
        statements.push(passes);
    }
    statements.extend(scope.shared_roles(task));
    statements.extend(scope.service_linked_roles(task));
    statements.extend(scope.volume_keys(task));
    statements.extend(scope.hosted_zone_role(task));
    statements.extend(scope.state_statements(task));
    statements.retain(|one| one["Action"].as_array().is_some_and(|actions| !actions.is_empty()));
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// Replaces actions by a pattern, if the task needs all actions that it matches: a document has a
/// maximum size, and allows nothing more by that.
fn shortened<'a>(listed: &[&'a str], needed: &BTreeSet<&str>) -> Vec<&'a str> {
    let mut actions = listed.to_vec();
    for (pattern, matched) in PATTERNS {
        let is_listed = matched.iter().any(|action| listed.contains(action));
        if is_listed && matched.iter().all(|action| needed.contains(action)) {
            actions.retain(|action| !matched.contains(action));
            actions.push(pattern);
        }
    }
    actions.sort_unstable();
    actions
}

/// Returns the IAM actions of a task on AWS resources, without those of the state.
pub fn actions(task: Task) -> BTreeSet<&'static str> {
    let of_kinds = |select: fn(&KindFacts) -> Vec<&'static str>, only: Option<&[&str]>| {
        let kinds =
            KINDS.iter().filter(|facts| only.is_none_or(|only| only.contains(&facts.name())));
        kinds.flat_map(select).collect::<Vec<_>>()
    };
    let machines = &[Machine::SCHEMA.kind, LoadBalancerAttachment::SCHEMA.kind][..];
    let refresh = |facts: &KindFacts| facts.actions.refresh.to_vec();
    let parts: Vec<Vec<&str>> = match task {
        Task::Plan => vec![
            of_kinds(refresh, None),
            MACHINE_LOOKUPS.into(),
            CLUSTER_LOOKUPS.into(),
            SWEEP.into(),
            BLOCKERS.into(),
            protections(),
            GATE.into(),
        ],
        Task::Apply => vec![
            of_kinds(|facts| without_untracked(facts, Actions::all), None),
            MACHINE_LOOKUPS.into(),
            CLUSTER_LOOKUPS.into(),
            PREFLIGHT.into(),
            BLOCKERS.into(),
            GATE.into(),
        ],
        Task::Destroy => vec![
            of_kinds(|facts| [facts.actions.refresh, facts.actions.delete].concat(), None),
            PREFLIGHT.into(),
            SWEEP.into(),
            BLOCKERS.into(),
        ],
        Task::Machines => vec![
            of_kinds(|facts| facts.actions.all().collect(), Some(machines)),
            MACHINE_LOOKUPS.into(),
            MANIFEST_LOOKUPS.into(),
            PREFLIGHT.into(),
            GATE.into(),
            vec!["iam:PassRole"],
        ],
        Task::Controller => vec![
            of_kinds(
                |facts| {
                    let Actions { create, configure, refresh, delete, .. } = facts.actions;
                    [create, configure, refresh, delete].concat()
                },
                Some(machines),
            ),
            MACHINE_LOOKUPS.into(),
            MANIFEST_LOOKUPS.into(),
            vec!["ec2:CreateTags", "ec2:DeleteTags", "iam:PassRole"],
        ],
        Task::Wait => vec![INSTALLATION.into()],
        Task::Audit => vec![AUDIT.into()],
    };
    parts.into_iter().flatten().collect()
}

/// Returns the reads of protections before a deletion, for the plan of a destroy.
fn protections() -> Vec<&'static str> {
    let deletes = KINDS.iter().flat_map(|facts| facts.actions.delete);
    deletes.filter(|action| is_read(action)).copied().collect()
}

/// Returns the actions of a kind. Untracked resources are deleted by a destroy only.
fn without_untracked<'a, I: Iterator<Item = &'static str> + 'a>(
    facts: &'a KindFacts,
    select: impl Fn(&'a Actions) -> I,
) -> Vec<&'static str> {
    match facts.name() == crate::kinds::swept::UntrackedResource::SCHEMA.kind {
        true => Vec::new(),
        false => select(&facts.actions).collect(),
    }
}

/// Returns true for reads that no name restricts. Reads of the content of objects are restricted to
/// the cluster's buckets.
fn is_everywhere(action: &str) -> bool {
    is_read(action) && !action.starts_with("s3:GetObject")
}

fn statement(sid: &str, actions: &[&str], resources: &[String]) -> Value {
    json!({"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources})
}

impl PolicyScope {
    /// Returns the beginning of all names that the cluster's own entities have.
    fn names(&self) -> String {
        self.infra_id.as_ref().map_or_else(|| "*".to_owned(), |infra_id| format!("{infra_id}-*"))
    }

    fn iam(&self, entities: &[&str]) -> Vec<String> {
        let account = self.account.as_deref().unwrap_or("*");
        let name = self.names();
        let arn = |entity: &&str| format!("arn:{}:iam::{account}:{entity}/{name}", self.partition);
        entities.iter().map(arn).collect()
    }

    fn buckets(&self) -> Vec<String> {
        let bucket = format!("arn:{}:s3:::{}", self.partition, self.names());
        // A wildcard includes objects.
        let Some(infra_id) = &self.infra_id else { return vec![bucket] };
        // The bucket of the bootstrap of release 4.16 and later, and its objects in the same pattern:
        // the size of a managed policy is limited.
        let bootstrap = format!("arn:{}:s3:::openshift-bootstrap-data-{infra_id}*", self.partition);
        vec![bucket, bootstrap]
    }

    /// Returns the permission to remove the tags of the cluster from roles and instance profiles with
    /// other names.
    fn shared_roles(&self, task: Task) -> Option<Value> {
        let infra_id = self.infra_id.as_ref().filter(|_| task == Task::Destroy)?;
        let others = Self { infra_id: None, ..self.clone() };
        let mut shared =
            statement("SharedRoles", UNTAGS, &others.iam(&["role", "instance-profile"]));
        let keys = [cluster_tag_key(infra_id), cluster_api_tag_key(infra_id)];
        shared["Condition"] = json!({"ForAllValues:StringEquals": {"aws:TagKeys": keys}});
        Some(shared)
    }

    /// Returns the permission to create the roles that AWS services need once per account.
    fn service_linked_roles(&self, task: Task) -> Option<Value> {
        let services = match task {
            Task::Apply => &["elasticloadbalancing.amazonaws.com", "spot.amazonaws.com"][..],
            Task::Machines | Task::Controller => &["spot.amazonaws.com"],
            Task::Plan | Task::Destroy | Task::Wait | Task::Audit => return None,
        };
        let arn = format!("arn:{}:iam::*:role/aws-service-role/*", self.partition);
        let action = ["iam:CreateServiceLinkedRole"];
        let mut linked = statement("ServiceLinkedRoles", &action, &[arn]);
        linked["Condition"] = json!({"StringEquals": {"iam:AWSServiceName": services}});
        Some(linked)
    }

    /// Returns the permission to assume the role for the hosted zone, whose own policy allows the calls
    /// of Route 53.
    fn hosted_zone_role(&self, task: Task) -> Option<Value> {
        let role = self.hosted_zone_role.clone()?;
        let uses_zone = matches!(task, Task::Plan | Task::Apply | Task::Destroy);
        uses_zone.then(|| statement("HostedZoneRole", &["sts:AssumeRole"], &[role]))
    }

    fn volume_keys(&self, task: Task) -> Vec<Value> {
        let creates_none = matches!(task, Task::Plan | Task::Destroy | Task::Wait | Task::Audit);
        if self.volume_keys.is_empty() || creates_none {
            return Vec::new();
        }
        let keys = &self.volume_keys;
        let mut grant = statement("VolumeKeyGrants", &["kms:CreateGrant"], keys);
        grant["Condition"] = json!({"Bool": {"kms:GrantIsForAWSResource": "true"}});
        vec![statement("VolumeKeys", VOLUME_KEY, keys), grant]
    }

    fn state_statements(&self, task: Task) -> Vec<Value> {
        let Some((bucket, prefix)) = self.state.as_ref().filter(|_| task != Task::Controller)
        else {
            return Vec::new();
        };
        let bucket = format!("arn:{}:s3:::{bucket}", self.partition);
        let objects = match prefix.as_str() {
            "" => format!("{bucket}/*"),
            prefix => format!("{bucket}/{prefix}/*"),
        };
        let mut actions = STATE_READS.to_vec();
        let mut of_bucket = vec!["s3:ListBucket"];
        if !matches!(task, Task::Plan | Task::Wait | Task::Audit) {
            actions.extend(STATE_WRITES);
            of_bucket.push("s3:GetBucketVersioning");
        }
        vec![
            statement("State", &actions, &[objects]),
            statement("StateBucket", &of_bucket, &[bucket]),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::model::calls::permission;
    use crate::preflight::source_calls::calls_in;

    const TASKS: [Task; 7] = [
        Task::Plan,
        Task::Apply,
        Task::Destroy,
        Task::Machines,
        Task::Controller,
        Task::Wait,
        Task::Audit,
    ];
    /// Maximum size of a managed policy in characters without white space ("IAM and AWS STS quotas"
    /// of the IAM user guide).
    const MANAGED_POLICY: usize = 6144;

    fn rust_files(folder: &str) -> Vec<PathBuf> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder);
        if path.is_file() {
            return vec![path];
        }
        let files = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|file| file.extension().is_some_and(|extension| extension == "rs")).collect()
    }

    fn undeclared(source: &str, declared: &[&[&str]]) -> BTreeSet<String> {
        let known = |call: &str| {
            let permission = permission(call);
            let mut declared = declared.iter().copied().flatten();
            declared.any(|action| action.split_once(':').unwrap().1 == permission)
        };
        let made = rust_files(source).into_iter().flat_map(|file| calls_in(&file));
        made.filter(|call| is_read(call) && !known(call)).collect()
    }

    #[test]
    fn every_read_outside_the_kinds_is_declared() {
        for (source, declared) in [
            ("lookups", &[MACHINE_LOOKUPS, MANIFEST_LOOKUPS, CLUSTER_LOOKUPS][..]),
            ("sweep", &[SWEEP]),
            ("preflight/policy_simulator.rs", &[PREFLIGHT]),
            ("preflight/quotas.rs", &[PREFLIGHT]),
            ("preflight/account_settings.rs", &[PREFLIGHT]),
            ("client/delete_blockers.rs", &[BLOCKERS]),
            ("installation.rs", &[INSTALLATION]),
            ("imds_audit", &[AUDIT]),
        ] {
            assert_eq!(undeclared(source, declared), BTreeSet::new(), "{source}");
        }
    }

    #[test]
    fn a_plan_may_only_read() {
        assert!(actions(Task::Plan).iter().all(|action| is_read(action)));
        let text = document(Task::Plan, &PolicyScope::default()).to_string();
        assert!(!text.contains("PassRole") && !text.contains("s3:PutObject"), "{text}");
    }

    #[test]
    fn a_destroy_creates_nothing_and_an_apply_includes_its_deletions() {
        for action in actions(Task::Destroy) {
            let call = action.split_once(':').unwrap().1;
            let creates = ["Create", "Run", "Allocate", "Put"].iter().any(|v| call.starts_with(v));
            assert!(!creates, "{action}");
        }
        for action in ["ec2:DeleteVpc", "iam:DeleteRole", "ec2:ModifyInstanceMetadataOptions"] {
            assert!(actions(Task::Apply).contains(action), "{action}");
        }
        assert!(!actions(Task::Apply).contains("iam:DeleteUser"), "a destroy deletes users");
    }

    #[test]
    fn the_controller_changes_no_metadata_options() {
        let controller = actions(Task::Controller);
        assert!(!controller.contains("ec2:ModifyInstanceMetadataOptions"));
        assert!(controller.contains("ec2:RunInstances") && controller.contains("iam:PassRole"));
    }

    #[test]
    fn a_pattern_stands_for_actions_that_the_task_needs_anyway() {
        let of = |task| {
            let document = document(task, &PolicyScope::default());
            let statements = document["Statement"].as_array().unwrap().clone();
            let of_sids =
                statements.into_iter().filter(|one| one["Sid"] == "Iam" || one["Sid"] == "Network");
            of_sids.flat_map(|one| one["Action"].as_array().unwrap().clone()).collect::<Vec<_>>()
        };
        for (pattern, matched) in PATTERNS {
            let (service, rest) = pattern.split_once('*').unwrap();
            let fits = |action: &&&str| action.starts_with(service) && action.ends_with(rest);
            assert!(matched.iter().all(|action| fits(&action)), "{pattern}");
            let times = of(Task::Apply).iter().filter(|action| *action == pattern).count();
            assert_eq!(times, 1, "{pattern}");
            assert!(!of(Task::Destroy).contains(&json!(pattern)), "a destroy needs a part of them");
            let listed = |action: &&&str| of(Task::Apply).contains(&json!(action));
            assert!(!matched.iter().any(|action| listed(&action)), "{pattern}");
        }
        assert!(of(Task::Destroy).contains(&json!("iam:DeleteInstanceProfile")));
    }

    #[test]
    fn an_infra_id_restricts_names() {
        let scope = PolicyScope {
            account: Some("123456789012".to_owned()),
            infra_id: Some("demo-abcde".to_owned()),
            ..PolicyScope::default()
        };
        let of = |sid: &str| {
            let document = document(Task::Apply, &scope);
            let statements = document["Statement"].as_array().unwrap().clone();
            statements.into_iter().find(|one| one["Sid"] == sid).unwrap()
        };
        let passes = of("PassRole");
        assert_eq!(passes["Resource"], json!(["arn:aws:iam::123456789012:role/demo-abcde-*"]));
        let service = &passes["Condition"]["StringEquals"]["iam:PassedToService"];
        assert_eq!(service, "ec2.amazonaws.com");
        let buckets = json!([
            "arn:aws:s3:::demo-abcde-*",
            "arn:aws:s3:::openshift-bootstrap-data-demo-abcde*",
        ]);
        assert_eq!(of("Buckets")["Resource"], buckets);
    }

    #[test]
    fn a_destroy_may_remove_only_its_tags_from_roles_of_the_user() {
        let scope =
            PolicyScope { infra_id: Some("demo-abcde".to_owned()), ..PolicyScope::default() };
        let document = document(Task::Destroy, &scope);
        let mut statements = document["Statement"].as_array().unwrap().iter();
        let shared = statements.find(|one| one["Sid"] == "SharedRoles").expect("a statement");
        assert_eq!(
            shared["Resource"],
            json!(["arn:aws:iam::*:role/*", "arn:aws:iam::*:instance-profile/*"])
        );
        let keys = &shared["Condition"]["ForAllValues:StringEquals"]["aws:TagKeys"];
        assert_eq!(keys[0], "kubernetes.io/cluster/demo-abcde");
    }

    #[test]
    fn a_state_in_s3_adds_its_objects() {
        let scope = PolicyScope {
            state: Some(("states".to_owned(), "prod".to_owned())),
            ..PolicyScope::default()
        };
        let objects = |task| {
            let document = document(task, &scope);
            let statements = document["Statement"].as_array().unwrap().clone();
            statements.into_iter().find(|one| one["Sid"] == "State")
        };
        let plan = objects(Task::Plan).unwrap();
        assert_eq!(plan["Action"], json!(["s3:GetObject"]));
        assert_eq!(plan["Resource"], json!(["arn:aws:s3:::states/prod/*"]));
        let apply = json!(["s3:GetObject", "s3:DeleteObject", "s3:PutObject"]);
        assert_eq!(objects(Task::Apply).unwrap()["Action"], apply);
        assert_eq!(objects(Task::Controller), None, "the controller has no state");
    }

    #[test]
    fn every_document_fits_a_managed_policy() {
        let scope = PolicyScope {
            partition: "aws-us-gov".to_owned(),
            account: Some("123456789012".to_owned()),
            infra_id: Some("a-name-of-21-chars-abcde".to_owned()),
            state: Some(("states-of-clusters".to_owned(), "production".to_owned())),
            hosted_zone_role: Some("arn:aws-us-gov:iam::210987654321:role/dns".to_owned()),
            volume_keys: vec!["arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/1".to_owned()],
        };
        for task in TASKS {
            let text = document(task, &scope).to_string();
            let size = text.chars().filter(|c| !c.is_whitespace()).count();
            assert!(size <= MANAGED_POLICY, "{task:?}: {size}");
        }
    }

    #[test]
    fn statements_have_actions_resources_and_their_own_names() {
        for task in TASKS {
            let document = document(task, &PolicyScope::default());
            let statements = document["Statement"].as_array().unwrap();
            let names: BTreeSet<_> = statements.iter().map(|one| one["Sid"].to_string()).collect();
            assert_eq!(names.len(), statements.len());
            for one in statements {
                assert!(!one["Action"].as_array().unwrap().is_empty(), "{task:?}: {one}");
                assert!(!one["Resource"].as_array().unwrap().is_empty(), "{task:?}: {one}");
            }
        }
    }
}
