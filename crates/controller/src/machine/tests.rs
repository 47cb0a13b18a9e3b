use groundplan_aws::kinds::machine::InstanceDetails as SeenByEc2;
use groundplan_aws::model::ids::InstanceId;
use groundplan_aws::model::metadata_options::{Authentication, metadata_options};
use groundplan_engine::provider::{ErrorClass, ProviderError};
use groundplan_openshift::machine_api::launch_spec::LaunchError;
use groundplan_openshift::machine_api::types::read;
use serde_json::{Value, json};

use super::status::{IN_SYNC, SPOT};
use super::*;

const NOW: &str = "2026-05-01T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn machine(spec: &Value, status: &Value) -> Machine {
    let metadata = json!({"name": "m", "uid": "u-1"});
    read(&json!({"metadata": metadata, "spec": spec, "status": status})).unwrap()
}

fn fresh() -> Machine {
    machine(&json!({}), &json!({}))
}

/// Returns a Machine whose instance was launched `seconds` ago.
fn launched_for(seconds: i64) -> Machine {
    let at = now() - SignedDuration::from_secs(seconds);
    let status = json!({"phase": "Provisioning", "lastUpdated": at.to_string(),
                        "providerStatus": {"instanceId": "i-1", "instanceState": "pending"}});
    machine(&json!({}), &status)
}

fn provisioned() -> Machine {
    let status = json!({
        "phase": "Running", "nodeRef": {"kind": "Node", "name": "n"},
        "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
        "providerStatus": {"instanceId": "i-1", "instanceState": "running"},
    });
    machine(&json!({"providerID": "aws:///us-west-2a/i-1"}), &status)
}

fn instance(state: &str) -> MachineOutputs {
    MachineOutputs {
        id: InstanceId::from("i-1"),
        private_ip: Some("10.0.0.1".into()),
        seen: SeenByEc2 {
            state: state.into(),
            zone: "us-east-1a".into(),
            instance_type: "m5.large".into(),
            addresses: vec![("InternalIP".into(), "10.0.0.1".into())],
            ..SeenByEc2::default()
        },
    }
}

fn there(state: &str) -> InstanceState {
    InstanceState::There(Box::new(instance(state)))
}

fn condition<'a>(machine: &'a Machine, kind: &str) -> (&'a str, &'a str) {
    let found = machine.status.conditions.iter().find(|one| one.kind == kind);
    found.map_or(("", ""), |one| (&one.status, &one.reason))
}

#[test]
fn c31_a_uid_has_one_token_that_ec2_takes() {
    assert_eq!(token(&fresh()), token(&provisioned()));
    let mut other = fresh();
    other.metadata.uid = "3f2b8a50-9df2-4f0e-a8a5-6b9f0f9d7a11".into();
    assert_ne!(token(&fresh()), token(&other));
    assert!(token(&other).len() <= 64 && token(&other).is_ascii(), "the most that EC2 takes");
}

#[test]
fn a_machine_without_an_instance_is_launched() {
    assert_eq!(
        decide(&fresh(), &InstanceState::Nothing, Duration::ZERO, now()),
        MachineAction::Launch
    );
}

#[test]
fn c33_what_is_there_is_never_launched_again() {
    for state in ["pending", "running", "stopping", "stopped"] {
        assert!(
            matches!(
                decide(&fresh(), &there(state), Duration::ZERO, now()),
                MachineAction::Keep(_)
            ),
            "{state}"
        );
    }
    let terminated = InstanceState::Terminated { why: "i-1 was terminated".into() };
    let MachineAction::Fail(failure) =
        decide(&launched_for(60), &terminated, Duration::ZERO, now())
    else {
        panic!()
    };
    assert_eq!(failure.reason, "InvalidConfiguration");
    assert!(matches!(
        decide(&launched_for(60), &InstanceState::Invisible, Duration::ZERO, now()),
        MachineAction::Retry(_)
    ));
}

#[test]
fn c35_what_goes_away_is_there_until_it_is_gone() {
    let going = InstanceState::Going { state: "shutting-down".into() };
    assert_eq!(decide(&provisioned(), &going, Duration::ZERO, now()), MachineAction::Wait(SOON));
    assert!(matches!(
        decide(&provisioned(), &there("stopped"), Duration::ZERO, now()),
        MachineAction::Keep(_)
    ));
    let gone = InstanceState::Terminated { why: String::new() };
    assert!(matches!(decide(&provisioned(), &gone, Duration::ZERO, now()), MachineAction::Fail(_)));
}

