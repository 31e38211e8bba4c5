"""Platforms, tags, and which bottle serves which platform.

The order of macOS versions: Homebrew/brew `macos_version.rb`; the choice: `bottle_specification` and
`extend/os/mac/utils/bottles.rb` (find_older_compatible_tag).
"""

from collections.abc import Iterable

# Newest first. golden_gate (27) is known to brew and has no bottles yet (2026-11-22).
MACOS_VERSIONS: tuple[tuple[str, str], ...] = (
    ("golden_gate", "27"),
    ("tahoe", "26"),
    ("sequoia", "15"),
    ("sonoma", "14"),
    ("ventura", "13"),
    ("monterey", "12"),
    ("big_sur", "11"),
    ("catalina", "10.15"),
    ("mojave", "10.14"),
    ("high_sierra", "10.13"),
    ("sierra", "10.12"),
    ("el_capitan", "10.11"),
)
_OLDEST_ARM64 = "big_sur"
_NAMES = tuple(name for name, _ in MACOS_VERSIONS)
_ARM64_NAMES = _NAMES[: _NAMES.index(_OLDEST_ARM64) + 1]

LINUX_PLATFORMS = ("x86_64_linux", "arm64_linux")
ALL_TAG = "all"

KNOWN_PLATFORMS = (*(f"arm64_{name}" for name in _ARM64_NAMES), *_NAMES, *LINUX_PLATFORMS)


def is_platform(tag: str) -> bool:
    """Whether a client machine can be of this platform."""
    return tag in KNOWN_PLATFORMS


def is_serving_tag(tag: str) -> bool:
    """Whether a bottle with this tag can serve some platform."""
    return tag == ALL_TAG or is_platform(tag)


def system_of(tag: str) -> tuple[str, str, str]:
    """Name, version and architecture of a platform's machines: ("macOS Sonoma", "14", "arm64")."""
    if tag in LINUX_PLATFORMS:
        return "Linux", "", tag.removesuffix("_linux")
    name = tag.removeprefix("arm64_")
    words = name.replace("_", " ").title()
    return f"macOS {words}", dict(MACOS_VERSIONS)[name], "arm64" if name != tag else "x86_64"


def _macos(tag: str) -> tuple[str, int] | None:
    """(prefix, rank from the newest) of a macOS tag, None for any other."""
    prefix = "arm64_" if tag.startswith("arm64_") else ""
    name = tag.removeprefix(prefix)
    names = _ARM64_NAMES if prefix else _NAMES
    return (prefix, names.index(name)) if name in names else None


def serving_tags(platform: str) -> tuple[str, ...]:
    """The tags whose bottles serve the platform, best first: itself, `all`, older ones of its kind."""
    macos = _macos(platform)
    if macos is None:
        return (platform, ALL_TAG)
    prefix, rank = macos
    names = _ARM64_NAMES if prefix else _NAMES
    return (platform, ALL_TAG, *(f"{prefix}{name}" for name in names[rank + 1 :]))


def is_older_macos(tag: str, since: str) -> bool:
    """Whether the macOS of a tag is older than the one of that name.

    A name that the table above does not know counts as newer: only a new release can bring one.
    """
    macos = _macos(tag)
    return macos is not None and (since not in _NAMES or macos[1] > _NAMES.index(since))


def newer_macos(tags: Iterable[str], platforms: Iterable[str]) -> list[str]:
    """The tags in a catalogue that are newer than every configured platform of their architecture.

    A macOS tag that the table above does not know counts as newer: only a new release can bring one.
    Platforms of an architecture that is not configured at all are not reported.
    """
    newest: dict[str, int] = {}
    for platform in platforms:
        if macos := _macos(platform):
            newest[macos[0]] = min(newest.get(macos[0], len(_NAMES)), macos[1])
    found = []
    for tag in sorted(set(tags)):
        if tag == ALL_TAG or tag in LINUX_PLATFORMS:
            continue
        macos = _macos(tag)
        prefix = "arm64_" if tag.startswith("arm64_") else ""
        if prefix in newest and (macos is None or macos[1] < newest[prefix]):
            found.append(tag)
    return found
