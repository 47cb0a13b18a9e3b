//! EC2 calls that are rehearsed: sent with `DryRun`, to be told whether they would be allowed.
//!
//! Flow: [`Subject`] says what a call would be about; what does not exist yet has a placeholder in
//! its place. `rehearse` sends the call that the kind would send, with the plan's own values where
//! policies look at them: tags, instance types, metadata options.
//!
//! Nothing is ever done here: every request is made by one macro, which sets `DryRun`; and before
//! the first one, `honours` asks with a call that does no harm whether whoever answers knows what
//! that means.

use serde_json::Value;

use super::registry::facts;

/// What a rehearsed call is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Which resource, for the reader.
    pub address: String,
    /// Its inputs, with placeholders for what is not known yet.
    pub inputs: Value,
    /// Its id, or a placeholder.
    pub id: String,
}

/// Returns an id of a kind's form that no resource has; `None` for kinds without such ids.
pub fn placeholder(kind: &str) -> Option<String> {
    let prefix = facts(kind)?.id_prefix?;
    Some(format!("{prefix}-{NOBODY}"))
}

/// What ends the ids of what does not exist.
const NOBODY: &str = "00000000000000000";

/// Whether something is not there yet.
#[cfg(any(feature = "sdk", test))]
fn is_placeholder(id: &str) -> bool {
    id.ends_with(NOBODY)
}

#[cfg(feature = "sdk")]
pub use calls::{Verdict, honours, rehearse};

#[cfg(feature = "sdk")]
mod calls {
    use aws_sdk_ec2::types::{IpPermission, IpRange, ResourceType, Tag, TagSpecification};
    use serde::Deserialize;
    use serde_json::Value;

    use super::{Subject, is_placeholder};
    use crate::aws::kind::Result;
    use crate::aws::metadata_options::MetadataOptions;
    use crate::aws::{Aws, Tags, ec2, instance, machine};
    use crate::provider::{ProviderError, Reply};

    /// What came of a rehearsal.
    #[derive(Clone, Debug, PartialEq)]
    pub enum Verdict {
        /// It would be allowed.
        Allowed,
        /// It would not.
        Denied(ProviderError),
        /// AWS stopped at something else first: at a placeholder, most often.
        Unclear,
    }

    /// The one way a rehearsed request leaves.
    macro_rules! dry {
        ($aws:expr, $name:literal, $call:expr) => {{
            let call = $call.dry_run(true);
            Box::pin(async move { $aws.call("ec2", $name, call.send()).await.map(drop) })
        }};
    }

    /// Whether whoever answers knows `DryRun`. Who does not would do what is only asked about.
    pub async fn honours(aws: &Aws) -> bool {
        let asked = dry!(aws, "DescribeVpcs", aws.ec2.describe_vpcs());
        matches!(judged(asked.await), Verdict::Allowed | Verdict::Denied(_))
    }

    fn judged(answer: Result<()>) -> Verdict {
        match answer {
            Err(error) if error.is(&["DryRunOperation"]) => Verdict::Allowed,
            Err(error) if error.is(&["UnauthorizedOperation"]) => Verdict::Denied(error),
            _ => Verdict::Unclear,
        }
    }

    /// Rehearses a call; one that cannot be is unclear.
    pub async fn rehearse(aws: &Aws, action: &str, subject: &Subject) -> Verdict {
        match call(aws, action, subject) {
            Some(call) => judged(call.await),
            None => Verdict::Unclear,
        }
    }

