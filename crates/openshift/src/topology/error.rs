//! Compile errors of an install-config, with hints.

use std::fmt;

use groundplan_aws::model::ids::{
    DedicatedHostId, HostedZoneId, ImageId, PolicyArn, PublicIpv4PoolId, SecurityGroupId, SubnetId,
    VpcId,
};
use ipnet::Ipv4Net;

/// Field of the permissions boundary.
pub(super) const BOUNDARY: &str = "platform.aws.permissionsBoundary";

/// A compile error of an install-config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// A lookup has no result yet.
    #[error("no lookup result for `{lookup}`")]
    Unanswered {
        /// Key of the lookup.
        lookup: String,
    },
    /// A lookup result has the wrong form.
    #[error("the result of the lookup `{lookup}` cannot be read: {why}")]
    Unreadable {
        /// Key of the lookup.
        lookup: String,
        /// Parse error.
        why: String,
    },
    /// The config requests a feature that groundplan does not support.
    #[error("{what}")]
    Unsupported {
        /// Field that requests the feature.
        field: String,
        /// The unsupported feature.
        what: &'static str,
        /// Alternative for the user.
        hint: &'static str,
    },
    /// The config has changed to that of another cluster.
    #[error("the state has `{known}`, which cannot change to `{asked}`")]
    Renamed {
        /// Field that differs.
        field: &'static str,
        /// Value in the config.
        asked: String,
        /// Value in the state.
        known: String,
    },
    /// The assets and the state are of different clusters.
    #[error("the assets belong to the cluster `{theirs}`, not to `{ours}`")]
    AssetsOfAnother {
        /// Cluster of the assets: infra ID and cluster ID.
        theirs: String,
        /// Cluster of the state: infra ID and cluster ID.
        ours: String,
    },
    /// AWS does not allow names that begin with the infra ID.
    #[error("the infra ID `{infra_id}` is not valid in the names of AWS resources: {why}")]
    InfraId {
        /// The infra ID.
        infra_id: String,
        /// The rule of AWS that the infra ID violates.
        why: &'static str,
    },
    /// AWS does not allow a VPC of this size, or one with this number of subnets.
    #[error(
        "{network} cannot be a VPC with {zones} private and {zones} public subnets: AWS accepts \
         /16 to /28 for each"
    )]
    NetworkSize {
        /// The network.
        network: Ipv4Net,
        /// Number of zones.
        zones: usize,
    },
    /// No zone offers the type of a pool.
    #[error("no availability zone of {region} offers {instance_type}")]
    NoZone {
        /// Field with the zones of the pool.
        field: String,
        /// The region.
        region: String,
        /// Instance type of the pool.
        instance_type: String,
    },
    /// Neither the config nor a stream has an image to boot.
    #[error("no image to boot: `amiID` is not set, and no RHCOS stream was passed")]
    NoImage,
    /// The stream has no image for the region.
    #[error("the RHCOS stream has no image for {region}")]
    NotInStream {
        /// The region.
        region: String,
    },
    /// The image of the stream has another operating system.
    #[error("the file of --rhcos-stream has images of {found}, but the cluster installs {wanted}")]
    OtherStream {
        /// Operating system of the image.
        found: String,
        /// Operating system of the cluster.
        wanted: String,
        /// True if the config names `wanted`; false if it is the default of the release.
        is_named: bool,
    },
    /// The image does not exist.
    #[error("the image {id} does not exist in {region}, or is not shared with this account")]
    ImageNotFound {
        /// Field that names the image.
        field: String,
        /// The image.
        id: ImageId,
        /// Region of the lookup.
        region: String,
    },
    /// The image cannot be booted at the moment.
    #[error("the image {id} is {state}")]
    ImageNotReady {
        /// Field that names the image.
        field: String,
        /// The image.
        id: ImageId,
        /// State of the image as AWS reports it.
        state: String,
    },
    /// The image has another architecture than the machines.
    #[error("the image {id} is for {found}, but the machines are {wanted}")]
    ImageArchitecture {
        /// Field that names the image.
        field: String,
        /// The image.
        id: ImageId,
        /// Architecture of the image, in the terms of AWS.
        found: String,
        /// Architecture of the machines.
        wanted: &'static str,
    },
    /// The pool of public addresses does not exist.
    #[error("the pool of public addresses {id} does not exist in {region}")]
    PoolNotFound {
        /// The pool.
        id: PublicIpv4PoolId,
        /// The region.
        region: String,
    },
    /// The pool of public addresses has too few free ones.
    #[error("the pool of public addresses {id} has {free} free, but the cluster needs {needed}")]
    PoolExhausted {
        /// The pool.
        id: PublicIpv4PoolId,
        /// Free addresses.
        free: u32,
        /// Addresses that the cluster still needs.
        needed: u32,
    },
    /// The availability zone does not exist, or is not available to this account.
    #[error("{zone} is not an availability zone of {region} that this account can use")]
    ZoneUnavailable {
        /// Field that names the zone.
        field: String,
        /// The zone.
        zone: String,
        /// The region.
        region: String,
    },
    /// The instance type does not exist in the region.
    #[error("{region} has no instance type {instance_type}")]
    TypeUnknown {
        /// Field that names the type.
        field: String,
        /// The type.
        instance_type: String,
        /// The region.
        region: String,
    },
    /// The instance type is too small for the cluster.
    #[error("{instance_type} has {found}")]
    TypeTooSmall {
        /// Field that names the type.
        field: String,
        /// The type.
        instance_type: String,
        /// Size of the type.
        found: Size,
        /// Minimum size.
        least: Size,
    },
    /// The instance type has another architecture than the machines.
    #[error("{instance_type} is {found}, but the machines are {wanted}")]
    TypeArchitecture {
        /// Field that names the type.
        field: String,
        /// The type.
        instance_type: String,
        /// Architectures of the type, in the terms of AWS.
        found: String,
        /// Architecture of the machines.
        wanted: &'static str,
    },
    /// A zone does not offer the instance type.
    #[error("{zone} does not offer {instance_type}")]
    NotOffered {
        /// Field that names the zone.
        field: String,
        /// The type.
        instance_type: String,
        /// The zone.
        zone: String,
    },
    /// The security group does not exist.
    #[error("the security group {id} does not exist in {region}")]
    GroupNotFound {
        /// Field that names the group.
        field: String,
        /// The group.
        id: SecurityGroupId,
        /// Region of the lookup.
        region: String,
    },
    /// The security group is in another VPC than the machines.
    #[error("the security group {id} is in {its_vpc}, the subnets are in {vpc}")]
    GroupElsewhere {
        /// Field that names the group.
        field: String,
        /// The group.
        id: SecurityGroupId,
        /// VPC of the group.
        its_vpc: VpcId,
        /// VPC of the machines.
        vpc: VpcId,
    },
    /// The role or instance profile does not exist.
    #[error("the {what} {name} does not exist in this account")]
    IamNotFound {
        /// Field that names the role or profile.
        field: String,
        /// `role`, `instance profile` or `policy`
        what: &'static str,
        /// Name of the role or profile, or ARN of the policy.
        name: String,
    },
    /// The permissions boundary is a policy of another account.
    #[error("the policy {arn} is in another account than the cluster, {account}")]
    BoundaryElsewhere {
        /// The policy.
        arn: PolicyArn,
        /// Account of the credentials.
        account: String,
    },
    /// Another cluster has the same name and base domain.
    #[error("{domain} is in use: the hosted zone {zone} already has the record {record}")]
    NameTaken {
        /// The zone.
        zone: HostedZoneId,
        /// A record of the other cluster.
        record: String,
        /// The cluster's domain.
        domain: String,
    },
    /// There is no public hosted zone for the cluster's public record.
    #[error("there is no public hosted zone for {domain}")]
    NoPublicZone {
        /// The base domain.
        domain: String,
    },
    /// The subnet does not exist.
    #[error("the subnet {id} does not exist in {region}")]
    SubnetNotFound {
        /// Index of the subnet in the config.
        index: usize,
        /// The subnet.
        id: SubnetId,
        /// Region of the lookup.
        region: String,
    },
    /// The subnets are in different VPCs.
    #[error("the subnets are in different VPCs: {first} is in {its_vpc}, {other} in {other_vpc}")]
    SeveralVpcs {
        /// Index of the other subnet in the config.
        index: usize,
        /// The first subnet.
        first: SubnetId,
        /// VPC of the first subnet.
        its_vpc: VpcId,
        /// The other subnet.
        other: SubnetId,
        /// VPC of the other subnet.
        other_vpc: VpcId,
    },
    /// Two subnets have the same purpose and zone.
    #[error("{first} and {second} are both {sort} subnets in {zone}")]
    SecondSubnet {
        /// Index of the second subnet in the config.
        index: usize,
        /// The first subnet.
        first: SubnetId,
        /// The second subnet.
        second: SubnetId,
        /// `private` or `public`
        sort: &'static str,
        /// Zone of both subnets.
        zone: String,
    },
    /// An internal cluster cannot have public subnets only.
    #[error("the machines have public subnets only, but `publish` is `Internal`")]
    PublicOnlyInternal,
    /// No listed subnet is public, but the machines have public subnets only.
    #[error("no public subnet is listed, but the machines have public subnets only")]
    NoPublicSubnets,
    /// The routes of a subnet do not fit its role.
    #[error(
        "the subnet {id} has the role {role}, but is {}",
        if *is_public { "public" } else { "private" }
    )]
    RoleOfSubnet {
        /// Index of the subnet in the config.
        index: usize,
        /// The subnet.
        id: SubnetId,
        /// The role.
        role: &'static str,
        /// True if the subnet has a route to the internet.
        is_public: bool,
    },
    /// The zones of a load balancer differ from those of the machines.
    #[error(
        "{zone} has {}",
        if *has_machines {
            format!("a subnet with the role ClusterNode, but none with the role {role}")
        } else {
            format!("a subnet with the role {role}, but none with the role ClusterNode")
        }
    )]
    ZoneOfRole {
        /// The role of the load balancer.
        role: &'static str,
        /// True if the zone has machines.
        has_machines: bool,
        /// The zone.
        zone: String,
    },
    /// The caller cannot assume the role for the hosted zone.
    #[error("the credentials cannot assume the role {arn}")]
    RoleNotAssumed {
        /// ARN of the role.
        arn: String,
    },
    /// A Dedicated Host does not exist.
    #[error(
        "the Dedicated Host {id} does not exist in {region}, or is not shared with this account"
    )]
    HostNotFound {
        /// Field that names the host.
        field: String,
        /// The host.
        id: DedicatedHostId,
        /// The region.
        region: String,
    },
    /// A Dedicated Host is in a zone that the pool does not use.
    #[error("the Dedicated Host {id} is in {zone}, where the pool has no machines")]
    HostElsewhere {
        /// Field that names the host.
        field: String,
        /// The host.
        id: DedicatedHostId,
        /// Zone of the host.
        zone: String,
    },
    /// Two Dedicated Hosts of a pool are in the same zone.
    #[error("the Dedicated Hosts {first} and {second} are both in {zone}")]
    SecondHost {
        /// Field that names the second host.
        field: String,
        /// The first host.
        first: DedicatedHostId,
        /// The second host.
        second: DedicatedHostId,
        /// Zone of both.
        zone: String,
    },
    /// Another cluster owns the Dedicated Host.
    #[error("the Dedicated Host {id} belongs to the cluster {owner}")]
    HostOwned {
        /// Field that names the host.
        field: String,
        /// The host.
        id: DedicatedHostId,
        /// Infra ID of the owner.
        owner: String,
    },
    /// The subnet is outside all machine networks.
    #[error("the subnet {id} begins at {start}, outside all machine networks")]
    SubnetOutside {
        /// Index of the subnet in the config.
        index: usize,
        /// The subnet.
        id: SubnetId,
        /// First address of the subnet.
        start: std::net::Ipv4Addr,
    },
    /// The subnet or its VPC belongs to another cluster, whose destruction would delete it.
    #[error("the {what} {id} belongs to the cluster {owner}, by a tag with the value `owned`")]
    NetworkOwned {
        /// Index of the subnet in the config.
        index: usize,
        /// `subnet` or `VPC`
        what: &'static str,
        /// ID of the subnet or VPC.
        id: String,
        /// Name or infra ID of the other cluster.
        owner: String,
    },
    /// There is no private subnet for machines.
    #[error("none of the subnets is private")]
    NoPrivateSubnet,
    /// A zone has no public subnet for the external load balancer.
    #[error("there is a private subnet in {zone}, but no public one")]
    NoPublicSubnet {
        /// The zone.
        zone: String,
    },
    /// A pool has a zone without a subnet for it.
    #[error("no {sort} subnet is in {zone}")]
    NoSubnetInZone {
        /// Field with the zones of the pool.
        field: String,
        /// The zone.
        zone: String,
        /// Sort of the subnet: `private`, or `edge` for the edge pool.
        sort: &'static str,
    },
    /// An edge pool has no zones, and no existing subnet is in a Local or Wavelength Zone.
    #[error("the edge pool has no zone: none of the subnets is in a Local or Wavelength Zone")]
    NoEdgeZone {
        /// Field with the zones of the pool.
        field: String,
    },
    /// A zone of the edge pool does not exist.
    #[error("{region} has no zone {zone}")]
    EdgeZoneUnknown {
        /// Field that names the zone.
        field: String,
        /// The zone.
        zone: String,
        /// The region.
        region: String,
    },
    /// A zone of the edge pool is no Local or Wavelength Zone.
    #[error("{zone} is of the type {zone_type}")]
    NotEdgeZone {
        /// Field that names the zone.
        field: String,
        /// The zone.
        zone: String,
        /// The type of the zone.
        zone_type: String,
    },
    /// The account cannot use a zone of the edge pool.
    #[error("the zone group {group} of {zone} is not enabled in this account")]
    ZoneNotEnabled {
        /// Field that names the zone.
        field: String,
        /// The zone.
        zone: String,
        /// The zone group.
        group: String,
        /// The region.
        region: String,
    },
    /// The recorded lookup result lacks the zone of an existing subnet.
    #[error("the zone of the subnet {id} is not recorded")]
    EdgeUnknown {
        /// Index of the subnet in the config.
        index: usize,
        /// The subnet.
        id: SubnetId,
    },
    /// The hosted zone does not exist.
    #[error("the hosted zone {id} does not exist")]
    ZoneNotFound {
        /// The hosted zone.
        id: HostedZoneId,
    },
    /// The hosted zone is public, where a private one is required.
    #[error("the hosted zone {id} is public")]
    ZonePublic {
        /// The hosted zone.
        id: HostedZoneId,
    },
    /// The hosted zone is not associated with the VPC of the machines.
    #[error("the hosted zone {id} is not associated with {vpc}, which the subnets are in")]
    ZoneElsewhere {
        /// The hosted zone.
        id: HostedZoneId,
        /// The VPC of the subnets.
        vpc: VpcId,
    },
    /// The hosted zone is for another domain.
    #[error("the hosted zone {id} is for {name}, not for {domain} or a parent of it")]
    ZoneName {
        /// The hosted zone.
        id: HostedZoneId,
        /// Domain of the hosted zone.
        name: String,
        /// The cluster's domain.
        domain: String,
    },
    /// The user data exceeds the limit.
    #[error("the user data of {machine} has {bytes} bytes, but at most {limit} are possible")]
    UserData {
        /// The machine, such as `bootstrap`.
        machine: String,
        /// Size of the user data in bytes.
        bytes: usize,
        /// Maximum size in bytes.
        limit: usize,
    },
}

