//! Codes of errors and warnings: stable names for situations that the user acts on in their own way.
//!
//! The page of a code is `docs/errors/CODE.md`; `groundplan explain CODE` prints it. Findings in an
//! install-config or manifest have the name of their rule as their code.

use groundplan_aws::{BucketProblem, FaultSituation};
use groundplan_engine::event::{FaultKind, ReportedError};
use groundplan_engine::plan::guard::Violation;
use groundplan_engine::provider::ProviderError;
use groundplan_engine::state::error::StateError;
use groundplan_engine::state::lock::{LockError, UnlockError};
use serde::{Serialize, Serializer};

/// `Group "title" { Name = "name", [exit codes]: meaning; }`
macro_rules! codes {
    ($($group:ident $title:literal {
        $($name:ident = $id:literal, [$($exit:literal),+]: $meaning:literal;)+
    })+) => {
        /// Code of an error or a warning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = concat!("`", $id, "`: ", $meaning)] $name,)+)+
        }

        /// Group of codes in lists.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum CodeGroup {
            $(#[doc = $title] $group,)+
        }

        impl CodeGroup {
            /// All groups, in the order of lists.
            pub const ALL: &[Self] = &[$(Self::$group,)+];

            /// Heading of the group.
            pub fn title(self) -> &'static str {
                match self { $(Self::$group => $title,)+ }
            }

            /// Codes of the group.
            pub fn codes(self) -> &'static [Code] {
                match self { $(Self::$group => &[$(Code::$name,)+],)+ }
            }
        }

        impl Code {
            /// Name of the code in messages and files. A name never changes and is never reused for
            /// another situation.
            pub fn name(self) -> &'static str {
                match self { $($(Self::$name => $id,)+)+ }
            }

            /// Meaning of the code in one line.
            pub fn meaning(self) -> &'static str {
                match self { $($(Self::$name => $meaning,)+)+ }
            }

            /// Possible exit codes of a command that ends with this code. A warning has 0.
            pub fn exits(self) -> &'static [u8] {
                match self { $($(Self::$name => &[$($exit),+],)+)+ }
            }

            /// Page of the code, in Markdown.
            pub fn page(self) -> &'static str {
                match self {
                    $($(Self::$name => include_str!(concat!("../../docs/errors/", $id, ".md")),)+)+
                }
            }
        }
    };
}

