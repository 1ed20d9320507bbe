/* The buffer pool: outputs, gradients and scratch come from blocks that are used again.
 *
 * A fresh block of several megabytes costs more than the arithmetic of many a layer: the system
 * maps its pages one by one and clears them. Freed blocks wait here in lists by size, up to a
 * bound. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* 64-byte aligned memory with any contents, NULL when there is none; fc_free takes NULL too. */
void *fc_alloc(size_t bytes);
void fc_free(void *block);

/* `count` items, NULL also when the size overflows. */
static inline void *fc_scratch(int64_t count, size_t item) {
    size_t bytes;
    if (count < 0 || __builtin_mul_overflow((size_t)count, item, &bytes)) return NULL;
    return bytes > (size_t)INT64_MAX - 4096 ? NULL : fc_alloc(bytes);
}
