"""What the simulator saw and sent. Counters are raised before the bytes that make them true leave, so a
client that has read a body finds it counted."""

import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import Literal

from brew_assets.simulator.http_server import Request

Role = Literal["api", "registry", "cdn"]
KEPT_REQUESTS = 500_000  # the oldest are forgotten, so that a long campaign's memory has a limit
_NOTED_HEADERS = (
    "accept",
    "accept-encoding",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "range",
    "user-agent",
)


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """One request as it arrived; headers in lower case, and only those that matter here."""

    method: str
    host: Role
    path: str
    query: str
    headers: dict[str, str]
    authorized: bool


class Traffic:
    """The simulator's counts. Safe to use from many threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.requests: deque[SeenRequest] = deque(maxlen=KEPT_REQUESTS)
        self.violations: list[str] = []
        self.downloads: Counter[str] = Counter()
        self.completed: Counter[str] = Counter()
        self.bytes_sent = 0
        self.refused_logins = 0
        self.bodies = 0
        self.most_bodies = 0

    def see(self, role: Role, request: Request) -> None:
        """The request is on record."""
        headers = request.headers
        noted = {name: headers[name] for name in _NOTED_HEADERS if name in headers}
        authorized = "authorization" in headers
        seen = SeenRequest(request.method, role, request.path, request.query, noted, authorized)
        with self.lock:
            self.requests.append(seen)

    def violation(self, text: str) -> None:
        """A client broke the protocol."""
        with self.lock:
            self.violations.append(text)

    def refuse_login(self) -> None:
        """Somebody came with wrong credentials."""
        with self.lock:
            self.refused_logins += 1

    def begin(self, digest: str) -> None:
        """A blob body is about to be sent."""
        with self.lock:
            self.downloads[digest] += 1

    def body_begins(self) -> None:
        """A body is being sent from now on."""
        with self.lock:
            self.bodies += 1
            self.most_bodies = max(self.most_bodies, self.bodies)

    def body_ends(self) -> None:
        """Its last byte leaves, or it broke off."""
        with self.lock:
            self.bodies -= 1

    def sent(self, n_bytes: int) -> None:
        """That many body bytes leave; negative when they did not."""
        with self.lock:
            self.bytes_sent += n_bytes

    def complete(self, digest: str, times: int = 1) -> None:
        """The last byte of a blob leaves; -1 when it did not."""
        with self.lock:
            self.completed[digest] += times
            if not self.completed[digest]:
                del self.completed[digest]
