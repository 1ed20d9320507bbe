/* The table of kernels: every signature, number and capability stands here, once.
 *
 * A file that includes this one defines what it makes of a line: the numbers, the table's type and
 * the prototypes (fastconv.h), the tables (core/kernels.inc.c), what calls them (core/dispatch.c).
 * build.py writes the numbers and the prototypes for cffi.
 *
 * FC_CONV_KERNEL(number, function, capabilities): FC_CONV_<number>, of the type fc_conv_fn. */
#ifndef FC_CONV_KERNEL
#define FC_CONV_KERNEL(number, function, can)
#endif
FC_CONV_KERNEL(FORWARD_GEMM, conv_forward_gemm,
               FC_FORWARD | FC_FINISHES | FC_PACKS | FC_WRITES_PLANES)
FC_CONV_KERNEL(BACKWARD_INPUT_GEMM, conv_backward_input_gemm,
               FC_BACKWARD_INPUT | FC_PACKS | FC_WRITES_PLANES)
FC_CONV_KERNEL(BACKWARD_WEIGHT_GEMM, conv_backward_weight_gemm, FC_BACKWARD_WEIGHT)
FC_CONV_KERNEL(FORWARD_DEPTHWISE, conv_forward_depthwise,
               FC_FORWARD | FC_FINISHES | FC_KEEPS_PLANES)
FC_CONV_KERNEL(BACKWARD_INPUT_DEPTHWISE, conv_backward_input_depthwise,
               FC_BACKWARD_INPUT | FC_KEEPS_PLANES)
FC_CONV_KERNEL(BACKWARD_WEIGHT_DEPTHWISE, conv_backward_weight_depthwise, FC_BACKWARD_WEIGHT)
FC_CONV_KERNEL(FORWARD_GROUPED, conv_forward_grouped, FC_FORWARD | FC_FINISHES)
FC_CONV_KERNEL(BACKWARD_INPUT_GROUPED, conv_backward_input_grouped, FC_BACKWARD_INPUT)
FC_CONV_KERNEL(BACKWARD_WEIGHT_GROUPED, conv_backward_weight_grouped, FC_BACKWARD_WEIGHT)
FC_CONV_KERNEL(FORWARD_WINOGRAD, conv_forward_winograd,
               FC_FORWARD | FC_FINISHES | FC_PACKS | FC_TRANSFORMS)
FC_CONV_KERNEL(BACKWARD_INPUT_WINOGRAD, conv_backward_input_winograd,
               FC_BACKWARD_INPUT | FC_PACKS | FC_TRANSFORMS)
FC_CONV_KERNEL(BACKWARD_WEIGHT_WINOGRAD, conv_backward_weight_winograd,
               FC_BACKWARD_WEIGHT | FC_TRANSFORMS)
FC_CONV_KERNEL(BACKWARD_INPUT_SCATTER, conv_backward_input_scatter,
               FC_BACKWARD_INPUT | FC_WRITES_PLANES)
FC_CONV_KERNEL(FORWARD_DIRECT, conv_forward_direct,
               FC_FORWARD | FC_FINISHES | FC_PACKS | FC_WRITES_PLANES)
FC_CONV_KERNEL(BACKWARD_INPUT_DIRECT, conv_backward_input_direct,
               FC_BACKWARD_INPUT | FC_PACKS | FC_WRITES_PLANES)
FC_CONV_KERNEL(FORWARD_FLAT, conv_forward_flat, FC_FORWARD | FC_FINISHES)
FC_CONV_KERNEL(BACKWARD_WEIGHT_FLAT, conv_backward_weight_flat, FC_BACKWARD_WEIGHT)
#undef FC_CONV_KERNEL

/* FC_FAMILY(name, (parameters), (their names)): int fc_<name>(int dtype, parameters).
 * FC_FAMILY_OF(name, kinds, (parameters), (their names)): int fc_<name>(int kind, int dtype,
 * parameters), with 0 <= kind < kinds. An unknown type or kind, and fewer threads than one, are
 * FC_UNSUPPORTED. The kernel is a function `name` of the parameters, behind the kind. */
