"""What is in the account before us and must be there after us: somebody else's network, machines,
names and records, as like ours as they can be."""

OWNER = "kubernetes.io/cluster/theirs-x7k2p"
# Several clusters may use a network; one that a cluster owns goes with that cluster.
SHARED = ("vpc", "subnet")
TRUST = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",'
    ' "Principal": {"Service": "ec2.amazonaws.com"}}]}'
)
IMAGE = "ami-0abcdef1234567890"


def plant(account, cluster, domain):
    """Makes the strangers; their zone has this name and their bucket begins like ours. Answers with
    the subnet that their machine and balancer are in."""
    vpc, subnet = network(account)
    machine(account, subnet)
    balancer(account, vpc, subnet)
    role(account, cluster)
    zone(account, vpc, domain)
    s3 = account.client("s3")
    bucket = f"{cluster}-theirs"
    s3.create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": account.session.region_name}
    )
    s3.put_object(Bucket=bucket, Key="bootstrap.ign", Body=b"theirs")
    return subnet


def named(kind):
    owned = "shared" if kind in SHARED else "owned"
    tags = [{"Key": OWNER, "Value": owned}, {"Key": "Name", "Value": "theirs"}]
    return [{"ResourceType": kind, "Tags": tags}]


def network(account):
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=named("vpc"))["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(
        VpcId=vpc,
        CidrBlock="10.0.0.0/20",
        AvailabilityZone=f"{account.session.region_name}a",
        TagSpecifications=named("subnet"),
    )["Subnet"]["SubnetId"]
    gateway = ec2.create_internet_gateway(TagSpecifications=named("internet-gateway"))
    ec2.attach_internet_gateway(
        VpcId=vpc, InternetGatewayId=gateway["InternetGateway"]["InternetGatewayId"]
    )
    ec2.create_route_table(VpcId=vpc, TagSpecifications=named("route-table"))
    ec2.create_security_group(
        VpcId=vpc,
        GroupName="theirs",
        Description="theirs",
        TagSpecifications=named("security-group"),
    )
    ec2.allocate_address(Domain="vpc", TagSpecifications=named("elastic-ip"))
    return vpc, subnet


def machine(account, subnet):
    account.client("ec2").run_instances(
        ImageId=IMAGE,
        InstanceType="m5.xlarge",
        MinCount=1,
        MaxCount=1,
        SubnetId=subnet,
        TagSpecifications=named("instance"),
    )


def balancer(account, vpc, subnet):
    elb = account.client("elbv2")
    made = elb.create_load_balancer(
        Name="theirs", Type="network", Scheme="internal", Subnets=[subnet]
    )
    group = elb.create_target_group(Name="theirs", Protocol="TCP", Port=6443, VpcId=vpc)
    elb.create_listener(
        LoadBalancerArn=made["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="TCP",
        Port=6443,
        DefaultActions=[
            {"Type": "forward", "TargetGroupArn": group["TargetGroups"][0]["TargetGroupArn"]}
        ],
    )


def role(account, cluster):
    iam = account.client("iam")
    name = f"{cluster}-theirs"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)


def zone(account, vpc, domain):
    route53 = account.client("route53")
    made = route53.create_hosted_zone(
        Name=domain,
        CallerReference="theirs",
        VPC={"VPCRegion": account.session.region_name, "VPCId": vpc},
        HostedZoneConfig={"PrivateZone": True, "Comment": "theirs"},
    )
    record = {
        "Name": f"api.{domain}",
        "Type": "A",
        "TTL": 60,
        "ResourceRecords": [{"Value": "192.0.2.1"}],
    }
    route53.change_resource_record_sets(
        HostedZoneId=made["HostedZone"]["Id"],
        ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]},
    )
