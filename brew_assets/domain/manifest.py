"""`bottles_hash.json`: the record of what is held, byte for byte as the specification shapes it.

One field is added: `integrity`, the SHA-256 over the document's bytes with its own value left out. Every
changed byte is seen, one inside a digest too.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from brew_assets.domain.bottle import (
    Bottle,
    Digest,
    PkgVersion,
    entry_key,
    image_name,
    is_digest,
    is_formula_name,
    is_pkg_version,
    is_tag,
    parse_filename,
)
from brew_assets.domain.object_keys import is_date, parse_key
from brew_assets.domain.seal import NO_SEAL, seal, why_broken
from brew_assets.errors import UNREADABLE, ManifestInvalid

BACKUPS_KEPT = 10
SYNC_VERSION = "1.0.0"

_BLOBS = "/blobs/sha256:"
_RECEIPTS_REMEDY = (
    "`brew-mirror manifest rebuild` moves this object to state/rejected/ and records its bottles, which are "
    "untouched, from where they stand."
)
_IMPORT_REMEDY = (
    "If the file comes from another tool, check it and take it over with `brew-mirror manifest import`."
)


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One held bottle, field for field as the specification names them."""

    sha256: str
    download_date: str
    file_size: int
    formula_name: str
    formula_version: str
    platform: str
    url: str
    s3_key: str


class HeldEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The fields of an entry that planning needs."""

    sha256: str
    file_size: int
    s3_key: str

    @classmethod
    def of(cls, entry: Entry) -> "HeldEntry":
        """Those of the entry."""
        return cls(sha256=entry.sha256, file_size=entry.file_size, s3_key=entry.s3_key)


def entry_for(bottle: Bottle, *, date: str, size: int) -> Entry:
    """The manifest entry of a bottle stored by the sync of `date`."""
    return Entry(
        sha256=bottle.digest,
        download_date=date,
        file_size=size,
        formula_name=bottle.formula,
        formula_version=bottle.pkg_version,
        platform=bottle.tag,
        url=bottle.url,
        s3_key=bottle.key(date),
    )


class Total(msgspec.Struct):
    """Bottles and bytes of one platform or one date."""

    count: int = 0
    total_size_bytes: int = 0

    def add(self, size: int) -> None:
        """Counts one more bottle of `size` bytes."""
        self.count += 1
        self.total_size_bytes += size


class Statistics(msgspec.Struct, kw_only=True):
    """The specification's `statistics`, always computed from the entries."""

    by_platform: dict[str, Total] = {}
    by_date: dict[str, Total] = {}


def _statistics(entries: Iterable[Entry]) -> Statistics:
    found = Statistics(by_platform={}, by_date={})
    for entry in entries:
        found.by_platform.setdefault(entry.platform, Total()).add(entry.file_size)
        found.by_date.setdefault(entry.download_date, Total()).add(entry.file_size)
    return Statistics(
        by_platform=dict(sorted(found.by_platform.items())),
        by_date=dict(sorted(found.by_date.items(), reverse=True)),
    )


