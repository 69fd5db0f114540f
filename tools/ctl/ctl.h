/* SPDX-License-Identifier: Apache-2.0
 * holdfastctl from the inside. A command line is NOUN VERB [options]; each verb is one table entry
 * (struct ctl_action) with a function that asks the ledger and fills `c->out`, a JSON object. Only
 * main prints: that object as JSON, or as lines and tables for people; or the error.
 * One thread; one command line a process.
 */
#ifndef HOLDFAST_CTL_H
#define HOLDFAST_CTL_H

#include "proto/link/cluster_conf.h"
#include "proto/money.h"

#include <yyjson.h>

/* Exit statuses. REFUSED: the ledger said no. UNAVAILABLE: no quorum in time, or outcome unknown.
 * UNWELL: status --strict, and the ledger serves, but not every node is well. */
enum ctl_exit { CTL_OK = 0, CTL_REFUSED = 1, CTL_USAGE = 2, CTL_UNAVAILABLE = 3, CTL_UNWELL = 4 };

enum { CTL_OPTIONS_MAX = 32, CTL_ERROR_MAX = 1024, CTL_TIMEOUT_MS = 10000 };

struct ctl_option {
    const char *name;
    const char *arg; /* what to call its value; NULL: a flag without one */
    bool required;
    const char *help;
};

struct ctl_args {
    const struct ctl_option *options;
    const char *value[CTL_OPTIONS_MAX]; /* by position in options; "" for a flag; NULL: not given */
    const char *operand;                /* NULL: not given */
};

struct ctl;
struct ctl_action {
    const char *verb; /* NULL: the noun alone */
    const char *summary;
    const char *operand; /* what to call it, "[MODEL]" if it may be missing; NULL: takes none */
    const struct ctl_option *options;
    const char *table;          /* key in c->out of an array shown as a table; NULL: none */
    const char *const *columns; /* of it, ended by NULL */
    int (*run)(struct ctl *c, const struct ctl_args *a);
    const char *notes; /* more text for --help; NULL: none */
};
struct ctl_noun {
    const char *name;
    const char *summary;
    const struct ctl_action *actions; /* ended by one without run */
};

/* A command's answer; views in `result` point into `bytes`. */
struct ctl_reply {
    uint64_t index;
    uint32_t ordinal;
    struct proto_hash chain;
    struct proto_result result;
    uint8_t bytes[PROTO_RESULT_MAX];
};

/* A row of a query. 0: go on, > 0: enough, < 0: it cannot be decoded. */
typedef int ctl_row(struct ctl *c, struct proto_str row, void *ctx);

struct ctl {
    bool json;
    const char *config, *token_file;
    unsigned timeout_ms;
    struct proto_uuid command_id; /* of --id; none: a new one for each command */
    /* connection */
    struct ledger_conf ledger;
    struct link_client *link;
    struct proto_hash cred;
    uint8_t ip[PROTO_IP_MAX];
    uint32_t ip_n;
    /* what main prints */
    yyjson_mut_doc *doc;
    yyjson_mut_val *out;
    char code[64], error[CTL_ERROR_MAX]; /* error[0]: it failed */
    struct proto_text detail;            /* of a refusal: its result as JSON */
    char detail_text[2048];
};

