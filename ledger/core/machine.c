/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/core/machine.h"

#include "proto/chain.h"

#include <errno.h>
#include <stdlib.h>

/* 9999-12-31: a stamp beyond is damage, and nothing here can overflow below it. */
#define STAMP_MAX_US INT64_C(253402300799999999)

void core_fail(struct core_machine *m, int code, const char *why)
{
    if (m->failed)
        return;
    struct proto_text t = proto_text_over(m->error, sizeof m->error);
    proto_text_put(&t, why);
    m->failed = code;
}

static const char *cause_of(int code)
{
    return code == -ENOMEM ? "no memory for the state's records" : "the state store cannot be read";
}

void *core_get(struct core_machine *m, const struct core_key *k)
{
    size_t vlen;
    void *value = core_overlay_get(&m->overlay, k, &vlen);
    if (m->overlay.failed)
        core_fail(m, m->overlay.failed, cause_of(m->overlay.failed));
    if (!value || (core_overlay_record(value)->flags & CORE_RECORD_SOUND))
        return value;
    if (!core_record_fits(k->b[0], value, vlen)) {
        core_fail(m, -EIO, "a stored record has the wrong size");
        return NULL;
    }
    core_overlay_record(value)->flags |= CORE_RECORD_SOUND;
    return value;
}

void *core_put(struct core_machine *m, const struct core_key *k, size_t vlen)
{
    void *value = core_overlay_put(&m->overlay, k, vlen);
    if (m->overlay.failed)
        core_fail(m, m->overlay.failed, cause_of(m->overlay.failed));
    return value;
}

struct core_window core_window_now(struct core_machine *m, unsigned window, unsigned billing_day)
{
    /* Only a memory of the last answer: the arithmetic is pure. */
    struct core_window *w = &m->window_memo[window][billing_day];
    if (m->at.clock_us < w->start_us || m->at.clock_us >= w->end_us)
        *w = core_window_at(window, billing_day, m->at.clock_us);
    return *w;
}

/* ---- life ---- */
static int group_load(struct core_machine *m)
{
    struct core_key k;
    core_key_group(&k);
    const struct core_group *g = core_get(m, &k);
    if (g)
        m->group = *g;
    return m->failed;
}

static void group_save(struct core_machine *m)
{
    struct core_key k;
    core_key_group(&k);
    struct core_group *g = core_put(m, &k, sizeof *g);
    *g = m->group;
}

int core_machine_new(struct core_machine **out, const struct core_config *config,
                     const struct core_position *at)
{
    struct core_machine *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    int rv = core_overlay_init(&m->overlay, &config->backing, config->cache_records);
    m->commands = calloc(PROTO_BATCH_COMMANDS, sizeof *m->commands);
    m->command = calloc(CORE_AHEAD_COMMANDS, sizeof *m->command);
    m->items = calloc(PROTO_BATCH_COMMANDS, sizeof *m->items);
    m->leaves = calloc(PROTO_BATCH_COMMANDS + 1, sizeof *m->leaves);
    m->results = malloc((size_t)PROTO_BATCH_COMMANDS * PROTO_RESULT_MAX);
    m->rows = malloc(PROTO_ANSWER_MAX);
    if (rv == 0 &&
        (!m->commands || !m->command || !m->items || !m->leaves || !m->results || !m->rows))
        rv = -ENOMEM;
    m->observer = config->observer;
    if (rv == 0 && at && at->index > 0) {
        m->at = *at;
        core_absent_start(&m->overlay.absent, at->clock_us);
        rv = group_load(m);
        if (rv == 0)
            rv = core_level_check(m, core_machine_level(m));
    }
    m->kept_from = m->at.index;
    m->kept[m->at.index % CORE_CHAIN_KEPT] = m->at.chain;
    if (rv) {
        core_machine_free(m);
        return rv;
    }
    *out = m;
    return 0;
}

