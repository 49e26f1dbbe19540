"""Finds captures by paths, patterns and URLs, with their versions, and reads their bytes (the extra `cluster`).

fsspec reads what is named by a URL, such as "s3://bucket/day-*.pcap.gz". Only `scan` and the readings of a cluster use
this module; all else reads local files and opens no connection.
"""

from __future__ import annotations

import os
import re
from glob import glob, has_magic
from hashlib import sha256
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from tlsdissect.capture.inputs import files_in
from tlsdissect.corpus.dataset import MARK, is_dataset

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tlsdissect.corpus.dataset import Manifest

BLOCK_BYTES = 8 << 20
"""Bytes of a remote capture that are requested at a time, while those before them are read."""
_BLOCKS = 2
"""Such blocks that are kept."""
HEAD_BYTES = 1 << 20
"""Bytes from the beginning of a capture that are kept while it is read."""
_ETAGS = ("ETag", "etag", "md5Hash", "Content-MD5")
_TIMES = ("mtime", "LastModified", "updated", "Last-Modified")
_ID_DIGITS = 32
_URL = re.compile(r"[a-z][\w+.:-]*://", re.IGNORECASE)
_NO_FILES = "has no files in it, besides those of datasets"


class SourceError(Exception):
    """What was named is not there, or cannot be listed; the text says why."""


class Source(NamedTuple):
    """A capture and its version: if that is the same, so are its bytes."""

    name: str
    """Its absolute path, or its URL."""
    named: bool
    """Whether the user named it; otherwise it is in a folder, and need not be a capture."""
    size: int | None
    etag: str | None
    modified: str | None

    @property
    def id(self) -> str:
        """The name, without a suffix, of its files in a dataset."""
        return source_id(self.name)

    def is_read(self, manifest: Manifest) -> bool:
        """Return whether it is still the capture that a manifest is about."""
        return (self.size, self.etag, self.modified) == (manifest.size, manifest.etag, manifest.modified)


def source_id(name: str) -> str:
    """Return the name, without a suffix, of the files of a capture in a dataset."""
    return sha256(os.fsencode(name)).hexdigest()[:_ID_DIGITS]


def is_url(name: str) -> bool:
    """Return whether this is a URL, and no path."""
    return _URL.match(name) is not None


def find_sources(names: Iterable[str]) -> tuple[list[Source], list[tuple[str, str]]]:
    """Return the captures that paths, patterns and URLs name, each once, and what cannot be found, with the reason.

    No capture is opened.
    """
    found: dict[str, Source] = {}
    refused: list[tuple[str, str]] = []
    for name in names:
        listed = _remote(name) if is_url(name) else _local(name, refused)
        try:
            for one in listed:
                known = found.get(one.name)
                found[one.name] = one if known is None else known._replace(named=known.named or one.named)
        except SourceError as error:
            refused.append((name, str(error)))
    return list(found.values()), refused


def _local(name: str, refused: list[tuple[str, str]]) -> Iterator[Source]:
    matched = sorted(glob(name, recursive=True)) if has_magic(name) and not os.path.lexists(name) else [name]  # noqa: PTH207
    if not matched:
        raise SourceError("no file matches")
    for path in map(os.path.abspath, matched):
        if not os.path.isdir(path):  # noqa: PTH112 (false for a path that cannot be examined)
            yield _file(path, named=True)
            continue
        unreadable: list[OSError] = []
        inside = list(files_in(path, unreadable, is_dataset))
        if not (inside or unreadable):
            raise SourceError(_NO_FILES)
        for inner in inside:
            yield _file(inner, named=False)
        refused += [(str(one.filename), one.strerror or str(one)) for one in unreadable]


def _file(path: str, *, named: bool) -> Source:
    try:
        status = Path(path).stat()
    except (OSError, ValueError) as error:
        raise SourceError(getattr(error, "strerror", None) or str(error)) from error
    if not os.path.isfile(path):  # noqa: PTH113
        raise SourceError("is not a regular file; scan needs files that can be read twice")
    return Source(path, named, status.st_size, None, str(status.st_mtime_ns))


def _remote(url: str) -> Iterator[Source]:
    try:
        system, path = file_system(url)
        # Web servers have no folders to look for a pattern in, and ? begins a query.
        if has_magic(path) and "http" not in system.protocol:
            listed, named = system.glob(path, detail=True), True
        else:
            about = system.info(path)
            named = about["type"] != "directory"
            listed = {path: about} if named else system.find(path, detail=True)
        files = sorted((one, about) for one, about in listed.items() if about["type"] == "file")
        if not named:
            datasets = tuple(one.removesuffix(MARK) for one, _ in files if one.endswith(f"/{MARK}"))
            files = [(one, about) for one, about in files if not one.startswith(datasets)]
    except MemoryError:
        raise
    except Exception as error:  # each file system has its own
        raise SourceError(_reason(error)) from error
    if not files:
        raise SourceError("no file matches" if named else _NO_FILES)
    for one, about in files:
        yield Source(system.unstrip_protocol(one), named, about.get("size"), _text(about, _ETAGS), _text(about, _TIMES))


def _text(about: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next((str(about[name]).strip('"') for name in names if about.get(name) is not None), None)


def file_system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL or path, and the path in it; ValueError or ImportError if there is none."""
    from fsspec.core import url_to_fs  # noqa: PLC0415  # an extra

    # Workers write what this process lists.
    found: tuple[Any, str] = url_to_fs(url, use_listings_cache=False)
    return found


class SourceFile(RawIOBase):
    """An open capture: what cannot be read is an OSError, which is kept as `error` too, whatever becomes of it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.head = b""
        """The first HEAD_BYTES of what was read."""
        self.error: OSError | None = None
        self._file = _opened(name)

    @property
    def binary(self) -> BinaryIO:
        """Return this file, for a function with that annotation."""
        return cast("BinaryIO", self)

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read up to so many bytes; none at the end."""
        try:
            data: bytes = self._file.read(size)
        except MemoryError:
            raise
        except Exception as error:  # each file system has its own
            self.error = as_os_error(error)
            raise self.error from error
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]
        return data

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
        super().close()


def _opened(name: str) -> Any:
    if not is_url(name):
        return open(name, "rb", buffering=0)  # noqa: PTH123
    try:
        system, path = file_system(name)
        if "http" in system.protocol:
            # One request for all of it: not every server has ranges.
            return system.open(path, "rb", block_size=0)
        blocks = {"maxblocks": _BLOCKS}
        return system.open(path, "rb", block_size=BLOCK_BYTES, cache_type="background", cache_options=blocks)
    except MemoryError:
        raise
    except Exception as error:  # each file system has its own
        raise as_os_error(error) from error


def as_os_error(error: Exception) -> OSError:
    """Return what failed as an OSError: libraries for networks have exceptions of their own."""
    return error if isinstance(error, OSError) else OSError(_reason(error))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, FileNotFoundError):  # with the name alone: what failed came before
        before = error.__cause__ or error.__context__
        return _reason(before) if isinstance(before, OSError) else "not found"
    return f"{error}".partition("\n")[0] or type(error).__name__
