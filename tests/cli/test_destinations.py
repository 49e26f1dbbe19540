"""Where results go: links, `..`, pipes, devices, folders and what is there already, for every command that writes."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from commands import TLS12, run
from tries import Try, tries

from tlsdissect.capture.ring import Drops
from tlsdissect.capture.saving import Rotation, Saved, Saver
from tlsdissect.cli import sink
from tlsdissect.cli.exit_status import NotWrittenError

PLACED = {(one.words[0], one.place[0]): one for one in tries() if one.place is not None}
"""A try of each command with each option that names a place."""
FILES = [one for one in PLACED.values() if one.place[0] == "-o"]
FOLDERS = [one for one in PLACED.values() if one.place[0] == "--to"]

each_file = pytest.mark.parametrize("one", FILES, ids=lambda one: one.words[0])
each_folder = pytest.mark.parametrize("one", FOLDERS, ids=lambda one: one.words[0])


def write(one: Try, place: Path) -> tuple[int, str]:
    """Run a command that writes to a place; its exit status, and what it says of the place."""
    done = run(*one.words, "--stream", "0", one.place[0], place, "-q", TLS12)
    return done.returncode, done.stderr.decode()


def named(one: Try) -> str:
    return one.place[1]


@each_file
def test_a_link_that_the_user_names_is_followed(one: Try, tmp_path: Path) -> None:
    """As `>` of a shell does; a new file takes the place of what it points to, and the link stays."""
    (tmp_path / "there").mkdir()
    for target in ("before", "after"):
        link = tmp_path / f"{target}-{named(one)}"
        link.symlink_to(tmp_path / "there" / target)
    (tmp_path / "there" / "before").write_bytes(b"")
    (tmp_path / "there" / "before").chmod(0o640)
    for target in ("before", "after"):
        link = tmp_path / f"{target}-{named(one)}"
        assert write(one, link) == (0, "")
        assert link.is_symlink()
        assert (tmp_path / "there" / target).stat().st_size > 0
    assert (tmp_path / "there" / "before").stat().st_mode & 0o777 == 0o640
    assert {path.name for path in (tmp_path / "there").iterdir()} == {"before", "after"}


@each_file
def test_folders_are_where_the_system_says(one: Try, tmp_path: Path) -> None:
    """`..` after a link is the parent of what it points to."""
    (tmp_path / "there" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "there" / "below")
    assert write(one, tmp_path / "link" / ".." / named(one)) == (0, "")
    assert (tmp_path / "there" / named(one)).stat().st_size > 0
    assert {path.name for path in tmp_path.iterdir()} == {"there", "link"}


@each_file
def test_a_folder_is_no_file(one: Try, tmp_path: Path) -> None:
    (tmp_path / named(one)).mkdir()
    assert write(one, tmp_path / named(one)) == (74, f"tlsdissect: {tmp_path / named(one)}: Is a directory\n")
    assert [*tmp_path.rglob("*")] == [tmp_path / named(one)]


@each_file
def test_a_folder_that_is_missing_is_not_made(one: Try, tmp_path: Path) -> None:
    place = tmp_path / "missing" / named(one)
    assert write(one, place) == (74, f"tlsdissect: {place}: No such file or directory\n")
    assert [*tmp_path.iterdir()] == []


@each_file
def test_a_pipe_is_written_to(one: Try, tmp_path: Path) -> None:
    pipe = tmp_path / named(one)
    os.mkfifo(pipe)
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.append(pipe.read_bytes()), daemon=True)
    reader.start()
    assert write(one, pipe) == (0, "")
    reader.join(20)
    assert len(taken[0]) > 0
    assert [*tmp_path.iterdir()] == [pipe]


@each_file
def test_a_device_that_is_full(one: Try, tmp_path: Path) -> None:
    link = tmp_path / named(one)
    link.symlink_to("/dev/full")
    assert write(one, link) == (74, f"tlsdissect: {link}: No space left on device\n")
    assert [*tmp_path.iterdir()] == [link]


@each_folder
def test_a_folder_of_results(one: Try, tmp_path: Path) -> None:
    """The folder may be a link and need not exist; what is in it is never replaced, and no link in it followed."""
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    assert write(one, tmp_path / "link" / ".." / "new") == (0, "")
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names
    kept = tmp_path / "there" / min(names)
    kept.symlink_to(tmp_path / "elsewhere")
    status, said = write(one, tmp_path / "link")
    assert (status, min(names) in said) == (2 if one.words[0] == "export" else 74, True)
    assert kept.is_symlink()
    assert not (tmp_path / "elsewhere").exists()
    (tmp_path / "file").write_bytes(b"")
    assert write(one, tmp_path / "file") == (
        2,
        f"tlsdissect: --to {tmp_path / 'file'}: this is not a folder (see tlsdissect {one.words[0]} --help)\n",
    )


@pytest.mark.parametrize("comes", ["file", "link", "dangling"])
def test_what_comes_while_a_new_file_is_written_stays(comes: str, tmp_path: Path) -> None:
    path, other = tmp_path / "new", tmp_path / "other"
    comings = {
        "file": lambda: path.write_bytes(b"theirs"),
        "link": lambda: path.symlink_to(other),
        "dangling": lambda: path.symlink_to(tmp_path / "nowhere"),
    }
    other.write_bytes(b"theirs")
    with pytest.raises(NotWrittenError, match="File exists"), sink.whole_file(str(path), new=True) as file:
        file.write(b"ours" if comings[comes]() is None else b"our")
    assert other.read_bytes() == b"theirs"
    assert {one.name for one in tmp_path.iterdir()} == {"new", "other"}
    assert path.is_symlink() or path.read_bytes() == b"theirs"


def test_files_of_a_rotation_are_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their names can be foreseen by who may write in the folder; the one file of -w is what the user named."""
    monkeypatch.setattr("time.gmtime", lambda: (2026, 1, 31, 12, 0, 0, 5, 31, 0))
    planted = tmp_path / "a_00001_20260131T120000Z.pcapng"
    planted.symlink_to(tmp_path / "elsewhere")
    saver = Saver(Saved(str(tmp_path / "a.pcapng"), "lo", 1, "tcp", Rotation(size=1)), lambda: Drops(0, 0))
    with pytest.raises(FileExistsError):
        saver.start()
    saver.close()
    assert [*tmp_path.iterdir()] == [planted]
    (tmp_path / "one.pcapng").symlink_to(tmp_path / "named")
    saver = Saver(Saved(str(tmp_path / "one.pcapng"), "lo", 1, "tcp"), lambda: Drops(0, 0))
    saver.start()
    saver.close()
    assert (tmp_path / "named").stat().st_size > 0


