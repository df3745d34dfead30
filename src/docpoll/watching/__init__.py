"""Folders that documents come into: heard of, looked at, and moved out of when done."""

from __future__ import annotations

from docpoll.watching.hearing import check_installed, hear
from docpoll.watching.looking import place_of, read_ending, stamp_of
from docpoll.watching.moving import LOCK, Shelf

__all__ = ["LOCK", "Shelf", "check_installed", "hear", "place_of", "read_ending", "stamp_of"]
