//! The rules for an install-config, each with a stable name.
//!
//! A rule has a description, a severity, a source, and the releases of openshift-install that have
//! it. The sections check the rules.
//! `docs/validation.md` lists this table, and a test compares the two.

use serde::{Serialize, Serializer};

use super::finding::Severity::{self, Error, Warning};
use crate::release::{ReleaseRange, releases};

/// Origin of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleSource {
    /// openshift/installer `pkg/types/validation` and `pkg/validate`, release-4.15: any platform.
    Installer,
    /// openshift/installer `pkg/types/aws/validation`, release-4.15.
    InstallerAws,
    /// AWS would reject the input later.
    Aws,
    /// groundplan: the result would differ from the request of the user.
    Groundplan,
    /// Machines in files: openshift/machine-api-operator `pkg/webhooks`, the types of
    /// openshift/api, and the requirements of an API server for every object.
    MachineApi,
    /// groundplan, for machines in files, with any launcher.
    Manifests,
    /// groundplan, for machines that it launches from files.
    Machines,
}

/// `Name = "id", severity, source: description`. A rule of some releases has `, since(4, 16)` or
/// `, until(4, 15)` after its source. Both limits are part of the range.
macro_rules! rules {
    ($($name:ident = $id:literal, $severity:expr, $source:ident $(, $limit:ident $release:tt)?: $about:literal;)*) => {
        /// A rule for an install-config or a manifest.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = concat!("`", $id, "`: ", $about)] $name,)*
        }

        impl Rule {
            /// All rules, in the order of the sections.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Name of the rule in files and findings. A name never changes and is never reused for
            /// another rule.
            pub fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// Severity of a violation.
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => $severity,)* }
            }

            /// Origin of the rule.
            pub fn source(self) -> RuleSource {
                match self { $(Self::$name => RuleSource::$source,)* }
            }

            /// Releases that have the rule.
            pub fn releases(self) -> ReleaseRange {
                match self { $(Self::$name => releases!($($limit $release)?),)* }
            }

            /// Description of the rule in one line.
            pub fn about(self) -> &'static str {
                match self { $(Self::$name => $about,)* }
            }
        }
    };
}

