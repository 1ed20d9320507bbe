/* Forward and backward input by Winograd where the problem is not plain (winograd/plain.inc.c):
 * weights that are kept, the division of the work into tasks, and the phases of a stride, which are
 * solved together: their weights are read and transposed in one pass. The blocks are in
 * winograd/block.inc.c. */
#pragma once

#include "fastconv.h"
#include "core/memory.h"
#include "core/problem.h"
#include "core/simd.h"
#include "gemm/block.inc.c"
#include "gemm/gemm.inc.c"
#include "gemm/job.inc.c"
#include "gemm/pack.inc.c"
#include "gemm/tile.inc.c"
#include "winograd/block.inc.c"
#include "winograd/grid.h"
#include "winograd/plain.inc.c"
#include "winograd/sizes.h"
#include "winograd/slab.h"
#include "winograd/transform.inc.c"

/* Whether weights are kept as taps, not as U. */
static int win_job_keeps_taps(const win_job *j) {
    int whole = 1;
    double products = 0;
    for (const win_part *q = j->parts; q < j->parts + j->count; q++) {
        whole &= q->grid.groups == 1;
        products += win_products(&q->grid);
    }
    return (whole || j->all.channels >= WIN_SUM) &&
           win_keeps_taps(products, j->all.channels, j->all.cols, sizeof(T));
}

/* Weights that the caller keeps: measured, packed or found. */
static int win_keep(win_job *j, int threads) {
    fc_packed *packed = j->all.packed;
    const conv_problem *all = &j->all;
    const int64_t count = all->groups * j->panels, C = all->channels;
    const int64_t each = (all->ntaps * WIN_PACK_CHANNELS + 9) * TILE_NR;
    const int taps = win_job_keeps_taps(j);
    const int64_t items = taps ? all->ntaps * C * TILE_NR : j->panel_items;
    void *at;
    int status = fc_packed_next(packed, count * items, sizeof(T), &at);
    if (status || packed->mode == FC_PACKED_SIZE) return status;
    j->kept = taps ? NULL : at;
    j->lying = taps ? at : NULL;
    j->taps = all->ntaps;
    if (packed->mode == FC_PACKED_USE) return FC_OK;
    T *scratch = fc_scratch(threads * each, sizeof(T));
    if (!scratch) return FC_NOMEM;
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int64_t i = 0; i < count; i++) {
        const int64_t col = i % j->panels * TILE_NR, width = fc_min(TILE_NR, all->cols - col);
        const int64_t nr = fc_round_up(width, VL);
        T *to = (T *)at + i * items;
        if (!taps) win_pack(j, i / j->panels, i % j->panels, scratch + fc_thread() * each, to);
        for (int64_t c = 0; taps && c < C; c += WIN_SUM, to += all->ntaps * WIN_SUM * nr)
            pack_weight(all, j->w, i / j->panels, col, width, nr, c, fc_min(C, c + WIN_SUM), to);
    }
    fc_free(scratch);
    return FC_OK;
}

/* How the work of a job is divided. */
typedef struct {
    int64_t tiles, blocks; /* of a block, about; of all parts */
    win_extent slab;       /* of a block */
    int raw;               /* a block transforms the weights it needs, and is of all parts */
    int apart;             /* ... for which their products are too many: each part for itself */
} win_division;

/* Few tiles, or more weights than stay in L3, or a depth of several groups of which L2 holds few
 * tiles: each block of tiles transforms what it needs. */
