"""Requests to a bucket on an S3 server. The only module that uses ``obstore`` and knows the wording of its errors.

Credentials come from the usual places: ``AWS_ACCESS_KEY_ID`` and the like in the environment or the project's ``.env``,
then the profile in ``~/.aws``, then the machine's own identity (web identity, container, instance). No message repeats
a response of the server or the library, because these quote requests.
"""

import configparser
import contextlib
import datetime as dt
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from rmetrics.environment import named_setting
from rmetrics.errors import LakeError, SettingsError

_URL = re.compile(r"s3://([a-z0-9][a-z0-9.\-]{1,61}[a-z0-9])(?:/+([^?#]*))?")
_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_NAMED = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION")
_LATEST = 2**33  # seconds: in the year 2242
_TRIES, _TRY_SECONDS, _SECONDS = 4, 20, 60
_KEY_HINT = (
    "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and the rights of the key: list, read, write and delete."
)


@dataclass(frozen=True, slots=True)
class BucketObject:
    """An object as returned by a listing or a HEAD request.

    Attributes:
        name: below the prefix.
        written: in seconds, by the server's clock.
    """

    name: str
    size: int
    version: str
    written: float


class Connection:
    """A prefix of a bucket.

    Attributes:
        url: its address, without a trailing slash; contains no secret.
        endpoint: the server if it is not Amazon's.
    """

    def __init__(self, url: str, store: Any, endpoint: str | None = None) -> None:
        self.url, self._store, self.endpoint = url, store, endpoint

    @classmethod
    def open(cls, url: str, endpoint: str | None = None) -> "Connection":
        """Returns the connection to an address; makes no request yet.

        Raises:
            SettingsError: the address is invalid, or the package for buckets is not installed.
        """
        matched = _URL.fullmatch(url)
        if matched is None:
            raise SettingsError(f"{url!r} is not the address of a bucket", "Use the form s3://bucket/folder.")
        try:
            from obstore.store import S3Store
        except ImportError:
            raise SettingsError(
                "a lake in a bucket needs the package obstore, which is not installed",
                "Install it: pip install 'rmetrics[s3]'",
            ) from None
        bucket, prefix = matched[1], (matched[2] or "").strip("/")
        plain = endpoint is not None and endpoint.startswith("http://")
        store = S3Store(
            bucket,
            prefix=prefix or None,
            config=_config(endpoint),
            client_options={"allow_http": plain, "connect_timeout": "5s", "timeout": f"{_SECONDS}s"},
            retry_config={"max_retries": _TRIES, "retry_timeout": dt.timedelta(seconds=_TRY_SECONDS)},
        )
        return cls(f"s3://{bucket}" + (f"/{prefix}" if prefix else ""), store, endpoint)

    # -- requests

    def get(self, name: str) -> tuple[bytes, str]:
        """Returns the content and version of an object.

        Raises:
            FileNotFoundError: it does not exist.
            LakeError: the server refuses or cannot be reached.
        """
        import obstore

        with self.errors(name):
            answer = obstore.get(self._store, name)
            return bytes(answer.bytes()), answer.meta["e_tag"] or ""

    def download(self, name: str, path: Path, times: list[int] | None = None) -> bool:
        """Writes the content of an object to a new file; False if the object does not exist.

        Args:
            name: of the object.
            path: of the file.
            times: receives the modification time of the uploaded file in nanoseconds, if the metadata has it.

        Raises:
            OSError: the file cannot be written.
            LakeError: the server refuses or cannot be reached.
        """
        import obstore

        with self.errors(name):
            try:
                answer = obstore.get(self._store, name)
            except FileNotFoundError as error:
                _refuse_missing_bucket(error, self.url)
                return False
            size = answer.meta["size"]
            if times is not None:
                times += _modified(dict(answer.attributes))
            with path.open("xb") as file:
                for chunk in answer.stream(min_chunk_size=8 * 2**20):
                    file.write(chunk)
                if file.tell() != size:
                    raise LakeError(f"{self.url}/{name} arrived incomplete", "Run again.")
        return True

    def head(self, name: str) -> BucketObject | None:
        """The object's current metadata; None if it does not exist."""
        import obstore

        with self.errors(name):
            try:
                return _found(obstore.head(self._store, name))
            except FileNotFoundError:
                return None

    def put(self, name: str, content: bytes | Path, *, new: bool = False, version: str | None = None) -> str:
        """Writes an object; returns its version.

        Args:
            name: of the object.
            content: bytes, or the file that has them.
            new: only if no object of that name exists.
            version: only if it replaces this version.

        Raises:
            FileExistsError: the object exists, or has another version.
            LakeError: the server refuses or cannot be reached.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        mode: Any = "create" if new else "overwrite" if version is None else {"e_tag": version}
        with self.errors(name):
            try:
                return obstore.put(self._store, name, content, mode=mode)["e_tag"] or ""
            except (AlreadyExistsError, PreconditionError):
                raise FileExistsError(name) from None

    def delete(self, name: str) -> None:
        """Removes an object if it exists."""
        import obstore

        with self.errors(name), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, name)

    def list(self, prefix: str) -> Sequence[BucketObject]:
        """Every object below a prefix, which ends with a slash or is empty."""
        import obstore

        with self.errors(prefix):
            return [_found(o) for batch in obstore.list(self._store, prefix or None) for o in batch]

    def top(self, prefix: str) -> Sequence[BucketObject]:
        """The objects directly in a folder, without those in subfolders."""
        import obstore

        with self.errors(prefix):
            return [_found(o) for o in obstore.list_with_delimiter(self._store, prefix or None)["objects"]]

    @contextlib.contextmanager
    def errors(self, name: str) -> Iterator[None]:
        """Translates the library's errors into ours; missing objects remain ``FileNotFoundError``.

        Raises:
            LakeError: access is denied, the bucket does not exist, or the server cannot be reached.
        """
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        try:
            yield
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise _denied(error, f"{self.url}/{name}") from None
        except FileNotFoundError as error:
            _refuse_missing_bucket(error, self.url)
            raise
        except BaseError as error:
            _refuse_missing_bucket(error, self.url)
            raise _unusable(error, f"{self.url}/{name}") from None


def _found(meta: Any) -> BucketObject:
    return BucketObject(meta["path"], meta["size"], meta["e_tag"] or "", meta["last_modified"].timestamp())


def _modified(attributes: dict[str, Any]) -> list[int]:
    """Parses ``x-amz-meta-mtime``: seconds since 1970 with a fraction, as written by rclone and s3fs."""
    try:
        seconds = Decimal(str(attributes["mtime"]))
    except (KeyError, ArithmeticError):
        return []
    return [int(seconds * 10**9)] if 0 < seconds < _LATEST else []


def _denied(error: Exception, place: str) -> LakeError:
    of_the_key = any(code in str(error) for code in ("SignatureDoesNotMatch", "InvalidAccessKeyId"))
    message = "the key or its secret is wrong" if of_the_key else "access is denied"
    return LakeError(f"{place} cannot be used: {message}", _KEY_HINT)


def _refuse_missing_bucket(error: Exception, url: str) -> None:
    if "NoSuchBucket" in str(error):
        bucket = "/".join(url.split("/")[:3])
        raise LakeError(f"the bucket {bucket} does not exist", "Create it, or correct RMETRICS_DATA_DIR.") from None


def _unusable(error: Exception, place: str) -> LakeError:
    status = re.search(r"status code: (\d{3})", str(error))
    if status and status[1] in {"401", "403"}:  # denied listings raise other errors than denied objects
        return _denied(error, place)
    what = f"the server answers with HTTP status {status[1]}" if status else "the server cannot be reached"
    return LakeError(
        f"{place} cannot be used: {what}",
        "Check the network, RMETRICS_S3_ENDPOINT and AWS_REGION, then run again: no partial result is in force.",
    )


# -- settings


def _config(endpoint: str | None) -> Any:
    named = {n.lower(): v.get_secret_value() for n in _NAMED if (v := named_setting(n)) is not None}
    if "aws_access_key_id" not in named:
        named = {**_profile(), **named}
    region = named.pop("aws_default_region", None)
    named.setdefault("aws_region", region or "us-east-1")
    if endpoint is not None:
        named |= {"aws_endpoint": endpoint.rstrip("/"), "aws_virtual_hosted_style_request": "false"}
    return named


def _profile() -> dict[str, str]:
    """The keys and region of the profile in ``~/.aws``; empty if there is none."""
    name = os.environ.get("AWS_PROFILE", "default")
    home = Path.home() / ".aws"
    keys = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", home / "credentials"))
    config = Path(os.environ.get("AWS_CONFIG_FILE", home / "config"))
    found: dict[str, str] = {}
    for path, section in ((config, name if name == "default" else f"profile {name}"), (keys, name)):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            raise SettingsError(
                f"{path} cannot be read as a file of AWS settings", "Correct it, or remove it."
            ) from None
        if parser.has_section(section):
            of_section = dict(parser.items(section))
            found |= {k: of_section[k] for k in _KEYS if k in of_section}
            if "region" in of_section:
                found["aws_region"] = of_section["region"]
    return found


__all__ = ["BucketObject", "Connection"]
