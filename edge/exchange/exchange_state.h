/* SPDX-License-Identifier: Apache-2.0
 * Private to the exchange's files: its states and its structure. exchange.c has the drawing.
 */
#ifndef HOLDFAST_EDGE_EXCHANGE_STATE_H
#define HOLDFAST_EDGE_EXCHANGE_STATE_H

#include "edge/exchange/exchange.h"
#include "edge/exchange/sse.h"

#define EDGE_ANSWER_MAX ((size_t)64 << 20)      /* a buffered answer; past it the call is stopped */
#define EDGE_ERROR_ANSWER_MAX ((size_t)1 << 20) /* a provider's error body */

enum {
    EDGE_DONE_GRACE_MS = 1000,   /* from a stream's end mark to the end of the call */
    EDGE_HOLD_MARGIN_MS = 60000, /* a hold outlives its call's timeout by this */
    EDGE_TOKEN_BYTES_MAX = 16,   /* of text; a longer one is rare */
    EDGE_FRAMING_BYTES = 2048,   /* of an answer that broke off, counted as text with the rest */
};

enum exchange_state {
    EX_READ,
    EX_AUTHENTICATE,
    EX_ESTIMATE,
    EX_RESERVE,
    EX_FORWARD,
    EX_RELAY,
    EX_SETTLE,
    EX_RELEASE,
    EX_DONE,
    EX_STATES,
};

enum relay_mode {
    RELAY_ANSWER, /* buffered, answered when it is settled */
    RELAY_STREAM,
    RELAY_ERROR, /* the provider's own error, buffered */
};

/* What the client gets when the hold has ended. */
enum exchange_finish {
    FINISH_ERROR,  /* x->error */
    FINISH_ANSWER, /* the provider's status and the buffered body */
    FINISH_STREAM, /* the closing comment, and the end */
    FINISH_BROKEN, /* the closing comment, and an end that shows as one */
};

struct edge_exchange {
    TAILQ_ENTRY(edge_exchange) entry;
    struct edge_context *ctx;
    struct edge_http_request *req;
    const struct edge_api *api;
    enum exchange_state state;
    enum exchange_finish finish;
    bool client_gone;
    uint64_t started_ms;
    uint64_t asked_us; /* uv_hrtime: when the ledger, or the provider, was asked */
    struct edge_error error;
    /* who and what */
    struct proto_hash cred;
    char public_part[PROTO_PUBLIC_MAX + 1];
    struct proto_hash idempotency; /* of the Idempotency-Key; none: there is none */
    char user[PROTO_NAME_MAX + 1], agent[PROTO_NAME_MAX + 1], env[PROTO_NAME_MAX + 1];
    uint8_t ip[PROTO_IP_MAX];
    uint32_t ip_len;
    struct edge_call call;
    const struct edge_route *route;
    struct base_buf forwarded; /* empty: the client's own bytes are forwarded */
    int64_t max_output;
    /* the hold */
    char price_model[PROTO_NAME_MAX + 1];
    int64_t amount_nanos;
    uint32_t flags, price_version;
    bool retried; /* with fresh prices */
    struct edge_prices_waiter waiter;
    struct proto_uuid hold, org;
    struct proto_hash token;
    bool held; /* the ledger holds money for us */
    /* the provider */
    struct upstream_call *up;
    enum relay_mode mode;
    int status;
    bool began; /* the client has the head of a stream */
    uint64_t done_at_ms;
    struct edge_meter meter;
    struct edge_sse sse;
    struct base_buf out;    /* of a stream: what one turn passes on */
    struct base_buf answer; /* buffered, with the fields that go with it */
    char content_type[128], request_id[128], retry_after[32];
    /* the end of the hold */
    struct edge_settlement *settlement;
    uint64_t wait_until_ms;
    bool pending; /* answered before the ledger had decided */
    bool decided;
    unsigned code; /* of that decision */
    int64_t charged_nanos;
    uint64_t index;
    uint32_t ordinal;
    struct proto_hash chain;
};

/* exchange.c: the one function that changes state. */
void exchange_move(struct edge_exchange *x, enum exchange_state next);
/* Refuses with x->error, before there is a hold; frees x. */
void exchange_refuse(struct edge_exchange *x);
void exchange_free(struct edge_exchange *x);
void exchange_stop_call(struct edge_exchange *x);
uint64_t exchange_now_us(void); /* monotonic */

/* admit.c */
void exchange_authenticate(struct edge_exchange *x);
void exchange_estimate(struct edge_exchange *x);

/* forward.c */
void exchange_forward(struct edge_exchange *x);
/* Stops the call to the provider and ends the hold by what is known. */
void exchange_stop(struct edge_exchange *x);

/* relay.c */
void exchange_relay_begin(struct edge_exchange *x);
/* False: the exchange was stopped, and may be gone. */
bool exchange_relay_bytes(struct edge_exchange *x);
/* Counts what a call brought that is stopped now (in EX_RELAY); while there is x->up. */
void exchange_relay_cut(struct edge_exchange *x);
/* The call ended in EX_RELAY. */
void exchange_relay_end(struct edge_exchange *x);

/* finish.c. Settle: `whole` false: the answer broke off. Both answer the client when the ledger has
 * decided, or settle_wait is over, and free x. */
void exchange_settle(struct edge_exchange *x, bool whole, enum exchange_finish finish);
void exchange_release(struct edge_exchange *x, enum exchange_finish finish);
void exchange_wait_over(struct edge_exchange *x);

/* answer.c */
void exchange_answer(struct edge_exchange *x);

#endif
