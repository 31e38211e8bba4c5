"""The manifest that takes the place of another one: no entry whose object stands in the store is left behind.

A sync may have written the other one a moment ago, and has said that its bottles are held.
"""

from brew_assets.domain.manifest import Entry, Manifest
from brew_assets.engine.ports import Store
from brew_assets.engine.record.verify import Certificate, certify


class Successor:
    """What a rebuild or a restore puts in the place of the manifest, whatever stands there by then.

    After `after`: `damaged` are certificates of entries that were kept although their objects are not what
    they were, `kept` counts the entries that only the other manifest had, `gone` are its entries without an
    object. `compared` says whether there was another manifest.
    """

    def __init__(
        self, store: Store, base: Manifest, *, workers: int, otherwise: Manifest | None = None
    ) -> None:
        """`otherwise` counts as the other manifest where none can be read any more."""
        self._store = store
        self._base = base
        self._workers = workers
        self._otherwise = otherwise
        # What was looked at stays so while other writers are faster, but for what may come yet.
        self._seen: dict[tuple[str, str, str], Certificate] = {}
        self._begin()

    def _begin(self) -> None:
        self.damaged: list[Certificate] = []
        self.kept = 0
        self.gone: list[str] = []
        self.compared = False

    def after(self, current: Manifest | None) -> Manifest:
        """The base, and those entries of the current manifest whose objects are there.

        Of two places of a bottle the newer one counts, as long as its object is whole.

        Raises:
            StoreError: the store did not answer.
        """
        # The base comes from a listing or a backup, and a sync may have stored more since. So an entry of the
        # other manifest never leaves because the base lacks it, only because its object is gone. Asked again
        # after each lost race, with a newer manifest: merged and counted anew from the base each time, lest
        # what was true of an older manifest is said of this one. Only the looks at objects are kept.
        self._begin()
        self.compared = current is not None
        other = current if current is not None else self._otherwise
        merged = self._base.copy()
        if other is None:
            return merged
        doubtful = []
        for key, entry in other.entries():
            mine = self._base.get(key)
            if mine is not None and _is_same_object(mine, entry):
                merged.take_from(other, key)
            else:
                doubtful.append((key, entry))
        for certificate in self._look_at(doubtful):
            if self._is_taken(certificate):
                merged.take_from(other, certificate.key)
        return merged

    def _look_at(self, entries: list[tuple[str, Entry]]) -> list[Certificate]:
        new = [item for item in entries if _place(*item) not in self._seen]
        for certificate in certify(self._store, new, workers=self._workers):
            self._seen[_place(certificate.key, certificate.entry)] = certificate
        certificates = [self._seen[_place(*item)] for item in entries]
        for certificate in certificates:
            if certificate.verdict == "MISSING":
                del self._seen[_place(certificate.key, certificate.entry)]
        return certificates

    def _is_taken(self, certificate: Certificate) -> bool:
        mine = self._base.get(certificate.key)
        if certificate.verdict == "CURRENT":
            taken = mine is None or mine.download_date <= certificate.entry.download_date
            self.kept += taken and mine is None
            return taken
        if mine is not None:
            return False
        if certificate.verdict == "MISSING":
            self.gone.append(certificate.key)
            return False
        # What is damaged can be mended only as long as the record says what it was.
        self.damaged.append(certificate)
        return True


def _is_same_object(one: Entry, other: Entry) -> bool:
    return (one.s3_key, one.sha256, one.file_size) == (other.s3_key, other.sha256, other.file_size)


def _place(key: str, entry: Entry) -> tuple[str, str, str]:
    return key, entry.s3_key, entry.sha256
