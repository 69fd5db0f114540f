// SPDX-License-Identifier: Apache-2.0
// holdfast-bench as the load under chaos, and its own record of what was acknowledged against the
// log of every node.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { program } from '../../e2e/lib/place.mjs';
import { Program, run } from '../../e2e/lib/process.mjs';

export class Bench {
    /** Starts reserve and settle cycles for so many seconds. */
    constructor(cluster, { seconds, rate = 150, clients = 16, name = 'bench' }) {
        this.record = join(cluster.dir, `${name}.csv`);
        this.seconds = seconds;
        this.program = new Program(program('holdfast-bench'), ['ledger', '--config', join(cluster.dir, 'ctl.conf'),
            '--seconds', String(seconds), '--warmup', '1', '--rate', String(rate), '--clients', String(clients),
            '--model', 'flat', '--keys-per-org', '4', '--population', name, '--record', this.record, '--timeout', '30000', '--json'],
        { name, env: cluster.env, log: join(cluster.dir, `${name}.log`) });
    }

    /** Waits for its end: {lines, figures}. */
    async end() {
        await this.program.exited;
        assert.equal(this.program.exit.code, 0, this.program.story());
        const [, ...lines] = readFileSync(this.record, 'utf8').trim().split('\n');
        return lines.map((line) => {
            const [id, kind, code, index, amount, hold, ordinal, duplicate] = line.split(',');
            return { id, kind, code, index: Number(index), amount: Number(amount), hold,
                ordinal: Number(ordinal), duplicate: duplicate === '1' };
        });
    }

    stop() {
        return this.program.end({ signal: 'SIGKILL' });
    }
}

/** Every command of a node's log, one at a time, then the report. */
async function* logOf(cluster, n) {
    const child = spawn(program('holdfast-replay'), ['--data', cluster.dataDir(n), '--json', '--log'],
        { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    let report;
    for await (const text of createInterface({ input: child.stdout })) {
        const line = JSON.parse(text);
        if (line.command) {
            yield line;
        } else if (!line.entry) {
            report = line;
        }
    }
    yield { report, status: await ended };
}

/**
 * What the clients were told against what a node's log says. Returns {acknowledged, lost, doubled,
 * drift, differing}: all but the first are to be 0.
 */
export async function judge(cluster, n, records) {
    const told = new Map(records.map((record) => [record.id, record]));
    const done = new Map(); // id -> result of its one effect
    const closed = new Set(); // holds that were settled or released
    const found = { acknowledged: records.length, commands: 0, lost: 0, doubled: 0, differing: 0, drift: 0 };
    for await (const { command, result, index, ordinal, report, status } of logOf(cluster, n)) {
        if (report) {
            assert.equal(status, 0, `node ${n}: holdfast-replay`);
            found.drift = report.drift_nanos;
            continue;
        }
        found.commands++;
        const effect = result.code === 'OK' && !(result.flags & 1);
        if (!effect) {
            continue;
        }
        const { id } = command.head;
        found.doubled += done.has(id) ? 1 : 0;
        done.set(id, { index, ordinal, result });
        if (command.command === 'settle' || command.command === 'release') {
            found.doubled += closed.has(command.body.hold) ? 1 : 0;
            closed.add(command.body.hold);
        }
    }
    for (const record of told.values()) {
        const at = done.get(record.id);
        if (record.code === 'OK' && !at) {
            found.lost++;
        } else if (record.code === 'OK' && !record.duplicate
            && (at.index !== record.index || at.ordinal !== record.ordinal)) {
            found.differing++;
        }
        if (record.code !== 'OK' && at) {
            found.differing++;
        }
    }
    return found;
}

/** Judges every node and says so; all nodes must prove all of it. */
export async function judgeAll(t, cluster, records, nodes = [1, 2, 3]) {
    for (const n of nodes) {
        const found = await judge(cluster, n, records);
        t.diagnostic(`node ${n}: ${JSON.stringify(found)}`);
        const { lost, doubled, differing, drift } = found;
        assert.deepEqual({ lost, doubled, differing, drift }, { lost: 0, doubled: 0, differing: 0, drift: 0 });
    }
}

/**
 * What HTTP clients were told (a Load's records) against a node's log: served calls that were not
 * settled (lost), holds settled twice (doubled), settled at another cost (differing), settled though
 * no client was served (unserved: those of calls that broke off may be), and the log's drift.
 * Where edges were killed, a call without a receipt (a stream whose closing comment never came, an
 * answer that said "pending") was not acknowledged: its hold may have expired. Those are `open`.
 */
export async function judgeCalls(cluster, n, records, { edgesDied = false } = {}) {
    const served = new Map(records.filter((one) => one.status === 200).map((one) => [one.hold, one]));
    const settled = new Map();
    const found = { served: served.size, lost: 0, doubled: 0, differing: 0, unserved: 0, drift: 0 };
    let open = 0;
    for await (const { command, result, report, status } of logOf(cluster, n)) {
        if (report) {
            assert.equal(status, 0, `node ${n}: holdfast-replay`);
            found.drift = report.drift_nanos;
        } else if (command.command === 'settle' && result.code === 'OK' && !(result.flags & 1)) {
            found.doubled += settled.has(command.body.hold) ? 1 : 0;
            settled.set(command.body.hold, result.body.cost);
        }
    }
    for (const [hold, { cost, receipt }] of served) {
        const acknowledged = receipt !== undefined || !edgesDied;
        found.lost += acknowledged && !settled.has(hold) ? 1 : 0;
        open += acknowledged || settled.has(hold) ? 0 : 1;
        found.differing += settled.has(hold) && cost !== undefined && cost !== settled.get(hold) ? 1 : 0;
    }
    for (const hold of settled.keys()) {
        found.unserved += served.has(hold) ? 0 : 1;
    }
    return edgesDied ? { ...found, open } : found;
}

export const canRun = async (command, ...args) => {
    try {
        return (await run(command, args, { check: false })).status === 0;
    } catch {
        return false;
    }
};
