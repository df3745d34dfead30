"""What a provider need not say: how answers over HTTP are read, and everything that has a sensible default.

The rules for answers are those of the design: what leaves open whether a document was taken is `AnswerLost`, what
speaks of the address or the key is a fault of the account, and nothing but the vendor's own verdict ends a job.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, NoReturn

import attrs
import orjson

from docpoll.documents import MEDIA_TYPES, Document
from docpoll.envelopes import Meaning, error_from_response, parse_json, raw_text, read_envelope
from docpoll.errors import AccountFault, ConfigError, RemoteProtocolError, Unauthorized
from docpoll.events import Accepted, AnswerLost, BadAnswer, Event, NotFound, NotSent, PollMissed, Refused, Suspicion
from docpoll.interfaces import Likeness
from docpoll.jobs import Job
from docpoll.keys import origin_of
from docpoll.providers.answers import UNSAID, is_id, is_page, suspected, tidy_base_url, where_to
from docpoll.results import Result
from docpoll.schedules import LearnedSchedule, PollSchedule
from docpoll.wire import Request, Response

__all__ = ["Answers", "BaseProvider"]

#: Submit answers below 500 that speak of the plan, a proxy or the address rather than of the document.
_NOT_ABOUT_THE_DOCUMENT: Final = frozenset({402, 404, 405, 407, 421})
#: "No such job", in one of the ways an API says it.
_NO_SUCH_JOB: Final = frozenset({400, 404, 410, 422})

_ACCEPTED: Final = 202
_OK: Final = 200


@attrs.frozen(kw_only=True)
class Answers(ABC):
    """Reads answers to submits and polls, whatever the vendor's words are for what they say."""

    #: The vendor's name in the ledger.
    name: ClassVar[str]
    #: What each of the vendor's status words means; a word that is not here is "unfinished", and kept as written.
    meanings: ClassVar[Mapping[str, Meaning]]
    #: The documented codes of an answer that takes a document; another 2xx is read as well, and counted as odd.
    accepts_with: ClassVar[Collection[int]] = (200, 201, 202)

    #: The vendor's pages promise `application/json`; JSON that comes under another name is read as well, and counted.
    says_json: ClassVar[bool] = False
    #: What an id is called there, in messages.
    _id_name: ClassVar[str] = "id"

    #: A label, never derived from the key, so keys can rotate.
    account: str = attrs.field(default="default")
    schedule: PollSchedule = attrs.field(factory=LearnedSchedule)

    @account.validator
    def _check_account(self, _: object, value: str) -> None:
        if not value or not value.strip():
            raise ConfigError(f"account {value!r}: give it a name, such as 'default'")

    # What differs from vendor to vendor.

    @abstractmethod
    def id_in(self, answer: dict[str, Any]) -> Any:
        """The vendor's name for the job, text or a whole number, in the JSON *answer* to a submit.

        Anything else says that there is none: the submit's answer is lost then.
        """

    def status_in(self, answer: dict[str, Any]) -> Any:
        """The vendor's status word in the JSON *answer* to a poll; anything but text: there is none."""
        return answer.get("status")

    def error_in(self, answer: dict[str, Any]) -> Any:
        """What the JSON *answer* to a poll says went wrong: text, or `{code, message, details}`."""
        return answer.get("error")

    def has_result(self, answer: dict[str, Any]) -> bool:
        """Whether the JSON *answer* to a poll, which says that the job is finished, holds its result."""
        return True

    @property
    @abstractmethod
    def _root(self) -> str:
        """Where requests go, for people to read."""

    @property
    @abstractmethod
    def _token(self) -> str:
        """The key as it is sent, so that it is never quoted; empty where there is none."""

    @property
    def _key_advice(self) -> str:
        return f"Check the key, and that it is one for {self._root}"

    @property
    def _address_advice(self) -> str:
        return "check the base URL"

    # Answers.

    def parse_submit(self, response: Response) -> Event:
        """`Accepted`, `Refused`, `AnswerLost` or `NotSent`.

        Whatever leaves open whether the document was taken is `AnswerLost`.
        Raises `Unauthorized`, and `AccountFault` for what speaks of the address or the account.
        """
        return suspected(self._read_submit(response), response, documented=self.accepts_with, as_json=self.says_json)

    def _read_submit(self, response: Response) -> Event:
        status = response.status
        self._check_key(response)
        if status == 429:
            return NotSent(reason="HTTP 429", retry_after=response.comes_back_after)
        if 200 <= status < 300:
            answer = parse_json(response.body)
            remote_id = self.id_in(answer) if isinstance(answer, dict) else None
            if type(remote_id) is int:
                remote_id = str(remote_id)
            if is_id(remote_id):
                return Accepted(remote_id=remote_id)
            if status == _ACCEPTED or not is_page(response):
                reason, kinds = f"HTTP {status} without an {self._id_name}", (Suspicion.ACCEPTED_WITHOUT_ID,)
                return AnswerLost(reason=reason, retry_after=response.retry_after, suspicions=kinds)
        if status >= 500 or status < 200 or status in UNSAID:
            wish = response.comes_back_after if status == 503 else response.retry_after
            return AnswerLost(reason=f"HTTP {status}", retry_after=wish)
        if status < 400 or status in _NOT_ABOUT_THE_DOCUMENT or is_page(response):
            self._blame_account(response)
        error = error_from_response(response)
        # The same document with the same options would only be refused again; of 409, 423 and the like nothing is said.
        final = status in {400, 413, 415, 422}
        return Refused(error=attrs.evolve(error, retryable=False if final else None))

    def parse_poll(self, response: Response) -> Event:
        """What the answer says happened to the job; what says nothing of it never ends it.

        Raises `Unauthorized`, and `AccountFault` for a redirect, a 405, or a page where the API's JSON belongs.
        """
        return suspected(self._read_poll(response), response, documented=(_OK,), as_json=self.says_json)

    def _read_poll(self, response: Response) -> Event:
        status, retry_after = response.status, response.retry_after
        self._check_key(response)
        if status == 429 or status >= 500:
            if status in {429, 503}:
                retry_after = response.comes_back_after
            throttled = status == 429 or (status == 503 and retry_after is not None)
            return PollMissed(reason=f"HTTP {status}", retry_after=retry_after, throttled=throttled)
        # A page that says 404 is a 404 all the same: `advance()` waits for a witness before it believes one.
        if status == 404:
            return NotFound(reason="HTTP 404")
        if 300 <= status < 400 or status == 405 or is_page(response):
            self._blame_account(response)
        if status in _NO_SUCH_JOB:
            return NotFound(reason=f"HTTP {status}")
        if 200 <= status < 300:
            event = read_envelope(
                response.body,
                self.meanings,
                oversized=response.oversized,
                retry_after=retry_after,
                parts=self._parts,
            )
            if status == _OK or not isinstance(event, BadAnswer):
                return event
        return PollMissed(reason=f"HTTP {status}", retry_after=retry_after)

    def _parts(self, answer: dict[str, Any]) -> tuple[Any, Any, bool]:
        return self.status_in(answer), self.error_in(answer), self.has_result(answer)

    # Whose fault it is.

    def _check_key(self, response: Response) -> None:
        if response.status not in {401, 403}:
            return
        raise Unauthorized(
            f"{self.name}: HTTP {response.status}, the API refused the key of account {self.account!r}. "
            f"{self._key_advice}",
            status=response.status,
        )

    def _quoted(self, said: str) -> str:
        """The beginning of what a server said, without the key should it have said that."""
        return (said.replace(self._token, "…") if self._token else said)[:200]

    def _blame_account(self, response: Response) -> NoReturn:
        status = response.status
        if 300 <= status < 400:
            what = ", a redirect" + where_to(response)
        elif is_page(response):
            what = ", a web page where the API's JSON belongs"
        else:
            said = error_from_response(response).message
            what = "" if said == f"HTTP {status}" else f", {self._quoted(said)}"
        hint = " (or the document is larger than the server takes)" if status == 413 else ""
        raise AccountFault(
            f"{self.name}: {self._root} answered HTTP {status}{what}; {self._address_advice}{hint}",
            status=status,
        )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _tidy_key(api_key: str) -> str:
    key = api_key.strip()
    if any(not "!" <= letter <= "~" for letter in key):
        raise ConfigError("the API key holds a line break, a space or a character no key has; copy it anew")
    return key


