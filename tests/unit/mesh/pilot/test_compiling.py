"""A configuration is compiled as a whole, or refused; it never ends the process."""

from pathlib import Path

import pytest

from mesh.controlplane.ingest.endpoints import Endpoints
from mesh.ctl import CONFIG
from mesh.pilot import compiling, config_folder
from mesh.pilot.compiling import Compiler
from mesh.pilot.drained import Drained
from mesh.pilot.findings import Refused
from tests.rigs.mesh.fixed_places import endpoints


@pytest.fixture
def compiler(tmp_path: Path) -> Compiler:
    """Return a compiler of a bank with invented addresses."""
    places: Endpoints = endpoints()
    file = tmp_path / "endpoints.json"
    file.write_text(places.model_dump_json())
    return Compiler(file, Drained(tmp_path / "drained.json"))


async def test_the_banks_own_configuration_has_resources_for_every_proxy(
    compiler: Compiler,
) -> None:
    compiled = await compiler.compile(config_folder.read(CONFIG))
    assert {"gateway-0", "payments-0"} <= compiled.nodes.keys()


@pytest.mark.parametrize("defect", [KeyError("x"), RecursionError("deep"), TypeError("none")])
async def test_a_configuration_that_meets_a_defect_is_refused(
    compiler: Compiler, monkeypatch: pytest.MonkeyPatch, defect: Exception
) -> None:
    """The last good one stays in force; the next configuration compiles again."""

    def broken(*_: object) -> None:
        raise defect

    content = config_folder.read(CONFIG)
    with monkeypatch.context() as patched:
        patched.setattr(compiling, "resolve", broken)
        with pytest.raises(Refused, match=type(defect).__name__):
            await compiler.compile(content)
    assert (await compiler.compile(content)).nodes