/* Sets the error and returns status. code: a word for machines. */
int ctl_fail(struct ctl *c, int status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- args.c ---- */
/* Reads argv (without noun and verb). CTL_OK, or CTL_USAGE with the error set. *help: it was asked.
 */
int ctl_args_read(struct ctl *c, const struct ctl_noun *noun, const struct ctl_action *action,
                  int argc, char **argv, struct ctl_args *a, bool *help);
const char *ctl_arg(const struct ctl_args *a, const char *name);
bool ctl_given(const struct ctl_args *a, const char *name);
void ctl_help(const struct ctl_noun *const *nouns, unsigned n);
void ctl_help_noun(const struct ctl_noun *noun);
void ctl_help_action(const struct ctl_noun *noun, const struct ctl_action *action);
/* Typed values. Not given: *out stays as it is and CTL_OK. A wrong text: CTL_USAGE, error set. */
int ctl_money(struct ctl *c, const struct ctl_args *a, const char *name, int64_t *nanos);
int ctl_number(struct ctl *c, const struct ctl_args *a, const char *name, int64_t min, int64_t max,
               int64_t *out);
int ctl_bool(struct ctl *c, const struct ctl_args *a, const char *name, bool *out);
/* "YYYY-MM-DD", "YYYY-MM-DDTHH:MM:SSZ", or from now on "30d", "12h", "45m". Microseconds UTC. */
int ctl_time(struct ctl *c, const struct ctl_args *a, const char *name, int64_t *us);
int ctl_uuid(struct ctl *c, const struct ctl_args *a, const char *name, struct proto_uuid *out);
/* --name, which is not empty. */
int ctl_name(struct ctl *c, const struct ctl_args *a, struct proto_str *out);
/* At most `max` bytes of clean UTF-8. */
int ctl_string(struct ctl *c, const struct ctl_args *a, const char *name, uint32_t max,
               struct proto_str *out);
bool ctl_time_parse(const char *text, int64_t now_us, int64_t *us);
int64_t ctl_now_us(void);

/* ---- connect.c ---- */
/* Reads the configuration and starts the client. with_token: the operator's token is needed. */
int ctl_open(struct ctl *c, bool with_token);
void ctl_close(struct ctl *c);
/* Fills id, credential and address of the head, sends, waits. CTL_OK only for PROTO_OK. */
int ctl_command(struct ctl *c, struct proto_command *command, struct ctl_reply *reply);
/* Every page, row by row. org NULL: none. stale: any node may answer. */
int ctl_query(struct ctl *c, unsigned kind, const struct proto_uuid *org, uint32_t after,
              bool stale, ctl_row *fn, void *ctx);

/* ---- resolve.c ---- from what people write to what the ledger knows; all open the connection. */
int ctl_org(struct ctl *c, const struct ctl_args *a,
            struct proto_uuid *org); /* --org or $HOLDFAST_ORG */
int ctl_team(struct ctl *c, const struct proto_uuid *org, const char *text, uint32_t *team);
int ctl_key(struct ctl *c, const struct proto_uuid *org, const char *text, uint32_t *key);

/* The row of one org as it stands now; its name is copied to `name`. REFUSED: there is none. */
int ctl_org_row(struct ctl *c, const struct proto_uuid *org, struct proto_org_row *out,
                char name[PROTO_NAME_MAX]);
/* Puts a notice into the answer where more than one org (team NULL) or team has this name. */
void ctl_notice_same_name(struct ctl *c, const struct proto_uuid *org, bool team,
                          struct proto_str name);

/* ---- output.c ---- keys are static text; values are copied. */
void out_str(struct ctl *c, yyjson_mut_val *obj, const char *key, struct proto_str s);
void out_text(struct ctl *c, yyjson_mut_val *obj, const char *key, const char *s);
void out_int(struct ctl *c, yyjson_mut_val *obj, const char *key, int64_t v);
void out_uint(struct ctl *c, yyjson_mut_val *obj, const char *key, uint64_t v);
void out_bool(struct ctl *c, yyjson_mut_val *obj, const char *key, bool v);
void out_null(struct ctl *c, yyjson_mut_val *obj, const char *key);
void out_uuid(struct ctl *c, yyjson_mut_val *obj, const char *key, const struct proto_uuid *u);
void out_hash(struct ctl *c, yyjson_mut_val *obj, const char *key, const struct proto_hash *h);
void out_time(struct ctl *c, yyjson_mut_val *obj, const char *key, int64_t us); /* 0: null */
/* `key` in dollars as text and `key`_nanos as an integer. */
void out_money(struct ctl *c, yyjson_mut_val *obj, const char *key, int64_t nanos);
/* A new array at c->out's `key`; a new object at the end of an array. */
yyjson_mut_val *out_list(struct ctl *c, const char *key);
yyjson_mut_val *out_row(struct ctl *c, yyjson_mut_val *list);
void out_models(struct ctl *c, yyjson_mut_val *obj, uint32_t n, const struct proto_allowed *models);
/* Where the command stands in the log, and whether this was a retry. */
void out_receipt(struct ctl *c, const struct ctl_reply *r);
/* Prints the object, or the error, and returns the status to exit with. */
int ctl_print(struct ctl *c, const struct ctl_action *action, int status);

/* ---- the nouns ---- */
extern const struct ctl_noun ctl_noun_init, ctl_noun_org, ctl_noun_team, ctl_noun_key,
    ctl_noun_budget, ctl_noun_price, ctl_noun_audit, ctl_noun_status, ctl_noun_whoami,
    ctl_noun_uuid, ctl_noun_deposit, ctl_noun_grant, ctl_noun_refund, ctl_noun_chargeback,
    ctl_noun_adjust, ctl_noun_cluster;

#endif
