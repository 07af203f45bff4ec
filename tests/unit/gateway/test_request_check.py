"""The Lua source of the request check, as derived from the contracts."""

import pytest

from gateway import request_check
from services import contracts


def test_literals_are_lua() -> None:
    assert request_check.literal({"a": [1, True, 'x"\\\n']}) == '{["a"]={1,true,"x\\"\\\\\\n"}}'
    with pytest.raises(TypeError, match="float"):
        request_check.literal(1.5)


def test_the_tables_know_both_spellings_and_skip_the_path() -> None:
    source = request_check.source(contracts.load())
    assert '["accountId"]={"accountId","string",false}' in source
    assert '["account_id"]={"accountId","string",false}' in source
    assert '["skip"]={["transferId"]=true}' in source
