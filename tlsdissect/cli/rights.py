"""The right to listen, and giving it up as soon as it is not needed any more."""

from __future__ import annotations

import contextlib
import encodings
import os
import pkgutil
import pwd
import sys
from importlib import import_module

import click

from tlsdissect import streams, tls, transcript

_NEEDED = (
    "listening needs CAP_NET_RAW: run it by sudo, or once, for this Python and all who may run it: "
    "sudo setcap cap_net_raw+ep {python}"
)


def missing() -> click.ClickException:
    """Say what to do without the right to listen."""
    return click.ClickException(_NEEDED.format(python=os.path.realpath(sys.executable)))


def _load_all() -> None:
    """Load what reading loads only when it meets it: a user's rights may not reach to where it lies."""
    for package in (encodings, tls, transcript, streams):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            # Some encodings are those of other systems.
            with contextlib.suppress(ImportError):
                import_module(module.name)


def give_up(user: str | None) -> None:
    """Become a user: the one of this name, or the one who called sudo; raises UsageError where that cannot be."""
    called = os.environ.get("SUDO_UID", "")
    try:
        if user is not None:
            one = pwd.getpwnam(user)
        elif os.geteuid() == 0 and called.isdigit():
            one = pwd.getpwuid(int(called))
        else:
            return
        _load_all()
        os.initgroups(one.pw_name, one.pw_gid)
        os.setgid(one.pw_gid)
        os.setuid(one.pw_uid)
    except KeyError:
        raise click.UsageError(f"there is no user {user or called}") from None
    except OSError as error:
        raise click.UsageError(f"this process cannot become {user or called}: {error.strerror}") from None