codes! {
    CommandLine "Command line and output" {
        Usage = "usage", [64]: "the command line is not valid";
        AddressUnknown = "address-unknown", [64]: "no resource has the given address";
        RegionMissing = "region-missing", [64]: "the region of the cluster is not known";
        StandardStream = "standard-stream", [64]: "standard input or output is used for two files";
        OutputFileRefused = "output-file-refused", [64]: "a file is not overwritten, or its folder is missing";
        OutputFailed = "output-failed", [1]: "a file, a folder or standard output cannot be written";
        EventsLost = "events-lost", [0]: "the event file is incomplete";
        ConfirmationImpossible = "confirmation-impossible", [7]: "the command needs a confirmation, and there is no terminal";
        NotConfirmed = "not-confirmed", [7]: "the confirmation was not given";
        DangerNotAccepted = "danger-not-accepted", [7]: "an installed cluster does not survive the plan, and --accept-danger is missing or wrong";
        Stopped = "stopped", [6]: "a signal stopped the command";
        HostError = "host-error", [1]: "the operating system rejected a basic request";
        InternalError = "internal-error", [1]: "groundplan has a defect";
    }
    InputFiles "Input files" {
        FileUnreadable = "file-unreadable", [1, 3]: "an input file cannot be read";
        FileInvalid = "file-invalid", [1, 3]: "an input file has other content than expected";
        ConfigNotCompiled = "config-not-compiled", [1, 3]: "the install-config does not describe a cluster that can be built";
        ConfigNotExported = "config-not-exported", [1]: "a field of groundplan cannot be removed from a copy of the install-config";
        ConfigIgnored = "config-ignored", [0]: "an invalid install-config is left out of a destroy";
        AssetsUnusable = "assets-unusable", [3]: "the folder of --assets cannot be used";
        AssetsMissing = "assets-missing", [7]: "the plan needs an Ignition file that was not given";
        AssetsForeign = "assets-foreign", [1, 3, 64]: "the assets or manifests belong to another cluster";
        AssetsDiffer = "assets-differ", [7]: "the machines in the assets do not fit the planned resources";
        IgnitionAge = "ignition-age", [0]: "an Ignition file is old, or expires soon";
        IgnitionExpired = "ignition-expired", [0, 7]: "a certificate in an Ignition file has expired";
        StreamUnusable = "stream-unusable", [3]: "the RHCOS stream file cannot be used";
        InfraIdUnknown = "infra-id-unknown", [1, 64]: "the infra ID of the cluster cannot be determined";
        MachinesNotFound = "machines-not-found", [0, 3]: "the given files contain no machines";
        MachinesElsewhere = "machines-elsewhere", [1]: "the manifests place machines in another region than the recorded ones";
        ManifestsDiffer = "manifests-differ", [7]: "manifests with other content exist";
        WorkersDoubled = "workers-doubled", [7]: "the folder has Cluster API machine sets for the same workers";
        ManifestsLeftOver = "manifests-left-over", [0]: "a manifest of removed machines remains";
    }
    State "State and lock" {
        StateLocked = "state-locked", [0, 4]: "another run has the lock of the state";
        LockLost = "lock-lost", [1, 4]: "this run has lost the lock of the state";
        UnlockRefused = "unlock-refused", [7]: "the lock is not released by force";
        RunInProgress = "run-in-progress", [0]: "another run changes the state while this command reads it";
        StateChanged = "state-changed", [0, 1, 4]: "another run has changed the state in the meantime";
        StateMissing = "state-missing", [1]: "no state of this cluster exists";
        StateExists = "state-exists", [7]: "a state with records exists already";
        StateDamaged = "state-damaged", [1]: "a file of the state is empty, missing or changed";
        StateRepaired = "state-repaired", [0]: "the state was read with a remark";
        StateNewer = "state-newer", [1]: "a newer version of groundplan wrote the state";
        StateConverted = "state-converted", [0]: "the state is converted to the current format";
        StateMoved = "state-moved", [1]: "the state was moved to another location";
        StateUnreadable = "state-unreadable", [1]: "a file of the state cannot be read";
        StateUnwritable = "state-unwritable", [1]: "a file of the state cannot be written";
        StateStoreUnfit = "state-store-unfit", [1]: "the object store does not support conditional writes";
        StateBucketMissing = "state-bucket-missing", [1]: "the bucket of the state does not exist";
        StateBucketElsewhere = "state-bucket-elsewhere", [1]: "the bucket of the state is in another region";
        StateBucketDenied = "state-bucket-denied", [1]: "the credentials may not use the bucket of the state";
        StateForeign = "state-foreign", [7]: "the state belongs to another cluster, or to machines";
        StateNotMoved = "state-not-moved", [1, 7]: "`state migrate` did not move the state";
        StateNotPushed = "state-not-pushed", [7]: "`state push` did not replace the state";
        RecordNotMoved = "record-not-moved", [1]: "`state mv` did not rename the record";
        RecordNeeded = "record-needed", [0]: "other records depend on a removed one";
    }
    Plan "Plans and guards" {
        PlanStale = "plan-stale", [5]: "something has changed since the plan was saved";
        PlanInvalid = "plan-invalid", [1, 3, 64]: "the file is not a plan that this command can apply";
        PlanOutdated = "plan-outdated", [1]: "AWS showed other resources when the plan was made";
        PlanWarning = "plan-warning", [0]: "the plan has a consequence that is easily overlooked";
        Protected = "protected", [1, 7]: "the plan deletes or replaces a resource that the user has protected";
        TooManyDeletions = "too-many-deletions", [7]: "the plan deletes more than --max-destroy allows";
        UnexpectedChanges = "unexpected-changes", [7]: "the plan has other numbers than --expect";
        PolicyViolated = "policy-violated", [7]: "the plan breaks a rule of --policy";
        PolicyInvalid = "policy-invalid", [3]: "a policy file is missing or malformed";
        DeletionProtected = "deletion-protected", [1, 7]: "AWS protects a resource that the plan deletes";
        ProtectionUnknown = "protection-unknown", [7]: "the credentials may not read the deletion protection";
        ForeignObject = "foreign-object", [7]: "the plan changes an object without the tag of the cluster";
        SharedResource = "shared-resource", [7]: "the plan deletes a resource that another cluster uses";
        MachinesInNetwork = "machines-in-network", [7]: "machines of others run in a network that the plan deletes";
        MachinesRecorded = "machines-recorded", [7]: "machines of the cluster are still recorded";
        MachinesUntracked = "machines-untracked", [0]: "instances of the cluster are not recorded";
    }
    Installation "Installation and outputs" {
        InstallationLate = "installation-late", [1]: "the installation did not reach its goal in time";
        InstallationFailed = "installation-failed", [1]: "the installation cannot reach its goal";
        KubeconfigUnusable = "kubeconfig-unusable", [1, 3, 64]: "a kubeconfig is missing, or cannot be used";
        KubeconfigForeign = "kubeconfig-foreign", [0]: "the kubeconfig names another cluster than the state";
        OutputUnknown = "output-unknown", [1, 64]: "the cluster has no such output";
        BootstrapMissing = "bootstrap-missing", [1]: "the cluster has no bootstrap machine to gather logs from";
    }
    Ownership "Clusters and recovery" {
        ClusterExists = "cluster-exists", [7]: "AWS has this cluster, and the state does not record it";
        ClusterTwice = "cluster-twice", [7]: "another state creates the same cluster";
        OwnerUnproven = "owner-unproven", [0, 7]: "it is not proven that only this state creates the cluster";
        ClusterNew = "cluster-new", [0]: "the plan creates a new cluster beside a recorded one";
        ClusterNotFound = "cluster-not-found", [1]: "AWS has no resource of this cluster";
        RecoveryIncomplete = "recovery-incomplete", [1]: "AWS has resources that the recovery does not explain";
        BootstrapNotFound = "bootstrap-not-found", [0]: "the recovered cluster has no bootstrap machine";
        ResourcesRemain = "resources-remain", [1]: "resources of the cluster remain after a destroy";
        SearchIncomplete = "search-incomplete", [0]: "the credentials do not allow a part of the search";
        BackupsKept = "backups-kept", [0]: "backups of the cluster stay";
    }
    Preflight "Preflight" {
        DryRunExecuted = "dry-run-executed", [7]: "the endpoint executed a call that was meant as a dry run";
        ImdsV1Used = "tokenless-requests", [7]: "machines still use IMDSv1, which fails after the plan";
        ImdsV1UseUnknown = "tokenless-unknown", [0]: "it is unknown if machines still use IMDSv1";
        AuditIncomplete = "audit-incomplete", [2]: "a part of an audit could not be read";
        PreflightIncomplete = "preflight-incomplete", [0]: "a check before the apply could not be made";
    }
    Cloud "Calls to AWS" {
        CredentialsMissing = "credentials-missing", [0, 1]: "no AWS credentials were found";
        CredentialsExpired = "credentials-expired", [0, 1]: "the AWS credentials have expired";
        CredentialsRejected = "credentials-rejected", [0, 1]: "AWS does not accept the credentials";
        ClockSkewed = "clock-skewed", [0, 1]: "AWS rejects the time of the request";
        AccountMismatch = "account-mismatch", [1]: "the credentials belong to another account than the cluster";
        AccountNotReady = "account-not-ready", [0, 1]: "AWS has not enabled the account or the region";
        CallDenied = "call-denied", [0, 1, 7]: "a policy does not allow a call";
        QuotaExceeded = "quota-exceeded", [1, 7]: "a quota of the account is too low";
        CapacityMissing = "capacity-missing", [1]: "AWS has no capacity for the request";
        InstanceTypeUnsupported = "instance-type-unsupported", [1]: "the zone does not support the instance type";
        TokensRequired = "tokens-required", [1, 7]: "the account launches only machines that require IMDSv2";
        MetadataTagsEnabled = "metadata-tags-enabled", [7]: "an account default makes EC2 reject the tags of machines";
        MetadataEndpointDisabled = "metadata-endpoint-disabled", [7]: "an account default disables the metadata service";
        InternetGatewayBlocked = "internet-gateway-blocked", [0, 7]: "the account blocks internet gateways";
        ImageUnusable = "image-unusable", [1]: "the machine image does not exist in the region";
        KeyPairMissing = "key-pair-missing", [1]: "the key pair does not exist in the region";
        KmsKeyUnusable = "kms-key-unusable", [1]: "the KMS key cannot be used";
        SubnetFull = "subnet-full", [1]: "a subnet has too few free addresses";
        ResourceInUse = "resource-in-use", [1]: "another resource still uses the one to delete";
        NameTaken = "name-taken", [1]: "an object that this state did not create has the name";
        Throttled = "throttled", [0, 1]: "AWS throttles the calls";
        EndpointInvalid = "endpoint-invalid", [0, 1]: "the configured endpoint is not a URL";
        CaBundleUnusable = "ca-bundle-unusable", [0, 1]: "the file of certificate authorities for AWS endpoints cannot be used";
        EndpointUnreachable = "endpoint-unreachable", [0, 1]: "an endpoint of AWS cannot be reached";
        ReadOnly = "read-only", [1]: "a command that only reads withheld a change";
        WaitTimeout = "wait-timeout", [1]: "a resource was not ready in time";
        CallFailed = "call-failed", [0, 1]: "a call failed for another reason";
    }
    Kubernetes "Controller and handler in a cluster" {
        ApiServerUnreachable = "api-server-unreachable", [1]: "the API server of the cluster cannot be used";
        InfrastructureUnfit = "infrastructure-unfit", [1]: "the Infrastructure object does not describe a cluster on AWS";
        LeadershipLost = "leadership-lost", [1]: "the process is no longer the leader";
        ListenFailed = "listen-failed", [1]: "the address for probes and metrics cannot be used";
        HandlerTrouble = "handler-trouble", [0]: "the termination handler could not report an interruption";
    }
}

