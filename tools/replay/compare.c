/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/replay/compare.h"

#include "proto/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum { STOP = 1 };

struct comparison {
    struct replay *r;
    struct state_reader *view;
    uint64_t matched, dead, seen; /* dead: the machine has it; swept out of the state */
    /* Keys in memory, if all records are, as the first 16 bytes of their SHA-256: only built when
     * the state holds records that memory does not. Open addressing; all zero: free. */
    struct proto_uuid *key;
    size_t slots;
    uint8_t last[STATE_KEY_MAX]; /* key seen last in the scan: keys must ascend */
    size_t last_n;
};

static int fail_record(struct comparison *c, const char *what, const void *key, size_t klen,
                       const void *value, size_t vlen)
{
    char text[400];
    struct proto_text t = proto_text_over(text, sizeof text);
    core_record_print(&t, key, klen, value, vlen);
    if (t.n == 0)
        proto_text_hex(&t, key, klen < 64 ? klen : 64);
    (void)replay_fail(&c->r->verdict, REPLAY_MISMATCH, 0, "at entry %" PRIu64 " %s: %s",
                      c->r->pos.index, what, text);
    return STOP;
}

/* A record in memory against the state. */
static int match(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    struct comparison *c = ctx;
    const void *disk;
    size_t disk_n;
    if (!value)
        return 0;
    c->seen++;
    int rv = state_reader_get(c->view, key, klen, &disk, &disk_n);
    if (rv == -ENOENT) {
        if (!core_record_dead(key, klen, value, vlen, c->r->pos.clock_us))
            return fail_record(c, "the state lacks a record", key, klen, value, vlen);
        c->dead++;
        return 0;
    }
    if (rv) {
        (void)replay_fail(&c->r->verdict, rv == -EIO ? REPLAY_UNUSABLE : REPLAY_MISMATCH, 0,
                          "the state cannot be read: %s", strerror(-rv));
        return STOP;
    }
    if (disk_n != vlen || (vlen > 0 && memcmp(disk, value, vlen) != 0))
        return fail_record(c, "the state has another value than the log gives", key, klen, value,
                           vlen);
    c->matched++;
    return 0;
}

static size_t place(const struct comparison *c, const void *key, size_t klen,
                    struct proto_uuid *print)
{
    struct proto_hash h;
    proto_sha256_of(key, klen, &h);
    memcpy(print->b, h.b, sizeof print->b);
    uint64_t at;
    memcpy(&at, h.b + 16, sizeof at);
    size_t i = (size_t)at & (c->slots - 1);
    while (!proto_uuid_none(&c->key[i]) && !proto_uuid_eq(&c->key[i], print))
        i = (i + 1) & (c->slots - 1);
    return i;
}

static int note_key(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    struct comparison *c = ctx;
    struct proto_uuid print;
    (void)vlen;
    if (value) {
        size_t i = place(c, key, klen, &print);
        c->key[i] = print;
    }
    return 0;
}

/* A record of the state that the machine lacks. The machine keeps dead ones too, so there is none.
 */
static int find_foreign(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    struct comparison *c = ctx;
    struct proto_uuid print;
    if (!proto_uuid_none(&c->key[place(c, key, klen, &print)]))
        return 0;
    return fail_record(c, "the state has a record that the log does not give", key, klen, value,
                       vlen);
}

/* The same where the machine's records are in the scratch. */
static int find_foreign_below(void *ctx, const void *key, size_t klen, const void *value,
                              size_t vlen)
{
    struct comparison *c = ctx;
    const void *ours;
    size_t n;
    if (state_reader_get(&c->r->scratch.reader, key, klen, &ours, &n) == 0)
        return 0;
    return fail_record(c, "the state has a record that the log does not give", key, klen, value,
                       vlen);
}

/* Counts, and holds the order: a damaged page could lead a scan in circles. */
static int count(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    struct comparison *c = ctx;
    size_t n = klen < c->last_n ? klen : c->last_n;
    int order = n > 0 ? memcmp(key, c->last, n) : 0;
    (void)value, (void)vlen;
    if (klen == 0 || klen > sizeof c->last ||
        (c->last_n > 0 && (order < 0 || (order == 0 && klen <= c->last_n)))) {
        (void)replay_fail(&c->r->verdict, REPLAY_MISMATCH, 0,
                          "the state's records are out of order");
        return STOP;
    }
    memcpy(c->last, key, klen);
    c->last_n = klen;
    c->seen++;
    return 0;
}

static bool scan(struct comparison *c, state_visit *visit)
{
    int rv = state_reader_scan(c->view, NULL, 0, NULL, 0, visit, c);
    if (rv < 0)
        (void)replay_fail(&c->r->verdict, REPLAY_MISMATCH, 0, "the state cannot be read: %s",
                          strerror(-rv));
    return rv == 0;
}

static bool compare_foreign(struct comparison *c, uint64_t in_memory)
{
    if (scratch_used(&c->r->scratch))
        return scan(c, find_foreign_below);
    c->slots = 1024;
    while (c->slots < in_memory * 2)
        c->slots *= 2;
    c->key = calloc(c->slots, sizeof *c->key);
    if (!c->key) {
        (void)replay_fail(&c->r->verdict, REPLAY_UNUSABLE, 0, "no memory to compare records");
        return false;
    }
    bool ok = core_machine_visit(c->r->machine, note_key, c) == 0 && scan(c, find_foreign);
    free(c->key);
    return ok;
}

