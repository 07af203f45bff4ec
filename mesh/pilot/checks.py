"""Compiles and validates configurations that are only looked at, while others are applied.

A check may be as slow as its files are many. It has a compiler and processes of Envoy of its own,
so an application or a rollback waits for none of them. They start with the first check.
"""

from pathlib import Path

from mesh.controlplane.deliver.warm import Validator
from mesh.pilot.checking import Checker
from mesh.pilot.compiling import Compiled, Compiler
from mesh.pilot.config_folder import Content


class Checks:
    """One check at a time; `folder` must be its own."""

    def __init__(self, compiler: Compiler, folder: Path) -> None:
        self._compiler = compiler
        self._validator = Validator(folder, ready=1)
        self._checker = Checker(self._validator)
        self._started = False

    async def compile(self, content: Content) -> Compiled:
        """Return the compiled configuration. Raises Refused with all errors."""
        compiled = await self._compiler.compile(content)
        if not self._started:
            await self._validator.start()
            self._started = True
        await self._checker.check(compiled)
        return compiled

    async def close(self) -> None:
        """End the waiting processes."""
        await self._validator.close()
