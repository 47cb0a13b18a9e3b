//! Names of the AWS resources in one OpenShift release, shared by the graph and the manifests.
//!
//! Another release has another constant. The addresses of load balancers, target groups and roles in
//! the state are their names in the layout; other addresses do not depend on it.

/// Names of the resources that openshift-install creates in one release. A name is the part after
/// `<infraID>-`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReleaseLayout {
    /// The VPC.
    pub(crate) vpc: &'static str,
    /// The internet gateway.
    pub(crate) internet_gateway: &'static str,
    /// The main route table of the VPC.
    pub(crate) public_routes: &'static str,
    /// The route table of the private subnet in a zone.
    pub(crate) private_routes: Prefix,
    /// The subnet with a route to the internet in a zone.
    pub(crate) public_subnet: Prefix,
    /// The subnet for machines in a zone.
    pub(crate) private_subnet: Prefix,
    /// The address of the NAT gateway in a zone.
    pub(crate) elastic_ip: Prefix,
    /// The NAT gateway in a zone.
    pub(crate) nat_gateway: Prefix,
    /// The private hosted zone.
    pub(crate) hosted_zone: &'static str,
    /// The load balancer for clients inside the VPC.
    pub(crate) internal: BalancerLayout,
    /// The load balancer for clients on the internet.
    pub(crate) external: BalancerLayout,
    /// The masters.
    pub(crate) master: RoleLayout,
    /// The workers.
    pub(crate) worker: RoleLayout,
    /// The bootstrap.
    pub(crate) bootstrap: RoleLayout,
    /// The bucket with the Ignition config of the bootstrap.
    pub(crate) bootstrap_bucket: &'static str,
    /// The root volume of a machine, after the name of the machine.
    pub(crate) volume: &'static str,
    /// The copy of an image.
    pub(crate) image_copy: &'static str,
    /// `Name` tag of the copy of an image in a region.
    pub(crate) image_copy_tag: Prefix,
}

/// Name that ends with a zone or a region.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix(pub(crate) &'static str);

impl Prefix {
    /// Returns the name that ends with this zone or region.
    pub(crate) fn with(self, end: &str) -> String {
        format!("{}{end}", self.0)
    }
}

/// Names of the resources of a role.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoleLayout {
    /// Name of the role, with which the names of its machines begin.
    pub(crate) role: &'static str,
    /// The security group.
    pub(crate) security_group: &'static str,
    /// The instance profile.
    pub(crate) profile: &'static str,
    /// The IAM role.
    pub(crate) iam_role: &'static str,
    /// The policy of the IAM role.
    pub(crate) iam_policy: &'static str,
}

/// A load balancer and its target groups.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BalancerLayout {
    /// Name of the load balancer.
    pub(crate) name: &'static str,
    /// The target groups, each with a listener on the same port.
    pub(crate) target_groups: &'static [TargetGroupLayout],
}

/// A target group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TargetGroupLayout {
    /// Name of the target group.
    pub(crate) name: &'static str,
    /// Port of the listener, of the targets and of the health check.
    pub(crate) port: i32,
    /// Path of the health check.
    pub(crate) health_path: &'static str,
}

/// Port of the Kubernetes API.
const API: i32 = 6443;
/// Port of the machine config server, for machines of the cluster only.
const CONFIG: i32 = 22623;

/// The layout of release-4.15 (`data/data/aws`).
pub(crate) const RELEASE_4_15: &ReleaseLayout = &ReleaseLayout {
    vpc: "vpc",
    internet_gateway: "igw",
    public_routes: "public",
    private_routes: Prefix("private-"),
    public_subnet: Prefix("public-"),
    private_subnet: Prefix("private-"),
    elastic_ip: Prefix("eip-"),
    nat_gateway: Prefix("nat-"),
    hosted_zone: "int",
    internal: BalancerLayout {
        name: "int",
        target_groups: &[
            TargetGroupLayout { name: "aint", port: API, health_path: "/readyz" },
            TargetGroupLayout { name: "sint", port: CONFIG, health_path: "/healthz" },
        ],
    },
    external: BalancerLayout {
        name: "ext",
        target_groups: &[TargetGroupLayout { name: "aext", port: API, health_path: "/readyz" }],
    },
    master: RoleLayout {
        role: "master",
        security_group: "master-sg",
        profile: "master-profile",
        iam_role: "master-role",
        iam_policy: "master-policy",
    },
    worker: RoleLayout {
        role: "worker",
        security_group: "worker-sg",
        profile: "worker-profile",
        iam_role: "worker-role",
        iam_policy: "worker-policy",
    },
    bootstrap: RoleLayout {
        role: "bootstrap",
        security_group: "bootstrap-sg",
        profile: "bootstrap-profile",
        iam_role: "bootstrap-role",
        iam_policy: "bootstrap-policy",
    },
    bootstrap_bucket: "bootstrap",
    volume: "vol",
    image_copy: "master",
    image_copy_tag: Prefix("ami-"),
};