impl Code {
    /// Returns all codes, in the order of lists.
    pub fn all() -> impl Iterator<Item = Code> {
        CodeGroup::ALL.iter().flat_map(|group| group.codes().iter().copied())
    }

    /// Returns the code with this name; `None` if there is none.
    pub fn named(name: &str) -> Option<Code> {
        Code::all().find(|code| code.name() == name)
    }

    /// Returns the code for the violation of a guard.
    pub fn of_violation(violation: &Violation) -> Code {
        match violation {
            Violation::Protected { .. } => Code::Protected,
            Violation::TooMany { .. } => Code::TooManyDeletions,
            Violation::Unexpected { .. } => Code::UnexpectedChanges,
        }
    }

    /// Returns the code for a lock that could not be taken.
    pub fn of_lock(error: &LockError) -> Code {
        match error {
            LockError::Held(_) | LockError::HeldUnnamed(_) => Code::StateLocked,
            LockError::Backend(error) => Code::of_state(error),
        }
    }

    /// Returns the code for a lock that could not be released by force.
    pub fn of_unlock(error: &UnlockError) -> Code {
        match error {
            UnlockError::Another { .. } | UnlockError::Alive(_) => Code::UnlockRefused,
            UnlockError::Backend(error) => Code::of_state(error),
        }
    }

