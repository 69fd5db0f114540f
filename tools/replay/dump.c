/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/replay/dump.h"

#include "proto/money.h"

#include <inttypes.h>
#include <stdio.h>

/* Text of one command: its own bytes, escaped, and the names of its fields. */
static char line[8 * PROTO_COMMAND_MAX];

static const char *kind_name(uint8_t kind)
{
    switch (kind) {
    case ENTRY_COMMAND:
        return "batch";
    case ENTRY_BARRIER:
        return "barrier";
    case ENTRY_CHANGE:
        return "configuration";
    default:
        return "?";
    }
}

static void put_time(struct proto_text *t, int64_t us)
{
    proto_text_put(t, ",\"time\":\"");
    proto_text_time(t, us);
    proto_text_put(t, "\"");
}

static void put_confirmed(struct proto_text *t, bool confirmed)
{
    proto_text_put(t, confirmed ? ",\"confirmed\":true}\n" : ",\"confirmed\":false}\n");
}

void dump_entry(const struct log_entry *e, const struct core_position *after, uint32_t n,
                uint32_t expired, bool confirmed)
{
    struct proto_text t = proto_text_over(line, sizeof line);
    proto_text_put(&t, "{\"entry\":");
    proto_text_uint(&t, e->index);
    proto_text_put(&t, ",\"term\":");
    proto_text_uint(&t, e->term);
    proto_text_put(&t, ",\"kind\":\"");
    proto_text_put(&t, kind_name(e->kind));
    proto_text_put(&t, "\"");
    put_time(&t, after->clock_us);
    proto_text_put(&t, ",\"bytes\":");
    proto_text_uint(&t, e->len);
    proto_text_put(&t, ",\"commands\":");
    proto_text_uint(&t, n);
    proto_text_put(&t, ",\"expired\":");
    proto_text_uint(&t, expired);
    proto_text_put(&t, ",\"chain\":\"");
    proto_text_hex(&t, after->chain.b, sizeof after->chain.b);
    proto_text_put(&t, "\"");
    put_confirmed(&t, confirmed);
    (void)fwrite(line, 1, t.n, stdout);
}

static void put_pair(struct proto_text *t, const struct proto_command *command,
                     const struct proto_result *result)
{
    proto_text_put(t, "\"command\":");
    if (command)
        proto_command_print(t, command);
    else
        proto_text_put(t, "null");
    proto_text_put(t, ",\"result\":");
    proto_result_print(t, result);
}

void dump_result(uint64_t index, uint32_t ordinal, int64_t time_us,
                 const struct proto_command *command, const struct proto_result *result,
                 bool confirmed)
{
    struct proto_text t = proto_text_over(line, sizeof line);
    proto_text_put(&t, "{\"index\":");
    proto_text_uint(&t, index);
    proto_text_put(&t, ",\"ordinal\":");
    proto_text_uint(&t, ordinal);
    put_time(&t, time_us);
    proto_text_put(&t, ",");
    put_pair(&t, command, result);
    put_confirmed(&t, confirmed);
    (void)fwrite(line, 1, t.n, stdout);
}

void dump_receipt(const struct proto_command *command, const struct proto_result *result,
                  struct proto_text *t)
{
    proto_text_put(t, "{");
    put_pair(t, command, result);
    proto_text_put(t, "}");
    if (t->full)
        *t = proto_text_over(t->base, t->cap);
}

void dump_transfer_head(bool with_org)
{
    (void)printf("%-10s %-27s %s%-10s %-9s %-9s %16s  ref\n", "index", "time",
                 with_org ? "org                                  " : "", "kind", "from", "to",
                 "amount");
}

static void print_json(const struct core_transfer *t, const char *org, const char *ref,
                       const char *time, bool confirmed)
{
    (void)printf("{\"transaction\":\"%" PRIu64 ":%" PRIu32 "\",\"time\":\"%s\",\"org\":\"%s\","
                 "\"kind\":\"%s\",\"from\":\"%s\",\"to\":\"%s\",\"amount_nanos\":%" PRId64
                 ",\"ref\":\"%s\",\"confirmed\":%s}\n",
                 t->index, t->ordinal, time, org, core_transfer_kind_name(t->kind),
                 core_account_name(t->from), core_account_name(t->to), t->amount, ref,
                 confirmed ? "true" : "false");
}

void dump_transfer(const struct core_transfer *t, bool json, bool with_org, bool confirmed)
{
    char org[PROTO_UUID_TEXT], ref[PROTO_UUID_TEXT], time[40], amount[PROTO_MONEY_TEXT_MAX];
    struct proto_text w = proto_text_over(time, sizeof time);
    proto_text_time(&w, t->time_us);
    proto_uuid_print(&t->org, org);
    proto_uuid_print(&t->ref, ref);
    if (json) {
        print_json(t, org, ref, time, confirmed);
        return;
    }
    (void)proto_money_print(t->amount, amount);
    (void)printf("%-10" PRIu64 " %s %s%s%-10s %-9s %-9s %16s  %s%s\n", t->index, time,
                 with_org ? org : "", with_org ? " " : "", core_transfer_kind_name(t->kind),
                 core_account_name(t->from), core_account_name(t->to), amount, ref,
                 confirmed ? "" : "  tail");
}
