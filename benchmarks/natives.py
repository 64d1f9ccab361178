"""What a user would write without act_ext: the native op of each activation, or the composition where there is none."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def _swiglu_clamped(gate: Tensor, up: Tensor, alpha: float = 1.702, limit: float = 7.0) -> Tensor:
    gate, up = gate.clamp(max=limit), up.clamp(-limit, limit)
    return gate * torch.sigmoid(alpha * gate) * (up + 1)


def _pelu(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    a, b = a[:, None], b[:, None]
    return torch.where(x > 0, a / b * x, a * torch.expm1(x.clamp(max=0) / b))


def _acon_c(x: Tensor, p1: Tensor, p2: Tensor, beta: Tensor) -> Tensor:
    p2 = p2[:, None]
    dpx = (p1[:, None] - p2) * x
    return dpx * torch.sigmoid(beta[:, None] * dpx) + p2 * x


def _xielu(x: Tensor, alpha_p: Tensor, alpha_n: Tensor, beta: float = 0.5, eps: float = -1e-6) -> Tensor:
    below = (torch.expm1(x.clamp(max=eps)) - x) * alpha_n[:, None]
    return torch.where(x > 0, alpha_p[:, None] * x * x, below) + beta * x


def _softexponential(x: Tensor, alpha: float = 1.0) -> Tensor:
    if alpha == 0:
        return torch.clone(x)
    if alpha > 0:
        return torch.expm1(alpha * x) / alpha + alpha
    return torch.log1p(-alpha * (x + alpha)) / -alpha


def _rrelu(x: Tensor, training: bool) -> Tensor:
    wide = x.float() if x.dtype == torch.float16 and x.is_cpu else x  # torch has no float16 here
    return F.rrelu(wide, training=training).to(x.dtype)


NATIVE: dict[str, Callable[..., Tensor]] = {
    "identity": torch.clone,
    "binary_step": lambda x: (x >= 0).to(x.dtype),
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "threshold": F.threshold,
    "hardtanh": F.hardtanh,
    "softshrink": F.softshrink,
    "hardshrink": F.hardshrink,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "relu_squared": lambda x: torch.square(F.relu(x)),
    "elu": F.elu,
    "selu": F.selu,
    "celu": F.celu,
    "sigmoid": torch.sigmoid,
    "logsigmoid": F.logsigmoid,
    "tanh": torch.tanh,
    "tanhshrink": F.tanhshrink,
    "softsign": F.softsign,
    "softplus": F.softplus,
    "silu": F.silu,
    "swish": lambda x, beta=1.0: x * torch.sigmoid(beta * x),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "mish": F.mish,
    "hard_mish": lambda x: 0.5 * x * (x + 2).clamp(0, 2),
    "squareplus": lambda x, b=4.0: 0.5 * (x + torch.sqrt(x * x + b)),
    "isru": lambda x, alpha=1.0: x / torch.sqrt(1 + alpha * x * x),
    "isrlu": lambda x, alpha=1.0: torch.where(x < 0, x / torch.sqrt(1 + alpha * x * x), x),
    "lisht": lambda x: x * torch.tanh(x),
    "tanhexp": lambda x: x * torch.tanh(torch.exp(x)),
    "smish": lambda x: x * torch.tanh(torch.log1p(torch.sigmoid(x))),
    "logish": lambda x: x * torch.log1p(torch.sigmoid(x)),
    "gish": lambda x: x * torch.log(2 - torch.exp(-torch.exp(x))),
    # For inputs of shape (N, C, L) and a parameter for each channel.
    "prelu": F.prelu,
    "learned_swish": lambda x, beta: x * torch.sigmoid(beta[:, None] * x),
    "pelu": _pelu,
    "acon_c": _acon_c,
    "xielu": _xielu,
    "star_relu": lambda x, scale, bias: scale[:, None] * F.relu(x) ** 2 + bias[:, None],
    "dyt": lambda x, alpha, weight, bias: torch.tanh(alpha * x) * weight + bias,
    "phish": lambda x: x * torch.tanh(F.gelu(x)),
    "nlrelu": lambda x, beta=1.0: torch.log1p(beta * F.relu(x)),
    "softexponential": _softexponential,
    "serf": lambda x: x * torch.erf(F.softplus(x)),
    "sine": lambda x, omega=1.0: torch.sin(x if omega == 1 else omega * x),
    "snake": lambda x, alpha: x + torch.sin(alpha[:, None] * x) ** 2 / alpha[:, None],
    "snakebeta": lambda x, alpha, beta: x + torch.sin(alpha[:, None] * x) ** 2 / beta[:, None],
    "siglu": lambda gate, up: torch.sigmoid(gate) * up,
    "swiglu": lambda gate, up: F.silu(gate) * up,
    "geglu": lambda gate, up: F.gelu(gate) * up,
    "geglu_tanh": lambda gate, up: F.gelu(gate, approximate="tanh") * up,
    "quick_geglu": lambda gate, up: gate * torch.sigmoid(1.702 * gate) * up,
    "reglu": lambda gate, up: F.relu(gate) * up,
    "seglu": lambda gate, up: F.selu(gate) * up,
    "bilinear_glu": torch.mul,
    "swiglu_clamped": _swiglu_clamped,
    "rrelu": _rrelu,
    "softmax": F.softmax,
    "softmin": F.softmin,
    "log_softmax": F.log_softmax,
    "maxout": lambda x, num_pieces: x.unflatten(1, (-1, num_pieces)).max(2).values,
}

# The ops whose arithmetic, not memory, sets their speed in torch.
TRANSCENDENTAL = [
    *("elu", "selu", "celu", "sigmoid", "logsigmoid", "tanh", "tanhshrink", "softplus", "silu", "gelu", "gelu_tanh"),
    "mish",
]

# Arguments that have no default, or not the one to measure.
REQUIRED = {"threshold": {"threshold": 0.1, "value": 0.0}, "rrelu": {"training": True}}

# Measured where they are named.
ON_REQUEST = ["learned_swish", "pelu", "acon_c", "xielu", "star_relu", "dyt", "snake", "snakebeta"]
