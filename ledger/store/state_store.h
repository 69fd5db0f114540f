/* SPDX-License-Identifier: Apache-2.0
 * The state machine's records on disk, as of one log index: an LMDB environment that is written
 * in whole checkpoints, each one synchronous transaction with the index, chain and clock it stands
 * at. After a crash it stands at some applied index N and the log brings the rest: no third case.
 *
 * Threads: one writer (the checkpoint thread). Readers: each thread its own struct state_reader.
 * A failed write is final: the caller ends the process.
 */
#ifndef HOLDFAST_LEDGER_STATE_STORE_H
#define HOLDFAST_LEDGER_STATE_STORE_H

#include "ledger/store/entry.h"
#include "ledger/store/why.h"

enum {
    STATE_KEY_MAX = 511, /* LMDB's bound, bytes; keys are never empty */
    STATE_VALUE_MAX = 16 * 1024 * 1024,
};

/* Where the records stand. All zero: nothing written yet. */
struct state_meta {
    uint64_t applied_index;
    uint64_t applied_term;
    int64_t clock_us;        /* replicated time */
    struct proto_hash chain; /* hash chain at applied_index */
    struct log_conf conf;    /* cluster configuration in force at applied_index */
};

struct state_store;

struct state_store_config {
    uint64_t map_bytes; /* most the file may grow to; address space only. 0: 4 TiB */
};

enum state_store_mode {
    STATE_STORE_WRITE,
    STATE_STORE_LIVE, /* read beside a running node */
    STATE_STORE_COPY, /* read a copy nobody writes */
};

__attribute__((warn_unused_result)) int state_store_open(struct state_store **out, const char *dir,
                                                         enum state_store_mode mode,
                                                         const struct state_store_config *config,
                                                         struct store_why *why);
void state_store_close(struct state_store *s);
/* For a store that nobody opens again (a tool's scratch): its checkpoints do not wait for the disk.
 * Never a node's. */
__attribute__((warn_unused_result)) int state_store_forgets(struct state_store *s);

/* A flat buffer of changes. Repeated: klen u16, vlen u32 (UINT32_MAX: delete), key, value; numbers
 * little-endian, nothing between or after. In any order; a later change of a key wins. */
struct state_changes {
    uint8_t *base;
    size_t n, cap;
};
void state_changes_init(struct state_changes *c);
void state_changes_close(struct state_changes *c);
void state_changes_clear(struct state_changes *c); /* keeps the memory */
/* value NULL: delete. 0, -ENOMEM, or -EINVAL for a length out of bounds. */
__attribute__((warn_unused_result)) int state_changes_add(struct state_changes *c, const void *key,
                                                          size_t klen, const void *value,
                                                          size_t vlen);

/* The key of a deletion, which begins at p; returns where the next change begins. */
const uint8_t *state_changes_key(const uint8_t *p, void **key, size_t *klen);

/* All changes and the meta, in one synchronous transaction. */
__attribute__((warn_unused_result)) int state_store_write(struct state_store *s,
                                                          const struct state_changes *c,
                                                          const struct state_meta *meta,
                                                          struct store_why *why);
/* The same, and a piece of the sweep. */
struct state_sweep;
__attribute__((warn_unused_result)) int
state_store_checkpoint(struct state_store *s, const struct state_changes *c,
                       const struct state_meta *meta, struct state_sweep *sweep,
                       struct store_why *why);

/* A view of the newest checkpoint. Values point into the map and live until refresh or close.
 * Refresh after every checkpoint: an old view keeps LMDB from reusing pages. */
struct state_reader {
    struct state_store *store;
    void *txn;
};
__attribute__((warn_unused_result)) int
state_reader_open(struct state_reader *r, struct state_store *s, struct store_why *why);
void state_reader_close(struct state_reader *r);
__attribute__((warn_unused_result)) int state_reader_refresh(struct state_reader *r);
__attribute__((warn_unused_result)) int state_reader_meta(struct state_reader *r,
                                                          struct state_meta *meta);
/* 0, -ENOENT, or -EIO / -EUCLEAN. */
__attribute__((warn_unused_result)) int state_reader_get(struct state_reader *r, const void *key,
                                                         size_t klen, const void **value,
                                                         size_t *vlen);
/* Records whose key begins with prefix (plen 0: all) and is not below `from` (NULL: the first), in
 * key order, until visit returns non-zero; that value is returned. */
typedef int state_visit(void *ctx, const void *key, size_t klen, const void *value, size_t vlen);
__attribute__((warn_unused_result)) int state_reader_scan(struct state_reader *r,
                                                          const void *prefix, size_t plen,
                                                          const void *from, size_t flen,
                                                          state_visit *visit, void *ctx);
/* The newest checkpoint as one file of LMDB's, without free pages, to fd: a consistent copy, also
 * beside the writer. One read transaction as long as it takes. */
__attribute__((warn_unused_result)) int state_store_copy(struct state_store *s, int fd,
                                                         struct store_why *why);
/* What such a copy takes, about. */
uint64_t state_store_copy_bytes(struct state_store *s);
uint64_t state_store_records(struct state_store *s);
uint64_t state_store_bytes(struct state_store *s);

#endif
