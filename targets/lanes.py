"""Eight float64s at once, for the kernels whose loops the compiler vectorises badly: short rows, and remainders.

`Lanes` is a numba type that is one vector register (two or four on machines with narrower ones); the functions below
become one instruction or a few. They take arrays by their flat index and check no bounds.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import models, register_model

from targets.kernel import FASTMATH

WIDTH = 8
intrinsic: Any = numba_intrinsic  # called with numba types when compiling, with values in kernels
_VECTOR = ir.VectorType(ir.DoubleType(), WIDTH)
_FLAGS = tuple(sorted(FASTMATH))


class Lanes(types.Type):
    """The numba type of eight float64s."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


lanes = Lanes()


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    """A Lanes is an LLVM vector."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    first = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(first, [index]), _VECTOR.as_pointer())


def _shuffle(builder: Any, a: Any, b: Any, picks: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(picks)), picks))


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:  # noqa: ARG001
    """Lanes array.flat[index : index + 8]."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(context, builder, signature.args[0], *arguments), align=8)

    return lanes(array, types.int64), generate


@intrinsic
def store(typing: Any, array: Any, index: Any, value: Any) -> Any:  # noqa: ARG001
    """array.flat[index : index + 8] = value."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _pointer(context, builder, signature.args[0], *arguments[:2]), align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, lanes), generate


@intrinsic
def splat(typing: Any, value: Any) -> Any:  # noqa: ARG001
    """Eight times the same number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        nothing = ir.Constant(_VECTOR, ir.Undefined)
        first = builder.insert_element(nothing, arguments[0], ir.Constant(ir.IntType(32), 0))
        return _shuffle(builder, first, nothing, [0] * WIDTH)

    return lanes(types.float64), generate


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:  # noqa: ARG001
    """The lanes a b + c, fused where the machine can."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.fadd(builder.fmul(*arguments[:2], flags=_FLAGS), arguments[2], flags=_FLAGS)

    return lanes(lanes, lanes, lanes), generate


@intrinsic
def add(typing: Any, a: Any, b: Any) -> Any:  # noqa: ARG001
    """The lanes a + b."""
    return lanes(lanes, lanes), lambda context, builder, signature, arguments: builder.fadd(*arguments, flags=_FLAGS)  # noqa: ARG005


@intrinsic
def subtract(typing: Any, a: Any, b: Any) -> Any:  # noqa: ARG001
    """The lanes a - b."""
    return lanes(lanes, lanes), lambda context, builder, signature, arguments: builder.fsub(*arguments, flags=_FLAGS)  # noqa: ARG005


@intrinsic
def total(typing: Any, a: Any) -> Any:  # noqa: ARG001
    """The sum of the eight lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        value = arguments[0]
        for half in (4, 2, 1):
            turned = _shuffle(builder, value, value, [(k + half) % WIDTH for k in range(WIDTH)])
            value = builder.fadd(value, turned)
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return types.float64(lanes), generate


@intrinsic
def totals(typing: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any) -> Any:  # noqa: ARG001
    """The lanes total(a), ..., total(h): three rounds in which pairs swap halves and add."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        values = list(arguments)
        for half in (4, 2, 1):
            low = [k + part for k in range(0, WIDTH, 2 * half) for part in [*range(half), *range(WIDTH, WIDTH + half)]]
            high = [pick + half for pick in low]
            middle = len(values) // 2
            values = [
                builder.fadd(_shuffle(builder, one, other, low), _shuffle(builder, one, other, high))
                for one, other in zip(values[:middle], values[middle:], strict=True)
            ]
        return values[0]

    return lanes(*[lanes] * WIDTH), generate
