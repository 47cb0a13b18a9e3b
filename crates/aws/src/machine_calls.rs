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

/// Response of EC2 to a query for one instance by its ID.
#[derive(Clone, Debug, PartialEq)]
pub enum InstanceById {
    /// EC2 returned the instance, in any state.
    Shown(Box<LiveMachine>),
    /// EC2 rejected the ID: no such instance exists.
    NotFound,
    /// EC2 returned no instance and no error, which proves nothing.
    NotShown,
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
    /// Polls until instances are terminated. Pending polls contain the state in EC2. An instance that
    /// EC2 does not return is pending.
    fn poll_terminated(&self, ids: Vec<InstanceId>) -> ProviderFuture<'_, Vec<Poll<()>>>;
    /// Queries each instance by its ID. Filters prove nothing: their empty result is not an error.
    fn by_id(&self, ids: Vec<InstanceId>) -> ProviderFuture<'_, Vec<InstanceById>>;
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

    use super::{Ec2, InstanceById, LaunchRequest, LiveMachine};
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
                found.map(|one| one.as_ref().map(live).transpose()).collect()
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
            Box::pin(async move { instances::poll_seen_terminated(self, &texts(&ids)).await })
        }

        fn by_id(&self, ids: Vec<InstanceId>) -> ProviderFuture<'_, Vec<InstanceById>> {
            Box::pin(async move {
                let answers = instances::asked_by_id(self, &texts(&ids)).await?.into_iter();
                let known = answers.map(|answer| match answer {
                    None => Ok(InstanceById::NotFound),
                    Some(None) => Ok(InstanceById::NotShown),
                    Some(Some(one)) => Ok(InstanceById::Shown(Box::new(live(&one)?))),
                });
                known.collect()
            })
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

    fn live(one: &types::Instance) -> Result<LiveMachine> {
        let outputs = machine::outputs("DescribeInstances", one)?;
        Ok(LiveMachine { outputs, metadata_options: instances::live_metadata_options(one) })
    }

    fn texts(ids: &[InstanceId]) -> Vec<&str> {
        ids.iter().map(InstanceId::as_str).collect()
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::client::tests::{Script, scripted};

        fn shown(instances: &str) -> Script {
            let set = format!("<item><instancesSet>{instances}</instancesSet></item>");
            let set = format!("<reservationSet>{set}</reservationSet>");
            let answer = format!("<DescribeInstancesResponse>{set}</DescribeInstancesResponse>");
            Script::Answer(200, answer)
        }

        fn instance(id: &str, state: &str) -> String {
            format!(
                "<item><instanceId>{id}</instanceId><instanceState><name>{state}</name>\
                 </instanceState></item>"
            )
        }

        fn rejected(code: &str) -> Script {
            let error = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
            Script::Answer(400, format!("<Response><Errors>{error}</Errors></Response>"))
        }

        /// EC2 rejects a call about several IDs because of one of them.
        #[tokio::test]
        async fn an_instance_does_not_exist_if_ec2_rejects_its_id_and_not_if_it_is_not_shown() {
            let script = [
                rejected("InvalidInstanceID.NotFound"),
                rejected("InvalidInstanceID.NotFound"),
                shown(&instance("i-2", "running")),
                shown(""),
            ];
            let (aws, sent) = scripted(script);
            let ids = ["i-1", "i-2", "i-3"].map(InstanceId::from).to_vec();
            let answers = aws.by_id(ids).await.unwrap();
            let [InstanceById::NotFound, InstanceById::Shown(two), InstanceById::NotShown] =
                &answers[..]
            else {
                panic!("{answers:?}")
            };
            assert_eq!(two.outputs.seen.state, "running");
            let bodies = sent.bodies();
            assert!(bodies.iter().all(|body| body.contains("InstanceId.1=")), "{bodies:?}");
            let (aws, _) = scripted([rejected("UnauthorizedOperation")]);
            assert!(aws.by_id(vec!["i-1".into()]).await.is_err());
        }

        #[tokio::test]
        async fn an_instance_is_terminated_when_ec2_shows_it_so_and_not_when_it_is_not_shown() {
            let (aws, _) = scripted([shown(&instance("i-1", "terminated"))]);
            let polls = aws.poll_terminated(vec!["i-1".into(), "i-2".into()]).await.unwrap();
            assert!(matches!(polls[..], [Poll::Ready(()), Poll::Pending(_)]), "{polls:?}");
        }

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
