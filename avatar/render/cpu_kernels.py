"""Numba kernels of the CPU renderer.

One long file on purpose: Numba's on-disk cache looks only at the file a kernel is defined in, so
the SIMD type, the constants and every kernel stay together, or edits would go unnoticed.

The SIMD type, sixteen float32 lanes, is an LLVM vector: whether the autovectoriser takes such
loops is a matter of luck. Lanes are sixteen Gaussians when projecting, sixteen pixels (a 4x4
block) when blending.

The public functions are workers: each takes tasks until none is left, so any number of threads may
run one, each with memory of its own. They let go of the GIL. A task alone writes its outputs, in a
fixed order: results are the same bits for any number of threads.

Arrays are flat; I images, N Gaussians. Comments give the layout. Tiles are 32x32 pixels.
"""

# mypy: ignore-errors
# Intrinsics are called with other arguments than they are defined with.

import operator

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.datamodel import models
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, register_model

LANES = 16
_JIT = {"error_model": "numpy", "fastmath": {"contract", "nsz"}}
_WORKER = {**_JIT, "cache": True, "nogil": True}

# ---------------------------------------------------------------- the SIMD type


class VecType(types.Type):
    """Sixteen float32 lanes."""

    def __init__(self) -> None:
        super().__init__(name="f32x16")


VEC = VecType()
_F32 = ir.FloatType()
_I32 = ir.IntType(32)
_LLVEC = ir.VectorType(_F32, LANES)
_LLINT = ir.VectorType(_I32, LANES)
_FLAGS = ("contract", "nsz")


@register_model(VecType)
class _VecModel(models.PrimitiveModel):
    def __init__(self, manager, fe_type):
        super().__init__(manager, fe_type, _LLVEC)


def _splat(builder, value):
    """All lanes the same; vectors pass through."""
    if value.type == _LLVEC:
        return value
    nothing = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    first = builder.insert_element(nothing, value, _I32(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(_LLINT, [0] * LANES))


def _const(value):
    return ir.Constant(_LLVEC, [float(np.float32(value))] * LANES)


def _int_const(value):
    return ir.Constant(_LLINT, [value] * LANES)


def _call(builder, name, result, *args):
    function_type = ir.FunctionType(result, [a.type for a in args])
    module = builder.module
    function = module.globals.get(name) or ir.Function(module, function_type, name)
    return builder.call(function, args)


def _define_operator(op, instruction):
    @infer_global(op)
    class _Template(AbstractTemplate):
        def generic(self, args, kws):
            kinds = {VEC, types.float32}
            if len(args) == 2 and VEC in args and set(args) <= kinds:
                return signature(VEC, *args)
            return None

    def lower(context, builder, sig, args):
        left, right = (_splat(builder, a) for a in args)
        return getattr(builder, instruction)(left, right, flags=_FLAGS)

    for pair in ((VEC, VEC), (VEC, types.float32), (types.float32, VEC)):
        lower_builtin(op, *pair)(lower)


for _op, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _define_operator(_op, _instruction)


def _pointer(context, builder, array_type, array, index, element):
    data = context.make_array(array_type)(context, builder, array).data
    pointer = builder.gep(data, [index], inbounds=True)
    return builder.bitcast(pointer, element.as_pointer())


@intrinsic
def peek(typingctx, array, index):
    """One element; unlike array[index] it knows no negative index, which saves its test."""

    def codegen(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return builder.load(builder.gep(data, [args[1]], inbounds=True))

    return array.dtype(array, types.intp), codegen


@intrinsic
def get(typingctx, array, index):
    """Sixteen floats of an array of rows of sixteen."""

    def codegen(context, builder, sig, args):
        start = builder.mul(args[1], args[1].type(LANES))
        pointer = _pointer(context, builder, sig.args[0], args[0], start, _LLVEC)
        return builder.load(pointer, align=4)

    return VEC(array, types.intp), codegen


@intrinsic
def put(typingctx, array, index, value):
    """The reverse of `get`; as integers, rounded towards 0, if the array holds integers."""

    def codegen(context, builder, sig, args):
        start = builder.mul(args[1], args[1].type(LANES))
        kind, value = _LLVEC, args[2]
        if sig.args[0].dtype == types.int32:
            kind, value = _LLINT, builder.fptosi(value, _LLINT)
        pointer = _pointer(context, builder, sig.args[0], args[0], start, kind)
        builder.store(value, pointer, align=4)

    return types.void(array, types.intp, VEC), codegen


def _row_pointers(context, builder, sig, args, kind):
    """Where four rows of pixels begin: array, index, stride -> pointers to `kind`."""
    array, index, stride = args[:3]
    for _ in range(4):
        yield _pointer(context, builder, sig.args[0], array, index, kind)
        index = builder.add(index, stride)


def _join(builder, a, b, lanes):
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(lanes)), lanes))


@intrinsic
def load_plane(typingctx, array, index, stride):
    """A block of 4x4 pixels of an image with one channel."""

    def codegen(context, builder, sig, args):
        kind = ir.VectorType(_F32, 4)
        a, b, c, d = (
            builder.load(p, align=4) for p in _row_pointers(context, builder, sig, args, kind)
        )
        eight = list(range(8))
        top, bottom = _join(builder, a, b, eight), _join(builder, c, d, eight)
        return _join(builder, top, bottom, list(range(16)))

    return VEC(array, types.intp, types.intp), codegen


@intrinsic
def store_plane(typingctx, array, index, stride, value):
    """The reverse of `load_plane`."""

    def codegen(context, builder, sig, args):
        pointers = _row_pointers(context, builder, sig, args, ir.VectorType(_F32, 4))
        for y, pointer in enumerate(pointers):
            lanes = _join(builder, args[3], args[3], [4 * y + x for x in range(4)])
            builder.store(lanes, pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, VEC), codegen


@intrinsic
def load_pixels(typingctx, array, index, stride):
    """A block of 4x4 pixels of an image with three channels, one vector each."""

    def codegen(context, builder, sig, args):
        kind = ir.VectorType(_F32, 12)
        a, b, c, d = (
            builder.load(p, align=4) for p in _row_pointers(context, builder, sig, args, kind)
        )
        channels = []
        for k in range(3):
            lanes = [k, k + 3, k + 6, k + 9, k + 12, k + 15, k + 18, k + 21]
            top, bottom = _join(builder, a, b, lanes), _join(builder, c, d, lanes)
            channels.append(_join(builder, top, bottom, list(range(16))))
        return context.make_tuple(builder, sig.return_type, channels)

    return types.UniTuple(VEC, 3)(array, types.intp, types.intp), codegen


@intrinsic
def store_pixels(typingctx, array, index, stride, red, green, blue):
    """The reverse of `load_pixels`."""

    def codegen(context, builder, sig, args):
        red, green, blue = args[3:]
        pointers = _row_pointers(context, builder, sig, args, ir.VectorType(_F32, 12))
        for y, pointer in enumerate(pointers):
            pixels = [4 * y + x for x in range(4)]
            lanes = [lane for p in pixels for lane in (p, LANES + p, p)]  # blue comes next
            pair = _join(builder, red, green, lanes + lanes[:4])
            lanes = [lane for x, p in enumerate(pixels) for lane in (3 * x, 3 * x + 1, LANES + p)]
            builder.store(_join(builder, pair, blue, lanes), pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, VEC, VEC, VEC), codegen


def _prefetch(write):
    @intrinsic
    def function(typingctx, array, index):
        def codegen(context, builder, sig, args):
            data = context.make_array(sig.args[0])(context, builder, args[0]).data
            pointer = builder.gep(data, [args[1]], inbounds=True)
            pointer = builder.bitcast(pointer, ir.IntType(8).as_pointer())
            keep_near, data_cache = _I32(3), _I32(1)
            kinds = (pointer, _I32(write), keep_near, data_cache)
            _call(builder, "llvm.prefetch.p0", ir.VoidType(), *kinds)
            return context.get_dummy_value()

        return types.void(array, types.intp), codegen

    return function


# Fetch an element's cache line early, to read or to write it.
prefetch, prefetch_to_write = _prefetch(0), _prefetch(1)


@intrinsic
def splat(typingctx, value):
    """All lanes the same."""

    def codegen(context, builder, sig, args):
        return _splat(builder, args[0])

    return VEC(types.float32), codegen


def _unary(name):
    @intrinsic
    def function(typingctx, value):
        def codegen(context, builder, sig, args):
            return _call(builder, f"llvm.{name}.v16f32", _LLVEC, args[0])

        return VEC(VEC), codegen

    return function


sqrt, floor, ceil, absolute = (_unary(name) for name in ("sqrt", "floor", "ceil", "fabs"))


def _select(comparison, pick):
    """Intrinsic of `pick`'s arguments after comparing the first two."""

    @intrinsic
    def ternary(typingctx, a, b, yes, no):
        def codegen(context, builder, sig, args):
            a, b, yes, no = (_splat(builder, x) for x in args)
            return builder.select(builder.fcmp_ordered(comparison, a, b), yes, no)

        return VEC(a, b, yes, no), codegen

    @intrinsic
    def binary(typingctx, a, b):
        def codegen(context, builder, sig, args):
            a, b = (_splat(builder, x) for x in args)
            return builder.select(builder.fcmp_ordered(comparison, a, b), a, b)

        return VEC(a, b), codegen

    return ternary if pick else binary


where_less, where_greater, where_at_least = (_select(c, True) for c in ("<", ">", ">="))
minimum, maximum = _select("<", False), _select(">", False)


