// SPDX-License-Identifier: Apache-2.0
// What the tests do with a cluster: prices, an org with money and keys, calls with their bill, and
// what the ledger's own log says about them.
import { writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import * as tls from 'node:tls';
import { until } from './wait.mjs';

const DOLLAR = 1_000_000_000; // nano-dollars

/** Of a result, in the log. */
export const FLAG = { duplicate: 1, overrun: 2, late: 4, estimated: 8, override: 16 };
/** Where the cost of a settle command came from. */
export const SOURCE = { usage: 0, provider: 1, estimate: 2 };
/** What is counted, by the numbers in the log. */
export const UNIT = { input: 0, output: 1, cacheRead: 2, reasoning: 10, request: 11 };

/** Exact nano-dollars of a decimal text of dollars, as the headers have it. */
export function nanos(dollars) {
    const match = /^(-?)(\d+)(?:\.(\d{1,9}))?$/.exec(dollars);
    if (!match) {
        throw new Error(`not an amount: ${dollars}`);
    }
    const amount = Number(match[2]) * DOLLAR + Number((match[3] ?? '').padEnd(9, '0'));
    return match[1] ? -amount : amount;
}

/** The decimal text of nano-dollars, for the command line. */
export function dollars(amount) {
    return `${Math.trunc(amount / DOLLAR)}.${String(amount % DOLLAR).padStart(9, '0')}`;
}

/** A model of the price map. Prices are decimal dollars as text, so that none is rounded here. */
export function priced(prices) {
    return { litellm_provider: 'mock', mode: 'chat', ...prices };
}

/**
 * Imports a price map and waits until every edge serves.
 * @param {Record<string, object>} models name -> priced({...})
 */
export async function importPrices(cluster, models) {
    const file = join(cluster.dir, 'prices.json');
    const text = JSON.stringify(models);
    writeFileSync(file, text.replace(/"(-?\d+(?:\.\d+)?(?:e-?\d+)?)"/g, '$1'));
    const made = await cluster.ctl('price', 'import', file);
    await edgesReady(cluster);
    return made;
}

export async function edgesReady(cluster) {
    await Promise.all([...cluster.edges].map(([n, edge]) => edge.waitHttp(`${cluster.edgeUrl(n)}/readyz`)));
}

/** An org with money. `deposit` in dollars, as text. */
export class Tenant {
    constructor(cluster, org) {
        this.cluster = cluster;
        this.org = org;
    }

    static async create(cluster, name, { deposit, args = [] } = {}) {
        const { org } = await cluster.ctl('org', 'create', '--name', name, ...args);
        const tenant = new Tenant(cluster, org);
        if (deposit) {
            await tenant.ctl('deposit', '--amount', deposit);
        }
        return tenant;
    }

    ctl(...args) {
        return this.cluster.ctl(...args, '--org', this.org);
    }

    tryCtl(...args) {
        return this.cluster.tryCtl(...args, '--org', this.org);
    }

    /** {key, public, api_key, ...} */
    key(label, ...args) {
        return this.ctl('key', 'create', '--label', label, ...args);
    }

    /** An absolute budget unless args say otherwise. Returns its number. */
    async budget(scope, subject, limit, ...args) {
        const which = subject === null ? [] : ['--subject', String(subject)];
        const { budget } = await this.ctl('budget', 'put', '--scope', scope, ...which, '--limit', limit,
            ...(args.includes('--window') ? [] : ['--window', 'absolute']), ...args);
        return budget;
    }

    show() {
        return this.ctl('org', 'show');
    }

    /** The org, as soon as nothing is held. */
    quiet(options) {
        return until('nothing held', async () => {
            const org = await this.show();
            return org.held_nanos === 0 && org.open_holds === 0 && org;
        }, options);
    }

    async counter(budget) {
        const { budgets } = await this.ctl('budget', 'list');
        return budgets.find((one) => one.budget === budget);
    }
}

/** A chat call's body. `metadata` holds the mock's overrides (mock_*). */
export function chat(model, { text = 'hi', metadata, ...rest } = {}) {
    return {
        model,
        messages: [{ role: 'user', content: text }],
        max_tokens: 16,
        ...(metadata ? { metadata } : {}),
        ...rest,
    };
}

/**
 * One call over HTTP, with everything a client can see of it.
 * @returns {Promise<{status: number, headers: object, trailers: object, body: Buffer, broken: boolean}>}
 *   broken: the answer ended before its end. Without any answer it rejects.
 */
export function post(url, apiKey, body, { headers = {}, agent, onData, signal } = {}) {
    return new Promise((resolve, reject) => {
        const payload = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
        const call = request(`${url}/v1/chat/completions`, {
            method: 'POST',
            ca: tls.getCACertificates('default'),
            agent,
            signal,
            headers: {
                authorization: `Bearer ${apiKey}`,
                'content-type': 'application/json',
                'content-length': payload.length,
                ...headers,
            },
        });
        call.on('error', reject);
        call.on('response', (answer) => {
            const pieces = [];
            const end = (broken) => resolve({
                status: answer.statusCode,
                headers: answer.headers,
                trailers: answer.trailers,
                body: Buffer.concat(pieces),
                broken,
            });
            answer.on('data', (piece) => {
                pieces.push(piece);
                onData?.(piece);
            });
            answer.on('end', () => end(!answer.complete));
            answer.on('error', () => end(true));
        });
        call.end(payload);
    });
}

/** {cost, receipt} of a stream's final comment, null if there is none. */
export function closingComment(text) {
    const match = /\n: holdfast cost=(\S+) receipt=(\S+)\n\n$/.exec(text);
    return match && { cost: match[1], receipt: match[2] };
}

/** What the mock counted: {received, completed, failed, aborted, in_flight, ...}. */
export async function mockStats(cluster) {
    const answer = await fetch(new URL('/mock/stats', cluster.providerUrl));
    return answer.json();
}

/** Waits until all nodes have applied the same index, and returns the status. */
export function nodesAgree(cluster, options) {
    return until('all nodes at the same index', async () => {
        const status = await cluster.ctl('status');
        const [first, ...others] = status.nodes;
        return status.quorum && first.reachable && others.every((node) => node.reachable
            && node.applied_index === first.applied_index && node.chain === first.chain) && status;
    }, options);
}

/**
 * The log of a node, executed by the replay tool: {report, commands, chains}. commands: every
 * {index, ordinal, command, result} in order; chains: entry index -> chain.
 */
export async function readLog(cluster, n, ...args) {
    const { status, stdout, stderr } = await cluster.replay(n, '--log', ...args);
    const lines = stdout.trim().split('\n').map((line) => JSON.parse(line));
    const report = lines.pop();
    const chains = new Map(lines.filter((line) => line.entry).map((line) => [line.entry, line.chain]));
    return { status, stderr, report, chains, commands: lines.filter((line) => line.command) };
}

/** Every transfer of a node's log, oldest first, and the report: {report, transfers}. */
export async function readTransfers(cluster, n, ...args) {
    const { status, stdout } = await cluster.replay(n, '--transactions', ...args);
    const lines = stdout.trim().split('\n').map((line) => JSON.parse(line));
    return { status, report: lines.pop(), transfers: lines };
}

/** The settle commands of a log that moved money, by hold. A second one of a hold is an error. */
export function settlements(log) {
    const found = new Map();
    for (const line of log.commands) {
        const { command, result } = line;
        if (command.command !== 'settle' || result.code !== 'OK' || (result.flags & FLAG.duplicate)) {
            continue;
        }
        if (found.has(command.body.hold)) {
            throw new Error(`hold ${command.body.hold} was settled twice, at ${line.index}`);
        }
        found.set(command.body.hold, line);
    }
    return found;
}
