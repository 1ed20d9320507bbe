/* The buffer pool (core/memory.h). */
#define _GNU_SOURCE
#include "core/memory.h"

#include <pthread.h>
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "fastconv.h"

/* Sizes are 4, 5, 6 or 7 times a power of two: at most a quarter of a block is not used. */
enum { SMALLEST = 1 << 12, CLASSES = 4 * 40, HUGE_PAGE = 2 << 20, HEADER = 64 };
/* Smaller blocks than a huge page, from SLAB_LEAST bytes on, are cut from slabs of several: with
 * pages of 4 KiB, the translations of a network's weights alone are more than the processor keeps.
 */
enum { SLAB_LEAST = 1 << 14, SLAB_BYTES = 32 << 20, PAGE = 1 << 12 };

/* Memory that blocks are cut from, one after the other; given back with the last of them. */
typedef struct {
    size_t at;    /* bytes cut so far, this included */
    int64_t live; /* blocks that exist, in use or waiting */
} slab;

/* Stands in the 64 bytes before the block. */
typedef struct header {
    size_t bytes; /* of the block, header included */
    int class;
    slab *slab; /* that it was cut from, or NULL */
    struct header *next;
    int64_t freed; /* the number of that call of fc_free */
} header;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static header *waiting[CLASSES];
static slab *current; /* has room, or NULL */
static int64_t cached, in_use, frees, limit = INT64_C(1) << 30;
/* A block that nobody took while so many were freed, some training steps, makes room for others
 * first. Younger ones stay: a step that needs more than the limit would find none of its own. */
enum { STALE = 1024 };

/* The address sanitizer is told what of the pool's memory is lent: it sees accesses before a block,
 * beyond its exact size, and after its end until it is lent again. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define FORBID(at, bytes) ASAN_POISON_MEMORY_REGION(at, bytes)
#define ALLOW(at, bytes) ASAN_UNPOISON_MEMORY_REGION(at, bytes)
#else
#define FORBID(at, bytes) ((void)(at), (void)(bytes))
#define ALLOW(at, bytes) ((void)(at), (void)(bytes))
#endif

static int class_of(size_t bytes, size_t *size) {
    int class = 0;
    size_t step = SMALLEST / 4;
    while (8 * step <= bytes) step *= 2, class += 4;
    size_t n = (bytes + step - 1) / step;
    if (n < 4) n = 4;
    if (n == 8) return *size = 8 * step, class + 4;
    *size = n * step;
    return class + (int)n - 4;
}

static void *aligned(size_t align, size_t bytes) {
    void *memory = aligned_alloc(align, (bytes + align - 1) / align * align);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (memory && align == HUGE_PAGE) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    return memory;
}

/* A block cut from a slab; NULL when there is no memory. */
static header *from_slab(size_t bytes) {
    pthread_mutex_lock(&lock);
    if (!current || current->at + bytes > SLAB_BYTES) {
        current = aligned(HUGE_PAGE, SLAB_BYTES); /* the old one goes with its last block */
        if (current) {
            *current = (slab){HEADER, 0};
            FORBID((char *)current + HEADER, SLAB_BYTES - HEADER);
        }
    }
    header *h = NULL;
    if (current) {
        h = (header *)((char *)current + current->at);
        current->at += (bytes + HEADER - 1) / HEADER * HEADER;
        current->live++;
        ALLOW(h, HEADER);
        h->slab = current;
    }
    pthread_mutex_unlock(&lock);
    return h;
}

static header *from_system(size_t bytes) {
    if (bytes >= SLAB_LEAST && bytes < HUGE_PAGE) return from_slab(bytes);
    header *h = aligned(bytes >= HUGE_PAGE ? HUGE_PAGE : 64, bytes);
    if (h) h->slab = NULL;
    return h;
}

/* What is left of a slab in use is not cut again, but its pages go back. */
static void to_system(header *h) {
    slab *s = h->slab;
    const size_t bytes = h->bytes;
    if (!s) {
        free(h);
        return;
    }
#if defined(__linux__) && defined(MADV_DONTNEED)
    const uintptr_t from = ((uintptr_t)h + PAGE - 1) / PAGE * PAGE;
    const uintptr_t to = ((uintptr_t)h + bytes) / PAGE * PAGE;
    if (to > from) madvise((void *)from, to - from, MADV_DONTNEED);
#endif
    pthread_mutex_lock(&lock);
    const int last = --s->live == 0;
    if (last && s == current) s->at = HEADER;
    const int gone = last && s != current;
    FORBID(h, bytes);
    pthread_mutex_unlock(&lock);
    if (gone) free(s);
}

