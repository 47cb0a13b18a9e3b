//! Maps SDK errors to provider errors: the call, AWS's code and message, and the error class.
//!
//! The error code decides first, the HTTP status second: AWS returns 500 for a zone without
//! capacity, and 503 or 400 for a throttle. Requests are never quoted. Of responses only AWS's code
//! and message are quoted, because bodies contain user data.

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use groundplan_engine::provider::{Cause, ErrorClass, ProviderError};
use groundplan_engine::state::error::StateError;

use super::hints;
use crate::client::account::WrongAccount;
use crate::client::assumed_role::RoleRefused;
use crate::client::ca_bundle::CaBundleError;
use crate::client::clock;
use crate::client::connection_failure::ConnectionFailure;
use crate::client::interceptor::CallWithheld;
use crate::model::calls::is_read;

/// Returns the provider error of a failed call, with error class, request ID and hint.
pub(crate) fn explain<E>(
    service: &str,
    call: &str,
    error: &SdkError<E, HttpResponse>,
) -> ProviderError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    SdkError<E, HttpResponse>: RequestId,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let mut explained = match error {
        SdkError::ServiceError(answer) => {
            from_response(call, answer.err().code(), answer.err().message(), status)
        }
        _ => without_response(call, error),
    };
    explained.request_id = error
        .request_id()
        .map(str::to_owned)
        .or_else(|| error.raw_response().and_then(request_id_in_body));
    if explained.code.as_deref().is_some_and(is_throttle) {
        explained.hint = Some(THROTTLED_HINT.to_owned());
    }
    let code = explained.code.as_deref();
    if code.is_some_and(|code| clock::is_about_time(code, &explained.message)) {
        let ahead = clock::ahead(error.raw_response(), &explained.message, SystemTime::now());
        explained.hint = Some(clock::hint(ahead));
    }
    if explained.hint.is_none() {
        explained.hint = hints::hint(service, &explained);
    }
    explained.within = limit(&explained);
    explained
}

/// Hint for a throttled call whose retries have ended.
const THROTTLED_HINT: &str = "run the same command again in some minutes, with a lower --parallelism; AWS \
     throttles the calls of this account and region";
/// Maximum time of retries of a read. A read that fails so long would fail for ever.
const READS_WITHIN: Duration = Duration::from_secs(60);
/// Maximum time of retries of a call for which AWS has no capacity. AWS advises to wait some minutes.
pub const CAPACITY_WITHIN: Duration = Duration::from_secs(180);
/// Maximum time of retries of a deletion that is blocked by something that a search does not find.
const BLOCKED_WITHIN: Duration = Duration::from_secs(180);

/// Returns the maximum time of retries of an error. `None` means the executor's retry budget.
fn limit(error: &ProviderError) -> Option<Duration> {
    if is_read(&error.call) && error.class != ErrorClass::Permanent {
        return Some(READS_WITHIN);
    }
    if error.code.as_deref().is_some_and(is_lack_of_capacity) {
        return Some(CAPACITY_WITHIN);
    }
    (unmakes(&error.call) && is_in_use(error)).then_some(BLOCKED_WITHIN)
}

/// Returns true for an error of a deletion that another resource blocks.
pub(crate) fn is_in_use(error: &ProviderError) -> bool {
    match error.code.as_deref() {
        Some("InvalidParameterValue") => error.message.contains("currently in use"),
        Some(code) => IN_USE.contains(&code),
        None => false,
    }
}

/// Error codes for a resource that another resource uses.
const IN_USE: &[&str] = &[
    "DependencyViolation",
    "ResourceInUse",
    "ResourceInUseException",
    "DeleteConflict",
    "VolumeInUse",
    "InvalidGroup.InUse",
    "InvalidIPAddress.InUse",
    "InvalidNetworkInterface.InUse",
    "InvalidPlacementGroup.InUse",
    "InvalidSnapshot.InUse",
];

