/* SPDX-License-Identifier: Apache-2.0
 * A peer's messages into a node's pump: bytes as they are, bodies behind a right head, time
 * passing, writes completing. What the decoder accepts encodes to the same bytes. A peer holds a
 * certificate of the cluster, so it is believed in what it says of its own log; but no bytes may
 * crash a node, and what is applied follows in order.
 */
#include "ledger/raft/message.h"
#include "ledger/raft/pump.h"
#include "tests/fuzz/fuzz.h"

enum { WRITES_MAX = PUMP_APPENDS_MAX, STEPS_MAX = 64 };

struct range {
    uint64_t first, last;
};
struct host {
    struct pump *pump;
    uint64_t applied;
    unsigned n_writes;
    struct range writes[WRITES_MAX];
};
static const struct proto_uuid cluster = {.b = {1}};

static int save_term(void *ctx, uint64_t term, uint64_t vote)
{
    (void)ctx, (void)term, (void)vote;
    return 0;
}

static int append(void *ctx, const struct log_entry *e, unsigned n)
{
    struct host *h = ctx;
    FUZZ_HOLDS(n > 0 && h->n_writes < WRITES_MAX);
    FUZZ_HOLDS(e[0].index > h->applied); /* what is applied is never cut off */
    h->writes[h->n_writes++] = (struct range){e[0].index, e[n - 1].index};
    return 0;
}

static int first_entry(struct log_entry *out)
{
    static uint8_t conf[ENTRY_CONF_MAX];
    const struct pump_server servers[] = {{1, "a"}, {2, "b"}, {3, "c"}};
    const int len = pump_encode_servers(servers, 3, conf);
    FUZZ_HOLDS(len > 0);
    *out = (struct log_entry){
        .index = 1, .term = 1, .data = conf, .len = (uint32_t)len, .kind = ENTRY_CHANGE};
    return len;
}

static int read_entries(void *ctx, uint64_t first, unsigned n, size_t max_bytes,
                        const struct log_entry **out)
{
    static struct log_entry e;
    (void)ctx, (void)n, (void)max_bytes;
    FUZZ_HOLDS(first == 1); /* all else is in the tail */
    (void)first_entry(&e);
    *out = &e;
    return 1;
}

static void send_out(void *ctx, uint64_t peer, const void *head, size_t head_len, const void *body,
                     size_t body_len)
{
    (void)ctx, (void)peer, (void)head, (void)body;
    FUZZ_HOLDS(head_len + body_len <= PUMP_MESSAGE_TAKE_MAX);
}

static int apply(void *ctx, const struct log_entry *e)
{
    struct host *h = ctx;
    FUZZ_HOLDS(e->index == h->applied + 1);
    h->applied = e->index;
    return 0;
}

static void on_role(void *ctx, enum pump_role role, uint64_t term, uint64_t leader)
{
    (void)ctx, (void)role, (void)term, (void)leader;
}

static void on_seed_needed(void *ctx, uint64_t peer)
{
    (void)ctx, (void)peer;
}

static void start(struct host *h, struct pump_now now)
{
    const struct pump_config config = {
        .cluster = cluster, .id = 1, .address = "a", .seed = 1, .max_inflight = 8};
    const struct pump_io io = {h,     save_term, append,         read_entries, send_out,
                               apply, on_role,   on_seed_needed, NULL, NULL, NULL};
    struct log_entry conf;
    struct log_recovered r = {.term = 1, .incarnation = 1, .n_confs = 1};
    h->pump = pump_new(&config, &io);
    FUZZ_HOLDS(h->pump);
    (void)first_entry(&conf);
    r.confs = calloc(1, sizeof *r.confs);
    FUZZ_HOLDS(r.confs);
    r.confs[0].index = 1;
    r.confs[0].len = conf.len;
    memcpy(r.confs[0].data, conf.data, conf.len);
    FUZZ_HOLDS(term_runs_append(&r.runs, 1, 1) == 0);
    FUZZ_HOLDS(pump_start(h->pump, now, &r) == 0);
    log_recovered_close(&r);
}

/* What is accepted has one spelling. */
static void canonical(const uint8_t *p, size_t n)
{
    static struct log_entry entries[MESSAGE_ENTRIES_MAX];
    struct message m;
    const char *why = NULL;
    uint8_t head[MESSAGE_HEAD_MAX];
    if (message_decode(p, n, &m, entries, &why) != 0)
        return;
    const size_t head_n = message_put_head(head, &m.head, m.raft.type);
    uint8_t *body = malloc(n + MESSAGE_BODY_OVERHEAD);
    FUZZ_HOLDS(body);
    struct proto_writer w = proto_writer_over(body, n + MESSAGE_BODY_OVERHEAD);
    message_put_body(&w, &m.raft, entries,
                     m.raft.type == RAFT_APPEND_ENTRIES ? m.raft.append_entries.n_entries : 0,
                     m.conf);
    FUZZ_HOLDS(!w.full && head_n + w.n == n);
    FUZZ_HOLDS(memcmp(head, p, head_n) == 0 && memcmp(body, p + head_n, w.n) == 0);
    free(body);
}

static int receive(struct host *h, struct pump_now now, const uint8_t *p, size_t n)
{
    uint8_t *exact = fuzz_copy(p, n);
    canonical(exact, n);
    const int rv = pump_receive(h->pump, now, exact, n);
    free(exact);
    return rv;
}

/* A body behind a head that is right, from one of the two peers. */
static int receive_body(struct host *h, struct pump_now now, struct fuzz_source *s,
                        uint64_t sequence)
{
    static uint8_t bytes[MESSAGE_HEAD_MAX + 65536];
    const uint8_t how = fuzz_byte(s);
    const struct message_head head = {.cluster = cluster,
                                      .from = 2 + (how & 1),
                                      .to = 1,
                                      .incarnation = 1,
                                      .sequence = sequence,
                                      .clock_us = 1};
    size_t n;
    const uint8_t *body = fuzz_piece(s, 65535, &n);
    const size_t head_n =
        message_put_head(bytes, &head, (enum raft_message_type)(1 + (how >> 1) % 7));
    memcpy(bytes + head_n, body, n);
    return receive(h, now, bytes, head_n + n);
}

static int step(struct host *h, struct pump_now *now, struct fuzz_source *s, uint64_t sequence)
{
    const uint8_t how = fuzz_byte(s);
    if (how < 0xa0)
        return receive_body(h, *now, s, sequence);
    if (how < 0xb0) {
        size_t n;
        const uint8_t *p = fuzz_piece(s, 65535, &n);
        return receive(h, *now, p, n);
    }
    if (how < 0xd0 && h->n_writes > 0) {
        const struct range done = h->writes[0];
        memmove(h->writes, h->writes + 1, --h->n_writes * sizeof *h->writes);
        return pump_persisted(h->pump, *now, done.first, done.last);
    }
    if (how < 0xe0) {
        uint64_t index, term;
        const int rv = pump_submit(h->pump, *now, "x", 1, &index, &term);
        return rv == PUMP_NOT_LEADER || rv == -EBUSY ? 0 : rv;
    }
    now->mono_ms += fuzz_byte(s) * 8U;
    return pump_tick(h->pump, *now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_source s = {data, n};
    struct pump_now now = {.mono_ms = 1000, .wall_us = 1};
    struct host h = {.applied = 0};
    start(&h, now);
    for (unsigned i = 0; i < STEPS_MAX && s.n > 0; i++) {
        const int rv = step(&h, &now, &s, i + 1);
        if (rv != 0)
            break; /* final, with its reason, or to be started again */
    }
    pump_free(h.pump);
    return 0;
}
