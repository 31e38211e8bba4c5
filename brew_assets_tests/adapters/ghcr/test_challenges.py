"""What a 401 asks for, however its header is written."""

import pytest

from brew_assets.adapters.ghcr.login import challenges_of

REALM = "https://harbor.example/service/token"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (f'Bearer realm="{REALM}",service="h",scope="repository:a/b:pull"', [("bearer", REALM)]),
        (f'bEARER  realm="{REALM}" , service="h"', [("bearer", REALM)]),
        (f'BEARER realm = "{REALM}"', [("bearer", REALM)]),
        (f"Bearer realm={REALM}, service=h", [("bearer", REALM)]),
        (f"Bearer realm='{REALM}'", [("bearer", REALM)]),
        (f'Bearer service="a, b", realm="{REALM}"', [("bearer", REALM)]),
        (f'Bearer error="x", realm="{REALM}", realm="https://second.example"', [("bearer", REALM)]),
        ('Basic realm="Sonatype Nexus Repository Manager"', [("basic", "Sonatype Nexus Repository Manager")]),
        (r'Basic realm="a \"quoted\" one"', [("basic", 'a "quoted" one')]),
        ('Basic realm="without end', [("basic", "without end")]),
        ("Basic", [("basic", None)]),
        (f'Basic realm="x", Bearer realm="{REALM}"', [("basic", "x"), ("bearer", REALM)]),
        (f'Negotiate, Bearer realm="{REALM}"', [("negotiate", None), ("bearer", REALM)]),
        (f'Negotiate YIIabc/+==, Bearer realm="{REALM}"', [("negotiate", None), ("bearer", REALM)]),
        (
            'NTLM TlRMTVNTUAAB, Basic realm="Bearer realm=none"',
            [("ntlm", None), ("basic", "Bearer realm=none")],
        ),
        ("realm=x", []),
        ("", []),
        (",,, ,", []),
        ('"', []),
    ],
    ids=str,
)
def test_every_challenge_of_a_header_is_found(header: str, found: list[tuple[str, str | None]]) -> None:
    assert [(c.scheme, c.parameters.get("realm")) for c in challenges_of(header)] == found


@pytest.mark.parametrize(
    "piece", ['"', "a=", 'a="', "\\", 'Bearer realm="\\', "a b ", "=", "a,", "a" * 50], ids=repr
)
def test_no_header_takes_long(piece: str) -> None:
    assert len(challenges_of(piece * 2_000_000)) <= 8192
