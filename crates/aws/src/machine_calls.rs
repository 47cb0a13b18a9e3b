//! AWS calls of the machine controller, typed: instances, load balancer registrations and lookups.
//!
//! Free of the SDK: tests of the controller implement [`Ec2`] in memory. With the feature `sdk`,
//! [`Aws`](crate::Aws) implements it on the same functions as the kinds.

use std::sync::Arc;

use groundplan_engine::provider::{Poll, ProviderFuture};
use groundplan_engine::secret::Secrets;
use serde_json::Value;

use crate::Tags;
use crate::kinds::load_balancer_attachment::LoadBalancerAttachment;
use crate::kinds::machine::{Machine, MachineOutputs};
use crate::lookups::lookup::{InstanceTypes, InstancesNamed, Lookup};
use crate::model::ids::InstanceId;
use crate::model::metadata_options::MetadataOptions;

/// Launch of the instance of a Machine.
#[derive(Clone, Debug)]
pub struct LaunchRequest {
    /// Client token. All launches with one token make one instance.
    pub token: String,
    /// Launch parameters.
    pub machine: Machine,
    /// Secrets with the user data.
    pub secrets: Arc<Secrets>,
}

/// Live instance of a Machine.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveMachine {
    /// Identity and details, with all tags.
    pub outputs: MachineOutputs,
    /// Metadata options.
    pub metadata_options: MetadataOptions,
}

/// EC2 and its load balancers. Each call is safe to repeat.
pub trait Ec2: Send + Sync {
    /// Launches an instance. A repeated launch with the same token returns the same instance.
    fn launch(&self, request: LaunchRequest) -> ProviderFuture<'_, MachineOutputs>;
    /// Returns the live instances in the given order. `None` if EC2 does not show an instance, or if
    /// it is being terminated.
    fn describe(&self, ids: Vec<InstanceId>) -> ProviderFuture<'_, Vec<Option<LiveMachine>>>;
    /// Polls until instances run. A terminated instance is a failure with the reason from EC2.
    fn poll_running(&self, ids: Vec<InstanceId>) -> ProviderFuture<'_, Vec<Poll<MachineOutputs>>>;
    /// Polls until instances are terminated. Pending polls contain the state in EC2.
    fn poll_terminated(&self, ids: Vec<InstanceId>) -> ProviderFuture<'_, Vec<Poll<()>>>;
    /// Sets the wanted tags that differ from the live tags. Other tags stay.
    fn retag(&self, id: InstanceId, live: Tags, wanted: Tags) -> ProviderFuture<'_, ()>;
    /// Terminates an instance. An instance that no longer exists counts as terminated.
    fn terminate(&self, id: InstanceId) -> ProviderFuture<'_, ()>;
    /// Returns true if a machine is registered with all of the load balancer.
    fn is_registered(&self, attachment: LoadBalancerAttachment) -> ProviderFuture<'_, bool>;
    /// Registers a machine where it is not registered yet.
    fn register(&self, attachment: LoadBalancerAttachment) -> ProviderFuture<'_, ()>;
    /// Deregisters the address of a machine, unless another machine has the address by now.
    fn deregister(&self, attachment: LoadBalancerAttachment) -> ProviderFuture<'_, ()>;
    /// Returns the instances with these names and this cluster tag. See [`Lookup::InstancesNamed`].
    fn instances_named(
        &self,
        region: String,
        cluster_tag: String,
        names: Vec<String>,
    ) -> ProviderFuture<'_, InstancesNamed>;
    /// Returns the instance types that the region has. See [`Lookup::InstanceTypes`].
    fn instance_types(
        &self,
        region: String,
        types: Vec<String>,
    ) -> ProviderFuture<'_, InstanceTypes>;
    /// Returns the result of a lookup for the lookup cache, in the type that the lookup names.
    fn answer(&self, lookup: Lookup) -> ProviderFuture<'_, Value>;
}

#[cfg(feature = "sdk")]
mod calls {
    use aws_sdk_ec2::types;
    use groundplan_engine::provider::{Poll, ProviderFuture};
    use serde_json::Value;

    use super::{Ec2, LaunchRequest, LiveMachine};
    use crate::client::ec2::{self, ObjectKey};
    use crate::client::instances;
    use crate::client::resource_type::{Creation, KindOperations, Result};
    use crate::kinds::load_balancer_attachment::{LoadBalancerAttachment, deregister};
    use crate::kinds::machine::{self, MachineOutputs};
    use crate::lookups::lookup::{InstanceTypes, InstancesNamed, Lookup};
    use crate::lookups::queries;
    use crate::model::ids::InstanceId;
    use crate::{Aws, Tags};

