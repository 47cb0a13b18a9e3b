//! The test cloud is as strict as AWS where we rely on it.

use aws_sdk_ec2::Client as Ec2;

use crate::support::cloud::{Cloud, shared};

async fn create_vpc(cloud: &Cloud) -> String {
    let made = Ec2::new(&cloud.sdk_config()).create_vpc().cidr_block("10.0.0.0/16").send().await;
    made.expect("a VPC").vpc.expect("a VPC").vpc_id.expect("an id")
}

async fn vpcs(cloud: &Cloud) -> Vec<String> {
    let listed = Ec2::new(&cloud.sdk_config()).describe_vpcs().send().await.expect("VPCs");
    listed.vpcs().iter().filter_map(|vpc| vpc.vpc_id.clone()).collect()
}

#[tokio::test]
async fn accounts_of_one_cloud_do_not_see_each_other() {
    let (ours, theirs) = (shared(), shared());
    let vpc = create_vpc(&ours).await;
    assert!(vpcs(&ours).await.contains(&vpc));
    assert!(!vpcs(&theirs).await.contains(&vpc));
}
