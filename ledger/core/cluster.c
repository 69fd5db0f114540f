/* SPDX-License-Identifier: Apache-2.0
 * Commands about the cluster itself: the operator's alone, audited group-wide. The machine decides
 * who may and what is sound, and sets the feature level; leadership and membership are the leader's
 * to carry out once the entry is applied (ledger/cluster.c).
 */
#include "ledger/core/machine.h"

#include "proto/level.h"

#include <errno.h>

uint32_t core_machine_level(const struct core_machine *m)
{
    return m->group.level > 0 ? m->group.level : PROTO_LEVEL_FIRST;
}

bool core_level_allows(const struct core_machine *m, unsigned kind)
{
    return proto_level_of(kind) <= core_machine_level(m);
}

int core_level_check(struct core_machine *m, uint32_t level)
{
    if (level <= proto_level_known())
        return 0;
    struct proto_text t = proto_text_over(m->error, sizeof m->error);
    proto_text_put(&t, "feature level ");
    proto_text_uint(&t, level);
    proto_text_put(&t, " is in force, and this program knows up to ");
    proto_text_uint(&t, proto_level_known());
    proto_text_put(&t, ": run a newer version");
    m->failed = -EPROTO;
    return m->failed;
}

static void note_level(struct core_machine *m, struct proto_text *t)
{
    proto_text_put(t, "level ");
    proto_text_uint(t, core_machine_level(m));
}

void core_feature_level(struct core_machine *m, struct core_call *x)
{
    uint32_t level = x->c->body.feature_level.level;
    if (level <= core_machine_level(m)) {
        core_refuse(x, PROTO_VERSION_CONFLICT);
        return;
    }
    if (core_level_check(m, level) != 0)
        return;
    note_level(m, &x->before);
    m->group.level = (uint16_t)level;
    note_level(m, &x->after);
    *x->r = (struct proto_result){.code = PROTO_OK, .shape = PROTO_SHAPE_created};
    x->r->body.created.number = level;
}

static void note_node(struct proto_text *t, const char *what, uint32_t node)
{
    proto_text_put(t, what);
    if (node > 0) {
        proto_text_put(t, " ");
        proto_text_uint(t, node);
    }
}

void core_cluster_transfer(struct core_machine *m, struct core_call *x)
{
    (void)m;
    note_node(&x->after, "leadership to node", x->c->body.cluster_transfer.node);
    core_refuse(x, PROTO_OK);
}

void core_cluster_add(struct core_machine *m, struct core_call *x)
{
    const struct proto_cluster_add *c = &x->c->body.cluster_add;
    (void)m;
    note_node(&x->after, "add node", c->node);
    proto_text_put(&x->after, " at ");
    proto_text_json(&x->after, c->address);
    core_refuse(x, PROTO_OK);
}

void core_cluster_remove(struct core_machine *m, struct core_call *x)
{
    (void)m;
    note_node(&x->after, "remove node", x->c->body.cluster_remove.node);
    x->reason = x->c->body.cluster_remove.reason;
    core_refuse(x, PROTO_OK);
}
