/* SPDX-License-Identifier: Apache-2.0
 * A client's request frame from the wire to its answer: decoded, sealed, queued, merged into
 * an entry, answered. The first byte says how: whole bytes as they are, or commands made of the
 * bytes. No secret of a made command may stand in the entry.
 */
#include "ledger/intake.h"
#include "tests/fuzz/fill.h"

static const struct proto_uuid cluster = {.b = {1}};
static unsigned completed;

static void on_complete(void *ctx, struct serve_request *r, enum proto_reply_status status)
{
    (void)ctx, (void)status;
    completed++;
    serve_request_free(r);
}

static struct net_frame *raw_frame(struct fuzz_source *s)
{
    return net_frame_of(s->p, s->n);
}

static struct net_frame *made_frame(struct fuzz_source *s)
{
    static uint8_t frame[PROTO_FRAME_MAX];
    uint8_t one[PROTO_COMMAND_MAX];
    const uint32_t n = fuzz_byte(s) % 16;
    struct proto_writer w = proto_writer_over(frame, sizeof frame);
    const struct proto_request_head head = {
        .version = PROTO_FRAME_VERSION, .cluster = cluster, .kind = fuzz_byte(s) % 4};
    proto_request_begin(&w, &head, n);
    for (uint32_t i = 0; i < n; i++) {
        struct proto_command c;
        struct proto_writer cw = proto_writer_over(one, sizeof one);
        fill_command(s, &c);
        if (!proto_command_put(&cw, &c))
            cw.n = 0;
        proto_put_bin(&w, one, cw.n);
    }
    return net_frame_of(frame, w.n);
}

/* The secrets of fill_secret, in clear. */
static void no_secret(const uint8_t *p, size_t n)
{
    for (unsigned i = 1; i < FILL_POOL; i++) {
        const struct proto_hash secret = fill_secret(i);
        FUZZ_HOLDS(!memmem(p, n, secret.b, sizeof secret.b));
    }
}

static void fly(struct intake *in, uint64_t index)
{
    static struct core_item items[PROTO_BATCH_COMMANDS];
    static uint8_t results[PROTO_RESULT_MAX];
    static const struct proto_hash chain = {.b = {9}};
    const struct proto_batch_header header = {.format = PROTO_LOG_FORMAT, .machine = 1};
    struct proto_batch b;
    const size_t n = intake_fill(in, &header, 1000);
    FUZZ_HOLDS(n <= INTAKE_PAYLOAD_MAX && proto_batch_open(&b, in->payload, n));
    struct proto_str bytes;
    for (uint32_t i = 0; i < b.n; i++) {
        struct proto_command c;
        const char *why;
        FUZZ_HOLDS(proto_batch_next(&b, &bytes));
        FUZZ_HOLDS(proto_command_get(bytes.p, bytes.n, &c, &why));
        items[i] = (struct core_item){0, 1};
    }
    intake_fly(in, index, 1);
    const struct core_outcome outcome = {.n = b.n, .items = items, .results = results};
    FUZZ_HOLDS(intake_applied(in, index, 1, &chain, &outcome) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_source s = {data, n};
    struct serve_refusal refusal;
    const uint8_t how = fuzz_byte(&s);
    struct net_frame *f = how & 1 ? made_frame(&s) : raw_frame(&s);
    FUZZ_HOLDS(f != NULL);
    struct serve_request *r = serve_request_open(f, &cluster, 0, &refusal);
    if (!r) {
        FUZZ_HOLDS(refusal.detail[0] && refusal.status != PROTO_REPLY_done);
        net_frame_free(f);
        return 0;
    }
    if (how & 1)
        no_secret(r->frame->bytes, r->frame->len);
    if (r->kind != PROTO_REQUEST_COMMANDS) {
        serve_request_free(r);
        return 0;
    }
    struct intake in;
    const struct intake_calls calls = {.on_complete = on_complete};
    FUZZ_HOLDS(intake_init(&in, &calls) == 0);
    completed = 0;
    FUZZ_HOLDS(intake_offer(&in, r));
    for (uint64_t index = 2; intake_waiting(&in) > 0; index++)
        fly(&in, index);
    intake_drop_all(&in, PROTO_REPLY_unavailable);
    FUZZ_HOLDS(completed == 1);
    intake_close(&in);
    return 0;
}
