/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/check.h"
#include "proto/link/client_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t link_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- queues ---- */

void link_queue_push(struct link_queue *q, struct link_item *item)
{
    item->next = NULL;
    item->prev = q->last;
    if (q->last)
        q->last->next = item;
    else
        q->first = item;
    q->last = item;
    q->n++;
}

void link_queue_push_front(struct link_queue *q, struct link_item *item)
{
    item->prev = NULL;
    item->next = q->first;
    if (q->first)
        q->first->prev = item;
    else
        q->last = item;
    q->first = item;
    q->n++;
}

void link_queue_remove(struct link_queue *q, struct link_item *item)
{
    if (item->prev)
        item->prev->next = item->next;
    else
        q->first = item->next;
    if (item->next)
        item->next->prev = item->prev;
    else
        q->last = item->prev;
    item->prev = item->next = NULL;
    q->n--;
}

/* ---- completion ---- */

void link_complete(struct link_item *item, const struct link_answer *answer)
{
    item->done(item->arg, answer);
    free(item);
}

/* The nodes from i on that cannot be reached for the reason that i cannot: "node 1, 3: ...". */
static size_t describe_cause(const struct link_client *c, unsigned i, char *out, size_t cap)
{
    const char *cause = link_channel_cause(c->channel, i);
    size_t n = 0;
    for (unsigned k = i; k < c->n_nodes && n < cap; k++)
        if (strcmp(link_channel_cause(c->channel, k), cause) == 0)
            n += (size_t)snprintf(out + n, cap - n, "%s%u", k == i ? " node " : ", ",
                                  (unsigned)c->nodes[k].id);
    if (n < cap)
        n += (size_t)snprintf(out + n, cap - n, ": %s", cause[0] ? cause : "it does not answer");
    return n;
}

/* No attempt was made: because there is no connection, and why. */
static void describe_away(const struct link_client *c, char *out, size_t cap)
{
    size_t n = (size_t)snprintf(out, cap, "no ledger node can be reached:");
    for (unsigned i = 0; i < c->n_nodes && n < cap; i++) {
        bool said = false;
        for (unsigned k = 0; k < i && !said; k++)
            said =
                strcmp(link_channel_cause(c->channel, k), link_channel_cause(c->channel, i)) == 0;
        if (said)
            continue;
        if (i > 0)
            n += (size_t)snprintf(out + n, cap - n, ";");
        if (n < cap)
            n += describe_cause(c, i, out + n, cap - n);
    }
}

void link_give_up(struct link_client *c, struct link_item *item)
{
    bool unknown = item->kind == LINK_COMMAND && item->tried;
    char cause[LINK_DETAIL_MAX];
    (void)snprintf(cause, sizeof cause, "%s", c->cause);
    const char *away = item->kind == LINK_STATUS ? link_channel_cause(c->channel, item->node) : "";
    if (item->kind == LINK_STATUS && !link_channel_connected(c->channel, item->node))
        (void)snprintf(cause, sizeof cause, "no connection: %s",
                       away[0] ? away : "it does not answer");
    else if (!c->cause[0])
        describe_away(c, cause, sizeof cause);
    link_complete(item, &(struct link_answer){.outcome = unknown ? LINK_UNKNOWN : LINK_UNAVAILABLE,
                                              .detail = cause});
}

uint64_t link_pause_until(struct link_client *c, uint64_t now_ms)
{
    if (c->not_before_ms > now_ms)
        return c->not_before_ms;
    unsigned shift = c->failures < 3 ? c->failures : 3;
    uint64_t cap = (uint64_t)2 * LINK_BACKOFF_MIN_MS << shift;
    if (cap > LINK_BACKOFF_MAX_MS)
        cap = LINK_BACKOFF_MAX_MS;
    c->failures++;
    c->random ^= c->random << 13; /* xorshift64: jitter only */
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return now_ms + LINK_BACKOFF_MIN_MS + c->random % (cap - LINK_BACKOFF_MIN_MS + 1);
}

/* ---- deadlines ---- */

static uint64_t expire_queue(struct link_client *c, struct link_queue *q, uint64_t now_ms)
{
    uint64_t earliest = UINT64_MAX;
    struct link_queue late = {0};
    struct link_item *next;
    for (struct link_item *item = q->first; item; item = next) {
        next = item->next;
        if (item->deadline_ms <= now_ms) {
            link_queue_remove(q, item);
            link_queue_push(&late, item);
        } else if (item->deadline_ms < earliest) {
            earliest = item->deadline_ms;
        }
    }
    while ((next = late.first) != NULL) { /* callbacks may submit, so only now */
        link_queue_remove(&late, next);
        link_give_up(c, next);
    }
    return earliest;
}

