/* Backward weight as a GEMM over the positions: dW[k][d] = sum over rows of dY[row][k] * X[row][d],
 * the tile with A read by columns. X is packed in blocks of rows, or read as it lies where a row is
 * a pixel. */

/* One block of dW: `kb` output channels from k0 times the depth [d0, d0+len), summed over the rows
 * [row0, row0+rows) into acc[kb][ld], then laid out as (K, C/groups, taps). */
typedef struct {
    const conv_problem *p;
    const T *dy, *x;
    T *dw;
    int64_t group, k0, kb, d0, len, row0, rows;
    T *pack, *acc;
} FN(weight_block);

static void FN(weight_run_block)(const FN(weight_block) * b) {
    const conv_problem *p = b->p;
    const int64_t C = p->channels, K = p->cols, dy_pitch = p->dst_stride[4];
    /* The last vector of a pixel may reach past the array: only the packed copy allows that. */
    const int whole = b->len % VL == 0, pointwise = whole && conv_is_pointwise(p);
    const int64_t pitch = pointwise ? p->src_stride[4] : FN(pitch)(b->len);
    /* With one tap dW is laid out as the sums are. */
    const int in_place = whole && p->ntaps == 1;
    const int64_t ld = in_place ? C : fc_round_up(b->len, VL);
    T *acc = in_place ? b->dw + (b->group * K + b->k0) * C + b->d0 : b->acc;
    const T *dy = b->dy + b->group * K + b->k0;
    for (int64_t done = 0; done < b->rows; done += PIXEL_BLOCK) {
        const int64_t row = b->row0 + done, n = fc_min(PIXEL_BLOCK, b->rows - done);
        const T *x = b->pack;
        if (pointwise) {
            x = b->x + row * pitch + b->group * C + b->d0;
        } else {
            FN(pack_rows)(p, b->x, b->group * p->channels, row, n, b->d0, b->len, b->pack, pitch);
        }
        for (int64_t j = 0; j < b->len; j += TILE_NR) {
            const int64_t nrv = fc_ceil_div(fc_min(TILE_NR, b->len - j), VL);
            for (int64_t i = 0; i < b->kb; i += TILE_MR) {
                const tile_fn f = FN(tiles_by_cols)[fc_min(TILE_MR, b->kb - i) - 1][nrv - 1];
                f(n, dy + row * dy_pitch + i, dy_pitch, x + j, pitch, acc + i * ld + j, ld, NULL,
                  done ? TILE_ADD : TILE_STORE);
            }
        }
    }
    if (in_place) return;
    const int64_t taps = p->ntaps;
    for (int64_t i = 0; i < b->kb; i++) {
        T *o = b->dw + ((b->group * K + b->k0 + i) * C) * taps;
        const T *a = b->acc + i * ld;
        int64_t tap = b->d0 / C, c = b->d0 % C;
        for (int64_t left = b->len; left > 0; tap++, c = 0) {
            const int64_t c1 = fc_min(C, c + left);
            left -= c1 - c;
            for (; c < c1; c++) o[c * taps + tap] = *a++;
        }
    }
}

static int FN(conv_backward_weight_gemm)(const fc_conv_geom *g, const void *dy, const void *x,
                                         const void *bias, void *dw, int threads) {
    (void)bias;
    conv_problem p;
    int status = fc_conv_check(g);
    if (status) return status;
    status = conv_problem_forward(&p, g);
    if (status == FC_OK && p.channels * p.groups > 1 && p.src_stride[1] != 1)
        status = FC_UNSUPPORTED;
    if (status == FC_OK && p.cols * p.groups > 1 && p.dst_stride[1] != 1) status = FC_UNSUPPORTED;
    if (status) {
        conv_problem_free(&p);
        return status;
    }
    const int64_t weights = p.groups * p.cols * p.depth;
    int64_t splits = 1;
    if (weights < SMALL_WEIGHT) splits = fc_max(1, fc_min(MAX_SPLITS, p.rows / ROWS_PER_SPLIT));
    /* Blocks of the depth and of K: smaller ones where they would not feed the threads. */
    int64_t kb = fc_min(p.cols, COL_BLOCK), db = DEPTH_BLOCK_BYTES / (int64_t)sizeof(T);
    db = fc_min(p.depth, fc_round_up(fc_ceil_div(p.depth, fc_ceil_div(p.depth, db)), TILE_NR));
    kb = fc_ceil_div(p.cols, fc_ceil_div(p.cols, kb));
    kb = fc_min(p.cols, fc_round_up(kb, TILE_MR));
    while (threads > 1 && db > TILE_NR &&
           p.groups * splits * fc_ceil_div(p.depth, db) * fc_ceil_div(p.cols, kb) < 4 * threads) {
        db = fc_round_up(db / 2, TILE_NR);
    }
    const int64_t nk = fc_ceil_div(p.cols, kb), nd = fc_ceil_div(p.depth, db);
    const int64_t tasks = p.groups * splits * nk * nd;
    if (tasks < threads) threads = (int)tasks;
    const int64_t pack_items = PIXEL_BLOCK * FN(pitch)(db) + TILE_NR;
    const int64_t acc_items = kb * fc_round_up(db, VL);
    T *pack = fc_scratch(threads * pack_items, sizeof(T));
    T *acc = fc_scratch(threads * acc_items, sizeof(T));
    T *partial = splits > 1 ? fc_scratch(splits * weights, sizeof(T)) : (T *)dw;
    if (!pack || !acc || !partial) {
        status = FC_NOMEM;
    } else {
        const int64_t chunk = fc_ceil_div(p.rows, splits);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
        for (int64_t i = 0; i < tasks; i++) {
            const int64_t d = i % nd, k = i / nd % nk, s = i / nd / nk % splits, me = fc_thread();
            FN(weight_block)
            block = {
                .p = &p,
                .dy = dy,
                .x = x,
                .dw = partial + s * weights,
                .group = i / nd / nk / splits,
                .k0 = k * kb,
                .kb = fc_min(kb, p.cols - k * kb),
                .d0 = d * db,
                .len = fc_min(db, p.depth - d * db),
                .row0 = s * chunk,
                .rows = fc_min(chunk, p.rows - s * chunk),
                .pack = pack + me * pack_items,
                .acc = acc + me * acc_items,
            };
            FN(weight_run_block)(&block);
        }
        if (splits > 1) {
            for (int64_t i = 0; i < weights; i++) {
                T sum = 0;
                for (int64_t s = 0; s < splits; s++) sum += partial[s * weights + i];
                ((T *)dw)[i] = sum;
            }
        }
    }
    if (partial != dw) fc_free(partial);
    fc_free(acc);
    fc_free(pack);
    conv_problem_free(&p);
    return status;
}
