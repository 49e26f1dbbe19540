"""The rules that make kernel modules give the same results compiled and uncompiled, as far as a test can check."""

from __future__ import annotations

import ast
import os
import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from compiled import is_stale
from recorded import ROOT

from tlsdissect import kernel

PACKAGE = ROOT / "tlsdissect"
DIRECTIVES = "# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False"
CYTHON = {
    "longlong",
    "Py_ssize_t",
    "bint",
    "cclass",
    "cfunc",
    "ccall",
    "exceptval",
    "cast",
    "compiled",
    "final",
    "inline",
    "no_gc",
}
"""What kernel modules may use of the module `cython`."""
FIELD = re.compile(r"^    cdef (?:readonly |public )?(?!.*\()(.+?) (\w+)$", re.MULTILINE)
CIMPORT = re.compile(r"^from (\S+) cimport (.+)$", re.MULTILINE)


def source(module: str, suffix: str = ".py") -> Path:
    return (ROOT / module.replace(".", "/")).with_suffix(suffix)


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(source(module).read_text())


def declarations(module: str) -> str:
    """The `.pxd`, without its comments."""
    return re.sub(r"#.*", "", source(module, ".pxd").read_text())


def decorators(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    return {ast.unparse(each) for each in node.decorator_list}


def functions(node: ast.AST) -> list[ast.FunctionDef]:
    return [each for each in ast.walk(node) if isinstance(each, ast.FunctionDef)]


def is_c_function(function: ast.FunctionDef) -> bool:
    return bool(decorators(function) & {"cython.cfunc", "cython.ccall"})


@cache
def c_classes(module: str) -> list[ast.ClassDef]:
    return [
        node
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ClassDef) and "cython.cclass" in decorators(node)
    ]


def fields(node: ast.ClassDef) -> set[str]:
    return {
        each.target.id for each in node.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    }


def inherited_fields(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> set[str]:
    """The fields of all classes that a class derives from."""
    bases = [classes[ast.unparse(base)] for base in node.bases]
    return {name for base in bases for name in fields(base) | inherited_fields(base, classes)}


def assigned(function: ast.FunctionDef) -> set[str]:
    """The attributes of `self` that a function assigns."""
    return {
        node.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"
    }


def assigned_to_new(function: ast.FunctionDef, name: str) -> set[str]:
    """The attributes that a function assigns to the object of this class that it makes without `__init__`."""
    made = {
        ast.unparse(node.target)
        for node in ast.walk(function)
        if isinstance(node, ast.AnnAssign) and node.value is not None
        if ast.unparse(node.value) == f"{name}.__new__({name})"
    }
    return {
        node.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) in made
    }


def types(module: str) -> list[ast.expr]:
    """The annotations that Cython takes for C types, each part of a union by itself; not those of Python classes."""
    found: list[ast.expr | None] = []
    whole = tree(module)
    classes = [node for node in ast.walk(whole) if isinstance(node, ast.ClassDef)]
    plain = [line for node in classes if "cython.cclass" not in decorators(node) for line in node.body]
    for node in ast.walk(whole):
        if isinstance(node, ast.AnnAssign | ast.arg) and node not in plain:
            found.append(node.annotation)
        if isinstance(node, ast.FunctionDef) and is_c_function(node):
            found.append(node.returns)
    return [part for annotation in found if annotation is not None for part in parts(annotation)]


def parts(annotation: ast.expr) -> list[ast.expr]:
    if isinstance(annotation, ast.BinOp):
        return parts(annotation.left) + parts(annotation.right)
    return [annotation]


each_module = pytest.mark.parametrize("module", kernel.MODULES)


def test_the_list_is_of_all_modules_that_are_written_for_it() -> None:
    files = [path.relative_to(ROOT).with_suffix("") for path in PACKAGE.rglob("*.py")]
    written = sorted(
        ".".join(path.parts) for path in files if (ROOT / path).with_suffix(".py").read_text().startswith("# cython:")
    )
    declared = sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in PACKAGE.rglob("*.pxd"))
    assert sorted(kernel.MODULES) == list(kernel.MODULES) == written == declared


