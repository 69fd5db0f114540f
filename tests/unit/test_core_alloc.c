/* SPDX-License-Identifier: Apache-2.0
 * F2: no memory at any allocation is a final -ENOMEM, never a crash and never half a result. The
 * allocator is wrapped at link time.
 */
#include "core_rig.h"

static long left = -1; /* allocations until one fails; < 0: none does */

static bool fails(void)
{
    return left >= 0 && left-- == 0;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

static void make_log(struct rig *g)
{
    rig_begin(g);
    g->keep_log = true;
    rig_open(g);
    rig_ready(g);
    pay(g, PROTO_CMD_deposit, USD(500), "ref");
    budget(g, PROTO_SCOPE_customer, 0, "*", PROTO_WINDOW_daily, USD(5), PROTO_MODE_hard_block);
    import_prices(g, 1, 1, true, "model-a");
    for (int i = 0; i < 1100; i++) { /* past the first size of every table */
        struct proto_command c = reserve_command(g, 100, USD(1) / 10);
        c.body.reserve.price_version = 1;
        assert_int_equal(apply(g, &c), PROTO_OK);
        if (i % 10 == 0)
            assert_int_equal(settle(g, c.head.id, 5), PROTO_OK);
    }
}

static void F2_no_memory_is_final_and_clean(void **state)
{
    (void)state;
    struct rig g;
    int failures = 0;
    make_log(&g);
    for (long at = 0;; at++) {
        struct core_machine *m;
        struct core_config config = {.cache_records = 100};
        struct core_outcome out;
        left = at;
        int rv = core_machine_new(&m, &config, NULL);
        for (size_t i = 0; i < g.log_n && rv == 0; i++) {
            rv = core_machine_apply(m, i + 1, 1, g.log[i].payload, g.log[i].n, &out);
            if (rv) {
                assert_true(core_machine_error(m)[0] != '\0');
                assert_int_equal(core_machine_apply(m, i + 1, 1, "", 0, &out), -ENOMEM);
            }
            if (rv || i + 1 == g.log_n)
                core_machine_free(m);
        }
        if (rv == 0)
            break;
        assert_int_equal(rv, -ENOMEM);
        failures++;
    }
    assert_true(failures > 15);
    left = -1;
    core_machine_free(g.m);
    rig_drop_log(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F2_no_memory_is_final_and_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
