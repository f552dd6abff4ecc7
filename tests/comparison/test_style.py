"""How figures look: methods that can be told apart, names that fit, and axes that say what they count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import matplotlib.pyplot as plt
import pytest
from studies import hand_made

from pruneframe.comparison.style import (
    COLUMN,
    amount,
    folded,
    label,
    legend_below,
    logarithmic,
    look,
    looks,
    panels,
    shown,
    strips,
)


@pytest.fixture(autouse=True)
def drawn_as_documents_are() -> Iterator[None]:
    with look():
        yield
    plt.close("all")


def test_more_methods_than_colours_are_still_told_apart() -> None:
    found = looks([f"method-{i}" for i in range(20)])
    assert len({(look.color, look.marker) for look in found.values()}) == 20
    assert len({(look.color, look.dashes) for look in found.values()}) == 20


def test_a_highlighted_method_keeps_its_colour_and_is_drawn_strongest() -> None:
    plain, found = looks(["a", "b"]), looks(["a", "b"], "b")
    assert [found[name].color for name in "ab"] == [plain[name].color for name in "ab"]
    assert found["b"].width > found["a"].width
    assert found["b"].alpha > found["a"].alpha


def test_a_method_looks_the_same_whatever_the_order() -> None:
    assert looks(["b", "a"]) == looks(["a", "b"])
    assert looks(["a", "b"], "c") == looks(["a", "b"]), "one that is not there is no reason for others to step back"


def test_long_names_are_folded_where_their_settings_allow() -> None:
    name = "weighted-ga[preset=computation,step=0.1,retraining=0.7]"
    assert folded(name) == "weighted-ga[\npreset=computation,\nstep=0.1,retraining=0.7]"
    assert folded(name).replace("\n", "") == name
    assert folded("nsga2") == "nsga2"


def test_axes_say_how_much_of_what_a_share_is_of() -> None:
    _, study = hand_made()
    (board,) = study.boards
    assert label(board, 0) == "test error (%)"
    assert label(board, 1) == "params (share of 100 parameters)"
    assert (
        label(replace(board, instances=(replace(board.instances[0], references=(0.5, 12_345.0)),)), 1)
        == "params (share of 12.3k parameters)"
    )
    assert label(replace(board, quantities=()), 1) == "params (share of 100)"
    shares = replace(board, objectives=("latency", "params"), quantities=("share of dense", "parameters"))
    assert label(shares, 0) == "latency (share of dense)"


@pytest.mark.parametrize(
    ("value", "quantity", "text"),
    [
        (0.25, "", "0.25"),
        (999.0, "bytes", "999 bytes"),
        (999.4, "bytes", "999 bytes"),
        (1000.0, "bytes", "1k bytes"),
        (999_999.0, "parameters", "1M parameters"),
        (10_310.0, "parameters", "10.3k parameters"),
        (2.5e6, "", "2.5M"),
        (4.06e10, "multiply-adds", "40.6G multiply-adds"),
    ],
)
def test_amounts_are_written_as_people_write_them(value: float, quantity: str, text: str) -> None:
    assert amount(value, quantity) == text


def test_errors_are_shown_in_per_cent_and_all_else_as_a_share() -> None:
    assert shown(0.125, "error", 0.5) == 12.5
    assert shown(25.0, "params", 100.0) == 0.25


@pytest.mark.parametrize(("low", "high"), [(0.04, 1.1), (2.0, 40.0), (3e-7, 0.9), (1.0, 1e9)])
def test_a_logarithmic_axis_has_plain_numbers_as_ticks(low: float, high: float) -> None:
    figure, (axes,) = panels(1)
    axes.set_ylim(low, high)
    logarithmic(axes, "y")
    figure.draw_without_rendering()
    written = [label.get_text() for label in axes.get_yticklabels(which="both")]
    values = [float(text.replace("\N{MINUS SIGN}", "-")) for text in written if text]  # no formula, printed as it is
    assert sum(low <= value <= high for value in values) >= 2
    assert axes.get_yscale() == "log"


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (2, 1), (3, 1), (4, 2), (7, 3)])
def test_panels_stand_three_side_by_side_at_most(count: int, rows: int) -> None:
    figure, axes = panels(count)
    assert len(axes) == len(figure.axes) == count
    assert len({round(one.get_position().y0, 6) for one in axes}) == rows
    assert (figure.get_figwidth() <= COLUMN) == (count == 1)


def test_strips_share_their_horizontal_axis() -> None:
    _, axes = strips(3)
    axes[0].set_xlim(0, 17)
    assert [one.get_xlim() for one in axes] == [(0, 17)] * 3


@pytest.mark.parametrize("name", ["nsga2", "weighted-ga[preset=computation,step=0.1,retraining=0.7,population=20]"])
def test_a_legend_makes_its_figure_taller_and_stays_inside(name: str) -> None:
    figure, (axes,) = panels(1)
    height = figure.get_figheight()
    legend_below(figure, axes)
    assert (figure.legends, figure.get_figheight()) == ([], height), "nothing is drawn that has a name"
    axes.plot([0, 1], label=name)
    legend_below(figure, axes)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert [text.get_text().replace("\n", "") for text in legend.get_texts()] == [name]
    box = legend.get_window_extent()
    assert (box.x0 >= 0, box.x1 <= figure.bbox.width, box.y0 >= 0) == (True, True, True)
    assert figure.get_figheight() > height
