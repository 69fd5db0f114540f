// SPDX-License-Identifier: Apache-2.0
// F48: what edges and ledger nodes tell Prometheus is well-formed, true, documented, and fits the
// alert rules that come along.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { root } from './lib/place.mjs';
import { Tenant, chat, importPrices, nanos, post, priced } from './lib/tenant.mjs';
import { until } from './lib/wait.mjs';

const promtool = [join(root, 'build/tools/promtool/usr/bin/promtool'), '/usr/bin/promtool'].find(existsSync);
const skip = !promtool && 'no promtool: run tools/setup --tests';

/** The value of a key in an INI section, put in behind the section's head. */
function configure(file, section, line) {
    writeFileSync(file, readFileSync(file, 'utf8').replace(`[${section}]\n`, `[${section}]\n${line}\n`));
}

const cluster = Cluster.make({ after }, { nodes: 3, edges: 1 });
await cluster.init();
for (const n of [1, 2, 3]) {
    configure(join(cluster.dir, `node-${n}.conf`), 'node', 'metrics = 127.0.0.1:0');
}
configure(join(cluster.dir, 'edge-1.conf'), 'edge', 'metrics = 127.0.0.1:0');
appendFileSync(join(cluster.dir, 'edge-1.conf'),
    '\n[provider nobody]\nbase_url = http://127.0.0.1:1/v1\n[route nobody]\nprovider = nobody\nprice_model = flat\n');
await cluster.startAll();
await importPrices(cluster, { flat: priced({ input_cost_per_request: '0.001' }) });

const listening = /"event":"metrics_listening".*"port":(\d+)/;
const portOf = async (program) => Number((await program.waitLine(listening))[1]);

function scrape(port, path = '/metrics') {
    return new Promise((resolve, reject) => {
        get({ host: '127.0.0.1', port, path, agent: false }, (answer) => {
            let text = '';
            answer.setEncoding('utf8').on('data', (piece) => { text += piece; });
            answer.on('end', () => resolve({ status: answer.statusCode, type: answer.headers['content-type'], text }));
        }).on('error', reject);
    });
}

/** name{labels} -> number */
async function figures(program) {
    const { text } = await scrape(await portOf(program));
    return new Map(text.split('\n').filter((line) => line && !line.startsWith('#')).map((line) => {
        const at = line.lastIndexOf(' ');
        return [line.slice(0, at), Number(line.slice(at + 1))];
    }));
}

const edge = () => cluster.edges.get(1);
const nodes = () => [...cluster.nodes.values()];

const tenant = await Tenant.create(cluster, 'metered', { deposit: '10' });
const key = await tenant.key('k');
const poor = await tenant.key('poor');
await tenant.budget('key', poor.key, '0.0005');
const ask = (apiKey, model, rest) => post(cluster.edgeUrl(1), apiKey, chat(model, rest));

test('F48_the_figures_of_an_edge_are_what_happened', async () => {
    for (let i = 0; i < 5; i++) {
        assert.equal((await ask(key.api_key, 'flat')).status, 200);
    }
    assert.equal((await ask(key.api_key, 'flat', { stream: true })).status, 200);
    assert.equal((await ask(poor.api_key, 'flat')).status, 402);
    assert.equal((await ask(poor.api_key, 'flat')).status, 402);
    assert.equal((await ask('sk-hf-nobody', 'flat')).status, 401);
    assert.equal((await ask(key.api_key, 'nobody')).status, 502);
    await tenant.quiet();
    const f = await until('all counted', async () => {
        const now = await figures(edge());
        return now.get('holdfast_edge_calls_in_flight') === 0 && now;
    });
    assert.equal(f.get('holdfast_edge_responses_total{status="402"}'), 2);
    assert.equal(f.get('holdfast_edge_responses_total{status="401"}'), 1);
    assert.equal(f.get('holdfast_edge_responses_total{status="502"}'), 1);
    assert.equal(f.get('holdfast_edge_errors_total{type="request_exceeds_budget",code="request_exceeds_budget"}'), 2);
    assert.equal(f.get('holdfast_edge_holds_total{event="reserved"}'), 7);
    assert.equal(f.get('holdfast_edge_holds_total{event="settled_usage"}'), 6);
    assert.equal(f.get('holdfast_edge_holds_total{event="released"}'), 1);
    assert.equal(f.get('holdfast_edge_charged_dollars_total'), 0.006);
    assert.equal(f.get('holdfast_edge_provider_calls_total{provider="mock",end="answered"}'), 6);
    assert.equal(f.get('holdfast_edge_provider_calls_total{provider="nobody",end="not_sent"}'), 1);
    assert.equal(f.get('holdfast_edge_provider_first_byte_seconds_count{provider="mock"}'), 6);
    assert.equal(f.get('holdfast_edge_reserve_seconds_count'), 9);
    assert.equal(f.get('holdfast_edge_settle_seconds_count'), 7);
    assert.equal(f.get('holdfast_edge_ledger_answers'), f.get('holdfast_edge_workers'));
    assert.equal((await tenant.show()).usage_nanos, nanos('0.006'));
});

