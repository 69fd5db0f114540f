// SPDX-License-Identifier: Apache-2.0
// Backup of a cluster at work, and its restore to a new one (F45): every balance, open hold and
// command id is there, and replay proves it. What damage does is tested in tests/unit.
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readFileSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Load } from './lib/load.mjs';
import { program, temporary } from './lib/place.mjs';
import { files } from './lib/programs.mjs';
import { run } from './lib/process.mjs';
import { until } from './lib/wait.mjs';
import { Tenant, chat, dollars, importPrices, post, priced } from './lib/tenant.mjs';

const PRICE = 1_500_000;
const place = temporary({ after });
const ledger = (command, cluster, n, ...args) => run(program('holdfast-ledger'),
    [command, '--config', join(cluster.dir, `node-${n}.conf`), '--json', ...args],
    { check: false, deadlineMs: 60_000 });
const orgs = (report) => new Map(report.orgs.map((one) => [one.org, one]));

const cluster = await Cluster.start({ after }, { nodes: 3, edges: 2 });
await importPrices(cluster, { flat: priced({ input_cost_per_request: dollars(PRICE) }) });
const acme = await Tenant.create(cluster, 'acme', { deposit: '40' });
const key = await acme.key('k');
const id = (await cluster.ctl('uuid')).uuid;
await acme.ctl('deposit', '--amount', '7', '--id', id, '--reference', 'payment-7');
await acme.budget('org', null, '30');
const hanging = post(cluster.edgeUrl(1), key.api_key, chat('flat', { metadata: { mock_hang: '1' } })).catch(() => null);
await until('an open hold', async () => (await acme.show()).open_holds === 1);
const load = new Load(cluster, [{ apiKey: key.api_key, clients: 4 }]);
await load.servedMore(50);

after(() => load.stop());

let taken;
const renewed = new Cluster(join(place, 'renewed'), { nodes: 3, edges: 1, providerUrl: cluster.providerUrl });
after(() => renewed.stop());

test('F45_a_backup_is_taken_while_calls_are_served', async () => {
    const { applied_index: seen } = (await cluster.ctl('status')).nodes[1];
    const before = load.served.length;
    let tries = 0;
    taken = await until('a backup from behind what was seen', async () => {
        const to = join(place, `backup-${++tries}`);
        const answer = await ledger('backup', cluster, 2, '--to', to);
        assert.equal(answer.status, 0, answer.stderr);
        return answer.json.index >= seen && { ...answer.json, to };
    });
    assert.equal(taken.result, 'done');
    assert.equal(taken.log_first, 1);
    await load.servedMore(30);
    assert.ok(load.served.length > before);
    assert.deepEqual(Object.keys(load.answers()), ['200']);
    const again = await ledger('backup', cluster, 2, '--to', taken.to);
    assert.equal(again.status, 2); // it is there: nothing is overwritten
    assert.match(again.stderr, /exists/);
    const nowhere = await ledger('backup', cluster, 2, '--to', join(place, 'none', 'backup'));
    assert.equal(nowhere.status, 2);
    assert.match(nowhere.json.cause, /No such file or directory/);
});

test('F45_the_backup_is_restored_to_a_new_cluster_of_three', async () => {
    await load.stop();
    await renewed.init();
    copyFileSync(join(cluster.dir, files.operatorToken), join(renewed.dir, files.operatorToken));
    for (const n of [1, 2, 3]) {
        const answer = await ledger('restore', renewed, n, '--from', taken.to);
        assert.equal(answer.status, 0, answer.stderr);
        assert.equal(answer.json.index, taken.index);
        renewed.started.add(n);
    }
    const full = await ledger('restore', renewed, 1, '--from', taken.to);
    assert.equal(full.status, 3);
    assert.match(full.stderr, /not empty/);
});

