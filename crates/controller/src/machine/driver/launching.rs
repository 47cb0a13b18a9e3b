//! Launch of the instance of a Machine.
//!
//! The status announces the launch before the request is sent, and not before all inputs are known:
//! an attempt that ends without a request writes no status twice. The request carries the token of
//! the Machine.

use std::collections::BTreeMap;
use std::sync::Arc;

use groundplan_aws::kinds::machine::MachineOutputs;
use groundplan_aws::machine_calls::LaunchRequest;
use groundplan_engine::secret::{Secret, Secrets};
use groundplan_openshift::machine_api::launch_spec::{self, LaunchError};
use groundplan_openshift::machine_api::types::AwsMachineProviderConfig;
use k8s_openapi::api::core::v1::Secret as ClusterSecret;
use kube::api::Api;
use serde_json::Value;

use super::super::failure::is_unanswered;
use super::super::{
    MachineFailure, SOON, creation_failed, launch_unanswered, launched, launching, of_call,
    of_refusal, provisioning, token,
};
use super::{MachineController, NextLook, ReconcileError, ReconcileTarget, Result};
use crate::event_recorder::EventType;
use crate::metrics::InstanceOperation;
use crate::report::{LogLevel, ReconcileFailure};

/// Result of one attempt to launch the instance of a Machine.
enum LaunchOutcome {
    /// The instance is launched.
    Launched(Box<MachineOutputs>),
    /// The Machine can never be launched.
    Invalid(MachineFailure),
    /// A later attempt may succeed.
    Retry(ReconcileError),
}

impl From<ReconcileError> for LaunchOutcome {
    fn from(error: ReconcileError) -> Self {
        let failure = match &error {
            ReconcileError::Aws(error) => of_call(error),
            ReconcileError::Cluster(_)
            | ReconcileError::Authority(_)
            | ReconcileError::Missing(_) => None,
        };
        failure.map_or(LaunchOutcome::Retry(error), LaunchOutcome::Invalid)
    }
}

impl From<LaunchError> for LaunchOutcome {
    fn from(rejection: LaunchError) -> Self {
        let message = rejection.to_string();
        of_refusal(&rejection).map_or_else(
            || LaunchOutcome::Retry(ReconcileError::Missing(message)),
            LaunchOutcome::Invalid,
        )
    }
}

impl MachineController {
    pub(super) async fn launch(&self, one: &mut ReconcileTarget) -> Result<NextLook> {
        let now = self.clock.now();
        let changes = self.with_known_fields(one, provisioning(&one.machine, now)).await;
        self.write(one, changes).await?;
        let config = match self.config(&one.machine) {
            Ok(config) => config,
            Err(failure) => return self.give_up(one, &failure).await,
        };
        let error = match self.attempt(one, &config).await {
            LaunchOutcome::Launched(instance) => {
                self.write(one, launched(&one.machine, &instance, self.clock.now())).await?;
                let message = format!("Created Machine {}", one.name);
                self.log(LogLevel::Info, one, &format!("launched {}", instance.id.0));
                self.event_recorder
                    .record_event(&one.object, EventType::Normal, "Create", &message)
                    .await;
                return Ok(NextLook::After(SOON));
            }
            LaunchOutcome::Invalid(failure) => return self.give_up(one, &failure).await,
            LaunchOutcome::Retry(error) if error.is_conflict() => return Err(error),
            LaunchOutcome::Retry(error) => error,
        };
        let (machine, message, now) = (&one.machine, error.to_string(), self.clock.now());
        let changes = match &error {
            ReconcileError::Aws(error) if is_unanswered(error) => {
                launch_unanswered(machine, &message, now)
            }
            _ => creation_failed(machine, &message, now),
        };
        let news = changes.status(self.clock.now()).is_some();
        self.write(one, changes).await?;
        if news {
            self.tell_failed(one, InstanceOperation::Create, &error).await;
        }
        Err(error)
    }

    /// Announces the launch, and launches the instance.
    async fn attempt(
        &self,
        one: &mut ReconcileTarget,
        config: &AwsMachineProviderConfig,
    ) -> LaunchOutcome {
        let mut secrets = Secrets::default();
        let (answers, user_data) = match self.launch_inputs(config, &mut secrets).await {
            Ok(inputs) => inputs,
            Err(error) => return error.into(),
        };
        let (labels, site) = (&one.machine.metadata.labels, &self.settings.site);
        let launch = launch_spec::launch(&one.name, labels, config, site, &answers, user_data);
        let launch = match launch {
            Ok(launch) => launch,
            Err(rejection) => return rejection.into(),
        };
        let request = LaunchRequest {
            token: token(&one.machine),
            machine: launch.machine,
            secrets: Arc::new(secrets),
        };
        if let Err(error) = self.write(one, launching(&one.machine, self.clock.now())).await {
            return LaunchOutcome::Retry(error);
        }
        match self.change(|ec2| ec2.launch(request)).await {
            Ok(instance) => {
                self.tell_warnings(one, &launch.warnings).await;
                LaunchOutcome::Launched(Box::new(instance))
            }
            Err(error) => error.into(),
        }
    }

    /// Returns the lookup results and the user data of a launch.
    async fn launch_inputs(
        &self,
        config: &AwsMachineProviderConfig,
        secrets: &mut Secrets,
    ) -> Result<(BTreeMap<String, Value>, Secret)> {
        let user_data = secrets.keep(self.user_data(config).await?);
        let lookups = launch_spec::needed_lookups(config, &self.settings.site);
        Ok((self.batcher.answers(lookups).await?, user_data))
    }

    async fn tell_warnings(&self, one: &ReconcileTarget, warnings: &[String]) {
        for warning in warnings {
            self.log(LogLevel::Warning, one, warning);
            self.event_recorder
                .record_event(&one.object, EventType::Warning, "Launch", warning)
                .await;
        }
    }

    /// Returns the user data, which is a secret and never appears in messages.
    async fn user_data(&self, config: &AwsMachineProviderConfig) -> Result<Vec<u8>> {
        let name = config.user_data_secret.as_ref().map_or("", |secret| &secret.name);
        let secrets: Api<ClusterSecret> =
            Api::namespaced(self.client.clone(), &self.settings.namespace);
        let missing = |what: &str| {
            ReconcileError::Missing(format!("the Secret {name} with the user data {what}"))
        };
        let secret = secrets.get_opt(name).await?.ok_or_else(|| missing("does not exist"))?;
        let data = secret.data.and_then(|mut data| data.remove("userData"));
        data.map(|data| data.0).ok_or_else(|| missing("has no key `userData`"))
    }
}
