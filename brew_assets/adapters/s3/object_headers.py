"""What an object in a bucket carries beside its bytes: content type, metadata, checksum, encryption, ACL."""

import base64
from typing import Any

import msgspec

from brew_assets.domain.bottle import Bottle
from brew_assets.domain.manifest import SYNC_VERSION

CONTENT_TYPE = "application/gzip"
_HEADERS = {
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "ACL": "x-amz-acl",
}


class ObjectHeaders(msgspec.Struct, frozen=True, kw_only=True):
    """What a store sends with its objects; `sse` is AES256, aws:kms or bucket (the bucket's own default)."""

    sse: str
    kms_key_id: str
    acl: str
    api_base_url: str

    def arguments(self) -> dict[str, Any]:
        """What any object carries, as arguments of boto3's calls."""
        arguments: dict[str, Any] = {"ACL": self.acl} if self.acl else {}
        if self.sse == "bucket":
            return arguments
        arguments["ServerSideEncryption"] = self.sse
        if self.sse == "aws:kms" and self.kms_key_id:
            arguments["SSEKMSKeyId"] = self.kms_key_id
        return arguments

    def headers(self) -> dict[str, str]:
        """The same as headers of the thin connection."""
        return {_HEADERS[name]: value for name, value in self.arguments().items()}

    def bottle_headers(self, bottle: Bottle, date: str) -> dict[str, str]:
        """The headers of a bottle, with the checksum that the server verifies."""
        checksum = base64.b64encode(bytes.fromhex(bottle.digest)).decode()
        metadata = self._metadata(bottle, date).items()
        return {
            "Content-Type": CONTENT_TYPE,
            **{f"x-amz-meta-{name}": value for name, value in metadata},
            **self.headers(),
            "x-amz-checksum-sha256": checksum,
        }

    def copy_arguments(self, bottle: Bottle, date: str) -> dict[str, Any]:
        """The arguments that give a copy inside the store headers of its own, a checksum among them.

        No tags: the source's may be the ones by which it is to expire, and reading them needs a right.
        """
        return {
            "ContentType": CONTENT_TYPE,
            "Metadata": self._metadata(bottle, date),
            "MetadataDirective": "REPLACE",
            "TaggingDirective": "REPLACE",
            "ChecksumAlgorithm": "SHA256",
            **self.arguments(),
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
