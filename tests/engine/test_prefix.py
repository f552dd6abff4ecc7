"""What candidates have in common is computed once."""

from __future__ import annotations

from networks import needs_kernel, neighbours, network_of

from pruneframe.engine.prefix import Work
from pruneframe.engine.sparse import Sparse


@needs_kernel
def test_a_family_computes_what_it_shares_once() -> None:
    network = network_of("resnet")
    sparse, state, masks = Sparse(network), network.module.state_dict(), neighbours(network, 12)
    keys = sparse._keys([sparse.pruned(masks, row, state, {}) for row in range(12)])
    work = Work(sparse.plan, sparse._shared, keys)
    prefixes = {key[: step + 1] for key in keys for step in range(sparse._shared.steps)}
    own = int((sparse.plan.column("tail") == 0).sum()) - sparse._shared.steps
    assert len(work.orders) == len(prefixes) + 12 * own
    assert len(work.orders) < 12 * (sparse._shared.steps + own)
