"""Jobs and their results as lines of JSON and as tables, and the files they are written to.

A file is complete or not there: it is written beside its place and moved in when it is whole.
Memory does not grow with the number of lines.
"""

from __future__ import annotations

from docpoll.export.columns import Column, Kind, Seen, plain
from docpoll.export.files import Export, check_out
from docpoll.export.lines import Line, dump, flat, instant, line_from_input, line_from_job, load, with_result
from docpoll.export.shapes import Asked, Dialect, asked_fields
from docpoll.export.spool import Spool

__all__ = [
    "Asked",
    "Column",
    "Dialect",
    "Export",
    "Kind",
    "Line",
    "Seen",
    "Spool",
    "asked_fields",
    "check_out",
    "dump",
    "flat",
    "instant",
    "line_from_input",
    "line_from_job",
    "load",
    "plain",
    "with_result",
]
