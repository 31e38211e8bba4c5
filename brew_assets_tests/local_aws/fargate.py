"""What ECS demands of a Fargate task. Pure: no process and no moto here."""

import json
from typing import Any

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
_MEMORY_MIB = {
    256: [512, 1024, 2048],
    512: list(range(1024, 4096 + 1, 1024)),
    1024: list(range(2048, 8192 + 1, 1024)),
    2048: list(range(4096, 16_384 + 1, 1024)),
    4096: list(range(8192, 30_720 + 1, 1024)),
    8192: list(range(16_384, 61_440 + 1, 4096)),
    16_384: list(range(32_768, 122_880 + 1, 8192)),
}
PROVIDERS = ("FARGATE", "FARGATE_SPOT")
DEFAULT_STORAGE_GIB = 20
MOST_OVERRIDES_CHARACTERS = 8192
DEFAULT_STOP_TIMEOUT_S = 30
MOST_STOP_TIMEOUT_S = 120

Document = dict[str, Any]


class Refused(Exception):
    """What ECS would answer InvalidParameterException to; the message is for its caller."""


def units(value: str | int | None, *, per_whole: int) -> int | None:
    """CPU units or MiB from "256", ".25 vCPU" or "2 GB"; None for what is none of these."""
    text = str(value or "").strip().lower()
    for suffix in ("vcpu", "gb"):
        if text.endswith(suffix):
            text, scale = text.removesuffix(suffix).strip(), per_whole
            break
    else:
        scale = 1
    try:
        return int(float(text) * scale)
    except ValueError:
        return None


def check_size(cpu: str | int | None, memory: str | int | None) -> None:
    """Fargate has machines of this size.

    Raises:
        Refused: it has not.
    """
    units_of_cpu, mib = units(cpu, per_whole=1024), units(memory, per_whole=1024)
    if units_of_cpu is None:
        raise Refused("Fargate requires that 'cpu' be defined at the task level.")
    if mib is None:
        raise Refused("Fargate requires that 'memory' be defined at the task level.")
    if mib not in _MEMORY_MIB.get(units_of_cpu, []):
        raise Refused(
            f"No Fargate configuration exists for given values: {units_of_cpu} CPU, {mib} memory. "
            "See the Amazon ECS documentation for the valid values."
        )


def storage_gib(document: Document | None) -> int:
    """The size of the task's disk.

    Raises:
        Refused: not within 21 and 200.
    """
    if not document:
        return DEFAULT_STORAGE_GIB
    size = int(document.get("sizeInGiB", 0))
    if not 21 <= size <= 200:
        raise Refused(f"Invalid ephemeral storage setting: sizeInGiB is {size}, must be between 21 and 200.")
    return size


def check_overrides(overrides: Document | None, containers: list[Document]) -> None:
    """The overrides are short enough and name a container that there is.

    Raises:
        Refused: they are not.
    """
    if not overrides:
        return
    length = len(json.dumps(overrides, separators=(",", ":"), ensure_ascii=False))
    if length > MOST_OVERRIDES_CHARACTERS:
        raise Refused(f"Container Overrides length must be at most {MOST_OVERRIDES_CHARACTERS}")
    names = {container["name"] for container in containers}
    for override in overrides.get("containerOverrides") or []:
        if override.get("name") not in names:
            raise Refused(
                f"Override for container named {override.get('name')} is not a container in the "
                "TaskDefinition."
            )


def only_container(containers: list[Document]) -> Document:
    """The task's one container.

    Raises:
        Refused: there are several, or it is not essential. Local AWS runs no sidecars.
    """
    if len(containers) != 1:
        raise Refused(f"Local AWS runs tasks of exactly one container, not {len(containers)}.")
    if not containers[0].get("essential", True):
        raise Refused("A task definition must have at least one essential container.")
    return containers[0]


def providers(strategy: list[Document], *, known: list[str], count: int) -> list[str]:
    """The capacity provider of each of `count` tasks: the base first, then by weight.

    Raises:
        Refused: a provider that the cluster does not have, or several without any weight.
    """
    for item in strategy:
        if item["capacityProvider"] not in PROVIDERS:
            raise Refused(f"The specified capacity provider {item['capacityProvider']} was not found.")
        if item["capacityProvider"] not in known:
            raise Refused(
                "The specified capacity provider strategy cannot contain a capacity provider that is not "
                "associated with the cluster. Associate the capacity provider with the cluster and try again."
            )
    weights = {item["capacityProvider"]: int(item.get("weight", 0)) for item in strategy}
    if not any(weights.values()):
        if len(weights) > 1:
            raise Refused("The specified capacity provider strategy must have a weight greater than 0.")
        weights = dict.fromkeys(weights, 1)
    chosen: list[str] = []
    for item in strategy:
        chosen += [item["capacityProvider"]] * int(item.get("base", 0))
    shares = dict.fromkeys(weights, 0)
    while len(chosen) < count:
        # Whoever is furthest behind its share is next.
        name = min((n for n in weights if weights[n]), key=lambda n: (shares[n] / weights[n], -weights[n]))
        shares[name] += 1
        chosen.append(name)
    return chosen[:count]


def command_of(container: Document, override: Document) -> list[str]:
    """What is run: the entry point, then the override's command or else the container's."""
    command = override.get("command") or container.get("command") or []
    return [*(container.get("entryPoint") or []), *command]


def environment_of(container: Document, override: Document) -> dict[str, str]:
    """The variables of the definition and, over them, those of the override."""
    pairs = [*(container.get("environment") or []), *(override.get("environment") or [])]
    return {pair["name"]: pair["value"] for pair in pairs}


def stop_timeout_s(container: Document) -> int:
    """Seconds between SIGTERM and SIGKILL."""
    return min(int(container.get("stopTimeout") or DEFAULT_STOP_TIMEOUT_S), MOST_STOP_TIMEOUT_S)


def secret_reference(value_from: str) -> tuple[str, str]:
    """The secret's name or ARN and the JSON key in it, "" for the whole secret."""
    if not value_from.startswith("arn:"):
        return value_from, ""
    parts = value_from.split(":")
    return ":".join(parts[:7]), parts[7] if len(parts) > 7 else ""
