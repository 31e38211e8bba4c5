"""Pages of a listing: what they may say, and that they come to an end whatever a server answers."""

import itertools
import tracemalloc
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brew_assets.adapters.s3 import listing as s3_listing
from brew_assets.adapters.s3.bucket_client import S3Options
from brew_assets.adapters.s3.listing import MOST_EMPTY_PAGES, Page, pages_to_the_end
from brew_assets.adapters.s3.store import S3Store
from brew_assets.domain.object_keys import is_object_key
from brew_assets.engine.ports import ListedObject
from brew_assets.errors import StoreError, StoreUnavailable
from brew_assets_tests.fakes import ImpatientClock
from brew_assets_tests.raw_server import raw_server, whole

PREFIX = "brew/"
Decode = Callable[..., Page]


@pytest.fixture
def decode_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Decode]:
    """What the store makes of a page that a server on a socket answers."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    body = b""
    with raw_server(
        lambda server, connection: whole(body, "Connection: close")(server, connection)
    ) as server:
        store = S3Store(S3Options(bucket="b", endpoint_url=server.url, sse="bucket"), clock=ImpatientClock())

        def decode(data: bytes, *, prefix: str) -> Page:
            nonlocal body
            body = data
            return store._documents.list_page(prefix)

        yield decode
        store.close()


def document(inner: str, *, root: str = "ListBucketResult", head: str = "") -> bytes:
    return f'<?xml version="1.0"?>{head}<{root} xmlns="http://s3/">{inner}</{root}>'.encode()


def contents(key: str, size: str = "5") -> str:
    return f"<Contents><Key>{key}</Key><Size>{size}</Size><Owner><ID>Key</ID></Owner></Contents>"


def test_a_page_says_objects_folders_and_where_it_goes_on(decode_page: Decode) -> None:
    page = decode_page(
        document(
            "<Prefix>brew/</Prefix><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
            f"<NextContinuationToken>t 1</NextContinuationToken>{contents('brew/a', ' 5 ')}"
            "<CommonPrefixes><Prefix>brew/2026-11-22/</Prefix></CommonPrefixes>"
        ),
        prefix=PREFIX,
    )
    assert page == Page([ListedObject("brew/a", 5)], ["brew/2026-11-22/"], "t 1")


def test_a_prefix_of_the_namespace_changes_nothing(decode_page: Decode) -> None:
    item = "<s:Contents><s:Key>brew/a</s:Key><s:Size>1</s:Size></s:Contents>"
    data = f'<s:ListBucketResult xmlns:s="x">{item}</s:ListBucketResult>'.encode()
    assert decode_page(data, prefix=PREFIX).objects == [ListedObject("brew/a", 1)]


BOMB = (
    "<!DOCTYPE a [<!ENTITY a '"
    + "x" * 1000
    + "'>"
    + "".join(f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(8))
    + "]>"
)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"no xml",
        b"<html><body>sign in</body></html>",
        b"<Error><Code>SlowDown</Code></Error>",
        b"<ListBucketResult>",
        document(contents("brew/a"))[:-5],
        document(contents("brew/&i;"), head=BOMB),
        document("", head="<!DOCTYPE ListBucketResult SYSTEM 'file:///etc/passwd'>"),
        document("<a>" * 100_000 + "</a>" * 100_000),
        document("<a>" * 100_000),
        b'<?xml version="1.0" encoding="no-such"?><ListBucketResult/>' + b"<",
        document("").replace(b"List", b"\xff\xfe"),
        document(contents("")),
        document("<Contents><Size>5</Size></Contents>"),
        document("<Contents/>"),
        document("<CommonPrefixes/>"),
        document(contents("elsewhere/a")),
        document("<CommonPrefixes><Prefix>2026-11-22/</Prefix></CommonPrefixes>"),
        document(contents("brew/&#1;")),
        *(
            document(contents("brew/a", size))
            for size in ("", "abc", "-1", "1.5", "1e3", "0x10", "1_0", "٣", "9" * 30, "NaN", "5 5")
        ),
        document("<IsTruncated>true</IsTruncated>"),
        document("<IsTruncated>true</IsTruncated><NextContinuationToken> </NextContinuationToken>"),
        document(
            f"<IsTruncated>true</IsTruncated><NextContinuationToken>{'t' * 20_000}</NextContinuationToken>"
        ),
    ],
)
def test_what_is_no_listing_is_never_an_empty_one(decode_page: Decode, data: bytes) -> None:
    with pytest.raises(StoreUnavailable, match="listing of 'brew/': "):
        decode_page(data, prefix=PREFIX)


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: document(contents(text, text))))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_are_a_page_or_our_error(decode_page: Decode, data: bytes) -> None:
    try:
        decode_page(data, prefix="")
    except StoreError:
        return


def test_a_page_that_goes_on_in_other_letters_goes_on(decode_page: Decode) -> None:
    more = "<IsTruncated>True</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
    assert decode_page(document(more + contents("brew/a")), prefix=PREFIX).token == "t"


def test_a_page_of_countless_elements_is_not_made_a_tree_of(decode_page: Decode) -> None:
    data = document("<a/>" * 1_900_000)
    tracemalloc.start()
    with pytest.raises(StoreUnavailable, match="marks"):
        decode_page(data, prefix=PREFIX)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The body, here twice, and its pieces while it is read.
    assert peak < 60 * 1024**2


ODD_KEYS = ["a b", "a+b", "gtk+3", "a\nb", "\x1b[2J", "ü", "a%2Bb", "a\x00b", "x//y", "&<>", "日本"]


@pytest.mark.parametrize("encode", [quote, quote_plus], ids=["%20", "+"])
def test_encoded_keys_come_back_as_they_are(decode_page: Decode, encode: Callable[..., str]) -> None:
    keys = [PREFIX + key for key in ODD_KEYS]
    inner = "".join(contents(encode(key, safe="/")) for key in keys)
    page = decode_page(document(f"<EncodingType>url</EncodingType>{inner}"), prefix=PREFIX)
    assert [listed.key for listed in page.objects] == keys


def test_a_plus_that_a_server_leaves_as_it_is_stays_one(decode_page: Decode) -> None:
    inner = contents("brew/libsigc++@2-2.12.tar.gz") + contents("brew/a%20b")
    page = decode_page(document(f"<EncodingType>url</EncodingType>{inner}"), prefix=PREFIX)
    assert [listed.key for listed in page.objects] == ["brew/libsigc++@2-2.12.tar.gz", "brew/a b"]


def test_a_key_that_is_no_utf8_is_no_key_of_ours_and_no_error(decode_page: Decode) -> None:
    page = decode_page(
        document(f"<EncodingType>url</EncodingType>{contents('brew/a%FFb')}{contents('brew/%ED%A0%80')}"),
        prefix=PREFIX,
    )
    assert len(page.objects) == 2
    assert not any(is_object_key(listed.key) for listed in page.objects)


# -- to the end --------------------------------------------------------------------------------------------


def page_of(*keys: str, token: str = "") -> Page:
    return Page([ListedObject(key, 1) for key in keys], [], token)


def listed(pages: Callable[[str], Page]) -> tuple[list[str], int]:
    """The keys, and how many pages were asked for."""
    asked = []

    def ask(token: str) -> Page:
        asked.append(token)
        return pages(token)

    return [item.key for page in pages_to_the_end("p", ask) for item in page.objects], len(asked)


def test_pages_are_read_to_the_end_in_any_order_and_over_empty_ones() -> None:
    pages = {
        "": page_of("b", "c", token="1"),
        "1": page_of(token="2"),
        "2": page_of(token="3"),
        "3": page_of("a", token="4"),
        "4": page_of(),
    }
    assert listed(pages.__getitem__) == (["b", "c", "a"], 5)


def test_what_two_pages_share_is_listed_once() -> None:
    pages = {"": page_of("a", "b", token="1"), "1": page_of("b", "c")}
    assert listed(pages.__getitem__) == (["a", "b", "c"], 2)


def cycle(*tokens: str) -> Callable[[str], Page]:
    given = itertools.cycle(tokens)
    number = itertools.count()
    return lambda _: page_of(f"k{next(number)}", token=next(given))


def always_new(*keys: str) -> Callable[[str], Page]:
    number = itertools.count()
    return lambda _: page_of(*keys, token=f"t{next(number)}")


def sliding() -> Callable[[str], Page]:
    """Three of ten keys, each time others, round and round."""
    number = itertools.count()

    def page(_: str) -> Page:
        at = next(number)
        return page_of(*(f"k{(at * 3 + i) % 10}" for i in range(3)), token=f"w{at}")

    return page


@pytest.mark.parametrize(
    ("pages", "found", "most"),
    [
        (cycle("A"), "the token 'A' twice", 2),
        (cycle("A", "B"), "the token 'A' twice", 3),
        (cycle(*(f"t{n}" for n in range(50))), "the token 't0' twice", 51),
        (always_new(), "pages without an object", MOST_EMPTY_PAGES + 1),
        (always_new("a", "b"), "a page that came before", 2),
        (sliding(), "a page that came before", 11),
    ],
)
def test_a_listing_that_does_not_get_on_is_an_error(
    pages: Callable[[str], Page], found: str, most: int
) -> None:
    asked = itertools.count()

    def ask(token: str) -> Page:
        assert next(asked) < most
        return pages(token)

    with pytest.raises(StoreUnavailable, match=found):
        list(pages_to_the_end("p", ask))


def test_new_keys_for_ever_are_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_listing, "MOST_PAGES", 100)
    tokens = (f"t{n}" for n in itertools.count())
    with pytest.raises(StoreUnavailable, match="more than 100 pages"):
        listed(cycle(*itertools.islice(tokens, 200)))
    monkeypatch.setattr(s3_listing, "MOST_OBJECTS", 50)
    with pytest.raises(StoreUnavailable, match="more than 50 objects"):
        listed(cycle(*(f"u{n}" for n in range(200))))
