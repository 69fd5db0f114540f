// SPDX-License-Identifier: Apache-2.0
// Ledger nodes are killed, stopped and taken away while clients keep calling. Afterwards the clients'
// own record must be what the log of every node says: nothing acknowledged lost, nothing doubled.
import assert from 'node:assert/strict';
import test, { after } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Cluster } from './lib/cluster.mjs';
import { Load, compareWithLog } from './lib/load.mjs';
import { program } from './lib/place.mjs';
import { Program } from './lib/process.mjs';
import { programs } from './lib/programs.mjs';
import { until } from './lib/wait.mjs';
import {
    Tenant, chat, dollars, importPrices, mockStats, nodesAgree, post, priced,
} from './lib/tenant.mjs';

const KILLS = 10;
const PRICE = 1_000_003; // nano-dollars a request
const cluster = await Cluster.start({ after }, { nodes: 3, edges: 2, mockArgs: ['--latency-ms', '3'] });
await importPrices(cluster, { flat: priced({ input_cost_per_request: dollars(PRICE) }) });

/** The restarted node has what was committed when it came back. */
async function caughtUp(n) {
    let goal;
    await until(`node ${n} to catch up`, async () => {
        const { nodes } = await cluster.ctl('status');
        goal ??= Math.max(...nodes.filter((one) => one.reachable).map((one) => one.commit_index));
        const node = nodes.find((one) => one.id === n);
        return node.reachable && node.applied_index >= goal;
    });
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

test('F43_F51_F60_ten_leaders_killed_under_load_lose_nothing_and_double_nothing', async (t) => {
    const tenant = await Tenant.create(cluster, 'killed', { deposit: '1000' });
    const free = await tenant.key('free');
    const tight = await tenant.key('tight');
    const ceiling = 150;
    const budget = await tenant.budget('key', tight.key, dollars(ceiling * PRICE));
    const load = new Load(cluster, [{ apiKey: free.api_key, clients: 6 }, { apiKey: tight.api_key, clients: 2 }]);
    await load.servedMore(20);

    const away = [];
    const seen = {};
    for (let i = 0; i < KILLS; i++) {
        const leader = await cluster.leader();
        const moment = performance.now();
        await cluster.killNode(leader);
        const first = await load.servedSince(moment);
        away.push(Math.round(first.ended - moment));
        for (const [answer, count] of Object.entries(load.answers(moment, first.ended))) {
            seen[answer] = (seen[answer] ?? 0) + count;
        }
        await cluster.startNode(leader);
        await caughtUp(leader);
        await load.servedMore(5);
    }
    await until('the tight key to reach its ceiling', () => load.records.some(
        (record) => record.apiKey === tight.api_key && record.status === 402));
    await load.stop();
    t.diagnostic(`first served call after a kill: median ${median(away)} ms, worst ${Math.max(...away)} ms`);
    t.diagnostic(`answers between kill and first served call: ${JSON.stringify(seen)}`);
    t.diagnostic(`all answers: ${JSON.stringify(load.answers())}`);

    assert.deepEqual(load.records.filter((record) => record.error || record.broken), []);
    for (const { status } of load.records) {
        assert.ok([200, 402, 503].includes(status), `status ${status}`);
    }
    const org = await tenant.quiet({ deadlineMs: 60_000 });
    await nodesAgree(cluster);
    const sum = await compareWithLog(cluster, tenant.org, load.records);
    assert.equal(org.usage_nanos, sum);
    assert.equal(sum, load.served.length * PRICE);
    assert.equal((await mockStats(cluster)).completed, load.served.length);

    const counter = await tenant.counter(budget);
    const tightServed = load.served.filter((record) => record.apiKey === tight.api_key).length;
    assert.equal(counter.spent_nanos, tightServed * PRICE);
    assert.ok(tightServed <= ceiling, `${tightServed} calls on money for ${ceiling}`);
});

test('F43_a_node_that_stops_answering_is_done_without', async () => {
    const tenant = await Tenant.create(cluster, 'stopped', { deposit: '1000' });
    const key = await tenant.key('k');
    const load = new Load(cluster, [{ apiKey: key.api_key, clients: 4 }]);
    await load.servedMore(10);
    const leader = await cluster.leader();
    const follower = [1, 2, 3].find((n) => n !== leader);
    for (const n of [follower, leader]) { // a leader that hangs is replaced
        cluster.nodes.get(n).signal('SIGSTOP');
        await load.servedMore(50);
        cluster.nodes.get(n).signal('SIGCONT');
        await caughtUp(n);
        await load.servedMore(10);
    }
    await load.stop();
    assert.deepEqual(load.records.filter((record) => record.error || record.broken), []);
    const org = await tenant.quiet({ deadlineMs: 60_000 });
    await nodesAgree(cluster);
    const holds = new Set(load.served.map((record) => record.hold));
    assert.equal(holds.size, load.served.length);
    assert.equal(org.usage_nanos, load.served.length * PRICE);
});

test('F43_F51_without_a_quorum_nothing_is_forwarded', async (t) => {
    const tenant = await Tenant.create(cluster, 'alone', { deposit: '1000' });
    const key = await tenant.key('k');
    const call = (edge) => post(cluster.edgeUrl(edge), key.api_key, chat('flat'));
    assert.equal((await call(1)).status, 200);
    const { received } = await mockStats(cluster);
    const leader = await cluster.leader();
    const gone = [leader, [1, 2, 3].find((n) => n !== leader)];
    await Promise.all(gone.map((n) => cluster.killNode(n)));

    const started = performance.now();
    const refusals = await Promise.all([call(1), call(2)]);
    t.diagnostic(`refused after ${Math.round(performance.now() - started)} ms`);
    for (const { status, headers, body } of refusals) {
        assert.equal(status, 503);
        assert.ok(Number(headers['retry-after']) > 0);
        assert.equal(JSON.parse(body).error.code, 'ledger_unavailable');
    }
    for (const edge of [1, 2]) {
        await until('the edge to say that it is not ready', async () =>
            (await fetch(`${cluster.edgeUrl(edge)}/readyz`)).status === 503);
        assert.equal((await fetch(`${cluster.edgeUrl(edge)}/healthz`)).status, 200);
    }
    const told = await cluster.tryCtl('status');
    assert.equal(told.status, 3);
    assert.equal(told.json.quorum, false);
    assert.equal((await mockStats(cluster)).received, received);

    await cluster.startNode(gone[0]); // two of three are enough
    const again = await until('calls to be served again', async () => {
        const answer = await call(2);
        return answer.status === 200 && answer;
    });
    assert.ok(again.headers['x-holdfast-receipt']);
    await cluster.startNode(gone[1]);
    await caughtUp(gone[1]);
    // Reserves whose outcome nobody knew are forestalled: they hold nothing and cost nothing.
    const org = await tenant.quiet({ deadlineMs: 60_000 });
    assert.equal(org.usage_nanos, (1 + (await mockStats(cluster)).received - received) * PRICE);
    await nodesAgree(cluster);
    for (const n of [1, 2, 3]) {
        const { status, stderr } = await cluster.replay(n);
        assert.equal(status, 0, stderr);
    }
});

test('F43_clients_killed_in_their_handshake_shut_no_port', async () => {
    // Four at a time, each killed at another moment of its first 40 ms.
    const { command, args } = programs.ctl(cluster, ['org', 'list']);
    for (let round = 0; round < 40; round++) {
        await Promise.all([0, 1, 2, 3].map(async (i) => {
            const client = new Program(program(command), args, { name: 'killed client' });
            await pause((4 * round + i) % 40);
            await client.kill();
        }));
    }
    await until('every node to answer', async () => {
        const { nodes } = await cluster.ctl('status');
        return nodes.every((node) => node.reachable);
    });
    await nodesAgree(cluster);
});
