// SPDX-License-Identifier: Apache-2.0
// The thread of lines.mjs: relays that hold bytes back. Apart from the test's own, so that what
// clients do there makes nothing late. A line that has QUEUE_BYTES on its way is not fed further.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

const QUEUE_BYTES = 4 << 20;
const SMOOTH = Object.freeze({ delayMs: 0, jitterMs: 0, bytesPerSecond: 0, stalled: false, deaf: false });

/** The bytes of one direction of one connection, each delivered in its turn and not before its time. */
class Pipe {
    constructor(source, sink, line) {
        Object.assign(this, { source, sink, line, queue: [], bytes: 0, lastAt: 0, freeAt: 0, timer: null });
        line.pipes.add(this);
        source.on('data', (chunk) => this.take(chunk));
        source.on('end', () => this.put(null, 0));
        source.on('close', () => this.put(null, 0));
        sink.on('close', () => this.close());
        sink.on('drain', () => this.deliver());
    }

    take(chunk) {
        if (this.line.rules.deaf) {
            this.lost = true;
            return;
        }
        this.put(chunk, chunk.length);
        if (this.bytes > QUEUE_BYTES) {
            this.source.pause();
        }
    }

    put(chunk, n) {
        const { delayMs, jitterMs, bytesPerSecond } = this.line.rules;
        const now = performance.now();
        this.freeAt = bytesPerSecond ? Math.max(now, this.freeAt) + n * 1000 / bytesPerSecond : now;
        const at = Math.max(this.freeAt, now) + delayMs + jitterMs * Math.random();
        this.lastAt = Math.max(this.lastAt, at);
        this.queue.push({ at: this.lastAt, chunk });
        this.bytes += n;
        this.deliver();
    }

    /** The line is another one now, also for what is on its way. */
    hurry() {
        this.lastAt = this.freeAt = performance.now();
        const latest = this.lastAt + this.line.rules.delayMs;
        this.queue.forEach((one) => { one.at = Math.min(one.at, latest); });
        this.deliver();
    }

    deliver() {
        clearTimeout(this.timer);
        while (this.queue.length > 0 && !this.line.rules.stalled && !this.sink.writableNeedDrain) {
            const { at, chunk } = this.queue[0];
            const wait = at - performance.now();
            if (wait > 0.5) {
                this.timer = setTimeout(() => this.deliver(), wait);
                break;
            }
            this.queue.shift();
            if (chunk === null) {
                this.sink.destroy();
                break;
            }
            this.bytes -= chunk.length;
            this.sink.write(chunk);
        }
        if (this.source.isPaused() && this.bytes <= QUEUE_BYTES) {
            this.source.resume();
        }
    }

    close() {
        clearTimeout(this.timer);
        this.line.pipes.delete(this);
        this.source.destroy();
        this.sink.destroy();
    }
}

async function relay({ targets }) {
    const lines = new Map();
    const ports = {};
    const pairs = Object.keys(targets).flatMap((a) => Object.keys(targets).filter((b) => b !== a).map((b) => [a, b]));
    for (const [a, b] of pairs) {
        lines.set(`${a}>${b}`, { rules: SMOOTH, pipes: new Set() });
    }
    for (const [a, b] of pairs) {
        const [host, port] = targets[b].split(':');
        const server = createServer((near) => {
            const far = connect({ host, port: Number(port), noDelay: true });
            near.setNoDelay(true);
            near.on('error', () => {});
            far.on('error', () => {});
            new Pipe(near, far, lines.get(`${a}>${b}`));
            new Pipe(far, near, lines.get(`${b}>${a}`));
        });
        server.listen(0, '127.0.0.1');
        await once(server, 'listening');
        ports[`${a}>${b}`] = server.address().port;
    }
    parentPort.on('message', ({ number, pairs: which, rules }) => {
        for (const [a, b] of which) {
            const line = lines.get(`${a}>${b}`);
            line.rules = { ...SMOOTH, ...rules };
            for (const pipe of [...line.pipes]) {
                if (pipe.lost && !rules.deaf) {
                    pipe.close(); // bytes are missing: nothing more can be said on it
                } else {
                    pipe.hurry();
                }
            }
        }
        parentPort.postMessage(number);
    });
    parentPort.postMessage(ports);
}

await relay(workerData);
