/* Every instruction set and type against plain loops, without Python: a standalone program
 * (`make selfcheck`, and on aarch64 under an emulator `make aarch64`).
 * Small integers make every sum exact, so results are compared with ==; Winograd's within a bound.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastconv.h"

typedef int64_t i64;
/* Elements around every array that nothing may write; a sanitizer has red zones of its own there,
 * and sees reads too. */
#ifdef __SANITIZE_ADDRESS__
enum { GUARD = 0 };
#else
enum { GUARD = 32 };
#endif

static int failures, checks;

/* ---------------------------------------------------------------- arrays of either type */

typedef struct {
    int dtype;
    i64 size;
    char *memory; /* GUARD elements, the array, GUARD elements */
} array;

static size_t width(int dtype) { return dtype == FC_F32 ? sizeof(float) : sizeof(double); }

static void *data(const array *a) { return a->memory + GUARD * width(a->dtype); }

static double get(const array *a, i64 i) {
    return a->dtype == FC_F32 ? ((float *)data(a))[i] : ((double *)data(a))[i];
}

static void set(const array *a, i64 i, double v) {
    if (a->dtype == FC_F32) ((float *)data(a))[i] = (float)v;
    else ((double *)data(a))[i] = v;
}

static array make(int dtype, i64 size, unsigned seed) {
    array a = {dtype, size, malloc((size_t)(size + 2 * GUARD) * width(dtype))};
    if (!a.memory) exit(2);
    for (i64 i = -GUARD; i < size + GUARD; i++) {
        seed = seed * 1664525u + 1013904223u;
        set(&a, i, i < 0 || i >= size ? 77 : (int)(seed >> 16) % 7 - 3);
    }
    return a;
}

static void compare_within(double bound, const char *what, const char *where, const array *got,
                           const double *want) {
    i64 bad = 0, first = -1;
    for (i64 i = 0; i < got->size; i++)
        if (!(get(got, i) - want[i] <= bound && want[i] - get(got, i) <= bound)) {
            if (!bad++) first = i;
        }
    for (i64 i = 0; i < GUARD; i++)
        if (get(got, -1 - i) != 77 || get(got, got->size + i) != 77) bad++, first = -1;
    checks++;
    if (bad) {
        failures++;
        printf("FAILED %s %s: %lld of %lld wrong, first at %lld\n", what, where, (long long)bad,
               (long long)got->size, (long long)first);
    }
}

static void compare(const char *what, const char *where, const array *got, const double *want) {
    compare_within(0, what, where, got, want);
}

/* ---------------------------------------------------------------- convolution */

static i64 volume(const i64 s[3]) { return s[0] * s[1] * s[2]; }

static void strides(i64 out[5], int last, i64 channels, const i64 size[3]) {
    const i64 c = last ? channels : 1;
    out[0] = channels * volume(size);
    out[1] = last ? 1 : volume(size);
    out[2] = size[1] * size[2] * c;
    out[3] = size[2] * c;
    out[4] = c;
}

/* Calls `visit` for every product y[yi] += x[xi] * w[wi]. */
#define FOR_PRODUCTS(g, yi, xi, wi, statement)                                                  \
    for (i64 n = 0; n < (g)->batch; n++)                                                        \
        for (i64 k = 0; k < (g)->out_channels; k++)                                             \
            for (i64 o = 0; o < volume((g)->out_size); o++)                                     \
                for (i64 c = 0; c < (g)->in_channels / (g)->groups; c++)                        \
                    for (i64 t = 0; t < volume((g)->kernel); t++) {                             \
                        i64 pos[3];                                                             \
                        if (!source(g, o, t, pos)) continue;                                    \
                        const i64 per_in = (g)->in_channels / (g)->groups;                      \
                        const i64 per_out = (g)->out_channels / (g)->groups;                    \
                        const i64 xi = n * (g)->x_stride[0] +                                   \
                                       (k / per_out * per_in + c) * (g)->x_stride[1] +          \
                                       pos[0] * (g)->x_stride[2] + pos[1] * (g)->x_stride[3] +  \
                                       pos[2] * (g)->x_stride[4];                               \
                        const i64 yi =                                                          \
                            n * (g)->y_stride[0] + k * (g)->y_stride[1] + o * (g)->y_stride[4]; \
                        const i64 wi = (k * per_in + c) * volume((g)->kernel) + t;              \
                        statement;                                                              \
                    }

