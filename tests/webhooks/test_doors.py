"""Both doors, over real sockets: what is let in, and what is answered."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from aiohttp import web

from docpoll.signatures import Verdict, sign
from docpoll.webhooks import MAX_BODY, READ_SECONDS, aiohttp_routes
from tests.test_signatures import BODY, CASES, HEADER, NEW, NOW, SECRET, WRONG
from tests.webhooks.doors import TOKEN, Box, request, serve_aiohttp, serve_app, signing_box, told

HERE = f"/webhooks/typless/{TOKEN}"


async def test_every_signature_of_the_table_is_judged_alike(door):
    """Each delivery of the table is let in where its verdict is that it is valid, and else answered 401."""
    wrong = []
    for secrets in {tuple(case[3]) for case in CASES}:
        box = signing_box()
        port = await door(box, secrets=secrets)
        for what, headers, body, given, verdict in CASES:
            if tuple(given) != secrets:
                continue
            box.bodies.clear()
            status = (await port.post("/webhooks/syntage", body, headers)).status
            expected = (202, [body]) if verdict is Verdict.VALID else (401, [])
            if (status, box.bodies) != expected:
                wrong.append((what, status))
    assert wrong == []


async def test_a_vendor_that_does_not_sign_needs_the_token(door):
    """The body that came to the address with the token is handed on as it is; any other address is not there."""
    box = Box()
    port = await door(box, token=TOKEN)
    body = b'{"data": {"id": "a\xff"}}'
    assert (await port.post(HERE, body)).status == 202
    assert box.bodies == [body]
    elsewhere = [
        "/webhooks/typless",
        "/webhooks/typless/",
        f"/webhooks/typless/{TOKEN[:-1]}",
        f"/webhooks/typless/{TOKEN}x",
        f"/webhooks/typless/{TOKEN.lower()}",
        f"/webhooks/typless/x/{TOKEN}",
        f"/webhooks/typless/{TOKEN}/x",
        f"/webhooks/typless//{TOKEN}",
        f"/webhooks/syntage/{TOKEN}",
        f"/webhooks/{TOKEN}",
        f"/{TOKEN}",
        "/",
        f"/webhooks/typless/?token={TOKEN}",
        f"/webhooks/typless/%2e%2e/typless/{TOKEN}",
        f"/webhooks/typless/..%2ftypless%2f{TOKEN}",
        f"/webhooks/typless/{TOKEN}%00",
        f"/webhooks/typless/{TOKEN}%0a",
        f"/webhooks/typless/%ff%fe{TOKEN}",
        f"/webhooks/typless/{TOKEN}%C3%A9",
        f"/webhooks/typless/{'%41' * 2000}",
    ]
    assert {path: told.status for path in elsewhere if (told := await port.post(path, body)).status != 404} == {}
    assert box.bodies == [body]


async def test_a_token_may_come_encoded(door):
    """As any part of an address may: the vendor's page may have its own way with dashes."""
    box = Box()
    port = await door(box, token=TOKEN)
    encoded = "".join(f"%{ord(character):02x}" for character in TOKEN)
    assert (await port.post(f"/webhooks/typless/{encoded}")).status == 202
    assert (await port.post(f"{HERE}?any=thing")).status == 202


async def test_a_token_does_not_stand_in_for_a_signature(door):
    """Where the vendor signs and there is a token, both are needed."""
    box = signing_box()
    port = await door(box, secrets=[SECRET], token=TOKEN)
    assert (await port.post("/webhooks/syntage", BODY, {NEW: HEADER})).status == 404
    assert (await port.post(f"/webhooks/syntage/{TOKEN}", BODY)).status == 401
    assert box.bodies == []
    assert (await port.post(f"/webhooks/syntage/{TOKEN}", BODY, {NEW: HEADER})).status == 202
    assert box.bodies == [BODY]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_only_a_post_is_a_delivery(door, method):
    """Any other method is told so, at the right address; at a wrong one nothing is there."""
    box = Box()
    port = await door(box, token=TOKEN)
    answer = await port.send(request(HERE, b"", {}, method=method))
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert (await port.send(request(f"{HERE}x", b"", {}, method=method))).status == 404
    assert box.bodies == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_may_have_64_kilobytes_and_not_one_byte_more(door, chunked):
    """Whether it says how long it is, or only is."""
    box = Box()
    port = await door(box, token=TOKEN)
    for size, status in ((MAX_BODY, 202), (MAX_BODY + 1, 413)):
        answer = await port.send(*_chunked(b"x" * size) if chunked else (request(HERE, b"x" * size, {}),))
        assert answer.status == status
    assert [len(body) for body in box.bodies] == [MAX_BODY]


