"""Tables for a paper: LaTeX with booktabs and siunitx."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..item import Table

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # behind \\ it would be taken for a length
    "]": "{]}",
}
LONGEST = 36  # letters of a word or sentence that stands on one line
FOLDED = r">{\raggedright\arraybackslash}p{0.25\linewidth}"  # the column of a longer one
NUMBER = re.compile(r"(?<![\w.-])[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.-]*\w)")
NUMERIC = re.compile(r"[+-]?\d[\d.]*([ ,].*)?|none|")


def latex(table: Table) -> str:
    """A floating table in footnote size, label `tab:ID`; a document needs \\usepackage{booktabs,siunitx}."""
    headings = [str(name) for name in table.frame]
    columns = [[str(value) for value in table.frame[name]] for name in table.frame]
    lines = [
        "% needs \\usepackage{booktabs,siunitx}",
        r"\begin{table}",
        r"  \centering\footnotesize\setlength{\tabcolsep}{2.5pt}",
        f"  \\caption{{{escaped(table.caption)}}}",
        f"  \\label{{tab:{table.id}}}",
        f"  \\begin{{tabular}}{{@{{}}{''.join(map(_column, columns))}@{{}}}}",
        r"    \toprule",
        f"    {' & '.join(map(escaped, headings))} \\\\",
        r"    \midrule",
    ]
    for row, values in enumerate(table.frame.itertuples(index=False)):
        cells = [cell(str(value), (row, name) in table.best) for value, name in zip(values, headings, strict=True)]
        lines.append(f"    {' & '.join(cells)} \\\\")
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}", ""])


def _column(cells: Sequence[str]) -> str:
    """How LaTeX aligns a column: numbers on the right, words on the left, long ones in several lines."""
    if all(map(NUMERIC.fullmatch, cells)):
        return "r"
    return "l" if max(map(len, cells)) <= LONGEST else FOLDED


def cell(text: str, bold: bool = False) -> str:
    """A cell: its numbers as siunitx typesets them, all else as text; all is text in bold, which siunitx ignores."""
    if bold:
        return f"\\textbf{{{escaped(text)}}}"
    parts, end = [], 0
    for found in NUMBER.finditer(text):
        signed = "[retain-explicit-plus]" if found[0].startswith("+") else ""
        parts += [words(text[end : found.start()]), f"\\num{signed}{{{found[0]}}}"]
        end = found.end()
    return "".join([*parts, words(text[end:])])


def words(text: str) -> str:
    """Text that may be broken between a method's settings."""
    return re.sub(r"(?<=,)(?! |$)", r"\\allowbreak{}", escaped(text))


def escaped(text: str) -> str:
    """Text as LaTeX prints it literally."""
    return "".join(SPECIAL.get(sign, sign) for sign in re.sub(r"\s+", " ", text))