static win_division win_divide(win_job *j, int threads) {
    win_division d = {0};
    const int64_t C = j->all.channels;
    int64_t tiles = 0, one = 0, all = 0, points = 0;
    int whole = 1;
    double products = 0;
    for (const win_part *q = j->parts; q < j->parts + j->count; q++) {
        const int64_t bytes = q->grid.points * (int64_t)sizeof(T) *
                              (win_slab_share(q->p, &q->grid, q->size.pitch) + TILE_NR);
        tiles = fc_max(tiles, q->grid.tiles);
        one = fc_max(one, bytes);
        all += bytes;
        points += q->grid.points;
        whole &= q->grid.groups == 1;
        products += win_products(&q->grid);
    }
    const double u_bytes = products * (double)(C * j->all.cols) * sizeof(T);
    const int64_t block = win_block_bytes(u_bytes);
    const int many = j->lying || ((whole || C >= WIN_SUM) &&
                                  (tiles <= WIN_FUSED_TILES || u_bytes > WIN_KEEP_BYTES ||
                                   (!whole && block / one < WIN_MIN_TILES)));
    d.raw = many && !j->kept;
    d.tiles = many ? fc_min(WIN_FUSED_TILES, WIN_FUSED_BYTES / (j->kept ? one : all))
                   : fc_min(WIN_MAX_TILES, block / one);
    d.tiles = fc_max(d.tiles, WIN_MIN_TILES);
    /* Parts by themselves may add up their chains in another order: whatever the threads. */
    d.apart =
        d.raw && j->count > 1 &&
        points * fc_round_up(win_equal(tiles, d.tiles), TILE_MR) * TILE_NR * (int64_t)sizeof(T) >
            block + (64 << 10);
    if (threads > 1 && !(many && j->panels >= threads))
        d.tiles = fc_min(d.tiles, fc_max(WIN_MIN_TILES, tiles / (2 * threads)));
    d.tiles = fc_round_up(win_equal(tiles, d.tiles), TILE_MR);
    if (j->parts->grid.shared > 1) { /* one part */
        j->parts->first_block = 0;
        d.slab = win_slab_extent(j->parts->p, &j->parts->grid, d.tiles);
        d.blocks = win_slab_count(j->parts->p, &j->parts->grid, &d.slab);
        d.tiles = win_slab_places(&d.slab);
        return d;
    }
    d.slab = (win_extent){1, 1, d.tiles};
    for (win_part *q = j->parts; q < j->parts + j->count; q++) {
        q->first_block = d.raw ? 0 : d.blocks;
        d.blocks = (d.raw ? 0 : d.blocks) + fc_ceil_div(d.raw ? tiles : q->grid.tiles, d.tiles);
    }
    return d;
}

/* Panels [panel0, panel1) of a block of one part, or of all; weight is U from panel `base` on, or
 * NULL. `v` is followed by what all V and all products take. */
typedef struct {
    int64_t group, block, base, panel0, panel1;
    const T *weight;
    T *v, *m, *chunk, *local;
} win_task;

static void win_run_task(const win_job *j, const win_division *d, const win_task *t,
                         win_block *blocks) {
    const win_part *first = j->parts + (d->raw ? 0 : j->count - 1);
    while (!d->raw && first->first_block > t->block) first--;
    const int64_t count = d->raw ? j->count : 1;
    T *v = t->v, *m = t->m, odd[VL] = {0};
    for (int64_t i = 0; i < count; i++) {
        const win_part *q = first + i;
        blocks[i] = (win_block){
            .p = q->p,
            .grid = &q->grid,
            .input = &q->input,
            .output = &q->output,
            .size = q->size,
            .src = j->src,
            .end = j->src + q->p->batch * q->p->src_stride[0],
            .bias = j->bias ? j->bias + t->group * j->panels * TILE_NR : NULL,
            .dst = j->dst,
            .group = t->group,
            .slab = win_slab_at(q->p, &q->grid, &d->slab, t->block - q->first_block),
            .tap0 = q->tap0,
            .v = v,
            .m = m,
            .local = t->local,
            .odd = odd,
        };
        v += q->grid.points * win_slab_inputs(q->p, &q->grid, &d->slab) * q->size.pitch;
        m += q->grid.points * d->tiles * TILE_NR;
        win_load_all(blocks + i);
    }
    for (int64_t panel = t->panel0; panel < t->panel1; panel++) {
        const int64_t col = panel * TILE_NR, width = fc_min(TILE_NR, j->all.cols - col);
        if (d->raw) win_multiply_raw(j, blocks, panel, width, t->local, t->chunk);
        for (int64_t i = 0; i < count; i++) {
            const win_block *b = blocks + i;
            if (!d->raw)
                win_multiply(b, fc_ceil_div(width, VL),
                             t->weight + (panel - t->base) * j->panel_items + first[i].u0,
                             win_panel_plane(b->p, &b->size, panel));
            win_store_all(b, col, width);
        }
    }
    win_tell(odd, j->spread);
}

