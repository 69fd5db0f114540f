/* SPDX-License-Identifier: Apache-2.0
 * A directory of log files (log_file.h), one behind the other: DIR/<first index, 20 digits>.hflog.
 * An archive of a node's sealed segments, and the log of a backup. A file is written under another
 * name and renamed when it is durable, so what stands there is whole.
 * One owner at a time; DIR/LOCK keeps other writers out.
 */
#ifndef HOLDFAST_LEDGER_ARCHIVE_H
#define HOLDFAST_LEDGER_ARCHIVE_H

#include "ledger/store/log_file.h"

struct archive;

enum archive_mode {
    ARCHIVE_READ,
    ARCHIVE_WRITE, /* DIR is made if it is missing; -EBUSY: somebody else writes */
};

/* Looks at every file's head and trailer: one cluster, no gap, each linked to the one before.
 * -ENOENT (mode READ), -EUCLEAN with the file's name. */
__attribute__((warn_unused_result)) int archive_open(struct archive **out, const char *dir,
                                                     enum archive_mode mode, struct store_why *why);
void archive_close(struct archive *a);

uint64_t archive_first(const struct archive *a); /* 0: empty */
uint64_t archive_last(const struct archive *a);  /* 0: empty */
unsigned archive_files(const struct archive *a);
const struct log_file_facts *archive_facts(const struct archive *a, unsigned i);
/* Name of file i, without the directory. */
void archive_name(const struct archive *a, unsigned i, char out[32]);

/* As log_store_read. */
__attribute__((warn_unused_result)) int archive_read(struct archive *a, uint64_t first,
                                                     unsigned max, size_t max_bytes,
                                                     struct log_page *page, struct store_why *why);

/* What a long work tells, and asks whether to go on (false: it ends with -ECANCELED). */
struct archive_watch {
    void *ctx;
    bool (*on_entries)(void *ctx, uint64_t last, uint64_t raw_bytes); /* NULL: nobody watches */
};

/* Whose log it is that is added: it must be the archive's. */
struct archive_owner {
    struct proto_uuid cluster;
    uint16_t group;
};

/* Adds one file: the log's entries from behind the archive's last (an empty archive: from the log's
 * first) up to `last`. -ERANGE: the log begins later than the archive ends. -EXDEV: of another
 * cluster, or of another history. */
__attribute__((warn_unused_result)) int
archive_add(struct archive *a, struct log_store *log, const struct archive_owner *owner,
            uint64_t last, const struct archive_watch *watch, struct store_why *why);
/* Reads every entry of every file: hashes, order, terms. */
__attribute__((warn_unused_result)) int
archive_verify(struct archive *a, const struct archive_watch *watch, struct store_why *why);

#endif
