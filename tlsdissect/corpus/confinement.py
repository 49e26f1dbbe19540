"""Restricts what a process may do while it parses captures, which anybody may have written.

A process that reads captures needs little of the system. So it gives up the rest before it opens the first file that it
was given: root, by becoming `nobody` with the one capability to read any file; all files but what it was given, the
code of Python and temporary files, by Landlock (landlock(7)); and networks, other programs and other processes, by
Landlock and a filter of system calls (seccomp(2)). None of this can be undone, so only processes of our own call
`confine`: those of commands and their workers, never the process of somebody who imports this package.

This module makes the system calls itself, because the packages for it on PyPI need libseccomp, or support only
Landlock's rules for files. What the kernel does not support is left out; TLSDISSECT_CONFINE=0 leaves out everything,
for debuggers and tracers.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import stat
import struct
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SWITCH = "TLSDISSECT_CONFINE"
"""The variable of the environment that turns confinement off."""
FEW = 1000
"""Files that are allowed one by one; if there are more, their folders are allowed instead."""

_KEEP_PERMITTED, _SECCOMP, _NO_NEW_PRIVILEGES = 8, 22, 38
"""Operations of prctl(2)."""
_CAPABILITY_VERSION = 0x20080522
_READ_EVERYTHING = 1 << 2
"""CAP_DAC_READ_SEARCH: captures and code may be readable by root only."""
_WRITE_EVERYTHING = 1 << 1
"""CAP_DAC_OVERRIDE: root needs it for files of others."""
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""Landlock's system calls, which have these numbers on all machines."""
_VERSION = 1
_PATH_BENEATH = 1
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_READ = _READ_FILE | _READ_FOLDER
_WRITE = _READ | 1 << 1 | 1 << 5 | 1 << 8 | 1 << 14
"""Reading, writing, removing and making regular files, and truncating them."""
_TEMPORARY = _WRITE | 1 << 4 | 1 << 7
"""Also making folders and removing them."""
_OF_FILES = _READ_FILE | 1 << 1 | 1 << 14
_FILES = {1: 13, 2: 14, 3: 15, 5: 16}
"""The rights about files that exist since a version of Landlock: the first so many bits."""
_NETWORK_SINCE, _BIND_OR_CONNECT = 4, 0b11
_SCOPES_SINCE, _SCOPES = 6, 0b11
"""Abstract sockets and signals of other processes."""
_LIBRARIES = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/usr/share/zoneinfo",
    "/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf", "/etc/crypto-policies",
)  # fmt: skip
"""Shared libraries, which Python's modules may load late, with their settings and data."""
_RESOURCES = (
    "/proc/self/statm", "/proc/self/cgroup", "/sys/fs/cgroup", "/proc/meminfo", "/proc/sys/vm/overcommit_memory",
    "/sys/kernel/mm/transparent_hugepage", "/proc/stat", "/sys/devices/system/cpu",
)  # fmt: skip
"""How much memory this process has and may have, and how many cores there are, which libraries look for."""
_INSTALLED = ("/site-packages", "/dist-packages", "/lib-dynload")
"""The ends of paths of folders of Python's modules, besides those of the standard library and of this package."""

_FILTER = 2
"""The mode of seccomp(2) that takes a program."""
_DENIED = {
    # socket, connect, execve, execveat, ptrace, process_vm_readv, process_vm_writev, io_uring_setup
    "x86_64": (0xC000003E, (41, 42, 59, 322, 101, 310, 311, 425)),
    "aarch64": (0xC00000B7, (198, 203, 221, 281, 117, 270, 271, 425)),
}
"""By machine: its audit architecture, and system calls that fail: networks, programs, and memory of other processes."""
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001
"""Allow, and fail with EPERM."""
_OTHER_NUMBERS = 0x40000000
"""The first system call of the x32 ABI, which has other numbers."""


def confine(read: Iterable[str], written: Iterable[str] = (), *, stays: bool = False) -> None:
    """Give up what this process does not need to parse captures; on a system that lacks something, the rest.

    It goes on to read these files and folders, and to make files in folders that are `written` or to write to what else
    is. Whoever has to make files that belong to root, or was told to stay who they are (`stays`), stays root, without
    the rest of root's privileges; also if nobody else may make temporary files.
    """
    if os.environ.get(SWITCH) == "0":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    places = set(written)
    rules = [(_READ, number) for number in _opened((*_few(read), *_modules(), *_LIBRARIES, *_RESOURCES))]
    rules += [(_WRITE, number) for number in _opened((*places, os.devnull))]
    temporary = _temporary_folder()
    rules += [(_TEMPORARY, number) for number in _opened(temporary)]
    if os.geteuid() == 0:
        if places or stays or not all(os.stat(path).st_mode & stat.S_IWOTH for path in temporary):  # noqa: PTH116
            _keep_capabilities(libc, _READ_EVERYTHING | _WRITE_EVERYTHING)
        else:
            _become_nobody(libc)
    _restrict_files(libc, rules)
    _filter_calls(libc)