/* Tasks are (group, block of tiles, range of panels): each writes its own part of the target. */
static int win_run_job(win_job *j, int threads) {
    const win_division d = win_divide(j, threads);
    if (d.apart) {
        int status = FC_OK;
        for (int64_t i = 0; status == FC_OK && i < j->count; i++) {
            win_job alone = *j;
            alone.parts += i;
            alone.count = 1;
            alone.all = *alone.parts->p;
            alone.parts->u0 = 0;
            if (!j->lying) alone.parts->tap0 = 0;
            alone.panel_items = alone.parts->size.panel_items;
            status = win_run_job(&alone, threads);
        }
        return status;
    }
    const int64_t groups = j->all.groups, panel_bytes = j->panel_items * (int64_t)sizeof(T);
    /* U in turns that keep it bounded: groups first, else panels of one group. */
    const int64_t most = fc_max(1, WEIGHT_BYTES / panel_bytes);
    const int64_t turn = d.raw || j->kept ? j->panels : fc_min(j->panels, most);
    const int64_t groups_at_once =
        d.raw || j->kept ? groups : fc_max(1, fc_min(groups, most / j->panels));
    int64_t splits = 1;
    if (d.blocks * groups_at_once < threads)
        splits = fc_min(turn, fc_ceil_div(threads, d.blocks * groups_at_once));

    int64_t v_items = 0, m_items = 0, chunk_items = 0;
    int64_t local_items = (j->all.ntaps * (d.raw ? WIN_SUM : WIN_PACK_CHANNELS) + 9) * TILE_NR;
    for (const win_part *q = j->parts; q < j->parts + j->count; q++) {
        const int64_t v = q->grid.points * win_slab_inputs(q->p, &q->grid, &d.slab) * q->size.pitch;
        const int64_t m = q->grid.points * d.tiles * TILE_NR;
        v_items = d.raw ? v_items + v : fc_max(v_items, v);
        m_items = d.raw ? m_items + m : fc_max(m_items, m);
        if (d.raw)
            chunk_items =
                fc_max(chunk_items, q->grid.points * (WIN_SUM * TILE_NR + q->size.u_skip));
        local_items = fc_max(local_items, WIN_IN * WIN_IN * fc_max(q->size.depth, TILE_NR) + VL);
    }
    const int64_t each = v_items + m_items + chunk_items + local_items;
    const int ahead = !d.raw && !j->kept;
    T *u = ahead ? fc_scratch(groups_at_once * turn * j->panel_items, sizeof(T)) : NULL;
    T *scratch = fc_scratch(threads * each, sizeof(T));
    win_block *blocks = fc_scratch(threads * j->count, sizeof *blocks);
    const int status = (u || !ahead) && scratch && blocks ? FC_OK : FC_NOMEM;
    for (int64_t g0 = 0; status == FC_OK && g0 < groups; g0 += groups_at_once) {
        const int64_t ng = fc_min(groups_at_once, groups - g0);
        for (int64_t t0 = 0; t0 < j->panels; t0 += turn) {
            const int64_t nt = fc_min(turn, j->panels - t0), step = fc_ceil_div(nt, splits);
#pragma omp parallel num_threads(threads) if (threads > 1)
            {
                T *mine = scratch + fc_thread() * each;
#pragma omp for schedule(dynamic)
                for (int64_t i = 0; i < (ahead ? ng * nt : 0); i++)
                    win_pack(j, g0 + i / nt, t0 + i % nt, mine,
                             u + (i / nt * turn + i % nt) * j->panel_items);
#pragma omp for schedule(dynamic)
                for (int64_t i = 0; i < ng * d.blocks * splits; i++) {
                    const int64_t s = i % splits, g = i / splits / d.blocks;
                    const win_task task = {
                        .group = g0 + g,
                        .block = i / splits % d.blocks,
                        .base = t0,
                        .panel0 = t0 + fc_min(nt, s * step),
                        .panel1 = t0 + fc_min(nt, (s + 1) * step),
                        .weight = j->kept ? j->kept + ((g0 + g) * j->panels + t0) * j->panel_items
                                  : ahead ? u + g * turn * j->panel_items
                                          : NULL,
                        .v = mine,
                        .m = mine + v_items,
                        .chunk = mine + v_items + m_items,
                        .local = mine + v_items + m_items + chunk_items,
                    };
                    win_run_task(j, &d, &task, blocks + fc_thread() * j->count);
                }
            }
        }
    }
    fc_free(blocks);
    fc_free(scratch);
    fc_free(u);
    return status;
}

