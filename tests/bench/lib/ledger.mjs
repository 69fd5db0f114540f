// SPDX-License-Identifier: Apache-2.0
// A cluster of ledger nodes under holdfast-bench's reserve and settle cycles.
import { join } from 'node:path';
import { Cluster } from '../../e2e/lib/cluster.mjs';
import { program } from '../../e2e/lib/place.mjs';
import { run } from '../../e2e/lib/process.mjs';
import { nodesAgree } from '../../e2e/lib/tenant.mjs';
import { memory, OTHERS_MAX, watch } from './machine.mjs';

const NO_PROVIDER = 'http://127.0.0.1:9/v1'; // nothing is forwarded
const SETUP_MS = 3_600_000;

/** The columns of a row of cycles. */
export const CYCLES = [
    { key: 'per_second', head: 'cycles/s' },
    { key: 'p50', head: 'cycle p50, ms', digits: 2 },
    { key: 'p99', head: 'p99, ms', digits: 2 },
    { key: 'reserve_p50', head: 'command p50, ms', digits: 2, single: true },
    { key: 'reserve_p99', head: 'p99, ms', digits: 2, single: true },
    { key: 'leader_us', head: 'CPU a cycle, µs: leader', digits: 1, single: true },
    { key: 'follower_us', head: 'a follower', digits: 1, single: true },
    { key: 'load_us', head: 'the load', digits: 1, single: true },
    { key: 'node_mib', head: 'leader, MiB', single: true },
];

export class Ledger {
    /** Three nodes, no edge. options: as a Cluster's. */
    static async start(ctx, options = {}) {
        const ledger = new Ledger();
        ledger.ctx = ctx;
        ledger.cluster = await Cluster.start(ctx.t, { nodes: 3, edges: 0, providerUrl: NO_PROVIDER, ...options });
        return ledger;
    }

    args(mode, more) {
        return [mode, '--config', join(this.cluster.dir, 'ctl.conf'), '--in-flight', '16', ...more];
    }

    /** Makes orgs and keys that later runs share by this name. */
    async prepare(name, orgs, keysPerOrg = 1) {
        this.ctx.say(`making ${name}: ${orgs} orgs, ${orgs * keysPerOrg} keys`);
        const started = performance.now();
        await run(program('holdfast-bench'), this.args('prepare',
            ['--population', name, '--orgs', String(orgs), '--keys-per-org', String(keysPerOrg)]), { deadlineMs: SETUP_MS });
        const seconds = (performance.now() - started) / 1000;
        return { name, orgs, keysPerOrg, seconds };
    }

    pids() {
        return Object.fromEntries([...this.cluster.nodes].map(([n, node]) => [`node-${n}`, node.pid]));
    }

    /** One measured run: figures by the keys of CYCLES, and holdfast-bench's own in `bench`. */
    async cycles(population, { clients = 32, inFlight = 16, rate, seconds, warmup } = {}) {
        const { ctx, cluster } = this;
        const s = seconds ?? ctx.seconds;
        const w = warmup ?? ctx.warmup;
        const leader = await cluster.leader();
        const meanwhile = watch(this.pids());
        const { json } = await run(program('holdfast-bench'), ['ledger', '--config', join(cluster.dir, 'ctl.conf'),
            '--reuse', '--population', population.name, '--orgs', String(population.orgs),
            '--keys-per-org', String(population.keysPerOrg), '--clients', String(clients),
            '--in-flight', String(inFlight), '--seconds', String(s), '--warmup', String(w), '--json',
            ...(rate ? ['--rate', String(rate)] : [])], { deadlineMs: (s + w + 60) * 1000 });
        const { cpu, others } = meanwhile.end(json.cpu_seconds);
        const us = (value) => value * 1e6 / json.begun;
        const followers = Object.entries(cpu).filter(([name]) => name !== `node-${leader}`).map(([, value]) => value);
        const { cycle, reserve, settle } = json.latency_us;
        const figures = {
            per_second: json.per_second,
            p50: cycle.p50 / 1000, p99: cycle.p99 / 1000,
            reserve_p50: reserve.p50 / 1000, reserve_p99: reserve.p99 / 1000,
            settle_p50: settle.p50 / 1000, settle_p99: settle.p99 / 1000,
            leader_us: us(cpu[`node-${leader}`]),
            follower_us: us(followers.reduce((a, b) => a + b, 0) / followers.length),
            load_us: us(json.cpu_seconds),
            node_mib: memory(cluster.nodes.get(leader).pid).resident,
            others, failed: failures(json.counts),
            memory: Object.fromEntries(Object.entries(this.pids()).map(([name, pid]) => [name, memory(pid)])),
            cpu, bench: json,
        };
        ctx.say(`${Math.round(json.per_second)} cycles/s, p50 ${figures.p50.toFixed(2)} ms, p99 ${figures.p99.toFixed(2)} ms`
            + `${others > OTHERS_MAX ? `; others took ${others.toFixed(0)} % of the CPU` : ''}`);
        return figures;
    }

    /** What is left behind: the followers, the checkpoint, the report's second sums. */
    async settled() {
        const before = performance.now();
        const { nodes } = await nodesAgree(this.cluster);
        const waited = performance.now() - before;
        const drift = nodes.filter((one) => Number(one.drift_nanos ?? one.drift ?? 0) !== 0).length;
        const behind = Math.max(...nodes.map((one) => one.applied_index - (one.checkpoint_index ?? one.applied_index)));
        return `all nodes at one index and chain ${Math.round(waited)} ms after the last run; drift on ${drift} of `
            + `${nodes.length} nodes; the checkpoint ${behind} log entries behind`;
    }
}

function failures(counts) {
    return Object.entries(counts).reduce((sum, [name, n]) =>
        (['reserve OK', 'settle OK', 'status 200', 'open at the end'].includes(name) ? sum : sum + n), 0);
}

/** Runs every case once, then again, so that what changes with time hits all alike. */
export async function interleaved(ctx, cases) {
    const rows = cases.map(({ name }) => ({ name, runs: [] }));
    for (let i = 0; i < ctx.runs; i++) {
        for (const [at, one] of cases.entries()) {
            const figures = await one.measure(i);
            if (figures) {
                rows[at].runs.push(figures);
            }
        }
    }
    return rows.filter((row) => row.runs.length > 0);
}

/** Marks what does not count as it should. */
export function noteRuns(result) {
    const all = result.rows.flatMap((row) => row.runs);
    const disturbed = all.filter((one) => one.others > OTHERS_MAX).length;
    const failed = all.reduce((sum, one) => sum + (one.failed ?? 0), 0);
    if (disturbed) {
        result.notes.push(`in ${disturbed} of ${all.length} runs others took more than ${OTHERS_MAX} % of the CPU`);
    }
    if (failed) {
        result.notes.push(`${failed} commands or calls did not succeed`);
    }
}
