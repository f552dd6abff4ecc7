"""Tables as LaTeX: numbers are typeset by siunitx, all else is text."""

from __future__ import annotations

import pandas as pd
import pytest

import pruneframe as pf
from pruneframe.comparison.latex import cell, escaped, latex


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.8942", r"\num{0.8942}"),
        ("67.9 % (+0.36)", r"\num{67.9} \% (\num[retain-explicit-plus]{+0.36})"),
        ("0.5 [0.4, 0.6]", r"\num{0.5} {[}\num{0.4}, \num{0.6}{]}"),
        ("1.5e-07", r"\num{1.5e-07}"),
        ("nsga2", "nsga2"),
        ("emo-dir", "emo-dir"),
        ("resnet20-cifar10", "resnet20-cifar10"),
        ("2x", "2x"),
        ("a_b & c", r"a\_b \& c"),
        ("nsga2[a=b,c=d]", r"nsga2{[}a=b,\allowbreak{}c=d{]}"),
        ("yes, sir,", "yes, sir,"),
    ],
)
def test_numbers_are_marked_and_names_are_not(text: str, expected: str) -> None:
    assert cell(text) == expected


def test_escaped_text_holds_no_command() -> None:
    assert escaped("\\input{x} ^~ $5 #1 100%\n<y>") == (
        r"\textbackslash{}input\{x\} \textasciicircum{}\textasciitilde{} \$5 \#1 100\% \textless{}y\textgreater{}"
    )


def test_a_table_has_rules_a_label_and_its_best_in_bold() -> None:
    frame = pd.DataFrame({"method": ["a", "b"], "HV": ["0.5", "0.4"]})
    lines = latex(pf.Table("results-1", "A caption.", frame, best=frozenset({(0, "HV")}))).splitlines()
    assert [line.strip() for line in lines if "rule" in line] == [r"\toprule", r"\midrule", r"\bottomrule"]
    assert r"    a & \textbf{0.5} \\" in lines
    assert r"    b & \num{0.4} \\" in lines
    assert r"  \label{tab:results-1}" in lines
    assert r"  \begin{tabular}{@{}lr@{}}" in lines


def test_words_stand_on_the_left_and_long_ones_are_folded() -> None:
    cells = {
        "p": ["0.1, 1 of 4", ""],
        "verdict": ["better", "none"],
        "reports": ["short", "a sentence that is too long " * 2],
    }
    text = latex(pf.Table("results-1", "", pd.DataFrame({"method": ["2x", "b"]} | cells)))
    assert r"\begin{tabular}{@{}lrl>{\raggedright\arraybackslash}p{0.25\linewidth}@{}}" in text
