"""What `docpoll serve` is seen by from outside: an HTTP server, and the figures it gives.

Whose deliveries it takes and whether it is ready, it is told; it knows neither clients nor ledgers.
"""

from docpoll.serve.metrics import Metrics
from docpoll.serve.server import PORT, Door, Server

__all__ = ["PORT", "Door", "Metrics", "Server"]