#[test]
fn c36_what_was_launched_just_now_may_be_invisible_and_is_never_launched_again() {
    assert_eq!(
        decide(&launched_for(5), &InstanceState::Invisible, Duration::ZERO, now()),
        MachineAction::Wait(SOON)
    );
    let MachineAction::Retry(message) =
        decide(&launched_for(25), &InstanceState::Invisible, Duration::ZERO, now())
    else {
        panic!()
    };
    assert!(
        message.contains("i-1") && message.contains("no other instance is launched"),
        "{message}"
    );
}

#[test]
fn c37_a_machine_whose_instance_is_gone_has_failed_for_good() {
    for seen in [
        InstanceState::NotFound,
        InstanceState::Nothing,
        InstanceState::Terminated { why: "spot".into() },
    ] {
        let machine = provisioned();
        let MachineAction::Fail(failure) = decide(&machine, &seen, PROVEN, now()) else {
            panic!("{seen:?}")
        };
        assert_eq!(failure.message, "can't find created instance");
        let after = missing(&machine, &failure, now()).after;
        assert_eq!(after.status.phase.as_deref(), Some("Failed"));
        assert_eq!(condition(&after, "InstanceExists"), ("False", "InstanceMissing"));
        assert_eq!(after.metadata.annotations[INSTANCE_STATE], "Unknown");
        assert_eq!(provider_status(&after).instance_state.as_deref(), Some("Unknown"));
        assert_eq!(
            decide(&after, &there("running"), Duration::ZERO, now()),
            MachineAction::Nothing,
            "final"
        );
    }
}

#[test]
fn an_instance_is_gone_when_ec2_has_rejected_its_id_for_a_minute_and_never_without_proof() {
    let of = |seen: &InstanceState, seconds| {
        decide(&provisioned(), seen, Duration::from_secs(seconds), now())
    };
    for (seen, seconds) in [
        (InstanceState::Invisible, 0),
        (InstanceState::Invisible, 3600),
        (InstanceState::NotFound, 0),
        (InstanceState::NotFound, 59),
        (InstanceState::Nothing, 59),
    ] {
        let MachineAction::Unseen(message) = of(&seen, seconds) else { panic!("{seen:?}") };
        assert!(message.starts_with("EC2 does not ") && message.contains("i-1"), "{message}");
    }
    assert!(matches!(of(&InstanceState::NotFound, 60), MachineAction::Fail(_)));
    assert!(matches!(
        decide(&launched_for(3600), &InstanceState::NotFound, PROVEN, now()),
        MachineAction::Retry(_)
    ));
}

fn refused(class: ErrorClass, code: &str) -> ProviderError {
    ProviderError::new(class, "RunInstances", "no").with_code(code)
}

#[test]
fn c38_an_error_fails_a_machine_by_its_code_alone() {
    let fails = |class, code| of_call(&refused(class, code)).is_some();
    assert!(fails(ErrorClass::Permanent, "UnsupportedOperation"));
    assert!(fails(ErrorClass::Permanent, "UnauthorizedOperation"));
    assert!(fails(ErrorClass::Permanent, "VcpuLimitExceeded"));
    assert!(fails(ErrorClass::Retryable, "InvalidAMIID.NotFound"), "it is not for us to make");
    assert!(fails(ErrorClass::TokenConsumed, "IdempotentInstanceTerminated"));
    assert!(!fails(ErrorClass::Retryable, "InsufficientInstanceCapacity"));
    assert!(!fails(ErrorClass::Retryable, "RequestLimitExceeded"), "ours: also of a look-up");
    assert!(!fails(ErrorClass::Ambiguous, "InternalError"));
    assert!(!fails(ErrorClass::Permanent, "ExpiredToken"), "credentials are renewed");
    assert!(!fails(ErrorClass::Permanent, "EndpointUnreachable"), "AWS never heard of it");
    let silence = ProviderError::new(ErrorClass::Ambiguous, "RunInstances", "no response");
    assert!(of_call(&silence).is_none());
}

#[test]
fn c39_an_account_that_enforces_tokens_is_told_of_in_words_that_help() {
    let error = refused(ErrorClass::Permanent, "UnsupportedOperation")
        .with_hint("set `authentication: Required`");
    let failure = of_call(&error).unwrap();
    assert!(failure.message.contains("authentication: Required"), "{failure:?}");
}

