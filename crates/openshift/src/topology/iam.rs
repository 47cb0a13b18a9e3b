//! Roles, their policies and instance profiles (release-4.15, `master/main.tf`, `iam/main.tf`,
//! `bootstrap/main.tf`).

use groundplan_aws::kinds::iam_instance_profile::IamInstanceProfile;
use groundplan_aws::kinds::iam_role::IamRole;
use groundplan_aws::kinds::iam_role_policy::IamRolePolicy;
use groundplan_aws::model::ids::{InstanceProfileId, InstanceProfileName, RoleName};
use groundplan_engine::graph::{Graph, Input};
use groundplan_engine::out;
use serde_json::{Value, json};

use super::layout::RoleLayout;
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
pub(crate) fn add(
    graph: &mut Graph,
    names: &ResourceNames,
    partition: Partition,
    (masters, workers): (&PoolSpec, &[PoolSpec]),
) -> Profiles {
    let site = IamBuilder { names, partition };
    let master = site.add(graph, &names.layout.master, masters, master_policy());
    for pool in workers.iter().filter(|pool| pool.name == names.layout.worker.role) {
        site.add(graph, &names.layout.worker, pool, worker_policy());
    }
    Profiles { master }
}

/// Adds the profile of the bootstrap, with the configured role or profile of the masters, if any.
pub(crate) fn add_bootstrap(
    graph: &mut Graph,
    names: &ResourceNames,
    partition: Partition,
    masters: &PoolSpec,
) -> MachineProfile {
    let site = IamBuilder { names, partition };
    site.add(graph, &names.layout.bootstrap, masters, bootstrap_policy())
}

struct IamBuilder<'a> {
    names: &'a ResourceNames,
    partition: Partition,
}

impl IamBuilder<'_> {
    fn add(
        &self,
        graph: &mut Graph,
        layout: &RoleLayout,
        pool: &PoolSpec,
        policy: Value,
    ) -> MachineProfile {
        if let Some(profile) = &pool.iam_profile {
            return MachineProfile { name: profile.clone().into(), id: None };
        }
        let role = match &pool.iam_role {
            Some(role) => role.clone().into(),
            None => self.add_role(graph, layout, policy),
        };
        let name = InstanceProfileName(self.names.name(layout.profile));
        let tags = self.names.tags(layout.profile);
        let profile = graph.add(layout.role, &IamInstanceProfile { name, role, tags });
        MachineProfile { name: out!(profile.name), id: Some(out!(profile.id).required()) }
    }

    fn add_role(&self, graph: &mut Graph, layout: &RoleLayout, document: Value) -> Input<RoleName> {
        let name = RoleName(self.names.name(layout.iam_role));
        let tags = self.names.tags(layout.iam_role);
        let role = graph.add(layout.role, &IamRole { name, trust: trust(self.partition), tags });
        let name = self.names.name(layout.iam_policy);
        graph.add(layout.role, &IamRolePolicy { role: out!(role.name), name, document });
        out!(role.name)
    }
}

/// An AWS partition, with its own accounts and names.
#[derive(Clone, Copy, Debug)]
pub struct Partition {
    /// The second part of ARNs in this partition.
    pub name: &'static str,
    /// DNS domain of the partition's services.
    pub domain: &'static str,
}

/// Returns the partition of a region by its name (`partitions.json` of the SDKs).
pub fn partition(region: &str) -> Partition {
    const PREFIXES: &[(&str, &str, &str)] = &[
        ("cn-", "aws-cn", "amazonaws.com.cn"),
        ("us-gov-", "aws-us-gov", "amazonaws.com"),
        ("us-iso-", "aws-iso", "c2s.ic.gov"),
        ("us-isob-", "aws-iso-b", "sc2s.sgov.gov"),
        ("eu-isoe-", "aws-iso-e", "cloud.adc-e.uk"),
        ("us-isof-", "aws-iso-f", "csp.hci.ic.gov"),
        ("eusc-", "aws-eusc", "amazonaws.eu"),
        ("", "aws", "amazonaws.com"),
    ];
    let fits = |(prefix, _, _): &&(&str, &str, &str)| region.starts_with(prefix);
    let (_, name, domain) = PREFIXES.iter().find(fits).expect("BUG: the last prefix is empty");
    Partition { name, domain }
}

/// Returns the policy that lets EC2 assume the role for an instance.
fn trust(partition: Partition) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": format!("ec2.{}", partition.domain)},
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

/// Permissions of masters. Frozen upstream (docs/dev/aws/iam_permissions.md), because existing
/// clusters would not get additions.
fn master_policy() -> Value {
    policy(&[&[
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
    ]])
}

fn worker_policy() -> Value {
    policy(&[&["ec2:DescribeInstances", "ec2:DescribeRegions"]])
}

fn bootstrap_policy() -> Value {
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
        for (region, name, service) in [
            ("us-west-2", "aws", "ec2.amazonaws.com"),
            ("eu-south-2", "aws", "ec2.amazonaws.com"),
            ("cn-north-1", "aws-cn", "ec2.amazonaws.com.cn"),
            ("us-gov-west-1", "aws-us-gov", "ec2.amazonaws.com"),
            ("us-iso-east-1", "aws-iso", "ec2.c2s.ic.gov"),
            ("us-isob-east-1", "aws-iso-b", "ec2.sc2s.sgov.gov"),
        ] {
            let partition = partition(region);
            assert_eq!(partition.name, name);
            assert_eq!(trust(partition)["Statement"][0]["Principal"]["Service"], service);
        }
    }
}
