/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/replay/report.h"

#include "proto/money.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *hash_text(const struct proto_hash *h, char out[PROTO_HASH_TEXT])
{
    struct proto_text t = proto_text_over(out, PROTO_HASH_TEXT);
    proto_text_hex(&t, h->b, sizeof h->b);
    return out;
}

static const char *time_text(int64_t us, char out[40])
{
    struct proto_text t = proto_text_over(out, 40);
    proto_text_time(&t, us);
    return out;
}

static enum replay_moment moment_of(const struct replay *r)
{
    if (r->o->has_at)
        return REPLAY_AT;
    return r->facts.compared ? REPLAY_APPLIED : REPLAY_NOW;
}

static int64_t balance_of(const struct core_balances *b)
{
    return b->account[CORE_AVAILABLE] + b->account[CORE_PROMO] + b->account[CORE_HELD];
}

struct row {
    const struct replay_book *book;
    const struct replay_tally *tally;
    const struct core_balances *ledger;
    int64_t balance, drift, zero;
};

static struct row row_of(const struct replay *r, uint32_t i, enum replay_moment moment)
{
    const struct replay_book *k = &r->books.book[i];
    struct row w = {.book = k, .tally = &k->tally[moment], .ledger = &k->ledger[moment]};
    w.balance = balance_of(w.ledger);
    w.drift = w.balance - w.tally->sum;
    for (int a = 0; a < CORE_ACCOUNTS; a++)
        w.zero += w.ledger->account[a];
    return w;
}

static bool shown(const struct replay *r, uint32_t i)
{
    return !r->o->has_org || proto_uuid_eq(&r->o->org, &r->books.book[i].org);
}

static const char *result_word(const struct replay *r)
{
    if (r->verdict.exit == REPLAY_MISMATCH)
        return "mismatch";
    if (r->verdict.exit == REPLAY_UNUSABLE)
        return "unusable";
    if (r->facts.head_met)
        return "proven";
    return "consistent";
}

/* ---- text ---- */

static void print_table(const struct replay *r)
{
    char sum[PROTO_MONEY_TEXT_MAX], balance[PROTO_MONEY_TEXT_MAX], drift[PROTO_MONEY_TEXT_MAX],
        held[PROTO_MONEY_TEXT_MAX], org[PROTO_UUID_TEXT], time[40];
    enum replay_moment moment = moment_of(r);
    if (r->o->has_at)
        (void)printf("balances as of %s\n", time_text(r->o->at_us, time));
    (void)printf("%-36s  %-20s %12s %18s %18s %8s %16s  %s\n", "org", "name", "transactions", "sum",
                 "balance", "drift", "held", "status");
    for (uint32_t i = 0; i < r->books.n; i++) {
        if (!shown(r, i))
            continue;
        struct row w = row_of(r, i, moment);
        proto_uuid_print(&w.book->org, org);
        (void)proto_money_print(w.tally->sum, sum);
        (void)proto_money_print(w.balance, balance);
        (void)proto_money_print(w.drift, drift);
        (void)proto_money_print(w.ledger->account[CORE_HELD], held);
        (void)printf("%s  %-20s %12" PRIu64 " %18s %18s %8s %16s  %s\n", org, w.book->name,
                     w.tally->transactions, sum, balance, w.drift == 0 ? "0" : drift, held,
                     w.drift == 0 && w.zero == 0 ? "ok" : "MISMATCH");
    }
    (void)putchar('\n');
}

static void print_accounts(const struct replay *r)
{
    char money[PROTO_MONEY_TEXT_MAX];
    for (uint32_t i = 0; i < r->books.n; i++) {
        if (!shown(r, i))
            continue;
        struct row w = row_of(r, i, moment_of(r));
        for (int a = 0; a < CORE_ACCOUNTS; a++) {
            (void)proto_money_print(w.ledger->account[a], money);
            (void)printf("  %-10s %18s\n", core_account_name((enum core_account)a), money);
        }
        (void)putchar('\n');
    }
}

static void print_tail(const struct replay *r)
{
    const struct replay_facts *f = &r->facts;
    char hash[PROTO_HASH_TEXT];
    if (f->tail_replaced)
        (void)puts("tail     a new leader replaced entries while they were read; run again for it");
    else if (f->last.index > f->applied.index)
        (void)printf("tail     entries %" PRIu64 " to %" PRIu64
                     " are later than the state's checkpoint; executed too\n"
                     "         chain %" PRIu64 ":%s\n",
                     f->applied.index + 1, f->last.index, f->last.index,
                     hash_text(&f->last.chain, hash));
    if (f->confirmed > f->applied.index)
        (void)printf("         confirmed up to %" PRIu64
                     " by chains in later entries or the head given\n",
                     f->confirmed);
}

