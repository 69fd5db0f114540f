/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/core/record.h"

#include "proto/base/check.h"

static inline void key_begin(struct core_key *k, enum core_table table)
{
    k->b[0] = (uint8_t)table;
    k->n = 1;
}

static inline void key_add(struct core_key *k, const void *p, size_t n)
{
    CHECK(k->n + n <= sizeof k->b);
    if (n > 0)
        memcpy(k->b + k->n, p, n);
    k->n += (uint32_t)n;
}

static inline void key_add_u32(struct core_key *k, uint32_t v)
{
    uint32_t be = __builtin_bswap32(v);
    key_add(k, &be, sizeof be);
}

void core_key_group(struct core_key *k)
{
    key_begin(k, CORE_TABLE_group);
}

void core_key_org(struct core_key *k, const struct proto_uuid *org)
{
    core_key_bytes(k, CORE_TABLE_org, org->b, sizeof org->b);
}

void core_key_number(struct core_key *k, enum core_table table, uint32_t number)
{
    key_begin(k, table);
    key_add_u32(k, number);
}

void core_key_bytes(struct core_key *k, enum core_table table, const void *p, size_t n)
{
    key_begin(k, table);
    key_add(k, p, n);
}

void core_key_org_number(struct core_key *k, enum core_table table, const struct proto_uuid *org,
                         uint32_t number)
{
    key_begin(k, table);
    key_add(k, org->b, sizeof org->b);
    key_add_u32(k, number);
}

void core_key_org_bytes(struct core_key *k, enum core_table table, const struct proto_uuid *org,
                        const void *p, size_t n)
{
    key_begin(k, table);
    key_add(k, org->b, sizeof org->b);
    key_add(k, p, n);
}

void core_key_hold(struct core_key *k, enum core_table table, const struct proto_uuid *org,
                   const struct proto_uuid *id)
{
    key_begin(k, table);
    key_add(k, id->b, sizeof id->b);
    key_add(k, org->b, sizeof org->b);
}

void core_key_command(struct core_key *k, const struct proto_uuid *org,
                      const struct proto_hash *principal, const struct proto_uuid *id)
{
    core_key_org_bytes(k, CORE_TABLE_command, org, principal->b, sizeof(struct core_half));
    key_add(k, id->b, sizeof id->b);
}

void core_key_rules(struct core_key *k, const struct proto_uuid *org, uint8_t scope, bool wildcard,
                    uint32_t subject, struct proto_str name)
{
    uint8_t head[2] = {scope, wildcard ? 1 : 0};
    core_key_org_bytes(k, CORE_TABLE_rules, org, head, sizeof head);
    if (name.n > 0)
        key_add(k, name.p, name.n);
    else if (!wildcard)
        key_add_u32(k, subject);
}

void core_key_peaks(struct core_key *k, const struct proto_uuid *org, uint32_t team, uint8_t level,
                    uint32_t block)
{
    core_key_org_number(k, CORE_TABLE_peaks, org, team);
    key_add(k, &level, sizeof level);
    key_add_u32(k, block);
}

void core_key_price(struct core_key *k, uint32_t version, uint32_t row)
{
    core_key_number(k, CORE_TABLE_price, version);
    key_add_u32(k, row);
}

void core_key_price_model(struct core_key *k, uint32_t version, struct proto_str model)
{
    core_key_number(k, CORE_TABLE_price_model, version);
    key_add(k, model.p, model.n);
}

const char *core_table_name(unsigned table)
{
    switch (table) {
#define X(number, name)                                                                            \
    case number:                                                                                   \
        return #name;
        CORE_TABLES(X)
#undef X
    default:
        return "?";
    }
}

static bool hold_fits(const struct core_hold *h, size_t vlen)
{
    return vlen >= sizeof *h && h->counters <= CORE_HOLD_COUNTERS &&
           vlen == sizeof *h + h->counters * sizeof h->counter[0];
}

static bool price_fits(const struct core_price *p, size_t vlen)
{
    return vlen >= sizeof *p && p->points <= PROTO_MAX_point &&
           vlen == sizeof *p + p->points * sizeof p->point[0];
}

static bool audit_fits(const struct core_audit *a, size_t vlen)
{
    return vlen >= sizeof *a && a->before_n <= PROTO_REASON_MAX && a->after_n <= PROTO_REASON_MAX &&
           a->reason_n <= PROTO_REASON_MAX && a->ip_n <= PROTO_IP_MAX &&
           vlen == sizeof *a + a->before_n + a->after_n + a->reason_n;
}

static bool apikey_fits(const struct core_apikey *k, size_t vlen)
{
    return vlen >= sizeof *k && vlen == sizeof *k + k->models_bytes &&
           k->public_n <= PROTO_PUBLIC_MAX && k->label_n <= PROTO_NAME_MAX &&
           k->env_n <= PROTO_NAME_MAX;
}

static bool rules_fits(const struct core_rules *r, size_t vlen)
{
    return vlen == sizeof *r && r->n <= CORE_RULES_PER_SUBJECT;
}

bool core_record_fits(unsigned table, const void *value, size_t vlen)
{
    switch (table) {
    case CORE_TABLE_group:
        return vlen == sizeof(struct core_group);
    case CORE_TABLE_org:
        return vlen == sizeof(struct core_org);
    case CORE_TABLE_org_number:
        return vlen == sizeof(struct proto_uuid);
    case CORE_TABLE_cred:
    case CORE_TABLE_public:
        return vlen == sizeof(struct core_cred);
    case CORE_TABLE_team:
        return vlen == sizeof(struct core_team);
    case CORE_TABLE_key:
        return apikey_fits(value, vlen);
    case CORE_TABLE_budget:
        return vlen == sizeof(struct core_budget);
    case CORE_TABLE_rules:
        return rules_fits(value, vlen);
    case CORE_TABLE_peaks:
        return vlen == sizeof(struct core_peaks);
    case CORE_TABLE_counter:
        return vlen == sizeof(struct core_counter);
    case CORE_TABLE_hold:
        return hold_fits(value, vlen);
    case CORE_TABLE_refused:
    case CORE_TABLE_closed:
        return vlen == sizeof(struct core_closed);
    case CORE_TABLE_command:
        return vlen == sizeof(struct core_done);
    case CORE_TABLE_reference:
        return vlen == sizeof(struct core_reference);
    case CORE_TABLE_price:
        return price_fits(value, vlen);
    case CORE_TABLE_price_model:
        return vlen == sizeof(uint32_t);
    case CORE_TABLE_audit:
        return audit_fits(value, vlen);
    case CORE_TABLE_idempotency:
        return vlen == sizeof(struct core_idempotency);
    default:
        return false;
    }
}
