"""Where activations lie: a place is free when nobody reads it any more."""

from __future__ import annotations

import tiny
from networks import needs_kernel, network_of

from pruneframe.engine.compiler import compiled
from pruneframe.engine.plan import MEAN, SUMS
from pruneframe_problems.cifar_resnet import CifarResNet


def test_activations_that_nobody_reads_any_more_give_up_their_place() -> None:
    shallow, deep = (compiled(tiny.network(CifarResNet(n), (3, 32, 32))) for n in (2, 6))
    assert len(deep.steps) > len(shallow.steps)
    assert deep.arena == shallow.arena


@needs_kernel
def test_a_sum_takes_the_place_of_what_is_added_to_it_where_nothing_else_reads_that() -> None:
    network = network_of("on itself")
    plan, whole = compiled(network), compiled(network, fused=False)
    add, out = plan.column("add").tolist(), plan.column("out").tolist()
    assert plan.column("kind").tolist() == [SUMS, SUMS, SUMS, SUMS, SUMS, MEAN, SUMS]
    assert add[1] >= 0
    assert add[1] != out[1]
    assert add[3] == out[3]
    assert whole.column("add")[3] != whole.column("out")[3]
    assert whole.arena > plan.arena
