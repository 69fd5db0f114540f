/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/core/overlay.h"

#include "ledger/core/record.h"
#include "proto/base/check.h"
#include "proto/base/pages.h"

#include <errno.h>
#include <stdlib.h>

static const uint16_t block_sizes[CORE_OVERLAY_CLASSES] = {
    64,  96,  128, 160, 192,  224,  256,  288,  320,  384,
    512, 640, 768, 896, 1024, 1280, 1536, 2048, 3072, CORE_OVERLAY_BLOCK_MAX};

enum { FIRST_SLOTS = 65536, MOVE_PLACES = 8 };

_Static_assert(sizeof(struct core_record) == 24, "header of a block");
_Static_assert(sizeof(struct core_record) + CORE_VALUE_MAX + CORE_KEY_MAX <= CORE_OVERLAY_BLOCK_MAX,
               "the largest record fits the largest block");

static void *value_of(struct core_record *r)
{
    return r + 1;
}

static const uint8_t *key_of(const struct core_record *r)
{
    return (const uint8_t *)r - r->klen;
}

/* Where a block's header stands, and how large a block a record needs. */
static size_t header_at(size_t klen)
{
    return (klen + 7) & ~(size_t)7;
}

static size_t block_size(size_t klen, size_t vlen)
{
    return header_at(klen) + sizeof(struct core_record) + vlen;
}

static void fail(struct core_overlay *o, int code)
{
    if (o->failed == 0)
        o->failed = code;
}

/* ---- hashing: speed only; nothing that is chained or stored depends on it ---- */
__extension__ typedef unsigned __int128 wide;

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    wide p = (wide)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static inline uint64_t load(const uint8_t *p, size_t n)
{
    uint64_t x = 0;
    memcpy(&x, p, n);
    return x;
}

static inline uint64_t add16(uint64_t h, const uint8_t *p)
{
    return mix(load(p, 8) ^ UINT64_C(0x9e3779b97f4a7c15),
               load(p + 8, 8) ^ UINT64_C(0xd6e8feb86659fd93) ^ h);
}

/* Sixteen bytes a step; the last ones with what is before them. Most keys have 17 to 49 bytes. */
static inline uint32_t tag_of(const uint8_t *p, size_t n)
{
    uint64_t h = n * UINT64_C(0x9e3779b97f4a7c15);
    if (n >= 16) {
        const uint8_t *last = p + n - 16;
        for (; p < last; p += 16)
            h = add16(h, p);
        h = add16(h, last);
    } else {
        uint8_t padded[16] = {0};
        memcpy(padded, p, n);
        h = add16(h, padded);
    }
    return (uint32_t)(h ^ h >> 32);
}

/* ---- blocks ---- */
static unsigned class_for(size_t n)
{
    unsigned c = 0;
    while (block_sizes[c] < n)
        c++;
    return c;
}

/* Small ones first: most classes never fill one. Then large enough for large pages. */
static bool chunk_new(struct core_overlay *o, unsigned class)
{
    size_t n = o->chunk[class] ? o->chunk[class] : CORE_OVERLAY_CHUNK;
    uint8_t *chunk = malloc(n);
    if (!chunk)
        return false;
    base_pages_large(chunk, n);
    memcpy(chunk, &o->chunks, sizeof(void *));
    o->chunks = chunk;
    o->bump[class] = chunk + 64 + (64 - (uintptr_t)chunk % 64) % 64; /* past the link */
    o->bump_end[class] = chunk + n;
    o->chunk[class] = n < CORE_OVERLAY_CHUNK_MAX ? n * 2 : n;
    return true;
}

static struct core_record *block_new(struct core_overlay *o, unsigned class, size_t klen)
{
    size_t size = block_sizes[class];
    if (o->free_blocks[class]) {
        uint8_t *b = o->free_blocks[class];
        memcpy(&o->free_blocks[class], b, sizeof(void *));
        return (struct core_record *)(b + header_at(klen));
    }
    if ((size_t)(o->bump_end[class] - o->bump[class]) < size && !chunk_new(o, class))
        return NULL;
    uint8_t *b = o->bump[class];
    o->bump[class] += size;
    return (struct core_record *)(b + header_at(klen));
}