void core_machine_free(struct core_machine *m)
{
    if (!m)
        return;
    core_overlay_close(&m->overlay);
    core_open_heap_close(&m->heap);
    free(m->commands);
    free(m->command);
    free(m->items);
    free(m->leaves);
    free(m->results);
    free(m->rows);
    free(m);
}

const void *core_open_prefix(size_t *n)
{
    static const uint8_t prefix[1] = {CORE_TABLE_hold};
    *n = sizeof prefix;
    return prefix;
}

int core_machine_restore_open(struct core_machine *m, const void *key, size_t klen,
                              const void *value, size_t vlen)
{
    const uint8_t *k = key;
    struct core_hold head;
    if (!core_key_of_hold(k, klen) || k[0] != CORE_TABLE_hold || vlen < sizeof head) {
        core_fail(m, -EIO, "a stored hold has the wrong size");
        return m->failed;
    }
    memcpy(&head, value, sizeof head); /* the store's bytes need not be aligned */
    if (head.state != CORE_HOLD_OPEN)
        return m->failed;
    if (core_open_heap_room(&m->heap)) {
        core_fail(m, -ENOMEM, "no memory for the open holds");
        return m->failed;
    }
    struct core_open o = {
        .deadline_us = head.deadline_us, .index = head.index, .ordinal = head.ordinal};
    core_key_hold_parts(k, &o.org, &o.id);
    core_open_heap_remove(&m->heap, head.index, head.ordinal); /* told twice: once counts */
    core_open_heap_add(&m->heap, &o);
    core_overlay_load(&m->overlay, key, klen, value, vlen);
    if (m->overlay.failed)
        core_fail(m, m->overlay.failed, cause_of(m->overlay.failed));
    return m->failed;
}

/* ---- applying ---- */
static void fail_chains(struct core_machine *m, uint64_t index, const struct proto_hash *ours,
                        const struct proto_hash *theirs)
{
    struct proto_text t = proto_text_over(m->error, sizeof m->error);
    proto_text_put(&t, "the chain at index ");
    proto_text_uint(&t, index);
    proto_text_put(&t, " differs: ours ");
    proto_text_hex(&t, ours->b, sizeof ours->b);
    proto_text_put(&t, ", the leader's ");
    proto_text_hex(&t, theirs->b, sizeof theirs->b);
    m->failed = -EUCLEAN;
}

static int entry_follows(struct core_machine *m, uint64_t index, uint64_t term)
{
    if (m->failed)
        return m->failed;
    if (index != m->at.index + 1)
        core_fail(m, -EPROTO, "a log entry is not the next one");
    else if (term < m->at.term)
        core_fail(m, -EPROTO, "a log entry's term is older than the one before it");
    return m->failed;
}

/* Decodes the batch's frame and all its items, so that a damaged entry is known before it acts. */
static int open_batch(struct core_machine *m, const void *payload, size_t n, struct proto_batch *b)
{
    if (!proto_batch_open(b, payload, n)) {
        core_fail(m, -EPROTO, b->r.error ? b->r.error : "a log entry is no batch");
        return m->failed;
    }
    if (b->header.format != PROTO_LOG_FORMAT || b->header.machine != PROTO_MACHINE_VERSION) {
        core_fail(m, -EPROTO, "a log entry has a format or machine version this program lacks");
        return m->failed;
    }
    if (b->header.stamp_us < 0 || b->header.stamp_us > STAMP_MAX_US) {
        core_fail(m, -EPROTO, "a log entry's stamp is out of range");
        return m->failed;
    }
    for (uint32_t i = 0; i < b->n; i++) {
        if (!proto_batch_next(b, &m->commands[i])) {
            core_fail(m, -EPROTO, b->r.error ? b->r.error : "a log entry is damaged");
            return m->failed;
        }
    }
    struct proto_hash ours;
    if (b->header.check_index > 0 && core_machine_chain_at(m, b->header.check_index, &ours) &&
        memcmp(ours.b, b->header.check_chain.b, sizeof ours.b) != 0) {
        if (m->observer.on_mismatch)
            m->observer.on_mismatch(m->observer.ctx, b->header.check_index, &ours,
                                    &b->header.check_chain);
        else
            fail_chains(m, b->header.check_index, &ours, &b->header.check_chain);
    }
    return m->failed;
}

