// SPDX-License-Identifier: Apache-2.0
// Every request case of llhttp's, picohttpparser's and nginx's own tests against the server.
// A case is run as it stands, then (where it has no Host, which llhttp does not ask for) once more
// with a Host field put in, so that what it is about is judged too.
// Where we differ on purpose, RULES says so and what must happen instead; each rule counts its cases,
// and a rule without a case fails: the list is neither a catch-all nor out of date.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { exchange, report, sharedFile, startEcho } from './lib.mjs';

let echo;
before(async () => { echo = await startEcho(); });
after(async () => { await echo.stop(); });

/** What must be seen of an answer: a status, or one of these. */
const OK = 'ok';
const REFUSED = 'refused';

function judge(name, expected, answers) {
  const seen = answers.map((a) => a.status);
  if (expected[0] instanceof Array && expected.some((e) => fitsAll(e, seen))) return;
  assert.ok(fitsAll(expected, seen), `${name}: expected ${JSON.stringify(expected)}, got ${seen}`);
}

function fitsAll(expected, seen) {
  return seen.length === expected.length && expected.every((e, i) => (
    e === OK ? seen[i] === 200 : e === REFUSED ? seen[i] >= 400 && seen[i] < 600 : seen[i] === e));
}

const text = (c) => Buffer.from(c.raw_b64, 'base64').toString('latin1');
const requestLine = (c) => text(c).replace(/^(\r\n)+/, '').split(/\r?\n/)[0];
const isHttp11 = (c) => /HTTP\/1\.1/.test(requestLine(c));

/**
 * Differences from llhttp and picohttpparser, all towards refusing. First match counts. `expect` is
 * the list of answers, or a list of such lists where versions of llhttp differ.
 */
