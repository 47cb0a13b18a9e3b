//! The fields of the v1 schema for platform aws (openshift/installer, `pkg/types` and
//! `pkg/types/aws` of release-4.15, and what later releases added).

use super::{Anything, At, Fields, Given, Pairs, Read, Sensitive};
use crate::config::finding::{Report, Spot};
use crate::config::yaml::Node;

/// `field: Type = "nameInYaml"`; what follows a `+` is part of the schema and has no effect on AWS
/// resources, or only together with a field that says so.
macro_rules! section {
    ($(
        $(#[$doc:meta])*
        $name:ident { $($field:ident: $type:ty = $key:literal,)* } $(+ [$($ignored:literal),*])?
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
    )*};
}

/// A list whose items know their places.
type List<T> = Vec<At<T>>;

section! {
    /// The whole file.
    Document {
        api_version: String = "apiVersion",
        metadata: Metadata = "metadata",
        base_domain: String = "baseDomain",
        additional_trust_bundle: String = "additionalTrustBundle",
        additional_trust_bundle_policy: String = "additionalTrustBundlePolicy",
        ssh_key: Sensitive = "sshKey",
        networking: Networking = "networking",
        control_plane: MachinePool = "controlPlane",
        arbiter: Anything = "arbiter",
        compute: List<MachinePool> = "compute",
        platform: Platform<AwsPlatform> = "platform",
        pull_secret: Sensitive = "pullSecret",
        proxy: Proxy = "proxy",
        image_content_sources: List<ImageSource> = "imageContentSources",
        image_digest_sources: List<ImageSource> = "imageDigestSources",
        publish: String = "publish",
        operator_publishing_strategy: Anything = "operatorPublishingStrategy",
        fips: bool = "fips",
        cpu_partitioning_mode: String = "cpuPartitioningMode",
        credentials_mode: String = "credentialsMode",
        bootstrap_in_place: Anything = "bootstrapInPlace",
        capabilities: Capabilities = "capabilities",
        feature_set: String = "featureSet",
        feature_gates: List<String> = "featureGates",
    } + ["kind", "osImageStream", "pki"]

    /// `metadata`; the other fields of Kubernetes' object metadata have no effect.
    Metadata {
        name: String = "name",
    } + ["creationTimestamp", "labels", "annotations", "namespace"]

    /// `networking`
    Networking {
        network_type: String = "networkType",
        machine_network: List<MachineNetwork> = "machineNetwork",
        cluster_network: List<ClusterNetwork> = "clusterNetwork",
        service_network: List<String> = "serviceNetwork",
        cluster_network_mtu: i64 = "clusterNetworkMTU",
        old_machine_cidr: String = "machineCIDR",
        old_service_cidr: String = "serviceCIDR",
        old_cluster_networks: List<ClusterNetwork> = "clusterNetworks",
        old_type: String = "type",
    } + ["ovnKubernetesConfig"]

    /// `networking.machineNetwork[]`
    MachineNetwork {
        cidr: String = "cidr",
    }

    /// `networking.clusterNetwork[]`
    ClusterNetwork {
        cidr: String = "cidr",
        host_prefix: i64 = "hostPrefix",
        old_host_subnet_length: i64 = "hostSubnetLength",
    }

    /// `controlPlane` and `compute[]`
    MachinePool {
        name: String = "name",
        replicas: i64 = "replicas",
        hyperthreading: String = "hyperthreading",
        architecture: String = "architecture",
        platform: Platform<AwsMachinePool> = "platform",
        fencing: Anything = "fencing",
        disk_setup: Anything = "diskSetup",
    } + ["management"]

    /// `platform.aws`
    AwsPlatform {
        region: String = "region",
        ami_id: String = "amiID",
        subnets: List<String> = "subnets",
        vpc: Vpc = "vpc",
        hosted_zone: String = "hostedZone",
        hosted_zone_role: String = "hostedZoneRole",
        user_tags: Pairs = "userTags",
        propagate_user_tags: bool = "propagateUserTags",
        old_propagate_user_tags: bool = "experimentalPropagateUserTags",
        service_endpoints: List<ServiceEndpoint> = "serviceEndpoints",
        default_machine_platform: AwsMachinePool = "defaultMachinePlatform",
        lb_type: String = "lbType",
        preserve_bootstrap_ignition: bool = "preserveBootstrapIgnition",
        public_ipv4_pool: String = "publicIpv4Pool",
        user_provisioned_dns: String = "userProvisionedDNS",
        ip_family: String = "ipFamily",
    } + ["bestEffortDeleteIgnition"]

    /// `platform.aws.vpc`
    Vpc {
        subnets: List<VpcSubnet> = "subnets",
    }

    /// `platform.aws.vpc.subnets[]`
    VpcSubnet {
        id: String = "id",
        roles: Anything = "roles",
    }

    /// `platform.aws.serviceEndpoints[]`
    ServiceEndpoint {
        name: String = "name",
        url: String = "url",
    }

    /// `platform.aws` of a pool, and `platform.aws.defaultMachinePlatform`
    AwsMachinePool {
        zones: List<String> = "zones",
        instance_type: String = "type",
        ami_id: String = "amiID",
        root_volume: RootVolume = "rootVolume",
        metadata_service: MetadataService = "metadataService",
        iam_role: String = "iamRole",
        iam_profile: String = "iamProfile",
        additional_security_groups: List<String> = "additionalSecurityGroupIDs",
        cpu_options: CpuOptions = "cpuOptions",
        host_placement: HostPlacement = "hostPlacement",
    }

    /// `rootVolume`
    RootVolume {
        volume_type: String = "type",
        size: i64 = "size",
        iops: i64 = "iops",
        throughput: i64 = "throughput",
        kms_key: String = "kmsKeyARN",
    }

    /// `metadataService`
    MetadataService {
        authentication: String = "authentication",
    }

    /// `cpuOptions`
    CpuOptions {
        confidential_compute: String = "confidentialCompute",
    }

    /// `hostPlacement`
    HostPlacement {
        affinity: String = "affinity",
    } + ["dedicatedHost"]

    /// `proxy`
    Proxy {
        http: Sensitive = "httpProxy",
        https: Sensitive = "httpsProxy",
        no_proxy: String = "noProxy",
    }

    /// `imageContentSources[]` and `imageDigestSources[]`
    ImageSource {
        source: String = "source",
        mirrors: List<String> = "mirrors",
    } + ["sourcePolicy"]

    /// `capabilities`
    Capabilities {
        baseline: String = "baselineCapabilitySet",
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
