"""Homebrew's signed API: the packages file of one tag, and which bottles it gives to machines of that tag.

A file is believed once its signature was verified. What of it cannot be read rejects itself and nothing else.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime

import msgspec

from brew_assets.domain.bottle import (
    Bottle,
    Digest,
    PkgVersion,
    blob_url,
    is_digest,
    is_formula_name,
    is_pkg_version,
    is_tag,
)
from brew_assets.domain.catalogue import MAX_NAME_BYTES
from brew_assets.domain.formula import MAX_FORMULAE
from brew_assets.domain.proof import MAX_REBUILD
from brew_assets.domain.rejections import ONE_IN, Rejected, first_reasons
from brew_assets.domain.signatures import PublicKey, verified_payload
from brew_assets.errors import UNREADABLE, PublicationInvalid

# The year 2100; a date is made of it.
_LATEST = 4_102_444_800


def packages_path(tag: str) -> str:
    """Where the file of a tag is, below the base address of the API."""
    return f"internal/packages.{tag}.jws.json"


class ApiBottle(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a packages file says of one formula's bottle for its machines.

    `bottle_tag` is what the bottle was built for: the file's tag, an older one, or `all`. `disabled` as of
    the day on which the file was made.
    """

    name: str
    stable_version: str
    revision: int
    bottle_rebuild: int
    bottle_tag: str
    bottle_checksum: Digest
    disabled: bool

    @property
    def pkg_version(self) -> PkgVersion:
        """The version with `_<revision>` when the revision is not 0."""
        return PkgVersion(f"{self.stable_version}_{self.revision}" if self.revision else self.stable_version)

    def bottle(self) -> Bottle:
        """The same as any bottle; its address is the one that Homebrew gives all of homebrew/core."""
        return Bottle(
            formula=self.name,
            pkg_version=self.pkg_version,
            tag=self.bottle_tag,
            rebuild=self.bottle_rebuild,
            digest=self.bottle_checksum,
            url=blob_url(self.name, self.bottle_checksum),
        )


class PackagesFile(msgspec.Struct, frozen=True, kw_only=True):
    """The packages file of `tag`, made at `generated_at` (seconds since 1970) from a commit of homebrew-core.

    `formulae` counts those with and without a bottle.
    """

    tag: str
    generated_at: int
    tap_git_head: str
    formulae: int
    bottles: tuple[ApiBottle, ...]
    rejected: tuple[Rejected, ...] = ()


class _Metadata(msgspec.Struct):
    bottle_tag: str
    generated_at: int


class _DisableArgs(msgspec.Struct):
    date: str = msgspec.field(name=":date", default="")


class _Entry(msgspec.Struct):
    stable_version: str = ""
    revision: int = 0
    bottle_rebuild: int = 0
    bottle_tag: str = ""
    bottle_checksum: str = ""
    disable_args: _DisableArgs | None = None


class _Payload(msgspec.Struct):
    metadata: _Metadata
    formula_tap_git_head: str
    formulae: dict[str, _Entry]


class _RawPayload(msgspec.Struct):
    metadata: _Metadata
    formula_tap_git_head: str
    formulae: dict[str, msgspec.Raw]


_payload_decoder = msgspec.json.Decoder(_Payload)
_raw_decoder = msgspec.json.Decoder(_RawPayload)
_entry_decoder = msgspec.json.Decoder(_Entry)


def read_packages(data: bytes, keys: Sequence[PublicKey], *, tag: str, where: str = "") -> PackagesFile:
    """The packages file of the tag in a document of the API; `where` is what an error calls it.

    Raises:
        PublicationInvalid: none of the keys' owners signed it, it is of another tag, or more than a tenth of
            its entries cannot be used.
    """
    where = where or packages_path(tag)
    payload = verified_payload(data, keys, where=where)
    try:
        return decode_packages(payload, tag=tag)
    except PublicationInvalid as exc:
        raise PublicationInvalid(f"{where}: {exc}") from exc


