/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/raft/notice.h"

enum { FIELDS = 5 };

void notice_put(struct proto_writer *w, const struct notice *n)
{
    uint8_t bytes[NOTICE_MAX];
    struct proto_writer in = proto_writer_over(bytes, sizeof bytes);
    proto_put_array(&in, FIELDS);
    proto_put_uint(&in, n->level);
    proto_put_uint(&in, n->flags);
    proto_put_uint(&in, n->applied);
    proto_put_uint(&in, n->index);
    proto_put_bin(&in, n->chain.b, n->index > 0 ? sizeof n->chain.b : 0);
    proto_put_bin(w, bytes, in.n);
}

bool notice_get(struct proto_reader *r, struct notice *n)
{
    struct proto_str bytes;
    uint32_t fields;
    uint64_t level, flags;
    *n = (struct notice){0};
    if (!proto_get_bin(r, &bytes, NOTICE_TAKE_MAX))
        return false;
    struct proto_reader in = proto_reader_over(bytes.p, bytes.n);
    if (!proto_get_array(&in, &fields, UINT8_MAX) || fields < FIELDS ||
        !proto_get_uint(&in, &level, UINT32_MAX) || !proto_get_uint(&in, &flags, UINT32_MAX) ||
        !proto_get_uint(&in, &n->applied, UINT64_MAX >> 2) ||
        !proto_get_uint(&in, &n->index, n->applied) ||
        !proto_get_fixed(&in, n->chain.b, sizeof n->chain.b, n->index == 0) ||
        (n->index == 0 && !proto_hash_none(&n->chain))) {
        r->error = in.error ? in.error : "notice: fields";
        return false;
    }
    n->level = (uint32_t)level;
    n->flags = (uint32_t)flags;
    return true; /* what follows belongs to newer programs */
}
