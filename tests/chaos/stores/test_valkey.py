"""No caller notices a killed, stopped or empty Valkey, because the bank stores nothing there."""

import asyncio

from ops.waiting import scaled_s
from tests.chaos.stores.load import load
from tests.rigs.running_bank import Bank

KEPT = "a-test-kept-this"


async def _told(bank: Bank, *words: str) -> str:
    """Send one command and return the first line of its answer."""
    reader, writer = await asyncio.open_unix_connection(bank.where["BP_VALKEY_SOCKET"])
    try:
        writer.write(" ".join(words).encode() + b"\r\n")
        async with asyncio.timeout(scaled_s(5)):
            return (await reader.readline()).decode().strip()
    finally:
        writer.transport.abort()


async def test_callers_do_not_notice_a_stopped_or_empty_valkey(bank: Bank) -> None:
    ana, luis = await bank.customer(), await bank.customer()
    async with load(bank) as paying:
        killed = await asyncio.to_thread(bank.stack.kill, "valkey")
        await paying.more(10)
        await asyncio.to_thread(bank.stack.wait_ready, "valkey", not_pid=killed)
        await asyncio.to_thread(bank.stack.stop, "valkey")
        try:
            await paying.more(10)
            assert (await bank.book(ana, luis, 1_00)).status == 200
        finally:
            await asyncio.to_thread(bank.stack.start, "valkey")
        assert await _told(bank, "SET", KEPT, "1") == "+OK"
        assert await _told(bank, "FLUSHALL") == "+OK"
        await paying.more(10)
        assert await _told(bank, "DBSIZE") == ":0", "a service uses Valkey: document its failure"
    assert not paying.refusals
    await paying.assert_whole()
