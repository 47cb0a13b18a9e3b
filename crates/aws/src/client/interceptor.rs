//! The interceptor between the SDK and the network. It rejects mutating calls before a fence is
//! installed and after the lock is lost, counts calls, and reports results to the throttle. It also
//! prevents unsafe retries by the SDK. Changes no request.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
    FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, Metadata};
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::retry::RetryConfig;
use groundplan_engine::state::error::StateError;
use groundplan_engine::state::fence::Fence;

use super::errors::{element, is_throttle, leaves_open};
use super::throttle::Throttle;
use crate::Tags;
use crate::client::batch::BatchQueue;
use crate::client::resource_type::Registry;
use crate::facts::may_repeat;
use crate::model::calls::is_read;
use crate::model::untracked::UntrackedKind;

/// The number of calls of each action of each service.
pub type CallCounts = BTreeMap<(&'static str, String), u64>;

/// The name of a service that no kind calls.
const UNKNOWN: &str = "unknown";

tokio::task_local! {
    /// The results of the attempts of this task's current call.
    static ATTEMPTS: SdkAttempts;
}

#[derive(Debug, Default)]
struct SdkAttempts {
    last_is_open: Cell<bool>,
    an_earlier_one_is_open: Cell<bool>,
}

/// Runs a call. The boolean is true if an earlier attempt may have taken effect without a response;
/// the last attempt's error is then not conclusive.
pub(crate) async fn attempted<T>(call: impl Future<Output = T>) -> (T, bool) {
    let made = async {
        let answer = call.await;
        (answer, ATTEMPTS.with(|attempts| attempts.an_earlier_one_is_open.get()))
    };
    ATTEMPTS.scope(SdkAttempts::default(), made).await
}

/// The shared part of the clients of one run.
#[derive(Debug)]
pub(crate) struct CallContext {
    /// The kinds, whose facts say which calls may be repeated.
    pub(crate) registry: Registry,
    pub(crate) throttle: Throttle,
    calls: Mutex<CallCounts>,
    /// The tags of objects that were read last without proof of ownership, by the token of their
    /// record.
    unowned: Mutex<BTreeMap<String, Tags>>,
    /// The deletion protection of load balancers as it was read last, by ARN.
    protected: Mutex<BTreeMap<String, bool>>,
    /// IDs and ARNs of objects that refresh has read with the cluster tag.
    owned: Mutex<BTreeSet<String>>,
    /// Names of resources outside EC2 as this run has read them.
    names: Mutex<SeenNames>,
    /// The attachments of roles as this run has listed them.
    roles: Mutex<RoleLists>,
    /// The permissions that a comparison lacked.
    not_compared: Mutex<BTreeSet<&'static str>>,
    /// The fence of mutating calls. Rejects all of them until [`CallContext::guard`].
    fence: Mutex<Fence>,
    /// The batches of calls that steps make at the same time.
    pub(crate) batches: Batches,
}

/// Names and IDs of resources outside EC2 as this run has read them, by type.
#[derive(Debug, Default)]
struct SeenNames {
    /// Recorded resources that refresh has read with the cluster tag.
    owned: BTreeMap<UntrackedKind, BTreeSet<String>>,
    /// Resources of others in the last list of the sweep.
    listed: BTreeMap<UntrackedKind, BTreeSet<String>>,
}

/// The attachments of roles as this run has listed them, by the name of the role.
#[derive(Debug, Default)]
struct RoleLists {
    inline: BTreeMap<String, Vec<String>>,
    managed: BTreeMap<String, Vec<String>>,
    /// Instance profiles of all roles of the account; `None` if they were not listed.
    profiles: Option<BTreeMap<String, Vec<String>>>,
}

/// Registration of a machine in a target group: ARN of the group, address and port.
pub(crate) type Registration = (String, String, i32);

/// The batches of calls that steps make at the same time.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    /// Instances that updates read before they change them, by ID.
    pub(crate) instances: BatchQueue<String, Option<aws_sdk_ec2::types::Instance>>,
    /// Terminations of instances, by ID.
    pub(crate) terminations: BatchQueue<String, ()>,
    /// Deregistrations of targets.
    pub(crate) deregistrations: BatchQueue<Registration, ()>,
    /// Tags of recorded load balancers and target groups, by ARN.
    pub(crate) elb_tags: BatchQueue<Vec<String>, BTreeMap<String, Tags>>,
    /// Rules of security groups, by the ID of the group.
    pub(crate) group_rules: BatchQueue<String, Vec<aws_sdk_ec2::types::SecurityGroupRule>>,
    /// Route tables, by the ID of their VPC.
    pub(crate) route_tables: BatchQueue<String, Vec<aws_sdk_ec2::types::RouteTable>>,
}

