// SPDX-License-Identifier: Apache-2.0
// A whole Holdfast on loopback: N ledger nodes, edges and the built-in mock provider, each a real
// process with its log in the cluster's folder. It is gone when the test is.
//
//   const cluster = await Cluster.start(t, { nodes: 3, edges: 2 });
//   const org = await cluster.ctl('org', 'create', 'acme');
//   const openai = cluster.openai(1, apiKey);
//   await cluster.killNode(await cluster.leader());
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';
import { environment, files, programs } from './programs.mjs';
import { program, temporary, trust } from './place.mjs';
import { Program, run } from './process.mjs';
import { until } from './wait.mjs';

export class Cluster {
    /**
     * @param {string} dir
     * @param {{nodes?: number, edges?: number, initArgs?: string[], mockArgs?: string[],
     *          providerUrl?: string, env?: object}} options providerUrl: of a provider of the test's
     *   own; no mock is started then. launch(n): {before, env} of ledger node n: a command to start it
     *   through, its own variables, instead: another program of the build
     */
    constructor(dir, {
        nodes = 3, edges = 2, initArgs = [], mockArgs = [], providerUrl, env, launch = () => ({}),
    } = {}) {
        this.dir = dir;
        this.size = { nodes, edges };
        this.initArgs = initArgs;
        this.mockArgs = mockArgs;
        this.providerUrl = providerUrl;
        this.env = { ...environment, ...env };
        this.launch = launch;
        this.nodes = new Map(); // number -> Program, running ones only
        this.edges = new Map();
        this.started = new Set(); // numbers of nodes that have a data directory
        this.mock = null;
        this.made = null; // what init said: {dir, cluster, edges, ledger, files}
    }

    /** For tests that change something between init and start. It ends before its folder goes. */
    static make(t, options) {
        let cluster = null;
        t.after(() => cluster?.stop());
        cluster = new Cluster(temporary(t), options);
        return cluster;
    }

    /** Makes, starts and waits; ends everything when the test t ends. */
    static async start(t, options) {
        const cluster = Cluster.make(t, options);
        await cluster.init();
        await cluster.startAll();
        return cluster;
    }

    #log(name) {
        return join(this.dir, `${name}.log`);
    }

    async #spawn({ command, args, ready }, name, { before = [], env, instead } = {}) {
        const [first, ...rest] = [...before, program(instead ?? command), ...args];
        const started = new Program(first, rest, { name, env: { ...this.env, ...env }, log: this.#log(name) });
        try {
            return { started, ready: await started.waitLine(ready) };
        } catch (error) {
            await started.kill();
            throw error;
        }
    }

    /** Starts the mock unless there is a provider, and writes the configuration. */
    async init() {
        if (this.providerUrl === undefined) {
            const { started, ready } = await this.#spawn(programs.mock(this), 'mock');
            this.mock = started;
            this.providerUrl = `${ready[1]}/v1`;
        }
        const { command, args } = programs.init(this);
        this.made = (await run(program(command), args, { env: this.env })).json;
        trust(join(this.dir, files.webCa));
    }

    async startAll() {
        const numbers = (count) => Array.from({ length: count }, (_, i) => i + 1);
        await Promise.all(numbers(this.size.nodes).map((n) => this.startNode(n)));
        await this.leader();
        await Promise.all(numbers(this.size.edges).map((n) => this.startEdge(n)));
    }

    async startNode(n) {
        const call = programs.node(this, n, !this.started.has(n));
        this.nodes.set(n, (await this.#spawn(call, `node-${n}`, this.launch(n))).started);
        this.started.add(n);
    }

    async startEdge(n) {
        this.edges.set(n, (await this.#spawn(programs.edge(this, n), `edge-${n}`)).started);
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
        return until('a leader', async () => (await this.ctl('status')).leader, options);
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
        return run(program(this.replayer ?? call.command), call.args, { check: false, deadlineMs: 120_000 });
    }

    dataDir(n) {
        return join(this.dir, files.data(n));
    }

    operatorToken() {
        return readFileSync(join(this.dir, files.operatorToken), 'utf8').trim();
    }

    /** An edge's address as init chose it: "https://127.0.0.1:PORT". */
    edgeUrl(n) {
        return this.made.edges[n - 1];
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
