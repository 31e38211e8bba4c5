"""nginx in the shape of formulae.brew.sh, the registry and its CDN, and nginx with TLS before the sink."""

from pathlib import Path

from benchmarks.certificates import Trust
from benchmarks.nginx import Nginx, listening
from benchmarks.sets import WorkSet
from brew_assets_tests.ports import free_ports

_PLAIN = """\
    server {{
        {listen}
        root "{root}";
        location /api/ {{ default_type application/json; }}
        location ~ ^/v2/homebrew/core/.+/manifests/ {{
            default_type application/vnd.oci.image.index.v1+json;
        }}
        location /v2/ {{ }}
    }}
"""
_BLOBS = """\
    server {{
        {listen}
        root "{root}";
        location /v2/ {{ }}
    }}
"""
_REDIRECTING = """\
    server {{
        {listen}
        location /v2/ {{ return 307 {cdn}$request_uri; }}
    }}
"""
_FRONT = """\
    upstream sink {{ server 127.0.0.1:{sink}; keepalive 64; keepalive_requests 1000000; }}
    server {{
        {listen}
        client_max_body_size 0;
        location / {{
            proxy_pass http://sink;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_request_buffering off;
            proxy_buffering off;
        }}
    }}
"""


class Upstream(Nginx):
    """One work set: `plain_port` for planning, `port` for blobs, with TLS where there is a certificate."""

    def __init__(self, program: str, work_set: WorkSet, scratch: Path, *, trust: Trust | None = None) -> None:
        self.plain_port, self.port = free_ports(2)
        servers = _PLAIN.format(listen=listening(self.plain_port, None), root=work_set.root)
        servers += _BLOBS.format(listen=listening(self.port, trust), root=work_set.root)
        super().__init__(program, servers, ports=[self.plain_port, self.port], scratch=scratch)


class Redirecting(Nginx):
    """The registry as it answers for blobs: 307 to the address `cdn` (scheme, host and port)."""

    def __init__(self, program: str, cdn: str, scratch: Path, *, trust: Trust | None = None) -> None:
        (self.port,) = free_ports(1)
        servers = _REDIRECTING.format(listen=listening(self.port, trust), cdn=cdn)
        super().__init__(program, servers, ports=[self.port], scratch=scratch)


class SinkFront(Nginx):
    """TLS before the sink: requests are passed on as they come, and nothing of them is kept."""

    def __init__(self, program: str, sink_port: int, scratch: Path, *, trust: Trust) -> None:
        (self.port,) = free_ports(1)
        servers = _FRONT.format(listen=listening(self.port, trust), sink=sink_port)
        super().__init__(program, servers, ports=[self.port], scratch=scratch)
