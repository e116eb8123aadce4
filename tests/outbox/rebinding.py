"""A name server that answers differently the second time, on the wire, in a network of its own.

    unshare --net --mount python -m tests.outbox.rebinding FOLDER

Nothing leaves that network: it has loopback alone. There 127.0.0.2 stands for a public address, and is allowed as one;
127.0.0.1 is where the canary listens. Prints what came of each delivery, and how many reached the canary.
"""

import asyncio
import fcntl
import json
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path

from tests.outbox.canary import listening_canary
from tests.outbox.receiver import receiving
from tests.outbox.test_webhook import lease, webhook

PUBLIC, PRIVATE = "127.0.0.2", "127.0.0.1"
ANSWERS: dict[bytes, Sequence[Sequence[str]]] = {
    b"rebound": [[PUBLIC], [PRIVATE]],
    b"private": [[PRIVATE]],
    b"both": [[PRIVATE, PUBLIC]],
}
"""By the first label of a name: the A records of each answer in turn; the last one stays. All live for 0 s."""

_SIOCSIFFLAGS, _SIOCSIFADDR, _IFF_UP = 0x8914, 0x8916, 0x1
_A, _IN = 1, 1


def bring_up_loopback() -> None:
    """With a second address: glibc looks up IPv4 only where there is one that is not 127.0.0.1 (`AI_ADDRCONFIG`)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
        address = struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton(PUBLIC))
        fcntl.ioctl(any_socket, _SIOCSIFADDR, address)


def serve_names(asked: Counter[bytes]) -> None:
    """RFC 1035: one question in, its A records out."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.bind((PRIVATE, 53))

    def serve() -> None:
        while True:
            query, whom = listening.recvfrom(512)
            listening.sendto(answered(query, asked), whom)

    threading.Thread(target=serve, daemon=True).start()


def answered(query: bytes, asked: Counter[bytes]) -> bytes:
    end = query.index(0, 12) + 5
    label = query[13 : 13 + query[12]]
    kind, _ = struct.unpack("!HH", query[end - 4 : end])
    records: Sequence[str] = ()
    if kind == _A:
        turns = ANSWERS[label]
        records = turns[min(asked[label], len(turns) - 1)]
        asked[label] += 1
    head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(records), 0, 0)
    rest = (struct.pack("!HHHIH", 0xC00C, _A, _IN, 0, 4) + socket.inet_aton(one) for one in records)
    return head + query[12:end] + b"".join(rest)


async def outcome(name: str, port: int) -> str:
    """Of one delivery by an endpoint of its own, which remembers no answer of before."""
    url = f"http://{name}.tracker.example:{port}/hook"
    async with webhook(url, allow=(ip_network(f"{PUBLIC}/32"),), timeout_s=3) as hook:
        attempt, _ = await hook.send(lease())
    return str(attempt.status or attempt.failure)


async def told(asked: Counter[bytes]) -> dict[str, object]:
    with listening_canary() as canary:
        async with receiving(PUBLIC) as receiver:
            port = int(receiver.url.split(":")[2].split("/")[0])
            at_receiver = {
                "public": await outcome("rebound", port),
                "turned private": await outcome("rebound", port),
                "both": await outcome("both", port),
            }
            received = len(receiver.got)
        at_canary = {
            "turned private": await outcome("rebound", canary.port),
            "private": await outcome("private", canary.port),
        }
        return {
            "receiver": at_receiver,
            "received": received,
            "canary": at_canary,
            "canary_connections": canary.connections(),
            "asked": asked.total(),
        }


def main(folder: Path) -> None:
    bring_up_loopback()
    names = folder / "resolv.conf"
    names.write_text(f"nameserver {PRIVATE}\noptions timeout:1 attempts:2\n")
    subprocess.run(["mount", "--bind", names, "/etc/resolv.conf"], check=True)
    asked: Counter[bytes] = Counter()
    serve_names(asked)
    print(json.dumps(asyncio.run(told(asked))))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
