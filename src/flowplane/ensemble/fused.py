"""The fused training path: one replica at a time, forward, backward and optimiser in one compiled loop.

Every kernel here walks over the samples of a batch in its innermost loop, so that LLVM turns it into vector
instructions; activations and their derivatives stay in the processor's cache for the whole batch. A replica is trained
alone, by the same instructions in the same order whatever stands beside it: its weights do not depend, to the last bit,
on how many replicas there are. Compiled once by Numba (a few seconds) and cached on disk; no C compiler is needed.
"""

from __future__ import annotations

import math

import numpy as np

from flowplane.core.compiled import kernel

__all__ = ["ACTIVATION_CODES", "TILE", "epoch_orders", "evaluate_replica", "train_replica"]

ACTIVATION_CODES = {"tanh": 0, "relu": 1, "sigmoid": 2, "linear": 3}
#: Samples that go through the network together: a whole batch of §B2, the fastest of 128, 256 and 512.
TILE = 512

_TANH, _RELU, _SIGMOID, _LINEAR = 0, 1, 2, 3
_float = np.float32


#: LLVM may contract a·b + c and ignore the sign of zero, NaN and infinity.
_LOOSE = ("contract", "nsz", "nnan", "ninf")
#: Elementary functions keep the order of their operations, on which their argument reductions rely ...
_elementwise = kernel(_LOOSE)
#: ... while a sum over samples is vectorised by reordering it.
_summing = kernel((*_LOOSE, "reassoc"))


@_elementwise
def _tanh(z, scale, count):
    """z ← tanh(scale·z): the rational approximation x·P(x²)/Q(x²) of degree 13/6, within 3e-7 of tanh."""
    bound = _float(7.90531110763549805)
    for s in range(count):
        x = min(max(scale * z[s], -bound), bound)
        square = x * x
        p = _float(-2.76076847742355e-16)
        p = p * square + _float(2.00018790482477e-13)
        p = p * square + _float(-8.60467152213735e-11)
        p = p * square + _float(5.12229709037114e-08)
        p = p * square + _float(1.48572235717979e-05)
        p = p * square + _float(6.37261928875436e-04)
        p = p * square + _float(4.89352455891786e-03)
        q = _float(1.19825839466702e-06)
        q = q * square + _float(1.18534705686654e-04)
        q = q * square + _float(2.26843463243900e-03)
        q = q * square + _float(4.89352518554385e-03)
        z[s] = x * p / q


@_elementwise
def _exp(z, power, scale, count):
    """z ← exp(z) for z ≤ 0: 2ⁿ·e^r with |r| ≤ ln 2 / 2. `power` and `scale` are one buffer seen as int32 and float32."""
    for s in range(count):
        x = max(z[s], _float(-87.0))
        n = np.floor(x * _float(1.44269504088896341) + _float(0.5))
        r = x - n * _float(0.693359375)
        r = r + n * _float(2.12194440e-4)
        p = _float(1.9875691500e-4)
        p = p * r + _float(1.3981999507e-3)
        p = p * r + _float(8.3334519073e-3)
        p = p * r + _float(4.1665795894e-2)
        p = p * r + _float(1.6666665459e-1)
        p = p * r + _float(5.0000001201e-1)
        z[s] = p * r * r + r + _float(1.0)
        power[s] = (np.int32(n) + np.int32(127)) << np.int32(23)
    for s in range(count):
        z[s] = z[s] * scale[s]


@_summing
def _affine(weights, start, source, target, count):
    """target[o] ← Σ_i W[o, i]·source[i] + b[o], four inputs a pass."""
    outputs, inputs = target.shape[0], source.shape[0]
    for o in range(outputs):
        z = target[o]
        row = start + o * inputs
        bias = weights[start + outputs * inputs + o]
        i = 0
        if inputs >= 4:
            w0, w1, w2, w3 = weights[row], weights[row + 1], weights[row + 2], weights[row + 3]
            x0, x1, x2, x3 = source[0], source[1], source[2], source[3]
            for s in range(count):
                z[s] = bias + w0 * x0[s] + w1 * x1[s] + w2 * x2[s] + w3 * x3[s]
            i = 4
        else:
            for s in range(count):
                z[s] = bias
        while i + 4 <= inputs:
            w0, w1, w2, w3 = weights[row + i], weights[row + i + 1], weights[row + i + 2], weights[row + i + 3]
            x0, x1, x2, x3 = source[i], source[i + 1], source[i + 2], source[i + 3]
            for s in range(count):
                z[s] = z[s] + w0 * x0[s] + w1 * x1[s] + w2 * x2[s] + w3 * x3[s]
            i += 4
        while i < inputs:
            w0, x0 = weights[row + i], source[i]
            for s in range(count):
                z[s] = z[s] + w0 * x0[s]
            i += 1


