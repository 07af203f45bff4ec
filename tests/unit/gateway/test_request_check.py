"""The Lua source of the request check, as derived from the contracts."""

import re

import pytest

from gateway import request_check
from services import contracts


def test_literals_are_lua() -> None:
    assert request_check.literal({"a": [1, True, 'x"\\\n']}) == '{["a"]={1,true,"x\\"\\\\\\n"}}'
    with pytest.raises(TypeError, match="float"):
        request_check.literal(1.5)


def test_the_tables_know_both_spellings_and_skip_the_path() -> None:
    rules = request_check.TokenRules(
        lifetime_s=900, skew_s=5, ahead_s=120, audiences=("bank",), headers=("x-bp-subject",)
    )
    source = request_check.source(contracts.load(), rules)
    assert '["accountId"]={"accountId","string",false}' in source
    assert '["account_id"]={"accountId","string",false}' in source
    assert '["skip"]={["transferId"]=true}' in source


def test_the_tables_have_the_rules_in_words() -> None:
    rules = request_check.TokenRules(
        lifetime_s=900, skew_s=5, ahead_s=120, audiences=("bank",), headers=("x-bp-subject",)
    )
    source = request_check.source(contracts.load(), rules)
    unit = "must be a whole number of minor units (cents)"
    reach = "from -9223372036854775808 to 9223372036854775807"
    assert f'"int64",false,"{unit}","{unit} {reach}"' in source
    whole = "must be an integer"
    assert f'"int32",false,"{whole}","{whole} from 0 to 2147483647"' in source
    assert '["bp.type.v1.Money"]="must be an object with currencyCode and minorUnits"' in source
    assert '["text"]="must be one of CHECKING, SAVINGS"' in source
    types = re.search(r'\["bp.transfers.v1.ListEntriesRequest.type"\].*?\["text"\]="(.*?)"', source)
    assert types is not None
    assert "OTHER" not in types[1]
    assert "UNSPECIFIED" not in types[1]
