// SPDX-License-Identifier: Apache-2.0
// Where things are: the programs built, data that others wrote, temporary folders, free ports.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import * as tls from 'node:tls';

export const root = resolve(import.meta.dirname, '../../..');

/** The path of a program: from HOLDFAST_BIN, or the first build that has it. */
export function program(name) {
    const folders = process.env.HOLDFAST_BIN
        ? [process.env.HOLDFAST_BIN]
        : ['build/test/release/bin', 'build/release/bin'].map((folder) => join(root, folder));
    const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
    if (!found) {
        throw new Error(`no program ${name} in ${folders.join(' or ')}: build first, or set HOLDFAST_BIN`);
    }
    return found;
}

/** A path in the shared test data (HOLDFAST_SHARED, or beside the project), or null. */
export function shared(path) {
    const folder = process.env.HOLDFAST_SHARED ?? resolve(root, '../shared');
    const found = join(folder, 'data', path);
    return existsSync(found) ? found : null;
}

/** For a test's `skip` option: false, or why it cannot run. */
export function skipWithout(path) {
    return shared(path) ? false : `shared data ${path} is not here (see HOLDFAST_SHARED)`;
}

/**
 * A temporary folder that goes when the test passes. HOLDFAST_KEEP=1 keeps it.
 * @param {import('node:test').TestContext} [t]
 */
export function temporary(t, prefix = 'holdfast-e2e-') {
    const folder = mkdtempSync(join(tmpdir(), prefix));
    const remove = () => rmSync(folder, { recursive: true, force: true });
    if (process.env.HOLDFAST_KEEP) {
        t?.diagnostic?.(`kept: ${folder}`);
    } else if (t) {
        t.after(remove);
    } else {
        process.on('exit', remove);
    }
    return folder;
}

const given = new Set();

/** Ports of 127.0.0.1 that were free a moment ago, none given twice in this process. */
export async function freePorts(count) {
    const servers = [];
    const ports = [];
    while (ports.length < count) {
        const server = createServer();
        server.listen(0, '127.0.0.1');
        await once(server, 'listening');
        servers.push(server);
        const { port } = server.address();
        if (!given.has(port)) {
            given.add(port);
            ports.push(port);
        }
    }
    await Promise.all(servers.map((server) => once(server.close(), 'close')));
    return ports;
}

/** Makes every TLS client of this process trust a CA's file beside those it trusts already. */
export function trust(file) {
    tls.setDefaultCACertificates([...tls.getCACertificates('default'), readFileSync(file, 'utf8')]);
}
