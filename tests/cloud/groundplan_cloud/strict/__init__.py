"""Where moto is kinder than AWS, one subject a module. `install` puts all of it in place."""

from importlib import import_module

SUBJECTS = [
    "tags",
    "zones",
    "images",
    "backups",
    "instances",
    "metadata_options",
    "network",
    "addresses",
    "security_groups",
    "load_balancers",
    "classic_load_balancers",
    "iam",
    "assumed_roles",
    "dns_order",
    "dns",
    "versions",
    # Around everything above: what they raise must not be remembered, what they return may be.
    "tokens",
    "visibility",
    "visibility_elsewhere",
    "pages",
    "dry_run",
]


def install():
    for subject in SUBJECTS:
        import_module(f".{subject}", __name__)
