"""A tracker in one page: believes nothing unsigned, takes nothing twice, lets nothing old overwrite something new.

    WEBHOOK_SECRET=whsec_… python tests/examples/receiver.py 8099

Then WEBHOOK_URL=http://127.0.0.1:8099/hooks for the relay. What it keeps in memory belongs into your database, in
one transaction: the id, and what the event changed.
"""

import os
import sys
from datetime import timedelta

from aiohttp import web

from relay.client import Event, VerificationFailed, verify

SECRETS = os.environ.get("WEBHOOK_SECRET", "").split()

seen: set[str] = set()  # yours: a unique key, kept as long as the relay keeps dead letters (30 days)
newest: dict[str, Event] = {}  # by session

ANEW = timedelta(hours=23)
"""A session's numbers go on for a day after it has stopped; one that returns later begins at 1 again."""


def apply(event: Event) -> str:
    """What a new event changes: here, the state of its session that is shown."""
    session_id, sequence = event.session_id, event.sequence
    if session_id is None or sequence is None:
        return "noted"  # a broadcast's result: it has no place in the session's order
    before = newest.get(session_id)
    last = before.sequence or 0 if before else 0
    later = event.at - before.at if before else timedelta()
    if later <= -ANEW or (sequence <= last and later < ANEW):
        return "older than what is shown"
    if sequence <= last:
        last = 0
    newest[session_id] = event
    return "shown" if sequence == last + 1 else "shown, but events before it are missing"


async def hook(request: web.Request) -> web.Response:
    try:
        event = verify(request.headers, await request.read(), SECRETS)
    except VerificationFailed as why:
        return web.Response(status=401, text=why.reason)
    if event.id not in seen:
        print(event.type, event.session_id, event.sequence, apply(event), flush=True)
        seen.add(event.id)  # last: if `apply` fails, the answer is a 500 and the event comes again
    return web.Response(status=204)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not SECRETS:
        sys.exit("usage: WEBHOOK_SECRET=whsec_… python tests/examples/receiver.py PORT")
    app = web.Application()
    app.router.add_post("/hooks", hook)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
