//! The layout of release 4.15 and earlier, which Terraform created (release-4.15,
//! `data/data/aws`).

use TrafficSource::{Group, MachineNetworks, Published};

use super::{
    BalancerLayout, BootstrapLayout, BucketName, CidrSplit, ClusterTags, EXTERNAL_TARGETS,
    GroupLayout, INTERNAL_TARGETS, IamLayout, Lifetime, ManifestLayout, ObjectKey, Prefix,
    PublicRoutes, ReleaseLayout, RoleLayout, RuleLayout, SubnetLayout, TrafficSource, ZoneName,
    rule,
};
use crate::release::Release;
use crate::topology::iam;

const DESCRIPTION: &str = "Created By OpenShift Installer";

const MASTER_FIRST: &[TrafficSource] = &[Group("master"), Group("worker")];
const WORKER_FIRST: &[TrafficSource] = &[Group("worker"), Group("master")];

const NODE_OF_MASTER: &[RuleLayout] = &node_rules(MASTER_FIRST);
const NODE_OF_WORKER: &[RuleLayout] = &node_rules(WORKER_FIRST);

/// Returns the rules for traffic between nodes of both roles, and for access from the machine
/// networks (`vpc/sg-{master,worker}.tf`).
const fn node_rules(nodes: &'static [TrafficSource]) -> [RuleLayout; 12] {
    [
        rule(DESCRIPTION, "icmp", (-1, -1), &[MachineNetworks]),
        rule(DESCRIPTION, "tcp", (22, 22), &[MachineNetworks]),
        rule(DESCRIPTION, "udp", (4789, 4789), nodes), // VXLAN
        rule(DESCRIPTION, "udp", (6081, 6081), nodes), // Geneve
        rule(DESCRIPTION, "udp", (500, 500), nodes),   // IKE
        rule(DESCRIPTION, "udp", (4500, 4500), nodes), // IKE behind NAT
        RuleLayout { ports: None, ..rule(DESCRIPTION, "50", (0, 0), nodes) }, // ESP
        rule(DESCRIPTION, "tcp", (9000, 9999), nodes), // services in the host network
        rule(DESCRIPTION, "udp", (9000, 9999), nodes), // the same
        rule(DESCRIPTION, "tcp", (10250, 10250), nodes), // kubelet
        rule(DESCRIPTION, "tcp", (30000, 32767), nodes), // node ports
        rule(DESCRIPTION, "udp", (30000, 32767), nodes), // the same
    ]
}

/// Services on masters only (`vpc/sg-master.tf`).
const MASTER: &[RuleLayout] = &[
    rule(DESCRIPTION, "tcp", (6443, 6443), &[MachineNetworks]), // Kubernetes API
    rule(DESCRIPTION, "tcp", (22623, 22623), &[MachineNetworks]), // machine config server
    rule(DESCRIPTION, "tcp", (6641, 6642), MASTER_FIRST),       // OVN databases
    rule(DESCRIPTION, "tcp", (10259, 10259), MASTER_FIRST),     // scheduler
    rule(DESCRIPTION, "tcp", (10257, 10257), MASTER_FIRST),     // controller manager
    rule(DESCRIPTION, "tcp", (2379, 2380), &[Group("master")]), // etcd
];

/// SSH, and the journal of the machine (`bootstrap/main.tf`).
const BOOTSTRAP: &[RuleLayout] = &[
    rule(DESCRIPTION, "tcp", (22, 22), &[Published]),
    rule(DESCRIPTION, "tcp", (19531, 19531), &[Published]),
];

const MASTER_GROUP: GroupLayout = GroupLayout {
    role: "master",
    name: "master-sg",
    has_cluster_tag: true,
    lifetime: Lifetime::Cluster,
    ingress: &[NODE_OF_MASTER, MASTER],
    egress: Some(DESCRIPTION),
};

pub(crate) const RELEASE_4_15: &ReleaseLayout = &ReleaseLayout {
    since: Release::OLDEST,
    releases: "4.15 and earlier",
    tags: ClusterTags::Kubernetes,
    vpc: "vpc",
    has_dhcp_options: true,
    split: CidrSplit::Halves,
    internet_gateway: "igw",
    carrier_gateway: "cagw",
    public_routes: PublicRoutes::Main { main: "public", carrier: "public-carrier" },
    private_routes: Prefix("private-"),
    public_subnet: SubnetLayout { name: Prefix("public-"), tag: None },
    private_subnet: SubnetLayout {
        name: Prefix("private-"),
        tag: Some(("kubernetes.io/role/internal-elb", "")),
    },
    elastic_ip: ZoneName::EndingWithZone(Prefix("eip-")),
    nat_gateway: ZoneName::EndingWithZone(Prefix("nat-")),
    hosted_zone: "int",
    internal: BalancerLayout { name: "int", groups: &[], target_groups: INTERNAL_TARGETS },
    external: BalancerLayout { name: "ext", groups: &[], target_groups: EXTERNAL_TARGETS },
    groups: &[
        MASTER_GROUP,
        GroupLayout {
            role: "worker",
            name: "worker-sg",
            ingress: &[NODE_OF_WORKER],
            ..MASTER_GROUP
        },
        // The bootstrap is also in the group of the masters, which allows egress.
        GroupLayout {
            role: "bootstrap",
            name: "bootstrap-sg",
            lifetime: Lifetime::Bootstrap,
            ingress: &[BOOTSTRAP],
            egress: None,
            ..MASTER_GROUP
        },
    ],
    master: RoleLayout {
        role: "master",
        groups: &["master"],
        iam: IamLayout {
            profile: "master-profile",
            role: "master-role",
            policy: "master-policy",
            document: iam::master_policy,
        },
    },
    worker: RoleLayout {
        role: "worker",
        groups: &["worker"],
        iam: IamLayout {
            profile: "worker-profile",
            role: "worker-role",
            policy: "worker-policy",
            document: iam::worker_policy,
        },
    },
    bootstrap: BootstrapLayout {
        role: "bootstrap",
        groups: &["master", "bootstrap"],
        has_additional_groups: false,
        iam: Some(IamLayout {
            profile: "bootstrap-profile",
            role: "bootstrap-role",
            policy: "bootstrap-policy",
            document: iam::bootstrap_policy,
        }),
        // Not gp3, which some regions lack (openshift/installer 48d988c568).
        volume: Some(("gp2", 30)),
        bucket: BucketName::AfterInfraId("bootstrap"),
        key: ObjectKey::Fixed("bootstrap.ign"),
    },
    volume: "vol",
    image_copy: "master",
    image_copy_tag: Prefix("ami-"),
    manifests: ManifestLayout {
        has_null_timestamps: true,
        has_capacity_reservation: false,
        default_os_stream: None,
    },
};