rules! {
    // The file as a whole.
    Encoding = "encoding", Error, Groundplan: "the file is text in UTF-8, without NUL bytes";
    FileSize = "file-size", Error, Groundplan: "the file is at most 1 MiB, 20,000 values, 24 levels and 200 aliases";
    Empty = "empty", Error, Installer: "the file is not empty";
    Documents = "documents", Error, Groundplan: "the file is one YAML document";
    Yaml = "yaml", Error, Installer: "the file is YAML";
    WrongType = "wrong-type", Error, Installer: "a field has the type of the schema";
    RepeatedField = "repeated-field", Error, Installer: "a field is set once";
    EmptyItem = "empty-item", Error, Groundplan: "an item of a list has a value";
    UnknownField = "unknown-field", Warning, Installer: "a field is one of the schema of the release; others have no effect";
    RefusedField = "refused-field", Error, Installer, since(5, 0): "a field is one of the schema of the release; openshift-install 5.0 rejects others when a person starts it";
    ExtensionField = "extension-field", Warning, Groundplan, since(5, 0): "no field is an extension of groundplan, because openshift-install 5.0 rejects it; for a given release only";
    LostMetadataService = "lost-metadata-service", Error, Groundplan: "`metadataService` and its fields are spelt right and where they have an effect";
    MisplacedCredential = "misplaced-credential", Error, Groundplan: "credentials are only in the fields for credentials";
    Missing = "missing", Error, Installer: "a required field is set";
    Deprecated = "deprecated", Warning, Installer: "a field has its current name";
    Unsupported = "unsupported", Error, Groundplan: "no setting is used that this version of groundplan would ignore";
    NoEffect = "no-effect", Warning, Groundplan: "no setting is used that only openshift-install reads and that changes nothing in groundplan";

    // The top level.
    ApiVersion = "api-version", Error, Installer: "`apiVersion` is `v1`";
    OldApiVersion = "old-api-version", Warning, Installer: "`apiVersion` is not `v1beta3` or `v1beta4`, which are read as `v1`";
    ClusterName = "cluster-name", Error, Installer: "`metadata.name` is a DNS name in lower case of at most 54 characters";
    BaseDomain = "base-domain", Error, Installer: "`baseDomain` is a DNS name in lower case; one dot may end it";
    ClusterDomain = "cluster-domain", Error, Installer: "`<name>.<baseDomain>` is at most 253 characters";
    Publish = "publish", Error, Installer: "`publish` is `External` or `Internal`; aws does not support `Mixed`";
    PublishingStrategy = "publishing-strategy", Error, Installer: "`operatorPublishingStrategy` is absent, because it belongs to `Mixed`";
    CredentialsMode = "credentials-mode", Error, Installer: "`credentialsMode` is `Mint`, `Passthrough` or `Manual`";
    CpuPartitioning = "cpu-partitioning", Warning, Installer: "`cpuPartitioningMode` is `None` or `AllNodes`; openshift-install takes other words for `None`";
    ArbiterPlatform = "arbiter-platform", Error, Installer: "`arbiter` is absent, because it is for the platforms baremetal, external and none";
    BootstrapInPlace = "bootstrap-in-place", Error, Groundplan: "`bootstrapInPlace` is absent, because it is for clusters without a bootstrap machine";
    CapabilitySet = "capability-set", Error, Installer: "`capabilities` has a `baselineCapabilitySet`, which is a known set";
    Capability = "capability", Error, Installer: "`additionalEnabledCapabilities` are known capabilities";
    CloudCredential = "cloud-credential", Error, Installer: "the capability `CloudCredential` is enabled";
    CapabilityRequired = "capability-required", Error, Installer, since(4, 16): "the capabilities `CloudControllerManager` and `Ingress` are enabled";
    CapabilityNeeds = "capability-needs", Error, Installer: "`marketplace` requires `OperatorLifecycleManager`, since 4.16 also on a set; until 4.15, `baremetal` requires `MachineAPI` on the set `None`";
    FeatureSet = "feature-set", Error, Installer: "`featureSet` is a known set";
    FeatureGates = "feature-gates", Error, Installer: "`featureGates` require the set `CustomNoUpgrade`";
    FeatureGate = "feature-gate", Error, Installer: "a feature gate is `Name=true` or `Name=false`; `True`, `TRUE`, `t`, `T` and `1`, and the same of false, are accepted, too";
    ImageSources = "image-sources", Error, Installer: "`imageContentSources` and `imageDigestSources` are not both set";
    ImageRepository = "image-repository", Error, Installer: "sources and mirrors are repositories, without scheme, tag or digest; a repository with a path begins with the host of its registry";
    SourcePolicy = "source-policy", Error, Installer: "`sourcePolicy` is `NeverContactSource` or `AllowContactingSource`, and its source has mirrors";
    ImageStream = "image-stream", Error, Installer: "`osImageStream` is `rhel-9` or `rhel-10`";
    SignerKey = "signer-key", Error, Installer: "`pki.signerCertificates.key` is RSA with a multiple of 1024 bits from 2048 to 8192, or ECDSA with the curve P256, P384 or P521; `pki` requires the feature gate `ConfigurablePKI`";

    // Secrets and trust.
    PullSecret = "pull-secret", Error, Installer: "`pullSecret` is JSON with `auths`, and `auth` or `credsStore` for each registry";
    SshKey = "ssh-key", Error, Installer: "`sshKey` is a public key";
    SshKeyFips = "ssh-key-fips", Error, Installer: "with `fips`, the key is `ssh-rsa` or `ecdsa-sha2-nistp*`";
    SshKeys = "ssh-keys", Error, Installer, since(4, 20): "every line of `sshKey` is a public key; earlier releases read the first one";
    TrustBundle = "trust-bundle", Error, Installer: "`additionalTrustBundle` has at least one certificate in PEM and no other PEM blocks; text before and between the blocks has no effect";
    TrustBundlePolicy = "trust-bundle-policy", Error, Installer: "`additionalTrustBundlePolicy` is `Proxyonly` or `Always`";
    ProxyMissing = "proxy-missing", Error, Installer: "`proxy` names `httpProxy`, `httpsProxy` or both";
    ProxyUrl = "proxy-url", Error, Installer: "a proxy is a URL";
    ProxyScheme = "proxy-scheme", Error, Installer: "`httpProxy` is `http://`; `httpsProxy` is `http://` or `https://`";
    ProxyInside = "proxy-inside", Error, Installer: "a proxy's address is outside the cluster and service networks";
    NoProxy = "no-proxy", Error, Installer: "`noProxy` is `*`, or domains, networks and addresses with commas and without spaces between them";

    // `networking`.
    Network = "network", Error, Installer: "a network is an address and a prefix";
    NetworkFamily = "network-family", Error, Installer: "networks are IPv4";
    HostBits = "host-bits", Error, Installer: "the address of a network is its first address";
    UnspecifiedNetwork = "unspecified-network", Error, Installer: "a network does not begin at `0.0.0.0`";
    NetworkOverlap = "network-overlap", Error, Installer: "machine, service and cluster networks do not overlap";
    ContainerBridge = "container-bridge", Warning, Installer: "no network overlaps 172.17.0.0/16, the bridge of container engines";
    ServiceNetworks = "service-networks", Error, Installer: "there is one service network";
    ServiceNetworkSize = "service-network-size", Error, Installer: "the service network is /12 or smaller";
    HostPrefix = "host-prefix", Error, Installer: "`hostPrefix` lies between the prefix of the cluster network and 32";
    NetworkType = "network-type", Error, Installer: "`networkType` is not `Kuryr` or `OpenShiftSDN`, which are no longer supported";
    JoinSubnet = "join-subnet", Error, Installer: "`ovnKubernetesConfig` requires `OVNKubernetes`, and its `internalJoinSubnet` is a network outside the others, with an address for each node";
    OvnDefaults = "ovn-defaults", Error, Installer, since(4, 19): "cluster and service networks do not overlap 100.64.0.0/16, 100.88.0.0/16 and 169.254.0.0/17, which OVN-Kubernetes uses";
    Mtu = "mtu", Error, Installer: "`clusterNetworkMTU` is from 1000 to 8901";
    MtuNetworkType = "mtu-network-type", Error, Installer: "`clusterNetworkMTU` requires `OVNKubernetes`";
    MtuEdge = "mtu-edge", Warning, Installer: "with an edge pool, `clusterNetworkMTU` is at most 1200";
    VpcSize = "vpc-size", Error, Aws: "the machine network that becomes the VPC is /16 or smaller";
    SubnetRoom = "subnet-room", Error, Aws: "the machine network has room for two subnets of /28 or larger in each zone";

    // Machine pools.
    ControlPlaneName = "control-plane-name", Warning, Installer: "`controlPlane.name` is `master`; other names have no effect";
    PoolName = "pool-name", Error, Installer: "a compute pool is named `worker` or `edge`";
    EdgePool = "edge-pool", Error, Installer, until(4, 13): "there is no `edge` pool, for which openshift-install creates subnets since 4.14";
    EdgeZones = "edge-zones", Error, InstallerAws: "an `edge` pool has zones, unless existing subnets are in Local or Wavelength Zones";
    WavelengthZone = "wavelength-zone", Error, InstallerAws, until(4, 14): "no zone is a Wavelength Zone (`...-wlz-...`)";
    RepeatedPool = "repeated-pool", Error, Installer: "each compute pool has a different name";
    PoolPlatform = "pool-platform", Error, Installer: "a pool has the platform of the cluster";
    Replicas = "replicas", Error, Installer: "`replicas` is not negative, and at most 10,000";
    ControlPlaneReplicas = "control-plane-replicas", Error, Installer: "the control plane has at least one machine";
    Quorum = "quorum", Warning, Groundplan: "the control plane does not have two machines, because etcd with two members survives no failure";
    FencingPlatform = "fencing-platform", Error, Installer: "`fencing` is absent, because it is for the platforms baremetal, external and none";
    ControlPlanePair = "control-plane-pair", Error, Installer, since(4, 19): "the control plane does not have two machines, because a pair requires fencing, which aws does not have";
    Hyperthreading = "hyperthreading", Error, Installer: "`hyperthreading` is `Enabled` or `Disabled`";
    Architecture = "architecture", Error, Installer: "`architecture` is `amd64` or `arm64`";
    PoolArchitecture = "pool-architecture", Error, Installer, until(4, 16): "all pools have the control plane's architecture";
    MixedArchitecture = "mixed-architecture", Warning, Installer, since(4, 17): "pools of another architecture than the control plane's have a multi-architecture release image";
    PoolManagement = "pool-management", Error, Installer: "`management` of a compute pool is `MachineAPI`, or `ClusterAPI` with the feature gate `ClusterAPIComputeInstall`; the control plane has none";

    // `platform.aws` of a pool.
    Authentication = "authentication", Error, InstallerAws: "`metadataService.authentication` is `Required` or `Optional`, in this spelling";
    EmptyAuthentication = "empty-authentication", Warning, Groundplan: "`metadataService.authentication` is not empty, because an empty value has no effect";
    MetadataHopLimit = "metadata-hop-limit", Error, Groundplan: "`metadataService.httpPutResponseHopLimit` is from 1 to 64";
    MetadataEndpoint = "metadata-endpoint", Error, Groundplan: "`metadataService.httpEndpoint` is `Enabled`, because no machine joins a cluster without it";
    MetadataTags = "metadata-tags", Error, Groundplan: "`metadataService.instanceMetadataTags` is `Disabled`, because EC2 otherwise rejects tag keys with a `/`";
    MetadataReach = "metadata-reach", Warning, Groundplan: "with `authentication: Required`, the hop limit is not 1, because pods outside the host network then get no token";
    InstanceType = "instance-type", Error, Groundplan: "`type` is a family and a size";
    Zone = "zone", Error, InstallerAws: "a zone begins with the region";
    VolumeType = "volume-type", Error, InstallerAws: "`rootVolume.type` is a volume type";
    VolumeSize = "volume-size", Error, InstallerAws: "`rootVolume.size` is positive; 0 counts as omitted";
    VolumeSizeMissing = "volume-size-missing", Error, InstallerAws, until(4, 20): "`rootVolume.type` has a size";
    VolumeBounds = "volume-bounds", Error, Aws: "`rootVolume.size` and `rootVolume.iops` are in the range of EC2 for the volume type";
    VolumeRelation = "volume-relation", Error, Aws: "`rootVolume.iops` fits `rootVolume.size`: at most 500 for each GiB of gp3, 50 of io1, 1,000 of io2";
    VolumeRoot = "volume-root", Error, Aws: "`rootVolume.type` is not `st1` or `sc1`, which no machine boots from";
    VolumeKey = "volume-key", Error, Aws: "`rootVolume.kmsKeyARN` is a KMS key of the cluster's region";
    VolumeIops = "volume-iops", Error, InstallerAws: "`rootVolume.iops` is positive for io1 and io2, not negative for gp3, and absent for others";
    VolumeThroughput = "volume-throughput", Error, InstallerAws: "`rootVolume.throughput` is from 125 to 2000, for gp3";
    CpuOptions = "cpu-options", Error, InstallerAws: "`cpuOptions` has a `confidentialCompute`, which is `Disabled` or `AMDEncryptedVirtualizationNestedPaging`";
    HostPlacement = "host-placement", Error, InstallerAws: "`hostPlacement` is set for workers only, with the feature gate `AWSDedicatedHosts`; its affinity is `AnyAvailable`, or `DedicatedHost` with at least one host, each once";
    RoleAndProfile = "role-and-profile", Error, InstallerAws: "`iamRole` and `iamProfile` are not both set";
    SecurityGroupsVpc = "security-groups-vpc", Error, InstallerAws: "`additionalSecurityGroupIDs` require existing subnets";
    SecurityGroupCount = "security-group-count", Error, InstallerAws: "`additionalSecurityGroupIDs` are at most 15";
    SecurityGroupReserve = "security-group-reserve", Error, InstallerAws, since(4, 16): "`additionalSecurityGroupIDs` are at most 10, because the cluster needs the others";

    // `platform.aws`.
    OtherPlatform = "other-platform", Error, Groundplan: "the platform is aws";
    Region = "region", Error, Groundplan: "`region` has the form of an AWS region, with a direction and a number";
    UnknownRegion = "unknown-region", Warning, Groundplan: "`region` is one that this version knows";
    SovereignRegion = "sovereign-region", Error, InstallerAws, since(5, 0): "a region `eusc-*` requires the feature gate `AWSEuropeanSovereignCloudInstall`";
    AwsId = "aws-id", Error, Aws: "the IDs of subnets, images and security groups have the form of such IDs";
    SubnetsInBoth = "subnets-in-both", Error, InstallerAws: "`subnets` and `vpc.subnets` are not both set";
    RepeatedSubnet = "repeated-subnet", Error, InstallerAws, since(4, 19): "a subnet is listed once";
    HostedZoneSubnets = "hosted-zone-subnets", Error, InstallerAws: "`hostedZone` requires existing subnets";
    HostedZoneRoleZone = "hosted-zone-role-zone", Error, InstallerAws: "`hostedZoneRole` requires `hostedZone`";
    HostedZoneRoleMode = "hosted-zone-role-mode", Error, InstallerAws: "`hostedZoneRole` requires credentialsMode `Passthrough` or `Manual`";
    HostedZoneRoleArn = "hosted-zone-role-arn", Error, Aws: "`hostedZoneRole` is an ARN";
    PermissionsBoundary = "permissions-boundary", Error, Aws: "`permissionsBoundary` is the ARN of an IAM policy in the partition of the region";
    UserProvisionedDns = "user-provisioned-dns", Error, InstallerAws: "`userProvisionedDNS` is `Disabled`, or `Enabled` with the feature gate `AWSClusterHostedDNSInstall` (`AWSClusterHostedDNS` until 4.19)";
    SubnetRole = "subnet-role", Error, InstallerAws: "each role of a subnet is known and listed once, without contradiction: `EdgeNode` alone, and not both `ControlPlaneExternalLB` and `ControlPlaneInternalLB`";
    SubnetRoles = "subnet-roles", Error, InstallerAws: "all subnets have roles or none has; each role but `EdgeNode` has a subnet, `ControlPlaneExternalLB` only with `publish: External`, `IngressControllerLB` at most ten";
    PublicPoolPublish = "public-pool-publish", Error, InstallerAws: "`publicIpv4Pool` requires `publish: External`";
    RepeatedEndpoint = "repeated-endpoint", Error, InstallerAws: "a service has one endpoint";
    EndpointUrl = "endpoint-url", Error, InstallerAws: "an endpoint is `https://`, a host and optionally a port; plain http is only for loopback";
    UnusedEndpoint = "unused-endpoint", Warning, Groundplan: "the name of a service endpoint is not a misspelt name of a used service";
    TagCount = "tag-count", Error, InstallerAws: "`userTags` are at most 25";
    TagsOnObjects = "tags-on-objects", Warning, InstallerAws: "`userTags` are at most 8, because more do not fit on an S3 object";
    TagName = "tag-name", Error, InstallerAws: "no user tag is `Name`, in upper or lower case";
    TagAws = "tag-aws", Error, Aws: "no user tag begins with `aws:`";
    TagGroundplan = "tag-groundplan", Error, Groundplan: "no user tag begins with `groundplan.io/`";
    TagReserved = "tag-reserved", Error, InstallerAws: "no user tag begins with `kubernetes.io/cluster/`; propagated ones, and since 4.18 all, are outside `kubernetes.io` and `openshift.io`";
    TagKeyLength = "tag-key-length", Error, Aws: "the key of a tag has 1 to 128 characters";
    TagValueLength = "tag-value-length", Error, Aws: "the value of a tag has at most 256 characters; propagated ones, and since 4.18 all, at least 1";
    TagPortable = "tag-portable", Error, Aws: "user tags have only letters, digits, spaces and `_.:/=+-@`, because IAM, S3 and Elastic Load Balancing reject others";
    TagSpaces = "tag-spaces", Error, Aws: "the keys and values of user tags neither begin nor end with a space";
    TagCase = "tag-case", Error, Aws: "no two keys of user tags differ only in case, because IAM takes them for one";
    TagCharacters = "tag-characters", Error, InstallerAws: "propagated tags, and since 4.18 all, have only letters, digits and `_.:/=+-@`; since 4.17 also spaces";
    LoadBalancerType = "load-balancer-type", Warning, InstallerAws: "`lbType` is `Classic` or `NLB`; openshift-install takes other words for `Classic`";
    AtAws = "at-aws", Error, Aws: "AWS has the resources that the config names; `plan` and `apply` check this";
    RegionImage = "region-image", Error, InstallerAws: "in regions without images of Red Hat, every pool has an `amiID`";

    // Machines of the Machine API, as files (`groundplan manifests check`).
    MachineKind = "machine-kind", Error, MachineApi: "an object whose kind and version resemble those of a Machine or a set of Machines has the exact kind and version";
    LostField = "lost-field", Error, Manifests: "the fields of a machine are spelt correctly, and those of `metadataServiceOptions` are known, because others have no effect";
    ProviderSpec = "provider-spec", Error, MachineApi: "a machine has a `providerSpec.value`";
    ProviderConfigKind = "provider-config-kind", Warning, MachineApi: "`providerSpec.value` has the kind AWSMachineProviderConfig";
    MachineImage = "machine-image", Error, MachineApi: "`ami` has an id";
    MachineImageSearch = "machine-image-search", Warning, MachineApi: "`ami` has no arn and no filters, because they have no effect";
    MachineCpu = "machine-cpu", Error, MachineApi: "`cpuOptions.confidentialCompute` is `Disabled` or `AMDEncryptedVirtualizationNestedPaging`";
    MachineTag = "machine-tag", Warning, MachineApi: "a tag is set once";
    MachineTagLimits = "machine-tag-limits", Error, Manifests: "a tag has a key of 1 to 128 characters that does not begin with `aws:` and a value of at most 256, and a machine has at most 50 tags with the two that the cluster sets";
    MachineTagPortable = "machine-tag-portable", Warning, Manifests: "tags have only characters that all of AWS accepts, no spaces at the ends, and keys that differ in more than case; EC2 accepts others";
    MachineProfile = "machine-profile", Warning, MachineApi: "`iamInstanceProfile` is set, by its id";
    MachineInterface = "machine-interface", Error, MachineApi: "`networkInterfaceType` is `ENA` or `EFA`";
    MachineSubnet = "machine-subnet", Warning, MachineApi: "`subnet` is set, by id or filters";
    MachineRegion = "machine-region", Error, MachineApi: "`placement.region` is set, or the region of the cluster is known";
    MachineTenancy = "machine-tenancy", Error, MachineApi: "`placement.tenancy` is `default`, `dedicated` or `host`";
    MachineHost = "machine-host", Error, MachineApi: "`placement.host` requires the tenancy `host`, is not set for masters, and has one host ID or an allocation strategy";
    MachineThroughput = "machine-throughput", Error, MachineApi: "`ebs.throughputMib` is from 125 to 2000, for gp3";
    MachineMarket = "machine-market", Error, MachineApi: "`marketType`, `spotMarketOptions` and `capacityReservationId` do not contradict each other";
    MachineReservation = "machine-reservation", Error, MachineApi: "`capacityReservationId` is `cr-` and 17 digits";
    MachinePartition = "machine-partition", Error, MachineApi: "`placementGroupPartition` is from 1 to 7, with `placementGroupName`";
    MachineAuthentication = "machine-authentication", Error, MachineApi: "`metadataServiceOptions.authentication` is `Required` or `Optional`, in this spelling, or absent";
    MachineHopLimit = "machine-hop-limit", Error, Manifests: "`metadataServiceOptions.httpPutResponseHopLimit` is from 1 to 64, or absent";
    MachineEndpoint = "machine-endpoint", Error, Manifests: "`metadataServiceOptions.httpEndpoint` is `Enabled` or absent, because no machine joins a cluster without it";
    MachineMetadataTags = "machine-metadata-tags", Error, Manifests: "`metadataServiceOptions.instanceMetadataTags` is `Disabled` or absent, because EC2 otherwise rejects tag keys with a `/`";
    MachineReach = "machine-reach", Warning, Manifests: "with `authentication: Required`, the hop limit is not 1, because pods outside the host network then get no token";
    MachineConversion = "machine-conversion", Warning, Manifests: "with `authoritativeAPI: ClusterAPI`, `authentication` is set and the hop limit is absent or 1, because the conversion to Cluster API changes them";
    MachineType = "machine-type", Error, Manifests: "`instanceType` is a family and a size";
    MachineZone = "machine-zone", Error, Manifests: "`placement.availabilityZone` begins with the region";
    MachineGroups = "machine-groups", Error, Manifests: "`securityGroups` name a security group, by id or filters";
    MachineDeviceIndex = "machine-device-index", Error, Manifests: "`deviceIndex` is not negative";
    MachineVolume = "machine-volume", Error, Manifests: "volumes have a known type, a size, IOPS and throughput in the range of the type and in proportion, a bootable type for the root volume, and `encrypted: true` and the region of the machine for a KMS key; at most one has no device name";
    MachinePrice = "machine-price", Error, Manifests: "`spotMarketOptions.maxPrice` is an amount of US dollars";
    ObjectName = "object-name", Error, MachineApi: "`metadata.name` is a DNS name in lower case of at most 253 characters, or `generateName` is set";
    ObjectLabel = "object-label", Error, MachineApi: "labels have the form that Kubernetes requires, and the cluster label is an infra ID";
    MachineNamespace = "machine-namespace", Warning, Manifests: "`metadata.namespace` is `openshift-machine-api` or absent";
    MachineClusterLabel = "machine-cluster-label", Warning, Manifests: "a machine has the cluster label, because only the webhook adds a missing one";
    MachineReplicas = "machine-replicas", Error, Manifests: "a machine set has from 0 to 10,000 replicas";
    MachineSelector = "machine-selector", Error, MachineApi: "the selector of a machine set is not empty and matches the labels of the template";
    DeletePolicy = "delete-policy", Error, MachineApi: "`deletePolicy` is `Random`, `Newest` or `Oldest`";
    ControlPlaneSet = "control-plane-set", Error, MachineApi: "a control plane machine set is named `cluster`, has 3 or 5 replicas and known values, and a template of its one type with the labels of masters and of the cluster";
    // Machines in files that no cluster manages (`groundplan machines`).
    MachineLaunch = "machine-launch", Error, Machines: "a machine can be launched with the resources that AWS has";
    MachineCluster = "machine-cluster", Error, Machines: "all machines name the same cluster and region";
    MachineName = "machine-name", Error, Machines: "a machine has a unique name";
    MachineUserData = "machine-user-data", Error, Machines: "the Secret with a machine's user data is among the manifests, without differing copies, and within the size limit of EC2";
    MachineLookedAfter = "machine-looked-after", Error, Machines: "a machine is not managed by a cluster";
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}
