/* SPDX-License-Identifier: Apache-2.0 */
#include "test_ledger.h"

#include "ledger/core/core.h"
#include "proto/base/check.h"
#include "proto/batch.h"
#include "proto/link/client.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

struct item {
    STAILQ_ENTRY(item) entry;
    unsigned kind; /* of the command; 0: a query */
    uint8_t bytes[PROTO_COMMAND_MAX];
    size_t n;
    link_done *done;
    void *arg;
};
STAILQ_HEAD(items, item);

struct link_client {
    struct items items;
    uv_timer_t timer; /* what was silent may speak again */
    uv_idle_t soon;
    unsigned handles;
};

static struct {
    pthread_mutex_t lock;
    struct core_machine *machine;
    uint64_t index;
    struct proto_uuid org;
    struct proto_hash operator;
    enum test_ledger_mode mode[PROTO_CMD_MAX];
    unsigned count[PROTO_CMD_MAX], refused;
    struct proto_settle settle;
    struct proto_reserve reserve;
    char customer[PROTO_NAME_MAX + 1], user[PROTO_NAME_MAX + 1];
    uint32_t price_version;
    struct link_client *client;
} L = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void keep(char out[PROTO_NAME_MAX + 1], struct proto_str s)
{
    memcpy(out, s.n > 0 ? s.p : "", s.n);
    out[s.n] = '\0';
}

/* Notes what tests ask about. */
static void note(const uint8_t *bytes, size_t n)
{
    struct proto_command c;
    const char *error;
    CHECK(proto_command_get(bytes, n, &c, &error));
    L.count[c.head.kind]++;
    if (c.head.kind == PROTO_CMD_settle)
        L.settle = c.body.settle;
    if (c.head.kind == PROTO_CMD_reserve) {
        keep(L.customer, c.body.reserve.customer);
        keep(L.user, c.body.reserve.user);
        L.reserve = c.body.reserve;
    }
}

/* One command as one entry. The result's views live until the next one. */
static void apply(const uint8_t *bytes, size_t n, struct proto_result *result)
{
    static uint8_t entry[PROTO_COMMAND_MAX + PROTO_BATCH_HEADER_MAX + 64];
    static uint8_t sealed[PROTO_COMMAND_MAX];
    static uint8_t kept[PROTO_RESULT_MAX];
    const char *error;
    struct core_outcome out;
    note(bytes, n);
    memcpy(sealed, bytes, n);
    CHECK(proto_command_seal(sealed, n, &error));
    struct proto_batch_header h = {
        .format = PROTO_LOG_FORMAT, .machine = PROTO_MACHINE_VERSION, .stamp_us = now_us()};
    struct proto_writer w = proto_writer_over(entry, sizeof entry);
    proto_batch_begin(&w, &h, 1);
    proto_batch_add(&w, sealed, n);
    CHECK(!w.full);
    CHECK(core_machine_apply(L.machine, ++L.index, 1, entry, w.n, &out) == 0 && out.n == 1);
    CHECK(out.items[0].length <= sizeof kept);
    memcpy(kept, out.results + out.items[0].offset, out.items[0].length);
    CHECK(proto_result_get(kept, out.items[0].length, result, &error));
    CHECK(core_machine_drift(L.machine) == 0);
}

/* ---- the ledger client's functions ---- */

enum { RETRY_MS = 20 };

static void run(struct link_client *c);

static void on_timer(uv_timer_t *timer)
{
    run(timer->data);
}

static void on_soon(uv_idle_t *idle)
{
    (void)uv_idle_stop(idle);
    run(idle->data);
}

static void on_closed(uv_handle_t *handle)
{
    struct link_client *c = handle->data;
    if (--c->handles == 0)
        free(c);
}

int link_client_new(struct link_client **out, const struct link_config *config, char error[256])
{
    struct link_client *c = calloc(1, sizeof *c);
    (void)error;
    CHECK(c != NULL);
    STAILQ_INIT(&c->items);
    (void)uv_timer_init(config->loop, &c->timer);
    (void)uv_idle_init(config->loop, &c->soon);
    (void)uv_timer_start(&c->timer, on_timer, RETRY_MS, RETRY_MS);
    c->timer.data = c->soon.data = c;
    c->handles = 2;
    pthread_mutex_lock(&L.lock);
    L.client = c;
    pthread_mutex_unlock(&L.lock);
    *out = c;
    return 0;
}

