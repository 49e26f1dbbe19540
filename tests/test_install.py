"""Installing without a C compiler gives the whole package as pure Python, and the same facts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

import pytest
from recorded import ROOT

from tlsdissect import kernel

if TYPE_CHECKING:
    from pathlib import Path

NEEDED = ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py")
NOT_SOURCES = shutil.ignore_patterns("*.so", "*.c", kernel.SOURCES, "__pycache__")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where the package is installed from a copy of its sources, with a C compiler that always fails.

    The compiler notes its command lines in the file `commands` there; CFLAGS does not ask for optimization.
    """
    folder = tmp_path_factory.mktemp("install")
    sources, target = folder / "sources", folder / "target"
    shutil.copytree(ROOT / "tlsdissect", sources / "tlsdissect", ignore=NOT_SOURCES)
    for name in NEEDED:
        shutil.copy2(ROOT / name, sources)
    # What an earlier build left in its place must not be installed.
    built = sources / "build" / f"lib.{sysconfig.get_platform()}-{sys.implementation.cache_tag}" / "tlsdissect"
    built.mkdir(parents=True)
    (built / "renamed.py").touch()
    compiler, commands = folder / "compiler", folder / "commands"
    compiler.write_text(f'#!/bin/sh\necho "$@" >> {commands}\nexit 1\n')
    compiler.chmod(0o700)
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--no-build-isolation"]
    environment = {**os.environ, "CC": str(compiler), "CFLAGS": "-Wall"}
    subprocess.run([*pip, "--quiet", "--target", target, sources], env=environment, check=True, timeout=300)
    return target


def run(*arguments: str, package: Path) -> str:
    command = [sys.executable, "-m", "tlsdissect", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(package)}
    # With -m the current folder is searched first, before PYTHONPATH.
    done = subprocess.run(
        command, cwd=package, env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
        and path.suffix not in {".so", ".c"}
        and path.name != kernel.SOURCES
        and path.parent.name != "__pycache__"
    }


def test_all_files_of_the_package_are_installed_and_no_others(installed: Path) -> None:
    assert files(installed / "tlsdissect") == files(ROOT / "tlsdissect")


def test_nothing_is_compiled_where_the_compiler_fails(installed: Path) -> None:
    assert run("--version", package=installed).endswith(" (pure Python)\n")


def test_the_kernel_is_optimized_with_flags_that_do_not_say_so(installed: Path) -> None:
    commands = (installed.parent / "commands").read_text().splitlines()
    assert commands
    assert all({"-Wall", "-O3"} <= set(command.split()) for command in commands)


def test_pure_python_reads_the_same_facts(installed: Path) -> None:
    read = ("read", "--format", "json", str(ROOT / "samples"))
    assert run(*read, package=installed) == run(*read, package=ROOT)


def test_a_kernel_of_other_sources_is_refused_in_one_line(tmp_path: Path) -> None:
    if kernel.describe() != "compiled":
        pytest.skip("the kernel is not compiled")
    shutil.copytree(ROOT / "tlsdissect", tmp_path / "tlsdissect")
    source = tmp_path / "tlsdissect" / "flows" / "sequence.py"
    # A later time alone, as in an installed wheel, is no change.
    os.utime(source, (2e9, 2e9))
    assert run("--version", package=tmp_path).endswith(" (compiled)\n")
    source.write_text(source.read_text() + "# changed\n")
    os.utime(source, (2e9, 2e9))
    for arguments in (["--version"], ["read", str(ROOT / "samples" / "tls12-full.pcap")]):
        with pytest.raises(subprocess.CalledProcessError) as failed:
            run(*arguments, package=tmp_path)
        (line,) = failed.value.stderr.splitlines()
        assert line.startswith(
            "tlsdissect: tlsdissect.flows.sequence has changed since the kernel was compiled: run pip "
        )
        assert failed.value.returncode == 71
    imported = subprocess.run(
        [sys.executable, "-c", "import tlsdissect; tlsdissect.read('x')"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert imported.stderr.splitlines()[-1].startswith("ImportError: tlsdissect.flows.sequence has changed since")
