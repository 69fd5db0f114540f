// SPDX-License-Identifier: Apache-2.0
// F47, F48: a majority serves, and status names the node that is not well and says why: stopped, dead,
// with a disk that stands still, cut off, far behind, being seeded.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { Cluster } from '../e2e/lib/cluster.mjs';
import { program, temporary } from '../e2e/lib/place.mjs';
import { Program, run } from '../e2e/lib/process.mjs';
import { Tenant, nodesAgree } from '../e2e/lib/tenant.mjs';
import { until } from '../e2e/lib/wait.mjs';
import { Lines } from './lib/lines.mjs';
import { Shim } from './lib/shim.mjs';

const noShim = (() => {
    try {
        return program('holdfast-shim.so') ? false : 'no shim';
    } catch {
        return 'holdfast-shim.so is not built';
    }
})();
const folder = temporary(undefined, 'holdfast-health-');
const shims = noShim ? [] : [0, 1, 2, 3].map((n) => new Shim(folder, `node-${n}`));
const cluster = Cluster.make({ after }, { nodes: 3, edges: 0, launch: (n) => (noShim ? {} : { env: shims[n].env }) });
await cluster.init();
const lines = await Lines.between(cluster);
after(() => lines.close());
await cluster.startAll();
const tenant = await Tenant.create(cluster, 'acme', { deposit: '1' });
const work = () => tenant.ctl('deposit', '--amount', '1');

/** Until status says this of node n; the majority serves meanwhile, and only --strict minds. */
async function isSaid(t, n, word, why) {
    let last;
    const said = await until(`node ${n} to be ${word}`, async () => {
        const { status, json } = await cluster.tryCtl('status', '--strict', '--timeout', '2');
        const node = json.nodes.find((one) => one.id === n);
        last = `${node.state}: ${node.why}`;
        return node.state === word && why.test(node.why) ? { status, json, node } : null;
    }).catch((error) => { throw new Error(`${error.message}: ${last}`); });
    t.diagnostic(said.json.unwell);
    assert.equal(said.status, 4);
    assert.deepEqual([said.json.quorum, said.json.all_well], [true, false]);
    assert.match(said.json.unwell, new RegExp(`^node ${n} is ${word}: `));
    assert.equal((await cluster.tryCtl('status')).status, 0);
}

async function isWell() {
    await nodesAgree(cluster, { deadlineMs: 60_000 });
    await until('all nodes to be well', async () => {
        const { status, json } = await cluster.tryCtl('status', '--strict');
        return status === 0 && json.all_well && json.unwell === undefined && json.nodes.every((node) => node.state === 'ok');
    });
}

const follower = async () => 1 + (await cluster.leader()) % 3;

test('F47_status_names_a_node_that_stands_still_and_one_that_is_dead', async (t) => {
    await isWell();
    const n = await follower();
    cluster.nodes.get(n).signal('SIGSTOP');
    await work();
    await isSaid(t, n, 'unreachable', /not heard by leader \d for \d+ s/);
    cluster.nodes.get(n).signal('SIGCONT');
    await isWell();
    await cluster.killNode(n);
    await isSaid(t, n, 'unreachable', /refused; not heard by leader \d for \d+ s/);
    await cluster.startNode(n);
    await isWell();
});

test('F47_F48_status_names_a_node_whose_disk_stands_still', { skip: noShim }, async (t) => {
    const n = await follower();
    shims[n].flushSlower(8_000_000);
    await work(); // by the other two; one entry is all that it lacks
    await isSaid(t, n, 'stuck', /^\d+ entries behind, and nothing was stored there for [3-9] s$/);
    shims[n].flushSlower(0);
    await isWell();
});

test('F47_status_names_a_node_that_is_cut_off', async (t) => {
    const n = await follower();
    await lines.set(lines.of(n), { deaf: true });
    await work();
    await isSaid(t, n, 'cut_off', /does not follow leader \d/);
    await lines.heal();
    await isWell();
});

test('F47_status_names_a_node_that_is_behind_and_one_that_is_seeded', async (t) => {
    const n = await follower();
    await cluster.killNode(n);
    await run(program('holdfast-bench'), ['ledger', '--config', join(cluster.dir, 'ctl.conf'),
        '--clients', '16', '--seconds', '3', '--warmup', '0', '--json']);
    await lines.set(lines.to(n), { bytesPerSecond: 300_000 });
    await cluster.startNode(n);
    await isSaid(t, n, 'behind', /^\d+ entries behind$/);
    await cluster.killNode(n);
    rmSync(cluster.dataDir(n), { recursive: true });
    const seeding = new Program(program('holdfast-ledger'), ['seed', '--config', join(cluster.dir, `node-${n}.conf`)],
        { name: 'seed' });
    t.after(() => seeding.kill());
    await isSaid(t, n, 'seeding', /it is being seeded, by node \d/);
    await lines.heal();
    assert.equal((await seeding.exited).code, 0, seeding.story());
    await cluster.startNode(n);
    await isWell();
});
