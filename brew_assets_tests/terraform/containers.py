"""What the task definitions start, beside the image's entry point and what webserver and daemon load."""

import re
from typing import Any

import yaml
from dagster._cli.api import api_cli
from dagster._daemon.cli import create_dagster_daemon_cli

from brew_assets_tests.docs.reading import ROOT

_ENTRYPOINT = (ROOT / "infra" / "image" / "entrypoint").read_text()
_PROGRAM = "/opt/brew-assets/entrypoint"
# Container -> the word that starts it.
WORDS = {"webserver": "webserver", "daemon": "daemon", "code": "code-server"}


def words() -> set[str]:
    """The entry point's own words for programs."""
    return set(re.findall(r"^  ([a-z-]+)\)", _ENTRYPOINT, re.MULTILINE))


def assert_starts(containers: dict[str, dict[str, Any]]) -> None:
    """Each container starts what its name says, listens where others look for it, and is asked how it is."""
    assert containers.keys() == {*WORDS, "run"}
    assert f'ENTRYPOINT ["{_PROGRAM}"]' in (ROOT / "infra" / "image" / "Dockerfile").read_text()
    instance = yaml.safe_load((ROOT / "infra" / "dagster" / "dagster.yaml").read_text())
    assert instance["run_launcher"]["config"]["container_name"] == containers["run"]["name"] == "run"
    assert containers["run"].get("portMappings", []) == []
    for name, word in WORDS.items():
        assert word in words()
        assert containers[name]["command"][0] == word
        assert "entryPoint" not in containers[name]
    _assert_webserver(containers["webserver"])
    _assert_daemon(containers["daemon"])
    _assert_code(containers)


def _assert_webserver(container: dict[str, Any]) -> None:
    (port,) = re.findall(r"exec dagster-webserver .*-p (\d+)", _ENTRYPOINT)
    assert _ports(container) == [int(port)]
    kind, *command = container["healthCheck"]["command"]
    assert (kind, command[:3]) == ("CMD", [_PROGRAM, "python", "-c"])
    compile(command[3], "health check", "exec")
    assert re.findall(r"http://[^']+", command[3]) == [f"http://127.0.0.1:{port}/server_info"]
    _assert_logs_in(container, command[3])


def _assert_daemon(container: dict[str, Any]) -> None:
    assert _ports(container) == []
    assert container["healthCheck"]["command"] == ["CMD", _PROGRAM, "dagster-daemon", "liveness-check"]
    assert "liveness-check" in create_dagster_daemon_cli().commands


def _assert_code(containers: dict[str, dict[str, Any]]) -> None:
    (port,) = _ports(containers["code"])
    kind, command = containers["code"]["healthCheck"]["command"]
    asks, logs_in = command.split(" && ")
    assert (kind, asks) == ("CMD-SHELL", f"{_PROGRAM} dagster api grpc-health-check -p {port}")
    assert "grpc-health-check" in api_cli.commands
    program = re.fullmatch(rf'{_PROGRAM} python -c "(.+)"', logs_in)
    assert program is not None
    compile(program[1], "health check", "exec")
    _assert_logs_in(containers["code"], program[1])
    # It listens where the entry point is told to, and webserver and daemon look there.
    assert f'DAGSTER_CODE_SERVER_PORT="${{DAGSTER_CODE_SERVER_PORT:-{port}}}"' in _ENTRYPOINT
    assert '-p "$DAGSTER_CODE_SERVER_PORT"' in _ENTRYPOINT
    workspace = yaml.safe_load((ROOT / "infra" / "dagster" / "workspace.yaml").read_text())
    server = workspace["load_from"][0]["grpc_server"]
    for name in ("webserver", "daemon", "code"):
        environment = _environment(containers[name])
        assert environment[server["port"]["env"]] == str(port)
        assert environment[server["host"]["env"]].startswith("code.")


def _assert_logs_in(container: dict[str, Any], program: str) -> None:
    """The check reads no variable that the container lacks."""
    secrets = {pair["name"] for pair in container["secrets"]}
    named = set(re.findall(r"e\['(\w+)'\]", program))
    assert named
    assert named <= _environment(container).keys() | secrets


def _environment(container: dict[str, Any]) -> dict[str, str]:
    return {pair["name"]: pair["value"] for pair in container["environment"]}


def _ports(container: dict[str, Any]) -> list[int]:
    return [mapping["containerPort"] for mapping in container.get("portMappings", [])]