/// Returns true if an attempt may have taken effect although no response confirmed that.
pub(crate) fn leaves_open(
    call: &str,
    answer: Option<&HttpResponse>,
    failure: Option<&(dyn Error + 'static)>,
) -> bool {
    let Some(answer) = answer else { return !failure.is_some_and(was_never_sent) };
    if answer.status().is_success() {
        return false;
    }
    let Some(code) = element(answer, "Code") else {
        return class_without_code(call, answer.status().as_u16()) == ErrorClass::Ambiguous;
    };
    if answer.status().as_u16() < 500 {
        return false;
    }
    let class = class(call, code, element(answer, "Message").unwrap_or_default());
    matches!(class, None | Some(ErrorClass::Ambiguous))
}

/// Returns true if AWS throttles calls with this code.
pub(crate) fn is_throttle(code: &str) -> bool {
    matches!(
        code,
        "RequestLimitExceeded"
            | "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "EC2ThrottledException"
            | "TooManyRequestsException"
            | "BandwidthLimitExceeded"
            | "SlowDown"
            | "PriorRequestNotComplete"
    )
}

/// Returns the text of the first element with this name in an XML response.
pub(crate) fn element<'a>(response: &'a HttpResponse, name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(response.body().bytes()?).ok()?;
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once('<').map(|(value, _)| value.trim())
}

/// Returns the request ID in the body. EC2 once sent the ID in the body only, and some emulators of
/// EC2 still do.
fn request_id_in_body(response: &HttpResponse) -> Option<String> {
    element(response, "RequestID").or_else(|| element(response, "RequestId")).map(str::to_owned)
}

fn from_response(
    call: &str,
    code: Option<&str>,
    message: Option<&str>,
    status: Option<u16>,
) -> ProviderError {
    let message = message.unwrap_or_default();
    let status_code = status.unwrap_or_default();
    let class = match code {
        Some(code) => class(call, code, message).unwrap_or_else(|| class_of_status(status_code)),
        None => class_without_code(call, status_code),
    };
    let said = match (message, status) {
        ("", Some(status)) => format!("HTTP status {status} without a message"),
        ("", None) => "no message".to_owned(),
        (message, _) => message.to_owned(),
    };
    let mut error = ProviderError::new(class, call, said);
    if code.is_none() && !is_read(call) && (300..500).contains(&status_code) {
        error.hint = Some(
            "the response has no AWS error code, so a proxy or another server may have sent it; check \
             AWS_ENDPOINT_URL, HTTPS_PROXY and `platform.aws.serviceEndpoints`"
                .to_owned(),
        );
    }
    error.code = code.map(str::to_owned);
    error.after = code.filter(|_| class == ErrorClass::Retryable).and_then(after);
    error
}

/// Returns the error class that the code implies with any status. `None` if the code alone implies
/// none.
fn class(call: &str, code: &str, message: &str) -> Option<ErrorClass> {
    let refers_to_what_settles = !is_read(call) && !unmakes(call);
    Some(match code {
        _ if is_throttle(code) => ErrorClass::Retryable,
        _ if is_settling(code, message) && !is_read(call) => ErrorClass::Retryable,
        _ if is_absence(code) && refers_to_what_settles => ErrorClass::Retryable,
        // EC2 returns this error for an address or network that was created a moment ago.
        "AuthFailure" if message.contains("does not belong to you") => ErrorClass::Retryable,
        "Gateway.NotAttached" if refers_to_what_settles => ErrorClass::Retryable,
        // The codes for a new network, subnet or group that a service does not know yet: Elastic
        // Load Balancing (CreateTargetGroup), Route 53 (CreateHostedZone), EC2 (CreateTags).
        "ValidationError" if refers_to_what_settles && message.ends_with("is not found") => {
            ErrorClass::Retryable
        }
        "InvalidVPCId" | "InvalidID" if refers_to_what_settles => ErrorClass::Retryable,
        _ if is_lack_of_capacity(code) => ErrorClass::Retryable,
        // The token is consumed: it created something with other parameters, or something that is
        // now terminated. A presigned address in the user data differs between launches. EC2 keeps
        // tokens that long (EC2 developer guide, "Ensuring idempotency").
        "IdempotentParameterMismatch" | "IdempotentInstanceTerminated" => ErrorClass::TokenConsumed,
        "InternalError"
        | "InternalFailure"
        | "InternalServerError"
        | "InternalServiceError"
        | "ServiceFailure"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "Unavailable"
        | "RequestTimeout"
        | "RequestTimeoutException" => ErrorClass::Ambiguous,
        _ => return None,
    })
}

/// Returns the error class of a response without an error code of AWS. A proxy or another server
/// may have sent the response after AWS executed the call, so a change is in doubt.
fn class_without_code(call: &str, status: u16) -> ErrorClass {
    match class_of_status(status) {
        ErrorClass::Permanent if !is_read(call) => ErrorClass::Ambiguous,
        class => class,
    }
}

