// SPDX-License-Identifier: Apache-2.0
// The official client, unmodified, against three ledger nodes and two edges over TLS.
import assert from 'node:assert/strict';
import test, { after } from 'node:test';
import { APIError, APIUserAbortError, AuthenticationError, BadRequestError, RateLimitError } from 'openai';
import { Cluster } from './lib/cluster.mjs';
import { until } from './lib/wait.mjs';
import {
    FLAG, SOURCE, Tenant, chat, closingComment, dollars, importPrices, mockStats, nanos, nodesAgree, post,
    priced, readLog, settlements,
} from './lib/tenant.mjs';

// The mock answers with 16 tokens at most, and counts one prompt token for "hi".
const IN = 1000, OUT = 2000; // nano-dollars a token
const cluster = await Cluster.start({ after }, { nodes: 3, edges: 2 });
await importPrices(cluster, {
    tokens: priced({ input_cost_per_token: '0.000001', output_cost_per_token: '0.000002' }),
    flat: priced({ input_cost_per_request: '0.001' }),
});
const acme = await Tenant.create(cluster, 'acme', { deposit: '10' });
await acme.ctl('team', 'create', '--name', 'research');
const main = await acme.key('main', '--team', 'research');
const cost = (prompt, completion) => prompt * IN + completion * OUT;

/** What a call did to the org: its cost and its open holds. */
async function spentBy(tenant, action) {
    const before = (await tenant.show()).usage_nanos;
    const result = await action();
    return { result, spent: (await tenant.quiet()).usage_nanos - before };
}

test('F27_F10_an_answer_with_its_cost_and_a_receipt_that_stands_in_the_log', async () => {
    for (const edge of [1, 2]) {
        const openai = cluster.openai(edge, main.api_key);
        const { result, spent } = await spentBy(acme, () =>
            openai.chat.completions.create(chat('tokens', { max_tokens: 10 })).withResponse());
        const { data, response } = result;
        assert.equal(data.object, 'chat.completion');
        assert.equal(data.choices[0].finish_reason, 'length');
        assert.deepEqual([data.usage.prompt_tokens, data.usage.completion_tokens], [1, 10]);
        assert.equal(nanos(response.headers.get('x-holdfast-request-cost')), cost(1, 10));
        assert.equal(spent, cost(1, 10));
        assert.match(response.headers.get('x-holdfast-hold'), /^[0-9a-f-]{36}$/);

        const receipt = response.headers.get('x-holdfast-receipt');
        await nodesAgree(cluster);
        for (const n of [1, 2, 3]) {
            const proof = await cluster.replay(n, '--verify-receipt', receipt);
            assert.equal(proof.status, 0, proof.stderr);
            assert.equal(proof.json.receipt.command.body.hold, response.headers.get('x-holdfast-hold'));
            assert.equal(proof.json.receipt.result.body.cost, cost(1, 10));
        }
        // A receipt that names another entry, or another chain, is none.
        const [index, ordinal, chain] = receipt.split(':');
        for (const forged of [`${index - 1}:${ordinal}:${chain}`, `${index}:7:${chain}`,
            `${index}:${ordinal}:${'0'.repeat(64)}`]) {
            assert.equal((await cluster.replay(1, '--verify-receipt', forged)).status, 1, forged);
        }
    }
});

test('F28_streams_with_the_usage_chunk_only_where_it_was_asked_for', async () => {
    const openai = cluster.openai(1, main.api_key);
    for (const wanted of [false, true]) {
        const { result, spent } = await spentBy(acme, async () => {
            const stream = await openai.chat.completions.create(chat('tokens', {
                stream: true,
                max_tokens: 5,
                ...(wanted ? { stream_options: { include_usage: true } } : {}),
            }));
            const chunks = [];
            for await (const chunk of stream) {
                chunks.push(chunk);
            }
            return chunks;
        });
        assert.equal(spent, cost(1, 5));
        const usage = result.filter((chunk) => chunk.choices.length === 0);
        assert.equal(usage.length, wanted ? 1 : 0);
        if (wanted) {
            assert.equal(usage[0].usage.completion_tokens, 5);
        }
        const text = result.flatMap((chunk) => chunk.choices).map((one) => one.delta.content ?? '').join('');
        assert.equal(text.split(' ').length, 5);
        assert.equal(result.flatMap((chunk) => chunk.choices).at(-1).finish_reason, 'length');
    }
});

