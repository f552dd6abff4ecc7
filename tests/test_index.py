"""The index: names are known without an import, until something changes; and what does not fit is refused by it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import tiny
from click.testing import CliRunner
from command import loaded_by
from strangers import HEADER, Install, installer, module_of, scorer

from pruneframe import hooks
from pruneframe.cli.info import command as info
from pruneframe.component import Claim, Range, Setting
from pruneframe.encoding import Encoding
from pruneframe.errors import InputError
from pruneframe.index import Described, Index
from pruneframe.method import Method
from pruneframe.registry import Registry
from pruneframe.scorer import Scorer
from pruneframe.variation import Variation

METHOD = '''
@dataclass(frozen=True, repr=False)
class Own(pf.Method):
    """A method of one's own,
    told on two lines.

    And at length."""
    name = "own"
    provenance = "by hand"
    images: int
    scorer: str = pf.setting("magnitude", "one", kind="scorer")
    variation: str | None = pf.setting(None, "several", kind="variation")
    crossover: tuple[str, ...] = pf.setting(("uniform",), "several as well", kind="variation")
    share: float = pf.setting(0.5, "a share", above=0, most=1)
    limit: int | None = pf.setting(None, "a number or none", least=2)
    mode: Literal["a", "b"] = pf.setting("a", "which")
    sizes: tuple[int, ...] = pf.setting((8, 64), "numbers")
    def search(self, task):
        task.evaluate(task.layout.full())
@pf.hookimpl
def pruneframe_methods():
    return [Own]
'''


@pytest.fixture(scope="module")
def bundled(cache: Path) -> str:
    """What the index holds of what is bundled."""
    Registry()
    known = json.loads((cache / "plugins.json").read_text())
    known["plugins"] = {place: one for place, one in known["plugins"].items() if " pruneframe " in place}
    return json.dumps(known)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundled: str) -> Install:
    """Installs distributions with plugins, see `strangers`; a cache of its own knows what is bundled."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "plugins.json").write_text(bundled)
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "cache"))
    return installer(tmp_path, monkeypatch)


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[], dict[str, Any]]:
    """What the index holds of strangers, by the plugins' names."""

    def read() -> dict[str, Any]:
        known = json.loads((tmp_path / "cache" / "plugins.json").read_text())["plugins"]
        return {place.rpartition(" ")[2]: one for place, one in known.items() if " pruneframe " not in place}

    return read


@pytest.fixture
def again(tmp_path: Path) -> Callable[[], Registry]:
    """A registry as a new process makes it: what strangers bring is not imported yet."""

    def make() -> Registry:
        for name in [name for name in sys.modules if name.startswith(module_of(tmp_path, "third", ""))]:
            del sys.modules[name]
        return Registry()

    return make


def imported(folder: Path, plugin: str = "one") -> bool:
    return module_of(folder, "third", plugin) in sys.modules


def touched(path: Path) -> None:
    """Make a file a second newer: a file system may keep times too coarsely to tell two writes of a test apart."""
    changed = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(changed, changed))


Again = Callable[[], Registry]
Kept = Callable[[], dict[str, Any]]


def test_a_second_registry_imports_nothing(install: Install, again: Again, tmp_path: Path) -> None:
    install("third", "1.2", one=scorer(), two=HEADER + METHOD)
    first = again()
    assert imported(tmp_path, "one")
    assert imported(tmp_path, "two")
    second = again()
    assert {kind: second.names(kind) for kind in hooks.KINDS} == {kind: first.names(kind) for kind in hooks.KINDS}
    assert [plugin.brings for plugin in second.plugins] == [plugin.brings for plugin in first.plugins]
    for kind, name in (("scorer", "theirs"), ("method", "own"), ("method", "nsga2"), ("problem", "lenet-digits")):
        assert second.described(kind, name)[0] == first.described(kind, name)[0]
    second.check("scorer", "theirs[power=2]")
    assert not imported(tmp_path, "one")
    assert not imported(tmp_path, "two")


def test_what_is_asked_for_is_imported_alone(install: Install, again: Again, tmp_path: Path) -> None:
    install("third", "1.2", one=scorer(), two=HEADER + METHOD)
    again()
    found = again()
    assert repr(found.component(Scorer, "theirs[power=2]")) == "theirs[power=2]"
    assert imported(tmp_path, "one")
    assert not imported(tmp_path, "two")


