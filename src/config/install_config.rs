//! The install-config as the topology reads it: plain values, defaults applied, pools merged.
//!
//! What was written and where is no longer known here. An `Option` that is `None` means that the
//! config has no opinion and AWS or the topology chooses.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use secrecy::SecretString;
use url::Url;

use crate::aws::ids::{
    HostedZoneId, ImageId, InstanceProfileName, RoleName, SecurityGroupId, SubnetId,
};
use crate::aws::metadata_options::MetadataService;

/// A valid install-config of platform aws.
#[derive(Clone, Debug)]
pub struct InstallConfig {
    /// `metadata.name`
    pub name: String,
    /// `baseDomain`, without a trailing dot.
    pub base_domain: String,
    /// Who may reach the cluster.
    pub publish: Publish,
    /// The networks.
    pub networking: Networking,
    /// The pool called `master`.
    pub control_plane: MachinePool,
    /// The pools of workers; one of them is called `worker`.
    pub compute: Vec<MachinePool>,
    /// `platform.aws`
    pub aws: Aws,
    /// Who speaks to AWS on behalf of the cluster's operators; `None` lets them find out.
    pub credentials_mode: Option<CredentialsMode>,
    /// Whether the nodes run in FIPS mode.
    pub fips: bool,
    /// The credentials of the image registries, as JSON.
    pub pull_secret: SecretString,
    /// The line of authorised keys of the user `core`. Public by nature, and still never printed.
    pub ssh_key: Option<SecretString>,
    /// Certificates to trust, in PEM.
    pub additional_trust_bundle: Option<String>,
    /// When to trust them.
    pub additional_trust_bundle_policy: TrustBundlePolicy,
    /// The proxy of the cluster.
    pub proxy: Option<Proxy>,
}

impl InstallConfig {
    /// `<name>.<baseDomain>`, without a trailing dot.
    pub fn cluster_domain(&self) -> String {
        format!("{}.{}", self.name, self.base_domain)
    }
}

/// Who may reach the cluster's API and applications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Publish {
    /// Everyone.
    #[default]
    External,
    /// Those inside the network.
    Internal,
}

/// Who speaks to AWS on behalf of the cluster's operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialsMode {
    /// Users made for each operator.
    Mint,
    /// Everyone with the installer's credentials.
    Passthrough,
    /// Whoever the administrator set up.
    Manual,
}

/// When the additional trust bundle is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrustBundlePolicy {
    /// When there is a proxy.
    #[default]
    ProxyOnly,
    /// Always.
    Always,
}

/// The proxy of the cluster. Its URLs may carry passwords and are never printed.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// The proxy for plain requests.
    pub http: Option<SecretString>,
    /// The proxy for TLS requests.
    pub https: Option<SecretString>,
    /// What is asked without a proxy.
    pub no_proxy: Option<String>,
}

/// The networks of the cluster, none of which overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networking {
    /// `OVNKubernetes`, unless another one was asked for.
    pub network_type: String,
    /// Where the machines are; never empty, and the first one becomes the VPC.
    pub machine_networks: Vec<Ipv4Net>,
    /// Where the pods are; never empty.
    pub cluster_networks: Vec<ClusterNetwork>,
    /// Where the services are; exactly one.
    pub service_networks: Vec<Ipv4Net>,
    /// The MTU of the cluster network.
    pub cluster_network_mtu: Option<u32>,
}

/// A network of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterNetwork {
    /// The whole of it.
    pub cidr: Ipv4Net,
    /// The prefix length of the part that each node gets; 0 where the network plug-in decides.
    pub host_prefix: u8,
}

/// Machines that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachinePool {
    /// `master` or `worker`
    pub name: String,
    /// How many there are.
    pub replicas: u32,
    /// Whether each core runs two threads.
    pub hyperthreading: bool,
    /// The instruction set of the machines.
    pub architecture: Architecture,
    /// What AWS is told of them, defaults merged in.
    pub aws: AwsMachinePool,
}

/// An instruction set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Architecture {
    /// `amd64`
    #[default]
    Amd64,
    /// `arm64`
    Arm64,
}

/// What AWS is told of a pool: built-in defaults, overridden by the default machine platform,
/// overridden by the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsMachinePool {
    /// The availability zones; empty means all that the region or the subnets offer.
    pub zones: Vec<String>,
    /// The instance type.
    pub instance_type: Option<String>,
    /// The image, wherever it was asked for: pool, default machine platform, or platform.
    pub ami_id: Option<ImageId>,
    /// The root volume.
    pub root_volume: RootVolume,
    /// `metadataService`, each setting from the pool or the default machine platform.
    pub metadata_service: MetadataService,
    /// An existing role.
    pub iam_role: Option<RoleName>,
    /// An existing instance profile; never together with a role.
    pub iam_profile: Option<InstanceProfileName>,
    /// Existing security groups, in addition to the cluster's.
    pub additional_security_groups: Vec<SecurityGroupId>,
}

/// A root volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootVolume {
    /// `gp3`, `io2`, …
    pub volume_type: String,
    /// GiB.
    pub size: i32,
    /// Operations per second; `None` is the type's own figure.
    pub iops: Option<i32>,
    /// The ARN of the key; `None` is the account's default key for EBS.
    pub kms_key: Option<String>,
}

/// `platform.aws`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aws {
    /// The region.
    pub region: String,
    /// The image for every pool; already merged into the pools.
    pub ami_id: Option<ImageId>,
    /// Existing subnets; empty means that the cluster gets a VPC of its own.
    pub subnets: Vec<SubnetId>,
    /// An existing private zone.
    pub hosted_zone: Option<HostedZoneId>,
    /// The ARN of the role to assume for the private zone.
    pub hosted_zone_role: Option<String>,
    /// Tags for everything that is made.
    pub user_tags: BTreeMap<String, String>,
    /// Whether the operators tag what they make, too.
    pub propagate_user_tags: bool,
    /// Where to reach services that are not where AWS has them.
    pub service_endpoints: Vec<ServiceEndpoint>,
    /// The kind of the load balancer of the cluster's applications.
    pub load_balancer_type: LoadBalancerType,
    /// Whether the bucket with the Ignition of the bootstrap outlives the bootstrap.
    pub preserve_bootstrap_ignition: bool,
}

/// Where to reach a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEndpoint {
    /// `ec2`, `elasticloadbalancing`, `iam`, `route53`, `s3`, `sts`, …
    pub name: String,
    /// Its address.
    pub url: Url,
}

/// A kind of load balancer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadBalancerType {
    /// The classic one.
    #[default]
    Classic,
    /// A network load balancer.
    Network,
}
