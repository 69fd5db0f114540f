// SPDX-License-Identifier: Apache-2.0
// Leadership handed over, nodes restarted one by one, and a program replaced by its successor one
// node at a time, while clients keep calling: nobody is refused, nothing is lost.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Load } from './lib/load.mjs';
import { program } from './lib/place.mjs';
import { Tenant, dollars, importPrices, nodesAgree, priced } from './lib/tenant.mjs';

const PRICE = 1_000_003;
const running = new Map(); // node -> the program that runs it
const cluster = await Cluster.start({ after }, {
    nodes: 3, edges: 2, mockArgs: ['--latency-ms', '3'], launch: (n) => ({ instead: running.get(n) ?? 'holdfast-ledger-old' }),
});
await importPrices(cluster, { flat: priced({ input_cost_per_request: dollars(PRICE) }) });
cluster.replayer = 'holdfast-replay-next'; // it knows both levels
const status = () => cluster.ctl('cluster', 'status');

/** `what` beside clients that keep calling; each of them must have been served. */
async function underLoad(t, name, what) {
    const tenant = await Tenant.create(cluster, name, { deposit: '10000' });
    const key = await tenant.key('k');
    const load = new Load(cluster, [{ apiKey: key.api_key, clients: 4 }]);
    await load.servedMore(20);
    await what(load);
    await load.servedMore(20);
    await load.stop();
    assert.deepEqual(load.answers(), { 200: load.records.length });
    const waited = load.records.map((record) => record.ended - record.started).sort((a, b) => a - b);
    t.diagnostic(`${load.records.length} calls, all served; the slowest took ${Math.round(waited.at(-1))} ms`);
    await tenant.quiet();
    await nodesAgree(cluster);
    for (const n of [1, 2, 3]) {
        const { status: exit, json } = await cluster.replay(n);
        assert.equal(exit, 0);
        const books = json.orgs.find((one) => one.org === tenant.org);
        assert.equal(books.accounts_with_tail_nanos.usage, load.served.length * PRICE);
        assert.equal(json.drift_nanos, 0);
    }
}

const restart = async (n) => {
    assert.deepEqual(await cluster.endNode(n), { code: 0, signal: null });
    await cluster.startNode(n);
    await nodesServe();
};
/** All three are there again and follow. */
const nodesServe = () => nodesAgree(cluster, { deadlineMs: 60_000 }).catch(() => {});

test('F43_a_rolling_restart_refuses_nobody', async (t) => {
    await underLoad(t, 'restarted', async (load) => {
        for (const n of [1, 2, 3]) {
            await restart(n);
            await load.servedMore(20);
        }
        await restart(await cluster.leader());
    });
});

test('F43_an_upgrade_node_by_node_refuses_nobody', async (t) => {
    const refused = await cluster.tryCtl('cluster', 'transfer');
    assert.equal(refused.json.error.code, 'LEVEL_TOO_LOW');
    assert.match(refused.json.error.message, /level 2 is needed, 1 is in force/);
    await underLoad(t, 'upgraded', async (load) => {
        for (const n of [1, 2, 3]) {
            running.set(n, 'holdfast-ledger-next');
            await restart(n);
            await load.servedMore(20);
            const early = await cluster.tryCtl('cluster', 'upgrade', '--level', '2');
            if (n < 3) {
                assert.equal(early.json.error.code, 'CLUSTER_NOT_READY');
                assert.match(early.json.error.message, /knows feature levels up to 1/);
                assert.equal((await cluster.ctl('cluster', 'upgrade')).changed, false);
            } else {
                assert.equal(early.json.changed, true, early.stdout + early.stderr);
            }
        }
    });
    const { level, members } = await status();
    assert.equal(level, 2);
    assert.deepEqual(members.map((member) => member.level_known), [2, 2, 2]);
    const back = await cluster.tryCtl('cluster', 'upgrade', '--level', '1');
    assert.equal(back.json.changed, false); // never lowered
    const audit = await cluster.ctl('audit', '--group');
    assert.ok(audit.audit.some((row) => row.before === 'level 1' && row.after === 'level 2'), JSON.stringify(audit.audit));
});

test('F43_leadership_goes_where_it_is_sent', async (t) => {
    await underLoad(t, 'transferred', async (load) => {
        for (let i = 0; i < 6; i++) {
            const leader = await cluster.leader();
            const to = [1, 2, 3].filter((n) => n !== leader)[i % 2];
            const done = await cluster.ctl('cluster', 'transfer', '--to', String(to));
            assert.equal(done.leader, to);
            await load.servedMore(10);
        }
        const { from, leader } = await cluster.ctl('cluster', 'transfer');
        assert.notEqual(from, leader);
    });
    const nobody = await cluster.tryCtl('cluster', 'transfer', '--to', '7');
    assert.equal(nobody.json.error.code, 'CLUSTER_NOT_READY');
    assert.match(nobody.json.error.message, /node 7 is not in the cluster/);
    const noToken = await cluster.tryCtl('cluster', 'transfer', '--token-file', join(cluster.dir, 'ctl.conf'));
    assert.notEqual(noToken.status, 0);
});

test('F43_an_older_program_refuses_what_a_newer_one_has_begun', async () => {
    await cluster.endNode(2);
    const old = spawnSync(program('holdfast-ledger-old'), ['--config', join(cluster.dir, 'node-2.conf')],
        { encoding: 'utf8', timeout: 20_000 });
    assert.equal(old.status, 3, old.stdout + old.stderr);
    assert.match(old.stdout + old.stderr, /feature level in force is above what this program knows: run a newer version/);
    await cluster.startNode(2);
    await nodesAgree(cluster);
});