    /// Returns the code for a state that could not be read or written.
    pub fn of_state(error: &StateError) -> Code {
        match error {
            StateError::Unreadable { .. } => Code::StateUnreadable,
            StateError::Unwritable { .. } | StateError::Unsure { .. } => Code::StateUnwritable,
            StateError::Empty { .. }
            | StateError::Missing { .. }
            | StateError::Damaged { .. }
            | StateError::ForeignLineage { .. } => Code::StateDamaged,
            StateError::NewerFormat { .. } => Code::StateNewer,
            StateError::Moved { .. } => Code::StateMoved,
            StateError::Changed { .. } => Code::StateChanged,
            StateError::Fenced { .. } => Code::LockLost,
            StateError::Stopping => Code::Stopped,
            StateError::ReadOnly => Code::ReadOnly,
            StateError::Bucket { source, .. } => Code::of_bucket(source),
            StateError::Unconditional { .. } => Code::StateStoreUnfit,
            StateError::NoRun { .. } | StateError::OutOfStep { .. } => Code::InternalError,
        }
    }

    /// Returns the code for a failed call to the bucket of a state.
    fn of_bucket(error: &ProviderError) -> Code {
        match error.code.as_deref().and_then(BucketProblem::of) {
            Some(BucketProblem::Missing) => Code::StateBucketMissing,
            Some(BucketProblem::Elsewhere) => Code::StateBucketElsewhere,
            Some(BucketProblem::Denied) => Code::StateBucketDenied,
            None => Code::of_call(error),
        }
    }

