"""The APIs docpoll speaks to, each described without `await`: requests are built and answers read, nothing is sent."""

from docpoll.providers.local import Local
from docpoll.providers.syntage import Syntage
from docpoll.providers.typless import Typless

__all__ = ["Local", "Syntage", "Typless"]
