// SPDX-License-Identifier: Apache-2.0
// One client with one command in flight, beside what the disk and loopback give by themselves.
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { program } from '../../e2e/lib/place.mjs';
import { run } from '../../e2e/lib/process.mjs';
import { interleaved, Ledger, noteRuns } from '../lib/ledger.mjs';
import { figure, of } from '../lib/table.mjs';

const ALLOWED_MS = 0.3; // on top of the commit and two round trips

async function probe(cluster, rounds) {
    const folder = mkdtempSync(join(cluster.dir, 'probe-')); // the nodes' file system
    const certs = (name) => join(cluster.dir, 'certs', name);
    try {
        const { json } = await run(program('bench-probe'), [folder, certs('client-ca.crt'),
            certs('node-1-client.pem'), 'node-1.ledger.holdfast', certs('ctl.pem'), String(rounds)], { deadlineMs: 300_000 });
        return json;
    } finally {
        rmSync(folder, { recursive: true, force: true });
    }
}

export default {
    name: 'lone',
    title: 'One client, one command in flight',
    async run(ctx) {
        const { result } = ctx;
        const ledger = await Ledger.start(ctx);
        const hot = await ledger.prepare('hot', 1);
        let found;
        let last;
        const commit = async () => {
            found = await probe(ledger.cluster, ctx.quick ? 50 : 2000);
            return probed('lmdb_commit_us');
        };
        const probed = (key) => ({ p50: found[key].p50 / 1000, p99: found[key].p99 / 1000 });
        const cycle = async () => {
            last = await ledger.cycles(hot, { clients: 1, inFlight: 1 });
            return { ...last, p50: last.reserve_p50, p99: last.reserve_p99 };
        };
        result.columns = [
            { key: 'p50', head: 'p50, ms', digits: 3 },
            { key: 'p99', head: 'p99, ms', digits: 3 },
        ];
        result.rows = await interleaved(ctx, [
            { name: 'reserve', measure: cycle },
            { name: 'settle', measure: () => ({ p50: last.settle_p50, p99: last.settle_p99 }) },
            { name: 'bare LMDB commit of 400 bytes, its blocks written before', measure: commit },
            { name: 'the same to a file that grows', measure: () => probed('lmdb_growing_us') },
            { name: 'bare write and fdatasync of 4 KiB', measure: () => probed('flush_us') },
            { name: 'loopback round trip, mutual TLS', measure: () => probed('tls_round_trip_us') },
            { name: 'loopback round trip, TCP', measure: () => probed('tcp_round_trip_us') },
        ]);
        noteRuns(result);
        const at = (name) => of(result.rows.find((row) => row.name.startsWith(name)), 'p50').median;
        const allowed = at('bare LMDB') + 2 * at('loopback round trip, mutual') + ALLOWED_MS;
        const measured = Math.max(at('reserve'), at('settle'));
        result.verdicts.push({
            goal: `p50 of a command at most one LMDB commit, 2 round trips (TLS) and 0.3 ms: ${figure(allowed, 3)} ms`,
            measured: `${figure(measured, 3)} ms`, met: measured <= allowed,
        });
    },
};