test('F10_a_stream_tells_its_cost_in_a_comment_and_in_trailers', async () => {
    const answer = await post(cluster.edgeUrl(2), main.api_key, chat('tokens', { stream: true }),
        { headers: { te: 'trailers' } });
    assert.equal(answer.status, 200);
    assert.equal(answer.broken, false);
    const text = answer.body.toString();
    assert.match(text, /\ndata: \[DONE\]\n\n: holdfast cost=[0-9.]+ receipt=\d+:\d+:[0-9a-f]{64}\n\n$/);
    const told = closingComment(text);
    assert.equal(nanos(told.cost), cost(1, 16));
    assert.equal(answer.trailers['x-holdfast-request-cost'], told.cost);
    assert.equal(answer.trailers['x-holdfast-receipt'], told.receipt);
    const proof = await cluster.replay(await cluster.leader(), '--verify-receipt', told.receipt);
    assert.equal(proof.status, 0, proof.stderr);
});

test('F28_F1_a_client_that_leaves_mid_stream_stops_the_provider_and_pays_an_estimate', async () => {
    const openai = cluster.openai(1, main.api_key);
    const { aborted } = await mockStats(cluster);
    const controller = new AbortController();
    const { data: stream, response } = await openai.chat.completions.create(
        chat('tokens', { stream: true, max_tokens: 1000, metadata: { mock_tokens: '1000', mock_hang_after: '6' } }),
        { signal: controller.signal }).withResponse();
    const hold = response.headers.get('x-holdfast-hold');
    let seen = 0;
    for await (const chunk of stream) {
        seen += chunk.choices.length;
        if (seen === 6) { // the role, and five words
            controller.abort();
        }
    }
    await until('the provider call to be stopped', async () => (await mockStats(cluster)).aborted === aborted + 1);
    await acme.quiet();

    await nodesAgree(cluster);
    const { command, result } = settlements(await readLog(cluster, 1)).get(hold);
    assert.equal(command.body.source, SOURCE.estimate);
    assert.equal(result.flags & FLAG.estimated, FLAG.estimated);
    assert.ok(result.body.cost > 0 && result.body.cost < cost(200, 100), `cost ${result.body.cost}`);
    assert.ok(result.body.released > 0);
});

test('F28_a_client_that_leaves_before_the_answer_still_pays_for_what_it_asked', async () => {
    const { received } = await mockStats(cluster);
    const { spent } = await spentBy(acme, async () => {
        const controller = new AbortController();
        const call = cluster.openai(1, main.api_key).chat.completions.create(
            chat('tokens', { max_tokens: 4, metadata: { mock_latency_ms: '300' } }), { signal: controller.signal });
        await until('the provider to have the call', async () =>
            (await mockStats(cluster)).received === received + 1);
        controller.abort();
        await assert.rejects(call, APIUserAbortError);
        await until('the call to be over', async () => (await acme.show()).open_holds === 0);
    });
    assert.equal(spent, cost(1, 4));
});

