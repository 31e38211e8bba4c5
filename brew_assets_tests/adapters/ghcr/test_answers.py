"""What a registry answers instead of a bottle: the table, alone and in the middle of thirty bottles."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.adapters.formulae_api import FormulaeApi
from brew_assets.adapters.ghcr.answers import CODES, answer_error, code_of
from brew_assets.adapters.ghcr.registry import Ghcr
from brew_assets.domain.bottle import Bottle, Digest, PkgVersion
from brew_assets.domain.plan import Request
from brew_assets.domain.report import Report
from brew_assets.engine.clock import SystemClock
from brew_assets.engine.options import Options
from brew_assets.engine.planner import make_plan
from brew_assets.engine.ports import Ports
from brew_assets.engine.retry import RetryPolicy
from brew_assets.engine.sync import Mirror
from brew_assets.errors import (
    BlobNotFound,
    UpstreamBusy,
    UpstreamError,
    UpstreamFailed,
    UpstreamRefused,
    UpstreamUnauthorized,
)
from brew_assets.simulator import Fault, SimulatedBottle, Simulator, SizeDistribution, World
from brew_assets_tests.fakes import START as NOW
from brew_assets_tests.fakes import FakeClock, FakeStop

TAG = "arm64_sonoma"
WAIT = (("Retry-After", "7"),)

STATUSES: dict[int, type[UpstreamError]] = {
    **dict.fromkeys((404, 410), BlobNotFound),
    429: UpstreamBusy,
    **dict.fromkeys((408, 421, 425), UpstreamFailed),
    **dict.fromkeys(
        (500, 502, 503, 504, 506, 507, 509, 511, 520, 521, 522, 524, 529, 530, 599), UpstreamFailed
    ),
    **dict.fromkeys((400, 402, 403, 405, 406, 409, 412, 413, 416, 418, 422, 426, 431, 451), UpstreamRefused),
    **dict.fromkeys((501, 505), UpstreamRefused),
    **dict.fromkeys((202, 204, 300, 304), UpstreamRefused),
}
# The statuses that the distribution specification and its first registry give with each code.
DOCUMENTED: dict[str, tuple[int, type[UpstreamError]]] = {
    "BLOB_UNKNOWN": (404, BlobNotFound),
    "BLOB_UPLOAD_INVALID": (400, UpstreamRefused),
    "BLOB_UPLOAD_UNKNOWN": (404, UpstreamRefused),
    "DENIED": (403, UpstreamRefused),
    "DIGEST_INVALID": (400, UpstreamRefused),
    "MANIFEST_BLOB_UNKNOWN": (404, BlobNotFound),
    "MANIFEST_INVALID": (400, UpstreamRefused),
    "MANIFEST_UNKNOWN": (404, BlobNotFound),
    "MANIFEST_UNVERIFIED": (400, UpstreamRefused),
    "NAME_INVALID": (400, UpstreamRefused),
    "NAME_UNKNOWN": (404, BlobNotFound),
    "PAGINATION_NUMBER_INVALID": (400, UpstreamRefused),
    "RANGE_INVALID": (416, UpstreamRefused),
    "SIZE_INVALID": (400, UpstreamRefused),
    "TAG_INVALID": (400, UpstreamRefused),
    "TOOMANYREQUESTS": (429, UpstreamBusy),
    "UNAUTHORIZED": (403, UpstreamUnauthorized),
    "UNAVAILABLE": (503, UpstreamFailed),
    "UNSUPPORTED": (405, UpstreamRefused),
}
# Where status and code disagree, and the one answer that asks for a wait without being a 429.
ODD: list[tuple[Fault, type[UpstreamError]]] = [
    (Fault.refusal(503, "TOOMANYREQUESTS"), UpstreamBusy),
    (Fault.refusal(403, "TOOMANYREQUESTS"), UpstreamBusy),
    (Fault.refusal(404, "TOOMANYREQUESTS"), UpstreamBusy),
    (Fault.refusal(429, "DENIED"), UpstreamBusy),
    (Fault.refusal(503, headers=WAIT), UpstreamBusy),
    (Fault.refusal(500, headers=WAIT), UpstreamFailed),
    (Fault.refusal(404, "UNSUPPORTED"), UpstreamRefused),
    (Fault.refusal(404, "DENIED"), UpstreamRefused),
    (Fault.refusal(400, "BLOB_UNKNOWN"), BlobNotFound),
    (Fault.refusal(500, "MANIFEST_UNKNOWN"), BlobNotFound),
    (Fault.refusal(500, "UNSUPPORTED"), UpstreamRefused),
    (Fault.refusal(400, "UNAVAILABLE"), UpstreamFailed),
    (Fault.refusal(500, "UNKNOWN"), UpstreamFailed),
    (Fault.refusal(400, "SOMETHING_NEW"), UpstreamRefused),
]
AT_THE_CDN: list[tuple[Fault, type[UpstreamError]]] = [
    (Fault.refusal(404, at="cdn"), BlobNotFound),
    (Fault.refusal(429, at="cdn", headers=WAIT), UpstreamBusy),
    (Fault.refusal(507, at="cdn"), UpstreamFailed),
    (Fault.refusal(501, at="cdn"), UpstreamRefused),
    # A signed address that ran out: the registry makes a new one.
    (Fault.refusal(403, at="cdn"), UpstreamFailed),
]
FAULTS = [
    *((Fault.refusal(status), kind) for status, kind in STATUSES.items()),
    *((Fault.refusal(status, code), kind) for code, (status, kind) in DOCUMENTED.items()),
    *ODD,
    *AT_THE_CDN,
]


def name_of(value: object) -> str:
    if not isinstance(value, Fault):
        return ""
    return f"{value.status}-{code_of(value.body)}{'-wait' if len(value.headers) > 1 else ''}-{value.at}"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """An upstream with thirty bottles of one platform."""
    world = World(seed=30, sizes=SizeDistribution.fixed(1_500))
    for number in range(30):
        world.publish(f"formula{number:02}", "1.0", tags=[TAG])
    with Simulator(world) as running:
        yield running


@pytest.fixture
def odd(simulator: Simulator) -> SimulatedBottle:
    """A bottle in the middle, without what was scripted for it before."""
    simulator.clear_faults()
    (bottle,) = simulator.world.indexed("formula15", "1.0")
    return bottle


def registry(simulator: Simulator) -> Ghcr:
    return Ghcr(simulator.registry_url, cdn_hosts=[simulator.cdn_host], timeout_s=5, clock=SystemClock())


def mirror(simulator: Simulator, root: Path) -> Mirror:
    """The engine over a directory and the upstream; its waits are not waited."""
    blobs = registry(simulator)
    ports = Ports(
        catalogue=FormulaeApi(simulator.api_url, timeout_s=5, clock=SystemClock()),
        blobs=blobs,
        indexes=blobs,
        store=DirectoryStore(root),
        hash_files=(),
        clock=FakeClock(),
        stop=FakeStop(),
    )
    retry = RetryPolicy(attempts=1, delay_s=0.0)
    return Mirror(ports, Options(platforms=(TAG,), workers=4, retry=retry))


def sync(engine: Mirror) -> Report:
    plan = make_plan(engine, Request(platforms=(TAG,)), sizes=False).plan
    return engine.sync(plan)[0]


@pytest.mark.parametrize(("fault", "kind"), FAULTS, ids=name_of)
def test_an_answer_has_its_class_and_names_its_status_and_code(
    simulator: Simulator, odd: SimulatedBottle, fault: Fault, kind: type[UpstreamError]
) -> None:
    simulator.fault(odd.filename, fault)
    item = Bottle(
        formula=odd.formula,
        pkg_version=PkgVersion(odd.pkg_version),
        tag=odd.tag,
        digest=Digest(odd.digest),
        url=odd.url,
    )
    with pytest.raises(UpstreamError) as caught:
        registry(simulator).open(item)
    assert type(caught.value) is kind
    assert f"{odd.filename}: " in str(caught.value)
    assert f" {fault.status}" in str(caught.value)
    if code := code_of(fault.body):
        assert f"{fault.status} {code} from upstream" in str(caught.value)
    if isinstance(caught.value, UpstreamBusy):
        assert caught.value.wait_s == (7.0 if len(fault.headers) > 1 else None)


@pytest.mark.parametrize(("fault", "kind"), FAULTS, ids=name_of)
def test_one_odd_answer_fails_its_bottle_alone_and_the_next_sync_stores_it(
    simulator: Simulator, odd: SimulatedBottle, tmp_path: Path, fault: Fault, kind: type[UpstreamError]
) -> None:
    engine = mirror(simulator, tmp_path / "mirror")
    simulator.fault(odd.filename, fault)
    report = sync(engine)
    assert (report.outcome, report.stored) == ("partial", 29)
    assert [(failed.name, failed.reason) for failed in report.failed] == [(odd.filename, kind.reason)]
    assert str(fault.status) in report.failed[0].message
    assert report.retries == (1 if kind.retryable else 0)
    simulator.clear_faults()
    report = sync(engine)
    assert (report.outcome, report.stored, report.failed) == ("success", 1, ())
    assert simulator.violations == []


def test_every_code_of_the_table_is_documented_here() -> None:
    assert set(CODES) == set(DOCUMENTED)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"toomanyrequests: retry-after: 2ms, allowed: 1/minute",
        b"<html>BLOB_UNKNOWN</html>",
        b"[]",
        b"{}",
        b'{"errors": null}',
        b'{"errors": []}',
        b'{"errors": [{}]}',
        b'{"errors": [1]}',
        b'{"errors": [{"code": 404}]}',
        b'{"errors": [{"code": ["DENIED"]}]}',
        b'{"errors": [{"code": "not found\\n"}]}',
        b'{"errors": [{"code": "\\u001b[31mDENIED"}]}',
        b'{"errors": [{"code": "DENIED"}',
        b"[" * 10_000,
    ],
)
def test_a_body_without_a_code_leaves_the_status_to_decide(body: bytes) -> None:
    assert code_of(body) == ""
    assert type(answer_error("wget", status=404, body=body, now=NOW)) is BlobNotFound
    assert type(answer_error("wget", status=503, body=body, now=NOW)) is UpstreamFailed
    assert str(answer_error("wget", status=403, body=body, now=NOW)) == "wget: 403 from upstream"


def test_of_several_codes_the_first_of_the_table_decides() -> None:
    body = json.dumps({"errors": [{"code": "NEW"}, {"code": "TOOMANYREQUESTS"}, {"code": "DENIED"}]}).encode()
    error = answer_error("wget", status=403, body=body, retry_after="3", now=NOW)
    assert isinstance(error, UpstreamBusy)
    assert (error.wait_s, str(error)) == (3.0, "wget: 403 TOOMANYREQUESTS from upstream")


def test_a_wait_that_only_the_error_document_names_is_kept() -> None:
    error = {"code": "TOOMANYREQUESTS", "message": "retry-after: 5s, allowed: 1/minute"}
    found = answer_error("wget", status=503, body=json.dumps({"errors": [error]}).encode(), now=NOW)
    assert isinstance(found, UpstreamBusy)
    assert found.wait_s == 5.0