#[test]
fn c30_what_is_not_at_hand_waits_and_what_cannot_be_fails() {
    let unanswered = LaunchError::Unanswered { lookup: "images".into() };
    assert!(of_refusal(&unanswered).is_none());
    let conflict = LaunchError::Conflict { field: "marketType".into(), message: "no".into() };
    assert!(of_refusal(&conflict).is_none(), "as upstream, which retries for ever");
    let invalid = LaunchError::Invalid { field: "ami".into(), message: "has no id".into() };
    assert_eq!(of_refusal(&invalid).unwrap().reason, "InvalidConfiguration");
}

#[test]
fn c40_a_running_instance_is_told_of_in_full() {
    let machine = launched_for(30);
    assert_eq!(
        decide(&machine, &there("pending"), Duration::ZERO, now()),
        MachineAction::Keep(SOON)
    );
    assert_eq!(
        decide(&machine, &there("running"), Duration::ZERO, now()),
        MachineAction::Keep(LATER),
        "no Node yet"
    );
    assert_eq!(
        decide(&provisioned(), &there("running"), Duration::ZERO, now()),
        MachineAction::Keep(RESYNC)
    );
    let changes = running(&machine, &instance("running"), "us-east-1", now());
    let object = changes.object().unwrap();
    assert_eq!(object["spec"]["providerID"], "aws:///us-east-1a/i-1");
    let labels = &object["metadata"]["labels"];
    assert_eq!(labels["machine.openshift.io/region"], "us-east-1");
    assert_eq!(labels["machine.openshift.io/zone"], "us-east-1a");
    assert_eq!(labels["machine.openshift.io/instance-type"], "m5.large");
    assert_eq!(object["metadata"]["annotations"][INSTANCE_STATE], "running");
    let status = changes.status(now()).unwrap();
    assert_eq!(status["phase"], "Provisioned");
    assert_eq!(status["providerStatus"]["instanceId"], "i-1");
    assert_eq!(status["addresses"][0]["address"], "10.0.0.1");
    assert_eq!(status["lastUpdated"], NOW);
    assert_eq!(condition(&changes.after, "InstanceExists"), ("True", ""));
    let again = running(&changes.after, &instance("running"), "us-east-1", now());
    assert_eq!((again.object(), again.status(now())), (None, None), "what is so is not written");
}

#[test]
fn a_node_makes_it_running() {
    let mut machine = launched_for(30);
    machine.status.node_ref = Some(json!({"kind": "Node", "name": "n"}));
    let after = running(&machine, &instance("running"), "us-east-1", now()).after;
    assert_eq!(after.status.phase.as_deref(), Some("Running"));
}

#[test]
fn c41_a_spot_instance_is_labelled_and_so_is_its_node() {
    let mut spot = instance("running");
    spot.seen.spot = true;
    let object = running(&launched_for(30), &spot, "us-east-1", now()).object().unwrap();
    assert_eq!(object["metadata"]["labels"][SPOT], "");
    assert_eq!(object["spec"]["metadata"]["labels"][SPOT], "");
}

#[test]
fn a_launch_that_went_well_has_an_id_and_no_addresses() {
    let changes = launched(&fresh(), &instance("pending"), "us-east-1", now());
    let labels = &changes.object().unwrap()["metadata"]["labels"];
    for (label, value) in
        [("region", "us-east-1"), ("zone", "us-east-1a"), ("instance-type", "m5.large")]
    {
        assert_eq!(labels[format!("machine.openshift.io/{label}")], value, "shown by kubectl get");
    }
    let status = changes.status(now()).unwrap();
    assert_eq!(status["providerStatus"]["instanceId"], "i-1");
    assert_eq!(status["providerStatus"]["conditions"][0]["reason"], "MachineCreationSucceeded");
    assert_eq!(status.get("addresses"), None);
    assert!(!was_provisioned(&changes.after));
}

#[test]
fn c34_a_launch_that_failed_says_why_and_leaves_the_rest_as_it_was() {
    let changes = creation_failed(&fresh(), "no capacity", now());
    assert_eq!(changes.after.status.phase, None);
    let status = changes.status(now()).unwrap();
    let condition = &status["providerStatus"]["conditions"][0];
    assert_eq!(
        (&condition["status"], &condition["message"]),
        (&json!("False"), &json!("no capacity"))
    );
    let later = now() + SignedDuration::from_secs(60);
    let again = creation_failed(&changes.after, "no capacity", later);
    assert_eq!(again.status(later), None, "the same again is no news");
    let other = creation_failed(&changes.after, "throttled", later).after;
    let condition = provider_status(&other).conditions[0].clone();
    assert_eq!(condition.last_transition_time.as_deref(), Some(NOW), "it was false all along");
    assert_eq!(condition.message, "throttled");
}

