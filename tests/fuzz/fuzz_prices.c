/* SPDX-License-Identifier: Apache-2.0
 * Price catalogues from outside: refused with a cause, or turned into rows that are valid, encode,
 * and have no name twice.
 */
#include "tests/fuzz/fuzz.h"
#include "tools/prices/prices.h"

static void rows(const struct prices *p)
{
    uint8_t out[PROTO_PRICE_MAX];
    for (uint32_t i = 0; i < p->n_rows; i++) {
        const struct proto_price *price = &p->rows[i].price;
        struct proto_writer w = proto_writer_over(out, sizeof out);
        FUZZ_HOLDS(!proto_price_valid(price));
        proto_price_put(&w, price);
        FUZZ_HOLDS(!w.full);
        FUZZ_HOLDS(prices_find(p, price->model) == price);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct prices p;
    char error[PRICES_ERROR_MAX] = "";
    uint8_t *exact = fuzz_copy(data, n);
    const int rv = prices_open(&p, exact, n, "2026-01-01", error);
    free(exact); /* the rows are their own */
    if (rv != 0) {
        FUZZ_HOLDS(error[0]);
        return 0;
    }
    rows(&p);
    if (p.format == PRICES_GENAI) {
        struct proto_price out;
        const int found =
            prices_genai_match(&p, proto_str_of("openai"), proto_str_of("gpt-4o"), &out);
        FUZZ_HOLDS(found != 0 || !proto_price_valid(&out));
    }
    prices_close(&p);
    return 0;
}
