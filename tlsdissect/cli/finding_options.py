"""Options of commands that report findings; the judge is imported only if one of them is given."""

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
        """Normalize it to UTC, in the format of the captures' times."""
        try:
            time = datetime.fromisoformat(value)
            time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time such as 2026-01-31 or 2026-01-31T12:00:00Z", param, ctx)
        return time.isoformat(timespec="seconds").replace("+00:00", "Z")


_OPTIONS = (
    click.option(
        "--min-severity",
        type=click.Choice(LEVELS),
        help="Report findings of this severity or higher.",
    ),
    click.option(
        "--fail-on",
        type=click.Choice(LEVELS),
        help="Exit with status 3 if there is a finding of this severity or higher.",
    ),
    click.option(
        "--ca-file", "ca_files", multiple=True, metavar="FILE", help="Trust the certificates in FILE, PEM or DER."
    ),
    click.option("--ca-path", "ca_paths", multiple=True, metavar="DIR", help="Trust the certificates in DIR."),
    click.option("--system-ca", is_flag=True, help="Trust OpenSSL's default authorities on this system."),
    click.option(
        "--crl", "crl_files", multiple=True, metavar="FILE", help="Check certificates against the CRLs in FILE."
    ),
    click.option("--at", type=Time(), metavar="TIME", help="Check as of TIME instead of the capture's time."),
)


def finding_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; `judge` turns them into a Judge."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def judge(options: dict[str, Any]) -> Judge | None:
    """Remove these options from a command's and make a Judge of them; None if none was given."""
    asked = any(options[name] for name in (*_GIVEN, "min_severity", "fail_on"))
    made = required_judge(options) if asked else None
    for name in (*_GIVEN, "min_severity"):
        options.pop(name, None)
    return made


def required_judge(options: dict[str, Any]) -> Judge:
    """Remove these options from a command's and make a Judge of them, for a command that always reports findings."""
    given = {name: options.pop(name) for name in _GIVEN}
    least, gate = options.pop("min_severity"), options["fail_on"]
    if least and gate and LEVELS.index(gate) < LEVELS.index(least):
        raise click.UsageError(f"--fail-on {gate}: --min-severity {least} excludes that severity")
    from tlsdissect.trust.judge import Judge  # noqa: PLC0415 (start-up time)

    return Judge(_settings(**given), min_severity=least or "info")


def gate(fail_on: str | None) -> frozenset[str]:
    """Return the severities that fail a run."""
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
