"""The activations as modules. Where ``torch.nn`` has the module, act_ext's is a subclass of it with the forward pass of
act_ext: constructor, attributes, repr, pickling and ``state_dict`` are the same, and ``isinstance`` holds.

>>> import act_ext, torch
>>> isinstance(act_ext.nn.Mish(), torch.nn.Mish)
True
"""

import torch
from torch import Tensor

from act_ext import functional as F


class Identity(torch.nn.Identity):
    """Returns its input, the same tensor."""


class ReLU(torch.nn.ReLU):
    """See :func:`act_ext.functional.relu`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input, self.inplace)


class ReLU6(torch.nn.ReLU6):
    """See :func:`act_ext.functional.relu6`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.relu6(input, self.inplace)


class LeakyReLU(torch.nn.LeakyReLU):
    """See :func:`act_ext.functional.leaky_relu`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope, self.inplace)


class Threshold(torch.nn.Threshold):
    """See :func:`act_ext.functional.threshold`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.threshold(input, self.threshold, self.value, self.inplace)


class Hardtanh(torch.nn.Hardtanh):
    """See :func:`act_ext.functional.hardtanh`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)


class Softshrink(torch.nn.Softshrink):
    """See :func:`act_ext.functional.softshrink`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softshrink(input, self.lambd)


class Hardshrink(torch.nn.Hardshrink):
    """See :func:`act_ext.functional.hardshrink`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.hardshrink(input, self.lambd)


class Hardsigmoid(torch.nn.Hardsigmoid):
    """See :func:`act_ext.functional.hardsigmoid`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.hardsigmoid(input, self.inplace)


class Hardswish(torch.nn.Hardswish):
    """See :func:`act_ext.functional.hardswish`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.hardswish(input, self.inplace)


class ELU(torch.nn.ELU):
    """See :func:`act_ext.functional.elu`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha, self.inplace)


class SELU(torch.nn.SELU):
    """See :func:`act_ext.functional.selu`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.selu(input, self.inplace)


class CELU(torch.nn.CELU):
    """See :func:`act_ext.functional.celu`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.celu(input, self.alpha, self.inplace)


class Sigmoid(torch.nn.Sigmoid):
    """See :func:`act_ext.functional.sigmoid`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class LogSigmoid(torch.nn.LogSigmoid):
    """See :func:`act_ext.functional.logsigmoid`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.logsigmoid(input)


class Tanh(torch.nn.Tanh):
    """See :func:`act_ext.functional.tanh`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


class Tanhshrink(torch.nn.Tanhshrink):
    """See :func:`act_ext.functional.tanhshrink`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanhshrink(input)


class Softsign(torch.nn.Softsign):
    """See :func:`act_ext.functional.softsign`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softsign(input)


class Softplus(torch.nn.Softplus):
    """See :func:`act_ext.functional.softplus`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)


class SiLU(torch.nn.SiLU):
    """See :func:`act_ext.functional.silu`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(input, self.inplace)


class GELU(torch.nn.GELU):
    """See :func:`act_ext.functional.gelu`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, approximate=self.approximate)


class Mish(torch.nn.Mish):
    """See :func:`act_ext.functional.mish`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.mish(input, self.inplace)


# What torch.nn does not have.


class BinaryStep(torch.nn.Module):
    """See :func:`act_ext.functional.binary_step`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.binary_step(input)


class GELUTanh(torch.nn.Module):
    """See :func:`act_ext.functional.gelu_tanh`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu_tanh(input)


class _InPlace(torch.nn.Module):
    """What the modules below share with those of torch.nn: an ``inplace`` flag that the repr shows when it is set."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLUSquared(_InPlace):
    """See :func:`act_ext.functional.relu_squared`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.relu_squared(input, self.inplace)


class QuickGELU(_InPlace):
    """See :func:`act_ext.functional.quick_gelu`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.quick_gelu(input, self.inplace)


class Swish(_InPlace):
    """See :func:`act_ext.functional.swish`."""

    def __init__(self, beta: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.beta = beta

    def extra_repr(self) -> str:
        return ", ".join(filter(None, [f"beta={self.beta}", super().extra_repr()]))

    def forward(self, input: Tensor) -> Tensor:
        return F.swish(input, self.beta, self.inplace)


class HardMish(_InPlace):
    """See :func:`act_ext.functional.hard_mish`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.hard_mish(input, self.inplace)


class Squareplus(_InPlace):
    """See :func:`act_ext.functional.squareplus`."""

    def __init__(self, b: float = 4.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.b = b

    def extra_repr(self) -> str:
        return ", ".join(filter(None, [f"b={self.b}", super().extra_repr()]))

    def forward(self, input: Tensor) -> Tensor:
        return F.squareplus(input, self.b, self.inplace)


class ISRU(_InPlace):
    """See :func:`act_ext.functional.isru`."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def extra_repr(self) -> str:
        return ", ".join(filter(None, [f"alpha={self.alpha}", super().extra_repr()]))

    def forward(self, input: Tensor) -> Tensor:
        return F.isru(input, self.alpha, self.inplace)


class ISRLU(_InPlace):
    """See :func:`act_ext.functional.isrlu`."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def extra_repr(self) -> str:
        return ", ".join(filter(None, [f"alpha={self.alpha}", super().extra_repr()]))

    def forward(self, input: Tensor) -> Tensor:
        return F.isrlu(input, self.alpha, self.inplace)


class LiSHT(_InPlace):
    """See :func:`act_ext.functional.lisht`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.lisht(input, self.inplace)


class TanhExp(_InPlace):
    """See :func:`act_ext.functional.tanhexp`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanhexp(input, self.inplace)


class Smish(_InPlace):
    """See :func:`act_ext.functional.smish`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.smish(input, self.inplace)


class Logish(_InPlace):
    """See :func:`act_ext.functional.logish`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.logish(input, self.inplace)


class Gish(_InPlace):
    """See :func:`act_ext.functional.gish`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.gish(input, self.inplace)


class Phish(_InPlace):
    """See :func:`act_ext.functional.phish`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.phish(input, self.inplace)


class NLReLU(_InPlace):
    """See :func:`act_ext.functional.nlrelu`."""

    def __init__(self, beta: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.beta = beta

    def extra_repr(self) -> str:
        return ", ".join(filter(None, [f"beta={self.beta}", super().extra_repr()]))

    def forward(self, input: Tensor) -> Tensor:
        return F.nlrelu(input, self.beta, self.inplace)


class SoftExponential(_InPlace):
    """See :func:`act_ext.functional.softexponential`."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def extra_repr(self) -> str:
        return ", ".join(filter(None, [f"alpha={self.alpha}", super().extra_repr()]))

    def forward(self, input: Tensor) -> Tensor:
        return F.softexponential(input, self.alpha, self.inplace)


class Serf(_InPlace):
    """See :func:`act_ext.functional.serf`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.serf(input, self.inplace)


# The gated units.


class GLU(torch.nn.GLU):
    """See :func:`act_ext.functional.glu`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)


