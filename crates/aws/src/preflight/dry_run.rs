//! EC2 dry runs: calls with `DryRun=true`, whose result shows whether the credentials allow the
//! call.
//!
//! Flow: [`DryRunTarget`] describes the resource of a call, with placeholders for resources that do not
//! exist yet. `dry_run` sends the call that the kind would send, with the plan's values of
//! attributes that policies check: tags, instance types, metadata options.
//!
//! No call takes effect: one macro makes every request and sets `DryRun`. Before the first one,
//! `supports_dry_run` checks with a harmless call that the endpoint implements `DryRun`. An endpoint
//! that executes a dry run all the same gets no further one.

pub use crate::model::dry_run::DryRunTarget;
use crate::model::dry_run::NOBODY;
use crate::registry::facts;

/// Returns an ID in the kind's form that no resource has. `None` for kinds without such IDs.
pub fn placeholder(kind: &str) -> Option<String> {
    let prefix = facts(kind)?.id_prefix?;
    Some(format!("{prefix}-{NOBODY}"))
}

#[cfg(feature = "sdk")]
pub use calls::{DryRunResult, created_by_dry_runs, dry_run, supports_dry_run};

#[cfg(feature = "sdk")]
mod calls {
    use groundplan_engine::provider::{ProviderError, ProviderFuture};

    use super::DryRunTarget;
    use crate::Aws;
    use crate::client::TOKEN_TAG;
    use crate::client::dry_run::dry;
    use crate::client::ec2::{filter, pages};
    use crate::client::resource_type::Result;
    use crate::registry::calls;

    /// The result of a dry run.
    #[derive(Clone, Debug, PartialEq)]
    pub enum DryRunResult {
        /// The credentials allow the call.
        Allowed,
        /// The credentials do not allow the call.
        Denied(ProviderError),
        /// AWS returned another error before the permission check, usually about a placeholder.
        Unclear,
        /// The endpoint returned success. AWS never does, so the endpoint ignores `DryRun` and has
        /// executed the call.
        Executed,
    }

    /// Returns true if the endpoint implements `DryRun`. Another endpoint would execute the call.
    pub async fn supports_dry_run(aws: &Aws) -> bool {
        let asked = dry!(aws, "ec2:DescribeVpcs", aws.ec2.describe_vpcs());
        matches!(to_result(asked.await), DryRunResult::Allowed | DryRunResult::Denied(_))
    }

    fn to_result(answer: Result<()>) -> DryRunResult {
        match answer {
            Err(error) if error.is(&["DryRunOperation"]) => DryRunResult::Allowed,
            Err(error) if error.is(&["UnauthorizedOperation"]) => DryRunResult::Denied(error),
            Err(_) => DryRunResult::Unclear,
            Ok(()) => DryRunResult::Executed,
        }
    }

    /// Sends the dry run of a call. The result is unclear if the kind has no dry run for it.
    pub async fn dry_run(aws: &Aws, action: &'static str, subject: &DryRunTarget) -> DryRunResult {
        match call(aws, action, subject) {
            Some(call) => to_result(call.await),
            None => DryRunResult::Unclear,
        }
    }

    /// Returns the IDs of the objects that executed dry runs about a resource have created. A dry run
    /// of a creation sends the address as the token tag.
    ///
    /// # Errors
    /// If the tags cannot be listed.
    pub async fn created_by_dry_runs(aws: &Aws, address: &str) -> Result<Vec<String>> {
        let of_dry_run = vec![filter("key", &[TOKEN_TAG]), filter("value", &[address])];
        let request = aws.ec2.describe_tags().set_filters(Some(of_dry_run)).max_results(1000);
        let tags = pages!(aws, "DescribeTags", request, tags).into_iter();
        Ok(tags.filter_map(|tag| tag.resource_id).collect())
    }

    /// Returns the unsent request of the subject's kind. Requests for tags are the same for all
    /// kinds.
    fn call<'a>(
        aws: &'a Aws,
        action: &'static str,
        about: &DryRunTarget,
    ) -> Option<ProviderFuture<'a, ()>> {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::dry_run::is_placeholder;

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
                let could = action.starts_with("ec2:") && !crate::model::calls::is_read(action);
                assert!(could, "{kind}: {action} of WITHOUT_DRY_RUN takes no DryRun anyway");
            }
        }
    }

    #[cfg(feature = "sdk")]
    mod sent {
        use std::collections::BTreeSet;

        use serde_json::json;

        use super::super::{DryRunResult, DryRunTarget, dry_run, supports_dry_run};
        use crate::client::tests::{Script, scripted_read_only};
        use crate::kinds::instance::tests::instance;
        use crate::kinds::machine::Machine;
        use crate::registry::KINDS;

        fn answered(code: &str) -> Script {
            let error = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
            Script::Answer(412, format!("<Response><Errors>{error}</Errors></Response>"))
        }

        /// Returns the subject of a kind with the inputs of an instance; other kinds' inputs are
        /// included.
        fn subject(kind: &str) -> DryRunTarget {
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
                inputs = json!(Machine::example());
                inputs["metadata_options"] = options;
            }
            DryRunTarget { address: format!("{kind}.a"), inputs, id: "i-1".into() }
        }

        #[tokio::test]
        async fn nothing_leaves_without_dry_run() {
            let actions = KINDS.iter().flat_map(|facts| {
                let dry = facts.actions.all().filter(|action| facts.dry_runs(action));
                dry.map(|action| (facts.name(), action))
            });
            for (kind, action) in actions.collect::<BTreeSet<_>>() {
                let (aws, sent) = scripted_read_only([answered("DryRunOperation")]);
                let verdict = dry_run(&aws, action, &subject(kind)).await;
                assert_eq!(
                    verdict,
                    DryRunResult::Allowed,
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
            let (aws, _) =
                scripted_read_only([Script::Answer(200, "<DescribeVpcsResponse/>".to_owned())]);
            assert!(!supports_dry_run(&aws).await);
            for code in ["DryRunOperation", "UnauthorizedOperation"] {
                let (aws, _) = scripted_read_only([answered(code)]);
                assert!(supports_dry_run(&aws).await, "{code}");
            }
        }

        #[tokio::test]
        async fn where_ec2_stops_at_a_placeholder_nothing_was_learnt() {
            let (aws, _) = scripted_read_only([answered("InvalidVpcID.NotFound")]);
            assert_eq!(
                dry_run(&aws, "ec2:CreateSubnet", &subject("subnet")).await,
                DryRunResult::Unclear
            );
            let (aws, _) = scripted_read_only([answered("UnauthorizedOperation")]);
            let verdict = dry_run(&aws, "ec2:CreateSubnet", &subject("subnet")).await;
            assert!(matches!(verdict, DryRunResult::Denied(_)), "{verdict:?}");
        }
    }
}
