/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/replay/run.h"

#include "ledger/store/origin.h"
#include "tools/replay/compare.h"
#include "tools/replay/dump.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
    NEAR_ENTRIES = 20000, /* this close to the state's index its view is kept open */
    ROUNDS_MAX = 64,      /* a live state moves on while we approach it */
};
#define PROGRESS_NS UINT64_C(250000000)

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- observer ---- */

static void on_transfer(void *ctx, const struct core_transfer *t)
{
    struct replay *r = ctx;
    replay_books_transfer(&r->books, t);
    if (!r->o->transactions || (r->o->has_org && !proto_uuid_eq(&r->o->org, &t->org)) ||
        (r->o->has_at && t->time_us > r->o->at_us))
        return;
    dump_transfer(t, r->o->json, !r->o->has_org, !r->tail);
}

static void on_result(void *ctx, uint64_t index, uint32_t ordinal, int64_t time_us,
                      const struct proto_command *command, const struct proto_result *result)
{
    struct replay *r = ctx;
    if (result->code != PROTO_OK)
        r->facts.refused++;
    else if (command && command->head.kind == PROTO_CMD_org_create)
        replay_books_name(&r->books, &command->head.org, command->body.org_create.name);
    else if (command && command->head.kind == PROTO_CMD_org_set)
        replay_books_name(&r->books, &command->head.org, command->body.org_set.name);
    if (r->o->has_receipt && index == r->o->receipt_index && ordinal == r->o->receipt_ordinal) {
        struct proto_text t = proto_text_over(r->facts.receipt, sizeof r->facts.receipt);
        dump_receipt(command, result, &t);
        r->facts.receipt_met = true; /* the chain is compared once the entry is done */
    }
    if (r->o->log)
        dump_result(index, ordinal, time_us, command, result, !r->tail);
}

/* A leader's chain is not what the log gives: who is right, what comes later says (leaders.h). */
static void on_mismatch(void *ctx, uint64_t index, const struct proto_hash *ours,
                        const struct proto_hash *theirs)
{
    struct replay *r = ctx;
    if (!replay_leaders_contradict(&r->leaders, r->entry, r->entry_term, index, r->facts.confirmed,
                                   ours, theirs))
        (void)replay_fail(&r->verdict, REPLAY_MISMATCH, r->entry,
                          "entry %" PRIu64 ": leaders of more than %d terms have other chains than "
                          "this log gives",
                          r->entry, REPLAY_LEADERS_MAX);
}

/* ---- one entry ---- */

static bool fail_chain(struct replay *r, uint64_t at, const char *whose,
                       const struct proto_hash *want, const struct proto_hash *have)
{
    char w[PROTO_HASH_TEXT], h[PROTO_HASH_TEXT];
    struct proto_text t = proto_text_over(w, sizeof w);
    proto_text_hex(&t, want->b, sizeof want->b);
    t = proto_text_over(h, sizeof h);
    proto_text_hex(&t, have->b, sizeof have->b);
    (void)replay_fail(&r->verdict, REPLAY_MISMATCH, r->facts.confirmed + 1,
                      "chain at entry %" PRIu64 ": %s says %s, the log gives %s", at, whose, w, h);
    return false;
}

