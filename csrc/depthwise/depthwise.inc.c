/* Depthwise convolution: every channel has its own kernel (C = K = groups), channels-last.
 *
 * Vectors run along channels, so a tap is one multiply-add of two rows as they lie, and the work is
 * bound by loads. The rows of the kernel are a list of lines, which leaves out those beyond the
 * edge. Tiles (depthwise/tile.inc.c) go down a block of rows, so that the rows they share stay in
 * L1. Forward and backward input are the same loop over conv_problem's taps. Where C is not a
 * multiple of VL the last vector overlaps the one before; with fewer channels than lanes the other
 * lanes hold the neighbours' and are not stored. */
#pragma once

#include <string.h>

#include "fastconv.h"
#include "core/finish.inc.c"
#include "core/layout.inc.c"
#include "core/memory.h"
#include "core/problem.h"
#include "core/simd.h"
#include "depthwise/layout.inc.c"
#include "depthwise/planes.inc.c"
#include "depthwise/tile.inc.c"

/* Taps of a kernel row that one call of a tile takes, several such parts in a row. */
typedef struct {
    int kw; /* 1 takes the taps one by one */
    dw_tile_fn tile;
    int64_t parts, tap, line; /* first of its taps, and of its lines */
} dw_pass;

/* One problem (a phase, in backward input) and how it is cut. */
typedef struct {
    conv_problem p;
    const dw_tile_table *tiles; /* of depthwise, groups of 2, 4, ... VL lanes */
    dw_layout from, to;         /* of the source and the target */
    int64_t C, channels;        /* lanes of the target: C, or whole vectors */
    T *weight;                  /* [tap][channel of the source's group][channels] */
    int64_t apart, step, skip;  /* taps, in pixels; positions of a tile, in taps; in grid */
    int np, passes;             /* positions of a tile; passes over the taps */
    dw_pass pass[3];
    int64_t block;        /* lanes of a block */
    int64_t lines, parts; /* of a row of outputs, at most; of a kernel row */
    int64_t planes;       /* of x, each of which has lines of its own */
    int64_t tap_items;    /* of the weights */
} dw_job;

/* w[channel][j][taps], j from j0 on, to out[position of the tap][group][channels], zero beyond C.
 */
static void dw_pack(const dw_job *job, const T *w, int64_t length, int64_t j0) {
    const conv_problem *p = &job->p;
    const int64_t C = job->C, taps = p->kernel_taps, channels = job->channels;
    const T *const limit = w + C * length;
    for (int64_t c = 0; c < channels; c += VL) {
        if (c + VL > channels) c = channels - VL;
        for (int64_t t = 0; t < length; t += VL) {
            T square[VL * VL] __attribute__((aligned(64)));
            const T *s = w + c * length + t;
            const int64_t n = fc_min(VL, length - t);
            if (s + (VL - 1) * length + VL <= limit) {
                transpose_square(s, length, square, VL);
            } else {
                for (int64_t i = 0; i < n; i++)
                    for (int64_t l = 0; l < VL; l++)
                        square[i * VL + l] = c + l < C ? s[l * length + i] : 0;
            }
            for (int64_t i = 0; i < n; i++) {
                const int64_t at = p->position[(t + i) % taps], j = j0 + (t + i) / taps;
                if (at >= 0)
                    vstore(job->weight + at * job->tap_items + j * channels + c,
                           vload(square + i * VL));
            }
        }
    }
}

/* All weights: forward, the channels of a group lie in each column as they are wanted; else, those
 * of one channel are first brought together, with zeros in lanes of no column. */
static int dw_pack_weight(const dw_job *job, const T *w) {
    const conv_problem *p = &job->p;
    const int64_t taps = p->kernel_taps, lanes = job->to.lanes;
    if (p->w_channel == taps && lanes == p->cols) {
        dw_pack(job, w, p->channels * taps, 0);
        return FC_OK;
    }
    T *one = fc_scratch(job->C * taps, sizeof(T));
    if (!one) return FC_NOMEM;
    memset(one, 0, (size_t)(job->C * taps) * sizeof(T));
    for (int64_t j = 0; j < p->channels; j++) {
        for (int64_t g = 0; g < p->groups; g++) {
            const T *s = w + g * p->w_group + j * p->w_channel;
            T *d = one + g * lanes * taps;
            for (int64_t k = 0; k < p->cols; k++, s += p->w_col, d += taps)
                memcpy(d, s, (size_t)taps * sizeof(T));
        }
        dw_pack(job, one, taps, j);
    }
    fc_free(one);
    return FC_OK;
}

