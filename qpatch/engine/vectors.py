"""Sixteen numbers at once, in kernels whose runs are too short for the compiler to make vectors of them by itself."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LANES = 16
INDICES = ir.VectorType(ir.IntType(32), LANES)


@intrinsic
def move_lanes(context, source, first, factor, target, to):
    """``target[to : to + 16] = factor * source[first : first + 16]``, of contiguous arrays of one dtype."""

    def generate(context, builder, signature, arguments):
        source, first, factor, target, to = arguments
        lanes = builder.load(_place(context, builder, signature.args[0], source, first), align=1)
        builder.store(_scaled(builder, lanes, factor), _place(context, builder, signature.args[3], target, to), align=1)
        return context.get_dummy_value()

    return types.void(source, types.intp, source.dtype, target, types.intp), generate


@intrinsic
def transpose_lanes(context, source, rows, factors, column, target, to_rows, to_factors, to_column):
    """``target[to_rows[j] + to_column + i] = factors[i] to_factors[j] source[rows[i] + column + j]``, 16 i and j."""

    def generate(context, builder, signature, arguments):
        source, _, _, column, target, _, _, to_column = arguments
        kinds, tile = signature.args, []

        def entry(k, number):
            place = builder.gep(_data(context, builder, kinds[k], arguments[k]), [ir.Constant(column.type, number)])
            return builder.load(place)

        for i in range(LANES):
            place = _place(context, builder, kinds[0], source, builder.add(entry(1, i), column))
            tile.append(_scaled(builder, builder.load(place, align=1), entry(2, i)))
        for j, lanes in enumerate(_transposed(builder, tile)):
            place = _place(context, builder, kinds[4], target, builder.add(entry(5, j), to_column))
            builder.store(_scaled(builder, lanes, entry(6, j)), place, align=1)
        return context.get_dummy_value()

    arrays = source, rows, factors, types.intp, target, to_rows, to_factors, types.intp
    return types.void(*arrays), generate


@intrinsic
def transpose_square(context, values):
    """Exchange rows and columns of sixteen rows of sixteen numbers, in place."""

    def generate(context, builder, signature, arguments):
        kind, array, size = signature.args[0], arguments[0], ir.IntType(64)
        places = [_place(context, builder, kind, array, ir.Constant(size, i * LANES)) for i in range(LANES)]
        tile = [builder.load(place, align=1) for place in places]
        for place, lanes in zip(places, _transposed(builder, tile), strict=True):
            builder.store(lanes, place, align=1)
        return context.get_dummy_value()

    return types.void(values), generate


def _transposed(builder, tile):
    """Of ever smaller blocks exchange the quarters beside the diagonal."""
    for distance in (8, 4, 2, 1):
        upper = ir.Constant(INDICES, [j if not j & distance else LANES + j - distance for j in range(LANES)])
        lower = ir.Constant(INDICES, [j + distance if not j & distance else LANES + j for j in range(LANES)])
        for i in range(LANES):
            if not i & distance:
                pair = tile[i], tile[i + distance]
                tile[i], tile[i + distance] = (builder.shuffle_vector(*pair, order) for order in (upper, lower))
    return tile


def _data(context, builder, kind, array):
    return context.make_array(kind)(context, builder, array).data


def _place(context, builder, kind, array, index):
    """Where the sixteen numbers from an index on stand."""
    data = _data(context, builder, kind, array)
    return builder.bitcast(builder.gep(data, [index]), ir.VectorType(data.type.pointee, LANES).as_pointer())


def _scaled(builder, lanes, factor):
    first = builder.insert_element(ir.Constant(lanes.type, ir.Undefined), factor, ir.Constant(INDICES.element, 0))
    return builder.fmul(lanes, builder.shuffle_vector(first, first, ir.Constant(INDICES, [0] * LANES)))
