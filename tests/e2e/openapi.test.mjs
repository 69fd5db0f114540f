// SPDX-License-Identifier: Apache-2.0
// F27, F17: docs/openapi.json is a valid document, and what a real edge answers (successes, and every
// kind of error that a client can bring about) is what it says, fields of the head included.
import assert from 'node:assert/strict';
import { appendFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import * as tls from 'node:tls';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Cluster } from './lib/cluster.mjs';
import { root } from './lib/place.mjs';
import { Tenant, chat, importPrices, priced } from './lib/tenant.mjs';
import { until } from './lib/wait.mjs';

const document = JSON.parse(readFileSync(join(root, 'docs/openapi.json'), 'utf8'));
const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, allErrors: true });
addFormats(ajv);
for (const keyword of ['components', 'info', 'openapi', 'paths', 'security', 'servers']) {
    ajv.addKeyword(keyword);
}
ajv.addSchema(document, 'openapi');

const resolve = (thing) => (thing?.$ref ? resolve(thing.$ref.slice(2).split('/')
    .reduce((at, name) => at[name], document)) : thing);

/** Without the provider's own errors, which may be anything and share the statuses. */
const ours = (schema) => schema?.anyOf?.find((one) => !one.$ref?.endsWith('/ProviderAnswer')) ?? schema;

/** Of a JSON pointer into the document, or of a schema in it. */
function validatorOf(schema) {
    return ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"openapi#/')));
}

const cluster = Cluster.make({ after }, { nodes: 3, edges: 1, initArgs: [] });
await cluster.init();
appendFileSync(join(cluster.dir, 'edge-1.conf'), [
    '', '[provider nobody]', 'base_url = http://127.0.0.1:1/v1', '[route nobody]', 'provider = nobody', 'price_model = flat',
    '[provider slow]', `base_url = ${cluster.providerUrl}`, 'first_byte_timeout_ms = 200', '[route slow]',
    'provider = slow', 'price_model = flat', '',
].join('\n'));
await cluster.startAll();
await importPrices(cluster, { flat: priced({ input_cost_per_request: '0.001' }) });
const tenant = await Tenant.create(cluster, 'acme', { deposit: '10' });
const key = await tenant.key('k');

/** One request, byte by byte as it is given; what comes back, taken apart. */
function raw(bytes) {
    const { hostname, port } = new URL(cluster.edgeUrl(1));
    return new Promise((done, fail) => {
        const pieces = [];
        const socket = tls.connect({ host: hostname, port, ca: tls.getCACertificates('default') }, () => socket.write(bytes));
        socket.on('data', (piece) => pieces.push(piece));
        socket.on('error', (error) => (pieces.length > 0 ? socket.destroy() : fail(error)));
        socket.on('close', () => done(parse(Buffer.concat(pieces))));
    });
}

