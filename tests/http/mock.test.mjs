// SPDX-License-Identifier: Apache-2.0
// holdfast-mock: the shapes that OpenAI's clients expect, its overrides, its counters.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Raw, sharedFile, startMock, until } from './lib.mjs';

let mock, base, dir;
const streams = sharedFile('streams/manifest.jsonl');
before(async () => {
  dir = mkdtempSync(path.join(os.tmpdir(), 'hf-mock-'));
  mock = await startMock('--port-file', path.join(dir, 'port'), '--cost-header', 'x-cost', '--workers', '2', '--keep-last',
    '--price-in-nanos', '150', '--price-out-nanos', '600', '--models', 'a,b', '--script-dir', streams ? path.dirname(streams) : dir);
  base = `http://127.0.0.1:${mock.port}`;
});
after(async () => {
  const { code } = await mock.stop();
  rmSync(dir, { recursive: true, force: true });
  assert.equal(code, 0, mock.output);
});

const call = (body, where = '/v1/chat/completions', headers = {}) => fetch(base + where, {
  method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: typeof body === 'string' ? body : JSON.stringify(body) });
const ask = (extra = {}, metadata = undefined) => ({ model: 'gpt-4o', messages: [{ role: 'user', content: 'hello, world' }], ...extra, metadata });
const mockStats = async () => (await fetch(`${base}/mock/stats`)).json();
const events = (text) => text.split('\n\n').filter(Boolean).map((e) => e.replace(/^data: /, ''));
const chunks = (text) => events(text).filter((e) => e !== '[DONE]').map((e) => JSON.parse(e));

test('F49_mock_port_file_models_and_health', async () => {
  assert.equal(readFileSync(path.join(dir, 'port'), 'utf8'), `${mock.port}\n`);
  const models = await (await fetch(`${base}/v1/models`)).json();
  assert.equal(models.object, 'list');
  assert.deepEqual(models.data.map((m) => [m.id, m.object]), [['a', 'model'], ['b', 'model']]);
  assert.equal((await fetch(`${base}/healthz`)).status, 200);
  assert.equal((await fetch(`${base}/nowhere`)).status, 404);
  assert.equal((await fetch(`${base}/v1/chat/completions`)).status, 405);
});

test('F49_mock_chat', async () => {
  const res = await call(ask({ max_tokens: 5, n: 2 }));
  assert.equal(res.status, 200);
  assert.equal(res.headers.get('x-cost'), '0.00000645'); // 3 * 150 + 10 * 600 nano-dollars
  const body = await res.json();
  assert.match(body.id, /^chatcmpl-/);
  assert.equal(body.object, 'chat.completion');
  assert.equal(body.model, 'gpt-4o');
  assert.equal(body.choices.length, 2);
  assert.equal(body.choices[1].index, 1);
  assert.equal(body.choices[0].message.role, 'assistant');
  assert.equal(body.choices[0].message.content.split(' ').length, 5);
  assert.equal(body.choices[0].finish_reason, 'length');
  assert.deepEqual([body.usage.prompt_tokens, body.usage.completion_tokens, body.usage.total_tokens], [3, 10, 13]);
  const parts = await (await call({ ...ask(), messages: [{ role: 'system', content: 'abcd' }, { role: 'user', content: [{ type: 'text', text: 'é"\n12' }] }] })).json();
  assert.equal(parts.usage.prompt_tokens, 3); // 4 + 6 bytes
  assert.equal(parts.choices[0].finish_reason, 'stop');
  assert.equal(parts.usage.completion_tokens, 16);
});

