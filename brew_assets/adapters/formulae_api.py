"""formulae.brew.sh: the catalogue, and the signed files that brew reads."""

from functools import partial
from importlib import resources
from pathlib import Path

from brew_assets.adapters.api_document import ApiDocument
from brew_assets.adapters.http.reach import PLAIN, Reach
from brew_assets.domain.addresses import shown_url
from brew_assets.domain.api import packages_path
from brew_assets.domain.formula import MAX_CATALOGUE_BYTES
from brew_assets.domain.signatures import MAX_FILE_BYTES, PublicKey, why_no_key
from brew_assets.engine.ports import Clock, FetchedCatalogue, StopSignal
from brew_assets.errors import SettingsInvalid
from brew_assets.setting_values import shown_value

# What PEM files of keys have, and then some.
_MAX_KEY_BYTES = 64 * 1024
_HOMEBREW = resources.files("brew_assets.adapters") / "api_keys" / "homebrew-1.pem"


class FormulaeApi(ApiDocument):
    """The catalogue below `base_url` (FORMULAE_API_URL)."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float,
        reach: Reach = PLAIN,
        clock: Clock,
        stop: StopSignal | None = None,
    ) -> None:
        most = MAX_CATALOGUE_BYTES
        super().__init__(
            base_url,
            "formula.json",
            most_bytes=most,
            timeout_s=timeout_s,
            reach=reach,
            clock=clock,
            stop=stop,
        )


class SignedFiles:
    """The packages files below `base_url`, and the keys that may sign them.

    `key_files` are PEM files, each named by its key's id (API_PUBLIC_KEY); without any it is Homebrew's key.
    """

    def __init__(
        self,
        base_url: str,
        *,
        key_files: tuple[Path, ...] = (),
        timeout_s: float,
        reach: Reach = PLAIN,
        clock: Clock,
        stop: StopSignal | None = None,
    ) -> None:
        self.url = shown_url(base_url.rstrip("/"))
        self._key_files = key_files
        self._document = partial(
            ApiDocument,
            base_url,
            most_bytes=MAX_FILE_BYTES,
            timeout_s=timeout_s,
            reach=reach,
            clock=clock,
            stop=stop,
        )

    def keys(self) -> tuple[PublicKey, ...]:
        """The keys that may sign. They are read here: whoever asks for no file needs none.

        Raises:
            SettingsInvalid: a file cannot be read, or is no key.
        """
        if not self._key_files:
            return (PublicKey(kid="homebrew-1", pem=_HOMEBREW.read_bytes()),)
        return tuple(_key_in(path) for path in self._key_files)

    def fetch(self, tag: str, *, etag: str = "") -> FetchedCatalogue | None:
        """The tag's file without its transfer coding; None when it still is the one with this ETag.

        Raises:
            CatalogueUnavailable: no answer, or one that may pass, as often as it was tried.
            CatalogueRefused: an address that is none, or another answer without a file.
            PlanningStopped: the stop signal came meanwhile.
        """
        return self._document(packages_path(tag)).fetch(etag=etag)


def _key_in(path: Path) -> PublicKey:
    try:
        with path.open("rb") as file:
            pem = file.read(_MAX_KEY_BYTES)
    except OSError as exc:
        raise _no_key(path, exc.strerror or type(exc).__name__) from exc
    key = PublicKey(kid=path.stem, pem=pem)
    if why := why_no_key(key):
        raise _no_key(path, why)
    return key


def _no_key(path: Path, found: str) -> SettingsInvalid:
    expected = f"a PEM file with an RSA public key at {shown_value(str(path))}"
    return SettingsInvalid(name="API_PUBLIC_KEY", expected=expected, found=found)