static void print_leaders(const struct replay *r)
{
    char ours[PROTO_HASH_TEXT], theirs[PROTO_HASH_TEXT];
    for (unsigned i = 0; i < r->leaders.n; i++) {
        const struct replay_leader *l = &r->leaders.of[i];
        if (l->disowned)
            (void)printf("leader   of term %" PRIu64 " had diverged: entries %" PRIu64
                         " to %" PRIu64 " name its own chain\n"
                         "         at entry %" PRIu64 " it had %s\n"
                         "         what came later confirms %s, which this log gives\n",
                         l->term, l->first, l->last, l->index, hash_text(&l->theirs, theirs),
                         hash_text(&l->ours, ours));
    }
    if (r->facts.marked)
        (void)printf("mark     this node stopped: %s\n", r->facts.mark);
}

static void print_result(const struct replay *r)
{
    const struct replay_facts *f = &r->facts;
    const struct replay_verdict *v = &r->verdict;
    if (v->exit != REPLAY_PROVEN) {
        (void)printf("result   %s: %s\n", v->exit == REPLAY_MISMATCH ? "MISMATCH" : "UNUSABLE",
                     v->text);
        if (v->exit == REPLAY_MISMATCH && v->index > 0)
            (void)printf("         good up to entry %" PRIu64 "; first bad at or after %" PRIu64
                         "\n",
                         v->after, v->index);
    } else if (f->head_met) {
        (void)printf("result   proven against head %" PRIu64 "\n", r->o->head_index);
    } else {
        (void)puts("result   internally consistent (a log rewritten whole can only be told by a "
                   "head\n         kept elsewhere: --expect-head)");
    }
}

void report_text(const struct replay *r)
{
    const struct replay_facts *f = &r->facts;
    char hash[PROTO_HASH_TEXT], cluster[PROTO_UUID_TEXT], time[40];
    if (f->compared || f->last.index > 0)
        print_table(r);
    if (r->o->has_org && r->verdict.exit == REPLAY_PROVEN)
        print_accounts(r);
    if (r->machine && core_machine_initialised(r->machine)) {
        proto_uuid_print(core_machine_cluster(r->machine), cluster);
        (void)printf("cluster  %s\n", cluster);
    }
    (void)printf("log      %" PRIu64 " %s, %" PRIu64 " command%s (%" PRIu64 " refused, %" PRIu64
                 " hold%s expired), %.2f s\n",
                 f->entries, f->entries == 1 ? "entry" : "entries", f->commands,
                 f->commands == 1 ? "" : "s", f->refused, f->holds_expired,
                 f->holds_expired == 1 ? "" : "s", f->seconds);
    if (f->compared)
        (void)printf("state    at entry %" PRIu64 ", %s: %" PRIu64 " records equal, %" PRIu64
                     " dead ones swept, %" PRIu32 " open holds\n"
                     "chain    %" PRIu64 ":%s\n",
                     f->applied.index, time_text(f->applied.clock_us, time), f->records,
                     f->records_dead, f->open_holds, f->applied.index,
                     hash_text(&f->applied.chain, hash));
    print_tail(r);
    print_leaders(r);
    if (r->o->has_receipt && f->receipt_met && r->verdict.exit == REPLAY_PROVEN)
        (void)printf("receipt  %" PRIu64 ":%" PRIu32 " stands in this log: %s\n",
                     r->o->receipt_index, r->o->receipt_ordinal, f->receipt);
    print_result(r);
}

/* ---- JSON ---- */

/* A string: names and messages are at most this long once escaped. */
static void put_string(const char *name, const char *s)
{
    char b[6 * 640 + 8];
    struct proto_text t = proto_text_over(b, sizeof b);
    proto_text_json(&t, proto_str_of(s));
    (void)printf(",\"%s\":%s", name, t.full ? "\"\"" : b);
}

static void put_position(const char *name, const struct core_position *p)
{
    char hash[PROTO_HASH_TEXT], time[40];
    (void)printf(",\"%s\":{\"index\":%" PRIu64 ",\"term\":%" PRIu64 ",\"time\":\"%s\","
                 "\"chain\":\"%s\"}",
                 name, p->index, p->term, time_text(p->clock_us, time), hash_text(&p->chain, hash));
}

static void put_accounts(const char *name, const struct core_balances *b)
{
    (void)printf(",\"%s\":{", name);
    for (int a = 0; a < CORE_ACCOUNTS; a++)
        (void)printf("%s\"%s\":%" PRId64, a ? "," : "", core_account_name((enum core_account)a),
                     b->account[a]);
    (void)putchar('}');
}

