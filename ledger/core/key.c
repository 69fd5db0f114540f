/* SPDX-License-Identifier: Apache-2.0
 * Virtual keys: made, revoked, rotated. The store knows SHA-256 of SHA-256 of a key's text, and its
 * public part; a revoked key stays as a tombstone, and a secret that was once a key's never becomes
 * another's.
 */
#include "ledger/core/machine.h"

static struct core_apikey *key_get(struct core_machine *m, const struct proto_uuid *org,
                                   uint32_t number)
{
    struct core_key k;
    core_key_org_number(&k, CORE_TABLE_key, org, number);
    return core_get(m, &k);
}

static bool taken(struct core_machine *m, const struct proto_hash *secret, struct proto_str public)
{
    struct core_key k;
    if (memcmp(secret->b, m->group.operator_hash.b, sizeof secret->b) == 0)
        return true;
    core_key_bytes(&k, CORE_TABLE_cred, secret->b, sizeof secret->b);
    if (core_get(m, &k))
        return true;
    core_key_bytes(&k, CORE_TABLE_public, public.p, public.n);
    return core_get(m, &k) != NULL;
}

static void index_key(struct core_machine *m, const struct core_call *x, uint32_t number,
                      const struct proto_hash *secret, struct proto_str public)
{
    struct core_key k;
    core_key_bytes(&k, CORE_TABLE_cred, secret->b, sizeof secret->b);
    struct core_cred *c = core_put(m, &k, sizeof *c);
    *c = (struct core_cred){.org = x->org_id, .key = number};
    core_key_bytes(&k, CORE_TABLE_public, public.p, public.n);
    c = core_put(m, &k, sizeof *c);
    *c = (struct core_cred){.org = x->org_id, .key = number};
}

static void print_key(struct proto_text *t, uint32_t number, const struct core_apikey *key)
{
    proto_text_put(t, "key=");
    proto_text_uint(t, number);
    proto_text_put(t, " public=");
    proto_text_raw(t, key->public, key->public_n);
    proto_text_put(t, " team=");
    proto_text_uint(t, key->team);
    proto_text_put(t, " label=");
    proto_text_json(t, core_str(key->label, key->label_n));
}

static size_t pack_models(const struct proto_key_create *c, uint8_t *out)
{
    size_t n = 0;
    for (uint32_t i = 0; i < c->models.n; i++) {
        struct proto_str model = c->models.e[i].model;
        out[n++] = (uint8_t)model.n;
        memcpy(out + n, model.p, model.n);
        n += model.n;
    }
    return n;
}

static void set_public(struct core_apikey *key, const struct proto_hash *secret,
                       struct proto_str public)
{
    key->cred = *secret;
    key->public_n = (uint8_t) public.n;
    memset(key->public, 0, sizeof key->public);
    memcpy(key->public, public.p, public.n);
}

static void store_key(struct core_machine *m, struct core_call *x, uint32_t number)
{
    const struct proto_key_create *c = &x->c->body.key_create;
    uint8_t models[PROTO_MAX_allowed * (1 + PROTO_NAME_MAX)];
    size_t n = pack_models(c, models);
    struct core_key k;
    core_key_org_number(&k, CORE_TABLE_key, &x->org_id, number);
    struct core_apikey *key = core_put(m, &k, sizeof *key + n);
    set_public(key, &c->secret, c->public);
    key->created_us = m->at.clock_us;
    key->expires_us = c->expires_us;
    key->team = c->team;
    key->label_n = (uint8_t)c->label.n;
    key->env_n = (uint8_t)c->env.n;
    memcpy(key->label, c->label.p, c->label.n);
    memcpy(key->env, c->env.p, c->env.n);
    key->models = (uint16_t)c->models.n;
    key->models_bytes = (uint16_t)n;
    memcpy(key->allowed, models, n);
    print_key(&x->after, number, key);
}

void core_key_create(struct core_machine *m, struct core_call *x)
{
    const struct proto_key_create *c = &x->c->body.key_create;
    struct core_team *team = NULL;
    struct core_key k;
    if (c->team != 0) { /* 0: straight under the org */
        core_key_org_number(&k, CORE_TABLE_team, &x->org_id, c->team);
        team = core_get(m, &k);
        if (!team || team->deleted) {
            core_refuse(x, PROTO_TEAM_UNKNOWN);
            return;
        }
    }
    if (taken(m, &c->secret, c->public)) {
        core_refuse(x, PROTO_KEY_EXISTS);
        return;
    }
    if (x->org->live_keys >= CORE_KEYS_MAX) {
        core_refuse(x, PROTO_QUOTA_EXCEEDED);
        return;
    }
    uint32_t number = ++x->org->keys;
    x->org->live_keys++;
    core_touch(m, x->org);
    if (team) {
        team->keys++;
        core_touch(m, team);
    }
    store_key(m, x, number);
    index_key(m, x, number, &c->secret, c->public);
    *x->r = (struct proto_result){.code = PROTO_OK, .shape = PROTO_SHAPE_created};
    x->r->body.created.number = number;
}

void core_key_revoke(struct core_machine *m, struct core_call *x)
{
    uint32_t number = x->c->body.key_revoke.key;
    struct core_apikey *key = key_get(m, &x->org_id, number);
    x->reason = x->c->body.key_revoke.reason;
    if (!key) {
        core_refuse(x, PROTO_KEY_UNKNOWN);
        return;
    }
    if (key->revoked) {
        core_refuse(x, PROTO_KEY_REVOKED);
        return;
    }
    print_key(&x->before, number, key);
    key->revoked = 1;
    core_touch(m, key);
    x->org->live_keys--;
    core_touch(m, x->org);
    struct core_key k;
    core_key_org_number(&k, CORE_TABLE_team, &x->org_id, key->team);
    struct core_team *team = key->team ? core_get(m, &k) : NULL;
    if (team) {
        team->keys--;
        core_touch(m, team);
    }
    proto_text_put(&x->after, "revoked");
    core_refuse(x, PROTO_OK);
}

void core_key_rotate(struct core_machine *m, struct core_call *x)
{
    const struct proto_key_rotate *c = &x->c->body.key_rotate;
    struct core_apikey *key = key_get(m, &x->org_id, c->key);
    if (!key) {
        core_refuse(x, PROTO_KEY_UNKNOWN);
        return;
    }
    if (key->revoked) {
        core_refuse(x, PROTO_KEY_REVOKED);
        return;
    }
    if (taken(m, &c->secret, c->public)) {
        core_refuse(x, PROTO_KEY_EXISTS);
        return;
    }
    print_key(&x->before, c->key, key);
    struct core_key k;
    core_key_bytes(&k, CORE_TABLE_cred, key->cred.b, sizeof key->cred.b);
    struct core_cred *old = core_get(m, &k);
    if (old) {
        old->stale = 1;
        core_touch(m, old);
    }
    set_public(key, &c->secret, c->public);
    core_touch(m, key);
    index_key(m, x, c->key, &c->secret, c->public);
    print_key(&x->after, c->key, key);
    *x->r = (struct proto_result){.code = PROTO_OK, .shape = PROTO_SHAPE_created};
    x->r->body.created.number = c->key;
}
