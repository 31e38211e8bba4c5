"""What a mirror in a bucket makes of credentials that cannot be had: named, passing or refused."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from brew_assets.adapters.s3.bucket_client import S3Options
from brew_assets.adapters.s3.store import S3Store
from brew_assets.domain.plan import Request
from brew_assets.engine.planner import make_plan
from brew_assets.engine.retry import RetryPolicy
from brew_assets.errors import StoreError, StoreRefused, StoreUnavailable
from brew_assets_tests.aws_profiles import NOBODY, Profiles, Sts
from brew_assets_tests.engine.test_sync import Upstream
from brew_assets_tests.fakes import ImpatientClock
from brew_assets_tests.servers import ACCESS_KEY, SECRET_KEY, S3Server, seaweedfs
from brew_assets_tests.worlds import bottle

DATE = "2026-11-22"
Trouble = Callable[[Profiles, Sts], None]
Call = Callable[[S3Store], object]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with seaweedfs() as running:
        yield running


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Profiles]:
    with Path("/dev/null").open() as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        yield Profiles(tmp_path, monkeypatch)


@pytest.fixture
def sts() -> Iterator[Sts]:
    with Sts() as running:
        yield running


def receive(store: S3Store) -> None:
    sink = store.receive(bottle("jq", content=b"x"), date=DATE, size=1)
    sink.write(memoryview(b"x"))
    sink.commit()


CALLS: dict[str, Call] = {
    "prepare": lambda store: store.prepare(),
    "read": lambda store: store.read("state/x"),
    "write": lambda store: store.write("state/x", b"x"),
    "delete": lambda store: store.delete(["state/x"]),
    "listing": lambda store: list(store.listing("state/")),
    "facts": lambda store: store.facts(f"{DATE}/x"),
    "hash": lambda store: store.hash(f"{DATE}/x"),
    "peek": lambda store: store.peek(f"{DATE}/x", 10),
    "receive": receive,
    "duplicate": lambda store: store.duplicate(
        f"{DATE}/x", bottle("jq", content=b"x"), date=DATE, size=1, replace=True
    ),
}


def throttled(profiles: Profiles, sts: Sts) -> None:
    profiles.role(sts.url)
    sts.refuses(400, "Throttling")


def broken(profiles: Profiles, sts: Sts) -> None:
    profiles.role(sts.url)
    sts.refuses(500, "InternalFailure")


def denied(profiles: Profiles, sts: Sts) -> None:
    profiles.role(sts.url)
    sts.refuses(403, "AccessDenied")


TROUBLES: dict[str, tuple[Trouble, type[StoreError]]] = {
    "a program that fails": (lambda p, _: p.process("exit 1"), StoreUnavailable),
    "a program that prints rubbish": (lambda p, _: p.process("echo rubbish"), StoreUnavailable),
    "an STS that throttles": (throttled, StoreUnavailable),
    "an STS that fails": (broken, StoreUnavailable),
    "an STS that is not reached": (lambda p, _: p.role(NOBODY), StoreUnavailable),
    "an STS that refuses": (denied, StoreRefused),
    "a program that is not there": (lambda p, _: p.write("credential_process = /none"), StoreRefused),
    "a token that is not there": (lambda p, s: p.web_identity(s.url, token=None), StoreRefused),
    "a code that nobody can type": (
        lambda p, s: p.role(s.url, "mfa_serial = arn:aws:iam::123456789012:mfa/me\n"),
        StoreRefused,
    ),
    "no profile": (lambda p, _: p.set(AWS_PROFILE="absent"), StoreRefused),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_every_call_of_a_store_says_what_is_wrong_with_the_credentials(
    profiles: Profiles, sts: Sts, trouble: str, call: str
) -> None:
    act, kind = TROUBLES[trouble]
    act(profiles, sts)
    store = S3Store(S3Options(bucket="bottles", endpoint_url=NOBODY), clock=ImpatientClock())
    with pytest.raises(StoreError, match="AWS credentials: ") as caught:
        CALLS[call](store)
    assert type(caught.value) is kind
    assert "PLANTEDSECRET" not in str(caught.value)


def test_a_key_that_is_no_text_is_a_sentence(profiles: Profiles) -> None:
    profiles.process("""echo '{"Version": 1, "AccessKeyId": null, "SecretAccessKey": "x"}'""")
    store = S3Store(S3Options(bucket="bottles", endpoint_url=NOBODY), clock=ImpatientClock())
    with pytest.raises(StoreError, match="AWS credentials: "):
        store.read("state/x")


def test_a_role_is_asked_for_in_the_region_of_the_settings(profiles: Profiles, sts: Sts) -> None:
    """AWS_REGION is ours; the library alone would look for AWS_DEFAULT_REGION and find nothing."""
    profiles.role(sts.url)
    sts.refuses(403, "AccessDenied")
    with pytest.raises(StoreRefused, match="AssumeRole: 403 AccessDenied"):
        S3Store(
            S3Options(bucket="bottles", region="eu-central-1", endpoint_url=NOBODY), clock=ImpatientClock()
        ).read("state/x")


def test_a_refresh_that_fails_in_the_middle_costs_no_bottle(profiles: Profiles, server: S3Server) -> None:
    count = profiles.folder / "count"
    keys = profiles.folder / "keys.json"
    soon = (datetime.now(UTC) + timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = {"Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Expiration": soon}
    keys.write_text(json.dumps(found))
    # So near its end that every signature asks again; now and then nobody answers.
    profiles.process(
        f"""echo x >> {count}
        case $(( $(wc -l < {count}) )) in 9|17|25|33|41) exit 1;; esac
        cat {keys}"""
    )
    upstream = Upstream(
        S3Store(
            S3Options(
                bucket=server.bucket, prefix=server.new_prefix(), endpoint_url=server.url, sse="bucket"
            ),
            clock=ImpatientClock(),
        )
    )
    for number in range(12):
        upstream.publish(f"f{number:02}")
    mirror = upstream.mirror(workers=2)
    # All twelve are under way at once: which of them meets whose failure is chance, but none meets all five.
    mirror.options = msgspec.structs.replace(mirror.options, retry=RetryPolicy(attempts=4))
    report, _ = mirror.sync(make_plan(mirror, Request(platforms=("arm64_sonoma",)), sizes=False).plan)
    assert (report.outcome, report.stored) == ("success", 12)
    assert len(count.read_text().split()) > 33
