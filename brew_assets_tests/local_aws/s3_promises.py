"""Promises of S3 that moto does not keep by itself. `moto_hooks` puts them in front of moto's handlers.

moto takes any checksum, forgets the one that came without an SDK's own header, tells the checksum of a
multipart upload's parts as if it were the object's, ignores If-None-Match of CopyObject, and decides a
condition without holding anything until it writes.
"""

import base64
import hashlib
import threading
from collections.abc import Callable
from typing import Any

from moto.s3.exceptions import MissingKey, PreconditionFailed, S3ClientError

# Conditions of one key are decided one after the other. One lock for all: the bodies are already in memory.
_writing = threading.RLock()

Handler = Callable[[Any], Any]


class BadDigest(S3ClientError):
    """The body is not what its checksum says."""

    code = "BadDigest"

    def __init__(self) -> None:
        super().__init__("The SHA256 you specified did not match the calculated checksum.")


class PayloadHashMismatch(S3ClientError):
    """The body is not what was signed."""

    code = "XAmzContentSHA256Mismatch"

    def __init__(self) -> None:
        super().__init__("The provided 'x-amz-content-sha256' header does not match what was computed.")


def checked_put(original: Handler) -> Handler:
    """PutObject and UploadPart that refuse a body with another SHA-256 than promised, and remember it."""

    def put(response: Any) -> Any:
        headers = response.headers
        promised = headers.get("x-amz-checksum-sha256")
        signed = headers.get("x-amz-content-sha256", "")
        if promised or len(signed) == 64:
            body = response.body or b""
            digest = hashlib.sha256(body.encode() if isinstance(body, str) else body).digest()
            if len(signed) == 64 and signed != digest.hex():
                raise PayloadHashMismatch
            if promised and promised != base64.b64encode(digest).decode():
                raise BadDigest
        with _writing:
            answer = original(response)
        if promised:
            answer[1]["x-amz-checksum-sha256"] = promised
        return answer

    return put


def remembering_put(original: Handler) -> Handler:
    """PutObject whose checksum a HEAD tells later."""

    def put(response: Any) -> Any:
        promised = response.headers.get("x-amz-checksum-sha256")
        answer = original(response)
        if promised:
            key = response.backend.get_object(response.bucket_name, response.parse_key_name())
            if key is not None:
                key.checksum_algorithm, key.checksum_value = "SHA256", promised
        return answer

    return put


def honest_head(original: Callable[..., Any]) -> Callable[..., Any]:
    """HeadObject that marks a checksum of checksums by the number of parts, "…-3", as GetObject does."""

    def head(response: Any, *arguments: Any, **named: Any) -> Any:
        answer = original(response, *arguments, **named)
        name = "x-amz-checksum-sha256"
        if name in answer[1]:
            key = response.backend.get_object(response.bucket_name, response.parse_key_name())
            if key is not None and key.checksum_type == "COMPOSITE":
                answer[1][name] = f"{key.checksum_value}-{key.checksum_parts}"
        return answer

    return head


def conditional_copy(original: Handler) -> Handler:
    """CopyObject that honours If-None-Match and If-Match of its target."""

    def copy(response: Any) -> Any:
        with _writing:
            there = response.backend.get_object(response.bucket_name, response.parse_key_name())
            if response.headers.get("If-None-Match") == "*" and there is not None:
                raise PreconditionFailed("If-None-Match")
            expected = response.headers.get("If-Match")
            if expected and there is None:
                raise MissingKey
            if expected and expected.strip('"') != there.etag.strip('"'):
                raise PreconditionFailed("If-Match")
            return original(response)

    return copy


def one_at_a_time(original: Callable[..., Any]) -> Callable[..., Any]:
    """The operation, while no other conditional one is under way."""

    def run(*arguments: Any, **named: Any) -> Any:
        with _writing:
            return original(*arguments, **named)

    return run
