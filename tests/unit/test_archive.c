/* SPDX-License-Identifier: Apache-2.0
 * Log files and archives (F45): what went in comes out; whatever is changed, cut, left out or put
 * in is found.
 */
#include "ledger/store/archive_thread.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "store_tmp.h"

static const struct archive_owner owner = {{{9, 9, 9}}, 0};
static uint8_t bytes[ENTRY_LEN_MAX];

static struct log_entry entry(uint64_t index)
{
    static const uint32_t lengths[] = {0, 1, 300, 70000, 5};
    for (size_t i = 0; i < sizeof bytes; i += 97)
        bytes[i] = (uint8_t)(index * 31 + i);
    struct log_entry e = {.index = index,
                          .term = 1 + index / 40,
                          .data = bytes,
                          .len = lengths[index % 5],
                          .kind = index % 11 == 0 ? ENTRY_BARRIER : ENTRY_COMMAND};
    if (index == 50)
        e.len = ENTRY_LEN_MAX;
    if (e.len == 0)
        e.data = NULL;
    return e;
}

static void assert_entry(const struct log_entry *have, uint64_t index)
{
    struct log_entry want = entry(index);
    assert_int_equal(have->index, want.index);
    assert_int_equal(have->term, want.term);
    assert_int_equal(have->kind, want.kind);
    assert_int_equal(have->len, want.len);
    if (want.len > 0)
        assert_memory_equal(have->data, want.data, want.len);
}

static void write_file(const char *path, uint64_t first, uint64_t last, struct log_file_facts *f)
{
    struct store_why why = {{0}};
    struct log_file_writer *w;
    *f = (struct log_file_facts){.cluster = owner.cluster, .first = first};
    assert_int_equal(log_file_create(&w, path, f, &why), 0);
    for (uint64_t i = first; i <= last; i++) {
        struct log_entry e = entry(i);
        assert_int_equal(log_file_add(w, &e, &why), 0);
    }
    assert_int_equal(log_file_finish(w, f, &why), 0);
}

static void F45_a_log_file_gives_back_what_was_written(void **state)
{
    struct store_why why = {{0}};
    struct log_file_facts f;
    struct log_file *file;
    struct log_page page;
    (void)state;
    const char *path = store_tmp_path("one");
    write_file(path, 7, 200, &f);
    assert_int_equal(log_file_open(&file, path, &why), 0);
    assert_int_equal(log_file_facts(file)->last, 200);
    assert_int_equal(log_file_facts(file)->last_term, 6);
    log_page_init(&page);
    for (uint64_t at = 7; at <= 200;) {
        int got = log_file_read(file, at, 13, 1 << 20, &page, &why);
        assert_true(got > 0 && got <= 13);
        for (int i = 0; i < got; i++)
            assert_entry(&page.entries[i], at++);
    }
    for (uint64_t at = 200; at >= 7; at -= 7) { /* and from anywhere */
        assert_int_equal(log_file_read(file, at, 1, 1, &page, &why), 1);
        assert_entry(&page.entries[0], at);
    }
    assert_int_equal(log_file_read(file, 6, 1, 1, &page, &why), 0);
    assert_int_equal(log_file_read(file, 201, 1, 1, &page, &why), 0);
    log_page_close(&page);
    log_file_close(file);
}

static void F45_an_entry_that_does_not_follow_is_refused(void **state)
{
    struct store_why why = {{0}};
    struct log_file_facts f = {.cluster = owner.cluster, .first = 5};
    struct log_file_writer *w;
    (void)state;
    const char *path = store_tmp_path("order");
    assert_int_equal(log_file_create(&w, path, &f, &why), 0);
    struct log_entry e = entry(6);
    assert_int_equal(log_file_add(w, &e, &why), -EUCLEAN);
    e = entry(5);
    assert_int_equal(log_file_add(w, &e, &why), 0);
    e = entry(6);
    e.term = 0;
    assert_int_equal(log_file_add(w, &e, &why), -EUCLEAN);
    log_file_abandon(w);
    assert_int_equal(access(path, F_OK), -1);
}