void link_client_free(struct link_client *c)
{
    struct item *i;
    struct link_answer unknown = {.outcome = LINK_UNKNOWN, .detail = ""};
    pthread_mutex_lock(&L.lock);
    L.client = NULL;
    pthread_mutex_unlock(&L.lock);
    while ((i = STAILQ_FIRST(&c->items)) != NULL) {
        STAILQ_REMOVE_HEAD(&c->items, entry);
        i->done(i->arg, &unknown);
        free(i);
    }
    uv_close((uv_handle_t *)&c->timer, on_closed);
    uv_close((uv_handle_t *)&c->soon, on_closed);
}

static void add(struct link_client *c, struct item *i)
{
    STAILQ_INSERT_TAIL(&c->items, i, entry);
    (void)uv_idle_start(&c->soon, on_soon);
}

int link_client_submit(struct link_client *c, const struct proto_command *command,
                       unsigned timeout_ms, bool urgent, link_done *done, void *arg)
{
    struct item *i = calloc(1, sizeof *i);
    (void)timeout_ms;
    (void)urgent;
    CHECK(i != NULL);
    struct proto_writer w = proto_writer_over(i->bytes, sizeof i->bytes);
    if (!proto_command_put(&w, command)) {
        free(i);
        return -EINVAL;
    }
    i->kind = command->head.kind;
    i->n = w.n;
    i->done = done;
    i->arg = arg;
    add(c, i);
    return 0;
}

int link_client_query(struct link_client *c, const struct proto_query *query, bool stale,
                      unsigned timeout_ms, link_done *done, void *arg)
{
    struct item *i = calloc(1, sizeof *i);
    (void)stale;
    (void)timeout_ms;
    CHECK(i != NULL);
    struct proto_writer w = proto_writer_over(i->bytes, sizeof i->bytes);
    CHECK(proto_query_put(&w, query));
    i->n = w.n;
    i->done = done;
    i->arg = arg;
    add(c, i);
    return 0;
}

static void run_query(struct item *i)
{
    static uint8_t bytes[PROTO_ANSWER_MAX];
    struct proto_answer answer;
    const char *error;
    struct proto_writer w = proto_writer_over(bytes, sizeof bytes);
    struct link_answer a = {.outcome = LINK_ANSWERED, .detail = "", .answer = &answer};
    if (L.mode[0] == TEST_LEDGER_DOWN) {
        a.outcome = LINK_UNAVAILABLE;
        a.answer = NULL;
    } else {
        CHECK(proto_query_seal(i->bytes, i->n, &error));
        CHECK(core_machine_query(L.machine, i->bytes, i->n, &w) == 0 && !w.full);
        CHECK(proto_answer_get(bytes, w.n, &answer, &error));
    }
    i->done(i->arg, &a);
}

static void run_command(struct item *i)
{
    struct proto_result result;
    struct core_position at;
    struct link_answer a = {.outcome = LINK_ANSWERED, .detail = "", .result = &result};
    enum test_ledger_mode mode = L.mode[i->kind];
    if (mode == TEST_LEDGER_REFUSES)
        L.refused++;
    if (mode != TEST_LEDGER_DOWN && mode != TEST_LEDGER_REFUSES)
        apply(i->bytes, i->n, &result);
    if (mode != TEST_LEDGER_WORKS) {
        a.outcome = mode == TEST_LEDGER_DOWN      ? LINK_UNAVAILABLE
                    : mode == TEST_LEDGER_REFUSES ? LINK_REFUSED
                                                  : LINK_UNKNOWN;
        a.result = NULL;
    }
    core_machine_position(L.machine, &at);
    a.index = at.index;
    a.chain = at.chain;
    i->done(i->arg, &a);
}

