"""The catalogue as it is kept in the store: fetched conditionally, byte for byte, with its history."""

import hashlib

import msgspec

from brew_assets.domain.catalogue import Catalogue, decode_catalogue
from brew_assets.engine.ports import CatalogueSource, Clock, Store
from brew_assets.errors import UNREADABLE, CatalogueInvalid, CatalogueUnavailable

CATALOGUE_PREFIX = "state/upstream/formula/"
LATEST_KEY = f"{CATALOGUE_PREFIX}latest.json"


class KeptCatalogue(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the newest kept catalogue; the bytes stand under its SHA-256."""

    url: str
    sha256: str
    etag: str
    last_modified: str
    fetched_at: str
    formulae: int
    bottles: int
    previous_sha256: str = ""
    previous_formulae: int = 0
    previous_bottles: int = 0

    @property
    def key(self) -> str:
        """Where the bytes are."""
        return f"{CATALOGUE_PREFIX}{self.sha256}.json"


class CatalogueNow(msgspec.Struct, frozen=True, kw_only=True):
    """The current catalogue. `modified` says whether upstream sent one that was not kept before."""

    catalogue: Catalogue
    kept: KeptCatalogue
    modified: bool


def kept_catalogue(store: Store) -> KeptCatalogue | None:
    """What is known of the newest kept catalogue, None when none is kept or the note is unreadable."""
    document = store.read(LATEST_KEY)
    if document is None:
        return None
    try:
        return msgspec.json.decode(document.data, type=KeptCatalogue)
    except UNREADABLE:
        return None  # it is fetched again, whole


def load_catalogue(store: Store, kept: KeptCatalogue) -> Catalogue | None:
    """The kept catalogue decoded, None when its bytes are missing or not those of its name."""
    document = store.read(kept.key)
    if document is None or hashlib.sha256(document.data).hexdigest() != kept.sha256:
        return None
    return decode_catalogue(document.data, sha256=kept.sha256)


def refresh_catalogue(
    source: CatalogueSource, store: Store, clock: Clock, *, keep: bool = True
) -> CatalogueNow:
    """The catalogue that upstream shows now; kept in the store unless `keep` is false.

    Raises:
        CatalogueUnavailable, CatalogueRefused: upstream gave none.
        CatalogueInvalid: upstream gave something that is none; what was kept stays.
    """
    before = kept_catalogue(store)
    catalogue = load_catalogue(store, before) if before and before.url == source.url else None
    fetched = source.fetch(etag=before.etag if before and catalogue else "")
    if fetched is None:
        if before is None or catalogue is None:
            raise CatalogueUnavailable(f"{source.url}: 304 without a condition")
        return CatalogueNow(catalogue=catalogue, kept=before, modified=False)
    sha256 = hashlib.sha256(fetched.data).hexdigest()
    if catalogue is None or sha256 != catalogue.sha256:
        try:
            catalogue = decode_catalogue(fetched.data, sha256=sha256)
        except CatalogueInvalid as exc:
            raise CatalogueInvalid(f"{source.url}: {exc}") from exc
    kept = KeptCatalogue(
        url=source.url,
        sha256=sha256,
        etag=fetched.etag,
        last_modified=fetched.last_modified,
        fetched_at=clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        formulae=len(catalogue.formulae),
        bottles=catalogue.bottle_count(),
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
    if keep:
        store.write(kept.key, fetched.data)
        store.write(LATEST_KEY, msgspec.json.encode(kept))
    modified = before is None or before.sha256 != sha256
    return CatalogueNow(catalogue=catalogue, kept=kept, modified=modified)