@intrinsic
def any_positive(typingctx, value):
    """Whether any lane is above 0."""

    def codegen(context, builder, sig, args):
        mask = builder.fcmp_ordered(">", args[0], _const(0.0))
        bits = builder.bitcast(mask, ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.IntType(LANES)(0))

    return types.boolean(VEC), codegen


@intrinsic
def sums(typingctx, vectors):
    """Sum of the lanes of each of up to sixteen vectors; vector i's is in lane SUM_LANES[i]."""

    def codegen(context, builder, sig, args):
        # Each step adds the halves (then quarters, ...) of two vectors into one.
        zero = ir.Constant(_LLVEC, [0.0] * LANES)
        parts = [builder.extract_value(args[0], i) for i in range(sig.args[0].count)]
        parts += [zero] * (LANES - len(parts))
        for bit in (8, 4, 2, 1):
            low = [lane if lane & bit == 0 else LANES + lane - bit for lane in range(LANES)]
            high = [lane + bit if lane & bit == 0 else LANES + lane for lane in range(LANES)]
            parts = [
                zero if a is zero and b is zero else _add_shuffled(builder, a, b, low, high)
                for a, b in zip(parts[::2], parts[1::2], strict=True)
            ]
        return parts[0]

    return VEC(vectors), codegen


def _add_shuffled(builder, a, b, low, high):
    masks = (ir.Constant(_LLINT, lanes) for lanes in (low, high))
    return builder.fadd(*(builder.shuffle_vector(a, b, mask) for mask in masks))


SUM_LANES = tuple(int(f"{i:04b}"[::-1], 2) for i in range(LANES))


def _fma(builder, a, b, c):
    return _call(builder, "llvm.fmuladd.v16f32", _LLVEC, a, b, c)


# 2^f on [-0.5, 0.5], relative error below 8e-8 before rounding (weighted least squares, Lawson).
_EXP2 = (
    1.0000000716552202,
    0.6931469670632642,
    0.24022119721166774,
    0.05550713274651917,
    0.009675541479833216,
    0.0013276472027952213,
)


@intrinsic
def exp2(typingctx, value):
    """2 to the power of each lane, for lanes in -126..127."""

    def codegen(context, builder, sig, args):
        # Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits; no fast-math here.
        shifted = builder.fadd(args[0], _const(12582912.0))
        fraction = builder.fsub(args[0], builder.fsub(shifted, _const(12582912.0)))
        result = _const(_EXP2[-1])
        for coefficient in reversed(_EXP2[:-1]):
            result = _fma(builder, result, fraction, _const(coefficient))
        exponent = builder.shl(builder.bitcast(shifted, _LLINT), _int_const(23))
        bits = builder.add(builder.bitcast(result, _LLINT), exponent)
        return builder.bitcast(bits, _LLVEC)

    return VEC(VEC), codegen


@intrinsic
def log2(typingctx, value):
    """Binary logarithm of each lane, for normal positive numbers, within 1e-7."""

    def codegen(context, builder, sig, args):
        # value = m 2^e with m in sqrt(0.5)..sqrt(2); log2 m = 2 / ln 2 * atanh((m - 1) / (m + 1)).
        bits = builder.bitcast(args[0], _LLINT)
        offset = builder.sub(bits, _int_const(0x3F3504F3))
        exponent = builder.ashr(offset, _int_const(23))
        mantissa = builder.sub(bits, builder.shl(exponent, _int_const(23)))
        m = builder.bitcast(mantissa, _LLVEC)
        s = builder.fdiv(builder.fsub(m, _const(1.0)), builder.fadd(m, _const(1.0)))
        s2 = builder.fmul(s, s)
        series = _const(2.0 / 7.0 / np.log(2.0))
        for k in (5.0, 3.0, 1.0):
            series = _fma(builder, series, s2, _const(2.0 / k / np.log(2.0)))
        return _fma(builder, s, series, builder.sitofp(exponent, _LLVEC))

    return VEC(VEC), codegen