static void run(struct link_client *c)
{
    struct items now = STAILQ_HEAD_INITIALIZER(now);
    struct item *i;
    pthread_mutex_lock(&L.lock);
    STAILQ_CONCAT(&now, &c->items);
    while ((i = STAILQ_FIRST(&now)) != NULL) {
        STAILQ_REMOVE_HEAD(&now, entry);
        if (L.mode[i->kind] == TEST_LEDGER_SILENT) {
            STAILQ_INSERT_TAIL(&c->items, i, entry);
            continue;
        }
        if (i->kind == 0)
            run_query(i);
        else
            run_command(i);
        free(i);
    }
    pthread_mutex_unlock(&L.lock);
}

unsigned link_client_queued(const struct link_client *c)
{
    (void)c;
    return 0;
}

/* ---- for tests ---- */

struct proto_result test_ledger_do(struct proto_command *command)
{
    uint8_t bytes[PROTO_COMMAND_MAX];
    struct proto_result result;
    struct proto_writer w = proto_writer_over(bytes, sizeof bytes);
    link_uuid7(&command->head.id);
    if (command->head.kind != PROTO_CMD_genesis) {
        command->head.cred = L.operator;
        if (command->head.kind != PROTO_CMD_price_import)
            command->head.org = L.org;
    }
    CHECK(proto_command_put(&w, command));
    pthread_mutex_lock(&L.lock);
    apply(bytes, w.n, &result);
    pthread_mutex_unlock(&L.lock);
    CHECK(result.code == PROTO_OK);
    return result;
}

void test_ledger_open(void)
{
    struct core_config config = {.cache_records = 0};
    pthread_mutex_t lock = L.lock;
    memset(&L, 0, sizeof L);
    L.lock = lock;
    CHECK(core_machine_new(&L.machine, &config, NULL) == 0);
    link_random(L.operator.b, sizeof L.operator.b);
    link_uuid7(&L.org);
    struct proto_command c = {.head.kind = PROTO_CMD_genesis};
    link_uuid7(&c.body.genesis.cluster);
    c.body.genesis.machine = PROTO_MACHINE_VERSION;
    link_random(c.body.genesis.seed.b, sizeof c.body.genesis.seed.b);
    proto_sha256_of(L.operator.b, sizeof L.operator.b, &c.body.genesis.operator_hash);
    test_ledger_do(&c);
    c = (struct proto_command){.head.kind = PROTO_CMD_org_create};
    c.body.org_create = (struct proto_org_create){.name = proto_str_of("acme"), .billing_day = 1};
    test_ledger_do(&c);
    c = (struct proto_command){.head.kind = PROTO_CMD_team_create};
    c.body.team_create.name = proto_str_of("research");
    test_ledger_do(&c);
}

void test_ledger_close(void)
{
    core_machine_free(L.machine);
    L.machine = NULL;
}

void test_ledger_set_mode(unsigned kind, enum test_ledger_mode mode)
{
    pthread_mutex_lock(&L.lock);
    L.mode[kind] = mode;
    pthread_mutex_unlock(&L.lock);
}

void test_ledger_deposit(int64_t nanos)
{
    struct proto_command c = {.head.kind = PROTO_CMD_deposit};
    c.body.deposit.amount = nanos;
    test_ledger_do(&c);
}

void test_ledger_pause(bool paused)
{
    struct proto_command c = {.head.kind = paused ? PROTO_CMD_org_pause : PROTO_CMD_org_resume};
    test_ledger_do(&c);
}

void test_ledger_allow(bool unpriced, bool unbounded)
{
    struct proto_command c = {.head.kind = PROTO_CMD_org_set};
    c.body.org_set = (struct proto_org_set){.name = proto_str_of("acme"),
                                            .billing_day = 1,
                                            .allow_unpriced = unpriced,
                                            .allow_unbounded = unbounded};
    test_ledger_do(&c);
}

uint32_t test_ledger_key(const char *label, const char *const *models, unsigned n_models,
                         char key[PROTO_KEY_TEXT_LEN + 1])
{
    uint8_t random[40];
    struct proto_command c = {.head.kind = PROTO_CMD_key_create};
    struct proto_str public_part;
    link_random(random, sizeof random);
    proto_key_make(random, random + 8, key);
    CHECK(proto_key_public(proto_str_of(key), &public_part));
    c.body.key_create.team = 1;
    c.body.key_create.public = public_part;
    proto_key_hash(proto_str_of(key), &c.body.key_create.secret);
    c.body.key_create.label = proto_str_of(label);
    c.body.key_create.models.n = n_models;
    for (unsigned i = 0; i < n_models; i++)
        c.body.key_create.models.e[i].model = proto_str_of(models[i]);
    return test_ledger_do(&c).body.created.number;
}

