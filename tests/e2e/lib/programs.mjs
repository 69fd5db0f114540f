// SPDX-License-Identifier: Apache-2.0
// How Holdfast's programs are called and how they say that they are ready: the one place to change
// when a flag does. `cluster` is a Cluster.
import { join } from 'node:path';

export const programs = {
    /** Makes certificates, cluster.conf, ctl.conf, node-N.conf, edge-N.conf, the operator's token. */
    init: (cluster) => ({
        command: 'holdfastctl',
        args: ['init', '--out', cluster.dir, '--ports', 'auto',
            '--nodes', String(cluster.size.nodes), '--edges', String(cluster.size.edges),
            '--provider-name', 'mock', '--provider-url', cluster.providerUrl,
            '--provider-key-env', 'HOLDFAST_E2E_PROVIDER_KEY', ...cluster.initArgs, '--json'],
    }),

    /** `first`: the data directory is made too; later, an empty one is an error, as it should be. */
    node: (cluster, n, first) => ({
        command: 'holdfast-ledger',
        args: ['--config', join(cluster.dir, `node-${n}.conf`), ...(first ? ['--init-if-empty'] : [])],
        ready: /^ready node=/,
    }),

    edge: (cluster, n) => ({
        command: 'holdfast-edge',
        args: ['--config', join(cluster.dir, `edge-${n}.conf`)],
        ready: /^ready address=(\S+)/,
    }),

    mock: (cluster) => ({
        command: 'holdfast-mock',
        args: ['--port', '0', ...cluster.mockArgs],
        ready: /^holdfast-mock listening on (\S+)/,
    }),

    /** Any holdfastctl call, with what it needs to reach and to be let into this cluster. */
    ctl: (cluster, args) => ({
        command: 'holdfastctl',
        args: [...args, '--config', cluster.dir, '--json'],
    }),

    replay: (cluster, n, args) => ({
        command: 'holdfast-replay',
        args: ['--data', cluster.dataDir(n), '--json', ...args],
    }),
};

/** Environment of every program: the provider's key, which the mock does not ask for. */
export const environment = { HOLDFAST_E2E_PROVIDER_KEY: 'mock-provider-key' };

/** Where init puts things inside its folder. */
export const files = {
    data: (n) => join('data', `node-${n}`),
    operatorToken: 'operator.token',
    webCa: join('certs', 'web-ca.crt'),
};