static int source(const fc_conv_geom *g, i64 o, i64 t, i64 pos[3]) {
    for (int a = 2; a >= 0; a--) {
        pos[a] = o % g->out_size[a] * g->stride[a] - g->pad[a] + t % g->kernel[a] * g->dilation[a];
        if (pos[a] < 0 || pos[a] >= g->in_size[a]) return 0;
        o /= g->out_size[a];
        t /= g->kernel[a];
    }
    return 1;
}

static const struct {
    i64 batch, in, out, groups, size[3], kernel[3], stride[3], pad[3], dilation[3];
} convs[] = {
    {1, 1, 1, 1, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}},
    {2, 3, 8, 1, {1, 11, 13}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},
    {1, 64, 70, 1, {1, 9, 10}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},
    {2, 33, 17, 1, {1, 7, 7}, {1, 1, 1}, {1, 2, 2}, {0, 0, 0}, {1, 1, 1}},
    {1, 12, 18, 3, {1, 10, 9}, {1, 3, 2}, {1, 2, 1}, {0, 2, 1}, {1, 2, 3}},
    {2, 5, 6, 1, {5, 6, 7}, {3, 2, 3}, {2, 1, 2}, {1, 0, 2}, {1, 2, 1}},
    {3, 4, 9, 1, {1, 1, 40}, {1, 1, 5}, {1, 1, 3}, {0, 0, 4}, {1, 1, 2}},
    {1, 19, 19, 19, {1, 8, 8}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},
    {1, 19, 38, 19, {1, 9, 8}, {1, 3, 3}, {1, 1, 2}, {0, 1, 1}, {1, 1, 1}},
    {2, 15, 20, 5, {1, 9, 11}, {1, 3, 5}, {1, 1, 1}, {0, 1, 2}, {1, 1, 1}},
    {1, 32, 16, 2, {1, 7, 9}, {1, 3, 3}, {1, 2, 1}, {0, 2, 2}, {1, 1, 2}},
    {1, 8, 8, 1, {1, 6, 6}, {1, 6, 6}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}},
    {1, 3, 3, 3, {1, 6, 21}, {1, 5, 3}, {1, 1, 1}, {0, 2, 1}, {1, 1, 1}},
    {2, 10, 10, 10, {1, 9, 37}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}},
    {2, 1, 6, 1, {1, 11, 13}, {1, 5, 5}, {1, 1, 1}, {0, 2, 2}, {1, 1, 1}},
    {1, 2, 16, 1, {1, 14, 9}, {1, 5, 5}, {1, 2, 2}, {0, 2, 2}, {1, 1, 1}},
};