test('F3_F17_F52_over_the_budget_is_402_once_and_the_provider_hears_nothing', async () => {
    const key = await acme.key('one-call');
    const budget = await acme.budget('key', key.key, '0.001', '--label', 'support-bot', '--window', 'daily');
    const openai = cluster.openai(1, key.api_key); // with the client's own retries
    await openai.chat.completions.create(chat('flat'));
    const { received } = await mockStats(cluster);
    let calls = 0;
    const counted = cluster.openai(2, key.api_key, {
        fetch: (...args) => {
            calls++;
            return fetch(...args);
        },
    });
    const refused = counted.chat.completions.create(chat('flat'));
    await assert.rejects(refused, (error) => {
        assert.ok(error instanceof APIError);
        assert.equal(error.status, 402);
        assert.equal(error.type, 'budget_exceeded');
        assert.equal(error.code, 'budget_exceeded');
        assert.equal(error.headers.get('x-should-retry'), 'false');
        assert.equal(error.headers.get('x-holdfast-request-cost'), '0');
        const body = error.error;
        assert.equal(body.message, "Key 'support-bot' daily budget of $0.001 exceeded.");
        assert.deepEqual(
            [body.scope, body.budget, body.label, body.period, body.spent, body.spent_nanos, body.held_nanos,
                body.limit, body.limit_nanos, body.needed_nanos],
            ['key', budget, 'support-bot', 'daily', '0.001', 1_000_000, 0, '0.001', 1_000_000, 1_000_000]);
        const reset = new Date(body.reset_at);
        assert.ok(reset > new Date() && reset - new Date() <= 86_400_000, body.reset_at);
        assert.equal(reset.toISOString().slice(11), '00:00:00.000Z');
        assert.ok(Number.isInteger(body.ledger_index) && body.ledger_index > 0);
        return true;
    });
    assert.equal(calls, 1);
    assert.equal((await mockStats(cluster)).received, received);

    // What can never fit says so, and what only waits for others says when to come again.
    await assert.rejects(openai.chat.completions.create(chat('tokens', { max_tokens: 100_000 })), (error) => {
        assert.deepEqual([error.status, error.code], [402, 'request_exceeds_budget']);
        return true;
    });
    const list = await openai.models.list(); // F55
    assert.ok(list.data.some((model) => model.id === 'flat'));
});

test('F52_a_budget_full_of_open_holds_says_in_flight', async () => {
    const key = await acme.key('in-flight');
    await acme.budget('key', key.key, '0.001');
    const openai = cluster.openai(1, key.api_key, { maxRetries: 0 });
    const controller = new AbortController();
    const { in_flight } = await mockStats(cluster);
    const first = openai.chat.completions.create(
        chat('flat', { stream: true, metadata: { mock_hang: '1' } }), { signal: controller.signal });
    first.catch(() => {});
    await until('the first call at the provider', async () => (await mockStats(cluster)).in_flight === in_flight + 1);
    await assert.rejects(cluster.openai(2, key.api_key, { maxRetries: 0 }).chat.completions.create(chat('flat')),
        (error) => {
            assert.deepEqual([error.status, error.code], [402, 'budget_in_flight']);
            assert.ok(Number(error.headers.get('retry-after')) > 0);
            assert.equal(error.error.held_nanos, 1_000_000);
            assert.equal(error.error.spent_nanos, 0);
            return true;
        });
    controller.abort();
    await assert.rejects(first, APIUserAbortError);
    await acme.quiet();
});

test('F2_F3_F55_no_credit_is_402_and_reading_goes_on', async () => {
    const poor = await Tenant.create(cluster, 'poor', { deposit: '0.0015' });
    const key = await poor.key('k');
    const openai = cluster.openai(2, key.api_key, { maxRetries: 0 });
    await openai.chat.completions.create(chat('flat'));
    await assert.rejects(openai.chat.completions.create(chat('flat')), (error) => {
        assert.deepEqual([error.status, error.code], [402, 'insufficient_credit']);
        assert.deepEqual([error.error.needed_nanos, error.error.available_nanos], [1_000_000, 500_000]);
        return true;
    });
    assert.ok((await openai.models.list()).data.length >= 2);
    assert.equal((await openai.models.retrieve('flat')).id, 'flat');
    const { available_nanos, usage_nanos } = await poor.show();
    assert.deepEqual([available_nanos, usage_nanos], [500_000, 1_000_000]);
});

test('F21_a_paused_org_is_refused_on_every_edge_at_once', async () => {
    const org = await Tenant.create(cluster, 'paused', { deposit: '1' });
    const key = await org.key('k');
    const call = (edge) => cluster.openai(edge, key.api_key, { maxRetries: 0 })
        .chat.completions.create(chat('flat'));
    await Promise.all([call(1), call(2)]);
    const { received } = await mockStats(cluster);
    await org.ctl('org', 'pause', '--reason', 'drill');
    for (const edge of [1, 2]) { // the very next call
        await assert.rejects(call(edge), (error) => {
            assert.ok(error instanceof RateLimitError);
            assert.deepEqual([error.status, error.code], [429, 'paused']);
            return true;
        });
    }
    assert.equal((await mockStats(cluster)).received, received);
    await org.ctl('org', 'resume');
    await Promise.all([call(1), call(2)]);
    assert.equal((await org.show()).usage_nanos, 4_000_000);
});

