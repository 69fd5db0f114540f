// SPDX-License-Identifier: Apache-2.0
// F43, F45: the power goes in the middle of a backup, a restore, a seeding, a making of a data directory
// or a trimming: in the N-th of its calls that change a file, for N from the first to the last. What is
// left is sound, or refused with the reason; and what that reason asks for makes a repetition succeed.
import assert from 'node:assert/strict';
import { existsSync, appendFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { Cluster } from '../e2e/lib/cluster.mjs';
import { program, temporary } from '../e2e/lib/place.mjs';
import { Program, run } from '../e2e/lib/process.mjs';
import { nodesAgree } from '../e2e/lib/tenant.mjs';
import { until, within } from '../e2e/lib/wait.mjs';

const POINTS = process.env.HOLDFAST_CHAOS_HOURS ? 1000 : 8; // of each kind at most, spread over all calls
const skip = (() => {
    try {
        return program('holdfast-shim.so') ? false : 'no shim';
    } catch {
        return 'holdfast-shim.so is not built';
    }
})();
const nodes = [1, 2, 3];
const place = temporary({ after });
const dying = new Map(); // node -> names:N
const cluster = Cluster.make({ after }, { nodes: 3, edges: 0,
    launch: (n) => (dying.has(n) ? { env: { LD_PRELOAD: program('holdfast-shim.so'), HOLDFAST_SHIM_DIE: dying.get(n) } } : {}) });
const archive = (n) => join(cluster.dir, `archive-${n}`);
if (!skip) {
    await cluster.init();
    for (const n of nodes) {
        appendFileSync(join(cluster.dir, `node-${n}.conf`),
            `\n[limits]\nsegment_mb = 1\n[log]\narchive = archive-${n}\nkeep_mb = 2\n`);
    }
    await cluster.startAll();
    await work(2);
}

function work(seconds) {
    return run(program('holdfast-bench'), ['ledger', '--config', join(cluster.dir, 'ctl.conf'), '--clients', '32',
        '--seconds', String(seconds), '--warmup', '0', '--timeout', '30000', '--json'], { deadlineMs: 90_000 });
}

/** A command of holdfast-ledger; at: the call that it dies in, 0: none. {status, signal, said, calls}. */
async function ledger(at, ...args) {
    const child = new Program(program('holdfast-ledger'), args, { name: args[0],
        env: at === null ? {} : { LD_PRELOAD: program('holdfast-shim.so'), HOLDFAST_SHIM_DIE: `disk:${at}` } });
    const { code, signal } = await within(`${args.join(' ')} to end`, child.exited, 60_000);
    const said = child.story(1000);
    return { status: code, signal, said, calls: Number(/shim: (\d+) calls/.exec(said)?.[1] ?? 0) };
}

/** So many of 1 .. last, the first and the last among them. */
function points(last) {
    const n = Math.min(POINTS, last);
    return [...new Set(Array.from({ length: n }, (_, i) => 1 + Math.round(i * (last - 1) / Math.max(n - 1, 1))))];
}

const refused = (answer, reason, status = 3) => {
    assert.equal(answer.status, status, answer.said);
    assert.match(answer.said, reason);
};
const config = (n, of = cluster) => ['--config', join(of.dir, `node-${n}.conf`)];
const whole = async (answer) => assert.equal((await answer).status, 0, (await answer).said);
const powerCut = async () => {
    const there = [...cluster.nodes.keys()];
    await Promise.all(there.map((n) => cluster.killNode(n)));
    await Promise.all(there.map((n) => cluster.startNode(n)));
    await cluster.leader();
};
const clear = (dir) => rmSync(dir, { recursive: true, force: true });

const backup = join(place, 'backup');
const renewed = new Cluster(join(place, 'renewed'), { nodes: 3, edges: 0, providerUrl: 'http://127.0.0.1:1/v1' });

test('F45_a_backup_that_is_interrupted_is_none_and_can_be_taken_again', { skip, timeout: 240_000 }, async (t) => {
    const { calls, status, said } = await ledger(0, 'backup', ...config(2), '--to', join(place, 'counted'));
    assert.equal(status, 0, said);
    const count = { refused: 0, whole: 0 };
    for (const at of points(calls)) {
        const to = join(place, `backup-${at}`);
        const answer = await ledger(at, 'backup', ...config(2), '--to', to);
        if (answer.signal === null) {
            break; // there was less to do this time
        }
        if (at === points(calls)[4]) {
            await powerCut();
        }
        const again = await ledger(null, 'backup', ...config(2), '--to', to);
        if (existsSync(`${to}.partial`)) {
            refused(again, /left of a backup that was interrupted/, 2);
            clear(`${to}.partial`);
            await whole(ledger(null, 'backup', ...config(2), '--to', to));
            count.refused++;
        } else {
            count.whole += again.status === 0 || /exists/.test(again.said) ? 1 : 0;
        }
        assert.ok(existsSync(join(to, 'MANIFEST')), again.said);
        await whole(ledger(null, 'archive', '--from', join(to, 'log')));
    }
    t.diagnostic(`${calls} calls; ${JSON.stringify(count)}`);
    assert.ok(count.refused > 0);
    await whole(ledger(null, 'backup', ...config(2), '--to', backup));
    await nodesAgree(cluster);
});

test('F45_a_restore_that_is_interrupted_gives_no_node_and_can_be_repeated', { skip, timeout: 240_000 }, async (t) => {
    await renewed.init();
    const restore = (at) => ledger(at, 'restore', ...config(1, renewed), '--from', backup);
    const { calls, status, said } = await restore(0);
    assert.equal(status, 0, said);
    const data = renewed.dataDir(1);
    const count = { refused: 0, whole: 0 };
    for (const at of points(calls)) {
        clear(data);
        const answer = await restore(at);
        assert.equal(answer.signal, 'SIGKILL', answer.said);
        const left = existsSync(data) ? readdirSync(data) : [];
        const again = await restore(null);
        if (left.length === 0) {
            assert.equal(again.status, 0, again.said);
        } else {
            refused(again, /not empty/);
        }
        if (left.includes('vote')) { // the last that is made: all is there
            await run(program('holdfast-replay'), ['--data', data, '--json', '--archive', join(backup, 'log')]);
            count.whole++;
        } else if (left.length > 0) {
            refused(await ledger(null, ...config(1, renewed)), /"cause":/); // no node starts on it
            count.refused++;
        }
    }
    t.diagnostic(`${calls} calls; ${JSON.stringify(count)}`);
    assert.ok(count.refused > 0);
    clear(data);
    await whole(restore(null));
});

test('F43_a_seeding_that_is_interrupted_gives_no_node_and_goes_on', { skip, timeout: 240_000 }, async (t) => {
    const lost = 1 + (await cluster.leader()) % 3;
    const data = cluster.dataDir(lost);
    await cluster.killNode(lost);
    clear(data);
    const { calls, status, said } = await ledger(0, 'seed', ...config(lost));
    assert.equal(status, 0, said);
    const count = { whole: 0, went_on: 0 };
    for (const at of points(calls)) {
        clear(data);
        const answer = await ledger(at, 'seed', ...config(lost));
        if (answer.signal === null) {
            break;
        }
        if (at === points(calls)[4]) {
            await powerCut(); // of the others too: whose copy it was knows nothing of it
        }
        if (existsSync(join(data, 'vote'))) {
            count.whole++;
        } else {
            refused(await ledger(null, ...config(lost)), /"cause":/);
            await whole(ledger(null, 'seed', ...config(lost)));
            count.went_on++;
        }
        await cluster.startNode(lost);
        await nodesAgree(cluster);
        await cluster.killNode(lost);
    }
    t.diagnostic(`${calls} calls; ${JSON.stringify(count)}`);
    assert.ok(count.went_on > 0);
    await cluster.startNode(lost);
    await nodesAgree(cluster);
});

test('F43_a_data_directory_whose_making_is_interrupted_is_refused', { skip }, async (t) => {
    const init = (at) => ledger(at, 'init', ...config(2, renewed));
    const data = renewed.dataDir(2);
    const { calls, status, said } = await init(0);
    assert.equal(status, 0, said);
    for (const at of points(calls)) {
        clear(data);
        assert.equal((await init(at)).signal, 'SIGKILL');
        if (!existsSync(join(data, 'vote'))) {
            refused(await ledger(null, ...config(2, renewed)), /"cause":/);
        }
        clear(data);
        await whole(init(null));
    }
    t.diagnostic(`${calls} calls`);
});

test('F45_nodes_that_die_in_the_middle_of_archiving_and_trimming_go_on', { skip, timeout: 240_000 }, async (t) => {
    const n = 1 + (await cluster.leader()) % 3;
    let deaths = 0;
    for (let at = 1; at <= Math.min(POINTS, 7); at++) {
        await cluster.endNode(n);
        dying.set(n, `names:${at}`);
        await cluster.startNode(n).catch(() => {}); // it may die in its start
        const node = cluster.nodes.get(n);
        await until('it to die, or to trim what there is', async () => {
            await work(1);
            return node === undefined || node.exit !== null;
        }, { deadlineMs: 8000 }).catch(() => {});
        dying.delete(n);
        deaths += node === undefined || node.exit !== null ? 1 : 0;
        if (at === 4) {
            await Promise.all([...cluster.nodes].filter(([, one]) => one.exit === null).map(([one]) => cluster.killNode(one)));
            cluster.nodes.clear();
            await Promise.all(nodes.map((one) => cluster.startNode(one)));
        } else if (node === undefined || node.exit !== null) {
            cluster.nodes.delete(n);
            await cluster.startNode(n);
        }
        await nodesAgree(cluster);
    }
    t.diagnostic(`${deaths} deaths`);
    assert.ok(deaths > 3);
    const [other] = nodes.filter((one) => one !== n); // its own may have a gap where it was seeded
    let last;
    await until('an archive to reach the log', async () => {
        await work(1);
        last = await cluster.replay(n, '--archive', archive(other));
        return last.status === 0;
    }, { deadlineMs: 30_000 }).catch((error) => { throw new Error(`${error.message}\n${last.stderr}`); });
    for (const one of nodes) { // each seals its first segment in its own time; what is damaged is never whole
        let answer;
        await until(`node ${one} to have a whole archive`, async () => {
            await work(1);
            answer = await ledger(null, 'archive', '--from', archive(one));
            return answer.status === 0;
        }, { deadlineMs: 30_000 }).catch((error) => { throw new Error(`${error.message}\n${answer?.said}`); });
    }
});