/// Size of an instance type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} vCPU and {} MiB of memory", self.vcpus, self.memory_mib)
    }
}

impl CompileError {
    pub(crate) fn unsupported(
        field: impl Into<String>,
        what: &'static str,
        hint: &'static str,
    ) -> Self {
        Self::Unsupported { field: field.into(), what, hint }
    }

    /// Returns the field of the install-config that the error is about. `None` for errors outside
    /// the install-config.
    pub fn field(&self) -> Option<String> {
        use CompileError::*;
        let field = match self {
            Unsupported { field, .. }
            | NoZone { field, .. }
            | NoSubnetInZone { field, .. }
            | NoEdgeZone { field }
            | EdgeZoneUnknown { field, .. }
            | NotEdgeZone { field, .. }
            | ZoneNotEnabled { field, .. }
            | ImageNotFound { field, .. }
            | ImageNotReady { field, .. }
            | ImageArchitecture { field, .. }
            | ZoneUnavailable { field, .. }
            | TypeUnknown { field, .. }
            | TypeTooSmall { field, .. }
            | TypeArchitecture { field, .. }
            | NotOffered { field, .. }
            | GroupNotFound { field, .. }
            | GroupElsewhere { field, .. }
            | HostNotFound { field, .. }
            | HostElsewhere { field, .. }
            | SecondHost { field, .. }
            | HostOwned { field, .. }
            | IamNotFound { field, .. } => field,
            Renamed { field, .. } => *field,
            BoundaryElsewhere { .. } => BOUNDARY,
            InfraId { .. } | NameTaken { .. } => "metadata.name",
            NetworkSize { .. } => "networking.machineNetwork[0].cidr",
            NoImage | NotInStream { .. } => "platform.aws.amiID",
            OtherStream { .. } => "osImageStream",
            PoolNotFound { .. } | PoolExhausted { .. } => "platform.aws.publicIpv4Pool",
            RoleNotAssumed { .. } => "platform.aws.hostedZoneRole",
            NoPublicZone { .. } => "baseDomain",
            SubnetNotFound { index, .. }
            | SecondSubnet { index, .. }
            | RoleOfSubnet { index, .. }
            | SeveralVpcs { index, .. }
            | SubnetOutside { index, .. }
            | EdgeUnknown { index, .. }
            | NetworkOwned { index, .. } => return Some(format!("platform.aws.subnets[{index}]")),
            PublicOnlyInternal => "publish",
            NoPublicSubnets | NoPrivateSubnet | NoPublicSubnet { .. } | ZoneOfRole { .. } => {
                "platform.aws.subnets"
            }
            ZoneNotFound { .. } | ZonePublic { .. } | ZoneElsewhere { .. } | ZoneName { .. } => {
                "platform.aws.hostedZone"
            }
            UserData { machine, .. } if machine == "bootstrap" => "additionalTrustBundle",
            UserData { .. } | Unanswered { .. } | Unreadable { .. } | AssetsOfAnother { .. } => {
                return None;
            }
        };
        Some(field.to_owned())
    }

