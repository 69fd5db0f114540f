// SPDX-License-Identifier: Apache-2.0
// A cluster with one edge in front of the mock, and holdfast-bench's calls and streams to it.
import { join } from 'node:path';
import { Cluster } from '../../e2e/lib/cluster.mjs';
import { program } from '../../e2e/lib/place.mjs';
import { edgesReady, importPrices, priced, Tenant } from '../../e2e/lib/tenant.mjs';

export const MODEL = 'bench-model';

export class Web {
    /** Three nodes, one edge with one worker, the mock with one; prices, and a key under org, team and
     *  key budgets. */
    static async start(ctx, { tls = false } = {}) {
        const web = new Web();
        web.ctx = ctx;
        web.tls = tls;
        web.cluster = await Cluster.start(ctx.t, { nodes: 3, edges: 1, initArgs: tls ? [] : ['--plain-http'] });
        await importPrices(web.cluster, {
            [MODEL]: priced({ input_cost_per_token: '0.00000015', output_cost_per_token: '0.0000006' }),
        });
        const tenant = await Tenant.create(web.cluster, 'bench', { deposit: '1000000' });
        const { team } = await tenant.ctl('team', 'create', '--name', 'bench');
        const key = await tenant.key('bench', '--team', String(team));
        for (const [scope, subject] of [['org', null], ['team', team], ['key', key.key]]) {
            await tenant.budget(scope, subject, '1000000', '--window', 'monthly');
        }
        web.key = key.api_key;
        return web;
    }

    get mockUrl() {
        return new URL(this.cluster.providerUrl).origin;
    }

    get edge() {
        return this.cluster.edges.get(1);
    }

    async freshEdge() {
        await this.cluster.endEdge(1);
        await this.cluster.startEdge(1);
        await edgesReady(this.cluster);
    }

    /** The processes that a call to the edge passes. */
    pids() {
        return { edge: this.edge.pid, mock: this.cluster.mock.pid,
            ...Object.fromEntries([...this.cluster.nodes].map(([n, node]) => [`node-${n}`, node.pid])) };
    }

    /** {command, args, env} of holdfast-bench. */
    load(mode, url, more) {
        const ca = url.startsWith('https:') ? ['--ca', join(this.cluster.dir, 'certs/web-ca.crt')] : [];
        return { command: program('holdfast-bench'), args: [mode, '--url', url, '--model', MODEL, '--json', ...ca, ...more],
            env: { HOLDFAST_API_KEY: this.key } };
    }
}