def test_a_new_process_that_only_looks_up_names_imports_no_plugin_and_no_library(bundled: str) -> None:
    """The whole of what is bundled, with the session's cache."""
    script = """
from pruneframe.registry import Registry
found = Registry()
assert "nsga2" in found.names("method") and found.described("problem", "lenet-digits")
found.check("method", "nsga2[scorer=taylor,population=4]")
"""
    libraries = ("torch", "pymoo", "pandas", "pruneframe_plugins", "pruneframe_problems", "pruneframe_reports")
    assert loaded_by(script, libraries) == set()
    assert loaded_by(script + "found.entry('scorer', 'magnitude')", libraries) >= {"torch", "pruneframe_plugins"}


def test_a_changed_file_is_asked_again(install: Install, again: Again, tmp_path: Path) -> None:
    home = install("third", "1.2", one=scorer("first"))
    path = home / f"{module_of(tmp_path, 'third', 'one')}.py"
    assert "first" in again().names("scorer")
    path.write_text(scorer("other"))  # as long as before
    touched(path)
    assert {"first", "other"} & set(again().names("scorer")) == {"other"}
    assert imported(tmp_path)
    again()
    assert not imported(tmp_path)


def test_a_changed_file_of_a_package_is_asked_again(install: Install, again: Again, tmp_path: Path) -> None:
    home = install("third", "1.2", one="")
    name = module_of(tmp_path, "third", "one")
    (home / f"{name}.py").unlink()
    (home / name / "inner").mkdir(parents=True)
    (home / name / "__init__.py").write_text(f"from {name}.inner.parts import *")
    (home / name / "inner" / "parts.py").write_text(scorer("first"))
    for source in (scorer("first"), scorer("longer-than-first")):
        (home / name / "inner" / "parts.py").write_text(source)
        again()
        assert imported(tmp_path)
        again()
        assert not imported(tmp_path)
    assert "longer-than-first" in again().names("scorer")


def test_another_version_is_asked_again(install: Install, again: Again, tmp_path: Path) -> None:
    home = install("third", "1.2", one=scorer())
    again()
    information = home / "third-1.2.dist-info" / "METADATA"
    information.write_text(information.read_text().replace("1.2", "1.3"))
    found = again()
    assert found.described("scorer", "theirs")[1].version == "1.3"
    assert imported(tmp_path)
    again()
    assert not imported(tmp_path)


@pytest.mark.parametrize("change", ["pruneframe's version", "Python's version"])
def test_another_pruneframe_or_python_asks_again(
    change: str, install: Install, again: Again, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("third", "1.2", one=scorer())
    again()
    if change == "Python's version":
        monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    else:
        monkeypatch.setattr("pruneframe.index.version", lambda distribution: "99")
    again()
    assert imported(tmp_path)


@pytest.mark.parametrize(
    "source",
    ["import no_such_module", "import pruneframe as pf\ndef pruneframe_scorers(): return []", scorer("Bad Name")],
    ids=["import", "hook", "component"],
)
def test_a_plugin_with_a_complaint_is_not_kept(source: str, install: Install, again: Again, kept: Kept) -> None:
    """What it complains of may be cured from outside, as by an installation: it is asked again each time."""
    install("third", "1.2", one=source, two=scorer("sound"))
    complaints = again().complaints
    assert [complaint.partition(":")[0] for complaint in complaints] == ["plugin 'one' of third 1.2"]
    assert set(kept()) == {"two"}
    assert again().complaints == complaints


def test_a_name_that_is_taken_is_told_each_time_and_only_while_it_is(
    install: Install, again: Again, kept: Kept
) -> None:
    install("third", "1.2", one=scorer("magnitude"))
    for _ in range(2):
        [complaint] = again().complaints
        assert "scorer 'magnitude' is already brought by" in complaint
    assert set(kept()) == {"one"}
    found = Registry(["no:scorers"])
    assert found.described("scorer", "magnitude")[1].distribution == "third"


@pytest.mark.parametrize("blocked", ["file in the place of the folder", "folder in the place of the file"])
def test_a_cache_that_cannot_be_written_is_no_error(
    blocked: str, install: Install, again: Again, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("third", "1.2", one=scorer())
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "blocked"))
    if blocked == "folder in the place of the file":
        (tmp_path / "blocked" / "plugins.json").mkdir(parents=True)
    else:
        (tmp_path / "blocked").write_text("")
    before = sorted((tmp_path / "blocked").rglob("*"))
    for _ in range(2):
        found = again()
        assert found.complaints == []
        assert "theirs" in found.names("scorer")
        assert imported(tmp_path)
    assert sorted((tmp_path / "blocked").rglob("*")) == before  # nothing half-written stays


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no JSON",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"format": 1}',
        b'{"format": 0, "plugins": {}}',
        b'{"format": 1, "plugins": []}',
        b'{"format": 1, "plugins": null}',
        b'{"format": 1, "plugins": "all"}',
        b'{"format": 1, "plugins": {"PLACE": 5}}',
        b'{"format": 1, "plugins": {"PLACE": {}}}',
    ],
)
def test_a_damaged_index_is_no_error(text: bytes, install: Install, again: Again, tmp_path: Path, kept: Kept) -> None:
    install("third", "1.2", one=scorer())
    place = f"{sys.prefix} third one".encode()
    (tmp_path / "cache" / "plugins.json").write_bytes(text.replace(b"PLACE", place))
    found = again()
    assert found.complaints == []
    assert {"theirs", "magnitude"} <= set(found.names("scorer"))
    assert imported(tmp_path)
    assert set(kept()) == {"one"}  # and mended


