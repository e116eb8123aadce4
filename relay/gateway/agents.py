"""Agents' own tokens: an agent who has signed in types in the agent's own name.

    of(agent) ─► the agent's TokenSource ─► static: the configuration
                                           file:   {"<user id>": "token" or {"access_token", "expires_at"}}
                                           http:   GET agent_tokens_url, answered {"access_token", "expires_in"}

One agent without a token is that agent's trouble. What keeps all of them from having one (a file that cannot be read,
a source that does not answer) is the gateway's, and makes it degraded.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from relay import wire
from relay.core.answer import Answer
from relay.core.ids import path_segment
from relay.core.moments import Ms, UnixMs, from_rfc3339
from relay.gateway.http import HttpDoor
from relay.gateway.login import LOGIN_TIMEOUT_MS, any_of, granted, is_token, problem_of
from relay.gateway.oauth import Granted, LoginProblem, TokenSource

MOST_AGENTS = 20_000
"""Tokens kept at once; an agent who has long been silent is asked for again."""

RETRY_S = 10.0
"""Between two looks at a place that serves nobody; without them nobody might type again, and so nobody would look."""

MOST_FILE_BYTES = 16_777_216

UNDATED_LIFE_MS: Ms = 300_000.0
"""How long a token without a known end is used before its place is looked at again."""

AGENT = "{agentUserId}"

SHORTEST_SECRET = 4
"""A header's `1` or `eu` keeps nothing secret, and struck out everywhere would leave no word whole."""


class Place(Protocol):
    """Where agents' tokens are kept. `problem` is what keeps every agent from having one."""

    problem: LoginProblem | None

    def __call__(self, agent_user_id: str) -> Awaitable[Granted | LoginProblem]: ...


class AgentTokens:
    """A token source for each agent that types."""

    is_shared = False

    def __init__(self, name: str, place: Place, *, most: int = MOST_AGENTS) -> None:
        self._name = name
        self._place = place
        self._most = most
        self._sources: dict[str, TokenSource] = {}
        self._retrying: asyncio.Task[None] | None = None

    @property
    def problem(self) -> LoginProblem | None:
        return self._place.problem

    def start(self) -> None:
        """Nothing is fetched before an agent types."""

    async def close(self) -> None:
        if self._retrying is not None:
            self._retrying.cancel()
            await asyncio.wait({self._retrying})
        for source in self._sources.values():
            await source.close()

    def of(self, agent_user_id: str | None) -> TokenSource | LoginProblem:
        if agent_user_id is None:
            return LoginProblem(
                "send agentUserId with the event: tokens are the agents' own", is_refusal=True
            )
        source = self._sources.pop(agent_user_id, None)
        if source is None:
            source = TokenSource(self._name, partial(self._fetch, agent_user_id), is_eager=False)
        self._sources[agent_user_id] = source  # at the end: the first one has been silent longest
        if len(self._sources) > self._most:
            self._sources.pop(next(iter(self._sources))).cancel()
        return source

    async def _fetch(self, agent_user_id: str) -> Granted | LoginProblem:
        found = await self._place(agent_user_id)
        if self._place.problem is not None and (self._retrying is None or self._retrying.done()):
            name = f"gateway {self._name}: tokens, again"
            self._retrying = asyncio.create_task(self._until_mended(agent_user_id), name=name)
        return found

    async def _until_mended(self, agent_user_id: str) -> None:
        """Readiness may keep all agents away while there is a problem: it must not take one of them to mend it."""
        while self._place.problem is not None:
            await asyncio.sleep(RETRY_S)
            await self._place(agent_user_id)


class ConfiguredTokens:
    """The tokens of the configuration."""

    def __init__(self, tokens: Mapping[str, SecretStr]) -> None:
        self._tokens = {agent.lower(): token for agent, token in tokens.items()}
        self.problem: LoginProblem | None = None

    async def __call__(self, agent_user_id: str) -> Granted | LoginProblem:
        token = self._tokens.get(agent_user_id.lower())
        if token is None:
            return LoginProblem("add this agent's token to agent_tokens", is_refusal=True)
        return Granted(token.get_secret_value(), UNDATED_LIFE_MS)


