"""Compile the kernel (see `tlsdissect/kernel.py`). pyproject.toml has the rest of the build."""

from __future__ import annotations

import runpy
import shutil

from setuptools import Extension, setup
from setuptools.command.build import build


class CleanBuild(build):
    """A build that starts from an empty directory.

    setuptools keeps what it built in `build/` and would put all of that into the next wheel: modules that were
    compiled before the compiler went away, and modules that have been renamed or deleted since.
    """

    def run(self) -> None:
        """Delete what an earlier build left, then build."""
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


def extension(module: str) -> Extension:
    """Describe the extension of one kernel module; if it cannot be compiled (`optional`), it runs as Python."""
    return Extension(module, [module.replace(".", "/") + ".py"], optional=True)


setup(
    ext_modules=[extension(module) for module in runpy.run_path("tlsdissect/kernel.py")["MODULES"]],
    cmdclass={"build": CleanBuild},
    # The C sources go into build/, not beside the Python sources.
    options={"build_ext": {"cython_c_in_temp": True}},
)
