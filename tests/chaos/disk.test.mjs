// SPDX-License-Identifier: Apache-2.0
// Disks that fail, fill up and lie, and clocks that step, under one node of a cluster under load: the
// node ends with its reason or goes on rightly; the cluster serves on; nothing acknowledged is lost.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { Cluster } from '../e2e/lib/cluster.mjs';
import { Load } from '../e2e/lib/load.mjs';
import { Tenant, importPrices, nodesAgree, priced } from '../e2e/lib/tenant.mjs';
import { program, temporary } from '../e2e/lib/place.mjs';
import { until, within } from '../e2e/lib/wait.mjs';
import { ERRNO, Shim } from './lib/shim.mjs';
import { nothingIsLost } from './lib/verdict.mjs';

const noShim = (() => {
    try {
        return program('holdfast-shim.so') ? false : 'no shim';
    } catch {
        return 'holdfast-shim.so is not built';
    }
})();
const shims = new Map();
const folder = temporary(undefined, 'holdfast-chaos-');
const shimOf = (n) => {
    if (!shims.has(n)) {
        shims.set(n, new Shim(folder, `node-${n}`));
    }
    return shims.get(n);
};
const cluster = await Cluster.start({ after }, {
    nodes: 3, edges: 2, launch: (n) => (noShim ? {} : { env: shimOf(n).env }),
});
await importPrices(cluster, { flat: priced({ input_cost_per_request: '0.001' }) });

/** Load beside `what`; afterwards every node's log is held against what the clients were told. */
async function underLoad(t, name, what) {
    const tenant = await Tenant.create(cluster, name, { deposit: '10000' });
    const key = await tenant.key('k');
    const load = new Load(cluster, [{ apiKey: key.api_key, clients: 3 }]);
    await load.servedMore(10);
    try {
        await what(load);
        await load.servedMore(10);
    } finally {
        await load.stop();
    }
    await nothingIsLost(t, cluster, tenant, load, { earlier: true });
}

/** The node ends by itself, with this exit code, saying why. Returns its last words. */
async function endsItself(n, code) {
    const node = cluster.nodes.get(n);
    const exit = await within(`node ${n} to end`, node.exited);
    cluster.nodes.delete(n);
    assert.equal(exit.code, code, node.story());
    return node.lines.join('\n');
}

for (const who of ['leader', 'follower']) {
    test(`F43_F51_a_${who}_whose_disk_fails_ends_and_nothing_is_lost`, { skip: noShim }, async (t) => {
        for (const [name, fail] of [
            ['sync', (shim) => shim.syncFails(ERRNO.EIO)],
            ['write', (shim) => shim.writeFails(ERRNO.EIO)],
            ['full', (shim) => shim.writeFails(ERRNO.ENOSPC)],
        ]) {
            await underLoad(t, `${who}-${name}`, async (load) => {
                const leader = await cluster.leader();
                const n = who === 'leader' ? leader : [1, 2, 3].find((one) => one !== leader);
                fail(shimOf(n));
                const words = await endsItself(n, 1);
                assert.match(words, name === 'full' ? /No space left/ : /Input\/output error/);
                await load.servedMore(10); // by the other two
                shimOf(n).mend();
                await cluster.startNode(n);
            });
        }
    });
}

test('F43_F51_the_leaders_clock_steps_back_and_forth', { skip: noShim }, async (t) => {
    await underLoad(t, 'clock', async (load) => {
        for (const ms of [-60_000, 60_000, -3_600_000, 86_400_000, 0]) {
            // One wrong clock at a time: that is what a median of three can tell.
            const shim = shimOf(await cluster.leader());
            shim.clock(ms);
            await load.servedMore(20);
            shim.clock(0);
        }
        shims.forEach((shim) => shim.mend());
        const { nodes } = await cluster.ctl('status');
        assert.ok(nodes.every((node) => node.reachable));
    });
});

