//! Why an install-config cannot be compiled, and what can be done about it.

use std::fmt;

use ipnet::Ipv4Net;

use crate::aws::ids::{HostedZoneId, ImageId, SecurityGroupId, SubnetId, VpcId};

/// Why an install-config cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A question was not asked.
    #[error("`{question}` has not been asked of AWS yet")]
    Unanswered {
        /// Its key.
        question: String,
    },
    /// An answer is not what the question asks for.
    #[error("the answer to `{question}` cannot be read: {why}")]
    Unreadable {
        /// The key of the question.
        question: String,
        /// What is wrong.
        why: String,
    },
    /// The config asks for something that is not built.
    #[error("{what}")]
    Unsupported {
        /// Where it asks.
        field: String,
        /// For what.
        what: &'static str,
        /// What to do instead.
        hint: &'static str,
    },
    /// The config has been changed to be another cluster's.
    #[error("the cluster has `{known}` and cannot change to `{asked}`")]
    Renamed {
        /// Where the config differs.
        field: &'static str,
        /// What it says.
        asked: String,
        /// What the state says.
        known: String,
    },
    /// The assets and the state speak of different clusters.
    #[error("the assets are of the cluster `{theirs}`, not of `{ours}`")]
    AssetsOfAnother {
        /// Who the assets are of: infra ID and cluster ID.
        theirs: String,
        /// Who the state is of.
        ours: String,
    },
    /// AWS would not take names that begin with the infra ID.
    #[error("`{infra_id}` cannot begin the names of AWS resources: {why}")]
    InfraId {
        /// The infra ID.
        infra_id: String,
        /// What AWS minds.
        why: &'static str,
    },
    /// A network that AWS would not take, or not with so many subnets.
    #[error(
        "{network} cannot be a VPC with {zones} private and {zones} public subnets: AWS takes \
         /16 to /28 for each"
    )]
    NetworkSize {
        /// The network.
        network: Ipv4Net,
        /// For how many zones.
        zones: usize,
    },
    /// No zone is left for a pool.
    #[error("no availability zone of {region} offers {instance_type}")]
    NoZone {
        /// The pool's zones.
        field: String,
        /// The region.
        region: String,
        /// The type of the pool's machines.
        instance_type: String,
    },
    /// Nobody says which image to boot.
    #[error("there is no image to boot: none is configured and no RHCOS stream was given")]
    NoImage,
    /// The stream has no image that could be used.
    #[error("the RHCOS stream has no image for {region}")]
    NotInStream {
        /// The region.
        region: String,
    },
    /// An image that does not exist.
    #[error("the image {id} does not exist in {region}, or is not shared with this account")]
    ImageNotFound {
        /// Where it is asked for.
        field: String,
        /// The image.
        id: ImageId,
        /// Where it was looked for.
        region: String,
    },
    /// An image that cannot be booted at the moment.
    #[error("the image {id} is {state}")]
    ImageNotReady {
        /// Where it is asked for.
        field: String,
        /// The image.
        id: ImageId,
        /// What AWS says of it.
        state: String,
    },
    /// An image for other machines.
    #[error("the image {id} is for {found}, and the machines are {wanted}")]
    ImageArchitecture {
        /// Where it is asked for.
        field: String,
        /// The image.
        id: ImageId,
        /// Its architecture, as AWS calls it.
        found: String,
        /// The machines'.
        wanted: &'static str,
    },
    /// A zone that there is not, or not for machines like ours.
    #[error("{zone} is no availability zone of {region} that this account can use")]
    ZoneUnavailable {
        /// Where it is asked for.
        field: String,
        /// The zone.
        zone: String,
        /// The region.
        region: String,
    },
    /// A type that there is not.
    #[error("{region} has no instance type {instance_type}")]
    TypeUnknown {
        /// Where it is asked for.
        field: String,
        /// The type.
        instance_type: String,
        /// The region.
        region: String,
    },
    /// A type on which the cluster would not run.
    #[error("{instance_type} has {found}")]
    TypeTooSmall {
        /// Where it is asked for.
        field: String,
        /// The type.
        instance_type: String,
        /// What it has.
        found: Size,
        /// What it must have.
        least: Size,
    },
    /// A type of another architecture.
    #[error("{instance_type} is {found}, and the machines are {wanted}")]
    TypeArchitecture {
        /// Where it is asked for.
        field: String,
        /// The type.
        instance_type: String,
        /// Its architectures, as AWS calls them.
        found: String,
        /// The machines'.
        wanted: &'static str,
    },
    /// A type that a zone has none of.
    #[error("{zone} does not offer {instance_type}")]
    NotOffered {
        /// Where the zone is asked for.
        field: String,
        /// The type.
        instance_type: String,
        /// The zone.
        zone: String,
    },
    /// A security group that does not exist.
    #[error("the security group {id} does not exist in {region}")]
    GroupNotFound {
        /// Where it is asked for.
        field: String,
        /// The group.
        id: SecurityGroupId,
        /// Where it was looked for.
        region: String,
    },
    /// A security group that the machines cannot be in.
    #[error("the security group {id} is in {its_vpc}, the subnets are in {vpc}")]
    GroupElsewhere {
        /// Where it is asked for.
        field: String,
        /// The group.
        id: SecurityGroupId,
        /// Its VPC.
        its_vpc: VpcId,
        /// The machines'.
        vpc: VpcId,
    },
    /// A role or profile that does not exist.
    #[error("the {what} {name} does not exist in this account")]
    IamNotFound {
        /// Where it is asked for.
        field: String,
        /// `role` or `instance profile`
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Another cluster has this one's name.
    #[error("{domain} is taken: the hosted zone {zone} has the record {record} already")]
    NameTaken {
        /// The zone.
        zone: HostedZoneId,
        /// One of the records.
        record: String,
        /// The cluster's domain.
        domain: String,
    },
    /// No public zone for the cluster's public record.
    #[error("there is no public hosted zone for {domain}")]
    NoPublicZone {
        /// The base domain.
        domain: String,
    },
    /// A subnet that does not exist.
    #[error("the subnet {id} does not exist in {region}")]
    SubnetNotFound {
        /// Its place in the config.
        index: usize,
        /// The subnet.
        id: SubnetId,
        /// Where it was looked for.
        region: String,
    },
    /// Subnets that cannot be one network.
    #[error("the subnets are in different VPCs: {first} is in {its_vpc}, {other} in {other_vpc}")]
    SeveralVpcs {
        /// The other one's place in the config.
        index: usize,
        /// One subnet.
        first: SubnetId,
        /// Its VPC.
        its_vpc: VpcId,
        /// Another.
        other: SubnetId,
        /// The other's VPC.
        other_vpc: VpcId,
    },
    /// Two subnets for one purpose.
    #[error("{first} and {second} are both {sort} subnets in {zone}")]
    SecondSubnet {
        /// The second one's place in the config.
        index: usize,
        /// One.
        first: SubnetId,
        /// The other.
        second: SubnetId,
        /// `private` or `public`
        sort: &'static str,
        /// The zone of both.
        zone: String,
    },
    /// A subnet outside all machine networks.
    #[error("the subnet {id} begins at {start}, which is in no machine network")]
    SubnetOutside {
        /// Its place in the config.
        index: usize,
        /// The subnet.
        id: SubnetId,
        /// Where it begins.
        start: std::net::Ipv4Addr,
    },
    /// Nowhere to put machines.
    #[error("none of the subnets is private")]
    NoPrivateSubnet,
    /// Nowhere to put the public load balancer.
    #[error("there is a private subnet in {zone}, but no public one")]
    NoPublicSubnet {
        /// The zone.
        zone: String,
    },
    /// Machines for a zone without a subnet.
    #[error("no private subnet is in {zone}")]
    NoSubnetInZone {
        /// The pool's zones.
        field: String,
        /// The zone.
        zone: String,
    },
    /// A zone that does not exist.
    #[error("the hosted zone {id} does not exist")]
    ZoneNotFound {
        /// The zone.
        id: HostedZoneId,
    },
    /// A zone for everyone, where one for the machines is wanted.
    #[error("the hosted zone {id} is public")]
    ZonePublic {
        /// The zone.
        id: HostedZoneId,
    },
    /// A zone that the machines could not see.
    #[error("the hosted zone {id} is not associated with {vpc}, which the subnets are in")]
    ZoneElsewhere {
        /// The zone.
        id: HostedZoneId,
        /// The VPC of the subnets.
        vpc: VpcId,
    },
    /// A zone for other names.
    #[error("the hosted zone {id} is for {name}, not for {domain} or a parent of it")]
    ZoneName {
        /// The zone.
        id: HostedZoneId,
        /// Its domain.
        name: String,
        /// The cluster's domain.
        domain: String,
    },
    /// More user data than EC2 takes.
    #[error("the user data of {machine} takes {bytes} bytes, at most {limit} are possible")]
    UserData {
        /// Which machine.
        machine: String,
        /// How much there is.
        bytes: usize,
        /// How much there may be.
        limit: usize,
    },
}

