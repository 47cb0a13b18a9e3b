//! Why an install-config cannot be compiled, and what can be done about it.

use ipnet::Ipv4Net;

use crate::aws::ids::{HostedZoneId, ImageId, SubnetId, VpcId};

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
        /// The image.
        id: ImageId,
        /// Where it was looked for.
        region: String,
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
    /// A zone that the machines could not see.
    #[error("the hosted zone {id} is not a private zone of {vpc}")]
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
            Unsupported { field, .. } | NoZone { field, .. } | NoSubnetInZone { field, .. } => {
                field
            }
            Renamed { field, .. } => *field,
            InfraId { .. } => "metadata.name",
            NetworkSize { .. } => "networking.machineNetwork[0].cidr",
            NoImage | NotInStream { .. } | ImageNotFound { .. } => "platform.aws.amiID",
            NoPublicZone { .. } => "baseDomain",
            SubnetNotFound { index, .. }
            | SecondSubnet { index, .. }
            | SubnetOutside { index, .. } => return Some(format!("platform.aws.subnets[{index}]")),
            SeveralVpcs { .. } | NoPrivateSubnet | NoPublicSubnet { .. } => "platform.aws.subnets",
            ZoneNotFound { .. } | ZoneElsewhere { .. } | ZoneName { .. } => {
                "platform.aws.hostedZone"
            }
            UserData { machine, .. } if machine == "bootstrap" => "additionalTrustBundle",
            UserData { .. } | Unanswered { .. } | Unreadable { .. } | AssetsOfAnother { .. } => {
                return None;
            }
        };
        Some(field.to_owned())
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
