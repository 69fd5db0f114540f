// SPDX-License-Identifier: Apache-2.0
// Latency under a load that does not wait: so many cycles are due a second, each counts from when it
// was due.
import { CYCLES, interleaved, Ledger, noteRuns } from '../lib/ledger.mjs';
import { figure, of } from '../lib/table.mjs';

export default {
    name: 'offered',
    title: 'Reserve and settle cycles, open loop',
    async run(ctx) {
        const { result, quick } = ctx;
        const ledger = await Ledger.start(ctx);
        const many = await ledger.prepare('many', quick ? 20 : 1000);
        const rates = quick ? [500] : [1000, 10_000, 20_000];
        result.columns = CYCLES;
        result.rows = await interleaved(ctx, rates.map((rate) => ({
            name: `${figure(rate)} cycles/s offered`,
            measure: () => ledger.cycles(many, { rate }),
        })));
        result.notes.push(await ledger.settled());
        noteRuns(result);
        const row = result.rows.at(-1);
        for (const [key, name, goal] of [['reserve_p50', 'p50', 3], ['reserve_p99', 'p99', 10]]) {
            const { median } = of(row, key);
            result.verdicts.push({ goal: `${name} of one command at 20,000 cycles/s at most ${goal} ms`,
                measured: `${figure(median, 2)} ms`, met: median <= goal });
        }
    },
};