static void move_clock(struct core_machine *m, uint64_t term, int64_t stamp_us)
{
    if (stamp_us > m->at.clock_us)
        m->at.clock_us = stamp_us;
    if (term != m->group.grace_term) {
        m->group.grace_term = term;
        m->group.grace_until_us = m->at.clock_us + CORE_HOLD_GRACE_US;
    }
}

static void run_command(struct core_machine *m, uint32_t i, const struct proto_command *command,
                        bool decoded, struct proto_writer *w)
{
    struct proto_result result = {.code = PROTO_OK};
    struct core_call x = {.c = command, .bytes = m->commands[i], .ordinal = i, .r = &result};
    decoded = decoded && core_level_allows(m, command->head.kind);
    if (decoded)
        core_execute(m, &x);
    else
        core_refuse(&x, PROTO_MALFORMED);
    if (m->failed)
        return;
    size_t from = w->n;
    if (!proto_result_put(w, &result)) {
        core_fail(m, -EOVERFLOW, "a result does not fit its bound");
        return;
    }
    m->items[i] = (struct core_item){(uint32_t)from, (uint32_t)(w->n - from)};
    proto_chain_leaf(x.bytes.p, x.bytes.n, w->base + from, w->n - from, &m->leaves[i]);
    if (m->observer.on_result)
        m->observer.on_result(m->observer.ctx, m->at.index, i, m->at.clock_us,
                              decoded ? command : NULL, &result);
}

/* Commands first..first + n of the entry; n <= CORE_AHEAD_COMMANDS. */
static void run_group(struct core_machine *m, uint32_t first, uint32_t n, struct proto_writer *w)
{
    bool decoded[CORE_AHEAD_COMMANDS];
    for (uint32_t i = 0; i < n; i++) {
        const struct proto_str *bytes = &m->commands[first + i];
        decoded[i] = proto_command_get(bytes->p, bytes->n, &m->command[i], NULL);
    }
    if (n > 1 && m->overlay.shelf[CORE_SHELF_LASTING].all.n >= CORE_AHEAD_RECORDS)
        core_ahead(m, m->command, decoded, n);
    for (uint32_t i = 0; i < n && m->failed == 0; i++)
        run_command(m, first + i, &m->command[i], decoded[i], w);
}

static void move_chain(struct core_machine *m, const struct proto_hash *root)
{
    if (m->genesis_now)
        m->at.chain = m->seed; /* chain[0]: what came before the genesis is not part of it */
    m->genesis_now = false;
    proto_chain_next(&m->at.chain, m->at.index, m->at.term, m->at.clock_us, root);
    m->kept[m->at.index % CORE_CHAIN_KEPT] = m->at.chain;
    if (m->at.index - m->kept_from >= CORE_CHAIN_KEPT)
        m->kept_from = m->at.index - CORE_CHAIN_KEPT + 1;
}

/* The batch's header goes into the entry's own leaf: a stamp behind the clock, or a leader's chain
 * of an earlier index, changes no result and must not be changed unseen either. */
static void hash_header(struct proto_sha256 *tail, const struct proto_batch_header *header)
{
    uint8_t bytes[PROTO_BATCH_HEADER_MAX];
    struct proto_writer w = proto_writer_over(bytes, sizeof bytes);
    proto_batch_header_put(&w, header);
    proto_sha256_add(tail, bytes, w.n);
}

