//! A gateway endpoint: access to S3 without leaving the VPC.

use groundplan_engine::graph::{Input, Resource, Schema, SetInput, Wait};
use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::{RouteTableId, VpcId, id};
use crate::model::quota::Quota;
use crate::model::untracked::UntrackedKind;
use crate::summary::{labelled, names};

id! {
    /// ID of a VPC endpoint: `vpce-…`
    VpcEndpointId
}

/// Inputs of a gateway endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VpcEndpoint {
    /// VPC of the endpoint.
    pub vpc: Input<VpcId>,
    /// Service name (`com.amazonaws.<region>.s3`).
    pub service: String,
    /// Route tables that route to the endpoint.
    pub route_tables: Vec<Input<RouteTableId>>,
    /// Tags of the endpoint.
    pub tags: Tags,
}

/// Outputs of a gateway endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VpcEndpointOutputs {
    /// ID of the endpoint.
    pub id: VpcEndpointId,
}

impl Resource for VpcEndpoint {
    const SCHEMA: Schema = Schema {
        proves: &["vpc"],
        force_new: &["vpc", "service"],
        ready: Some(Wait { every_seconds: 3, within_seconds: 600 }),
        gone: Some(Wait { every_seconds: 2, within_seconds: 600 }),
        typical_seconds: 5,
        sets: &[SetInput::of_values("route_tables", "route table")],
        ..Schema::of("vpc_endpoint", Self::REPEAT.identity())
    };
    type Outputs = VpcEndpointOutputs;
}

impl Kind for VpcEndpoint {
    const ACTIONS: Actions = Actions {
        create: &["ec2:CreateVpcEndpoint"],
        configure: &["ec2:CreateTags"],
        refresh: &["ec2:DescribeVpcEndpoints"],
        update: &["ec2:ModifyVpcEndpoint", "ec2:CreateTags", "ec2:DeleteTags"],
        delete: &["ec2:DeleteVpcEndpoints"],
    };
    const REPEAT: Repeat = Repeat::WithToken;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = Some("vpce");
    const QUOTA: Option<QuotaCount> = Some(QuotaCount::PerRegion(Quota::GatewayEndpoints));
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &["tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::ByTag(UntrackedKind::VpcEndpoint);
    const SUBJECT: PlanSubject = PlanSubject::Network;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        let tables = names(&self.route_tables);
        Summary::of([self.service.clone(), labelled("for", &tables)])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        // A gateway endpoint is free.
        Vec::new()
    }
}

#[cfg(feature = "sdk")]
pub(crate) use calls::delete_endpoint;

#[cfg(feature = "sdk")]
mod calls {

    use aws_sdk_ec2::types::{self, Filter, ResourceType, State, Tag, VpcEndpointType};
    use groundplan_engine::graph::Input;
    use groundplan_engine::provider::{ErrorClass, ProviderError, ProviderFuture};

    use super::{VpcEndpoint, VpcEndpointOutputs};
    use crate::Aws;
    use crate::client::dry_run::{DryRunTarget, dry};
    use crate::client::ec2::{self, Ec2Object, pages};
    use crate::client::resource_type::{
        Creation, KindOperations, Live, PollResult, Recorded, Result,
    };
    use crate::model::ids::{RouteTableId, VpcId};

    const NOT_FOUND: &[&str] = &["InvalidVpcEndpointId.NotFound", "InvalidVpcEndpoint.NotFound"];

    impl KindOperations for VpcEndpoint {
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<VpcEndpointOutputs> {
            let tags =
                ec2::tag_specification(ResourceType::VpcEndpoint, &self.tags, &creation.token);
            let call = aws
                .ec2
                .create_vpc_endpoint()
                .client_token(&creation.token)
                .vpc_endpoint_type(VpcEndpointType::Gateway)
                .vpc_id(self.vpc.get().as_str())
                .service_name(&self.service)
                .set_route_table_ids(Some(ids(&self.route_tables)))
                .tag_specifications(tags);
            let made = aws.call("ec2", "CreateVpcEndpoint", call.send()).await?;
            outputs("CreateVpcEndpoint", made.vpc_endpoint.as_ref())
        }

        async fn find(&self, aws: &Aws, creation: &Creation) -> Result<Option<VpcEndpointOutputs>> {
            let found = ec2::find::<types::VpcEndpoint>(aws, &creation.token).await?;
            found.map(|endpoint| outputs("DescribeVpcEndpoints", Some(&endpoint))).transpose()
        }

        async fn ready(
            aws: &Aws,
            waiting: Vec<Recorded<Self>>,
        ) -> Result<Vec<PollResult<VpcEndpointOutputs>>> {
            ec2::poll_all(aws, waiting, |o| o.id.as_str(), to_poll_result).await
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let found =
                ec2::all::<types::VpcEndpoint, _>(aws, &recorded, |o| o.id.as_str()).await?;
            let pairs = recorded.into_iter().zip(found);
            pairs
                .map(|(recorded, endpoint)| {
                    endpoint.map(|endpoint| to_live(&recorded.inputs, &endpoint)).transpose()
                })
                .collect()
        }