fn class_of_status(status: u16) -> ErrorClass {
    match status {
        429 => ErrorClass::Retryable,
        // The call probably took effect, and its response cannot be read.
        200..300 | 500.. => ErrorClass::Ambiguous,
        _ => ErrorClass::Permanent,
    }
}

/// Returns true if the call removes something. "Not found" is then no reason to retry.
fn unmakes(call: &str) -> bool {
    [
        "Delete",
        "Terminate",
        "Release",
        "Detach",
        "Disassociate",
        "Revoke",
        "Deregister",
        "Remove",
        "Cancel",
    ]
    .iter()
    .any(|verb| call.starts_with(verb))
}

/// Returns true for a resource that is in use or being changed by another call, for a limited time.
fn is_settling(code: &str, message: &str) -> bool {
    let profile_is_new = || {
        message.contains("Invalid IAM Instance Profile")
            || message.contains("has no associated IAM Roles")
    };
    match code {
        _ if IN_USE.contains(&code) => true,
        "IncorrectState"
        | "OperationInProgress"
        | "OperationAborted"
        | "ConditionalRequestConflict"
        | "ConcurrentModification"
        | "ConcurrentModificationException"
        | "EntityTemporarilyUnmodifiable" => true,
        "InvalidParameterValue" => profile_is_new() || message.contains("currently in use"),
        _ => false,
    }
}

/// Returns true for a referenced resource that is missing, or not yet visible to every AWS server.
fn is_absence(code: &str) -> bool {
    // Objects that only a user names in a config. None of our calls creates them.
    let never_ours = ["InvalidAMIID.", "InvalidKeyPair.", "InvalidSnapshot.", "InvalidHostID."];
    let absent = code.ends_with("NotFound")
        || code.ends_with("NotFoundException")
        || code.starts_with("NoSuch")
        || code == "InvalidSubnet";
    absent && !never_ours.iter().any(|prefix| code.starts_with(prefix))
}

fn is_lack_of_capacity(code: &str) -> bool {
    matches!(
        code,
        "InsufficientInstanceCapacity"
            | "InsufficientHostCapacity"
            | "InsufficientReservedInstanceCapacity"
            | "InsufficientCapacity"
            | "InsufficientAddressCapacity"
            | "InsufficientVolumeCapacity"
    )
}

/// Returns the delay before the next attempt. `None` means the executor's own backoff.
fn after(code: &str) -> Option<Duration> {
    match code {
        // Capacity returns within minutes, or [`CAPACITY_WITHIN`] ends the retries.
        _ if is_lack_of_capacity(code) => Some(Duration::from_secs(20)),
        // EC2 knows a new profile after seconds (openshift-install waits ten).
        "InvalidParameterValue" => Some(Duration::from_secs(3)),
        _ => None,
    }
}

