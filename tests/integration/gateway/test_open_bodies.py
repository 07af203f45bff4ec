"""The filter of bodies that have not arrived yet: its networks, its limits and its clock.

Valkey's Lua runs the filter's own code, because the tests set the clock and need many addresses.
"""

import json
from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from gateway.open_bodies import REQUEST_BYTES, PoolLimits, source
from tests.rigs.stores import ValkeyStore

BODY_BYTES = 1000
ONE = REQUEST_BYTES + BODY_BYTES
ARRIVAL_S = 16
SMALL = PoolLimits(address=ONE, site=2 * ONE, total=4 * ONE)
LARGE = PoolLimits(address=2 * ONE, site=3 * ONE, total=3 * ONE)
_RUN = """
local now, envoy_on_request = 0, nil
local os = {time = function() return now end}
%s
local function sent(call)
  local status = 200
  local values = {pool = call.pool, body_bytes_max = call.bytes, ["content-length"] = call.bytes}
  local map = {get = function(_, name) return values[name] end}
  local info = {downstreamRemoteAddress = function() return call.address end}
  local function chunk() if call.is_open then error("no more of the body arrives") end end
  now = call.at_s
  local is_done, problem = pcall(envoy_on_request, {
    metadata = function() return map end,
    headers = function() return map end,
    streamInfo = function() return info end,
    bodyChunks = function() return chunk end,
    respond = function(_, headers) status = tonumber(headers[":status"]) end,
  })
  if not is_done and not string.find(problem, "no more of the body arrives") then error(problem) end
  return status
end
local found = {}
for place, call in ipairs(cjson.decode(ARGV[1])) do found[place] = sent(call) end
return found
"""


@dataclass(frozen=True)
class Call:
    """A call of a public method; if it is open, its body never arrives."""

    address: str
    at_s: int = 1000
    pool: str = "small"
    is_open: bool = True
    bytes: int = BODY_BYTES


@pytest_asyncio.fixture
async def lua(valkey: ValkeyStore) -> AsyncGenerator[Redis]:
    """Give an interpreter of Lua."""
    client = valkey.client("auth")
    yield client
    await client.aclose()


async def _statuses(lua: Redis, *calls: Call) -> list[int]:
    """Return the status of each call; a new filter gets all of them."""
    code = _RUN % source(SMALL, LARGE, ARRIVAL_S)
    return await lua.eval(code, 0, json.dumps([asdict(each) for each in calls]))


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        ("192.0.2.1:33", "192.0.2.1:34", 429),
        ("192.0.2.1:33", "192.0.2.2:33", 200),
        ("[2001:db8::1]:1", "[2001:db8:0:0:ffff::2]:1", 429),
        ("[2001:db8::1]:1", "[2001:db8:0:1::1]:1", 200),
        ("[2001:db8:1:2:3:4:5:6]:1", "[2001:db8:1:2::]:1", 429),
        ("[2001:db8:1:2:3:4:5:6]:1", "[2001:db8:1:3:3:4:5:6]:1", 200),
        ("[::1]:4", "[::2]:5", 429),
        ("[1::3:4:5:6:7:8]:1", "[1:0:3:4::9]:1", 429),
        ("[fe80::1%eth0]:1", "[fe80::2%eth1]:1", 429),
    ],
)
async def test_an_ipv6_address_stands_for_its_network(
    lua: Redis, first: str, second: str, status: int
) -> None:
    assert await _statuses(lua, Call(first), Call(second)) == [200, status]


async def test_the_networks_of_an_ipv6_site_have_a_limit_together(lua: Redis) -> None:
    """Other sites and IPv4 addresses are served, and then all together have a limit."""
    site = [Call(f"[2001:db8:7:{network}::1]:1") for network in ("a", "b", "c")]
    others = [Call("[2001:db8:8:a::1]:1"), Call("192.0.2.1:1"), Call("192.0.2.2:1")]
    assert await _statuses(lua, *site, *others) == [200, 200, 429, 200, 200, 429]


async def test_a_full_pool_leaves_the_other_pool_empty(lua: Redis) -> None:
    pools = {"small": 4, "large": 3}
    for full, free in (("small", "large"), ("large", "small")):
        calls = [Call(f"192.0.2.{n}:1", pool=full) for n in range(pools[full] + 1)]
        other = Call("192.0.2.99:1", pool=free)
        assert await _statuses(lua, *calls, other) == [200] * pools[full] + [429, 200]


async def test_an_unfinished_call_gives_its_memory_back_after_its_time(lua: Redis) -> None:
    first, early, late = (Call("192.0.2.1:1", at_s) for at_s in (1000, 1016, 1017))
    assert await _statuses(lua, first, early, late) == [200, 429, 200]


async def test_a_clock_that_is_set_back_keeps_no_memory(lua: Redis) -> None:
    """The call before the change would otherwise keep its memory, and that of all later calls."""
    before, after = Call("192.0.2.9:1", 1000), Call("192.0.2.1:1", 400)
    too_early, late = (Call("192.0.2.1:1", 400 + s) for s in (ARRIVAL_S, ARRIVAL_S + 1))
    again = Call("192.0.2.9:1", 400 + ARRIVAL_S + 1)
    assert await _statuses(lua, before, after, too_early, late, again) == [200, 200, 429, 200, 200]


async def test_a_body_that_has_arrived_gives_its_memory_back_at_once(lua: Redis) -> None:
    calls = [Call("192.0.2.1:1", is_open=False) for _ in range(9)]
    assert await _statuses(lua, *calls) == [200] * 9
