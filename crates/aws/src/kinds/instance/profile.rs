//! Association of a running instance with its instance profile.

use aws_sdk_ec2::types::{IamInstanceProfileAssociation, IamInstanceProfileSpecification};

use crate::Aws;
use crate::client::ec2;
use crate::client::resource_type::Result;
use crate::model::ids::{InstanceId, InstanceProfileName};

/// Associates an instance with a profile, in place of the profile that it has. EC2 accepts a new
/// profile after some seconds; until then the error is retryable.
pub(super) async fn associate_profile(
    aws: &Aws,
    id: &InstanceId,
    profile: &InstanceProfileName,
) -> Result<()> {
    let request = aws.ec2.describe_iam_instance_profile_associations();
    let request = request.filters(ec2::filter("instance-id", &[id.as_str()]));
    let request = request.filters(ec2::filter("state", &["associating", "associated"]));
    let call = "DescribeIamInstanceProfileAssociations";
    let found = aws.call("ec2", call, request.send()).await?;
    let association = found.iam_instance_profile_associations().first();
    let wanted = IamInstanceProfileSpecification::builder().name(profile.as_str()).build();
    match association.and_then(IamInstanceProfileAssociation::association_id) {
        Some(association) => {
            let request = aws.ec2.replace_iam_instance_profile_association();
            let request = request.association_id(association).iam_instance_profile(wanted);
            let call = "ReplaceIamInstanceProfileAssociation";
            aws.call("ec2", call, request.send()).await.map(drop)
        }
        None => {
            let request = aws.ec2.associate_iam_instance_profile();
            let request = request.instance_id(id.as_str()).iam_instance_profile(wanted);
            aws.call("ec2", "AssociateIamInstanceProfile", request.send()).await.map(drop)
        }
    }
}
