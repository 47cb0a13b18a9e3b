//! EC2 dry runs: calls with `DryRun=true`, whose result shows whether the credentials allow the
//! call.
//!
//! Flow: [`Subject`] describes the resource of a call, with placeholders for resources that do not
//! exist yet. `rehearse` sends the call that the kind would send, with the plan's values of
//! attributes that policies check: tags, instance types, metadata options.
//!
//! No call takes effect: one macro makes every request and sets `DryRun`. Before the first one,
//! `honours` checks with a harmless call that the endpoint implements `DryRun`.

use serde_json::Value;

use crate::registry::facts;

/// The resource that a dry run is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// The address of the resource, for messages.
    pub address: String,
    /// The inputs, with placeholders for unknown values.
    pub inputs: Value,
    /// The ID, or a placeholder.
    pub id: String,
}

/// Returns an ID in the kind's form that no resource has. `None` for kinds without such IDs.
pub fn placeholder(kind: &str) -> Option<String> {
    let prefix = facts(kind)?.id_prefix?;
    Some(format!("{prefix}-{NOBODY}"))
}

/// The suffix of IDs of resources that do not exist.
const NOBODY: &str = "00000000000000000";

/// Returns true if the ID stands for a resource that does not exist yet.
#[cfg(any(feature = "sdk", test))]
pub(crate) fn is_placeholder(id: &str) -> bool {
    id.ends_with(NOBODY)
}

#[cfg(feature = "sdk")]
pub(crate) use calls::dry;
#[cfg(feature = "sdk")]
pub use calls::{Verdict, honours, rehearse};

#[cfg(feature = "sdk")]
mod calls {
    use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
    use groundplan_engine::provider::{ProviderError, Reply};
    use serde::Deserialize;
    use serde_json::Value;

    use super::Subject;
    use crate::client::ec2;
    use crate::client::resource_type::Result;
    use crate::model::metadata_options::MetadataOptions;
    use crate::registry::calls;
    use crate::{Aws, Tags};

    /// The result of a dry run.
    #[derive(Clone, Debug, PartialEq)]
    pub enum Verdict {
        /// The credentials allow the call.
        Allowed,
        /// The credentials do not allow the call.
        Denied(ProviderError),
        /// AWS returned another error before the permission check, usually about a placeholder.
        Unclear,
    }

    /// Returns a request of an EC2 action with `DryRun`; no other code sends such a request. The
    /// future is boxed, because forty requests inline exceed a thread's stack.
    macro_rules! dry {
        ($aws:expr, $action:expr, $call:expr) => {{
            let call = $call.dry_run(true);
            let name = $action.trim_start_matches("ec2:");
            Box::pin(async move { $aws.call("ec2", name, call.send()).await.map(drop) })
        }};
    }
    pub(crate) use dry;

    /// Returns true if the endpoint implements `DryRun`. Another endpoint would execute the call.
    pub async fn honours(aws: &Aws) -> bool {
        let asked = dry!(aws, "ec2:DescribeVpcs", aws.ec2.describe_vpcs());
        matches!(judged(asked.await), Verdict::Allowed | Verdict::Denied(_))
    }

    fn judged(answer: Result<()>) -> Verdict {
        match answer {
            Err(error) if error.is(&["DryRunOperation"]) => Verdict::Allowed,
            Err(error) if error.is(&["UnauthorizedOperation"]) => Verdict::Denied(error),
            _ => Verdict::Unclear,
        }
    }

    /// Sends the dry run of a call. The result is unclear if the kind has no dry run for it.
    pub async fn rehearse(aws: &Aws, action: &'static str, subject: &Subject) -> Verdict {
        match call(aws, action, subject) {
            Some(call) => judged(call.await),
            None => Verdict::Unclear,
        }
    }

    /// Returns the unsent request of the subject's kind. Requests for tags are the same for all
    /// kinds.
    fn call<'a>(aws: &'a Aws, action: &'static str, about: &Subject) -> Option<Reply<'a, ()>> {
        let ec2 = &aws.ec2;
        match action {
            "ec2:CreateTags" => {
                let call = ec2.create_tags().set_resources(Some(about.tagged()));
                Some(dry!(aws, action, call.set_tags(Some(about.tag_list()))))
            }
            "ec2:DeleteTags" => {
                let call = ec2.delete_tags().set_resources(Some(about.tagged()));
                Some(dry!(aws, action, call.set_tags(Some(about.tag_list()))))
            }
            _ => {
                let kind = about.address.split('.').next().unwrap_or_default();
                calls(kind)?.dry_run(aws, action, about)
            }
        }
    }

