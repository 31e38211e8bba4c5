"""What a registry is shown of the credentials, who else sees them, and what their refusal means."""

import base64
import os
import socket
import threading
from typing import Any

import botocore.session
import pytest

from brew_assets.adapters.aws.secrets import RegistrySecret
from brew_assets.adapters.ghcr.login import (
    ANONYMOUS_TOKEN,
    Credentials,
    GivenCredentials,
    RegistryLogin,
)
from brew_assets.adapters.ghcr.registry import Ghcr
from brew_assets.adapters.http.reach import Reach
from brew_assets.domain.bottle import Bottle
from brew_assets.engine.clock import SystemClock
from brew_assets.errors import MirrorError, RegistryRefused, UpstreamFailed, UpstreamUnauthorized
from brew_assets.settings import Secret
from brew_assets.simulator import Access, Fault, Simulator, World
from brew_assets_tests.adapters.ghcr.test_registry import download, ours
from brew_assets_tests.ports import free_ports
from brew_assets_tests.relay import Asked, Orders, recording_proxy

REGION = "us-east-1"
ANN = {"username": "ann", "password": "pä:ss"}
WELL_KNOWN = Credentials("ann", Secret("pä:ss"))
WRONG = Credentials("ann", Secret("PLANTED"))


def asks(simulator: Simulator, credentials: Credentials | None, path: str = "") -> Ghcr:
    source = GivenCredentials(credentials) if credentials else None
    hosts = [simulator.cdn_host]
    return Ghcr(
        f"{simulator.registry_url}{path}",
        cdn_hosts=hosts,
        timeout_s=5,
        credentials=source,
        clock=SystemClock(),
    )


def served(access: Access, count: int = 4) -> tuple[Simulator, list[Bottle]]:
    world = World(seed=5)
    items = [world.publish(f"f{number}", "1.0", size_bytes=900)[0] for number in range(count)]
    return Simulator(world, access=access), [ours(item) for item in items]


def test_credentials_are_sent_as_the_standard_has_them_and_shown_nowhere() -> None:
    assert base64.b64decode(WELL_KNOWN.header().removeprefix("Basic ")).decode() == "ann:pä:ss"
    assert "pä:ss" not in f"{WELL_KNOWN!r} {GivenCredentials(WELL_KNOWN)!r}"


@pytest.mark.parametrize("scheme", ["basic", "token for credentials"])
def test_many_threads_try_wrong_credentials_once(scheme: Any) -> None:
    simulator, bottles = served(Access(scheme=scheme, **ANN), count=12)
    with simulator:
        ghcr = asks(simulator, WRONG)
        found: list[str] = []
        start = threading.Barrier(len(bottles))

        def ask(item: Bottle) -> None:
            start.wait(10)
            try:
                download(ghcr, item)
            except RegistryRefused as error:
                found.append(str(error))

        threads = [threading.Thread(target=ask, args=(item,)) for item in bottles]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(found) == len(bottles)
        assert simulator.refused_logins == 1
        assert "PLANTED" not in "".join(found)


@pytest.mark.parametrize("scheme", ["basic", "token for credentials"])
def test_a_registry_that_has_let_us_in_before_may_refuse_a_bottle(scheme: Any) -> None:
    simulator, bottles = served(Access(scheme=scheme, **ANN))
    with simulator:
        ghcr = asks(simulator, WELL_KNOWN)
        download(ghcr, bottles[0])
        for item in bottles[1:]:
            simulator.fault(item.filename, Fault.unauthorized())
        with pytest.raises(UpstreamUnauthorized):
            download(ghcr, bottles[1])
        download(ghcr, bottles[1])
        assert simulator.refused_logins == 0


def test_a_closed_repository_is_not_the_registry_but_three_are() -> None:
    simulator, bottles = served(Access(scheme="token for credentials", **ANN))
    with simulator:
        ghcr = asks(simulator, WELL_KNOWN)
        for item in bottles:
            simulator.fault(item.filename, Fault.unauthorized(times=2))
        seen: list[type[MirrorError]] = []
        for item in bottles[:3]:
            with pytest.raises(MirrorError, match="401 with a fresh token") as caught:
                download(ghcr, item)
            seen.append(type(caught.value))
        assert seen == [UpstreamUnauthorized, UpstreamUnauthorized, RegistryRefused]


