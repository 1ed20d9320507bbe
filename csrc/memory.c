/* The buffer pool (memory.h). */
#define _GNU_SOURCE
#include "memory.h"

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

/* Stands in the 64 bytes before the block. */
typedef struct header {
    size_t bytes; /* of the block, header included */
    int class;
    struct header *next;
} header;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static header *waiting[CLASSES];
static int64_t cached, in_use, limit = INT64_C(1) << 30;

/* Under the address sanitizer blocks have their exact size and are not used again: it sees every
 * access beyond one, or after its end. */
#ifdef __SANITIZE_ADDRESS__
enum { EXACT = 1 };
#else
enum { EXACT = 0 };
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

static header *from_system(size_t bytes) {
    void *exact = NULL;
    if (EXACT) return posix_memalign(&exact, 64, bytes) ? NULL : exact;
    const size_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : 64;
    header *h = aligned_alloc(align, (bytes + align - 1) / align * align);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (h && align == HUGE_PAGE) madvise(h, bytes, MADV_HUGEPAGE);
#endif
    return h;
}

void *fc_alloc(size_t bytes) {
    size_t size;
    if (bytes > (size_t)1 << 48) return NULL; /* beyond any address space, and the size classes */
    const int class = class_of(bytes + HEADER, &size);
    if (EXACT) size = bytes + HEADER;
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
    return (char *)h + HEADER;
}

void fc_free(void *block) {
    if (!block) return;
    header *h = (header *)((char *)block - HEADER);
    pthread_mutex_lock(&lock);
    in_use -= (int64_t)h->bytes;
    const int keep = !EXACT && cached + (int64_t)h->bytes <= limit;
    if (keep) {
        h->next = waiting[h->class];
        waiting[h->class] = h;
        cached += (int64_t)h->bytes;
    }
    pthread_mutex_unlock(&lock);
    if (!keep) free(h);
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
    while (all) {
        header *h = all;
        all = h->next;
        free(h);
    }
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
