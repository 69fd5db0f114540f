// SPDX-License-Identifier: Apache-2.0
// Does the number of keys matter? The same load, each cycle on a key drawn from all.
import { CYCLES, interleaved, Ledger, noteRuns } from '../lib/ledger.mjs';
import { memory } from '../lib/machine.mjs';
import { figure, of } from '../lib/table.mjs';

// [orgs, keys of each]. Not more keys an org: a budget is put by a walk over the org's others, so that
// making 1,000 of them in one org is what would be measured.
const SIZES = [[1000, 1], [1000, 100], [10_000, 100]];
const FIVE_MILLION = [50_000, 100];

export default {
    name: 'keys',
    title: 'Keys touched uniformly',
    async run(ctx) {
        const { result, quick } = ctx;
        const sizes = quick ? [[10, 1], [10, 10]] : [...SIZES, ...(ctx.keys5m ? [FIVE_MILLION] : [])];
        const ledger = await Ledger.start(ctx);
        const cases = [];
        for (const [orgs, keysPerOrg] of sizes) {
            const name = `${figure(orgs * keysPerOrg)} keys`;
            const population = await ledger.prepare(`keys-${orgs * keysPerOrg}`, orgs, keysPerOrg);
            const nodes = Object.values(ledger.pids()).map((pid) => memory(pid));
            const most = (key) => figure(Math.max(...nodes.map((one) => one[key])));
            result.notes.push(`${name}, with those before: made in ${figure(population.seconds, 1)} s; after that a node has at `
                + `most ${most('resident')} MiB resident, ${most('own')} of them its own (the rest is LMDB's map)`);
            cases.push({ name, measure: () => ledger.cycles(population, { clients: quick ? 64 : 1024 }) });
        }
        result.columns = CYCLES;
        result.rows = await interleaved(ctx, cases);
        result.notes.push(await ledger.settled());
        noteRuns(result);
        const speeds = result.rows.slice(0, 3).map((row) => of(row, 'per_second').median);
        const apart = 100 * (1 - Math.min(...speeds) / Math.max(...speeds));
        result.verdicts.push({ goal: '1 k, 100 k and 1 M keys within 25 % of each other', measured: `${figure(apart)} %`, met: apart <= 25 });
    },
};