static void block_free(struct core_overlay *o, struct core_record *r)
{
    unsigned class = r->class;
    uint8_t *b = (uint8_t *)r - header_at(r->klen);
    memcpy(b, &o->free_blocks[class], sizeof(void *));
    o->free_blocks[class] = b;
}

/* ---- lists ---- */
static bool list_room(struct core_list *l)
{
    if (l->n < l->cap)
        return true;
    size_t cap = l->cap ? l->cap * 2 : 1024;
    void *e = realloc(l->e, cap * sizeof(struct core_record *));
    if (!e)
        return false;
    l->e = e;
    l->cap = cap;
    return true;
}

static struct core_shelf *shelf_of(struct core_overlay *o, const struct core_record *r)
{
    return &o->shelf[r->flags & CORE_RECORD_PASSING ? CORE_SHELF_PASSING : CORE_SHELF_LASTING];
}

static void mark_dirty(struct core_overlay *o, struct core_record *r)
{
    if (r->flags & (CORE_RECORD_DIRTY | CORE_RECORD_SPARE))
        return;
    if (!list_room(&o->dirty)) {
        fail(o, -ENOMEM);
        return;
    }
    if (!(r->flags & CORE_RECORD_WRITING))
        shelf_of(o, r)->busy++;
    r->flags |= CORE_RECORD_DIRTY;
    r->dirty = (uint32_t)o->dirty.n;
    o->dirty.e[o->dirty.n++] = r;
}

static void unmark_dirty(struct core_overlay *o, struct core_record *r)
{
    struct core_record *last = o->dirty.e[--o->dirty.n];
    o->dirty.e[r->dirty] = last;
    last->dirty = r->dirty;
    r->flags &= (uint8_t)~CORE_RECORD_DIRTY;
    if (!(r->flags & CORE_RECORD_WRITING))
        shelf_of(o, r)->busy--;
}

/* ---- the table ---- */
static bool passing(unsigned table)
{
    switch (table) {
    case CORE_TABLE_hold:
    case CORE_TABLE_refused:
    case CORE_TABLE_closed:
    case CORE_TABLE_command:
    case CORE_TABLE_reference:
    case CORE_TABLE_audit:
    case CORE_TABLE_idempotency:
        return true;
    default:
        return false;
    }
}

static struct core_shelf *shelf_for(struct core_overlay *o, const uint8_t *key)
{
    return &o->shelf[passing(key[0]) ? CORE_SHELF_PASSING : CORE_SHELF_LASTING];
}

static inline bool same_key(const struct core_record *r, const uint8_t *key, size_t klen)
{
    return r->klen == klen && memcmp(key_of(r), key, klen) == 0;
}

/* In the place of a record that left a table which is not to be changed otherwise: no key is as
 * short as this one's. */
static struct core_record gone;

static inline struct core_record *find_in(const struct core_table_of *t, const uint8_t *key,
                                          size_t klen, uint32_t tag)
{
    size_t mask = t->n - 1;
    for (size_t i = tag & mask; t->slots[i].r; i = (i + 1) & mask)
        if (t->slots[i].tag == tag && same_key(t->slots[i].r, key, klen))
            return t->slots[i].r;
    return NULL;
}

/* Apart, so that what is seldom needed is in nobody's way. */
__attribute__((noinline)) static struct core_record *
find_in_old(const struct core_shelf *s, const uint8_t *key, size_t klen, uint32_t tag)
{
    return find_in(&s->old, key, klen, tag);
}

static inline struct core_record *find(const struct core_shelf *s, const uint8_t *key, size_t klen,
                                       uint32_t tag)
{
    struct core_record *r = find_in(&s->table, key, klen, tag);
    return r || !s->old.slots ? r : find_in_old(s, key, klen, tag);
}

static void slot_fill(struct core_table_of *t, struct core_slot s)
{
    size_t i = s.tag & (t->n - 1);
    while (t->slots[i].r)
        i = (i + 1) & (t->n - 1);
    t->slots[i] = s;
}