/* last: channels-last; otherwise NCHW, for what takes it. */
static void check_conv(const char *isa, int dtype, int number, int last, int threads) {
    fc_conv_geom g = {.batch = convs[number].batch,
                      .in_channels = convs[number].in,
                      .out_channels = convs[number].out,
                      .groups = convs[number].groups};
    memcpy(g.in_size, convs[number].size, sizeof g.in_size);
    memcpy(g.kernel, convs[number].kernel, sizeof g.kernel);
    memcpy(g.stride, convs[number].stride, sizeof g.stride);
    memcpy(g.pad, convs[number].pad, sizeof g.pad);
    memcpy(g.dilation, convs[number].dilation, sizeof g.dilation);
    for (int a = 0; a < 3; a++)
        g.out_size[a] =
            (g.in_size[a] + 2 * g.pad[a] - g.dilation[a] * (g.kernel[a] - 1) - 1) / g.stride[a] + 1;
    strides(g.x_stride, last, g.in_channels, g.in_size);
    strides(g.y_stride, last, g.out_channels, g.out_size);

    const i64 nx = g.batch * g.x_stride[0], ny = g.batch * g.y_stride[0];
    const i64 nw = g.out_channels * (g.in_channels / g.groups) * volume(g.kernel);
    array x = make(dtype, nx, 1), w = make(dtype, nw, 2), b = make(dtype, g.out_channels, 3);
    array dy = make(dtype, ny, 4), out[4] = {make(dtype, ny, 5), make(dtype, nx, 6),
                                             make(dtype, nw, 7), make(dtype, g.out_channels, 8)};
    double *want[4];
    for (int i = 0; i < 4; i++)
        if (!(want[i] = calloc((size_t)out[i].size, sizeof(double)))) exit(2);
    for (i64 i = 0; i < ny; i++) {
        const i64 k = i / g.y_stride[1] % g.out_channels;
        want[0][i] = get(&b, k);
        want[3][k] += get(&dy, i);
    }
    FOR_PRODUCTS(&g, yi, xi, wi, {
        want[0][yi] += get(&x, xi) * get(&w, wi);
        want[1][xi] += get(&dy, yi) * get(&w, wi);
        want[2][wi] += get(&dy, yi) * get(&x, xi);
    })

    enum { EVERY, WINOGRAD, DEPTHWISE, DIRECT, GROUPED, FLAT };
    static const struct {
        const char *name;
        int way, kind;
    } kernels[FC_CONV_KERNELS] = {
        [FC_CONV_FORWARD_GEMM] = {"forward gemm", 0, EVERY},
        [FC_CONV_BACKWARD_INPUT_GEMM] = {"backward input gemm", 1, EVERY},
        [FC_CONV_BACKWARD_WEIGHT_GEMM] = {"backward weight gemm", 2, EVERY},
        [FC_CONV_FORWARD_DEPTHWISE] = {"forward depthwise", 0, DEPTHWISE},
        [FC_CONV_BACKWARD_INPUT_DEPTHWISE] = {"backward input depthwise", 1, DEPTHWISE},
        [FC_CONV_BACKWARD_WEIGHT_DEPTHWISE] = {"backward weight depthwise", 2, DEPTHWISE},
        [FC_CONV_FORWARD_GROUPED] = {"forward grouped", 0, GROUPED},
        [FC_CONV_BACKWARD_INPUT_GROUPED] = {"backward input grouped", 1, GROUPED},
        [FC_CONV_BACKWARD_WEIGHT_GROUPED] = {"backward weight grouped", 2, GROUPED},
        [FC_CONV_FORWARD_WINOGRAD] = {"forward winograd", 0, WINOGRAD},
        [FC_CONV_BACKWARD_INPUT_WINOGRAD] = {"backward input winograd", 1, WINOGRAD},
        [FC_CONV_BACKWARD_WEIGHT_WINOGRAD] = {"backward weight winograd", 2, WINOGRAD},
        [FC_CONV_BACKWARD_INPUT_SCATTER] = {"backward input scatter", 1, EVERY},
        [FC_CONV_FORWARD_DIRECT] = {"forward direct", 0, DIRECT},
        [FC_CONV_BACKWARD_INPUT_DIRECT] = {"backward input direct", 1, DIRECT},
        [FC_CONV_FORWARD_FLAT] = {"forward flat", 0, FLAT},
        [FC_CONV_BACKWARD_WEIGHT_FLAT] = {"backward weight flat", 2, FLAT},
    };
    const array *const operands[3][2] = {{&x, &w}, {&dy, &w}, {&dy, &x}};
    char where[64];
    snprintf(where, sizeof where, "%s f%d conv %d %s threads %d", isa, dtype == FC_F32 ? 32 : 64,
             number, last ? "channels-last" : "NCHW", threads);
    for (int kernel = 0; kernel < FC_CONV_KERNELS; kernel++) {
        const int way = kernels[kernel].way, kind = kernels[kernel].kind;
        if (!kernels[kernel].name || !fc_conv_available(kernel, dtype)) continue;
        if (kind == DEPTHWISE && (g.groups == 1 || g.groups != g.in_channels)) continue;
        if (kind == GROUPED && g.groups == 1) continue;
        if (kind == FLAT && g.groups > 1) continue;
        if (!last && (kind != DEPTHWISE || way == 2)) continue;
        if (kind == WINOGRAD && volume(g.kernel) == 1) continue;
        if (kind == DIRECT && g.kernel[2] > 1 && (g.groups > 1 || g.dilation[2] > 1)) continue;
        for (i64 i = 0; i < out[way].size; i++) set(&out[way], i, 55);
        const int status =
            fc_conv(kernel, dtype, &g, data(operands[way][0]), data(operands[way][1]),
                    way == 0 ? data(&b) : NULL, data(&out[way]), threads);
        if (status == FC_UNSUPPORTED && !last) continue;
        if (status != FC_OK) {
            failures++;
            printf("FAILED %s %s: status %d\n", kernels[kernel].name, where, status);
            continue;
        }
        const double bound = dtype == FC_F32 ? 0.03 : 1e-9; /* of values up to some hundreds */
        compare_within(kind == WINOGRAD ? bound : 0, kernels[kernel].name, where, &out[way],
                       want[way]);
    }
    if (fc_conv_backward_bias(dtype, &g, data(&dy), data(&out[3]), threads) == FC_OK)
        compare("backward bias", where, &out[3], want[3]);

    for (int i = 0; i < 4; i++) free(want[i]), free(out[i].memory);
    free(x.memory), free(w.memory), free(b.memory), free(dy.memory);
}

