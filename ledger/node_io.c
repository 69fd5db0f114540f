/* SPDX-License-Identifier: Apache-2.0
 * Effects of the deciding part: the log and checkpoint threads, LMDB, sockets. Loop thread.
 */
#include "ledger/node_host.h"

#include "ledger/store/data_mark.h"
#include "proto/base/check.h"
#include "proto/link/client.h"

#include <errno.h>
#include <sys/statvfs.h>

static int save_term(void *ctx, uint64_t term, uint64_t voted_for, struct store_why *why)
{
    struct node_host *h = ctx;
    return vote_store_save(h->dir.vote, term, voted_for, why);
}

static int append(void *ctx, const struct log_entry *entries, unsigned n)
{
    struct node_host *h = ctx;
    return log_thread_append(h->log, entries, n);
}

static int read_entries(void *ctx, uint64_t first, unsigned n, size_t max_bytes,
                        const struct log_entry **out, struct store_why *why)
{
    struct node_host *h = ctx;
    int rv = log_store_read(h->dir.log, first, n, max_bytes, &h->page, why);
    *out = h->page.entries;
    return rv;
}

static void send_message(void *ctx, uint64_t peer, const void *head, size_t head_len,
                         const void *body, size_t body_len)
{
    struct node_host *h = ctx;
    if (h->peers)
        peers_send(h->peers, peer, head, head_len, body, body_len);
}

static void learn(void *ctx, uint64_t peer, const char *address)
{
    struct node_host *h = ctx;
    peers_learn(h->peers, peer, address);
}

static void redial(void *ctx, uint64_t peer)
{
    struct node_host *h = ctx;
    peers_redial(h->peers, peer);
}

static int write_checkpoint(void *ctx, const struct state_changes *changes,
                            const struct state_meta *meta)
{
    struct node_host *h = ctx;
    int rv = checkpoint_thread_write(h->checkpointer, changes, meta);
    CHECK(rv != -EBUSY); /* one at a time: the node knows when it is done */
    return rv;
}

static int get(void *ctx, const void *key, size_t klen, const void **value, size_t *vlen)
{
    struct node_host *h = ctx;
    return state_reader_get(&h->reader, key, klen, value, vlen);
}

static int scan(void *ctx, const void *prefix, size_t plen, const void *from, size_t flen,
                state_visit *visit, void *arg)
{
    struct node_host *h = ctx;
    return state_reader_scan(&h->reader, prefix, plen, from, flen, visit, arg);
}

static int refresh(void *ctx)
{
    struct node_host *h = ctx;
    return state_reader_refresh(&h->reader);
}

static void reply(void *ctx, struct serve_request *r, struct net_frame *f)
{
    (void)ctx;
    serve_port_answer(r, f);
}

static void trim(void *ctx, uint64_t first)
{
    struct node_host *h = ctx;
    log_thread_trim(h->log, first);
}

static void random_bytes(void *ctx, void *p, size_t n)
{
    (void)ctx;
    link_random(p, n);
}

static int room(void *ctx, uint64_t *free_bytes, uint64_t *total_bytes)
{
    struct node_host *h = ctx;
    struct statvfs v;
    if (statvfs(h->node.config->data, &v) != 0)
        return -errno;
    *free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
    *total_bytes = (uint64_t)v.f_blocks * v.f_frsize;
    return 0;
}

static int mark(void *ctx, const char *text, struct store_why *why)
{
    struct node_host *h = ctx;
    return data_mark_write(h->node.config->data, text, why);
}

struct node_io node_host_io(struct node_host *h)
{
    return (struct node_io){.ctx = h,
                            .save_term = save_term,
                            .append = append,
                            .read_entries = read_entries,
                            .send = send_message,
                            .learn = learn,
                            .redial = redial,
                            .write_checkpoint = write_checkpoint,
                            .get = get,
                            .scan = scan,
                            .refresh = refresh,
                            .reply = reply,
                            .trim = trim,
                            .random = random_bytes,
                            .room = room,
                            .mark = mark};
}
