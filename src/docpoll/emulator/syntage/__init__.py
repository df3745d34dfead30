"""The emulated Syntage: extractions of Mexican tax data that take their time, with what surrounds them."""

from __future__ import annotations
