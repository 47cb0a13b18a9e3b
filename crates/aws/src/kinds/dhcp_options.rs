//! A set of DHCP options: the DNS domain and the name servers that the machines of a VPC get. The
//! VPC references the set.

use groundplan_engine::graph::{Resource, Schema};
use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::DhcpOptionsId;
use crate::model::untracked::UntrackedKind;
use crate::summary::{labelled, phrase};

/// Inputs of a set of DHCP options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DhcpOptions {
    /// DNS domain that the machines append to short host names.
    pub domain_name: String,
    /// Name servers. `AmazonProvidedDNS` stands for the resolver of the VPC.
    pub domain_name_servers: Vec<String>,
    /// Tags of the set.
    pub tags: Tags,
}

/// Outputs of a set of DHCP options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DhcpOptionsOutputs {
    /// ID of the set.
    pub id: DhcpOptionsId,
}

impl Resource for DhcpOptions {
    const SCHEMA: Schema = Schema {
        force_new: &["domain_name", "domain_name_servers"],
        create_before_destroy: true,
        ..Schema::of("dhcp_options", Self::REPEAT.identity())
    };
    type Outputs = DhcpOptionsOutputs;
}

impl Kind for DhcpOptions {
    const ACTIONS: Actions = Actions {
        create: &["ec2:CreateDhcpOptions"],
        configure: &["ec2:CreateTags"],
        refresh: &["ec2:DescribeDhcpOptions"],
        update: &["ec2:CreateTags", "ec2:DeleteTags"],
        delete: &["ec2:DeleteDhcpOptions"],
    };
    const REPEAT: Repeat = Repeat::Never;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = Some("dopt");
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &["tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::ByTag(UntrackedKind::DhcpOptions);
    const SUBJECT: PlanSubject = PlanSubject::Network;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        let servers = phrase(self.domain_name_servers.clone());
        Summary::of([labelled("domain", &self.domain_name), labelled("name servers", &servers)])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        Vec::new()
    }
}

#[cfg(feature = "sdk")]
pub(crate) use calls::delete_options;

#[cfg(feature = "sdk")]
mod calls {
    use aws_sdk_ec2::types::{self, NewDhcpConfiguration, ResourceType};
    use groundplan_engine::provider::ProviderFuture;

    use super::{DhcpOptions, DhcpOptionsOutputs};
    use crate::Aws;
    use crate::client::delete_blockers::{Doomed, name_blockers};
    use crate::client::dry_run::{DryRunTarget, dry};
    use crate::client::ec2;
    use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};

    const NOT_FOUND: &[&str] = &["InvalidDhcpOptionID.NotFound", "InvalidDhcpOptionsID.NotFound"];
    const DOMAIN_NAME: &str = "domain-name";
    const SERVERS: &str = "domain-name-servers";

    impl KindOperations for DhcpOptions {
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<DhcpOptionsOutputs> {
            let tags =
                ec2::tag_specification(ResourceType::DhcpOptions, &self.tags, &creation.token);
            let call = aws
                .ec2
                .create_dhcp_options()
                .dhcp_configurations(option(DOMAIN_NAME, vec![self.domain_name.clone()]))
                .dhcp_configurations(option(SERVERS, self.domain_name_servers.clone()))
                .tag_specifications(tags);
            let made = aws.call("ec2", "CreateDhcpOptions", call.send()).await?;
            outputs("CreateDhcpOptions", made.dhcp_options.as_ref())
        }

        async fn find(&self, aws: &Aws, creation: &Creation) -> Result<Option<DhcpOptionsOutputs>> {
            let found = ec2::find::<types::DhcpOptions>(aws, &creation.token).await?;
            found.map(|options| outputs("DescribeDhcpOptions", Some(&options))).transpose()
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let found =
                ec2::all::<types::DhcpOptions, _>(aws, &recorded, |o| o.id.as_str()).await?;
            let pairs = recorded.into_iter().zip(found);
            pairs
                .map(|(recorded, options)| {
                    options.map(|options| to_live(&recorded.inputs, &options)).transpose()
                })
                .collect()
        }

        async fn update(
            &self,
            aws: &Aws,
            _creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<DhcpOptionsOutputs> {
            let outputs = ec2::part("DescribeDhcpOptions", "id", before.outputs)?;
            ec2::retag(aws, outputs.id.as_str(), &before.inputs.tags, &self.tags).await?;
            Ok(outputs)
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: DhcpOptionsOutputs) -> Result<()> {
            delete_options(aws, outputs.id.as_str()).await
        }

        fn dry_run<'a>(
            aws: &'a Aws,
            action: &'static str,
            about: &DryRunTarget,
        ) -> Option<ProviderFuture<'a, ()>> {
            let id = &about.id;
            let ec2 = &aws.ec2;
            Some(match action {
                "ec2:CreateDhcpOptions" => {
                    let name = NewDhcpConfiguration::builder()
                        .key("domain-name")
                        .values(about.text("domain_name"));
                    let call = ec2.create_dhcp_options().dhcp_configurations(name.build());
                    let tags = about.tags(ResourceType::DhcpOptions);
                    dry!(aws, action, call.tag_specifications(tags))
                }
                "ec2:DeleteDhcpOptions" => {
                    dry!(aws, action, ec2.delete_dhcp_options().dhcp_options_id(id))
                }
                _ => return None,
            })
        }
    }

    pub(crate) async fn delete_options(aws: &Aws, id: &str) -> Result<()> {
        let call = aws.ec2.delete_dhcp_options().dhcp_options_id(id);
        let deleted = aws.call("ec2", "DeleteDhcpOptions", call.send()).await;
        let deleted = name_blockers(aws, Doomed::DhcpOptions(id), deleted).await;
        ec2::fine_when(deleted, NOT_FOUND)
    }

    fn option(key: &str, values: Vec<String>) -> NewDhcpConfiguration {
        NewDhcpConfiguration::builder().key(key).set_values(Some(values)).build()
    }

    fn outputs(call: &str, options: Option<&types::DhcpOptions>) -> Result<DhcpOptionsOutputs> {
        let id = options.and_then(types::DhcpOptions::dhcp_options_id);
        Ok(DhcpOptionsOutputs { id: ec2::id(call, id)? })
    }

    /// Converts a described set to live state. Joins several values of `domain-name` with spaces.
    /// Of the tags, keeps those in `recorded`.
    fn to_live(recorded: &DhcpOptions, options: &types::DhcpOptions) -> Result<Live<DhcpOptions>> {
        let outputs = outputs("DescribeDhcpOptions", Some(options))?;
        let inputs = DhcpOptions {
            domain_name: values(options, DOMAIN_NAME).join(" "),
            domain_name_servers: values(options, SERVERS),
            tags: ec2::owned(&recorded.tags, options.tags()),
        };
        Ok(Live::new(inputs, outputs))
    }

    fn values(options: &types::DhcpOptions, key: &str) -> Vec<String> {
        let of_key = options.dhcp_configurations().iter().filter(|one| one.key() == Some(key));
        of_key
            .flat_map(types::DhcpConfiguration::values)
            .filter_map(|value| value.value.clone())
            .collect()
    }
}
