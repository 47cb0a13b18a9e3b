//! Policies on plans: CEL expressions in YAML files that every plan must meet.
//!
//! A policy with `kinds` is evaluated for each resource of these kinds, other policies once for the plan.
//! The data is the JSON document of the plan, as `show PLAN --json` prints it. An expression that cannot
//! be evaluated counts as violated. Never decides what happens then.

mod bounds;
mod files;
mod names;

use std::collections::BTreeMap;
use std::path::PathBuf;

use cel::{Context, Program, Value as CelValue};
use serde_json::Value;

pub use self::files::PolicyFileError;

/// Action of a plan that leaves no resource behind. Policies with `kinds` skip it by default.
const DELETE: &str = "delete";

/// Policy with its compiled expressions.
#[derive(Debug)]
pub struct Policy {
    /// Name, unique among all policies of a run.
    pub name: String,
    /// File of the policy.
    pub file: PathBuf,
    /// Kinds of the resources to evaluate. Empty for a policy on the whole plan.
    kinds: Vec<String>,
    /// Actions of the resources to evaluate. Empty for all but deletions.
    actions: Vec<String>,
    validations: Vec<Validation>,
}

/// Expression that must be true, and the message if it is not.
#[derive(Debug)]
struct Validation {
    program: Program,
    message: String,
}

/// Violation of one validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyViolation {
    /// Name of the policy.
    pub policy: String,
    /// File of the policy.
    pub file: PathBuf,
    /// Message of the validation.
    pub message: String,
    /// Addresses of the resources that violate it. Empty for a policy on the whole plan.
    pub addresses: Vec<String>,
    /// Reason why the expression has no result: the first one. `None` if the result is false.
    pub error: Option<String>,
}

/// Error of policies: no result is known.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Folder or file that is no policy.
    #[error(transparent)]
    File(#[from] PolicyFileError),
    /// Evaluation without an end in time.
    #[error("the policies have no result after {} seconds", bounds::LONGEST.as_secs())]
    TooSlow,
}

/// Reads policies and evaluates them on the document of a plan. Returns the violations in the order of
/// the policies.
///
/// # Errors
/// A file is no policy, or the evaluation exceeds the time limit.
pub fn judge(paths: &[PathBuf], plan: Value) -> Result<Vec<PolicyViolation>, PolicyError> {
    let paths = paths.to_owned();
    bounds::run(move || Ok(evaluate(&files::read(&paths)?, &plan)))
}

/// Reads policies.
///
/// # Errors
/// As [`judge`].
pub fn check(paths: &[PathBuf]) -> Result<(), PolicyError> {
    let paths = paths.to_owned();
    bounds::run(move || files::read(&paths).map(|_| ()).map_err(PolicyError::from))
}

fn evaluate(policies: &[Policy], plan: &Value) -> Vec<PolicyViolation> {
    let mut context = Context::default();
    let added = context.add_variable(names::PLAN, plan);
    added.expect("BUG: JSON is data of CEL");
    policies.iter().flat_map(|policy| policy.evaluate(plan, &context)).collect()
}

impl Policy {
    fn evaluate(&self, plan: &Value, context: &Context) -> Vec<PolicyViolation> {
        if self.kinds.is_empty() {
            let violated = self.validations.iter().filter_map(|one| {
                let error = one.fails(context)?;
                Some(self.violation(one, Vec::new(), error))
            });
            return violated.collect();
        }
        // In the order of the validations, each with all its resources.
        let mut violated: BTreeMap<usize, PolicyViolation> = BTreeMap::new();
        for resource in self.selected(plan) {
            let mut inner = context.new_inner_scope();
            inner.add_variable(names::RESOURCE, resource).expect("BUG: JSON is data of CEL");
            for (index, one) in self.validations.iter().enumerate() {
                let Some(error) = one.fails(&inner) else { continue };
                let address = resource["address"].as_str().unwrap_or_default().to_owned();
                let known =
                    violated.entry(index).or_insert_with(|| self.violation(one, Vec::new(), error));
                known.addresses.push(address);
            }
        }
        violated.into_values().collect()
    }

    fn selected<'a>(&'a self, plan: &'a Value) -> impl Iterator<Item = &'a Value> {
        let is_in = |list: &[String], value: &Value| {
            value.as_str().is_some_and(|value| list.iter().any(|one| one == value))
        };
        let resources = plan["resources"].as_array().into_iter().flatten();
        resources.filter(move |one| {
            let acts = match self.actions.is_empty() {
                true => one["action"] != DELETE,
                false => is_in(&self.actions, &one["action"]),
            };
            acts && is_in(&self.kinds, &one["kind"])
        })
    }

    fn violation(
        &self,
        one: &Validation,
        addresses: Vec<String>,
        error: Option<String>,
    ) -> PolicyViolation {
        let (policy, file, message) = (self.name.clone(), self.file.clone(), one.message.clone());
        PolicyViolation { policy, file, message, addresses, error }
    }
}

