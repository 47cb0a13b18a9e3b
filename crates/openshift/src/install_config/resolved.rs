//! The install-config as the topology reads it: plain values, defaults applied, pools merged.
//!
//! The original text and its positions are not available here. An `Option` that is `None` means no
//! opinion: AWS or the topology chooses.

use std::collections::{BTreeMap, BTreeSet};

use groundplan_aws::kinds::machine::ConfidentialCompute;
use groundplan_aws::model::ids::{
    DedicatedHostId, HostedZoneId, ImageId, InstanceProfileName, PolicyArn, PublicIpv4PoolId,
    RoleName, SecurityGroupId, SubnetId,
};
use groundplan_aws::model::metadata_options::MetadataService;
use ipnet::Ipv4Net;
use secrecy::SecretString;
use url::Url;

/// A valid install-config of platform aws.
#[derive(Clone, Debug)]
pub struct InstallConfig {
    /// `metadata.name`
    pub name: String,
    /// `baseDomain`, without a trailing dot.
    pub base_domain: String,
    /// Networks from which the cluster is reachable.
    pub publish: Publish,
    /// The networks.
    pub networking: Networking,
    /// The pool called `master`.
    pub control_plane: MachinePool,
    /// The pools of workers; one of them is called `worker`.
    pub compute: Vec<MachinePool>,
    /// The pool of machines in existing subnets of Local and Wavelength Zones, if `compute` names none.
    /// `None` without existing subnets.
    pub implied_edge: Option<MachinePool>,
    /// `platform.aws`
    pub aws: AwsPlatform,
    /// Credentials of the cluster's operators for AWS calls. `None` means that the operators detect
    /// their permissions.
    pub credentials_mode: Option<CredentialsMode>,
    /// True if the nodes run in FIPS mode.
    pub fips: bool,
    /// The credentials of the image registries, as JSON.
    pub pull_secret: SecretString,
    /// The line of authorised keys of the user `core`. Public by nature, and never printed.
    pub ssh_key: Option<SecretString>,
    /// Certificates to trust, in PEM.
    pub additional_trust_bundle: Option<String>,
    /// Condition under which the nodes trust `additional_trust_bundle`.
    pub additional_trust_bundle_policy: TrustBundlePolicy,
    /// Stream of the machines' operating system, `rhel-9` or `rhel-10`. `None` means the default of
    /// the release.
    pub os_image_stream: Option<String>,
    /// The proxy of the cluster.
    pub proxy: Option<Proxy>,
}

impl InstallConfig {
    /// `<name>.<baseDomain>`, without a trailing dot.
    pub fn cluster_domain(&self) -> String {
        format!("{}.{}", self.name, self.base_domain)
    }
}

/// Networks from which the cluster's API and applications are reachable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Publish {
    /// The internet.
    #[default]
    External,
    /// The cluster's own network only.
    Internal,
}

/// Credentials of the cluster's operators for AWS calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialsMode {
    /// An IAM user for each operator.
    Mint,
    /// The installer's credentials, for all operators.
    Passthrough,
    /// Credentials that the administrator has set up.
    Manual,
}

/// Condition under which the nodes trust the additional trust bundle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrustBundlePolicy {
    /// Only with a proxy.
    #[default]
    ProxyOnly,
    /// Always.
    Always,
}

/// The proxy of the cluster. URLs may contain passwords and are never printed.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// The proxy for plain requests.
    pub http: Option<SecretString>,
    /// The proxy for TLS requests.
    pub https: Option<SecretString>,
    /// Domains, networks and addresses that are reached without a proxy.
    pub no_proxy: Option<String>,
}

/// The networks of the cluster, without overlaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networking {
    /// The network plug-in. Default: `OVNKubernetes`.
    pub network_type: String,
    /// Networks of the machines; never empty. The first becomes the VPC.
    pub machine_networks: Vec<Ipv4Net>,
    /// Networks of the pods; never empty.
    pub cluster_networks: Vec<ClusterNetwork>,
    /// Network of the services; exactly one.
    pub service_networks: Vec<Ipv4Net>,
    /// MTU of the cluster network in bytes. `None` lets the network plug-in decide.
    pub cluster_network_mtu: Option<u32>,
    /// Network between the routers of OVN-Kubernetes. `None` means its default.
    pub join_subnet: Option<Ipv4Net>,
}

/// A network of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterNetwork {
    /// The whole network.
    pub cidr: Ipv4Net,
    /// Prefix length of the part that each node gets; 0 if the network plug-in decides.
    pub host_prefix: u8,
}

/// A group of machines with the same settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachinePool {
    /// `master`, `worker` or `edge`
    pub name: String,
    /// Number of machines.
    pub replicas: u32,
    /// True if each core runs two threads.
    pub hyperthreading: bool,
    /// The instruction set of the machines.
    pub architecture: Architecture,
    /// EC2 settings of the machines, with defaults merged in.
    pub aws: AwsMachinePool,
}

impl MachinePool {
    /// Returns true for the pool of machines in Local and Wavelength Zones.
    pub fn is_edge(&self) -> bool {
        self.name == EDGE
    }
}

