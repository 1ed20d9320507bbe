/* What Winograd makes of a geometry, for rules that choose a kernel: fc_winograd_facts. Groups of
 * taps and tiles are those of winograd/grid.h, which the kernels run by. */
#include "fastconv.h"
#include "winograd/grid.h"

/* Channels in whole vectors of the widest kind may have groups of different numbers of taps. */
enum { WIN_LANES = 16 };

/* What axis i of a problem adds: products for each output, and its groups. */
static int win_axis_facts(const conv_problem *p, int i, int even, double *products, int64_t *groups,
                          int *single) {
    win_axis a = {0};
    const int status = p->taps[i].count ? win_axis_make(&a, p, i, 1, even) : FC_OK;
    const int64_t size = p->grid[i];
    const int64_t tiles = status ? 0 : win_axis_before(p, &a, i, 0, a.tiles * a.grids);
    for (int64_t k = 0; status == FC_OK && k < a.groups; k++) {
        const double more = (double)(a.length[k] - 1); /* points beyond a tile's outputs */
        *products +=
            size ? ((double)size + more * (double)tiles) / (double)size : 1 + more / WIN_OUT;
        *single |= a.length[k] == 1;
    }
    *groups = fc_max(*groups, a.groups);
    fc_free(a.origin);
    return status;
}

int fc_winograd_facts(int direction, const fc_conv_geom *g, fc_winograd *facts) {
    const int back = direction == FC_BACKWARD_INPUT;
    const int even = !back && g->in_channels / g->groups % WIN_LANES != 0;
    int transformed = 0, status = fc_conv_check(g);
    *facts = (fc_winograd){.gain = 1, .tiles = g->batch, .groups = 1};
    for (int i = 2; i >= 0 && status == FC_OK; i--) {
        const int is = g->kernel[i] > 1 && transformed < 2;
        facts->tiles *= is ? fc_ceil_div(g->out_size[i], WIN_OUT) : g->out_size[i];
        if (!is) continue;
        transformed++;
        double products = 0;
        int64_t groups = 0, phase[3] = {0};
        const int64_t phases = back ? fc_min(g->stride[i], g->in_size[i]) : 1;
        for (; phase[i] < phases && status == FC_OK; phase[i]++) {
            conv_problem p;
            status = back ? conv_problem_backward_input(&p, g, phase) : conv_problem_forward(&p, g);
            if (back) p.grid[i] = fc_ceil_div(g->in_size[i], g->stride[i]); /* as the longest */
            if (status == FC_OK)
                status = win_axis_facts(&p, i, even, &products, &groups, &facts->single);
            conv_problem_free(&p);
        }
        if (!groups) facts->gain = 0; /* no tap meets anything */
        else facts->gain *= (double)g->kernel[i] / products, facts->groups *= groups;
    }
    if (facts->gain == 0) facts->gain = 1;
    return status;
}
