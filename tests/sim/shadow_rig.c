/* SPDX-License-Identifier: Apache-2.0 */
#include "shadow_rig.h"

#include <errno.h>
#include <stdlib.h>

/* ---- a map as the store below ---- */
static struct rig_item **place(struct rig_map *m, const void *key, size_t n)
{
    size_t h = 5381;
    for (size_t i = 0; i < n; i++)
        h = h * 33 + ((const uint8_t *)key)[i];
    struct rig_item **e = &m->bucket[h % RIG_BUCKETS];
    while (*e && ((*e)->klen != n || memcmp((*e)->key, key, n) != 0))
        e = &(*e)->next;
    return e;
}

static int map_set(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    struct rig_item **e = place(ctx, key, klen);
    if (!*e) {
        *e = calloc(1, sizeof **e + klen);
        if (!*e)
            abort();
        memcpy((*e)->key, key, klen);
        (*e)->klen = klen;
    }
    free((*e)->value);
    (*e)->value = NULL;
    (*e)->vlen = vlen;
    if (value) {
        (*e)->value = malloc(vlen + 1);
        if (!(*e)->value)
            abort();
        memcpy((*e)->value, value, vlen);
    }
    return 0;
}

static int map_get(void *ctx, const void *key, size_t klen, const void **value, size_t *vlen)
{
    struct rig_item *e = *place(ctx, key, klen);
    if (!e || !e->value)
        return -ENOENT;
    *value = e->value;
    *vlen = e->vlen;
    return 0;
}

static void map_clear(struct rig_map *m)
{
    for (size_t b = 0; b < RIG_BUCKETS; b++) {
        while (m->bucket[b]) {
            struct rig_item *e = m->bucket[b];
            m->bucket[b] = e->next;
            free(e->value);
            free(e);
        }
    }
}

/* ---- checkpoints ---- */
uint64_t rig_random(struct rig *g, uint64_t below)
{
    uint64_t z = g->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % below;
}

static void must(int rv, struct core_machine *m, const char *what)
{
    if (rv)
        shadow_fail("%s: %d: %s", what, rv, core_machine_error(m));
}

static void begin(struct rig *g)
{
    core_machine_position(g->stored, &g->at);
    must(core_machine_changes(g->stored, map_set, &g->pending), g->stored, "changes");
    g->under_way = true;
}

static void finish(struct rig *g)
{
    for (size_t b = 0; b < RIG_BUCKETS; b++) {
        for (struct rig_item *e = g->pending.bucket[b]; e; e = e->next) {
            bool dead =
                e->value && core_record_dead(e->key, e->klen, e->value, e->vlen, g->at.clock_us);
            map_set(&g->below, e->key, e->klen, dead ? NULL : e->value, e->vlen);
        }
    }
    map_clear(&g->pending);
    core_machine_written(g->stored);
    g->durable = g->at;
    g->under_way = false;
    g->checkpoints++;
    if (rig_random(g, 4) != 0)
        return;
    for (size_t b = 0; b < RIG_BUCKETS; b++) /* housekeeping */
        for (struct rig_item *e = g->below.bucket[b]; e; e = e->next)
            if (e->value &&
                core_record_dead(e->key, e->klen, e->value, e->vlen, g->durable.clock_us))
                map_set(&g->below, e->key, e->klen, NULL, 0);
}

static void open_stored(struct rig *g)
{
    static const size_t sizes[] = {1, 8, 50, 100000};
    g->cache_records = sizes[rig_random(g, 4)];
    struct core_config config = {.backing = {&g->below, map_get},
                                 .cache_records = g->cache_records};
    must(core_machine_new(&g->stored, &config, &g->durable), g->stored, "new");
    size_t n;
    const void *prefix = core_open_prefix(&n);
    for (size_t b = 0; b < RIG_BUCKETS; b++)
        for (struct rig_item *e = g->below.bucket[b]; e; e = e->next)
            if (e->value && e->klen >= n && memcmp(e->key, prefix, n) == 0)
                must(core_machine_restore_open(g->stored, e->key, e->klen, e->value, e->vlen),
                     g->stored, "restore");
}

static void one(struct core_machine *m, uint64_t index, const struct rig_entry *e,
                struct core_outcome *out)
{
    int rv = e->payload ? core_machine_apply(m, index, e->term, e->payload, e->n, out)
                        : core_machine_skip(m, index, e->term, 1, NULL, 0);
    must(rv, m, "apply");
}