/* NULL: it is not in this table. */
static struct core_slot *slot_in(const struct core_table_of *t, const struct core_record *r)
{
    size_t i = r->tag & (t->n - 1);
    while (t->slots[i].r && t->slots[i].r != r)
        i = (i + 1) & (t->n - 1);
    return t->slots[i].r ? &t->slots[i] : NULL;
}

static bool table_new(struct core_table_of *t, size_t n)
{
    struct core_slot *slots = calloc(n, sizeof *slots);
    if (!slots)
        return false;
    base_pages_large(slots, n * sizeof *slots);
    *t = (struct core_table_of){slots, n};
    return true;
}

/* The next places of the old table. MOVE_PLACES a record: it is empty long before the new one is
 * full. */
static void move_on(struct core_shelf *s)
{
    for (unsigned k = 0; k < MOVE_PLACES && s->moved < s->old.n; k++) {
        struct core_slot *slot = &s->old.slots[s->moved++];
        if (slot->r && slot->r != &gone) {
            slot_fill(&s->table, *slot);
            slot->r = &gone;
        }
    }
    if (s->moved < s->old.n)
        return;
    free(s->old.slots);
    s->old = (struct core_table_of){0};
}

static bool table_room(struct core_shelf *s)
{
    if (!list_room(&s->all))
        return false;
    if (s->old.slots)
        move_on(s);
    if ((s->all.n + 1) * 10 < s->table.n * 7)
        return true;
    struct core_table_of larger;
    CHECK(!s->old.slots);
    if (!table_new(&larger, s->table.n * 2))
        return false;
    s->old = s->table;
    s->table = larger;
    s->moved = 0;
    return true;
}

/* Closes the gap, so that what stood behind is still found. */
static void slot_clear(struct core_table_of *t, size_t hole)
{
    size_t mask = t->n - 1;
    for (size_t i = (hole + 1) & mask; t->slots[i].r; i = (i + 1) & mask) {
        size_t home = t->slots[i].tag & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            t->slots[hole] = t->slots[i];
            hole = i;
        }
    }
    t->slots[hole] = (struct core_slot){0};
}

static struct core_slot *slot_of(const struct core_shelf *s, const struct core_record *r)
{
    struct core_slot *slot = slot_in(&s->table, r);
    return slot ? slot : slot_in(&s->old, r);
}

static void slot_leave(struct core_shelf *s, const struct core_record *r)
{
    struct core_slot *slot = slot_in(&s->table, r);
    if (slot)
        slot_clear(&s->table, (size_t)(slot - s->table.slots));
    else
        slot_in(&s->old, r)->r = &gone;
}

static struct core_record *insert(struct core_overlay *o, const uint8_t *key, size_t klen,
                                  uint32_t tag, size_t vlen)
{
    unsigned class = class_for(block_size(klen, vlen));
    struct core_shelf *s = shelf_for(o, key);
    struct core_record *r = table_room(s) ? block_new(o, class, klen) : NULL;
    if (!r) {
        fail(o, -ENOMEM);
        return NULL;
    }
    *r = (struct core_record){.tag = tag,
                              .at = (uint32_t)s->all.n,
                              .klen = (uint16_t)klen,
                              .vlen = (uint16_t)vlen,
                              .class = (uint8_t) class,
                              .flags = passing(key[0]) ? CORE_RECORD_PASSING : 0};
    memcpy((uint8_t *)r - klen, key, klen);
    s->all.e[s->all.n++] = r;
    slot_fill(&s->table, (struct core_slot){.r = r, .tag = tag});
    return r;
}

/* Forgets a record that is on no list. */
static void take_out(struct core_overlay *o, struct core_record *r)
{
    struct core_shelf *s = shelf_of(o, r);
    slot_leave(s, r);
    struct core_record *last = s->all.e[s->all.n - 1];
    if (last != r) {
        last->at = r->at;
        s->all.e[r->at] = last;
    }
    s->all.n--;
    block_free(o, r);
}

