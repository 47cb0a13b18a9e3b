//! The test cloud is as strict as AWS in all behaviour that groundplan relies on.
//!
//! The tests of the kinds rely on the behaviour of the test cloud that is verified here.

mod compute;
mod consistency;
mod control;
mod network;
mod services;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};

use crate::support::cloud::Cloud;

/// The RHCOS image in the region of these tests.
const IMAGE: &str = "ami-0abcdef1234567890";

/// An account with its SDK clients, and helpers that many tests use.
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

    /// Returns a request for one instance with this client token.
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

/// Returns the error code of a rejected call.
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
