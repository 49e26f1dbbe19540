"""Runs `tlsdissect` as a fork of a process that has already imported it: starting Python takes most of a short run.

`program` starts that process and returns the path of the command. It is a command like any other for whoever runs it:
arguments, environment, working directory and standard files are its own, and signals aside it ends as the command ends.
"""

from __future__ import annotations

import atexit
import gc
import marshal
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from tempfile import TemporaryDirectory
from typing import NoReturn

import tlsdissect
from tlsdissect.cli import main

CLIENT = """
import marshal, os, struct, sys
from _socket import AF_UNIX, SCM_RIGHTS, SHUT_WR, SOL_SOCKET, socket
server = socket(AF_UNIX)
server.connect(sys.argv[1])
standard = [(SOL_SOCKET, SCM_RIGHTS, struct.pack("3i", 0, 1, 2))]
server.sendmsg([marshal.dumps((sys.argv[2:], os.getcwd(), dict(os.environ)))], standard)
server.shutdown(SHUT_WR)
status = int(server.recv(9) or 70)
if status < 0:
    os.kill(os.getpid(), -status)
os._exit(status)
"""
"""What hands itself over to the process that forks; without `site` and `socket`, it takes as long as nothing at all."""
MOST = 1 << 20
"""Bytes of arguments and environment that are received at once."""


@cache
def program() -> Path:
    """Return the path of a command `tlsdissect`, for as long as this process is there."""
    folder = TemporaryDirectory()
    place = Path(folder.name)
    client, command, address = place / "client.py", place / "tlsdissect", place / "socket"
    client.write_text(CLIENT)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{client}" "{address}" "$@"\n')
    command.chmod(0o755)
    server = subprocess.Popen([sys.executable, __file__, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdout.readline()

    def end() -> None:
        server.communicate()
        folder.cleanup()

    atexit.register(end)
    return command


def load() -> None:
    """Import what the commands import."""
    for module in walk_packages(tlsdissect.__path__, "tlsdissect."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    gc.freeze()


def serve(address: str) -> None:
    """Read commands from standard input until it ends; fork a process for each."""
    load()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        print(flush=True)  # noqa: T201 (for who waits)
        while listening in select.select([0, listening], [], [])[0]:
            connection, _ = listening.accept()
            with connection:
                if os.fork() == 0:
                    answer(connection)
                    # Python would look at all that is imported.
                    os._exit(0)
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def answer(connection: socket.socket) -> None:
    """Run a command in a fork of this one, and say how it ended; whoever goes away before ends it."""
    given, standard, _, _ = socket.recv_fds(connection, MOST, 3)
    while more := connection.recv(MOST):
        given += more
    command = os.fork()
    if command == 0:
        connection.close()
        be_command(standard, *marshal.loads(given))  # noqa: S302 (our own)
    for file in standard:
        os.close(file)
    waiting = select.poll()
    waiting.register(connection, 0)
    waiting.register(os.pidfd_open(command), select.POLLIN)
    if connection.fileno() in dict(waiting.poll()):
        os.kill(command, signal.SIGTERM)
    else:
        _, status = os.waitpid(command, 0)
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())


def be_command(standard: list[int], words: list[str], folder: str, environment: dict[str, str]) -> NoReturn:
    """Run a command, and end."""
    status = 1
    try:
        for number, file in enumerate(standard):
            os.dup2(file, number)
            os.close(file)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.argv = ["tlsdissect", *words]
        status = main()
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 (as the interpreter does at its end)
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1])