/* Whose chain was another one, and was disowned by what came later. */
static void put_leaders(const struct replay *r)
{
    char ours[PROTO_HASH_TEXT], theirs[PROTO_HASH_TEXT];
    const char *comma = "";
    (void)printf(",\"diverged_leaders\":[");
    for (unsigned i = 0; i < r->leaders.n; i++) {
        const struct replay_leader *l = &r->leaders.of[i];
        if (!l->disowned)
            continue;
        (void)printf("%s{\"term\":%" PRIu64 ",\"first\":%" PRIu64 ",\"last\":%" PRIu64
                     ",\"entries\":%" PRIu64 ",\"index\":%" PRIu64
                     ",\"its_chain\":\"%s\",\"chain\":\"%s\"}",
                     comma, l->term, l->first, l->last, l->entries, l->index,
                     hash_text(&l->theirs, theirs), hash_text(&l->ours, ours));
        comma = ",";
    }
    (void)putchar(']');
    if (r->facts.marked)
        put_string("diverged", r->facts.mark);
}

static void put_org(const struct replay *r, uint32_t i, bool first)
{
    struct row w = row_of(r, i, moment_of(r)), end = row_of(r, i, REPLAY_NOW);
    char org[PROTO_UUID_TEXT];
    proto_uuid_print(&w.book->org, org);
    (void)printf("%s{\"org\":\"%s\"", first ? "" : ",", org);
    put_string("name", w.book->name);
    (void)printf(",\"transactions\":%" PRIu64 ",\"sum_nanos\":%" PRId64
                 ",\"balance_nanos\":%" PRId64 ",\"drift_nanos\":%" PRId64
                 ",\"held_nanos\":%" PRId64 ",\"sum_of_accounts_nanos\":%" PRId64,
                 w.tally->transactions, w.tally->sum, w.balance, w.drift,
                 w.ledger->account[CORE_HELD], w.zero);
    put_accounts("accounts_nanos", w.ledger);
    if (r->facts.last.index > 0 && !r->facts.tail_replaced)
        put_accounts("accounts_with_tail_nanos", end.ledger);
    (void)printf(",\"status\":\"%s\"}", w.drift == 0 && w.zero == 0 ? "ok" : "mismatch");
}

static int64_t put_orgs(const struct replay *r)
{
    bool first = true;
    int64_t drift = 0;
    (void)printf(",\"orgs\":[");
    for (uint32_t i = 0; i < r->books.n; i++) {
        struct row w = row_of(r, i, moment_of(r));
        drift += w.drift < 0 ? -w.drift : w.drift;
        if (!shown(r, i))
            continue;
        put_org(r, i, first);
        first = false;
    }
    (void)putchar(']');
    return drift;
}

static void put_verdict(const struct replay_options *o, const struct replay_verdict *v,
                        const char *word)
{
    (void)printf("{\"result\":\"%s\",\"exit\":%d", word, (int)v->exit);
    put_string("data", strlen(o->dir) < 600 ? o->dir : "");
    if (v->exit == REPLAY_PROVEN)
        return;
    put_string("cause", v->text);
    if (v->exit == REPLAY_MISMATCH)
        (void)printf(",\"good_up_to\":%" PRIu64 ",\"first_bad\":%" PRIu64, v->after, v->index);
}

void report_json(const struct replay *r)
{
    const struct replay_facts *f = &r->facts;
    char cluster[PROTO_UUID_TEXT] = "";
    put_verdict(r->o, &r->verdict, result_word(r));
    if (r->machine && core_machine_initialised(r->machine))
        proto_uuid_print(core_machine_cluster(r->machine), cluster);
    put_string("cluster", cluster);
    (void)printf(
        ",\"entries\":%" PRIu64 ",\"commands\":%" PRIu64 ",\"refused\":%" PRIu64
        ",\"holds_expired\":%" PRIu64 ",\"compared\":%s,\"records\":%" PRIu64
        ",\"records_dead\":%" PRIu64 ",\"open_holds\":%" PRIu32 ",\"confirmed_index\":%" PRIu64
        ",\"tail_entries\":%" PRIu64 ",\"seconds\":%.3f",
        f->entries, f->commands, f->refused, f->holds_expired, f->compared ? "true" : "false",
        f->records, f->records_dead, f->open_holds, f->confirmed,
        f->last.index > f->applied.index ? f->last.index - f->applied.index : 0, f->seconds);
    put_position("applied", &f->applied);
    put_position("last", &f->last);
    put_leaders(r);
    if (r->o->has_at) {
        char time[40];
        put_string("at", time_text(r->o->at_us, time));
    }
    if (r->o->has_receipt && r->verdict.exit == REPLAY_PROVEN)
        (void)printf(",\"receipt\":%s", f->receipt[0] ? f->receipt : "{}");
    int64_t drift = put_orgs(r);
    (void)printf(",\"drift_nanos\":%" PRId64 "}\n", drift);
}

void report_verdict(const struct replay_options *o, const struct replay_verdict *v)
{
    if (o->json) {
        put_verdict(o, v, v->exit == REPLAY_MISMATCH ? "mismatch" : "unusable");
        (void)puts("}");
    }
    (void)fprintf(stderr, "holdfast-replay: %s\n", v->text);
}
