"""The privilege to capture, and dropping it before the first packet is decoded."""

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

from tlsdissect import flows, handshake, model, tls, x509
from tlsdissect.handshake import facts

_NEEDED = (
    "capturing needs CAP_NET_RAW: run this command with sudo, or grant the capability once to this Python, for all "
    "users who may run it: sudo setcap cap_net_raw+ep {python}"
)
_NO_ID = 2**32 - 1
"""The number that means "no user or group" (setresuid(2)); every valid one is smaller."""


def missing_capability() -> click.ClickException:
    """Return an error that says how to get the privilege to capture."""
    return click.ClickException(_NEEDED.format(python=os.path.realpath(sys.executable)))


def target_user(user: str | None) -> pwd.struct_passwd | None:
    """Return the user to become: the one of this name, or the one who called sudo; None to stay as is.

    Raises UsageError if there is no such user, or if the environment does not name the caller of sudo: a process that
    cannot drop its privileges must not continue as root.
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


def become(one: pwd.struct_passwd) -> None:
    """Become a user; raises UsageError if that fails."""
    try:
        _load_all()
        os.initgroups(one.pw_name, one.pw_gid)
        os.setgid(one.pw_gid)
        os.setuid(one.pw_uid)
    except OSError as error:
        raise click.UsageError(f"this process cannot become {one.pw_name}: {error.strerror}") from None


def _number(variable: str) -> int:
    """Read the number of a user or group from an environment variable of sudo."""
    given = os.environ.get(variable)
    if given is None:
        raise click.UsageError(f"{variable} is not set, although sudo normally sets it; name the user with --user")
    if not re.fullmatch("[0-9]{1,10}", given) or int(given) >= _NO_ID:
        raise click.UsageError(f"{variable}={given!r}: this is not the number of a user or group")
    return int(given)


def _load_all() -> None:
    """Import what is otherwise imported on demand: the user may have no access to where it is installed."""
    for package in (encodings, tls, x509, model, handshake, facts, flows):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            # Some encodings exist on other systems only.
            with contextlib.suppress(ImportError):
                import_module(module.name)