    /// Returns the value that would be accepted, where that is more than the hint says.
    pub fn expected(&self) -> Option<String> {
        use CompileError::*;
        Some(match self {
            NetworkSize { .. } => {
                "a network from /16 to /28, with subnets in the same range".into()
            }
            ImageNotReady { .. } => "an image that is available".into(),
            ImageArchitecture { wanted, .. } => format!("an image for {wanted}"),
            ZoneUnavailable { region, .. } => format!("an availability zone of {region}"),
            EdgeZoneUnknown { region, .. } => format!("a Local or Wavelength Zone of {region}"),
            NotEdgeZone { .. } => "a zone of the type local-zone or wavelength-zone".into(),
            TypeUnknown { region, .. } => format!("an instance type of {region}"),
            TypeTooSmall { least, .. } => format!("at least {least}"),
            TypeArchitecture { wanted, .. } => format!("an instance type of {wanted}"),
            NotOffered { instance_type, .. } => format!("a zone that offers {instance_type}"),
            SubnetNotFound { region, .. } => format!("a subnet in {region}"),
            SeveralVpcs { its_vpc, .. } => format!("a subnet of {its_vpc}"),
            SecondSubnet { sort, .. } => format!("one {sort} subnet for each zone"),
            SubnetOutside { .. } => "a subnet that begins in a machine network".into(),
            NetworkOwned { what, .. } => format!("a {what} that no cluster owns"),
            GroupElsewhere { vpc, .. } => format!("a security group of {vpc}"),
            BoundaryElsewhere { account, .. } => {
                format!("a policy of the account {account}, or one of AWS")
            }
            ZonePublic { .. } => "a private hosted zone".into(),
            ZoneName { domain, .. } => format!("a zone for {domain} or a parent of it"),
            NameTaken { .. } => "a name that no other cluster of this base domain has".into(),
            Renamed { known, .. } => format!("`{known}`"),
            _ => return None,
        })
    }

