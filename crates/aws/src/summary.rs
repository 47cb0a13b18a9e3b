//! Texts of inputs that the summaries of kinds share. A reference is the address of its target.

use std::fmt::Display;

use groundplan_engine::graph::Input;
use groundplan_engine::plan::values::ValuesAfter;

use crate::model::metadata_options::{HttpTokens, MetadataOptions, Switch};

/// Returns the target of an input: the address of a reference, or the value.
pub(crate) fn name<T: Display>(input: &Input<T>) -> String {
    match input {
        Input::Ref(reference) => reference.address.to_string(),
        Input::Known(value) => value.to_string(),
        Input::Absent => "(none)".to_owned(),
    }
}

/// Returns the targets of inputs as a phrase: `a`, `a and b`, `a, b and c`.
pub(crate) fn names<T: Display>(inputs: &[Input<T>]) -> String {
    phrase(inputs.iter().map(name).collect())
}

/// Returns texts as a phrase: `a`, `a and b`, `a, b and c`. Empty without texts.
pub(crate) fn phrase(mut texts: Vec<String>) -> String {
    match (texts.pop(), texts.is_empty()) {
        (None, _) => String::new(),
        (Some(only), true) => only,
        (Some(last), false) => format!("{} and {last}", texts.join(", ")),
    }
}

/// Returns the availability zone of a subnet; empty if the plan does not contain the subnet.
pub(crate) fn zone<T>(subnet: &Input<T>, values: &ValuesAfter<'_>) -> String {
    let Input::Ref(reference) = subnet else { return String::new() };
    let zone = values.get(&reference.address).and_then(|subnet| subnet["zone"].as_str());
    zone.unwrap_or_default().to_owned()
}

/// Returns the metadata options of a machine: always the session tokens, and each other option that
/// is set.
pub(crate) fn metadata_options(options: &MetadataOptions) -> String {
    let switch = |switch: Switch| match switch {
        Switch::Enabled => "enabled",
        Switch::Disabled => "disabled",
    };
    let tokens = match options.http_tokens {
        Some(HttpTokens::Required) => "http_tokens required",
        Some(HttpTokens::Optional) => "http_tokens optional",
        None => "http_tokens: no opinion",
    };
    let endpoint = options.http_endpoint.map(|one| format!("http_endpoint {}", switch(one)));
    let hops = options.http_put_response_hop_limit;
    let hops = hops.map(|hops| format!("hop limit {}", i64::from(hops)));
    let tags = options.instance_metadata_tags;
    let tags = tags.map(|one| format!("instance_metadata_tags {}", switch(one)));
    let options = [endpoint, hops, tags].into_iter().flatten();
    std::iter::once(tokens.to_owned()).chain(options).collect::<Vec<_>>().join(", ")
}

/// Returns the encryption of a volume. `None` sends nothing, and the account's default applies.
pub(crate) fn encryption(encrypted: Option<bool>, kms_key: Option<&str>) -> String {
    match (encrypted, kms_key) {
        (Some(false), _) => "not encrypted".to_owned(),
        (_, Some(key)) => format!("encrypted with {key}"),
        (Some(true), None) => "encrypted with the default EBS key".to_owned(),
        (None, None) => "encryption: no opinion".to_owned(),
    }
}

/// Returns a label with its text; empty if the text is empty.
pub(crate) fn labelled(label: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{label} {text}") }
}

#[cfg(test)]
mod tests {
    use groundplan_engine::plan::values::{Summary, Surroundings};
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::machine::Machine;
    use crate::model::metadata_options::HopLimit;

    #[test]
    fn names_make_a_phrase() {
        let texts = |texts: &[&str]| phrase(texts.iter().map(|&text| text.to_owned()).collect());
        assert_eq!(texts(&[]), "");
        assert_eq!(texts(&["a"]), "a");
        assert_eq!(texts(&["a", "b"]), "a and b");
        assert_eq!(texts(&["a", "b", "c"]), "a, b and c");
    }

    #[test]
    fn no_opinion_on_tokens_is_said() {
        let none = MetadataOptions::default();
        assert_eq!(metadata_options(&none), "http_tokens: no opinion");
        let some = MetadataOptions {
            http_tokens: Some(HttpTokens::Required),
            http_endpoint: Some(Switch::Enabled),
            http_put_response_hop_limit: HopLimit::new(2),
            instance_metadata_tags: Some(Switch::Disabled),
        };
        assert_eq!(
            metadata_options(&some),
            "http_tokens required, http_endpoint enabled, hop limit 2, instance_metadata_tags \
             disabled"
        );
    }

