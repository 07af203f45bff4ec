"""What `bpctl` shows is explained where it is shown."""

from ops.bpctl import reviews


def test_each_effect_of_a_decision_has_a_message_and_a_meaning() -> None:
    assert reviews.EFFECTS.keys() == reviews.MEANINGS.keys()