/// What a machine has for the cluster to run on.
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

impl Error {
    pub(crate) fn unsupported(
        field: impl Into<String>,
        what: &'static str,
        hint: &'static str,
    ) -> Self {
        Self::Unsupported { field: field.into(), what, hint }
    }

    /// The field of the install-config that it is about.
    pub fn field(&self) -> Option<String> {
        use Error::*;
        let field = match self {
            Unsupported { field, .. }
            | NoZone { field, .. }
            | NoSubnetInZone { field, .. }
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
            | IamNotFound { field, .. } => field,
            Renamed { field, .. } => *field,
            InfraId { .. } | NameTaken { .. } => "metadata.name",
            NetworkSize { .. } => "networking.machineNetwork[0].cidr",
            NoImage | NotInStream { .. } => "platform.aws.amiID",
            NoPublicZone { .. } => "baseDomain",
            SubnetNotFound { index, .. }
            | SecondSubnet { index, .. }
            | SeveralVpcs { index, .. }
            | SubnetOutside { index, .. } => return Some(format!("platform.aws.subnets[{index}]")),
            NoPrivateSubnet | NoPublicSubnet { .. } => "platform.aws.subnets",
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

    /// What would have been accepted, where that is more than the hint says.
    pub fn expected(&self) -> Option<String> {
        use Error::*;
        Some(match self {
            NetworkSize { .. } => "a network from /16 to /28, and so for each of its parts".into(),
            ImageNotReady { .. } => "an image that is available".into(),
            ImageArchitecture { wanted, .. } => format!("an image for {wanted}"),
            ZoneUnavailable { region, .. } => format!("an availability zone of {region}"),
            TypeUnknown { region, .. } => format!("an instance type of {region}"),
            TypeTooSmall { least, .. } => format!("at least {least}"),
            TypeArchitecture { wanted, .. } => format!("an instance type of {wanted}"),
            NotOffered { instance_type, .. } => format!("a zone that offers {instance_type}"),
            SubnetNotFound { region, .. } => format!("a subnet in {region}"),
            SeveralVpcs { its_vpc, .. } => format!("a subnet of {its_vpc}"),
            SecondSubnet { sort, .. } => format!("one {sort} subnet for each zone"),
            SubnetOutside { .. } => "a subnet that begins in a machine network".into(),
            GroupElsewhere { vpc, .. } => format!("a security group of {vpc}"),
            ZonePublic { .. } => "a private hosted zone".into(),
            ZoneName { domain, .. } => format!("a zone for {domain} or a parent of it"),
            NameTaken { .. } => "a name that no other cluster of this base domain has".into(),
            Renamed { known, .. } => format!("`{known}`"),
            _ => return None,
        })
    }

    /// What can be done about it.
    pub fn hint(&self) -> Option<String> {
        use Error::*;
        let hint = match self {
            Unanswered { .. } | Unreadable { .. } => {
                "run `groundplan plan` with access to AWS; it asks again".into()
            }
            Unsupported { hint, .. } => (*hint).into(),
            Renamed { known, .. } => format!("write `{known}`, or use another state for it"),
            AssetsOfAnother { .. } => {
                "give the assets that this cluster was begun with, or use another state".into()
            }
            InfraId { .. } => "choose another name for the cluster".into(),
            NetworkSize { .. } => {
                "use a network of /16 or a little smaller, or list fewer zones in the pools".into()
            }
            NoZone { field, .. } => format!("list `{field}`, or choose another type"),
            NoImage => "set `platform.aws.amiID`, or give a stream file with `--rhcos-stream`: \
                 `openshift-install coreos print-stream-json` prints it"
                .into(),
            NotInStream { .. } => {
                "set `platform.aws.amiID` to an image that you have imported".into()
            }
            ImageNotReady { .. } => "wait until it is available, or use another image".into(),
            ImageArchitecture { found, .. } | TypeArchitecture { found, .. } => {
                format!("choose another one, or set the pool's `architecture` to that of {found}")
            }
            ZoneUnavailable { .. } => {
                "`aws ec2 describe-availability-zones` lists them; local and \
                 wavelength zones are not supported"
                    .into()
            }
            TypeUnknown { .. } => {
                "check the spelling; `aws ec2 describe-instance-types` lists them".into()
            }
            TypeTooSmall { least, .. } => format!("choose a type with {least} or more"),
            NotOffered { zone, .. } => format!("leave {zone} out, or choose another type"),
            GroupNotFound { .. } => "check the id, the region and the account".into(),
            GroupElsewhere { vpc, .. } => format!("use a security group of {vpc}"),
            IamNotFound { what, .. } => {
                format!("create the {what}, or leave the field out and it is made")
            }
            NameTaken { record, .. } => format!(
                "choose another `metadata.name`; if no cluster has it any more, delete {record} \
                 and what else ends like it"
            ),
            ImageNotFound { .. } => "check the id and the region, or ask its owner to share".into(),
            NoPublicZone { domain } => {
                format!("create a public hosted zone for {domain}, or set `publish: Internal`")
            }
            SubnetNotFound { .. } => "check the id, the region and the account".into(),
            SeveralVpcs { .. } => "list the subnets of one VPC only".into(),
            SecondSubnet { .. } => "list one of the two".into(),
            SubnetOutside { .. } => {
                "add the subnet's network to `networking.machineNetwork`".into()
            }
            NoPrivateSubnet => "list at least one subnet whose route table has no route to an \
                 internet gateway"
                .into(),
            NoPublicSubnet { zone } => {
                format!("list a public subnet in {zone}, or set `publish: Internal`")
            }
            NoSubnetInZone { zone, .. } => {
                format!("list a private subnet of {zone} in `platform.aws.subnets`")
            }
            ZoneNotFound { .. } => "check the id and the account".into(),
            ZonePublic { .. } => {
                "use a private zone, or leave the field out and one is made".into()
            }
            ZoneElsewhere { vpc, .. } => format!("associate the zone with {vpc}"),
            ZoneName { domain, .. } => format!("use a zone for {domain}"),
            UserData { machine, .. } if machine == "bootstrap" => {
                "trust fewer certificates in `additionalTrustBundle`".into()
            }
            UserData { .. } => "shorten its Ignition config".into(),
        };
        Some(hint)
    }
}
