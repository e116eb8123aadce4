"""Which tokens a configured gateway calls with, and the doors they are asked for at."""

from collections.abc import Callable
from urllib.parse import urlsplit

from relay.core.moments import UnixMs
from relay.gateway.agents import AgentTokens, ConfiguredTokens, FileTokens, ServedTokens
from relay.gateway.http import HttpDoor
from relay.gateway.login import ClientLogin
from relay.gateway.oauth import Tokens, TokenSource
from relay.settings.gateway import Gateway as GatewaySettings

LOGIN_CONNECTIONS = 4


class Wallet:
    """The tokens, with the connections they need of their own. Raises SettingsError for an unusable URL."""

    def __init__(self, name: str, settings: GatewaySettings, *, wall: Callable[[], UnixMs]) -> None:
        self._name = name
        self._settings = settings
        self._wall = wall
        self._doors: list[HttpDoor] = []
        self.tokens = self._tokens()

    async def start(self) -> None:
        """Open the doors; before the tokens' own `start`."""
        for door in self._doors:
            await door.start()

    async def close(self) -> None:
        """After the tokens' own `close`."""
        for door in self._doors:
            await door.close()

    def _tokens(self) -> Tokens:
        settings = self._settings
        match settings.token_source:
            case "client":
                return TokenSource(self._name, self._login())
            case "static":
                return AgentTokens(self._name, ConfiguredTokens(settings.agent_tokens))
            case "file":
                assert settings.agent_tokens_path is not None, "the settings demand it"
                return AgentTokens(self._name, FileTokens(settings.agent_tokens_path, wall=self._wall))
            case "http":
                return AgentTokens(self._name, self._served())

    def _login(self) -> ClientLogin:
        client_id, client_secret = self._settings.credentials
        return ClientLogin(
            self._door(self._settings.auth_url, self._settings.auth_setting),
            client_id=client_id,
            client_secret=client_secret,
            scope=self._settings.asked_scope,
            form=self._settings.credentials_form,
            wall=self._wall,
        )

    def _served(self) -> ServedTokens:
        url = urlsplit(self._settings.agent_tokens_url or "")
        door = self._door(f"{url.scheme}://{url.netloc}", "agent_tokens_url")
        path = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
        return ServedTokens(door, path, self._settings.agent_tokens_headers, wall=self._wall)

    def _door(self, url: str, key: str) -> HttpDoor:
        allow_http = self._settings.allow_http
        door = HttpDoor(url, name=self._name, carriers=LOGIN_CONNECTIONS, allow_http=allow_http, key=key)
        self._doors.append(door)
        return door
