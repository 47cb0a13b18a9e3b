//! The fields of the v1 schema for platform aws (openshift/installer, `pkg/types` and
//! `pkg/types/aws` of release-4.15, and what later releases added).

use serde_json::{Value, json};

use super::{Anything, At, Fields, Given, Pairs, Read, Sensitive};
use crate::config::editors::{Definitions, Described, section};
use crate::config::finding::{Report, Spot};
use crate::config::yaml::Node;

/// `field: Type = "nameInYaml"`, with what editors say of it; what follows a `+` is part of the schema and has no effect on AWS
/// resources, or only together with a field that says so.
macro_rules! section {
    ($(
        $(#[$doc:meta])*
        $name:ident {
            $(#[doc = $about:literal] $field:ident: $type:ty = $key:literal,)*
        } $(+ [$($ignored:literal),*])?
    )*) => {$(
        $(#[$doc])*
        pub(in crate::config) struct $name {
            $(pub(in crate::config) $field: Given<$type>,)*
        }

        impl Read for $name {
            fn read(node: &Node, spot: &Spot, report: &mut Report) -> Option<Self> {
                let fields = Fields::open(node, spot, report, Self::FIELDS)?;
                Some(Self { $($field: fields.take($key, report),)* })
            }
        }

        impl $name {
            /// The names of the fields.
            pub(in crate::config) const FIELDS: &[&str] = &[$($key,)* $($($ignored),*)?];
        }

        impl Described for $name {
            fn describe(definitions: &mut Definitions) -> Value {
                section(definitions, stringify!($name), |definitions| vec![
                    $(($key, $about, <$type>::describe(definitions)),)*
                    $($(($ignored, " Has no effect on AWS resources.", json!({})),)*)?
                ])
            }
        }
    )*

        /// The sections and their fields.
        #[cfg(test)]
        pub(in crate::config) const SECTIONS: &[(&str, &[&str])] =
            &[$((stringify!($name), $name::FIELDS),)*];
    };
}

/// A list whose items know their places.
type List<T> = Vec<At<T>>;

section! {
    /// The whole file.
    Document {
        /// The version of this schema.
        api_version: String = "apiVersion",
        /// What the cluster is called.
        metadata: Metadata = "metadata",
        /// The DNS domain that the cluster is part of: its own is `<name>.<baseDomain>`.
        base_domain: String = "baseDomain",
        /// Certificates in PEM that the nodes trust.
        additional_trust_bundle: String = "additionalTrustBundle",
        /// When `additionalTrustBundle` is trusted: with a proxy, or always.
        additional_trust_bundle_policy: String = "additionalTrustBundlePolicy",
        /// A public key for the user `core` on all nodes.
        ssh_key: Sensitive = "sshKey",
        /// The networks of the cluster.
        networking: Networking = "networking",
        /// The pool of the control plane.
        control_plane: MachinePool = "controlPlane",
        /// Not supported by groundplan.
        arbiter: Anything = "arbiter",
        /// The pools of workers.
        compute: List<MachinePool> = "compute",
        /// Where the cluster runs: on aws.
        platform: Platform<AwsPlatform> = "platform",
        /// Credentials for the registries that images come from, as JSON in a string.
        pull_secret: Sensitive = "pullSecret",
        /// What nodes go through to reach the internet.
        proxy: Proxy = "proxy",
        /// Use `imageDigestSources`.
        image_content_sources: List<ImageSource> = "imageContentSources",
        /// Where images are pulled from instead.
        image_digest_sources: List<ImageSource> = "imageDigestSources",
        /// Who reaches the cluster: the internet, or the VPC alone.
        publish: String = "publish",
        /// Belongs to `publish: Mixed`, which aws has not.
        operator_publishing_strategy: Anything = "operatorPublishingStrategy",
        /// Whether nodes use validated cryptography alone.
        fips: bool = "fips",
        /// Whether CPUs are set apart for the platform.
        cpu_partitioning_mode: String = "cpuPartitioningMode",
        /// How operators get at AWS. Left out, the cluster finds out what it may.
        credentials_mode: String = "credentialsMode",
        /// For clusters that install themselves; refused.
        bootstrap_in_place: Anything = "bootstrapInPlace",
        /// Which optional components are installed.
        capabilities: Capabilities = "capabilities",
        /// Which features are switched on.
        feature_set: String = "featureSet",
        /// `Name=true` or `Name=false`, with `featureSet: CustomNoUpgrade`.
        feature_gates: List<String> = "featureGates",
    } + ["kind", "osImageStream", "pki"]

    /// `metadata`; the other fields of Kubernetes' object metadata have no effect.
    Metadata {
        /// The name of the cluster: a DNS name in lower case of at most 54 characters.
        name: String = "name",
    } + ["creationTimestamp", "labels", "annotations", "namespace"]

    /// `networking`
    Networking {
        /// The network plug-in.
        network_type: String = "networkType",
        /// The networks of the machines; the first becomes the VPC.
        machine_network: List<MachineNetwork> = "machineNetwork",
        /// The networks of the pods.
        cluster_network: List<ClusterNetwork> = "clusterNetwork",
        /// The network of the services.
        service_network: List<String> = "serviceNetwork",
        /// The MTU of the pods; left out, the plug-in decides.
        cluster_network_mtu: i64 = "clusterNetworkMTU",
        /// Use `machineNetwork`.
        old_machine_cidr: String = "machineCIDR",
        /// Use `serviceNetwork`.
        old_service_cidr: String = "serviceCIDR",
        /// Use `clusterNetwork`.
        old_cluster_networks: List<ClusterNetwork> = "clusterNetworks",
        /// Use `networkType`.
        old_type: String = "type",
    } + ["ovnKubernetesConfig"]

    /// `networking.machineNetwork[]`
    MachineNetwork {
        /// A network such as `10.0.0.0/16`.
        cidr: String = "cidr",
    }

    /// `networking.clusterNetwork[]`
    ClusterNetwork {
        /// A network such as `10.128.0.0/14`.
        cidr: String = "cidr",
        /// The prefix length of the part that each node gets.
        host_prefix: i64 = "hostPrefix",
        /// Use `hostPrefix`.
        old_host_subnet_length: i64 = "hostSubnetLength",
    }

    /// `controlPlane` and `compute[]`
    MachinePool {
        /// `master` for the control plane, `worker` for a compute pool.
        name: String = "name",
        /// How many machines.
        replicas: i64 = "replicas",
        /// Whether machines use both threads of a core.
        hyperthreading: String = "hyperthreading",
        /// The architecture of the machines; one for the whole cluster.
        architecture: String = "architecture",
        /// What AWS is told of the machines.
        platform: Platform<AwsMachinePool> = "platform",
        /// Not supported by groundplan.
        fencing: Anything = "fencing",
        /// Not supported by groundplan.
        disk_setup: Anything = "diskSetup",
    } + ["management"]

    /// `platform.aws`
    AwsPlatform {
        /// The region, such as `us-west-2`.
        region: String = "region",
        /// The image of all machines.
        ami_id: String = "amiID",
        /// Existing subnets to use; left out, the cluster gets a VPC of its own.
        subnets: List<String> = "subnets",
        /// Existing subnets, in the way of later releases.
        vpc: Vpc = "vpc",
        /// An existing private zone of the cluster; needs `subnets`.
        hosted_zone: String = "hostedZone",
        /// Not supported by groundplan.
        hosted_zone_role: String = "hostedZoneRole",
        /// Tags on everything that is made.
        user_tags: Pairs = "userTags",
        /// Whether operators tag what they make, too.
        propagate_user_tags: bool = "propagateUserTags",
        /// Use `propagateUserTags`.
        old_propagate_user_tags: bool = "experimentalPropagateUserTags",
        /// Endpoints that stand in for those of AWS.
        service_endpoints: List<ServiceEndpoint> = "serviceEndpoints",
        /// What AWS is told of the machines of every pool that does not say otherwise.
        default_machine_platform: AwsMachinePool = "defaultMachinePlatform",
        /// The load balancer of the applications.
        lb_type: String = "lbType",
        /// Whether the bootstrap Ignition is kept when the bootstrap machine goes.
        preserve_bootstrap_ignition: bool = "preserveBootstrapIgnition",
        /// Not supported by groundplan.
        public_ipv4_pool: String = "publicIpv4Pool",
        /// Not supported by groundplan but for `Disabled`.
        user_provisioned_dns: String = "userProvisionedDNS",
        /// Not supported by groundplan but for `IPv4`.
        ip_family: String = "ipFamily",
    } + ["bestEffortDeleteIgnition"]

    /// `platform.aws.vpc`
    Vpc {
        /// Existing subnets to use.
        subnets: List<VpcSubnet> = "subnets",
    }

    /// `platform.aws.vpc.subnets[]`
    VpcSubnet {
        /// The id of a subnet.
        id: String = "id",
        /// Not supported by groundplan.
        roles: Anything = "roles",
    }

    /// `platform.aws.serviceEndpoints[]`
    ServiceEndpoint {
        /// The service, such as `ec2`.
        name: String = "name",
        /// `https://`, a host, perhaps a port.
        url: String = "url",
    }

    /// `platform.aws` of a pool, and `platform.aws.defaultMachinePlatform`
    AwsMachinePool {
        /// Availability zones; left out, all that have the instance type.
        zones: List<String> = "zones",
        /// The instance type, such as `m6i.xlarge`.
        instance_type: String = "type",
        /// The image.
        ami_id: String = "amiID",
        /// The root volume.
        root_volume: RootVolume = "rootVolume",
        /// How the instance metadata service answers.
        metadata_service: MetadataService = "metadataService",
        /// An existing role for the machines.
        iam_role: String = "iamRole",
        /// An existing instance profile for the machines.
        iam_profile: String = "iamProfile",
        /// Security groups besides the cluster's own; needs existing subnets.
        additional_security_groups: List<String> = "additionalSecurityGroupIDs",
        /// Options of the processor.
        cpu_options: CpuOptions = "cpuOptions",
        /// Which hosts machines stand on.
        host_placement: HostPlacement = "hostPlacement",
    }

    /// `rootVolume`
    RootVolume {
        /// The type of volume.
        volume_type: String = "type",
        /// GiB.
        size: i64 = "size",
        /// Operations per second; io1 and io2 need them.
        iops: i64 = "iops",
        /// Not supported by groundplan.
        throughput: i64 = "throughput",
        /// The ARN of the key that encrypts it; left out, the account's default.
        kms_key: String = "kmsKeyARN",
    }

    /// `metadataService`
    MetadataService {
        /// `Required`: the machines answer IMDSv2 alone (HttpTokens=required). `Optional`: IMDSv1, too. Left out: the account, the image and AWS decide.
        authentication: String = "authentication",
        /// `Enabled` alone: no machine joins a cluster without it. An extension of groundplan. Left out: the account and AWS decide.
        endpoint: String = "httpEndpoint",
        /// How many hops the answer to a request for a token may take, from 1 to 64: with 1, pods that are not on their host's network get none. An extension of groundplan. Left out: the account, the image and AWS decide.
        hop_limit: i64 = "httpPutResponseHopLimit",
        /// `Disabled` alone: EC2 cannot tell tags with a `/` in their keys, which all machines of a cluster have. An extension of groundplan. Left out: the account and AWS decide.
        instance_tags: String = "instanceMetadataTags",
    }

    /// `cpuOptions`
    CpuOptions {
        /// Not supported by groundplan but for `Disabled`.
        confidential_compute: String = "confidentialCompute",
    }

    /// `hostPlacement`
    HostPlacement {
        /// Not supported by groundplan but for `AnyAvailable`.
        affinity: String = "affinity",
    } + ["dedicatedHost"]

    /// `proxy`
    Proxy {
        /// A URL that begins with `http://`.
        http: Sensitive = "httpProxy",
        /// A URL that begins with `http://` or `https://`.
        https: Sensitive = "httpsProxy",
        /// `*`, or domains, networks and addresses between commas.
        no_proxy: String = "noProxy",
    }

    /// `imageContentSources[]` and `imageDigestSources[]`
    ImageSource {
        /// The repository that images are named by.
        source: String = "source",
        /// The repositories that they are pulled from.
        mirrors: List<String> = "mirrors",
    } + ["sourcePolicy"]

    /// `capabilities`
    Capabilities {
        /// The set to begin with.
        baseline: String = "baselineCapabilitySet",
        /// Capabilities besides those of the set.
        additional: List<String> = "additionalEnabledCapabilities",
    }
}

/// The platforms that the schema has and we have not.
const OTHER_PLATFORMS: [&str; 14] = [
    "alibabacloud",
    "azure",
    "baremetal",
    "external",
    "gcp",
    "ibmcloud",
    "kubevirt",
    "libvirt",
    "none",
    "nutanix",
    "openstack",
    "ovirt",
    "powervs",
    "vsphere",
];

/// `platform`, of the cluster or of a pool.
pub(in crate::config) struct Platform<T> {
    pub(in crate::config) aws: Given<T>,
    /// The other platforms that were given.
    pub(in crate::config) others: Vec<At<&'static str>>,
}

impl<T: Read> Read for Platform<T> {
    fn read(node: &Node, spot: &Spot, report: &mut Report) -> Option<Self> {
        let known: Vec<&str> = ["aws"].into_iter().chain(OTHER_PLATFORMS).collect();
        let fields = Fields::open(node, spot, report, &known)?;
        let others = OTHER_PLATFORMS.into_iter().filter_map(|name| {
            let given = fields.take::<Anything>(name, report);
            given.get().map(|at| At { value: name, spot: at.spot.clone() })
        });
        Some(Self { others: others.collect(), aws: fields.take("aws", report) })
    }
}

impl<T: Described> Described for Platform<T> {
    /// The others are known and refused: an editor need not offer them.
    fn describe(definitions: &mut Definitions) -> Value {
        json!({
            "type": "object",
            "properties": {"aws": T::describe(definitions)},
            "required": ["aws"],
            "additionalProperties": false,
        })
    }
}
