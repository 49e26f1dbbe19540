"""The shape of the code: small modules and functions, little nesting, heavy libraries only where they belong."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from fnmatch import fnmatch
from typing import TYPE_CHECKING

import pytest
from recorded import ROOT, SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = ROOT / "tlsdissect"
MODULES = sorted(PACKAGE.rglob("*.py"))
MODULE_LINES, FUNCTION_LINES, DEPTH = 400, 40, 3

HOMES = {
    "numpy": ("capture/*", "streams/*", "views/comparison/*"),
    "dpkt": ("capture/unusual.py",),
    "scapy": ("capture/live.py",),
    "zstandard": ("capture/*",),
    "cryptography": ("transcript/x509/libraries.py", "trust/*"),
    "OpenSSL": ("transcript/x509/libraries.py", "trust/*"),
    "pandas": ("views/*",),
    "matplotlib": ("views/*",),
    "pyarrow": ("views/parquet.py",),
    "jinja2": ("views/*",),
    "rich": ("views/*", "cli/*"),
    "click": ("cli/*",),
    "dask": ("__init__.py", "corpus/cluster.py"),
    "fsspec": ("corpus/cluster.py",),
}
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text())


def each_module(test: object) -> object:
    return pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))(test)


@each_module
def test_modules_are_short(module: Path) -> None:
    assert module.read_text().count("\n") <= MODULE_LINES


@each_module
def test_functions_are_short(module: Path) -> None:
    long = {
        one.name: lines(one)
        for one in ast.walk(tree(module))
        if isinstance(one, FUNCTIONS) and lines(one) > FUNCTION_LINES
    }
    assert long == {}


def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring and decorators."""
    first = function.body[0]
    docstring = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    spared = first.end_lineno - first.lineno + 1 if docstring else 0
    return function.end_lineno - function.lineno + 1 - spared


@each_module
def test_nesting_is_shallow(module: Path) -> None:
    deep = {one.name: depth(one) for one in ast.walk(tree(module)) if isinstance(one, FUNCTIONS) and depth(one) > DEPTH}
    assert deep == {}


def depth(node: ast.AST) -> int:
    """Blocks within blocks; an `elif` is beside its `if`, and an inner function is counted by itself."""
    return max((depth_of_child(node, child) for child in ast.iter_child_nodes(node)), default=0)


def depth_of_child(node: ast.AST, child: ast.AST) -> int:
    if isinstance(child, FUNCTIONS):
        return 0
    beside = isinstance(node, ast.If) and node.orelse == [child] and isinstance(child, ast.If)
    return depth(child) + (isinstance(child, BLOCKS) and not beside)


def test_depth_counts_as_it_says() -> None:
    def measured(body: str) -> int:
        return depth(ast.parse(f"def f():\n{body}").body[0])

    assert measured(" return 1") == 0
    assert measured(" if a:\n  b\n elif c:\n  d\n else:\n  e") == 1
    assert measured(" for a in b:\n  if c:\n   with d:\n    e") == 3
    assert measured(" def g():\n  if a:\n   b") == 0


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
    """Packages that a module imports when it runs; what stands under TYPE_CHECKING is for the type checker alone."""
    names: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            node.body = []
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_reading_loads_no_plotting_and_no_live_capture() -> None:
    script = (
        "import sys\n"
        "from tlsdissect.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", script, "read", "--format", "json", str(SAMPLES[0])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stderr.split())
    assert "tlsdissect" in loaded
    assert loaded.isdisjoint({"pandas", "matplotlib", "scapy", "dask", "jinja2", "IPython"})


def test_public_names_are_few() -> None:
    script = "import tlsdissect; print(*tlsdissect.__all__)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert 1 <= len(done.stdout.split()) <= 12


def test_words_that_are_explained_are_used() -> None:
    rows = re.findall(r"^\| ([a-z, ]+) \| (?!meaning)", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    words = {word.removeprefix("to ") for row in rows for word in row.split(", ")}
    names = {name for module in MODULES for node in ast.walk(tree(module)) for name in named(node)}
    used = {part for name in names for part in re.findall("[a-z]+", re.sub("([A-Z])", r" \1", name).lower())}
    assert len(words) > 20
    assert words - used == set()


def named(node: ast.AST) -> list[str]:
    """The names that a node of code brings in."""
    return [name for name in (getattr(node, field, None) for field in ("name", "id", "arg", "attr")) if name]