/* Lanes of source and target. A channel multiplier is as many groups of one channel, repeated. */
static void dw_lay(dw_job *j) {
    conv_problem *p = &j->p;
    j->from = (dw_layout){p->groups, p->channels, p->channels, 1, 0};
    if (p->channels == 1 && p->cols > 1) {
        j->from.lanes = p->cols;
        j->from.repeat = 1;
        p->groups *= p->cols;
        p->w_group = p->w_col;
        p->cols = 1;
    }
    const int64_t lanes = dw_lanes(p->cols);
    j->to = (dw_layout){p->groups, p->cols, lanes, 1, 0};
    if (!j->from.repeat && (lanes < VL || lanes == 1)) { /* else channels are read one by one */
        j->from.lanes = lanes;
        j->from.planes = fc_ceil_div(p->channels, lanes);
    }
    j->C = p->groups * lanes;
    j->channels = fc_max(j->C, VL);
    j->tap_items = p->channels * j->channels;
}

/* The passes over the taps of a kernel row, `single` being the table's row of single taps: all of
 * them alike, or as many of one kind as there are and a remainder. */
static void dw_passes(dw_job *j, const dw_tile_fn (*tiles)[DW_SPAN]) {
    const int64_t n = j->p.taps[2].count;
    int best = 1;
    int64_t rest = 0;
    for (int k = 7; k > 1 && best == 1; k--)
        if (tiles && tiles[k][0] && n % k == 0) best = k;
    if (best < 3 && n > 3)
        for (int k = 7; k > 2 && !rest; k--)
            if (tiles && tiles[k][0] && n > k && n % k != 1) best = k, rest = n % k;
    j->passes = 0;
    j->pass[j->passes++] = (dw_pass){.kw = best, .parts = n / best};
    if (rest) {
        const int kw = tiles[rest][0] ? (int)rest : 1;
        j->pass[j->passes++] = (dw_pass){.kw = kw, .parts = rest / kw, .tap = n - rest};
    }
}

/* From the problem to tile, blocks and packed weights. */
static int dw_plan(dw_job *j, const T *w) {
    const conv_problem *p = &j->p;
    const tap_axis *td = &p->taps[0], *th = &p->taps[1], *tw = &p->taps[2];
    const int64_t W = p->grid[2], stride = p->src_step[2];
    const int kind = j->to.lanes < VL || j->to.lanes == 1 ? fc_log2(j->to.lanes) : fc_log2(VL);
    const dw_tile_table *table = j->tiles + kind;
    /* Taps `apart` pixels from each other meet the positions `skip` from each other. */
    const dw_tile_fn(*multi)[DW_SPAN] = NULL;
    j->apart = tw->count > 1 ? tw->off[1] - tw->off[0] : 1;
    j->skip = j->apart / fc_gcd(stride, j->apart);
    j->step = j->skip * stride / j->apart;
    if (tw->count > 1 && j->step <= 2 && (j->skip == 1 || W / j->skip >= DW_LEAST))
        multi = (*table)[j->step - 1];
    dw_passes(j, multi);
    if (j->pass[0].kw == 1) j->skip = 1;
    const int64_t length = fc_ceil_div(W, j->skip);
    j->np = 0;
    for (int np = DW_LEAST; np <= DW_POSITIONS;
         np++) { /* the least positions in vain, the widest */
        int there = 1;
        for (int i = 0; i < j->passes; i++) {
            const int kw = j->pass[i].kw;
            there &= (*table)[kw > 1 ? j->step - 1 : 0][kw][np - DW_LEAST] != NULL;
        }
        if (there && (!j->np || fc_round_up(length, np) <= fc_round_up(length, j->np))) j->np = np;
    }
    j->parts = 0;
    j->planes = j->to.lanes == 1 ? p->channels : 1;
    const int64_t rows = td->count * th->count * j->planes;
    for (int i = 0; i < j->passes; i++) {
        dw_pass *pass = &j->pass[i];
        pass->tile = (*table)[pass->kw > 1 ? j->step - 1 : 0][pass->kw][j->np - DW_LEAST];
        pass->line = j->parts * rows;
        j->parts += pass->parts;
    }
    j->lines = rows * j->parts;
    /* the weights, and the lines that neighbouring rows of tiles share, stay in L1 */
    const int64_t cols = (j->np - 1) * stride + tw->count;
    const int64_t shared = cols * th->count * td->count + p->ntaps * p->channels;
    const int64_t unit = fc_max(VL, j->to.lanes); /* whole vectors of whole groups */
    j->block = fc_max(1, DW_BLOCK_BYTES / (int64_t)sizeof(T) / fc_max(1, shared) / unit) * unit;
    j->block = fc_min(j->block, fc_round_up(j->C, VL));
    j->weight = fc_scratch(fc_max(1, p->ntaps) * j->tap_items, sizeof(T));
    return j->weight ? dw_pack_weight(j, w) : FC_NOMEM;
}

