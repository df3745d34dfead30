"""What stands around extractions at Syntage: found, made once, changed and deleted, whatever becomes of an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import attrs
import orjson
import pytest

from docpoll.client.syntage import SyntageAccount
from docpoll.errors import (
    AccountFault,
    AnswerMissing,
    ConfigError,
    RemoteProtocolError,
    RequestNotSent,
    TransportError,
    Unauthorized,
)
from docpoll.interfaces import Transport
from docpoll.providers import Syntage
from docpoll.testing import FakeClock, ScriptedTransport
from docpoll.wire import Request, Response
from tests.simulation import World

PEDRO = "018f8e25-e800-7000-8000-000000000002"
RFC = "PEIC211118IS0"
NEW = "NUE010101AB1"
#: Whose credential SAT refused.
REFUSED = "SAT150612QX4"
TAG = "018f8e25-e800-7000-8000-000000000001"
HOOK = "https://example.com/hook"


class Road:
    """A way to the emulator on which requests come to grief, each operation's in its turn."""

    def __init__(self, there: Transport) -> None:
        self._there = there
        #: As `POST /entities`, in the order they were sent.
        self.sent: list[str] = []
        #: Operation → what becomes of its next requests: a status in place of an answer, or a word.
        self.trouble: dict[str, list[int | str]] = {}
        #: What that is once an answer was lost.
        self.afterwards: dict[str, list[int | str]] = {}

    async def send(self, request: Request) -> Response:
        self.sent.append(f"{request.method} {urlsplit(request.url).path}")
        turns = self.trouble.get(request.operation)
        match turns.pop(0) if turns else None:
            case int(status):
                return Response(status=status, headers={"x-request-id": "r-1"})
            case "never sent":
                raise RequestNotSent("nobody listens")
            case "cut":
                raise AnswerMissing("the connection was cut")
            case "carried out, then cut":
                await self._there.send(request)
                self.trouble |= self.afterwards
                raise AnswerMissing("the connection was cut")
            case "carried out, then unreadable":
                answer = await self._there.send(request)
                return attrs.evolve(answer, body=answer.body[:20])
        return await self._there.send(request)

    async def close(self) -> None:
        """Nothing to let go of."""


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with World(getattr(request, "param", None), vendor="syntage") as world:
        yield world


@pytest.fixture
def road(world: World) -> Road:
    return Road(world.emulator)


@pytest.fixture
def ask(world: World, road: Road) -> Callable[[Callable[[SyntageAccount], Awaitable[Any]]], Any]:
    """`ask(lambda account: account.entities())`: what the account answers, over the road."""

    def carry_out(work: Callable[[SyntageAccount], Awaitable[Any]]) -> Any:
        async def story() -> Any:
            async with SyntageAccount(world.emulator.provider(), transport=road, clock=world.time) as account:
                return await work(account)

        return world.run(story())

    return carry_out


def posts(road: Road) -> list[str]:
    return [one for one in road.sent if one.startswith("POST")]


def page(*ids: str, following: str | None = None, **members: Any) -> Response:
    view = {"@id": "/here", **({} if following is None else {"hydra:next": following})}
    body = {"hydra:member": [{"id": name, **members} for name in ids], "hydra:view": view}
    return Response(status=200, headers={"content-type": "application/ld+json"}, body=orjson.dumps(body))


async def scripted(answers: list[Response], work: Callable[[SyntageAccount], Awaitable[Any]]) -> tuple[Any, list[str]]:
    """What *work* gives where the vendor answers so, and the addresses that were asked."""
    transport = ScriptedTransport(list(answers))
    async with SyntageAccount(Syntage("secret"), transport=transport, clock=FakeClock()) as account:
        given = await work(account)
    return given, [request.url.removeprefix("https://api.syntage.com") for request in transport.requests]