static void crash(struct rig *g)
{
    struct core_outcome out;
    core_machine_free(g->stored);
    map_clear(&g->pending);
    g->under_way = false;
    g->restarts++;
    open_stored(g);
    for (uint64_t i = g->durable.index; i < g->entries; i++)
        one(g->stored, i + 1, &g->log[i], &out);
}

static void agree(struct rig *g)
{
    struct core_position a, b;
    core_machine_position(g->plain, &a);
    core_machine_position(g->stored, &b);
    if (memcmp(&a, &b, sizeof a) != 0)
        shadow_fail("index %llu: a machine over a store (%zu records cached) has another chain",
                    (unsigned long long)a.index, g->cache_records);
    if (core_machine_open_holds(g->plain) != core_machine_open_holds(g->stored) ||
        core_machine_next_expiry(g->plain) != core_machine_next_expiry(g->stored))
        shadow_fail("index %llu: the open holds differ", (unsigned long long)a.index);
}

static void keep(struct rig *g, uint64_t term, const void *payload, size_t n)
{
    if (g->entries == g->cap) {
        g->cap = g->cap ? g->cap * 2 : 1024;
        g->log = realloc(g->log, g->cap * sizeof *g->log);
        if (!g->log)
            abort();
    }
    struct rig_entry *e = &g->log[g->entries++];
    *e = (struct rig_entry){.n = n, .term = term};
    if (payload) {
        e->payload = malloc(n);
        if (!e->payload)
            abort();
        memcpy(e->payload, payload, n);
    }
}

static void both(struct rig *g, struct core_outcome *out)
{
    struct core_outcome other;
    const struct rig_entry *e = &g->log[g->entries - 1];
    one(g->plain, g->entries, e, out);
    one(g->stored, g->entries, e, &other);
    if (!g->under_way && rig_random(g, 30) == 0)
        begin(g);
    else if (g->under_way && rig_random(g, 10) == 0)
        finish(g);
    else if (rig_random(g, 200) == 0)
        crash(g);
    agree(g);
}

void rig_apply(struct rig *g, uint64_t term, const void *payload, size_t n,
               struct core_outcome *out)
{
    keep(g, term, payload, n);
    both(g, out);
}

void rig_skip(struct rig *g, uint64_t term)
{
    struct core_outcome out;
    keep(g, term, NULL, 0);
    both(g, &out);
}

void rig_open(struct rig *g, uint64_t seed)
{
    struct core_config config = {.cache_records = 100000};
    memset(g, 0, sizeof *g);
    g->random = seed;
    must(core_machine_new(&g->plain, &config, NULL), NULL, "new");
    open_stored(g);
}

void rig_close(struct rig *g)
{
    core_machine_free(g->plain);
    core_machine_free(g->stored);
    map_clear(&g->below);
    map_clear(&g->pending);
    for (size_t i = 0; i < g->entries; i++)
        free(g->log[i].payload);
    free(g->log);
}

static int same_below(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    struct rig *g = ctx;
    struct rig_item *e = *place(&g->below, key, klen);
    if (core_record_dead(key, klen, value, vlen, g->durable.clock_us))
        return 0;
    if (!e || !e->value || e->vlen != vlen || memcmp(e->value, value, vlen) != 0) {
        char text[4096];
        struct proto_text t = proto_text_over(text, sizeof text);
        core_record_print(&t, key, klen, value, vlen);
        shadow_fail("differs below or is absent: %s", text);
    }
    return map_set(&g->pending, key, klen, value, vlen);
}

void rig_compare_records(struct rig *g)
{
    if (g->under_way)
        finish(g);
    begin(g);
    finish(g);
    must(core_machine_visit(g->plain, same_below, g), g->plain, "visit");
    for (size_t b = 0; b < RIG_BUCKETS; b++)
        for (struct rig_item *e = g->below.bucket[b]; e; e = e->next)
            if (e->value &&
                !core_record_dead(e->key, e->klen, e->value, e->vlen, g->durable.clock_us) &&
                !*place(&g->pending, e->key, e->klen))
                shadow_fail("a record that only the store has: table %u", e->key[0]);
    map_clear(&g->pending);
}
