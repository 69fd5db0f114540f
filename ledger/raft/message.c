/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/raft/message.h"

#include "ledger/raft/pump.h"

#include <errno.h>
#include <string.h>

enum { HEAD_FIELDS = 11 };

/* Versions of libraft 0.22.1's messages: its handlers read fields by these. */
enum { ENGINE_VOTE_VERSION = 2, ENGINE_RESULT_VERSION = 2 };

/* ---- encode ---- */

size_t message_put_head(uint8_t out[MESSAGE_HEAD_MAX], const struct message_head *h, unsigned kind)
{
    struct proto_writer w = proto_writer_over(out, MESSAGE_HEAD_MAX);
    proto_put_array(&w, HEAD_FIELDS);
    proto_put_uint(&w, MESSAGE_VERSION);
    proto_put_bin(&w, h->cluster.b, sizeof h->cluster.b);
    proto_put_uint(&w, h->group);
    proto_put_uint(&w, h->from);
    proto_put_uint(&w, h->to);
    proto_put_uint(&w, h->incarnation);
    proto_put_uint(&w, h->sequence);
    proto_put_int(&w, h->clock_us);
    proto_put_uint(&w, kind);
    notice_put(&w, &h->notice);
    return w.n;
}

static void put_uints(struct proto_writer *w, unsigned n, const uint64_t *v, unsigned array)
{
    proto_put_array(w, array);
    for (unsigned i = 0; i < n; i++)
        proto_put_uint(w, v[i]);
}

static void put_append(struct proto_writer *w, const struct raft_append_entries *a,
                       const struct log_entry *entries, unsigned n)
{
    put_uints(w, 4, (uint64_t[]){a->term, a->prev_log_index, a->prev_log_term, a->leader_commit},
              5);
    proto_put_array(w, n);
    for (unsigned i = 0; i < n; i++) {
        proto_put_array(w, 3);
        proto_put_uint(w, entries[i].term);
        proto_put_uint(w, entries[i].kind);
        proto_put_bin(w, entries[i].data, entries[i].len);
    }
}

void message_put_body(struct proto_writer *w, const struct raft_message *m,
                      const struct log_entry *entries, unsigned n, struct proto_str conf)
{
    if ((unsigned)m->type == MESSAGE_NOTE) {
        proto_put_array(w, 0);
        return;
    }
    switch (m->type) {
    case RAFT_APPEND_ENTRIES:
        put_append(w, &m->append_entries, entries, n);
        break;
    case RAFT_APPEND_ENTRIES_RESULT: {
        const struct raft_append_entries_result *r = &m->append_entries_result;
        put_uints(w, 5,
                  (uint64_t[]){r->term, r->rejected, r->last_log_index, r->features, r->capacity},
                  5);
        break;
    }
    case RAFT_REQUEST_VOTE: {
        const struct raft_request_vote *r = &m->request_vote;
        put_uints(w, 4, (uint64_t[]){r->term, r->candidate_id, r->last_log_index, r->last_log_term},
                  6);
        proto_put_bool(w, r->disrupt_leader);
        proto_put_bool(w, r->pre_vote);
        break;
    }
    case RAFT_REQUEST_VOTE_RESULT: {
        const struct raft_request_vote_result *r = &m->request_vote_result;
        put_uints(w, 3, (uint64_t[]){r->term, r->features, r->capacity}, 5);
        proto_put_bool(w, r->vote_granted);
        proto_put_bool(w, r->pre_vote);
        break;
    }
    case RAFT_INSTALL_SNAPSHOT: {
        const struct raft_install_snapshot *s = &m->install_snapshot;
        put_uints(w, 4, (uint64_t[]){s->term, s->last_index, s->last_term, s->conf_index}, 5);
        proto_put_bin(w, conf.p, conf.n);
        break;
    }
    case RAFT_TIMEOUT_NOW: {
        const struct raft_timeout_now *t = &m->timeout_now;
        put_uints(w, 3, (uint64_t[]){t->term, t->last_log_index, t->last_log_term}, 3);
        break;
    }
    }
}

/* ---- decode ---- */

