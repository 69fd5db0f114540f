// SPDX-License-Identifier: Apache-2.0
// Disks whose flush takes a millisecond longer, as common ones do: a library preloaded into the nodes
// delays fsync, fdatasync and writes to files opened with O_DSYNC. An LMDB commit flushes twice.
import { Shim } from '../../chaos/lib/shim.mjs';
import { temporary } from '../../e2e/lib/place.mjs';
import { CYCLES, interleaved, Ledger, noteRuns } from '../lib/ledger.mjs';
import { ledgerPeers } from '../lib/peers.mjs';
import { figure, of } from '../lib/table.mjs';

const SLOWER_US = 1000;

export default {
    name: 'slow',
    title: 'Every flush 1 ms slower',
    async run(ctx) {
        const { result, quick, t } = ctx;
        const shims = [];
        const folder = temporary(t, 'holdfast-bench-');
        const ledger = await Ledger.start(ctx, {
            launch: (n) => {
                shims[n] ??= new Shim(folder, `node-${n}`);
                return { env: shims[n].env };
            },
        });
        const orgs = quick ? 20 : 1000;
        const many = await ledger.prepare('many', orgs);
        const hot = await ledger.prepare('hot', 1);
        shims.forEach((shim) => shim.flushSlower(SLOWER_US)); // the set-up had the disk as it is
        const cases = [];
        for (const clients of quick ? [64] : [1, 256, 1024, 4096]) {
            for (const [name, population] of [[`${figure(orgs)} orgs`, many], ['one org', hot]]) {
                cases.push({ name: `${name}, ${figure(clients)} client${clients > 1 ? 's' : ''}`,
                    measure: () => ledger.cycles(population, { clients }) });
            }
        }
        for (const rate of quick ? [300] : [10_000, 20_000]) {
            cases.push({ name: `${figure(rate)} cycles/s offered`, measure: () => ledger.cycles(many, { rate }) });
        }
        cases.push(...await ledgerPeers(ctx, { FSYNC_DELAY_US: String(SLOWER_US) }));
        result.columns = CYCLES;
        result.rows = await interleaved(ctx, cases);
        result.notes.push(await ledger.settled());
        noteRuns(result);
        const best = Math.max(...result.rows.filter((row) => / clients?$/.test(row.name)).map((row) => of(row, 'per_second').median));
        result.verdicts.push({ goal: 'at least 40,000 cycles/s', measured: figure(best), met: best >= 40_000 });
        const p50 = of(result.rows.find((row) => row.name.includes('offered')), 'reserve_p50').median;
        result.verdicts.push({ goal: 'p50 of one command at 10,000 cycles/s offered at most 8 ms', measured: `${figure(p50, 2)} ms`, met: p50 <= 8 });
    },
};
