"""Files: what is told of one, and its content, which is made when it is read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import attrs

from docpoll.emulator.syntage.data.rows import Shape
from docpoll.emulator.syntage.shapes import instant

__all__ = ["StoredFile"]


@attrs.frozen(kw_only=True)
class StoredFile:
    """A file, whose content is made when it is read."""

    id: str
    #: The vendor's word for it.
    type: str
    #: The path of what it is a file of.
    resource: str
    media_type: str
    extension: str
    name: str
    created_at: datetime
    read: Callable[[], bytes] = attrs.field(repr=False)

    def shape(self) -> Shape:
        """As the vendor writes it; its size makes it read."""
        return {
            "@id": f"/files/{self.id}",
            "@type": "File",
            "id": self.id,
            "type": self.type,
            "resource": self.resource,
            "mimeType": self.media_type,
            "extension": self.extension,
            "size": len(self.read()),
            "filename": self.name,
            "createdAt": instant(self.created_at),
            "updatedAt": instant(self.created_at),
        }