@each_module
def test_directives_come_first(module: str) -> None:
    assert source(module).read_text().partition("\n")[0] == DIRECTIVES


@each_module
def test_integers_are_as_wide_as_python_needs(module: str) -> None:
    """A C int, uint or uchar wraps, truncates or raises where Python's int does not."""
    for annotation in types(module):
        text = ast.unparse(annotation)
        assert text not in {"int", "float", "bool", "complex"}, f"line {annotation.lineno}: {text}"
    attributes = [node for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)]
    # A pointer has no bounds, so only the function that checks the bounds may use one.
    allowed = CYTHON | ({"p_char"} if module == "tlsdissect.capture.octets" else set())
    assert {node.attr for node in attributes if ast.unparse(node.value) == "cython"} <= allowed
    narrow = re.compile(r"\b(unsigned|char|short|int|long(?! long)|float|double|u?int\d+_t|size_t)\b")
    assert narrow.findall(declarations(module).replace("long long", "")) == []


@each_module
def test_cimports_are_imports_too(module: str) -> None:
    """So import-linter checks their layers too. `cython.cimports` exists only in compiled code."""
    imported = {
        (node.module, alias.name)
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert not [name for name, _ in imported if name and name.startswith("cython.cimports")]
    text = declarations(module)
    cimported = {(name, part.strip()) for name, names in CIMPORT.findall(text) for part in names.split(",")}
    assert text.count("cimport") == len(CIMPORT.findall(text))
    assert cimported <= imported
    assert {name for name, _ in cimported} <= set(kernel.MODULES)


@each_module
def test_no_index_is_negative(module: str) -> None:
    """With `wraparound=False` it reads before the first byte, or raises."""
    negative = [
        ast.unparse(node)
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Subscript)
        for part in ast.walk(node.slice)
        if isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.USub) and isinstance(part.operand, ast.Constant)
    ]
    assert negative == []


@each_module
def test_c_functions_hold_no_closures_and_raise(module: str) -> None:
    for function in functions(tree(module)):
        if is_c_function(function):
            inner = [node for node in ast.walk(function) if isinstance(node, ast.FunctionDef) and node is not function]
            closures = [node for node in ast.walk(function) if isinstance(node, ast.Lambda | ast.GeneratorExp)]
            assert inner + closures == [], function.name
    assert "noexcept" not in declarations(module) + source(module).read_text()


def members(node: ast.ClassDef) -> tuple[set[str], set[str]]:
    """The C methods of a class, and its other members."""
    methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
    compiled = {each.name for each in methods if is_c_function(each)}
    return compiled, fields(node) | {each.name for each in methods} - compiled


@cache
def known_methods() -> set[str]:
    """The names of C methods of any class that are names of nothing else."""
    classes = [node for each in kernel.MODULES for node in ast.walk(tree(each)) if isinstance(node, ast.ClassDef)]
    c_methods = set().union(*(members(node)[0] for node in classes))
    return c_methods - set().union(*(members(node)[1] for node in classes))


@each_module
def test_c_methods_are_only_called(module: str) -> None:
    """A method that is passed as a value is converted wrongly, with no more than a warning of the C compiler."""
    for node in [tree(module), *c_classes(module)]:
        own = members(node)[0] if isinstance(node, ast.ClassDef) else set()
        called = {id(each.func) for each in ast.walk(node) if isinstance(each, ast.Call)}
        passed = [
            ast.unparse(each)
            for each in ast.walk(node)
            if isinstance(each, ast.Attribute) and id(each) not in called
            if (each.attr in own and ast.unparse(each.value) == "self") or each.attr in known_methods()
        ]
        assert passed == []


