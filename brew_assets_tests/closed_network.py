"""Upstream, S3, AWS and Slack behind names that only a proxy resolves, with certificates of a private CA."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from brew_assets.simulator import Simulator, World
from brew_assets_tests.private_ca import PrivateCa
from brew_assets_tests.relay import Place, place_of, tls_front
from brew_assets_tests.slack_sink import PATH

API, REGISTRY, CDN = "api.example", "registry.example", "cdn.example"
HOOKS, AWS = "hooks.example", "aws.example"
# Without a dot: moto would take what stands before one for a bucket.
S3 = "objects"
NAMES = (API, REGISTRY, CDN, HOOKS, S3, AWS)


class ClosedNetwork(NamedTuple):
    """What lies behind the proxy: the CA of all of it, where the names lead from the proxy, the API's key."""

    ca: PrivateCa
    leads: Mapping[str, Place]
    api_public_key: Path

    @property
    def environment(self) -> dict[str, str]:
        """The settings that name it, without any way to it."""
        return {
            "FORMULAE_API_URL": f"https://{API}/api",
            "API_PUBLIC_KEY": str(self.api_public_key),
            "BOTTLE_REGISTRY_URL": f"https://{REGISTRY}",
            "BOTTLE_CDN_HOSTS": CDN,
            "AWS_ENDPOINT_URL": f"https://{AWS}",
            "AWS_ENDPOINT_URL_S3": f"https://{S3}",
            "SLACK_WEBHOOK_URL": f"https://{HOOKS}{PATH}",
            "AWS_EC2_METADATA_DISABLED": "true",
            "RETRY_ATTEMPTS": "0",
        }


@contextlib.contextmanager
def closed_network(
    root: Path, upstream: Simulator, *, s3: str, hooks: str, aws: str = ""
) -> Iterator[ClosedNetwork]:
    """The network; the addresses are those of the plain servers behind the names."""
    ca = PrivateCa(root)
    behind = {API: upstream.api_url, REGISTRY: upstream.registry_url, CDN: f"http://{upstream.cdn_host}"}
    behind |= {S3: s3, AWS: aws, HOOKS: hooks}
    with tls_front(
        ca.server_context(*NAMES), {name: place_of(url) for name, url in behind.items() if url}
    ) as port:
        leads = {f"{name}:443": ("127.0.0.1", port) for name in NAMES}
        yield ClosedNetwork(ca, leads, upstream.api_public_key)


def upstream_of(world: World) -> Simulator:
    """The world's upstream, whose registry redirects to the name of its CDN."""
    return Simulator(world, cdn_url=f"https://{CDN}")


def ways_to_name_a_proxy(place: str) -> dict[str, dict[str, str]]:
    """Each way of the environment to name the proxy at host:port."""
    return {
        "HTTPS_PROXY": {"HTTPS_PROXY": f"http://{place}"},
        "https_proxy": {"https_proxy": f"http://{place}/"},
        "ALL_PROXY": {"ALL_PROXY": f"http://{place}"},
        "without scheme": {"HTTPS_PROXY": place},
        "with credentials": {
            "HTTPS_PROXY": f"http://me:p%40ss%3A%C3%BC@{place}",
            "NO_PROXY": "localhost,.local",
        },
    }


def ways_to_name_a_ca(ca: PrivateCa) -> dict[str, dict[str, str]]:
    """Each way of the environment to name the CA."""
    return {
        "SSL_CERT_FILE": {"SSL_CERT_FILE": str(ca.file)},
        "SSL_CERT_DIR": {"SSL_CERT_DIR": str(ca.folder)},
        "AWS_CA_BUNDLE": {"AWS_CA_BUNDLE": str(ca.file)},
    }