    /// Returns the change that the user can make.
    pub fn hint(&self) -> Option<String> {
        use CompileError::*;
        let hint = match self {
            Unanswered { .. } | Unreadable { .. } | EdgeUnknown { .. } => {
                "run `groundplan plan` with access to AWS, which repeats the lookup".into()
            }
            Unsupported { hint, .. } => (*hint).into(),
            Renamed { field, known, .. } => {
                format!("set `{field}` to `{known}`, or pass another --state for a new cluster")
            }
            AssetsOfAnother { .. } => {
                "pass the assets that this cluster was created with, or use another --state".into()
            }
            InfraId { .. } => "choose another `metadata.name`".into(),
            NetworkSize { .. } => {
                "use a network of /16 or slightly smaller, or list fewer zones in the pools".into()
            }
            NoZone { field, .. } => {
                format!("choose another instance type, or list zones in `{field}`")
            }
            NoImage => "set `platform.aws.amiID`, or pass the output of `openshift-install coreos \
                 print-stream-json` with `--rhcos-stream`"
                .into(),
            NotInStream { .. } => "set `platform.aws.amiID` to an imported image".into(),
            OtherStream { found, wanted, is_named } => other_stream(found, wanted, *is_named),
            PoolNotFound { .. } => {
                "list the pools with `aws ec2 describe-public-ipv4-pools`".into()
            }
            PoolExhausted { .. } => {
                "release addresses of the pool, use another pool, or list fewer zones in the pools \
                 of machines"
                    .into()
            }
            ImageNotReady { .. } => {
                "wait until the image is available, or use another image".into()
            }
            ImageArchitecture { found, .. } | TypeArchitecture { found, .. } => {
                format!(
                    "choose another image or instance type, or set the pool's `architecture` to \
                     match {found}"
                )
            }
            ZoneUnavailable { .. } => {
                "list the zones with `aws ec2 describe-availability-zones`; Local and Wavelength \
                 Zones belong to a compute pool named `edge`"
                    .into()
            }
            EdgeZoneUnknown { region, .. } => format!(
                "list the zones with `aws ec2 describe-availability-zones --region {region} \
                 --all-availability-zones`"
            ),
            NotEdgeZone { zone, .. } => {
                format!("move {zone} to the zones of the pool `worker`, or remove it")
            }
            ZoneNotEnabled { group, region, .. } => format!(
                "enable the group: aws ec2 modify-availability-zone-group --region {region} \
                 --group-name {group} --opt-in-status opted-in"
            ),
            NoEdgeZone { .. } => {
                "list a subnet in a Local or Wavelength Zone, or remove the pool `edge`".into()
            }
            TypeUnknown { .. } => {
                "check the spelling, or list the types with `aws ec2 describe-instance-types`"
                    .into()
            }
            TypeTooSmall { least, .. } => format!("choose a type with {least} or more"),
            NotOffered { zone, .. } => {
                format!("remove {zone} from the zones of the pool, or choose another instance type")
            }
            GroupNotFound { .. } | SubnetNotFound { .. } => {
                "check the id, `platform.aws.region` and the account of the \
                 credentials (AWS_PROFILE)"
                    .into()
            }
            GroupElsewhere { vpc, .. } => format!("use a security group of {vpc}"),
            BoundaryElsewhere { .. } => {
                "create the policy in this account, or check the account of the credentials \
                 (AWS_PROFILE)"
                    .into()
            }
            IamNotFound { what: what @ "policy", .. } => {
                format!("create the {what}, or correct the ARN (`aws iam list-policies`)")
            }
            IamNotFound { what, .. } => {
                format!("create the {what}, or remove the field to let groundplan create one")
            }
            NameTaken { record, .. } => format!(
                "the record {record} answers for another cluster. If that cluster is recorded \
                 elsewhere, select its state with --state or GROUNDPLAN_STATE; else choose another \
                 metadata.name. Delete the record only if nothing uses it"
            ),
            ImageNotFound { .. } => "check the id and the region, or ask the owner to share the \
                 image"
                .into(),
            NoPublicZone { domain } => {
                format!("create a public hosted zone for {domain}, or set `publish: Internal`")
            }
            SeveralVpcs { .. } => "list the subnets of one VPC only".into(),
            SecondSubnet { .. } => "list only one of the two".into(),
            RoleOfSubnet { role, is_public, .. } => format!(
                "give the role {role} to a {} subnet",
                if *is_public { "private" } else { "public" }
            ),
            ZoneOfRole { zone, has_machines, role } => match has_machines {
                true => format!("give the role {role} to a subnet of {zone}"),
                false => format!("remove the role {role} from the subnet of {zone}"),
            },
            PublicOnlyInternal | NoPublicSubnets => {
                "publish the cluster and list public subnets, or unset OPENSHIFT_INSTALL_AWS_PUBLIC_ONLY \
                 and `machine-subnets`"
                    .into()
            }
            RoleNotAssumed { .. } => {
                "name the caller in the trust policy of the role, and allow the caller \
                 `sts:AssumeRole` on it"
                    .into()
            }
            HostNotFound { .. } => "list the hosts with `aws ec2 describe-hosts`".into(),
            HostElsewhere { zone, .. } => {
                format!("add {zone} to the zones of the pool, or remove the host")
            }
            SecondHost { .. } => "list only one of the two".into(),
            HostOwned { .. } => "use another host".into(),
            SubnetOutside { .. } => {
                "add the subnet's network to `networking.machineNetwork`".into()
            }
            NetworkOwned { owner, .. } => format!(
                "use a network of your own: destroying {owner} would delete this one; if {owner} no \
                 longer exists, set the value of the tag to `shared`"
            ),
            NoPrivateSubnet => "list at least one subnet whose route table has no route to an \
                 internet gateway"
                .into(),
            NoPublicSubnet { zone } => {
                format!("list a public subnet in {zone}, or set `publish: Internal`")
            }
            NoSubnetInZone { zone, sort: "edge", .. } => {
                format!("list a subnet of {zone} in `platform.aws.subnets`")
            }
            NoSubnetInZone { zone, sort, .. } => {
                format!("list a {sort} subnet of {zone} in `platform.aws.subnets`")
            }
            ZoneNotFound { .. } => {
                "check the id and the account of the credentials (AWS_PROFILE)".into()
            }
            ZonePublic { .. } => {
                "use a private zone, or remove the field to let groundplan create one".into()
            }
            ZoneElsewhere { id, vpc, .. } => format!(
                "associate the zone: aws route53 associate-vpc-with-hosted-zone --hosted-zone-id \
                 {id} --vpc VPCRegion=REGION,VPCId={vpc}"
            ),
            ZoneName { domain, .. } => format!("use a zone for {domain}"),
            UserData { machine, .. } if machine == "bootstrap" => {
                "remove certificates from `additionalTrustBundle`".into()
            }
            UserData { .. } => "shorten the Ignition config of these machines".into(),
        };
        Some(hint)
    }
}

/// Returns the ways to make the images of a stream and the operating system of the cluster equal.
fn other_stream(found: &str, wanted: &str, is_named: bool) -> String {
    let pass = format!(
        "pass the images of {wanted} with --rhcos-stream: `openshift-install coreos \
         print-stream-json` of the release prints those of its default, `--stream {wanted}` those \
         of {wanted} (5.0)"
    );
    match is_named {
        true => format!("{pass}; or set `osImageStream: {found}`"),
        false => format!("{pass}; or, in 5.0, set `osImageStream: {found}`"),
    }
}
