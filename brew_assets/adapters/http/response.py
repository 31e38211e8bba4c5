"""One response of the bulk path: its head as a plain dict, its body framed by http.client within limits.

Whatever a server sends, a response ends: lines, fields, informational answers and what frames chunks are all
counted.
"""

import http.client

from brew_assets.adapters.http.reader import Reader

MAX_HEADERS = 100
_MAX_LINE = 65536
# Of all heads of one response together; what registries and stores send has two or three KiB.
MAX_HEAD_BYTES = 131_072
# 100 Continue, 102 Processing, 103 Early Hints: servers that send them send one or two.
MAX_INFORMATIONAL = 8
_SWITCHING = 101
# A server may have a line for each way to log in.
_CHALLENGES = "www-authenticate"
_MAX_CHUNK_LINE = 1024
# Chunk lines and trailer: so much in all, and as much as the body that they carry. Chunks of a byte cost the
# processor some thousand times what a body costs otherwise.
_FRAMING_BYTES = 65536
_PIECE_BYTES = 1024 * 1024
_HEXADECIMAL = frozenset(b"0123456789abcdefABCDEF")


class WireResponse(http.client.HTTPResponse):
    """A response, its head a dict of lower-case names. The last of equal names wins; challenges add up."""

    fields: dict[str, str]
    fp: Reader

    def __init__(self, reader: Reader, *, method: str) -> None:
        super().__init__(reader, method=method)  # type: ignore[arg-type]
        self._incoming = reader.raw
        self._head_left = MAX_HEAD_BYTES
        self._framing_left = _FRAMING_BYTES

    def begin(self) -> None:
        """Reads status line and headers and settles how the body is framed.

        Raises:
            OSError, http.client.HTTPException: it is no head, or one without end.
        """
        self._incoming.watch_head()
        for _ in range(MAX_INFORMATIONAL + 1):
            version, status, reason = self._read_status()
            fields = self._read_fields()
            if not 100 <= status < 200 or status == _SWITCHING:
                break
        else:
            raise http.client.HTTPException(f"more than {MAX_INFORMATIONAL} informational answers")
        self.code = self.status = status
        self.reason = reason.strip()
        self.version = 10 if version in ("HTTP/1.0", "HTTP/0.9") else 11
        self.fields = fields
        self.chunked = fields.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        connection = fields.get("connection", "").lower()
        self.will_close = "close" in connection or (self.version == 10 and "keep-alive" not in connection)
        self.length = self._framed_length()
        if self.length is None and not self.chunked:
            self.will_close = True
        self._incoming.watch_body()

    def at_any_pace(self) -> None:
        """The body may trickle: it is a bottle, on a line that may be slow."""
        self._incoming.watch_nothing()
        self._paced = False

    _paced = True

    @property
    def content_length(self) -> int | None:
        """The announced size of the body, None when it is not announced."""
        text = self.fields.get("content-length", "")
        # begin has refused what are no digits.
        return int(text) if text and not self.chunked else None

    def read(self, amt: int | None = None) -> bytes:
        """The body, or at most so many bytes of it. Memory grows with what comes, not with what is announced.

        Raises:
            OSError, http.client.HTTPException: it broke off or trickles.
        """
        pieces = []
        left = amt
        while left is None or left > 0:
            piece = super().read(_PIECE_BYTES if left is None else min(left, _PIECE_BYTES))
            if not piece:
                break
            pieces.append(piece)
            left = None if left is None else left - len(piece)
        if amt is None and self.length and self.fp is None:
            raise http.client.IncompleteRead(b"", self.length)
        return b"".join(pieces)

    def _read_line(self, most: int) -> bytes:
        line = self.fp.readline(min(_MAX_LINE, most) + 1)
        if len(line) > min(_MAX_LINE, most):
            raise http.client.LineTooLong("head")
        return line

    def _read_status(self) -> tuple[str, int, str]:
        data = self._read_line(_MAX_LINE)
        self._head_left -= len(data)
        line = data.decode("latin-1")
        if not line:
            raise http.client.RemoteDisconnected("Remote end closed connection without response")
        version, _, rest = line.strip().partition(" ")
        code, _, reason = rest.strip().partition(" ")
        if not version.startswith("HTTP/") or not (code.isascii() and code.isdigit() and len(code) == 3):
            raise http.client.BadStatusLine(line[:200])
        return version, int(code), reason

    def _read_fields(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        readline, left = self.fp.readline, self._head_left
        for _ in range(MAX_HEADERS):
            line = readline(_MAX_LINE + 1)
            if line in (b"\r\n", b"\n"):
                self._head_left = left
                return fields
            left -= len(line)
            if left < 0 or len(line) > _MAX_LINE:
                raise http.client.LineTooLong("head")
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon:
                raise http.client.HTTPException(f"expected a header line, found {line[:80]!r}")
            name, value = name.lower(), value.strip()
            if name == _CHALLENGES and name in fields:
                value = f"{fields[name]}, {value}"
            fields[name] = value
        raise http.client.HTTPException(f"more than {MAX_HEADERS} headers")

    def _framed_length(self) -> int | None:
        if self.status in (204, 304) or self.status < 200 or self._method == "HEAD":  # type: ignore[attr-defined]
            return 0
        text = self.fields.get("content-length", "")
        if self.chunked or not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise http.client.HTTPException(f"expected a Content-Length in digits, found {text[:40]!r}")
        return int(text)

    # What http.client asks while it reads a chunked body.

    def _read_next_chunk_size(self) -> int:
        digits = self._read_framing_line().partition(b";")[0].strip()
        if not 0 < len(digits) < 17 or not _HEXADECIMAL.issuperset(digits):
            raise http.client.HTTPException(f"expected the size of a chunk, found {digits[:40]!r}")
        size = int(digits, 16)
        self._framing_left += size
        return size

    def _read_and_discard_trailer(self) -> None:
        for _ in range(MAX_HEADERS):
            if self._read_framing_line() in (b"\r\n", b"\n", b""):
                return
        raise http.client.HTTPException(f"more than {MAX_HEADERS} lines of a trailer")

    def _read_framing_line(self) -> bytes:
        if not self._paced:
            self._incoming.watch_head()
        line = self._read_line(min(_MAX_CHUNK_LINE, self._framing_left))
        self._framing_left -= len(line)
        if not self._paced:
            self._incoming.watch_nothing()
        return line


# What a server says of now, not of the request: a slow request, a wrong connection, too early, too many.
_PASSING = frozenset({408, 421, 425, 429})
# It does not do what was asked, or not in this version of HTTP, and will not later.
_FINAL = frozenset({501, 505})


def may_pass(status: int) -> bool:
    """Whether the same request may fare better later: 408, 421, 425, 429 and 5xx but 501 and 505."""
    return status in _PASSING or (status >= 500 and status not in _FINAL)