    impl Ec2 for Aws {
        fn launch(&self, request: LaunchRequest) -> ProviderFuture<'_, MachineOutputs> {
            let LaunchRequest { token, machine, secrets } = request;
            Box::pin(async move { machine.create(self, &Creation { token, secrets }).await })
        }

        fn describe(&self, ids: Vec<InstanceId>) -> ProviderFuture<'_, Vec<Option<LiveMachine>>> {
            Box::pin(async move {
                let keys: Vec<_> = ids.iter().map(|id| ObjectKey::Id(id.as_str())).collect();
                let found = ec2::all_of::<types::Instance>(self, &keys).await?.into_iter();
                let live = |one: types::Instance| -> Result<LiveMachine> {
                    let outputs = machine::outputs("DescribeInstances", &one)?;
                    let metadata_options = instances::live_metadata_options(&one);
                    Ok(LiveMachine { outputs, metadata_options })
                };
                found.map(|one| one.map(live).transpose()).collect()
            })
        }

        fn poll_running(
            &self,
            ids: Vec<InstanceId>,
        ) -> ProviderFuture<'_, Vec<Poll<MachineOutputs>>> {
            Box::pin(
                async move { instances::poll_launched(self, &texts(&ids), machine::poll).await },
            )
        }

        fn poll_terminated(&self, ids: Vec<InstanceId>) -> ProviderFuture<'_, Vec<Poll<()>>> {
            Box::pin(async move { instances::poll_terminated(self, &texts(&ids)).await })
        }

        fn retag(&self, id: InstanceId, live: Tags, wanted: Tags) -> ProviderFuture<'_, ()> {
            Box::pin(async move {
                // Tags of other owners are left out, because `retag` removes what is not wanted.
                let is_ours = |(key, _): &(String, String)| wanted.contains_key(key);
                let before = live.into_iter().filter(is_ours).collect();
                ec2::retag(self, id.as_str(), &before, &wanted).await
            })
        }

        fn terminate(&self, id: InstanceId) -> ProviderFuture<'_, ()> {
            Box::pin(async move { instances::terminate(self, &id).await })
        }

        fn is_registered(&self, attachment: LoadBalancerAttachment) -> ProviderFuture<'_, bool> {
            Box::pin(async move { attachment.is_registered(self).await })
        }

        fn register(&self, attachment: LoadBalancerAttachment) -> ProviderFuture<'_, ()> {
            Box::pin(async move { attachment.register(self).await })
        }

        fn deregister(&self, attachment: LoadBalancerAttachment) -> ProviderFuture<'_, ()> {
            Box::pin(async move { deregister(self, attachment.kind, &attachment.outputs()).await })
        }

        fn instances_named(
            &self,
            region: String,
            cluster_tag: String,
            names: Vec<String>,
        ) -> ProviderFuture<'_, InstancesNamed> {
            Box::pin(async move {
                queries::here(self, &region)?;
                queries::instances_named(self, &cluster_tag, &names).await
            })
        }

        fn instance_types(
            &self,
            region: String,
            types: Vec<String>,
        ) -> ProviderFuture<'_, InstanceTypes> {
            Box::pin(async move {
                queries::here(self, &region)?;
                queries::instance_types(self, &types).await
            })
        }

        fn answer(&self, lookup: Lookup) -> ProviderFuture<'_, Value> {
            Box::pin(async move { queries::answer(self, &lookup).await })
        }
    }

    fn texts(ids: &[InstanceId]) -> Vec<&str> {
        ids.iter().map(InstanceId::as_str).collect()
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::client::tests::{Script, scripted};

        #[tokio::test]
        async fn tags_of_other_owners_stay_at_a_retag() {
            let done = "<CreateTagsResponse><return>true</return></CreateTagsResponse>";
            let (aws, sent) = scripted([Script::Answer(200, done.to_owned())]);
            let live = [("Name", "a"), ("theirs", "x")];
            let live = live.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            let wanted = [("Name".to_owned(), "b".to_owned())].into();
            aws.retag("i-1".into(), live, wanted).await.unwrap();
            let [body] = &sent.bodies()[..] else { panic!("{:?}", sent.bodies()) };
            assert!(body.contains("Action=CreateTags&") && !body.contains("theirs"), "{body}");
        }
    }
}