class Manifest:
    """The whole manifest. Entries stay encoded, so that fields we do not know survive a round trip."""

    def __init__(
        self,
        bottles: Mapping[str, msgspec.Raw] | None = None,
        extra: Mapping[str, msgspec.Raw] | None = None,
    ) -> None:
        self._bottles: dict[str, msgspec.Raw] = dict(bottles or {})
        self._extra = dict(extra or {})

    def __len__(self) -> int:
        return len(self._bottles)

    def __contains__(self, key: str) -> bool:
        return key in self._bottles

    def get(self, key: str) -> Entry | None:
        """The entry under the key, decoded; None if there is none."""
        raw = self._bottles.get(key)
        return None if raw is None else _decode_entry(key, raw)

    def holds(self, bottle: Bottle) -> bool:
        """Whether the bottle is recorded with its digest."""
        entry = self.get(bottle.entry_key)
        return entry is not None and entry.sha256 == bottle.digest

    def keys(self) -> Iterable[str]:
        """The entry keys."""
        return self._bottles.keys()

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Every entry, decoded one after the other."""
        for key, raw in self._bottles.items():
            yield key, _decode_entry(key, raw)

    def encoded(self, key: str) -> bytes | None:
        """The entry under the key as it will be written, None when there is none."""
        raw = self._bottles.get(key)
        return None if raw is None else bytes(raw)

    def forget(self, key: str, *, s3_key: str) -> None:
        """No entry stands under the key, unless it names another object than this one."""
        raw = self._bottles.get(key)
        if raw is not None and _decode_entry(key, raw).s3_key == s3_key:
            del self._bottles[key]

    def put(self, key: str, entry: Entry) -> None:
        """Records the entry; the one that stood under the key before is replaced."""
        self._bottles[key] = msgspec.Raw(msgspec.json.encode(entry))

    def take_from(self, other: "Manifest", key: str) -> None:
        """The entry under the key is the other manifest's, with the fields of it that we do not know."""
        self._bottles[key] = other._bottles[key]

    def copy(self) -> "Manifest":
        """Another manifest with the same entries and fields."""
        return Manifest(self._bottles, self._extra)

    def has_the_entries_of(self, other: "Manifest") -> bool:
        """Whether both have the same entries, byte for byte."""
        mine, others = self._bottles, other._bottles
        return mine.keys() == others.keys() and all(bytes(mine[key]) == bytes(others[key]) for key in mine)

    def statistics(self) -> Statistics:
        """Counts and bytes by platform and by date."""
        return _statistics(entry for _, entry in self.entries())

    def encode(self, *, last_updated: str) -> bytearray:
        """The document, with statistics and integrity; entries in the order of their keys."""
        statistics = self.statistics()
        document = {
            "last_updated": last_updated,
            "sync_version": SYNC_VERSION,
            "total_bottles": len(self._bottles),
            "total_size_bytes": sum(total.total_size_bytes for total in statistics.by_platform.values()),
            "platforms": list(statistics.by_platform),
            "bottles": dict(sorted(self._bottles.items())),
            "statistics": statistics,
            **self._extra,
        }
        buffer = bytearray()
        msgspec.json.Encoder().encode_into(document, buffer)
        return seal(buffer)


def check_integrity(data: bytes) -> None:
    """Returns when the document is as it was sealed.

    Raises:
        ManifestInvalid: empty, truncated, changed, or never sealed.
    """
    why = why_broken(data)
    if why is not None:
        raise ManifestInvalid(why, remedy=_IMPORT_REMEDY if why is NO_SEAL else "")


def decode_manifest(data: bytes, *, sealed: bool = True) -> Manifest:
    """The manifest in `data`, every entry and all statistics checked.

    `sealed=False` accepts a document without `integrity` (an import).

    Raises:
        ManifestInvalid: anything about it is not as the specification says.
    """
    if sealed:
        check_integrity(data)
    # Read in layers instead of into one struct. Entries stay the bytes that they are (msgspec.Raw), each
    # decoded when it is looked at: fields of other tools survive a fold byte for byte, and 250,000 decoded
    # entries are never in memory at once. Counting the statistics decodes each in turn, and so checks it.
    # What is left of the outer fields is not ours and is written back as it came.
    try:
        fields = _members_decoder.decode(data)
        known = _known_decoder.decode(data)
        bottles = _members_decoder.decode(fields.pop("bottles"))
    except (*UNREADABLE, KeyError) as exc:
        raise ManifestInvalid(f"expected the shape of a manifest, found: {exc}") from exc
    _check_version(known.sync_version)
    for name in (*_Known.__struct_fields__, "integrity"):
        fields.pop(name, None)
    manifest = Manifest(bottles, fields)
    statistics = manifest.statistics()
    total = sum(total.total_size_bytes for total in statistics.by_platform.values())
    if known.total_bottles != len(bottles):
        raise ManifestInvalid(f"total_bottles says {known.total_bottles}, found {len(bottles)} entries")
    if sealed and (known.total_size_bytes != total or known.statistics != statistics):
        raise ManifestInvalid("its statistics do not agree with its entries")
    return manifest


class _Known(msgspec.Struct, kw_only=True):
    last_updated: str
    sync_version: str
    total_bottles: int
    total_size_bytes: int
    platforms: list[str]
    statistics: Statistics


_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_known_decoder = msgspec.json.Decoder(_Known)
_entry_decoder = msgspec.json.Decoder(Entry)


def _check_version(found: str) -> None:
    if found.split(".", maxsplit=1)[0] != SYNC_VERSION.split(".", maxsplit=1)[0]:
        raise ManifestInvalid(f"expected sync_version {SYNC_VERSION}, found {found[:40]!r}")


def _decode_entry(key: str, raw: msgspec.Raw) -> Entry:
    try:
        entry = _entry_decoder.decode(raw)
    except UNREADABLE as exc:
        raise ManifestInvalid(f"the entry {key[:120]!r} is not of the specification's shape: {exc}") from exc
    if why := _why_wrong(key, entry):
        raise ManifestInvalid(f"the entry {key[:120]!r} contradicts itself: {why}")
    return entry