/* Fewer channels than lanes: whole vectors would reach past the end of an array. Rows nearer to it
 * than `reach` are read from a copy of its end, with zeros after it. */
typedef struct {
    const T *limit, *tail; /* the end, and the copy's */
    int64_t reach;
} dw_end;

INLINE const T *dw_row(const dw_end *e, const T *row) {
    return e->limit - row < e->reach ? e->tail - (e->limit - row) : row;
}

/* Elements of the copy, for rows of `row` elements. */
static int64_t dw_end_items(int64_t C, int64_t row) { return C < VL ? row + 2 * VL : 0; }

static dw_end dw_end_of(const T *a, int64_t items, int64_t C, int64_t row, T *copy) {
    dw_end e = {a + items, NULL, 0};
    if (C >= VL) return e;
    e.reach = row + VL;
    const int64_t n = fc_min(items, e.reach);
    memcpy(copy, e.limit - n, (size_t)n * sizeof(T));
    memset(copy + n, 0, VL * sizeof(T));
    e.tail = copy + n;
    return e;
}

/* One block: rows [h0, h1) of output plane (n, d) times channels [c0, c0 + vectors*VL). */
typedef struct {
    const dw_job *job;
    const T *image, *bias; /* bias: of the block */
    const dw_end *end;
    T *dst, *target; /* the plane's first element, and the result's */
    int64_t d, h0, h1, c0, vectors;
    dw_line *lines; /* [h1 - h0][job->lines] */
    int64_t count[DW_ROWS];
    uint32_t *inside; /* [job->parts] */
    T *local;         /* [DW_POSITIONS][vectors*VL]: a tile that is not stored as a whole */
    T *more;          /* the same for a second pass */
} dw_rows;

/* The lines of every row of outputs. */
static void dw_list(dw_rows *r) {
    const dw_job *j = r->job;
    const conv_problem *p = &j->p;
    const tap_axis *td = &p->taps[0], *th = &p->taps[1], *tw = &p->taps[2];
    const int64_t *st = p->src_stride, zd = r->d * p->src_step[0];
    int64_t a0, a1;
    tap_range(td, zd, p->src_size[0], &a0, &a1);
    dw_line *out = r->lines;
    for (int64_t h = r->h0; h < r->h1; h++, out += j->lines) {
        const int64_t zh = h * p->src_step[1];
        int64_t b0, b1, n = 0;
        tap_range(th, zh, p->src_size[1], &b0, &b1);
        for (int64_t a = a0; a < a1; a++)
            for (int64_t b = b0; b < b1; b++) {
                const T *row = r->image + (zd + td->off[a]) * st[2] + (zh + th->off[b]) * st[3];
                row = dw_row(r->end, row);
                for (int i = 0; i < j->passes; i++) {
                    const dw_pass *pass = &j->pass[i];
                    const int64_t part0 = pass->line / (td->count * th->count * j->planes);
                    for (int64_t k = 0; k < pass->parts; k++) {
                        const int64_t tap = pass->tap + k * pass->kw;
                        dw_line *line = out + pass->line + (n * pass->parts + k) * j->planes;
                        for (int64_t q = 0; q < j->planes; q++, line++) {
                            line->x = row + tw->off[tap] * st[4] + q * j->C;
                            line->w = ((a * th->count + b) * tw->count + tap) * j->tap_items +
                                      q * j->channels;
                            line->part = part0 + k;
                        }
                    }
                }
                n++;
            }
        r->count[h - r->h0] = n;
    }
}

