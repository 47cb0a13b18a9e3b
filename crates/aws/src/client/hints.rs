//! Hints for AWS errors: actions that the user can take. Decides nothing.

use groundplan_engine::provider::ProviderError;

use super::clock;
use super::errors::is_throttle;

/// Our error code for missing credentials.
pub(crate) const NO_CREDENTIALS: &str = "NoCredentials";
/// Our error code for credentials of another account than at the start.
pub(crate) const WRONG_ACCOUNT: &str = "WrongAccount";
/// Our error code for a configured endpoint that is not a URL.
pub(crate) const INVALID_ENDPOINT: &str = "InvalidEndpoint";
/// Our error code for a file of certificate authorities that cannot be used.
pub(crate) const CA_BUNDLE: &str = "InvalidCaBundle";
/// Our error code for an endpoint that cannot be reached.
pub(crate) const UNREACHABLE: &str = "EndpointUnreachable";

const CREDENTIALS: &str = "set AWS_PROFILE to a profile of ~/.aws/config, run `aws configure` or \
     `aws sso login`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
const ENDPOINT: &str = "check the network, the proxy (HTTPS_PROXY, NO_PROXY), the name of the \
     region, and configured endpoints (AWS_ENDPOINT_URL, `platform.aws.serviceEndpoints`)";
/// Text of AWS about an account that requires session tokens.
const TOKENS_ENFORCED: &str = "httpTokensEnforced";
const REQUIRE_TOKENS: &str =
    "set `metadataService.authentication: Required` in the machine pool's `platform.aws`";

/// Error codes for a name that another object has: IAM, EC2, Elastic Load Balancing.
const NAME_TAKEN: &[&str] = &[
    "EntityAlreadyExists",
    "InvalidGroup.Duplicate",
    "DuplicateLoadBalancerName",
    "DuplicateTargetGroupName",
];

/// Situation of a failed call, as far as the user acts on it in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultSituation {
    /// No credentials were found.
    CredentialsMissing,
    /// The credentials have expired.
    CredentialsExpired,
    /// AWS does not accept the credentials.
    CredentialsRejected,
    /// The credentials belong to another account.
    AccountMismatch,
    /// The time of the request is not that of AWS.
    ClockSkewed,
    /// AWS has not enabled the account or the region.
    AccountNotReady,
    /// A policy does not allow the call.
    Denied,
    /// A quota is exceeded.
    Quota,
    /// AWS has no capacity.
    Capacity,
    /// The zone does not support the request.
    Unsupported,
    /// The account launches only machines that require session tokens.
    TokensRequired,
    /// The image does not exist in the region.
    Image,
    /// The key pair does not exist in the region.
    KeyPair,
    /// The KMS key cannot be used.
    KmsKey,
    /// The subnet has too few free addresses.
    SubnetFull,
    /// AWS protects the resource from deletion.
    DeletionProtected,
    /// Another resource uses the one to delete.
    InUse,
    /// Another object has the name.
    NameTaken,
    /// AWS throttles the calls.
    Throttled,
    /// The configured endpoint is not a URL.
    EndpointInvalid,
    /// The file of certificate authorities for AWS endpoints cannot be used.
    CaBundle,
    /// The endpoint cannot be reached.
    EndpointUnreachable,
}

impl FaultSituation {
    /// Returns the situation of a call that failed with this code and message. `None` if it is none of
    /// these.
    pub fn of(call: &str, code: &str, message: &str) -> Option<Self> {
        if message.contains(TOKENS_ENFORCED) {
            return Some(FaultSituation::TokensRequired);
        }
        if clock::is_about_time(code, message) {
            return Some(FaultSituation::ClockSkewed);
        }
        let situation = match code {
            NO_CREDENTIALS => FaultSituation::CredentialsMissing,
            WRONG_ACCOUNT => FaultSituation::AccountMismatch,
            UNREACHABLE => FaultSituation::EndpointUnreachable,
            INVALID_ENDPOINT => FaultSituation::EndpointInvalid,
            CA_BUNDLE => FaultSituation::CaBundle,
            "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => {
                FaultSituation::CredentialsExpired
            }
            "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "AuthFailure"
            | "InvalidAccessKeyId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch" => FaultSituation::CredentialsRejected,
            "OptInRequired" | "PendingVerification" | "Blocked" => FaultSituation::AccountNotReady,
            "UnauthorizedOperation"
            | "AccessDenied"
            | "AccessDeniedException"
            | "AuthFailure.ServiceLinkedRoleCreationNotPermitted" => FaultSituation::Denied,
            "InvalidAMIID.NotFound" | "InvalidAMIID.Unavailable" | "InvalidAMIID.Malformed" => {
                FaultSituation::Image
            }
            "InvalidKeyPair.NotFound" => FaultSituation::KeyPair,
            "InvalidKMSKey.InvalidState" | "KMSKeyNotAccessibleFault" => FaultSituation::KmsKey,
            "Unsupported" => FaultSituation::Unsupported,
            "OperationNotPermitted" if call == "TerminateInstances" => {
                FaultSituation::DeletionProtected
            }
            "DependencyViolation" => FaultSituation::InUse,
            _ if NAME_TAKEN.contains(&code) => FaultSituation::NameTaken,
            "InsufficientFreeAddressesInSubnet" => FaultSituation::SubnetFull,
            _ if is_throttle(code) => FaultSituation::Throttled,
            _ if code.starts_with("Insufficient") => FaultSituation::Capacity,
            _ if quota(code).is_some() => FaultSituation::Quota,
            _ => return None,
        };
        Some(situation)
    }
}

