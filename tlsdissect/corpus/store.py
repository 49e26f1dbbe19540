"""The folder of a dataset as `scan` writes it, on a disk or in object storage (the extra `cluster`).

A capture is in the dataset once its manifest is: the manifest is written last, and removed before the other files are
replaced. On a disk, each file is written under a name that ends with `.part`, then renamed. An object appears only when
all of it has been sent.

Only one scan writes at a time: another one would take files whose manifest is not yet written for leftovers. On a disk,
the scan locks a file, and the lock ends with its process. Object storage has no locks, so the scan renews an object
every few seconds. Another scan that finds the object waits to see whether it changes, and takes it over if it does not;
no clock of another machine is trusted.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from secrets import token_hex
from shutil import rmtree
from socket import gethostname
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import sleep
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import MsgspecError, Struct, json
from msgspec.structs import replace

from tlsdissect.corpus.dataset import FORMAT, MANIFESTS, MARK, VERSION, Manifest, Mark
from tlsdissect.corpus.sources import as_os_error, file_system, is_url
from tlsdissect.views.ndjson import json_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FAILURES, OTHERS = "failed", "others"
"""The folders with a JSON file for each capture that could not be scanned, and for each file of a folder that is no
capture."""
PARTS = ".part"
"""The folder of files that are being written."""
LOCK = ".lock"
"""The file that only one scan can lock, or the object that it renews."""
SECONDS_TO_RENEW = 5.0
"""How often."""
SECONDS_TO_TAKE_OVER = 20
"""Seconds after which that object is another's, if it was not renewed."""
T = TypeVar("T")


class StoreError(Exception):
    """The folder cannot be used as that of a dataset; the text says why."""


class DestinationError(OSError):
    """The folder cannot be read or written, whatever capture is next."""