@attrs.frozen(kw_only=True)
class BaseProvider(Answers):
    """Everything a provider has that is sensibly the same for most: what is left to write is what differs.

    A vendor gives `name` and `meanings`, builds its two requests (`build_submit()`, `build_poll()`), says where its
    answers have their id (`id_in()`), and reads its results (`result_from()`); its status and its error are looked for
    under these names (`status_in()`, `error_in()`). Anything else may be overridden as well; `docs/providers.md` tells
    what each member stands for.

    *base_url*: scheme and host, and a path where the API has one; plain http only on this machine.
    *api_key*: where the API takes one; it goes into the requests that the vendor's methods build, and nowhere else.
    Subclasses are `@attrs.frozen(kw_only=True)`, as this is. Raises `ConfigError` for settings that cannot work.
    """

    #: How long a result lives after the job finished; None where results do not expire.
    result_ttl: ClassVar[timedelta | None] = None
    #: Requests a second with which an account begins that nothing is known of.
    start_rate: ClassVar[float] = math.inf
    #: The types of document the vendor takes.
    media_types: ClassVar[Collection[str]] = frozenset(MEDIA_TYPES)
    #: Bytes from which on the vendor may refuse a document.
    doubtful_size: ClassVar[int | None] = None

    base_url: str = attrs.field(converter=tidy_base_url)
    api_key: str = attrs.field(default="", converter=_tidy_key, repr=False)

    def __attrs_post_init__(self) -> None:
        for member in ("name", "meanings"):
            if not hasattr(self, member):
                raise ConfigError(f"{type(self).__name__}: it needs {member!r}, see docs/providers.md")
        for word, meaning in self.meanings.items():
            if not isinstance(meaning, Meaning):
                raise ConfigError(
                    f"{type(self).__name__}: meanings: {word!r} means {meaning!r}; give one of Meaning.UNFINISHED, "
                    "FINISHED, FAILED and EXPIRED, of docpoll.envelopes"
                )
        for member, holds, give in (
            ("name", _is_text(self.name), "text that is not empty"),
            ("accepts_with", isinstance(self.accepts_with, Collection), "a tuple of codes, such as (201,)"),
            ("start_rate", _is_number(self.start_rate) and self.start_rate > 0, "requests a second, more than 0"),
            ("doubtful_size", self.doubtful_size is None or _is_number(self.doubtful_size), "bytes, or None"),
        ):
            if not holds:
                raise ConfigError(f"{type(self).__name__}: {member} is {getattr(self, member)!r}; give {give}")

    @property
    def origin(self) -> str:
        """Scheme, host and port jobs are sent to and polled at."""
        return origin_of(self.base_url)

    @property
    def _root(self) -> str:
        return self.base_url

    @property
    def _token(self) -> str:
        return self.api_key

    # Requests.

    def canonical_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """*options* as JSON has them, without those that are None.

        Raises `ConfigError` for what is no JSON. A vendor whose options are known had better refuse all others.
        """
        given = {name: value for name, value in options.items() if value is not None}
        try:
            canonical: dict[str, Any] = orjson.loads(orjson.dumps(given))
        except orjson.JSONEncodeError as exc:
            raise ConfigError(f"{self.name}: options {given!r}: give text, numbers and booleans ({exc})") from exc
        return canonical

    @abstractmethod
    def build_submit(self, job: Job, document: Document) -> Request:
        """The request that hands *document* out for *job*; its `operation` is `submit`."""

    @abstractmethod
    def build_poll(self, job: Job) -> Request:
        """The request that asks about *job*, which has a `remote_id`; its `operation` is `poll`."""

    def scope(self, request: Request) -> str:
        """One budget for everything an account asks."""
        return self.name

    # Results.

    def read_result(self, body: bytes) -> Result:
        """The result in the answer *body*, as it was stored. Raises `RemoteProtocolError` where it is no object."""
        answer = parse_json(body)
        if not isinstance(answer, dict):
            raise RemoteProtocolError(f"{self.name}: the stored answer is no JSON object: {raw_text(body)[:200]}")
        return self.result_from(answer)

    def result_from(self, answer: dict[str, Any]) -> Result:
        """The result in the JSON *answer* that brought it; here no fields, and all of it in `raw`."""
        return Result(raw=answer)

    # Lost submits: what can be found again needs a list (`docpoll.interfaces.Listing`).

    def likeness(self, job: Job, result: Result) -> Likeness:
        """Whether *result* can be that of *job*, whose submit was lost; nothing here tells."""
        return Likeness.NONE

    def made_at(self, remote_id: str) -> datetime | None:
        """When the vendor made *remote_id*, where the id tells; here it does not."""
        return None