const char *message_check_conf(const uint8_t *p, size_t n)
{
    /* format u8 = 1, n u64, then per server: id u64, address with its NUL, role u8; zero padded. */
    const uint8_t *end;
    uint64_t servers = 0, seen[PUMP_SERVERS_MAX];
    const char *address[PUMP_SERVERS_MAX];
    if (n < 9 || n > ENTRY_CONF_MAX || p[0] != 1)
        return "configuration: no head";
    end = p + n; /* not before: without bytes p may be NULL */
    for (int i = 0; i < 8; i++)
        servers |= (uint64_t)p[1 + i] << (8 * i);
    if (servers == 0 || servers > PUMP_SERVERS_MAX)
        return "configuration: number of servers";
    p += 9;
    for (unsigned s = 0; s < servers; s++) {
        if (end - p < 8)
            return "configuration: cut";
        seen[s] = 0;
        for (int i = 0; i < 8; i++)
            seen[s] |= (uint64_t)p[i] << (8 * i);
        p += 8;
        const uint8_t *nul = memchr(p, 0, (size_t)(end - p));
        if (!nul || end - nul < 2 || nul - p >= PUMP_ADDRESS_MAX)
            return "configuration: address";
        address[s] = (const char *)p;
        if (seen[s] == 0 || seen[s] > MESSAGE_NUMBER_MAX || nul[1] > RAFT_SPARE)
            return "configuration: id or role";
        for (unsigned o = 0; o < s; o++)
            if (seen[o] == seen[s] || strcmp(address[o], address[s]) == 0)
                return "configuration: a server twice";
        p = nul + 2;
    }
    for (; p < end; p++)
        if (*p != 0)
            return "configuration: bytes after its end";
    return NULL;
}

static bool get_numbers(struct proto_reader *r, unsigned n, uint64_t *out)
{
    for (unsigned i = 0; i < n; i++)
        if (!proto_get_uint(r, &out[i], MESSAGE_NUMBER_MAX))
            return false;
    return true;
}

/* Returns what is wrong with the meaning of well-formed fields, or the reader's own complaint. */
static const char *get_entry(struct proto_reader *r, struct log_entry *e, uint64_t least,
                             uint64_t most)
{
    uint64_t kind;
    struct proto_str payload;
    if (!proto_get_array_of(r, 3) || !proto_get_uint(r, &e->term, MESSAGE_NUMBER_MAX) ||
        !proto_get_uint(r, &kind, ENTRY_CHANGE) || !proto_get_bin(r, &payload, ENTRY_LEN_MAX))
        return r->error;
    if (e->term < least || e->term > most || e->term == 0)
        return "entry: term out of order";
    if (kind < ENTRY_COMMAND)
        return "entry: kind";
    e->kind = (uint8_t)kind;
    e->len = payload.n;
    e->data = payload.n > 0 ? (const uint8_t *)payload.p : NULL;
    if (kind == ENTRY_CHANGE)
        return message_check_conf(e->data, e->len);
    return NULL;
}

static const char *get_append(struct proto_reader *r, struct message *m, struct log_entry *entries)
{
    struct raft_append_entries *a = &m->raft.append_entries;
    uint64_t v[4];
    uint32_t n;
    if (!proto_get_array_of(r, 5) || !get_numbers(r, 4, v) ||
        !proto_get_array(r, &n, MESSAGE_ENTRIES_MAX))
        return r->error;
    *a = (struct raft_append_entries){.term = v[0],
                                      .prev_log_index = v[1],
                                      .prev_log_term = v[2],
                                      .leader_commit = v[3],
                                      .n_entries = n};
    if (a->term == 0 || a->prev_log_term > a->term ||
        (a->prev_log_index == 0) != (a->prev_log_term == 0))
        return "append: terms";
    uint64_t least = a->prev_log_term;
    for (uint32_t i = 0; i < n; i++) {
        const char *bad = get_entry(r, &entries[i], least, a->term);
        if (bad)
            return bad;
        entries[i].index = a->prev_log_index + 1 + i;
        least = entries[i].term;
    }
    m->entries = entries;
    return NULL;
}

static const char *get_append_result(struct proto_reader *r, struct message *m)
{
    uint64_t v[3], features, capacity;
    if (!proto_get_array_of(r, 5) || !get_numbers(r, 3, v) ||
        !proto_get_uint(r, &features, UINT16_MAX) || !proto_get_uint(r, &capacity, UINT16_MAX))
        return r->error;
    m->raft.append_entries_result =
        (struct raft_append_entries_result){.version = ENGINE_RESULT_VERSION,
                                            .term = v[0],
                                            .rejected = v[1],
                                            .last_log_index = v[2],
                                            .features = (unsigned short)features,
                                            .capacity = (unsigned short)capacity};
    return NULL;
}

static const char *get_vote(struct proto_reader *r, struct message *m)
{
    uint64_t v[4];
    bool disrupt, pre;
    if (!proto_get_array_of(r, 6) || !get_numbers(r, 4, v) || !proto_get_bool(r, &disrupt) ||
        !proto_get_bool(r, &pre))
        return r->error;
    m->raft.request_vote = (struct raft_request_vote){.version = ENGINE_VOTE_VERSION,
                                                      .term = v[0],
                                                      .candidate_id = v[1],
                                                      .last_log_index = v[2],
                                                      .last_log_term = v[3],
                                                      .disrupt_leader = disrupt,
                                                      .pre_vote = pre};
    return v[1] == m->head.from ? NULL : "vote: asked for another";
}

