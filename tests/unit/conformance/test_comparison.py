"""A difference needs a reason, and a reason needs a difference."""

from lab.conformance.comparison import Row, compare, rows

TIMEOUTS = Row(("* serves *: timeout_ms",), "*", "unlimited", "no timeouts")


def test_equal_answers_are_counted_by_their_fields() -> None:
    facts = {"payments cluster customers": {"balancer": "RANDOM", "tls": {"sni": "a", "lowest": 1}}}
    verdict = compare(facts, facts, ())
    assert (verdict.equal, verdict.holds) == (3, True)


def test_a_difference_without_a_reason_is_reported() -> None:
    verdict = compare({"a serves /x": {"timeout_ms": 1}}, {"a serves /x": {"timeout_ms": 2}}, ())
    assert [(each.ours, each.istio) for each in verdict.unexplained] == [(1, 2)]
    assert not verdict.holds


def test_a_reason_explains_only_the_values_that_it_names() -> None:
    ours = {"a serves /x": {"timeout_ms": 1}, "a serves /y": {"timeout_ms": 1}}
    istio = {"a serves /x": {"timeout_ms": "unlimited"}, "a serves /y": {"timeout_ms": 2}}
    verdict = compare(ours, istio, [TIMEOUTS])
    assert [each.fact for each in verdict.explained["no timeouts"]] == ["a serves /x: timeout_ms"]
    assert [each.fact for each in verdict.unexplained] == ["a serves /y: timeout_ms"]


def test_a_question_that_only_one_side_answers_is_a_difference() -> None:
    verdict = compare({"gateway routes GET /x": "answers 404"}, {}, ())
    assert len(verdict.unexplained) == 1


def test_a_reason_that_explains_nothing_is_reported() -> None:
    verdict = compare({}, {}, [TIMEOUTS])
    assert verdict.idle == (TIMEOUTS,)
    assert not verdict.holds


def test_every_row_of_the_table_has_a_reason() -> None:
    assert all(row.reason.endswith(".") for row in rows())