class TestEntities:
    """Found by their RFC, and made no more than once."""

    def test_an_rfc_is_found_in_any_case_and_an_id_is_an_id(self, ask, road):
        """An IRI too."""
        names = (RFC.lower(), PEDRO, f"/entities/{PEDRO}")
        assert {ask(lambda account, name=name: account.entity(name)).id for name in names} == {PEDRO}
        assert road.sent == ["GET /entities", f"GET /entities/{PEDRO}", f"GET /entities/{PEDRO}"]

    def test_a_part_of_an_rfc_is_no_rfc(self, ask):
        """The vendor's filter gives those that contain it, and their data would be somebody else's."""
        with pytest.raises(ConfigError, match="no entity has the RFC PEIC211118IS;"):
            ask(lambda account: account.find_entity("PEIC211118IS"))

    def test_all_are_listed_and_credentials_are_those_of_the_rfc(self, ask):
        """With the status that decides whether an extraction can run."""
        entities = ask(lambda account: account.entities())
        assert {one.rfc: one.credential.status for one in entities} == {
            RFC: "valid",
            "CGO100203AB1": "valid",
            "SAT150612QX4": "invalid",
        }
        (credential,) = ask(lambda account: account.credentials(RFC))
        assert credential.is_usable
        assert ask(lambda account: account.credentials("PEIC211118IS")) == []

    def test_a_new_entity_starts_nothing_unless_it_is_asked(self, ask, world):
        """What is started is billed at once."""
        made = ask(lambda account: account.create_entity(name="Nueva", type="company", rfc=NEW))
        assert (made.name, made.rfc) == ("Nueva", NEW)
        assert world.emulator.jobs()["jobs"] == []
        ask(
            lambda account: account.create_entity(
                name="Otra", type="company", rfc="OTR010101AB2", start_datasources=["sat"]
            )
        )
        assert len(world.emulator.jobs()["jobs"]) == 5

    def test_an_rfc_gets_no_second_entity(self, ask, road):
        """With two, none could be found by it."""
        with pytest.raises(ConfigError, match=f"{PEDRO} has the RFC {RFC} already"):
            ask(lambda account: account.create_entity(name="Pedro", type="person", rfc=RFC))
        assert posts(road) == []

    @pytest.mark.parametrize("trouble", ["carried out, then cut", "carried out, then unreadable"])
    def test_one_whose_answer_was_lost_is_found_by_its_rfc(self, ask, road, caplog, trouble):
        """It was made, and is not made again; that it was lost is said."""
        road.trouble["POST /entities"] = [trouble]
        made = ask(lambda account: account.create_entity(name="Nueva", type="company", rfc=NEW))
        assert ask(lambda account: account.find_entity(NEW)).id == made.id
        assert posts(road) == ["POST /entities"]
        assert "the answer was lost" in caplog.text

    @pytest.mark.parametrize("trouble", ["cut", 500, 503, 408])
    def test_one_that_is_not_to_be_found_is_not_made_again(self, ask, road, trouble):
        """It may be there all the same, so a person looks; the message says how."""
        road.trouble["POST /entities"] = [trouble]
        with pytest.raises(AnswerMissing, match=f"may have been made or not.*docpoll syntage entities show {NEW}$"):
            ask(lambda account: account.create_entity(name="Nueva", type="company", rfc=NEW))
        assert posts(road) == ["POST /entities"]
        assert road.sent.count("GET /entities") == 5

    def test_without_an_rfc_a_person_looks(self, ask, road):
        """Names are no names: two may have the same."""
        road.trouble["POST /entities"] = ["carried out, then cut"]
        with pytest.raises(AnswerMissing, match=r"docpoll syntage entities list$"):
            ask(lambda account: account.create_entity(name="Nueva", type="company"))
        assert road.sent == ["POST /entities"]

    def test_where_nobody_can_look_it_is_lost(self, ask, road):
        """The first fault is the one that is told."""
        road.trouble["POST /entities"] = ["carried out, then cut"]
        road.afterwards["GET /entities"] = [503] * 4
        with pytest.raises(AnswerMissing, match="the connection was cut"):
            ask(lambda account: account.create_entity(name="Nueva", type="company", rfc=NEW))
        assert posts(road) == ["POST /entities"]


