"""How moto's methods are replaced: `@mend(EC2Response)` over a function of the method's name puts
the function in its place and hands it the original as `moto`."""

from functools import partial

from moto.ec2.exceptions import EC2ClientError


def mend(owner):
    def put_in_place(ours):
        replace(owner, ours.__name__, ours)
        return ours

    return put_in_place


def replace(owner, name, ours):
    moto = getattr(owner, name)

    def mended(self, *arguments, **named):
        return ours(self, partial(moto, self), *arguments, **named)

    mended.__name__ = name
    setattr(owner, name, mended)


def refuse(code, message):
    raise EC2ClientError(code, message)


def violates(what, holder):
    refuse("DependencyViolation", f"The {what} has dependencies and cannot be deleted: {holder}.")