def test_a_registry_that_lets_everybody_in_never_sees_the_credentials() -> None:
    simulator, bottles = served(Access(scheme="token", **ANN))
    with simulator:
        # The realm alone is shown them: it gives tokens to whom it knows.
        download(asks(simulator, WELL_KNOWN), bottles[0])
        assert [(seen.path, seen.authorized) for seen in simulator.requests][:2] == [
            (f"/v2/homebrew/core/f0/blobs/sha256:{bottles[0].digest}", False),
            ("/token", True),
        ]
        assert simulator.violations == []


def test_tokens_are_kept_for_the_newest_repositories_alone() -> None:
    login = RegistryLogin("https://registry.example", None)
    for number in range(3000):
        login.use_token(f"repository{number}", f"token{number}")
    assert login.authorization("repository2999") == {"Authorization": "Bearer token2999"}
    assert login.authorization("repository2500") == {"Authorization": "Bearer token2500"}
    assert login.authorization("repository0") == {"Authorization": f"Bearer {ANONYMOUS_TOKEN}"}


def test_the_form_of_an_address_is_settled_by_the_first_find() -> None:
    simulator, bottles = served(Access.harbor())
    with simulator:
        ghcr = asks(simulator, None, "/ghcr-cache")
        for item in bottles:
            download(ghcr, item)
        wrong = [seen.path for seen in simulator.requests if seen.path.startswith("/ghcr-cache/v2/")]
        assert len(wrong) == 1
        assert ghcr.fetch_index("f0", "1.0") is not None
        assert ghcr.fetch_index("f0", "9.9") is None


@pytest.fixture
def signed_in(credentials: None) -> None:
    """The account of the local AWS."""


def new_secret(aws_url: str, text: str) -> str:
    client: Any = botocore.session.get_session().create_client(
        "secretsmanager", region_name=REGION, endpoint_url=aws_url
    )
    name = f"homebrew-sync/registry-{os.urandom(4).hex()}"
    client.create_secret(Name=name, SecretString=text)
    return name


@pytest.mark.usefixtures("signed_in")
def test_credentials_come_out_of_a_secret(aws_url: str) -> None:
    name = new_secret(aws_url, '{"username": "ann", "password": "pä:ss", "host": "x"}')
    assert RegistrySecret(name, region=REGION, endpoint_url=aws_url)() == WELL_KNOWN


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize(
    "text",
    [
        "PLANTED",
        '{"username": "PLANTED"}',
        '{"password": "PLANTED"}',
        '{"username": "a:b", "password": "PLANTED"}',
        '{"username": 7, "password": "PLANTED"}',
        '["PLANTED"]',
        '{"username": "", "password": "PLANTED"}',
    ],
)
def test_a_secret_of_another_shape_ends_the_run_and_is_not_shown(aws_url: str, text: str) -> None:
    name = new_secret(aws_url, text)
    with pytest.raises(RegistryRefused, match="expected JSON with `username`") as caught:
        RegistrySecret(name, region=REGION, endpoint_url=aws_url)()
    assert f"secret {name} (BOTTLE_REGISTRY_SECRET_NAME)" in str(caught.value)
    assert "PLANTED" not in str(caught.value)


@pytest.mark.usefixtures("signed_in")
def test_a_secret_that_is_not_there_is_named_and_one_that_cannot_be_read_now_may_come(aws_url: str) -> None:
    with pytest.raises(RegistryRefused, match=r"BOTTLE_REGISTRY_SECRET_NAME.*homebrew-sync/none"):
        RegistrySecret("homebrew-sync/none", region=REGION, endpoint_url=aws_url)()
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(UpstreamFailed, match="BOTTLE_REGISTRY_SECRET_NAME"):
        RegistrySecret("homebrew-sync/none", region=REGION, endpoint_url=nobody)()


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize(
    ("status", "error"),
    [(b"407 Who", RegistryRefused), (b"403 No", RegistryRefused), (b"502 Bad", UpstreamFailed)],
    ids=["407", "403", "502"],
)
def test_a_proxy_before_the_secret_that_refuses_ends_the_run(status: bytes, error: type[Exception]) -> None:
    def answer(_: Asked, connection: socket.socket) -> bool:
        connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status)
        return True

    with recording_proxy(Orders(answer=answer)) as proxy:
        reach = Reach(https_proxy=Secret(f"http://me:PLANTED@{proxy.place}"))
        secret = RegistrySecret("registry", region=REGION, endpoint_url="https://aws.example", reach=reach)
        with pytest.raises(error, match=f"the proxy http://{proxy.place}") as caught:
            secret()
    assert "PLANTED" not in str(caught.value)