test('F48_the_figures_of_the_nodes_agree_with_the_books', async () => {
    const leader = await cluster.leader();
    const reached = Math.max(...(await cluster.ctl('status')).nodes.map((node) => node.commit_index));
    const all = await until('all nodes at one index, behind what was done', async () => {
        const now = await Promise.all(nodes().map(figures));
        return new Set(now.map((f) => f.get('holdfast_ledger_applied_index'))).size === 1 &&
            now[0].get('holdfast_ledger_applied_index') >= reached && now;
    });
    const org = await tenant.show();
    for (const f of all) {
        assert.equal(f.get('holdfast_ledger_leader'), leader);
        assert.equal(f.get('holdfast_ledger_drift_dollars'), 0);
        assert.equal(f.get('holdfast_ledger_open_holds'), 0);
        assert.equal(f.get('holdfast_ledger_diverged'), 0);
        assert.equal(f.get('holdfast_ledger_holds_total{event="reserved"}'), 7);
        assert.equal(f.get('holdfast_ledger_holds_total{event="settled"}'), org.settled);
        assert.equal(f.get('holdfast_ledger_holds_total{event="released"}'), 1);
        assert.equal(f.get('holdfast_ledger_settled_dollars_total'), 0.006);
        assert.equal(f.get('holdfast_ledger_results_total{code="request_exceeds_budget",name="REQUEST_EXCEEDS_BUDGET"}'), 2);
        assert.ok(f.get('holdfast_ledger_disk_free_bytes') > 0);
        assert.ok(f.get('holdfast_ledger_log_bytes') > 0);
    }
    assert.equal(all.filter((f) => f.get('holdfast_ledger_role{role="leader"}') === 1).length, 1);
    const lags = [...all.find((f) => f.get('holdfast_ledger_role{role="leader"}') === 1).keys()]
        .filter((name) => name.startsWith('holdfast_ledger_peer_lag_entries{'));
    assert.equal(lags.length, 2);
});

test('F48_promtool_finds_nothing_to_say', { skip }, async () => {
    for (const program of [edge(), ...nodes()]) {
        const { status, type, text } = await scrape(await portOf(program));
        assert.equal(status, 200);
        assert.match(type, /^text\/plain; version=0\.0\.4/);
        const said = spawnSync(promtool, ['check', 'metrics'], { input: text, encoding: 'utf8' });
        assert.equal(said.status, 0, said.stdout + said.stderr);
        assert.equal(said.stdout + said.stderr, '');
    }
    assert.equal((await scrape(await portOf(edge()), '/')).status, 404);
});

test('F48_every_figure_is_explained_and_every_explained_one_is_there', async () => {
    const section = /\n## Metrics\n([\s\S]*?)\n## /.exec(readFileSync(join(root, 'docs/operations.md'), 'utf8'))[1];
    const explained = new Set([...section.matchAll(/^\| `((?:holdfast|process)_[a-z_]+)/gm)].map(([, name]) => name));
    const served = new Set();
    for (const program of [edge(), ...nodes()]) {
        const { text } = await scrape(await portOf(program));
        for (const [, name] of text.matchAll(/^# TYPE (\S+)/gm)) {
            served.add(name);
        }
    }
    assert.deepEqual([...served].sort(), [...explained].sort());
});

test('F48_the_alert_rules_are_rules_about_figures_that_exist', { skip }, async () => {
    const file = join(root, 'tools/packaging/holdfast-alerts.yml');
    execFileSync(promtool, ['check', 'rules', file]);
    const texts = await Promise.all([edge(), ...nodes()].map(async (p) => (await scrape(await portOf(p))).text));
    const rules = readFileSync(file, 'utf8');
    for (const [name] of rules.matchAll(/holdfast_(?:edge|ledger)_[a-z_]+/g)) {
        assert.ok(texts.some((text) => text.includes(`# TYPE ${name} `)), `no figure ${name}`);
    }
});