test('F38_unknown_and_revoked_keys_are_401', async () => {
    const key = await acme.key('soon gone');
    const openai = cluster.openai(1, key.api_key, { maxRetries: 0 });
    await openai.chat.completions.create(chat('flat'));
    await acme.ctl('key', 'revoke', '--key', key.public);
    for (const edge of [1, 2]) {
        await assert.rejects(cluster.openai(edge, key.api_key).chat.completions.create(chat('flat')), (error) => {
            assert.ok(error instanceof AuthenticationError);
            assert.equal(error.code, 'key_revoked');
            return true;
        });
    }
    for (const bad of [`${key.api_key}x`, 'sk-hf-000000000000-nobody', 'sk-other']) {
        await assert.rejects(cluster.openai(2, bad).chat.completions.create(chat('flat')),
            (error) => error instanceof AuthenticationError && error.code === 'invalid_api_key');
    }
});

test('F54_an_unpriced_model_is_refused_unless_the_org_allows_it', async () => {
    const openai = cluster.openai(1, main.api_key, { maxRetries: 0 });
    const { received } = await mockStats(cluster);
    await assert.rejects(openai.chat.completions.create(chat('nobody-priced-this')), (error) => {
        assert.ok(error instanceof BadRequestError);
        assert.deepEqual([error.status, error.code], [400, 'model_unpriced']);
        return true;
    });
    assert.equal((await mockStats(cluster)).received, received);
    await acme.ctl('org', 'set', '--allow-unpriced', 'yes');
    const { response } = await openai.chat.completions.create(chat('nobody-priced-this')).withResponse();
    assert.equal(response.status, 200);
    await acme.ctl('org', 'set', '--allow-unpriced', 'no');
    await assert.rejects(openai.chat.completions.create(chat('nobody-priced-this')), BadRequestError);
});

test('F1_a_provider_error_costs_nothing_and_holds_nothing', async () => {
    const openai = cluster.openai(1, main.api_key, { maxRetries: 0 });
    for (const status of [500, 429, 400, 404]) {
        const { spent } = await spentBy(acme, () => assert.rejects(
            openai.chat.completions.create(chat('tokens', { metadata: { mock_status: String(status) } })), (error) => {
                assert.equal(error.status, status);
                assert.equal(error.headers.get('x-holdfast-request-cost'), '0');
                return true;
            }));
        assert.equal(spent, 0);
    }
    // The provider's word on the gateway's own key is not the client's business.
    await assert.rejects(openai.chat.completions.create(chat('tokens', { metadata: { mock_status: '401' } })),
        (error) => error.status === 502);
    await acme.quiet();
});

test('F28_a_stream_that_breaks_off_is_settled_by_estimate', async () => {
    const { result, spent } = await spentBy(acme, () => post(cluster.edgeUrl(1), main.api_key,
        chat('tokens', { stream: true, metadata: { mock_cut_after: '6' } })));
    assert.equal(result.status, 200);
    assert.equal(result.broken, true);
    const text = result.body.toString();
    assert.equal(text.includes('[DONE]'), false);
    assert.equal(nanos(closingComment(text).cost), spent);
    assert.ok(spent > 0);
    await nodesAgree(cluster);
    const { command } = settlements(await readLog(cluster, 2)).get(result.headers['x-holdfast-hold']);
    assert.equal(command.body.source, SOURCE.estimate);

    // The official client sees an error, not a short answer.
    const stream = await cluster.openai(2, main.api_key, { maxRetries: 0 }).chat.completions.create(
        chat('tokens', { stream: true, metadata: { mock_cut_after: '6' } }));
    await assert.rejects(async () => {
        for await (const _ of stream);
    });
    // A whole answer that breaks off is an error too, and is paid by estimate.
    const cut = await spentBy(acme, () => post(cluster.edgeUrl(1), main.api_key,
        chat('tokens', { metadata: { mock_cut_after: '0' } })));
    assert.equal(cut.result.status, 502);
    assert.ok(cut.spent > 0);
});

