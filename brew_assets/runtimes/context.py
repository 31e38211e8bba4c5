"""What all commands share: the settings, the engine that stops in good order, results, exit codes."""

import contextlib
import functools
import os
import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

from brew_assets.errors import SettingsInvalid
from brew_assets.runtimes.printing import is_terminal, print_line
from brew_assets.setting_values import shown_value
from brew_assets.settings import PLACES, Settings, read_settings

if TYPE_CHECKING:
    from brew_assets.engine.sync import Mirror
    from brew_assets.engine.transfer.local_copier import Copier
    from brew_assets.runtimes.progress import Display

EXIT_FAILED = 1
EXIT_CANNOT_RUN = 2
# In a directory that `make demo` has filled; `make demo-clean` removes all of it.
SIMULATED_MARK = ".simulated"


# A stop signal gives bottles their grace (GracefulStop), and then receipts, manifest and report so long to be
# written. ECS sends SIGKILL 30 s after SIGTERM: what the store holds up longer would be lost all the same.
_WRITING_S = 8.0


class CommandContext:
    """The options before the command's name, and what is made of them once the command needs it."""

    def __init__(self, mirror_url: str | None, *, quiet: bool) -> None:
        self._mirror_url = mirror_url
        self.quiet = quiet
        self.copies = False

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings; from now on log lines are written as they say.

        Read when first needed: help is there for settings that are wrong, too.

        Raises:
            SettingsInvalid: the option or a variable has a value that is not accepted.
        """
        from brew_assets.logs import configure_logging

        if self._mirror_url is not None and not self._mirror_url.strip():
            raise SettingsInvalid(name="--mirror", expected=PLACES, found="nothing")
        settings = read_settings(mirror_url=self._mirror_url)
        configure_logging(settings, overview=True, quiet=self.quiet)
        return settings

    @property
    def global_options(self) -> list[str]:
        """What was given before the command's name: a command that the user is shown has it too."""
        mirror = ["--mirror", self._mirror_url] if self._mirror_url is not None else []
        return [*mirror, *(["--quiet"] if self.quiet else [])]

    def mirror(self, *, writes: bool = True, stores: bool = False, finishes: bool = True) -> "Mirror":
        """The engine; SIGTERM and Ctrl-C end its work in good order, or at once if it `finishes` nothing.

        Unless it `writes`, nothing is written into its store whatever it is asked to do.

        Raises:
            SettingsInvalid: it `stores` bottles, and real ones would stand among the demo's.
        """
        if stores:
            self._refuse_demo()
        from brew_assets.compose.mirror import build_mirror
        from brew_assets.engine.clock import GracefulStop
        from brew_assets.engine.read_only_store import read_only
        from brew_assets.engine.waiting import Waits, heard

        stop = GracefulStop()

        def ask_to_stop(number: int, _: FrameType | None) -> None:
            if stop.is_set():
                raise KeyboardInterrupt
            if not finishes:
                _end_now("Stopped.")
            # Nothing else ends a call that the store or the disk does not return from.
            last_word = "Stopped: what was under way could not be finished within the grace."
            writing_s = _WRITING_S if self.copies else 0.0
            watch = threading.Timer(stop.grace_s + writing_s, _end_now, (last_word,))
            watch.daemon = True
            watch.start()
            stop.set()
            under_way = ": bottles under way are finished, receipts written" if self.copies else ""
            # Nobody can write into a stream in the middle of another write to it.
            with contextlib.suppress(RuntimeError):
                print_line(f"Stopping{under_way} …", err=True)

        signal.signal(signal.SIGTERM, ask_to_stop)
        signal.signal(signal.SIGINT, ask_to_stop)
        mirror = build_mirror(self.settings, stop=stop)
        click.get_current_context().with_resource(heard(Waits(self.display.waiting), watch=True))
        return mirror if writes else read_only(mirror)

    def copier(self, mirror: "Mirror") -> "Copier":
        """What copies bottles for a command: several processes where that is safe and worth it."""
        from brew_assets.compose.mirror import build_process_copier

        return build_process_copier(self.settings, mirror)

    def existing_mirror(self, *, stores: bool = False, backup_suffices: bool = False) -> "Mirror":
        """The engine of a mirror that is there: for every command that reads or mends one.

        Raises:
            MirrorMissing: there is none; nothing was made in its place.
            SettingsInvalid: as of `mirror`.
        """
        from brew_assets.engine.existence import require_mirror

        # What only reads, or replaces one object whole, loses nothing wherever it ends.
        self.copies = stores
        mirror = self.mirror(stores=stores, finishes=stores)
        require_mirror(mirror.store, place=self.settings.mirror_url, backup_suffices=backup_suffices)
        return mirror

    def _refuse_demo(self) -> None:
        """Nothing real is stored among the demo's simulated bottles, with which it would be removed."""
        from brew_assets.adapters.http.url import split_url
        from brew_assets.configured import path_of

        settings = self.settings
        # False too where nobody may look: what the store finds there is said by itself.
        marked = not settings.mirror_url.startswith("s3:") and os.path.isfile(
            path_of("MIRROR_URL", settings.mirror_url) / SIMULATED_MARK
        )
        try:
            simulated = split_url(settings.formulae_api_url)[0].is_loopback
        except ValueError:  # no address at all
            simulated = False
        if marked and not simulated:
            raise SettingsInvalid(
                name="MIRROR_URL",
                expected="a mirror without the demo's simulated bottles (make demo-clean removes those)",
                found=shown_value(settings.mirror_url),
            )

    @functools.cached_property
    def display(self) -> "Display":
        """Where progress is shown, as far as somebody looks at standard error."""
        from brew_assets.runtimes.progress import Display

        return Display(show=not self.quiet and is_terminal(err=True))


def _end_now(last_word: str) -> NoReturn:
    """The process ends as a killed one would, with a word and the exit code of what was left undone."""
    with contextlib.suppress(Exception):  # somebody may be writing there at this moment
        print_line(last_word, err=True)
    os._exit(EXIT_FAILED)