/* Which columns of x are inside, for the tile at w. */
static void dw_columns(const dw_job *j, int64_t w, uint32_t *inside) {
    const conv_problem *p = &j->p;
    for (int n = 0; n < j->passes; n++) {
        const dw_pass *pass = &j->pass[n];
        const int64_t cols = pass->kw > 1 ? (j->np - 1) * j->step + pass->kw : j->np;
        const int64_t apart = pass->kw > 1 ? j->apart : j->skip * p->src_step[2];
        for (int64_t k = 0; k < pass->parts; k++, inside++) {
            int64_t z = w * p->src_step[2] + p->taps[2].off[pass->tap + k * pass->kw];
            *inside = 0;
            for (int i = 0; i < cols; i++, z += apart)
                if (z >= 0 && z < p->src_size[2]) *inside |= 1u << i;
        }
    }
}

/* to[np][pitch] += from[np][wide] */
static void dw_add(int64_t np, int64_t wide, const T *from, T *to, int64_t pitch) {
    for (int64_t i = 0; i < np; i++, from += wide, to += pitch)
        for (int64_t c = 0; c < wide; c += VL) vstore(to + c, vload(to + c) + vload(from + c));
}

/* The tiles at position w of every row; `own` says that all of the vectors' lanes are the block's.
 */
static void dw_run_tiles(dw_rows *r, int64_t w, int64_t count, int own) {
    const dw_job *j = r->job;
    const conv_problem *p = &j->p;
    const int64_t *st = p->src_stride, wide = r->vectors * VL, C = fc_min(wide, j->C);
    const int64_t y_row = p->dst_step[1] * p->dst_stride[3];
    const int64_t y_col = p->dst_step[2] * p->dst_stride[4];
    /* with an epilogue too: overlapping vectors must not meet results that went through it */
    const int local = count < j->np || j->C < VL || (j->passes > 1 && !own) || p->epilogue;
    dw_block block[3];
    for (int i = 0; i < j->passes; i++)
        block[i] = (dw_block){
            .weight = j->weight + r->c0,
            .bias = i ? NULL : r->bias,
            .pitch = (j->pass[i].kw > 1 ? j->apart : j->skip * p->src_step[2]) * st[4],
            .w_pitch = j->tap_items,
            .w_channel = j->channels,
            .y_pitch = i || local ? wide : j->skip * y_col,
            .vectors = r->vectors,
            .count = p->channels,
            .plane = j->C,
            .lane = r->c0,
            .lanes = j->to.lanes,
            .inside = r->inside,
        };
    dw_columns(j, w, r->inside);
    const dw_line *lines = r->lines;
    for (int64_t h = r->h0; h < r->h1; h++, lines += j->lines) {
        T *y = r->dst + h * y_row + w * y_col + r->c0;
        T *first = local ? r->local : y;
        for (int i = 0; i < j->passes; i++) {
            j->pass[i].tile(&block[i], lines + j->pass[i].line,
                            r->count[h - r->h0] * j->pass[i].parts * j->planes,
                            w * p->src_step[2] * st[4], i ? r->more : first);
            if (i) dw_add(j->np, wide, r->more, first, block->y_pitch);
        }
        for (int64_t i = 0; local && i < count; i++) {
            const T *from = r->local + i * wide;
            T *to = y + i * j->skip * y_col;
            if (p->epilogue) {
                finish_part(p->epilogue, C, r->c0, from, r->target, to);
            } else {
                for (int64_t c = 0; c < C; c++) to[c] = from[c];
            }
        }
    }
}

static void dw_run_rows(dw_rows *r, int own) {
    const dw_job *j = r->job;
    const int64_t W = j->p.grid[2];
    dw_list(r);
    for (int64_t f = 0; f < fc_min(j->skip, W); f++) {
        const int64_t length = fc_ceil_div(W - f, j->skip);
        for (int64_t i = 0; i < length; i += j->np) {
            if (i + j->np > length && length >= j->np) i = length - j->np; /* overlaps the last */
            dw_run_tiles(r, f + i * j->skip, fc_min(j->np, length - i), own);
        }
    }
}

/* What all blocks of a call have in common. */
typedef struct {
    int64_t row_blocks, planes;
    const T *src, *bias;
    T *dst, *target; /* of the images at work; of the result */
    dw_end end;
} dw_call;

