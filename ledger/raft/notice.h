/* SPDX-License-Identifier: Apache-2.0
 * What a node tells another one about itself with every message, beside what consensus says: what
 * its program knows, whether its disk is short, and its chain at one index, so that divergence
 * shows while both run. Newer programs may append fields; older ones pass over them.
 */
#ifndef HOLDFAST_LEDGER_NOTICE_H
#define HOLDFAST_LEDGER_NOTICE_H

#include "proto/wire.h"

enum {
    NOTICE_MAX = 96, /* bytes of one that is encoded here */
    NOTICE_TAKE_MAX = 256,
};

enum notice_flag {
    NOTICE_NO_ROOM = 1, /* its disk is nearly full */
    NOTICE_DOUBT =
        2, /* somebody's chain differs from its own, and it does not know whose is right */
};

struct notice {
    uint32_t level;   /* the highest feature level it knows */
    uint32_t flags;   /* enum notice_flag; unknown ones mean nothing */
    uint64_t applied; /* where it stands */
    uint64_t index;   /* of `chain`, at most `applied`; 0: none */
    struct proto_hash chain;
};

/* As a bin inside the message's head. */
void notice_put(struct proto_writer *w, const struct notice *n);
bool notice_get(struct proto_reader *r, struct notice *n);

#endif
