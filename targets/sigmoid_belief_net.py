"""A sigmoid belief net with one or two layers of binary hidden units, given one binary vector (Neal 1992).

    P(u = 1 | parents) = sigmoid(bias_u + sum over parents of weight_up * parent)

Units of the top layer are parents of those of the hidden layer, and these of the visible ones. Weights and biases are
drawn from N(0, weight_sd) and N(0, 1), and the visible vector from the model. Hidden units that explain the same
visible ones compete, so that the posterior does not factorise. Soft indicators enter as the units' values.
"""

import math

import numpy as np

from targets.discrete import DiscreteModel
from targets.kernel import data_matrix, density, helper, lean_kernel
from targets.options import require

TOP, HIDDEN = 0, 1  # columns of the first row: how many units
BIAS, VALUE, WEIGHTS = 0, 1, 2  # columns of the row of a unit, the visible one's value and the first of its weights


@helper
def softplus(a):  # type: ignore[no-untyped-def]
    """log(1 + exp(a))."""
    return max(a, 0.0) + math.log1p(math.exp(-abs(a)))


@lean_kernel
def log_joint_and_gradient(x, gradient, data):  # type: ignore[no-untyped-def]
    """The log joint of units x[1], x[3], ... (top layer, then hidden layer) and the visible values."""
    top, hidden = int(data[0, TOP]), int(data[0, HIDDEN])
    value = 0.0
    for i in range(x.shape[0]):
        gradient[i] = 0.0
    for row in range(1, data.shape[0]):
        unit = row - 1
        first, parents = 0, 0
        if unit >= top + hidden:
            first, parents = top, hidden
        elif unit >= top:
            parents = top
        level = data[row, BIAS]
        for j in range(parents):
            level += data[row, WEIGHTS + j] * x[2 * (first + j) + 1]
        on = data[row, VALUE]
        if unit < top + hidden:
            on = x[2 * unit + 1]
            gradient[2 * unit + 1] += level
        value += on * level - softplus(level)
        surprise = on - 1.0 / (1.0 + math.exp(-level))
        for j in range(parents):
            gradient[2 * (first + j) + 1] += data[row, WEIGHTS + j] * surprise
    return value


@density
def log_joint(x, data):  # type: ignore[no-untyped-def]
    """As `log_joint_and_gradient`, without the gradient."""
    top, hidden = int(data[0, TOP]), int(data[0, HIDDEN])
    value = 0.0
    for row in range(1, data.shape[0]):
        unit = row - 1
        first, parents = 0, 0
        if unit >= top + hidden:
            first, parents = top, hidden
        elif unit >= top:
            parents = top
        level = data[row, BIAS]
        for j in range(parents):
            level += data[row, WEIGHTS + j] * x[2 * (first + j) + 1]
        on = x[2 * unit + 1] if unit < top + hidden else data[row, VALUE]
        value += on * level - softplus(level)
    return value


def sigmoid_belief_net(
    *, top: int = 3, hidden: int = 7, visible: int = 12, weight_sd: float = 2.0, seed: int = 0
) -> DiscreteModel:
    """The posterior of the hidden units of a simulated net: top + hidden sites of two values each.

    `top=0` leaves one hidden layer.
    """
    for name, value, least in (("top", top, 0), ("hidden", hidden, 1), ("visible", visible, 1), ("seed", seed, 0)):
        require(value >= least, f"sigmoid_belief_net: {name}={value} is not accepted; it takes {least} or more")
    require(
        0 < weight_sd < math.inf,
        f"sigmoid_belief_net: weight_sd={weight_sd:g} is not accepted; it takes a positive number",
    )
    rng = np.random.default_rng(seed)
    units = top + hidden + visible
    data = np.zeros((1 + units, max(2, WEIGHTS + max(top, hidden))))
    data[0, :2] = top, hidden
    values = np.zeros(units)
    for unit in range(units):
        first, parents = (0, 0) if unit < top else (0, top) if unit < top + hidden else (top, hidden)
        row = data[1 + unit]
        row[BIAS] = rng.normal()
        row[WEIGHTS : WEIGHTS + parents] = rng.normal(scale=weight_sd, size=parents)
        level = row[BIAS] + row[WEIGHTS : WEIGHTS + parents] @ values[first : first + parents]
        values[unit] = rng.random() < 0.5 * (1.0 + math.tanh(0.5 * level))
    data[1 + top + hidden :, VALUE] = values[top + hidden :]
    names = [f"top[{i + 1}]" for i in range(top)] + [f"hidden[{i + 1}]" for i in range(hidden)]
    return DiscreteModel(top + hidden, 2, log_joint_and_gradient, log_joint, data_matrix(data), tuple(names))
