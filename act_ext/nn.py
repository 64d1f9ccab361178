"""The activations as modules. Where ``torch.nn`` has the module, act_ext's is a subclass of it with the forward pass of
act_ext: constructor, attributes, repr, pickling and ``state_dict`` are the same, and ``isinstance`` holds.

>>> import act_ext, torch
>>> isinstance(act_ext.nn.Mish(), torch.nn.Mish)
True
"""

import math

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


class RReLU(torch.nn.RReLU):
    """See :func:`act_ext.functional.rrelu`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)


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


# With learned parameters, under the names that their papers' code gives them.


class PReLU(torch.nn.PReLU):
    """See :func:`act_ext.functional.prelu`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)


class _Learned(torch.nn.Module):
    """What the modules below share: parameters that reset_parameters fills with ``initial``, in the order of its names.

    Args:
        initial: the name of each parameter and what it starts from.
        sizes: how many elements each has; 1 where it is not named.
    """

    def __init__(
        self,
        initial: dict[str, float],
        sizes: dict[str, int],
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self._initial = initial
        for name in initial:
            parameter = torch.empty(sizes.get(name, 1), device=device, dtype=dtype)
            self.register_parameter(name, torch.nn.Parameter(parameter))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets the parameters to what they started from."""
        for name, value in self._initial.items():
            torch.nn.init.constant_(getattr(self, name), value)


class LearnedSwish(_Learned):
    """Swish whose ``beta`` is learned, see :func:`act_ext.functional.learned_swish`.

    Args:
        num_parameters: 1, or the number of channels, in dimension 1 of the input.
        init: what beta starts from.
    """

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 1.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__({"beta": init}, {"beta": num_parameters}, device, dtype)
        self.num_parameters = num_parameters

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"

    def forward(self, input: Tensor) -> Tensor:
        return F.learned_swish(input, self.beta)


class PELU(_Learned):
    """See :func:`act_ext.functional.pelu`.

    Both parameters have to stay positive, and nothing here sees to that: after a step of the optimizer,
    ``module.a.data.clamp_(min=0.1)`` does, and the same for ``b``.

    Args:
        num_parameters: 1, or the number of channels, in dimension 1 of the input.
        a: what a starts from.
        b: what b starts from.
    """

    def __init__(
        self,
        num_parameters: int = 1,
        a: float = 1.0,
        b: float = 1.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__({"a": a, "b": b}, {"a": num_parameters, "b": num_parameters}, device, dtype)
        self.num_parameters = num_parameters

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"

    def forward(self, input: Tensor) -> Tensor:
        return F.pelu(input, self.a, self.b)


class AconC(_Learned):
    """See :func:`act_ext.functional.acon_c`.

    As in the paper's code, p1 and p2 start from the normal distribution and beta from 1. There they have the shape
    (1, channels, 1, 1), here (channels,).

    Args:
        channels: the number of channels, in dimension 1 of the input.
    """

    def __init__(
        self, channels: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        names = ("p1", "p2", "beta")
        super().__init__(dict.fromkeys(names, 1.0), dict.fromkeys(names, channels), device, dtype)
        self.channels = channels

    def reset_parameters(self) -> None:
        """Draws p1 and p2, and sets beta to 1."""
        super().reset_parameters()
        torch.nn.init.normal_(self.p1)
        torch.nn.init.normal_(self.p2)

    def extra_repr(self) -> str:
        return f"{self.channels}"

    def forward(self, input: Tensor) -> Tensor:
        return F.acon_c(input, self.p1, self.p2, self.beta)


class XIELU(_Learned):
    """See :func:`act_ext.functional.xielu`.

    As in the paper's code, the function takes ``softplus(alpha_p)`` and ``beta + softplus(alpha_n)``, so that its slope
    at minus infinity is negative. beta and eps are numbers, not in the state_dict.

    Args:
        alpha_p_init: what ``softplus(alpha_p)`` starts from.
        alpha_n_init: what ``beta + softplus(alpha_n)`` starts from; more than beta.
        beta: the slope at 0.
        eps: where the exponential begins.
    """

    def __init__(
        self,
        alpha_p_init: float = 0.8,
        alpha_n_init: float = 0.8,
        beta: float = 0.5,
        eps: float = -1e-6,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if alpha_p_init <= 0 or alpha_n_init <= beta:
            raise ValueError(
                f"XIELU: alpha_p_init must be positive and alpha_n_init more than beta ({beta}), "
                f"got {alpha_p_init} and {alpha_n_init}"
            )
        # The inverse of softplus.
        alpha_p, alpha_n = (math.log(math.expm1(value)) for value in (alpha_p_init, alpha_n_init - beta))
        super().__init__({"alpha_p": alpha_p, "alpha_n": alpha_n}, {}, device, dtype)
        self.beta, self.eps = beta, eps

    def extra_repr(self) -> str:
        return f"beta={self.beta}, eps={self.eps}"

    def forward(self, input: Tensor) -> Tensor:
        alpha_p, alpha_n = F.softplus(self.alpha_p), self.beta + F.softplus(self.alpha_n)
        return F.xielu(input, alpha_p, alpha_n, self.beta, self.eps)


class StarReLU(_Learned):
    """See :func:`act_ext.functional.star_relu`. The defaults make mean 0 and variance 1 of a normal input.

    Args:
        scale: what scale starts from.
        bias: what bias starts from.
        scale_learnable: whether scale has a gradient.
        bias_learnable: whether bias has one.
    """

    def __init__(
        self,
        scale: float = 0.8944271909999159,
        bias: float = -0.4472135954999579,
        scale_learnable: bool = True,
        bias_learnable: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__({"scale": scale, "bias": bias}, {}, device, dtype)
        self.scale.requires_grad_(scale_learnable)
        self.bias.requires_grad_(bias_learnable)

    def extra_repr(self) -> str:
        return f"scale_learnable={self.scale.requires_grad}, bias_learnable={self.bias.requires_grad}"

    def forward(self, input: Tensor) -> Tensor:
        return F.star_relu(input, self.scale, self.bias)


class DyT(_Learned):
    """See :func:`act_ext.functional.dyt`: one alpha for all channels, weight and bias for each.

    Args:
        normalized_shape: the number of channels, also as a tuple of this one, as LayerNorm has it.
        channels_last: whether the channels are the last dimension of the input, or dimension 1.
        alpha_init_value: what alpha starts from; weight starts from 1 and bias from 0.
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int],
        channels_last: bool = True,
        alpha_init_value: float = 0.5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        (channels,) = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        initial = {"alpha": alpha_init_value, "weight": 1.0, "bias": 0.0}
        super().__init__(initial, {"weight": channels, "bias": channels}, device, dtype)
        self.normalized_shape, self.channels_last, self.alpha_init_value = (channels,), channels_last, alpha_init_value

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, channels_last={self.channels_last}, alpha_init_value={self.alpha_init_value}"

    def forward(self, input: Tensor) -> Tensor:
        return F.dyt(input, self.alpha, self.weight, self.bias, -1 if self.channels_last else 1)


