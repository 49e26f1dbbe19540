"""The functions of Python open no connection and start no program; `tests/faults` checks the same of commands."""

from __future__ import annotations

import subprocess
import sys

import pytest
from recorded import ROOT

import tlsdissect

CALLS = {
    "cbom": "tlsdissect.cbom(CAPTURE)",
    "certs": "tlsdissect.certs(CAPTURE, system_ca=True)",
    "compare": "tlsdissect.compare(CAPTURE)._repr_html_()",
    "diff": "tlsdissect.diff(CAPTURE, CAPTURE).to_dict()",
    "explain": "[str(tlsdissect.explain(one)) for one in tlsdissect.read(CAPTURE, keep=True)]",
    "extract": "b''.join(tlsdissect.extract(CAPTURE))",
    "ladder": "[tlsdissect.ladder(one)._repr_html_() for one in tlsdissect.read(CAPTURE, keep=True)]",
    "load_csv": "tlsdissect.load_csv(TABLE)",
    "plot": "tlsdissect.plot('versions', CAPTURE).get_suptitle()",
    "query": "tlsdissect.query('FROM connections', CAPTURE).to_dict()",
    "read": "[one.to_dict() for one in tlsdissect.read(CAPTURE, system_ca=True, keylog=KEYS)]",
    "report": "tlsdissect.report(CAPTURE)",
    "summary": "tlsdissect.summary(CAPTURE).to_dict()",
    "tables": "tlsdissect.tables(CAPTURE).messages.to_dict()",
    "tree": "[tlsdissect.tree(one)._repr_html_() for one in tlsdissect.read(CAPTURE, keep=True)]",
}
"""An expression for each function."""
LISTENING = {"live"}
"""Functions that open sockets: that is what they are for."""
SCRIPT = f"""
import sys
sys.path.append("tests")
from guarded import guard
import tlsdissect

CAPTURE, KEYS, TABLE = sys.argv[1:4]
if sys.argv[4:]:
    guard()
for name, call in {CALLS!r}.items():
    print(name, repr(eval(call))[:2000], sep=": ", flush=True)
"""


def called(*guarded: str, table: str) -> list[str]:
    given = ["samples/tls12-client-cert.pcap", "samples/tls13-client-cert-rejected.keys", table, *guarded]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *given], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_every_function_is_called() -> None:
    functions = {name for name in tlsdissect.__all__ if callable(getattr(tlsdissect, name)) and name.islower()}
    assert functions == CALLS.keys() | LISTENING


def test_functions_return_the_same_where_the_network_is_forbidden(tmp_path_factory: pytest.TempPathFactory) -> None:
    table = tmp_path_factory.mktemp("tables") / "connections.csv"
    with table.open("w") as file:
        command = [sys.executable, "-m", "tlsdissect", "read", "--format", "csv", "samples/tls12-full.pcap"]
        subprocess.run(command, cwd=ROOT, stdout=file, check=True, timeout=60)
    usual = called(table=str(table))
    assert [line.partition(":")[0] for line in usual] == list(CALLS)
    assert called("guarded", table=str(table)) == usual


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("socket.create_connection(('127.0.0.1', 9))", 99),
        ("socket.getaddrinfo('localhost', 443)", 99),
        ("os.system('true')", 99),
        ("subprocess.run('true')", 99),
        ("ctypes.CDLL(None).socket(2, 1, 0)", -31),
        ("ctypes.CDLL(None).execv(b'/bin/true', (ctypes.c_char_p * 2)(b'/bin/true', None))", -31),
        ("socket.socketpair()", 0),
    ],
)
def test_what_is_forbidden_ends_the_process(code: str, status: int) -> None:
    script = f"import ctypes, os, socket, subprocess, guarded\nguarded.guard()\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT / "tests", capture_output=True, check=False, timeout=60
    )
    assert done.returncode == status, done.stderr
