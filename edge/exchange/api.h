/* SPDX-License-Identifier: Apache-2.0
 * One API of a provider (chat completions, completions, embeddings ...): how its requests are read,
 * bounded and edited, and how its answers tell what they cost. An exchange knows only this table,
 * so that a further API is a further file. All functions are pure; the thread is the worker's.
 */
#ifndef HOLDFAST_EDGE_API_H
#define HOLDFAST_EDGE_API_H

#include "edge/config.h"
#include "edge/exchange/error.h"
#include "edge/exchange/json.h"
#include "edge/exchange/usage.h"

enum {
    EDGE_CHOICES_MAX = 128,            /* `n`, `best_of` */
    EDGE_OUTPUT_MAX = 100000000,       /* a client's output bound, tokens */
    EDGE_OVERHEAD_TOKENS = 64,         /* of a call, on top of one token a byte */
    EDGE_MESSAGE_OVERHEAD_TOKENS = 16, /* of a message */
    EDGE_TOOLS_OVERHEAD_TOKENS = 1024, /* of the text that a provider adds where there are tools */
    EDGE_PART_MEMBERS_MAX = 32,        /* members of a message, a content part, a tool */
};

/* What was read of a request's body. The body must outlive it. */
struct edge_call {
    const char *body;
    size_t body_len;
    yyjson_doc *doc;
    yyjson_val *root;
    char model[PROTO_NAME_MAX + 1];
    char customer[PROTO_NAME_MAX + 1];
    bool stream;
    bool wants_usage;      /* the client asked for the usage chunk itself */
    bool bounds_output;    /* the API has an output to bound */
    int64_t choices;       /* answers asked for */
    int64_t max_output;    /* of each; 0: the client set none */
    int64_t extra_output;  /* billed as output beyond that */
    int64_t input_tokens;  /* upper bound */
    uint8_t class;         /* asked for */
    const char *unbounded; /* static: the part without a bound; NULL: none */
};

struct edge_api {
    const char *path;          /* of the edge: "/v1/chat/completions" */
    const char *upstream_path; /* behind the provider's base_url */
    /* Fills the call from call->root, an object without doubled members. False: error is set. */
    bool (*read)(struct edge_call *call, struct edge_error *error);
    /* The places where the forwarded body differs from the client's. False: error is set. */
    bool (*edit)(const struct edge_call *call, const struct edge_route *route, int64_t max_output,
                 struct edge_edits *edits, struct edge_error *error);
    /* The data of one event. True: to be hidden from this client. */
    bool (*event)(const struct edge_call *call, struct edge_meter *meter, const char *data,
                  size_t n);
    /* A whole answer. */
    void (*answer)(struct edge_meter *meter, const char *body, size_t n);
};

extern const struct edge_api edge_api_chat;
extern const struct edge_api edge_api_completions;
extern const struct edge_api edge_api_embeddings;

/* Parses the body and reads what every API has: doubles are refused, model, user, metadata. Then
 * api->read. The call is to be closed whatever the outcome. */
bool edge_call_read(struct edge_call *call, const struct edge_api *api, const char *body, size_t n,
                    struct edge_error *error);
/* Lets go of what was parsed, which is far larger than the body; what was read of it stays. */
void edge_call_close(struct edge_call *call);
/* Parses again what was closed, for edge_call_edit. False: error is set. */
bool edge_call_reopen(struct edge_call *call, struct edge_error *error);
/* The output bound that the forwarded request carries. model_max: the catalogue's, 0: unknown. */
int64_t edge_call_max_output(const struct edge_call *call, const struct edge_route *route,
                             const struct edge_config *config, uint32_t model_max);
/* What is forwarded: the edited text in *out, or nothing there where the client's own bytes are
 * forwarded. False: error is set. */
bool edge_call_edit(const struct edge_call *call, const struct edge_api *api,
                    const struct edge_route *route, int64_t max_output, struct base_buf *out,
                    struct edge_error *error);
/* An upper bound of the call's cost. 0 or -ERANGE. */
__attribute__((warn_unused_result)) int edge_call_bound(const struct edge_call *call,
                                                        size_t forwarded_bytes, int64_t max_output,
                                                        const struct proto_point *points,
                                                        uint32_t n_points, int64_t *nanos);

/* For the APIs' own files. */
bool edge_call_refuse(struct edge_error *error, const char *param, const char *code,
                      const char *message);
/* A member that is a whole number in [min, max]; absent or null leaves *out. */
bool edge_call_number(yyjson_val *root, const char *name, int64_t min, int64_t max, int64_t *out,
                      struct edge_error *error);
/* Refuses an object in which another parser could see another value than ours does: a member that
 * stands twice, or whose name differs from one that is read here in case only. More than `max`
 * members are refused, too. What is no object passes. */
bool edge_call_keys(yyjson_val *object, const char *param, size_t max, struct edge_error *error);
/* Sets call->unbounded for members that let a provider bill what the body does not bound. */
void edge_call_read_unbounded(struct edge_call *call);
/* stream and stream_options.include_usage. */
bool edge_call_read_stream(struct edge_call *call, struct edge_error *error);
void edge_call_edit_stream(const struct edge_call *call, const struct edge_members *members,
                           struct edge_edits *edits);
/* Inserts `field`: max_output, or gives a null member that value. */
void edge_call_edit_bound(const struct edge_call *call, const struct edge_members *members,
                          const char *field, int64_t max_output, struct edge_edits *edits);
/* The events and answers of the OpenAI shape. */
bool edge_openai_event(const struct edge_call *call, struct edge_meter *meter, const char *data,
                       size_t n);
void edge_openai_answer(struct edge_meter *meter, const char *body, size_t n);

#endif
