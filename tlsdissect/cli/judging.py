"""Options of commands that look for findings; what they need is loaded only when one of them is given."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.trust.judge import Judge
    from tlsdissect.trust.verdicts import Settings

LEVELS = ("info", "low", "medium", "high")
_GIVEN = ("ca_files", "ca_paths", "system_ca", "crl_files", "at")


class Time(click.ParamType[str]):
    """A time by RFC 3339, or a date; without a zone, in UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Write it as captures' times are written."""
        try:
            told = datetime.fromisoformat(value)
            told = told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time: 2026-01-31, 2026-01-31T12:00:00Z", param, ctx)
        return told.isoformat(timespec="seconds").replace("+00:00", "Z")


_OPTIONS = (
    click.option(
        "--min-severity",
        type=click.Choice(LEVELS),
        help="Look for findings, and tell those that are at least so grave.",
    ),
    click.option(
        "--fail-on", type=click.Choice(LEVELS), help="Look for findings; exit status 3 if one is at least so grave."
    ),
    click.option(
        "--ca-file", "ca_files", multiple=True, metavar="FILE", help="Trust the certificates in FILE, PEM or DER."
    ),
    click.option("--ca-path", "ca_paths", multiple=True, metavar="DIR", help="Trust the certificates in DIR's files."),
    click.option("--system-ca", is_flag=True, help="Trust the authorities that OpenSSL trusts on this system."),
    click.option(
        "--crl", "crl_files", multiple=True, metavar="FILE", help="Hold certificates against the CRLs in FILE."
    ),
    click.option("--at", type=Time(), metavar="TIME", help="Judge as of TIME, and not as of the capture's."),
)


def judged(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; `judge` makes one value of theirs."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def judge(options: dict[str, Any]) -> Judge | None:
    """Take what a judge goes by out of a command's options; None where no finding is asked for."""
    asked = any(options[name] for name in (*_GIVEN, "min_severity", "fail_on"))
    made = certain(options) if asked else None
    for name in (*_GIVEN, "min_severity"):
        options.pop(name, None)
    return made


def certain(options: dict[str, Any]) -> Judge:
    """Take what a judge goes by out of the options of a command that always has one."""
    given = {name: options.pop(name) for name in _GIVEN}
    least, gate = options.pop("min_severity"), options["fail_on"]
    if least and gate and LEVELS.index(gate) < LEVELS.index(least):
        raise click.UsageError(f"--fail-on {gate}: --min-severity {least} leaves that out")
    from tlsdissect.trust.judge import Judge  # noqa: PLC0415 (start-up time)

    return Judge(_settings(**given), least=least or "info")


def gate(fail_on: str | None) -> frozenset[str]:
    """Tell the severities that fail a run."""
    return frozenset() if fail_on is None else frozenset(LEVELS[LEVELS.index(fail_on) :])


def _settings(
    ca_files: tuple[str, ...], ca_paths: tuple[str, ...], system_ca: bool, crl_files: tuple[str, ...], at: str | None
) -> Settings:
    from tlsdissect.trust import anchors  # noqa: PLC0415 (start-up time)
    from tlsdissect.trust.revocation import Crl, CrlError  # noqa: PLC0415
    from tlsdissect.trust.verdicts import Settings  # noqa: PLC0415

    try:
        trusted = [one for path in ca_files for one in anchors.certificates(path)]
        trusted += [one for path in ca_paths for one in anchors.folder(path)]
        trusted += anchors.system() if system_ca else ()
        lists = [Crl(encoding, path) for path in crl_files for encoding in anchors.lists(path)]
    except (anchors.AnchorError, CrlError) as error:
        raise click.UsageError(str(error)) from None
    return Settings(anchors=tuple(trusted), lists=tuple(lists), at=at)
