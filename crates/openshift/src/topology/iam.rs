//! Roles, their policies and instance profiles (release-4.15, `master/main.tf`, `iam/main.tf`,
//! `bootstrap/main.tf`).

use groundplan_aws::kinds::iam_instance_profile::IamInstanceProfile;
use groundplan_aws::kinds::iam_role::IamRole;
use groundplan_aws::kinds::iam_role_policy::IamRolePolicy;
use groundplan_aws::model::ids::{InstanceProfileId, InstanceProfileName, PolicyArn, RoleName};
use groundplan_aws::model::partition::Partition;
use groundplan_engine::graph::{Graph, Input};
use groundplan_engine::out;
use serde_json::{Value, json};

use super::ClusterSpec;
use super::layout::IamLayout;
use super::machine_pools::PoolSpec;
use super::naming::ResourceNames;

/// Instance profiles of the machines.
pub(crate) struct Profiles {
    /// Profile of the masters.
    pub(crate) master: MachineProfile,
}

/// Instance profile of a machine.
#[derive(Clone)]
pub(crate) struct MachineProfile {
    /// Name of the profile.
    pub(crate) name: Input<InstanceProfileName>,
    /// Unique ID of the profile. `None` for a profile of the user.
    pub(crate) id: Option<Input<InstanceProfileId>>,
}

/// Adds the roles and profiles of masters and workers.
pub(crate) fn add(graph: &mut Graph, spec: &ClusterSpec) -> Profiles {
    let site = IamBuilder::of(spec);
    let layout = spec.names.layout;
    let master = site.add(graph, layout.master.role, &layout.master.iam, &spec.masters);
    for pool in spec.workers.iter().filter(|pool| pool.name == layout.worker.role) {
        site.add(graph, layout.worker.role, &layout.worker.iam, pool);
    }
    Profiles { master }
}

/// Adds the profile of the bootstrap, with the configured role or profile of the masters, if any.
/// `None` if the layout has no profile of the bootstrap.
pub(crate) fn add_bootstrap(graph: &mut Graph, spec: &ClusterSpec) -> Option<MachineProfile> {
    let layout = &spec.names.layout.bootstrap;
    Some(IamBuilder::of(spec).add(graph, layout.role, layout.iam.as_ref()?, &spec.masters))
}

/// Returns true if a permissions boundary is configured and every machine has a role or profile of the
/// user, so that no role of the cluster can have it.
pub(crate) fn has_unused_boundary(spec: &ClusterSpec) -> bool {
    let is_own = |pool: &PoolSpec| pool.iam_role.is_some() || pool.iam_profile.is_some();
    let mut workers = spec.workers.iter();
    spec.permissions_boundary.is_some() && is_own(&spec.masters) && workers.all(is_own)
}

struct IamBuilder<'a> {
    names: &'a ResourceNames,
    partition: Partition,
    permissions_boundary: Option<&'a PolicyArn>,
}

impl<'a> IamBuilder<'a> {
    fn of(spec: &'a ClusterSpec) -> Self {
        let permissions_boundary = spec.permissions_boundary.as_ref();
        Self { names: &spec.names, partition: spec.partition, permissions_boundary }
    }

    fn add(
        &self,
        graph: &mut Graph,
        address: &str,
        layout: &IamLayout,
        pool: &PoolSpec,
    ) -> MachineProfile {
        if let Some(profile) = &pool.iam_profile {
            return MachineProfile { name: profile.clone().into(), id: None };
        }
        let role = match &pool.iam_role {
            Some(role) => role.clone().into(),
            None => self.add_role(graph, address, layout),
        };
        let name = InstanceProfileName(self.names.name(layout.profile));
        let tags = self.names.tags(layout.profile);
        let profile = graph.add(address, &IamInstanceProfile { name, role, tags });
        MachineProfile { name: out!(profile.name), id: Some(out!(profile.id).required()) }
    }

    fn add_role(&self, graph: &mut Graph, address: &str, layout: &IamLayout) -> Input<RoleName> {
        let role = IamRole {
            name: RoleName(self.names.name(layout.role)),
            trust: trust(self.partition),
            permissions_boundary: self.permissions_boundary.cloned(),
            tags: self.names.tags(layout.role),
        };
        let role = graph.add(address, &role);
        let (name, document) = (self.names.name(layout.policy), (layout.document)());
        graph.add(address, &IamRolePolicy { role: out!(role.name), name, document });
        out!(role.name)
    }
}

/// Returns the policy that lets EC2 assume the role for an instance (release-4.15, `master/main.tf`,
/// `assume_role_policy`).
fn trust(partition: Partition) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": partition.principal("ec2")},
            "Action": "sts:AssumeRole",
        }],
    })
}