/* ---------------------------------------------------------------- pooling */

/* 3x3 windows, stride 2, padding 1, over H and W, both formats, odd channels. */
static void check_pool(const char *isa, int dtype, int last, i64 channels, int threads) {
    enum { H = 7, W = 9, OH = 4, OW = 5 };
    i64 rows[2][4 * OW], unit[4] = {0, 1, 1, 1};
    const i64 in[3] = {1, H, W}, small[3] = {1, OH, OW};
    for (int a = 0; a < 2; a++)
        for (i64 o = 0, n = small[a + 1]; o < n; o++) {
            const i64 lo = 2 * o - 1, hi = lo + 3;
            rows[a][o] = lo < 0 ? 0 : lo;
            rows[a][n + o] = (hi > in[a + 1] ? in[a + 1] : hi) - rows[a][o];
            rows[a][2 * n + o] = 1;
            rows[a][3 * n + o] = 2; /* divisor 4: exact */
        }
    fc_pool_geom g = {.batch = 2, .channels = channels, .windows = {unit, rows[0], rows[1]}};
    memcpy(g.in_size, in, sizeof in);
    memcpy(g.out_size, small, sizeof small);
    strides(g.x_stride, last, channels, in);
    strides(g.y_stride, last, channels, small);
    memcpy(g.index_stride, g.y_stride, sizeof g.y_stride);

    const i64 nx = 2 * channels * H * W, ny = 2 * channels * OH * OW;
    array x = make(dtype, nx, 11), dy = make(dtype, ny, 12);
    array y = make(dtype, ny, 13), avg = make(dtype, ny, 14);
    array dx = make(dtype, nx, 15), davg = make(dtype, nx, 16);
    i64 *index = malloc((size_t)ny * sizeof *index);
    double *best = malloc((size_t)ny * sizeof(double)), *mean = calloc((size_t)ny, sizeof(double));
    double *back = calloc((size_t)nx, sizeof(double)), *spread = calloc((size_t)nx, sizeof(double));
    if (!index || !best || !mean || !back || !spread) exit(2);
    for (i64 n = 0; n < 2; n++)
        for (i64 c = 0; c < channels; c++)
            for (i64 h = 0; h < OH; h++)
                for (i64 w = 0; w < OW; w++) {
                    const i64 yi = n * g.y_stride[0] + c * g.y_stride[1] + h * g.y_stride[3] +
                                   w * g.y_stride[4];
                    i64 where = -1;
                    for (i64 i = 0; i < rows[0][OH + h]; i++)
                        for (i64 j = 0; j < rows[1][OW + w]; j++) {
                            const i64 xi = n * g.x_stride[0] + c * g.x_stride[1] +
                                           (rows[0][h] + i) * g.x_stride[3] +
                                           (rows[1][w] + j) * g.x_stride[4];
                            if (where < 0 || get(&x, xi) > best[yi]) {
                                where = xi;
                                best[yi] = get(&x, xi);
                            }
                            mean[yi] += get(&x, xi) / 4;
                            spread[xi] += get(&dy, yi) / 4;
                        }
                    back[where] += get(&dy, yi);
                }
    char where[64];
    snprintf(where, sizeof where, "%s f%d %s %lld channels", isa, dtype == FC_F32 ? 32 : 64,
             last ? "channels-last" : "NCHW", (long long)channels);
    fc_max_pool_forward(dtype, &g, data(&x), data(&y), index, threads);
    compare("max pool", where, &y, best);
    fc_index_pool(FC_MAX_POOL_BACKWARD, dtype, &g, data(&dy), index, data(&dx), threads);
    compare("max pool backward", where, &dx, back);
    fc_index_pool(FC_MAX_UNPOOL_BACKWARD, dtype, &g, data(&x), index, data(&y), threads);
    compare("unpool backward", where, &y, best);
    uint8_t *taps = malloc((size_t)ny);
    if (!taps) exit(2);
    if (fc_max_pool_taps_forward(dtype, &g, data(&x), data(&y), taps, threads) == FC_OK) {
        compare("max pool, taps", where, &y, best);
        fc_max_pool_taps_backward(dtype, &g, data(&dy), taps, data(&dx), threads);
        compare("max pool backward, taps", where, &dx, back);
    } else if (last) {
        compare("max pool, taps: refused", where, &y, spread);
    }
    free(taps);
    fc_avg_pool_forward(dtype, &g, data(&x), data(&avg), threads);
    compare("average pool", where, &avg, mean);
    fc_avg_pool_backward(dtype, &g, data(&dy), data(&davg), threads);
    compare("average pool backward", where, &davg, spread);

    /* The layout kernel: (H*W, channels) of each image to (channels, H*W). */
    fc_transpose(dtype, 2, H * W, channels, data(&x), data(&dx), threads);
    for (i64 i = 0; i < nx; i++) {
        const i64 n = i / (channels * H * W), r = i % (channels * H * W);
        back[i] = get(&x, n * channels * H * W + r % (H * W) * channels + r / (H * W));
    }
    compare("transpose", where, &dx, back);

    free(index), free(best), free(mean), free(back), free(spread);
    free(x.memory), free(dy.memory), free(y.memory), free(avg.memory);
    free(dx.memory), free(davg.memory);
}