test('F49_mock_stream', async () => {
  const res = await call(ask({ stream: true, max_completion_tokens: 3, n: 2, stream_options: { include_usage: true } }));
  assert.match(res.headers.get('content-type'), /^text\/event-stream/);
  const text = await res.text();
  assert.ok(text.endsWith('data: [DONE]\n\n'));
  const all = chunks(text);
  assert.ok(all.every((c) => c.object === 'chat.completion.chunk' && c.id === all[0].id));
  assert.equal(all[0].choices[0].delta.role, 'assistant');
  const last = all.pop();
  assert.deepEqual(last.choices, []);
  assert.equal(last.usage.completion_tokens, 6);
  assert.ok(all.every((c) => c.usage === null));
  for (const index of [0, 1]) {
    const mine = all.flatMap((c) => c.choices).filter((c) => c.index === index);
    assert.equal(mine.map((c) => c.delta.content ?? '').join('').split(' ').length, 3);
    assert.equal(mine.at(-1).finish_reason, 'length');
  }
  const plain = chunks(await (await call(ask({ stream: true }))).text());
  assert.ok(plain.every((c) => c.choices.length === 1 && !('usage' in c)));
});

test('F49_mock_completions_and_embeddings', async () => {
  const body = await (await call({ model: 'm', prompt: ['abcd', 'ef'], max_tokens: 2 }, '/v1/completions')).json();
  assert.equal(body.object, 'text_completion');
  assert.equal(body.choices[0].text.split(' ').length, 2);
  assert.equal(body.usage.prompt_tokens, 2);
  const stream = await (await call({ model: 'm', prompt: 'x', stream: true, max_tokens: 2 }, '/v1/completions')).text();
  assert.equal(chunks(stream).map((c) => c.choices[0].text).join(''), body.choices[0].text);
  const floats = await (await call({ model: 'e', input: ['a', 'b'] }, '/v1/embeddings')).json();
  const packed = await (await call({ model: 'e', input: ['a', 'b'], encoding_format: 'base64' }, '/v1/embeddings')).json();
  for (const i of [0, 1]) {
    const bytes = Buffer.from(packed.data[i].embedding, 'base64');
    const values = Array.from({ length: bytes.length / 4 }, (_, k) => bytes.readFloatLE(4 * k));
    assert.deepEqual(values, floats.data[i].embedding);
  }
  assert.equal(packed.usage.total_tokens, 1);
});

test('F49_mock_overrides', async () => {
  const tokens = await (await call(ask({}, { mock_tokens: '7', mock_prompt_tokens: '99', mock_cached_tokens: '50' }))).json();
  assert.deepEqual([tokens.usage.completion_tokens, tokens.usage.prompt_tokens, tokens.usage.prompt_tokens_details.cached_tokens], [7, 99, 50]);
  assert.equal((await (await call(ask({ max_tokens: 4 }, { mock_tokens: '7' }))).json()).usage.completion_tokens, 4);
  assert.equal((await (await call(ask({ max_tokens: 4 }, { mock_tokens: '7', mock_ignore_max: '1' }))).json()).usage.completion_tokens, 7);
  const failed = await call(ask({ stream: true }, { mock_status: '429' }));
  assert.equal(failed.status, 429);
  assert.equal((await failed.json()).error.type, 'rate_limit_error');
  assert.equal((await call(ask({}, { mock_cost: '1.25' }))).headers.get('x-cost'), '1.25');
  assert.equal((await (await call(ask({}, { mock_no_usage: '1' }))).json()).usage, undefined);
  const started = Date.now();
  await call(ask({}, { mock_latency_ms: '120' }));
  assert.ok(Date.now() - started >= 119);
  const paced = Date.now();
  await (await call(ask({ stream: true, max_tokens: 4 }, { mock_interval_ms: '20' }))).text();
  assert.ok(Date.now() - paced >= 100);
  const cut = await call(ask({ stream: true }, { mock_cut_after: '3' }));
  await assert.rejects(cut.text());
  await assert.rejects(call(ask({}, { mock_cut_after: '0' })));
});

