"""Classic load balancers: who is registered twice is there once, and only machines that there are."""

from moto.core.responses import ActionResult
from moto.ec2 import ec2_backends
from moto.elb.exceptions import ELBClientError, LoadBalancerNotFoundError
from moto.elb.models import ELBBackend
from moto.elb.responses import ELBResponse

from .mend import mend


@mend(ELBBackend)
def register_instances(self, moto, load_balancer_name, instance_ids, from_autoscaling=False):
    """API reference of 2012-06-01, RegisterInstancesWithLoadBalancer: its errors are these two."""
    balancer = self.load_balancers.get(load_balancer_name)
    if balancer is None:
        raise LoadBalancerNotFoundError(load_balancer_name)
    machines = ec2_backends[self.account_id][self.region_name]
    for instance in instance_ids:
        if not is_there(machines, instance):
            raise ELBClientError("InvalidInstance", f"Could not find EC2 instance {instance}.")
    new = [one for one in instance_ids if one not in balancer.instance_ids]
    return moto(load_balancer_name, new, from_autoscaling)


@mend(ELBBackend)
def describe_load_balancers(self, moto, names):
    """Who is terminated leaves by itself (User guide, "Register or deregister EC2 instances")."""
    machines = ec2_backends[self.account_id][self.region_name]
    found = moto(names)
    for balancer in found:
        balancer.instance_sparse_ids = [
            one for one in balancer.instance_sparse_ids if is_there(machines, one)
        ]
    return found


@mend(ELBResponse)
def register_instances_with_load_balancer(self, moto):
    """moto answers with a list in a list."""
    answer = moto()
    (ids,) = answer._result["Instances"]
    return ActionResult({"Instances": [{"InstanceId": one} for one in ids]})


def is_there(machines, instance):
    found = machines.get_instance_by_id(instance)
    return found is not None and found.state != "terminated"
