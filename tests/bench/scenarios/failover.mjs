// SPDX-License-Identifier: Apache-2.0
// The leader is killed under load: how long until a cycle is accepted again. The longest time
// between two accepted reserves at 2,000 a second is that, plus at most half a millisecond.
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { program } from '../../e2e/lib/place.mjs';
import { Program } from '../../e2e/lib/process.mjs';
import { nodesAgree } from '../../e2e/lib/tenant.mjs';
import { Ledger } from '../lib/ledger.mjs';
import { figure, of } from '../lib/table.mjs';

const RATE = 2000;
const SECONDS = 6; // of load; the kill is after a quarter of them
const WARM_UP = 1;

async function kill(ctx, ledger, population, number) {
    const { cluster } = ledger;
    const leader = await cluster.leader();
    const seconds = ctx.quick ? 2 : SECONDS;
    const load = new Program(program('holdfast-bench'), ['ledger', '--config', join(cluster.dir, 'ctl.conf'), '--reuse',
        '--population', population.name, '--orgs', String(population.orgs), '--in-flight', '16', '--rate', String(RATE),
        '--seconds', String(seconds), '--warmup', String(WARM_UP), '--json'], { name: `load-${number}` });
    try {
        await pause((WARM_UP + seconds / 4) * 1000);
        await cluster.killNode(leader);
        await load.exited;
    } finally {
        await load.kill();
    }
    if (load.exit.code !== 0) {
        throw new Error(load.story());
    }
    const json = JSON.parse(load.lines.findLast((line) => line.startsWith('{')));
    await cluster.startNode(leader);
    await nodesAgree(cluster);
    ctx.say(`node ${leader} killed: ${json.longest_gap_ms} ms`);
    return { gap: json.longest_gap_ms, p99: json.latency_us.cycle.p99 / 1000, unknown: json.counts['outcome unknown'] ?? 0, bench: json };
}

export default {
    name: 'failover',
    title: `First accepted call after the leader's death, at ${figure(RATE)} cycles/s`,
    async run(ctx) {
        const { result, quick } = ctx;
        const ledger = await Ledger.start(ctx);
        const many = await ledger.prepare('many', quick ? 20 : 1000);
        const row = { name: `${ctx.kills} kill${ctx.kills > 1 ? 's' : ''}`, runs: [] };
        for (let i = 0; i < ctx.kills; i++) {
            row.runs.push(await kill(ctx, ledger, many, i));
        }
        result.columns = [
            { key: 'gap', head: 'until accepted again, ms' },
            { key: 'unknown', head: 'cycles whose outcome the client does not know' },
        ];
        result.rows = [row];
        result.notes.push(`the worst of ${ctx.kills}: ${figure(of(row, 'gap').max)} ms`);
        const { median } = of(row, 'gap');
        result.verdicts.push({ goal: 'median at most 700 ms', measured: `${figure(median)} ms`, met: median <= 700 });
    },
};