/* ---------------------------------------------------------------- normalisation */

/* Forward with statistics of the data, and both ways back with those given: integers, so that what
 * passes, its sums and the map with constants are exact. */
static void check_norm(const char *isa, int dtype, int last, i64 channels, i64 space, int threads) {
    const fc_norm_geom g = {2, 3, channels, space, channels % 2 ? 1 : channels, last};
    const i64 all = g.sets * channels, size = all * g.batch * space;
    array x = make(dtype, size, 1), dy = make(dtype, size, 2), r = make(dtype, size, 3);
    array y = make(dtype, size, 4), coef = make(dtype, 3 * all, 5), dx = make(dtype, size, 6);
    array dr = make(dtype, size, 7), weight = make(dtype, channels, 8);
    array own = make(dtype, 3 * all, 9), dw = make(dtype, channels, 10);
    array db = make(dtype, channels, 11), full = make(dtype, size, 12);
    array stats = make(FC_F64, 3 * all, 13);
    enum { Y, DX, DR, FULL, MEAN, VAR, DW, DB, LEVEL, SLOPE, WANTS };
    double *want[WANTS];
    for (int i = 0; i < WANTS; i++)
        if (!(want[i] = calloc((size_t)(i < MEAN    ? size
                                        : i == MEAN ? 3 * all
                                                    : all),
                               sizeof(double))))
            exit(2);
    const double count = (double)(g.batch * space * g.pool), limit = channels % 2 ? 2 : 1e30;
    double *const given = (double *)data(&stats);
    for (i64 i = 0; i < all; i++) { /* the mean given is the centre, the deviation 1 */
        given[i] = get(&coef, i);
        given[2 * all + i] = 1;
    }
    for (int pass = 0; pass < 3; pass++)
        for (i64 i = 0; i < size; i++) {
            const i64 image = i / (channels * space), at = i % (channels * space);
            const i64 one = last ? at % channels : at / space;
            const i64 c = image / g.batch * channels + one, first = c / g.pool * g.pool;
            const double v = get(&x, i), k0 = get(&coef, c), k1 = get(&coef, all + c);
            if (pass == 0) {
                for (i64 k = first; k < first + g.pool; k++) want[MEAN][k] += v / count;
                want[Y][i] = (v - k0) * k1 + get(&coef, 2 * all + c) + get(&r, i);
                if (want[Y][i] < 0) want[Y][i] = 0;
                if (want[Y][i] > limit) want[Y][i] = limit;
                const double d = want[Y][i] <= 0 || want[Y][i] == limit ? 0 : get(&dy, i);
                want[DR][i] = d;
                want[DX][i] = d * k1;
                want[DB][one] += d;
                want[DW][one] += d * (v - k0);
                for (i64 k = first; k < first + g.pool; k++) {
                    want[LEVEL][k] += d * get(&weight, one) / count;
                    want[SLOPE][k] += d * get(&weight, one) * (v - k0) / count;
                }
            } else if (pass == 1) {
                const double off = v - want[MEAN][c];
                for (i64 k = first; k < first + g.pool; k++)
                    want[MEAN][all + k] += off * off / count;
            } else want[FULL][i] = want[DX][i] - want[LEVEL][c] - (v - k0) * want[SLOPE][c];
        }
    for (i64 i = 0; i < all; i++) want[MEAN][2 * all + i] = 1 / sqrt(want[MEAN][all + i] + 0.5);
    char where[96];
    snprintf(where, sizeof where, "%s dtype %d last %d channels %d space %d threads %d", isa, dtype,
             last, (int)channels, (int)space, threads);
    int bad =
        fc_norm_apply(dtype, &g, data(&x), data(&coef), data(&r), 1, limit, data(&y), threads);
    bad |= fc_norm_backward(dtype, &g, data(&dy), data(&x), data(&y), 1, limit, data(&weight),
                            given, data(&coef), 0, data(&full), NULL, NULL, NULL, threads);
    bad |=
        fc_norm_backward(dtype, &g, data(&dy), data(&x), data(&y), 1, limit, data(&weight), given,
                         data(&coef), 1, data(&dx), data(&dr), data(&dw), data(&db), threads);
    bad |= fc_norm_statistics(dtype, &g, data(&x), data(&weight), NULL, 0.5, NULL, NULL, 0, given,
                              data(&own), threads);
    if (bad) {
        printf("FAILED norm %s: status %d\n", where, bad);
        failures++;
    }
    compare("norm", where, &y, want[Y]);
    compare("norm dx", where, &dx, want[DX]);
    compare("norm dr", where, &dr, want[DR]);
    compare("norm dweight", where, &dw, want[DW]);
    compare("norm dbias", where, &db, want[DB]);
    compare_within(1e-4, "norm dx through statistics", where, &full, want[FULL]);
    compare_within(1e-4, "norm statistics", where, &stats, want[MEAN]);
    for (int i = 0; i < WANTS; i++) free(want[i]);
    array *const made[] = {&x,      &dy,  &r,  &y,  &coef, &dx,   &dr,
                           &weight, &own, &dw, &db, &full, &stats};
    for (int i = 0; i < (int)(sizeof made / sizeof *made); i++) free(made[i]->memory);
}

