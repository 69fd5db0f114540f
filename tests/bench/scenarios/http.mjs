// SPDX-License-Identifier: Apache-2.0
// Whole calls through one edge with everything on, the same calls straight to the mock, and (--peers)
// through proxies that hold no money; all in turns.
import { run } from '../../e2e/lib/process.mjs';
import { interleaved, noteRuns } from '../lib/ledger.mjs';
import { memory, OTHERS_MAX, watch } from '../lib/machine.mjs';
import { httpPeers } from '../lib/peers.mjs';
import { figure, median } from '../lib/table.mjs';
import { Web } from '../lib/web.mjs';

const DIRECT = 'the mock, directly';
const EDGE = 'Holdfast edge';
const rowName = (target, connections) => `${target}, ${connections} connection${connections > 1 ? 's' : ''}`;

async function measure(ctx, web, target, connections) {
    const own = target.program.pid;
    const meanwhile = watch({ ...web.pids(), ...(target.name === EDGE || target.name === DIRECT ? {} : { peer: own }) });
    const { command, args, env } = web.load('http', target.url, ['--clients', String(connections),
        '--seconds', String(ctx.seconds), '--warmup', String(ctx.warmup),
        ...(target.headers ?? []).flatMap((one) => ['--header', one])]);
    const { json } = await run(command, args, { env, deadlineMs: (ctx.seconds + ctx.warmup + 60) * 1000 });
    const { cpu, others } = meanwhile.end(json.cpu_seconds);
    const us = (seconds) => seconds * 1e6 / json.begun;
    const nodes = [1, 2, 3].reduce((sum, n) => sum + cpu[`node-${n}`], 0);
    ctx.say(`${rowName(target.name, connections)}: ${Math.round(json.per_second)} calls/s`
        + `${others > OTHERS_MAX ? `; others took ${others.toFixed(0)} % of the CPU` : ''}`);
    return {
        per_second: json.per_second, p50: json.latency_us.call.p50 / 1000, p99: json.latency_us.call.p99 / 1000,
        own_us: us({ [DIRECT]: cpu.mock, [EDGE]: cpu.edge }[target.name] ?? cpu.peer),
        nodes_us: us(nodes), mock_us: us(cpu.mock), load_us: us(json.cpu_seconds),
        mib: memory(own).resident, others, bench: json, cpu,
        failed: json.begun - (json.counts['status 200'] ?? 0) > json.begun * 0.9 ? json.begun : refused(json.counts),
    };
}

const refused = (counts) => Object.entries(counts).reduce((sum, [name, n]) => (name === 'status 200' ? sum : sum + n), 0);

/** Rows have one run a round: compares them round by round. */
function compare(rows, a, b, key, by) {
    const find = (name) => rows.find((row) => row.name === name)?.runs ?? [];
    const other = find(b);
    return median(find(a).map((one, i) => (other[i] ? by(one[key], other[i][key]) : NaN)));
}

function judge(result, connections) {
    const { rows, verdicts } = result;
    const name = (target, n) => rowName(target, n);
    const ratio = (a, b) => a / b;
    const speed = median(rows.find((row) => row.name === name(EDGE, connections)).runs.map((one) => one.per_second));
    verdicts.push({ goal: 'at least 15,000 calls/s', measured: figure(speed), met: speed >= 15_000 });
    for (const peer of new Set(rows.map((row) => row.name.replace(/, \d+ connections?$/, '')))) {
        if (peer === EDGE || peer === DIRECT) {
            continue;
        }
        const least = peer === 'nginx' ? 0.15 : 10;
        const found = compare(rows, name(EDGE, connections), name(peer, connections), 'per_second', ratio);
        verdicts.push({ goal: `calls/s at least ${least} of ${peer}'s`, measured: figure(found, 2), met: found >= least });
        if (peer === 'nginx') {
            const cpu = compare(rows, name(EDGE, connections), name(peer, connections), 'own_us', ratio);
            verdicts.push({ goal: "the edge's CPU a call at most 2.5 of nginx's", measured: figure(cpu, 2), met: cpu <= 2.5 });
        }
    }
    for (const [n, most] of [[connections, 3], [1, 1]]) {
        const added = compare(rows, name(EDGE, n), name(DIRECT, n), 'p50', (a, b) => a - b);
        verdicts.push({ goal: `added p50 at ${n} connection${n > 1 ? 's' : ''} at most ${most} ms`, measured: `${figure(added, 2)} ms`, met: added <= most });
    }
}

export default {
    name: 'http',
    title: 'Calls through one plain edge',
    async run(ctx) {
        const { result, quick } = ctx;
        const web = await Web.start(ctx);
        const targets = [
            { name: DIRECT, url: web.mockUrl, program: web.cluster.mock },
            { name: EDGE, url: web.cluster.edgeUrl(1), program: web.edge },
            ...await httpPeers(ctx, web.mockUrl),
        ];
        const many = quick ? 16 : 64;
        result.columns = [
            { key: 'per_second', head: 'calls/s' },
            { key: 'p50', head: 'p50, ms', digits: 2 },
            { key: 'p99', head: 'p99, ms', digits: 2 },
            { key: 'added', head: 'added p50, ms', digits: 2 },
            { key: 'own_us', head: 'CPU a call, µs: its own', digits: 1 },
            { key: 'nodes_us', head: 'three nodes', digits: 1, single: true },
            { key: 'mock_us', head: 'mock', digits: 1, single: true },
            { key: 'load_us', head: 'load', digits: 1, single: true },
            { key: 'mib', head: 'MiB', single: true },
        ];
        const direct = {};
        const cases = [many, 1].flatMap((connections) => targets.map((target) => ({
            name: rowName(target.name, connections),
            measure: async () => {
                const found = await measure(ctx, web, target, connections);
                if (target.name === DIRECT) {
                    direct[connections] = found.p50;
                } else {
                    found.added = found.p50 - direct[connections];
                }
                return found;
            },
        })));
        result.rows = await interleaved(ctx, cases);
        noteRuns(result);
        judge(result, many);
    },
};