/* What somebody else kept of this index: a head, a receipt, or a leader in a later entry. */
static bool check_chains(struct replay *r, const struct proto_batch_header *h)
{
    const struct replay_options *o = r->o;
    const struct core_position *p = &r->pos;
    struct proto_hash chain;
    if (h &&
        (h->check_index >= p->index || (h->check_index == 0) != proto_hash_none(&h->check_chain))) {
        (void)replay_fail(&r->verdict, REPLAY_MISMATCH, p->index,
                          "entry %" PRIu64 ": the chain in its header is of no earlier entry",
                          p->index);
        return false;
    }
    if (h && h->check_index > r->facts.confirmed &&
        core_machine_chain_at(r->machine, h->check_index, &chain) &&
        memcmp(&chain, &h->check_chain, sizeof chain) == 0) {
        replay_leaders_confirm(&r->leaders, p->term, h->check_index);
        if (!replay_leaders_open(&r->leaders))
            r->facts.confirmed = h->check_index;
    }
    if (o->has_head && p->index == o->head_index) {
        if (memcmp(&p->chain, &o->head, sizeof o->head) != 0)
            return fail_chain(r, p->index, "--expect-head", &o->head, &p->chain);
        r->facts.head_met = true;
        r->facts.confirmed = p->index > r->facts.confirmed ? p->index : r->facts.confirmed;
    }
    if (o->has_receipt && p->index == o->receipt_index) {
        if (memcmp(&p->chain, &o->receipt_chain, sizeof p->chain) != 0)
            return fail_chain(r, p->index, "the receipt", &o->receipt_chain, &p->chain);
        if (!r->facts.receipt_met) {
            (void)replay_fail(&r->verdict, REPLAY_MISMATCH, p->index,
                              "entry %" PRIu64 " has no command %" PRIu32, p->index,
                              o->receipt_ordinal);
            return false;
        }
    }
    return true;
}

static bool refuse(struct replay *r, const struct log_entry *e, int rv)
{
    const char *why = core_machine_error(r->machine);
    bool ours = rv == -ENOMEM || rv == -EIO;
    (void)replay_fail(&r->verdict, ours ? REPLAY_UNUSABLE : REPLAY_MISMATCH,
                      rv == -EUCLEAN ? r->facts.confirmed + 1 : e->index, "entry %" PRIu64 ": %s",
                      e->index, why && *why ? why : strerror(-rv));
    return false;
}

static bool apply_command(struct replay *r, const struct log_entry *e,
                          struct proto_batch_header *header, struct core_outcome *out)
{
    struct proto_batch b;
    if (proto_batch_open(&b, e->data, e->len)) {
        *header = b.header;
        int64_t clock = b.header.stamp_us > r->pos.clock_us ? b.header.stamp_us : r->pos.clock_us;
        if (r->o->has_at && !r->facts.at_kept && clock > r->o->at_us) {
            replay_books_keep(&r->books, r->machine, REPLAY_AT);
            r->facts.at_kept = true;
        }
    }
    int rv = core_machine_apply(r->machine, e->index, e->term, e->data, e->len, out);
    return rv == 0 || refuse(r, e, rv);
}

static bool keep_configuration(struct replay *r, const struct log_entry *e)
{
    if (e->kind != ENTRY_CHANGE)
        return true;
    if (e->len > ENTRY_CONF_MAX) {
        (void)replay_fail(&r->verdict, REPLAY_MISMATCH, e->index,
                          "entry %" PRIu64 ": a configuration of %" PRIu32 " bytes", e->index,
                          e->len);
        return false;
    }
    r->conf.index = e->index;
    r->conf.len = e->len;
    if (e->len > 0)
        memcpy(r->conf.data, e->data, e->len);
    return true;
}

bool replay_execute(struct replay *r, const struct log_entry *e)
{
    struct proto_batch_header header = {0};
    struct core_outcome out = {0};
    r->entry = e->index;
    r->entry_term = e->term;
    if (e->term < r->pos.term) {
        (void)replay_fail(&r->verdict, REPLAY_MISMATCH, e->index,
                          "entry %" PRIu64 ": its term %" PRIu64 " is below %" PRIu64
                          " of the entry before",
                          e->index, e->term, r->pos.term);
        return false;
    }
    if (e->kind == ENTRY_COMMAND) {
        if (!apply_command(r, e, &header, &out))
            return false;
    } else {
        int rv = core_machine_skip(r->machine, e->index, e->term, e->kind, e->data, e->len);
        if (rv)
            return refuse(r, e, rv);
        if (!keep_configuration(r, e))
            return false;
    }
    core_machine_position(r->machine, &r->pos);
    r->board->index = e->index;
    r->facts.entries++;
    r->facts.commands += out.n;
    r->facts.holds_expired += out.expired;
    if (r->o->log)
        dump_entry(e, &r->pos, out.n, out.expired, !r->tail);
    if (r->books.error) {
        (void)replay_fail(&r->verdict, REPLAY_MISMATCH, r->books.error_index,
                          "entry %" PRIu64 ": %s", r->books.error_index, r->books.error);
        return false;
    }
    return !r->verdict.set && check_chains(r, e->kind == ENTRY_COMMAND ? &header : NULL);
}

