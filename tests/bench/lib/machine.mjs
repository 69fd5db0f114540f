// SPDX-License-Identifier: Apache-2.0
// Where the figures are from: machine, versions, and what its processes used meanwhile.
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { root } from '../../e2e/lib/place.mjs';

const TICKS = 100; // a second, of /proc/PID/stat on Linux
export const OTHERS_MAX = 5; // per cent of the CPU

const said = (command, ...args) => {
    try {
        return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], cwd: root }).trim();
    } catch {
        return null;
    }
};

export function machine() {
    return {
        cpu: cpus()[0].model.trim(),
        cores: cpus().length,
        memory_gib: Math.round(totalmem() / 2 ** 30),
        kernel: release(),
        filesystem: said('stat', '-f', '-c', '%T', tmpdir()),
        load_before: loadavg()[0],
    };
}

export function versions() {
    return {
        holdfast: said('git', 'describe', '--always', '--dirty'),
        compiler: said('cc', '--version')?.split('\n')[0] ?? null,
        node: process.version,
    };
}

/** CPU seconds of a process and those it started, up to now; gone ones count nothing. */
export function cpuSeconds(pid) {
    let sum = 0;
    for (const one of family(pid)) {
        try {
            const fields = readFileSync(`/proc/${one}/stat`, 'latin1').replace(/^.*\) /s, '').split(' ');
            sum += (Number(fields[11]) + Number(fields[12])) / TICKS;
        } catch {
            // it has ended
        }
    }
    return sum;
}

function family(pid) {
    const found = [pid];
    try {
        for (const task of readdirSync(`/proc/${pid}/task`)) {
            const children = readFileSync(`/proc/${pid}/task/${task}/children`, 'latin1').trim();
            found.push(...(children ? children.split(' ').flatMap((child) => family(Number(child))) : []));
        }
    } catch {
        // it has ended
    }
    return found;
}

/** MiB of a process and those it started: {resident, own}; own: not of a file, which LMDB's map is. */
export function memory(pid) {
    let resident = 0;
    let own = 0;
    for (const one of family(pid)) {
        const text = readFileSync(`/proc/${one}/status`, 'latin1');
        const kib = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
        resident += kib('VmRSS') / 1024;
        own += kib('RssAnon') / 1024;
    }
    return { resident, own };
}

/** {busy, total} seconds of all cores. */
function wholeMachine() {
    const fields = readFileSync('/proc/stat', 'latin1').split('\n')[0].trim().split(/\s+/).slice(1, 9).map(Number);
    const total = fields.reduce((a, b) => a + b, 0);
    return { busy: (total - fields[3] - fields[4]) / TICKS, total: total / TICKS };
}

/**
 * What named processes use between now and `end`: {cpu: {name: seconds}, others: per cent of the
 * machine that anyone else took}. `more`: seconds of ours that no longer show (a load generator).
 */
export function watch(pids) {
    const runner = () => process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6;
    const seconds = () => Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, cpuSeconds(pid)]));
    const before = { all: wholeMachine(), own: seconds(), runner: runner() };
    return {
        end(more = 0) {
            const after = { all: wholeMachine(), own: seconds(), runner: runner() };
            const cpu = {};
            let ours = more + after.runner - before.runner;
            for (const name of Object.keys(pids)) {
                cpu[name] = after.own[name] - before.own[name];
                ours += cpu[name];
            }
            const busy = after.all.busy - before.all.busy - ours;
            return { cpu, others: Math.max(0, 100 * busy / Math.max(0.01, after.all.total - before.all.total)) };
        },
    };
}
