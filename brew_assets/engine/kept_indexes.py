"""OCI indexes as they are kept in the store: by their own digest, believed until bytes disprove them.

An index comes by its tag, so its own digest says only that it was kept as it came. What proves a size is a
bottle: bytes of that length with the digest that the catalogue names.
"""

import hashlib
import logging
from collections.abc import Collection, Iterable

from brew_assets.domain.bottle import Bottle, image_name, index_reference, is_index_reference
from brew_assets.domain.object_keys import INDEX_PREFIX
from brew_assets.domain.oci import covers, decode_index
from brew_assets.domain.servable import IndexName
from brew_assets.engine.ports import Store
from brew_assets.engine.published import read_pointer, read_record
from brew_assets.errors import KeyTaken, PublicationInvalid, StoreError

# The largest object of one PUT. Bottles that are larger are not known: whoever says so is asked again.
PLAUSIBLE_BYTES = 5 * 1024**3

_log = logging.getLogger(__name__)


def index_folder(image: str, reference: str) -> str:
    """Where the versions of an index are kept."""
    return f"{INDEX_PREFIX}{image}/{reference}"


def index_key(image: str, reference: str, data: bytes) -> str:
    """Where an index of these bytes is kept."""
    return f"{index_folder(image, reference)}/{hashlib.sha256(data).hexdigest()}.json"


def kept_indexes(store: Store) -> dict[str, list[str]]:
    """Folder of an index -> the keys of its kept versions.

    Raises:
        StoreError: the store did not answer.
    """
    kept: dict[str, list[str]] = {}
    for listed in store.listing(INDEX_PREFIX):
        kept.setdefault(listed.key.rpartition("/")[0], []).append(listed.key)
    return kept


def keep_index(store: Store, name: IndexName, data: bytes) -> str:
    """The key under which the index is kept; what stood there whole is not written again.

    Raises:
        StoreError: the store does not take it.
    """
    key = index_key(*name, data)
    try:
        store.write(key, data, create_only=True)
    except KeyTaken:
        # Kept before, unless what stands there was damaged, or emptied since bytes disproved it.
        if intact_index(store, key) is None:
            store.write(key, data)
    return key


def usable_index(store: Store, keys: Iterable[str], digests: Collection[str]) -> bytes | None:
    """A kept index that names all the digests with sizes that can be; None when upstream has to be asked."""
    for key in keys:
        data = intact_index(store, key)
        if data is None:
            continue
        try:
            index = decode_index(data)
        except ValueError:
            continue
        if covers(index, digests) and all((index[name].size or 0) <= PLAUSIBLE_BYTES for name in digests):
            return data
    return None


def intact_index(store: Store, key: str) -> bytes | None:
    """The bytes that are those of the key's name; None when others stand there, or the store has none."""
    try:
        document = store.read(key)
    except StoreError:
        return None  # upstream still has it
    name = key.rpartition("/")[2].removesuffix(".json")
    if document is None or hashlib.sha256(document.data).hexdigest() != name:
        return None
    return document.data


def forget_disproved(store: Store, bottle: Bottle, size: int) -> None:
    """No kept index says another size of the bottle than `size`, which its bytes have proven.

    Upstream is asked again for what is forgotten. What the store does not let go stays, and so does an index
    that clients are given: brew needs no size of it.
    """
    reference = index_reference(bottle.pkg_version, bottle.rebuild)
    if not is_index_reference(reference):
        return
    try:
        folder = index_folder(image_name(bottle.formula), reference)
        wrong = [
            listed.key
            for listed in store.listing(f"{folder}/")
            if _says_other(store, listed.key, bottle, size)
        ]
        published = _published_indexes(store) if wrong else frozenset()
        for key in wrong:
            if key in published:
                _log.warning(
                    "an index that is published says a wrong size", extra={"key": key, "bytes": size}
                )
                continue
            _log.warning("an index said a wrong size and is asked again", extra={"key": key, "bytes": size})
            _forget(store, key)
    except (StoreError, PublicationInvalid) as error:
        _log.warning("an index with a wrong size is still kept", extra={"error": str(error)})


def _published_indexes(store: Store) -> frozenset[str]:
    """The keys of the indexes that the current publication names.

    Raises:
        PublicationInvalid: it cannot be known.
        StoreError: the store did not answer.
    """
    pointer = read_pointer(store).pointer
    if pointer is None:
        return frozenset()
    record = read_record(store, pointer.publication_id, sha256=pointer.sha256)
    return frozenset(index.key for index in record.indexes)


def _says_other(store: Store, key: str, bottle: Bottle, size: int) -> bool:
    data = intact_index(store, key)
    if data is None:
        return False
    try:
        entry = decode_index(data).get(bottle.digest)
    except ValueError:
        return False
    return entry is not None and entry.size is not None and entry.size != size


def _forget(store: Store, key: str) -> None:
    try:
        store.delete([key])
    except StoreError:
        # Some may write and not delete. Bytes that are not those of their name are passed over.
        store.write(key, b"")
