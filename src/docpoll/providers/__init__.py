"""The APIs docpoll speaks to, each described in one file: requests are built and answers read, nothing is sent."""

from docpoll.providers.local import Local
from docpoll.providers.typless import Typless

__all__ = ["Local", "Typless"]
