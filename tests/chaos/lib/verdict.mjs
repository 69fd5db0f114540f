// SPDX-License-Identifier: Apache-2.0
// What a scene of chaos ends with: every call was answered, and every node's log is held against
// what the clients were told.
import assert from 'node:assert/strict';
import { nodesAgree } from '../../e2e/lib/tenant.mjs';
import { judgeCalls } from './bench.mjs';

/**
 * For a load that has stopped. earlier: the cluster served calls before this load, so the log settles
 * some that it does not know.
 */
export async function nothingIsLost(t, cluster, tenant, load, { earlier = false, deadlineMs = 60_000 } = {}) {
    t.diagnostic(`answers: ${JSON.stringify(load.answers())}`);
    assert.deepEqual(load.records.filter((record) => record.error || record.broken), []);
    await tenant.quiet({ deadlineMs });
    await nodesAgree(cluster, { deadlineMs });
    for (const n of [1, 2, 3]) {
        const { served, unserved, ...wrong } = await judgeCalls(cluster, n, load.records);
        t.diagnostic(`node ${n}: ${served} calls ${JSON.stringify({ ...wrong, unserved })}`);
        assert.ok(served > 0);
        assert.deepEqual(wrong, { lost: 0, doubled: 0, differing: 0, drift: 0 });
        assert.ok(earlier || unserved === 0, `${unserved} settled, and nobody was served`);
    }
}