    #[test]
    fn the_encryption_of_a_volume_and_its_key_are_said() {
        assert_eq!(encryption(Some(false), None), "not encrypted");
        assert_eq!(encryption(Some(true), None), "encrypted with the default EBS key");
        assert_eq!(encryption(Some(true), Some("alias/ocp")), "encrypted with alias/ocp");
        assert_eq!(encryption(None, None), "encryption: no opinion");
    }

    fn summary(address: &str, values: &[(&str, &Value)]) -> Summary {
        let values: ValuesAfter<'_> = values.iter().copied().collect();
        let address = address.into();
        let around = Surroundings { address: &address, values: &values };
        let facts = crate::registry::facts(address.kind()).unwrap();
        (facts.summary)(values.get(&address).unwrap(), &around).unwrap()
    }

    fn reference(address: &str) -> Value {
        json!({"$ref": address, "output": "id"})
    }

    fn subnet(zone: &str) -> Value {
        json!({"vpc": reference("vpc.main"), "cidr": "10.0.0.0/20", "zone": zone, "tags": {}})
    }

    #[test]
    fn a_machine_says_zone_purchase_and_volumes() {
        let mut machine = serde_json::to_value(Machine::example()).unwrap();
        machine["interface"]["subnet"] = reference("subnet.a");
        machine["interface"]["subnet"]["value"] = json!("subnet-1");
        machine["interface"]["groups"] = json!([reference("security_group.worker")]);
        machine["market"] = json!({"spot": {"max_price": "0.25"}});
        machine["block_devices"] = json!([{"device": "/dev/xvda", "volume_type": "gp3",
            "size": 120, "iops": null, "throughput": null, "encrypted": false, "kms_key": null}]);
        let subnet = subnet("us-west-2a");
        let found = summary("machine.w-0", &[("machine.w-0", &machine), ("subnet.a", &subnet)]);
        assert_eq!(
            found.facts,
            [
                "m6i.large",
                "spot up to 0.25 dollars an hour",
                "us-west-2a",
                "http_tokens: no opinion",
                "image ami-1",
                "/dev/xvda gp3 120 GiB not encrypted",
                "in subnet.a",
                "groups security_group.worker",
            ]
        );
    }

    #[test]
    fn a_subnet_is_public_if_its_route_table_leads_to_an_internet_gateway() {
        let table = |via: Value| {
            json!({"vpc": reference("vpc.main"), "main": false, "tags": {},
                "routes": [{"destination": "0.0.0.0/0", "via": via}],
                "subnets": [reference("subnet.a")]})
        };
        let gateway = table(json!({"internet_gateway": reference("internet_gateway.main")}));
        let nat = table(json!({"nat_gateway": reference("nat_gateway.a")}));
        let (subnet, other) = (subnet("us-west-2a"), subnet("us-west-2b"));
        let access = |table: Option<&Value>| {
            let mut values = vec![("subnet.a", &subnet), ("subnet.b", &other)];
            values.extend(table.map(|table| ("route_table.t", table)));
            summary("subnet.a", &values).facts.get(2).cloned()
        };
        assert_eq!(access(Some(&gateway)).as_deref(), Some("public"));
        assert_eq!(access(Some(&nat)).as_deref(), Some("private"));
        assert_eq!(access(None), None, "no route table of the plan names the subnet");
    }

    #[test]
    fn a_trust_policy_names_everyone_who_may_assume_the_role() {
        let trust = |statement: Value| {
            let role = json!({"name": "r", "trust": {"Statement": statement}, "tags": {}});
            summary("iam_role.r", &[("iam_role.r", &role)]).facts.concat()
        };
        let services = json!({"Service": ["ec2.amazonaws.com", "lambda.amazonaws.com"]});
        assert_eq!(
            trust(json!([{"Effect": "Allow", "Principal": services, "Action": "sts:AssumeRole"}])),
            "may be assumed by ec2.amazonaws.com and lambda.amazonaws.com"
        );
        let account = json!({"AWS": "arn:aws:iam::1:root"});
        assert_eq!(
            trust(json!({"Effect": "Allow", "Principal": account, "Condition": {"Bool": {}}})),
            "may be assumed by arn:aws:iam::1:root on conditions"
        );
        assert_eq!(trust(json!([{"Effect": "Deny", "Principal": "*"}])), "may not be assumed by *");
        assert_eq!(
            trust(json!([{"Effect": "Allow", "NotPrincipal": {"AWS": "a"}}])),
            "may be assumed by principals in another form, see the policy"
        );
    }

    #[test]
    fn inputs_of_another_version_have_no_summary() {
        let values = ValuesAfter::default();
        let address = "vpc.main".into();
        let around = Surroundings { address: &address, values: &values };
        let facts = crate::registry::facts("vpc").unwrap();
        assert_eq!((facts.summary)(&json!({"cidr": 7}), &around), None);
    }
}
