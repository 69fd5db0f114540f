// SPDX-License-Identifier: Apache-2.0
// Starting, stopping and falling over: edges drain, nodes come back, a power cut of everything loses
// nothing that was acknowledged, and a directory that is not a node's own is refused with the reason.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Load } from './lib/load.mjs';
import { program, temporary } from './lib/place.mjs';
import { run } from './lib/process.mjs';
import { until } from './lib/wait.mjs';
import {
    Tenant, chat, closingComment, dollars, edgesReady, importPrices, mockStats, nanos, nodesAgree, post, priced,
} from './lib/tenant.mjs';

const PRICE = 1_000_003;
const cluster = await Cluster.start({ after }, { nodes: 3, edges: 2, mockArgs: ['--latency-ms', '3'] });
await importPrices(cluster, { flat: priced({ input_cost_per_request: dollars(PRICE) }) });

test('F31_an_edge_that_is_told_to_stop_finishes_and_settles_what_is_under_way', async () => {
    const tenant = await Tenant.create(cluster, 'drained', { deposit: '10' });
    const key = await tenant.key('k');
    const [one, two] = [chat('flat', { stream: true, max_tokens: 40, metadata: { mock_tokens: '40', mock_interval_ms: '25' } }),
        chat('flat', { metadata: { mock_latency_ms: '700' } })];
    const url = cluster.edgeUrl(2);
    const { in_flight } = await mockStats(cluster);
    let begun;
    const first = new Promise((resolve) => { begun = resolve; });
    const calls = [post(url, key.api_key, one, { onData: begun }), post(url, key.api_key, two)];
    await first;
    await until('both calls at the provider', async () => (await mockStats(cluster)).in_flight === in_flight + 2);

    const edge = cluster.edges.get(2);
    const ended = cluster.endEdge(2);
    await until('the edge to take no more calls', async () => {
        try {
            const answer = await post(url, key.api_key, chat('flat'));
            return answer.status === 503;
        } catch {
            return true;
        }
    });
    const [stream, whole] = await Promise.all(calls);
    assert.deepEqual(await ended, { code: 0, signal: null });
    assert.equal(edge.exit.code, 0);
    assert.deepEqual([stream.status, stream.broken, whole.status], [200, false, 200]);
    const text = stream.body.toString();
    assert.ok(text.includes('data: [DONE]'));
    assert.equal(nanos(closingComment(text).cost), PRICE);
    assert.equal(nanos(whole.headers['x-holdfast-request-cost']), PRICE);
    const org = await tenant.quiet();
    assert.equal(org.usage_nanos % PRICE, 0);
    assert.ok(org.usage_nanos >= 2 * PRICE);

    await cluster.startEdge(2); // and any other in its place serves
    await edgesReady(cluster);
    assert.equal((await post(cluster.edgeUrl(2), key.api_key, chat('flat'))).status, 200);
});

test('F43_a_node_that_was_away_catches_up_by_itself', async () => {
    const tenant = await Tenant.create(cluster, 'away', { deposit: '100' });
    const key = await tenant.key('k');
    const leader = await cluster.leader();
    const away = [1, 2, 3].find((n) => n !== leader);
    assert.deepEqual(await cluster.endNode(away), { code: 0, signal: null });
    const load = new Load(cluster, [{ apiKey: key.api_key, clients: 4 }]);
    await load.servedMore(200);
    await cluster.startNode(away);
    await load.servedMore(20);
    await load.stop();
    assert.deepEqual(load.answers(), { 200: load.records.length });
    await tenant.quiet();
    const status = await nodesAgree(cluster);
    assert.equal(status.chains_agree, true);
    const { json, status: exit } = await cluster.replay(away);
    assert.equal(exit, 0);
    const books = json.orgs.find((one) => one.org === tenant.org);
    assert.equal(books.accounts_with_tail_nanos.usage, load.served.length * PRICE);
});

