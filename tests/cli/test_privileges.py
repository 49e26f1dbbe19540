"""Whom `live` becomes before it looks at the first packet."""

from __future__ import annotations

import os
import pwd

import click
import pytest
from commands import run

from tlsdissect.cli import privileges

WRONG = [
    "",
    "abc",
    "-1",
    "+1",
    "65534 ",
    " 65534",
    "6_5",
    "0x1",
    "1.0",
    "\uff14\uff12",
    "\xb2",
    "4294967295",
    "4294967296",
    "9" * 40,
]
NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A process of root's, whoever runs the tests, that sudo did not start."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name in ("SUDO_UID", "SUDO_GID"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize("given", WRONG)
@pytest.mark.parametrize("variable", ["SUDO_UID", "SUDO_GID"])
def test_a_number_that_sudo_does_not_write(variable: str, given: str, root: pytest.MonkeyPatch) -> None:
    root.setenv("SUDO_UID", "0")
    root.setenv(variable, given)
    with pytest.raises(click.UsageError, match=f"{variable}="):
        privileges.target_user(None)


def test_a_group_without_a_user(root: pytest.MonkeyPatch) -> None:
    root.setenv("SUDO_GID", "0")
    with pytest.raises(click.UsageError, match="SUDO_UID is not set"):
        privileges.target_user(None)


def test_a_number_that_nobody_has(root: pytest.MonkeyPatch) -> None:
    root.setenv("SUDO_UID", "4294967294")
    with pytest.raises(click.UsageError, match="there is no such user"):
        privileges.target_user(None)


@pytest.mark.parametrize("name", ["", "0", "65534", "no-such-user", "\uff14\uff12", "\udcff"])
def test_a_name_that_nobody_has(name: str) -> None:
    with pytest.raises(click.UsageError, match="--user"):
        privileges.target_user(name)


def test_the_one_who_called_sudo(root: pytest.MonkeyPatch) -> None:
    assert privileges.target_user(None) is None
    root.setenv("SUDO_UID", str(NOBODY.pw_uid))
    assert privileges.target_user(None) == NOBODY
    root.setenv("SUDO_GID", str(NOBODY.pw_gid))
    assert privileges.target_user(None) == NOBODY
    assert privileges.target_user("root") == pwd.getpwuid(0)


def test_who_is_not_root_stays_who_they_are(root: pytest.MonkeyPatch) -> None:
    root.setattr(os, "geteuid", lambda: 1000)
    root.setenv("SUDO_UID", "abc")
    assert privileges.target_user(None) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
@pytest.mark.parametrize("given", ["abc", "-1", "65534 ", "\xb2"])
def test_the_command_refuses_before_it_opens_anything(given: str) -> None:
    done = run("live", "--interface", "no-such", SUDO_UID=given)
    assert done.returncode == 2
    assert done.stderr.startswith(b"tlsdissect: SUDO_UID=")
    assert done.stderr.count(b"\n") == 1
