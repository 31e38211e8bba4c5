"""What the documents of the account tell an operator to type can be typed, and does what they say."""

import json
import re

from brew_assets_tests.docs.reading import ROOT, blocks, documents

TERRAFORM = ROOT / "infra" / "terraform"
INFRA = ROOT / "infra" / "README.md"
DOCKERFILE = ROOT / "infra" / "image" / "Dockerfile"
_BUILD = re.compile(r"\bdocker (?:buildx )?build\b.*")
_BUILDX_PLATFORMS = {"X86_64": "linux/amd64", "ARM64": "linux/arm64"}


def _declared(kind: str) -> dict[str, str]:
    """The root's blocks of that kind: name -> body."""
    text = "\n".join(path.read_text() for path in sorted(TERRAFORM.glob("*.tf")))
    return dict(re.findall(rf'^{kind} "(\w+)" \{{\n(.*?)^\}}', text, re.MULTILINE | re.DOTALL))


def test_images_are_built_for_the_processor_of_the_tasks_and_in_the_form_that_lambda_takes() -> None:
    default = re.search(r'default\s+= "(\w+)"', _declared("variable")["cpu_architecture"])
    assert default is not None
    lines = [line for path in documents() for block in blocks(path, "bash") for line in block.splitlines()]
    builds = [
        match[0] for line in (*lines, *DOCKERFILE.read_text().splitlines()) if (match := _BUILD.search(line))
    ]
    assert len(builds) >= 4
    for build in builds:
        assert build.startswith("docker buildx build "), build
        # Attestations make an index of the image, which Lambda refuses.
        assert "--provenance=false" in build, build
        assert f"--platform {_BUILDX_PLATFORMS[default[1]]} " in build, build
    assert "--platform linux/arm64" in INFRA.read_text()


def _shell() -> list[str]:
    """Every command of infra's documents that a shell block shows, with its continued lines."""
    found = [block for path in documents() if "infra" in path.parts for block in blocks(path, "bash")]
    return [line for block in found for line in block.replace("\\\n", " ").splitlines()]


def test_what_the_commands_read_out_of_terraform_is_an_output() -> None:
    outputs = _declared("output")
    named = [name for line in _shell() for name in re.findall(r"output (?:-raw|-json) (\w+)", line)]
    keys = re.findall(r"\.(\w+)\.value", "\n".join(_shell()))
    assert (
        {"database_identifier", "run_task_family", "private_subnet_ids"} <= {*named, *keys} <= outputs.keys()
    )


def test_what_the_commands_set_and_aim_at_exists() -> None:
    lines = "\n".join(_shell())
    assert set(re.findall(r"-var (\w+)=", lines)) <= _declared("variable").keys()
    sources = {path: path.read_text() for path in TERRAFORM.rglob("*.tf")}
    for module, kind, name in re.findall(r"module\.(\w+)(?:\[0\])?\.(\w+)\.(\w+)", INFRA.read_text()):
        folder = TERRAFORM / "modules" / module
        text = "\n".join(text for path, text in sources.items() if path.parent == folder)
        assert f'resource "{kind}" "{name}"' in text, f"{module}: {kind}.{name}"


def test_the_migration_runs_in_the_container_of_runs() -> None:
    (overrides,) = re.findall(r"--overrides '(.*?)'", "\n".join(_shell()))
    (override,) = json.loads(overrides)["containerOverrides"]
    assert override["command"] == ["dagster", "instance", "migrate"]
    tasks = (TERRAFORM / "modules" / "dagster" / "tasks.tf").read_text()
    definition = tasks[tasks.index('"aws_ecs_task_definition" "run"') :]
    names = re.findall(r'^    name\s+= "(\w+)"', definition, re.MULTILINE)
    assert names[0] == override["name"]


def test_a_destroy_first_takes_away_by_an_apply_what_works_through_the_state() -> None:
    text = INFRA.read_text()
    destroy = text[text.index("### Destroy") :]
    apply = destroy[: destroy.index("terraform -chdir=infra/terraform destroy")]
    protections = {"database_deletion_protection=false", "s3_force_destroy=true", "ecr_force_delete=true"}
    assert protections | {"secret_recovery_days=0"} <= set(re.findall(r"-var (\S+)", apply))
    assert apply.index("terraform -chdir=infra/terraform apply") < apply.index("aws ecs stop-task")


def test_every_switch_stands_with_its_default_in_terraforms_readme() -> None:
    text = (TERRAFORM / "README.md").read_text()
    switches = text[text.index("## Switches") :].split("\n\n")[1]
    on, off, follows = re.split(r" Off: |ecr_force_delete`\. ", switches)
    off += "ecr_force_delete`"
    found = {
        name: "true"
        for name in re.findall(r"`([a-z_0-9]+)`", on.replace("(with `monthly_budget_limit`)", ""))
    }
    found |= dict.fromkeys(re.findall(r"`([a-z_0-9]+)`", off), "false")
    found |= {"enable_slack_notifications": "null"} if "enable_slack_notifications" in follows else {}
    declared = {}
    for name, body in _declared("variable").items():
        default = re.search(r"^  default\s+= (\w+)$", body, re.MULTILINE)
        if re.search(r"^  type\s+= bool$", body, re.MULTILINE) and default is not None:
            declared[name] = default[1]
    assert found == declared


def test_the_example_of_a_closed_network_names_variables_and_settings() -> None:
    (example,) = blocks(INFRA, "hcl")
    named = set(re.findall(r"^(\w+) +=", example, re.MULTILINE))
    assert {"https_proxy", "ca_bundle_secret_arn", "bottle_registry_secret_arn"} <= named
    assert named <= _declared("variable").keys()
    allowed = _declared("variable")["extra_settings"]
    for setting in re.findall(r"^  ([A-Z_]+) +=", example, re.MULTILINE):
        assert f'"{setting}"' in allowed


def test_the_variables_of_the_entry_point_are_its_own() -> None:
    text = INFRA.read_text()
    section = text[text.index("### Proxies, certificates") : text.index("### Sizes")]
    named = set(re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE))
    entrypoint = (ROOT / "infra" / "image" / "entrypoint").read_text()
    assert named == set(re.findall(r"\$\{((?:CA_BUNDLE|HTTPS_PROXY)_\w+):-\}", entrypoint))
