// SPDX-License-Identifier: Apache-2.0
// Programs under test. Every one started here is ended by its process id at the latest when the
// test process ends, also when that is interrupted; none is ever looked for by name.
import { spawn, execFile } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { createInterface } from 'node:readline';
import { DEADLINE_MS, until, within } from './wait.mjs';

const running = new Set();
const LAST_LINES_MS = 1000;
const LINES_KEPT = 2000; // of a program's output, for waitLine and for errors; the file has all

function killAll() {
    for (const program of running) {
        program.signal('SIGKILL');
    }
}
process.on('exit', killAll);
for (const [signal, number] of [['SIGINT', 2], ['SIGTERM', 15], ['SIGHUP', 1]]) {
    process.on(signal, () => process.exit(128 + number));
}

export class Program {
    /**
     * @param {string} command
     * @param {string[]} args
     * @param {{name?: string, cwd?: string, env?: object, log?: string}} options log: a file that
     *   takes both outputs
     */
    constructor(command, args = [], { name, cwd, env, log } = {}) {
        this.name = name ?? basename(command);
        this.lines = [];
        this.exit = null; // {code, signal} once it is gone
        this.waiting = new Set();
        this.log = log ? createWriteStream(log, { flags: 'a' }) : null;
        this.child = spawn(command, args, {
            cwd,
            env: { ...process.env, ...env },
            stdio: ['ignore', 'pipe', 'pipe'],
        });
        running.add(this);
        this.exited = new Promise((resolve) => {
            // 'close' comes after the last line of output, but never if a grandchild holds the pipe.
            this.child.once('exit', (code, signal) => {
                const gone = () => this.#gone({ code, signal }, resolve);
                this.child.once('close', gone);
                setTimeout(gone, LAST_LINES_MS).unref();
            });
            this.child.once('error', (error) => this.#gone({ code: null, signal: null, error }, resolve));
        });
        this.child.stdout.on('error', () => {});
        this.child.stderr.on('error', () => {});
        createInterface({ input: this.child.stdout }).on('line', (line) => this.#take(line));
        createInterface({ input: this.child.stderr }).on('line', (line) => this.#take(line));
    }

    get pid() {
        return this.child.pid;
    }

    #take(line) {
        this.log?.write(line + '\n');
        this.lines.push(line);
        if (this.lines.length > LINES_KEPT) {
            this.lines.shift();
        }
        for (const look of this.waiting) {
            look(line);
        }
    }

    #gone(exit, resolve) {
        if (this.exit === null) {
            this.exit = exit;
            running.delete(this);
            resolve(exit);
        }
    }

    /** What to add to an error: how it ended, and its last lines. */
    story(lines = 20) {
        const end = this.exit ? `ended with ${JSON.stringify(this.exit.error?.message ?? this.exit)}` : 'is running';
        return [`${this.name} (pid ${this.pid}) ${end}; its last lines:`, ...this.lines.slice(-lines)].join('\n    ');
    }

    async #orExit(what, promise, deadlineMs) {
        const early = this.exited.then(() => {
            throw new Error(`${what}: it ended before`);
        });
        early.catch(() => {});
        try {
            return await within(what, Promise.race([promise, early]), deadlineMs);
        } catch (error) {
            throw new Error(`${error.message}\n${this.story()}`, { cause: error });
        }
    }

    /** The match of the first line, of those so far or to come, that fits the pattern. */
    async waitLine(pattern, { deadlineMs = DEADLINE_MS } = {}) {
        let look;
        const seen = new Promise((resolve) => {
            look = (line) => {
                const match = pattern.exec(line);
                if (match) {
                    resolve(match);
                }
            };
            this.lines.forEach(look);
            this.waiting.add(look);
        });
        try {
            return await this.#orExit(`${this.name} to say ${pattern}`, seen, deadlineMs);
        } finally {
            this.waiting.delete(look);
        }
    }

    /** The text of a file it writes when ready (a port file), once it is there and not empty. */
    async waitFile(path, { deadlineMs = DEADLINE_MS } = {}) {
        const what = `${this.name} to write ${path}`;
        return this.#orExit(what, until(what, () => existsSync(path) && readFileSync(path, 'utf8').trim(),
            { deadlineMs }), deadlineMs + 1000);
    }

    /** Waits for an HTTP(S) address to answer with a status that `accept` takes (200 by default). */
    async waitHttp(url, { deadlineMs = DEADLINE_MS, accept = (status) => status === 200 } = {}) {
        const what = `${this.name} to answer ${url}`;
        return this.#orExit(what, until(what, async () => {
            const answer = await fetch(url, { signal: AbortSignal.timeout(2000) });
            await answer.arrayBuffer();
            if (!accept(answer.status)) {
                throw new Error(`status ${answer.status}`);
            }
            return answer.status;
        }, { deadlineMs, everyMs: 50 }), deadlineMs + 2500);
    }

    /** Sends a signal to this process id, if it is still ours. */
    signal(name) {
        if (this.exit === null && this.pid !== undefined) {
            this.child.kill(name);
        }
    }

    /** Ends it (SIGTERM, and SIGKILL past the deadline) and returns {code, signal}. */
    async end({ signal = 'SIGTERM', deadlineMs = 15_000 } = {}) {
        this.signal(signal);
        try {
            await within(`${this.name} to end on ${signal}`, this.exited, deadlineMs);
        } catch (error) {
            this.signal('SIGKILL');
            await this.exited;
            throw new Error(`${error.message}\n${this.story()}`, { cause: error });
        } finally {
            if (this.log && !this.log.closed) {
                this.log.end();
                await once(this.log, 'close').catch(() => {});
            }
        }
        return this.exit;
    }

    /** kill -9, as a power cut would have it. */
    kill() {
        return this.end({ signal: 'SIGKILL' });
    }
}

/**
 * Runs a command to its end. Returns {status, stdout, stderr}; `json` parses stdout on reading.
 * With `check` (the default) a status other than 0 is an error with both outputs.
 */
export function run(command, args = [], { check = true, deadlineMs = DEADLINE_MS, ...options } = {}) {
    const { env, ...rest } = options;
    return new Promise((resolve, reject) => {
        execFile(command, args, {
            ...rest,
            env: { ...process.env, ...env },
            timeout: deadlineMs,
            killSignal: 'SIGKILL',
            maxBuffer: 64 * 1024 * 1024,
        }, (error, stdout, stderr) => {
            const status = error ? error.code : 0;
            const result = { status, stdout, stderr, get json() { return JSON.parse(stdout); } };
            if (typeof status !== 'number' || (check && status !== 0)) {
                const cause = error.killed ? `did not end in ${deadlineMs} ms` : `status ${status ?? error.signal}`;
                reject(new Error(`${basename(command)} ${args.join(' ')}: ${cause}\n${stderr}${stdout}`));
            } else {
                resolve(result);
            }
        });
    });
}
