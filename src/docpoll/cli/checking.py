"""`docpoll syntage check`: what was read of invoices, held against their XML."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from docpoll.cli.codes import ExitCode
from docpoll.cli.screen import Screen, many, printable
from docpoll.errors import ConfigError
from docpoll.reading.cfdi import require_lxml
from docpoll.reading.comparing import compare
from docpoll.reading.folders import MANIFEST, Folder

__all__ = ["check"]


def check(paths: Sequence[str], *, json: bool, quiet: bool) -> int:
    """Carry out `docpoll syntage check`; gives the exit code. Raises `DocpollError` for what ends it with 2."""
    screen = Screen(json=json, quiet=quiet)
    require_lxml()
    differing = unreadable = 0
    for folder in [folder for path in paths for folder in _folders(path)]:

        def heard(told: Mapping[str, Any], rfc: str = folder.rfc) -> None:
            line = {"rfc": rfc, "id": told["id"], "uuid": told["uuid"], "field": None, "xml": None, "row": None}
            line = {**line, "unreadable": None, **told}
            if screen.json:
                screen.line(line)
            else:
                screen.show(_words(line))

        done = compare(folder, heard=heard)
        differing, unreadable = differing + done.differing, unreadable + done.unreadable
        if folder.manifest().get("complete") is not True:
            screen.say(f"{folder.rfc}: what was read is not complete; what is there was held against its XML")
        said = f"{many(done.compared, 'invoice')} held against their XML, {done.differing} differing"
        screen.tell(f"{folder.rfc}: {said}, {done.unreadable} with an XML that is no CFDI")
    return ExitCode.FAILED if differing or unreadable else ExitCode.DONE


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
