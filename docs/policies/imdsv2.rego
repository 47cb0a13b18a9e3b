# The same rule for Conftest and Open Policy Agent:
#   groundplan plan --out cluster.plan
#   groundplan show cluster.plan --json > plan.json
#   conftest test --policy . plan.json
package main

import rego.v1

machines contains resource if {
	some resource in input.resources
	resource.kind in {"instance", "machine"}
	resource.action != "delete"
}

deny contains message if {
	some resource in machines
	not requires_tokens(resource)
	message := sprintf("%s: http_tokens is not required", [resource.address])
}

requires_tokens(resource) if resource.after.metadata_options.http_tokens == "required"