impl CallContext {
    pub(crate) fn new(registry: Registry) -> Self {
        let (throttle, calls) = (Throttle::default(), Mutex::default());
        let (unowned, protected) = (Mutex::default(), Mutex::default());
        let (owned, roles, not_compared) = (Mutex::default(), Mutex::default(), Mutex::default());
        let names = Mutex::default();
        let fence = Mutex::new(Fence::read_only());
        let batches = Batches::default();
        Self {
            registry,
            throttle,
            calls,
            unowned,
            protected,
            owned,
            names,
            roles,
            not_compared,
            fence,
            batches,
        }
    }

    /// Returns the deletion protection of a load balancer, if this run has read it.
    pub(crate) fn is_protected(&self, arn: &str) -> Option<bool> {
        self.protected.lock().unwrap_or_else(PoisonError::into_inner).get(arn).copied()
    }

    /// Notes the deletion protection of a load balancer.
    pub(crate) fn note_protected(&self, arn: &str, is_protected: bool) {
        let mut protected = self.protected.lock().unwrap_or_else(PoisonError::into_inner);
        protected.insert(arn.to_owned(), is_protected);
    }

    /// Returns the tags of the object of the record with this token, if the last read found no
    /// proof of ownership.
    pub(crate) fn unowned(&self, token: &str) -> Option<Tags> {
        self.unowned.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// Notes the tags of an object without proof of ownership. `None` forgets an earlier note.
    pub(crate) fn note_unowned(&self, token: &str, tags: Option<Tags>) {
        let mut unowned = self.unowned.lock().unwrap_or_else(PoisonError::into_inner);
        match tags {
            Some(tags) => unowned.insert(token.to_owned(), tags),
            None => unowned.remove(token),
        };
    }

    /// Notes an object that refresh has read with the cluster tag.
    pub(crate) fn note_owned(&self, id: &str) {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
    }

    /// Returns the ones of these IDs and ARNs that refresh has read with the cluster tag.
    pub(crate) fn owned_of(&self, ids: &BTreeSet<String>) -> BTreeSet<String> {
        let owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        owned.intersection(ids).cloned().collect()
    }

    /// Notes a resource outside EC2 that refresh has read, if it has the cluster tag.
    pub(crate) fn note_owned_name(&self, kind: UntrackedKind, name: &str, is_owned: bool) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let owned = names.owned.entry(kind).or_default();
        match is_owned {
            true => owned.insert(name.to_owned()),
            false => owned.remove(name),
        };
    }

    /// Returns the ones of these names that refresh has read with the cluster tag.
    pub(crate) fn owned_names(
        &self,
        kind: UntrackedKind,
        names: &BTreeSet<String>,
    ) -> BTreeSet<String> {
        let seen = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let owned = seen.owned.get(&kind);
        owned.map(|owned| owned.intersection(names).cloned().collect()).unwrap_or_default()
    }

    /// Notes the resources of others in a list of the sweep.
    pub(crate) fn note_listed(&self, kind: UntrackedKind, others: BTreeSet<String>) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.listed.insert(kind, others);
    }

    /// Returns the resources of others in the last list of the sweep.
    pub(crate) fn listed(&self, kind: UntrackedKind) -> BTreeSet<String> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.listed.get(&kind).cloned().unwrap_or_default()
    }

    /// Notes the names of all inline policies of a role.
    pub(crate) fn note_inline_policies(&self, role: &str, names: Vec<String>) {
        let mut roles = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
        roles.inline.insert(role.to_owned(), names);
    }

    /// Notes the ARNs of all managed policies of a role.
    pub(crate) fn note_managed_policies(&self, role: &str, arns: Vec<String>) {
        let mut roles = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
        roles.managed.insert(role.to_owned(), arns);
    }

    /// Notes the instance profiles of all roles of the account.
    pub(crate) fn note_profiles(&self, by_role: BTreeMap<String, Vec<String>>) {
        self.roles.lock().unwrap_or_else(PoisonError::into_inner).profiles = Some(by_role);
    }

    /// Notes a permission without which refresh has not compared a part of the resources.
    pub(crate) fn note_not_compared(&self, permission: &'static str) {
        let mut missing = self.not_compared.lock().unwrap_or_else(PoisonError::into_inner);
        missing.insert(permission);
    }

    /// Returns the permissions without which refresh has not compared a part of the resources.
    pub(crate) fn not_compared(&self) -> BTreeSet<&'static str> {
        self.not_compared.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the inline policies, managed policies and instance profiles of a role, each list only
    /// if this run has read it.
    pub(crate) fn attachments_of(&self, role: &str) -> [Option<Vec<String>>; 3] {
        let roles = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
        let profiles = roles.profiles.as_ref();
        [
            roles.inline.get(role).cloned(),
            roles.managed.get(role).cloned(),
            profiles.map(|all| all.get(role).cloned().unwrap_or_default()),
        ]
    }

    /// Returns the number of calls so far; each attempt counts.
    pub(crate) fn calls(&self) -> CallCounts {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn guard(&self, fence: Fence) {
        *self.fence.lock().unwrap_or_else(PoisonError::into_inner) = fence;
    }

    /// Checks that a mutating call may be sent.
    ///
    /// # Errors
    /// The reason why the fence rejects the call.
    fn pass(&self) -> Result<(), StateError> {
        self.fence.lock().unwrap_or_else(PoisonError::into_inner).clone().pass()
    }

    fn count(&self, service: &'static str, call: &str) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.entry((service, call.to_owned())).or_default() += 1;
    }
}

