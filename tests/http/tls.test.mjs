// SPDX-License-Identifier: Apache-2.0
// TLS from outside: curl and Node as clients, EC and RSA certificates made on the spot.
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { bin, Raw, startEcho, stats, until } from './lib.mjs';

let dir;
const file = (name) => path.join(dir, name);

function makeCert(name, ...algorithm) {
  execFileSync('openssl', ['req', '-x509', '-newkey', ...algorithm, '-nodes', '-days', '2', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', file(`${name}.key`), '-out', file(`${name}.pem`)],
  { stdio: 'ignore' });
}

before(() => {
  dir = mkdtempSync(path.join(os.tmpdir(), 'hf-tls-'));
  makeCert('ec', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256');
  makeCert('ec384', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384');
  makeCert('rsa', 'rsa:2048');
  makeCert('short', 'rsa:1024');
  execFileSync('openssl', ['ec', '-in', file('ec.key'), '-out', file('sec1.key')], { stdio: 'ignore' });
  execFileSync('openssl', ['pkcs8', '-topk8', '-in', file('ec.key'), '-out', file('locked.key'), '-passout', 'pass:secret'], { stdio: 'ignore' });
  writeFileSync(file('garbage.pem'), '-----BEGIN CERTIFICATE-----\nnot base64 !!!\n-----END CERTIFICATE-----\n');
});
after(() => rmSync(dir, { recursive: true, force: true }));

async function withTls(name, body, key = `${name}.key`) {
  const echo = await startEcho('--tls', file(`${name}.pem`), file(key));
  try {
    await body(echo.port, readFileSync(file(`${name}.pem`)), echo);
  } catch (error) {
    echo.child.kill('SIGKILL');
    throw error;
  }
  const { code } = await echo.stop();
  assert.equal(code, 0, echo.output);
}

const curl = promisify(execFile).bind(null, 'curl');
const tlsStats = async (port, ca) => {
  const raw = await Raw.open(port, { ca });
  raw.send('GET /stats HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  await raw.untilClosed();
  return JSON.parse(raw.text.split('\r\n\r\n')[1]);
};

for (const [name, key, suite] of [['ec', 'ec.key', 'ECDHE-ECDSA-AES128-GCM-SHA256'], ['ec', 'sec1.key', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
  ['ec384', 'ec384.key', 'ECDHE-ECDSA-AES128-GCM-SHA256'], ['rsa', 'rsa.key', 'ECDHE-RSA-AES128-GCM-SHA256']]) {
  test(`F32_tls_curl_${name}_${key}`, () => withTls(name, async (port) => {
    const { stdout, stderr } = await curl(['-sv', '--cacert', file(`${name}.pem`), '-d', 'hello', `https://localhost:${port}/x`]);
    assert.match(stdout, /tls=1\nlen=5/);
    assert.match(stderr, new RegExp(`TLSv1.2 / ${suite}`));
    assert.match(stderr, /server accepted http\/1.1/);
    const two = await curl(['-s', '--cacert', file(`${name}.pem`), '-o', '/dev/null', '-o', '/dev/null', '-w', '%{num_connects} ',
      `https://localhost:${port}/a`, `https://localhost:${port}/b`]);
    assert.equal(two.stdout, '1 0 ', 'the connection is kept');
  }, key));
}

test('F32_tls_big_bodies_both_ways', () => withTls('ec', async (port) => {
  const bytes = Buffer.from(Array.from({ length: 3000000 }, (_, i) => (i * 7919) & 255));
  writeFileSync(file('body'), bytes);
  const { stdout } = await curl(['-s', '--cacert', file('ec.pem'), '--data-binary', `@${file('body')}`, `https://localhost:${port}/body`],
    { encoding: 'buffer', maxBuffer: 1e8 });
  assert.ok(bytes.equals(stdout));
  const stream = await curl(['-s', '--cacert', file('ec.pem'), `https://localhost:${port}/stream?n=5000&size=5000`], { maxBuffer: 1e8 });
  assert.equal(stream.stdout.length, 25000000);
}));

test('F32_tls_sessions_are_resumed', () => withTls('ec', async (port, ca) => {
  const connect = (session) => new Promise((resolve, reject) => {
    const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca, session, ALPNProtocols: ['http/1.1'] }, () => {
      const seen = { reused: socket.isSessionReused(), session: socket.getSession() };
      socket.end('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
      socket.on('close', () => resolve(seen)).resume();
    });
    socket.on('error', reject);
  });
  const first = await connect();
  assert.equal(first.reused, false);
  assert.equal((await connect(first.session)).reused, true);
}));

test('F32_tls_old_or_weak_clients_are_refused', () => withTls('ec', async (port, ca) => {
  const fails = (options) => assert.rejects(new Promise((resolve, reject) => {
    const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca, ...options }, () => { socket.destroy(); resolve(); });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed')));
  }));
  await fails({ maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' });
  await fails({ ciphers: 'AES128-SHA:AES256-SHA' });
  await fails({ ciphers: 'ECDHE-ECDSA-AES128-SHA256', maxVersion: 'TLSv1.2' });
  await fails({ ALPNProtocols: ['h2'] });
  await fails({ minVersion: 'TLSv1.3' });
  const plain = await Raw.open(port);
  plain.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await plain.untilClosed();
  assert.doesNotMatch(plain.text, /HTTP/);
  assert.equal((await tlsStats(port, ca)).requests, 1);
}));

test('F32_tls_handshake_has_a_deadline', async () => {
  const echo = await startEcho('--tls', file('ec.pem'), file('ec.key'), '--head-ms', '300');
  const raw = await Raw.open(echo.port);
  raw.send(Buffer.from([0x16, 0x03, 0x01]));
  await raw.untilClosed();
  await echo.stop();
});

test('F28_tls_client_gone_and_slow_reader', () => withTls('ec', async (port, ca) => {
  for (const [i, leave] of [(r) => r.finish(), (r) => r.close()].entries()) {
    const raw = await Raw.open(port, { ca });
    raw.send('GET /wait HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(async () => (await tlsStats(port, ca)).held === 1, 'the request to be held');
    leave(raw);
    await until(async () => (await tlsStats(port, ca)).gone === i + 1, 'the client to be missed');
  }
  const slow = await Raw.open(port, { ca });
  slow.socket.pause();
  slow.send('GET /stream?n=100000&size=1000 HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(async () => (await tlsStats(port, ca)).queued_max > 200000, 'the queue to fill');
  assert.ok((await tlsStats(port, ca)).queued_max < 300000);
  let got = 0;
  slow.socket.removeAllListeners('data');
  slow.socket.on('data', (d) => { got += d.length; });
  slow.socket.resume();
  await until(() => got > 100000000, 'the slow reader to get everything');
  slow.close();
}));

test('F28_tls_cut_stream_is_seen_as_broken', () => withTls('ec', async (port) => {
  // Newer versions of curl say 56 (failure in receiving) where it said 18 (partial file).
  await assert.rejects(curl(['-s', '--cacert', file('ec.pem'), `https://localhost:${port}/stream?n=9&size=100&abort=4`]),
    (e) => e.code === 18 || e.code === 56);
  await assert.rejects(curl(['-s', '-0', '--cacert', file('ec.pem'), `https://localhost:${port}/stream?n=9&size=100&abort=4`]));
}));

test('F32_tls_pipelining_and_random_records', () => withTls('ec', async (port, ca) => {
  const raw = await Raw.open(port, { ca });
  raw.send('GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  await raw.untilClosed();
  assert.deepEqual([...raw.text.matchAll(/path=\/\w/g)].map((m) => m[0]), ['path=/a', 'path=/b']);
  for (let i = 0; i < 50; i++) {
    const junk = await Raw.open(port);
    junk.send(Buffer.from([0x16, 0x03, i & 3, 0, 40, ...Array.from({ length: 40 }, (_, k) => (k * i * 37) & 255)]));
    junk.finish();
    await junk.untilClosed();
  }
  assert.equal((await tlsStats(port, ca)).requests, 3);
}));

test('F32_tls_bad_files_are_named', () => {
  const say = (chain, key) => {
    const r = spawnSync(path.join(bin, 'http-echo'), ['--tls', chain, key], { encoding: 'utf8' });
    assert.equal(r.status, 2);
    assert.doesNotMatch(r.stderr, /BEGIN|secret/);
    return r.stderr;
  };
  assert.match(say(file('none.pem'), file('ec.key')), /none\.pem: No such file/);
  assert.match(say(file('ec.key'), file('ec.key')), /ec\.key: no certificate in it/);
  assert.match(say(file('ec.pem'), file('ec.pem')), /ec\.pem: no private key in it/);
  assert.match(say(file('ec.pem'), file('rsa.key')), /rsa\.key is not the key of the first certificate/);
  assert.match(say(file('ec.pem'), file('ec384.key')), /is not the key/);
  assert.match(say(file('rsa.pem'), file('short.key')), /RSA key shorter than 2048 bits/);
  assert.match(say(file('ec.pem'), file('locked.key')), /locked\.key: the private key is encrypted/);
  assert.match(say(file('garbage.pem'), file('ec.key')), /garbage\.pem: not valid PEM/);
  assert.match(say(dir, file('ec.key')), /directory/);
});
