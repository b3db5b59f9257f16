"""Slow, obvious, independent implementations. Nothing here imports flowplane."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

import numpy as np
import torch


def entropy(masses) -> float:
    """Bits."""
    return -sum(p * math.log2(p) for p in masses if p > 0)


def bin_of(value: float, edges) -> int:
    """Half-open bins, the last closed; values outside go to the end bins."""
    for k in range(len(edges) - 1, 0, -1):
        if value >= edges[k]:
            return min(k, len(edges) - 2)
    return 0


def published_bin(value: float) -> int:
    """29 bins between 30 edges from −1 to 1, and one of its own for exactly 1."""
    edges = np.linspace(-1, 1, 30)
    return 29 if value >= 1 else bin_of(value, edges)


def binned_information(layer, labels, *, place, inputs=None, conditional=None, probability=None):
    """I(X;T), I(T;Y), H(T) in bits from dictionaries of masses, one sample at a time.

    `place(value, unit)` gives the bin of a value.
    """
    n = len(layer)
    p = [1 / n] * n if probability is None else list(probability)
    p_t, p_x, p_xt, p_ty, p_y = (defaultdict(float) for _ in range(5))
    for s in range(n):
        t = tuple(place(float(value)) for value in layer[s])
        x = s if inputs is None else tuple(float(value) for value in inputs[s])
        rule = {int(labels[s]): 1.0} if conditional is None else dict(enumerate(conditional[s]))
        p_t[t] += p[s]
        p_x[x] += p[s]
        p_xt[x, t] += p[s]
        for y, q in rule.items():
            p_ty[t, y] += p[s] * q
            p_y[y] += p[s] * q
    h_t = entropy(p_t.values())
    i_xt = h_t + entropy(p_x.values()) - entropy(p_xt.values())
    i_ty = h_t + entropy(p_y.values()) - entropy(p_ty.values())
    return i_xt, i_ty, h_t


def fisher_yates(samples, key: int, epoch: int) -> list[int]:
    """The batch order of one epoch: Fisher–Yates with splitmix64 in Python integers."""
    mask = (1 << 64) - 1
    order = [int(sample) for sample in samples]
    state = (int(key) + epoch * 0xD1342543DE82EF95) & mask
    for i in range(len(order) - 1, 0, -1):
        state = (state + 0x9E3779B97F4A7C15) & mask
        q = state
        q = ((q ^ (q >> 30)) * 0xBF58476D1CE4E5B9) & mask
        q = ((q ^ (q >> 27)) * 0x94D049BB133111EB) & mask
        q = q ^ (q >> 31)
        j = ((q >> 32) * (i + 1)) >> 32
        order[i], order[j] = order[j], order[i]
    return order


FUNCTIONS = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "linear": lambda z: z}


class PlainNetwork:
    """One network in float64 with autograd and torch's own optimisers."""

    def __init__(self, packed, sizes, activation):
        self.activation = activation
        self.matrices, self.biases = [], []
        start = 0
        for inputs, outputs in itertools.pairwise(sizes):
            block = np.asarray(packed[start : start + inputs * outputs], dtype=float).reshape(outputs, inputs)
            start += inputs * outputs
            bias = np.asarray(packed[start : start + outputs], dtype=float)
            start += outputs
            self.matrices.append(torch.tensor(block, requires_grad=True))
            self.biases.append(torch.tensor(bias, requires_grad=True))
        assert start == len(packed)

    def parameters(self):
        return [p for pair in zip(self.matrices, self.biases, strict=True) for p in pair]

    def packed(self):
        return np.concatenate([p.detach().numpy().ravel() for p in self.parameters()])

    def logits(self, inputs):
        h = torch.as_tensor(inputs, dtype=torch.float64)
        for depth, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True), start=1):
            h = h @ matrix.T + bias
            if depth < len(self.matrices):
                h = FUNCTIONS[self.activation](h)
        return h

    def layers(self, inputs):
        """Every layer's outputs, the softmax last."""
        outputs = []
        h = torch.as_tensor(inputs, dtype=torch.float64)
        for depth, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True), start=1):
            h = h @ matrix.T + bias
            h = torch.softmax(h, 1) if depth == len(self.matrices) else FUNCTIONS[self.activation](h)
            outputs.append(h.detach().numpy())
        return outputs

    def loss(self, inputs, labels):
        return torch.nn.functional.cross_entropy(self.logits(inputs), torch.as_tensor(labels))

    def metrics(self, inputs, labels):
        with torch.no_grad():
            right = (self.logits(inputs).argmax(1) == torch.as_tensor(labels)).double().mean()
            return float(self.loss(inputs, labels)), float(right)


