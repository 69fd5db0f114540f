/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/reads.h"

static void push(struct reads_list *l, struct serve_request *r)
{
    r->next = NULL;
    if (l->last)
        l->last->next = r;
    else
        l->first = r;
    l->last = r;
}

static struct serve_request *pop(struct reads_list *l)
{
    struct serve_request *r = l->first;
    if (!r)
        return NULL;
    l->first = r->next;
    if (!l->first)
        l->last = NULL;
    r->next = NULL;
    return r;
}

void reads_add(struct reads *r, struct serve_request *request)
{
    push(&r->fresh, request);
}

void reads_ride(struct reads *r, uint64_t index, uint64_t term)
{
    struct serve_request *one;
    while ((one = pop(&r->fresh)) != NULL) {
        one->read_index = index;
        one->read_term = term;
        push(&r->riding, one);
    }
}

struct serve_request *reads_take(struct reads *r, uint64_t index, uint64_t term)
{
    const struct serve_request *first = r->riding.first;
    if (!first || first->read_index > index || first->read_term != term)
        return NULL;
    return pop(&r->riding);
}

struct serve_request *reads_drop(struct reads *r)
{
    struct serve_request *one = pop(&r->riding);
    return one ? one : pop(&r->fresh);
}
