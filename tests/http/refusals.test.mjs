// SPDX-License-Identifier: Apache-2.0
// Requests that two parsers could read differently, or that ask for more than their share: each with
// the one answer it must get, and nothing behind it may be taken for a request.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { exchange, parseAnswers, Raw, report, startEcho, stats } from './lib.mjs';

let echo;
before(async () => { echo = await startEcho('--body-bytes', '1000000'); });
after(async () => { await echo.stop(); });

const post = (fields, body) => `POST /x HTTP/1.1\r\nHost: x\r\n${fields}\r\n\r\n${body}`;
const get = (fields) => `GET /x HTTP/1.1\r\nHost: x\r\n${fields}\r\n\r\n`;
const hello = '5\r\nhello\r\n0\r\n\r\n';
const chunked = (body) => post('Transfer-Encoding: chunked', body);

/** [what, bytes, statuses of all answers] */
const TABLE = [
  ['a plain POST', post('Content-Length: 5', 'hello'), [200]],
  ['Content-Length, then Transfer-Encoding', post('Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n'), [400]],
  ['Transfer-Encoding, then Content-Length', post('Transfer-Encoding: chunked\r\nContent-Length: 5', '0\r\n\r\n'), [400]],
  ['the same Content-Length twice', post('Content-Length: 5\r\nContent-Length: 5', 'hello'), [400]],
  ['two Content-Lengths', post('Content-Length: 5\r\nContent-Length: 3', 'hello'), [400]],
  ['a list as Content-Length', post('Content-Length: 5, 5', 'hello'), [400]],
  ['a sign in Content-Length', post('Content-Length: +5', 'hello'), [400]],
  ['a negative Content-Length', post('Content-Length: -1', ''), [400]],
  ['a hexadecimal Content-Length', post('Content-Length: 0x5', 'hello'), [400]],
  ['words behind Content-Length', post('Content-Length: 5 x', 'hello'), [400]],
  ['a Content-Length of 2^64 + 5', post('Content-Length: 18446744073709551621', 'hello'), [400]],
  ['a folded field', get('X-A: a\r\n b'), [400]],
  ['a folded Transfer-Encoding', post('Transfer-Encoding:\r\n chunked', hello), [400]],
  ['lines that end in LF', 'GET /x HTTP/1.1\nHost: x\n\n', [400]],
  ['a CR inside a value', get('X-A: a\rX-B: b'), [400]],
  ['a CR hiding Transfer-Encoding', post('X:\rTransfer-Encoding: chunked', hello), [400]],
  ['a head that ends in CR without LF', 'GET /x HTTP/1.1\r\nHost: x\r\n\rGET /y HTTP/1.1\r\nHost: x\r\n\r\n', [400]],
  ['an unknown coding', post('Transfer-Encoding: xchunked', hello), [501]],
  ['identity behind chunked', post('Transfer-Encoding: chunked, identity', hello), [501]],
  ['gzip before chunked', post('Transfer-Encoding: gzip, chunked', hello), [501]],
  ['chunked twice in a field', post('Transfer-Encoding: chunked, chunked', hello), [501]],
  ['two Transfer-Encoding fields', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', hello), [400]],
  ['a vertical tab before chunked', post('Transfer-Encoding: \x0bchunked', hello), [400, 501]],
  ['a coding on HTTP/1.0', 'POST /x HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n' + hello, [400]],
  ['an underscore for the hyphen', post('Transfer_Encoding: chunked\r\nContent-Length: 5', 'hello'), [200]],
  ['a blank before the colon', post('Content-Length : 5', 'hello'), [400]],
  ['a blank before the first field', 'POST /x HTTP/1.1\r\n Content-Length: 5\r\nHost: x\r\n\r\nhello', [400]],
  ['NUL in a value', get('X-A: a\0b'), [400]],
  ['NUL in a name', get('X\0A: b'), [400]],
  ['ESC in a value', get('X-A: \x1b[2J'), [400]],
  ['no Host', 'GET /x HTTP/1.1\r\n\r\n', [400]],
  ['two Hosts', get('Host: y'), [400]],
  ['an empty Host', 'GET /x HTTP/1.1\r\nHost:\r\n\r\n', [400]],
  ['a Host with user and path', 'GET /x HTTP/1.1\r\nHost: a@b/c\r\n\r\n', [400]],
  ['a chunk size with a letter behind', chunked('5x\r\nhello\r\n0\r\n\r\n'), [400]],
  ['a chunk size with 0x', chunked('0x5\r\nhello\r\n0\r\n\r\n'), [400]],
  ['a negative chunk size', chunked('-5\r\nhello\r\n0\r\n\r\n'), [400]],
  ['chunk lines that end in LF', chunked('5\nhello\n0\n\n'), [400]],
  ['a chunk extension that ends in LF', chunked('5;a\nhello\r\n0\r\n\r\n'), [400]],
  ['chunk data that runs over', chunked('5\r\nhelloXX0\r\n\r\n'), [400]],
  ['a chunk size past 64 bits', chunked('10000000000000005\r\nhello\r\n0\r\n\r\n'), [400]],
  ['a chunk of almost 2^64', chunked('fffffffffffffff0\r\nhello'), [413]],
  ['endless chunk extensions', chunked(`5;${'a'.repeat(20000)}\r\nhello\r\n0\r\n\r\n`), [400]],
  ['endless trailers', chunked(`5\r\nhello\r\n0\r\n${'X-A: b\r\n'.repeat(5000)}\r\n`), [400]],
  ['a good chunked body', chunked(hello), [200]],
  ['trailers, which are dropped', chunked('5\r\nhello\r\n0\r\nX-A: b\r\n\r\n'), [200]],
  ['a Content-Length among the trailers', chunked('5\r\nhello\r\n0\r\nContent-Length: 7\r\n\r\n'), [400]],
  ['HTTP/1.7', 'GET /x HTTP/1.7\r\nHost: x\r\n\r\n', [505]],
  ['HTTP/2.0', 'GET /x HTTP/2.0\r\nHost: x\r\n\r\n', [505]],
  ['HTTP/2 with prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [505]],
  ['no version', 'GET /x\r\n\r\n', [505]],
  ['RTSP', 'OPTIONS /x RTSP/1.0\r\nHost: x\r\n\r\n', [505]],
  ['a head of 70 KB', get(`X-A: ${'a'.repeat(70000)}`), [431]],
  ['2000 fields', get(Array.from({ length: 2000 }, (_, i) => `X-${i}: a`).join('\r\n')), [431]],
  ['101 fields', get(Array.from({ length: 100 }, (_, i) => `X-${i}: a`).join('\r\n')), [431]],
  ['100 fields', get(Array.from({ length: 99 }, (_, i) => `X-${i}: a`).join('\r\n')), [200]],
  ['a URL of 70 KB', `GET /${'a'.repeat(70000)} HTTP/1.1\r\nHost: x\r\n\r\n`, [414]],
  ['a URL just past its limit', `GET /${'a'.repeat(8192)} HTTP/1.1\r\nHost: x\r\n\r\n`, [414]],
  ['a URL at its limit', `GET /${'a'.repeat(8191)} HTTP/1.1\r\nHost: x\r\n\r\n`, [200]],
  ['a body past its limit, told', post('Content-Length: 1000001', 'a'), [413]],
  ['a body past its limit, in chunks', chunked(`${(1000001).toString(16)}\r\n`), [413]],
  ['a body at its limit', post('Content-Length: 1000000', 'a'.repeat(1000000)), [200]],
  ['an unknown expectation', post('Expect: magic\r\nContent-Length: 5', 'hello'), [417]],
  ['CONNECT', 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n', [405]],
  ['TRACE', 'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n', [405]],
  ['an unknown method', 'FROB / HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['* without OPTIONS', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['* with OPTIONS', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', [200]],
  ['another scheme', 'GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['a path without its slash', 'GET x HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['a TLS hello on a plain port', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', [400]],
  ['two requests', get('A: b') + get('A: b'), [200, 200]],
  ['a good one, a bad one, a good one', get('A: b') + 'GET / HTTP/1.1\r\n\r\n' + get('A: b'), [200, 400]],
];

test('F27_http_refusals', async (t) => {
  for (const [what, bytes, statuses] of TABLE) {
    const { answers } = await exchange(echo.port, Buffer.from(bytes, 'latin1'));
    const seen = answers.map((a) => a.status);
    if (what === 'a vertical tab before chunked') assert.ok(statuses.includes(seen[0]) && seen.length === 1, what);
    else assert.deepEqual(seen, statuses, what);
    const last = answers.at(-1);
    if (last.status >= 400) assert.equal(last.headers.connection, 'close', what);
    assert.ok(last.headers.date, what);
    assert.equal(last.headers.server, undefined, what);
  }
  t.diagnostic(`${TABLE.length} cases`);
});

test('F27_http_refusal_reaches_a_client_that_still_sends', async () => {
  // The answer must not be lost to a reset while the client is still writing its body.
  const raw = await Raw.open(echo.port);
  raw.send(post('Content-Length: 3000000', ''));
  raw.send(Buffer.alloc(3000000, 'a'));
  const text = await raw.untilClosed();
  assert.match(text, /^HTTP\/1\.1 413 /);
  assert.equal(raw.error, null);
});

test('F27_http_targets', async () => {
  const table = [
    ['GET /a%2Fb?c=d?e HTTP/1.1\r\nHost: h', { path: '/a%2Fb', query: 'c=d?e', host: 'h' }],
    ['GET http://b:81/a?x HTTP/1.1\r\nHost: h', { path: '/a', query: 'x', host: 'b:81' }],
    ['GET HTTPS://b HTTP/1.1\r\nHost: h', { path: '/', query: '', host: 'b' }],
    ['GET http://[::1]:8?q HTTP/1.1\r\nHost: h', { path: '/', query: 'q', host: '[::1]:8' }],
    ['GET / HTTP/1.0', { path: '/', query: '', host: '' }],
    ['OPTIONS * HTTP/1.1\r\nHost: h', { path: '*', query: '', host: 'h' }],
  ];
  for (const [head, expected] of table) {
    const { answers } = await exchange(echo.port, `${head}\r\n\r\n`);
    const seen = report(answers[0]);
    for (const [name, value] of Object.entries(expected)) assert.equal(seen[name], value, `${head}: ${name}`);
    assert.equal(seen.peer, '127.0.0.1');
  }
});

test('F27_http_random_bytes_never_end_the_server', async () => {
  // A seeded generator of broken requests; whatever comes back, the next good request is served.
  let seed = 12345;
  const random = (n) => { seed = (Math.imul(seed, 1103515245) + 12345) >>> 0; return (seed >>> 8) % n; };
  const good = Buffer.from(post('Transfer-Encoding: chunked\r\nX-A: b', '5;a=b\r\nhello\r\n0\r\nT: x\r\n\r\n') + get('A: b'), 'latin1');
  for (let i = 0; i < 400; i++) {
    const bytes = Buffer.from(good);
    for (let k = random(6); k >= 0; k--) bytes[random(bytes.length)] = random(256);
    const { bytes: out } = await exchange(echo.port, bytes.subarray(0, random(bytes.length) + 1));
    parseAnswers(out); // every answer is well-formed
  }
  assert.equal((await exchange(echo.port, get('A: b'))).answers[0].status, 200);
  assert.equal((await stats(echo.port)).body_bytes, 0);
});