/* Problems that share their operands; each has a transformed axis and positions. */
static int win_solve(const conv_problem *problems, int64_t count, const T *src, const T *w,
                     const T *bias, T *dst, int threads) {
    const conv_problem *p = problems;
    if (count == 0) return FC_OK;
    if (count == 1 && win_is_plain(p)) return win_plain_solve(p, src, w, bias, dst, threads);
    if (p->src_stride[1] != 1 && p->channels * p->groups > 1) return FC_UNSUPPORTED;
    int spread = 0;
    win_job job = {.count = count, .all = *p, .src = src, .w = w, .dst = dst, .spread = &spread};
    conv_problem *all = &job.all;
    job.panels = fc_ceil_div(p->cols, TILE_NR);
    job.parts = fc_scratch(count, sizeof *job.parts);
    job.bias = bias ? pad_bias(p, job.panels, bias) : NULL;
    all->position = fc_scratch(p->kernel_taps, sizeof(int64_t));
    int status = job.parts && all->position && (job.bias || !bias) ? FC_OK : FC_NOMEM;
    int64_t made = 0;
    all->ntaps = 0;
    for (int64_t i = 0; status == FC_OK && i < p->kernel_taps; i++) all->position[i] = -1;
    for (; status == FC_OK && made < count; made++) {
        win_part *q = job.parts + made;
        q->p = p = problems + made;
        status = win_grid_make(&q->grid, p, p->channels % VL != 0);
        if (status) {
            win_grid_free(&q->grid);
            break;
        }
        if (count > 1) q->grid.shared = 1; /* phases share a block instead */
        const int tails = win_has_tails(p, &q->grid);
        q->size = win_sizes_of(p, &q->grid);
        q->tap0 = all->ntaps;
        q->u0 = job.panel_items;
        win_transform_make(&q->input, WIN_INPUT, win_input, &q->grid, tails);
        win_transform_make(&q->output, WIN_OUTPUT, win_output, &q->grid, tails);
        for (int64_t i = 0; i < p->kernel_taps; i++)
            if (p->position[i] >= 0) all->position[i] = all->ntaps + p->position[i];
        all->ntaps += p->ntaps;
        job.panel_items += q->size.panel_items;
    }
    if (status == FC_OK && all->packed) status = win_keep(&job, threads);
    if (status == FC_OK && !fc_only_packs(all->packed)) status = win_run_job(&job, threads);
    if (status == FC_OK && spread) status = FC_NOT_FINITE;
    while (made > 0) win_grid_free(&job.parts[--made].grid);
    fc_free(all->position);
    fc_free((void *)job.bias);
    fc_free(job.parts);
    return status;
}

static int conv_forward_winograd(const fc_conv_geom *g, const void *x, const void *w,
                                 const void *bias, void *y, int threads) {
    int status = fc_conv_check(g);
    if (status) return status;
    conv_problem p;
    status = conv_problem_forward(&p, g);
    if (status == FC_OK) status = win_solve(&p, p.rows > 0, x, w, bias, y, threads);
    conv_problem_free(&p);
    return status;
}

/* Whether a phase saves enough of its products: the size of the image must not matter, for which
 * its packed weights are kept. */
static int win_pays(const conv_problem *p, int *pays) {
    win_grid grid = {0};
    int status = win_grid_make(&grid, p, p->channels % VL != 0);
    *pays = status == FC_OK && win_gain(p, &grid) >= WIN_LEAST_GAIN;
    if (status == FC_UNSUPPORTED) status = FC_OK;
    win_grid_free(&grid);
    return status;
}

static int conv_backward_input_winograd(const fc_conv_geom *g, const void *dy, const void *w,
                                        const void *bias, void *dx, int threads) {
    int status = fc_conv_check(g);
    if (status) return status;
    /* Each phase that has a tap has one of its own; those that pay are put first. */
    int64_t most = 1, count = 0, paying = 0, phase[3];
    for (int i = 0; i < 3; i++) most *= fc_min(g->kernel[i], g->stride[i]);
    conv_problem *parts = fc_scratch(most, sizeof *parts);
    if (!parts) return FC_NOMEM;
    FOR_EACH_PHASE(g, phase) {
        conv_problem p;
        int pays = 0;
        if (status) break;
        status = conv_problem_backward_input(&p, g, phase);
        if (status == FC_OK && p.depth > 0 && p.rows > 0) {
            parts[count++] = p;
            status = win_pays(&p, &pays);
            if (pays) {
                parts[count - 1] = parts[paying];
                parts[paying++] = p;
            }
            continue;
        }
        if (status == FC_OK && !fc_only_packs(p.packed)) fill_phase(&p, bias, dx);
        conv_problem_free(&p);
    }
    if (status == FC_OK) status = win_solve(parts, paying, dy, w, bias, dx, threads);
    if (status == FC_OK)
        status = gemm_solve_all(parts + paying, count - paying, 0, dy, w, bias, dx, threads);
    while (count > 0) conv_problem_free(parts + --count);
    fc_free(parts);
    return status;
}
