//! What an error of a launch means to a machine: whether asking again can help, and what a person
//! can do about it in the machine's own words.
//!
//! Free of the SDK and of any cluster. Judges by code first, as AWS's statuses move about: a zone
//! without capacity answers 500 today and 400 in other APIs. Never quotes what was sent.

use crate::provider::{Class, FENCED, ProviderError, STOPPED};

/// Whether a machine whose launch, or a look-up before it, ended so can never be: it is asked for
/// wrongly, and only another machine will do.
///
/// openshift/machine-api-provider-aws takes every 4xx of RunInstances for that, and every error of
/// a look-up (`pkg/actuators/machine/instances.go`). Ours differs where the machine is not to blame:
/// a throttle, a lack of capacity, no answer, and credentials that are not good at the moment.
pub fn is_final(error: &ProviderError) -> bool {
    let code = error.code.as_deref().unwrap_or_default();
    match error.class {
        Class::Spent => true,
        Class::Unknown => false,
        Class::Refused => !passes(code),
        // The engine waits for what it has just made; a machine names what somebody else has.
        Class::Again => is_a_wrong_name(code),
    }
}

/// Whether what AWS says with this code ends without the machine's doing.
fn passes(code: &str) -> bool {
    is_lack_of_capacity(code) || ABOUT_THE_CALLER.contains(&code) || PASSING.contains(&code)
}

fn is_lack_of_capacity(code: &str) -> bool {
    code.starts_with("Insufficient") && code.ends_with("Capacity")
}

/// Codes of the EC2 API reference ("Error codes") that say that AWS, or what this process is called
/// with, will be otherwise in a while.
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
    FENCED,
    STOPPED,
];

/// Codes that say who calls, not what for: credentials are renewed, and accounts verified.
const ABOUT_THE_CALLER: &[&str] = &[
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "NoCredentials",
    "PendingVerification",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
];

/// Whether a code says that nothing has the name or id that was given.
fn is_a_wrong_name(code: &str) -> bool {
    code == "InvalidParameterValue"
        || code == "InvalidSubnet"
        || (code.starts_with("Invalid") && code.ends_with("NotFound"))
}

/// The same error with a hint in the words of a machine's manifest, where one is known.
pub fn explained(error: ProviderError) -> ProviderError {
    match hint(&error) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

const REQUIRE_TOKENS: &str = "set `metadataServiceOptions.authentication: Required`";

fn hint(error: &ProviderError) -> Option<String> {
    if error.message.contains("httpTokensEnforced") {
        return Some(format!(
            "this account launches only machines that require session tokens: {REQUIRE_TOKENS} in \
             the machine's `providerSpec.value`"
        ));
    }
    if error.message.contains("valid tag key") {
        return Some(
            "instance tags are in the metadata service, where no key may have a slash, as \
             `kubernetes.io/cluster/…` has: set `metadataServiceOptions.instanceMetadataTags: \
             Disabled`, or turn it off among the account's defaults"
                .to_owned(),
        );
    }
    let hint = match error.code.as_deref()? {
        "UnauthorizedOperation" => {
            return Some(format!(
                "allow ec2:RunInstances, ec2:CreateTags and iam:PassRole; where a policy demands \
                 IMDSv2 (ec2:MetadataHttpTokens), {REQUIRE_TOKENS}"
            ));
        }
        code if code.starts_with("InvalidAMIID.") => "name an image of this region in `ami.id`",
        "InvalidKeyPair.NotFound" => "name a key pair of this region in `keyName`",
        "InvalidKMSKey.InvalidState" | "KMSKeyNotAccessibleFault" => {
            "enable the key, or name another in `blockDevices[].ebs.kmsKey`"
        }
        "TagLimitExceeded" => {
            "remove some of the machine's `tags`, or of the Infrastructure's `resourceTags`"
        }
        code if is_lack_of_capacity(code) => {
            "AWS has no more of it at the moment: wait, or choose another `instanceType` or zone"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(class: Class, code: &str) -> ProviderError {
        ProviderError::new(class, "RunInstances", "no").with_code(code)
    }

    #[test]
    fn c38_what_is_asked_for_wrongly_is_final_and_what_passes_is_not() {
        use Class::{Again, Refused, Spent, Unknown};
        for (class, code) in [
            (Refused, "UnsupportedOperation"),
            (Refused, "UnauthorizedOperation"),
            (Refused, "InvalidAMIID.NotFound"),
            (Refused, "InvalidParameterValue"),
            (Refused, "VcpuLimitExceeded"),
            (Refused, "SpotMaxPriceTooLow"),
            (Refused, "SomethingOfTomorrow"),
            (Again, "InvalidSubnetID.NotFound"),
            (Again, "InvalidParameterValue"),
            (Spent, "IdempotentInstanceTerminated"),
        ] {
            assert!(is_final(&error(class, code)), "{code}");
        }
        for class in [Again, Unknown, Refused] {
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
        assert!(!is_final(&ProviderError::new(Class::Unknown, "RunInstances", "reset")));
        assert!(!is_final(&ProviderError::new(Class::Again, "RunInstances", "HTTP status 429")));
        // What we refuse to send ourselves, user data that is too long, will be as long tomorrow.
        assert!(is_final(&ProviderError::new(Class::Refused, "RunInstances", "18000 bytes")));
    }

    #[test]
    fn c38_a_throttled_look_up_is_asked_again() {
        // Upstream: the machine fails for good.
        let throttled = ProviderError::new(Class::Again, "DescribeImages", "Rate exceeded");
        assert!(!is_final(&throttled.with_code("RequestLimitExceeded")));
    }

    #[test]
    fn c39_an_account_that_enforces_tokens_says_which_field_to_set() {
        let error = ProviderError::new(
            Class::Refused,
            "RunInstances",
            "httpTokensEnforced is enabled at account level",
        );
        let hint = explained(error.with_code("UnsupportedOperation")).hint.unwrap();
        assert!(hint.contains("`metadataServiceOptions.authentication: Required`"), "{hint}");
    }

    #[test]
    fn instance_tags_that_cannot_be_shown_are_explained() {
        let message = "'kubernetes.io/cluster/demo' is not a valid tag key";
        let error = ProviderError::new(Class::Refused, "RunInstances", message);
        let hint = explained(error.with_code("InvalidParameterValue")).hint.unwrap();
        assert!(hint.contains("instanceMetadataTags"), "{hint}");
    }

    #[test]
    fn an_error_that_we_know_nothing_about_keeps_the_hint_it_has() {
        let error = error(Class::Refused, "OptInRequired").with_hint("accept the terms");
        assert_eq!(explained(error.clone()), error);
    }
}
