"""After an edit only the edited file is parsed, and only what it changes is a new object."""

import shutil
from pathlib import Path

import pytest

from mesh.controlplane import model
from mesh.controlplane.deliver.nodes import Translation
from mesh.controlplane.deliver.packed import NodeSnapshot
from mesh.controlplane.ingest import documents
from mesh.controlplane.ingest.faults import ConfigFault, Faults, Findings
from mesh.controlplane.ingest.remembered import Remembered
from mesh.controlplane.ingest.resources import Resource
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.resolve.kept import kept
from mesh.controlplane.resolve.mesh import Inputs, resolve
from mesh.ctl import CONFIG
from services import contracts
from tests.rigs.mesh.fixed_places import endpoints, passed_on

CONTRACTS = contracts.load()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a copy of the bank's own config."""
    shutil.copytree(CONFIG, tmp_path / "config")
    return tmp_path / "config"


def _edit(config: Path, file: str, old: str, new: str) -> None:
    text = (config / file).read_text()
    assert old in text
    (config / file).write_text(text.replace(old, new))


def _read(remembered: Remembered, config: Path) -> list[Resource]:
    findings = Findings()
    found = remembered.read(config, findings)
    findings.end()
    return found


def _mesh(found: list[Resource], before: model.Mesh | None = None) -> model.Mesh:
    return kept(before, resolve(Inputs(found, CONTRACTS, endpoints())))


def test_an_unchanged_file_has_the_same_resources(config: Path) -> None:
    remembered = Remembered()
    first = _read(remembered, config)
    _edit(config, "partners/fraud.yaml", "timeout: 5s", "timeout: 4999ms")
    second = _read(remembered, config)
    changed = [b for a, b in zip(first, second, strict=True) if a is not b]
    assert {each.document.path.name for each in changed} == {"fraud.yaml"}


def test_an_edit_changes_only_the_proxies_that_see_it(config: Path) -> None:
    remembered = Remembered()
    before = _mesh(_read(remembered, config))
    _edit(config, "partners/fraud.yaml", "timeout: 5s", "timeout: 4999ms")
    after = _mesh(_read(remembered, config), before)
    pairs = list(zip(before.sidecars, after.sidecars, strict=True))
    assert [new.workload.name for old, new in pairs if old is not new] == ["payments"]
    assert after.edge is before.edge
    old, new = next(each for each in pairs if each[0] is not each[1])
    same = [b.host for a, b in zip(old.partners, new.partners, strict=True) if a is b]
    assert same == ["ach-network.example", "directory.ach-network.example"]
    assert old.services[0] is new.services[0]


def test_an_edit_of_one_virtual_service_is_translated_for_the_proxies_that_see_it(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only payments calls the fraud service: one route, one virtual host, one snapshot."""
    remembered, translation = Remembered(), Translation()
    translated: list[str] = []
    sidecar = Translation._sidecar

    def counted(self: Translation, each: model.Sidecar, text: PassedOn) -> NodeSnapshot:
        translated.append(each.workload.name)
        return sidecar(self, each, text)

    monkeypatch.setattr(Translation, "_sidecar", counted)
    mesh = _mesh(_read(remembered, config))
    before = translation.node_snapshots(mesh, passed_on())
    whole = translation.memory.computed
    assert sorted(translated) == sorted(each.workload.name for each in mesh.sidecars)
    translated.clear()
    _edit(config, "partners/fraud.yaml", "timeout: 5s", "timeout: 4999ms")
    after = translation.node_snapshots(_mesh(_read(remembered, config), mesh), passed_on())
    assert translated == ["payments"]
    assert [name for name, each in after.items() if each is not before[name]] == ["payments-0"]
    assert translation.memory.computed - whole < whole / 20


def test_an_edit_without_effect_keeps_the_whole_model(config: Path) -> None:
    remembered = Remembered()
    before = _mesh(_read(remembered, config))
    _edit(config, "partners/fraud.yaml", "# The fraud detection API", "# The API")
    assert _mesh(_read(remembered, config), before) is before


def test_an_error_stays_until_its_file_is_corrected(config: Path) -> None:
    remembered = Remembered()
    _edit(config, "partners/fraud.yaml", "timeout: 5s", "timeout: 5")
    for _ in range(2):
        with pytest.raises(ConfigFault, match=r"fraud\.yaml:22"):
            _read(remembered, config)
    _edit(config, "partners/fraud.yaml", "timeout: 5", "timeout: 5s")
    _read(remembered, config)


def test_a_removed_file_is_forgotten_and_a_copy_is_refused(config: Path) -> None:
    remembered = Remembered()
    whole = len(_read(remembered, config))
    fraud = config / "partners" / "fraud.yaml"
    shutil.copy(fraud, config / "partners" / "zz.yaml")
    with pytest.raises(Faults, match=r"zz\.yaml:6: ServiceEntry fraud already exists"):
        _read(remembered, config)
    fraud.unlink()
    assert len(_read(remembered, config)) == whole


def test_fields_without_effect_are_reported_on_every_read(config: Path) -> None:
    """A resource that is read again counts as unread again."""
    remembered = Remembered()
    _edit(config, "services/auth.yaml", "ISTIO_MUTUAL}", "ISTIO_MUTUAL, sni: x}")
    for _ in range(2):
        with pytest.raises(ConfigFault, match=r"tls\.sni has no effect"):
            _mesh(_read(remembered, config))


def test_a_half_written_file_is_one_error(config: Path) -> None:
    remembered = Remembered()
    _read(remembered, config)
    path = config / "partners" / "fraud.yaml"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises((ConfigFault, Faults), match=r"fraud\.yaml"):
        _read(remembered, config)


def test_ten_thousand_lines_are_read_with_all_their_errors(tmp_path: Path) -> None:
    """Every misspelt field has its own error, in one pass."""
    document = (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
        "metadata: {{name: a{number}, namespace: bp}}\nspec:\n  host: [a.example]\n  http:\n"
        "    - route: [{{destination: {{host: a.example}}}}]\n      timeout: 5s\n"
        "      retries: {{attempts: 0}}\n---\n"
    )
    path = tmp_path / "many.yaml"
    path.write_text("".join(document.format(number=number) for number in range(1000)))
    findings = Findings()
    assert Remembered().read(tmp_path, findings) == []
    with pytest.raises(Faults) as raised:
        findings.end()
    assert len(raised.value.faults) == 1000
    assert "unknown field; did you mean hosts?" in str(raised.value.faults[0])


def test_a_file_that_is_too_large_is_not_parsed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigFault, match="more than 1024 KiB; split it"):
        documents.read_folder(tmp_path)
