"""Documents in over HTTP, their fields out: docpoll inside an aiohttp application. How to run it is in README.md."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

import docpoll
from docpoll.webhooks import aiohttp_routes

#: What every handler finds in its application; nothing of it lives outside of one.
CLIENT = web.AppKey("client", docpoll.Client)
DOCUMENT_TYPE = web.AppKey("document_type", str)
SLOTS = web.AppKey("slots", asyncio.Semaphore)

#: The largest upload, in bytes.
LARGEST = 30_000_000
#: How many uploads are whole in memory at the same time, on their way into the ledger; the others wait on disk.
AT_ONCE = 4
#: How often who follows a job gets a sign of life, and how soon what another process did to it is seen; seconds.
SIGN_OF_LIFE = 2.0

#: What reading a form raises that is none.
MALFORMED = (HttpProcessingError, ValueError, LookupError, RuntimeError, AssertionError)

#: How the ends of a job are said in HTTP; 202 where it has not ended.
STATUS: dict[type, int] = {
    docpoll.StillRunning: 202,
    docpoll.SubmitUncertain: 202,
    docpoll.JobCancelled: 409,
    docpoll.ResultExpired: 410,
    docpoll.ResultPurged: 410,
    docpoll.JobFailed: 422,
    docpoll.JobTimedOut: 504,
}
#: Verdicts that say nothing against the document.
VENDORS_FAULT = ("bad_answer", "not_found")


def make_app(
    provider: docpoll.Typless | docpoll.Local,
    *,
    store: str = "docpoll.db",
    document_type: str = "invoice",
    webhook_token: str | None = None,
    rate: float | None = None,
) -> web.Application:
    """The application, with a client of its own on the ledger *store*; several may live in one process."""
    news = News()
    client = docpoll.Client(provider, store=store, budget=docpoll.Budget(rate), on_event=news.heard)
    app = web.Application(client_max_size=LARGEST, middlewares=[tell_faults])
    app[CLIENT], app[DOCUMENT_TYPE], app[NEWS] = client, document_type, news
    app[SLOTS] = asyncio.Semaphore(AT_ONCE)
    app.add_routes(
        [
            web.post("/documents", take),
            web.get("/documents/{id}", show),
            web.get("/documents/{id}/events", follow),
            web.get("/documents/{id}/result", result),
        ]
    )
    if webhook_token is not None:
        app.add_routes(aiohttp_routes(client, token=webhook_token))
    app.cleanup_ctx.append(run_client)
    app.on_shutdown.append(end_streams)
    return app


async def run_client(app: web.Application) -> AsyncIterator[None]:
    """The client lives as long as the application, in its loop; leaving it lets submits in flight be answered."""
    async with app[CLIENT]:
        yield


async def end_streams(app: web.Application) -> None:
    """Who follows a job is not waited for."""
    app[NEWS].end()


# -- what is answered ---------------------------------------------------------------------------------------------


async def take(request: web.Request) -> web.Response:
    """A document, in a form or as the body itself. It is in the ledger when this is answered, and sent afterwards.

    Whoever uploads it once more, because the answer was lost, gets the same job.
    """
    async with uploaded(request) as (file, name), request.app[SLOTS]:
        document = docpoll.Document.from_bytes(file.read(), name=name)
        job = await request.app[CLIENT].submit(document, document_type=request.app[DOCUMENT_TYPE], wait=False)
    # What is no document is refused here, and nobody is asked about it.
    status = 422 if job.state is docpoll.JobState.FAILED else 202
    return web.json_response(told(job), status=status, headers={"Location": f"/documents/{job.id}"})


async def show(request: web.Request) -> web.Response:
    """How far it is."""
    return web.json_response(told(await asked_for(request)))


async def follow(request: web.Request) -> web.StreamResponse:
    """Server-sent events: `job` each time it changed, up to its end. Whoever knows the end is told to stay away."""
    job = await asked_for(request)
    if not job.is_open and request.headers.get("Last-Event-ID") == job.state:
        return web.Response(status=204)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    with suppress(ConnectionError):  # Whoever listened went away.
        await response.prepare(request)
        async for line in request.app[NEWS].of(job, request.app[CLIENT]):
            await response.write(line.encode())
    return response


async def result(request: web.Request) -> web.Response:
    """The fields, once they are stored here; before that 202, and another status where there are none."""
    outcome = await request.app[CLIENT].outcome(await asked_for(request))
    assert outcome.job is not None
    if outcome.result is not None:
        return web.json_response(told(outcome.job) | {"result": outcome.result.to_dict()})
    status = STATUS.get(type(outcome.error), 500)
    if outcome.job.error is not None and outcome.job.error.code in VENDORS_FAULT:
        status = 502
    headers = {"Retry-After": "2"} if status == 202 else {}
    return web.json_response(told(outcome.job), status=status, headers=headers)


@asynccontextmanager
async def uploaded(request: web.Request) -> AsyncIterator[tuple[IO[bytes], str]]:
    """The file of a form, or the body with the name that `?name=` gives it; on disk where it is large."""
    if request.content_length is None or "Transfer-Encoding" in request.headers:
        raise web.HTTPLengthRequired(text="say how long it is\n")
    if request.content_length > LARGEST:
        raise web.HTTPRequestEntityTooLarge(LARGEST, request.content_length)
    if "Content-Encoding" in request.headers:
        raise web.HTTPUnsupportedMediaType(text="send it as it is, not compressed\n")
    if request.content_type != "multipart/form-data":
        with SpooledTemporaryFile(1_000_000) as body:
            async for chunk in request.content.iter_any():
                body.write(chunk)
            body.seek(0)
            yield body, request.query.get("name") or "document"
        return
    try:
        fields = (await request.post()).values()
    except MALFORMED:
        raise web.HTTPBadRequest(text="the form cannot be read\n") from None
    files = [field for field in fields if isinstance(field, web.FileField)]
    if len(files) != 1:
        raise web.HTTPBadRequest(text="the form must have one file\n")
    yield files[0].file, files[0].filename


async def asked_for(request: web.Request) -> docpoll.Job:
    """The job of the path."""
    job_id = request.match_info["id"]
    try:
        job = await request.app[CLIENT].job(job_id)
    except docpoll.ConfigError:
        raise web.HTTPNotFound(text="no such document\n") from None
    if job.id != job_id:  # The beginning of an id is enough for people at a terminal, not here.
        raise web.HTTPNotFound(text="no such document\n")
    return job


def told(job: docpoll.Job) -> dict[str, Any]:
    """What anybody who may see *job* is told of it."""
    return {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "vendor_status": job.status,
        "finished_at": None if job.finished_at is None else job.finished_at.isoformat(),
        "error": None if job.error is None else {"code": job.error.code, "message": job.error.message},
    }


@web.middleware
async def tell_faults(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """A ledger that cannot be written is no document's fault: it is worth trying again."""
    try:
        return await handler(request)
    except docpoll.StoreError as exc:
        return web.json_response({"error": {"code": "ledger", "message": str(exc)}}, status=503)


