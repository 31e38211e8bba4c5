"""What the work that runs here needs of moto's stored state. Nothing of moto is changed by this module."""

import contextlib
import json
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.ec2.models import ec2_backends
from moto.logs.exceptions import ResourceAlreadyExistsException, ResourceNotFoundException
from moto.logs.models import logs_backends
from moto.secretsmanager.models import secretsmanager_backends

from brew_assets_tests.local_aws.fargate import secret_reference
from brew_assets_tests.local_aws.output import LogStream


class ResourceMissing(Exception):
    """What ECS or Lambda looked up at start and did not find; the message is the reason they give."""


def secret_text(account: str, region: str, value_from: str) -> str:
    """The secret that `valueFrom` of a container definition names.

    Raises:
        ResourceMissing: there is no such secret, or no such key in it.
    """
    reason = "ResourceInitializationError: unable to pull secrets or registry auth: "
    name, key = secret_reference(value_from)
    if ":ssm:" in name or name.startswith("/"):
        raise ResourceMissing(f"{reason}Local AWS resolves secrets of Secrets Manager only, not {value_from}")
    try:
        found = secretsmanager_backends[account][region].get_secret_value(name, "", "")
    except (JsonRESTError, KeyError) as exc:
        raise ResourceMissing(f"{reason}{getattr(exc, 'message', exc)} ({name})") from exc
    text = str(found.get("SecretString", ""))
    if not key:
        return text
    try:
        return str(json.loads(text)[key])
    except (ValueError, KeyError, TypeError) as exc:
        raise ResourceMissing(f"{reason}retrieved secret did not contain json key {key}") from exc


def log_stream(account: str, region: str, group: str, name: str, *, create_group: bool) -> LogStream:
    """A stream of CloudWatch Logs, made when it is not there.

    Raises:
        ResourceMissing: there is no such group, and it may not be made.
    """
    backend = logs_backends[account][region]
    if create_group:
        backend.ensure_log_group(group)
    try:
        with contextlib.suppress(ResourceAlreadyExistsException):
            backend.create_log_stream(group, name)
    except ResourceNotFoundException as exc:
        raise ResourceMissing(
            "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 "
            "times: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log "
            f"group does not exist. ({group})"
        ) from exc
    return LogStream(backend, group, name)


def check_network(account: str, region: str, network: dict[str, Any]) -> None:
    """The subnets and security groups exist. moto would make up a group that does not.

    Raises:
        ResourceMissing: one does not.
    """
    ec2 = ec2_backends[account][region]
    known = {subnet.id for subnet in ec2.describe_subnets()}
    for subnet in network.get("subnets") or []:
        if subnet not in known:
            raise ResourceMissing(
                f"Error retrieving subnet information for [{subnet}]: The subnet ID '{subnet}' does not "
                "exist (ErrorCode: InvalidSubnetID.NotFound)"
            )
    for group in network.get("securityGroups") or []:
        if ec2.get_security_group_from_id(group) is None:
            raise ResourceMissing(
                f"Error retrieving security group information for [{group}]: The security group '{group}' "
                "does not exist (ErrorCode: InvalidGroup.NotFound)"
            )


def interface_id(task: Any) -> str | None:
    """The task's network interface."""
    for attachment in task.attachments:
        for detail in attachment["details"]:
            if detail["name"] == "networkInterfaceId":
                return str(detail["value"])
    return None


def assign_public_address(task: Any) -> None:
    """The task's network interface has a public address, as assignPublicIp asks."""
    ec2 = ec2_backends[task._account_id][task.region_name]
    interface = ec2.get_network_interface(interface_id(task) or "")
    interface.public_ip_auto_assign = True
    interface.check_auto_public_ip()


def release_network(task: Any) -> None:
    """The task's network interface is gone, as it is once a task has stopped."""
    identity = interface_id(task)
    ec2 = ec2_backends[task._account_id][task.region_name]
    if identity is not None and identity in ec2.enis:
        ec2.delete_network_interface(identity)
    for attachment in task.attachments:
        attachment["status"] = "DELETED"