/* Layer norm; backward with the mean and deviation given as integers. */
static void check_layer_norm(const char *isa, int dtype, i64 rows, i64 length, int threads) {
    const i64 size = rows * length;
    array x = make(dtype, size, 1), dy = make(dtype, size, 2), weight = make(dtype, length, 3);
    array bias = make(dtype, length, 4), y = make(dtype, size, 5), dx = make(dtype, size, 6);
    array dw = make(dtype, length, 7), db = make(dtype, length, 8);
    array stats = make(FC_F64, 2 * rows, 9), given = make(FC_F64, 2 * rows, 10);
    double *wy = calloc((size_t)(2 * size + 2 * length), sizeof(double));
    if (!wy) exit(2);
    double *wdx = wy + size, *wdw = wdx + size, *wdb = wdw + length;
    for (i64 r = 0; r < rows; r++) {
        double mean = 0, var = 0, level = 0, slope = 0;
        const double m = get(&given, r);
        set(&given, rows + r, 1);
        for (i64 j = 0; j < length; j++) mean += get(&x, r * length + j) / (double)length;
        for (i64 j = 0; j < length; j++) {
            const double v = get(&x, r * length + j), d = get(&dy, r * length + j);
            var += (v - mean) * (v - mean) / (double)length;
            level += d * get(&weight, j) / (double)length;
            slope += d * get(&weight, j) * (v - m) / (double)length;
            wdw[j] += d * (v - m);
            wdb[j] += d;
        }
        for (i64 j = 0; j < length; j++) {
            const i64 i = r * length + j;
            const double v = get(&x, i);
            wy[i] = (v - mean) / sqrt(var + 0.5) * get(&weight, j) + get(&bias, j);
            wdx[i] = get(&dy, i) * get(&weight, j) - level - (v - m) * slope;
        }
    }
    char where[96];
    snprintf(where, sizeof where, "%s dtype %d rows %d length %d threads %d", isa, dtype, (int)rows,
             (int)length, threads);
    int bad = fc_layer_norm(dtype, rows, length, data(&x), data(&weight), data(&bias), 0.5,
                            data(&y), data(&stats), threads);
    bad |= fc_layer_norm_backward(dtype, rows, length, data(&dy), data(&x), data(&weight),
                                  data(&given), data(&dx), data(&dw), data(&db), threads);
    if (bad) {
        printf("FAILED layer norm %s: status %d\n", where, bad);
        failures++;
    }
    compare_within(1e-4, "layer norm", where, &y, wy);
    compare_within(1e-4, "layer norm dx", where, &dx, wdx);
    compare("layer norm dweight", where, &dw, wdw);
    compare("layer norm dbias", where, &db, wdb);
    array *const made[] = {&x, &dy, &weight, &bias, &y, &dx, &dw, &db, &stats, &given};
    for (int i = 0; i < (int)(sizeof made / sizeof *made); i++) free(made[i]->memory);
    free(wy);
}