def _become_nobody(libc: ctypes.CDLL) -> None:
    """Give up root except for the right to read; where that is impossible, give up root's other privileges."""
    with contextlib.suppress(KeyError, OSError):
        one = pwd.getpwnam("nobody")
        libc.prctl(_KEEP_PERMITTED, 1, 0, 0, 0)
        os.setgroups([])
        os.setresgid(one.pw_gid, one.pw_gid, one.pw_gid)
        os.setresuid(one.pw_uid, one.pw_uid, one.pw_uid)
    _keep_capabilities(libc, _READ_EVERYTHING)


def _keep_capabilities(libc: ctypes.CDLL, kept: int) -> None:
    """Give up all capabilities of this thread but these (capset(2))."""
    head = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    libc.capset(head, struct.pack("6I", kept, kept, 0, 0, 0, 0))


def _few(read: Iterable[str]) -> set[str]:
    """Return these files, or their folders if there are many, because each rule takes memory of the kernel."""
    paths = set(read)
    if len(paths) <= FEW:
        return paths
    return {os.path.dirname(os.path.realpath(path)) for path in paths}  # noqa: PTH120 (text here)


def _modules() -> set[str]:
    """Return the folders from which Python imports, except one that is there because the process was started in it."""
    named = {os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep)}  # noqa: PTH100
    installed = {path for path in sys.path if path.endswith(_INSTALLED)}
    return {str(Path(__file__).parents[1]), str(Path(os.__file__).parent), *installed} | named - {os.getcwd()}  # noqa: PTH109


def _temporary_folder() -> tuple[str, ...]:
    try:
        return (tempfile.gettempdir(),)
    except OSError:
        return ()


def _opened(paths: Iterable[str]) -> Iterable[int]:
    """Open what exists of these paths, without access to their content."""
    for path in paths:
        with contextlib.suppress(OSError):
            yield os.open(path, os.O_PATH | os.O_CLOEXEC)


def landlock_version(libc: ctypes.CDLL) -> int:
    """Return the version of Landlock; 0 if the kernel has none or it is off."""
    return max(0, int(libc.syscall(_CREATE_RULESET, None, 0, _VERSION)))


def _restrict_files(libc: ctypes.CDLL, rules: list[tuple[int, int]]) -> None:
    """Allow access with these rights to these files and what is below these folders, and close them."""
    version = landlock_version(libc)
    handled = (1 << max((bits for since, bits in _FILES.items() if since <= version), default=0)) - 1
    if version:
        network = _BIND_OR_CONNECT if version >= _NETWORK_SINCE else 0
        scopes = _SCOPES if version >= _SCOPES_SINCE else 0
        refused = struct.pack("QQQ", handled, network, scopes)
        # A kernel refuses a structure that is longer than its own, unless the rest is 0: older ones have a part of it.
        size = 24 if scopes else 16 if network else 8
        ruleset = libc.syscall(_CREATE_RULESET, refused, ctypes.c_size_t(size), 0)
        if ruleset >= 0:
            for rights, number in rules:
                _allow(libc, ruleset, number, rights & handled)
            libc.syscall(_RESTRICT_SELF, ruleset, 0)
            os.close(ruleset)
    for _, number in rules:
        os.close(number)


def _allow(libc: ctypes.CDLL, ruleset: int, number: int, rights: int) -> None:
    """Add a rule; a file that is no folder has fewer rights."""
    for asked in (rights, rights & _OF_FILES):
        if libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", asked, number), 0) == 0:
            return


def _filter_calls(libc: ctypes.CDLL) -> None:
    """Let system calls fail that parsing does not make, on machines whose numbers of them are known."""
    if os.uname().machine not in _DENIED or sys.maxsize < 1 << 32:
        return
    architecture, denied = _DENIED[os.uname().machine]
    # Each step: what to do, how many steps to skip if it is so and if it is not, with what. The last two are the ends.
    checks = [(_AT_LEAST, _OTHER_NUMBERS), *((_EQUAL, number) for number in denied)]
    steps = [(_LOAD, 0, 0, 4), (_EQUAL, 0, len(checks) + 2, architecture), (_LOAD, 0, 0, 0)]
    steps += [(kind, len(checks) - at, 0, number) for at, (kind, number) in enumerate(checks)]
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    filters = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(program))
    libc.prctl(_SECCOMP, _FILTER, filters, 0, 0)
