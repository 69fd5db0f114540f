// SPDX-License-Identifier: Apache-2.0
// The log's archive and its trimming (F45) on a cluster under load: what is trimmed stands in the
// archive, replay reads both as one log, trimmed nodes start again and go on, backups of them restore.
import assert from 'node:assert/strict';
import { appendFileSync, copyFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { program, temporary } from './lib/place.mjs';
import { files } from './lib/programs.mjs';
import { run } from './lib/process.mjs';
import { until } from './lib/wait.mjs';
import { nodesAgree } from './lib/tenant.mjs';

const numbers = [1, 2, 3];
const place = temporary({ after });
const cluster = Cluster.make({ after }, { nodes: 3, edges: 0 });
const archive = (n) => join(cluster.dir, `archive-${n}`);
const names = (dir, suffix) => readdirSync(dir).filter((name) => name.endsWith(suffix) && /^\d{20}/.test(name)).sort();
const begins = (n) => Number(names(join(cluster.dataDir(n), 'log'), '').filter((name) => name.length === 20)[0]);
const ledger = (command, of, n, ...args) => run(program('holdfast-ledger'),
    [command, '--config', join(of.dir, `node-${n}.conf`), '--json', ...args], { check: false, deadlineMs: 60_000 });
const bench = (seconds) => run(program('holdfast-bench'), ['ledger', '--config', join(cluster.dir, 'ctl.conf'),
    '--clients', '64', '--seconds', String(seconds), '--warmup', '0', '--json'], { deadlineMs: 60_000 });

await cluster.init();
for (const n of numbers) {
    appendFileSync(join(cluster.dir, `node-${n}.conf`),
        `\n[limits]\nsegment_mb = 1\n[log]\narchive = archive-${n}\nkeep_mb = 2\n`);
}
await cluster.startAll();

/** Until every node has trimmed past `from`. */
const trimmed = (from) => until('the logs to be trimmed', async () => {
    await bench(1); // markers come with entries
    return numbers.every((n) => begins(n) > from);
}, { deadlineMs: 90_000 });

test('F45_logs_are_archived_and_trimmed_under_load', async () => {
    await bench(3);
    await trimmed(1);
    for (const n of numbers) {
        assert.ok(names(archive(n), '.hflog').length > 0);
    }
    const { quorum, nodes } = await nodesAgree(cluster);
    assert.ok(quorum && nodes.every((node) => node.reachable));
});

test('F45_F44_replay_reads_node_and_archive_as_one_log', async () => {
    await nodesAgree(cluster);
    const heads = [];
    for (const n of numbers) {
        const alone = await cluster.replay(n);
        assert.equal(alone.status, 2);
        assert.match(alone.stdout, /--archive/);
        const { status, json, stderr } = await cluster.replay(n, '--archive', archive(n));
        assert.equal(status, 0, stderr);
        assert.equal(json.result, 'consistent');
        assert.equal(json.drift_nanos, 0);
        heads.push(`${json.applied.index}:${json.applied.chain}`);
    }
    const other = await cluster.replay(2, '--archive', archive(2), '--expect-head', heads[0]);
    assert.equal(other.status, 0, other.stderr); // one history on all nodes
    assert.equal(other.json.result, 'proven');
});

test('F45_F43_a_trimmed_node_starts_again_and_catches_up', async () => {
    const first = begins(3);
    assert.ok(first > 1);
    await cluster.killNode(3);
    await bench(1);
    await cluster.startNode(3);
    await nodesAgree(cluster);
    await trimmed(first);
    const { status, stderr } = await cluster.replay(3, '--archive', archive(3));
    assert.equal(status, 0, stderr);
});

test('F43_a_node_that_lost_its_disk_is_seeded_where_no_log_reaches_back', async () => {
    const lost = 1 + (await cluster.leader()) % 3;
    await cluster.killNode(lost);
    rmSync(cluster.dataDir(lost), { recursive: true });
    const answer = await ledger('seed', cluster, lost);
    assert.equal(answer.status, 0, answer.stderr);
    assert.equal(answer.json.witnesses, 1);
    await cluster.startNode(lost);
    await bench(1);
    await nodesAgree(cluster);
    const [other] = numbers.filter((n) => n !== lost);
    await until('an archive that reaches to the copy', async () => {
        await bench(1);
        return (await cluster.replay(lost, '--archive', archive(other))).status === 0;
    }, { deadlineMs: 60_000 });
});

test('F43_a_node_joins_by_seeding_where_no_log_reaches_back', async () => {
    const gone = 1 + (await cluster.leader()) % 3;
    await cluster.killNode(gone);
    await cluster.ctl('cluster', 'remove', '--node', String(gone), '--timeout', '60');
    rmSync(cluster.dataDir(gone), { recursive: true });
    const answer = await ledger('seed', cluster, gone);
    assert.equal(answer.status, 0, answer.stderr);
    await cluster.startNode(gone);
    await cluster.ctl('cluster', 'add', '--node', String(gone), '--timeout', '60');
    await bench(1);
    const { nodes } = await nodesAgree(cluster);
    assert.equal(nodes.length, 3);
    const { members } = await cluster.ctl('cluster', 'status');
    assert.deepEqual(members.map((one) => one.id).sort(), numbers);
    assert.ok(members.every((one) => one.role === 'voter' || one.role === 'leader'));
});

test('F45_a_backup_of_a_trimmed_node_and_its_archive_are_the_whole_history', async () => {
    const to = join(place, 'backup');
    const taken = await ledger('backup', cluster, 1, '--to', to);
    assert.equal(taken.status, 0, taken.stderr);
    assert.ok(taken.json.log_first > 1);
    const renewed = new Cluster(join(place, 'renewed'), { nodes: 3, edges: 0, providerUrl: cluster.providerUrl });
    after(() => renewed.stop());
    await renewed.init();
    copyFileSync(join(cluster.dir, files.operatorToken), join(renewed.dir, files.operatorToken));
    for (const n of numbers) {
        const answer = await ledger('restore', renewed, n, '--from', to);
        assert.equal(answer.status, 0, answer.stderr);
        renewed.started.add(n);
    }
    await renewed.startAll();
    await nodesAgree(renewed);
    await renewed.ctl('org', 'create', '--name', 'later');
    await nodesAgree(renewed);
    await Promise.all(numbers.map((n) => renewed.endNode(n)));
    const { status, json, stderr } = await renewed.replay(2, '--archive', archive(1),
        '--expect-head', `${taken.json.index}:${taken.json.chain}`);
    assert.equal(status, 0, stderr);
    assert.equal(json.result, 'proven');
    assert.ok(json.orgs.some((org) => org.name === 'later'));
});
