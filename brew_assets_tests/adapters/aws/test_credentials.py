"""Credentials that cannot be had: what botocore's own providers raise, and the table of it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import exceptions as raised
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from brew_assets.adapters.aws.credentials import (
    OPERATIONS,
    PASSING_CODES,
    REFUSED,
    REFUSED_CODES,
    credentials_failure,
    is_of_credentials,
)
from brew_assets_tests.aws_profiles import NOBODY, ROLE, Profiles, Sts

EXPIRED = {"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "PLANTED", "SessionToken": "PLANTED"}
SSO = "sso_account_id = 123456789012\nsso_role_name = mirror\n"
START = "sso_start_url = https://x.awsapps.com/start\nsso_region = us-east-1\n"
ANSWER = (
    "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>a</AccessKeyId><SecretAccessKey>PLANTED"
    "</SecretAccessKey><SessionToken>PLANTED</SessionToken><Expiration>{expiration}</Expiration></Credentials>"
    "</AssumeRoleResult></AssumeRoleResponse>"
)


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profiles:
    return Profiles(tmp_path, monkeypatch)


@pytest.fixture
def sts() -> Iterator[Sts]:
    with Sts() as running:
        yield running


def met() -> Exception:
    """What a call of another service meets, be it while its client is made."""
    try:
        client: Any = botocore.session.get_session().create_client(
            "sns", region_name="us-east-1", endpoint_url=NOBODY
        )
        client.list_topics()
    except Exception as error:
        return error
    raise AssertionError("credentials were had")


def assert_failure(*, passing: bool, said: str) -> None:
    error = met()
    failure = credentials_failure(error)
    assert is_of_credentials(error)
    assert failure.passing is passing, failure.message
    assert failure.message.startswith(f"AWS credentials: {said}"), failure.message
    assert "PLANTED" not in failure.message


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no luck >&2; exit 1", "custom-process: no luck"),
        ("exit 3", "custom-process: failed and said nothing"),
        ("printf '\\377' >&2; exit 1", "custom-process: UnicodeDecodeError"),
        ("echo PLANTED", "custom-process: JSONDecodeError: Expecting value"),
        ("true", "custom-process: JSONDecodeError"),
        ("printf '\\377PLANTED'", "custom-process: UnicodeDecodeError"),
        ("echo '[\"PLANTED\"]'", "custom-process: AttributeError"),
        ("echo '{\"Version\": 1}'", "custom-process: Missing required key in response: 'AccessKeyId'"),
        ("echo '{\"Version\": 2}'", "custom-process: Unsupported version '2'"),
        (f"echo '{json.dumps(EXPIRED | {'Expiration': 'soon'})}'", "custom-process: ParserError"),
        (
            f"echo '{json.dumps(EXPIRED | {'Expiration': '2001-01-01T00:00:00Z'})}'",
            "custom-process: RuntimeError: Credentials were refreshed",
        ),
        # Met when a request is signed with it.
        (f"echo '{json.dumps(EXPIRED | {'AccessKeyId': None})}'", "TypeError"),
    ],
)
def test_a_program_that_gives_no_credentials_may_give_some_later(
    profiles: Profiles, script: str, said: str
) -> None:
    profiles.process(script)
    assert_failure(passing=True, said=said)


def test_a_program_that_is_none_is_refused(profiles: Profiles) -> None:
    profiles.write("credential_process = /nonexistent/program --quiet")
    assert_failure(passing=False, said="custom-process: FileNotFoundError: [Errno 2]")
    program = profiles.folder / "program"
    program.write_text("")
    profiles.write(f"credential_process = {program}")
    assert_failure(passing=False, said="custom-process: PermissionError: [Errno 13]")
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    assert_failure(passing=False, said="custom-process: OSError: [Errno 8]")


@pytest.mark.parametrize(
    ("status", "code", "passing"),
    [
        (500, "InternalFailure", True),
        (503, "ServiceUnavailable", True),
        (400, "Throttling", True),
        (429, "TooManyRequestsException", True),
        (400, "IDPCommunicationError", True),
        (403, "AccessDenied", False),
        (403, "InvalidClientTokenId", False),
        (403, "SignatureDoesNotMatch", False),
        (403, "ExpiredToken", False),
        (403, "RegionDisabledException", False),
        (400, "MalformedPolicyDocument", False),
        (400, "ValidationError", False),
        (400, "SomethingNew", False),
    ],
)
def test_an_sts_that_answers_with_an_error_is_judged_by_status_and_code(
    profiles: Profiles, sts: Sts, status: int, code: str, passing: bool
) -> None:
    profiles.role(sts.url)
    sts.refuses(status, code)
    assert_failure(passing=passing, said=f"AssumeRole: {status} {code}: said so")
    assert sts.calls == 1


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, b"", "AssumeRole: 500"),
        (200, b"rubbish PLANTED", "assume-role: ResponseParserError"),
        (200, b"", "assume-role: ResponseParserError"),
        # Keys in an answer that breaks off.
        (200, ANSWER.encode()[:-9], "assume-role: ResponseParserError: an answer that cannot be read"),
        (200, b"<AssumeRoleResponse/>", "assume-role: KeyError: 'AssumeRoleResult'"),
        (200, ANSWER.format(expiration="soon").encode(), "assume-role: ValueError"),
        (200, ANSWER.format(expiration="2001-01-01T00:00:00Z").encode(), "assume-role: RuntimeError"),
        (None, b"", "assume-role: ConnectionClosedError"),
    ],
)
def test_an_sts_that_hiccups_is_passing(
    profiles: Profiles, sts: Sts, status: int | None, body: bytes, said: str
) -> None:
    profiles.role(sts.url)
    sts.answers(status, body)
    assert_failure(passing=True, said=said)


def test_an_sts_that_cannot_be_reached_is_passing_and_not_taken_for_the_service(profiles: Profiles) -> None:
    profiles.role(NOBODY)
    assert_failure(passing=True, said="assume-role: EndpointConnectionError")
    profiles.write("aws_access_key_id = a\naws_secret_access_key = b")
    error = met()
    assert isinstance(error, raised.EndpointConnectionError)
    assert not is_of_credentials(error)


def test_a_web_identity_is_refused_without_its_token_and_passing_without_the_providers_keys(
    profiles: Profiles, sts: Sts
) -> None:
    profiles.web_identity(sts.url, token=None)
    assert_failure(passing=False, said="assume-role-with-web-identity: FileNotFoundError")
    profiles.web_identity(sts.url, token="")
    assert_failure(
        passing=False, said="assume-role-with-web-identity: ParamValidationError: expected a WebId"
    )
    profiles.web_identity(sts.url)
    sts.refuses(400, "InvalidIdentityToken")
    assert_failure(passing=True, said="AssumeRoleWithWebIdentity: 400 InvalidIdentityToken")
    sts.refuses(400, "ExpiredTokenException")
    assert_failure(passing=False, said="AssumeRoleWithWebIdentity: 400 ExpiredTokenException")


def test_a_role_that_asks_for_mfa_is_refused_where_nobody_can_answer(profiles: Profiles, sts: Sts) -> None:
    profiles.role(sts.url, "mfa_serial = arn:aws:iam::123456789012:mfa/someone\n")
    # A session of its own has no terminal, which getpass would ask.
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import report; report()"],
        env=dict(os.environ),
        cwd=Path(__file__).parents[3],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=60,
        check=True,
    )
    passing, message = json.loads(done.stdout)
    assert not passing
    assert message.startswith("AWS credentials: assume-role: EOFError: an MFA code is asked for")
    assert sts.calls == 0


def report() -> None:
    """Prints what became of the credentials of this process."""
    failure = credentials_failure(met())
    print(json.dumps([failure.passing, failure.message]))


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ("", "NoCredentialsError: Unable to locate credentials"),
        ("aws_access_key_id = a", "config-file: PartialCredentialsError"),
        (ROLE, "assume-role: PartialCredentialsError"),
        (f"{ROLE}source_profile = absent", "assume-role: InvalidConfigError"),
        (f"{ROLE}source_profile = mirror", "assume-role: InfiniteLoopConfigError"),
        (f"{ROLE}credential_source = Nowhere", "assume-role: InvalidConfigError"),
        (f"{ROLE}credential_source = Environment", "Environment: No credentials found"),
        (f"{SSO}{START}", "sso: SSOTokenLoadError: Error loading SSO Token"),
        (
            f"{SSO}sso_session = s\n[sso-session s]\n{START}",
            "sso: SSOTokenLoadError: Error loading SSO Token",
        ),
        (SSO, "sso: InvalidConfigError"),
        ("login_session = arn:aws:iam::123456789012:user/x", "login: MissingDependencyException"),
    ],
)
def test_a_profile_that_gives_none_is_refused(
    profiles: Profiles, monkeypatch: pytest.MonkeyPatch, profile: str, said: str
) -> None:
    monkeypatch.setenv("HOME", str(profiles.folder))
    profiles.write(profile)
    assert_failure(passing=False, said=said)


def test_a_profile_or_file_that_is_none_is_refused(profiles: Profiles) -> None:
    profiles.set(AWS_PROFILE="absent")
    assert_failure(passing=False, said="ProfileNotFound: The config profile (absent)")
    (profiles.folder / "config").write_text("no section\n")
    assert_failure(passing=False, said="ConfigParseError")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, b"oops", "container-role: Error retrieving metadata: Received non 200 response 500"),
        (200, b"{}", "container-role: KeyError: 'AccessKeyId'"),
    ],
)
def test_a_container_that_has_none_just_now_is_passing(
    profiles: Profiles, sts: Sts, status: int, body: bytes, said: str
) -> None:
    profiles.set(AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{sts.url}/credentials")
    sts.answers(status, body)
    assert_failure(passing=True, said=said)


def test_a_container_or_instance_that_is_configured_wrongly_is_refused(profiles: Profiles, sts: Sts) -> None:
    profiles.set(
        AWS_CONTAINER_CREDENTIALS_FULL_URI=sts.url, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE="/nonexistent"
    )
    assert_failure(passing=False, said="container-role: FileNotFoundError")


def client_error(code: str, status: int | None = None, operation: str = "AssumeRole") -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "said so"}}
    if status is not None:
        response["ResponseMetadata"] = {"HTTPStatusCode": status}
    return ClientError(response, operation)


@pytest.mark.parametrize("code", sorted(PASSING_CODES))
def test_codes_that_pass_do_so_with_any_status(code: str) -> None:
    assert all(credentials_failure(client_error(code, status)).passing for status in (None, 400, 403, 503))


@pytest.mark.parametrize("code", sorted(REFUSED_CODES))
def test_codes_that_refuse_do_so_without_a_status_and_with_any_4xx(code: str) -> None:
    assert not any(credentials_failure(client_error(code, status)).passing for status in (None, 400, 403))


@pytest.mark.parametrize("status", [None, 200, 408, 425, 429, 500, 501, 502, 503, 504, 505, 509, 529, 599])
def test_of_other_codes_these_statuses_pass(status: int | None) -> None:
    assert credentials_failure(client_error("New", status)).passing


@pytest.mark.parametrize("status", [301, 307, 400, 401, 402, 403, 404, 405, 409, 410, 413, 422, 451])
def test_of_other_codes_these_statuses_refuse(status: int) -> None:
    assert not credentials_failure(client_error("New", status)).passing


@pytest.mark.parametrize(
    "error",
    [
        raised.ConnectTimeoutError(endpoint_url="https://sts"),
        raised.ReadTimeoutError(endpoint_url="https://sts"),
        raised.EndpointConnectionError(endpoint_url="https://sts"),
        raised.HTTPClientError(error=ValueError("Invalid header value b'PLANTED'")),
        raised.MetadataRetrievalError(error_msg="gone"),
        raised.CredentialRetrievalError(provider="Ec2InstanceMetadata", error_msg="none"),
        ResponseParserError("Unable to parse response: b'PLANTED'"),
        OSError(12, "Cannot allocate memory"),
        KeyError("Credentials"),
        RuntimeError(),
        ValueError("x"),
    ],
)
def test_whatever_else_is_raised_passes_and_shows_no_key(error: Exception) -> None:
    failure = credentials_failure(error)
    assert failure.passing
    assert "PLANTED" not in failure.message


def test_what_is_refused_is_refused_with_all_that_descends_from_it() -> None:
    made: dict[type[BaseException], Callable[[], BaseException]] = {
        raised.ParamValidationError: lambda: raised.ParamValidationError(
            report="Invalid type for parameter TokenCode, value: PLANTED, type: <class 'int'>"
        ),
        EOFError: EOFError,
    }
    for kind in REFUSED:
        # The text of a botocore error is filled with whatever it names.
        error = made.get(kind, lambda kind=kind: kind.__new__(kind))()
        assert not credentials_failure(error).passing, kind
        assert "PLANTED" not in credentials_failure(error).message


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_a_refusal_of_sts_or_sso_is_of_credentials_whatever_was_called(operation: str) -> None:
    assert is_of_credentials(client_error("AccessDenied", 403, operation))


def test_a_refusal_of_the_service_itself_is_not_of_credentials() -> None:
    assert not is_of_credentials(client_error("AccessDenied", 403, "Publish"))
    assert not is_of_credentials(ValueError("Invalid endpoint: x"))
    assert not is_of_credentials(FileNotFoundError(2, "not of a provider"))


def test_a_long_text_with_controls_is_one_line_and_cut() -> None:
    error = raised.CredentialRetrievalError(provider="custom-process", error_msg="a\x1b[31m\n" + "b" * 9_000)
    message = credentials_failure(error).message
    assert message.isprintable()
    assert len(message) < 600
