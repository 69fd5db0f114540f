/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/report/counters.h"

static void count_end(struct counters *c, const struct proto_result *r)
{
    const struct proto_settled *s = &r->body.settled;
    if (r->shape != PROTO_SHAPE_settled)
        return;
    c->settled_nanos += s->cost + s->fee;
    c->written_off_nanos += s->written_off;
}

static void count_settle(struct counters *c, const struct proto_result *r)
{
    c->settled++;
    c->overruns += (r->flags & PROTO_FLAG_OVERRUN) != 0;
    c->settled_late += (r->flags & PROTO_FLAG_LATE) != 0;
    c->settled_estimated += (r->flags & PROTO_FLAG_ESTIMATED) != 0;
    count_end(c, r);
}

void counters_result(struct counters *c, const struct proto_command *command,
                     const struct proto_result *r)
{
    if (r->code < PROTO_CODE_COUNT)
        c->results[r->code]++;
    if (command == NULL) {
        c->undecodable++;
        return;
    }
    if ((r->flags & PROTO_FLAG_DUPLICATE) != 0) {
        c->duplicates++;
        return;
    }
    if (r->code != PROTO_OK)
        return;
    if (command->head.kind == PROTO_CMD_reserve)
        c->reserved++;
    else if (command->head.kind == PROTO_CMD_settle)
        count_settle(c, r);
    else if (command->head.kind == PROTO_CMD_release)
        c->released++;
}