def decode_packages(payload: str | bytes, *, tag: str) -> PackagesFile:
    """The packages file of the tag in a payload that somebody signed.

    Raises:
        PublicationInvalid: as `read_packages`, signatures apart.
    """
    head, entries, rejected = _read_payload(payload)
    found, made_at = _without_colon(head.metadata.bottle_tag), head.metadata.generated_at
    if found != tag:
        raise PublicationInvalid(f"metadata.bottle_tag: expected {tag}, found {found[:80]!a}")
    if not 0 < made_at < _LATEST:
        raise PublicationInvalid(f"metadata.generated_at: expected seconds since 1970, found {made_at}")
    today = datetime.fromtimestamp(made_at, UTC).date()
    bottles: list[ApiBottle] = []
    for name, entry in entries.items():
        if not entry.bottle_checksum:
            continue  # no bottle serves these machines
        bottle = _bottle(name, entry, tag, today)
        if why := _why_not(bottle):
            rejected.append(Rejected(name[:MAX_NAME_BYTES], why, bottle.bottle_tag[:80] or tag))
        else:
            bottles.append(bottle)
    formulae = len(head.formulae)
    if len(rejected) * ONE_IN > formulae:
        raise PublicationInvalid(
            f"{len(rejected):,} of {formulae:,} formulae cannot be used, more than a tenth. "
            f"First: {first_reasons(rejected)}"
        )
    return PackagesFile(
        tag=tag,
        generated_at=made_at,
        tap_git_head=head.formula_tap_git_head,
        formulae=formulae,
        bottles=tuple(bottles),
        rejected=tuple(rejected),
    )


def _read_payload(payload: str | bytes) -> "tuple[_Payload | _RawPayload, dict[str, _Entry], list[Rejected]]":
    """What stands above the formulae, those that can be read, and those that cannot."""
    rejected: list[Rejected] = []
    try:
        whole = _payload_decoder.decode(payload)
        _check_head(whole.formula_tap_git_head, len(whole.formulae))
        return whole, whole.formulae, rejected
    except UNREADABLE:
        pass
    try:
        raw = _raw_decoder.decode(payload)
    except UNREADABLE as exc:
        raise PublicationInvalid(f"expected a packages file, found: {exc}") from exc
    _check_head(raw.formula_tap_git_head, len(raw.formulae))
    entries: dict[str, _Entry] = {}
    for name, text in raw.formulae.items():
        try:
            entries[name] = _entry_decoder.decode(text)
        except UNREADABLE as exc:
            rejected.append(
                Rejected(name[:MAX_NAME_BYTES], f"it cannot be read: {str(exc).replace('`', chr(39))}")
            )
    return raw, entries, rejected


def _check_head(head: str, formulae: int) -> None:
    if not (head.isascii() and head.isalnum() and 7 <= len(head) <= 64):
        raise PublicationInvalid(f"formula_tap_git_head: expected a commit, found {head[:80]!a}")
    if not 0 < formulae <= MAX_FORMULAE:
        raise PublicationInvalid(f"formulae: expected 1 to {MAX_FORMULAE:,}, found {formulae:,}")


def _bottle(name: str, entry: _Entry, tag: str, today: date) -> ApiBottle:
    return ApiBottle(
        name=name,
        stable_version=entry.stable_version,
        revision=entry.revision,
        bottle_rebuild=entry.bottle_rebuild,
        bottle_tag=_without_colon(entry.bottle_tag) or tag,
        bottle_checksum=Digest(entry.bottle_checksum),
        disabled=entry.disable_args is not None and _has_come(entry.disable_args.date, today),
    )


def _has_come(text: str, today: date) -> bool:
    """Whether it is the day from which a formula is disabled, or later; False for a date that is none."""
    # As brew has it: with a day that is still to come, the formula is deprecated until then. Of one that
    # cannot be read nothing is left out in silence.
    try:
        return date.fromisoformat(text) <= today
    except ValueError:
        return False


def _why_not(bottle: ApiBottle) -> str | None:
    if not is_formula_name(bottle.name):
        return "the name is not one safe path segment"
    if not 0 <= bottle.revision <= MAX_REBUILD or not 0 <= bottle.bottle_rebuild <= MAX_REBUILD:
        return "revision or rebuild is out of range"
    if not is_pkg_version(bottle.pkg_version):
        return f"the version {bottle.pkg_version[:40]!r} is not one safe path segment"
    if not is_tag(bottle.bottle_tag):
        return "the tag is not of a tag's form"
    if not is_digest(bottle.bottle_checksum):
        return "the digest is not a SHA-256"
    if len(bottle.name) + len(bottle.pkg_version) + len(bottle.bottle_tag) > MAX_NAME_BYTES:
        return "the file name is longer than file systems take"
    return None


def _without_colon(symbol: str) -> str:
    """The text of a Ruby symbol, which brew writes with its colon."""
    return symbol.removeprefix(":")