#[test]
fn errors_are_of_the_past_once_it_goes_on() {
    let failure = MachineFailure::invalid("x");
    let mut after = failed(&fresh(), &failure, now()).after;
    assert_eq!(after.status.error_reason.as_deref(), Some("InvalidConfiguration"));
    after.status.phase = Some("Provisioning".into());
    let patch = running(&after, &instance("running"), "r", now()).status(now()).unwrap();
    assert_eq!((&patch["errorReason"], &patch["errorMessage"]), (&Value::Null, &Value::Null));
}

#[test]
fn c45_hooks_hold_a_machine_and_an_annotation_spares_the_draining() {
    let hook = json!([{"name": "backup", "owner": "team"}]);
    let held =
        machine(&json!({"lifecycleHooks": {"preDrain": hook}}), &json!({"nodeRef": {"name": "n"}}));
    assert_eq!(before_termination(&held), Some(DeletionAction::Held));
    let after = lifecycle_hooks(&held, now()).after;
    assert_eq!(condition(&after, "Drainable"), ("False", "HookPresent"));
    let free = machine(&json!({}), &json!({"nodeRef": {"name": "n"}}));
    assert_eq!(before_termination(&free), Some(DeletionAction::Drain));
    let done = drained(&free, Ok("Node drained"), now()).after;
    assert_eq!(before_termination(&done), None);
    let mut last = done;
    last.spec.lifecycle_hooks.pre_terminate = read(&hook).unwrap();
    assert_eq!(before_termination(&last), Some(DeletionAction::Held));
    let after = lifecycle_hooks(&last, now()).after;
    assert_eq!(condition(&after, "Terminable"), ("False", "HookPresent"));
    assert_eq!(condition(&after, "Drainable"), ("True", ""));
    let mut free = after;
    free.spec.lifecycle_hooks.pre_terminate.clear();
    assert_eq!(condition(&deleting(&free, now()).after, "Terminable"), ("True", ""));
    let launched = provisioning(&held, now()).after;
    assert_eq!(condition(&launched, "Drainable"), ("False", "HookPresent"));
    assert_eq!(condition(&launched, "Terminable"), ("True", ""));
    let mut spared = machine(&json!({}), &json!({"nodeRef": {"name": "n"}}));
    spared.metadata.annotations.insert(NO_DRAINING.into(), String::new());
    assert!(is_drained_unasked(&spared) && is_drained_unasked(&fresh()));
}

#[test]
fn c44_an_instance_is_terminated_waited_for_and_then_let_go_of() {
    let of = |seen: &InstanceState| terminate(&provisioned(), seen, LATE, Duration::ZERO);
    assert_eq!(of(&there("running")), DeletionAction::Terminate);
    assert_eq!(of(&there("stopped")), DeletionAction::Terminate);
    assert_eq!(
        of(&InstanceState::Going { state: "shutting-down".into() }),
        DeletionAction::Wait(SOON)
    );
    let terminated = InstanceState::Terminated { why: String::new() };
    for gone in [terminated, InstanceState::Nothing] {
        assert_eq!(of(&gone), DeletionAction::Finish, "{gone:?}");
    }
    let after = |seen, seconds| {
        let seconds = Duration::from_secs(seconds);
        terminate(&provisioned(), &seen, seconds, seconds)
    };
    assert_eq!(after(InstanceState::Invisible, 3600), DeletionAction::TerminateUnseen);
    assert_eq!(after(InstanceState::NotFound, 59), DeletionAction::TerminateUnseen);
    assert_eq!(after(InstanceState::NotFound, 60), DeletionAction::Finish);
}

