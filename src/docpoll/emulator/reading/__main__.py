"""The child process: documents come in at stdin, readings go out at stdout.

One document at a time. In: the lengths of the name, of the content and of the XML beside it, 0 for none (`>IQQ`),
then the three.
Out: a length (`>I`) and a JSON object. The first object says whether reading can begin, `{"ready": true}`
or `{"missing": "…"}`; each further one is `{"result": …}` or `{"error": {code, message, details}}`.
The process ends when its stdin does, so it does not outlive the one that started it.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import signal
import struct
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import orjson

__all__ = ["main"]

Read = Callable[[bytes, str, bytes | None], dict[str, Any]]

_REQUEST = struct.Struct(">IQQ")
_LENGTH = struct.Struct(">I")
#: Characters; libraries quote whole documents in their complaints.
_LONGEST_DETAIL = 500
#: The parent takes no more.
_LARGEST_ANSWER = 16 * 1024 * 1024
#: Used only when the first document needs them; whether they are there is asked before.
_NEEDED = ("facturx", "invoice2data", "pypdfium2")


def main(arguments: Sequence[str] | None = None, *, read: Read | None = None) -> int:
    """Serve until stdin ends. *read* stands in for `read_document` where given."""
    options = _parse(arguments)
    _ignore_the_terminal()
    _limit_memory(options.memory_limit)
    requests, answers = _take_the_pipes()
    # Third parties explain themselves at length about documents they dislike.
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        _send(answers, orjson.dumps({"missing": ", ".join(missing)}))
        return 1
    from docpoll.emulator.reading import read_document

    _send(answers, orjson.dumps({"ready": True}))
    _silence_stderr()
    _serve(requests, answers, read or read_document, time_limit=options.time_limit + options.grace)
    return 0


def _serve(requests: BinaryIO, answers: BinaryIO, read: Read, *, time_limit: float) -> None:
    while lengths := requests.read(_REQUEST.size):
        name_length, content_length, beside_length = _REQUEST.unpack(lengths)
        name = requests.read(name_length).decode("utf-8", "replace")
        content = requests.read(content_length)
        beside = requests.read(beside_length)
        if len(content) < content_length or len(beside) < beside_length:
            return
        _end_after(time_limit)
        answer = _answer(read, content, name, beside or None)
        _end_after(0)
        _send(answers, answer)


def _answer(read: Read, content: bytes, name: str, beside: bytes | None) -> bytes:
    answer = orjson.dumps(_read(read, content, name, beside))
    if len(answer) <= _LARGEST_ANSWER:
        return answer
    said = f"what was read in this document is more than {_LARGEST_ANSWER} bytes, and no invoice"
    return orjson.dumps(_error("too_much", said, f"{len(answer)} bytes"))


def _read(read: Read, content: bytes, name: str, beside: bytes | None) -> dict[str, Any]:
    from docpoll.emulator.reading.unreadable import UnreadableDocument

    try:
        return {"result": read(content, name, beside)}
    except UnreadableDocument as exc:
        return _error(exc.code, exc.message, *exc.details)
    except MemoryError:
        return _error("out_of_memory", "reading this document takes more memory than is allowed")
    except Exception as exc:  # noqa: BLE001 - the next document must still be read
        return _error("reader_failed", "the document could not be read: the reader failed on it", repr(exc))


def _error(code: str, message: str, *details: str) -> dict[str, Any]:
    # Details quote the document and its name, which may hold what UTF-8 cannot, and at any length.
    told = [detail[:_LONGEST_DETAIL].encode("utf-8", "backslashreplace").decode() for detail in details]
    return {"error": {"code": code, "message": message, "details": told}}


def _send(answers: BinaryIO, answer: bytes) -> None:
    answers.write(_LENGTH.pack(len(answer)) + answer)
    answers.flush()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="docpoll.emulator.reading")
    parser.add_argument("--memory-limit", type=int, default=0, help="bytes; 0 is no limit")
    parser.add_argument("--time-limit", type=float, default=20.0, help="seconds for one document")
    parser.add_argument("--grace", type=float, default=5.0, help="seconds beyond it until the process ends itself")
    return parser.parse_args(arguments)


def _take_the_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes, kept for the messages: whoever prints or reads from here on meets `os.devnull`."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)
    return requests, answers


def _silence_stderr() -> None:
    # Until now a fault at the start could be told; from here on nobody listens.
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    os.close(nothing)


def _ignore_the_terminal() -> None:
    # Ctrl-C is for the parent, which then closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _limit_memory(limit: int) -> None:
    try:
        import resource
    except ImportError:  # not on this platform; the time limit still holds
        return
    if limit:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    # A crash is expected now and then; its core file is of no use to anyone.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _end_after(seconds: float) -> None:
    """Let the system end this process in *seconds*, even in the middle of a library; 0 calls that off.

    The parent is quicker. This is for a parent that was killed while a document held the process up.
    """
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)


if __name__ == "__main__":
    sys.exit(main())
