//! Launch of the instance of a Machine.
//!
//! The status announces the launch before the request is sent, and not before all inputs are known:
//! each attempt writes one status before the request, and an attempt without a request writes one
//! status in all. The request carries the token of the Machine.

use std::collections::BTreeMap;
use std::sync::Arc;

use groundplan_aws::machine_calls::LaunchRequest;
use groundplan_engine::secret::{Secret, Secrets};
use groundplan_openshift::machine_api::launch_spec::{self, LaunchError};
use groundplan_openshift::machine_api::types::AwsMachineProviderConfig;
use k8s_openapi::api::core::v1::Secret as ClusterSecret;
use kube::api::Api;
use serde_json::Value;

use super::super::failure::is_unanswered;
use super::super::{
    MachineChange, MachineFailure, SOON, creation_failed, failed, launch_unanswered, launched,
    launching, of_call, of_refusal, provisioning, token,
};
use super::{MachineController, NextLook, ReconcileError, ReconcileTarget, Result};
use crate::event_recorder::EventType;
use crate::metrics::InstanceOperation;
use crate::report::LogLevel;

/// Failure of one attempt to launch the instance of a Machine.
enum LaunchFailure {
    /// The Machine can never be launched.
    Invalid(MachineFailure),
    /// A later attempt may succeed.
    Retry(ReconcileError),
}

impl From<ReconcileError> for LaunchFailure {
    fn from(error: ReconcileError) -> Self {
        let failure = match &error {
            ReconcileError::Aws(error) => of_call(error),
            ReconcileError::Cluster(_)
            | ReconcileError::Authority(_)
            | ReconcileError::DependencyNotReady(_) => None,
        };
        failure.map_or(LaunchFailure::Retry(error), LaunchFailure::Invalid)
    }
}

impl From<LaunchError> for LaunchFailure {
    fn from(rejection: LaunchError) -> Self {
        let message = rejection.to_string();
        of_refusal(&rejection).map_or_else(
            || LaunchFailure::Retry(ReconcileError::DependencyNotReady(message)),
            LaunchFailure::Invalid,
        )
    }
}

impl MachineController {
    /// Launches the instance. The status announces the launch in one write, before the request.
    pub(super) async fn launch(&self, one: &mut ReconcileTarget) -> Result<NextLook> {
        let begun = provisioning(&one.machine, self.clock.now());
        let begun = self.with_known_fields(one, begun).await;
        let prepared = match self.config(&one.machine) {
            Ok(config) => self.prepare(one, &config).await,
            Err(failure) => Err(LaunchFailure::Invalid(failure)),
        };
        let (request, warnings) = match prepared {
            Ok(prepared) => prepared,
            Err(failure) => return self.not_launched(one, begun, failure).await,
        };
        self.write(one, begun.then(|machine| launching(machine, self.clock.now()))).await?;
        let instance = match self.change(|ec2| ec2.launch(request)).await {
            Ok(instance) => instance,
            Err(error) => {
                let unchanged = MachineChange::none(&one.machine);
                return self.not_launched(one, unchanged, error.into()).await;
            }
        };
        self.tell_warnings(one, &warnings).await;
        let (region, now) = (&self.settings.region, self.clock.now());
        self.write(one, launched(&one.machine, &instance, region, now)).await?;
        let message = format!("Created Machine {}", one.name);
        self.log(LogLevel::Info, one, &format!("launched {}", instance.id.0));
        self.event_recorder.record_event(&one.object, EventType::Normal, "Create", &message).await;
        Ok(NextLook::After(SOON))
    }

    /// Records a failed launch, after the changes that are not written yet.
    async fn not_launched(
        &self,
        one: &mut ReconcileTarget,
        begun: MachineChange,
        failure: LaunchFailure,
    ) -> Result<NextLook> {
        let now = self.clock.now();
        let error = match failure {
            LaunchFailure::Invalid(failure) => {
                let changes = begun.then(|machine| failed(machine, &failure, now));
                return self.fail(one, &failure, changes, InstanceOperation::Create).await;
            }
            LaunchFailure::Retry(error) => error,
        };
        let message = error.to_string();
        let changes = begun.then(|machine| match &error {
            ReconcileError::Aws(error) if is_unanswered(error) => {
                launch_unanswered(machine, &message, now)
            }
            _ => creation_failed(machine, &message, now),
        });
        self.write(one, changes).await?;
        self.tell_failed(one, InstanceOperation::Create, &error).await;
        Err(error)
    }

    /// Returns the launch request and the warnings about it. Looks up everything that the request
    /// needs, and writes nothing.
    async fn prepare(
        &self,
        one: &ReconcileTarget,
        config: &AwsMachineProviderConfig,
    ) -> std::result::Result<(LaunchRequest, Vec<String>), LaunchFailure> {
        let mut secrets = Secrets::default();
        let (answers, user_data) = self.launch_inputs(config, &mut secrets).await?;
        launch_spec::check_subnet_zone(config, &self.settings.region, &answers)?;
        let (labels, site) = (&one.machine.metadata.labels, &self.settings.site);
        let launch = launch_spec::launch(&one.name, labels, config, site, &answers, user_data)?;
        let request = LaunchRequest {
            token: token(&one.machine),
            machine: launch.machine,
            secrets: Arc::new(secrets),
        };
        Ok((request, launch.warnings))
    }

    /// Returns the lookup results and the user data of a launch.
    async fn launch_inputs(
        &self,
        config: &AwsMachineProviderConfig,
        secrets: &mut Secrets,
    ) -> Result<(BTreeMap<String, Value>, Secret)> {
        let user_data = secrets.keep(self.user_data(config).await?);
        let mut lookups = launch_spec::needed_lookups(config, &self.settings.site);
        lookups.extend(launch_spec::subnet_zone_lookup(config, &self.settings.region));
        let answers = self.batcher.answers(lookups).await;
        Ok((answers.map_err(|error| self.noted(error))?, user_data))
    }

    async fn tell_warnings(&self, one: &ReconcileTarget, warnings: &[String]) {
        for warning in warnings {
            self.log(LogLevel::Warning, one, warning);
            self.event_recorder
                .record_event(&one.object, EventType::Warning, "Launch", warning)
                .await;
        }
    }

    /// Returns the user data, which is a secret and never appears in messages. Upstream launches with
    /// empty user data, and no such instance becomes a Node. An empty key is retried like a missing
    /// one: a correction of the Secret helps, which a failed Machine would not notice.
    async fn user_data(&self, config: &AwsMachineProviderConfig) -> Result<Vec<u8>> {
        let name = config.user_data_secret.as_ref().map_or("", |secret| &secret.name);
        let secrets: Api<ClusterSecret> =
            Api::namespaced(self.client.clone(), &self.settings.namespace);
        let namespace = &self.settings.namespace;
        let missing = |what: &str| {
            ReconcileError::DependencyNotReady(format!(
                "the Secret {namespace}/{name} with the user data {what}"
            ))
        };
        let absent = "does not exist: create it, or correct `userDataSecret.name`; the launch then \
                      follows by itself";
        let secret = secrets.get_opt(name).await?.ok_or_else(|| missing(absent))?;
        let data = secret.data.and_then(|mut data| data.remove("userData"));
        let data = data.ok_or_else(|| missing("has no key `userData`"))?.0;
        match data.is_empty() {
            true => Err(missing("is empty: no machine becomes a Node without user data")),
            false => Ok(data),
        }
    }
}
