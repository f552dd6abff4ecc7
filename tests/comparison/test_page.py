"""The page for a browser: complete without a network, and its fronts answer, in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from studies import SETTINGS, bundled, hand_made

import pruneframe as pf
from pruneframe.comparison.document import close, compose
from pruneframe.comparison.page import write_page
from pruneframe.comparison.style import label
from pruneframe.study.facts import facts
from pruneframe.study.store import StudyFolder
from pruneframe.study.table import long_table

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


def page_of(table: pd.DataFrame, study: pf.StudyFacts, output: Path) -> Path:
    comparison = compose(bundled(), table, study, [SETTINGS], print)
    write_page(comparison, study, table, output)
    close(comparison)
    return output


def content_of(page: Path) -> dict:
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found
    return json.loads(found[1])


def shown(page: Path, fragment: str = "", script: str = "") -> str:
    """The page as a browser without a network leaves it, after a script of ours."""
    if BROWSER is None:
        pytest.skip("needs chromium")
    copy = page.with_name("shown.html")
    copy.write_text(page.read_text().replace("</body>", f"<script>{script}</script></body>"))
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=2000",
        "--host-rules=MAP * 0.0.0.0",
    ]
    command = [
        BROWSER,
        *options,
        f"--user-data-dir={page.parent / 'profile'}",
        "--dump-dom",
        f"file://{copy}{fragment}",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.fixture(scope="module")
def page(small: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page_of(long_table(small), facts(small), tmp_path_factory.mktemp("page") / "page.html")


def test_a_page_names_no_other_file(page: Path) -> None:
    text = page.read_text()
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#)[^"']+""", re.sub(r'"svg": ".*?[^\\]"', "", text))
    assert not re.findall(r"@import|url\(\s*['\"]?http", text)


def test_a_page_holds_every_member_with_what_it_keeps(page: Path, small: StudyFolder) -> None:
    [front] = content_of(page)["sections"][0]["fronts"]
    known = facts(small)
    assert len(front["points"]) == sum(run.front_size for run in known.runs)
    first = front["points"][0]
    assert len(first["kept"]) == len(front["layers"]) == 4
    assert set(content_of(page)["looks"]) == {"magnitude", "random"}


def test_names_do_not_end_the_script(tmp_path: Path) -> None:
    table, study = hand_made()
    name = "</script><b>&"
    runs = tuple(replace(run, method=name) if run.method == "first" else run for run in study.runs)
    written = page_of(table.replace({"method": {"first": name}}), replace(study, runs=runs), tmp_path / "page.html")
    assert name in content_of(written)["looks"]
    assert "&lt;/script&gt;&lt;b&gt;&amp;" in shown(written)


def test_the_browser_shows_all_sections_and_what_a_link_names(page: Path) -> None:
    dom = shown(page, "#1/2")
    content = content_of(page)
    for section in content["sections"]:
        assert f"<h2>{section['heading']}</h2>" in dom
    point = content["sections"][0]["fronts"][0]["points"][2]
    assert f"{point['error']:.2f} %" in dom
    assert f"--run {point['run']} --member {point['number']} -o pruned.safetensors" in dom
    assert dom.count("<circle cx=") == len(content["sections"][0]["fronts"][0]["points"])
    best = sum(
        len(item["best"]) for section in content["sections"] for item in section["items"] if item["kind"] == "table"
    )
    assert dom.count('<td class="best">') == best > 0
    assert '<th class="words">method</th><th>runs</th>' in dom  # numbers stand on the right
    assert '<td class="words">random</td><td>3</td>' in dom
    assert dom.count("<figure") == sum(
        item["kind"] in ("figure", "table") for s in content["sections"] for item in s["items"]
    )


def test_an_anonymous_page_does_not_name_the_folder(small: StudyFolder, tmp_path: Path) -> None:
    table, study = long_table(small), facts(small)
    reports = [report for report in bundled() if report.name == "results"]
    for anonymous in (False, True):
        comparison = compose(reports, table, study, [SETTINGS], print, anonymous)
        write_page(comparison, study, table, tmp_path / "page.html", anonymous)
        assert (small.path.name in (tmp_path / "page.html").read_text()) == (not anonymous)


def test_pointing_at_a_member_describes_it(page: Path) -> None:
    script = """
        const mark = document.querySelector('[data-point="1/4"]');
        mark.dispatchEvent(new Event("pointerenter"));
    """
    point = content_of(page)["sections"][0]["fronts"][0]["points"][4]
    dom = shown(page, script=script)
    details = dom[dom.index('id="details-1"') :]
    assert f"<dd>{point['number']}</dd>" in details
    assert f"{point['removed']:.2f} % of the parameters" in details


def test_the_first_member_is_described_before_anybody_points(page: Path) -> None:
    dom = shown(page)
    assert "of the parameters</dd>" in dom[dom.index('id="details-1"') :]


def test_axes_are_called_as_in_the_figures(page: Path, small: StudyFolder) -> None:
    [board] = facts(small).boards
    [front] = content_of(page)["sections"][0]["fronts"]
    assert front["axes"] == [label(board, objective) for objective in range(2)]
    assert front["axes"][1].startswith("params (share of 13.8k parameters")


def test_a_method_can_be_switched_off(page: Path) -> None:
    points = content_of(page)["sections"][0]["fronts"][0]["points"]
    dom = shown(page, script="document.querySelector('input[type=checkbox]').click();")
    assert dom.count("<circle cx=") == sum(point["method"] != "magnitude" for point in points)
