// SPDX-License-Identifier: Apache-2.0
// Two hundred calls at once on money for exactly 37. The model is priced by the request, so that a
// hold is its cost: nothing is given back, and neither order nor luck can make it 36 or 38.
import assert from 'node:assert/strict';
import test, { after } from 'node:test';
import OpenAI, { APIError } from 'openai';
import { Cluster } from './lib/cluster.mjs';
import {
    Tenant, chat, closingComment, dollars, importPrices, mockStats, nanos, nodesAgree, post, priced, readLog,
    settlements,
} from './lib/tenant.mjs';

const CALLS = 200;
const SERVED = 37;
const PRICE = 1_234_567; // nano-dollars a request
const cluster = await Cluster.start({ after }, { nodes: 3, edges: 2 });
await importPrices(cluster, {
    flat: priced({ input_cost_per_request: dollars(PRICE) }),
    tokens: priced({ input_cost_per_token: '0.000001', output_cost_per_token: '0.000002' }),
});

/** All at once through both edges, half of them streams. Returns their answers. */
function burst(keys, body, call = post) {
    return Promise.all(Array.from({ length: CALLS }, (_, i) => {
        const key = keys[i % keys.length];
        const stream = i % 4 >= 2;
        return call(cluster.edgeUrl(1 + (i % 2)), key.api_key, body(stream));
    }));
}

/** The same call by the official client with all its defaults, retries among them. */
async function official(url, apiKey, body) {
    const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey });
    const plain = { ...body, stream: false };
    try {
        const { data, response } = await openai.chat.completions.create(plain).withResponse();
        return { status: 200, broken: false, headers: Object.fromEntries(response.headers), body: JSON.stringify(data) };
    } catch (error) {
        assert.ok(error instanceof APIError, error);
        return {
            status: error.status,
            headers: Object.fromEntries(error.headers),
            body: JSON.stringify({ error: error.error }),
        };
    }
}

function costOf(answer) {
    const told = answer.headers['x-holdfast-request-cost'] ?? closingComment(answer.body.toString())?.cost;
    assert.ok(told !== undefined, `no cost in ${JSON.stringify(answer.headers)}`);
    return nanos(told);
}

async function exactly37(tenant, keys, codes, call) {
    const before = await mockStats(cluster);
    const answers = await burst(keys, (stream) => chat('flat', { stream }), call);
    const served = answers.filter((answer) => answer.status === 200);
    const refused = answers.filter((answer) => answer.status === 402);
    assert.deepEqual([served.length, refused.length], [SERVED, CALLS - SERVED]);
    for (const answer of served) {
        assert.equal(answer.broken, false);
        assert.equal(costOf(answer), PRICE);
    }
    for (const answer of refused) {
        assert.ok(codes.includes(JSON.parse(answer.body).error.code), answer.body.toString());
        assert.equal(costOf(answer), 0);
    }
    const org = await tenant.quiet();
    assert.equal(org.usage_nanos, SERVED * PRICE);
    assert.equal((await mockStats(cluster)).received, before.received + SERVED);

    // Each call was asked about once, and each served one settled once, says the log of each node.
    await nodesAgree(cluster);
    const holds = new Set(served.map((answer) => answer.headers['x-holdfast-hold']));
    for (const n of [1, 2, 3]) {
        const log = await readLog(cluster, n, '--org', tenant.org);
        assert.equal(log.status, 0, log.stderr);
        const found = [...settlements(log).values()].filter((line) => holds.has(line.command.body.hold));
        assert.equal(found.length, SERVED);
        const reserves = log.commands.filter((line) => line.command.command === 'reserve'
            && line.result.body.org === tenant.org);
        const ok = reserves.filter((line) => line.result.code === 'OK');
        assert.equal(ok.length, SERVED);
        const books = log.report.orgs.find((one) => one.org === tenant.org);
        assert.equal(books.accounts_with_tail_nanos.usage, SERVED * PRICE);
        assert.equal(books.accounts_with_tail_nanos.held, 0);
    }
    return org;
}

