// SPDX-License-Identifier: Apache-2.0
// Nothing that could be presented is ever written: not to a log, not to a node's disk, not to a
// client. Searched for byte by byte, as texts and as what they encode, after a bit of everything.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { run } from './lib/process.mjs';
import { program } from './lib/place.mjs';
import { Tenant, chat, importPrices, mockStats, nodesAgree, post, priced } from './lib/tenant.mjs';

const providerKey = `provider-${randomBytes(18).toString('hex')}`;
const cluster = Cluster.make({ after }, {
    nodes: 3,
    edges: 2,
    env: { HOLDFAST_E2E_PROVIDER_KEY: providerKey },
    mockArgs: ['--api-key', providerKey],
});
await cluster.init();
for (const n of [1, 2]) { // as talkative as an edge can be
    const path = join(cluster.dir, `edge-${n}.conf`);
    writeFileSync(path, readFileSync(path, 'utf8').replace('[edge]\n', '[edge]\ndebug_log = true\n'));
}
await cluster.startAll();

/** Every way in which a text may have been written down. */
function forms(secret) {
    const bytes = Buffer.from(secret);
    return [
        ['text', bytes],
        ['hex', Buffer.from(bytes.toString('hex'))],
        ['base64', Buffer.from(bytes.toString('base64').replace(/=+$/, ''))],
    ];
}

test('F32_F38_F56_no_secret_is_written_anywhere_or_told_to_a_client', async () => {
    await importPrices(cluster, { flat: priced({ input_cost_per_request: '0.001' }) });
    const org = await Tenant.create(cluster, 'secretive', { deposit: '0.004' });
    const first = await org.key('one');
    const second = await org.ctl('key', 'rotate', '--key', first.public);
    const third = await org.key('three');
    await org.ctl('key', 'revoke', '--key', third.public);
    const secretOf = (key) => key.slice(-43);
    const said = []; // everything a client was told
    const call = async (edge, apiKey, body, options) => {
        const answer = await post(cluster.edgeUrl(edge), apiKey, body, options);
        said.push(Buffer.from(JSON.stringify([answer.headers, answer.trailers])), answer.body);
        return answer.status;
    };

    // Served, streamed, refused for each reason, failed, malformed.
    assert.equal(await call(1, second.api_key, chat('flat')), 200);
    assert.equal(await call(2, second.api_key, chat('flat', { stream: true }), { headers: { te: 'trailers' } }), 200);
    assert.equal(await call(1, first.api_key, chat('flat')), 401);
    assert.equal(await call(2, third.api_key, chat('flat')), 401);
    assert.equal(await call(1, `${second.api_key}0`, chat('flat')), 401);
    assert.equal(await call(1, second.api_key, chat('unpriced')), 400);
    assert.equal(await call(1, second.api_key, '{"model":'), 400);
    for (const status of ['500', '429', '401', '302']) {
        await call(1, second.api_key, chat('flat', { metadata: { mock_status: status } }));
    }
    await call(2, second.api_key, chat('flat', { stream: true, metadata: { mock_cut_after: '2' } }));
    await call(2, second.api_key, chat('flat', { metadata: { mock_cut_after: '0' } }));
    assert.equal(await call(1, second.api_key, chat('flat')), 402);
    assert.equal((await mockStats(cluster)).unauthorized, 0); // the provider did get its key
    await org.ctl('org', 'pause');
    assert.equal(await call(2, second.api_key, chat('flat')), 429);
    await org.ctl('org', 'resume');
    // Also through a change of leader and a checkpoint.
    const leader = await cluster.leader();
    await cluster.endNode(leader);
    assert.equal(await call(1, second.api_key, chat('flat')), 402);
    await cluster.startNode(leader);
    await org.quiet();
    await nodesAgree(cluster);

    const operator = cluster.operatorToken();
    const secrets = new Map([
        ['the provider\'s key', providerKey],
        ['the operator\'s token', operator],
        ['the operator\'s secret', secretOf(operator)],
        ...[first, second, third].flatMap((key, i) => [
            [`key ${i + 1}`, key.api_key], [`key ${i + 1}'s secret`, secretOf(key.api_key)]]),
    ]);
    // The hash of a secret is what an edge presents: whoever has it could present it too.
    const h1 = (text) => createHash('sha256').update(text).digest();
    const binary = [...secrets].flatMap(([what, secret]) => [
        [`SHA-256 of ${what}`, h1(secret)],
        ...(/^[A-Za-z0-9_-]{43}$/.test(secret) ? [[`the bytes of ${what}`, Buffer.from(secret, 'base64url')],
            [`SHA-256 of the bytes of ${what}`, h1(Buffer.from(secret, 'base64url'))]] : []),
    ]);
    const needles = [
        ...[...secrets].flatMap(([what, secret]) => forms(secret).map(([form, bytes]) => [`${what} (${form})`, bytes])),
        ...binary.flatMap(([what, bytes]) => [[what, bytes], [`${what} (hex)`, Buffer.from(bytes.toString('hex'))]]),
    ];
    const clean = (where, content) => {
        for (const [what, bytes] of needles) {
            assert.equal(content.indexOf(bytes), -1, `${what} stands in ${where}`);
        }
    };

    said.forEach((content, i) => clean(`answer ${i}`, content));
    // The logs of all programs, the files of all nodes, all configuration: but the token's own file.
    let searched = 0, data = 0;
    for (const name of readdirSync(cluster.dir, { recursive: true })) {
        const path = join(cluster.dir, name);
        if (statSync(path).isFile() && name !== 'operator.token') {
            clean(name, readFileSync(path));
            searched++;
            data += name.startsWith('data/') ? 1 : 0;
        }
    }
    assert.match(readFileSync(join(cluster.dir, 'edge-1.log'), 'utf8'), /"event":"request".*"status":402/);
    assert.ok(searched > 20 && data >= 9, `${searched} files searched, ${data} of nodes`);
    assert.equal(statSync(join(cluster.dir, 'operator.token')).mode & 0o077, 0);
    // What the tools say of it all.
    for (const args of [['key', 'list'], ['audit'], ['org', 'show']]) {
        clean(args.join(' '), Buffer.from(JSON.stringify(await org.ctl(...args))));
    }
    const replayed = await run(program('holdfast-replay'), ['--data', cluster.dataDir(1), '--log'], { check: false });
    assert.equal(replayed.status, 0);
    clean('the replayed log', Buffer.from(replayed.stdout));
    // The public part of a key may be told (F56), and is what the audit names it by.
    assert.ok(JSON.stringify(await org.ctl('audit')).includes(first.public));
});