    /// Returns the code for a failed call.
    pub fn of_call(error: &ProviderError) -> Code {
        Code::of_fault(&ReportedError::from(error))
    }

    /// Returns the code for the error of a step.
    pub fn of_fault(fault: &ReportedError) -> Code {
        match (fault.kind, fault.code.as_deref()) {
            (FaultKind::Withheld, Some("Stopped")) => Code::Stopped,
            (FaultKind::Withheld, Some("ReadOnly")) => Code::ReadOnly,
            (FaultKind::Withheld, _) => Code::LockLost,
            (FaultKind::Protected, _) => Code::Protected,
            (FaultKind::PlanOutdated, _) => Code::PlanOutdated,
            (FaultKind::TimedOut, _) => Code::WaitTimeout,
            (FaultKind::Panicked, _) => Code::InternalError,
            (FaultKind::Call, Some("NotOurs")) => Code::NameTaken,
            (FaultKind::Call, code) => {
                code.and_then(|code| FaultSituation::of(&fault.call, code, &fault.message)).into()
            }
        }
    }
}

/// Converts the situation of a failed call. `None` is a failure without a known situation.
impl From<Option<FaultSituation>> for Code {
    fn from(situation: Option<FaultSituation>) -> Self {
        match situation {
            None => Code::CallFailed,
            Some(FaultSituation::CredentialsMissing) => Code::CredentialsMissing,
            Some(FaultSituation::CredentialsExpired) => Code::CredentialsExpired,
            Some(FaultSituation::CredentialsRejected) => Code::CredentialsRejected,
            Some(FaultSituation::AccountMismatch) => Code::AccountMismatch,
            Some(FaultSituation::ClockSkewed) => Code::ClockSkewed,
            Some(FaultSituation::AccountNotReady) => Code::AccountNotReady,
            Some(FaultSituation::Denied) => Code::CallDenied,
            Some(FaultSituation::Quota) => Code::QuotaExceeded,
            Some(FaultSituation::Capacity) => Code::CapacityMissing,
            Some(FaultSituation::Unsupported) => Code::InstanceTypeUnsupported,
            Some(FaultSituation::TokensRequired) => Code::TokensRequired,
            Some(FaultSituation::Image) => Code::ImageUnusable,
            Some(FaultSituation::KeyPair) => Code::KeyPairMissing,
            Some(FaultSituation::KmsKey) => Code::KmsKeyUnusable,
            Some(FaultSituation::SubnetFull) => Code::SubnetFull,
            Some(FaultSituation::DeletionProtected) => Code::DeletionProtected,
            Some(FaultSituation::InUse) => Code::ResourceInUse,
            Some(FaultSituation::NameTaken) => Code::NameTaken,
            Some(FaultSituation::Throttled) => Code::Throttled,
            Some(FaultSituation::EndpointInvalid) => Code::EndpointInvalid,
            Some(FaultSituation::CaBundle) => Code::CaBundleUnusable,
            Some(FaultSituation::EndpointUnreachable) => Code::EndpointUnreachable,
        }
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use groundplan_engine::provider::{Cause, ErrorClass};

    use super::*;

    fn failed(call: &str, code: &str) -> ProviderError {
        ProviderError::new(ErrorClass::Permanent, call, "").with_code(code)
    }

    #[test]
    fn a_failed_call_has_the_code_of_its_situation() {
        let code = |call, code| Code::of_call(&failed(call, code));
        assert_eq!(code("RunInstances", "VcpuLimitExceeded"), Code::QuotaExceeded);
        assert_eq!(code("RunInstances", "UnauthorizedOperation"), Code::CallDenied);
        assert_eq!(code("RunInstances", "WrongAccount"), Code::AccountMismatch);
        assert_eq!(code("DescribeVpcs", "RequestLimitExceeded"), Code::Throttled);
        assert_eq!(code("CreateRole", "EntityAlreadyExists"), Code::NameTaken);
        assert_eq!(code("CreateVpc", "InvalidVpcRange"), Code::CallFailed);
        assert_eq!(
            Code::of_call(&ProviderError::new(ErrorClass::Ambiguous, "CreateVpc", "reset")),
            Code::CallFailed
        );
    }

    #[test]
    fn a_withheld_call_has_the_code_of_its_cause() {
        let code = |cause| Code::of_call(&failed("CreateVpc", "any").with_cause(cause));
        assert_eq!(code(Cause::Fenced), Code::LockLost);
        assert_eq!(code(Cause::Shutdown), Code::Stopped);
        assert_eq!(code(Cause::ReadOnly), Code::ReadOnly);
        assert_eq!(code(Cause::NotOurs), Code::NameTaken);
    }

    #[test]
    fn a_refusal_of_the_engine_has_the_code_of_its_kind() {
        let code = |kind| Code::of_fault(&ReportedError { kind, ..ReportedError::default() });
        assert_eq!(code(FaultKind::Protected), Code::Protected);
        assert_eq!(code(FaultKind::PlanOutdated), Code::PlanOutdated);
        assert_eq!(code(FaultKind::TimedOut), Code::WaitTimeout);
        assert_eq!(code(FaultKind::Panicked), Code::InternalError);
    }

    #[test]
    fn a_failure_of_the_bucket_has_its_own_code_or_that_of_its_call() {
        let path = PathBuf::from("s3://bucket/demo");
        for (code, expected) in [
            ("AccessDenied", Code::StateBucketDenied),
            ("403", Code::StateBucketDenied),
            ("NoSuchBucket", Code::StateBucketMissing),
            ("PermanentRedirect", Code::StateBucketElsewhere),
            ("ExpiredToken", Code::CredentialsExpired),
            ("RequestTimeTooSkewed", Code::ClockSkewed),
            ("InvalidRequest", Code::CallFailed),
        ] {
            let source = failed("GetObject", code);
            let error = StateError::Bucket { action: "read", path: path.clone(), source };
            assert_eq!(Code::of_state(&error), expected, "{code}");
            assert_eq!(Code::of_lock(&LockError::Backend(error)), expected, "{code}");
        }
        let held = LockError::HeldUnnamed(path);
        assert_eq!(Code::of_lock(&held), Code::StateLocked);
    }

    #[test]
    fn a_code_is_found_by_its_name() {
        assert_eq!(Code::named("state-locked"), Some(Code::StateLocked));
        assert_eq!(Code::named("State-Locked"), None);
        assert_eq!(serde_json::to_value(Code::StateLocked).unwrap(), "state-locked");
    }
}
