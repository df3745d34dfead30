"""Reading the fields of a document: what runs inside the emulator's child process.

Nothing is guessed. A value comes from XML that the issuer embedded, or from a template made for the
layout; where neither speaks, it is null.
"""

from docpoll.emulator.reading.document import read_document
from docpoll.emulator.reading.unreadable import UnreadableDocument

__all__ = ["UnreadableDocument", "read_document"]
