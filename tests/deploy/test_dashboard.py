"""`deploy/grafana/dashboard.json`: whatever a panel asks for is there to be shown, in a unit, in the order of the river.

Nothing here draws it; its expressions are parsed by `promtool`, where there is one.
"""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from relay import wire
from tests.deploy.queries import asked_for, scraped, wrong_in
from tests.deploy.test_alerts import PROMTOOL, needs_promtool
from tests.whole.process import ROOT

BOARD: dict[str, Any] = wire.loads((ROOT / "deploy/grafana/dashboard.json").read_bytes())  # Any: JSON
PANELS: list[dict[str, Any]] = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
UNITS = {"bool_yes_no", "eps", "percentunit", "reqps", "s", "short"}
"""Grafana's own words for what is shown here."""
WIDE = 24


def expressions(panel: dict[str, Any]) -> list[str]:
    """As Grafana sends them, with its variables filled in."""
    filled = {"$__rate_interval": "1m", "$instance": "127.0.0.1:9180"}
    return [re.sub(r"\$\w+", lambda found: filled[found[0]], target["expr"]) for target in panel["targets"]]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_for_what_a_relay_shows_and_says_its_unit(panel: dict[str, Any]) -> None:
    asked = expressions(panel)
    assert asked
    assert [wrong for query in asked for wrong in wrong_in(query)] == []
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["title"]
    assert panel["description"]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_in_seconds_shows_seconds_and_one_of_counts_how_fast_they_grow(panel: dict[str, Any]) -> None:
    is_seconds = panel["fieldConfig"]["defaults"]["unit"] == "s"
    for query in expressions(panel):
        for one in asked_for(query):
            assert ("_seconds" in one.sample) is is_seconds
            is_counted = one.sample.endswith(("_total", "_bucket"))
            assert bool(re.search(rf"\b(rate|increase)\({one.sample}\{{[^}}]*\}}\[", query)) is is_counted


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_legend_names_only_labels_that_are_left(panel: dict[str, Any]) -> None:
    for query, target in zip(expressions(panel), panel["targets"], strict=True):
        said = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        kept = re.findall(r"by \(([^)]*)\)", query)
        labels = set(kept[0].split(", ")) if kept else scraped()[next(asked_for(query)).sample][1]
        assert said <= labels


def test_every_panel_is_of_the_chosen_relay_from_the_chosen_source() -> None:
    names = [variable["name"] for variable in BOARD["templating"]["list"]]
    assert names == ["datasource", "instance"]
    assert BOARD["templating"]["list"][0]["type"] == "datasource"
    assert wrong_in(BOARD["templating"]["list"][1]["query"]["query"]) == []
    for panel in PANELS:
        for target in panel["targets"]:
            assert (
                target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            )
            assert target["expr"].count('instance="$instance"') == len(list(asked_for(target["expr"])))


def test_the_rows_are_the_river_and_nothing_lies_upon_another() -> None:
    rows = [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"]
    assert rows == ["In", "Machine", "Platform", "Outbox", "Endpoints"]
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    places = [panel["gridPos"] for panel in BOARD["panels"]]
    assert places == sorted(places, key=lambda at: (at["y"], at["x"]))
    taken = [
        (x, y)
        for at in places
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < WIDE


@needs_promtool
def test_promtool_can_read_every_expression(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    queries = [query for panel in PANELS for query in expressions(panel)]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "rules.yaml"
    file.write_bytes(wire.dumps({"groups": [{"name": "panels", "rules": rules}]}))  # JSON is YAML
    done = subprocess.run(
        [PROMTOOL, "check", "rules", str(file)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
