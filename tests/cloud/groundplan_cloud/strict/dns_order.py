"""Route 53 lists records by their labels reversed, the last with its dot, so that `api-int` comes before
`api` (Route 53 API reference, ListResourceRecordSets); moto leaves that dot out."""

from moto.route53 import models


def reverse_domain_name(name):
    return "".join(f"{label}." for label in reversed(name.rstrip(".").split(".")))


models.reverse_domain_name = reverse_domain_name
