//! The layouts of release 4.16 and later, which the Cluster API provider creates: installer
//! `pkg/asset/manifests/aws/{cluster,zones}.go` and `pkg/asset/machines/aws/awsmachines.go` (main at
//! 006d457393), and cluster-api-provider-aws `pkg/cloud/services/{network,securitygroup,elb,ec2,s3}`
//! (main at 2cf09d785).
//!
//! Three differences are deliberate:
//!
//! - Masters have network interfaces of their own, so that their security groups change in place.
//! - Targets are addresses. Clients then appear with the address of the load balancer, as they do with
//!   instances as targets and without preservation of client addresses.
//! - Node ports are open to the machine networks in all releases, as from 4.18 on. Releases 4.16 and
//!   4.17 open them to all addresses.

use TrafficSource::{Anywhere, Group, MachineNetworks, Published};

use super::{
    API, BalancerLayout, BootstrapLayout, BucketName, CONFIG, CidrSplit, ClusterTags,
    EXTERNAL_TARGETS, GroupLayout, INTERNAL_TARGETS, IamLayout, Lifetime, ManifestLayout,
    ObjectKey, Prefix, PublicRoutes, RELEASE_4_15, ReleaseLayout, RoleLayout, RuleLayout,
    SubnetLayout, TrafficSource, ZoneName, rule,
};
use crate::release::Release;
use crate::topology::iam;

const CONTROL_PLANE: TrafficSource = Group("controlplane");
const NODE: TrafficSource = Group("node");
const BALANCER: TrafficSource = Group("apiserver-lb");

const NODES: &[TrafficSource] = &[CONTROL_PLANE, NODE];

/// Traffic between nodes (`cluster.go`, `CNIIngressRules`).
const BETWEEN_NODES: &[RuleLayout] = &[
    rule("ICMP", "icmp", (-1, -1), NODES),
    rule("Port 22 (TCP)", "tcp", (22, 22), NODES),
    rule("Port 4789 (UDP) for VXLAN", "udp", (4789, 4789), NODES),
    rule("Port 6081 (UDP) for geneve", "udp", (6081, 6081), NODES),
    rule("Port 500 (UDP) for IKE", "udp", (500, 500), NODES),
    rule("Port 4500 (UDP) for IKE NAT", "udp", (4500, 4500), NODES),
    RuleLayout { ports: None, ..rule("ESP", "50", (0, 0), NODES) },
    rule("Port 6441-6442 (TCP) for ovndb", "tcp", (6441, 6442), NODES),
    rule("Port 9000-9999 for node ports (TCP)", "tcp", (9000, 9999), NODES),
    rule("Port 9000-9999 for node ports (UDP)", "udp", (9000, 9999), NODES),
    rule("Service node ports (TCP)", "tcp", (30000, 32767), NODES),
    rule("Service node ports (UDP)", "udp", (30000, 32767), NODES),
];

/// Services of masters (provider, `securitygroups.go`, `getSecurityGroupIngressRules` for
/// `SecurityGroupControlPlane`: API and etcd; installer, `cluster.go`,
/// `AdditionalControlPlaneIngressRules`: the others).
const MASTER: &[RuleLayout] = &[
    rule("Kubernetes API", "tcp", (API, API), &[BALANCER, CONTROL_PLANE, NODE]),
    rule("etcd", "tcp", (2379, 2379), &[CONTROL_PLANE]),
    rule("etcd peer", "tcp", (2380, 2380), &[CONTROL_PLANE]),
    rule(
        "MCS traffic from cluster network",
        "tcp",
        (CONFIG, CONFIG),
        &[NODE, CONTROL_PLANE, BALANCER],
    ),
    rule("controller-manager", "tcp", (10257, 10257), NODES),
    rule("kube-scheduler", "tcp", (10259, 10259), NODES),
    RuleLayout {
        lifetime: Lifetime::Bootstrap,
        ..rule("Bootstrap SSH Access", "tcp", (22, 22), &[Published])
    },
];

/// Konnectivity server of the bootstrap (installer main, release 5.0, `cluster.go`,
/// `AdditionalControlPlaneIngressRules`).
const KONNECTIVITY: &[RuleLayout] = &[RuleLayout {
    lifetime: Lifetime::Bootstrap,
    ..rule("Bootstrap konnectivity", "tcp", (8091, 8091), &[NODE, CONTROL_PLANE])
}];

/// Services of all nodes (provider, `securitygroups.go`, `getSecurityGroupIngressRules` for
/// `SecurityGroupNode`).
const WORKER: &[RuleLayout] = &[
    rule("Node Port Services", "tcp", (30000, 32767), &[MachineNetworks]),
    rule("Kubelet API", "tcp", (10250, 10250), NODES),
];