/* ---- contract ---- */
int core_overlay_init(struct core_overlay *o, const struct core_backing *backing, size_t limit)
{
    memset(o, 0, sizeof *o);
    o->backing = *backing;
    if (limit == 0)
        limit = CORE_OVERLAY_CACHE_DEFAULT;
    size_t passing = limit / 4;
    if (passing > CORE_OVERLAY_PASSING_MAX)
        passing = CORE_OVERLAY_PASSING_MAX;
    o->shelf[CORE_SHELF_PASSING].limit = passing;
    o->shelf[CORE_SHELF_LASTING].limit = limit - passing;
    /* Small at first and doubled as records come: a table sized for the whole cache would lie
     * spread over so many pages that every look-up missed the TLB (a quarter more time per command
     * at 200,000 records). */
    for (unsigned i = 0; i < CORE_SHELVES; i++) {
        if (!table_new(&o->shelf[i].table, FIRST_SLOTS))
            return -ENOMEM;
    }
    return 0;
}

void core_overlay_close(struct core_overlay *o)
{
    while (o->chunks) {
        void *next;
        memcpy(&next, o->chunks, sizeof next);
        free(o->chunks);
        o->chunks = next;
    }
    for (unsigned i = 0; i < CORE_SHELVES; i++) {
        free(o->shelf[i].table.slots);
        free(o->shelf[i].old.slots);
        free(o->shelf[i].all.e);
    }
    free(o->dirty.e);
    free(o->writing.e);
    memset(o, 0, sizeof *o);
}

static struct core_record *load_clean(struct core_overlay *o, const uint8_t *key, size_t klen,
                                      uint32_t tag, const void *value, size_t vlen)
{
    if (klen == 0 || klen > CORE_KEY_MAX || vlen > CORE_VALUE_MAX) {
        fail(o, -EIO);
        return NULL;
    }
    struct core_record *r = insert(o, key, klen, tag, vlen);
    if (!r)
        return NULL;
    memcpy(value_of(r), value, vlen);
    r->flags |= CORE_RECORD_BELOW | CORE_RECORD_SEEN;
    return r;
}

/* A clean tombstone that stands for nothing below: the next look-up need not ask. It is the first
 * to go when memory is short. */
static struct core_record *note_absent(struct core_overlay *o, const struct core_key *k,
                                       uint32_t tag)
{
    if (passing(k->b[0]))
        return NULL; /* there is one such key per command: core_absent knows most of them */
    struct core_record *r = insert(o, k->b, k->n, tag, 0);
    if (r)
        r->flags |= CORE_RECORD_DELETED;
    return r;
}

static struct core_record *fetch(struct core_overlay *o, const struct core_key *k, uint32_t tag)
{
    const void *value;
    size_t n;
    if (!o->backing.get || o->failed || core_absent_sure(&o->absent, k->b, k->n))
        return NULL;
    int rv = o->backing.get(o->backing.ctx, k->b, k->n, &value, &n);
    if (rv == 0)
        return load_clean(o, k->b, k->n, tag, value, n);
    if (rv == -ENOENT)
        return note_absent(o, k, tag);
    fail(o, rv);
    return NULL;
}

/* The record, a tombstone too, fetched from below where it is not here. */
static inline struct core_record *look(struct core_overlay *o, const struct core_key *k,
                                       uint32_t tag)
{
    struct core_record *r = find(shelf_for(o, k->b), k->b, k->n, tag);
    return r ? r : fetch(o, k, tag);
}

void *core_overlay_get(struct core_overlay *o, const struct core_key *k, size_t *vlen)
{
    struct core_record *r = look(o, k, tag_of(k->b, k->n));
    if (!r || (r->flags & CORE_RECORD_DELETED))
        return NULL;
    r->flags |= CORE_RECORD_SEEN;
    *vlen = r->vlen;
    return value_of(r);
}

static void *spare(struct core_overlay *o)
{
    struct core_record *r = (struct core_record *)o->spare;
    memset(o->spare, 0, sizeof o->spare);
    r->flags = CORE_RECORD_SPARE;
    return value_of(r);
}

