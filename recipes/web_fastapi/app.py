"""Documents in over HTTP, their fields out: docpoll inside a FastAPI application. How to run it is in README.md."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

import docpoll
from docpoll.webhooks import ASGIApp

#: The largest upload, in bytes.
LARGEST = 30_000_000
#: How many uploads are whole in memory at the same time, on their way into the ledger; the others wait on disk.
AT_ONCE = 4
#: How often who follows a job gets a sign of life, and how soon what another process did to it is seen; seconds.
SIGN_OF_LIFE = 2.0
#: A stream ends after so many seconds, and whoever follows comes back: servers wait for open streams when they stop.
LONGEST_STREAM = 30.0

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
) -> FastAPI:
    """The application, with a client of its own on the ledger *store*; several may live in one process."""
    news = News()
    client = docpoll.Client(provider, store=store, budget=docpoll.Budget(rate), on_event=news.heard)
    slots = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def run_client(_: FastAPI) -> AsyncIterator[None]:
        """The client lives as long as the application, in its loop; leaving it lets submits in flight be answered."""
        async with client:
            yield

    app = FastAPI(title="Documents", lifespan=run_client)
    app.state.news = news
    if webhook_token is not None:
        app.mount("/webhooks", ASGIApp(client, path=f"/webhooks/{provider.name}", token=webhook_token))

    @app.post("/documents", status_code=202)
    async def take(request: Request) -> JSONResponse:
        """A document, in a form or as the body itself. It is in the ledger when this is answered, and sent afterwards.

        Whoever uploads it once more, because the answer was lost, gets the same job.
        """
        async with uploaded(request) as (file, name), slots:
            document = docpoll.Document.from_bytes(file.read(), name=name)
            job = await client.submit(document, document_type=document_type, wait=False)
        # What is no document is refused here, and nobody is asked about it.
        status = 422 if job.state is docpoll.JobState.FAILED else 202
        return JSONResponse(told(job), status_code=status, headers={"Location": f"/documents/{job.id}"})

    @app.get("/documents/{id}")
    async def show(id: str) -> JSONResponse:
        """How far it is."""
        return JSONResponse(told(await asked_for(client, id)))

    @app.get("/documents/{id}/events")
    async def follow(request: Request, id: str) -> Response:
        """Server-sent events: `job` each time it changed, up to its end. Whoever knows the end is told to stay away."""
        job = await asked_for(client, id)
        if not job.is_open and request.headers.get("last-event-id") == job.state:
            return Response(status_code=204)
        return StreamingResponse(
            news.of(job, client), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    @app.get("/documents/{id}/result")
    async def result(id: str) -> JSONResponse:
        """The fields, once they are stored here; before that 202, and another status where there are none."""
        outcome = await client.outcome(await asked_for(client, id))
        assert outcome.job is not None
        if outcome.result is not None:
            return JSONResponse(told(outcome.job) | {"result": outcome.result.to_dict()})
        status = STATUS.get(type(outcome.error), 500)
        if outcome.job.error is not None and outcome.job.error.code in VENDORS_FAULT:
            status = 502
        headers = {"Retry-After": "2"} if status == 202 else {}
        return JSONResponse(told(outcome.job), status_code=status, headers=headers)

    @app.exception_handler(docpoll.StoreError)
    async def tell_fault(_: Request, fault: Exception) -> JSONResponse:
        """A ledger that cannot be written is no document's fault: it is worth trying again."""
        return JSONResponse({"error": {"code": "ledger", "message": str(fault)}}, status_code=503)

    @app.exception_handler(ClientDisconnect)
    async def say_nothing(_: Request, __: Exception) -> Response:
        """Whoever went away in the middle of an upload is no fault of ours, and hears no answer."""
        return Response(status_code=400)

    return app


@asynccontextmanager
async def uploaded(request: Request) -> AsyncIterator[tuple[IO[bytes], str]]:
    """The file of a form, or the body with the name that `?name=` gives it; on disk where it is large."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or "transfer-encoding" in request.headers:
        raise HTTPException(411, "say how long it is")
    if int(length) > LARGEST:
        raise HTTPException(413, f"more than {LARGEST} bytes")
    if "content-encoding" in request.headers:
        raise HTTPException(415, "send it as it is, not compressed")
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        with SpooledTemporaryFile(1_000_000) as body:
            async for chunk in request.stream():
                body.write(chunk)
            body.seek(0)
            yield body, request.query_params.get("name") or "document"
        return
    async with request.form() as form:
        files = [field for _, field in form.multi_items() if isinstance(field, UploadFile) and field.filename]
        if len(files) != 1:
            raise HTTPException(400, "the form must have one file")
        yield files[0].file, files[0].filename or ""


async def asked_for(client: docpoll.Client, id: str) -> docpoll.Job:
    """The job of that id."""
    try:
        job = await client.job(id)
    except docpoll.ConfigError:
        raise HTTPException(404, "no such document") from None
    if job.id != id:  # The beginning of an id is enough for people at a terminal, not here.
        raise HTTPException(404, "no such document")
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
        wake, last, ends_at = asyncio.Event(), None, time.monotonic() + LONGEST_STREAM
        yield f"retry: {SIGN_OF_LIFE * 1000:.0f}\n\n"
        followers = self._followers.setdefault(job.id, set())
        followers.add(wake)
        try:
            while not self._is_over and time.monotonic() < ends_at:
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


def from_environment() -> FastAPI:
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


class Server(uvicorn.Server):
    """uvicorn, which ends the streams when it is told to stop; of itself it would wait for those who listen."""

    def __init__(self, app: FastAPI, **settings: Any) -> None:
        super().__init__(uvicorn.Config(app, timeout_graceful_shutdown=3, **settings))
        self._news: News = app.state.news

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called once, at the first signal."""
        self._news.end()
        await super().shutdown(sockets)


if __name__ == "__main__":
    Server(from_environment(), host=os.environ.get("HOST", "127.0.0.1"), port=int(os.environ.get("PORT", "8080"))).run()