fn policy(statements: &[&[&str]]) -> Value {
    let statement =
        |actions: &&[&str]| json!({"Effect": "Allow", "Action": actions, "Resource": "*"});
    let statements: Vec<Value> = statements.iter().map(statement).collect();
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// Permissions of masters (release-4.15, `master/main.tf`; 4.16 to 4.22,
/// `pkg/infrastructure/aws/clusterapi/iam.go`). Frozen upstream (docs/dev/aws/iam_permissions.md),
/// because existing clusters would not get additions.
pub(super) fn master_policy() -> Value {
    policy(&[MASTER_ACTIONS])
}

/// Permissions of masters of release 5.0 (main, `pkg/infrastructure/aws/clusterapi/iam.go`).
pub(super) fn master_policy_5_0() -> Value {
    let mut actions = MASTER_ACTIONS.to_vec();
    // Before the last action, as in the reference.
    actions.insert(actions.len() - 1, "elasticloadbalancing:SetSecurityGroups");
    policy(&[&actions])
}

const MASTER_ACTIONS: &[&str] = &[
    "ec2:AttachVolume",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:CreateSecurityGroup",
    "ec2:CreateTags",
    "ec2:CreateVolume",
    "ec2:DeleteSecurityGroup",
    "ec2:DeleteVolume",
    "ec2:Describe*",
    "ec2:DetachVolume",
    "ec2:ModifyInstanceAttribute",
    "ec2:ModifyVolume",
    "ec2:RevokeSecurityGroupIngress",
    "elasticloadbalancing:AddTags",
    "elasticloadbalancing:AttachLoadBalancerToSubnets",
    "elasticloadbalancing:ApplySecurityGroupsToLoadBalancer",
    "elasticloadbalancing:CreateListener",
    "elasticloadbalancing:CreateLoadBalancer",
    "elasticloadbalancing:CreateLoadBalancerPolicy",
    "elasticloadbalancing:CreateLoadBalancerListeners",
    "elasticloadbalancing:CreateTargetGroup",
    "elasticloadbalancing:ConfigureHealthCheck",
    "elasticloadbalancing:DeleteListener",
    "elasticloadbalancing:DeleteLoadBalancer",
    "elasticloadbalancing:DeleteLoadBalancerListeners",
    "elasticloadbalancing:DeleteTargetGroup",
    "elasticloadbalancing:DeregisterInstancesFromLoadBalancer",
    "elasticloadbalancing:DeregisterTargets",
    "elasticloadbalancing:Describe*",
    "elasticloadbalancing:DetachLoadBalancerFromSubnets",
    "elasticloadbalancing:ModifyListener",
    "elasticloadbalancing:ModifyLoadBalancerAttributes",
    "elasticloadbalancing:ModifyTargetGroup",
    "elasticloadbalancing:ModifyTargetGroupAttributes",
    "elasticloadbalancing:RegisterInstancesWithLoadBalancer",
    "elasticloadbalancing:RegisterTargets",
    "elasticloadbalancing:SetLoadBalancerPoliciesForBackendServer",
    "elasticloadbalancing:SetLoadBalancerPoliciesOfListener",
    "kms:DescribeKey",
];

/// Permissions of workers (release-4.15, `iam/main.tf`; since 4.16,
/// `pkg/infrastructure/aws/clusterapi/iam.go`).
pub(super) fn worker_policy() -> Value {
    policy(&[&["ec2:DescribeInstances", "ec2:DescribeRegions"]])
}

/// Permissions of the bootstrap (release-4.15, `bootstrap/main.tf`). Later releases have no role of the
/// bootstrap.
pub(super) fn bootstrap_policy() -> Value {
    policy(&[&["ec2:Describe*"], &["ec2:AttachVolume"], &["ec2:DetachVolume"]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masters_may_do_what_the_reference_lets_them() {
        let policy = master_policy();
        let actions = policy["Statement"][0]["Action"].as_array().unwrap();
        assert_eq!(actions.len(), 38);
        let of = |service: &str| {
            let ours = |action: &&Value| action.as_str().unwrap().starts_with(service);
            actions.iter().filter(ours).count()
        };
        assert_eq!((of("ec2:"), of("elasticloadbalancing:"), of("kms:")), (12, 25, 1));
        assert_eq!(bootstrap_policy()["Statement"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn the_trusted_service_is_the_partitions_own() {
        let service =
            |region| trust(Partition::of_region(region))["Statement"][0]["Principal"].clone();
        assert_eq!(service("us-west-2"), json!({"Service": "ec2.amazonaws.com"}));
        assert_eq!(service("cn-north-1"), json!({"Service": "ec2.amazonaws.com.cn"}));
    }
}
