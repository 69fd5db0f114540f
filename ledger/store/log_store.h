/* SPDX-License-Identifier: Apache-2.0
 * The replicated log on disk: a sequence of LMDB environments (segments), DIR/<first index, 20
 * digits>/, each sealed once it holds about segment_bytes and the next one exists. LMDB files
 * never shrink, so trimming is unlinking a whole segment and archiving is copying one.
 *
 * Each segment holds three tables keyed by index: entries (term, kind, checksum, payload), runs
 * (first index of a term -> term) and confs (configuration entries), so opening reads no payload.
 * Default LMDB sync: what log_store_append returned 0 for survives power loss.
 *
 * Threads: ONE writer (the log thread: append). Reads and getters from any thread, also while the
 * writer works; each read is one short transaction.
 * Any negative result of append is final: the caller ends the process, it never goes on.
 */
#ifndef HOLDFAST_LEDGER_LOG_STORE_H
#define HOLDFAST_LEDGER_LOG_STORE_H

#include "ledger/store/entry.h"
#include "ledger/store/why.h"

#include <stdbool.h>

struct log_store;

struct log_store_config {
    uint64_t segment_bytes; /* roll to a new segment past this size; 0: 1 GiB */
};

enum log_store_mode {
    LOG_STORE_WRITE, /* the node itself; finishes an interrupted roll or truncation */
    LOG_STORE_LIVE,  /* read beside a running node (uses LMDB's reader table, so the directory
                        must be writable by us); log_store_refresh sees new segments */
    LOG_STORE_COPY,  /* read a copy nobody writes: no lock file is touched or needed */
};

/* A missing or empty directory is an empty log (created in mode WRITE). Damage that LMDB can see
 * is -EUCLEAN with the segment's name; damage it cannot see may fault: data_dir_open probes in a
 * child first, and tools read in one. */
__attribute__((warn_unused_result)) int log_store_open(struct log_store **out, const char *dir,
                                                       enum log_store_mode mode,
                                                       const struct log_store_config *config,
                                                       struct store_why *why);
void log_store_close(struct log_store *s);

uint64_t log_store_first(struct log_store *s);                /* 0: empty */
uint64_t log_store_last(struct log_store *s);                 /* 0: empty */
uint64_t log_store_term(struct log_store *s, uint64_t index); /* 0: not held */
uint64_t log_store_bytes(struct log_store *s);                /* on disk, all segments */
unsigned log_store_segments(struct log_store *s);
/* What segment i spans; false: there is none. */
struct log_span {
    uint64_t first, last; /* last < first: empty */
    uint64_t bytes;
    int64_t written_s; /* Unix time of the last write; 0: unknown */
    bool sealed;       /* a later one exists: nothing is written to it any more */
};
bool log_store_span(struct log_store *s, unsigned i, struct log_span *out);
__attribute__((warn_unused_result)) int log_store_runs(struct log_store *s, struct term_runs *out);

/* One write of entries[0..n), indexes contiguous; what the log holds from entries[0].index on is
 * dropped first. */
struct log_append {
    const struct log_entry *entries;
    unsigned n;
};

/* All appends in one transaction (one fsync), in their order; a segment roll or a truncation into
 * an older segment ends a transaction early, and a crash then leaves a prefix of the appends. */
__attribute__((warn_unused_result)) int log_store_append(struct log_store *s,
                                                         const struct log_append *appends,
                                                         unsigned n, struct store_why *why);

/* Between appends, on the writer's thread: lengthens the newest segment's file a little ahead of what
 * is written, so that appends need not. Speed only. */
void log_store_make_room(struct log_store *s);

/* A reusable buffer of entries read; their data live until the next read into it. */
struct log_page {
    struct log_entry *entries;
    unsigned n, cap;
    uint8_t *bytes;
    size_t used, size;
};
void log_page_init(struct log_page *p);
void log_page_close(struct log_page *p);
/* For those who fill a page from elsewhere: copies the entry behind the others (0 or -ENOMEM); when
 * all are there, settle says where their payloads lie. */
__attribute__((warn_unused_result)) int log_page_put(struct log_page *p, const struct log_entry *e);
void log_page_settle(struct log_page *p);

/* Reads entries first.. into the page: at most `max`, and no further one once max_bytes are read
 * (so at least one, if first is held). Returns their number (0: first is past the end or before
 * the beginning), or a negative code. */
__attribute__((warn_unused_result)) int log_store_read(struct log_store *s, uint64_t first,
                                                       unsigned max, size_t max_bytes,
                                                       struct log_page *page,
                                                       struct store_why *why);

/* The newest configuration entries, ascending, at most ENTRY_CONFS_MAX; *out is malloc'ed. */
__attribute__((warn_unused_result)) int log_store_confs(struct log_store *s, struct log_conf **out,
                                                        unsigned *n, struct store_why *why);

/* Modes LIVE: look for segments and entries written since. */
__attribute__((warn_unused_result)) int log_store_refresh(struct log_store *s,
                                                          struct store_why *why);

/* Unlink whole segments that end before `index` (archived ones). Writer thread. -EBUSY: somebody
 * holds the log; nothing was done. */
__attribute__((warn_unused_result)) int log_store_trim(struct log_store *s, uint64_t index,
                                                       struct store_why *why);

/* While it is held, nothing is trimmed. Any process; dir: the log's. *fd is -1 where we may not
 * write (a copy): then nothing is held. */
__attribute__((warn_unused_result)) int log_store_hold(const char *dir, int *fd,
                                                       struct store_why *why);
void log_store_unhold(int fd);

#endif
