"""Specs of components as Hypothesis draws them: `fpgm`, `nsga2[scorer=fpgm,size=3]`, `a+b[c=d]`."""

from __future__ import annotations

from hypothesis import strategies as st

from pruneframe.spec import split

words = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
specs = st.recursive(
    words,
    lambda inner: (
        st.builds(
            lambda name, given: f"{name}[{','.join(f'{k}={v}' for k, v in given.items())}]",
            words,
            st.dictionaries(words, inner, min_size=1, max_size=3),
        )
        | st.builds("{}+{}".format, inner, inner)
    ),
    max_leaves=5,
)
single_specs = specs.filter(lambda text: len(split(text, "+")) == 1)
