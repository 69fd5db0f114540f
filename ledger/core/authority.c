/* SPDX-License-Identifier: Apache-2.0
 * Who asks, and what each role may do. Roles of people slot into the two tables here.
 */
#include "ledger/core/machine.h"

struct core_authority core_authority_of(struct core_machine *m, const struct proto_hash *cred)
{
    struct core_authority who = {.role = CORE_ROLE_NONE};
    if (proto_hash_none(cred))
        return who;
    if (memcmp(cred->b, m->group.operator_hash.b, sizeof cred->b) == 0) {
        who.role = CORE_ROLE_OPERATOR;
        return who;
    }
    struct core_key k;
    core_key_bytes(&k, CORE_TABLE_cred, cred->b, sizeof cred->b);
    const struct core_cred *found = core_get(m, &k);
    if (!found)
        return who;
    who.role = CORE_ROLE_KEY;
    who.org = found->org;
    who.key = found->key;
    who.stale = found->stale != 0;
    return who;
}

bool core_authority_may(enum core_role role, unsigned kind)
{
    switch (role) {
    case CORE_ROLE_OPERATOR:
        return kind != PROTO_CMD_reserve; /* a hold is made under a key's budgets */
    case CORE_ROLE_KEY:
        return kind == PROTO_CMD_reserve || kind == PROTO_CMD_extend;
    default:
        return false;
    }
}

bool core_authority_may_read(enum core_role role, unsigned kind)
{
    switch (role) {
    case CORE_ROLE_OPERATOR:
        return true;
    case CORE_ROLE_KEY: /* of its own org */
        return kind == PROTO_QUERY_whoami || kind == PROTO_QUERY_orgs ||
               kind == PROTO_QUERY_teams || kind == PROTO_QUERY_keys || kind == PROTO_QUERY_budgets;
    default:
        return false;
    }
}

struct core_apikey *core_authority_key(struct core_machine *m, const struct core_authority *who,
                                       enum proto_code *code)
{
    struct core_key k;
    core_key_org_number(&k, CORE_TABLE_key, &who->org, who->key);
    struct core_apikey *key = core_get(m, &k);
    if (!key)
        *code = PROTO_UNAUTHENTICATED;
    else if (who->stale || key->revoked)
        *code = PROTO_KEY_REVOKED;
    else if (key->expires_us != 0 && m->at.clock_us >= key->expires_us)
        *code = PROTO_KEY_EXPIRED;
    else
        return key;
    return NULL;
}