int core_machine_apply(struct core_machine *m, uint64_t index, uint64_t term, const void *payload,
                       size_t n, struct core_outcome *out)
{
    struct proto_batch b;
    if (entry_follows(m, index, term) || open_batch(m, payload, n, &b))
        return m->failed;
    m->at.index = index;
    m->at.term = term;
    m->transfers = 0;
    move_clock(m, term, b.header.stamp_us);

    struct proto_sha256 tail;
    uint32_t expired = core_expire(m, &tail);
    hash_header(&tail, &b.header);
    struct proto_writer w =
        proto_writer_over(m->results, (size_t)PROTO_BATCH_COMMANDS * PROTO_RESULT_MAX);
    for (uint32_t i = 0; i < b.n && m->failed == 0; i += CORE_AHEAD_COMMANDS)
        run_group(m, i, b.n - i < CORE_AHEAD_COMMANDS ? b.n - i : CORE_AHEAD_COMMANDS, &w);
    group_save(m);
    if (m->failed)
        return m->failed;

    struct proto_hash root;
    proto_sha256_out(&tail, &m->leaves[b.n]);
    proto_chain_root(m->leaves, b.n + 1, &root);
    move_chain(m, &root);
    core_overlay_trim(&m->overlay);
    *out = (struct core_outcome){
        .n = b.n, .items = m->items, .results = m->results, .expired = expired};
    return 0;
}

int core_machine_skip(struct core_machine *m, uint64_t index, uint64_t term, uint8_t kind,
                      const void *payload, size_t n)
{
    if (entry_follows(m, index, term))
        return m->failed;
    uint8_t head[2] = {0x03, kind};
    struct proto_sha256 h;
    struct proto_hash root;
    proto_sha256_init(&h);
    proto_sha256_add(&h, head, sizeof head);
    if (n > 0)
        proto_sha256_add(&h, payload, n);
    proto_sha256_out(&h, &root);
    m->at.index = index;
    m->at.term = term;
    move_chain(m, &root);
    return 0;
}

/* ---- looking ---- */
void core_machine_position(const struct core_machine *m, struct core_position *out)
{
    *out = m->at;
}

const char *core_machine_error(const struct core_machine *m)
{
    return m->error;
}

bool core_machine_initialised(const struct core_machine *m)
{
    return m->group.initialised != 0;
}

const struct proto_uuid *core_machine_cluster(const struct core_machine *m)
{
    return &m->group.cluster;
}

bool core_machine_chain_at(const struct core_machine *m, uint64_t index, struct proto_hash *out)
{
    if (index < m->kept_from || index > m->at.index)
        return false;
    *out = m->kept[index % CORE_CHAIN_KEPT];
    return true;
}

uint32_t core_machine_open_holds(const struct core_machine *m)
{
    return m->group.open_holds;
}

int64_t core_machine_next_expiry(const struct core_machine *m)
{
    const struct core_open *o = core_open_heap_first(&m->heap);
    if (!o)
        return INT64_MAX;
    return o->deadline_us > m->group.grace_until_us ? o->deadline_us : m->group.grace_until_us;
}

int64_t core_machine_drift(const struct core_machine *m)
{
    return m->group.drift;
}

int core_machine_balances(struct core_machine *m, const struct proto_uuid *org,
                          struct core_balances *out)
{
    const struct core_org *o = core_org_get(m, org);
    if (m->failed)
        return m->failed;
    if (!o)
        return -ENOENT;
    memcpy(out->account, o->account, sizeof out->account);
    return 0;
}

/* ---- checkpoints ---- */
int core_machine_changes(struct core_machine *m, core_change_visit *visit, void *ctx)
{
    return core_overlay_changes(&m->overlay, visit, ctx);
}

void core_machine_written(struct core_machine *m)
{
    core_overlay_written(&m->overlay);
}

size_t core_machine_changed(const struct core_machine *m)
{
    return m->overlay.dirty.n;
}

size_t core_machine_records(const struct core_machine *m)
{
    return core_overlay_records(&m->overlay);
}

int core_machine_visit(struct core_machine *m, core_change_visit *visit, void *ctx)
{
    return core_overlay_visit(&m->overlay, visit, ctx);
}