class Holder(Struct, frozen=True):
    """The scan that writes to a folder of object storage."""

    token: str
    machine: str
    process: int
    renewals: int = 0

    def __str__(self) -> str:
        return f"process {self.process} on {self.machine}"


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
        self._lost_to: Holder | None = None
        """The scan that has taken the folder over."""

    def __reduce__(self) -> tuple[type[Store], tuple[str]]:
        return Store, (self.to,)

    def path(self, name: str) -> str:
        """Return the path of a file in its file system."""
        return f"{self._root}/{name}"

    @contextmanager
    def folder_for_parts(self) -> Iterator[Path]:
        """Yield a folder for the files that are being written, removed at the end; that of a killed process stays."""
        with self.part_errors():
            parts = _scratch()
            if self._local:
                parts = self.path(PARTS)
                Path(parts).mkdir(parents=True, exist_ok=True)
            folder = TemporaryDirectory(dir=parts)
        with folder:
            yield Path(folder.name)

    @contextmanager
    def part_errors(self) -> Iterator[None]:
        """Name what fails when files are written that are not finished: the folder, or the disk of this worker."""
        try:
            yield
        except OSError as error:
            raise self._error(error) if self._local else OSError(f"temporary files: {error.strerror}") from error

    def place(self, part: Path, name: str) -> None:
        """Rename a finished file to its final name, so that no reader sees an unfinished one."""
        target = self.path(name)
        if self._local:
            with self.part_errors():
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                part.replace(target)
        else:
            self._do("put_file", str(part), target)

    def write(self, name: str, value: Struct) -> None:
        """Write a JSON file, which appears as a whole."""
        with self.folder_for_parts() as folder:
            part = folder / "part.json"
            with self.part_errors():
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

    @contextmanager
    def claimed(self, options: dict[str, Any]) -> Iterator[None]:
        """Hold the folder, which becomes that of a dataset with these options.

        StoreError if it is another's, or another scan is writing to it.
        """
        self._check(options)
        with self._lock() if self._local else self._hold():
            self._check(options)
            if self.read(MARK, Mark) is None:
                self.write(MARK, Mark(FORMAT, VERSION, options))
            yield

    def _check(self, options: dict[str, Any]) -> None:
        """Raise StoreError if the folder has other files in it, or a dataset that was written with other options."""
        mark = self.read(MARK, Mark)
        if mark is None:
            if self._do("exists", self.path(MARK)) or (self._do("exists", self._root) and self._names(self._root)):
                raise StoreError("is neither empty nor a dataset")
            return
        if (mark.format, mark.version) != (FORMAT, VERSION):
            raise StoreError(
                f"contains a dataset in format {mark.format} {mark.version}; this version writes {FORMAT} {VERSION}"
            )
        differing = [name for name in sorted({*mark.options, *options}) if mark.options.get(name) != options.get(name)]
        if differing:
            raise StoreError(f"was written with different options ({', '.join(differing)}): scan to another folder")

    def _names(self, folder: str) -> list[str]:
        names = [name.rpartition("/")[2] for name in self._do("ls", folder, detail=False)]
        return [name for name in names if name not in {PARTS, LOCK}]

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Hold the lock of a folder on a disk. NFS locks only files that are open for writing."""
        root = Path(self._root)
        if root.is_symlink() and not root.exists():
            raise StoreError(f"is a symbolic link to {root.readlink()}, which does not exist")
        with self.part_errors():
            root.mkdir(parents=True, exist_ok=True)
            number = os.open(self.path(LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError("another scan is writing to it") from None
            except OSError as error:
                raise self._error(error) from error
            yield
        finally:
            os.close(number)

    @contextmanager
    def _hold(self) -> Iterator[None]:
        """Hold a folder in object storage."""
        own = Holder(token_hex(), gethostname(), os.getpid())
        found = self.read(LOCK, Holder)
        for _ in range(SECONDS_TO_TAKE_OVER):
            if found is None:
                break
            sleep(1)
            before, found = found, self.read(LOCK, Holder)
            if found not in {before, None}:
                raise StoreError(f"another scan is writing to it: {found}")
        self.write(LOCK, own)
        # Of two scans that find nothing at the same time, the first to write finds what the second wrote.
        sleep(1)
        self._compare_holder(own)
        self.check_held()
        ended = Event()
        renewal = Thread(target=self._renew, args=(own, ended), daemon=True)
        renewal.start()
        try:
            yield
        finally:
            ended.set()
            renewal.join()
            if self._lost_to is None:
                self.remove(LOCK)

    def _renew(self, own: Holder, ended: Event) -> None:
        """Renew the object until the scan ends, or find that another scan has taken it over."""
        while not ended.wait(SECONDS_TO_RENEW):
            # After a failure, the next time may be early enough.
            with suppress(OSError):
                self._compare_holder(own)
                if self._lost_to is not None:
                    return
                own = replace(own, renewals=own.renewals + 1)
                self.write(LOCK, own)

    def _compare_holder(self, own: Holder) -> None:
        found = self.read(LOCK, Holder)
        if found is not None and found.token != own.token:
            self._lost_to = found

    def check_held(self) -> None:
        """Raise StoreError if another scan has taken the folder over."""
        if self._lost_to is not None:
            raise StoreError(f"another scan is writing to it: {self._lost_to}")

    def sizes(self) -> dict[str, int]:
        """Return the names of all files and their sizes."""
        try:
            found = self._do("find", self._root, detail=True)
        except FileNotFoundError:
            return {}
        prefix = len(self._root) + 1
        return {name[prefix:]: about["size"] for name, about in found.items()}

    def remove_leftovers(self) -> None:
        """Remove what killed workers left: unfinished files, and files that no manifest names.

        If the manifest of a capture is damaged, its files stay.
        """
        if self._local:
            rmtree(self.path(PARTS), ignore_errors=True)
        names, manifests = self.sizes(), self.manifests(MANIFESTS)
        known = {file for one in manifests.values() for file in one.files}
        damaged = ids(names, MANIFESTS) - manifests.keys()
        for name in names:
            if "/day=" in name and name not in known and PurePath(name).stem not in damaged:
                self.remove(name)

    def _do(self, what: str, *given: Any, **named: Any) -> Any:
        """Call a function of the file system; what fails is a DestinationError, or a FileNotFoundError."""
        try:
            return getattr(self._system, what)(*given, **named)
        except (MemoryError, FileNotFoundError):
            raise
        except Exception as error:
            raise self._error(as_os_error(error)) from error

    def _error(self, error: OSError) -> DestinationError:
        return DestinationError(error.errno, error.strerror or str(error), self.to)


def ids(names: Iterable[str], folder: str) -> set[str]:
    """Return the ids of the captures that have a file in this folder of a dataset."""
    return {path.stem for path in map(PurePath, names) if str(path.parent) == folder and path.suffix == ".json"}


def _scratch() -> str | None:
    """Return the folder that Dask empties after a worker was killed; None for that of the system."""
    from dask.distributed import get_worker  # noqa: PLC0415  # an extra

    try:
        return str(get_worker().local_directory)
    except ValueError:
        return None