/* Opens and reads all; 0 or the refusal. */
static int read_all(const char *path)
{
    struct store_why why = {{0}};
    struct log_file *file;
    struct log_page page;
    int got = log_file_open(&file, path, &why);
    if (got)
        return got;
    log_page_init(&page);
    uint64_t at = log_file_facts(file)->first, last = log_file_facts(file)->last;
    while (at <= last && (got = log_file_read(file, at, 100, 1 << 20, &page, &why)) > 0)
        at += (uint64_t)got;
    log_page_close(&page);
    log_file_close(file);
    return got < 0 ? got : 0;
}

static void F45_every_changed_byte_and_every_cut_of_a_log_file_is_found(void **state)
{
    struct log_file_facts f;
    uint8_t whole[4096];
    (void)state;
    const char *path = store_tmp_path("small"), *copy = store_tmp_path("changed");
    write_file(path, 1, 2, &f);
    FILE *in = fopen(path, "rb");
    size_t n = fread(whole, 1, sizeof whole, in);
    (void)fclose(in);
    assert_true(n > 100 && n == f.file_bytes);
    assert_int_equal(read_all(path), 0);
    for (size_t i = 0; i < n; i++) {
        FILE *out = fopen(copy, "wb");
        whole[i] ^= 0x10;
        assert_int_equal(fwrite(whole, 1, n, out), n);
        (void)fclose(out);
        whole[i] ^= 0x10;
        int rv = read_all(copy);
        assert_true(rv == -EUCLEAN || rv == -ENOTSUP);
    }
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(truncate(copy, 0), 0);
        FILE *out = fopen(copy, "wb");
        assert_int_equal(fwrite(whole, 1, i, out), i);
        (void)fclose(out);
        assert_int_equal(read_all(copy), -EUCLEAN);
    }
}

/* ---- archives ---- */

static struct log_store *make_log(const char *name, uint64_t last)
{
    struct store_why why = {{0}};
    struct log_store *log;
    const struct log_store_config config = {.segment_bytes = 256 * 1024};
    assert_int_equal(log_store_open(&log, store_tmp_path(name), LOG_STORE_WRITE, &config, &why), 0);
    for (uint64_t i = 1; i <= last; i++) {
        struct log_entry e = entry(i);
        struct log_append a = {&e, 1};
        assert_int_equal(log_store_append(log, &a, 1, &why), 0);
    }
    return log;
}

static void archive_sealed(const char *dir, struct log_store *log)
{
    struct store_why why = {{0}};
    struct archive *a;
    struct log_span span;
    assert_int_equal(archive_open(&a, dir, ARCHIVE_WRITE, &why), 0);
    for (unsigned i = 0; log_store_span(log, i, &span) && span.sealed; i++)
        assert_int_equal(archive_add(a, log, &owner, span.last, NULL, &why), 0);
    archive_close(a);
}

static void F45_an_archive_holds_the_sealed_segments_and_goes_on_where_it_ended(void **state)
{
    struct store_why why = {{0}};
    struct archive *a, *second;
    struct log_page page;
    (void)state;
    const char *dir = store_tmp_path("a1");
    struct log_store *log = make_log("log1", 60);
    archive_sealed(dir, log);
    archive_sealed(dir, log); /* nothing new: nothing is added */
    assert_int_equal(archive_open(&a, dir, ARCHIVE_WRITE, &why), 0);
    unsigned files = archive_files(a);
    assert_int_equal(archive_first(a), 1);
    assert_int_equal(files, log_store_segments(log) - 1);
    assert_int_equal(archive_open(&second, dir, ARCHIVE_WRITE, &why), -EBUSY);
    archive_close(a);
    for (uint64_t i = 61; i <= 120; i++) {
        struct log_entry e = entry(i);
        struct log_append append = {&e, 1};
        assert_int_equal(log_store_append(log, &append, 1, &why), 0);
    }
    archive_sealed(dir, log);
    assert_int_equal(archive_open(&a, dir, ARCHIVE_READ, &why), 0);
    assert_true(archive_files(a) > files);
    assert_int_equal(archive_verify(a, NULL, &why), 0);
    log_page_init(&page);
    for (uint64_t at = 1; at <= archive_last(a);) {
        int got = archive_read(a, at, 100, 1 << 20, &page, &why);
        assert_true(got > 0);
        for (int i = 0; i < got; i++)
            assert_entry(&page.entries[i], at++);
    }
    assert_int_equal(archive_read(a, archive_last(a) + 1, 1, 1, &page, &why), 0);
    log_page_close(&page);
    archive_close(a);
    log_store_close(log);
}

