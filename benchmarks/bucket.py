"""What the sink answers: S3's requests, with bottles counted and dropped, everything else kept."""

import hashlib
import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

PEERS_BUCKET = "peers"
CONTROL_PREFIX = "/-/"

_DATE_FOLDER = re.compile(r"(?:^|/)\d{4}-\d{2}-\d{2}/")
_KEPT_FOLDER = re.compile(r"(?:^|/)(?:state|backups)/")
_XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


@dataclass(slots=True, kw_only=True)
class Request:
    """One request; `path` is decoded, header names are lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]

    @property
    def bucket(self) -> str:
        return self.path[1:].partition("/")[0]

    @property
    def key(self) -> str:
        return self.path[1:].partition("/")[2]

    @property
    def keeps_body(self) -> bool:
        """False for the objects whose bytes are read and dropped."""
        return self.method != "PUT" or not is_dropped(self.bucket, self.key)


@dataclass(slots=True)
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True, kw_only=True)
class Stored:
    """An object; `body` is None when its bytes were dropped."""

    size: int
    etag: str
    headers: dict[str, str]
    body: bytes | None
    modified: float = field(default_factory=time.time)


@dataclass(slots=True, kw_only=True)
class Upload:
    """A multipart upload under way: sizes of its parts, and their bytes where they are kept."""

    headers: dict[str, str]
    parts: dict[int, tuple[int, bytes]] = field(default_factory=dict)


def is_dropped(bucket: str, key: str) -> bool:
    """True for bottles (`[prefix/]YYYY-MM-DD/...`) and for everything in the peers' bucket."""
    if bucket == PEERS_BUCKET:
        return True
    date_folder = _DATE_FOLDER.search(key)
    return date_folder is not None and not _KEPT_FOLDER.search(key[: date_folder.end()])


