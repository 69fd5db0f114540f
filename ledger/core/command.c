/* SPDX-License-Identifier: Apache-2.0
 * One decoded command through the checks that all kinds share, in their fixed order, to its
 * handler.
 */
#include "ledger/core/machine.h"

typedef void handler(struct core_machine *m, struct core_call *x);

static handler *const handlers[PROTO_CMD_MAX] = {
#define X(number, name, hot) [number] = core_##name,
    PROTO_COMMANDS(X)
#undef X
};

/* A command's id carries its time: too far ahead is no id of ours, too old can no longer be told
 * from a retry whose record is gone. */
static enum proto_code check_id(const struct core_machine *m, const struct proto_command_head *h)
{
    int64_t horizon = proto_command_hot(h->kind) ? CORE_HOT_HORIZON_US : CORE_ADMIN_HORIZON_US;
    int64_t time_us = proto_uuid_time_ms(&h->id) * 1000;
    if (time_us > m->at.clock_us + CORE_AHEAD_US)
        return PROTO_MALFORMED;
    if (time_us < m->at.clock_us - horizon)
        return PROTO_COMMAND_TOO_OLD;
    return PROTO_OK;
}

/* Kinds whose org need not exist: it is being made, or there is none. */
static enum proto_code find_org(struct core_machine *m, struct core_call *x)
{
    const struct proto_command_head *h = &x->c->head;
    x->org_id = h->org;
    if (x->who.role == CORE_ROLE_KEY) {
        if (!proto_uuid_none(&h->org) && !proto_uuid_eq(&h->org, &x->who.org))
            return PROTO_FORBIDDEN;
        x->org_id = x->who.org;
    }
    if (h->kind == PROTO_CMD_price_import || proto_command_cluster(h->kind))
        return proto_uuid_none(&h->org) ? PROTO_OK : PROTO_MALFORMED;
    if (h->kind == PROTO_CMD_org_create)
        return PROTO_OK;
    x->org = core_org_get(m, &x->org_id);
    return x->org ? PROTO_OK : PROTO_ORG_UNKNOWN;
}

static enum proto_code find_principal(struct core_machine *m, struct core_call *x)
{
    x->who = core_authority_of(m, &x->c->head.cred);
    if (x->who.role == CORE_ROLE_NONE)
        return PROTO_UNAUTHENTICATED;
    if (!core_authority_may(x->who.role, x->c->head.kind))
        return PROTO_FORBIDDEN;
    return find_org(m, x);
}

/* Settle and release carry their own authority, the hold's token, and the hold is their record. */
static bool by_token(unsigned kind)
{
    return kind == PROTO_CMD_settle || kind == PROTO_CMD_release;
}

static void run_recorded(struct core_machine *m, struct core_call *x)
{
    unsigned kind = x->c->head.kind;
    if (core_dedup_find(m, x))
        return;
    x->before = proto_text_over(x->before_text, sizeof x->before_text);
    x->after = proto_text_over(x->after_text, sizeof x->after_text);
    handlers[kind](m, x);
    if (!x->unrecorded)
        core_dedup_record(m, x);
    if (x->r->code == PROTO_OK && !proto_command_hot(kind))
        core_audit_write(m, x);
}

/* The checks of core_execute that ask nothing of time, or of records that commands change. */
static enum proto_code stranger(struct core_machine *m, const struct proto_command *c)
{
    if (c->head.kind == PROTO_CMD_genesis || !m->group.initialised)
        return PROTO_OK;
    if (core_check_values(c) == PROTO_MALFORMED)
        return PROTO_MALFORMED;
    if (by_token(c->head.kind))
        return core_org_get(m, &c->head.org) ? PROTO_OK : PROTO_ORG_UNKNOWN;
    return core_authority_of(m, &c->head.cred).role == CORE_ROLE_NONE ? PROTO_UNAUTHENTICATED
                                                                      : PROTO_OK;
}

int core_machine_stranger(struct core_machine *m, const void *command, size_t n,
                          enum proto_code *code)
{
    struct proto_command c;
    if (m->failed)
        return m->failed;
    *code = proto_command_get(command, n, &c, NULL) ? stranger(m, &c) : PROTO_MALFORMED;
    if (m->failed == 0)
        core_overlay_trim(&m->overlay);
    return m->failed;
}

void core_execute(struct core_machine *m, struct core_call *x)
{
    unsigned kind = x->c->head.kind;
    if (kind == PROTO_CMD_genesis) {
        core_genesis(m, x);
        return;
    }
    if (!m->group.initialised) {
        core_refuse(x, PROTO_NOT_INITIALISED);
        return;
    }
    enum proto_code code = core_check_values(x->c);
    if (code == PROTO_OK && by_token(kind)) {
        handlers[kind](m, x);
        return;
    }
    if (code == PROTO_OK)
        code = check_id(m, &x->c->head);
    if (code == PROTO_OK)
        code = find_principal(m, x);
    if (code != PROTO_OK) {
        core_refuse(x, code);
        return;
    }
    struct proto_hash digest;
    proto_sha256_of(x->bytes.p, x->bytes.n, &digest);
    x->digest = core_half_of(&digest);
    if (kind == PROTO_CMD_reserve)
        core_reserve(m, x);
    else
        run_recorded(m, x);
}
