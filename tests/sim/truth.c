/* SPDX-License-Identifier: Apache-2.0
 * What the ledger must hold. The first application of an entry anywhere makes it the truth: it is
 * run through a machine of our own (for chain and records) and through the shadow (an independent
 * implementation of the rules), which must answer every command to the byte. Every other
 * application and every reply is compared with it.
 */
#include "tests/sim/world.h"

#include "proto/base/check.h"
#include "proto/batch.h"
#include "proto/hash.h"
#include "proto/level.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct shadow shadow; /* large */

static void shadow_clear(void)
{
    for (unsigned i = 0; i < shadow.counters; i++)
        shadow.counter[i] = (struct shadow_counter){0};
    for (unsigned i = 0; i < shadow.holds; i++)
        shadow.hold[i] = (struct shadow_hold){0};
    for (unsigned i = 0; i < shadow.dones; i++)
        shadow.done[i] = (struct shadow_done){0};
    memset(shadow.org, 0, sizeof shadow.org);
    memset(shadow.cred, 0, sizeof shadow.cred);
    memset(shadow.prices, 0, sizeof shadow.prices);
    shadow.clock_us = shadow.grace_until_us = shadow.unconfirmed = 0;
    shadow.index = shadow.term = shadow.settled = shadow.refused = 0;
    shadow.ordinal = shadow.version = shadow.pending = shadow.level = 0;
    shadow.creds = shadow.counters = shadow.holds = shadow.dones = 0;
    shadow.operator_hash = (struct proto_hash){{0}};
}

/* An entry's leader had another chain: only one whose state lies. */
static void on_mismatch(void *ctx, uint64_t index, const struct proto_hash *ours,
                        const struct proto_hash *theirs)
{
    struct sim_world *w = ctx;
    (void)ours;
    (void)theirs;
    w->counters.contradictions++;
    if (!w->lied)
        sim_fail(w, "CHAIN: a leader had another one at entry %" PRIu64, index);
}

void truth_open(struct sim_world *w)
{
    const struct core_config config = {.observer = {.ctx = w, .on_mismatch = on_mismatch}};
    CHECK(core_machine_new(&w->oracle, &config, NULL) == 0);
    shadow_clear();
}

void truth_close(struct sim_world *w)
{
    core_machine_free(w->oracle);
    w->oracle = NULL;
}

/* ---- the first application ---- */

static uint32_t number_of(const struct sim_world *w, const struct proto_uuid *id)
{
    uint32_t n;
    if (id->b[8] != 0x80 || id->b[9] != 0x51)
        return 0;
    memcpy(&n, id->b + 12, sizeof n);
    return n <= w->commands ? n : 0;
}

static void note_result(struct sim_world *w, uint64_t index, uint32_t number,
                        const struct proto_result *r)
{
    struct sim_command *c = &w->command[number];
    c->results++;
    if (r->code != PROTO_OK || (r->flags & PROTO_FLAG_DUPLICATE))
        return;
    c->effects++;
    w->counters.effects++;
    if (c->effects > 1)
        sim_fail(
            w, "DOUBLED: command %u (%s) has an effect at entry %" PRIu64 " and again at %" PRIu64,
            number, proto_command_name(c->kind), c->effect_index, index);
    c->effect_index = index;
}

static void differ(struct sim_world *w, uint64_t index, uint32_t i, const struct proto_command *c,
                   const struct proto_result *wanted, const struct proto_result *got)
{
    char text[3][2048];
    struct proto_text t[3];
    for (int k = 0; k < 3; k++)
        t[k] = proto_text_over(text[k], sizeof text[k]);
    proto_command_print(&t[0], c);
    proto_result_print(&t[1], wanted);
    proto_result_print(&t[2], got);
    sim_fail(w,
             "SHADOW at entry %" PRIu64 ", command %u: %.100s | the shadow: %.100s | the machine: "
             "%.100s",
             index, i, text[0], text[1], text[2]);
}

