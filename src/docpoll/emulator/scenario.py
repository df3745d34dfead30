"""Scenarios: what the emulator does wrong, read from files and from JSON."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from typing import Any, Final, Literal, get_args, get_origin

import attrs
import cattrs
import orjson
from cattrs.gen import make_dict_structure_fn

from docpoll.emulator.deliveries import Deliveries
from docpoll.emulator.faults import FAULTS, TEN_YEARS, Awaiting, Ending, Fault, JobFault, between
from docpoll.emulator.limits import Limit
from docpoll.errors import ConfigError

__all__ = ["Scenario"]


def _check_labels(_: object, attribute: attrs.Attribute[Any], value: Mapping[str, Any]) -> None:
    for label in value:
        if not _has_bytes(label):
            raise ConfigError(f"{attribute.name}: {label!r:.80}: {_A_TEXT}")


def _has_bytes(text: str) -> bool:
    """Whether *text* can be sent: JSON from a file always can, a text made in Python may hold half a character."""
    return _printable(text) == text


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


_A_TEXT: Final = "give a text that UTF-8 can carry"


def _conflict(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    if value not in (409, 429):
        raise ConfigError(f"{attribute.name} {value}: give 409 or 429")


@attrs.frozen(kw_only=True)
class Scenario:
    """What the emulator does wrong, and how often. Without anything in it, nothing."""

    #: Another seed, other requests that go wrong.
    seed: int = attrs.field(default=0, validator=between(-(2**53), 2**53, "a whole number that JSON can carry"))
    #: The share of faults that name none.
    rate: float = attrs.field(default=1.0, validator=between(0, 1, "a share from 0 to 1"))
    #: What `awaiting-poll` lists; None: as the emulator was started.
    awaiting: Awaiting | None = None
    limit: Limit | None = None
    #: Syntage: how many XML files of one RFC are had from SAT in 24 hours; more, and `rateLimitedAt` is set.
    files_a_day: int = attrs.field(default=2000, validator=between(0, 1_000_000, "0 to 1000000"))
    #: Syntage: what a second extraction is answered with while its twin is open: 409, or 429 as before July 2026.
    conflict_status: int = attrs.field(default=409, validator=_conflict)
    #: Syntage: how long a link to a file lives, on the emulator's clock.
    link_seconds: float = attrs.field(default=300.0, validator=between(0, TEN_YEARS, "seconds from 0 to ten years"))
    #: Syntage: whether an invoice's XML and PDF come by a link too, in place of the answer itself.
    cfdi_by_link: bool = False
    #: Syntage: which paths the lists of the RPC have: with `mx` in them, as of old without, or both.
    rpc_paths: Literal["new", "old", "both"] = "new"
    #: Syntage: whether only those lists go by cursors of which the vendor's guide says so, and the others by numbers.
    numbered: bool = False
    #: What goes wrong with webhook calls.
    deliveries: Deliveries = attrs.field(factory=Deliveries)
    #: By names of their own, in the order in which they are asked; a fault without a `kind` is of the kind of its name.
    faults: Mapping[str, Fault | JobFault] = attrs.field(factory=dict, validator=_check_labels)

    @staticmethod
    def names() -> list[str]:
        """The scenarios that are shipped."""
        return sorted(
            entry.name.removesuffix(".toml") for entry in _shipped().iterdir() if entry.name.endswith(".toml")
        )

    @classmethod
    def named(cls, name: str) -> Scenario:
        """A shipped scenario. Raises `ConfigError`, which lists them, for any other name."""
        return cls.from_mapping({"name": name})

    @classmethod
    def from_file(cls, path: str) -> Scenario:
        """The scenario in a TOML file, or in a JSON file where its name ends so; or a shipped one by its name.

        Raises `ConfigError` for a file that cannot be read or is none.
        """
        if path in cls.names():
            return cls.named(path)
        source = _printable(f"scenario {path}")
        try:
            with open(path, "rb") as file:
                content = file.read()
        except FileNotFoundError as exc:
            names = ", ".join(cls.names())
            raise ConfigError(f"{source}: there is no such file, and the shipped ones are {names}") from exc
        except OSError as exc:
            raise ConfigError(f"{source}: it cannot be read: {exc.strerror}") from exc
        except ValueError as exc:  # a name that no file can have
            raise ConfigError(f"{source}: it cannot be read: {exc}; give the path of a file") from exc
        is_json = path.lower().endswith(".json")
        try:
            told = orjson.loads(content) if is_json else tomllib.loads(content.decode())
        except ValueError as exc:
            raise ConfigError(f"{source}: it is no {'JSON' if is_json else 'TOML'}: {exc}") from exc
        return cls.from_mapping(told, source=source)

    @classmethod
    def from_mapping(cls, told: Any, *, source: str = "scenario") -> Scenario:
        """The scenario that *told* describes, as in a file; with a `name`, what it changes in that shipped one.

        A fault or limit of the shipped one is left out by naming it with None (`null`).
        *source* begins the message of the `ConfigError` that is raised for an unknown key or an impossible value.
        """
        try:
            return _converter.structure(_with_kinds(_whole(told)), cls)
        except cattrs.BaseValidationError as exc:
            raise ConfigError(_printable("; ".join(f"{source}: {line}" for line in _lines(exc)))) from exc
        except ConfigError as exc:
            raise ConfigError(_printable(f"{source}: {exc}")) from exc

    def to_mapping(self) -> dict[str, Any]:
        """The scenario as JSON: every key, defaults too; `from_mapping()` makes the same of it."""
        told: dict[str, Any] = _converter.unstructure(self)
        return told


def _shipped() -> Any:
    return files(__package__).joinpath("scenarios")


def _whole(told: Any) -> Any:
    """*told*, laid on the shipped scenario that it names."""
    if not isinstance(told, dict):
        return told
    under = _told(told["name"]) if "name" in told else {}
    changed = told.get("faults")
    for label, fault in changed.items() if isinstance(changed, dict) else ():
        if fault is None and label not in under.get("faults", {}):
            raise ConfigError(f"faults.{label}: {_not_there(told.get('name'), under.get('faults', {}))}")
    return _merged(under, {key: value for key, value in told.items() if key != "name"})


def _not_there(name: Any, faults: Mapping[str, Any]) -> str:
    if name is None:
        return "null takes a fault of a shipped scenario away; give its name too"
    there_are = ", ".join(faults) or "none at all"
    return f"null takes a fault of {name} away, which has none of that name; it has {there_are}"


def _told(name: Any) -> dict[str, Any]:
    names = Scenario.names()
    if name not in names:
        raise ConfigError(f"name {name!r:.80} is none of the shipped scenarios: {', '.join(names)}")
    shipped: dict[str, Any] = tomllib.loads(_shipped().joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    return shipped


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """*over* laid on *under*, tables within tables."""
    both = dict(under)
    for key, value in over.items():
        below = both.get(key)
        both[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return both


def _with_kinds(told: Any) -> Any:
    """*told* with the kind of each fault in it, and without the faults that were taken away."""
    if not isinstance(told, dict) or "faults" not in told:
        return told
    if not isinstance(told["faults"], dict):
        raise ConfigError(f"faults: {told['faults']!r:.80}: give a table of tables")
    faults = {
        label: {"kind": label, **fault} if isinstance(fault, dict) else fault
        for label, fault in told["faults"].items()
        if fault is not None
    }
    return {**told, "faults": faults}


# -- reading -------------------------------------------------------------------------------------------------------

_converter: Final = cattrs.Converter()


def _register(kind: type, what: str, *, also: tuple[type, ...] = ()) -> None:
    """Take a *kind* for what it is, and nothing that could be turned into one."""

    def read(value: Any, _: Any) -> Any:
        wanted = isinstance(value, (kind, *also)) and (kind is bool or not isinstance(value, bool))
        if not wanted or (isinstance(value, float) and not math.isfinite(value)):
            raise ConfigError(f"{value!r:.80}: give {what}")
        if isinstance(value, str) and not _has_bytes(value):
            raise ConfigError(f"{value!r:.80}: {_A_TEXT}")
        return kind(value)

    _converter.register_structure_hook(kind, read)


_register(int, "a whole number")
_register(float, "a number", also=(int,))
_register(bool, "true or false")
_register(str, "a text")


def _read_ending(value: Any, _: Any) -> Any:
    if value == "cut" or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise ConfigError(f'{value!r:.80}: give an HTTP status, or "cut"')


def _reads_word(literal: Any) -> Callable[[Any, Any], Any]:
    allowed = get_args(literal)

    def read(value: Any, _: Any) -> Any:
        if value not in allowed:
            raise ConfigError(f"{value!r:.80}: give one of {', '.join(allowed)}")
        return value

    return read


def _reads_list(kind: Any) -> Callable[[Any, Any], Any]:
    (element, _) = get_args(kind)

    def read(value: Any, _: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{value!r:.80}: give a list")
        return tuple(_converter.structure(one, element) for one in value)

    return read


def _reads_table(cls: type[Any]) -> Callable[[Any, Any], Any]:
    read_known: Callable[[Any, Any], Any] = make_dict_structure_fn(cls, _converter)
    fields = attrs.fields(cls)
    known = [field.name for field in fields]
    required = [field.name for field in fields if field.default is attrs.NOTHING]
    # `name` and `kind` are taken off before the table gets here.
    also = {Scenario: ["name"], Limit: [], Deliveries: []}.get(cls, ["kind"])
    allowed = ", ".join([*also, *known])

    def read(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{value!r:.80}: give a table of {allowed}")
        if unknown := [str(key) for key in value if key not in known]:
            raise ConfigError(f"unknown key {', '.join(unknown)}; there are {allowed}")
        if missing := [name for name in required if name not in value]:
            raise ConfigError(f"{', '.join(missing)} is missing")
        return read_known(value, cls)

    return read


def _read_fault(value: Any, _: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{value!r:.80}: give a table, such as {{rate = 0.05}}")
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in FAULTS:
        raise ConfigError(f"kind {kind!r:.80}: give one of {', '.join(FAULTS)}")
    return _converter.structure({key: one for key, one in value.items() if key != "kind"}, FAULTS[kind])


def _is_a(origin: Any, kind: Any) -> bool:
    return get_origin(kind) is origin


def _told_fault(fault: Fault | JobFault) -> dict[str, Any]:
    return {"kind": fault.kind, **{one.name: getattr(fault, one.name) for one in attrs.fields(type(fault))}}


_converter.register_structure_hook(Ending, _read_ending)
_converter.register_structure_hook_factory(lambda kind: _is_a(Literal, kind), _reads_word)
_converter.register_structure_hook_factory(lambda kind: _is_a(tuple, kind), _reads_list)
_converter.register_structure_hook_factory(attrs.has, _reads_table)
_converter.register_structure_hook(Fault | JobFault, _read_fault)
_converter.register_unstructure_hook_func(lambda kind: kind in FAULTS.values(), _told_fault)


def _lines(exc: cattrs.BaseValidationError) -> Iterator[str]:
    """What is wrong, each with the key it is about before it."""
    for line in cattrs.transform_error(exc, format_exception=lambda error, _: str(error)):
        message, _, path = line.rpartition(" @ ")
        key = path.removeprefix("$").removeprefix(".").replace("['", ".").replace("']", "")
        yield f"{key}: {message}" if key else message
