"""Addresses as they may be shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.domain.addresses import names_a_secret, shown_url, with_shown_urls


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://formulae.brew.sh/api", "https://formulae.brew.sh/api"),
        (
            "https://ghcr.io/v2/homebrew/core/openssl/3/openssl@3",
            "https://ghcr.io/v2/homebrew/core/openssl/3/openssl@3",
        ),
        ("http://127.0.0.1:8080/api", "http://127.0.0.1:8080/api"),
        ("http://[::1]:8080/api", "http://[::1]:8080/api"),
        ("https://user:PW@host.example:444/a/b", "https://host.example:444/a/b"),
        ("https://token@host.example", "https://host.example"),
        ("https://host.example/list.json?token=PW#PW", "https://host.example/list.json"),
        ("https://user:P/W@host.example/api", "https://…"),
        ("https://user:P?W@host.example/api", "https://…"),
        ("https://user:P#W@host.example/api", "https://…"),
        ("https://user:12/W@host.example/api", "https://…"),
        ("https://user:P@W@host.example/api", "https://host.example/api"),
        ("user:PW@host.example/api", "host.example/api"),
        ("user/PW@host.example/api", "…"),
        ("nonsense", "nonsense"),
        ("", ""),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("https://[x/api", "https://…"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert shown_url(url) == shown
    assert shown_url(shown) == shown


@given(st.from_regex(r"[a-z]{3}\.[a-z]{3}(:\d{2,4})?(/[a-z]{1,5}){0,3}", fullmatch=True), st.text(min_size=1))
def test_a_password_stands_in_no_shown_address(rest: str, password: str) -> None:
    secret = f"~{password}~"
    assert secret not in shown_url(f"https://user:{secret}@{rest}")
    assert secret not in shown_url(f"https://{rest}?token={secret}")


def test_a_text_with_a_secret_is_known() -> None:
    url = "https://user:P%20W@host.example/api?token=T#F"
    for text in ("user", "P W", "P%20W", "at token=T", "F"):
        assert names_a_secret(f"failed: {text}", url)
    assert not names_a_secret("Name or service not known", url)
    assert not names_a_secret("anything", "https://host.example/api")
    assert names_a_secret("Port could not be cast: 'P'", "https://x:P/W@host.example/api")


def test_a_sentence_of_a_library_shows_addresses_without_their_secrets() -> None:
    url = "https://user:PW@host.example/api?token=PW"
    for text in (f'Could not connect to the endpoint URL: "{url}"', f"{url} and {url}", f"at {url}: refused"):
        shown = with_shown_urls(text)
        assert "PW" not in shown
        assert "https://host.example/api" in shown
    assert with_shown_urls("S3 said: no such key") == "S3 said: no such key"
