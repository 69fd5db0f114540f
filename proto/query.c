/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/query.h"

PROTO_DEFINE(query_head)
PROTO_DEFINE(identity)
PROTO_DEFINE(org_row)
PROTO_DEFINE(team_row)
PROTO_DEFINE(key_row)
PROTO_DEFINE(budget_row)
PROTO_DEFINE(audit_row)
PROTO_DEFINE(totals_row)

bool proto_query_put(struct proto_writer *w, const struct proto_query *q)
{
    proto_query_head_put(w, &q->head);
    return !w->full;
}

bool proto_query_get(const void *p, size_t n, struct proto_query *q, const char **error)
{
    struct proto_reader r = proto_reader_over(p, n);
    bool ok = proto_query_head_get(&r, &q->head) && proto_get_end(&r);
    if (!ok && error)
        *error = r.error;
    return ok;
}

bool proto_query_seal(uint8_t *p, size_t n, const char **error)
{
    struct proto_query q;
    if (!proto_query_get(p, n, &q, error))
        return false;
    proto_query_head_seal(&q.head);
    struct proto_writer w = proto_writer_over(p, n);
    return proto_query_put(&w, &q) && w.n == n;
}

bool proto_answer_put(struct proto_writer *w, uint16_t code, uint32_t next, uint32_t n,
                      const void *rows, size_t rows_n)
{
    proto_put_array(w, 3);
    proto_put_uint(w, code);
    proto_put_uint(w, next);
    proto_put_array(w, n);
    proto_put_raw(w, rows, rows_n);
    return !w->full;
}

bool proto_answer_get(const void *p, size_t n, struct proto_answer *a, const char **error)
{
    uint64_t code = 0, next = 0;
    a->r = proto_reader_over(p, n);
    bool ok = proto_get_array_of(&a->r, 3) && proto_get_uint(&a->r, &code, UINT16_MAX) &&
              proto_get_uint(&a->r, &next, UINT32_MAX) &&
              proto_get_array(&a->r, &a->n, PROTO_ANSWER_ROWS);
    a->code = (uint16_t)code;
    a->next = (uint32_t)next;
    if (!ok && error)
        *error = a->r.error;
    return ok;
}

bool proto_answer_row(struct proto_answer *a, struct proto_str *row)
{
    return proto_get_bin(&a->r, row, PROTO_ANSWER_MAX);
}
