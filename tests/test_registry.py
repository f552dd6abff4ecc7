"""Finding plugins: what each brings, and that whatever is wrong with one stays its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import pruneframe
from pruneframe import registry
from pruneframe.errors import InputError
from pruneframe.method import Method
from pruneframe.registry import KINDS, Registry, names
from pruneframe.testing import check_scorer

HEADER = """
from dataclasses import dataclass
from typing import Literal
import numpy as np
import pruneframe as pf
"""
SCORER = """
@dataclass(frozen=True, repr=False)
class {kind}(pf.Scorer):
    name = "{name}"
    power: int = pf.setting(1, "exponent")
    def score(self, network, images, labels, rng):
        return np.full(network.layout.total, self.power, dtype=np.float32)
"""
HOOK = """
@pf.hookimpl
def pruneframe_scorers():
    return [{brought}]
"""
VARIATION = """
@dataclass(frozen=True, repr=False)
class Stay(pf.Variation):
    name = "stay"
    def vary(self, parents, n, variables, rng, scores=None, free=None):
        return parents[:n].copy()
@pf.hookimpl
def pruneframe_variations():
    return [Stay]
"""


def scorer(name: str = "theirs") -> str:
    """A whole plugin that brings one scorer."""
    return HEADER + SCORER.format(kind="Theirs", name=name) + HOOK.format(brought="Theirs")


FAULTS = {
    "misspelt hook": (
        HEADER + "@pf.hookimpl\ndef pruneframe_scorer(): return []",
        "no hook is named 'pruneframe_scorer'; did you mean 'pruneframe_scorers'?",
    ),
    "misspelt hook without its mark": (
        HEADER + "def pruneframe_metods(): return []",
        "no hook is named 'pruneframe_metods'; did you mean 'pruneframe_methods'?",
    ),
    "marked function of another name": (
        HEADER + "@pf.hookimpl\ndef scorers(): return []",
        "no hook is named 'scorers'",
    ),
    "hook without its mark": (
        HEADER + "def pruneframe_scorers(): return []",
        "pruneframe_scorers must be marked with @pruneframe.hookimpl",
    ),
    "hook with an argument": (
        HEADER + "@pf.hookimpl\ndef pruneframe_scorers(extra): return []",
        "Argument(s) {'extra'} are declared in the hookimpl but can not be found in the hookspec",
    ),
    "name that is taken": (
        scorer("magnitude"),
        f"scorer 'magnitude' is already brought by pruneframe {pruneframe.__version__}; rename one of them",
    ),
    "import that fails": ("import no_such_module", "it cannot be imported: ModuleNotFoundError: No module named"),
    "syntax error": ("def (", "cannot be imported: SyntaxError"),
    "import that exits": ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
    "hook that fails": (
        HEADER + "@pf.hookimpl\ndef pruneframe_scorers(): return 1 / 0",
        "pruneframe_scorers fails: ZeroDivisionError: division by zero",
    ),
    "hook that exits": (
        HEADER + "@pf.hookimpl\ndef pruneframe_scorers(): raise SystemExit(3)",
        "pruneframe_scorers fails: SystemExit: 3",
    ),
    "hook that returns nothing": (
        HEADER + "@pf.hookimpl\ndef pruneframe_scorers(): pass",
        "pruneframe_scorers fails: TypeError",
    ),
    "not a dataclass": (
        scorer().replace("@dataclass(frozen=True, repr=False)\n", ""),
        "scorer 'theirs' must be marked with @dataclass(frozen=True, repr=False)",
    ),
    "not frozen": (scorer().replace("frozen=True, ", ""), "cannot inherit non-frozen dataclass from a frozen one"),
    "repr of its own": (
        scorer().replace(", repr=False", ""),
        "scorer 'theirs' must be marked with @dataclass(frozen=True, repr=False)",
    ),
    "abstract": (scorer().replace("def score", "def scores"), "scorer Theirs must define score"),
    "object in place of a class": (
        scorer().replace("return [Theirs]", "return [Theirs()]"),
        "a scorer must be a subclass of pruneframe.Scorer, but got theirs",
    ),
    "class of another kind": (
        HEADER + "@pf.hookimpl\ndef pruneframe_scorers(): return [pf.Masks]",
        "a scorer must be a subclass of pruneframe.Scorer, but got <class",
    ),
    "not a problem": (
        HEADER + "@pf.hookimpl\ndef pruneframe_problems(): return ['cifar']",
        "a problem must be a pruneframe.Problem, but got 'cifar'",
    ),
    "name that cannot be written": (
        scorer("Their Scorer"),
        "scorer Theirs must have a name of lower-case letters, digits and dashes, but got 'Their Scorer'",
    ),
    "no name": (
        scorer().replace('    name = "theirs"\n', ""),
        "scorer Theirs must have a name of lower-case letters, digits and dashes, but got None",
    ),
}
Write = Callable[[str], str]
Install = Callable[..., None]


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
    """Install a distribution with plugins: a folder on sys.path, as pip would leave it."""
    monkeypatch.delenv("PRUNEFRAME_PLUGINS")
    test = re.sub(r"\W", "_", tmp_path.name)  # modules stay in sys.modules: no two tests may share a name

    def install(distribution: str, version: str, **plugins: str) -> None:
        folder = tmp_path / distribution
        information = folder / f"{distribution}-{version}.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = [f"{name} = {test}_{distribution}_{name}" for name in plugins]
        (information / "entry_points.txt").write_text("\n".join(["[pruneframe]", *lines]))
        for name, source in plugins.items():
            (folder / f"{test}_{distribution}_{name}.py").write_text(source)
        monkeypatch.syspath_prepend(str(folder))

    return install


def everything(found: Registry) -> set[tuple[str, str]]:
    return {(kind, name) for kind in KINDS for name in found.names(kind)}


def test_what_is_bundled_loads_without_complaint() -> None:
    found = Registry()
    assert found.complaints == []
    assert all(found.names(kind) for kind in KINDS)
    assert all(found.names(kind) == sorted(found.names(kind)) for kind in KINDS)
    assert {plugin.distribution for plugin in found.plugins} == {"pruneframe"}
    assert {("method", "nsga2"), ("scorer", "magnitude"), ("encoding", "mask")} <= everything(found)


@pytest.mark.parametrize(
    ("kind", "spec", "message"),
    [
        ("scorer", "magnitud", "no scorer is named 'magnitud'; did you mean 'magnitude'?"),
        ("method", "nsga3", "no method is named 'nsga3'; did you mean 'nsga2'?"),
        ("encoding", "mask-threshold[highest=1]", "did you mean 'layer-threshold'?"),
        ("scorer", "zzz", "no scorer is named 'zzz'; there are: bn-scale, fisher, fpgm,"),
        ("method", "nsga2[popluation=4]", "did you mean 'population'?"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(kind: str, spec: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Registry().component(kind, spec)


def test_an_unknown_problem_is_told_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no problem is named 'resnet20-cifar'; did you mean 'resnet20-cifar10'\?"):
        Registry().problem("resnet20-cifar")


def test_a_spec_makes_the_component_that_its_repr_is() -> None:
    spec = "nsga2[encoding=layer-threshold[highest=0.9],population=20]"
    assert repr(Registry().component("method", spec)) == spec


def test_a_file_adds_what_it_brings(write: Write) -> None:
    found = Registry([write(scorer() + VARIATION)])
    component = found.component("scorer", "theirs[power=3]")
    assert repr(component) == "theirs[power=3]"
    assert everything(found) - everything(Registry()) == {("scorer", "theirs"), ("variation", "stay")}
    assert found.plugins[-1].name == "mine"
    assert sorted(found.plugins[-1].brings) == ["scorer theirs", "variation stay"]
    check_scorer(component)  # type: ignore[arg-type] # the registry looked at its kind


def test_a_file_may_postpone_its_annotations(write: Write) -> None:
    source = scorer().replace("power: int", 'mode: Literal["a", "b"] = pf.setting("a", "which")\n    power: int')
    found = Registry([write("from __future__ import annotations\n" + source)])
    assert repr(found.component("scorer", "theirs[mode=b,power=2]")) == "theirs[mode=b,power=2]"
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


@pytest.mark.parametrize("path", ["nowhere.py", "."])
def test_a_file_that_is_none_is_told(path: str) -> None:
    with pytest.raises(InputError, match=f"-p takes a Python file or no:NAME, but got '{path}'"):
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


def test_the_other_hooks_of_a_faulty_plugin_work(install: Install) -> None:
    install("third", "1.2", broken=HEADER + VARIATION + "@pf.hookimpl\ndef pruneframe_scorers(): return 1 / 0")
    found = Registry()
    assert len(found.complaints) == 1
    assert "stay" in found.names("variation")


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
    assert "scorer 'same' is already brought by third 1.2" in complaint
    assert "zulu 3.4" in complaint


@pytest.mark.parametrize(
    "line",
    [
        "from torch import ops",
        "class Lazy:\n    def __getattr__(self, name): raise RuntimeError(name)\nlazy = Lazy()",
    ],
    ids=["torch.ops has every attribute", "object whose attributes fail"],
)
def test_what_a_module_merely_holds_is_no_hook(line: str, install: Install) -> None:
    install("third", "1.2", holding=scorer() + line)
    found = Registry()
    assert found.complaints == []
    assert "theirs" in found.names("scorer")


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
        ("", set()),
        ("third", {"third"}),
        ("third,zulu", {"third", "zulu"}),
        ("zulu third", {"third", "zulu"}),
    ],
)
def test_the_environment_chooses_outside_distributions(
    chosen: str | None, loaded: set[str], install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("third", "1.2", one=scorer("one"))
    install("zulu", "3.4", two=scorer("two"))
    if chosen is not None:
        monkeypatch.setenv("PRUNEFRAME_PLUGINS", chosen)
    found = Registry()
    assert {plugin.distribution for plugin in found.plugins} == {"pruneframe"} | loaded
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


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("a,b[x=1,y=2]", "c"), ["a", "b[x=1,y=2]", "c"]),
        ((" a , b ", ""), ["a", "b"]),
        (("a,,b,",), ["a", "b"]),
        ((), []),
    ],
)
def test_lists_of_names_may_be_repeated_and_have_brackets(given: tuple[str, ...], expected: list[str]) -> None:
    assert names(given) == expected


def method(found: Registry, spec: str) -> Method:
    component = found.component("method", spec)
    assert isinstance(component, Method)
    return component


def test_versions_of_third_parties_are_recorded_where_they_are_used(install: Install) -> None:
    own = Registry().plugins[0].version
    install("third", "1.2", one=scorer())
    install("zulu", "3.4", two=HEADER + VARIATION)
    found = Registry()
    problem = found.problem("resnet20-cifar10")

    def behind(spec: str) -> dict[str, str]:
        return found.versions_behind(problem, method(found, spec))

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
    unit = ""
    def measure(self, candidate): return 1.0
    def reference(self, dense): return 1.0
@pf.hookimpl
def pruneframe_objectives(): return [Depth]
"""
    install("third", "1.2", one=HEADER + source)
    found = Registry()
    problem = found.problem("resnet20-cifar10").with_settings(objectives=("error", "depth"))
    assert found.versions_behind(problem, method(found, "nsga2"))["third"] == "1.2"


def test_a_component_from_outside_works_inside_a_bundled_method(write: Write) -> None:
    from pruneframe.testing import check_method

    found = Registry([write(scorer() + VARIATION)])
    check_method(method(found, "nsga2[scorer=theirs[power=2],variation=stay+bit-flip]"), registry=found)


def test_kinds_and_hooks_are_one_list() -> None:
    hooks = {name for name in vars(registry.hookspecs) if name.startswith("pruneframe_")}
    assert hooks == {f"pruneframe_{kind}s" for kind in KINDS}
    assert np.all([isinstance(kind, type) for kind in KINDS.values()])
