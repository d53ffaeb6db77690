/* tile_shapes.h - a function for each shape of a tile: 1 to 12 rows by 1 or 2 panels.
 *
 * Inlined into one function, the shapes get in each other's way.  Before TILE_SHAPES(type) stands
 * an always inlined run_tile(const type *, int rows, int panels); tiles[rows - 1][panels - 1] are
 * functions made of that.  For gemm_avx512.c and int16_winograd.c alone. */
#ifndef TAMIS_BASE_TILE_SHAPES_H
#define TAMIS_BASE_TILE_SHAPES_H

#define TILE_SHAPE(type, rows)                                                                     \
    static void tile_##rows##_by_1(const type *s)                                                  \
    {                                                                                              \
        run_tile(s, rows, 1);                                                                      \
    }                                                                                              \
    static void tile_##rows##_by_2(const type *s)                                                  \
    {                                                                                              \
        run_tile(s, rows, 2);                                                                      \
    }
#define TILE_BOTH(rows)                                                                            \
    {                                                                                              \
        tile_##rows##_by_1, tile_##rows##_by_2                                                     \
    }
#define TILE_SHAPES(type)                                                                          \
    TILE_SHAPE(type, 1)                                                                            \
    TILE_SHAPE(type, 2)                                                                            \
    TILE_SHAPE(type, 3)                                                                            \
    TILE_SHAPE(type, 4)                                                                            \
    TILE_SHAPE(type, 5)                                                                            \
    TILE_SHAPE(type, 6)                                                                            \
    TILE_SHAPE(type, 7)                                                                            \
    TILE_SHAPE(type, 8)                                                                            \
    TILE_SHAPE(type, 9)                                                                            \
    TILE_SHAPE(type, 10)                                                                           \
    TILE_SHAPE(type, 11)                                                                           \
    TILE_SHAPE(type, 12)                                                                           \
    static void (*const tiles[12][2])(const type *s) = {                                           \
        TILE_BOTH(1), TILE_BOTH(2), TILE_BOTH(3), TILE_BOTH(4),  TILE_BOTH(5),  TILE_BOTH(6),      \
        TILE_BOTH(7), TILE_BOTH(8), TILE_BOTH(9), TILE_BOTH(10), TILE_BOTH(11), TILE_BOTH(12)};

#endif