/// Name of the pool of machines in Local and Wavelength Zones.
pub(crate) const EDGE: &str = "edge";

/// An instruction set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Architecture {
    /// `amd64`
    #[default]
    Amd64,
    /// `arm64`
    Arm64,
}

/// EC2 settings of a pool. The default machine platform overrides built-in defaults, and the pool
/// overrides both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsMachinePool {
    /// Availability zones. Empty means all zones that the region or the subnets offer.
    pub zones: Vec<String>,
    /// The instance type. `None` lets the topology choose.
    pub instance_type: Option<String>,
    /// The image of the pool, of the default machine platform, or of the platform, in this order.
    pub ami_id: Option<ImageId>,
    /// The root volume.
    pub root_volume: RootVolume,
    /// Memory encryption by the processor. `None` means no opinion.
    pub confidential_compute: Option<ConfidentialCompute>,
    /// `metadataService`, each setting from the pool or else from the default machine platform.
    pub metadata_service: MetadataService,
    /// An existing role.
    pub iam_role: Option<RoleName>,
    /// An existing instance profile; never together with a role.
    pub iam_profile: Option<InstanceProfileName>,
    /// Existing security groups, in addition to the cluster's.
    pub additional_security_groups: Vec<SecurityGroupId>,
    /// Dedicated Hosts, at most one in each zone. Empty means any place. Workers only.
    pub dedicated_hosts: Vec<DedicatedHostId>,
}

/// A root volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootVolume {
    /// `gp3`, `io2`, …
    pub volume_type: String,
    /// Size in GiB.
    pub size: i32,
    /// I/O operations per second. `None` means the default of the volume type.
    pub iops: Option<i32>,
    /// Throughput in MiB/s, of gp3 only. `None` means the default of the volume type.
    pub throughput: Option<i32>,
    /// ARN of the KMS key. `None` means the account's default key for EBS.
    pub kms_key: Option<String>,
}

/// `platform.aws`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsPlatform {
    /// The region.
    pub region: String,
    /// Image for every pool; already merged into the pools.
    pub ami_id: Option<ImageId>,
    /// Existing subnets. Empty means that the cluster gets its own VPC.
    pub subnets: Vec<SubnetId>,
    /// Roles of the existing subnets. Empty if the config names none: the routes decide.
    pub subnet_roles: BTreeMap<SubnetId, BTreeSet<SubnetRole>>,
    /// An existing private hosted zone.
    pub hosted_zone: Option<HostedZoneId>,
    /// ARN of the role to assume for the private hosted zone.
    pub hosted_zone_role: Option<String>,
    /// ARN of the policy that bounds the permissions of all roles that groundplan creates. `None`
    /// means no opinion.
    pub permissions_boundary: Option<PolicyArn>,
    /// Pool of the account for the public addresses of the cluster. `None` means pools of Amazon.
    pub public_ipv4_pool: Option<PublicIpv4PoolId>,
    /// Tags for all resources of the cluster.
    pub user_tags: BTreeMap<String, String>,
    /// True if the operators also tag the resources that they create.
    pub propagate_user_tags: bool,
    /// Custom endpoints of AWS services.
    pub service_endpoints: Vec<ServiceEndpoint>,
    /// Type of the load balancer for the cluster's applications.
    pub load_balancer_type: LoadBalancerType,
    /// True if the bucket with the bootstrap Ignition is kept when the bootstrap machine is
    /// removed.
    pub preserve_bootstrap_ignition: bool,
}

/// Purpose of an existing subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SubnetRole {
    /// Masters and workers.
    ClusterNode,
    /// Workers in local and wavelength zones.
    EdgeNode,
    /// The bootstrap machine.
    BootstrapNode,
    /// Load balancer of the default ingress controller.
    IngressControllerLb,
    /// Load balancer of the API for clients on the internet.
    ControlPlaneExternalLb,
    /// Load balancer of the API for clients inside the VPC.
    ControlPlaneInternalLb,
}

impl SubnetRole {
    /// All roles.
    pub const ALL: [Self; 6] = [
        Self::ClusterNode,
        Self::EdgeNode,
        Self::BootstrapNode,
        Self::IngressControllerLb,
        Self::ControlPlaneExternalLb,
        Self::ControlPlaneInternalLb,
    ];

    /// Returns the name in the install-config.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClusterNode => "ClusterNode",
            Self::EdgeNode => "EdgeNode",
            Self::BootstrapNode => "BootstrapNode",
            Self::IngressControllerLb => "IngressControllerLB",
            Self::ControlPlaneExternalLb => "ControlPlaneExternalLB",
            Self::ControlPlaneInternalLb => "ControlPlaneInternalLB",
        }
    }
}

/// A custom endpoint of one AWS service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEndpoint {
    /// `ec2`, `elasticloadbalancing`, `iam`, `route53`, `s3`, `sts`, …
    pub name: String,
    /// URL of the endpoint.
    pub url: Url,
}

/// Type of a load balancer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadBalancerType {
    /// A classic load balancer.
    #[default]
    Classic,
    /// A network load balancer.
    Network,
}
