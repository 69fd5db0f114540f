// SPDX-License-Identifier: Apache-2.0
// A node whose state lies: two of three decide, the minority serves no longer and says so, and
// nothing brings it back but an operator. As a follower and as the leader.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { Cluster } from '../e2e/lib/cluster.mjs';
import { Load } from '../e2e/lib/load.mjs';
import { Tenant, importPrices, nodesAgree, priced } from '../e2e/lib/tenant.mjs';
import { program } from '../e2e/lib/place.mjs';
import { until } from '../e2e/lib/wait.mjs';

const cluster = await Cluster.start({ after });
await importPrices(cluster, { flat: priced({ input_cost_per_request: '0.001' }) });
const tenant = await Tenant.create(cluster, 'acme', { deposit: '10000' });
const key = await tenant.key('k');

const nodeOf = (status, n) => status.nodes.find((node) => node.id === n);
const ledger = (...args) => spawnSync(program('holdfast-ledger'), args, { encoding: 'utf8', timeout: 20_000 });
const config = (n) => join(cluster.dir, `node-${n}.conf`);

/** Stops the node in order (its state is on disk then), makes the state lie, starts it again. */
async function spoil(n) {
    await cluster.endNode(n);
    const spoiled = spawnSync(program('spoil-state'), [cluster.dataDir(n)], { encoding: 'utf8' });
    assert.equal(spoiled.status, 0, spoiled.stdout);
    await cluster.startNode(n);
}

async function isFoundOut(t, n) {
    const said = await until(`node ${n} to be found out`, async () => {
        const node = nodeOf(await cluster.ctl('status'), n);
        return node.role === 'diverged' && node;
    });
    assert.match(said.note, /diverged: at index \d+: ours [0-9a-f]{64}, node \d has [0-9a-f]{64}/);
    t.diagnostic(said.note);
    return said;
}

/** Down until an operator acts; then it is one of three again. */
async function staysDownUntilRebuilt(n) {
    const { code } = await cluster.endNode(n);
    assert.equal(code, 4);
    const again = ledger('--config', config(n));
    assert.equal(again.status, 4, again.stdout + again.stderr);
    assert.match(again.stdout + again.stderr, /state differs from the majority's at index \d+/);
    const rebuilt = ledger('rebuild', '--config', config(n));
    assert.equal(rebuilt.status, 0, rebuilt.stderr);
    await cluster.startNode(n);
    const status = await nodesAgree(cluster, { deadlineMs: 60_000 });
    assert.equal(status.chains_agree, true);
    assert.equal(nodeOf(status, n).role === 'diverged', false);
}

test('F50_a_follower_that_diverges_stops_and_stays_down', async (t) => {
    const leader = await cluster.leader();
    const n = [1, 2, 3].find((one) => one !== leader);
    const load = new Load(cluster, [{ apiKey: key.api_key, clients: 3 }]);
    await load.servedMore(10);
    await spoil(n);
    await isFoundOut(t, n);
    await load.servedMore(20); // by the other two
    await staysDownUntilRebuilt(n);
    await load.servedMore(20);
    await load.stop();
    assert.deepEqual(load.answers(), { 200: load.records.length });
});

test('F50_a_leader_that_diverges_gives_way_to_the_majority', async (t) => {
    const n = await cluster.leader();
    const others = [1, 2, 3].filter((one) => one !== n);
    const load = new Load(cluster, [{ apiKey: key.api_key, clients: 3 }]);
    await load.servedMore(10);
    await load.stop();
    await tenant.quiet();
    await spoil(n);
    await nodesAgree(cluster); // nothing touches the record yet: chains still agree
    await cluster.ctl('cluster', 'transfer', '--to', String(n));
    assert.equal(await cluster.leader(), n);
    const more = new Load(cluster, [{ apiKey: key.api_key, clients: 3 }]);
    await isFoundOut(t, n);
    await more.servedMore(20);
    assert.ok(others.includes(await cluster.leader()));
    await more.stop();
    const { 200: served, ...rest } = more.answers();
    assert.ok(served > 0);
    t.diagnostic(JSON.stringify(more.answers()));
    assert.ok(Object.keys(rest).every((answer) => /^50[34]|pending/.test(answer)), JSON.stringify(rest));
    await staysDownUntilRebuilt(n);
    for (const one of [1, 2, 3]) {
        // The log is proven; the leader whose chain stands in some entries is named, if it proposed any.
        const { json } = await cluster.replay(one);
        assert.equal(json.result, 'consistent', JSON.stringify(json));
        const named = json.diverged_leaders.map((l) => `term ${l.term}, entries ${l.first} to ${l.last}`);
        t.diagnostic(`replay of node ${one}: ${json.result}; diverged leaders: ${named.join('; ') || 'none in the log'}`);
    }
});