/* Sums of (outer, length, inner) along the middle, of integers; products of a short one. */
static void check_reduce(const char *isa, int dtype, i64 outer, i64 length, i64 inner,
                         int threads) {
    static const char *const names[FC_REDUCE_KINDS] = {
        "sums", "sums of squares", "sums of products", "sums of exp", "product"};
    const fc_reduce_geom g = {outer, length, inner};
    const i64 size = outer * length * inner, cells = outer * inner;
    array x = make(dtype, size, 1), b = make(dtype, size, 2), run = make(dtype, size, 3);
    array centre = make(FC_F64, cells, 4);
    double *want = calloc((size_t)(cells + size), sizeof(double)), *up = want + cells;
    if (!want) exit(2);
    char where[96];
    snprintf(where, sizeof where, "%s dtype %d %d x %d x %d threads %d", isa, dtype, (int)outer,
             (int)length, (int)inner, threads);
    for (int kind = 0; kind < FC_REDUCE_KINDS; kind++) {
        for (i64 o = 0; o < outer; o++)
            for (i64 i = 0; i < inner; i++) {
                const i64 at = o * inner + i;
                double sum = kind == FC_PRODUCT;
                for (i64 l = 0; l < length; l++) {
                    const i64 e = (o * length + l) * inner + i;
                    const double v = get(&x, e), c = get(&centre, at);
                    sum = kind == FC_PRODUCT       ? sum * v
                          : kind == FC_SUM_SQUARES ? sum + (v - c) * (v - c)
                          : kind == FC_SUM_EXP     ? sum + exp(v - c)
                                                   : sum + (kind == FC_SUM ? v : v * get(&b, e));
                    if (kind == FC_SUM) up[e] = sum;
                }
                want[at] = sum / 4;
            }
        if (kind == FC_PRODUCT && length > 10) continue;
        for (int wide = 0; wide < 2; wide++) {
            array out = make(wide ? FC_F64 : dtype, cells, 5);
            if (fc_reduce(kind, dtype, &g, data(&x), kind == FC_SUM_PRODUCTS ? data(&b) : NULL,
                          kind == FC_SUM_SQUARES || kind == FC_SUM_EXP ? data(&centre) : NULL, 4,
                          wide, data(&out), threads)) {
                printf("FAILED %s %s\n", names[kind], where);
                failures++;
            }
            compare_within(kind == FC_SUM_EXP ? 2e-6 * 400 / 4 * (double)length : 0, names[kind],
                           where, &out, want);
            free(out.memory);
        }
    }
    if (fc_running(0, dtype, &g, data(&x), 0, data(&run), threads)) failures++;
    compare("running sums", where, &run, up);
    array *const made[] = {&x, &b, &run, &centre};
    for (int i = 0; i < (int)(sizeof made / sizeof *made); i++) free(made[i]->memory);
    free(want);
}

