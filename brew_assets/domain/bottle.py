"""What a bottle is and what it is called everywhere.

Naming rules: Homebrew/brew `bottle.rb` (file names), `github_packages.rb` (image names, index references).
"""

import re
from typing import NewType

import msgspec

from brew_assets.domain.object_keys import bottle_key

Digest = NewType("Digest", str)  # 64 lower-case hex digits of a SHA-256, without "sha256:"
PkgVersion = NewType("PkgVersion", str)  # version, with "_<revision>" when the revision is not 0

_DIGEST = re.compile(r"[0-9a-f]{64}")
# Names become keys, file names and URL paths: one path segment of visible ASCII, never "." or "..".
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9@+._-]{0,127}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._,:~-]{0,127}")
_TAG = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FILENAME = re.compile(
    # Characters of names and versions alone: anything else is no bottle's.
    r"(?P<stem>[A-Za-z0-9][A-Za-z0-9@+._,:~-]*)"
    r"\.(?P<tag>[a-z][a-z0-9_]{0,63})\.bottle(?:\.(?P<rebuild>[1-9][0-9]{0,5}))?\.tar\.gz"
)
_SHOWN = re.compile(r"(?P<name>.+?)-(?P<version>[0-9].*)-[a-z0-9_]+(?:\.[0-9]+)?")
# LH/github_packages.rb VALID_OCI_TAG_REGEX
_OCI_REFERENCE = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")

CORE_REPOSITORY = "https://ghcr.io/v2/homebrew/core"


def is_digest(text: str) -> bool:
    """Whether text is a SHA-256 as we write it: 64 lower-case hex digits."""
    return _DIGEST.fullmatch(text) is not None


def is_formula_name(text: str) -> bool:
    """Whether text can be a formula name and one path segment."""
    return _NAME.fullmatch(text) is not None and ".." not in text


def is_pkg_version(text: str) -> bool:
    """Whether text can be a pkg_version and part of a path segment."""
    return _VERSION.fullmatch(text) is not None and ".." not in text


def is_tag(text: str) -> bool:
    """Whether text has the form of a bottle tag."""
    return _TAG.fullmatch(text) is not None


class Bottle(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One archive: one formula, one tag. `url` is the catalogue's address of the blob."""

    formula: str
    pkg_version: PkgVersion
    tag: str
    rebuild: int = 0
    digest: Digest
    url: str

    @property
    def filename(self) -> str:
        """The flat name, as brew's bottle domains have it, with literal "@" and "+"."""
        return f"{self.formula}-{self.pkg_version}.{self.tag}.bottle{_rebuild(self.rebuild)}.tar.gz"

    @property
    def entry_key(self) -> str:
        """The key of the manifest entry; a rebuild gets one of its own."""
        return entry_key(self.formula, self.pkg_version, self.tag, self.rebuild)

    @property
    def ref_name(self) -> str:
        """What the bottle's entry in its index is called: `<pkg_version>.<tag>[.<rebuild>]`."""
        return f"{self.pkg_version}.{self.tag}{_rebuild(self.rebuild)}"

    def key(self, date: str) -> str:
        """Where the bottle stands in the store when the sync of `date` (YYYY-MM-DD) stored it."""
        return bottle_key(date, self.filename)


def _rebuild(rebuild: int) -> str:
    return f".{rebuild}" if rebuild else ""


def entry_key(formula: str, pkg_version: str, tag: str, rebuild: int) -> str:
    """`<name>-<pkg_version>-<tag>`, with `.<rebuild>` when it is not 0."""
    return f"{formula}-{pkg_version}-{tag}{_rebuild(rebuild)}"


def shown_entry(key: str) -> str:
    """An entry key for people, `node@20.5.1`: a guess where name and version could be split in two ways."""
    match = _SHOWN.fullmatch(key)
    if match is None:
        return key
    return match["name"] if "@" in match["name"] else f"{match['name']}@{match['version']}"


def image_name(formula: str) -> str:
    """The repository of a formula below homebrew/core: "@" becomes "/", and "+" becomes "x"."""
    return formula.replace("@", "/").replace("+", "x")


def index_reference(pkg_version: str, rebuild: int) -> str:
    """The OCI tag of a formula's index: `<pkg_version>[-<rebuild>]`."""
    return f"{pkg_version}-{rebuild}" if rebuild else str(pkg_version)


def is_index_reference(text: str) -> bool:
    """Whether a registry accepts text as a tag."""
    return _OCI_REFERENCE.fullmatch(text) is not None


def blob_url(formula: str, digest: str) -> str:
    """The address that Homebrew gives a bottle: holds for all of homebrew/core."""
    return f"{CORE_REPOSITORY}/{image_name(formula)}/blobs/sha256:{digest}"


class FilenameParts(msgspec.Struct, frozen=True, kw_only=True):
    """What a file name says by itself; `stem` is `<name>-<pkg_version>`, ambiguous without a look-up."""

    stem: str
    tag: str
    rebuild: int


def parse_filename(filename: str) -> FilenameParts | None:
    """The parts of a bottle's file name, or None when it is no such name."""
    match = _FILENAME.fullmatch(filename)
    if match is None:
        return None
    return FilenameParts(stem=match["stem"], tag=match["tag"], rebuild=int(match["rebuild"] or 0))