#ifndef FC_FAMILY
#define FC_FAMILY(name, parameters, names)
#endif
#ifndef FC_FAMILY_OF
#define FC_FAMILY_OF(name, kinds, parameters, names)
#endif

/* out[k] = sum of dy over batch and space. */
FC_FAMILY(conv_backward_bias, (const fc_conv_geom *g, const void *dy, void *out, int threads),
          (g, dy, out, threads))

/* Back through an activation and the bias before it: dx = f(dy, y; p, q) with f an
 * FC_MAP_..._BACKWARD of the ReLU family, db[k] = sum of dx over the rows, all (rows, channels).
 * dx may be dy. */
FC_FAMILY_OF(activation_backward, FC_MAP_KERNELS,
             (int64_t rows, int64_t channels, const void *dy, const void *y, double p, double q,
              void *dx, void *db, int threads),
             (rows, channels, dy, y, p, q, dx, db, threads))

FC_FAMILY(max_pool_forward,
          (const fc_pool_geom *g, const void *x, void *y, int64_t *indices, int threads),
          (g, x, y, indices, threads))

/* For training: the number of the maximum's tap in its window (kd * KH + kh) * KW + kw with the
 * largest counts KH, KW, or taps = NULL for the maxima alone. Channels-last, at most 256 taps. */
FC_FAMILY(max_pool_taps_forward,
          (const fc_pool_geom *g, const void *x, void *y, uint8_t *taps, int threads),
          (g, x, y, taps, threads))

FC_FAMILY(max_pool_taps_backward,
          (const fc_pool_geom *g, const void *dy, const uint8_t *taps, void *dx, int threads),
          (g, dy, taps, dx, threads))

FC_FAMILY(avg_pool_forward, (const fc_pool_geom *g, const void *x, void *y, int threads),
          (g, x, y, threads))

FC_FAMILY(avg_pool_backward, (const fc_pool_geom *g, const void *dy, void *dx, int threads),
          (g, dy, dx, threads))

/* The kernels driven by stored indices (flat into D*H*W of x):
 * max pool backward: a = dy, out = dx, scatter and add; unpool forward: a = y, out = x, scatter;
 * unpool backward: a = dx, out = dy, gather. An index outside D*H*W is skipped: FC_RANGE. */
FC_FAMILY_OF(index_pool, FC_INDEX_KERNELS,
             (const fc_pool_geom *g, const void *a, const int64_t *indices, void *out, int threads),
             (g, a, indices, out, threads))

/* stats [3]: mean, biased variance, 1 / sqrt(variance + eps). coef [3]: centre, scale, shift of the
 * map y = (x - mean) / sqrt(variance + eps) * weight + bias; weight and bias [channels] or NULL.
 * The running statistics [channels], or NULL, move by `momentum` towards the average over the sets,
 * the variance unbiased. */
FC_FAMILY(norm_statistics,
          (const fc_norm_geom *g, const void *x, const void *weight, const void *bias, double eps,
           void *running_mean, void *running_var, double momentum, double *stats, void *coef,
           int threads),
          (g, x, weight, bias, eps, running_mean, running_var, momentum, stats, coef, threads))

/* y = (x - centre) * scale + shift, + residual where not NULL, and with `relu` no less than 0 and
 * no more than `limit` (infinite for none). */
FC_FAMILY(norm_apply,
          (const fc_norm_geom *g, const void *x, const void *coef, const void *residual, int relu,
           double limit, void *y, int threads),
          (g, x, coef, residual, relu, limit, y, threads))

/* Gradients from stats and coef of forward; each of dx, dr, dweight, dbias may be NULL, and dx or
 * dr may be dy. With d = dy, or with `relu` what passes where 0 < y and y is not a finite `limit`:
 * dr = d (of a residual), dweight and dbias are those of the map, and dx is that of x, through the
 * statistics too unless they are `constant`. y: where a residual was added; computed again where
 * NULL. */
