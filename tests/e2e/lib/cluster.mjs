// SPDX-License-Identifier: Apache-2.0
// A whole Holdfast on loopback: N ledger nodes, edges and the built-in mock provider, each a real
// process with its log in the cluster's folder. It is gone when the test is.
//
//   const cluster = await Cluster.start(t, { nodes: 3, edges: 2 });
//   const org = await cluster.ctl('org', 'create', '--name', 'acme');
//   const openai = cluster.openai(1, apiKey);
//   await cluster.killNode(await cluster.leader());
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';
import { files, leaderOf, programs } from './programs.mjs';
import { freePorts, program, temporary, trust } from './place.mjs';
import { Program, run } from './process.mjs';
import { until } from './wait.mjs';

/** An INI file as {section: {key: value}}. */
export function readIni(path) {
    const sections = {};
    let section = (sections[''] = {});
    for (const line of readFileSync(path, 'utf8').split('\n')) {
        const text = line.trim();
        if (text === '' || text[0] === ';' || text[0] === '#') {
            continue;
        }
        const head = /^\[(.*)\]$/.exec(text);
        if (head) {
            section = sections[head[1].trim()] ??= {};
        } else {
            const at = text.indexOf('=');
            section[text.slice(0, at).trim()] = text.slice(at + 1).trim();
        }
    }
    return sections;
}

export class Cluster {
    /**
     * @param {string} dir
     * @param {{nodes?: number, edges?: number, initArgs?: string[], mockArgs?: string[], mock?: boolean,
     *          env?: object}} options
     */
    constructor(dir, { nodes = 3, edges = 2, initArgs = [], mockArgs = [], mock = true, env = {} } = {}) {
        this.dir = dir;
        this.size = { nodes, edges };
        this.initArgs = initArgs;
        this.mockArgs = mockArgs;
        this.withMock = mock;
        this.env = env;
        this.nodes = new Map(); // number -> Program, running ones only
        this.edges = new Map();
        this.mock = null;
        this.mockPort = 0;
    }

    /** Makes, starts and waits; ends everything when the test t ends. */
    static async start(t, options) {
        const cluster = new Cluster(temporary(t), options);
        t.after(() => cluster.stop());
        [cluster.mockPort] = await freePorts(1);
        await cluster.init();
        await cluster.startAll();
        return cluster;
    }

    #log(name) {
        return join(this.dir, `${name}.log`);
    }

    async #spawn({ command, args, ready }, name) {
        const started = new Program(program(command), args, { name, env: this.env, log: this.#log(name) });
        await started.waitLine(ready);
        return started;
    }

    async init() {
        const { command, args } = programs.init(this);
        await run(program(command), args, { env: this.env });
    }

    async startAll() {
        if (this.withMock) {
            this.mock = await this.#spawn(programs.mock(this), 'mock');
        }
        const numbers = (count) => Array.from({ length: count }, (_, i) => i + 1);
        await Promise.all(numbers(this.size.nodes).map((n) => this.startNode(n)));
        await this.leader();
        await Promise.all(numbers(this.size.edges).map((n) => this.startEdge(n)));
    }

    async startNode(n) {
        this.nodes.set(n, await this.#spawn(programs.node(this, n), `node-${n}`));
    }

    async startEdge(n) {
        trust(join(this.dir, files.webCa));
        this.edges.set(n, await this.#spawn(programs.edge(this, n), `edge-${n}`));
    }

    /** Ends a ledger node as SIGTERM does; killNode is the power cut. Both return how it ended. */
    async endNode(n) {
        return this.#take(this.nodes, n).end();
    }

    async killNode(n) {
        return this.#take(this.nodes, n).kill();
    }

    async endEdge(n) {
        return this.#take(this.edges, n).end();
    }

    #take(programs, n) {
        const found = programs.get(n);
        if (!found) {
            throw new Error(`number ${n} is not running`);
        }
        programs.delete(n);
        return found;
    }

    /** Waits for a leader and returns its number. */
    async leader(options) {
        return until('a leader', async () => leaderOf(await this.ctl('status')), options);
    }

    /** What holdfastctl says, parsed; a status other than 0 is an error. */
    async ctl(...args) {
        const call = programs.ctl(this, args);
        return (await run(program(call.command), call.args, { env: this.env })).json;
    }

    /** holdfastctl's {status, stdout, stderr, json}; `tryCtl` is for calls that may fail. */
    async tryCtl(...args) {
        const call = programs.ctl(this, args);
        return run(program(call.command), call.args, { env: this.env, check: false });
    }

    /** Runs the replay tool on a node's data and returns {status, json, ...}. */
    async replay(n, ...args) {
        const call = programs.replay(this, n, args);
        return run(program(call.command), call.args, { check: false, deadlineMs: 120_000 });
    }

    dataDir(n) {
        return join(this.dir, files.data(n));
    }

    operatorToken() {
        return readFileSync(join(this.dir, files.operatorToken), 'utf8').trim();
    }

    /** An edge's address from its configuration: "https://127.0.0.1:PORT". */
    edgeUrl(n) {
        const config = readIni(join(this.dir, files.edgeConfig(n)));
        return `${config.tls ? 'https' : 'http'}://${config.edge.listen}`;
    }

    /** The official client, pointed at an edge. */
    openai(n, apiKey, options = {}) {
        return new OpenAI({ baseURL: `${this.edgeUrl(n)}/v1`, apiKey, ...options });
    }

    /** Ends whatever still runs, edges first. Idempotent. */
    async stop() {
        const end = (map) => Promise.all([...map.values()].map((one) => one.end()));
        try {
            await end(this.edges);
            await end(this.nodes);
            await this.mock?.end();
        } finally {
            this.edges.clear();
            this.nodes.clear();
            this.mock = null;
        }
    }
}
