"""`pruneframe plugins`, and the option -p of all commands."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from command import METHOD, QUICK, Cli

from pruneframe.cli.plugins import NOUNS


def test_plugins_says_what_each_brings(cli: Cli) -> None:
    found = {one["name"]: one for one in cli("plugins", "--json").parsed}
    assert "method nsga2" in found["nsga2"]["brings"]
    assert {one["state"] for one in found.values() if one["distribution"] == "pruneframe"} == {"loaded"}
    assert not any(one["why"] for one in found.values() if one["state"] == "loaded")
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


def test_what_a_plugin_changes_while_it_is_imported_is_put_back(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    harm = "import os, numpy, torch\nos.chdir('/')\nnumpy.seterr(all='raise')\ntorch.set_default_dtype(torch.float64)\n"
    (here / "mine.py").write_text(harm + METHOD.replace("BODY", "pass"))
    script = (
        "import os, sys\nfrom pruneframe.registry import Registry\n"
        "if sys.argv[1] == 'before': import numpy, torch; numpy.seterr(over='ignore')\n"
        "Registry(('mine.py',))\nimport numpy, torch\n"
        "print(os.getcwd(), numpy.geterr()['over'], numpy.geterr()['divide'], torch.get_default_dtype())"
    )
    for when, over in (("before", "ignore"), ("never", "warn")):
        done = subprocess.run([sys.executable, "-c", script, when], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [str(here), over, "warn", "torch.float32"]


def test_plugins_says_where_each_is_from_and_what_became_of_it(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(METHOD.replace("BODY", "pass"))
    (tmp_path / "old.py").write_text("pruneframe_requires = '<0.1'\nimport no_such_module\n")
    sources = ("-p", "no:nsga2", "-p", str(tmp_path / "mine.py"), "-p", str(tmp_path / "old.py"))
    told = {one["name"]: one for one in cli("plugins", "--json", *sources).parsed}
    assert told["moead"].keys() == {"name", "distribution", "version", "origin", "state", "why", "brings"}
    states = {
        name: (told[name]["origin"], told[name]["state"], told[name]["why"]) for name in ("moead", "nsga2", "mine")
    }
    assert states == {
        "moead": ("bundled", "loaded", ""),
        "nsga2": ("bundled", "left out", "no:nsga2"),
        "mine": ("file", "loaded", ""),
    }
    assert told["old"]["state"] == "not compatible"
    ours = version("pruneframe")
    reason = f"it was written for pruneframe <0.1, and this is pruneframe {ours}; left out"
    assert told["old"]["why"] == reason
    lines = cli("plugins", *sources).out
    assert f"not compatible: {reason}" in lines
    assert "left out: no:nsga2" in lines
    listed = cli("list", "methods", *sources)
    assert listed.code == 0
    assert "nsga2" not in listed.out.split()
    assert [line for line in listed.err.splitlines() if reason in line] == [listed.err.strip()]


def test_the_environment_takes_what_the_option_does(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(METHOD.replace("BODY", "pass"))
    (tmp_path / "importable.py").write_text(METHOD.replace("BODY", "pass").replace('"own"', '"other"'))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PRUNEFRAME_PLUGINS", f"no:nsga2, {tmp_path / 'mine.py'},importable")
    told = {one["name"]: one for one in cli("plugins", "--json", "-p", str(tmp_path / "mine.py")).parsed}
    assert [told[name]["origin"] for name in ("mine", "importable")] == ["file", "module"]
    assert told["nsga2"]["state"] == "left out"
    monkeypatch.setenv("PRUNEFRAME_PLUGINS", "no_such_module")
    assert "-p takes a Python file, a module or no:NAME" in cli("list").error


def test_hooks_are_traced(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(METHOD.replace("BODY", "pass"))
    monkeypatch.setenv("PRUNEFRAME_TRACE_PLUGINS", "1")
    told = cli("list", "methods", "-p", str(tmp_path / "mine.py"))
    assert re.search(
        rf"^plugin mine of {tmp_path}/mine.py \w+ answers pruneframe_methods: own$", told.err, re.MULTILINE
    )
    assert re.search(r"^plugin nsga2 of pruneframe \S+ answers pruneframe_methods: nsga2$", told.err, re.MULTILINE)
    assert "answers" not in told.out
    monkeypatch.setenv("PRUNEFRAME_TRACE_PLUGINS", "0")
    assert cli("list", "methods").err == ""


SEARCH = """task.evaluate(task.layout.full() - task.layout.full())"""


def test_check_tells_what_becomes_of_each_rule(cli: Cli, tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(METHOD.replace("BODY", SEARCH))
    told = cli("plugins", "check", plugin)
    assert told.code == 0, told.out
    assert told.out.startswith("method own\n  kept")
    plugin.write_text(METHOD.replace("BODY", f"print('hello'); {SEARCH}"))
    for what in (str(plugin), "own"):
        sources = () if what != "own" else ("-p", str(plugin))
        found = cli("plugins", "check", what, "--json", *sources)
        assert found.code == 1
        [broken] = [one for one in json.loads(found.out) if one["state"] == "broken"]
        assert broken.pop("says").startswith("it must print nothing, but printed 'hello")
        assert broken == {
            "kind": "method",
            "component": "own",
            "rule": "quiet",
            "state": "broken",
            "way_out": "return what is worth telling, or keep it by task.record",
        }
    told = cli("plugins", "check", plugin)
    assert "what to do: return what is worth telling" in told.out
    assert told.err.endswith("rules, 1 broken\n")


def test_check_takes_names_plugins_and_projects(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])  # a project's folder is put there
    assert {(one["kind"], one["component"]) for one in cli("plugins", "check", "units", "--json").parsed} == {
        ("unit", name) for name in ("weight", "filter", "neuron", "head", "block")
    }
    assert cli("plugins", "check", "analytic[speed=1e6]").code == 0
    written = cli("plugins", "new", "a-tally", "--kind", "report", "somewhere")
    assert (here / "somewhere" / "a_tally.py").read_text()
    assert str(Path("somewhere/a_tally.py")) in written.out.splitlines()
    assert "plugins check a-tally" in written.err
    told = cli("plugins", "check", "somewhere")
    assert told.code == 0, told.out
    assert told.out.startswith("report a-tally\n")
    again = cli("plugins", "new", "another", "--kind", "report", "somewhere")
    assert again.code == 2
    assert "needs a new or empty folder, but got 'somewhere'" in again.error


def test_a_plugin_that_cannot_be_loaded_breaks_a_rule(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import no_such_module")
    told = cli("plugins", "check", tmp_path / "broken.py")
    assert told.code == 1
    assert "no_such_module" in told.out


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("nsga3", "no component or plugin is named 'nsga3'; did you mean 'nsga2'?"),
        ("nowhere.py", "a plugin is a Python file, or a folder with a pyproject.toml, but got 'nowhere.py'"),
        (".", "a plugin is a Python file, or a folder with a pyproject.toml, but got '.'"),
    ],
)
def test_what_cannot_be_checked_is_told(what: str, words: str, cli: Cli) -> None:
    found = cli("plugins", "check", what)
    assert found.code == 2
    assert words in found.error


def test_a_project_without_an_entry_point_is_told(cli: Cli, here: Path) -> None:
    (here / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert "[project.entry-points.pruneframe]" in cli("plugins", "check", ".").error


@pytest.mark.parametrize("name", ["Bad", "nsga2", "json"])
def test_a_new_plugin_of_a_bad_name_is_told(name: str, cli: Cli, here: Path) -> None:
    found = cli("plugins", "new", name)
    assert found.code == 2
    assert repr(name) in found.error
    assert list(here.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("noun", NOUNS)
def test_the_command_of_a_new_projects_readme_runs(noun: str, cli: Cli, here: Path, undrawn: None) -> None:
    """As a file, and with one seed and a small budget, in place of an installation and the defaults."""
    assert cli("plugins", "new", f"own-{noun}", "--kind", noun).code == 0
    project = here / f"own-{noun}"
    [line] = [one for one in (project / "README.md").read_text().splitlines() if one.startswith("pruneframe bench")]
    for command in line.split(" && "):
        few = ("--seeds", "0", "--budget", "20", "--threads", "1") if " bench " in command else ()
        done = cli(*shlex.split(command)[1:], "-p", project / f"own_{noun}.py", *few)
        assert done.code == 0, done.err
    runs = cli("summary", "pruneframe-study", "--json").parsed
    assert runs
    assert {one["status"] for one in runs} == {"done"}
