// SPDX-License-Identifier: Apache-2.0
// Thousands of streams open at once through one edge: what each takes in memory, and how long a chunk
// is under way. The mock writes into each chunk when it sent it, so its own cadence does not matter.
import { setTimeout as pause } from 'node:timers/promises';
import { Program, run } from '../../e2e/lib/process.mjs';
import { memory, OTHERS_MAX, watch } from '../lib/machine.mjs';
import { noteRuns } from '../lib/ledger.mjs';
import { figure, of } from '../lib/table.mjs';
import { Web } from '../lib/web.mjs';

const KIB_MOST = 40; // a stream, plain HTTP

async function measure(ctx, web, { url, edge, intervalMs, opensASecond }) {
    const { quick, streams } = ctx;
    if (edge) {
        await web.freshEdge(); // memory of an earlier run is not given back
        const { command, args, env } = web.load('http', url, ['--clients', '1', '--seconds', '0.5', '--warmup', '0.1']);
        await run(command, args, { env });
    }
    const pid = edge ? web.edge.pid : web.cluster.mock.pid;
    const before = memory(pid);
    const seconds = Math.max(ctx.seconds, 2 * intervalMs / 1000);
    const { command, args, env } = web.load('streams', url, ['--clients', String(streams), '--interval', String(intervalMs),
        '--warmup', String(quick ? 1 : Math.max(8, 1.25 * streams / opensASecond)), '--seconds', String(seconds)]);
    const load = new Program(command, args, { name: 'holdfast-bench', env });
    let during;
    let meanwhile;
    try {
        await load.waitLine(/^measuring: (\d+) open/, { deadlineMs: 120_000 });
        meanwhile = watch({ ...web.pids(), load: load.pid });
        await pause(seconds * 800); // most chunks are under way by now
        during = memory(pid);
        meanwhile = meanwhile.end();
        await load.exited;
    } finally {
        await load.kill();
    }
    if (load.exit.code !== 0) {
        throw new Error(load.story());
    }
    const json = JSON.parse(load.lines.findLast((line) => line.startsWith('{')));
    const open = json.counts['open at the end'] ?? 0;
    const delay = json.latency_us['chunk delay'];
    ctx.say(`${open} open, ${Math.round(json.per_second)} chunks/s, delay p99 ${(delay.p99 / 1000).toFixed(2)} ms`
        + `${meanwhile.others > OTHERS_MAX ? `; others took ${meanwhile.others.toFixed(0)} % of the CPU` : ''}`);
    return {
        open, chunks: json.per_second, delay_p50: delay.p50 / 1000, delay_p99: delay.p99 / 1000, delay_max: delay.max / 1000,
        first_p99: json.latency_us['first chunk'].p99 / 1000,
        kib: (during.own - before.own) * 1024 / streams,
        chunk_us: (edge ? meanwhile.cpu.edge : meanwhile.cpu.mock) * 1e6 / (json.per_second * seconds * 0.8),
        others: meanwhile.others, failed: streams - open, before, during, bench: json,
    };
}

export default {
    name: 'streams',
    title: 'Open event streams through one edge',
    async run(ctx) {
        const { result, quick, tls, streams } = ctx;
        const intervalMs = quick ? 200 : 1000;
        const plain = await Web.start(ctx);
        const secure = tls ? await Web.start(ctx, { tls: true }) : null;
        const cases = [
            { name: 'the mock, directly', web: plain, url: plain.mockUrl },
            { name: 'edge, plain HTTP', web: plain, url: plain.cluster.edgeUrl(1), edge: true },
            // handshakes take their time, and its load generator is the heavier one
            ...(secure ? [{ name: 'edge, TLS', web: secure, url: secure.cluster.edgeUrl(1), edge: true, slower: 5, opensASecond: 125 }] : []),
        ].map((one) => ({ opensASecond: 500, ...one, intervalMs: intervalMs * (one.slower ?? 1) }));
        result.columns = [
            { key: 'open', head: 'open', single: true },
            { key: 'kib', head: 'KiB each', digits: 1 },
            { key: 'chunks', head: 'chunks/s', single: true },
            { key: 'delay_p50', head: 'chunk delay p50, ms', digits: 2 },
            { key: 'delay_p99', head: 'p99, ms', digits: 2 },
            { key: 'delay_max', head: 'longest, ms', digits: 1, single: true },
            { key: 'first_p99', head: 'first chunk p99, ms', digits: 1, single: true },
            { key: 'chunk_us', head: 'CPU a chunk, µs', digits: 1, single: true },
        ];
        result.rows = cases.map((one) => ({ name: `${one.name}, a chunk every ${figure(one.intervalMs)} ms`, runs: [] }));
        for (let i = 0; i < ctx.runs; i++) {
            for (const [at, one] of cases.entries()) {
                result.rows[at].runs.push(await measure(ctx, one.web, one));
            }
        }
        result.notes.push("KiB and CPU of the row's own process, the edge or the mock; sockets' buffers are the kernel's and not in it");
        noteRuns(result);
        const row = result.rows[1];
        const held = of(row, 'open').min;
        const kib = of(row, 'kib').median;
        result.verdicts.push({ goal: `${figure(streams)} streams held`, measured: figure(held), met: held >= streams });
        result.verdicts.push({ goal: `plain HTTP at most ${KIB_MOST} KiB each`, measured: `${figure(kib, 1)} KiB`, met: kib <= KIB_MOST });
    },
};