class _Snake(_Learned):
    """What Snake and SnakeBeta share: the parameters of their names for each channel, or their logarithms."""

    def __init__(
        self,
        names: tuple[str, ...],
        in_features: int,
        alpha: float,
        alpha_trainable: bool,
        alpha_logscale: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        if alpha_logscale and alpha <= 0:
            raise ValueError(f"{type(self).__name__}: alpha must be positive for alpha_logscale, got {alpha}")
        initial = math.log(alpha) if alpha_logscale else alpha
        super().__init__(dict.fromkeys(names, initial), dict.fromkeys(names, in_features), device, dtype)
        for parameter in self.parameters():
            parameter.requires_grad_(alpha_trainable)
        self.in_features, self.alpha_logscale = in_features, alpha_logscale

    def _scaled(self, parameter: Tensor) -> Tensor:
        return parameter.exp() if self.alpha_logscale else parameter

    def extra_repr(self) -> str:
        return f"{self.in_features}, alpha_logscale={self.alpha_logscale}"


class Snake(_Snake):
    """See :func:`act_ext.functional.snake`. Constructor and state_dict are those of BigVGAN's code.

    Args:
        in_features: 1, or the number of channels, in dimension 1 of the input.
        alpha: what the function's alpha starts from.
        alpha_trainable: whether the parameter has a gradient.
        alpha_logscale: whether the parameter is the logarithm of the function's alpha, which so stays positive.
    """

    def __init__(
        self,
        in_features: int,
        alpha: float = 1.0,
        alpha_trainable: bool = True,
        alpha_logscale: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(("alpha",), in_features, alpha, alpha_trainable, alpha_logscale, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return F.snake(input, self._scaled(self.alpha))


class SnakeBeta(_Snake):
    """See :func:`act_ext.functional.snakebeta`. Constructor and state_dict are those of BigVGAN's code.

    Args:
        in_features: 1, or the number of channels, in dimension 1 of the input.
        alpha: what the function's alpha and beta start from.
        alpha_trainable: whether the parameters have gradients.
        alpha_logscale: whether the parameters are the logarithms of the function's, which so stay positive.
    """

    def __init__(
        self,
        in_features: int,
        alpha: float = 1.0,
        alpha_trainable: bool = True,
        alpha_logscale: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(("alpha", "beta"), in_features, alpha, alpha_trainable, alpha_logscale, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return F.snakebeta(input, self._scaled(self.alpha), self._scaled(self.beta))


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


class Sine(_InPlace):
    """See :func:`act_ext.functional.sine`."""

    def __init__(self, omega: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.omega = omega

    def extra_repr(self) -> str:
        return ", ".join(filter(None, [f"omega={self.omega}", super().extra_repr()]))

    def forward(self, input: Tensor) -> Tensor:
        return F.sine(input, self.omega, self.inplace)


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


# The functions of rows. The warning about an implicit dimension names the line that it names for torch's modules.


class Softmax(torch.nn.Softmax):
    """See :func:`act_ext.functional.softmax`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim, _stacklevel=5)


class Softmin(torch.nn.Softmin):
    """See :func:`act_ext.functional.softmin`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, self.dim, _stacklevel=5)


class LogSoftmax(torch.nn.LogSoftmax):
    """See :func:`act_ext.functional.log_softmax`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim, _stacklevel=5)


class Softmax2d(torch.nn.Softmax2d):
    """:func:`act_ext.functional.softmax` over the channels of images of shape (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.dim()}D instead")
        return F.softmax(input, -3)


class Maxout(torch.nn.Module):
    """A linear layer and the largest of each unit's pieces: see :func:`act_ext.functional.maxout`.

    Args:
        in_features: the size of the input's last dimension.
        out_features: the number of units, the size of the output's.
        num_pieces: how many linear functions each unit takes the largest of.
        bias: whether these have one.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        num_pieces: int = 2,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.num_pieces = num_pieces
        self.linear = torch.nn.Linear(in_features, out_features * num_pieces, bias, device, dtype)

    def extra_repr(self) -> str:
        return f"num_pieces={self.num_pieces}"

    def forward(self, input: Tensor) -> Tensor:
        return F.maxout(self.linear(input), self.num_pieces, -1)
