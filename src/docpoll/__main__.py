"""`python -m docpoll`, the same as the command `docpoll`."""

from __future__ import annotations

import sys

from docpoll.cli import main

if __name__ == "__main__":
    sys.exit(main())
