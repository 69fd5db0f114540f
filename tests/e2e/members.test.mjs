// SPDX-License-Identifier: Apache-2.0
// A node joins, a dead one is removed, one is replaced, while clients keep calling: nobody is
// refused, and every log tells the same story. What cannot be done safely is refused with its reason.
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Load } from './lib/load.mjs';
import { program } from './lib/place.mjs';
import { run } from './lib/process.mjs';
import { Tenant, dollars, importPrices, nodesAgree, priced } from './lib/tenant.mjs';
import { until } from './lib/wait.mjs';

const PRICE = 1_000_003;
const cluster = Cluster.make({ after }, { nodes: 4, edges: 2, mockArgs: ['--latency-ms', '3'] });
await cluster.init();
const file = join(cluster.dir, 'cluster.conf');
const all = readFileSync(file, 'utf8'); // node 4 comes later: edges and tools know it, nodes do not
const without = (text, n) => text.replace(new RegExp(`\\[node ${n}\\][^[]*`), '');
writeFileSync(file, without(all, 4));
await Promise.all([1, 2, 3].map((n) => cluster.startNode(n)));
await cluster.leader();
writeFileSync(file, all);
await Promise.all([1, 2].map((n) => cluster.startEdge(n)));
await importPrices(cluster, { flat: priced({ input_cost_per_request: dollars(PRICE) }) });

const tenant = await Tenant.create(cluster, 'acme', { deposit: '10000' });
const key = await tenant.key('k');
const load = new Load(cluster, [{ apiKey: key.api_key, clients: 4 }]);
after(() => load.stop());

const members = async () => {
    const { members: found } = await cluster.ctl('cluster', 'status');
    return Object.fromEntries(found.map((member) => [member.id, member.role === 'leader' ? 'voter' : member.role]));
};
const restart = async (n) => {
    assert.deepEqual(await cluster.endNode(n), { code: 0, signal: null });
    await cluster.startNode(n);
    await cluster.ctl('status', '--strict', '--wait', '25'); // as operations.md says, before the next one
    await until(`node ${n} to follow`, async () => {
        const { nodes } = await cluster.ctl('status');
        const leader = nodes.find((node) => node.role === 'leader');
        const node = nodes.find((one) => one.id === n);
        return leader && node.reachable && node.applied_index + 50 >= leader.applied_index;
    });
};
const refusal = async (pattern, ...args) => {
    const { status, json } = await cluster.tryCtl('cluster', ...args);
    assert.equal(status, 1, JSON.stringify(json));
    assert.equal(json.error.code, 'CLUSTER_NOT_READY');
    assert.match(json.error.message, pattern);
};
const notLeader = async () => {
    const leader = await cluster.leader();
    const at = Object.keys(await members()).map(Number);
    return at.find((n) => n !== leader && cluster.nodes.has(n));
};
/** A data directory without a log, and a process on it. */
const join_ = async (n) => {
    await run(program('holdfast-ledger'), ['init', '--join', '--config', join(cluster.dir, `node-${n}.conf`)]);
    cluster.started.add(n);
    await cluster.startNode(n);
};

test('F43_what_is_not_safe_is_refused_with_its_reason', async () => {
    await load.servedMore(20);
    await refusal(/node 9 is not in the cluster/, 'remove', '--node', '9');
    await refusal(/leads: hand leadership over first/, 'remove', '--node', String(await cluster.leader()));
    const dead = await notLeader();
    await cluster.killNode(dead);
    const other = [1, 2, 3].find((n) => n !== dead && n !== 0);
    await until('the dead node to be missed', async () => {
        const { json } = await cluster.tryCtl('cluster', 'remove', '--node', String(await notLeader() ?? other));
        assert.match(json.error?.message ?? '', /is not heard|leads/);
        return /is not heard/.test(json.error.message);
    });
    await cluster.startNode(dead);
    assert.deepEqual(await members(), { 1: 'voter', 2: 'voter', 3: 'voter' });
});