class TestSchedulers:
    """Made, read back, changed and deleted, with their rules."""

    def test_what_is_made_is_read_back_with_its_next_run(self, ask, road):
        """How a cron expression was understood, only the vendor can tell."""
        scheduler = ask(lambda account: account.create_scheduler(name="nights", tags=[TAG]))
        rule = ask(
            lambda account: account.create_rule(
                scheduler=scheduler.id, extractor="invoice", options={"types": ["I"]}, cron="@daily"
            )
        )
        assert rule.next_run_at is not None
        assert rule.options == {"types": ["I"]}
        assert road.sent == [
            "POST /schedulers",
            f"GET /schedulers/{scheduler.id}",
            "POST /schedulers/rules",
            f"GET /schedulers/rules/{rule.id}",
        ]
        assert ask(lambda account: account.scheduler(scheduler.id)).rules[0].next_run_at == rule.next_run_at
        assert [one.id for one in ask(lambda account: account.schedulers())] == [scheduler.id]

    def test_a_change_leaves_the_rest(self, ask):
        """And the next run is read back, too."""
        scheduler = ask(lambda account: account.create_scheduler(name="nights", tags=[TAG]))
        off = ask(lambda account: account.update_scheduler(scheduler.id, is_enabled=False))
        assert (off.name, off.is_enabled, off.tags) == ("nights", False, scheduler.tags)
        rule = ask(lambda account: account.create_rule(scheduler=scheduler.id, extractor="invoice"))
        assert rule.next_run_at is None
        later = ask(lambda account: account.update_rule(rule.id, cron="@daily"))
        assert (later.extractor, later.next_run_at is not None) == ("invoice", True)
        assert ask(lambda account: account.rule(rule.id)) == later

    def test_what_is_deleted_is_gone(self, ask):
        """A scheduler takes its rules with it."""
        scheduler = ask(lambda account: account.create_scheduler())
        rule, other = (
            ask(lambda account: account.create_rule(scheduler=scheduler.id, extractor="rpc")) for _ in range(2)
        )
        ask(lambda account: account.delete_rule(rule.id))
        ask(lambda account: account.delete_scheduler(scheduler.id))
        for gone in (lambda account: account.rule(other.id), lambda account: account.delete_scheduler(scheduler.id)):
            with pytest.raises(RemoteProtocolError, match=r"there is no (rule|scheduler) .* \(request ") as caught:
                ask(gone)
            assert (caught.value.status, caught.value.request_id is not None) == (404, True)

    def test_what_cannot_be_read_back_is_made_all_the_same(self, ask, road, caplog):
        """That is a warning: who thinks that it failed makes it twice."""
        road.trouble["GET /schedulers/{id}"] = [500] * 4
        made = ask(lambda account: account.create_scheduler(name="nights"))
        assert made.name == "nights"
        assert "could not be read back" in caplog.text


MAKING: dict[str, tuple[Callable[[SyntageAccount], Awaitable[Any]], str]] = {
    "POST /schedulers": (lambda account: account.create_scheduler(name="nights"), "schedulers list"),
    "POST /schedulers/rules": (
        lambda account: account.create_rule(scheduler="7b3a", extractor="invoice"),
        "schedulers show 7b3a",
    ),
    "POST /webhook-endpoints": (lambda account: account.create_webhook_endpoint(url=HOOK), "webhooks list"),
}


class TestLostAnswers:
    """What makes something is sent again only where it certainly never arrived."""

    @pytest.mark.parametrize("operation", MAKING)
    @pytest.mark.parametrize("trouble", ["cut", "carried out, then cut", 500, 502, 504, 201])
    def test_what_may_have_been_made_is_not_made_again(self, ask, road, operation, trouble):
        """The error says so, and how to look; 201 stands for an answer that cannot be read."""
        make, look = MAKING[operation]
        road.trouble[operation] = [trouble]
        with pytest.raises(
            AnswerMissing, match=f"may have been made or not.* look with docpoll syntage {look}$"
        ) as lost:
            ask(make)
        assert len(posts(road)) == 1
        assert isinstance(trouble, str) or "(request r-1)" in str(lost.value)

    @pytest.mark.parametrize("trouble", ["never sent", 429])
    def test_what_certainly_was_not_made_is_sent_again(self, ask, road, trouble):
        """Nobody listened, or the limit refused it."""
        road.trouble["POST /schedulers"] = [trouble, trouble]
        ask(lambda account: account.create_scheduler())
        assert len(posts(road)) == 3
        assert len(ask(lambda account: account.schedulers())) == 1

    def test_where_nobody_ever_listens_that_is_told(self, ask, road):
        """After a few tries."""
        road.trouble["POST /schedulers"] = ["never sent"] * 9
        with pytest.raises(RequestNotSent, match="nobody listens"):
            ask(lambda account: account.create_scheduler())
        assert len(posts(road)) == 4

    def test_what_is_refused_is_refused(self, ask, road):
        """In the vendor's words, and once."""
        with pytest.raises(RemoteProtocolError, match=r"events.*refused.*\(request ") as refused:
            ask(lambda account: account.create_webhook_endpoint(url=HOOK, events=["nonsense"]))
        assert (refused.value.status, isinstance(refused.value, AccountFault)) == (400, False)
        assert len(road.sent) == 1

    @pytest.mark.parametrize("trouble", ["carried out, then cut", 502])
    def test_a_deletion_is_repeated_until_it_is_sure(self, ask, road, trouble):
        """What is gone by the second try was deleted by the first."""
        scheduler = ask(lambda account: account.create_scheduler())
        road.trouble["DELETE /schedulers/{id}"] = [trouble]
        ask(lambda account: account.delete_scheduler(scheduler.id))
        assert ask(lambda account: account.schedulers()) == []
        assert [one.split()[0] for one in road.sent].count("DELETE") == 2

    def test_a_change_is_repeated(self, ask, road):
        """It sets the same."""
        scheduler = ask(lambda account: account.create_scheduler(name="nights"))
        road.trouble["PUT /schedulers/{id}"] = ["carried out, then cut", 503, "never sent"]
        assert ask(lambda account: account.update_scheduler(scheduler.id, name="days")).name == "days"


