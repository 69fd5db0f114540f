/* SPDX-License-Identifier: Apache-2.0
 * One request of an edge or a tool, from its arrival at the client port to its reply. Made, checked
 * and sealed by the port; then the loop's alone until it is answered (port.h), which frees
 * it.
 */
#ifndef HOLDFAST_LEDGER_SERVE_REQUEST_H
#define HOLDFAST_LEDGER_SERVE_REQUEST_H

#include "proto/frame.h"
#include "proto/net/frame.h"

struct serve_request;

enum serve_state { SERVE_WAITING, SERVE_PROPOSED, SERVE_EXPIRED, SERVE_ANSWERED };

struct serve_command {
    struct serve_command *next; /* in a queue of the loop */
    struct serve_request *request;
    const uint8_t *p; /* sealed, in the request's frame */
    uint32_t n;
    bool urgent;  /* settle and release: before the others */
    bool heavy;   /* changes many records: may cost the machine a millisecond */
    uint8_t lane; /* of its org, or of its credential where it names none */
    enum serve_state state;
    int64_t deadline_us; /* 0: none */
    /* when answered: */
    uint64_t index;
    uint32_t ordinal;
    struct proto_hash chain;
    size_t result; /* offset in request.results */
    uint32_t result_n;
};

struct serve_request {
    struct serve_request *prev, *next; /* in a list of the loop */
    enum proto_request_kind kind;
    bool stale;
    bool proposed;                  /* at least one command went into an entry */
    unsigned left;                  /* commands without an outcome */
    unsigned expired;               /* commands dropped before they were proposed */
    uint64_t read_index, read_term; /* a query: answered when this entry is applied */
    struct net_frame *frame;
    struct proto_str query; /* sealed, in frame */
    uint8_t *results;       /* encoded results, in the order of arrival */
    size_t results_n, results_cap;
    unsigned n;
    struct serve_command commands[];
};

/* What a refused frame is answered with. */
struct serve_refusal {
    enum proto_reply_status status;
    char detail[PROTO_REASON_MAX];
};

/* Takes the frame on success. NULL: `refusal` says why, the frame is the caller's. */
struct serve_request *serve_request_open(struct net_frame *frame, const struct proto_uuid *cluster,
                                         uint16_t group, struct serve_refusal *refusal);
void serve_request_free(struct serve_request *r);

/* Sets one command's outcome; the bytes are copied. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int serve_command_answer(struct serve_command *c,
                                                             uint64_t index, uint32_t ordinal,
                                                             const struct proto_hash *chain,
                                                             const void *result, uint32_t n);
void serve_command_expire(struct serve_command *c);

#endif