/* Local response normalisation over four channels, and its gradient. */
static void check_response(const char *isa, int dtype, i64 channels, i64 inner, int threads) {
    const fc_response_geom g = {2, channels, inner, 2, 1, 0.25, 0.75, 2};
    const i64 size = 2 * channels * inner;
    array x = make(dtype, size, 1), dy = make(dtype, size, 2), out = make(dtype, size, 3);
    double *base = calloc((size_t)(3 * size), sizeof(double)), *y = base + size, *dx = y + size;
    if (!base) exit(2);
    char where[96];
    snprintf(where, sizeof where, "%s dtype %d %d x %d threads %d", isa, dtype, (int)channels,
             (int)inner, threads);
    for (i64 e = 0; e < size; e++) base[e] = g.k;
    for (int backward = 0; backward < 2; backward++)
        for (i64 e = 0; e < size; e++) /* every pair of channels of which one sees the other */
            for (i64 d = -g.below; d <= g.above; d++) {
                const i64 c = e / inner % channels, other = e + d * inner;
                if (c + d < 0 || c + d >= channels) continue;
                if (!backward) base[e] += g.scale * get(&x, other) * get(&x, other);
                else
                    dx[other] -= 2 * g.beta * g.scale * get(&x, other) * get(&x, e) * get(&dy, e) *
                                 pow(base[e], -g.beta - 1);
            }
    for (i64 e = 0; e < size; e++) {
        y[e] = get(&x, e) * pow(base[e], -g.beta);
        dx[e] += get(&dy, e) * pow(base[e], -g.beta);
    }
    if (fc_local_response(dtype, &g, data(&x), NULL, data(&out), threads)) failures++;
    compare_within(1e-5, "local response", where, &out, y);
    if (fc_local_response(dtype, &g, data(&x), data(&dy), data(&out), threads)) failures++;
    compare_within(1e-5, "local response dx", where, &out, dx);
    array *const made[] = {&x, &dy, &out};
    for (int i = 0; i < 3; i++) free(made[i]->memory);
    free(base);
}

int main(void) {
    static const i64 channels[] = {1, 3, 6, 16, 35, 130};
    for (int isa = 0; isa < fc_isa_count(); isa++) {
        if (fc_set_isa(isa) != FC_OK) {
            printf("%s: not supported here\n", fc_isa_name(isa));
            continue;
        }
        const int before = checks;
        for (int dtype = 0; dtype < FC_DTYPES; dtype++)
            for (int threads = 1; threads <= 2; threads++) {
                for (int i = 0; i < (int)(sizeof convs / sizeof *convs); i++)
                    for (int last = 0; last < 2; last++)
                        check_conv(fc_isa_name(isa), dtype, i, last, threads);
                check_reduce(fc_isa_name(isa), dtype, 1, 140000, 1, threads);
                check_reduce(fc_isa_name(isa), dtype, 1, 70000, 3, threads);
                check_reduce(fc_isa_name(isa), dtype, 1, 150, 1100, threads);
                for (int i = 0; i < (int)(sizeof channels / sizeof *channels); i++) {
                    check_response(fc_isa_name(isa), dtype, channels[i], 1, threads);
                    check_response(fc_isa_name(isa), dtype, 5, channels[i] * channels[i], threads);
                    check_layer_norm(fc_isa_name(isa), dtype, 70, channels[i], threads);
                    check_reduce(fc_isa_name(isa), dtype, 3, 9, channels[i], threads);
                    check_reduce(fc_isa_name(isa), dtype, 2, 1003, channels[i], threads);
                    check_reduce(fc_isa_name(isa), dtype, channels[i], 1100, 1, threads);
                    for (int last = 0; last < 2; last++) {
                        check_pool(fc_isa_name(isa), dtype, last, channels[i], threads);
                        check_norm(fc_isa_name(isa), dtype, last, channels[i], 1, threads);
                        check_norm(fc_isa_name(isa), dtype, last, channels[i], 77, threads);
                    }
                }
            }
        printf("%s: %d checks\n", fc_isa_name(isa), checks - before);
    }
    printf("%d checks, %d failed\n", checks, failures);
    return failures != 0;
}
