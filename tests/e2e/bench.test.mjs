// SPDX-License-Identifier: Apache-2.0
// The benchmark's runner in its smallest form: every scenario measures something, nothing fails, and
// what it writes is what the tables are made of. Its figures are not looked at.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { program, root } from './lib/place.mjs';
import { run } from './lib/process.mjs';

const bench = join(root, 'tests/bench/run');
const env = { HOLDFAST_BIN: join(program('holdfast-bench'), '..') };

test('every_scenario_of_the_benchmark_runs', async () => {
    const names = (await run(bench, ['--list'], { env })).stdout.trim().split('\n').map((line) => line.split(' ')[0]);
    assert.ok(names.length >= 9);
    const { stdout } = await run(bench, ['--quick', '--markdown'], { env, deadlineMs: 240_000 });
    for (const name of names) {
        const result = JSON.parse(readFileSync(join(root, 'build/bench/quick', `${name}.json`), 'utf8'));
        assert.ok(stdout.includes(`### ${result.title}`), name);
        assert.ok(result.machine.cores > 0 && result.versions.node && result.settings.quick);
        assert.ok(result.rows.length > 0, name);
        for (const row of result.rows) {
            const { key } = result.columns[0];
            assert.ok(row.summary[key].median > 0, `${name}: ${row.name}: ${key}`);
            assert.equal(row.runs.reduce((sum, one) => sum + (one.failed ?? 0), 0), 0, `${name}: ${row.name}: failures`);
        }
    }
});

test('what_the_benchmark_does_not_know_is_refused', async () => {
    const { status, stderr } = await run(bench, ['--only', 'nothing', '--no-build'], { env, check: false });
    assert.equal(status, 2);
    assert.match(stderr, /no such scenario: nothing/);
});
