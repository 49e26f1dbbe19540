"""Options that several commands share, with the same name in each, and their help.

Help lists the options in groups; --help-all adds the limits, which few runs need.
"""

from __future__ import annotations

import math
import os
import stat
import sys
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import click
from click.core import ParameterSource

from tlsdissect.cli import completion
from tlsdissect.cli.confining import confined
from tlsdissect.cli.exit_status import warn
from tlsdissect.corpus.dataset import DatasetError, are_datasets, check_options
from tlsdissect.corpus.query import Query
from tlsdissect.corpus.reading import check_time, make_judge
from tlsdissect.corpus.selection import (
    VERSIONS,
    Selection,
    Stream,
    TimeBound,
    expression,
    finding_code,
    network,
)
from tlsdissect.flows.limits import LEAST, MOST, Limits
from tlsdissect.handshake.key_logs import KeyLog
from tlsdissect.handshake.options import Options
from tlsdissect.model.connection import OUTCOMES, SEVERITIES, at_least

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from click.shell_completion import CompletionItem

    from tlsdissect.corpus.query import View
    from tlsdissect.handshake.facts.evidence import Evidence
    from tlsdissect.trust.judge import Judge
    from tlsdissect.views.findings.results import Result as Found

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


_VERDICTS = ("ca_files", "ca_paths", "system_ca", "crl_files", "at")
PIPED = 120
"""Width of a table in a file or a pipe, unless COLUMNS sets it."""
MOST_COLUMNS = 100_000
"""Columns that COLUMNS may ask for."""
_HELP_ALL = "tlsdissect.help_all"
"""Key of the context's `meta` that is set while --help-all prints."""
_GROUPS = {
    "Capture": ("joined", "interface", "expression", "listing", "duration", "count", "save", "rotation", "user"),
    "Selection of connections": (*Selection.__struct_fields__, "ends_within", "message", "tells_matches"),
    "Keys": ("keylogs",),
    "Output": (
        "columns", "orders", "top", "form", "output", "folder", "filtering", "vocabulary", "by", "whole", "emit",
        "idle", "raw_fingerprints", "dumped", "listed", "verbose", "stats", "detailed", "depth", "dark", "color",
        "quiet",
    ),
    "Findings": ("findings", "fail_on", "ca_files", "ca_paths", "system_ca", "crl_files", "at"),
    "Workers": ("scheduler", "jobs", "memory"),
    "Limits": (*Limits.__struct_fields__, "sql_bytes"),
}  # fmt: skip
"""Names of the parameters in each group; options in none of them come last, under "Other"."""


