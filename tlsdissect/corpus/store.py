"""The folder of a dataset as `scan` writes it, on a disk or in object storage (the extra `cluster`).

A capture is in the dataset once its manifest is: that is written last, and removed before its other files are replaced.
On a disk, each file is written under `.part` and renamed. An object appears only when all of it was sent.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import MsgspecError, Struct, json

from tlsdissect.corpus.dataset import FORMAT, MARK, VERSION, Manifest, Mark
from tlsdissect.corpus.sources import as_os_error, file_system, is_url
from tlsdissect.views.ndjson import json_line

if TYPE_CHECKING:
    from collections.abc import Iterator

FAILURES, OTHERS = "failed", "others"
"""The folders with a JSON file for each capture that could not be scanned, and for each file of a folder that is no
capture."""
PARTS = ".part"
"""The folder of files that are being written."""
T = TypeVar("T")


class StoreError(Exception):
    """The folder cannot be used as that of a dataset; the text says why."""


class Store:
    """The folder of a dataset; names in it are relative, with slashes."""

    def __init__(self, to: str) -> None:
        """`to` is a path, or a URL that fsspec supports. Raises OSError."""
        self.to = to if is_url(to) else os.path.abspath(to)  # noqa: PTH100 (paths are text here)
        try:
            self._system, root = file_system(self.to)
            self._root = root.rstrip("/")
        except MemoryError:
            raise
        except Exception as error:  # an unknown protocol, or a library that it needs
            raise as_os_error(error) from error
        protocol = self._system.protocol
        self._local = "file" in ([protocol] if isinstance(protocol, str) else protocol)

    def __reduce__(self) -> tuple[type[Store], tuple[str]]:
        return Store, (self.to,)

    def path(self, name: str) -> str:
        """Return the path of a file in its file system."""
        return f"{self._root}/{name}"

    @contextmanager
    def folder_for_parts(self) -> Iterator[Path]:
        """Yield a folder for the files that are being written, removed at the end; that of a killed process stays."""
        parts = _scratch()
        if self._local:
            parts = self.path(PARTS)
            Path(parts).mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=parts) as folder:
            yield Path(folder)

    def place(self, part: Path, name: str) -> None:
        """Move a finished file to its final name, so that nobody sees a part of it."""
        target = self.path(name)
        if self._local:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            part.replace(target)
        else:
            self._do("put_file", str(part), target)

    def write(self, name: str, value: Struct) -> None:
        """Write a JSON file, which appears as a whole."""
        with self.folder_for_parts() as folder:
            part = folder / "part.json"
            part.write_bytes(json_line(value))
            self.place(part, name)

    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""
        with suppress(FileNotFoundError):
            self._do("rm_file", self.path(name))

    def read(self, name: str, of: type[T]) -> T | None:
        """Return the content of a JSON file; None if it does not exist, or is damaged."""
        try:
            return json.decode(self._do("cat_file", self.path(name)), type=of)
        except (FileNotFoundError, MsgspecError, UnicodeDecodeError):
            return None

    def manifests(self, folder: str) -> dict[str, Manifest]:
        """Return the manifests of a folder by the id of their capture; those that are damaged count as missing."""
        try:
            names = self._do("ls", self.path(folder), detail=False)
        except FileNotFoundError:
            return {}
        names = [name for name in names if name.endswith(".json")]
        found: dict[str, Manifest] = {}
        contents = self._do("cat", names) if names else {}
        for name, content in ({names[0]: contents} if isinstance(contents, bytes) else contents).items():
            with suppress(MsgspecError, UnicodeDecodeError):
                found[name.rpartition("/")[2].removesuffix(".json")] = json.decode(content, type=Manifest)
        return found

    def open(self, name: str) -> Any:
        """Open a file to read it."""
        return self._do("open", self.path(name), "rb")

    def claim(self, options: dict[str, Any]) -> None:
        """Make the folder that of a dataset with these options; StoreError if it is another's."""
        mark = self.read(MARK, Mark)
        if mark is None:
            if self._do("exists", self.path(MARK)) or (self._do("exists", self._root) and self._names(self._root)):
                raise StoreError("is not empty, and not the folder of a dataset")
            self.write(MARK, Mark(FORMAT, VERSION, options))
            return
        if (mark.format, mark.version) != (FORMAT, VERSION):
            raise StoreError(f"is the folder of {mark.format} {mark.version}, not of {FORMAT} {VERSION}")
        differing = [name for name in sorted({*mark.options, *options}) if mark.options.get(name) != options.get(name)]
        if differing:
            raise StoreError(f"was written with other options ({', '.join(differing)}): scan to another folder")

    def _names(self, folder: str) -> list[str]:
        names = [name.rpartition("/")[2] for name in self._do("ls", folder, detail=False)]
        return [name for name in names if name != PARTS]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder, so that no other scan on this machine writes to it; StoreError if one does."""
        if not self._local:
            yield
            return
        Path(self._root).mkdir(parents=True, exist_ok=True)
        number = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError("another scan writes to it") from None
            yield
        finally:
            os.close(number)

    def remove_leftovers(self, known: set[str]) -> int:
        """Remove what killed workers left: unfinished files, and files that no manifest names; return how many."""
        if self._local:
            rmtree(self.path(PARTS), ignore_errors=True)
        prefix = len(self._root) + 1
        found = [name[prefix:] for name in self._do("find", self._root)]
        strays = [name for name in found if "/day=" in name and name not in known]
        for name in strays:
            self.remove(name)
        return len(strays)

    def _do(self, what: str, *given: Any, **named: Any) -> Any:
        """Call a function of the file system; what fails is an OSError."""
        try:
            return getattr(self._system, what)(*given, **named)
        except (MemoryError, OSError):
            raise
        except Exception as error:
            raise as_os_error(error) from error


def _scratch() -> str | None:
    """Return the folder that Dask empties after a worker was killed; None for that of the system."""
    from dask.distributed import get_worker  # noqa: PLC0415  # an extra

    try:
        return str(get_worker().local_directory)
    except ValueError:
        return None