class Buckets:
    """All buckets of the sink. A bucket exists as soon as it is named."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], Stored] = {}
        self._uploads: dict[str, Upload] = {}
        self._requests: Counter[str] = Counter()

    def answer(self, request: Request, body: bytes, size: int) -> Answer:
        """The answer to a request whose body held `size` bytes; `body` is empty if it was dropped."""
        if request.path.startswith(CONTROL_PREFIX):
            return self._control(request)
        self._requests[request.method] += 1
        if not request.key:
            return self._bucket(request, body)
        if "uploadId" in request.query or "uploads" in request.query:
            return self._multipart(request, body, size)
        if {"tagging", "acl", "retention", "legal-hold"} & request.query.keys():
            return Answer(200)
        match request.method:
            case "PUT" if "x-amz-copy-source" in request.headers:
                return self._copy(request)
            case "PUT":
                return self._put(request, body, size)
            case "GET" | "HEAD":
                return self._get(request)
            case "DELETE":
                return self._delete(request)
        return _error(405, "MethodNotAllowed")

    def _control(self, request: Request) -> Answer:
        if request.method == "DELETE":
            self._objects.clear()
            self._uploads.clear()
            self._requests.clear()
            return Answer(204)
        dropped = [
            (bucket, key, stored.size, stored.headers.get("x-amz-checksum-sha256"))
            for (bucket, key), stored in self._objects.items()
            if stored.body is None
        ]
        found = {"dropped": dropped, "requests": dict(self._requests)}
        return Answer(200, {"content-type": "application/json"}, json.dumps(found).encode())

    def _bucket(self, request: Request, body: bytes) -> Answer:
        if not request.bucket:
            names = sorted({bucket for bucket, _ in self._objects})
            listed = "".join(f"<Bucket><Name>{escape(name)}</Name></Bucket>" for name in names)
            return _xml("ListAllMyBucketsResult", f"<Buckets>{listed}</Buckets>")
        if request.method == "POST" and "delete" in request.query:
            keys = [_unescape(key) for key in re.findall(r"<Key>(.*?)</Key>", body.decode())]
            for key in keys:
                self._objects.pop((request.bucket, key), None)
            gone = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
            return _xml("DeleteResult", gone)
        if request.method in {"HEAD", "PUT", "DELETE"}:
            return Answer(200)
        if "location" in request.query:
            return _xml("LocationConstraint", "us-east-1")
        if "versioning" in request.query:
            return _xml("VersioningConfiguration", "")
        if "uploads" in request.query:
            return _xml("ListMultipartUploadsResult", "<IsTruncated>false</IsTruncated>")
        if request.query.keys() - _LIST_QUERY:
            return _error(501, "NotImplemented")
        return self._list(request)

    def _list(self, request: Request) -> Answer:
        prefix = request.query.get("prefix", "")
        delimiter = request.query.get("delimiter", "")
        after = request.query.get("start-after") or request.query.get("marker", "")
        is_quoted = request.query.get("encoding-type") == "url"
        contents: list[str] = []
        folders: dict[str, None] = {}
        for bucket, key in sorted(self._objects):
            if bucket != request.bucket or not key.startswith(prefix) or key <= after:
                continue
            folder, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if found:
                folders[prefix + folder + delimiter] = None
                continue
            stored = self._objects[bucket, key]
            contents.append(
                f"<Contents><Key>{_listed(key, is_quoted)}</Key>"
                f"<LastModified>{_iso(stored.modified)}</LastModified><ETag>{escape(stored.etag)}</ETag><Size>{stored.size}</Size>"
                "<StorageClass>STANDARD</StorageClass></Contents>"
            )
        common = "".join(
            f"<CommonPrefixes><Prefix>{_listed(folder, is_quoted)}</Prefix></CommonPrefixes>"
            for folder in folders
        )
        encoding = "<EncodingType>url</EncodingType>" if is_quoted else ""
        return _xml(
            "ListBucketResult",
            f"<Name>{escape(request.bucket)}</Name><Prefix>{_listed(prefix, is_quoted)}</Prefix>{encoding}"
            f"<KeyCount>{len(contents) + len(folders)}</KeyCount><MaxKeys>1000</MaxKeys>"
            f"<IsTruncated>false</IsTruncated>{''.join(contents)}{common}",
        )

    def _put(self, request: Request, body: bytes, size: int) -> Answer:
        at = request.bucket, request.key
        if refused := self._refusal(request):
            return refused
        kept = body if request.keeps_body else None
        stored = Stored(
            size=size, etag=_etag(request.key, kept), headers=_remembered(request.headers), body=kept
        )
        self._objects[at] = stored
        headers = {"etag": stored.etag}
        if checksum := stored.headers.get("x-amz-checksum-sha256"):
            headers["x-amz-checksum-sha256"] = checksum
        return Answer(200, headers)

    def _get(self, request: Request) -> Answer:
        stored = self._objects.get((request.bucket, request.key))
        if stored is None or (stored.body is None and request.method == "GET"):
            return _error(404, "NoSuchKey")
        wanted, unwanted = request.headers.get("if-match"), request.headers.get("if-none-match")
        if wanted is not None and not _matches(wanted, stored):
            return _error(412, "PreconditionFailed")
        if unwanted is not None and _matches(unwanted, stored):
            return Answer(304, {"etag": stored.etag})
        headers = {
            **stored.headers,
            "etag": stored.etag,
            "last-modified": formatdate(stored.modified, usegmt=True),
            "content-length": str(stored.size),
        }
        return Answer(200, headers, stored.body or b"")

    def _delete(self, request: Request) -> Answer:
        stored = self._objects.get((request.bucket, request.key))
        wanted = request.headers.get("if-match")
        if stored is not None and wanted is not None and not _matches(wanted, stored):
            return _error(412, "PreconditionFailed")
        self._objects.pop((request.bucket, request.key), None)
        return Answer(204)

    def _copy(self, request: Request) -> Answer:
        named = unquote(request.headers["x-amz-copy-source"]).lstrip("/").partition("?")[0]
        bucket, _, key = named.partition("/")
        source = self._objects.get((bucket, key))
        if source is None:
            return _error(404, "NoSuchKey")
        if refused := self._refusal(request):
            return refused
        headers = dict(source.headers)
        if request.headers.get("x-amz-metadata-directive", "COPY").upper() == "REPLACE":
            checksum = headers.get("x-amz-checksum-sha256")
            headers = _remembered(request.headers)
            if checksum is not None:
                headers["x-amz-checksum-sha256"] = checksum
        body = source.body if request.keeps_body else None
        copy = Stored(size=source.size, etag=source.etag, headers=headers, body=body)
        self._objects[request.bucket, request.key] = copy
        return _xml(
            "CopyObjectResult",
            f"<LastModified>{_iso(copy.modified)}</LastModified><ETag>{escape(copy.etag)}</ETag>",
        )

    def _multipart(self, request: Request, body: bytes, size: int) -> Answer:
        where = f"<Bucket>{escape(request.bucket)}</Bucket><Key>{escape(request.key)}</Key>"
        if "uploads" in request.query:
            name = hashlib.md5(f"{request.path} {time.time_ns()}".encode(), usedforsecurity=False).hexdigest()
            self._uploads[name] = Upload(headers=_remembered(request.headers))
            return _xml("InitiateMultipartUploadResult", f"{where}<UploadId>{name}</UploadId>")
        upload = self._uploads.get(request.query["uploadId"])
        if upload is None:
            return _error(404, "NoSuchUpload")
        if request.method == "PUT":
            upload.parts[int(request.query["partNumber"])] = size, body
            return Answer(200, {"etag": _etag(f"{request.key} {request.query['partNumber']}", None)})
        if request.method == "POST" and (refused := self._refusal(request)):
            return refused
        del self._uploads[request.query["uploadId"]]
        if request.method == "DELETE":
            return Answer(204)
        parts = [upload.parts[number] for number in sorted(upload.parts)]
        is_kept = not is_dropped(request.bucket, request.key)
        etag = f'{_etag(request.key, None)[:-1]}-{len(parts)}"'
        self._objects[request.bucket, request.key] = Stored(
            size=sum(part[0] for part in parts),
            etag=etag,
            headers=upload.headers,
            body=b"".join(part[1] for part in parts) if is_kept else None,
        )
        return _xml("CompleteMultipartUploadResult", f"{where}<ETag>{escape(etag)}</ETag>")

    def _refusal(self, request: Request) -> Answer | None:
        """What a write whose condition does not hold is answered, else None."""
        current = self._objects.get((request.bucket, request.key))
        if request.headers.get("if-none-match") == "*" and current is not None:
            return _error(412, "PreconditionFailed")
        wanted = request.headers.get("if-match")
        if wanted is None:
            return None
        if current is None:
            return _error(404, "NoSuchKey")
        return None if _matches(wanted, current) else _error(412, "PreconditionFailed")


_LIST_QUERY = {
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "list-type",
    "marker",
    "max-keys",
    "prefix",
    "start-after",
    "x-id",
}


def _remembered(headers: dict[str, str]) -> dict[str, str]:
    names = ("content-type", "x-amz-checksum-sha256")
    return {name: value for name, value in headers.items() if name in names or name.startswith("x-amz-meta-")}


def _etag(key: str, body: bytes | None) -> str:
    hashed = key.encode() if body is None else body
    return f'"{hashlib.md5(hashed, usedforsecurity=False).hexdigest()}"'


def _matches(wanted: str, stored: Stored) -> bool:
    return wanted == "*" or wanted.strip('"') == stored.etag.strip('"')


def _listed(text: str, is_quoted: bool) -> str:
    return quote(text) if is_quoted else escape(text)


def _unescape(text: str) -> str:
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&")):
        text = text.replace(entity, character)
    return text


def _iso(when: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(when))


def _xml(tag: str, content: str) -> Answer:
    document = f'<?xml version="1.0" encoding="UTF-8"?>\n<{tag} {_XMLNS}>{content}</{tag}>'
    return Answer(200, {"content-type": "application/xml"}, document.encode())


def _error(status: int, code: str) -> Answer:
    document = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{code}</Message>'
        "<RequestId>sink</RequestId></Error>"
    )
    return Answer(status, {"content-type": "application/xml"}, document.encode())
