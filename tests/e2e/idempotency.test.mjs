// SPDX-License-Identifier: Apache-2.0
// A client that repeats a call with the same Idempotency-Key: one provider call, one charge (F6).
import assert from 'node:assert/strict';
import test, { after } from 'node:test';
import { APIError } from 'openai';
import { Cluster } from './lib/cluster.mjs';
import { Tenant, chat, importPrices, mockStats, nanos, priced } from './lib/tenant.mjs';

const cluster = await Cluster.start({ after }, { nodes: 3, edges: 2 });
await importPrices(cluster, { flat: priced({ input_cost_per_request: '0.001' }) });
// 2 % platform fee: the hold has room for it, so the fee is charged in full.
const acme = await Tenant.create(cluster, 'acme', { deposit: '10', args: ['--fee-ppm', '20000'] });
const key = (await acme.key('main')).api_key;
const call = (edge, idempotency, body = {}) =>
    cluster.openai(edge, key).chat.completions
        .create(chat('flat', body), { headers: { 'Idempotency-Key': idempotency } }).withResponse();

test('F6_F9_a_repeat_is_answered_with_the_first_receipt_and_not_forwarded', async () => {
    const { response } = await call(1, 'order-17');
    const receipt = response.headers.get('x-holdfast-receipt');
    const cost = nanos(response.headers.get('x-holdfast-request-cost'));
    const { received } = await mockStats(cluster);
    for (const edge of [1, 2, 1]) {
        await assert.rejects(call(edge, 'order-17'), (e) => {
            assert.ok(e instanceof APIError);
            assert.equal(e.status, 409);
            assert.equal(e.code, 'idempotent_repeat');
            assert.equal(e.error.settled, true);
            assert.equal(e.error.hold, response.headers.get('x-holdfast-hold'));
            assert.ok(receipt.startsWith(`${e.error.receipt}:`), `${receipt} ${e.error.receipt}`);
            assert.equal(e.error.cost_nanos, cost);
            return true;
        });
    }
    assert.equal((await mockStats(cluster)).received, received);
    const org = await acme.quiet();
    assert.deepEqual([org.usage_nanos, org.fees_nanos], [1_000_000, 20_000]);
    assert.equal(cost, 1_020_000);
    await call(2, 'order-18');
});

test('F6_of_many_at_once_one_is_made', async () => {
    const before = (await mockStats(cluster)).received;
    const results = await Promise.allSettled(
        Array.from({ length: 24 }, (_, i) => call(1 + (i % 2), 'order-19', { metadata: { mock_latency_ms: '50' } })));
    assert.equal(results.filter((r) => r.status === 'fulfilled').length, 1);
    for (const r of results.filter((one) => one.status === 'rejected')) {
        assert.equal(r.reason.status, 409);
    }
    assert.equal((await mockStats(cluster)).received, before + 1);
});

test('F6_a_call_that_was_released_may_be_made_again', async () => {
    await assert.rejects(call(1, 'order-20', { metadata: { mock_status: '400' } }), { status: 400 });
    await call(2, 'order-20');
    await assert.rejects(call(1, 'order-20'), { status: 409 });
    await assert.rejects(call(1, 'x'.repeat(256)), { status: 400 });
});
