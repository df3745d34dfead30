"""The APIs docpoll speaks to, each described without `await`: requests are built and answers read, nothing is sent."""

from docpoll.providers.base import BaseProvider
from docpoll.providers.local import Local
from docpoll.providers.syntage import Syntage
from docpoll.providers.typless import Typless
from docpoll.providers.unknown import UnknownProvider
from docpoll.providers.uploads import multipart

__all__ = ["BaseProvider", "Local", "Syntage", "Typless", "UnknownProvider", "multipart"]
