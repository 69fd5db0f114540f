/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/replay/books.h"

#include "proto/money.h"

#include <stdlib.h>

void replay_books_init(struct replay_books *b)
{
    *b = (struct replay_books){0};
}

void replay_books_close(struct replay_books *b)
{
    free(b->book);
    free(b->slot);
    replay_books_init(b);
}

static uint32_t slot_of(const struct proto_uuid *org, uint32_t slots)
{
    uint64_t a, c;
    memcpy(&a, org->b, 8);
    memcpy(&c, org->b + 8, 8);
    a = (a ^ c) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(a >> 32) & (slots - 1);
}

static void put_slot(struct replay_books *b, uint32_t number)
{
    uint32_t i = slot_of(&b->book[number].org, b->slots);
    while (b->slot[i] != 0)
        i = (i + 1) & (b->slots - 1);
    b->slot[i] = number + 1;
}

static bool grow(struct replay_books *b)
{
    if (b->n < b->cap)
        return true;
    uint32_t cap = b->cap ? b->cap * 2 : 256;
    struct replay_book *book = realloc(b->book, cap * sizeof *book);
    if (!book)
        return false;
    b->book = book;
    uint32_t *slot = calloc(cap * 2u, sizeof *slot);
    if (!slot)
        return false;
    free(b->slot);
    b->slot = slot;
    b->slots = cap * 2;
    b->cap = cap;
    for (uint32_t i = 0; i < b->n; i++)
        put_slot(b, i);
    return true;
}

static struct replay_book *find(const struct replay_books *b, const struct proto_uuid *org)
{
    if (b->slots == 0)
        return NULL;
    for (uint32_t i = slot_of(org, b->slots); b->slot[i] != 0; i = (i + 1) & (b->slots - 1))
        if (proto_uuid_eq(&b->book[b->slot[i] - 1].org, org))
            return &b->book[b->slot[i] - 1];
    return NULL;
}

const struct replay_book *replay_books_find(const struct replay_books *b,
                                            const struct proto_uuid *org)
{
    return find(b, org);
}

static struct replay_book *find_or_make(struct replay_books *b, const struct proto_uuid *org)
{
    struct replay_book *k = find(b, org);
    if (k)
        return k;
    if (!grow(b)) {
        b->error = "no memory for the books";
        return NULL;
    }
    k = &b->book[b->n];
    *k = (struct replay_book){.org = *org};
    put_slot(b, b->n++);
    return k;
}

static bool is_balance(enum core_account a)
{
    return a == CORE_AVAILABLE || a == CORE_PROMO || a == CORE_HELD;
}

/* NULL, or why not. */
static const char *move(struct replay_tally *y, const struct core_transfer *t)
{
    if (t->amount <= 0)
        return "a transfer without a positive amount";
    if ((unsigned)t->from >= CORE_ACCOUNTS || (unsigned)t->to >= CORE_ACCOUNTS || t->from == t->to)
        return "a transfer between accounts that cannot be";
    bool ok = proto_sub(y->account[t->from], t->amount, &y->account[t->from]) &&
              proto_add(y->account[t->to], t->amount, &y->account[t->to]);
    if (ok && is_balance(t->to))
        ok = proto_add(y->sum, t->amount, &y->sum);
    if (ok && is_balance(t->from))
        ok = proto_sub(y->sum, t->amount, &y->sum);
    y->transactions++;
    return ok ? NULL : "the transfers do not fit 64 bits";
}

void replay_books_transfer(struct replay_books *b, const struct core_transfer *t)
{
    struct replay_book *k = find_or_make(b, &t->org);
    if (!k || b->error)
        return;
    b->error = move(&k->tally[REPLAY_NOW], t);
    if (b->error)
        b->error_index = t->index;
}

void replay_books_name(struct replay_books *b, const struct proto_uuid *org, struct proto_str name)
{
    struct replay_book *k = find_or_make(b, org);
    if (!k || name.n > PROTO_NAME_MAX)
        return;
    memcpy(k->name, name.p, name.n);
    k->name[name.n] = '\0';
}

void replay_books_keep(struct replay_books *b, struct core_machine *m, enum replay_moment moment)
{
    for (uint32_t i = 0; i < b->n; i++) {
        struct replay_book *k = &b->book[i];
        k->tally[moment] = k->tally[REPLAY_NOW];
        if (core_machine_balances(m, &k->org, &k->ledger[moment]) != 0)
            b->error = "an organisation has transactions, but no accounts";
    }
}

int64_t replay_tally_balance(const struct replay_tally *t)
{
    return (int64_t)((uint64_t)t->account[CORE_AVAILABLE] + (uint64_t)t->account[CORE_PROMO] +
                     (uint64_t)t->account[CORE_HELD]);
}

int64_t replay_tally_zero(const struct replay_tally *t)
{
    uint64_t sum = 0;
    for (int i = 0; i < CORE_ACCOUNTS; i++)
        sum += (uint64_t)t->account[i];
    return (int64_t)sum;
}
