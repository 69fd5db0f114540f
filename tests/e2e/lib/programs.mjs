// SPDX-License-Identifier: Apache-2.0
// How Holdfast's programs are called and how they say that they are ready: the one place to change
// when a flag does. Every function returns plain argument lists; `cluster` is a Cluster.
import { join } from 'node:path';

export const programs = {
    /** Makes certificates, cluster.conf, node-N.conf, edge-N.conf and the operator's token. */
    init: (cluster) => ({
        command: 'holdfastctl',
        args: ['init', '--out', cluster.dir,
            '--nodes', String(cluster.size.nodes), '--edges', String(cluster.size.edges),
            '--ports', 'auto', '--provider-url', `http://127.0.0.1:${cluster.mockPort}/v1`,
            ...cluster.initArgs],
    }),

    node: (cluster, n) => ({
        command: 'holdfast-ledger',
        args: ['--config', join(cluster.dir, `node-${n}.conf`)],
        ready: /"event":"(listening|ready)"|listening|ready/,
    }),

    edge: (cluster, n) => ({
        command: 'holdfast-edge',
        args: ['--config', join(cluster.dir, `edge-${n}.conf`)],
        ready: /"event":"(listening|ready)"|listening|ready/,
    }),

    mock: (cluster) => ({
        command: 'holdfast-mock',
        args: ['--listen', `127.0.0.1:${cluster.mockPort}`, ...cluster.mockArgs],
        ready: /listening|ready/,
    }),

    /** Any holdfastctl call, with what it needs to reach and to be let into this cluster. */
    ctl: (cluster, args) => ({
        command: 'holdfastctl',
        args: [...args, '--config', join(cluster.dir, 'ctl.conf'), '--json'],
    }),

    replay: (cluster, n, args) => ({
        command: 'holdfast-replay',
        args: ['--data', cluster.dataDir(n), '--json', ...args],
    }),
};

/** Where init puts things inside its folder. */
export const files = {
    data: (n) => join('data', `node-${n}`),
    edgeConfig: (n) => `edge-${n}.conf`,
    operatorToken: 'operator.token',
    webCa: join('certs', 'web-ca.crt'),
};

/** The leader's number in what `holdfastctl status --json` says, or null while there is none. */
export function leaderOf(status) {
    const leader = status.leader ?? status.nodes?.find((node) => node.role === 'leader')?.id;
    return leader ? Number(leader) : null;
}
