// SPDX-License-Identifier: Apache-2.0
// The harness itself: what the other files rely on when they say that a thing was started,
// waited for and ended.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import test from 'node:test';
import { Program, run } from './lib/process.mjs';
import { freePorts, temporary } from './lib/place.mjs';
import { until, within } from './lib/wait.mjs';

const shell = (script, options) => new Program('/bin/sh', ['-c', script], { name: 'shell', ...options });

test('harness: a line said before or after the question is found', async () => {
    const program = shell('echo early; read x < /dev/null; echo port=4711; exec sleep 60');
    assert.equal((await program.waitLine(/^port=(\d+)$/))[1], '4711');
    assert.equal((await program.waitLine(/^early$/))[0], 'early');
    assert.deepEqual(await program.end(), { code: null, signal: 'SIGTERM' });
});

test('harness: a program that ends early is told with its last lines', async () => {
    const program = shell('echo the cause >&2; exit 3');
    await assert.rejects(program.waitLine(/ready/), (error) => {
        assert.match(error.message, /ended before/);
        assert.match(error.message, /"code":3/);
        return true;
    });
    assert.equal((await program.exited).code, 3);
});

test('harness: a program that is not there is told', async () => {
    const program = new Program('/nonexistent/program');
    await assert.rejects(program.waitLine(/ready/), /ENOENT/);
});

test('harness: deadlines say what was waited for', async () => {
    await assert.rejects(until('the moon', () => null, { deadlineMs: 30 }),
        /waited 30 ms for the moon; the last answer was: null/);
    await assert.rejects(within('the sun', new Promise(() => {}), 30), /waited 30 ms for the sun/);
    const program = shell('exec sleep 60');
    await assert.rejects(program.waitLine(/ready/, { deadlineMs: 30 }), /shell to say \/ready\//);
    assert.deepEqual(await program.kill(), { code: null, signal: 'SIGKILL' });
});

test('harness: a program deaf to SIGTERM is killed, and the test fails', async () => {
    const program = shell("trap '' TERM; echo deaf; while :; do read x < /dev/null; sleep 1; done");
    await program.waitLine(/deaf/);
    await assert.rejects(program.end({ deadlineMs: 50 }), /shell to end on SIGTERM/);
    assert.equal(program.exit.signal, 'SIGKILL');
});

test('harness: output goes to a log file, port files are awaited', async (t) => {
    const folder = temporary(t);
    const log = join(folder, 'log');
    const program = shell(`echo out; echo err >&2; echo 5 > ${folder}/port; exec sleep 60`, { log });
    assert.equal(await program.waitFile(join(folder, 'port')), '5');
    await program.waitLine(/^err$/);
    await program.waitLine(/^out$/);
    await program.end();
    assert.deepEqual(readFileSync(log, 'utf8').trim().split('\n').sort(), ['err', 'out']);
});

test('harness: HTTP health is awaited', async () => {
    let asked = 0;
    const server = createServer((request, response) => {
        response.statusCode = ++asked < 3 ? 503 : 200;
        response.end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const program = shell('exec sleep 60');
    await program.waitHttp(`http://127.0.0.1:${server.address().port}/healthz`);
    assert.equal(asked, 3);
    await program.end();
    server.closeAllConnections();
    server.close();
});

test('harness: free ports differ', async () => {
    const ports = [...await freePorts(20), ...await freePorts(20)];
    assert.equal(new Set(ports).size, 40);
});

test('harness: run gives status and outputs, and fails where it should', async () => {
    const result = await run('/bin/sh', ['-c', 'echo \'{"a": 1}\'; exit 4'], { check: false });
    assert.equal(result.status, 4);
    assert.deepEqual(result.json, { a: 1 });
    await assert.rejects(run('/bin/sh', ['-c', 'echo why >&2; exit 4']), /status 4\nwhy/);
    await assert.rejects(run('/bin/sleep', ['60'], { deadlineMs: 50 }), /did not end in 50 ms/);
});

test('harness: a test that dies takes its programs with it', async (t) => {
    const folder = temporary(t);
    const script = `
        import { Program } from ${JSON.stringify(join(import.meta.dirname, 'lib/process.mjs'))};
        const program = new Program('/bin/sh', ['-c', 'echo up; exec sleep 60']);
        await program.waitLine(/up/);
        console.log(program.pid);
        throw new Error('dies');`;
    const { stdout, status } = await run(process.execPath, ['--input-type=module', '-e', script],
        { check: false, cwd: folder });
    assert.notEqual(status, 0);
    const pid = Number(stdout.trim());
    assert.ok(pid > 0);
    await until('the program to be gone', () => !existsSync(`/proc/${pid}`)
        || /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')));
});
