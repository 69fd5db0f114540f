/* SPDX-License-Identifier: Apache-2.0
 * One edge worker with the test's ledger behind it and holdfast-mock as its provider, all on
 * loopback at ports chosen at run time, and a small HTTP client.
 */
#ifndef HOLDFAST_TESTS_EDGE_RIG_H
#define HOLDFAST_TESTS_EDGE_RIG_H

#include "edge/worker.h"
#include "test_ledger.h"

#include <sys/types.h>

enum { RIG_WAIT_MS = 20000 };

struct rig {
    char folder[64];
    pid_t mock;
    unsigned mock_port, edge_port, dead_port;
    struct edge_config *config;
    struct edge_worker *worker;
    struct edge_metrics *metrics;
    char key[PROTO_KEY_TEXT_LEN + 1];
    uint32_t key_number;
    long bytes_a_second; /* how fast the client reads; 0: at once */
};

struct reply {
    int status;  /* 0: no answer */
    bool broken; /* the connection ended before the answer did */
    char *head;  /* all field lines, and trailers */
    char *body;
    size_t body_len;
};

/* Prices for "tiny" (input 1 $, output 2 $, cached 0.1 $ per million tokens) and $10 of credit. */
void rig_open(struct rig *rig, const char *extra_config);
void rig_close(struct rig *rig);
unsigned rig_drain(struct rig *rig); /* as SIGTERM; returns the abandoned holds */

/* POST (body not NULL) or GET. fields: lines, ended by NULL; may be NULL. leave_after: bytes after
 * which the client goes away (0: never). */
struct reply rig_ask(struct rig *rig, const char *path, const char *key, const char *body,
                     const char *const *fields, size_t leave_after);
struct reply rig_chat(struct rig *rig, const char *body);
void reply_free(struct reply *r);
/* The value of a field of the head (or trailer), in a static buffer; "" where there is none. */
const char *reply_field(const struct reply *r, const char *name);
bool reply_has(const struct reply *r, const char *text); /* in the body */

/* Waits until nothing is held any more. */
void rig_wait_settled(void);
/* A number of the provider's /mock/stats. */
long rig_mock_stat(struct rig *rig, const char *name);

#endif
