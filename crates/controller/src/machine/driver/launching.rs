//! Launch of the instance of a Machine.
//!
//! The status announces the launch before the request is sent. The request carries the token of the
//! Machine.

use std::sync::Arc;

use groundplan_aws::kinds::machine::MachineOutputs;
use groundplan_engine::graph::Address;
use groundplan_engine::provider::{ErrorClass, ProviderError, Request};
use groundplan_engine::secret::Secrets;
use groundplan_openshift::machine_api::launch_spec::{self, LaunchSpec};
use groundplan_openshift::machine_api::types::AwsMachineProviderConfig;
use k8s_openapi::api::core::v1::Secret as ClusterSecret;
use kube::api::Api;
use kube::runtime::controller::Action;
use serde_json::json;

use super::super::failure::is_unanswered;
use super::super::{
    MachineFailure, SOON, creation_failed, launch_unanswered, launched, launching, of_call,
    of_refusal, token,
};
use super::{MachineController, ReconcileError, ReconcileTarget, Result};
use crate::event_recorder::EventType;
use crate::metrics::InstanceOperation;

impl MachineController {
    pub(super) async fn launch(&self, one: &mut ReconcileTarget) -> Result<Action> {
        let now = self.clock.now();
        self.write(one, launching(&one.machine, now)).await?;
        let config = match self.config(&one.machine) {
            Ok(config) => config,
            Err(failure) => return self.give_up(one, &failure).await,
        };
        let mut secrets = Secrets::default();
        let made = match self.made(one, &config, &mut secrets).await {
            Ok(Ok(launch)) => {
                let made = self.create(one, &launch, secrets).await;
                if made.is_ok() {
                    self.tell_warnings(one, &launch).await;
                }
                made
            }
            Ok(Err(failure)) => return self.give_up(one, &failure).await,
            Err(trouble) => Err(trouble),
        };
        let error = match made {
            Ok(instance) => {
                self.write(one, launched(&one.machine, &instance, self.clock.now())).await?;
                let message = format!("Created Machine {}", one.name);
                self.event_recorder
                    .record_event(&one.object, EventType::Normal, "Created", &message)
                    .await;
                return Ok(Action::requeue(SOON));
            }
            Err(ReconcileError::Aws(error)) => match of_call(error) {
                Ok(failure) => return self.give_up(one, &failure).await,
                Err(error) => ReconcileError::Aws(error),
            },
            Err(other) => other,
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

    /// Returns the launch spec. The inner error is permanent.
    async fn made(
        &self,
        one: &ReconcileTarget,
        config: &AwsMachineProviderConfig,
        secrets: &mut Secrets,
    ) -> Result<std::result::Result<LaunchSpec, MachineFailure>> {
        let site = &self.settings.site;
        let user_data = secrets.keep(self.user_data(config).await?);
        let answers = self.batcher.answers(launch_spec::needed_lookups(config, site)).await?;
        let labels = &one.machine.metadata.labels;
        let launch = launch_spec::launch(&one.name, labels, config, site, &answers, user_data);
        match launch.map_err(|refusal| of_refusal(&refusal)) {
            Ok(launch) => Ok(Ok(launch)),
            Err(Ok(failure)) => Ok(Err(failure)),
            Err(Err(message)) => Err(ReconcileError::Missing(message)),
        }
    }

    async fn create(
        &self,
        one: &ReconcileTarget,
        launch: &LaunchSpec,
        secrets: Secrets,
    ) -> Result<MachineOutputs> {
        let request = Request {
            address: Address::new("machine", &one.name),
            token: token(&one.machine),
            inputs: json!(launch.machine),
            secrets: Arc::new(secrets),
        };
        let outputs = self.change(|ec2| ec2.create(request)).await?;
        Ok(serde_json::from_value(outputs).map_err(|error| {
            let message = format!("the response cannot be read: {error}");
            ProviderError::new(ErrorClass::Ambiguous, "RunInstances", message)
        })?)
    }

    async fn tell_warnings(&self, one: &ReconcileTarget, launch: &LaunchSpec) {
        for warning in &launch.warnings {
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