/* What is under way may have arrived: its place in the attempt stays, empty. */
static uint64_t expire_attempt(struct link_client *c, struct link_attempt *a, uint64_t now_ms)
{
    uint64_t earliest = UINT64_MAX;
    for (unsigned i = 0; a->busy && i < a->n; i++) {
        struct link_item *item = a->items[i];
        if (item && item->deadline_ms <= now_ms) {
            a->items[i] = NULL;
            item->tried = true;
            link_give_up(c, item);
        } else if (item && item->deadline_ms < earliest) {
            earliest = item->deadline_ms;
        }
    }
    return earliest;
}

static void expire_all(struct link_client *c, uint64_t now_ms)
{
    struct link_queue *const queues[] = {&c->urgent, &c->normal, &c->others};
    uint64_t earliest = UINT64_MAX, at;
    if (now_ms < c->earliest_ms)
        return;
    c->earliest_ms = UINT64_MAX; /* callbacks may submit and lower it */
    for (unsigned i = 0; i < 3; i++)
        if ((at = expire_queue(c, queues[i], now_ms)) < earliest)
            earliest = at;
    for (unsigned i = 0; i < c->in_flight + LINK_QUERY_SLOTS; i++)
        if ((at = expire_attempt(c, &c->attempt[i], now_ms)) < earliest)
            earliest = at;
    if (earliest < c->earliest_ms)
        c->earliest_ms = earliest;
}

/* ---- life ---- */

static int check_config(const struct link_config *config, char error[256])
{
    if (config->n_nodes == 0 || config->n_nodes > LINK_NODES_MAX ||
        config->in_flight > LINK_IN_FLIGHT_MAX) {
        (void)snprintf(error, 256, "1 to %d ledger nodes, at most %d requests in flight",
                       LINK_NODES_MAX, LINK_IN_FLIGHT_MAX);
        return -EINVAL;
    }
    return 0;
}

static bool make_attempts(struct link_client *c)
{
    for (unsigned i = 0; i < c->in_flight + LINK_QUERY_SLOTS; i++) {
        size_t n = i < c->in_flight ? PROTO_FRAME_COMMANDS : 1;
        c->attempt[i].items = calloc(n, sizeof(struct link_item *));
        if (!c->attempt[i].items)
            return false;
    }
    return true;
}

static void release(struct link_client *c)
{
    for (unsigned i = 0; i < LINK_SLOTS_MAX; i++)
        free(c->attempt[i].items);
    free(c);
}

static bool open_loop(struct link_client *c, uv_loop_t *given)
{
    c->loop = given ? given : &c->own;
    if (given)
        return true;
    if (uv_loop_init(&c->own) != 0)
        return false;
    (void)uv_timer_init(&c->own, &c->limit); /* cannot fail */
    return true;
}

static void close_loop(struct link_client *c)
{
    if (c->loop != &c->own)
        return;
    uv_close((uv_handle_t *)&c->limit, NULL);
    (void)uv_run(&c->own, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&c->own) == 0);
}

static void run(void *ctx);

static struct link_client *make(const struct link_config *config)
{
    struct link_client *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->cluster = config->cluster;
    c->group = config->group;
    c->n_nodes = config->n_nodes;
    memcpy(c->nodes, config->nodes, sizeof c->nodes);
    c->in_flight = config->in_flight ? config->in_flight : LINK_IN_FLIGHT_DEFAULT;
    c->request_timeout_ms =
        config->request_timeout_ms ? config->request_timeout_ms : LINK_TIMEOUT_DEFAULT_MS;
    c->leader = -1;
    c->earliest_ms = UINT64_MAX;
    link_random(&c->random, sizeof c->random);
    c->random |= 1;
    c->rotor = (unsigned)((c->random >> 32) % c->n_nodes);
    if (!make_attempts(c) || !open_loop(c, config->loop)) {
        release(c);
        return NULL;
    }
    return c;
}

int link_client_new(struct link_client **out, const struct link_config *config, char error[256])
{
    int rv = check_config(config, error);
    if (rv != 0)
        return rv;
    struct link_client *c = make(config);
    if (!c) {
        (void)snprintf(error, 256, "out of memory");
        return -ENOMEM;
    }
    rv = link_channel_new(&c->channel, config, c->loop, run, c, error);
    if (rv != 0) {
        close_loop(c);
        release(c);
        return rv;
    }
    *out = c;
    return 0;
}

static void end_all(struct link_queue *q)
{
    struct link_item *item;
    while ((item = q->first) != NULL) {
        link_queue_remove(q, item);
        link_complete(item, &(struct link_answer){.outcome = LINK_UNKNOWN, .detail = "stopped"});
    }
}

void link_client_free(struct link_client *c)
{
    if (!c)
        return;
    c->running = true; /* nothing is woken any more */
    for (unsigned i = 0; i < c->in_flight + LINK_QUERY_SLOTS; i++)
        for (unsigned k = 0; c->attempt[i].busy && k < c->attempt[i].n; k++)
            if (c->attempt[i].items[k])
                link_queue_push(&c->urgent, c->attempt[i].items[k]);
    end_all(&c->urgent);
    end_all(&c->normal);
    end_all(&c->others);
    link_channel_close(c->channel);
    close_loop(c);
    release(c);
}