/* An admission at this moment: no hard ceiling of the hold may be passed by it. */
static void check_admission(struct sim_world *w, uint64_t index, const struct proto_uuid *id)
{
    const struct shadow_hold *h = NULL;
    for (unsigned i = shadow.holds; i-- > 0 && !h;)
        if (proto_uuid_eq(&shadow.hold[i].id, id))
            h = &shadow.hold[i];
    for (unsigned i = 0; h && i < h->lines; i++) {
        const struct shadow_counter *c = h->line[i];
        const struct shadow_budget *b = &shadow.org[h->org].budget[c->budget];
        if (b->live && b->generation == c->generation && b->mode == PROTO_MODE_hard_block &&
            c->spent + c->held > b->limit)
            sim_fail(w, "LIMIT at entry %" PRIu64 ": budget %u admits %" PRId64 " of %" PRId64,
                     index, c->budget, c->spent + c->held, b->limit);
    }
}

static void compare_command(struct sim_world *w, uint64_t index, uint32_t i, struct proto_str bytes,
                            const struct core_outcome *out, uint32_t *number)
{
    struct proto_command c;
    struct proto_hash digest;
    struct proto_result wanted, got;
    uint8_t encoded[PROTO_RESULT_MAX];
    struct proto_writer writer = proto_writer_over(encoded, sizeof encoded);
    const uint8_t *result = out->results + out->items[i].offset;
    if (!proto_command_get(bytes.p, bytes.n, &c, NULL) ||
        !proto_result_get(result, out->items[i].length, &got, NULL)) {
        sim_fail(w, "entry %" PRIu64 ", command %u cannot be decoded", index, i);
        return;
    }
    if (proto_level_of(c.head.kind) > shadow_level(&shadow))
        sim_fail(w, "LEVEL: entry %" PRIu64 " has a %s, and level %u is in force", index,
                 proto_command_name(c.head.kind), (unsigned)shadow_level(&shadow));
    proto_sha256_of(bytes.p, bytes.n, &digest);
    shadow.ordinal = i;
    shadow_command(&shadow, &c, &digest, &wanted);
    if (!proto_result_put(&writer, &wanted) || writer.n != out->items[i].length ||
        memcmp(encoded, result, writer.n) != 0)
        differ(w, index, i, &c, &wanted, &got);
    if (c.head.kind == PROTO_CMD_reserve && wanted.code == PROTO_OK &&
        !(wanted.flags & PROTO_FLAG_DUPLICATE))
        check_admission(w, index, &c.head.id);
    w->counters.levels_raised += c.head.kind == PROTO_CMD_feature_level &&
                                 wanted.code == PROTO_OK && !(wanted.flags & PROTO_FLAG_DUPLICATE);
    *number = number_of(w, &c.head.id);
    if (*number > 0)
        note_result(w, index, *number, &got);
}

/* The invariants, from the machine's own records. */
static void check_money(struct sim_world *w, uint64_t index)
{
    struct proto_uuid wrong;
    uint32_t open = 0;
    for (unsigned o = 0; o < w->org_count; o++) {
        struct core_balances *b = &w->balance[index][o];
        const struct proto_uuid id = shadow_org_id(o);
        int64_t sum = 0, held = 0;
        int rv = core_machine_balances(w->oracle, &id, b);
        if (rv == -ENOENT)
            continue;
        for (unsigned a = 0; a < CORE_ACCOUNTS; a++) {
            sum += b->account[a];
            if (b->account[a] != shadow.org[o].account[a])
                sim_fail(w,
                         "SHADOW at entry %" PRIu64 ": %s is %" PRId64 ", the shadow says %" PRId64,
                         index, core_account_name(a), b->account[a], shadow.org[o].account[a]);
        }
        if (sum != 0 || b->account[CORE_AVAILABLE] < 0 || b->account[CORE_PROMO] < 0)
            sim_fail(w, "MONEY at entry %" PRIu64 ": sum %" PRId64 ", available %" PRId64, index,
                     sum, b->account[CORE_AVAILABLE]);
        for (unsigned i = 0; i < shadow.holds; i++)
            if (shadow.hold[i].org == o && shadow.hold[i].state == OPEN) {
                held += shadow.hold[i].promo + shadow.hold[i].available;
                open++;
            }
        if (held != b->account[CORE_HELD])
            sim_fail(w, "HELD at entry %" PRIu64 ": %" PRId64 ", the open holds are %" PRId64,
                     index, b->account[CORE_HELD], held);
    }
    if (!w->failed && open != core_machine_open_holds(w->oracle))
        sim_fail(w, "HELD at entry %" PRIu64 ": %u open holds, the shadow has %u", index,
                 core_machine_open_holds(w->oracle), open);
    if (index % 16 == 0 && !core_machine_balanced(w->oracle, &wrong))
        sim_fail(w, "MONEY at entry %" PRIu64 ": accounts and transactions differ", index);
}