OPENED: list[tuple[str, int]] | None = None
"""What is opened for writing, with its flags, while somebody wants to know."""


def _hear(event: str, details: tuple[Any, ...]) -> None:
    if OPENED is not None and event == "open" and details[2] & (os.O_WRONLY | os.O_RDWR):
        OPENED.append((os.fsdecode(details[0]) if isinstance(details[0], str | bytes) else "", details[2]))


@pytest.mark.parametrize("one", PLACED.values(), ids=lambda one: " ".join((one.words[0], one.place[0])))
def test_only_new_files_beside_the_result_are_opened(one: Try, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a name that did not exist, and no link followed; or without a name, in a folder (O_TMPFILE of open(2))."""
    global OPENED  # noqa: PLW0603  # an audit hook stays for good
    write(one, tmp_path / f"first-{named(one)}")  # what libraries keep for the next time
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "to").mkdir()
    OPENED = []
    try:
        assert write(one, tmp_path / "to" / named(one)) == (0, "")
    finally:
        opened, OPENED = OPENED, None
    ours = [(Path(path), flags) for path, flags in opened if path and path != os.devnull and not Path(path).is_dir()]
    folder = tmp_path / "to" if one.place[0] == "-o" else tmp_path / "to" / named(one)
    assert {path.parent for path, _ in ours} == {folder}
    assert all(path.name.startswith(".") and path.suffix == ".part" for path, _ in ours)
    assert all(flags & os.O_EXCL and flags & os.O_NOFOLLOW for _, flags in ours)


sys.addaudithook(_hear)