class TestTries:
    """What only looks is tried a few times."""

    @pytest.mark.parametrize("trouble", ["cut", "never sent", 500, 502, 503, 504, 429])
    def test_three_faults_are_borne(self, ask, road, trouble):
        """The fourth try is answered."""
        road.trouble["GET /schedulers"] = [trouble] * 3
        assert ask(lambda account: account.schedulers()) == []
        assert len(road.sent) == 4

    @pytest.mark.parametrize(("status", "said"), [(503, "answered HTTP 503"), (429, "too many requests")])
    def test_the_fourth_is_told_with_the_id_of_the_request(self, ask, road, status, said):
        """The vendor's support asks for it."""
        road.trouble["GET /schedulers"] = [status] * 4
        with pytest.raises(RemoteProtocolError, match=rf"{said}.*\(request r-1\)") as told:
            ask(lambda account: account.schedulers())
        assert (told.value.status, told.value.request_id) == (status, "r-1")
        assert len(road.sent) == 4

    def test_a_network_that_stays_away_is_no_lost_answer(self, ask, road):
        """Nothing was to be made, so nothing may have been made."""
        road.trouble["GET /schedulers"] = ["cut"] * 4
        with pytest.raises(TransportError, match="tried 4 times") as told:
            ask(lambda account: account.schedulers())
        assert not isinstance(told.value, AnswerMissing)

    @pytest.mark.parametrize("world", [{"limit": {"requests": 1, "seconds": 40}}], indirect=True)
    def test_the_end_of_the_vendors_window_is_waited_for(self, ask, road, world, caplog):
        """And that it is waited for is said; a creation was refused for certain, so it waits, too."""
        began = world.time.now()
        ask(lambda account: account.create_scheduler(name="one"))
        ask(lambda account: account.create_scheduler(name="two"))
        assert timedelta(0) < world.time.now() - began <= timedelta(seconds=41)
        assert len(posts(road)) == 3
        assert "HTTP 429; trying again in" in caplog.text

    @pytest.mark.parametrize("world", [{"limit": {"requests": 1, "seconds": 3600}}], indirect=True)
    def test_an_end_far_off_is_told_instead(self, ask, world):
        """Nobody waits for an hour without having asked for it."""
        began = world.time.now()
        ask(lambda account: account.schedulers())
        with pytest.raises(RemoteProtocolError, match=r"it says to come back in \d+ min \(request "):
            ask(lambda account: account.schedulers())
        assert world.time.now() - began < timedelta(seconds=1)

    def test_a_vendor_that_is_not_there_is_named(self, ask, road):
        """With its address, and what to check."""
        road.trouble["GET /schedulers"] = ["never sent"] * 4
        with pytest.raises(
            RequestNotSent, match=r"could not be reached, tried 4 times \(nobody listens\); check the net"
        ):
            ask(lambda account: account.schedulers())

    def test_a_scheduler_that_there_is_not_gets_no_rule(self, ask, road):
        """That is said as of any other thing; what else is wrong with a rule is told in the vendor's words."""
        nothing = TAG.replace("1", "9")
        with pytest.raises(RemoteProtocolError, match=f"there is no scheduler {nothing}") as told:
            ask(lambda account: account.create_rule(scheduler=nothing, extractor="rpc"))
        assert told.value.status == 404
        made = ask(lambda account: account.create_scheduler(name="nights"))
        with pytest.raises(RemoteProtocolError, match="extractor: ") as told:
            ask(lambda account: account.create_rule(scheduler=made.id, extractor="nonsense"))
        assert told.value.status == 400

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_refused_key_is_not_tried_again(self, ask, road, status):
        """It would be refused again."""
        road.trouble["GET /schedulers"] = [status]
        with pytest.raises(Unauthorized, match="check the key"):
            ask(lambda account: account.schedulers())
        assert len(road.sent) == 1

    async def test_an_account_that_is_not_open_says_so(self):
        """Rather than fail at the first request."""
        with pytest.raises(ConfigError, match="async with"):
            await SyntageAccount(Syntage("secret")).schedulers()


