import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from relay.errors import SettingsError
from relay.settings.loading import load, without_secret
from relay.settings.models import Settings

TUTORIAL = {
    "GENESYS_CLIENT_ID": "the-client",
    "GENESYS_CLIENT_SECRET": "canary-secret",
    "GENESYS_API_BASE_URL": "http://127.0.0.1:9999",
    "WEBHOOK_URL": "http://127.0.0.1:9998/hook",
    "WEBHOOK_SECRET": "whsec_" + "A" * 44,
}


def loaded(
    cwd: Path, *, toml: str | None = None, dotenv: str | None = None, env: Mapping[str, str] | None = None
) -> Settings:
    config = None
    if toml is not None:
        config = Path("relay.toml")
        (cwd / config).write_text(toml)
    if dotenv is not None:
        (cwd / ".env").write_text(dotenv)
    return load(config, env or {}, cwd)


def problems(cwd: Path, **said: object) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        loaded(cwd, **said)  # type: ignore[arg-type]  # the three keywords of `loaded`, passed through
    return str(caught.value).splitlines()


def test_nothing_said_gives_the_defaults(tmp_path: Path) -> None:
    assert loaded(tmp_path) == Settings()


def test_each_source_outranks_the_one_before_it(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("5\n")
    toml, dotenv = "[server]\nport = 2\n", "RELAY_SERVER__PORT=3\n"
    env = {"RELAY_SERVER__PORT": "4"}
    assert loaded(tmp_path).server.port == 8080
    assert loaded(tmp_path, toml=toml).server.port == 2
    assert loaded(tmp_path, toml=toml, dotenv=dotenv).server.port == 3
    assert loaded(tmp_path, toml=toml, env=env).server.port == 4
    assert loaded(tmp_path, toml=toml, env=env | {"RELAY_SERVER__PORT_FILE": "port"}).server.port == 5


def test_the_dotenv_file_never_enters_the_environment(tmp_path: Path) -> None:
    loaded(tmp_path, dotenv="RELAY_SERVER__PORT=3\nOTHER_CANARY=1\n")
    assert "RELAY_SERVER__PORT" not in os.environ
    assert "OTHER_CANARY" not in os.environ


def test_the_dotenv_file_is_taken_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMETHING", "expanded")
    settings = loaded(tmp_path, dotenv="GENESYS_CLIENT_ID=a${SOMETHING}\nGENESYS_CLIENT_SECRET=s\n")
    assert settings.gateways["guest"].client_id == "a${SOMETHING}"


def test_every_line_of_the_dotenv_file_that_cannot_be_read_is_a_problem_with_its_number_and_without_its_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Such a line was dropped, and a warning named neither the file nor, after empty lines, the right number."""
    dotenv = (
        "# a comment\nRELAY_SERVER__PORT=3\n\n  \n"  # the third and fourth line are empty
        "GENESYS_CLIENT_SECRET='canary\n"
        "this canary is no assignment\n\n"
        "export GENESYS_CLIENT_ID=a\n"
        'WEBHOOK_SECRET="canary" canary\r\n'
    )
    lines = problems(tmp_path, dotenv=dotenv)
    wanted = "NAME=value is wanted, and every quote closed; mend the line, or make it a comment with #"
    assert lines[:3] == [f".env line {number}: {wanted}" for number in (5, 6, 9)]
    assert "canary" not in "\n".join(lines) + caplog.text
    assert not caplog.records


def test_a_name_given_twice_in_the_dotenv_file_has_its_last_value(tmp_path: Path) -> None:
    dotenv = "RELAY_SERVER__PORT=3\nRELAY_SERVER__PORT='4' # the last\n"
    assert loaded(tmp_path, dotenv=dotenv).server.port == 4
    assert loaded(tmp_path, dotenv=f"{dotenv}RELAY_SERVER__PORT=\n").server.port == 8080


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[server]\nport = 7\n")
    assert loaded(tmp_path, env={"RELAY_CONFIG": "mine.toml"}).server.port == 7


def test_a_file_is_never_searched_for(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text("[server]\nport = 7\n")
    assert loaded(tmp_path).server.port == 8080


def test_environment_names_reach_into_named_tables(tmp_path: Path) -> None:
    toml = '[gateways.my-org]\nclient_id = "a"\nclient_secret = "b"\n'
    env = {"RELAY_GATEWAYS__MY_ORG__RATE_PER_MINUTE": "120", "RELAY_TYPING__STOP_MODE": "terminal"}
    settings = loaded(tmp_path, toml=toml, env=env)
    assert settings.gateways["my-org"].rate_per_minute == 120
    assert settings.typing.stop_mode == "terminal"


@pytest.mark.parametrize(
    "text", ["a.example,b.example", " a.example , b.example ", '["a.example","b.example"]']
)
def test_lists_are_json_or_words_with_commas(tmp_path: Path, text: str) -> None:
    hosts = loaded(tmp_path, env={"RELAY_SERVER__ALLOWED_HOSTS": text}).server.allowed_hosts
    assert hosts == ("a.example", "b.example")


def test_an_empty_variable_is_unset(tmp_path: Path) -> None:
    assert loaded(tmp_path, env={"RELAY_SERVER__PORT": "", "WEBHOOK_URL": ""}) == Settings()


def test_a_scheduler_may_inject_names_without_a_double_underscore(tmp_path: Path) -> None:
    assert loaded(tmp_path, env={"RELAY_PORT": "tcp://10.0.0.1:80", "RELAY_SERVICE_HOST": "x"}) == Settings()


def test_an_unknown_environment_name_is_told_its_neighbour(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, env={"RELAY_SERVER__PROT": "canary"})
    assert line == "RELAY_SERVER__PROT: no setting has this name; did you mean RELAY_SERVER__PORT?"


def test_an_unknown_name_in_a_named_table_keeps_its_entry(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, env={"RELAY_GATEWAYS__EU__RATE_PER_MINUT": "1"})
    assert line.endswith("did you mean RELAY_GATEWAYS__EU__RATE_PER_MINUTE?")


def test_an_unknown_name_like_no_other_is_told_where_to_look(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, env={"RELAY_QQ__ZZZZZZZZZZZZ": "1"})
    assert "config schema" in line


def test_an_unknown_key_is_told_its_neighbour(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, toml="[server]\nprot = 1\n")
    assert line == "relay.toml:server.prot: no setting has this name; did you mean port?"


def test_an_unknown_section_is_told_its_neighbour(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, toml="[sever]\nport = 1\n")
    assert line.endswith("did you mean server?")


def test_every_problem_is_listed_at_once_with_its_place_and_without_the_value(tmp_path: Path) -> None:
    lines = problems(
        tmp_path,
        toml='[server]\nport = 99999\n[logging]\nlevel = "canary-level"\n',
        dotenv="RELAY_OPERATIONS__PORT=canary-port\n",
        env={"RELAY_NO__SUCH": "canary-name", "RELAY_SERVER__HOST_FILE": "canary-file"},
    )
    assert {line.split(": ")[0] for line in lines} == {
        "relay.toml:server.port",
        "relay.toml:logging.level",
        "RELAY_OPERATIONS__PORT in .env",
        "RELAY_NO__SUCH",
        "RELAY_SERVER__HOST_FILE",
    }
    assert "canary" not in "\n".join(lines)
    assert "99999" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("toml", "wanted"),
    [
        ("server = 3\n", "relay.toml:server:"),
        ("gateways = 3\n", "relay.toml:gateways:"),
        ("[gateways]\nguest = 3\n", "relay.toml:gateways.guest:"),
        ("endpoints = []\n", "relay.toml:endpoints:"),
        ("[gateways.UPPER]\n", "relay.toml:gateways.UPPER"),
        ("[server\n", "relay.toml: TOML is wanted"),
        ("outbox = 1\n", "relay.toml:outbox:"),
    ],
)
def test_a_misshapen_file_is_a_problem_not_a_crash(tmp_path: Path, toml: str, wanted: str) -> None:
    assert problems(tmp_path, toml=toml, env=TUTORIAL)[0].startswith(wanted)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: a readable file is wanted"):
        load(Path("nowhere.toml"), {}, tmp_path)


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="UTF-8"):
        load(Path("relay.toml"), {}, tmp_path)


def test_the_tutorials_environment_is_a_complete_configuration(tmp_path: Path) -> None:
    settings = loaded(tmp_path, env=TUTORIAL)
    guest, tracker = settings.gateways["guest"], settings.endpoints["tracker"]
    assert (guest.client_id, guest.base_url) == ("the-client", "http://127.0.0.1:9999")
    assert guest.credentials[1] == "canary-secret"
    assert tracker.url == "http://127.0.0.1:9998/hook"
    assert [one.secret.get_secret_value() for one in tracker.secrets] == [TUTORIAL["WEBHOOK_SECRET"]]
    assert "canary" not in repr(settings)


def test_the_tutorials_names_may_stand_in_the_dotenv_file(tmp_path: Path) -> None:
    settings = loaded(tmp_path, dotenv="".join(f"{name}={value}\n" for name, value in TUTORIAL.items()))
    assert settings == loaded(tmp_path, env=TUTORIAL)


def test_the_tutorials_names_may_name_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-a-file\n")
    env = TUTORIAL | {"GENESYS_CLIENT_SECRET_FILE": str(tmp_path / "secret")}
    assert loaded(tmp_path, env=env).gateways["guest"].credentials[1] == "from-a-file"


def test_the_tutorials_names_only_fill_what_nothing_else_sets(tmp_path: Path) -> None:
    settings = loaded(tmp_path, toml='[gateways.guest]\nclient_id = "mine"\n', env=TUTORIAL)
    assert settings.gateways["guest"].client_id == "mine"
    assert settings.gateways["guest"].credentials[1] == "canary-secret"


def test_the_tutorials_names_make_no_second_gateway(tmp_path: Path) -> None:
    toml = '[gateways.eu]\nclient_id = "a"\nclient_secret = "b"\n[endpoints.bi]\nurl = "https://x"\nsecrets = ["s"]\n'
    settings = loaded(tmp_path, toml=toml, env=TUTORIAL)
    assert set(settings.gateways) == {"eu"}
    assert set(settings.endpoints) == {"bi"}


def test_a_missing_half_of_the_tutorials_environment_is_named(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, env={"GENESYS_CLIENT_ID": "a"})
    assert line == "gateways.guest.client_secret: is required (or GENESYS_CLIENT_SECRET in the environment)"


def test_without_a_webhook_secret_its_place_is_known(tmp_path: Path) -> None:
    env = {name: value for name, value in TUTORIAL.items() if name != "WEBHOOK_SECRET"}
    settings = loaded(tmp_path, env=env | {"RELAY_OUTBOX__PATH": "data/relay.db"})
    assert without_secret(settings) == [Path("data/relay.db.secret")]


def test_a_generated_webhook_secret_is_found_again(tmp_path: Path) -> None:
    (tmp_path / "typing-relay.db.secret").write_text("whsec_kept\n")
    env = {name: value for name, value in TUTORIAL.items() if name != "WEBHOOK_SECRET"}
    settings = loaded(tmp_path, env=env)
    assert [one.secret.get_secret_value() for one in settings.endpoints["tracker"].secrets] == ["whsec_kept"]
    assert without_secret(settings) == []


def test_an_unreadable_generated_secret_is_a_problem_among_the_others(tmp_path: Path) -> None:
    (tmp_path / "typing-relay.db.secret").write_bytes(b"\xff")
    env = {name: value for name, value in TUTORIAL.items() if name != "WEBHOOK_SECRET"}
    assert len(problems(tmp_path, env=env | {"RELAY_SERVER__PORT": "-1"})) == 2


def test_a_list_that_is_broken_json_is_a_problem(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, env={"RELAY_SERVER__ALLOWED_HOSTS": '["canary'})
    assert line.startswith("RELAY_SERVER__ALLOWED_HOSTS: a JSON array")
    assert "canary" not in line


def test_a_tutorials_url_on_this_machine_says_that_deliveries_may_go_there(tmp_path: Path) -> None:
    allowed = loaded(tmp_path, env=TUTORIAL).endpoints["tracker"].allow_cidrs
    assert {str(network) for network in allowed} == {"127.0.0.0/8", "::1/128"}
    elsewhere = TUTORIAL | {"WEBHOOK_URL": "https://tracker.example/hook"}
    assert loaded(tmp_path, env=elsewhere).endpoints["tracker"].allow_cidrs == ()


def test_a_tutorials_url_opens_no_private_network(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, env=TUTORIAL | {"WEBHOOK_URL": "https://10.0.0.1/canary"})
    assert "private (RFC 1918)" in line
    assert "canary" not in line


def test_any_other_endpoint_on_this_machine_has_to_name_it(tmp_path: Path) -> None:
    toml = '[endpoints.bi]\nurl = "http://127.0.0.1:9/canary"\nsecrets = ["s"]\n'
    (line,) = problems(tmp_path, toml=toml)
    assert line.startswith("endpoints.bi: url: its address is loopback")
    assert "canary" not in line
    allowed = loaded(tmp_path, toml=toml + 'allow_cidrs = ["127.0.0.0/8"]\n').endpoints["bi"].allow_cidrs
    assert [str(network) for network in allowed] == ["127.0.0.0/8"]


def test_what_the_operator_allows_is_not_widened(tmp_path: Path) -> None:
    env = TUTORIAL | {"RELAY_ENDPOINTS__TRACKER__ALLOW_CIDRS": "127.0.0.1/32"}
    allowed = loaded(tmp_path, env=env).endpoints["tracker"].allow_cidrs
    assert [str(network) for network in allowed] == ["127.0.0.1/32"]


def test_headers_are_a_table_in_the_file_and_a_json_object_in_the_environment(tmp_path: Path) -> None:
    toml = '[endpoints.tracker.headers]\nauthorization = "Bearer a"\nX-Tenant = "b"\n'
    headers = loaded(tmp_path, toml=toml, env=TUTORIAL).endpoints["tracker"].headers
    assert {name: value.get_secret_value() for name, value in headers.items()} == {
        "authorization": "Bearer a",
        "X-Tenant": "b",
    }
    name = "RELAY_ENDPOINTS__TRACKER__HEADERS"
    env = TUTORIAL | {name: '{"authorization": "Bearer c"}'}
    assert (
        loaded(tmp_path, env=env).endpoints["tracker"].headers["authorization"].get_secret_value()
        == "Bearer c"
    )
    (line,) = problems(tmp_path, env=TUTORIAL | {name: "authorization: canary"})
    assert line == f"{name}: a JSON object is wanted"
