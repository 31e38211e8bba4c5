"""What README, docs and CI name exists, and the examples work."""

import importlib.util
import itertools
import json
import re
from pathlib import Path

import click
import dagster as dg
import msgspec
import pytest
import yaml
from click.testing import CliRunner

from brew_assets import errors
from brew_assets.adapters.directory_store.rooted_files import MOST_NESTED
from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.domain.batch import BATCH_PREFIX, DirectRequest, decode_event
from brew_assets.domain.left_out import LeftOut
from brew_assets.domain.manifest import BACKUPS_KEPT, decode_manifest
from brew_assets.domain.object_keys import BACKUP_PREFIX, INDEX_PREFIX, MANIFEST_KEY
from brew_assets.domain.report import REPORT_PREFIX
from brew_assets.domain.skip_list import MAX_HASH_FILE_BYTES, decode_hash_file
from brew_assets.engine.catalogue_cache import CATALOGUE_PREFIX
from brew_assets.engine.coordination import RUN_PREFIX
from brew_assets.engine.judged_indexes import JUDGED_KEY
from brew_assets.engine.record.identify import PLAN_PREFIX
from brew_assets.engine.record.journal import RECEIPT_PREFIX, REJECTED_PREFIX
from brew_assets.engine.transfer.verdicts import CANARY_KEY
from brew_assets.runtimes import cli, context
from brew_assets.settings import REPLACED, Settings, read_settings
from brew_assets_tests.docs.reading import (
    CONTRIBUTING,
    HASH_FILES,
    README,
    ROOT,
    blocks,
    code_of,
    commands,
    documents,
    links,
    name_of,
    project_files,
    spans,
    table,
)
from brew_assets_tests.docs.settings_table import renewed, shown_table
from tools import screenshots

SETTINGS = {field.encode_name for field in msgspec.structs.fields(Settings)} | set(REPLACED)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
# What AWS's own library reads of the environment, besides credentials.
_OF_AWS = {"AWS_DEFAULT_REGION"}
_VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
DOCUMENTS = pytest.mark.parametrize("path", documents(), ids=name_of)


def test_the_settings_table_of_the_readme_is_the_one_of_the_code() -> None:
    text = README.read_text(encoding="utf-8")
    assert renewed(text) == text, "renew it: python -m brew_assets_tests.docs.settings_table"
    assert [name for name in SETTINGS if f"| `{name}` |" not in shown_table(text)] == []


@DOCUMENTS
def test_every_make_target_that_is_named_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
    named = {words[1] for words in commands(path) if len(words) > 1 and words[0] == "make"}
    assert named <= targets


def test_the_readme_begins_with_the_commands_that_need_nothing_before_them() -> None:
    assert [words[:2] for words in commands(README) if words][:2] == [["make", "demo"], ["make", "test"]]


@DOCUMENTS
def test_every_brew_mirror_command_line_can_be_read(path: Path) -> None:
    for words in commands(path):
        places = [number for number, word in enumerate(words) if word.endswith("brew-mirror")]
        for place in places:
            _parse(cli.cli, words[place + 1 :])


def _parse(command: click.Command, words: list[str], above: click.Context | None = None) -> None:
    """Returns when command, subcommands and options exist; values are not looked at."""
    # A command keeps the help option that the first context gave it.
    context = click.Context(command, above, info_name=command.name, **command.context_settings)
    _, rest, _ = command.make_parser(context).parse_args(list(words))
    if isinstance(command, click.Group) and rest:
        below = command.get_command(context, rest[0])
        assert below is not None, f"{command.name} has no command {rest[0]}"
        _parse(below, rest[1:], context)
    else:
        assert rest == [], f"{command.name} takes no {rest}"


def test_the_readme_shows_every_command() -> None:
    shown = {" ".join(words) for words in commands(README)}
    for name, command in cli.cli.commands.items():
        below = command.commands if isinstance(command, click.Group) else {"": command}
        for suffix in below:
            assert any(f"{name} {suffix}".strip() in line for line in shown), f"{name} {suffix}"


@DOCUMENTS
def test_every_module_that_is_started_exists(path: Path) -> None:
    for words in commands(path):
        for before, module in itertools.pairwise(words):
            assert before != "-m" or importlib.util.find_spec(module), module


@DOCUMENTS
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for target in links(path):
        if not target.startswith(("https://", "#")):
            assert (path.parent / target.partition("#")[0]).exists(), target


def test_the_pictures_of_the_readme_are_pictures() -> None:
    pictures = [target for target in links(README) if target.endswith(".png")]
    assert "docs/images/asset-graph.png" in pictures
    for target in pictures:
        assert (ROOT / target).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize("path", [README, HASH_FILES], ids=name_of)