/* ---- many entries ---- */

static void show_progress(struct replay *r, uint64_t last)
{
    uint64_t now = now_ns();
    if (!r->progress || now - r->progress_ns < PROGRESS_NS)
        return;
    double rate =
        (double)(r->facts.commands - r->progress_commands) * 1e9 / (double)(now - r->progress_ns);
    (void)fprintf(stderr,
                  "\rreplay: entry %" PRIu64 " of %" PRIu64 ", %" PRIu64
                  " commands, %.0f commands/s   ",
                  r->pos.index, last, r->facts.commands, rate);
    r->progress_ns = now;
    r->progress_commands = r->facts.commands;
}

/* Executes up to `last`. 1: all; 0: the log holds no more; -1: the verdict says. */
static int execute_to(struct replay *r, uint64_t last)
{
    while (r->pos.index < last) {
        int got = source_read(&r->source, r->pos.index + 1, last, &r->verdict);
        if (got <= 0)
            return got;
        for (int i = 0; i < got; i++) {
            const struct log_entry *e = &r->source.page.entries[i];
            if (r->tail && term_runs_append(&r->terms, e->index, e->term) != 0) {
                (void)replay_fail(&r->verdict, REPLAY_UNUSABLE, 0, "no memory");
                return -1;
            }
            if (!replay_execute(r, e))
                return -1;
            if (scratch_due(&r->scratch, r->machine) &&
                scratch_spill(&r->scratch, r->machine, &r->verdict) != 0)
                return -1;
        }
        show_progress(r, last);
    }
    return 1;
}

/* Executes up to the state's index and leaves a view that stands there. The state of a live node
 * moves on: it is approached in rounds, each with a shorter way to go. */
static bool reach_state(struct replay *r, struct state_reader *view, struct state_meta *meta)
{
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        if (source_view(&r->source, view, meta, &r->verdict) != 0)
            return false;
        bool ok = source_refresh(&r->source, &r->verdict) == 0;
        uint64_t to = meta->applied_index, last = source_last(&r->source);
        bool close = to - r->pos.index <= NEAR_ENTRIES || !r->source.live;
        if (ok && to > last && r->source.archive && log_store_first(r->source.log) == 0) {
            (void)replay_fail(&r->verdict, REPLAY_UNUSABLE, 0,
                              "the archive ends at entry %" PRIu64
                              ", the node was seeded at %" PRIu64 " and has no log yet",
                              last, to);
            ok = false;
        }
        if (ok && (to < r->pos.index || to > last)) {
            (void)replay_fail(&r->verdict, REPLAY_MISMATCH, last + 1,
                              "the state stands at entry %" PRIu64 ", the log ends at %" PRIu64, to,
                              last);
            ok = false;
        }
        if (ok && close && execute_to(r, to) == 1)
            return true;
        state_reader_close(view);
        if (!ok || r->verdict.set)
            return false;
        if (close || execute_to(r, to) != 1) {
            (void)replay_fail(&r->verdict, REPLAY_MISMATCH, r->pos.index + 1,
                              "entry %" PRIu64 " is missing in the log", r->pos.index + 1);
            return false;
        }
    }
    (void)replay_fail(&r->verdict, REPLAY_UNUSABLE, 0,
                      "the node writes faster than its log can be replayed here");
    return false;
}

/* Whether a live node has replaced entries of the tail since they were read: an uncommitted entry
 * may be overwritten by a new leader, and equal terms mean equal entries (Raft's log matching). */
static bool tail_replaced(struct replay *r)
{
    struct replay_verdict ignored = {0};
    if (!r->source.live || source_refresh(&r->source, &ignored) != 0)
        return false;
    for (uint64_t i = term_runs_first(&r->terms); i != 0 && i <= r->terms.last; i++)
        if (log_store_term(r->source.log, i) != term_runs_of(&r->terms, i))
            return true;
    return false;
}

