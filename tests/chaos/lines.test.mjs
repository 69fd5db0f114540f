// SPDX-License-Identifier: Apache-2.0
// Late, uneven, narrow and stalled lines between the nodes, under load from real edges: nothing
// acknowledged is lost, and what it costs is measured.
import test, { after } from 'node:test';
import { Cluster } from '../e2e/lib/cluster.mjs';
import { Load } from '../e2e/lib/load.mjs';
import { Tenant, importPrices, priced } from '../e2e/lib/tenant.mjs';
import { until } from '../e2e/lib/wait.mjs';
import { Lines } from './lib/lines.mjs';
import { nothingIsLost } from './lib/verdict.mjs';

const HOURS = Number(process.env.HOLDFAST_CHAOS_HOURS ?? 0);
const KILLS = HOURS ? Math.ceil(HOURS * 400) : 2; // leaders, at each delay
const CALLS = HOURS ? Math.ceil(HOURS * 2000) : 20; // served in each scene
const STALL_MS = HOURS ? 5000 : 2000;
const nodes = [1, 2, 3];
const cluster = Cluster.make({ after }, { nodes: 3, edges: 2 });
await cluster.init();
const lines = await Lines.between(cluster);
after(() => lines.close());
await cluster.startAll();
await importPrices(cluster, { flat: priced({ input_cost_per_request: '0.001' }) });

const at = (numbers, part) => numbers.toSorted((a, b) => a - b)[Math.floor((numbers.length - 1) * part)];
const others = (n) => nodes.filter((one) => one !== n);

/** Load beside `what`; every node's log is held against what the clients were told. */
async function underLoad(t, name, what) {
    const tenant = await Tenant.create(cluster, name, { deposit: '100000' });
    const key = await tenant.key('k');
    const load = new Load(cluster, [{ apiKey: key.api_key, clients: 4 }]);
    t.after(() => load.stop());
    await load.servedMore(10);
    await what(load);
    await lines.heal();
    await load.servedMore(10);
    await load.stop();
    await nothingIsLost(t, cluster, tenant, load, { earlier: true });
}

/** How long the calls took that were begun after a moment. */
function times(load, moment) {
    const took = load.served.filter((one) => one.started > moment).map((one) => one.ended - one.started);
    return `${took.length} calls, median ${Math.round(at(took, 0.5))} ms, 99 % ${Math.round(at(took, 0.99))} ms, `
        + `worst ${Math.round(at(took, 1))} ms`;
}

const scenes = {
    'good lines': () => lines.heal(),
    '5 ms each way': () => lines.set(lines.all(), { delayMs: 5 }),
    '20 ms each way': () => lines.set(lines.all(), { delayMs: 20 }),
    '100 ms each way': () => lines.set(lines.all(), { delayMs: 100 }),
    '30 ms each way, up to 60 more': () => lines.set(lines.all(), { delayMs: 30, jitterMs: 60 }),
    'a follower 100 ms away': (leader) => lines.set(lines.of(others(leader)[0]), { delayMs: 100 }),
    'the leader 100 ms away': (leader) => lines.set(lines.of(leader), { delayMs: 100 }),
    'late from the leader only, 100 ms': (leader) => lines.set(lines.from(leader), { delayMs: 100 }),
    'late to the leader only, 100 ms': (leader) => lines.set(lines.to(leader), { delayMs: 100 }),
    'a follower behind 20 kB/s': (leader) => lines.set(lines.to(others(leader)[0]), { bytesPerSecond: 20_000 }),
    'all behind 50 kB/s': () => lines.set(lines.all(), { bytesPerSecond: 50_000 }),
};

test('F43_F51_late_uneven_and_narrow_lines_lose_nothing', { timeout: 240_000 + HOURS * 3_600_000 }, async (t) => {
    await underLoad(t, 'late', async (load) => {
        for (const [name, set] of Object.entries(scenes)) {
            await set(await cluster.leader());
            const moment = performance.now();
            await load.servedMore(CALLS, moment, { deadlineMs: 60_000 + HOURS * 3_600_000 });
            t.diagnostic(`${name}: ${times(load, moment)}`);
            await lines.heal();
        }
    });
});

test('F43_F51_lines_that_stall_and_then_deliver_everything_lose_nothing', { timeout: 240_000 }, async (t) => {
    await underLoad(t, 'stalled', async (load) => {
        for (const [name, which] of [
            ['what a leader says', (leader) => lines.from(leader)],
            ['what a leader hears', (leader) => lines.to(leader)],
            ['a follower\'s lines', (leader) => lines.of(others(leader)[0])],
            ['all lines', () => lines.all()],
        ]) {
            const pairs = which(await cluster.leader());
            const moment = performance.now();
            await lines.set(pairs, { stalled: true });
            const end = performance.now() + STALL_MS;
            await until('the stall to last', () => performance.now() > end, { everyMs: 100 });
            const released = performance.now();
            await lines.set(pairs);
            await load.servedMore(10, released, { deadlineMs: 60_000 });
            const first = await load.servedSince(moment);
            t.diagnostic(`${name}, ${STALL_MS} ms: first call served after ${Math.round(first.ended - moment)} ms`);
        }
    });
});

const cuts = {
    'the leader alone': (leader) => lines.of(leader),
    'a follower alone': (leader) => lines.of(others(leader)[0]),
    'the followers parted': (leader) => [others(leader), others(leader).toReversed()],
    'the leader hears and is not heard': (leader) => lines.from(leader),
    'the leader is heard and does not hear': (leader) => lines.to(leader),
};

test('F43_F51_lines_that_swallow_everything_lose_nothing', { timeout: 240_000 }, async (t) => {
    await underLoad(t, 'cut', async (load) => {
        for (const [name, which] of Object.entries(cuts)) {
            const leader = await cluster.leader();
            const moment = performance.now();
            await lines.set(which(leader), { deaf: true });
            const first = await load.servedSince(moment, { deadlineMs: 60_000 });
            await load.servedMore(20, moment, { deadlineMs: 60_000 });
            await lines.heal();
            await Promise.all(nodes.map(caughtUp));
            t.diagnostic(`${name}: first call served after ${Math.round(first.ended - moment)} ms`);
        }
    });
});

test('F43_F51_a_leader_dies_while_lines_are_late', { timeout: 240_000 + HOURS * 3_600_000 }, async (t) => {
    await underLoad(t, 'dying', async (load) => {
        for (const delayMs of [0, 5, 20, 100]) {
            await lines.set(lines.all(), { delayMs });
            const away = [];
            for (let i = 0; i < KILLS; i++) {
                const leader = await cluster.leader();
                const moment = performance.now();
                await cluster.killNode(leader);
                const first = await load.servedSince(moment);
                away.push(Math.round(first.ended - moment));
                await cluster.startNode(leader);
                await caughtUp(leader);
            }
            t.diagnostic(`${delayMs} ms each way: ${away.length} leaders killed; first served call after a kill: `
                + `median ${at(away, 0.5)} ms, worst ${at(away, 1)} ms`);
        }
    });
});

async function caughtUp(n) {
    let goal;
    await until(`node ${n} to catch up`, async () => {
        const { nodes: found } = await cluster.ctl('status');
        goal ??= Math.max(...found.filter((one) => one.reachable).map((one) => one.commit_index));
        const node = found.find((one) => one.id === n);
        return node.reachable && node.applied_index >= goal;
    });
}
