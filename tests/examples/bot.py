"""A bot in one page: its guest sees it at work until it has answered, and nothing when it fails.

    python tests/examples/bot.py http://127.0.0.1:8080 5f0c2f9e-8a52-4d7e-9d3a-0123456789ab guest-17

Questions come line by line, like `20 + 22`; put your model in the place of `answer`. RELAY_KEY is the key of `typing-relay keys new`,
where the relay wants one.
"""

import asyncio
import os
import sys

from relay.client import RelayClient


async def answer(question: str) -> str:
    await asyncio.sleep(len(question) / 10)
    return str(sum(int(number) for number in question.split("+")))


async def main(url: str, session_id: str, guest_id: str) -> None:
    async with RelayClient(url, os.environ.get("RELAY_KEY")) as relay:
        while question := (await asyncio.to_thread(sys.stdin.readline)).strip():
            try:
                async with relay.thinking(session_id, guest_id) as work:
                    print(await answer(question), flush=True)
                    work.answered()
            except Exception as why:  # noqa: BLE001 - whatever it was, the bot goes on with the next question
                print(f"no answer: {type(why).__name__}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python tests/examples/bot.py URL SESSION_ID GUEST_ID")
    asyncio.run(main(*sys.argv[1:]))
