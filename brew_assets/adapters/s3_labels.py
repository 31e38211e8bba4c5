"""What an object in a bucket carries beside its bytes: content type, metadata, checksum, encryption."""

import base64
from typing import Any

import msgspec

from brew_assets.domain.bottle import Bottle
from brew_assets.domain.manifest import SYNC_VERSION

CONTENT_TYPE = "application/gzip"
_ENCRYPTION_HEADERS = {
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
}


class ObjectLabels(msgspec.Struct, frozen=True, kw_only=True):
    """The labels of a store's objects; `sse` is AES256, aws:kms or bucket (the bucket's own default)."""

    sse: str
    kms_key_id: str
    api_base_url: str

    def encryption_headers(self) -> dict[str, str]:
        """The headers of any object."""
        return {_ENCRYPTION_HEADERS[name]: value for name, value in self._encryption().items()}

    def bottle_headers(self, bottle: Bottle, date: str) -> dict[str, str]:
        """The headers of a bottle, with the checksum that the server verifies."""
        checksum = base64.b64encode(bytes.fromhex(bottle.digest)).decode()
        return self._headers(bottle, date) | {"x-amz-checksum-sha256": checksum}

    def copy_headers(self, bottle: Bottle, date: str) -> dict[str, str]:
        """The headers that give a copy inside the store labels of its own, a checksum among them.

        No tags: the source's may be the ones by which it is to expire, and reading them needs a right.
        """
        return self._headers(bottle, date) | {
            "x-amz-metadata-directive": "REPLACE",
            "x-amz-tagging-directive": "REPLACE",
            "x-amz-checksum-algorithm": "SHA256",
        }

    def _headers(self, bottle: Bottle, date: str) -> dict[str, str]:
        headers = {"Content-Type": CONTENT_TYPE}
        headers.update((f"x-amz-meta-{name}", value) for name, value in self._metadata(bottle, date).items())
        return headers | self.encryption_headers()

    def bottle_arguments(self, bottle: Bottle, date: str) -> dict[str, Any]:
        """The same as arguments of botocore's calls, without the checksum."""
        return {
            "ContentType": CONTENT_TYPE,
            "Metadata": self._metadata(bottle, date),
            **self._encryption(),
        }

    def _metadata(self, bottle: Bottle, date: str) -> dict[str, str]:
        """The specification's object metadata."""
        return {
            "formula-name": bottle.formula,
            "formula-version": bottle.pkg_version,
            "platform": bottle.tag,
            "download-date": date,
            "sha256": bottle.digest,
            "sync-version": SYNC_VERSION,
            "homebrew-api-url": f"{self.api_base_url}/formula/{bottle.formula}.json",
        }

    def _encryption(self) -> dict[str, Any]:
        if self.sse == "bucket":
            return {}
        arguments = {"ServerSideEncryption": self.sse}
        if self.sse == "aws:kms" and self.kms_key_id:
            arguments["SSEKMSKeyId"] = self.kms_key_id
        return arguments
