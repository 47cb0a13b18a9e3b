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
pub(in crate::aws) fn is_placeholder(id: &str) -> bool {
    id.ends_with(NOBODY)
}

#[cfg(feature = "sdk")]
pub(in crate::aws) use calls::dry;
#[cfg(feature = "sdk")]
pub use calls::{Verdict, honours, rehearse};

#[cfg(feature = "sdk")]
mod calls {
    use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
    use serde::Deserialize;
    use serde_json::Value;

    use super::Subject;
    use crate::aws::kind::Result;
    use crate::aws::metadata_options::MetadataOptions;
    use crate::aws::registry::calls;
    use crate::aws::{Aws, Tags, ec2};
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

    /// Returns a request of an EC2 action with `DryRun`, the one way in which it leaves. Apart from
    /// its caller: forty requests side by side would be more than a thread's stack holds.
    macro_rules! dry {
        ($aws:expr, $action:expr, $call:expr) => {{
            let call = $call.dry_run(true);
            let name = $action.trim_start_matches("ec2:");
            Box::pin(async move { $aws.call("ec2", name, call.send()).await.map(drop) })
        }};
    }
    pub(in crate::aws) use dry;

    /// Whether whoever answers knows `DryRun`. Who does not would do what is only asked about.
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

    /// Rehearses a call; one that cannot be is unclear.
    pub async fn rehearse(aws: &Aws, action: &'static str, subject: &Subject) -> Verdict {
        match call(aws, action, subject) {
            Some(call) => judged(call.await),
            None => Verdict::Unclear,
        }
    }

    /// Returns the request, not sent yet: that of the subject's kind. Tags are set on all alike.
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

    /// Contents of a request about the subject.
    impl Subject {
        pub(in crate::aws) fn text(&self, name: &str) -> &str {
            self.inputs[name].as_str().unwrap_or_default()
        }

        pub(in crate::aws) fn first(&self, name: &str) -> &str {
            self.inputs[name][0].as_str().unwrap_or_default()
        }

        pub(in crate::aws) fn metadata_options(&self) -> Option<MetadataOptions> {
            MetadataOptions::deserialize(&self.inputs["metadata_options"]).ok()
        }

        pub(in crate::aws) fn typed<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
            T::deserialize(&self.inputs).ok()
        }

        pub(in crate::aws) fn tags(&self, kind: ResourceType) -> TagSpecification {
            let tags = Tags::deserialize(&self.inputs["tags"]).unwrap_or_default();
            ec2::tag_specification(kind, &tags, &self.address)
        }

        /// Returns the resource itself, or the subnets that a mark is on.
        fn tagged(&self) -> Vec<String> {
            let subnets = self.inputs["subnets"].as_array().filter(|_| self.id.is_empty());
            match subnets {
                Some(subnets) => {
                    subnets.iter().filter_map(Value::as_str).map(str::to_owned).collect()
                }
                None => vec![self.id.clone()],
            }
        }

        /// Returns one tag, which is enough: the first of its own, or the mark.
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
        use crate::aws::machine::tests::machine;
        use crate::aws::registry::KINDS;
        use crate::testing::world::World;

        fn answered(code: &str) -> Script {
            let error = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
            Script::Answer(412, format!("<Response><Errors>{error}</Errors></Response>"))
        }

        /// A machine, with all that other kinds have, too.
        fn subject(kind: &str) -> Subject {
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
