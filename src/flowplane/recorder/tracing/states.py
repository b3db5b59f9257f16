"""A model's states, through which every path from an input to the output goes, and the layers that stand for them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from flowplane.recorder.tracing.functions import ADDITION
from flowplane.recorder.tracing.graph import Graph
from flowplane.recorder.tracing.watching import Call

__all__ = ["chained_blocks", "default_calls", "states_of"]

#: Kinds of functions that are layers by default.
COUNTED = ("nonlinearity", "concatenation", "pooling", "weights", "attention", ADDITION)


def states_of(graph: Graph, output: int) -> set[int]:
    """Nodes that every path from an input to the output passes, for each input that has one: its dominators.

    Example:
        >>> graph = Graph()
        >>> x = graph.input()
        >>> a = graph.add((x,)); left = graph.add((a,)); right = graph.add((a,)); end = graph.add((left, right))
        >>> states_of(graph, end) == {a, end}
        True
    """
    states: set[int] = set()
    above = {output}
    for node in range(output, -1, -1):  # parents come before
        if node in above:
            above.update(graph.parents[node])
    for start in graph.inputs:
        if start not in above:
            continue
        dominator, depth = {start: start}, {start: 0}
        for node in range(start + 1, output + 1):
            if node not in above:
                continue
            parents = [parent for parent in graph.parents[node] if parent in dominator]
            if not parents:
                continue
            common = parents[0]
            for other in parents[1:]:
                common = _meeting(common, other, dominator, depth)
            dominator[node], depth[node] = common, depth[common] + 1
        node = output if output in dominator else start
        while node != start:
            states.add(node)
            node = dominator[node]
    return states


def chained_blocks(graph: Graph, calls: Sequence[Call]) -> set[int]:
    """Nodes of blocks of one class that stand in a row, each computed on what the one before it made and on no other: blocks
    of several streams (nodes and edges, pixels and patches), or into each of which the input goes once more, have no single
    tensor that all paths pass. The first tensor that such a block returns stands for it.
    """
    blocks: defaultdict[type, list[Call]] = defaultdict(list)
    for call in calls:
        if not call.function and call.start < call.stop and any(True for _ in call.module.children()):
            blocks[type(call.module)].append(call)
    repeated = {id(call) for same in blocks.values() if len(same) > 1 for call in same if not _container(call.module)}
    found: set[int] = set()
    for same in blocks.values():
        outer = [call for call in same if id(call) in repeated and not any(id(above) in repeated for above in call.around)]
        if len(outer) < 2:
            continue
        outer.sort(key=lambda call: call.start)
        before = _blocks_before(graph, [(call.start, call.stop) for call in outer])
        after = [{later for later, those in enumerate(before) if block in those} for block in range(len(outer))]
        for block, (one, other) in enumerate(pairwise(outer)):
            if before[block + 1] == {block} and after[block] == {block + 1}:
                found |= {one.node, other.node}
    return found - {-1}


def _blocks_before(graph: Graph, ranges: Sequence[tuple[int, int]]) -> list[set[int]]:
    """Of each range of nodes, the ranges whose nodes it is computed on, with no other range between."""
    inside = {node: block for block, (start, stop) in enumerate(ranges) for node in range(start, stop)}
    made: list[frozenset[int]] = []
    before: list[set[int]] = [set() for _ in ranges]
    for node, parents in enumerate(graph.parents):
        of = frozenset().union(*(made[parent] for parent in parents))
        if node in inside:
            before[inside[node]] |= of - {inside[node]}
            of = frozenset({inside[node]})
        made.append(of)
    return before


def _meeting(one: int, other: int, dominator: dict[int, int], depth: dict[int, int]) -> int:
    """The nearest node that dominates both."""
    while one != other:
        one, other = (dominator[one], other) if depth[one] >= depth[other] else (one, dominator[other])
    return one


def default_calls(calls: Sequence[Call], states: set[int], usable: Sequence[Call]) -> list[Call]:
    """The calls that someone who knows the architecture would take: its states, blocks whole, in the order of their ends.

    The model's own call, containers, and what holds several blocks of one class or one block that is called several times
    are opened. A module off the path counts where it has children and another number of places (the lower levels of a
    U-Net). One tensor is one layer, and it is named after the outermost module that is taken whole.
    """
    inner: defaultdict[int, list[Call]] = defaultdict(list)
    for call in calls:
        for above in call.around:
            inner[id(above)].append(call)
    root = calls[-1]
    opened = {id(root)} | {id(call) for call in calls if _opens(call, inner[id(call)], states)}
    while True:
        taken = _taken(calls, states, {id(call) for call in usable}, opened, root)
        wholes = [call for call in taken if call is not root]
        if len({call.key[0] for call in wholes}) != 1 or wholes[0].function or not _has_states(inner[id(wholes[0])], states):
            return taken
        opened |= {id(call) for call in calls if call.key[0] == wholes[0].key[0] and not call.function}


def _opens(call: Call, inside: list[Call], states: set[int]) -> bool:
    if call.function:
        return False
    if _container(call.module):
        return any(each.node in states for each in inside)
    modules = [each for each in inside if not each.function and each.node in states and not _container(each.module)]
    classes = Counter(type(each.module) for each in modules if any(True for _ in each.module.children()))
    times = Counter(id(each.module) for each in modules if any(True for _ in each.module.parameters()))
    return any(n > 1 for n in classes.values()) or any(n > 1 for n in times.values())


def _container(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _has_states(inside: list[Call], states: set[int]) -> bool:
    return sum(not call.function and call.node in states for call in inside) > 1


def _taken(calls: Sequence[Call], states: set[int], usable: set[int], opened: set[int], root: Call) -> list[Call]:
    taken: list[Call] = []
    nodes: set[int] = set()
    places = -1
    for call in calls:
        if not _seen(call, opened) or id(call) not in usable or call.node in nodes:
            continue
        if call.function:
            take = call.node in states and call.kind in COUNTED and not call.absorbed
        elif id(call) in opened:
            take = call.node in states and (call is root or not any(_within(each, call) for each in taken[-1:]))
        else:
            off = any(True for _ in call.module.children()) and places not in (-1, _places(call)) and not _sizes(call)
            take = call.node in states or off
        if take or call is root:
            taken.append(call)
            nodes.add(call.node)
            places = _places(call) if call.node in states else places
    return taken


def _seen(call: Call, opened: set[int]) -> bool:
    """Whether all modules around it are opened."""
    return all(id(above) in opened for above in call.around)


def _within(call: Call, other: Call) -> bool:
    return call.node == other.node and any(above is other for above in call.around)


def _places(call: Call) -> int:
    """Numbers per unit and sample."""
    own = call.own
    if own is None or own.unit is None or own.sample is None or call.shape is None:
        return -1
    left = [n for n, unit, sample in zip(call.shape, own.unit.shape, own.sample.shape, strict=True) if unit == sample == 1]
    return int(torch.Size(left).numel())


def _sizes(call: Call) -> bool:
    return _places(call) in (-1, 1)
