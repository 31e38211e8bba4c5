"""How a simulated registry is reached: behind which path, and by whom."""

import base64
from dataclasses import dataclass
from typing import Literal

from brew_assets.simulator.http_server import Request

Scheme = Literal["any", "token", "basic", "token for credentials"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a registry insists on.

    `api` is the path that ends in its `v2`, `project` what stands before the names of its repositories. It
    wants any bearer, as ghcr.io does, a token of its realm, Basic credentials, or a token that its realm
    gives for those. `challenge`, with {url} and {name} in it, takes the place of its own in a 401. With
    `cookie` it answers a request without that by a redirect to the same address.
    """

    api: str = "/v2"
    project: str = ""
    scheme: Scheme = "any"
    username: str = ""
    password: str = ""
    challenge: str = ""
    cookie: str = ""

    @classmethod
    def harbor(cls, project: str = "ghcr-cache", **more: str) -> "Access":
        """A proxy project: `/v2/<project>/homebrew/core/…`."""
        return cls(project=project, scheme="token for credentials" if more else "token", **more)

    @classmethod
    def nexus(cls, repository: str = "ghcr", **more: str) -> "Access":
        """A proxy repository with a path of its own: `/repository/<repository>/v2/…`; Basic credentials."""
        return cls(api=f"/repository/{repository}/v2", scheme="basic" if more else "any", **more)

    @classmethod
    def artifactory(cls, repository: str = "ghcr-remote", **more: str) -> "Access":
        """A remote repository: `/artifactory/api/docker/<repository>/v2/…`; tokens for credentials."""
        scheme: Scheme = "token for credentials" if more else "token"
        return cls(api=f"/artifactory/api/docker/{repository}/v2", scheme=scheme, **more)

    def inside(self, path: str) -> str | None:
        """The path as a registry at the root would have it, None where nothing of the API is."""
        root = f"{self.api}/{self.project}" if self.project else self.api
        return f"/v2{path.removeprefix(root)}" if path.startswith(f"{root}/") else None

    @property
    def realm(self) -> str:
        """The path of the realm that gives tokens."""
        return f"{self.api.removesuffix('/v2')}/token"

    def knows(self, request: Request) -> bool:
        """Whether the request carries the credentials."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        pair = f"{self.username}:{self.password}".encode()
        return scheme.lower() == "basic" and value.strip() == base64.b64encode(pair).decode()