impl Validation {
    /// Returns `None` if the expression is true, else the reason why it has no result, if it has none.
    fn fails(&self, context: &Context) -> Option<Option<String>> {
        match self.program.execute(context) {
            Ok(CelValue::Bool(true)) => None,
            Ok(CelValue::Bool(false)) => Some(None),
            // The value itself is not printed: a plan has no secrets, but long values.
            Ok(other) => {
                Some(Some(format!("the result is {}, not true or false", other.type_of())))
            }
            Err(error) => Some(Some(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn policies(text: &str) -> Vec<Policy> {
        files::parse(Path::new("policies/a.yaml"), text).unwrap()
    }

    fn plan() -> Value {
        let machine = |name: &str, action: &str, tokens: Value| {
            json!({"address": format!("instance.{name}"), "kind": "instance", "action": action,
                   "after": {"metadata_options": {"http_tokens": tokens}}})
        };
        json!({"resources": [
            machine("master-0", "keep", json!("required")),
            machine("master-1", "update", json!("optional")),
            machine("master-2", "create", json!(null)),
            {"address": "instance.bootstrap", "kind": "instance", "action": "delete"},
            {"address": "vpc.main", "kind": "vpc", "action": "keep", "after": {"cidr": "10.0.0.0/16"}},
        ]})
    }

    const REQUIRED: &str = "name: imdsv2-required\nkinds: [instance, machine]\nvalidations:\n\
        - expression: resource.after.metadata_options.http_tokens == 'required'\n  message: m\n";

    #[test]
    fn each_resource_of_the_kinds_is_evaluated_but_deletions() {
        let violation = PolicyViolation {
            policy: "imdsv2-required".to_owned(),
            file: PathBuf::from("policies/a.yaml"),
            message: "m".to_owned(),
            addresses: vec!["instance.master-1".to_owned(), "instance.master-2".to_owned()],
            error: None,
        };
        assert_eq!(evaluate(&policies(REQUIRED), &plan()), [violation]);
    }

    #[test]
    fn a_policy_can_select_actions() {
        let text = "name: keep-machines\nkinds: [instance]\nactions: [delete]\nvalidations:\n\
            - expression: 'false'\n  message: no machine is deleted\n";
        let found = evaluate(&policies(text), &plan());
        assert_eq!(found[0].addresses, ["instance.bootstrap"]);
    }

    #[test]
    fn a_policy_without_kinds_is_about_the_whole_plan() {
        let text = "name: small\nvalidations:\n\
            - expression: plan.resources.filter(r, r.action != 'keep').size() < 3\n  message: big\n\
            - expression: plan.resources.exists(r, r.kind == 'vpc')\n  message: no VPC\n";
        let found = evaluate(&policies(text), &plan());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].message.as_str(), found[0].addresses.len()), ("big", 0));
    }

    #[test]
    fn an_expression_without_a_result_is_a_violation_with_its_reason() {
        let of = |expression: &str| {
            let text = format!(
                "name: a\nkinds: [vpc]\nvalidations:\n- expression: {expression}\n  message: m\n"
            );
            evaluate(&policies(&text), &plan()).remove(0).error.unwrap()
        };
        assert!(of("resource.after.cdir == 'x'").contains("cdir"));
        assert!(of("resource.after.cidr").contains("not true or false"));
    }

    /// The examples of the documentation, with the document of a new cluster.
    #[test]
    fn the_examples_hold_for_a_new_cluster_and_name_what_breaks_them() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let policies = files::read(&[root.join("docs/policies")]).unwrap();
        let document = root.join("plans/two-pools-required/plan-document.json");
        let mut plan: Value = serde_json::from_slice(&std::fs::read(document).unwrap()).unwrap();
        assert_eq!(evaluate(&policies, &plan), []);

        for resource in plan["resources"].as_array_mut().unwrap() {
            let everyone =
                json!({"protocol": "-1", "ports": null, "peer": {"cidrs": ["0.0.0.0/0"]}});
            match resource["address"].as_str().unwrap() {
                "instance.master-1" => {
                    resource["after"]["metadata_options"]["http_tokens"] = json!(null);
                }
                "security_group_rules.master" => {
                    resource["after"]["ingress"].as_array_mut().unwrap().push(everyone);
                }
                "vpc.main" => resource["action"] = json!("delete_then_create"),
                "instance.master-2" => resource["volumes"][0]["encrypted"] = json!(null),
                _ => {}
            }
        }
        let found = evaluate(&policies, &plan).into_iter();
        let found: Vec<_> = found.map(|one| (one.policy, one.addresses, one.error)).collect();
        let violation =
            |policy: &str, address: &str| (policy.to_owned(), vec![address.to_owned()], None);
        assert_eq!(
            found,
            [
                violation("imdsv2-required", "instance.master-1"),
                violation("ssh-closed", "security_group_rules.master"),
                violation("no-network-loss", "vpc.main"),
                violation("volumes-encrypted", "instance.master-2"),
            ]
        );
    }

    #[test]
    fn the_example_for_ssh_accepts_the_rule_of_the_bootstrap_until_its_removal() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let policies = files::read(&[root.join("docs/policies/network.yaml")]).unwrap();
        let violated = |bootstrap: &str, from: u16| {
            let ssh = json!({"protocol": "tcp", "ports": {"from": from, "to": 22},
                             "peer": {"cidrs": ["0.0.0.0/0"]}});
            let plan = json!({"operation": "apply", "resources": [
                {"address": "instance.bootstrap", "kind": "instance", "action": bootstrap},
                {"address": "security_group_rules.controlplane", "kind": "security_group_rules",
                 "action": "keep", "after": {"ingress": [ssh]}},
            ]});
            evaluate(&policies, &plan).len()
        };
        assert_eq!(violated("create", 22), 0);
        assert_eq!(violated("create", 0), 1, "more than ssh is open");
        assert_eq!(violated("delete", 22), 1);
    }

    #[test]
    fn a_plan_that_meets_all_has_no_violation() {
        let plan = json!({"resources": []});
        assert_eq!(evaluate(&policies(REQUIRED), &plan), []);
    }
}
