"""`docpoll syntage check`: what was read of invoices, held against their XML."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from docpoll.cli.codes import ExitCode
from docpoll.cli.screen import Screen, many, printable
from docpoll.errors import ConfigError
from docpoll.reading.cfdi import require_lxml
from docpoll.reading.comparing import Compared, compare
from docpoll.reading.folders import MANIFEST, Folder

__all__ = ["check"]


def check(paths: Sequence[str], *, json: bool, quiet: bool) -> int:
    """Carry out `docpoll syntage check`; gives the exit code. Raises `DocpollError` for what ends it with 2."""
    screen = Screen(json=json, quiet=quiet)
    require_lxml()
    wrong = nothing = False
    compared = 0
    for folder in [folder for path in paths for folder in _folders(path)]:

        def heard(told: Mapping[str, Any], rfc: str = folder.rfc) -> None:
            line = {"rfc": rfc, "id": told["id"], "uuid": told["uuid"], "field": None, "xml": None, "row": None}
            line = {**line, "unreadable": None, **told}
            if screen.json:
                screen.line(line)
            else:
                screen.show(_words(line))

        done = compare(folder, heard=heard)
        wrong, compared = wrong or bool(done.differing or done.unreadable), compared + done.compared
        nothing = nothing or bool(done.without and not (done.compared or done.unreadable))
        _tell(screen, folder, done)
    if wrong:
        return ExitCode.FAILED
    return ExitCode.WRONG if nothing or not compared else ExitCode.DONE


def _tell(screen: Screen, folder: Folder, done: Compared) -> None:
    """What came of a folder."""
    if folder.manifest().get("complete") is not True:
        screen.say(f"{folder.rfc}: what was read is not complete; what is there was held against its XML")
    for name in done.unfinished:
        screen.say(
            f"{folder.rfc}: {name}: its last line is only half there, as while it is read or after a kill, and was "
            "passed over; the read that was stopped goes on there"
        )
    if done.unwritten is not None:
        screen.say(f"{done.unwritten}; what differs is told here alone")
    if not (done.compared or done.unreadable):
        why = "no XML was read of them; read it with --files xml" if done.without else "no invoice was read"
        screen.say(f"{folder.rfc}: {many(done.without, 'invoice')}, and nothing to hold them against: {why}")
        return
    said = f"{many(done.compared, 'invoice')} held against their XML, {done.differing} differing"
    said = f"{said}, {done.unreadable} with an XML that is no CFDI, or gone"
    screen.tell(f"{folder.rfc}: {said}, {done.without} without one")


def _folders(path: str) -> list[Folder]:
    """The folder of a taxpayer, or those in it. Raises `ConfigError` where there is none with invoices."""
    whole = os.path.abspath(path)
    try:
        inside = sorted(one.path for one in os.scandir(whole) if one.is_dir())
    except OSError as exc:
        raise ConfigError(f"{printable(path)}: cannot be read ({exc.strerror or exc})") from exc
    places = [whole] if os.path.exists(os.path.join(whole, MANIFEST)) else inside
    found = [Folder(os.path.dirname(place), os.path.basename(place)) for place in places]
    folders = [folder for folder in found if os.path.exists(folder.table("invoices"))]
    if not folders:
        raise ConfigError(
            f"{printable(path)}: holds no invoices that were read; name the folder that was given to "
            "`docpoll syntage read --extractor invoice --out`"
        )
    return folders


def _words(line: Mapping[str, Any]) -> str:
    """A difference for people."""
    whose = f"{line['rfc']}: invoice {line['uuid'] or line['id']}"
    if line["unreadable"] is not None:
        return f"{whose}: its XML cannot be read: {printable(line['unreadable'])}"
    xml, row = (("nothing" if said is None else printable(said)) for said in (line["xml"], line["row"]))
    return f"{whose}: {line['field']}: the XML says {xml}, the row {row}"