@_summing
def _parameter_gradient(gradient, start, source, delta, count):
    """∂/∂W[o, i] += Σ_s delta[o, s]·source[i, s] and ∂/∂b[o] += Σ_s delta[o, s]."""
    outputs, inputs = delta.shape[0], source.shape[0]
    for o in range(outputs):
        d = delta[o]
        total = _float(0.0)
        for s in range(count):
            total += d[s]
        gradient[start + outputs * inputs + o] += total
        row = start + o * inputs
        i = 0
        while i + 4 <= inputs:
            x0, x1, x2, x3 = source[i], source[i + 1], source[i + 2], source[i + 3]
            g0 = g1 = g2 = g3 = _float(0.0)
            for s in range(count):
                g0 += d[s] * x0[s]
                g1 += d[s] * x1[s]
                g2 += d[s] * x2[s]
                g3 += d[s] * x3[s]
            gradient[row + i] += g0
            gradient[row + i + 1] += g1
            gradient[row + i + 2] += g2
            gradient[row + i + 3] += g3
            i += 4
        while i < inputs:
            x0 = source[i]
            g0 = _float(0.0)
            for s in range(count):
                g0 += d[s] * x0[s]
            gradient[row + i] += g0
            i += 1


@_summing
def _unit_gradient(weights, start, delta, target, count):
    """target[i] ← Σ_o W[o, i]·delta[o], four outputs a pass."""
    outputs, inputs = delta.shape[0], target.shape[0]
    for i in range(inputs):
        z = target[i]
        o = 0
        for s in range(count):
            z[s] = _float(0.0)
        while o + 4 <= outputs:
            column = start + o * inputs + i
            w0, w1 = weights[column], weights[column + inputs]
            w2, w3 = weights[column + 2 * inputs], weights[column + 3 * inputs]
            d0, d1, d2, d3 = delta[o], delta[o + 1], delta[o + 2], delta[o + 3]
            for s in range(count):
                z[s] = z[s] + w0 * d0[s] + w1 * d1[s] + w2 * d2[s] + w3 * d3[s]
            o += 4
        while o < outputs:
            w0, d0 = weights[start + o * inputs + i], delta[o]
            for s in range(count):
                z[s] = z[s] + w0 * d0[s]
            o += 1


@_elementwise
def _activate(kind, z, count):
    """z ← σ(z), in place."""
    if kind == _TANH:
        _tanh(z, _float(1.0), count)
    elif kind == _RELU:
        for s in range(count):
            z[s] = max(z[s], _float(0.0))
    elif kind == _SIGMOID:
        _tanh(z, _float(0.5), count)
        for s in range(count):
            z[s] = _float(0.5) + _float(0.5) * z[s]


@_elementwise
def _chain(kind, value, delta, count):
    """delta ← delta·σ'(z), σ' written in terms of the value σ(z)."""
    if kind == _TANH:
        for s in range(count):
            delta[s] = delta[s] * (_float(1.0) - value[s] * value[s])
    elif kind == _RELU:
        for s in range(count):
            delta[s] = delta[s] if value[s] > _float(0.0) else _float(0.0)
    elif kind == _SIGMOID:
        for s in range(count):
            delta[s] = delta[s] * (value[s] * (_float(1.0) - value[s]))


@_elementwise
def _softmax_parts(logits, top, total, power, scale, count):
    """logits ← exp(logits − max), total ← their sum over classes, top ← the maximum."""
    classes = logits.shape[0]
    for s in range(count):
        top[s] = logits[0, s]
    for c in range(1, classes):
        z = logits[c]
        for s in range(count):
            top[s] = max(top[s], z[s])
    for s in range(count):
        total[s] = _float(0.0)
    for c in range(classes):
        z = logits[c]
        for s in range(count):
            z[s] = z[s] - top[s]
        _exp(z, power, scale, count)
        for s in range(count):
            total[s] = total[s] + z[s]


