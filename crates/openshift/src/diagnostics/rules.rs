//! The rules for an install-config, each with a stable name.
//!
//! A rule has a description, a severity and a source. The sections check the rules.
//! `docs/validation.md` lists this table, and a test compares the two.

use serde::{Serialize, Serializer};

use super::finding::Severity::{self, Error, Warning};

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

/// `Name = "id", severity, source: description`
macro_rules! rules {
    ($($name:ident = $id:literal, $severity:expr, $source:ident: $about:literal;)*) => {
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
    Empty = "empty", Error, Installer: "the file says something";
    Documents = "documents", Error, Groundplan: "the file is one YAML document";
    Yaml = "yaml", Error, Installer: "the file is YAML";
    WrongType = "wrong-type", Error, Installer: "a field has the type of the schema";
    RepeatedField = "repeated-field", Error, Installer: "a field is given once";
    EmptyItem = "empty-item", Error, Groundplan: "an item of a list has a value";
    UnknownField = "unknown-field", Warning, Installer: "a field is one of the schema; others have no effect";
    LostMetadataService = "lost-metadata-service", Error, Groundplan: "`metadataService` and its fields are spelt right and where they have an effect";
    MisplacedCredential = "misplaced-credential", Error, Groundplan: "no credential is in a field that is not made for it";
    Missing = "missing", Error, Installer: "a field that is needed is given";
    Deprecated = "deprecated", Warning, Installer: "a field is written by its present name";
    Unsupported = "unsupported", Error, Groundplan: "nothing is asked for that this version of groundplan would ignore";

    // The top level.
    ApiVersion = "api-version", Error, Installer: "`apiVersion` is `v1`";
    OldApiVersion = "old-api-version", Warning, Installer: "`apiVersion` is not `v1beta3` or `v1beta4`, which are read as `v1`";
    ClusterName = "cluster-name", Error, Installer: "`metadata.name` is a DNS name in lower case of at most 54 characters";
    BaseDomain = "base-domain", Error, Installer: "`baseDomain` is a DNS name in lower case; one dot may end it";
    ClusterDomain = "cluster-domain", Error, Installer: "`<name>.<baseDomain>` is at most 253 characters";
    Publish = "publish", Error, Installer: "`publish` is `External` or `Internal`; aws has no `Mixed`";
    PublishingStrategy = "publishing-strategy", Error, Installer: "`operatorPublishingStrategy` is absent, because it belongs to `Mixed`";
    CredentialsMode = "credentials-mode", Error, Installer: "`credentialsMode` is `Mint`, `Passthrough` or `Manual`";
    CpuPartitioning = "cpu-partitioning", Error, Installer: "`cpuPartitioningMode` is `None` or `AllNodes`";
    BootstrapInPlace = "bootstrap-in-place", Error, Groundplan: "`bootstrapInPlace` is absent: such clusters install themselves";
    CapabilitySet = "capability-set", Error, Installer: "`baselineCapabilitySet` is a known set";
    Capability = "capability", Error, Installer: "`additionalEnabledCapabilities` are known capabilities";
    CloudCredential = "cloud-credential", Error, Installer: "the capability `CloudCredential` is enabled";
    CapabilityNeeds = "capability-needs", Error, Installer: "on the set `None`, `baremetal` comes with `MachineAPI` and `marketplace` with `OperatorLifecycleManager`";
    FeatureSet = "feature-set", Error, Installer: "`featureSet` is a known set";
    FeatureGates = "feature-gates", Error, Installer: "`featureGates` come with the set `CustomNoUpgrade`";
    FeatureGate = "feature-gate", Error, Installer: "a feature gate is `Name=true` or `Name=false`";
    ImageSources = "image-sources", Error, Installer: "`imageContentSources` and `imageDigestSources` are not given together";
    ImageRepository = "image-repository", Error, Installer: "sources and mirrors are repositories, without scheme, tag or digest";

    // Secrets and trust.
    PullSecret = "pull-secret", Error, Installer: "`pullSecret` is JSON with `auths`, and `auth` or `credsStore` for each registry";
    SshKey = "ssh-key", Error, Installer: "`sshKey` is a public key";
    SshKeyFips = "ssh-key-fips", Error, Installer: "with `fips`, the key is `ssh-rsa` or `ecdsa-sha2-nistp*`";
    TrustBundle = "trust-bundle", Error, Installer: "`additionalTrustBundle` is certificates in PEM and nothing else";
    TrustBundlePolicy = "trust-bundle-policy", Error, Installer: "`additionalTrustBundlePolicy` is `Proxyonly` or `Always`";
    ProxyMissing = "proxy-missing", Error, Installer: "`proxy` names `httpProxy`, `httpsProxy` or both";
    ProxyUrl = "proxy-url", Error, Installer: "a proxy is a URL";
    ProxyScheme = "proxy-scheme", Error, Installer: "`httpProxy` is `http://`; `httpsProxy` is `http://` or `https://`";
    ProxyInside = "proxy-inside", Error, Installer: "a proxy's address is outside the cluster and service networks";
    NoProxy = "no-proxy", Error, Installer: "`noProxy` is `*`, or domains, networks and addresses between commas, without spaces";

    // `networking`.
    Network = "network", Error, Installer: "a network is an address and a prefix";
    NetworkFamily = "network-family", Error, Installer: "networks are IPv4";
    HostBits = "host-bits", Error, Installer: "a network is given by its first address";
    UnspecifiedNetwork = "unspecified-network", Error, Installer: "a network does not begin at `0.0.0.0`";
    NetworkOverlap = "network-overlap", Error, Installer: "machine, service and cluster networks do not overlap";
    ContainerBridge = "container-bridge", Warning, Installer: "no network overlaps 172.17.0.0/16, the bridge of container engines";
    ServiceNetworks = "service-networks", Error, Installer: "there is one service network";
    ServiceNetworkSize = "service-network-size", Error, Installer: "the service network is /12 or smaller";
    HostPrefix = "host-prefix", Error, Installer: "`hostPrefix` lies between the prefix of the cluster network and 32";
    NetworkType = "network-type", Error, Installer: "`networkType` is none of those that are gone: `Kuryr`, `OpenShiftSDN`";
    Mtu = "mtu", Error, Installer: "`clusterNetworkMTU` is from 1000 to 8901";
    MtuNetworkType = "mtu-network-type", Error, Installer: "`clusterNetworkMTU` comes with `OVNKubernetes`";
    MtuEdge = "mtu-edge", Warning, Installer: "with an edge pool, `clusterNetworkMTU` is at most 1200";
    VpcSize = "vpc-size", Error, Aws: "the machine network that becomes the VPC is /16 or smaller";
    SubnetRoom = "subnet-room", Error, Aws: "the machine network has room for two subnets of /28 or larger in each zone";

    // Machine pools.
    ControlPlaneName = "control-plane-name", Error, Installer: "`controlPlane.name` is `master`";
    PoolName = "pool-name", Error, Installer: "a compute pool is called `worker`";
    EdgePool = "edge-pool", Error, Groundplan: "there is no `edge` pool: this version cannot make one";
    RepeatedPool = "repeated-pool", Error, Installer: "each compute pool has a name of its own";
    PoolPlatform = "pool-platform", Error, Installer: "a pool is of the cluster's platform";
    Replicas = "replicas", Error, Installer: "`replicas` is not negative, and at most 10,000";
    ControlPlaneReplicas = "control-plane-replicas", Error, Installer: "the control plane has a machine";
    Quorum = "quorum", Warning, Groundplan: "the control plane has not two machines: etcd survives no failure with two";
    Hyperthreading = "hyperthreading", Error, Installer: "`hyperthreading` is `Enabled` or `Disabled`";
    Architecture = "architecture", Error, Installer: "`architecture` is `amd64` or `arm64`";
    PoolArchitecture = "pool-architecture", Error, Installer: "all pools have the control plane's architecture";

    // `platform.aws` of a pool.
    Authentication = "authentication", Error, InstallerAws: "`metadataService.authentication` is `Required` or `Optional`, in this spelling";
    EmptyAuthentication = "empty-authentication", Warning, Groundplan: "`metadataService.authentication` is not left empty, which is no opinion";
    MetadataHopLimit = "metadata-hop-limit", Error, Groundplan: "`metadataService.httpPutResponseHopLimit` is from 1 to 64";
    MetadataEndpoint = "metadata-endpoint", Error, Groundplan: "`metadataService.httpEndpoint` is `Enabled`: no machine joins a cluster without it";
    MetadataTags = "metadata-tags", Error, Groundplan: "`metadataService.instanceMetadataTags` is `Disabled`: EC2 takes no tag key with a `/` with it";
    MetadataReach = "metadata-reach", Warning, Groundplan: "`authentication: Required` comes with no hop limit of 1, which shuts out pods";
    InstanceType = "instance-type", Error, Groundplan: "`type` is a family and a size";
    Zone = "zone", Error, InstallerAws: "a zone begins with the region";
    VolumeType = "volume-type", Error, InstallerAws: "`rootVolume.type` is a type of volume";
    VolumeSize = "volume-size", Error, InstallerAws: "`rootVolume.size` is positive";
    VolumeSizeMissing = "volume-size-missing", Warning, InstallerAws: "`rootVolume.type` comes with a size, as openshift-install 4.15 wants it";
    VolumeBounds = "volume-bounds", Error, Aws: "`rootVolume.size` and `rootVolume.iops` are what EC2 takes for the type of volume";
    VolumeIops = "volume-iops", Error, InstallerAws: "`rootVolume.iops` is positive for io1 and io2, not negative for gp3, and absent for others";
    RoleAndProfile = "role-and-profile", Error, InstallerAws: "`iamRole` and `iamProfile` are not given together";
    SecurityGroupsVpc = "security-groups-vpc", Error, InstallerAws: "`additionalSecurityGroupIDs` come with existing subnets";
    SecurityGroupCount = "security-group-count", Error, InstallerAws: "`additionalSecurityGroupIDs` are at most 15";

    // `platform.aws`.
    OtherPlatform = "other-platform", Error, Groundplan: "the platform is aws and no other";
    Region = "region", Error, Groundplan: "`region` is written as AWS writes regions";
    AwsId = "aws-id", Error, Aws: "ids of subnets, images and security groups look like ids";
    SubnetsInBoth = "subnets-in-both", Error, InstallerAws: "`subnets` and `vpc.subnets` are not given together";
    RepeatedSubnet = "repeated-subnet", Error, InstallerAws: "a subnet is named once";
    HostedZoneSubnets = "hosted-zone-subnets", Error, InstallerAws: "`hostedZone` comes with existing subnets";
    HostedZoneRoleZone = "hosted-zone-role-zone", Error, InstallerAws: "`hostedZoneRole` comes with `hostedZone`";
    HostedZoneRoleMode = "hosted-zone-role-mode", Error, InstallerAws: "`hostedZoneRole` comes with credentialsMode `Passthrough` or `Manual`";
    HostedZoneRoleArn = "hosted-zone-role-arn", Error, Aws: "`hostedZoneRole` is an ARN";
    RepeatedEndpoint = "repeated-endpoint", Error, InstallerAws: "a service has one endpoint";
    EndpointUrl = "endpoint-url", Error, InstallerAws: "an endpoint is `https://` and a host, perhaps a port; plain http is for loopback alone";
    UnusedEndpoint = "unused-endpoint", Warning, Groundplan: "the name of a service is not a misspelt one of those that are used";
    TagCount = "tag-count", Error, InstallerAws: "`userTags` are at most 25";
    TagsOnObjects = "tags-on-objects", Warning, InstallerAws: "`userTags` are at most 8, which is what fits on an S3 object";
    TagName = "tag-name", Error, InstallerAws: "no user tag is `Name`, in whatever case";
    TagAws = "tag-aws", Error, Aws: "no user tag begins with `aws:`";
    TagGroundplan = "tag-groundplan", Error, Groundplan: "no user tag begins with `groundplan.io/`";
    TagReserved = "tag-reserved", Error, InstallerAws: "no user tag begins with `kubernetes.io/cluster/`; propagated ones are outside `kubernetes.io` and `openshift.io`";
    TagKeyLength = "tag-key-length", Error, Aws: "the key of a tag has 1 to 128 characters";
    TagValueLength = "tag-value-length", Error, Aws: "the value of a tag has at most 256 characters; propagated ones at least 1";
    TagCharacters = "tag-characters", Error, InstallerAws: "propagated tags are letters, digits and `_.:/=+-@` alone";
    LoadBalancerType = "load-balancer-type", Error, InstallerAws: "`lbType` is `Classic` or `NLB`";
    AtAws = "at-aws", Error, Aws: "AWS has what the config names; found by `plan` and `apply`, which ask";
    RegionImage = "region-image", Error, InstallerAws: "in regions without images of Red Hat there is an `amiID` for every pool";

    // Machines of the Machine API, as files (`groundplan manifests check`).
    MachineKind = "machine-kind", Error, MachineApi: "an object that is nearly a Machine or a set of them by kind and version is one";
    LostField = "lost-field", Error, Manifests: "no field of a machine is a misspelt one, and none of `metadataServiceOptions` is unknown: what it asks for would be lost";
    ProviderSpec = "provider-spec", Error, MachineApi: "a machine has a `providerSpec.value`";
    ProviderConfigKind = "provider-config-kind", Warning, MachineApi: "`providerSpec.value` says that it is an AWSMachineProviderConfig";
    MachineImage = "machine-image", Error, MachineApi: "`ami` has an id";
    MachineImageSearch = "machine-image-search", Warning, MachineApi: "`ami` has no arn and no filters, which nobody reads";
    MachineCpu = "machine-cpu", Error, MachineApi: "`cpuOptions.confidentialCompute` is `Disabled` or `AMDEncryptedVirtualizationNestedPaging`";
    MachineTag = "machine-tag", Warning, MachineApi: "a tag is given once";
    MachineProfile = "machine-profile", Warning, MachineApi: "`iamInstanceProfile` is given, by its id";
    MachineInterface = "machine-interface", Error, MachineApi: "`networkInterfaceType` is `ENA` or `EFA`";
    MachineSubnet = "machine-subnet", Warning, MachineApi: "`subnet` is given, by id or filters";
    MachineRegion = "machine-region", Error, MachineApi: "`placement.region` is given, or the cluster's is known";
    MachineTenancy = "machine-tenancy", Error, MachineApi: "`placement.tenancy` is `default`, `dedicated` or `host`";
    MachineHost = "machine-host", Error, MachineApi: "`placement.host` comes with the tenancy `host`, is no master's, and names one host or how to get one";
    MachineThroughput = "machine-throughput", Error, MachineApi: "`ebs.throughputMib` is from 125 to 2000, for gp3";
    MachineMarket = "machine-market", Error, MachineApi: "`marketType`, `spotMarketOptions` and `capacityReservationId` fit together";
    MachineReservation = "machine-reservation", Error, MachineApi: "`capacityReservationId` is `cr-` and 17 digits";
    MachinePartition = "machine-partition", Error, MachineApi: "`placementGroupPartition` is from 1 to 7, of a group that is named";
    MachineAuthentication = "machine-authentication", Error, MachineApi: "`metadataServiceOptions.authentication` is `Required` or `Optional`, in this spelling, or absent";
    MachineHopLimit = "machine-hop-limit", Error, Manifests: "`metadataServiceOptions.httpPutResponseHopLimit` is from 1 to 64, or absent";
    MachineEndpoint = "machine-endpoint", Error, Manifests: "`metadataServiceOptions.httpEndpoint` is `Enabled`, or absent: no machine joins a cluster without it";
    MachineMetadataTags = "machine-metadata-tags", Error, Manifests: "`metadataServiceOptions.instanceMetadataTags` is `Disabled`, or absent: EC2 takes no tag key with a `/` with it";
    MachineReach = "machine-reach", Warning, Manifests: "`authentication: Required` comes with no hop limit of 1, which shuts out pods";
    MachineType = "machine-type", Error, Manifests: "`instanceType` is a family and a size";
    MachineZone = "machine-zone", Error, Manifests: "`placement.availabilityZone` begins with the region";
    MachineGroups = "machine-groups", Error, Manifests: "`securityGroups` name a security group, by id or filters";
    MachineDeviceIndex = "machine-device-index", Error, Manifests: "`deviceIndex` is not negative";
    MachineVolume = "machine-volume", Error, Manifests: "volumes have a type that there is, a size and as many operations as EC2 has for the type, and one at most has no name";
    MachinePrice = "machine-price", Error, Manifests: "`spotMarketOptions.maxPrice` is an amount of dollars";
    ObjectName = "object-name", Error, MachineApi: "`metadata.name` is a DNS name in lower case of at most 253 characters, or `generateName` is given";
    ObjectLabel = "object-label", Error, MachineApi: "labels are written as an API server takes them, and that of the cluster is an infra ID";
    MachineNamespace = "machine-namespace", Warning, Manifests: "`metadata.namespace` is `openshift-machine-api`, or left out";
    MachineClusterLabel = "machine-cluster-label", Warning, Manifests: "a machine has the label of its cluster, which only the webhook fills in";
    MachineReplicas = "machine-replicas", Error, Manifests: "a machine set has from 0 to 10,000 replicas";
    MachineSelector = "machine-selector", Error, MachineApi: "the selector of a set is not empty, and its template has the labels";
    DeletePolicy = "delete-policy", Error, MachineApi: "`deletePolicy` is `Random`, `Newest` or `Oldest`";
    ControlPlaneSet = "control-plane-set", Error, MachineApi: "a control plane machine set is called `cluster`, has 3 or 5 replicas, known words, and a template of its one type whose labels say of masters and their cluster";
    // Machines in files that no cluster manages (`groundplan machines`).
    MachineLaunch = "machine-launch", Error, Machines: "a machine can be launched as it is described, with what AWS has";
    MachineCluster = "machine-cluster", Error, Machines: "all machines are of one cluster and region, and say of which";
    MachineName = "machine-name", Error, Machines: "a machine has a name that no other one has";
    MachineUserData = "machine-user-data", Error, Machines: "the Secret with a machine's user data is beside it, no two of its name differ, and it holds something that EC2 takes";
    MachineLookedAfter = "machine-looked-after", Error, Machines: "a machine is none that a cluster has made and looks after";
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}
