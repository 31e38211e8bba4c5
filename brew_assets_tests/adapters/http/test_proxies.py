"""What the environment may say of proxies, and which hosts go past them."""

import base64

import pytest

from brew_assets.adapters.http.proxies import goes_past, read_proxy
from brew_assets.adapters.http.reach import Reach
from brew_assets.adapters.http.url import Origin, split_url
from brew_assets.errors import SettingsInvalid
from brew_assets.settings import Secret, read_settings


def origin(url: str) -> Origin:
    return split_url(url)[0]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("http://proxy:3128", "http://proxy:3128"),
        ("proxy:3128", "http://proxy:3128"),
        ("proxy", "http://proxy:80"),
        ("HTTP://proxy:3128/", "http://proxy:3128"),
        ("https://proxy", "https://proxy:443"),
        ("[::1]:3128", "http://[::1]:3128"),
        ("http://10.0.0.1:8080", "http://10.0.0.1:8080"),
        ("user:word@proxy:3128", "http://proxy:3128"),
    ],
)
def test_a_proxy_is_named_with_or_without_its_scheme(text: str, place: str) -> None:
    assert str(read_proxy("HTTPS_PROXY", Secret(text))) == place


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("http://me:word@proxy", "me:word"),
        ("http://me:p%40ss%3Aw%2Frd@proxy", "me:p@ss:w/rd"),
        ("http://DOMAIN%5Cme:p@ss/w#rd?@proxy:8080/", "DOMAIN\\me:p@ss/w#rd?"),
        ("http://me@proxy", "me:"),
        ("http://me:gr%C3%BC%C3%9Fe@proxy", "me:grüße"),
    ],
)
def test_user_and_password_are_decoded_and_never_shown(text: str, pair: str) -> None:
    proxy = read_proxy("HTTPS_PROXY", Secret(text))

    scheme, _, value = proxy.authorization.reveal().partition(" ")
    assert (scheme, base64.b64decode(value).decode()) == ("Basic", pair)
    for shown in (str(proxy), repr(proxy), repr(Reach(https_proxy=Secret(text)))):
        assert not any(part in shown for part in ("me:", "word", "ss", value))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("socks5://me:secret@proxy:1080", "socks5://proxy:1080"),
        ("socks5h://proxy:1080", "socks5h://proxy:1080"),
        ("ftp://proxy", "ftp://proxy"),
        ("http://", "http://"),
        ("http://proxy:port", "http://"),
        ("http://proxy:99999", "http://proxy:99999"),
        ("http://wpad.example/proxy.pac", "http://wpad.example/proxy.pac"),
        ("http://me:secret@pro xy:3128", ""),
    ],
)
def test_what_is_no_http_proxy_is_refused_by_the_variables_name(text: str, found: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        read_proxy("ALL_PROXY", Secret(text))

    assert refused.value.name == "ALL_PROXY"
    assert "http://[user:password@]host:port" in str(refused.value)
    assert found in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("entry", "past", "not_past"),
    [
        ("example.org", ("example.org", "a.example.org", "EXAMPLE.org."), ("myexample.org", "org")),
        (".example.org", ("example.org", "a.b.example.org"), ("myexample.org",)),
        ("*.example.org", ("a.example.org",), ("myexample.org",)),
        ("example.org:8443", (), ("example.org", "a.example.org")),
        ("example.org:443", ("example.org", "a.example.org"), ()),
        ("localhost", ("localhost",), ("127.0.0.1",)),
        ("10.0.0.0/8", ("10.1.2.3",), ("11.0.0.1", "10.example.org")),
        ("192.168.1.7", ("192.168.1.7", "::ffff:192.168.1.7"), ("192.168.1.70",)),
        ("192.168.1.7:443", ("192.168.1.7",), ("192.168.1.8",)),
        ("192.168.1.7:80", (), ("192.168.1.7",)),
        ("fd00::/8", ("fd00::1",), ("2001:db8::1",)),
        ("::1", ("::1", "0:0:0:0:0:0:0:1"), ("::2",)),
        ("[::1]:443", ("::1",), ("::2",)),
        ("[::1]:80", (), ("::1",)),
        ("*", ("example.org", "10.0.0.1", "::1"), ()),
        ("a.example  .b.example", ("a.example", "x.b.example"), ("b.example.org",)),
        (" ", (), ("example.org",)),
        (".", (), ("example.org",)),
        ("*.", (), ("example.org",)),
        ("exa:mple:org", (), ("example.org",)),
    ],
)
def test_no_proxy_names_hosts_domains_ports_addresses_and_networks(
    entry: str, past: tuple[str, ...], not_past: tuple[str, ...]
) -> None:
    entries = ("unrelated.example", entry)
    assert [host for host in past if not goes_past(entries, host, 443)] == []
    assert [host for host in not_past if goes_past(entries, host, 443)] == []


def test_each_scheme_has_its_proxy_and_all_proxy_stands_in() -> None:
    both = Reach(https_proxy=Secret("one:1"), all_proxy=Secret("two:2"), no_proxy=(".near",))

    assert str(both.proxy_for(origin("https://far"))) == "http://one:1"
    assert str(both.proxy_for(origin("http://far"))) == "http://two:2"
    assert both.proxy_for(origin("https://is.near")) is None
    assert both.way_to(origin("https://far")) == "through the proxy http://one:1 (HTTPS_PROXY)"
    assert both.way_to(origin("https://is.near")) == "past the proxy of HTTPS_PROXY (NO_PROXY)"
    assert Reach().way_to(origin("https://far")) == "no proxy is set (HTTPS_PROXY)"


def test_a_proxy_that_nothing_needs_may_be_of_another_kind() -> None:
    # As desktops set them.
    reach = Reach(https_proxy=Secret("one:1"), http_proxy=Secret("one:1"), all_proxy=Secret("socks5://two:2"))
    assert str(reach.proxy_for(origin("http://far"))) == "http://one:1"


def test_this_machine_goes_through_the_proxy_unless_no_proxy_names_it() -> None:
    assert Reach(http_proxy=Secret("one:1")).proxy_for(origin("http://127.0.0.1:8333")) is not None
    past = Reach(http_proxy=Secret("one:1"), no_proxy=("127.0.0.0/8",))
    assert past.proxy_for(origin("http://127.0.0.1:8333")) is None


def test_what_is_on_this_link_alone_goes_past_every_proxy() -> None:
    for host in ("169.254.169.254", "169.254.170.2", "fe80::1", "fd00:ec2::254"):
        assert goes_past((), host, 80)
    assert not goes_past((), "169.253.0.1", 80)


def test_the_settings_hand_over_small_letters_first() -> None:
    from brew_assets.compose.store import reach_of

    settings = read_settings({"https_proxy": "small:1", "HTTPS_PROXY": "large:2", "NO_PROXY": " a , .b "})
    reach = reach_of(settings)
    assert str(reach.proxy_for(origin("https://far"))) == "http://small:1"
    assert reach.no_proxy == ("a", ".b")
