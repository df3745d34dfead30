"""The real command line, the real emulator, and documents to hand out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from docpoll.cli import main
from tests.cli.support import KEY, Emulator, Program, Said, SharedReader, pdf


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of its own, in which `docpoll.db` is the ledger."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def documents(folder: Path) -> Callable[..., Path]:
    """`documents(60)`: a folder with so many different documents."""

    def make(count: int, name: str = "invoices", first: int = 0) -> Path:
        place = folder / name
        place.mkdir(exist_ok=True)
        for number in range(first, first + count):
            (place / f"{number:04}.pdf").write_bytes(pdf(number))
        return place

    return make


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`cli("run", "invoices")`: the command, carried out in this process."""

    def carry_out(*arguments: str) -> Said:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Said(code=code, out=out, err=err)

    return carry_out


@pytest.fixture
def start() -> Iterator[Callable[..., Program]]:
    """`start("run", "invoices")`: the command in a process of its own, which does not outlive the test."""
    programs: list[Program] = []

    def begin(*arguments: str | bytes, **settings: Any) -> Program:
        programs.append(Program(*arguments, **settings))
        return programs[-1]

    yield begin
    for program in programs:
        if program.process.poll() is None:
            program.process.kill()
        program.process.communicate()


@pytest.fixture(scope="session")
def reader() -> Iterator[SharedReader]:
    """What reads the documents of every emulator in this process."""
    reader = SharedReader()
    yield reader
    reader.stop()


@pytest.fixture
def emulate(monkeypatch: pytest.MonkeyPatch, reader: SharedReader) -> Iterator[Callable[..., Emulator]]:
    """`emulate(speed=…)`: an emulator that takes `KEY` only, with that key in the environment."""
    emulators: list[Emulator] = []
    monkeypatch.setenv("TYPLESS_API_KEY", KEY)

    def begin(**settings: Any) -> Emulator:
        emulator = Emulator(**{"api_key": KEY, "speed": 50.0, "reader": reader} | settings)
        emulators.append(emulator)
        emulator.start()
        return emulator

    yield begin
    for emulator in emulators:
        emulator.stop()


@pytest.fixture
def typless(emulate: Callable[..., Emulator]) -> Callable[..., list[str]]:
    """`typless(emulator)`: the flags that send documents there."""

    def flags(emulator: Emulator, *, polls: bool = True) -> list[str]:
        return ["--base-url", emulator.url, "--document-type", "invoice", *(["--poll-every", "0.2s"] if polls else [])]

    return flags
