"""The audit service lists records for callers in the mesh, and has each revision of the mesh."""

import json
import uuid
from typing import Any

import pytest
from bp.audit.v1 import audit_service_pb2 as pb

from lab.fuzz.mesh import Mesh
from ops.bpctl.mesh.changing import NOT_YET
from ops.waiting import until_true
from sandbox.stack.testing import RunningStack
from services import contracts
from tests.rigs.bpctl import bpctl

LIST = "/bp.audit.v1.AuditService/ListAuditRecords"


@pytest.mark.parametrize("subject", ["\0", "rent\0march", "rent\nmarch"])
def test_a_subject_that_no_store_can_hold_is_refused_and_no_defect(
    stack: RunningStack, subject: str
) -> None:
    """PostgreSQL's text cannot contain NUL: such a subject failed with INTERNAL_ERROR."""
    mesh = Mesh(stack)
    try:
        request = pb.ListAuditRecordsRequest(subject=subject).SerializeToString()
        reply = mesh.call(contracts.load()[LIST], request, {})
        sound = pb.ListAuditRecordsRequest(subject="rent-march").SerializeToString()
        assert mesh.call(contracts.load()[LIST], sound, {}).code.name == "OK"
    finally:
        mesh.close()
    assert (reply.code.name, reply.reason) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")


def test_each_revision_of_the_mesh_is_in_the_audit_log(stack: RunningStack) -> None:
    """An edit in place is a revision; bpctl shows the record of each one."""
    before = _revisions(stack)
    file = stack.home.root / "mesh" / "config" / "mesh.yaml"
    draft = file.with_name(".mesh.yaml.new")
    draft.write_text(f"{file.read_text()}# {uuid.uuid4()}\n")
    draft.replace(file)

    def audited() -> bool:
        found = _revisions(stack)
        return len(found) == len(before) + 1 and all(e["audited"] != NOT_YET for e in found)

    until_true(audited, 60, "the edit is audited")
    shown = bpctl(stack.home.root, "mesh", "history", "--audit").stdout
    assert NOT_YET not in shown
    assert bpctl(stack.home.root, "audit", "verify").returncode == 0


def _revisions(stack: RunningStack) -> list[dict[str, Any]]:
    said = bpctl(stack.home.root, "mesh", "history", "--audit", "--json")
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)["revisions"]