test('F43_F44_damaged_files_are_refused_with_their_reason', async (t) => {
    const n = 3;
    const dir = cluster.dataDir(n);
    const parts = [];
    for (const part of ['vote', 'log', 'state']) {
        for (const name of ['data.mdb']) {
            if (existsSync(join(dir, part, name))) {
                parts.push(join(dir, part, name));
            }
        }
    }
    const segments = spawnSync('find', [join(dir, 'log'), '-name', 'data.mdb'], { encoding: 'utf8' });
    const files = [...new Set([...parts, ...segments.stdout.trim().split('\n')])].filter(Boolean);
    assert.ok(files.length >= 3, files.join(' '));
    const config = join(cluster.dir, `node-${n}.conf`);
    for (const file of files) {
        for (const [name, damage] of [
            ['cut in half', () => truncateSync(file, Math.floor(statSync(file).size / 2 / 4096) * 4096)],
            ['emptied', () => truncateSync(file, 0)],
            ['overwritten', () => overwrite(file)],
        ]) {
            await cluster.killNode(n);
            const kept = `${dir}.kept`;
            assert.equal(spawnSync('cp', ['-a', dir, kept]).status, 0);
            damage();
            const started = spawnSync(program('holdfast-ledger'), ['--config', config],
                { encoding: 'utf8', timeout: 20_000, env: { ...process.env, ...cluster.env } });
            assert.equal(spawnSync('rm', ['-r', dir]).status, 0);
            assert.equal(spawnSync('mv', [kept, dir]).status, 0);
            await cluster.startNode(n);
            const said = `${started.stdout}${started.stderr}`;
            const story = `${file} ${name}: status ${started.status} ${started.signal}\n${said}`;
            assert.equal(started.status, 3, story);
            const cause = /"cause":"([^"]*)"/.exec(said)?.[1] ?? '';
            assert.match(cause, /damaged|empty|cut|not a whole|parts of different/, story);
            t.diagnostic(`${file.slice(dir.length + 1)} ${name}: ${cause.replaceAll(dir, '')}`);
        }
    }
    await nodesAgree(cluster, { deadlineMs: 60_000 });
});

/** 0xff over every second page from the third on. */
function overwrite(file) {
    const fd = openSync(file, 'r+');
    const page = Buffer.alloc(4096, 0xff);
    for (let at = 2 * 4096; at + 4096 <= statSync(file).size; at += 2 * 4096) {
        writeSync(fd, page, 0, 4096, at);
    }
    closeSync(fd);
}

test('F43_F51_a_full_file_system_ends_one_node_only', async (t) => {
    const n = 2;
    const dir = cluster.dataDir(n);
    const copy = `${dir}.whole`;
    await cluster.killNode(n);
    const used = Number(spawnSync('du', ['-sk', dir], { encoding: 'utf8' }).stdout.split('\t')[0]);
    assert.equal(spawnSync('mv', [dir, copy]).status, 0);
    mkdirSync(dir, { mode: 0o700 });
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${used + 2048}k`, 'none', dir], { encoding: 'utf8' });
    const back = () => {
        spawnSync('umount', [dir]);
        spawnSync('rm', ['-r', dir]);
        assert.equal(spawnSync('mv', [copy, dir]).status, 0);
    };
    if (mounted.status !== 0) {
        back();
        await cluster.startNode(n);
        t.skip(`no small file system: ${mounted.stderr.trim()}`);
        return;
    }
    t.after(() => spawnSync('umount', [dir]));
    assert.equal(spawnSync('cp', ['-a', '--sparse=always', `${copy}/.`, dir]).status, 0);
    await cluster.startNode(n);
    await underLoad(t, 'full', async (load) => {
        const filler = join(dir, 'filler'); // what is left, as another program would take it
        spawnSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=64k']);
        const words = await endsItself(n, 1);
        assert.match(words, /"what":"disk"/); // LMDB calls a short write an I/O error
        await load.servedMore(10);
        spawnSync('rm', [filler]);
        assert.equal(spawnSync('mount', ['-o', `remount,size=${used + 262144}k`, dir]).status, 0);
        await cluster.startNode(n);
    });
    await cluster.killNode(n);
    spawnSync('rm', ['-r', copy]);
    assert.equal(spawnSync('cp', ['-a', dir, copy]).status, 0);
    back();
    await cluster.startNode(n);
    await nodesAgree(cluster, { deadlineMs: 60_000 });
    assert.ok(readFileSync(join(cluster.dir, `node-${n}.log`), 'utf8').length > 0);
});