/* Moves a record to a larger block, in all the lists too. NULL: no memory. */
static struct core_record *enlarge(struct core_overlay *o, struct core_record *r, size_t vlen)
{
    unsigned class = class_for(block_size(r->klen, vlen));
    struct core_record *larger = block_new(o, class, r->klen);
    if (!larger) {
        fail(o, -ENOMEM);
        return NULL;
    }
    memcpy((uint8_t *)larger - r->klen, key_of(r), r->klen);
    *larger = *r;
    larger->class = (uint8_t) class;
    struct core_shelf *s = shelf_of(o, r);
    slot_of(s, r)->r = larger;
    s->all.e[r->at] = larger;
    if (r->flags & CORE_RECORD_DIRTY)
        o->dirty.e[r->dirty] = larger;
    if (r->flags & CORE_RECORD_WRITING)
        o->writing.e[r->writing] = larger;
    block_free(o, r);
    return larger;
}

void *core_overlay_put(struct core_overlay *o, const struct core_key *k, size_t vlen)
{
    CHECK(vlen <= CORE_VALUE_MAX && k->n > 0);
    uint32_t tag = tag_of(k->b, k->n);
    struct core_record *r = look(o, k, tag);
    if (o->failed)
        return spare(o);
    if (!r)
        r = insert(o, k->b, k->n, tag, vlen);
    else if (block_size(k->n, vlen) > block_sizes[r->class])
        r = enlarge(o, r, vlen);
    if (!r)
        return spare(o);
    r->flags =
        (uint8_t)((r->flags & ~(CORE_RECORD_DELETED | CORE_RECORD_SOUND)) | CORE_RECORD_SEEN);
    r->vlen = (uint16_t)vlen;
    memset(value_of(r), 0, vlen);
    mark_dirty(o, r);
    return value_of(r);
}

void core_overlay_touch(struct core_overlay *o, void *value)
{
    mark_dirty(o, core_overlay_record(value));
}

void core_overlay_drop(struct core_overlay *o, void *value)
{
    struct core_record *r = core_overlay_record(value);
    if (r->flags & CORE_RECORD_SPARE)
        return;
    if (r->flags & (CORE_RECORD_BELOW | CORE_RECORD_WRITING)) {
        r->flags |= CORE_RECORD_DELETED;
        r->vlen = 0;
        mark_dirty(o, r);
        return;
    }
    if (r->flags & CORE_RECORD_DIRTY)
        unmark_dirty(o, r);
    take_out(o, r);
}

void core_overlay_load(struct core_overlay *o, const void *key, size_t klen, const void *value,
                       size_t vlen)
{
    uint32_t tag = tag_of(key, klen);
    if (o->failed == 0 && !find(shelf_for(o, key), key, klen, tag))
        (void)load_clean(o, key, klen, tag, value, vlen);
}

/* ---- looking ahead ---- */
enum {
    HINT_PLACES = 4,  /* of a table: two lines at most */
    HINT_KEY = 40,    /* of a record, before its header: most keys */
    HINT_BYTES = 160, /* and from there on: what handlers use stands in front */
    WALK_AHEAD = 12,  /* records of a list */
    LINE = 64,
};

static inline void fetch_lines(const void *p, size_t n)
{
    uintptr_t from = (uintptr_t)p & ~(uintptr_t)(LINE - 1);
    for (uintptr_t at = from; at < (uintptr_t)p + n; at += LINE)
        __builtin_prefetch((const uint8_t *)p + (at - (uintptr_t)p), 1);
}

/* The i-th of a list is about to be looked at: those that follow are fetched. */
static inline void walk(const struct core_list *l, size_t i, size_t before, size_t bytes)
{
    if (i + WALK_AHEAD < l->n)
        fetch_lines((const uint8_t *)l->e[i + WALK_AHEAD] - before, before + bytes);
}

void core_overlay_hint(const struct core_overlay *o, struct core_hint *h, const struct core_key *k)
{
    h->r = NULL;
    h->tag = tag_of(k->b, k->n);
    h->shelf = passing(k->b[0]) ? CORE_SHELF_PASSING : CORE_SHELF_LASTING;
    const struct core_shelf *s = &o->shelf[h->shelf];
    __builtin_prefetch(&s->table.slots[h->tag & (s->table.n - 1)]);
}

static struct core_record *seems(const struct core_table_of *t, uint32_t tag)
{
    size_t mask = t->n - 1, i = tag & mask;
    for (unsigned k = 0; k < HINT_PLACES && t->slots[i].r; k++, i = (i + 1) & mask)
        if (t->slots[i].tag == tag && t->slots[i].r != &gone)
            return t->slots[i].r;
    return NULL;
}

