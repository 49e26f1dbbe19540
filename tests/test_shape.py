"""The shape of the package: heavy libraries only where they belong, few public names."""

from __future__ import annotations

import ast
import subprocess
import sys
from fnmatch import fnmatch
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

import pytest
from recorded import ROOT, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from pathlib import Path

PACKAGE = ROOT / "tlsdissect"
MODULES = sorted(PACKAGE.rglob("*.py"))

BROAD = {"Exception", "BaseException"}

HOMES = {
    "numpy": ("views/comparison/*",),
    "dpkt": (),
    "scapy": ("capture/live.py",),
    "zstandard": ("capture/*", "handshake/decompression.py"),
    "brotli": ("handshake/decompression.py",),
    "gmpy2": ("trust/weak_keys.py",),
    "cryptography": (
        "x509/libraries.py",
        "trust/*",
        "handshake/protection.py",
        "handshake/quic_keys.py",
    ),
    "OpenSSL": ("x509/libraries.py", "trust/*"),
    "pandas": ("views/*",),
    "matplotlib": ("views/*",),
    "pyarrow": (
        "corpus/documents.py",
        "corpus/traces.py",
        "views/arrow.py",
        "views/parquet.py",
        "views/query_result.py",
    ),
    "duckdb": ("corpus/sql.py",),
    "jinja2": ("views/*",),
    "rich": ("cli/*",),
    "click": ("cli/*",),
    "cel": (),
    "dask": ("corpus/scan.py", "corpus/store.py"),
    "cyclonedx": ("views/cbom/document.py",),
    "fsspec": ("corpus/sources.py",),
}


def tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text())


def each_module(test: object) -> object:
    return pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))(test)


@each_module
def test_heavy_libraries_stay_at_home(module: Path) -> None:
    where = str(module.relative_to(PACKAGE))
    strays = {
        name
        for name in imported(tree(module))
        if name in HOMES and not any(fnmatch(where, home) for home in HOMES[name])
    }
    assert strays == set()


def imported(module: ast.Module) -> set[str]:
    """Packages that a module imports when it runs."""
    names: set[str] = set()
    for node in running(module):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def running(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under TYPE_CHECKING, which are for the type checker alone."""
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        return
    yield node
    for inner in ast.iter_child_nodes(node):
        yield from running(inner)


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Nor where a function imports when it is called."""
    paths = {
        ".".join(module.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): module for module in MODULES
    }
    graph = {name: ours(tree(module), paths) - {name} for name, module in paths.items()}
    assert "tlsdissect.flows.flow" in graph["tlsdissect.handshake.connections"]
    assert "tlsdissect.views.diff.text" in graph["tlsdissect.views.diff.model"]
    TopologicalSorter(graph).prepare()


def ours(module: ast.Module, paths: Container[str]) -> set[str]:
    """Modules of the package that a module imports when it runs."""
    names: set[str] = set()
    for node in running(module):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("tlsdissect"):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in paths else str(node.module) for name in inner}
    return names


@each_module
def test_no_broad_handler_hides_that_memory_ran_out(module: Path) -> None:
    """Where any exception is caught, a handler before it lets MemoryError out; a command says it to its user."""
    told = str(module.relative_to(PACKAGE)) in {"cli/exit_status.py", "cli/run.py"}
    nodes = list(ast.walk(tree(module)))
    hidden = [handler.lineno for node in nodes if isinstance(node, ast.Try) for handler in hiding(node, told=told)]
    hidden += [
        node.lineno
        for node in nodes
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("suppress")
        and any(ast.unparse(argument) in BROAD for argument in node.args)
    ]
    assert hidden == []


def hiding(node: ast.Try, *, told: bool) -> Iterator[ast.ExceptHandler]:
    """Yield the handlers that catch MemoryError with everything else and do not raise it again."""
    for handler in node.handlers:
        caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        names = {ast.unparse(one) for one in caught if one is not None}
        raises = isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None
        if "MemoryError" in names and (raises or told):
            return
        if (not names or names & BROAD) and not raises:
            yield handler


@pytest.mark.parametrize(
    ("source", "hides"),
    [
        ("except Exception: pass", True),
        ("except: pass", True),
        ("except (ValueError, BaseException): pass", True),
        ("except MemoryError: pass\nexcept Exception: pass", True),
        ("except MemoryError: raise\nexcept Exception: pass", False),
        ("except BaseException: raise", False),
        ("except ValueError: pass", False),
    ],
)
def test_what_hides_that_memory_ran_out(source: str, *, hides: bool) -> None:
    (node,) = ast.parse("try: pass\n" + source).body
    assert isinstance(node, ast.Try)
    assert bool(list(hiding(node, told=False))) is hides


@pytest.mark.parametrize(
    ("options", "others"),
    [
        (["read", "--format", "json"], {"cel", "scapy", "dask", "jinja2", "IPython"}),
        # Other processes draw the figures.
        (["report", "--jobs", "2", "-o", "-"], {"cel", "scapy", "dask", "IPython"}),
    ],
)
def test_reading_loads_no_plotting_and_no_live_capture(options: list[str], others: set[str]) -> None:
    script = (
        "import sys\n"
        "from tlsdissect.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", script, *options, str(SAMPLES[0])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stderr.split())
    assert "tlsdissect" in loaded
    assert loaded.isdisjoint({"pandas", "matplotlib", *others})


def test_public_names_are_few() -> None:
    script = "import tlsdissect; print(*tlsdissect.__all__)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    names = done.stdout.split()
    assert 1 <= len(names) <= 20
    documented = (ROOT / "docs" / "python.md").read_text()
    functions = {name for name in names if name.islower() and not name.startswith("__")}
    assert {name for name in functions if f".{name}\n" not in documented} == set()