class TestCredentials:
    """Found with their entity, and validated anew."""

    @pytest.mark.parametrize("name", [REFUSED, REFUSED.lower()])
    def test_one_is_validated_anew(self, ask, road, name):
        """As it is then is read back."""
        anew = ask(lambda account: account.revalidate(name))
        assert (anew.rfc, anew.status) == (REFUSED, "pending")
        assert posts(road) == [f"POST /credentials/{anew.id}/revalidate"]

    def test_one_that_is_validated_already_is_refused(self, ask):
        """With what the vendor says to it, in one sentence."""
        ask(lambda account: account.revalidate(REFUSED))
        with pytest.raises(RemoteProtocolError, match="is being validated: the request was refused") as told:
            ask(lambda account: account.revalidate(REFUSED))
        assert told.value.status == 400

    def test_one_that_is_gone_is_named(self, ask, road):
        """As of anything else that is not there."""
        road.trouble["POST /credentials/{id}/revalidate"] = [404]
        with pytest.raises(RemoteProtocolError, match=r"there is no credential 018f.* \(request r-1\)") as told:
            ask(lambda account: account.revalidate(REFUSED))
        assert told.value.status == 404

    def test_too_many_are_told_so(self, ask, road):
        """After some tries, as nothing was done."""
        road.trouble["POST /credentials/{id}/revalidate"] = [429] * 4
        with pytest.raises(RemoteProtocolError, match="too many requests") as told:
            ask(lambda account: account.revalidate(REFUSED))
        assert told.value.status == 429

    def test_a_lost_answer_says_where_to_look(self, ask, road):
        """It is not asked for a second time: the first may have arrived."""
        road.trouble["POST /credentials/{id}/revalidate"] = ["carried out, then cut"]
        with pytest.raises(AnswerMissing, match=f"look with docpoll syntage entities show {REFUSED}"):
            ask(lambda account: account.revalidate(REFUSED))
        assert len(posts(road)) == 1

    def test_an_entity_without_one_says_so(self, ask, road):
        """Nothing is asked of the vendor."""
        made = ask(lambda account: account.create_entity(name="Nueva", type="company", rfc=NEW))
        with pytest.raises(ConfigError, match=f"entity {NEW} has no credential that could be validated"):
            ask(lambda account: account.revalidate(made.id))
        assert posts(road) == ["POST /entities"]


class TestPages:
    """Lists are followed to their end, and end."""

    async def test_all_pages_are_followed(self):
        """By the vendor's own links."""
        answers = [
            page("a", "b", following="/schedulers?id[lt]=b"),
            page("c", following="/schedulers?id[lt]=c"),
            page(),
        ]
        found, asked = await scripted(answers, lambda account: account.schedulers())
        assert [one.id for one in found] == ["a", "b", "c"]
        assert asked[1:] == ["/schedulers?id[lt]=b", "/schedulers?id[lt]=c"]

    @pytest.mark.parametrize(
        "answers",
        [
            [page("a", following="/schedulers?n=1"), page("b", following="/schedulers?n=1")],
            [page("a", following="/schedulers?n=1"), page("a", following="/schedulers?n=2")],
            [page("a", "b", following="/here")],
        ],
        ids=["the same link", "the same things", "itself"],
    )
    async def test_a_list_that_leads_back_ends(self, answers, caplog):
        """With what there was, each thing once, and a warning that there may be more."""
        found, asked = await scripted(answers, lambda account: account.schedulers())
        assert [one.id for one in found] == ["a", "b"][: len(found)]
        assert len(asked) == len(answers)
        assert "there may be more" in caplog.text

    async def test_an_entity_is_found_on_any_page(self):
        """The filter is a partial one, so those that only contain the RFC come before it."""
        answers = [
            page("x", following="/entities?id[lt]=x", taxpayer={"id": "AAAA010101AA0"}),
            page("y", taxpayer={"id": "AAA010101AA0"}),
        ]
        found, _ = await scripted(answers, lambda account: account.find_entity("AAA010101AA0"))
        assert found.id == "y"

    async def test_two_entities_with_one_rfc_are_none(self):
        """Which of them is meant, nobody can tell."""
        answers = [page("x", "y", taxpayer={"id": "AAA010101AA0"})]
        with pytest.raises(ConfigError, match=r"2 entities have \(x, y\)"):
            await scripted(answers, lambda account: account.find_entity("AAA010101AA0"))


