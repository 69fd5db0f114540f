/* SPDX-License-Identifier: Apache-2.0
 * What ledger nodes say to each other: libraft's messages in canonical MessagePack.
 *
 * One array: [version, cluster, group, from, to, incarnation, sequence, clock_us, kind, notice,
 * body]; the body is an array by kind (message.c). The head differs per receiver, the body is
 * encoded once for all. Another version is sent only once the feature level in force says that
 * every node knows it. The decoder refuses every other spelling, and everything that would make the
 * engine or a CHECK stumble: terms out of order, unsound configurations, lengths out of bounds. It
 * allocates nothing; what it returns points into the caller's bytes.
 */
#ifndef HOLDFAST_LEDGER_MESSAGE_H
#define HOLDFAST_LEDGER_MESSAGE_H

#include "ledger/raft/notice.h"
#include "ledger/store/entry.h"
#include "proto/wire.h"

#include <raft.h>

enum {
    MESSAGE_VERSION = 2,
    MESSAGE_NOTE = 7, /* a kind of our own beside libraft's: nothing but the head */
    MESSAGE_HEAD_MAX = 128 + NOTICE_MAX, /* bytes */
    MESSAGE_ENTRIES_MAX = 4096,          /* in one AppendEntries */
    MESSAGE_ENTRY_OVERHEAD = 24,
    MESSAGE_BODY_OVERHEAD = 64, /* of a body without its entries or configuration */
};

/* Indexes, terms and ids above this are refused, so that nothing here can overflow. */
#define MESSAGE_NUMBER_MAX (UINT64_MAX >> 2)
/* Clocks further from 1970 likewise. */
#define MESSAGE_CLOCK_MAX_US (INT64_MAX >> 3)

struct message_head {
    struct proto_uuid cluster;
    uint16_t group;
    uint64_t from, to;
    uint64_t incarnation, sequence; /* order of the sender's messages to this receiver */
    int64_t clock_us;               /* the sender's wall clock */
    struct notice notice;
};

struct message {
    struct message_head head;
    struct raft_message raft;  /* pointers unset */
    struct log_entry *entries; /* AppendEntries: the caller's array, append_entries.n_entries */
    struct proto_str conf;     /* InstallSnapshot */
};

/* kind: enum raft_message_type or MESSAGE_NOTE; the same in raft_message.type. */
size_t message_put_head(uint8_t out[MESSAGE_HEAD_MAX], const struct message_head *head,
                        unsigned kind);
/* Body of any kind. For AppendEntries `entries` stand for the message's own; for InstallSnapshot
 * `conf` does. */
void message_put_body(struct proto_writer *w, const struct raft_message *m,
                      const struct log_entry *entries, unsigned n, struct proto_str conf);

/* 0; -EPROTONOSUPPORT for another version; -EBADMSG, with the cause in *why (static text). */
__attribute__((warn_unused_result)) int
message_decode(const void *bytes, size_t n, struct message *out,
               struct log_entry entries[MESSAGE_ENTRIES_MAX], const char **why);

/* A configuration in libraft's encoding that its decoder can be handed: NULL, or what is wrong. */
const char *message_check_conf(const uint8_t *p, size_t n);

#endif