class Parsed(click.ParamType[Any]):
    """A value that a function reads, or refuses with a ValueError that says why."""

    def __init__(self, name: str, parse: Callable[[str], Any], suggest: completion.Suggest | None = None) -> None:
        self.name = name
        self._parse = parse
        self._suggest = suggest

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002 (click's signature)
        """Suggest values."""
        return [] if self._suggest is None else completion.items(self._suggest, ctx, incomplete)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the value."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Seconds(click.FloatRange):
    """A duration. NaN is refused here, because it passes the comparisons of FloatRange."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Refuse NaN."""
        given: float = super().convert(value, param, ctx)
        if math.isnan(given):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return given


_NUMBERS: tuple[Decorator, ...] = (
    click.option(
        "--stream",
        type=Parsed("stream", Stream.parse, completion.streams),
        multiple=True,
        metavar="[SOURCE:]N",
        help="Only the connection with this stream number of Wireshark (tcp.stream, or udp.stream for QUIC and DTLS). "
        "With SOURCE, only in that capture; tcp:N, udp:N and eap:N select one kind of stream.",
    ),
    click.option(
        "-p", "--port", type=click.IntRange(0, 65_535), multiple=True, metavar="N", help="From or to this port."
    ),
)


def _network_option(name: str, text: str) -> Decorator:
    return click.option(name, type=Parsed("network", network), multiple=True, metavar="NET", help=text)


_CRITERIA: tuple[Decorator, ...] = (
    _network_option("--ip", "From or to this address or network, for example 192.0.2.0/24."),
    _network_option("--client", "From this client, an address or a network."),
    _network_option("--server", "To this server, an address or a network."),
    click.option(
        "--sni",
        multiple=True,
        metavar="GLOB",
        help="With a server name that matches this pattern, for example '*.example.com'; '' for a ClientHello without "
        "SNI.",
    ),
    click.option(
        "--tls",
        type=click.Choice(VERSIONS),
        multiple=True,
        help="That negotiated this version of TLS or DTLS; 'older' is any version before TLS 1.2.",
    ),
    click.option(
        "--offers",
        type=click.Choice(VERSIONS),
        multiple=True,
        help="From a client whose highest offered version is this; older: any version before TLS 1.2.",
    ),
    click.option("--failed", is_flag=True, help="With a handshake that failed: alert, reset, closed or no_answer."),
    click.option(
        "--outcome", type=click.Choice(OUTCOMES), multiple=True, help="With a handshake that ended in this way."
    ),
    click.option(
        "--since",
        type=Parsed("time", TimeBound.parse),
        metavar="TIME",
        help="That began at TIME (2026-01-31T12:00:00Z) or later; 5m is five minutes after the capture's first packet.",
    ),
    click.option(
        "--until",
        type=Parsed("time", TimeBound.parse),
        metavar="TIME",
        help="That began before TIME, in the format of --since.",
    ),
    click.option(
        "--where",
        type=Parsed("expression", expression),
        metavar="EXPR",
        help="Matching this CEL expression over the keys of the JSON output (`tlsdissect schema` lists them), for "
        "example 'timing.handshake_ms > 200 && sni.endsWith(\".example\")'.",
    ),
)
_BY_FINDING: tuple[Decorator, ...] = (
    click.option(
        "--finding",
        type=Parsed("code", finding_code, completion.findings),
        multiple=True,
        metavar="CODE",
        help="With this finding, for example expired or name_mismatch.",
    ),
    click.option(
        "--min-severity",
        type=click.Choice(SEVERITIES),
        help="With a finding of this severity or higher; less severe ones are not shown.",
    ),
)
_KEYLOG: Decorator = click.option(
    "--keylog",
    "keylogs",
    type=completion.FILE,
    multiple=True,
    metavar="FILE",
    help="Decrypt handshakes with the secrets in FILE, a key log as written under SSLKEYLOGFILE.",
)
_DISPLAY: tuple[Decorator, ...] = (
    click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="Colour the output; auto: on a terminal, unless NO_COLOR is set.",
    ),
    click.option("-q", "--quiet", is_flag=True, help="Print nothing but the result, errors and warnings."),
    click.option("--debug", is_flag=True, help="Show the traceback of an internal error."),
)
_FINDINGS: tuple[Decorator, ...] = (
    click.option("--findings", is_flag=True, help="Report findings; implied by every other option about findings."),
    click.option(
        "--fail-on",
        type=click.Choice(SEVERITIES),
        help="Exit with status 3 if there is a finding of this severity or higher.",
    ),
    click.option(
        "--ca-file",
        "ca_files",
        type=completion.FILE,
        multiple=True,
        metavar="FILE",
        help="Trust the certificates in FILE, PEM or DER.",
    ),
    click.option(
        "--ca-path",
        "ca_paths",
        type=completion.FOLDER,
        multiple=True,
        metavar="DIR",
        help="Trust the certificates in DIR.",
    ),
    click.option("--system-ca", is_flag=True, help="Trust OpenSSL's default authorities on this system."),
    click.option(
        "--crl",
        "crl_files",
        type=completion.FILE,
        multiple=True,
        metavar="FILE",
        help="Check certificates against the CRLs in FILE.",
    ),
    click.option(
        "--at", type=Parsed("time", check_time), metavar="TIME", help="Check as of TIME instead of the capture's time."
    ),
)
_LIMITS = {
    "closed_after": "Seconds of capture time for which a closed connection still accepts packets.",
    "silent_after": "Seconds of capture time without a packet after which a connection ends.",
    "udp_silent_after": "Seconds of capture time without a datagram after which the connections of a UDP flow end.",
    "known": "TCP connections in the flow table.",
    "udp_known": "UDP flows in memory.",
    "followed": "Connections whose payload is reassembled.",
    "held_bytes": "Bytes buffered after a gap, per direction of a connection.",
    "message_bytes": "Bytes of handshake messages kept per connection.",
    "total_bytes": "Bytes buffered and kept for all connections of a process together.",
    "max_sessions": "Sessions and failed handshakes remembered to link later connections to.",
}
"""Help of each field of `Limits`."""


