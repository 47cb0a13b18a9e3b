//! The meaning of a launch error for a Machine: whether a retry can help, and a hint in terms of
//! the Machine's manifest.
//!
//! Free of the SDK and of any cluster. The error code decides first, because AWS's statuses vary:
//! the status for a zone without capacity is 500 in EC2 and 400 in other APIs. Requests are never
//! quoted.

use groundplan_engine::provider::{ErrorClass, ProviderError};

/// Returns true if a Machine whose launch or lookup failed with this error can never run. Its spec
/// is invalid, and only another Machine helps.
///
/// openshift/machine-api-provider-aws treats every 4xx of RunInstances and every lookup error as
/// final (`pkg/actuators/machine/instances.go`). This function differs for errors that the Machine
/// does not cause: throttling, missing capacity, no response, and credentials that are invalid at
/// the moment.
pub fn is_final(error: &ProviderError) -> bool {
    let code = error.code.as_deref().unwrap_or_default();
    match error.class {
        ErrorClass::TokenConsumed => true,
        ErrorClass::Ambiguous => false,
        ErrorClass::Permanent => !passes(code) && !error.is_withheld(),
        // The executor waits for resources that it has just created. A Machine names resources of
        // other owners.
        ErrorClass::Retryable => is_a_wrong_name(code),
    }
}

/// Returns true if an error with this code ends without a change of the Machine.
fn passes(code: &str) -> bool {
    is_lack_of_capacity(code) || ABOUT_THE_CALLER.contains(&code) || PASSING.contains(&code)
}

fn is_lack_of_capacity(code: &str) -> bool {
    code.starts_with("Insufficient") && code.ends_with("Capacity")
}

/// Codes of the EC2 API reference ("Error codes") for conditions of AWS or of this process that end
/// after a while.
const PASSING: &[&str] = &[
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "Unavailable",
    "ServiceUnavailable",
    "InternalError",
    "InternalFailure",
    "RequestTimeout",
    "ConcurrentModification",
    "EndpointUnreachable",
];

/// Codes about the caller and not the request: credentials are renewed, and accounts verified.
const ABOUT_THE_CALLER: &[&str] = &[
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "NoCredentials",
    "PendingVerification",
    "RequestExpired",
    "RequestInTheFuture",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
    "WrongAccount",
];

/// Returns true if a code means that no object has the given name or ID.
fn is_a_wrong_name(code: &str) -> bool {
    code == "InvalidParameterValue"
        || code == "InvalidSubnet"
        || (code.starts_with("Invalid") && code.ends_with("NotFound"))
}

