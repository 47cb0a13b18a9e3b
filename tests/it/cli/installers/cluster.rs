//! A cluster as openshift-install of 4.16 to 5.0 leaves it: names and tags of the Cluster API
//! provider, made through the API without groundplan, up to a stage of its installation.
//!
//! Sources: installer `pkg/asset/manifests/aws`, `pkg/infrastructure/aws/clusterapi` (main);
//! cluster-api-provider-aws `pkg/cloud/services`; the names of a running cluster are those of the
//! cloud provider, the registry, ingress and cloud credential operators, and the EBS CSI driver.

use crate::support::cloud::Cloud;

/// Stages of an installation. Each is made after those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Roles with policies; one of two instance profiles.
    Roles,
    /// VPC, subnets, gateways and addresses. No route tables yet.
    Network,
    /// Route tables, endpoint, security groups and their rules.
    Groups,
    /// Load balancers and the bucket with the Ignition configs.
    Balancers,
    /// Private zone and records.
    Dns,
    /// Bootstrap and master.
    Machines,
    /// Workers, and the rest that the cluster makes for itself.
    Running,
}

/// Stages after which a run may have been interrupted.
pub(super) const STAGES: [Stage; 7] = [
    Stage::Roles,
    Stage::Network,
    Stage::Groups,
    Stage::Balancers,
    Stage::Dns,
    Stage::Machines,
    Stage::Running,
];

/// A network that the clusters do not own.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub(super) vpc: String,
    pub(super) subnets: Vec<String>,
}

/// A cluster in an account.
pub(super) struct Cluster<'a> {
    pub(super) cloud: &'a Cloud,
    pub(super) infra_id: String,
    /// Public zone, below which the cluster has its domain.
    pub(super) public_zone: &'a str,
    /// Network of the user; `None` if the cluster owns its network.
    pub(super) existing: Option<&'a Network>,
    /// First two numbers of the addresses of an own network.
    pub(super) range: &'static str,
}

const IMAGE: &str = "ami-0abcdef1234567890";
const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": []}"#;
const ALL: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;

/// Parameters of a call in a form.
type Form = Vec<(String, String)>;

