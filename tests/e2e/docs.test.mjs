// SPDX-License-Identifier: Apache-2.0
// The documents are true: what README and docs tell a newcomer to type is taken from them and run.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { program, root, temporary } from './lib/place.mjs';
import { Program, run } from './lib/process.mjs';

const documents = ['README.md', ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md')).map((name) => join('docs', name))];
const text = (name) => readFileSync(join(root, name), 'utf8');

/** The fenced blocks of a language, in order. */
function blocks(name, language) {
    const found = [...text(name).matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)];
    return found.filter((match) => match[1] === language).map((match) => match[2]);
}

/** Command lines of fenced sh blocks and of indented ones, with continuations joined. */
function commandLines(name) {
    const indented = [...text(name).matchAll(/^ {4}((?:holdfast\w*(?:-\w+)?|tools\/\w+) .*)$/gm)].map((match) => match[1]);
    return [...blocks(name, 'sh'), ...indented].join('\n').replaceAll(/\\\n/g, ' ').split('\n');
}

const prices = { 'gpt-4o-mini': {
    input_cost_per_token: 1.5e-7, output_cost_per_token: 6e-7, max_output_tokens: 16384,
    litellm_provider: 'openai', mode: 'chat',
} };

// What differs from a reader's machine: where the provider is, free ports, the key that was printed.
// Everything else of docs/getting-started.md is run as it stands there, by one shell.
function gettingStarted(mockUrl) {
    const page = blocks('docs/getting-started.md', 'sh').filter((block) => !/tools\/setup|holdfast-mock/.test(block));
    const changed = (block, from, to) => {
        assert.ok(block.includes(from), `getting-started.md says ${from} no more:\n${block}`);
        return block.replaceAll(from, to);
    };
    const take = (what) => {
        const found = page.filter((block) => block.includes(what));
        assert.equal(found.length, 1, `one block with '${what}'`);
        return found[0];
    };
    const init = changed(changed(take('holdfastctl init'), 'https://api.openai.com/v1', mockUrl),
        'holdfastctl init', 'holdfastctl init --ports auto');
    const call = changed(changed(take('curl '), 'sk-hf-...', '$KEY'), '127.0.0.1:7406', '${EDGE#https://}');
    const start = take('--init-if-empty');
    const tenant = take('price import');
    const ceiling = take('--limit 0.000001');
    const proof = take('holdfast-replay');
    assert.equal(page.length, 6, 'every sh block of getting-started.md is run');
    const log = (n, block) => `{\n${block}} >"$OUT/${n}.txt" 2>&1\n`;
    return [
        'set -eEu',
        "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT",
        "trap 'exit 143' TERM",
        "trap 'tail -n 20 \"$OUT\"/*.txt' ERR",
        log('init', init),
        log('start', start),
        'cp "$OUT/prices.json" model_prices.json',
        log('tenant', tenant),
        'EDGE=https://$(sed -n "s/^listen *= *//p" edge-1.conf)',
        "KEY=$(sed -n 's/^api_key *//p' \"$OUT/tenant.txt\")",
        'curl() { command curl -sS "$@"; }',
        'curl --fail --retry 100 --retry-delay 1 --retry-all-errors --max-time 40 --cacert certs/web-ca.crt "$EDGE/readyz" >/dev/null',
        log('call', call),
        log('proof', proof),
        log('ceiling', ceiling),
        log('refusal', call),
        'holdfastctl budget delete --org acme --budget 2 >>"$OUT/ceiling.txt"',
        'printf "all of it ran: %s %s %s\\n" "$EDGE" "$KEY" "$PWD"',
        'wait',
    ].join('\n');
}