/* Nothing is taken out of a budget twice. */
static void check_limits(struct sim_world *w, uint64_t index)
{
    for (unsigned i = 0; i < shadow.counters; i++) {
        const struct shadow_counter *c = &shadow.counter[i];
        if (c->held < 0 || c->spent < 0)
            sim_fail(w, "BUDGET at entry %" PRIu64 ": budget %u has held %" PRId64, index,
                     c->budget, c->held);
    }
}

static void compare_batch(struct sim_world *w, uint64_t index, const struct sim_entry *e,
                          const struct core_outcome *out)
{
    struct proto_batch b;
    struct proto_str bytes;
    if (!proto_batch_open(&b, e->data, e->len)) {
        sim_fail(w, "entry %" PRIu64 " cannot be decoded", index);
        return;
    }
    uint32_t *numbers = sim_alloc(w, (b.n + 1) * sizeof *numbers);
    uint32_t expired = shadow_entry(&shadow, e->term, b.header.stamp_us);
    if (out->expired != expired)
        sim_fail(w, "EXPIRY at entry %" PRIu64 ": %u holds, the shadow says %u", index,
                 out->expired, expired);
    w->counters.expired_holds += expired;
    for (uint32_t i = 0; i < out->n && proto_batch_next(&b, &bytes) && !w->failed; i++)
        compare_command(w, index, i, bytes, out, &numbers[i]);
    size_t size = out->n > 0 ? out->items[out->n - 1].offset + out->items[out->n - 1].length : 0;
    w->results[index].bytes = sim_copy(w, out->results, size);
    w->results[index].items = sim_copy(w, out->items, out->n * sizeof *out->items);
    w->results[index].n = out->n;
    w->results[index].command = numbers;
}

static void make_truth(struct sim_world *w, uint64_t index, const struct sim_entry *e)
{
    struct core_outcome out = {0};
    struct core_position at;
    bool command = e->kind == ENTRY_COMMAND;
    int rv = command ? core_machine_apply(w->oracle, index, e->term, e->data, e->len, &out)
                     : core_machine_skip(w->oracle, index, e->term, e->kind, e->data, e->len);
    if (rv != 0) {
        sim_fail(w, "entry %" PRIu64 " stops the machine: %s", index,
                 core_machine_error(w->oracle));
        return;
    }
    core_machine_position(w->oracle, &at);
    w->applied = index;
    w->truth[index] = *e;
    w->chain[index] = at.chain;
    w->clock_us[index] = at.clock_us;
    if (at.clock_us < w->clock_us[index - 1])
        sim_fail(w, "TIME WENT BACK at entry %" PRIu64, index);
    if (command) {
        compare_batch(w, index, e, &out);
        if (w->failed)
            return;
    } else {
        shadow.index++;
    }
    check_money(w, index);
    check_limits(w, index);
}

