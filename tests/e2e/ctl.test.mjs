// SPDX-License-Identifier: Apache-2.0
// holdfastctl against a real cluster: what it says and does is what the calls then meet. Each action
// by itself is tested in tests/cli.
import assert from 'node:assert/strict';
import { copyFileSync, cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { program, shared, skipWithout, temporary } from './lib/place.mjs';
import { run } from './lib/process.mjs';
import {
    Tenant, chat, edgesReady, importPrices, nanos, nodesAgree, priced, readLog,
} from './lib/tenant.mjs';

const cluster = await Cluster.start({ after }, { nodes: 3, edges: 2 });
await importPrices(cluster, { flat: priced({ input_cost_per_request: '0.001' }) });
const uuid = async () => (await cluster.ctl('uuid')).uuid;

async function refused(code, promise) {
    const { status, json } = await promise;
    assert.equal(status, 1);
    assert.equal(json.error.code, code);
    return json.error;
}

test('F11_F37_money_in_and_out_is_booked_and_audited', async () => {
    const org = await Tenant.create(cluster, 'money', { deposit: '10' });
    await org.ctl('grant', '--amount', '5', '--reason', 'sign-up');
    const after = await org.ctl('refund', '--amount', '4', '--reason', 'asked for');
    assert.deepEqual([after.available_nanos, after.promo_nanos, after.funding_nanos],
        [nanos('6'), nanos('5'), nanos('-11')]);
    await refused('REFUND_EXCEEDS_DEPOSITS', org.tryCtl('refund', '--amount', '7'));

    // A call takes the promotional credit first; an adjustment gives its charge back, once.
    const key = await org.key('k');
    const { response } = await cluster.openai(1, key.api_key).chat.completions.create(chat('flat')).withResponse();
    const hold = response.headers.get('x-holdfast-hold');
    assert.equal((await org.quiet()).promo_nanos, nanos('4.999'));
    await org.ctl('adjust', '--hold', hold, '--amount', '0.0004', '--reason', 'wrong model');
    const { status } = await org.tryCtl('adjust', '--hold', hold, '--amount', '0.0007');
    assert.equal(status, 1); // more than what is left of the charge
    const { usage_nanos, balance_nanos } = await org.show();
    assert.deepEqual([usage_nanos, balance_nanos], [600_000, nanos('11') - 600_000]);

    const { audit } = await org.ctl('audit');
    assert.deepEqual(audit.map((one) => one.action),
        ['org_create', 'deposit', 'grant', 'refund', 'key_create', 'adjust']);
    const entry = audit.find((one) => one.action === 'refund');
    assert.equal(entry.reason, 'asked for');
    assert.equal(entry.ip, '127.0.0.1');
    assert.match(entry.before, /available=10\.00/);
    assert.match(entry.after, /available=6\.00/);
    assert.ok(Date.now() - new Date(entry.time) < 600_000);
});

test('F6_a_command_repeated_with_its_id_is_done_once', async () => {
    const org = await Tenant.create(cluster, 'once');
    const id = await uuid();
    const first = await org.ctl('deposit', '--amount', '2', '--id', id);
    assert.equal(first.duplicate, false);

    // Also when another node leads by then.
    const leader = await cluster.leader();
    await cluster.killNode(leader);
    const again = await org.ctl('deposit', '--amount', '2', '--id', id);
    assert.deepEqual([again.duplicate, again.org], [true, first.org]);
    await cluster.startNode(leader);
    await refused('COMMAND_ID_REUSED', org.tryCtl('deposit', '--amount', '3', '--id', id));
    assert.equal((await org.show()).balance_nanos, nanos('2'));

    await org.ctl('deposit', '--amount', '1', '--reference', 'payment-77');
    await refused('REFERENCE_USED', org.tryCtl('deposit', '--amount', '1', '--reference', 'payment-77'));
    assert.equal((await org.show()).balance_nanos, nanos('3'));
    await nodesAgree(cluster);
});

test('F14_F37_a_limit_above_its_parents_is_refused_or_overridden_and_the_parent_binds', async () => {
    const org = await Tenant.create(cluster, 'limits', { deposit: '10' });
    await org.ctl('team', 'create', '--name', 'research');
    const key = await org.key('k', '--team', 'research');
    const parent = await org.budget('team', 'research', '0.002');
    const error = await refused('LIMIT_EXCEEDS_PARENT',
        org.tryCtl('budget', 'put', '--scope', 'key', '--subject', '1', '--window', 'absolute', '--limit', '0.005'));
    assert.match(error.message, new RegExp(`budget ${parent} allows 0\\.002`));
    const child = await org.ctl('budget', 'put', '--scope', 'key', '--subject', '1', '--window', 'absolute',
        '--limit', '0.005', '--override');
    assert.equal(child.override, true);
    const { audit } = await org.ctl('audit');
    assert.match(audit.at(-1).after, /override/);

    const openai = cluster.openai(2, key.api_key, { maxRetries: 0 });
    await openai.chat.completions.create(chat('flat'));
    await openai.chat.completions.create(chat('flat'));
    await assert.rejects(openai.chat.completions.create(chat('flat')), (refusal) => {
        assert.deepEqual([refusal.status, refusal.error.scope, refusal.error.budget], [402, 'team', parent]);
        return true;
    });
    // Raised, the next call goes through; a limit keeps its counter.
    await org.ctl('budget', 'put', '--budget', String(parent), '--limit', '0.003');
    await openai.chat.completions.create(chat('flat'));
    assert.equal((await org.counter(parent)).spent_nanos, 3_000_000);
    // Lowered below what is spent: allowed, and nothing more goes through.
    await org.ctl('budget', 'put', '--budget', String(parent), '--limit', '0.0005', '--override');
    await assert.rejects(openai.chat.completions.create(chat('flat')), { status: 402 });
    await org.ctl('budget', 'delete', '--budget', String(parent));
    await openai.chat.completions.create(chat('flat'));
});

test('F13_F17_a_rule_may_answer_429_and_windows_have_their_own_reset', async () => {
    const org = await Tenant.create(cluster, 'windows', { deposit: '10', args: ['--billing-day', '17'] });
    const key = await org.key('k');
    const openai = cluster.openai(1, key.api_key, { maxRetries: 0 });
    for (const [window, resets] of [
        ['hourly', /:00:00\.000000Z$/], ['daily', /T00:00:00\.000000Z$/], ['monthly', /-17T00:00:00\.000000Z$/],
        ['absolute', null]]) {
        const budget = await org.budget('key', key.key, '0.001', '--window', window, '--status', '429');
        // Already spent elsewhere or not: a new budget begins at zero.
        await openai.chat.completions.create(chat('flat'));
        await assert.rejects(openai.chat.completions.create(chat('flat')), (error) => {
            assert.deepEqual([error.status, error.code, error.error.period], [429, 'budget_exceeded', window]);
            assert.equal(error.error.reset_at === null, resets === null);
            assert.ok(resets === null || resets.test(error.error.reset_at), error.error.reset_at);
            return true;
        });
        await org.ctl('budget', 'delete', '--budget', String(budget));
    }
});

test('F38_keys_are_listed_limited_rotated_and_revoked', async () => {
    const org = await Tenant.create(cluster, 'keys', { deposit: '10' });
    const key = await org.key('web', '--env', 'prod', '--models', 'flat,other');
    const call = (apiKey, model) => cluster.openai(1, apiKey, { maxRetries: 0 }).chat.completions.create(chat(model));
    await call(key.api_key, 'flat');
    await assert.rejects(call(key.api_key, 'forbidden-one'), (error) => [400, 403, 404].includes(error.status));
    const { keys } = await org.ctl('key', 'list');
    assert.deepEqual([keys[0].public, keys[0].label, keys[0].env, keys[0].models],
        [key.public, 'web', 'prod', ['flat', 'other']]);
    const listed = JSON.stringify(keys);
    assert.equal(listed.includes(key.api_key.split('-').at(-1)), false);

    const rotated = await org.ctl('key', 'rotate', '--key', key.public);
    await assert.rejects(call(key.api_key, 'flat'), { status: 401 });
    await call(rotated.api_key, 'flat');
    await org.ctl('key', 'revoke', '--key', rotated.public ?? key.public);
    await assert.rejects(call(rotated.api_key, 'flat'), { status: 401 });
});

test('F38_a_keys_credential_does_not_administer', async () => {
    const org = await Tenant.create(cluster, 'powers', { deposit: '1' });
    const key = await org.key('k');
    const file = join(cluster.dir, 'key.token');
    writeFileSync(file, key.api_key);
    await refused('FORBIDDEN', cluster.tryCtl('org', 'create', '--name', 'mine', '--token-file', file));
    await refused('FORBIDDEN', org.tryCtl('deposit', '--amount', '1', '--token-file', file));
    assert.equal((await org.show()).balance_nanos, nanos('1'));
});

test('F30_the_price_maps_of_others_are_imported_whole', {
    skip: skipWithout('prices/litellm_model_prices_2026-03-09.json'),
}, async () => {
    const org = await Tenant.create(cluster, 'prices', { deposit: '10' });
    const key = await org.key('k');
    const call = async (edge, model) => (await cluster.openai(edge, key.api_key, { maxRetries: 0 })
        .chat.completions.create(chat(model, { max_tokens: 8 })).withResponse())
        .response.headers.get('x-holdfast-request-cost');
    const litellm = await cluster.ctl('price', 'import', shared('prices/litellm_model_prices_2026-03-09.json'));
    assert.equal(litellm.format, 'litellm');
    assert.equal(litellm.entries, 2691);
    assert.equal(litellm.rows + litellm.skipped, litellm.entries);
    // At once on both edges: $2.50 and $10 for a million tokens; 1 and 8 of them.
    for (const edge of [1, 2]) {
        assert.equal(await call(edge, 'gpt-4o'), '0.0000825');
    }
    const genai = await cluster.ctl('price', 'import', shared('prices/genai_prices_data.json'), '--at', '2026-08-01T12:00:00Z');
    assert.equal(genai.version, litellm.version + 1);
    assert.ok(genai.rows > 1000);
    assert.ok(genai.dropped > 0 && genai.dropped < litellm.rows);
    assert.equal(genai.dropped_names.length, 20);
    for (const edge of [1, 2]) {
        assert.equal(await call(edge, 'gpt-4o'), '0.0000825');
    }
    // Each charge names its version; the one before the active one is still good for a moment.
    await nodesAgree(cluster);
    const { commands } = await readLog(cluster, 1);
    const versions = commands.filter((line) => line.command.command === 'reserve' && line.result.code === 'OK')
        .slice(-4).map((line) => line.result.body.price_version);
    assert.deepEqual(versions.slice(0, 2), [litellm.version, litellm.version]);
    assert.ok(versions.slice(2).every((version) => [litellm.version, genai.version].includes(version)));
    const { audit } = await cluster.ctl('audit', '--group');
    assert.ok(audit.some((one) => one.action === 'price_import'));
    const flat = await importPrices(cluster, { flat: priced({ input_cost_per_request: '0.001' }) });
    assert.equal(flat.dropped, genai.rows);
    const again = await importPrices(cluster, { flat: priced({ input_cost_per_request: '0.001' }) });
    assert.deepEqual([again.dropped, again.dropped_names], [0, []]);
    await edgesReady(cluster);
});

test('F47_status_names_nodes_that_are_away', async () => {
    const leader = await cluster.leader();
    const follower = [1, 2, 3].find((n) => n !== leader);
    await cluster.killNode(follower);
    const { status, json } = await cluster.tryCtl('status');
    assert.equal(status, 0);
    assert.deepEqual([json.quorum, json.drift_nanos, json.leader], [true, 0, leader]);
    assert.deepEqual(json.nodes.map((node) => node.reachable), [1, 2, 3].map((n) => n !== follower));
    assert.match(json.nodes.find((node) => node.id === follower).detail, /connection refused/);
    await cluster.startNode(follower);
    const whole = await nodesAgree(cluster);
    assert.equal(whole.chains_agree, true);
    assert.equal(whole.nodes.find((node) => node.id === leader).role, 'leader');
});

test('F47_F32_status_tells_a_wrong_certificate_from_a_node_that_is_down', async (t) => {
    const other = join(temporary(t), 'other');
    await cluster.ctl('init', '--out', other, '--ports', 'auto'); // other authorities, other ports
    const asks = async (change) => {
        const dir = join(temporary(t), 'ctl');
        cpSync(cluster.dir, dir, { recursive: true, filter: (path) => !/\/data\b|\.log$/.test(path) });
        change(dir);
        const { status, stdout } = await run(program('holdfastctl'), ['status', '--config', dir, '--json', '--timeout', '2'], { check: false });
        return { status, details: JSON.parse(stdout).nodes.map((node) => node.detail) };
    };
    const strangers = await asks((dir) => copyFileSync(join(other, 'certs/ctl.pem'), join(dir, 'certs/ctl.pem')));
    assert.equal(strangers.status, 3);
    const nobody = await asks((dir) => copyFileSync(join(other, 'certs/client-ca.crt'), join(dir, 'certs/client-ca.crt')));
    assert.equal(nobody.status, 3);
    for (const detail of [...strangers.details, ...nobody.details]) {
        assert.match(detail, /certificate|authority|TLS/i);
        assert.doesNotMatch(detail, /refused$|down/);
    }
});

test('F12_names_are_labels_and_a_name_of_two_is_never_guessed', async () => {
    const twins = [await Tenant.create(cluster, 'twin'), await Tenant.create(cluster, 'twin')];
    assert.notEqual(twins[0].org, twins[1].org);
    const byName = (...args) => cluster.tryCtl(...args, '--org', 'twin');
    const error = await refused('ambiguous', byName('org', 'show'));
    for (const { org } of twins) {
        assert.ok(error.message.includes(org), error.message);
    }
    await refused('ambiguous', byName('deposit', '--amount', '1'));
    assert.equal((await cluster.ctl('org', 'show', '--org', twins[1].org)).balance_nanos, 0);
    await cluster.ctl('org', 'set', '--org', twins[1].org, '--name', 'not-twin');
    assert.equal((await byName('org', 'show')).json.org, twins[0].org);

    const [one, two] = [await twins[0].ctl('team', 'create', '--name', 'same'), await twins[0].ctl('team', 'create', '--name', 'same')];
    const teams = await refused('ambiguous', twins[0].tryCtl('key', 'create', '--label', 'k', '--team', 'same'));
    assert.match(teams.message, new RegExp(`\\b${one.team}\\b.*\\b${two.team}\\b`));
    assert.equal((await twins[0].ctl('key', 'create', '--label', 'k', '--team', String(two.team))).team, two.team);
    await twins[0].ctl('team', 'delete', '--team', String(one.team));
    assert.equal((await twins[0].ctl('key', 'create', '--label', 'k', '--team', 'same')).team, two.team);

    // A name that is another team's number, and an org named like a UUID.
    const three = await twins[0].ctl('team', 'create', '--name', String(two.team));
    await refused('ambiguous', twins[0].tryCtl('key', 'create', '--label', 'k', '--team', String(two.team)));
    for (const { team } of [two, three]) {
        assert.equal((await twins[0].ctl('key', 'create', '--label', 'k', '--team', `#${team}`)).team, team);
    }
    await Tenant.create(cluster, twins[0].org);
    assert.equal((await cluster.ctl('org', 'show', '--org', twins[0].org)).name, 'twin');
});
