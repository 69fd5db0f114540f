// SPDX-License-Identifier: Apache-2.0
// All nodes lose power at once, under load, three times: nothing acknowledged is lost.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Cluster } from '../e2e/lib/cluster.mjs';
import { Load, compareWithLog } from '../e2e/lib/load.mjs';
import { Tenant, dollars, importPrices, mockStats, nodesAgree, priced } from '../e2e/lib/tenant.mjs';

const PRICE = 1_000_003;

test('F43_F51_a_power_cut_of_all_nodes_under_load_loses_nothing_acknowledged', async (t) => {
    const fresh = await Cluster.start(t, { nodes: 3, edges: 2, mockArgs: ['--latency-ms', '3'] });
    await importPrices(fresh, { flat: priced({ input_cost_per_request: dollars(PRICE) }) });
    const tenant = await Tenant.create(fresh, 'cut', { deposit: '100' });
    const key = await tenant.key('k');
    const load = new Load(fresh, [{ apiKey: key.api_key, clients: 8 }]);
    for (let cut = 0; cut < 3; cut++) {
        await load.servedMore(60);
        await Promise.all([1, 2, 3].map((n) => fresh.killNode(n)));
        await Promise.all([1, 2, 3].map((n) => fresh.startNode(n)));
    }
    await load.servedMore(20);
    await load.stop();
    t.diagnostic(`answers: ${JSON.stringify(load.answers())}`);
    assert.deepEqual(load.records.filter((record) => record.error || record.broken), []);
    const org = await tenant.quiet({ deadlineMs: 60_000 });
    await nodesAgree(fresh);
    const sum = await compareWithLog(fresh, tenant.org, load.records);
    assert.equal(org.usage_nanos, sum);
    assert.equal((await mockStats(fresh)).completed, load.served.length);
});