/// Adds a hint in terms of a Machine's manifest, if there is one for the error.
pub fn with_manifest_hint(error: ProviderError) -> ProviderError {
    match hint(&error) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

const REQUIRE_TOKENS: &str = "set `metadataServiceOptions.authentication: Required`";

fn hint(error: &ProviderError) -> Option<String> {
    if error.message.contains("httpTokensEnforced") {
        return Some(format!(
            "{REQUIRE_TOKENS} in the machine's `providerSpec.value`; this account launches only \
             machines that require session tokens"
        ));
    }
    if error.message.contains("valid tag key") {
        return Some(
            "set `metadataServiceOptions.instanceMetadataTags: Disabled`, or disable it in the \
             account's defaults; with instance tags in the metadata service, EC2 rejects tag keys \
             with a slash such as `kubernetes.io/cluster/…`"
                .to_owned(),
        );
    }
    let hint = match error.code.as_deref()? {
        "UnauthorizedOperation" => {
            return Some(format!(
                "allow ec2:RunInstances, ec2:CreateTags and iam:PassRole; if a policy requires \
                 IMDSv2 (ec2:MetadataHttpTokens), {REQUIRE_TOKENS}"
            ));
        }
        code if code.starts_with("InvalidAMIID.") => "set `ami.id` to an image of this region",
        "InvalidKeyPair.NotFound" => "set `keyName` to a key pair of this region",
        "InvalidKMSKey.InvalidState" | "KMSKeyNotAccessibleFault" => {
            "enable the KMS key (`aws kms enable-key`), or set another one in \
             `blockDevices[].ebs.kmsKey`"
        }
        "TagLimitExceeded" => {
            "remove tags from the machine's `tags` or the Infrastructure's `resourceTags`; EC2 \
             allows 50 tags"
        }
        code if is_lack_of_capacity(code) => {
            "wait, or choose another `instanceType` or zone; AWS has no capacity at the moment"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(class: ErrorClass, code: &str) -> ProviderError {
        ProviderError::new(class, "RunInstances", "no").with_code(code)
    }

    #[test]
    fn c38_what_is_asked_for_wrongly_is_final_and_what_passes_is_not() {
        use ErrorClass::{Ambiguous, Permanent, Retryable, TokenConsumed};
        for (class, code) in [
            (Permanent, "UnsupportedOperation"),
            (Permanent, "UnauthorizedOperation"),
            (Permanent, "InvalidAMIID.NotFound"),
            (Permanent, "InvalidParameterValue"),
            (Permanent, "VcpuLimitExceeded"),
            (Permanent, "SpotMaxPriceTooLow"),
            (Permanent, "SomethingOfTomorrow"),
            (Retryable, "InvalidSubnetID.NotFound"),
            (Retryable, "InvalidParameterValue"),
            (TokenConsumed, "IdempotentInstanceTerminated"),
        ] {
            assert!(is_final(&error(class, code)), "{code}");
        }
        for class in [Retryable, Ambiguous, Permanent] {
            for code in [
                "InsufficientInstanceCapacity",
                "InsufficientHostCapacity",
                "InsufficientReservedInstanceCapacity",
                "RequestLimitExceeded",
                "Unavailable",
                "InternalError",
                "AuthFailure",
                "ExpiredToken",
            ] {
                assert!(!is_final(&error(class, code)), "{class:?} {code}");
            }
        }
    }

    #[test]
    fn c38_no_answer_is_never_final() {
        assert!(!is_final(&ProviderError::new(ErrorClass::Ambiguous, "RunInstances", "reset")));
        assert!(!is_final(&ProviderError::new(
            ErrorClass::Retryable,
            "RunInstances",
            "HTTP status 429"
        )));
        // Our own rejection of too long user data is final: a retry has the same length.
        assert!(is_final(&ProviderError::new(
            ErrorClass::Permanent,
            "RunInstances",
            "18000 bytes"
        )));
    }

    #[test]
    fn c38_a_throttled_look_up_is_asked_again() {
        // Upstream: the Machine fails permanently.
        let throttled =
            ProviderError::new(ErrorClass::Retryable, "DescribeImages", "Rate exceeded");
        assert!(!is_final(&throttled.with_code("RequestLimitExceeded")));
    }

    #[test]
    fn c39_an_account_that_enforces_tokens_says_which_field_to_set() {
        let error = ProviderError::new(
            ErrorClass::Permanent,
            "RunInstances",
            "httpTokensEnforced is enabled at account level",
        );
        let hint = with_manifest_hint(error.with_code("UnsupportedOperation")).hint.unwrap();
        assert!(hint.contains("`metadataServiceOptions.authentication: Required`"), "{hint}");
    }

    #[test]
    fn instance_tags_that_cannot_be_shown_are_explained() {
        let message = "'kubernetes.io/cluster/demo' is not a valid tag key";
        let error = ProviderError::new(ErrorClass::Permanent, "RunInstances", message);
        let hint = with_manifest_hint(error.with_code("InvalidParameterValue")).hint.unwrap();
        assert!(hint.contains("instanceMetadataTags"), "{hint}");
    }

    #[test]
    fn an_error_that_we_know_nothing_about_keeps_the_hint_it_has() {
        let error = error(ErrorClass::Permanent, "OptInRequired").with_hint("accept the terms");
        assert_eq!(with_manifest_hint(error.clone()), error);
    }
}
