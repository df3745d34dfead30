"""How far a batch is, as a bar that works on a terminal and in notebooks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from docpoll.client.outcomes import Outcome
from docpoll.errors import ConfigError

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(total: int) -> Iterator[Callable[[Outcome], None]]:
    """A bar over *total* inputs; each outcome moves it on, and those without a result are counted beside it.

    On a terminal it is text on stderr, in a notebook a widget, elsewhere nothing; nor is there one over no inputs.
    Call it in the thread that may display; outcomes are counted from any one.
    Raises `ConfigError` where the extra `notebook` is missing.
    """
    try:
        from tqdm.auto import tqdm
    except ModuleNotFoundError as exc:
        raise ConfigError("progress=True needs tqdm: pip install 'docpoll[notebook]'") from exc
    without = 0
    # None: not where stderr is no terminal; a notebook has its bar all the same.
    disable = None if total and sys.stderr is not None else True
    with tqdm(total=total, unit="doc", disable=disable) as bar:

        def count(outcome: Outcome) -> None:
            nonlocal without
            if outcome.result is None:
                without += 1
                bar.set_postfix_str(f"{without} without a result", refresh=False)
            bar.update()

        yield count
