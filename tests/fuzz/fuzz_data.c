/* SPDX-License-Identifier: Apache-2.0
 * What lies in a data directory, a backup and an archive, beside LMDB's own pages: identity, vote
 * and position records, entries of the log, MANIFEST, ORIGIN, DIVERGED, PEM files, sealed log
 * files. The first byte says which. Whatever stands there is taken or refused with a reason; a
 * sealed log file that was changed gives the entries that were written, or none.
 */
#include "ledger/backup/manifest.h"
#include "ledger/store/data_mark.h"
#include "ledger/store/origin.h"
#include "ledger/store/state_store.h"
#include "ledger/store/vote_store.h"
#include "proto/net/pem.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRIES_MAX = 40, MAP_BYTES = 1 << 22 };

static char root[64];

static const char *at(const char *name)
{
    static char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void remove_all(void)
{
    (void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void write_file(const char *name, const uint8_t *p, size_t n)
{
    FILE *f = fopen(at(name), "wb");
    FUZZ_HOLDS(f);
    FUZZ_HOLDS(fwrite(p, 1, n, f) == n);
    FUZZ_HOLDS(fclose(f) == 0);
}

/* A value of LMDB's, as no writer of ours would write it. */
static void put_raw(const char *dir, const char *table, const char *name, const uint8_t *p,
                    size_t n)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val key = {strlen(name), (void *)(uintptr_t)name}, value = {n, (void *)(uintptr_t)p};
    FUZZ_HOLDS(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 4) == 0 &&
               mdb_env_set_mapsize(env, MAP_BYTES) == 0);
    FUZZ_HOLDS(mdb_env_open(env, at(dir), MDB_NOSYNC, 0600) == 0);
    FUZZ_HOLDS(mdb_txn_begin(env, NULL, 0, &txn) == 0 && mdb_dbi_open(txn, table, 0, &dbi) == 0);
    FUZZ_HOLDS(mdb_put(txn, dbi, &key, &value, 0) == 0 && mdb_txn_commit(txn) == 0);
    mdb_env_close(env);
}

static void begin(void)
{
    const struct node_identity id = {.cluster = {{1}}, .node = 1};
    const struct node_vote vote = {.term = 1};
    const struct state_store_config config = {.map_bytes = MAP_BYTES};
    const struct state_meta meta = {0};
    struct state_changes none;
    struct state_store *s;
    struct store_why why = {0};
    (void)snprintf(root, sizeof root, "%s/hf-fuzz-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    FUZZ_HOLDS(mkdtemp(root));
    FUZZ_HOLDS(atexit(remove_all) == 0);
    FUZZ_HOLDS(vote_store_create(at("vote"), &id, &vote, &why) == 0);
    FUZZ_HOLDS(mkdir(at("state"), 0700) == 0);
    FUZZ_HOLDS(state_store_open(&s, at("state"), STATE_STORE_WRITE, &config, &why) == 0);
    state_changes_init(&none);
    FUZZ_HOLDS(state_store_write(s, &none, &meta, &why) == 0);
    state_changes_close(&none);
    state_store_close(s);
}

/* ---- records ---- */

static void vote_record(const char *name, const uint8_t *p, size_t n)
{
    const size_t right = strcmp(name, "vote") == 0 ? 24 : 30;
    uint8_t whole[30] = {1, 0, 0, 0, 1}, vote[24] = {1};
    struct node_identity id;
    struct node_vote v;
    struct store_why why = {0};
    put_raw("vote", NULL, "identity", whole, sizeof whole);
    put_raw("vote", NULL, "vote", vote, sizeof vote);
    put_raw("vote", NULL, name, p, n < 400 ? n : 400);
    int rv = vote_store_peek(at("vote"), &id, &v, &why);
    FUZZ_HOLDS(rv == 0 || (rv < 0 && why.text[0] != '\0'));
    FUZZ_HOLDS(rv != 0 || n == right);
}

static void state_record(const uint8_t *p, size_t n)
{
    const struct state_store_config config = {.map_bytes = MAP_BYTES};
    struct state_store *s;
    struct state_reader r;
    struct state_meta m, again;
    struct state_changes none;
    struct store_why why = {0};
    put_raw("state", "meta", "at", p, n < 4000 ? n : 4000);
    FUZZ_HOLDS(state_store_open(&s, at("state"), STATE_STORE_WRITE, &config, &why) == 0);
    FUZZ_HOLDS(state_reader_open(&r, s, &why) == 0);
    int rv = state_reader_meta(&r, &m);
    state_reader_close(&r);
    FUZZ_HOLDS(rv == 0 || rv == -EUCLEAN || rv == -ENOTSUP);
    if (rv == 0) { /* what is taken is written the same */
        state_changes_init(&none);
        FUZZ_HOLDS(state_store_write(s, &none, &m, &why) == 0);
        FUZZ_HOLDS(state_reader_open(&r, s, &why) == 0);
        FUZZ_HOLDS(state_reader_meta(&r, &again) == 0 && memcmp(&m, &again, sizeof m) == 0);
        state_reader_close(&r);
        state_changes_close(&none);
    }
    state_store_close(s);
}

/* ---- files ---- */

static void manifest_text(const uint8_t *p, size_t n)
{
    struct backup_manifest m;
    struct store_why why = {0};
    write_file("MANIFEST", p, n);
    int rv = backup_manifest_read(root, &m, &why);
    FUZZ_HOLDS(rv == 0 || (rv < 0 && why.text[0] != '\0'));
    (void)unlink(at("MANIFEST"));
}

static bool same_manifest(const struct backup_manifest *a, const struct backup_manifest *b)
{
    return a->index == b->index && a->term == b->term && a->clock_us == b->clock_us &&
           a->records == b->records && a->log_first == b->log_first &&
           a->log_files == b->log_files && a->log_bytes == b->log_bytes &&
           memcmp(&a->chain, &b->chain, sizeof a->chain) == 0 &&
           memcmp(&a->log_link, &b->log_link, sizeof a->log_link) == 0;
}

static uint64_t number(struct fuzz_source *s)
{
    return fuzz_number(s, 8) >> 2;
}

/* One that was written by us, then changed. */
static void manifest_changed(struct fuzz_source *s)
{
    struct backup_manifest got;
    struct store_why why = {0};
    struct backup_manifest m = {.taken_from = {{{1}}, 0, 1},
                                .index = 1 + number(s),
                                .term = 1 + number(s),
                                .clock_us = (int64_t)number(s),
                                .records = number(s),
                                .log_first = 1,
                                .log_files = fuzz_byte(s),
                                .log_bytes = number(s)};
    for (size_t i = 0; i < sizeof m.chain; i++)
        m.log_link.b[i] = m.chain.b[31 - i] = fuzz_byte(s);
    FUZZ_HOLDS(backup_manifest_write(root, &m, &why) == 0);
    FUZZ_HOLDS(backup_manifest_read(root, &got, &why) == 0 && same_manifest(&m, &got));
    FILE *f = fopen(at("MANIFEST"), "r+b");
    FUZZ_HOLDS(f && fseek(f, (long)(fuzz_number(s, 2) % 900), SEEK_SET) == 0);
    int byte = fgetc(f);
    if (byte != EOF)
        FUZZ_HOLDS(fseek(f, -1, SEEK_CUR) == 0 && fputc(byte ^ (1 + fuzz_byte(s) % 255), f) != EOF);
    FUZZ_HOLDS(fclose(f) == 0);
    if (backup_manifest_read(root, &got, &why) == 0)
        FUZZ_HOLDS(same_manifest(&m, &got));
    (void)unlink(at("MANIFEST"));
}

static void small_files(const uint8_t *p, size_t n)
{
    struct proto_uuid cluster;
    char text[DATA_MARK_MAX];
    write_file("ORIGIN", p, n);
    int rv = origin_read(root, &cluster);
    FUZZ_HOLDS(rv <= 0 && rv != -ENOENT);
    (void)unlink(at("ORIGIN"));
    write_file("DIVERGED", p, n);
    FUZZ_HOLDS(data_mark_read(root, text)); /* whatever it says */
    FUZZ_HOLDS(memchr(text, '\0', sizeof text));
    (void)unlink(at("DIVERGED"));
}

static void pem_text(const uint8_t *p, size_t n)
{
    struct pem_file pem;
    char error[256] = "";
    write_file("x.pem", p, n);
    int rv = pem_file_load(&pem, at("x.pem"), error, sizeof error);
    FUZZ_HOLDS(rv == 0 || error[0] != '\0');
    if (rv == 0) {
        FUZZ_HOLDS(pem.count <= PEM_OBJECTS_MAX);
        pem_file_close(&pem);
    }
}

/* ---- sealed log files ---- */

static void read_all(const struct log_entry *entries, unsigned n)
{
    struct log_file *f;
    struct log_page page;
    struct store_why why = {0};
    int rv = log_file_open(&f, at("log"), &why);
    FUZZ_HOLDS(rv <= 0);
    if (rv < 0) {
        FUZZ_HOLDS(why.text[0] != '\0');
        return;
    }
    const struct log_file_facts *facts = log_file_facts(f);
    log_page_init(&page);
    for (uint64_t i = facts->first; i <= facts->last && rv >= 0;) {
        rv = log_file_read(f, i, 7, 1 << 16, &page, &why);
        if (rv <= 0)
            break;
        for (unsigned k = 0; k < page.n; k++, i++) {
            const struct log_entry *e = &page.entries[k], *want;
            if (!entries)
                continue;
            FUZZ_HOLDS(e->index >= 1 && e->index <= n);
            want = &entries[e->index - 1];
            FUZZ_HOLDS(e->index == i && e->term == want->term && e->kind == want->kind &&
                       e->len == want->len &&
                       (e->len == 0 || memcmp(e->data, want->data, e->len) == 0));
        }
    }
    log_page_close(&page);
    log_file_close(f);
}

static void log_file_changed(struct fuzz_source *s)
{
    struct log_entry entries[ENTRIES_MAX];
    struct log_file_facts facts = {.cluster = {{1}}, .first = 1};
    struct log_file_writer *w;
    struct store_why why = {0};
    const unsigned changes = fuzz_byte(s) % 4, n = 1 + fuzz_byte(s) % ENTRIES_MAX;
    uint32_t where[4];
    uint8_t how[4];
    for (unsigned i = 0; i < 4; i++) {
        where[i] = (uint32_t)fuzz_number(s, 2);
        how[i] = fuzz_byte(s);
    }
    (void)unlink(at("log"));
    FUZZ_HOLDS(log_file_create(&w, at("log"), &facts, &why) == 0);
    for (unsigned i = 0; i < n; i++) {
        size_t len;
        const uint8_t *p = fuzz_piece(s, 300, &len);
        entries[i] = (struct log_entry){.index = i + 1,
                                        .term = 1 + i / 8,
                                        .data = p,
                                        .len = (uint32_t)len,
                                        .kind = ENTRY_BARRIER};
        FUZZ_HOLDS(log_file_add(w, &entries[i], &why) == 0);
    }
    FUZZ_HOLDS(log_file_finish(w, &facts, &why) == 0);
    FILE *f = fopen(at("log"), "r+b");
    FUZZ_HOLDS(f);
    for (unsigned i = 0; i < changes; i++) {
        FUZZ_HOLDS(fseek(f, (long)(where[i] % facts.file_bytes), SEEK_SET) == 0);
        FUZZ_HOLDS(fputc(how[i], f) != EOF);
    }
    FUZZ_HOLDS(fclose(f) == 0);
    if (changes > 0 && how[0] % 8 == 0)
        FUZZ_HOLDS(truncate(at("log"), (off_t)(where[0] % facts.file_bytes)) == 0);
    read_all(entries, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_source s = {data, n};
    if (root[0] == '\0')
        begin();
    switch (fuzz_byte(&s) % 9) {
    case 0:
        vote_record("identity", s.p, s.n);
        break;
    case 1:
        vote_record("vote", s.p, s.n);
        break;
    case 2:
        state_record(s.p, s.n);
        break;
    case 3:
        manifest_text(s.p, s.n);
        break;
    case 4:
        manifest_changed(&s);
        break;
    case 5:
        small_files(s.p, s.n);
        break;
    case 6:
        pem_text(s.p, s.n);
        break;
    case 7:
        write_file("log", s.p, s.n);
        read_all(NULL, 0);
        break;
    default:
        log_file_changed(&s);
    }
    return 0;
}
