// SPDX-License-Identifier: Apache-2.0
// holdfast-replay on the directories of a cluster that has worked: live, copied, damaged. What each
// kind of damage does, byte by byte, is tested in tests/replay.
import assert from 'node:assert/strict';
import { cpSync, readFileSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Load } from './lib/load.mjs';
import { program, temporary } from './lib/place.mjs';
import { run } from './lib/process.mjs';
import { until } from './lib/wait.mjs';
import {
    Tenant, chat, dollars, importPrices, nanos, nodesAgree, priced, readLog, readTransfers, settlements,
} from './lib/tenant.mjs';

const PRICE = 1_500_000;
const cluster = await Cluster.start({ after }, { nodes: 3, edges: 2 });
await importPrices(cluster, { flat: priced({ input_cost_per_request: dollars(PRICE) }) });
const acme = await Tenant.create(cluster, 'acme', { deposit: '3' });
const other = await Tenant.create(cluster, 'other', { deposit: '500' });
await other.ctl('grant', '--amount', '0.5');
const keys = { acme: await acme.key('k'), other: await other.key('k') };
const half = (await cluster.openai(1, keys.acme.api_key).chat.completions.create(chat('flat')).withResponse())
    .response.headers.get('x-holdfast-receipt');
const load = new Load(cluster, [
    { apiKey: keys.acme.api_key, clients: 2 },
    { apiKey: keys.other.api_key, clients: 2 },
]);
await load.servedMore(60);
await load.stop();
const served = (key) => load.served.filter((record) => record.apiKey === key.api_key).length;
const spent = { acme: (1 + served(keys.acme)) * PRICE, other: served(keys.other) * PRICE };

const replay = (dir, ...args) => run(program('holdfast-replay'), ['--data', dir, '--json', ...args],
    { check: false, deadlineMs: 60_000 });

test('F44_F4_live_directories_are_proven_on_all_nodes_against_one_head', async () => {
    await Promise.all([acme.quiet(), other.quiet()]);
    await nodesAgree(cluster);
    const first = await cluster.replay(1);
    assert.equal(first.status, 0, first.stderr);
    assert.equal(first.json.result, 'consistent'); // a head kept elsewhere makes it "proven"
    const { index, chain } = first.json.last;
    for (const n of [1, 2, 3]) {
        const { status, json, stderr } = await cluster.replay(n, '--expect-head', `${index}:${chain}`);
        assert.equal(status, 0, stderr);
        assert.equal(json.result, 'proven');
        assert.equal(json.drift_nanos, 0);
        assert.equal(json.orgs.length, 2);
        for (const [org, money, left] of [[acme.org, spent.acme, nanos('3')], [other.org, spent.other, nanos('500.5')]]) {
            const books = json.orgs.find((one) => one.org === org);
            assert.equal(books.accounts_with_tail_nanos.usage, money);
            assert.equal(books.drift_nanos, 0);
            assert.equal(books.sum_nanos, books.balance_nanos);
            assert.equal(books.sum_of_accounts_nanos, 0);
            const { available, promo, held, usage } = books.accounts_with_tail_nanos;
            assert.equal(available + promo + held + usage, left);
        }
    }
    const wrong = await cluster.replay(2, '--expect-head', `${index}:${'1'.repeat(64)}`);
    assert.equal(wrong.status, 1);
});

test('F44_replay_beside_a_node_that_is_writing', async () => {
    const busy = new Load(cluster, [{ apiKey: keys.other.api_key, clients: 4 }]);
    await busy.servedMore(5);
    for (let i = 0; i < 5; i++) {
        for (const n of [1, 2, 3]) {
            const { status, json, stderr } = await cluster.replay(n);
            assert.equal(status, 0, stderr);
            assert.equal(json.drift_nanos, 0);
        }
    }
    const before = busy.served.length;
    await busy.servedMore(5);
    await busy.stop();
    assert.ok(before > 5, 'replay and traffic at the same time');
    assert.deepEqual(busy.answers(), { 200: busy.records.length });
    spent.other += busy.served.length * PRICE;
    await other.quiet();
});