FC_FAMILY(norm_backward,
          (const fc_norm_geom *g, const void *dy, const void *x, const void *y, int relu,
           double limit, const void *weight, const double *stats, const void *coef, int constant,
           void *dx, void *dr, void *dweight, void *dbias, int threads),
          (g, dy, x, y, relu, limit, weight, stats, coef, constant, dx, dr, dweight, dbias,
           threads))

/* Layer norm of x [rows][length]: y = (x - mean) / sqrt(variance + eps) * weight + bias, the
 * statistics those of a row, weight and bias [length] or NULL. stats [2][rows]: mean,
 * 1 / sqrt(variance + eps). */
FC_FAMILY(layer_norm,
          (int64_t rows, int64_t length, const void *x, const void *weight, const void *bias,
           double eps, void *y, double *stats, int threads),
          (rows, length, x, weight, bias, eps, y, stats, threads))

/* Its gradients; each of dx, dweight, dbias may be NULL, and dx may be dy. */
FC_FAMILY(layer_norm_backward,
          (int64_t rows, int64_t length, const void *dy, const void *x, const void *weight,
           const double *stats, void *dx, void *dweight, void *dbias, int threads),
          (rows, length, dy, x, weight, stats, dx, dweight, dbias, threads))

/* dst[b][c][r] = src[b][r][c]: both directions of NCHW <-> channels-last. */
FC_FAMILY(transpose,
          (int64_t batch, int64_t rows, int64_t cols, const void *src, void *dst, int threads),
          (batch, rows, cols, src, dst, threads))

/* to[r][to_start + k] = from[r][from_start + k] for k < width: columns of dense rows. */
FC_FAMILY(copy_columns,
          (int64_t rows, int64_t width, const void *from, int64_t from_pitch, int64_t from_start,
           void *to, int64_t to_pitch, int64_t to_start, int threads),
          (rows, width, from, from_pitch, from_start, to, to_pitch, to_start, threads))

/* out[i] = f(a[i], b[i]; p, q) over `count` elements; out may be a or b. Of one argument: b = a. */
FC_FAMILY_OF(map, FC_MAP_KERNELS,
             (int64_t count, const void *a, const void *b, double p, double q, void *out,
              int threads),
             (count, a, b, p, q, out, threads))

FC_FAMILY_OF(reduce, FC_REDUCE_KINDS,
             (const fc_reduce_geom *g, const void *x, const void *b, const double *centre,
              double divisor, int wide, void *out, int threads),
             (g, x, b, centre, divisor, wide, out, threads))

/* out[o][l][i] = the sum, or product, of x[o][0..l][i]; with `back` of x[o][l..][i]. */
FC_FAMILY_OF(running, 2, (const fc_reduce_geom *g, const void *x, int back, void *out, int threads),
             (g, x, back, out, threads))

FC_FAMILY_OF(softmax, FC_SOFTMAX_KINDS,
             (const fc_softmax_geom *g, const void *a, const void *b, const int64_t *labels,
              const void *weight, const void *grad, void *out, void *loss, void *sample,
              int threads),
             (g, a, b, labels, weight, grad, out, loss, sample, threads))

FC_FAMILY(local_response,
          (const fc_response_geom *g, const void *x, const void *grad, void *out, int threads),
          (g, x, grad, out, threads))

FC_FAMILY(resample, (const fc_resample_geom *g, const void *x, void *out, int threads),
          (g, x, out, threads))

FC_FAMILY(warp,
          (const fc_warp_geom *g, const void *x, const double *matrix, const void *fill, void *out,
           int threads),
          (g, x, matrix, fill, out, threads))

/* A step of an optimiser (settings: fc_sgd or fc_adam) over `count` parameters of one type. */
FC_FAMILY_OF(step, FC_METHODS,
             (const void *settings, int64_t count, const fc_update *updates, int threads),
             (settings, count, updates, threads))
#undef FC_FAMILY
#undef FC_FAMILY_OF
