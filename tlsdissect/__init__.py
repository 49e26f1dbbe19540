"""Passive TLS handshake analyzer for packet captures.

    import tlsdissect

    for connection in tlsdissect.read("capture.pcap"):
        print(connection.stream, connection.sni, connection.version, connection.round_trips)

What a `Connection` has is what `tlsdissect read --format json` prints; docs/connection.md says what each name means.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from typing import Unpack

    import pandas as pd
    from matplotlib.figure import Figure

    from tlsdissect.capture import CaptureError
    from tlsdissect.corpus.load_csv import load_csv
    from tlsdissect.corpus.reading import Paths, ReadOptions
    from tlsdissect.flows.limits import Limits
    from tlsdissect.listening import live
    from tlsdissect.model.connection import Connection
    from tlsdissect.views.certificates import Certificates
    from tlsdissect.views.comparison.builder import By
    from tlsdissect.views.comparison.notebook import Comparison
    from tlsdissect.views.dataframes import Tables
    from tlsdissect.views.diff.model import By as DiffBy
    from tlsdissect.views.diff.model import CaptureDiff
    from tlsdissect.views.explain import explain
    from tlsdissect.views.ladder import ladder
    from tlsdissect.views.summary import CaptureSummary
    from tlsdissect.views.tree import tree

    __version__: str

__all__ = [
    "CaptureError", "Connection", "Limits", "__version__",
    "cbom", "certs", "compare", "diff", "explain", "extract", "ladder", "live", "load_csv", "plot", "query", "read",
    "report", "summary", "tables", "tree",
]  # fmt: skip

_HOMES = {
    "CaptureError": "tlsdissect.capture",
    "Connection": "tlsdissect.model.connection",
    "Limits": "tlsdissect.flows.limits",
    "explain": "tlsdissect.views.explain",
    "ladder": "tlsdissect.views.ladder",
    "live": "tlsdissect.listening",
    "load_csv": "tlsdissect.corpus.load_csv",
    "tree": "tlsdissect.views.tree",
}
"""Where the public names are defined: loaded when they are first asked for, so that `import tlsdissect` is light."""


def read(
    *captures: str | os.PathLike[str], both_ends: bool = False, **options: Unpack[ReadOptions]
) -> Iterator[Connection]:
    """Read captures one after the other and yield their TLS connections, each when nothing about it can change.

    A capture is the path of a pcap or pcapng file (compressed ones too), of a directory of them, or "-" for standard
    input. Damage inside a capture does not end the reading: what could be read is yielded, and what the damage affects
    has a problem. An input that is missing or is not a capture raises CaptureError after the connections of the others
    have been yielded; arguments of a wrong type or value raise TypeError or ValueError at once.

        >>> for connection in tlsdissect.read("samples/tls13-full.pcap"):
        ...     print(connection.version, connection.cipher_suite, connection.group)
        TLS 1.3 TLS_AES_128_GCM_SHA256 x25519

    Options select connections, under the names and with the values of the command line: `stream`, `port`, `ip`,
    `client`, `server`, `sni`, `tls`, `offers`, `failed`, `outcome`, `since`, `until`, `finding`, `min_severity` and
    `where`, an expression in CEL over the keys of the JSON output.
    Of several values, given as a sequence, one must match; of several options, all.

        >>> for connection in tlsdissect.read("samples/paths-client.pcap.gz", where="round_trips > 2", sni="*.example"):
        ...     print(connection.outcome, connection.failed_by, [one.description for one in connection.alerts])

    Connections have `findings` with `findings=True`, with an option that selects by them, or if `ca_file`, `ca_path`,
    `system_ca`, `crl` or `at` says how certificates are checked.

    With `keep=True` each connection is a `KeptConnection`, whose `transcript` holds its packets and records: what looks
    inside a handshake needs it. `raw_fingerprints=True` adds JA3 and JA4 unhashed. `limits`, a `Limits`, says how much
    is kept of conversations, and for how long. `tlsdissect.pipeline.Reading` takes the same as
    `tlsdissect.handshake.options.Options`, raises nothing, and counts in its `summary` what was seen and not decoded.

    `keylog` names one or several files with the secrets of connections, which many programs write to the file in
    SSLKEYLOGFILE: what these secrets open is in `hidden`, and everything else is as without them. A file that cannot be
    read raises OSError.

    With `cluster`, the client of a Dask cluster (the extra `cluster`), its workers read, each a capture at a time:
    files and folders that they see too, or URLs of any kind that fsspec knows, such as "s3://bucket/day-*.pcap.gz".
    Connections, their links and findings are those of a run without one.

    With `both_ends=True` captures are those of several places on a path, and a connection that two of them show is
    yielded once: as a `KeptConnection`, the view that was captured nearer to the client, with the other as its
    `other_view`. `explain` and `ladder` use both. Captures are read twice: standard input and pipes raise ValueError.

        >>> ends = ("samples/ends-client.pcap.gz", "samples/ends-server.pcap.gz")
        >>> (connection,) = tlsdissect.read(*ends, both_ends=True, stream="ends-client.pcap.gz:2")
        >>> [sentence.text for sentence in tlsdissect.explain(connection).about("path")][1][:42]
        '241 bytes of the client were lost on the w'
    """
    from tlsdissect.corpus.reading import Settled  # noqa: PLC0415 (`import tlsdissect` is light)

    settled = Settled(captures, options)
    if both_ends and (options.get("joined") or options.get("cluster") is not None):
        raise ValueError("both_ends cannot be combined with joined or cluster")
    return settled.both_ends() if both_ends else settled.read()


def tables(*captures: str | os.PathLike[str], **options: Unpack[ReadOptions]) -> Tables:
    """Read captures into DataFrames, each an attribute that is made when it is first asked for.

    They are `connections`, `certificates`, `messages`, `extensions`, `alerts`, `findings` and `comparison`; nothing is
    read before one is asked for. `options` are those of `read`, which also says what is raised; `findings` is
    empty unless one of them asks for findings.

        >>> t = tlsdissect.tables("samples/tls12-full.pcap", "samples/tls13-full.pcap")
        >>> t.connections.groupby("version", observed=True)["round_trips"].mean().to_dict()
        {'TLS 1.2': 2.0, 'TLS 1.3': 1.0}
    """
    from tlsdissect.corpus.reading import Settled  # noqa: PLC0415 (`import tlsdissect` is light)
    from tlsdissect.views.dataframes import Tables  # noqa: PLC0415 (pandas takes half a second)

    # What is wrong with the arguments is said now; nothing is read before something is taken from it.
    return Tables(Settled(captures, options).read)


def compare(*captures: str | os.PathLike[str], by: By | None = None, **options: Unpack[ReadOptions]) -> Comparison:
    """Set TLS 1.2 beside TLS 1.3, over all connections of captures and, with `by`, over groups of them.

    `by` is "server", "sni", "client" or "capture"; `options` are those of `read`, which also says what is raised. A
    `Comparison` is text when it is printed and a table in a notebook; `numbers`, `summary` and `differences` are
    DataFrames, and `plot(kind)` draws its figures.

        >>> c = tlsdissect.compare("samples/tls12-full.pcap", "samples/tls13-full.pcap")
        >>> c.numbers.loc["mean_round_trips"].to_dict()
        {'TLS 1.2': 2.0, 'TLS 1.3': 1.0}
    """
    from tlsdissect.views.comparison.notebook import Comparison  # noqa: PLC0415 (pandas takes half a second)

    return Comparison(tables(*captures, **options), by)


def _refuse_cluster(function: str, options: ReadOptions) -> None:
    if options.get("cluster") is not None:
        raise ValueError(f"{function} cannot be combined with cluster")


def summary(*captures: str | os.PathLike[str], **options: Unpack[ReadOptions]) -> CaptureSummary:
    """Summarize captures: failures by reason, versions, what is old or weak, what was not TLS.

    The summary is text when it is printed; its attributes are the keys of `tlsdissect summary --format json`. Inputs
    that could not be read are among its `notes`. `options` are those of `read`, without `cluster`.

        >>> s = tlsdissect.summary("samples/tls12-unknown-ca.pcap", "samples/tls13-unknown-ca.pcap")
        >>> [(group.what, group.connections) for group in s.failures]
        [('alert unknown_ca by client', 2)]
    """
    from tlsdissect.corpus.reading import Settled  # noqa: PLC0415 (`import tlsdissect` is light)

    _refuse_cluster("summary", options)
    return Settled(captures, options).summarize()


def diff(before: Paths, after: Paths, *, by: DiffBy = "name", **options: Unpack[ReadOptions]) -> CaptureDiff:
    """Return what changed between two captures, folders, or lists of them: who fails now and why, and what else.

    `by` says how a server is recognized: by "name" and port, or by "address" and port. The result is text when it is
    printed; its attributes are the keys of `tlsdissect diff --format json`. `options` are those of `read`, without
    `cluster`; `read` also says what is raised.

        >>> upgrade = "samples/network/network-upgrade"
        >>> for one in tlsdissect.diff(f"{upgrade}-before.pcap", f"{upgrade}-after.pcap").broke:
        ...     print(one.client, one.after.failures[0].what)
        192.0.2.12 alert protocol_version by server
        192.0.2.11 alert unknown_ca by client
        192.0.2.13 alert handshake_failure by server
    """
    from tlsdissect.corpus.reading import Settled, paths  # noqa: PLC0415 (`import tlsdissect` is light)
    from tlsdissect.views.diff.builder import DiffBuilder  # noqa: PLC0415

    _refuse_cluster("diff", options)
    builder = DiffBuilder(by)
    sides = [Settled(tuple(paths(one)), options) for one in (before, after)]
    first, second = (
        side.pass_to(add) for side, add in zip(sides, (builder.add_before, builder.add_after), strict=True)
    )
    return builder.result(first, second)


def certs(
    *captures: str | os.PathLike[str], ends_within: int | None = None, **options: Unpack[ReadOptions]
) -> Certificates:
    """Return each certificate of captures once, with who sent it, its validity and its findings, as a list.

    In a notebook it is a table.
    `options` are those of `read`, without `cluster`, and `read` says what is raised. `finding` and `min_severity`
    select certificates, and so does `ends_within`: those that expire within this many days after they were last seen,
    or had already expired.

        >>> for one in tlsdissect.certs("samples/tls12-client-cert.pcap", finding="root_in_chain"):
        ...     print(one.not_after, one.days_left, [found.code for found in one.findings])
        2045-01-01T00:00:00Z 6613 ['email_address', 'root_in_chain']
    """
    from tlsdissect.corpus.reading import Settled  # noqa: PLC0415 (`import tlsdissect` is light)
    from tlsdissect.flows.limits import whole  # noqa: PLC0415

    if ends_within is not None:
        whole("ends_within", ends_within, 0)
    _refuse_cluster("certs", options)
    return Settled(captures, options).certificates(ends_within)


def query(
    sql: str, *captures: str | os.PathLike[str], sql_bytes: int = 512 << 20, **options: Unpack[ReadOptions]
) -> pd.DataFrame:
    """Run an SQL query, in DuckDB's dialect (the extra `query`), over the tables of captures.

    The tables are those of `tlsdissect query --tables`, with the rows of the connections that `options`, those of
    `read`, select. Findings are computed if the query names them. A query cannot access files or networks, and needs
    at most `sql_bytes` of memory, as DuckDB counts it; beyond it, rows move to a temporary file. ValueError says what
    is wrong with a query; `read` says what else is raised.

        >>> tlsdissect.query("SELECT version, count(*) AS n FROM connections GROUP BY 1", "samples/tls12-full.pcap")
           version  n
        0  TLS 1.2  1
    """
    from tlsdissect.corpus.reading import Settled  # noqa: PLC0415 (`import tlsdissect` is light)
    from tlsdissect.corpus.sql import Statement  # noqa: PLC0415 (an extra)
    from tlsdissect.flows.limits import whole  # noqa: PLC0415

    whole("sql_bytes", sql_bytes, 1)
    statement = Statement(sql)
    if statement.needs_findings:
        options["findings"] = True
    return Settled(captures, options).query(statement, sql_bytes)


def cbom(*captures: str | os.PathLike[str], **options: Unpack[ReadOptions]) -> bytes:
    """Return the inventory of `tlsdissect cbom`, a CBOM in CycloneDX, as JSON; it needs the extra `cbom`.

    `options` are those of `read`, which also says what is raised.

        >>> services = json.loads(tlsdissect.cbom("samples/tls12-full.pcap"))["services"]
        >>> [service["name"] for service in services]
        ['[::1]:8443']
    """
    from tlsdissect.corpus.reading import Settled  # noqa: PLC0415 (`import tlsdissect` is light)

    return Settled(captures, options).cbom()


def report(*captures: str | os.PathLike[str], detailed: int = 20_000, **options: Unpack[ReadOptions]) -> bytes:
    """Return the HTML page of `tlsdissect report` about captures, with the details of at most `detailed` connections.

    `options` are those of `read`, without `cluster`. Inputs that could not be read are named in the page.

        Path("report.html").write_bytes(tlsdissect.report("captures/", system_ca=True))
    """
    from tlsdissect.corpus.reading import Settled  # noqa: PLC0415 (`import tlsdissect` is light)

    _refuse_cluster("report", options)
    return Settled(captures, options).report(detailed)


def extract(*captures: str | os.PathLike[str], **options: Unpack[ReadOptions]) -> Iterator[bytes]:
    """Yield the packets of the selected connections as a pcapng file, piece by piece; nothing if none is selected.

    All packets of their flows are in it, with their original times, lengths, interfaces and comments, and the secrets
    that open them. Captures are read twice: standard input and pipes raise ValueError. `options` are those of `read`,
    without `cluster`; `read` also says what is raised.

        with open("failed.pcapng", "wb") as file:
            file.writelines(tlsdissect.extract("captures/", failed=True))
    """
    from tlsdissect.corpus.reading import Settled  # noqa: PLC0415 (`import tlsdissect` is light)

    _refuse_cluster("extract", options)
    return Settled(captures, options).extract()


def plot(kind: str, *captures: str | os.PathLike[str], **options: Unpack[ReadOptions]) -> Figure:
    """Return a figure of `tlsdissect plot`: "handshake-times", "versions", ... ValueError names all kinds.

    `options` are those of `read`, which also says what is raised. A notebook shows the figure; its `savefig` writes it.
    """
    from tlsdissect.views.plots import KINDS, figure  # noqa: PLC0415 (matplotlib takes half a second)
    from tlsdissect.views.plots.style import inked  # noqa: PLC0415

    if kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
    with inked(dark=False):
        return figure(tables(*captures, **options), kind)


def __getattr__(name: str) -> object:
    """Load a public name from where it is defined."""
    if name == "__version__":
        return import_module("importlib.metadata").version("tlsdissect")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return __all__


if "IPython" in sys.modules:
    import_module("tlsdissect.views.notebook").register()