/// Returns an action that the user can take. `None` if there is no known one.
pub(crate) fn hint(service: &str, error: &ProviderError) -> Option<String> {
    let code = error.code.as_deref()?;
    let message = error.message.as_str();
    if message.contains(TOKENS_ENFORCED) {
        return Some(format!(
            "{REQUIRE_TOKENS}; this account launches only machines that require session tokens"
        ));
    }
    let hint = match code {
        NO_CREDENTIALS => CREDENTIALS.to_owned(),
        WRONG_ACCOUNT => {
            "set the credentials of the cluster's account; to work in another account on purpose, \
             restart the process"
                .to_owned()
        }
        UNREACHABLE => ENDPOINT.to_owned(),
        INVALID_ENDPOINT => {
            "set AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_<SERVICE> or `endpoint_url` of the profile to a \
             URL such as `https://ec2.us-west-2.amazonaws.com`, or remove the setting"
                .to_owned()
        }
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => {
            "renew the expired credentials, for example with `aws sso login`, and run the same \
             command again; created resources are recorded"
                .to_owned()
        }
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "AuthFailure"
        | "InvalidAccessKeyId" => {
            format!(
                "check the credentials, which AWS does not accept in this region: \
                 {CREDENTIALS}"
            )
        }
        _ if clock::is_about_time(code, message) => clock::hint(None),
        "SignatureDoesNotMatch" | "InvalidSignatureException" => {
            "check the secret access key (AWS_SECRET_ACCESS_KEY or ~/.aws/credentials), which does \
             not belong to the access key ID"
                .to_owned()
        }
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => {
            forbidden(service, error)
        }
        "InvalidAMIID.NotFound" | "InvalidAMIID.Unavailable" | "InvalidAMIID.Malformed" => {
            "set `amiID` to an image of this region, or remove it to use the image of the release"
                .to_owned()
        }
        "InvalidKeyPair.NotFound" => "use a key pair of this region".to_owned(),
        "OptInRequired" => {
            "enable the region in the AWS console (`Account`); for an image of AWS Marketplace, \
             accept its terms there"
                .to_owned()
        }
        "PendingVerification" => "wait until AWS has verified this account for the region (up to \
             four hours), then run the same command again"
            .to_owned(),
        "Blocked" => "contact AWS Support, because AWS has blocked this account".to_owned(),
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted" => {
            "allow iam:CreateServiceLinkedRole, or create the role once as an administrator: aws iam \
             create-service-linked-role --aws-service-name spot.amazonaws.com"
                .to_owned()
        }
        "Unsupported" => {
            "choose another instance type or zone; this zone does not support the request"
                .to_owned()
        }
        "OperationNotPermitted" if error.call == "TerminateInstances" => {
            "disable the termination protection: aws ec2 modify-instance-attribute \
             --no-disable-api-termination --instance-id ID"
                .to_owned()
        }
        "DependencyViolation" => "find and delete the resources that still use this one".to_owned(),
        _ if NAME_TAKEN.contains(&code) => {
            "run the same command again, in case a deleted object still had the name; if the error \
             repeats, delete the object that has it, if it is unused, or choose another cluster name"
                .to_owned()
        }
        "InsufficientFreeAddressesInSubnet" => {
            "choose a larger subnet, or free addresses in this one".to_owned()
        }
        "InvalidKMSKey.InvalidState" | "KMSKeyNotAccessibleFault" => {
            "enable the KMS key (`aws kms enable-key`), or set another one in \
             `rootVolume.kmsKeyARN`"
                .to_owned()
        }
        _ if code.starts_with("Insufficient") => {
            "wait, or choose another instance type or zone; AWS has no capacity at the moment"
                .to_owned()
        }
        _ => quota(code)?,
    };
    Some(hint)
}

