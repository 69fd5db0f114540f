// SPDX-License-Identifier: Apache-2.0
// Disks that are nearly full: new calls are refused in time, with the reason, while what is open is
// settled; a short leader hands over to a node with room; all ends by itself when there is room again.
import assert from 'node:assert/strict';
import test, { after } from 'node:test';
import { Cluster } from '../e2e/lib/cluster.mjs';
import { Load } from '../e2e/lib/load.mjs';
import { Tenant, chat, dollars, importPrices, nanos, nodesAgree, post, priced } from '../e2e/lib/tenant.mjs';
import { program, temporary } from '../e2e/lib/place.mjs';
import { until } from '../e2e/lib/wait.mjs';
import { Shim } from './lib/shim.mjs';

const MB = 2 ** 20;
const skip = (() => {
    try {
        return program('holdfast-shim.so') ? false : 'no shim';
    } catch {
        return 'holdfast-shim.so is not built';
    }
})();
const folder = temporary(undefined, 'holdfast-room-');
const shims = skip ? [] : [0, 1, 2, 3].map((n) => new Shim(folder, `node-${n}`));
const cluster = await Cluster.start({ after }, { launch: (n) => (skip ? {} : { env: shims[n].env }) });
await importPrices(cluster, { flat: priced({ input_cost_per_request: dollars(1_000_003) }) });

const status = () => cluster.ctl('status');
/** A share of what must be free. */
const bound = async (share) => {
    const { nodes } = await status();
    return Math.round(share * Math.max(512 * MB, nodes[0].disk_total_bytes / 100));
};
const refusing = (what) => until(`refusing: ${what}`, async () => (await status()).refusing === what);

test('F43_a_short_leader_hands_over_and_nobody_is_refused', { skip }, async () => {
    const tenant = await Tenant.create(cluster, 'heir', { deposit: '1000' });
    const key = await tenant.key('k');
    const load = new Load(cluster, [{ apiKey: key.api_key, clients: 3 }]);
    await load.servedMore(10);
    const leader = await cluster.leader();
    shims[leader].free(100 * MB);
    await until('another leader', async () => (await cluster.leader()) !== leader);
    await load.servedMore(20);
    const { nodes, refusing: refused } = await status();
    assert.equal(refused, false);
    assert.equal(nodes.find((node) => node.id === leader).disk_short, true);
    shims[leader].free(0);
    await until('room again', async () => (await status()).nodes.every((node) => !node.disk_short));
    await load.stop();
    assert.deepEqual(load.answers(), { 200: load.records.length });
});

test('F43_F51_without_room_new_calls_are_refused_and_open_ones_settle', { skip }, async (t) => {
    const tenant = await Tenant.create(cluster, 'room', { deposit: '1000' });
    const key = await tenant.key('k');
    const slow = chat('flat', { metadata: { mock_latency_ms: '4000' } });
    const open = post(cluster.edgeUrl(1), key.api_key, slow);
    await until('an open hold', async () => (await tenant.show()).open_holds === 1);
    shims.forEach((shim) => shim.free(100 * MB));
    await refusing(true);

    let served = 1; // a node that has not looked yet may lead for a moment
    const answer = await until('a refusal', async () => {
        const one = await post(cluster.edgeUrl(2), key.api_key, chat('flat'));
        served += one.status === 200 ? 1 : 0;
        return one.status !== 200 && one;
    });
    assert.equal(answer.status, 503, answer.body.toString());
    const { error } = JSON.parse(answer.body);
    assert.equal(error.code, 'ledger_disk_nearly_full');
    assert.match(error.message, /nearly full/);
    assert.equal(answer.headers['retry-after'], '5');
    const refused = await tenant.tryCtl('deposit', '--amount', '1');
    assert.equal(refused.json.error.code, 'NO_ROOM');
    const settled = await open; // forwarded before: its end is taken
    assert.equal(settled.status, 200);
    assert.equal(nanos(settled.headers['x-holdfast-request-cost']), 1_000_003);
    assert.equal((await tenant.show()).usage_nanos, served * 1_000_003);
    await tenant.ctl('org', 'pause'); // the kill switch works all the same
    await tenant.ctl('org', 'resume');

    const above = await bound(1.1);
    const well = await bound(1.3);
    shims.forEach((shim) => shim.free(above)); // above the bound, but not by a quarter
    await until('the nodes to have looked', async () =>
        (await status()).nodes.every((node) => node.disk_free_bytes > above - MB));
    assert.equal((await status()).refusing, true);
    shims.forEach((shim) => shim.free(well));
    await refusing(false);
    assert.equal((await post(cluster.edgeUrl(1), key.api_key, chat('flat'))).status, 200);
    shims.forEach((shim) => shim.mend());
    await nodesAgree(cluster);
    t.diagnostic(JSON.stringify(error));
});

test('F43_two_short_of_three_refuse_one_does_not', { skip }, async () => {
    const tenant = await Tenant.create(cluster, 'two', { deposit: '1000' });
    const key = await tenant.key('k');
    const leader = await cluster.leader();
    const [one, two] = [1, 2, 3].filter((n) => n !== leader);
    shims[one].free(100 * MB);
    await until('one short', async () => (await status()).nodes.find((node) => node.id === one).disk_short);
    assert.equal((await post(cluster.edgeUrl(1), key.api_key, chat('flat'))).status, 200);
    shims[two].free(100 * MB);
    await refusing(true);
    shims.forEach((shim) => shim.mend());
    await refusing(false);
    assert.equal((await post(cluster.edgeUrl(1), key.api_key, chat('flat'))).status, 200);
});
