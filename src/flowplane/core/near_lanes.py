"""Several points compared with others at once in float64, each in a lane of a processor's vectors: no lane branches.

LLVM does not find these vectors in a loop by itself; every processor has some vectors.
Numba's cache does not follow this file: after changing it, touch the files of the kernels that call it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["LANES", "TOGETHER", "count_nearer", "keep_least", "keep_nearest"]

#: Points that are handled together.
LANES = 8
#: Others that they are compared with in one pass over what is kept.
TOGETHER = 4

_DOUBLES = ir.VectorType(ir.DoubleType(), LANES)
_INTEGERS = ir.VectorType(ir.IntType(64), LANES)


@intrinsic
def keep_nearest(typing_context, x, t, start, stop, here, nearest):  # type: ignore[no-untyped-def]
    """Compares points start … stop − 1 of the plane with those of `here`, a lane each: first all x, then all t.

    `nearest` holds the least distances that each lane has seen in ascending order, a row of lanes for each rank.
    """
    signature = types.void(x, t, types.int64, types.int64, here, nearest)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        x, t, here, nearest = (_data(context, builder, signature, arguments, place) for place in (0, 1, 4, 5))
        start, stop = arguments[2:4]
        here_x, here_t = (_row(builder, here, context.get_constant(types.intp, place)) for place in (0, 1))
        ranks = builder.sdiv(_size(context, builder, signature, arguments, 5), ir.Constant(start.type, LANES))
        with cgutils.for_range_slice(builder, start, stop, ir.Constant(start.type, TOGETHER)) as (first, _):
            found = []
            for more in range(TOGETHER):
                j = builder.add(first, ir.Constant(first.type, more))
                there = builder.icmp_signed("<", j, stop)
                j = builder.select(there, j, first)
                in_x = builder.select(there, builder.load(builder.gep(x, [j])), ir.Constant(ir.DoubleType(), float("inf")))
                in_t = builder.load(builder.gep(t, [j]))
                apart = [_apart(builder, _all(builder, value), own) for value, own in ((in_x, here_x), (in_t, here_t))]
                found.append(cgutils.alloca_once_value(builder, _sorted(builder, *apart)[1]))
            _keep(builder, found, nearest, ranks)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def keep_least(typing_context, values, rows, least):  # type: ignore[no-untyped-def]
    """Deals the values to the lanes, `TOGETHER` to each in a row; `least` holds the least of each lane as `nearest` does."""
    signature = types.void(values, types.int64, least)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        values, least = (_data(context, builder, signature, arguments, place) for place in (0, 2))
        rows = builder.mul(arguments[1], ir.Constant(arguments[1].type, TOGETHER))
        ranks = builder.sdiv(_size(context, builder, signature, arguments, 2), ir.Constant(rows.type, LANES))
        zero = ir.Constant(rows.type, 0)
        with cgutils.for_range_slice(builder, zero, rows, ir.Constant(rows.type, TOGETHER)) as (first, _):
            found = []
            for more in range(TOGETHER):
                row = builder.add(first, ir.Constant(first.type, more))
                found.append(cgutils.alloca_once_value(builder, _row(builder, values, row)))
            _keep(builder, found, least, ranks)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def count_nearer(typing_context, line, start, stop, here, bounds, counts):  # type: ignore[no-untyped-def]
    """Adds to each lane's count how many of start … stop − 1 lie strictly nearer to it than its bound."""
    signature = types.void(line, types.int64, types.int64, here, bounds, counts)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        line, here, bounds, counts = (_data(context, builder, signature, arguments, place) for place in (0, 3, 4, 5))
        zero = context.get_constant(types.intp, 0)
        own, bound = _row(builder, here, zero), _row(builder, bounds, zero)
        place = cgutils.alloca_once_value(builder, _row(builder, counts, zero, _INTEGERS))
        start, stop = arguments[1:3]
        with cgutils.for_range_slice(builder, start, stop, ir.Constant(zero.type, 1)) as (j, _):
            apart = _apart(builder, _all(builder, builder.load(builder.gep(line, [j]))), own)
            near = builder.zext(builder.fcmp_ordered("<", apart, bound), _INTEGERS)
            builder.store(builder.add(builder.load(place), near), place)
        _store(builder, builder.load(place), counts, zero)
        return context.get_dummy_value()

    return signature, generate


def _keep(builder: ir.IRBuilder, found: list[ir.Value], kept: ir.Value, ranks: ir.Value) -> None:
    """Merges what was found, overwriting it, into the ascending ranks of what is kept."""
    with cgutils.for_range(builder, ranks) as rank:
        row = _row(builder, kept, rank.index)
        for place in found:
            row, further = _sorted(builder, builder.load(place), row)
            builder.store(further, place)
        _store(builder, row, kept, rank.index)


def _data(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any, place: int) -> ir.Value:
    return context.make_array(signature.args[place])(context, builder, arguments[place]).data


def _size(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any, place: int) -> ir.Value:
    return context.make_array(signature.args[place])(context, builder, arguments[place]).nitems


def _at(builder: ir.IRBuilder, data: ir.Value, row: ir.Value, kind: ir.Type) -> ir.Value:
    start = builder.gep(data, [builder.mul(row, ir.Constant(row.type, LANES))])
    return builder.bitcast(start, kind.as_pointer())


def _row(builder: ir.IRBuilder, data: ir.Value, row: ir.Value, kind: ir.Type = _DOUBLES) -> ir.Value:
    return builder.load(_at(builder, data, row, kind), align=8)


def _store(builder: ir.IRBuilder, value: ir.Value, data: ir.Value, row: ir.Value) -> None:
    builder.store(value, _at(builder, data, row, value.type), align=8)


def _all(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """One number in every lane."""
    one = builder.insert_element(ir.Constant(_DOUBLES, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    nowhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(_DOUBLES, ir.Undefined), nowhere)


def _apart(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    bits = builder.bitcast(builder.fsub(a, b), _INTEGERS)
    return builder.bitcast(builder.and_(bits, ir.Constant(_INTEGERS, [(1 << 63) - 1] * LANES)), _DOUBLES)


def _sorted(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> tuple[ir.Value, ir.Value]:
    less = builder.fcmp_ordered("<", a, b)
    return builder.select(less, a, b), builder.select(less, b, a)