class FileTokens:
    """The tokens of a file that something else keeps fresh."""

    def __init__(self, path: Path, *, wall: Callable[[], UnixMs]) -> None:
        self._path = path
        self._wall = wall
        self._read_at: tuple[int, int] | None = None
        self._tokens: dict[str, object] = {}
        self.problem: LoginProblem | None = None

    async def __call__(self, agent_user_id: str) -> Granted | LoginProblem:
        self._refresh()
        if self.problem is not None:
            return self.problem
        return self._entry(self._tokens.get(agent_user_id.lower()))

    def _entry(self, entry: object) -> Granted | LoginProblem:
        dated = entry if isinstance(entry, dict) else {"access_token": entry}
        token, ends = dated.get("access_token"), dated.get("expires_at")
        if not is_token(token):
            return LoginProblem(
                "put a token for this agent into the file at agent_tokens_path", is_refusal=True
            )
        try:
            life_ms = UNDATED_LIFE_MS if ends is None else float(from_rfc3339(str(ends)) - self._wall())
        except (TypeError, ValueError):  # a time without its zone is a TypeError
            return LoginProblem("write expires_at in agent_tokens_path as RFC 3339", is_refusal=True)
        if life_ms <= 0:
            return LoginProblem("this agent's token in agent_tokens_path has expired: write a newer one")
        return Granted(str(token), life_ms)

    def _refresh(self) -> None:
        """A small file on this machine, read when it has changed: quicker than the thread it would take."""
        try:
            stat = self._path.stat()
            if (stat.st_mtime_ns, stat.st_size) == self._read_at:
                return
            with self._path.open("rb") as file:
                tokens = wire.loads(file.read(MOST_FILE_BYTES))
        except (OSError, wire.NotJson):
            tokens = None
            stat = None
        if not isinstance(tokens, dict) or stat is None:
            self.problem = LoginProblem("agent_tokens_path: a readable file with a JSON object is wanted")
            self._read_at = None  # the same file may come back: a mount that was away, a name that was moved
            return
        self._tokens = {agent.lower(): entry for agent, entry in tokens.items()}
        self._read_at, self.problem = (stat.st_mtime_ns, stat.st_size), None


class ServedTokens:
    """The tokens of a service that knows who has signed in."""

    def __init__(
        self, door: HttpDoor, path: str, headers: Mapping[str, SecretStr], *, wall: Callable[[], UnixMs]
    ) -> None:
        self._door = door
        self._path = path
        self._headers = {name: value.get_secret_value() for name, value in headers.items()}
        self._secrets = any_of(_parts(self._headers.values()))
        self._wall = wall
        self.problem: LoginProblem | None = None

    async def __call__(self, agent_user_id: str) -> Granted | LoginProblem:
        answer = await self._door.call(
            "GET",
            self._path.replace(AGENT, path_segment(agent_user_id)),
            headers={"accept": "application/json"} | self._headers,
            deadline_ms=asyncio.get_running_loop().time() * 1000 + LOGIN_TIMEOUT_MS,
        )
        found = granted(answer) or problem_of(
            answer, self._wall(), key=self._door.key, secret=self._secrets, advice=_advice
        )
        is_one_agents = isinstance(answer, Answer) and answer.status in {200, 404, 410}
        self.problem = None if isinstance(found, Granted) or is_one_agents else found
        return found


def _parts(values: Iterable[str]) -> Iterator[str]:
    """What a service might echo of its headers: each whole, and what follows the scheme in `Bearer x`."""
    for value in values:
        yield from (part for part in (value, value.rpartition(" ")[2]) if len(part) >= SHORTEST_SECRET)


def _advice(answer: Answer) -> str:
    match answer.status:
        case 404 | 410:
            return "agent_tokens_url knows no token of this agent: has the agent signed in?"
        case 401 | 403:
            return "agent_tokens_url does not let us in: check agent_tokens_headers"
        case status if status < 300:
            return "agent_tokens_url answered without a usable access_token"
        case _:
            return "agent_tokens_url fails; it is tried again by itself"
