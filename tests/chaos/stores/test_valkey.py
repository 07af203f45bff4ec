"""Customers who pay do not notice a killed, stopped or empty Valkey.

Their services only read the revoked sessions there. tests/chaos/logins has what logins notice.
"""

import asyncio

from ops.provision import valkey
from ops.provision.credentials import load_or_make
from ops.waiting import scaled_s
from tests.chaos.stores.load import load
from tests.rigs.running_bank import Bank

KEPT = "a-test-kept-this"


async def _told(bank: Bank, *words: str) -> str:
    """Send one command as the operator and return the first line of its answer."""
    login = valkey.login(load_or_make(bank.stack.home.secrets), valkey.OPERATOR)
    reader, writer = await asyncio.open_unix_connection(bank.where["BP_VALKEY_SOCKET"])
    try:
        for line in (("AUTH", login["username"], login["password"]), words):
            writer.write(" ".join(line).encode() + b"\r\n")
        async with asyncio.timeout(scaled_s(5)):
            assert await reader.readline() == b"+OK\r\n"
            return (await reader.readline()).decode().strip()
    finally:
        writer.transport.abort()


async def test_payers_do_not_notice_a_stopped_or_empty_valkey(bank: Bank) -> None:
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
        assert await _told(bank, "EXISTS", KEPT) == ":0"
        await paying.more(10)
    assert not paying.refusals
    await paying.assert_whole()