function fieldsOf(lines) {
    return Object.fromEntries(lines.map((line) => [
        line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
}

function parse(bytes) {
    const text = bytes.toString();
    const end = text.indexOf('\r\n\r\n');
    const [first, ...lines] = text.slice(0, end).split('\r\n');
    const answer = { status: Number(first.split(' ')[1]), headers: fieldsOf(lines), body: text.slice(end + 4), trailers: {} };
    if (answer.headers['transfer-encoding'] === 'chunked') {
        let rest = answer.body;
        answer.body = '';
        for (let size; (size = parseInt(rest, 16)) > 0;) {
            const at = rest.indexOf('\r\n') + 2;
            answer.body += rest.slice(at, at + size);
            rest = rest.slice(at + size + 2);
        }
        answer.trailers = fieldsOf(rest.split('\r\n').slice(1).filter(Boolean));
    }
    return answer;
}

function call(method, path, { apiKey = key.api_key, body, fields = [] } = {}) {
    const payload = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
    return raw([`${method} ${path} HTTP/1.1`, 'Host: edge', 'Connection: close', 'TE: trailers',
        ...(apiKey ? [`Authorization: Bearer ${apiKey}`] : []),
        ...(payload ? ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(payload)}`] : []),
        ...fields, '', payload].join('\r\n'));
}

const seen = new Map(); // "path method" -> statuses

/** What the document says of that answer; fails where the answer is another. */
function check(template, method, answer) {
    const operation = document.paths[template][method];
    const said = resolve(operation.responses[answer.status] ?? operation.responses.default);
    assert.ok(said, `${method} ${template}: ${answer.status} is not in the document`);
    seen.set(`${template} ${method}`, (seen.get(`${template} ${method}`) ?? new Set()).add(String(answer.status)));
    const type = answer.headers['content-type']?.split(';')[0];
    const whole = said.content[type]?.schema;
    const passedOn = answer.headers['x-holdfast-hold'] && !answer.body.includes('"provider_error"');
    const schema = passedOn ? whole : ours(whole);
    assert.ok(schema, `${answer.status}: no ${type} in the document`);
    if (type === 'application/json') {
        const validate = validatorOf(schema);
        assert.ok(validate(JSON.parse(answer.body)), `${answer.body}\n${ajv.errorsText(validate.errors)}`);
    }
    const usual = /^(date|content-(type|length)|connection|transfer-encoding|trailer|cache-control|x-request-id|server|openai-processing-ms|keep-alive)$/;
    for (const [name, value] of [...Object.entries(answer.headers), ...Object.entries(answer.trailers)]) {
        if (!usual.test(name)) {
            const header = resolve(said.headers?.[name]);
            assert.ok(header, `${answer.status}: the field ${name} is not in the document`);
            assert.ok(validatorOf(header.schema)(value), `${name}: ${value}`);
        }
    }
    return answer;
}

/** A call whose answer must have this status and this error code, and be as the document says. */
async function expect(status, code, template, method, answered) {
    const answer = check(template, method, await answered);
    assert.equal(answer.status, status, answer.body);
    if (code !== undefined) {
        assert.equal(JSON.parse(answer.body).error.code, code);
    }
    return answer;
}

const chats = '/v1/chat/completions';
const ask = (body, options) => call('POST', chats, { body, ...options });
const refused = (status, code, body, options) => expect(status, code, chats, 'post', ask(body, options));

test('F27_the_document_is_valid_openapi', async () => {
    const { valid, errors } = await new Validator().validate(structuredClone(document));
    assert.ok(valid, JSON.stringify(errors));
});

test('F27_answers_are_as_documented', async () => {
    const whole = await expect(200, undefined, chats, 'post', ask(chat('flat')));
    for (const field of ['x-holdfast-request-cost', 'x-holdfast-receipt', 'x-holdfast-hold']) {
        assert.ok(whole.headers[field], field);
    }
    const stream = await expect(200, undefined, chats, 'post', ask(chat('flat', { stream: true })));
    assert.equal(stream.headers['content-type'].split(';')[0], 'text/event-stream');
    assert.match(stream.body, /\n: holdfast cost=0\.001 receipt=\d+:\d+:[0-9a-f]{64}\n\n$/);
    assert.ok(stream.trailers['x-holdfast-receipt']);
    const chunk = validatorOf(document.components.schemas.ChatChunk);
    for (const [, data] of stream.body.matchAll(/^data: (\{.*)$/gm)) {
        assert.ok(chunk(JSON.parse(data)), data);
    }
    await expect(200, undefined, '/v1/completions', 'post', call('POST', '/v1/completions', { body: { model: 'flat', prompt: 'hi' } }));
    await expect(200, undefined, '/v1/embeddings', 'post', call('POST', '/v1/embeddings', { body: { model: 'flat', input: 'hi' } }));
    await expect(200, undefined, '/v1/models', 'get', call('GET', '/v1/models'));
    await expect(200, undefined, '/v1/models/{id}', 'get', call('GET', '/v1/models/flat'));
    await expect(200, undefined, '/healthz', 'get', call('GET', '/healthz', { apiKey: null }));
    await expect(200, undefined, '/readyz', 'get', call('GET', '/readyz', { apiKey: null }));
});

test('F17_errors_of_requests_are_as_documented', async () => {
    const hello = { messages: [{ role: 'user', content: 'hi' }] };
    await refused(400, 'invalid_json', '{"model"');
    await refused(400, 'missing_required_parameter', { ...hello });
    await refused(400, 'invalid_type', { model: 'flat', ...hello, stream: 1 });
    await refused(400, 'invalid_value', { model: 'flat', ...hello, n: 0 });
    await refused(400, 'duplicate_key', '{"model":"flat","model":"flat","messages":[{"role":"user","content":"hi"}]}');
    await refused(400, 'invalid_header', chat('flat'), { fields: [`Idempotency-Key: ${'k'.repeat(256)}`] });
    await refused(400, 'unbounded_request', {
        model: 'flat', messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://x/' } }] }],
    });
    await refused(400, 'model_unpriced', chat('nobody-knows'));
    await expect(400, null, chats, 'post', raw(`POST ${chats} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`));
    await refused(401, 'invalid_api_key', chat('flat'), { apiKey: null });
    await refused(401, 'invalid_api_key', chat('flat'), { apiKey: 'sk-other' });
    const gone = await tenant.key('gone');
    await tenant.ctl('key', 'revoke', '--key', String(gone.key));
    await refused(401, 'key_revoked', chat('flat'), { apiKey: gone.api_key });
    const narrow = await tenant.key('narrow', '--models', 'other');
    await refused(403, 'model_not_allowed', chat('flat'), { apiKey: narrow.api_key });
    await expect(404, 'model_not_found', '/v1/models/{id}', 'get', call('GET', '/v1/models/nothing'));
    await expect(404, 'unknown_url', chats, 'post', call('POST', '/v1/nothing'));
    await expect(405, 'method_not_allowed', chats, 'post', call('GET', chats));
    await expect(405, 'method_not_allowed', '/v1/models', 'get', call('DELETE', '/v1/models'));
    await expect(401, 'invalid_api_key', '/v1/models', 'get', call('GET', '/v1/models', { apiKey: null }));
    await expect(413, 'body_too_large', chats, 'post', raw(`POST ${chats} HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n`));
    await expect(414, null, chats, 'post', raw(`POST /${'u'.repeat(9000)} HTTP/1.1\r\nHost: a\r\n\r\n`));
    await expect(417, null, chats, 'post', raw(`POST ${chats} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 200-ok\r\n\r\n`));
    await expect(431, null, chats, 'post', raw(`POST ${chats} HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`));
    await expect(501, null, chats, 'post', raw(`POST ${chats} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n`));
    await expect(505, null, chats, 'post', raw(`POST ${chats} HTTP/2.0\r\nHost: a\r\n\r\n`));
});

test('F17_F52_refusals_of_the_ledger_are_as_documented', async () => {
    const broke = await Tenant.create(cluster, 'broke');
    const penniless = await broke.key('k');
    await refused(402, 'insufficient_credit', chat('flat'), { apiKey: penniless.api_key });
    const small = await tenant.key('small');
    await tenant.budget('key', small.key, '0.0005');
    await refused(402, 'request_exceeds_budget', chat('flat'), { apiKey: small.api_key });
    const one = await tenant.key('one');
    await tenant.budget('key', one.key, '0.001', '--window', 'daily');
    const held = ask(chat('flat', { metadata: { mock_latency_ms: '400' } }), { apiKey: one.api_key });
    await until('it is held', async () => (await tenant.show()).open_holds > 0);
    await refused(402, 'budget_in_flight', chat('flat'), { apiKey: one.api_key });
    assert.equal((await held).status, 200);
    await refused(402, 'budget_exceeded', chat('flat'), { apiKey: one.api_key });
    const polite = await tenant.key('polite');
    await tenant.budget('key', polite.key, '0.0005', '--status', '429');
    await refused(429, 'request_exceeds_budget', chat('flat'), { apiKey: polite.api_key });
    const once = { fields: ['Idempotency-Key: once'] };
    await expect(200, undefined, chats, 'post', ask(chat('flat'), once));
    await refused(409, 'idempotent_repeat', chat('flat'), once);
    await broke.ctl('org', 'pause');
    await refused(429, 'paused', chat('flat'), { apiKey: penniless.api_key });
});

test('F17_failures_of_providers_are_as_documented', async () => {
    for (const status of [400, 402, 403, 404, 409, 413, 422, 429, 500, 503]) { // the provider's own
        const { body } = await expect(status, undefined, chats, 'post', ask(chat('flat', { metadata: { mock_status: String(status) } })));
        assert.ok(body.includes('mock'));
    }
    await refused(502, 'provider_unreachable', chat('nobody'));
    await refused(502, 'provider_misconfigured', chat('flat', { metadata: { mock_status: '401' } }));
    await refused(504, 'provider_timeout', chat('slow', { metadata: { mock_hang: '1' } }));
});

test('F27_every_error_in_the_source_is_in_the_document', () => {
    const folder = join(root, 'edge/exchange');
    const source = readdirSync(folder).filter((name) => name.endsWith('.c'))
        .map((name) => readFileSync(join(folder, name), 'utf8')).join('\n');
    const responses = Object.values(document.paths).flatMap((path) => Object.values(path))
        .flatMap((operation) => Object.entries(operation.responses))
        .map(([status, response]) => [status, ours(resolve(response).content['application/json'].schema)]);
    const found = [...source.matchAll(/edge_error_set\([^,]+,\s*(\d{3}),\s*"(\w+)",\s*"(\w+)"/g)];
    assert.ok(found.length >= 12, `only ${found.length} found`);
    for (const [, status, type, code] of found) {
        const error = { message: 'x', type, code, param: null };
        assert.ok(responses.some(([at, schema]) => at === status && validatorOf(schema)({ error })),
            `${status} ${type} ${code}`);
    }
    for (const [, code] of source.matchAll(/edge_call_refuse\(error,[^,]+,\s*"(\w+)"/g)) {
        const error = { message: 'x', type: 'invalid_request_error', code, param: null };
        assert.ok(responses.some(([at, schema]) => at === '400' && validatorOf(schema)({ error })), code);
    }
});

test('F17_without_a_ledger_it_is_as_documented', async () => {
    for (const n of [1, 2, 3]) {
        await cluster.killNode(n);
    }
    await refused(503, 'ledger_unavailable', chat('flat'));
    await expect(503, 'ledger_unavailable', '/v1/models', 'get', call('GET', '/v1/models'));
    await until('not ready', async () => (await call('GET', '/readyz', { apiKey: null })).status === 503);
    await expect(503, undefined, '/readyz', 'get', call('GET', '/readyz', { apiKey: null }));
});

test('F27_all_that_is_documented_was_seen', () => {
    const late = new Set(['408']); // takes as long as it says: tests/http
    const documented = Object.keys(document.paths[chats].post.responses).filter((status) => !late.has(status) && status !== 'default');
    assert.deepEqual(documented.filter((status) => !seen.get(`${chats} post`).has(status)), []);
});