/// Returns true if every call fails with this error: AWS does not accept the credentials, or the
/// endpoint is invalid or cannot be reached.
pub fn fails_every_call(error: &ProviderError) -> bool {
    let is_of_an_object = error.message.contains("does not belong to you");
    !is_of_an_object
        && error.is(&[
            NO_CREDENTIALS,
            INVALID_ENDPOINT,
            CA_BUNDLE,
            UNREACHABLE,
            "AuthFailure",
            "ExpiredToken",
            "ExpiredTokenException",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "OptInRequired",
            "RequestExpired",
            "RequestInTheFuture",
            "RequestTimeTooSkewed",
            "SignatureDoesNotMatch",
            "TokenRefreshRequired",
            "UnrecognizedClientException",
        ])
}

/// Adds a hint about the profile name to missing credentials. A requested profile without content
/// is most likely misspelt, and the SDK does not report that.
pub(crate) fn of_profile(error: ProviderError, profile: Option<&str>) -> ProviderError {
    match profile {
        Some(name) if error.is(&[NO_CREDENTIALS]) => error.with_hint(format!(
            "check that ~/.aws/config has the profile `{name}` from AWS_PROFILE (`aws configure \
             list-profiles`), and run `aws sso login` for an SSO profile"
        )),
        _ => error,
    }
}

/// Calls that a policy can restrict to roles with a certain permissions boundary.
const ROLE_CALLS: [&str; 3] =
    ["CreateRole", "PutRolePermissionsBoundary", "DeleteRolePermissionsBoundary"];

fn forbidden(service: &str, error: &ProviderError) -> String {
    let allow = format!("allow {}", action(service, error));
    if ROLE_CALLS.contains(&error.call.as_str()) {
        let remedy = "set `platform.aws.permissionsBoundary` to the ARN of the policy that the \
                      administrators of the account require for roles (iam:PermissionsBoundary)";
        return match error.message.contains("boundary") {
            true => format!("{remedy}, or {allow}"),
            false => format!("{allow}; if the account requires a permissions boundary, {remedy}"),
        };
    }
    if error.call == "RunInstances" {
        let imds = "if a policy requires IMDSv2 (ec2:MetadataHttpTokens)";
        return format!("{allow}; {imds}, {REQUIRE_TOKENS}");
    }
    allow
}

/// Returns the action that the message names as denied, else the call itself: `ec2:RunInstances`.
fn action(service: &str, error: &ProviderError) -> String {
    let said = error.message.split_once("is not authorized to perform: ").map(|(_, rest)| rest);
    let word = said.and_then(|rest| rest.split_whitespace().next());
    match word {
        Some(action) if action.contains(':') => action.trim_end_matches('.').to_owned(),
        _ => format!("{service}:{}", error.call),
    }
}

/// Returns a hint with the quota that a code is about, by its name in Service Quotas.
fn quota(code: &str) -> Option<String> {
    let quota = match code {
        "VpcLimitExceeded" => "VPCs per Region",
        "SubnetLimitExceeded" => "Subnets per VPC",
        "InternetGatewayLimitExceeded" => "Internet gateways per Region",
        "AddressLimitExceeded" => "EC2-VPC Elastic IPs",
        "NatGatewayLimitExceeded" => "NAT gateways per Availability Zone",
        "VpcEndpointLimitExceeded" | "GatewayVpcEndpointLimitExceeded" => {
            "Gateway VPC endpoints per Region"
        }
        "RouteTableLimitExceeded" => "Route tables per VPC",
        "SecurityGroupLimitExceeded" => "VPC security groups per Region",
        "RulesPerSecurityGroupLimitExceeded" => "Inbound or outbound rules per security group",
        "NetworkInterfaceLimitExceeded" => "Network interfaces per Region",
        "VcpuLimitExceeded" | "InstanceLimitExceeded" => "Running On-Demand instances (vCPUs)",
        "MaxSpotInstanceCountExceeded" => "Spot Instance requests (vCPUs)",
        "VolumeLimitExceeded" => "Storage for EBS volumes",
        "MaxIOPSLimitExceeded" => "IOPS for EBS volumes",
        "TooManyLoadBalancers" => "Network Load Balancers per Region",
        "TooManyTargetGroups" => "Target Groups per Region",
        "TooManyHostedZones" => "Hosted zones",
        "TooManyBuckets" => "S3 buckets",
        "LimitExceeded" => "the IAM quota that the message names",
        "TagLimitExceeded" => {
            return Some(
                "remove tags from `platform.aws.userTags`; AWS allows 50 tags for a resource, \
                 including those of the cluster"
                    .to_owned(),
            );
        }
        _ if code.ends_with("LimitExceeded") => "the quota that the message names",
        _ => return None,
    };
    Some(format!(
        "delete unused resources, or request a higher quota in Service Quotas ({quota}), and \
         run the same command again"
    ))
}

