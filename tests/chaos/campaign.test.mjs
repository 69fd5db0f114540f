// SPDX-License-Identifier: Apache-2.0
// kill -9, SIGSTOP, power cuts of everything, in a loop and under load. HOLDFAST_CHAOS_HOURS makes it
// long; HOLDFAST_CHAOS_SEED repeats an order of events.
import assert from 'node:assert/strict';
import test, { after } from 'node:test';
import { Cluster } from '../e2e/lib/cluster.mjs';
import { Load } from '../e2e/lib/load.mjs';
import { Tenant, dollars, importPrices, nodesAgree, priced } from '../e2e/lib/tenant.mjs';
import { until } from '../e2e/lib/wait.mjs';
import { Bench, judgeAll, judgeCalls } from './lib/bench.mjs';
import { chance } from './lib/chance.mjs';
import { nothingIsLost } from './lib/verdict.mjs';

const HOURS = Number(process.env.HOLDFAST_CHAOS_HOURS ?? 0);
const SECONDS = HOURS ? HOURS * 3600 : process.env.HOLDFAST_CHAOS_BRIEF ? 5 : 30; // of each of the two campaigns
const PRICE = 1_000_003;
const CEILING = 300;
const cluster = await Cluster.start({ after }, { nodes: 3, edges: 2, mockArgs: ['--latency-ms', '3'] });
await importPrices(cluster, { flat: priced({ input_cost_per_request: dollars(PRICE) }) });

async function caughtUp(n) {
    let goal;
    await until(`node ${n} to catch up`, async () => {
        const { nodes } = await cluster.ctl('status');
        goal ??= Math.max(...nodes.filter((one) => one.reachable).map((one) => one.commit_index));
        const node = nodes.find((one) => one.id === n);
        return node.reachable && node.applied_index >= goal;
    });
}

const at = (numbers, part) => numbers.toSorted((a, b) => a - b)[Math.floor((numbers.length - 1) * part)];

test('F43_F51_F60_leaders_are_killed_in_a_loop', { timeout: SECONDS * 1000 + 240_000 }, async (t) => {
    const tenant = await Tenant.create(cluster, 'leaders', { deposit: '100000' });
    const free = await tenant.key('free');
    const tight = await tenant.key('tight');
    const budget = await tenant.budget('key', tight.key, dollars(CEILING * PRICE));
    const load = new Load(cluster, [{ apiKey: free.api_key, clients: 3 }, { apiKey: tight.api_key, clients: 1 }]);
    t.after(() => load.stop());
    await load.servedMore(20);
    const away = [];
    const seen = {};
    const end = performance.now() + SECONDS * 1000;
    while (performance.now() < end) {
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
    }
    await load.stop();
    t.diagnostic(`${away.length} leaders killed; first served call after a kill: median ${at(away, 0.5)} ms, `
        + `99 % ${at(away, 0.99)} ms, worst ${at(away, 1)} ms`);
    t.diagnostic(`answers between kill and first served call: ${JSON.stringify(seen)}`);
    await nothingIsLost(t, cluster, tenant, load, { deadlineMs: 90_000 });
    const counter = await tenant.counter(budget);
    assert.ok(counter.spent_nanos <= CEILING * PRICE, `${counter.spent_nanos} spent`);
});

test('F43_F51_anything_is_killed_or_stopped_at_any_moment', { timeout: SECONDS * 1000 + 240_000 }, async (t) => {
    const draw = chance(process.env.HOLDFAST_CHAOS_SEED);
    t.diagnostic(`again: HOLDFAST_CHAOS_SEED=${draw.seed}`);
    const tenant = await Tenant.create(cluster, 'anything', { deposit: '100000' });
    const key = await tenant.key('k');
    const load = new Load(cluster, [{ apiKey: key.api_key, clients: 3 }]);
    const bench = new Bench(cluster, { seconds: SECONDS });
    t.after(() => Promise.all([load.stop(), bench.stop()]));
    const nodes = [1, 2, 3];
    const events = {
        kill_leader: async () => restart(await cluster.leader()),
        kill_follower: async () => {
            const leader = await cluster.leader();
            await restart(draw.of(nodes.filter((n) => n !== leader)));
        },
        kill_two_nodes: () => Promise.all(draw.some(nodes, 2).map(restart)),
        power_cut: () => Promise.all(nodes.map(restart)),
        kill_edge: async () => {
            const n = draw.of([1, 2]);
            await cluster.edges.get(n).kill();
            cluster.edges.delete(n);
            await cluster.startEdge(n);
        },
        stop_leader: async () => pause(await cluster.leader()),
        stop_two_nodes: () => Promise.all(draw.some(nodes, 2).map(pause)),
        end_leader: async () => {
            const n = await cluster.leader();
            await cluster.endNode(n);
            await cluster.startNode(n);
        },
    };
    async function restart(n) {
        await cluster.killNode(n);
        await cluster.startNode(n);
    }
    /** Stopped for as long as it takes to serve a few calls without it, or a second. */
    async function pause(n) {
        cluster.nodes.get(n).signal('SIGSTOP');
        await load.servedMore(5, performance.now(), { deadlineMs: 1000 }).catch(() => {});
        cluster.nodes.get(n).signal('SIGCONT');
    }
    const count = {};
    const end = performance.now() + SECONDS * 1000;
    while (performance.now() < end) {
        const name = draw.of(Object.keys(events));
        await events[name]();
        count[name] = (count[name] ?? 0) + 1;
        if (draw.below(2)) {
            await load.servedMore(draw.below(20));
        }
    }
    const records = await bench.end();
    await load.stop();
    t.diagnostic(`events: ${JSON.stringify(count)}`);
    t.diagnostic(`answers of the edges: ${JSON.stringify(load.answers())}`);
    for (const { status, error } of load.records) {
        assert.ok(error || [200, 503].includes(status), `status ${status}`);
    }
    await nodesAgree(cluster, { deadlineMs: 60_000 });
    await judgeAll(t, cluster, records);
    for (const n of nodes) {
        const { served, open, lost, doubled, differing, drift } =
            await judgeCalls(cluster, n, load.records, { edgesDied: true });
        assert.ok(served > 0);
        t.diagnostic(`node ${n}: ${served} calls served, ${open} of them without a receipt when their edge died`);
        assert.deepEqual({ lost, doubled, differing, drift }, { lost: 0, doubled: 0, differing: 0, drift: 0 });
    }
});