    /// The contents of a request about the subject.
    impl Subject {
        pub(crate) fn text(&self, name: &str) -> &str {
            self.inputs[name].as_str().unwrap_or_default()
        }

        pub(crate) fn first(&self, name: &str) -> &str {
            self.inputs[name][0].as_str().unwrap_or_default()
        }

        pub(crate) fn metadata_options(&self) -> Option<MetadataOptions> {
            MetadataOptions::deserialize(&self.inputs["metadata_options"]).ok()
        }

        pub(crate) fn typed<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
            T::deserialize(&self.inputs).ok()
        }

        pub(crate) fn tags(&self, kind: ResourceType) -> TagSpecification {
            let tags = Tags::deserialize(&self.inputs["tags"]).unwrap_or_default();
            ec2::tag_specification(kind, &tags, &self.address)
        }

        /// Returns the ID of the resource itself, or the IDs of the subnets that get a shared tag.
        fn tagged(&self) -> Vec<String> {
            let subnets = self.inputs["subnets"].as_array().filter(|_| self.id.is_empty());
            match subnets {
                Some(subnets) => {
                    subnets.iter().filter_map(Value::as_str).map(str::to_owned).collect()
                }
                None => vec![self.id.clone()],
            }
        }

        /// Returns one tag, which is enough for a policy: the first tag of the inputs, or the
        /// shared tag.
        fn tag_list(&self) -> Vec<Tag> {
            let own = self.inputs["tags"].as_object().and_then(|tags| tags.iter().next());
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
        for facts in crate::registry::KINDS {
            for action in facts.without_dry_run {
                let kind = facts.name();
                let is_its_own = facts.actions.all().any(|one| one == *action);
                assert!(is_its_own, "{kind}: {action} of WITHOUT_DRY_RUN is not among its ACTIONS");
                let could =
                    action.starts_with("ec2:") && !crate::preflight::iam_actions::is_read(action);
                assert!(could, "{kind}: {action} of WITHOUT_DRY_RUN takes no DryRun anyway");
            }
        }
    }

    #[cfg(feature = "sdk")]
    mod sent {
        use std::collections::BTreeSet;

        use serde_json::json;

        use super::super::{Subject, Verdict, honours, rehearse};
        use crate::client::tests::{Script, scripted};
        use crate::kinds::instance::tests::instance;
        use crate::kinds::machine::tests::machine;
        use crate::registry::KINDS;

        fn answered(code: &str) -> Script {
            let error = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
            Script::Answer(412, format!("<Response><Errors>{error}</Errors></Response>"))
        }

        /// Returns the subject of a kind with the inputs of an instance; other kinds' inputs are
        /// included.
        fn subject(kind: &str) -> Subject {
            let mut inputs = json!(instance());
            inputs["cidr"] = json!("10.0.0.0/16");
            for list in ["subnets", "groups", "route_tables"] {
                inputs[list] = json!(["id-1"]);
            }
            let names = ["vpc", "zone", "subnet", "allocation", "group", "name", "description"];
            let more = ["service", "source", "source_region", "dhcp_options", "domain_name", "key"];
            for name in names.iter().chain(&more) {
                inputs[*name] = json!("something");
            }
            if kind == "machine" {
                let options = inputs["metadata_options"].take();
                inputs = json!(machine());
                inputs["metadata_options"] = options;
            }
            Subject { address: format!("{kind}.a"), inputs, id: "i-1".into() }
        }

        #[tokio::test]
        async fn nothing_leaves_without_dry_run() {
            let actions = KINDS.iter().flat_map(|facts| {
                let dry = facts.actions.all().filter(|action| facts.dry_runs(action));
                dry.map(|action| (facts.name(), action))
            });
            for (kind, action) in actions.collect::<BTreeSet<_>>() {
                let (aws, sent) = scripted([answered("DryRunOperation")]);
                let verdict = rehearse(&aws, action, &subject(kind)).await;
                assert_eq!(
                    verdict,
                    Verdict::Allowed,
                    "{kind}: `dry_run` has no request for {action}: write one, or add the action to \
                     WITHOUT_DRY_RUN"
                );
                let [body] = &sent.bodies()[..] else { panic!("{kind}, {action}: one request") };
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
            assert_eq!(
                rehearse(&aws, "ec2:CreateSubnet", &subject("subnet")).await,
                Verdict::Unclear
            );
            let (aws, _) = scripted([answered("UnauthorizedOperation")]);
            let verdict = rehearse(&aws, "ec2:CreateSubnet", &subject("subnet")).await;
            assert!(matches!(verdict, Verdict::Denied(_)), "{verdict:?}");
        }
    }
}