/* Block number i of one problem. */
static void dw_run_block(const dw_call *call, const dw_job *j, int64_t i, dw_line *lines,
                         uint32_t *inside, T *local) {
    const conv_problem *p = &j->p;
    const int64_t *s = p->dst_stride, C = j->C;
    const int64_t blocks = fc_ceil_div(C, j->block), c0 = i % blocks * j->block;
    const int64_t h0 = i / blocks % call->row_blocks * DW_ROWS,
                  plane = i / blocks / call->row_blocks;
    const int64_t d = plane % call->planes, n = plane / call->planes;
    if (d >= p->grid[0] || h0 >= p->grid[1]) return;
    dw_rows r = {.job = j,
                 .image = call->src + n * p->src_stride[0],
                 .end = &call->end,
                 .dst = call->dst + n * s[0] + (d * p->dst_step[0] + p->dst_first[0]) * s[2] +
                        p->dst_first[1] * s[3] + p->dst_first[2] * s[4],
                 .target = call->target,
                 .d = d,
                 .h0 = h0,
                 .h1 = fc_min(h0 + DW_ROWS, p->grid[1]),
                 .lines = lines,
                 .inside = inside,
                 .local = local,
                 .more = local + DW_POSITIONS * j->block};
    for (int64_t c = c0, end = fc_min(C, c0 + j->block); c < end; c += r.vectors * VL) {
        r.c0 = C >= VL ? fc_min(c, C - VL) : 0; /* the last vector overlaps the one before */
        r.vectors = fc_max(1, (end - c) / VL);
        r.bias = call->bias ? call->bias + r.c0 : NULL;
        dw_run_rows(&r, r.c0 == c);
    }
}

/* The problems (one, or the phases) of one convolution: a block at a time of all of them, so that
 * the rows they share stay in cache. */
static int dw_solve(dw_job *jobs, int64_t count, const int64_t src_size[3],
                    const int64_t dst_size[3], const T *src, const T *w, const T *bias, T *dst,
                    int threads) {
    conv_problem *p = &jobs->p;
    int64_t rows = 0, planes = 0, lines = 1, parts = 1, block = INT64_MAX;
    int status = FC_OK;
    dw_side from = {0}, to = {0};
    for (int64_t i = 0; i < count && status == FC_OK; i++) {
        dw_lay(&jobs[i]);
        from = dw_side_of(&jobs[i].from, jobs[i].p.src_stride, src_size);
        to = dw_side_of(&jobs[i].to, jobs[i].p.dst_stride, dst_size);
        status = dw_plan(&jobs[i], w);
        rows = fc_max(rows, jobs[i].p.grid[1]);
        planes = fc_max(planes, jobs[i].p.grid[0]);
        lines = fc_max(lines, DW_ROWS * jobs[i].lines);
        parts = fc_max(parts, jobs[i].parts);
        block = fc_min(block, jobs[i].block);
    }
    if (status) return status;
    const fc_epilogue *epilogue = p->epilogue;
    if (to.pitch) p->epilogue = NULL; /* its turn comes on the way back */
    const int64_t C = jobs->C, row_blocks = fc_ceil_div(rows, DW_ROWS), batch = p->batch;
    const int64_t unit = fc_max(VL, jobs->to.lanes), images = dw_images(&from, &to, batch);
    const int64_t each = planes * row_blocks;
    while (threads > 1 && images * each * fc_ceil_div(C, block) < 2 * threads && block > unit)
        block = fc_round_up(block / 2, unit);
    for (int64_t i = 0; i < count; i++) jobs[i].block = block;
    const int64_t row = p->src_size[2] * p->src_stride[4], local_items = 2 * DW_POSITIONS * block;
    const int64_t from_items = images * from.pixels * from.pitch + VL;
    const int64_t to_items = images * to.pixels * to.pitch + VL;
    const int64_t bias_items = fc_round_up(C, VL), end_items = dw_end_items(C, row);
    T *local = fc_scratch(threads * local_items + bias_items + end_items, sizeof(T));
    T *copies = fc_scratch(from_items + to_items, sizeof(T));
    dw_line *list = fc_scratch(threads * lines, sizeof *list);
    uint32_t *inside = fc_scratch(threads * parts, sizeof *inside);
    if (local && copies && list && inside) {
        T *padded = local + threads * local_items;
        from.copy = copies;
        to.copy = copies + from_items;
        dw_call call = {.row_blocks = row_blocks, .planes = planes, .bias = bias, .target = dst};
        if (from.pitch) {
            call.end.limit = from.copy + from_items;
        } else {
            call.end = dw_end_of(src, batch * p->src_stride[0], C, row, padded + bias_items);
        }
        if (bias && (C < VL || jobs->to.lanes != p->cols)) {
            memset(padded, 0, (size_t)bias_items * sizeof(T));
            for (int64_t c = 0; c < p->groups * p->cols; c++)
                padded[c / p->cols * jobs->to.lanes + c % p->cols] = bias[c];
            call.bias = padded;
        }
        for (int64_t n = 0; n < batch; n += images) {
            const int64_t now = fc_min(images, batch - n),
                          tasks = now * each * fc_ceil_div(C, block);
            call.src = from.pitch ? from.copy : src + n * from.image;
            call.dst = to.pitch ? to.copy : dst + n * to.image;
            if (from.pitch) dw_move(&from, 1, src, NULL, NULL, batch, n, now, threads);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
            for (int64_t i = 0; i < tasks; i++)
                for (int64_t k = 0; k < count; k++)
                    dw_run_block(&call, jobs + k, i, list + fc_thread() * lines,
                                 inside + fc_thread() * parts, local + fc_thread() * local_items);
            if (to.pitch) dw_move(&to, 0, NULL, dst, epilogue, batch, n, now, threads);
        }
    } else {
        status = FC_NOMEM;
    }
    fc_free(inside);
    fc_free(list);
    fc_free(copies);
    fc_free(local);
    return status;
}

