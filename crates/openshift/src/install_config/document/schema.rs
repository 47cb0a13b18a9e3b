//! The fields of the v1 schema for platform aws (openshift/installer, `pkg/types` and
//! `pkg/types/aws` of release-4.15, and what later releases added, each with its first release).

use serde_json::{Value, json};

use super::{Anything, FieldValue, Fields, FromNode, Pairs, Sensitive, Spanned};
use crate::diagnostics::finding::{FieldSpan, FindingCollector};
use crate::diagnostics::yaml::YamlNode;
use crate::install_config::json_schema::{Definitions, HasSchema, section};
#[cfg(test)]
use crate::release::ReleaseRange;
use crate::release::releases;

/// `field: Type = "nameInYaml"`, with the description that editors show. A field of some releases has
/// `since(4, 19)` or `until(4, 19)` after its name.
///
/// Fields after a `+` are part of the schema. These fields have no effect on AWS resources, or only
/// together with a field that has one.
macro_rules! section {
    ($(
        $(#[$doc:meta])*
        $name:ident {
            $(
                #[doc = $about:literal]
                $field:ident: $type:ty = $key:literal $($limit:ident $release:tt)?,
            )*
        } $(+ [$($ignored:literal),*])?
    )*) => {$(
        $(#[$doc])*
        pub(in crate::install_config) struct $name {
            $(pub(in crate::install_config) $field: FieldValue<$type>,)*
        }

        impl FromNode for $name {
            fn read(node: &YamlNode, spot: &FieldSpan, report: &mut FindingCollector) -> Option<Self> {
                let fields = Fields::open(node, spot, report, Self::FIELDS)?;
                Some(Self {
                    $($field: fields.take_in(releases!($($limit $release)?), $key, report),)*
                })
            }
        }

        impl $name {
            /// The names of the fields.
            pub(in crate::install_config) const FIELDS: &[&str] = &[$($key,)* $($($ignored),*)?];
        }

        impl HasSchema for $name {
            fn describe(definitions: &mut Definitions) -> Value {
                section(definitions, stringify!($name), |definitions| vec![
                    $(($key, $about, <$type>::describe(definitions)),)*
                    $($(($ignored, " Has no effect on AWS resources.", json!({})),)*)?
                ])
            }
        }
    )*

        /// Names and fields of all sections.
        #[cfg(test)]
        pub(in crate::install_config) const SECTIONS: &[(&str, &[&str])] =
            &[$((stringify!($name), $name::FIELDS),)*];

        /// Description of each section, with the names and releases of its fields.
        #[cfg(test)]
        pub(in crate::install_config) const FIELD_RELEASES: &[SectionReleases] = &[$((
            concat!($(stringify!($doc)),*),
            &[$(($key, releases!($($limit $release)?)),)*],
        ),)*];
    };
}

/// Description of a section, and the names and releases of its fields.
#[cfg(test)]
pub(in crate::install_config) type SectionReleases =
    (&'static str, &'static [(&'static str, ReleaseRange)]);

/// A list whose items have positions.
type List<T> = Vec<Spanned<T>>;

section! {
    /// The whole file.
    Document {
        /// The version of this schema.
        api_version: String = "apiVersion",
        /// The name of the cluster, in its field `name`.
        metadata: Metadata = "metadata",
        /// The parent DNS domain. The domain of the cluster is `<name>.<baseDomain>`.
        base_domain: String = "baseDomain",
        /// Certificates in PEM that the nodes trust.
        additional_trust_bundle: String = "additionalTrustBundle",
        /// Condition under which nodes trust `additionalTrustBundle`: with a proxy, or always.
        additional_trust_bundle_policy: String = "additionalTrustBundlePolicy",
        /// A public key for the user `core` on all nodes.
        ssh_key: Sensitive = "sshKey",
        /// The networks of the cluster.
        networking: Networking = "networking",
        /// The pool of the control plane.
        control_plane: MachinePool = "controlPlane",
        /// Rejected; not for the platform aws.
        arbiter: Anything = "arbiter" since(4, 19),
        /// The pools of workers.
        compute: List<MachinePool> = "compute",
        /// The platform of the cluster: aws.
        platform: Platform<AwsPlatform> = "platform",
        /// Credentials for the registries that images come from, as JSON in a string.
        pull_secret: Sensitive = "pullSecret",
        /// The proxy through which nodes reach the internet.
        proxy: Proxy = "proxy",
        /// Use `imageDigestSources`.
        image_content_sources: List<ImageSource> = "imageContentSources",
        /// Mirrors that images are pulled from.
        image_digest_sources: List<ImageSource> = "imageDigestSources",
        /// Networks from which the cluster is reachable: the internet, or the VPC only.
        publish: String = "publish",
        /// Part of `publish: Mixed`, which aws does not have.
        operator_publishing_strategy: Anything = "operatorPublishingStrategy",
        /// True if nodes use validated cryptography only.
        fips: bool = "fips",
        /// Partitioning of CPUs between the platform and workloads.
        cpu_partitioning_mode: String = "cpuPartitioningMode",
        /// Credentials of the operators for AWS calls. If omitted, the cluster detects its permissions.
        credentials_mode: String = "credentialsMode",
        /// Rejected; for clusters that install themselves.
        bootstrap_in_place: Anything = "bootstrapInPlace",
        /// Optional components to install.
        capabilities: Capabilities = "capabilities",
        /// Set of features to enable.
        feature_set: String = "featureSet",
        /// `Name=true` or `Name=false`, with `featureSet: CustomNoUpgrade`.
        feature_gates: List<String> = "featureGates",
        /// The operating system of the nodes, whose images the file of --rhcos-stream has. If omitted, RHEL 10.
        image_stream: String = "osImageStream" since(5, 0),
        /// The keys of the cluster's own certificate authorities.
        pki: Pki = "pki" since(5, 0),
    } + ["kind"]

    /// `metadata`. The other fields of Kubernetes object metadata have no effect.
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
        /// MTU of the cluster network in bytes. If omitted, the network plug-in decides.
        cluster_network_mtu: i64 = "clusterNetworkMTU",
        /// Use `machineNetwork`.
        old_machine_cidr: String = "machineCIDR",
        /// Use `serviceNetwork`.
        old_service_cidr: String = "serviceCIDR",
        /// Use `clusterNetwork`.
        old_cluster_networks: List<ClusterNetwork> = "clusterNetworks",
        /// Use `networkType`.
        old_type: String = "type",
        /// Settings of OVN-Kubernetes.
        ovn: OvnKubernetesConfig = "ovnKubernetesConfig" since(4, 18),
    }

    /// `networking.ovnKubernetesConfig`
    OvnKubernetesConfig {
        /// Settings for IPv4.
        ipv4: OvnIpv4 = "ipv4",
    }

    /// `networking.ovnKubernetesConfig.ipv4`
    OvnIpv4 {
        /// The network between the routers of the nodes. If omitted, 100.64.0.0/16.
        join_subnet: String = "internalJoinSubnet",
    }

    /// `networking.machineNetwork[]`
    MachineNetwork {
        /// A network such as `10.0.0.0/16`.
        cidr: String = "cidr",
    }

    /// `networking.clusterNetwork[]`
    ClusterNetwork {
        /// A network such as `10.128.0.0/14`.
        cidr: String = "cidr",
        /// Prefix length of the part that each node gets.
        host_prefix: i64 = "hostPrefix",
        /// Use `hostPrefix`.
        old_host_subnet_length: i64 = "hostSubnetLength",
    }

    /// `controlPlane` and `compute[]`
    MachinePool {
        /// `master` for the control plane, `worker` for a compute pool.
        name: String = "name",
        /// Number of machines.
        replicas: i64 = "replicas",
        /// Hyperthreading. With `Enabled`, machines use both threads of each core.
        hyperthreading: String = "hyperthreading",
        /// The architecture of the machines, the same for the whole cluster.
        architecture: String = "architecture",
        /// EC2 settings of the machines.
        platform: Platform<AwsMachinePool> = "platform",
        /// Rejected; not for the platform aws.
        fencing: Anything = "fencing" since(4, 19),
        /// Not supported by groundplan.
        disk_setup: Anything = "diskSetup" since(4, 20),
        /// Not supported by groundplan, except `MachineAPI`.
        management: String = "management" since(5, 0),
    }

    /// `platform.aws`
    AwsPlatform {
        /// The region, such as `us-west-2`.
        region: String = "region",
        /// The image of all machines.
        ami_id: String = "amiID",
        /// Existing subnets. If omitted, the cluster gets its own VPC.
        subnets: List<String> = "subnets",
        /// Existing subnets, in the form of later releases.
        vpc: Vpc = "vpc" since(4, 19),
        /// An existing private hosted zone of the cluster. Requires `subnets`.
        hosted_zone: String = "hostedZone",
        /// ARN of a role for a hosted zone of another account. All calls about the zone assume the role.
        hosted_zone_role: String = "hostedZoneRole",
        /// ARN of the policy that bounds the permissions of all roles that groundplan creates. An extension of groundplan. If omitted, the account decides.
        permissions_boundary: String = "permissionsBoundary",
        /// Tags for all resources of the cluster.
        user_tags: Pairs = "userTags",
        /// True if operators also tag the resources that they create.
        propagate_user_tags: bool = "propagateUserTags",
        /// Use `propagateUserTags`.
        old_propagate_user_tags: bool = "experimentalPropagateUserTags" until(4, 19),
        /// Custom endpoints of AWS services.
        service_endpoints: List<ServiceEndpoint> = "serviceEndpoints",
        /// EC2 settings for the machines of every pool. Settings of a pool have precedence.
        default_machine_platform: AwsMachinePool = "defaultMachinePlatform",
        /// The type of load balancer for applications.
        lb_type: String = "lbType",
        /// True if the bootstrap Ignition is kept when the bootstrap machine is removed.
        preserve_bootstrap_ignition: bool = "preserveBootstrapIgnition",
        /// A pool of public IPv4 addresses that the account brought. NAT gateways and the external load balancer have their addresses. If omitted, addresses of Amazon.
        public_ipv4_pool: String = "publicIpv4Pool" since(4, 16),
        /// `Disabled`; groundplan does not support `Enabled`, which leaves all DNS records to the user.
        user_provisioned_dns: String = "userProvisionedDNS" since(4, 18),
        /// Not supported by groundplan, except `IPv4`.
        ip_family: String = "ipFamily" since(4, 22),
        /// No effect in groundplan. A failed deletion of the bucket with the bootstrap Ignition stops nothing else; the next run tries again.
        best_effort_delete: bool = "bestEffortDeleteIgnition" since(4, 16),
    }

    /// `platform.aws.vpc`
    Vpc {
        /// Existing subnets.
        subnets: List<VpcSubnet> = "subnets",
    }

    /// `platform.aws.vpc.subnets[]`
    VpcSubnet {
        /// The ID of a subnet.
        id: String = "id",
        /// The purposes of the subnet. Either all subnets have roles, or none has.
        roles: List<SubnetRole> = "roles",
    }

    /// `platform.aws.vpc.subnets[].roles[]`
    SubnetRole {
        /// The purpose: machines, bootstrap machine, or subnets of a load balancer.
        role_type: String = "type",
    }

    /// `platform.aws.serviceEndpoints[]`
    ServiceEndpoint {
        /// The service, such as `ec2`.
        name: String = "name",
        /// `https://`, a host and an optional port.
        url: String = "url",
    }

    /// `platform.aws` of a pool, and `platform.aws.defaultMachinePlatform`
    AwsMachinePool {
        /// Availability zones. If omitted, all zones that have the instance type.
        zones: List<String> = "zones",
        /// The instance type, such as `m6i.xlarge`.
        instance_type: String = "type",
        /// The image.
        ami_id: String = "amiID",
        /// The root volume.
        root_volume: RootVolume = "rootVolume",
        /// Settings of the instance metadata service.
        metadata_service: MetadataService = "metadataService",
        /// An existing role for the machines.
        iam_role: String = "iamRole",
        /// An existing instance profile for the machines.
        iam_profile: String = "iamProfile" since(4, 17),
        /// Security groups in addition to the cluster's own. Requires existing subnets.
        additional_security_groups: List<String> = "additionalSecurityGroupIDs",
        /// Options of the processor.
        cpu_options: CpuOptions = "cpuOptions" since(4, 21),
        /// Dedicated Hosts of the machines. For workers only.
        host_placement: HostPlacement = "hostPlacement" since(5, 0),
    }

    /// `hostPlacement`
    HostPlacement {
        /// `AnyAvailable`, or `DedicatedHost` for the hosts in `dedicatedHost`.
        affinity: String = "affinity",
        /// Existing hosts, at most one in each zone.
        dedicated_hosts: List<DedicatedHost> = "dedicatedHost",
    }

    /// `hostPlacement.dedicatedHost[]`
    DedicatedHost {
        /// The ID of a host: `h-` and 17 digits.
        id: String = "id",
    }

    /// `rootVolume`
    RootVolume {
        /// The type of volume.
        volume_type: String = "type",
        /// Size in GiB.
        size: i64 = "size",
        /// I/O operations per second. Required for io1 and io2.
        iops: i64 = "iops",
        /// Throughput in MiB/s of a gp3 volume. If omitted, EC2 chooses 125.
        throughput: i64 = "throughput" since(4, 21),
        /// ARN of the KMS key for encryption. If omitted, the account's default key.
        kms_key: String = "kmsKeyARN",
    }

    /// `metadataService`
    MetadataService {
        /// With `Required`, machines answer IMDSv2 only (HttpTokens=required). With `Optional`, they also answer IMDSv1. If omitted, the account, the image and AWS decide.
        authentication: String = "authentication",
        /// `Enabled` only, because no machine joins a cluster without it. An extension of groundplan. If omitted, the account and AWS decide.
        endpoint: String = "httpEndpoint",
        /// Maximum number of hops for the response to a token request, from 1 to 64. With 1, pods outside the host network get no token. An extension of groundplan. If omitted, the account, the image and AWS decide.
        hop_limit: i64 = "httpPutResponseHopLimit",
        /// `Disabled` only, because EC2 cannot serve tags with a `/` in their keys, which all machines of a cluster have. An extension of groundplan. If omitted, the account and AWS decide.
        instance_tags: String = "instanceMetadataTags",
    }

    /// `cpuOptions`
    CpuOptions {
        /// Memory encryption of AMD SEV-SNP with `AMDEncryptedVirtualizationNestedPaging`.
        confidential_compute: String = "confidentialCompute",
    }

    /// `proxy`
    Proxy {
        /// A URL that begins with `http://`.
        http: Sensitive = "httpProxy",
        /// A URL that begins with `http://` or `https://`.
        https: Sensitive = "httpsProxy",
        /// `*`, or domains, networks and addresses, separated by commas.
        no_proxy: String = "noProxy",
    }

    /// `imageContentSources[]` and `imageDigestSources[]`
    ImageSource {
        /// The repository in the names of images.
        source: String = "source",
        /// The repositories to pull the images from.
        mirrors: List<String> = "mirrors",
        /// Use of the source if no mirror has the image.
        source_policy: String = "sourcePolicy" since(4, 21),
    }

    /// `pki`
    Pki {
        /// The certificate authorities.
        signer_certificates: SignerCertificates = "signerCertificates",
    }

    /// `pki.signerCertificates`
    SignerCertificates {
        /// The key of each authority.
        key: SignerKey = "key",
    }

    /// `pki.signerCertificates.key`
    SignerKey {
        /// The algorithm.
        algorithm: String = "algorithm",
        /// Settings of RSA.
        rsa: RsaKey = "rsa",
        /// Settings of ECDSA.
        ecdsa: EcdsaKey = "ecdsa",
    }

    /// `pki.signerCertificates.key.rsa`
    RsaKey {
        /// Length in bits.
        size: i64 = "keySize",
    }

    /// `pki.signerCertificates.key.ecdsa`
    EcdsaKey {
        /// The curve.
        curve: String = "curve",
    }

    /// `capabilities`
    Capabilities {
        /// The initial set of capabilities.
        baseline: String = "baselineCapabilitySet",
        /// Capabilities in addition to the set.
        additional: List<String> = "additionalEnabledCapabilities",
    }
}

/// Platforms of the schema that groundplan does not support.
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

/// `platform` of the cluster or of a pool.
pub(in crate::install_config) struct Platform<T> {
    pub(in crate::install_config) aws: FieldValue<T>,
    /// The other platforms in the file.
    pub(in crate::install_config) others: Vec<Spanned<&'static str>>,
}

impl<T: FromNode> FromNode for Platform<T> {
    fn read(node: &YamlNode, spot: &FieldSpan, report: &mut FindingCollector) -> Option<Self> {
        let known: Vec<&str> = ["aws"].into_iter().chain(OTHER_PLATFORMS).collect();
        let fields = Fields::open(node, spot, report, &known)?;
        let others = OTHER_PLATFORMS.into_iter().filter_map(|name| {
            let given = fields.take::<Anything>(name, report);
            given.get().map(|at| Spanned { value: name, spot: at.spot.clone() })
        });
        Some(Self { others: others.collect(), aws: fields.take("aws", report) })
    }
}

impl<T: HasSchema> HasSchema for Platform<T> {
    /// Offers aws only. The reader knows the other platforms and rejects them.
    fn describe(definitions: &mut Definitions) -> Value {
        json!({
            "type": "object",
            "properties": {"aws": T::describe(definitions)},
            "required": ["aws"],
            "additionalProperties": false,
        })
    }
}