test('F31_F7_an_edge_that_dies_leaves_holds_that_open_nothing', async () => {
    const tenant = await Tenant.create(cluster, 'orphans', { deposit: dollars(2 * PRICE) });
    const key = await tenant.key('k');
    const { in_flight } = await mockStats(cluster);
    const hanging = post(cluster.edgeUrl(1), key.api_key, chat('flat', { metadata: { mock_hang: '1' } }));
    hanging.catch(() => {});
    await until('the call at the provider', async () => (await mockStats(cluster)).in_flight === in_flight + 1);
    await cluster.edges.get(1).kill();
    cluster.edges.delete(1);
    await assert.rejects(hanging);
    // Its money stays held until the ledger's clock says otherwise: it cannot be spent twice.
    const { held_nanos, available_nanos, open_holds } = await tenant.show();
    assert.deepEqual([held_nanos, available_nanos, open_holds], [PRICE, PRICE, 1]);
    assert.equal((await post(cluster.edgeUrl(2), key.api_key, chat('flat'))).status, 200);
    const refused = await post(cluster.edgeUrl(2), key.api_key, chat('flat'));
    assert.deepEqual([refused.status, JSON.parse(refused.body).error.code], [402, 'insufficient_credit']);
    await cluster.startEdge(1);
    await edgesReady(cluster);
    assert.equal((await post(cluster.edgeUrl(1), key.api_key, chat('flat'))).status, 402);
});

/** The files of a node's log, by size. */
const biggestFile = (dir) => readdirSync(dir, { recursive: true }).map((name) => join(dir, name))
    .filter((path) => statSync(path).isFile()).sort((a, b) => statSync(a).size - statSync(b).size).at(-1);

test('F43_F44_a_directory_that_is_not_the_nodes_own_is_refused_with_the_reason', async (t) => {
    const stranger = Cluster.make(t, { nodes: 1, edges: 1, providerUrl: cluster.providerUrl });
    await stranger.init();
    await stranger.startNode(1);
    await stranger.leader();
    await stranger.endNode(1);

    const leader = await cluster.leader();
    const victim = [1, 2, 3].find((n) => n !== leader);
    const config = join(cluster.dir, `node-${victim}.conf`);
    const own = cluster.dataDir(victim);
    await cluster.endNode(victim);
    const kept = join(temporary(t), 'kept');
    cpSync(own, kept, { recursive: true });
    const start = async (fill, ...args) => {
        rmSync(own, { recursive: true, force: true });
        fill();
        const end = await run(program('holdfast-ledger'), ['--config', config, ...args],
            { check: false, env: cluster.env });
        return { status: end.status, text: end.stdout + end.stderr };
    };

    const cases = {
        'another node\'s': [() => cpSync(cluster.dataDir(leader), own, { recursive: true }), /vote belongs to node \d, not to \d/],
        'another cluster\'s': [() => cpSync(stranger.dataDir(1), own, { recursive: true }),
            /vote belongs to cluster [0-9a-f-]{36}, not to [0-9a-f-]{36}/],
        'cut short': [() => {
            cpSync(kept, own, { recursive: true });
            const path = biggestFile(own);
            truncateSync(path, Math.floor(statSync(path).size / 2));
        }, /data\.mdb is cut short: damaged/],
        'other files': [() => {
            mkdirSync(own, { recursive: true });
            writeFileSync(join(own, 'readme.txt'), 'not a ledger');
        }, /is not a node's directory/],
        'missing': [() => {}, /is not a node's directory: .*init.*, a lost one filled by .*seed/],
    };
    for (const [what, [fill, reason]] of Object.entries(cases)) {
        const { status, text } = await start(fill);
        assert.equal(status, 3, `${what}: ${text}`);
        assert.match(text, reason);
    }
    // Even where an empty one may be made, one with something in it is not.
    const { status } = await start(cases['other files'][0], '--init-if-empty');
    assert.equal(status, 3);

    rmSync(own, { recursive: true, force: true });
    cpSync(kept, own, { recursive: true });
    await cluster.startNode(victim);
    await nodesAgree(cluster);
    assert.ok(readFileSync(join(cluster.dir, `node-${victim}.log`)).length > 0);
});

test('F31_all_programs_end_cleanly_when_told', async () => {
    for (const n of [1, 2]) {
        assert.deepEqual(await cluster.endEdge(n), { code: 0, signal: null });
    }
    for (const n of [1, 2, 3]) {
        assert.deepEqual(await cluster.endNode(n), { code: 0, signal: null });
    }
    for (const n of [1, 2, 3]) {
        const { status, json } = await cluster.replay(n);
        assert.equal(status, 0);
        assert.equal(json.drift_nanos, 0);
    }
});
