// SPDX-License-Identifier: Apache-2.0
// Reserve and settle cycles as fast as so many clients get them, spread over orgs and on one.
import { CYCLES, interleaved, Ledger, noteRuns } from '../lib/ledger.mjs';
import { ledgerPeers } from '../lib/peers.mjs';
import { figure, of } from '../lib/table.mjs';

export default {
    name: 'cycles',
    title: 'Reserve and settle cycles, closed loop',
    async run(ctx) {
        const { result, quick } = ctx;
        const orgs = quick ? 20 : 1000;
        const ledger = await Ledger.start(ctx);
        const many = await ledger.prepare('many', orgs);
        const hot = await ledger.prepare('hot', 1);
        const cases = [];
        for (const clients of quick ? [1, 64] : [1, 32, 256, 1024]) {
            for (const [name, population] of [[`${figure(orgs)} orgs`, many], ['one org', hot]]) {
                cases.push({
                    name: `${name}, ${figure(clients)} client${clients > 1 ? 's' : ''}`,
                    measure: () => ledger.cycles(population, { clients }),
                });
            }
        }
        cases.push(...await ledgerPeers(ctx));
        result.columns = CYCLES;
        result.rows = await interleaved(ctx, cases);
        result.notes.push(await ledger.settled());
        noteRuns(result);
        for (const [name, goal] of [[`${figure(orgs)} orgs`, 65_000], ['one org', 65_000]]) {
            const best = Math.max(...result.rows.filter((row) => row.name.startsWith(`${name},`))
                .map((row) => of(row, 'per_second').median));
            result.verdicts.push({ goal: `${name}: at least ${figure(goal)} cycles/s`, measured: figure(best), met: best >= goal });
        }
    },
};
