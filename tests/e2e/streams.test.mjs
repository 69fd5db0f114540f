// SPDX-License-Identifier: Apache-2.0
// Every recorded chat stream, from the mock through an edge to the client: byte for byte, but for a
// usage chunk that the client did not ask for and one final comment; and settled on its usage.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import test, { after } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { shared, skipWithout } from './lib/place.mjs';
import {
    SOURCE, Tenant, UNIT, chat, closingComment, importPrices, nanos, nodesAgree, post, priced, readLog, settlements,
} from './lib/tenant.mjs';

const skip = skipWithout('streams/manifest.jsonl');
// Nano-dollars a token: primes, so that one kind is not taken for another.
const PRICE = { input: 1009, cacheRead: 101, output: 10_007, reasoning: 20_011 };
const recordings = skip ? [] : readFileSync(shared('streams/manifest.jsonl'), 'utf8').trim().split('\n')
    .map((line) => JSON.parse(line)).filter((one) => one.api === 'openai.chat')
    .map((one) => ({ ...one, usage: usageOf(one) }));

/** What the manifest expects; else what Groq says in a place of its own; else null. */
function usageOf(recording) {
    if (recording.expected_usage.output !== undefined) {
        return recording.expected_usage;
    }
    const groq = /"x_groq":\{[^\n]*"usage":(\{[^}]*\})/.exec(readFileSync(shared(`streams/${recording.file}`), 'utf8'));
    const usage = groq && JSON.parse(groq[1]);
    return usage && { input: usage.prompt_tokens, output: usage.completion_tokens };
}

const cluster = skip ? null : await Cluster.start({ after }, {
    nodes: 3,
    edges: 2,
    mockArgs: ['--script-dir', dirname(shared('streams/manifest.jsonl'))],
});
let tenant, key;
if (cluster) {
    const text = (price) => `${price}e-9`;
    await importPrices(cluster, {
        recorded: priced({
            input_cost_per_token: text(PRICE.input),
            cache_read_input_token_cost: text(PRICE.cacheRead),
            output_cost_per_token: text(PRICE.output),
            output_cost_per_reasoning_token: text(PRICE.reasoning),
        }),
    });
    tenant = await Tenant.create(cluster, 'recorded', { deposit: '1000' });
    key = await tenant.key('k');
}

/** What the provider sent: a recording of bare JSON lines is played as events. */
function played({ file, framing }) {
    const bytes = readFileSync(shared(`streams/${file}`));
    if (framing !== 'jsonl') {
        return bytes;
    }
    const lines = bytes.toString().split('\n').filter((line) => line !== '');
    return Buffer.from([...lines, '[DONE]'].map((line) => `data: ${line}\n\n`).join(''));
}

/** The same without the events that say nothing but usage. */
function withoutUsage(bytes) {
    const events = bytes.toString('latin1').match(/[^]*?(?:\r\n\r\n|\n\n|\r\r)|[^]+$/g) ?? [];
    return Buffer.from(events.filter((event) => {
        const data = /^data: ?(\{.*\})/m.exec(event)?.[1];
        const chunk = data ? JSON.parse(data) : {};
        return !(chunk.choices?.length === 0 && chunk.usage);
    }).join(''), 'latin1');
}

/** The ledger's units of a usage that has everything inside two sums. */
function unitsOf({ input = 0, output = 0, cache_read = 0, reasoning = 0 }) {
    return {
        input: input - cache_read,
        cacheRead: cache_read,
        reasoning,
        output: reasoning > output ? output : output - reasoning, // xAI counts it apart
    };
}

const costOf = (units) => Object.entries(units).reduce((sum, [unit, n]) => sum + n * PRICE[unit], 0);

/** Mistral's models that think send parts. */
function textOf(content) {
    return Array.isArray(content)
        ? content.filter((part) => part.type === 'text').map((part) => part.text).join('')
        : content ?? '';
}

async function play(recording, wanted, piece) {
    const answer = await post(cluster.edgeUrl(wanted ? 1 : 2), key.api_key, chat('recorded', {
        stream: true,
        ...(wanted ? { stream_options: { include_usage: true } } : {}),
        metadata: { mock_script: recording.file, ...(piece ? { mock_piece: String(piece) } : {}) },
    }));
    assert.equal(answer.status, 200);
    assert.equal(answer.broken, false);
    const sent = played(recording);
    const expected = wanted ? sent : withoutUsage(sent);
    const got = answer.body;
    assert.ok(got.subarray(0, expected.length).equals(expected), `${recording.file}: other bytes`);
    const rest = got.subarray(expected.length).toString();
    assert.match(rest, /^: holdfast cost=[0-9.]+ receipt=\d+:0*\d+:[0-9a-f]{64}\n\n$/);
    return { ...answer, told: closingComment(`\n${rest}`) };
}

test('F28_F8_every_recorded_stream_is_relayed_byte_for_byte_and_settled_on_its_usage', { skip }, async (t) => {
    assert.ok(recordings.length >= 30);
    const answers = new Map(); // hold -> {recording, told}
    for (const recording of recordings) {
        for (const wanted of [false, true]) {
            const { headers, told } = await play(recording, wanted, wanted ? 61 : 0);
            answers.set(headers['x-holdfast-hold'], { recording, told });
            if (recording.usage) {
                assert.equal(nanos(told.cost), costOf(unitsOf(recording.usage)), recording.file);
            } else {
                assert.ok(nanos(told.cost) > 0, `${recording.file} was free`);
            }
        }
    }
    const org = await tenant.quiet();
    await nodesAgree(cluster);
    const log = await readLog(cluster, 1);
    assert.equal(log.status, 0, log.stderr);
    const settled = settlements(log);
    assert.equal(settled.size, answers.size);
    let sum = 0;
    for (const [hold, { recording, told }] of answers) {
        const { command, result } = settled.get(hold);
        sum += result.body.cost;
        assert.equal(result.body.cost, nanos(told.cost));
        if (!recording.usage) {
            assert.equal(command.body.source, SOURCE.estimate, recording.file);
            continue;
        }
        assert.equal(command.body.source, SOURCE.usage, recording.file);
        const units = unitsOf(recording.usage);
        const counted = Object.fromEntries(command.body.units.map(({ unit, n }) => [unit, n]));
        for (const [name, n] of Object.entries(units)) {
            assert.equal(counted[UNIT[name]] ?? 0, n, `${recording.file}: ${name}`);
        }
    }
    assert.equal(org.usage_nanos, sum);
    const withUsage = recordings.filter((one) => one.usage).length;
    t.diagnostic(`${recordings.length} recordings, ${withUsage} with usage`);
});

test('F27_F28_the_official_client_reads_every_recording', { skip }, async () => {
    const openai = cluster.openai(1, key.api_key);
    for (const recording of recordings) {
        const stream = await openai.chat.completions.create(chat('recorded', {
            stream: true,
            metadata: { mock_script: recording.file, mock_piece: '7' },
        }));
        let text = '', finish = null;
        for await (const chunk of stream) {
            for (const { index, delta, finish_reason } of chunk.choices ?? []) {
                text += index === 0 ? textOf(delta.content) : '';
                finish = finish_reason ?? finish;
            }
        }
        assert.equal(createHash('sha256').update(text).digest('hex'), recording.text_sha256, recording.file);
        assert.equal(finish, recording.finish, recording.file);
    }
});
