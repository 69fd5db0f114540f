// SPDX-License-Identifier: Apache-2.0
// A steady load for long: does memory grow, do balances drift?
import { interleaved, Ledger, noteRuns } from '../lib/ledger.mjs';
import { memory } from '../lib/machine.mjs';
import { figure } from '../lib/table.mjs';

const RATE = 2000;
const EVERY_MS = 5000;
const SETTLES = 0.5; // of the time: the records kept in memory reach their bound (cache_records)

export default {
    name: 'soak',
    title: `Soak at ${figure(RATE)} cycles/s`,
    async run(ctx) {
        const { result, quick } = ctx;
        const ledger = await Ledger.start(ctx);
        const many = await ledger.prepare('many', quick ? 20 : 1000);
        const seconds = ctx.soakMinutes * 60;
        const samples = [];
        const started = performance.now();
        const look = () => samples.push({ s: (performance.now() - started) / 1000,
            nodes: Object.values(ledger.pids()).map((pid) => memory(pid)) });
        look();
        const timer = setInterval(look, quick ? 500 : EVERY_MS);
        let load;
        try {
            [load] = await interleaved({ runs: 1 }, [{ name: `${figure(ctx.soakMinutes, 1)} minutes`,
                measure: () => ledger.cycles(many, { rate: quick ? 200 : RATE, seconds, warmup: 1 }) }]);
        } finally {
            clearInterval(timer);
        }
        look();
        const settled = samples.filter((one) => one.s >= seconds * SETTLES);
        load.runs[0].samples = samples;
        result.columns = [
            { key: 'per_second', head: 'cycles/s' }, { key: 'p50', head: 'p50, ms', digits: 2 }, { key: 'p99', head: 'p99, ms', digits: 2 },
            ...[1, 2, 3].map((n) => ({ key: `start_${n}`, head: `node ${n}, own MiB: start` })).flatMap((column, i) =>
                [column, { key: `settled_${i + 1}`, head: `at ${100 * SETTLES} %` }, { key: `end_${i + 1}`, head: 'end' }]),
        ];
        let most = 0;
        for (const i of [0, 1, 2]) {
            const own = (at) => at.nodes[i].own;
            load.runs[0][`start_${i + 1}`] = own(samples[0]);
            load.runs[0][`settled_${i + 1}`] = own(settled[0]);
            load.runs[0][`end_${i + 1}`] = own(settled.at(-1));
            most = Math.max(most, own(settled.at(-1)) / own(settled[0]) - 1);
        }
        result.rows = [load];
        result.notes.push(await ledger.settled(),
            `resident at the end, with LMDB's map of state and log: ${samples.at(-1).nodes.map((one) => `${figure(one.resident)} MiB`).join(', ')}`);
        noteRuns(result);
        result.verdicts.push({ goal: `no growth of a node's own memory in the second half (5 % allowed)`,
            measured: `${figure(100 * most, 1)} %`, met: most <= 0.05 });
    },
};
