/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/cycle.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>

struct thread;

struct cycle {
    struct thread *t;
    struct cycle *next; /* while free */
    uint64_t due_ns, sent_ns;
    struct proto_uuid id, org, settle_id;
    struct proto_hash token;
    bool measured;
};

struct thread {
    const struct cycle_load *load;
    struct cycle_figures *f;
    struct link_client *client;
    uv_loop_t uv;
    bool uv_open;
    struct load_schedule schedule;
    struct load_random random;
    struct cycle *cycles, *free;
    unsigned busy;
    uint64_t last_ok_ns;
};

/* UUIDv7 of now (RFC 9562, section 5.7). */
static void make_id(struct thread *t, struct proto_uuid *out)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    uint64_t r[2] = {load_random_next(&t->random), load_random_next(&t->random)};
    for (int i = 0; i < 6; i++)
        out->b[i] = (uint8_t)(ms >> (40 - 8 * i));
    memcpy(out->b + 6, r, 10);
    out->b[6] = (uint8_t)(0x70 | (out->b[6] & 0x0f));
    out->b[8] = (uint8_t)(0x80 | (out->b[8] & 0x3f));
}

static void write_record(const struct thread *t, const struct proto_uuid *id, const char *kind,
                         const struct cycle *c, const struct link_answer *a, int64_t amount)
{
    if (!t->load->record)
        return;
    char text[PROTO_UUID_TEXT], hold[PROTO_UUID_TEXT];
    proto_uuid_print(id, text);
    proto_uuid_print(&c->id, hold);
    (void)fprintf(t->load->record, "%s,%s,%s,%" PRIu64 ",%" PRId64 ",%s,%" PRIu32 ",%d\n", text,
                  kind, proto_code_name(a->result->code), a->index, amount, hold, a->ordinal,
                  (a->result->flags & PROTO_FLAG_DUPLICATE) != 0);
}

/* ---- a cycle's steps ---- */

static void end_cycle(struct cycle *c)
{
    struct thread *t = c->t;
    c->next = t->free;
    t->free = c;
    t->busy--;
}

/* true: the machine decided. */
static bool decided(struct thread *t, const struct link_answer *a, uint64_t *codes)
{
    switch (a->outcome) {
    case LINK_ANSWERED:
        codes[a->result->code < PROTO_CODE_COUNT ? a->result->code : PROTO_MALFORMED]++;
        if (a->result->flags & PROTO_FLAG_DUPLICATE)
            t->f->duplicates++;
        return true;
    case LINK_UNKNOWN:
        t->f->unknown++;
        break;
    case LINK_UNAVAILABLE:
        t->f->unavailable++;
        break;
    case LINK_REFUSED:
    default:
        t->f->refused++;
        if (!t->f->common.error[0])
            (void)snprintf(t->f->common.error, sizeof t->f->common.error, "%s",
                           a->detail ? a->detail : "");
        break;
    }
    return false;
}

static void on_settled(void *arg, const struct link_answer *a)
{
    struct cycle *c = arg;
    struct thread *t = c->t;
    uint64_t now = load_now_ns();
    if (decided(t, a, t->f->settle)) {
        bool ok = a->result->code == PROTO_OK && a->result->shape == PROTO_SHAPE_settled;
        write_record(t, &c->settle_id, "settle", c, a,
                     ok ? a->result->body.settled.cost + a->result->body.settled.fee : 0);
        if (ok && c->measured) {
            histogram_add(&t->f->common.latency[CYCLE_SETTLE], now - c->sent_ns);
            histogram_add(&t->f->common.latency[CYCLE_WHOLE], now - c->due_ns);
        }
        if (ok && now >= t->schedule.measure_ns && now < t->schedule.end_ns)
            t->f->common.done++;
    }
    end_cycle(c);
}

static void settle(struct cycle *c, uint64_t now)
{
    struct thread *t = c->t;
    struct proto_command cmd;
    c->sent_ns = now;
    make_id(t, &c->settle_id);
    memset(&cmd.head, 0, sizeof cmd.head);
    cmd.head.kind = PROTO_CMD_settle;
    cmd.head.id = c->settle_id;
    cmd.head.org = c->org;
    memset(&cmd.body.settle, 0, sizeof cmd.body.settle);
    cmd.body.settle.hold = c->id;
    cmd.body.settle.token = c->token;
    cmd.body.settle.source = PROTO_COST_USAGE;
    cmd.body.settle.units.n = 2;
    cmd.body.settle.units.e[0] = (struct proto_usage){PROTO_UNIT_input, POPULATION_INPUT};
    cmd.body.settle.units.e[1] = (struct proto_usage){PROTO_UNIT_output, POPULATION_OUTPUT};
    if (link_client_submit(t->client, &cmd, t->load->o->timeout_ms, true, on_settled, c) != 0) {
        t->f->unavailable++;
        end_cycle(c);
    }
}

static void on_reserved(void *arg, const struct link_answer *a)
{
    struct cycle *c = arg;
    struct thread *t = c->t;
    uint64_t now = load_now_ns();
    if (!decided(t, a, t->f->reserve)) {
        end_cycle(c);
        return;
    }
    bool ok = a->result->code == PROTO_OK && a->result->shape == PROTO_SHAPE_reserved;
    write_record(t, &c->id, "reserve", c, a, ok ? a->result->body.reserved.amount : 0);
    if (!ok) {
        end_cycle(c);
        return;
    }
    if (c->measured) {
        histogram_add(&t->f->common.latency[CYCLE_RESERVE], now - c->due_ns);
        if (now - t->last_ok_ns > t->f->common.longest_gap_ns &&
            t->last_ok_ns >= t->schedule.measure_ns)
            t->f->common.longest_gap_ns = now - t->last_ok_ns;
    }
    t->last_ok_ns = now;
    settle(c, now);
}