class TestWebhookEndpoints:
    """Made, changed and deleted, with their secrets."""

    def test_a_change_leaves_the_rest(self, ask, road):
        """The vendor replaces it whole, so it is read first."""
        made = ask(lambda account: account.create_webhook_endpoint(url=HOOK))
        assert made.events == ("extraction.created", "extraction.updated")
        off = ask(lambda account: account.update_webhook_endpoint(made.id, enabled=False))
        assert off == attrs.evolve(made, enabled=False)
        moved = ask(lambda account: account.update_webhook_endpoint(made.id, url=f"{HOOK}/2", events=["file.created"]))
        assert moved == attrs.evolve(off, url=f"{HOOK}/2", events=("file.created",))
        assert moved.signing_secret
        assert ask(lambda account: account.webhook_endpoints()) == [moved]
        ask(lambda account: account.delete_webhook_endpoint(made.id))
        assert ask(lambda account: account.webhook_endpoints()) == []
        road.sent.clear()
        with pytest.raises(ConfigError, match="nothing would change"):
            ask(lambda account: account.update_webhook_endpoint(made.id))
        with pytest.raises(ConfigError, match="https"):
            ask(lambda account: account.create_webhook_endpoint(url="ftp://example.com"))
        assert road.sent == []

    async def test_a_change_leaves_the_kind_of_body(self):
        """Others may read plain JSON there."""
        now = {"id": "e", "url": HOOK, "events": ["file.created"], "enabled": True, "contentType": "application/json"}
        transport = ScriptedTransport([Response(status=200, body=orjson.dumps(now))] * 2)
        async with SyntageAccount(Syntage("secret"), transport=transport, clock=FakeClock()) as account:
            await account.update_webhook_endpoint("e", enabled=False)
        put = transport.requests[1]
        assert isinstance(put.body, bytes)
        assert {"id": "e", **orjson.loads(put.body)} == {**now, "enabled": False}


class TestExtractions:
    """The vendor's list, whoever started them."""

    async def test_filters_are_exact_whatever_the_vendor_makes_of_them(self):
        """An unknown one is ignored there without a word, and that for extractors is partial."""
        rows = [
            {"extractor": "invoice", "status": "failed", "taxpayer": {"id": RFC}},
            {"extractor": "invoice_line", "status": "failed", "taxpayer": {"id": RFC}},
            {"extractor": "invoice", "status": "finished", "taxpayer": {"id": RFC}},
            {"extractor": "invoice", "status": "failed", "taxpayer": {"id": "CGO100203AB1"}},
        ]
        members = [{"id": f"x{number}", **row} for number, row in enumerate(rows)]
        answer = Response(status=200, body=orjson.dumps({"hydra:member": members, "hydra:view": {}}))
        found, (asked,) = await scripted(
            [answer], lambda account: account.extractions(rfc=RFC.lower(), extractor="invoice", status="failed")
        )
        assert [one.id for one in found] == ["x0"]
        assert asked.startswith(f"/extractions?taxpayer.id={RFC}&extractor=invoice&status=failed&order[createdAt]=desc")

    async def test_no_more_pages_are_asked_for_than_are_needed(self):
        """The newest so many."""
        answers = [page("a", "b", following="/extractions?id[lt]=b"), page("c", "d", following="/extractions?id[lt]=d")]
        found, asked = await scripted(answers, lambda account: account.extractions(limit=3))
        assert ([one.id for one in found], len(asked)) == (["a", "b", "c"], 2)
        assert await scripted([], lambda account: account.extractions(limit=0)) == ([], [])
