// SPDX-License-Identifier: Apache-2.0
// A cluster comes up, loses its leader, chooses another, takes the lost node back, and ends cleanly.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { until } from './lib/wait.mjs';

test('F43_a_cluster_survives_its_leader', async (t) => {
    const cluster = await Cluster.start(t, { nodes: 3, edges: 1 });
    const first = await cluster.leader();

    assert.deepEqual(await cluster.killNode(first), { code: null, signal: 'SIGKILL' });
    const second = await until('another leader', async () => {
        const { leader } = await cluster.ctl('status');
        return leader !== first && leader;
    });
    assert.notEqual(second, first);

    await cluster.startNode(first);
    const status = await until('all nodes to agree', async () => {
        const now = await cluster.ctl('status');
        return now.nodes.every((node) => node.reachable && node.lag === 0) && now;
    });
    assert.equal(status.quorum, true);

    for (const n of [1, 2, 3]) {
        assert.deepEqual(await cluster.endNode(n), { code: 0, signal: null });
    }
    assert.deepEqual(await cluster.endEdge(1), { code: 0, signal: null });
});

test('F32_the_official_client_trusts_the_clusters_own_ca', async (t) => {
    const cluster = await Cluster.start(t, { nodes: 1, edges: 1 });
    assert.match(cluster.edgeUrl(1), /^https:/);
    const openai = cluster.openai(1, 'sk-hf-000000000000-nobody', { maxRetries: 0 });
    await assert.rejects(openai.models.list(), (error) => error.status === 401);
});