def _picked(builder, vectors, lanes):
    """The vector whose lanes are elements of the vectors, numbered one vector after another."""
    picked = ir.Constant(_LLVEC, ir.Undefined)
    for k, vector in enumerate(vectors):
        own = [LANES + i - k * LANES if i // LANES == k else lane for lane, i in enumerate(lanes)]
        if own != list(range(LANES)):
            picked = _join(builder, picked, vector, own)
    return picked


def _transposed(builder, rows):
    """A matrix of 16x16, by exchanging its quarters, then theirs, and so on."""
    rows = list(rows)
    for bit in (8, 4, 2, 1):
        low = [LANES + lane - bit if lane & bit else lane for lane in range(LANES)]
        high = [LANES + lane if lane & bit else lane + bit for lane in range(LANES)]
        for i in (i for i in range(LANES) if not i & bit):
            a, b = rows[i], rows[i + bit]
            rows[i], rows[i + bit] = _join(builder, a, b, low), _join(builder, a, b, high)
    return rows


def _load_vectors(context, builder, array_type, array, start, count):
    first = _pointer(context, builder, array_type, array, start, _LLVEC)
    pointers = (builder.gep(first, [_I32(k)]) for k in range(count))
    return [builder.load(pointer, align=4) for pointer in pointers]


def _store_vectors(context, builder, array_type, array, start, vectors):
    first = _pointer(context, builder, array_type, array, start, _LLVEC)
    for k, vector in enumerate(vectors):
        builder.store(vector, builder.gep(first, [_I32(k)]), align=4)


def _make_columns(width):
    """Intrinsics that move sixteen rows of `width` floats between an array and scratch's rows."""

    @intrinsic
    def load(typingctx, array, start, scratch, row):
        """Element `start` and what follows, a column in each row of scratch."""

        def codegen(context, builder, sig, args):
            loaded = _load_vectors(context, builder, sig.args[0], *args[:2], width)
            if width == LANES:
                columns = _transposed(builder, loaded)
            else:
                lanes = [range(c, width * LANES, width) for c in range(width)]
                columns = [_picked(builder, loaded, of) for of in lanes]
            target = builder.mul(args[3], args[3].type(LANES))
            _store_vectors(context, builder, sig.args[2], args[2], target, columns)
            return context.get_dummy_value()

        return types.void(array, types.intp, scratch, types.intp), codegen

    @intrinsic
    def store(typingctx, scratch, row, array, start):
        """The reverse of `load`."""

        def codegen(context, builder, sig, args):
            source = builder.mul(args[1], args[1].type(LANES))
            columns = _load_vectors(context, builder, sig.args[0], args[0], source, width)
            if width == LANES:
                rows = _transposed(builder, columns)
            else:
                places = [i % width * LANES + i // width for i in range(width * LANES)]
                parts = [places[k * LANES : (k + 1) * LANES] for k in range(width)]
                rows = [_picked(builder, columns, of) for of in parts]
            _store_vectors(context, builder, sig.args[2], *args[2:], rows)
            return context.get_dummy_value()

        return types.void(scratch, types.intp, array, types.intp), codegen

    return load, store


@intrinsic
def add_blocks(typingctx, array, index, first, end, band):
    """Set, in sixteen masks of 32 bits, those of blocks first..end - 1 (0..8) of a band (0..3)."""

    def codegen(context, builder, sig, args):
        start = builder.mul(args[1], args[1].type(LANES))
        pointer = _pointer(context, builder, sig.args[0], args[0], start, _LLINT)
        first, end = (builder.fptosi(x, _LLINT) for x in args[2:4])
        one = _int_const(1)
        blocks = builder.sub(builder.shl(one, end), builder.shl(one, first))
        shift = _splat(builder, builder.shl(builder.trunc(args[4], _I32), _I32(3)))
        before = builder.load(pointer, align=4)
        builder.store(builder.or_(before, builder.shl(blocks, shift)), pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, VEC, VEC, types.intp), codegen


@intrinsic
def first_bit(typingctx, mask):
    """Number of the lowest bit that is set in a mask that is not 0."""

    def codegen(context, builder, sig, args):
        function_type = ir.FunctionType(ir.IntType(64), [ir.IntType(64), ir.IntType(1)])
        module, name = builder.module, "llvm.cttz.i64"
        function = module.globals.get(name) or ir.Function(module, function_type, name)
        return builder.call(function, [args[0], ir.IntType(1)(1)])

    return types.int64(types.uint64), codegen


QUEUE = 8  # integers of a thread's row, of which two are used: rows lie in cache lines of their own


@intrinsic
def _take_next(typingctx, queue, row):
    """The first number of a row of `queue` [., QUEUE]; it grows by one, for all threads."""

    def codegen(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        place = builder.gep(data, [builder.mul(args[1], args[1].type(QUEUE))])
        return builder.atomic_rmw("add", place, ir.IntType(64)(1), "monotonic")

    return types.int64(queue, types.intp), codegen


@njit(**_JIT)
def take_task(queue, own):
    """The next task of a thread's own, of another's when it has none left, or -1.

    queue [threads, QUEUE]: each thread's next task and the end of its tasks. own: this thread's
    row. Consecutive tasks share memory, and so do those of one call and the next: a core that has
    the same ones each time finds much of it in its cache.
    """
    threads = queue.shape[0]
    for k in range(threads):
        row = (own + k) % threads
        if queue[row, 0] < queue[row, 1]:
            task = _take_next(queue, row)
            if task < queue[row, 1]:
                return task
    return -1


# ---------------------------------------------------------------- constants and layouts

f32 = np.float32
ZERO, HALF, ONE, TWO = f32(0.0), f32(0.5), f32(1.0), f32(2.0)
EPS2D = f32(0.3)  # px^2
NEAR, FAR = f32(0.01), f32(1e10)  # m
MAX_ALPHA = f32(0.999)
MIN_ALPHA = f32(1.0 / 255.0)
MIN_TRANSMITTANCE = f32(1e-4)
LOG2_MIN_ALPHA, LOG2_MAX_ALPHA = f32(np.log2(1.0 / 255.0)), f32(np.log2(0.999))
LN2 = f32(np.log(2.0))
LOG2_255 = f32(np.log2(255.0))
HALF_LOG2E = f32(0.5 / np.log(2.0))
TINY, LARGE = f32(1e-24), f32(1e30)
# Footprints are searched a hair larger than they are, so that rounding hides no pixel.
GROW, PAD = f32(1.0005), f32(0.002)

TILE = 32  # px
SIDE = 8  # blocks of 4x4 px along a tile's edge
CHUNK = 256  # Gaussians in one task
RECORD = 16  # floats for a Gaussian in an image:
X, Y = 0, 1  # centre, px
# alpha = 2^(PEAK - STEEP_X (dx - LEAN dy)^2 - STEEP_Y dy^2): sheared, needles lose no digits so
STEEP_X, LEAN, STEEP_Y, PEAK = 2, 3, 4, 5
RGB = 6  # three floats
DEPTH = 9  # m; 0 where not visible
TILE_X0, TILE_X1, TILE_Y0, TILE_Y1 = 10, 11, 12, 13  # tiles touched, inclusive; none if X1 < X0
REACH_X, REACH_Y = 14, 15  # half box outside which alpha < MIN_ALPHA, px, grown by a hair

# Sums over pixels that the backward pass leaves for a Gaussian, in a record's place, with
# g = dL/dlog(alpha), dy and d = dx - LEAN dy from pixel to centre, w the weight: g, g d, g dy,
# g d^2, g d dy, g dy^2, w dL/drgb.
SUM_G, SUM_X, SUM_Y, SUM_XX, SUM_XY, SUM_YY, SUM_RED, SUM_GREEN, SUM_BLUE = SUM_LANES[:9]

# Spherical harmonics: Sloan, "Stupid Spherical Harmonics (SH) Tricks", 2008, appendix A2.
SH0 = f32(0.28209479177387814)
SH1 = f32(0.4886025119029199)
SH2A, SH2B, SH2C = f32(1.0925484305920792), f32(0.31539156525252005), f32(0.5462742152960396)
SH3A, SH3B, SH3C = f32(0.5900435899266435), f32(2.890611442640554), f32(0.4570457994644658)
SH3D, SH3E = f32(0.3731763325901154), f32(1.445305721320277)
THREE, FIVE, QUARTER = f32(3.0), f32(5.0), f32(0.25)


# ---------------------------------------------------------------- projection


def _make_gather(width):
    """Between rows of `width` floats of an array and as many rows of scratch."""
    load, store = _make_columns(width)

    @njit(**_JIT)
    def gather(source, first, count, scratch, row):
        """Columns of `count` rows of `source` into rows of `scratch`, last one repeated."""
        if count == LANES:
            load(source, first * width, scratch, row)
            return
        for lane in range(LANES):
            at = (first + min(lane, count - 1)) * width
            for column in range(width):
                scratch[(row + column) * LANES + lane] = source[at + column]

    @njit(**_JIT)
    def scatter(scratch, row, first, count, target):
        """The reverse of `gather`."""
        if count == LANES:
            store(scratch, row, target, first * width)
            return
        for lane in range(count):
            at = (first + lane) * width
            for column in range(width):
                target[at + column] = scratch[(row + column) * LANES + lane]

    return gather, scatter


_gather_1, _scatter_1 = _make_gather(1)
_gather_2, _scatter_2 = _make_gather(2)
_gather_3, _scatter_3 = _make_gather(3)
_gather_4, _scatter_4 = _make_gather(4)
_gather_records, _scatter_records = _make_gather(RECORD)


# Rows of sixteen in a worker's scratch memory while it projects.
MEAN, QUAT, SCALE, OPACITY = 0, 3, 7, 10  # the inputs; QUAT is normalised in place
ROTATION, QUAT_NORM = 11, 20  # 3x3 by rows; 1 / |quat|
POINT, INV_Z, INSIDE = 21, 23, 24  # x and y in the camera; 1 / z; 1 within the depth range
SLOPE = 25  # x/z and y/z, limited
AXES = 27  # d(pixel)/d(world), 2x3 by rows
SPREAD = 33  # AXES @ ROTATION, 2x3 by rows; times scale it is the footprint's square root
DIRECTION, INV_DISTANCE = 39, 42  # from the camera, unit; 1 / m
FIELDS = 48  # a record's sixteen
BASIS, PULL = 64, 80  # spherical harmonics; their gradients
V_FIELDS, V_CENTRE = 96, 112  # sums over pixels; dL/d(centre)
V_MEAN, V_QUAT, V_SCALE, V_ROTATION = 114, 117, 121, 124
V_OPACITY, V_COLOR = 133, 134
CAMERA = 137  # scalars: see _read_camera


@njit(**_JIT)
def _read_camera(viewmats, Ks, image, width, height, s):
    """Scalars at CAMERA: viewmat's 3x4, fx fy cx cy, limits of x/z and y/z, position."""
    c, v, k = CAMERA * LANES, image * 16, image * 9
    for j in range(12):
        s[c + j] = viewmats[v + j]
    s[c + 12], s[c + 13] = Ks[k], Ks[k + 4]
    s[c + 14], s[c + 15] = Ks[k + 2], Ks[k + 5]
    # The projection is linearised no further out than 15 % of the image beyond its edge.
    for axis, size in enumerate((f32(width), f32(height))):
        focal, centre = s[c + 12 + axis], s[c + 14 + axis]
        s[c + 16 + axis] = (-centre - f32(0.15) * size) / focal
        s[c + 18 + axis] = (size - centre + f32(0.15) * size) / focal
    for j in range(3):  # -R^T t
        s[c + 20 + j] = -(
            viewmats[v + j] * viewmats[v + 3]
            + viewmats[v + 4 + j] * viewmats[v + 7]
            + viewmats[v + 8 + j] * viewmats[v + 11]
        )


@njit(**_JIT)
def _rotate_lanes(s):
    """Normalise QUAT and fill ROTATION."""
    w, x, y, z = get(s, QUAT), get(s, QUAT + 1), get(s, QUAT + 2), get(s, QUAT + 3)
    inverse = ONE / sqrt(maximum(w * w + x * x + y * y + z * z, TINY))
    w, x, y, z = w * inverse, x * inverse, y * inverse, z * inverse
    put(s, QUAT, w)
    put(s, QUAT + 1, x)
    put(s, QUAT + 2, y)
    put(s, QUAT + 3, z)
    put(s, QUAT_NORM, inverse)
    put(s, ROTATION, ONE - TWO * (y * y + z * z))
    put(s, ROTATION + 1, TWO * (x * y - w * z))
    put(s, ROTATION + 2, TWO * (x * z + w * y))
    put(s, ROTATION + 3, TWO * (x * y + w * z))
    put(s, ROTATION + 4, ONE - TWO * (x * x + z * z))
    put(s, ROTATION + 5, TWO * (y * z - w * x))
    put(s, ROTATION + 6, TWO * (x * z - w * y))
    put(s, ROTATION + 7, TWO * (y * z + w * x))
    put(s, ROTATION + 8, ONE - TWO * (x * x + y * y))


@njit(**_JIT)
def _view_lanes(s):
    """Carry the lanes into the camera: POINT, INV_Z, INSIDE, SLOPE, AXES, SPREAD. Returns depth.

    Lanes outside the depth range become a harmless point on the axis.
    """
    c = CAMERA * LANES
    mx, my, mz = get(s, MEAN), get(s, MEAN + 1), get(s, MEAN + 2)
    z = s[c + 8] * mx + s[c + 9] * my + s[c + 10] * mz + s[c + 11]
    inside = where_greater(z, NEAR, where_less(z, FAR, splat(ONE), ZERO), ZERO)
    x = (s[c + 0] * mx + s[c + 1] * my + s[c + 2] * mz + s[c + 3]) * inside
    y = (s[c + 4] * mx + s[c + 5] * my + s[c + 6] * mz + s[c + 7]) * inside
    z = where_greater(inside, ZERO, z, ONE)
    inverse = ONE / z
    u = minimum(maximum(x * inverse, s[c + 16]), s[c + 18])
    v = minimum(maximum(y * inverse, s[c + 17]), s[c + 19])
    put(s, POINT, x)
    put(s, POINT + 1, y)
    put(s, INV_Z, inverse)
    put(s, INSIDE, inside)
    put(s, SLOPE, u)
    put(s, SLOPE + 1, v)
    for j in range(3):
        put(s, AXES + j, s[c + 12] * inverse * (s[c + j] - u * s[c + 8 + j]))
        put(s, AXES + 3 + j, s[c + 13] * inverse * (s[c + 4 + j] - v * s[c + 8 + j]))
    for axis in range(2):
        a0, a1, a2 = (
            get(s, AXES + 3 * axis),
            get(s, AXES + 3 * axis + 1),
            get(s, AXES + 3 * axis + 2),
        )
        for j in range(3):
            column = (
                a0 * get(s, ROTATION + j)
                + a1 * get(s, ROTATION + 3 + j)
                + a2 * get(s, ROTATION + 6 + j)
            )
            put(s, SPREAD + 3 * axis + j, column)
    return z


@njit(**_JIT)
def _covariance_lanes(s):
    """Covariance of the footprints, px^2: xx, xy, yy and the determinant."""
    s0, s1, s2 = get(s, SCALE), get(s, SCALE + 1), get(s, SCALE + 2)
    a0, a1, a2 = get(s, SPREAD) * s0, get(s, SPREAD + 1) * s1, get(s, SPREAD + 2) * s2
    b0, b1, b2 = get(s, SPREAD + 3) * s0, get(s, SPREAD + 4) * s1, get(s, SPREAD + 5) * s2
    aa = a0 * a0 + a1 * a1 + a2 * a2
    bb = b0 * b0 + b1 * b1 + b2 * b2
    ab = a0 * b0 + a1 * b1 + a2 * b2
    # |a|^2 |b|^2 - (a.b)^2 = |a x b|^2 does not cancel for needles.
    c0, c1, c2 = a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0
    det = c0 * c0 + c1 * c1 + c2 * c2 + EPS2D * (aa + bb + EPS2D)
    return aa + EPS2D, ab, bb + EPS2D, det


@njit(**_JIT)
def _project_task(image, first, last, n, batch, shared, inputs, size, sh_degree, bases, out, s):
    """Records of Gaussians first..last of one image; returns an upper bound of tile pairs."""
    means, quats, scales, opacities, colors = inputs
    records, means2d, radii = out
    width, height = size
    shared_opacity, shared_color = shared
    pairs = 0
    for start in range(first, last, LANES):
        count = min(LANES, last - start)
        at = batch * n + start
        _gather_3(means, at, count, s, MEAN)
        _gather_4(quats, at, count, s, QUAT)
        _gather_3(scales, at, count, s, SCALE)
        _gather_1(opacities, start if shared_opacity else at, count, s, OPACITY)
        _rotate_lanes(s)
        z = _view_lanes(s)
        pairs += _fill_records(s, z, width, height, count)
        at_color = start if shared_color else at
        if bases == 1:
            _gather_3(colors, at_color, count, s, FIELDS + RGB)
            if sh_degree == 0:
                for k in range(FIELDS + RGB, FIELDS + RGB + 3):
                    color = SH0 * get(s, k) + HALF
                    put(s, k, where_less(color, ZERO, ZERO, color))  # NaN stays, to be noticed
        else:
            _direction_lanes(s)
            _basis_lanes(s, sh_degree)
            _shade(colors, at_color, count, bases, (sh_degree + 1) ** 2, s)
        at = image * n + start
        _scatter_records(s, FIELDS, at, count, records)
        seen = get(s, FIELDS + DEPTH)
        put(s, V_CENTRE, where_greater(seen, ZERO, get(s, FIELDS + X), ZERO))
        put(s, V_CENTRE + 1, where_greater(seen, ZERO, get(s, FIELDS + Y), ZERO))
        _scatter_2(s, V_CENTRE, at, count, means2d)
        for lane in range(count):
            for axis in range(2):
                radii[(at + lane) * 2 + axis] = s[(PULL + axis) * LANES + lane]
    return pairs


@njit(**_JIT)
def _fill_records(s, z, width, height, count):
    """FIELDS without colour, and whole-pixel radii at PULL. Returns the tile pairs' upper bound."""
    c = CAMERA * LANES
    inverse = get(s, INV_Z)
    xx, xy, yy, det = _covariance_lanes(s)
    opacity = maximum(get(s, OPACITY), TINY)
    peak = log2(opacity)
    cut = peak + LOG2_255
    x = s[c + 12] * get(s, POINT) * inverse + s[c + 14]
    y = s[c + 13] * get(s, POINT + 1) * inverse + s[c + 15]

    # 2^-cut at the edge: half extents are sqrt(cut * cov / (log2(e) / 2)).
    room = maximum(cut, ZERO) / HALF_LOG2E
    rx, ry = ceil(sqrt(room * xx)), ceil(sqrt(room * yy))
    seen = where_at_least(cut, ZERO, get(s, INSIDE), ZERO)
    seen = where_less(det, LARGE, seen, ZERO)  # no infinity or NaN goes further
    seen = where_greater(x + rx, ZERO, seen, ZERO)
    seen = where_greater(y + ry, ZERO, seen, ZERO)
    seen = where_less(x - rx, f32(width), seen, ZERO)
    seen = where_less(y - ry, f32(height), seen, ZERO)
    put(s, PULL, where_greater(seen, ZERO, rx, ZERO))
    put(s, PULL + 1, where_greater(seen, ZERO, ry, ZERO))

    room = (maximum(cut, ZERO) * GROW + PAD) / HALF_LOG2E
    ex, ey = sqrt(room * xx), sqrt(room * yy)
    # Pixel i has its centre at i + 0.5; a tile counts if it holds the centre of one within reach.
    inv_tile = f32(1.0 / TILE)
    x0 = maximum(ceil((x - ex - f32(TILE - 0.5)) * inv_tile), ZERO)
    y0 = maximum(ceil((y - ey - f32(TILE - 0.5)) * inv_tile), ZERO)
    x1 = minimum(floor((x + ex - HALF) * inv_tile), f32((width - 1) // TILE))
    y1 = minimum(floor((y + ey - HALF) * inv_tile), f32((height - 1) // TILE))
    x1 = where_greater(seen, ZERO, x1, -ONE)
    x0 = where_greater(seen, ZERO, x0, ZERO)
    tiles = maximum(x1 - x0 + ONE, ZERO) * maximum(y1 - y0 + ONE, ZERO)

    put(s, FIELDS + X, x)
    put(s, FIELDS + Y, y)
    put(s, FIELDS + STEEP_X, HALF_LOG2E * yy / det)
    put(s, FIELDS + LEAN, xy / yy)
    put(s, FIELDS + STEEP_Y, HALF_LOG2E / yy)
    put(s, FIELDS + PEAK, peak)
    put(s, FIELDS + DEPTH, z * seen)
    put(s, FIELDS + TILE_X0, x0)
    put(s, FIELDS + TILE_X1, x1)
    put(s, FIELDS + TILE_Y0, y0)
    put(s, FIELDS + TILE_Y1, y1)
    put(s, FIELDS + REACH_X, ex)
    put(s, FIELDS + REACH_Y, ey)
    put(s, PULL + 2, tiles)
    pairs = 0
    for lane in range(count):
        pairs += int(s[(PULL + 2) * LANES + lane])
    return pairs


@njit(**_JIT)
def _direction_lanes(s):
    c = CAMERA * LANES
    dx = get(s, MEAN) - s[c + 20]
    dy = get(s, MEAN + 1) - s[c + 21]
    dz = get(s, MEAN + 2) - s[c + 22]
    inverse = ONE / sqrt(maximum(dx * dx + dy * dy + dz * dz, TINY))
    put(s, DIRECTION, dx * inverse)
    put(s, DIRECTION + 1, dy * inverse)
    put(s, DIRECTION + 2, dz * inverse)
    put(s, INV_DISTANCE, inverse)


@njit(**_JIT)
def _basis_lanes(s, degree):
    """Spherical harmonics at DIRECTION; order and signs as in avatar.render.reference."""
    x, y, z = get(s, DIRECTION), get(s, DIRECTION + 1), get(s, DIRECTION + 2)
    put(s, BASIS, splat(SH0))
    if degree >= 1:
        put(s, BASIS + 1, -SH1 * y)
        put(s, BASIS + 2, SH1 * z)
        put(s, BASIS + 3, -SH1 * x)
    if degree >= 2:
        put(s, BASIS + 4, SH2A * x * y)
        put(s, BASIS + 5, -SH2A * y * z)
        put(s, BASIS + 6, SH2B * (THREE * z * z - ONE))
        put(s, BASIS + 7, -SH2A * x * z)
        put(s, BASIS + 8, SH2C * (x * x - y * y))
    if degree >= 3:
        put(s, BASIS + 9, -SH3A * y * (THREE * x * x - y * y))
        put(s, BASIS + 10, SH3B * x * y * z)
        put(s, BASIS + 11, -SH3C * y * (FIVE * z * z - ONE))
        put(s, BASIS + 12, SH3D * z * (FIVE * z * z - THREE))
        put(s, BASIS + 13, -SH3C * x * (FIVE * z * z - ONE))
        put(s, BASIS + 14, SH3E * z * (x * x - y * y))
        put(s, BASIS + 15, -SH3A * x * (x * x - THREE * y * y))


@njit(**_JIT)
def _shade(colors, first, count, bases, used, s):
    """Colours SH + 0.5, cut off below 0."""
    for lane in range(count):
        at = (first + lane) * bases * 3
        red, green, blue = HALF, HALF, HALF
        for k in range(used):
            weight = s[(BASIS + k) * LANES + lane]
            red += weight * colors[at + 3 * k]
            green += weight * colors[at + 3 * k + 1]
            blue += weight * colors[at + 3 * k + 2]
        s[(FIELDS + RGB) * LANES + lane] = max(red, ZERO)
        s[(FIELDS + RGB + 1) * LANES + lane] = max(green, ZERO)
        s[(FIELDS + RGB + 2) * LANES + lane] = max(blue, ZERO)


@njit(**_WORKER)
def project(inputs, cameras, size, shared, sh_degree, bases, out, bounds, queue, own, memory):
    """Fill records [I, N, 16], means2d and radii [I, N, 2], and bounds [I, chunks].

    inputs: means, quats, scales, opacities, colors; cameras: viewmats, Ks; all flat.
    shared: whether opacities and colors are the same for the whole batch; the batch's size.
    sh_degree: -1 for plain colours. bases: coefficients per Gaussian and channel.
    bounds: how many tile pairs the chunk of Gaussians makes at most.
    """
    viewmats, Ks = cameras
    images, chunks = bounds.shape
    n = inputs[0].size // (3 * shared[2])
    per_batch = images // shared[2]
    s = memory[0]
    while True:
        task = take_task(queue, own)
        if task < 0:
            return
        image, chunk = task // chunks, task % chunks
        _read_camera(viewmats, Ks, image, size[0], size[1], s)
        first = chunk * CHUNK
        bounds[image, chunk] = _project_task(
            *(image, first, min(first + CHUNK, n), n, image // per_batch, shared[:2]),
            *(inputs, size, sh_degree, bases, out, s),
        )


# ---------------------------------------------------------------- sorting and binning

RADIX_BITS = 12  # of a digit at most
RADIX = 1 << RADIX_BITS


@njit(**_JIT)
def _sort_task(image, n, records, record_bits, sort):
    """Visible Gaussians of one image by depth, stable: least significant digit first."""
    order, keys, spare_order, spare_keys, seen, histogram = sort
    base = image * n
    count, low, high = 0, np.int32(0x7FFFFFFF), np.int32(0)
    for i in range(base, base + n):
        key = record_bits[i * RECORD + DEPTH]  # positive floats sort like their bits
        if key > 0:
            keys[base + count] = key
            order[base + count] = i
            count += 1
            low, high = min(low, key), max(high, key)
    seen[image] = count
    bits = 0
    while count > 1 and (high - low) >> bits > 0:
        bits += 1
    passes = -(-bits // RADIX_BITS)
    width = -(-bits // max(passes, 1))
    digits, mask = histogram[image], (1 << width) - 1
    for number in range(passes):
        shift = number * width
        digits[: mask + 1] = 0
        for j in range(base, base + count):
            digits[((keys[j] - low) >> shift) & mask] += 1
        position = base
        for d in range(mask + 1):
            position, digits[d] = position + digits[d], position
        for j in range(base, base + count):
            digit = ((keys[j] - low) >> shift) & mask
            position = digits[digit]
            digits[digit] = position + 1
            spare_keys[position], spare_order[position] = keys[j], order[j]
        keys, spare_keys = spare_keys, keys
        order, spare_order = spare_order, order
    if passes % 2 == 1:
        for j in range(base, base + count):
            spare_order[j] = order[j]


@njit(**_JIT)
def _tile_span(records, r, row):
    """Leftmost and rightmost tile of a row of tiles that a footprint touches.

    Over the row's strip of y the ellipse reaches furthest right at its rightmost point, or as near
    to it as the strip allows; left likewise.
    """
    ex, ey = records[r + REACH_X], records[r + REACH_Y]
    cut = (records[r + PEAK] + LOG2_255) * GROW + PAD
    lean = records[r + LEAN]
    tip = lean * ey * ey / ex
    low = f32(row * TILE) + HALF - records[r + Y]
    high = low + f32(TILE - 1)
    right = min(max(tip, low), high)
    left = min(max(-tip, low), high)
    room_right = cut * (ONE - (right / ey) * (right / ey))
    room_left = cut * (ONE - (left / ey) * (left / ey))
    if min(room_right, room_left) < ZERO:
        return 0, -1
    reach_right = lean * right + np.sqrt(room_right / records[r + STEEP_X])
    reach_left = lean * left - np.sqrt(room_left / records[r + STEEP_X])
    x = records[r + X]
    first = np.ceil((x + reach_left - f32(TILE - 0.5)) * f32(1.0 / TILE))
    last = np.floor((x + reach_right - HALF) * f32(1.0 / TILE))
    first = max(first, records[r + TILE_X0])
    last = min(last, records[r + TILE_X1])
    return int(first), int(last)


@njit(**_JIT)
def _pair_task(first, last, slot, across, records, slots, pair_tile):
    """List the tiles each Gaussian touches, in the Gaussians' order."""
    for i in range(first, last):
        slots[2 * i] = slot
        r = i * RECORD
        x0, x1 = int(records[r + TILE_X0]), int(records[r + TILE_X1])
        y0, y1 = int(records[r + TILE_Y0]), int(records[r + TILE_Y1])
        exact = x1 > x0 and y1 > y0
        if x1 < x0:
            y1 = y0 - 1
        for y in range(y0, y1 + 1):
            if exact:
                x0, x1 = _tile_span(records, r, y)
            for x in range(x0, x1 + 1):
                pair_tile[slot] = y * across + x
                slot += 1
        slots[2 * i + 1] = slot


@njit(**_JIT)
def _fill_task(image, n, tiles, base, order, seen, slots, pair_tile, lists, tile_range):
    """Each tile's Gaussians, nearest first, and their slots: a counting sort."""
    start, first = image * tiles, image * n
    for t in range(start, start + tiles):
        tile_range[t, 1] = 0
    for i in range(first, first + n):
        for slot in range(slots[2 * i], slots[2 * i + 1]):
            tile_range[start + pair_tile[slot], 1] += 1
    for t in range(start, start + tiles):
        length = tile_range[t, 1]
        tile_range[t, 0], tile_range[t, 1] = base, base
        base += length
    end = first + seen[image]
    for j in range(first, end):
        prefetch(slots, 2 * peek(order, min(j + 16, end - 1)))
        ahead = peek(slots, 2 * peek(order, min(j + 8, end - 1)))
        prefetch(pair_tile, ahead)
        i = order[j]
        for slot in range(slots[2 * i], slots[2 * i + 1]):
            t = start + pair_tile[slot]
            position = tile_range[t, 1]
            tile_range[t, 1] = position + 1
            lists[2 * position] = i
            lists[2 * position + 1] = slot


@njit(**_WORKER)
def sort_and_pair(size, n, records, record_bits, bases, slots, pair_tile, sort, queue, own, memory):
    """Sort each image's Gaussians by depth, and list the tiles that each Gaussian touches.

    bases [I, chunks]: where a chunk's slots, one for each pair of a Gaussian and a tile, begin.
    Fills slots [I, N, 2], the first and the end of each Gaussian's, and pair_tile [slots].
    record_bits: the records as integers. sort: see _sort_task.
    """
    images, chunks = bases.shape
    across = (size[0] + TILE - 1) // TILE
    while True:
        task = take_task(queue, own)
        if task < 0:
            return
        if task < images:  # the longest first
            _sort_task(task, n, records, record_bits, sort)
            continue
        image, chunk = (task - images) // chunks, (task - images) % chunks
        first = image * n + chunk * CHUNK
        last = min(first + CHUNK, image * n + n)
        _pair_task(first, last, bases[image, chunk], across, records, slots, pair_tile)


@njit(**_WORKER)
def list_tiles(n, bases, slots, pair_tile, sort, lists, tile_range, queue, own, memory):
    """Fill lists [slots, 2] and tile_range [I tiles, 2], each tile's part of it.

    A row of lists, or a place, is a Gaussian of a tile and its slot.
    """
    images = bases.shape[0]
    tiles = tile_range.shape[0] // images
    while True:
        image = take_task(queue, own)
        if image < 0:
            return
        base = bases[image, 0] if bases.size > 0 else 0
        _fill_task(*(image, n, tiles, base, sort[0], sort[4], slots, pair_tile, lists, tile_range))


# ---------------------------------------------------------------- blending, forward

# Rows of sixteen in a worker's scratch memory while it blends.
PIXEL_X, PIXEL_Y = 0, 8  # centres of a block's pixels by block column and row, from the tile's edge
LOCAL = 16  # eight fields of sixteen Gaussians or of a block's sixteen pixels
STATE = 32  # forward: T, r, g, b of each block; backward: T, Q and dL/d(r, g, b, alpha)
# A row of padding after each band: else blocks some bands apart look the same to the store queue.
SCRATCH_ROWS = STATE + (6 * SIDE + 1) * SIDE
SPAN_INTEGERS = 2 * LANES  # masks of the blocks sixteen Gaussians touch: upper half, lower half


@njit(**_JIT)
def _state(rows, block):
    """First row of the state of block 0..63 of a tile, in reading order; rows: that a block has."""
    return STATE + rows * block + (block >> 3)


@njit(**_JIT)
def _fill_pixel_centres(s):
    for block in range(SIDE):
        for lane in range(LANES):
            s[(PIXEL_X + block) * LANES + lane] = f32(4 * block + lane % 4) + HALF
            s[(PIXEL_Y + block) * LANES + lane] = f32(4 * block + lane // 4) + HALF


@njit(**_JIT)
def _batch_blocks(records, lists, start, count, left, top, s, spans):
    """Masks of the blocks of a tile that each of sixteen Gaussians touches.

    The same geometry as in _tile_span, sixteen Gaussians at a time.
    """
    for lane in range(LANES):
        r = peek(lists, 2 * (start + min(lane, count - 1))) * RECORD
        s[LOCAL * LANES + lane] = peek(records, r + X) - left
        s[(LOCAL + 1) * LANES + lane] = peek(records, r + Y) - top
        s[(LOCAL + 2) * LANES + lane] = peek(records, r + STEEP_X)
        s[(LOCAL + 3) * LANES + lane] = peek(records, r + LEAN)
        s[(LOCAL + 4) * LANES + lane] = peek(records, r + PEAK)
        s[(LOCAL + 5) * LANES + lane] = peek(records, r + REACH_X)
        s[(LOCAL + 6) * LANES + lane] = peek(records, r + REACH_Y)
    x, y, lean = get(s, LOCAL), get(s, LOCAL + 1), get(s, LOCAL + 3)
    inv_steep = ONE / get(s, LOCAL + 2)
    cut = (get(s, LOCAL + 4) + LOG2_255) * GROW + PAD
    ex, ey = get(s, LOCAL + 5), get(s, LOCAL + 6)
    band_first = (y - ey - f32(3.5)) * QUARTER
    band_last = (y + ey - HALF) * QUARTER
    for lane in range(2 * LANES):
        spans[lane] = 0
    curve = cut / (ey * ey)
    tip = lean * ey * ey / ex
    for band in range(SIDE):
        low = f32(4 * band) + HALF - y
        high = low + THREE
        right = minimum(maximum(tip, low), high)
        left_ = minimum(maximum(ZERO - tip, low), high)
        room_right = cut - curve * right * right
        room_left = cut - curve * left_ * left_
        reach_right = lean * right + sqrt(maximum(room_right, ZERO) * inv_steep)
        reach_left = lean * left_ - sqrt(maximum(room_left, ZERO) * inv_steep)
        first = maximum(ceil((x + reach_left - f32(3.5)) * QUARTER), ZERO)
        last = minimum(floor((x + reach_right - HALF) * QUARTER), f32(SIDE - 1))
        first = minimum(first, f32(SIDE))
        end = maximum(last + ONE, first)
        end = where_less(minimum(room_right, room_left), ZERO, first, end)
        end = where_less(f32(band), band_first, first, end)
        end = where_less(band_last, f32(band), first, end)
        add_blocks(spans, band // 4, first, end, band % 4)


@njit(**_JIT)
def _live_blocks(s, rows):
    """Mask of the unfinished blocks."""
    live = np.uint64(0)
    for block in range(SIDE * SIDE):
        if any_positive(get(s, _state(rows, block))):
            live |= np.uint64(1) << np.uint64(block)
    return live


@njit(**_JIT)
def _blocks(spans, lane):
    """Mask of the blocks of a tile that one Gaussian touches."""
    low = np.uint64(np.uint32(peek(spans, lane)))
    high = np.uint64(np.uint32(peek(spans, LANES + lane)))
    return low | high << np.uint64(32)


@njit(**_JIT)
def _start_tile(place, s, rows):
    """T = 1 in the image and -1, which means finished, outside; the rest 0."""
    _, left, top, width, height = place
    for block in range(SIDE * SIDE):
        x = f32(left) + get(s, PIXEL_X + block % SIDE)
        y = f32(top) + get(s, PIXEL_Y + block // SIDE)
        inside = where_less(x, f32(width), where_less(y, f32(height), splat(ONE), -ONE), -ONE)
        b = _state(rows, block)
        put(s, b, inside)
        for row in range(1, rows):
            put(s, b + row, splat(ZERO))


@njit(**_JIT)
def _forward_tile(tile, place, records, lists, tile_range, tile_end, touched, pictures, s, spans):
    """Blend one tile of one image, front to back."""
    _start_tile(place, s, 4)
    start, end = tile_range[tile, 0], tile_range[tile, 1]
    left, top = f32(place[1]), f32(place[2])
    batches = 0
    live = np.uint64(0)
    while start < end:
        if batches % 2 == 0:
            live = _live_blocks(s, 4)
            if live == 0:
                break
        count = min(LANES, end - start)
        for position in range(start + LANES, min(start + 2 * LANES, end)):
            prefetch(records, peek(lists, 2 * position) * RECORD)
        _batch_blocks(records, lists, start, count, left, top, s, spans)
        for lane in range(count):
            blocks = _blocks(spans, lane)
            touched[start + lane] = blocks
            _forward_splat(lists[2 * (start + lane)], left, top, records, s, blocks & live)
        start += count
        batches += 1
    tile_end[tile] = start
    _finish_tile(place, pictures, s)


@njit(**_JIT)
def _forward_splat(i, left, top, records, s, blocks):
    """Blend one Gaussian into the tile.

    A finished pixel has T < 0: then T - alpha T is below the threshold too, and it stays so.
    """
    r = i * RECORD
    x, y = peek(records, r + X) - left, peek(records, r + Y) - top
    steep_x, lean = peek(records, r + STEEP_X), peek(records, r + LEAN)
    steep_y, peak = peek(records, r + STEEP_Y), peek(records, r + PEAK)
    red, green = peek(records, r + RGB), peek(records, r + RGB + 1)
    blue = peek(records, r + RGB + 2)
    while blocks != 0:
        block = first_bit(blocks)
        blocks &= blocks - np.uint64(1)
        b = _state(4, block)
        dy = y - get(s, PIXEL_Y + (block >> 3))
        ridge, height = x - lean * dy, peak - steep_y * dy * dy
        d = ridge - get(s, PIXEL_X + (block & 7))
        power = height - steep_x * d * d
        alpha = minimum(exp2(power), MAX_ALPHA)
        before = get(s, b)
        weight = where_at_least(power, LOG2_MIN_ALPHA, alpha * before, ZERO)
        after = before - weight
        weight = where_greater(after, MIN_TRANSMITTANCE, weight, ZERO)
        after = where_greater(after, MIN_TRANSMITTANCE, after, ZERO - absolute(before))
        put(s, b, after)
        put(s, b + 1, get(s, b + 1) + weight * red)
        put(s, b + 2, get(s, b + 2) + weight * green)
        put(s, b + 3, get(s, b + 3) + weight * blue)


@njit(**_JIT)
def _finish_tile(place, pictures, s):
    """Write a tile over the background."""
    image, left, top, width, height = place
    images, alphas, backgrounds = pictures
    for block in range(SIDE * SIDE):
        x0, y0 = left + 4 * (block % SIDE), top + 4 * (block // SIDE)
        b = _state(4, block)
        through = absolute(get(s, b))
        red = get(s, b + 1) + through * backgrounds[3 * image]
        green = get(s, b + 2) + through * backgrounds[3 * image + 1]
        blue = get(s, b + 3) + through * backgrounds[3 * image + 2]
        start = (image * height + y0) * width + x0
        if x0 + 4 <= width and y0 + 4 <= height:
            store_plane(alphas, start, width, ONE - through)
            store_pixels(images, 3 * start, 3 * width, red, green, blue)
            continue
        put(s, LOCAL, ONE - through)
        put(s, LOCAL + 1, red)
        put(s, LOCAL + 2, green)
        put(s, LOCAL + 3, blue)
        for y in range(min(4, height - y0)):
            for x in range(min(4, width - x0)):
                pixel, lane = start + y * width + x, LOCAL * LANES + 4 * y + x
                alphas[pixel] = s[lane]
                for k in range(3):
                    images[3 * pixel + k] = s[lane + (1 + k) * LANES]


@njit(**_JIT)
def _place(tile, size):
    """Image, left, top, width, height of a tile."""
    width, height = size
    across, down = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    image, rest = tile // (across * down), tile % (across * down)
    return image, rest % across * TILE, rest // across * TILE, width, height


@njit(**_WORKER)
def blend(size, records, lists, tile_range, tile_end, touched, pictures, queue, own, memory):
    """Images [I, H, W, 3] and alphas [I, H, W] over backgrounds [I, 3].

    tile_end [I tiles]: where in lists all pixels of a tile were finished. touched [slots]: masks
    of the blocks that a place's Gaussian touches in its tile.
    """
    s, spans = memory
    _fill_pixel_centres(s)
    while True:
        tile = take_task(queue, own)
        if tile < 0:
            return
        place = _place(tile, size)
        _forward_tile(
            *(tile, place, records, lists, tile_range, tile_end, touched, pictures, s, spans)
        )


# ---------------------------------------------------------------- blending, backward


def _make_splat_backward(capped):
    """One Gaussian's sums over the tile's pixels (see SUM_G), and the pixels' T and Q after it.

    capped: whether its alpha may exceed MAX_ALPHA; for the others a tenth of the work is saved.
    """

    @njit(**_JIT)
    def splat_backward(i, left, top, records, s, blocks):
        r = i * RECORD
        x, y = peek(records, r + X) - left, peek(records, r + Y) - top
        steep_x, lean = peek(records, r + STEEP_X), peek(records, r + LEAN)
        steep_y, peak = peek(records, r + STEEP_Y), peek(records, r + PEAK)
        red, green = peek(records, r + RGB), peek(records, r + RGB + 1)
        blue = peek(records, r + RGB + 2)
        zero = splat(ZERO)
        g_sum, gx_sum, gy_sum, gxx_sum, gxy_sum, gyy_sum = zero, zero, zero, zero, zero, zero
        red_sum, green_sum, blue_sum = zero, zero, zero
        while blocks != 0:
            block = first_bit(blocks)
            blocks &= blocks - np.uint64(1)
            b = _state(6, block)
            dy = y - get(s, PIXEL_Y + (block >> 3))
            ridge, height = x - lean * dy, peak - steep_y * dy * dy
            d = ridge - get(s, PIXEL_X + (block & 7))
            power = height - steep_x * d * d
            raw = exp2(power)
            before = get(s, b)
            alpha = minimum(raw, MAX_ALPHA) if capped else raw
            weight = where_at_least(power, LOG2_MIN_ALPHA, alpha * before, ZERO)
            after = before - weight
            weight = where_greater(after, MIN_TRANSMITTANCE, weight, ZERO)
            put(s, b, where_greater(after, MIN_TRANSMITTANCE, after, -ONE))
            vr, vg, vb = get(s, b + 2), get(s, b + 3), get(s, b + 4)
            q = get(s, b + 5) + vr * red + vg * green + vb * blue
            rest = get(s, b + 1) - weight * q
            put(s, b + 1, rest)
            g = weight * (q - rest / after)
            if capped:
                g = where_greater(raw, MAX_ALPHA, ZERO, g)
            gx, gy = g * d, g * dy
            g_sum = g_sum + g
            gx_sum = gx_sum + gx
            gy_sum = gy_sum + gy
            gxx_sum = gxx_sum + gx * d
            gxy_sum = gxy_sum + gx * dy
            gyy_sum = gyy_sum + gy * dy
            red_sum = red_sum + weight * vr
            green_sum = green_sum + weight * vg
            blue_sum = blue_sum + weight * vb
        return sums(
            (g_sum, gx_sum, gy_sum, gxx_sum, gxy_sum, gyy_sum, red_sum, green_sum, blue_sum)
        )

    return splat_backward


_backward_uncapped, _backward_capped = (_make_splat_backward(capped) for capped in (False, True))


@njit(**_JIT)
def _backward_tile(tile, place, records, lists, tile_range, tile_end, touched, pictures, out, s):
    """Replay one tile front to back and leave each Gaussian's sums in its slot."""
    start, end = tile_range[tile, 0], tile_end[tile]
    if start < end:
        _start_tile(place, s, 6)
        _start_gradients(place, pictures, s)
    left, top = f32(place[1]), f32(place[2])
    live = np.uint64(0)
    for position in range(start, end):
        if (position - start) % (2 * LANES) == 0:
            live = _live_blocks(s, 6)
        ahead = 2 * min(position + LANES, end - 1)
        prefetch(records, peek(lists, ahead) * RECORD)
        prefetch_to_write(out, peek(lists, ahead + 1) * RECORD)
        i, slot, blocks = lists[2 * position], lists[2 * position + 1], touched[position] & live
        if records[i * RECORD + PEAK] > LOG2_MAX_ALPHA:
            put(out, slot, _backward_capped(i, left, top, records, s, blocks))
        else:
            put(out, slot, _backward_uncapped(i, left, top, records, s, blocks))
    for position in range(end, tile_range[tile, 1]):  # behind the last finished pixel
        put(out, lists[2 * position + 1], splat(ZERO))


@njit(**_JIT)
def _gather_block(start, across, down, width, pictures, s):
    """Rows LOCAL: alpha, dL/dalpha, image and dL/dimage of a block; `start` is its first pixel.

    across, down: pixels left in the image; beyond them the last is repeated.
    """
    images, alphas, _, v_images, v_alphas = pictures
    if across >= 4 and down >= 4:
        put(s, LOCAL, load_plane(alphas, start, width))
        put(s, LOCAL + 1, load_plane(v_alphas, start, width))
        red, green, blue = load_pixels(images, 3 * start, 3 * width)
        put(s, LOCAL + 2, red)
        put(s, LOCAL + 3, green)
        put(s, LOCAL + 4, blue)
        red, green, blue = load_pixels(v_images, 3 * start, 3 * width)
        put(s, LOCAL + 5, red)
        put(s, LOCAL + 6, green)
        put(s, LOCAL + 7, blue)
        return
    for lane in range(LANES):
        pixel = start + min(lane // 4, down - 1) * width + min(lane % 4, across - 1)
        t = LOCAL * LANES + lane
        s[t], s[t + LANES] = alphas[pixel], v_alphas[pixel]
        for k in range(3):
            s[t + (2 + k) * LANES] = images[3 * pixel + k]
            s[t + (5 + k) * LANES] = v_images[3 * pixel + k]


@njit(**_JIT)
def _start_gradients(place, pictures, s):
    """Q and the pixels' gradients.

    With weights w_i, colours c_i, v = dL/dimage and u = dL/dalpha - v . background, the pixel adds
    sum w_i q_i to the loss to first order, q_i = v . c_i + u. Q starts as that sum and loses each
    term as the replay passes it: dL/dlog(alpha_i) = w_i (q_i - Q_after / T_after).
    """
    image, left, top, width, height = place
    backgrounds = pictures[2]
    for block in range(SIDE * SIDE):
        x0, y0 = left + 4 * (block % SIDE), top + 4 * (block // SIDE)
        if x0 >= width or y0 >= height:
            continue
        _gather_block(
            (image * height + y0) * width + x0, width - x0, height - y0, width, pictures, s
        )
        b = _state(6, block)
        alpha, u = get(s, LOCAL), get(s, LOCAL + 1)
        total = splat(ZERO)
        for k in range(3):
            v, background = get(s, LOCAL + 5 + k), backgrounds[3 * image + k]
            put(s, b + 2 + k, v)
            u = u - v * background
            total = total + v * (get(s, LOCAL + 2 + k) - (ONE - alpha) * background)
        put(s, b + 1, total + u * alpha)
        put(s, b + 5, u)


@njit(**_WORKER)
def blend_backward(
    size, records, lists, tile_range, tile_end, touched, pictures, slot_sums, queue, own, memory
):
    """Leave in slot_sums [slots, 16] the sums (see SUM_G) of a Gaussian over each of its tiles.

    pictures: images, alphas, backgrounds as `blend` left them, then dL/dimages and dL/dalphas.
    """
    s = memory[0]
    _fill_pixel_centres(s)
    while True:
        tile = take_task(queue, own)
        if tile < 0:
            return
        place = _place(tile, size)
        _backward_tile(
            *(tile, place, records, lists, tile_range, tile_end, touched, pictures, slot_sums, s)
        )


@njit(**_WORKER)
def collect(records, slots, slot_sums, v_records, v_means2d, queue, own, memory):
    """Add up each Gaussian's slots, in order: v_records [I, N, 16] and dL/d(means2d) [I, N, 2]."""
    count = v_means2d.size // 2
    while True:
        task = take_task(queue, own)
        if task < 0:
            return
        first = task * CHUNK
        for i in range(first, min(first + CHUNK, count)):
            value = splat(ZERO)
            for slot in range(slots[2 * i], slots[2 * i + 1]):
                value = value + get(slot_sums, slot)
            put(v_records, i, value)
            r = i * RECORD
            gx, gy = v_records[r + SUM_X], v_records[r + SUM_Y]
            v_x = -TWO * LN2 * records[r + STEEP_X] * gx
            v_means2d[2 * i] = v_x
            v_y = -TWO * LN2 * records[r + STEEP_Y] * gy
            v_means2d[2 * i + 1] = v_y - records[r + LEAN] * v_x


# ---------------------------------------------------------------- projection, backward


@njit(**_JIT)
def _clear(s, first, last):
    for row in range(first, last):
        put(s, row, splat(ZERO))


@njit(**_JIT)
def _add(s, row, value):
    put(s, row, get(s, row) + value)


@njit(**_JIT)
def _unproject_lanes(s):
    """Gradients of one camera, from V_FIELDS and V_CENTRE, onto V_MEAN, V_SCALE, V_ROTATION."""
    c = CAMERA * LANES
    _view_lanes(s)
    _, xy, yy, det = _covariance_lanes(s)
    # log(alpha) = log(opacity) - (d^2 / v + dy^2 / yy) / 2, d = dx - lean dy, v = xx - xy^2 / yy.
    inv_yy, inv_v = ONE / yy, yy / det
    lean = xy * inv_yy
    v_v = HALF * get(s, V_FIELDS + SUM_XX) * inv_v * inv_v
    v_lean = get(s, V_FIELDS + SUM_XY) * inv_v * inv_yy
    vxx = v_v
    vxy = HALF * v_lean - lean * v_v  # of each of the two equal entries
    vyy = HALF * get(s, V_FIELDS + SUM_YY) * inv_yy * inv_yy + lean * (lean * v_v - v_lean)

    zero = splat(ZERO)
    ax, ay, az, bx, by, bz = zero, zero, zero, zero, zero, zero  # dL/dAXES
    for j in range(3):
        # cov = U U^T with U = SPREAD * scale, so dL/dU = 2 dL/dcov U.
        scale = get(s, SCALE + j)
        first, second = get(s, SPREAD + j), get(s, SPREAD + 3 + j)
        v_first = TWO * scale * (vxx * first + vxy * second)
        v_second = TWO * scale * (vxy * first + vyy * second)
        _add(s, V_SCALE + j, first * v_first + second * v_second)
        v_first, v_second = v_first * scale, v_second * scale
        for i in range(3):
            both = get(s, AXES + i) * v_first + get(s, AXES + 3 + i) * v_second
            _add(s, V_ROTATION + 3 * i + j, both)
        r0, r1, r2 = get(s, ROTATION + j), get(s, ROTATION + 3 + j), get(s, ROTATION + 6 + j)
        ax, ay, az = ax + v_first * r0, ay + v_first * r1, az + v_first * r2
        bx, by, bz = bx + v_second * r0, by + v_second * r1, bz + v_second * r2

    # AXES = focal / z * (row of R - limited slope * last row of R)
    iz, fx, fy = get(s, INV_Z), s[c + 12], s[c + 13]
    u, v = get(s, SLOPE), get(s, SLOPE + 1)
    a_last = ax * s[c + 8] + ay * s[c + 9] + az * s[c + 10]
    b_last = bx * s[c + 8] + by * s[c + 9] + bz * s[c + 10]
    a_own = ax * s[c + 0] + ay * s[c + 1] + az * s[c + 2]
    b_own = bx * s[c + 4] + by * s[c + 5] + bz * s[c + 6]
    v_iz = fx * (a_own - u * a_last) + fy * (b_own - v * b_last)
    x, y = get(s, POINT), get(s, POINT + 1)
    v_u, v_v = ZERO - fx * iz * a_last, ZERO - fy * iz * b_last
    # Flat beyond the limits.
    v_u = where_less(x * iz, s[c + 16], ZERO, where_greater(x * iz, s[c + 18], ZERO, v_u))
    v_v = where_less(y * iz, s[c + 17], ZERO, where_greater(y * iz, s[c + 19], ZERO, v_v))
    # The centre itself is not limited.
    v_u, v_v = v_u + fx * get(s, V_CENTRE), v_v + fy * get(s, V_CENTRE + 1)
    v_x, v_y = v_u * iz, v_v * iz
    v_z = ZERO - (v_iz + v_u * x + v_v * y) * iz * iz
    for j in range(3):
        _add(s, V_MEAN + j, s[c + j] * v_x + s[c + 4 + j] * v_y + s[c + 8 + j] * v_z)


@njit(**_JIT)
def _unrotate_lanes(s):
    """V_QUAT from V_ROTATION, through the normalisation."""
    w, x, y, z = get(s, QUAT), get(s, QUAT + 1), get(s, QUAT + 2), get(s, QUAT + 3)
    r00, r01, r02 = get(s, V_ROTATION), get(s, V_ROTATION + 1), get(s, V_ROTATION + 2)
    r10, r11, r12 = get(s, V_ROTATION + 3), get(s, V_ROTATION + 4), get(s, V_ROTATION + 5)
    r20, r21, r22 = get(s, V_ROTATION + 6), get(s, V_ROTATION + 7), get(s, V_ROTATION + 8)
    vw = TWO * (x * (r21 - r12) + y * (r02 - r20) + z * (r10 - r01))
    vx = TWO * (y * (r01 + r10) + z * (r02 + r20) + w * (r21 - r12) - TWO * x * (r11 + r22))
    vy = TWO * (x * (r01 + r10) + z * (r12 + r21) + w * (r02 - r20) - TWO * y * (r00 + r22))
    vz = TWO * (x * (r02 + r20) + y * (r12 + r21) + w * (r10 - r01) - TWO * z * (r00 + r11))
    along = w * vw + x * vx + y * vy + z * vz
    inverse = get(s, QUAT_NORM)
    put(s, V_QUAT, (vw - along * w) * inverse)
    put(s, V_QUAT + 1, (vx - along * x) * inverse)
    put(s, V_QUAT + 2, (vy - along * y) * inverse)
    put(s, V_QUAT + 3, (vz - along * z) * inverse)


@njit(**_JIT)
def _unshade(colors, v_colors, first, at, count, bases, used, fresh, records, s):
    """Gradients of the coefficients, and PULL = dL/d(basis), from those of the colours.

    fresh: overwrite v_colors rather than add to it.
    """
    for lane in range(count):
        c, r = (first + lane) * bases * 3, (at + lane) * RECORD + RGB
        # Colours that were cut off at 0 pull on nothing.
        red = s[(V_FIELDS + SUM_RED) * LANES + lane] if records[r] > ZERO else ZERO
        green = s[(V_FIELDS + SUM_GREEN) * LANES + lane] if records[r + 1] > ZERO else ZERO
        blue = s[(V_FIELDS + SUM_BLUE) * LANES + lane] if records[r + 2] > ZERO else ZERO
        for k in range(used):
            b = c + 3 * k
            s[(PULL + k) * LANES + lane] = (
                red * colors[b] + green * colors[b + 1] + blue * colors[b + 2]
            )
            weight = s[(BASIS + k) * LANES + lane]
            if fresh:
                v_colors[b], v_colors[b + 1], v_colors[b + 2] = ZERO, ZERO, ZERO
            v_colors[b] += weight * red
            v_colors[b + 1] += weight * green
            v_colors[b + 2] += weight * blue


@njit(**_JIT)
def _unbasis_lanes(s, degree):
    """Add to V_MEAN what comes through the direction of view, from PULL."""
    x, y, z = get(s, DIRECTION), get(s, DIRECTION + 1), get(s, DIRECTION + 2)
    vx, vy, vz = splat(ZERO), splat(ZERO), splat(ZERO)
    if degree >= 1:
        vx = -SH1 * get(s, PULL + 3)
        vy = -SH1 * get(s, PULL + 1)
        vz = SH1 * get(s, PULL + 2)
    if degree >= 2:
        p4, p5, p7 = SH2A * get(s, PULL + 4), SH2A * get(s, PULL + 5), SH2A * get(s, PULL + 7)
        p6, p8 = f32(6.0) * SH2B * get(s, PULL + 6), TWO * SH2C * get(s, PULL + 8)
        vx = vx + p4 * y - p7 * z + p8 * x
        vy = vy + p4 * x - p5 * z - p8 * y
        vz = vz - p5 * y - p7 * x + p6 * z
    if degree >= 3:
        p9, p15 = SH3A * get(s, PULL + 9), SH3A * get(s, PULL + 15)
        p11, p13 = SH3C * get(s, PULL + 11), SH3C * get(s, PULL + 13)
        p10, p12, p14 = (
            SH3B * get(s, PULL + 10),
            SH3D * get(s, PULL + 12),
            SH3E * get(s, PULL + 14),
        )
        difference, ring = x * x - y * y, ONE - FIVE * z * z
        vx = vx - f32(6.0) * p9 * x * y + p10 * y * z + ring * p13
        vx = vx + TWO * p14 * x * z - THREE * p15 * difference
        vy = vy - THREE * p9 * difference + p10 * x * z + ring * p11
        vy = vy - TWO * p14 * y * z + f32(6.0) * p15 * x * y
        vz = vz + p10 * x * y - f32(10.0) * z * (p11 * y + p13 * x)
        vz = vz + p12 * (f32(15.0) * z * z - THREE) + p14 * difference
    along = x * vx + y * vy + z * vz
    inverse = get(s, INV_DISTANCE)
    _add(s, V_MEAN, (vx - along * x) * inverse)
    _add(s, V_MEAN + 1, (vy - along * y) * inverse)
    _add(s, V_MEAN + 2, (vz - along * z) * inverse)


@njit(**_JIT)
def _mask_lanes(s):
    """Nothing comes from Gaussians that are not seen."""
    seen = get(s, FIELDS + DEPTH)
    for row in range(V_FIELDS, V_CENTRE + 2):
        put(s, row, where_greater(seen, ZERO, get(s, row), ZERO))


@njit(**_JIT)
def _unproject_batch(start, count, n, view, inputs, shared, sh_degree, bases, v_in, v_out, s):
    """Gradients of sixteen Gaussians at one timestep, over its cameras in order."""
    means, quats, scales, opacities, colors = inputs
    records, v_records, v_means2d = v_in
    v_means, v_quats, v_scales, v_opacities, v_colors = v_out
    batch, per_batch, viewmats, Ks, width, height = view
    at = batch * n + start
    _gather_3(means, at, count, s, MEAN)
    _gather_4(quats, at, count, s, QUAT)
    _gather_3(scales, at, count, s, SCALE)
    at_opacity, at_color = start if shared[0] else at, start if shared[1] else at
    _gather_1(opacities, at_opacity, count, s, OPACITY)
    _rotate_lanes(s)
    _clear(s, V_MEAN, CAMERA)
    for image in range(batch * per_batch, (batch + 1) * per_batch):
        if per_batch > 1 or start % CHUNK == 0:  # else it is still there from this chunk's last 16
            _read_camera(viewmats, Ks, image, width, height, s)
        row = image * n + start
        _gather_records(records, row, count, s, FIELDS)
        _gather_records(v_records, row, count, s, V_FIELDS)
        _gather_2(v_means2d, row, count, s, V_CENTRE)
        _mask_lanes(s)
        _unproject_lanes(s)
        _add(s, V_OPACITY, get(s, V_FIELDS + SUM_G) / maximum(get(s, OPACITY), TINY))
        if sh_degree < 0:
            _add(s, V_COLOR, get(s, V_FIELDS + SUM_RED))
            _add(s, V_COLOR + 1, get(s, V_FIELDS + SUM_GREEN))
            _add(s, V_COLOR + 2, get(s, V_FIELDS + SUM_BLUE))
        elif bases == 1:
            for k, field in enumerate((SUM_RED, SUM_GREEN, SUM_BLUE)):
                color, pull = get(s, FIELDS + RGB + k), SH0 * get(s, V_FIELDS + field)
                _add(s, V_COLOR + k, where_greater(color, ZERO, pull, ZERO))  # as in _unshade
        else:
            fresh = image == batch * per_batch and (batch == 0 or not shared[1])
            _direction_lanes(s)
            _basis_lanes(s, sh_degree)
            used = (sh_degree + 1) ** 2
            _unshade(colors, v_colors, at_color, row, count, bases, used, fresh, records, s)
            _unbasis_lanes(s, sh_degree)
    _unrotate_lanes(s)
    if shared[0] and batch > 0:
        _gather_1(v_opacities, start, count, s, V_ROTATION)
        _add(s, V_OPACITY, get(s, V_ROTATION))
    if bases == 1:
        if shared[1] and batch > 0:
            _gather_3(v_colors, start, count, s, V_ROTATION)
            for k in range(3):
                _add(s, V_COLOR + k, get(s, V_ROTATION + k))
        _scatter_3(s, V_COLOR, at_color, count, v_colors)
    _scatter_1(s, V_OPACITY, at_opacity, count, v_opacities)
    _scatter_3(s, V_MEAN, at, count, v_means)
    _scatter_4(s, V_QUAT, at, count, v_quats)
    _scatter_3(s, V_SCALE, at, count, v_scales)


@njit(**_WORKER)
def project_backward(
    inputs, cameras, size, shared, sh_degree, bases, v_in, v_out, images, queue, own, memory
):
    """Gradients of the inputs (v_out) from v_in: records, their sums over pixels, dL/d(means2d).

    The other arguments are those of `project`.
    """
    viewmats, Ks = cameras
    batches = shared[2]
    n = inputs[0].size // (3 * batches)
    s = memory[0]
    while True:
        task = take_task(queue, own)
        if task < 0:
            return
        first = task * CHUNK
        for batch in range(batches):
            view = (batch, images // batches, viewmats, Ks, size[0], size[1])
            for start in range(first, min(first + CHUNK, n), LANES):
                _unproject_batch(
                    *(start, min(LANES, n - start), n, view, inputs, shared),
                    *(sh_degree, bases, v_in, v_out, s),
                )
