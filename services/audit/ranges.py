"""A set of numbers as ranges, for offsets that rise almost without gaps. Pure."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class Ranges:
    """Numbers from 0; memory is proportional to the number of gaps, not of numbers."""

    def __init__(self) -> None:
        self._firsts = array("q")
        self._lasts = array("q")
        """Both ascend; ranges neither overlap nor touch each other."""

    def __len__(self) -> int:
        """Return the number of ranges."""
        return len(self._firsts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield each range, first and last number inclusive, in ascending order."""
        return zip(self._firsts, self._lasts, strict=True)

    @property
    def last(self) -> int:
        """The highest number, -1 if there is none."""
        return self._lasts[-1] if self._lasts else -1

    def count(self) -> int:
        """Return the count of the numbers."""
        return sum(last - first + 1 for first, last in self)

    def add(self, first: int, last: int | None = None) -> None:
        """Add a number, or all numbers from the first to the last."""
        last = first if last is None else last
        # The usual case: the next number.
        if self._lasts and first == self._lasts[-1] + 1:
            self._lasts[-1] = last
            return
        # The ranges in [begin, end) overlap or touch the new one.
        begin = bisect_left(self._lasts, first - 1)
        end = bisect_right(self._firsts, last + 1)
        if begin < end:
            first = min(first, self._firsts[begin])
            last = max(last, self._lasts[end - 1])
        if end - begin == 1:
            self._firsts[begin], self._lasts[begin] = first, last
        else:
            self._firsts[begin:end] = array("q", (first,))
            self._lasts[begin:end] = array("q", (last,))

    def update(self, other: "Ranges") -> None:
        """Add all numbers of another set."""
        for first, last in other:
            self.add(first, last)

    def up_to(self, end: int) -> "Ranges":
        """Return the numbers below `end`."""
        found = Ranges()
        for first, last in self:
            if first < end:
                found.add(first, min(last, end - 1))
        return found

    def gaps(self, begin: int) -> Iterator[tuple[int, int]]:
        """Yield the gaps from `begin` to the last number, first and last number inclusive."""
        expected = begin
        for first, last in self:
            if first > expected:
                yield expected, first - 1
            expected = max(expected, last + 1)
