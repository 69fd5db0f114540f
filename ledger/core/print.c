/* SPDX-License-Identifier: Apache-2.0
 * Records as text, for messages and the replay tool's report. Reads bytes that may be damaged: what
 * does not fit its table is shown by its length only.
 */
#include "ledger/core/machine.h"

static void number(struct proto_text *t, const char *name, int64_t v)
{
    proto_text_put(t, " ");
    proto_text_put(t, name);
    proto_text_put(t, "=");
    proto_text_int(t, v);
}

static void money(struct proto_text *t, const char *name, int64_t v)
{
    proto_text_put(t, " ");
    proto_text_put(t, name);
    proto_text_put(t, "=");
    proto_text_money(t, v);
}

static void name(struct proto_text *t, const char *label, const char *p, size_t n, size_t max)
{
    proto_text_put(t, " ");
    proto_text_put(t, label);
    proto_text_put(t, "=");
    proto_text_json(t, core_str(p, n < max ? n : max));
}

static void print_uuid(struct proto_text *t, const char *label, const struct proto_uuid *id)
{
    proto_text_put(t, label);
    proto_text_uuid(t, id);
}

static void print_key(struct proto_text *t, const uint8_t *k, size_t klen)
{
    unsigned table = k[0];
    const uint8_t *p = k + 1;
    size_t n = klen - 1;
    struct proto_uuid org, id;
    if (core_key_of_hold(k, klen)) {
        core_key_hold_parts(k, &org, &id);
        print_uuid(t, " org=", &org);
        print_uuid(t, " id=", &id);
        return;
    }
    bool of_org =
        table == CORE_TABLE_org || (table >= CORE_TABLE_team && table <= CORE_TABLE_counter) ||
        table == CORE_TABLE_command || table == CORE_TABLE_reference || table == CORE_TABLE_audit ||
        table == CORE_TABLE_idempotency || table == CORE_TABLE_peaks;
    if (of_org && n >= sizeof org.b) {
        memcpy(org.b, p, sizeof org.b);
        print_uuid(t, " org=", &org);
        p += sizeof org.b;
        n -= sizeof org.b;
    }
    if (n == 4) {
        number(t, "number", (int64_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]);
    } else if (n > 0) {
        proto_text_put(t, " key=");
        proto_text_hex(t, p, n);
    }
}

static void print_group(struct proto_text *t, const struct core_group *g)
{
    number(t, "prices", g->price_version);
    number(t, "orgs", g->orgs);
    number(t, "open", g->open_holds);
    number(t, "settled", (int64_t)g->settled);
    number(t, "refused", (int64_t)g->refused);
    money(t, "expired_unconfirmed", g->expired_unconfirmed);
    money(t, "drift", g->drift);
}

static void print_org(struct proto_text *t, const struct core_org *o)
{
    name(t, "name", o->name, o->name_n, sizeof o->name);
    for (unsigned a = 0; a < CORE_ACCOUNTS; a++)
        money(t, core_account_name(a), o->account[a]);
    money(t, "transactions", o->transactions);
    number(t, "open", o->open_holds);
    number(t, "rules", o->rules_version);
}

static void print_hold(struct proto_text *t, const struct core_hold *h)
{
    proto_text_put(t, h->state == CORE_HOLD_OPEN ? " open" : " expired");
    money(t, "promo", h->from_promo);
    money(t, "available", h->from_available);
    number(t, "key", h->key);
    number(t, "index", (int64_t)h->index);
    number(t, "counters", h->counters);
    proto_text_put(t, " deadline=");
    proto_text_time(t, h->deadline_us);
}

static void print_closed(struct proto_text *t, const struct core_closed *c)
{
    static const char *const states[] = {"?", "refused", "forestalled", "settled", "released"};
    proto_text_put(t, " ");
    proto_text_put(t, states[c->state <= CORE_CLOSED_RELEASED ? c->state : 0]);
    proto_text_put(t, " code=");
    proto_text_put(t, proto_code_name(c->code));
    money(t, "amount", c->amount);
    money(t, "cost", c->cost);
    money(t, "fee", c->fee);
    money(t, "released", c->released);
    money(t, "written_off", c->written_off);
    number(t, "index", (int64_t)c->index);
}

static void print_budget(struct proto_text *t, const struct core_budget *b)
{
    number(t, "generation", b->generation);
    proto_text_put(t, b->deleted ? " deleted scope=" : " scope=");
    proto_text_put(t, proto_scope_name(b->scope));
    number(t, "subject", b->subject);
    name(t, "selector", b->selector, b->selector_n, sizeof b->selector);
    proto_text_put(t, " window=");
    proto_text_put(t, proto_window_name(b->window));
    money(t, "limit", b->limit);
    proto_text_put(t, " mode=");
    proto_text_put(t, proto_mode_name(b->mode));
}

static void print_counter(struct proto_text *t, const struct core_counter *c)
{
    money(t, "spent", c->spent);
    money(t, "held", c->held);
    money(t, "overrun", c->overrun);
    number(t, "open", c->open);
}

static void print_apikey(struct proto_text *t, const struct core_apikey *k)
{
    name(t, "public", k->public, k->public_n, sizeof k->public);
    name(t, "label", k->label, k->label_n, sizeof k->label);
    number(t, "team", k->team);
    proto_text_put(t, k->revoked ? " revoked" : "");
}

static void print_value(struct proto_text *t, unsigned table, const void *value)
{
    const struct core_team *team = value;
    const struct core_done *done = value;
    const struct core_price *price = value;
    const struct core_audit *audit = value;
    switch (table) {
    case CORE_TABLE_group:
        print_group(t, value);
        break;
    case CORE_TABLE_org:
        print_org(t, value);
        break;
    case CORE_TABLE_team:
        name(t, "name", team->name, team->name_n, sizeof team->name);
        number(t, "keys", team->keys);
        break;
    case CORE_TABLE_key:
        print_apikey(t, value);
        break;
    case CORE_TABLE_budget:
        print_budget(t, value);
        break;
    case CORE_TABLE_counter:
        print_counter(t, value);
        break;
    case CORE_TABLE_hold:
        print_hold(t, value);
        break;
    case CORE_TABLE_refused:
    case CORE_TABLE_closed:
        print_closed(t, value);
        break;
    case CORE_TABLE_command:
        proto_text_put(t, " code=");
        proto_text_put(t, proto_code_name(done->code));
        number(t, "index", (int64_t)done->index);
        break;
    case CORE_TABLE_price:
        name(t, "model", price->model, price->model_n, sizeof price->model);
        number(t, "points", price->points);
        break;
    case CORE_TABLE_audit:
        proto_text_put(t, " command=");
        proto_text_put(t, proto_command_name(audit->kind));
        number(t, "index", (int64_t)audit->index);
        break;
    default:
        break;
    }
}

void core_record_print(struct proto_text *t, const void *key, size_t klen, const void *value,
                       size_t vlen)
{
    const uint8_t *k = key;
    uint64_t aligned[CORE_VALUE_MAX / 8];
    if (klen == 0) {
        proto_text_put(t, "?");
        return;
    }
    proto_text_put(t, core_table_name(k[0]));
    print_key(t, k, klen);
    if (value && vlen <= sizeof aligned)
        memcpy(aligned, value, vlen);
    if (!value)
        proto_text_put(t, " absent");
    else if (vlen <= sizeof aligned && core_record_fits(k[0], aligned, vlen))
        print_value(t, k[0], aligned);
    else
        number(t, "damaged_bytes", (int64_t)vlen);
}
