/* SPDX-License-Identifier: Apache-2.0
 * An event stream cut anywhere: however it is cut, the same bytes come out and the judge sees the
 * same events; nothing hidden comes out whole, and with nothing hidden nothing is changed. The
 * first bytes are the cuts.
 */
#include "edge/exchange/sse.h"
#include "tests/fuzz/fuzz.h"

struct seen {
    uint64_t hash;
    bool hide;
};

static bool judge(void *arg, const char *data, size_t n)
{
    struct seen *seen = arg;
    seen->hash = seen->hash * 31 + n;
    for (size_t i = 0; i < n; i++)
        seen->hash = seen->hash * 31 + (uint8_t)data[i];
    return seen->hide && n > 0 && data[0] == 'h';
}

static void pass(const uint8_t *p, size_t n, const uint8_t *cuts, size_t n_cuts, struct seen *seen,
                 struct base_buf *out)
{
    struct edge_sse s;
    edge_sse_init(&s, judge, seen);
    base_buf_init(out, 0);
    for (size_t i = 0; n > 0; i++) {
        const size_t want = n_cuts > 0 && i < 64 ? 1U + cuts[i % n_cuts] % 32 : n;
        const size_t piece = want < n ? want : n;
        uint8_t *exact = fuzz_copy(p, piece);
        FUZZ_HOLDS(edge_sse_feed(&s, (const char *)exact, piece, out) == 0);
        free(exact);
        p += piece;
        n -= piece;
    }
    FUZZ_HOLDS(edge_sse_finish(&s, out) == 0);
    edge_sse_close(&s);
}

static bool equal(struct base_buf *a, const void *p, size_t n)
{
    return base_buf_len(a) == n && (n == 0 || memcmp(base_buf_at(a), p, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct base_buf whole, cut;
    const size_t n_cuts = n > 8 ? 8 : 0;
    const uint8_t *text = data + n_cuts;
    for (int hide = 0; hide < 2; hide++) {
        struct seen a = {.hide = hide}, b = {.hide = hide};
        pass(text, n - n_cuts, NULL, 0, &a, &whole);
        pass(text, n - n_cuts, data, n_cuts, &b, &cut);
        FUZZ_HOLDS(a.hash == b.hash);
        FUZZ_HOLDS(equal(&cut, base_buf_at(&whole), base_buf_len(&whole)));
        FUZZ_HOLDS(hide || equal(&whole, text, n - n_cuts));
        base_buf_close(&whole);
        base_buf_close(&cut);
    }
    return 0;
}
