"""What the results book measures: its chapters, each one `pruneframe bench`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from pruneframe.spec import numbers

REPORTS = ("results", "comparisons", "variances", "reductions", "running-times", "seconds")
TABLED = ("results", "running-times", "seconds")
SCORERS = ("magnitude", "lamp", "taylor", "snip", "fisher", "reconstruction", "random")
SWEEPS = tuple(f"magnitude[scorer={scorer}]" for scorer in SCORERS)
RANKED = tuple(f"magnitude[scorer={scorer}]" for scorer in ("magnitude", "lamp", "reconstruction"))
# Sources of `hierarchical`; where one is left out, the others get its turns.
PIECES = ("cuts", "tuned", "trained", "factors", "masks", "edge")
ABLATIONS = (
    "hierarchical",
    *(f"hierarchical[sources={'+'.join(one for one in PIECES if one != piece)}]" for piece in PIECES[1:]),
    *(f"hierarchical[sources={piece}]" for piece in PIECES[:3]),
    "hierarchical[alpha=0]",  # labels alone teach
    *(f"hierarchical[scorers={scorers}]" for scorers in ("magnitude", "magnitude+lamp", "reconstruction")),
)
TOLD = ("nsga2", "moead", "platypus", "magnitude", "netadapt", "hamp", "random")  # a table answers all that they ask
BUNDLED = ("hierarchical", "emo-dir", "weighted-ga", *TOLD)
SPARSE = ("s-nsga2", "pm-moea", "ts-sparse-ea")  # on any units
RIVALS = ("evopress", "nndrea", "iterative-magnitude")
BLIND = (  # to the order of a score
    *("nsga2[preset=textbook]", "moead[preset=textbook]", "platypus[encoding=mask]"),
    "random[encoding=mask[noise=0.3]]",
)
LEADING = (  # what README shows
    *("hierarchical", "iterative-magnitude", "evopress", "nsga2", "magnitude[scorer=reconstruction]"),
    *("pm-moea", "emo-dir", "magnitude", "random"),
)
TEXTBOOK = ("nsga2[preset=textbook]", "moead[preset=textbook]", "hierarchical[preset=paper]", "random")


@dataclass(frozen=True)
class Chapter:
    """One study: `bench` with these methods and further arguments; the first method is the control.

    Chapters of one `part` are other problems under like rules: they stand beside each other in one table, with ranks
    over them.
    """

    name: str
    title: str
    methods: tuple[str, ...]
    arguments: tuple[str, ...]
    reports: tuple[str, ...] = REPORTS
    part: str = ""
    raced: bool = False  # whether its final fronts are timed once more, in one series
    problem: str = ""  # what its column is called, where several chapters share one, each with some of the methods
    shown: tuple[str, ...] = ()  # methods whose fronts are its picture

    @property
    def column(self) -> str:
        """What it is called in the table of its part."""
        return self.problem or self.name

    @property
    def runs(self) -> int:
        """How many runs it has when it is whole, where no method declines."""
        values = dict(zip(self.arguments[::2], self.arguments[1::2], strict=True))
        numbered = [numbers([values.get(name, "0")], name) for name in ("--instances", "--seeds")]
        return len(self.methods) * math.prod(map(len, numbered))

    def command(self, folder: Path | str) -> list[str]:
        """What is typed."""
        methods = ",".join(self.methods)
        return ["bench", "--methods", methods, *self.arguments, "--control", self.methods[0], "--output", str(folder)]


CHAPTERS = (
    Chapter(
        "digits",
        "Weights of a small LeNet on digits, ten networks",
        ("hierarchical", "nsga2", "moead", "emo-dir", "weighted-ga", *SPARSE, *RIVALS, *SWEEPS, *TEXTBOOK),
        ("--problems", "lenet-digits", "--instances", "0-9", "--seeds", "0-1", "--budget", "300"),
        part="weights",
        shown=LEADING,
    ),
    Chapter(
        "digits-filter",
        "Filters of a small LeNet on digits, ten networks",
        (
            *("hierarchical", "nsga2", "moead", "emo-dir", "weighted-ga", "sparse-ea", "moea-psl", *SPARSE, *RIVALS),
            *("fast-nas", *RANKED, "netadapt", *TEXTBOOK),
        ),
        ("--problems", "lenet-digits", "--instances", "0-9", "--seeds", "0-1", "--budget", "300", "--units", "filter"),
        part="filters",
    ),
    Chapter(
        "digits-latency",
        "Filters of a small LeNet on digits, with latency by formula, ten networks",
        (
            *("hamp", "hierarchical", "netadapt", "netadapt[scorer=reconstruction]", "halp", "fast-nas", "evopress"),
            *("iterative-magnitude", "sparse-ea", "moea-psl", *SPARSE, "nsga2", "moead", "emo-dir", "random"),
            "hierarchical[preset=paper]",
        ),
        (
            *("--problems", "lenet-digits", "--instances", "0-9", "--seeds", "0-1", "--budget", "300"),
            *("--units", "filter", "--objectives", "error,params,latency", "--target", "analytic"),
        ),
    ),
    Chapter(
        "rematch",
        "Filters of ResNet-8 on CIFAR-10, with latency as ONNX Runtime measures it, six splits",
        ("hamp", "netadapt"),
        (
            *("--problems", "resnet8-cifar10", "--instances", "0-5", "--seeds", "0", "--budget", "60"),
            *("--search-images", "1000", "--units", "filter"),
            *("--objectives", "error,params,latency", "--target", "onnxruntime"),
        ),
        raced=True,
    ),
    Chapter(
        "mnist",
        "Weights of LeNet-5 on MNIST",
        ("hierarchical", "nsga2", "moead", "emo-dir", "weighted-ga", *SPARSE, *RIVALS, *RANKED, *TEXTBOOK),
        ("--problems", "lenet-mnist", "--seeds", "0-5", "--budget", "300", "--search-images", "1000"),
        part="weights",
    ),
    *(
        Chapter(
            f"resnet20-{name}",
            f"Weights of ResNet-20 on CIFAR-10, eight splits: {title}",
            ("hierarchical", *methods),
            (
                *("--problems", "resnet20-cifar10", "--instances", "0-7", "--seeds", "0"),
                *("--budget", "300", "--search-images", "1000", "--precision", "bfloat16"),
            ),
            part="weights",
            problem="resnet20",
        )
        for name, title, methods in (  # six each: as many as eight splits can tell apart, and a few hours
            ("leaders", "what leads on digits", ("nsga2", "moead", "evopress", "iterative-magnitude", *RANKED[::2])),
            ("sparse", "the sparse ones and the flagships", (*SPARSE, "nndrea", "emo-dir", "weighted-ga")),
            ("textbook", "from the textbook", (*TEXTBOOK, RANKED[1])),
        )
    ),
    *(
        Chapter(
            f"order-{problem}{ending}",
            f"{title}: {units}s, 100 passes, seven splits",
            ("hierarchical", "nsga2", *RANKED[::2]),
            (
                *("--problems", f"{problem}-cifar10", "--instances", "0-6", "--seeds", "0", "--budget", "100"),
                *("--search-images", "1000", "--units", units, "--precision", "bfloat16"),
            ),
            part="residual networks",
            problem=f"{problem}{ending}",
        )
        for problem, title in (("resnet8", "ResNet-8 on CIFAR-10"), ("resnet20", "ResNet-20 on CIFAR-10"))
        for units, ending in (("weight", ""), ("filter", "-filter"))
    ),
    *(
        Chapter(
            f"efficientnet{ending}",
            f"EfficientNet-Lite0 on 500 images of ImageNet: {units}s, 40 passes, one run each",
            ("hierarchical", "nsga2", "magnitude"),
            ("--problems", "efficientnet-lite0-imagenet", "--seeds", "0", "--budget", "40", "--units", units),
            part="residual networks",
        )
        for units, ending in (("weight", ""), ("filter", "-filter"))
    ),
    Chapter(
        "ablation-digits",
        "What each piece of `hierarchical` adds, at equal budgets, on ten small LeNets",
        ABLATIONS,
        ("--problems", "lenet-digits", "--instances", "0-9", "--seeds", "0-1", "--budget", "300"),
        REPORTS[:2],
    ),
    Chapter(
        "ablation-resnet20",
        "What each piece of `hierarchical` adds, at equal budgets, on ResNet-20",
        ABLATIONS,
        (
            *("--problems", "resnet20-cifar10", "--instances", "0-4", "--seeds", "0"),
            *("--budget", "100", "--search-images", "1000"),
        ),
        REPORTS[:2],
    ),
    Chapter(
        "resnet56",
        "Weights of ResNet-56 on CIFAR-10, 1,000 passes, two seeds",
        ("hierarchical", "magnitude", "magnitude[scorer=reconstruction]"),
        ("--problems", "resnet56-cifar10", "--seeds", "0-1", "--budget", "1000", "--precision", "bfloat16"),
    ),
    Chapter(
        "resnet56-shifted",
        "Weights of ResNet-56 on CIFAR-10, 1,000 passes, two seeds, with batch norm that follows",
        ("hierarchical", "magnitude", "magnitude[scorer=reconstruction]"),
        (
            *("--problems", "resnet56-cifar10", "--seeds", "0-1", "--budget", "1000", "--batch-norm", "shifted"),
            *("--precision", "bfloat16"),
        ),
    ),
    Chapter(
        "tiny-lenet",
        "Filters of a tiny LeNet on digits, whose true front is known",
        (*BUNDLED, *BLIND, "sparse-ea", "moea-psl", *SPARSE, *RIVALS, "fast-nas", "hierarchical[preset=paper]"),
        ("--problems", "tiny-lenet", "--seeds", "0-29", "--budget", "3000"),
        TABLED,
        part="filters",
    ),
    Chapter(
        "tiny-attention",
        "Heads and hidden units of a tiny transformer on digits, whose true front is known",
        (
            *(*BUNDLED, *BLIND, "hamp[encoding=channel-count,scorer=taylor]", "sparse-ea", "moea-psl", *SPARSE),
            *(*RIVALS, "hierarchical[preset=paper]"),
        ),
        ("--problems", "tiny-attention", "--seeds", "0-29", "--budget", "500"),
        TABLED,
        part="filters",
    ),
    Chapter(
        "tiny-resnet20",
        "Residual branches of ResNet-20 on CIFAR-10, whose true front is known; methods that look at no image",
        (*TOLD, *BLIND, "sparse-ea", "moea-psl", *SPARSE),
        ("--problems", "tiny-resnet20", "--seeds", "0-29", "--budget", "300"),
        TABLED,
    ),
)
