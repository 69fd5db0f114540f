/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/hosts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
// cmocka needs these before it
#include <cmocka.h>

struct host hosts[HOSTS + 1];
struct pump_now hosts_now = {.mono_ms = 1000, .wall_us = 1};

static int save_term(void *ctx, uint64_t term, uint64_t vote)
{
    const struct host *h = ctx;
    (void)term, (void)vote;
    return h->vote_fails ? -EIO : 0;
}

static int append(void *ctx, const struct log_entry *e, unsigned n)
{
    struct host *h = ctx;
    assert_true(h->n_writes < HOST_QUEUE);
    h->writes[h->n_writes++] = (struct guard_append){e[0].index, e[n - 1].index};
    return 0;
}

static int read_entries(void *ctx, uint64_t first, unsigned n, size_t max_bytes,
                        const struct log_entry **out)
{
    static uint8_t conf[ENTRY_CONF_MAX];
    static struct log_entry e;
    (void)ctx, (void)n, (void)max_bytes;
    assert_int_equal(first, 1); /* all else is in the tail */
    const struct pump_server servers[] = {{1, "a"}, {2, "b"}, {3, "c"}};
    int len = pump_encode_servers(servers, ((struct host *)ctx)->nodes, conf);
    e = (struct log_entry){
        .index = 1, .term = 1, .data = conf, .len = (uint32_t)len, .kind = ENTRY_CHANGE};
    *out = &e;
    return 1;
}

static void send_out(void *ctx, uint64_t peer, const void *head, size_t head_len, const void *body,
                     size_t body_len)
{
    struct host *h = ctx;
    if (h->cut_off == peer)
        return;
    assert_true(h->n_out < HOST_QUEUE);
    struct letter *l = &h->out[h->n_out++];
    *l = (struct letter){peer, head_len + body_len, malloc(head_len + body_len)};
    assert_non_null(l->bytes);
    memcpy(l->bytes, head, head_len);
    memcpy(l->bytes + head_len, body, body_len);
}

static int apply(void *ctx, const struct log_entry *e)
{
    struct host *h = ctx;
    assert_int_equal(e->index, h->applied + 1);
    h->applied = e->index;
    h->commands += e->kind == ENTRY_COMMAND;
    return 0;
}

static void on_role(void *ctx, enum pump_role role, uint64_t term, uint64_t leader)
{
    (void)ctx, (void)role, (void)term, (void)leader;
}

static void on_seed_needed(void *ctx, uint64_t peer)
{
    ((struct host *)ctx)->seed_needed = peer;
}

void hosts_start(unsigned nodes, unsigned disable_guards)
{
    static const char *const names[] = {"", "a", "b", "c"};
    for (uint64_t i = 1; i <= nodes; i++) {
        struct host *h = &hosts[i];
        *h = (struct host){.id = i, .nodes = nodes};
        struct pump_config config = {.cluster = {{1}},
                                     .id = i,
                                     .address = names[i],
                                     .seed = (unsigned)i,
                                     .max_inflight = 64,
                                     .disable_guards = disable_guards};
        struct pump_io io = {h,       save_term,      append, read_entries, send_out, apply,
                             on_role, on_seed_needed, NULL,   NULL,         NULL};
        h->pump = pump_new(&config, &io);
        assert_non_null(h->pump);
        const struct log_entry *conf;
        (void)read_entries(h, 1, 1, 1, &conf);
        struct log_recovered r = {.term = 1, .incarnation = 1, .n_confs = 1};
        r.confs = calloc(1, sizeof *r.confs);
        assert_non_null(r.confs);
        r.confs[0].index = 1;
        r.confs[0].len = conf->len;
        memcpy(r.confs[0].data, conf->data, conf->len);
        assert_int_equal(term_runs_append(&r.runs, 1, 1), 0);
        assert_int_equal(pump_start(h->pump, hosts_now, &r), 0);
        log_recovered_close(&r);
    }
}

void hosts_stop(unsigned nodes)
{
    for (unsigned i = 1; i <= nodes; i++) {
        for (unsigned k = 0; k < hosts[i].n_out; k++)
            free(hosts[i].out[k].bytes);
        pump_free(hosts[i].pump);
    }
}

void host_persist(struct host *h)
{
    for (unsigned i = 0; i < h->n_writes; i++) /* the pump may add more while it is told */
        assert_int_equal(pump_persisted(h->pump, hosts_now, h->writes[i].first, h->writes[i].last),
                         0);
    h->n_writes = 0;
}

bool host_deliver(struct host *h)
{
    struct letter out[64];
    unsigned n = 0;
    for (; n < h->n_out && n < 64; n++)
        out[n] = h->out[n];
    h->n_out -= n;
    memmove(h->out, h->out + n, h->n_out * sizeof *h->out);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(pump_receive(hosts[out[i].to].pump, hosts_now, out[i].bytes, out[i].n), 0);
        free(out[i].bytes);
    }
    return n > 0;
}

void hosts_settle(unsigned nodes)
{
    for (bool more = true; more;) {
        more = false;
        for (unsigned i = 1; i <= nodes; i++) {
            more |= hosts[i].n_writes > 0;
            host_persist(&hosts[i]);
            more |= host_deliver(&hosts[i]);
        }
    }
}

void host_elect(unsigned i, unsigned nodes)
{
    hosts_now.mono_ms = pump_next_timeout(hosts[i].pump);
    assert_int_equal(pump_tick(hosts[i].pump, hosts_now), 0);
    hosts_settle(nodes);
    assert_int_equal(pump_role(hosts[i].pump), PUMP_LEADER);
}

void host_submit(struct host *h, const void *p, size_t n)
{
    uint64_t index, term, expected = pump_last_index(h->pump) + 1;
    assert_int_equal(pump_submit(h->pump, hosts_now, p, n, &index, &term), 0);
    assert_int_equal(index, expected);
    assert_int_equal(term, pump_term(h->pump));
}

int host_change(struct host *h, bool joining, uint64_t *index)
{
    const struct pump_member m[] = {{1, "a", false}, {2, "b", false}, {3, "c", joining}};
    return pump_change(h->pump, hosts_now, m, 3, index);
}

bool host_third_joins(const struct host *h)
{
    struct pump_member m[PUMP_SERVERS_MAX];
    assert_int_equal(pump_members(h->pump, m), 3);
    return m[2].joining;
}

void host_beat(struct host *h)
{
    hosts_settle(3);
    hosts_now.mono_ms += 100;
    assert_int_equal(pump_tick(h->pump, hosts_now), 0);
    hosts_settle(3);
}

int host_receive_append(uint64_t term, uint64_t prev, uint64_t prev_term, const struct log_entry *e,
                        unsigned n)
{
    static uint64_t sequence = 1000;
    static uint8_t bytes[8192];
    struct message_head h = {
        .cluster = {{1}}, .from = 2, .to = 1, .incarnation = 1, .sequence = sequence++};
    struct raft_message m = {.type = RAFT_APPEND_ENTRIES};
    m.append_entries = (struct raft_append_entries){
        .term = term, .prev_log_index = prev, .prev_log_term = prev_term, .leader_commit = 1};
    size_t at = message_put_head(bytes, &h, m.type);
    struct proto_writer w = proto_writer_over(bytes + at, sizeof bytes - at);
    message_put_body(&w, &m, e, n, (struct proto_str){0});
    assert_false(w.full);
    return pump_receive(hosts[1].pump, hosts_now, bytes, at + w.n);
}
