/* SPDX-License-Identifier: Apache-2.0
 * What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput: clang links it
 * with libFuzzer (fuzz-NAME), any compiler with main.c (fuzzcase-NAME), which runs the kept inputs
 * and some mutations of each. FUZZ_HOLDS is a property: it aborts, so that either notices.
 */
#ifndef HOLDFAST_TESTS_FUZZ_H
#define HOLDFAST_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define FUZZ_HOLDS(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The input read from its front; an empty one gives zeros. */
struct fuzz_source {
    const uint8_t *p;
    size_t n;
};

static inline uint8_t fuzz_byte(struct fuzz_source *s)
{
    if (s->n == 0)
        return 0;
    s->n--;
    return *s->p++;
}

/* Little-endian, `bytes` of them. */
static inline uint64_t fuzz_number(struct fuzz_source *s, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)fuzz_byte(s) << (8 * i);
    return v;
}

/* A piece of at most `most` bytes; its length takes two bytes. */
static inline const uint8_t *fuzz_piece(struct fuzz_source *s, size_t most, size_t *n)
{
    const size_t want = fuzz_number(s, 2);
    *n = want < s->n ? want : s->n;
    *n = *n < most ? *n : most;
    const uint8_t *p = s->p;
    s->p += *n;
    s->n -= *n;
    return p;
}

/* The same bytes on the heap, at exactly their size: a read past the end shows. Free it. */
static inline uint8_t *fuzz_copy(const void *p, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    FUZZ_HOLDS(copy);
    if (n)
        memcpy(copy, p, n);
    return copy;
}

#endif