#[cfg(test)]
mod tests {
    use groundplan_engine::provider::ErrorClass;

    use super::*;

    #[test]
    fn a_profile_without_credentials_is_named() {
        let error = |code| {
            ProviderError::new(ErrorClass::Permanent, "GetCallerIdentity", "").with_code(code)
        };
        let hinted = of_profile(error(NO_CREDENTIALS), Some("prdo")).hint;
        assert!(hinted.is_some_and(|hint| hint.contains("prdo")));
        assert_eq!(of_profile(error(NO_CREDENTIALS), None).hint, None);
        assert_eq!(of_profile(error("ExpiredToken"), Some("prod")).hint, None);
    }

    #[test]
    fn a_denied_role_names_the_boundary_and_the_field_first_if_the_message_does() {
        let hinted = |call: &str, message: &str| {
            let error = ProviderError::new(ErrorClass::Permanent, call, message);
            hint("iam", &error.with_code("AccessDenied")).unwrap()
        };
        let denied = "User: arn:aws:iam::123456789012:user/a is not authorized to perform: \
                      iam:CreateRole on resource: arn:aws:iam::123456789012:role/b";
        let boundary = format!("{denied} with an explicit deny in a permissions boundary");
        let field = "`platform.aws.permissionsBoundary`";
        assert!(hinted("CreateRole", &boundary).starts_with(&format!("set {field}")));
        let other = format!("{denied} because no identity-based policy allows the action");
        let other = hinted("CreateRole", &other);
        assert!(other.starts_with("allow iam:CreateRole; ") && other.contains(field), "{other}");
        assert!(!hinted("DeleteRole", &boundary).contains(field));
    }

    /// Codes with a hint, each group of the table once.
    const HINTED: &str = "NoCredentials WrongAccount InvalidEndpoint EndpointUnreachable \
         ExpiredToken ExpiredTokenException TokenRefreshRequired InvalidClientTokenId UnrecognizedClientException \
         AuthFailure InvalidAccessKeyId RequestExpired RequestTimeTooSkewed RequestInTheFuture \
         SignatureDoesNotMatch InvalidSignatureException UnauthorizedOperation AccessDenied AccessDeniedException InvalidAMIID.NotFound \
         InvalidAMIID.Unavailable InvalidAMIID.Malformed InvalidKeyPair.NotFound OptInRequired \
         PendingVerification Blocked AuthFailure.ServiceLinkedRoleCreationNotPermitted Unsupported \
         OperationNotPermitted DependencyViolation InsufficientFreeAddressesInSubnet \
         InvalidKMSKey.InvalidState KMSKeyNotAccessibleFault InsufficientInstanceCapacity \
         EntityAlreadyExists InvalidGroup.Duplicate VpcLimitExceeded AddressLimitExceeded TooManyBuckets LimitExceeded TagLimitExceeded \
         SomeOtherLimitExceeded";

    #[test]
    fn every_hint_belongs_to_a_situation() {
        let call = "TerminateInstances";
        for code in HINTED.split_whitespace() {
            let error = ProviderError::new(ErrorClass::Permanent, call, "").with_code(code);
            assert!(hint("ec2", &error).is_some(), "{code} has no hint");
            assert!(FaultSituation::of(call, code, "").is_some(), "{code} has no situation");
        }
    }

    #[test]
    fn a_situation_depends_on_code_call_and_message() {
        let of = FaultSituation::of;
        assert_eq!(of("RunInstances", "VcpuLimitExceeded", ""), Some(FaultSituation::Quota));
        assert_eq!(
            of("RunInstances", "InsufficientInstanceCapacity", ""),
            Some(FaultSituation::Capacity)
        );
        assert_eq!(of("CreateVpc", "RequestLimitExceeded", ""), Some(FaultSituation::Throttled));
        let enforced = "httpTokensEnforced is set";
        assert_eq!(
            of("RunInstances", "InvalidParameter", enforced),
            Some(FaultSituation::TokensRequired)
        );
        let expired = "Signature expired: 20261201T100000Z is now earlier than 20261201T101500Z";
        let signature = |message| of("GetCallerIdentity", "SignatureDoesNotMatch", message);
        assert_eq!(signature(expired), Some(FaultSituation::ClockSkewed));
        assert_eq!(signature("does not match"), Some(FaultSituation::CredentialsRejected));
        assert_eq!(of("StopInstances", "OperationNotPermitted", ""), None);
        assert_eq!(of("CreateVpc", "InvalidVpcRange", ""), None);
    }
}