impl Cluster<'_> {
    pub(super) fn name(&self) -> &str {
        self.infra_id.rsplit_once('-').expect("a name").0
    }

    pub(super) fn domain(&self) -> String {
        format!("{}.example.com", self.name())
    }

    pub(super) fn tag(&self) -> String {
        format!("kubernetes.io/cluster/{}", self.infra_id)
    }

    fn api_tag(&self) -> String {
        format!("sigs.k8s.io/cluster-api-provider-aws/cluster/{}", self.infra_id)
    }

    /// Returns the content of the `metadata.json` of openshift-install.
    pub(super) fn metadata(&self) -> String {
        let id = "7a5bb1c5-2c46-4a5e-9d4b-2f8f2a0f9f10";
        serde_json::json!({
            "clusterName": self.name(), "clusterID": id, "infraID": self.infra_id,
            "aws": {
                "region": "us-west-2",
                "identifier": [
                    {self.tag(): "owned"}, {"openshiftClusterID": id}, {self.api_tag(): "owned"},
                ],
                "clusterDomain": self.domain(),
            },
        })
        .to_string()
    }

    /// Makes the cluster up to this stage.
    pub(super) fn make(&self, until: Stage) {
        self.roles(until > Stage::Roles);
        if until < Stage::Network {
            return;
        }
        let network = match self.existing {
            Some(network) => {
                self.share(network);
                network.clone()
            }
            None => self.network(until > Stage::Network),
        };
        if until < Stage::Groups {
            return;
        }
        let groups = self.groups(&network.vpc);
        if until < Stage::Balancers {
            return;
        }
        self.balancers(&network, &groups);
        self.bucket();
        if until < Stage::Dns {
            return;
        }
        let zone = self.dns(&network.vpc);
        if until < Stage::Machines {
            return;
        }
        self.machines(&network, &groups);
        if until == Stage::Running {
            self.running(&network, &groups, &zone);
        }
    }

    fn roles(&self, complete: bool) {
        for role in ["master", "worker"] {
            let name = format!("{}-{role}-role", self.infra_id);
            let mut form = form(&[("RoleName", &name), ("AssumeRolePolicyDocument", TRUST)]);
            form.extend(self.iam_tags());
            self.iam("CreateRole", form);
            let policy =
                [("RoleName", name.as_str()), ("PolicyName", "p"), ("PolicyDocument", ALL)];
            self.iam("PutRolePolicy", self::form(&policy));
            if role == "worker" && !complete {
                return;
            }
            let profile = format!("{}-{role}-profile", self.infra_id);
            let mut form = self::form(&[("InstanceProfileName", &profile)]);
            if role == "master" {
                form.extend(self.iam_tags()); // profiles of early releases have no tags
            }
            self.iam("CreateInstanceProfile", form);
            let into = [("InstanceProfileName", profile.as_str()), ("RoleName", name.as_str())];
            self.iam("AddRoleToInstanceProfile", self::form(&into));
        }
    }

    fn network(&self, complete: bool) -> Network {
        let range = |rest: &str| format!("{}.{rest}", self.range);
        let cidr = range("0.0/16");
        let vpc = self.made("CreateVpc", &[("CidrBlock", &cidr)], "vpc", "vpc", "vpcId");
        let mut subnets = Vec::new();
        for (index, zone) in ["a", "b"].into_iter().enumerate() {
            for (offset, side) in [(0, "private"), (8, "public")] {
                let cidr = range(&format!("{}.0/20", 16 * (index + offset)));
                let zone = format!("us-west-2{zone}");
                let made = [("VpcId", &*vpc), ("CidrBlock", &cidr), ("AvailabilityZone", &zone)];
                let name = format!("subnet-{side}-{zone}");
                subnets.push(self.made("CreateSubnet", &made, "subnet", &name, "subnetId"));
            }
        }
        let gateway =
            self.made("CreateInternetGateway", &[], "internet-gateway", "igw", "internetGatewayId");
        let attached = [("VpcId", &*vpc), ("InternetGatewayId", &*gateway)];
        self.ec2("AttachInternetGateway", form(&attached));
        let address =
            self.made("AllocateAddress", &[("Domain", "vpc")], "elastic-ip", "eip", "allocationId");
        // A second address is allocated, and its gateway is not.
        self.made("AllocateAddress", &[("Domain", "vpc")], "elastic-ip", "eip", "allocationId");
        let inputs = [("SubnetId", &*subnets[1]), ("AllocationId", &*address)];
        let nat = self.made("CreateNatGateway", &inputs, "natgateway", "nat", "natGatewayId");
        if complete {
            for (name, subnet, target) in [
                ("rt-private-us-west-2a", &subnets[0], ("NatGatewayId", &nat)),
                ("rt-public-us-west-2a", &subnets[1], ("GatewayId", &gateway)),
            ] {
                let vpc = [("VpcId", &*vpc)];
                let table =
                    self.made("CreateRouteTable", &vpc, "route-table", name, "routeTableId");
                let join = [("RouteTableId", &*table), ("SubnetId", &**subnet)];
                self.ec2("AssociateRouteTable", form(&join));
                let route = [
                    ("RouteTableId", &*table),
                    ("DestinationCidrBlock", "0.0.0.0/0"),
                    (target.0, &**target.1),
                ];
                self.ec2("CreateRoute", form(&route));
            }
            let endpoint = [("VpcId", &*vpc), ("ServiceName", "com.amazonaws.us-west-2.s3")];
            self.made("CreateVpcEndpoint", &endpoint, "vpc-endpoint", "vpce-s3", "vpcEndpointId");
        }
        Network { vpc, subnets }
    }

    /// Tags the subnets of the user, as the installer does.
    fn share(&self, network: &Network) {
        for subnet in &network.subnets {
            let tag = self.tag();
            let tag = [("ResourceId.1", &**subnet), ("Tag.1.Key", &tag), ("Tag.1.Value", "shared")];
            self.ec2("CreateTags", form(&tag));
        }
    }

    /// Makes the groups `node`, `controlplane`, `apiserver-lb` and `lb`. Only the last one has the
    /// cluster tag.
    fn groups(&self, vpc: &str) -> [String; 4] {
        let groups = ["node", "controlplane", "apiserver-lb", "lb"].map(|role| {
            let name = format!("{}-{role}", self.infra_id);
            let inputs =
                [("GroupName", &*name), ("GroupDescription", "Kubernetes"), ("VpcId", vpc)];
            let mut form = form(&inputs);
            let tags = self.tags(role);
            let both = |(key, _): &(String, String)| role == "lb" || *key != self.tag();
            form.extend(specification("security-group", tags.into_iter().filter(both)));
            let made = self.ec2("CreateSecurityGroup", form);
            text(&made, "groupId")
        });
        let [node, controlplane, api, _] = &groups;
        for (group, from) in [(node, controlplane), (controlplane, node), (controlplane, api)] {
            self.allow(group, from);
        }
        groups
    }

    fn allow(&self, group: &str, from: &str) {
        let rule = [
            ("GroupId", group),
            ("IpPermissions.1.IpProtocol", "-1"),
            ("IpPermissions.1.Groups.1.GroupId", from),
        ];
        self.ec2("AuthorizeSecurityGroupIngress", form(&rule));
    }

    fn balancers(&self, network: &Network, [_, _, api, _]: &[String; 4]) {
        for (side, scheme) in [("int", "internal"), ("ext", "internet-facing")] {
            let name = format!("{}-{side}", self.infra_id);
            let group = (side == "int").then_some(("SecurityGroups.member.1", api.as_str()));
            self.network_balancer(&name, scheme, &network.subnets[0], group, "apiserver-target");
        }
        // A target group without a balancer: the run ended between the two calls.
        self.target_group("additional-listener", &network.vpc);
    }

    fn target_group(&self, name: &str, vpc: &str) -> String {
        let name = format!("{name}-{}", self.infra_id);
        let mut inputs = form(&[
            ("Name", &name),
            ("Protocol", "TCP"),
            ("Port", "6443"),
            ("VpcId", vpc),
            ("TargetType", "instance"),
        ]);
        inputs.extend(self.member_tags(&name));
        text(&self.elb("CreateTargetGroup", inputs), "TargetGroupArn")
    }

    fn network_balancer(
        &self,
        name: &str,
        scheme: &str,
        subnet: &str,
        group: Option<(&str, &str)>,
        targets: &str,
    ) {
        let mut inputs = form(&[("Name", name), ("Type", "network"), ("Scheme", scheme)]);
        inputs.extend(form(&[("Subnets.member.1", subnet)]));
        inputs.extend(form(&group.into_iter().collect::<Vec<_>>()));
        inputs.extend(self.member_tags(name));
        let balancer = text(&self.elb("CreateLoadBalancer", inputs), "LoadBalancerArn");
        let side = name.rsplit_once('-').expect("a side").1;
        let described = self.ec2("DescribeSubnets", form(&[("SubnetId.1", subnet)]));
        let target = self.target_group(&format!("{targets}-{side}"), &text(&described, "vpcId"));
        self.elb(
            "CreateListener",
            form(&[
                ("LoadBalancerArn", &balancer),
                ("Protocol", "TCP"),
                ("Port", "6443"),
                ("DefaultActions.member.1.Type", "forward"),
                ("DefaultActions.member.1.TargetGroupArn", &target),
            ]),
        );
    }

    fn bucket(&self) {
        let bucket = format!("openshift-bootstrap-data-{}", self.infra_id);
        self.tagged_bucket(&bucket, &[self.tag(), self.api_tag()]);
        for key in ["bootstrap.ign", "control-plane/master-0"] {
            self.cloud.ask("s3", "PUT", &format!("/{bucket}/{key}"), "a secret");
        }
    }

    fn tagged_bucket(&self, bucket: &str, keys: &[String]) {
        let place = "<CreateBucketConfiguration><LocationConstraint>us-west-2</LocationConstraint>\
                     </CreateBucketConfiguration>";
        self.cloud.ask("s3", "PUT", &format!("/{bucket}"), place);
        let tag = |key: &String| format!("<Tag><Key>{key}</Key><Value>owned</Value></Tag>");
        let tags: String = keys.iter().map(tag).collect();
        let tags = format!("<Tagging><TagSet>{tags}</TagSet></Tagging>");
        self.cloud.ask("s3", "PUT", &format!("/{bucket}?tagging"), &tags);
    }

    /// Makes the private zone, and the records of the API in both zones. Returns the private zone.
    fn dns(&self, vpc: &str) -> String {
        let zone = zone(self.cloud, &self.domain(), Some(vpc));
        tag_zone(self.cloud, &zone, &self.tag(), "owned");
        for (zone, name) in [(&*zone, "api"), (&*zone, "api-int"), (self.public_zone, "api")] {
            record(self.cloud, zone, &format!("{name}.{}", self.domain()));
        }
        zone
    }

    fn machines(&self, network: &Network, [node, controlplane, _, lb]: &[String; 4]) {
        for role in ["bootstrap", "master-0"] {
            let tags = self.tags(role);
            self.machine(role, "master", &network.subnets[0], &[node, controlplane, lb], tags);
        }
    }

    fn machine(
        &self,
        role: &str,
        profile: &str,
        subnet: &str,
        groups: &[&String],
        tags: Vec<(String, String)>,
    ) {
        let profile = format!("{}-{profile}-profile", self.infra_id);
        let mut inputs = form(&[
            ("ImageId", IMAGE),
            ("InstanceType", "m5.xlarge"),
            ("MinCount", "1"),
            ("MaxCount", "1"),
            ("SubnetId", subnet),
            ("IamInstanceProfile.Name", &profile),
        ]);
        for (index, group) in groups.iter().enumerate() {
            inputs.push((format!("SecurityGroupId.{}", index + 1), (*group).clone()));
        }
        inputs.extend(specification("instance", tags));
        let of_volume = self.tags(&format!("{role}-vol"));
        inputs.extend(numbered_specification(2, "volume", of_volume));
        self.ec2("RunInstances", inputs);
    }

    /// Makes what a running cluster has besides: workers, volumes and snapshots of claims, load
    /// balancers of Services, the registry's bucket and the users of operators.
    fn running(&self, network: &Network, [node, _, _, lb]: &[String; 4], zone: &str) {
        // The Machine API of all releases, and Cluster API of 5.0, which sets only its own tag.
        for (api, without) in [("machine", None), ("cluster", Some(self.tag()))] {
            let role = format!("worker-us-west-2a-{api}");
            let mut tags = self.tags(&role);
            tags.retain(|(key, _)| Some(key) != without.as_ref());
            self.machine(&role, "worker", &network.subnets[0], &[node, lb], tags);
        }
        let volume = [("AvailabilityZone", "us-west-2a"), ("Size", "8"), ("VolumeType", "gp3")];
        let volume = self.made("CreateVolume", &volume, "volume", "pvc-1", "volumeId");
        self.made("CreateSnapshot", &[("VolumeId", &volume)], "snapshot", "snap-1", "snapshotId");
        let inputs = [("SubnetId", &*network.subnets[0]), ("SecurityGroupId.1", &**node)];
        self.made(
            "CreateNetworkInterface",
            &inputs,
            "network-interface",
            "left",
            "networkInterfaceId",
        );
        self.made("AllocateAddress", &[("Domain", "vpc")], "elastic-ip", "svc", "allocationId");
        self.router(network, node);
        let service = format!("k8s-{}-web", self.name());
        self.network_balancer(&service, "internal", &network.subnets[0], None, "k8s");
        for zone in [zone, self.public_zone] {
            record(self.cloud, zone, &format!("*.apps.{}", self.domain()));
        }
        let registry = format!("{}-image-registry-us-west-2-x1", self.infra_id);
        self.tagged_bucket(&registry, &[self.tag()]);
        self.cloud.ask("s3", "PUT", &format!("/{registry}/docker/registry/v2/blob"), "layers");
        // A bucket of an operator, under a name of its own.
        self.tagged_bucket(&format!("backups-of-{}", self.infra_id), &[self.tag()]);
        let user = format!("{}-aws-ebs-csi-driver-operator-8fj2k", self.infra_id);
        let mut inputs = form(&[("UserName", &user)]);
        inputs
            .extend(form(&[("Tags.member.1.Key", &self.tag()), ("Tags.member.1.Value", "owned")]));
        self.iam("CreateUser", inputs);
        let policy = [("UserName", &*user), ("PolicyName", "p"), ("PolicyDocument", ALL)];
        self.iam("PutUserPolicy", form(&policy));
        self.iam("CreateAccessKey", form(&[("UserName", &user)]));
    }

    /// Makes the Classic Load Balancer of the router, and the group that the cloud provider makes for
    /// it.
    fn router(&self, network: &Network, node: &str) {
        let name = format!("a{}", self.name());
        let group_name = format!("k8s-elb-{name}");
        let inputs =
            [("GroupName", &*group_name), ("GroupDescription", "router"), ("VpcId", &*network.vpc)];
        let mut inputs = form(&inputs);
        inputs.extend(specification("security-group", [(self.tag(), "owned".to_owned())]));
        let group = text(&self.ec2("CreateSecurityGroup", inputs), "groupId");
        self.allow(node, &group);
        let mut inputs = form(&[
            ("Version", "2012-06-01"),
            ("LoadBalancerName", &name),
            ("Subnets.member.1", &network.subnets[0]),
            ("SecurityGroups.member.1", &group),
            ("Listeners.member.1.Protocol", "TCP"),
            ("Listeners.member.1.LoadBalancerPort", "443"),
            ("Listeners.member.1.InstancePort", "30443"),
        ]);
        inputs
            .extend(form(&[("Tags.member.1.Key", &self.tag()), ("Tags.member.1.Value", "owned")]));
        inputs.push(("Action".to_owned(), "CreateLoadBalancer".to_owned()));
        self.cloud.ask("elasticloadbalancing", "POST", "/", &encoded(&inputs));
    }

    fn tags(&self, name: &str) -> Vec<(String, String)> {
        vec![
            ("Name".to_owned(), format!("{}-{name}", self.infra_id)),
            (self.tag(), "owned".to_owned()),
            (self.api_tag(), "owned".to_owned()),
        ]
    }

    fn iam_tags(&self) -> Form {
        let name = |key: &str| format!("Tags.member.1.{key}");
        vec![(name("Key"), self.tag()), (name("Value"), "owned".to_owned())]
    }

    fn member_tags(&self, name: &str) -> Form {
        let mut form = Form::new();
        for (index, (key, value)) in self.tags(name).into_iter().enumerate() {
            form.push((format!("Tags.member.{}.Key", index + 1), key));
            form.push((format!("Tags.member.{}.Value", index + 1), value));
        }
        form
    }

    /// Makes an EC2 resource with the tags of the cluster. Returns the field with its ID.
    fn made(
        &self,
        action: &str,
        inputs: &[(&str, &str)],
        kind: &str,
        name: &str,
        id: &str,
    ) -> String {
        let mut form = form(inputs);
        form.extend(specification(kind, self.tags(name)));
        text(&self.ec2(action, form), id)
    }

    fn ec2(&self, action: &str, form: Form) -> String {
        query(self.cloud, "ec2", "2016-11-15", action, form)
    }

    fn iam(&self, action: &str, form: Form) -> String {
        query(self.cloud, "iam", "2010-05-08", action, form)
    }

    fn elb(&self, action: &str, form: Form) -> String {
        query(self.cloud, "elasticloadbalancing", "2015-12-01", action, form)
    }
}