@pytest.mark.parametrize(
    "brings",
    [
        None,
        5,
        [5],
        [{}],
        [{"kind": "scorer"}],
        [{"kind": "scorer", "name": "theirs", "about": "", "source": "", "settings": [5]}],
        [{"kind": "scorer", "name": "theirs", "about": "", "source": "", "settings": [{"range": {}}]}],
        [{"kind": "scorer", "name": "theirs", "about": "", "source": "", "settings": [], "more": 1}],
    ],
)
def test_what_another_hand_wrote_of_a_plugin_is_asked_again(
    brings: Any, install: Install, again: Again, tmp_path: Path
) -> None:
    install("third", "1.2", one=scorer())
    again()
    path = tmp_path / "cache" / "plugins.json"
    known = json.loads(path.read_text())
    known["plugins"][f"{sys.prefix} third one"]["brings"] = brings
    path.write_text(json.dumps(known))
    assert "theirs" in again().names("scorer")
    assert imported(tmp_path)


def test_an_index_gives_back_what_was_put(install: Install) -> None:
    install("third", "1.2", one=scorer())
    [entry_point] = [one for one in entry_points(group="pruneframe") if one.name == "one"]
    settings = (
        Setting("count", "int", 3, "a number", Range(least=0, below=9)),
        Setting("sizes", "int+...", (8, 64), "numbers"),
        Setting("scorer", "str | none", None, "one", kind="scorer", required=True),
    )
    claims = (Claim("They, 2020", "much", "theirs", ("lenet-digits",), 0.9), Claim("Others, 2021", "more", "none"))
    own = Described("method", "own", "About it.", "a paper", settings, "@article{their2020,\n}", claims)
    described = [own, Described("scorer", "s", "", "", ())]
    first = Index()
    assert first.get(entry_point) is None
    first.put(entry_point, described)
    assert first.get(entry_point) == described
    assert Index().get(entry_point) is None  # not saved yet
    first.save()
    assert Index().get(entry_point) == described


def test_a_plugin_that_cannot_be_imported_any_more_says_why(install: Install, again: Again) -> None:
    """Its own files are as they were: what it imports is gone."""
    install("third", "1.2", one=f"import sys\nif hasattr(sys, 'gone'): import no_such_module\n{scorer()}")
    again()
    found = again()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "gone", True, raising=False)
        for _ in range(2):
            with pytest.raises(
                InputError, match=r"plugin 'one' of third 1.2 must bring scorer 'theirs', but it cannot be imported: .*"
            ):
                found.component(Scorer, "theirs")