def _why_wrong(key: str, entry: Entry) -> str | None:
    if not is_digest(entry.sha256):
        return "sha256 is not 64 lower-case hex digits"
    if entry.file_size <= 0:
        return f"file_size is {entry.file_size}"
    if not is_tag(entry.platform):
        return "platform is not of a tag's form"
    place = parse_key(entry.s3_key)
    parts = parse_filename(place[1]) if place else None
    if place is None or parts is None:
        return f"s3_key {entry.s3_key[:120]!r} is not <date>/<bottle file name>"
    if entry.download_date != place[0]:
        return "download_date is not the date of s3_key"
    if parts.stem != f"{entry.formula_name}-{entry.formula_version}" or parts.tag != entry.platform:
        return "s3_key names another bottle"
    if key != entry_key(entry.formula_name, entry.formula_version, entry.platform, parts.rebuild):
        return "the key names another bottle"
    return None


class _Slim(msgspec.Struct):
    sync_version: str
    total_bottles: int
    bottles: dict[str, HeldEntry]


_slim_decoder = msgspec.json.Decoder(_Slim)


def decode_held(data: bytes) -> dict[str, HeldEntry]:
    """Entry key -> the fields that planning needs; a third less memory than the whole manifest.

    Raises:
        ManifestInvalid: the integrity, the version, the count or a needed field is wrong.
    """
    check_integrity(data)
    try:
        slim = _slim_decoder.decode(data)
    except UNREADABLE as exc:
        raise ManifestInvalid(f"expected the shape of a manifest, found: {exc}") from exc
    _check_version(slim.sync_version)
    if slim.total_bottles != len(slim.bottles):
        raise ManifestInvalid(f"total_bottles says {slim.total_bottles}, found {len(slim.bottles)} entries")
    return slim.bottles


def bottle_of(entry: Entry) -> Bottle:
    """The bottle that the entry records; it can be asked for at the entry's address."""
    place = parse_key(entry.s3_key)
    parts = parse_filename(place[1]) if place else None
    return Bottle(
        formula=entry.formula_name,
        pkg_version=PkgVersion(entry.formula_version),
        tag=entry.platform,
        rebuild=parts.rebuild if parts else 0,
        digest=Digest(entry.sha256),
        url=entry.url,
    )


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Proof that one bottle was stored: the entry that folding puts into the manifest."""

    key: str
    entry: Entry

    def why_wrong(self) -> str | None:
        """What of it contradicts the rest or cannot be; None when nothing does."""
        return _why_wrong(self.key, self.entry) or _why_no_bottle(self.entry)


def _why_no_bottle(entry: Entry) -> str | None:
    """What no sync could have stored, though a manifest of another tool may say it."""
    if not is_formula_name(entry.formula_name):
        return "formula_name is not of a formula's form"
    if not is_pkg_version(entry.formula_version):
        return "formula_version is not of a version's form"
    if not is_date(entry.download_date):
        return f"download_date {entry.download_date} is no date"
    image, blobs, digest = entry.url.rpartition(_BLOBS)
    if blobs and digest != entry.sha256:
        return "url names another digest than sha256"
    if blobs and not image.endswith(f"/{image_name(entry.formula_name)}"):
        return "url names another formula than formula_name"
    return None


class _Receipts(msgspec.Struct):
    receipts: list[Receipt]


_receipts_decoder = msgspec.json.Decoder(_Receipts)
_unsealed_decoder = msgspec.json.Decoder(list[Receipt])


def encode_receipts(receipts: Iterable[Receipt]) -> bytes:
    """One journal object of receipts, sealed as the manifest is."""
    return bytes(seal(msgspec.json.encode(_Receipts(list(receipts)))))


def decode_receipts(data: bytes, *, key: str) -> list[Receipt]:
    """The receipts of one journal object; a list without a seal is one of an earlier version.

    Raises:
        ManifestInvalid: the object at `key` is not what a sync wrote.
    """

    def invalid(finding: str) -> ManifestInvalid:
        return ManifestInvalid(finding, remedy=_RECEIPTS_REMEDY, document=key)

    is_unsealed = data[:1] == b"["
    if not is_unsealed and (why := why_broken(data)):
        raise invalid(why)
    try:
        receipts = _unsealed_decoder.decode(data) if is_unsealed else _receipts_decoder.decode(data).receipts
    except UNREADABLE as exc:
        raise invalid(f"its receipts cannot be read: {exc}") from exc
    for receipt in receipts:
        if why := receipt.why_wrong():
            raise invalid(f"the receipt of {receipt.key[:120]!r} contradicts itself: {why}")
    return receipts