static const char *get_vote_result(struct proto_reader *r, struct message *m)
{
    uint64_t term, features, capacity;
    bool granted, pre;
    if (!proto_get_array_of(r, 5) || !proto_get_uint(r, &term, MESSAGE_NUMBER_MAX) ||
        !proto_get_uint(r, &features, UINT16_MAX) || !proto_get_uint(r, &capacity, UINT16_MAX) ||
        !proto_get_bool(r, &granted) || !proto_get_bool(r, &pre))
        return r->error;
    m->raft.request_vote_result =
        (struct raft_request_vote_result){.version = ENGINE_VOTE_VERSION,
                                          .term = term,
                                          .vote_granted = granted,
                                          .pre_vote = pre,
                                          .features = (unsigned short)features,
                                          .capacity = (unsigned short)capacity};
    return NULL;
}

static const char *get_install(struct proto_reader *r, struct message *m)
{
    uint64_t v[4];
    if (!proto_get_array_of(r, 5) || !get_numbers(r, 4, v) ||
        !proto_get_bin(r, &m->conf, ENTRY_CONF_MAX))
        return r->error;
    m->raft.install_snapshot = (struct raft_install_snapshot){
        .term = v[0], .last_index = v[1], .last_term = v[2], .conf_index = v[3]};
    if (v[1] == 0 || v[2] == 0 || v[2] > v[0])
        return "install: terms";
    return message_check_conf((const uint8_t *)m->conf.p, m->conf.n);
}

static const char *get_timeout(struct proto_reader *r, struct message *m)
{
    uint64_t v[3];
    if (!proto_get_array_of(r, 3) || !get_numbers(r, 3, v))
        return r->error;
    m->raft.timeout_now =
        (struct raft_timeout_now){.term = v[0], .last_log_index = v[1], .last_log_term = v[2]};
    return NULL;
}

static const char *get_body(struct proto_reader *r, struct message *m, struct log_entry *entries)
{
    if ((unsigned)m->raft.type == MESSAGE_NOTE)
        return proto_get_array_of(r, 0) ? NULL : r->error;
    switch (m->raft.type) {
    case RAFT_APPEND_ENTRIES:
        return get_append(r, m, entries);
    case RAFT_APPEND_ENTRIES_RESULT:
        return get_append_result(r, m);
    case RAFT_REQUEST_VOTE:
        return get_vote(r, m);
    case RAFT_REQUEST_VOTE_RESULT:
        return get_vote_result(r, m);
    case RAFT_INSTALL_SNAPSHOT:
        return get_install(r, m);
    case RAFT_TIMEOUT_NOW:
        return get_timeout(r, m);
    }
    return "kind";
}

int message_decode(const void *bytes, size_t n, struct message *out,
                   struct log_entry entries[MESSAGE_ENTRIES_MAX], const char **why)
{
    struct proto_reader r = proto_reader_over(bytes, n);
    struct message_head *h = &out->head;
    uint64_t version, group, kind;
    memset(out, 0, sizeof *out);
    *why = "length";
    if (n > PUMP_MESSAGE_TAKE_MAX)
        return -EBADMSG;
    if (!proto_get_array_of(&r, HEAD_FIELDS) || !proto_get_uint(&r, &version, UINT32_MAX)) {
        *why = r.error;
        return -EBADMSG;
    }
    if (version != MESSAGE_VERSION) {
        *why = "version";
        return -EPROTONOSUPPORT;
    }
    if (!proto_get_fixed(&r, h->cluster.b, sizeof h->cluster.b, false) ||
        !proto_get_uint(&r, &group, UINT16_MAX) ||
        !proto_get_uint(&r, &h->from, MESSAGE_NUMBER_MAX) ||
        !proto_get_uint(&r, &h->to, MESSAGE_NUMBER_MAX) ||
        !proto_get_uint(&r, &h->incarnation, MESSAGE_NUMBER_MAX) ||
        !proto_get_uint(&r, &h->sequence, MESSAGE_NUMBER_MAX) || !proto_get_int(&r, &h->clock_us) ||
        !proto_get_uint(&r, &kind, MESSAGE_NOTE) || !notice_get(&r, &h->notice)) {
        *why = r.error;
        return -EBADMSG;
    }
    h->group = (uint16_t)group;
    out->raft.type = (enum raft_message_type)kind;
    out->raft.server_id = h->from;
    if (h->from == 0)
        *why = "sender";
    else if (h->clock_us < -MESSAGE_CLOCK_MAX_US || h->clock_us > MESSAGE_CLOCK_MAX_US)
        *why = "clock";
    else
        *why = get_body(&r, out, entries);
    if (!*why && !proto_get_end(&r))
        *why = r.error;
    return *why ? -EBADMSG : 0;
}
