/* SPDX-License-Identifier: Apache-2.0
 * One segment of the log: an LMDB environment in DIR/<first index>/ with its three tables. Private
 * to log_store.c, log_write.c and log_read.c. What a segment spans (first, last, runs) is kept in
 * memory; its environment is opened when needed and at most SEGMENTS_OPEN_MAX idle ones stay open.
 *
 * `first`, `last`, `env` and `pins` are guarded by the store's mutex; a pinned segment's
 * environment stays open, also after the segment has been dropped from the log (`gone`).
 */
#ifndef HOLDFAST_LEDGER_LOG_SEGMENT_H
#define HOLDFAST_LEDGER_LOG_SEGMENT_H

#include "ledger/store/env.h"
#include "ledger/store/log_store.h"

#include <limits.h>
#include <pthread.h>

enum {
    SEGMENTS_OPEN_MAX = 8,
    SEGMENT_TABLES = 3,
    SEGMENT_VALUE_HEAD = 13, /* term u64 LE, kind u8, checksum u32 LE */
    SEGMENT_NAME_DIGITS = 20,
};

struct log_segment {
    uint64_t first; /* its name; of its first entry once there is one */
    uint64_t last;  /* first - 1: empty */
    uint64_t bytes; /* used at the last look */
    MDB_env *env;   /* NULL: closed */
    MDB_dbi entries, runs, confs;
    unsigned pins;
    bool gone;
};

struct log_store {
    char dir[PATH_MAX - 64];
    enum log_store_mode mode;
    uint64_t segment_bytes;
    pthread_mutex_t mutex;
    struct log_segment **segment; /* ascending; the last one is written to */
    unsigned n, cap, n_open;
    struct term_runs runs; /* what is durable, guarded by the mutex */
    struct term_runs work; /* the writer's own: with the open transaction's entries */
};

/* Makes DIR/<first>/ with empty tables, durable under its name or not at all. */
__attribute__((warn_unused_result)) int segment_create(struct log_store *s, uint64_t first,
                                                       struct store_why *why);
__attribute__((warn_unused_result)) int segment_open(struct log_store *s, struct log_segment *g,
                                                     struct store_why *why);
/* Reads what the segment spans and appends its runs. */
__attribute__((warn_unused_result)) int segment_load(struct log_store *s, struct log_segment *g,
                                                     struct term_runs *runs, struct store_why *why);
/* Unlinks the directory; the name is gone first, durably. The mapping of readers survives. */
__attribute__((warn_unused_result)) int segment_unlink(struct log_store *s, uint64_t first,
                                                       struct store_why *why);
/* Deletes what an interrupted create or unlink left under `name`. */
__attribute__((warn_unused_result)) int segment_sweep(struct log_store *s, const char *name,
                                                      struct store_why *why);
/* Its file ends where it is used: it is sealed. Writer thread. */
void segment_give_back(struct log_segment *g);
struct log_segment *segment_add(struct log_store *s, uint64_t first); /* NULL: no memory */
void segment_close(struct log_store *s, struct log_segment *g);
/* Takes segment[i] out of the log; freed when its last pin goes. Mutex held. */
void segment_drop(struct log_store *s, unsigned i);
/* The segment that holds index, pinned and open; NULL with rv 0 if none does. */
struct log_segment *segment_pin(struct log_store *s, uint64_t index, int *rv,
                                struct store_why *why);
void segment_unpin(struct log_store *s, struct log_segment *g);
void segment_path(const struct log_store *s, uint64_t first, const char *suffix,
                  char out[PATH_MAX]);

#endif