        async fn update(
            &self,
            aws: &Aws,
            _creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<VpcEndpointOutputs> {
            let outputs = ec2::part("DescribeVpcEndpoints", "id", before.outputs)?;
            if before.inputs.route_tables != self.route_tables {
                set_route_tables(aws, outputs.id.as_str(), &ids(&self.route_tables)).await?;
            }
            ec2::retag(aws, outputs.id.as_str(), &before.inputs.tags, &self.tags).await?;
            Ok(outputs)
        }

        /// Deletes the endpoint. `DeleteVpcEndpoints` can return an error in the body of a
        /// successful response.
        async fn delete(aws: &Aws, _inputs: Self, outputs: VpcEndpointOutputs) -> Result<()> {
            delete_endpoint(aws, outputs.id.as_str()).await
        }

        async fn gone(aws: &Aws, waiting: Vec<VpcEndpointOutputs>) -> Result<Vec<PollResult<()>>> {
            let ids: Vec<&str> = waiting.iter().map(|outputs| outputs.id.as_str()).collect();
            ec2::poll_deleted(aws, &ids, word).await
        }

        fn dry_run<'a>(
            aws: &'a Aws,
            action: &'static str,
            about: &DryRunTarget,
        ) -> Option<ProviderFuture<'a, ()>> {
            let id = &about.id;
            let ec2 = &aws.ec2;
            Some(match action {
                "ec2:CreateVpcEndpoint" => {
                    let call = ec2.create_vpc_endpoint().vpc_id(about.text("vpc"));
                    let call = call.service_name(about.text("service"));
                    let tags = about.tags(ResourceType::VpcEndpoint);
                    dry!(aws, action, call.tag_specifications(tags))
                }
                "ec2:DeleteVpcEndpoints" => {
                    dry!(aws, action, ec2.delete_vpc_endpoints().vpc_endpoint_ids(id))
                }
                "ec2:ModifyVpcEndpoint" => {
                    let call = ec2.modify_vpc_endpoint().vpc_endpoint_id(id);
                    dry!(aws, action, call.add_route_table_ids(about.first("route_tables")))
                }
                _ => return None,
            })
        }
    }

    pub(crate) async fn delete_endpoint(aws: &Aws, id: &str) -> Result<()> {
        let call = aws.ec2.delete_vpc_endpoints().vpc_endpoint_ids(id);
        let answer = aws.call("ec2", "DeleteVpcEndpoints", call.send()).await;
        let deleted = answer.and_then(|answer| {
            answer.unsuccessful().first().and_then(|one| one.error()).map_or(Ok(()), refused)
        });
        ec2::fine_when(deleted, NOT_FOUND)
    }

    impl Ec2Object for types::VpcEndpoint {
        const ID_FILTER: &'static str = "vpc-endpoint-id";

        fn id(&self) -> Option<&str> {
            self.vpc_endpoint_id()
        }

        fn tags(&self) -> &[Tag] {
            types::VpcEndpoint::tags(self)
        }

        fn exists(&self) -> bool {
            !is(self, "deleted")
        }

        async fn describe(aws: &Aws, filters: Vec<Filter>) -> Result<Vec<Self>> {
            let request =
                aws.ec2.describe_vpc_endpoints().set_filters(Some(filters)).max_results(1000);
            Ok(pages!(aws, "DescribeVpcEndpoints", request, vpc_endpoints))
        }
    }

    /// Changes the route tables of the endpoint to `wanted`. Makes no call if they already match.
    async fn set_route_tables(aws: &Aws, id: &str, wanted: &[String]) -> Result<()> {
        let mut found = ec2::by_ids::<types::VpcEndpoint>(aws, [id]).await?;
        let endpoint = ec2::visible("DescribeVpcEndpoints", id, found.remove(id))?;
        let live = endpoint.route_table_ids();
        let without = |some: &[String], others: &[String]| -> Vec<String> {
            some.iter().filter(|one| !others.contains(one)).cloned().collect()
        };
        let (add, remove) = (without(wanted, live), without(live, wanted));
        if add.is_empty() && remove.is_empty() {
            return Ok(());
        }
        let call = aws.ec2.modify_vpc_endpoint().vpc_endpoint_id(id);
        let call = call
            .set_add_route_table_ids(Some(add).filter(|ids| !ids.is_empty()))
            .set_remove_route_table_ids(Some(remove).filter(|ids| !ids.is_empty()));
        aws.call("ec2", "ModifyVpcEndpoint", call.send()).await?;
        Ok(())
    }

    fn ids(tables: &[Input<RouteTableId>]) -> Vec<String> {
        tables.iter().map(|table| table.get().to_string()).collect()
    }

    fn refused(error: &types::UnsuccessfulItemError) -> Result<()> {
        let message = error.message().unwrap_or("no message");
        let refused = ProviderError::new(ErrorClass::Permanent, "DeleteVpcEndpoints", message);
        Err(refused.with_code(error.code().unwrap_or("Unknown")))
    }

    fn outputs(call: &str, endpoint: Option<&types::VpcEndpoint>) -> Result<VpcEndpointOutputs> {
        let id = endpoint.and_then(types::VpcEndpoint::vpc_endpoint_id);
        Ok(VpcEndpointOutputs { id: ec2::id(call, id)? })
    }

    fn word(endpoint: &types::VpcEndpoint) -> &str {
        endpoint.state().map_or("pending", State::as_str)
    }

    /// Returns true if the endpoint is in this state. The API reference writes states with a
    /// capital, the API itself in lower case.
    fn is(endpoint: &types::VpcEndpoint, state: &str) -> bool {
        word(endpoint).eq_ignore_ascii_case(state)
    }

    fn to_poll_result(
        outputs: VpcEndpointOutputs,
        endpoint: &types::VpcEndpoint,
    ) -> PollResult<VpcEndpointOutputs> {
        let over = ["deleting", "deleted", "failed", "rejected", "expired"];
        if is(endpoint, "available") {
            PollResult::Ready(outputs)
        } else if over.iter().any(|state| is(endpoint, state)) {
            PollResult::Failed(failure(endpoint))
        } else {
            PollResult::Pending(word(endpoint).to_owned())
        }
    }

    fn failure(endpoint: &types::VpcEndpoint) -> ProviderError {
        let said = endpoint.last_error();
        let message = said
            .and_then(|error| error.message())
            .map_or_else(|| format!("the endpoint is {}", word(endpoint)), str::to_owned);
        let error = ProviderError::new(ErrorClass::Permanent, "DescribeVpcEndpoints", message);
        match said.and_then(|error| error.code()) {
            Some(code) => error.with_code(code),
            None => error,
        }
    }

    fn to_live(recorded: &VpcEndpoint, endpoint: &types::VpcEndpoint) -> Result<Live<VpcEndpoint>> {
        let vpc: VpcId = ec2::id("DescribeVpcEndpoints", endpoint.vpc_id())?;
        let inputs = VpcEndpoint {
            vpc: vpc.into(),
            service: ec2::parsed("DescribeVpcEndpoints", "serviceName", endpoint.service_name())?,
            route_tables: route_tables(&recorded.route_tables, endpoint.route_table_ids()),
            tags: ec2::owned(&recorded.tags, endpoint.tags()),
        };
        Ok(Live::new(inputs, outputs("DescribeVpcEndpoints", Some(endpoint))?))
    }

    /// Returns the live route tables: the recorded ones in recorded order, then others, sorted by
    /// ID.
    fn route_tables(recorded: &[Input<RouteTableId>], live: &[String]) -> Vec<Input<RouteTableId>> {
        let is_live = |table: &Input<RouteTableId>| live.contains(&table.get().0);
        let mut tables = ec2::in_recorded_order(recorded, is_live);
        let mut extra: Vec<&String> =
            live.iter().filter(|id| !recorded.iter().any(|table| table.get().0 == **id)).collect();
        extra.sort();
        tables.extend(extra.into_iter().map(|id| RouteTableId(id.clone()).into()));
        tables
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn endpoint(state: &str, tables: &[&str]) -> types::VpcEndpoint {
            types::VpcEndpoint::builder()
                .vpc_endpoint_id("vpce-1")
                .state(State::from(state))
                .set_route_table_ids(Some(tables.iter().map(|id| (*id).to_owned()).collect()))
                .build()
        }

        #[test]
        fn a_state_is_read_in_small_letters_and_in_capitals() {
            let outputs = VpcEndpointOutputs { id: "vpce-1".into() };
            for (state, done) in [("available", true), ("Available", true), ("pending", false)] {
                let seen = to_poll_result(outputs.clone(), &endpoint(state, &[]));
                assert_eq!(matches!(seen, PollResult::Ready(_)), done, "{state}: {seen:?}");
            }
            assert!(matches!(
                to_poll_result(outputs, &endpoint("failed", &[])),
                PollResult::Failed(_)
            ));
            assert!(!endpoint("deleted", &[]).exists());
        }

        #[test]
        fn tables_are_shown_in_the_recorded_order_and_foreign_ones_after_them() {
            let input = |id: &str| Input::from(RouteTableId::from(id));
            let recorded = [input("rtb-9"), input("rtb-1"), input("rtb-5")];
            let live = endpoint("available", &["rtb-1", "rtb-8", "rtb-9", "rtb-2"]);
            let shown = route_tables(&recorded, live.route_table_ids());
            assert_eq!(shown, [input("rtb-9"), input("rtb-1"), input("rtb-2"), input("rtb-8")]);
        }
    }
}
