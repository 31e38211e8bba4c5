"""The root applied with mocked providers: what variables make of each resource, without any account."""

import json
from typing import Any

import msgspec

from brew_assets_tests.terraform.program import Terraform

# Mocks give each resource of a type the same ARN; where policies tell them apart, so must these.
_TEST = """
mock_provider "aws" {
  source = "./tests/mocks"
}
override_resource {
  target = module.s3.aws_s3_bucket.logs
  values = { arn = "arn:aws:s3:::test-bucket-logs" }
}
override_resource {
  target = module.eventbridge.aws_sqs_queue.triggers
  values = { arn = "arn:aws:sqs:us-west-2:123456789012:mirror-wired-triggers" }
}
override_resource {
  target = module.eventbridge.aws_sqs_queue.dead_letters
  values = { arn = "arn:aws:sqs:us-west-2:123456789012:dead-letters" }
}
override_resource {
  target = module.notifications.aws_sns_topic.this["security"]
  values = { arn = "arn:aws:sns:us-west-2:123456789012:security" }
}
override_resource {
  target = module.notifications.aws_sns_topic.this["alerts"]
  values = { arn = "arn:aws:sns:us-west-2:123456789012:alerts" }
}
run "applied" {
  variables {
VALUES
  }
}
"""


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One resource of the state."""

    address: str
    kind: str
    values: dict[str, Any]


class Mocked(msgspec.Struct, frozen=True, kw_only=True):
    """A root as it was applied."""

    resources: dict[str, Resource]
    outputs: dict[str, Any]

    def value(self, address: str, *path: str | int) -> Any:
        """What stands in an attribute of the resource; a number goes into a list.

        Raises:
            KeyError: there is no such resource or attribute.
        """
        found: Any = self.resources[f"module.{address}"].values
        for step in path:
            found = found[step]
        return found

    def of_kind(self, *kinds: str) -> list[Resource]:
        """All resources of these types."""
        return [resource for resource in self.resources.values() if resource.kind in kinds]


def apply_mocked(terraform: Terraform, values: str) -> Mocked:
    """The root with these values, which are written as in a file of variables."""
    (terraform.root / "tests" / "mocked.tftest.hcl").write_text(_TEST.replace("VALUES", values))
    terraform.init()
    command = ("test", "-json", "-verbose", "-filter=tests/mocked.tftest.hcl")
    done = terraform.run(*command, check=False)
    told = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    wrong = [m["diagnostic"] for m in told if m.get("diagnostic", {}).get("severity") == "error"]
    assert done.code == 0, wrong
    (state,) = [message["test_state"] for message in told if message["type"] == "test_state"]
    resources = {}
    waiting = [state["root_module"]]
    while waiting:
        module = waiting.pop()
        waiting += module.get("child_modules", [])
        for found in module.get("resources", []):
            if found["mode"] == "managed":
                address = found["address"]
                resources[address] = Resource(address=address, kind=found["type"], values=found["values"])
    outputs = {name: output.get("value") for name, output in state["outputs"].items()}
    return Mocked(resources=resources, outputs=outputs)