/// Returns the error of a call without a response: not sent, or ambiguous.
fn without_response(call: &str, error: &(dyn Error + 'static)) -> ProviderError {
    if let Some(wrong) = find::<WrongAccount>(error) {
        return ProviderError::new(ErrorClass::Permanent, call, wrong.to_string())
            .with_code(hints::WRONG_ACCOUNT);
    }
    // Before the credentials, whose providers use the same client.
    if let Some(bundle) = find::<CaBundleError>(error) {
        return ProviderError::new(ErrorClass::Permanent, call, bundle.to_string())
            .with_code(hints::CA_BUNDLE)
            .with_hint(bundle.hint());
    }
    if let Some(refused) = find::<RoleRefused>(error) {
        return ProviderError::new(ErrorClass::Permanent, call, refused.to_string())
            .with_code(&refused.code)
            .with_hint(
                "name the caller in the trust policy of the role, and allow the caller \
                 `sts:AssumeRole` on it",
            );
    }
    if let Some(why) = find::<CredentialsError>(error) {
        return ProviderError::new(
            ErrorClass::Permanent,
            call,
            format!("no credentials: {}", chain(why).trim_end_matches(" Attempted:")),
        )
        .with_code(hints::NO_CREDENTIALS);
    }
    if let Some(kept_back) = find::<CallWithheld>(error) {
        // The result of an earlier attempt is unknown.
        let class = if kept_back.is_first { ErrorClass::Permanent } else { ErrorClass::Ambiguous };
        let cause = match kept_back.why {
            StateError::Stopping => Cause::Shutdown,
            StateError::ReadOnly => Cause::ReadOnly,
            _ => Cause::Fenced,
        };
        let error = ProviderError::new(class, call, chain(kept_back)).with_cause(cause);
        return ProviderError { hint: kept_back.why.hint(), ..error };
    }
    if let Some(endpoint) = invalid_endpoint(error) {
        let quoted = if endpoint.contains('@') {
            "endpoint".to_owned()
        } else {
            format!("endpoint `{endpoint}`")
        };
        let message = format!("the configured {quoted} is not a URL");
        return ProviderError::new(ErrorClass::Permanent, call, message)
            .with_code(hints::INVALID_ENDPOINT);
    }
    if was_never_sent(error) {
        return unreachable(call, error);
    }
    ProviderError::new(ErrorClass::Ambiguous, call, chain(error))
}

/// Returns the error of a connection that could not be opened.
fn unreachable(call: &str, error: &(dyn Error + 'static)) -> ProviderError {
    let with = |message: String| {
        ProviderError::new(ErrorClass::Permanent, call, message).with_code(hints::UNREACHABLE)
    };
    let Some(failure) = find::<ConnectionFailure>(error) else { return with(chain(error)) };
    let cause = failure.system_error().or_else(|| failure.source().map(chain));
    let cause = cause.unwrap_or_default();
    with(format!("could not connect to {failure}: {cause}")).with_hint(failure.hint())
}

/// Returns true if the connection failed, or the request could not be built.
fn was_never_sent(error: &(dyn Error + 'static)) -> bool {
    let refused = [
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::HostUnreachable,
        io::ErrorKind::NetworkUnreachable,
        io::ErrorKind::AddrNotAvailable,
    ];
    find::<io::Error>(error).is_some_and(|error| refused.contains(&error.kind()))
        // hyper's message for a failed connection; its error type is private.
        || links(error).any(|link| link.to_string().starts_with("client error (Connect)"))
        || links(error).any(|link| link.to_string() == "failed to construct request")
}

/// Returns the configured endpoint that the SDK could not apply to a request. The SDK's message
/// quotes the whole request after the endpoint.
fn invalid_endpoint<'a>(error: &'a (dyn Error + 'static)) -> Option<String> {
    links(error).find_map(|link| {
        let text = link.to_string();
        let (endpoint, _) = text.strip_prefix("failed to apply endpoint `")?.split_once('`')?;
        Some(endpoint.to_owned())
    })
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    links(error).find_map(|link| link.downcast_ref())
}

/// Returns an error and its sources.
pub(super) fn links<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&link| link.source())
}

/// Returns the message of each error in the chain, once. The SDK's own format quotes requests and
/// responses, and some messages of the SDK do, too: see [`without_dump`].
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    for link in links(error).map(|link| on_one_line(without_dump(&link.to_string()))) {
        if !link.is_empty() && !said.iter().any(|before| before.contains(&link)) {
            said.push(link);
        }
    }
    said.join(": ")
}

/// Returns the text before the first value in the debug format of Rust: a struct (`Name { `), a tuple
/// (`Some(`) or bytes (`b"`). Such a value can be a request with its body.
fn without_dump(text: &str) -> &str {
    let bytes = text.as_bytes();
    let in_name = |at: usize| bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'_' | b':');
    let name_before = |end: usize| (0..end).rev().take_while(|at| in_name(*at)).last();
    let is_type = |path: &str| {
        let name = path.rsplit("::").next().unwrap_or(path);
        name.starts_with(|first: char| first.is_ascii_uppercase())
    };
    let starts = text.char_indices().filter_map(|(at, c)| match c {
        '{' if bytes[..at].ends_with(b" ") => {
            name_before(at - 1).filter(|start| is_type(&text[*start..at]))
        }
        '(' => name_before(at).filter(|start| is_type(&text[*start..at])),
        '"' if bytes[..at].ends_with(b"b") => name_before(at).filter(|start| start + 1 == at),
        _ => None,
    });
    let end = starts.min().unwrap_or(text.len());
    text[..end].trim_end_matches([' ', '`', ':', '('])
}

