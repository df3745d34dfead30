"""Rows of a list, in the order of their ids, from anywhere in it; those of invoices are made while they are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["Listed", "Made", "Rows", "Shape"]

Shape = dict[str, Any]


class Rows(ABC):
    """All rows of a list, before anything is left out."""

    @abstractmethod
    def falling(self, below: str | None = None) -> Iterator[Shape]:
        """Those with an id less than *below*, the newest first."""

    @abstractmethod
    def rising(self, above: str | None = None) -> Iterator[Shape]:
        """Those with an id greater than *above*, the oldest first."""

    @abstractmethod
    def depth(self, below: str | None) -> int:
        """About how many come before the first with an id less than *below*."""


class Listed(Rows):
    """Rows that are all there."""

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self._shapes = sorted(shapes, key=lambda shape: str(shape["id"]))
        self._ids = [str(shape["id"]) for shape in self._shapes]

    def falling(self, below: str | None = None) -> Iterator[Shape]:
        """As with `Rows`."""
        yield from reversed(self._shapes[: self._end(below)])

    def rising(self, above: str | None = None) -> Iterator[Shape]:
        """As with `Rows`."""
        yield from self._shapes[0 if above is None else bisect_right(self._ids, above) :]

    def depth(self, below: str | None) -> int:
        """As with `Rows`."""
        return len(self._ids) - self._end(below)

    def _end(self, below: str | None) -> int:
        return len(self._ids) if below is None else bisect_left(self._ids, below)


class Made(Rows):
    """Rows that stand for what is at *places*: a place gives the ids of its rows in order, and the row of one.

    *density* is how many rows a place has, more or less.
    """

    def __init__(
        self,
        places: range,
        *,
        id_at: Callable[[int], str],
        ids: Callable[[int], Sequence[str]],
        shapes: Callable[[int], Mapping[str, Callable[[], Shape]]],
        density: float = 1.0,
    ) -> None:
        self._places = places
        self._id_at = id_at
        self._ids = ids
        self._shapes = shapes
        self._density = density

    def falling(self, below: str | None = None) -> Iterator[Shape]:
        """As with `Rows`."""
        for place in reversed(self._places[: self._end(below)]):
            told = self._shapes(place)
            for one in reversed(self._ids(place)):
                if below is None or one < below:
                    yield told[one]()

    def rising(self, above: str | None = None) -> Iterator[Shape]:
        """As with `Rows`."""
        for place in self._places[max(self._end(above) - 1, 0) if above is not None else 0 :]:
            told = self._shapes(place)
            for one in self._ids(place):
                if above is None or one > above:
                    yield told[one]()

    def depth(self, below: str | None) -> int:
        """As with `Rows`."""
        return round((len(self._places) - self._end(below)) * self._density)

    def _end(self, below: str | None) -> int:
        """How many places have a first row with an id less than *below*."""
        if below is None:
            return len(self._places)
        return bisect_left(self._places, below, key=self._id_at)
