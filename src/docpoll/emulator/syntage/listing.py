"""Collections: what is left in, in which order, and on which page.

The rules of this file, where the vendor's pages leave them open or contradict each other:

- an unknown filter, and a date that is none, is ignored, so a misspelt filter gives everything;
- of a parameter that is given twice the last one counts;
- pages are told by `id[lt]` or `id[gt]` where `X-Pagination-Style: cursor` asks for it and the order is that of ids,
  which is that of creation; else by `page`, with `hydra:totalItems`;
- `Accept: application/json` without `application/ld+json` gets a bare list, and no link to the next page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

import attrs

from docpoll.emulator.service import Call
from docpoll.emulator.syntage.yields import parse_instant

__all__ = ["Filters", "collection", "cursor_page", "page_size", "selected", "wants_list"]

_DEFAULT_SIZE: Final = 20
_LARGEST_SIZE: Final = 1000

_Test = Callable[[Any, Any], bool]
_BOUNDS: Final[Mapping[str, Callable[[datetime, datetime], bool]]] = {
    "before": lambda value, bound: value <= bound,
    "strictly_before": lambda value, bound: value < bound,
    "after": lambda value, bound: value >= bound,
    "strictly_after": lambda value, bound: value > bound,
}


@attrs.frozen(kw_only=True)
class Filters:
    """By what a collection can be narrowed and ordered."""

    #: Paths, in dots, into what is listed.
    exact: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    exists: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()
    #: Numbers, by `[gt]` and its like, and by `[between]` two with `..` between them.
    amounts: tuple[str, ...] = ()
    #: Where what a filter names stands, if not where it says.
    renamed: Mapping[str, str] = attrs.field(factory=dict)
    #: Pages only go by number.
    numbered: bool = False

    def place_of(self, name: str) -> str:
        """Where what the filter *name* names stands in what is listed."""
        return self.renamed.get(name, name)


_AMOUNTS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}


def wants_list(call: Call) -> bool:
    """Whether *call* wants plain JSON."""
    accepts = call.headers.get("accept", "")
    return "application/json" in accepts and "application/ld+json" not in accepts


def collection(call: Call, shapes: Sequence[dict[str, Any]], filters: Filters, *, context: str) -> Any:
    """The page of *shapes* that *call* asks for; they come in by falling ids."""
    rows = [shape for shape in shapes if _is_in(shape, call.query, filters)]
    order = next(
        ((path, way) for path in filters.orders if (way := call.query.get(f"order[{path}]", "").lower())), None
    )
    by_id = order is None or order[0] == "createdAt"
    if order is not None:
        path, way = order
        place = filters.place_of(path)
        rows.sort(key=lambda shape: (_sorted_by(_value(shape, place)), shape["id"]), reverse=way == "desc")
    rising = order is not None and order[1] != "desc"
    size = page_size(call)
    cursor = call.headers.get("x-pagination-style", "").lower() == "cursor" and by_id and not filters.numbered
    page = 1 if cursor else max(_number(call.query.get("page"), 1), 1)
    start = (page - 1) * size
    members = rows[start : start + size]
    if wants_list(call):
        return members
    view: dict[str, Any] = {"@id": _link(call, {}), "@type": "hydra:PartialCollectionView"}
    body: dict[str, Any] = {
        "@context": f"/contexts/{context}",
        "@id": call.path,
        "@type": "hydra:Collection",
        "hydra:member": members,
        "hydra:view": view,
    }
    more = len(rows) > start + size
    if cursor:
        if more:
            view["hydra:next"] = _link(call, {"id[gt]" if rising else "id[lt]": members[-1]["id"]})
        return body
    last = max(-(-len(rows) // size), 1)
    body["hydra:totalItems"] = len(rows)
    view |= {"hydra:first": _link(call, {"page": 1}), "hydra:last": _link(call, {"page": last})}
    if page > 1:
        view["hydra:previous"] = _link(call, {"page": page - 1})
    if more:
        view["hydra:next"] = _link(call, {"page": page + 1})
    return body


def page_size(call: Call) -> int:
    """How many rows a page of *call* has."""
    return min(max(_number(call.query.get("itemsPerPage"), _DEFAULT_SIZE), 1), _LARGEST_SIZE)


def cursor_page(
    call: Call, rows: Iterable[dict[str, Any]], filters: Filters, *, context: str, rising: bool = False
) -> dict[str, Any]:
    """The page of the first of *rows*, which come by their ids from where *call* asks for them on.

    No more of them is taken than the page needs.
    """
    size = page_size(call)
    members: list[dict[str, Any]] = []
    view: dict[str, Any] = {"@id": _link(call, {}), "@type": "hydra:PartialCollectionView"}
    for shape in rows:
        if _is_in(shape, call.query, filters):
            if len(members) == size:
                view["hydra:next"] = _link(call, {"id[gt]" if rising else "id[lt]": members[-1]["id"]})
                break
            members.append(shape)
    return {
        "@context": f"/contexts/{context}",
        "@id": call.path,
        "@type": "hydra:Collection",
        "hydra:member": members,
        "hydra:view": view,
    }


def selected(call: Call, rows: Iterable[dict[str, Any]], filters: Filters) -> Iterator[dict[str, Any]]:
    """Those of *rows* that *call* asks for, of all pages."""
    return (shape for shape in rows if _is_in(shape, call.query, filters))


def _sorted_by(value: Any) -> tuple[bool, Any]:
    """What sorts with others of its kind; nothing comes first."""
    return (False, "") if value is None else (True, value)


def _link(call: Call, changes: Mapping[str, Any]) -> str:
    query = urlencode({**call.query, **changes})
    return f"{call.path}?{query}" if query else call.path


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else default


def _value(shape: Mapping[str, Any], path: str) -> Any:
    """What stands at *path* in *shape*; None where nothing does."""
    value: Any = shape
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _is_in(shape: Mapping[str, Any], query: Mapping[str, str], filters: Filters) -> bool:
    for name, told in query.items():
        path, bracket, operator = name.partition("[")
        operator = operator.removesuffix("]")
        if name in filters.exact:
            wanted = _same(_value(shape, filters.place_of(name)), told)
        elif name in filters.partial:
            wanted = told.lower() in str(_value(shape, filters.place_of(name)) or "").lower()
        elif path == "id" and operator in {"lt", "gt"}:
            wanted = shape["id"] < told if operator == "lt" else shape["id"] > told
        elif path == "exists" and operator in filters.exists:
            wanted = (_value(shape, operator) is not None) == (told.lower() in {"1", "true"})
        elif bracket and path in filters.dates and operator in _BOUNDS:
            bound, at = parse_instant(told), parse_instant(_value(shape, path))
            wanted = bound is None or (at is not None and _BOUNDS[operator](at, bound))
        elif bracket and path in filters.amounts:
            wanted = _is_between(_value(shape, filters.place_of(path)), operator, told)
        else:
            continue
        if not wanted:
            return False
    return True


def _is_between(value: Any, operator: str, told: str) -> bool:
    """Whether the number *value* is as *told*; what is no number asks for nothing."""
    try:
        bounds = [float(one) for one in told.split("..")]
    except ValueError:
        return True
    if not isinstance(value, int | float):
        return False
    if operator == "between" and len(bounds) == 2:
        return bounds[0] <= value <= bounds[1]
    test = _AMOUNTS.get(operator)
    return test is None or test(value, bounds[0])


def _same(value: Any, told: str) -> bool:
    match value:
        case bool():
            return value == (told.lower() in {"1", "true"})
        case list() | tuple():
            return told in value
        case None:
            return False
    return str(value) == told