static bool begin_cycle(struct thread *t, uint64_t due_ns)
{
    const struct cycle_load *l = t->load;
    const struct population *p = l->population;
    struct cycle *c = t->free;
    struct proto_command cmd;
    uint64_t keys = (uint64_t)p->orgs * p->keys_per_org;
    uint64_t key = load_random_next(&t->random) % keys;
    unsigned org = (unsigned)(key / p->keys_per_org);
    c->due_ns = due_ns;
    c->measured = due_ns >= t->schedule.measure_ns;
    population_org(p, org, &c->org);
    make_id(t, &c->id);
    for (size_t i = 0; i < sizeof c->token.b; i += 8) {
        uint64_t r = load_random_next(&t->random);
        memcpy(c->token.b + i, &r, 8);
    }
    memset(&cmd.head, 0, sizeof cmd.head);
    cmd.head.kind = PROTO_CMD_reserve;
    cmd.head.id = c->id;
    population_cred(p, org, (unsigned)(key % p->keys_per_org), &cmd.head.cred);
    memset(&cmd.body.reserve, 0, sizeof cmd.body.reserve);
    cmd.body.reserve.token = c->token;
    cmd.body.reserve.price_version = l->price_version;
    cmd.body.reserve.ttl_us = 120 * INT64_C(1000000);
    cmd.body.reserve.candidates.n = 1;
    cmd.body.reserve.candidates.e[0] =
        (struct proto_candidate){proto_str_of(l->o->model), POPULATION_HOLD_NANOS};
    if (link_client_submit(t->client, &cmd, l->o->timeout_ms, false, on_reserved, c) != 0)
        return false; /* the queue is full: it is due still, and its latency counts */
    t->free = c->next;
    t->busy++;
    t->f->common.begun++;
    return true;
}

/* ---- the thread ---- */

static bool open_thread(struct thread *t)
{
    const struct bench_options *o = t->load->o;
    /* An open loop needs room for what piles up behind a slow ledger. */
    unsigned n = o->rate > 0 ? BENCH_CLIENTS_MAX / o->threads : o->clients / o->threads;
    t->uv_open = uv_loop_init(&t->uv) == 0;
    t->cycles = calloc(n, sizeof *t->cycles);
    if (!t->uv_open || !t->cycles) {
        (void)snprintf(t->f->common.error, sizeof t->f->common.error, "no memory or descriptors");
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        t->cycles[i].t = t;
        t->cycles[i].next = t->free;
        t->free = &t->cycles[i];
    }
    struct link_config link = t->load->link;
    link.loop = &t->uv;
    link.in_flight = o->in_flight;
    int rv = link_client_new(&t->client, &link, t->f->common.error);
    if (rv)
        t->client = NULL;
    return rv == 0;
}

/* A turn of the loop that waits at most due_in_ns, finer than libuv's own milliseconds. */
static void turn(struct thread *t, uint64_t due_in_ns)
{
    int wait_ms = uv_backend_timeout(&t->uv);
    uint64_t ns = wait_ms < 0 ? UINT64_C(1000000000) : (uint64_t)wait_ms * 1000000;
    ns = due_in_ns < ns ? due_in_ns : ns;
    struct timespec timeout = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    struct pollfd p = {.fd = uv_backend_fd(&t->uv), .events = POLLIN};
    if (ns > 0)
        (void)ppoll(&p, 1, &timeout, NULL);
    (void)uv_run(&t->uv, UV_RUN_NOWAIT);
}

static void loop(struct thread *t)
{
    uint64_t give_up = t->schedule.end_ns + (uint64_t)t->load->o->timeout_ms * 2000000;
    for (;;) {
        uint64_t now = load_now_ns(), due;
        if (crew_is_stopped() && t->schedule.end_ns > now)
            t->schedule.end_ns = now;
        bool room = true;
        while (room && t->free && load_schedule_take(&t->schedule, now, &due))
            if (!begin_cycle(t, due)) {
                t->schedule.begun--;
                room = false;
            }
        if (t->busy == 0 && now >= t->schedule.end_ns)
            break;
        if (now > give_up)
            break;
        uint64_t due_in = room && t->free ? load_schedule_wait(&t->schedule, now) : UINT64_MAX;
        turn(t, due_in);
    }
    t->f->unfinished = t->busy;
}

void cycle_run(const struct cycle_load *load, unsigned thread, struct cycle_figures *f)
{
    struct thread t = {.load = load, .f = f};
    *f = (struct cycle_figures){0};
    load_random_init(&t.random);
    load_schedule_init(&t.schedule, load->o, load->start_ns, thread);
    (void)prctl(PR_SET_TIMERSLACK, 1000UL);
    if (open_thread(&t))
        loop(&t);
    if (t.client)
        link_client_free(t.client);
    free(t.cycles);
    if (t.uv_open) {
        (void)uv_run(&t.uv, UV_RUN_DEFAULT); /* until the client's handles are closed */
        (void)uv_loop_close(&t.uv);
    }
}
