"""How a registry's 401 is answered: with an anonymous bearer, a token, or the credentials of the settings.

What ghcr.io wants of brew is any bearer. A cache of one's own wants Basic credentials (Nexus), or a token
that its realm gives for them (Harbor, Artifactory). Wrong credentials are tried once: servers lock accounts
out, and what one bottle is refused for all are.

What a server asks for are the challenges in `WWW-Authenticate` (RFC 9110, section 11). One header may hold
several, separated by the commas that also separate their parameters. What a server writes otherwise than the
grammar has it (unquoted addresses, no end of a quote) is read as far as it can be; nothing is looked through
twice.
"""

import base64
import contextlib
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from brew_assets.errors import RegistryRefused, SettingsInvalid, UpstreamError, UpstreamUnauthorized
from brew_assets.settings import Secret

# What brew itself sends; GHCR accepts any bearer for public blobs.
ANONYMOUS_TOKEN = "QQ=="  # noqa: S105
# So many repositories in a row, before the registry has given anything: fewer may be closed ones.
REFUSALS_IN_A_ROW = 3
# A token may have some KiB, and is of use for the few requests that one formula needs. More than threads.
_MOST_TOKENS = 1000
_AT_ONCE = contextlib.nullcontext()
_HOW_TO = (
    "set BOTTLE_REGISTRY_USERNAME and BOTTLE_REGISTRY_PASSWORD (or BOTTLE_REGISTRY_SECRET_NAME) to those of "
    "a user who may read there"
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """User and password of a registry."""

    username: str
    password: Secret

    def header(self) -> str:
        """The value of an `Authorization` header (RFC 7617, as UTF-8)."""
        pair = f"{self.username}:{self.password.reveal()}".encode()
        return f"Basic {base64.b64encode(pair).decode('ascii')}"


class CredentialsSource(Protocol):
    """Where credentials come from; `settings` names it for people."""

    @property
    def settings(self) -> str: ...

    def __call__(self) -> Credentials:
        """The credentials.

        Raises:
            RegistryRefused: they can never be had in this way.
            UpstreamFailed: not now.
        """
        ...


@dataclass(frozen=True, slots=True)
class GivenCredentials:
    """The credentials that stand in the settings themselves."""

    credentials: Credentials
    settings: str = "BOTTLE_REGISTRY_USERNAME and BOTTLE_REGISTRY_PASSWORD"

    def __call__(self) -> Credentials:
        return self.credentials


def given_credentials(username: str, password: Secret) -> GivenCredentials | None:
    """The credentials of the settings; None where there are none.

    Raises:
        SettingsInvalid: one without the other, or a user that cannot be written.
    """
    if not username and not password:
        return None
    name, expected, found = "BOTTLE_REGISTRY_USERNAME", "", "nothing"
    if not username:
        expected = "the user whose BOTTLE_REGISTRY_PASSWORD is set"
    elif not password:
        name, expected = "BOTTLE_REGISTRY_PASSWORD", f"the password of {name}"
    elif ":" in username:
        expected, found = "a user without a colon, at which its name would end", "one with a colon"
    if expected:
        raise SettingsInvalid(name=name, expected=expected, found=found)
    return GivenCredentials(Credentials(username, password))


class RegistryLogin:
    """What a registry is shown, and what it made of it. Used by several threads."""

    def __init__(self, registry: str, source: CredentialsSource | None) -> None:
        """`registry` is its address as it may be shown."""
        self._registry = registry
        self._source = source
        self._credentials: Credentials | None = None
        self._tokens: dict[str, str] = {}
        self._basic = ""
        self._lock = threading.Lock()
        self._first = threading.Lock()
        self._has_given = False
        self._closed: set[str] = set()
        self._refused = 0
        self._refusal: RegistryRefused | None = None

    @property
    def has_credentials(self) -> bool:
        """Whether the settings name credentials."""
        return self._source is not None

    def turn(self) -> "contextlib.AbstractContextManager[None]":
        """One thread at a time until the registry has accepted the credentials: wrong ones are tried once.

        Raises:
            RegistryRefused: it has refused them, or wants some and there are none.
        """
        if self._source is not None and not self._has_given:
            return self._alone()
        self._check()
        return _AT_ONCE

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self._first:
            self._check()
            yield

    def _check(self) -> None:
        if self._refusal is not None:
            raise RegistryRefused(str(self._refusal))

    def authorization(self, repository: str) -> dict[str, str]:
        """The header of a request to the registry; none where nothing is known of what it wants yet."""
        if self._basic:
            return {"Authorization": self._basic}
        token = self._tokens.get(repository, "" if self._source is not None else ANONYMOUS_TOKEN)
        return {"Authorization": f"Bearer {token}"} if token else {}

    def use_token(self, repository: str, token: str) -> None:
        """The repository is asked with this bearer from now on, until that of many others has come."""
        self._basic = ""
        with self._lock:
            if len(self._tokens) >= _MOST_TOKENS:
                del self._tokens[next(iter(self._tokens))]
            self._tokens[repository] = token

    def credentials(self) -> Credentials | None:
        """The credentials, None where none are configured; read once.

        Raises:
            RegistryRefused, UpstreamFailed: as of their source, which is asked again the next time.
        """
        if self._source is None:
            return None
        with self._lock:
            if self._credentials is None:
                self._credentials = self._source()
        return self._credentials

    def use_basic(self, subject: str, *, shown: Mapping[str, str]) -> None:
        """The registry is asked with Basic credentials from now on; `shown` is the header of what it refused.

        Raises:
            UpstreamUnauthorized: it was asked with them.
            RegistryRefused: the same, and they have never helped; or there are none.
        """
        credentials = self.credentials()
        header = credentials.header() if credentials is not None else ""
        # Another thread may have begun to use them meanwhile.
        if not header or shown.get("Authorization") == header:
            raise self.refused_credentials(subject)
        self._basic = header

    def given(self) -> None:
        """The registry has answered as one that has let us in."""
        if not self._has_given or self._refused:
            with self._lock:
                self._has_given, self._refused = True, 0

    def refused_credentials(self, subject: str) -> UpstreamError:
        """The error of a registry or realm that wants credentials, or takes none of ours."""
        with self._lock:
            self._refused += 1
            if self._source is None:
                text = f"{self._registry}: the registry wants a user and a password (401); {_HOW_TO}"
            else:
                text = f"{self._registry}: the registry does not accept the credentials (401); check "
                text += f"{self._source.settings}"
            # What it refuses one, it refuses all: unless it has let us in before.
            if self._has_given and self._refused < REFUSALS_IN_A_ROW:
                return UpstreamUnauthorized(f"{subject}: {text}")
            self._refusal = RegistryRefused(text)
            return self._refusal

    def closed(self, subject: str, repository: str, why: str) -> UpstreamError:
        """The error of a repository that stays closed although its token is fresh, or that gives none."""
        with self._lock:
            self._closed.add(repository)
            if self._has_given or len(self._closed) < REFUSALS_IN_A_ROW:
                return UpstreamUnauthorized(f"{subject}: {why}")
            text = f"{self._registry}: the registry lets us into no repository ({why}); "
            text += _HOW_TO if self._source is None else f"check what {self._source.settings} may read there"
            self._refusal = RegistryRefused(text)
            return self._refusal


# Of all challenges together; what registries send has some hundred characters.
_MOST_CHARACTERS = 8192
_SPACE = re.compile(r"[\s,]*")
_WORD = re.compile(r"[^\s,=\"]+")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|\Z)', re.DOTALL)
_BARE = re.compile(r"[^\s,\"]*")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|\Z))")


