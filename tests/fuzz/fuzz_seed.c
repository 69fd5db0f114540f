/* SPDX-License-Identifier: Apache-2.0
 * What nodes say to each other in a seeding: questions and answers have one encoding each, and a
 * node that is being seeded survives whatever the others answer. The first byte says which: a
 * question, an answer, or a stream of answers to a whole seeding.
 */
#include "ledger/seed/seeder.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];
static const struct proto_uuid cluster = {{7}};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void remove_root(void)
{
    (void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_root(void)
{
    if (root[0])
        return;
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(root, sizeof root, "%.40s/hf-fuzz-XXXXXX", tmp ? tmp : "/tmp");
    FUZZ_HOLDS(mkdtemp(root) != NULL);
    (void)atexit(remove_root);
}

static void question(const uint8_t *p, size_t n)
{
    struct proto_seed_ask q;
    uint8_t again[512];
    uint8_t *copy = fuzz_copy(p, n);
    struct proto_reader r = proto_reader_over(copy, n);
    if (proto_seed_ask_get(&r, &q) && proto_get_end(&r)) {
        struct proto_writer w = proto_writer_over(again, sizeof again);
        proto_seed_ask_put(&w, &q);
        FUZZ_HOLDS(!w.full && w.n == n && memcmp(again, copy, n) == 0);
    }
    free(copy);
}

static void answer(const uint8_t *p, size_t n)
{
    struct proto_seed_answer a;
    static uint8_t again[SEED_FRAME_MAX];
    uint8_t *copy = fuzz_copy(p, n);
    struct proto_reader r = proto_reader_over(copy, n);
    if (proto_seed_answer_get(&r, &a) && proto_get_end(&r)) {
        struct proto_writer w = proto_writer_over(again, sizeof again);
        proto_seed_answer_put(&w, &a);
        FUZZ_HOLDS(!w.full && w.n == n && memcmp(again, copy, n) == 0);
    }
    free(copy);
}

/* Answers that are plausible enough to come far; every field may be wrong. */
static int ask(void *ctx, uint64_t node, const struct proto_seed_ask *q,
               struct proto_seed_answer *a, struct store_why *why)
{
    struct fuzz_source *s = ctx;
    static uint8_t bytes[4096];
    size_t n;
    if (s->n == 0)
        return store_why_set(why, -EAGAIN, "no more");
    uint8_t kind = fuzz_byte(s);
    const uint8_t *p = fuzz_piece(s, sizeof bytes, &n);
    memcpy(bytes, p, n);
    *a = (struct proto_seed_answer){.format = SEED_FORMAT,
                                    .code = kind & 3,
                                    .node = node,
                                    .term = fuzz_byte(s),
                                    .leader = 1,
                                    .firm = node == 1,
                                    .last = fuzz_byte(s),
                                    .index = fuzz_byte(s),
                                    .size = kind & 4 ? n : fuzz_number(s, 2),
                                    .count = fuzz_byte(s),
                                    .bytes = {(const char *)bytes, (uint32_t)n}};
    if (q->kind == SEED_OPEN && kind & 8) /* the copy that the chunk after it will be */
        proto_sha256_of(s->p + (s->n > 3 ? 3 : 0), a->size < s->n ? a->size : 0, &a->sum);
    return 0;
}

static void pause_not(void *ctx)
{
    (void)ctx;
}

static void seeding(struct fuzz_source *s)
{
    char data[128], vote[160];
    struct seed_facts facts;
    struct store_why why;
    make_root();
    (void)snprintf(data, sizeof data, "%s/node", root);
    (void)snprintf(vote, sizeof vote, "%s/vote", data);
    const struct seed_config config = {.data = data,
                                       .id = {.cluster = cluster, .node = 3},
                                       .others = {1, 2},
                                       .n_others = 2,
                                       .incarnation = 1,
                                       .patience = 2,
                                       .link = {.ctx = s, .ask = ask, .pause = pause_not}};
    int rv = seed_node(&config, &facts, &why);
    FUZZ_HOLDS(rv <= 0);
    FUZZ_HOLDS(rv == 0 || access(vote, F_OK) != 0); /* what failed is no node */
    (void)nftw(data, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_source s = {data, n};
    switch (fuzz_byte(&s) % 3) {
    case 0:
        question(s.p, s.n);
        break;
    case 1:
        answer(s.p, s.n);
        break;
    default:
        seeding(&s);
    }
    return 0;
}
