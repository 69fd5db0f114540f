// SPDX-License-Identifier: Apache-2.0
// What the HTTP tests share: the echo server on a port chosen at run time, raw bytes in and out,
// conditions with a deadline. Programs are found in HOLDFAST_BIN (set by ctest).
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const bin = process.env.HOLDFAST_BIN ?? path.join(root, 'build/http/bin');
export const shared = process.env.HOLDFAST_SHARED ?? path.resolve(root, '../shared');
/** Sanitizers keep freed memory: nothing can be said of sizes then. */
export const sanitized = Boolean(process.env.HOLDFAST_SANITIZE);
export const DEADLINE_MS = 20000;

export function sharedFile(name) {
  const file = path.join(shared, 'data', name);
  return existsSync(file) ? file : null;
}

export class Program {
  static async start(name, args, ready) {
    const program = new Program();
    program.child = spawn(path.join(bin, name), args, { stdio: ['ignore', 'pipe', 'pipe'] });
    program.output = '';
    // 'close', not 'exit': the last of the output has been read by then.
    program.exit = new Promise((resolve) => program.child.on('close', (code, signal) => {
      program.exited = { code, signal };
      resolve(program.exited);
    }));
    program.child.stdout.on('data', (data) => { program.output += data; });
    program.child.stderr.on('data', (data) => { program.output += data; });
    await until(() => ready.test(program.output) || program.exited, `${name} to start`);
    if (program.exited) throw new Error(`${name} ended at once: ${program.output}`);
    program.port = Number(ready.exec(program.output)[1]);
    return program;
  }
  async stop() {
    if (!this.exited) this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), DEADLINE_MS);
    const exit = await this.exit;
    clearTimeout(timer);
    return exit;
  }
  /** Resident memory in KiB. */
  async memory() {
    const { readFile } = await import('node:fs/promises');
    const status = await readFile(`/proc/${this.child.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)[1]);
  }
}

export function startEcho(...args) {
  return Program.start('http-echo', args, /port (\d+)/);
}

export function startMock(...args) {
  return Program.start('holdfast-mock', args, /listening on https?:\/\/[^:]+:(\d+)/);
}

/** Waits for a condition, never for a time; fails after DEADLINE_MS. */
export async function until(condition, what) {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited too long for ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 5); });
  }
}

/** A connection that keeps what it gets. */
export class Raw {
  static async open(port, { ca } = {}) {
    const raw = new Raw();
    raw.socket = ca
      ? tls.connect({ port, host: '127.0.0.1', ca, servername: 'localhost', ALPNProtocols: ['http/1.1'] })
      : net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    raw.bytes = Buffer.alloc(0);
    raw.error = null;
    raw.closed = false;
    raw.ended = false;
    raw.socket.on('data', (data) => { raw.bytes = Buffer.concat([raw.bytes, data]); });
    raw.socket.on('error', (error) => { raw.error = error; });
    raw.socket.on('end', () => { raw.ended = true; });
    raw.socket.on('close', () => { raw.closed = true; });
    await new Promise((resolve, reject) => {
      raw.socket.once(ca ? 'secureConnect' : 'connect', resolve);
      raw.socket.once('error', reject);
    });
    raw.socket.setNoDelay(true);
    return raw;
  }
  send(bytes) { this.socket.write(bytes); }
  finish() { this.socket.end(); }
  reset() { this.socket.resetAndDestroy(); }
  close() { this.socket.destroy(); }
  get text() { return this.bytes.toString('latin1'); }
  async untilText(pattern) {
    await until(() => pattern.test(this.text) || this.closed || this.ended, `${pattern} in an answer`);
    if (!pattern.test(this.text)) throw new Error(`closed without ${pattern}: ${JSON.stringify(this.text)}`);
    return this.text;
  }
  async untilClosed() {
    await until(() => this.closed || this.ended, 'the server to close');
    this.socket.destroy();
    return this.text;
  }
}

/** Sends bytes and the end of stream; the answers up to the server's close. */
export async function exchange(port, bytes) {
  const raw = await Raw.open(port);
  raw.send(bytes);
  raw.finish();
  await raw.untilClosed();
  return { get answers() { return parseAnswers(raw.bytes); }, error: raw.error, bytes: raw.bytes };
}

/** Splits answers whose bodies have a Content-Length (not those to HEAD, nor streams). */
export function parseAnswers(bytes) {
  const answers = [];
  let at = 0;
  while (at < bytes.length) {
    const end = bytes.indexOf('\r\n\r\n', at);
    if (end < 0) break;
    const [line, ...fields] = bytes.subarray(at, end).toString('latin1').split('\r\n');
    const headers = Object.fromEntries(fields.map((f) => {
      const colon = f.indexOf(':');
      return [f.slice(0, colon).toLowerCase(), f.slice(colon + 1).trim()];
    }));
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(line)[1]);
    at = end + 4;
    let body = Buffer.alloc(0);
    if (headers['content-length'] !== undefined) {
      body = bytes.subarray(at, at + Number(headers['content-length']));
      at += body.length;
    }
    answers.push({ status, headers, body: body.toString('latin1') });
  }
  return answers;
}

/** The `name=value` lines of the echo server's report. */
export function report(answer) {
  const lines = answer.body.split('\n\n')[0].split('\n');
  return Object.fromEntries(lines.map((l) => [l.slice(0, l.indexOf('=')), l.slice(l.indexOf('=') + 1)]));
}

export async function stats(port) {
  const { answers } = await exchange(port, 'GET /stats HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  return JSON.parse(answers[0].body);
}
