"""A partner's answer has a size limit and no compression."""

import gzip
from collections.abc import AsyncGenerator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from services.chassis.http_client import ANSWER_BYTES_MAX, partner_session, read_answer
from services.payments.partners.ach import AchClient
from services.payments.saga import Outcome
from tests.rigs import outside
from tests.unit.payments.orders import transfer

URL = "http://partner.example/"


class _Partner:
    """Answers every request with the same bytes and notes the headers of the last one."""

    def __init__(self) -> None:
        self.body = b""
        self.headers: dict[str, str] = {}
        self.accepts = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Return the bytes in parts, without a Content-Length."""
        self.accepts = request.headers.get("Accept-Encoding", "")
        response = web.StreamResponse(status=200, headers=self.headers)
        await response.prepare(request)
        try:
            for start in range(0, len(self.body), 10_000):
                await response.write(self.body[start : start + 10_000])
        except ConnectionError:
            return response
        return response


@pytest_asyncio.fixture
async def partner(tmp_path: Path) -> AsyncGenerator[_Partner]:
    partner = _Partner()
    async with outside.serving(tmp_path, {outside.EVERY_PATH: partner.answer}):
        yield partner


@pytest_asyncio.fixture
async def session(tmp_path: Path) -> AsyncGenerator[aiohttp.ClientSession]:
    async with partner_session(outside.settings_of(tmp_path)) as session:
        yield session


async def test_an_answer_within_the_limit_is_read_whole(
    partner: _Partner, session: aiohttp.ClientSession
) -> None:
    partner.body = bytes(range(256)) * (ANSWER_BYTES_MAX // 256)
    async with session.get(URL) as response:
        assert await read_answer(response) == partner.body
    assert partner.accepts == "identity"


async def test_an_answer_beyond_the_limit_is_not_read(
    partner: _Partner, session: aiohttp.ClientSession
) -> None:
    partner.body = b" " * (ANSWER_BYTES_MAX + 1)
    async with session.get(URL) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await read_answer(response)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "x-unknown"])
async def test_a_compressed_answer_is_not_read(
    partner: _Partner, session: aiohttp.ClientSession, coding: str
) -> None:
    partner.body, partner.headers = gzip.compress(b" " * 1_000_000), {"Content-Encoding": coding}
    async with session.get(URL) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await read_answer(response)


@pytest.mark.parametrize("coding", ["", "gzip"])
async def test_a_client_takes_a_long_or_compressed_answer_for_none(
    partner: _Partner, session: aiohttp.ClientSession, coding: str
) -> None:
    body = b'{"state":"CANCELLED"' + b" " * ANSWER_BYTES_MAX + b"}"
    partner.body = gzip.compress(body) if coding else body
    partner.headers = {"Content-Encoding": coding} if coding else {}
    assert (await AchClient(session, session, "key").query(transfer())).outcome is Outcome.NO_ANSWER