static void F45_files_taken_out_put_in_or_exchanged_are_found(void **state)
{
    struct store_why why = {{0}};
    struct archive *a;
    char name[32], path[PATH_MAX], other[PATH_MAX];
    struct log_file_facts f;
    (void)state;
    const char *dir = store_tmp_path("a2");
    struct log_store *log = make_log("log2", 100);
    archive_sealed(dir, log);
    log_store_close(log);
    assert_int_equal(archive_open(&a, dir, ARCHIVE_READ, &why), 0);
    assert_true(archive_files(a) >= 3);
    archive_name(a, 1, name);
    const struct log_file_facts was = *archive_facts(a, 1);
    archive_close(a);

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    (void)snprintf(other, sizeof other, "%s/aside", store_tmp_root);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(archive_open(&a, dir, ARCHIVE_READ, &why), -EUCLEAN);
    assert_non_null(strstr(why.text, "missing"));

    write_file(path, was.first, was.last, &f); /* the same entries, but not in the chain */
    assert_int_equal(archive_open(&a, dir, ARCHIVE_READ, &why), -EUCLEAN);
    assert_non_null(strstr(why.text, "exchanged"));

    assert_int_equal(rename(other, path), 0);
    assert_int_equal(archive_open(&a, dir, ARCHIVE_READ, &why), 0);
    store_tmp_damage(path, 400, 3); /* in a block: found when it is read */
    assert_int_equal(archive_verify(a, NULL, &why), -EUCLEAN);
    archive_close(a);
    assert_int_equal(archive_open(&a, store_tmp_path("nowhere"), ARCHIVE_READ, &why), -ENOENT);
}

static void F45_an_archive_takes_only_its_own_history(void **state)
{
    static const struct archive_owner stranger = {{{1}}, 0};
    struct store_why why = {{0}};
    struct archive *a;
    struct log_store *late;
    (void)state;
    const char *dir = store_tmp_path("a3");
    struct log_store *log = make_log("log3", 60);
    archive_sealed(dir, log);
    assert_int_equal(archive_open(&a, dir, ARCHIVE_WRITE, &why), 0);
    assert_int_equal(archive_add(a, log, &stranger, 60, NULL, &why), -EXDEV);
    assert_int_equal(log_store_open(&late, store_tmp_path("late"), LOG_STORE_WRITE, NULL, &why), 0);
    struct log_entry e = entry(archive_last(a) + 2);
    struct log_append append = {&e, 1};
    assert_int_equal(log_store_append(late, &append, 1, &why), 0);
    assert_int_equal(archive_add(a, late, &owner, e.index, NULL, &why), -ERANGE);
    log_store_close(late);
    e = entry(archive_last(a));
    e.term++;
    assert_int_equal(log_store_append(log, &append, 1, &why), 0); /* another history */
    assert_int_equal(archive_add(a, log, &owner, e.index, NULL, &why), -EXDEV);
    archive_close(a);
    log_store_close(log);
}

/* ---- retention, and the thread ---- */

static void F45_retention_by_size_and_age_never_wants_what_is_not_archived(void **state)
{
    (void)state;
    struct log_store *log = make_log("log4", 120);
    struct log_span first, second, last;
    unsigned n = log_store_segments(log);
    assert_true(n >= 4 && log_store_span(log, 0, &first) && log_store_span(log, 1, &second) &&
                log_store_span(log, n - 1, &last));
    struct archive_thread_config c = {.archive = "x"};
    int64_t now = first.written_s + 7200;
    assert_int_equal(archive_wanted(log, &c, 1000, now), 0); /* no rule: all of it */
    c.keep_s = 3600;
    assert_int_equal(archive_wanted(log, &c, 0, now), 0); /* nothing is archived */
    assert_int_equal(archive_wanted(log, &c, first.last, now), first.last + 1);
    assert_int_equal(archive_wanted(log, &c, first.last + 1, now), first.last + 1);
    assert_int_equal(archive_wanted(log, &c, 1000, now), last.first); /* never what is written to */
    assert_int_equal(archive_wanted(log, &c, 1000, first.written_s + 10), 0);
    c = (struct archive_thread_config){.keep_bytes = log_store_bytes(log) - first.bytes,
                                       .trim_unarchived = true};
    assert_int_equal(archive_wanted(log, &c, 0, 0), second.first);
    c.keep_bytes = log_store_bytes(log);
    assert_int_equal(archive_wanted(log, &c, 0, 0), 0);
    log_store_close(log);
}

