/* SPDX-License-Identifier: Apache-2.0
 * The audit trail (F37): one record per accepted administrative command, numbered per org, never
 * changed. Group-wide actions (genesis, price imports) stand under the zero org.
 */
#include "ledger/core/machine.h"

/* A text that did not fit may end inside a character, and nobody could read its row. */
static size_t whole_characters(const struct proto_text *t)
{
    size_t n = t->n;
    while (t->full && n > 0 && !proto_utf8_clean(core_str(t->base, n)))
        n--;
    return n;
}

void core_audit_write(struct core_machine *m, struct core_call *x)
{
    static const struct proto_uuid group;
    const struct proto_command_head *head = &x->c->head;
    uint32_t number = x->org ? ++x->org->audits : ++m->group.audits;
    if (x->org)
        core_touch(m, x->org);
    struct core_key k;
    core_key_org_number(&k, CORE_TABLE_audit, x->org ? &x->org_id : &group, number);
    size_t before = whole_characters(&x->before), after = whole_characters(&x->after);
    size_t reason = x->reason.n;
    struct core_audit *a = core_put(m, &k, sizeof *a + before + after + reason);
    a->index = m->at.index;
    a->time_us = m->at.clock_us;
    a->before_n = (uint16_t)before;
    a->after_n = (uint16_t)after;
    a->reason_n = (uint16_t)reason;
    a->kind = head->kind;
    a->role = (uint8_t)x->who.role;
    a->ip_n = (uint8_t)head->ip.n;
    memcpy(a->actor, head->cred.b, sizeof a->actor);
    if (head->ip.n > 0)
        memcpy(a->ip, head->ip.p, head->ip.n);
    memcpy(a->text, x->before_text, before);
    memcpy(a->text + before, x->after_text, after);
    if (reason > 0)
        memcpy(a->text + before + after, x->reason.p, reason);
}