_EXIT_STATUS: Decorator = click.option(
    "--exit-status", "tells_matches", is_flag=True, help="Exit with status 1 if nothing is selected."
)


_CAPTURES: Decorator = click.argument("captures", type=completion.FILE, nargs=-1, required=True, metavar="CAPTURE...")


def capture_command(
    examples: str,
    *arguments: Decorator,
    captures: tuple[Decorator, ...] = (_CAPTURES,),
    exit_status: Decorator = _EXIT_STATUS,
    draws: bool = False,
) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command that reads selected connections of captures; `arguments` come before the captures.

    `query` builds a query from the options that all commands have. `exit_status` is the option --exit-status. The
    command runs confined; if it `draws`, it may read fonts.
    """
    joined = click.option(
        "--joined", is_flag=True, help="Read all captures as one, in the order of their first packets."
    )
    make = click.command(cls=GroupedCommand, epilog=examples)
    return lambda command: make(
        _added(
            confined(command, draws=draws),
            (*arguments, *captures, joined, *_NUMBERS, *_CRITERIA, *_BY_FINDING, exit_status, _KEYLOG, *_FINDINGS),
        )
    )


def live_selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select connections of a live capture, and those of findings."""
    return _added(command, (*_CRITERIA, *_BY_FINDING, *_FINDINGS))


def facts_selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select connections by their facts, and that for key logs."""
    return _added(command, (*_NUMBERS, *_CRITERIA, _KEYLOG))


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every run: limits with --help-all, colours, the summary, debugging."""
    limits = [_limit(name, getattr(Limits(), name), text) for name, text in _LIMITS.items()]
    return _added(command, (help_all, *limits, *_DISPLAY))


def keylog_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option for key logs; `keylog` reads them."""
    return _KEYLOG(command)


def emit_options(default: str) -> Decorator:
    """Add the options for when a connection is printed; `idle` reads them."""
    options = (
        click.option(
            "--emit",
            type=click.Choice(["decided", "over"]),
            default=default,
            show_default=True,
            help="When to print a connection: once its handshake is decided, or once the connection is over.",
        ),
        click.option(
            "--idle",
            type=Seconds(0),
            default=10.0,
            show_default=True,
            metavar="S",
            help="Seconds without a packet after which a handshake counts as decided.",
        ),
    )
    return lambda command: _added(command, options)


def jobs_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option for how many processes share the work."""
    text = "Processes to use; by default one per core for large captures."
    return click.option("--jobs", type=click.IntRange(1, 256), metavar="N", help=text)(command)


def result_options(*forms: str) -> Decorator:
    """Add the options for the format of a result, by default the first, and for its file; `result` reads them."""
    default = forms[0] if forms[0] == "text" else f"a {forms[0]}"
    options = (
        click.option(
            "--format",
            "form",
            type=click.Choice(forms),
            help=f"Output format; by default the suffix of -o FILE, or {default}.",
        ),
        click.option(
            "-o",
            "--output",
            type=completion.FILE,
            metavar="FILE",
            help="Write to FILE; its suffix selects the format, unless --format is given.",
        ),
    )
    return lambda command: _added(command, options)


FINDING_FORMS = ("sarif", "junit")
"""Formats of findings."""


def finding_writer(form: str, fail_on: str | None) -> Callable[[Iterable[tuple[str, list[Found]]]], Iterator[bytes]]:
    """Return the function that writes findings in one of FINDING_FORMS."""
    if form == "sarif":
        from tlsdissect.views.findings import sarif  # noqa: PLC0415 (not needed for other forms)

        return sarif.document
    from tlsdissect.views.findings import junit  # noqa: PLC0415 (not needed for other forms)

    return partial(junit.document, failing=gate(fail_on or "low"))


class Result(NamedTuple):
    """Where a result goes, and its format."""

    file: str | None
    """None for standard output."""
    form: str
    seen: bool
    """Whether the result is text for people on a terminal."""


