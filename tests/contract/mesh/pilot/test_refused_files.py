"""A configuration that cannot come into force is refused with its errors; no proxy changes."""

import os

import pytest

from tests.contract.mesh.pilot.conftest import OWN
from tests.rigs.mesh.pilot import Plane
from tests.rigs.mesh.pilot_bad import Files, refused
from tests.rigs.mesh.pilot_mesh import Piloted

CASES = refused(OWN)


@pytest.mark.parametrize(("files", "named"), CASES.values(), ids=CASES.keys())
async def test_it_is_refused_by_apply_and_in_place(
    piloted: Piloted, plane: Plane, files: Files, named: str
) -> None:
    """Both name the file; nothing is recorded, and removing the file clears the report."""
    before, number = await piloted.plane.get("proxies"), await plane.number()
    said = await plane.apply({**OWN, **files})
    assert said.status == 422, said
    assert said.error["reason"] == "CONFIG_REFUSED"
    if named:
        assert said.findings[0][0] == named, said.findings[:3]
        assert said.findings[0][1] >= 1
    assert plane.active() == OWN
    for name, body in files.items():
        path = plane.places.active / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(body)
    found = await plane.found("")
    if named:
        assert found[0] in {*files, named}
    assert await plane.number() == number
    assert (await plane.get("proxies")) == before
    for name in files:
        if name in OWN:
            (plane.places.active / name).write_bytes(OWN[name])
        else:
            plane.remove(name)
    await plane.in_force(number)


@pytest.mark.parametrize("kind", ["file", "folder", "pipe", "bytes", "latin-1", "huge"])
async def test_what_only_a_folder_can_have_is_refused(
    piloted: Piloted, plane: Plane, kind: str
) -> None:
    """A link to a file or a folder, a pipe, and bytes that are not text."""
    number, active = await plane.number(), plane.places.active
    before = await plane.get("proxies")
    path = active / "odd.yaml"
    if kind == "file":
        path.symlink_to(active / "mesh.yaml")
    elif kind == "folder":
        outside = plane.places.home / "outside"
        outside.mkdir(exist_ok=True)
        (outside / "more.yaml").write_text("kind: x\n")
        (active / "odd.yaml").symlink_to(outside)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "bytes":
        path.write_bytes(bytes(range(256)) * 100)
    elif kind == "latin-1":
        path.write_bytes("# año\n".encode("latin-1"))
    else:
        with path.open("wb") as file:
            file.truncate(50 * 1024 * 1024 * 1024)
    found = await plane.found("")
    assert "odd.yaml" in "".join((found[0], found[2]))
    assert await plane.number() == number
    assert (await plane.get("proxies")) == before
    path.unlink()
    await plane.in_force(number)


async def test_an_empty_folder_keeps_the_last_good_revision(piloted: Piloted, plane: Plane) -> None:
    number, files = await plane.number(), plane.active()
    async with piloted.load():
        for name in files:
            plane.remove(name)
        await plane.found("no *.yaml file")
        assert await plane.number() == number
