"""The right to listen, and giving it up as soon as it is not needed any more."""

from __future__ import annotations

import contextlib
import encodings
import os
import pkgutil
import pwd
import re
import sys
from importlib import import_module

import click

from tlsdissect import flows, tls, transcript

_NEEDED = (
    "listening needs CAP_NET_RAW: run it by sudo, or once, for this Python and all who may run it: "
    "sudo setcap cap_net_raw+ep {python}"
)
_NO_ID = 2**32 - 1
"""What stands for no user and no group (setresuid(2)): every number that names one is less."""


def missing() -> click.ClickException:
    """Say what to do without the right to listen."""
    return click.ClickException(_NEEDED.format(python=os.path.realpath(sys.executable)))


def successor(user: str | None) -> pwd.struct_passwd | None:
    """Find the user to become: the one of this name, or the one who called sudo; None: the process stays as it is.

    Raises UsageError where there is no such user, or where the environment does not say who called sudo: a process that
    cannot tell whom to become must not go on as root.
    """
    if user is not None:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(user)
        raise click.UsageError(f"--user {user!r}: there is no such user")
    if os.geteuid() != 0 or not {"SUDO_UID", "SUDO_GID"} & set(os.environ):
        return None
    called = _number("SUDO_UID")
    if "SUDO_GID" in os.environ:
        _number("SUDO_GID")
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(called)
    raise click.UsageError(f"SUDO_UID={called}: there is no such user; --user names one")


def give_up(one: pwd.struct_passwd) -> None:
    """Become a user; raises UsageError where that cannot be."""
    try:
        _load_all()
        os.initgroups(one.pw_name, one.pw_gid)
        os.setgid(one.pw_gid)
        os.setuid(one.pw_uid)
    except OSError as error:
        raise click.UsageError(f"this process cannot become {one.pw_name}: {error.strerror}") from None


def _number(variable: str) -> int:
    """Read the number of a user or a group out of the environment, as sudo writes it."""
    given = os.environ.get(variable)
    if given is None:
        raise click.UsageError(f"{variable} is not set, as sudo does; --user NAME says whom to become")
    if not re.fullmatch("[0-9]{1,10}", given) or int(given) >= _NO_ID:
        raise click.UsageError(f"{variable}={given!r}: this is no number of a user or a group, as sudo writes it")
    return int(given)


def _load_all() -> None:
    """Load what reading loads only when it meets it: a user's rights may not reach to where it lies."""
    for package in (encodings, tls, transcript, flows):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            # Some encodings are those of other systems.
            with contextlib.suppress(ImportError):
                import_module(module.name)
