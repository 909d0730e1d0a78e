"""The cost of a step on a device whose compiler is not here, counted in the traced program.

It is a model of XLA on a GPU. Each convolution and matrix product is a kernel that reads its
operands from memory and writes its result to memory. Elementwise operations are fused into the
kernel that writes an operand of a product, or into a reduction. Reductions of the same arrays share
one pass. Small sums are counted like the others and do not matter.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from jax.extend import core

_PRODUCTS = ("dot_general", "conv_general_dilated")
_VIEWS = ("reshape", "squeeze", "expand_dims", "copy", "name", "optimization_barrier")
_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")


class Cost(NamedTuple):
    """Floating-point operations of products, bytes read and written, and the most bytes in use."""

    flops: float
    bytes: float
    peak_bytes: float


def cost(function: Any, *arguments: Any) -> Cost:
    """The cost of one call with arguments of these shapes, all on one device."""
    closed = jax.make_jaxpr(function)(*arguments)
    counter = _Counter()
    inputs = [counter.store(var) for var in closed.jaxpr.invars]
    for value in counter.run(closed.jaxpr, inputs):
        counter.kernel(value.sources)
    moved = sum(counter.sizes[one] for reads, writes in counter.kernels for one in reads | writes)
    written = sum(_bytes(var) for var in closed.jaxpr.outvars)
    held = frozenset().union(*(value.sources for value in inputs))
    total = sum(counter.sizes[one] for one in held)
    return Cost(counter.flops, moved + written, total + counter.peak(held))


class _Value(NamedTuple):
    """The stored arrays from which a value is computed; `whole` if it is one of them, unchanged."""

    sources: frozenset[int] = frozenset()
    whole: bool = True


class _Counter:
    """Goes through a program and collects its kernels: the stored arrays that they read and write.

    Arrays have numbers, because a traced function may be called more than once.
    """

    def __init__(self):
        self.flops = 0.0
        self.sizes: list[float] = []  # bytes of each stored array
        self.kernels: list[tuple[frozenset[int], frozenset[int]]] = []
        self._passes: set[frozenset[int]] = set()

    def run(self, jaxpr: Any, arguments: Sequence[_Value]) -> list[_Value]:
        """Count a jaxpr; returns its results."""
        values: dict[Any, _Value] = dict(zip(jaxpr.invars, arguments, strict=True))

        def of(var: Any) -> _Value:
            return _Value() if isinstance(var, core.Literal) else values.get(var, _Value())

        for equation in jaxpr.eqns:
            if equation.primitive.name in _PRODUCTS:  # their operands remain stored for later users
                named = [var for var in equation.invars if not isinstance(var, core.Literal)]
                values.update({var: self._stored(var, of(var)) for var in named})
            results = self._count(equation, [of(var) for var in equation.invars])
            values.update(zip(equation.outvars, results, strict=True))
        return [of(var) for var in jaxpr.outvars]

    def store(self, var: Any) -> _Value:
        """A new stored array."""
        self.sizes.append(_bytes(var))
        return _Value(frozenset([len(self.sizes) - 1]))

    def kernel(self, reads: frozenset[int], writes: frozenset[int] = frozenset()) -> None:
        """Add a kernel."""
        self.kernels.append((reads, writes))

    def peak(self, held: frozenset[int]) -> float:
        """The most bytes of stored arrays in use at once, without those of `held`."""
        last = {one: i for i, (reads, writes) in enumerate(self.kernels) for one in reads | writes}
        ends: dict[int, float] = {}
        for one, number in last.items():
            if one not in held:
                ends[number] = ends.get(number, 0.0) + self.sizes[one]
        now = most = 0.0
        for number, (_, writes) in enumerate(self.kernels):
            now += sum(self.sizes[one] for one in writes)
            most = max(most, now)
            now -= ends.get(number, 0.0)
        return most

    def _count(self, equation: Any, values: list[_Value]) -> list[_Value]:
        name, params = equation.primitive.name, equation.params
        inner = next((params[key] for key in _INNER if key in params), None)
        if name == "cond":  # by platform: the last branch is for all platforms but the CPU
            inner, values = params["branches"][-1], values[1:]
        if inner is not None and name not in ("scan", "while"):
            return self.run(getattr(inner, "jaxpr", inner), values)
        sources = frozenset().union(*(value.sources for value in values))
        if name in _VIEWS:
            return values[: len(equation.outvars)]
        if name in _PRODUCTS:
            self.flops += _flops(equation)
            return self._written(sources, equation.outvars)
        if name.startswith(("reduce_", "arg", "cum", "sort", "gather", "scatter")):
            again = sources in self._passes
            self._passes.add(sources)
            return self._written(frozenset() if again else sources, equation.outvars)
        return [_Value(sources, whole=False)] * len(equation.outvars)

    def _written(self, reads: frozenset[int], variables: Sequence[Any]) -> list[_Value]:
        """The results of a kernel."""
        results = [self.store(var) for var in variables]
        self.kernel(reads, frozenset().union(*(value.sources for value in results)))
        return results

    def _stored(self, var: Any, value: _Value) -> _Value:
        """The operand of a product as a stored array, which a kernel may have to write first."""
        return value if value.whole else self._written(value.sources, [var])[0]


def _bytes(var: Any) -> float:
    aval = var.aval
    return 1.0 * math.prod(getattr(aval, "shape", ())) * getattr(aval.dtype, "itemsize", 4)


def _flops(equation: Any) -> float:
    """Two for each multiplication of a matrix product or convolution."""
    left, right = (var.aval.shape for var in equation.invars)
    out = math.prod(equation.outvars[0].aval.shape)
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return 2.0 * out * math.prod(left[axis] for axis in contracted)
    numbers = equation.params["dimension_numbers"]
    out_features = right[numbers.rhs_spec[0]]
    dilated = math.prod(equation.params["lhs_dilation"])  # zeros between cells cost nothing
    return 2.0 * out * math.prod(right) / out_features / dilated
