/* SPDX-License-Identifier: Apache-2.0
 * Commands that wait, in lanes: one lane for each org (or credential, where a command names no org:
 * a reserve does not), many sharing one by chance. Lanes take turns, one command each, so that a
 * hot org delays the others by as much as they are, not by as much as it asks. Within a lane: first
 * come, first served. Owner's thread.
 */
#ifndef HOLDFAST_LEDGER_LANES_H
#define HOLDFAST_LEDGER_LANES_H

#include "ledger/serve/request.h"

enum { LANES = 64 };

struct lane {
    struct serve_command *first, *last;
};

struct lanes {
    struct lane lane[LANES];
    uint64_t waiting; /* bit i: lane i is not empty */
    unsigned turn;    /* the lane that is next, if it has one */
    unsigned n;       /* of all lanes */
};

void lanes_push(struct lanes *l, struct serve_command *c);
/* Back to where it was taken from: the reverse of what lanes_take gave last. */
void lanes_put_back(struct lanes *l, struct serve_command *c);
/* The command whose turn it is; NULL: none waits. */
struct serve_command *lanes_peek(struct lanes *l);
/* Takes it. There is one. */
struct serve_command *lanes_take(struct lanes *l);

#endif
