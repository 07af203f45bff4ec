"""Pushes are counted by call id, because a proxy retries a call with the same id."""

from typing import Any

from ops.judge.messages import calls


def _record(message_id: str, call_id: str) -> dict[str, Any]:
    message = {"android": {"notification": {"tag": "event-1"}}}
    return {"id": message_id, "callId": call_id, "message": message}


def test_a_call_that_a_proxy_repeats_counts_once_and_two_calls_twice() -> None:
    repeated = [_record("m1", "c1"), _record("m2", "c1")]
    assert calls("device", repeated) == [("device", "event-1")]
    assert len(calls("device", [*repeated, _record("m3", "c2")])) == 2
    assert len(calls("device", [_record("m1", ""), _record("m2", "")])) == 2
