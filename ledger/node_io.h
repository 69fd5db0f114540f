/* SPDX-License-Identifier: Apache-2.0
 * What a node's deciding part asks of the process around it. ledger/node_io.c answers with threads,
 * LMDB and sockets; the simulator with a simulated disk, network and clock. Nothing here may call
 * back into the node.
 *
 * Completion: append by one node_on_persisted per call, in order; write_checkpoint by one
 * node_on_checkpoint. Both only once the bytes would survive a power loss: everything that the node
 * promises stands on that. A failure that is found later ends the process instead.
 * Negative codes are final and `why` (where there is one) is filled in.
 */
#ifndef HOLDFAST_LEDGER_NODE_IO_H
#define HOLDFAST_LEDGER_NODE_IO_H

#include "ledger/serve/request.h"
#include "ledger/store/state_store.h"

struct node_io {
    void *ctx;
    /* Durable when it returns 0. */
    int (*save_term)(void *ctx, uint64_t term, uint64_t voted_for, struct store_why *why);
    /* The entries live until they are persisted. */
    int (*append)(void *ctx, const struct log_entry *entries, unsigned n);
    /* As log_store_read; *out lives until the next call. */
    int (*read_entries)(void *ctx, uint64_t first, unsigned n, size_t max_bytes,
                        const struct log_entry **out, struct store_why *why);
    /* To a peer, one message in two pieces. May be lost, must not block. */
    void (*send)(void *ctx, uint64_t peer, const void *head, size_t head_len, const void *body,
                 size_t body_len);
    /* Where a peer is reached, by the log's configuration. One that is known already stays where it
     * is. May be NULL. */
    void (*learn)(void *ctx, uint64_t peer, const char *address);
    /* The connection to the peer may be dead. */
    void (*redial)(void *ctx, uint64_t peer);
    /* The changes live until it is durable; meta is copied. One at a time. */
    int (*write_checkpoint)(void *ctx, const struct state_changes *changes,
                            const struct state_meta *meta);
    /* Records of the newest checkpoint that refresh has seen; as state_reader_get, _scan. */
    int (*get)(void *ctx, const void *key, size_t klen, const void **value, size_t *vlen);
    int (*scan)(void *ctx, const void *prefix, size_t plen, const void *from, size_t flen,
                state_visit *visit, void *arg);
    int (*refresh)(void *ctx);
    /* Ends the request with this reply (NULL: no memory for one) and frees both. */
    void (*reply)(void *ctx, struct serve_request *r, struct net_frame *reply);
    /* Unpredictable bytes. */
    void (*random)(void *ctx, void *p, size_t n);
    /* Whole segments of the log that end before `first` may be unlinked, by and by. May be NULL. */
    void (*trim)(void *ctx, uint64_t first);
    /* Of the data directory's file system; 0, or what is known stays. May be NULL. */
    int (*room)(void *ctx, uint64_t *free_bytes, uint64_t *total_bytes);
    /* Durably: this directory is not to be served again until an operator acts. May be NULL. */
    int (*mark)(void *ctx, const char *text, struct store_why *why);
};

#endif
