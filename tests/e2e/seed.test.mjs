// SPDX-License-Identifier: Apache-2.0
// A node that lost its disk is seeded from live ones while calls are served (F43); replay proves it,
// with the history before the copy from a backup of another node.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Load } from './lib/load.mjs';
import { program, temporary } from './lib/place.mjs';
import { Program, run } from './lib/process.mjs';
import { until } from './lib/wait.mjs';
import { Tenant, dollars, importPrices, nodesAgree, priced } from './lib/tenant.mjs';

const PRICE = 1_500_000;
const place = temporary({ after });
const cluster = await Cluster.start({ after }, { nodes: 3, edges: 2 });
const ledger = (command, n, ...args) => run(program('holdfast-ledger'),
    [command, '--config', join(cluster.dir, `node-${n}.conf`), '--json', ...args], { check: false, deadlineMs: 60_000 });
await importPrices(cluster, { flat: priced({ input_cost_per_request: dollars(PRICE) }) });
const acme = await Tenant.create(cluster, 'acme', { deposit: '500' });
const key = await acme.key('k');
const load = new Load(cluster, [{ apiKey: key.api_key, clients: 4 }]);
after(() => load.stop());
await load.servedMore(50);
const lost = 1 + (await cluster.leader()) % 3; // a follower

test('F43_a_node_that_is_there_is_not_seeded_over', async () => {
    const answer = await ledger('seed', lost);
    assert.equal(answer.status, 3);
    assert.match(answer.stderr, /not empty/);
});

test('F43_an_emptied_node_is_seeded_while_calls_are_served', async () => {
    await cluster.killNode(lost);
    rmSync(cluster.dataDir(lost), { recursive: true });
    const before = load.served.length;
    const answer = await ledger('seed', lost);
    assert.equal(answer.status, 0, answer.stderr);
    assert.equal(answer.json.result, 'done');
    assert.equal(answer.json.witnesses, 1);
    assert.notEqual(answer.json.source, answer.json.leader);
    assert.ok(answer.json.index >= answer.json.copied);
    assert.equal(existsSync(join(cluster.dataDir(lost), 'seed')), false);
    await load.servedMore(20);
    assert.ok(load.served.length > before);
    await cluster.startNode(lost);
    await load.servedMore(20);
    await load.stop();
    assert.deepEqual(Object.keys(load.answers()), ['200']);
    await nodesAgree(cluster);
});

test('F43_the_seeded_node_votes_leads_and_acknowledges', async () => {
    const [other] = [1, 2, 3].filter((n) => n !== lost);
    await cluster.killNode(other); // a quorum needs the seeded one now
    await cluster.leader();
    await acme.ctl('deposit', '--amount', '1');
    await cluster.startNode(other);
    await nodesAgree(cluster);
});

test('F43_F44_replay_proves_the_seeded_node', async () => {
    await acme.quiet();
    await nodesAgree(cluster);
    const [other] = [1, 2, 3].filter((n) => n !== lost);
    const to = join(place, 'backup');
    const taken = await ledger('backup', other, '--to', to);
    assert.equal(taken.status, 0, taken.stderr);
    const alone = await cluster.replay(lost);
    assert.equal(alone.status, 2); // its log begins behind the copy
    const { status, json, stderr } = await cluster.replay(lost, '--archive', join(to, 'log'),
        '--expect-head', `${taken.json.index}:${taken.json.chain}`);
    assert.equal(status, 0, stderr);
    assert.equal(json.result, 'proven');
    assert.equal(json.drift_nanos, 0);
    assert.equal(json.orgs[0].accounts_with_tail_nanos.usage, load.served.length * PRICE);
});

test('F43_a_dead_leader_is_seeded_by_a_cluster_that_has_nothing_to_do', async () => {
    const dead = await cluster.leader(); // the new one has logged nothing in its term
    await cluster.killNode(dead);
    rmSync(cluster.dataDir(dead), { recursive: true });
    const answer = await ledger('seed', dead);
    assert.equal(answer.status, 0, answer.stderr);
    await cluster.startNode(dead);
    await nodesAgree(cluster);
});

test('F43_a_node_alone_is_not_seeded_and_leaves_nothing_that_would_start', async () => {
    await Promise.all([1, 2, 3].map((n) => cluster.endNode(n)));
    rmSync(cluster.dataDir(lost), { recursive: true });
    const seeding = new Program(program('holdfast-ledger'), ['seed', '--config', join(cluster.dir, `node-${lost}.conf`)],
        { name: 'seed' });
    await until('the directory to be begun', () => existsSync(join(cluster.dataDir(lost), 'seed')));
    await seeding.end();
    assert.equal(readdirSync(cluster.dataDir(lost)).includes('vote'), false);
    const start = await run(program('holdfast-ledger'), ['--config', join(cluster.dir, `node-${lost}.conf`)],
        { check: false, deadlineMs: 30_000 });
    assert.equal(start.status, 3);
});

// No edge is there to ask anything: nothing but the seeding itself makes the cluster move.
const idle = Cluster.make({ after }, { nodes: 3, edges: 0 });
const seedOf = (n, ...args) => new Program(program('holdfast-ledger'),
    ['seed', '--config', join(idle.dir, `node-${n}.conf`), ...args], { name: 'seed' });

test('F43_an_idle_cluster_seeds_a_node_after_a_power_cut', async () => {
    await idle.init();
    await idle.startAll();
    await idle.ctl('org', 'create', '--name', 'acme');
    const goal = Math.max(...(await idle.ctl('status')).nodes.map((node) => node.commit_index));
    await Promise.all([1, 2, 3].map((n) => idle.killNode(n)));
    rmSync(idle.dataDir(3), { recursive: true });
    await Promise.all([1, 2].map((n) => idle.startNode(n)));
    const seeding = seedOf(3, '--timeout', '30');
    assert.equal((await seeding.exited).code, 0, seeding.story());
    await idle.startNode(3);
    const { nodes } = await nodesAgree(idle);
    assert.ok(nodes.every((node) => node.commit_index >= goal));
});

test('F44_a_seeding_says_what_it_waits_for_and_gives_up_in_time', async () => {
    await Promise.all([2, 3].map((n) => idle.killNode(n)));
    rmSync(idle.dataDir(3), { recursive: true });
    const seeding = seedOf(3, '--timeout', '4', '--json');
    const [, why] = await seeding.waitLine(/waiting for \d+ s: (.*)/);
    assert.match(why, /^1 of 2 other nodes answer, 2 are needed \(node 2: .*connection refused/);
    assert.equal((await seeding.exited).code, 1, seeding.story());
    assert.match(seeding.story(), /"result":"failed","cause":"given up: 1 of 2 other nodes answer/);
    await idle.startNode(2);
    const again = seedOf(3); // it goes on where it was
    assert.equal((await again.exited).code, 0, again.story());
    await idle.startNode(3);
    await nodesAgree(idle);
});