test('F8_usage_left_out_is_estimated_and_never_free', async () => {
    const { result, spent } = await spentBy(acme, () => cluster.openai(1, main.api_key).chat.completions.create(
        chat('tokens', { metadata: { mock_no_usage: '1' } })).withResponse());
    assert.ok(spent > 0);
    assert.equal(nanos(result.response.headers.get('x-holdfast-request-cost')), spent);
});

test('F8_the_providers_own_number_counts_where_it_is_trusted', async (t) => {
    const trusting = await Cluster.start(t, {
        nodes: 1,
        edges: 1,
        initArgs: ['--trust-cost'],
        mockArgs: ['--cost-header', 'X-Nemo-Response-Cost'],
    });
    await importPrices(trusting, { tokens: priced({ input_cost_per_token: '0.000001', output_cost_per_token: '0.000002' }) });
    const tenant = await Tenant.create(trusting, 'trusting', { deposit: '1' });
    const { api_key } = await tenant.key('k');
    for (const own of ['0.000012345', '0.000000001']) {
        const { response } = await trusting.openai(1, api_key).chat.completions.create(
            chat('tokens', { metadata: { mock_cost: own } })).withResponse();
        assert.equal(response.headers.get('x-holdfast-request-cost'), own);
    }
    const streamed = await post(trusting.edgeUrl(1), api_key,
        chat('tokens', { stream: true, metadata: { mock_cost: '0.000007' } }));
    assert.equal(closingComment(streamed.body.toString()).cost, '0.000007');
    assert.equal((await tenant.quiet()).usage_nanos, 12_345 + 1 + 7_000);
});

test('F22_who_a_call_is_for_stands_in_the_log', async () => {
    const { response } = await cluster.openai(1, main.api_key).chat.completions.create(
        chat('flat', { user: 'end-user', metadata: { customer_id: 'cust-7' } }), {
            headers: { 'x-holdfast-user': 'ada', 'x-holdfast-agent': 'support-bot', 'x-holdfast-env': 'prod' },
        }).withResponse();
    const second = await cluster.openai(2, main.api_key).chat.completions.create(
        chat('flat', { user: 'end-user' })).withResponse();
    await nodesAgree(cluster);
    const { commands } = await readLog(cluster, 3);
    const reserve = (answer) => commands.find((line) => line.command.command === 'reserve'
        && line.command.head.id === answer.headers.get('x-holdfast-hold')).command.body;
    const { customer, user, agent, env } = reserve(response);
    assert.deepEqual({ customer, user, agent, env },
        { customer: 'cust-7', user: 'ada', agent: 'support-bot', env: 'prod' });
    assert.equal(reserve(second.response).customer, 'end-user');

    // And a budget by that name holds: one counter for each customer (F15).
    await acme.budget('customer', '*', '0.002', '--label', 'each customer');
    const call = (customer_id) => cluster.openai(1, main.api_key, { maxRetries: 0 })
        .chat.completions.create(chat('flat', { metadata: { customer_id } }));
    await call('eve');
    await call('eve');
    await assert.rejects(call('eve'), (error) => {
        assert.deepEqual([error.status, error.error.scope, error.error.instance], [402, 'customer', 'eve']);
        return true;
    });
    await call('mallory');
});

test('F4_F5_the_books_agree_on_all_three_nodes_after_all_that', async () => {
    const org = await acme.quiet();
    await nodesAgree(cluster);
    for (const n of [1, 2, 3]) {
        const { status, json } = await cluster.replay(n);
        assert.equal(status, 0);
        assert.equal(json.drift_nanos, 0);
        const books = json.orgs.find((one) => one.org === acme.org);
        assert.equal(books.sum_of_accounts_nanos, 0);
        assert.equal(books.accounts_with_tail_nanos.usage, org.usage_nanos);
        assert.equal(books.accounts_with_tail_nanos.available, nanos('10') - org.usage_nanos);
        assert.equal(dollars(books.accounts_with_tail_nanos.held), '0.000000000');
    }
});