void truth_applied(struct sim_node *n, uint64_t index)
{
    struct sim_world *w = n->w;
    struct proto_hash chain;
    const struct sim_entry *e = &n->log[index];
    if (index > n->last || e->term != pump_term_of(n->node->pump, index)) {
        sim_fail(w, "APPLIED BEFORE STORED: n%d, entry %" PRIu64, n->id, index);
        return;
    }
    if (index > w->applied) {
        sim_wall_us = replica_now(n).wall_us;
        make_truth(w, index, e);
        sim_wall_us = INT64_MIN;
    }
    if (w->failed)
        return;
    const struct sim_entry *t = &w->truth[index];
    if (t->term != e->term || t->kind != e->kind || t->len != e->len ||
        (e->len > 0 && memcmp(t->data, e->data, e->len) != 0))
        sim_fail(w, "APPLIED DIFFERS: n%d at entry %" PRIu64, n->id, index);
    else if (!core_machine_chain_at(n->node->machine, index, &chain) ||
             memcmp(&chain, &w->chain[index], sizeof chain) != 0) {
        if (n->lies)
            lies_parted(n, index);
        else
            sim_fail(w, "CHAIN: n%d at entry %" PRIu64, n->id, index);
    }
}

/* ---- replies ---- */

static void acknowledge(struct sim_node *n, struct sim_rpc *rpc, unsigned i,
                        const struct proto_reply_item *item)
{
    struct sim_world *w = n->w;
    struct proto_result r = {0};
    uint32_t number = rpc->command[i];
    if (item->index == 0) { /* its deadline passed before it was proposed, or it may not be now */
        w->command[number].refusals++;
        if (proto_result_get(item->result.p, item->result.n, &r, NULL))
            rpc->code[i] = r.code;
        w->counters.level_refusals += r.code == PROTO_LEVEL_TOO_LOW;
        return;
    }
    if (item->index > w->applied || item->ordinal >= w->results[item->index].n ||
        w->results[item->index].command[item->ordinal] != number) {
        sim_fail(w, "LOST: n%d acknowledges command %u at %" PRIu64 ":%u, where it is not", n->id,
                 number, item->index, item->ordinal);
        return;
    }
    const struct core_item *at = &w->results[item->index].items[item->ordinal];
    if (item->result.n != at->length ||
        memcmp(item->result.p, w->results[item->index].bytes + at->offset, at->length) != 0 ||
        memcmp(&item->chain, &w->chain[item->index], sizeof item->chain) != 0) {
        if (n->lies) { /* nobody has contradicted it yet */
            w->counters.wrong_answers++;
            if (proto_result_get(item->result.p, item->result.n, &r, NULL))
                rpc->code[i] = r.code;
            return;
        }
        sim_fail(w, "ANSWER: n%d tells another result of command %u than entry %" PRIu64 " holds",
                 n->id, number, item->index);
        return;
    }
    CHECK(proto_result_get(item->result.p, item->result.n, &r, NULL));
    rpc->code[i] = r.code;
    if (r.shape == PROTO_SHAPE_created)
        rpc->created = r.body.created.number;
    w->command[number].answered |= r.code == PROTO_OK;
    w->counters.answers++;
    sim_say(w, "n%d answers command %u (%s) of caller %d: %s%s, entry %" PRIu64 ":%u", n->id,
            number, proto_command_name(w->command[number].kind), rpc->caller,
            proto_code_name(r.code), r.flags & PROTO_FLAG_DUPLICATE ? " again" : "", item->index,
            item->ordinal);
    if (item->index > w->acked)
        w->acked = item->index;
}

