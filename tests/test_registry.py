"""Finding plugins: what each brings, and that whatever is wrong with one stays its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from strangers import HEADER, HOOK, HOOK_FAULTS, IMPORT_FAULTS, SCORER, VARIATION, Install, installer, scorer

import pruneframe
from pruneframe.component import Component
from pruneframe.encoding import Encoding
from pruneframe.errors import InputError
from pruneframe.hooks import KINDS
from pruneframe.method import Method
from pruneframe.registry import Registry
from pruneframe.scorer import Scorer
from pruneframe.testing import check_method, check_scorer

FAULTS = (
    HOOK_FAULTS
    | IMPORT_FAULTS
    | {
        "name that is taken": (
            scorer("magnitude"),
            f"scorer 'magnitude' is already brought by pruneframe {pruneframe.__version__}; rename one of them",
        ),
    }
)
Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a plugin file; its path, as -p takes it."""

    def write(source: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text(source)
        return str(path)

    return write


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs distributions with plugins, see `strangers`."""
    return installer(tmp_path, monkeypatch)


def everything(found: Registry) -> set[tuple[str, str]]:
    return {(kind, name) for kind in KINDS for name in found.names(kind)}


def test_what_is_bundled_loads_without_complaint() -> None:
    found = Registry()
    assert found.complaints == []
    assert all(found.names(kind) for kind in KINDS)
    assert all(found.names(kind) == sorted(found.names(kind)) for kind in KINDS)
    assert {plugin.distribution for plugin in found.plugins if plugin.state == "loaded"} == {"pruneframe"}
    assert {("method", "nsga2"), ("scorer", "magnitude"), ("encoding", "mask")} <= everything(found)


@pytest.mark.parametrize(
    ("kind", "spec", "message"),
    [
        (Scorer, "magnitud", "no scorer is named 'magnitud'; did you mean 'magnitude'?"),
        (Method, "nsga3", "no method is named 'nsga3'; did you mean 'nsga2'?"),
        (Encoding, "mask-threshold[highest=1]", "did you mean 'layer-threshold'?"),
        (Scorer, "zzz", "no scorer is named 'zzz'; there are: apoz, bn-scale, chip,"),
        (Method, "nsga2[popluation=4]", "did you mean 'population'?"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(kind: type[Component], spec: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Registry().component(kind, spec)


def test_an_unknown_problem_is_told_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no problem is named 'resnet20-cifar'; did you mean 'resnet20-cifar10'\?"):
        Registry().problem("resnet20-cifar")


def test_a_spec_makes_the_component_that_its_repr_is() -> None:
    spec = "nsga2[encoding=layer-threshold[highest=0.9],population=20]"
    assert repr(Registry().component(Method, spec)) == spec


def test_a_file_adds_what_it_brings(write: Write) -> None:
    found = Registry([write(scorer() + VARIATION)])
    component = found.component(Scorer, "theirs[power=3]")
    assert repr(component) == "theirs[power=3]"
    assert everything(found) - everything(Registry()) == {("scorer", "theirs"), ("variation", "stay")}
    assert found.plugins[-1].name == "mine"
    assert sorted(found.plugins[-1].brings) == ["scorer theirs", "variation stay"]
    check_scorer(component)


def test_a_file_may_postpone_its_annotations(write: Write) -> None:
    source = scorer().replace("power: int", 'mode: Literal["a", "b"] = pf.setting("a", "which")\n    power: int')
    found = Registry([write("from __future__ import annotations\n" + source)])
    assert repr(found.component(Scorer, "theirs[mode=b,power=2]")) == "theirs[mode=b,power=2]"
    assert [item.type for item in found.entry("scorer", "theirs").value.settings()] == ["a | b", "int"]


def test_a_files_version_follows_its_text(write: Write) -> None:
    versions = {Registry([write(scorer() + comment)]).plugins[-1].version for comment in ("", "# new", "# new")}
    assert len(versions) == 2


def test_two_files_of_one_name_are_two_plugins(tmp_path: Path) -> None:
    sources = []
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text("from __future__ import annotations\n" + scorer(folder))
        sources.append(str(tmp_path / folder / "mine.py"))
    found = Registry(sources)
    assert {("scorer", "first"), ("scorer", "second")} <= everything(found)
    settings = [found.entry("scorer", name).value.settings() for name in ("first", "second")]
    assert settings[0] == settings[1] != []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_an_error_that_names_it(fault: str, write: Write) -> None:
    source, reason = FAULTS[fault]
    path = write(source)
    with pytest.raises(InputError) as caught:
        Registry([path])
    assert path in str(caught.value)
    assert reason.removeprefix("it ") in str(caught.value)


HANGING = {
    "import": ("while True: pass", "it cannot be imported: it must end within 0.3 s, but goes on; "),
    "hook": (
        HEADER + "@pf.hookimpl\ndef pruneframe_problems():\n    while True: pass",
        "pruneframe_problems must end within 0.3 s, but goes on",
    ),
}


@pytest.mark.parametrize("where", HANGING)
def test_a_plugin_that_never_ends_is_named_and_everything_else_works(
    where: str, install: Install, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(Registry())
    monkeypatch.setattr("pruneframe.plugin.IMPORTING", 0.3 if where == "import" else 60)
    monkeypatch.setattr("pruneframe.hooks.PLANNING", 0.3)
    source, reason = HANGING[where]
    install("third", "1.2", healthy=scorer("sound"), broken=source)
    found = Registry()
    [complaint] = found.complaints
    assert complaint.startswith(f"plugin 'broken' of third 1.2: {reason}")
    assert everything(found) == before | {("scorer", "sound")}
    with pytest.raises(InputError, match=re.escape(reason.removeprefix("it "))):
        Registry([write(source)])


@pytest.mark.parametrize("path", ["nowhere.py", "."])
def test_a_file_that_is_none_is_told(path: str) -> None:
    with pytest.raises(
        InputError, match=f"-p takes a Python file, a module or no:NAME, --problem-file a TOML file, but got '{path}'"
    ):
        Registry([path])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_plugin_is_named_and_everything_else_works(fault: str, install: Install) -> None:
    before = everything(Registry())
    source, reason = FAULTS[fault]
    install("third", "1.2", healthy=scorer("sound"), broken=source)
    install("zulu", "3.4", other=scorer("late"))
    found = Registry()
    [complaint] = found.complaints
    assert complaint.startswith("plugin 'broken' of third 1.2: ")
    assert reason in complaint
    assert everything(found) == before | {("scorer", "sound"), ("scorer", "late")}


def test_the_other_components_of_a_faulty_hook_work(install: Install) -> None:
    source = HEADER + SCORER.format(kind="A", name="magnitude") + SCORER.format(kind="B", name="sound")
    install("third", "1.2", broken=source + HOOK.format(brought="A, 5, B"))
    found = Registry()
    assert len(found.complaints) == 2
    assert "sound" in found.names("scorer")
    assert found.entry("scorer", "magnitude").plugin.distribution == "pruneframe"


def test_two_plugins_that_claim_one_name_are_both_named(install: Install) -> None:
    install("third", "1.2", one=scorer("same"))
    install("zulu", "3.4", two=scorer("same"))
    [complaint] = Registry().complaints
    assert "scorer 'same' is already brought by third 1.2; rename one of them, or leave that one out by -p" in complaint
    assert "zulu 3.4" in complaint


def test_one_module_under_two_names_is_told(install: Install, tmp_path: Path) -> None:
    install("third", "1.2", one=scorer())
    entries = next((tmp_path / "third").glob("*.dist-info")) / "entry_points.txt"
    entries.write_text(entries.read_text() + "\n" + entries.read_text().splitlines()[1].replace("one =", "two ="))
    found = Registry()
    assert "theirs" in found.names("scorer")
    assert [complaint.partition(":")[0] for complaint in found.complaints] == ["plugin 'two' of third 1.2"]


@pytest.mark.parametrize(
    ("chosen", "loaded"),
    [
        (None, {"third", "zulu"}),
        ("", {"third", "zulu"}),
        ("no:*", set()),
        ("no:third", {"zulu"}),
        ("no:third, no:two", set()),
    ],
)
def test_the_environment_leaves_out_what_an_option_would(
    chosen: str | None, loaded: set[str], install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("third", "1.2", one=scorer("one"))
    install("zulu", "3.4", two=scorer("two"))
    if chosen is not None:
        monkeypatch.setenv("PRUNEFRAME_PLUGINS", chosen)
    found = Registry()
    assert {plugin.distribution for plugin in found.plugins if plugin.state == "loaded"} == {"pruneframe"} | loaded
    assert {plugin.state for plugin in found.plugins if plugin.state != "loaded"} <= {"left out"}
    assert found.complaints == []
    assert "magnitude" in found.names("scorer")


def test_a_plugin_can_be_left_out_by_its_name_or_its_distributions(install: Install) -> None:
    install("third", "1.2", one=scorer("one"), two=scorer("two"))
    added = {("scorer", "one"), ("scorer", "two")}
    assert everything(Registry()) >= added
    assert everything(Registry(["no:one"])) & added == {("scorer", "two")}
    assert not everything(Registry(["no:third"])) & added
    assert "nsga2" not in Registry(["no:nsga2"]).names("method")


def test_leaving_out_a_plugin_frees_its_names(write: Write) -> None:
    found = Registry(["no:scorers", write(scorer("magnitude"))])
    assert found.entry("scorer", "magnitude").plugin.name == "mine"


def test_leaving_out_what_is_not_there_is_told() -> None:
    with pytest.raises(InputError, match=r"no plugin is named 'nsga3'; did you mean 'nsga2'\?"):
        Registry(["no:nsga3"])


def test_registries_do_not_share_what_they_found(write: Write) -> None:
    Registry([write(scorer())])
    assert "theirs" not in Registry().names("scorer")


def test_versions_of_third_parties_are_recorded_where_they_are_used(install: Install) -> None:
    own = Registry().plugins[0].version
    install("third", "1.2", one=scorer())
    install("zulu", "3.4", two=HEADER + VARIATION)
    found = Registry()
    problem = found.problem("resnet20-cifar10")

    def behind(spec: str) -> dict[str, str]:
        return found.versions_behind(problem, found.component(Method, spec))

    assert behind("nsga2") == {"pruneframe": own}
    assert behind("nsga2[scorer=theirs]") == {"pruneframe": own, "third": "1.2"}
    assert behind("nsga2[scorer=theirs[power=2]]") == {"pruneframe": own, "third": "1.2"}
    assert behind("nsga2[variation=uniform+stay]") == {"pruneframe": own, "zulu": "3.4"}
    assert behind("moead[scorer=theirs,variation=stay]") == {"pruneframe": own, "third": "1.2", "zulu": "3.4"}


def test_versions_of_third_partys_objectives_are_recorded(install: Install) -> None:
    source = """
@dataclass(frozen=True, repr=False)
class Depth(pf.Objective):
    name = "depth"
    quantity = "share"
    def measure(self, candidate): return 1.0
    def reference(self, dense): return 1.0
@pf.hookimpl
def pruneframe_objectives(): return [Depth]
"""
    install("third", "1.2", one=HEADER + source)
    found = Registry()
    problem = found.problem("resnet20-cifar10").with_settings(objectives=("error", "depth"))
    assert found.versions_behind(problem, found.component(Method, "nsga2"))["third"] == "1.2"


def test_versions_are_those_of_what_settings_name_and_not_of_words_that_could_be_names(install: Install) -> None:
    """`linear` and `rest` are what emo-dir's detector may be; a stranger's scorers have these names by chance."""
    own = Registry().plugins[0].version
    install("third", "1.2", one=scorer("linear"))
    install("zulu", "3.4", two=scorer("rest"))
    found = Registry()
    problem = found.problem("resnet20-cifar10")

    def behind(spec: str) -> dict[str, str]:
        return found.versions_behind(problem, found.component(Method, spec))

    assert behind("emo-dir") == behind("emo-dir[detector=rest]") == {"pruneframe": own}
    assert behind("emo-dir[scorer=linear]") == {"pruneframe": own, "third": "1.2"}
    assert behind("emo-dir[detector=linear,scorer=rest[power=2]]") == {"pruneframe": own, "zulu": "3.4"}


def test_versions_of_what_is_named_by_what_is_named_are_recorded(install: Install) -> None:
    source = SCORER.replace(
        "    power: int", '    of: str = pf.setting("theirs", "another", kind="scorer")\n    power: int'
    )
    install("third", "1.2", one=scorer())
    install("zulu", "3.4", two=HEADER + source.format(kind="Outer", name="outer") + HOOK.format(brought="Outer"))
    found = Registry()
    behind = found.versions_behind(
        found.problem("resnet20-cifar10"), found.component(Method, "nsga2[encoding=layer-threshold,scorer=outer]")
    )
    assert set(behind) == {"pruneframe", "third", "zulu"}  # the inner one is a default, which nobody gave


PHYSICAL = """
@dataclass(frozen=True, repr=False)
class Pair(pf.Units):
    name = "pair"
    removable = True
    def layout(self, network): return pf.Layout(repr(self), *pf.filter_groups(network, inner=False))
@pf.hookimpl
def pruneframe_units(): return [Pair]
@dataclass(frozen=True, repr=False)
class Counted(pf.Target):
    name = "counted"
    def latencies(self, networks): return np.ones((len(networks), 1))
    def memory(self, network): return 1.0
@pf.hookimpl
def pruneframe_targets(): return [Counted]
"""


@pytest.mark.parametrize(
    ("settings", "involved"),
    [
        ({"target": "counted"}, False),  # nothing is measured on it
        ({"target": "counted", "units": "filter", "objectives": ("error", "memory")}, True),
        ({"units": "pair"}, True),
    ],
)
def test_versions_of_third_partys_units_and_targets_are_recorded_where_they_are_used(
    settings: dict[str, Any], involved: bool, install: Install
) -> None:
    install("third", "1.2", one=HEADER + PHYSICAL)
    found = Registry()
    problem = found.problem("resnet20-cifar10").with_settings(**settings)
    assert ("third" in found.versions_behind(problem, found.component(Method, "nsga2"))) == involved


def test_a_component_from_outside_works_inside_a_bundled_method(write: Write) -> None:
    found = Registry([write(scorer() + VARIATION)])
    check_method(
        found.component(Method, "nsga2[preset=textbook,scorer=theirs[power=2],variation=stay+bit-flip]"), registry=found
    )


@pytest.mark.parametrize(
    ("requires", "state"),
    [
        ("pruneframe<0.1", "not compatible"),
        ("pruneframe>=0.1", "loaded"),
        ("pruneframe", "loaded"),
        ("numpy<0.1", "loaded"),
        ("pruneframe<0.1; extra == 'old'", "loaded"),
    ],
)
def test_a_plugin_for_other_versions_is_left_out_and_both_are_named(
    requires: str, state: str, install: Install
) -> None:
    home = install("third", "1.2", one="import no_such_module" if state != "loaded" else scorer())
    metadata = next(home.glob("*.dist-info")) / "METADATA"
    metadata.write_text(f"{metadata.read_text()}Requires-Dist: {requires}\n")
    found = Registry()
    [plugin] = [plugin for plugin in found.plugins if plugin.distribution == "third"]
    assert plugin.state == state
    told = f"it was written for pruneframe <0.1, and this is pruneframe {pruneframe.__version__}; left out"
    assert found.complaints == ([] if state == "loaded" else [f"plugin 'one' of third 1.2: {told}"])


def test_versions_that_are_none_are_told(write: Write) -> None:
    with pytest.raises(InputError, match=r"pruneframe_requires must be versions, such as '>=0.1,<0.2', but is 'new'"):
        Registry([write("pruneframe_requires = 'new'\n" + scorer())])
    assert "theirs" in Registry([write("pruneframe_requires = '>=0.1'\n" + scorer())]).names("scorer")


def test_a_plugin_may_be_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "strangers_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text(scorer())
    (package / "wrong.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    found = Registry(["strangers_package.inner"])
    assert (found.plugins[-1].origin, found.plugins[-1].brings) == ("module", ["scorer theirs"])
    with pytest.raises(InputError, match=r"strangers_package.wrong cannot be imported: ZeroDivisionError"):
        Registry(["strangers_package.wrong"])
    with pytest.raises(InputError, match="-p takes a Python file, a module or no:NAME"):
        Registry(["strangers_package.absent"])