def train_plainly(
    packed, sizes, activation, inputs, labels, train, key, *, epochs, batch, drop_last, optimizer, rate, momentum
):
    """Weights after training, losses after each epoch, and the mini-batch gradients of the last epoch (list of lists)."""
    network = PlainNetwork(packed, sizes, activation)
    if optimizer == "adam":
        chosen = torch.optim.Adam(network.parameters(), lr=rate)
    else:
        chosen = torch.optim.SGD(network.parameters(), lr=rate, momentum=momentum)
    size = min(batch, len(train))
    losses, gradients = [], []
    for epoch in range(1, epochs + 1):
        order = fisher_yates(train, key, epoch)
        gradients = []
        for first in range(0, len(order), size):
            samples = order[first : first + size]
            if drop_last and len(samples) < size:
                break
            chosen.zero_grad()
            network.loss(inputs[samples], labels[samples]).backward()
            gradients.append([p.grad.numpy().copy().ravel() for p in network.parameters()])
            chosen.step()
        losses.append(network.metrics(inputs[train], labels[train])[0])
    return network, losses, gradients


def log_normal(x, mean, covariance) -> float:
    """log N(x; mean, covariance) of one point, by Gaussian elimination."""
    apart = np.asarray(x, dtype=float) - mean
    determinant = np.linalg.det(np.asarray(covariance, dtype=float))
    return -0.5 * (apart @ np.linalg.solve(covariance, apart) + math.log(determinant) + len(apart) * math.log(2 * math.pi))


def log_mixture(points, weights, means, covariances) -> np.ndarray:
    """log Σ_k w_k N(x; μ_k, Σ_k), one point and one component at a time."""
    answers = []
    for x in points:
        logs = [math.log(w) + log_normal(x, m, c) for w, m, c in zip(weights, means, covariances, strict=True)]
        answers.append(max(logs) + math.log(sum(math.exp(value - max(logs)) for value in logs)))
    return np.array(answers)


def numerical_gradient(function, points, step=1e-3) -> np.ndarray:
    """∇function at each point, by central differences of fourth order, one coordinate at a time."""
    points = np.asarray(points, dtype=float)
    gradient = np.empty_like(points)
    for i in range(points.shape[1]):
        e = step * np.eye(points.shape[1])[i]
        near = function(points + e) - function(points - e)
        far = function(points + 2 * e) - function(points - 2 * e)
        gradient[:, i] = (8 * near - far) / (12 * step)
    return gradient


def posterior_moments(query, points, covariance, weights=None):
    """E[x_j | x̃], Cov[x_j | x̃] and the third central moment, x_j one of `points` and x̃ = x_j + N(0, covariance)."""
    logs = np.array([log_normal(query, point, covariance) for point in points])
    shares = np.exp(logs - logs.max()) * (1.0 if weights is None else np.asarray(weights))
    shares = shares / shares.sum()
    mean = sum(share * point for share, point in zip(shares, points, strict=True))
    apart = [point - mean for point in points]
    spread = sum(share * np.multiply.outer(a, a) for share, a in zip(shares, apart, strict=True))
    third = sum(share * np.multiply.outer(np.multiply.outer(a, a), a) for share, a in zip(shares, apart, strict=True))
    return mean, spread, third


def best_assignment(x, y) -> float:
    """min over all permutations of the mean squared distance between x_i and y_π(i)."""
    n = len(x)
    return (
        min(
            sum(float(np.sum((x[i] - y[j]) ** 2)) for i, j in enumerate(order)) for order in itertools.permutations(range(n))
        )
        / n
    )