def test_a_plugin_that_brings_something_else_than_it_did_says_so(install: Install, again: Again) -> None:
    source = scorer().replace("return [Theirs]", "import sys\n    return [] if hasattr(sys, 'gone') else [Theirs]")
    install("third", "1.2", one=source)
    again()
    found = again()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "gone", True, raising=False)
        with pytest.raises(InputError, match="must bring scorer 'theirs', but it does not any more"):
            found.component(Scorer, "theirs")


def test_what_is_said_of_a_component(install: Install, again: Again) -> None:
    install("third", "1.2", one=HEADER + METHOD)
    for found in (again(), again()):
        described, plugin = found.described("method", "own")
        assert plugin.who == "third 1.2"
        assert described.summary == "A method of one's own, told on two lines."
        assert described.about.endswith("And at length.")
        assert described.source == "by hand"
        assert described.settings == tuple(found.entry("method", "own").value.settings())
        by_name = {one.name: one for one in described.settings}
        assert (by_name["images"].required, by_name["share"].required) == (True, False)
        assert by_name["share"].rule == "0 < share <= 1"
        assert by_name["sizes"].default == (8, 64)


def test_a_default_that_json_cannot_hold_is_no_error(install: Install, again: Again) -> None:
    source = "from pathlib import Path\n" + scorer().replace(
        'power: int = pf.setting(1, "exponent")', 'place: Path = pf.setting(Path("here"), "a file")\n    power = 1'
    )
    install("third", "1.2", one=source)
    for found in (again(), again()):
        assert found.complaints == []
        [setting] = found.described("scorer", "theirs")[0].settings
        assert (setting.type, setting.default) == ("Path", "here")


def test_info_shows_how_defaults_are_written_and_what_must_be_given(install: Install, again: Again) -> None:
    install("third", "1.2", one=HEADER + METHOD)
    again()
    lines = CliRunner().invoke(info, ["own"], catch_exceptions=False, standalone_mode=False).output.splitlines()
    assert "  images = ...  (int; must be given; )" in lines
    assert "  sizes = 8+64  (int+...; numbers)" in lines
    assert "  variation = none  (str | none; several)" in lines
    assert "  share = 0.5  (float; 0 < share <= 1; a share)" in lines
    told = CliRunner().invoke(info, ["own", "--json"], catch_exceptions=False, standalone_mode=False).output
    required = {one["name"] for one in json.loads(told)[0]["settings"] if one.get("required")}
    assert required == {"images"}
    problem = CliRunner().invoke(info, ["lenet-digits"], catch_exceptions=False, standalone_mode=False).output
    assert "  objectives = error,params\n" in problem  # as the option --objectives takes them


OWN = "own[images=4"
REFUSED = {
    "another setting": (f"{OWN},shaer=0.1]", "no setting of 'own' is named 'shaer'; did you mean 'share'? (settings: "),
    "no number": (f"{OWN},share=much]", "own[share=...] must be float, but got 'much'"),
    "no integer": ("own[images=1.5]", "own[images=...] must be int, but got '1.5'"),
    "none where there must be one": ("own[images=none]", "own[images=...] must be int, but got 'none'"),
    "another word": (f"{OWN},mode=c]", "own[mode=...] must be a | b, but got 'c'"),
    "one of several": (f"{OWN},sizes=1+x]", "own[sizes=...] must be int+..., but got '1+x'"),
    "at a bound": (f"{OWN},share=0.0]", "own: 0 < share <= 1 must hold, but got 0.0"),
    "beyond a bound": (f"{OWN},share=1.5]", "own: 0 < share <= 1 must hold, but got 1.5"),
    "no number at all": (f"{OWN},share=nan]", "own: 0 < share <= 1 must hold, but got nan"),
    "too few": (f"{OWN},limit=1]", "own: limit >= 2 must hold, but got 1"),
    "not given": ("own", "own needs images; write own[images=...]"),
    "brackets": (f"{OWN},scorer=l2[]", "brackets must balance, but got 'images=4,scorer=l2['"),
}
NESTED = {
    "unknown": (f"{OWN},scorer=magnitud]", "no scorer is named 'magnitud'; did you mean 'magnitude'?"),
    "setting": (f"{OWN},scorer=theirs[pwoer=2]]", "no setting of 'theirs' is named 'pwoer'; did you mean 'power'?"),
    "value": (f"{OWN},scorer=theirs[power=x]]", "theirs[power=...] must be int, but got 'x'"),
    "second of several": (f"{OWN},variation=uniform+bit-flop]", "no variation is named 'bit-flop'; did you mean"),
    "second of a tuple": (f"{OWN},crossover=uniform+bit-flop]", "no variation is named 'bit-flop'; did you mean"),
    "kind of another": (f"{OWN},scorer=uniform]", "no scorer is named 'uniform'; there are: "),
    "empty": (f"{OWN},scorer=]", "a component is written name or name[setting=value,...], but got ''"),
    "two levels": ("outer[inner=own[images=4,scorer=magnitud]]", "no scorer is named 'magnitud'; did you mean"),
}
OUTER = '''
@dataclass(frozen=True, repr=False)
class Outer(pf.Scorer):
    """Names a component that names others."""
    name = "outer"
    inner: str = pf.setting("none", "another", kind="method")
    def score(self, network, images, labels, rng):
        return np.ones(network.layout.total, dtype=np.float32)
@pf.hookimpl
def pruneframe_scorers():
    return [Outer]
'''