/// The [`CallContext`] as an SDK interceptor.
#[derive(Clone, Debug)]
pub(crate) struct FencingInterceptor(pub(crate) Arc<CallContext>);

impl Intercept for FencingInterceptor {
    fn name(&self) -> &'static str {
        "groundplan"
    }

    // Not `read_before_execution`: at that time the config bag does not know the operation.
    fn read_before_serialization(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (service, call) = named(bag);
        if !may_repeat(self.0.registry.facts, service, &call) {
            bag.interceptor_state().store_put(RetryConfig::disabled());
        }
        Ok(())
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (service, call) = named(bag);
        let changes = !is_read(&call) && !is_dry_run(service, context.request());
        // The check is here, because the process may have slept in a pause of the throttle or the
        // SDK.
        let attempts = bag.load::<RequestAttempts>().map_or(1, RequestAttempts::attempts);
        let is_first = attempts <= 1;
        if changes {
            self.0.pass().map_err(|why| CallWithheld { why, is_first })?;
        }
        self.0.count(service, &call);
        let _outside_of_a_call = ATTEMPTS.try_with(|attempts| {
            if attempts.last_is_open.get() {
                attempts.an_earlier_one_is_open.set(true);
            }
        });
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (service, call) = named(bag);
        let failed = context.output_or_error().and_then(Result::err);
        let failed = failed.and_then(|error| error.as_connector_error());
        let open = leaves_open(&call, context.response(), failed.map(|error| error as _));
        let _outside_of_a_call = ATTEMPTS.try_with(|attempts| attempts.last_is_open.set(open));
        let Some(answer) = context.response() else { return Ok(()) };
        if answer.status().is_success() {
            self.0.throttle.learn(service, &call, false);
        } else if element(answer, "Code").is_some_and(is_throttle) {
            self.0.throttle.learn(service, &call, true);
        }
        Ok(())
    }
}

/// Returns true if the request is an EC2 dry run, which changes nothing. Reads the request itself:
/// only a call that carries `DryRun` to the network is a dry run.
fn is_dry_run(service: &str, request: &HttpRequest) -> bool {
    let form = request.body().bytes().unwrap_or_default();
    service == "ec2" && form.split(|byte| *byte == b'&').any(|field| field == b"DryRun=true")
}

/// An attempt that was not sent, because the client only reads, the lock is lost or a shutdown was
/// requested.
#[derive(Debug, thiserror::Error)]
#[error("{}", if *is_first { "not sent" } else { "not sent again" })]
pub(crate) struct CallWithheld {
    /// The reason of the fence.
    #[source]
    pub(crate) why: StateError,
    /// True if no attempt was sent before.
    pub(crate) is_first: bool,
}

/// Returns service and action by the names that kinds give to [`Aws::call`](crate::Aws). A call of
/// an unknown service counts as mutating, and no kind declares it.
fn named(bag: &ConfigBag) -> (&'static str, String) {
    let Some(metadata) = bag.load::<Metadata>() else { return (UNKNOWN, String::new()) };
    let service = match metadata.service() {
        "CloudWatch" => "cloudwatch",
        "EC2" => "ec2",
        "Elastic Load Balancing" | "Elastic Load Balancing v2" => "elasticloadbalancing",
        "IAM" => "iam",
        "Route 53" => "route53",
        "S3" => "s3",
        "STS" => "sts",
        "Service Quotas" => "servicequotas",
        "Resource Groups Tagging API" => "tagging",
        _ => UNKNOWN,
    };
    (service, metadata.name().to_owned())
}