struct watcher {
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    uint64_t wanted, archived;
    unsigned failed;
};

static void on_wanted(void *ctx, uint64_t first)
{
    struct watcher *w = ctx;
    pthread_mutex_lock(&w->mutex);
    w->wanted = first;
    pthread_cond_signal(&w->moved);
    pthread_mutex_unlock(&w->mutex);
}

static void on_archived(void *ctx, uint64_t first, uint64_t last)
{
    struct watcher *w = ctx;
    pthread_mutex_lock(&w->mutex);
    assert_int_equal(first, w->archived + 1);
    w->archived = last;
    pthread_mutex_unlock(&w->mutex);
}

static void on_failed(void *ctx, const char *text)
{
    struct watcher *w = ctx;
    assert_non_null(strstr(text, "another cluster"));
    pthread_mutex_lock(&w->mutex);
    w->failed++;
    pthread_cond_signal(&w->moved);
    pthread_mutex_unlock(&w->mutex);
}

static void F45_the_thread_archives_what_is_sealed_and_applied(void **state)
{
    (void)state;
    struct watcher w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0};
    struct archive_thread *t;
    struct log_store *log = make_log("log5", 120);
    struct log_span second;
    char dir[PATH_MAX];
    (void)snprintf(dir, sizeof dir, "%s/a5", store_tmp_root);
    assert_true(log_store_span(log, 1, &second) && log_store_segments(log) > 3);
    struct archive_thread_config c = {.archive = dir,
                                      .owner = owner,
                                      .keep_bytes = 1,
                                      .every_ms = 5,
                                      .ctx = &w,
                                      .on_wanted = on_wanted,
                                      .on_archived = on_archived,
                                      .on_failed = on_failed};
    assert_int_equal(archive_thread_start(&t, log, &c), 0);
    archive_thread_applied(t, second.last); /* what is behind is not applied yet */
    pthread_mutex_lock(&w.mutex);
    while (w.wanted == 0)
        pthread_cond_wait(&w.moved, &w.mutex);
    assert_int_equal(w.archived, second.last);
    assert_int_equal(w.wanted, second.last + 1);
    pthread_mutex_unlock(&w.mutex);
    archive_thread_stop(t);

    c.owner.cluster.b[0] = 1; /* a stranger's log: told once, and nothing is trimmed for it */
    w.wanted = 0;
    assert_int_equal(archive_thread_start(&t, log, &c), 0);
    archive_thread_applied(t, 120);
    pthread_mutex_lock(&w.mutex);
    while (w.failed == 0)
        pthread_cond_wait(&w.moved, &w.mutex);
    pthread_mutex_unlock(&w.mutex);
    archive_thread_stop(t);
    assert_int_equal(w.failed, 1);
    assert_int_equal(w.wanted, 0);
    log_store_close(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F45_a_log_file_gives_back_what_was_written),
        cmocka_unit_test(F45_an_entry_that_does_not_follow_is_refused),
        cmocka_unit_test(F45_every_changed_byte_and_every_cut_of_a_log_file_is_found),
        cmocka_unit_test(F45_an_archive_holds_the_sealed_segments_and_goes_on_where_it_ended),
        cmocka_unit_test(F45_files_taken_out_put_in_or_exchanged_are_found),
        cmocka_unit_test(F45_an_archive_takes_only_its_own_history),
        cmocka_unit_test(F45_retention_by_size_and_age_never_wants_what_is_not_archived),
        cmocka_unit_test(F45_the_thread_archives_what_is_sealed_and_applied),
    };
    return cmocka_run_group_tests(tests, store_tmp_setup, store_tmp_teardown);
}