class Challenge(NamedTuple):
    """One scheme, in small letters, with its parameters: names in small letters, the first of equal ones."""

    scheme: str
    parameters: dict[str, str]


def challenges_of(header: str) -> list[Challenge]:
    """The challenges, in their order; what is none is passed over."""
    text = header[:_MOST_CHARACTERS]
    found: list[Challenge] = []
    at = 0
    while at < len(text):
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
        word = _WORD.match(text, at)
        if word is None:
            at += 1
            continue
        at = word.end()
        if equals := _EQUALS.match(text, at):
            value, at = _value(text, equals.end())
            if found:
                found[-1].parameters.setdefault(word[0].lower(), value)
            continue
        found.append(Challenge(word[0].lower(), {}))
        at = _behind_token68(text, at)
    return found


def _value(text: str, at: int) -> tuple[str, int]:
    quoted = _QUOTED.match(text, at)
    if quoted is not None:
        return re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL), quoted.end()
    bare = _BARE.match(text, at)
    assert bare is not None  # it matches nothing at all, too
    return bare[0].strip("'"), max(bare.end(), at)


def _behind_token68(text: str, at: int) -> int:
    """The place behind what a scheme has instead of parameters (`Negotiate YII=`)."""
    start = at
    while start < len(text) and text[start] in " \t":
        start += 1
    token = _TOKEN68.match(text, start) if start > at else None
    return token.end() if token else at