#[test]
fn a_launch_that_may_come_to_light_keeps_a_machine_for_a_minute() {
    let started = launching(&fresh(), now()).after;
    let unanswered = launch_unanswered(&started, "no response", now()).after;
    let unseen = launched(&started, &instance("pending"), "r", now()).after;
    for (machine, seen, waits) in [
        (&started, InstanceState::Nothing, DeletionAction::Wait(SOONER)),
        (&unanswered, InstanceState::Nothing, DeletionAction::Wait(SOONER)),
        (&unseen, InstanceState::NotFound, DeletionAction::TerminateUnseen),
    ] {
        let at = |seconds| terminate(machine, &seen, Duration::from_secs(seconds), PROVEN);
        assert_eq!((at(0), at(59)), (waits.clone(), waits), "{machine:?}");
        assert_eq!(at(60), DeletionAction::Finish);
    }
    let refused = creation_failed(&started, "no capacity", now()).after;
    for nothing in [&fresh(), &refused] {
        assert_eq!(
            terminate(nothing, &InstanceState::Nothing, Duration::ZERO, PROVEN),
            DeletionAction::Finish
        );
    }
    // A throttled call now does not settle the earlier launch in doubt.
    let again = launching(&unanswered, now()).after;
    let throttled = creation_failed(&again, "throttled", now()).after;
    let invalid = failed(&again, &MachineFailure::invalid("x"), now()).after;
    for open in [&throttled, &invalid, &launching(&started, now()).after] {
        assert_eq!(
            terminate(open, &InstanceState::Nothing, Duration::ZERO, PROVEN),
            DeletionAction::Wait(SOONER),
            "{open:?}"
        );
    }
}

#[test]
fn a_token_that_was_sent_in_other_words_fails_nobody() {
    let error = refused(ErrorClass::TokenConsumed, "IdempotentParameterMismatch");
    assert!(of_call(&error).is_none(), "it has launched something, which will be seen");
    assert!(of_call(&refused(ErrorClass::TokenConsumed, "IdempotentInstanceTerminated")).is_some());
}

#[test]
fn c47_what_a_running_instance_has_otherwise_is_told_and_left() {
    let options = |asked| metadata_options(Some(asked));
    let (required, optional) =
        (options(Authentication::Required), options(Authentication::Optional));
    let kept = |wanted| {
        let changes = running(&launched_for(60), &instance("running"), "r", now());
        in_sync(changes, wanted, &optional, now()).after
    };
    let differs = kept(&required);
    assert_eq!(condition(&differs, IN_SYNC), ("False", "InstanceDiffers"));
    let told = &differs.status.conditions.iter().find(|one| one.kind == IN_SYNC).unwrap().message;
    assert!(told.contains("http_tokens \"optional\" instead of \"required\""), "{told}");
    assert!(told.contains("groundplan machines apply"), "{told}");
    assert_eq!(condition(&kept(&optional), IN_SYNC), ("", ""), "nothing to tell");
    assert_eq!(condition(&kept(&metadata_options(None)), IN_SYNC), ("", ""), "no opinion");
    let changes = running(&differs, &instance("running"), "r", now());
    let mended = in_sync(changes, &required, &required, now()).after;
    assert_eq!(condition(&mended, IN_SYNC), ("True", ""));
}

#[test]
fn a_condition_keeps_its_time_for_as_long_as_it_is_so() {
    let first = launching(&launching(&fresh(), now()).after, now()).after;
    let later = now() + SignedDuration::from_secs(60);
    let same = launching(&first, later);
    assert_eq!(same.status(later), None);
    let exists = running(&first, &instance("running"), "r", later).after;
    let found = exists.status.conditions.iter().find(|one| one.kind == "InstanceExists").unwrap();
    assert_eq!(found.last_transition_time.as_deref(), Some("2026-05-01T12:01:00Z"));
    assert_eq!(found.severity, "");
}

#[test]
fn c17_a_machine_is_let_go_of_by_a_patch_of_its_finalizers_alone() {
    let mut machine = machine(&json!({"providerSpec": {"value": "of no use"}}), &json!({}));
    machine.metadata.finalizers = vec![FINALIZER.to_owned()];
    assert_eq!(without_finalizer(&machine), json!({"metadata": {"finalizers": null}}));
    machine.metadata.finalizers.push("another.owner".to_owned());
    let left = json!({"metadata": {"finalizers": ["another.owner"]}});
    assert_eq!(without_finalizer(&machine), left);
}

#[test]
fn an_instance_is_known_by_the_status_or_else_by_the_provider_id() {
    let id = json!({"providerID": "aws:///us-east-1a/i-1"});
    let of = |status| instance_id(&machine(&id, &json!({"providerStatus": status})));
    assert_eq!(of(json!({"instanceId": "i-2"})).as_deref(), Some("i-2"));
    assert_eq!(of(json!({"instanceId": ""})).as_deref(), Some("i-1"));
    assert_eq!(of(json!(null)).as_deref(), Some("i-1"));
    assert_eq!(instance_id(&machine(&json!({"providerID": "aws:////"}), &json!({}))), None);
}