/// Joins lines. The SDK lists the sources of credentials one per line; sources that are not
/// configured are left out.
fn on_one_line(text: &str) -> String {
    let unused = "the credential provider was not enabled";
    let lines = text.lines().map(str::trim);
    let used = lines.enumerate().filter(|(index, line)| *index == 0 || !line.contains(unused));
    used.map(|(_, line)| line).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::AwsSettings;
    use crate::client::tests::{Script, scripted, scripted_with};

    fn xml(code: &str, message: &str) -> String {
        format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error>\
             </Errors><RequestID>req-1</RequestID></Response>"
        )
    }

    fn said(call: &str, code: &str, message: &str) -> ProviderError {
        from_response(call, Some(code), Some(message), Some(400))
    }

    #[test]
    fn a_change_that_no_aws_error_code_answers_is_in_doubt() {
        for status in [301, 307, 400, 403, 404, 407, 500, 502, 504] {
            let error = from_response("RunInstances", None, None, Some(status));
            assert_eq!(error.class, ErrorClass::Ambiguous, "{status}");
            let hinted = error.hint.is_some_and(|hint| hint.contains("proxy"));
            assert_eq!(hinted, status < 500, "{status}");
        }
        for (status, class) in [
            (403, ErrorClass::Permanent),
            (404, ErrorClass::Permanent),
            (429, ErrorClass::Retryable),
            (502, ErrorClass::Ambiguous),
        ] {
            let error = from_response("DescribeInstances", None, None, Some(status));
            assert_eq!((error.class, error.hint), (class, None), "{status}");
        }
    }

    #[test]
    fn an_attempt_without_an_aws_error_code_is_open() {
        let answer = |status: u16, body: &str| {
            let body = aws_smithy_types::body::SdkBody::from(body);
            HttpResponse::new(status.try_into().unwrap(), body)
        };
        let page = "<html>forbidden</html>";
        assert!(leaves_open("RunInstances", Some(&answer(403, page)), None));
        assert!(!leaves_open("RunInstances", Some(&answer(200, page)), None));
        assert!(!leaves_open(
            "RunInstances",
            Some(&answer(400, &xml("VpcLimitExceeded", ""))),
            None
        ));
        assert!(!leaves_open("DescribeVpcs", Some(&answer(403, page)), None));
    }

    #[test]
    fn codes_decide_what_the_engine_may_do() {
        use ErrorClass::{Ambiguous, Permanent, Retryable, TokenConsumed};
        for (call, code, message, class) in [
            ("RunInstances", "RequestLimitExceeded", "", Retryable),
            ("CreateRole", "Throttling", "Rate exceeded", Retryable),
            ("PutObject", "SlowDown", "", Retryable),
            ("ChangeResourceRecordSets", "PriorRequestNotComplete", "", Retryable),
            ("CreateSubnet", "InvalidVpcID.NotFound", "", Retryable),
            ("CreateRoute", "InvalidRouteTableID.NotFound", "", Retryable),
            ("DescribeVpcs", "InvalidVpcID.NotFound", "", Permanent),
            ("DeleteVpc", "InvalidVpcID.NotFound", "", Permanent),
            ("CreateTargetGroup", "ValidationError", "The VPC ID 'vpc-1' is not found", Retryable),
            ("CreateTargetGroup", "ValidationError", "A port must be specified", Permanent),
            ("CreateHostedZone", "InvalidVPCId", "", Retryable),
            ("CreateTags", "InvalidID", "The ID 'rtb-1' is not valid", Retryable),
            ("DescribeTags", "InvalidID", "", Permanent),
            ("DeleteVpc", "DependencyViolation", "", Retryable),
            ("DeleteTargetGroup", "ResourceInUse", "", Retryable),
            ("DeleteRole", "DeleteConflict", "", Retryable),
            ("DeleteNetworkInterface", "InvalidNetworkInterface.InUse", "", Retryable),
            (
                "DeleteNetworkInterface",
                "InvalidParameterValue",
                "Network interface 'eni-1' is currently in use.",
                Retryable,
            ),
            (
                "RunInstances",
                "InvalidParameterValue",
                "Value (p) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance \
                 Profile name",
                Retryable,
            ),
            (
                "RunInstances",
                "InvalidParameterValue",
                "Invalid value 'x9' for InstanceType",
                Permanent,
            ),
            ("RunInstances", "InsufficientInstanceCapacity", "", Retryable),
            ("RunInstances", "InternalError", "", Ambiguous),
            ("RunInstances", "Unavailable", "", Ambiguous),
            ("RunInstances", "UnauthorizedOperation", "", Permanent),
            ("RunInstances", "InvalidAMIID.NotFound", "", Permanent),
            ("RunInstances", "VcpuLimitExceeded", "", Permanent),
            ("RunInstances", "IdempotentParameterMismatch", "", TokenConsumed),
            ("RunInstances", "IdempotentInstanceTerminated", "", TokenConsumed),
            ("CreateNatGateway", "AuthFailure", "eipalloc-1 does not belong to you", Retryable),
            ("CreateVpc", "AuthFailure", "not able to validate the credentials", Permanent),
            ("CreateVpc", "VpcLimitExceeded", "", Permanent),
        ] {
            assert_eq!(said(call, code, message).class, class, "{call}: {code}: {message}");
        }
    }

    #[test]
    fn what_fails_for_ever_is_not_repeated_for_ever() {
        let within = |call, code| limit(&said(call, code, ""));
        assert_eq!(within("DescribeVpcs", "RequestLimitExceeded"), Some(READS_WITHIN));
        assert_eq!(within("GetRole", "InternalError"), Some(READS_WITHIN));
        assert_eq!(within("DescribeVpcs", "UnauthorizedOperation"), None);
        assert_eq!(within("RunInstances", "RequestLimitExceeded"), None);
        assert_eq!(within("RunInstances", "InsufficientInstanceCapacity"), Some(CAPACITY_WITHIN));
        for (call, code) in [
            ("DeleteVpc", "DependencyViolation"),
            ("DeleteLoadBalancer", "ResourceInUse"),
            ("DeleteRole", "DeleteConflict"),
            ("ReleaseAddress", "InvalidIPAddress.InUse"),
        ] {
            assert_eq!(within(call, code), Some(BLOCKED_WITHIN), "{call}");
        }
        assert_eq!(within("DeleteVpc", "RequestLimitExceeded"), None);
        assert_eq!(within("CreateSubnet", "DependencyViolation"), None);
    }

    #[test]
    fn an_unknown_code_is_judged_by_the_status() {
        let class = |status| from_response("CreateVpc", Some("New"), None, Some(status)).class;
        assert_eq!([400, 403, 404, 409].map(class), [ErrorClass::Permanent; 4]);
        assert_eq!(class(429), ErrorClass::Retryable);
        assert_eq!([500, 502, 503].map(class), [ErrorClass::Ambiguous; 3]);
    }

    #[test]
    fn capacity_is_asked_for_at_leisure() {
        let after = |code| said("RunInstances", code, "").after;
        assert!(after("InsufficientInstanceCapacity") >= Some(Duration::from_secs(10)));
        assert_eq!(after("RequestLimitExceeded"), None);
    }

    #[tokio::test]
    async fn an_answer_is_explained_with_its_code_words_and_request() {
        let denied = "You are not authorized to perform: ec2:RunInstances on resource: r";
        for (status, code, message, hint) in [
            (403, "UnauthorizedOperation", denied, "ec2:RunInstances"),
            (400, "ExpiredToken", "expired", "aws sso login"),
            (401, "AuthFailure", "AWS was not able to validate", "AWS_PROFILE"),
            (400, "VpcLimitExceeded", "The maximum number", "VPCs per Region"),
            (400, "AddressLimitExceeded", "The maximum number", "Elastic IPs"),
            (400, "VcpuLimitExceeded", "You have requested", "vCPU"),
            (400, "SomethingNewLimitExceeded", "too many", "the quota that the message names"),
            (400, "InvalidAMIID.NotFound", "The image id", "amiID"),
            (401, "OptInRequired", "You are not subscribed", "enable the region"),
            (400, "RequestExpired", "Request has expired.", "timedatectl"),
            (403, "SignatureDoesNotMatch", "The request signature", "AWS_SECRET_ACCESS_KEY"),
            (
                403,
                "SignatureDoesNotMatch",
                "Signature expired: 20261201T100000Z is now earlier than 20261201T101500Z \
                 (20261201T102000Z - 5 min.)",
                "20 minutes behind that of AWS",
            ),
            (400, "PendingVerification", "Your request", "four hours"),
            (
                400,
                "UnsupportedOperation",
                "httpTokensEnforced is enabled",
                "authentication: Required",
            ),
        ] {
            let (aws, _) = scripted([Script::Answer(status, xml(code, message))]);
            let call = aws.ec2.run_instances().image_id("ami-1").user_data("c2VjcmV0").send();
            let error = aws.call("ec2", "RunInstances", call).await.unwrap_err();
            assert_eq!(error.class, ErrorClass::Permanent, "{code}");
            assert_eq!(error.code.as_deref(), Some(code));
            assert_eq!(error.message, message);
            assert_eq!(error.request_id.as_deref(), Some("req-1"));
            let given = error.hint.expect(code);
            assert!(given.contains(hint), "{code}: {given}");
        }
    }

    #[tokio::test]
    async fn a_lost_answer_is_unknown_and_a_refused_connection_is_not() {
        use ErrorClass::{Ambiguous, Permanent};
        for (script, class, hinted) in [
            (Script::Lost, Ambiguous, false),
            (Script::TimedOut, Ambiguous, false),
            (Script::Answer(200, "<<< not an answer: canary".to_owned()), Ambiguous, false),
            (Script::Answer(500, String::new()), Ambiguous, false),
            (Script::ConnectionRefused, Permanent, true),
        ] {
            let (aws, _) = scripted([script.clone()]);
            let call = aws.ec2.create_vpc().cidr_block("10.0.0.0/16").send();
            let error = aws.call("ec2", "CreateVpc", call).await.unwrap_err();
            assert_eq!(error.class, class, "{script:?}: {error}");
            assert_eq!(error.hint.is_some(), hinted, "{script:?}: {error}");
        }
    }

    #[tokio::test]
    async fn an_endpoint_that_is_no_url_is_named_and_the_request_is_not_quoted() {
        for (url, quoted) in [
            ("127.0.0.1:9", "`127.0.0.1:9`"),
            ("nonsense", "`nonsense`"),
            ("http://exa mple:99", "`http://exa mple:99`"),
            ("user:secret@exa mple", "endpoint is not"),
        ] {
            let endpoints = [("ec2".to_owned(), url.to_owned())].into();
            let settings = AwsSettings { endpoints, ..AwsSettings::default() };
            let (aws, sent) = scripted_with([], settings);
            let call = aws.ec2.run_instances().image_id("ami-1").user_data("canary").send();
            let error = aws.call("ec2", "RunInstances", call).await.unwrap_err();
            assert_eq!(sent.bodies().len(), 0, "{url}");
            assert_eq!(error.class, ErrorClass::Permanent, "{url}: {error}");
            assert!(error.is(&[hints::INVALID_ENDPOINT]), "{url}: {error}");
            assert!(error.message.contains(quoted), "{url}: {error}");
            assert!(error.hint.as_ref().unwrap().contains("AWS_ENDPOINT_URL"), "{error:?}");
            for private in ["canary", "secret", "Request", "SdkBody", "UserData"] {
                assert!(!format!("{error} {error:?}").contains(private), "{error:?}");
            }
        }
    }

    #[test]
    fn a_message_ends_before_a_value_in_the_debug_format() {
        for (text, kept) in [
            ("io error: refused (os error 111)", "io error: refused (os error 111)"),
            ("no {} and (this) or {\"a\": 1}", "no {} and (this) or {\"a\": 1}"),
            ("cannot send `Request { body: canary }`", "cannot send"),
            ("sent: SdkBody { inner: Once(Some(b\"canary\")) }", "sent"),
            ("got Some(\"canary\")", "got"),
            ("bytes: b\"canary\"", "bytes"),
            ("a::Deep { canary }", ""),
        ] {
            assert_eq!(without_dump(text), kept, "{text}");
        }
    }

    #[tokio::test]
    async fn missing_credentials_are_told_without_the_sources_that_are_not_configured() {
        let source = "no credentials found in chain. Attempted:\nEnvironment: the credential provider \
                      was not enabled: not set\nProfile: the file is damaged";
        assert_eq!(
            on_one_line(source),
            "no credentials found in chain. Attempted:; Profile: the file is damaged"
        );
    }

    #[tokio::test]
    async fn neither_what_was_sent_nor_what_was_received_is_quoted() {
        for script in [
            Script::Answer(200, "<<< canary".to_owned()),
            Script::Answer(500, "<html>canary</html>".to_owned()),
            Script::Lost,
            Script::ConnectionRefused,
        ] {
            let (aws, sent) = scripted(vec![script; 5]);
            let call = aws.ec2.run_instances().image_id("ami-1").user_data("canary").send();
            let error = aws.call("ec2", "RunInstances", call).await.unwrap_err();
            assert!(sent.bodies()[0].contains("canary"), "the test sends no secret");
            assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        }
    }
}