static void check_read(struct sim_node *n, const struct sim_rpc *rpc,
                       const struct proto_reply_head *head, struct proto_str bytes)
{
    struct sim_world *w = n->w;
    struct proto_answer a;
    struct proto_str row;
    struct proto_org_row v;
    if (!rpc->stale && head->applied < rpc->acked)
        sim_fail(w,
                 "STALE READ: n%d answers at entry %" PRIu64 " a query asked after %" PRIu64
                 " was acknowledged",
                 n->id, head->applied, rpc->acked);
    if (head->applied > w->applied || !proto_answer_get(bytes.p, bytes.n, &a, NULL))
        sim_fail(w, "n%d answers a query with nonsense", n->id);
    w->counters.reads++;
    if (head->applied > w->acked) /* whoever asks from now on must see as much */
        w->acked = head->applied;
    while (!w->failed && a.n > 0 && proto_answer_row(&a, &row)) {
        struct proto_reader r = proto_reader_over(row.p, row.n);
        if (!proto_org_row_get(&r, &v))
            sim_fail(w, "n%d answers a row that cannot be read", n->id);
        for (unsigned o = 0; o < w->org_count && !w->failed; o++) {
            const struct proto_uuid id = shadow_org_id(o);
            const int64_t *b = w->balance[head->applied][o].account;
            if (!n->lies && proto_uuid_eq(&id, &v.org) &&
                (v.available != b[CORE_AVAILABLE] || v.held != b[CORE_HELD] ||
                 v.usage != b[CORE_USAGE]))
                sim_fail(w, "READ: n%d shows other balances than entry %" PRIu64 " left", n->id,
                         head->applied);
        }
        if (--a.n == 0)
            break;
    }
}

void truth_reply(struct sim_node *n, struct sim_rpc *rpc, const void *bytes, size_t len)
{
    struct sim_world *w = n->w;
    struct proto_reader r = proto_reader_over(bytes, len);
    struct proto_reply_head head;
    struct proto_reply_item item;
    uint32_t items;
    if (w->failed)
        return;
    if (!proto_reply_open(&r, &head, &items)) {
        sim_fail(w, "n%d sends a reply that cannot be read", n->id);
        return;
    }
    rpc->status = head.status;
    rpc->leader = head.leader;
    w->counters.unknown += head.status == PROTO_REPLY_unknown;
    if (head.status == PROTO_REPLY_not_leader || head.status == PROTO_REPLY_busy ||
        head.status == PROTO_REPLY_expired) {
        w->counters.refused++;
        for (unsigned i = 0; i < rpc->n; i++)
            w->command[rpc->command[i]].refusals++;
    }
    if (head.status != PROTO_REPLY_done) {
        sim_say(w, "n%d answers caller %d: %s", n->id, rpc->caller, proto_reply_text(head.status));
        return;
    }
    if (!lies_may_act(n))
        return;
    if (n->lies && n->told) {
        sim_fail(w, "ANSWERS: n%d has heard that its state differs, and answers", n->id);
        return;
    }
    if (rpc->n == 0) {
        struct proto_str answer;
        if (items == 1 && proto_get_bin(&r, &answer, PROTO_ANSWER_MAX))
            check_read(n, rpc, &head, answer);
        return;
    }
    for (unsigned i = 0; i < items && !w->failed; i++) {
        CHECK(i < rpc->n && proto_reply_item_get(&r, &item));
        acknowledge(n, rpc, i, &item);
    }
}

/* ---- the end: records ---- */

struct table {
    struct sim_record *record;
    size_t n, cap;
    struct sim_world *w;
};

static int add(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    struct table *t = ctx;
    if (t->n == t->cap) {
        struct sim_record *old = t->record;
        t->cap = t->cap ? 2 * t->cap : 1024;
        t->record = sim_alloc(t->w, t->cap * sizeof *t->record);
        if (t->n > 0)
            memcpy(t->record, old, t->n * sizeof *old);
    }
    t->record[t->n++] = (struct sim_record){.key = sim_copy(t->w, key, klen),
                                            .klen = klen,
                                            .value = value ? sim_copy(t->w, value, vlen) : NULL,
                                            .vlen = vlen};
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct sim_record *x = a, *y = b;
    int c = memcmp(x->key, y->key, x->klen < y->klen ? x->klen : y->klen);
    return c != 0 ? c : x->klen < y->klen ? -1 : x->klen > y->klen;
}

static struct table sorted(struct sim_world *w, struct core_machine *m)
{
    struct table t = {.w = w};
    CHECK(core_machine_visit(m, add, &t) == 0);
    if (t.n > 0)
        qsort(t.record, t.n, sizeof *t.record, by_key);
    return t;
}