test('F44_F36_one_org_alone_and_a_moment_in_the_past', async () => {
    const { json } = await cluster.replay(1, '--org', acme.org);
    assert.deepEqual(json.orgs.map((one) => one.org), [acme.org]);

    const { transfers } = await readTransfers(cluster, 1, '--org', acme.org);
    assert.ok(transfers.every((one) => one.org === acme.org));
    const total = transfers.filter((one) => one.kind === 'cost').reduce((sum, one) => sum + one.amount_nanos, 0);
    assert.equal(total, spent.acme);

    // Just after the first call was settled: one call spent, the deposit there.
    const log = await readLog(cluster, 1);
    const [index] = half.split(':');
    const line = log.commands.find((one) => one.index === Number(index));
    const { status, json: past } = await cluster.replay(1, '--at', line.time);
    assert.equal(status, 0);
    const books = past.orgs.find((one) => one.org === acme.org);
    assert.equal(books.accounts_nanos.usage, PRICE);
    assert.equal(books.balance_nanos, nanos('3') - PRICE);
    assert.equal(books.drift_nanos, 0);
    // Before there was anything.
    const nothing = await cluster.replay(1, '--at', '2020-01-01T00:00:00Z');
    assert.equal(nothing.status, 0);
    assert.ok(nothing.json.orgs.every((one) => one.balance_nanos === 0 && one.transactions === 0));
});

/** Every file below a folder, biggest first. */
function filesOf(dir) {
    return readdirSync(dir, { recursive: true }).map((name) => join(dir, name))
        .filter((path) => statSync(path).isFile()).sort((a, b) => statSync(b).size - statSync(a).size);
}

/** Flips a bit of every occurrence of some bytes in the files of a folder; says how many. */
function flip(dir, bytes) {
    let flipped = 0;
    for (const path of filesOf(dir)) {
        const content = readFileSync(path);
        let at = content.indexOf(bytes);
        const found = at >= 0;
        for (; at >= 0; at = content.indexOf(bytes, at + 1)) {
            content[at + bytes.length - 1] ^= 1;
            flipped++;
        }
        if (found) {
            writeFileSync(path, content);
        }
    }
    return flipped;
}

test('F44_a_copy_is_proven_and_a_damaged_copy_is_not', async (t) => {
    await nodesAgree(cluster);
    const { json: live } = await cluster.replay(3);
    const leader = await cluster.leader();
    const follower = [1, 2, 3].find((n) => n !== leader);
    await cluster.endNode(follower);
    const place = temporary(t);
    let copies = 0;
    const copy = () => {
        const dir = join(place, `copy-${++copies}`);
        cpSync(cluster.dataDir(follower), dir, { recursive: true });
        return dir;
    };
    const sound = copy();
    await cluster.startNode(follower);

    const whole = await replay(sound, '--copy', '--expect-head', `${live.last.index}:${live.last.chain}`);
    assert.equal(whole.status, 0, whole.stderr);
    assert.equal(whole.json.result, 'proven');

    const another = (source = sound) => {
        const dir = join(place, `copy-${++copies}`);
        cpSync(source, dir, { recursive: true });
        return dir;
    };
    // The hold of a settled call, wherever it stands: in the log and in the state.
    const hold = settlements(await readLog(cluster, leader)).keys().next().value;
    const bytes = Buffer.from(hold.replaceAll('-', ''), 'hex');
    const forged = another();
    assert.ok(flip(forged, bytes) > 0);
    const found = await replay(forged);
    assert.equal(found.status, 1, found.stdout);
    assert.equal(found.json.result, 'mismatch');
    assert.ok(found.json.first_bad > 0 && found.json.cause);

    // The name of an org: in the log's org_create and in the state's record.
    const renamed = another();
    assert.ok(flip(renamed, Buffer.from('other')) > 0);
    assert.equal((await replay(renamed)).status, 1);

    // A file cut short, or gone.
    const cut = another();
    const [biggest] = filesOf(cut);
    truncateSync(biggest, Math.floor(statSync(biggest).size / 2));
    assert.equal((await replay(cut)).status, 1);
    const empty = await replay(join(place, 'nothing'));
    assert.equal(empty.status, 2);
    await until('the node to be back', async () => (await cluster.ctl('status')).nodes.every((one) => one.reachable));
});
