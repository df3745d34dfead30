"""Syntage's OpenAPI file as a judge of requests and answers, with the deviations from it that are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import orjson
import yaml
from openapi_core import Config, OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

from docpoll.wire import Request, Response

#: Any of its servers: requests are judged by what comes after the host.
HOST = "https://api.syntage.com"

Spec = dict[str, Any]


@attrs.frozen
class Deviation:
    """Something the vendor does that its file does not say."""

    what: str
    #: Who says so.
    source: str
    amend: Callable[[Spec], None]


def _statuses(spec: Spec) -> None:
    spec["components"]["schemas"]["ExtractionStatus"]["enum"] += ["waiting", "cancelled"]


def _rate_limited_at(spec: Spec) -> None:
    spec["components"]["schemas"]["ExtractionRateLimitedAt"]["nullable"] = True


def _null_among_words(node: Any) -> None:
    """Let *node*, and all that is in it, be null where it says so of itself and has a list of words without it."""
    if isinstance(node, dict):
        if node.get("nullable") and isinstance(words := node.get("enum"), list) and None not in words:
            words.append(None)
        for one in node.values():
            _null_among_words(one)
    elif isinstance(node, list):
        for one in node:
            _null_among_words(one)


def _ids_of_invoices(spec: Spec) -> None:
    for path in [path for path in spec["paths"] if "/invoices/{invoiceId}/" in path and "/tags" not in path]:
        spec["paths"][path.replace("{invoiceId}", "{id}")] = spec["paths"].pop(path)


def _redirects(spec: Spec) -> None:
    for path in ("/files/{id}/download", "/invoices/{id}/cfdi", "/tax-retentions/{id}/cfdi"):
        spec["paths"][path]["get"]["responses"]["302"] = {
            "description": "to the content",
            "headers": {"Location": {"required": True, "schema": {"type": "string"}}},
        }


def _address_of_pdf(spec: Spec) -> None:
    url = {"type": "object", "required": ["url"], "properties": {"url": {"type": "string"}}}
    answer = spec["paths"]["/background-checks/{id}/pdf"]["get"]["responses"]["200"]
    answer["content"]["application/json"] = {"schema": url}


def _paths_of_old(spec: Spec) -> None:
    for path in [path for path in spec["paths"] if "/datasources/mx/rpc/" in path]:
        spec["paths"][path.replace("/mx/rpc/", "/rpc/")] = spec["paths"][path]


def _reset(spec: Spec) -> None:
    headers = spec["components"]["responses"]["TooManyRequests"]["headers"]
    headers["X-RateLimit-Reset"]["schema"] = {"type": "string"}


def _operations(spec: Spec) -> Iterator[dict[str, Any]]:
    for item in spec["paths"].values():
        yield from (
            operation for method, operation in item.items() if method in {"get", "post", "put", "patch", "delete"}
        )


#: Lists that the guide to pages has cursors for.
_BY_CURSOR = ("/invoices", "/line-items", "/invoices/payments")


def _numbers_of_pages(spec: Spec) -> None:
    cursor = {"$ref": "#/components/parameters/collectionCursorNextPageParam"}
    for path, item in spec["paths"].items():
        asked = item.get("get", {}).get("parameters", [])
        if cursor in asked and not path.endswith(_BY_CURSOR):
            asked.append({"$ref": "#/components/parameters/collectionPage"})


def _stop_conflict(spec: Spec) -> None:
    spec["paths"]["/extractions/{id}/stop"]["delete"]["responses"]["409"] = {"description": "its body is on no page"}


def _everywhere(*statuses: str, description: str, content: dict[str, Any] | None = None) -> Callable[[Spec], None]:
    answer = {"description": description, **({} if content is None else {"content": content})}

    def amend(spec: Spec) -> None:
        for operation in _operations(spec):
            for status in statuses:
                operation["responses"].setdefault(status, answer)

    return amend


_HYDRA_ERROR = {
    "application/ld+json": {
        "schema": {
            "type": "object",
            "required": ["hydra:description"],
            "properties": {"hydra:title": {"type": "string"}, "hydra:description": {"type": "string"}},
        }
    }
}
_MESSAGE = {"application/json": {"schema": {"type": "object", "properties": {"message": {"type": "string"}}}}}

OVERLAY = (
    Deviation("the states waiting and cancelled", "the tables of its pages have eight, the schema six", _statuses),
    Deviation("rateLimitedAt may be null", "its description says so, its type does not", _rate_limited_at),
    Deviation("what is nullable may be null", "its type says so, its enumeration does not", _null_among_words),
    Deviation("an invoice's id goes by one name", "a path has another name than its parameter", _ids_of_invoices),
    Deviation("the paths of the RPC without mx", "an older copy of the file, and the guide to paths", _paths_of_old),
    Deviation("a file is answered with a redirect", "its description says so, its answers do not", _redirects),
    Deviation("a background check's PDF may be JSON with its address", "a user's library reads that", _address_of_pdf),
    Deviation("X-RateLimit-Reset in seconds since 1970", "the guide to limits; the file has a date", _reset),
    Deviation("pages by number", "the guide to pages; the file has cursors only, for all lists", _numbers_of_pages),
    Deviation("409 where an extraction can no longer be stopped", "users report it", _stop_conflict),
    Deviation(
        "429 in answer to anything",
        "the guide to limits; the file has it for one operation",
        _everywhere("429", description="too many requests", content=_MESSAGE),
    ),
    Deviation(
        "5xx in answer to anything, with any body",
        "users report it",
        _everywhere("500", "502", "503", "504", description="its body is on no page"),
    ),
    Deviation(
        "400 in answer to any body, as where the file has it",
        "it has it for extractions, credentials and webhook endpoints",
        _everywhere("400", description="refused", content=_HYDRA_ERROR),
    ),
    Deviation(
        "404 in answer to any id",
        "the file has it for most",
        _everywhere("404", description="not found", content=_MESSAGE),
    ),
    Deviation(
        "403 and 422 with a Hydra error",
        "the file has them for reports and tags",
        _everywhere("403", "422", description="refused", content=_HYDRA_ERROR),
    ),
)


class Contract:
    """The file with its overlay: what of a request or an answer is against it."""

    def __init__(self, spec: Spec, path: Path) -> None:
        # Only its shape is at hand here, not whether the vendor wrote a valid file.
        config = Config(
            spec_validator_cls=None,
            # XML is text to the file.
            extra_media_type_deserializers={"application/ld+json": orjson.loads, "text/xml": bytes.decode},
        )
        self.spec = spec
        self.path = path
        self._openapi = OpenAPI.from_dict(_Resolved(spec).whole, config=config)

    @classmethod
    def read(cls, path: Path, overlay: tuple[Deviation, ...] = OVERLAY) -> Contract:
        """The contract in the file at *path*, with *overlay*."""
        with path.open(encoding="utf-8") as file:
            # The loader in C reads the file, of more than a megabyte, in a second; the other takes ten times as long.
            spec = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe ones
        for deviation in overlay:
            deviation.amend(spec)
        return cls(spec, path)

    def amended(self, *overlay: Deviation) -> Contract:
        """The same with more deviations."""
        spec = deepcopy(self.spec)
        for deviation in overlay:
            deviation.amend(spec)
        return Contract(spec, self.path)

    def violations(self, request: Request, response: Response | None = None, *, wrong: bool = False) -> list[str]:
        """What is wrong, in words; empty where nothing is. Without *response* only the request is judged.

        Of a request that is *wrong* on purpose only the answer is.
        """
        asked = _asked(request)
        found = [] if wrong else [*self._undeclared(request, asked)]
        try:
            if not wrong:
                self._openapi.validate_request(asked)
            if response is not None:
                self._openapi.validate_response(asked, _answered(response))
        except OpenAPIError as exc:
            found.append(_said(exc))
        return found

    def _undeclared(self, request: Request, asked: MockRequest) -> Iterator[str]:
        """Filters the operation does not have: the vendor ignores them without a word, and gives everything."""
        path = urlsplit(request.url).path
        templates = [template for template in self.spec["paths"] if _fits(template, path)]
        # Of `/schedulers/rules` and `/schedulers/{id}` the one without a placeholder is meant.
        templates.sort(key=lambda template: template.count("{"))
        operation = next((self.spec["paths"][template].get(asked.method) for template in templates), None) or {}
        declared = {self._resolved(parameter)["name"] for parameter in operation.get("parameters", [])}
        for name, _ in parse_qsl(urlsplit(request.url).query):
            if name not in declared:
                yield f"{asked.method} {path} has no filter {name}"

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        if (reference := node.get("$ref")) is None:
            return node
        for name in reference.removeprefix("#/").split("/"):
            node = self.spec if name == "components" else node
            node = node[name]
        return node


class _Resolved:
    """A file with what it refers to in the place of the references, but for those that lead back to themselves.

    Judging takes half as long: each reference would be looked up again for every row.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        #: Reference → what is there; None while that is being resolved.
        self._known: dict[str, Any] = {}
        self.whole: Spec = self._of(spec)

    def _of(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self._of(one) for one in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return {name: self._of(one) for name, one in node.items()}
        if reference not in self._known:
            self._known[reference] = None
            found: Any = self._spec
            for name in reference.removeprefix("#/").split("/"):
                found = found[name]
            self._known[reference] = self._of(found)
        return self._known[reference] or node


def _fits(template: str, path: str) -> bool:
    parts, given = template.split("/"), path.split("/")
    return len(parts) == len(given) and all(
        part == one or part.startswith("{") for part, one in zip(parts, given, strict=True)
    )


def _asked(request: Request) -> MockRequest:
    parts = urlsplit(request.url)
    body = request.body if isinstance(request.body, bytes) else None
    headers = dict(request.headers)
    return MockRequest(
        HOST,
        request.method.lower(),
        parts.path,
        args=dict(parse_qsl(parts.query)),
        headers=headers,
        data=body,
        content_type=headers.get("Content-Type", ""),
    )


def _answered(response: Response) -> MockResponse:
    return MockResponse(
        response.body,
        status_code=response.status,
        headers=dict(response.headers),
        content_type=response.content_type or "application/octet-stream",
    )


def _said(exc: BaseException) -> str:
    errors = getattr(exc.__cause__, "schema_errors", None) or getattr(exc, "schema_errors", None) or ()
    told = "; ".join(f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors)
    return f"{type(exc).__name__}: {told or exc}"