test('F1_F2_F12_a_key_budget_for_37_serves_37_of_200', async () => {
    const tenant = await Tenant.create(cluster, 'by key', { deposit: '10' });
    const key = await tenant.key('k');
    const budget = await tenant.budget('key', key.key, dollars(SERVED * PRICE));
    await exactly37(tenant, [key], ['budget_exceeded', 'budget_in_flight']);
    const counter = await tenant.counter(budget);
    assert.deepEqual([counter.spent_nanos, counter.held_nanos, counter.left_nanos], [SERVED * PRICE, 0, 0]);
});

test('F1_F2_F27_the_official_client_gets_the_same_37_and_does_not_retry_a_402', async () => {
    const tenant = await Tenant.create(cluster, 'by client', { deposit: '10' });
    const key = await tenant.key('k');
    await tenant.budget('key', key.key, dollars(SERVED * PRICE));
    const reservesOf = async () => (await readLog(cluster, 1)).commands.filter(
        (line) => line.command.command === 'reserve').length;
    const before = await reservesOf();
    await exactly37(tenant, [key], ['budget_exceeded', 'budget_in_flight'], official);
    assert.equal(await reservesOf() - before, CALLS);
});

test('F2_F3_an_orgs_credit_for_37_serves_37_of_200', async () => {
    const tenant = await Tenant.create(cluster, 'by credit', { deposit: dollars(SERVED * PRICE) });
    const org = await exactly37(tenant, [await tenant.key('k')], ['insufficient_credit']);
    assert.deepEqual([org.available_nanos, org.balance_nanos], [0, 0]);
});

test('F12_a_team_budget_for_37_binds_both_of_its_keys', async () => {
    const tenant = await Tenant.create(cluster, 'by team', { deposit: '10' });
    await tenant.ctl('team', 'create', '--name', 'research');
    const keys = [
        await tenant.key('one', '--team', 'research'),
        await tenant.key('two', '--team', 'research'),
    ];
    // One nano-dollar short of 38.
    const budget = await tenant.budget('team', 'research', dollars((SERVED + 1) * PRICE - 1));
    await exactly37(tenant, keys, ['budget_exceeded', 'budget_in_flight']);
    assert.equal((await tenant.counter(budget)).left_nanos, PRICE - 1);
});

test('F12_F14_of_many_ceilings_the_tightest_wins', async () => {
    const tenant = await Tenant.create(cluster, 'by all', { deposit: dollars(45 * PRICE) });
    await tenant.ctl('team', 'create', '--name', 'research');
    const key = await tenant.key('k', '--team', 'research');
    await tenant.budget('org', null, dollars(40 * PRICE));
    await tenant.budget('team', 'research', dollars(SERVED * PRICE), '--window', 'monthly');
    await tenant.budget('key', key.key, dollars(39 * PRICE), '--window', 'daily', '--override');
    await exactly37(tenant, [key], ['budget_exceeded', 'budget_in_flight']);
});

test('F1_F12_holds_above_the_cost_never_let_the_spent_pass_the_limit', async () => {
    // Here a hold is far above its cost, so that how many are served depends on who settles when;
    // that the limit holds does not.
    const tenant = await Tenant.create(cluster, 'by token', { deposit: '10' });
    const key = await tenant.key('k');
    const limit = 2_000_000;
    const budget = await tenant.budget('key', key.key, dollars(limit));
    const answers = await burst([key], (stream) => chat('tokens', { stream, max_tokens: 50 }));
    const served = answers.filter((answer) => answer.status === 200);
    assert.ok(served.length > 0);
    assert.deepEqual([...new Set(answers.map((answer) => answer.status))].sort(), [200, 402]);
    const org = await tenant.quiet();
    assert.equal(org.usage_nanos, served.reduce((sum, answer) => sum + costOf(answer), 0));
    const counter = await tenant.counter(budget);
    assert.deepEqual([counter.spent_nanos, counter.held_nanos], [org.usage_nanos, 0]);
    assert.ok(counter.spent_nanos <= limit);
});
