/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/checkpoint.h"

#include "proto/base/check.h"

const struct state_sweep_rules checkpoint_sweep = {
    .spans = CORE_MORTAL, .span = core_mortal, .dead = core_record_dead};
_Static_assert((int)CORE_MORTAL <= (int)SWEEP_SPANS, "ranges of the sweep");
_Static_assert((int)CORE_MORTAL_KEY <= (int)SWEEP_SPAN_KEY, "keys of its ranges");

void checkpoint_init(struct checkpoint *c, const struct checkpoint_config *config,
                     struct core_machine *machine, const struct node_io *io, uint64_t index)
{
    *c = (struct checkpoint){.config = *config, .machine = machine, .io = io, .index = index};
    state_changes_init(&c->changes);
}

void checkpoint_close(struct checkpoint *c)
{
    state_changes_close(&c->changes);
}

uint64_t checkpoint_due_ms(const struct checkpoint *c)
{
    uint64_t at = c->last_ms + c->config.every_ms;
    if (c->writing)
        return UINT64_MAX;
    return at > c->rest_until_ms ? at : c->rest_until_ms;
}

/* Of the pieces of time, shifted by the node's phase: by the golden ratio, so that neighbours are
 * far apart whatever their number. */
static uint64_t piece_of(const struct checkpoint *c, uint64_t mono_ms)
{
    uint64_t length = c->config.every_ms / CHECKPOINT_PIECES + 1;
    return (mono_ms + c->config.phase * 618 % 1000 * length / 1000) / length;
}

bool checkpoint_due(const struct checkpoint *c, uint64_t mono_ms)
{
    uint64_t changed = core_machine_changed(c->machine), early = c->config.changed_records;
    if (c->writing)
        return false;
    if (mono_ms < c->rest_until_ms)
        return changed >= early * CHECKPOINT_CROWD;
    if (changed >= CHECKPOINT_WORTH && piece_of(c, mono_ms) > piece_of(c, c->last_ms))
        return true;
    return mono_ms >= c->last_ms + c->config.every_ms || changed >= early;
}

static int add_change(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    return state_changes_add(ctx, key, klen, value, vlen);
}

int checkpoint_start(struct checkpoint *c, uint64_t mono_ms, const struct log_conf *conf)
{
    struct core_position at;
    c->last_ms = mono_ms;
    core_machine_position(c->machine, &at);
    if (c->writing || at.index <= c->index)
        return 0;
    state_changes_clear(&c->changes);
    int rv = core_machine_changes(c->machine, add_change, &c->changes);
    if (rv != 0)
        return rv;
    struct state_meta meta = {.applied_index = at.index,
                              .applied_term = at.term,
                              .clock_us = at.clock_us,
                              .chain = at.chain};
    if (conf)
        meta.conf = *conf;
    rv = c->io->write_checkpoint(c->io->ctx, &c->changes, &meta);
    if (rv != 0)
        return rv;
    c->writing = true;
    c->writing_index = at.index;
    return 0;
}

int checkpoint_done(struct checkpoint *c, uint64_t mono_ms, uint64_t index)
{
    CHECK(c->writing && index == c->writing_index);
    uint64_t took = mono_ms > c->last_ms ? mono_ms - c->last_ms : 0;
    uint64_t rest = took * CHECKPOINT_REST;
    if (took >= CHECKPOINT_LONG_MS)
        c->rest_until_ms =
            mono_ms + (rest < CHECKPOINT_REST_MAX_MS ? rest : CHECKPOINT_REST_MAX_MS);
    c->writing = false;
    c->index = index;
    core_machine_written(c->machine);
    return c->io->refresh(c->io->ctx);
}
