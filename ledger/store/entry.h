/* SPDX-License-Identifier: Apache-2.0
 * What the replicated log holds, and what a node knows of it after a restart. Plain data, shared
 * by the log store (which writes it) and the consensus pump (which decides it).
 */
#ifndef HOLDFAST_LEDGER_ENTRY_H
#define HOLDFAST_LEDGER_ENTRY_H

#include "ledger/store/term_runs.h"
#include "proto/types.h"

/* Written to disk and sent to peers; the values equal libraft's entry types. */
enum entry_kind {
    ENTRY_COMMAND = 1, /* a batch for the state machine; opaque here */
    ENTRY_BARRIER = 2, /* a new leader's empty entry */
    ENTRY_CHANGE = 3,  /* a cluster configuration, in libraft's encoding */
};

enum {
    ENTRY_LEN_MAX = 768 * 1024, /* payload of one entry, bytes */
    ENTRY_CONF_MAX = 4096,      /* payload of an ENTRY_CHANGE, bytes */
    ENTRY_CONFS_MAX = 64,       /* configurations that a restart hands to the pump: the newest */
};

struct log_entry {
    uint64_t index;
    uint64_t term;
    const uint8_t *data; /* NULL when len is 0 */
    uint32_t len;
    uint8_t kind; /* enum entry_kind */
};

/* A configuration and the index of the entry that holds it. */
struct log_conf {
    uint64_t index; /* 0: none */
    uint32_t len;
    uint8_t data[ENTRY_CONF_MAX];
};

/* Everything consensus needs of the disk at a start. */
struct log_recovered {
    uint64_t term;
    uint64_t voted_for;
    uint64_t incarnation;   /* strictly higher at every start of this node */
    struct term_runs runs;  /* terms of the entries held, first to last */
    struct log_conf *confs; /* the configuration entries among them, ascending, the newest */
    unsigned n_confs;
    uint64_t applied_index; /* the state store stands here; 0: nothing applied yet */
    uint64_t applied_term;
    struct log_conf applied_conf; /* in force at applied_index; index 0 if that is 0 */
};

void log_recovered_close(struct log_recovered *r);

#endif