def gaussian_wasserstein(mean, covariance, other_mean, other_covariance) -> float:
    """W_2 of two Gaussians from a square root of the product of the covariances, which need not be symmetric."""
    from scipy.linalg import sqrtm

    cross = np.trace(sqrtm(np.asarray(covariance) @ np.asarray(other_covariance))).real
    apart = np.sum((np.asarray(mean) - other_mean) ** 2)
    return math.sqrt(max(0.0, apart + np.trace(covariance) + np.trace(other_covariance) - 2 * cross))


def symmetric_root(matrix):
    """The symmetric square root of a symmetric positive definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(np.sqrt(values)) @ vectors.T


def gaussian_singular_time(covariance, noise) -> float:
    """Half the least eigenvalue of D^{−1/2} Σ D^{−1/2}."""
    root = np.linalg.inv(symmetric_root(noise))
    return float(np.linalg.eigvalsh(root @ covariance @ root)[0]) / 2


def gaussian_denoiser(covariance, noise, time, layers):
    """The matrix of the denoising flow of N(0, Σ) for noise N(0, tD), from docs/papers.md §A6 in the coordinates
    D^{−1/2}x.
    """
    root = symmetric_root(noise)
    white = np.linalg.inv(root)
    sigma = white @ covariance @ white
    identity = np.eye(len(sigma))
    if math.isinf(layers):
        matrix = symmetric_root(identity - 2 * time * np.linalg.inv(sigma))
    else:
        matrix = identity
        for _ in range(layers):
            step = np.linalg.inv(identity + time / layers * np.linalg.inv(sigma))
            matrix, sigma = step @ matrix, step @ sigma @ step
    return root @ matrix @ white


def gaussian_entropy(covariance) -> float:
    """Nats."""
    return 0.5 * math.log(np.linalg.det(2 * math.pi * math.e * covariance))


def gaussian_log_prob(x, mean, covariance):
    """Nats, one point at a time."""
    inverse, constant = np.linalg.inv(covariance), -0.5 * math.log(np.linalg.det(2 * math.pi * covariance))
    return np.array([constant - 0.5 * (point - mean) @ inverse @ (point - mean) for point in x])


def mixture_posterior_mean(x, weights, means, covariances, noise):
    """E[x | x̃] of a mixture with Gaussian noise: each component's own posterior mean, shared out by Bayes' rule."""
    answers = []
    for point in x:
        logs, own = [], []
        for w, mean, covariance in zip(weights, means, covariances, strict=True):
            logs.append(math.log(w) + gaussian_log_prob([point], mean, covariance + noise)[0])
            own.append(mean + covariance @ np.linalg.inv(covariance + noise) @ (point - mean))
        shares = np.exp(np.array(logs) - max(logs))
        answers.append(shares @ np.array(own) / shares.sum())
    return np.array(answers)


def softmax_denoiser(x, points, noise):
    """Σ softmax_j(−(x − x_j)ᵀ C⁻¹ (x − x_j)/2) x_j, one point at a time."""
    inverse = np.linalg.inv(noise)
    answers = []
    for point in x:
        logits = np.array([-0.5 * (point - other) @ inverse @ (point - other) for other in points])
        shares = np.exp(logits - logits.max())
        answers.append(shares @ points / shares.sum())
    return np.array(answers)


def log_det_by_differences(function, x, step=1e-5):
    """log |det| of the Jacobian by central differences."""
    columns = [(function(x + step * unit) - function(x - step * unit)) / (2 * step) for unit in np.eye(x.shape[1])]
    return np.linalg.slogdet(np.stack(columns, -1))[1]


def porous_medium(density, spacing, alpha, time):
    """∂p = Δp^α in one dimension by explicit finite differences, with zero at the ends."""
    p, spent = density.copy(), 0.0
    while spent < time:
        step = min(0.2 * spacing**2 / (alpha * (p ** (alpha - 1)).max()), time - spent)
        q = p**alpha
        p[1:-1] += step * (q[2:] - 2 * q[1:-1] + q[:-2]) / spacing**2
        spent += step
    return p