@_elementwise
def _forward(weights, sizes, starts, rows, kind, values, count):
    """All layers up to the logits, in the rows of `values` (one row a unit, the inputs first)."""
    last = len(sizes) - 2
    for layer in range(last + 1):
        source = values[rows[layer] : rows[layer + 1]]
        target = values[rows[layer + 1] : rows[layer + 2]]
        _affine(weights, starts[layer], source, target, count)
        if layer < last:
            for o in range(sizes[layer + 1]):
                _activate(kind, target[o], count)


@_elementwise
def _gather(inputs, samples, first, count, values):
    for i in range(inputs.shape[0]):
        x, h = inputs[i], values[i]
        for s in range(count):
            h[s] = x[samples[first + s]]


@_elementwise
def _evaluate(weights, sizes, starts, rows, kind, inputs, labels, samples, values, work, power, scale, result):
    """Mean cross-entropy (nats) and accuracy over `samples`; `result` is left as it is where there are none."""
    n = len(samples)
    if n == 0:
        return
    logits = values[rows[len(sizes) - 1] : rows[len(sizes)]]
    loss = 0.0
    right = 0
    for first in range(0, n, TILE):
        count = min(TILE, n - first)
        _gather(inputs, samples, first, count, values)
        _forward(weights, sizes, starts, rows, kind, values, count)
        top, total, own = work[0], work[1], work[2]
        for s in range(count):
            own[s] = logits[labels[samples[first + s]], s]
        _softmax_parts(logits, top, total, power, scale, count)
        product = 1.0  # Σ log t = log Π t: one logarithm for sixteen samples
        for s in range(count):
            loss += top[s] - own[s]
            right += own[s] == top[s]
            product *= total[s]
            if s % 16 == 15:
                loss += math.log(product)
                product = 1.0
        loss += math.log(product)
    result[0] = loss / n
    result[1] = right / n


