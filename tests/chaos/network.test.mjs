// SPDX-License-Identifier: Apache-2.0
// Partitions between real nodes, each in a network namespace of its own, under load from real edges.
import test, { after } from 'node:test';
import { Cluster } from '../e2e/lib/cluster.mjs';
import { Load } from '../e2e/lib/load.mjs';
import { Tenant, importPrices, priced } from '../e2e/lib/tenant.mjs';
import { chance } from './lib/chance.mjs';
import { Net } from './lib/net.mjs';
import { nothingIsLost } from './lib/verdict.mjs';

const HOURS = Number(process.env.HOLDFAST_CHAOS_HOURS ?? 0);
const ROUNDS = HOURS ? Math.ceil(HOURS * 600) : 1;
const skip = Net.refusal() ?? false;
const net = new Net(3);
const nodes = [1, 2, 3];
let cluster;
if (!skip) {
    after(() => net.close()); // after the cluster's end: hooks run in the order they were given
    net.open();
    cluster = new Cluster((await import('../e2e/lib/place.mjs')).temporary(undefined, 'holdfast-net-'), {
        nodes: 3, edges: 2, initArgs: ['--node-hosts', nodes.map((n) => net.address(n)).join(',')],
        launch: (n) => ({ before: ['ip', 'netns', 'exec', net.name(n)] }),
    });
    await cluster.init();
    await cluster.startAll();
    await importPrices(cluster, { flat: priced({ input_cost_per_request: '0.001' }) });
}
after(() => cluster?.stop());

const others = (n) => nodes.filter((one) => one !== n);
const both = (a, b) => {
    net.cut(a, b);
    net.cut(b, a);
};
const scenes = {
    'the leader alone, still seen by edges': (leader) => others(leader).forEach((n) => both(leader, n)),
    'the leader off the network': (leader) => net.link(leader, false),
    'a follower alone': (leader) => others(others(leader)[0]).forEach((n) => both(others(leader)[0], n)),
    'the leader and one follower parted': (leader) => both(leader, others(leader)[0]),
    'the followers parted': (leader) => both(...others(leader)),
    'the leader hears and is not heard': (leader) => others(leader).forEach((n) => net.cut(leader, n)),
    'the leader is heard and does not hear': (leader) => others(leader).forEach((n) => net.cut(n, leader)),
};

test('F43_F51_partitions_lose_nothing_and_end', { skip, timeout: 240_000 + HOURS * 3_600_000 }, async (t) => {
    const draw = chance(process.env.HOLDFAST_CHAOS_SEED);
    const tenant = await Tenant.create(cluster, 'parted', { deposit: '10000' });
    const key = await tenant.key('k');
    const load = new Load(cluster, [{ apiKey: key.api_key, clients: 4 }]);
    t.after(() => load.stop());
    await load.servedMore(10);
    for (let round = 0; round < ROUNDS; round++) {
        for (const [name, part] of Object.entries(scenes)) {
            const leader = await cluster.leader();
            const moment = performance.now();
            part(leader);
            const first = await load.servedSince(moment, { deadlineMs: 60_000 });
            await load.servedMore(20 + draw.below(20));
            net.heal();
            await nodesAgreeSoon();
            if (round === 0) {
                t.diagnostic(`${name}: served after ${Math.round(first.ended - moment)} ms`);
            }
        }
    }
    const why = net.delay(await cluster.leader(), 30);
    t.diagnostic(why ?? 'the leader answers 30 ms late');
    if (!why) {
        await load.servedMore(20);
    }
    await load.stop();
    await nothingIsLost(t, cluster, tenant, load);
});

/** All three are there again and follow (under load they never stand at one index for long). */
async function nodesAgreeSoon() {
    const { until } = await import('../e2e/lib/wait.mjs');
    await until('all nodes to follow', async () => {
        const status = await cluster.ctl('status');
        const goal = status.nodes.find((one) => one.id === status.leader)?.commit_index;
        return status.quorum && status.nodes.every((one) => one.reachable && one.applied_index > goal - 2000
            && one.leader === status.leader);
    }, { deadlineMs: 60_000 });
}
