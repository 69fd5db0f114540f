/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/store/term_runs.h"

#include "proto/base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void term_runs_init(struct term_runs *r)
{
    *r = (struct term_runs){0};
}

void term_runs_close(struct term_runs *r)
{
    free(r->run);
    *r = (struct term_runs){0};
}

int term_runs_append(struct term_runs *r, uint64_t index, uint64_t term)
{
    CHECK(index > 0 && term > 0);
    if (r->n > 0) {
        CHECK(index == r->last + 1 && term >= r->run[r->n - 1].term);
        if (term == r->run[r->n - 1].term) {
            r->last = index;
            return 0;
        }
    }
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 16;
        struct term_run *run = realloc(r->run, cap * sizeof *run);
        if (!run)
            return -ENOMEM;
        r->run = run;
        r->cap = cap;
    }
    r->run[r->n++] = (struct term_run){index, term};
    r->last = index;
    return 0;
}

void term_runs_truncate(struct term_runs *r, uint64_t from)
{
    if (from > r->last)
        return;
    while (r->n > 0 && r->run[r->n - 1].first >= from)
        r->n--;
    r->last = from > 0 ? from - 1 : 0;
}

void term_runs_trim(struct term_runs *r, uint64_t first)
{
    size_t drop = 0;
    while (drop + 1 < r->n && r->run[drop + 1].first <= first)
        drop++;
    if (first > r->last)
        drop = r->n;
    memmove(r->run, r->run + drop, (r->n - drop) * sizeof *r->run);
    r->n -= drop;
    if (r->n > 0 && r->run[0].first < first)
        r->run[0].first = first;
}

int term_runs_copy(const struct term_runs *from, struct term_runs *to)
{
    struct term_run *run = malloc((from->n + 1) * sizeof *run);
    if (!run)
        return -ENOMEM;
    if (from->n > 0)
        memcpy(run, from->run, from->n * sizeof *run);
    *to = (struct term_runs){.run = run, .n = from->n, .cap = from->n + 1, .last = from->last};
    return 0;
}

uint64_t term_runs_of(const struct term_runs *r, uint64_t index)
{
    if (r->n == 0 || index > r->last || index < r->run[0].first)
        return 0;
    size_t lo = 0, hi = r->n; /* the last run that begins at or before index */
    if (index >= r->run[r->n - 1].first)
        return r->run[r->n - 1].term;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (r->run[mid].first <= index)
            lo = mid;
        else
            hi = mid;
    }
    return r->run[lo].term;
}

uint64_t term_runs_first(const struct term_runs *r)
{
    return r->n > 0 ? r->run[0].first : 0;
}
