import re

from relay import wire
from tests.ingest.house import EVENT, House, sure
from tests.ingest.test_body import HEAD

BODY = wire.dumps(EVENT)


async def test_no_answer_tells_versions(house: House) -> None:
    for body in (EVENT, [EVENT], b"{"):
        assert (await house.post(body)).headers["Server"] == "typing-relay"


async def test_a_problem_document_has_its_members(house: House) -> None:
    answer = await house.post({"type": "keystroke"})
    document = await answer.json(content_type="application/problem+json")
    assert {"type", "title", "status", "detail", "errors"} <= set(document)
    assert document["status"] == answer.status == 422


async def test_one_connection_serves_many_events_pipelined_or_not(house: House) -> None:
    one = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    last = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
    answer = await house.said(one * 99 + last)
    assert len(re.findall(rb"HTTP/1\.1 202", answer)) == 100
    assert len(house.taken) == 100


async def test_a_caller_that_wants_the_connection_closed_gets_it_closed(house: House) -> None:
    raw = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
    answer = await house.said(raw)  # returns only when the server closes
    assert b"Connection: close" in answer


async def test_http_1_0_is_answered_and_closed(house: House) -> None:
    raw = HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    assert (await house.said(raw)).startswith(b"HTTP/1.0 202")


async def test_no_answer_repeats_a_word_of_the_request(house: House) -> None:
    canary = "kanarienvogel"
    answers = [
        await house.post(EVENT | {"guestId": f"{canary}/x"}),
        await house.post(EVENT | {"seq": canary}),
        await house.post(canary.encode()),
        await house.post(EVENT, f"/{canary}"),
        await house.post(EVENT, key=canary),
        await house.post(EVENT, Host=f"{canary}.example"),
        await house.post(EVENT, Content_Type=f"text/{canary}"),
        await house.post(EVENT | {"gateway": canary}),
    ]
    for answer in answers:
        assert answer.status >= 400
        assert canary not in str(answer.headers) + await answer.text()
    assert sure().key not in str([await answer.text() for answer in answers])