def result(
    output: str | None, form: str | None, suffixes: Mapping[str, str], default: str, captures: tuple[str, ...] = ()
) -> Result:
    """Return the file of -o and the format: that of --format, or of the file's suffix, or the default.

    Refuses to overwrite one of the captures.
    """
    if output in (None, "-"):
        return Result(None, form or default, (form or default) == default and is_terminal(None))
    form = form or format_of(output, suffixes)
    refuse_to_overwrite(captures, output)
    return Result(output, form, seen=False)


def format_of(output: str, suffixes: Mapping[str, str], *, otherwise: str = "; give --format") -> str:
    """Return the format for a file's suffix; `otherwise` is the end of the error message."""
    suffix = os.path.splitext(output)[1].lower()  # noqa: PTH122 (paths are text here)
    if suffix not in suffixes:
        known = ", ".join(filter(None, suffixes))
        raise click.UsageError(f"-o {output}: unknown suffix (known: {known}){otherwise}")
    return suffixes[suffix]


def check_source_date_epoch() -> None:
    """Refuse an invalid SOURCE_DATE_EPOCH, which matplotlib would use for pictures."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        return
    try:
        datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError):
        raise click.UsageError(f"SOURCE_DATE_EPOCH={given!r}: this is not a number of seconds since 1970") from None


def refuse_to_overwrite(captures: tuple[str, ...], output: str) -> None:
    """Refuse to overwrite one of the captures."""
    for capture in captures:
        if os.path.exists(output) and os.path.exists(capture) and os.path.samefile(capture, output):  # noqa: PTH110, PTH121
            raise click.UsageError(f"-o {output}: this is one of the captures")


def is_terminal(file: str | None) -> bool:
    """Return whether this file, by default standard output, is a terminal."""
    if file is None:
        return sys.stdout.isatty()
    try:
        # Only character devices are opened: the other end of a named pipe would notice it.
        if not stat.S_ISCHR(os.stat(file).st_mode):  # noqa: PTH116 (paths are text here)
            return False
        number = os.open(file, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return os.isatty(number)
    finally:
        os.close(number)


class TextStyle(TypedDict):
    """The width in columns (None if it is not limited), whether to use colours, and the encoding."""

    width: int | None
    coloured: bool
    encoding: str


def text_style(color: str, *, seen: bool) -> TextStyle:
    """Return how to format text for this value of `--color`; `seen` if the output is a terminal."""
    if not seen:
        return {"width": None, "coloured": color == "always", "encoding": "utf-8"}
    import shutil  # noqa: PLC0415 (start-up time)

    capable = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    coloured = color == "always" or (color == "auto" and capable)
    return {"width": shutil.get_terminal_size().columns, "coloured": coloured, "encoding": sys.stdout.encoding}


def columns_of_surroundings() -> int | None:
    """Return the width that the environment variable COLUMNS asks for."""
    given = os.environ.get("COLUMNS", "")
    return int(given) if given.isdecimal() and 0 < int(given) <= MOST_COLUMNS else None


def limits(options: dict[str, Any]) -> Limits:
    """Return the limits among a command's options."""
    return Limits(**{name: options[name] for name in _LIMITS})


def idle(options: dict[str, Any]) -> float | None:
    """Return the idle seconds of `emit_options`, or None if connections are printed when over."""
    emit, seconds = options["emit"], options["idle"]
    if emit != "decided" and is_given("idle"):
        raise click.UsageError("--idle requires --emit decided")
    return seconds if emit == "decided" else None


def wants_findings(options: dict[str, Any]) -> bool:
    """Return whether one of a command's options asks for findings."""
    return any(options[name] for name in (*_VERDICTS, "findings", "fail_on")) or selection(options).needs_findings


def judge(options: dict[str, Any]) -> Judge | None:
    """Make a Judge of a command's options; None if no option asks for findings."""
    return required_judge(options) if wants_findings(options) else None


def required_judge(options: dict[str, Any]) -> Judge:
    """Make a Judge of a command's options, for a command that always reports findings."""
    least, gate = options["min_severity"], options["fail_on"]
    if least and gate and SEVERITIES.index(gate) < SEVERITIES.index(least):
        raise click.UsageError(f"--fail-on {gate}: --min-severity {least} excludes that severity")
    try:
        return make_judge(**{name: options[name] for name in _VERDICTS}, min_severity=least)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def gate(fail_on: str | None) -> frozenset[str]:
    """Return the severities that fail a run."""
    return frozenset() if fail_on is None else at_least(fail_on)


