/* How Winograd's work is cut: sizes of blocks and chains, free of types. */
#pragma once

#include "core/problem.h"

/* Bytes of V and of one panel's products: with the panel of U that streams by they share L2, 1 MiB
 * of it. A larger L2 is theirs too where U does not stay in it, and is read less often; and what is
 * kept from one call to the next are taps then, not U. */
enum {
    WIN_BLOCK_BYTES = 448 << 10,
    WIN_KEEP_U_BYTES = 1 << 20,
    WIN_MAX_TILES = 48,
    WIN_MIN_TILES = 12,
    WIN_PACK_CHANNELS = 16
};
/* Four times the weights, U is written to and read from memory where it does not stay in L3. So few
 * tiles that they are one block, and weights beyond WIN_KEEP_BYTES of U, are transformed a chain at
 * a time instead, by every block: 512 channels to 512 at 14x14 take 0.6 of the time. */
enum { WIN_FUSED_TILES = 64, WIN_FUSED_BYTES = 16 << 20, WIN_KEEP_BYTES = 12 << 20 };
/* Products in one chain of additions. What such sums give is added up in turn: in one chain, the
 * error of 512 channels is 2.5 times as large (docs/accuracy.md). The time is the same within a few
 * percent. */
enum { WIN_SUM = 64 };

/* Equal parts of n, each at most `most`. */
static inline int64_t win_equal(int64_t n, int64_t most) {
    return fc_ceil_div(n, fc_max(1, fc_ceil_div(n, fc_max(1, most))));
}

/* Whether weights are kept as taps, panel by panel, for blocks to transform what they need: 9
 * values where U has 36 (`products`), which memory would deliver later than they are computed. Only
 * the weights decide, as for whatever is kept. */
static inline int win_keeps_taps(double products, int64_t channels, int64_t cols, size_t item) {
    return products * (double)(channels * cols) * (double)item > WIN_KEEP_U_BYTES;
}

/* Bytes of V and products of a block, beside so many of U. */
static inline int64_t win_block_bytes(double u_bytes) {
    return WIN_BLOCK_BYTES + (u_bytes > WIN_KEEP_U_BYTES ? fc_l2_bytes() - (1 << 20) : 0);
}
