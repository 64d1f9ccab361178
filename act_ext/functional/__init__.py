"""The activations as functions, with the names, arguments and defaults of ``torch.nn.functional`` where it has them.

Every function takes a tensor of any shape and layout on the CPU or a CUDA device, is differentiable twice, and works
under ``torch.compile``, ``torch.func`` and ``torch.export``.
"""

from act_ext.functional.exponential import celu, elu, selu
from act_ext.functional.gated import gelu, gelu_tanh, mish, quick_gelu, silu, swish
from act_ext.functional.gated_units import (
    bilinear_glu,
    geglu,
    geglu_tanh,
    glu,
    quick_geglu,
    reglu,
    seglu,
    siglu,
    swiglu,
    swiglu_clamped,
)
from act_ext.functional.learned import (
    acon_c,
    dyt,
    learned_swish,
    pelu,
    prelu,
    snake,
    snakebeta,
    star_relu,
    xielu,
)
from act_ext.functional.literature import (
    gish,
    hard_mish,
    isrlu,
    isru,
    lisht,
    logish,
    phish,
    smish,
    squareplus,
    tanhexp,
)
from act_ext.functional.logarithmic import nlrelu, serf, softexponential
from act_ext.functional.maximum import maxout
from act_ext.functional.normalizing import log_softmax, softmax, softmin
from act_ext.functional.periodic import sine
from act_ext.functional.randomized import rrelu
from act_ext.functional.rectifiers import (
    binary_step,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    identity,
    leaky_relu,
    relu,
    relu6,
    relu_squared,
    softshrink,
    threshold,
)
from act_ext.functional.sigmoidal import logsigmoid, sigmoid, softplus, softsign, tanh, tanhshrink

__all__ = [
    "acon_c",
    "bilinear_glu",
    "binary_step",
    "celu",
    "dyt",
    "elu",
    "geglu",
    "geglu_tanh",
    "gelu",
    "gelu_tanh",
    "gish",
    "glu",
    "hard_mish",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "identity",
    "isrlu",
    "isru",
    "leaky_relu",
    "learned_swish",
    "lisht",
    "log_softmax",
    "logish",
    "logsigmoid",
    "maxout",
    "mish",
    "nlrelu",
    "pelu",
    "phish",
    "prelu",
    "quick_geglu",
    "quick_gelu",
    "reglu",
    "relu",
    "relu6",
    "relu_squared",
    "rrelu",
    "seglu",
    "selu",
    "serf",
    "siglu",
    "sigmoid",
    "silu",
    "sine",
    "smish",
    "snake",
    "snakebeta",
    "softexponential",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "squareplus",
    "star_relu",
    "swiglu",
    "swiglu_clamped",
    "swish",
    "tanh",
    "tanhexp",
    "tanhshrink",
    "threshold",
    "xielu",
]

# Where they are found, and not where they are written, is where documentation and pickles say they are.
for _name in __all__:
    globals()[_name].__module__ = __name__
