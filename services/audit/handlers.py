"""The reads of the log, one function for each RPC."""

import uuid
from dataclasses import dataclass

from services.audit.chain import AuditRow
from services.audit.errors import ChainUnknown
from services.audit.settings import CHAINS
from services.audit.store import Store
from services.chassis.page_tokens import PageTokens, page_rows, query_digest

_SEQUENCES = 2**64
"""A cursor is `chain * _SEQUENCES + sequence` of the last record on a page."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The dependencies of the handlers."""

    store: Store
    tokens: PageTokens


async def list_audit_records(
    deps: Dependencies, subject: str, chain: int, page_size: int, page_token: str
) -> tuple[list[AuditRow], str]:
    """Return a page of a subject's records, or of a chain's without a subject, and the next token.

    Raises ChainUnknown and PageTokenInvalid.
    """
    if not subject and not 0 <= chain < CHAINS:
        raise ChainUnknown
    digest = query_digest("ListAuditRecords", subject or chain)
    cursor = deps.tokens.open(page_token, digest)
    after_chain, after_sequence = divmod(cursor.int if cursor else 0, _SEQUENCES)
    rows_max = page_rows(page_size)
    if subject:
        found = await deps.store.list_by_subject(subject, after_chain, after_sequence, rows_max + 1)
    else:
        found = await deps.store.list_by_chain(chain, after_sequence, rows_max + 1)
    if len(found) <= rows_max:
        return found, ""
    return found[:rows_max], deps.tokens.seal(digest, _cursor(found[rows_max - 1]))


def _cursor(last: AuditRow) -> uuid.UUID:
    return uuid.UUID(int=last.chain * _SEQUENCES + last.sequence)