/// Makes a VPC with two subnets that no cluster owns.
pub(super) fn network_of_the_user(cloud: &Cloud) -> Network {
    let ec2 = |action: &str, inputs: &[(&str, &str)]| {
        query(cloud, "ec2", "2016-11-15", action, form(inputs))
    };
    let vpc = text(&ec2("CreateVpc", &[("CidrBlock", "10.8.0.0/16")]), "vpcId");
    let subnets = ["10.8.0.0/20", "10.8.16.0/20"].map(|cidr| {
        let inputs = [("VpcId", &*vpc), ("CidrBlock", cidr), ("AvailabilityZone", "us-west-2a")];
        text(&ec2("CreateSubnet", &inputs), "subnetId")
    });
    Network { vpc, subnets: subnets.into() }
}

/// Makes a hosted zone; a private one with a VPC. Returns its ID.
pub(super) fn zone(cloud: &Cloud, name: &str, vpc: Option<&str>) -> String {
    let place = vpc.map(|vpc| {
        format!(
            "<VPC><VPCRegion>us-west-2</VPCRegion><VPCId>{vpc}</VPCId></VPC>\
                 <HostedZoneConfig><PrivateZone>true</PrivateZone></HostedZoneConfig>"
        )
    });
    let body = format!(
        "<CreateHostedZoneRequest><Name>{name}</Name>{}\
         <CallerReference>{name}{}</CallerReference></CreateHostedZoneRequest>",
        place.unwrap_or_default(),
        vpc.unwrap_or_default(),
    );
    let made = cloud.ask("route53", "POST", "/2013-04-01/hostedzone", &body);
    text(&made, "Id").rsplit('/').next().expect("an ID").to_owned()
}