/* All that the machine has. */
static int match_all(struct comparison *c)
{
    struct replay *r = c->r;
    if (!scratch_used(&r->scratch))
        return core_machine_visit(r->machine, match, c);
    if (scratch_spill(&r->scratch, r->machine, &r->verdict) != 0)
        return STOP;
    return state_reader_scan(&r->scratch.reader, NULL, 0, NULL, 0, match, c);
}

static bool compare_records(struct comparison *c)
{
    int rv = match_all(c);
    if (rv) {
        (void)replay_fail(&c->r->verdict, REPLAY_UNUSABLE, 0, "the machine's records: %s",
                          strerror(rv < 0 ? -rv : EIO));
        return false;
    }
    uint64_t in_memory = c->seen;
    c->seen = 0;
    if (!scan(c, count))
        return false;
    c->r->facts.records = c->matched;
    bool ok = c->seen == c->matched || compare_foreign(c, in_memory);
    c->r->facts.records_dead = c->dead;
    return ok;
}

static bool compare_position(struct replay *r, const struct state_meta *m)
{
    const struct core_position *p = &r->pos;
    const char *what = NULL;
    if (m->applied_term != p->term)
        what = "term";
    else if (m->clock_us != p->clock_us)
        what = "clock";
    else if (memcmp(&m->chain, &p->chain, sizeof p->chain) != 0)
        what = "chain";
    else if (m->conf.index != r->conf.index || m->conf.len != r->conf.len ||
             memcmp(m->conf.data, r->conf.data, m->conf.len) != 0)
        what = "configuration";
    if (!what)
        return true;
    char want[PROTO_HASH_TEXT], have[PROTO_HASH_TEXT];
    struct proto_text t = proto_text_over(want, sizeof want);
    proto_text_hex(&t, m->chain.b, sizeof m->chain.b);
    t = proto_text_over(have, sizeof have);
    proto_text_hex(&t, p->chain.b, sizeof p->chain.b);
    (void)replay_fail(&r->verdict, REPLAY_MISMATCH, r->facts.confirmed + 1,
                      "%s at entry %" PRIu64 ": the state (term %" PRIu64 ", clock %" PRId64
                      ", chain %s) is not what the log gives (%" PRIu64 ", %" PRId64 ", %s)",
                      what, p->index, m->applied_term, m->clock_us, want, p->term, p->clock_us,
                      have);
    return false;
}

/* ---- books ---- */

bool replay_compare_books(struct replay *r, struct core_machine *m, const char *where)
{
    for (uint32_t i = 0; i < r->books.n; i++) {
        const struct replay_book *k = &r->books.book[i];
        const struct replay_tally *y = &k->tally[REPLAY_NOW];
        struct core_balances b;
        char org[PROTO_UUID_TEXT];
        proto_uuid_print(&k->org, org);
        int rv = core_machine_balances(m, &k->org, &b);
        if (rv) {
            (void)replay_fail(&r->verdict, REPLAY_MISMATCH, 0, "org %s is not in %s: %s", org,
                              where, strerror(-rv));
            return false;
        }
        for (int a = 0; a < CORE_ACCOUNTS; a++)
            if (b.account[a] != y->account[a]) {
                (void)replay_fail(&r->verdict, REPLAY_MISMATCH, 0,
                                  "org %s, account %s at entry %" PRIu64 ": its transactions sum "
                                  "to %" PRId64 " nano-dollars, %s has %" PRId64,
                                  org, core_account_name((enum core_account)a), r->pos.index,
                                  y->account[a], where, b.account[a]);
                return false;
            }
        if (y->sum != replay_tally_balance(y) || replay_tally_zero(y) != 0) {
            (void)replay_fail(&r->verdict, REPLAY_MISMATCH, 0, "org %s: its books do not add up",
                              org);
            return false;
        }
    }
    return true;
}

static int get_from_state(void *ctx, const void *key, size_t klen, const void **value, size_t *vlen)
{
    return state_reader_get(ctx, key, klen, value, vlen);
}

/* The accounts as the node itself would read them after a restart. */
static bool compare_disk(struct replay *r, struct state_reader *view)
{
    struct core_config config = {.backing = {.ctx = view, .get = get_from_state}};
    struct core_machine *disk = NULL;
    int rv = core_machine_new(&disk, &config, &r->pos);
    if (rv) {
        (void)replay_fail(&r->verdict, rv == -ENOMEM ? REPLAY_UNUSABLE : REPLAY_MISMATCH, 0,
                          "no machine can start from the state: %s", strerror(-rv));
        return false;
    }
    bool ok = replay_compare_books(r, disk, "the state");
    core_machine_free(disk);
    return ok;
}

bool replay_compare(struct replay *r, struct state_reader *view, const struct state_meta *meta)
{
    struct comparison c = {.r = r, .view = view};
    r->facts.open_holds = core_machine_open_holds(r->machine);
    return replay_compare_books(r, r->machine, "the machine") && compare_position(r, meta) &&
           compare_records(&c) && compare_disk(r, view);
}
