"""Whether what the manifest says is held still is: CURRENT, MISSING or MISMATCH per bottle."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import msgspec

from brew_assets.domain.manifest import Entry
from brew_assets.engine.ports import Store

Verdict = Literal["CURRENT", "MISSING", "MISMATCH"]


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one entry; `finding` tells what a mismatch is."""

    key: str
    entry: Entry
    verdict: Verdict
    finding: str = ""


def certify(
    store: Store,
    entries: Iterable[tuple[str, Entry]],
    *,
    deep: bool = False,
    workers: int = 10,
    progress: Callable[[int], None] | None = None,
) -> list[Certificate]:
    """A certificate for every entry, in their order.

    One HEAD each on S3 and a hash of the file in a directory; `deep` reads every byte back.

    Raises:
        StoreError: the store did not answer. No verdict is given for what was not seen.
    """
    certificates = []
    with ThreadPoolExecutor(workers, thread_name_prefix="certify") as pool:
        answers = pool.map(lambda item: _certify_one(store, *item, deep=deep), entries)
        for number, certificate in enumerate(answers, 1):
            certificates.append(certificate)
            if progress is not None:
                progress(number)
    return certificates


def _certify_one(store: Store, key: str, entry: Entry, *, deep: bool) -> Certificate:
    facts = store.hash(entry.s3_key) if deep else store.facts(entry.s3_key)
    if facts is not None and facts.digest is None and not deep:
        # The store vouches for nothing (a multipart upload): only the bytes themselves prove it.
        facts = store.hash(entry.s3_key)
    if facts is None:
        return Certificate(key=key, entry=entry, verdict="MISSING")
    if facts.size != entry.file_size:
        finding = f"expected {entry.file_size} bytes, found {facts.size}"
    elif facts.digest != entry.sha256:
        finding = f"expected sha256 {entry.sha256}, found {facts.digest}"
    elif facts.metadata and facts.metadata.get("sha256", entry.sha256) != entry.sha256:
        finding = f"its metadata says sha256 {facts.metadata.get('sha256', '')[:80]}"
    else:
        return Certificate(key=key, entry=entry, verdict="CURRENT")
    return Certificate(key=key, entry=entry, verdict="MISMATCH", finding=finding)
