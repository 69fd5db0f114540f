/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/batch.h"

#include "proto/command.h"

PROTO_DEFINE(batch_header)

void proto_batch_begin(struct proto_writer *w, const struct proto_batch_header *h, uint32_t n)
{
    proto_put_array(w, 2);
    proto_batch_header_put(w, h);
    proto_put_array(w, n);
}

void proto_batch_add(struct proto_writer *w, const void *command, size_t n)
{
    proto_put_bin(w, command, n);
}

bool proto_batch_open(struct proto_batch *b, const void *p, size_t n)
{
    b->r = proto_reader_over(p, n);
    if (!proto_get_array_of(&b->r, 2) || !proto_batch_header_get(&b->r, &b->header) ||
        !proto_get_array(&b->r, &b->n, PROTO_BATCH_COMMANDS))
        return false;
    b->left = b->n;
    return b->n > 0 || proto_get_end(&b->r);
}

bool proto_batch_next(struct proto_batch *b, struct proto_str *command)
{
    if (b->left == 0) {
        b->r.error = "no more commands";
        return false;
    }
    b->left--;
    return proto_get_bin(&b->r, command, PROTO_COMMAND_MAX) &&
           (b->left > 0 || proto_get_end(&b->r));
}
