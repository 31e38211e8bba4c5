"""Packages files as upstream signs them, small, and different where a test says so."""

import functools
import json
from typing import Any

from brew_assets.domain.signatures import PublicKey
from brew_assets.simulator.signing import SigningKey, signed
from brew_assets_tests.worlds import digest_of

HEAD = "0123456789abcdef0123456789abcdef01234567"
GENERATED_AT = 1_787_367_600


@functools.cache
def key(kid: str = "homebrew-1", number: int = 0) -> SigningKey:
    """A key of that name; another number is another key."""
    return SigningKey.make(kid)


def public(*keys: SigningKey) -> tuple[PublicKey, ...]:
    """What those hold who verify."""
    return tuple(PublicKey(kid=one.kid, pem=one.public_pem()) for one in keys)


def entry(name: str = "wget", version: str = "1.25.0", **fields: Any) -> dict[str, Any]:
    """One formula with a bottle; a field that is None is left out."""
    found = {
        "desc": f"About {name}",
        "stable_version": version,
        "revision": 0,
        "bottle_rebuild": 0,
        "bottle_tag": ":arm64_sonoma",
        "bottle_cellar": ":any",
        "bottle_checksum": digest_of(f"{name} {version}"),
    }
    return {field: value for field, value in (found | fields).items() if value is not None}


def packages(
    *,
    tag: str = "arm64_sonoma",
    generated_at: Any = GENERATED_AT,
    head: Any = HEAD,
    formulae: Any = None,
    **top: Any,
) -> str:
    """The text that is signed."""
    document = {
        "formulae": {"wget": entry()} if formulae is None else formulae,
        "casks": {"app": {"token": "app"}},
        "formula_tap_git_head": head,
        "metadata": {"bottle_tag": tag, "generated_at": generated_at},
    }
    return json.dumps(document | top, separators=(",", ":"))


def file_of(*keys: SigningKey, **payload: Any) -> bytes:
    """The file, with a signature of each key."""
    return signed(packages(**payload), *(keys or (key(),)))
