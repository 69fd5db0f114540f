// SPDX-License-Identifier: Apache-2.0
// Clients that keep calling while things break, and their own record of what they were told; and
// the comparison of that record with the ledger's log.
import assert from 'node:assert/strict';
import { Agent } from 'node:https';
import { setTimeout as pause } from 'node:timers/promises';
import { chat, closingComment, nanos, post, readLog, readTransfers, settlements } from './tenant.mjs';
import { until } from './wait.mjs';

const AFTER_REFUSAL_MS = 20; // a refused client does not spin

export class Load {
    /**
     * @param {{apiKey: string, clients: number, model?: string}[]} groups
     * Clients alternate between the edges, and between whole answers and streams.
     */
    constructor(cluster, groups) {
        this.records = []; // {apiKey, started, ended, status, hold, cost, receipt, code, error}
        this.stopping = false;
        this.agent = new Agent({ keepAlive: true });
        this.clients = groups.flatMap(({ apiKey, clients, model = 'flat' }) =>
            Array.from({ length: clients }, (_, i) => this.#run(cluster, apiKey, model, i)));
    }

    async #run(cluster, apiKey, model, number) {
        for (let turn = number; !this.stopping; turn++) {
            const record = await this.#call(cluster.edgeUrl(1 + (turn % cluster.size.edges)), apiKey, model, turn);
            this.records.push(record);
            if (record.status !== 200) {
                await pause(AFTER_REFUSAL_MS);
            }
        }
    }

    async #call(url, apiKey, model, turn) {
        const record = { apiKey, started: performance.now() };
        try {
            const answer = await post(url, apiKey, chat(model, { stream: turn % 4 >= 2 }), { agent: this.agent });
            const comment = answer.status === 200 ? closingComment(answer.body.toString()) : null;
            record.status = answer.status;
            record.broken = answer.broken;
            record.hold = answer.headers['x-holdfast-hold'];
            record.receipt = answer.headers['x-holdfast-receipt'] ?? comment?.receipt;
            const cost = answer.headers['x-holdfast-request-cost'] ?? comment?.cost;
            record.cost = cost === undefined ? undefined : nanos(cost);
            if (answer.status !== 200) {
                record.code = JSON.parse(answer.body).error.code;
            }
        } catch (error) {
            record.error = error.message;
        }
        record.ended = performance.now();
        return record;
    }

    get served() {
        return this.records.filter((record) => record.status === 200);
    }

    /** The first call that was begun after a moment and served. */
    servedSince(moment, options) {
        let looked = 0; // records are appended as calls end
        return until('a call to be served again', () => {
            for (; looked < this.records.length; looked++) {
                const record = this.records[looked];
                if (record.status === 200 && record.started > moment) {
                    return record;
                }
            }
            return null;
        }, { everyMs: 2, ...options });
    }

    /** `count` calls served that were begun after a moment. */
    async servedMore(count, moment = performance.now(), options) {
        await until(`${count} more calls`, () =>
            this.records.filter((record) => record.status === 200 && record.started > moment).length >= count, options);
    }

    /** How often each answer came, of the calls begun in a span of time: {"200": 12, "503": 1}. */
    answers(from = 0, to = Infinity) {
        const counts = {};
        for (const { started, status, code, error } of this.records) {
            if (started >= from && started < to) {
                const name = error ?? (code ? `${status} ${code}` : String(status));
                counts[name] = (counts[name] ?? 0) + 1;
            }
        }
        return counts;
    }

    async stop() {
        this.stopping = true;
        await Promise.all(this.clients);
        this.agent.destroy();
    }
}

/**
 * Compares what the clients were told with the log of every node: each receipt stands where it
 * says, with that hold and cost; each hold that was settled is one that a client was served by,
 * once. All nodes must stand at the same index. Returns the sum of the costs.
 */
export async function compareWithLog(cluster, org, records, nodes = [1, 2, 3]) {
    const served = records.filter((record) => record.status === 200);
    const byHold = new Map(served.map((record) => [record.hold, record]));
    assert.equal(byHold.size, served.length, 'two answers name the same hold');
    let sum = 0;
    for (const n of nodes) {
        const log = await readLog(cluster, n);
        assert.equal(log.status, 0, log.stderr);
        const settled = settlements(log);
        const at = new Map(log.commands.map((line) => [`${line.index}:${line.ordinal}`, line]));
        for (const record of served) {
            const line = settled.get(record.hold);
            assert.ok(line, `node ${n}: hold ${record.hold} was served and is not settled`);
            if (record.receipt) { // without one: answered as pending
                const [index, ordinal, chain] = record.receipt.split(':');
                assert.equal(at.get(`${index}:${ordinal}`)?.command.body.hold, record.hold, `node ${n}: receipt ${record.receipt}`);
                assert.equal(log.chains.get(Number(index)), chain);
                assert.equal(line.result.body.cost, record.cost);
            }
        }
        for (const hold of settled.keys()) {
            assert.ok(byHold.has(hold), `node ${n}: hold ${hold} was settled and no client was served`);
        }
        sum = [...settled.values()].reduce((total, line) => total + line.result.body.cost, 0);
        const books = log.report.orgs.find((one) => one.org === org);
        assert.equal(books.accounts_with_tail_nanos.usage, sum);
        assert.equal(books.accounts_with_tail_nanos.held, 0);
        assert.equal(log.report.drift_nanos, 0);
    }
    const { transfers } = await readTransfers(cluster, nodes[0], '--org', org);
    const paid = new Map();
    for (const transfer of transfers.filter((one) => one.kind === 'cost')) {
        assert.ok(!paid.has(transfer.ref), `hold ${transfer.ref} was paid twice`);
        paid.set(transfer.ref, transfer.amount_nanos);
    }
    assert.equal(paid.size, served.length);
    for (const record of served.filter((one) => one.cost !== undefined)) {
        assert.equal(paid.get(record.hold), record.cost);
    }
    return sum;
}
