"""What upstream publishes: formulae and their bottles, as plain values."""

import hashlib
from dataclasses import dataclass

# The brew whose forms all documents have.
HOMEBREW_VERSION = "6.0.18"
ROOT_URL = "https://ghcr.io/v2/homebrew/core"
# 2026-08-22 03:00 UTC: when the first edition was made, unless a clock says it.
FIRST_GENERATED_AT = 1_787_367_600
SECONDS_APART = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedBottle:
    """One archive upstream: one formula, one version, one tag."""

    formula: str
    pkg_version: str
    tag: str
    rebuild: int
    digest: str
    size: int
    image: str

    @property
    def _suffix(self) -> str:
        return f".{self.rebuild}" if self.rebuild else ""

    @property
    def filename(self) -> str:
        return f"{self.formula}-{self.pkg_version}.{self.tag}.bottle{self._suffix}.tar.gz"

    @property
    def url(self) -> str:
        return f"{ROOT_URL}/{self.image}/blobs/sha256:{self.digest}"

    @property
    def reference(self) -> str:
        """The tag of its index: `pkg_version` or `pkg_version-rebuild`."""
        return f"{self.pkg_version}-{self.rebuild}" if self.rebuild else self.pkg_version

    @property
    def ref_name(self) -> str:
        """Its `org.opencontainers.image.ref.name` within the index."""
        return f"{self.pkg_version}.{self.tag}{self._suffix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedFormula:
    """One entry of the catalogue."""

    name: str
    version: str
    revision: int
    rebuild: int
    bottles: tuple[SimulatedBottle, ...]
    dependencies: tuple[str, ...] = ()
    deprecated: bool = False
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """What upstream showed between two changes: all that the API serves at one time is made from one."""

    seed: int
    number: int
    generated_at: int  # seconds since 1970
    formulae: tuple[SimulatedFormula, ...] = ()

    @property
    def tap_git_head(self) -> str:
        """The commit of homebrew-core that it was made from."""
        return hashlib.sha1(f"head/{self.seed}/{self.number}".encode(), usedforsecurity=False).hexdigest()