class News:
    """Wakes those who follow a job when something has happened to it."""

    def __init__(self) -> None:
        self._followers: dict[str, set[asyncio.Event]] = {}
        self._is_over = False

    def heard(self, job: docpoll.Job, event: object) -> None:
        """Called by the client after each event, in its loop."""
        for follower in self._followers.get(job.id, ()):
            follower.set()

    def end(self) -> None:
        """End all streams: nobody is to wait for them when the application stops."""
        self._is_over = True
        for followers in self._followers.values():
            for follower in followers:
                follower.set()

    async def of(self, job: docpoll.Job, client: docpoll.Client) -> AsyncIterator[str]:
        """The stream of *job*, as its lines."""
        wake, last = asyncio.Event(), None
        yield f"retry: {SIGN_OF_LIFE * 1000:.0f}\n\n"
        followers = self._followers.setdefault(job.id, set())
        followers.add(wake)
        try:
            while not self._is_over:
                wake.clear()
                job = await client.job(job.id)
                if (now := told(job)) != last:
                    yield f"id: {job.state}\nevent: job\ndata: {json.dumps(now)}\n\n"
                else:
                    yield ": still there\n\n"
                last = now
                if not job.is_open:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), SIGN_OF_LIFE)
        except docpoll.StoreError:
            return  # Too late for a status: the stream ends, and whoever comes back is told.
        finally:
            followers.discard(wake)
            if not followers:
                self._followers.pop(job.id, None)


NEWS = web.AppKey("news", News)


def from_environment() -> web.Application:
    """The application as the environment has it: Typless where there is a key for it, else the local provider."""
    given = os.environ
    provider: docpoll.Typless | docpoll.Local = docpoll.Local()
    if key := given.get("TYPLESS_API_KEY"):
        url = given.get("TYPLESS_BASE_URL")
        provider = docpoll.Typless(key, base_url=url) if url else docpoll.Typless(key)
    return make_app(
        provider,
        store=given.get("DOCPOLL_STORE", "docpoll.db"),
        document_type=given.get("DOCUMENT_TYPE", "invoice"),
        # Nobody delivers to the local provider.
        webhook_token=given.get("DOCPOLL_WEBHOOK_TOKEN") if key else None,
        rate=float(given["RATE"]) if "RATE" in given else None,
    )


if __name__ == "__main__":
    # A request ends with whoever made it; what it began goes on. A compressed body is not unpacked, but refused.
    web.run_app(
        from_environment(),
        host=os.environ.get("HOST", "127.0.0.1"),
        port=int(os.environ.get("PORT", "8080")),
        handler_cancellation=True,
        auto_decompress=False,
        shutdown_timeout=3,
    )