def _chunked(body: bytes, *, last: bytes = b"0\r\n\r\n", each: int = 10_000) -> list[bytes]:
    head = f"POST {HERE} HTTP/1.1\r\nHost: b.test\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    parts = [body[start : start + each] for start in range(0, len(body), each)]
    return [head, *(b"%x\r\n%b\r\n" % (len(part), part) for part in parts), last]


async def test_a_body_that_says_it_is_too_long_is_not_waited_for(door):
    """The answer comes at once, and the connection is closed; nothing of the body was sent."""
    box = Box()
    port = await door(box, token=TOKEN)
    loop = asyncio.get_running_loop()
    for length in (MAX_BODY + 1, 10**12, 10**18):
        start = loop.time()
        answer = await port.send(request(HERE, b"", {"Content-Length": str(length)}))
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert loop.time() - start < 1


async def test_a_body_without_end_is_not_read_to_it(door):
    """More than is let in is answered while it still comes."""
    box = Box()
    port = await door(box, token=TOKEN)
    answer = await port.send(*_chunked(b"x" * 200_000, last=b""))
    assert (answer.status, box.bodies) == (413, [])


async def test_a_body_that_does_not_come_ends_the_waiting(door):
    """One that stops in the middle, and one that comes a byte each two seconds, are given up after ten seconds."""
    box = Box()
    port = await door(box, token=TOKEN)
    loop = asyncio.get_running_loop()
    head = request(HERE, b"", {"Content-Length": "100"})
    start = loop.time()
    assert (await port.send(head + b"x" * 99)).status == 408
    assert loop.time() - start == pytest.approx(READ_SECONDS, abs=0.5)

    start = loop.time()
    async with port.connection() as (reader, writer):

        async def trickle() -> None:
            writer.write(head)
            while True:
                writer.write(b"x")
                await asyncio.sleep(2)

        trickling = asyncio.create_task(trickle())
        assert (await told(reader)).status == 408
        trickling.cancel()
    assert loop.time() - start == pytest.approx(READ_SECONDS, abs=0.5)
    assert box.bodies == []


async def test_a_body_that_breaks_off_is_no_delivery(door):
    """Whoever goes away in the middle leaves nothing behind, and the next one is served."""
    box = Box()
    port = await door(box, token=TOKEN)
    for parts in ([request(HERE, b"", {"Content-Length": "100"}), b"x" * 50], _chunked(b"x" * 50, last=b"")):
        async with port.connection() as (_, writer):
            for part in parts:
                writer.write(part)
                await writer.drain()
            await asyncio.sleep(1)
    assert (await port.post(HERE, b"whole")).status == 202
    assert box.bodies == [b"whole"]


async def test_a_length_that_lies_fools_nobody(door):
    """Of a body longer than it says, the rest is no delivery; two lengths, or none that can be, are refused."""
    box = Box()
    port = await door(box, token=TOKEN)
    async with port.connection() as (reader, writer):
        writer.write(request(HERE, b"", {"Content-Length": "4"}) + b"good")
        assert (await told(reader)).status == 202
        writer.write(b"THE REST\r\n\r\n")
        assert (await told(reader)).status == 400
    for length in ("4\r\nContent-Length: 5", "-4", "0x4", "4, 5", "four"):
        assert (await port.send(request(HERE, b"", {"Content-Length": length}) + b"good")).status == 400
    assert box.bodies == [b"good"]


async def test_chunks_that_are_none_are_refused(door):
    """A body that cannot be one is the sender's fault."""
    box = Box()
    port = await door(box, token=TOKEN)
    head, *_ = _chunked(b"")
    assert (await port.send(head, b"5\r\nabc", b"de\r\nnothing\r\n")).status == 400
    assert box.bodies == []


