"""Files of the active folder that are being written: only what is complete comes into force."""

from pathlib import Path

from tests.rigs.mesh.pilot import Plane
from tests.rigs.mesh.pilot_mesh import Piloted

CUSTOMERS = "services/customers.yaml"
FROM, TO = "timeout: 6s", "timeout: 7s"


def _edited(plane: Plane) -> str:
    text = (plane.places.active / CUSTOMERS).read_text()
    assert FROM in text
    return text.replace(FROM, TO)


async def test_a_file_that_is_cut_in_the_middle_is_reported_and_its_rest_comes_into_force(
    piloted: Piloted, plane: Plane
) -> None:
    """The last good revision stays meanwhile, and the half makes no revision."""
    number, listeners = await plane.number(), await piloted.listeners()
    path, text = plane.places.active / CUSTOMERS, _edited(plane)
    half = text.index("retries: {") + len("retries: {")
    async with piloted.load() as load:
        with path.open("w") as file:
            file.write(text[:half])
        found, line, _ = await plane.found("")
        assert (found, line) == (CUSTOMERS, text[:half].count("\n") + 1)
        assert await plane.number() == number
        await load.more()
        with path.open("a") as file:
            file.write(text[half:])
        await plane.in_force(number + 1)
        await piloted.synced()
    assert await piloted.listeners() == listeners


async def test_a_file_that_is_still_open_is_read_again_when_it_is_complete(
    piloted: Piloted, plane: Plane
) -> None:
    """Another file's change has the folder read while half of this one is written."""
    number = await plane.number()
    path, text = plane.places.active / CUSTOMERS, _edited(plane)
    half = text.index("retries: {") + len("retries: {")
    with path.open("w") as file:
        file.write(text[:half])
        file.flush()
        plane.edit("mesh.yaml", "response.code >= 500", "response.code >= 501")
        assert (await plane.found(""))[0] == CUSTOMERS
        file.write(text[half:])
    await plane.in_force(number + 1)
    assert TO.encode() in plane.active()[CUSTOMERS]
    await piloted.synced()


async def test_the_files_of_editors_are_no_part_of_a_revision(
    piloted: Piloted, plane: Plane
) -> None:
    """A backup, an automatic copy and a lock, as vim and emacs write them."""
    number = await plane.number()
    path, text = plane.places.active / CUSTOMERS, _edited(plane)
    path.with_name(f"#{path.name}#").write_text(text[:100])
    path.with_name(f".#{path.name}").symlink_to("ana@host.1234:1")
    path.with_name(f".{path.name}.swp").write_bytes(b"\0\1\2")
    path.rename(path.with_name(f"{path.name}~"))
    path.write_text(text)
    await plane.in_force(number + 1)
    assert set(plane.active()) == set(await _files(plane, number))
    assert set(await _files(plane, number + 1)) == set(await _files(plane, number))
    await piloted.synced()
    for left in (f"#{path.name}#", f".#{path.name}", f".{path.name}.swp", f"{path.name}~"):
        path.with_name(left).unlink()
    await plane.in_force(number + 1)


async def _files(plane: Plane, number: int) -> dict[str, str]:
    return (await plane.get(f"history/{number}"))["files"]


async def test_a_move_of_rules_between_files_is_one_revision(
    piloted: Piloted, plane: Plane
) -> None:
    """Between the two writes the rules exist twice."""
    number = await plane.number()
    path, text = plane.places.active / CUSTOMERS, _edited(plane)
    rule, service = text.split("---\n")
    async with piloted.load():
        path.with_name("customers-routes.yaml").write_text(service)
        assert "already exists" in (await plane.found(""))[2]
        path.write_text(rule)
        await plane.in_force(number + 1)
        await piloted.synced()
    assert await plane.number() == number + 1


async def test_a_replaced_folder_is_one_revision(piloted: Piloted, plane: Plane) -> None:
    """As a checkout of another version replaces it."""
    number, active = await plane.number(), plane.places.active
    fresh = active.with_name("fresh")
    for name, body in plane.active().items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body.replace(FROM.encode(), TO.encode()))
    old = _moved(active, "old")
    fresh.rename(active)
    await plane.in_force(number + 1)
    await piloted.synced()
    plane.edit(CUSTOMERS, TO, FROM)
    await plane.in_force(number + 2)
    assert old.is_dir()
    await piloted.reset(plane.active())


def _moved(path: Path, name: str) -> Path:
    return path.rename(path.with_name(name))