@_elementwise
def _shuffle(order, key, epoch):
    """Fisher–Yates on `order`, drawn from the stream (key, epoch): nothing is carried from one epoch to the next."""
    state = key + np.uint64(epoch) * np.uint64(0xD1342543DE82EF95)
    for i in range(len(order) - 1, 0, -1):
        state += np.uint64(0x9E3779B97F4A7C15)
        q = state
        q = (q ^ (q >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        q = (q ^ (q >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        q = q ^ (q >> np.uint64(31))
        j = np.int64(((q >> np.uint64(32)) * np.uint64(i + 1)) >> np.uint64(32))
        swap = order[i]
        order[i] = order[j]
        order[j] = swap


@_elementwise
def epoch_orders(orders, keys, epoch):
    """Each row of `orders` (replica, sample) shuffled in place for one epoch, as `train_replica` does."""
    for replica in range(len(keys)):
        _shuffle(orders[replica], keys[replica], epoch)


@_elementwise
def _optimise(weights, first, second, gradient, steps, adam, rate, momentum):
    """One step of Adam (β = 0.9, 0.999, ε = 1e-8) or of SGD with momentum (v ← μv + g, w ← w − ηv)."""
    if adam:
        b1, b2, tiny = _float(0.9), _float(0.999), _float(1e-8)
        pace = _float(rate / (1.0 - 0.9**steps))
        correction = _float(1.0 / math.sqrt(1.0 - 0.999**steps))
        for p in range(len(weights)):
            g = gradient[p]
            first[p] = b1 * first[p] + (_float(1.0) - b1) * g
            second[p] = b2 * second[p] + (_float(1.0) - b2) * g * g
            weights[p] -= pace * first[p] / (np.sqrt(second[p]) * correction + tiny)
    else:
        pace, friction = _float(rate), _float(momentum)
        for p in range(len(weights)):
            first[p] = friction * first[p] + gradient[p]
            weights[p] -= pace * first[p]


@_elementwise
def _row_starts(sizes):
    """The first row of each layer's units, the inputs first, and the number of all rows."""
    rows = np.zeros(len(sizes) + 1, np.int64)
    for layer in range(len(sizes)):
        rows[layer + 1] = rows[layer] + sizes[layer]
    return rows


@_elementwise
def train_replica(
    weights,
    first,
    second,
    sizes,
    starts,
    kind,
    adam,
    rate,
    momentum,
    inputs,
    labels,
    train,
    test,
    key,
    batch,
    drop_last,
    epoch,
    metrics,
    observe,
    total,
    square,
):
    """Train one replica in place for `len(metrics)` epochs after `epoch`, evaluating after each.

    `weights`, `first`, `second` (parameter,) float32: the packed parameters and the optimiser's moments.
    `inputs` (feature, sample) float32; `labels` (sample,); `train`, `test`: sample indices.
    `metrics` (epochs, 4): train loss, train accuracy, test loss, test accuracy, written here; the last two are left as
    they are where nothing is held out.
    `observe`: whether the last of these epochs leads to a snapshot, so that the gradients of its mini-batches and their
    squares are added to `total` and `square` (parameter,) float64.
    """
    layers = len(sizes) - 1
    rows = _row_starts(sizes)
    values = np.empty((rows[layers + 1], TILE), np.float32)
    deltas = np.empty((rows[layers + 1], TILE), np.float32)
    work = np.empty((3, TILE), np.float32)
    power = np.empty(TILE, np.int32)
    scale = power.view(np.float32)
    gradient = np.empty(len(weights), np.float32)
    order = np.empty(len(train), np.int64)
    logits = values[rows[layers] : rows[layers + 1]]
    errors = deltas[rows[layers] : rows[layers + 1]]
    n = len(train)
    size = min(batch, n)
    batches = n // size if drop_last else (n + size - 1) // size
    for e in range(len(metrics)):
        order[:] = train
        _shuffle(order, key, epoch + e + 1)
        for b in range(batches):
            stop = min((b + 1) * size, n)
            share = _float(1.0) / _float(stop - b * size)
            gradient[:] = _float(0.0)
            for tile in range(b * size, stop, TILE):
                count = min(TILE, stop - tile)
                _gather(inputs, order, tile, count, values)
                _forward(weights, sizes, starts, rows, kind, values, count)
                _softmax_parts(logits, work[0], work[1], power, scale, count)
                for c in range(sizes[layers]):
                    z, d, t = logits[c], errors[c], work[1]
                    for s in range(count):
                        d[s] = z[s] / t[s] * share
                for s in range(count):
                    errors[labels[order[tile + s]], s] -= share
                for layer in range(layers - 1, -1, -1):
                    source = values[rows[layer] : rows[layer + 1]]
                    delta = deltas[rows[layer + 1] : rows[layer + 2]]
                    _parameter_gradient(gradient, starts[layer], source, delta, count)
                    if layer > 0:
                        target = deltas[rows[layer] : rows[layer + 1]]
                        _unit_gradient(weights, starts[layer], delta, target, count)
                        for i in range(sizes[layer]):
                            _chain(kind, source[i], target[i], count)
            if observe and e == len(metrics) - 1:
                for p in range(len(weights)):
                    total[p] += gradient[p]
                    square[p] += np.float64(gradient[p]) * gradient[p]
            _optimise(weights, first, second, gradient, (epoch + e) * batches + b + 1, adam, rate, momentum)
        _evaluate(weights, sizes, starts, rows, kind, inputs, labels, train, values, work, power, scale, metrics[e, 0:2])
        _evaluate(weights, sizes, starts, rows, kind, inputs, labels, test, values, work, power, scale, metrics[e, 2:4])


@_elementwise
def evaluate_replica(weights, sizes, starts, kind, inputs, labels, train, test, metrics):
    """`metrics` (4,) of the weights as they are: what `train_replica` writes after each epoch."""
    rows = _row_starts(sizes)
    values = np.empty((rows[len(sizes)], TILE), np.float32)
    work = np.empty((3, TILE), np.float32)
    power = np.empty(TILE, np.int32)
    scale = power.view(np.float32)
    _evaluate(weights, sizes, starts, rows, kind, inputs, labels, train, values, work, power, scale, metrics[0:2])
    _evaluate(weights, sizes, starts, rows, kind, inputs, labels, test, values, work, power, scale, metrics[2:4])