pub(super) fn tag_zone(cloud: &Cloud, zone: &str, key: &str, value: &str) {
    let body = format!(
        "<ChangeTagsForResourceRequest><AddTags><Tag><Key>{key}</Key><Value>{value}</Value></Tag>\
         </AddTags></ChangeTagsForResourceRequest>"
    );
    cloud.ask("route53", "POST", &format!("/2013-04-01/tags/hostedzone/{zone}"), &body);
}

pub(super) fn record(cloud: &Cloud, zone: &str, name: &str) {
    let body = format!(
        "<ChangeResourceRecordSetsRequest><ChangeBatch><Changes><Change><Action>CREATE</Action>\
         <ResourceRecordSet><Name>{name}</Name><Type>A</Type><TTL>30</TTL><ResourceRecords>\
         <ResourceRecord><Value>10.0.0.9</Value></ResourceRecord></ResourceRecords>\
         </ResourceRecordSet></Change></Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
    );
    cloud.ask("route53", "POST", &format!("/2013-04-01/hostedzone/{zone}/rrset"), &body);
}

/// Makes a call of a service with forms.
pub(super) fn query(
    cloud: &Cloud,
    service: &str,
    version: &str,
    action: &str,
    mut form: Form,
) -> String {
    form.push(("Action".to_owned(), action.to_owned()));
    form.push(("Version".to_owned(), version.to_owned()));
    cloud.ask(service, "POST", "/", &encoded(&form))
}

pub(super) fn form(pairs: &[(&str, &str)]) -> Form {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn specification(kind: &str, tags: impl IntoIterator<Item = (String, String)>) -> Form {
    numbered_specification(1, kind, tags)
}

fn numbered_specification(
    number: usize,
    kind: &str,
    tags: impl IntoIterator<Item = (String, String)>,
) -> Form {
    let begin = format!("TagSpecification.{number}");
    let mut form = vec![(format!("{begin}.ResourceType"), kind.to_owned())];
    for (index, (key, value)) in tags.into_iter().enumerate() {
        form.push((format!("{begin}.Tag.{}.Key", index + 1), key));
        form.push((format!("{begin}.Tag.{}.Value", index + 1), value));
    }
    form
}

fn encoded(form: &Form) -> String {
    let encode = |text: &str| -> String {
        let byte = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        };
        text.bytes().map(byte).collect()
    };
    let pairs = form.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Returns the text of the first element with this name.
pub(super) fn text(xml: &str, name: &str) -> String {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("{name}: {xml}"));
    rest.split_once('<').expect("an end").0.to_owned()
}