/* ---- calls ---- */

struct link_item *link_item_new(enum link_kind kind, unsigned timeout_ms, link_done *done,
                                void *arg, const void *bytes, size_t n)
{
    struct link_item *item = malloc(sizeof *item + n);
    if (!item)
        return NULL;
    *item = (struct link_item){.done = done,
                               .arg = arg,
                               .deadline_ms = link_now_ms() + timeout_ms,
                               .kind = kind,
                               .n = (uint32_t)n};
    if (n > 0)
        memcpy(item->bytes, bytes, n);
    return item;
}

static void queue(struct link_client *c, struct link_queue *q, struct link_item *item)
{
    link_queue_push(q, item);
    if (item->deadline_ms < c->earliest_ms)
        c->earliest_ms = item->deadline_ms;
    if (!c->running && !c->kicked) { /* the owner's next run sends it */
        c->kicked = true;
        link_channel_wake(c->channel);
    }
}

int link_client_submit(struct link_client *c, const struct proto_command *command,
                       unsigned timeout_ms, bool urgent, link_done *done, void *arg)
{
    uint8_t bytes[PROTO_COMMAND_MAX];
    if (link_client_queued(c) >= LINK_QUEUED_MAX)
        return -EBUSY;
    struct proto_writer w = proto_writer_over(bytes, sizeof bytes);
    if (!proto_command_put(&w, command))
        return w.full ? -EMSGSIZE : -EINVAL;
    struct link_item *item = link_item_new(LINK_COMMAND, timeout_ms, done, arg, bytes, w.n);
    if (!item)
        return -ENOMEM;
    item->urgent = urgent;
    queue(c, urgent ? &c->urgent : &c->normal, item);
    return 0;
}

int link_client_query(struct link_client *c, const struct proto_query *query, bool stale,
                      unsigned timeout_ms, link_done *done, void *arg)
{
    uint8_t bytes[PROTO_QUERY_MAX];
    if (link_client_queued(c) >= LINK_QUEUED_MAX)
        return -EBUSY;
    struct proto_writer w = proto_writer_over(bytes, sizeof bytes);
    if (!proto_query_put(&w, query))
        return w.full ? -EMSGSIZE : -EINVAL;
    struct link_item *item = link_item_new(LINK_QUERY, timeout_ms, done, arg, bytes, w.n);
    if (!item)
        return -ENOMEM;
    item->stale = stale;
    queue(c, &c->others, item);
    return 0;
}

int link_client_status(struct link_client *c, uint32_t id, unsigned timeout_ms, link_done *done,
                       void *arg)
{
    unsigned node = 0;
    while (node < c->n_nodes && c->nodes[node].id != id)
        node++;
    if (node == c->n_nodes)
        return -EINVAL;
    if (link_client_queued(c) >= LINK_QUEUED_MAX)
        return -EBUSY;
    struct link_item *item = link_item_new(LINK_STATUS, timeout_ms, done, arg, NULL, 0);
    if (!item)
        return -ENOMEM;
    item->node = node;
    queue(c, &c->others, item);
    return 0;
}

/* The client's turn on the loop: what came back, what is late, what can be sent. */
static void run(void *ctx)
{
    struct link_client *c = ctx;
    struct link_arrival arrival;
    c->running = true;
    c->kicked = false;
    uint64_t now = link_now_ms();
    while (link_channel_take(c->channel, &arrival))
        link_arrived(c, &arrival, now);
    expire_all(c, now);
    link_doubt(c, now);
    uint64_t at = link_dispatch(c, now), doubt = link_doubt_at(c);
    c->running = false;
    if (doubt < at)
        at = doubt;
    if (c->earliest_ms < at)
        at = c->earliest_ms;
    now = link_now_ms();
    link_channel_wake_in(c->channel, at == UINT64_MAX   ? -1
                                     : at <= now        ? 0
                                     : at - now > 60000 ? 60000
                                                        : (int)(at - now));
}

static void on_limit(uv_timer_t *timer)
{
    (void)timer; /* uv_run returns */
}

bool link_client_wait(struct link_client *c, const bool *flag, unsigned timeout_ms)
{
    CHECK(c->loop == &c->own);
    uv_update_time(c->loop);
    (void)uv_timer_start(&c->limit, on_limit, timeout_ms, 0);
    while (!*flag && uv_is_active((uv_handle_t *)&c->limit))
        (void)uv_run(c->loop, UV_RUN_ONCE);
    (void)uv_timer_stop(&c->limit);
    return *flag;
}

uint32_t link_client_leader(const struct link_client *c)
{
    return c->leader >= 0 ? c->nodes[c->leader].id : 0;
}

unsigned link_client_queued(const struct link_client *c)
{
    return c->urgent.n + c->normal.n + c->others.n;
}
