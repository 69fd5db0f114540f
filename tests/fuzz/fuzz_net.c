/* SPDX-License-Identifier: Apache-2.0
 * Clear text of a connection into frames (proto/net/conn.c, whose inside is included here): cut
 * into pieces anyhow, the frames are the ones that stand in the bytes; none is longer than is
 * taken; what a length claims takes no memory before bytes have come.
 */
#include "proto/net/conn.c"

#include "tests/fuzz/fuzz.h"

enum { FRAME_MAX = 40000, FRAMES_MAX = 4096 };

static struct {
    const uint8_t *p; /* all that was sent */
    size_t n, at;     /* frames up to here were delivered */
    unsigned frames;
    bool closed;
} sent;

static void on_frame(void *ctx, struct net_conn *c, struct net_frame *f)
{
    (void)ctx, (void)c;
    FUZZ_HOLDS(f->len <= FRAME_MAX && sent.n - sent.at >= NET_FRAME_HEAD + f->len);
    FUZZ_HOLDS(get_u32(sent.p + sent.at) == f->len && get_u32(sent.p + sent.at + 4) == f->tag);
    FUZZ_HOLDS(memcmp(sent.p + sent.at + NET_FRAME_HEAD, f->bytes, f->len) == 0);
    sent.at += NET_FRAME_HEAD + f->len;
    sent.frames++;
    net_frame_free(f);
}

static void on_closed(void *ctx, struct net_conn *c, const char *cause)
{
    (void)ctx, (void)c;
    FUZZ_HOLDS(cause != NULL);
    sent.closed = true;
}

static struct net_conn *connect_to(struct net_loop *l)
{
    struct net_conn *c = calloc(1, sizeof *c);
    FUZZ_HOLDS(c && uv_tcp_init(l->uv, &c->tcp) == 0);
    c->loop = l;
    c->state = NET_CONN_OPEN;
    c->config = (struct net_conn_config){.frame_max = FRAME_MAX,
                                         .calls = {.on_frame = on_frame, .on_closed = on_closed}};
    c->tcp.data = c;
    base_buf_init(&c->unread, UNREAD_MAX);
    base_buf_init(&c->out, 0);
    base_buf_init(&c->inflight, 0);
    LIST_INSERT_HEAD(&l->conns, c, entry);
    l->handles++;
    return c;
}

/* As decrypt does with what the engine has; a piece is on the heap at its size. */
static bool feed_piece(struct net_conn *c, const uint8_t *p, size_t n)
{
    uint8_t *piece = fuzz_copy(p, n);
    for (size_t at = 0; at < n;) {
        const size_t used = take(c, piece + at, n - at);
        if (used == 0) {
            free(piece);
            return false;
        }
        at += used;
        if (c->frame && c->frame_got == c->frame->len)
            deliver(c);
        FUZZ_HOLDS(!c->frame || c->frame_room <= 2 * (size_t)c->frame_got + FRAME_FIRST_ROOM);
    }
    free(piece);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct net_loop l;
    struct fuzz_source s = {data, n};
    if (!l.uv) {
        l.uv = uv_default_loop();
        l.handles = 1;
        LIST_INIT(&l.conns);
        STAILQ_INIT(&l.dirty);
    }
    const uint64_t cut = 1 + fuzz_number(&s, 2) % 300;
    sent.p = s.p;
    sent.n = s.n;
    sent.at = sent.frames = 0;
    sent.closed = false;
    struct net_conn *c = connect_to(&l);
    bool open = true;
    for (size_t at = 0; at < s.n && open && sent.frames < FRAMES_MAX;) {
        size_t piece = 1 + (at * 7 + cut) % cut;
        piece = piece < s.n - at ? piece : s.n - at;
        open = feed_piece(c, s.p + at, piece);
        at += piece;
    }
    FUZZ_HOLDS(open == (c->state == NET_CONN_OPEN));
    if (!open) /* the frame that comes next claims too much */
        FUZZ_HOLDS(get_u32(sent.p + sent.at) > FRAME_MAX);
    else if (sent.frames < FRAMES_MAX && sent.n - sent.at >= NET_FRAME_HEAD)
        FUZZ_HOLDS(sent.n - sent.at < NET_FRAME_HEAD + (size_t)get_u32(sent.p + sent.at));
    end(c, "the input is over");
    (void)uv_run(l.uv, UV_RUN_NOWAIT);
    FUZZ_HOLDS(sent.closed && LIST_EMPTY(&l.conns));
    return 0;
}