def is_given(name: str) -> bool:
    """Return whether the command line contains an option, so that its value is not the default."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def selection(options: dict[str, Any]) -> Selection:
    """Return the selection of a command's options."""
    return Selection(**{name: options[name] for name in Selection.__struct_fields__ if name in options})


def query(
    captures: tuple[str, ...],
    options: dict[str, Any],
    view: View,
    *,
    judge: Judge | None = None,
    evidence: Evidence | None = None,
    reports_findings: bool = True,
    raw_fingerprints: bool = False,
    joins_views: bool = False,
    **asked: Any,
) -> Query:
    """Make the query of a `capture_command`; `asked` are fields of Options."""
    chosen = selection(options)
    raw = raw_fingerprints or chosen.needs_raw_fingerprints
    logs, joined = keylog(options["keylogs"]), options["joined"]
    reading = Options(limits=limits(options), keylog=logs, joined=joined, raw_fingerprints=raw, **asked)
    if reads_datasets(captures):
        _check_for_dataset(reading)
    return Query(captures, reading, chosen, view, judge, evidence, reports_findings, joins_views=joins_views)


def reads_datasets(captures: tuple[str, ...]) -> bool:
    """Return whether datasets are read instead of captures; refuse a mixture of both."""
    try:
        return are_datasets(captures)
    except DatasetError as error:
        raise click.UsageError(str(error)) from None


def _check_for_dataset(reading: Options) -> None:
    """Refuse what a dataset cannot be asked for."""
    for name in _LIMITS:
        if is_given(name):
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(
                f"{option} cannot be used with a dataset: its captures were read earlier, with their own limits"
            )
    try:
        check_options(reading)
        from tlsdissect.corpus import documents  # noqa: F401, PLC0415 (an extra)
    except DatasetError as error:
        raise click.UsageError(str(error)) from None
    except ImportError:
        raise click.UsageError("a dataset needs pyarrow: pip install 'tlsdissect[parquet]'") from None


def keylog(paths: tuple[str, ...], *, follows: bool = False) -> KeyLog | None:
    """Read the files of --keylog; None without any. Print a warning for each with damaged lines."""
    if not paths:
        return None
    try:
        found = KeyLog(paths, follows=follows)
    except OSError as error:
        raise click.UsageError(f"--keylog {error.filename}: {error.strerror}") from None
    for warning in found.warnings:
        warn(warning)
    return found


def _added(command: Callable[..., Any], options: tuple[Decorator, ...]) -> Callable[..., Any]:
    # Each decorator adds its option before the others.
    for option in reversed(options):
        command = option(command)
    return command


def _limit(name: str, default: float, text: str) -> Decorator:
    kind = Seconds(0) if isinstance(default, float) else click.IntRange(LEAST[name], MOST)
    flag = f"--{name.replace('_', '-')}"
    return click.option(flag, name, type=kind, default=default, show_default=True, metavar="N", help=text)


class GroupedCommand(click.Command):
    """A command whose --help lists its options in groups, without the limits."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the groups; click calls this for --help."""
        left = {one.name or "": one for one in self.get_params(ctx) if isinstance(one, click.Option)}
        sections: dict[str, list[tuple[str, str]]] = {}
        for group, names in _GROUPS.items():
            options = [left.pop(name) for name in names if name in left]
            if group != "Limits" or ctx.meta.get(_HELP_ALL):
                sections[group] = _records(ctx, options)
        sections["Other"] = _records(ctx, list(left.values()))
        for group, records in sections.items():
            if records:
                with formatter.section(group):
                    formatter.write_dl(records)


def help_all(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --help-all, which prints the help with the limits."""
    return click.option(
        "--help-all",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_all,
        help="Show this message and the limit options.",
    )(command)


def _print_all(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[_HELP_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


def _records(ctx: click.Context, options: list[click.Option]) -> list[tuple[str, str]]:
    """Return the help of each option that is not hidden."""
    return [record for one in options if (record := one.get_help_record(ctx)) is not None]
