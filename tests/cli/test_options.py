"""A file of options."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import METHOD, QUICK, Cli


def test_config_holds_any_option_and_the_command_line_goes_first(cli: Cli, here: Path, tmp_path: Path) -> None:
    config = tmp_path / "bench.toml"
    config.write_text(
        'methods = ["random", "nsga2[population=4,scorer=l2]"]\nseeds = "0-1"\nbudget = 20\nsearch-images = 100\n'
        'objectives = ["error", "macs"]\nthreads = 1\noutput = "from-config"\ndry_run = true\njson = true\n'
    )
    rows = cli("bench", "--config", config, "--seeds", "5").parsed
    methods = ["random", "nsga2[scorer=l2,population=4]"]
    assert [(row["method"], row["seed"]) for row in rows] == [(method, 5) for method in methods]
    assert list(here.iterdir()) == []


def test_config_may_name_plugins(cli: Cli, tmp_path: Path) -> None:
    plugin, config = tmp_path / "own.py", tmp_path / "bench.toml"
    plugin.write_text(METHOD.replace("BODY", "pass"))
    config.write_text(f"p = [{str(plugin)!r}]\n")
    rows = cli("bench", "--methods", "own", *QUICK, "--config", config, "--dry-run", "--json").parsed
    assert [row["method"] for row in rows] == ["own"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"metods = 'random'\n", ["metods", "methods"]),
        (b"config = 'other.toml'\n", ["config"]),
        (b"budget = \n", ["TOML"]),
        (b"\xff\xfe\x00", ["TOML"]),
        (b"budget = 'much'\n", ["budget", "much"]),
        (b"budget = true\n", ["budget"]),
        (b"jobs = true\n", ["jobs"]),
        (b"jobs = 0\n", ["jobs", "0"]),
        (b"dry-run = 'perhaps'\n", ["dry-run", "perhaps"]),
        (b"seeds = [0, 'a']\n", ["seeds", "a"]),
        (b"[methods]\na = 1\n", ["name[setting=value,...]"]),
        (None, ["bench.toml"]),
    ],
)
def test_a_config_that_cannot_be_used(
    content: bytes | None, words: list[str], cli: Cli, here: Path, tmp_path: Path
) -> None:
    config = tmp_path / "bench.toml"
    if content is not None:
        config.write_bytes(content)
    named = [] if content and b"methods" in content else ["--methods", "random"]
    found = cli("bench", *named, "--search-images", "100", "--threads", "1", "--config", config)
    assert found.code == 2
    assert all(word in found.error for word in words), found.error
    assert list(here.iterdir()) == []
