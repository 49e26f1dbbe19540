"""A guard: from now on, whatever reaches for the network or starts a program ends this process."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

STATUS = 99
"""The exit status of a process in which Python code did; one in which a library did is killed by SIGSYS."""
_EVENTS = ("socket.", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.startfile", "pty.spawn")
_AF_UNIX = 1
"""Of pairs of sockets, over which the workers of --jobs talk."""
_SYSCALLS = {"x86_64": (41, 59, 322), "aarch64": (198, 221, 281)}
"""Numbers of socket(2), execve(2) and execveat(2)."""
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2


def guard() -> None:
    """Guard this process and those that it forks: what Python says that it does, and what the kernel is asked for."""
    sys.addaudithook(_refuse)
    if platform.machine() in _SYSCALLS:
        _filter(*_SYSCALLS[platform.machine()])


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event.startswith(_EVENTS) and not (event == "socket.__new__" and arguments[1] == _AF_UNIX):
        os.write(2, f"{event} {arguments}\n".encode())
        os._exit(STATUS)


def _filter(socket: int, *forbidden: int) -> None:
    """Let the kernel kill the process at system calls, by a filter for seccomp(2)."""
    program = [
        (_LOAD, 0, 0, 0),
        *[(_EQUAL, len(forbidden) + 2 - at, 0, number) for at, number in enumerate(forbidden)],
        (_EQUAL, 0, 3, socket),
        (_LOAD, 0, 0, 16),
        (_EQUAL, 1, 0, _AF_UNIX),
        (_RETURN, 0, 0, _KILL),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(_PR_SET_SECCOMP, _FILTER, header, 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")
