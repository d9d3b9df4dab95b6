"""Requests to a bucket of an S3 server. The one module that knows ``obstore``, and how its errors are worded.

Credentials come from the usual places: ``AWS_ACCESS_KEY_ID`` and its like in the environment or in the project's
``.env``, then the profile in ``~/.aws``, then what the machine is given (web identity, container, instance). No message
repeats an answer of the server or of the library: they quote requests.
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

from rmetrics.errors import LakeError, SettingsError
from rmetrics.settings import named_setting

_URL = re.compile(r"s3://([a-z0-9][a-z0-9.\-]{1,61}[a-z0-9])(?:/+([^?#]*))?")
_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_NAMED = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION")
_LATEST = 2**33  # seconds: in the year 2242
_TRIES, _TRY_SECONDS, _SECONDS = 4, 20, 60
_KEY_HINT = "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and what the key may do: list, read, write and delete."


@dataclass(frozen=True, slots=True)
class Found:
    """An object as a listing or a question finds it.

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
        url: its address, without a slash at its end; holds no secret.
        endpoint: the server, where it is not Amazon's.
    """

    def __init__(self, url: str, store: Any, endpoint: str | None = None) -> None:
        self.url, self._store, self.endpoint = url, store, endpoint

    @classmethod
    def open(cls, url: str, endpoint: str | None = None) -> "Connection":
        """The connection to an address; no request is made yet.

        Raises:
            SettingsError: the address is none, or the package for buckets is not installed.
        """
        matched = _URL.fullmatch(url)
        if matched is None:
            raise SettingsError(f"{url!r} is not the address of a bucket", "Write it like s3://bucket/folder")
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
        """Content and version of an object.

        Raises:
            FileNotFoundError: there is none.
            LakeError: the server does not give it.
        """
        import obstore

        with self.errors(name):
            answer = obstore.get(self._store, name)
            return bytes(answer.bytes()), answer.meta["e_tag"] or ""

    def download(self, name: str, path: Path, times: list[int] | None = None) -> bool:
        """Writes the content of an object to a new file; False where there is none.

        Args:
            name: of the object.
            path: of the file.
            times: receives when the file was written that was uploaded, in nanoseconds, where its metadata say it.

        Raises:
            OSError: the file cannot be written.
            LakeError: the server does not give it.
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
                    raise LakeError(f"{self.url}/{name} came in incomplete", "Run again.")
        return True

    def head(self, name: str) -> Found | None:
        """An object as it stands; None where there is none."""
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
            new: only where there is none of that name.
            version: only in the place of this one.

        Raises:
            FileExistsError: there is one, or it is another version.
            LakeError: the server does not take it.
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
        """Removes an object where there is one."""
        import obstore

        with self.errors(name), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, name)

    def list(self, prefix: str) -> Sequence[Found]:
        """Every object below a prefix, which ends with a slash or is empty."""
        import obstore

        with self.errors(prefix):
            return [_found(o) for some in obstore.list(self._store, prefix or None) for o in some]

    def top(self, prefix: str) -> Sequence[Found]:
        """The objects in a folder, without those in the folders inside it."""
        import obstore

        with self.errors(prefix):
            return [_found(o) for o in obstore.list_with_delimiter(self._store, prefix or None)["objects"]]

    @contextlib.contextmanager
    def errors(self, name: str) -> Iterator[None]:
        """Turns what the library raises into ours. Objects that are not there stay ``FileNotFoundError``.

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


def _found(meta: Any) -> Found:
    return Found(meta["path"], meta["size"], meta["e_tag"] or "", meta["last_modified"].timestamp())


def _modified(attributes: dict[str, Any]) -> list[int]:
    """``x-amz-meta-mtime``: seconds since 1970 with a fraction, as rclone and s3fs write it."""
    try:
        seconds = Decimal(str(attributes["mtime"]))
    except (KeyError, ArithmeticError):
        return []
    return [int(seconds * 10**9)] if 0 < seconds < _LATEST else []


def _denied(error: Exception, place: str) -> LakeError:
    of_the_key = any(code in str(error) for code in ("SignatureDoesNotMatch", "InvalidAccessKeyId"))
    message = "the key or its secret is not known there" if of_the_key else "access is denied"
    return LakeError(f"{place} cannot be used: {message}", _KEY_HINT)


def _refuse_missing_bucket(error: Exception, url: str) -> None:
    if "NoSuchBucket" in str(error):
        bucket = "/".join(url.split("/")[:3])
        raise LakeError(f"the bucket {bucket} does not exist", "Create it, or correct RMETRICS_DATA_DIR.") from None


def _unusable(error: Exception, place: str) -> LakeError:
    status = re.search(r"status code: (\d{3})", str(error))
    if status and status[1] in {"401", "403"}:  # listings are refused in other words
        return _denied(error, place)
    what = f"the server answers with HTTP status {status[1]}" if status else "the server cannot be reached"
    return LakeError(
        f"{place} cannot be used: {what}",
        "Check the network, RMETRICS_S3_ENDPOINT and AWS_REGION, then run again: nothing half written is in force.",
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
    """The keys and the region of the profile in ``~/.aws``; nothing where there is none."""
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


__all__ = ["Connection", "Found"]
