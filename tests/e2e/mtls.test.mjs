// SPDX-License-Identifier: Apache-2.0
// Who may speak to a ledger node, and what a hostile edge can do: it has a valid certificate, it
// knows the protocol, and it has no credential.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Tenant, chat, importPrices, nodesAgree, post, priced } from './lib/tenant.mjs';
import { until, within } from './lib/wait.mjs';
import { NONE, REQUEST, STATUS, Wire, bytesOf, command, decode, query, request, uuid7 } from './lib/wire.mjs';

const cluster = await Cluster.start({ after }, { nodes: 3, edges: 1 });
await importPrices(cluster, { flat: priced({ input_cost_per_request: '0.001' }) });
const tenant = await Tenant.create(cluster, 'victim', { deposit: '10' });
const key = await tenant.key('k');
const certs = (name) => join(cluster.dir, 'certs', name);
const pem = (name) => readFileSync(certs(name));

/** Ports of node 1 by the lines of cluster.conf. */
function port(kind, n = 1) {
    const text = readFileSync(join(cluster.dir, 'cluster.conf'), 'utf8');
    const section = text.split(/^\[/m).find((part) => part.startsWith(`node ${n}]`));
    return Number(new RegExp(`^${kind} = .*:(\\d+)`, 'm').exec(section)[1]);
}
const openssl = spawnSync('openssl', ['version']).status === 0;
/** How this version is told to make a certificate that is over: newer ones refuse less than a day. */
const over = /-not_after/.test(spawnSync('openssl', ['x509', '-help'], { encoding: 'utf8' }).stderr)
    ? ['-not_before', '20200101000000Z', '-not_after', '20200102000000Z'] : ['-days', '-1'];

/** A certificate for a client, by one of the cluster's authorities or one of its own. */
function forged(name, { ca, expired }) {
    const file = (end) => certs(`${name}.${end}`);
    const call = (...args) => {
        const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
        assert.equal(status, 0, stderr);
    };
    call('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', file('key'));
    call('req', '-new', '-key', file('key'), '-subj', `/CN=${name}`, '-out', file('csr'));
    writeFileSync(file('ext'), 'extendedKeyUsage=clientAuth,serverAuth\n');
    call('x509', '-req', '-in', file('csr'), '-out', file('crt'), '-extfile', file('ext'),
        ...(expired ? over : ['-days', '10']),
        ...(ca ? ['-CA', certs(`${ca}.crt`), '-CAkey', certs(`${ca}.key`), '-set_serial', String(Date.now())]
            : ['-signkey', file('key')]));
    return { cert: readFileSync(file('crt')), key: readFileSync(file('key')) };
}

const own = (name) => ({ cert: pem(name), key: pem(name) });
const client = { port: port('client'), ca: pem('client-ca.crt'), checkName: false };
const peer = { port: port('peer'), ca: pem('peer-ca.crt'), checkName: false };
const dial = ({ port: to, ...rest }, identity, more) => Wire.open(to, { ...rest, ...identity, ...more });

async function refused(target, identity, more) {
    await assert.rejects(dial(target, identity, more).then((wire) => wire.close()));
}

test('F51_the_client_port_takes_only_its_own_authoritys_certificates', { skip: !openssl && 'no openssl' }, async () => {
    const edge = await dial(client, own('edge-1.pem')); // so that a refusal below means the identity
    await edge.close();
    await refused(client, {});
    await refused(client, own('node-1.pem')); // a peer's
    await refused(client, forged('stranger', {}));
    await refused(client, forged('web', { ca: 'web-ca' }));
    await refused(client, forged('late', { ca: 'client-ca', expired: true }));
    const timely = await dial(client, forged('timely', { ca: 'client-ca' })); // the forger's own check
    await timely.close();
});

test('F51_the_peer_port_takes_only_its_own_authoritys_certificates', { skip: !openssl && 'no openssl' }, async () => {
    const node = await dial(peer, own('node-2.pem'));
    await node.close();
    await refused(peer, {});
    await refused(peer, own('edge-1.pem')); // an edge cannot speak as a peer
    await refused(peer, own('ctl.pem'));
    await refused(peer, forged('impostor', {}));
    await refused(peer, forged('past', { ca: 'peer-ca', expired: true }));
});

test('F51_a_dialer_refuses_a_node_of_another_name', async (t) => {
    const conf = join(cluster.dir, 'cluster.conf');
    const text = readFileSync(conf, 'utf8');
    const misnamed = text.replace(/^client_name = .*$/gm, 'client_name = somebody.else');
    const names = /^client_name = (\S+)$/m.exec(text);
    const other = names ? misnamed : text.replace(/^client = (.*)$/gm, 'client = $1\nclient_name = somebody.else');
    t.after(() => writeFileSync(conf, text));
    writeFileSync(conf, other);
    const { status, stdout, stderr } = await cluster.tryCtl('status');
    assert.notEqual(status, 0);
    const nodes = stdout ? JSON.parse(stdout).nodes : [];
    assert.ok(nodes.every((node) => !node.reachable), stderr);
});

// --- a hostile edge ---

const KIND = {
    genesis: 1, org_create: 2, org_pause: 4, team_create: 10, key_create: 20, deposit: 30, budget_put: 40,
    price_import: 50, reserve: 60, settle: 61, release: 62,
};
const victim = bytesOf(tenant.org);
const wrong = randomBytes(32);

/** Every node's applied index goes on, the leader is the same, nobody restarted, money is served. */
async function unharmed(leader) {
    const answer = await within('a call', post(cluster.edgeUrl(1), key.api_key, chat('flat')), 10_000);
    assert.equal(answer.status, 200, answer.body.toString());
    for (const [n, node] of cluster.nodes) {
        assert.equal(node.exit, null, `node ${n}\n${node.story()}`);
    }
    if (leader) {
        assert.equal((await cluster.ctl('status')).leader, leader);
    }
}

const toNode = (n) => dial({ ...client, port: port('client', n) }, own('edge-1.pem'));
/** The leader's port: the commands of a hostile edge are to reach the machine. */
const toLeader = async () => toNode(await cluster.leader());

test('F51_without_a_credential_nothing_is_read', async () => {
    const wire = await toLeader();
    const OPEN = new Set([6, 8]); // prices, and totals without any org's figures
    for (const cred of [NONE, wrong]) {
        for (const org of [NONE, victim]) {
            for (let kind = 0; kind <= 12; kind++) {
                const [[, status], [bytes]] = await wire.ask(
                    request(cluster.made.cluster, REQUEST.query, [query(kind, { org, cred })]));
                if (status !== STATUS.done) {
                    continue; // no such query
                }
                const [code, , rows] = decode(bytes);
                assert.ok(OPEN.has(kind) || (code !== 0 && rows.length === 0), `query ${kind}: code ${code}`);
            }
        }
    }
    await wire.close();
});

test('F51_without_a_credential_nothing_is_done', async () => {
    const before = await tenant.show();
    const wire = await toLeader();
    const hold = uuid7();
    const bodies = [
        [KIND.genesis, [bytesOf(cluster.made.cluster), 0, 1, wrong, wrong]],
        [KIND.org_create, ['mine', 1, 0, true, true]],
        [KIND.org_pause, ['because']],
        [KIND.team_create, ['mine']],
        [KIND.key_create, [0, 'abcdefgh', wrong, 'mine', '', 0, []]],
        [KIND.deposit, [1_000_000_000, '', 'mine']],
        [KIND.budget_put, [0, 0, 0, '', 0, 1, 0, 0, 402, false, '', NONE]],
        [KIND.price_import, [2, 'mine', 1, 1, true, NONE]],
        [KIND.reserve, [wrong, 1, 0, 60_000_000, 0, '', '', '', '', NONE, [['flat', 1]]]],
        [KIND.settle, [hold, wrong, 1, 1, 0, []]],
        [KIND.release, [hold, wrong, 0]],
    ];
    const answered = [];
    for (const [kind, body] of bodies) {
        for (const cred of [NONE, wrong]) {
            for (const org of [NONE, victim]) {
                const [[, status], items] = await wire.ask(
                    request(cluster.made.cluster, REQUEST.commands, [command(kind, body, { org, cred })]));
                if (status === STATUS.done) {
                    const [code] = decode(items[0][3]);
                    answered.push(kind);
                    assert.notEqual(code, 0, `command ${kind} was done`);
                }
            }
        }
    }
    for (const kind of Object.values(KIND)) { // it was the machine that refused, not a spelling of ours
        assert.ok(kind === KIND.genesis || answered.includes(kind), `command ${kind} did not reach the machine`);
    }
    await wire.close();
    assert.deepEqual(await tenant.show(), before);
});

test('F51_a_hold_is_closed_only_by_who_has_its_token', async () => {
    const slow = post(cluster.edgeUrl(1), key.api_key,
        chat('flat', { metadata: { mock_latency_ms: '1500' } }));
    const open = await until('an open hold', async () => (await tenant.show()).open_holds > 0);
    assert.ok(open);
    const log = await cluster.replay(await cluster.leader(), '--log');
    const lines = log.stdout.trim().split('\n').map((line) => JSON.parse(line));
    const reserve = lines.findLast((line) => line.command?.command === 'reserve' && line.result.code === 'OK');
    const hold = bytesOf(reserve.command.head.id);
    const wire = await toLeader();
    for (const [kind, body] of [[KIND.settle, [hold, wrong, 1, 9, 0, []]], [KIND.release, [hold, wrong, 0]]]) {
        const [[, status], items] = await wire.ask(
            request(cluster.made.cluster, REQUEST.commands, [command(kind, body, { org: victim })]));
        assert.equal(status, STATUS.done);
        assert.equal(decode(items[0][3])[0], 36); // UNAUTHORISED_HOLD
    }
    await wire.close();
    assert.equal((await slow).status, 200);
});

test('F51_a_crowd_of_strangers_fills_no_log', async (t) => {
    const leader = await cluster.leader();
    const wire = await toNode(leader);
    const bodies = [
        [KIND.reserve, [wrong, 1, 0, 60_000_000, 0, '', '', '', '', NONE, [['flat', 1]]], { cred: wrong }],
        [KIND.settle, [uuid7(), wrong, 1, 1, 0, []], { org: randomBytes(16) }],
        [KIND.deposit, [1_000_000_000, '', 'mine'], { cred: wrong, org: victim }],
    ];
    const codes = new Set();
    for (let i = 0; i < 900; i++) {
        const [kind, body, head] = bodies[i % bodies.length];
        const [[, status], items] = await wire.ask(
            request(cluster.made.cluster, REQUEST.commands, [command(kind, body, head)]));
        assert.equal(status, STATUS.done);
        codes.add(decode(items[0][3])[0]);
    }
    await wire.close();
    assert.deepEqual([...codes].sort((a, b) => a - b), [2, 20]); // UNAUTHENTICATED, ORG_UNKNOWN
    await unharmed(leader); // who is known is served meanwhile
    const { stdout } = await cluster.replay(leader, '--log');
    const written = stdout.split('\n').filter((line) => /"code":"(UNAUTHENTICATED|ORG_UNKNOWN)"/.test(line)).length;
    t.diagnostic(`900 commands of strangers, ${written} of them (and of the tests before) in the log`);
    assert.ok(written > 0 && written < 300, `${written} written down`);
});

test('F51_malformed_frames_are_answered_and_stop_nobody', async () => {
    const leader = await cluster.leader();
    const wire = await toLeader();
    const good = request(cluster.made.cluster, REQUEST.commands, [command(KIND.deposit, [1, '', ''])]);
    const [[, foreign]] = await wire.ask(request('018f3c2e-7a10-7cc2-9a51-0a1b2c3d4e5f', REQUEST.status));
    assert.equal(foreign, STATUS.wrong_cluster);
    let bad = 0;
    for (let i = 0; i < 2000; i++) {
        const bytes = Buffer.from(i % 4 === 0 ? randomBytes(1 + (i % 300)) : good);
        for (let edits = 1 + (i % 5); i % 4 !== 0 && edits > 0; edits--) {
            bytes[Math.floor(Math.random() * bytes.length)] = Math.floor(Math.random() * 256);
        }
        const [[, status]] = await wire.ask(i % 7 === 0 ? bytes.subarray(0, bytes.length / 2) : bytes);
        bad += status === STATUS.bad_frame ? 1 : 0;
    }
    assert.ok(bad > 500, `${bad} frames were called bad`);
    await wire.close();
    await unharmed(leader);
});

test('F51_huge_frames_end_their_connection_only', async () => {
    const leader = await cluster.leader();
    for (const length of [2 ** 20 + 1, 2 ** 31, 2 ** 32 - 1]) {
        const wire = await toLeader();
        wire.promise(length);
        await within(`a frame of ${length} bytes to be cut off`, wire.closed, 10_000);
    }
    await unharmed(leader);
});

function residentMiB(pid) {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
}

test('F51_slow_frames_and_idle_connections_keep_nobody_waiting', { timeout: 120_000 }, async (t) => {
    const leader = await cluster.leader();
    const { pid } = cluster.nodes.get(leader);
    const before = residentMiB(pid);
    const slow = [];
    for (let i = 0; i < 200; i++) { // each has begun a frame of a MiB
        const wire = await toNode(leader);
        wire.promise(2 ** 20, Buffer.alloc(16));
        slow.push(wire);
    }
    const idle = await Promise.all(Array.from({ length: 300 }, async () => { // not even TLS
        const socket = connect(port('client', leader), '127.0.0.1').on('error', () => {});
        await once(socket, 'connect');
        return socket;
    }));
    await unharmed(leader);
    t.diagnostic(`200 slow frames, 300 idle connections: ${Math.round(before)} -> ${Math.round(residentMiB(pid))} MiB`);
    await Promise.all(slow.map((wire) => wire.close()));
    idle.forEach((socket) => socket.destroy());
    await unharmed(leader);
});

test('F51_a_node_without_a_free_descriptor_takes_up_again', { timeout: 120_000 }, async (t) => {
    const leader = await cluster.leader();
    const { pid } = cluster.nodes.get(leader);
    const limit = 200;
    const set = (n) => spawnSync('prlimit', ['--pid', String(pid), `--nofile=${n}:`]);
    if (set(limit).status !== 0) {
        t.skip('no prlimit');
        return;
    }
    const idle = [];
    for (let i = 0; i < limit + 50; i++) {
        const socket = connect(port('client', leader), '127.0.0.1').on('error', () => {});
        await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
        idle.push(socket);
    }
    idle.forEach((socket) => socket.destroy());
    await until('a call to be served again', async () =>
        (await post(cluster.edgeUrl(1), key.api_key, chat('flat'))).status === 200);
    for (const [n, node] of cluster.nodes) {
        assert.equal(node.exit, null, `node ${n}\n${node.story()}`);
    }
});

test('F51_who_never_reads_its_answers_keeps_nobody_waiting', { timeout: 120_000 }, async (t) => {
    const leader = await cluster.leader();
    const deaf = [];
    for (let i = 0; i < 40; i++) {
        const wire = await toNode(leader);
        wire.socket.pause();
        for (let k = 0; k < 200; k++) {
            wire.post(request(cluster.made.cluster, REQUEST.status));
        }
        deaf.push(wire);
    }
    const started = performance.now();
    await unharmed(leader);
    t.diagnostic(`a call beside 40 connections that do not read: ${Math.round(performance.now() - started)} ms`);
    await Promise.all(deaf.map((wire) => wire.close()));
    await unharmed(leader);
});

test('F51_F4_after_all_that_the_books_are_right', async () => {
    const org = await tenant.quiet({ deadlineMs: 60_000 });
    assert.equal(org.held_nanos, 0);
    await nodesAgree(cluster);
    for (const n of [1, 2, 3]) {
        const { status, stderr } = await cluster.replay(n);
        assert.equal(status, 0, stderr);
    }
});
