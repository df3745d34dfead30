"""What the emulated Syntage remembers, in the file `StateFile` opens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from cattrs.preconf.orjson import make_converter

from docpoll.emulator.statefile import StateFile, from_micros, read_statements, to_micros
from docpoll.emulator.syntage.records import KINDS, Extraction, PendingDelivery, Thing

__all__ = ["SyntageState"]

_T = TypeVar("_T", bound=Thing)

_converter: Final = make_converter()
# JSON as it came; a copy of each value would take most of the time.
_converter.register_structure_hook_func(lambda kind: kind == Mapping[str, Any], lambda value, _: value)
#: The first and the last instant SQLite is asked for.
_ALWAYS: Final = (-(2**62), 2**62)


class SyntageState(StateFile):
    """Things by kind and id; as with `StateFile`.

    Changes are made within `transaction()`.
    """

    application_id = 0x64704573  # "dpEs" in ASCII
    schema_version = 1
    sql = read_statements(__package__, "state.sql")

    def next_number(self) -> int:
        """The number of the next thing; 1 where there never was one."""
        return int(self._one("next_number")[0])

    def add(self, thing: Thing) -> None:
        """Store a new *thing*."""
        self._do("add", **_row(thing), created_at=to_micros(thing.created_at))

    def put(self, thing: Thing) -> None:
        """Store a changed *thing*."""
        self._do("put", **_row(thing))

    def drop(self, thing: Thing) -> None:
        """Forget *thing*."""
        self._do("drop", kind=thing.kind, id=thing.id)

    def drop_before(self, kind: type[Thing], before: datetime) -> None:
        """Forget the things of this *kind* that were made earlier; makes its own transaction."""
        values = {"kind": kind.kind, "before": to_micros(before)}
        if self._row("any_before", **values) is not None:
            with self.transaction():
                self._do("drop_before", **values)

    def get(self, kind: type[_T], id: str) -> _T | None:
        """The thing with this *id*."""
        row = self._row("get", kind=kind.kind, id=id)
        return None if row is None else _converter.loads(row["body"], kind)

    def all(self, kind: type[_T], *, first: datetime | None = None, last: datetime | None = None) -> list[_T]:
        """The things of this *kind* that were made from *first* to *last*, by falling ids, so the newest come first."""
        bounds = {
            "first": _ALWAYS[0] if first is None else to_micros(first),
            "last": _ALWAYS[1] if last is None else to_micros(last),
        }
        return _read(self._do("all", kind=kind.kind, **bounds), kind)

    def named(self, kind: type[_T], name: str) -> list[_T]:
        """The things of this *kind* with this name, oldest first."""
        return _read(self._do("named", kind=kind.kind, name=name), kind)

    def first_due(self, at: datetime) -> Thing | None:
        """What is due first, at the instant *at* or before; deliveries are not among them."""
        row = self._row("first_due", at=to_micros(at))
        return None if row is None else _converter.loads(row["body"], KINDS[row["kind"]])

    def deliveries_due(self, at: datetime, *, limit: int) -> list[PendingDelivery]:
        """The deliveries that are due at the instant *at*, the oldest first."""
        return _read(self._do("deliveries_due", at=to_micros(at), limit=limit), PendingDelivery)

    def next_due(self) -> datetime | None:
        """When something happens next, a delivery or anything else."""
        due_at = self._one("next_due")["due_at"]
        return None if due_at is None else from_micros(due_at)

    # Counts.

    def note_poll(self, extraction: Extraction) -> int:
        """Count a look at *extraction*, written later; gives how many there were before."""
        row = self._row("polls_of", id=extraction.id)
        before = self._polls[extraction.id] + (0 if row is None else int(row["count"]))
        self._polls[extraction.id] += 1
        return before

    def polls(self) -> dict[str, int]:
        """How often each extraction was looked at, by id."""
        self.flush()
        return {row["id"]: row["count"] for row in self._do("polls")}

    def _write_buffered(self) -> None:
        super()._write_buffered()
        for extraction_id, count in self._polls.items():
            self._do("count_polls", id=extraction_id, count=count)


def _row(thing: Thing) -> dict[str, Any]:
    return {
        "kind": thing.kind,
        "id": thing.id,
        "name": thing.found_by,
        "due_at": None if thing.due_at is None else to_micros(thing.due_at),
        "body": _converter.dumps(thing),
    }


def _read(rows: Iterable[Any], kind: type[_T]) -> list[_T]:
    return [_converter.loads(row["body"], kind) for row in rows]
