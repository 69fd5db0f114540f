// SPDX-License-Identifier: Apache-2.0
// A cluster comes up, loses its leader, chooses another, takes the lost node back, and ends cleanly.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
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

// As docs/operations.md says: the directory is gone, init, start. Nobody else acts.
test('F43_a_node_that_lost_its_directory_is_sent_everything_again', async (t) => {
    const cluster = await Cluster.start(t, { nodes: 3, edges: 0 });
    for (let i = 0; i < 30; i++) {
        await cluster.ctl('org', 'create', '--name', `org-${i}`);
    }
    const leader = await cluster.leader();
    const lost = [1, 2, 3].find((n) => n !== leader);
    await cluster.killNode(lost);
    rmSync(cluster.dataDir(lost), { recursive: true });
    cluster.started.delete(lost);
    await cluster.startNode(lost);
    await cluster.ctl('org', 'create', '--name', 'meanwhile');
    await until('the node to have everything again', async () => {
        const { nodes } = await cluster.ctl('status');
        const goal = Math.max(...nodes.map((node) => node.commit_index ?? 0));
        return nodes.every((node) => node.reachable && node.applied_index >= goal);
    }, { deadlineMs: 60_000 });
    for (const n of [1, 2, 3]) {
        const { status, stderr } = await cluster.replay(n);
        assert.equal(status, 0, stderr);
    }
});

test('F32_the_official_client_trusts_the_clusters_own_ca', async (t) => {
    const cluster = await Cluster.start(t, { nodes: 1, edges: 1 });
    assert.match(cluster.edgeUrl(1), /^https:/);
    const openai = cluster.openai(1, 'sk-hf-000000000000-nobody', { maxRetries: 0 });
    await assert.rejects(openai.models.list(), (error) => error.status === 401);
});
