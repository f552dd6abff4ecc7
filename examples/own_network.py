"""One's own network as a problem: pruneframe bench -p examples/own_network.py --problems two-moons --methods nsga2"""

import numpy as np
import torch
from sklearn.datasets import make_moons
from torch import nn

import pruneframe as pf

points, labels = make_moons(1200, noise=0.2, random_state=0)
images = points.astype(np.float32)  # numbers of any shape [n, ...], uint8 images, or token ids
parts = [pf.Split(images[a:b], labels[a:b]) for a, b in ((0, 600), (600, 900), (900, 1200))]

torch.manual_seed(0)
network = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
for _ in range(200):  # train on the first part alone: the other two are for the search and the test
    optimiser.zero_grad()
    nn.functional.cross_entropy(
        network(torch.from_numpy(parts[0].images)), torch.from_numpy(parts[0].labels)
    ).backward()
    optimiser.step()


@pf.hookimpl
def pruneframe_problems():
    return [pf.Problem("two-moons", network, pf.Data(*parts), budget=100, summary="a small perceptron on two moons")]