void core_overlay_near(const struct core_overlay *o, struct core_hint *h)
{
    const struct core_shelf *s = &o->shelf[h->shelf];
    h->r = seems(&s->table, h->tag);
    if (!h->r && s->old.slots)
        h->r = seems(&s->old, h->tag);
    if (h->r)
        fetch_lines((const uint8_t *)h->r - HINT_KEY, HINT_KEY + HINT_BYTES);
}

const void *core_overlay_hinted(const struct core_hint *h, unsigned table, size_t *vlen)
{
    const struct core_record *r = h->r;
    if (!r || key_of(r)[0] != table || (r->flags & CORE_RECORD_DELETED))
        return NULL;
    *vlen = r->vlen;
    return r + 1;
}

static void trim(struct core_overlay *o, struct core_shelf *s)
{
    size_t clean = s->all.n - s->busy;
    if (clean <= s->limit)
        return;
    /* A bounded walk; what it leaves is taken by the next ones. */
    size_t excess = clean - s->limit, steps = 64 + 8 * excess;
    while (excess > 0 && steps-- > 0 && s->all.n > 0) {
        if (s->hand >= s->all.n)
            s->hand = 0;
        struct core_record *r = s->all.e[s->hand];
        walk(&s->all, s->hand, 0, sizeof *r);
        if (r->flags & (CORE_RECORD_DIRTY | CORE_RECORD_WRITING)) {
            s->hand++;
        } else if (r->flags & CORE_RECORD_SEEN) {
            r->flags &= (uint8_t)~CORE_RECORD_SEEN;
            s->hand++;
        } else {
            core_absent_note(&o->absent, key_of(r), r->klen);
            take_out(o, r); /* the last one takes its place under the hand */
            excess--;
        }
    }
}

void core_overlay_trim(struct core_overlay *o)
{
    for (unsigned i = 0; i < CORE_SHELVES; i++)
        trim(o, &o->shelf[i]);
}

int core_overlay_changes(struct core_overlay *o, core_change_visit *visit, void *ctx)
{
    CHECK(o->writing.n == 0); /* one checkpoint at a time */
    struct core_list handed = o->dirty;
    for (size_t i = 0; i < handed.n; i++) {
        struct core_record *r = handed.e[i];
        walk(&handed, i, HINT_KEY, HINT_BYTES);
        bool deleted = (r->flags & CORE_RECORD_DELETED) != 0;
        int rv = visit(ctx, key_of(r), r->klen, deleted ? NULL : value_of(r), r->vlen);
        if (rv)
            return rv;
        r->flags =
            (uint8_t)((r->flags & ~CORE_RECORD_DIRTY) | CORE_RECORD_WRITING | CORE_RECORD_BELOW);
        r->writing = (uint32_t)i;
    }
    o->dirty = o->writing;
    o->writing = handed;
    return 0;
}

void core_overlay_written(struct core_overlay *o)
{
    for (size_t i = 0; i < o->writing.n; i++) {
        struct core_record *r = o->writing.e[i];
        walk(&o->writing, i, 0, sizeof *r);
        r->flags &= (uint8_t)~CORE_RECORD_WRITING;
        if (r->flags & CORE_RECORD_DIRTY)
            continue;
        shelf_of(o, r)->busy--;
        if (r->flags & CORE_RECORD_DELETED)
            take_out(o, r);
    }
    o->writing.n = 0;
}

static int visit_shelf(const struct core_shelf *s, core_change_visit *visit, void *ctx)
{
    for (size_t i = 0; i < s->all.n; i++) {
        struct core_record *r = s->all.e[i];
        if (r->flags & CORE_RECORD_DELETED)
            continue;
        int rv = visit(ctx, key_of(r), r->klen, value_of(r), r->vlen);
        if (rv)
            return rv;
    }
    return 0;
}

int core_overlay_visit(struct core_overlay *o, core_change_visit *visit, void *ctx)
{
    int rv = 0;
    for (unsigned i = 0; i < CORE_SHELVES && rv == 0; i++)
        rv = visit_shelf(&o->shelf[i], visit, ctx);
    return rv;
}