test('F49_mock_bad_requests', async () => {
  for (const body of ['', '{', '[]', '{}', '{"model":1,"messages":[]}', '{"model":"a"}', '{"model":"a","messages":"x"}']) {
    const res = await call(body);
    assert.equal(res.status, 400, body);
    assert.equal((await res.json()).error.type, 'invalid_request_error');
  }
  const odd = await (await call({ ...ask(), model: 'a"\\\n\u0001é' })).json();
  assert.equal(odd.model, 'a"\\\n\u0001é');
});

test('F49_mock_counts', async () => {
  const was = await mockStats();
  await (await call(ask({ stream: true, max_tokens: 5 }))).text();
  await (await call(ask({}, { mock_status: '500' }))).text();
  const hung = await Raw.open(mock.port);
  const body = JSON.stringify(ask({}, { mock_hang: '1' }));
  hung.send(`POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  await until(async () => (await mockStats()).in_flight === 1, 'the call to hang');
  hung.close();
  await until(async () => (await mockStats()).in_flight === 0, 'the caller to be missed');
  const now = await mockStats();
  const grown = Object.fromEntries(Object.keys(was).filter((k) => k !== 'endpoints').map((k) => [k, now[k] - was[k]]));
  assert.deepEqual(grown, { received: 3, completed: 1, failed: 1, aborted: 1, in_flight: 0, unauthorized: 0,
    prompt_tokens: 3, completion_tokens: 5, cost_nanos: 3450 });
  const last = await (await fetch(`${base}/mock/last`)).json();
  assert.equal(last.path, '/v1/chat/completions');
  assert.equal(last.body, body);
  assert.equal(last.headers.Host, 'a');
});

test('F28_mock_serves_recorded_streams_byte_for_byte', { skip: streams ? false : 'shared test data is not here (HOLDFAST_SHARED)' }, async (t) => {
  const cases = readFileSync(streams, 'utf8').trim().split('\n').map((l) => JSON.parse(l)).filter((c) => c.api === 'openai.chat');
  for (const c of cases) {
    const recorded = readFileSync(path.join(path.dirname(streams), c.file), 'utf8');
    const expected = c.framing === 'sse' ? recorded
      : `${recorded.split(/\r?\n/).filter(Boolean).map((l) => `data: ${l}\n\n`).join('')}data: [DONE]\n\n`;
    const whole = await (await call(ask({ stream: true }, { mock_script: c.file }))).text();
    assert.equal(whole, expected, c.file);
    const pieces = await (await call(ask({ stream: true }, { mock_script: c.file, mock_piece: '997' }))).text();
    assert.equal(pieces, expected, c.file);
  }
  t.diagnostic(`${cases.length} recordings`);
  const first = cases.find((c) => c.framing === 'sse').file;
  const cut = await call(ask({ stream: true }, { mock_script: first, mock_cut_after: '2' }));
  await assert.rejects(cut.text());
  for (const name of ['../README.md', '/etc/hostname', 'none'])
    assert.equal((await call(ask({ stream: true }, { mock_script: name }))).status, 404);
});

test('F49_mock_api_key_and_end', async () => {
  const other = await startMock('--api-key', 'sk-x', '--tokens', '3');
  const url = `http://127.0.0.1:${other.port}/v1/chat/completions`;
  const tryKey = async (authorization) => (await fetch(url, { method: 'POST', body: JSON.stringify(ask()), headers: authorization ? { authorization } : {} })).status;
  assert.deepEqual([await tryKey(), await tryKey('Bearer sk-y'), await tryKey('Bearer sk-x')], [401, 401, 200]);
  // SIGTERM: a call that hangs on purpose does not hold up the end.
  const hung = fetch(url, { method: 'POST', headers: { authorization: 'Bearer sk-x' }, body: JSON.stringify(ask({}, { mock_hang: '1' })) });
  const gone = assert.rejects(hung);
  await until(async () => (await (await fetch(`http://127.0.0.1:${other.port}/mock/stats`)).json()).in_flight === 1, 'the call to hang');
  assert.equal((await other.stop()).code, 0);
  await gone;
});