@pytest.fixture
def checked(install: Install, again: Again, tmp_path: Path) -> Registry:
    """A registry that has imported none of three strangers' plugins."""
    install("third", "1.2", one=HEADER + METHOD, two=scorer(), three=HEADER + OUTER)
    again()
    found = again()
    assert not any(imported(tmp_path, plugin) for plugin in ("one", "two", "three"))
    return found


def kind_of(spec: str) -> str:
    return "scorer" if spec.startswith("outer") else "method"


@pytest.mark.parametrize("fault", REFUSED)
def test_a_spec_that_does_not_fit_is_refused_without_an_import_as_it_is_with_one(
    fault: str, checked: Registry, tmp_path: Path
) -> None:
    spec, message = REFUSED[fault]
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        checked.check("method", spec)
    assert not imported(tmp_path)
    with pytest.raises(InputError) as same:
        checked.component(Method, spec)
    assert str(same.value) == str(caught.value)


@pytest.mark.parametrize("fault", NESTED)
def test_what_a_spec_names_is_refused_without_an_import(fault: str, checked: Registry, tmp_path: Path) -> None:
    spec, message = NESTED[fault]
    with pytest.raises(InputError, match=re.escape(message)):
        checked.check(kind_of(spec), spec)
    assert not any(imported(tmp_path, plugin) for plugin in ("one", "two", "three"))


@pytest.mark.parametrize(
    "spec",
    [
        f"{OWN}]",
        f"{OWN},scorer=theirs[power=3],variation=uniform+bit-flip,share=1,limit=2,mode=b,sizes=1+2]",
        f"{OWN},scorer=none,variation=none,limit=none,crossover=,sizes=]",
        f"{OWN},crossover=uniform+bit-flip]",
        f"outer[inner={OWN},scorer=outer[inner={OWN}]]]]",
        "outer[inner=none]",
    ],
)
def test_a_spec_that_fits_passes_without_an_import(spec: str, checked: Registry, tmp_path: Path) -> None:
    checked.check(kind_of(spec), spec)
    assert not any(imported(tmp_path, plugin) for plugin in ("one", "two", "three"))
    kind: type[Method] | type[Scorer] = Scorer if kind_of(spec) == "scorer" else Method
    checked.component(kind, spec)


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        (Method, "nsga2[population=1]"),
        (Method, "nsga2[population=x]"),
        (Method, "nsga2[populaton=4]"),
        (Method, "emo-dir[detector=best]"),
        (Method, "emo-dir[cuts=3+x]"),
        (Encoding, "layer-threshold[highest=2.0]"),
        (Scorer, "taylor[images=0]"),
        (Variation, "bit-flip[rate=-1.0]"),
    ],
    ids=str,
)
def test_of_what_is_bundled_the_index_refuses_what_the_component_does(kind: type[Any], spec: str) -> None:
    messages = []
    for ask in (lambda: tiny.registry().check(kind.kind, spec), lambda: tiny.registry().component(kind, spec)):
        with pytest.raises(InputError) as caught:
            ask()
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
