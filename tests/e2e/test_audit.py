"""The audit service lists records for callers in the mesh."""

import pytest
from bp.audit.v1 import audit_service_pb2 as pb

from lab.fuzz.mesh import Mesh
from sandbox.stack.testing import RunningStack
from services import contracts

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
