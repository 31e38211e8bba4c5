# ruff: noqa: E501  lines of output are compared whole
"""A new user's session: each command, and the mistakes that people make with it. All of the output is compared.

Only what varies is evened out: ids, times, ports, places, and what an operating system calls a failure.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest

from brew_assets.simulator import Fault, Simulator
from brew_assets_tests.integration.mirrors import PROGRAM, DirectoryMirror
from brew_assets_tests.ports import free_ports

PLATFORM = ("--platform", "arm64_sonoma")
_EVENED: tuple[tuple[str, str], ...] = (
    (r"\d{8}T\d{6}(?:\d{6})?Z-[0-9a-f]{8}", "<sync>"),
    (r"\d{4}-\d{2}-\d{2}T\d{2}:?\d{2}:?\d{2}(\.\d+)?Z", "<time>"),
    (r"\d{4}-\d{2}-\d{2}(?=\s)", "<date>    "),
    (r"127\.0\.0\.1:\d+", "<host>"),
    (r"in \d+\.\d s", "in <s> s"),
    (r"(?<=formula\.json: ).*?(?=; check)", "<why>"),
    (r"ConnectionRefusedError: \[Errno \d+\] Connection refused", "<why>"),
    (r"(?<=cannot be had: ).*?(?=; check)", "<why>"),
)


class Session:
    """What somebody types, and what stands on the screen then, standard error behind "! "."""

    def __init__(self, mirror: DirectoryMirror, upstream: Simulator) -> None:
        self._mirror, self._upstream = mirror, upstream

    def type(self, *arguments: str, code: int = 0, **variables: str) -> list[str]:
        """The lines of both streams, through pipes, after the command has ended with that exit code."""
        done = self._mirror.run(self._upstream, *arguments, **variables)
        assert done.returncode == code, done.stdout + done.stderr
        # How long an answer takes is this machine's matter; there are stories of their own about waits.
        said = (line for line in self._even(done.stderr) if " Waiting for " not in line)
        return [*self._even(done.stdout), *(f"! {line}" for line in said)]

    def _even(self, text: str) -> list[str]:
        text = text.replace(str(self._mirror.root), "<mirror>")
        lines = [_in_short(line) for line in text.splitlines()]
        for pattern, instead in _EVENED:
            lines = [re.sub(pattern, instead, line) for line in lines]
        return lines


def _in_short(line: str) -> str:
    if not line.startswith('{"timestamp"'):
        return line
    fields = json.loads(line)
    return f"{fields['level']} {fields['message']}"


@pytest.fixture
def session(mirror: DirectoryMirror, upstream: Simulator) -> Session:
    return Session(mirror, upstream)


def test_from_the_first_plan_to_a_backup(session: Session) -> None:
    assert session.type("plan", *PLATFORM) == [
        "Plan of sync <sync>",
        "Platform      Bottles  To download  Unknown sizes",
        "arm64_sonoma        3      12.0 KB              0",
        "To store: 3 bottles. To download: 3, 12.0 KB. Held: 0. Skipped: 0.",
        "Copy it with: brew-mirror sync --plan <sync>",
    ]
    assert session.type("sync", *PLATFORM, "--formula", "jq") == [
        "Sync <sync>: success. Stored 1 bottles (1 downloaded, 0 copied inside the store), kept 0, failed 0, "
        "left 0: 1 planned. Downloaded 4.0 KB in <s> s.",
        "Held now: 1 bottles in <mirror>/",
        "Not published: 2 bottles lack that the API names and this mirror is meant to hold. `brew-mirror sync` "
        "brings them.",
        "! INFO sync begins",
        "! INFO folded",
        "! INFO sync ends",
    ]
    assert session.type("--quiet", "sync", *PLATFORM) == [
        "Sync <sync>: success. Stored 2 bottles (2 downloaded, 0 copied inside the store), kept 0, failed 0, "
        "left 0: 2 planned. Downloaded 8.0 KB in <s> s.",
        "Held now: 3 bottles in <mirror>/",
        "Published <sync>: 3 bottles (12.0 KB), 3 indexes, API files for arm64_sequoia, arm64_sonoma, "
        "arm64_tahoe.",
    ]
    assert session.type("verify", "--platform", "sonoma", code=2) == [
        "! Error: platforms: expected tags of recorded bottles (arm64_sonoma), found 'sonoma'"
    ]
    assert session.type("verify") == [
        "Checked 3: 3 current, 0 missing, 0 wrong, 0 unreadable; repaired 0.",
        "Held: 3 bottles, 3 of them servable.",
    ]
    assert session.type("status") == [
        "Store: <mirror>/",
        "Held: 3 bottles, 12.0 KB in the manifest (written: <time>)",
        "Servable: 3 bottles",
        "Catalogue: 3 formulae, 3 bottles, fetched <time>",
        "By tag",
        "              Bottles     Size",
        "arm64_sonoma        3  12.0 KB",
        "By date",
        "            Bottles     Size",
        "<date>            3  12.0 KB",
        "Backups of the manifest: 2",
    ]
    assert session.type("manifest", "backups") == [
        "Backups in <mirror>/",
        "Key                                                  Written at            Bottles  Size   "
        "Can be restored",
        "backups/bottles_hash/<time>.json  <time>  1        762 B  yes",
        "backups/bottles_hash/<time>.json  <time>  0        254 B  yes",
        "Put one back with: brew-mirror manifest restore --backup KEY",
    ]
    found = json.loads("".join(session.type("manifest", "backups", "--json")))
    assert [(backup["entries"], backup["why_invalid"]) for backup in found["backups"]] == [(1, ""), (0, "")]


def test_commands_to_be_copied_repeat_the_options_before_them(
    mirror: DirectoryMirror, upstream: Simulator, tmp_path: Path
) -> None:
    place = str(tmp_path / "a mirror")
    planned = mirror.run(upstream, "--mirror", place, "plan", *PLATFORM).stdout.splitlines()[-1]
    command = planned.removeprefix("Copy it with: ")
    assert command.startswith(f"brew-mirror --mirror '{place}' sync --plan 2")
    copied = subprocess.run(
        ["sh", "-c", command.replace("brew-mirror", PROGRAM, 1)],
        env=mirror.environment(upstream),
        capture_output=True,
        check=True,
        text=True,
    )
    assert f"Held now: 3 bottles in {place}/" in copied.stdout
    nowhere = mirror.run(upstream, "--mirror", str(tmp_path / "no"), "--quiet", "status")
    assert f"`brew-mirror --mirror {tmp_path / 'no'} --quiet sync` makes a mirror." in nowhere.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (
            ("sync", "--formula", "jq", "--formula", "ripgrp", "--formula", "nope"),
            {},
            "formula 'ripgrp' is not in the catalogue; did you mean ripgrep?; formula 'nope' is not in the "
            "catalogue",
        ),
        (
            ("plan", "--platform", "arm64_sonmoa", "--platform", "x"),
            {},
            "platform 'arm64_sonmoa' is not known (did you mean arm64_sonoma?); platform 'x' is not known; "
            "`brew-mirror platforms` lists all",
        ),
        (
            ("plan", "--platform", "ARM64_Sonoma", "--platform", "sonoma,ventura"),
            {},
            "platform 'ARM64_Sonoma' is not known (did you mean arm64_sonoma?); platform 'sonoma,ventura' is not "
            "known (did you mean each by itself: sonoma, ventura?); `brew-mirror platforms` lists all",
        ),
        (
            ("sync", "--formula", "jq wget", "--formula", "RipGrep"),
            {},
            "formula 'jq wget' is not in the catalogue; did you mean each by itself: jq, wget?; formula 'RipGrep' is "
            "not in the catalogue; did you mean ripgrep?",
        ),
        (
            ("plan",),
            {"TARGET_PLATFORMS": "sonoma arm64_tahoe"},
            "TARGET_PLATFORMS: expected tags that `brew-mirror platforms` lists, found 'sonoma arm64_tahoe' (did "
            "you mean sonoma,arm64_tahoe?)",
        ),
        (
            ("plan",),
            {"S3_ACL": "public"},
            "S3_ACL: expected one of private, bucket-owner-full-control, bucket-owner-read, or nothing, found "
            "'public'",
        ),
        (
            ("plan",),
            {"TARGET_PLATFORMS": "arm64_sonmoa, x"},
            "TARGET_PLATFORMS: expected tags that `brew-mirror platforms` lists, found 'arm64_sonmoa' (did you "
            "mean arm64_sonoma?), 'x'",
        ),
        (
            ("plan",),
            {"TARGET_PLATFORMS": " , "},
            "TARGET_PLATFORMS: expected tags that `brew-mirror platforms` lists, separated by commas, found ','",
        ),
        (
            ("plan",),
            {"FORMULAE_API_URL": "nonsense"},
            "FORMULAE_API_URL: expected an absolute http(s) address, found 'nonsense'",
        ),
        (
            ("plan",),
            {"BOTTLE_REGISTRY_URL": "nonsense"},
            "BOTTLE_REGISTRY_URL: expected an absolute http(s) address, found 'nonsense'",
        ),
        (
            ("plan",),
            {"BOTTLE_REGISTRY_URL": "http://registry.example"},
            "BOTTLE_REGISTRY_URL: refuses to contact http://registry.example; plain http is only for this "
            "machine, use https",
        ),
        (
            ("sync", "--plan", "2020"),
            {},
            "sync '2020': expected a plan under <mirror>/state/plans/, found none; there are no plans there. "
            "`brew-mirror plan` makes one.",
        ),
        (
            ("status",),
            {},
            "there is no mirror at <mirror>: expected bottles_hash.json, receipts or date folders, found none. "
            "Check MIRROR_URL, S3_BUCKET_NAME or --mirror; `brew-mirror sync` makes a mirror.",
        ),
    ],
)
def test_a_mistake_is_one_line_that_shows_what_was_typed(
    session: Session, arguments: tuple[str, ...], variables: dict[str, str], said: str
) -> None:
    assert session.type(*arguments, code=2, **variables) == [f"! Error: {said}"]


def test_a_plan_that_is_not_there_names_those_that_are(session: Session) -> None:
    session.type("plan", *PLATFORM)
    assert session.type("sync", "--plan", "2020", code=2) == [
        "! Error: sync '2020': expected a plan under <mirror>/state/plans/, found none; the newest plans there: "
        "<sync>. `brew-mirror plan` makes one."
    ]


def test_nobody_who_answers_is_named_with_the_settings_that_lead_there(
    session: Session, mirror: DirectoryMirror, upstream: Simulator
) -> None:
    (port,) = free_ports(1)
    nobody = f"http://127.0.0.1:{port}"
    assert session.type("plan", code=2, FORMULAE_API_URL=f"{nobody}/api") == [
        "! Error: http://<host>/api/formula.json: <why>; check FORMULAE_API_URL and the network; no proxy is set "
        "(HTTP_PROXY)"
    ]
    far = {"FORMULAE_API_URL": "https://api.invalid", "HTTPS_PROXY": f"http://user:secret@127.0.0.1:{port}"}
    assert session.type("plan", code=2, **far) == [
        "! Error: https://api.invalid/formula.json: <why>; check HTTPS_PROXY"
    ]
    said = mirror.run(upstream, "plan", FORMULAE_API_URL="https://api.invalid").stderr
    (line,) = [line for line in said.splitlines() if not line.startswith("{")]
    assert line.count("no proxy is set (HTTPS_PROXY)") == 1
    assert line.endswith("; check FORMULAE_API_URL and the network")
    lists = {"EXTERNAL_HASH_FILE_URL": f"{nobody}/hashes.json"}
    (warning,) = [line for line in session.type("plan", *PLATFORM, code=0, **lists) if line.startswith("!")]
    assert warning == (
        "! Warning: Not used of external hash files, so that bottles which they name may be downloaded: 1 file or "
        "entry; first: http://<host>/hashes.json: cannot be had: <why>; check EXTERNAL_HASH_FILE_URL and the "
        "network; no proxy is set (HTTP_PROXY); the sync goes on without it"
    )
    down = {"BOTTLE_REGISTRY_URL": nobody, "RETRY_ATTEMPTS": "0"}
    shown = session.type("--quiet", "sync", "--formula", "jq", *PLATFORM, code=1, **down)
    *rows, end, _ = [line for line in shown if not line.startswith("!")]
    assert [" ".join(row.split()) for row in rows] == [
        "1 bottles failed",
        "Bottle Reason Details",
        "jq-1.0.arm64_sonoma.bottle.tar.gz network jq-1.0.arm64_sonoma.bottle.tar.gz: <host>: <why>; check "
        "BOTTLE_REGISTRY_URL and the network; no proxy is set (HTTP_PROXY)",
    ]
    assert end.startswith("Sync <sync>: failed. Stored 0 bottles")


def test_a_bucket_that_nobody_answers_for_is_named_with_its_endpoint_and_the_variables(
    mirror: DirectoryMirror, upstream: Simulator
) -> None:
    (port,) = free_ports(1)
    keys = {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }
    place = ("--mirror", "s3://bottles/brew")
    asked = [mirror.start(upstream, *place, command, **keys) for command in ("status", "sync")]
    for process in asked:
        shown, said = process.communicate(timeout=60)
        assert (process.returncode, shown) == (2, "")
        (line,) = [line for line in said.splitlines() if not line.startswith("{")]
        assert line == (
            f"Error: s3://bottles/brew: http://127.0.0.1:{port} cannot be reached: connection refused; check "
            "AWS_ENDPOINT_URL (or AWS_ENDPOINT_URL_S3, AWS_REGION, the AWS profile); no proxy is set (HTTP_PROXY)"
        )


def test_bottles_that_all_lie_at_another_host_are_one_line_with_the_value_to_set(
    session: Session, upstream: Simulator
) -> None:
    said = session.type("--quiet", "sync", *PLATFORM, code=2, BOTTLE_CDN_HOSTS="cdn.example")
    assert said[-2:] == [
        "! ERROR not stored",
        "! Error: ended early, 3 bottles are not copied: no bottle can be had, the registry keeps them at a host "
        "that is not allowed: refuses to contact http://<host>; allowed: http://<host> (BOTTLE_REGISTRY_URL), "
        "cdn.example (BOTTLE_CDN_HOSTS); if the registry keeps its bottles there, set "
        "BOTTLE_CDN_HOSTS=cdn.example,<host>",
    ]
    assert [line.split(":")[0] for line in said[:-2]] == ["Sync <sync>", "Held now"]
    hosts = f"cdn.example,{upstream.cdn_host}"
    assert "Stored 3 bottles" in session.type("sync", *PLATFORM, BOTTLE_CDN_HOSTS=hosts)[0]


def test_bottles_at_several_other_hosts_are_one_line_too(session: Session, upstream: Simulator) -> None:
    for number, bottle in enumerate(upstream.world.bottles):
        upstream.fault(bottle.filename, Fault.redirects_to(f"https://cdn{number}.example/blob", times=1))
    head, held, *said = session.type("--quiet", "sync", *PLATFORM, code=2)
    assert (head.split(":")[0], held.split(":")[0]) == ("Sync <sync>", "Held now")
    assert said[-1].startswith("! Error: ended early, 3 bottles are not copied: no bottle can be had, ")
    assert said[-1].endswith("set BOTTLE_CDN_HOSTS=<host>,cdn0.example,cdn1.example,cdn2.example")


def test_a_repair_that_finds_them_all_there_says_so_too(
    session: Session, mirror: DirectoryMirror, upstream: Simulator
) -> None:
    mirror.sync(upstream, *PLATFORM)
    mirror.remove(next(key for key in mirror.bottle_keys() if "/jq-" in key))
    *_, said = session.type("--quiet", "verify", "--repair", code=2, BOTTLE_CDN_HOSTS="cdn.example")
    assert said.startswith(
        "! Error: no bottle can be had, the registry keeps them at a host that is not allowed: "
    )
    assert said.endswith("set BOTTLE_CDN_HOSTS=cdn.example,<host>")


def test_one_bottle_at_another_host_is_one_failed_bottle(session: Session, upstream: Simulator) -> None:
    name = next(bottle.filename for bottle in upstream.world.bottles if bottle.formula == "wget")
    (port,) = free_ports(1)
    upstream.fault(name, Fault.redirects_to(f"http://127.0.0.1:{port}/blob", times=2))
    for stored in (2, 0):
        head, _, row, end, *_ = session.type("--quiet", "sync", *PLATFORM, code=1)
        assert head == "1 bottles failed"
        assert row.startswith(f"{name}  host refused")
        assert f"Stored {stored} bottles" in end


def test_backups_and_imports_name_the_file_that_is_wrong(session: Session, tmp_path: Path) -> None:
    session.type("sync", *PLATFORM)
    assert session.type("manifest", "restore", "--backup", "nope", code=2) == [
        "! Error: 'nope': expected a backup of bottles_hash.json, found a key outside backups/bottles_hash/. "
        "Nothing was changed. Backups in <mirror>/, the newest first:",
        "!   backups/bottles_hash/<time>.json",
    ]
    bad = tmp_path / "bad.json"
    bad.write_text("[]")
    (line,) = session.type("manifest", "import", str(bad), code=2)
    assert line == (
        f"! Error: {bad} is not valid: expected the shape of a manifest, found: Expected `object`, got `array`. "
        "Nothing was imported; bottles_hash.json in the store is unchanged. Expected is one JSON object with "
        '"sync_version", "last_updated", "total_bottles", "total_size_bytes", "platforms", "statistics" and, under '
        '"bottles", the entry of each bottle by its key; docs/external-hash-file.md shows one.'
    )


def test_the_platforms_are_listed_also_where_the_setting_is_wrong(session: Session) -> None:
    rows = session.type("platforms", TARGET_PLATFORMS="sonoma,arm64_linux")
    assert rows[:3] == [
        "Tag                System                   Architecture  Configured  Default",
        "arm64_golden_gate  macOS Golden Gate 27     arm64         no          no",
        "arm64_tahoe        macOS Tahoe 26           arm64         no          yes",
    ]
    assert rows[-2:] == [
        "x86_64_linux       Linux                    x86_64        no          no",
        "arm64_linux        Linux                    arm64         yes         no",
    ]
    found = json.loads("".join(session.type("platforms", "--json", TARGET_PLATFORMS="sonoma")))
    assert [one["tag"] for one in found["platforms"] if one["configured"]] == ["sonoma"]
    assert found["platforms"][1] == {
        "tag": "arm64_tahoe",
        "system": "macOS Tahoe",
        "version": "26",
        "architecture": "arm64",
        "configured": False,
        "default": True,
    }
    wrong = session.type("platforms", TARGET_PLATFORMS="sonmoa")
    assert wrong[:-1] == [row.replace("yes         no", "no          no") for row in rows]
    assert wrong[-1].startswith("! Warning: TARGET_PLATFORMS: ")
