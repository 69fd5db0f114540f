/* SPDX-License-Identifier: Apache-2.0
 * A range of the log as one compressed, sealed file: what archives and backups are made of.
 *
 *   head     magic, format, group, cluster, first index, link of the file before
 *   block    lengths, number of entries, first index, SHA-256 of what follows: the entries (zstd)
 *   ...
 *   trailer  last index, terms, sizes, the newest chain that a leader noted in it, link
 *
 * The link is the SHA-256 of the head, all block heads and the trailer before it. The head holds
 * the link of the file before, so the files of an archive are a chain: none can be changed, taken
 * out or put in without breaking it. What the entries mean is proven by replay alone.
 * Numbers are little-endian. Not thread-safe; a file has one owner.
 */
#ifndef HOLDFAST_LEDGER_LOG_FILE_H
#define HOLDFAST_LEDGER_LOG_FILE_H

#include "ledger/store/log_store.h"

enum {
    LOG_FILE_FORMAT = 1,
    LOG_FILE_RAW = 1 << 20,                               /* entries of a block, bytes ... */
    LOG_FILE_RAW_MAX = LOG_FILE_RAW + ENTRY_LEN_MAX + 64, /* ... and never more than this */
    LOG_FILE_BLOCKS_MAX = 1 << 20,
};

struct log_file_facts {
    struct proto_uuid cluster;
    uint16_t group;
    struct proto_hash previous; /* link of the file before; none: of nothing */
    uint64_t first, last;
    uint64_t first_term, last_term;
    uint64_t raw_bytes;   /* of the entries, uncompressed */
    uint64_t check_index; /* the newest chain noted in a batch of this file; 0: none */
    struct proto_hash check_chain;
    struct proto_hash link;
    uint64_t file_bytes;
};

/* ---- writing ---- */
struct log_file_writer;

/* path must not exist. Of facts it wants cluster, group, previous, first. */
__attribute__((warn_unused_result)) int log_file_create(struct log_file_writer **out,
                                                        const char *path,
                                                        const struct log_file_facts *facts,
                                                        struct store_why *why);
/* Entries in order. A failure is final for the file: abandon it. */
__attribute__((warn_unused_result)) int
log_file_add(struct log_file_writer *w, const struct log_entry *e, struct store_why *why);
/* Durable when it returns 0 (its name is the caller's to sync), and w is freed in any case. */
__attribute__((warn_unused_result)) int
log_file_finish(struct log_file_writer *w, struct log_file_facts *facts, struct store_why *why);
void log_file_abandon(struct log_file_writer *w); /* deletes the file */

/* ---- reading ---- */
struct log_file;

/* Head and trailer alone: cheap, proves nothing. */
__attribute__((warn_unused_result)) int
log_file_peek(const char *path, struct log_file_facts *facts, struct store_why *why);
/* Reads all block heads and verifies the link. -EUCLEAN: cut, changed, or no such file of ours. */
__attribute__((warn_unused_result)) int log_file_open(struct log_file **out, const char *path,
                                                      struct store_why *why);
void log_file_close(struct log_file *f);
const struct log_file_facts *log_file_facts(const struct log_file *f);
/* As log_store_read. Each block is verified when it is read. */
__attribute__((warn_unused_result)) int log_file_read(struct log_file *f, uint64_t first,
                                                      unsigned max, size_t max_bytes,
                                                      struct log_page *page, struct store_why *why);

#endif
