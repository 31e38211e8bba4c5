"""What reports and messages say of errors by their reason: a stored report has no more of them."""

from collections.abc import Iterator

from brew_assets.errors import MirrorError


def kinds(base: type[MirrorError] = MirrorError) -> Iterator[type[MirrorError]]:
    """The class and all below it."""
    yield base
    for below in base.__subclasses__():
        yield from kinds(below)


def kinds_of(reason: str) -> list[type[MirrorError]]:
    """The classes with this reason: what a stored report says of a failure."""
    return [kind for kind in kinds() if kind.reason == reason]


def is_retryable(reason: str) -> bool:
    """Whether what failed with this reason may succeed at another time."""
    return any(kind.retryable for kind in kinds_of(reason))


def is_security(reason: str) -> bool:
    """Whether this reason says that something is not what it must be."""
    return any(kind.security for kind in kinds_of(reason))


def label_of(reason: str) -> str:
    """What messages call this reason; one that another version had, as it is."""
    return next((kind.label for kind in kinds_of(reason)), f"{reason[:1].upper()}{reason[1:]}")


def error_type_of(reason: str) -> str:
    """What messages call a sync that failed of this reason."""
    return next((kind.error_type for kind in kinds_of(reason) if kind.error_type), label_of(reason))