test('F43_a_fourth_node_joins_online', async (t) => {
    await until('the change to be accepted', async () => { // the node does not run yet
        const { json } = await cluster.tryCtl('cluster', 'add', '--node', '4', '--timeout', '1');
        return json.error.code === 'not_yet' && /has no vote yet/.test(json.error.message);
    });
    await join_(4); // where it is, the others learn from the log
    const before = performance.now();
    const done = await cluster.ctl('cluster', 'add', '--node', '4', '--timeout', '60');
    t.diagnostic(`joined in ${Math.round(performance.now() - before)} ms`);
    assert.equal(done.node, 4);
    assert.equal(done.index, undefined); // nothing was changed once more
    assert.deepEqual(await members(), { 1: 'voter', 2: 'voter', 3: 'voter', 4: 'voter' });
    await refusal(/node 4 is in the cluster already/, 'add', '--node', '4');
    await load.servedMore(20);
    await cluster.ctl('cluster', 'transfer', '--to', '4', '--timeout', '30');
    await load.servedMore(20); // by a leader that no other node has in its cluster.conf
    await cluster.ctl('cluster', 'transfer', '--to', '1', '--timeout', '30');
    for (const n of [2, 3]) {
        await restart(n); // with the new cluster.conf: nothing changes
    }
});

test('F43_a_dead_node_is_removed_and_the_rest_serves', async () => {
    const dead = await notLeader();
    await cluster.killNode(dead);
    await cluster.ctl('cluster', 'remove', '--node', String(dead), '--reason', 'its disk died', '--timeout', '60');
    const left = await members();
    assert.equal(Object.keys(left).length, 3);
    assert.equal(left[dead], undefined);
    await load.servedMore(20);
    const [one] = await cluster.ctl('audit', '--group').then(({ audit }) =>
        audit.filter((row) => row.after === `remove node ${dead}`));
    assert.equal(one.reason, 'its disk died');

    // It comes back as a new node, with nothing: the same id, an empty disk.
    rmSync(cluster.dataDir(dead), { recursive: true });
    await join_(dead);
    const elsewhere = new RegExp(`(\\[node ${dead}\\][^[]*?\\npeer *= *)(\\S+)`);
    writeFileSync(file, all.replace(elsewhere, (_, head) => `${head}127.0.0.1:1`));
    await refusal(/leader's cluster.conf has another address for node/, 'add', '--node', String(dead));
    writeFileSync(file, all);
    await cluster.ctl('cluster', 'add', '--node', String(dead), '--timeout', '60');
    assert.equal((await members())[dead], 'voter');
    await load.servedMore(20);
});

test('F43_after_all_changes_every_log_tells_the_same_story', async (t) => {
    const gone = await notLeader();
    await cluster.ctl('cluster', 'remove', '--node', String(gone), '--timeout', '60');
    await load.servedMore(20);
    const outside = (await cluster.ctl('status')).nodes.find((node) => node.id === gone);
    t.diagnostic(`the removed node says: ${outside.role}, ${outside.note ?? ''}`);
    await cluster.endNode(gone);
    const [two] = [await notLeader()]; // three are left: one may fail
    await cluster.killNode(two);
    await load.servedMore(20);
    await cluster.startNode(two);
    await load.stop();
    const answers = load.answers();
    t.diagnostic(JSON.stringify(answers));
    assert.deepEqual(answers, { 200: load.records.length });
    await tenant.quiet();
    await until('those left at the same index', async () => {
        const { nodes } = await cluster.ctl('status');
        const there = nodes.filter((node) => node.reachable);
        return there.length === 3 && new Set(there.map((node) => `${node.applied_index} ${node.chain}`)).size === 1;
    });
    for (const n of Object.keys(await members()).map(Number)) {
        const { status, json } = await cluster.replay(n);
        assert.equal(status, 0, JSON.stringify(json));
        const books = json.orgs.find((one) => one.org === tenant.org);
        assert.equal(books.accounts_with_tail_nanos.usage, load.served.length * PRICE);
    }
});