void *fc_alloc(size_t bytes) {
    size_t size;
    if (bytes > (size_t)1 << 48) return NULL; /* beyond any address space, and the size classes */
    const int class = class_of(bytes + HEADER, &size);
    pthread_mutex_lock(&lock);
    header *h = waiting[class];
    if (h) {
        waiting[class] = h->next;
        cached -= (int64_t)size;
    }
    in_use += (int64_t)size;
    pthread_mutex_unlock(&lock);
    if (!h) {
        h = from_system(size);
        if (!h) { /* what waits in other lists may be what is missing */
            fc_empty_cache();
            h = from_system(size);
        }
        if (!h) {
            pthread_mutex_lock(&lock);
            in_use -= (int64_t)size;
            pthread_mutex_unlock(&lock);
            return NULL;
        }
        h->bytes = size;
        h->class = class;
    }
    ALLOW((char *)h + HEADER, bytes);
    FORBID((char *)h + HEADER + bytes, size - HEADER - bytes);
    FORBID(h, HEADER);
    return (char *)h + HEADER;
}

/* Stale blocks, unlinked, as a list; under the lock. */
static header *take_stale(void) {
    header *all = NULL;
    for (int i = 0; i < CLASSES; i++) {
        header **at = &waiting[i];
        while (*at) {
            header *h = *at;
            if (frees - h->freed < STALE) {
                at = &h->next;
                continue;
            }
            *at = h->next;
            cached -= (int64_t)h->bytes;
            h->next = all;
            all = h;
        }
    }
    return all;
}

static void all_to_system(header *all) {
    while (all) {
        header *h = all;
        all = h->next;
        to_system(h);
    }
}

void fc_free(void *block) {
    if (!block) return;
    header *h = (header *)((char *)block - HEADER);
    ALLOW(h, HEADER);
    FORBID(block, h->bytes - HEADER);
    pthread_mutex_lock(&lock);
    in_use -= (int64_t)h->bytes;
    h->freed = ++frees;
    header *stale = NULL;
    if (cached + (int64_t)h->bytes > limit) stale = take_stale();
    const int keep = cached + (int64_t)h->bytes <= limit;
    if (keep) {
        h->next = waiting[h->class];
        waiting[h->class] = h;
        cached += (int64_t)h->bytes;
    }
    pthread_mutex_unlock(&lock);
    all_to_system(stale);
    if (!keep) to_system(h);
}

void fc_empty_cache(void) {
    pthread_mutex_lock(&lock);
    header *all = NULL;
    for (int i = 0; i < CLASSES; i++) {
        while (waiting[i]) {
            header *h = waiting[i];
            waiting[i] = h->next;
            h->next = all;
            all = h;
        }
    }
    cached = 0;
    pthread_mutex_unlock(&lock);
    all_to_system(all);
#ifdef __GLIBC__
    malloc_trim(0); /* and what fc_keep_heap keeps */
#endif
}

int64_t fc_memory_cached(void) { return __atomic_load_n(&cached, __ATOMIC_RELAXED); }

int64_t fc_memory_in_use(void) { return __atomic_load_n(&in_use, __ATOMIC_RELAXED); }

void fc_memory_limit(int64_t bytes) {
    pthread_mutex_lock(&lock);
    limit = bytes;
    const int over = cached > limit;
    pthread_mutex_unlock(&lock);
    if (over) fc_empty_cache();
}

/* NumPy's temporaries come from malloc. By default glibc gives the top of its heap back whenever
 * 128 KiB of it are free, and the next step pays a fault for each of those pages again; from here
 * on it keeps 256 MiB, and maps blocks one by one only from 32 MiB on (the largest it takes).
 * Returns whether that could be set. */
int fc_keep_heap(void) {
#ifdef __GLIBC__
    return mallopt(M_MMAP_THRESHOLD, 32 << 20) && mallopt(M_TRIM_THRESHOLD, 256 << 20);
#else
    return 0;
#endif
}

/* A fork while another thread holds the lock would leave it held in the child for ever. */
static void before_fork(void) { pthread_mutex_lock(&lock); }
static void after_fork(void) { pthread_mutex_unlock(&lock); }

__attribute__((constructor)) static void watch_forks(void) {
    pthread_atfork(before_fork, after_fork, after_fork);
}