async def test_a_compressed_body_is_not_unpacked(door):
    """A kilobyte can become a gigabyte; no vendor sends such."""
    box = Box()
    port = await door(box, token=TOKEN)
    packed = gzip.compress(b"x" * 1_000_000)
    assert (await port.post(HERE, packed, {"Content-Encoding": "gzip"})).status == 415
    assert (await port.post(HERE, b"plain", {"Content-Encoding": "identity"})).status == 202
    assert box.bodies == [b"plain"]


async def test_who_asks_first_is_answered_before_the_body_comes(door):
    """`Expect: 100-continue` is granted to whoever may deliver, and to nobody else."""
    box = Box()
    port = await door(box, token=TOKEN)
    for path, length, status in ((HERE, 2, 100), (HERE, MAX_BODY + 1, 413), (f"{HERE}x", 2, 404)):
        asked = request(path, b"", {"Content-Length": str(length), "Expect": "100-continue"})
        async with port.connection() as (reader, writer):
            writer.write(asked)
            assert (await told(reader)).status == status
            if status == 100:
                writer.write(b"{}")
                assert (await told(reader)).status == 202
    assert box.bodies == [b"{}"]


async def test_doubled_headers_count_as_one(door):
    """As HTTP has it, they are one header with a comma; of two signatures, one that is ours is enough."""
    box = signing_box()
    port = await door(box, secrets=[SECRET])
    good, at = HEADER, HEADER.partition(",")[0]
    for first, second, status in (
        (good, good, 202),
        (f"{at},s={WRONG}", good, 202),
        (good, sign(BODY, secret=SECRET, at=NOW.replace(year=2020)), 401),
        (good, "", 401),
    ):
        raw = request("/webhooks/syntage", BODY, {NEW: f"{first}\r\n{NEW.lower()}: {second}"})
        assert (await port.send(raw)).status == status, (first, second)


async def test_many_deliveries_go_over_one_connection(door):
    """A vendor may keep it: 200 requests sent without waiting are answered in turn."""
    box = Box()
    port = await door(box, token=TOKEN)
    async with port.connection() as (reader, writer):
        writer.write(b"".join(request(HERE, b"%d" % number, {}) for number in range(200)))
        answers = [await told(reader) for _ in range(200)]
    assert {answer.status for answer in answers} == {202}
    assert box.bodies == [b"%d" % number for number in range(200)]


async def test_an_answer_is_short_and_tells_nothing(door):
    """No body, and no word about what runs here beyond what the server itself says."""
    box = signing_box()
    port = await door(box, secrets=[SECRET])
    for headers in ({NEW: HEADER}, {}):
        answer = await port.post("/webhooks/syntage", BODY, headers)
        assert answer.body == b""
        assert not {"set-cookie", "x-powered-by", "location"} & set(answer.headers)


async def test_on_loopback_no_token_is_needed(door):
    """What came over a loopback address of this machine is let in at the bare address."""
    box = Box()
    port = await door(box, loopback=True)
    assert (await port.post("/webhooks/typless")).status == 202
    assert (await port.post(f"/webhooks/typless/{TOKEN}")).status == 404
    assert len(box.bodies) == 1


@pytest.mark.parametrize(
    "header",
    [
        "Forwarded",
        "X-Forwarded-For",
        "x-forwarded-for",
        "X-Forwarded-Server",
        "X-Forwarded-Port",
        "X-Forwarded-Anything",
        "X-Real-IP",
        "X-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "CDN-Loop",
        "Via",
    ],
)
async def test_on_loopback_a_proxy_lets_nobody_in(door, header, caplog):
    """A proxy on this machine speaks for others: that is refused, and said once."""
    box = Box()
    port = await door(box, loopback=True)
    for _ in range(3):
        assert (await port.post("/webhooks/typless", b"{}", {header: "for=127.0.0.1"})).status == 404
    assert box.bodies == []
    (record,) = [record for record in caplog.records if record.name == "docpoll"]
    assert "through a proxy" in record.getMessage()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.test"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Host": "elsewhere.test"},
        {"Host": "localhost.elsewhere.test"},
        {"Host": "127.0.0.1.elsewhere.test:80"},
        {"Host": "192.0.2.7"},
    ],
)
async def test_on_loopback_no_page_of_a_browser_lets_anybody_in(door, headers, caplog):
    """A page from anywhere can have the browser on this machine send something here; a vendor is no browser."""
    box = Box()
    port = await door(box, loopback=True)
    for _ in range(3):
        assert (await port.post("/webhooks/typless", b"{}", headers)).status == 404
    assert box.bodies == []
    (record,) = [record for record in caplog.records if record.name == "docpoll"]
    assert "browser" in record.getMessage()
    assert "elsewhere" not in caplog.text


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8090", "vendor.localhost", "127.0.0.1:80", "127.8.8.8", "[::1]:8090", "[::1]"]
)
async def test_on_loopback_this_machine_has_many_names(door, host):
    """All of which are asked for by programs here."""
    box = Box()
    port = await door(box, loopback=True)
    assert (await port.post("/webhooks/typless", b"{}", {"Host": host})).status == 202


