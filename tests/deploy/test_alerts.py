"""`deploy/prometheus/alerts.yaml`: each alert asks for what there is, names its row of the run book, fires and does not."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from relay import wire
from relay.core.budget import shares
from relay.core.terms import UNORDERED_AFTER_MS
from relay.observe.health import ALIVE_LAG_MS
from relay.settings.gateway import Gateway as GatewaySettings
from relay.settings.models import Outbox
from tests.deploy.queries import asked_for, wrong_in
from tests.whole.process import ROOT
from tests.whole.test_operations import ALERTED_ON

FILE = ROOT / "deploy" / "prometheus" / "alerts.yaml"
RULES: list[dict[str, Any]] = [  # Any: YAML
    rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]
]
BY_NAME = {rule["alert"]: rule for rule in RULES}
ROWS = {
    row.replace("`", "")
    for row in re.findall(r"^\| (.+?) \|", (ROOT / "deploy/README.md").read_text(), re.MULTILINE)
}
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool: apt install prometheus")


class Case(NamedTuple):
    """Samples a minute apart, in promtool's notation: `fires` has the alert firing within 40 minutes, `quiet` never."""

    series: str
    fires: str
    quiet: str


CASES = {
    "TypingRelayDown": Case('up{job="typing-relay"}', "1x20 0x20", "1x20 0 1x20"),
    "TypingRelayStalls": Case(
        "relay_loop_lag_seconds", "0x20 1.2 0 0 0 1.2 0 0 0 1.2 0 0 0", "0x20 1.2 0x30"
    ),
    "TypingRelayNotReady": Case('relay_ready{check="outbox"}', "1x20 0x20", "1x20 0 1x20"),
    "TypingRelayReloadRefused": Case('relay_config_reloads_total{outcome="refused"}', "0x20 1x20", "1x40"),
    "TypingRelayCallersCut": Case(
        'relay_refused_requests_total{reason="too_many"}', "0+60x40", "0x20 900x20"
    ),
    "TypingRelayUnprovenBodiesRefused": Case("relay_unproven_bodies_refused_total", "0x20 5x20", "5x40"),
    "TypingRelayLoginFails": Case(
        'relay_broadcasts_total{gateway="guest",indicator="typing",outcome="login"}', "0+3x40", "_x20 1x20"
    ),
    "TypingRelayPlatformAway": Case(
        'relay_dropped_indicators_total{gateway="guest",reason="breaker_open"}', "0+9x40", "0x20 80x20"
    ),
    "TypingRelayTooManyForPlatform": Case('relay_platform_429_total{gateway="guest"}', "0+1x40", "0x20 2x20"),
    "TypingRelayBudgetUsedUp": Case(
        'relay_limiter_headroom_ratio{gateway="guest"}', "1x5 0.1x40", "1x20 0x4 0.5x20"
    ),
    "TypingRelayOutboxRefuses": Case('relay_outbox_refused_total{reason="disk_full"}', "0x20 1x20", "7x40"),
    "TypingRelayOutboxFills": Case('relay_outbox_deliveries{state="pending"}', "0+20000x40", "0+10000x40"),
    "TypingRelayCallbacksWait": Case("relay_outbox_oldest_pending_seconds", "0+60x40", "0x10 0+60x13 0x20"),
    "TypingRelayEndpointFails": Case(
        'relay_endpoint_circuit{endpoint="tracker",circuit="closed"}', "1x15 0x30", "1x15 0x8 1x20"
    ),
    "TypingRelayEndpointDisabled": Case('relay_endpoint_disabled{endpoint="tracker"}', "0x20 1x20", "0x40"),
    "TypingRelayDeadLetters": Case('relay_deliveries_ended_total{state="exhausted"}', "0x20 1x20", "8x40"),
    "TypingRelayDeliveriesShed": Case("relay_deliveries_shed_total", "0x20 400x20", "400x40"),
    "TypingRelayLaneFault": Case('relay_lane_faults_total{endpoint="tracker"}', "0x20 1x20", "0x40"),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_a_relay_shows(rule: dict[str, Any]) -> None:
    assert wrong_in(rule["expr"]) == []


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("relay_outbox_refused > 0", "no series relay_outbox_refused"),
        ('relay_platform_429_total{endpoint="x"} > 0', "relay_platform_429_total has no label endpoint"),
        ('relay_dropped_indicators_total{reason=~"muted|open"}', "reason of relay_dropped_indicators_total is never open"),
        ("sum by (gateway) (relay_outbox_deliveries)", "no label gateway to group by"),
        ("vector(1)", "it asks for nothing"),
    ],
)  # fmt: skip
def test_a_name_that_no_relay_has_is_found(query: str, wrong: str) -> None:
    assert wrong_in(query) == [wrong]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_which_row_of_the_run_book_helps(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"]
    _, named, row = rule["annotations"]["description"].partition("Run book: ")
    assert named
    assert row.removesuffix(".") in ROWS


def test_whatever_is_said_of_a_series_can_be_said_of_that_one() -> None:
    """A label in a summary that the expression dropped, or never had, would be an empty word."""
    for rule in RULES:
        said = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        given = set(re.findall(r'(\w+)="', CASES[rule["alert"]].series))
        assert said <= given, rule["alert"]


def test_counters_whose_first_event_is_worth_an_alert_have_one() -> None:
    """But for attempts: that they fail is what circuits and waiting callbacks are watched for."""
    asked = {one.sample for rule in RULES for one in asked_for(rule["expr"])}
    assert asked >= ALERTED_ON - {"relay_delivery_attempts_total"}


def test_thresholds_are_those_the_relay_goes_by() -> None:
    assert f">= {ALIVE_LAG_MS / 1000:g}" in BY_NAME["TypingRelayStalls"]["expr"]
    assert f"> {UNORDERED_AFTER_MS // 1000}" in BY_NAME["TypingRelayCallbacksWait"]["expr"]
    burst = GatewaySettings.model_fields["burst"].default
    kept_for_stops = shares(300, burst)[1].burst / burst
    (below,) = re.findall(r"< ([\d.]+)", BY_NAME["TypingRelayBudgetUsedUp"]["expr"])
    assert kept_for_stops < float(below) < kept_for_stops + 2 / burst
    limits = re.findall(r"> (\d+)", BY_NAME["TypingRelayOutboxFills"]["expr"])
    assert [int(limit) * 2 for limit in limits] == [Outbox().max_rows, Outbox().max_bytes]


def test_each_alert_is_tried() -> None:
    assert CASES.keys() == BY_NAME.keys()


@needs_promtool
def test_promtool_takes_the_rules() -> None:
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, "check", "rules", str(FILE)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_each_alert_fires_on_what_it_is_for_and_not_on_what_it_is_not(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    tests = [
        _tried(name, case.series, values, is_firing=is_firing)
        for name, case in CASES.items()
        for values, is_firing in ((case.fires, True), (case.quiet, False))
    ]
    tests.append(_tried("TypingRelayDown", 'up{job="another"}', "1x40", is_firing=True))
    tests.append(
        _tried("TypingRelayOutboxFills", "relay_outbox_undelivered_bytes", "600000000x40", is_firing=True)
    )
    file = tmp_path / "tests.yaml"
    file.write_bytes(wire.dumps({"rule_files": [str(FILE)], "tests": tests}))  # JSON is YAML
    done = subprocess.run(
        [PROMTOOL, "test", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _tried(alert: str, series: str, values: str, *, is_firing: bool) -> dict[str, Any]:
    firing = f'count(count_over_time(ALERTS{{alertname="{alert}",alertstate="firing"}}[1h]))'
    expected = {"exp_samples": [{"labels": "{}", "value": 1}]} if is_firing else {}
    return {
        "name": f"{alert} {values}",
        "interval": "1m",
        "input_series": [{"series": series, "values": values}],
        "promql_expr_test": [{"expr": firing, "eval_time": "40m", **expected}],
    }
