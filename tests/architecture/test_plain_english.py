"""Plain English: phrases that make a reader stop, each with what to write instead.

The list finds only known phrases; `python -m tools.check.sentences` prints random sentences to
review.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import texts

PHRASES = {
    r"\blest\b": "so that ... not",
    r"\bwhoever\b|\bwho (?:runs|starts|waits)\b": "the role: the caller, the relay, callers that",
    r"\b(?:is|are|was|were|be|been) told\b(?! to\b)": "gets, is notified, is logged",
    r"\b(?:goes|go|went|going) on\b(?! to\b)": "continues, keeps working",
    r"\bis over\b|\bare over\b": "has expired, has ended",
    r"\bin vain\b": "without success",
    r"\bas none\b": "is treated as absent, is ignored",
    r"\bso does\b": "name what it does",
    r"\bput aside\b": "parked, kept in CONFLICT",
    r"\bunder way\b": "in flight, running",
    r"\bbroken off\b": "interrupted",
    r"\banew\b": "again",
    r"\bfor ever\b": "forever, without a limit",
    r"\btime-outs?\b": "timeout",
    r"\bbeside\b": "next to, in addition to, concurrently with",
    r"\bbehind it\b": "after it",
    r"\ball the same\b": "still",
    r"\bby chance\b": "random",
    r"\bout of reach\b|\b(?:is|are) away\b": "unavailable",
    r"\bholds? up\b": "delays, blocks",
    r"\b(?:lie|lies|lay|stand|stands) (?:in(?! for)|on|at|there|between)\b": "is in, is at",
    r"\bsound mind\b|\bby heart\b": "consistent; from memory",
    r"\bnobody's fault\b": "name what is not at fault",
    r"\bmends?\b|\bspoil(?:s|t|ed)?\b": "repairs, clears; corrupts",
}
"""Pattern -> what to write instead."""

OWN_FILE = Path("tests/architecture/test_plain_english.py")
PROSE = (".py", ".md", ".proto", ".lua", ".yaml", ".toml", ".sql")


def _prose() -> Iterator[tuple[Path, str]]:
    """Yield the texts that people write and may change: migrations are frozen once released."""
    for path, text in texts().items():
        if path == OWN_FILE or path.suffix not in PROSE or "migrations" in path.parts:
            continue
        yield path, text


@pytest.mark.parametrize("phrase", PHRASES)
def test_no_text_has_a_phrase_that_makes_a_reader_stop(phrase: str) -> None:
    found = [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1} {match.group()!r}"
        for path, text in _prose()
        for match in re.finditer(phrase, text, re.IGNORECASE)
    ]
    assert found == [], f"write instead: {PHRASES[phrase]}"