async def test_with_a_token_it_does_not_matter_how_a_delivery_came(door):
    """A proxy hands on the name that the vendor called."""
    box = Box()
    port = await door(box, token=TOKEN)
    headers = {"Host": "b.test", "X-Forwarded-For": "192.0.2.7", "Origin": "https://b.test"}
    assert (await port.post(HERE, b"{}", headers)).status == 202


async def test_a_slash_behind_the_address_changes_nothing(door):
    """Some frameworks and some people put one there."""
    box, signed, near = Box(), signing_box(), Box()
    port = await door(box, token=TOKEN)
    assert (await port.post(f"{HERE}/")).status == 202
    assert (await port.post(f"{HERE}//")).status == 404
    assert (await port.post("/webhooks/typless//")).status == 404
    assert (await (await door(near, loopback=True)).post("/webhooks/typless/")).status == 202
    port = await door(signed, secrets=[SECRET])
    assert (await port.post("/webhooks/syntage/", BODY, {NEW: HEADER})).status == 202
    assert [len(one.bodies) for one in (box, near, signed)] == [1, 1, 1]


async def test_who_is_not_open_takes_nothing(door):
    """A client that is not entered says so, and the vendor is told to come again, if it ever does."""
    box = Box(is_open=False)
    port = await door(box, token=TOKEN)
    answer = await port.post(HERE)
    assert (answer.status, answer.body) == (503, b"")
    assert (await port.post(f"{HERE}x")).status == 404
    box.is_open = True
    assert (await port.post(HERE)).status == 202
    assert len(box.bodies) == 1


async def test_doors_live_side_by_side():
    """Two accounts at one vendor and another vendor, on one server; each delivery finds its own client."""
    one, other, signed = Box(), Box(), signing_box()
    routes = [
        *aiohttp_routes(one, token=TOKEN),
        *aiohttp_routes(other, path="/webhooks/typless-2", token=TOKEN[::-1]),
        *aiohttp_routes(signed, secrets=[SECRET]),
    ]
    async with serve_aiohttp(routes) as port:
        for path, status in (
            (HERE, 202),
            (f"/webhooks/typless-2/{TOKEN[::-1]}", 202),
            (f"/webhooks/typless-2/{TOKEN}", 404),
            (f"/webhooks/typless/{TOKEN[::-1]}", 404),
        ):
            assert (await port.post(path, path.encode())).status == status
        assert (await port.post("/webhooks/syntage", BODY, {NEW: HEADER})).status == 202
    assert (len(one.bodies), len(other.bodies), signed.bodies) == (1, 1, [BODY])


async def test_two_doors_at_one_address_are_told_apart_at_the_start():
    """Rather than that the second never hears anything."""
    with pytest.raises(RuntimeError, match="never be executed"):
        async with serve_aiohttp([*aiohttp_routes(Box(), token=TOKEN), *aiohttp_routes(Box(), token=TOKEN[::-1])]):
            pass


async def test_an_application_in_another_has_its_path_before_ours():
    """As `add_subapp()` has it."""
    box = Box()
    inner, outer = web.Application(), web.Application()
    inner.add_routes(aiohttp_routes(box, token=TOKEN))
    outer.add_subapp("/hooks", inner)
    async with serve_app(outer) as port:
        assert (await port.post(f"/hooks{HERE}")).status == 202
        assert (await port.post(HERE)).status == 404
    assert len(box.bodies) == 1
