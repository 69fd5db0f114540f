/* SPDX-License-Identifier: Apache-2.0
 * The independent bookkeeping of replay: per org, the accounts as the sum of its transfers alone,
 * without looking at the machine's own balances. Fed by the machine's observer while entries are
 * executed (one thread); compared with the machine afterwards.
 */
#ifndef HOLDFAST_REPLAY_BOOKS_H
#define HOLDFAST_REPLAY_BOOKS_H

#include "ledger/core/core.h"

struct replay_tally {
    uint64_t transactions;
    int64_t sum; /* of the transactions: what entered minus what left available + promo + held */
    int64_t account[CORE_ACCOUNTS];
};

/* Moments at which the books are kept besides the running ones. */
enum replay_moment { REPLAY_NOW, REPLAY_APPLIED, REPLAY_AT, REPLAY_MOMENTS };

struct replay_book {
    struct proto_uuid org;
    char name[PROTO_NAME_MAX + 1];
    struct replay_tally tally[REPLAY_MOMENTS];
    struct core_balances ledger[REPLAY_MOMENTS]; /* what the machine itself says */
};

/* Growth is one book an org. */
struct replay_books {
    struct replay_book *book; /* in order of appearance */
    uint32_t n, cap;
    uint32_t *slot; /* open addressing: book number + 1, 0: free */
    uint32_t slots;
    const char *error; /* NULL, or why the transfers cannot be right (static text) */
    uint64_t error_index;
};

void replay_books_init(struct replay_books *b);
void replay_books_close(struct replay_books *b);
void replay_books_transfer(struct replay_books *b, const struct core_transfer *t);
void replay_books_name(struct replay_books *b, const struct proto_uuid *org, struct proto_str name);
const struct replay_book *replay_books_find(const struct replay_books *b,
                                            const struct proto_uuid *org); /* NULL: none */
/* Copies the running tallies of all orgs to the moment's, with the machine's balances beside them.
 */
void replay_books_keep(struct replay_books *b, struct core_machine *m, enum replay_moment moment);

/* available + promo + held, and the sum over all accounts. */
int64_t replay_tally_balance(const struct replay_tally *t);
int64_t replay_tally_zero(const struct replay_tally *t);

#endif