test('F45_F44_replay_proves_what_was_restored_and_it_is_what_the_live_ledger_had', async () => {
    const live = await cluster.replay(1, '--at', taken.time);
    assert.equal(live.status, 0, live.stderr);
    for (const n of [1, 2, 3]) {
        const { status, json, stderr } = await renewed.replay(n, '--expect-head', taken.head);
        assert.equal(status, 0, stderr);
        assert.equal(json.result, 'proven');
        assert.equal(json.applied.index, taken.index + 1); // behind it the new configuration
        assert.equal(json.drift_nanos, 0);
        assert.equal(json.open_holds >= 1, true);
        for (const [org, books] of orgs(live.json)) {
            const restored = orgs(json).get(org);
            assert.deepEqual(restored.accounts_nanos, books.accounts_nanos);
            assert.equal(restored.transactions, books.transactions);
        }
    }
});

test('F45_the_new_cluster_goes_on_where_the_old_one_stood', async () => {
    await renewed.startAll();
    await renewed.edges.get(1).waitHttp(`${renewed.edgeUrl(1)}/readyz`);
    const heir = new Tenant(renewed, acme.org);
    const before = await heir.show();
    assert.ok(before.open_holds >= 1 && before.held_nanos >= PRICE, 'holds are open still');

    const repeated = await heir.ctl('deposit', '--amount', '7', '--id', id, '--reference', 'payment-7');
    assert.equal(repeated.duplicate, true); // its command id is known
    const again = await heir.tryCtl('deposit', '--amount', '7', '--reference', 'payment-7');
    assert.match(again.stderr + again.stdout, /REFERENCE_USED/);

    const call = await renewed.openai(1, key.api_key).chat.completions.create(chat('flat')).withResponse();
    assert.equal(call.response.status, 200);
    const end = await heir.show();
    assert.equal(end.balance_nanos, before.balance_nanos - PRICE);
    assert.equal(end.open_holds, before.open_holds);
    for (const n of [1, 2, 3]) {
        await renewed.endNode(n);
    }
    for (const n of [1, 2, 3]) {
        const { status, json, stderr } = await renewed.replay(n, '--expect-head', taken.head);
        assert.equal(status, 0, stderr);
        assert.equal(json.result, 'proven');
    }
});

test('F45_nodes_of_the_old_cluster_are_strangers_to_the_new_one', async () => {
    const uuid = (dir) => /uuid *= *(\S+)/.exec(readFileSync(join(dir, 'cluster.conf'), 'utf8'))[1];
    assert.notEqual(uuid(cluster.dir), uuid(renewed.dir));
    const other = new Cluster(join(place, 'other'), { nodes: 1, edges: 1, providerUrl: cluster.providerUrl });
    await other.init();
    const parts = readdirSync(taken.to, { recursive: true }).map((name) => join(taken.to, name))
        .filter((path) => statSync(path).isFile() && !path.endsWith('MANIFEST'));
    assert.ok(parts.length >= 2);
    for (const part of parts) { // a bit of each file: refused, and nothing is left in the way of another try
        const sound = readFileSync(part);
        const spoilt = Buffer.from(sound);
        spoilt[spoilt.length >> 1] ^= 1;
        writeFileSync(part, spoilt);
        const { status } = await ledger('restore', other, 1, '--from', taken.to);
        assert.equal(status, 3, part);
        assert.deepEqual(existsSync(other.dataDir(1)) ? readdirSync(other.dataDir(1)) : [], [], part);
        writeFileSync(part, sound);
    }
    truncateSync(join(taken.to, 'MANIFEST'), 100);
    const damaged = await ledger('restore', other, 1, '--from', taken.to);
    assert.equal(damaged.status, 3);
    assert.equal(damaged.json.result, 'failed');
    assert.equal(existsSync(join(other.dataDir(1), 'vote')), false);
    const edge = cluster.edges.get(1); // its hanging call would hold it back
    cluster.edges.delete(1);
    await edge.kill();
    await hanging;
});
