//! The test cloud is as strict as AWS where we rely on it.
//!
//! These are tests of a test's tool: whatever they show, the kinds' tests may lean on.

mod compute;
mod consistency;
mod control;
mod network;
mod services;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};

use crate::support::cloud::Cloud;

/// What RHCOS is in these tests' region.
const IMAGE: &str = "ami-0abcdef1234567890";

/// An account with clients, and the few things every test needs something of.
struct Account {
    cloud: Cloud,
    ec2: aws_sdk_ec2::Client,
    elb: aws_sdk_elasticloadbalancingv2::Client,
    iam: aws_sdk_iam::Client,
    route53: aws_sdk_route53::Client,
    s3: aws_sdk_s3::Client,
}

impl Account {
    fn new() -> Self {
        Self::of(crate::support::cloud::shared())
    }

    fn of(cloud: Cloud) -> Self {
        let config = cloud.sdk_config();
        let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
        Self {
            ec2: aws_sdk_ec2::Client::new(&config),
            elb: aws_sdk_elasticloadbalancingv2::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
            route53: aws_sdk_route53::Client::new(&config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            cloud,
        }
    }

    async fn vpc(&self) -> String {
        let made = self.ec2.create_vpc().cidr_block("10.0.0.0/16").send().await;
        made.expect("a VPC").vpc.and_then(|vpc| vpc.vpc_id).expect("an id")
    }

    async fn subnet(&self, vpc: &str) -> String {
        let made = self
            .ec2
            .create_subnet()
            .vpc_id(vpc)
            .cidr_block("10.0.0.0/20")
            .availability_zone("us-west-2a")
            .send()
            .await;
        made.expect("a subnet").subnet.and_then(|subnet| subnet.subnet_id).expect("an id")
    }

    async fn group(&self, vpc: &str, name: &str) -> String {
        let request = self.ec2.create_security_group().vpc_id(vpc).group_name(name);
        let made = request.description("for a test").send().await;
        made.expect("a security group").group_id.expect("an id")
    }

    /// One instance; the token makes it this one.
    fn run(
        &self,
        subnet: &str,
        token: &str,
    ) -> aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder {
        self.ec2
            .run_instances()
            .image_id(IMAGE)
            .instance_type("m6i.xlarge".into())
            .subnet_id(subnet)
            .min_count(1)
            .max_count(1)
            .client_token(token)
    }

    async fn instance(&self, subnet: &str, token: &str) -> String {
        let made = self.run(subnet, token).send().await.expect("an instance");
        made.instances()[0].instance_id.clone().expect("an id")
    }

    async fn described(&self, id: &str) -> aws_sdk_ec2::types::Instance {
        let answer = self.ec2.describe_instances().instance_ids(id).send().await;
        answer.expect("the instance").reservations()[0].instances()[0].clone()
    }
}

/// The code a call was refused with.
fn refused<T: std::fmt::Debug, E, R>(result: Result<T, SdkError<E, R>>) -> String
where
    E: ProvideErrorMetadata + std::fmt::Debug,
    R: std::fmt::Debug,
{
    let error = result.expect_err("AWS would refuse this");
    let service = error.as_service_error().unwrap_or_else(|| panic!("no answer: {error:?}"));
    service.code().unwrap_or_default().to_owned()
}

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

fn tagged(kind: ResourceType, key: &str, value: &str) -> TagSpecification {
    let tag = Tag::builder().key(key).value(value).build();
    TagSpecification::builder().resource_type(kind).tags(tag).build()
}
