"""Registries of one's own, as their users write them: behind a path, with credentials, and wrongly."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from brew_assets.simulator import Access, Simulator, World
from brew_assets_tests.integration.mirrors import DirectoryMirror, MirrorUnderTest

ANN = {"username": "ann", "password": "pä:ss/w#rd"}
CREDENTIALS = {"BOTTLE_REGISTRY_USERNAME": ANN["username"], "BOTTLE_REGISTRY_PASSWORD": ANN["password"]}
WRONG = CREDENTIALS | {"BOTTLE_REGISTRY_PASSWORD": "PLANTED"}
PLATFORM = ("--platform", "arm64_sonoma")
BOTTLES = 30


@contextmanager
def registry(access: Access, *, formulae: int = BOTTLES) -> Iterator[Simulator]:
    world = World(seed=13)
    for number in range(formulae):
        world.publish(f"tool{number}", "1.0", tags=["arm64_sonoma"], size_bytes=900)
    with Simulator(world, access=access) as running:
        yield running


@pytest.fixture
def mirror(tmp_path: Path) -> DirectoryMirror:
    return DirectoryMirror(tmp_path / "mirror")


def everything(mirror: MirrorUnderTest) -> str:
    """All that the mirror keeps, as text: plans, reports, manifest."""
    kept = [key for key in mirror.keys() if key not in mirror.bottle_keys()]
    return "".join(mirror.read(key).decode("utf-8", "replace") for key in kept)


@pytest.mark.parametrize(
    ("access", "written"),
    [
        (Access.harbor(), "/v2/ghcr-cache"),
        (Access.harbor(), "/v2/ghcr-cache/"),
        (Access.harbor(), "/v2/ghcr-cache/homebrew/core"),
        (Access.harbor(), "/ghcr-cache"),
        (Access.harbor(**ANN), "/v2/ghcr-cache"),
        (Access.harbor(**ANN), "/ghcr-cache"),
        (Access.nexus(), "/repository/ghcr"),
        (Access.nexus(**ANN), "/repository/ghcr"),
        (Access.nexus(**ANN), "/repository/ghcr/v2"),
        (Access.artifactory(), "/artifactory/api/docker/ghcr-remote"),
        (Access.artifactory(**ANN), "/artifactory/api/docker/ghcr-remote"),
        (Access.artifactory(**ANN), "/artifactory/api/docker/ghcr-remote/v2/"),
        (Access(scheme="basic", **ANN), ""),
        (Access(scheme="token for credentials", **ANN), "/v2"),
        (Access(cookie="session=1"), ""),
        (Access(api="/repository/ghcr/v2", scheme="basic", cookie="session=1", **ANN), "/repository/ghcr"),
        (Access(scheme="basic", challenge='NTLM, bAsIc realm="x"', **ANN), ""),
        (
            Access(
                scheme="token for credentials",
                challenge="Basic realm=x\r\nWWW-Authenticate: BEARER service=s , "
                "scope=repository:{name}:pull, realm={url}/token",
                **ANN,
            ),
            "",
        ),
    ],
    ids=[
        "harbor",
        "harbor/",
        "harbor as a bottle domain",
        "harbor without v2",
        "harbor with a user",
        "harbor with a user, without v2",
        "nexus",
        "nexus with a user",
        "nexus with v2 and a user",
        "artifactory",
        "artifactory with a user",
        "artifactory with v2 and a user",
        "basic",
        "token for a user",
        "cookie",
        "cookie and a user behind a path",
        "several schemes",
        "several headers, oddly written",
    ],
)
def test_everything_comes_from_a_registry_of_each_form(
    mirror: DirectoryMirror, access: Access, written: str
) -> None:
    settings = CREDENTIALS if access.username else {}
    with registry(access, formulae=4) as upstream:
        url = f"{upstream.registry_url}{written}"
        report = mirror.sync(upstream, *PLATFORM, BOTTLE_REGISTRY_URL=url, **settings)
        assert (report["stored"], report["failed"]) == (4, [])
        assert upstream.refused_logins == 0
        assert upstream.violations == []
    planned = json.loads(mirror.read(f"state/plans/{report['sync_id']}.json"))
    assert all(item["size"] for item in planned["objects"]), "the indexes were found too"
    assert ANN["password"] not in everything(mirror)


@pytest.mark.parametrize("access", [Access.nexus(**ANN), Access.harbor(**ANN)], ids=["basic", "token"])
@pytest.mark.parametrize("sizes_are_known", [False, True], ids=["while planning", "while copying"])
def test_wrong_credentials_are_tried_once_and_end_the_command(
    mirror: DirectoryMirror, access: Access, sizes_are_known: bool
) -> None:
    with registry(access) as upstream:
        url = upstream.registry_url + ("/repository/ghcr" if access.scheme == "basic" else "/v2/ghcr-cache")
        command = ("sync", *PLATFORM)
        if sizes_are_known:
            good = mirror.run(upstream, "plan", "--json", *PLATFORM, BOTTLE_REGISTRY_URL=url, **CREDENTIALS)
            command = ("sync", "--plan", json.loads(good.stdout)["sync_id"])
        done = mirror.run(upstream, *command, BOTTLE_REGISTRY_URL=url, **WRONG)
        assert done.returncode == 2, done.stderr
        assert upstream.refused_logins == 1
    said = done.stderr + done.stdout
    assert f"{url}: the registry does not accept the credentials (401)" in said
    assert "BOTTLE_REGISTRY_USERNAME and BOTTLE_REGISTRY_PASSWORD" in said
    assert "PLANTED" not in said + everything(mirror)


@pytest.mark.parametrize(
    ("access", "written"),
    [(Access.nexus(**ANN), "/repository/ghcr"), (Access.harbor(**ANN), "/v2/ghcr-cache")],
    ids=["basic", "token"],
)
def test_missing_credentials_end_the_command_and_name_the_settings(
    mirror: DirectoryMirror, access: Access, written: str
) -> None:
    with registry(access) as upstream:
        url = upstream.registry_url + written
        done = mirror.run(upstream, "sync", *PLATFORM, BOTTLE_REGISTRY_URL=url)
        assert done.returncode == 2, done.stderr
        assert "set BOTTLE_REGISTRY_USERNAME and BOTTLE_REGISTRY_PASSWORD" in done.stderr
        assert len(upstream.requests) < BOTTLES


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"BOTTLE_REGISTRY_USERNAME": "ann"}, "BOTTLE_REGISTRY_PASSWORD: expected the password of"),
        ({"BOTTLE_REGISTRY_PASSWORD": "PLANTED"}, "BOTTLE_REGISTRY_USERNAME: expected the user whose"),
        (
            WRONG | {"BOTTLE_REGISTRY_USERNAME": "a:PLANTED"},
            "BOTTLE_REGISTRY_USERNAME: expected a user without a",
        ),
        (
            {"BOTTLE_REGISTRY_URL": "https://ann:PLANTED@harbor.example/v2/x"},
            "BOTTLE_REGISTRY_URL: expected an address without user and password (BOTTLE_REGISTRY_USERNAME",
        ),
    ],
    ids=["user alone", "password alone", "colon", "in the address"],
)
def test_half_of_the_credentials_is_a_setting_to_mend(
    mirror: DirectoryMirror, settings: dict[str, str], said: str
) -> None:
    with registry(Access(), formulae=1) as upstream:
        done = mirror.run(upstream, "sync", *PLATFORM, COLUMNS="300", **settings)
        assert (done.returncode, list(upstream.requests)) == (2, [])
    assert said in done.stderr
    assert "PLANTED" not in done.stderr


@pytest.mark.parametrize("formulae", [BOTTLES, 4])
@pytest.mark.parametrize("written", ["/v2/wrong", "/wrong", ""])
def test_an_address_that_has_nothing_is_said_to_have_nothing(
    mirror: DirectoryMirror, formulae: int, written: str
) -> None:
    with registry(Access.harbor(), formulae=formulae) as upstream:
        url = upstream.registry_url + written
        done = mirror.run(upstream, "sync", *PLATFORM, BOTTLE_REGISTRY_URL=url)
        assert done.returncode == 2, done.stderr
        assert f"the registry at {url} has none of the " in done.stderr
        assert "look where BOTTLE_REGISTRY_URL leads" in done.stderr


def test_one_bottle_that_is_gone_upstream_does_not_make_the_address_wrong(mirror: DirectoryMirror) -> None:
    from brew_assets.simulator import Fault

    with registry(Access.harbor(), formulae=3) as upstream:
        gone = upstream.world.bottles[1].filename
        upstream.fault(gone, Fault.not_found())
        url = f"{upstream.registry_url}/v2/ghcr-cache"
        done = mirror.run(upstream, "sync", "--json", *PLATFORM, BOTTLE_REGISTRY_URL=url)
        assert done.returncode == 1
        report = json.loads(done.stdout)
        assert ([f["name"] for f in report["failed"]], report["aborted"]) == ([gone], "")
        # The same with nothing else to copy: what is held speaks for the registry.
        again = mirror.run(upstream, "sync", "--json", *PLATFORM, BOTTLE_REGISTRY_URL=url)
        assert (again.returncode, json.loads(again.stdout)["aborted"]) == (1, "")


@pytest.mark.parametrize("realm", ["https://elsewhere.example/token", "http://harbor.example/token"])
def test_credentials_go_to_no_realm_that_is_not_allowed(mirror: DirectoryMirror, realm: str) -> None:
    access = Access(scheme="token for credentials", challenge=f'Bearer realm="{realm}"', **ANN)
    with registry(access, formulae=1) as upstream:
        done = mirror.run(upstream, "sync", *PLATFORM, **CREDENTIALS)
        assert done.returncode
        assert "refuses to contact" in done.stderr + done.stdout
        assert not any(seen.authorized for seen in upstream.requests)
