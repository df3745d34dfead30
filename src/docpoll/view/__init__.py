"""The document view: pages as images, with the boxes of a result drawn where its values stand.

What is drawn is told by `marks`, without an image library; `child` turns a page of a document, which nobody here
trusts, into pixels in a process of its own; `drawing` draws on them. `picture` is the whole of it.
Needs the extra `view`.
"""

from __future__ import annotations

from docpoll.view.picture import MOST_PAGES, check_extra, draw_page, draw_png

__all__ = ["MOST_PAGES", "check_extra", "draw_page", "draw_png"]
