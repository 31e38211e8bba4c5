"""Programs that judge the configuration, in an environment of their own: they pin other versions of boto3."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from brew_assets_tests.terraform.program import SOURCES, missing

ENVIRONMENT = SOURCES.parents[1] / ".venv-infra"
_PARLIAMENT = """
import json, sys
from parliament import analyze_policy_string
found = {}
for name, text in json.load(sys.stdin).items():
    analyzed = analyze_policy_string(text)
    found[name] = sorted({f"{f.issue} {f.detail}" for f in analyzed.findings})
print(json.dumps(found))
"""


def program(name: str) -> Path:
    """A program of the environment; without it the test ends here."""
    path = ENVIRONMENT / "bin" / name
    if not path.exists():
        missing(f"{name} is not installed: make test-infra prepares .venv-infra")
    return path


def checkov() -> dict[str, Any]:
    """What checkov found, with the skips of the configuration's own file."""
    done = subprocess.run(
        [
            str(program("checkov")),
            *("--directory", str(SOURCES), "--config-file", str(SOURCES / ".checkov.yaml")),
            *("--framework", "terraform", "--skip-download", "--quiet", "--compact", "--output", "json"),
        ],
        capture_output=True,
        text=True,
        timeout=800,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/tmp"), "LOG_LEVEL": "ERROR"},
        check=False,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def parliament(policies: dict[str, str]) -> dict[str, list[str]]:
    """What parliament finds in each policy: a finding's kind, and its detail."""
    done = subprocess.run(
        [str(program("python")), "-c", _PARLIAMENT],
        input=json.dumps(policies),
        capture_output=True,
        text=True,
        timeout=800,
        check=True,
    )
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found
