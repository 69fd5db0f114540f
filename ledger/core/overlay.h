/* SPDX-License-Identifier: Apache-2.0
 * The records that are in memory: key bytes -> value bytes, above an optional backing. Used by the
 * machine alone, on its owner's thread.
 *
 *            get (from below)        touch, put            changes            written
 *   absent ------------------> clean ----------> dirty ------------> writing ---------> clean
 *                                ^                 ^                    |  touch: writing + dirty
 *                                '-- trim drops it '-- a deleted one is a tombstone until written
 *
 * A record made and dropped between two checkpoints leaves no trace. Values do not move until the
 * next core_overlay_trim, so handlers keep pointers into them. A block is key (padded to 8) |
 * header | value: the value leads back to its record, and looking at a key brings the header along.
 *
 * Records stand on two shelves, each with its own table and its own share of the limit: lasting
 * ones (orgs, keys, budgets, counters) and passing ones (holds and what is left of them, command
 * ids), of which every command makes some. So the passing ones neither push the others out of
 * memory nor spread them over a table that no processor cache holds. Clean records beyond a shelf's
 * limit are dropped by CLOCK, in trim only. What is not below is remembered: of lasting keys by a
 * clean tombstone, of hold ids by core_absent.
 *
 * Failure (no memory, a backing that fails) is sticky: `failed` is set, get answers NULL, put
 * answers a spare block that goes nowhere. The machine looks at `failed` after every command.
 */
#ifndef HOLDFAST_CORE_OVERLAY_H
#define HOLDFAST_CORE_OVERLAY_H

#include "ledger/core/absent.h"
#include "ledger/core/core.h"

enum {
    CORE_OVERLAY_CLASSES = 20,
    CORE_OVERLAY_BLOCK_MAX = 4416,        /* header + CORE_VALUE_MAX + CORE_KEY_MAX, rounded up */
    CORE_OVERLAY_CHUNK = 128 * 1024,      /* bytes asked of malloc at once, at first ... */
    CORE_OVERLAY_CHUNK_MAX = 8 << 20,     /* ... and at most */
    CORE_OVERLAY_CACHE_DEFAULT = 8000000, /* clean records */
    CORE_OVERLAY_PASSING_MAX = 1000000,   /* of them: a retry comes within seconds */
};

/* A key being built; record.h has the layouts. */
struct core_key {
    uint32_t n;
    uint8_t b[CORE_KEY_MAX];
};

struct core_record {
    uint32_t tag;     /* of the key's hash */
    uint32_t at;      /* in its shelf's list */
    uint32_t dirty;   /* in overlay.dirty, if CORE_RECORD_DIRTY */
    uint32_t writing; /* in overlay.writing, if CORE_RECORD_WRITING */
    uint16_t klen, vlen;
    uint8_t class;
    uint8_t flags;
    uint8_t pad[2];
};

enum core_record_flag {
    CORE_RECORD_DIRTY = 1,   /* changed since the last `changes` */
    CORE_RECORD_WRITING = 2, /* handed to the checkpoint that is under way */
    CORE_RECORD_BELOW = 4,   /* the store below has it, or will when the checkpoint is done */
    CORE_RECORD_DELETED = 8,
    CORE_RECORD_SEEN = 16, /* CLOCK's second chance */
    CORE_RECORD_SPARE = 32,
    CORE_RECORD_PASSING = 64, /* stands on that shelf */
    CORE_RECORD_SOUND = 128,  /* its size was found right; of the machine, which checks it once */
};

struct core_slot {
    struct core_record *r; /* NULL: free */
    uint32_t tag;
    uint32_t pad;
};

struct core_list {
    struct core_record **e;
    size_t n, cap;
};

/* Open addressing, linear probing. */
struct core_table_of {
    struct core_slot *slots;
    size_t n; /* a power of two */
};

/* A table that has become too small is left behind a few places with each record that comes, so
 * that no command waits for a million records to be moved. */
struct core_shelf {
    struct core_table_of table;
    struct core_table_of old; /* slots NULL: none. What was taken out of it leaves a mark */
    size_t moved;             /* places of old that are empty now */
    struct core_list all;
    size_t limit; /* clean records kept */
    size_t busy;  /* records that are dirty or being written */
    size_t hand;  /* CLOCK's */
};

enum { CORE_SHELF_LASTING, CORE_SHELF_PASSING, CORE_SHELVES };

struct core_overlay {
    struct core_backing backing;
    struct core_shelf shelf[CORE_SHELVES];
    struct core_list dirty, writing;
    struct core_absent absent;
    void *chunks; /* each begins with the pointer to the next */
    void *free_blocks[CORE_OVERLAY_CLASSES];
    uint8_t *bump[CORE_OVERLAY_CLASSES], *bump_end[CORE_OVERLAY_CLASSES];
    size_t chunk[CORE_OVERLAY_CLASSES]; /* size of the next one */
    int failed;                         /* 0, or the final negative code */
    uint64_t spare[CORE_OVERLAY_BLOCK_MAX / 8];
};

/* limit: clean records kept in all, a quarter of them passing ones, but CORE_OVERLAY_PASSING_MAX.
 */
__attribute__((warn_unused_result)) int
core_overlay_init(struct core_overlay *o, const struct core_backing *backing, size_t limit);
void core_overlay_close(struct core_overlay *o);
static inline size_t core_overlay_records(const struct core_overlay *o)
{
    return o->shelf[CORE_SHELF_LASTING].all.n + o->shelf[CORE_SHELF_PASSING].all.n;
}

/* The value, or NULL: absent (or failed). */
void *core_overlay_get(struct core_overlay *o, const struct core_key *k, size_t *vlen);
/* A zeroed value of vlen bytes in the place of whatever was there; dirty. Never NULL. */
void *core_overlay_put(struct core_overlay *o, const struct core_key *k, size_t vlen);
static inline struct core_record *core_overlay_record(void *value)
{
    return (struct core_record *)value - 1;
}
/* The value will be (or was) changed by the caller. */
void core_overlay_touch(struct core_overlay *o, void *value);
void core_overlay_drop(struct core_overlay *o, void *value);
/* A record that the host read from below at start-up; clean. */
void core_overlay_load(struct core_overlay *o, const void *key, size_t klen, const void *value,
                       size_t vlen);
/* ---- looking ahead (ahead.c): speed only ----
 * hint: the table's place for the key is fetched. near: that is there by now; the record that seems
 * to be the key's is fetched. hinted: that is there by now; its value if it is of this table. It
 * may be another record's. Nothing is asked of the backing. */
struct core_hint {
    const struct core_record *r;
    uint32_t tag;
    uint32_t shelf;
};
void core_overlay_hint(const struct core_overlay *o, struct core_hint *h, const struct core_key *k);
void core_overlay_near(const struct core_overlay *o, struct core_hint *h);
const void *core_overlay_hinted(const struct core_hint *h, unsigned table, size_t *vlen);

/* Drops clean records beyond the limit. Invalidates every value. */
void core_overlay_trim(struct core_overlay *o);

__attribute__((warn_unused_result)) int core_overlay_changes(struct core_overlay *o,
                                                             core_change_visit *visit, void *ctx);
void core_overlay_written(struct core_overlay *o);
__attribute__((warn_unused_result)) int core_overlay_visit(struct core_overlay *o,
                                                           core_change_visit *visit, void *ctx);

#endif