/// Traffic of the load balancers to masters (provider, `securitygroups.go`,
/// `getSecurityGroupIngressRules` for `SecurityGroupLB`, one rule for each listener). The VPC contains
/// the load balancers, and the machine networks contain their subnets.
const FROM_BALANCER: &[RuleLayout] = &[
    rule(
        "Allow NLB traffic to the control plane instances.",
        "tcp",
        (API, API),
        &[MachineNetworks],
    ),
    rule(
        "Allow NLB traffic to the control plane instances on port 22623.",
        "tcp",
        (CONFIG, CONFIG),
        &[MachineNetworks],
    ),
];

/// Clients of the load balancers (provider, `securitygroups.go`, `getControlPlaneLBIngressRules`;
/// installer, `cluster.go`, `IngressRules` of both load balancers). The rule for all addresses serves
/// both of them.
const CLIENTS: &[RuleLayout] = &[
    rule("Kubernetes API", "tcp", (API, API), &[MachineNetworks]),
    rule(
        "Machine Config Server internal traffic from cluster",
        "tcp",
        (CONFIG, CONFIG),
        &[MachineNetworks],
    ),
    rule("Kubernetes API Server traffic", "tcp", (API, API), &[Anywhere]),
];

const CONTROL_PLANE_GROUP: GroupLayout = GroupLayout {
    role: "controlplane",
    name: "controlplane",
    has_cluster_tag: false,
    lifetime: Lifetime::Cluster,
    ingress: &[BETWEEN_NODES, MASTER],
    // The rule that AWS creates with a group (VPC user guide, "Security group rules").
    egress: Some(""),
};
const NODE_GROUP: GroupLayout = GroupLayout {
    role: "node",
    name: "node",
    ingress: &[BETWEEN_NODES, WORKER],
    ..CONTROL_PLANE_GROUP
};
const SERVICE_GROUP: GroupLayout = GroupLayout {
    role: "lb",
    name: "lb",
    has_cluster_tag: true,
    ingress: &[FROM_BALANCER],
    ..CONTROL_PLANE_GROUP
};
const BALANCER_GROUP: GroupLayout = GroupLayout {
    role: "apiserver-lb",
    name: "apiserver-lb",
    ingress: &[CLIENTS],
    ..CONTROL_PLANE_GROUP
};

const MASTER_GROUPS: &[&str] = &["node", "lb", "controlplane"];

/// The layout of the releases 4.16 to 4.22.
pub(crate) const RELEASE_4_16: &ReleaseLayout = &ReleaseLayout {
    since: Release::new(4, 16),
    releases: "4.16 to 4.22",
    tags: ClusterTags::ClusterApi,
    has_dhcp_options: false,
    split: CidrSplit::Blocks,
    // The provider gives both gateways the same name (`getGatewayTagParams`).
    carrier_gateway: "igw",
    public_routes: PublicRoutes::PerZone(Prefix("rt-public-")),
    private_routes: Prefix("rt-private-"),
    public_subnet: SubnetLayout {
        name: Prefix("subnet-public-"),
        tag: Some(("kubernetes.io/role/elb", "1")),
    },
    private_subnet: SubnetLayout {
        name: Prefix("subnet-private-"),
        tag: Some(("kubernetes.io/role/internal-elb", "1")),
    },
    elastic_ip: ZoneName::Alike("eip-common"),
    nat_gateway: ZoneName::Alike("nat"),
    internal: BalancerLayout {
        name: "int",
        groups: &["apiserver-lb"],
        target_groups: INTERNAL_TARGETS,
    },
    external: BalancerLayout {
        name: "ext",
        groups: &["apiserver-lb"],
        target_groups: EXTERNAL_TARGETS,
    },
    groups: &[CONTROL_PLANE_GROUP, NODE_GROUP, SERVICE_GROUP, BALANCER_GROUP],
    master: RoleLayout { groups: MASTER_GROUPS, ..RELEASE_4_15.master },
    worker: RoleLayout { groups: &["node", "lb"], ..RELEASE_4_15.worker },
    bootstrap: BootstrapLayout {
        role: "bootstrap",
        groups: MASTER_GROUPS,
        has_additional_groups: true,
        iam: None,
        volume: None,
        bucket: BucketName::BeforeInfraId("openshift-bootstrap-data"),
        key: ObjectKey::Machine("control-plane"),
    },
    ..*RELEASE_4_15
};

/// The layout of release 5.0.
pub(crate) const RELEASE_5_0: &ReleaseLayout = &ReleaseLayout {
    since: Release::new(5, 0),
    releases: "5.0",
    groups: &[
        GroupLayout { ingress: &[BETWEEN_NODES, MASTER, KONNECTIVITY], ..CONTROL_PLANE_GROUP },
        NODE_GROUP,
        SERVICE_GROUP,
        BALANCER_GROUP,
    ],
    master: RoleLayout {
        iam: IamLayout { document: iam::master_policy_5_0, ..RELEASE_4_16.master.iam },
        ..RELEASE_4_16.master
    },
    manifests: ManifestLayout {
        has_null_timestamps: false,
        has_capacity_reservation: true,
        default_os_stream: Some("rhel-10"),
    },
    ..*RELEASE_4_16
};