void test_ledger_budget(unsigned scope, uint32_t subject, unsigned window, int64_t limit,
                        const char *label)
{
    struct proto_command c = {.head.kind = PROTO_CMD_budget_put};
    c.body.budget_put = (struct proto_budget_put){.scope = (uint8_t)scope,
                                                  .subject = subject,
                                                  .window = (uint8_t)window,
                                                  .limit = limit,
                                                  .mode = 1,
                                                  .status = 402,
                                                  .label = proto_str_of(label)};
    test_ledger_do(&c);
}

void test_ledger_prices(const struct test_price *prices, unsigned n)
{
    static uint8_t rows[PROTO_ROWS_MAX];
    struct proto_writer w = proto_writer_over(rows, sizeof rows);
    for (unsigned i = 0; i < n; i++) {
        struct proto_price p = {.model = proto_str_of(prices[i].model), .max_output = 16384};
        p.points.n = prices[i].cached > 0 ? 3 : 2;
        p.points.e[0] =
            (struct proto_point){.unit = PROTO_UNIT_input, .price = prices[i].input * 1000};
        p.points.e[1] =
            (struct proto_point){.unit = PROTO_UNIT_output, .price = prices[i].output * 1000};
        p.points.e[2] =
            (struct proto_point){.unit = PROTO_UNIT_cache_read, .price = prices[i].cached * 1000};
        proto_price_put(&w, &p);
    }
    CHECK(!w.full);
    struct proto_command c = {.head.kind = PROTO_CMD_price_import};
    c.body.price_import = (struct proto_price_import){.version = ++L.price_version,
                                                      .source = proto_str_of("test"),
                                                      .first = 1,
                                                      .count = n,
                                                      .last = true,
                                                      .rows = {(const char *)rows, (uint32_t)w.n}};
    test_ledger_do(&c);
}

struct proto_org_row test_ledger_org(void)
{
    static uint8_t bytes[PROTO_ANSWER_MAX];
    uint8_t query[PROTO_QUERY_MAX];
    struct proto_query q = {.head = {.kind = PROTO_QUERY_orgs, .org = L.org, .cred = L.operator} };
    struct proto_writer w = proto_writer_over(query, sizeof query);
    struct proto_answer answer;
    struct proto_org_row row;
    struct proto_str view;
    const char *error;
    CHECK(proto_query_put(&w, &q) && proto_query_seal(query, w.n, &error));
    pthread_mutex_lock(&L.lock);
    struct proto_writer out = proto_writer_over(bytes, sizeof bytes);
    CHECK(core_machine_query(L.machine, query, w.n, &out) == 0);
    CHECK(proto_answer_get(bytes, out.n, &answer, &error) && answer.code == PROTO_OK);
    CHECK(proto_answer_row(&answer, &view));
    struct proto_reader r = proto_reader_over(view.p, view.n);
    CHECK(proto_org_row_get(&r, &row));
    pthread_mutex_unlock(&L.lock);
    return row;
}

struct proto_settle test_ledger_last_settle(void)
{
    pthread_mutex_lock(&L.lock);
    struct proto_settle s = L.settle;
    pthread_mutex_unlock(&L.lock);
    return s;
}

unsigned test_ledger_refused(void)
{
    pthread_mutex_lock(&L.lock);
    unsigned n = L.refused;
    pthread_mutex_unlock(&L.lock);
    return n;
}

unsigned test_ledger_count(unsigned kind)
{
    pthread_mutex_lock(&L.lock);
    unsigned n = L.count[kind];
    pthread_mutex_unlock(&L.lock);
    return n;
}

void test_ledger_last_reserve(char customer[PROTO_NAME_MAX + 1], char user[PROTO_NAME_MAX + 1],
                              struct proto_reserve *out)
{
    pthread_mutex_lock(&L.lock);
    memcpy(customer, L.customer, sizeof L.customer);
    memcpy(user, L.user, sizeof L.user);
    *out = L.reserve; /* its views are not to be used */
    pthread_mutex_unlock(&L.lock);
}