test('F49_getting_started_as_written_and_the_readme_clients', { timeout: 60_000 }, async (t) => {
    const folder = temporary(t);
    const out = join(folder, 'out');
    mkdirSync(out);
    writeFileSync(join(out, 'prices.json'), JSON.stringify(prices));
    const mock = new Program(program('holdfast-mock'), ['--port', '0']);
    t.after(() => mock.end());
    const [, mockUrl] = await mock.waitLine(/^holdfast-mock listening on (\S+)/);
    writeFileSync(join(out, 'script.sh'), gettingStarted(`${mockUrl}/v1`));
    const shell = new Program('bash', [join(out, 'script.sh')], {
        cwd: folder,
        env: {
            OUT: out, PATH: `${dirname(program('holdfastctl'))}:${process.env.PATH}`,
            HOLDFAST_ORG: '', HOLDFAST_CTL_CONF: '',
        },
    });
    t.after(() => shell.end());
    const [, edge, key, cluster] = await shell.waitLine(/^all of it ran: (\S+) (\S+) (\S+)/, { deadlineMs: 45_000 });

    const said = (name) => readFileSync(join(out, `${name}.txt`), 'utf8');
    assert.match(said('start'), /quorum +yes/);
    assert.match(said('call'), /^HTTP\/1.1 200 OK/m);
    assert.match(said('call'), /^x-holdfast-request-cost: 0\.0000/m);
    assert.match(said('call'), /^x-holdfast-receipt: \d+:\d+:[0-9a-f]{64}/m);
    assert.match(said('proof'), /settled +1/);
    assert.match(said('proof'), /result +internally consistent/);
    assert.match(said('refusal'), /^HTTP\/1.1 402 /m);
    assert.match(said('refusal'), /"code":"request_exceeds_budget"/);

    // The quickstart reads replay's answer with a pattern of its own.
    const [, pattern] = /head=\$\((sed -n '.*') "\$demo/.exec(text('tools/quickstart'));
    const head = await run('bash', ['-c', `"$0" --data data/node-2 --json | ${pattern}`, program('holdfast-replay')], { cwd: cluster });
    assert.match(head.stdout, /^\d+:[0-9a-f]{64}\n$/);

    const env = {
        HOLDFAST_EDGES: `${edge} ${edge}`, HOLDFAST_API_KEY: key,
        HOLDFAST_CA: join(cluster, 'certs/web-ca.crt'), NODE_EXTRA_CA_CERTS: join(cluster, 'certs/web-ca.crt'),
    };
    const output = /^hold fast.*\ncost in dollars: 0\.0000\d+\n$/;
    await t.test('Node', async () => {
        symlinkSync(join(root, 'tests/e2e/node_modules'), join(out, 'node_modules'));
        const [example, ...more] = blocks('README.md', 'js');
        assert.ok(example && more.length === 0, 'one js block in README.md');
        writeFileSync(join(out, 'example.mjs'), example);
        assert.match((await run(process.execPath, [join(out, 'example.mjs')], { env })).stdout, output);
    });
    await t.test('Python', async (t) => {
        const [example, ...more] = blocks('README.md', 'python');
        assert.ok(example && more.length === 0, 'one python block in README.md');
        writeFileSync(join(out, 'example.py'), example);
        const has = await run('python3', ['-c', 'import openai, httpx'], { check: false }).catch(() => null);
        if (has === null || has.status !== 0) {
            return t.skip('python3 with the openai package is not here');
        }
        assert.match((await run('python3', [join(out, 'example.py')], { env })).stdout, output);
    });
});

test('F49_quickstart_exports_what_the_readme_clients_read', () => {
    const used = [...blocks('README.md', 'js'), ...blocks('README.md', 'python'), text('README.md')]
        .join('\n').match(/HOLDFAST_[A-Z_]+/g);
    const exported = /^export (.*)$/m.exec(text('tools/quickstart').replace(/^export MOCK.*$/m, ''))[1].split(' ');
    for (const name of new Set(used)) {
        assert.ok(exported.includes(name), `${name} is not exported by demo.env`);
    }
});

test('F47_every_flag_in_the_documents_exists', async () => {
    const help = new Map();
    const helpOf = async (command, words) => {
        const line = [command, ...words].join(' ');
        if (!help.has(line)) {
            help.set(line, (await run(program(command), [...words, '--help'])).stdout);
        }
        return help.get(line);
    };
    let checked = 0;
    for (const name of documents) {
        for (const line of commandLines(name)) {
            for (const [, command, rest] of line.matchAll(/(?:^|[;&|] *|do |\s)(holdfast(?:ctl|-\w+)) ([^;&|#]*)/g)) {
                const words = rest.trim().split(/\s+/);
                const first = words.findIndex((word) => !/^[a-z]+$/.test(word));
                const nouns = command === 'holdfastctl' ? words.slice(0, first < 0 ? words.length : first) : [];
                const known = await helpOf(command, nouns);
                for (const flag of rest.match(/(?<=^|\s)--[a-z][a-z-]*/g) ?? []) {
                    assert.match(known, new RegExp(`${flag}\\b`), `${name}: ${line.trim()}: no ${flag}`);
                    checked++;
                }
            }
        }
    }
    assert.ok(checked > 40, `only ${checked} flags found`);
});

test('F47_examples_of_init_and_every_command_of_the_table', async (t) => {
    const lines = commandLines('docs/holdfastctl.md').filter((line) => line.startsWith('holdfastctl init'));
    assert.ok(lines.length >= 3);
    for (const [n, line] of lines.entries()) {
        const folder = join(temporary(t), String(n));
        mkdirSync(folder);
        await run(program('holdfastctl'), line.replace(/#.*/, '').trim().split(/\s+/).slice(1), { cwd: folder });
        assert.ok(existsSync(join(folder, 'cluster/ctl.conf')), line);
    }
    for (const [, noun, verbs] of text('docs/holdfastctl.md').matchAll(/`([a-z]+) ([a-z]+(?:\\\|[a-z]+)+)`/g)) {
        for (const verb of verbs.split('\\|')) {
            await run(program('holdfastctl'), [noun, verb, '--help']);
        }
    }
});

test('F47_check_reads_the_files_that_a_configuration_names', async (t) => {
    const folder = temporary(t);
    await run(program('holdfastctl'), ['init', '--out', folder, '--ports', 'auto', '--provider-key-env', 'DOCS_KEY']);
    const check = (command, name) => run(program(command), ['--config', join(folder, name), '--check'],
        { check: false, env: { DOCS_KEY: 'x' } });
    for (const [command, name, file] of [
        ['holdfast-ledger', 'node-1.conf', 'certs/node-1-client.pem'], ['holdfast-ledger', 'node-1.conf', 'certs/peer-ca.crt'],
        ['holdfast-edge', 'edge-1.conf', 'certs/edge-1.pem'], ['holdfast-edge', 'edge-1.conf', 'certs/edge-1-web.key'],
    ]) {
        assert.equal((await check(command, name)).status, 0, name);
        renameSync(join(folder, file), join(folder, 'away'));
        const { status, stderr } = await check(command, name);
        assert.equal(status, 2, file);
        assert.ok(stderr.includes(file) && /No such file/.test(stderr), stderr);
        renameSync(join(folder, 'away'), join(folder, file));
    }
});

test('F49_every_link_of_the_documents_leads_somewhere', () => {
    for (const name of documents) {
        for (const [, target] of text(name).matchAll(/\]\((?!https?:|#)([^)#\s]+)[^)]*\)/g)) {
            assert.ok(existsSync(join(root, dirname(name), target)), `${name} links ${target}`);
        }
    }
});
