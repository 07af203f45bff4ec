"""Regular expressions that Envoy accepts and that Python, which compares paths, reads alike.

Envoy uses RE2 over bytes. It refuses an expression whose program has more than 100 steps; a
repetition counts as often as it repeats. RE2's own count is not known here, so `_size` never
returns less.
"""

import re

_CHARS_MAX = 256
_PROGRAM_MAX = 100
"""The default of Envoy's re2.max_program_size.error_level."""
_AROUND = 4
"""The steps that every program has."""
_NOT_RE2 = re.compile(
    r"\(\?(?:=|!|<=|<!|P=|\(|#|>)|\\[1-9uUNZ]|[*+?}]\+"  # look-around, references, possessive
    r"|\(\?[a-zA-Z-]*[aLux]"  # flags of Python alone
)
_NOT_PYTHON = re.compile(r"\[[:.=]|\{,")
"""Classes such as [[:alpha:]], and {,n}: RE2 and Python both accept them with other meanings."""
_LITERAL = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
"""An escape or a class, in which nothing else has a meaning."""
_CHOICES_MAX = 3
_REPEATED = re.compile(r"\{([0-9]+)?(?:,([0-9]+)?)?\}")
_REPEATS_MAX = 1000
"""RE2's own limit."""
_NOT_IN_CLASS = re.compile(r"\\b|--|&&|~~|\|\||^\[")
"""RE2 has no backspace; Python will read the others as operations on sets."""
_TOKEN = re.compile(
    r"(?P<class>\[\^?\]?(?:\\.|[^\]\\])*\])"
    r"|(?P<open>\((?:\?P<[^>]*>|\?[a-zA-Z-]*[:)])?)|(?P<close>\))|(?P<or>\|)"
    r"|(?P<repeat>[*+?]|\{[0-9]+(?:,[0-9]*)?\})|(?P<one>\\.|.)"
)
_RANGES = {"d": 1, "D": 2, "s": 3, "S": 4, "w": 3, "W": 5}
"""How many ranges of bytes an escape is; `a-z` with `A-Z` is one."""
_RANGES_OF_DOT, _RANGES_OF_MIXED, _CAPTURE = 2, 3, 2
_FOLDED = re.compile(r"\(\?[a-zA-Z]*i")
"""The flag with which a letter is two."""
_ITEM = re.compile(r"[^\\]-[^\\]|\\.|.")
"""A part of a class: a range, an escape or a character."""
_PLAIN_RANGE = re.compile("[a-z]-[a-z]|[A-Z]-[A-Z]|[0-9]-[0-9]")


def regex(value: str) -> str:
    """Return an expression that Envoy accepts. Raises ValueError."""
    if len(value) > _CHARS_MAX:
        raise ValueError(f"must be at most {_CHARS_MAX} characters")
    if not value.isascii() or not value.isprintable():
        raise ValueError("must have only printable ASCII characters: Envoy compares single bytes")
    if found := _NOT_RE2.search(value):
        raise ValueError(f"RE2, which Envoy uses, has no {found[0]}; write it without")
    if found := _NOT_PYTHON.search(value):
        raise ValueError(f"{found[0]} has two meanings; write a class such as [a-z], or {{0,n}}")
    for each in _TOKEN.finditer(value):
        if found := _NOT_IN_CLASS.search((each["class"] or "")[1:-1]):
            raise ValueError(f"{found[0]} in a class has two meanings; write it without")
    counts = (int(each) for found in _REPEATED.findall(value) for each in found if each)
    if any(each > _REPEATS_MAX for each in counts):
        raise ValueError(f"RE2, which Envoy uses, repeats at most {_REPEATS_MAX} times")
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is not a regular expression: {error}") from error
    if (steps := _size(value)) > _PROGRAM_MAX:
        raise ValueError(
            f"has about {steps} steps, and Envoy accepts {_PROGRAM_MAX}: each character and class"
            " is one, times its repetitions; write less of them"
        )
    return value


def tried(value: str) -> str:
    """Refuse an expression with which Python, unlike RE2, could be busy for years."""
    plain = _LITERAL.sub("x", value).replace("(?", "(")
    if re.search(r"\)[*+{]", plain):
        raise ValueError("a repeated group is not supported; repeat a class such as [a-z]")
    if sum(plain.count(each) for each in "*+?{(") > _CHOICES_MAX:
        raise ValueError(f"use at most {_CHOICES_MAX} groups and repetitions; write more matches")
    return value


def _size(value: str) -> int:
    """Return at least the number of steps of a valid expression's program."""
    folded = _FOLDED.search(value) is not None
    groups: list[list[int]] = [[]]
    """The sizes of the parts of each open group; alternatives only add one."""
    for found in _TOKEN.finditer(value):
        parts, token = groups[-1], found[0]
        match found.lastgroup:
            case "open" if token[-1] == ")":
                continue  # Flags.
            case "open":
                groups.append([_CAPTURE] if token[-1] != ":" else [])
            case "close":
                groups.pop()
                groups[-1].append(max(sum(parts), 1))
            case "or":
                parts.append(2)
            case "repeat" if parts:
                parts[-1] = _repeated(parts[-1], token)
            case "class":
                parts.append(_of_class(token, folded=folded))
            case _:
                parts.append(_of_one(token))
    return sum(map(sum, groups)) + _AROUND


def _of_one(one: str) -> int:
    return _RANGES_OF_DOT if one == "." else _RANGES.get(one[1:], 1)


def _of_class(token: str, *, folded: bool) -> int:
    """Return how many ranges of bytes a class has at most."""
    body = token[1:-1]
    items = _ITEM.findall(body.removeprefix("^"))
    ranges = sum(_of_item(each) for each in items)
    if body[0] != "^":
        return ranges
    # What is left between the ranges; there `A-Z` and `a-z` are two.
    return 1 + (2 * ranges if folded else ranges + items.count(r"\w"))


def _of_item(item: str) -> int:
    if item[1:2] != "-" or len(item) == 1:
        return _RANGES.get(item[1:], 1)
    # Without regard to case, a range of other characters may become several.
    return 1 if _PLAIN_RANGE.fullmatch(item) else _RANGES_OF_MIXED


def _repeated(size: int, token: str) -> int:
    if token in ("*", "+", "?"):
        return size + 2
    low, _, high = token[1:-1].partition(",")
    if not high:
        return size * max(int(low), 1) + 2
    return (size + 1) * max(int(high), 1)