const RULES = [
  { name: 'CONNECT is not served: 405', match: (c) => /^CONNECT /.test(text(c)), expect: [405] },
  { name: 'HTTP/0.9 (no version): 505', match: (c) => /^GET \/\r\n/.test(text(c)), expect: [505] },
  { name: 'RTSP and ICE are other protocols: 505', match: (c) => /(RTSP|ICE)\/1\.0$/.test(requestLine(c)) && c.expectation.outcome === 'accept', expect: [505] },
  { name: 'target * is for OPTIONS only: 400', match: (c) => /^M-SEARCH \* /.test(text(c)), expect: [400] },
  { name: 'a fragment in the target: 400', match: (c) => /^GET \S*#\S* HTTP/.test(requestLine(c)) && c.expectation.outcome === 'accept', expect: [400] },
  { name: 'user and password in the target: 400', match: (c) => /^GET http:\/\/\S+@/.test(requestLine(c)), expect: [400] },
  { name: 'a transfer coding before chunked: 501, two fields: 400', match: (c) => /Transfer-Encoding: deflate/i.test(text(c)) && c.expectation.outcome === 'accept', expect: [REFUSED] },
  { name: 'bytes after a closing answer are not read: one answer', match: (c) => c.expectation.error?.code === 5, expect: [OK] },
  { name: 'an offer to upgrade is ignored; what follows is the next request', match: (c) => c.expectation.outcome === 'accept_upgrade', expect: null },
  { name: 'a tab after Content-Length: refused before llhttp 9.3, blank since', match: (c) => /Length:\t42\t/.test(text(c)), expect: [[], [400]] },
  { name: 'obs-fold: 400', match: (c) => / parse multiline$/.test(c.name), expect: [400] },
  { name: 'bytes above 0x7f in the target: 400', match: (c) => / accept MSB chars$/.test(c.name), expect: [400] },
  { name: 'bare LF after the last chunk: 400', match: (c) => c.direction === 'chunked_body' && c.expectation.outcome === 'accept' && /[^\r]\n/.test(text(c)), expect: [400] },
  { name: 'blanks in a chunk-size line: 400', match: (c) => c.direction === 'chunked_body' && c.expectation.outcome !== 'reject' && / ;/.test(text(c)), expect: [400] },
  { name: 'a chunk past the body limit is refused at its size line: 413', match: (c) => c.direction === 'chunked_body' && /\nf{16}\r/.test(text(c)), expect: [413] },
  { name: 'consume_trailer=0 ends before the empty line that ends a message: incomplete', match: (c) => c.expectation.consume_trailer === 0, expect: [] },
];
for (const rule of RULES) rule.count = 0;

/** Cases that say nothing about a server that reads requests. */
const NOT_OURS = [
  { name: 'a response, not a request', match: (c) => c.direction === 'response' },
  { name: "a lenient mode of llhttp's, which we never turn on", match: (c) => c.strict === false },
  { name: "llhttp's pause between callbacks: no difference on the wire", match: (c) => c.pausing === true },
];

function read(name) {
  return readFileSync(sharedFile(`http/${name}`), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
}

function select(t, cases) {
  const skipped = new Map(NOT_OURS.map((r) => [r.name, 0]));
  const ours = cases.filter((c) => {
    const reason = NOT_OURS.find((r) => r.match(c));
    if (reason) skipped.set(reason.name, skipped.get(reason.name) + 1);
    return !reason;
  });
  t.diagnostic(`${ours.length} of ${cases.length} cases apply`);
  for (const [name, count] of skipped) if (count) t.diagnostic(`${count} do not apply: ${name}`);
  return ours;
}

/** The bytes as a whole message, for pieces of one. */
function message(c) {
  const raw = Buffer.from(c.raw_b64, 'base64');
  if (c.direction === 'headers') return Buffer.concat([Buffer.from('GET / HTTP/1.1\r\n'), raw]);
  if (c.direction === 'chunked_body')
    return Buffer.concat([Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'), raw]);
  return raw;
}

function expectedOf(c) {
  const rule = RULES.find((r) => r.match(c));
  if (rule) rule.count++;
  if (rule?.expect) return rule.expect;
  const { outcome } = c.expectation;
  if (outcome === 'accept_upgrade') return null; // judged by its first answer
  if (outcome === 'accept' || outcome === 'accept_head') return Array(c.expectation.messages_complete ?? 1).fill(OK);
  if (outcome === 'incomplete') return [];
  return [...Array(c.expectation.messages_complete ?? 0).fill(OK), REFUSED];
}

/** Puts a Host field behind every request line that a new message starts with. */
function withHost(c) {
  const host = Buffer.from('Host: example.com\r\n');
  const raw = text(c);
  const lines = [...raw.matchAll(/(^|\r\n)[A-Z-]+ \S+ HTTP\/1\.[01]\r\n/g)];
  if (!lines.length) return null;
  const parts = [];
  let at = 0;
  for (const m of lines) {
    const end = m.index + m[0].length;
    parts.push(Buffer.from(raw.slice(at, end), 'latin1'), host);
    at = end;
  }
  parts.push(Buffer.from(raw.slice(at), 'latin1'));
  return Buffer.concat(parts);
}

function judgeUpgrade(name, answers) {
  assert.ok(answers.length >= 1 && answers[0].status === 200, `${name}: got ${answers.map((a) => a.status)}`);
  for (const a of answers.slice(1)) assert.equal(a.status, 400, name);
}

function judgeContent(c, answers) {
  const e = c.expectation;
  if (e.outcome !== 'accept' || !e.urls || answers.some((a) => a.status !== 200)) return;
  if (e.methods.includes('HEAD')) return; // no body to look into
  const complete = e.messages_complete;
  const reports = answers.map(report);
  assert.deepEqual(reports.map((r) => r.method), e.methods.slice(0, complete), c.name);
  const urls = reports.map((r) => r.path + (r.query ? `?${r.query}` : ''));
  const expected = e.urls.slice(0, complete).map((u) => u.replace(/^https?:\/\/[^/?]*/, '').replace(/^(\?|$)/, '/$1'));
  assert.deepEqual(urls, expected, c.name);
  const body = reports.map((r) => r.body).join('');
  const all = Buffer.from(e.body_b64, 'base64').toString('hex');
  if (e.methods.length === complete) assert.equal(body, all, c.name);
  else assert.ok(all.startsWith(body), c.name); // the rest is an incomplete message's
}

async function run(bytes) {
  const { answers, error } = await exchange(echo.port, bytes);
  assert.equal(error, null);
  return answers;
}

const missing = sharedFile('http/llhttp.jsonl') ? false : 'shared test data is not here (HOLDFAST_SHARED)';

test('F27_http_llhttp_cases', { skip: missing }, async (t) => {
  for (const c of select(t, read('llhttp.jsonl'))) {
    const expected = expectedOf(c);
    const answers = await run(message(c));
    const unhosted = !c.has_host && isHttp11(c);
    if (unhosted && c.expectation.outcome !== 'incomplete') {
      judge(`${c.name} (no Host)`, [REFUSED], answers);
    } else if (unhosted) {
      // Its head may be complete, and then it is refused for want of a Host; or not.
      assert.ok(answers.length <= 1 && answers.every((a) => a.status === 400), c.name);
    } else if (expected === null) {
      judgeUpgrade(c.name, answers);
    } else {
      judge(c.name, expected, answers);
      judgeContent(c, answers);
    }
    if (!unhosted) continue;
    const hosted = withHost(c);
    if (!hosted) continue;
    const second = await run(hosted);
    if (expected === null) judgeUpgrade(`${c.name} (Host added)`, second);
    else judge(`${c.name} (Host added)`, expected, second);
    judgeContent(c, second);
  }
});

test('F27_http_picohttpparser_cases', { skip: missing }, async (t) => {
  for (const c of select(t, read('picohttpparser.jsonl'))) {
    const expected = expectedOf(c);
    const answers = await run(message(c));
    judge(`${c.name} ${JSON.stringify(text(c))}`, expected, answers);
    if (c.expectation.body_b64 && answers[0]?.status === 200)
      assert.equal(report(answers[0]).body, Buffer.from(c.expectation.body_b64, 'base64').toString('hex'), c.name);
  }
});

test('F27_http_nginx_cases', { skip: missing }, async (t) => {
  const cases = select(t, read('nginx.jsonl'));
  for (const c of cases) {
    const answers = await run(message(c));
    if (c.expectation.outcome === 'reject') {
      judge(c.name, [c.expectation.status], answers);
    } else {
      judge(c.name, [OK], answers);
      const host = report(answers[0]).host.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');
      assert.equal(host, c.expectation.host, c.name);
    }
  }
});

test('F27_http_rules_are_all_used', { skip: missing }, (t) => {
  for (const rule of RULES) {
    t.diagnostic(`${rule.count} differ: ${rule.name}`);
    assert.ok(rule.count > 0, `no case for: ${rule.name}`);
  }
});

test('F27_http_cases_byte_by_byte', { skip: missing }, async () => {
  // The same verdict when every byte comes alone: nothing may depend on how TCP cuts the input.
  const cases = [...read('nginx.jsonl'), ...read('picohttpparser.jsonl').filter((c) => c.direction === 'request')];
  const { Raw, parseAnswers } = await import('./lib.mjs');
  for (const c of cases.filter((_, i) => i % 5 === 0)) {
    const whole = await run(message(c));
    const raw = await Raw.open(echo.port);
    for (const byte of message(c)) {
      if (raw.ended || raw.closed) break;
      await new Promise((resolve) => { raw.socket.write(Buffer.from([byte]), resolve); });
    }
    raw.finish();
    await raw.untilClosed();
    assert.deepEqual(parseAnswers(raw.bytes).map((a) => a.status), whole.map((a) => a.status), c.name);
  }
});
