"""What is decided by an error stands on its class: from a report, by its reason."""

import re
from pathlib import Path

import pytest

from brew_assets import errors
from brew_assets.domain.report import error_type_of, is_retryable, is_security, kinds_of, label_of
from brew_assets.errors import MirrorError

RETRYABLE = {
    "CatalogueUnavailable",
    "CatalogueUnreachable",
    "GenerationsDiffer",
    "InvocationFailed",
    "StoreUnavailable",
    "UpstreamBusy",
    "UpstreamFailed",
    "UpstreamInterrupted",
    "UpstreamTimeout",
}
SECURITY = {
    "ChecksumRefused",
    "ContentMismatch",
    "DigestMismatch",
    "HostRefused",
    "ManifestInvalid",
    "PublicationInvalid",
    "SizeMismatch",
}
ALL = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, MirrorError)
}


def test_each_class_says_whether_another_try_may_help_and_whether_somebody_may_be_at_work() -> None:
    assert {name for name, kind in ALL.items() if kind.retryable} == RETRYABLE
    assert {name for name, kind in ALL.items() if kind.security} == SECURITY


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_report_has_of_a_reason_what_the_class_says(name: str) -> None:
    kind = ALL[name]
    assert kind in kinds_of(kind.reason)
    assert is_security(kind.reason) == kind.security
    assert not kind.retryable or is_retryable(kind.reason)
    assert kind.label


def test_messages_call_reasons_by_their_labels() -> None:
    assert label_of("timed out") == "Connection timeout"
    assert error_type_of("timed out") == "Network Timeout"
    assert error_type_of("network") == label_of("network")
    assert label_of("network") == "Connection failed"
    assert label_of("digest mismatch") == "SHA mismatch"
    assert label_of("store unavailable") == "Store unavailable"
    # From a report of a version that had other reasons.
    assert label_of("moon phase") == "Moon phase"
    assert not is_retryable("moon phase")
    assert not is_security("moon phase")


def test_the_tree_at_the_top_names_each_class() -> None:
    assert errors.__doc__ is not None
    drawn = set(re.findall(r"^[│├└─ ]*(\w+)", errors.__doc__, re.MULTILINE))
    assert set(ALL) - {"NotRecorded"} <= drawn


def test_the_readme_names_the_reasons_of_bottles_that_pass_by_themselves() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    (row,) = [
        line for line in readme.splitlines() if "run it again where the reason passes by itself" in line
    ]
    passing = {kind.reason for kind in ALL.values() if kind.retryable}
    # Of a catalogue, an API and a Lambda no bottle's failure speaks.
    assert set(re.findall("`([a-z ]+)`", row)) == passing - {
        "API files differ",
        "catalogue unavailable",
        "worker failed",
    } | {"stopped"}
