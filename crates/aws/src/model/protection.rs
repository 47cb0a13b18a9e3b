//! Protection against deletion: a setting of AWS that makes AWS reject the deletion of a resource.

/// A setting that protects a resource, and the command that lifts the protection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletionProtection {
    /// Name of the setting, as in `termination protection (disableApiTermination)`.
    pub setting: &'static str,
    /// Command of the AWS CLI that lifts the protection.
    pub lifted_by: String,
}

impl DeletionProtection {
    /// Returns the termination protection of an instance.
    pub fn of_instance(id: &str) -> Self {
        Self {
            setting: "termination protection (disableApiTermination)",
            lifted_by: format!(
                "aws ec2 modify-instance-attribute --no-disable-api-termination --instance-id {id}"
            ),
        }
    }

    /// Returns the deletion protection of a load balancer.
    pub fn of_load_balancer(arn: &str) -> Self {
        Self {
            setting: "deletion protection (deletion_protection.enabled)",
            lifted_by: format!(
                "aws elbv2 modify-load-balancer-attributes --attributes \
                 Key=deletion_protection.enabled,Value=false --load-balancer-arn {arn}"
            ),
        }
    }
}