    /// The call, not sent yet. Apart from who awaits it: forty requests side by side would be more
    /// than a thread's stack holds.
    fn call<'a>(aws: &'a Aws, action: &str, subject: &Subject) -> Option<Reply<'a, ()>> {
        let at = At(subject);
        let id = &subject.id;
        let ec2 = &aws.ec2;
        Some(match action {
            "ec2:AllocateAddress" => {
                let call =
                    ec2.allocate_address().tag_specifications(at.tags(ResourceType::ElasticIp));
                dry!(aws, "AllocateAddress", call)
            }
            "ec2:AssociateDhcpOptions" => {
                let call = ec2.associate_dhcp_options().vpc_id(id);
                dry!(aws, "AssociateDhcpOptions", call.dhcp_options_id(at.text("dhcp_options")))
            }
            "ec2:AssociateRouteTable" => {
                let call = ec2.associate_route_table().route_table_id(id);
                dry!(aws, "AssociateRouteTable", call.subnet_id(at.first("subnets")))
            }
            "ec2:AttachInternetGateway" => {
                let call = ec2.attach_internet_gateway().internet_gateway_id(id);
                dry!(aws, "AttachInternetGateway", call.vpc_id(at.text("vpc")))
            }
            "ec2:AuthorizeSecurityGroupEgress" => {
                let call = ec2.authorize_security_group_egress().group_id(at.text("group"));
                dry!(aws, "AuthorizeSecurityGroupEgress", call.ip_permissions(anything()))
            }
            "ec2:AuthorizeSecurityGroupIngress" => {
                let call = ec2.authorize_security_group_ingress().group_id(at.text("group"));
                dry!(aws, "AuthorizeSecurityGroupIngress", call.ip_permissions(anything()))
            }
            "ec2:CopyImage" => {
                let call =
                    ec2.copy_image().source_image_id(at.text("source")).name(at.text("name"));
                dry!(aws, "CopyImage", call.source_region(at.text("source_region")).encrypted(true))
            }
            "ec2:CreateDhcpOptions" => {
                let name = aws_sdk_ec2::types::NewDhcpConfiguration::builder()
                    .key("domain-name")
                    .values(at.text("domain_name"));
                let call = ec2.create_dhcp_options().dhcp_configurations(name.build());
                let tags = at.tags(ResourceType::DhcpOptions);
                dry!(aws, "CreateDhcpOptions", call.tag_specifications(tags))
            }
            "ec2:CreateInternetGateway" => {
                let tags = at.tags(ResourceType::InternetGateway);
                let call = ec2.create_internet_gateway().tag_specifications(tags);
                dry!(aws, "CreateInternetGateway", call)
            }
            "ec2:CreateNatGateway" => {
                let call = ec2.create_nat_gateway().subnet_id(at.text("subnet"));
                let call = call.allocation_id(at.text("allocation"));
                let tags = at.tags(ResourceType::Natgateway);
                dry!(aws, "CreateNatGateway", call.tag_specifications(tags))
            }
            "ec2:CreateNetworkInterface" => {
                let call = ec2.create_network_interface().subnet_id(at.text("subnet"));
                let tags = at.tags(ResourceType::NetworkInterface);
                dry!(aws, "CreateNetworkInterface", call.tag_specifications(tags))
            }
            "ec2:CreateRoute" => {
                let call =
                    ec2.create_route().route_table_id(id).gateway_id("igw-00000000000000000");
                dry!(aws, "CreateRoute", call.destination_cidr_block("0.0.0.0/0"))
            }
            "ec2:CreateRouteTable" => {
                let tags = at.tags(ResourceType::RouteTable);
                let call = ec2.create_route_table().vpc_id(at.text("vpc"));
                dry!(aws, "CreateRouteTable", call.tag_specifications(tags))
            }
            "ec2:CreateSecurityGroup" => {
                let call = ec2.create_security_group().vpc_id(at.text("vpc"));
                let call = call.group_name(at.text("name")).description(at.text("description"));
                let tags = at.tags(ResourceType::SecurityGroup);
                dry!(aws, "CreateSecurityGroup", call.tag_specifications(tags))
            }
            "ec2:CreateSubnet" => {
                let call = ec2.create_subnet().vpc_id(at.text("vpc")).cidr_block(at.text("cidr"));
                let call = call.availability_zone(at.text("zone"));
                let tags = at.tags(ResourceType::Subnet);
                dry!(aws, "CreateSubnet", call.tag_specifications(tags))
            }
            "ec2:CreateTags" => {
                let call = ec2.create_tags().set_resources(Some(at.tagged()));
                dry!(aws, "CreateTags", call.set_tags(Some(at.tag_list())))
            }
            "ec2:CreateVpc" => {
                let call = ec2.create_vpc().cidr_block(at.text("cidr"));
                dry!(aws, "CreateVpc", call.tag_specifications(at.tags(ResourceType::Vpc)))
            }
            "ec2:CreateVpcEndpoint" => {
                let call = ec2.create_vpc_endpoint().vpc_id(at.text("vpc"));
                let call = call.service_name(at.text("service"));
                let tags = at.tags(ResourceType::VpcEndpoint);
                dry!(aws, "CreateVpcEndpoint", call.tag_specifications(tags))
            }
            "ec2:DeleteDhcpOptions" => {
                dry!(aws, "DeleteDhcpOptions", ec2.delete_dhcp_options().dhcp_options_id(id))
            }
            "ec2:DeleteInternetGateway" => {
                let call = ec2.delete_internet_gateway().internet_gateway_id(id);
                dry!(aws, "DeleteInternetGateway", call)
            }
            "ec2:DeleteNatGateway" => {
                dry!(aws, "DeleteNatGateway", ec2.delete_nat_gateway().nat_gateway_id(id))
            }
            "ec2:DeleteNetworkInterface" => {
                let call = ec2.delete_network_interface().network_interface_id(id);
                dry!(aws, "DeleteNetworkInterface", call)
            }
            "ec2:DeleteRouteTable" => {
                dry!(aws, "DeleteRouteTable", ec2.delete_route_table().route_table_id(id))
            }
            "ec2:DeleteSecurityGroup" => {
                dry!(aws, "DeleteSecurityGroup", ec2.delete_security_group().group_id(id))
            }
            "ec2:DeleteSubnet" => {
                dry!(aws, "DeleteSubnet", ec2.delete_subnet().subnet_id(id))
            }
            "ec2:DeleteTags" => {
                let call = ec2.delete_tags().set_resources(Some(at.tagged()));
                dry!(aws, "DeleteTags", call.set_tags(Some(at.tag_list())))
            }
            "ec2:DeleteVpc" => dry!(aws, "DeleteVpc", ec2.delete_vpc().vpc_id(id)),
            "ec2:DeleteVpcEndpoints" => {
                dry!(aws, "DeleteVpcEndpoints", ec2.delete_vpc_endpoints().vpc_endpoint_ids(id))
            }
            "ec2:DeregisterImage" => {
                dry!(aws, "DeregisterImage", ec2.deregister_image().image_id(id))
            }
            "ec2:DetachInternetGateway" => {
                let call = ec2.detach_internet_gateway().internet_gateway_id(id);
                dry!(aws, "DetachInternetGateway", call.vpc_id(at.text("vpc")))
            }
            "ec2:ModifyInstanceMetadataOptions" => {
                let call = ec2.modify_instance_metadata_options().instance_id(id);
                let options = instance::metadata_options(&at.metadata_options()?)?;
                dry!(aws, "ModifyInstanceMetadataOptions", instance::say(call, options))
            }
            "ec2:ModifyNetworkInterfaceAttribute" => {
                let call = ec2.modify_network_interface_attribute().network_interface_id(id);
                dry!(aws, "ModifyNetworkInterfaceAttribute", call.groups(at.first("groups")))
            }
            "ec2:ModifyVpcEndpoint" => {
                let call = ec2.modify_vpc_endpoint().vpc_endpoint_id(id);
                dry!(aws, "ModifyVpcEndpoint", call.add_route_table_ids(at.first("route_tables")))
            }
            "ec2:ReleaseAddress" => {
                dry!(aws, "ReleaseAddress", ec2.release_address().allocation_id(id))
            }
            "ec2:RevokeSecurityGroupEgress" => {
                let call = ec2.revoke_security_group_egress().group_id(at.text("group"));
                dry!(aws, "RevokeSecurityGroupEgress", call.ip_permissions(anything()))
            }
            "ec2:RevokeSecurityGroupIngress" => {
                let call = ec2.revoke_security_group_ingress().group_id(at.text("group"));
                dry!(aws, "RevokeSecurityGroupIngress", call.ip_permissions(anything()))
            }
            "ec2:RunInstances" => {
                let launch = match at.kind() {
                    "machine" => machine::rehearsal(&at.typed()?, aws, is_placeholder),
                    _ => instance::rehearsal(&at.typed()?, aws, is_placeholder),
                };
                dry!(aws, "RunInstances", launch)
            }
            "ec2:TerminateInstances" => {
                dry!(aws, "TerminateInstances", ec2.terminate_instances().instance_ids(id))
            }
            _ => return None,
        })
    }

    /// All protocols, within the cluster's own network at most: no policy looks at rules.
    fn anything() -> IpPermission {
        let range = IpRange::builder().cidr_ip("10.0.0.0/8").build();
        IpPermission::builder().ip_protocol("-1").ip_ranges(range).build()
    }

    /// What the inputs of a subject say.
    struct At<'a>(&'a Subject);

    impl At<'_> {
        fn text(&self, name: &str) -> &str {
            self.0.inputs[name].as_str().unwrap_or_default()
        }

        fn first(&self, name: &str) -> &str {
            self.0.inputs[name][0].as_str().unwrap_or_default()
        }

        fn kind(&self) -> &str {
            self.0.address.split('.').next().unwrap_or_default()
        }

        fn metadata_options(&self) -> Option<MetadataOptions> {
            MetadataOptions::deserialize(&self.0.inputs["metadata_options"]).ok()
        }

        fn typed<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
            T::deserialize(&self.0.inputs).ok()
        }

        fn tags(&self, kind: ResourceType) -> TagSpecification {
            let tags = Tags::deserialize(&self.0.inputs["tags"]).unwrap_or_default();
            ec2::tag_specification(kind, &tags, &self.0.address)
        }

        /// The resource itself, or the subnets that a mark is on.
        fn tagged(&self) -> Vec<String> {
            let subnets = self.0.inputs["subnets"].as_array().filter(|_| self.0.id.is_empty());
            match subnets {
                Some(subnets) => {
                    subnets.iter().filter_map(Value::as_str).map(str::to_owned).collect()
                }
                None => vec![self.0.id.clone()],
            }
        }

        /// One tag will do: the first of its own, or the mark.
        fn tag_list(&self) -> Vec<Tag> {
            let own = self.0.inputs["tags"].as_object().and_then(|tags| tags.iter().next());
            let (key, value) = match own {
                Some((key, value)) => (key.as_str(), value.as_str().unwrap_or_default()),
                None => (self.text("key"), "shared"),
            };
            vec![Tag::builder().key(key).value(value).build()]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_is_an_id_that_nothing_has() {
        assert_eq!(placeholder("vpc").as_deref(), Some("vpc-00000000000000000"));
        assert!(is_placeholder(&placeholder("subnet").unwrap()));
        assert_eq!(placeholder("iam_role"), None);
    }

    #[test]
    fn actions_without_dry_run_are_changes_in_ec2_that_their_kind_makes() {
        for facts in crate::aws::registry::KINDS {
            for action in facts.without_dry_run {
                let kind = facts.name();
                let is_its_own = facts.actions.all().any(|one| one == *action);
                assert!(is_its_own, "{kind}: {action} of WITHOUT_DRY_RUN is not among its ACTIONS");
                let could = action.starts_with("ec2:") && !crate::aws::actions::is_read(action);
                assert!(could, "{kind}: {action} of WITHOUT_DRY_RUN takes no DryRun anyway");
            }
        }
    }

    #[cfg(feature = "sdk")]
    mod sent {
        use std::collections::BTreeSet;

        use serde_json::json;

        use super::super::{Subject, Verdict, honours, rehearse};
        use crate::aws::client::tests::{Script, scripted};
        use crate::aws::registry::KINDS;
        use crate::testing::world::World;

        fn answered(code: &str) -> Script {
            let error = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
            Script::Answer(412, format!("<Response><Errors>{error}</Errors></Response>"))
        }

        /// A machine, with all that other kinds have, too.
        fn subject() -> Subject {
            let graph = World::standard().graph();
            let mut inputs = graph.get(&"instance.master-0".into()).unwrap().inputs.clone();
            inputs["profile"] = json!("profile");
            inputs["network"]["interface"] = json!("eni-1");
            inputs["cidr"] = json!("10.0.0.0/16");
            for list in ["subnets", "groups", "route_tables"] {
                inputs[list] = json!(["id-1"]);
            }
            let names = ["vpc", "zone", "subnet", "allocation", "group", "name", "description"];
            let more = ["service", "source", "source_region", "dhcp_options", "domain_name", "key"];
            for name in names.iter().chain(&more) {
                inputs[*name] = json!("something");
            }
            Subject { address: "instance.master-0".into(), inputs, id: "i-1".into() }
        }

        #[tokio::test]
        async fn nothing_leaves_without_dry_run() {
            let actions = KINDS
                .iter()
                .flat_map(|facts| facts.actions.all().filter(|action| facts.dry_runs(action)));
            for action in actions.collect::<BTreeSet<_>>() {
                let (aws, sent) = scripted([answered("DryRunOperation")]);
                let verdict = rehearse(&aws, action, &subject()).await;
                assert_eq!(
                    verdict,
                    Verdict::Allowed,
                    "{action} has no request with DryRun: write one, or add it to WITHOUT_DRY_RUN"
                );
                let [body] = &sent.bodies()[..] else { panic!("{action}: one request") };
                let call = action.trim_start_matches("ec2:");
                assert!(body.contains(&format!("Action={call}&")), "{action}: {body}");
                assert!(body.contains("&DryRun=true"), "{action}: {body}");
                assert!(!body.contains("UserData"), "{action}: {body}");
            }
        }

        #[tokio::test]
        async fn who_does_what_is_only_asked_about_is_asked_nothing_more() {
            let (aws, _) = scripted([Script::Answer(200, "<DescribeVpcsResponse/>".to_owned())]);
            assert!(!honours(&aws).await);
            for code in ["DryRunOperation", "UnauthorizedOperation"] {
                let (aws, _) = scripted([answered(code)]);
                assert!(honours(&aws).await, "{code}");
            }
        }

        #[tokio::test]
        async fn where_ec2_stops_at_a_placeholder_nothing_was_learnt() {
            let (aws, _) = scripted([answered("InvalidVpcID.NotFound")]);
            assert_eq!(rehearse(&aws, "ec2:CreateSubnet", &subject()).await, Verdict::Unclear);
            let (aws, _) = scripted([answered("UnauthorizedOperation")]);
            let verdict = rehearse(&aws, "ec2:CreateSubnet", &subject()).await;
            assert!(matches!(verdict, Verdict::Denied(_)), "{verdict:?}");
        }
    }
}
