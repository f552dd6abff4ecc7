"""`pruneframe plugins`, and the option -p of all commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import METHOD, QUICK, Cli


def test_plugins_says_what_each_brings(cli: Cli) -> None:
    found = {one["name"]: one for one in cli("plugins", "--json").parsed}
    assert "method nsga2" in found["nsga2"]["brings"]
    assert not any(one["complaints"] for one in found.values())
    assert "method nsga2" in cli("plugins").out


def test_a_plugin_can_be_left_out(cli: Cli) -> None:
    names = [row["name"] for row in cli("list", "methods", "--json", "-p", "no:nsga2").parsed]
    assert "nsga2" not in names
    assert "moead" in names


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def broken(:\n", ["SyntaxError"]),
        ("raise RuntimeError('on purpose')\n", ["RuntimeError", "on purpose"]),
        ("raise RuntimeError('two\\nlines')\n", ["two", "lines"]),
        ("import sys\nsys.exit(0)\n", ["SystemExit"]),
        ("import no_such_module\n", ["no_such_module"]),
        ("import pruneframe as pf\n@pf.hookimpl\ndef pruneframe_method():\n    return []\n", ["pruneframe_methods"]),
        ("def pruneframe_methods():\n    return []\n", ["hookimpl"]),
        ("import pruneframe as pf\n@pf.hookimpl\ndef pruneframe_methods():\n    return [int]\n", ["Method"]),
        ("import pruneframe as pf\n@pf.hookimpl\ndef pruneframe_methods():\n    return 1 / 0\n", ["ZeroDivisionError"]),
        (METHOD.replace("BODY", "pass").replace('"own"', '"random"'), ["'random'", "already"]),
    ],
)
def test_a_bad_plugin_file(source: str, words: list[str], cli: Cli, here: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(source)
    found = cli("bench", "--methods", "random", *QUICK, "-p", plugin)
    assert found.code == 2
    assert all(word in found.error for word in [str(plugin), *words]), found.error
    assert list(here.iterdir()) == []
