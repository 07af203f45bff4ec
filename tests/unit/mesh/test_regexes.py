"""A regular expression that Envoy would refuse, or read otherwise than the check, is refused."""

import warnings

import pytest

from mesh.controlplane.ingest import regexes

GOOD = [
    *(
        "a",
        ".*",
        "[a-z]+",
        "(a|b)c{1,3}",
        "^a$",
        r"\d+",
        "(?i)ab",
        "(?P<n>a)b",
        "a{90}",
        r"\x41",
        "[a-z]{94}",
    ),
    *("(?:x|y){10}", "[]a]", "[^]a]", r"[\w.-]{1,16}", "a|", "()", "x{0}", r"a\b", r"\[a\b]", "a{"),
    r"/bp\.customers\.v1\.CustomersService/(Get|List)[A-Za-z]+",
]


@pytest.mark.parametrize("expression", GOOD)
def test_an_expression_that_envoy_accepts_is_accepted(expression: str) -> None:
    assert regexes.regex(expression) == expression


BAD = [
    ("a{101}", "has about 107 steps"),
    ("(?i)[@-Z]{45}", "steps"),
    ("(?i)[^a]{0,30}", "steps"),
    ("[a-z]{200}", "steps, and Envoy accepts 100"),
    ("((a{10}){10}){10}", "steps"),
    ("(a{500}){3}", "steps"),
    ("((x{0}){600}){2}", "steps"),
    ("x{0,1000}", "steps"),
    ("(?:a|b)" * 30, "steps"),
    ("|".join("abcdefgh" * 14), "steps"),
    (r"[^a]{60}", "steps"),
    ("é+", "printable ASCII"),
    ("(?P<é>a)", "printable ASCII"),
    ("a\n", "printable ASCII"),
    (r"[\b]", "two meanings"),
    ("[a&&b]", "two meanings"),
    ("[[a]", "two meanings"),
    (r"\Z", "RE2"),
    ("a{3,1}", "is not a regular expression"),
]


@pytest.mark.parametrize(("expression", "problem"), BAD)
def test_an_expression_that_envoy_refuses_is_refused(expression: str, problem: str) -> None:
    with warnings.catch_warnings():
        # Python says of some of them that it will read them otherwise.
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=problem):
            regexes.regex(expression)