def test_every_environment_variable_that_is_named_is_a_setting(path: Path) -> None:
    code = "\n".join([*spans(path), *blocks(path, "bash")])
    assert set(_VARIABLE.findall(code)) <= SETTINGS | _OF_AWS


def test_the_exit_codes_of_the_readme_are_those_of_the_command_line() -> None:
    rows = table(README, "Code", "Meaning")
    assert [code for code, _ in rows] == ["0", str(context.EXIT_FAILED), str(context.EXIT_CANNOT_RUN)]
    for code, meaning in rows:
        own_words = re.split(r"[:;]", meaning)[0]
        assert f"{code} {own_words}" in (cli.__doc__ or "")


def test_what_the_readme_says_is_left_out_has_the_names_of_the_json() -> None:
    named = {
        name for row in table(README, "In `left_out`", "What is not mirrored") for name in code_of(row[0])
    }
    assert {name for name in named if name not in LeftOut.__struct_fields__} == set()
    assert {"rejected", "skipped_bottles", "disabled", "excluded", "unserved"} <= named


def test_the_layout_of_the_readme_is_that_of_the_code(tmp_path: Path) -> None:
    keys = {code_of(row[0])[0] for row in table(README, "Key", "What it is")}
    bottles = {key for key in keys if key.startswith("YYYY-MM-DD/")}
    assert len(bottles) == 1
    assert keys - bottles == {
        MANIFEST_KEY,
        BACKUP_PREFIX,
        CANARY_KEY,
        PLAN_PREFIX,
        RECEIPT_PREFIX,
        REJECTED_PREFIX,
        BATCH_PREFIX,
        REPORT_PREFIX,
        RUN_PREFIX,
        CATALOGUE_PREFIX,
        INDEX_PREFIX,
        JUDGED_KEY,
    }
    assert f"the last {BACKUPS_KEPT} manifests" in README.read_text(encoding="utf-8")
    store = DirectoryStore(tmp_path)
    store.prepare()
    store.write(MANIFEST_KEY, b"{}")
    hidden = {f"{path.name}/" if path.is_dir() else path.name for path in tmp_path.glob(".*")}
    assert hidden == {".incoming/", ".lock"}
    assert hidden <= set(spans(README))
    assert f"folders nested deeper than {MOST_NESTED}." in README.read_text(encoding="utf-8")


# What a deployment of the system that this one replaces had in its environment.
DEPLOYED_VARIABLES = (
    "S3_BUCKET_NAME",
    "SLACK_WEBHOOK_SECRET_NAME",
    "SIZE_THRESHOLD_GB",
    "AWS_REGION",
    "ECS_CLUSTER_NAME",
    "ECS_TASK_DEFINITION",
    "LAMBDA_SYNC_FUNCTION",
    "ECS_SUBNETS",
    "ECS_SECURITY_GROUPS",
    "LOG_LEVEL",
    "TARGET_PLATFORMS",
    "MAX_CONCURRENT_DOWNLOADS",
    "RETRY_ATTEMPTS",
    "DOWNLOAD_TIMEOUT_SECONDS",
    "TEMP_DIR",
    "DOWNLOAD_CONCURRENCY",
    "TEMP_STORAGE_PATH",
    "EFS_MOUNT_PATH",
    "PROGRESS_UPDATE_INTERVAL",
    "BATCH_SIZE",
    "MAX_DOWNLOAD_SIZE_GB",
    "RETRY_DELAY_SECONDS",
)


def test_every_variable_of_older_deployments_is_a_setting_or_says_what_replaced_it() -> None:
    rows = {code_of(row[0])[0]: row for row in table(README, "Variable", "Default", "Meaning")}
    for name in DEPLOYED_VARIABLES:
        assert name in rows, name
        assert len(rows[name][2]) > 10
    example = {
        "S3_BUCKET_NAME": "homebrew-bottles-prod",
        "SIZE_THRESHOLD_GB": "20",
        "AWS_REGION": "us-east-1",
        "ECS_CLUSTER_NAME": "homebrew-sync",
        "ECS_TASK_DEFINITION": "homebrew-bottles-sync:1",
        "LAMBDA_SYNC_FUNCTION": "homebrew-sync-worker",
        "ECS_SUBNETS": "subnet-12345678,subnet-87654321",
        "ECS_SECURITY_GROUPS": "sg-abcdef123",
        "TARGET_PLATFORMS": "arm64_sonoma,arm64_ventura,monterey",
        "DOWNLOAD_CONCURRENCY": "5",
        "PROGRESS_UPDATE_INTERVAL": "300",
        "MAX_DOWNLOAD_SIZE_GB": "100",
        "RETRY_DELAY_SECONDS": "30",
    }
    settings = read_settings(example)
    assert settings.mirror_url == "s3://homebrew-bottles-prod"
    assert settings.ecs_subnets == ("subnet-12345678", "subnet-87654321")
    assert (settings.download_concurrency, settings.max_download_size_gb) == (5, 100.0)