class _GatedFeedForward(torch.nn.Module):
    """A feed-forward block: ``down_proj(unit(gate_proj(x), up_proj(x)))``, with the layers' names that Llama gave them.

    Args:
        in_features: the size of the input's last dimension.
        hidden_features: that of the gate and of the other half.
        out_features: that of the output; in_features where it is None.
        bias: whether the three layers have one.
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        out_features: int | None = None,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        out_features = in_features if out_features is None else out_features
        self.gate_proj = torch.nn.Linear(in_features, hidden_features, bias, device, dtype)
        self.up_proj = torch.nn.Linear(in_features, hidden_features, bias, device, dtype)
        self.down_proj = torch.nn.Linear(hidden_features, out_features, bias, device, dtype)

    def unit(self, gate: Tensor, up: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, input: Tensor) -> Tensor:
        return self.down_proj(self.unit(self.gate_proj(input), self.up_proj(input)))


class SiGLU(_GatedFeedForward):
    __doc__ = f"{_GatedFeedForward.__doc__}\n    The unit is :func:`act_ext.functional.siglu`.\n    "

    def unit(self, gate: Tensor, up: Tensor) -> Tensor:
        return F.siglu(gate, up)


class SwiGLU(_GatedFeedForward):
    __doc__ = f"{_GatedFeedForward.__doc__}\n    The unit is :func:`act_ext.functional.swiglu`.\n    "

    def unit(self, gate: Tensor, up: Tensor) -> Tensor:
        return F.swiglu(gate, up)


class GEGLU(_GatedFeedForward):
    __doc__ = f"{_GatedFeedForward.__doc__}\n    The unit is :func:`act_ext.functional.geglu`.\n    "

    def unit(self, gate: Tensor, up: Tensor) -> Tensor:
        return F.geglu(gate, up)


class GEGLUTanh(_GatedFeedForward):
    __doc__ = f"{_GatedFeedForward.__doc__}\n    The unit is :func:`act_ext.functional.geglu_tanh`.\n    "

    def unit(self, gate: Tensor, up: Tensor) -> Tensor:
        return F.geglu_tanh(gate, up)


class QuickGEGLU(_GatedFeedForward):
    __doc__ = f"{_GatedFeedForward.__doc__}\n    The unit is :func:`act_ext.functional.quick_geglu`.\n    "

    def unit(self, gate: Tensor, up: Tensor) -> Tensor:
        return F.quick_geglu(gate, up)


class ReGLU(_GatedFeedForward):
    __doc__ = f"{_GatedFeedForward.__doc__}\n    The unit is :func:`act_ext.functional.reglu`.\n    "

    def unit(self, gate: Tensor, up: Tensor) -> Tensor:
        return F.reglu(gate, up)


class SeGLU(_GatedFeedForward):
    __doc__ = f"{_GatedFeedForward.__doc__}\n    The unit is :func:`act_ext.functional.seglu`.\n    "

    def unit(self, gate: Tensor, up: Tensor) -> Tensor:
        return F.seglu(gate, up)


class BilinearGLU(_GatedFeedForward):
    __doc__ = f"{_GatedFeedForward.__doc__}\n    The unit is :func:`act_ext.functional.bilinear_glu`.\n    "

    def unit(self, gate: Tensor, up: Tensor) -> Tensor:
        return F.bilinear_glu(gate, up)


class SwiGLUClamped(_GatedFeedForward):
    __doc__ = f"{_GatedFeedForward.__doc__}\n    The unit is :func:`act_ext.functional.swiglu_clamped`.\n    "

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        out_features: int | None = None,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        alpha: float = 1.702,
        limit: float = 7.0,
    ) -> None:
        super().__init__(in_features, hidden_features, out_features, bias, device, dtype)
        self.alpha, self.limit = alpha, limit

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}, limit={self.limit}"

    def unit(self, gate: Tensor, up: Tensor) -> Tensor:
        return F.swiglu_clamped(gate, up, self.alpha, self.limit)
