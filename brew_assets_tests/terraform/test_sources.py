"""The sources: formatted, valid, locked, and each module's own tests with a mocked provider."""

import re
import subprocess
from pathlib import Path

import pytest

from brew_assets_tests.terraform.program import (
    SOURCES,
    Terraform,
    copy_sources,
    missing,
    modules,
    names_of_values,
    names_of_variables,
    way_out,
    without_effect,
)

pytestmark = [pytest.mark.infra, pytest.mark.timeout(900)]


def test_everything_is_formatted(terraform: Terraform) -> None:
    done = terraform.run("fmt", "-check", "-recursive", "-diff", check=False)
    assert done.code == 0, done.output


def test_the_root_is_valid_with_the_provider_that_is_locked(terraform: Terraform) -> None:
    terraform.init()
    lock = (terraform.root / ".terraform.lock.hcl").read_text()
    assert lock == (SOURCES / ".terraform.lock.hcl").read_text()
    # Machines of other kinds check the archive, this one the folder.
    assert lock.count('"zh:') >= 10
    assert '"h1:' in lock
    terraform.run("validate", "-no-color")


@pytest.mark.parametrize("name", ["", *modules()] if SOURCES.is_dir() else [])
def test_each_module_is_valid_and_its_tests_pass_with_a_mocked_provider(
    terraform: Terraform, name: str
) -> None:
    folder = terraform.root / "modules" / name if name else terraform.root
    tests = list((folder / "tests").glob("*.tftest.hcl"))
    assert tests, f"{name or 'the root'} has no test"
    terraform.init(folder)
    lock = (folder / ".terraform.lock.hcl").read_text()
    assert lock == (SOURCES / ".terraform.lock.hcl").read_text()
    # Unpacked it has 700 MB: it lies somewhere once.
    (provider,) = (folder / ".terraform" / "providers").glob("*/hashicorp/aws/*/*")
    assert provider.is_symlink()
    terraform.run("validate", "-no-color", at=folder)
    done = terraform.run("test", "-no-color", at=folder, check=False)
    assert done.code == 0, done.output[-6000:]
    passed = re.search(r"Success! (\d+) passed, 0 failed", done.output)
    assert passed is not None
    assert int(passed[1]) > 0


def test_what_an_operator_leaves_in_the_sources_is_not_taken_along(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    left = ("backend.tf", "terraform.tfstate", "envs/prod.tfvars", ".terraform/environment")
    for name in (*left, "main.tf", "envs/prod.tfvars.example"):
        (sources / name).parent.mkdir(parents=True, exist_ok=True)
        (sources / name).touch()
    copy_sources(sources, tmp_path / "copy")
    taken = {str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*.*")}
    assert taken == {"main.tf", "envs/prod.tfvars.example"}


def test_the_registry_is_reached_by_the_proxy_of_this_machine() -> None:
    proxies = {"HTTPS_PROXY": "http://proxy.example:3128", "no_proxy": "127.0.0.1"}
    assert way_out(proxies | {"AWS_PROFILE": "prod", "TF_VAR_environment": "prod"}) == proxies


@pytest.mark.parametrize("name", modules() if SOURCES.is_dir() else [])
def test_a_module_names_no_provider_and_describes_what_it_takes_and_gives(name: str) -> None:
    folder = SOURCES / "modules" / name
    text = "\n".join(path.read_text() for path in sorted(folder.glob("*.tf")))
    assert not re.search(r'^provider "', text, re.MULTILINE)
    for kind in ("variable", "output"):
        blocks = re.findall(rf'^{kind} "(\w+)" \{{\n(.*?)^\}}', text, re.MULTILINE | re.DOTALL)
        assert blocks, f"{name} has no {kind}"
        for block, body in blocks:
            assert "description" in body, f"{name}: {kind} {block}"
            assert kind == "output" or re.search(r"^  type\s+=", body, re.MULTILINE), f"{name}: {block}"


def test_no_leftover_of_terraform_is_kept_with_the_sources() -> None:
    """An operator's own are his: git leaves them out."""
    listed = subprocess.run(
        ["git", "ls-files", "--", str(SOURCES)], cwd=SOURCES, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        missing("the project does not lie in a clone of its repository")
    kept = [Path(line) for line in listed.stdout.splitlines()]
    assert Path("main.tf") in kept
    suffixes = (".tfstate", ".tfvars", ".tfplan", ".backup")
    left = [path for path in kept if ".terraform" in path.parts or path.suffix in suffixes]
    assert left == []
    assert [path for path in kept if path.name == "backend.tf"] == []
    assert [path for path in kept if path.name == ".terraform.lock.hcl"] == [Path(".terraform.lock.hcl")]


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_examples_set_only_what_there_is(environment: str) -> None:
    example = (SOURCES / "envs" / f"{environment}.tfvars.example").read_text()
    named = names_of_values(example)
    assert named
    assert named <= names_of_variables()


# The configuration table of the system that was asked for.
ASKED_FOR = {
    "aws_region",
    "environment",
    "s3_bucket_name",
    "slack_webhook_url",
    "size_threshold_gb",
    "enable_notifications",
    "schedule_expression",
    "external_hash_file_s3_key",
    "external_hash_file_s3_bucket",
    "external_hash_file_url",
}


def test_every_variable_that_was_asked_for_exists() -> None:
    assert names_of_variables() >= ASKED_FOR
    example = (SOURCES / "envs" / "prod.tfvars.example").read_text()
    # 44 values of the production example, the replaced ones and those in comments among them.
    assert len(re.findall(r"^(?:#   )?\w+\s+=", example, re.MULTILINE)) >= 44


def test_variables_without_effect_say_what_took_their_place() -> None:
    table = (SOURCES / "README.md").read_text()
    silent = without_effect()
    assert "lambda_orchestrator_memory_size" in silent
    assert [name for name in silent if f"`{name}`" not in table] == []