static bool execute_tail(struct replay *r)
{
    r->tail = true;
    r->board->phase = REPLAY_TAIL;
    uint64_t last = source_last(&r->source);
    int rv = execute_to(r, last);
    if (rv <= 0 && tail_replaced(r)) {
        r->facts.tail_replaced = true;
        r->verdict = (struct replay_verdict){0};
        return true;
    }
    if (rv == 0) {
        (void)replay_fail(&r->verdict, REPLAY_MISMATCH, r->pos.index + 1,
                          "entry %" PRIu64 " is missing in the log", r->pos.index + 1);
        return false;
    }
    return rv >= 0;
}

/* ---- the whole ---- */

/* Where the log begins. One that is empty under a state is a seeded node's: it begins behind it. */
static bool find_beginning(struct replay *r, uint64_t *first)
{
    struct state_reader view;
    struct state_meta meta;
    *first = source_first(&r->source);
    if (*first != 0)
        return true;
    if (source_view(&r->source, &view, &meta, &r->verdict) != 0)
        return false;
    state_reader_close(&view);
    *first = meta.applied_index > 0 ? meta.applied_index + 1 : 0;
    return true;
}

static bool begin(struct replay *r)
{
    const struct replay_options *o = r->o;
    uint64_t first;
    if (source_open(&r->source, o, &r->verdict) != 0 || !find_beginning(r, &first))
        return false;
    if (first > 1) {
        (void)replay_fail(
            &r->verdict, REPLAY_UNUSABLE, 0,
            "the %s begins at entry %" PRIu64
            ": what is before was trimmed, or the node was seeded; --archive DIR says "
            "where it is",
            o->archive ? "archive" : "log", first);
        return false;
    }
    scratch_init(&r->scratch, o->memory_mib);
    struct core_config config = {.backing = scratch_backing(&r->scratch),
                                 .observer = {.ctx = r,
                                              .on_transfer = on_transfer,
                                              .on_result = on_result,
                                              .on_mismatch = on_mismatch},
                                 .cache_records = r->scratch.clean_records};
    int rv = core_machine_new(&r->machine, &config, NULL);
    if (rv)
        (void)replay_fail(&r->verdict, REPLAY_UNUSABLE, 0, "no memory for the machine");
    return rv == 0;
}

static bool state_part(struct replay *r)
{
    struct state_reader view = {0};
    struct state_meta meta = {0};
    r->board->phase = REPLAY_EXECUTING;
    if (!reach_state(r, &view, &meta))
        return false;
    r->board->phase = REPLAY_COMPARING;
    r->facts.applied = r->pos;
    replay_books_keep(&r->books, r->machine, REPLAY_APPLIED);
    bool ok = true;
    if (meta.applied_index > 0) {
        ok = replay_compare(r, &view, &meta);
        r->facts.compared = true;
        if (ok)
            replay_leaders_confirm(&r->leaders, 0, meta.applied_index);
        if (ok && meta.applied_index > r->facts.confirmed && !replay_leaders_open(&r->leaders))
            r->facts.confirmed = meta.applied_index;
    }
    state_reader_close(&view);
    return ok;
}

static bool tail_part(struct replay *r)
{
    const struct replay_options *o = r->o;
    if (!execute_tail(r))
        return false;
    r->facts.last = r->pos;
    replay_books_keep(&r->books, r->machine, REPLAY_NOW);
    if (r->facts.tail_replaced) /* the machine went along with entries that are gone */
        return true;
    if (!replay_compare_books(r, r->machine, "the machine"))
        return false;
    r->facts.machine_drift = core_machine_drift(r->machine);
    if (r->facts.machine_drift != 0)
        (void)replay_fail(&r->verdict, REPLAY_MISMATCH, 0, "the machine's own drift is %" PRId64,
                          r->facts.machine_drift);
    if (o->has_head && !r->facts.head_met)
        (void)replay_fail(&r->verdict, REPLAY_MISMATCH, r->pos.index + 1,
                          "the log ends at entry %" PRIu64 ", before the expected head %" PRIu64,
                          r->pos.index, o->head_index);
    if (o->has_receipt && !r->facts.receipt_met)
        (void)replay_fail(&r->verdict, REPLAY_MISMATCH, r->pos.index + 1,
                          "the log ends at entry %" PRIu64 ", before the receipt's %" PRIu64,
                          r->pos.index, o->receipt_index);
    return !r->verdict.set;
}

