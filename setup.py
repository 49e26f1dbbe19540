"""Compile the kernel (see `tlsdissect/kernel.py`). pyproject.toml has the rest of the build."""

from __future__ import annotations

import os
import runpy
import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext

KERNEL = runpy.run_path("tlsdissect/kernel.py")


class CleanBuild(build):
    """A build that starts from an empty directory.

    setuptools keeps what it built in `build/` and would put all of that into the next wheel: modules that were
    compiled before the compiler went away, and modules that have been renamed or deleted since.
    """

    def run(self) -> None:
        """Delete what an earlier build left, then build."""
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class BuildKernel(build_ext):
    """Compile the kernel, and note from which sources: an installation that has others refuses to run."""

    def finalize_options(self) -> None:
        """Compile as many modules at a time as there are processors, unless the command says how many."""
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def run(self) -> None:
        """Compile, and write the digests of the sources of what was compiled."""
        self._digests: dict[str, str] = {}
        super().run()
        path = Path(self.get_ext_fullpath("tlsdissect.kernel")).with_name(KERNEL["SOURCES"])
        digests = KERNEL["read_digests"](str(path)) | self._digests
        if digests:
            path.write_text("".join(f"{module} {digest}\n" for module, digest in sorted(digests.items())))

    def build_extensions(self) -> None:
        """Choose how to compile, as far as CFLAGS does not say it."""
        if self.compiler.compiler_type == "unix":
            for ext in self.extensions:
                ext.extra_compile_args = unix_flags(os.environ.get("CFLAGS"))
        super().build_extensions()

    def build_extension(self, ext: Extension) -> None:
        """Compile a module; if that fails, its digest stays that of an earlier one."""
        super().build_extension(ext)
        self._digests[ext.name] = KERNEL["digest"](ext.name.replace(".", "/"))


def unix_flags(given: str | None) -> list[str]:
    """Return the flags to add to those that are given, or to Python's own if none are."""
    if given is not None:
        # setuptools leaves out Python's own then, and without optimization the kernel takes three times as long.
        return ["-fwrapv"] if "-O" in given else ["-fwrapv", "-O3"]
    # Debug information takes most of the disk. In ELF, a call of Python goes through the procedure linkage table, which
    # makes a handshake take 3 to 7 % longer.
    return ["-g0", "-fno-plt"] if sys.platform == "linux" else ["-g0"]


def extension(module: str) -> Extension:
    """Describe the extension of one kernel module; if it cannot be compiled (`optional`), it runs as Python."""
    return Extension(module, [module.replace(".", "/") + ".py"], optional=True)


setup(
    ext_modules=[extension(module) for module in KERNEL["MODULES"]],
    cmdclass={"build": CleanBuild, "build_ext": BuildKernel},
    # The C sources go into build/, not beside the Python sources.
    options={"build_ext": {"cython_c_in_temp": True}},
)
