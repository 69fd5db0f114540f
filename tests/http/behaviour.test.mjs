// SPDX-License-Identifier: Apache-2.0
// What the server does over time: keep-alive, pipelining, deadlines, leaving clients, slow readers,
// streams, limits, drain.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import http from 'node:http';
import { test } from 'node:test';
import { exchange, parseAnswers, Raw, sanitized, startEcho, stats, until } from './lib.mjs';

async function withEcho(args, body) {
  const echo = await startEcho(...args);
  try {
    await body(echo.port, echo);
  } catch (error) {
    echo.child.kill('SIGKILL');
    throw error;
  }
  const { code } = await echo.stop();
  assert.equal(code, 0, echo.output);
  assert.match(echo.output, /ended 0/, 'every handle was closed');
}

const get = (path, fields = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;

test('F27_http_pipelining_keeps_order', () => withEcho([], async (port) => {
  const raw = await Raw.open(port);
  raw.send(get('/wait') + get('/second') + get('/third'));
  await until(async () => (await stats(port)).held === 1, 'the first to be held');
  assert.equal(raw.text, '');
  await exchange(port, get('/release', 'Connection: close\r\n'));
  await raw.untilText(/third/);
  const paths = [...raw.text.matchAll(/released|path=\/\w+/g)].map((m) => m[0]);
  assert.deepEqual(paths, ['released', 'path=/second', 'path=/third']);
  raw.close();
}));

test('F27_http_pipelined_bytes_are_bounded', () => withEcho([], async (port) => {
  const raw = await Raw.open(port);
  raw.send(get('/wait'));
  const one = get('/x', `X: ${'a'.repeat(900)}\r\n`);
  const many = 20000;
  raw.send(one.repeat(many)); // 19 MB behind a request that is not answered
  await until(async () => (await stats(port)).held === 1, 'the first to be held');
  await until(() => raw.socket.writableLength > 0 || raw.socket.bytesWritten > 0, 'the kernel to fill');
  await exchange(port, get('/release', 'Connection: close\r\n'));
  const head = 'HTTP/1.1 200';
  let answers = 0;
  await until(() => {
    // What was counted is dropped, but for the beginning of a head that the read may have cut.
    answers += raw.text.split(head).length - 1;
    const at = raw.text.lastIndexOf(head);
    const cut = Math.max(at < 0 ? 0 : at + head.length, raw.bytes.length - head.length + 1);
    raw.bytes = raw.bytes.subarray(cut);
    return answers >= many + 1;
  }, 'all answers');
  raw.close(); // not before: an end of stream is a client that leaves, and what it still asks for is dropped
}));

test('F27_http_keep_alive_and_10', () => withEcho([], async (port) => {
  const close = await exchange(port, 'GET / HTTP/1.0\r\n\r\n');
  assert.equal(close.answers[0].headers.connection, 'close');
  const raw = await Raw.open(port);
  raw.send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
  await raw.untilText(/path=/);
  assert.match(raw.text, /Connection: keep-alive/);
  raw.send('GET /again HTTP/1.0\r\n\r\n');
  await raw.untilClosed();
  assert.match(raw.text, /path=\/again/);
}));

test('F27_http_10_stream_ends_by_close', () => withEcho([], async (port) => {
  const { bytes } = await exchange(port, 'GET /stream?n=3&size=4 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
  const text = bytes.toString();
  assert.match(text, /Connection: close/);
  assert.doesNotMatch(text, /Transfer-Encoding|Content-Length/);
  assert.ok(text.endsWith('\r\n\r\nxxxxxxxxxxxx'));
}));

test('F27_http_head_has_no_body', () => withEcho([], async (port) => {
  const { bytes } = await exchange(port, get('/').replace('GET', 'HEAD') + get('/stream?n=3&size=4', '').replace('GET', 'HEAD'));
  const text = bytes.toString();
  assert.equal(text.split('HTTP/1.1 200').length, 3);
  assert.match(text, /Content-Length: \d\d/);
  assert.doesNotMatch(text, /path=|xxxx/);
}));

test('F27_http_expect_continue', () => withEcho([], async (port) => {
  const raw = await Raw.open(port);
  raw.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
  await raw.untilText(/^HTTP\/1\.1 100 Continue\r\n\r\n/);
  raw.send('hello');
  await raw.untilText(/body=68656c6c6f/);
  raw.close();
  const refused = await exchange(port, 'POST /early HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
  assert.deepEqual(refused.answers.map((a) => a.status), [403]);
}));

test('F27_http_on_head_refuses_before_the_body', () => withEcho([], async (port) => {
  const early = await exchange(port, `POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n${'x'.repeat(50)}`);
  assert.deepEqual(early.answers.map((a) => a.status), [403]);
  assert.equal(early.answers[0].headers.connection, 'close');
  const post = (n) => `POST /short HTTP/1.1\r\nHost: a\r\nContent-Length: ${n}\r\n\r\n${'x'.repeat(n)}`;
  assert.equal((await exchange(port, post(10))).answers[0].status, 200);
  assert.equal((await exchange(port, post(11))).answers[0].status, 413);
}));

test('F27_http_slow_head_and_body_408', () => withEcho(['--head-ms', '300', '--body-ms', '300', '--idle-ms', '300'], async (port) => {
  const silent = await Raw.open(port);
  const head = await Raw.open(port);
  head.send('GET / HTTP/1.1\r\nHo');
  const body = await Raw.open(port);
  body.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe');
  const idle = await Raw.open(port);
  idle.send(get('/'));
  assert.match(await head.untilClosed(), /^HTTP\/1\.1 408 /);
  assert.match(await body.untilClosed(), /^HTTP\/1\.1 408 /);
  assert.equal(await silent.untilClosed(), '', 'no answer to nothing');
  assert.equal((await idle.untilClosed()).split('HTTP/1.1').length, 2, 'one answer, then closed');
  // A trickle of bytes does not move the deadline.
  const trickle = await Raw.open(port);
  const timer = setInterval(() => trickle.send('X'), 20);
  trickle.send('GET / HTTP/1.1\r\nX: ');
  assert.match(await trickle.untilClosed(), /^HTTP\/1\.1 408 /);
  clearInterval(timer);
}));

test('F27_http_body_memory_is_bounded', () => withEcho(['--body-total-bytes', '3000000'], async (port) => {
  const half = async () => {
    const raw = await Raw.open(port);
    raw.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n');
    raw.send(Buffer.alloc(1500000));
    return raw;
  };
  const first = await half();
  await until(async () => (await stats(port)).body_bytes >= 1500000, 'the first body');
  const second = await half();
  assert.match(await second.untilClosed(), /^HTTP\/1\.1 503 [^]*Retry-After/);
  first.send(Buffer.alloc(500000));
  await first.untilText(/len=2000000/);
  first.close();
  await until(async () => (await stats(port)).body_bytes < 100000, 'the memory to be given back');
}));

test('F28_http_client_gone_is_told_once', () => withEcho([], async (port) => {
  const leave = [(raw) => raw.finish(), (raw) => raw.close(), (raw) => raw.reset()];
  for (const [i, how] of leave.entries()) {
    const raw = await Raw.open(port);
    raw.send(get('/wait'));
    await until(async () => (await stats(port)).held === 1, 'the request to be held');
    how(raw);
    await until(async () => (await stats(port)).gone === i + 1, 'the client to be missed');
    const s = await stats(port);
    assert.equal(s.held, 0);
    assert.equal(s.gone_calls, i + 1);
    raw.close();
  }
}));

test('F28_http_client_gone_behind_a_full_pipeline', () => withEcho([], async (port) => {
  const raw = await Raw.open(port);
  raw.send(get('/wait') + get('/x', `X: ${'a'.repeat(900)}\r\n`).repeat(200)); // past EDGE_HTTP_PIPELINE_MAX
  await until(async () => (await stats(port)).held === 1, 'the request to be held');
  await until(() => raw.socket.writableLength === 0, 'all to be sent');
  raw.finish();
  await until(async () => (await stats(port)).gone === 1, 'the client to be missed');
  raw.close();
}));

test('F28_http_client_gone_in_mid_stream', () => withEcho([], async (port) => {
  const raw = await Raw.open(port);
  raw.socket.pause();
  raw.send(get('/stream?n=100000&size=1000'));
  await until(async () => (await stats(port)).queued_max > 200000, 'the stream to fill its queue');
  raw.reset();
  await until(async () => (await stats(port)).gone === 1, 'the client to be missed');
}));

test('F28_http_slow_reader_bounds_memory', () => withEcho([], async (port, echo) => {
  const before = await echo.memory();
  const raws = [];
  for (let i = 0; i < 20; i++) {
    const raw = await Raw.open(port);
    raw.socket.pause();
    raw.send(get('/stream?n=20000&size=5000')); // 100 MB each
    raws.push(raw);
  }
  await until(async () => (await stats(port)).requests >= 20, 'all streams to start');
  const during = await echo.memory();
  if (!sanitized) assert.ok(during - before < 20 * 1024, `${during - before} KiB for 20 slow readers`);
  assert.ok((await stats(port)).queued_max < 300000);
  let got = 0;
  raws[0].socket.removeAllListeners('data');
  raws[0].socket.on('data', (data) => { got += data.length; });
  raws[0].socket.resume();
  await until(() => got > 100000000, 'a reader that wakes up to get everything');
  for (const raw of raws) raw.close();
  await until(async () => (await stats(port)).gone === 19, 'the others to be missed');
}));

test('F28_http_stalled_reader_is_cut', () => withEcho(['--write-ms', '400'], async (port) => {
  const raw = await Raw.open(port);
  raw.socket.pause();
  raw.send(get('/stream?n=100000&size=1000'));
  await until(async () => (await stats(port)).gone === 1, 'the stalled client to be cut');
  raw.close();
}));

test('F28_http_trailers_only_where_asked_for', () => withEcho([], async (port) => {
  const asked = (await exchange(port, get('/stream?n=1&size=2&trailer=1', 'TE: gzip, trailers\r\n'))).bytes.toString();
  assert.match(asked, /\r\nTrailer: X-Cost, X-Receipt\r\n/);
  assert.ok(asked.endsWith('\r\n\r\n2\r\nxx\r\n0\r\nX-Cost: 0.0012\r\nX-Receipt: r1\r\n\r\n'));
  const not = (await exchange(port, get('/stream?n=1&size=2&trailer=1'))).bytes.toString();
  assert.doesNotMatch(not, /Trailer|X-Cost/);
  assert.ok(not.endsWith('\r\n\r\n2\r\nxx\r\n0\r\n\r\n'));
  const seen = await new Promise((resolve, reject) => {
    http.get({ port, path: '/stream?n=3&size=9&trailer=1', headers: { TE: 'trailers' } }, (res) => {
      res.resume();
      res.on('end', () => resolve(res.trailers));
      res.on('error', reject);
    });
  });
  assert.equal(seen['x-cost'], '0.0012');
}));

test('F28_http_aborted_stream_is_seen_as_broken', () => withEcho([], async (port) => {
  const fetchIt = (path) => fetch(`http://127.0.0.1:${port}${path}`).then((r) => r.text());
  await assert.rejects(fetchIt('/stream?n=9&size=100&abort=4'));
  await assert.rejects(fetchIt('/stream?n=9&size=100&abort=4&length=1'));
  assert.equal((await fetchIt('/stream?n=9&size=100&length=1')).length, 900);
  const chunked = await exchange(port, get('/stream?n=9&size=100&abort=4'));
  assert.equal(chunked.bytes.toString().split('x'.repeat(100)).length, 4, 'what was written before is sent');
  assert.doesNotMatch(chunked.bytes.toString(), /\r\n0\r\n/);
  // Where only the close ends the body, it must be a reset. (Node reports a reset behind data as an end.)
  const { status } = spawnSync('curl', ['-s', '-0', `http://127.0.0.1:${port}/stream?n=9&size=100&abort=4`]);
  assert.equal(status, 56);
}));

test('F27_http_500_connections_at_once', () => withEcho([], async (port, echo) => {
  const before = await echo.memory();
  const raws = await Promise.all(Array.from({ length: 500 }, () => Raw.open(port)));
  for (let round = 0; round < 3; round++) {
    raws.forEach((raw, i) => {
      const body = `round ${round} body ${i}.`;
      raw.send(`POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    });
    for (const [i, raw] of raws.entries()) await raw.untilText(new RegExp(`round ${round} body ${i}\\.$`));
  }
  assert.ok((await stats(port)).connections >= 500);
  const each = (await echo.memory() - before) / 500;
  if (!sanitized) assert.ok(each <= 40, `${each} KiB a connection`);
  raws.forEach((raw) => raw.close());
  await until(async () => (await stats(port)).connections === 1, 'all to be closed');
}));

test('F27_http_full_server_answers_503', () => withEcho(['--connections', '10'], async (port) => {
  const raws = [];
  for (let i = 0; i < 10; i++) {
    const raw = await Raw.open(port);
    raw.send(get('/wait'));
    raws.push(raw);
  }
  const over = await Raw.open(port);
  over.send(get('/x'));
  const text = await over.untilClosed();
  assert.match(text, /^HTTP\/1\.1 503 [^]*Connection: close/);
  raws.forEach((raw) => raw.close());
  await until(async () => {
    const { answers } = await exchange(port, get('/stats', 'Connection: close\r\n'));
    return answers[0]?.status === 200;
  }, 'room again');
}));

test('F31_http_drain', async () => {
  const echo = await startEcho();
  const idle = await Raw.open(echo.port);
  idle.send(get('/x'));
  await idle.untilText(/path=/);
  const busy = await Raw.open(echo.port);
  busy.send(get('/wait'));
  await until(async () => (await stats(echo.port)).held === 1, 'the request to be held');
  const releaser = await Raw.open(echo.port);
  releaser.send('GET /release HTTP/1.1\r\nHost: a\r\n'); // its head is not complete yet
  await until(async () => (await stats(echo.port)).connections === 4, 'all to be connected');
  echo.child.kill('SIGTERM');
  await idle.untilClosed();
  await until(() => /draining/.test(echo.output), 'the drain to begin');
  await assert.rejects(Raw.open(echo.port), /ECONNREFUSED/);
  assert.equal(echo.exited, undefined);
  releaser.send('\r\n');
  assert.match(await busy.untilClosed(), /Connection: close[^]*released/);
  assert.match(await releaser.untilClosed(), /Connection: close/);
  const { code } = await echo.exit;
  assert.equal(code, 0);
  assert.match(echo.output, /ended 0/);
});

test('F27_http_answers_are_whole_under_any_cut', () => withEcho([], async (port) => {
  // The same pipelined bytes in pieces of every size from 1 to 40 bytes.
  const bytes = Buffer.from(get('/a') + 'POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n' + get('/c'));
  for (let size = 1; size <= 40; size += 3) {
    const raw = await Raw.open(port);
    for (let at = 0; at < bytes.length; at += size)
      await new Promise((resolve) => { raw.socket.write(bytes.subarray(at, at + size), resolve); });
    raw.finish();
    await raw.untilClosed();
    const answers = parseAnswers(raw.bytes);
    assert.deepEqual(answers.map((a) => /path=(\S+)/.exec(a.body)[1]), ['/a', '/b', '/c']);
    assert.match(answers[1].body, /body=6162636465\n/);
  }
}));

test('F27_http_no_memory_closes_connections_only', async () => {
  for (const every of [3, 4, 5, 7, 11, 17]) {
    await withEcho(['--fail-every', String(every)], async (port) => {
      const big = 'x'.repeat(100000);
      for (let i = 0; i < 60; i++) {
        const raw = await Raw.open(port).catch(() => null);
        if (!raw) continue;
        raw.send(get('/a') + `POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: ${big.length}\r\n\r\n${big}` + get('/stream?n=50&size=5000'));
        raw.finish();
        await raw.untilClosed();
      }
    });
  }
});