/* What cannot be proven for want of anything to prove it by. */
static void judge_emptiness(struct replay *r)
{
    if (r->o->allow_empty)
        return;
    if (!core_machine_initialised(r->machine))
        (void)replay_fail(&r->verdict, REPLAY_UNUSABLE, 0,
                          "nothing has been written to this ledger yet");
    else if (!r->facts.compared)
        (void)replay_fail(&r->verdict, REPLAY_MISMATCH, 0,
                          "the state holds no checkpoint to compare with (a node that was never "
                          "up for more than moments: --allow-empty)");
}

static void judge_identity(struct replay *r)
{
    const struct replay_source *s = &r->source;
    const struct proto_uuid *genesis = core_machine_cluster(r->machine);
    struct proto_uuid origin;
    bool known = core_machine_initialised(r->machine) && s->has_identity;
    if (known && !proto_uuid_eq(&s->identity.cluster, genesis) &&
        (origin_read(r->o->dir, &origin) != 0 || !proto_uuid_eq(&origin, genesis)))
        (void)replay_fail(&r->verdict, REPLAY_MISMATCH, 0,
                          "vote and log are of different clusters");
    if (r->o->has_org && !r->verdict.set && !replay_books_find(&r->books, &r->o->org))
        (void)replay_fail(&r->verdict, REPLAY_UNUSABLE, 0, "no such organisation in this log");
}

/* It came before whatever else was found. */
static void judge_leaders(struct replay *r)
{
    const struct replay_leader *l = replay_leaders_open(&r->leaders);
    char ours[PROTO_HASH_TEXT], theirs[PROTO_HASH_TEXT];
    if (!l || r->facts.tail_replaced || (r->verdict.set && r->verdict.exit == REPLAY_UNUSABLE))
        return;
    struct proto_text t = proto_text_over(ours, sizeof ours);
    proto_text_hex(&t, l->ours.b, sizeof l->ours.b);
    t = proto_text_over(theirs, sizeof theirs);
    proto_text_hex(&t, l->theirs.b, sizeof l->theirs.b);
    r->verdict.set = false;
    r->facts.confirmed = l->good;
    (void)replay_fail(&r->verdict, REPLAY_MISMATCH, l->good + 1,
                      "chain at entry %" PRIu64 ": the leader of term %" PRIu64
                      " says %s in entry %" PRIu64
                      ", the log gives %s, and neither the state nor a "
                      "later leader confirms the log: it was changed, or that leader had diverged",
                      l->index, l->term, theirs, l->first, ours);
}

int replay_run(struct replay *r, const struct replay_options *o, struct replay_board *board)
{
    *r = (struct replay){.o = o, .board = board, .started_ns = now_ns()};
    r->progress = o->progress || (isatty(STDERR_FILENO) && !o->log);
    r->progress_ns = r->started_ns;
    r->facts.marked = data_mark_read(o->dir, r->facts.mark);
    replay_books_init(&r->books);
    term_runs_init(&r->terms);
    if (o->transactions && !o->json)
        dump_transfer_head(!o->has_org);
    if (begin(r) && state_part(r) && tail_part(r)) {
        judge_emptiness(r);
        judge_identity(r);
    }
    judge_leaders(r);
    if (o->has_at && !r->facts.at_kept && r->machine)
        replay_books_keep(&r->books, r->machine, REPLAY_AT);
    if (r->progress)
        (void)fputs("\r\033[K", stderr);
    r->facts.seconds = (double)(now_ns() - r->started_ns) / 1e9;
    r->verdict.after = r->facts.confirmed;
    board->phase = REPLAY_DONE;
    return (int)r->verdict.exit;
}

void replay_close(struct replay *r)
{
    core_machine_free(r->machine);
    scratch_close(&r->scratch);
    replay_books_close(&r->books);
    term_runs_close(&r->terms);
    source_close(&r->source);
}
