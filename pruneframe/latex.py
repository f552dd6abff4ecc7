"""Tables for a paper: LaTeX with booktabs and siunitx."""

from __future__ import annotations

import re

from .report import Table

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
NUMBER = re.compile(r"(?<![\w.-])[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.-]*\w)")


def latex(table: Table) -> str:
    """A floating table, label `tab:ID`; a document needs \\usepackage{booktabs,siunitx}."""
    headings = [str(name) for name in table.frame]
    lines = [
        "% needs \\usepackage{booktabs,siunitx}",
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{escaped(table.caption)}}}",
        f"  \\label{{tab:{table.id}}}",
        f"  \\begin{{tabular}}{{{'l' + 'r' * (len(headings) - 1)}}}",
        r"    \toprule",
        f"    {' & '.join(map(escaped, headings))} \\\\",
        r"    \midrule",
    ]
    for row, values in enumerate(table.frame.itertuples(index=False)):
        cells = [cell(str(v), (row, name) in table.best) for v, name in zip(values, headings, strict=True)]
        lines.append(f"    {' & '.join(cells)} \\\\")
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}", ""])


def cell(text: str, bold: bool = False) -> str:
    """A cell: its numbers as siunitx typesets them, all else as text; all is text in bold, which siunitx ignores."""
    if bold:
        return f"\\textbf{{{escaped(text)}}}"
    parts, end = [], 0
    for found in NUMBER.finditer(text):
        signed = "[retain-explicit-plus]" if found[0].startswith("+") else ""
        parts += [escaped(text[end : found.start()]), f"\\num{signed}{{{found[0]}}}"]
        end = found.end()
    return "".join([*parts, escaped(text[end:])])


def escaped(text: str) -> str:
    """Text as LaTeX prints it literally."""
    return "".join(SPECIAL.get(sign, sign) for sign in re.sub(r"\s+", " ", text))
