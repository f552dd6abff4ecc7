"""The experiments of the bundled methods' papers, for `pruneframe reproduce`: what was read of them, and where.

Of none of them more than the abstract and summaries have been read. What a figure is of is said where the abstract says
it. Losses of 0.5 points and of 1 stand for "hardly any" and "tiny"; budgets and search images are ours at every scale.
"""

from __future__ import annotations

from dataclasses import replace

import pruneframe as pf

INNER = "filter[inner=true]"  # as published methods remove filters: those inside a block
TEN = tuple(range(10))

GENETIC = "Yang et al., 2019"
SPARSE = pf.Finding(
    "95.42 % of the parameters removed, with emphasis on sparsity, at a tiny loss",
    "abstract",
    ("weighted-ga[preset=sparsity]",),
    published=0.9542,
)
QUICK = pf.Finding(
    "16 times less computation in the convolutions, with emphasis on computation, at a tiny loss",
    "abstract",
    ("weighted-ga[preset=computation]",),
    "convolutions",
    16.0,
)
WEIGHTED_GA = (
    pf.Experiment(
        "lenet-mnist",
        GENETIC,
        (SPARSE, replace(SPARSE, loss=1.0), QUICK, replace(QUICK, loss=1.0)),
        "The paper's LeNet is trained by its authors, ours by our recipe; of its weights of the sum, population and "
        "training no number has been read, and ours are chosen here. It may have searched on the images that it "
        "reports; ours are searched on 2,000 held-out training images and reported on the official test images.",
        smoke=pf.Scale(300),
        cpu=pf.Scale(5000, seeds=(0, 1, 2)),
        full=pf.Scale(5000, seeds=TEN),
        objectives=("error", "params", "macs"),
    ),
)

HIERARCHY = "Khan and Asilian Bidgoli, 2026"
UP_TO = (
    "up to 51.9 % and 38.9 % of the parameters removed with almost no loss; which is whose of ResNet-56 and ResNet-110 "
    "on CIFAR-10 and CIFAR-100 is not said"
)
BOTH = ("hierarchical[preset=paper]", "hierarchical")
PUBLISHED_NETWORK = (
    "Which network and data the figures are of is not said in the abstract, nor how much accuracy they lose, nor the "
    "paper's population, generations and images. The network here is one that others have published and that has seen "
    "all training images; half of the test images are searched on, the other half is reported. preset=paper is our "
    "reading of the paper, the default is ours."
)
RESNET56 = pf.Experiment(
    "resnet56-cifar10",
    HIERARCHY,
    (pf.Finding(UP_TO, "abstract", BOTH, loss=0.5), pf.Finding(UP_TO, "abstract", BOTH, loss=1.0)),
    PUBLISHED_NETWORK,
    smoke=pf.Scale(20, search_images=100),
    cpu=pf.Scale(200, search_images=1000),
    full=pf.Scale(3000, search_images=5000, seeds=TEN),
)
HIERARCHICAL = (
    RESNET56,
    *(replace(RESNET56, problem=name) for name in ("resnet110-cifar10", "resnet56-cifar100", "resnet110-cifar100")),
)

PARTS = "Shang et al., 2023"
COMPARABLE = "comparable with the state of the art; no figure has been read"
DIVIDED = "emo-dir[preset=paper,finetuning=0.2]"  # the paper's networks are trained after pruning
VGG16 = pf.Experiment(
    "vgg16-cifar10",
    PARTS,
    (
        pf.Finding(COMPARABLE, "abstract", (DIVIDED,), loss=1.0),
        pf.Finding(COMPARABLE, "abstract", (DIVIDED,), "multiply-adds", loss=1.0),
    ),
    "The paper trains networks after pruning for longer than a search takes here, where a fifth of the budget trains "
    "the joint schemes. Its parts, detectors, populations and epochs are our reconstruction.",
    smoke=pf.Scale(20, search_images=100),
    cpu=pf.Scale(300, search_images=1000),
    full=pf.Scale(3000, search_images=5000, seeds=TEN),
    units=INNER,
)
EMO_DIR = (
    *(replace(VGG16, problem=name) for name in ("vgg16-cifar10", "vgg16-cifar100")),
    *(replace(VGG16, problem=name) for name in ("resnet56-cifar10", "resnet56-cifar100")),
    replace(VGG16, problem="resnet18-imagenet100", smoke=None, cpu=None, full=pf.Scale(3000, seeds=(0, 1, 2))),
)

HARDWARE = "Hong et al., 2024"
BETTER = "better than the state of the art in accuracy, latency and memory; no figure has been read"
ALEXNET = pf.Experiment(
    "alexnet-cifar10",
    HARDWARE,
    (
        pf.Finding(BETTER, "abstract", ("hamp",), "latency", loss=1.0),
        pf.Finding(BETTER, "abstract", ("hamp",), "memory", loss=1.0),
    ),
    "The paper measures on an NVIDIA Jetson Nano; here each layer is timed once on this machine's processor, and "
    "latency is looked up in that table. Candidates are not fine-tuned before they are judged.",
    smoke=pf.Scale(40, search_images=100),
    cpu=pf.Scale(300, search_images=1000),
    full=pf.Scale(3000, search_images=5000, seeds=TEN),
    units="filter",
    objectives=("error", "latency", "memory"),
    timed_on="local-cpu",
)
HAMP = (ALEXNET, *(replace(ALEXNET, problem=name) for name in ("mobilenetv1-cifar10", "mobilenetv2-cifar10")))
