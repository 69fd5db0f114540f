// SPDX-License-Identifier: Apache-2.0
// Does the number of keys matter? The same load, each cycle on a key drawn from all.
import { CYCLES, interleaved, Ledger, noteRuns } from '../lib/ledger.mjs';
import { memory } from '../lib/machine.mjs';
import { figure, of } from '../lib/table.mjs';

const ORGS = 1000;

export default {
    name: 'keys',
    title: 'Keys touched uniformly',
    async run(ctx) {
        const { result, quick } = ctx;
        const orgs = quick ? 10 : ORGS;
        const sizes = quick ? [1, 10] : [1, 100, 1000, ...(ctx.keys5m ? [5000] : [])];
        const ledger = await Ledger.start(ctx);
        const cases = [];
        for (const keysPerOrg of sizes) {
            const name = `${figure(orgs * keysPerOrg)} keys`;
            const population = await ledger.prepare(`keys-${keysPerOrg}`, orgs, keysPerOrg);
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
