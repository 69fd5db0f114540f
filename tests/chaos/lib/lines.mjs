// SPDX-License-Identifier: Apache-2.0
// The network between ledger nodes as lines in the test's hands: for each directed pair of nodes a
// relay on loopback that can be late, uneven, narrow, stalled or deaf. TLS passes through untouched;
// the product knows nothing of it.
//
//   const lines = await Lines.between(cluster);     // after init, before nodes start
//   await lines.set([[1, 2], [2, 1]], { delayMs: 20, jitterMs: 5 });
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { program } from '../../e2e/lib/place.mjs';
import { run } from '../../e2e/lib/process.mjs';

export class Lines {
    constructor(worker, numbers) {
        this.worker = worker;
        this.numbers = numbers;
        this.asked = 0;
    }

    /** Makes the data directories, then puts a line between every two nodes of a cluster that was initialised. */
    static async between(cluster) {
        const numbers = Array.from({ length: cluster.size.nodes }, (_, i) => i + 1);
        const book = readFileSync(join(cluster.dir, 'cluster.conf'), 'utf8');
        const peer = (n) => new RegExp(`(\\[node ${n}\\][^[]*?\\npeer *= *)(\\S+)`);
        const targets = Object.fromEntries(numbers.map((n) => [n, peer(n).exec(book)[2]]));
        const worker = new Worker(new URL('./relay.mjs', import.meta.url), { workerData: { targets } });
        worker.unref();
        const [ports] = await once(worker, 'message'); // "1>2" -> port
        for (const n of numbers) {
            const config = join(cluster.dir, `node-${n}.conf`);
            await run(program('holdfast-ledger'), ['init', '--config', config]);
            cluster.started.add(n);
            const seen = numbers.filter((m) => m !== n)
                .reduce((text, m) => text.replace(peer(m), (_, key) => `${key}127.0.0.1:${ports[`${n}>${m}`]}`), book);
            writeFileSync(join(cluster.dir, `cluster-${n}.conf`), seen);
            writeFileSync(config, readFileSync(config, 'utf8').replace(/^cluster *=.*$/m, `cluster = cluster-${n}.conf`));
        }
        return new Lines(worker, numbers);
    }

    /** All directed pairs, or those from or to one of `nodes`. */
    all() {
        return this.numbers.flatMap((a) => this.numbers.filter((b) => b !== a).map((b) => [a, b]));
    }

    from(n) {
        return this.all().filter(([a]) => a === n);
    }

    to(n) {
        return this.all().filter(([, b]) => b === n);
    }

    of(n) {
        return [...this.from(n), ...this.to(n)];
    }

    /** These lines are so from now on; what is not named is as on a good line. */
    async set(pairs, rules = {}) {
        const number = ++this.asked;
        this.worker.postMessage({ number, pairs, rules });
        for (;;) {
            const [answer] = await once(this.worker, 'message');
            if (answer === number) {
                return;
            }
        }
    }

    heal() {
        return this.set(this.all());
    }

    close() {
        return this.worker.terminate();
    }
}