static const struct sim_record *look_up(const struct table *t, const struct sim_record *r)
{
    return t->n > 0 ? bsearch(r, t->record, t->n, sizeof *r, by_key) : NULL;
}

static bool same(const struct sim_record *a, const struct sim_record *b)
{
    return a->value && b->value && a->vlen == b->vlen && memcmp(a->value, b->value, a->vlen) == 0;
}

static void record_fails(struct sim_node *n, const char *what, const struct sim_record *r)
{
    char text[1024];
    struct proto_text t = proto_text_over(text, sizeof text);
    if (r->value)
        core_record_print(&t, r->key, r->klen, r->value, r->vlen);
    else
        (void)snprintf(text, sizeof text, "(deleted)");
    sim_fail(n->w, "RECORDS of n%d at entry %" PRIu64 ": %s: %.200s", n->id, n->applied, what,
             text);
}

static bool dead(const struct sim_node *n, const struct sim_record *r)
{
    return core_record_dead(r->key, r->klen, r->value, r->vlen, n->w->clock_us[n->applied]);
}

static int add_change(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    return state_changes_add(ctx, key, klen, value, vlen);
}

/* The node's records are those that a replay of its log makes; only dead ones may be gone. */
static void compare_records(struct sim_node *n)
{
    struct sim_world *w = n->w;
    struct core_machine *replay = w->oracle; /* of the same log, entry by entry */
    const struct core_config config = {.observer = {.ctx = w, .on_mismatch = on_mismatch}};
    struct core_outcome out;
    bool behind = n->applied < w->applied;
    CHECK(!behind || core_machine_new(&replay, &config, NULL) == 0);
    for (uint64_t i = 1; behind && i <= n->applied; i++) {
        const struct sim_entry *e = &n->log[i];
        sim_wall_us = w->clock_us[i];
        int rv = e->kind == ENTRY_COMMAND
                     ? core_machine_apply(replay, i, e->term, e->data, e->len, &out)
                     : core_machine_skip(replay, i, e->term, e->kind, e->data, e->len);
        if (rv != 0)
            sim_fail(w, "REPLAY of n%d stops at entry %" PRIu64, n->id, i);
    }
    sim_wall_us = INT64_MIN;
    struct state_changes changes;
    state_changes_init(&changes);
    if (n->node->checkpoint.writing)
        core_machine_written(n->node->machine); /* as if it were done: disk_with takes it so */
    CHECK(core_machine_changes(n->node->machine, add_change, &changes) == 0);
    const struct sim_state *s = disk_with(n, &changes);
    state_changes_close(&changes);
    struct table wanted = sorted(w, replay), found = {.record = s->record, .n = s->n};
    for (size_t i = 0; i < wanted.n && !w->failed; i++) {
        const struct sim_record *r = &wanted.record[i], *m = look_up(&found, r);
        if (r->value && !dead(n, r) && (!m || !same(r, m)))
            record_fails(n, m ? "differs from its log's" : "is missing", r);
    }
    for (size_t i = 0; i < found.n && !w->failed; i++) {
        const struct sim_record *r = &found.record[i], *x = look_up(&wanted, r);
        if ((!x || !x->value) && !dead(n, r))
            record_fails(n, "is not in its log", r);
    }
    if (behind)
        core_machine_free(replay);
}

void truth_end(struct sim_world *w)
{
    for (int i = 1; i <= w->n && !w->failed; i++)
        if (w->node[i].up && w->node[i].applied > 0 && !w->node[i].lies)
            compare_records(&w->node[i]);
    for (uint32_t i = 1; i <= w->commands && !w->failed; i++) {
        const struct sim_command *c = &w->command[i];
        if (c->answered && c->effects != 1)
            sim_fail(w, "LOST: command %u (%s) was acknowledged and has %u effects", i,
                     proto_command_name(c->kind), c->effects);
        if (c->results > 0 && c->attempts == c->refusals)
            sim_fail(w, "REFUSED: command %u (%s) was refused as never proposed, and is in the log",
                     i, proto_command_name(c->kind));
    }
}
