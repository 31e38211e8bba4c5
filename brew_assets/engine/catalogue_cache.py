"""The catalogue as it is kept in the store: fetched conditionally, byte for byte, with its history."""

import hashlib
import logging
from collections.abc import Callable, Sequence

import msgspec

from brew_assets.domain.bottle import is_digest
from brew_assets.domain.catalogue import Catalogue, check_served, decode_catalogue
from brew_assets.domain.named_formulae import exclusions_of
from brew_assets.engine.ports import Ports, Store
from brew_assets.errors import (
    UNREADABLE,
    CatalogueInvalid,
    CatalogueUnavailable,
    ObjectRefused,
    StoreUnavailable,
)

CATALOGUE_PREFIX = "state/upstream/formula/"
LATEST_KEY = f"{CATALOGUE_PREFIX}latest.json"

_log = logging.getLogger(__name__)


class KeptCatalogue(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the newest kept catalogue; the bytes stand under its SHA-256."""

    url: str
    sha256: str
    etag: str
    last_modified: str
    fetched_at: str
    formulae: int
    bottles: int
    rejected: int = 0
    previous_sha256: str = ""
    previous_formulae: int = 0
    previous_bottles: int = 0

    @property
    def key(self) -> str:
        """Where the bytes are."""
        return f"{CATALOGUE_PREFIX}{self.sha256}.json"


_kept_decoder = msgspec.json.Decoder(KeptCatalogue)


class CatalogueNow(msgspec.Struct, frozen=True, kw_only=True):
    """The current catalogue. `modified` says whether upstream sent one that was not kept before."""

    catalogue: Catalogue
    kept: KeptCatalogue
    modified: bool


def kept_catalogue(store: Store) -> KeptCatalogue | None:
    """What is known of the newest kept catalogue, None when none is kept or the note is unreadable.

    Raises:
        StoreError: the store refuses to be read.
    """
    try:
        document = store.read(LATEST_KEY)
        if document is None:
            return None
        kept = _kept_decoder.decode(document.data)
    except (*UNREADABLE, ObjectRefused, StoreUnavailable):
        return None  # it is fetched again, whole
    # The digest becomes a key, and the counts are what the next catalogue is compared with.
    counts = (kept.formulae, kept.bottles, kept.rejected, kept.previous_formulae, kept.previous_bottles)
    return kept if is_digest(kept.sha256) and min(counts) >= 0 else None


def load_catalogue(store: Store, kept: KeptCatalogue, *, platforms: Sequence[str] = ()) -> Catalogue | None:
    """The kept catalogue decoded.

    None when its bytes are missing or not those of its name, or when too much of it cannot be used, in all or
    of what serves the platforms: an earlier version kept such ones. Upstream is then asked for a whole one.

    Raises:
        StoreError: the store refuses to be read.
    """
    try:
        document = store.read(kept.key)
    except (ObjectRefused, StoreUnavailable):
        return None
    if document is None or hashlib.sha256(document.data).hexdigest() != kept.sha256:
        return None
    try:
        return _usable(document.data, kept.sha256, platforms)
    except CatalogueInvalid:
        return None


def names_in_catalogue(store: Store, written: Sequence[str]) -> tuple[str, ...]:
    """The names of formulae to leave out, and what the kept catalogue calls those: they may be aliases.

    Raises:
        StoreError: the store refuses to be read.
    """
    kept = kept_catalogue(store) if written else None
    catalogue = load_catalogue(store, kept) if kept else None
    return (*written, *sorted(exclusions_of(catalogue, written).names)) if catalogue else tuple(written)


def _usable(data: bytes, sha256: str, platforms: Sequence[str]) -> Catalogue:
    catalogue = decode_catalogue(data, sha256=sha256)
    check_served(catalogue, platforms)
    return catalogue


def current_catalogue(
    ports: Ports, *, platforms: Sequence[str], before_keeping: Callable[[Catalogue], None]
) -> CatalogueNow:
    """The catalogue that upstream shows now, kept in the store.

    Nothing is written before `before_keeping` has returned, whose errors come out.

    Raises:
        CatalogueUnavailable, CatalogueRefused: upstream gave none.
        CatalogueInvalid: upstream gave something that is none, or of which too much cannot be used, in all or
            of what serves the platforms; what was kept stays.
        StoreError: the store refuses to be read or written; one that only does not answer is done without.
    """
    # The condition is sent only where the kept bytes can be used, or a 304 would leave nothing to plan from.
    # The bytes are written before the note that names them, and under their digest: killed in between, the
    # note still leads to the catalogue before. What is compared with is always another catalogue: one that
    # comes again byte for byte keeps its predecessor's counts.
    source, store = ports.catalogue, ports.store
    before = kept_catalogue(store)
    known = before is not None and before.url == source.url
    catalogue = load_catalogue(store, before, platforms=platforms) if before and known else None
    fetched = source.fetch(etag=before.etag if before and catalogue else "")
    if fetched is None:
        if before is None or catalogue is None:
            raise CatalogueUnavailable(f"{source.url}: 304 without a condition")
        before_keeping(catalogue)
        return CatalogueNow(catalogue=catalogue, kept=before, modified=False)
    sha256 = hashlib.sha256(fetched.data).hexdigest()
    if catalogue is None or sha256 != catalogue.sha256:
        try:
            catalogue = _usable(fetched.data, sha256, platforms)
        except CatalogueInvalid as exc:
            raise CatalogueInvalid(f"{source.url}: {exc}") from exc
    kept = KeptCatalogue(
        url=source.url,
        sha256=sha256,
        etag=fetched.etag,
        last_modified=fetched.last_modified,
        fetched_at=ports.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        formulae=len(catalogue.formulae),
        bottles=catalogue.bottle_count(),
        rejected=len(catalogue.rejected),
    )
    if before is not None and before.sha256 == sha256:
        kept = msgspec.structs.replace(
            kept,
            previous_sha256=before.previous_sha256,
            previous_formulae=before.previous_formulae,
            previous_bottles=before.previous_bottles,
        )
    elif before is not None:
        kept = msgspec.structs.replace(
            kept,
            previous_sha256=before.sha256,
            previous_formulae=before.formulae,
            previous_bottles=before.bottles,
        )
    before_keeping(catalogue)
    _keep(store, kept, fetched.data)
    modified = before is None or before.sha256 != sha256
    return CatalogueNow(catalogue=catalogue, kept=kept, modified=modified)


def _keep(store: Store, kept: KeptCatalogue, data: bytes) -> None:
    """The catalogue stands in the store, if it takes it: a plan can be made without."""
    try:
        store.write(kept.key, data)
        store.write(LATEST_KEY, msgspec.json.encode(kept))
    except (ObjectRefused, StoreUnavailable) as error:
        _log.warning("the catalogue is not kept", extra={"key": kept.key, "error": str(error)})
