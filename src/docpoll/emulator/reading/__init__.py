"""Reading the fields of a document: what runs inside the emulator's child process.

Nothing is guessed. A value comes from XML that the issuer made, from a template made for the layout, or from a
label that the page itself confirms; what is in doubt says so in its confidence (`invoice` tells what each one
means), and where nothing speaks the value is null.
"""

from docpoll.emulator.reading.document import read_document
from docpoll.emulator.reading.unreadable import UnreadableDocument

__all__ = ["UnreadableDocument", "read_document"]