static void dw_free(dw_job *jobs, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        conv_problem_free(&jobs[i].p);
        fc_free(jobs[i].weight);
    }
}

static int dw_forward(const fc_conv_geom *g, const dw_tile_table *tiles, const T *x, const T *w,
                      const T *bias, T *y, int threads) {
    dw_job job = {.tiles = tiles};
    int status = conv_problem_forward(&job.p, g);
    if (status == FC_OK)
        status = dw_solve(&job, 1, g->in_size, g->out_size, x, w, bias, y, threads);
    dw_free(&job, 1);
    return status;
}

static int dw_backward_input(const fc_conv_geom *g, const dw_tile_table *tiles, const T *dy,
                             const T *w, const T *bias, T *dx, int threads) {
    int64_t phase[3], phases = 1, n = 0;
    int status = FC_OK;
    for (int i = 0; i < 3; i++) phases *= fc_min(g->stride[i], g->in_size[i]);
    dw_job *jobs = fc_scratch(phases, sizeof *jobs);
    if (!jobs) return FC_NOMEM;
    memset(jobs, 0, (size_t)phases * sizeof *jobs);
    FOR_EACH_PHASE(g, phase) {
        jobs[n].tiles = tiles;
        if (status == FC_OK) status = conv_problem_backward_input(&jobs[n++].p, g, phase);
    }
    if (status == FC_OK)
        status = dw_solve(jobs, n, g->out_size, g->in_size, dy, w, bias, dx, threads);
    dw_free(jobs, n);
    fc_free(jobs);
    return status;
}

/* Channels adjacent in memory, and sizes that fit. */
static int dw_check(const fc_conv_geom *g) {
    if (g->in_channels > 1 && g->x_stride[1] != 1) return FC_UNSUPPORTED;
    if (g->out_channels > 1 && g->y_stride[1] != 1) return FC_UNSUPPORTED;
    return fc_conv_check(g);
}

static int conv_forward_depthwise(const fc_conv_geom *g, const void *x, const void *w,
                                  const void *bias, void *y, int threads) {
    if (planes_given(g)) return planes(g, 0, x, w, bias, y, threads);
    const int status = g->in_channels == g->groups ? dw_check(g) : FC_UNSUPPORTED;
    return status ? status : dw_forward(g, &dw_tiles, x, w, bias, y, threads);
}

static int conv_backward_input_depthwise(const fc_conv_geom *g, const void *dy, const void *w,
                                         const void *bias, void *dx, int threads) {
    if (planes_given(g)) return planes(g, 1, dy, w, bias, dx, threads);
    const int status = g->in_channels == g->groups ? dw_check(g) : FC_UNSUPPORTED;
    return status ? status : dw_backward_input(g, &dw_tiles, dy, w, bias, dx, threads);
}