@each_module
def test_objects_have_the_fields_that_are_declared(module: str) -> None:
    """An attribute that is not declared, or not assigned when its object is made, exists in only one of both modes.

    An object is made by `__init__` or, without the cost of its arguments as Python objects, by a function.
    """
    bodies = dict(re.findall(r"^cdef class (\w+).*:\n((?:    .*\n|\n)+)", declarations(module) + "\n", re.MULTILINE))
    assert set(bodies) == {node.name for node in c_classes(module)}
    bases = {node.name: node for each in kernel.MODULES for node in c_classes(each)}
    for node in c_classes(module):
        declared = {name for _, name in FIELD.findall(bodies[node.name])}
        assert fields(node) == declared, node.name
        inherited = inherited_fields(node, bases)
        methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
        made = {name for each in methods if each.name == "__init__" for name in assigned(each)}
        for each in functions(tree(module)):
            made |= assigned_to_new(each, node.name)
        assert declared <= made, node.name
        assert {name for each in methods for name in assigned(each)} <= declared | inherited, node.name


@each_module
def test_nothing_calls_itself(module: str) -> None:
    """What the wire nests is walked in a loop with a limit: in compiled code, deep recursion crashes."""
    calls: dict[str, set[str]] = {}
    for scope in [tree(module), *c_classes(module)]:
        prefix = f"{scope.name}." if isinstance(scope, ast.ClassDef) else ""
        for function in scope.body:
            if isinstance(function, ast.FunctionDef):
                called = {ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
                calls[prefix + function.name] = {re.sub(r"^self\.", prefix, name) for name in called}
    assert [name for name in calls if name in reached(name, calls)] == []


def reached(name: str, calls: dict[str, set[str]]) -> set[str]:
    """The functions that a function calls, directly or indirectly."""
    found: set[str] = set()
    ahead = calls[name]
    while ahead:
        found |= ahead
        ahead = {far for near in ahead for far in calls.get(near, ())} - found
    return found


@each_module
def test_what_is_compiled_is_known(module: str) -> None:
    assert kernel.is_compiled(module) == (Path(str(import_module(module).__file__)).suffix == ".so")


@pytest.mark.parametrize(
    ("compiled", "text"), [((), "pure Python"), (("a",), "compiled 1 of 3"), (("a", "b", "c"), "compiled")]
)
def test_the_mode_is_described(compiled: tuple[str, ...], text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "MODULES", ("a", "b", "c"))
    monkeypatch.setattr(kernel, "is_compiled", lambda module: module in compiled)
    assert kernel.describe() == text


@pytest.mark.parametrize(("changed", "stale"), [("one.py", True), ("one.pxd", True), ("two.pxd", True), ("", False)])
def test_a_module_is_stale_once_what_it_depends_on_has_changed(changed: str, stale: bool, tmp_path: Path) -> None:
    texts = {"one.py": "", "one.pxd": "from two cimport three\n", "two.pxd": "cpdef three()\n", "one.so": ""}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, (1000, 1000 + (name == changed)))
    assert is_stale(tmp_path / "one.py", tmp_path / "one.so") == stale


@pytest.mark.parametrize(
    ("changed", "later", "noted", "expected"),
    [
        ("one.py", 9, True, ["tlsdissect.one"]),
        ("one.pxd", 9, True, ["tlsdissect.one"]),
        ("one.py", 9, False, []),  # compiled by other means: nothing is known of its sources
        ("one.py", 1, True, []),  # installed together
        ("", 9, True, []),  # a wheel, whose files have any time
    ],
)
def test_a_kernel_is_stale_if_newer_sources_differ(
    changed: str, later: int, noted: bool, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one.py", "one.pxd", f"one{kernel.EXTENSION_SUFFIXES[0]}", "two.py", "two.pxd"):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (100, 100))
    if noted:
        (tmp_path / kernel.SOURCES).write_text(f"tlsdissect.one {kernel.digest(str(tmp_path / 'one'))}\n")
    if changed:
        (tmp_path / changed).write_text("changed")
    for name in ("one.py", "one.pxd"):
        os.utime(tmp_path / name, (100 + later, 100 + later))
    monkeypatch.setattr(kernel, "_FOLDER", str(tmp_path))
    monkeypatch.setattr(kernel, "MODULES", ("tlsdissect.one", "tlsdissect.two"))
    assert kernel.stale() == expected