def test_a_bucket_and_another_mirror_url_contradict_each_other() -> None:
    with pytest.raises(errors.SettingsInvalid, match="S3_BUCKET_NAME"):
        read_settings({"S3_BUCKET_NAME": "one", "MIRROR_URL": "s3://two/brew"})
    both = read_settings({"S3_BUCKET_NAME": "one", "MIRROR_URL": "s3://one/brew"})
    assert both.mirror_url == "s3://one/brew"


def test_the_event_of_the_readme_is_one_that_the_lambda_takes() -> None:
    (block,) = [block for block in blocks(README, "json") if "formulas" in block]
    request = decode_event(json.loads(block))
    assert isinstance(request, DirectRequest)
    assert [planned.bottle.formula for planned in request.objects] == ["jq"]


def _subclasses(error: type[errors.MirrorError]) -> list[type[errors.MirrorError]]:
    return [error, *(found for below in error.__subclasses__() for found in _subclasses(below))]


def test_the_reasons_that_the_readme_explains_are_those_of_the_errors() -> None:
    known = {error.reason for error in _subclasses(errors.MirrorError)}
    named = {reason for row in table(README, "Reason", "Meaning") for reason in code_of(row[0])}
    assert named <= known


def test_the_run_config_of_the_readme_is_accepted_by_the_job() -> None:
    from brew_assets.definitions import defs

    (example,) = blocks(README, "yaml")
    assert dg.validate_run_config(defs.resolve_job_def("selective_sync"), yaml.safe_load(example))


def test_the_examples_of_external_hash_files_are_read_as_described() -> None:
    *good, bad = (decode_hash_file(block.encode()) for block in blocks(HASH_FILES, "json"))
    assert [len(listed.digests) for listed in good] == [2, 1, 1]
    assert [listed.rejected for listed in good] == [0, 0, 0]
    assert (len(bad.digests), bad.rejected) == (1, 3)


def test_the_manifest_that_the_docs_show_is_one() -> None:
    (example,) = (block for block in blocks(HASH_FILES, "json") if "sync_version" in block)
    assert len(decode_manifest(example.encode(), sealed=False)) == 1


def test_the_limit_of_hash_files_is_the_one_of_the_code() -> None:
    assert f"{MAX_HASH_FILE_BYTES // 1024**2} MiB" in HASH_FILES.read_text(encoding="utf-8")


def test_every_decision_is_listed_once_and_numbered_in_order() -> None:
    records = sorted(path.name for path in (ROOT / "docs" / "adr").glob("0*.md"))
    assert [
        row.split("](")[1].rstrip(")") for row, _ in table(ROOT / "docs/adr/README.md", "No.", "Decision")
    ] == (records)
    assert [int(name[:4]) for name in records] == list(range(1, len(records) + 1))
    for name in records:
        headings = re.findall(
            r"^#+ (.*)$", (ROOT / "docs" / "adr" / name).read_text(encoding="utf-8"), re.MULTILINE
        )
        assert headings[0].startswith(name[:4])
        assert headings[1:] == ["Context", "Decision", "Consequences"]


def test_ci_runs_the_checks_and_the_tests() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert "make check" in lines
    assert "make test" in lines
    assert "`.ci/run`" in CONTRIBUTING.read_text(encoding="utf-8")


def test_no_file_names_a_machines_folders_or_a_package_index() -> None:
    folders = "|".join(f"/{name}/" for name in ("work", "root", "Users", "home(?!/linuxbrew)"))
    hosts = r"pypi\.org|pythonhosted|npmjs\.|(?<!-emit-)index-url"
    forbidden = re.compile(rf"(?<![\w.$}}>])(?:{folders})|{hosts}".encode())
    found = []
    for path in project_files():
        data = path.read_bytes()
        if b"\0" not in data and path != Path(__file__):
            found += [f"{name_of(path)}: {match[0].decode()}" for match in forbidden.finditer(data)]
    assert found == []


def test_pictures_cannot_be_taken_without_a_browser_and_the_message_says_how_to_get_one() -> None:
    done = CliRunner().invoke(screenshots.main, ["--chromium", "no-such-browser"])
    assert done.exit_code == screenshots.EXIT_CANNOT_RUN
    assert "apt-get install chromium" in done.output
